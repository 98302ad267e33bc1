#include "ledger/ledger_priv.h"
#include "ledger/limit_priv.h"
#include "ledger/moment.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct key_row {
	uint64_t id, account, replaced_by;
	int64_t created_us, expires_ms, revoked_us, quarantined_us, scopes;
	char last4[5], name[129];
	uint8_t hash[API_KEY_HASH_BYTES];
};

static enum sql_step
read_key(struct ledger *l, struct query *st, struct key_row *ret)
{
	enum sql_step step = sql_step(&l->store, st);
	if (step != SQL_ROW)
		return step;
	*ret = (struct key_row){
		.id = (uint64_t)sql_int(st, 0),
		.account = (uint64_t)sql_int(st, 1),
		.created_us = sql_int(st, 2),
		.expires_ms = sql_int(st, 3),
		.revoked_us = sql_int(st, 4),
		.replaced_by = (uint64_t)sql_int(st, 8),
		.quarantined_us = sql_int(st, 9),
		.scopes = sql_int(st, 10),
	};
	snprintf(ret->last4, sizeof(ret->last4), "%s", sql_str(st, 5));
	snprintf(ret->name, sizeof(ret->name), "%s", sql_str(st, 6));
	memcpy(ret->hash, sql_blob(st, 7), API_KEY_HASH_BYTES);
	return SQL_ROW;
}

static const char *
state_name(const struct key_row *k)
{
	if (k->revoked_us != 0)
		return "revoked";
	if (k->expires_ms != 0 && k->expires_ms <= (int64_t)(clock_wall_us() / 1000))
		return "expired";
	return k->quarantined_us != 0 ? "quarantined" : "active";
}

static json_t *
key_json(const struct key_row *k)
{
	json_t *o = json_object();
	control_put_id(o, "key", ID_KEY, k->id);
	control_put_id(o, "account", ID_ACCOUNT, k->account);
	json_object_set_new(o, "name", json_string(k->name));
	json_object_set_new(o, "last4", json_string(k->last4));
	json_object_set_new(o, "state", json_string(state_name(k)));
	control_put_time(o, "created", k->created_us);
	control_put_time(o, "expires", k->expires_ms * 1000);
	control_put_time(o, "revoked", k->revoked_us);
	control_put_time(o, "quarantined", k->quarantined_us);
	if (k->replaced_by != 0)
		control_put_id(o, "replaced_by", ID_KEY, k->replaced_by);
	else
		json_object_set_new(o, "replaced_by", json_null());
	return o;
}

enum key_state
key_state_of(int64_t revoked_us, int64_t quarantined_us)
{
	return revoked_us != 0 ? KEY_REVOKED : quarantined_us != 0 ? KEY_QUARANTINED
															   : KEY_ACTIVE;
}

/* Every edge knows it as soon as this returns. */
static bool
publish(struct ledger *l, const struct key_row *k)
{
	if (l->o.keys == NULL)
		return true;
	struct key_facts f = {.key = k->id,
		.account = k->account,
		.expires_ms = (uint64_t)k->expires_ms,
		.slot = UINT32_MAX,
		.state = key_state_of(k->revoked_us, k->quarantined_us),
		.limits = limits_row_of(l, k->id, k->account),
		.scopes = (uint16_t)k->scopes};
	board_find(l->o.board, k->account, &f.slot);
	return key_table_put(l->o.keys, k->hash, &f);
}

/* ---- key.create ---- */

static bool
expires_of(const json_t *request, int64_t *ret_ms, json_t **ret_error)
{
	const char *text;
	int64_t seconds = 0;
	if (!control_text(request, &(struct text_rule){"expires", 40, false}, &text, ret_error))
		return false;
	if (text[0] != '\0' && !moment_parse_time(text, &seconds)) {
		*ret_error = control_error("bad_request", "\"expires\" must be a date like 2030-01-31 or "
												  "2030-01-31T12:00:00Z (UTC), not \"%s\"",
			text);
		return false;
	}
	if (text[0] != '\0' && seconds <= (int64_t)(clock_wall_us() / 1000000)) {
		*ret_error = control_error("bad_request", "\"expires\" is in the past: %s", text);
		return false;
	}
	*ret_ms = seconds * 1000;
	return true;
}

