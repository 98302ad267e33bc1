#include "proc/cli.h"

#include "proc/cli_priv.h"

#include <pwd.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An answer that is understood can still say no: the books don't balance, a code is not ours. */
static bool
is_wrong(const json_t *answer)
{
	const char *name;
	json_t *list, *row;
	size_t i;
	if (json_is_false(json_object_get(answer, "ours")))
		return true;
	json_object_foreach((json_t *)answer, name, list)
		json_array_foreach(list, i, row) if (json_is_false(json_object_get(row, "ok"))) return true;
	return false;
}

int
cli_show_answer(const struct cli *cli, const json_t *answer)
{
	const json_t *error = json_object_get(answer, "error");
	const char *message = json_string_value(json_object_get(error, "message"));
	if (cli->json)
		cli_print_json(answer);
	else if (cli->csv && json_is_true(json_object_get(answer, "ok")))
		cli_show_csv(cli, answer);
	else if (json_is_true(json_object_get(answer, "ok")))
		cli_show(cli, answer);
	else if (message != NULL)
		return cli_fail(cli, CLI_REFUSED, "", "%s", message);
	else
		cli_show(cli, answer);
	return json_is_true(json_object_get(answer, "ok")) && !is_wrong(answer) ? CLI_OK : CLI_REFUSED;
}

enum { CSV_LIMIT = 10000 };

static bool
takes(const struct cli_command *command, const char *member)
{
	for (size_t i = 0; i < cli_arg_count(command); i++)
		if (command->args[i].member != NULL && strcmp(command->args[i].member, member) == 0)
			return true;
	return false;
}

/* Who gives an order is kept with it. */
static void
say_who(const struct cli *cli, json_t *request)
{
	const char *sudo = getenv("SUDO_USER");
	const struct passwd *who = sudo == NULL ? getpwuid(getuid()) : NULL;
	if (!takes(cli->command, "actor") || json_object_get(request, "actor") != NULL)
		return;
	json_t *name = json_string(sudo != NULL ? sudo : who != NULL ? who->pw_name : "");
	if (name != NULL && json_string_length(name) <= 64)
		json_object_set(request, "actor", name);
	json_decref(name);
}

int
cli_run_op(struct cli *cli, json_t *request)
{
	say_who(cli, request);
	cli->csv = json_is_true(json_object_get(request, "csv"));
	json_object_del(request, "csv");
	if (cli->csv && cli->json)
		return cli_fail(cli, CLI_USAGE, "usage", "--csv and --json exclude each other – leave one out");
	if (cli->csv && json_object_get(request, "limit") == NULL)
		json_object_set_new(request, "limit", json_integer(CSV_LIMIT));
	json_object_set_new(request, "op", json_string(cli->command->op));
	json_t *answer = cli_ask(cli, request);
	if (answer == NULL)
		return CLI_UNREACHABLE;
	int status = cli_show_answer(cli, answer);
	json_decref(answer);
	return status;
}

static int
run(struct cli *cli, json_t *request)
{
	int status = cli->command->run != NULL ? cli->command->run(cli, request) : cli_run_op(cli, request);
	if (fflush(stdout) == 0)
		return status;
	fprintf(stderr, "lethe: the output could not be written\n");
	return CLI_REFUSED;
}

static bool
is_word(const char *word, const char *a, const char *b)
{
	return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

int
cli_main(int argc, char **argv)
{
	struct cli cli = {0};
	json_t *request = NULL;
	bool help = false;
	if (sodium_init() < 0) {
		fprintf(stderr, "lethe: the system gives no random numbers\n");
		return CLI_UNREACHABLE;
	}
	if (argc < 2) {
		cli_help_all(stderr);
		return CLI_USAGE;
	}
	if (is_word(argv[1], "--help", "-h")) {
		cli_help_all(stdout);
		return CLI_OK;
	}
	if (is_word(argv[1], "--version", "-V"))
		return cli_version(&cli, NULL);
	int status = cli_parse(argc, argv, &cli, &request, &help);
	if (status != CLI_OK)
		return status;
	status = help ? cli_help(&cli, cli.command->name) : run(&cli, request);
	json_decref(request);
	return status;
}
