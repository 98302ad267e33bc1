/*
 * The ledger while its store can't be reached, and what it does with the outbox when it can (docs/decisions/0074-outbox.md). Only on a store of several
 * servers, where a slot of the board has a share that nobody else spends. Ledger process.
 */
#ifndef LEDGER_AWAY_H
#define LEDGER_AWAY_H

#include "ledger/ledger_priv.h"
#include "ledger/outbox.h"
#include "ticket/end_reasons.h"

/* The store could not be reached, and the board has shares to go on with: l->away. False: neither; why stays, or says what is wrong with the outbox. */
must_check bool away_open(struct ledger *l, char why[STORE_WHY_MAX]);
must_check bool away_start(struct ledger *l);
/* l->batch into the outbox: fates as batch_book() leaves them. False: outcome unknown, the same again. */
must_check bool away_book(struct ledger *l);
/* After a round: are new requests taken? */
void away_gate(struct ledger *l);
/* LOAD: what is on the board, nothing else. As ledger_load_row(). */
uint32_t away_load(struct ledger *l, uint64_t row, int64_t need_nano, uint32_t *ret_slot);
/* It is time that another process looks whether the store is back: this one can't connect any more. */
bool away_is_over(const struct ledger *l, uint64_t now_ms);
json_t *away_refuses(void);
json_t *away_node_list(struct ledger *l);

/* The store is there again: all that waits is booked, before anything else. False: the store failed, or the outbox did. */
must_check bool away_forward(struct ledger *l);
/* The outbox that waits is this node's. ret_why: a sentence. */
must_check bool away_fits(const struct ledger *l, char ret_why[STORE_WHY_MAX]);

/* ---- what the other files lend it ---- */

/* batch.c: windows of limits of money, and then the account that its facts name. */
bool batch_is_sound(const struct ticket_copy *t);
/* Only those are left whose fate is FATE_REFUSED, to be booked in another way. */
void batch_keep_refused(struct batch *b);
/* progress.c, of a batch that was booked: what the store refused to charge is the house's loss, by how it ended. */
must_check bool progress_free_of_charge(struct ledger *l, struct batch *b, enum end_reason end);
/*
 * late.c, of a batch that was booked: what `lethe node forget` had settled by less than is known now. What the customer was charged stays; what was used beyond
 * what that row says is the house's loss (loss.node), once. Those are FATE_KNOWN afterwards. False: the store failed.
 */
must_check bool late_settle(struct ledger *l, struct batch *b);
must_check bool progress_put(struct ledger *l, struct ticket_copy *tickets, size_t count);
/* node.c: that the shares are somebody else's is said on the board, until a ledger finds in the store that they are this node's all the same. */
void node_lost_board(struct ledger *l);
/* ledger.c, round.c */
must_check bool ledger_attach_board(struct ledger *l);
void ledger_change_gate(struct ledger *l, enum board_gate from, enum board_gate to);

#endif
