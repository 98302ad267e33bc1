#!/usr/bin/env bash
# What the compiled libraries refer to: content-side code can't print, open, connect or use the common heap, because it doesn't name
# the functions. Argument: build directory.
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:-build}

# What code beside content must not name, and why. NAME: regular expression of symbols: why.
print_names='(f|s|sn|d|as|vf|vs|vsn|vd|vas|v|f?w|vf?w|sw|vsw)?printf|f?putw?s(_unlocked)?|f?putw?c(_unlocked)?|putw?char(_unlocked)?|putw|fwrite(_unlocked)?|fread|fopen(64)?|fopencookie|open_memstream|fdopen|freopen(64)?|perror|psignal|psiginfo|v?warnx?|v?errx?|error(_at_line)?|stdout|stderr|tmpfile(64)?|strfmon|backtrace_symbols_fd|malloc_info|malloc_stats'
print_why="a format string or a stream can carry content into text: report by event id and numbers (ticket/events.h)"
log_names='openlog|v?syslog|setlogmask|sd_journal_[a-z_]*|wall'
log_why="a log takes text: report by event id and numbers (ticket/events.h)"
file_names='open(64)?|openat(64)?|open_by_handle_at|creat(64)?|mk[do]?s?temps?(64)?|mkdtemp|tmpnam|tempnam|opendir|unlink(at)?|rename(at2?)?|link(at)?|symlink(at)?|mkfifo(at)?|mknod(at)?|truncate(64)?|f?setxattr|shm_open|sem_open|mq_open|dlopen|dlmopen'
file_why="content is never in a file, nor in the name of one"
descriptor_names='write|writev|p?writev?(64)?(v2)?|sendfile(64)?|splice|vmsplice|aio_write(64)?|lio_listio(64)?|tee|copy_file_range|memfd_create|ftruncate(64)?|fallocate(64)?|pipe2?|eventfd|dup[23]?|mmap(64)?|shmget|shmat|msgget|msgsnd'
descriptor_why="content leaves by recv() and sendmsg() on sockets that were handed over, and lies in the vault"
network_names='socket|socketpair|connect|bind|listen|getaddrinfo|gethostby[a-z_]*|res_n?(init|query|search|send)'
network_why="sockets are handed over, connected"
heap_names='malloc|calloc|realloc|reallocarray|strdup|strndup|posix_memalign|aligned_alloc|memalign|valloc|getline|getdelim'
heap_why="content lies in the vault, not in the heap"
run_names='exec[vlpe]+|fexecve|v?fork|posix_spawnp?|clone|system|popen|pthread_create|thrd_create'
run_why="nobody else gets this memory"
kernel_names='syscall|prctl|ptrace|process_vm_(read|write)v|ioctl|setrlimit(64)?|prlimit(64)?|setenv|putenv|getenv|secure_getenv|environ'
kernel_why="the lock-down is the sandbox's alone, and nothing else calls the kernel behind its back"
address_names='inet_nto[ap]|inet_ntoa_r|getnameinfo|getpeername'
address_why="an address has no text, and is asked for only when it is accepted"
openssl_names='BIO_(new_file|new_fp|new_fd|new_socket|new_connect|new_accept|s_file|s_fd|s_connect|s_accept|s_log|v?printf|v?snprintf|dump[a-z_]*|puts)|ERR_print_errors[a-z_]*|ERR_add_error_[a-z]*|SSL_CTX_set_keylog_callback|SSL_(CTX_)?set_msg_callback|SSL_trace|OSSL_trace_[a-z_]*|(PEM|i2d)_[A-Za-z0-9_]*_(fp|bio)|PEM_write_[a-zA-Z0-9_]*|[A-Z0-9]+_print(_ex)?(_fp)?|SSL_(CTX_)?(use_[a-zA-Z_]*file|load_verify_[a-z]+)|X509_LOOKUP_[a-z_]*|SSL_CTX_set_default_verify_[a-z]*'
openssl_why="OpenSSL opens no file and writes down neither keys nor what passes"

bad=0

