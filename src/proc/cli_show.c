#include "proc/cli_priv.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 32,
	CELL_MAX = 512 };

void
cli_print_json(const json_t *value)
{
	json_dumpf(value, stdout, JSON_COMPACT);
	fputc('\n', stdout);
}

int
cli_fail(const struct cli *cli, int status, const char *code, const char *format, ...)
{
	char text[2048];
	va_list list;
	va_start(list, format);
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
	if (!cli->json) {
		fprintf(stderr, "lethe: %s\n", text);
		return status;
	}
	json_t *message = json_string(text);
	if (message == NULL)
		message = json_string("the command line is not valid UTF-8");
	json_t *answer = json_pack("{s:b, s:{s:s, s:o}}", "ok", 0, "error", "code", code, "message", message);
	cli_print_json(answer);
	json_decref(answer);
	return status;
}

int
cli_print_text(const struct cli *cli, void (*print)(const char *what, FILE *to), const char *what)
{
	char *text = NULL;
	size_t len = 0;
	if (!cli->json) {
		print(what, stdout);
		return CLI_OK;
	}
	FILE *f = open_memstream(&text, &len);
	if (f == NULL)
		abort();
	print(what, f);
	fclose(f);
	json_t *answer = json_pack("{s:b, s:s}", "ok", 1, "text", text);
	cli_print_json(answer);
	json_decref(answer);
	free(text);
	return CLI_OK;
}

/* ---- cells ---- */

/* An amount as the ledger writes it: digits, a point, nine digits; six for a price per million. */
static bool
is_amount(const char *s)
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

