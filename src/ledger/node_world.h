/* Several ledgers on one PostgreSQL, each a world: for tests. */
#ifndef LEDGER_NODE_WORLD_H
#define LEDGER_NODE_WORLD_H

#include "ledger/ledger_world.h"

/* The first server of a store that several may have, with an account alice. */
uint64_t node_begin_shared(struct world *a, const char *credit);
uint64_t node_begin_shared_sized(struct world *a, const char *credit, uint32_t slots);
/* One more server on the store of another, which is not open now: a ledger at a time has it. */
void node_begin_beside(struct world *ret, const struct world *first, uint32_t node);
/* The books are sound. */
void node_verify(struct world *w);
/* As an edge that needs so much: it gets the row, whether there is so much or not. */
void node_ask(struct world *w, uint64_t row, int64_t nano);
/* One small request, as an edge does it: by what is there, else by what the ledger can get. False: there is too little. */
bool node_serve(struct world *w, uint64_t account);
/* What others want is looked at now. */
void node_look(struct world *w);
/* What its board has of an account or a window; 0 when it has no slot. */
int64_t node_has(struct world *w, uint64_t row);

/* From here on, and how often this process asked a database: statements, and transactions begun. */
void node_count_questions(bool on);
extern int node_asked, node_turns;

#endif
