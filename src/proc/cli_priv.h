/* Between the parts of the command line. */
#ifndef PROC_CLI_PRIV_H
#define PROC_CLI_PRIV_H

#include "core/base.h"
#include "proc/cli.h"

#include <jansson.h>
#include <stdio.h>

enum { CLI_ARGS_MAX = 16 };

/*
 * What a value may be. "a|b": one of these; "a,b": some of these with commas between; CLI_FILE and the others: what
 * the shell completes it with.
 */
#define CLI_FILE "<file>"
#define CLI_DIR "<dir>"
#define CLI_ACCOUNT "<account>"
#define CLI_KEY "<key>"
#define CLI_MODEL "<model>"
#define CLI_COMMAND "<command>"

/* One argument of a command. Its value becomes a member of the request. */
struct cli_arg {
	const char *name; /* "ACCOUNT": by position; "--reason": an option */
	const char *value; /* what an option takes; NULL: nothing, the member is true */
	const char *member;
	bool required, number;
	const char *meaning;
	const char *words; /* see above; NULL: any text */
	bool many; /* may be given several times (the last by position takes what is left): a list; "-" stays "-" */
};

enum cli_color { CLI_COLOR_AUTO,
	CLI_COLOR_ALWAYS,
	CLI_COLOR_NEVER };

/* Where a server that was installed as a package keeps its data. */
#define CLI_DATA_HERE "./data"
#define CLI_DATA_INSTALLED "/var/lib/lethe"

struct cli {
	const struct cli_command *command;
	const char *data_dir;
	bool json, csv;
	enum cli_color color;
};

struct cli_command {
	const char *name; /* "account create" */
	const char *op; /* of the control socket; NULL: done here */
	int (*run)(struct cli *cli, json_t *request); /* when op is NULL, or in place of sending it */
	const char *summary;
	const char *words; /* what help says besides */
	const char *examples; /* lines */
	struct cli_arg args[CLI_ARGS_MAX];
	/*
	 * Of a list; what an answer has besides is not shown in tables. "tokens.cached?": shown only when a row has other
	 * than 0.
	 */
	const char *columns;
	const char *empty; /* instead of a list without rows */
	void (*show)(const struct cli *cli, const json_t *answer); /* instead of a table */
	const char *csv; /* columns of --csv, behind those of the answer's `group` */
	bool uses_data; /* reads the data directory without an op */
	bool raw; /* words behind the name are not read as options: member `words` */
	bool hidden; /* not in the overview */
};

extern const struct cli_command cli_commands[];
extern const size_t cli_command_count;
/* The options of every command. */
extern const struct cli_arg cli_common[];
extern const size_t cli_common_count;

/* ---- cli_args.c ---- */

/*
 * Find the command and fill cli and *ret (the request, the caller's). CLI_OK, or CLI_USAGE after saying why;
 * *ret_help: show its help instead.
 */
must_check int cli_parse(int argc, char **argv, struct cli *cli, json_t **ret, bool *ret_help);
size_t cli_arg_count(const struct cli_command *command);
bool cli_by_position(const struct cli_arg *arg);
/* The option of a command, or one of the common ones; NULL: none. */
const struct cli_arg *cli_find_option(const struct cli_command *command, const char *name, size_t len);
const struct cli_arg *cli_nth_by_position(const struct cli_command *command, size_t n);
/* The command that these words name, second may be NULL. NULL: none. */
const struct cli_command *cli_find_command(const char *first, const char *second, int *ret_words);
bool cli_takes(const struct cli_command *command, const struct cli_arg *common);
/* The next of a text's words, cut at '|' or ','; false at its end. */
must_check bool cli_next_word(const char **at, char *out, size_t cap);

/* ---- cli_help.c ---- */

void cli_help_all(FILE *to);
/* A command, or all whose names begin with the word. CLI_USAGE, said: there is none. */
must_check int cli_help(const struct cli *cli, const char *name);
void cli_synopsis(const struct cli_command *command, FILE *to);
/* "--by WHAT" */
void cli_arg_text(const struct cli_arg *arg, char *out, size_t cap);

struct cli_exit_row {
	int number;
	const char *meaning;
};
extern const struct cli_exit_row cli_exits[];
extern const size_t cli_exit_count;

/* ---- cli_man.c ---- */

/* lethe(1), from the table of commands. */
void cli_man(const char *what, FILE *to);

/* ---- cli_ask.c ---- */

/* Send to the server, or do it as the ledger. NULL: neither could be reached, said on standard error. */
must_check json_t *cli_ask(const struct cli *cli, const json_t *request);
/* The command by its op, and its answer shown. Returns the exit status. (cli.c) */
int cli_run_op(struct cli *cli, json_t *request);
/* Root becomes the owner of the data directory, whose descriptor it is. False: it can't, said. */
must_check bool cli_become_owner(const struct cli *cli, int dir);
/* An answer as the command shows it, or what it refuses. Returns the exit status. (cli.c) */
int cli_show_answer(const struct cli *cli, const json_t *answer);
/* Of a server that runs, soon and in silence; NULL: none answers. errno says why it could not be reached, or is 0. */
must_check json_t *cli_ask_quietly(const struct cli *cli, const json_t *request);

