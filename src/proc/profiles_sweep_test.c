/*
 * Every system call number is tried from inside each profile, one locked child per try; the kernel
 * must say what the table says.
 */
#include "proc/profiles.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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
static const char *const role_names[PROFILE_ROLES] = {"edge", "dialer", "ledger", "scribe"};

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
	}
	for (size_t i = 0; i < ARRAY_LEN(not_ledger); i++)
		assert_false(can_call(&p[PROFILE_LEDGER].sandbox, not_ledger[i]));
	assert_int_equal(p[PROFILE_EDGE].sandbox.path_count, 0);
	assert_int_equal(p[PROFILE_SCRIBE].sandbox.path_count, 0);
	for (size_t i = 0; i < p[PROFILE_DIALER].sandbox.path_count; i++)
		assert_int_equal(p[PROFILE_DIALER].sandbox.paths[i].rights, SANDBOX_READ);
	assert_false(can_call(&p[PROFILE_DIALER].sandbox, SYS_accept4));
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_promises_of_the_design_hold),
		cmocka_unit_test(every_number_does_what_the_table_says),
		cmocka_unit_test(every_condition_holds_and_one_bit_breaks_it),
		cmocka_unit_test(x32_and_numbers_that_do_not_exist_end_the_process),
		cmocka_unit_test(the_32_bit_entry_ends_the_process),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
