#include "dialect/bpe_reference.h"

#include "dialect/bpe_table.h"

#include <stdlib.h>
#include <string.h>

/* ---- tokens by their bytes ---- */

struct token {
	const char *at;
	uint32_t len, rank;
};

static struct token *vocabularies[TOKENIZER_COUNT]; /* sorted by bytes */
static uint32_t counts[TOKENIZER_COUNT];

static int
by_bytes(const void *a, const void *b)
{
	const struct token *x = a, *y = b;
	int c = memcmp(x->at, y->at, x->len < y->len ? x->len : y->len);
	return c ? c : (x->len > y->len) - (x->len < y->len);
}

static void *
must(void *p)
{
	if (!p)
		abort();
	return p;
}

static struct token
joined(const struct token *a, const struct token *b, uint32_t rank)
{
	char *bytes = must(malloc((size_t)a->len + b->len));
	memcpy(bytes, a->at, a->len);
	memcpy(bytes + a->len, b->at, b->len);
	return (struct token){bytes, a->len + b->len, rank};
}

static void
load(enum tokenizer tokenizer, const unsigned char *bytes, const uint64_t *rows, size_t row_count, uint32_t count)
{
	uint64_t *merges = must(calloc(count, sizeof *merges));
	struct token *t = must(calloc(count, sizeof *t));
	for (size_t i = 0; i < row_count; i++)
		if (rows[i] != BPE_EMPTY)
			merges[rows[i] & BPE_TOKEN_MASK] = rows[i] >> BPE_TOKEN_BITS;
	for (uint32_t i = 0; i < BPE_BYTES; i++) {
		char *one = must(malloc(1));
		*one = (char)i;
		t[bytes[i]] = (struct token){one, 1, bytes[i]};
	}
	for (uint32_t i = BPE_BYTES; i < count; i++)
		t[i] = joined(&t[merges[i] >> BPE_TOKEN_BITS], &t[merges[i] & BPE_TOKEN_MASK], i);
	free(merges);
	qsort(t, count, sizeof *t, by_bytes);
	vocabularies[tokenizer] = t;
	counts[tokenizer] = count;
}

static uint32_t
rank_of(enum tokenizer tokenizer, const char *at, size_t len)
{
	struct token key = {at, (uint32_t)len, 0};
	const struct token *t = bsearch(&key, vocabularies[tokenizer], counts[tokenizer], sizeof key, by_bytes);
	return t ? t->rank : UINT32_MAX;
}

static uint64_t
tokens_of(enum tokenizer tokenizer, const char *at, size_t len)
{
	size_t *starts = must(malloc((len + 1) * sizeof *starts)), n = len;
	for (size_t i = 0; i <= len; i++)
		starts[i] = i;
	for (;;) {
		uint32_t best = UINT32_MAX;
		size_t first = 0;
		for (size_t i = 0; i + 2 <= n; i++) {
			uint32_t rank = rank_of(tokenizer, at + starts[i], starts[i + 2] - starts[i]);
			if (rank < best) {
				best = rank;
				first = i;
			}
		}
		if (best == UINT32_MAX)
			break;
		memmove(&starts[first + 1], &starts[first + 2], (n - first - 1) * sizeof *starts);
		n--;
	}
	free(starts);
	return n;
}

/* ---- the patterns ---- */

enum kind { UPPER = 1,
	LOWER = 2,
	LETTER = 4,
	MARK = 8,
	DIGIT = 16,
	SPACE = 32,
	OTHER = 64 };

struct letter {
	uint32_t point; /* UINT32_MAX: a byte that is no character */
	unsigned kind, bytes;
};

#define X(from, class) {from, class},
#include "dialect/tokenizers/classes.inc"
static const struct {
	uint32_t from;
	unsigned kind;
} runs[] = {BPE_CLASS_RUNS(X)};
#undef X

static unsigned
kind_of(uint32_t point)
{
	unsigned kind = OTHER;
	for (size_t i = 0; i < ARRAY_LEN(runs) && runs[i].from <= point; i++)
		kind = runs[i].kind;
	return kind;
}

static bool
decode(const unsigned char *p, size_t left, uint32_t *ret, unsigned *ret_len)
{
	static const struct {
		unsigned char mask, lead, bits;
		uint32_t least;
	} forms[] = {{0x80, 0, 7, 0}, {0xe0, 0xc0, 5, 0x80}, {0xf0, 0xe0, 4, 0x800}, {0xf8, 0xf0, 3, 0x10000}};
	for (unsigned f = 0; f < ARRAY_LEN(forms); f++) {
		if ((p[0] & forms[f].mask) != forms[f].lead || left < f + 1)
			continue;
		uint32_t point = p[0] & ((1u << forms[f].bits) - 1);
		for (unsigned i = 1; i <= f; i++) {
			if (p[i] >> 6 != 2)
				return false;
			point = point << 6 | (p[i] & 63);
		}
		*ret = point;
		*ret_len = f + 1;
		return point >= forms[f].least && point <= 0x10ffff;
	}
	return false;
}

