/*
 * The hostile corpus against the parsers alone: each case whole, in every two pieces, and byte by byte. What comes out must be the same
 * however the bytes arrive, and what the case says. With --print the cases as lines of JSON, for the runner that has a whole gateway.
 */
#include "core/http1.h"
#include "hostile/cases.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS_MAX = 16,
	HEAD_MAX = 32 << 10, /* limits.head_bytes, as it is when not configured */
	INTERIM_MAX = 8, /* as src/edge/await.c */
	TARGET_KEPT = 160,
	SPLITS_MAX = 4096, /* longer cases are cut at every 509th byte only */
	CUT_STEP = 509 };

/* ---- what came out ---- */

enum ending { OPEN, /* nothing is left over, more may come */
	WAITS, /* for the rest of a message */
	CLOSED, /* the last message ends the connection */
	REFUSED };

struct event {
	unsigned method, status;
	char target[TARGET_KEPT];
	uint64_t body_len, body_hash;
	bool complete;
};

struct outcome {
	struct event events[EVENTS_MAX];
	unsigned count, interim;
	enum ending ending;
	unsigned status; /* REFUSED */
	bool left_over; /* responses: bytes behind the end of the message */
};

/* ---- the receiver ---- */

enum phase { HEAD,
	BODY_LENGTH,
	BODY_CHUNKED,
	BODY_CLOSE };

struct receiver {
	const struct hostile_case *c;
	size_t at, scanned;
	enum phase phase;
	uint64_t left;
	struct http1_chunked chunked;
	bool keep_alive, over;
	struct outcome *o;
};

static const unsigned statuses[] = {
#define X(name, status, text) status,
	HTTP1_ERRORS(X)
#undef X
};

static void
refuse(struct receiver *r, enum http1_error e)
{
	r->o->ending = REFUSED;
	r->o->status = statuses[e];
	r->over = true;
}

static struct event *
last(struct receiver *r)
{
	return &r->o->events[r->o->count - 1];
}

static void
body_data(struct receiver *r, const char *at, size_t len)
{
	struct event *e = last(r);
	e->body_len += len;
	for (size_t i = 0; i < len; i++)
		e->body_hash = (e->body_hash ^ (unsigned char)at[i]) * UINT64_C(1099511628211);
}

static void
message_ends(struct receiver *r)
{
	last(r)->complete = true;
	r->phase = HEAD;
	r->o->ending = OPEN;
	if (!r->keep_alive || r->c->kind != CASE_REQUEST) {
		r->o->ending = CLOSED;
		r->over = true;
	}
}

static void
begin_body(struct receiver *r, const struct http1_head *h)
{
	struct event *e = &r->o->events[r->o->count++];
	*e = (struct event){.method = h->method, .status = h->status};
	snprintf(e->target, sizeof e->target, "%.*s", (int)h->target.len, h->target.at ? h->target.at : "");
	r->keep_alive = h->keep_alive;
	r->left = h->has_length ? h->content_length : 0;
	http1_chunked_init(&r->chunked);
	r->chunked.of_request = r->c->kind == CASE_REQUEST;
	r->phase = h->chunked ? BODY_CHUNKED : h->until_close ? BODY_CLOSE
														  : BODY_LENGTH;
	r->o->ending = WAITS;
}

static void
head_done(struct receiver *r, const struct http1_head *h)
{
	r->at += h->bytes;
	r->scanned = 0;
	if (h->bytes > HEAD_MAX)
		refuse(r, HTTP1_E_HEAD_TOO_LARGE);
	else if (r->c->kind != CASE_REQUEST && h->status < 200) {
		if (++r->o->interim > INTERIM_MAX)
			refuse(r, HTTP1_E_BAD_STATUS_LINE);
	} else if (r->o->count == EVENTS_MAX)
		r->over = true;
	else
		begin_body(r, h);
}

/* False: more is needed. */
static bool
take_head(struct receiver *r, const char *buf, size_t len)
{
	static struct http1_head h;
	enum http1_error error = HTTP1_E_OK;
	enum http1_result result;
	if (r->c->kind == CASE_REQUEST)
		result = http1_request_parse(buf + r->at, len - r->at, &r->scanned, &h, &error);
	else
		result = http1_response_parse(buf + r->at, len - r->at, &r->scanned, r->c->kind == CASE_RESPONSE_TO_HEAD, &h, &error);
	if (result == HTTP1_BAD)
		refuse(r, error);
	else if (result == HTTP1_DONE && r->c->kind == CASE_REQUEST && h.websocket) /* as read_head.c does wherever there is no session */
		refuse(r, HTTP1_E_UNEXPECTED_UPGRADE);
	else if (result == HTTP1_DONE)
		head_done(r, &h);
	else if (len - r->at >= HEAD_MAX)
		refuse(r, HTTP1_E_HEAD_TOO_LARGE);
	else {
		r->o->ending = len > r->at ? WAITS : OPEN;
		return false;
	}
	return true;
}

