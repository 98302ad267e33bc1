/* The outcome of `lethe ledger verify` and `lethe reconcile run`: each invariant, the sums, and the verdict. */
#include "proc/cli_priv.h"

#include <stdio.h>
#include <string.h>

/* Of no interest where there are none. */
static bool
is_told_when_there_are(const char *name)
{
	return strncmp(name, "tickets_", 8) == 0 || strncmp(name, "holds_", 6) == 0;
}

static void
show_sums(const struct cli *cli, const json_t *answer)
{
	const char *name;
	json_t *value, *sums = json_object();
	json_object_foreach((json_t *)answer, name, value)
	{
		bool is_zero = json_is_integer(value) && json_integer_value(value) == 0;
		if (!json_is_boolean(value) && !json_is_array(value) && !(is_zero && is_told_when_there_are(name)))
			json_object_set(sums, name, value);
	}
	if (json_object_size(sums) > 0) {
		putchar('\n');
		cli_show_members(cli, sums);
	}
	json_decref(sums);
}

static void
show_verdict(const json_t *rows)
{
	size_t i, wrong = 0;
	json_t *row;
	json_array_foreach(rows, i, row)
	{
		if (json_is_true(json_object_get(row, "ok")))
			continue;
		printf("%s%s", wrong++ == 0 ? "\nThe books are WRONG: " : ", ", json_string_value(json_object_get(row, "inv")));
	}
	puts(wrong == 0 ? "\nThe books are right." : ". `--json` says where, in `which`.");
}

void
cli_show_books(const struct cli *cli, const json_t *answer)
{
	const json_t *rows = json_object_get(answer, "invariants");
	cli_show_table(cli, rows, cli->command->columns);
	show_sums(cli, answer);
	show_verdict(rows);
}
