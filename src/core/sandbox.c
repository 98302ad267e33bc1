#include "core/sandbox.h"

#include "core/sandbox_priv.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1UL
#endif

struct capabilities {
	uint64_t effective, permitted;
};

static bool
capabilities_get(struct capabilities *ret)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{0}};

	if (syscall(SYS_capget, &head, data) < 0)
		return false;
	ret->effective = data[0].effective | (uint64_t)data[1].effective << 32;
	ret->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	return true;
}

static bool
capabilities_set(uint64_t kept)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)kept, .permitted = (uint32_t)kept},
		{.effective = (uint32_t)(kept >> 32), .permitted = (uint32_t)(kept >> 32)},
	};

	return syscall(SYS_capset, &head, data) == 0;
}

static bool
limit(int what, rlim_t value)
{
	struct rlimit old, wanted = {value, value};

	if (getrlimit((__rlimit_resource_t)what, &old) < 0)
		return false;
	if (wanted.rlim_max > old.rlim_max)
		wanted.rlim_cur = wanted.rlim_max = old.rlim_max;
	return setrlimit((__rlimit_resource_t)what, &wanted) == 0;
}

/*
 * Who may write to no file and does so all the same is ended by the kernel (SIGXFSZ): a filter can't tell a file from a socket.
 * A core limit of 0 is ignored when core_pattern is a pipe; 1 is the value that such a kernel
 * obeys.
 */
static bool
step_limits(const struct sandbox *s, struct sandbox_facts *facts)
{
	if (s->fsize_zero && (signal(SIGXFSZ, SIG_DFL) == SIG_ERR || !limit(RLIMIT_FSIZE, 0)))
		return false;
	if (s->nproc_zero && !limit(RLIMIT_NPROC, 0))
		return false;
	if (s->nofile && !limit(RLIMIT_NOFILE, s->nofile))
		return false;
	return limit(RLIMIT_CORE, 1);
}

static bool
step_no_new_privs(const struct sandbox *s, struct sandbox_facts *facts)
{
	facts->no_new_privs = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
	return facts->no_new_privs;
}

/*
 * User 0 is a user like any other from here on, and no later call gives a capability back. Needs
 * CAP_SETPCAP, which an ordinary user lacks.
 */
static bool
step_bounds(const struct sandbox *s, struct sandbox_facts *facts)
{
	const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
		SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
		SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	struct capabilities have;

	if (!capabilities_get(&have))
		return false;
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (!(have.effective >> CAP_SETPCAP & 1)) {
		/* Without NO_SETUID_FIXUP the change of user would drop CAP_IPC_LOCK. */
		if (s->keep_ipc_lock)
			(void)prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
		return true;
	}
	if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0)
		return false;
	for (unsigned long cap = 0; cap < 64; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return errno == EINVAL; /* past the last that the kernel knows */
	return true;
}

static bool
is_user(const struct sandbox *s)
{
	uid_t real, effective, saved;
	gid_t group, effective_group, saved_group;

	if (getresuid(&real, &effective, &saved) < 0 ||
		getresgid(&group, &effective_group, &saved_group) < 0)
		return false;
	return real == s->uid && effective == s->uid && saved == s->uid && group == s->gid &&
		effective_group == s->gid && saved_group == s->gid;
}

static bool
step_user(const struct sandbox *s, struct sandbox_facts *facts)
{
	if (!s->change_user || is_user(s))
		return true;
	if (setgroups(0, NULL) < 0 || setresgid(s->gid, s->gid, s->gid) < 0 ||
		setresuid(s->uid, s->uid, s->uid) < 0)
		return false;
	errno = EPERM;
	return is_user(s);
}

bool
sandbox_may_change_user(void)
{
	/* The last: whoever started this process must be able to end it then. */
	const uint64_t wanted = UINT64_C(1) << CAP_SETUID | UINT64_C(1) << CAP_SETGID | UINT64_C(1) << CAP_KILL;
	struct capabilities have;

	return capabilities_get(&have) && (have.effective & wanted) == wanted;
}

static bool
bounding_is_empty(void)
{
	for (unsigned long cap = 0; cap < 64; cap++) {
		int has = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (has != 0)
			return has < 0;
	}
	return true;
}