/* The old one ends when the overlap does, or before. */
static bool
expire(struct ledger *l, const struct key_row *old)
{
	struct query *st = store_sql(&l->store, SQL_key_expire);
	sql_bind(st, (int64_t)old->id, old->expires_ms, (int64_t)old->replaced_by);
	return sql_done(&l->store, st) && change_record(l, CHANGE_KEY, old->id);
}

/* old: the one that it replaces, with its new end; NULL: none. lane: "" none of its own. */
static bool
insert_key(struct ledger *l, const struct operation *op, const struct key_row *k, const struct key_row *old, const struct limit_lane *lane)
{
	struct query *st = store_sql(&l->store, SQL_key_insert);
	sql_bind(st, (int64_t)k->id, (int64_t)k->account, k->created_us, k->expires_ms);
	sql_bind_blob(st, 5, k->hash, API_KEY_HASH_BYTES);
	sql_bind_text(st, 6, k->last4);
	sql_bind_text(st, 7, k->name);
	return sql_done(&l->store, st) && operation_record(l, op, k->id) && change_record(l, CHANGE_KEY, k->id) &&
		(lane->name[0] == '\0' || lane_write(l, k->id, lane)) && (!old || (expire(l, old) && limits_copy(l, old->id, k->id)));
}

/* Asked before anything is written: what is committed and has no room here would be a key whose secret nobody was shown. An error, the caller's, when there is none. */
static json_t *
check_room(struct ledger *l, const struct key_row *old, const struct limit_lane *lane)
{
	bool fits = l->o.keys == NULL || key_table_has_room(l->o.keys);
	if (fits && l->o.board != NULL && lane->name[0] != '\0')
		fits = limit_has_room(l->o.board);
	if (fits && l->o.board != NULL && old != NULL && !limits_fit(l, old->id, &fits))
		return control_store_failed(l);
	return fits ? NULL : control_error("too_many_keys", "the server has no room for another key");
}

/* It is in the store. False: this server could not read what it has to make known. Kin for which there is no room had none before. */
static bool
make_known(struct ledger *l, const struct key_row *k, const struct key_row *old, bool limited)
{
	l->store.code = 0; /* of this, if it has one */
	bool known = !limited || limits_publish(l, k->id, k->account) || (!l->store.lost && l->store.code == 0);
	/* It is in the table: its end needs no room there, and waits for nothing that can't be read. */
	if (old != NULL && !publish(l, old))
		known = false;
	return known && publish(l, k);
}

static json_t *
create(struct ledger *l, const struct operation *op, struct key_row *k, struct key_row *old, const struct limit_lane *lane)
{
	char secret[API_KEY_BYTES + 1];
	api_key_make(secret);
	api_key_hash(l->o.pepper, (struct span){secret, API_KEY_BYTES}, k->hash);
	memcpy(k->last4, secret + API_KEY_BYTES - 4, 5);
	k->id = ledger_next_id(l);
	k->created_us = (int64_t)clock_wall_us();
	if (old) {
		old->replaced_by = k->id;
		k->scopes = old->scopes;
	}
	json_t *answer = check_room(l, old, lane);
	if (answer != NULL) {
		/* as it was */
	} else if (!store_begin(&l->store) || !store_end(&l->store, insert_key(l, op, k, old, lane)) || !make_known(l, k, old, old != NULL || lane->name[0] != '\0')) {
		answer = control_store_failed(l);
	} else {
		answer = control_ok();
		json_t *o = key_json(k);
		json_object_update(answer, o);
		json_decref(o);
		json_object_set_new(answer, "secret", json_stringn(secret, API_KEY_BYTES));
	}
	explicit_bzero(secret, sizeof(secret));
	return answer;
}

/* again: how to get one whose secret somebody knows. The id stands by itself as well, for whoever never had it. */
static json_t *
already_made(const struct operation *op, const char *again)
{
	char text[ID_TEXT_MAX];
	id_text(ID_KEY, op->subject, text);
	json_t *error = control_error("key_exists",
		"the key of id \"%s\" was made before (%s) and is shown only once: if it is lost, revoke it with "
		"`lethe key revoke %s` and %s",
		op->ref, text, text, again);
	json_object_set_new(error, "key", json_string(text));
	return error;
}

