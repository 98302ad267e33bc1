#include "proc/cli_priv.h"

#include <stdlib.h>
#include <string.h>

/* A walk over argv. */
struct words {
	char **at;
	int left;
	bool no_options; /* after "--" */
};

static size_t
arg_count(const struct cli_command *command)
{
	size_t n = 0;
	while (n < CLI_ARGS_MAX && command->args[n].name != NULL)
		n++;
	return n;
}

static bool
by_position(const struct cli_arg *arg)
{
	return arg->name[0] != '-';
}

/* "-5" is an amount, "-" is standard input; anything else with a dash is an option. */
static bool
is_option(const struct words *w)
{
	const char *word = w->at[0];
	return !w->no_options && word[0] == '-' && word[1] != '\0' && !(word[1] >= '0' && word[1] <= '9') &&
		word[1] != '.';
}

/* The command that the first two words name, or the first alone. */
static const struct cli_command *
find_command(const char *first, const char *second, int *ret_words)
{
	char both[64];
	snprintf(both, sizeof both, "%.30s %.30s", first, second == NULL ? "" : second);
	for (size_t i = 0; i < cli_command_count; i++)
		if (second != NULL && strcmp(cli_commands[i].name, both) == 0) {
			*ret_words = 2;
			return &cli_commands[i];
		}
	for (size_t i = 0; i < cli_command_count; i++)
		if (strcmp(cli_commands[i].name, first) == 0) {
			*ret_words = 1;
			return &cli_commands[i];
		}
	return NULL;
}

static bool
is_group(const char *word)
{
	size_t len = strlen(word);
	for (size_t i = 0; i < cli_command_count; i++)
		if (strncmp(cli_commands[i].name, word, len) == 0 && cli_commands[i].name[len] == ' ')
			return true;
	return false;
}

static int
unknown_command(const struct cli *cli, const char *first, const char *second)
{
	if (!is_group(first))
		return cli_fail(cli, CLI_USAGE, "usage", "there is no command `%.60s` – `lethe help` lists them", first);
	if (second == NULL)
		return cli_fail(
			cli, CLI_USAGE, "usage", "`%.60s` needs another word – `lethe help %.60s` lists them", first, first);
	return cli_fail(cli, CLI_USAGE, "usage", "there is no command `%.60s %.60s` – `lethe help %.60s` lists them",
		first, second, first);
}

static const struct cli_arg *
find_option(const struct cli_command *command, const char *name, size_t len)
{
	for (size_t i = 0; i < arg_count(command); i++)
		if (strlen(command->args[i].name) == len && strncmp(command->args[i].name, name, len) == 0)
			return &command->args[i];
	return NULL;
}

static const struct cli_arg *
nth_by_position(const struct cli_command *command, size_t n)
{
	for (size_t i = 0; i < arg_count(command); i++)
		if (by_position(&command->args[i]) && n-- == 0)
			return &command->args[i];
	return NULL;
}

/* One line without its end: a secret that must not stand in argv. */
static int
read_line(const struct cli *cli, char *out, size_t cap)
{
	if (fgets(out, (int)cap, stdin) == NULL)
		return cli_fail(
			cli, CLI_USAGE, "usage", "'-' reads from standard input, and there was nothing – pipe the value in");
	out[strcspn(out, "\r\n")] = '\0';
	return CLI_OK;
}

static int
set(const struct cli *cli, json_t *request, const struct cli_arg *arg, const char *value)
{
	char line[512], *end;
	if (!arg->number && by_position(arg) && strcmp(value, "-") == 0) {
		int status = read_line(cli, line, sizeof line);
		if (status != CLI_OK)
			return status;
		value = line;
	}
	json_t *member = NULL;
	if (arg->number) {
		long long n = strtoll(value, &end, 10);
		if (end == value || *end != '\0')
			return cli_fail(cli, CLI_USAGE, "usage", "%s: `%.60s` is not a whole number", arg->name, value);
		member = json_integer(n);
	} else
		member = json_string(value);
	if (member == NULL)
		return cli_fail(cli, CLI_USAGE, "usage", "%s: the text is not valid UTF-8", arg->name);
	json_object_set_new(request, arg->member, member);
	return CLI_OK;
}

static bool
is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static const char *
next_word(struct words *w)
{
	if (w->left == 0)
		return NULL;
	w->left--;
	return *w->at++;
}

/* The option of an argument with what stands behind its '=', or NULL. */
static int
set_option(struct cli *cli, struct words *w, json_t *request, const struct cli_arg *arg, const char *inside)
{
	if (arg->value == NULL) {
		if (inside != NULL)
			return cli_fail(cli, CLI_USAGE, "usage", "%s takes no value", arg->name);
		json_object_set_new(request, arg->member, json_true());
		return CLI_OK;
	}
	const char *value = inside != NULL ? inside : next_word(w);
	if (value == NULL)
		return cli_fail(cli, CLI_USAGE, "usage", "%s needs a value: %s %s", arg->name, arg->name, arg->value);
	if (arg->member != NULL)
		return set(cli, request, arg, value);
	cli->data_dir = value;
	return CLI_OK;
}

