#include "prove/session.h"

#include "core/websocket.h"
#include "prove/client.h"
#include "prove/provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FINAL = 0x80,
	RESERVED = 0x40,
	CLIENTS_TEXT = FINAL | WEBSOCKET_TEXT,
	PIECE_BYTES = 50,
	DROP_BYTES = 11,
	HEARD_MAX = 64 << 10,
	MESSAGES_ASKED = 2, /* the item, and that an answer is wanted */
	TURN_MS = 5,
	RUNS_MS = 20000 };

/*
 * All zero: what is masked with it stays as it is, so that the search finds what a client sent in the form in which it came as well. Lethe masks
 * with keys of its own.
 */
static const uint8_t no_mask[4];

/* One frame, or as much of it as `sent` says. */
static bool
say_some_of(struct link *l, uint8_t first, const char *at, uint64_t len, size_t sent, const uint8_t *mask)
{
	char head[WEBSOCKET_HEAD_MAX];
	return link_write(l, head, websocket_head_of(head, first, len, mask)) && link_write(l, at, sent);
}

static bool
say_frame(struct link *l, uint8_t first, const char *at, size_t len, const uint8_t *mask)
{
	return say_some_of(l, first, at, len, len, mask);
}

static bool
say_in_fragments(struct link *l, const char *at, size_t len, size_t step, const uint8_t *mask)
{
	bool said = true;
	for (size_t from = 0, n; said && from < len; from += n) {
		n = len - from < step ? len - from : step;
		said = say_frame(l, (uint8_t)((from + n == len ? FINAL : 0) | (from ? WEBSOCKET_CONTINUATION : WEBSOCKET_TEXT)), at + from, n, mask);
	}
	return said;
}

static bool
say_close(struct link *l, const uint8_t *mask)
{
	static const char normal[] = {WEBSOCKET_NORMAL >> 8, WEBSOCKET_NORMAL & 0xff};
	return say_frame(l, FINAL | WEBSOCKET_CLOSE, normal, sizeof normal, mask);
}

/* ---- the client ---- */

