/*
 * Shares: what this node may spend of an account on a store that several servers have open at once (docs/decisions/0070-nodes.md). Where one has it
 * alone, none of this is called. Ledger only.
 *
 * A row is an account, or a window of a limit of money (limit_budget_row()). What a slot of the board has is the node's share, not the balance: INV-18. A move between the two is a ticket of the ledger's own, booked by one transaction that
 * writes its id down as the node's last move; so whoever finds the ticket later knows whether it is booked.
 */
#ifndef LEDGER_SHARE_PRIV_H
#define LEDGER_SHARE_PRIV_H

#include "ledger/ledger_priv.h"

/* Several servers have this store. */
bool share_on(const struct ledger *l);
/* What the store says that this node may spend. False: no such account, or the store failed. */
must_check bool share_balance(struct ledger *l, uint64_t row, struct nano *ret);
/* LOAD of an edge that needs so much (0: not known): the row on the board, with more if there is more. As ledger_load_row(). */
uint32_t share_load(struct ledger *l, uint64_t account, int64_t need_nano, uint32_t *ret_slot);
/* There is more of it: who asks is not told again that there was too little. */
void share_credited(struct ledger *l, uint64_t account);
/* What lies idle of this row here goes back. False: the store failed. */
must_check bool share_return(struct ledger *l, uint64_t account);
/* So much of the account is to be nobody's share: what lies idle here goes back, and others are told. */
must_check bool share_make_free(struct ledger *l, uint64_t account, int64_t nano);
/* It was too little a moment ago, and those who have more of it were asked: with what they have it would be enough, or the store does not say. */
must_check bool share_may_come(struct ledger *l, uint64_t account, int64_t nano);
/* The limit of money of this number is to be another, in all of its windows; what its nodes have of it stays theirs. Inside a transaction. */
must_check bool share_amend(struct ledger *l, uint64_t number, int64_t amount);
/* Limits of this key or account were changed: there may be more of their windows now, and who asks is not told again that there was too little; or too much is here. */
must_check bool share_limits_changed(struct ledger *l, uint64_t subject);
/* Windows of which more is used and lent than their limit is: what lies idle of them here goes back. False: the store failed. */
must_check bool share_return_excess(struct ledger *l);
/* All that a node has goes back: of one that has no board. */
must_check bool share_return_all(struct ledger *l, int64_t node);
/* A move that a ledger before this one began. Inside the transaction of a batch. REFUSED: it is not booked and can't be, the ticket is to be dropped. */
enum ordered share_book(struct ledger *l, const struct ticket_copy *t);
/* What others want goes back, and what they have changed is made known here. */
void ledger_share_when_due(struct ledger *l, uint64_t now_monotonic_ms);
/* From which change on; before keys and limits are read. */
must_check bool share_begin(struct ledger *l);

#endif
