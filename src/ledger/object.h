/*
 * Which files an account keeps at providers: written down when one was made, by its sealed id, and forgotten some days after it is gone. What each of them is,
 * only its provider says (docs/decisions/0072). Ledger only.
 */
#ifndef LEDGER_OBJECT_H
#define LEDGER_OBJECT_H

#include "ledger/ledger_priv.h"
#include "ticket/messages.h"

/* Repeatable. DONE: it is so; LATER: the store failed. */
enum work_result ledger_object(struct ledger *l, const struct message_object *m);
/* A page of an account's objects of one kind; of its work: ledger_work_list(). */
void ledger_object_list(struct ledger *l, const struct message_object_list_wanted *m, struct message_work_listed *ret);

#endif
