#include "prove/search.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { BLOCK = 8,
	GZIP_OUT_MAX = 8 << 20, /* of one stream: a bomb ends here */
	ESCAPE_BYTES = 6,
	UNESCAPED_MAX = 4096 };

struct search_row {
	uint64_t key; /* eight bytes of a mark in some form; 0: free, which no form has */
	uint32_t canary;
	uint8_t form, at;
};

/* Those that are looked for as they are; the two others are undone first. */
static const struct {
	enum canary_form form;
	unsigned hit; /* bytes that sixteen of the mark make */
} forms[] = {
	{CANARY_RAW, CANARY_HIT},
	{CANARY_BASE64, CANARY_HIT * 4 / 3 - 1},
	{CANARY_BASE64_1, CANARY_HIT * 4 / 3 - 1},
	{CANARY_BASE64_2, CANARY_HIT * 4 / 3 - 1},
	{CANARY_HEX, 2 * CANARY_HIT},
	{CANARY_HEX_UPPER, 2 * CANARY_HIT},
	{CANARY_UTF16, 2 * CANARY_HIT},
};

static uint64_t
load(const char *at)
{
	uint64_t key;
	memcpy(&key, at, sizeof key);
	return key;
}

static uint64_t
mixed(uint64_t key)
{
	key *= 0x9e3779b97f4a7c15;
	return key ^ key >> 29;
}

static bool
may_be(const struct search *s, uint64_t key)
{
	uint64_t bit = key * 0x9e3779b97f4a7c15 >> s->filter_shift;
	return s->filter[bit / 64] >> bit % 64 & 1;
}

static void
add_row(struct search *s, struct search_row row)
{
	uint64_t bit = row.key * 0x9e3779b97f4a7c15 >> s->filter_shift, at = mixed(row.key);
	s->filter[bit / 64] |= 1ULL << bit % 64;
	while (s->rows[at & s->row_mask].key)
		at++;
	s->rows[at & s->row_mask] = row;
}

static void
add_canary(struct search *s, uint32_t canary)
{
	char text[CANARY_FORM_MAX];
	for (size_t f = 0; f < ARRAY_LEN(forms); f++) {
		size_t len = canary_in_form(s->canaries->all[canary].text, forms[f].form, text);
		for (size_t at = 0; at + BLOCK <= len; at += BLOCK)
			add_row(s, (struct search_row){load(text + at), canary, (uint8_t)f, (uint8_t)at});
	}
}

void
search_open(struct search *s, const struct canaries *c)
{
	unsigned bits = 12;
	while (1ULL << bits < c->count * 80ULL) /* 40 rows for each mark, half of the table free */
		bits++;
	*s = (struct search){.canaries = c, .row_mask = (uint32_t)((1ULL << bits) - 1), .filter_shift = 64 - (bits + 5)};
	s->rows = calloc(1ULL << bits, sizeof *s->rows);
	s->filter = calloc(1ULL << (bits + 5) >> 6, sizeof *s->filter);
	s->findings = calloc(SEARCH_FINDINGS_MAX, sizeof *s->findings);
	assert(s->rows && s->filter && s->findings);
	for (uint32_t i = 0; i < c->count; i++)
		add_canary(s, i);
}

void
search_close(struct search *s)
{
	free(s->rows);
	free(s->filter);
	free(s->findings);
	*s = (struct search){0};
}

static void
add_finding(struct search *s, uint32_t canary, enum canary_form form, const char *where)
{
	for (uint32_t i = s->finding_count; i-- > 0;) {
		const struct finding *f = &s->findings[i];
		bool same_form = f->form == form || (f->form == CANARY_HEX && form == CANARY_HEX_UPPER); /* where no digit is a letter */
		if (f->canary == canary && same_form && strncmp(f->where, where, SEARCH_WHERE_MAX - 1) == 0)
			return;
	}
	if (s->finding_count == SEARCH_FINDINGS_MAX)
		return;
	struct finding *f = &s->findings[s->finding_count++];
	f->canary = canary;
	f->form = form;
	memcpy(f->where, where, strnlen(where, SEARCH_WHERE_MAX - 1));
}

