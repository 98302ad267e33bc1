#include "core/websocket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

enum { STREAM_MAX = 4096,
	SHOWN_MAX = 8192,
	BIG = 1000 };

#define CLIENT true
#define SERVER false

/*
 * Streams of frames as text, so that cases can be read: first byte, then the length as it is written, in hexadecimal; the payload between quotes (with \x..),
 * and `*` behind the length of a frame that is masked. What comes of it: F for a frame (f when it is not the last), its opcode and payload; C for a
 * control frame; ! and the close code of an error.
 */
struct case_row {
	const char *name;
	bool side;
	const char *frames, *expected;
};

#define MASK "\x37\xfa\x21\x3d"

/* The cases of the Autobahn test suite that concern what is spoken here, by its numbers, and more. */
static const struct case_row cases[] = {
	{"1.1.1 empty text", SERVER, "81 00", "F1()"},
	{"1.1.2 text of 125 bytes", SERVER, "81 7d 125", "F1[125]"},
	{"1.1.3 text of 126 bytes", SERVER, "81 7e 00 7e 126", "F1[126]"},
	{"1.2.3 binary of 127 bytes", SERVER, "82 7e 00 7f 127", "F2[127]"},
	{"masked text", CLIENT, "81 85* 'Hello'", "F1(Hello)"},
	{"2.1 ping without payload", SERVER, "89 00", "C9()"},
	{"2.4 ping of 125 bytes", SERVER, "89 7d 125", "C9[125]"},
	{"2.5 ping of 126 bytes", SERVER, "89 7e 00 7e 126", "!1002"},
	{"2.7 unasked pong", CLIENT, "8a 81* 'x'", "C10(x)"},
	{"3.1 RSV 3", SERVER, "91 00", "!1002"},
	{"3.2 RSV 2 behind a good message", SERVER, "81 01 'a' a1 01 'b'", "F1(a)!1002"},
	{"3.4 RSV 1 in a ping", CLIENT, "c9 80* ''", "!1002"},
	{"4.1.1 opcode 3", SERVER, "83 00", "!1002"},
	{"4.1.5 opcode 7", SERVER, "87 01 'x'", "!1002"},
	{"4.2.1 opcode 11", SERVER, "8b 00", "!1002"},
	{"4.2.5 opcode 15", CLIENT, "8f 80* ''", "!1002"},
	{"5.1 ping in two fragments", SERVER, "09 01 'a' 80 01 'b'", "!1002"},
	{"5.3 text in two fragments", SERVER, "01 01 'a' 80 01 'b'", "f1(a)F0(b)"},
	{"5.6 ping between fragments", CLIENT, "01 81* 'a' 89 81* 'p' 80 81* 'b'", "f1(a)C9(p)F0(b)"},
	{"5.9 continuation without a message", SERVER, "80 01 'a'", "!1002"},
	{"5.10 the same, not final", SERVER, "00 01 'a'", "!1002"},
	{"5.12 continuation behind a whole message", SERVER, "81 01 'a' 80 01 'b'", "F1(a)!1002"},
	{"5.15 two messages, then nothing to continue", SERVER, "01 01 'a' 80 01 'b' 00 01 'c'", "f1(a)F0(b)!1002"},
	{"5.18 text within text", SERVER, "01 01 'a' 81 01 'b'", "f1(a)!1002"},
	{"binary within text", CLIENT, "01 81* 'a' 82 81* 'b'", "f1(a)!1002"},
	{"empty fragments", SERVER, "01 00 00 00 80 00", "f1()f0()F0()"},
	{"6.2.3 a character over three fragments", SERVER, "01 01 '\\xe2' 00 01 '\\x82' 80 01 '\\xac'", "f1(\xe2)f0(\x82)F0(\xac)"},
	{"a ping within a character", SERVER, "01 01 '\\xe2' 89 01 '\\xff' 80 02 '\\x82\\xac'", "f1(\xe2)C9(\xff)F0(\x82\xac)"},
	{"6.3.1 not UTF-8", SERVER, "81 01 '\\xff'", "!1007"},
	{"6.4 not UTF-8 is seen before the frame ends", SERVER, "81 0a '\\xf4\\x90'", "!1007"},
	{"6.6 a character without its end", SERVER, "81 03 '\\xf0\\x9f\\x98'", "!1007"},
	{"the same at the end of fragments", SERVER, "01 01 '\\xc3' 80 00", "f1(\xc3)!1007"},
	{"6.10 the largest character", SERVER, "81 04 '\\xf4\\x8f\\xbf\\xbf'", "F1(\xf4\x8f\xbf\xbf)"},
	{"6.10 above it", SERVER, "81 04 '\\xf4\\x90\\x80\\x80'", "!1007"},
	{"6.12 a byte that continues nothing", SERVER, "81 01 '\\x80'", "!1007"},
	{"6.18 overlong of two", SERVER, "81 02 '\\xc0\\xaf'", "!1007"},
	{"6.18 overlong of three", SERVER, "81 03 '\\xe0\\x80\\xaf'", "!1007"},
	{"6.18 overlong of four", SERVER, "81 04 '\\xf0\\x80\\x80\\xaf'", "!1007"},
	{"6.20 a surrogate", SERVER, "81 03 '\\xed\\xa0\\x80'", "!1007"},
	{"6.20 the last before surrogates", SERVER, "81 03 '\\xed\\x9f\\xbf'", "F1(\xed\x9f\xbf)"},
	{"behind eight ASCII bytes", SERVER, "81 0a 'abcdefgh\\xc3('", "!1007"},
	{"binary may be anything", SERVER, "82 02 '\\xff\\xfe'", "F2(\xff\xfe)"},
	{"7.1.1 close, then more", CLIENT, "88 82* '\\x03\\xe8' 81 81* 'x'", "C8(\x03\xe8)"},
	{"7.3.1 close without a code", SERVER, "88 00", "C8()"},
	{"7.3.2 half a code", SERVER, "88 01 '\\x03'", "!1002"},
	{"7.3.4 code and reason", SERVER, "88 07 '\\x03\\xe8Hello'", "C8(\x03\xe8Hello)"},
	{"7.5.1 reason not UTF-8", SERVER, "88 03 '\\x03\\xe8\\xce'", "!1007"},
	{"7.7.13 code 4999", SERVER, "88 02 '\\x13\\x87'", "C8(\x13\x87)"},
	{"code 1014", SERVER, "88 02 '\\x03\\xf6'", "C8(\x03\xf6)"},
	{"7.9.1 code 0", SERVER, "88 02 '\\x00\\x00'", "!1002"},
	{"7.9.2 code 999", SERVER, "88 02 '\\x03\\xe7'", "!1002"},
	{"7.9.3 code 1004", SERVER, "88 02 '\\x03\\xec'", "!1002"},
	{"7.9.4 code 1005", SERVER, "88 02 '\\x03\\xed'", "!1002"},
	{"7.9.5 code 1006", SERVER, "88 02 '\\x03\\xee'", "!1002"},
	{"code 1015", SERVER, "88 02 '\\x03\\xf7'", "!1002"},
	{"7.9.9 code 2999", SERVER, "88 02 '\\x0b\\xb7'", "!1002"},
	{"7.13.1 code 5000", SERVER, "88 02 '\\x13\\x88'", "!1002"},
	{"a client's frame that is not masked", CLIENT, "81 01 'a'", "!1002"},
	{"a server's that is", SERVER, "81 81* 'a'", "!1002"},
	{"length of two bytes for 125", SERVER, "82 7e 00 7d 125", "!1002"},
	{"length of eight bytes for 65535", SERVER, "82 7f 00 00 00 00 00 00 ff ff", "!1002"},
	{"length with the highest bit", SERVER, "82 7f 80 00 00 00 00 00 00 00", "!1002"},
	{"length that would wrap the sum", SERVER, "02 01 'a' 00 7f 7f ff ff ff ff ff ff ff", "f2(a)!1009"},
	{"9 the largest message", SERVER, "82 7e 03 e8 1000", "F2[1000]"},
	{"a byte more", SERVER, "82 7e 03 e9", "!1009"},
	{"a byte more in fragments", SERVER, "02 7e 03 e7 999 80 02", "f2[999]!1009"},
	{"the next message begins at zero", SERVER, "82 7e 03 e8 1000 82 01 'x'", "F2[1000]F2(x)"},
};

