#include "core/websocket.h"

#include <string.h>

enum state {
	HEAD, /* two bytes, then as many as they ask for */
	PAYLOAD, /* of a message */
	CONTROL,
	CLOSED,
	BAD,
};

enum { FINAL = 0x80,
	RESERVED = 0x70,
	OPCODE = 0x0f,
	MASKED = 0x80,
	LENGTH = 0x7f,
	LENGTH_16 = 126,
	LENGTH_64 = 127,
	IS_CONTROL = 0x08 };

static const struct {
	uint16_t code;
	struct span text;
} errors[WEBSOCKET_E_COUNT] = {
#define X(name, code, text) [WEBSOCKET_E_##name] = {WEBSOCKET_##code, {text, sizeof(text) - 1}},
	WEBSOCKET_ERRORS(X)
#undef X
};

uint16_t
websocket_error_code(enum websocket_error error)
{
	return errors[error].code;
}

struct span
websocket_error_text(enum websocket_error error)
{
	return errors[error].text;
}

bool
websocket_code_valid(unsigned code)
{
	if (code >= 3000)
		return code <= 4999;
	return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

void
websocket_init(struct websocket *w, bool from_client, uint64_t message_max)
{
	*w = (struct websocket){.from_client = from_client, .message_max = message_max, .head_need = 2, .utf8_least = 0x80, .utf8_most = 0xbf};
}

void
websocket_feed(struct websocket *w, char *in, size_t len)
{
	w->p = in;
	w->end = in + len;
}

static enum websocket_token
bad(struct websocket *w, enum websocket_error error)
{
	w->state = BAD;
	w->error = error;
	return WEBSOCKET_BAD;
}

/* ---- UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF ---- */

static bool
lead_byte(struct websocket *w, uint8_t c)
{
	if (c < 0x80)
		return true;
	if (c < 0xc2 || c > 0xf4)
		return false;
	w->utf8_left = (uint8_t)(1 + (c >= 0xe0) + (c >= 0xf0));
	w->utf8_least = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90
												 : 0x80;
	w->utf8_most = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f
												: 0xbf;
	return true;
}

static bool
next_byte(struct websocket *w, uint8_t c)
{
	if (!w->utf8_left)
		return lead_byte(w, c);
	if (c < w->utf8_least || c > w->utf8_most)
		return false;
	w->utf8_left--;
	w->utf8_least = 0x80;
	w->utf8_most = 0xbf;
	return true;
}

static inline bool
eight_are_ascii(const char *p)
{
	uint64_t word;
	memcpy(&word, p, sizeof word);
	return !(word & UINT64_C(0x8080808080808080));
}

static bool
utf8_feed(struct websocket *w, const char *p, size_t len)
{
	const char *end = p + len;
	while (p < end) {
		while (!w->utf8_left && end - p >= 8 && eight_are_ascii(p))
			p += 8;
		if (p < end && !next_byte(w, (uint8_t)*p++))
			return false;
	}
	return true;
}

/* ---- masks ---- */

void
websocket_mask(char *bytes, size_t len, const uint8_t mask[4], uint64_t at)
{
	uint8_t turned[8];
	for (unsigned i = 0; i < 8; i++)
		turned[i] = mask[(at + i) & 3];
	uint64_t key, word;
	memcpy(&key, turned, sizeof key);
	for (; len >= 8; bytes += 8, len -= 8) {
		memcpy(&word, bytes, sizeof word);
		word ^= key;
		memcpy(bytes, &word, sizeof word);
	}
	for (unsigned i = 0; i < len; i++)
		bytes[i] = (char)(bytes[i] ^ turned[i]);
}

/* ---- the head of a frame ---- */

static enum websocket_error
judge_control(const struct websocket *w, uint8_t length)
{
	if (w->opcode > WEBSOCKET_PONG)
		return WEBSOCKET_E_OPCODE;
	if (!w->final)
		return WEBSOCKET_E_CONTROL_FRAGMENTED;
	return length > WEBSOCKET_CONTROL_MAX ? WEBSOCKET_E_CONTROL_TOO_LONG : WEBSOCKET_E_OK;
}

/* What the first two bytes say. */
static enum websocket_error
judge(const struct websocket *w)
{
	bool masked = w->head[1] & MASKED;
	if (w->head[0] & RESERVED)
		return WEBSOCKET_E_RESERVED_BITS;
	if (masked != w->from_client)
		return masked ? WEBSOCKET_E_MASKED : WEBSOCKET_E_UNMASKED;
	if (w->opcode & IS_CONTROL)
		return judge_control(w, w->head[1] & LENGTH);
	if (w->opcode > WEBSOCKET_BINARY)
		return WEBSOCKET_E_OPCODE;
	if (w->opcode == WEBSOCKET_CONTINUATION)
		return w->open ? WEBSOCKET_E_OK : WEBSOCKET_E_NOTHING_TO_CONTINUE;
	return w->open ? WEBSOCKET_E_MESSAGE_NOT_ENDED : WEBSOCKET_E_OK;
}

static uint64_t
big_endian(const uint8_t *at, unsigned bytes)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < bytes; i++)
		n = n << 8 | at[i];
	return n;
}

