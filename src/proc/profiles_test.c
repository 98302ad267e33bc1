/*
 * Each profile is enough for the work of its role: the real libraries at work inside, and what they
 * must not do refused.
 */
#include "proc/profiles.h"

#include "core/sanitized.h"
#include "core/vault.h"

#include <ares.h>
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	MIB = 1 << 20,
};

static char data_dir[] = "/tmp/lethe-profiles-XXXXXX";

/* What the child works with; descriptors stand for those that the supervisor hands over. */
struct work {
	int listener, channel, segment, file;
	uint16_t port, other_port;
	bool change_user;
	int role; /* enum profile_role */
};

/* Children report by their exit status: 0 is good. */
#define EXPECT(condition) \
	do \
		if (!(condition)) \
			_exit(line(__LINE__)); \
	while (0)

static int
line(int number)
{
	char text[64];
	int length = snprintf(text, sizeof(text), "expectation of line %d, errno %d\n", number, errno);

	return write(STDERR_FILENO, text, (size_t)length) > 0 ? 1 : 2;
}

static void
lock_down(enum profile_role role, const struct work *w)
{
	const struct profile_settings settings = {
		.data_dir = data_dir,
		.change_user = w->change_user,
		.uid = 65534,
		.gid = 65534,
		.keep_ipc_lock = true,
	};
	struct sandbox_facts facts;
	struct profile p;

	profile_prepare(role, &settings, &p);
	EXPECT(sandbox_enter(&p.sandbox, &facts));
	EXPECT(facts.seccomp && facts.no_new_privs && facts.undumpable && !facts.failed);
}

static pid_t
start(void (*run)(const struct work *w), const struct work *w)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = {0, 0};

		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		setrlimit(RLIMIT_CORE, &none);
		run(w);
		_exit(0);
	}
	return pid;
}

static int
status_of(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int
ends(void (*run)(const struct work *w), const struct work *w)
{
	return status_of(start(run, w));
}

static int
bound_socket(int type, uint16_t *ret_port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(at);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, length), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &length), 0);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

static int
connected(uint16_t port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 ? fd : -1;
}

union control {
	char room[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static bool
send_fd(int channel, int fd)
{
	char byte = 'd';
	struct iovec data = {&byte, 1};
	union control control = {{0}};
	struct msghdr message = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(int));
	return sendmsg(channel, &message, MSG_NOSIGNAL) == 1;
}

static int
recv_fd(int channel)
{
	char byte;
	struct iovec data = {&byte, 1};
	union control control;
	struct msghdr message = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room)};
	int fd = -1;

	if (recvmsg(channel, &message, MSG_CMSG_CLOEXEC) != 1 || !CMSG_FIRSTHDR(&message))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return fd;
}

static int
wait_readable(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return -1;
	return epoll_wait(epoll, &event, 1, 5000);
}

