/* Where the rows of limits lie on the board: between board.c, which lays it out, and limit.c. */
#ifndef TICKET_LIMIT_PRIV_H
#define TICKET_LIMIT_PRIV_H

#include "ticket/limit.h"

struct limit_table {
	_Atomic uint32_t count; /* rows that are a subject's */
	_Atomic uint64_t subjects[]; /* of each: a look-up doesn't touch the rows */
};

/* NULL: this board has none. */
struct limit_table *board_limits(const struct board *b);
uint32_t board_limit_rows(const struct board *b);

static inline size_t
limit_rows_at(uint32_t rows)
{
	return (sizeof(struct limit_table) + (size_t)rows * sizeof(uint64_t) + 4095) / 4096 * 4096;
}

static inline size_t
limit_bytes(uint32_t rows)
{
	return rows ? limit_rows_at(rows) + (size_t)rows * sizeof(struct limit_row) : 0;
}

static inline struct limit_row *
limit_rows(struct limit_table *t, uint32_t rows)
{
	return (struct limit_row *)(void *)((char *)t + limit_rows_at(rows));
}

#endif
