/*
 * What an edge is given for TLS: certificates of ours (their keys are the signer's), whom to trust, keys of session tickets. Edge only; all of it lies in the vault.
 */
#ifndef EDGE_IDENTITY_H
#define EDGE_IDENTITY_H

#include "core/pem_text.h"
#include "core/tls.h"
#include "edge/sign.h"
#include "ticket/messages.h"

struct edge;

enum { TRUSTS_MAX = 16,
	IDENTITY_PROVIDERS_MAX = 64 };

struct identity {
	struct tls_ticket_keys tickets;
	struct sign_line line;
	struct tls_server *server; /* NULL: no certificates */
	struct tls_client *trust[TRUSTS_MAX];
	struct tls_sessions *sessions[IDENTITY_PROVIDERS_MAX];
	/* Handed over, not yet in use. */
	struct pem_text certificate[TLS_IDENTITIES_MAX], pending_trust[TRUSTS_MAX], client_ca;
	bool short_of_memory; /* for a piece of it: nothing of it is used */
};

/* A piece of it has come. */
void identity_take(struct edge *e, const struct message_secret *m);
/* All has come: from now on new connections use it. False: it can't be used, or there was no memory for it, and what was in use stays. */
must_check bool identity_use(struct edge *e);
/* TLS with that provider on a connected socket. NULL: no memory, or nobody to trust. */
must_check struct tls *identity_connect(struct edge *e, uint32_t provider, int fd, bool http2);

#endif
