#include "proc/import_edit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT_LINES = 3 };

void
edits_add(struct edits *e, size_t at, size_t remove, const char *text)
{
	if ((e->count & (e->count - 1)) == 0) { /* a power of two: full */
		struct edit *more = reallocarray(e->row, e->count == 0 ? 1 : 2 * (size_t)e->count, sizeof *more);
		if (more == NULL)
			abort();
		e->row = more;
	}
	char *copy = strdup(text);
	if (copy == NULL)
		abort();
	e->row[e->count] = (struct edit){at, remove, copy, e->count};
	e->count++;
}

void
edits_add_lines(struct edits *e, struct span old, size_t at, const char *lines, const char *line_end)
{
	char *text = NULL;
	if (at < old.len || old.len == 0 || old.at[old.len - 1] == '\n') {
		edits_add(e, at, 0, lines);
		return;
	}
	int len = asprintf(&text, "%s%s", line_end, lines);
	if (len < 0)
		abort();
	text[(size_t)len - strlen(line_end)] = '\0';
	edits_add(e, at, 0, text);
	free(text);
}

void
edits_free(struct edits *e)
{
	for (uint32_t i = 0; i < e->count; i++)
		free(e->row[i].text);
	free(e->row);
	*e = (struct edits){0};
}

static int
by_place(const void *a, const void *b)
{
	const struct edit *x = a, *y = b;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

static void
sort(struct edits *e)
{
	if (e->count > 0)
		qsort(e->row, e->count, sizeof *e->row, by_place);
}

/* [from, to) of the old text, changed by the edits that begin in it (and at `to` itself when it is the old end). */
static void
write_changed(const struct edits *e, struct span old, size_t from, size_t to, FILE *out)
{
	size_t at = from;
	for (uint32_t i = 0; i < e->count; i++) {
		const struct edit *x = &e->row[i];
		if (x->at < from || x->at > to || (x->at == to && to != old.len))
			continue;
		assert(x->at >= at && x->at + x->remove <= to);
		fwrite(old.at + at, 1, x->at - at, out);
		fputs(x->text, out);
		at = x->at + x->remove;
	}
	fwrite(old.at + at, 1, to - at, out);
}

/* Text on its way into memory. */
struct memory {
	char *text;
	size_t len;
	FILE *file;
};

static void
memory_open(struct memory *m)
{
	m->file = open_memstream(&m->text, &m->len);
	if (m->file == NULL)
		abort();
}

static void
memory_close(struct memory *m)
{
	if (fclose(m->file) != 0)
		abort();
}

char *
edits_apply(struct edits *e, struct span old, size_t *ret_len)
{
	struct memory m;
	sort(e);
	memory_open(&m);
	write_changed(e, old, 0, old.len, m.file);
	memory_close(&m);
	*ret_len = m.len;
	return m.text;
}

/* ---- diff ---- */

static size_t
line_begin(struct span s, size_t at)
{
	while (at > 0 && s.at[at - 1] != '\n')
		at--;
	return at;
}

/* Behind the line's end. */
static size_t
line_end(struct span s, size_t at)
{
	const char *end = memchr(s.at + at, '\n', s.len - at);
	return end == NULL ? s.len : (size_t)(end - s.at) + 1;
}

static size_t
count_lines(struct span s)
{
	size_t lines = 0;
	for (size_t at = 0; at < s.len; at = line_end(s, at))
		lines++;
	return lines;
}

/* Whole old lines that change; [from, from) when lines come in only. */
struct region {
	size_t from, to;
};

/* The lines of the next edits that belong together. *i moves behind them. */
static struct region
next_region(const struct edits *e, struct span old, uint32_t *i)
{
	struct region r = {SIZE_MAX, 0};
	for (; *i < e->count; (*i)++) {
		const struct edit *x = &e->row[*i];
		size_t text_len = strlen(x->text), from = line_begin(old, x->at), to = line_end(old, x->at + x->remove);
		if (x->remove == 0 && from == x->at && (text_len == 0 || x->text[text_len - 1] == '\n'))
			to = from; /* whole lines in front of one */
		bool inside = from < r.to || (from == r.from && r.from == r.to) || r.to == old.len;
		if (r.from != SIZE_MAX && !inside)
			break;
		r.from = r.from == SIZE_MAX ? from : r.from;
		r.to = to > r.to || r.to == 0 ? to : r.to;
	}
	return r;
}

static void
print_lines(struct span s, char sign, FILE *to)
{
	for (size_t at = 0; at < s.len; at = line_end(s, at)) {
		size_t end = line_end(s, at);
		fputc(sign, to);
		fwrite(s.at + at, 1, end - at, to);
		if (s.at[end - 1] != '\n')
			fputs("\n\\ No newline at end of file\n", to);
	}
}

static struct span
between(struct span s, size_t from, size_t to)
{
	return (struct span){s.at + from, to - from};
}

static size_t
lines_back(struct span s, size_t at, size_t least)
{
	for (unsigned i = 0; i < CONTEXT_LINES && at > least; i++)
		at = line_begin(s, at - 1);
	return at;
}

static size_t
lines_on(struct span s, size_t at, unsigned lines)
{
	for (unsigned i = 0; i < lines && at < s.len; i++)
		at = line_end(s, at);
	return at;
}

/* One hunk under way: its body, and what its head has to say. */
struct hunk {
	struct memory body;
	size_t from, at; /* of the old text */
	size_t old_lines, new_lines;
};

static void
add_context(struct hunk *h, struct span old, size_t to)
{
	size_t lines = count_lines(between(old, h->at, to));
	print_lines(between(old, h->at, to), ' ', h->body.file);
	h->old_lines += lines;
	h->new_lines += lines;
	h->at = to;
}

static void
add_region(struct hunk *h, const struct edits *e, struct span old, struct region r)
{
	struct memory now;
	add_context(h, old, r.from);
	memory_open(&now);
	write_changed(e, old, r.from, r.to, now.file);
	if (r.from == r.to && r.to != old.len) /* lines in front of one: write_changed() leaves them to the next range */
		for (uint32_t i = 0; i < e->count; i++)
			if (e->row[i].at == r.from)
				fputs(e->row[i].text, now.file);
	memory_close(&now);
	print_lines(between(old, r.from, r.to), '-', h->body.file);
	print_lines((struct span){now.text, now.len}, '+', h->body.file);
	h->old_lines += count_lines(between(old, r.from, r.to));
	h->new_lines += count_lines((struct span){now.text, now.len});
	h->at = r.to;
	free(now.text);
}

static void
print_hunk(struct hunk *h, struct span old, long *shift, FILE *to)
{
	size_t before = count_lines(between(old, 0, h->from));
	long old_first = (long)before + (h->old_lines > 0), new_first = (long)before + *shift + (h->new_lines > 0);
	memory_close(&h->body);
	fprintf(to, "@@ -%ld,%zu +%ld,%zu @@\n", old_first, h->old_lines, new_first, h->new_lines);
	fwrite(h->body.text, 1, h->body.len, to);
	free(h->body.text);
	*shift += (long)h->new_lines - (long)h->old_lines;
}

void
edits_diff(struct edits *e, struct span old, const char *path, FILE *to)
{
	uint32_t i = 0;
	long shift = 0;
	if (e->count == 0)
		return;
	sort(e);
	fprintf(to, "--- %s\n+++ %s\n", path, path);
	for (struct region r = next_region(e, old, &i), next; r.from != SIZE_MAX; r = next) {
		struct hunk h = {.from = lines_back(old, r.from, 0)};
		h.at = h.from;
		memory_open(&h.body);
		for (;; r = next) {
			add_region(&h, e, old, r);
			next = next_region(e, old, &i);
			if (next.from == SIZE_MAX || next.from > lines_on(old, r.to, 2 * CONTEXT_LINES))
				break;
		}
		add_context(&h, old, lines_on(old, h.at, CONTEXT_LINES));
		print_hunk(&h, old, &shift, to);
	}
}
