/* By which lane requests of a key or an account go that name none: kept in the store, published with its limits. */
#include "ledger/limit_priv.h"

#include <stdio.h>
#include <string.h>

/* Without a catalogue, as while no server runs, it is a word that could be a lane's. */
static bool
is_word(const char *text)
{
	return text[0] != '\0' && text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-_.")] == '\0';
}

static json_t *
no_such_lane(const struct catalogue *c, const char *text)
{
	char names[CATALOGUE_LANES_MAX * (CATALOGUE_LANE_NAME_MAX + 2)] = "";
	for (uint32_t i = 0; i < c->lane_count; i++) {
		size_t used = strlen(names);
		snprintf(names + used, sizeof(names) - used, "%s%s", i > 0 ? ", " : "", catalogue_lane(c, i)->name);
	}
	return control_error("no_such_lane", "there is no lane \"%s\": the configuration has %s (`none`: whichever of them a model has first)", text, names);
}

bool
lane_wanted(struct ledger *l, const json_t *request, struct lane_wish *ret, json_t **ret_error)
{
	const struct catalogue *c = l->o.catalogue;
	const char *text;
	if (!control_text(request, &(struct text_rule){"lane", CATALOGUE_LANE_NAME_MAX - 1, false}, &text, ret_error))
		return false;
	ret->given = text[0] != '\0';
	if (!ret->given || strcmp(text, "none") == 0)
		return true;
	int index = c != NULL ? catalogue_find_lane(c, (struct span){text, strlen(text)}) : -1;
	if (index >= 0)
		text = catalogue_lane(c, (uint32_t)index)->name;
	else if (c != NULL || !is_word(text)) {
		*ret_error = c != NULL ? no_such_lane(c, text)
							   : control_error("bad_request", "\"lane\" must be the name of a lane (small letters, digits, '-', '_' and '.'), or none, not \"%s\"", text);
		return false;
	}
	snprintf(ret->lane.name, sizeof(ret->lane.name), "%s", text);
	return true;
}

bool
lane_read(struct ledger *l, uint64_t subject, struct limit_lane *ret)
{
	struct query *st = store_sql(&l->store, SQL_lane_of);
	sql_bind(st, (int64_t)subject);
	enum sql_step step = sql_step(&l->store, st);
	*ret = (struct limit_lane){0};
	if (step == SQL_ROW)
		snprintf(ret->name, sizeof(ret->name), "%s", sql_str(st, 0));
	sql_reset(st);
	return step != SQL_FAILED;
}

bool
lane_write(struct ledger *l, uint64_t subject, const struct limit_lane *lane)
{
	struct query *st = store_sql(&l->store, SQL_lane_delete);
	sql_bind(st, (int64_t)subject);
	if (!sql_done(&l->store, st) || lane->name[0] == '\0')
		return lane->name[0] == '\0';
	st = store_sql(&l->store, SQL_lane_insert);
	sql_bind(st, (int64_t)subject);
	sql_bind_text(st, 2, lane->name);
	return sql_done(&l->store, st);
}

void
lane_put(struct ledger *l, json_t *o, uint64_t subject)
{
	struct limit_lane lane;
	bool any = lane_read(l, subject, &lane) && lane.name[0] != '\0';
	json_object_set_new(o, "lane", any ? json_string(lane.name) : json_null());
}
