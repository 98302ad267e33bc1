/*
 * Every system call number is tried from inside each profile, one locked child per try; the kernel
 * must say what the table says.
 */
#include "proc/profiles.h"

#include "core/sanitized.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	NUMBERS = 512,
	ARGS = 6,
};
enum outcome {
	ALLOWED,
	REFUSED,
	KILLED,
	UNEXPECTED,
};

static const char *const outcome_names[] = {"allowed", "refused", "killed", "neither"};
static const char *const role_names[PROFILE_ROLES] = {"edge", "dialer", "ledger", "scribe", "signer"};

struct probe {
	long nr;
	uint64_t args[ARGS]; /* SANDBOX_SELF as the first of tgkill: whoever tries */
};

static char data_dir[] = "/tmp/lethe-profiles-XXXXXX";

static void
prepare(enum profile_role role, struct profile *ret)
{
	const struct profile_settings settings = {.data_dir = data_dir};

	profile_prepare(role, &settings, ret);
}

static bool
matches(const struct sandbox_rule *rule, const struct probe *t)
{
	if (rule->nr != t->nr)
		return false;
	for (size_t i = 0; i < SANDBOX_ARGS_MAX && rule->args[i].mask; i++) {
		const struct sandbox_arg *arg = &rule->args[i];
		uint64_t given = t->args[arg->index];

		if (arg->value == SANDBOX_SELF ? given != SANDBOX_SELF : (given & arg->mask) != arg->value)
			return false;
	}
	return true;
}

static enum outcome
outcome_by_table(const struct sandbox *s, const struct probe *t)
{
	for (size_t i = 0; i < s->rule_count; i++)
		if (matches(&s->rules[i], t))
			return s->rules[i].answer == SANDBOX_ALLOW ? ALLOWED : REFUSED;
	return KILLED;
}

/*
 * In the child: exit status 10 + (refused by EACCES). Calls that don't come back have their own
 * ends.
 */
static void
attempt(const struct sandbox *s, const struct probe *t, int told)
{
	struct sandbox_facts facts;
	uint64_t args[ARGS];

	for (size_t i = 0; i < ARGS; i++)
		args[i] = t->args[i];
	if (t->nr == SYS_tgkill && t->args[0] == SANDBOX_SELF)
		args[0] = (uint64_t)getpid();
	if (!sandbox_enter(s, &facts) || !facts.seccomp)
		_exit(2);
	if (write(told, "", 1) != 1)
		_exit(3);
	long result = syscall(t->nr, args[0], args[1], args[2], args[3], args[4], args[5]);
	syscall(SYS_exit_group, result == -1 && errno == EACCES ? 11 : 10);
}

static enum outcome
outcome_by_status(int status, long nr)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		return KILLED;
	bool exited = WIFEXITED(status);
	if (nr == SYS_exit_group && exited && WEXITSTATUS(status) == 254) /* the argument, -2 */
		return ALLOWED;
	if (nr == SYS_rt_sigreturn && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
		return ALLOWED;
	if (!exited)
		return UNEXPECTED;
	switch (WEXITSTATUS(status)) {
	case 10:
		return ALLOWED;
	case 11:
		return REFUSED;
	default:
		return UNEXPECTED;
	}
}

