#include "prove/provider.h"

#include "prove/session.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum { HEAD_MAX = 64 << 10,
	TURN_MS = 5,
	RUNS_MS = 20000,
	HUGE_HEAD_BYTES = 256 << 10 };

struct connection {
	struct provider *p;
	int fd;
};

/* ---- reading a request ---- */

/* The value of a header field of a head that ends with NUL; NULL: there is none. */
static const char *
field(const char *head, const char *name)
{
	size_t len = strlen(name);
	for (const char *line = strchr(head, '\n'); line; line = strchr(line + 1, '\n'))
		if (strncasecmp(line + 1, name, len) == 0 && line[1 + len] == ':')
			return line + len + 2 + strspn(line + len + 2, " ");
	return NULL;
}

static bool
read_whole_head(struct link *l, char *head, size_t *ret_len, size_t *ret_head)
{
	size_t len = 0;
	for (;;) {
		size_t n = len < HEAD_MAX ? link_read(l, head + len, HEAD_MAX - len) : 0;
		if (n == 0)
			return false;
		len += n;
		head[len] = '\0';
		char *end = memmem(head, len, "\r\n\r\n", 4);
		if (end) {
			*ret_head = (size_t)(end - head) + 4;
			*ret_len = len;
			return true;
		}
	}
}

/* Bodies have a length, or end with an empty chunk. */
static bool
read_body(struct link *l, const char *head, size_t here, const char *at)
{
	char piece[16 << 10];
	const char *length = field(head, "content-length");
	size_t want = length ? strtoull(length, NULL, 10) : 0, tail = here < 5 ? here : 5;
	char end[8] = "";
	if (!length && !field(head, "transfer-encoding"))
		return true;
	memcpy(end + 5 - tail, at + here - tail, tail);
	while (length ? here < want : memcmp(end, "0\r\n\r\n", 5) != 0) {
		size_t n = link_read(l, piece, sizeof piece);
		if (n == 0)
			return false;
		here += n;
		for (size_t i = n < 5 ? 0 : n - 5; i < n; i++) {
			memmove(end, end + 1, 4);
			end[4] = piece[i];
		}
	}
	return true;
}

/* ---- answering ---- */

static bool
say(struct link *l, const char *text)
{
	return link_write(l, text, strlen(text));
}

static bool
say_head(struct link *l, const char *status, const char *type, size_t len, const char *more)
{
	char head[1024], length[64] = "transfer-encoding: chunked\r\n";
	if (len != SIZE_MAX)
		snprintf(length, sizeof length, "content-length: %zu\r\n", len);
	snprintf(head, sizeof head, "HTTP/1.1 %s\r\ncontent-type: %s\r\n%s%s\r\n", status, type, length, more);
	return say(l, head);
}

static bool
say_chunk(struct link *l, const char *at, size_t len)
{
	char size[16];
	snprintf(size, sizeof size, "%zx\r\n", len);
	return len == 0 || (say(l, size) && link_write(l, at, len) && say(l, "\r\n"));
}

/* Of a good answer; more: lines beside those of its endpoint. */
static bool
say_good_head(struct link *l, const struct exchange *x, size_t len, const char *more)
{
	char lines[512];
	size_t used = exchange_answer_lines(x, lines, sizeof lines);
	snprintf(lines + used, sizeof lines - used, "%s", more);
	return say_head(l, "200 OK", prove_forms[x->endpoint].streams ? "text/event-stream; charset=utf-8" : "application/json", len, lines);
}

/* The error's text repeats what was asked, as some providers do. */
static bool
say_error(struct link *l, const struct exchange *x, const char *status)
{
	char body[BODY_MAX];
	int len = snprintf(body, sizeof body, "{\"type\":\"error\",\"error\":{\"type\":\"x\",\"code\":%.3s,\"status\":\"X\",\"message\":\"%s %s\"}}", status,
		x->answered, x->asked);
	return say_head(l, status, "application/json", (size_t)len, "") && link_write(l, body, (size_t)len);
}

