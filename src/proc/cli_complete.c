/*
 * Completion: what the next word of a command line may be. The shells' scripts ask here with each press of the key, so that there is one
 * table for all of them and none that is older than the program.
 */
#include "proc/cli_priv.h"

#include <string.h>

enum { IDS_MAX = 1000 };

/* What the words before the one that is being typed say. */
struct line {
	const struct cli_command *command; /* NULL: not complete */
	const char *first; /* of a command of two words */
	const struct cli_arg *pending; /* an option that wants its value now */
	size_t position;
	json_t *used; /* options */
	bool no_options; /* after "--" */
};

/* ---- answers ---- */

static void
offer(const char *before, const char *word, const char *typed, const char *meaning)
{
	if (strncmp(word, typed, strlen(typed)) == 0)
		printf("%s%s\t%s\n", before, word, meaning);
}

static void
offer_words(const char *words, const char *before, const char *typed)
{
	char word[64];
	bool several = strchr(words, ',') != NULL;
	const char *comma = several ? strrchr(typed, ',') : NULL;
	char all[256];
	/* Those before the last comma stand as they are. */
	snprintf(all, sizeof all, "%s%.*s", before, comma == NULL ? 0 : (int)(comma + 1 - typed), typed);
	while (cli_next_word(&words, word, sizeof word))
		offer(all, word, comma == NULL ? typed : comma + 1, "");
}

/* ---- of a running server ---- */

/* One member of each row, once. */
static void
offer_rows(const struct cli *cli, const char *op, const char *list, const char *const members[2], const char *typed)
{
	json_t *request = json_pack("{s:s, s:i}", "op", op, "limit", IDS_MAX), *answer = cli_ask_quietly(cli, request);
	json_t *row;
	size_t i;
	const char *last = "";
	json_array_foreach(json_object_get(answer, list), i, row)
	{
		const char *word = json_string_value(json_object_get(row, members[0]));
		const char *meaning = members[1] == NULL ? "" : json_string_value(json_object_get(row, members[1]));
		if (word == NULL || strpbrk(word, "\t\n") != NULL || strcmp(word, last) == 0)
			continue;
		offer("", word, typed, meaning == NULL ? "" : meaning);
		last = word;
	}
	json_decref(answer);
	json_decref(request);
}

/* A word that several commands begin with is offered by the first of them. */
static bool
is_repeat(size_t command, const char *word, size_t len)
{
	for (size_t i = 0; i < command; i++)
		if (!cli_commands[i].hidden && strncmp(cli_commands[i].name, word, len) == 0 &&
			(cli_commands[i].name[len] == ' ' || cli_commands[i].name[len] == '\0'))
			return true;
	return false;
}

static void
offer_commands(const char *first, const char *typed)
{
	size_t len = first == NULL ? 0 : strlen(first);
	for (size_t i = 0; i < cli_command_count; i++) {
		const struct cli_command *c = &cli_commands[i];
		size_t word = strcspn(c->name, " ");
		if (c->hidden)
			continue;
		if (first != NULL && word == len && strncmp(c->name, first, len) == 0 && c->name[len] == ' ')
			offer("", c->name + len + 1, typed, c->summary);
		if (first != NULL || is_repeat(i, c->name, word))
			continue;
		char text[64];
		snprintf(text, sizeof text, "%.*s", (int)word, c->name);
		offer("", text, typed, c->name[word] == '\0' ? c->summary : "");
	}
}

static void
offer_value(const struct cli *cli, const struct cli_arg *arg, const char *before, const char *typed)
{
	const char *words = arg->words;
	if (words == NULL)
		return;
	if (strcmp(words, CLI_FILE) == 0 || strcmp(words, CLI_DIR) == 0)
		printf("%s\n", strcmp(words, CLI_FILE) == 0 ? ":file" : ":dir");
	else if (strcmp(words, CLI_ACCOUNT) == 0)
		offer_rows(cli, "account.list", "accounts", (const char *const[]){"name", "account"}, typed);
	else if (strcmp(words, CLI_KEY) == 0)
		offer_rows(cli, "key.list", "keys", (const char *const[]){"key", "name"}, typed);
	else if (strcmp(words, CLI_MODEL) == 0)
		offer_rows(cli, "price.list", "prices", (const char *const[]){"model", NULL}, typed);
	else if (strcmp(words, CLI_COMMAND) == 0)
		offer_commands(NULL, typed);
	else
		offer_words(words, before, typed);
}

static void
offer_options(const struct line *line, const char *typed)
{
	for (size_t i = 0; line->command != NULL && i < cli_arg_count(line->command); i++) {
		const struct cli_arg *arg = &line->command->args[i];
		if (!cli_by_position(arg) && json_object_get(line->used, arg->name) == NULL)
			offer("", arg->name, typed, arg->meaning);
	}
	for (size_t i = 0; i < cli_common_count; i++)
		if ((line->command == NULL || cli_takes(line->command, &cli_common[i])) &&
			json_object_get(line->used, cli_common[i].name) == NULL)
			offer("", cli_common[i].name, typed, cli_common[i].meaning);
}

/* ---- the line ---- */

static bool
is_option(const struct line *line, const char *word)
{
	return !line->no_options && word[0] == '-' && word[1] != '\0';
}

static void
read_option(struct cli *cli, struct line *line, const char *word)
{
	size_t len = strcspn(word, "=");
	const struct cli_arg *arg = cli_find_option(line->command, word, len);
	if (strcmp(word, "--") == 0)
		line->no_options = line->command != NULL;
	if (arg == NULL)
		return;
	json_object_set_new(line->used, arg->name, json_true());
	if (arg->value != NULL && word[len] == '\0')
		line->pending = arg;
	else if (arg == &cli_common[0] && word[len] == '=')
		cli->data_dir = word + len + 1;
}

