#!/usr/bin/env bash
# Run the suites and end with one line: N passed, N failed, N skipped. Called by ./dev test, which has built everything.
# LETHE_BUILD: the folder of another build.
set -uo pipefail
cd "$(dirname "$0")/.."

passed=0 failed=0 skipped=0
node=test/node_modules/.bin/node
build=${LETHE_BUILD:-build}
out=build/test-results
# Many tests wait for a disk or a peer rather than for a processor.
at_once=$(($(nproc) * 2))
mkdir -p "$out"

count() {
	passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

# A test program counts by its own cmocka summary; one that prints none, or dies, counts as one.
count_meson_log() {
	awk '
	function sum(line, word,   n, s) {
		s = 0
		while (match(line, "\\[ *" word " *\\] [0-9]+ test")) {
			n = substr(line, RSTART, RLENGTH)
			sub(/.*\] /, "", n)
			s += n
			line = substr(line, RSTART + RLENGTH)
		}
		return s
	}
	{
		p = sum($0, "PASSED"); f = sum($0, "FAILED"); s = sum($0, "SKIPPED")
		match($0, /"result": "[A-Z]+"/)
		result = substr($0, RSTART + 11, RLENGTH - 12)
		if (result == "SKIP") s++
		else if (result != "OK" && result != "EXPECTEDFAIL" && f == 0) f++
		else if (p + f + s == 0) p++
		passed += p; failed += f; skipped += s
	}
	END { print passed + 0, failed + 0, skipped + 0 }' "$1"
}

# Stores of tests are many, and each lives for a moment: where memory has room for them nobody waits for a disk. What a test that dies leaves there goes with
# the run. The tests cut the path of TMPDIR at 40 characters.
in_memory() {
	local room_mib
	room_mib=$(df --block-size=1M --output=avail /dev/shm 2>/dev/null | tail -n 1) || return 0
	[ -n "${TMPDIR:-}" ] || [ ! -w /dev/shm ] || [ "$room_mib" -lt 4096 ] && return
	TMPDIR=$(mktemp -d /dev/shm/lethe-unit-XXXXXX) || exit 1
	chmod 1777 "$TMPDIR" # as /tmp: some tests are several users
	export TMPDIR LETHE_TEST_MEMORY=$TMPDIR
	trap 'rm -rf "$LETHE_TEST_MEMORY"' EXIT
	trap 'exit 143' TERM INT
}

suite_unit() {
	local log=$build/meson-logs/testlog.json
	rm -f "$log"
	(in_memory && meson test -C "$build" --no-rebuild --print-errorlogs --timeout-multiplier 10 --num-processes "$at_once") || true
	if [ -f "$log" ]; then
		# shellcheck disable=SC2046
		count $(count_meson_log "$log")
	else
		count 0 1 0
	fi
}

fuzzers=
begin_fuzz() {
	nice tool/fuzz.sh --ci >"$out/fuzz.log" 2>&1 &
	fuzzers=$!
}

# Each fuzzer counts as one.
suite_fuzz() {
	local status=0
	[ -n "$fuzzers" ] || begin_fuzz
	wait "$fuzzers" || status=$?
	grep 'nothing found$' "$out/fuzz.log"
	count "$(grep -c 'nothing found$' "$out/fuzz.log")" 0 0
	[ $status = 0 ] && return
	tail -n 60 "$out/fuzz.log"
	count 0 1 0
}

# suite_vitest FOLDER...
suite_vitest() {
	local names="$*"
	local json=$out/${names// /_}.json
	rm -f "$json"
	(cd test && node_modules/.bin/node node_modules/vitest/vitest.mjs run --config vitest.config.ts "${@/%//}" \
		--reporter=default --reporter=json --outputFile.json="../$json") || true
	if [ -f "$json" ]; then
		# shellcheck disable=SC2046
		count $("$node" tool/count_vitest.ts "$json")
	else
		count 0 1 0
	fi
}

run_suite() {
	printf '== %s\n' "$*"
	case $1 in
	unit) suite_unit ;;
	fuzz) suite_fuzz ;;
	e2e | crash | privacy) suite_vitest "$@" ;;
	*)
		printf 'test: unit, fuzz, e2e, crash, privacy or all, not %s\n' "$1" >&2
		exit 2
		;;
	esac
}

case ${1:-all} in
all)
	run_suite unit
	run_suite e2e crash
	# The proof keeps one processor busy for minutes: the fuzzers, which know no time, have what it leaves.
	begin_fuzz
	run_suite privacy
	run_suite fuzz
	;;
*) run_suite "$1" ;;
esac
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