static unsigned
digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

/* 'text', or a number of bytes, masked as the frame says. */
static const char *
payload(const char *p, char *out, size_t *len, bool masked)
{
	size_t start = *len;
	if (*p == '\'') {
		for (p++; *p != '\''; p++) {
			if (*p == '\\') {
				out[(*len)++] = (char)(digit(p[2]) << 4 | digit(p[3]));
				p += 3;
			} else
				out[(*len)++] = *p;
		}
		p++;
	} else {
		size_t count = 0;
		for (; *p >= '0' && *p <= '9'; p++)
			count = count * 10 + digit(*p);
		memset(out + *len, 'x', count);
		*len += count;
	}
	if (masked)
		for (size_t i = start; i < *len; i++)
			out[i] = (char)(out[i] ^ MASK[(i - start) % 4]);
	return p;
}

static size_t
stream_of(const char *p, char *out)
{
	size_t len = 0;
	bool masked = false;
	while (*p) {
		if (*p == ' ')
			p++;
		else if (*p == '\'' || (p[1] && p[2] && p[2] != ' ' && p[2] != '*'))
			p = payload(p, out, &len, masked);
		else {
			out[len++] = (char)(digit(p[0]) << 4 | digit(p[1]));
			masked = p[2] == '*';
			p += masked ? 3 : 2;
			if (masked) {
				memcpy(out + len, MASK, 4);
				len += 4;
			}
		}
	}
	assert_true(len < STREAM_MAX);
	return len;
}