/* Accept one connection and answer what it says, as edge and scribe do. */
static void
answer_one(int epoll, int listener)
{
	char text[64];
	int on = 1, error;
	socklen_t length = sizeof(error);

	EXPECT(wait_readable(epoll, listener) == 1);
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	EXPECT(fd >= 0);
	EXPECT(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
	EXPECT(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0);
	EXPECT(fcntl(fd, F_GETFL) & O_NONBLOCK);
	EXPECT(wait_readable(epoll, fd) == 1);
	ssize_t got = recv(fd, text, sizeof(text), 0);
	EXPECT(got > 0 && send(fd, text, (size_t)got, MSG_NOSIGNAL) == got);
	EXPECT(shutdown(fd, SHUT_WR) == 0 && close(fd) == 0);
}

static void
ask_one(uint16_t port, const char *text)
{
	char answer[64] = "";
	int fd = connected(port);

	assert_true(fd >= 0);
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	assert_int_equal(recv(fd, answer, sizeof(answer) - 1, MSG_WAITALL), strlen(text));
	assert_string_equal(answer, text);
	close(fd);
}

static void
the_date_needs_no_file(void)
{
	struct tm day;
	time_t now = time(NULL);

	EXPECT(gmtime_r(&now, &day) && day.tm_year > 120);
}

static void
heap_works(void)
{
	char *volatile big = malloc(8 * MIB);

	EXPECT(big);
	memset(big, 1, 8 * MIB);
	big = realloc(big, 16 * MIB);
	EXPECT(big && big[8 * MIB - 1] == 1);
	free(big);
}

static void
edge_works(const struct work *w)
{
	enum vault_grade grade = w->segment >= 0 ? VAULT_SEALED : VAULT_LOCKED;
	struct vault *v = vault_open(grade, 64 * MIB, 0);
	int epoll = epoll_create1(EPOLL_CLOEXEC), alarm = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	const struct itimerspec at = {.it_value.tv_nsec = 1};
	uint64_t now_ms = 1;

	EXPECT(v && epoll >= 0 && alarm >= 0);
	lock_down(PROFILE_EDGE, w);
	EXPECT(timerfd_settime(alarm, TFD_TIMER_ABSTIME, &at, NULL) == 0 && wait_readable(epoll, alarm) == 1);
	EXPECT(close(alarm) == 0);
	the_date_needs_no_file();
	heap_works();
	answer_one(epoll, w->listener);
	int segment = grade == VAULT_SEALED ? recv_fd(w->channel) : -1;
	EXPECT(grade == VAULT_LOCKED || segment >= 0);
	EXPECT(vault_add_segment(v, segment, grade == VAULT_SEALED ? VAULT_SEGMENT : 2 * MIB));
	char *p = vault_alloc(v, VAULT_BLOCK_MAX);
	EXPECT(p);
	memset(p, 1, VAULT_BLOCK_MAX);
	vault_free(v, p, VAULT_BLOCK_MAX);
	EXPECT(!vault_add_segment(v, -1, VAULT_SEGMENT) == (grade == VAULT_SEALED));
	vault_tend(v, now_ms);
	vault_tend(v, now_ms + VAULT_IDLE_MS);
	vault_close(&v);
}

static void
work_of_an_edge(struct work w)
{
	int channel[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel), 0);
	w.listener = bound_socket(SOCK_STREAM, &w.port);
	w.channel = channel[1];
	pid_t pid = start(edge_works, &w);
	close(w.listener); /* the child has its own: one that ended has nobody wait for it */
	ask_one(w.port, "hello edge");
	if (w.segment >= 0) {
		assert_true(send_fd(channel[0], w.segment));
		close(w.segment);
	}
	assert_int_equal(status_of(pid), 0);
	close(channel[0]);
	close(channel[1]);
}

/*
 * As user nobody with CAP_IPC_LOCK alone when started by root: the segment is larger than the usual
 * RLIMIT_MEMLOCK.
 */
static void
an_edge_relays_and_maps_sealed_segments_that_it_is_handed(void **state)
{
	struct work w = {.segment = vault_segment_create(VAULT_SEALED, VAULT_SEGMENT),
		.change_user = geteuid() == 0};

	if (w.segment < 0)
		skip();
	if (vault_grade_available(VAULT_SEGMENT, NULL) != VAULT_SEALED) {
		close(w.segment);
		skip();
	}
	work_of_an_edge(w);
}

static void
an_edge_maps_locked_memory_of_its_own(void **state)
{
	if (vault_grade_available(64 * MIB, NULL) < VAULT_LOCKED)
		skip();
	work_of_an_edge((struct work){.segment = -1, .change_user = geteuid() == 0});
}

static void
edge_aborts(const struct work *w)
{
	lock_down(PROFILE_EDGE, w);
	abort();
}

static void
edge_asserts(const struct work *w)
{
	lock_down(PROFILE_EDGE, w);
	assert(w->port == 1);
}

static void
edge_corrupts_heap(const struct work *w)
{
	void *volatile p = malloc(5000);

	lock_down(PROFILE_EDGE, w);
	free(p);
	free(p);
}

