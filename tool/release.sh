#!/usr/bin/env bash
# Evidence of a release: hashes of its files, signed, in a log that only grows (a Merkle tree by RFC 6962). What checks it needs openssl and a shell.
#
#   ./dev release --key ED25519.pem [--log FILE] [--out FOLDER] [FILE...]   files: the program, the package and the SBOM in build/ when not named
#   ./dev release verify --pub ED25519.pub FOLDER                          sums, signatures and the proof, without the log
#   ./dev release audit --pub ED25519.pub --log FILE [--head OLD]...       the log is the one of its head, and grew out of each older head
#   ./dev release test                                                     the tree's vectors, and that each changed bit is found
#
# A key: openssl genpkey -algorithm ed25519 -out key.pem; openssl pkey -in key.pem -pubout -out key.pub
#
# A line of the log is a leaf: version, commit, SHA-256 of SHA256SUMS. Beside the log lies its signed head (FILE.head, FILE.head.sig): origin, size, root.
set -euo pipefail
cd "$(dirname "$0")/.."

die() {
	printf 'release: %s\n' "$1" >&2
	exit 1
}

# ---- the tree: hashes are hexadecimal, leaves an array ----

sha256() { openssl dgst -sha256 -r | cut -d' ' -f1; }
bytes() { printf '%b' "$(sed 's/../\\x&/g' <<<"$1")"; }
leaf() { { printf '\0' && cat; } | sha256; }
node() { bytes "01$1$2" | sha256; }

# The largest power of two below n.
split() {
	local k=1
	while [ $((k * 2)) -lt "$1" ]; do k=$((k * 2)); done
	echo $k
}

# root HASH...: RFC 6962 2.1
root() {
	local n=$# k
	case $n in
	0) printf '' | sha256 ;;
	1) echo "$1" ;;
	*)
		k=$(split "$n")
		node "$(root "${@:1:k}")" "$(root "${@:k+1}")"
		;;
	esac
}

# path INDEX HASH...: the audit path of a leaf, RFC 6962 2.1.1, from the leaf up
path() {
	local m=$1 n k
	shift
	n=$#
	[ "$n" -gt 1 ] || return 0
	k=$(split "$n")
	if [ "$m" -lt "$k" ]; then
		path "$m" "${@:1:k}"
		root "${@:k+1}"
	else
		path $((m - k)) "${@:k+1}"
		root "${@:1:k}"
	fi
}

# climb LEAF INDEX SIZE HASH...: the root that a path leads to, RFC 9162 2.1.3.2; nothing when it is too long or too short
climb() {
	local hash=$1 at=$2 last=$(($3 - 1)) step
	[ "$at" -le "$last" ] || return 0
	shift 3
	for step in "$@"; do
		[ "$last" -gt 0 ] || return 0
		if [ $((at & 1)) = 1 ] || [ "$at" = "$last" ]; then
			hash=$(node "$step" "$hash")
			while [ $((at & 1)) = 0 ] && [ "$at" -gt 0 ]; do at=$((at >> 1)) last=$((last >> 1)); done
		else
			hash=$(node "$hash" "$step")
		fi
		at=$((at >> 1)) last=$((last >> 1))
	done
	[ "$last" = 0 ] && echo "$hash"
}

leaves() { # file, how many (all)
	local line n=0
	while IFS= read -r line && { [ -z "${2:-}" ] || [ "$n" -lt "$2" ]; }; do
		printf '%s' "$line" | leaf
		n=$((n + 1))
	done <"$1"
}

# ---- signatures ----

sign() { openssl pkeyutl -sign -rawin -inkey "$1" -in "$2" | base64 -w0 >"$2.sig"; }
signed() { # public key, file
	local raw status=0
	raw=$(mktemp)
	base64 -d <"$2.sig" >"$raw" 2>/dev/null &&
		openssl pkeyutl -verify -rawin -pubin -inkey "$1" -in "$2" -sigfile "$raw" >/dev/null 2>&1 || status=1
	rm -f "$raw"
	return $status
}

# ---- verbs ----

write_head() { # log, out, leaves...
	local out=$2
	shift 2
	printf 'lethe releases\n%d\n%s\n' "$#" "$(root "$@")" >"$out"
}

