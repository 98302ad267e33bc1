#!/bin/bash
# Run by tool/package_test.sh in a container that has just booted: the package's life, as an operator sees it.
set -uo pipefail
cd /root || exit 1

passed=0
clear=http://127.0.0.1:8080
limits=1 # as the unit has them
[ -f /in/limits.conf ] && limits=""
answer=/out/answer

fail() {
	printf '  FAILED  %s\n' "$*"
	tail -n 30 "$answer" 2>/dev/null | sed 's/^/          | /'
	journalctl --no-pager -o short-precise >/out/journal 2>&1
	printf '%d passed, 1 failed, 0 skipped\n' "$passed"
	exit 1
}

ok() {
	passed=$((passed + 1))
	printf '  ok      %s\n' "$1"
}

# is WHAT EXPECTED GOT
is() {
	[ "$2" = "$3" ] || fail "$1: '$3', not '$2'"
	ok "$1"
}

# does WHAT COMMAND...: it succeeds
does() {
	local what=$1
	shift
	"$@" >"$answer" 2>&1 || fail "$what (status $?): $*"
	ok "$what"
}

# says WHAT PATTERN FILE
says() {
	grep -qE -- "$2" "$3" && ok "$1" && return
	[ "$3" = "$answer" ] || cp "$3" "$answer"
	fail "$1: nothing says /$2/"
}

# charged NUMBER: so many requests are booked; the ledger collects for a moment
charged() {
	await "$1 requests are charged" sh -c "lethe usage --json | grep -E '\"requests\": ?$1,'"
}

install_package() {
	apt-get install -y --no-install-recommends "$1"
}

owner() { stat -c '%U:%G %a' "$1"; }
property() { systemctl show -P "$1" lethe; }

# A field of the first object of an answer with --json.
field() { grep -oE "\"$1\": ?\"[^\"]*\"" | head -n 1 | sed -E 's/.*: ?"(.*)"/\1/'; }

# await WHAT COMMAND...: within half a minute
await() {
	local what=$1 tries
	shift
	for ((tries = 0; tries < 600; tries++)); do
		"$@" >"$answer" 2>&1 && ok "$what" && return
		sleep .05
	done
	fail "$what: not within half a minute: $*"
}

ask() { # URL MODEL KEY X-SIM [curl option...]
	local url=$1 model=$2 key=$3 sim=$4
	shift 4
	curl -sS --max-time 30 --cacert /root/tls/ca.pem "$@" "$url/v1/chat/completions" -H "Authorization: Bearer $key" -H "x-sim: $sim" \
		-H "Content-Type: application/json" -d "{\"model\":\"$model\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
}

# ---- a fresh machine ----

fresh() {
	does "the package installs" install_package /in/lethe.deb
	is "configuration: root and the service" "root:lethe 640" "$(owner /etc/lethe/lethe.yaml)"
	is "keys: root and the service" "root:lethe 750" "$(owner /etc/lethe/keys)"
	is "data: the service alone" "lethe:lethe 700" "$(owner /var/lib/lethe)"
	is "the user can't log in" "/usr/sbin/nologin" "$(getent passwd lethe | cut -d: -f7)"
	does "the service runs" systemctl is-active lethe
	does "the service starts with the machine" systemctl is-enabled lethe
	is "the service says what it does" "Serving." "$(property StatusText)"
	does "it answers" curl -sSf http://127.0.0.1:8080/healthz
	does "the manual is there" test -s /usr/share/man/man1/lethe.1.gz
	does "completion is there" grep -q "complete -F _lethe lethe" /usr/share/bash-completion/completions/lethe
	is "the catalogue: root and the service" "root:lethe 640" "$(owner /etc/lethe/catalogue.yaml)"
	does "the guide is there" test -s /usr/share/doc/lethe/docs/guide/operator.md
}

# What `doctor` said in the unit. What a package can't give, it may warn of, with a remedy; nothing may be bad.
doctor() {
	local fact
	journalctl -u lethe -o cat --no-pager >/out/doctor
	for fact in user "system call filter" "open files" "data directory" "locked memory limit"; do
		says "doctor: $fact" "^ok +$fact" /out/doctor
	done
	lethe doctor >/out/doctor.root
	for fact in "secret memory" Landlock; do
		is "doctor: $fact as outside of the unit" "$(grep -E "^[a-z]+ +$fact " /out/doctor.root)" "$(grep -m 1 -E "^[a-z]+ +$fact " /out/doctor)"
	done
	! grep -E '^bad ' /out/doctor || fail "doctor finds something bad"
	ok "doctor: nothing is bad"
	grep -E -A1 '^warn' /out/doctor | sed 's/^/          | /'
}

