#include "core/websocket.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MESSAGE_MAX = 300 };

/* Whole frames written down: first byte, length, payload; 0xff and the error at the end of a stream that has one. */
struct log {
	char *at;
	size_t len;
	bool bad;
};

static void
add(struct log *l, const void *bytes, size_t len)
{
	memcpy(l->at + l->len, bytes, len);
	l->len += len;
}

static void
add_frame(struct log *l, bool final, uint8_t opcode, const char *payload, size_t len)
{
	const uint8_t first = (uint8_t)((final ? 0x80 : 0) | opcode);
	const uint16_t length = (uint16_t)len;
	add(l, &first, 1);
	add(l, &length, 2);
	if (len)
		add(l, payload, len);
}

static void
add_error(struct log *l, enum websocket_error error)
{
	const uint8_t end[2] = {0xff, (uint8_t)error};
	add(l, end, 2);
	l->bad = true;
}

/* A frame's pieces, until it is whole. */
struct frame {
	char bytes[MESSAGE_MAX];
	size_t len;
};

static void
take(struct log *l, struct frame *f, const struct websocket *w, enum websocket_token t, struct span piece)
{
	switch (t) {
	case WEBSOCKET_FRAME:
		assert(w->length <= MESSAGE_MAX && w->left == w->length);
		f->len = 0;
		return;
	case WEBSOCKET_DATA:
		assert(piece.len && f->len + piece.len <= w->length);
		memcpy(f->bytes + f->len, piece.at, piece.len);
		f->len += piece.len;
		return;
	case WEBSOCKET_FRAME_END:
		assert(f->len == w->length);
		add_frame(l, w->final, w->opcode, f->bytes, f->len);
		return;
	case WEBSOCKET_CONTROL:
		add_frame(l, w->final, w->opcode, w->control, w->control_len);
		assert(w->closed == (w->opcode == WEBSOCKET_CLOSE));
		return;
	case WEBSOCKET_BAD:
	case WEBSOCKET_MORE:
		return;
	}
}

static struct log
split(const char *in, size_t len, size_t step, bool from_client)
{
	struct log l = {malloc(4 * len + 8), 0, false};
	struct websocket w;
	struct frame f = {.len = 0};
	websocket_init(&w, from_client, MESSAGE_MAX);
	for (size_t at = 0, n; at < len && !l.bad; at += n) {
		n = len - at < step ? len - at : step;
		char *piece = malloc(n);
		memcpy(piece, in + at, n);
		websocket_feed(&w, piece, n);
		struct span got = {NULL, 0};
		enum websocket_token t;
		while ((t = websocket_next(&w, &got)) != WEBSOCKET_MORE && t != WEBSOCKET_BAD)
			take(&l, &f, &w, t, got);
		assert(t == WEBSOCKET_BAD || w.p == piece + n);
		if (t == WEBSOCKET_BAD) {
			assert(websocket_next(&w, &got) == WEBSOCKET_BAD && websocket_code_valid(websocket_error_code(w.error)) && websocket_error_text(w.error).len);
			add_error(&l, w.error);
		}
		free(piece);
	}
	return l;
}

/* ---- the same, slowly, with the whole stream at hand ---- */

/* Can n bytes at p begin a character of `size` bytes? By the least and the largest number that it could still become. */
static bool
may_become(const uint8_t *p, size_t n, unsigned size)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000}, most[5] = {0, 0x7f, 0x7ff, 0xffff, 0x10ffff};
	uint32_t low = p[0] & (0x7fu >> size), high = low;
	for (size_t i = 1; i < size; i++) {
		if (i < n && (p[i] & 0xc0) != 0x80)
			return false;
		low = low << 6 | (i < n ? p[i] & 0x3fu : 0);
		high = high << 6 | (i < n ? p[i] & 0x3fu : 0x3fu);
	}
	bool surrogates_only = low >= 0xd800 && high <= 0xdfff;
	return high >= least[size] && low <= most[size] && !surrogates_only;
}

