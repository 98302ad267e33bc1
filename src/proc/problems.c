#include "proc/problems.h"

#include <stdarg.h>
#include <string.h>

void
problems_init(struct problems *p, const char *file)
{
	memset(p, 0, sizeof *p);
	p->file = file;
}

void
problems_set_catalogue(struct problems *p, const char *file)
{
	snprintf(p->catalogue, sizeof p->catalogue, "%s", file == NULL ? "" : file);
}

const char *
place_file(const struct problems *p, uint32_t place)
{
	return (place & PLACE_CATALOGUE) != 0 ? p->catalogue : p->file;
}

uint32_t
place_line(uint32_t place)
{
	return place & (PLACE_CATALOGUE - 1);
}

const char *
place_text(const struct problems *p, uint32_t place, uint32_t seen_from, char out[PLACE_TEXT_MAX])
{
	bool same = ((place ^ seen_from) & PLACE_CATALOGUE) == 0;
	snprintf(out, PLACE_TEXT_MAX, "line %u%s%s", place_line(place), same ? "" : " of ", same ? "" : place_file(p, place));
	return out;
}

/* Kept in the order of lines: checks run section by section, people read from top to bottom. */
static struct problem *
insert(struct problems *p, uint32_t line)
{
	if (p->count == PROBLEMS_MAX)
		return NULL;
	uint32_t at = p->count++;
	for (; at > 0 && p->row[at - 1].line > line; at--)
		p->row[at] = p->row[at - 1];
	p->row[at].line = line;
	return &p->row[at];
}

static __attribute__((format(printf, 4, 0))) void
add(struct problems *p, uint32_t line, bool warning, const char *format, va_list list)
{
	*(warning ? &p->warnings : &p->errors) += 1;
	struct problem *row = insert(p, line);
	if (row == NULL)
		return;
	row->warning = warning;
	vsnprintf(row->text, sizeof row->text, format, list);
}

void
problems_error(struct problems *p, uint32_t line, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	add(p, line, false, format, list);
	va_end(list);
}

void
problems_warn(struct problems *p, uint32_t line, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	add(p, line, true, format, list);
	va_end(list);
}

int
problem_text(const struct problems *p, uint32_t index, char *out, size_t cap)
{
	const struct problem *row = &p->row[index];
	const char *kind = row->warning ? "warning: " : "";
	const char *file = place_file(p, row->line);
	uint32_t line = place_line(row->line);
	if (line == 0)
		return snprintf(out, cap, "%s: %s%s", file, kind, row->text);
	return snprintf(out, cap, "%s:%u: %s%s", file, line, kind, row->text);
}

void
problems_print(const struct problems *p, FILE *to)
{
	char text[PATH_MAX + PROBLEM_TEXT_MAX + 32];
	for (uint32_t i = 0; i < p->count; i++) {
		problem_text(p, i, text, sizeof text);
		fprintf(to, "%s\n", text);
	}
	uint32_t more = p->errors + p->warnings - p->count;
	if (more > 0)
		fprintf(to, "%s: and %u more\n", p->file, more);
}
