/*
 * TLS 1.2 and 1.3 (RFC 5246, 8446) by OpenSSL on sockets that never block. Run by the edge, and by the command line and the test tools. One thread.
 *
 * A connection (struct tls) reads its socket itself. What it wants to write is collected in one place for the whole process, the wire: after each
 * call that may write, the caller takes tls_wire(), sends it or keeps it, and says tls_wire_taken(). So no call waits for room, no record is cut,
 * and all that one turn has to say goes out in one system call.
 *
 * Contexts are counted: a connection keeps its own alive. After tls_memory_in() all memory of OpenSSL lies in the vault.
 */
#ifndef CORE_TLS_H
#define CORE_TLS_H

#include "core/base.h"

#include <sys/uio.h>

struct tls;
struct tls_server;
struct tls_client;
struct tls_sessions;
struct vault;

enum {
	TLS_WRITE_MAX = 64 << 10, /* plain bytes that one tls_write() takes */
	TLS_IDENTITIES_MAX = 64,
	TLS_SESSIONS = 16, /* kept for resumption, by who owns a struct tls_sessions */
	TLS_TICKET_KEYS = 3, /* the one that seals, and two that still open */
	TLS_WHY_MAX = 200,
};

enum tls_result {
	TLS_OK,
	TLS_AGAIN, /* nothing now: wait until the socket is readable, unless tls_has_more() */
	TLS_CLOSED, /* the peer said close_notify: all that it sent has been read */
	TLS_CUT, /* the connection ended without it: what came may not be all (RFC 8446 6.1) */
	TLS_FAILED, /* tls_flaw() says in which way */
};

/* Why a handshake or a record was not accepted. X(NAME, meaning) */
#define TLS_FLAWS(X) \
	X(NONE, "none") \
	X(SYSTEM, "the socket broke, or memory ran out") \
	X(PROTOCOL, "not valid TLS, or nothing in common") \
	X(PLAIN_HTTP, "HTTP in clear text where TLS was expected") \
	X(CERTIFICATE, "the peer's certificate is not trusted, not valid now, or not this host's") \
	X(REFUSED, "the peer ended the handshake with an alert")

enum tls_flaw {
#define X(name, meaning) TLS_FLAW_##name,
	TLS_FLAWS(X)
#undef X
};

/*
 * From now on OpenSSL takes its memory from this vault and wipes what it gives back. Before anything else of OpenSSL, and before the lock-down.
 * False: too late, OpenSSL has memory already.
 */
must_check bool tls_memory_in(struct vault *v);

/* ---- servers ---- */

struct tls_identity {
	struct span certificate_pem; /* the certificate, then those between it and the root */
	struct span key_pem; /* without passphrase; not looked at when a signer has it */
};

enum tls_ask { TLS_ASK_NOT,
	TLS_ASK_OPTIONAL,
	TLS_ASK_REQUIRED };

struct tls_ticket_key {
	uint8_t name[16], cipher[32], mac[32];
};

/* Newest first. The owner changes it in place, between turns. RFC 5077 4. */
struct tls_ticket_keys {
	uint32_t count; /* 0: no tickets */
	struct tls_ticket_key key[TLS_TICKET_KEYS];
};

struct tls_signer;

struct tls_server_options {
	const struct tls_signer *signer; /* has the keys (tls_sign.h); NULL: they are here */
	bool tls13_only;
	enum tls_ask ask; /* for a certificate of the client */
	struct span client_ca_pem; /* who may have signed it */
	bool h2; /* HTTP/2 may be chosen (ALPN, RFC 7301) */
	const struct tls_ticket_keys *tickets; /* outlives the server; NULL: none */
};

/*
 * Identities by SNI: each stands for the DNS names of its certificate (RFC 6066 3, RFC 6125 6.4.3); the first also for everything else. Two for
 * exactly the same names with keys of different kinds (ECDSA and RSA) are offered together. NULL: ret_why says which and why.
 */
must_check struct tls_server *tls_server_create(
	const struct tls_identity *identities, uint32_t count, const struct tls_server_options *options, char ret_why[TLS_WHY_MAX]);
void tls_server_unref(struct tls_server **s);

/* When the first certificate of a PEM text ends, in seconds since 1970. False: there is none. */
must_check bool tls_certificate_ends(struct span pem, int64_t *ret_s);

/* ---- clients ---- */

/*
 * The library looks for files at its first use: who creates what it has to after its lock-down calls this before. False: not enough
 * memory, or our bug.
 */
must_check bool tls_prepare(void);

/* Trusts what is in ca_pem, and checks host names against it. NULL: ret_why. */
must_check struct tls_client *tls_client_create(struct span ca_pem, char ret_why[TLS_WHY_MAX]);
void tls_client_unref(struct tls_client **c);

/* Sessions of one peer. It must outlive the connections that were made with it. */
must_check struct tls_sessions *tls_sessions_create(void);
void tls_sessions_destroy(struct tls_sessions **s);

/* ---- connections ---- */

/* fd stays the caller's. NULL: no memory. */
must_check struct tls *tls_accept(struct tls_server *s, int fd);
/* host: a name or a numeric address; it must stand in the certificate. sessions may be NULL. */
must_check struct tls *tls_connect(struct tls_client *c, const char *host, struct tls_sessions *sessions, int fd);
/* Before its handshake: HTTP/2 is offered first. */
void tls_offer_h2(struct tls *t);
/* Takes NULL. The session stays resumable. */
void tls_free(struct tls **t);

/* One step further; TLS_OK: it is done. Also needed after TLS_OK of nobody: reading and writing go on only then. */
must_check enum tls_result tls_handshake(struct tls *t);
bool tls_is_ready(const struct tls *t); /* the handshake is done */
bool tls_is_h2(const struct tls *t); /* HTTP/2 was chosen */
bool tls_was_resumed(const struct tls *t);
const char *tls_version(const struct tls *t); /* "TLSv1.3" */

/*
 * Fill at[0..cap) with as much as there is. TLS_OK: *ret_len > 0. TLS_AGAIN: the socket is empty. Others: the end, and *ret_len is 0; what came
 * before it has been returned by an earlier call. A peer that updates its key more than 32 times in a row is TLS_FAILED.
 */
must_check enum tls_result tls_read(struct tls *t, char *at, size_t cap, size_t *ret_len);
/* After TLS_OK: the socket and what was read of it are used up, as far as can be known without asking the kernel. */
bool tls_is_drained(const struct tls *t);
/* After TLS_AGAIN: the socket was not read empty, so that one peer can't hold up all others. Call again in the next turn. */
bool tls_has_more(const struct tls *t);
bool tls_is_ended(const struct tls *t); /* the socket has nothing more and never will */
/* Nothing has come that would be read: takes in what only concerns TLS itself (tickets, key updates). */
must_check bool tls_is_quiet(struct tls *t);

/* Seal up to TLS_WRITE_MAX bytes of the parts into the wire. The wire must be empty. TLS_OK or TLS_FAILED. */
must_check enum tls_result tls_write(struct tls *t, const struct iovec *parts, int count, size_t *ret_taken);
/* Say close_notify, into the wire. */
void tls_end(struct tls *t);

struct span tls_wire(void);
void tls_wire_taken(void);

enum tls_flaw tls_flaw(const struct tls *t);
/* OpenSSL's or X.509's own number for it, for the operator's log: SSL_R_… or X509_V_ERR_…. */
uint32_t tls_flaw_number(const struct tls *t);

#endif