static void
read_word(struct cli *cli, struct line *line, const char *word)
{
	int used;
	if (line->pending != NULL && strcmp(word, "=") == 0)
		return; /* bash cuts "--by=day" in three */
	if (line->pending != NULL) {
		if (line->pending == &cli_common[0])
			cli->data_dir = word;
		line->pending = NULL;
	} else if (is_option(line, word))
		read_option(cli, line, word);
	else if (line->command != NULL)
		line->position++;
	else {
		line->command =
			line->first == NULL ? cli_find_command(word, NULL, &used) : cli_find_command(line->first, word, &used);
		line->first = line->first == NULL ? word : line->first;
	}
}

/* "--by=mo" as one word: zsh and fish. */
static void
offer_inside(const struct cli *cli, const struct line *line, const char *typed)
{
	char before[64];
	size_t len = strcspn(typed, "=");
	const struct cli_arg *arg = cli_find_option(line->command, typed, len);
	snprintf(before, sizeof before, "%.*s=", (int)len, typed);
	if (arg != NULL && arg->value != NULL && arg->words != NULL && arg->words[0] != '<')
		offer_value(cli, arg, before, typed + len + 1);
}

static void
offer_next(const struct cli *cli, const struct line *line, const char *typed)
{
	const struct cli_arg *arg =
		line->command == NULL ? NULL : cli_nth_by_position(line->command, line->position);
	if (line->pending != NULL)
		offer_value(cli, line->pending, "", strcmp(typed, "=") == 0 ? "" : typed);
	else if (!line->no_options && typed[0] == '-' && strchr(typed, '=') != NULL)
		offer_inside(cli, line, typed);
	else if (!line->no_options && typed[0] == '-')
		offer_options(line, typed);
	else if (line->command == NULL)
		offer_commands(line->first, typed);
	else if (line->command->run == cli_help_command && line->position > 0)
		return;
	else if (arg != NULL)
		offer_value(cli, arg, "", typed);
}

int
cli_complete(struct cli *cli, json_t *request)
{
	const json_t *words = json_object_get(request, "words");
	struct line line = {.used = json_object()};
	size_t count = json_array_size(words);
	for (size_t i = 0; i + 1 < count; i++)
		read_word(cli, &line, json_string_value(json_array_get(words, i)));
	offer_next(cli, &line, count == 0 ? "" : json_string_value(json_array_get(words, count - 1)));
	json_decref(line.used);
	return CLI_OK;
}

/* ---- the scripts ---- */

static const char bash_script[] =
	"# Completion of lethe in bash, as `lethe completion bash` writes it.\n"
	"_lethe() {\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} line word\n"
	"\t[ \"$cur\" = = ] && cur=\n"
	"\tCOMPREPLY=()\n"
	"\twhile IFS= read -r line; do\n"
	"\t\tcase $line in\n"
	"\t\t:file) compopt -o filenames 2>/dev/null && :; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
	"\t\t:dir) compopt -o filenames 2>/dev/null && :; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\") ;;\n"
	"\t\t*)\n"
	"\t\t\tword=${line%%$'\\t'*}\n"
	"\t\t\tcase $word in *[!A-Za-z0-9_.,:/@+=-]*) printf -v word %q \"$word\" ;; esac\n"
	"\t\t\tCOMPREPLY+=(\"$word\")\n"
	"\t\t\t;;\n"
	"\t\tesac\n"
	"\tdone < <(\"${COMP_WORDS[0]}\" complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
	"}\n"
	"complete -F _lethe lethe\n";

static const char zsh_script[] =
	"#compdef lethe\n"
	"# Completion of lethe in zsh, as `lethe completion zsh` writes it; a file _lethe in a folder of $fpath.\n"
	"_lethe() {\n"
	"\tlocal -a lines offered\n"
	"\tlocal line\n"
	"\tlines=(\"${(@f)$(\"${(Q)words[1]}\" complete -- \"${(@Q)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
	"\tcase $lines[1] in\n"
	"\t'') return 1 ;;\n"
	"\t:file) _files; return ;;\n"
	"\t:dir) _files -/; return ;;\n"
	"\tesac\n"
	"\tfor line in $lines; do\n"
	"\t\toffered+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
	"\tdone\n"
	"\t_describe -t words lethe offered\n"
	"}\n"
	"if [ \"$funcstack[1]\" = _lethe ]; then\n"
	"\t_lethe \"$@\"\n"
	"else\n"
	"\tcompdef _lethe lethe\n"
	"fi\n";

static const char fish_script[] =
	"# Completion of lethe in fish, as `lethe completion fish` writes it.\n"
	"function __lethe_complete\n"
	"\tset -l words (commandline -opc)\n"
	"\tset -l current (commandline -ct)\n"
	"\tset -l program $words[1]\n"
	"\tset -e words[1]\n"
	"\tset -l lines ($program complete -- $words \"$current\" 2>/dev/null)\n"
	"\tif test \"$lines[1]\" = :file\n"
	"\t\t__fish_complete_path \"$current\"\n"
	"\telse if test \"$lines[1]\" = :dir\n"
	"\t\t__fish_complete_directories \"$current\"\n"
	"\telse if test -n \"$lines[1]\"\n"
	"\t\tprintf '%s\\n' $lines\n"
	"\tend\n"
	"end\n"
	"complete -c lethe -f -a '(__lethe_complete)'\n";

static const struct {
	const char *shell, *script;
} scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};

static void
print_script(const char *shell, FILE *to)
{
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
		if (strcmp(scripts[i].shell, shell) == 0)
			fputs(scripts[i].script, to);
}

int
cli_completion(struct cli *cli, json_t *request)
{
	return cli_print_text(cli, print_script, json_string_value(json_object_get(request, "shell")));
}
