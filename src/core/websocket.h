/*
 * Frames of the WebSocket protocol (RFC 6455 5), read strictly and without collecting them: a frame may be megabytes, a piece of it is passed on as it
 * comes. No extension is ever agreed, so a reserved bit is an error.
 *
 * Pure and resumable at any byte, fixed state, no allocation: the caller embeds the struct. The input is unmasked in place; pieces point into it.
 * Run by the edge; the provider simulator shares it.
 */
#ifndef CORE_WEBSOCKET_H
#define CORE_WEBSOCKET_H

#include "core/base.h"

enum {
	WEBSOCKET_HEAD_MAX = 14, /* two bytes, a length of eight, a mask of four */
	WEBSOCKET_CONTROL_MAX = 125,
	WEBSOCKET_REASON_MAX = WEBSOCKET_CONTROL_MAX - 2,
};

enum websocket_opcode {
	WEBSOCKET_CONTINUATION = 0,
	WEBSOCKET_TEXT = 1,
	WEBSOCKET_BINARY = 2,
	WEBSOCKET_CLOSE = 8,
	WEBSOCKET_PING = 9,
	WEBSOCKET_PONG = 10,
};

/* Close codes that Lethe itself says (RFC 6455 7.4.1 and IANA's registry). */
enum websocket_code {
	WEBSOCKET_NORMAL = 1000,
	WEBSOCKET_GOING_AWAY = 1001,
	WEBSOCKET_PROTOCOL_ERROR = 1002,
	WEBSOCKET_UNSUPPORTED = 1003,
	WEBSOCKET_NO_CODE = 1005, /* what a close frame without a code means; never sent */
	WEBSOCKET_NOT_UTF8 = 1007,
	WEBSOCKET_POLICY = 1008,
	WEBSOCKET_TOO_BIG = 1009,
	WEBSOCKET_INTERNAL = 1011,
	WEBSOCKET_RESTART = 1012,
	WEBSOCKET_BAD_GATEWAY = 1014,
};

/* What is wrong with a frame: X(NAME, close code, sentence for the close frame) */
#define WEBSOCKET_ERRORS(X) \
	X(OK, NORMAL, "") \
	X(RESERVED_BITS, PROTOCOL_ERROR, "a reserved bit is set, and no extension was agreed") \
	X(OPCODE, PROTOCOL_ERROR, "this opcode is not known") \
	X(UNMASKED, PROTOCOL_ERROR, "frames of a client must be masked") \
	X(MASKED, PROTOCOL_ERROR, "frames of a server must not be masked") \
	X(CONTROL_FRAGMENTED, PROTOCOL_ERROR, "a control frame must not be fragmented") \
	X(CONTROL_TOO_LONG, PROTOCOL_ERROR, "a control frame has more than 125 bytes") \
	X(NOTHING_TO_CONTINUE, PROTOCOL_ERROR, "a continuation frame without a message") \
	X(MESSAGE_NOT_ENDED, PROTOCOL_ERROR, "a new message began before the one before it ended") \
	X(LENGTH, PROTOCOL_ERROR, "a length is not written in its shortest form") \
	X(CLOSE_LENGTH, PROTOCOL_ERROR, "a close frame has half a code") \
	X(CLOSE_CODE, PROTOCOL_ERROR, "this close code must not be sent") \
	X(NOT_UTF8, NOT_UTF8, "text is not valid UTF-8") \
	X(TOO_BIG, TOO_BIG, "the message is larger than is allowed here")

enum websocket_error {
#define X(name, code, text) WEBSOCKET_E_##name,
	WEBSOCKET_ERRORS(X)
#undef X
		WEBSOCKET_E_COUNT
};

enum websocket_token {
	WEBSOCKET_MORE, /* the input is used up */
	WEBSOCKET_FRAME, /* a frame of a message begins: opcode, final, length */
	WEBSOCKET_DATA, /* a piece of it, at least one byte */
	WEBSOCKET_FRAME_END, /* it is complete; with `final` the message is */
	WEBSOCKET_CONTROL, /* a whole ping, pong or close: opcode, control[0..control_len); a close also has code and its reason behind two bytes */
	WEBSOCKET_BAD, /* see error; stays so */
};

struct websocket {
	enum websocket_error error;
	uint64_t length, left; /* of the current frame's payload: all of it, still to come */
	uint64_t message_bytes, message_max;
	char *p, *end; /* what is left of the input */
	uint16_t code; /* of a close frame; WEBSOCKET_NO_CODE when it has none */
	uint8_t opcode; /* of the current frame: enum websocket_opcode */
	bool final; /* the current frame ends its message */
	bool open; /* a message has begun and not ended */
	bool text; /* it is one of text */
	bool closed; /* a close frame came: what follows is not read */
	/* The reader's own from here on. */
	bool from_client;
	uint8_t state, head_len, head_need, control_len, mask_at;
	uint8_t utf8_left, utf8_least, utf8_most; /* continuation bytes to come, and what the next may be */
	uint8_t mask[4];
	uint8_t head[WEBSOCKET_HEAD_MAX];
	char control[WEBSOCKET_CONTROL_MAX];
};

/* from_client: frames must be masked, else they must not be. message_max: bytes of one message, all of its frames together. */
void websocket_init(struct websocket *w, bool from_client, uint64_t message_max);

/* Give the next bytes, once websocket_next() said WEBSOCKET_MORE. They are unmasked in place. */
void websocket_feed(struct websocket *w, char *in, size_t len);

/* *ret is set on WEBSOCKET_DATA. */
must_check enum websocket_token websocket_next(struct websocket *w, struct span *ret);

uint16_t websocket_error_code(enum websocket_error error);
struct span websocket_error_text(enum websocket_error error);

/* May a peer say this code in a close frame? (RFC 6455 7.4) */
bool websocket_code_valid(unsigned code);

/* ---- writing ---- */

/* The head of a frame; mask NULL: not masked. Returns its length. */
size_t websocket_head(char out[WEBSOCKET_HEAD_MAX], const struct websocket *like, const uint8_t mask[4]);
/* The same in parts: first byte and length. */
size_t websocket_head_of(char out[WEBSOCKET_HEAD_MAX], uint8_t first, uint64_t length, const uint8_t mask[4]);
/* Mask, or unmask, a piece of a payload that begins `at` bytes into it. */
void websocket_mask(char *bytes, size_t len, const uint8_t mask[4], uint64_t at);

/* ---- the opening handshake (RFC 6455 4) ---- */

enum { WEBSOCKET_KEY_BYTES = 16,
	WEBSOCKET_KEY_TEXT = 24, /* those in base64 */
	WEBSOCKET_ACCEPT_TEXT = 28 };

void websocket_key_text(const uint8_t key[WEBSOCKET_KEY_BYTES], char out[WEBSOCKET_KEY_TEXT]);
/* 16 bytes in base64, as a client must send them. */
bool websocket_key_valid(struct span key);
/* What the server answers to that key. */
void websocket_accept(struct span key, char out[WEBSOCKET_ACCEPT_TEXT]);

#endif
