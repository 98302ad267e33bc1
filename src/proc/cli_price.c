/* What a model costs: asked of the ledger, or read from a configuration file. */
#include "proc/cli_priv.h"

#include "ledger/moment.h"
#include "ledger/price_show.h"
#include "proc/catalogue_compile.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* "standard", "flex", "standard above 200000" */
static void
title_of(const json_t *row, char *out, size_t cap)
{
	json_int_t above = json_integer_value(json_object_get(row, "above_tokens"));
	const char *tier = json_string_value(json_object_get(row, "tier"));
	if (above == 0)
		snprintf(out, cap, "%s", tier);
	else
		snprintf(out, cap, "%s above %" JSON_INTEGER_FORMAT, tier, above);
}

/* A row of the table: the same amount of each column's price. */
static void
add_line(json_t *table, const json_t *rows, const char *title, const char *label, const char *path)
{
	json_t *o = json_object(), *row;
	size_t i;
	json_object_set_new(o, title, json_string(label));
	json_array_foreach(rows, i, row)
	{
		char column[48];
		title_of(row, column, sizeof column);
		json_object_set(o, column, (json_t *)cli_member(row, path));
	}
	json_array_append_new(table, o);
}

static void
show_tokens(const struct cli *cli, const json_t *rows)
{
	json_t *table = json_array();
#define X(name, meaning, fallback) \
	add_line(table, rows, "per million tokens", #name, "dollars_per_million_tokens." #name);
	TOKEN_KINDS(X)
#undef X
	cli_show_table(cli, table, NULL);
	json_decref(table);
}

static void
show_pieces(const struct cli *cli, const json_t *rows)
{
	json_t *table = json_array();
	add_line(table, rows, "each", "request", "per_request");
#define X(name, piece) add_line(table, rows, "each", #name, "per_" #name);
	TOOL_KINDS(X)
#undef X
	printf("\n");
	cli_show_table(cli, table, NULL);
	json_decref(table);
}

static void
show_factors(const json_t *rows)
{
	size_t i;
	json_t *row;
	json_array_foreach(rows, i, row)
	{
		char column[48];
		json_int_t percent = json_integer_value(json_object_get(row, "geo_us_percent"));
		title_of(row, column, sizeof column);
		if (percent > 0 && percent != 100)
			printf("\n%s: tokens cost %" JSON_INTEGER_FORMAT " %% of this when inference is bound to the US\n",
				column, percent);
	}
}

static void
show_head(const struct cli *cli, const json_t *answer)
{
	char from[CLI_CELL_MAX] = "", next[CLI_CELL_MAX] = "", model[CLI_CELL_MAX] = "", provider[CLI_CELL_MAX] = "";
	const json_t *aliases = json_object_get(answer, "aliases");
	json_t *alias;
	size_t i;
	cli_cell(json_object_get(answer, "from"), from, sizeof from);
	cli_cell(json_object_get(answer, "next"), next, sizeof next);
	cli_cell(json_object_get(answer, "model"), model, sizeof model);
	printf("%s%s%s", cli_on(cli, stdout, CLI_BOLD), model, cli_off(cli, stdout, CLI_BOLD));
	if (json_object_get(answer, "provider") != NULL) {
		cli_cell(json_object_get(answer, "provider"), provider, sizeof provider);
		printf(", provider %s", provider);
	}
	json_array_foreach(aliases, i, alias) printf("%s%s", i == 0 ? ", aliases " : ", ", json_string_value(alias));
	printf("\nin force since %s%s%s (UTC)\n\n", from, strcmp(next, "-") == 0 ? "" : " until ",
		strcmp(next, "-") == 0 ? "" : next);
}

void
cli_show_price(const struct cli *cli, const json_t *answer)
{
	const json_t *rows = json_object_get(answer, "rows");
	show_head(cli, answer);
	show_tokens(cli, rows);
	show_pieces(cli, rows);
	show_factors(rows);
}

/* ---- from a file ---- */

static int
show_of_catalogue(struct cli *cli, const json_t *request, const struct catalogue *c, uint64_t at_ms)
{
	const char *model = json_string_value(json_object_get(request, "model"));
	json_t *answer = price_show_catalogue(c, model, at_ms);
	if (answer == NULL && catalogue_find_model(c, (struct span){model, strlen(model)}) == NULL)
		return cli_fail(cli, CLI_REFUSED, "no_such_model",
			"the file has no model `%s` – `lethe catalogue check FILE` lists them", model);
	if (answer == NULL)
		return cli_fail(
			cli, CLI_REFUSED, "no_price", "no price of `%s` is in force then: its requests are refused", model);
	if (cli->json)
		cli_print_json(answer);
	else
		cli_show_price(cli, answer);
	json_decref(answer);
	return CLI_OK;
}

int
cli_price_show(struct cli *cli, json_t *request)
{
	struct problems p;
	struct config *c = NULL;
	struct catalogue *catalogue = NULL;
	const char *at = json_string_value(json_object_get(request, "at"));
	int64_t now_s = (int64_t)time(NULL), s = now_s;
	bool day;
	if (json_object_get(request, "file") == NULL)
		return cli_run_op(cli, request);
	if (at != NULL && (!moment_parse(at, now_s, &s, &day) || s < 0))
		return cli_fail(cli, CLI_USAGE, "usage", "--at: `%.40s` is not " MOMENT_EXAMPLES, at);
	if (!cli_read_config(json_string_value(json_object_get(request, "file")), &p, &c, &catalogue))
		return cli_refuse_config(cli, &p);
	int status = show_of_catalogue(cli, request, catalogue, (uint64_t)s * 1000);
	free(catalogue);
	config_free(&c);
	return status;
}