static bool
take_chunks(struct receiver *r, const char *buf, size_t len)
{
	size_t used = 0;
	struct span data;
	enum http1_result result = http1_chunked_feed(&r->chunked, buf + r->at, len - r->at, &used, &data);
	r->at += used;
	if (result == HTTP1_BAD)
		refuse(r, HTTP1_E_BAD_CHUNK);
	else if (result == HTTP1_DONE)
		message_ends(r);
	else
		body_data(r, data.at, data.len);
	return result != HTTP1_MORE || used;
}

static bool
take_length(struct receiver *r, const char *buf, size_t len)
{
	size_t n = len - r->at < r->left ? len - r->at : (size_t)r->left;
	body_data(r, buf + r->at, n);
	r->at += n;
	r->left -= n;
	if (r->left)
		return false;
	message_ends(r);
	return true;
}

/* buf[0, len) is what has come so far. */
static void
receive(struct receiver *r, const char *buf, size_t len)
{
	bool more = true;
	while (more && !r->over) {
		switch (r->phase) {
		case HEAD:
			more = take_head(r, buf, len);
			break;
		case BODY_LENGTH:
			more = take_length(r, buf, len);
			break;
		case BODY_CHUNKED:
			more = take_chunks(r, buf, len);
			break;
		case BODY_CLOSE:
			body_data(r, buf + r->at, len - r->at);
			r->at = len;
			more = false;
			break;
		}
	}
}

/* The bytes come as [0, cut) and the rest; cut 0: byte by byte. They end where the allocation ends. */
static struct outcome
outcome_of(const struct hostile_case *c, size_t cut)
{
	struct outcome o;
	memset(&o, 0, sizeof o); /* padding too: outcomes are compared as bytes */
	struct receiver r = {.c = c, .o = &o};
	char *buf = malloc(c->len ? c->len : 1);
	if (!buf)
		abort();
	memcpy(buf, c->bytes, c->len);
	if (cut == 0)
		for (size_t n = 1; n <= c->len; n++)
			receive(&r, buf, n);
	else {
		if (cut < c->len)
			receive(&r, buf, cut);
		receive(&r, buf, c->len);
	}
	if (r.phase == BODY_CLOSE && !r.over)
		message_ends(&r);
	o.left_over = r.c->kind != CASE_REQUEST && o.ending == CLOSED && r.at < c->len;
	free(buf);
	return o;
}

/* ---- what should have ---- */

static const char *const method_names[] = {"OTHER",
#define X(m) #m,
	HTTP1_METHODS(X)
#undef X
};

static bool
request_is(const struct event *e, const char *method, const char *target, const char *length)
{
	if (strcmp(method_names[e->method], method) != 0 || (strcmp(target, "-") != 0 && strcmp(e->target, target) != 0))
		return false;
	return !strcmp(length, "-") || (e->complete && e->body_len == strtoull(length, NULL, 10));
}

static bool
status_among(unsigned status, const char *list)
{
	for (const char *p = list; *p; p += strcspn(p, "|"), p += *p == '|')
		if (strtoul(p, NULL, 10) == status)
			return true;
	return false;
}

/* A whole request, as the step says. */
static bool
request_fits(const struct outcome *o, const char *step, unsigned *at, bool *good)
{
	char status[16], method[16], target[TARGET_KEPT], length[24];
	if (!strcmp(step, "continue")) {
		*good = true;
		return true;
	}
	if (!strcmp(step, "forwarded"))
		step = "answered 200 POST /v1/chat/completions 63";
	else if (sscanf(step, "passed %23s", length) == 1) {
		*good = *at < o->count && request_is(&o->events[(*at)++], "POST", "/v1/chat/completions", length);
		return true;
	}
	if (sscanf(step, "answered %15s %15s %159s %23s", status, method, target, length) != 4)
		return false;
	*good = *at < o->count && request_is(&o->events[(*at)++], method, target, length);
	return true;
}

/* One expected step against the next event. A step that is no whole request is the last one. */
static bool
request_step(const struct outcome *o, bool any, const char *step, unsigned *at, bool *ends)
{
	char status[16];
	bool good, nothing_more = *at == o->count || !o->events[*at].complete; /* a head may have been good whose body is not */
	if (request_fits(o, step, at, &good))
		return good;
	*ends = true;
	if (sscanf(step, "refused %15s", status) == 1)
		return o->ending == REFUSED && status_among(o->status, status) && nothing_more;
	if (!strcmp(step, "h2"))
		return o->ending == REFUSED && o->count == 0;
	if (!strcmp(step, "waits"))
		return (o->ending == WAITS || !any) && nothing_more;
	return !strcmp(step, "closes"); /* for whatever reason the gateway has */
}

