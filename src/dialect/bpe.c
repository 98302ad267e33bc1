/*
 * Two steps, as the vocabularies' own tool takes them: the text is cut into pieces by a pattern, and within a piece the two neighbours whose pair comes first
 * in the vocabulary become one, until no pair is in it. A token's number is its place in the vocabulary, so the smallest merged token is the next one.
 *
 * That a token is made by one pair only (the two halves that are left of its bytes after all earlier merges) is proved by tool/tokenizers.ts for each.
 */
#include "dialect/bpe.h"

#include "dialect/bpe_table.h"

#include <string.h>

static const struct vocabulary {
	const unsigned char *bytes;
	const uint64_t *pairs;
	unsigned bits;
} vocabularies[TOKENIZER_COUNT] = {
#define X(name, number, tokens, bits) [TOKENIZER_##name] = {bpe_##name##_bytes, bpe_##name##_pairs, bits},
	TOKENIZERS(X)
#undef X
};

/* ---- a piece's tokens ---- */

enum { NO_TOKEN = BPE_TOKEN_MASK }; /* larger than any */

static uint32_t
merge_of(const struct vocabulary *v, uint32_t left, uint32_t right)
{
	uint64_t pair = bpe_pair(left, right), row;
	uint32_t mask = (1u << v->bits) - 1;
	for (uint32_t slot = bpe_slot(pair, v->bits); (row = v->pairs[slot]) != BPE_EMPTY; slot = (slot + 1) & mask)
		if (row >> BPE_TOKEN_BITS == pair)
			return (uint32_t)(row & BPE_TOKEN_MASK);
	return NO_TOKEN;
}

static void
count_piece(struct bpe *b, const char *at, size_t len)
{
	const struct vocabulary *v = &vocabularies[b->tokenizer];
	uint32_t *token = b->token, *merged = b->merged; /* merged[i]: of token[i] and the next */
	size_t n = len;
	for (size_t i = 0; i < n; i++)
		token[i] = v->bytes[(unsigned char)at[i]];
	for (size_t i = 0; i + 1 < n; i++)
		merged[i] = merge_of(v, token[i], token[i + 1]);
	while (n > 1) {
		size_t first = 0;
		for (size_t i = 1; i + 1 < n; i++)
			if (merged[i] < merged[first])
				first = i;
		b->steps += n;
		if (merged[first] == NO_TOKEN)
			break;
		token[first] = merged[first];
		n--;
		memmove(&token[first + 1], &token[first + 2], (n - first - 1) * sizeof *token);
		memmove(&merged[first], &merged[first + 1], (n - first) * sizeof *merged);
		if (first > 0)
			merged[first - 1] = merge_of(v, token[first - 1], token[first]);
		if (first + 1 < n)
			merged[first] = merge_of(v, token[first], token[first + 1]);
	}
	b->steps += len;
	b->tokens += n;
}

/* ---- where pieces end ---- */

enum class { /* bits, to be asked for several at once */
	END = 0, /* no character: the text ends here */
	UPPER = 1,
	LOWER = 2,
	LETTER = 4, /* without case */
	MARK = 8,
	DIGIT = 16,
	SPACE = 32,
	OTHER = 64,
	MORE = 128, /* it can't be said yet */
	ANY_LETTER = UPPER | LOWER | LETTER,
};

/* What is seen of the text from where a piece begins. */
struct view {
	const char *at;
	size_t len;
	bool whole; /* the text ends behind it */
	bool cl100k;
};

#define X(from, class) {from, class},
#include "dialect/tokenizers/classes.inc"
static const struct {
	uint32_t from : 24, class : 8;
} runs[] = {BPE_CLASS_RUNS(X)};
#undef X

static enum class
	class_of(uint32_t point) {
		size_t low = 0, high = ARRAY_LEN(runs);
		while (high - low > 1){
			size_t middle = (low + high) / 2;
			if (runs[middle].from <= point)
				low = middle;
			else high = middle;}
return (enum class)runs[low].class;
}

static enum class
	class_of_ascii(unsigned char c) {
		if ((unsigned char)((c | 0x20) - 'a') < 26) return c & 0x20 ? LOWER : UPPER;
		if ((unsigned char)(c - '0') < 10) return DIGIT;
		return c == ' ' || (c >= '\t' && c <= '\r') ? SPACE : OTHER;
	}

/* Bytes of the character that begins with this one; 1: it is none that may begin one of several. */
static size_t
length_by(unsigned char first)
{
	return first < 0xc2 || first > 0xf4 ? 1 : first < 0xe0 ? 2
		: first < 0xf0                                     ? 3
														   : 4;
}

static bool
is_character(uint32_t point, size_t len)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	return len > 1 && point >= least[len] && point <= 0x10ffff;
}

/* The character at `pos`; bytes that are no UTF-8 count one by one, as signs. */
static enum class
	look(const struct view *v, size_t pos, size_t *ret_len) {
			*ret_len = 1;
		if (pos >= v->len) return v->whole ? END : MORE;
		const unsigned char *p = (const unsigned char *)v->at + pos;
		if (p[0] < 0x80) return class_of_ascii(p[0]);
		size_t left = v->len - pos, len = length_by(p[0]);
		uint32_t point = p[0] & (0x7fu >> len);
		for (size_t i = 1; i < len; i++){
			if (i >= left) return v->whole ? OTHER : MORE;
			if ((p[i] & 0xc0) != 0x80) return OTHER;
			point = point << 6 | (p[i] & 0x3fu);}
if (!is_character(point, len)) return OTHER;
*ret_len = len;
enum class is = class_of(point);
return is == MARK && v->cl100k ? OTHER : is;
}

