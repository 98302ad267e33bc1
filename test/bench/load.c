#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	RECEIVE_BYTES = 256 * 1024,
	HEAD_MOST = 8192,
	EVENTS_A_TURN = 512,
	STAMP_LEN = 22,
	KEEP_MOST = STAMP_LEN - 1,
};

enum load_state { LOAD_UNUSED,
	LOAD_CONNECTING,
	LOAD_SHAKING, /* hands, by TLS */
	LOAD_SENDING,
	LOAD_HEAD,
	LOAD_BODY,
	LOAD_IDLE };

struct load_conn {
	struct link link;
	struct tls_sessions *sessions; /* of this one and those before it; NULL: none is resumed */
	enum load_state state;
	size_t sent;
	uint64_t connected_ns; /* when it began to connect */
	uint64_t began_ns; /* closed loop: when it was sent; fixed rate: when it should have been */
	char *head; /* an unfinished head */
	size_t head_len;
	size_t key; /* of the request that is under way */
	bool keep_alive, failed, chunked, until_close, timed;
	struct http1_chunked chunks;
	uint64_t left;
	char kept[KEEP_MOST]; /* streams: what may be the beginning of a stamp */
	size_t kept_len;
};

/* In front is room for what a stream kept of its last read. */
static char received_room[KEEP_MOST + RECEIVE_BYTES];
static char *const received = received_room + KEEP_MOST;

/* Processes begin at different credentials. */
static void
find_key(struct load *l)
{
	const struct load_keys *k = &l->options->keys;
	if (!k->count)
		return;
	const char *at = memmem(l->request, l->request_len, k->key[0], k->len);
	if (!at) {
		fputs("lethe-load: no --header has the first of --keys\n", stderr);
		exit(2);
	}
	l->key_at = (size_t)(at - l->request);
	l->next_key = l->options->process * k->count / l->options->processes;
}

void
load_init(struct load *l, const struct load_options *o)
{
	memset(l, 0, sizeof *l);
	l->options = o;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	l->conns = calloc(o->connections, sizeof *l->conns);
	l->idle = calloc(o->connections, sizeof(struct load_conn *));
	l->delay_room = o->witness ? (size_t)(o->rate * (o->seconds + 1)) : 0;
	l->delays = o->witness ? calloc(l->delay_room, sizeof *l->delays) : NULL;
	if (l->epoll < 0 || !l->conns || !l->idle || (o->witness && !l->delays))
		abort();
	l->drawn = o->process; /* several do not keep step */
	bool resumes = o->client && o->mode == LOAD_REQUESTS && o->handshakes != LOAD_FULL;
	for (unsigned i = 0; resumes && i < o->connections; i++)
		if (!(l->conns[i].sessions = tls_sessions_create()))
			abort();
	load_build_request(o, &l->request, &l->request_len);
	find_key(l);
}

void
load_reset_counts(struct load *l)
{
	memset(&l->counts, 0, sizeof l->counts);
	memset(&l->latency, 0, sizeof l->latency);
	l->delay_count = 0;
}

/* ---- life of a connection ---- */

static void
watch(struct load *l, struct load_conn *c, int op, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = c};
	if (epoll_ctl(l->epoll, op, c->link.fd, &e) != 0)
		abort();
}

static void
complain(struct load *l, const char *what, const char *detail, size_t len)
{
	l->counts.errors++;
	if (l->first_error[0])
		return;
	snprintf(l->first_error, sizeof l->first_error, "%s %.*s", what, (int)(len < 400 ? len : 400), detail);
}

static void
drop(struct load *l, struct load_conn *c)
{
	link_close(&c->link);
	free(c->head);
	*c = (struct load_conn){.link.fd = -1, .sessions = c->sessions};
	l->alive--;
}