# Each process of the service: its user, no new privileges, a filter, no right but that to low ports, which edges don't have either.
processes() {
	local dir name count=0 uid
	uid=$(id -u lethe)
	for dir in /proc/[0-9]*; do
		name=$(cat "$dir/comm" 2>/dev/null) || continue
		case $name in lethe-*) ;; *) continue ;; esac
		count=$((count + 1))
		cp "$dir/status" "$answer"
		grep -qE "^Uid:(\s$uid){4}$" "$answer" || fail "$name runs as another user"
		grep -qE "^NoNewPrivs:\s1$" "$answer" || fail "$name may gain privileges"
		grep -qE "^Seccomp:\s2$" "$answer" || fail "$name has no system call filter"
		[ -z "$limits" ] || grep -qE "^CapBnd:\s0000000000000(400|000)$" "$answer" || fail "$name has more rights"
		[ -z "$limits" ] || [ "$name" = lethe-super ] || grep -qE "^CapEff:\s0000000000000000$" "$answer" || fail "$name has a right"
		[ -z "$limits" ] || grep -qE "locked memory +unlimited +unlimited" "$dir/limits" || fail "$name may not lock memory"
		case $name in lethe-ledger | lethe-scribe) chrt -p "${dir#/proc/}" | grep -q SCHED_BATCH || fail "$name does not work in the background" ;; esac
	done
	[ "$count" -ge 5 ] || fail "only $count processes"
	ok "$count processes run as lethe, without privileges"
}

# ---- an operator at work ----

accounts() {
	does "an account" lethe account create acme
	does "credit" lethe credit add acme 5.00 --reason "first credit"
	key=$(lethe key create acme --json | field secret)
	[ "${key#lethe_live_}" != "$key" ] || fail "no key: $key"
	ok "a key"
	does "the service's user sees it as well" setpriv --reuid lethe --regid lethe --clear-groups lethe account show acme
	setpriv --reuid nobody --regid nogroup --clear-groups lethe account list >"$answer" 2>&1
	is "anybody else is refused" 3 $?
	says "and told what to do" "as root" "$answer"
}

# The way of the sample configuration's comment.
catalogue() {
	printf 'sk-nobody\n' | install -o lethe -m 600 /dev/stdin /etc/lethe/keys/openai
	sed -i 's/^#catalogue:/catalogue:/' /etc/lethe/lethe.yaml
	does "the catalogue is right" lethe config check /etc/lethe/lethe.yaml
	says "providers without a key are off" 'the provider `anthropic` is off' "$answer"
	does "the service restarts with it" systemctl restart lethe
	curl -sS http://127.0.0.1:8080/v1/models -H "Authorization: Bearer $key" >"$answer" 2>&1
	says "models of the catalogue are listed" '"id":"gpt-' "$answer"
	! grep -q '"id":"claude-' "$answer" || fail "models of a provider that is off are listed"
	cat >/root/prices.json <<-'JSON'
		{"gpt-4o": {"litellm_provider": "openai", "mode": "chat", "max_input_tokens": 128000, "max_output_tokens": 16384,
		 "input_cost_per_token": 0.000009, "output_cost_per_token": 0.00009}}
	JSON
	lethe catalogue import /root/prices.json --config /etc/lethe/lethe.yaml --write >"$answer" 2>&1
	does "a price list is imported" grep -q 'input: "9.00", .*output: "90.00"' /etc/lethe/catalogue.yaml
	is "and the service can read the catalogue as before" "root:lethe 640" "$(owner /etc/lethe/catalogue.yaml)"
	sed -i 's/^catalogue:/#catalogue:/' /etc/lethe/lethe.yaml
}

configure() {
	printf 'sk-file\n' | install -o lethe -m 600 /dev/stdin /etc/lethe/keys/sim
	printf 'sk-credential\n' | install -m 600 /dev/stdin /root/sim.key
	mkdir -p /etc/systemd/system/lethe.service.d
	printf '[Service]\nLoadCredential=sim:/root/sim.key\n' >/etc/systemd/system/lethe.service.d/keys.conf
	does "a certificate for tests" bash /in/certificate.sh /root/tls
	install -m 644 /root/tls/server.pem /etc/lethe/keys/tls.crt
	install -o lethe -m 600 /root/tls/server-key.pem /etc/lethe/keys/tls.key
	sed -i -E '/^(providers|models): \[\]$/d' /etc/lethe/lethe.yaml
	cat >>/etc/lethe/lethe.yaml <<-'YAML'
		tls: {listen: ["127.0.0.1:443"], certificates: [{certificate: /etc/lethe/keys/tls.crt, key: /etc/lethe/keys/tls.key}]}
		metrics: {listen: "127.0.0.1:9464"}
		log: {file: /var/log/lethe/lethe.log}
		providers:
		  - {name: by-file, url: "http://127.0.0.1:9001/v1", keys: [{file: /etc/lethe/keys/sim}], pass_headers: [x-sim]}
		  - {name: by-credential, url: "http://127.0.0.1:9002/v1", keys: [{credential: sim}], pass_headers: [x-sim]}
		models:
		  - {id: one, provider: by-file, context: 10000, output: 1000, prices: [{from: 2026-01-01, input: "1", output: "2"}]}
		  - {id: two, provider: by-credential, context: 10000, output: 1000, prices: [{from: 2026-01-01, input: "1", output: "2"}]}
	YAML
	systemd-run --quiet --unit=sim-file /in/lethe-sim --listen 127.0.0.1:9001 --key sk-file
	systemd-run --quiet --unit=sim-credential /in/lethe-sim --listen 127.0.0.1:9002 --key sk-credential
	does "the configuration is right" lethe config check /etc/lethe/lethe.yaml
	systemctl daemon-reload
	does "the service restarts with it" systemctl restart lethe
	await "one simulator runs" curl -sSf http://127.0.0.1:9001/health
	await "the other one, too" curl -sSf http://127.0.0.1:9002/health
}