static bool
step_capabilities(const struct sandbox *s, struct sandbox_facts *facts)
{
	uint64_t wanted = s->keep_ipc_lock ? UINT64_C(1) << CAP_IPC_LOCK : 0;
	struct capabilities have;

	if (!capabilities_get(&have) || !capabilities_set(have.permitted & wanted) ||
		!capabilities_get(&have))
		return false;
	facts->capabilities = have.permitted;
	facts->bounding_empty = bounding_is_empty();
	errno = EPERM;
	return (have.permitted & ~wanted) == 0;
}

/* After the change of user, which sets it back. */
static bool
step_undumpable(const struct sandbox *s, struct sandbox_facts *facts)
{
	facts->undumpable =
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
	return facts->undumpable;
}

/*
 * What libraries look up in files at its first use, and keep: the time zone (gmtime_r(), which OpenSSL asks for the dates of certificates). Later nobody may open a file.
 */
static bool
step_libraries(const struct sandbox *s, struct sandbox_facts *facts)
{
	const time_t then = 0;
	struct tm tm;

	return gmtime_r(&then, &tm) != NULL;
}

/* Since Linux 6.3. The filter forbids executable mappings as well. */
static bool
step_no_exec_gain(const struct sandbox *s, struct sandbox_facts *facts)
{
	facts->no_exec_gain = prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) == 0;
	return true;
}

#ifdef SANDBOX_MAY_TRAP
static const char *trap_name;

static size_t
decimal(char *at, unsigned value)
{
	char digits[10];
	size_t n = 0, len = 0;

	do
		digits[n++] = (char)('0' + value % 10);
	while (value /= 10);
	while (n)
		at[len++] = digits[--n];
	return len;
}

static size_t
append(char *at, const char *text)
{
	size_t len = 0;

	for (; text[len] && len < 64; len++)
		at[len] = text[len];
	return len;
}

static void
report_call(int signal_number, siginfo_t *info, void *context)
{
	char line[192];
	size_t len = append(line, trap_name);

	len += append(line + len, ": forbidden system call ");
	len += decimal(line + len, (unsigned)info->si_syscall);
	line[len++] = '\n';
	ssize_t written = write(STDERR_FILENO, line, len);
	for (;;) /* _exit() may be a sanitizer's, which calls more */
		syscall(SYS_exit_group, written < 0 ? 128 : 128 + SIGSYS);
}

static uint32_t
answer_otherwise(const struct sandbox *s)
{
	struct sigaction action = {.sa_sigaction = report_call, .sa_flags = SA_SIGINFO};

	if (!s->trap)
		return SECCOMP_RET_KILL_PROCESS;
	trap_name = s->name;
	sigaction(SIGSYS, &action, NULL);
	return SECCOMP_RET_TRAP;
}
#else
static uint32_t
answer_otherwise(const struct sandbox *s)
{
	return SECCOMP_RET_KILL_PROCESS;
}
#endif

static bool
step_seccomp(const struct sandbox *s, struct sandbox_facts *facts)
{
	struct sock_filter filter[SANDBOX_FILTER_MAX];
	struct sock_fprog program = {0, filter};

	if (s->rule_count == 0)
		return true;
	program.len = (unsigned short)sandbox_compile(s, answer_otherwise(s), filter);
	errno = EINVAL;
	if (program.len == 0 ||
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
		return false;
	facts->seccomp = true;
	facts->filter_length = program.len;
	facts->syscalls_allowed = sandbox_count_allowed(s);
	return true;
}

bool
sandbox_enter(const struct sandbox *s, struct sandbox_facts *ret_facts)
{
	static const struct {
		const char *name;
		bool (*take)(const struct sandbox *s, struct sandbox_facts *facts);
	} steps[] = {
		{"limits", step_limits},
		{"no_new_privs", step_no_new_privs},
		{"bounds", step_bounds},
		{"user", step_user},
		{"capabilities", step_capabilities},
		{"undumpable", step_undumpable},
		{"no_exec_gain", step_no_exec_gain},
		{"libraries", step_libraries},
		{"landlock", sandbox_landlock},
		{"seccomp", step_seccomp}, /* the last: it forbids what the others need */
	};

	*ret_facts = (struct sandbox_facts){0};
	for (size_t i = 0; i < ARRAY_LEN(steps) && !BARE; i++)
		if (!steps[i].take(s, ret_facts)) {
			ret_facts->failed = steps[i].name;
			return false;
		}
	return true;
}

bool
sandbox_basics(void)
{
	if (BARE)
		return true;
	return limit(RLIMIT_CORE, 1) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}
