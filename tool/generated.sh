#!/usr/bin/env bash
# The reference and manual pages say what the tables in the code say; groff finds nothing to warn of. With --write they are written again.
set -uo pipefail
cd "$(dirname "$0")/.."
build=build bad=0

page() { # file, command...
	local file=$1
	shift
	if [ "$write" = 1 ]; then
		"$@" >"$file.new" && mv "$file.new" "$file"
	elif ! diff -u "$file" <("$@") >&2; then
		printf 'generated: %s is out of date; write it with: tool/generated.sh --write\n' "$file"
		bad=1
	fi
}

write=0
[ "${1:-}" = --write ] && write=1
page docs/reference/config.md "$build/lethe" config reference
page docs/reference/metrics.md "$build/lethe" metrics reference
page docs/reference/events.md "$build/lethe" events reference
page docs/reference/cli.md "$build/lethe" help --markdown
page docs/man/lethe.1 "$build/lethe" help --man
page docs/man/lethe.yaml.5 "$build/lethe" config reference --man
if command -v groff >/dev/null; then
	for man in docs/man/*; do
		words=$(groff -man -Tutf8 -ww -z "$man" 2>&1) && [ -z "$words" ] && continue
		printf 'generated: %s: %s\n' "$man" "$words"
		bad=1
	done
fi
[ $bad = 0 ] && echo "generated: ok"
exit $bad