make() {
	local key="" log=releases.log out=build/release version commit line index
	local -a files=() all=()
	while [ $# -gt 0 ]; do
		case $1 in
		--key) key=${2:?--key wants a file} && shift 2 ;;
		--log) log=${2:?--log wants a file} && shift 2 ;;
		--out) out=${2:?--out wants a folder} && shift 2 ;;
		-*) die "there is no option $1; see the head of tool/release.sh" ;;
		*) files+=("$1") && shift ;;
		esac
	done
	[ -r "$key" ] || die "--key names the file of the signing key: openssl genpkey -algorithm ed25519 -out key.pem"
	if [ ${#files[@]} -eq 0 ]; then
		tool/sbom.sh >build/lethe.spdx.json
		for line in build/lethe build/lethe_*.deb build/lethe.spdx.json; do [ -f "$line" ] && files+=("$line"); done
	fi
	for line in "${files[@]}"; do
		! grep -qaF 'built without lockdown, secret memory and wiping' "$line" || die "$line is a build for measuring (meson option bare): it keeps nothing back"
	done
	[ ${#files[@]} -gt 0 ] || die "nothing to release: ./dev build first"
	version=$(sed -nE "s/^ *version: '([^']+)'.*/\1/p" meson.build | head -n 1)
	commit=$(git rev-parse HEAD)
	rm -rf "$out"
	mkdir -p "$out"
	cp -- "${files[@]}" "$out/"
	(cd "$out" && sha256sum -- * >../release.sums) && mv "$out/../release.sums" "$out/SHA256SUMS"
	line="$version $commit $(sha256 <"$out/SHA256SUMS")"
	! grep -qxF -- "$line" "$log" 2>/dev/null || die "this very release is in $log already"
	printf '%s\n' "$line" >>"$log"
	mapfile -t all < <(leaves "$log")
	index=$((${#all[@]} - 1))
	write_head "$log" "$out/head" "${all[@]}"
	printf '%s' "$line" >"$out/entry"
	{ printf '%d\n' "$index" && path "$index" "${all[@]}"; } >"$out/proof"
	sign "$key" "$out/SHA256SUMS"
	sign "$key" "$out/head"
	cp "$out/head" "$log.head"
	cp "$out/head.sig" "$log.head.sig"
	printf 'release: %s, entry %d of %s; keep the log and its head with what is published\n' "$out" "$index" "$log"
}

verify() {
	local pub="" out="" index size want got
	local -a steps
	while [ $# -gt 0 ]; do
		case $1 in
		--pub) pub=${2:?--pub wants a file} && shift 2 ;;
		*) out=$1 && shift ;;
		esac
	done
	[ -r "$pub" ] && [ -d "$out" ] || die "verify wants --pub FILE and the release's folder"
	signed "$pub" "$out/SHA256SUMS" || die "SHA256SUMS is not signed by that key"
	(cd "$out" && sha256sum --quiet --strict -c SHA256SUMS >&2) || die "a file is not the one that was released"
	signed "$pub" "$out/head" || die "the log's head is not signed by that key"
	{ read -r _ && read -r size && read -r want; } <"$out/head"
	[[ $size =~ ^[0-9]{1,9}$ && $want =~ ^[0-9a-f]{64}$ ]] || die "the log's head can't be read"
	[ "$(cut -d' ' -f3 <"$out/entry")" = "$(sha256 <"$out/SHA256SUMS")" ] || die "the log's entry is of another release"
	mapfile -t steps <"$out/proof"
	index=${steps[0]:-}
	[[ $index =~ ^[0-9]{1,9}$ && ${#steps[@]} -le 65 ]] || die "the proof can't be read"
	got=$(climb "$(leaf <"$out/entry")" "$index" "$size" "${steps[@]:1}")
	[ "$got" = "$want" ] || die "the release is not in the log of that head"
	printf 'release: ok, entry %d of %d\n' "$index" "$size"
}

# Does the log begin with what that head says? RFC 6962's consistency, from the whole log.
holds_head() { # public key, log, head
	local size want
	local -a part
	signed "$1" "$3" || die "$3 is not signed by that key"
	{ read -r _ && read -r size && read -r want; } <"$3"
	mapfile -t part < <(leaves "$2" "$size")
	[ "${#part[@]}" = "$size" ] || die "the log is shorter than $3 says: $size entries"
	[ "$(root "${part[@]}")" = "$want" ] || die "the log is not the one of $3: its first $size entries were others"
}

audit() {
	local pub="" log=releases.log head
	local -a heads=()
	while [ $# -gt 0 ]; do
		case $1 in
		--pub) pub=${2:?--pub wants a file} && shift 2 ;;
		--log) log=${2:?--log wants a file} && shift 2 ;;
		--head) heads+=("${2:?--head wants a file}") && shift 2 ;;
		*) die "audit knows --pub, --log and --head, not $1" ;;
		esac
	done
	[ -r "$pub" ] && [ -r "$log" ] || die "audit wants --pub FILE and --log FILE"
	for head in "$log.head" "${heads[@]}"; do holds_head "$pub" "$log" "$head"; done
	[ "$(sed -n 2p "$log.head")" = "$(wc -l <"$log")" ] || die "the log has entries that its head does not know"
	echo "release: ok, $(wc -l <"$log") entries"
}

# ---- its test ----

# The vectors of RFC 6962's reference implementation: eight leaves, and the roots of one, three, seven and eight.
vectors() {
	local -a inputs=("" 00 10 2021 3031 40414243 5051525354555657 606162636465666768696a6b6c6d6e6f) all=()
	local input i n
	for input in "${inputs[@]}"; do all+=("$(bytes "$input" | leaf)"); done
	[ "$(root "${all[@]:0:1}")" = 6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d ] || die "vector: one leaf"
	[ "$(root "${all[@]:0:3}")" = aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77 ] || die "vector: three leaves"
	[ "$(root "${all[@]:0:7}")" = ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c ] || die "vector: seven leaves"
	[ "$(root "${all[@]}")" = 5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328 ] || die "vector: eight leaves"
	for n in 1 3 6 8; do
		for ((i = 0; i < n; i++)); do
			mapfile -t steps < <(path $i "${all[@]:0:n}")
			[ "$(climb "${all[i]}" $i $n "${steps[@]}")" = "$(root "${all[@]:0:n}")" ] || die "proof of leaf $i of $n"
			[ "$(climb "${all[i]}" $i $n "${steps[@]}" "${all[0]}" || :)" != "$(root "${all[@]:0:n}")" ] || die "a proof that is too long holds"
		done
	done
}

refuses() { # what, command...
	local what=$1
	shift
	! ("$@") >/dev/null 2>&1 || die "test: $what passes"
}

spoil() { printf '%s' "$(sed '$ s/.$/X/' "$1")" >"$1.new" && mv "$1.new" "$1"; }

try_all() {
	local at=$1 i
	openssl genpkey -algorithm ed25519 -out "$at/key"
	openssl pkey -in "$at/key" -pubout -out "$at/pub"
	openssl genpkey -algorithm ed25519 | openssl pkey -pubout -out "$at/other"
	for i in 1 2 3; do
		printf 'file %d' $i >"$at/file"
		make --key "$at/key" --log "$at/log" --out "$at/out$i" "$at/file" >/dev/null
		verify --pub "$at/pub" "$at/out$i" >/dev/null
	done
	audit --pub "$at/pub" --log "$at/log" --head "$at/out1/head" --head "$at/out2/head" >/dev/null
	refuses "another key" verify --pub "$at/other" "$at/out3"
	for i in file SHA256SUMS SHA256SUMS.sig head head.sig entry proof; do
		cp -r "$at/out2" "$at/spoilt"
		spoil "$at/spoilt/$i"
		refuses "a changed $i" verify --pub "$at/pub" "$at/spoilt"
		rm -r "$at/spoilt"
	done
	cp "$at/log" "$at/kept"
	sed -i 1d "$at/log" && refuses "a log without its first entry" audit --pub "$at/pub" --log "$at/log"
	sed '1s/./X/' "$at/kept" >"$at/log" && refuses "a log whose first entry was changed" audit --pub "$at/pub" --log "$at/log" --head "$at/out1/head"
	head -n 2 "$at/kept" >"$at/log" && refuses "a log that was cut" audit --pub "$at/pub" --log "$at/log" --head "$at/out1/head"
	refuses "the same release twice" make --key "$at/key" --log "$at/kept" --out "$at/again" "$at/file"
}

self_test() {
	local at
	at=$(mktemp -d)
	vectors
	try_all "$at"
	rm -rf "$at"
	echo "release: ok"
}

case ${1:-} in
verify | audit) "$@" ;;
test) self_test ;;
*) make "$@" ;;
esac
