#include "proc/receipt_file.h"

#include "ticket/end_reasons.h"
#include "ticket/ids.h"
#include "ticket/nano.h"
#include "ticket/ticket_fields.h"

#include <ctype.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { FIELDS_MAX = 256,
	NAME_MAX_BYTES = 40 };

struct field {
	const char *name;
	unsigned bytes; /* 1, 2, 4, 8: number; 32: hash */
	uint64_t number;
	struct merkle_hash hash;
};

struct fields {
	size_t count;
	struct field field[FIELDS_MAX];
};

static bool
no(char *ret_why, const char *why)
{
	snprintf(ret_why, RECEIPT_WHY_MAX, "%s", why);
	return false;
}

/* ---- reading ---- */

static bool
read_hex(const json_t *v, uint8_t *ret, size_t bytes)
{
	const char *text = json_string_value(v);
	size_t len = 0;
	return text && strlen(text) == 2 * bytes && sodium_hex2bin(ret, bytes, text, 2 * bytes, NULL, &len, NULL) == 0 && len == bytes;
}

/* Digits without a sign or a zero in front, of at most that width. */
static bool
read_number(const json_t *v, unsigned bytes, uint64_t *ret)
{
	const char *text = json_string_value(v);
	uint64_t n = 0;
	if (!text || !*text || (text[0] == '0' && text[1]))
		return false;
	for (; *text; text++)
		if (*text < '0' || *text > '9' || __builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
			return false;
	if (bytes < 8 && n >> (8 * bytes) != 0)
		return false;
	*ret = n;
	return true;
}

static bool
is_name(const char *name)
{
	size_t len = name ? strlen(name) : 0;
	return len > 0 && len <= NAME_MAX_BYTES && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

static const struct field *
find(const struct fields *f, const char *name)
{
	for (size_t i = 0; i < f->count; i++)
		if (strcmp(f->field[i].name, name) == 0)
			return &f->field[i];
	return NULL;
}

static uint64_t
number(const struct fields *f, const char *name)
{
	const struct field *x = find(f, name);
	return x ? x->number : 0;
}

static bool
read_field(const json_t *row, const struct fields *before, struct field *ret)
{
	const json_t *v = json_array_get(row, 2);
	ret->name = json_string_value(json_array_get(row, 0));
	json_int_t bytes = json_integer_value(json_array_get(row, 1));
	ret->bytes = (unsigned)bytes;
	if (json_array_size(row) != 3 || !is_name(ret->name) || find(before, ret->name))
		return false;
	if (bytes == MERKLE_BYTES)
		return read_hex(v, ret->hash.at, MERKLE_BYTES);
	return (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8) && read_number(v, ret->bytes, &ret->number);
}

static bool
read_fields(const json_t *list, struct fields *ret)
{
	size_t count = json_array_size(list);
	ret->count = 0;
	if (count == 0 || count > FIELDS_MAX)
		return false;
	for (; ret->count < count; ret->count++)
		if (!read_field(json_array_get(list, ret->count), ret, &ret->field[ret->count]))
			return false;
	return true;
}

static bool
read_proof(const json_t *list, struct merkle_proof *ret)
{
	size_t count = json_array_size(list);
	if (!json_is_array(list) || count > MERKLE_PROOF_MAX)
		return false;
	ret->count = (unsigned)count;
	for (size_t i = 0; i < count; i++)
		if (!read_hex(json_array_get(list, i), ret->hash[i].at, MERKLE_BYTES))
			return false;
	return true;
}

/* ---- for people ---- */

enum { TIME_BYTES = 40 };

/* As the ledger writes it (control_put_time); empty: never. */
static void
time_text(int64_t us, char ret[TIME_BYTES])
{
	time_t seconds = (time_t)(us / 1000000);
	struct tm tm;
	ret[0] = '\0';
	if (us == 0 || gmtime_r(&seconds, &tm) == NULL)
		return;
	size_t len = strftime(ret, TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ret + len, TIME_BYTES - len, ".%03dZ", (int)(us / 1000 % 1000));
}

/* Is it this text? Of none: null. */
static bool
says(const json_t *o, const char *member, const char *text)
{
	const json_t *v = json_object_get(o, member);
	const char *said = json_string_value(v);
	return *text ? said && strcmp(said, text) == 0 : json_is_null(v);
}

/* ---- hashing ---- */

/* Behind one byte of room: the hash of names and widths, then the values. Returns the length with that byte. */
static size_t
encode(const struct fields *f, uint8_t bytes[1 + MERKLE_BYTES * (FIELDS_MAX + 1)])
{
	static char shape[FIELDS_MAX * (NAME_MAX_BYTES + 8)];
	size_t len = 0, at = 1 + MERKLE_BYTES;
	for (size_t i = 0; i < f->count; i++)
		len += (size_t)snprintf(shape + len, sizeof shape - len, "%s:%u\n", f->field[i].name, f->field[i].bytes);
	struct merkle_hash h = merkle_sha256(shape, len);
	memcpy(bytes + 1, h.at, MERKLE_BYTES);
	for (size_t i = 0; i < f->count; i++) {
		const struct field *x = &f->field[i];
		if (x->bytes == MERKLE_BYTES)
			memcpy(bytes + at, x->hash.at, MERKLE_BYTES);
		else
			for (unsigned k = 0; k < x->bytes; k++)
				bytes[at + k] = (uint8_t)(x->number >> (8 * (x->bytes - 1 - k)));
		at += x->bytes;
	}
	return at;
}

/* ---- heads ---- */

static bool
check_head(const json_t *o, const uint8_t *public, struct receipt_says *ret, struct merkle_head *head, char *ret_why)
{
	const char *origin = json_string_value(json_object_get(o, "origin"));
	json_int_t size = json_integer_value(json_object_get(o, "size")), time_us = json_integer_value(json_object_get(o, "time_us"));
	uint8_t key[RECEIPT_PUBLIC_BYTES], signature[crypto_sign_BYTES];
	char text[256], root[sodium_base64_ENCODED_LEN(MERKLE_BYTES, sodium_base64_VARIANT_ORIGINAL)];
	if (!origin || strlen(origin) >= sizeof ret->origin || strchr(origin, '\n') || size <= 0 || !json_is_integer(json_object_get(o, "time_us")) ||
		!read_hex(json_object_get(o, "root"), head->root.at, MERKLE_BYTES) || !read_hex(json_object_get(o, "key"), key, sizeof key) ||
		!read_hex(json_object_get(o, "signature"), signature, sizeof signature))
		return no(ret_why, "its head is not one: origin, size, root, time_us, key and signature are needed as the gateway gave them");
	head->size = (uint64_t)size;
	sodium_bin2base64(root, sizeof root, head->root.at, MERKLE_BYTES, sodium_base64_VARIANT_ORIGINAL);
	int len = snprintf(text, sizeof text, "%s\n%" PRIu64 "\n%s\ntime_us %lld\n", origin, head->size, root, (long long)time_us);
	if (crypto_sign_verify_detached(signature, (const uint8_t *)text, (size_t)len, public ? public : key) != 0)
		return no(ret_why, public ? "the head's signature is not by the key that was given" : "the head's signature does not fit its key");
	snprintf(ret->origin, sizeof ret->origin, "%s", origin);
	time_text(time_us, ret->time);
	sodium_bin2hex(ret->key, sizeof ret->key, public ? public : key, sizeof key);
	ret->size = head->size;
	ret->root = head->root;
	return (says(o, "time", ret->time) && says(o, "text", text)) || no(ret_why, "the head's text or time is not what was signed");
}

/* ---- the cost ---- */

typedef unsigned __int128 u128;

static uint64_t
of_kind(const struct fields *f, const char *prefix, const char *name)
{
	char whole[NAME_MAX_BYTES + 8];
	snprintf(whole, sizeof whole, "%s%s", prefix, name);
	return number(f, whole);
}

/* Exactly as ticket/price.c, but by names: a receipt may be of another version. Each sum fits: 256 products of 32 and 63 bits, times 16. */
static struct nano
due_of(const struct fields *row, const struct fields *price)
{
	u128 pico = (u128)number(price, "request_nano") * PICO_PER_NANO, tokens = 0;
	uint64_t geo = number(row, "flags") & TICKET_GEO_US ? number(price, "geo_us_x100") : 100;
	for (size_t i = 0; i < row->count; i++) {
		const char *name = row->field[i].name;
		if (row->field[i].bytes > 4)
			continue;
		if (strncmp(name, "tokens_", 7) == 0)
			tokens += (u128)row->field[i].number * (of_kind(price, "pico_", name + 7) & INT64_MAX);
		else if (strncmp(name, "tools_", 6) == 0)
			pico += (u128)row->field[i].number * PICO_PER_NANO * (of_kind(price, "nano_", name + 6) & INT64_MAX);
	}
	if (geo != 0 && geo != 100)
		tokens = tokens * geo / 100 + (tokens * geo % 100 != 0);
	struct nano due = nano_from_pico_up(pico + tokens);
	uint64_t legs = number(row, "legs_nano");
	due.v = legs > (uint64_t)(INT64_MAX - due.v) ? INT64_MAX : due.v + (int64_t)legs;
	return due;
}

static bool
check_cost(const struct fields *row, const json_t *prices, struct receipt_says *ret, char *ret_why)
{
	static struct fields price;
	static uint8_t bytes[1 + MERKLE_BYTES * (FIELDS_MAX + 1)];
	const struct field *named = find(row, "price_row");
	struct nano cost = {(int64_t)number(row, "cost_nano")};
	snprintf(ret->due, sizeof ret->due, "0");
	if (json_is_null(prices))
		return (named && sodium_is_zero(named->hash.at, MERKLE_BYTES) && cost.v == 0) || no(ret_why, "it charges something and has no price row");
	if (!read_fields(prices, &price))
		return no(ret_why, "its price row is not a list of names, bytes and values");
	size_t len = encode(&price, bytes);
	struct merkle_hash h = merkle_sha256(bytes + 1, len - 1);
	if (!named || !merkle_same(&h, &named->hash))
		return no(ret_why, "its price row is not the one that was signed");
	struct nano due = due_of(row, &price);
	nano_text(due, ret->due);
	return (cost.v >= 0 && cost.v <= due.v) || no(ret_why, "more was charged than the usage costs at its price row");
}

/* ---- what came with an answer ---- */

/* "req_….<code>." stands in front of it: 32 digits between two dots. */
static bool
is_behind_code(const char *text, const char *at)
{
	enum { CODE = 32 };
	if (at - text < CODE + 1 || at[-CODE - 1] != '.')
		return false;
	for (const char *p = at - CODE; p < at; p++)
		if (!strchr("0123456789abcdef", *p) || !*p)
			return false;
	return true;
}

/* A stream has it at its end, and what stands in the answer before it is anybody's words: the last counts. */
size_t
receipt_file_unwrap(char *text, size_t len, char **ret)
{
	static const char begins[] = ".eyJ"; /* {" */
	char *found = NULL, *at = text;
	while ((at = memmem(at, (size_t)(text + len - at), begins, sizeof begins - 1)) != NULL) {
		if (is_behind_code(text, at))
			found = at + 1;
		at++;
	}
	if (!found)
		return 0;
	size_t run = 0, bytes = 0;
	while (found + run < text + len && (isalnum((unsigned char)found[run]) || found[run] == '-' || found[run] == '_'))
		run++;
	*ret = found;
	/* Four characters become three bytes: what is written is behind what is read. */
	return sodium_base642bin((uint8_t *)found, run, found, run, NULL, &bytes, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0 ? bytes : 0;
}

/* ---- the whole ---- */

/* What stands in front for people must be what was signed. */
static bool
check_words(const json_t *o, const struct fields *row, struct receipt_says *ret, char *ret_why)
{
	struct nano cost = {(int64_t)number(row, "cost_nano")};
	id_text(ID_REQUEST, number(row, "id"), ret->request);
	id_text(ID_ACCOUNT, number(row, "account"), ret->account);
	nano_text(cost, ret->cost);
	time_text((int64_t)number(row, "started_us"), ret->started);
	ret->end_reason = end_reason_name(number(row, "end_reason"));
	ret->place = number(row, "place");
	const struct {
		const char *name, *text;
	} words[] = {{"request", ret->request}, {"account", ret->account}, {"cost", ret->cost}, {"started", ret->started}, {"end_reason", ret->end_reason}};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (!says(o, words[i].name, words[i].text)) {
			snprintf(ret_why, RECEIPT_WHY_MAX, "%s in front is not that of the row, which has %s", words[i].name, *words[i].text ? words[i].text : "null");
			return false;
		}
	return true;
}

static bool
check_receipt(const json_t *o, const uint8_t *public, struct receipt_says *ret, char *ret_why)
{
	static struct fields row;
	static uint8_t bytes[1 + MERKLE_BYTES * (FIELDS_MAX + 1)];
	struct merkle_head head;
	struct merkle_proof proof;
	struct merkle_hash said;
	const json_t *leaf = json_object_get(o, "leaf");
	json_int_t at = json_integer_value(json_object_get(leaf, "number"));
	if (!read_fields(json_object_get(o, "row"), &row))
		return no(ret_why, "its row is not a list of names, bytes and values");
	if (!check_words(o, &row, ret, ret_why))
		return false;
	struct merkle_hash h = merkle_leaf(bytes, encode(&row, bytes));
	if (!read_hex(json_object_get(leaf, "hash"), said.at, MERKLE_BYTES) || !json_is_integer(json_object_get(leaf, "number")) || at < 0 || !merkle_same(&h, &said))
		return no(ret_why, "its row is not what its leaf says: something in it was altered");
	if (!check_head(json_object_get(o, "head"), public, ret, &head, ret_why))
		return false;
	ret->leaf = (uint64_t)at;
	if (!read_proof(json_object_get(o, "proof"), &proof) || !merkle_leaf_holds(&h, ret->leaf, head.size, &proof, &head.root))
		return no(ret_why, "its leaf is not in the tree whose head was signed");
	return check_cost(&row, json_object_get(o, "price"), ret, ret_why);
}

static bool
check_growth(const json_t *o, const uint8_t *public, struct receipt_says *ret, char *ret_why)
{
	struct merkle_head from, to;
	struct merkle_proof proof;
	char origin[sizeof ret->origin];
	/* An older head may be by an older key: the newer one vouches for it. */
	if (!check_head(json_object_get(o, "from"), NULL, ret, &from, ret_why))
		return false;
	memcpy(origin, ret->origin, sizeof origin);
	if (!check_head(json_object_get(o, "to"), public, ret, &to, ret_why))
		return false;
	ret->from_size = from.size;
	if (strcmp(origin, ret->origin) != 0)
		return no(ret_why, "the two heads are of different logs");
	return (read_proof(json_object_get(o, "proof"), &proof) && merkle_growth_holds(&from, &to, &proof)) ||
		no(ret_why, "the newer tree does not contain the older one: the log was rewritten in between");
}

bool
receipt_file_check(const json_t *file, const uint8_t *public, struct receipt_says *ret, char ret_why[RECEIPT_WHY_MAX])
{
	const char *receipt = json_string_value(json_object_get(file, "receipt")), *growth = json_string_value(json_object_get(file, "growth"));
	*ret = (struct receipt_says){0};
	if (receipt && strcmp(receipt, "lethe receipt 1") == 0)
		return check_receipt(file, public, ret, ret_why);
	if (growth && strcmp(growth, "lethe receipt growth 1") == 0)
		return check_growth(file, public, ret, ret_why);
	return no(ret_why, "it is not a receipt: that begins with \"receipt\": \"lethe receipt 1\"");
}