__attribute__((noinline, no_sanitize("address", "undefined"))) static void
smash(volatile char *at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = 'x';
}

__attribute__((no_sanitize("address", "undefined"))) static void
edge_smashes_stack(const struct work *w)
{
	volatile char small[16];

	lock_down(PROFILE_EDGE, w);
	smash(small, sizeof(small) + 64 + (size_t)w->other_port);
}

/* The end that was meant, with its line on descriptor 2, and not SIGSYS on the way to it. */
static void
our_own_bugs_end_an_edge_by_sigabrt(void **state)
{
	static void (*const cases[])(const struct work *) = {
		edge_aborts, edge_asserts, edge_corrupts_heap, edge_smashes_stack};
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		dup2(null, STDERR_FILENO);
		int status = ends(cases[i], &(struct work){0});
		dup2(saved, STDERR_FILENO);
		/* AddressSanitizer sees the third itself and ends by its own exit status. */
		if (!(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT) &&
			!(i == 2 && WIFEXITED(status) && WEXITSTATUS(status)))
			fail_msg("case %zu ended with status %x", i, (unsigned)status);
	}
	close(saved);
	close(null);
}

static void
edge_makes_socket(const struct work *w)
{
	lock_down(PROFILE_EDGE, w);
	(void)socket(AF_INET, SOCK_STREAM, 0);
}

static void
edge_executes(const struct work *w)
{
	lock_down(PROFILE_EDGE, w);
	execl("/bin/true", "true", NULL);
}

static void
edge_forks(const struct work *w)
{
	lock_down(PROFILE_EDGE, w);
	if (fork() == 0)
		_exit(0);
}

static void
edge_maps_code(const struct work *w)
{
	lock_down(PROFILE_EDGE, w);
	(void)!mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void
edge_reconnects(const struct work *w)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(w->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	lock_down(PROFILE_EDGE, w);
	(void)!sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&to, sizeof(to));
}

static void
edge_asks_for_zero_copy(const struct work *w)
{
	int on = 1;

	lock_down(PROFILE_EDGE, w);
	(void)setsockopt(w->listener, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on));
}

static void
edge_makes_alarm(const struct work *w)
{
	lock_down(PROFILE_EDGE, w);
	(void)!timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
}

/* The forms that reach a file or ask about one, and arguments with which they would succeed. */
static void
edge_opens(const struct work *w)
{
	lock_down((enum profile_role)w->role, w);
	(void)!syscall(SYS_open, "/etc/passwd", O_RDONLY);
}

static void
edge_opens_at(const struct work *w)
{
	lock_down((enum profile_role)w->role, w);
	(void)!open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

static void
edge_opens_in_the_newest_way(const struct work *w)
{
	const uint64_t how[3] = {O_RDONLY};

	lock_down((enum profile_role)w->role, w);
	(void)!syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", how, sizeof(how));
}

static void
edge_makes_file(const struct work *w)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/made", data_dir);
	lock_down((enum profile_role)w->role, w);
	(void)!creat(path, 0600);
}

static void
edge_asks_about_file(const struct work *w)
{
	struct stat st;

	lock_down((enum profile_role)w->role, w);
	(void)!stat("/etc/passwd", &st);
}

static void
edge_follows_link(const struct work *w)
{
	char path[128];

	lock_down((enum profile_role)w->role, w);
	(void)!readlink("/proc/self/exe", path, sizeof(path));
}

static void
edge_connects(const struct work *w)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(w->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	lock_down((enum profile_role)w->role, w);
	(void)!connect(fd, (struct sockaddr *)&to, sizeof(to));
}

static void
ended_by_its_filter(void (*const run)(const struct work *), const struct work *w, const char *what, size_t number)
{
	int status = ends(run, w);

	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
		fail_msg("%s %zu ended with status %x", what, number, (unsigned)status);
}

