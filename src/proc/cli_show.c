#include "proc/cli_priv.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 40 };

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
		fprintf(stderr, "%slethe:%s %s\n", cli_on(cli, stderr, CLI_BAD), cli_off(cli, stderr, CLI_BAD), text);
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

/* ---- tables ---- */

struct table {
	const struct cli *cli;
	char name[COLUMNS_MAX][48];
	int width[COLUMNS_MAX];
	bool right[COLUMNS_MAX]; /* numbers and amounts */
	int places[COLUMNS_MAX]; /* of the amount that needs the most */
	size_t count;
};

static void
add_column(struct table *t, const char *name)
{
	if (t->count < COLUMNS_MAX)
		snprintf(t->name[t->count++], sizeof t->name[0], "%s", name);
}

static bool
is_plain(const json_t *v)
{
	return !json_is_object(v) && !json_is_array(v);
}

static const char *
title_of(const char *path)
{
	const char *dot = strchr(path, '.');
	return dot == NULL ? path : dot + 1;
}

static bool
is_zero(const json_t *v)
{
	const char *s = json_string_value(v);
	return (json_is_integer(v) && json_integer_value(v) == 0) ||
		(s != NULL && cli_is_amount(s) && strspn(s, "0.") == strlen(s));
}

/* Is there a row that has it? A column without values is not shown. */
static bool
any_row_has(const json_t *rows, const char *name, bool but_zero)
{
	size_t i;
	json_t *row;
	json_array_foreach(rows, i, row)
	{
		const json_t *v = cli_member(row, name);
		if (v != NULL && !json_is_null(v) && !(json_is_string(v) && json_string_length(v) == 0) &&
			!(but_zero && is_zero(v)))
			return true;
	}
	return false;
}

/* The next of "a,b.c?,d"; false at the end. */
static bool
next_column(const char **at, char name[48], bool *ret_but_zero)
{
	size_t len = *at == NULL ? 0 : strcspn(*at, ",");
	if (len == 0)
		return false;
	*ret_but_zero = (*at)[len - 1] == '?';
	snprintf(name, 48, "%.*s", (int)(len - *ret_but_zero), *at);
	*at += len + ((*at)[len] == ',');
	return true;
}

static void
choose_columns(struct table *t, const char *wanted, const json_t *rows)
{
	char column[48];
	bool but_zero;
	while (next_column(&wanted, column, &but_zero))
		if (any_row_has(rows, column, but_zero))
			add_column(t, column);
	const char *name;
	json_t *v;
	if (t->count == 0)
		json_object_foreach(json_array_get(rows, 0), name, v) if (is_plain(v)) add_column(t, name);
}

/* So that the points stand above each other. */
static void
write_cell(const struct table *t, size_t column, const json_t *v, char *out, size_t cap)
{
	const char *s = json_string_value(v);
	out[0] = '\0';
	cli_cell(v, out, cap);
	if (s == NULL || !cli_is_amount(s))
		return;
	size_t len = strlen(out), has = strlen(strchr(out, '.') + 1);
	for (; (int)has < t->places[column] && len + 1 < cap; has++)
		out[len++] = '0';
	out[len] = '\0';
}

static void
count_places(struct table *t, size_t column, const json_t *rows)
{
	char cell[CLI_CELL_MAX];
	size_t i;
	json_t *row;
	json_array_foreach(rows, i, row)
	{
		const json_t *v = cli_member(row, t->name[column]);
		if (!json_is_string(v) || !cli_is_amount(json_string_value(v)))
			continue;
		cli_cell(v, cell, sizeof cell);
		int places = (int)strlen(strchr(cell, '.') + 1);
		t->places[column] = places > t->places[column] ? places : t->places[column];
	}
}

static void
measure(struct table *t, const json_t *rows)
{
	char cell[CLI_CELL_MAX];
	for (size_t c = 0; c < t->count; c++) {
		size_t i;
		json_t *row;
		count_places(t, c, rows);
		t->width[c] = cli_width(title_of(t->name[c]));
		json_array_foreach(rows, i, row)
		{
			const json_t *v = cli_member(row, t->name[c]);
			const char *s = json_string_value(v);
			write_cell(t, c, v, cell, sizeof cell);
			t->width[c] = cli_width(cell) > t->width[c] ? cli_width(cell) : t->width[c];
			t->right[c] = t->right[c] || json_is_number(v) || (s != NULL && cli_is_amount(s));
		}
	}
}

