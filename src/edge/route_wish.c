/* ROUTE: what the request's header says of its way, lethe-lane and lethe-policy. */
#include "edge/edge_priv.h"

#include "edge/route.h"
#include "ticket/limit.h"

_Static_assert(sizeof(((struct limit_policy *)0)->region) == CATALOGUE_REGION_MAX, "the same words");

static bool
is(struct span s, const char *word)
{
	return s.len == strlen(word) && !strncasecmp(s.at, word, s.len);
}

static struct span
trimmed(struct span s)
{
	while (s.len && (s.at[0] == ' ' || s.at[0] == '\t')) {
		s.at++;
		s.len--;
	}
	while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* The next of those with commas between; false: there is none. */
static bool
next_word(struct span *list, struct span *ret)
{
	if (!list->len)
		return false;
	const char *comma = memchr(list->at, ',', list->len);
	size_t len = comma ? (size_t)(comma - list->at) : list->len;
	*ret = trimmed((struct span){list->at, len});
	size_t used = len + (comma != NULL);
	list->at += used;
	list->len -= used;
	return true;
}

static bool
read_region(struct route_wish *w, struct span region)
{
	if (region.len == 0 || region.len >= sizeof w->region || w->region[0])
		return false;
	for (size_t i = 0; i < region.len; i++) {
		char c = region.at[i];
		w->region[i] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
	}
	return true;
}

static bool
read_word(struct request *r, struct span word)
{
	static const char region[] = "region=";
	if (is(word, "as-is"))
		r->as_is = true;
	else if (is(word, "zero-retention"))
		r->wish.zero_retention = true;
	else if (word.len > sizeof region - 1 && !strncasecmp(word.at, region, sizeof region - 1))
		return read_region(&r->wish, (struct span){word.at + sizeof region - 1, word.len - (sizeof region - 1)});
	else
		return false;
	return true;
}

static struct span
value(const struct http1_head *h, enum http1_field_id id)
{
	const struct http1_field *f = http1_field_find(h, id);
	return f ? http1_field_value(h, f) : (struct span){0};
}

/* The first word of the policy that is none, an empty one too. */
static bool
policy_flaw(struct request *r, struct span policy, struct span *ret)
{
	while (next_word(&policy, ret))
		if (!read_word(r, *ret))
			return true;
	return false;
}

/* What key and workspace demand holds besides. */
static void
add_policy(const struct exchange *x, struct route_wish *w)
{
	struct limit_policy p;
	for (unsigned of = 0; of < 2 && x->limited.rows[of]; of++) {
		const struct limit_row *r = limit_row(x->edge->p->board, x->limited.rows[of]);
		if (!r)
			continue;
		limit_policy(r, &p);
		w->zero_retention |= p.zero_retention;
		if (p.region[0] && !w->region[0])
			memcpy(w->region, p.region, sizeof w->region);
		else if (p.region[0] && strcmp(w->region, p.region) != 0)
			memcpy(w->region_too, p.region, sizeof w->region_too);
	}
}

bool
route_read_wish(struct exchange *x, const struct http1_head *h)
{
	struct span lane = value(h, HTTP1_LETHE_LANE), policy = value(h, HTTP1_LETHE_POLICY), flaw;
	if (lane.at) {
		int index = catalogue_find_lane(x->edge->p->catalogue, lane);
		if (index < 0)
			return false;
		x->req->wish.lane = (uint8_t)(index + 1);
	}
	if (policy_flaw(x->req, policy, &flaw))
		return false;
	add_policy(x, &x->req->wish);
	return true;
}

void
route_explain(struct exchange *x, const struct http1_head *h)
{
	const struct catalogue *c = x->edge->p->catalogue;
	struct span lane = value(h, HTTP1_LETHE_LANE), flaw = {0};
	char room[900];
	struct text t = text_on(room, sizeof room);
	bool of_lane = lane.at && catalogue_find_lane(c, lane) < 0;
	if (!of_lane) {
		x->req->wish = (struct route_wish){0};
		(void)policy_flaw(x->req, value(h, HTTP1_LETHE_POLICY), &flaw);
	} else
		flaw = lane;
	text_str(&t, of_lane ? "There is no lane `" : "lethe-policy does not know `");
	text_add(&t, flaw.at, flaw.len < 64 ? flaw.len : 64);
	if (of_lane) {
		text_lit(&t, "`. lethe-lane is one of: ");
		for (uint32_t i = 0; i < c->lane_count; i++) {
			text_str(&t, i ? ", " : "");
			text_str(&t, catalogue_lane(c, i)->name);
		}
		text_lit(&t, ".");
	} else
		text_lit(&t, "`. It is a list, with commas between, of: as-is, zero-retention, and once region=WORD, for example region=eu.");
	answer_sentence(x, of_lane ? END_BAD_LANE : END_BAD_HEADER, of_lane ? "lethe-lane" : "lethe-policy", (struct span){t.at, t.len});
	explicit_bzero(room, sizeof room);
}
