#!/usr/bin/env bash
# Plants each leak of test/mutants/leak-*.patch in a copy of the tree: the build, tool/symbols.sh, tool/refused.sh or `lethe prove` must catch it.
# tool/prove_mutants.sh [NAME...]: only those (unwiped-block). Fails when one is not caught. As root: the search of memory needs it.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
folder=${LETHE_PROVE_BUILD:-$root/build-prove}
[ "$(id -u)" = 0 ] || { echo "mutants: run as root: nobody else may read the memory of processes" >&2 && exit 1; }

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
	for patch in "$root"/test/mutants/leak-*.patch; do
		name=$(basename "$patch" .patch)
		names+=("${name#leak-}")
	done
fi

rm -rf "$folder"
mkdir -p "$folder/tree"
(cd "$root" && git ls-files -z --cached --others --exclude-standard | tar -c --null --ignore-failed-read -T -) | tar -x -C "$folder/tree"
cd "$folder/tree"
[ -f build/build.ninja ] || meson setup build >"$folder/setup.log" 2>&1 || { cat "$folder/setup.log" >&2 && exit 1; }

# Says by what it was caught, on one line; nothing when it was not.
caught_by() {
	local log=$folder/$1.log report=$folder/$1.txt status=0
	if ! ninja -C build --quiet src/proc/lethe >"$log" 2>&1; then
		grep -m1 -oE 'error: .*' "$log" | sed 's/^/the compiler: /'
		return
	fi
	ln -f build/src/proc/lethe build/lethe
	if ! tool/symbols.sh build >"$log" 2>&1; then
		sed -n '1s/^symbols: /the symbols: /p' "$log"
		return
	fi
	if ! tool/refused.sh build >"$log" 2>&1; then
		sed -n '1s/^/what must not compile: /p' "$log"
		return
	fi
	build/lethe prove --quick --first >"$report" 2>"$log" || status=$?
	[ "$status" = 0 ] && return
	grep -a -m1 '^HIT' "$report" || grep -a -m1 '^BAD' "$report" || echo "nothing: it could not be tried: status $status: $(head -n1 "$log")"
}

failed=0
clean=$(caught_by clean)
[ -z "$clean" ] || { echo "mutants: something is caught where nothing is planted: $clean" && exit 1; }
for name in "${names[@]}"; do
	patch=$root/test/mutants/leak-$name.patch
	patch -s -p1 <"$patch" || { echo "leak-$name: does not apply" && exit 1; }
	how=$(caught_by "$name")
	patch -s -R -p1 <"$patch"
	case $how in
	'' | nothing*) echo "leak-$name: NOT CAUGHT${how:+: $how}" && failed=1 ;;
	*) echo "leak-$name: $how" ;;
	esac
done
echo "${#names[@]} leaks planted"
exit $failed
