#include "core/sandbox.h"

#include "core/sandbox_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/*
 * What a rule table says, worked out without the filter: an independent second reading to compare
 * the compiled program with. Run by an interpreter of the few instructions that the compiler emits.
 */
enum {
	KILL = -1,
};

static int
expected(const struct sandbox_rule *rules, size_t count, const struct seccomp_data *call)
{
	for (size_t i = 0; i < count; i++) {
		bool all = rules[i].nr == call->nr;

		for (size_t a = 0; a < SANDBOX_ARGS_MAX && rules[i].args[a].mask; a++) {
			const struct sandbox_arg *arg = &rules[i].args[a];
			uint64_t value = arg->value == SANDBOX_SELF ? (uint64_t)getpid() : arg->value;

			all &= (call->args[arg->index] & arg->mask) == value;
		}
		if (all)
			return (int)rules[i].answer;
	}
	return KILL;
}

static int
answer_of(uint32_t returned)
{
	switch (returned) {
	case SECCOMP_RET_ALLOW:
		return SANDBOX_ALLOW;
	case SECCOMP_RET_ERRNO | EACCES:
		return SANDBOX_REFUSE;
	case SECCOMP_RET_KILL_PROCESS:
		return KILL;
	default:
		fail_msg("the filter returns %x", returned);
		return 0;
	}
}

static bool
jumps(uint16_t code, uint32_t a, uint32_t k)
{
	return BPF_OP(code) == BPF_JEQ ? a == k : a >= k;
}

static int
interpreted(const struct sock_filter *filter, size_t length, const struct seccomp_data *call)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < length; pc++) {
		const struct sock_filter *i = &filter[pc];

		switch (BPF_CLASS(i->code)) {
		case BPF_LD:
			assert_true(i->k + 4 <= sizeof(*call) && i->k % 4 == 0);
			memcpy(&a, (const char *)call + i->k, 4);
			break;
		case BPF_ALU:
			assert_int_equal(i->code, BPF_ALU | BPF_AND | BPF_K);
			a &= i->k;
			break;
		case BPF_JMP:
			pc += jumps(i->code, a, i->k) ? i->jt : i->jf;
			break;
		default:
			return answer_of(i->k);
		}
	}
	fail_msg("the filter runs off its end");
	return 0;
}

static const struct sandbox_rule sample[] = {
	{SYS_read},
	{SYS_mmap, {{2, 4, 0}}},
	{SYS_setsockopt, {{1, SANDBOX_INT, 6}, {2, SANDBOX_INT, 1}}},
	{SYS_openat, .answer = SANDBOX_REFUSE},
	{SYS_setsockopt, {{1, SANDBOX_INT, 1}, {2, SANDBOX_INT, 13}}},
	{SYS_fcntl, {{1, SANDBOX_INT, 3}}},
	{SYS_fcntl, .answer = SANDBOX_REFUSE},
	{SYS_pread64,
		{{3, UINT64_MAX, UINT64_C(0x100000005)},
			{2, UINT64_C(0xff00000000000000), UINT64_C(0xab00000000000000)}}},
	{SYS_tgkill, {{0, SANDBOX_INT, SANDBOX_SELF}}},
};

static const uint64_t values[] = {0, 1, 3, 4, 5, 6, 13, UINT64_C(0x100000005),
	UINT64_C(0x500000001), UINT64_C(0xab00000000000000), UINT64_C(0xabffffffffffffff),
	UINT64_C(0xffffffff00000006), UINT64_C(0xffffffff0000000d), UINT64_MAX, UINT64_MAX - 4};