struct shown {
	char text[SHOWN_MAX];
	size_t len;
};

static void
show(struct shown *s, const char *bytes, size_t len)
{
	assert_true(s->len + len < SHOWN_MAX);
	memcpy(s->text + s->len, bytes, len);
	s->len += len;
	s->text[s->len] = 0;
}

static void
show_number(struct shown *s, unsigned n)
{
	char digits[12];
	size_t at = sizeof digits;
	do
		digits[--at] = (char)('0' + n % 10);
	while (n /= 10);
	show(s, digits + at, sizeof digits - at);
}

static void
show_payload(struct shown *s, const char *bytes, size_t len)
{
	if (len > 100) {
		show(s, "[", 1);
		show_number(s, (unsigned)len);
		show(s, "]", 1);
		return;
	}
	show(s, "(", 1);
	show(s, bytes, len);
	show(s, ")", 1);
}

/* In pieces of `step` bytes. */
static void
read_frames(const struct case_row *row, size_t step, struct shown *s)
{
	char in[STREAM_MAX], frame[STREAM_MAX];
	size_t len = stream_of(row->frames, in), have = 0;
	struct websocket w;
	websocket_init(&w, row->side, BIG);
	s->len = 0;
	s->text[0] = 0;
	for (size_t at = 0; at < len; at += step) {
		struct span piece;
		websocket_feed(&w, in + at, len - at < step ? len - at : step);
		for (enum websocket_token t; (t = websocket_next(&w, &piece)) != WEBSOCKET_MORE;) {
			if (t == WEBSOCKET_BAD) {
				show(s, "!", 1);
				show_number(s, websocket_error_code(w.error));
				return;
			}
			if (t == WEBSOCKET_FRAME)
				have = 0;
			else if (t == WEBSOCKET_DATA) {
				memcpy(frame + have, piece.at, piece.len);
				have += piece.len;
			} else {
				show(s, t == WEBSOCKET_CONTROL ? "C" : w.final ? "F"
															   : "f",
					1);
				show_number(s, w.opcode);
				if (t == WEBSOCKET_CONTROL)
					show_payload(s, w.control, w.control_len);
				else
					show_payload(s, frame, have);
			}
		}
	}
}

