#include "scribe/otlp.h"

#include "core/http1.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

enum { HEAD_BYTES = 1024 + SECRET_BYTES_MAX,
	REQUEST_BYTES = HEAD_BYTES + 1024 + OTLP_BATCH * OTLP_SPAN_BYTES,
	RETRY_AFTER_MOST_S = 300 };

static void limit_over(struct timer *t);

static void
enter(struct otlp *o, enum otlp_state state, uint64_t within_ms)
{
	o->state = state;
	if (state == OTLP_IDLE)
		timer_cancel(o->loop, &o->limit);
	else
		timer_arm(o->loop, &o->limit, o->loop->now_ms + within_ms, limit_over);
}

static void
hang_up(struct otlp *o)
{
	int fd = o->watch.fd;
	if (fd < 0)
		return;
	loop_forget(o->loop, &o->watch);
	otlp_line_close(&o->line);
	close(fd);
	o->watch.fd = -1;
	explicit_bzero(o->request, HEAD_BYTES); /* the headers are keys */
}

/* ---- how a request ends ---- */

static void
take_out(struct otlp *o)
{
	o->first = (o->first + o->batch) % OTLP_RING;
	o->count -= o->batch;
	o->batch = 0;
}

static void
delivered(struct otlp *o)
{
	hang_up(o);
	o->spans_sent += o->batch;
	o->backoff_ms = 0;
	take_out(o);
	enter(o, OTLP_IDLE, 0);
}

/* They stay in the ring; the next try takes what is there then. wait_ms 0: as long as the back-off says. */
static void
try_later(struct otlp *o, uint64_t wait_ms)
{
	hang_up(o);
	o->requests_failed++;
	o->batch = 0;
	o->backoff_ms = o->backoff_ms == 0 ? OTLP_BACKOFF_MS : o->backoff_ms * 2 < OTLP_BACKOFF_MOST_MS ? o->backoff_ms * 2
																									: OTLP_BACKOFF_MOST_MS;
	enter(o, OTLP_RESTING, wait_ms ? wait_ms : o->backoff_ms);
}

/* The collector will never take these. */
static void
give_up(struct otlp *o)
{
	hang_up(o);
	o->requests_failed++;
	o->spans_dropped += o->batch;
	take_out(o);
	enter(o, OTLP_IDLE, 0);
}

static void
limit_over(struct timer *t)
{
	struct otlp *o = container_of(t, struct otlp, limit);
	if (o->state == OTLP_RESTING)
		enter(o, OTLP_IDLE, 0);
	else
		try_later(o, 0);
}

/* ---- the answer ---- */

/* Seconds; a date is not read. */
static uint64_t
retry_after_ms(const struct http1_head *h)
{
	const struct http1_field *f = http1_field_find(h, HTTP1_RETRY_AFTER);
	struct span v = f ? http1_field_value(h, f) : (struct span){0};
	uint64_t s = 0;
	for (size_t i = 0; i < v.len; i++) {
		if (v.at[i] < '0' || v.at[i] > '9')
			return 0;
		s = s * 10 + (uint64_t)(v.at[i] - '0');
		if (s > RETRY_AFTER_MOST_S)
			return RETRY_AFTER_MOST_S * 1000;
	}
	return s * 1000;
}

/* OTLP/HTTP: 429, 502, 503 and 504 may be tried again, other errors not. The body says nothing that we would do. */
static void
judge(struct otlp *o, const struct http1_head *h)
{
	if (h->status >= 200 && h->status < 300)
		delivered(o);
	else if (h->status == 429 || (h->status >= 502 && h->status <= 504))
		try_later(o, retry_after_ms(h));
	else
		give_up(o);
}

static void
read_answer(struct otlp *o)
{
	struct http1_head head;
	enum http1_error error;
	while (o->answer_len < sizeof o->answer) {
		size_t n = 0;
		enum line_result r = otlp_line_receive(&o->line, o->answer + o->answer_len, sizeof o->answer - o->answer_len, &n);
		if (r == LINE_AGAIN)
			return;
		if (r == LINE_OVER)
			break;
		o->answer_len += n;
		switch (http1_response_parse(o->answer, o->answer_len, &o->scanned, HTTP1_ASKED, &head, &error)) {
		case HTTP1_DONE:
			judge(o, &head);
			return;
		case HTTP1_BAD:
			try_later(o, 0);
			return;
		case HTTP1_MORE:
			break;
		}
	}
	try_later(o, 0);
}

/* ---- the request ---- */

static void
write_request(struct otlp *o)
{
	struct text body = text_on(o->request + HEAD_BYTES, REQUEST_BYTES - HEAD_BYTES);
	char memory[HEAD_BYTES];
	struct text head = text_on(memory, sizeof memory);
	o->batch = o->count < OTLP_BATCH ? o->count : OTLP_BATCH;
	otlp_begin_write(&body);
	for (uint32_t i = 0; i < o->batch; i++) {
		if (i)
			text_lit(&body, ",");
		otlp_span_write(&body, &o->ring[(o->first + i) % OTLP_RING], o->trace, *o->catalogue);
	}
	otlp_end_write(&body);
	assert(!body.cut); /* every name in a catalogue has a bound */
	text_lit(&head, "POST ");
	text_str(&head, o->path);
	text_lit(&head, "/v1/traces HTTP/1.1\r\nhost: ");
	text_str(&head, o->host);
	text_lit(&head, "\r\nuser-agent: lethe/" LETHE_VERSION "\r\ncontent-type: application/json\r\nconnection: close\r\n");
	text_add(&head, o->headers, o->headers_len);
	text_lit(&head, "content-length: ");
	text_u64(&head, body.len);
	text_lit(&head, "\r\n\r\n");
	assert(!head.cut);
	memmove(o->request + head.len, body.at, body.len);
	memcpy(o->request, head.at, head.len);
	explicit_bzero(memory, sizeof memory);
	o->request_len = head.len + body.len;
	o->sent = o->answer_len = o->scanned = 0;
}

