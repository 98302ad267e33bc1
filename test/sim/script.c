#include "script.h"

#include <string.h>

void
sim_script_init(struct sim_script *s)
{
#define X(key, most) s->key = -1;
	SIM_NUMBERS(X)
#undef X
	s->malformed = SIM_MALFORMED_no;
	s->usage = SIM_USAGE_plain;
	s->hang = SIM_HANG_no;
	s->tag[0] = s->error_type[0] = s->error_code[0] = 0;
}

static bool
same(struct span a, const char *word)
{
	return a.len == strlen(word) && memcmp(a.at, word, a.len) == 0;
}

static struct span
trimmed(struct span s)
{
	while (s.len && (*s.at == ' ' || *s.at == '\t'))
		s.at++, s.len--;
	while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

static bool
number(struct span value, int64_t most, int64_t *ret)
{
	int64_t n = 0;
	if (!value.len || value.len > 16)
		return false;
	for (size_t i = 0; i < value.len; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return false;
		n = n * 10 + (value.at[i] - '0');
	}
	if (n > most)
		return false;
	*ret = n;
	return true;
}

static bool
word(struct span value, char *ret, size_t cap)
{
	if (!value.len || value.len >= cap)
		return false;
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.at[i];
		if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\')
			return false;
	}
	memcpy(ret, value.at, value.len);
	ret[value.len] = 0;
	return true;
}

static bool
error_pair(struct span value, struct sim_script *s)
{
	const char *slash = memchr(value.at, '/', value.len);
	size_t type_len = slash ? (size_t)(slash - value.at) : value.len;
	if (!word((struct span){value.at, type_len}, s->error_type, sizeof s->error_type))
		return false;
	return !slash || word((struct span){slash + 1, value.len - type_len - 1}, s->error_code, sizeof s->error_code);
}

static bool
set_word(struct sim_script *s, struct span key, struct span value)
{
	if (same(key, "tag"))
		return word(value, s->tag, sizeof s->tag);
	if (same(key, "error"))
		return error_pair(value, s);
#define X(name) \
	if (same(key, "malformed") && same(value, #name)) \
		return s->malformed = SIM_MALFORMED_##name, true;
	SIM_MALFORMED(X)
#undef X
#define X(name) \
	if (same(key, "usage") && same(value, #name)) \
		return s->usage = SIM_USAGE_##name, true;
	SIM_USAGE(X)
#undef X
#define X(name) \
	if (same(key, "hang") && same(value, #name)) \
		return s->hang = SIM_HANG_##name, true;
	SIM_HANG(X)
#undef X
	return false;
}

static bool
set(struct sim_script *s, struct span key, struct span value)
{
	if (same(key, "100"))
		key = SPAN("interim");
#define X(name, most) \
	if (same(key, #name)) \
		return number(value, most, &s->name);
	SIM_NUMBERS(X)
#undef X
	return set_word(s, key, value);
}

bool
sim_script_parse(struct span header, struct sim_script *ret, struct span *ret_bad)
{
	sim_script_init(ret);
	while (header.len) {
		const char *comma = memchr(header.at, ',', header.len);
		struct span pair = {header.at, comma ? (size_t)(comma - header.at) : header.len};
		size_t used = pair.len + (comma != NULL);
		header = (struct span){header.at + used, header.len - used};
		pair = trimmed(pair);
		if (!pair.len)
			continue;
		const char *equals = memchr(pair.at, '=', pair.len);
		size_t key_len = equals ? (size_t)(equals - pair.at) : pair.len;
		struct span value = equals ? (struct span){equals + 1, pair.len - key_len - 1} : SPAN("1");
		if (!set(ret, trimmed((struct span){pair.at, key_len}), trimmed(value))) {
			*ret_bad = pair;
			return false;
		}
	}
	return true;
}

uint64_t
sim_script_gap_ns(const struct sim_script *s)
{
	if (s->rate > 0)
		return 1000000000u / (uint64_t)s->rate;
	return s->gap_ms > 0 ? (uint64_t)s->gap_ms * 1000000u : 0;
}