/* Colours go around the text alone, so that the columns stand whatever a terminal makes of them. */
static void
print_cell(const struct table *t, size_t column, const char *text, enum cli_paint paint)
{
	int fill = t->width[column] - cli_width(text);
	bool last = column + 1 == t->count;
	const char *on = cli_on(t->cli, stdout, paint), *off = cli_off(t->cli, stdout, paint);
	if (t->right[column])
		printf("%*s%s%s%s%s", fill, "", on, text, off, last ? "" : "  ");
	else
		printf("%s%s%s%*s%s", on, text, off, last ? 0 : fill, "", last ? "" : "  ");
}

static void
print_row(const struct table *t, const json_t *row, bool total)
{
	char cell[CLI_CELL_MAX];
	for (size_t c = 0; c < t->count; c++) {
		bool label = total && c == 0;
		write_cell(t, c, cli_member(row, t->name[c]), cell, sizeof cell);
		if (total && strcmp(cell, "-") == 0)
			cell[0] = '\0';
		bool state = strcmp(t->name[c], "state") == 0 || strcmp(t->name[c], "ok") == 0 || strcmp(t->name[c], "result") == 0;
		print_cell(t, c, label ? "total" : cell, total ? CLI_BOLD : state ? cli_paint_of(cell)
																		  : CLI_PLAIN);
	}
	printf("\n");
}

static void
print_rows(const struct table *t, const json_t *rows, bool total)
{
	size_t i;
	json_t *row;
	for (size_t c = 0; c < t->count; c++)
		print_cell(t, c, title_of(t->name[c]), CLI_BOLD);
	printf("\n");
	json_array_foreach(rows, i, row) print_row(t, row, total && i + 1 == json_array_size(rows));
}

static void
show_table(const struct cli *cli, const json_t *rows, const char *columns, bool total)
{
	struct table t = {.cli = cli};
	choose_columns(&t, columns, rows);
	measure(&t, rows);
	if (total && t.width[0] < (int)strlen("total"))
		t.width[0] = (int)strlen("total");
	print_rows(&t, rows, total);
}

void
cli_show_table(const struct cli *cli, const json_t *rows, const char *columns)
{
	show_table(cli, rows, columns, false);
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
	json_t *all = rows_with_total(rows, json_object_get(answer, "total"));
	if (json_array_size(all) == 0)
		printf("%s\n", cli->command->empty != NULL ? cli->command->empty : "Nothing.");
	else
		show_table(cli, all, cli->command->columns,
			json_array_size(all) > json_array_size(rows) && json_array_size(rows) > 0);
	if (json_is_true(json_object_get(answer, "more")))
		printf("There are more: --limit N shows up to N rows%s.\n",
			cli_find_option(cli->command, "--after", 7) != NULL ? ", --after ID goes on behind the last" : "");
	json_decref(all);
}

/* ---- one object ---- */

static void
show_member(const struct cli *cli, const char *name, const json_t *v)
{
	char cell[CLI_CELL_MAX] = "";
	cli_cell(v, cell, sizeof cell);
	enum cli_paint paint = strcmp(name, "state") == 0 ? cli_paint_of(cell) : CLI_PLAIN;
	printf("%s%s%s%*s  %s%s%s\n", cli_on(cli, stdout, CLI_BOLD), name, cli_off(cli, stdout, CLI_BOLD),
		cli_width(name) < 22 ? 22 - cli_width(name) : 0, "", cli_on(cli, stdout, paint), cell,
		cli_off(cli, stdout, paint));
}

static bool
is_nothing(const json_t *v)
{
	const char *s = json_string_value(v);
	return is_zero(v) || (s != NULL && strcmp(s, "0") == 0);
}

/*
 * Members of members follow, unless one of the same name was shown: a ticket's raw ids stand behind its readable
 * ones. What is 0 there says nothing.
 */
