/*
 * The signer: has the private keys of the certificates and signs with them what a TLS handshake of an edge's wants, and nothing else. One for each
 * generation of edges, when that speaks TLS. It sees no content and can't open, connect or write anything. One thread, one loop; keys lie in a
 * vault of its own, as the edges' content does.
 */
#ifndef SIGNER_SIGNER_H
#define SIGNER_SIGNER_H

#include "core/vault.h"

enum {
	SIGNER_SEGMENT = 8 << 20, /* of its vault: room for all keys twice */
};

struct signer_process {
	enum vault_grade grade;
	int supervisor_fd, scribe_fd;
	const int *edge_fds; /* -1: not one of its own, or not there yet */
	uint32_t edge_count;
	/* Called after the keys have come, before the first question is read. */
	void (*lock_down)(void *arg);
	void *lock_down_arg;
};

/* Life of the process; returns its exit status. Owns the descriptors. */
must_check int signer_main(struct signer_process *p);

#endif