static bool
say_gzip(struct link *l, const struct exchange *x)
{
	char body[BODY_MAX], packed[BODY_MAX];
	z_stream z = {.next_in = (Bytef *)body, .avail_in = (uInt)exchange_answer(x, body, sizeof body), .next_out = (Bytef *)packed, .avail_out = sizeof packed};
	if (deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	(void)deflate(&z, Z_FINISH);
	deflateEnd(&z);
	return say_good_head(l, x, z.total_out, "content-encoding: gzip\r\n") && link_write(l, packed, z.total_out);
}

static bool
say_huge_head(struct link *l, const struct exchange *x)
{
	bool said = say(l, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n");
	for (size_t sent = 0; said && sent < HUGE_HEAD_BYTES; sent += TEXT_MAX)
		said = say(l, "x-words: ") && say(l, x->answered) && say(l, "\r\n");
	return said && say(l, "content-length: 2\r\n\r\n{}");
}

/* The beginning of a streamed answer, or of a plain one: half of it. */
static bool
say_some(struct link *l, const struct exchange *x)
{
	char body[BODY_MAX];
	if (!say_good_head(l, x, SIZE_MAX, ""))
		return false;
	if (!prove_forms[x->endpoint].streams)
		return say_chunk(l, body, exchange_answer(x, body, sizeof body) / 2);
	return say_chunk(l, body, exchange_stream_begin(x, body, sizeof body)) && say_chunk(l, body, exchange_stream_piece(x, body, sizeof body));
}

static bool
say_answer(struct link *l, const struct exchange *x)
{
	char body[BODY_MAX];
	if (!prove_forms[x->endpoint].streams) {
		size_t len = exchange_answer(x, body, sizeof body);
		return say_good_head(l, x, len, "") && link_write(l, body, len);
	}
	return say_some(l, x) && say_chunk(l, body, exchange_stream_end(x, body, sizeof body)) && say(l, "0\r\n\r\n");
}

static bool
say_in_drops(struct link *l, const struct exchange *x)
{
	enum { DROP = 11 };
	char body[3 * BODY_MAX];
	size_t len = exchange_stream_begin(x, body, BODY_MAX);
	if (prove_forms[x->endpoint].streams) {
		len += exchange_stream_piece(x, body + len, BODY_MAX);
		len += exchange_stream_end(x, body + len, BODY_MAX);
	} else
		len = exchange_answer(x, body, BODY_MAX);
	bool said = say_good_head(l, x, SIZE_MAX, "");
	for (size_t at = 0; said && at < len; at += DROP)
		said = say_chunk(l, body + at, len - at < DROP ? len - at : DROP);
	return said && say(l, "0\r\n\r\n");
}

static bool
say_broken_json(struct link *l, const struct exchange *x)
{
	char body[BODY_MAX];
	bool streams = prove_forms[x->endpoint].streams;
	size_t len = streams ? exchange_stream_piece(x, body, sizeof body) : exchange_answer(x, body, sizeof body);
	memmove(body + len - 9, streams ? "\n\n" : "[[", 2);
	return say_good_head(l, x, SIZE_MAX, "") && say_chunk(l, body, len - 7) && say(l, "0\r\n\r\n");
}

static bool
say_late_error(struct link *l, const struct exchange *x)
{
	char event[BODY_MAX];
	int len = snprintf(event, sizeof event, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"%s\"}}\n\n", x->answered);
	return say_some(l, x) && say_chunk(l, event, (size_t)len) && say(l, "0\r\n\r\n");
}

static bool
go_on(struct provider *p, struct link *l, const struct exchange *x)
{
	const struct timespec pause = {.tv_nsec = TURN_MS * 1000000L};
	char body[BODY_MAX];
	bool streams = prove_forms[x->endpoint].streams, said = say_some(l, x);
	for (int t = 0; said && t < RUNS_MS / TURN_MS && !atomic_load(&p->stop); t++) {
		nanosleep(&pause, NULL);
		said = streams ? say_chunk(l, body, exchange_stream_piece(x, body, sizeof body)) : say_chunk(l, " ", 1);
	}
	return false;
}

static bool
wait_for_end(struct link *l)
{
	char byte;
	(void)link_read(l, &byte, 1);
	return false;
}

static bool
reset(struct link *l)
{
	link_reset(l);
	return false;
}

/* Whether the connection can be used again. */
static bool
answer(struct provider *p, struct link *l, const struct exchange *x)
{
	switch (x->way->provider) {
	case PROVIDER_ANSWERS:
	case PROVIDER_EARLY:
		return say_answer(l, x);
	case PROVIDER_DRIPS:
		return say_in_drops(l, x);
	case PROVIDER_GZIPS:
		return say_gzip(l, x);
	case PROVIDER_400:
		return say_error(l, x, "400 Bad Request");
	case PROVIDER_401:
		return say_error(l, x, "401 Unauthorized");
	case PROVIDER_404:
		return say_error(l, x, "404 Not Found");
	case PROVIDER_429:
		return say_error(l, x, "429 Too Many Requests");
	case PROVIDER_500:
		return say_error(l, x, "500 Internal Server Error");
	case PROVIDER_529:
		return say_error(l, x, "529 Overloaded");
	case PROVIDER_RESETS:
		return say_some(l, x) && reset(l);
	case PROVIDER_CUTS:
		(void)say_some(l, x);
		return false;
	case PROVIDER_BREAKS_HEAD:
		(void)(say(l, "HTTP/1.1 200 OK\r\n") && say(l, x->answered) && say(l, "\r\n\r\n"));
		return false;
	case PROVIDER_BREAKS_JSON:
		return say_broken_json(l, x);
	case PROVIDER_BREAKS_CHUNKS:
		(void)(say_some(l, x) && say(l, x->answered) && say(l, "\r\n"));
		return false;
	case PROVIDER_HUGE_HEAD:
		return say_huge_head(l, x);
	case PROVIDER_FAILS_LATE:
		return say_late_error(l, x);
	case PROVIDER_SILENT:
		return wait_for_end(l);
	case PROVIDER_FALLS_SILENT:
		return say_some(l, x) && wait_for_end(l);
	case PROVIDER_GOES_ON:
		return go_on(p, l, x);
	}
	return false;
}

/* The exchange that made what the path names, as "batch_prove00000012"; SIZE_MAX: it names nothing. */
static size_t
named(const char *head)
{
	static const char before[] = "prove";
	const char *end = strchr(head, '\r'), *at = head;
	while (end && (at = memmem(at, (size_t)(end - at), before, sizeof before - 1))) {
		char *behind;
		unsigned long number = strtoul(at += sizeof before - 1, &behind, 10);
		if (behind - at == EXCHANGE_DIGITS)
			return number;
	}
	return SIZE_MAX;
}

/* Lethe asks by itself how far something is, or what it has become: in the words of who began it. */
static bool
answer_lethe(struct link *l, const struct exchange *x, const char *head)
{
	char body[BODY_MAX];
	bool results = strstr(head, "/results HTTP/") != NULL;
	size_t len = results ? exchange_answer_as(x, PROVE_MESSAGES_BATCH_RESULTS, body, sizeof body) : exchange_answer(x, body, sizeof body);
	return say_head(l, "200 OK", "application/json", len, "") && link_write(l, body, len);
}

static bool
serve_one(struct provider *p, struct link *l, char *head)
{
	size_t len, head_len;
	if (!read_whole_head(l, head, &len, &head_len))
		return false;
	const char *number = field(head, PROVE_HEADER);
	size_t about = named(head), id = number ? strtoull(number, NULL, 10) : about;
	if (id >= p->exchange_count)
		return false;
	struct exchange *x = &p->exchanges[id];
	if (!number)
		return answer_lethe(l, x, head);
	if (about < p->exchange_count)
		atomic_store(&x->number, (uint32_t)about);
	atomic_fetch_add(&p->requests, 1);
	const char *session = prove_forms[x->endpoint].duplex && session_is_agreed(x->way->provider) ? field(head, "sec-websocket-key") : NULL;
	if (session) {
		session_serve(l, x, session, &p->stop);
		return false;
	}
	if (x->way->provider == PROVIDER_EARLY)
		return answer(p, l, x) && false;
	if (!read_body(l, head, len - head_len, head + head_len))
		return false;
	atomic_store(&x->seen, 1);
	return answer(p, l, x);
}

static void *
serve(void *arg)
{
	struct connection c = *(struct connection *)arg;
	struct link l;
	char *head = malloc(HEAD_MAX + 1);
	free(arg);
	if (link_accept(&l, c.fd, c.p->tls)) {
		while (head && !atomic_load(&c.p->stop) && serve_one(c.p, &l, head))
			;
		link_close(&l);
	}
	free(head);
	atomic_fetch_sub(&c.p->connections, 1);
	return NULL;
}

static void
serve_aside(struct provider *p, int fd)
{
	pthread_t thread;
	struct connection *c = malloc(sizeof *c);
	if (c)
		*c = (struct connection){p, fd};
	atomic_fetch_add(&p->connections, 1);
	if (c && pthread_create(&thread, NULL, serve, c) == 0) {
		pthread_detach(thread);
		return;
	}
	free(c);
	close(fd);
	atomic_fetch_sub(&p->connections, 1);
}

static void *
accept_all(void *arg)
{
	struct provider *p = arg;
	int fd;
	while ((fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		serve_aside(p, fd);
	return NULL;
}

bool
provider_open(struct provider *p, SSL_CTX *tls, struct exchange *exchanges, uint32_t exchange_count)
{
	enum { BACKLOG = 256 };
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;
	*p = (struct provider){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .tls = tls, .exchanges = exchanges, .exchange_count = exchange_count};
	if (p->fd >= 0 && bind(p->fd, (struct sockaddr *)&at, len) == 0 && listen(p->fd, BACKLOG) == 0 && getsockname(p->fd, (struct sockaddr *)&at, &len) == 0) {
		p->port = ntohs(at.sin_port);
		if (pthread_create(&p->acceptor, NULL, accept_all, p) == 0)
			return true;
	}
	if (p->fd >= 0)
		close(p->fd);
	return false;
}

void
provider_close(struct provider *p)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	atomic_store(&p->stop, true);
	shutdown(p->fd, SHUT_RDWR);
	pthread_join(p->acceptor, NULL);
	close(p->fd);
	while (atomic_load(&p->connections)) /* bounded by the links' patience */
		nanosleep(&pause, NULL);
}
