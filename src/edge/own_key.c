/* GET /v1/key: what a key may do, and what is left of it. Whoever has the key may know; no secret, no address. */
#include "edge/limit.h"

#include "edge/answer.h"
#include "ticket/ids.h"

static const struct {
	const char *member;
	bool money;
} kinds[LIMIT_KIND_COUNT] = {
#define LIMIT_UNIT_COUNT false
#define LIMIT_UNIT_MONEY true
#define X(NAME, number, member, unit, window, meaning) [number] = {member, LIMIT_UNIT_##unit},
	LIMIT_KINDS(X)
#undef X
};

static void
add_id(struct text *t, const char *member, const char *prefix, uint64_t id)
{
	char room[ID_TEXT_MAX];
	text_lit(t, ",\"");
	text_str(t, member);
	text_lit(t, "\":\"");
	text_add(t, room, id_text(prefix, id, room));
	text_lit(t, "\"");
}

static void
add_amount(struct text *t, bool money, uint64_t v)
{
	if (!money) {
		text_u64(t, v);
		return;
	}
	text_lit(t, "\"");
	answer_add_money(t, (struct nano){(int64_t)v});
	text_lit(t, "\"");
}

static void
add_limit(struct text *t, const struct exchange *x, bool first, unsigned of, int kind, const struct limit_standing *s)
{
	bool own = of == 0 && x->limited.rows[1];
	text_str(t, first ? "{\"limit\":\"" : ",{\"limit\":\"");
	text_str(t, kinds[kind].member);
	text_str(t, own ? "\",\"of\":\"key\",\"amount\":" : of ? "\",\"of\":\"account\",\"amount\":"
														   : "\",\"of\":\"key_or_account\",\"amount\":");
	add_amount(t, kinds[kind].money, (uint64_t)s->amount);
	text_lit(t, ",\"remaining\":");
	if (s->known)
		add_amount(t, kinds[kind].money, s->remaining);
	else
		text_lit(t, "null");
	text_lit(t, ",\"resets_at\":");
	if (kind == LIMIT_STREAMS)
		text_lit(t, "null}");
	else {
		text_lit(t, "\"");
		text_time(t, (edge_wall_ms(x->edge) + s->reset_ms + 999) / 1000);
		text_lit(t, "\"}");
	}
}

static void
add_limits(struct text *t, const struct exchange *x)
{
	bool first = true;
	text_lit(t, ",\"limits\":[");
	for (unsigned of = 0; of < 2; of++)
		for (int k = 1; k < LIMIT_KIND_COUNT; k++) {
			struct limit_standing s;
			if (!limit_look(x, of, (enum limit_kind)k, &s))
				continue;
			add_limit(t, x, first, of, k, &s);
			first = false;
		}
	text_lit(t, "]");
}

static void
add_scopes(struct text *t, uint16_t scopes)
{
	bool first = true;
	text_lit(t, ",\"scopes\":[");
#define X(NAME, bit, word, meaning) \
	if (!scopes || scopes & (bit)) { \
		text_str(t, first ? "\"" word "\"" : ",\"" word "\""); \
		first = false; \
	}
	KEY_SCOPES(X)
#undef X
	text_lit(t, "]");
}

/* Public ids; null: all. Names that don't fit any more are left out, and that is said. */
static void
add_models(struct text *t, const struct exchange *x)
{
	const struct catalogue *c = x->edge->p->catalogue;
	bool first = true, all = true;
	text_lit(t, ",\"models\":");
	if (!limit_has_list(x)) {
		text_lit(t, "null");
		return;
	}
	text_lit(t, "[");
	for (uint32_t i = 0; i < c->model_count && all; i++) {
		const struct catalogue_model *m = catalogue_model(c, i);
		if (!limit_allows(x, m))
			continue;
		all = t->cap - t->len > CATALOGUE_NAME_MAX * 6 + 64;
		if (!all)
			break;
		text_str(t, first ? "\"" : ",\"");
		text_json(t, (struct span){m->public_id, strlen(m->public_id)});
		text_lit(t, "\"");
		first = false;
	}
	text_str(t, all ? "]" : "],\"more_models\":true");
}

static bool
works_from_some_only(const struct exchange *x)
{
	for (unsigned of = 0; of < 2; of++) {
		const struct limit_row *r = limit_row(x->edge->p->board, x->limited.rows[of]);
		if (r && limit_names(r, LIMIT_ADDRESSES))
			return true;
	}
	return false;
}

/* What holds whatever a request says: null, or words of lethe-policy. */
static void
add_policy(struct text *t, const struct exchange *x)
{
	struct limit_policy p;
	unsigned words = 0;
	text_lit(t, ",\"policy\":");
	for (unsigned of = 0; of < 2; of++) {
		const struct limit_row *r = limit_row(x->edge->p->board, x->limited.rows[of]);
		if (!r)
			continue;
		limit_policy(r, &p);
		if (p.zero_retention)
			text_str(t, words++ ? ",zero-retention" : "\"zero-retention");
		if (p.region[0]) {
			text_str(t, words++ ? ",region=" : "\"region=");
			text_str(t, p.region);
		}
	}
	text_str(t, words ? "\"" : "null");
}

/* Of requests that name none; null: the first that the model has. */
static void
add_lane(struct text *t, const struct exchange *x)
{
	struct limit_lane lane;
	bool any = limit_own_lane(x, &lane);
	text_str(t, any ? ",\"lane\":\"" : ",\"lane\":null");
	if (any)
		text_json(t, (struct span){lane.name, strlen(lane.name)});
	text_str(t, any ? "\"" : "");
}

void
own_key_answer(struct exchange *x, const struct http1_head *h)
{
	struct key_facts f;
	struct edge *e = x->edge;
	x->scope = KEY_SCOPE_USAGE;
	if (!authenticate_facts(x, h, &f))
		return;
	struct text t = text_on(e->head_out + HEAD_OUT_BYTES / 2, HEAD_OUT_BYTES / 2);
	text_lit(&t, "{\"object\":\"key\"");
	add_id(&t, "id", ID_KEY, f.key);
	add_id(&t, "account", ID_ACCOUNT, f.account);
	text_lit(&t, ",\"expires_at\":");
	if (f.expires_ms) {
		text_lit(&t, "\"");
		text_time(&t, f.expires_ms / 1000);
		text_lit(&t, "\"");
	} else
		text_lit(&t, "null");
	text_lit(&t, ",\"available\":");
	if (board_has(e->p->board, f.slot, f.account))
		add_amount(&t, true, (uint64_t)board_available(e->p->board, f.slot).v);
	else
		text_lit(&t, "null");
	add_scopes(&t, f.scopes);
	text_str(&t, works_from_some_only(x) ? ",\"addresses\":\"some\"" : ",\"addresses\":\"any\"");
	add_policy(&t, x);
	add_lane(&t, x);
	add_limits(&t, x);
	add_models(&t, x);
	text_lit(&t, "}");
	answer_json(x, 200, (struct span){t.at, t.len});
}