static bool
response_step(const struct outcome *o, const char *step, bool *ends)
{
	unsigned status;
	char length[24];
	const struct event *e = o->count ? &o->events[0] : NULL;
	*ends = true;
	if (!strcmp(step, "refused"))
		return !e;
	if (sscanf(step, "broken %u", &status) == 1)
		return e && e->status == status && !e->complete;
	if (sscanf(step, "passed %u %23s", &status, length) != 2)
		return false;
	return e && e->status == status && e->complete && e->body_len == strtoull(length, NULL, 10);
}

static bool
expected(const struct hostile_case *c, const struct outcome *o)
{
	char text[512], *save = NULL;
	unsigned at = 0;
	bool ends = false, good = true;
	snprintf(text, sizeof text, "%s", c->expect);
	if (strstr(text, " => "))
		*strstr(text, " => ") = 0; /* what the gateway makes of it */
	for (char *step = strtok_r(text, ",", &save); step && good; step = strtok_r(NULL, ",", &save)) {
		step += *step == ' ';
		good = !ends && (c->kind == CASE_REQUEST ? request_step(o, c->len > 0, step, &at, &ends) : response_step(o, step, &ends));
	}
	return good && (ends || (at == o->count && o->ending == OPEN));
}

/* ---- running ---- */

static void
describe(const struct hostile_case *c, const struct outcome *o)
{
	static const char *const endings[] = {"open", "waits", "closed", "refused"};
	fprintf(stderr, "%s:%u: %s %s: expected %s; got", c->file, c->line, c->source, c->id, c->expect);
	for (unsigned i = 0; i < o->count; i++)
		fprintf(stderr, " [%s %u %s %" PRIu64 "%s]", method_names[o->events[i].method], o->events[i].status, o->events[i].target,
			o->events[i].body_len, o->events[i].complete ? "" : " incomplete");
	fprintf(stderr, " %s %u\n", endings[o->ending], o->status);
}

static bool
run(const struct hostile_case *c)
{
	struct outcome whole = outcome_of(c, c->len + 1);
	size_t step = c->len <= SPLITS_MAX ? 1 : CUT_STEP;
	if (!expected(c, &whole)) {
		describe(c, &whole);
		return false;
	}
	for (size_t cut = 0; cut < c->len; cut += step) {
		struct outcome pieces = outcome_of(c, cut);
		bool same = c->len > HEAD_MAX ? expected(c, &pieces) : !memcmp(&pieces, &whole, sizeof whole); /* what is too long may be refused early */
		if (!same) {
			fprintf(stderr, "cut at %zu it is another:\n", cut);
			describe(c, &pieces);
			return false;
		}
	}
	return true;
}

static void
print(const struct hostile_case *c)
{
	static const char *const kinds[] = {"request", "response", "response to HEAD"};
	printf("{\"kind\":\"%s\",\"file\":\"%s\",\"line\":%u,\"source\":\"%s\",\"id\":\"%s\",\"expect\":\"%s\",\"bytes\":\"", kinds[c->kind], c->file,
		c->line, c->source, c->id, c->expect);
	for (size_t i = 0; i < c->len; i++)
		printf("%02x", (unsigned char)c->bytes[i]);
	printf("\"}\n");
}

static bool
same_source(const struct hostile_case *a, const struct hostile_case *b)
{
	return !strcmp(a->source, b->source);
}

/* "http11probe 215 (215)": sources, cases, and those that were as said. Quadratic in sources only. */
static void
report(const struct hostile_corpus *corpus, const bool *good)
{
	for (size_t i = 0; i < corpus->count; i++) {
		size_t n = 0, fine = 0, earlier = 0;
		for (size_t k = 0; k < i && !earlier; k++)
			earlier = same_source(&corpus->cases[k], &corpus->cases[i]);
		if (earlier)
			continue;
		for (size_t k = i; k < corpus->count; k++)
			if (same_source(&corpus->cases[k], &corpus->cases[i])) {
				n++;
				fine += good[k];
			}
		printf("%-12s %6zu cases, %zu as specified\n", corpus->cases[i].source, n, fine);
	}
}

int
main(int argc, char **argv)
{
	static struct hostile_corpus corpus; /* lives until the end, and leak checkers see that it does */
	bool printing = argc > 1 && !strcmp(argv[1], "--print");
	size_t failed = 0;
	for (int i = 1 + printing; i < argc; i++)
		if (!hostile_load(&corpus, argv[i]))
			return 2;
	bool *good = calloc(corpus.count + 1, sizeof *good);
	if (!good)
		abort();
	for (size_t i = 0; i < corpus.count; i++) {
		if (printing)
			print(&corpus.cases[i]);
		else
			failed += !(good[i] = run(&corpus.cases[i]));
	}
	if (!printing) {
		report(&corpus, good);
		printf("[  PASSED  ] %zu test(s).\n", corpus.count - failed);
		if (failed)
			printf("[  FAILED  ] %zu test(s).\n", failed);
	}
	free(good);
	return failed || corpus.count == 0;
}