/* "--name VALUE", "--name=VALUE" or a flag. The words are used up. */
static int
take_option(struct cli *cli, struct words *w, json_t *request, bool *ret_help)
{
	static const struct cli_arg data = {.name = "--data", .value = "DIR"};
	const char *word = next_word(w);
	size_t len = strcspn(word, "=");
	if (is_help(word)) {
		*ret_help = true;
		return CLI_OK;
	}
	if (strcmp(word, "--json") == 0)
		return CLI_OK; /* known since before the first word */
	bool is_data = len == strlen(data.name) && strncmp(word, data.name, len) == 0;
	const struct cli_arg *arg = is_data ? &data : find_option(cli->command, word, len);
	if (arg == NULL)
		return cli_fail(cli, CLI_USAGE, "usage", "`lethe %s` has no option `%.*s` – `lethe help %s` lists them",
			cli->command->name, (int)len, word, cli->command->name);
	return set_option(cli, w, request, arg, word[len] == '=' ? word + len + 1 : NULL);
}

static int
check_required(const struct cli *cli, const json_t *request)
{
	for (size_t i = 0; i < arg_count(cli->command); i++) {
		const struct cli_arg *arg = &cli->command->args[i];
		if (arg->required && json_object_get(request, arg->member) == NULL)
			return cli_fail(cli, CLI_USAGE, "usage", "%s is missing (%s) – `lethe help %s` shows an example",
				arg->name, arg->meaning, cli->command->name);
	}
	return CLI_OK;
}

/* `help` takes any number of words: they are the name of a command. */
static int
join(json_t *request, const struct cli_arg *arg, const char *word)
{
	char both[80];
	const char *before = json_string_value(json_object_get(request, arg->member));
	snprintf(both, sizeof both, "%.30s%s%.30s", before == NULL ? "" : before, before == NULL ? "" : " ", word);
	json_t *text = json_string(both);
	return text != NULL && json_object_set_new(request, arg->member, text) == 0 ? CLI_OK : CLI_USAGE;
}

static int
take_position(struct cli *cli, struct words *w, json_t *request, size_t *position)
{
	const char *word = *w->at++;
	w->left--;
	if (!w->no_options && strcmp(word, "--") == 0) {
		w->no_options = true;
		return CLI_OK;
	}
	if (cli->command->run == cli_help_command)
		return join(request, &cli->command->args[0], word);
	const struct cli_arg *arg = nth_by_position(cli->command, (*position)++);
	if (arg == NULL)
		return cli_fail(cli, CLI_USAGE, "usage", "`%.60s` is one word too many – `lethe help %s` shows an example",
			word, cli->command->name);
	return set(cli, request, arg, word);
}

static int
parse_words(struct cli *cli, struct words *w, json_t *request, bool *ret_help)
{
	int status = CLI_OK;
	size_t position = 0;
	while (w->left > 0 && status == CLI_OK && !*ret_help)
		status = is_option(w) && strcmp(w->at[0], "--") != 0 ? take_option(cli, w, request, ret_help)
															 : take_position(cli, w, request, &position);
	return status == CLI_OK && !*ret_help ? check_required(cli, request) : status;
}

static bool
wants_json(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0)
			return true;
	return false;
}

/* The options of every command may stand in front of it, too. */
static void
take_leading(struct cli *cli, struct words *w)
{
	while (w->left > 0) {
		int used = strcmp(w->at[0], "--json") == 0 ? 1 : strcmp(w->at[0], "--data") == 0 && w->left > 1 ? 2
																										: 0;
		if (used == 0)
			return;
		if (used == 2)
			cli->data_dir = w->at[1];
		w->at += used;
		w->left -= used;
	}
}

int
cli_parse(int argc, char **argv, struct cli *cli, json_t **ret, bool *ret_help)
{
	int used = 0;
	cli->json = wants_json(argc, argv);
	cli->data_dir = getenv("LETHE_DATA");
	if (cli->data_dir == NULL || cli->data_dir[0] == '\0')
		cli->data_dir = "./data";
	struct words w = {argv + 1, argc - 1, false};
	take_leading(cli, &w);
	if (w.left == 0)
		return cli_fail(cli, CLI_USAGE, "usage", "a command is missing – `lethe help` lists them");
	const char *second = w.left > 1 && w.at[1][0] != '-' ? w.at[1] : NULL;
	cli->command = find_command(w.at[0], second, &used);
	if (cli->command == NULL)
		return unknown_command(cli, w.at[0], second);
	w.at += used;
	w.left -= used;
	json_t *request = json_object();
	int status = parse_words(cli, &w, request, ret_help);
	if (status == CLI_OK)
		*ret = request;
	else
		json_decref(request);
	return status;
}
