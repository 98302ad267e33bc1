/*
 * Seeds of the storm over several servers: ./dev sim --nodes N [--seed N [-v] | --seeds A..B]. Each is a process of its own, and one that finds something is told
 * with the command that repeats its order of steps. On PostgreSQL only, and alone there: the database is restarted.
 */
#include "ledger/node_storm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BROKEN_MOST = 10,
	TOLD_EVERY = 10, /* seeds */
	STEPS_MOST = 100000 };

static struct {
	uint64_t first, last, nodes, steps;
} options = {1, 4, STORM_NODES, 200};

static bool
read_number(const char *text, uint64_t least, uint64_t most, uint64_t *ret)
{
	char *end;
	uint64_t n = text != NULL ? strtoull(text, &end, 10) : 0;
	if (text == NULL || end == text || *end != '\0' || n < least || n > most)
		return false;
	*ret = n;
	return true;
}

static bool
read_range(const char *text)
{
	char *end;
	if (text == NULL)
		return false;
	options.first = strtoull(text, &end, 10);
	return end != text && strncmp(end, "..", 2) == 0 && read_number(end + 2, options.first, UINT64_MAX - 1, &options.last);
}

static bool
read_option(const char *name, const char *text)
{
	if (strcmp(name, "--seeds") == 0)
		return read_range(text);
	if (strcmp(name, "--nodes") == 0)
		return read_number(text, 2, STORM_NODES, &options.nodes);
	if (strcmp(name, "--steps") == 0)
		return read_number(text, 1, STEPS_MOST, &options.steps);
	if (strcmp(name, "--seed") != 0 || !read_number(text, 0, UINT64_MAX - 1, &options.first))
		return false;
	options.last = options.first;
	return true;
}

static bool
read_options(char **at)
{
	for (; *at != NULL; at++) {
		if (strcmp(*at, "-v") == 0) {
			storm.verbose = true;
			continue;
		}
		if (!read_option(at[0], at[1]))
			return false;
		at++;
	}
	return true;
}

static int
usage(void)
{
	fprintf(stderr,
		"usage: --nodes N [--seed N [-v] | --seeds A..B] [--steps N]\n"
		"  --nodes N     so many servers on one PostgreSQL (2 to %d)\n"
		"  --seed N      one storm; -v tells all that happens in it\n"
		"  --seeds A..B  each of these (%llu..%llu)\n"
		"  --steps N     so many steps each (%llu), before all comes to rest\n",
		STORM_NODES, (unsigned long long)options.first, (unsigned long long)options.last, (unsigned long long)options.steps);
	return 2;
}

static bool
is_good(uint64_t seed)
{
	int status;
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		storm_run(seed, (unsigned)options.nodes, (unsigned)options.steps);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (WIFSIGNALED(status))
		fprintf(stderr, "seed %llu: ended by signal %d\n", (unsigned long long)seed, WTERMSIG(status));
	fprintf(stderr, "seed %llu is broken; the same steps again: ./dev sim --nodes %llu --seed %llu --steps %llu -v\n", (unsigned long long)seed, (unsigned long long)options.nodes, (unsigned long long)seed,
		(unsigned long long)options.steps);
	return false;
}

int
main(int argc, char **argv)
{
	unsigned broken = 0;
	uint64_t seed;
	(void)argc;
	if (!world_on_postgres())
		return 77;
	if (!read_options(argv + 1))
		return usage();
	setenv("CMOCKA_TEST_ABORT", "1", 1); /* there is no test to go back to, and what is wrong is to be said */
	for (seed = options.first; seed <= options.last && broken < BROKEN_MOST; seed++) {
		broken += !is_good(seed);
		if ((seed - options.first + 1) % TOLD_EVERY == 0)
			fprintf(stderr, "%llu of %llu seeds\n", (unsigned long long)(seed - options.first + 1), (unsigned long long)(options.last - options.first + 1));
	}
	printf("%llu seeds, %u broken\n", (unsigned long long)(seed - options.first), broken);
	return broken != 0;
}
