#include "core/forwarded.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ELEMENTS_MAX = 4096 };

static const char *const ours[] = {"10.0.0.0/8", "2001:db8:ffff::/48"};

static const char *const names[] = {"x-forwarded-for", "forwarded", "cf-connecting-ip"};

/* ---- a second opinion, by other means: from the right, on copies ---- */

static char *
copy(const char *at, size_t len)
{
	char *s = malloc(len + 1);
	memcpy(s, at, len);
	s[len] = 0;
	return s;
}

static char *
strip(char *s)
{
	size_t len = strlen(s);
	while (len && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		s[--len] = 0;
	return s + strspn(s, " \t");
}

static bool
slow_port(const char *s)
{
	return *s == 0 || (*s == ':' && s[1] && strspn(s + 1, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._-") == strlen(s + 1));
}

static bool
slow_node(char *s, struct address *ret)
{
	char *close = strchr(s, ']'), *first = strchr(s, ':');
	if (*s == '[') {
		if (!close || !slow_port(close + 1))
			return false;
		*close = 0;
		return strchr(s, ':') && address_parse((struct span){s + 1, strlen(s + 1)}, ret);
	}
	if (first && first == strrchr(s, ':')) {
		if (!slow_port(first))
			return false;
		*first = 0;
	}
	return address_parse((struct span){s, strlen(s)}, ret);
}

static bool
slow_element(char *s, bool pairs, struct address *ret)
{
	char *found = NULL, *pair;
	if (!pairs)
		return slow_node(s, ret);
	while ((pair = strsep(&s, ";"))) {
		pair = strip(pair);
		if (strncasecmp(pair, "for=", 4) != 0)
			continue;
		if (found)
			return false;
		found = pair + 4;
	}
	if (!found)
		return false;
	size_t len = strlen(found);
	if (len >= 2 && found[0] == '"' && found[len - 1] == '"') {
		found[len - 1] = 0;
		found++;
	}
	return slow_node(found, ret);
}

static bool
slow_list(const char *at, size_t len, bool pairs, const struct address_range *trusted, struct address *ret)
{
	char *all = copy(at, len), *rest = all, *element[ELEMENTS_MAX], *one;
	size_t count = 0;
	bool known = false;
	while ((one = strsep(&rest, ",\n")))
		if (*(one = strip(one)))
			element[count++] = one;
	while (count) {
		known = slow_element(element[--count], pairs, ret);
		if (!known || !address_in_any(ret, trusted, ARRAY_LEN(ours)))
			break;
	}
	free(all);
	return known;
}

/* The first byte says which header; lines are fields. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct address_range trusted[ARRAY_LEN(ours)];
	struct address got, want;
	struct forwarded f;
	if (size < 1 || size > ELEMENTS_MAX || memchr(data + 1, 0, size - 1))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		assert(address_range_parse((struct span){ours[i], strlen(ours[i])}, &trusted[i]));
	enum forwarded_header header = data[0] % 3;
	assert(forwarded_field(header).len == strlen(names[header]) && !memcmp(forwarded_field(header).at, names[header], strlen(names[header])));
	char *text = copy((const char *)data + 1, size - 1);
	size_t len = size - 1, fields = 0;
	forwarded_init(&f, header, trusted, ARRAY_LEN(ours));
	for (size_t at = 0; at <= len;) {
		size_t n = strcspn(text + at, "\n");
		char *field = malloc(n ? n : 1);
		memcpy(field, text + at, n);
		forwarded_feed(&f, (struct span){field, n});
		free(field);
		fields++;
		at += n + 1;
	}
	bool known = forwarded_finish(&f, &got), expect;
	if (header == FORWARDED_BY_CF_CONNECTING_IP)
		expect = fields == 1 && slow_node(strip(text), &want);
	else
		expect = slow_list((const char *)data + 1, len, header == FORWARDED_BY_FORWARDED, trusted, &want);
	assert(known == expect);
	assert(!known || !memcmp(&got, &want, sizeof got));
	free(text);
	return 0;
}
