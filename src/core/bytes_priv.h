/*
 * Finding the byte that ends a run, 16 at a time. Inlined by the parsers of this folder, in whatever process
 * they run; owns nothing. Each returns the first stopping byte in [p, end), or end. Never reads outside of it.
 */
#ifndef CORE_BYTES_PRIV_H
#define CORE_BYTES_PRIV_H

#include "core/base.h"

static inline bool
bytes_ends_string(unsigned char c)
{
	return c == '"' || c == '\\' || c < 0x20;
}

static inline bool
bytes_ends_value(unsigned char c)
{
	return (c < 0x20 && c != '\t') || c == 0x7f;
}

static inline bool
bytes_ends_line(unsigned char c)
{
	return c == '\r' || c == '\n';
}

#ifdef __SSE2__
#include <emmintrin.h>

static inline __m128i
bytes_load(const char *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline __m128i
bytes_equal(__m128i v, char c)
{
	return _mm_cmpeq_epi8(v, _mm_set1_epi8(c));
}

/* v <= c, unsigned: SSE2 has no such comparison, but a minimum. */
static inline __m128i
bytes_at_most(__m128i v, char c)
{
	return _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(c)), v);
}

/* The quote, 0x22, stands behind the control bytes once a bit is turned round that leaves these among themselves. */
static inline __m128i
bytes_string_stops(const char *p)
{
	__m128i v = bytes_load(p);
	return _mm_or_si128(bytes_equal(v, '\\'), bytes_at_most(_mm_xor_si128(v, _mm_set1_epi8(2)), 0x20));
}

static inline __m128i
bytes_value_stops(const char *p)
{
	__m128i v = bytes_load(p);
	__m128i low = _mm_andnot_si128(bytes_equal(v, '\t'), bytes_at_most(v, 0x1f));
	return _mm_or_si128(low, bytes_equal(v, 0x7f));
}

static inline __m128i
bytes_line_stops(const char *p)
{
	__m128i v = bytes_load(p);
	return _mm_or_si128(bytes_equal(v, '\r'), bytes_equal(v, '\n'));
}

/* What an SSE2 pass could not decide is decided byte by byte, so the tail needs no padding. */
#define BYTES_FIND_16(p, end, stops) \
	while ((end) - (p) >= 16) { \
		unsigned hits = (unsigned)_mm_movemask_epi8(stops(p)); \
		if (hits) \
			return (p) + __builtin_ctz(hits); \
		(p) += 16; \
	}

#else
#define BYTES_FIND_16(p, end, stops)
#endif

/* As far as whole blocks of a string have nothing that ends a run of it: strings may be megabytes of base64. */
const char *bytes_skip_string(const char *p, const char *end);

enum { BYTES_BLOCK = 64 };

/* Bit per byte of the block at p that ends a string's plain run. */
static inline uint64_t
bytes_string_stops_in_block(const char *p)
{
	uint64_t hits = 0;
#ifdef __SSE2__
	for (int i = 0; i < BYTES_BLOCK; i += 16)
		hits |= (uint64_t)(unsigned)_mm_movemask_epi8(bytes_string_stops(p + i)) << i;
#else
	for (int i = 0; i < BYTES_BLOCK; i++)
		hits |= (uint64_t)bytes_ends_string((unsigned char)p[i]) << i;
#endif
	return hits;
}

/* The end of a JSON string's plain run: quote, backslash or a control byte. */
static inline const char *
bytes_find_string_end(const char *p, const char *end)
{
#ifdef __SSE2__
	if (end - p >= 16) {
		unsigned hits = (unsigned)_mm_movemask_epi8(bytes_string_stops(p));
		if (hits)
			return p + __builtin_ctz(hits);
		p += 16;
	}
#endif
	if (end - p >= BYTES_BLOCK)
		p = bytes_skip_string(p, end);
	BYTES_FIND_16(p, end, bytes_string_stops)
	while (p < end && !bytes_ends_string((unsigned char)*p))
		p++;
	return p;
}

/* The end of a header field's value: any control byte except HTAB. */
static inline const char *
bytes_find_value_end(const char *p, const char *end)
{
	BYTES_FIND_16(p, end, bytes_value_stops)
	while (p < end && !bytes_ends_value((unsigned char)*p))
		p++;
	return p;
}

/* Past the letters, digits and '-' that names of header fields consist of, some may be left. */
static inline const char *
bytes_skip_name(const char *p, const char *end)
{
#ifdef __SSE2__
	while (end - p >= 16) {
		__m128i v = bytes_load(p), letter = _mm_sub_epi8(_mm_or_si128(v, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
		__m128i digit = _mm_sub_epi8(v, _mm_set1_epi8('0'));
		__m128i in_name = _mm_or_si128(_mm_or_si128(bytes_at_most(letter, 25), bytes_at_most(digit, 9)), bytes_equal(v, '-'));
		unsigned ends = ~(unsigned)_mm_movemask_epi8(in_name) & 0xffff;
		if (ends)
			return p + __builtin_ctz(ends);
		p += 16;
	}
#endif
	return p;
}

/* CR or LF. */
static inline const char *
bytes_find_line_end(const char *p, const char *end)
{
	BYTES_FIND_16(p, end, bytes_line_stops)
	while (p < end && !bytes_ends_line((unsigned char)*p))
		p++;
	return p;
}

/* ASCII letters compared without case; `lower` is a lower-case literal. */
static inline bool
bytes_equal_nocase(const char *at, const char *lower, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)at[i];
		if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != (unsigned char)lower[i])
			return false;
	}
	return true;
}

#endif
