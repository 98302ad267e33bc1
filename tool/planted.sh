#!/usr/bin/env bash
# Mistakes of test/mutants planted in a copy of the tree, one after another: each must be caught. tool/ledger_mutants.sh and tool/prove_mutants.sh source it.
# They set root and folder, and define `catch [NAME]`, which tries what is planted ($tree, built in $build; without NAME nothing is) and sets `by`: who caught it, empty when nobody
# did, and then `why` may say more.
tree=$folder/tree build=$folder/tree/build told=$folder/told
names=() resume=

# planted_words KIND WHICH [--resume] [NAME...]: sets names and resume. Without a name it is all of test/mutants/KIND-* with a line that matches WHICH.
planted_words() {
	local which=$2 patch name
	patches=$root/test/mutants/$1
	shift 2
	while [[ ${1:-} == --* ]]; do
		[ "$1" = --resume ] || { echo "mutants: --resume or names, not $1" >&2 && exit 2; }
		resume=1
		shift
	done
	names=("$@")
	for name in "${names[@]}"; do
		[ -f "$patches-$name.patch" ] || { echo "mutants: there is no ${patches#"$root"/}-$name.patch" >&2 && exit 2; }
	done
	[ $# -gt 0 ] && return
	for patch in "$patches"-*.patch; do
		grep -q "$which" "$patch" || continue
		name=${patch#"$patches"-}
		names+=("${name%.patch}")
	done
}

# Files that are as they were keep their time: only what differs is built again. What a run that was stopped had planted is gone.
copy_tree() (
	cd "$root" || exit
	mkdir -p "$tree.new" "$tree"
	git ls-files -z --cached --others --exclude-standard | grep -zv '^test/corpus/' | xargs -0 cp --parents -t "$tree.new" 2>/dev/null
	cp --parents -r test/corpus "$tree.new" 2>/dev/null
	(cd "$tree" && find . -path ./build -prune -o -type f -print) | while read -r file; do [ -f "$tree.new/$file" ] || rm -f "$tree/$file"; done
	(cd "$tree.new" && find . -type f) | while read -r file; do
		cmp -s "$tree.new/$file" "$tree/$file" && continue
		mkdir -p "$tree/${file%/*}" && cp "$tree.new/$file" "$tree/$file"
	done
	rm -rf "$tree.new"
)

# Of all that the results depend on but the patches, and the words that the caller adds.
sum_of_tree() {
	(cd "$tree" && find src sql test/simulation test/refused tool meson* -type f -print0 | sort -z | xargs -0 sha256sum && echo "$*") | sha256sum | cut -c1-16
}

# What was told of a mutant holds for its patch as it was: name, sum, seconds, who caught it.
row_of() {
	grep -m 1 "^$1	$2	" "$told"
}

sum_of() {
	sha256sum <"$patches-$1.patch" | cut -c1-16
}

# try NAME SUM PLACE [what catch takes]
try() {
	local since=$SECONDS
	printf '%8s  %-32s' "$3" "$1"
	by= why=
	catch "${@:4}"
	if [ $# = 3 ]; then
		[ -z "$by$why" ] || { printf '\nmutants: something is caught where nothing is planted: %s\n' "$by$why" && exit 1; }
		by="-"
	fi
	[ -z "$by" ] || printf '%s\t%s\t%s\t%s\n' "$1" "$2" $((SECONDS - since)) "$by" >>"$told"
	printf '%5s s  %s\n' $((SECONDS - since)) "${by:-NOT CAUGHT${why:+: $why}}"
}

plant() {
	local patch=$patches-$1.patch
	patch -s -p1 --dry-run -d "$tree" <"$patch" || { echo "$1: does not apply" && return; }
	patch -s -p1 -d "$tree" <"$patch"
	try "$1" "$(sum_of "$1")" "$2" "$1"
	patch -s -R -p1 -d "$tree" <"$patch"
}

planted_table() {
	local name row seconds by caught=0 spent=0
	printf '\n%-32s %7s  %s\n' mutant after "caught by"
	for name in "${names[@]}"; do
		row=$(row_of "$name" "$(sum_of "$name")") || { printf '%-32s %7s  %s\n' "$name" "" NOBODY && continue; }
		IFS=$'\t' read -r _ _ seconds by <<<"$row"
		printf '%-32s %5s s  %s\n' "$name" "$seconds" "$by"
		caught=$((caught + 1)) spent=$((spent + seconds))
	done
	echo "$caught of ${#names[@]} mutants caught, in $spent s of building and testing"
	[ "$caught" = ${#names[@]} ]
}

# planted_run CLEAN [WORD...]: all of names. CLEAN: which tests must find nothing where nothing is planted; WORD: what else the results depend on.
planted_run() {
	local clean=$1 at=0 name key
	shift
	copy_tree
	key=$(sum_of_tree "$@")
	[ -n "$resume" ] && [ "$(head -n 1 "$told" 2>/dev/null)" = "$key" ] || echo "$key" >"$told"
	[ -f "$build/build.ninja" ] || meson setup "$build" "$tree" >"$folder/setup.log" 2>&1 || { cat "$folder/setup.log" >&2 && exit 1; }
	row_of "(nothing)" "$clean" >/dev/null || try "(nothing)" "$clean" ""
	for name in "${names[@]}"; do
		at=$((at + 1))
		row_of "$name" "$(sum_of "$name")" >/dev/null || plant "$name" "$at of ${#names[@]}"
	done
	planted_table
}
