#include "ledger/ticket_same.h"

#include "ticket/end_reasons.h"
#include "ticket/ticket_fields.h"

static bool
facts_same(const struct ticket_facts *a, const struct ticket_facts *b)
{
#define X(name, type, unit, meaning, promise) &&a->name == b->name
	return true TICKET_FIELDS(X);
#undef X
}

static bool
cut_short_both_times(const struct ticket_facts *a, const struct ticket_facts *b)
{
	return a->end_reason == END_INTERRUPTED && b->end_reason == END_INTERRUPTED && a->started_us == b->started_us && a->key == b->key && a->account == b->account &&
		a->price == b->price && a->parent == b->parent && a->model == b->model && a->endpoint == b->endpoint;
}

bool
ticket_same(const struct ticket_copy *there, const struct ticket_copy *again)
{
	const struct ticket_facts *a = &there->facts, *b = &again->facts;
	return there->id == again->id && there->cost.v == again->cost.v && there->hold.v == again->hold.v && (facts_same(a, b) || cut_short_both_times(a, b));
}
