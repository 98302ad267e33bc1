/* What the two halves of the model share: exchanges (books.c) and orders (books_orders.c). Tests only. */
#ifndef SIMULATION_BOOKS_PRIV_H
#define SIMULATION_BOOKS_PRIV_H

#include "simulation/sim.h"

#include "ledger/orders.h"

enum { TICKETS_MAX = 1024,
	SAID_MAX = 24U,
	ITEMS_MAX = 128,
	LOOKS_MAX = 16 };

enum ticket_fate { NOTHING, /* it was never held */
	RESERVING,
	HELD,
	SETTLING, /* it is being handed in */
	SETTLED,
	ORPHAN, /* its edge died while it was held */
	UNBORN, /* its edge died while it was being held */
	FORGED,
	BOOKED,
	CUT, /* the power went, and what the store has of it is not known yet */
	LOST };

struct book_ticket {
	struct exchange_facts f;
	enum ticket_fate state;
	int64_t more; /* what it is being extended to */
	int64_t booked;
	uint32_t slab; /* of its edge, which is dead; 0: it is not */
	bool reaped; /* and that is known */
	bool was_orphan; /* before the power went */
	uint32_t looked; /* the look that saw it booked */
	uint32_t said, certain; /* how many; the last that was certainly said */
	bool was_held; /* when the round began, and this was certain: */
	uint32_t was_certain;
	bool written; /* as progress: at least this one of what it has said */
	uint32_t written_at;
	int64_t say[SAID_MAX]; /* costs; the first: nothing */
};

struct book_item {
	uint64_t id;
	enum item_kind kind;
	enum item_state state;
	int a, b;
	int64_t amount, open, expires_s;
	uint64_t peer; /* a dispute's payment */
};

/* Free credit of an account: what is spent is taken from it, as long as there is any. */
struct book_gifts {
	int64_t given, spent, gone; /* gone: went back, its time was over */
	uint32_t looked; /* the look that saw something spent last */
	bool loose; /* it was spent from while it went back: which of the two was first, nobody can say */
};

struct books {
	struct book_gifts gifts[SIM_ACCOUNTS];
	int64_t balance[SIM_ACCOUNTS], owed[SIM_ACCOUNTS], house[HOUSE_COUNT];
	int64_t last, tickets, tickets_nano; /* bookings seen */
	struct book_ticket ticket[TICKETS_MAX];
	uint32_t count, looks;
	struct book_item item[ITEMS_MAX];
	uint32_t items;
};
extern struct books books;

struct booked_order {
	int64_t booking, what, nano; /* nano: the customer's posting */
	uint64_t item;
	char ref[80];
};

/* It has exchanges, or had some when it was looked at last, or before the power went. */
bool account_is_busy(int account);
/* Something of it may be held. */
bool ticket_keeps(const struct book_ticket *t);
/* A literal. The statement is to be reset, and is books.c's. */
struct query *look_sql(const char *text);
void books_spent(int account, int64_t nano);
void books_order(const struct booked_order *o);
void books_items_at_rest(void);

/* ---- books_windows.c: limits of money; in the stories that are about them ---- */

bool windows_on(void);
void windows_begin(void);
/* It has taken something: is there so much of its windows? */
void windows_took(const struct book_ticket *t);
/* It is booked; its state is the one before. */
void windows_paid(const struct book_ticket *t, int64_t cost, bool interrupted);
/* Of a look: before its bookings, and after them. */
void windows_look_at_limits(void), windows_look(void);

#endif