static void
send_request(struct otlp *o)
{
	switch (otlp_line_send(&o->line, o->request, o->request_len, &o->sent)) {
	case LINE_AGAIN:
		return;
	case LINE_OVER:
		try_later(o, 0);
		return;
	case LINE_OK:
		break;
	}
	enter(o, OTLP_READING, OTLP_TIMEOUT_MS);
	read_answer(o);
}

static void
shake_hands(struct otlp *o)
{
	switch (otlp_line_shake(&o->line)) {
	case LINE_AGAIN:
		return;
	case LINE_OVER: /* or it is not who it should be */
		try_later(o, 0);
		return;
	case LINE_OK:
		break;
	}
	write_request(o);
	enter(o, OTLP_SENDING, OTLP_TIMEOUT_MS);
	send_request(o);
}

static void
socket_ready(struct watch *w)
{
	struct otlp *o = container_of(w, struct otlp, watch);
	switch (o->state) {
	case OTLP_SHAKING:
		shake_hands(o);
		break;
	case OTLP_SENDING:
		send_request(o);
		break;
	case OTLP_READING:
		read_answer(o);
		break;
	case OTLP_IDLE:
	case OTLP_ASKED:
	case OTLP_RESTING:
		break;
	}
}

/* ---- for the scribe ---- */

void
otlp_socket(struct otlp *o, int fd)
{
	if (o->state != OTLP_ASKED) {
		if (fd >= 0)
			close(fd); /* it came too late */
		return;
	}
	if (fd < 0) {
		try_later(o, 0);
		return;
	}
	if ((o->tls && !o->client) || !loop_watch(o->loop, &o->watch, fd, socket_ready)) {
		close(fd);
		try_later(o, 0);
		return;
	}
	if (!otlp_line_open(&o->line, fd, o->client, o->name)) {
		try_later(o, 0);
		return;
	}
	enter(o, OTLP_SHAKING, OTLP_TIMEOUT_MS);
	shake_hands(o);
}

/* The last piece: all of it is here. One that can't be read trusts nobody; the supervisor has tried it. */
static void
take_trust(struct otlp *o, const struct message_secret *m)
{
	char why[TLS_WHY_MAX];
	assert(o->trust && o->trust_len + m->secret_bytes <= OTLP_TRUST_MAX);
	memcpy(o->trust + o->trust_len, m->secret, m->secret_bytes);
	o->trust_len += m->secret_bytes;
	if (m->more)
		return;
	o->client = tls_client_create((struct span){o->trust, o->trust_len}, why);
	free(o->trust);
	o->trust = NULL;
}

void
otlp_secret(struct otlp *o, const struct message_secret *m)
{
	assert(m->secret_bytes <= SECRET_BYTES_MAX);
	if (m->kind == SECRET_COLLECTOR_TRUST) {
		take_trust(o, m);
		return;
	}
	assert(m->kind == SECRET_COLLECTOR_HEADERS);
	memcpy(o->headers, m->secret, m->secret_bytes);
	o->headers_len = m->secret_bytes;
}

void
otlp_add(struct otlp *o, const struct message_span *m)
{
	o->spans_dropped += m->lost - o->ledger_lost;
	o->ledger_lost = m->lost;
	if (!o->name)
		return;
	if (o->count == OTLP_RING) {
		o->spans_dropped++;
		return;
	}
	o->ring[(o->first + o->count++) % OTLP_RING] = *m;
}

void
otlp_tick(struct otlp *o)
{
	struct message_plain m = MESSAGE_INIT(COLLECTOR_WANTED, message_plain);
	if (o->state != OTLP_IDLE || o->count == 0)
		return;
	if (port_send(o->supervisor, &m, sizeof m, -1) == IPC_OK)
		enter(o, OTLP_ASKED, OTLP_TIMEOUT_MS);
}

/* Not in swap, as far as the machine allows it: headers are keys. */
static void
lock_memory(struct otlp *o)
{
	(void)mlock(o->headers, sizeof o->headers);
	(void)mlock(o->request, HEAD_BYTES);
}

bool
otlp_open(struct otlp *o, struct loop *l, struct port *supervisor, const struct otlp_collector *to, const struct catalogue **catalogue)
{
	*o = (struct otlp){.loop = l, .supervisor = supervisor, .catalogue = catalogue, .watch.fd = -1, .line.fd = -1};
	if (!to->name || to->name[0] == '\0')
		return true;
	o->name = to->name;
	o->host = to->host;
	o->path = to->path;
	o->tls = to->tls;
	o->ring = calloc(OTLP_RING, sizeof *o->ring);
	o->request = malloc(REQUEST_BYTES);
	o->trust = o->tls ? malloc(OTLP_TRUST_MAX) : NULL;
	if (!o->ring || !o->request || (o->tls && !o->trust) || getrandom(&o->trace, sizeof o->trace, 0) != sizeof o->trace || (o->tls && !tls_prepare()))
		return false;
	lock_memory(o);
	return true;
}

void
otlp_close(struct otlp *o)
{
	hang_up(o);
	timer_cancel(o->loop, &o->limit);
	tls_client_unref(&o->client);
	free(o->ring);
	free(o->request);
	free(o->trust);
	o->ring = NULL;
	o->request = NULL;
}
