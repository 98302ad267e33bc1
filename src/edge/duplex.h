/*
 * A WebSocket between a client and a provider: the kind of exchange in which both speak at the same time. Private to src/edge; it lies in the vault.
 *
 *   duplex_open.c  the opening handshakes (RFC 6455 4), ours with the client only after the provider's is done: until then errors are HTTP's
 *   duplex.c       frames, both ways, and the ends
 *
 * Frames keep their bounds and are passed on as they come; towards the provider each gets a fresh mask. Pings and pongs go through, so that each side learns
 * whether the other still lives. Nothing is collected: what one side does not take stays with the other, whose socket is not read meanwhile.
 */
#ifndef EDGE_DUPLEX_H
#define EDGE_DUPLEX_H

#include "core/websocket.h"
#include "edge/edge_priv.h"

enum {
	DUPLEX_WHOLE = 4096, /* a provider's frame of at most so many bytes is looked at whole before any of it is passed on */
	DUPLEX_MASKS = 64,
};

struct duplex {
	struct websocket from_provider, from_client;
	struct span direct; /* such a frame, when it came in one piece */
	uint64_t window_ms; /* frames of the client are counted from here */
	uint64_t stuck_ms; /* since when the provider takes nothing; 0: it does */
	uint64_t mask_at; /* bytes of the frame that goes up */
	uint32_t frames, masks_left;
	uint8_t mask[4], masks[DUPLEX_MASKS][4];
	uint16_t code; /* of the close frame that came first */
	bool down_frame, down_message, up_frame; /* the beginning of one is out, its end is not */
	bool provider_closed, client_closed; /* a close frame of theirs went through */
	bool refused_kind; /* the client sent a message that is not text */
	uint8_t refusal; /* enum realtime_refusal */
	bool offers, offers_beta; /* subprotocols of the client */
	char key[WEBSOCKET_KEY_TEXT]; /* ours to the provider */
	char accept[WEBSOCKET_ACCEPT_TEXT]; /* ours to the client */
	char model[REQUEST_MODEL_MAX]; /* that the client asked for, unescaped */
};

/* ---- duplex_open.c ---- */

/* Is the request one for a session? *ret_named: the model. False: it has been answered, and the exchange has ended. */
must_check bool duplex_asked(struct exchange *x, const struct http1_head *h, struct span *ret_named);
/* A key among the subprotocols: browsers can't send headers. Empty: none. */
struct span duplex_key(const struct http1_head *h);
void duplex_add_query(struct text *t, const struct exchange *x);
void duplex_add_handshake(struct text *t, struct exchange *x);
/* The provider's 101, what came behind it, and whether it has closed already. */
void duplex_begin(struct exchange *x, const struct http1_head *h, char *rest, size_t len, bool eof);

/* ---- duplex.c ---- */

void duplex_run(struct exchange *x, char *rest, size_t len, bool eof);
void duplex_provider_ready(struct exchange *x);
void duplex_client_ready(struct exchange *x);
/* The same for who is not asked for bytes, but brings them. */
void duplex_push(struct exchange *x, const char *bytes, size_t len);
bool duplex_is_full(const struct exchange *x); /* the client is not to be read */
void duplex_room(struct exchange *x); /* the provider has taken what waited */
void duplex_late(struct exchange *x);
/* What its client still hears when it ends; and its provider. */
void duplex_tell(struct exchange *x, enum end_reason reason);
/* Is it worth reading on when the client has gone, and was that a proper end? */
bool duplex_may_drain(const struct exchange *x);
bool duplex_is_closed(const struct exchange *x);
/* Before the edge ends: those who are told now may still read it. */
void duplex_goodbye(struct edge *e);

/* ---- what sessions ask of relay.c, reserve.c and answer.c ---- */

void carry_drop(struct exchange *x);

/* What was stated, and on top of it so many tokens. False: there is no money for them. */
must_check bool reserve_cover(struct exchange *x, uint64_t input, uint64_t output);
/* The error event of a session, in the scratch of heads. message: empty: the reason's own. */
struct span answer_session_error(struct exchange *x, enum end_reason reason, struct span message);

#endif
