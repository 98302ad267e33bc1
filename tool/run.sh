#!/usr/bin/env bash
# ./dev run: Lethe with a demo account, in front of a simulated provider or, with OPENAI_API_KEY set, of OPENAI_BASE_URL.
set -euo pipefail
cd "$(dirname "$0")/.."

port="" fresh=0 tls=0
while [ $# -gt 0 ]; do
	case $1 in
	--port) port=${2:?--port wants a number} && shift ;;
	--port=*) port=${1#*=} ;;
	--fresh) fresh=1 ;;
	--tls) tls=1 ;;
	*)
		echo "run: --port N, --tls, --fresh; not '$1'" >&2
		exit 2
		;;
	esac
	shift
done

build=${LETHE_BUILD:-build}
here=${LETHE_RUN_DIR:-$PWD/run}
[ $fresh = 1 ] && rm -rf "$here"
mkdir -p "$here"
rm -f "$here/sim.port" "$here/data/endpoint"
sim_pid="" lethe_pid=""

stop() {
	trap - EXIT INT TERM
	local status=0
	if [ -n "$lethe_pid" ]; then
		kill -TERM "$lethe_pid" 2>/dev/null || true
		wait "$lethe_pid" || status=$?
	fi
	[ -n "$sim_pid" ] && kill -TERM "$sim_pid" 2>/dev/null
	exit "$status"
}
trap stop EXIT INT TERM

# wait_for FILE PID NAME
wait_for() {
	local tries=0
	until [ -s "$1" ]; do
		kill -0 "$2" 2>/dev/null || { echo "run: $3 did not start. For another port: ./dev run --port N" >&2 && return 1; }
		[ $((tries += 1)) -lt 400 ] || { echo "run: $3 is not ready after 20 seconds" >&2 && return 1; }
		sleep .05
	done
}

start_sim() {
	"$build/lethe-sim" --listen 127.0.0.1:0 --port-file "$here/sim.port" --quiet &
	sim_pid=$!
	wait_for "$here/sim.port" "$sim_pid" lethe-sim
	provider_url=http://127.0.0.1:$(cat "$here/sim.port")/v1
	provider_text="the simulator, $provider_url"
	export LETHE_RUN_KEY=sk-simulated
	pass_headers='["x-sim"]'
	objects=true language=chat
}

pass_headers='[]'
objects=false language=both
if [ -n "${OPENAI_API_KEY:-}" ]; then
	provider_url=${OPENAI_BASE_URL:-https://api.openai.com/v1}
	provider_text=$provider_url
	export LETHE_RUN_KEY=$OPENAI_API_KEY
else
	start_sim
fi

# A certificate that counts on this machine alone, and only for who is told to trust its authority.
listen="listen: [\"127.0.0.1:${port:=$((tls ? 8443 : 8080))}\"]" trust="" ca=$here/certificates/ca.pem
if [ $tls = 1 ]; then
	tool/certificate.sh "$here/certificates"
	listen="tls: {$listen, certificates: [{certificate: $here/certificates/server.pem, key: $here/certificates/server-key.pem}]}"
	trust="--cacert $ca "
fi

cat >"$here/lethe.yaml" <<YAML
# Written by ./dev run.
$listen
log: {file: $here/lethe.log}
providers:
  - name: demo
    url: $provider_url
    keys: [{env: LETHE_RUN_KEY}]
    pass_headers: $pass_headers
    objects: $objects
    language: $language
models:
  - id: gpt-5-mini
    provider: demo
    context: 400000
    output: 128000
    reasoning: true
    prices: [{from: 2026-01-01, input: "0.25", cached: "0.025", output: "2.00"}]
  - id: gpt-5
    provider: demo
    context: 400000
    output: 128000
    reasoning: true
    prices: [{from: 2026-01-01, input: "1.25", cached: "0.125", output: "10.00"}]
  - id: gpt-4o-mini
    provider: demo
    context: 128000
    output: 16384
    prices: [{from: 2026-01-01, input: "0.15", cached: "0.075", output: "0.60"}, {from: 2026-01-01, tier: batch, times: "0.5"}]
YAML

"$build/lethe" serve --config "$here/lethe.yaml" --data "$here/data" &
lethe_pid=$!
unset LETHE_RUN_KEY
wait_for "$here/data/endpoint" "$lethe_pid" lethe
url=$(head -n 1 "$here/data/endpoint")

lethe() { "$build/lethe" "$@" --data "$here/data" --json; }
first() { grep -oE "$1" | head -n 1; }
account=$(lethe account list | tr -d '\n' | grep -oE '\{[^{}]*"demo"[^{}]*\}' | first 'acc_[0-9A-Za-z]+' || true)
if [ -z "$account" ]; then
	account=$(lethe account create demo | first 'acc_[0-9A-Za-z]+')
	lethe credit add "$account" 5.00 --reason demo >/dev/null
fi
key=$(lethe key create "$account" | first 'lethe_live_[0-9A-Za-z_]+')

cat <<TEXT

  Lethe     $url/v1
  provider  $provider_text
  data      $here/data
  log       $here/lethe.log
  key       $key
${trust:+  authority $ca: for SDKs NODE_EXTRA_CA_CERTS (Node) or SSL_CERT_FILE (Python)
}
  curl -N $trust$url/v1/chat/completions -H "Authorization: Bearer $key" -H "Content-Type: application/json" -d '{"model":"gpt-5-mini","stream":true,"messages":[{"role":"user","content":"hi"}]}'

  $build/lethe usage --data $here/data     what it cost
  Ctrl-C stops.
TEXT
wait "$lethe_pid" || true