static size_t
write_head(const struct session_request *r, char *ret, size_t cap)
{
	char key[WEBSOCKET_KEY_TEXT];
	websocket_key_text((const uint8_t[WEBSOCKET_KEY_BYTES]){"lethe prove 2026"}, key);
	int n = snprintf(ret, cap, "GET %s HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
							   "sec-websocket-key: %.*s\r\nauthorization: Bearer %.120s\r\n" PROVE_HEADER ": %u\r\n%s\r\n",
		r->path, (int)sizeof key, key, r->key, r->number, r->more);
	return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

/* Byte by byte, so that no frame behind it is read with it. */
static bool
is_agreed_to(struct link *l)
{
	static const char agreed[] = "HTTP/1.1 101 ";
	char head[8192];
	size_t len = 0;
	while (len < sizeof head && link_read(l, head + len, 1) == 1)
		if (++len >= 4 && memcmp(head + len - 4, "\r\n\r\n", 4) == 0)
			return strncmp(head, agreed, sizeof agreed - 1) == 0;
	return false;
}

static bool
say_too_much(struct link *l, const struct session_request *r)
{
	bool said = say_some_of(l, CLIENTS_TEXT, r->body, 2 * PROVE_BODY_LIMIT, r->body_len, no_mask);
	for (size_t at = 0; said && at < PROVE_BODY_LIMIT; at += r->body_len)
		said = link_write(l, r->body, r->body_len);
	return said;
}

static bool
say_asked(struct link *l, const struct exchange *x, const struct session_request *r)
{
	switch (x->way->client) {
	case CLIENT_GONE_IN_BODY:
		return say_some_of(l, CLIENTS_TEXT, r->body, r->body_len, r->body_len - 9, no_mask);
	case CLIENT_ASKS_IN_PIECES:
		return say_in_fragments(l, r->body, r->body_len, PIECE_BYTES, no_mask);
	case CLIENT_TOO_LARGE:
		return say_too_much(l, r);
	case CLIENT_COMPRESSES: /* as if that extension had been agreed */
		return say_frame(l, CLIENTS_TEXT | RESERVED, r->body, r->body_len, no_mask);
	default:
		return say_frame(l, CLIENTS_TEXT, r->body, r->body_len, no_mask);
	}
}

bool
session_ask(struct link *l, const struct exchange *x, const struct session_request *r)
{
	static const char respond[] = "{\"type\":\"response.create\"}";
	char head[6 * TEXT_MAX];
	size_t len = write_head(r, head, sizeof head);
	switch (x->way->client) {
	case CLIENT_GONE_IN_HEAD:
		return link_write(l, head, len - 9) && link_write(l, x->asked, strlen(x->asked));
	case CLIENT_BREAKS_HTTP:
		return link_write(l, head, len - 2) && link_write(l, x->asked, strlen(x->asked)) && link_write(l, "\r\n\r\n", 4);
	default:
		break;
	}
	if (!link_write(l, head, len))
		return false;
	/* Who hangs up in the middle has said no: that is heard at the end. */
	if (is_agreed_to(l) && say_asked(l, x, r) && x->way->client != CLIENT_GONE_IN_BODY)
		(void)!say_frame(l, CLIENTS_TEXT, respond, sizeof respond - 1, no_mask);
	return true;
}

struct heard {
	char text[HEARD_MAX];
	size_t len;
	bool closing;
};

static bool
is_heard(const struct heard *h, const char *word, size_t len)
{
	return memmem(h->text, h->len, word, len) != NULL;
}

static void
keep(struct heard *h, struct span piece)
{
	size_t n = piece.len < HEARD_MAX - h->len ? piece.len : HEARD_MAX - h->len;
	memcpy(h->text + h->len, piece.at, n);
	h->len += n;
}

/* What stands behind a close frame, or is wrong, is not heard. */
static void
hear_some(struct websocket *w, struct heard *h)
{
	static const char over[] = "response.done";
	struct span piece;
	for (;;)
		switch (websocket_next(w, &piece)) {
		case WEBSOCKET_DATA:
			keep(h, piece);
			break;
		case WEBSOCKET_FRAME:
			break;
		case WEBSOCKET_FRAME_END:
			h->closing = h->closing || is_heard(h, over, sizeof over - 1);
			break;
		case WEBSOCKET_CONTROL:
			h->closing = h->closing || w->opcode == WEBSOCKET_CLOSE;
			break;
		case WEBSOCKET_BAD:
			h->closing = true;
			return;
		case WEBSOCKET_MORE:
			return;
		}
}

bool
session_hear(struct link *l, const struct exchange *x)
{
	char in[4096];
	size_t n;
	struct websocket w;
	struct heard *h = calloc(1, sizeof *h);
	bool said = false;
	websocket_init(&w, false, UINT64_MAX);
	while (h && (n = link_read(l, in, sizeof in))) {
		websocket_feed(&w, in, n);
		hear_some(&w, h);
		if (h->closing && !said)
			said = say_close(l, no_mask) || true;
	}
	bool passed = h && is_heard(h, x->answered_mark, CANARY_BYTES);
	free(h);
	return passed;
}

/* ---- the provider ---- */

bool
session_is_agreed(enum provider_does way)
{
	switch (way) {
	case PROVIDER_GZIPS:
	case PROVIDER_400:
	case PROVIDER_401:
	case PROVIDER_404:
	case PROVIDER_429:
	case PROVIDER_500:
	case PROVIDER_529:
	case PROVIDER_BREAKS_HEAD:
	case PROVIDER_HUGE_HEAD:
		return false;
	case PROVIDER_ANSWERS:
	case PROVIDER_DRIPS:
	case PROVIDER_RESETS:
	case PROVIDER_CUTS:
	case PROVIDER_BREAKS_JSON:
	case PROVIDER_BREAKS_CHUNKS:
	case PROVIDER_FAILS_LATE:
	case PROVIDER_EARLY:
	case PROVIDER_SILENT:
	case PROVIDER_FALLS_SILENT:
	case PROVIDER_GOES_ON:
		return true;
	}
	return false;
}

/* So many messages; or, with none asked for, until the other side closes or has gone. False: it has. */
static bool
read_messages(struct link *l, struct websocket *w, unsigned count)
{
	char in[4096];
	struct span piece;
	for (unsigned whole = 0;;)
		switch (websocket_next(w, &piece)) {
		case WEBSOCKET_FRAME_END:
			whole += w->final;
			if (count && whole == count)
				return true;
			break;
		case WEBSOCKET_FRAME:
		case WEBSOCKET_DATA:
			break;
		case WEBSOCKET_CONTROL:
			if (w->opcode == WEBSOCKET_CLOSE)
				return say_close(l, NULL) && false;
			break;
		case WEBSOCKET_BAD:
			return false;
		case WEBSOCKET_MORE: {
			size_t n = link_read(l, in, sizeof in);
			if (n == 0)
				return false;
			websocket_feed(w, in, n);
			break;
		}
		}
}

static bool
agree(struct link *l, const char *key)
{
	char accept[WEBSOCKET_ACCEPT_TEXT], head[256];
	websocket_accept((struct span){key, strcspn(key, "\r\n")}, accept);
	int n = snprintf(head, sizeof head, "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: %.*s\r\n\r\n",
		(int)sizeof accept, accept);
	return link_write(l, head, (size_t)n);
}

static bool
say_greeting(struct link *l, const struct exchange *x)
{
	char text[BODY_MAX];
	return say_frame(l, FINAL | WEBSOCKET_TEXT, text, exchange_stream_begin(x, text, sizeof text), NULL);
}

static bool
say_piece(struct link *l, const struct exchange *x)
{
	char text[BODY_MAX];
	return say_frame(l, FINAL | WEBSOCKET_TEXT, text, exchange_stream_piece(x, text, sizeof text), NULL);
}

static bool
say_end(struct link *l, const struct exchange *x)
{
	char text[BODY_MAX];
	return say_frame(l, FINAL | WEBSOCKET_TEXT, text, exchange_stream_end(x, text, sizeof text), NULL);
}

static bool
go_on(struct link *l, const struct exchange *x, const _Atomic bool *stop)
{
	const struct timespec pause = {.tv_nsec = TURN_MS * 1000000L};
	bool said = say_piece(l, x);
	for (int t = 0; said && t < RUNS_MS / TURN_MS && !atomic_load(stop); t++) {
		nanosleep(&pause, NULL);
		said = say_piece(l, x);
	}
	return false;
}

/* Whether it is still to be ended in peace. */
static bool
say_answer(struct link *l, const struct exchange *x, const _Atomic bool *stop)
{
	char text[BODY_MAX];
	size_t len = exchange_stream_piece(x, text, sizeof text);
	switch (x->way->provider) {
	case PROVIDER_DRIPS:
		return say_in_fragments(l, text, len, DROP_BYTES, NULL) && say_end(l, x);
	case PROVIDER_RESETS:
		if (say_piece(l, x))
			link_reset(l);
		return false;
	case PROVIDER_CUTS: /* in the middle of a frame */
		return say_piece(l, x) && say_some_of(l, FINAL | WEBSOCKET_TEXT, text, len, len - 9, NULL) && false;
	case PROVIDER_BREAKS_JSON:
		memcpy(text + len - 2, "[[", 2);
		return say_frame(l, FINAL | WEBSOCKET_TEXT, text, len, NULL) && say_end(l, x);
	case PROVIDER_BREAKS_CHUNKS:
		return say_piece(l, x) && say_frame(l, FINAL | RESERVED | WEBSOCKET_TEXT, text, len, NULL);
	case PROVIDER_FAILS_LATE:
		len = exchange_answer(x, text, sizeof text);
		return say_piece(l, x) && say_frame(l, FINAL | WEBSOCKET_TEXT, text, len, NULL);
	case PROVIDER_SILENT:
		return true;
	case PROVIDER_FALLS_SILENT:
		return say_piece(l, x);
	case PROVIDER_GOES_ON:
		return go_on(l, x, stop);
	default:
		return say_piece(l, x) && say_end(l, x);
	}
}

void
session_serve(struct link *l, struct exchange *x, const char *key, const _Atomic bool *stop)
{
	struct websocket *w = malloc(sizeof *w);
	if (!w)
		return;
	websocket_init(w, true, UINT64_MAX);
	bool early = x->way->provider == PROVIDER_EARLY;
	bool heard = agree(l, key) && say_greeting(l, x) && (early || read_messages(l, w, MESSAGES_ASKED));
	if (heard)
		atomic_store(&x->seen, 1);
	if (heard && say_answer(l, x, stop))
		(void)read_messages(l, w, 0);
	free(w);
}
