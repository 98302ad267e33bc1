/*
 * A small world for the ledger's tests: a directory, a catalogue of two models, a board with an
 * edge's desk, a ledger that may be killed and started again. Tests only; the caller has the
 * struct, world_end() frees what is in it.
 */
#ifndef LEDGER_LEDGER_WORLD_H
#define LEDGER_LEDGER_WORLD_H

#include "ledger/ledger_priv.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { WORLD_SLOTS = 64,
	WORLD_TICKETS = 4096,
	WORLD_COUNTERS = 4096,
	WORLD_POSTGRES_FIRST = 7 /* the schema of the first that PostgreSQL had */ };

struct world_catalogue {
	struct catalogue head;
	struct catalogue_provider provider[1];
	struct catalogue_model model[2];
	struct catalogue_price price[3];
	struct catalogue_name name[2];
	struct catalogue_price_ref ref[3];
	_Alignas(8) struct catalogue_lane lane[1];
	_Alignas(8) struct catalogue_target target[2];
};

struct world {
	char dir[64];
	char store[256]; /* PostgreSQL's address, with a schema of this world's own; "": the file in dir */
	bool cut_off; /* PostgreSQL can't be reached */
	uint8_t pepper[API_KEY_PEPPER_BYTES];
	struct world_catalogue catalogue;
	struct board_size size;
	void *board_memory, *keys_memory, *desk_memory, *tally_memory, *counters; /* counters: WORLD_COUNTERS apart, of the edges and, two of them, of the processes */
	struct tally *tally;
	struct circuits *circuits; /* NULL: there are none */
	struct board *edge_board, *ledger_board;
	struct ticket_desk *desk;
	uint32_t incarnation;
	struct ledger *ledger;
	uint64_t now_ms; /* monotonic, as the rounds are told */
};

/* A directory, a new board and a ledger on it. */
void world_begin(struct world *w);
void world_begin_sized(struct world *w, uint32_t slots);
/* Of several edges, the world's own has the first slab. */
void world_begin_with(struct world *w, const struct board_size *size);
void world_end(struct world *w);

/*
 * The ledger ends in order; dies (its memory is dropped, nothing is flushed); begins, with or
 * without the board.
 */
void world_close(struct world *w);
void world_kill_ledger(struct world *w);
void world_open(struct world *w, bool with_board);
/* False: it can't be opened or started. */
must_check bool world_try_open(struct world *w, bool with_board, char why[256]);
/* The tests run beside a PostgreSQL, whose address is in LETHE_TEST_POSTGRES (tool/with_postgres.sh): the worlds' stores are in it. */
bool world_on_postgres(void);
void world_on_server(const char *address, const char *sql);
/* The address of a new schema of that database. */
void world_schema(const char *address, char ret[256]);
/* The world's own, before its end: thousands of them in one database would be too much for it. */
void world_drop_schema(struct world *w);
/* Its directory has had no books in PostgreSQL: other ones may be opened as its own. */
void world_forget_books(const struct world *w);
/* A statement that damages the store, as SQLite has it. */
void world_damage(struct world *w, const char *sql);
/* In place of its store, one as so many migrations leave it, at least PostgreSQL's first, with what this SQL puts there. The board is new. */
void world_make_older(struct world *w, int64_t schema, const char *business);
/* In place of its file, one of an older schema: "old" has seven dollars. The board is new. */
void world_make_old(struct world *w);
/* The board is lost, as by a power cut; the next one is new. */
void world_lose_board(struct world *w);
/* The edge died and was reaped; the next one takes its slab. */
void world_kill_edge(struct world *w);

/* The round in which progress is due next, whatever time has gone by on the ledger's own clock since it was last written. */
int world_progress(struct world *w);
/* One round, 50 ms later. */
int world_round(struct world *w);

/* Ask by a format of json_pack; the answer is the caller's. */
json_t *world_ask(struct world *w, const char *format, ...);
/* The answer must be ok / must be this error. */
json_t *world_must(struct world *w, const char *format, ...);
void world_refused(struct world *w, const char *code, const char *format, ...);

uint64_t world_account(struct world *w, const char *name, const char *credit);
int64_t world_balance(struct world *w, uint64_t account);
/* `ledger verify` finds nothing, and the tally is what was booked since the board began; or finds exactly this invariant broken. */
void world_is_sound(struct world *w);
bool world_is_broken(struct world *w, const char *inv);
/*
 * live() in a process of its own, killed before its at-th system call. False: it had ended before. How far apart those that are tried lie: all of them by
 * LETHE_CRASH_STRIDE=1.
 */
must_check bool world_killed_before_call(void (*live)(void *arg), void *arg, uint64_t at);
uint64_t world_stride(void);
/* One number from the store. */
int64_t world_sql(struct world *w, const char *sql);

struct world_exchange {
	uint64_t account, key;
	unsigned model; /* 0 or 1 */
	uint32_t input, output;
	int64_t hold; /* 0: a little more than it costs */
	int64_t cost; /* -1: what it costs */
	uint8_t end_reason; /* 0: completed */
	uint64_t window; /* of a limit of money, that it is paid from as well; 0: none */
	uint64_t parent; /* the ticket that was answered where this attempt failed; 0: none */
};
/* Held, and its cost stated; NULL when SHORT. */
struct ticket *world_hold(struct world *w, const struct world_exchange *e);
/* On slots that the edge knows: there may be no ledger. */
struct ticket *world_hold_on(struct world *w, const struct world_exchange *e, const struct ticket_leg *legs, unsigned count);
/* Held and handed in: its id; 0 when SHORT. */
uint64_t world_exchange(struct world *w, struct world_exchange e);
int64_t world_cost(const struct world *w, const struct world_exchange *e);

#endif
