#include "dialer/address.h"

#include <arpa/inet.h>
#include <string.h>

struct range4 {
	uint32_t net;
	uint8_t bits;
};

struct range6 {
	uint8_t net[16];
	uint8_t bits;
};

#define NET(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

/* IANA's special-purpose registry, rows that are not globally reachable. */
static const struct range4 special4[] = {
	{NET(0, 0, 0, 0), 8},
	{NET(10, 0, 0, 0), 8},
	{NET(100, 64, 0, 0), 10},
	{NET(127, 0, 0, 0), 8},
	{NET(169, 254, 0, 0), 16},
	{NET(172, 16, 0, 0), 12},
	{NET(192, 0, 0, 0), 24},
	{NET(192, 0, 2, 0), 24},
	{NET(192, 88, 99, 0), 24},
	{NET(192, 168, 0, 0), 16},
	{NET(198, 18, 0, 0), 15},
	{NET(198, 51, 100, 0), 24},
	{NET(203, 0, 113, 0), 24},
	{NET(224, 0, 0, 0), 3}, /* multicast, reserved, broadcast */
};

/*
 * Inside 2000::/3, which is all that is allowed at all; 64:ff9b::/96 and 6to4 carry an IPv4 address and are
 * judged by it.
 */
static const struct range6 special6[] = {
	{{0x20, 0x01, 0x00, 0x00}, 32}, /* Teredo */
	{{0x20, 0x01, 0x00, 0x02}, 48}, /* benchmarking */
	{{0x20, 0x01, 0x00, 0x10}, 28}, /* ORCHID */
	{{0x20, 0x01, 0x00, 0x20}, 28}, /* ORCHIDv2 */
	{{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
	{{0x3f, 0xff}, 20}, /* documentation */
};

bool
address_literal(const char *host, uint16_t port, struct address *ret)
{
	struct address a = {0};
	char inside[INET6_ADDRSTRLEN];
	size_t len = strlen(host);
	if (inet_pton(AF_INET, host, &a.v4.sin_addr) == 1) {
		a.len = sizeof a.v4;
		a.v4.sin_family = AF_INET;
		a.v4.sin_port = htons(port);
		*ret = a;
		return true;
	}
	if (len > 2 && len - 2 < sizeof inside && host[0] == '[' && host[len - 1] == ']') {
		memcpy(inside, host + 1, len - 2);
		inside[len - 2] = '\0';
		host = inside;
	}
	if (inet_pton(AF_INET6, host, &a.v6.sin6_addr) != 1)
		return false;
	a.len = sizeof a.v6;
	a.v6.sin6_family = AF_INET6;
	a.v6.sin6_port = htons(port);
	*ret = a;
	return true;
}

static bool
global4(uint32_t host_order)
{
	for (size_t i = 0; i < ARRAY_LEN(special4); i++)
		if ((host_order ^ special4[i].net) >> (32 - special4[i].bits) == 0)
			return false;
	return true;
}

static bool
inside6(const uint8_t *at, const struct range6 *r)
{
	size_t whole = r->bits / 8, rest = r->bits % 8;
	if (memcmp(at, r->net, whole) != 0)
		return false;
	return rest == 0 || (at[whole] ^ r->net[whole]) >> (8 - rest) == 0;
}

static uint32_t
embedded(const uint8_t *at)
{
	return NET(at[0], at[1], at[2], at[3]);
}

static bool
global6(const uint8_t *at)
{
	static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	if (memcmp(at, nat64, sizeof nat64) == 0)
		return global4(embedded(at + 12));
	if (at[0] == 0x20 && at[1] == 0x02)
		return global4(embedded(at + 2));
	if ((at[0] & 0xe0) != 0x20) /* also refuses ::ffff:0:0/96, fc00::/7, fe80::/10, ff00::/8, ::1 */
		return false;
	for (size_t i = 0; i < ARRAY_LEN(special6); i++)
		if (inside6(at, &special6[i]))
			return false;
	return true;
}

bool
address_is_global(const struct address *a)
{
	if (a->any.sa_family == AF_INET)
		return global4(ntohl(a->v4.sin_addr.s_addr));
	return a->any.sa_family == AF_INET6 && global6(a->v6.sin6_addr.s6_addr);
}