/* The head is complete: its length, in the shortest form, the highest bit clear (5.2). */
static enum websocket_error
take_length(struct websocket *w)
{
	uint8_t said = w->head[1] & LENGTH;
	unsigned bytes = said == LENGTH_16 ? 2 : said == LENGTH_64 ? 8
															   : 0;
	w->length = bytes ? big_endian(w->head + 2, bytes) : said;
	uint64_t least = bytes == 2 ? LENGTH_16 : bytes == 8 ? UINT64_C(1) << 16
														 : 0;
	if (w->length < least || w->length >> 63)
		return WEBSOCKET_E_LENGTH;
	w->left = w->length;
	w->mask_at = 0;
	if (w->from_client)
		memcpy(w->mask, w->head + 2 + bytes, sizeof w->mask);
	return WEBSOCKET_E_OK;
}

static enum websocket_token
begin_payload(struct websocket *w)
{
	enum websocket_error error = take_length(w);
	if (error)
		return bad(w, error);
	w->head_len = 0;
	w->head_need = 2;
	if (w->opcode & IS_CONTROL) {
		w->control_len = 0;
		w->state = CONTROL;
		return WEBSOCKET_MORE;
	}
	if (w->opcode != WEBSOCKET_CONTINUATION) {
		w->open = true;
		w->text = w->opcode == WEBSOCKET_TEXT;
		w->message_bytes = 0;
	}
	if (w->length > w->message_max - w->message_bytes)
		return bad(w, WEBSOCKET_E_TOO_BIG);
	w->message_bytes += w->length;
	w->state = PAYLOAD;
	return WEBSOCKET_FRAME;
}

static enum websocket_token
head_byte(struct websocket *w)
{
	w->head[w->head_len++] = (uint8_t)*w->p++;
	if (w->head_len == 2) {
		uint8_t said = w->head[1] & LENGTH;
		w->opcode = w->head[0] & OPCODE;
		w->final = w->head[0] & FINAL;
		enum websocket_error error = judge(w);
		if (error)
			return bad(w, error);
		w->head_need = (uint8_t)(2 + (said == LENGTH_16 ? 2 : said == LENGTH_64 ? 8
																				: 0) +
			(w->from_client ? 4 : 0));
	}
	return w->head_len == w->head_need ? begin_payload(w) : WEBSOCKET_MORE;
}

/* ---- payloads ---- */

/* The next piece, as far as there is some. */
static struct span
take_piece(struct websocket *w)
{
	size_t have = (size_t)(w->end - w->p);
	struct span piece = {w->p, have < w->left ? have : (size_t)w->left};
	if (w->from_client)
		websocket_mask(w->p, piece.len, w->mask, w->mask_at);
	w->mask_at = (uint8_t)((w->mask_at + piece.len) & 3);
	w->left -= piece.len;
	w->p += piece.len;
	return piece;
}

