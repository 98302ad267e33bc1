#include "ledger/control_clients.h"

#include "ledger/ledger_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_AT_ONCE = 4096 };

static void
wipe(char **bytes, size_t len)
{
	if (*bytes != NULL)
		explicit_bzero(*bytes, len);
	free(*bytes);
	*bytes = NULL;
}

static void
close_client(struct clients *c, struct client *x)
{
	close(x->fd);
	wipe(&x->in, x->in_cap);
	wipe(&x->out, x->out_len);
	*x = (struct client){.fd = -1};
	c->count--;
}

void
clients_init(struct clients *c, struct ledger *l)
{
	*c = (struct clients){.ledger = l};
	for (int i = 0; i < CLIENTS_MAX; i++)
		c->client[i].fd = -1;
}

void
clients_finish(struct clients *c)
{
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (c->client[i].fd >= 0)
			close_client(c, &c->client[i]);
}

void
clients_accept(struct clients *c, int listen_fd, uint64_t now_ms)
{
	int fd = c->count < CLIENTS_MAX ? accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
	if (fd < 0)
		return;
	struct client *x = c->client;
	while (x->fd >= 0)
		x++;
	*x = (struct client){.fd = fd, .heard_ms = now_ms};
	c->count++;
}

/* ---- answers ---- */

/* False: the connection is gone. */
static bool
flush(struct client *x)
{
	while (x->out != NULL && x->out_at < x->out_len) {
		ssize_t n = send(x->fd, x->out + x->out_at, x->out_len - x->out_at, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		x->out_at += (size_t)n;
	}
	wipe(&x->out, x->out_len);
	x->out_len = x->out_at = 0;
	return !x->last;
}

static void
set_answer(struct client *x, json_t *answer)
{
	x->out = json_dumps(answer, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(answer);
	if (x->out == NULL)
		abort();
	/* In the terminator's place. */
	x->out_len = strlen(x->out) + 1;
	x->out[x->out_len - 1] = '\n';
	x->out_at = 0;
}

static json_t *
answer_line(struct ledger *l, const char *line, size_t len)
{
	json_error_t error;
	json_t *request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	if (request == NULL)
		return control_error("bad_request", "not a line of JSON: %s (column %d)", error.text, error.column);
	json_t *answer = ledger_control(l, request);
	json_decref(request);
	return answer;
}

/* ---- requests ---- */

/* The next complete line, when no answer is on its way. False: the connection is to be closed. */
static bool
take_lines(struct clients *c, struct client *x)
{
	char *end;
	while (x->out == NULL && x->in_len > 0 && (end = memchr(x->in, '\n', x->in_len)) != NULL) {
		size_t len = (size_t)(end - x->in);
		set_answer(x, answer_line(c->ledger, x->in, len));
		x->in_len -= len + 1;
		memmove(x->in, end + 1, x->in_len);
		explicit_bzero(x->in + x->in_len, len + 1);
		if (!flush(x))
			return false;
	}
	if (x->out != NULL || x->in_len < CLIENT_REQUEST_MAX)
		return true;
	x->last = true;
	set_answer(x, control_error("too_large", "a request is a line of at most %d bytes", CLIENT_REQUEST_MAX));
	return flush(x);
}

static bool
make_room(struct client *x)
{
	if (x->in_cap - x->in_len >= READ_AT_ONCE)
		return true;
	size_t cap = x->in_cap == 0 ? READ_AT_ONCE : 2 * x->in_cap;
	cap = cap > CLIENT_REQUEST_MAX + READ_AT_ONCE ? CLIENT_REQUEST_MAX + READ_AT_ONCE : cap;
	char *more = calloc(1, cap);
	if (more == NULL)
		return false;
	if (x->in_len > 0)
		memcpy(more, x->in, x->in_len);
	wipe(&x->in, x->in_cap);
	x->in = more;
	x->in_cap = cap;
	return true;
}

static bool
read_more(struct clients *c, struct client *x, uint64_t now_ms)
{
	if (!make_room(x))
		return false;
	ssize_t n = recv(x->fd, x->in + x->in_len, READ_AT_ONCE, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	x->in_len += (size_t)n;
	x->heard_ms = now_ms;
	return take_lines(c, x);
}

/* ---- poll ---- */

size_t
clients_poll(const struct clients *c, struct pollfd *polls, uint64_t now_ms, int *wait_ms)
{
	size_t count = 0;
	for (int i = 0; i < CLIENTS_MAX; i++) {
		const struct client *x = &c->client[i];
		if (x->fd < 0)
			continue;
		polls[count++] = (struct pollfd){.fd = x->fd, .events = x->out != NULL ? POLLOUT : POLLIN};
		uint64_t end_ms = x->heard_ms + CLIENT_PATIENCE_MS;
		int left_ms = end_ms > now_ms ? (int)(end_ms - now_ms) : 0;
		*wait_ms = left_ms < *wait_ms ? left_ms : *wait_ms;
	}
	return count;
}

void
clients_ready(struct clients *c, const struct pollfd *poll, uint64_t now_ms)
{
	struct client *x = c->client;
	while (x < c->client + CLIENTS_MAX && x->fd != poll->fd)
		x++;
	if (x == c->client + CLIENTS_MAX || poll->revents == 0)
		return;
	bool stays;
	if (x->out != NULL)
		stays = flush(x) && take_lines(c, x);
	else
		stays = read_more(c, x, now_ms);
	if (!stays)
		close_client(c, x);
}

void
clients_tend(struct clients *c, uint64_t now_ms)
{
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (c->client[i].fd >= 0 && now_ms >= c->client[i].heard_ms + CLIENT_PATIENCE_MS)
			close_client(c, &c->client[i]);
}

bool
clients_busy(const struct clients *c)
{
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (c->client[i].fd >= 0 && c->client[i].out != NULL)
			return true;
	return false;
}
