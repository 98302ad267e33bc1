/*
 * The command line: `lethe account create …` and the rest. Commands about accounts and money are sent to the
 * running server's control socket; when no server runs on the data directory, this process takes the lock and
 * is the ledger for the one command. Every command is a row of cli_commands.c, from which help, completion, the
 * man page and docs/reference/cli.md are made.
 */
#ifndef PROC_CLI_H
#define PROC_CLI_H

/* Exit statuses, the same for every command. X(NAME, number, what it says) */
#define CLI_EXITS(X) \
	X(OK, 0, "done, and nothing is wrong") \
	X(REFUSED, 1, "refused, or something that was looked at is wrong; the message says what and what to do") \
	X(USAGE, 2, "the command line was not understood; nothing was done") \
	X(UNREACHABLE, 3, "neither server nor ledger could be reached, or the answer was lost: ask again with the same --id")

enum cli_exit {
#define X(name, number, meaning) CLI_##name = number,
	CLI_EXITS(X)
#undef X
};

/* argv as main() has it. Returns the exit status. */
int cli_main(int argc, char **argv);

#endif
