#!/usr/bin/env bash
# Plants each mistake of test/mutants/ledger-*.patch in a copy of the tree: the tests of its "Red:" line must fail.
# tool/ledger_mutants.sh [--simulation] [NAME...]: only those (too-much-is-tried). Fails when one is not caught, or when a test fails with nothing planted.
# --simulation: those that the simulation is to find, and by nothing else; with names, any of them.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
root=$PWD
tree=$root/build-mutants/tree build=$root/build-mutants/build

only=
[ "${1:-}" = --simulation ] && only=simulation && shift
names=("$@")
if [ $# -eq 0 ]; then
	for patch in test/mutants/ledger-*.patch; do
		[ -z "$only" ] || grep -q '^Red:.*\bsimulation\b' "$patch" || continue
		name=${patch##*/ledger-}
		names+=("${name%.patch}")
	done
fi
rm -rf "$tree"
mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard | grep -zv '^test/corpus/' | xargs -0 cp --parents -t "$tree" 2>/dev/null
cp --parents -r test/corpus "$tree" 2>/dev/null
[ -f "$build/build.ninja" ] || meson setup "$build" "$tree" >/dev/null || { echo "mutants: meson setup failed" && exit 1; }

# All tests that are asked for, or the first that fails.
green() {
	local test program
	for test in "$@"; do
		program=src/ledger/${test}_ledger_test
		[ "$test" = simulation ] && program=test/simulation/simulation
		ninja -C "$build" --quiet "$program" >"$build/log" 2>&1 || { echo "does not build: $(grep -m 1 error "$build/log")" && return 2; }
		[ "$test" = simulation ] && set -- --seeds "${SEEDS:-1..3000}" --jobs "$(nproc)" --broken 1 --quiet || set --
		timeout -k 1 600 "$build/$program" "$@" >"$build/log" 2>&1 || return 1
	done
}

wrong=0 caught=0
read -ra all < <([ -n "$only" ] && echo "$only" || for name in "${names[@]}"; do sed -n 's/^Red: //p' "test/mutants/ledger-$name.patch"; done | tr ' ' '\n' | sort -u | tr '\n' ' ')
green "${all[@]}" || { echo "mutants: a test fails where nothing is planted" && tail -n 5 "$build/log" && exit 1; }
for name in "${names[@]}"; do
	patch=$root/test/mutants/ledger-$name.patch
	read -ra red < <([ -n "$only" ] && echo "$only" || sed -n 's/^Red: //p' "$patch")
	patch -s -p1 -d "$tree" <"$patch" || { echo "$name: does not apply" && wrong=1 && continue; }
	green "${red[@]}"
	case $? in
	1) caught=$((caught + 1)) && echo "$name: caught" ;;
	*) wrong=1 && echo "$name: NOT CAUGHT by ${red[*]}" ;;
	esac
	patch -s -R -p1 -d "$tree" <"$patch"
done
echo "$caught of ${#names[@]} mutants caught"
exit $wrong
