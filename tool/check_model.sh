#!/usr/bin/env bash
# The long forms of the ticket protocol's checks (docs/ticket-protocol.md, section 13): the whole model, a kill after every instruction,
# minutes of kills for real, and the proof that these can fail. About a quarter of an hour on two cores. Called by ./dev check model.
set -euo pipefail
cd "$(dirname "$0")/.."
tests=build/test/model
"$tests/ticket-model"
LETHE_EVERY=1 "$tests/every_instruction_test"
LETHE_SECONDS=${LETHE_SECONDS:-120} "$tests/for_real_test"
for cc in gcc clang; do
	for opt in -O0 -O2 -O3; do
		command -v "$cc" >/dev/null || continue
		echo "$cc $opt"
		CC=$cc OPT=$opt test/model/mutants.sh --sane
	done
done
test/model/mutants.sh