json_t *
control_key_create(struct ledger *l, const json_t *request)
{
	json_t *error;
	const char *name;
	struct account_row a;
	struct operation op;
	struct key_row k = {0};
	struct lane_wish lane = {0};
	if (!control_account(l, request, &a, &error) || !lane_wanted(l, request, &lane, &error) ||
		!control_text(request, &(struct text_rule){"name", 128, false}, &name, &error) ||
		!control_text(request, &(struct text_rule){"id", 128, false}, &op.ref, &error) ||
		!expires_of(request, &k.expires_ms, &error))
		return error;
	if (a.kind != 0)
		return control_error(
			"not_a_customer", "\"%s\" is one of the operator's own accounts and has no keys", a.name);
	k.account = a.id;
	snprintf(k.name, sizeof(k.name), "%s", name);
	char expires[24];
	snprintf(expires, sizeof(expires), "%lld", (long long)k.expires_ms);
	operation_content(&op, "key.create", (const char *const[]){a.name, name, expires, lane.lane.name}, lane.lane.name[0] == '\0' ? 3 : 4);
	switch (operation_look_up(l, &op)) {
	case OPERATION_NEW:
		return create(l, &op, &k, NULL, &lane.lane);
	case OPERATION_DONE:
		return already_made(&op, "make another one with another id");
	case OPERATION_PENDING:
	case OPERATION_OTHER:
		return operation_conflict(&op);
	case OPERATION_FAILED:
		break;
	}
	return control_store_failed(l);
}

/* ---- key.rotate ---- */

/* "24h", "90m", "7d", "30s", "0"; at most a year. */
static bool
overlap_of(const json_t *request, int64_t *ret_ms, json_t **ret_error)
{
	enum { DAY_S = 86400,
		MOST_S = 366 * DAY_S };
	const char *text;
	if (!control_text(request, &(struct text_rule){"overlap", 16, false}, &text, ret_error))
		return false;
	if (text[0] == '\0')
		text = "24h";
	char *unit;
	unsigned long long n = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &unit, 10) : ULLONG_MAX;
	static const struct {
		const char *unit;
		int64_t seconds;
	} units[] = {{"", 0}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", DAY_S}};
	for (size_t i = 0; n <= MOST_S && i < ARRAY_LEN(units); i++)
		if (strcmp(unit, units[i].unit) == 0 && (units[i].seconds != 0 || n == 0) && (int64_t)n * units[i].seconds <= MOST_S) {
			*ret_ms = (int64_t)n * units[i].seconds * 1000;
			return true;
		}
	*ret_error = control_error("bad_request", "\"overlap\" must be a time like 24h, 90m, 7d or 0, at most a year, not \"%s\"", text);
	return false;
}

static json_t *
rotate(struct ledger *l, const struct operation *op, struct key_row *old, int64_t overlap_ms)
{
	struct key_row k = {.account = old->account, .expires_ms = old->expires_ms};
	int64_t end_ms = (int64_t)(clock_wall_us() / 1000) + overlap_ms;
	snprintf(k.name, sizeof(k.name), "%s", old->name);
	if (old->expires_ms == 0 || old->expires_ms > end_ms)
		old->expires_ms = end_ms;
	json_t *answer = create(l, op, &k, old, &(struct limit_lane){0});
	if (json_object_get(answer, "secret") != NULL) {
		control_put_id(answer, "replaces", ID_KEY, old->id);
		control_put_time(answer, "replaced_expires", old->expires_ms * 1000);
	}
	return answer;
}

static json_t *find_key(struct ledger *l, const char *text, struct key_row *ret);

json_t *
control_key_rotate(struct ledger *l, const json_t *request)
{
	json_t *error;
	const char *text;
	struct operation op;
	struct key_row old;
	int64_t overlap_ms;
	bool ended;
	if (!control_text(request, &(struct text_rule){"key", 128, true}, &text, &error) ||
		!control_text(request, &(struct text_rule){"id", 128, false}, &op.ref, &error) || !overlap_of(request, &overlap_ms, &error))
		return error;
	if ((error = find_key(l, text, &old)) != NULL)
		return error;
	char id[ID_TEXT_MAX], overlap[24];
	id_text(ID_KEY, old.id, id);
	snprintf(overlap, sizeof(overlap), "%lld", (long long)overlap_ms);
	operation_content(&op, "key.rotate", (const char *const[]){id, overlap}, 2);
	ended = strcmp(state_name(&old), "active") != 0;
	switch (operation_look_up(l, &op)) {
	case OPERATION_NEW:
		if (ended)
			return control_error("key_ended", "this key is %s: make a new one with `lethe key create`", state_name(&old));
		return rotate(l, &op, &old, overlap_ms);
	case OPERATION_DONE:
		return already_made(&op, ended ? "make another one with `lethe key create`, for the old one works no more" : "rotate the old one once more with another id");
	case OPERATION_PENDING:
	case OPERATION_OTHER:
		return operation_conflict(&op);
	case OPERATION_FAILED:
		break;
	}
	return control_store_failed(l);
}

