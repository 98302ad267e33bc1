#include "proc/profiles.h"

#include "core/sanitized.h"

#include <assert.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

/* clang-format off */
#define CALL(name) {SYS_##name}
#define CALL_IF(name, ...) {SYS_##name, .args = {__VA_ARGS__}}
#define REFUSED(name) {SYS_##name, .answer = SANDBOX_REFUSE}
#define IS(index, value) {index, SANDBOX_INT, (uint32_t)(value)}
#define IS_BUT_FOR(index, ignored, value) {index, SANDBOX_INT & ~(uint64_t)(ignored), (value)}
#define WITHOUT(index, bits) {index, (bits), 0}
/* clang-format on */

/*
 * A TCP socket whose connection has ended could be connected anew by sending with MSG_FASTOPEN, to
 * anywhere, and kernels exist whose Landlock does not see it. MSG_ZEROCOPY would leave content in
 * pages that the kernel reads later, when they may have been wiped.
 */
#define SENDING \
	CALL_IF(sendto, WITHOUT(3, MSG_FASTOPEN | MSG_ZEROCOPY)), \
		CALL_IF(sendmsg, WITHOUT(2, MSG_FASTOPEN | MSG_ZEROCOPY))

#define STREAMS \
	SENDING, CALL(recvfrom), CALL(recvmsg), CALL(read), CALL(write), CALL(readv), CALL(writev), \
		CALL(close), CALL(shutdown)

/* epoll_create1 is missing: the loop exists before the lock-down. */
#define WAITING CALL(epoll_wait), CALL(epoll_pwait), CALL(epoll_pwait2), CALL(epoll_ctl)

/*
 * No executable memory. No mremap: a shared mapping that grows has what lies behind it, another
 * edge's counters; realloc() copies instead. Advice: what the vault and malloc give. FUTEX: wait and
 * wake, private or shared, nothing with an owner.
 */
#define FUTEX_IF(op) CALL_IF(futex, IS_BUT_FOR(1, FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME, op))
#define ADVICE(advice) CALL_IF(madvise, IS(2, advice))
#define MEMORY \
	CALL_IF(mmap, WITHOUT(2, PROT_EXEC)), CALL(munmap), REFUSED(mremap), CALL(brk), \
		ADVICE(MADV_DONTNEED), ADVICE(MADV_FREE), ADVICE(MADV_DONTDUMP), ADVICE(MADV_DONTFORK), \
		ADVICE(MADV_WIPEONFORK), FUTEX_IF(FUTEX_WAIT), FUTEX_IF(FUTEX_WAKE), \
		FUTEX_IF(FUTEX_WAIT_BITSET), FUTEX_IF(FUTEX_WAKE_BITSET)

/*
 * The clock's calls count where the machine's clock can't be read without the kernel. tgkill:
 * abort() and assert.
 */
#define LIFE \
	CALL(clock_gettime), CALL(gettimeofday), CALL(time), CALL(getrandom), CALL(getpid), \
		CALL(gettid), CALL(rt_sigreturn), CALL(rt_sigprocmask), CALL(restart_syscall), \
		CALL(exit_group), CALL_IF(tgkill, {0, SANDBOX_INT, SANDBOX_SELF})

/* What libraries try and can do without. Without a rule the process would end. */
#define NO_LOOK \
	REFUSED(access), REFUSED(faccessat), REFUSED(faccessat2), REFUSED(readlink), \
		REFUSED(readlinkat), REFUSED(getdents64)

#define OPTION(level, name) CALL_IF(setsockopt, IS(1, level), IS(2, name))
#define OPTIONS_OF_STREAMS \
	OPTION(IPPROTO_TCP, TCP_NODELAY), OPTION(IPPROTO_TCP, TCP_QUICKACK), \
		OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT), OPTION(SOL_SOCKET, SO_LINGER), \
		OPTION(SOL_SOCKET, SO_KEEPALIVE)

/*
 * AddressSanitizer's own needs, for builds that are never shipped. Leaks are looked for by a second
 * process, which no profile allows: a locked process of such a build ends by _exit().
 */
#if SANITIZED
#define SANITIZER \
	, CALL(madvise), CALL(mprotect), CALL(sched_yield), CALL(sigaltstack), CALL(rt_sigaction), \
		CALL(getrlimit), CALL(prlimit64), CALL(sched_getaffinity), CALL(getppid), CALL(pipe), \
		CALL(pipe2), CALL(uname), REFUSED(open), REFUSED(openat), REFUSED(readlink), \
		REFUSED(ioctl), REFUSED(lseek), REFUSED(newfstatat), REFUSED(fstat)
#else
#define SANITIZER
#endif

/*
 * Sockets come accepted or handed over, connected. Nothing here makes one, nor a file, nor a
 * process.
 */
