#!/usr/bin/env bash
# Run a command beside a PostgreSQL of its own, which goes when it ends: in a temporary folder, over a Unix socket only, never as root.
# LETHE_TEST_POSTGRES is its address. Usage: with_postgres.sh COMMAND [ARGUMENTS]
set -euo pipefail
# shellcheck disable=SC2012
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || { echo "with_postgres: no PostgreSQL: apt-get install --no-install-recommends postgresql-15" >&2 && exit 1; }
# Not where the stores of tests lie in memory: a database's log alone would fill that.
base=${TMPDIR:-/tmp}
[ "$base" != "${LETHE_TEST_MEMORY:-}" ] || base=/tmp
folder=$(mktemp -d "$base/lethe-postgres-XXXXXX")
as=()
if [ "$(id -u)" = 0 ]; then
	as=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
	chown nobody:nogroup "$folder"
fi
chmod 755 "$folder"
cd "$folder"
server="" command=""
finish() {
	[ -z "$command" ] || kill "$command" 2>/dev/null || true
	[ -z "$server" ] || { kill -INT "$server" 2>/dev/null && wait "$server" 2>/dev/null; } || true
	rm -rf "$folder"
}
trap finish EXIT
trap 'exit 143' TERM INT
"${as[@]}" "$bin/initdb" -D "$folder/data" -U lethe --auth=trust --locale=C --encoding=UTF8 --no-sync >"$folder/initdb.log" 2>&1 ||
	{ cat "$folder/initdb.log" >&2 && exit 1; }
"${as[@]}" "$bin/postgres" -D "$folder/data" -c listen_addresses= -c unix_socket_directories="$folder" -c fsync="${LETHE_TEST_FSYNC:-off}" \
	-c max_prepared_transactions=0 -c autovacuum=off -c log_min_messages=warning >"$folder/log" 2>&1 &
server=$!
until "$bin/pg_isready" -q -h "$folder"; do
	kill -0 "$server" 2>/dev/null || { cat "$folder/log" >&2 && exit 1; }
	sleep 0.05
done
export LETHE_TEST_POSTGRES="postgres://lethe@/postgres?host=$folder"
cd "$OLDPWD"
"$@" <&0 & # in the background, for traps are run only between commands
command=$!
status=0
wait "$command" || status=$?
command=""
exit "$status"
