/*
 * A storm over several servers on one PostgreSQL: each in this process with a board, an edge's desk and a data directory of its own. What is done, by whom and in
 * which order comes from a seed; how the database lets statements overtake each other does not. For tests.
 */
#ifndef LEDGER_NODE_STORM_H
#define LEDGER_NODE_STORM_H

#include "ledger/node_world.h"

enum { STORM_NODES = 4,
	STORM_ACCOUNTS = 2, /* the first has a limit of money a day */
	STORM_HANDS = 4096,
	STORM_ORDERS = 512 };

/* A request, as its client knows it. */
struct storm_hand {
	uint64_t id, seq;
	struct ticket *ticket; /* NULL: its board is gone */
	int64_t cost; /* as its edge has stated it last */
	uint8_t node, account;
	bool limited; /* it has a leg in the window */
	bool runs; /* else it was handed in, by whoever */
	bool orphan; /* its edge died, and nobody is told what becomes of it */
	bool acked; /* its client knows that it is booked, or kept */
	bool booked; /* it was seen in the books */
	bool doubt; /* its board was lost, or its node forgotten, before it was booked: it may cost less, or be gone if it was not acked */
};

struct storm_order {
	int64_t nano;
	uint8_t account;
	enum { STORM_IN_DOUBT,
		STORM_TAKEN,
		STORM_NOT_TAKEN } outcome;
};

struct storm_node {
	struct world w;
	struct ticket_leg known[STORM_ACCOUNTS + 1]; /* to its edges: where accounts and, last, the window lie on the board */
	bool forgotten; /* since its board began */
	bool settled; /* what it left then was settled: nothing is lent to it before it joins again */
	bool stale; /* it was stopped: its edges take nothing before its ledger has been heard of */
};

struct storm {
	uint64_t seed, random;
	unsigned step, nodes;
	bool verbose;
	struct storm_node node[STORM_NODES];
	uint64_t account[STORM_ACCOUNTS], window;
	int64_t begun_with[STORM_ACCOUNTS], most_limit;
	struct storm_hand hand[STORM_HANDS];
	struct storm_order order[STORM_ORDERS];
	unsigned hands, orders;
};
extern struct storm storm;

/* Told with -v. */
void storm_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- node_storm_books.c: what is true, asked from outside ---- */

void storm_look_begin(void);
void storm_look_end(void);
/* A statement by a session that is none of the servers'. */
void storm_say(const char *sql);
int64_t storm_number(const char *sql);
/* This process is killed as soon as a move of a share is in the store. */
extern bool storm_dies_in_move;
/* The database ends without a word, as by a power cut of its machine, and comes back. */
void storm_restart_database(void);
/* What clients were told is true, each booking is of a request or an order, none comes twice, and each balance is what came without what was charged. */
void storm_check(void);
/* What is on the board of a server is its share, where nothing is under way there. */
void storm_check_board(struct storm_node *n);
/* All is at rest. */
void storm_check_end(void);

/* ---- node_storm.c ---- */

/* One seed, of so many servers and steps. Whatever is wrong ends the process. */
void storm_run(uint64_t seed, unsigned nodes, unsigned steps);

#endif