static enum outcome
outcome_by_kernel(const struct sandbox *s, const struct probe *t)
{
	int told[2], status;
	char locked = 1;

	assert_int_equal(pipe(told), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = {0, 0};

		for (int signal_number = 1; signal_number < 32; signal_number++)
			signal(signal_number, SIG_DFL);
		setrlimit(RLIMIT_CORE, &none);
		attempt(s, t, told[1]);
	}
	close(told[1]);
	ssize_t got = read(told[0], &locked, 1);
	close(told[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (got != 1)
		fail_msg("%s: the lock-down itself failed, status %x", s->name, (unsigned)status);
	return outcome_by_status(status, t->nr);
}

static enum outcome
compare(const struct sandbox *s, const struct probe *t)
{
	enum outcome wanted = outcome_by_table(s, t), got = outcome_by_kernel(s, t);
	if (wanted != got)
		fail_msg("%s: call %ld (%lx %lx %lx %lx) must be %s, is %s", s->name, t->nr,
			(long)t->args[0], (long)t->args[1], (long)t->args[2], (long)t->args[3],
			outcome_names[wanted], outcome_names[got]);
	return got;
}

/*
 * uretprobe and uprobe: kernels that have them (6.13, 6.18) let them pass any filter. Outside of a
 * probe they do nothing or end the process.
 */
static bool
passes_any_filter(long nr)
{
	return nr == 335 || nr == 336;
}

/* All arguments -1: no descriptor, no memory, no size that any call takes. */
static void
every_number_does_what_the_table_says(void **state)
{
	for (enum profile_role role = 0; role < PROFILE_ROLES; role++) {
		struct profile p;
		size_t seen[UNEXPECTED] = {0};

		prepare(role, &p);
		for (long nr = 0; nr < NUMBERS; nr++) {
			struct probe t = {
				nr, {UINT64_MAX - 1, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};

			if (!passes_any_filter(nr))
				seen[compare(&p.sandbox, &t)]++;
		}
		print_message("%s: %zu allowed without conditions, %zu refused, %zu end the process\n",
			role_names[role], seen[ALLOWED], seen[REFUSED], seen[KILLED]);
		assert_true(seen[ALLOWED] > 10 && seen[KILLED] > NUMBERS / 2);
	}
}

static struct probe
satisfying(const struct sandbox_rule *rule)
{
	struct probe t = {
		rule->nr, {UINT64_MAX - 1, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};

	for (size_t i = 0; i < SANDBOX_ARGS_MAX && rule->args[i].mask; i++) {
		const struct sandbox_arg *arg = &rule->args[i];
		uint64_t kept = t.args[arg->index] & ~arg->mask;

		t.args[arg->index] = arg->value == SANDBOX_SELF ? SANDBOX_SELF : arg->value | kept;
	}
	return t;
}

/* The values of the table, and each of them with one bit of its mask changed. */
static void
every_condition_holds_and_one_bit_breaks_it(void **state)
{
	static const unsigned bits[] = {0, 1, 2, 3, 6, 7, 8, 16, 22, 26, 29, 31, 32, 63};
	size_t tried = 0;

	for (enum profile_role role = 0; role < PROFILE_ROLES; role++) {
		struct profile p;

		prepare(role, &p);
		for (size_t r = 0; r < p.sandbox.rule_count; r++) {
			const struct sandbox_rule *rule = &p.sandbox.rules[r];

			if (!rule->args[0].mask)
				continue;
			struct probe t = satisfying(rule);
			assert_int_equal(compare(&p.sandbox, &t), ALLOWED);
			if (rule->args[0].value == SANDBOX_SELF)
				continue;
			for (size_t i = 0; i < ARRAY_LEN(bits); i++, tried++) {
				struct probe other = t;

				other.args[rule->args[0].index] ^= UINT64_C(1) << bits[i];
				compare(&p.sandbox, &other);
			}
		}
	}
	assert_true(tried > 100);
}

static void
x32_and_numbers_that_do_not_exist_end_the_process(void **state)
{
	static const long numbers[] = {
		1000, 0x40000000, 0x40000000 + SYS_getpid, 0x40000000 + 512, 0x7fffffff, -1};

	for (enum profile_role role = 0; role < PROFILE_ROLES; role++)
		for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
			struct probe t = {numbers[i], {0}};
			struct profile p;

			prepare(role, &p);
			assert_int_equal(outcome_by_kernel(&p.sandbox, &t), KILLED);
		}
}

/* getpid by the 32-bit entry: its number is 20, which is writev here. */
static void
the_32_bit_entry_ends_the_process(void **state)
{
	struct profile p;
	int status;

	prepare(PROFILE_EDGE, &p);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct sandbox_facts facts;
		long result = 20;

		signal(SIGSEGV, SIG_DFL);
		if (!sandbox_enter(&p.sandbox, &facts))
			_exit(2);
		__asm__ volatile("int $0x80"
						 : "+a"(result)::"memory");
		_exit(result > 0 ? 3 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* SIGSEGV: a kernel without that entry. */
	assert_true(WIFSIGNALED(status) && (WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV));
}

static bool
can_call(const struct sandbox *s, long nr)
{
	for (size_t i = 0; i < s->rule_count; i++)
		if (s->rules[i].nr == nr && s->rules[i].answer == SANDBOX_ALLOW)
			return true;
	return false;
}

/* Written out again, by hand: a row added to a table by mistake must meet this list. */
static void
the_promises_of_the_design_hold(void **state)
{
	static const long never[] = {SYS_execve, SYS_execveat, SYS_fork, SYS_vfork, SYS_clone3,
		SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_io_uring_setup,
		SYS_io_uring_enter, SYS_io_uring_register, SYS_bpf, SYS_userfaultfd, SYS_perf_event_open,
		SYS_kill, SYS_tkill, SYS_splice, SYS_vmsplice, SYS_tee, SYS_sendfile, SYS_mount,
		SYS_umount2, SYS_chroot, SYS_setuid, SYS_setresuid, SYS_capset, SYS_seccomp, SYS_unshare,
		SYS_setns, SYS_pidfd_getfd, SYS_pidfd_open, SYS_add_key, SYS_keyctl, SYS_shmget,
		SYS_memfd_secret, SYS_name_to_handle_at, SYS_open_by_handle_at, SYS_pkey_mprotect,
		SYS_modify_ldt, SYS_personality, SYS_sendmmsg, SYS_recvmmsg, SYS_listen, SYS_socketpair,
		SYS_dup, SYS_dup2, SYS_dup3, SYS_link, SYS_symlink};
	static const long not_edge[] = {SYS_socket, SYS_connect, SYS_bind, SYS_open, SYS_openat,
		SYS_openat2, SYS_creat, SYS_memfd_create, SYS_unlink, SYS_rename, SYS_mkdir, SYS_ioctl,
		SYS_poll, SYS_pwrite64, SYS_ftruncate};
	static const long not_ledger[] = {SYS_socket, SYS_connect, SYS_bind};
	static const long not_signer[] = {SYS_accept4, SYS_setsockopt, SYS_getsockopt, SYS_fcntl, SYS_sendfile, SYS_readv, SYS_writev};
	struct profile p[PROFILE_ROLES];

	for (enum profile_role role = 0; role < PROFILE_ROLES; role++) {
		prepare(role, &p[role]);
		for (size_t i = 0; i < ARRAY_LEN(never); i++)
			if (can_call(&p[role].sandbox, never[i]))
				fail_msg("%s may call %ld", role_names[role], never[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(not_edge); i++) {
		assert_false(can_call(&p[PROFILE_EDGE].sandbox, not_edge[i]));
		assert_false(can_call(&p[PROFILE_SCRIBE].sandbox, not_edge[i]) && not_edge[i] != SYS_poll);
		assert_false(can_call(&p[PROFILE_SIGNER].sandbox, not_edge[i]));
	}
	for (size_t i = 0; i < ARRAY_LEN(not_ledger); i++)
		assert_false(can_call(&p[PROFILE_LEDGER].sandbox, not_ledger[i]));
	assert_int_equal(p[PROFILE_EDGE].sandbox.path_count, 0);
	assert_int_equal(p[PROFILE_SCRIBE].sandbox.path_count, 0);
	assert_int_equal(p[PROFILE_SIGNER].sandbox.path_count, 0);
	for (size_t i = 0; i < ARRAY_LEN(not_signer); i++)
		assert_false(can_call(&p[PROFILE_SIGNER].sandbox, not_signer[i]));
	for (size_t i = 0; i < p[PROFILE_DIALER].sandbox.path_count; i++)
		assert_int_equal(p[PROFILE_DIALER].sandbox.paths[i].rights, SANDBOX_READ);
	assert_false(can_call(&p[PROFILE_DIALER].sandbox, SYS_accept4));
}

#define ANYTHING UINT64_MAX
#define TRIES(name, ...) \
	{ \
		SYS_##name, \
		{ \
			__VA_ARGS__ \
		} \
	}

/*
 * Calls that an edge needs, in forms that it must not have: written out by hand, so that a condition which is taken out of the table is missed here.
 * Memory that can be executed; signals to others; options that make a socket more than a stream; descriptors and files by way of fcntl; sending that
 * connects, or that leaves content to be read later.
 */
static const struct probe forbidden_arguments[] = {
	TRIES(mmap, 0, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, ANYTHING, 0),
	TRIES(mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, ANYTHING, 0),
	TRIES(mmap, 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, ANYTHING, 0),
	TRIES(mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, 0, 0), /* of a file */
	TRIES(mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, 3, 0),
	TRIES(mprotect, 0, 4096, PROT_READ | PROT_EXEC),
	TRIES(mprotect, 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC),
	TRIES(mprotect, 0, 4096, PROT_EXEC),
	TRIES(madvise, 0, 4096, MADV_DODUMP),
	TRIES(madvise, 0, 4096, MADV_DOFORK),
	TRIES(madvise, 0, 4096, MADV_KEEPONFORK),
	TRIES(madvise, 0, 4096, MADV_MERGEABLE), /* pages that others could find out about */
	TRIES(madvise, 0, 4096, MADV_PAGEOUT),
	TRIES(mlock2, 0, 4096, 0),
	TRIES(futex, 0, FUTEX_LOCK_PI),
	TRIES(futex, 0, FUTEX_REQUEUE),
	TRIES(futex, 0, FUTEX_WAKE_OP),
	TRIES(tgkill, 1, 1, SIGKILL),
	TRIES(tgkill, 0, 0, SIGTERM),
	TRIES(fcntl, 3, F_DUPFD),
	TRIES(fcntl, 3, F_DUPFD_CLOEXEC),
	TRIES(fcntl, 3, F_SETFL),
	TRIES(fcntl, 3, F_SETFD),
	TRIES(fcntl, 3, F_SETOWN),
	TRIES(fcntl, 3, F_SETSIG),
	TRIES(fcntl, 3, F_SETPIPE_SZ),
	TRIES(fcntl, 3, F_ADD_SEALS),
	TRIES(fcntl, 3, F_NOTIFY),
	TRIES(getsockopt, 3, SOL_SOCKET, SO_PEERCRED),
	TRIES(getsockopt, 3, IPPROTO_TCP, TCP_INFO),
	TRIES(setsockopt, 3, SOL_SOCKET, SO_ATTACH_FILTER),
	TRIES(setsockopt, 3, SOL_SOCKET, SO_ATTACH_BPF),
	TRIES(setsockopt, 3, SOL_SOCKET, SO_ZEROCOPY),
	TRIES(setsockopt, 3, SOL_SOCKET, SO_BINDTODEVICE),
	TRIES(setsockopt, 3, SOL_SOCKET, SO_MARK),
	TRIES(setsockopt, 3, SOL_SOCKET, SO_REUSEPORT),
	TRIES(setsockopt, 3, SOL_SOCKET, SO_PASSCRED),
	TRIES(setsockopt, 3, IPPROTO_TCP, TCP_REPAIR),
	TRIES(setsockopt, 3, IPPROTO_TCP, TCP_ULP), /* TLS in the kernel */
	TRIES(setsockopt, 3, IPPROTO_TCP, TCP_FASTOPEN_CONNECT),
	TRIES(setsockopt, 3, IPPROTO_TCP, TCP_MD5SIG),
	TRIES(setsockopt, 3, IPPROTO_IP, IP_OPTIONS),
	TRIES(sendto, 3, 0, 0, MSG_FASTOPEN),
	TRIES(sendto, 3, 0, 0, MSG_ZEROCOPY),
	TRIES(sendto, 3, 0, 0, MSG_NOSIGNAL | MSG_ZEROCOPY),
	TRIES(sendmsg, 3, 0, MSG_FASTOPEN),
	TRIES(sendmsg, 3, 0, MSG_ZEROCOPY),
};

static void
forbidden_arguments_of_allowed_calls_end_an_edge(void **state)
{
	struct profile p;

	prepare(PROFILE_EDGE, &p);
	assert_true(ARRAY_LEN(forbidden_arguments) >= 30);
	for (size_t i = 0; i < ARRAY_LEN(forbidden_arguments); i++) {
		const struct probe *t = &forbidden_arguments[i];
		enum outcome got = outcome_by_kernel(&p.sandbox, t);

		if (got != KILLED && !SANITIZED)
			fail_msg("%zu: call %ld (%lx %lx %lx %lx) is %s", i, t->nr, (long)t->args[0], (long)t->args[1], (long)t->args[2],
				(long)t->args[3], outcome_names[got]);
	}
}

/* As few as there are today; who adds one says so here. */
static void
an_edge_has_at_most_forty_calls(void **state)
{
	struct profile p;

	size_t count = 0;

	prepare(PROFILE_EDGE, &p);
	for (long nr = 0; nr < NUMBERS; nr++)
		count += can_call(&p.sandbox, nr);
	if (!SANITIZED)
		assert_in_range(count, 20, 40);
}

static int
make_directory(void **state)
{
	assert_non_null(mkdtemp(data_dir));
	return 0;
}

static int
remove_directory(void **state)
{
	return rmdir(data_dir);
}

/* The kernel runs no filter for a call that is allowed whatever its arguments; of the others the first in the table are the quickest. */
static void
what_an_edge_calls_for_each_request_has_no_conditions_or_comes_first(void **state)
{
	static const long hot[] = {SYS_recvfrom, SYS_recvmsg, SYS_epoll_wait};
	struct profile p;

	prepare(PROFILE_EDGE, &p);
	assert_int_equal(p.sandbox.rules[0].nr, SYS_sendto);
	assert_int_equal(p.sandbox.rules[1].nr, SYS_sendmsg);
	for (size_t i = 0; i < ARRAY_LEN(hot); i++) {
		size_t rules = 0;

		for (size_t r = 0; r < p.sandbox.rule_count; r++) {
			const struct sandbox_rule *rule = &p.sandbox.rules[r];

			if (rule->nr != hot[i])
				continue;
			assert_int_equal(rule->args[0].mask, 0);
			assert_int_equal(rule->answer, SANDBOX_ALLOW);
			rules++;
		}
		assert_int_equal(rules, 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_promises_of_the_design_hold),
		cmocka_unit_test(every_number_does_what_the_table_says),
		cmocka_unit_test(every_condition_holds_and_one_bit_breaks_it),
		cmocka_unit_test(x32_and_numbers_that_do_not_exist_end_the_process),
		cmocka_unit_test(the_32_bit_entry_ends_the_process),
		cmocka_unit_test(forbidden_arguments_of_allowed_calls_end_an_edge),
		cmocka_unit_test(an_edge_has_at_most_forty_calls),
		cmocka_unit_test(what_an_edge_calls_for_each_request_has_no_conditions_or_comes_first),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