static void
what_an_edge_must_not_do_ends_it(void **state)
{
	static void (*const cases[])(const struct work *) = {edge_makes_socket, edge_connects, edge_executes,
		edge_forks, edge_maps_code, edge_reconnects, edge_asks_for_zero_copy, edge_makes_alarm};
	struct work w = {.role = PROFILE_EDGE};

	w.listener = bound_socket(SOCK_STREAM, &w.port);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		ended_by_its_filter(cases[i], &w, "case", i);
	close(w.listener);
}

/* Sanitizers open files themselves, so their builds refuse some of it without an end. */
static void
who_has_no_files_ends_by_asking_for_one(void **state)
{
	static void (*const cases[])(const struct work *) = {edge_opens, edge_opens_at, edge_opens_in_the_newest_way,
		edge_makes_file, edge_asks_about_file, edge_follows_link};
	static const enum profile_role roles[] = {PROFILE_EDGE, PROFILE_SCRIBE, PROFILE_SIGNER};

	if (SANITIZED)
		skip();
	for (size_t r = 0; r < ARRAY_LEN(roles); r++)
		for (size_t i = 0; i < ARRAY_LEN(cases); i++)
			ended_by_its_filter(cases[i], &(struct work){.role = roles[r]}, "role and case", 10 * roles[r] + i);
}

static void
edge_writes_to_file(const struct work *w)
{
	lock_down((enum profile_role)w->role, w);
	(void)!write(w->file, "a word of somebody's", 20);
}

/* By a descriptor that it was given, which it never is: the call is the one for sockets. */
static void
an_edge_that_writes_to_a_file_ends_and_nothing_is_in_it(void **state)
{
	static const enum profile_role roles[] = {PROFILE_EDGE, PROFILE_DIALER, PROFILE_SIGNER};
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/written", data_dir);
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		struct work w = {.role = roles[i], .file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)};

		assert_true(w.file >= 0);
		int status = ends(edge_writes_to_file, &w);
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGXFSZ)
			fail_msg("role %d ended with status %x", (int)roles[i], (unsigned)status);
		assert_int_equal(fstat(w.file, &st), 0);
		assert_int_equal(st.st_size, 0);
		close(w.file);
		assert_int_equal(unlink(path), 0);
	}
}

static void
name_found(void *arg, int status, int timeouts, struct hostent *host)
{
	*(int *)arg = status;
}

