#include "hostile/cases.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 64,
	OUTCOMES_MAX = 8 };

/* ---- growing bytes ---- */

struct bytes {
	char *at;
	size_t len, cap;
};

static void
bytes_add(struct bytes *b, const char *at, size_t len)
{
	if (b->len + len > b->cap) {
		b->cap = (b->len + len) * 2 + 64;
		b->at = realloc(b->at, b->cap);
		if (!b->at)
			abort();
	}
	if (len)
		memcpy(b->at + b->len, at, len);
	b->len += len;
}

static void
bytes_add_one(struct bytes *b, int c)
{
	char byte = (char)c;
	bytes_add(b, &byte, 1);
}

/* ---- words: lines that cases share ---- */

static struct word {
	const char *name;
	struct bytes bytes;
} words[WORDS_MAX];
static size_t word_count;

static const struct bytes *
word_find(const char *name)
{
	for (size_t i = 0; i < word_count; i++)
		if (!strcmp(words[i].name, name))
			return &words[i].bytes;
	return NULL;
}

/* ---- the file ---- */

struct outcome_line {
	const char *class; /* NULL: whatever byte */
	const char *text;
};

struct reader {
	struct hostile_corpus *corpus;
	const char *file;
	unsigned line;
	enum case_kind kind;
	struct word *defining;
	bool in_case;
	struct hostile_case now;
	const char *lines[1024];
	size_t line_count;
	struct outcome_line outcomes[OUTCOMES_MAX];
	size_t outcome_count;
	int byte; /* that stands for \? */
	bool template;
};

static bool
complain(const struct reader *r, const char *text, const char *what)
{
	fprintf(stderr, "%s:%u: %s: %s\n", r->file, r->line, text, what);
	return false;
}

static int
escape_value(char c)
{
	static const char names[] = "rntvfs0\\", values[] = "\r\n\t\v\f \0\\";
	const char *at = strchr(names, c);
	return at && c ? (unsigned char)values[at - names] : -1;
}

static bool add_text(struct reader *r, struct bytes *out, const char *p, const char *end);

/* \{TEXT*N} at p: TEXT, N times. Returns what follows it. */
static const char *
add_repeated(struct reader *r, struct bytes *out, const char *p)
{
	const char *end = strchr(p, '}'), *star = end ? memrchr(p, '*', (size_t)(end - p)) : NULL;
	if (!star) {
		complain(r, "not a repetition", p);
		return NULL;
	}
	for (unsigned long n = strtoul(star + 1, NULL, 10); n; n--)
		if (!add_text(r, out, p, star))
			return NULL;
	return end + 1;
}

/* What stands behind a backslash at p. Returns what follows it, NULL when it is nothing. */
static const char *
add_escaped(struct reader *r, struct bytes *out, const char *p)
{
	int value = escape_value(*p);
	if (value >= 0) {
		bytes_add_one(out, value);
		return p + 1;
	}
	if (*p == '?') {
		r->template = true;
		bytes_add_one(out, r->byte);
		return p + 1;
	}
	if (*p == '{')
		return add_repeated(r, out, p + 1);
	unsigned hex;
	int taken = 0;
	if (sscanf(p, "x%2x%n", &hex, &taken) == 1 && taken == 3) {
		bytes_add_one(out, (int)hex);
		return p + 3;
	}
	complain(r, "not an escape", p);
	return NULL;
}

/* Stops before a backslash that is the last byte. */
static bool
add_text(struct reader *r, struct bytes *out, const char *p, const char *end)
{
	while (p < end) {
		if (*p != '\\') {
			bytes_add(out, p++, 1);
			continue;
		}
		if (p + 1 == end)
			return true;
		p = add_escaped(r, out, p + 1);
		if (!p)
			return false;
	}
	return true;
}

/* A line of a case is what it says and CR LF, unless it ends in a backslash; @word is what was defined under that name. */
static bool
add_line(struct reader *r, struct bytes *out, const char *line)
{
	size_t len = strlen(line), escaping = 0;
	if (line[0] == '@') {
		const struct bytes *word = word_find(line + 1);
		if (!word)
			return complain(r, "not a word", line);
		bytes_add(out, word->at, word->len);
		return true;
	}
	if (!add_text(r, out, line, line + len))
		return false;
	while (escaping < len && line[len - 1 - escaping] == '\\')
		escaping++;
	if (escaping % 2 == 0)
		bytes_add(out, "\r\n", 2);
	return true;
}

/* ---- templates ---- */

static bool
is_token(int byte)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";
	bool digit = byte >= '0' && byte <= '9', letter = (byte | 0x20) >= 'a' && (byte | 0x20) <= 'z';
	return digit || letter || (byte && strchr(marks, byte));
}

static bool
in_class(const char *class, size_t len, int byte)
{
	if (len == 3 && class[0] == 'x')
		return strtol(class + 1, NULL, 16) == byte;
	if (len != 5)
		return false;
	if (!memcmp(class, "token", 5))
		return is_token(byte);
	if (!memcmp(class, "blank", 5))
		return byte == ' ' || byte == '\t';
	return !memcmp(class, "value", 5) && (byte == '\t' || (byte >= 0x20 && byte != 0x7f)); /* RFC 9110 5.5: what a field's value may hold */
}

