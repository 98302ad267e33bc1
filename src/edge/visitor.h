/*
 * Clients' addresses, for limits and for nothing else: how many connections each has open, and how often it presented a wrong key or none. Of an address only a
 * hash is kept, under a key that this process draws at its start, and only while somebody is there or for some minutes afterwards. A struct visitor is
 * opaque and holds nothing that could be told: no event, ticket or log can name one. Edge only; numbers, no content.
 *
 * The table has a fixed size. Where it is full of others that matter, a visitor is not counted: a limit that fails must not shut out people.
 */
#ifndef EDGE_VISITOR_H
#define EDGE_VISITOR_H

#include "core/address.h"

struct visitors;
struct visitor;

enum {
	VISITOR_FORGET_MS = 600000, /* without a connection and without a wrong key */
	VISITOR_KEYS = 4, /* that have worked from an address */
};

struct visitors_limits {
	uint32_t connections; /* of one address; 0: any */
	uint32_t bad_keys; /* a minute; 0: any */
};

/* Before the lock-down. connections: that the process can have at all. NULL: no memory. */
must_check struct visitors *visitors_open(uint32_t connections, const struct visitors_limits *limits);
void visitors_close(struct visitors **v);
/* About once a second: forgets. */
void visitors_tend(struct visitors *v, uint64_t now_ms);

/* Whose address it is. NULL: not counted. It stays valid while it has a connection, else until the turn ends. */
struct visitor *visitor_of(struct visitors *v, const struct address *a, uint64_t now_ms);

/* One more connection. False: it has its number of them. NULL is always let in; so in all that follows. */
must_check bool visitor_enter(const struct visitors *v, struct visitor *w);
void visitor_leave(struct visitor *w);

/*
 * May it go on with this key, which is good? Not while it has presented too many wrong ones, unless the key has worked from there before: who guesses
 * doesn't learn that one was right, and others behind the same address don't suffer for it.
 */
must_check bool visitor_may_use(const struct visitors *v, struct visitor *w, uint64_t key, uint64_t now_ms);
/* No key that it could present would be taken: it has presented too many wrong ones, or none, and no right one ever. Nothing need be reckoned to refuse it. */
must_check bool visitor_is_shut(const struct visitors *v, const struct visitor *w, uint64_t now_ms);
/* Until one more wrong key would be heard; at least 1. */
uint32_t visitor_wait_s(const struct visitors *v, const struct visitor *w, uint64_t now_ms);
/* A wrong key, or none. False: one too many. */
must_check bool visitor_may_fail(const struct visitors *v, struct visitor *w, uint64_t now_ms);

#endif