static void
run_resolver(ares_channel channel, const int *status)
{
	while (*status == -1) {
		ares_socket_t fds[ARES_GETSOCK_MAXNUM];
		struct pollfd polled[ARES_GETSOCK_MAXNUM];
		int bits = ares_getsock(channel, fds, ARES_GETSOCK_MAXNUM);
		nfds_t count = 0;

		while (count < ARES_GETSOCK_MAXNUM && ARES_GETSOCK_READABLE(bits, count)) {
			polled[count] = (struct pollfd){fds[count], POLLIN, 0};
			count++;
		}
		poll(polled, count, 50);
		if (count == 0)
			ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
		for (nfds_t i = 0; i < count; i++)
			ares_process_fd(channel, polled[i].revents ? fds[i] : ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	}
}

static int
resolve(ares_channel channel, const char *name)
{
	int status = -1;

	ares_gethostbyname(channel, name, AF_INET, name_found, &status);
	run_resolver(channel, &status);
	return status;
}

static void
dialer_works(const struct work *w)
{
	struct ares_options options = {.timeout = 100, .tries = 1};
	ares_channel channel;
	char server[32];

	snprintf(server, sizeof(server), "127.0.0.1:%u", w->other_port);
	lock_down(PROFILE_DIALER, w);
	EXPECT(ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS);
	EXPECT(
		ares_init_options(&channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES) == ARES_SUCCESS);
	EXPECT(resolve(channel, "localhost") == ARES_SUCCESS); /* from /etc/hosts */
	EXPECT(ares_set_servers_ports_csv(channel, server) == ARES_SUCCESS);
	EXPECT(resolve(channel, "lethe.invalid-name.example") == ARES_ETIMEOUT);
	ares_destroy(channel);
	int fd = connected(w->port), on = 1;
	EXPECT(fd >= 0);
	EXPECT(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
	EXPECT(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on)) < 0 && errno == EACCES);
	EXPECT(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	EXPECT(send_fd(w->channel, fd));
	EXPECT(open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
	EXPECT(open("/etc/hosts", O_RDWR | O_CLOEXEC) < 0 && errno == EACCES);
	EXPECT(
		open("/tmp/lethe-dialer-new", O_CREAT | O_WRONLY | O_CLOEXEC, 0600) < 0 && errno == EACCES);
	EXPECT(socket(AF_NETLINK, SOCK_RAW, 0) < 0 && errno == EACCES);
	EXPECT(socket(AF_INET, SOCK_RAW, 255) < 0 && errno == EACCES);
}

static void
a_dialer_resolves_connects_and_hands_over(void **state)
{
	struct work w = {.change_user = geteuid() == 0};
	int channel[2], listener = bound_socket(SOCK_STREAM, &w.port),
					names = bound_socket(SOCK_DGRAM, &w.other_port);
	char text[512] = "";

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel), 0);
	w.channel = channel[1];
	pid_t pid = start(dialer_works, &w);
	int status = status_of(pid);
	assert_int_equal(status, 0);
	assert_true(recv(names, text, sizeof(text), MSG_DONTWAIT) > 12);
	int accepted = accept4(listener, NULL, NULL, SOCK_CLOEXEC), handed = recv_fd(channel[0]);
	assert_true(accepted >= 0 && handed >= 0);
	assert_int_equal(write(handed, "by hand", 7), 7);
	assert_int_equal(read(accepted, text, 7), 7);
	assert_memory_equal(text, "by hand", 7);
	for (size_t i = 0; i < 6; i++)
		close((int[]){accepted, handed, channel[0], channel[1], listener, names}[i]);
}

static void
sql(sqlite3 *db, const char *text)
{
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK) {
		errno = sqlite3_system_errno(db);
		EXPECT(false);
	}
}

static void
ledger_works(const struct work *w)
{
	char path[128], outside[] = "/tmp/lethe-ledger-outside.db";
	sqlite3 *db = NULL, *other = NULL;
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	snprintf(path, sizeof(path), "%s/ledger.db", data_dir);
	lock_down(PROFILE_LEDGER, w);
	EXPECT(sqlite3_open(path, &db) == SQLITE_OK);
	sql(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;");
	sql(db, "CREATE TABLE posting(id INTEGER PRIMARY KEY, nano INTEGER NOT NULL) STRICT;");
	sql(db, "BEGIN IMMEDIATE;");
	sql(db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<20000)"
			" INSERT INTO posting SELECT i, i*7 FROM n;");
	sql(db, "COMMIT;");
	EXPECT(sqlite3_open_v2(path, &other, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK);
	sql(other, "SELECT sum(nano) FROM posting ORDER BY 1;");
	EXPECT(sqlite3_close(other) == SQLITE_OK);
	sql(db, "DELETE FROM posting WHERE id % 2; PRAGMA wal_checkpoint(TRUNCATE);");
	sql(db, "VACUUM; PRAGMA integrity_check;");
	sql(db, "PRAGMA journal_mode=DELETE; UPDATE posting SET nano=nano+1;");
	EXPECT(sqlite3_close(db) == SQLITE_OK);
	EXPECT(sqlite3_open(outside, &db) == SQLITE_CANTOPEN);
	sqlite3_close(db);
	EXPECT(open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES);
	EXPECT(wait_readable(epoll, w->listener) == 1);
	int fd = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC);
	EXPECT(fd >= 0 && write(fd, "ok", 2) == 2);
}