static void
connect_one(struct load *l, struct load_conn *c)
{
	const struct load_options *o = l->options;
	c->connected_ns = net_now_ns();
	int fd = net_connect(&o->to[o->process % o->tos]);
	if (fd < 0) {
		complain(l, "connect:", strerror(errno), 64);
		return;
	}
	if (!link_connect(&c->link, fd, o->client, o->host, c->sessions))
		abort();
	l->alive++;
	c->state = LOAD_CONNECTING;
	watch(l, c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

void
load_finish(struct load *l)
{
	for (unsigned i = 0; i < l->options->connections; i++) {
		struct load_conn *c = &l->conns[i];
		if (c->state != LOAD_UNUSED)
			drop(l, c);
		tls_sessions_destroy(&c->sessions);
	}
	close(l->epoll);
	free(l->conns);
	free(l->idle);
	free(l->delays);
	free(l->request);
}

void
load_open(struct load *l, unsigned n)
{
	for (; n && l->opened < l->options->connections; n--)
		connect_one(l, &l->conns[l->opened++]);
}

/*
 * A closed loop goes on with a new connection; a stream that ends is a fault of whoever ended it.
 */
static void
lost(struct load *l, struct load_conn *c, const char *why)
{
	bool streaming = c->state == LOAD_BODY && l->options->mode != LOAD_REQUESTS;
	l->streaming -= streaming;
	complain(l, why, "", 0);
	drop(l, c);
	if (l->options->mode == LOAD_REQUESTS)
		connect_one(l, c);
}

/* Who lets a connection rest may have it closed: nothing of it is lost, and its next request goes over another one. */
static void
ask_anew(struct load *l, struct load_conn *c)
{
	drop(l, c);
	connect_one(l, c);
}

/* ---- sending ---- */

/* Connections share the request's bytes: those of a credential are put in before each write. */
static void
put_key(struct load *l, const struct load_conn *c)
{
	const struct load_keys *k = &l->options->keys;
	if (k->count)
		memcpy(l->request + l->key_at, k->key[c->key], k->len);
}

/* The next one is far away: neighbours in the file are neighbours in a store, and customers do not come in its order. */
static size_t
take_key(struct load *l)
{
	enum { STRIDE = 7919 };
	const struct load_keys *k = &l->options->keys;
	size_t key = l->next_key;
	if (k->count)
		l->next_key = (key + STRIDE) % k->count;
	return key;
}

static void
send_rest(struct load *l, struct load_conn *c)
{
	put_key(l, c);
	ssize_t n = link_send(&c->link, l->request + c->sent, l->request_len - c->sent);
	if (n < 0 && c->state == LOAD_IDLE) {
		ask_anew(l, c); /* it was closed before its end was read here */
		return;
	}
	if (n < 0) {
		lost(l, c, "the connection was closed while the request was sent");
		return;
	}
	c->sent += (size_t)n;
	enum load_state before = c->state;
	c->state = c->sent == l->request_len && !link_is_full(&c->link) ? LOAD_HEAD : LOAD_SENDING;
	if (c->state == LOAD_SENDING && before != LOAD_SENDING)
		watch(l, c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
	else if (c->state == LOAD_HEAD && before == LOAD_SENDING)
		watch(l, c, EPOLL_CTL_MOD, EPOLLIN);
}

static void
send_request(struct load *l, struct load_conn *c, uint64_t began_ns)
{
	c->began_ns = began_ns;
	c->sent = 0;
	c->failed = c->timed = false;
	c->key = take_key(l);
	send_rest(l, c);
}

/* Until its next request is due, or others have had their turns; one without a connection too. */
static void
rest(struct load *l, struct load_conn *c)
{
	if (c->state != LOAD_UNUSED)
		c->state = LOAD_IDLE;
	l->idle[l->idle_count++] = c;
}

static bool
is_kept(const struct load *l)
{
	return l->options->handshakes == LOAD_KEPT && !l->options->once;
}

/* When the slice of this one begins that has at_ns in it, or is the next one. All who take turns read the same clock. */
static uint64_t
slice_of(const struct load_options *o, uint64_t at_ns)
{
	uint64_t slice_ns = LOAD_SLICE_MS * UINT64_C(1000000), all_ns = o->slices * slice_ns;
	uint64_t begin_ns = at_ns - at_ns % all_ns + o->slice * slice_ns;
	return at_ns < begin_ns + slice_ns ? begin_ns : begin_ns + all_ns;
}

uint64_t
load_turn(const void *options, uint64_t at_ns)
{
	const struct load_options *o = options;
	uint64_t begin_ns = o->slices ? slice_of(o, at_ns) : 0;
	return at_ns > begin_ns ? at_ns : begin_ns;
}

static bool
is_its_turn(const struct load *l)
{
	uint64_t now_ns = net_now_ns();
	return load_turn(l->options, now_ns) <= now_ns;
}

static bool
is_paced(const struct load *l)
{
	return l->options->mode == LOAD_REQUESTS && l->options->rate;
}

static void
next_request(struct load *l, struct load_conn *c)
{
	/* Each asks once when it has connected: one on which nothing was ever said is closed sooner than one that rests. */
	if (is_paced(l) ? c->began_ns != 0 : !is_its_turn(l))
		rest(l, c);
	else
		send_request(l, c, is_kept(l) ? net_now_ns() : c->connected_ns);
}

/*
 * When the next one is due: somewhere in its own step. At even times whatever else has a period (a kernel's tick, the simulator's timers, a stream's gap) would
 * meet every request of a run, or none. Whoever is measured meets the same times.
 */
static uint64_t
draw_due(struct load *l)
{
	uint64_t step_ns = 1000000000u / l->options->rate;
	l->drawn = l->drawn * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return l->step_ns + (l->drawn >> 33) % step_ns;
}

static void
count_latency(struct load *l, uint64_t began_ns)
{
	uint64_t delay_ns = net_now_ns() - began_ns;
	if (l->options->slices && began_ns - slice_of(l->options, began_ns) < LOAD_SLICE_SETTLES_MS * UINT64_C(1000000))
		return;
	if (!l->delays)
		histogram_add(&l->latency, delay_ns);
	else if (l->delay_count < l->delay_room) /* else it is after the end, while others count */
		l->delays[l->delay_count++] = (struct load_delay){began_ns, delay_ns};
}

void
load_sift(struct load *l, const struct standstill *s, size_t count)
{
	for (size_t i = 0; i < l->delay_count; i++) {
		bool disturbed = standstills_have(s, count, l->delays[i].due_ns);
		l->counts.disturbed += disturbed;
		if (!disturbed)
			histogram_add(&l->latency, l->delays[i].delay_ns);
	}
	l->delay_count = 0;
}

static void
send_due(struct load *l, uint64_t now_ns)
{
	if (!l->step_ns) {
		l->step_ns = load_turn(l->options, now_ns);
		l->due_ns = draw_due(l);
	}
	while (l->idle_count && l->due_ns <= now_ns) {
		send_request(l, l->idle[--l->idle_count], l->due_ns);
		l->step_ns = load_turn(l->options, l->step_ns + 1000000000u / l->options->rate);
		l->due_ns = draw_due(l);
	}
}

/* A closed loop's turn has come. */
static void
wake_all(struct load *l)
{
	while (l->idle_count && is_its_turn(l)) {
		struct load_conn *c = l->idle[--l->idle_count];
		if (c->state == LOAD_UNUSED)
			connect_one(l, c);
		else
			next_request(l, c);
	}
}

/* ---- receiving ---- */

/* Whether the next request goes over this connection. */
static bool
goes_on(const struct load *l, const struct load_conn *c)
{
	if (!c->keep_alive || !is_kept(l))
		return false;
	return !c->sessions || tls_was_resumed(c->link.tls); /* the first only brings the session */
}

static void
take_time(struct load *l, struct load_conn *c)
{
	if (!c->timed && !c->failed)
		count_latency(l, c->began_ns);
	c->timed = true;
}

static void
reply_done(struct load *l, struct load_conn *c)
{
	take_time(l, c);
	l->counts.requests += !c->failed;
	if (goes_on(l, c)) {
		next_request(l, c);
		return;
	}
	link_end(&c->link);
	drop(l, c);
	if (is_paced(l) || is_its_turn(l))
		connect_one(l, c);
	else
		rest(l, c);
}

static bool
digits(const char *at, uint64_t *ret)
{
	uint64_t v = 0;
	for (size_t i = 2; i < STAMP_LEN; i++) {
		if (at[i] < '0' || at[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(at[i] - '0');
	}
	*ret = v;
	return true;
}

/*
 * The time from each chunk's stamp to now. A stamp torn by the end of the read is kept for the
 * next one.
 */
static void
stamps(struct load *l, struct load_conn *c, const char *at, const char *end)
{
	uint64_t now_ns = net_now_ns(), sent_ns;
	c->kept_len = 0;
	while ((at = memchr(at, '@', (size_t)(end - at)))) {
		if (end - at < STAMP_LEN) {
			c->kept_len = (size_t)(end - at);
			memcpy(c->kept, at, c->kept_len);
			return;
		}
		if (at[1] == 't' && digits(at, &sent_ns)) {
			l->counts.chunks++;
			histogram_add(&l->latency, now_ns > sent_ns ? now_ns - sent_ns : 0);
		}
		at++;
	}
}

static void
stream_bytes(struct load *l, struct load_conn *c, char *at, size_t len)
{
	char *from = at;
	if (c->kept_len && at == received) {
		from = at - c->kept_len;
		memcpy(from, c->kept, c->kept_len);
	}
	stamps(l, c, from, at + len);
}

/* Consumes the body of a plain reply. */
static size_t
reply_bytes(struct load *l, struct load_conn *c, const char *at, size_t len)
{
	size_t used = 0;
	if (len && l->options->first_byte)
		take_time(l, c);
	if (!c->chunked) {
		used = len < c->left ? len : c->left;
		c->left -= used;
		if (!c->left && !c->until_close)
			reply_done(l, c);
		return used;
	}
	while (used < len) {
		size_t consumed = 0;
		struct span data;
		enum http1_result r = http1_chunked_feed(&c->chunks, at + used, len - used, &consumed, &data);
		used += consumed;
		if (r == HTTP1_MORE)
			continue;
		if (r == HTTP1_BAD)
			lost(l, c, "the reply's chunks are malformed");
		else
			reply_done(l, c);
		return r == HTTP1_BAD ? len : used;
	}
	return used;
}

static void
begin_body(struct load *l, struct load_conn *c, const struct http1_head *h, const char *body, size_t body_len)
{
	c->state = LOAD_BODY;
	c->keep_alive = h->keep_alive;
	c->chunked = h->chunked;
	c->until_close = h->until_close;
	c->left = h->has_length ? h->content_length : h->until_close ? UINT64_MAX
																 : 0;
	c->failed = h->status != 200;
	http1_chunked_init(&c->chunks);
	if (c->failed) {
		char what[32];
		snprintf(what, sizeof what, "status %u:", h->status);
		complain(l, what, body, body_len);
	} else if (l->options->mode != LOAD_REQUESTS)
		l->streaming++;
}

static void
keep_head(struct load_conn *c, const char *at, size_t len)
{
	if (!c->head && !(c->head = malloc(HEAD_MOST)))
		abort();
	memcpy(c->head + c->head_len, at, len);
	c->head_len += len;
}

static void feed(struct load *l, struct load_conn *c, char *at, size_t len);

static void
feed_head(struct load *l, struct load_conn *c, char *at, size_t len)
{
	struct http1_head h;
	enum http1_error error;
	size_t scanned = 0, before = c->head_len, all = before + len;
	if (before + len > HEAD_MOST && before)
		all = HEAD_MOST;
	if (before)
		keep_head(c, at, all - before);
	enum http1_result r = http1_response_parse(before ? c->head : at, all, &scanned, false, &h, &error);
	if (r == HTTP1_BAD || (r == HTTP1_MORE && all >= HEAD_MOST)) {
		lost(l, c, "the reply's head is malformed");
		return;
	}
	if (r == HTTP1_MORE) {
		if (!before)
			keep_head(c, at, len);
		return;
	}
	size_t used = h.bytes - before;
	begin_body(l, c, &h, at + used, len - used);
	c->head_len = 0;
	if (len > used || (!c->left && !c->chunked))
		feed(l, c, at + used, len - used);
}

static void
feed(struct load *l, struct load_conn *c, char *at, size_t len)
{
	if (c->state == LOAD_HEAD)
		feed_head(l, c, at, len);
	else if (c->state != LOAD_BODY)
		lost(l, c, "bytes came that nobody asked for");
	else if (l->options->mode == LOAD_REQUESTS || c->failed) {
		size_t used = reply_bytes(l, c, at, len);
		if (used < len)
			lost(l, c, "more bytes came than the reply has");
	} else
		stream_bytes(l, c, at, len);
}

static void
ready(struct load *l, struct load_conn *c)
{
	if (c->link.tls) {
		l->counts.handshakes++;
		l->counts.resumed += tls_was_resumed(c->link.tls);
	}
	next_request(l, c);
}

static void
shake(struct load *l, struct load_conn *c)
{
	ssize_t n = link_receive(&c->link, received, RECEIVE_BYTES);
	if (n != 0) {
		char what[160];
		snprintf(what, sizeof what, "TLS: %s", n > 0 ? "bytes came that nobody asked for" : link_why(&c->link));
		complain(l, what, "", 0);
		drop(l, c);
	} else if (link_is_ready(&c->link))
		ready(l, c);
}

static void
connected(struct load *l, struct load_conn *c)
{
	int error = 0;
	socklen_t len = sizeof error;
	getsockopt(c->link.fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		complain(l, "connect:", strerror(error), 64);
		drop(l, c);
		return;
	}
	watch(l, c, EPOLL_CTL_MOD, EPOLLIN);
	c->state = LOAD_SHAKING;
	if (link_is_ready(&c->link))
		ready(l, c);
	else
		shake(l, c);
}

static void
renew(struct load *l, struct load_conn *c)
{
	unsigned at = 0;
	while (l->idle[at] != c)
		at++;
	l->idle[at] = l->idle[--l->idle_count];
	ask_anew(l, c);
}

/* The connection ended, or will not be heard of again. */
static void
ended(struct load *l, struct load_conn *c)
{
	if (c->state == LOAD_IDLE)
		renew(l, c);
	else if (c->state == LOAD_BODY && c->until_close && l->options->mode == LOAD_REQUESTS)
		reply_done(l, c);
	else
		lost(l, c, "the connection was closed");
}

static void
receive(struct load *l, struct load_conn *c)
{
	ssize_t n;
	do {
		n = link_receive(&c->link, received, RECEIVE_BYTES);
		l->counts.bytes += n > 0 ? (uint64_t)n : 0;
		if (n > 0)
			feed(l, c, received, (size_t)n);
		else if (n < 0)
			ended(l, c);
	} while (n > 0 && c->state > LOAD_SHAKING && link_has_more(&c->link));
}

static void
on_event(struct load *l, struct load_conn *c, uint32_t events)
{
	if (c->state == LOAD_CONNECTING)
		connected(l, c);
	else if (c->state == LOAD_SHAKING)
		shake(l, c);
	else {
		if (events & EPOLLOUT && c->state == LOAD_SENDING)
			send_rest(l, c);
		if (events & ~(uint32_t)EPOLLOUT && c->state > LOAD_SHAKING)
			receive(l, c);
	}
}

unsigned
load_resumed_now(const struct load *l)
{
	unsigned count = 0;
	for (unsigned i = 0; i < l->opened; i++) {
		const struct load_conn *c = &l->conns[i];
		count += c->state > LOAD_SHAKING && c->link.tls && tls_was_resumed(c->link.tls);
	}
	return count;
}

/* ---- the loop ---- */

static uint64_t
next_wake(const struct load *l, uint64_t now_ns, uint64_t until_ns)
{
	if (!l->idle_count)
		return until_ns;
	uint64_t due_ns = is_paced(l) ? l->due_ns : load_turn(l->options, now_ns);
	return due_ns < until_ns ? due_ns : until_ns;
}

void
load_run(struct load *l, uint64_t until_ns)
{
	static struct epoll_event events[EVENTS_A_TURN];
	for (uint64_t now_ns; (now_ns = net_now_ns()) < until_ns;) {
		if (is_paced(l))
			send_due(l, now_ns);
		else
			wake_all(l);
		uint64_t wake_ns = next_wake(l, now_ns, until_ns), wait_ns = wake_ns > now_ns ? wake_ns - now_ns : 0;
		struct timespec t = {(time_t)(wait_ns / 1000000000u), (long)(wait_ns % 1000000000u)};
		int n = epoll_pwait2(l->epoll, events, EVENTS_A_TURN, &t, NULL);
		for (int i = 0; i < n; i++)
			on_event(l, events[i].data.ptr, events[i].events);
	}
}
