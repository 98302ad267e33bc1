#!/usr/bin/env bash
# Plants each leak of test/mutants/leak-*.patch in a copy of the tree: the build, tool/symbols.sh, tool/refused.sh or `lethe prove` must catch it. A table of which did is the end of it.
# tool/prove_mutants.sh [--resume] [NAME...]: only those (unwiped-block). Fails when one is not caught. As root: the search of memory needs it.
# --resume: what a run before had done on the same tree is not done again.
set -uo pipefail
root=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
folder=$root/build-prove
. "$root/tool/planted.sh"
[ "$(id -u)" = 0 ] || { echo "mutants: run as root: nobody else may read the memory of processes" >&2 && exit 1; }

# Says by what it was caught, on one line; nothing when it was not; "nothing: why" when that can't be told.
caught_by() {
	local log=$folder/$1.log report=$folder/$1.txt status=0
	cd "$tree" || exit
	if ! ninja -C build --quiet src/proc/lethe >"$log" 2>&1; then
		grep -m1 -oE 'error: .*' "$log" | sed 's/^/the compiler: /' || echo "nothing: it does not build: $(tail -n1 "$log")"
		return
	fi
	ln -f build/src/proc/lethe build/lethe
	if ! tool/symbols.sh build >"$log" 2>&1; then
		sed -n '1s/^symbols: /the symbols: /p' "$log" | grep . || echo "nothing: tool/symbols.sh: $(head -n1 "$log")"
		return
	fi
	if ! tool/refused.sh build >"$log" 2>&1; then
		sed -n '1s/^/what must not compile: /p' "$log" | grep . || echo "nothing: tool/refused.sh says nothing"
		return
	fi
	build/lethe prove --quick --first >"$report" 2>"$log" || status=$?
	[ "$status" = 0 ] && return
	grep -a -m1 '^HIT' "$report" || grep -a -m1 '^BAD' "$report" || echo "nothing: it could not be tried: status $status: $(head -n1 "$log")"
}

catch() {
	by=$(caught_by "${1:-clean}" | tr -s ' ')
	case $by in
	nothing*) why=${by#nothing: } by= ;;
	esac
}

planted_words leak '' "$@"
planted_run prove
