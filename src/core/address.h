/*
 * Internet addresses of peers, for limits and trust and nothing else. There is deliberately no way back to text: what can't be written down
 * can't be logged (tool/symbols.sh keeps it so). Pure; any process; owns nothing.
 */
#ifndef CORE_ADDRESS_H
#define CORE_ADDRESS_H

#include "core/base.h"

struct sockaddr;

/* IPv6; IPv4 as ::ffff:a.b.c.d (RFC 4291 2.5.5.2). A struct of bytes, so that it fits no number of an event. */
struct address {
	uint8_t at[16];
};

/* The first `bits` of base, the rest of which is zero. */
struct address_range {
	struct address base;
	uint8_t bits;
};

/* Numeric, without brackets, port and zone. False: *ret untouched. */
must_check bool address_parse(struct span text, struct address *ret);
/* "10.0.0.0/8", "2001:db8::/32", or one address. Bits beyond the length must be zero. */
must_check bool address_range_parse(struct span text, struct address_range *ret);
/* False: of another family. */
must_check bool address_of_peer(const struct sockaddr *from, struct address *ret);

bool address_in(const struct address *a, const struct address_range *range);
bool address_in_any(const struct address *a, const struct address_range *ranges, uint32_t count);
bool address_is_loopback(const struct address *a);
/* Who counts as one: an IPv4 address; of IPv6 the /64, which one customer has whole. The rest becomes zero. */
struct address address_owner(const struct address *a);

#endif
