/* What a leaf is hashed over. */
#include "ledger/ledger_priv.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* ---- shapes ---- */

static const struct named {
	const char *name;
	uint8_t bytes;
} head_fields[] = {
#define X(name, value) {#name, 32},
	RECEIPT_HASHES(X)
#undef X
#define X(name, value) {#name, 8},
		RECEIPT_NUMBERS(X)
#undef X
},
  ticket_fields[] = {
#define X(name, type, unit, meaning, promise) {#name, sizeof(type)},
	  TICKET_FIELDS(X)
#undef X
},
  price_fields[] = {
#define X(name, bytes, value) {#name, bytes},
	  RECEIPT_PRICE(X)
#undef X
},
  tool_fields[] = {
#define X(name, piece) {"nano_" #name, 8},
	  TOOL_KINDS(X)
#undef X
},
  token_fields[] = {
#define X(name, meaning, fallback) {"pico_" #name, 8},
	  TOKEN_KINDS(X)
#undef X
};

enum { HEAD_HASHES = 2,
	HEAD_NUMBERS = ARRAY_LEN(head_fields) - HEAD_HASHES };
_Static_assert(ARRAY_LEN(head_fields) + ARRAY_LEN(ticket_fields) <= RECEIPT_FIELDS_MAX &&
		ARRAY_LEN(price_fields) + ARRAY_LEN(tool_fields) + ARRAY_LEN(token_fields) <= RECEIPT_FIELDS_MAX,
	"room for all");

struct receipt_shape
receipt_shape_now(void)
{
	return (struct receipt_shape){ARRAY_LEN(ticket_fields), ARRAY_LEN(tool_fields), ARRAY_LEN(token_fields)};
}

int64_t
receipt_shape_number(struct receipt_shape s)
{
	return s.fields | s.tools << 8 | s.tokens << 16;
}

bool
receipt_shape_of(int64_t number, struct receipt_shape *ret)
{
	struct receipt_shape now = receipt_shape_now(), s = {(uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16)};
	if (number >> 24 != 0 || s.fields > now.fields || s.tools > now.tools || s.tokens > now.tokens)
		return false;
	*ret = s;
	return true;
}

static char *
name_all(char *at, const char *end, const struct named *fields, size_t count)
{
	for (size_t i = 0; i < count; i++)
		at += snprintf(at, (size_t)(end - at), "%s:%u\n", fields[i].name, fields[i].bytes);
	assert(at < end);
	return at;
}

static struct merkle_hash
row_shape(struct receipt_shape s)
{
	static struct merkle_hash known;
	static struct receipt_shape known_of;
	char text[32 * RECEIPT_FIELDS_MAX], *at = text;
	if (known_of.fields == s.fields && s.fields != 0)
		return known;
	at = name_all(at, text + sizeof(text), head_fields, ARRAY_LEN(head_fields));
	at = name_all(at, text + sizeof(text), ticket_fields, s.fields);
	known = merkle_sha256(text, (size_t)(at - text));
	known_of = s;
	return known;
}

static struct merkle_hash
price_shape(struct receipt_shape s)
{
	char text[32 * RECEIPT_FIELDS_MAX], *at = text;
	at = name_all(at, text + sizeof(text), price_fields, ARRAY_LEN(price_fields));
	at = name_all(at, text + sizeof(text), tool_fields, s.tools);
	at = name_all(at, text + sizeof(text), token_fields, s.tokens);
	return merkle_sha256(text, (size_t)(at - text));
}

/* ---- bytes ---- */

static uint8_t *
put_number(uint8_t *at, uint64_t v, unsigned bytes)
{
	v = __builtin_bswap64(v << (64 - 8 * bytes));
	memcpy(at, &v, bytes);
	return at + bytes;
}

static uint8_t *
put_hash(uint8_t *at, const struct merkle_hash *h)
{
	memcpy(at, h->at, MERKLE_BYTES);
	return at + MERKLE_BYTES;
}

enum { LEAF_MAX = 1 + MERKLE_BYTES + HEAD_HASHES * MERKLE_BYTES + 8 * (HEAD_NUMBERS + ARRAY_LEN(ticket_fields)),
	PRICE_MAX = MERKLE_BYTES + 8 * RECEIPT_FIELDS_MAX };

/* Fields of the first `count`: straight from the struct, as there are many tickets. */
static uint8_t *
put_facts(uint8_t *at, const struct ticket_facts *f, uint8_t count)
{
	uint8_t n = 0;
#define X(name, type, unit, meaning, promise) \
	if (n++ < count) \
		at = put_number(at, f->name, sizeof(type));
	TICKET_FIELDS(X)
#undef X
	return at;
}

struct merkle_hash
receipt_leaf(const struct receipt_row *r, struct receipt_shape s)
{
	uint8_t bytes[LEAF_MAX], *at = bytes + 1;
	const struct merkle_hash shape = row_shape(s);
	at = put_hash(at, &shape);
#define X(name, value) at = put_hash(at, &(value));
	RECEIPT_HASHES(X)
#undef X
#define X(name, value) at = put_number(at, value, 8);
	RECEIPT_NUMBERS(X)
#undef X
	at = put_facts(at, &r->ticket->facts, s.fields);
	return merkle_leaf(bytes, (size_t)(at - bytes));
}

struct merkle_hash
receipt_price(const struct price_row *p, struct receipt_shape s)
{
	struct receipt_field fields[RECEIPT_FIELDS_MAX];
	uint8_t bytes[PRICE_MAX], *at = bytes;
	const struct merkle_hash shape = price_shape(s);
	size_t count = receipt_price_fields(p, s, fields);
	at = put_hash(at, &shape);
	for (size_t i = 0; i < count; i++)
		at = put_number(at, fields[i].number, fields[i].bytes);
	return merkle_sha256(bytes, (size_t)(at - bytes));
}

/* ---- to be shown ---- */

static struct receipt_field
field(const struct named *n, uint64_t number)
{
	struct receipt_field f = {.bytes = n->bytes, .number = number};
	snprintf(f.name, sizeof(f.name), "%s", n->name);
	return f;
}

size_t
receipt_fields(const struct receipt_row *r, struct receipt_shape s, struct receipt_field ret[RECEIPT_FIELDS_MAX])
{
	const struct ticket_facts *f = &r->ticket->facts;
	size_t n = 0, k = 0;
#define X(name, value) \
	ret[n] = field(&head_fields[n], 0); \
	ret[n++].hash = (value);
	RECEIPT_HASHES(X)
#undef X
#define X(name, value) \
	ret[n] = field(&head_fields[n], value); \
	n++;
	RECEIPT_NUMBERS(X)
#undef X
#define X(name, type, unit, meaning, promise) \
	if (k < s.fields) \
		ret[n++] = field(&ticket_fields[k++], f->name);
	TICKET_FIELDS(X)
#undef X
	return n;
}

size_t
receipt_price_fields(const struct price_row *p, struct receipt_shape s, struct receipt_field ret[RECEIPT_FIELDS_MAX])
{
	size_t n = 0;
#define X(name, bytes, value) \
	ret[n] = field(&price_fields[n], value); \
	n++;
	RECEIPT_PRICE(X)
#undef X
	for (size_t k = 0; k < s.tools; k++)
		ret[n++] = field(&tool_fields[k], (uint64_t)p->price.tool_nano[k]);
	for (size_t k = 0; k < s.tokens; k++)
		ret[n++] = field(&token_fields[k], (uint64_t)p->price.pico[k]);
	return n;
}