/* -1: not UTF-8, whatever follows; 1: in the middle of a character; 0: text. */
static int
slow_utf8(const char *text, size_t len)
{
	const uint8_t *p = (const uint8_t *)text, *end = p + len;
	while (p < end) {
		unsigned size = *p < 0x80 ? 1 : (*p & 0xe0) == 0xc0 ? 2
			: (*p & 0xf0) == 0xe0                           ? 3
			: (*p & 0xf8) == 0xf0                           ? 4
															: 0;
		size_t have = (size_t)(end - p);
		if (!size || (size > 1 && !may_become(p, have < size ? have : size, size)))
			return -1;
		if (have < size)
			return 1;
		p += size;
	}
	return 0;
}

struct slow {
	const uint8_t *p, *end;
	char message[MESSAGE_MAX];
	size_t message_len;
	bool from_client, open, text, closed;
};

static enum websocket_error
slow_head(const struct slow *s)
{
	unsigned opcode = s->p[0] & 15, said = s->p[1] & 127;
	bool masked = s->p[1] >> 7, final = s->p[0] >> 7;
	if (s->p[0] & 0x70)
		return WEBSOCKET_E_RESERVED_BITS;
	if (masked && !s->from_client)
		return WEBSOCKET_E_MASKED;
	if (!masked && s->from_client)
		return WEBSOCKET_E_UNMASKED;
	switch (opcode) {
	case 0:
		return s->open ? WEBSOCKET_E_OK : WEBSOCKET_E_NOTHING_TO_CONTINUE;
	case 1:
	case 2:
		return s->open ? WEBSOCKET_E_MESSAGE_NOT_ENDED : WEBSOCKET_E_OK;
	case 8:
	case 9:
	case 10:
		return !final ? WEBSOCKET_E_CONTROL_FRAGMENTED : said > 125 ? WEBSOCKET_E_CONTROL_TOO_LONG
																	: WEBSOCKET_E_OK;
	default:
		return WEBSOCKET_E_OPCODE;
	}
}

static enum websocket_error
slow_close(const char *payload, size_t len)
{
	if (len == 0)
		return WEBSOCKET_E_OK;
	if (len == 1)
		return WEBSOCKET_E_CLOSE_LENGTH;
	unsigned code = (unsigned)((uint8_t)payload[0] << 8 | (uint8_t)payload[1]);
	static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014};
	bool known = code > 2999 && code < 5000;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		known = known || code == good[i];
	if (!known)
		return WEBSOCKET_E_CLOSE_CODE;
	return slow_utf8(payload + 2, len - 2) == 0 ? WEBSOCKET_E_OK : WEBSOCKET_E_NOT_UTF8;
}

/* `have` of the frame's `length` bytes stand in payload. */
static enum websocket_error
slow_data(struct slow *s, const char *payload, size_t have, uint64_t length, bool final)
{
	if (s->message_len + length > MESSAGE_MAX)
		return WEBSOCKET_E_TOO_BIG;
	memcpy(s->message + s->message_len, payload, have);
	s->message_len += have;
	int utf8 = s->text ? slow_utf8(s->message, s->message_len) : 0;
	return utf8 < 0 || (utf8 > 0 && final && have == length) ? WEBSOCKET_E_NOT_UTF8 : WEBSOCKET_E_OK;
}

/* The whole head's length in bytes, by its second one. */
static size_t
slow_head_len(const struct slow *s)
{
	unsigned said = s->p[1] & 127;
	return 2u + (said == 126 ? 2 : said == 127 ? 8
											   : 0) +
		(s->from_client ? 4 : 0);
}

static enum websocket_error
slow_length(const struct slow *s, uint64_t *ret)
{
	unsigned said = s->p[1] & 127;
	*ret = said;
	if (said < 126)
		return WEBSOCKET_E_OK;
	*ret = 0;
	for (int i = 0; i < (said == 126 ? 2 : 8); i++)
		*ret = *ret << 8 | s->p[2 + i];
	bool short_form = said == 126 ? *ret >= 126 : *ret >= 65536 && *ret <= INT64_MAX;
	return short_form ? WEBSOCKET_E_OK : WEBSOCKET_E_LENGTH;
}

