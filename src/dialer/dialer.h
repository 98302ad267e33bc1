/*
 * The dialer: resolves the names of the catalogue's providers, connects, and hands the connected socket to the
 * edge that asked. It never reads from or writes to such a socket. One thread, one loop; it may open sockets,
 * and that is all that it may.
 */
#ifndef DIALER_DIALER_H
#define DIALER_DIALER_H

#include "ticket/catalogue.h"

enum {
	DIALS_PER_EDGE =
		1024, /* under way or answered and not taken; beyond it the edge's requests wait in its socket */
	DIAL_STAGGER_MS = 250, /* RFC 8305's connection attempt delay */
	DIAL_TIMEOUT_MS_MAX = 120000,
	NAME_TTL_S_MIN = 5,
	NAME_TTL_S_MAX = 300,
	NAME_STALE_MS = 3600000, /* when the name servers are away: how long old addresses are still used */
};

struct dialer_process {
	const struct catalogue *catalogue;
	int supervisor_fd, scribe_fd;
	const int *edge_fds; /* -1: not one of its own, or not there yet */
	uint32_t edge_count;
	const char *collector; /* name of its host, which is the operator's choice and may be an inner one; NULL: none */
	uint16_t collector_port;
	const char *name_servers; /* "address:port,…" instead of the system's; NULL: the system's */
	void (*lock_down)(void *arg);
	void *lock_down_arg;
};

/* Life of the process; returns its exit status. Owns the descriptors. */
must_check int dialer_main(struct dialer_process *p);

#endif