/* How many bytes around the block are the mark's. */
static size_t
run_around(const struct search_row *row, const char *pattern, size_t pattern_len, struct span in, size_t at)
{
	size_t before = 0, behind = BLOCK;
	while (before < row->at && before < at && in.at[at - before - 1] == pattern[row->at - before - 1])
		before++;
	while (row->at + behind < pattern_len && at + behind < in.len && in.at[at + behind] == pattern[row->at + behind])
		behind++;
	return before + behind;
}

static void
look_up(struct search *s, uint64_t key, struct span in, size_t at, const char *where)
{
	char pattern[CANARY_FORM_MAX];
	for (uint64_t i = mixed(key); s->rows[i & s->row_mask].key; i++) {
		const struct search_row *row = &s->rows[i & s->row_mask];
		if (row->key != key)
			continue;
		size_t len = canary_in_form(s->canaries->all[row->canary].text, forms[row->form].form, pattern);
		if (run_around(row, pattern, len, in, at) >= forms[row->form].hit)
			add_finding(s, row->canary, s->undone != CANARY_RAW ? s->undone : forms[row->form].form, where);
	}
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A run of \u00XX, undone and looked at. Returns the bytes that it had. */
static size_t
look_at_escapes(struct search *s, struct span in, const char *where)
{
	char plain[UNESCAPED_MAX];
	size_t n = 0, at = 0;
	for (; n < sizeof plain && at + ESCAPE_BYTES <= in.len && memcmp(in.at + at, "\\u00", 4) == 0; at += ESCAPE_BYTES) {
		int high = hex_digit(in.at[at + 4]), low = hex_digit(in.at[at + 5]);
		if (high < 0 || low < 0)
			break;
		plain[n++] = (char)(high << 4 | low);
	}
	enum canary_form outer = s->undone;
	s->undone = outer != CANARY_RAW ? outer : CANARY_ESCAPED;
	for (size_t i = 0; i + BLOCK <= n; i++)
		if (may_be(s, load(plain + i)))
			look_up(s, load(plain + i), (struct span){plain, n}, i, where);
	s->undone = outer;
	if (n == sizeof plain)
		at -= SEARCH_OVERLAP; /* the next run begins with what may be cut here */
	return at ? at - 1 : 0;
}

static void
look_into_gzip(struct search *s, struct span in, const char *where)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)in.at, .avail_in = in.len < UINT32_MAX ? (uInt)in.len : UINT32_MAX};
	if (inflateInit2(&z, 15 + 16) != Z_OK)
		return;
	char *out = malloc(GZIP_OUT_MAX);
	assert(out);
	z.next_out = (Bytef *)out;
	z.avail_out = GZIP_OUT_MAX;
	(void)inflate(&z, Z_SYNC_FLUSH);
	uint64_t searched = s->searched_bytes;
	s->undone = CANARY_GZIP;
	search_bytes(s, out, GZIP_OUT_MAX - z.avail_out, where);
	s->undone = CANARY_RAW;
	s->searched_bytes = searched;
	inflateEnd(&z);
	free(out);
}

void
search_bytes(struct search *s, const void *at, size_t len, const char *where)
{
	const struct span in = {at, len};
	for (size_t i = 0; i + BLOCK <= len; i++) {
		uint64_t key = load(in.at + i);
		if (key == 0) {
			i += BLOCK - 1; /* no form has two zeros in a row */
			continue;
		}
		if (may_be(s, key))
			look_up(s, key, in, i, where);
		if ((key & 0xffffffff) == 0x3030755c) /* \u00 */
			i += look_at_escapes(s, (struct span){in.at + i, len - i}, where);
		else if ((key & 0xffffff) == 0x088b1f && s->undone != CANARY_GZIP)
			look_into_gzip(s, (struct span){in.at + i, len - i}, where);
	}
	s->searched_bytes += len;
}