# Each group with the archives that it holds for. Exceptions stand in tool/symbols_allowed.txt, by file, with a reason; one that nothing needs any more is an error too.
edge=src/edge/libedge.a dialect=src/dialect/libdialect.a core=src/core/libcore.a tls=src/core/libtls.a ticket=src/ticket/libticket.a
rules() {
	local group archives
	while read -r group archives; do
		local names=${group}_names why=${group}_why archive
		for archive in $archives; do printf '%s\t%s\t%s\n' "${!archive}" "${!names}" "${!why}"; done
	done <<-'TABLE'
		print       edge dialect core tls ticket
		log         edge dialect core tls ticket
		file        edge dialect core tls ticket
		descriptor  edge dialect core tls ticket
		network     edge dialect core tls ticket
		heap        edge dialect core tls
		run         edge dialect core tls ticket
		kernel      edge dialect core tls ticket
		address     edge dialect core tls
		openssl     edge dialect core tls ticket
	TABLE
}

# ARCHIVE MEMBER SYMBOL of all that our archives in an edge refer to; the names that FORTIFY_SOURCE gives are taken back to their own.
referred() {
	local archive
	for archive in "$edge" "$dialect" "$core" "$tls" "$ticket"; do
		[ -f "$build/$archive" ] || { printf 'symbols: %s is missing: ./dev build first\n' "$build/$archive" >&2 && continue; }
		nm -A -u "$build/$archive" 2>/dev/null | sed -nE 's/^[^ ]*[:\/]([^:\/ ]*)\.c\.o: *[Uwv] +([^@]*).*/\1 \2/p' |
			sed -E "s/ __(.*)_chk\$/ \1/; s/ __(open(at)?(64)?)_2\$/ \1/; s|^|$archive |"
	done | sort -u
}

found=$(awk -F'\t' '
	FILENAME == ARGV[1] { archive[++rules] = $1; names[rules] = "^(" $2 ")$"; why[rules] = $3; next }
	FILENAME == ARGV[2] { if ($0 !~ /^#/ && NF) { split($1, w, " "); for (i = 2; i in w; i++) allowed[w[1] " " w[i]] = 1; } next }
	{
		split($0, r, " ")
		n = split(r[1], path, "/"); file = path[n - 1] "/" r[2] ".c"
		if (++lines && file == "edge/edge.c") edge_seen = 1
		for (i = 1; i <= rules; i++)
			if (archive[i] == r[1] && r[3] ~ names[i]) {
				if ((file " " r[3]) in allowed) used[file " " r[3]] = 1
				else printf "symbols: src/%s names %s: %s\n", file, r[3], why[i]
			}
	}
	END {
		for (a in allowed) if (!(a in used)) printf "symbols: tool/symbols_allowed.txt allows %s, which nothing needs: take it out\n", a
		if (lines < 100 || !edge_seen) print "symbols: nm shows next to nothing of our archives: this check is blind"
	}' <(rules) tool/symbols_allowed.txt <(referred))
[ -z "$found" ] || { printf '%s\n' "$found" | sort -u && bad=1; }

# A 16-byte atomic through the library may take a lock, which a dead process would keep.
for object in $(find "$build" -name '*.a' -o -path "$build/lethe" -type f); do
	if nm "$object" 2>/dev/null | grep -qE '__atomic_[a-z_]*_16|__atomic_(load|store|exchange|compare_exchange)$'; then
		printf 'symbols: %s uses a 16-byte atomic of libatomic\n' "$object"
		bad=1
	fi
done

# An edge is this executable: what it maps is a list that is committed, tool/edge_libraries.txt.
if [ -x "$build/lethe" ]; then
	if ! diff <(grep -v '^#' tool/edge_libraries.txt | cut -f1 | sort) <(readelf -d "$build/lethe" | sed -nE 's/.*NEEDED.*\[(.*)\]/\1/p' | sort) >&2; then
		printf 'symbols: %s is not linked with the libraries of tool/edge_libraries.txt\n' "$build/lethe"
		bad=1
	fi
fi
[ $bad = 0 ] && echo "symbols: ok"
exit $bad
