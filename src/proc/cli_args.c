#include "proc/cli_priv.h"

#include "proc/nearest.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* A walk over argv. */
struct words {
	char **at;
	int left;
	bool no_options; /* after "--" */
};

/* ---- the table ---- */

enum { COMMON_DATA,
	COMMON_JSON,
	COMMON_COLOR,
	COMMON_HELP };

const struct cli_arg cli_common[] = {
	[COMMON_DATA] = {"--data", "DIR", NULL, false, false,
		"data directory; without it LETHE_DATA, or " CLI_DATA_HERE ", or, but for `serve`, " CLI_DATA_INSTALLED,
		CLI_DIR},
	[COMMON_JSON] = {"--json", NULL, NULL, false, false, "one JSON object on standard output, errors too", NULL},
	[COMMON_COLOR] = {"--color", "WHEN", NULL, false, false,
		"auto (on a terminal, unless NO_COLOR is set), always or never", "auto|always|never"},
	[COMMON_HELP] = {"--help", NULL, NULL, false, false, "explain the command", NULL},
};
const size_t cli_common_count = ARRAY_LEN(cli_common);

size_t
cli_arg_count(const struct cli_command *command)
{
	size_t n = 0;
	while (n < CLI_ARGS_MAX && command->args[n].name != NULL)
		n++;
	return n;
}

bool
cli_by_position(const struct cli_arg *arg)
{
	return arg->name[0] != '-';
}

bool
cli_takes(const struct cli_command *command, const struct cli_arg *common)
{
	return common != &cli_common[COMMON_DATA] || command->op != NULL || command->uses_data;
}

static bool
is_name(const struct cli_arg *arg, const char *name, size_t len)
{
	return strlen(arg->name) == len && strncmp(arg->name, name, len) == 0;
}

const struct cli_arg *
cli_find_option(const struct cli_command *command, const char *name, size_t len)
{
	for (size_t i = 0; command != NULL && i < cli_arg_count(command); i++)
		if (is_name(&command->args[i], name, len))
			return &command->args[i];
	/* --data is taken everywhere, so that scripts may always give it. */
	for (size_t i = 0; i < cli_common_count; i++)
		if (is_name(&cli_common[i], name, len))
			return &cli_common[i];
	return NULL;
}

const struct cli_arg *
cli_nth_by_position(const struct cli_command *command, size_t n)
{
	for (size_t i = 0; i < cli_arg_count(command); i++)
		if (cli_by_position(&command->args[i]) && (n-- == 0 || command->args[i].many))
			return &command->args[i];
	return NULL;
}

const struct cli_command *
cli_find_command(const char *first, const char *second, int *ret_words)
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

/* ---- what is not in it ---- */

static bool
is_group(const char *word)
{
	size_t len = strlen(word);
	for (size_t i = 0; i < cli_command_count; i++)
		if (strncmp(cli_commands[i].name, word, len) == 0 && cli_commands[i].name[len] == ' ')
			return true;
	return false;
}

/* "; did you mean `x`?", or "". */
static const char *
meant(const struct nearest *near, char *out, size_t cap)
{
	out[0] = '\0';
	if (near->best != NULL)
		snprintf(out, cap, "; did you mean `%s`?", near->best);
	return out;
}