static void
the_filter_says_what_the_table_says(void **state)
{
	const struct sandbox s = {"sample", sample, ARRAY_LEN(sample)};
	struct sock_filter filter[SANDBOX_FILTER_MAX];
	size_t length = sandbox_compile(&s, SECCOMP_RET_KILL_PROCESS, filter), answers[3] = {0};

	assert_true(length > 0 && length < 100);
	for (size_t nr = 0; nr < 500; nr++)
		for (size_t i = 0; i < ARRAY_LEN(values) * ARRAY_LEN(values) * ARRAY_LEN(values); i++) {
			uint64_t x = values[i % ARRAY_LEN(values)];
			uint64_t y = values[i / ARRAY_LEN(values) % ARRAY_LEN(values)];
			uint64_t z = values[i / ARRAY_LEN(values) / ARRAY_LEN(values)];
			struct seccomp_data call = {
				(int)nr, AUDIT_ARCH_X86_64, 0, {i % 2 ? (uint64_t)getpid() : x, x, y, z, x, y}};
			int wanted = expected(sample, ARRAY_LEN(sample), &call);

			if (interpreted(filter, length, &call) != wanted)
				fail_msg("call %zu (%lx %lx %lx)", nr, (long)x, (long)y, (long)z);
			answers[wanted + 1]++;
		}
	for (size_t i = 0; i < ARRAY_LEN(answers); i++)
		assert_true(answers[i] > 0);
	assert_int_equal(sandbox_count_allowed(&s), 6);
}

static void
other_architectures_and_x32_are_refused(void **state)
{
	const struct sandbox s = {"sample", sample, ARRAY_LEN(sample)};
	struct sock_filter filter[SANDBOX_FILTER_MAX];
	/* Whatever the answer to other calls is. */
	size_t length = sandbox_compile(&s, SECCOMP_RET_ERRNO | EACCES, filter);
	struct seccomp_data call = {SYS_read, AUDIT_ARCH_X86_64, 0, {0}};

	assert_int_equal(interpreted(filter, length, &call), SANDBOX_ALLOW);
	call.arch = AUDIT_ARCH_I386;
	assert_int_equal(interpreted(filter, length, &call), KILL);
	call.arch = AUDIT_ARCH_X86_64;
	call.nr = SYS_read | 0x40000000;
	assert_int_equal(interpreted(filter, length, &call), KILL);
	call.nr = -1;
	assert_int_equal(interpreted(filter, length, &call), KILL);
	call.nr = SYS_getpid;
	assert_int_equal(interpreted(filter, length, &call), SANDBOX_REFUSE);
}

static void
a_table_that_can_not_be_compiled_is_refused(void **state)
{
	static const struct sandbox_rule never[] = {{SYS_read, {{0, 4, 3}}}};
	static const struct sandbox_rule no_such[] = {{SYS_read, {{6, 4, 0}}}};
	static struct sandbox_rule many[SANDBOX_FILTER_MAX];
	struct sock_filter filter[SANDBOX_FILTER_MAX];

	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = (struct sandbox_rule){(int)i};
	const struct sandbox tables[] = {{"", never, 1}, {"", no_such, 1}, {"", many, ARRAY_LEN(many)}};
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		assert_int_equal(sandbox_compile(&tables[i], SECCOMP_RET_KILL_PROCESS, filter), 0);
}

/* Children report by their exit status: 0 is good, else the line of what was not. */
#define EXPECT(condition) \
	do \
		if (!(condition)) \
			_exit(line(__LINE__)); \
	while (0)

static int
line(int number)
{
	fprintf(stderr, "expectation of line %d: %s\n", number, strerror(errno));
	return 1;
}

static int
in_child(void (*run)(const struct sandbox *s), const struct sandbox *s)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);
		run(s);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static char directory[] = "/tmp/lethe-sandbox-XXXXXX";

static const char *
within(const char *name)
{
	static char path[4][128];
	static unsigned next;
	char *at = path[next++ % ARRAY_LEN(path)];

	snprintf(at, sizeof(path[0]), "%s/%s", directory, name);
	return at;
}

static int
error_of_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? errno : 0;
}

static int
error_of_tcp(int (*call)(int, const struct sockaddr *, socklen_t), uint16_t port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	EXPECT(fd >= 0);
	int error = call(fd, (struct sockaddr *)&to, sizeof(to)) < 0 ? errno : 0;
	close(fd);
	return error;
}

