#!/usr/bin/env bash
# A planted bug that no longer fits the code proves nothing: each patch of test/mutants must apply to the tree as it is.
set -uo pipefail
cd "$(dirname "$0")/.."
bad=0
for patch in test/mutants/*.patch; do
	git apply --check "$patch" || { echo "$patch: does not apply, the code around it has changed" && bad=1; }
done
[ $bad = 0 ] && echo "mutants: ok"
exit $bad
