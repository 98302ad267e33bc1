/*
 * From whom a request comes that a trusted proxy passed on: X-Forwarded-For, Forwarded (RFC 7239) or CF-Connecting-IP. The client is the last
 * address in the list that is no proxy of ours: what stands before it, anybody may have written. Pure; run by the edge.
 */
#ifndef CORE_FORWARDED_H
#define CORE_FORWARDED_H

#include "core/address.h"

/* X(NAME, header field in lower case) */
#define FORWARDED_HEADERS(X) \
	X(X_FORWARDED_FOR, "x-forwarded-for") \
	X(FORWARDED, "forwarded") \
	X(CF_CONNECTING_IP, "cf-connecting-ip")

enum forwarded_header {
#define X(name, field) FORWARDED_BY_##name,
	FORWARDED_HEADERS(X)
#undef X
};

struct forwarded {
	const struct address_range *trusted; /* the caller's */
	uint32_t trusted_count;
	enum forwarded_header header;
	bool any, known;
	struct address client;
};

struct span forwarded_field(enum forwarded_header header);

void forwarded_init(struct forwarded *f, enum forwarded_header header, const struct address_range *trusted, uint32_t count);
/* Each field of that name, in the order of the message. */
void forwarded_feed(struct forwarded *f, struct span value);
/* False: nobody said, or what was said last is no address. */
must_check bool forwarded_finish(const struct forwarded *f, struct address *ret);

#endif