/* An abstract name that the test itself listens on. */
static int abstract_listener = -1;
static struct sockaddr_un abstract_name = {.sun_family = AF_UNIX};
static socklen_t abstract_length;

static int
error_of_abstract_connect(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	EXPECT(fd >= 0);
	return connect(fd, (struct sockaddr *)&abstract_name, abstract_length) < 0 ? errno : 0;
}

static void
nothing_by_landlock(const struct sandbox *s)
{
	struct sandbox_facts facts;

	EXPECT(error_of_abstract_connect() == 0);
	EXPECT(sandbox_enter(s, &facts));
	EXPECT(facts.landlock_abi >= 1 && !facts.seccomp);
	EXPECT(error_of_open("/etc/passwd", O_RDONLY) == EACCES);
	EXPECT(error_of_open("/", O_RDONLY | O_DIRECTORY) == EACCES);
	EXPECT(error_of_open("/tmp/lethe-sandbox-new", O_WRONLY | O_CREAT) == EACCES);
	EXPECT(execl("/bin/true", "true", NULL) < 0 && errno == EACCES);
	if (facts.landlock_abi >= 4) {
		EXPECT(error_of_tcp(connect, 9) == EACCES);
		EXPECT(error_of_tcp(bind, 0) == EACCES);
	}
	if (facts.landlock_abi >= 6) {
		EXPECT(kill(getppid(), 0) < 0 && errno == EPERM);
		EXPECT(error_of_abstract_connect() == EPERM);
	}
}

