#!/usr/bin/env bash
# Each test/mutants/ticket-*.patch is a mistake in the ticket protocol's implementation; its "Red:" line names the tests that must fail
# with it. Proves that these tests can fail. Needs nothing but a compiler and cmocka; three minutes.
#   mutants.sh [PATCH...]   these, or all
#   mutants.sh --sane       only the tree as it is, which must be green; CC and OPT choose compiler and optimisation
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."

cc=${CC:-gcc}
flags=(-std=gnu17 -D_GNU_SOURCE -mcx16 -fno-strict-aliasing "${OPT:--O2}" -g -w -Wl,-z,now)
if [ "${1:-}" = --sane ]; then
	set --
elif [ $# -eq 0 ]; then
	set -- test/mutants/ticket-*.patch
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
sources=(board.c board_check.c hand_in.c ledger_side.c ledger_ticket.c move.c recover.c rows.c ticket.c ticket_id.c)

build() { # tree, test, further sources...
	local tree=$1 test=$2
	shift 2
	local hook=()
	[ "$test" = for_real_test ] && hook=(-DTICKET_HOOK)
	"$cc" "${flags[@]}" "${hook[@]}" -I"$tree/src" -I"$tree/test" -o "$tree/$test" "$tree/test/model/$test.c" "$tree/test/model/world.c" \
		"${@/#/$tree/test/model/}" "${sources[@]/#/$tree/src/ticket/}" -lcmocka
}

wrong=0
for p in none "$@"; do
	tree=$dir/$(basename "$p" .patch)
	mkdir -p "$tree/src" "$tree/test"
	cp -r src/core src/ticket "$tree/src/"
	cp -r test/model "$tree/test/"
	red=
	if [ "$p" != none ]; then
		patch -s -p1 -d "$tree" <"$p" || { echo "$p does not apply"; wrong=1; continue; }
		red=$(sed -n 's/^Red: //p' "$p")
	fi
	build "$tree" every_instruction_test step.c && build "$tree" for_real_test || { wrong=1; continue; }
	for test in ${red:-every_instruction_test for_real_test}; do
		LETHE_SECONDS=${LETHE_SECONDS:-4} timeout -k 1 300 "$tree/$test" >"$tree/$test.log" 2>&1 && got=green || got=red
		[ "$p" = none ] && want=green || want=red
		printf '%-28s %-24s %s\n' "$(basename "$p" .patch)" "$test" "$got"
		[ "$got" = "$want" ] || { wrong=1; tail -n 5 "$tree/$test.log"; }
	done
	rm -rf "$tree"
done
exit "$wrong"
