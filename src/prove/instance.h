/*
 * A Lethe of its own for `lethe prove`: configuration, data and log in a folder that is removed again, ports that the kernel chooses, the
 * provider inside. Command line only; the caller owns it.
 */
#ifndef PROVE_INSTANCE_H
#define PROVE_INSTANCE_H

#include "prove/client.h"
#include "prove/places.h"
#include "prove/books.h"
#include "prove/provider.h"

#include <jansson.h>

enum { INSTANCE_PATH_MAX = 512,
	INSTANCE_WHY_MAX = 600,
	INSTANCE_EDGES = 2 };

struct instance_kind {
	const char *name, *words;
	bool tls; /* on both sides */
	bool readable; /* as a user who may lock no memory: the vault is ordinary memory, and root can search it */
	bool in_postgres; /* its books, where there is one */
};

struct instance {
	const struct instance_kind *kind;
	char folder[INSTANCE_PATH_MAX], data[INSTANCE_PATH_MAX + 16];
	pid_t pid;
	struct link_certificate certificate;
	struct books books; /* its books, when its pid is not 0 */
	struct provider provider;
	struct client client;
	uint16_t metrics_port;
	unsigned version; /* of its configuration */
	char why[INSTANCE_WHY_MAX]; /* of what failed */
};

/*
 * Started, and answering; exchanges as for provider_open(). postgres: folder of the programs of the PostgreSQL that has its books; NULL: SQLite has them. False:
 * why says; what was begun is ended.
 */
must_check bool instance_open(struct instance *i, const struct instance_kind *kind, const char *postgres, struct exchange *exchanges, uint32_t exchange_count);
/* A changed configuration: new edges take over. */
must_check bool instance_change(struct instance *i);
/* SIGTERM, and until it has ended, and behind it its database. The folder stays. */
void instance_stop(struct instance *i);
/* Removes the folder as well. */
void instance_close(struct instance *i);

/* A command of the command line, on this instance. NULL: it failed. */
json_t *instance_command(const struct instance *i, const char *const words[]);
/* A key of an account with that many dollars. */
must_check bool instance_new_key(struct instance *i, const char *account, const char *dollars, char ret[PROVE_KEY_MAX]);
/* How far files that the process writes may grow; by its own user, whose limits root may not always change. */
must_check bool instance_limit_files(const struct instance *i, pid_t pid, unsigned long bytes);
/* All of its processes are there and up. Waits; false: not in time. */
must_check bool instance_await(const struct instance *i);
/* No exchange runs, and nothing at the provider that Lethe would ask after. */
must_check bool instance_await_quiet(const struct instance *i);
/* The first process of that name ("lethe-edge") but the one given; 0: there is none. */
pid_t instance_process(const struct instance *i, const char *name, pid_t but);

#endif
