#!/usr/bin/env bash
# Each header compiles alone, with both compilers when both are there.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}

flags="-std=gnu17 -D_GNU_SOURCE -mcx16 -Wall -Wextra -Wno-unused-parameter -Wno-unused-function -Wno-unused-const-variable -Werror -Isrc -I$build/src $(pkg-config --cflags libsodium jansson sqlite3 libpq)"
bad=0
for header in $(git ls-files --cached --others --exclude-standard 'src/*.h'); do
	room=$(dirname "$header")
	if ! printf '#include "%s"\n' "${header#src/}" |
		gcc $flags -I"$build/$room" -fsyntax-only -x c - 2>"/tmp/lethe-header.$$"; then
		printf 'headers: %s does not compile alone\n' "$header"
		head -n 5 "/tmp/lethe-header.$$"
		bad=1
	fi
done
rm -f "/tmp/lethe-header.$$"
[ $bad = 0 ] && echo "headers: ok"
exit $bad
