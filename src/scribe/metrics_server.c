#include "core/http1.h"
#include "scribe/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct metrics_connection {
	struct watch watch;
	struct timer deadline;
	struct metrics_server *server;
	bool open;
	size_t got, scanned;
	char request[METRICS_REQUEST_BYTES];
	char *answer; /* NULL: still reading */
	size_t answer_bytes, sent;
};

static void
connection_close(struct metrics_connection *c)
{
	int fd = c->watch.fd;
	loop_forget(c->server->loop, &c->watch);
	timer_cancel(c->server->loop, &c->deadline);
	close(fd);
	free(c->answer);
	c->answer = NULL;
	c->open = false;
	c->server->open--;
}

static void
deadline_fired(struct timer *t)
{
	connection_close(container_of(t, struct metrics_connection, deadline));
}

static void
connection_send(struct metrics_connection *c)
{
	while (c->sent < c->answer_bytes) {
		ssize_t n =
			send(c->watch.fd, c->answer + c->sent, c->answer_bytes - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 && errno != EINTR)
			break;
		c->sent += n > 0 ? (size_t)n : 0;
	}
	connection_close(c);
}

static bool
target_is(const struct http1_head *h, struct span path)
{
	return h->target.len >= path.len && memcmp(h->target.at, path.at, path.len) == 0 &&
		(h->target.len == path.len || h->target.at[path.len] == '?');
}

static void
head_write(struct text *t, const char *status, const char *type, size_t bytes)
{
	text_lit(t, "HTTP/1.1 ");
	text_str(t, status);
	text_lit(t, "\r\nContent-Type: ");
	text_str(t, type);
	text_lit(t, "\r\nContent-Length: ");
	text_u64(t, bytes);
	text_lit(t, "\r\nConnection: close\r\n\r\n");
}

enum { HEAD_ROOM = 256 };

/* The body lies behind room for the longest head already; the head is written right in front of it. */
static void
send_answer(struct metrics_connection *c, const char *status, const char *type, size_t body_bytes)
{
	char memory[HEAD_ROOM];
	struct text head = text_on(memory, sizeof memory);
	head_write(&head, status, type, body_bytes);
	c->sent = HEAD_ROOM - head.len;
	c->answer_bytes = HEAD_ROOM + body_bytes;
	memcpy(c->answer + c->sent, head.at, head.len);
	connection_send(c);
}

#define PLAIN "text/plain; charset=utf-8"

static void
answer_with(struct metrics_connection *c, const char *status, const char *body)
{
	size_t bytes = strlen(body);
	c->answer = malloc(HEAD_ROOM + bytes);
	if (!c->answer) {
		connection_close(c);
		return;
	}
	memcpy(c->answer + HEAD_ROOM, body, bytes);
	send_answer(c, status, PLAIN, bytes);
}

/* Prometheus lists what it takes, best first, and OpenMetrics only when it is willing to have it. */
static bool
wants_openmetrics(const struct http1_head *h)
{
	const struct http1_field *f = http1_field_find(h, HTTP1_ACCEPT);
	if (!f)
		return false;
	struct span v = http1_field_value(h, f);
	return memmem(v.at, v.len, "application/openmetrics-text", strlen("application/openmetrics-text")) != NULL;
}

static void
answer_metrics(struct metrics_connection *c, const struct http1_head *h)
{
	bool openmetrics = wants_openmetrics(h);
	size_t bytes;
	c->answer = metrics_text(c->server->metrics, openmetrics, HEAD_ROOM, &bytes);
	if (!c->answer)
		answer_with(c, "503 Service Unavailable", "There is no memory for so many metrics.\n");
	else if (openmetrics)
		send_answer(c, "200 OK", "application/openmetrics-text; version=1.0.0; charset=utf-8", bytes);
	else
		send_answer(c, "200 OK", "text/plain; version=0.0.4; charset=utf-8", bytes);
}

static void
answer_request(struct metrics_connection *c, const struct http1_head *h)
{
	if (h->method != HTTP1_GET)
		answer_with(c, "405 Method Not Allowed", "Only GET is answered here.\n");
	else if (target_is(h, SPAN("/metrics")))
		answer_metrics(c, h);
	else if (target_is(h, SPAN("/healthz")))
		answer_with(c, "200 OK", "ok\n");
	else
		answer_with(c, "404 Not Found", "There are /metrics and /healthz.\n");
}

static void
parse_request(struct metrics_connection *c)
{
	struct http1_head head;
	enum http1_error error;
	switch (http1_request_parse(c->request, c->got, &c->scanned, &head, &error)) {
	case HTTP1_DONE:
		answer_request(c, &head);
		break;
	case HTTP1_BAD:
		answer_with(c, "400 Bad Request", "The request is not valid HTTP/1.1.\n");
		break;
	case HTTP1_MORE:
		if (c->got == sizeof c->request)
			answer_with(c, "431 Request Header Fields Too Large", "The request is too large.\n");
		break;
	}
}

static void
connection_read(struct metrics_connection *c)
{
	while (!c->answer && c->open) {
		ssize_t n = recv(c->watch.fd, c->request + c->got, sizeof c->request - c->got, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			connection_close(c);
			return;
		}
		c->got += (size_t)n;
		parse_request(c);
	}
}

static void
connection_ready(struct watch *w)
{
	struct metrics_connection *c = container_of(w, struct metrics_connection, watch);
	if (c->answer)
		connection_send(c);
	else
		connection_read(c);
}

static void
connection_open(struct metrics_server *s, int fd)
{
	struct metrics_connection *c = s->connection;
	while (c->open)
		c++;
	*c = (struct metrics_connection){.server = s};
	if (!loop_watch(s->loop, &c->watch, fd, connection_ready)) {
		close(fd);
		return;
	}
	c->open = true;
	s->open++;
	timer_arm(s->loop, &c->deadline, s->loop->now_ms + METRICS_TIMEOUT_MS, deadline_fired);
}

static void
listener_ready(struct watch *w)
{
	struct metrics_server *s = container_of(w, struct metrics_server, listener);
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	w->flags = 0;
	if (fd < 0)
		return;
	if (s->open == METRICS_CONNECTIONS)
		close(fd);
	else
		connection_open(s, fd);
}

bool
metrics_server_open(struct metrics_server *s, struct loop *l, struct metrics *m, int fd)
{
	*s = (struct metrics_server){.loop = l, .metrics = m, .listener.fd = -1};
	if (fd < 0)
		return true;
	s->connection = calloc(METRICS_CONNECTIONS, sizeof *s->connection);
	if (s->connection && loop_watch_listener(l, &s->listener, fd, listener_ready))
		return true;
	free(s->connection);
	close(fd);
	return false;
}

void
metrics_server_close(struct metrics_server *s)
{
	if (!s->connection)
		return;
	for (uint32_t i = 0; i < METRICS_CONNECTIONS; i++)
		if (s->connection[i].open)
			connection_close(&s->connection[i]);
	int fd = s->listener.fd;
	loop_forget(s->loop, &s->listener);
	close(fd);
	free(s->connection);
	s->connection = NULL;
}