static void
frames_are_read_strictly(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t step = 1; step <= STREAM_MAX; step = step < 9 ? step + 1 : step * 2) {
			struct shown s;
			read_frames(&cases[i], step, &s);
			if (strcmp(s.text, cases[i].expected) != 0)
				fail_msg("%s, by %zu: %s instead of %s", cases[i].name, step, s.text, cases[i].expected);
		}
}

static void
a_head_is_written_in_its_shortest_form(void **state)
{
	static const struct {
		uint64_t length;
		const char *head;
		size_t len;
	} rows[] = {
		{0, "\x81\x00", 2},
		{125, "\x81\x7d", 2},
		{126, "\x81\x7e\x00\x7e", 4},
		{65535, "\x81\x7e\xff\xff", 4},
		{65536, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10},
	};
	static const uint8_t mask[4] = {1, 2, 3, 4};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char out[WEBSOCKET_HEAD_MAX];
		assert_int_equal(websocket_head_of(out, 0x81, rows[i].length, NULL), rows[i].len);
		assert_memory_equal(out, rows[i].head, rows[i].len);
		assert_int_equal(websocket_head_of(out, 0x81, rows[i].length, mask), rows[i].len + 4);
		assert_int_equal((uint8_t)out[1], (uint8_t)rows[i].head[1] | 0x80);
		assert_memory_equal(out + rows[i].len, mask, 4);
	}
}

static void
a_mask_goes_on_where_it_stopped(void **state)
{
	static const uint8_t mask[4] = {0x11, 0x22, 0x44, 0x88};
	for (size_t cut = 0; cut <= 23; cut++) {
		char bytes[23] = {0};
		websocket_mask(bytes, cut, mask, 0);
		websocket_mask(bytes + cut, sizeof bytes - cut, mask, cut);
		for (size_t i = 0; i < sizeof bytes; i++)
			assert_int_equal((uint8_t)bytes[i], mask[i % 4]);
	}
}

/* RFC 6455 1.3. */
static void
the_accept_of_the_standards_example(void **state)
{
	char out[WEBSOCKET_ACCEPT_TEXT];
	websocket_accept(SPAN("dGhlIHNhbXBsZSBub25jZQ=="), out);
	assert_memory_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", sizeof out);
	uint8_t key[WEBSOCKET_KEY_BYTES];
	char text[WEBSOCKET_KEY_TEXT];
	memcpy(key, "the sample nonce", sizeof key);
	websocket_key_text(key, text);
	assert_memory_equal(text, "dGhlIHNhbXBsZSBub25jZQ==", sizeof text);
}

static void
a_key_is_sixteen_bytes(void **state)
{
	assert_true(websocket_key_valid(SPAN("dGhlIHNhbXBsZSBub25jZQ==")));
	assert_true(websocket_key_valid(SPAN("AAAAAAAAAAAAAAAAAAAAAA==")));
	assert_false(websocket_key_valid(SPAN("")));
	assert_false(websocket_key_valid(SPAN("dGhlIHNhbXBsZSBub25jZQ=")));
	assert_false(websocket_key_valid(SPAN("dGhlIHNhbXBsZSBub25jZR==")));
	assert_false(websocket_key_valid(SPAN("dGhlIHNhbXBsZSBub25jZ***")));
	assert_false(websocket_key_valid(SPAN("dGhl\r\nNhbXBsZSBub25jZQ==")));
	assert_false(websocket_key_valid((struct span){"dGhlIHNhbXBsZSBub25\0ZQ==", 24}));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_read_strictly),
		cmocka_unit_test(a_head_is_written_in_its_shortest_form),
		cmocka_unit_test(a_mask_goes_on_where_it_stopped),
		cmocka_unit_test(the_accept_of_the_standards_example),
		cmocka_unit_test(a_key_is_sixteen_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