/* ---- cli_paint.c ---- */

enum cli_paint { CLI_PLAIN,
	CLI_BOLD,
	CLI_GOOD,
	CLI_DOUBTFUL,
	CLI_BAD };

/* What begins and ends a colour, or "" where there are none: no terminal, NO_COLOR, --color=never. */
const char *cli_on(const struct cli *cli, FILE *to, enum cli_paint paint);
const char *cli_off(const struct cli *cli, FILE *to, enum cli_paint paint);
/* By what a word says: active, revoked, ok, bad. */
enum cli_paint cli_paint_of(const char *word);

/* ---- cli_cell.c: values as people read them ---- */

enum { CLI_CELL_MAX = 512 };
void cli_cell(const json_t *value, char *out, size_t cap);
/* An amount as the ledger writes it: digits, a point, nine or six digits. */
bool cli_is_amount(const char *text);
/* Characters, not bytes. */
int cli_width(const char *text);
/* "tokens.input": a member of a member. */
const json_t *cli_member(const json_t *row, const char *path);

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
/* Of what this process has done itself; takes the answer. Returns CLI_OK. */
int cli_show_done(const struct cli *cli, json_t *answer);
/* Its list by RFC 4180. */
void cli_show_csv(const struct cli *cli, const json_t *answer);
/* An answer's own members and those of its members: of one thing, whatever lists it has. */
void cli_show_members(const struct cli *cli, const json_t *answer);
/* Rows as a table with these columns. */
void cli_show_table(const struct cli *cli, const json_t *rows, const char *columns);

/* ---- cli_complete.c ---- */

int cli_complete(struct cli *cli, json_t *request);
int cli_completion(struct cli *cli, json_t *request);

/* ---- cli_limits.c ---- */

void cli_show_account(const struct cli *cli, const json_t *answer);
void cli_show_key(const struct cli *cli, const json_t *answer);

/* ---- cli_books.c ---- */

void cli_show_books(const struct cli *cli, const json_t *answer);

/* ---- cli_price.c ---- */

int cli_price_show(struct cli *cli, json_t *request);
void cli_show_price(const struct cli *cli, const json_t *answer);

/* ---- cli_byok.c ---- */

int cli_byok_add(struct cli *cli, json_t *request);

/* ---- cli_provider.c ---- */

struct config_provider;
struct tls_files;
int cli_provider_check(struct cli *cli, json_t *request);
/* Whom to trust with that provider: a list of those that were read. */
struct span cli_provider_trust(const struct tls_files *f, const struct config_provider *p);

/* ---- cli_doctor.c ---- */

int cli_doctor(struct cli *cli, json_t *request);

/* ---- cli_import.c ---- */

int cli_catalogue_import(struct cli *cli, json_t *request);

/* ---- cli_prove.c ---- */

int cli_prove(struct cli *cli, json_t *request);

/* ---- cli_backup.c ---- */

int cli_backup(struct cli *cli, json_t *request);
int cli_restore(struct cli *cli, json_t *request);

/* ---- cli_store.c ---- */

int cli_store_move(struct cli *cli, json_t *request);

/* ---- cli_reconcile.c ---- */

int cli_reconcile_import(struct cli *cli, json_t *request);

/* ---- cli_receipt.c ---- */

int cli_receipt_verify(struct cli *cli, json_t *request);
int cli_receipt_consistency(struct cli *cli, json_t *request);

/* ---- cli_top.c ---- */

int cli_top(struct cli *cli, json_t *request);

/* ---- cli_local.c: commands that need no ledger ---- */

struct catalogue;
struct config;
struct problems;

/* Configuration and catalogue of a file, the caller's. False: problems says why. */
must_check bool cli_read_config(const char *file, struct problems *problems, struct config **ret_config, struct catalogue **ret_catalogue);
/* A file that can't be used: all that is wrong with it. */
int cli_refuse_config(const struct cli *cli, const struct problems *p);
json_t *cli_problems_json(const struct problems *p);

int cli_serve(struct cli *cli, json_t *request);
int cli_reload(struct cli *cli, json_t *request);
int cli_upgrade(struct cli *cli, json_t *request);
int cli_config_check(struct cli *cli, json_t *request);
int cli_config_print(struct cli *cli, json_t *request);
int cli_catalogue_check(struct cli *cli, json_t *request);
int cli_catalogue_lint(struct cli *cli, json_t *request);
int cli_config_reference(struct cli *cli, json_t *request);
int cli_metrics_reference(struct cli *cli, json_t *request);
int cli_events_reference(struct cli *cli, json_t *request);
int cli_version(struct cli *cli, json_t *request);
int cli_help_command(struct cli *cli, json_t *request);

#endif
