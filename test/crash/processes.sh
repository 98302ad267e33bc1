#!/bin/bash
# The real server: every child killed and back, the end by SIGTERM, the end of all after the supervisor's kill -9.
# usage: processes.sh LETHE LETHE-SIM
set -u
lethe=$1 sim=$2
dir=$(mktemp -d /tmp/lethe-processes-XXXXXX)
data=$dir/data
server=0 simulator=0 key=

finish() {
	[ "$server" -gt 0 ] && kill -9 "$server" 2>/dev/null
	[ "$simulator" -gt 0 ] && kill "$simulator" 2>/dev/null
	wait 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT

fail() {
	cat "$dir"/serve.log
	echo "FAILED: $*"
	exit 1
}

# until_true WHAT COMMAND...: asks again until it holds; how fast a machine is is not judged here
until_true() {
	local what=$1 end=$((SECONDS + 60))
	shift
	until "$@"; do
		[ $SECONDS -ge $end ] && fail "not in time: $what"
		sleep 0.02
	done
}

children() { # of a role, by their names
	local pid
	for pid in $(cat "/proc/$server/task/$server/children" 2>/dev/null); do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "lethe-$1" ] && echo "$pid"
	done
}

start() {
	rm -f "$data/endpoint"
	SIM_KEY=sk-of-the-provider "$lethe" serve --config "$dir/lethe.yaml" --data "$data" 2>"$dir/serve.log" &
	server=$!
	until_true "the server is up" test -s "$data/endpoint"
	url=$(head -n 1 "$data/endpoint")
}

ask() {
	curl -s -o /dev/null -w '%{http_code}' -m 60 "$url/v1/chat/completions" -H "Authorization: Bearer $key" \
		-H 'content-type: application/json' "$@" -d '{"model":"m","messages":[{"role":"user","content":"hi"}]}'
}

answers() { [ "$(ask)" = 200 ]; }

nobody_left() { # of these processes; a zombie runs no more
	local pid
	for pid in "$@"; do
		[ -d "/proc/$pid" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null && return 1
	done
	return 0
}

replaced() { # role pid count
	local now
	now=$(children "$1")
	[ "$(echo "$now" | wc -w)" -eq "$3" ] && ! echo "$now" | grep -qx "$2"
}

"$sim" --listen=127.0.0.1:0 >"$dir/sim.log" 2>&1 &
simulator=$!
until_true "the simulator is up" grep -q '127\.0\.0\.1:' "$dir/sim.log"
port=$(grep -o '127\.0\.0\.1:[0-9]*' "$dir/sim.log" | head -n 1 | cut -d: -f2)
cat >"$dir/lethe.yaml" <<EOF
listen: ["127.0.0.1:0"]
edges: 2
allow_plain_memory: true
limits: {content_memory: 16MiB, library_memory: 16MiB}
timeouts: {drain: 60s}
providers: [{name: sim, url: "http://127.0.0.1:$port/v1", keys: [{env: SIM_KEY}], pass_headers: [x-sim]}]
models: [{id: m, provider: sim, context: 100000, output: 1000, prices: [{from: 2025-01-01, input: "1", output: "2"}]}]
EOF

start
"$lethe" account create demo --data "$data" >/dev/null || fail "no account"
"$lethe" credit add demo 10 --reason test --data "$data" >/dev/null || fail "no credit"
key=$("$lethe" key create demo --data "$data" --json | grep -o 'lethe_live_[A-Za-z0-9_]*')
until_true "the first answer" answers

echo "a killed child comes back, and requests are answered"
for role in edge dialer ledger scribe; do
	before=$(children $role | wc -l)
	others=$(for other in edge dialer ledger scribe; do [ $other != $role ] && children $other; done)
	victim=$(children $role | head -n 1)
	kill -9 "$victim"
	until_true "$role is replaced" replaced $role "$victim" "$before"
	until_true "an answer after the $role" answers
	for pid in $others; do
		[ -d "/proc/$pid" ] || fail "the death of the $role took another process with it"
	done
done

echo "secrets are in no child's command line or environment"
for pid in $(cat "/proc/$server/task/$server/children"); do
	grep -aq 'sk-of-the-provider' "/proc/$pid/cmdline" "/proc/$pid/environ" && fail "a key is visible in process $pid"
	[ -s "/proc/$pid/environ" ] && fail "process $pid has an environment"
done

echo "a second server on the same data is refused"
"$lethe" serve --config "$dir/lethe.yaml" --data "$data" 2>"$dir/second.log" && fail "two servers"
grep -q "is served by process $server" "$dir/second.log" || fail "the refusal does not say who: $(cat "$dir/second.log")"
answers || fail "the first server was disturbed"

echo "SIGTERM lets what runs finish, books it, and ends with 0"
amount() { "$lethe" account list --data "$data" --json | grep -o "\"$1\":\"[^\"]*\"" | cut -d'"' -f4; }
still() { [ "$(amount available)" = "$(amount balance)" ]; }
open() { ! still; }
until_true "all requests before are booked" still
ask -H 'x-sim: delay_ms=4000' >"$dir/late" &
late=$!
until_true "the request is under way" open
all=$(cat "/proc/$server/task/$server/children")
kill -TERM "$server"
wait "$server"
status=$?
[ $status -eq 0 ] || fail "exit status $status"
wait $late
[ "$(cat "$dir/late")" = 200 ] || fail "the running request got $(cat "$dir/late")"
nobody_left $all || fail "children are left after SIGTERM"
[ -e "$data/endpoint" ] && fail "the endpoint file is left"
"$lethe" ledger verify --data "$data" >/dev/null || fail "the books are wrong"

echo "nobody outlives a killed supervisor for long, and the next server takes over"
start
all=$(cat "/proc/$server/task/$server/children")
until_true "an answer" answers
kill -9 "$server"
wait "$server" 2>/dev/null
until_true "all children are gone" nobody_left $all
start
until_true "an answer of the next server" answers

echo "the next server waits for the books of the one before"
kill -9 "$server"
wait "$server" 2>/dev/null
start
until_true "an answer of the third server" answers
kill -TERM "$server"
wait "$server" || fail "exit status $?"
server=0
"$lethe" ledger verify --data "$data" >/dev/null || fail "the books are wrong"
echo "all passed"