static const struct sandbox_rule edge_rules[] = {
	STREAMS,
	OPTIONS_OF_STREAMS,
	OPTION(SOL_SOCKET, SO_RCVBUF), /* of those who are refused (linger.h) */
	CALL_IF(getsockopt, IS(1, SOL_SOCKET), IS(2, SO_ERROR)),
	CALL_IF(fcntl, IS(1, F_GETFL)),
	CALL(accept4),
	WAITING,
	CALL_IF(timerfd_settime, IS(1, TFD_TIMER_ABSTIME)), /* the loop's alarm; timerfd_create is missing: it exists before the lock-down */
	MEMORY,
	CALL_IF(mlock2, IS(2, MLOCK_ONFAULT)), /* segments of a locked vault */
	LIFE SANITIZER,
};

#define WRITES (O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | __O_TMPFILE)
#define READ_ONLY(name, flags) CALL_IF(name, WITHOUT(flags, WRITES)), REFUSED(name)
#define SOCKET(family, type) \
	CALL_IF(socket, IS(0, family), IS_BUT_FOR(1, SOCK_NONBLOCK | SOCK_CLOEXEC, type))

/*
 * Names and connections. The files that it may read are Landlock's list; the filter says that it
 * reads only.
 */
static const struct sandbox_rule dialer_rules[] = {
	STREAMS,
	SOCKET(AF_INET, SOCK_STREAM),
	SOCKET(AF_INET6, SOCK_STREAM),
	SOCKET(AF_INET, SOCK_DGRAM),
	SOCKET(AF_INET6, SOCK_DGRAM),
	SOCKET(AF_UNIX, SOCK_STREAM),
	REFUSED(socket),
	CALL(connect),
	CALL(bind), /* source_addresses */
	CALL(getsockname),
	CALL(getpeername),
	CALL(getsockopt),
	OPTIONS_OF_STREAMS,
	OPTION(SOL_SOCKET, SO_SNDBUF),
	OPTION(SOL_SOCKET, SO_RCVBUF),
	OPTION(SOL_SOCKET, SO_REUSEADDR),
	OPTION(IPPROTO_TCP, TCP_KEEPIDLE),
	OPTION(IPPROTO_TCP, TCP_KEEPINTVL),
	OPTION(IPPROTO_TCP, TCP_KEEPCNT),
	OPTION(IPPROTO_TCP, TCP_SYNCNT),
	OPTION(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
	OPTION(IPPROTO_IPV6, IPV6_V6ONLY),
	REFUSED(setsockopt),
	CALL_IF(fcntl, IS(1, F_GETFL)),
	CALL_IF(fcntl, IS(1, F_SETFL)),
	CALL_IF(fcntl, IS(1, F_GETFD)),
	CALL_IF(fcntl, IS(1, F_SETFD)),
	CALL_IF(ioctl, IS(1, FIONBIO)),
	REFUSED(ioctl),
	WAITING,
	CALL(epoll_create1), /* the resolver's sockets, when it is set up anew */
	CALL(poll),
	CALL(ppoll),
	READ_ONLY(open, 1),
	READ_ONLY(openat, 2),
	CALL(lseek),
	CALL(pread64),
	CALL(stat),
	CALL(lstat),
	CALL(fstat),
	CALL(newfstatat),
	REFUSED(statx),
	CALL(uname),
	MEMORY,
	LIFE,
	NO_LOOK SANITIZER,
};

/*
 * SQLite in the data directory, which is all that Landlock leaves; the control socket and the
 * arrows to the others; the board.
 */
static const struct sandbox_rule ledger_rules[] = {
	CALL(pread64),
	CALL(pwrite64),
	CALL(fdatasync),
	CALL(fsync),
	STREAMS,
	CALL(open),
	CALL(openat),
	CALL(lseek),
	CALL(preadv),
	CALL(pwritev),
	CALL(ftruncate),
	CALL(fallocate),
	CALL(stat),
	CALL(lstat),
	CALL(fstat),
	CALL(newfstatat),
	CALL(statx),
	CALL(statfs),
	CALL(fstatfs),
	CALL(access),
	CALL(faccessat),
	CALL(faccessat2),
	CALL(readlink),
	CALL(readlinkat),
	CALL(getcwd),
	CALL(getdents64),
	CALL(unlink),
	CALL(unlinkat),
	CALL(rename),
	CALL(renameat),
	CALL(renameat2),
	CALL(mkdir),
	CALL(mkdirat),
	CALL(rmdir),
	CALL(flock),
	CALL(fchmod),
	CALL(umask),
	REFUSED(fchown),
	REFUSED(utimensat),
	CALL_IF(fcntl, IS(1, F_SETLK)),
	CALL_IF(fcntl, IS(1, F_SETLKW)),
	CALL_IF(fcntl, IS(1, F_GETLK)),
	CALL_IF(fcntl, IS(1, F_OFD_SETLK)),
	CALL_IF(fcntl, IS(1, F_OFD_GETLK)),
	CALL_IF(fcntl, IS(1, F_GETFL)),
	CALL_IF(fcntl, IS(1, F_SETFL)),
	CALL_IF(fcntl, IS(1, F_GETFD)),
	CALL_IF(fcntl, IS(1, F_SETFD)),
	REFUSED(fcntl),
	CALL(accept4),
	CALL(getsockopt),
	WAITING,
	CALL(poll),
	CALL(ppoll),
	CALL(nanosleep),
	CALL(clock_nanosleep),
	CALL(sched_yield),
	CALL(memfd_create), /* a larger table of keys */
	CALL(getuid),
	CALL(geteuid),
	CALL(getgid),
	CALL(getegid),
	CALL(uname),
	REFUSED(sysinfo),
	REFUSED(ioctl),
	REFUSED(getrusage),
	MEMORY,
	LIFE SANITIZER,
};

/* Counters in, text out: its log and its listener are handed over. */
static const struct sandbox_rule scribe_rules[] = {
	STREAMS,
	OPTIONS_OF_STREAMS,
	CALL_IF(getsockopt, IS(1, SOL_SOCKET), IS(2, SO_ERROR)),
	CALL_IF(fcntl, IS(1, F_GETFL)),
	CALL(accept4),
	CALL(fdatasync),
	CALL(fsync),
	WAITING,
	CALL(poll),
	MEMORY,
	LIFE,
	REFUSED(sysinfo) /* sorting asks how much memory there is */ SANITIZER,
};

/* Questions in, signatures out. It has the keys: nothing else is in its reach. */
static const struct sandbox_rule signer_rules[] = {
	SENDING,
	CALL(recvmsg),
	CALL(write),
	CALL(close),
	WAITING,
	MEMORY,
	LIFE SANITIZER,
};

/*
 * Links are followed now: what matters is the file behind resolv.conf as it is when the dialer
 * starts.
 */
static const struct sandbox_path dialer_paths[] = {
	{"/etc/resolv.conf", SANDBOX_READ, .optional = true},
	{"/etc/hosts", SANDBOX_READ, .optional = true},
	{"/etc/nsswitch.conf", SANDBOX_READ, .optional = true},
	{"/etc/host.conf", SANDBOX_READ, .optional = true},
	{"/etc/services", SANDBOX_READ, .optional = true},
	{"/dev/urandom", SANDBOX_READ, .optional = true},
};

static void
add_paths(struct profile *p, const struct sandbox_path *paths, size_t count)
{
	assert(p->sandbox.path_count + count <= PROFILE_PATHS_MAX);
	memcpy(&p->paths[p->sandbox.path_count], paths, count * sizeof(*paths));
	p->sandbox.path_count += count;
}

static void
add_rules(struct profile *p, const char *name, const struct sandbox_rule *rules, size_t count)
{
	p->sandbox.name = name;
	p->sandbox.rules = rules;
	p->sandbox.rule_count = count;
}

static void
prepare_edge(const struct profile_settings *settings, struct profile *p)
{
	add_rules(p, "edge", edge_rules, ARRAY_LEN(edge_rules));
	p->sandbox.fsize_zero = true;
	p->sandbox.keep_ipc_lock = settings->keep_ipc_lock;
}

static void
prepare_dialer(const struct profile_settings *settings, struct profile *p)
{
	add_rules(p, "dialer", dialer_rules, ARRAY_LEN(dialer_rules));
	add_paths(p, dialer_paths, ARRAY_LEN(dialer_paths));
	p->sandbox.fsize_zero = true;
	p->sandbox.net_connect = true;
	p->sandbox.net_bind = true;
}

/*
 * SQLite draws its first random numbers from /dev/urandom, and takes the time of day when it can't.
 */
static void
prepare_ledger(const struct profile_settings *settings, struct profile *p)
{
	const struct sandbox_path paths[] = {
		{settings->data_dir, SANDBOX_READ | SANDBOX_WRITE | SANDBOX_CREATE},
		{"/dev/urandom", SANDBOX_READ, .optional = true},
	};

	assert(settings->data_dir);
	add_rules(p, "ledger", ledger_rules, ARRAY_LEN(ledger_rules));
	add_paths(p, paths, ARRAY_LEN(paths));
}

static void
prepare_scribe(const struct profile_settings *settings, struct profile *p)
{
	add_rules(p, "scribe", scribe_rules, ARRAY_LEN(scribe_rules));
}

static void
prepare_signer(const struct profile_settings *settings, struct profile *p)
{
	add_rules(p, "signer", signer_rules, ARRAY_LEN(signer_rules));
	p->sandbox.fsize_zero = true;
}

void
profile_prepare(
	enum profile_role role, const struct profile_settings *settings, struct profile *ret)
{
	static void (*const prepare[])(const struct profile_settings *, struct profile *) = {
		[PROFILE_EDGE] = prepare_edge,
		[PROFILE_DIALER] = prepare_dialer,
		[PROFILE_LEDGER] = prepare_ledger,
		[PROFILE_SCRIBE] = prepare_scribe,
		[PROFILE_SIGNER] = prepare_signer,
	};

	assert(role < PROFILE_ROLES);
	*ret = (struct profile){0};
	ret->sandbox.paths = ret->paths;
	ret->sandbox.nproc_zero = true;
	ret->sandbox.nofile = settings->nofile;
	ret->sandbox.change_user = settings->change_user;
	ret->sandbox.uid = settings->uid;
	ret->sandbox.gid = settings->gid;
	ret->sandbox.landlock_min = settings->landlock_min;
	ret->sandbox.trap = settings->trap;
	prepare[role](settings, ret);
}