/* `usages`, `key lst`, `keys list`: whole commands, and the words that begin some. */
static int
unknown_command(const struct cli *cli, const char *first, const char *second)
{
	char both[80], groups[128][24], hint[96];
	struct nearest near;
	bool group = is_group(first);
	snprintf(both, sizeof both, second == NULL ? "%.30s" : "%.30s %.30s", first, second);
	if (group && second == NULL)
		return cli_fail(
			cli, CLI_USAGE, "usage", "`%.60s` needs another word – `lethe help %.60s` lists them", first, first);
	nearest_init(&near, both);
	for (size_t i = 0; i < cli_command_count; i++)
		if (!cli_commands[i].hidden)
			nearest_try(&near, cli_commands[i].name);
	if (near.best == NULL && !group)
		nearest_init(&near, first);
	for (size_t i = 0; i < cli_command_count && i < ARRAY_LEN(groups) && near.word == first; i++) {
		snprintf(groups[i], sizeof groups[i], "%.*s", (int)strcspn(cli_commands[i].name, " "), cli_commands[i].name);
		nearest_try(&near, groups[i]);
	}
	meant(&near, hint, sizeof hint);
	if (!group)
		return cli_fail(cli, CLI_USAGE, "usage", "there is no command `%.60s` – `lethe help` lists them%s",
			second == NULL || near.word == first ? first : both, hint);
	return cli_fail(cli, CLI_USAGE, "usage", "there is no command `%.60s %.60s` – `lethe help %.60s` lists them%s",
		first, second, first, hint);
}

/* command NULL: one that stands before every command. */
static int
unknown_option(const struct cli *cli, const char *word, size_t len)
{
	char name[64], hint[96];
	struct nearest near;
	snprintf(name, sizeof name, "%.*s", (int)len, word);
	nearest_init(&near, name);
	for (size_t i = 0; cli->command != NULL && i < cli_arg_count(cli->command); i++)
		if (!cli_by_position(&cli->command->args[i]))
			nearest_try(&near, cli->command->args[i].name);
	for (size_t i = 0; i < cli_common_count; i++)
		nearest_try(&near, cli_common[i].name);
	if (cli->command == NULL)
		return cli_fail(cli, CLI_USAGE, "usage",
			"there is no option `%s` before a command – `lethe help` lists the commands%s", name,
			meant(&near, hint, sizeof hint));
	return cli_fail(cli, CLI_USAGE, "usage", "`lethe %s` has no option `%s` – `lethe help %s` lists them%s",
		cli->command->name, name, cli->command->name, meant(&near, hint, sizeof hint));
}

/* ---- values ---- */

bool
cli_next_word(const char **at, char *out, size_t cap)
{
	while (**at == '|' || **at == ',')
		++*at;
	size_t len = strcspn(*at, "|,");
	snprintf(out, cap, "%.*s", (int)len, *at);
	*at += len;
	return len > 0;
}

static bool
is_one_of(const char *words, const char *value, size_t len, struct nearest *near)
{
	static char known[64][32]; /* nearest keeps what it is shown */
	for (size_t i = 0; i < ARRAY_LEN(known) && cli_next_word(&words, known[i], sizeof known[i]); i++) {
		if (strlen(known[i]) == len && strncasecmp(known[i], value, len) == 0)
			return true;
		nearest_try(near, known[i]);
	}
	return false;
}

