#!/usr/bin/env bash
# Plants each mistake of test/mutants/ledger-*.patch in a copy of the tree: a test of its "Red:" line must fail. A table of which did, and after how long, is the end of it.
# tool/ledger_mutants.sh [--simulation] [--resume] [NAME...]: only those (too-much-is-tried). Fails when one is not caught, or when a test fails with nothing planted.
# --simulation: those that the simulation is to find, and by nothing else; with names, any of them.
# --resume: what a run before had done on the same tree is not done again.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
root=$PWD
tree=$root/build-mutants/tree build=$root/build-mutants/build told=$root/build-mutants/told

only= resume=
while [[ ${1:-} == --* ]]; do
	case $1 in
	--simulation) only=simulation ;;
	--resume) resume=1 ;;
	*) echo "mutants: --simulation, --resume or names, not $1" >&2 && exit 2 ;;
	esac
	shift
done
names=("$@")
if [ $# -eq 0 ]; then
	for patch in test/mutants/ledger-*.patch; do
		[ -z "$only" ] || grep -q '^Red:.*\bsimulation\b' "$patch" || continue
		name=${patch##*/ledger-}
		names+=("${name%.patch}")
	done
fi
for name in "${names[@]}"; do
	[ -f "test/mutants/ledger-$name.patch" ] || { echo "mutants: there is no test/mutants/ledger-$name.patch" >&2 && exit 2; }
done

# Files that are as they were keep their time: only what differs is built again.
copy_tree() {
	mkdir -p "$tree.new" "$tree"
	git ls-files -z --cached --others --exclude-standard | grep -zv '^test/corpus/' | xargs -0 cp --parents -t "$tree.new" 2>/dev/null
	cp --parents -r test/corpus "$tree.new" 2>/dev/null
	local file
	(cd "$tree" && find . -type f) | while read -r file; do [ -f "$tree.new/$file" ] || rm -f "$tree/$file"; done
	(cd "$tree.new" && find . -type f) | while read -r file; do
		cmp -s "$tree.new/$file" "$tree/$file" && continue
		mkdir -p "$tree/${file%/*}" && cp "$tree.new/$file" "$tree/$file"
	done
	rm -rf "$tree.new"
}
copy_tree
key=$( (cd "$tree" && find src sql test/simulation test/mutants tool meson.build -type f -print0 | sort -z | xargs -0 sha256sum) | sha256sum | cut -c1-16)
key=$key${only:+-$only}-${SEEDS:-3000}
[ -n "$resume" ] && [ "$(head -n 1 "$told" 2>/dev/null)" = "$key" ] || echo "$key" >"$told"
[ -f "$build/build.ninja" ] || meson setup "$build" "$tree" >/dev/null || { echo "mutants: meson setup failed" && exit 1; }

# The tests that are asked for, until one fails: which is in `red`. 1: one did. 2: it can't be told, and why is said.
green() {
	local test program
	for test in "$@"; do
		program=src/ledger/${test}_ledger_test
		[ "$test" = simulation ] && program=test/simulation/simulation
		# The header first: not each program says that it needs it.
		ninja -C "$build" --quiet src/ledger/ledger_sql.h "$program" >"$build/log" 2>&1 || { echo "does not build: $(grep -m 1 error "$build/log")" && return 2; }
		[ "$test" = simulation ] && set -- --seeds "${SEEDS:-1..3000}" --jobs "$(nproc)" --broken 1 --quiet || set --
		timeout -k 1 "${PATIENCE:-600}" "$build/$program" "$@" >"$build/log" 2>&1
		case $? in
		0) ;;
		# So many seeds may take so long on a busy machine; a test that comes to no end has failed.
		124 | 137) [ "$test" != simulation ] || { echo "the simulation has not ended in ${PATIENCE:-600} s" && return 2; } && red=$test && return 1 ;;
		*) red=$test && return 1 ;;
		esac
	done
}

done_before() {
	grep -q "^$1	" "$told"
}

tell() {
	printf '%s\t%s\t%s\n' "$@" >>"$told"
	printf '%-44s %-16s %5s s\n' "$@"
}

reds_of() {
	[ -n "$only" ] && echo "$only" || sed -n 's/^Red: //p' "$root/test/mutants/ledger-$1.patch"
}

wrong=0
began=$SECONDS
if ! done_before "(nothing)"; then
	read -ra all < <(for name in "${names[@]}"; do reds_of "$name"; done | tr ' ' '\n' | sort -u | tr '\n' ' ')
	green "${all[@]}" || { echo "mutants: a test fails where nothing is planted" && tail -n 5 "$build/log" && exit 1; }
	tell "(nothing)" "-" $((SECONDS - began))
fi
for name in "${names[@]}"; do
	done_before "$name" && continue
	patch=$root/test/mutants/ledger-$name.patch
	read -ra reds < <(reds_of "$name")
	patch -s -p1 -d "$tree" <"$patch" || { echo "$name: does not apply" && wrong=1 && continue; }
	since=$SECONDS
	green "${reds[@]}"
	case $? in
	1) tell "$name" "$red" $((SECONDS - since)) ;;
	*) wrong=1 && echo "$name: NOT CAUGHT by ${reds[*]}" ;;
	esac
	patch -s -R -p1 -d "$tree" <"$patch"
done

echo
printf '%-44s %-16s %7s\n' mutant "caught by" after
caught=0 spent=0
for name in "${names[@]}"; do
	line=$(grep "^$name	" "$told") || { printf '%-44s %-16s\n' "$name" "NOBODY" && continue; }
	IFS=$'\t' read -r _ by seconds <<<"$line"
	printf '%-44s %-16s %5s s\n' "$name" "$by" "$seconds"
	caught=$((caught + 1)) spent=$((spent + seconds))
done
echo "$caught of ${#names[@]} mutants caught, in $spent s of building and testing"
exit $wrong
