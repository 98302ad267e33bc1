#include "ticket/ticket_id.h"

enum { WRITER_BITS = 7,
	NODE_BITS = 8,
	COUNTER_BITS = 8,
	MS_BITS = 40 };
enum { STEP_SHIFT = WRITER_BITS + NODE_BITS,
	MS_SHIFT = STEP_SHIFT + COUNTER_BITS };

#define MS_MAX ((1ULL << MS_BITS) - 1)

static uint64_t
since_epoch(uint64_t unix_ms)
{
	if (unix_ms < TICKET_ID_EPOCH_MS)
		return 0;
	uint64_t ms = unix_ms - TICKET_ID_EPOCH_MS;
	return ms < MS_MAX ? ms : MS_MAX;
}

uint64_t
ticket_id_next(const struct ticket_id_range *range, uint64_t prev, uint64_t now_ms)
{
	uint64_t floor = since_epoch(range->floor_ms), ceiling = since_epoch(range->ceiling_ms);
	uint64_t ms = since_epoch(now_ms);
	ms = ms > ceiling ? ceiling : ms;
	ms = ms < floor ? floor : ms;
	/*
	 * Time and counter as one number: the counter's overflow is the next millisecond, which only
	 * the ceiling bounds.
	 */
	uint64_t step = ms << COUNTER_BITS, after = (prev >> STEP_SHIFT) + 1;
	step = prev && step < after ? after : step;
	if (range->ceiling_ms < TICKET_ID_EPOCH_MS || step >> COUNTER_BITS > ceiling)
		return 0;
	return step << STEP_SHIFT | (uint64_t)(range->node & 0xff) << WRITER_BITS | (range->writer & 0x7f);
}

uint64_t
ticket_id_first(uint64_t unix_ms)
{
	return since_epoch(unix_ms) << MS_SHIFT;
}

uint64_t
ticket_id_unix_ms(uint64_t id)
{
	return (id >> MS_SHIFT) + TICKET_ID_EPOCH_MS;
}

uint32_t
ticket_id_node(uint64_t id)
{
	return id >> WRITER_BITS & 0xff;
}

uint32_t
ticket_id_writer(uint64_t id)
{
	return id & 0x7f;
}
