#!/usr/bin/env bash
# What the compiled libraries refer to: content-side code can't print, open, connect or use the common heap, because it doesn't name
# the functions. Argument: build directory.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}

stdio='__?v?(f|s|sn|d|as|f?w|sw)?printf(_chk)?|f?puts|f?putc|putchar|fwrite|fread|fopen(64)?|fdopen|freopen(64)?|perror|v?syslog(_chk)?|stdout|stderr|tmpfile(64)?|popen|system'
files='open(64)?|openat(64)?|creat(64)?|mkstemp(64)?|opendir|unlink|rename'
network='socket|connect|bind|getaddrinfo|gethostby[a-z]*'
heap='malloc|calloc|realloc|reallocarray|strdup|strndup|posix_memalign|aligned_alloc|memalign'
run='exec[vlpe]+|fork|vfork|posix_spawnp?|clone'

bad=0
# undefined ARCHIVE MEMBERS(regex) NAMES(regex) WHY
undefined() {
	local archive=$build/$1 found
	[ -f "$archive" ] || return 0
	found=$(nm -A -u "$archive" 2>/dev/null | sed -E 's/^[^ ]*:([^:]*\.o): *[Uwv] +/\1 /; s/@.*//' |
		grep -E "^[^ ]*($2)[^ ]* " | grep -E " ($3)$" | sort -u)
	[ -z "$found" ] && return 0
	printf '%s\n' "$found" | sed "s|^|symbols: $1: $4: |"
	bad=1
}

# The same for all members but those named.
undefined_but() {
	local members
	members=$(ar t "$build/$1" 2>/dev/null | sed 's|.*/||; s/\.c\.o$//' | grep -vxE "$2" | paste -sd'|')
	[ -z "$members" ] || undefined "$1" "($members)\.c" "$3" "$4"
}

for lib in src/edge/libedge.a src/dialect/libdialect.a; do
	undefined "$lib" '' "$stdio|$files|$network|$run" "content-side code must not use"
done
undefined src/dialect/libdialect.a '' "$heap" "content lies in the vault, not in the heap"
# Built before the lockdown, and never with content: the process' own struct, the public list of models, the count of streams per account, that of connections per address.
undefined_but src/edge/libedge.a '(edge|models|share|visitor)' "$heap" "content lies in the vault, not in the heap"
undefined src/core/libcore.a 'address|forwarded|http1|json|proxy2|sse|text|vault_a|bytes' "$stdio|$files|$network|$heap|$run" "a parser must not use"
# Clients' addresses are for limits alone: nothing here can write one down, or ask for one at another time than when it accepts.
for lib in src/edge/libedge.a src/dialect/libdialect.a src/core/libcore.a src/core/libtls.a; do
	undefined "$lib" '' 'inet_nto[ap]|inet_ntoa_r|getnameinfo|getpeername' "an address has no text"
done
undefined src/core/libtls.a '' "$stdio|$files|$network|$heap|$run" "it holds content: memory is OpenSSL's, which is the vault's, and sockets are handed over"
undefined src/core/libcore.a '' 'popen|system|exec[vlpe]+|fork|syslog' "core must not use"
undefined src/ticket/libticket.a '' "$stdio|$network|$run" "the vocabulary of all processes must not use"

# A 16-byte atomic through the library may take a lock, which a dead process would keep.
for object in $(find "$build" -name '*.a' -o -path "$build/lethe" -type f); do
	if nm "$object" 2>/dev/null | grep -qE '__atomic_[a-z_]*_16|__atomic_(load|store|exchange|compare_exchange)$'; then
		printf 'symbols: %s uses a 16-byte atomic of libatomic\n' "$object"
		bad=1
	fi
done

# An edge is this executable: it must not map the libraries of the other roles. OpenSSL and nghttp2 are its own.
if [ -x "$build/lethe" ]; then
	mapped=$(readelf -d "$build/lethe" | sed -nE 's/.*NEEDED.*\[(.*)\]/\1/p' | grep -vxE 'lib(ssl|crypto)\.so\.3|libnghttp2\.so\.14|libc\.so\.6|libm\.so\.6|ld-linux.*|libpthread\.so\.0')
	if [ -n "$mapped" ]; then
		printf 'symbols: build/lethe is linked with a shared library: %s\n' "$mapped"
		bad=1
	fi
fi
[ $bad = 0 ] && echo "symbols: ok"
exit $bad
