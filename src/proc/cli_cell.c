#include "proc/cli_priv.h"

#include <stdlib.h>
#include <string.h>

/* Nine places; six in a price per million. */
bool
cli_is_amount(const char *s)
{
	size_t whole = strspn(s + (s[0] == '-'), "0123456789");
	const char *point = s + (s[0] == '-') + whole;
	size_t places = whole > 0 && point[0] == '.' ? strspn(point + 1, "0123456789") : 0;
	return (places == 9 || places == 6) && point[1 + places] == '\0';
}

/* "12.500000000" → "$12.50": at least cents, no zeros behind them. */
static void
write_amount(const char *s, char *out, size_t cap)
{
	size_t len = strlen(s);
	while (s[len - 1] == '0' && s[len - 3] != '.')
		len--;
	snprintf(out, cap, "%s$%.*s", s[0] == '-' ? "-" : "", (int)(len - (s[0] == '-')), s + (s[0] == '-'));
}

/* "2026-01-31T12:00:00.000Z", or without its fraction → "2026-01-31 12:00:00". */
static bool
write_time(const char *s, char *out, size_t cap)
{
	bool whole = strlen(s) == 20 && s[19] == 'Z', parts = strlen(s) == 24 && s[19] == '.' && s[23] == 'Z';
	if ((!whole && !parts) || s[10] != 'T')
		return false;
	snprintf(out, cap, "%.10s %.8s", s, s + 11);
	return true;
}

/* Names are the operator's own, but a terminal obeys control characters. */
static void
write_text(const char *s, char *out, size_t cap)
{
	size_t i = 0;
	for (; s[i] != '\0' && i + 1 < cap; i++)
		out[i] = (unsigned char)s[i] < 0x20 || s[i] == 0x7f ? '?' : s[i];
	out[i] = '\0';
}

void
cli_cell(const json_t *v, char *out, size_t cap)
{
	const char *s = json_string_value(v);
	if (s != NULL && cli_is_amount(s))
		write_amount(s, out, cap);
	else if (s != NULL && !write_time(s, out, cap))
		write_text(s, out, cap);
	else if (json_is_integer(v))
		snprintf(out, cap, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else if (json_is_boolean(v))
		snprintf(out, cap, "%s", json_is_true(v) ? "yes" : "no");
	else if (v == NULL || json_is_null(v))
		snprintf(out, cap, "-");
	else if (s == NULL) {
		char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
		snprintf(out, cap, "%s", text == NULL ? "" : text);
		free(text);
	}
	if (out[0] == '\0')
		snprintf(out, cap, "-");
}

int
cli_width(const char *s)
{
	int n = 0;
	for (; *s != '\0'; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

const json_t *
cli_member(const json_t *row, const char *path)
{
	char first[48];
	const char *dot = strchr(path, '.');
	if (dot == NULL)
		return json_object_get(row, path);
	snprintf(first, sizeof first, "%.*s", (int)(dot - path), path);
	return json_object_get(json_object_get(row, first), dot + 1);
}
