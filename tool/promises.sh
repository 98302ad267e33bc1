#!/usr/bin/env bash
# SECURITY.md, "Promise by promise": each promise of the product has a row or stands among those that this version does not have, and each file, test, planted
# leak and command that a row names exists. Without an argument it first spoils names of its own, which it must find. Argument: another file to look at.
set -uo pipefail
cd "$(dirname "$0")/.."

# What stands in `...` in the last column is a planted leak, a folder or file of test, a unit test, a test of test/e2e, or a command.
exists() {
	local name=$1
	case $name in
	leak-* | test/mutants/leak-*) compgen -G "test/mutants/${name#test/mutants/}.patch" >/dev/null ;;
	'./dev '*) name=${name#./dev } && name=${name%% *} && grep -q "^\./dev $name\b" dev ;;
	'lethe '*) grep -q "\"${name#lethe }\"" src/proc/cli_commands.c ;;
	test/*) [ -e "$name" ] || [ -f "$name.test.ts" ] ;;
	*) [ -f "test/e2e/$name.test.ts" ] || compgen -G "src/*/${name#* }_test.c" >/dev/null || [ -f "test/loopback/${name}_test.c" ] ;;
	esac
}

# look FILE: says what is wrong with it
look() {
	local rows row target name bad=0 has n from to
	rows=$(sed -n '/^## Promise by promise/,/^## /{/^| /p}' "$1" | tail -n +2)
	[ "$(wc -l <<<"$rows")" -ge 10 ] || { echo "promises: $1 has no table of them" && return 1; }
	while IFS= read -r row; do
		[ "$(tr -cd '|' <<<"$row" | wc -c)" = 6 ] || { echo "promises: no row of five cells: $row" && bad=1; }
		while IFS= read -r target; do
			[ -e "$target" ] || { echo "promises: there is no $target" && bad=1; }
		done < <(grep -oE '\]\([^)]+\)' <<<"$row" | sed -E 's/^\]\(|\)$//g')
		while IFS= read -r name; do
			exists "$name" || { echo "promises: there is no \`$name\`" && bad=1; }
		done < <(cut -d'|' -f6 <<<"$row" | grep -oE '`[^`]+`' | tr -d '`')
		[ -n "$(cut -d'|' -f6 <<<"$row" | grep -E '`|\]\(')" ] || { echo "promises: nothing would notice: $row" && bad=1; }
	done <<<"$rows"
	# P1 to P16, and O2: in a row, or in the sentence about what this version does not have ("P5 to P7, P9").
	has=" $(grep -oE '^\| [PO][0-9]+' <<<"$rows" | tr -d '| ' | tr '\n' ' ') "
	while read -r from to; do
		for ((n = ${from#P}; n <= ${to#P}; n++)); do has+="P$n "; done
	done < <(grep -A2 '^The numbers are those of the promises' "$1" | grep -oE 'P[0-9]+( to P[0-9]+)?' | sed -E 's/ to / /; s/^(P[0-9]+)$/\1 \1/')
	for n in P{1..16} O2; do
		[[ $has == *" $n "* ]] || { echo "promises: nothing is said of $n" && bad=1; }
	done
	return $bad
}

finds() { # what, sed expression
	sed -E "$2" SECURITY.md >"$spoilt"
	! cmp -s SECURITY.md "$spoilt" || { echo "promises: $1 can't be spoilt: look at the table" && exit 1; }
	! look "$spoilt" >/dev/null || { echo "promises: $1 is not found" && exit 1; }
}

if [ $# -gt 0 ]; then
	look "$1"
	exit
fi
spoilt=$(mktemp SECURITY.XXXXXX) # beside it, where its links lead somewhere
trap 'rm -f "$spoilt"' EXIT
look SECURITY.md || exit 1
finds "a file that is not there" 's|\(src/core/vault\.h\)|(src/core/vaults.h)|'
finds "a leak that nobody plants" 's/`leak-stack-copy`/`leak-stack-copies`/'
finds "a unit test that is not there" 's/`profiles_sweep` \(every/`profiles_swept` (every/'
finds "an end-to-end test that is not there" 's|`test/e2e/signer`|`test/e2e/signers`|'
finds "a command that is not there" 's|`\./dev reproduce`, `|`./dev produce`, `|'
finds "a promise without a row" '/^\| P15 /s/P15/P14/'
echo "promises: ok"
