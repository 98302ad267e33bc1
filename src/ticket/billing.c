#include "ticket/billing.h"

#include "ticket/end_reasons.h"

enum billing
billing_of(uint8_t end_reason)
{
	switch (end_reason) {
#define X(name, number, status, severity, type, code, billing, text) \
	case number: \
		return BILLING_##billing;
		END_REASONS(X)
#undef X
	default:
		return BILLING_REPORTED;
	}
}

bool
billing_cut_short(uint8_t end_reason)
{
	return end_reason == END_INTERRUPTED || end_reason == END_NODE_FORGOTTEN;
}

bool
billing_free_leg(const struct ticket_facts *f, struct nano cost)
{
	return f->parent != 0 && cost.v == 0 && billing_of(f->end_reason) == BILLING_NONE;
}