/* What is there of a frame whose payload begins at `head`. */
static enum websocket_error
slow_payload(struct slow *s, size_t head, uint64_t length, char payload[MESSAGE_MAX], size_t *ret_have)
{
	size_t left = (size_t)(s->end - s->p) - head;
	size_t have = left < length ? left : (size_t)length;
	bool final = s->p[0] >> 7;
	uint8_t opcode = s->p[0] & 15, mask[4] = {0};
	if (s->from_client)
		memcpy(mask, s->p + head - 4, 4);
	for (size_t i = 0; i < have && i < MESSAGE_MAX; i++)
		payload[i] = (char)(s->p[head + i] ^ mask[i % 4]);
	*ret_have = have;
	if (opcode >= 8)
		return have == length && opcode == 8 ? slow_close(payload, have) : WEBSOCKET_E_OK;
	s->text = opcode ? opcode == 1 : s->text;
	s->message_len = opcode ? 0 : s->message_len;
	s->open = !final;
	return slow_data(s, payload, have, length, final);
}

/* One frame; false: there is no more of it. */
static bool
slow_frame(struct slow *s, struct log *l, enum websocket_error *ret_error)
{
	size_t left = (size_t)(s->end - s->p), have;
	uint64_t length;
	char payload[MESSAGE_MAX];
	if (left < 2 || (*ret_error = slow_head(s)))
		return false;
	size_t head = slow_head_len(s);
	if (left < head || (*ret_error = slow_length(s, &length)))
		return false;
	*ret_error = slow_payload(s, head, length, payload, &have);
	if (*ret_error || have < length)
		return false;
	uint8_t opcode = s->p[0] & 15;
	add_frame(l, s->p[0] >> 7, opcode, payload, have);
	s->closed = opcode == 8;
	s->p += head + have;
	return !s->closed;
}

static struct log
slow_split(const char *in, size_t len, bool from_client)
{
	struct log l = {malloc(4 * len + 8), 0, false};
	struct slow s = {.p = (const uint8_t *)in, .end = (const uint8_t *)in + len, .from_client = from_client};
	enum websocket_error error = WEBSOCKET_E_OK;
	while (slow_frame(&s, &l, &error))
		;
	if (error)
		add_error(&l, error);
	return l;
}

/* ---- what is written is read as it was meant ---- */

static void
write_again(const struct log *l, bool masked)
{
	static const uint8_t mask[4] = {0x81, 0, 0xff, 0x5a};
	size_t whole = l->bad ? l->len - 2 : l->len, out = 0;
	char *frames = malloc(8 * whole + 16);
	for (size_t at = 0; at < whole;) {
		uint16_t len;
		memcpy(&len, l->at + at + 1, 2);
		out += websocket_head_of(frames + out, (uint8_t)l->at[at], len, masked ? mask : NULL);
		memcpy(frames + out, l->at + at + 3, len);
		if (masked) {
			websocket_mask(frames + out, len / 2u, mask, 0);
			websocket_mask(frames + out + len / 2u, len - len / 2u, mask, len / 2u);
		}
		out += len;
		at += 3u + len;
	}
	struct log again = split(frames, out, out ? out : 1, masked);
	assert(!again.bad && again.len == whole && !memcmp(again.at, l->at, whole));
	free(again.at);
	free(frames);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	const char *in = (const char *)data + 1;
	size_t len = size - 1;
	bool from_client = data[0] & 1;
	struct log whole = split(in, len, len ? len : 1, from_client), pieces = split(in, len, 1u + (data[0] >> 1) % 16, from_client),
			   slow = slow_split(in, len, from_client);
	assert(whole.len == pieces.len && !memcmp(whole.at, pieces.at, whole.len));
	assert(whole.len == slow.len && !memcmp(whole.at, slow.at, whole.len));
	write_again(&whole, true);
	write_again(&whole, false);
	free(whole.at);
	free(pieces.at);
	free(slow.at);
	return 0;
}
