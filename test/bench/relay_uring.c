/*
 * The bare relay by io_uring: plain receive and send, one of either under way for each direction, no fixed buffers or files,
 * so that it does what a gateway could do whose buffers come from a vault. Beside relay.c it answers whether Lethe's
 * loop should be one (docs/decisions). A receive that waits keeps its buffer: that is the price in memory of this kind.
 */
#include "net.h"
#include "relay_options.h"
#include "uring.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	BUFFER_BYTES = 64 * 1024,
	ENTRIES = 1024,
};

enum op { OP_ACCEPT,
	OP_CONNECT,
	OP_RECEIVE,
	OP_SEND,
	OP_MASK = 7 };

/* One of two ends. The bytes that came from it are sent to the other, and then more are received. */
struct end {
	int fd;
	struct end *other;
	bool ended; /* no more comes from it */
	size_t len, sent;
	char *bytes;
};

struct pair {
	struct end client, upstream;
	unsigned under_way; /* requests whose answer is still to come */
	bool dead;
};

static struct uring ring;
static int listener;
static struct net_address upstream_address;

static struct pair *
pair_of(struct end *e)
{
	return e->other > e ? container_of(e, struct pair, client) : container_of(e, struct pair, upstream);
}

/* ---- asking ---- */

static struct io_uring_sqe *
ask(struct end *e, enum op op, uint8_t opcode, int fd)
{
	struct io_uring_sqe *s = uring_request(&ring);
	s->opcode = opcode;
	s->fd = fd;
	s->user_data = (uint64_t)(uintptr_t)e | op;
	if (e)
		pair_of(e)->under_way++;
	return s;
}

static void
ask_accept(void)
{
	struct io_uring_sqe *s = ask(NULL, OP_ACCEPT, IORING_OP_ACCEPT, listener);
	s->accept_flags = SOCK_CLOEXEC;
}

static void
ask_connect(struct end *e)
{
	struct io_uring_sqe *s = ask(e, OP_CONNECT, IORING_OP_CONNECT, e->fd);
	s->addr = (uint64_t)(uintptr_t)&upstream_address.at;
	s->off = upstream_address.len;
}

static void
ask_receive(struct end *from)
{
	struct io_uring_sqe *s = ask(from, OP_RECEIVE, IORING_OP_RECV, from->fd);
	s->addr = (uint64_t)(uintptr_t)from->bytes;
	s->len = BUFFER_BYTES;
}

static void
ask_send(struct end *from)
{
	struct io_uring_sqe *s = ask(from, OP_SEND, IORING_OP_SEND, from->other->fd);
	s->addr = (uint64_t)(uintptr_t)(from->bytes + from->sent);
	s->len = (uint32_t)(from->len - from->sent);
	s->msg_flags = MSG_NOSIGNAL;
}

/* ---- answers ---- */

/* What is under way ends with an error, and then the pair is gone. */
static void
kill_pair(struct pair *p)
{
	if (p->dead)
		return;
	p->dead = true;
	shutdown(p->client.fd, SHUT_RDWR);
	shutdown(p->upstream.fd, SHUT_RDWR);
}

static void
bury(struct pair *p)
{
	close(p->client.fd);
	close(p->upstream.fd);
	free(p->client.bytes);
	free(p->upstream.bytes);
	free(p);
}

static void
no_delay(int fd)
{
	int one = 1;
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0)
		abort();
}

static void
accepted(int fd)
{
	ask_accept();
	if (fd < 0)
		return;
	struct pair *p = calloc(1, sizeof *p);
	int up = socket(upstream_address.at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!p || up < 0) {
		free(p);
		close(fd);
		if (up >= 0)
			close(up);
		return;
	}
	no_delay(fd);
	no_delay(up);
	p->client = (struct end){.fd = fd, .other = &p->upstream, .bytes = malloc(BUFFER_BYTES)};
	p->upstream = (struct end){.fd = up, .other = &p->client, .bytes = malloc(BUFFER_BYTES)};
	if (!p->client.bytes || !p->upstream.bytes)
		abort();
	ask_connect(&p->upstream);
}

static void
connected(struct end *upstream, int result)
{
	if (result < 0) {
		kill_pair(pair_of(upstream));
		return;
	}
	ask_receive(upstream);
	ask_receive(upstream->other);
}

static void
received(struct end *from, int n)
{
	if (n > 0) {
		from->len = (size_t)n;
		from->sent = 0;
		ask_send(from);
		return;
	}
	from->ended = true;
	if (n < 0 || from->other->ended)
		kill_pair(pair_of(from));
	else
		shutdown(from->other->fd, SHUT_WR);
}

static void
sent(struct end *from, int n)
{
	if (n < 0) {
		kill_pair(pair_of(from));
		return;
	}
	from->sent += (size_t)n;
	if (from->sent < from->len)
		ask_send(from);
	else
		ask_receive(from);
}

static void
on_answer(struct end *e, enum op op, int result)
{
	struct pair *p = pair_of(e);
	p->under_way--;
	if (!p->dead && op == OP_CONNECT)
		connected(e, result);
	else if (!p->dead && op == OP_RECEIVE)
		received(e, result);
	else if (!p->dead)
		sent(e, result);
	if (p->dead && !p->under_way)
		bury(p);
}

static void
run(void)
{
	uint64_t data;
	int result;
	ask_accept();
	for (;;) {
		uring_wait(&ring);
		while (uring_answer(&ring, &data, &result)) {
			if ((data & OP_MASK) == OP_ACCEPT)
				accepted(result);
			else
				on_answer((struct end *)(uintptr_t)(data & ~(uint64_t)OP_MASK), (enum op)(data & OP_MASK), result);
		}
	}
}

int
main(int argc, char **argv)
{
	struct relay_options o = relay_options_parse("lethe-relay-uring", argc, argv);
	upstream_address = o.connect;
	listener = relay_listen(&o);
	/* What waits on a non-blocking socket would be answered at once. */
	if (fcntl(listener, F_SETFL, 0) != 0 || !uring_init(&ring, ENTRIES)) {
		perror("lethe-relay-uring: io_uring_setup");
		return 1;
	}
	run();
}