requests() {
	ask "$clear" one "$key" chunks=3 >"$answer" 2>&1
	says "a request, with a key from a file" '^data: \[DONE\]' "$answer"
	ask https://127.0.0.1 two "$key" chunks=3 >"$answer" 2>&1
	says "a request over TLS at port 443, with a key from a credential" '^data: \[DONE\]' "$answer"
	ask "$clear" one lethe_live_wrong chunks=3 -o /dev/null -w '%{http_code}\n' >"$answer" 2>&1
	says "a wrong key" '^401$' "$answer"
	charged 2
	does "the books balance" lethe ledger verify
	curl -sS http://127.0.0.1:9464/metrics >"$answer" 2>&1
	says "there are metrics" '^lethe_' "$answer"
	grep -rqF "sk-file" /var/lib/lethe /var/log/lethe && fail "a provider's key lies where it does not belong"
	ok "no provider's key on disk but in its file"
}

rotation() {
	does "the log is rotated" logrotate -f /etc/logrotate.d/lethe
	await "the new log is written" grep -q LOG_OPENED /var/log/lethe/lethe.log
	does "the old one is kept" test -s /var/log/lethe/lethe.log.1
}

# ---- upgrade, stop, removal ----

upgrade() {
	local stream pid
	ask "$clear" one "$key" chunks=40,gap_ms=50 >/out/stream 2>&1 &
	stream=$!
	pid=$(property MainPID)
	await "a stream runs" grep -q '^data: ' /out/stream
	does "the next version installs" install_package /in/next.deb
	wait "$stream" || fail "the stream was cut: $?"
	says "the running stream was finished" '^data: \[DONE\]' /out/stream
	is "the changed configuration is kept" "root:lethe 640" "$(owner /etc/lethe/lethe.yaml)"
	does "with what was changed" grep -q by-credential /etc/lethe/lethe.yaml
	does "the service runs" systemctl is-active lethe
	is "and was never stopped" "$pid" "$(property MainPID)"
	does "by the binary that was installed" sh -c "! readlink /proc/$pid/exe | grep deleted"
	charged 3
}

stop() {
	does "it stops" systemctl stop lethe
	is "in good order" "success 0" "$(property Result) $(property ExecMainStatus)"
	does "commands work without it" lethe account show acme
	is "and leave nothing to root" "" "$(find /var/lib/lethe ! -user lethe)"
	cp /etc/lethe/lethe.yaml /root/right.yaml
	sed -i 's/^listen:.*/listen: ["nowhere"]/' /etc/lethe/lethe.yaml
	! systemctl start lethe 2>"$answer" || fail "it starts with a wrong configuration"
	systemctl stop lethe
	journalctl -u lethe -o cat --no-pager >/out/wrong
	says "a wrong configuration is named with its line" 'lethe.yaml:[0-9]+: .*nowhere' /out/wrong
	cat /root/right.yaml >/etc/lethe/lethe.yaml
	does "it starts again" systemctl start lethe
}

removal() {
	does "the package is removed" apt-get remove -y lethe
	! systemctl is-active --quiet lethe || fail "the service still runs"
	ok "the service is gone"
	does "configuration stays" test -s /etc/lethe/lethe.yaml
	does "keys stay" test -s /etc/lethe/keys/sim
	does "data stay" test -s /var/lib/lethe/ledger.db
	does "it installs again" install_package /in/lethe.deb
	await "and serves the same customers" sh -c "curl -sSf http://127.0.0.1:8080/v1/models -H 'Authorization: Bearer $key' | grep -q one"
	apt-get purge -y lethe >"$answer" 2>&1 || fail "it can't be purged"
	says "a purge says that the data stay" "kept in /var/lib/lethe" "$answer"
	is "configuration, keys and log are gone" "" "$(ls -d /etc/lethe /var/log/lethe 2>/dev/null)"
	is "data stay, to their user" "lethe:lethe 600" "$(owner /var/lib/lethe/ledger.db)"
	does "a fresh installation" install_package /in/lethe.deb
	does "runs" systemctl is-active lethe
	does "and still knows its accounts" lethe account show acme
}

for part in fresh doctor processes accounts catalogue configure requests rotation upgrade stop removal; do
	printf '%s\n' "$part"
	$part
done
journalctl --no-pager -o short-precise >/out/journal 2>&1
printf '%d passed, 0 failed, 0 skipped\n' "$passed"
