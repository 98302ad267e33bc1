/*
 * Work at a provider that outlives its connection (a batch). What it can cost at most is set aside before it is begun, and it is paid once, when it has ended.
 *
 *   NEW     it is written down; its money may be set aside, or not
 *   HELD    it is: now the provider is asked
 *   NAMED   it runs under this id, which edges can read and nobody else: every now and then one of them is sent to look (an errand)
 *   ENDED   what it cost is paid, the rest has come back
 *
 * What has ended and can't be paid stays NAMED, and its hold open, for a reason that people see beside the hold (WORK_TROUBLES). It is looked at again, seldom: until
 * that pays it, or somebody resolves the hold by hand. Then it is paid as he said.
 *
 * Each step is repeatable by the work's id, whoever is killed in between. What stays below NAMED for an hour was never begun as far as anybody
 * knows: its edge died over it. The hold comes back. Ledger only.
 */
#ifndef LEDGER_WORK_H
#define LEDGER_WORK_H

#include "ledger/ledger_priv.h"
#include "ticket/messages.h"

/* X(NAME, number in the store, word, what it means) */
#define WORK_TROUBLES(X) \
	X(FINE, 0, "runs", "it has not ended yet, as far as anybody knows") \
	X(UNMEASURED, 1, "unmeasured", "what it used can't be seen: it has ended and the provider does not say, or the own key that it was begun with is not taken any more") \
	X(REFUSED, 2, "refused", "the ledger did not take what it cost")

/* Beside a hold: whose work it is for, and how far that has come. */
void work_put(struct ledger *l, json_t *o, uint64_t hold);
/* Into a report of the ledger: how many holds stand for want of a settlement. */
void work_put_troubles(struct ledger *l, json_t *o);

/* What an edge asks, what it is answered: m.result. */
enum work_result ledger_work(struct ledger *l, const struct message_work *m);
enum work_result ledger_work_named(struct ledger *l, const struct message_work_named *m);

/* A page of an account's work of one kind, the youngest first: what was ever known by a name, paid or not. */
void ledger_work_list(struct ledger *l, const struct message_work_list_wanted *m, struct message_work_listed *ret);

/*
 * True: somebody is to look at this; it is due again later, however that goes. Call until it is false; *ret_next_us: when there may be something again, 0: not
 * before an edge has said something.
 */
must_check bool ledger_work_due(struct ledger *l, uint64_t now_us, struct message_errand *ret, uint64_t *ret_next_us);

#endif
