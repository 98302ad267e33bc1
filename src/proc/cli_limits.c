/* An account or a key as a person reads it: what it is, and what it may still do. */
#include "proc/cli_priv.h"

#include <string.h>

static void
line(const struct cli *cli, const char *name, const char *text)
{
	enum cli_paint paint = strcmp(name, "state") == 0 ? cli_paint_of(text) : CLI_PLAIN;
	printf("%s%s%s%*s%s%s%s\n", cli_on(cli, stdout, CLI_BOLD), name, cli_off(cli, stdout, CLI_BOLD),
		14 - cli_width(name), "", cli_on(cli, stdout, paint), text, cli_off(cli, stdout, paint));
}

/* A member; what is said when it is not there, NULL: nothing. */
static void
member(const struct cli *cli, const json_t *answer, const char *name, const char *missing)
{
	char cell[CLI_CELL_MAX] = "";
	const json_t *v = json_object_get(answer, name);
	bool has = v != NULL && !json_is_null(v) && !(json_is_string(v) && json_string_length(v) == 0);
	cli_cell(v, cell, sizeof cell);
	if (has || missing != NULL)
		line(cli, name, has ? cell : missing);
}

static void
show_streams(const struct cli *cli, const json_t *answer)
{
	char text[160];
	const json_t *per_edge = json_object_get(answer, "streams_per_edge");
	json_int_t edges = json_integer_value(json_object_get(answer, "edges"));
	if (per_edge == NULL) {
		line(cli, "streams", "no server runs: its configuration says how many (limits.streams_per_account_percent)");
		return;
	}
	snprintf(text, sizeof text,
		"%" JSON_INTEGER_FORMAT " running, at most %" JSON_INTEGER_FORMAT " on each of %" JSON_INTEGER_FORMAT
		" edge%s",
		json_integer_value(json_object_get(answer, "running")), json_integer_value(per_edge), edges,
		edges == 1 ? "" : "s");
	line(cli, "streams", text);
}

static void
show_money(const struct cli *cli, const json_t *answer)
{
	member(cli, answer, "balance", "-");
	member(cli, answer, "held", "-");
	member(cli, answer, "available", "-");
	const char *owed = json_string_value(json_object_get(answer, "owed"));
	if (owed != NULL && strcmp(owed, "0.000000000") != 0)
		member(cli, answer, "owed", NULL);
	show_streams(cli, answer);
}

/* "acc_… (acme)" */
static void
show_named(const struct cli *cli, const json_t *answer, const char *id, const char *name)
{
	char text[2 * CLI_CELL_MAX + 8], id_text[CLI_CELL_MAX] = "", name_text[CLI_CELL_MAX] = "";
	cli_cell(json_object_get(answer, id), id_text, sizeof id_text);
	cli_cell(json_object_get(answer, name), name_text, sizeof name_text);
	snprintf(text, sizeof text, "%s (%s)", id_text, name_text);
	line(cli, id, text);
}

/* "dollars per day: at most $10.00, $0.21 used" for each limit, and what is allowed at all. */
static void
show_limits(const struct cli *cli, const json_t *answer)
{
	static const char *const lists[] = {"models", "addresses", "scopes"};
	const char *name;
	json_t *v;
	json_object_foreach(json_object_get(answer, "limits"), name, v)
	{
		char text[3 * CLI_CELL_MAX], cell[CLI_CELL_MAX] = "", used[CLI_CELL_MAX] = "", title[64];
		const json_t *spent = json_object_get(json_object_get(answer, "used"), name);
		size_t len = 0;
		cli_cell(v, cell, sizeof cell);
		cli_cell(spent, used, sizeof used);
		for (; name[len] != '\0' && len + 1 < sizeof title; len++)
			title[len] = name[len] == '_' ? ' ' : name[len];
		title[len] = '\0';
		snprintf(text, sizeof text, spent != NULL ? "%s: at most %s, %s used" : "%s: at most %s", title, cell, used);
		line(cli, "limit", text);
	}
	member(cli, answer, "policy", NULL);
	member(cli, answer, "lane", NULL);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		char text[CLI_CELL_MAX] = "";
		size_t at;
		json_array_foreach(json_object_get(answer, lists[i]), at, v)
		{
			size_t used = strlen(text);
			snprintf(text + used, sizeof text - used, "%s%s", at ? ", " : "", json_string_value(v));
		}
		if (text[0] != '\0')
			line(cli, lists[i], text);
	}
}

void
cli_show_account(const struct cli *cli, const json_t *answer)
{
	member(cli, answer, "account", "-");
	member(cli, answer, "name", "-");
	member(cli, answer, "state", "-");
	member(cli, answer, "created", "-");
	member(cli, answer, "keys", "-");
	show_money(cli, answer);
	member(cli, answer, "quota", NULL);
	show_limits(cli, answer);
}

void
cli_show_key(const struct cli *cli, const json_t *answer)
{
	member(cli, answer, "key", "-");
	member(cli, answer, "name", NULL);
	member(cli, answer, "last4", "-");
	show_named(cli, answer, "account", "account_name");
	member(cli, answer, "state", "-");
	member(cli, answer, "created", "-");
	member(cli, answer, "expires", "never");
	member(cli, answer, "replaced_by", NULL);
	member(cli, answer, "revoked", NULL);
	member(cli, answer, "last_used", "not yet");
	show_money(cli, answer);
	show_limits(cli, answer);
}
