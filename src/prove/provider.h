/*
 * The provider inside `lethe prove`: answers each exchange as its way says, with marked words. A thread for each connection. Command line only; the
 * exchanges are the caller's and outlive it.
 */
#ifndef PROVE_PROVIDER_H
#define PROVE_PROVIDER_H

#include "prove/exchange.h"

#include <pthread.h>

/* The number of the exchange, in a header that the configuration lets pass. */
#define PROVE_HEADER "x-prove"

struct provider {
	int fd;
	uint16_t port;
	SSL_CTX *tls;
	struct exchange *exchanges;
	uint32_t exchange_count;
	pthread_t acceptor;
	_Atomic bool stop;
	_Atomic uint32_t connections, requests;
};

must_check bool provider_open(struct provider *p, SSL_CTX *tls, struct exchange *exchanges, uint32_t exchange_count);
void provider_close(struct provider *p);

#endif
