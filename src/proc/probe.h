/*
 * One small request to a provider, as an edge would send it: the same TLS, the same trust, the same key header. Command line only; it waits, and bounds
 * how long.
 */
#ifndef PROC_PROBE_H
#define PROC_PROBE_H

#include "proc/config.h"

enum { PROBE_WORDS_MAX = 300,
	PROBE_TIMEOUT_MS = 20000 };

/* X(RESULT, word, what it means) */
#define PROBE_RESULTS(X) \
	X(OK, "ok", "the key is accepted") \
	X(NO_KEY, "no key", "the key can't be read") \
	X(UNREACHABLE, "unreachable", "no connection") \
	X(TLS, "no TLS", "the connection can't be trusted") \
	X(REFUSED, "refused", "the provider does not accept the key") \
	X(NO_CREDIT, "no credit", "the account has no money or quota left") \
	X(LOW, "low balance", "the account has less left than `low_balance`") \
	X(LIMITED, "limited", "too many requests at the moment; the key itself is accepted") \
	X(WRONG, "wrong", "an answer that this API does not give") \
	X(FAILED, "failed", "the provider has a problem of its own")

enum probe_result {
#define X(name, word, meaning) PROBE_##name,
	PROBE_RESULTS(X)
#undef X
};

struct probe {
	enum probe_result result;
	uint32_t status; /* of HTTP; 0: none came */
	uint32_t milliseconds;
	char tls[16]; /* "TLSv1.3", or empty */
	bool has_balance; /* the account's, as the provider tells it; not by every one */
	int64_t balance_nano; /* in that currency */
	char currency[4];
	char words[PROBE_WORDS_MAX]; /* what is wrong and what to do; never what the provider said */
};

const char *probe_word(enum probe_result r);

/*
 * Ask provider p with its key k. model: NULL asks for the list of models, which is free; else for one token of an answer by that model. trust: the PEM
 * text of whom to trust (https). Within 20 seconds.
 */
void probe_provider(const struct config *c, uint32_t p, uint32_t k, const char *model, struct span trust, struct probe *ret);

/* The same key's account: what it has left, where the provider tells it; called when the key is accepted. Less than `low_balance` is PROBE_LOW. */
void probe_balance(const struct config *c, uint32_t p, uint32_t k, struct span trust, struct probe *ret);

/* ---- probe_balance.c, for probe.c ---- */

/* What such a provider answers. False: it is something else. */
must_check bool probe_balance_read(enum balance_wire wire, struct span body, struct probe *ret);

#endif
