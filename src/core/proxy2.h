/*
 * The header that a proxy puts in front of a connection to say from whom it is: PROXY protocol, version 2 (HAProxy's proxy-protocol.txt, 2.2), parsed
 * strictly. Pure, any split; the caller reads no byte more than is wanted, so that what follows (TLS, HTTP) stays in the socket. Run by the edge.
 */
#ifndef CORE_PROXY2_H
#define CORE_PROXY2_H

#include "core/address.h"

enum {
	PROXY2_FIXED = 16, /* signature, version and command, family, length */
	PROXY2_KEPT = PROXY2_FIXED + 36, /* … and two addresses of IPv6 with their ports; what stands behind them is not looked at */
	PROXY2_BYTES_MAX = 4096, /* a longer header is refused */
};

struct proxy2 {
	uint32_t have;
	uint8_t head[PROXY2_KEPT];
};

enum proxy2_result { PROXY2_MORE,
	PROXY2_DONE,
	PROXY2_BAD };

void proxy2_init(struct proxy2 *p);
/* Bytes that certainly still belong to the header; 0: it is complete. */
uint32_t proxy2_wants(const struct proxy2 *p);
/* len ≤ proxy2_wants(). BAD as soon as it can be known; then nothing more may be fed. */
must_check enum proxy2_result proxy2_feed(struct proxy2 *p, const void *bytes, uint32_t len);
/*
 * After PROXY2_DONE. False: the connection is the proxy's own (LOCAL, its health check), or the proxy does not know or name an internet address.
 */
must_check bool proxy2_source(const struct proxy2 *p, struct address *ret);

#endif
