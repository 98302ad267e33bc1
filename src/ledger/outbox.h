/*
 * The outbox: what a node has settled while PostgreSQL could not be reached (docs/decisions/0074-outbox.md). A file of its own in the data
 * directory, there only while something waits in it. Ledger process, or a command under the directory's lock; the caller has the struct's memory by
 * outbox_open().
 *
 * What is in it is given back on the board, and is booked before the ledger that finds PostgreSQL again looks at anything else. So whenever balances are
 * read from the store, nothing waits here.
 */
#ifndef LEDGER_OUTBOX_H
#define LEDGER_OUTBOX_H

#include "ledger/store.h"
#include "ticket/board.h"

enum outbox_shut { OUTBOX_TAKES, /* new requests */
	OUTBOX_FULL,
	OUTBOX_OVER /* it has been too long */ };

struct outbox_facts {
	int64_t node; /* whose it is */
	int64_t store; /* for which store (store.identity); 0: an older lethe has not said */
	int64_t requests, batches; /* that wait */
	int64_t oldest_us; /* when the first of them began, by the wall; 0: none waits */
	int64_t running; /* of which progress waits */
	int64_t refused; /* that the store would not have */
	int64_t since_us; /* by the wall; 0: nothing has begun */
	int64_t since_boot_us; /* by CLOCK_BOOTTIME */
	int64_t ceiling_ms; /* of the ids that this board may give out */
	int64_t limit_ms; /* above which that is never raised: another may have them; 0: not known */
	int64_t shut; /* enum outbox_shut, as it was said last */
};

enum outbox_put { OUTBOX_PUT,
	OUTBOX_THERE,
	OUTBOX_OTHER /* the id is there with other contents */ };

struct outbox;

bool outbox_exists(const char *data_dir);
/* NULL: ret_why says why. Made if it is not there, for this node and store; one of another node or another store is refused. */
must_check struct outbox *outbox_open(const char *data_dir, int64_t node, int64_t store, char ret_why[STORE_WHY_MAX]);

enum outbox_seen { OUTBOX_ABSENT,
	OUTBOX_SEEN,
	OUTBOX_NEWER, /* its layout is not known here, and nothing was read */
	OUTBOX_UNREADABLE };
/*
 * Beside a server that has it, or without one: nothing can be written, and between two calls nothing is locked. What an older lethe did not keep is 0. Of the
 * rest of this header it may be asked for facts and for what waits. *ret is set when it was SEEN; the caller closes it.
 */
must_check enum outbox_seen outbox_open_reader(const char *data_dir, struct outbox **ret);
/* The same for the facts alone. False: not SEEN. */
must_check bool outbox_look(const char *data_dir, struct outbox_facts *ret);
void outbox_close(struct outbox **o);
/* Nothing waits in it any more: the file goes, unless something was put aside. */
void outbox_remove(struct outbox **o, const char *data_dir);
const struct outbox_facts *outbox_facts(const struct outbox *o);
/* How long the oldest request has waited by this time of the wall, which may have been set back; 0: none waits. */
uint64_t outbox_age_s(const struct outbox_facts *f, uint64_t now_us);
int outbox_code(const struct outbox *o); /* SQLite's, of the last failure */

/*
 * A transaction, on the disk when it is committed. False: failed, and as far as this connection can tell nothing of it is there; the same is done again.
 */
must_check bool outbox_begin(struct outbox *o);
must_check bool outbox_end(struct outbox *o, bool ok);

/* Inside one. A settled ticket has no progress any more. False: failed. */
must_check bool outbox_settle(struct outbox *o, const struct ticket_copy *t, enum outbox_put *ret);
must_check bool outbox_progress(struct outbox *o, const struct ticket_copy *t);
/* Each a transaction of its own. */
must_check bool outbox_begun(struct outbox *o, int64_t wall_us, int64_t boot_us, int64_t limit_ms);
must_check bool outbox_raise(struct outbox *o, int64_t ceiling_ms);
must_check bool outbox_say_shut(struct outbox *o, enum outbox_shut shut);

/* Those with the lowest ids above `after`; how many, -1: failed. Settled ones belong to no place on the board. */
int outbox_read_settled(struct outbox *o, int64_t after, struct ticket_copy *ret, int max);
int outbox_read_progress(struct outbox *o, int64_t after, struct ticket_copy *ret, int max);
/* One that the store will not have in any way is kept for people, in a table of its own. */
must_check bool outbox_put_aside(struct outbox *o, int64_t id);
must_check bool outbox_drop_settled(struct outbox *o, int64_t to);
/* Progress, and that anything ever began. */
must_check bool outbox_drop_rest(struct outbox *o);

#endif
