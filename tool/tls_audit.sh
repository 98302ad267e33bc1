#!/usr/bin/env bash
# ./dev tls-audit: testssl.sh (some two minutes) against a gateway that is started for it. Fails on any finding above LOW, and on a run that is not whole.
set -euo pipefail
cd "$(dirname "$0")/.."

here=$(mktemp -d) gateway=""
stop() {
	trap - EXIT INT TERM
	[ -n "$gateway" ] && kill -TERM "$gateway" 2>/dev/null && wait "$gateway" || true
	rm -rf "$here"
}
trap stop EXIT
trap 'exit 130' INT TERM

LETHE_RUN_DIR=$here OPENAI_API_KEY="" tool/run.sh --tls --port 0 >"$here/said" 2>&1 &
gateway=$!
tries=0
until grep -q 'Ctrl-C stops' "$here/said"; do
	if ! kill -0 "$gateway" 2>/dev/null || [ $((tries += 1)) -gt 400 ]; then
		cat "$here/said" >&2
		echo "tls-audit: the gateway did not start" >&2
		exit 1
	fi
	sleep .05
done
place=$(head -n 1 "$here/data/endpoint")

testssl --color 0 --warnings off --quiet --nodns none --add-ca "$here/certificates/ca.pem" --csvfile "$here/findings.csv" \
	"${place#https://}" >"$here/report" 2>&1 || true

# What is not the server's: where the certificate says whether it is revoked, which is for who issues one. (WARN is no finding: something could not be
# looked at, like an engine that this machine's openssl command has not.)
findings=$(grep -E '^"[^"]*","[^"]*","[^"]*","(MEDIUM|HIGH|CRITICAL|FATAL)"' "$here/findings.csv" | grep -v '^"cert_revocation"' || true)
for id in TLS1_2 TLS1_3 cert_chain_of_trust cert_trust heartbleed secure_client_renego ROBOT FREAK LUCKY13 HTTP_status_code; do
	grep -q "^\"$id\"" "$here/findings.csv" || findings+=$'\n'"testssl.sh has not looked at $id"
done
count() { grep -c "^\"[^\"]*\",\"[^\"]*\",\"[^\"]*\",\"$1\"" "$here/findings.csv" || true; }
echo "testssl.sh $(testssl --version 2>/dev/null | grep -oE 'testssl +[0-9.]+' | grep -oE '[0-9.]+' | head -n 1): $(count OK) OK, $(count INFO) told, $(count LOW) LOW"
grep -E '","(LOW|WARN)"' "$here/findings.csv" | cut -d, -f1,4,5 || true
if [ -n "$findings" ]; then
	printf '%s\n' "$findings"
	exit 1
fi
echo "tls-audit: nothing above LOW"