/* ---- key.list, key.show ---- */

/* The sums of the last minute, too; while the store can't be written, without them. */
static void
freshen(struct ledger *l)
{
	(void)!limits_freshen(l);
}

/* The day of the last request, null for none: usage is summed up by day. */
static void
put_last_use(struct ledger *l, json_t *o, uint64_t key)
{
	int64_t day = 0;
	struct query *st = store_sql(&l->store, SQL_key_last_day);
	sql_bind(st, (int64_t)key);
	if (sql_number(&l->store, st, &day) && day > 0)
		control_put_day(o, "last_used", day);
	else
		json_object_set_new(o, "last_used", json_null());
}

static json_t *
known_json(struct ledger *l, const struct key_row *k)
{
	json_t *o = key_json(k);
	control_put_name(l, o, "account_name", SQL_account_name, (int64_t)k->account);
	put_last_use(l, o, k->id);
	return o;
}

json_t *
control_key_list(struct ledger *l, const json_t *request)
{
	json_t *error;
	const char *after_text;
	int64_t limit;
	uint64_t account, after = 0;
	if (!control_limit(request, &limit, &error) || !control_account_filter(l, request, &account, &error) ||
		!control_text(request, &(struct text_rule){"after", 64, false}, &after_text, &error))
		return error;
	if (after_text[0] != '\0' && !id_parse(ID_KEY, (struct span){after_text, strlen(after_text)}, &after))
		return control_error("bad_request", "\"after\" must be the id of a key (key_…)");
	freshen(l);
	json_t *answer = control_ok(), *list = json_array();
	json_object_set_new(answer, "keys", list);
	struct query *st = store_sql(&l->store, SQL_key_list);
	sql_bind(st, (int64_t)after, (int64_t)account, limit + 1);
	struct key_row k;
	int64_t count = 0;
	enum sql_step step = SQL_END;
	for (; count < limit && (step = read_key(l, st, &k)) == SQL_ROW; count++)
		json_array_append_new(list, known_json(l, &k));
	bool more = count == limit && (step = sql_step(&l->store, st)) == SQL_ROW;
	sql_reset(st);
	json_object_set_new(answer, "more", json_boolean(more));
	if (step != SQL_FAILED)
		return answer;
	json_decref(answer); /* half a list looks like a whole one */
	return control_store_failed(l);
}

bool
ledger_publish_key(struct ledger *l, uint64_t key)
{
	struct key_row k;
	struct query *st = store_sql(&l->store, SQL_key_by_id);
	sql_bind(st, (int64_t)key);
	bool found = read_key(l, st, &k) == SQL_ROW;
	sql_reset(st);
	/* That a key is good no more is told even where its limits have no room. */
	return found && (limits_publish(l, k.id, k.account) || k.revoked_us != 0 || k.quarantined_us != 0) && publish(l, &k);
}

/* ---- key.revoke ---- */

/* By id, or by the key itself: who finds a leaked one has nothing else. An error, the caller's, when there is none, or the store can't say. */
static json_t *
find_key(struct ledger *l, const char *text, struct key_row *ret)
{
	uint64_t id;
	uint8_t hash[API_KEY_HASH_BYTES];
	struct span span = {text, strlen(text)};
	struct query *st = NULL;
	if (api_key_well_formed(span)) {
		api_key_hash(l->o.pepper, span, hash);
		st = store_sql(&l->store, SQL_key_by_hash);
		sql_bind_blob(st, 1, hash, sizeof(hash));
	} else if (id_parse(ID_KEY, span, &id)) {
		st = store_sql(&l->store, SQL_key_by_id);
		sql_bind(st, (int64_t)id);
	}
	enum sql_step step = st != NULL ? read_key(l, st, ret) : SQL_END;
	if (st != NULL)
		sql_reset(st);
	if (step == SQL_FAILED)
		return control_store_failed(l);
	return step == SQL_ROW ? NULL : control_error("no_such_key", "there is no such key: give its id (key_…, see `lethe key list`) or the key itself");
}