static bool
is_newline(const struct view *v, size_t pos)
{
	return pos < v->len && (v->at[pos] == '\n' || v->at[pos] == '\r');
}

#define NOT_YET SIZE_MAX /* more has to be seen */

/* Behind a run of these classes. */
static size_t
behind(const struct view *v, size_t pos, unsigned classes)
{
	size_t len;
	enum class c;
	while ((c = look(v, pos, &len)) & classes)
		pos += len;
	return c == MORE ? NOT_YET : pos;
}

/* Behind 's, 't, 'm, 'd, 're, 've or 'll, in any case of letters; else where it was. */
static size_t
behind_contraction(const struct view *v, size_t pos)
{
	size_t left = v->len - pos;
	if (left > 0 && v->at[pos] != '\'')
		return pos;
	if (left < 3 && !v->whole)
		return NOT_YET;
	char a = left > 1 ? (char)(v->at[pos + 1] | 0x20) : 0, b = left > 2 ? (char)(v->at[pos + 2] | 0x20) : 0;
	if (a == 's' || a == 't' || a == 'm' || a == 'd')
		return pos + 2;
	return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? pos + 3 : pos;
}

/*
 * o200k: capitals, then small ones, of which at least one; else capitals alone. Letters without case and marks may be either, so that a run of capitals with
 * nothing small behind it ends with the last of these, if there is one.
 */
static size_t
behind_word(const struct view *v, size_t from)
{
	size_t pos = from, last = 0, len;
	enum class c;
	for (; (c = look(v, pos, &len)) & (UPPER | LETTER | MARK); pos += len)
		if (c != UPPER)
			last = pos + len;
	if (c == LOWER)
		pos = behind(v, pos, LOWER | LETTER | MARK);
	if (c == MORE || pos == NOT_YET)
		return NOT_YET;
	if (c != LOWER && last && last < pos)
		return last;
	return pos == from ? from : behind_contraction(v, pos);
}

static size_t
behind_letters(const struct view *v, size_t from)
{
	return v->cl100k ? behind(v, from, ANY_LETTER) : behind_word(v, from);
}

static size_t
behind_digits(const struct view *v)
{
	size_t pos = 0, len;
	enum class c;
	for (unsigned n = 0; n < 3; n++, pos += len)
		if (((c = look(v, pos, &len)) & DIGIT) == 0)
			return c == MORE ? NOT_YET : pos;
	return pos;
}

static size_t
behind_signs(const struct view *v, size_t from)
{
	size_t pos = behind(v, from, OTHER | MARK);
	if (pos == NOT_YET)
		return NOT_YET;
	while (is_newline(v, pos) || (!v->cl100k && pos < v->len && v->at[pos] == '/'))
		pos++;
	return pos == v->len && !v->whole ? NOT_YET : pos;
}

/* Up to the last line end if there is one; else all, but for one that belongs to what follows. */
static size_t
behind_blanks(const struct view *v)
{
	size_t pos = 0, last = 0, newline = 0, len;
	enum class c;
	for (; (c = look(v, pos, &len)) == SPACE; pos += len) {
		last = pos;
		newline = is_newline(v, pos) ? pos + 1 : newline;
	}
	if (c == MORE)
		return NOT_YET;
	return newline ? newline : c == END || last == 0 ? pos
													 : last;
}

/* The length of the piece that begins here, of a view that is not empty. */
static size_t
piece_at(const struct view *v)
{
	size_t len, next_len, pos;
	enum class c = look(v, 0, &len);
	if (c == MORE)
		return NOT_YET;
	if (v->cl100k && (pos = behind_contraction(v, 0)) != 0)
		return pos;
	if (c & (ANY_LETTER | MARK))
		return behind_letters(v, 0);
	if (c == DIGIT)
		return behind_digits(v);
	if (!is_newline(v, 0) && (pos = behind_letters(v, len)) != len)
		return pos;
	if (c == OTHER)
		return behind_signs(v, 0);
	if (v->at[0] == ' ' && look(v, 1, &next_len) == OTHER)
		return behind_signs(v, 1);
	return behind_blanks(v);
}

/* Count what of the window can be; what it begins with then is at the place of the next piece. */
static void
drain(struct bpe *b, bool last)
{
	size_t from = 0;
	while (from < b->len) {
		size_t left = (size_t)b->len - from;
		bool long_enough = left >= BPE_SEEN_MAX;
		struct view v = {b->window + from, long_enough ? BPE_SEEN_MAX : left, last && left <= BPE_SEEN_MAX, b->tokenizer == TOKENIZER_cl100k_base};
		size_t piece = piece_at(&v);
		if (piece == NOT_YET) {
			if (!long_enough)
				break;
			piece = BPE_PIECE_MAX;
		}
		count_piece(b, v.at, piece);
		from += piece;
	}
	b->len = (uint16_t)(b->len - from);
	memmove(b->window, b->window + from, b->len);
}

void
bpe_begin(struct bpe *b, enum tokenizer tokenizer)
{
	b->tokens = b->steps = 0;
	b->len = 0;
	b->tokenizer = (uint8_t)tokenizer;
}

void
bpe_feed(struct bpe *b, struct span text)
{
	while (text.len) {
		size_t room = BPE_WINDOW - b->len, some = text.len < room ? text.len : room;
		memcpy(b->window + b->len, text.at, some);
		b->len = (uint16_t)(b->len + some);
		text.at += some;
		text.len -= some;
		if (b->len == BPE_WINDOW)
			drain(b, false);
	}
}

uint64_t
bpe_end(struct bpe *b)
{
	drain(b, true);
	return b->tokens;
}
