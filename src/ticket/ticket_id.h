/*
 * Ticket ids: 63 bits, unique for ever, ordered by time over all nodes. Edge (for its tickets) and
 * ledger (for its own); pure. docs/decisions/0003-ticket-ids.md says why they are unique without
 * trusting a clock.
 *
 * milliseconds since 2020 40 | counter 8 | node 8 | writer 7. Writers 0 .. 125 are the node's edges of
 * all generations, 127 is its ledger.
 */
#ifndef TICKET_TICKET_ID_H
#define TICKET_TICKET_ID_H

#include "core/base.h"

enum { TICKET_ID_WRITER_LEDGER = 127,
	TICKET_ID_NODES_MAX = 256 };

/* Unix milliseconds of 2020-01-01T00:00:00Z: where the ids' time begins. */
#define TICKET_ID_EPOCH_MS 1577836800000ULL

/* Who makes ids, and between which times (Unix milliseconds, both included) they may lie. */
struct ticket_id_range {
	uint64_t floor_ms, ceiling_ms;
	uint32_t node, writer;
};

/*
 * The id after `prev` (0: none yet): as late as now_ms where the range allows it, always above
 * prev. 0: the ceiling is reached (or was never set), there is no id until the ledger raises it.
 */
uint64_t ticket_id_next(const struct ticket_id_range *range, uint64_t prev, uint64_t now_ms);

/* No id of that time or later is less. */
uint64_t ticket_id_first(uint64_t unix_ms);

/* The parts again: for people and for checks. */
uint64_t ticket_id_unix_ms(uint64_t id);
uint32_t ticket_id_node(uint64_t id);
uint32_t ticket_id_writer(uint64_t id);

#endif