/* A value out of a list of words, or several of them with commas between. */
static int
check_words(const struct cli *cli, const struct cli_arg *arg, const char *value)
{
	char word[64], hint[96];
	struct nearest near;
	bool several = arg->words != NULL && strchr(arg->words, ',') != NULL;
	if (arg->words == NULL || arg->words[0] == '<')
		return CLI_OK;
	for (const char *at = value;; at++) {
		size_t len = several ? strcspn(at, ",") : strlen(at);
		snprintf(word, sizeof word, "%.*s", (int)len, at);
		nearest_init(&near, word);
		if (!is_one_of(arg->words, at, len, &near))
			return cli_fail(cli, CLI_USAGE, "usage", "%s: `%s` is not one of %s%s", arg->name, word,
				arg->words + strspn(arg->words, "|,"), meant(&near, hint, sizeof hint));
		at += len;
		if (*at == '\0')
			return CLI_OK;
	}
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

static json_t *
member_of(const struct cli *cli, const struct cli_arg *arg, const char *value)
{
	char *end;
	json_t *member = arg->number ? NULL : json_string(value);
	if (!arg->number && member == NULL)
		cli_fail(cli, CLI_USAGE, "usage", "%s: the text is not valid UTF-8", arg->name);
	if (!arg->number)
		return member;
	long long n = strtoll(value, &end, 10);
	if (end != value && *end == '\0')
		return json_integer(n);
	cli_fail(cli, CLI_USAGE, "usage", "%s: `%.60s` is not a whole number", arg->name, value);
	return NULL;
}

static bool
append(json_t *request, const char *member, json_t *value)
{
	json_t *list = json_object_get(request, member);
	if (list == NULL) {
		list = json_array();
		json_object_set_new(request, member, list);
	}
	return json_array_append_new(list, value) == 0;
}

static int
set(const struct cli *cli, json_t *request, const struct cli_arg *arg, const char *value)
{
	char line[512];
	int status = CLI_OK;
	bool is_file = arg->words != NULL && strcmp(arg->words, CLI_FILE) == 0; /* whoever opens it knows what "-" is */
	if (!arg->number && !arg->many && !is_file && cli_by_position(arg) && strcmp(value, "-") == 0) {
		status = read_line(cli, line, sizeof line);
		value = line;
	}
	if (status == CLI_OK)
		status = check_words(cli, arg, value);
	if (status != CLI_OK)
		return status;
	json_t *member = member_of(cli, arg, value);
	if (arg->many)
		return member != NULL && append(request, arg->member, member) ? CLI_OK : CLI_USAGE;
	return member != NULL && json_object_set_new(request, arg->member, member) == 0 ? CLI_OK : CLI_USAGE;
}

static int
set_common(struct cli *cli, const struct cli_arg *arg, const char *value)
{
	int status = check_words(cli, arg, value);
	if (status != CLI_OK)
		return status;
	if (arg == &cli_common[COMMON_DATA])
		cli->data_dir = value;
	else if (arg == &cli_common[COMMON_COLOR])
		cli->color = strcasecmp(value, "always") == 0 ? CLI_COLOR_ALWAYS
			: strcasecmp(value, "never") == 0         ? CLI_COLOR_NEVER
													  : CLI_COLOR_AUTO;
	return CLI_OK;
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
		if (arg->member != NULL)
			json_object_set_new(request, arg->member, json_true());
		return CLI_OK; /* --json is known since before the first word */
	}
	const char *value = inside != NULL ? inside : next_word(w);
	if (value == NULL)
		return cli_fail(cli, CLI_USAGE, "usage", "%s needs a value: %s %s", arg->name, arg->name, arg->value);
	return arg->member != NULL ? set(cli, request, arg, value) : set_common(cli, arg, value);
}

/* "--name VALUE", "--name=VALUE" or a flag. The words are used up. */
static int
take_option(struct cli *cli, struct words *w, json_t *request, bool *ret_help)
{
	const char *word = next_word(w);
	size_t len = strcspn(word, "=");
	const struct cli_arg *arg = cli_find_option(cli->command, word, len);
	if (strcmp(word, "-h") == 0 || arg == &cli_common[COMMON_HELP]) {
		*ret_help = true;
		return CLI_OK;
	}
	if (arg == NULL)
		return unknown_option(cli, word, len);
	return set_option(cli, w, request, arg, word[len] == '=' ? word + len + 1 : NULL);
}

/* ---- the walk ---- */

/* "-5" is an amount, "-" is standard input; anything else with a dash is an option. */
static bool
is_option(const struct words *w)
{
	const char *word = w->at[0];
	return !w->no_options && word[0] == '-' && word[1] != '\0' && !(word[1] >= '0' && word[1] <= '9') &&
		word[1] != '.';
}