/* Letters, and one of kind 0 behind them. */
static struct letter *
letters_of(struct span text)
{
	struct letter *l = must(calloc(text.len + 1, sizeof *l));
	size_t n = 0;
	for (size_t at = 0; at < text.len; n++) {
		l[n] = (struct letter){UINT32_MAX, OTHER, 1};
		if (decode((const unsigned char *)text.at + at, text.len - at, &l[n].point, &l[n].bytes))
			l[n].kind = kind_of(l[n].point);
		else
			l[n] = (struct letter){UINT32_MAX, OTHER, 1};
		at += l[n].bytes;
	}
	return l;
}

static size_t
many(const struct letter *l, unsigned kinds)
{
	size_t n = 0;
	while (l[n].kind & kinds)
		n++;
	return n;
}

static bool
is_end_of_line(const struct letter *l)
{
	return l->kind && (l->point == '\r' || l->point == '\n');
}

static size_t
contraction(const struct letter *l)
{
	static const char *const words[] = {"s", "t", "re", "ve", "m", "ll", "d"};
	for (size_t w = 0; l->kind && l->point == '\'' && w < ARRAY_LEN(words); w++) {
		size_t n = 0;
		while (words[w][n] && l[n + 1].kind && l[n + 1].point < 128 && (l[n + 1].point == (uint32_t)words[w][n] || l[n + 1].point + 32 == (uint32_t)words[w][n]))
			n++;
		if (!words[w][n])
			return n + 1;
	}
	return 0;
}

/* [first]*[second]+ with as few given back as it takes; 0: it is not there. */
static size_t
star_plus(const struct letter *l, unsigned first, unsigned second)
{
	for (size_t n = many(l, first) + 1; n-- > 0;)
		if (many(l + n, second))
			return n + many(l + n, second);
	return 0;
}

static size_t
plus_star(const struct letter *l, unsigned first, unsigned second)
{
	size_t n = many(l, first);
	return n ? n + many(l + n, second) : 0;
}

static size_t
word_o200k(const struct letter *l)
{
	enum { BIG = UPPER | LETTER | MARK,
		SMALL = LOWER | LETTER | MARK };
	bool sign = (l->kind & (MARK | SPACE | OTHER)) && !is_end_of_line(l);
	for (int plan = 0; plan < 2; plan++)
		for (int with = sign; with >= 0; with--) {
			size_t n = plan == 0 ? star_plus(l + with, BIG, SMALL) : plus_star(l + with, BIG, SMALL);
			if (n)
				return (size_t)with + n + contraction(l + with + n);
		}
	return 0;
}

static size_t
word_cl100k(const struct letter *l)
{
	enum { LETTERS = UPPER | LOWER | LETTER };
	size_t n = contraction(l);
	bool sign = (l->kind & (MARK | SPACE | OTHER)) && !is_end_of_line(l);
	if (n)
		return n;
	n = many(l + sign, LETTERS);
	return n ? sign + n : 0;
}

static size_t
signs(const struct letter *l, bool slashes)
{
	size_t blank = l->kind && l->point == ' ', n = many(l + blank, OTHER | MARK);
	if (!n)
		return 0;
	for (n += blank; is_end_of_line(&l[n]) || (slashes && l[n].kind && l[n].point == '/');)
		n++;
	return n;
}

static size_t
blanks(const struct letter *l)
{
	size_t n = many(l, SPACE);
	for (size_t i = n; i > 0; i--)
		if (is_end_of_line(&l[i - 1]))
			return i;
	return l[n].kind && n > 1 ? n - 1 : n;
}

static size_t
piece(enum tokenizer tokenizer, const struct letter *l)
{
	size_t n = tokenizer == TOKENIZER_o200k_base ? word_o200k(l) : word_cl100k(l);
	if (!n && (n = many(l, DIGIT)) > 3)
		n = 3;
	if (!n)
		n = signs(l, tokenizer == TOKENIZER_o200k_base);
	return n ? n : blanks(l);
}

uint64_t
bpe_reference(enum tokenizer tokenizer, struct span text)
{
#define X(name, which, tokens, bits) \
	if (tokenizer == TOKENIZER_##name && !vocabularies[tokenizer]) \
		load(tokenizer, bpe_##name##_bytes, bpe_##name##_pairs, ARRAY_LEN(bpe_##name##_pairs), tokens);
	TOKENIZERS(X)
#undef X
	struct letter *l = letters_of(text);
	uint64_t sum = 0;
	size_t bytes = 0;
	for (const struct letter *at = l; at->kind;) {
		size_t n = piece(tokenizer, at), len = 0;
		if (!n)
			abort();
		for (; n > 0; n--, at++)
			len += at->bytes;
		sum += tokens_of(tokenizer, text.at + bytes, len);
		bytes += len;
	}
	free(l);
	return sum;
}