void
cli_show_members(const struct cli *cli, const json_t *answer)
{
	const char *name, *inner;
	json_t *v, *w;
	json_object_foreach((json_t *)answer, name, v) if (is_plain(v) && strcmp(name, "ok") != 0)
		show_member(cli, name, v);
	json_object_foreach((json_t *)answer, name, v) json_object_foreach(
		v, inner, w) if (is_plain(w) && !is_nothing(w) && json_object_get(answer, inner) == NULL) show_member(cli, inner, w);
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
	char account[CLI_CELL_MAX] = "", key[CLI_CELL_MAX] = "", replaced[CLI_CELL_MAX] = "", until[CLI_CELL_MAX] = "";
	cli_cell(json_object_get(answer, "account"), account, sizeof account);
	cli_cell(json_object_get(answer, "key"), key, sizeof key);
	printf(
		"API key %s for %s:\n\n  %s\n\nIt is shown this once: keep it now. Lethe stores only a keyed hash of it.\n",
		key, account, secret);
	if (json_object_get(answer, "replaces") == NULL)
		return;
	cli_cell(json_object_get(answer, "replaces"), replaced, sizeof replaced);
	cli_cell(json_object_get(answer, "replaced_expires"), until, sizeof until);
	printf("The key that it replaces, %s, holds until %s UTC.\n", replaced, until);
}

void
cli_show(const struct cli *cli, const json_t *answer)
{
	const char *secret = json_string_value(json_object_get(answer, "secret"));
	const json_t *rows = first_list(answer);
	if (secret != NULL)
		show_secret(answer, secret);
	else if (cli->command->show != NULL)
		cli->command->show(cli, answer);
	else if (rows != NULL)
		show_list(cli, answer, rows);
	else
		cli_show_members(cli, answer);
}

/* ---- CSV ---- */

static void
print_field(const char *text, bool first)
{
	bool quote = strpbrk(text, ",\"\r\n") != NULL || text[0] == ' ';
	printf("%s%s", first ? "" : ",", quote ? "\"" : "");
	for (const char *c = text; *c != '\0'; c++)
		printf("%s%c", *c == '"' ? "\"" : "", *c);
	printf("%s", quote ? "\"" : "");
}

/* Amounts as they are, all nine places: spreadsheets and databases read plain decimals. */
static void
print_value(const json_t *v, bool first)
{
	char text[CLI_CELL_MAX] = "";
	if (json_is_string(v))
		snprintf(text, sizeof text, "%s", json_string_value(v));
	else if (v != NULL && !json_is_null(v))
		cli_cell(v, text, sizeof text);
	print_field(text, first);
}

/* What the rows are told apart by comes first: members that the answer names in `columns`. */
static void
csv_columns(const struct cli *cli, const json_t *answer, struct table *t)
{
	char column[48];
	bool but_zero;
	size_t i;
	json_t *name;
	const char *wanted = cli->command->csv;
	json_array_foreach(json_object_get(answer, "columns"), i, name) add_column(t, json_string_value(name));
	while (next_column(&wanted, column, &but_zero))
		add_column(t, column);
}

void
cli_show_csv(const struct cli *cli, const json_t *answer)
{
	struct table t = {.cli = cli};
	const json_t *rows = json_object_get(answer, "rows");
	json_t *row, *all = json_copy((json_t *)rows);
	size_t i;
	csv_columns(cli, answer, &t);
	if (json_array_size(json_object_get(answer, "columns")) == 0)
		json_array_append(all, json_object_get(answer, "total"));
	for (size_t c = 0; c < t.count; c++) {
		char name[48];
		snprintf(name, sizeof name, "%s", t.name[c]);
		for (char *dot = name; (dot = strchr(dot, '.')) != NULL;)
			*dot = '_';
		print_field(name, c == 0);
	}
	printf("\r\n");
	json_array_foreach(all, i, row)
	{
		for (size_t c = 0; c < t.count; c++)
			print_value(cli_member(row, t.name[c]), c == 0);
		printf("\r\n");
	}
	json_decref(all);
	if (json_is_true(json_object_get(answer, "more")))
		fprintf(stderr, "lethe: there are more rows than these: ask for a shorter time, or with --limit N\n");
}

int
cli_show_done(const struct cli *cli, json_t *answer)
{
	if (cli->json)
		cli_print_json(answer);
	else
		cli_show(cli, answer);
	json_decref(answer);
	return CLI_OK;
}
