/*
 * The command line: `lethe account create …` and the rest. Commands about accounts and money are sent to the
 * running server's control socket; when no server runs on the data directory, this process takes the lock and
 * is the ledger for the one command. Every command is a row of cli_commands.c, from which help and
 * docs/reference/cli.md are made.
 */
#ifndef PROC_CLI_H
#define PROC_CLI_H

/* Exit statuses, the same for every command. */
enum cli_exit {
	CLI_OK,
	CLI_REFUSED, /* understood and not done: the sentence says why */
	CLI_USAGE, /* not understood */
	CLI_UNREACHABLE, /* neither server nor ledger could be reached */
};

/* argv as main() has it. Returns the exit status. */
int cli_main(int argc, char **argv);

#endif
