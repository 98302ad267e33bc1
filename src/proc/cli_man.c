#include "proc/cli_priv.h"

#include "proc/roff.h"

static void
man_arg(const struct cli_arg *arg, FILE *to)
{
	char text[64];
	cli_arg_text(arg, text, sizeof text);
	fprintf(to, ".TP\n.B ");
	roff_lines(text, to);
	roff_text(arg->meaning, to);
}

static void
man_command(const struct cli_command *command, FILE *to)
{
	fprintf(to, ".SS %s\n.B ", command->name);
	char synopsis[2048];
	FILE *line = fmemopen(synopsis, sizeof synopsis, "w");
	if (line != NULL) {
		cli_synopsis(command, line);
		fclose(line);
		roff_lines(synopsis, to);
	}
	fprintf(to, ".PP\n");
	roff_text(command->summary, to);
	for (size_t i = 0; i < cli_arg_count(command); i++)
		man_arg(&command->args[i], to);
	if (command->words[0] != '\0') {
		fprintf(to, ".PP\n");
		roff_text(command->words, to);
	}
	fprintf(to, ".PP\n.EX\n");
	roff_lines(command->examples, to);
	fprintf(to, ".EE\n");
}

static void
man_head(FILE *to)
{
	roff_title("lethe", 1, LETHE_VERSION, "AI API gateway that keeps numbers and forgets words", to);
	fprintf(to, ".SH SYNOPSIS\n.B lethe\n.I COMMAND\n.RI [ OPTION ...]\n.SH DESCRIPTION\n");
	roff_text(
		"Lethe stands between the SDKs of customers and AI providers: it forwards each request, counts its tokens and takes the price from\n"
		"the customer's prepaid balance. One program is the server (`lethe serve`) and the tool that looks after it.\n",
		to);
	fprintf(to, ".PP\n");
	roff_text(
		"Commands about accounts, keys and money talk to the server that runs on the data directory; when none does, the command takes the\n"
		"ledger's lock and works on it directly.\n",
		to);
	fprintf(to, ".SH COMMON OPTIONS\nThey may stand before or behind the command.\n");
	for (size_t i = 0; i < cli_common_count; i++)
		man_arg(&cli_common[i], to);
}

static void
man_tail(FILE *to)
{
	fprintf(to, ".SH EXIT STATUS\n");
	for (size_t i = 0; i < cli_exit_count; i++) {
		fprintf(to, ".TP\n.B %d\n", cli_exits[i].number);
		roff_text(cli_exits[i].meaning, to);
	}
	fprintf(to, ".SH ENVIRONMENT\n");
	man_arg(&(struct cli_arg){.name = "LETHE_DATA",
				.meaning = "data directory, when `--data` is not given; without either " CLI_DATA_HERE
						   " or " CLI_DATA_INSTALLED},
		to);
	man_arg(&(struct cli_arg){.name = "LETHE_STORE", .meaning = "of `serve`, when `--store` is not given: PostgreSQL's address, which may have a password here"}, to);
	man_arg(
		&(struct cli_arg){.name = "NO_COLOR", .meaning = "set and not empty: no colours, unless --color=always"}, to);
	fprintf(to, ".SH FILES\n");
	man_arg(
		&(struct cli_arg){.name = "DIR/ledger.db", .meaning = "the ledger: accounts, keys, bookings, tickets"}, to);
	man_arg(&(struct cli_arg){.name = "DIR/store", .meaning = "one line, PostgreSQL's address, when the ledger is there"}, to);
	man_arg(
		&(struct cli_arg){.name = "DIR/control.sock", .meaning = "where the running server answers commands"}, to);
	man_arg(&(struct cli_arg){.name = "DIR/pepper",
				.meaning = "the secret by which API keys are hashed; belongs into backups, apart from the ledger"},
		to);
	fprintf(to, ".SH SEE ALSO\n.BR lethe.yaml (5)\n");
}

void
cli_man(const char *what, FILE *to)
{
	man_head(to);
	fprintf(to, ".SH COMMANDS\n");
	for (size_t i = 0; i < cli_command_count; i++)
		if (!cli_commands[i].hidden)
			man_command(&cli_commands[i], to);
	man_tail(to);
}
