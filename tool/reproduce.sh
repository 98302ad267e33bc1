#!/usr/bin/env bash
# ./dev reproduce: builds lethe twice, in folders of other names and depths, at another time of day, in another zone, language and order of files, without a
# cache; the two must be equal to the last bit. With --beside the first of the two is build/lethe as it is. With --paths only looks whether the build that is
# there names the folder it was made in, or a time.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

# Macros that say when, and paths of this machine in what was built.
paths() {
	local found
	if found=$(git grep -nE '\b__(DATE|TIME|TIMESTAMP)__\b' -- src); then
		printf 'reproduce: the time of the build would be in it: %s\n' "$found" >&2
		return 1
	fi
	if found=$(strings -a build/lethe | grep -F -m 3 -- "$root"); then
		printf 'reproduce: build/lethe names the folder it was built in: %s\n' "$found" >&2
		return 1
	fi
	echo "reproduce: ok"
}

copy_sources() { # folder
	mkdir -p "$1"
	git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
		[ -e "$file" ] && printf '%s\0' "$file"
	done | tar --null -T - -cf - | tar -xf - -C "$1"
}

build() { # folder, environment...
	local at=$1
	shift
	(cd "$at" && env CCACHE_DISABLE=1 "$@" bash -c 'meson setup build >setup.log 2>&1 || { cat setup.log >&2; exit 1; }
		ninja -C build --quiet -j "${JOBS:-$(nproc)}" src/proc/lethe')
}

if [ "${1:-}" = --paths ]; then
	paths
	exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
first=$work/a
second=$work/a-longer-name/and/deeper
copy_sources "$second"
find "$second" -type f -exec touch -d '2001-02-03 04:05:06' {} +
one=$first/build/src/proc/lethe
if [ "${1:-}" = --beside ]; then
	one=build/src/proc/lethe
else
	copy_sources "$first"
	build "$first" TZ=UTC LC_ALL=C
fi
build "$second" TZ=Pacific/Auckland LC_ALL=C.UTF-8 HOME=/nonexistent USER=somebody
two=$second/build/src/proc/lethe
if ! cmp -s "$one" "$two"; then
	printf 'reproduce: the two builds differ; sections that do:\n' >&2
	for section in $(readelf -SW "$one" | grep -oE '\] \.[a-z_.]+' | cut -c3-); do
		cmp -s <(objcopy -O binary --only-section="$section" "$one" /dev/stdout 2>/dev/null) \
			<(objcopy -O binary --only-section="$section" "$two" /dev/stdout 2>/dev/null) || printf '  %s\n' "$section" >&2
	done
	exit 1
fi
printf '%s  lethe, built twice: equal\n' "$(sha256sum <"$one" | cut -d' ' -f1)"
