/* To which targets requests of a key or an account may go: kept in the store, published with its limits. */
#include "ledger/limit_priv.h"

#include <string.h>

static bool
word(struct limit_policy *p, const char *at, size_t len)
{
	static const char region[] = "region=";
	size_t before = sizeof(region) - 1;
	if (len == 14 && memcmp(at, "zero-retention", len) == 0) {
		p->zero_retention = true;
		return true;
	}
	if (len <= before || len - before >= sizeof(p->region) || p->region[0] != '\0' || memcmp(at, region, before) != 0)
		return false;
	for (size_t i = before; i < len; i++) {
		char c = at[i];
		bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
		if (!good)
			return false;
		p->region[i - before] = c;
	}
	return true;
}

bool
policy_parse(const char *text, struct limit_policy *ret)
{
	*ret = (struct limit_policy){0};
	if (strcmp(text, "none") == 0)
		return true;
	for (const char *at = text; at != NULL;) {
		while (*at == ' ')
			at++;
		size_t len = strcspn(at, ", ");
		const char *end = at + len + strspn(at + len, " ");
		if ((*end != ',' && *end != '\0') || !word(ret, at, len))
			return false;
		at = *end == ',' ? end + 1 : NULL;
	}
	return true;
}

bool
policy_read(struct ledger *l, uint64_t subject, struct limit_policy *ret)
{
	struct query *st = store_sql(&l->store, SQL_policy_of);
	sql_bind(st, (int64_t)subject);
	enum sql_step step = sql_step(&l->store, st);
	*ret = (struct limit_policy){0};
	if (step == SQL_ROW) {
		ret->zero_retention = sql_int(st, 0) == 1;
		memcpy(ret->region, sql_str(st, 1), strnlen(sql_str(st, 1), sizeof(ret->region) - 1));
	}
	sql_reset(st);
	return step != SQL_FAILED;
}

bool
policy_write(struct ledger *l, uint64_t subject, const struct limit_policy *p)
{
	struct query *st = store_sql(&l->store, SQL_policy_delete);
	sql_bind(st, (int64_t)subject);
	if (!sql_done(&l->store, st))
		return false;
	if (!p->zero_retention && p->region[0] == '\0')
		return true;
	st = store_sql(&l->store, SQL_policy_insert);
	sql_bind(st, (int64_t)subject, p->zero_retention);
	sql_bind_text(st, 3, p->region);
	return sql_done(&l->store, st);
}

void
policy_put(struct ledger *l, json_t *o, uint64_t subject)
{
	struct limit_policy p;
	char text[64];
	bool any = policy_read(l, subject, &p) && (p.zero_retention || p.region[0] != '\0');
	snprintf(text, sizeof(text), "%s%s%s%s", p.zero_retention ? "zero-retention" : "", p.zero_retention && p.region[0] != '\0' ? "," : "", p.region[0] != '\0' ? "region=" : "", p.region);
	json_object_set_new(o, "policy", any ? json_string(text) : json_null());
}