static void
landlock_alone_leaves_no_file_no_network_and_no_signal(void **state)
{
	const struct sandbox s = {"nothing"};

	if (!sandbox_landlock_abi())
		skip();
	abstract_listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* The kernel names it. */
	assert_int_equal(
		bind(abstract_listener, (struct sockaddr *)&abstract_name, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(abstract_listener, 4), 0);
	abstract_length = sizeof(abstract_name);
	assert_int_equal(
		getsockname(abstract_listener, (struct sockaddr *)&abstract_name, &abstract_length), 0);
	assert_int_equal(in_child(nothing_by_landlock, &s), 0);
	close(abstract_listener);
}

static void
paths_by_landlock(const struct sandbox *s)
{
	struct sandbox_facts facts;

	EXPECT(sandbox_enter(s, &facts));
	EXPECT(error_of_open(within("read/file"), O_RDONLY) == 0);
	EXPECT(error_of_open(within("read/file"), O_WRONLY) == EACCES);
	EXPECT(error_of_open(within("read/new"), O_WRONLY | O_CREAT) == EACCES);
	EXPECT(unlink(within("read/file")) < 0 && errno == EACCES);
	EXPECT(error_of_open(within("write/file"), O_RDWR) == 0);
	EXPECT(error_of_open(within("write/new"), O_RDWR | O_CREAT) == 0);
	EXPECT(rename(within("write/new"), within("write/other")) == 0);
	EXPECT(rename(within("write/other"), within("read/other")) < 0);
	EXPECT(truncate(within("write/other"), 10) == 0);
	EXPECT(unlink(within("write/other")) == 0);
	EXPECT(symlink("/etc/passwd", within("write/link")) < 0 && errno == EACCES);
	EXPECT(error_of_open(within("one"), O_RDONLY) == 0);
	EXPECT(error_of_open(within("one"), O_WRONLY) == EACCES);
	EXPECT(error_of_open(within("two"), O_RDONLY) == EACCES);
	EXPECT(truncate(within("two"), 0) < 0 && errno == EACCES);
	EXPECT(truncate(within("one"), 0) < 0 && errno == EACCES);
	if (facts.landlock_abi >= 4) {
		EXPECT(error_of_tcp(connect, 9) == ECONNREFUSED);
		EXPECT(error_of_tcp(bind, 0) == EACCES);
	}
}

static void
landlock_leaves_the_paths_of_the_table_and_no_more(void **state)
{
	const struct sandbox_path paths[] = {
		{within("read"), SANDBOX_READ},
		{strdup(within("write")), SANDBOX_READ | SANDBOX_WRITE | SANDBOX_CREATE},
		{strdup(within("one")), SANDBOX_READ | SANDBOX_CREATE},
		{"/nowhere/at/all", SANDBOX_READ, .optional = true},
	};
	const struct sandbox s = {
		"paths", .paths = paths, .path_count = ARRAY_LEN(paths), .net_connect = true};

	if (sandbox_landlock_abi() < 3)
		skip();
	assert_int_equal(in_child(paths_by_landlock, &s), 0);
	free((void *)(uintptr_t)paths[1].path);
	free((void *)(uintptr_t)paths[2].path);
}

static void
fails_at_landlock(const struct sandbox *s)
{
	struct sandbox_facts facts;

	EXPECT(!sandbox_enter(s, &facts));
	EXPECT(facts.failed && strcmp(facts.failed, "landlock") == 0);
}

static void
a_missing_path_or_an_old_kernel_fails_and_is_named(void **state)
{
	const struct sandbox_path path = {"/nowhere/at/all", SANDBOX_READ};
	const struct sandbox lost = {"lost", .paths = &path, .path_count = 1};
	const struct sandbox old = {"old", .landlock_min = 10000};

	if (!sandbox_landlock_abi())
		skip();
	assert_int_equal(in_child(fails_at_landlock, &lost), 0);
	assert_int_equal(in_child(fails_at_landlock, &old), 0);
}

static void
limits_hold(const struct sandbox *s)
{
	struct sandbox_facts facts;
	struct rlimit files;
	int fd = open(within("limited"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	EXPECT(fd >= 0);
	EXPECT(sandbox_enter(s, &facts));
	EXPECT(signal(SIGXFSZ, SIG_IGN) == SIG_DFL); /* as it is, the next line would end this */
	EXPECT(write(fd, "x", 1) < 0 && errno == EFBIG);
	EXPECT(getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max == 100);
	EXPECT(getrlimit(RLIMIT_NPROC, &files) == 0 && files.rlim_max == 0);
	EXPECT(getrlimit(RLIMIT_CORE, &files) == 0 && files.rlim_max <= 1);
	EXPECT(facts.undumpable && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	EXPECT(facts.no_new_privs && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
}

static void
limits_and_marks_are_set(void **state)
{
	const struct sandbox s = {"limits", .fsize_zero = true, .nproc_zero = true, .nofile = 100};

	assert_int_equal(in_child(limits_hold, &s), 0);
}

static uint64_t
capabilities_held(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	EXPECT(syscall(SYS_capget, &head, data) == 0);
	return data[0].permitted | data[0].effective | data[0].inheritable |
		(uint64_t)(data[1].permitted | data[1].effective) << 32;
}

static void
root_becomes_user(const struct sandbox *s)
{
	uint64_t kept = s->keep_ipc_lock ? UINT64_C(1) << CAP_IPC_LOCK : 0;
	struct sandbox_facts facts;

	EXPECT(setgroups(1, &(gid_t){4}) == 0);
	EXPECT(sandbox_enter(s, &facts));
	EXPECT(geteuid() == (s->change_user ? 65534 : 0) && getegid() == geteuid());
	EXPECT(getgroups(0, NULL) == (s->change_user ? 0 : 1));
	EXPECT(capabilities_held() == kept && facts.capabilities == kept);
	EXPECT(facts.bounding_empty);
	EXPECT(setuid(0) < 0 || !s->change_user);
	EXPECT(setuid(1) < 0 && errno == EPERM);
	EXPECT(chroot("/") < 0);
}

static void
root_keeps_no_right_but_the_locking_of_memory(void **state)
{
	const struct sandbox variants[] = {
		{"user", .change_user = true, .uid = 65534, .gid = 65534},
		{"user with lock", .change_user = true, .uid = 65534, .gid = 65534, .keep_ipc_lock = true},
		{"root"},
		{"root with lock", .keep_ipc_lock = true},
	};

	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(variants); i++)
		if (in_child(root_becomes_user, &variants[i]) != 0)
			fail_msg("%s", variants[i].name);
}

static void
ordinary_user(const struct sandbox *s)
{
	struct sandbox_facts facts;

	EXPECT(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
	EXPECT(sandbox_enter(s, &facts));
	EXPECT(facts.seccomp && facts.capabilities == 0 && facts.filter_length > 0 &&
		facts.syscalls_allowed == 2);
	EXPECT(syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY) < 0 && errno == EACCES);
	(void)syscall(SYS_getpid);
}

static const struct sandbox_rule few[] = {
	{SYS_exit_group}, {SYS_write}, {SYS_openat, .answer = SANDBOX_REFUSE}};

static void
an_ordinary_user_can_lock_down_as_well(void **state)
{
	const struct sandbox s = {"few", few, ARRAY_LEN(few), .keep_ipc_lock = true};
	int status = in_child(ordinary_user, &s);

	/* At getpid, when all else held. */
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

static void
user_that_is_not_root_can_not_change(const struct sandbox *s)
{
	struct sandbox_facts facts;

	EXPECT(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
	EXPECT(!sandbox_enter(s, &facts) && strcmp(facts.failed, "user") == 0);
}

static void
a_user_that_can_not_be_taken_fails(void **state)
{
	const struct sandbox s = {"user", .change_user = true, .uid = 12345, .gid = 12345};

	assert_int_equal(in_child(user_that_is_not_root_can_not_change, &s), 0);
}

static void
basics_hold(const struct sandbox *s)
{
	struct rlimit core;

	EXPECT(sandbox_basics());
	EXPECT(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	EXPECT(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max <= 1);
}

static void
the_supervisor_takes_the_basics(void **state)
{
	assert_int_equal(in_child(basics_hold, NULL), 0);
}

#ifdef SANDBOX_MAY_TRAP
static void
trapped(const struct sandbox *s)
{
	struct sandbox_facts facts;

	EXPECT(sandbox_enter(s, &facts));
	(void)syscall(SYS_getpid);
}

static void
a_development_build_names_the_forbidden_call(void **state)
{
	const struct sandbox s = {"few", few, ARRAY_LEN(few), .trap = true};
	int ends[2], saved = dup(STDERR_FILENO);
	char text[100] = "";

	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	int status = in_child(trapped, &s);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(ends[1]);
	assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
	close(ends[0]);
	assert_string_equal(text, "few: forbidden system call 39\n");
	assert_int_equal(WEXITSTATUS(status), 128 + SIGSYS);
}
#endif

static void
make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

	assert_true(fd >= 0);
	close(fd);
}

static int
make_directory(void **state)
{
	assert_non_null(mkdtemp(directory));
	assert_int_equal(mkdir(within("read"), 0777) | mkdir(within("write"), 0777), 0);
	make_file(within("read/file"));
	make_file(within("write/file"));
	make_file(within("one"));
	make_file(within("two"));
	return 0;
}

static int
remove_directory(void **state)
{
	static const char *const names[] = {
		"read/file", "write/file", "one", "two", "limited", "read", "write", "."};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		(void)remove(within(names[i]));
	return rmdir(directory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_filter_says_what_the_table_says),
		cmocka_unit_test(other_architectures_and_x32_are_refused),
		cmocka_unit_test(a_table_that_can_not_be_compiled_is_refused),
		cmocka_unit_test(landlock_alone_leaves_no_file_no_network_and_no_signal),
		cmocka_unit_test(landlock_leaves_the_paths_of_the_table_and_no_more),
		cmocka_unit_test(a_missing_path_or_an_old_kernel_fails_and_is_named),
		cmocka_unit_test(limits_and_marks_are_set),
		cmocka_unit_test(root_keeps_no_right_but_the_locking_of_memory),
		cmocka_unit_test(an_ordinary_user_can_lock_down_as_well),
		cmocka_unit_test(a_user_that_can_not_be_taken_fails),
		cmocka_unit_test(the_supervisor_takes_the_basics),
#ifdef SANDBOX_MAY_TRAP
		cmocka_unit_test(a_development_build_names_the_forbidden_call),
#endif
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