static enum websocket_token
payload(struct websocket *w, struct span *ret)
{
	if (w->left) {
		*ret = take_piece(w);
		if (w->text && !utf8_feed(w, ret->at, ret->len))
			return bad(w, WEBSOCKET_E_NOT_UTF8);
		return WEBSOCKET_DATA;
	}
	w->state = HEAD;
	if (!w->final)
		return WEBSOCKET_FRAME_END;
	w->open = false;
	return w->utf8_left ? bad(w, WEBSOCKET_E_NOT_UTF8) : WEBSOCKET_FRAME_END;
}

/* A code, then text. The message that it interrupts, if any, is over: its state of UTF-8 serves the reason. */
static enum websocket_error
judge_close(struct websocket *w)
{
	w->code = WEBSOCKET_NO_CODE;
	if (w->control_len == 0)
		return WEBSOCKET_E_OK;
	if (w->control_len == 1)
		return WEBSOCKET_E_CLOSE_LENGTH;
	w->code = (uint16_t)big_endian((const uint8_t *)w->control, 2);
	if (!websocket_code_valid(w->code))
		return WEBSOCKET_E_CLOSE_CODE;
	w->utf8_left = 0;
	return utf8_feed(w, w->control + 2, w->control_len - 2u) && !w->utf8_left ? WEBSOCKET_E_OK : WEBSOCKET_E_NOT_UTF8;
}

static enum websocket_token
control(struct websocket *w)
{
	struct span piece = take_piece(w);
	if (piece.len)
		memcpy(w->control + w->control_len, piece.at, piece.len);
	w->control_len = (uint8_t)(w->control_len + piece.len);
	if (w->left)
		return WEBSOCKET_MORE;
	w->state = HEAD;
	if (w->opcode != WEBSOCKET_CLOSE)
		return WEBSOCKET_CONTROL;
	enum websocket_error error = judge_close(w);
	if (error)
		return bad(w, error);
	w->state = CLOSED;
	w->closed = true;
	return WEBSOCKET_CONTROL;
}

/* Is a token due although no byte is left? An empty payload has none. */
static bool
due(const struct websocket *w)
{
	return (w->state == PAYLOAD || w->state == CONTROL) && w->left == 0;
}

enum websocket_token
websocket_next(struct websocket *w, struct span *ret)
{
	enum websocket_token t = WEBSOCKET_MORE;
	while (t == WEBSOCKET_MORE && (w->p < w->end || due(w) || w->state == BAD))
		switch ((enum state)w->state) {
		case HEAD:
			t = head_byte(w);
			break;
		case PAYLOAD:
			t = payload(w, ret);
			break;
		case CONTROL:
			t = control(w);
			break;
		case CLOSED: /* nothing that follows counts (5.5.1) */
			w->p = w->end;
			break;
		case BAD:
			return WEBSOCKET_BAD;
		}
	return t;
}

/* ---- writing ---- */

size_t
websocket_head_of(char out[WEBSOCKET_HEAD_MAX], uint8_t first, uint64_t length, const uint8_t mask[4])
{
	size_t bytes = length < LENGTH_16 ? 0 : length < UINT64_C(1) << 16 ? 2
																	   : 8;
	uint8_t said = bytes == 0 ? (uint8_t)length : bytes == 2 ? LENGTH_16
															 : LENGTH_64;
	out[0] = (char)first;
	out[1] = (char)(said | (mask ? MASKED : 0));
	for (size_t i = 0; i < bytes; i++)
		out[2 + i] = (char)(length >> (8 * (bytes - 1 - i)));
	if (mask)
		memcpy(out + 2 + bytes, mask, 4);
	return 2 + bytes + (mask ? 4 : 0);
}

size_t
websocket_head(char out[WEBSOCKET_HEAD_MAX], const struct websocket *like, const uint8_t mask[4])
{
	return websocket_head_of(out, (uint8_t)((like->final ? FINAL : 0) | like->opcode), like->length, mask);
}
