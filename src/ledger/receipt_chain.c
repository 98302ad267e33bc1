/* The end of each account's chain of receipts: remembered for those that were booked last, read for all of a batch at once. */
#include "ledger/ledger_priv.h"

#include <stdlib.h>
#include <string.h>

enum { CHAINS_OF_SET = 4, /* accounts that share a place: as many as that are remembered side by side */
	CHAIN_SETS = CHAINS_KNOWN / CHAINS_OF_SET };

static struct chain_known *
set_of(struct receipts *r, uint64_t account)
{
	return &r->chains[(account * 0x9e3779b97f4a7c15ULL >> 40) % CHAIN_SETS * CHAINS_OF_SET];
}

static const struct chain_known *
find(struct receipts *r, uint64_t account)
{
	const struct chain_known *set = set_of(r, account);
	for (size_t i = 0; i < CHAINS_OF_SET; i++)
		if (set[i].account == account)
			return &set[i];
	return NULL;
}

void
receipts_known(struct ledger *l, uint64_t account, const struct chain_end *end)
{
	struct chain_known *set = set_of(&l->receipts, account);
	size_t i = 0;
	while (i + 1 < CHAINS_OF_SET && set[i].account != account)
		i++;
	/* Who came last is in front, and who came first makes room. */
	memmove(set + 1, set, i * sizeof(*set));
	set[0] = (struct chain_known){account, *end};
}

void
receipts_forget(struct receipts *r)
{
	memset(r->chains, 0, CHAINS_KNOWN * sizeof(*r->chains));
}

/* ---- reading ---- */

struct reading {
	struct ledger *l;
	struct store_leaves leaves;
	struct chain_end *last; /* for who asks for one */
};

/* id, chain_place, chain_leaf, the first leaf of that one's booking, its hash where the statement gives it: by itself otherwise, for all of a booking are much. */
static bool
take_chain(void *arg, struct query *st)
{
	struct reading *r = arg;
	struct ledger *l = r->l;
	struct chain_end end = {.place = (uint64_t)sql_int(st, 1), .leaf = sql_int(st, 2)};
	if (end.place > 0) {
		if (sql_is_null(st, 3))
			return false;
		if (sql_len(st, 4) == MERKLE_BYTES)
			memcpy(end.hash.at, sql_blob(st, 4), MERKLE_BYTES);
		else if (!store_leaf(&l->store, &r->leaves, sql_int(st, 3), end.leaf, end.hash.at))
			return false;
	}
	receipts_known(l, (uint64_t)sql_int(st, 0), &end);
	*r->last = end;
	return true;
}

static bool
read_chains(struct ledger *l, const int64_t *accounts, size_t count, struct chain_end *ret_last)
{
	struct reading r = {.l = l, .last = ret_last};
	bool ok = sql_rows_of(&l->store, store_sql(&l->store, SQL_account_chain), accounts, count, take_chain, &r);
	store_leaves_close(&l->store, &r.leaves);
	return ok;
}

bool
receipts_chains(struct ledger *l, int64_t *accounts, size_t count)
{
	struct chain_end last;
	size_t unknown = 0;
	for (size_t i = 0; i < count; i++)
		if (find(&l->receipts, (uint64_t)accounts[i]) == NULL)
			accounts[unknown++] = accounts[i];
	return read_chains(l, accounts, unknown, &last);
}

bool
receipts_chain(struct ledger *l, uint64_t account, struct chain_end *ret)
{
	const int64_t number = (int64_t)account;
	const struct chain_known *k = account != 0 ? find(&l->receipts, account) : NULL;
	*ret = k != NULL ? k->end : (struct chain_end){.leaf = -1};
	return k != NULL || read_chains(l, &number, 1, ret); /* no such account: the booking will be refused */
}
