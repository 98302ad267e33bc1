/*
 * The customer inside `lethe prove`: sends an exchange and lives through its end. Command line only; owns nothing.
 */
#ifndef PROVE_CLIENT_H
#define PROVE_CLIENT_H

#include "prove/exchange.h"

enum { PROVE_KEY_MAX = 128,
	PROVE_ID_MAX = 320,
	PROVE_BODY_LIMIT = 1 << 20 /* limits.body_bytes of the private instance */ };

struct client {
	uint16_t port;
	SSL_CTX *tls;
	char key[PROVE_KEY_MAX], poor_key[PROVE_KEY_MAX];
	bool h2; /* every other exchange that can goes over HTTP/2: over TLS by ALPN, in clear text at once */
	bool h2_alone; /* each that can */
	char file[PROVE_ID_MAX], request[PROVE_ID_MAX], batch_file[PROVE_ID_MAX], batch[PROVE_ID_MAX], messages_batch[PROVE_ID_MAX], response[PROVE_ID_MAX], background[PROVE_ID_MAX], upload[PROVE_ID_MAX],
		gemini_file[PROVE_ID_MAX]; /* for {file} and so on */
	const char *model; /* asked in place of the private instance's; NULL: that */
};

struct outcome {
	unsigned status; /* of HTTP; 0: none came */
	bool passed; /* the answer's mark came through */
	bool h2;
	bool silent; /* nobody answered, nobody hung up */
};

/* Connect and send. False: there is no connection. */
must_check bool client_begin(const struct client *c, struct exchange *x, uint32_t number, struct link *l);
/* Until it has ended; closes the link. */
struct outcome client_end(struct exchange *x, struct link *l);
/* What stands in the answer of an exchange behind these words, as an id. */
must_check bool client_learn_name(const struct client *c, struct exchange *x, uint32_t number, const char *before, char ret[PROVE_ID_MAX]);
/* Until the provider has the whole request. */
void client_wait_until_seen(const struct exchange *x);
/* Until the first marked words of the answer are here. */
must_check bool client_sees_answer(struct exchange *x, struct link *l);

/* The body of a GET, up to cap; 0: none came. */
size_t client_get(uint16_t port, SSL_CTX *tls, const char *path, char *ret, size_t cap);

#endif
