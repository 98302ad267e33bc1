#!/usr/bin/env bash
# ./dev package: build/lethe_VERSION_ARCHITECTURE.deb, by Debian's own tools, from a copy of the sources: nothing is written beside them.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -nE "s/^ *version: '([^']+)'.*/\1/p" meson.build | head -n 1)
architecture=$(dpkg --print-architecture)
top=$PWD
work=build/package
tree=$work/lethe-$version
log=$work/build.log

copy_sources() {
	rm -rf "$work"
	mkdir -p "$tree"
	# With what is not committed yet, without what git ignores; a file that was deleted is in the index still.
	git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
		[ -e "$file" ] && printf '%s\0' "$file"
	done | tar --null -T - -cf - | tar -xf - -C "$tree"
	mv "$tree/packaging/debian" "$tree/debian"
}

# Debian wants a changelog of its own; ours is CHANGELOG.md, and the version stands in meson.build alone.
write_changelog() {
	local date
	date=$(date -R -d "@$SOURCE_DATE_EPOCH")
	cat >"$tree/debian/changelog" <<-TEXT
		lethe ($version) unstable; urgency=medium

		  * See /usr/share/doc/lethe/changelog.gz.

		 -- Lethe maintainers <maintainers@lethe.invalid>  $date
	TEXT
}

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
copy_sources
write_changelog
if ! (cd "$tree" && DEB_BUILD_OPTIONS="noautodbgsym parallel=${JOBS:-$(nproc)}" dpkg-buildpackage -b -us -uc) >"$log" 2>&1; then
	tail -n 40 "$log" >&2
	printf 'package: dpkg-buildpackage failed; all it said is in %s\n' "$log" >&2
	exit 1
fi
file=lethe_${version}_${architecture}.deb
mv "$work/$file" "build/$file"
rm -rf "$tree"
printf '%s\n' "$top/build/$file"