static bool
revoke(struct ledger *l, const struct key_row *k)
{
	struct query *st = store_sql(&l->store, SQL_key_revoke);
	sql_bind(st, (int64_t)k->id, k->revoked_us);
	return sql_done(&l->store, st) && change_record(l, CHANGE_KEY_REVOKED, k->id);
}

json_t *
control_key_revoke(struct ledger *l, const json_t *request)
{
	json_t *error;
	const char *text;
	struct key_row k;
	if (!control_text(request, &(struct text_rule){"key", 128, true}, &text, &error))
		return error;
	if ((error = find_key(l, text, &k)) != NULL)
		return error;
	if (k.revoked_us == 0) {
		k.revoked_us = (int64_t)clock_wall_us();
		/* Refused from now on, also while the store can't be written. */
		bool published = publish(l, &k);
		if (!store_begin(&l->store) || !store_end(&l->store, revoke(l, &k)) || !published)
			return control_store_failed(l);
	}
	json_t *answer = control_ok(), *o = key_json(&k);
	json_object_update(answer, o);
	json_decref(o);
	return answer;
}

/* ---- quarantine, key.release ---- */

/* On the board first: it holds also while the store can't be written. */
static bool
set_quarantine(struct ledger *l, struct key_row *k, int64_t quarantined_us)
{
	k->quarantined_us = quarantined_us;
	bool published = publish(l, k);
	struct query *st = store_sql(&l->store, SQL_key_quarantine);
	if (!store_begin(&l->store))
		return false;
	sql_bind(st, (int64_t)k->id, k->quarantined_us);
	return store_end(&l->store, sql_done(&l->store, st) && change_record(l, CHANGE_KEY, k->id)) && published;
}

void
ledger_quarantine_key(struct ledger *l, uint64_t key)
{
	struct key_row k;
	struct query *st = store_sql(&l->store, SQL_key_by_id);
	sql_bind(st, (int64_t)key);
	bool found = read_key(l, st, &k) == SQL_ROW;
	sql_reset(st);
	if (!found || k.quarantined_us != 0)
		return;
	if (!set_quarantine(l, &k, (int64_t)clock_wall_us()))
		ledger_event(l, EVENT_STORE_FAILED, (uint64_t)l->store.code, 0); /* it holds until the next start */
	ledger_event(l, EVENT_KEY_QUARANTINED, key, 0);
}

json_t *
control_key_release(struct ledger *l, const json_t *request)
{
	json_t *error;
	const char *text;
	struct key_row k;
	if (!control_text(request, &(struct text_rule){"key", 128, true}, &text, &error))
		return error;
	if ((error = find_key(l, text, &k)) != NULL)
		return error;
	if (k.quarantined_us != 0 && !set_quarantine(l, &k, 0))
		return control_store_failed(l);
	json_t *answer = control_ok(), *o = key_json(&k);
	json_object_update(answer, o);
	json_decref(o);
	return answer;
}

json_t *
control_key_show(struct ledger *l, const json_t *request)
{
	json_t *error;
	const char *text;
	struct key_row k;
	if (!control_text(request, &(struct text_rule){"key", 128, true}, &text, &error))
		return error;
	if ((error = find_key(l, text, &k)) != NULL)
		return error;
	freshen(l);
	json_t *answer = control_ok(), *o = known_json(l, &k);
	json_object_update(answer, o);
	json_decref(o);
	control_put_limits(l, answer, k.account);
	limits_put(l, answer, k.id);
	limits_put_scopes(answer, k.scopes);
	return answer;
}

json_t *
control_key_limit(struct ledger *l, const json_t *request)
{
	json_t *error;
	const char *text;
	struct key_row k;
	if (!control_text(request, &(struct text_rule){"key", 128, true}, &text, &error))
		return error;
	if ((error = find_key(l, text, &k)) != NULL)
		return error;
	error = limits_set(l, request, k.id, k.account);
	if (error != NULL)
		return error;
	/* Its scopes stand beside the key. */
	if ((error = find_key(l, text, &k)) != NULL)
		return error;
	if (!publish(l, &k))
		return control_store_failed(l);
	return control_key_show(l, request);
}
