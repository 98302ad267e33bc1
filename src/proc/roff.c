#include "proc/roff.h"

#include <ctype.h>
#include <string.h>

/* One character of UTF-8; *at advances behind it. */
static uint32_t
take_character(const char **at)
{
	const unsigned char *s = (const unsigned char *)*at;
	int more = s[0] >= 0xf0 ? 3 : s[0] >= 0xe0 ? 2
		: s[0] >= 0xc0                         ? 1
											   : 0;
	uint32_t c = more == 3 ? s[0] & 7u : more == 2 ? s[0] & 15u
		: more == 1                                ? s[0] & 31u
												   : s[0];
	for (int i = 1; i <= more && (s[i] & 0xc0) == 0x80; i++)
		c = c << 6 | (s[i] & 63u);
	*at += 1 + more;
	return c;
}

static void
put(uint32_t c, FILE *to)
{
	if (c == '\\')
		fputs("\\e", to);
	else if (c == '-')
		fputs("\\-", to);
	else if (c == '\'')
		fputs("\\(aq", to);
	else if (c == '`')
		fputs("\\(ga", to);
	else if (c == '^')
		fputs("\\(ha", to);
	else if (c == '~')
		fputs("\\(ti", to);
	else if (c < 0x80)
		fputc((int)c, to);
	else
		fprintf(to, "\\[u%04X]", c);
}

/* A line that begins with a dot or a quote would be a request. */
static void
put_line(const char *at, size_t len, bool marks, FILE *to)
{
	const char *end = at + len;
	bool bold = false;
	if (len > 0 && (*at == '.' || *at == '\''))
		fputs("\\&", to);
	while (at < end) {
		uint32_t c = take_character(&at);
		if (c == '`' && marks) {
			bold = !bold;
			fputs(bold ? "\\fB" : "\\fR", to);
		} else
			put(c, to);
	}
	if (bold)
		fputs("\\fR", to);
	fputc('\n', to);
}

void
roff_text(const char *text, FILE *to)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		bool alone = text[0] == ' ';
		if (alone) {
			fputs(".br\n", to);
			fputs("\\ \\ ", to);
			size_t blanks = strspn(text, " ");
			text += blanks;
			len -= blanks;
		}
		put_line(text, len, true, to);
		text += len + (text[len] == '\n');
	}
}

void
roff_lines(const char *text, FILE *to)
{
	while (*text != '\0') {
		size_t len = strcspn(text, "\n");
		put_line(text, len, false, to);
		text += len + (text[len] == '\n');
	}
}

void
roff_title(const char *name, int section, const char *version, const char *summary, FILE *to)
{
	fputs(".\\\" Generated from the tables in the code; don't edit.\n.TH ", to);
	for (const char *c = name; *c != '\0'; c++)
		fputc(toupper((unsigned char)*c), to);
	fprintf(to, " %d \"\" \"Lethe %s\" \"Lethe\"\n.SH NAME\n%s \\- ", section, version, name);
	roff_text(summary, to);
}
