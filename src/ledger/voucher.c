/*
 * Vouchers: codes that are worth credit. The code is derived from the item's id under the ledger's secret, so that an order whose answer was lost
 * is answered again; the store keeps its keyed hash only.
 */
#include "ledger/order_priv.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { CODE_DIGITS = 20, /* of 5 bits */
	CODE_TEXT_MAX = CODE_DIGITS + CODE_DIGITS / 5 };

/* Crockford's: no I, L, O, U. */
static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static void
keyed(const struct ledger *l, const char *what, const void *bytes, size_t len, uint8_t ret[32])
{
	crypto_generichash_state state;
	crypto_generichash_init(&state, l->o.pepper, API_KEY_PEPPER_BYTES, 32);
	crypto_generichash_update(&state, (const uint8_t *)what, strlen(what) + 1);
	crypto_generichash_update(&state, bytes, len);
	crypto_generichash_final(&state, ret, 32);
}

/* "7K3QX-…": four groups of five. */
static void
code_of(const struct ledger *l, uint64_t item, char ret[CODE_TEXT_MAX])
{
	uint8_t hash[32];
	keyed(l, "voucher code", &item, sizeof(item), hash);
	size_t at = 0;
	for (int i = 0; i < CODE_DIGITS; i++) {
		if (i != 0 && i % 5 == 0)
			ret[at++] = '-';
		ret[at++] = digits[hash[i] & 31];
	}
	ret[at] = '\0';
}

/* As people type it: any case, with or without dashes, O for 0, I or L for 1. False: not a code. */
static bool
hash_of(const struct ledger *l, const char *text, uint8_t ret[32])
{
	char code[CODE_DIGITS];
	size_t count = 0;
	for (; *text != '\0'; text++) {
		char c = (char)(*text >= 'a' && *text <= 'z' ? *text - 32 : *text);
		if (c == '-' || c == ' ')
			continue;
		c = (char)(c == 'O' ? '0' : c == 'I' || c == 'L' ? '1'
														 : c);
		if (count == CODE_DIGITS || strchr(digits, c) == NULL)
			return false;
		code[count++] = c;
	}
	keyed(l, "voucher hash", code, sizeof(code), ret);
	return count == CODE_DIGITS;
}

static json_t *
with_code(const struct ledger *l, const struct order *o, json_t *answer)
{
	uint64_t id;
	char code[CODE_TEXT_MAX];
	const char *text = json_string_value(json_object_get(answer, "item"));
	if (text == NULL || !id_parse(item_prefix(ITEM_VOUCHER), (struct span){text, strlen(text)}, &id))
		return answer;
	code_of(l, id, code);
	json_object_set_new(answer, "code", json_string(code));
	(void)o;
	return answer;
}

json_t *
control_voucher_create(struct ledger *l, const json_t *request)
{
	json_t *error;
	struct item i = {.kind = ITEM_VOUCHER, .has_hash = true};
	char amount[NANO_TEXT_MAX], expires[24], code[CODE_TEXT_MAX];
	struct order o = {.kind = ORDER_VOUCHER};
	if (!order_read_texts(request, &o, &error) || !order_amount(request, "amount", false, &o.second_nano, &error) ||
		!order_expires(request, false, &i.expires_ms, &error))
		return error;
	nano_text((struct nano){o.second_nano}, amount);
	snprintf(expires, sizeof(expires), "%lld", (long long)i.expires_ms);
	order_content(&o, "voucher.create", (const char *const[]){amount, expires, o.reason}, 3);
	i.amount_nano = i.open_nano = o.second_nano;
	order_open_item(l, &o, &i);
	code_of(l, i.id, code);
	if (!hash_of(l, code, i.hash))
		return control_store_failed(l); /* can't be: it is a code */
	return with_code(l, &o, order_answer(l, &o));
}

json_t *
control_voucher_redeem(struct ledger *l, const json_t *request)
{
	json_t *error;
	bool is_new;
	const char *code;
	struct item i;
	uint8_t hash[32];
	char id[ID_TEXT_MAX];
	struct order o = {.kind = ORDER_VOUCHER_REDEEM};
	if (!order_read(l, request, &o, &error) || !control_text(request, &(struct text_rule){"code", 64, true}, &code, &error))
		return error;
	enum sql_step step = hash_of(l, code, hash) ? item_find_hash(l, hash, &i) : SQL_END;
	if (step == SQL_FAILED)
		return control_store_failed(l);
	if (step == SQL_END || i.state == ITEM_ORDERED)
		return control_error("no_such_voucher", "there is no voucher with that code: look at each of its twenty characters");
	id_text(item_prefix(i.kind), i.id, id);
	order_content(&o, "voucher.redeem", (const char *const[]){o.account.name, id}, 2);
	o.item = i.id;
	o.nano = i.amount_nano;
	bool late = i.expires_ms != 0 && i.expires_ms <= (int64_t)(clock_wall_us() / 1000);
	if (!order_is_new(l, &o, &is_new, &error) || (is_new && (error = item_must_be_open(&i)) != NULL))
		return error;
	if (is_new && late)
		return control_error("resolved", "the voucher %s has expired", id);
	return order_answer(l, &o);
}

/* Back into what it was made of. */
static void
take_back(struct order *o, const struct item *i)
{
	o->item = i->id;
	o->second_nano = i->amount_nano;
}

json_t *
control_voucher_revoke(struct ledger *l, const json_t *request)
{
	json_t *error;
	bool is_new;
	struct item i;
	char id[ID_TEXT_MAX];
	struct order o = {.kind = ORDER_VOUCHER_REVOKE};
	if (!item_read(l, request, "voucher", ITEM_VOUCHER, &i, &error) || !order_read_texts(request, &o, &error))
		return error;
	id_text(item_prefix(i.kind), i.id, id);
	order_content(&o, "voucher.revoke", (const char *const[]){id, o.reason}, 2);
	take_back(&o, &i);
	if (!order_is_new(l, &o, &is_new, &error) || (is_new && (error = item_must_be_open(&i)) != NULL))
		return error;
	return order_answer(l, &o);
}

bool
voucher_expire(struct ledger *l, const struct item *i)
{
	struct order o = {.kind = ORDER_VOUCHER_EXPIRY};
	if (!order_of_item(l, &o, "expiry", i))
		return false;
	take_back(&o, i);
	json_t *error = order_do(l, &o);
	json_decref(error);
	return error == NULL;
}
