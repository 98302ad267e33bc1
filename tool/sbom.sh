#!/usr/bin/env bash
# ./dev sbom: SPDX 2.3 as JSON on standard output: lethe and every library that is linked into it or with it, by Debian's own names and versions, and
# the vocabularies of tokenizers that are within it (src/dialect/tokenizers). What only
# builds or tests it is not in there. test/e2e/evidence.test.ts checks it.
set -euo pipefail
cd "$(dirname "$0")/.."
list=tool/sbom_licences.txt

die() {
	printf 'sbom: %s\n' "$1" >&2
	exit 1
}

# "package version licence how" of each; one that the list does not have fails, so that none is forgotten.
libraries() {
	local file package version row
	{
		readelf -d build/lethe | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p' | while read -r file; do
			PATH=$PATH:/sbin ldconfig -p | sed -nE "s/^\s*$file .*=> (.*)/\1/p" | head -n 1
		done
		# What stands in the linker's map of the executable as an archive of the system's.
		ninja -C build -t commands src/proc/lethe | tail -n 1 | tr ' ' '\n' | grep -E '^/.*\.a$' || :
	} | while read -r file; do
		package=$(dpkg -S "$(readlink -f "$file")" 2>/dev/null | head -n 1 | cut -d: -f1)
		[ -n "$package" ] || package=$(dpkg -S "$file" 2>/dev/null | head -n 1 | cut -d: -f1)
		[ -n "$package" ] || die "$file belongs to no package"
		row=$(grep -E "^$package " "$list") || die "$package is not in $list: add it, with its licence"
		version=$(dpkg-query -W -f='${Version}' "$package")
		printf '%s %s %s\n' "$package" "$version" "${row#* }"
	done | sort -u
}

package_json() { # id, name, version, licence, purl, sha256
	printf '    {"SPDXID": "SPDXRef-%s", "name": "%s", "versionInfo": "%s", "downloadLocation": "NOASSERTION", "filesAnalyzed": false,\n' "$1" "$2" "$3"
	[ -z "${6:-}" ] || printf '     "checksums": [{"algorithm": "SHA256", "checksumValue": "%s"}],\n' "$6"
	printf '     "licenseConcluded": "%s", "licenseDeclared": "%s", "copyrightText": "NOASSERTION",\n' "$4" "$4"
	printf '     "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "%s"}]}' "$5"
}

write() {
	local version commit epoch hash all package of licence how release purl vocabularies
	version=$(sed -nE "s/^ *version: '([^']+)'.*/\1/p" meson.build | head -n 1)
	commit=$(git rev-parse HEAD)
	epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
	hash=$(sha256sum <build/lethe | cut -d' ' -f1)
	release=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-${ID:-linux}}")
	all=$(libraries)
	printf '{\n  "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": "lethe-%s",\n' "$version"
	printf '  "documentNamespace": "https://spdx.org/spdxdocs/lethe-%s-%s",\n' "$version" "$hash"
	printf '  "creationInfo": {"created": "%s", "creators": ["Tool: lethe-sbom-%s"], "comment": "commit %s"},\n' \
		"$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)" "$version" "$commit"
	printf '  "packages": [\n'
	package_json lethe lethe "$version" Apache-2.0 "pkg:generic/lethe@$version" "$hash"
	while read -r package of licence how; do
		printf ',\n'
		purl=${of//+/%2B}
		package_json "$package" "$package" "$of" "$licence" "pkg:deb/debian/$package@${purl//:/%3A}?distro=$release"
	done <<<"$all"
	vocabularies=$(sed -nE 's|.*"js-tiktoken": "([0-9.]+)".*|\1|p' test/package.json)
	printf ',\n'
	package_json js-tiktoken js-tiktoken "$vocabularies" MIT "pkg:npm/js-tiktoken@$vocabularies"
	printf '\n  ],\n  "relationships": [\n    {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-lethe"}'
	while read -r package of licence how; do
		printf ',\n    {"spdxElementId": "SPDXRef-lethe", "relationshipType": "%s", "relatedSpdxElement": "SPDXRef-%s"}' \
			"$([ "$how" = static ] && echo STATIC_LINK || echo DYNAMIC_LINK)" "$package"
	done <<<"$all"
	printf ',\n    {"spdxElementId": "SPDXRef-lethe", "relationshipType": "CONTAINS", "relatedSpdxElement": "SPDXRef-js-tiktoken"}'
	printf '\n  ]\n}\n'
}

write