/* "2026-01-31T12:00:00.000Z" → "2026-01-31 12:00:00". */
static bool
write_time(const char *s, char *out, size_t cap)
{
	if (strlen(s) != 24 || s[10] != 'T' || s[19] != '.' || s[23] != 'Z')
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

static void
write_cell(const json_t *v, char *out, size_t cap)
{
	const char *s = json_string_value(v);
	if (s != NULL && is_amount(s))
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

/* Characters, not bytes. */
static int
width(const char *s)
{
	int n = 0;
	for (; *s != '\0'; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

/* ---- tables ---- */

struct table {
	char name[COLUMNS_MAX][48];
	int width[COLUMNS_MAX];
	bool right[COLUMNS_MAX]; /* numbers and amounts */
	size_t count;
};

static void
add_column(struct table *t, const char *name, size_t len)
{
	if (t->count == COLUMNS_MAX || len >= sizeof t->name[0])
		return;
	memcpy(t->name[t->count], name, len);
	t->name[t->count++][len] = '\0';
}

static bool
is_plain(const json_t *v)
{
	return !json_is_object(v) && !json_is_array(v);
}

/* "tokens.input": a member of a member. */
static const json_t *
member_at(const json_t *row, const char *path)
{
	char first[48];
	const char *dot = strchr(path, '.');
	if (dot == NULL)
		return json_object_get(row, path);
	snprintf(first, sizeof first, "%.*s", (int)(dot - path), path);
	return json_object_get(json_object_get(row, first), dot + 1);
}

static const char *
title_of(const char *path)
{
	const char *dot = strchr(path, '.');
	return dot == NULL ? path : dot + 1;
}

/* Is there a row that has it? A column without values is not shown. */
static bool
any_row_has(const json_t *rows, const char *name)
{
	size_t i;
	json_t *row;
	json_array_foreach(rows, i, row)
	{
		const json_t *v = member_at(row, name);
		if (v != NULL && !json_is_null(v) && !(json_is_string(v) && json_string_length(v) == 0))
			return true;
	}
	return false;
}

static void
choose_columns(struct table *t, const char *wanted, const json_t *rows)
{
	for (const char *at = wanted; at != NULL && *at != '\0';) {
		char name[48];
		size_t len = strcspn(at, ",");
		snprintf(name, sizeof name, "%.*s", (int)len, at);
		if (any_row_has(rows, name))
			add_column(t, at, len);
		at += len + (at[len] == ',');
	}
	const char *name;
	json_t *v;
	if (t->count == 0)
		json_object_foreach(json_array_get(rows, 0), name, v) if (is_plain(v))
			add_column(t, name, strlen(name));
}

static void
measure(struct table *t, const json_t *rows)
{
	char cell[CELL_MAX];
	for (size_t c = 0; c < t->count; c++) {
		size_t i;
		json_t *row;
		t->width[c] = width(title_of(t->name[c]));
		json_array_foreach(rows, i, row)
		{
			const json_t *v = member_at(row, t->name[c]);
			const char *s = json_string_value(v);
			cell[0] = '\0';
			write_cell(v, cell, sizeof cell);
			t->width[c] = width(cell) > t->width[c] ? width(cell) : t->width[c];
			t->right[c] = t->right[c] || json_is_number(v) || (s != NULL && is_amount(s));
		}
	}
}

static void
print_cell(const struct table *t, size_t column, const char *text)
{
	int fill = t->width[column] - width(text);
	const char *gap = column + 1 < t->count ? "  " : "";
	if (t->right[column])
		printf("%*s%s%s", fill, "", text, gap);
	else
		printf("%s%*s%s", text, column + 1 < t->count ? fill : 0, "", gap);
}

static void
print_rows(const struct table *t, const json_t *rows, bool total)
{
	char cell[CELL_MAX];
	size_t i;
	json_t *row;
	for (size_t c = 0; c < t->count; c++)
		print_cell(t, c, title_of(t->name[c]));
	printf("\n");
	json_array_foreach(rows, i, row)
	{
		for (size_t c = 0; c < t->count; c++) {
			cell[0] = '\0';
			write_cell(member_at(row, t->name[c]), cell, sizeof cell);
			print_cell(t, c, total && c == 0 && i + 1 == json_array_size(rows) ? "total" : cell);
		}
		printf("\n");
	}
}

/* Sums stand as the last row of their table. */
static json_t *
rows_with_total(const json_t *rows, const json_t *total)
{
	json_t *all = json_copy((json_t *)rows);
	if (json_object_size(total) > 0 && json_integer_value(json_object_get(total, "requests")) > 0)
		json_array_append(all, (json_t *)total);
	return all;
}

static void
show_list(const struct cli *cli, const json_t *answer, const json_t *rows)
{
	struct table t = {0};
	json_t *all = rows_with_total(rows, json_object_get(answer, "total"));
	if (json_array_size(all) == 0)
		printf("%s\n", cli->command->empty != NULL ? cli->command->empty : "Nothing.");
	else {
		choose_columns(&t, cli->command->columns, all);
		measure(&t, all);
		print_rows(&t, all, json_array_size(all) > json_array_size(rows) && json_array_size(rows) > 0);
	}
	if (json_is_true(json_object_get(answer, "more")))
		printf("There are more: --limit N shows up to N rows, --after ID goes on behind the last.\n");
	json_decref(all);
}

/* ---- one object ---- */

static void
show_member(const char *name, const json_t *v)
{
	char cell[CELL_MAX] = "";
	write_cell(v, cell, sizeof cell);
	printf("%-22s  %s\n", name, cell);
}

/*
 * Members of members follow, unless one of the same name was shown: a ticket's raw ids stand behind its readable
 * ones.
 */
static void
show_members(const json_t *answer)
{
	const char *name, *inner;
	json_t *v, *w;
	json_object_foreach((json_t *)answer, name, v) if (is_plain(v) && strcmp(name, "ok") != 0)
		show_member(name, v);
	json_object_foreach((json_t *)answer, name, v)
		json_object_foreach(v, inner, w) if (is_plain(w) && json_object_get(answer, inner) == NULL)
			show_member(inner, w);
}

static const json_t *
first_list(const json_t *answer)
{
	const char *name;
	json_t *v;
	json_object_foreach((json_t *)answer, name,
		v) if (json_is_array(v) && (json_array_size(v) == 0 || json_is_object(json_array_get(v, 0)))) return v;
	return NULL;
}

/* The key stands alone on its line, so that a double click takes all of it. */
static void
show_secret(const json_t *answer, const char *secret)
{
	char account[CELL_MAX] = "", key[CELL_MAX] = "";
	write_cell(json_object_get(answer, "account"), account, sizeof account);
	write_cell(json_object_get(answer, "key"), key, sizeof key);
	printf(
		"API key %s for %s:\n\n  %s\n\nIt is shown this once: keep it now. Lethe stores only a keyed hash of it.\n",
		key, account, secret);
}

void
cli_show(const struct cli *cli, const json_t *answer)
{
	const char *secret = json_string_value(json_object_get(answer, "secret"));
	const json_t *rows = first_list(answer);
	if (secret != NULL)
		show_secret(answer, secret);
	else if (rows != NULL)
		show_list(cli, answer, rows);
	else
		show_members(answer);
}
