#include "core/forwarded.h"

#include <string.h>
#include <strings.h>

struct span
forwarded_field(enum forwarded_header header)
{
	static const struct span fields[] = {
#define X(name, field) SPAN_INIT(field),
		FORWARDED_HEADERS(X)
#undef X
	};
	return fields[header];
}

void
forwarded_init(struct forwarded *f, enum forwarded_header header, const struct address_range *trusted, uint32_t count)
{
	*f = (struct forwarded){.trusted = trusted, .trusted_count = count, .header = header};
}

static struct span
trimmed(struct span s)
{
	for (; s.len && (s.at[0] == ' ' || s.at[0] == '\t'); s.len--)
		s.at++;
	while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* What stands before the next `mark`, trimmed; *rest goes on behind it. False: there is nothing left. */
static bool
take_until(struct span *rest, char mark, struct span *ret)
{
	if (!rest->at)
		return false;
	const char *end = memchr(rest->at, mark, rest->len);
	size_t len = end ? (size_t)(end - rest->at) : rest->len;
	*ret = trimmed((struct span){rest->at, len});
	*rest = end ? (struct span){end + 1, rest->len - len - 1} : (struct span){NULL, 0};
	return true;
}

/* ":1234", or nothing. RFC 7239 6.2 also allows an obfuscated one. */
static bool
is_port(struct span s)
{
	if (s.len == 0)
		return true;
	if (s.len < 2 || s.at[0] != ':')
		return false;
	for (size_t i = 1; i < s.len; i++)
		if (!strchr("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-", s.at[i]) || s.at[i] == 0)
			return false;
	return true;
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80". */
static bool
node_address(struct span s, struct address *ret)
{
	const char *colon = memchr(s.at, ':', s.len);
	size_t len = s.len;
	if (s.len && s.at[0] == '[') {
		const char *end = memchr(s.at, ']', s.len);
		len = end ? (size_t)(end - s.at) : 0;
		if (!end || !is_port((struct span){end + 1, s.len - len - 1}))
			return false;
		return memchr(s.at, ':', len) && address_parse((struct span){s.at + 1, len - 1}, ret);
	}
	if (colon && !memchr(colon + 1, ':', s.len - (size_t)(colon + 1 - s.at))) {
		len = (size_t)(colon - s.at);
		if (!is_port((struct span){colon, s.len - len}))
			return false;
	}
	return address_parse((struct span){s.at, len}, ret);
}

/* The one pair "for=node" of an element; the node may be quoted. */
static bool
for_node(struct span element, struct span *ret)
{
	struct span pair;
	unsigned found = 0;
	while (take_until(&element, ';', &pair)) {
		if (pair.len < 4 || strncasecmp(pair.at, "for=", 4) != 0)
			continue;
		found++;
		*ret = (struct span){pair.at + 4, pair.len - 4};
	}
	if (found != 1)
		return false;
	if (ret->len >= 2 && ret->at[0] == '"' && ret->at[ret->len - 1] == '"')
		*ret = (struct span){ret->at + 1, ret->len - 2};
	return true;
}

/* The rightmost one counts that is no proxy of ours; when all are, the first of them. */
static void
hop(struct forwarded *f, struct span element)
{
	struct address a;
	bool known = (f->header != FORWARDED_BY_FORWARDED || for_node(element, &element)) && node_address(element, &a);
	bool ours = known && address_in_any(&a, f->trusted, f->trusted_count);
	if (ours && f->any)
		return;
	f->any = true;
	f->known = known;
	if (known)
		f->client = a;
}

/*
 * Commas part the elements, also within quotes: no address has one, and a quote that the client opened must not swallow what our proxy adds.
 */
void
forwarded_feed(struct forwarded *f, struct span value)
{
	struct span element;
	if (f->header == FORWARDED_BY_CF_CONNECTING_IP) { /* one address, set by the proxy alone: a second one is somebody else's */
		bool second = f->any;
		f->any = true;
		f->known = !second && node_address(trimmed(value), &f->client);
		return;
	}
	while (take_until(&value, ',', &element))
		if (element.len)
			hop(f, element);
}

bool
forwarded_finish(const struct forwarded *f, struct address *ret)
{
	if (!f->known)
		return false;
	*ret = f->client;
	return true;
}
