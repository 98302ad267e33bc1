/* Between the parts of the command line. */
#ifndef PROC_CLI_PRIV_H
#define PROC_CLI_PRIV_H

#include "core/base.h"
#include "proc/cli.h"

#include <jansson.h>
#include <stdio.h>

enum { CLI_ARGS_MAX = 8 };

/* One argument of a command. Its value becomes a member of the request. */
struct cli_arg {
	const char *name; /* "ACCOUNT": by position; "--reason": an option */
	const char *value; /* what an option takes; NULL: nothing, the member is true */
	const char *member;
	bool required, number;
	const char *meaning;
};

struct cli {
	const struct cli_command *command;
	const char *data_dir;
	bool json;
};

struct cli_command {
	const char *name; /* "account create" */
	const char *op; /* of the control socket; NULL: done here */
	int (*run)(struct cli *cli, json_t *request); /* when op is NULL */
	const char *summary;
	const char *words; /* what help says besides */
	const char *examples; /* lines */
	struct cli_arg args[CLI_ARGS_MAX];
	const char *columns; /* of a list, or members to show first; what an answer has besides is not shown in tables */
	const char *empty; /* instead of a list without rows */
};

extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;

/* ---- cli_args.c ---- */

/*
 * Find the command and fill cli and *ret (the request, the caller's). CLI_OK, or CLI_USAGE after saying why;
 * *ret_help: show its help instead.
 */
must_check int cli_parse(int argc, char **argv, struct cli *cli, json_t **ret, bool *ret_help);

/* ---- cli_help.c ---- */

void cli_help_all(FILE *to);
/* A command, or all whose names begin with the word. CLI_USAGE, said: there is none. */
must_check int cli_help(const struct cli *cli, const char *name);
void cli_synopsis(const struct cli_command *command, FILE *to);

/* ---- cli_ask.c ---- */

/* Send to the server, or do it as the ledger. NULL: neither could be reached, said on standard error. */
must_check json_t *cli_ask(const struct cli *cli, const json_t *request);

/* ---- cli_show.c ---- */

/*
 * Say what went wrong: a sentence on standard error, or an error object on standard output with --json. Returns
 * status.
 */
int cli_fail(const struct cli *cli, int status, const char *code, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* One JSON line on standard output. */
void cli_print_json(const json_t *value);
/* What `print` writes, as it is or as the member `text`. */
int cli_print_text(const struct cli *cli, void (*print)(const char *what, FILE *to), const char *what);
/* An answer as a table or a list of members. */
void cli_show(const struct cli *cli, const json_t *answer);

/* ---- cli_local.c: commands that need no ledger ---- */

int cli_serve(struct cli *cli, json_t *request);
int cli_config_check(struct cli *cli, json_t *request);
int cli_catalogue_check(struct cli *cli, json_t *request);
int cli_config_reference(struct cli *cli, json_t *request);
int cli_doctor(struct cli *cli, json_t *request);
int cli_version(struct cli *cli, json_t *request);
int cli_help_command(struct cli *cli, json_t *request);

#endif
