/* A node whose PostgreSQL is away and comes back, in a world: for tests. */
#ifndef LEDGER_OUTBOX_WORLD_H
#define LEDGER_OUTBOX_WORLD_H

#include "ledger/ledger_world.h"

extern const struct world_exchange outbox_world_small;

/* The only node of a store that several may have, with all of the account's balance on its board. */
uint64_t outbox_world_begin(struct world *w, const char *credit);
/* One small request, as an edge does it. False: there is too little. */
bool outbox_world_serve(struct world *w, uint64_t account);
/* The ledger dies, and its next one finds the store, or doesn't. */
void outbox_world_open_again(struct world *w, bool cut_off);
void outbox_world_book_all(struct world *w);
/* What the account has on the board. */
int64_t outbox_world_on_board(struct world *w, uint64_t account);
/* All that was handed in is in the books once, the slot has what the store says, and nothing waits. */
void outbox_world_is_right(struct world *w, uint64_t account, int64_t requests, int64_t left);
/* A number of the node, as a command has it. */
int64_t outbox_world_waits(struct world *w, const char *what);
/* The row OUTBOX of `ledger verify`, as a command has it: where it says something of these numbers, or nothing. */
void outbox_world_verify_says(struct world *w, const char *what, int64_t waits_there, int64_t aside);
/* The store is there again, and its server is not: a command looks at both. */
void outbox_world_only_a_command(struct world *w);
void outbox_world_copy_file(const struct world *w, const char *from, const char *to);

#endif
