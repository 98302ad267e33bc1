#include "ledger/ticket_same.h"

#include "ticket/billing.h"
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
begin_same(const struct ticket_facts *there, const struct ticket_facts *again)
{
	return there->started_us == again->started_us && there->key == again->key && there->account == again->account;
}

static bool
was_cut_short(const struct ticket_facts *there, const struct ticket_facts *again)
{
	return billing_cut_short(there->end_reason) && begin_same(there, again);
}

bool
ticket_same(const struct ticket_copy *there, const struct ticket_copy *again)
{
	const struct ticket_facts *a = &there->facts, *b = &again->facts;
	return there->id == again->id && there->cost.v == again->cost.v && there->hold.v == again->hold.v && (facts_same(a, b) || was_cut_short(a, b));
}

bool
ticket_was_forgotten(const struct ticket_copy *there, const struct ticket_copy *again)
{
	return there->id == again->id && there->facts.end_reason == END_NODE_FORGOTTEN && begin_same(&there->facts, &again->facts);
}
