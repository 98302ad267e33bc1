/* What several lists say of one model: the first that says something is taken, what others say otherwise is told. */
#include "proc/import_priv.h"

#include <string.h>

enum { TIMES_LEAST = 10, /* × 100 */
	TIMES_MOST = 1000 };

/* How well an offer fits: 0 not, then the worse. What a list says of a name itself is better than a rule about names. */
static unsigned
fits(const struct importing *i, const struct wanted *w, const struct offer *o, bool exact)
{
	for (size_t n = 0; n < w->name_count; n++)
		if (offer_has_name(&i->sources[o->source], o, w->names[n], exact))
			return (unsigned)n + 1;
	return 0;
}

/* The best offer of a source, or NULL. Of two that fit as well the first. */
static const struct offer *
best_of(const struct importing *i, const struct wanted *w, uint32_t source, bool exact)
{
	const struct offer *best = NULL;
	unsigned best_fit = 0;
	for (uint32_t k = 0; k < i->offers.count; k++) {
		const struct offer *o = &i->offers.row[k];
		if (o->source != source || o->provider != w->provider)
			continue;
		unsigned fit = fits(i, w, o, exact);
		if (fit != 0 && (best == NULL || fit < best_fit)) {
			best = o;
			best_fit = fit;
		}
	}
	return best;
}

struct differing {
	struct importing *i;
	const char *model;
	const struct source *kept, *other;
};

static void
tell_difference(void *context, const struct price_row *kept, const struct price_row *other, enum price_column column)
{
	struct differing *d = context;
	char what[64], why[400], first[32], second[32], size[48] = "";
	price_value_text(column, kept->v[column], first);
	price_value_text(column, other->v[column], second);
	if (kept->v[PRICE_above_tokens] > 0)
		snprintf(size, sizeof size, " above %lld tokens", (long long)kept->v[PRICE_above_tokens]);
	snprintf(what, sizeof what, "%s%s", price_key(column), size);
	if (column == PRICE_tier) {
		snprintf(what, sizeof what, "tier %s", first);
		snprintf(why, sizeof why, "costs otherwise in %.100s than in %.100s: the latter was taken", d->other->name, d->kept->name);
	} else
		snprintf(why, sizeof why, "is %s in %.100s and %s in %.100s: the first was taken", first, d->kept->name,
			second, d->other->name);
	import_note(import_notes_of(d->i), d->model, what, why);
}

static void
add_group(struct terms *to, const struct price_group *g)
{
	for (uint32_t k = 1; k < to->group_count; k++)
		if (to->group[k].from_ms == g->from_ms)
			return;
	if (to->group_count < TERMS_GROUPS_MAX)
		to->group[to->group_count++] = *g;
}

/* What a further list adds. */
static void
merge(struct differing *d, struct terms *to, const struct terms *more)
{
	to->context = more->context > to->context ? more->context : to->context;
	to->output = to->output == 0 ? more->output : to->output;
	to->reasoning = to->reasoning || more->reasoning;
	to->responses_alone = to->responses_alone || more->responses_alone;
	to->capabilities |= more->capabilities;
	to->gone_ms = to->gone_ms == 0 ? more->gone_ms : to->gone_ms;
	to->use = more->use_known && !to->use_known ? more->use : to->use;
	to->use_known = to->use_known || more->use_known;
	if (!price_fill(&to->group[0], &more->group[0], tell_difference, d))
		import_note(import_notes_of(d->i), d->model, "prices",
			"have more tiers and sizes than a model can have: some were left out");
	for (uint32_t k = 1; k < more->group_count; k++)
		add_group(to, &more->group[k]);
}

static void
sort_groups(struct terms *t)
{
	for (uint32_t a = 1; a < t->group_count; a++)
		for (uint32_t b = a; b > 1 && t->group[b].from_ms < t->group[b - 1].from_ms; b--) {
			struct price_group g = t->group[b];
			t->group[b] = t->group[b - 1];
			t->group[b - 1] = g;
		}
}

/* All entries of one list for a model: LiteLLM's has some twice, with and without the provider in front. */
static void
take_list(struct importing *i, const struct offer *best, const struct source **first, struct terms *ret)
{
	struct terms next;
	const struct source *s = &i->sources[best->source];
	for (uint32_t k = best->position; k < i->offers.count; k++) {
		const struct offer *o = &i->offers.row[k];
		if (o->source != best->source || o->provider != best->provider || strcmp(o->name, best->name) != 0)
			continue;
		if (!offer_terms(s, o, i->wish->date_ms, import_notes_of(i), *first == NULL ? ret : &next))
			continue;
		if (*first != NULL)
			merge(&(struct differing){i, o->name, *first, s}, ret, &next);
		else
			*first = s;
	}
}

/* A multiple that no provider has is a slip of the list, and would be dear to whoever is charged by it. */
static void
drop_absurd(struct importing *i, const struct wanted *w, struct price_group *g)
{
	uint32_t kept = 0;
	for (uint32_t k = 0; k < g->count; k++) {
		int64_t times = g->row[k].v[PRICE_times_x100];
		char what[48], tier[32];
		if (times < 0 || (times >= TIMES_LEAST && times <= TIMES_MOST)) {
			g->row[kept++] = g->row[k];
			continue;
		}
		price_value_text(PRICE_tier, g->row[k].v[PRICE_tier], tier);
		snprintf(what, sizeof what, "tier %s", tier);
		import_note(import_notes_of(i), w->names[0], what,
			"would cost less than a tenth or more than ten times the standard tier: a slip of the list, and not taken");
	}
	g->count = kept;
}

enum found
import_terms(struct importing *i, const struct wanted *w, struct terms *ret)
{
	const struct source *first = NULL;
	bool any = false;
	for (unsigned exact = 1; exact < 2; exact--) /* first those that name it, then those with a rule that it fits */
		for (uint32_t s = 0; s < i->source_count; s++) {
			const struct offer *best = best_of(i, w, s, exact);
			if (best == NULL || (!exact && best_of(i, w, s, true) != NULL))
				continue;
			any = true;
			take_list(i, best, &first, ret);
		}
	if (first == NULL)
		return any ? FOUND_UNUSABLE : FOUND_NOTHING;
	sort_groups(ret);
	for (uint32_t k = 0; k < ret->group_count; k++) {
		price_complete(&ret->group[k]);
		drop_absurd(i, w, &ret->group[k]);
	}
	return FOUND;
}
