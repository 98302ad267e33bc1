#include "core/http1.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct body {
	enum http1_result result;
	size_t consumed, len;
	char *data;
};

static struct body
decode(const char *in, size_t len, size_t step, bool of_request)
{
	struct body b = {HTTP1_MORE, 0, 0, malloc(len ? len : 1)};
	struct http1_chunked c;
	http1_chunked_init(&c);
	c.of_request = of_request;
	while (b.result == HTTP1_MORE && b.consumed < len) {
		size_t n = len - b.consumed < step ? len - b.consumed : step, took;
		struct span run;
		char *piece = malloc(n);
		memcpy(piece, in + b.consumed, n);
		b.result = http1_chunked_feed(&c, piece, n, &took, &run);
		assert(took <= n && (took || b.result != HTTP1_MORE));
		assert(b.result == HTTP1_MORE || run.len == 0);
		const char *rest = run.at + run.len; /* of what was taken: the end of the chunk's line, if anything */
		size_t behind = (size_t)(piece + took - rest);
		assert(run.len == 0 || (run.at >= piece && (behind == 0 || (behind == 2 && !memcmp(rest, "\r\n", 2)))));
		memcpy(b.data + b.len, run.at, run.len);
		b.len += run.len;
		b.consumed += took;
		free(piece);
	}
	return b;
}

static void
check_no_control(const char *p, const char *end)
{
	for (; p < end; p++)
		assert((*p == '\t' || (unsigned char)*p >= 0x20) && *p != 0x7f);
}

/* The size line at p, which ends at eol. Of an extension: only what no reading may let through. */
static unsigned long long
check_size_line(const char *p, const char *eol)
{
	char *stop;
	unsigned long long size = strtoull(p, &stop, 16);
	assert(eol && isxdigit((unsigned char)*p) && stop - p <= 16);
	assert(stop == p + strspn(p, "0123456789abcdefABCDEF")); /* strtoull knows 0x */
	assert(stop == eol || (*stop == ';' && eol - stop <= 257 && eol[-1] != ';' && eol[-1] != '='));
	check_no_control(stop, eol);
	return size;
}

static void
check_trailers(const char *p, const char *end, bool of_request)
{
	for (const char *eol; (eol = memmem(p, (size_t)(end - p), "\r\n", 2)) && eol > p; p = eol + 2) {
		const char *colon = memchr(p, ':', (size_t)(eol - p));
		assert(colon && colon > p && !isblank((unsigned char)*p) && !isblank((unsigned char)colon[-1]));
		assert(!of_request || !http1_is_known(p, (size_t)(colon - p)));
		check_no_control(p, eol);
	}
	assert(end - p == 2);
}

/* A second opinion on complete bodies, with the whole input at hand. */
static void
check_done(const char *in, const struct body *b, bool of_request)
{
	const char *p = in, *end = in + b->consumed;
	size_t out = 0;
	for (;;) {
		const char *eol = memmem(p, (size_t)(end - p), "\r\n", 2);
		unsigned long long size = check_size_line(p, eol);
		p = eol + 2;
		if (size == 0)
			break;
		assert(size <= (size_t)(end - p) && size <= b->len - out && !memcmp(b->data + out, p, size));
		out += size;
		p += size;
		assert(end - p >= 2 && p[0] == '\r' && p[1] == '\n');
		p += 2;
	}
	assert(out == b->len);
	check_trailers(p, end, of_request);
}

/* Cut the input into chunks as its own bytes say, and read it back. */
static void
round_trip(const char *in, size_t len)
{
	char *wire = malloc(len * 8 + 16);
	size_t n = 0;
	for (size_t at = 0, size; at < len; at += size) {
		size = 1 + (unsigned char)in[at] % 40;
		size = size < len - at ? size : len - at;
		if (size > 15)
			wire[n++] = "0123456789ABCDEF"[size >> 4];
		wire[n++] = "0123456789abcdef"[size & 15];
		n = (size_t)((char *)mempcpy(mempcpy(mempcpy(wire + n, "\r\n", 2), in + at, size), "\r\n", 2) - wire);
	}
	memcpy(wire + n, "0\r\n\r\n!", 6);
	struct body b = decode(wire, n + 6, 7, true);
	assert(b.result == HTTP1_DONE && b.consumed == n + 5 && b.len == len && !memcmp(b.data, in, len));
	free(b.data);
	free(wire);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	const char *in = (const char *)data + 1;
	size_t len = size - 1;
	bool of_request = data[0] & 0x80;
	struct body whole = decode(in, len, len ? len : 1, of_request), pieces = decode(in, len, 1u + data[0] % 16, of_request);
	assert(whole.result == pieces.result && whole.consumed == pieces.consumed && whole.len == pieces.len);
	assert(!memcmp(whole.data, pieces.data, whole.len));
	if (whole.result == HTTP1_DONE) {
		char *text = calloc(1, len + 1); /* ended, for strtoull */
		memcpy(text, in, len);
		check_done(text, &whole, of_request);
		free(text);
	}
	free(whole.data);
	free(pieces.data);
	if (len)
		round_trip(in, len);
	return 0;
}
