/*
 * A PostgreSQL of its own for the books of a private instance: in a folder of the instance, over a Unix socket in it, with the programs that the machine has.
 * Command line only; the caller owns it.
 */
#ifndef PROVE_BOOKS_H
#define PROVE_BOOKS_H

#include "core/base.h"

#include <sys/types.h>

enum { BOOKS_PATH_MAX = 600,
	BOOKS_WHY_MAX = 600 };

struct books {
	const char *programs; /* folder of initdb, postgres and psql */
	char folder[BOOKS_PATH_MAX]; /* "": there is none */
	char pages[BOOKS_PATH_MAX + 16], journal[BOOKS_PATH_MAX + 16]; /* heap; write-ahead log */
	uid_t user; /* never root: it refuses that */
	pid_t pid;
};

/* Are they there? False: why says which is not, and what to do. */
must_check bool books_can_be(const char *programs, char why[BOOKS_WHY_MAX]);
/* In a folder below this one, which user may enter. False: why says what to do; what was begun is ended. */
must_check bool books_open(struct books *g, const char *programs, const char *below, uid_t user, char why[BOOKS_WHY_MAX]);
/* As `lethe serve --store` wants it. */
void books_address(const struct books *g, char *ret, size_t cap);
/* Until what was said is done and on disk. */
must_check bool books_say(const struct books *g, const char *sql);
/* All is written to disk; the folder stays. Takes one that was never opened. */
void books_stop(struct books *g);

#endif
