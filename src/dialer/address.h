/*
 * Socket addresses as the dialer needs them: literals, and what is reachable by the public. Dialer; pure.
 */
#ifndef DIALER_ADDRESS_H
#define DIALER_ADDRESS_H

#include "core/base.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct address {
	socklen_t len;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
};

/* "192.0.2.1", "2001:db8::1", "[2001:db8::1]". False: not a literal. */
must_check bool address_literal(const char *host, uint16_t port, struct address *ret);

/*
 * May a resolved name lead here? False for loopback, private, link-local, shared (RFC 6598), documentation,
 * multicast and reserved ranges, and for IPv6 forms that embed such an IPv4 address: a name that an attacker
 * controls must not reach the operator's own network.
 */
must_check bool address_is_global(const struct address *a);

#endif
