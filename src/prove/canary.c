#include "prove/canary.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

void
canaries_open(struct canaries *c)
{
	*c = (struct canaries){0};
}

void
canaries_close(struct canaries *c)
{
	free(c->all);
	*c = (struct canaries){0};
}

void
canary_new(struct canaries *c, const struct canary_origin *origin, char ret[CANARY_BYTES + 1])
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	if (c->count == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 1024;
		c->all = realloc(c->all, c->cap * sizeof *c->all);
		assert(c->all);
	}
	struct canary *made = &c->all[c->count++];
	for (int i = 0; i < CANARY_BYTES; i++)
		made->text[i] = letters[randombytes_uniform(sizeof letters - 1)];
	made->text[CANARY_BYTES] = '\0';
	made->origin = *origin;
	memcpy(ret, made->text, CANARY_BYTES + 1);
}

static size_t
in_hex(const char *text, const char *digits, char *ret)
{
	for (int i = 0; i < CANARY_BYTES; i++) {
		ret[2 * i] = digits[(unsigned char)text[i] >> 4];
		ret[2 * i + 1] = digits[(unsigned char)text[i] & 15];
	}
	return 2 * CANARY_BYTES;
}

static size_t
escaped(const char *text, char *ret)
{
	static const char digits[] = "0123456789abcdef";
	for (int i = 0; i < CANARY_BYTES; i++) {
		memcpy(ret + 6 * i, "\\u00", 4);
		ret[6 * i + 4] = digits[(unsigned char)text[i] >> 4];
		ret[6 * i + 5] = digits[(unsigned char)text[i] & 15];
	}
	return 6 * CANARY_BYTES;
}

/* Behind so many other bytes: where in a group of three it begins decides its base64. The letters that it shares with its neighbours are left out. */
static size_t
in_base64(const char *text, size_t before, char *ret)
{
	unsigned char bytes[CANARY_BYTES + 2] = "..";
	char all[64];
	memcpy(bytes + before, text, CANARY_BYTES);
	sodium_bin2base64(all, sizeof all, bytes, before + CANARY_BYTES, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
	size_t from = before ? before + 1 : 0, len = strlen(all) - from - ((before + CANARY_BYTES) % 3 != 0);
	memcpy(ret, all + from, len);
	return len;
}

static size_t
in_utf16(const char *text, char *ret)
{
	for (int i = 0; i < CANARY_BYTES; i++) {
		ret[2 * i] = text[i];
		ret[2 * i + 1] = '\0';
	}
	return 2 * CANARY_BYTES;
}

static size_t
in_gzip(const char *text, char *ret)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)text, .avail_in = CANARY_BYTES, .next_out = (Bytef *)ret, .avail_out = CANARY_FORM_MAX};
	bool begun = deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
	assert(begun);
	int ended = deflate(&z, Z_FINISH);
	assert(ended == Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

size_t
canary_in_form(const char *text, enum canary_form form, char ret[CANARY_FORM_MAX])
{
	switch (form) {
	case CANARY_RAW:
		memcpy(ret, text, CANARY_BYTES);
		return CANARY_BYTES;
	case CANARY_ESCAPED:
		return escaped(text, ret);
	case CANARY_BASE64:
	case CANARY_BASE64_1:
	case CANARY_BASE64_2:
		return in_base64(text, (size_t)(form - CANARY_BASE64), ret);
	case CANARY_HEX:
		return in_hex(text, "0123456789abcdef", ret);
	case CANARY_HEX_UPPER:
		return in_hex(text, "0123456789ABCDEF", ret);
	case CANARY_UTF16:
		return in_utf16(text, ret);
	case CANARY_GZIP:
		return in_gzip(text, ret);
	case CANARY_FORM_COUNT:
		break;
	}
	return 0;
}

const char *
canary_form_word(enum canary_form form)
{
	static const char *const words[] = {
#define X(name, word) word,
		CANARY_FORMS(X)
#undef X
	};
	return words[form];
}
