#!/usr/bin/env bash
# What must not compile: each file of test/refused is refused with -DLEAK, for the reason that it says, and compiles without.
# The flags are those with which the build compiles an edge. Argument: build directory.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}

command=$(sed -n '/"command":.*src\/edge\/edge\.c/{s/.*"command": "//;s/",*$//;p;q}' "$build/compile_commands.json")
[ -n "$command" ] || { echo "refused: $build/compile_commands.json does not say how an edge is compiled: ./dev build first" && exit 1; }
root=$PWD flags=() compiler=
for word in $command; do
	case $word in
	-I../*) flags+=("-I$root/${word#-I../}") ;;
	-I*) flags+=("-I$root/$build/${word#-I}") ;;
	-D* | -W* | -std=* | -m* | -f[ns]*) flags+=("$word") ;;
	*cc | *clang*) compiler=$word ;;
	esac
done
[ "$compiler" = ccache ] && compiler=cc

bad=0 count=0
for file in test/refused/*.c; do
	count=$((count + 1))
	says=$(sed -nE 's/^\/\* says: (.*) \*\/$/\1/p' "$file")
	if ! words=$("$compiler" "${flags[@]}" -fsyntax-only "$file" 2>&1); then
		printf 'refused: %s does not compile without its leak either:\n%s\n' "$file" "$words"
		bad=1
	elif words=$("$compiler" "${flags[@]}" -fsyntax-only -DLEAK "$file" 2>&1); then
		printf 'refused: %s compiles: %s\n' "$file" "$(sed -n 's/^\/\* \(.*\) \*\/$/\1/p;q' "$file")"
		bad=1
	elif [ -z "$says" ] || ! grep -qE "error: .*($says)" <<<"$words"; then
		printf 'refused: %s is refused for another reason than "%s":\n%s\n' "$file" "$says" "$words"
		bad=1
	fi
done
[ $count -ge 5 ] || { echo "refused: there is nothing in test/refused" && bad=1; }
[ $bad = 0 ] && echo "refused: ok"
exit $bad
