#include "core/bytes_priv.h"

#ifdef __SSE2__
#include <immintrin.h>

/* Four pieces share one branch. */
static const char *
skip_string_sse2(const char *p, const char *end)
{
	for (; end - p >= BYTES_BLOCK; p += BYTES_BLOCK) {
		__m128i a = _mm_or_si128(bytes_string_stops(p), bytes_string_stops(p + 16));
		__m128i b = _mm_or_si128(bytes_string_stops(p + 32), bytes_string_stops(p + 48));
		if (_mm_movemask_epi8(_mm_or_si128(a, b)))
			break;
	}
	return p;
}

__attribute__((target("avx2"))) static inline __m256i
string_stops_avx2(const char *p)
{
	__m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p), turned = _mm256_xor_si256(v, _mm256_set1_epi8(2));
	__m256i low = _mm256_cmpeq_epi8(_mm256_min_epu8(turned, _mm256_set1_epi8(0x20)), turned);
	return _mm256_or_si256(low, _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\')));
}

__attribute__((target("avx2"))) static const char *
skip_string_avx2(const char *p, const char *end)
{
	for (; end - p >= BYTES_BLOCK; p += BYTES_BLOCK)
		if (_mm256_movemask_epi8(_mm256_or_si256(string_stops_avx2(p), string_stops_avx2(p + 32))))
			break;
	return p;
}

const char *
bytes_skip_string(const char *p, const char *end)
{
	return __builtin_cpu_supports("avx2") ? skip_string_avx2(p, end) : skip_string_sse2(p, end);
}
#else
const char *
bytes_skip_string(const char *p, const char *end)
{
	return p;
}
#endif