static void
a_ledger_keeps_its_books_in_its_directory_only(void **state)
{
	struct work w = {.change_user = geteuid() == 0};
	char text[3] = "";

	if (w.change_user)
		assert_int_equal(chown(data_dir, 65534, 65534), 0);
	w.listener = bound_socket(SOCK_STREAM, &w.port);
	pid_t pid = start(ledger_works, &w);
	int fd = connected(w.port);
	assert_int_equal(recv(fd, text, 2, MSG_WAITALL), 2);
	close(fd);
	assert_int_equal(status_of(pid), 0);
	close(w.listener);
}

static void
ledger_connects(const struct work *w)
{
	lock_down(PROFILE_LEDGER, w);
	(void)socket(AF_INET, SOCK_STREAM, 0);
}

static void
a_ledger_makes_no_socket(void **state)
{
	int status = ends(ledger_connects, &(struct work){0});

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

static void
scribe_works(const struct work *w)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	lock_down(PROFILE_SCRIBE, w);
	the_date_needs_no_file();
	answer_one(epoll, w->listener);
	EXPECT(write(w->file, "{\"event\":1}\n", 12) == 12 && fdatasync(w->file) == 0);
}

/* What lies behind what it was given of shared memory is others'. */
static void
edge_grows(const struct work *w)
{
	int fd = memfd_create("shared", MFD_CLOEXEC);
	EXPECT(fd >= 0 && ftruncate(fd, 2 * 4096) == 0);
	void *own = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	EXPECT(own != MAP_FAILED);
	close(fd);
	char *large = malloc(1 << 20);
	EXPECT(large != NULL);
	memset(large, 7, 1 << 20);
	lock_down((enum profile_role)w->role, w);
	EXPECT(mremap(own, 4096, 2 * 4096, MREMAP_MAYMOVE) == MAP_FAILED && errno == EACCES);
	large = realloc(large, 4 << 20); /* which does that where it may */
	EXPECT(large != NULL && large[0] == 7 && large[(1 << 20) - 1] == 7);
	free(large);
}

static void
shared_memory_does_not_grow_for_who_has_a_part_of_it(void **state)
{
	static const enum profile_role roles[] = {PROFILE_EDGE, PROFILE_DIALER, PROFILE_SCRIBE, PROFILE_SIGNER};
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		struct work w = {.change_user = geteuid() == 0, .role = roles[i]};
		assert_int_equal(status_of(start(edge_grows, &w)), 0);
	}
}

static void
a_scribe_writes_its_log_and_answers_on_its_listener(void **state)
{
	struct work w = {.change_user = geteuid() == 0};
	struct stat st;
	char path[128];

	snprintf(path, sizeof(path), "%s/log", data_dir);
	w.file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	assert_true(w.file >= 0);
	w.listener = bound_socket(SOCK_STREAM, &w.port);
	pid_t pid = start(scribe_works, &w);
	close(w.listener);
	ask_one(w.port, "hello scribe");
	assert_int_equal(status_of(pid), 0);
	assert_int_equal(fstat(w.file, &st), 0);
	assert_int_equal(st.st_size, 12);
	close(w.file);
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
	static const char *const names[] = {
		"ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db-journal", "log"};
	char path[128];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", data_dir, names[i]);
		(void)unlink(path);
	}
	return rmdir(data_dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_edge_relays_and_maps_sealed_segments_that_it_is_handed),
		cmocka_unit_test(an_edge_maps_locked_memory_of_its_own),
		cmocka_unit_test(shared_memory_does_not_grow_for_who_has_a_part_of_it),
		cmocka_unit_test(our_own_bugs_end_an_edge_by_sigabrt),
		cmocka_unit_test(what_an_edge_must_not_do_ends_it),
		cmocka_unit_test(who_has_no_files_ends_by_asking_for_one),
		cmocka_unit_test(an_edge_that_writes_to_a_file_ends_and_nothing_is_in_it),
		cmocka_unit_test(a_dialer_resolves_connects_and_hands_over),
		cmocka_unit_test(a_ledger_keeps_its_books_in_its_directory_only),
		cmocka_unit_test(a_ledger_makes_no_socket),
		cmocka_unit_test(a_scribe_writes_its_log_and_answers_on_its_listener),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