static int
check_required(const struct cli *cli, const json_t *request)
{
	for (size_t i = 0; i < cli_arg_count(cli->command); i++) {
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
	const struct cli_arg *arg = cli_nth_by_position(cli->command, (*position)++);
	if (arg == NULL)
		return cli_fail(cli, CLI_USAGE, "usage", "`%.60s` is one word too many – `lethe help %s` shows an example",
			word, cli->command->name);
	return set(cli, request, arg, word);
}

/* As they are: they may be anything that somebody is about to type. */
static int
take_raw(const struct cli *cli, struct words *w, json_t *request)
{
	json_t *list = json_array();
	if (w->left > 0 && strcmp(w->at[0], "--") == 0)
		next_word(w);
	for (; w->left > 0; w->at++, w->left--) {
		json_t *word = json_string(w->at[0]);
		json_array_append_new(list, word != NULL ? word : json_string(""));
	}
	return json_object_set_new(request, "words", list) == 0 ? CLI_OK : CLI_USAGE;
}

static int
parse_words(struct cli *cli, struct words *w, json_t *request, bool *ret_help)
{
	int status = CLI_OK;
	size_t position = 0;
	if (cli->command->raw)
		return take_raw(cli, w, request);
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
static int
take_leading(struct cli *cli, struct words *w, bool *ret_help)
{
	int status = CLI_OK;
	while (status == CLI_OK && w->left > 0 && is_option(w)) {
		size_t len = strcspn(w->at[0], "=");
		const struct cli_arg *arg = cli_find_option(NULL, w->at[0], len);
		const char *word = next_word(w);
		if (arg == NULL && strcmp(word, "-h") != 0)
			return unknown_option(cli, word, len);
		*ret_help = *ret_help || arg == NULL || arg == &cli_common[COMMON_HELP];
		if (arg != NULL)
			status = set_option(cli, w, NULL, arg, word[len] == '=' ? word + len + 1 : NULL);
	}
	return status;
}

/*
 * Neither --data nor LETHE_DATA: the folder here, or that of the installed server when there is none. A server that is started by hand
 * does not take that one by accident.
 */
static const char *
default_data_dir(const struct cli_command *command)
{
	bool installed =
		command->run != cli_serve && access(CLI_DATA_HERE, F_OK) != 0 && access(CLI_DATA_INSTALLED, F_OK) == 0;
	return installed ? CLI_DATA_INSTALLED : CLI_DATA_HERE;
}

/* `key --help`: what `help key` says. */
static bool
asks_for_help(const struct words *w)
{
	for (int i = 1; i < w->left; i++)
		if (strcmp(w->at[i], "--help") == 0 || strcmp(w->at[i], "-h") == 0)
			return true;
	return false;
}

int
cli_parse(int argc, char **argv, struct cli *cli, json_t **ret, bool *ret_help)
{
	int used = 0;
	cli->json = wants_json(argc, argv);
	cli->data_dir = getenv("LETHE_DATA");
	if (cli->data_dir != NULL && cli->data_dir[0] == '\0')
		cli->data_dir = NULL;
	struct words w = {argv + 1, argc - 1, false};
	int status = take_leading(cli, &w, ret_help);
	if (status != CLI_OK)
		return status;
	if (w.left == 0)
		return cli_fail(cli, CLI_USAGE, "usage", "a command is missing – `lethe help` lists them");
	const char *second = w.left > 1 && w.at[1][0] != '-' ? w.at[1] : NULL;
	cli->command = cli_find_command(w.at[0], second, &used);
	if (cli->command == NULL && second == NULL && is_group(w.at[0]) && asks_for_help(&w)) {
		cli->command = cli_find_command("help", NULL, &used);
		*ret = json_pack("{s:s}", "command", w.at[0]);
		return CLI_OK;
	}
	if (cli->command == NULL)
		return unknown_command(cli, w.at[0], second);
	w.at += used;
	w.left -= used;
	json_t *request = json_object();
	status = parse_words(cli, &w, request, ret_help);
	if (cli->data_dir == NULL)
		cli->data_dir = default_data_dir(cli->command);
	if (status == CLI_OK)
		*ret = request;
	else
		json_decref(request);
	return status;
}
