/* What opens was sealed, for that account, as that kind, and reads as it was; whatever else is given as an id opens nothing. */
#include "edge/seal.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t pepper[API_KEY_PEPPER_BYTES] = {1, 2, 3};

static void
open_anything(const uint8_t *data, size_t size)
{
	char text[512] = "file-";
	struct sealed s;
	size_t len = size < sizeof text - 5 ? size : sizeof text - 5;
	assert(!unseal(pepper, 1, OBJECT_FILE, (struct span){(const char *)data, size}, &s));
	memcpy(text + 5, data, len);
	assert(!unseal(pepper, 1, OBJECT_FILE, (struct span){text, len + 5}, &s));
	text[0] = 'f';
	memcpy(text + 1, data, len);
	assert(!unseal(pepper, 1, OBJECT_GEMINI_FILE, (struct span){text, len + 1}, &s));
	memcpy(text, "file-", 5);
	/* The same bytes as what base64 stands for. */
	if (size <= 150) {
		sodium_bin2base64(text + 5, sizeof text - 5, data, size, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
		assert(!unseal(pepper, 1, OBJECT_FILE, (struct span){text, strlen(text)}, &s));
	}
}

/* The first bytes say what is sealed and how it is changed then; the rest is the id. */
static void
seal_and_change(const uint8_t *data, size_t size)
{
	char text[SEAL_TEXT_MAX];
	struct sealed s = {.kind = (uint8_t)(OBJECT_FILE + data[0] % (OBJECT_KIND_COUNT - 1)), .provider = data[1], .ticket = data[2]}, back;
	uint64_t account = data[3];
	if (data[2] & 0x80) { /* what a file of requests asks for, or what a response is charged by */
		s.price = data[1];
		s.lines.model = 1u + data[3];
		s.lines.count = data[4];
		s.lines.input = data[5];
		s.lines.output = data[6];
	} else if (data[2] & 0x40) {
		s.price = data[1];
		s.target = 1u + data[3];
		s.input = data[4];
	}
	s.own = data[2] & 0x20;
	s.id_len = (uint8_t)(size - 8 < SEAL_ID_MAX ? size - 8 : SEAL_ID_MAX);
	memcpy(s.id, data + 8, s.id_len);
	if (!object_prefix((enum object_kind)s.kind).len) /* a number that no kind has */
		return;
	size_t len = seal(pepper, account, &s, text);
	assert(len <= sizeof text);
	if (!len)
		return;
	struct span prefix = object_prefix((enum object_kind)s.kind);
	assert(len > prefix.len && !memcmp(text, prefix.at, prefix.len));
	assert(unseal(pepper, account, (enum object_kind)s.kind, (struct span){text, len}, &back) && !memcmp(&s, &back, sizeof s));
	assert(!unseal(pepper, account + 1, (enum object_kind)s.kind, (struct span){text, len}, &back));
	for (int kind = OBJECT_FILE; kind < OBJECT_KIND_COUNT; kind++) {
		char other[SEAL_TEXT_MAX + 16];
		struct span begins = object_prefix((enum object_kind)kind);
		if (!begins.len)
			continue;
		memcpy(other, begins.at, begins.len);
		memcpy(other + begins.len, text + prefix.len, len - prefix.len);
		assert(unseal(pepper, account, (enum object_kind)kind, (struct span){other, begins.len + len - prefix.len}, &back) == (kind == s.kind));
	}
	size_t at = (size_t)(data[4] | data[5] << 8) % len;
	char was = text[at];
	text[at] = (char)data[6];
	assert(unseal(pepper, account, (enum object_kind)s.kind, (struct span){text, len}, &back) == (text[at] == was));
	text[at] = was;
	assert(data[7] >= len || !unseal(pepper, account, (enum object_kind)s.kind, (struct span){text, data[7]}, &back));
}

/* The same of places. */
static void
seal_a_place(const uint8_t *data, size_t size)
{
	char text[SEAL_TARGET_TEXT_MAX];
	struct sealed_target t = {.provider = data[1], .len = (uint16_t)(size - 8 < SEAL_TARGET_MAX ? size - 8 : SEAL_TARGET_MAX)}, back;
	assert(!unseal_target(pepper, 1, (struct span){(const char *)data, size}, &back));
	memcpy(t.at, data + 8, t.len);
	size_t len = seal_target(pepper, data[3], &t, text);
	assert(len < sizeof text);
	if (!len)
		return;
	assert(unseal_target(pepper, data[3], (struct span){text, len}, &back) && back.provider == t.provider && back.len == t.len && !memcmp(back.at, t.at, t.len));
	assert(!unseal_target(pepper, data[3] + 1u, (struct span){text, len}, &back));
	size_t at = (size_t)(data[4] | data[5] << 8) % len;
	char was = text[at];
	text[at] = (char)data[6];
	assert(unseal_target(pepper, data[3], (struct span){text, len}, &back) == (text[at] == was));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (sodium_init() < 0)
		return 0;
	open_anything(data, size);
	if (size >= 8) {
		seal_and_change(data, size);
		seal_a_place(data, size);
	}
	return 0;
}
