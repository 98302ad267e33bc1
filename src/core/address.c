#include "core/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

static bool
is_v4(const struct address *a)
{
	return !memcmp(a->at, v4_prefix, sizeof v4_prefix);
}

static struct address
of_v4(const void *four)
{
	struct address a;
	memcpy(a.at, v4_prefix, sizeof v4_prefix);
	memcpy(a.at + sizeof v4_prefix, four, 4);
	return a;
}

bool
address_parse(struct span text, struct address *ret)
{
	char copy[INET6_ADDRSTRLEN] = "";
	uint8_t four[4];
	if (text.len == 0 || text.len >= sizeof copy || memchr(text.at, 0, text.len))
		return false;
	memcpy(copy, text.at, text.len);
	if (memchr(copy, ':', text.len))
		return inet_pton(AF_INET6, copy, ret->at) == 1;
	if (inet_pton(AF_INET, copy, four) != 1)
		return false;
	*ret = of_v4(four);
	return true;
}

/* One to three digits. */
static bool
small_number(struct span text, unsigned most, unsigned *ret)
{
	unsigned v = 0;
	if (text.len == 0 || text.len > 3 || (text.len > 1 && text.at[0] == '0'))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
		v = v * 10 + (unsigned)(text.at[i] - '0');
	}
	*ret = v;
	return v <= most;
}

/* All but the first `bits` become zero. */
static struct address
cut(const struct address *a, unsigned bits)
{
	struct address r = {{0}};
	memcpy(r.at, a->at, bits / 8);
	if (bits % 8)
		r.at[bits / 8] = (uint8_t)(a->at[bits / 8] & 0xff00 >> bits % 8);
	return r;
}

bool
address_range_parse(struct span text, struct address_range *ret)
{
	const char *slash = memchr(text.at, '/', text.len);
	struct span host = {text.at, slash ? (size_t)(slash - text.at) : text.len};
	struct address base;
	if (!address_parse(host, &base))
		return false;
	unsigned whole = is_v4(&base) && !memchr(host.at, ':', host.len) ? 32 : 128, bits = whole;
	if (slash && !small_number((struct span){slash + 1, text.len - host.len - 1}, whole, &bits))
		return false;
	bits += 128 - whole;
	struct address first = cut(&base, bits);
	if (memcmp(&first, &base, sizeof base) != 0)
		return false;
	*ret = (struct address_range){base, (uint8_t)bits};
	return true;
}

bool
address_of_peer(const struct sockaddr *from, struct address *ret)
{
	if (from->sa_family == AF_INET)
		*ret = of_v4(&((const struct sockaddr_in *)(const void *)from)->sin_addr);
	else if (from->sa_family == AF_INET6)
		memcpy(ret->at, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, sizeof ret->at);
	else
		return false;
	return true;
}

bool
address_in(const struct address *a, const struct address_range *range)
{
	struct address first = cut(a, range->bits);
	return !memcmp(&first, &range->base, sizeof first);
}

bool
address_in_any(const struct address *a, const struct address_range *ranges, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (address_in(a, &ranges[i]))
			return true;
	return false;
}

bool
address_is_loopback(const struct address *a)
{
	static const struct address v6 = {{[15] = 1}};
	return is_v4(a) ? a->at[12] == 127 : !memcmp(a, &v6, sizeof v6);
}

struct address
address_owner(const struct address *a)
{
	return cut(a, is_v4(a) ? 128 : 64);
}
