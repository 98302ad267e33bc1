/*
 * Customers' own keys at providers (ticket/byok.h): which of them an exchange may use, and the few that lie open in the vault.
 *
 * The account's row of limits names its keys by number. What a number stands for the ledger keeps, sealed; the edge asks for it once, opens it, and has
 * it as long as the row names it. Before money is held an exchange waits until all keys of its account are here. What it uses is a copy of its own.
 *
 * Edge only; secrets lie in the vault.
 */
#ifndef EDGE_BYOK_H
#define EDGE_BYOK_H

#include "edge/edge_priv.h"

enum byok_state { BYOK_NONE,
	BYOK_USABLE,
	BYOK_BROKEN }; /* the account has one, and it can't be opened */

/* All keys of its account are here. False: it waits for one and comes by reserve() again, or it has ended. */
must_check bool byok_ready(struct exchange *x);
/* The account's own key at this provider (index). only: ours is not used in its place. */
enum byok_state byok_at(const struct exchange *x, uint32_t provider, bool *ret_only);
/* It is used from here on. False: there is none, or no memory. */
must_check bool byok_take(struct exchange *x, uint32_t provider);
/* It has one that may not be passed by, and that can't be used: the exchange ends, and says so. */
void byok_refuse(struct exchange *x);
void byok_drop(struct exchange *x);
struct secret byok_secret(struct byok_key *k);

void byok_came(struct edge *e, const void *message);
/* In its turn (question.h): for the first key that is not here. *ret: where it is waited for, or NULL: x goes on. */
must_check enum ipc_result byok_ask(struct exchange *x, struct line **ret);
void byok_go_on(struct exchange *x);
void byok_put_back(struct edge *e); /* the ledger was started anew */
void byok_tend(struct edge *e); /* about once a second: those that are named no more are wiped */
void byok_close(struct edge *e);

#endif
