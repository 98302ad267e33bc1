#include "proc/cli_priv.h"

#include "ledger/ledger.h"
#include "proc/pepper.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_MAX = 64 << 20,
	PATIENCE_S = 60,
	PATIENCE_LONG_S = 3600,
	PATIENCE_QUIET_S = 1 };

/* ---- a server ---- */

/*
 * Reached through the directory's descriptor: a socket's own path may have 107 bytes only. -1: nobody listens
 * (errno).
 */
static int
connect_to_server(int dir, int patience_s)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/control.sock", dir);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	struct timeval patience = {.tv_sec = patience_s};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	int error = errno;
	close(fd);
	errno = error;
	return -1;
}

static bool
send_all(int fd, const char *at, size_t left)
{
	while (left > 0) {
		ssize_t n = send(fd, at, left, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		left -= (size_t)n;
	}
	return true;
}

/* One line. NULL: the server closed, fell silent or answered without end. */
static char *
receive_line(int fd)
{
	size_t len = 0, cap = 0;
	char *line = NULL;
	for (;;) {
		if (len + 1 >= cap) {
			cap = cap == 0 ? 65536 : 2 * cap;
			char *more = cap > ANSWER_MAX ? NULL : realloc(line, cap);
			if (more == NULL)
				break;
			line = more;
		}
		ssize_t n = recv(fd, line + len, cap - len - 1, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
		line[len] = '\0';
		if (line[len - 1] == '\n')
			return line;
	}
	free(line);
	return NULL;
}

/* NULL: no answer, or none that can be read. */
static json_t *
converse(int fd, const json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT), *line = NULL;
	json_t *answer = NULL;
	size_t len = text == NULL ? 0 : strlen(text);
	if (len > 0) {
		text[len] = '\n'; /* in the place of the terminator: one message, one write */
		if (send_all(fd, text, len + 1))
			line = receive_line(fd);
	}
	if (line != NULL)
		answer = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	if (line != NULL)
		sodium_memzero(line, strlen(line)); /* it may hold a new key */
	free(line);
	free(text);
	return answer;
}

/* ---- the ledger itself ---- */

/*
 * Root would leave files that the server can't write: take the identity of the directory's owner, who can do the
 * same.
 */
bool
cli_become_owner(const struct cli *cli, int dir)
{
	struct stat st;
	if (geteuid() != 0 || fstat(dir, &st) != 0 || st.st_uid == 0)
		return true;
	if (setgroups(0, NULL) == 0 && setresgid(st.st_gid, st.st_gid, st.st_gid) == 0 &&
		setresuid(st.st_uid, st.st_uid, st.st_uid) == 0)
		return true;
	cli_fail(cli, CLI_UNREACHABLE, "owner",
		"%s belongs to user %u, and becoming that user failed: %s – run this command as that user", cli->data_dir,
		(unsigned)st.st_uid, strerror(errno));
	return false;
}

static json_t *
be_the_ledger(const struct cli *cli, const json_t *request)
{
	uint8_t pepper[API_KEY_PEPPER_BYTES], seed[RECEIPT_SEED_BYTES], master[BYOK_SEED_BYTES], byok[BYOK_PUBLIC_BYTES];
	char why[PEPPER_WHY_MAX] = "";
	struct ledger *ledger = NULL;
	json_t *answer = NULL;
	if (!pepper_load_or_create(cli->data_dir, pepper, why) || !receipt_seed_load_or_create(cli->data_dir, seed, why) ||
		!master_load_or_create(cli->data_dir, master, why)) {
		cli_fail(cli, CLI_UNREACHABLE, "secret", "%s", why);
		return NULL;
	}
	byok_public(master, byok);
	sodium_memzero(master, sizeof master);
	struct ledger_options options = {.data_dir = cli->data_dir, .pepper = pepper, .receipt_seed = seed, .byok_public = byok, .node = LEDGER_NODE_COMMANDS};
	enum ledger_open opened = ledger_open(&options, &ledger, why);
	if (opened == LEDGER_OPENED)
		answer = ledger_control(ledger, request);
	else
		cli_fail(cli, CLI_UNREACHABLE, opened == LEDGER_LOCKED ? "locked" : "ledger", "%s", why);
	ledger_close(&ledger);
	sodium_memzero(pepper, sizeof pepper);
	sodium_memzero(seed, sizeof seed);
	return answer;
}

/* Whoever names another directory by mistake is to hear it, and not to begin books there: that a server does, or the first account. */
static bool
has_begun(int dir)
{
	static const char *const files[] = {"pepper", "ledger.db", "store", LEDGER_RESTORE_READY};
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		if (faccessat(dir, files[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
			return true;
	}
	return false;
}

/* What reads all tickets there are takes its time. */
static int
patience(const char *op)
{
	return strcmp(op, "ledger.verify") == 0 || strcmp(op, "usage") == 0 || strcmp(op, "reconcile.run") == 0 ? PATIENCE_LONG_S : PATIENCE_S;
}

json_t *
cli_ask_quietly(const struct cli *cli, const json_t *request)
{
	json_t *answer = NULL;
	int dir = open(cli->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = dir < 0 ? -1 : connect_to_server(dir, PATIENCE_QUIET_S);
	int error = fd >= 0 ? 0 : errno;
	if (fd >= 0) {
		answer = converse(fd, request);
		close(fd);
	}
	if (dir >= 0)
		close(dir);
	errno = error;
	return answer;
}

json_t *
cli_ask(const struct cli *cli, const json_t *request)
{
	json_t *answer = NULL;
	int patience_s = patience(cli->command->op);
	int dir = open(cli->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 && errno == EACCES) {
		cli_fail(cli, CLI_UNREACHABLE, "data_dir",
			"the data directory %s can't be opened: %s – run this command as root (sudo) or as the server's user, or give another with --data",
			cli->data_dir, strerror(errno));
		return NULL;
	}
	if (dir < 0) {
		cli_fail(cli, CLI_UNREACHABLE, "data_dir",
			"the data directory %s can't be opened: %s – give it with --data DIR or LETHE_DATA; a new one: mkdir -m 700 %s",
			cli->data_dir, strerror(errno), cli->data_dir);
		return NULL;
	}
	int fd = connect_to_server(dir, patience_s);
	if (fd >= 0) {
		answer = converse(fd, request);
		if (answer == NULL)
			cli_fail(cli, CLI_UNREACHABLE, "no_answer",
				"the server in %s did not answer; whether this was done is not known – look (`lethe status`), then ask again with the same --id", cli->data_dir);
	} else if (errno != ENOENT && errno != ECONNREFUSED)
		cli_fail(cli, CLI_UNREACHABLE, "control_socket",
			"%s/control.sock: %s – run this command as the server's user or as root", cli->data_dir, strerror(errno));
	else if (!has_begun(dir) && strcmp(cli->command->op, "account.create") != 0)
		cli_fail(cli, CLI_UNREACHABLE, "no_books", "there are no books in %s – give their directory with --data or LETHE_DATA; `lethe serve` or `lethe account create` begins some", cli->data_dir);
	else if (cli_become_owner(cli, dir))
		answer = be_the_ledger(cli, request);
	if (fd >= 0)
		close(fd);
	close(dir);
	return answer;
}