/* A class line is "token|x20: outcomes". */
static bool
fits(const char *classes, int byte)
{
	if (!classes)
		return true;
	for (const char *p = classes; *p && *p != ':'; p += *p == '|') {
		size_t len = strcspn(p, "|:");
		if (in_class(p, len, byte))
			return true;
		p += len;
	}
	return false;
}

static bool
add_case(struct reader *r, int byte, bool each)
{
	struct hostile_corpus *c = r->corpus;
	struct bytes out = {0};
	r->byte = byte;
	for (size_t i = 0; i < r->line_count; i++)
		if (!add_line(r, &out, r->lines[i]))
			return false;
	if (c->count == c->cap) {
		c->cap = c->cap * 2 + 1024;
		c->cases = realloc(c->cases, c->cap * sizeof *c->cases);
		if (!c->cases)
			abort();
	}
	struct hostile_case *n = &c->cases[c->count++];
	*n = r->now;
	n->bytes = out.at;
	n->len = out.len;
	if (each && asprintf(&n->id, "%s %02x", r->now.id, (unsigned)byte) < 0)
		abort();
	for (size_t i = 0; i < r->outcome_count && !n->expect; i++)
		if (fits(r->outcomes[i].class, byte))
			n->expect = r->outcomes[i].text;
	return n->expect || complain(r, "no outcome for this byte", n->id);
}

static bool
case_ends(struct reader *r)
{
	if (!r->in_case)
		return true;
	r->in_case = false;
	if (!r->outcome_count)
		return complain(r, "no outcome", r->now.id);
	r->template = false;
	if (!add_case(r, 0, false))
		return false;
	if (!r->template)
		return true;
	free(r->corpus->cases[--r->corpus->count].bytes); /* it was only tried whether there is a \? in it */
	for (int byte = 0; byte < 256; byte++)
		if (!add_case(r, byte, true))
			return false;
	return true;
}

/* ---- lines ---- */

static bool
case_begins(struct reader *r, char *text)
{
	char *id = strchr(text, ' ');
	if (!id)
		return complain(r, "a case begins with == SOURCE ID", text);
	*id++ = 0;
	r->now = (struct hostile_case){.kind = r->kind, .file = r->file, .line = r->line, .source = text, .id = id, .why = ""};
	r->in_case = true;
	r->defining = NULL;
	r->line_count = r->outcome_count = 0;
	return true;
}

static bool
outcome(struct reader *r, char *text)
{
	if (r->outcome_count == OUTCOMES_MAX)
		return complain(r, "too many outcomes", text);
	char *colon = strstr(text, ": ");
	r->outcomes[r->outcome_count++] = (struct outcome_line){colon ? text : NULL, colon ? colon + 2 : text};
	return true;
}

static bool
define(struct reader *r, const char *name)
{
	if (word_count == WORDS_MAX || word_find(name))
		return complain(r, "defined twice, or one too many", name);
	r->defining = &words[word_count++];
	*r->defining = (struct word){name, {0}};
	return true;
}

static bool
set_kind(struct reader *r, const char *kind)
{
	static const char *const kinds[] = {"requests", "responses", "responses to HEAD"};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (!strcmp(kind, kinds[i])) {
			r->kind = (enum case_kind)i;
			return true;
		}
	return complain(r, "not a kind", kind);
}

static bool
between_cases(const char *line)
{
	return line[0] == 0 || line[0] == '#';
}

static bool
line_of_case(struct reader *r, char *line)
{
	if (!strncmp(line, "; ", 2)) {
		r->now.why = line + 2;
		return true;
	}
	if (!strncmp(line, "-> ", 3))
		return outcome(r, line + 3);
	if (r->outcome_count)
		return between_cases(line) || complain(r, "stands behind the outcome", line);
	if (r->line_count == ARRAY_LEN(r->lines))
		return complain(r, "too many lines", line);
	r->lines[r->line_count++] = line;
	return true;
}

static bool
take_line(struct reader *r, char *line)
{
	if (!strncmp(line, "== ", 3))
		return case_ends(r) && case_begins(r, line + 3);
	if (!strncmp(line, "@@", 2))
		return case_ends(r) && define(r, line + 2);
	if (!strncmp(line, "kind: ", 6))
		return case_ends(r) && set_kind(r, line + 6);
	if (r->defining)
		return between_cases(line) || add_line(r, &r->defining->bytes, line);
	if (r->in_case)
		return line_of_case(r, line);
	return between_cases(line) || complain(r, "stands outside of a case", line);
}

static char *
read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	struct bytes b = {0};
	char piece[4096];
	size_t n;
	if (!f) {
		perror(path);
		return NULL;
	}
	while ((n = fread(piece, 1, sizeof piece, f)) > 0)
		bytes_add(&b, piece, n);
	fclose(f);
	bytes_add(&b, "", 1);
	return b.at;
}

bool
hostile_load(struct hostile_corpus *corpus, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct reader r = {.corpus = corpus, .file = slash ? slash + 1 : path};
	char *text = read_file(path);
	for (char *line = text, *end; line && *line; line = end) {
		end = strchr(line, '\n');
		if (!end)
			return complain(&r, "no line end", line);
		*end++ = 0;
		r.line++;
		if (!take_line(&r, line))
			return false;
	}
	return text && case_ends(&r);
}
