#!/usr/bin/env bash
# Everything that a compiler does not check: ./dev check.
set -uo pipefail
cd "$(dirname "$0")/.."
bad=0
for part in layers symbols refused headers generated mutants promises; do
	"tool/$part.sh" || bad=1
done
tool/reproduce.sh --paths || bad=1
tool/release.sh test || bad=1
lines=$(cat ARCHITECTURE.md 2>/dev/null | wc -l)
[ "$lines" -le 200 ] || { echo "ARCHITECTURE.md: $lines lines, at most 200" && bad=1; }
for file in README.md ARCHITECTURE.md STYLE.md SECURITY.md CHANGELOG.md LICENSE; do
	[ -s "$file" ] || { echo "$file is missing" && bad=1; }
done
exit $bad
