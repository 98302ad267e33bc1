#!/usr/bin/env bash
# Plants each mistake of test/mutants/ledger-*.patch in a copy of the tree: a test of its "Red:" line must fail. A table of which did, and after how long, is the end of it.
# tool/ledger_mutants.sh [--simulation] [--resume] [NAME...]: only those (too-much-is-tried). Fails when one is not caught, or when a test fails with nothing planted.
# --simulation: those that the simulation is to find, and by nothing else; with names, any of them.
# --resume: what a run before had done on the same tree is not done again.
set -uo pipefail
root=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
folder=$root/build-mutants
. "$root/tool/planted.sh"

only=
[ "${1:-}" = --simulation ] && only=simulation && shift
planted_words ledger "${only:+^Red:.*\\b$only\\b}" "$@"

# The tests that are asked for, until one fails: who is in `by`. That it can't be told is in `why`.
until_red() {
	local test program command
	for test in "$@"; do
		program=src/ledger/${test}_ledger_test
		[ "$test" = simulation ] && program=test/simulation/simulation
		# The header first: not each program says that it needs it.
		ninja -C "$build" --quiet src/ledger/ledger_sql.h "$program" >"$folder/log" 2>&1 || { why="it does not build: $(grep -m 1 error "$folder/log")" && return; }
		command=("$build/$program")
		case $test in
		simulation) command+=(--seeds "${SEEDS:-1..3000}" --jobs "$(nproc)" --broken 1 --quiet) ;;
		node*) command=("$tree/tool/with_postgres.sh" "${command[@]}") ;; # without one they skip
		esac
		timeout -k 1 "${PATIENCE:-600}" "${command[@]}" >"$folder/log" 2>&1
		case $? in
		0) ;;
		# So many seeds may take so long on a busy machine; a test that comes to no end has failed.
		124 | 137) [ "$test" != simulation ] || { why="the simulation has not ended in ${PATIENCE:-600} s" && return; } && by=$test && return ;;
		*) by=$test && return ;;
		esac
	done
}

reds_of() {
	[ -n "$only" ] && echo "$only" || sed -n 's/^Red: //p' "$patches-$1.patch"
}

catch() {
	local reds=("${all[@]}")
	[ $# = 0 ] || read -ra reds < <(reds_of "$1")
	until_red "${reds[@]}"
	[ $# = 0 ] || [ -n "$by$why" ] || why="by ${reds[*]}"
}

read -ra all < <(for name in "${names[@]}"; do reds_of "$name"; done | tr ' ' '\n' | sort -u | tr '\n' ' ')
planted_run "${all[*]}" "$only" "${SEEDS:-3000}"
