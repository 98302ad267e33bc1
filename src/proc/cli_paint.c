#include "proc/cli_priv.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* https://no-color.org: set and not empty. A terminal that is dumb knows no escapes. */
static bool
wants_color(const struct cli *cli, FILE *to)
{
	if (cli->color != CLI_COLOR_AUTO)
		return cli->color == CLI_COLOR_ALWAYS;
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
	bool dumb = term == NULL || term[0] == '\0' || strcmp(term, "dumb") == 0;
	return !(no != NULL && no[0] != '\0') && !dumb && isatty(fileno(to)) == 1;
}

/* The sixteen colours of the terminal's own scheme, so that they are readable on light and dark. */
static const char *const begins[] = {[CLI_PLAIN] = "",
	[CLI_BOLD] = "\033[1m",
	[CLI_GOOD] = "\033[32m",
	[CLI_DOUBTFUL] = "\033[33m",
	[CLI_BAD] = "\033[1;31m"};

const char *
cli_on(const struct cli *cli, FILE *to, enum cli_paint paint)
{
	return paint != CLI_PLAIN && wants_color(cli, to) ? begins[paint] : "";
}

const char *
cli_off(const struct cli *cli, FILE *to, enum cli_paint paint)
{
	return paint != CLI_PLAIN && wants_color(cli, to) ? "\033[0m" : "";
}

enum cli_paint
cli_paint_of(const char *word)
{
	static const struct {
		const char *word;
		enum cli_paint paint;
	} rows[] = {{"active", CLI_GOOD}, {"open", CLI_GOOD}, {"ok", CLI_GOOD}, {"yes", CLI_GOOD}, {"no", CLI_BAD}, {"expired", CLI_DOUBTFUL},
		{"rotated", CLI_DOUBTFUL}, {"warn", CLI_DOUBTFUL}, {"warning", CLI_DOUBTFUL}, {"stalled", CLI_BAD},
		{"revoked", CLI_BAD}, {"closed", CLI_BAD}, {"bad", CLI_BAD}, {"error", CLI_BAD}, {"refused", CLI_BAD}, {"unreachable", CLI_BAD}, {"no key", CLI_BAD}, {"no TLS", CLI_BAD},
		{"no credit", CLI_BAD}, {"wrong", CLI_BAD}, {"failed", CLI_BAD}, {"limited", CLI_DOUBTFUL}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].word, word) == 0)
			return rows[i].paint;
	return CLI_PLAIN;
}
