#include "ticket/layout.h"

#include "ticket/board.h"
#include "ticket/catalogue.h"
#include "ticket/circuit.h"
#include "ticket/counters.h"
#include "ticket/end_reasons.h"
#include "ticket/events.h"
#include "ticket/key_table.h"
#include "ticket/messages.h"
#include "ticket/tally.h"

#include <string.h>

#define BEGIN 0xcbf29ce484222325ULL

/* A name, and numbers that mean something by it. */
struct row {
	const char *name;
	uint64_t a, b;
};

static const struct row counters[] = {
	{"ended", offsetof(struct counters, ended), COUNTER_END_REASONS},
	{"working_key", offsetof(struct counters, working_key), 0},
#define X(name, kind, metric, meaning) {#name, offsetof(struct counters, name), 0},
	COUNTERS(X)
#undef X
};

static const struct row processes[] = {
	{"processes", sizeof(struct process_counters), offsetof(struct process_counters, process)},
	{"circuits", sizeof(struct circuits), sizeof(struct circuit)}, /* behind them; memory that an older build made has none */
};

static const struct row events[] = {
#define X(NAME, severity, text) {#NAME, EVENT_##NAME, 0},
	EVENTS(X)
#undef X
};

static const struct row ends[] = {
#define X(NAME, number, status, severity, type, code, billing, text) {#NAME, number, 0},
#define GONE(NAME, number) {#NAME, number, 0},
	END_ROWS(X, GONE)
#undef GONE
#undef X
};

static const struct row messages[] = {
#define X(NAME, from, to, type, fd) {#NAME, MESSAGE_##NAME, sizeof(struct type) << 8 | END_OF_##from << 4 | END_OF_##to},
	MESSAGES(X)
#undef X
};

static const struct part {
	const struct row *rows;
	uint32_t count;
} parts[] = {
	[LAYOUT_COUNTERS] = {.rows = counters, .count = ARRAY_LEN(counters)},
	[LAYOUT_PROCESSES] = {.rows = processes, .count = ARRAY_LEN(processes)},
	[LAYOUT_EVENTS] = {.rows = events, .count = ARRAY_LEN(events)},
	[LAYOUT_ENDS] = {.rows = ends, .count = ARRAY_LEN(ends)},
	[LAYOUT_MESSAGES] = {.rows = messages, .count = ARRAY_LEN(messages)},
};

static const char *const names[] = {
#define X(PART, name, words) [LAYOUT_##PART] = name,
	LAYOUTS(X)
#undef X
};

static const char *const words_of[] = {
#define X(PART, name, words) [LAYOUT_##PART] = words,
	LAYOUTS(X)
#undef X
};

static uint64_t
fold(uint64_t hash, const void *at, size_t len)
{
	for (const uint8_t *p = at; len--; p++)
		hash = (hash ^ *p) * 0x100000001b3ULL;
	return hash;
}

/* 0: there are not so many rows. */
static uint64_t
hash_of(enum layout_part part, uint32_t count)
{
	const struct part *p = &parts[part];
	uint64_t hash = BEGIN;
	if (part == LAYOUT_BOARD)
		return board_layout(count);
	if (part == LAYOUT_KEYS)
		return count == 1 ? key_table_layout() : 0;
	if (count > p->count)
		return 0;
	for (uint32_t i = 0; i < count; i++) {
		hash = fold(hash, p->rows[i].name, strlen(p->rows[i].name));
		hash = fold(hash, (const uint64_t[]){p->rows[i].a, p->rows[i].b}, 2 * sizeof(uint64_t));
	}
	return hash;
}

const char *
layout_name(enum layout_part part)
{
	return names[part];
}

const char *
layout_words(enum layout_part part)
{
	return words_of[part];
}

struct layout
layout_of(enum layout_part part)
{
	uint32_t rows = part == LAYOUT_BOARD ? board_layout_fields() : part == LAYOUT_KEYS ? 1
																					   : parts[part].count;
	return (struct layout){rows, hash_of(part, rows)};
}

bool
layout_extends(enum layout_part part, struct layout other)
{
	return other.rows > 0 && other.hash != 0 && hash_of(part, other.rows) == other.hash;
}

/* Where each member stands: one that fills a hole moves others, and leaves the size as it was. */
#define AT(row, member) offsetof(struct catalogue_##row, member)
static const uint64_t places[] = {
	CATALOGUE_MAGIC,
	sizeof(struct catalogue),
	sizeof(struct catalogue_provider),
	sizeof(struct catalogue_model),
	sizeof(struct catalogue_name),
	sizeof(struct catalogue_price),
	sizeof(struct catalogue_price_ref),
	sizeof(struct catalogue_lane),
	sizeof(struct catalogue_target),
	AT(provider, name),
	AT(provider, host),
	AT(provider, port),
	AT(provider, tls),
	AT(provider, inner),
	AT(provider, inject_usage),
	AT(provider, old_cap),
	AT(provider, cancel),
	AT(provider, store),
	AT(provider, objects),
	AT(provider, no_responses),
	AT(provider, safety),
	AT(provider, completions),
	AT(provider, http2),
	AT(provider, trust),
	AT(provider, dialect),
	AT(provider, base_path),
	AT(provider, pass_header_count),
	AT(provider, pass_header),
	AT(model, public_id),
	AT(model, context_tokens),
	AT(model, reasoning),
	AT(model, thinking),
	AT(model, capabilities),
	AT(model, bytes_per_token_x100),
	AT(model, image_tokens),
	AT(model, price_at),
	AT(model, byok_owner),
	AT(model, tokenizer),
	AT(model, created_s),
	AT(name, name_len),
	AT(name, model),
	AT(name, alias),
	AT(price, pico),
	AT(price, request_nano),
	AT(price, tool_nano),
	AT(price, above_tokens),
	AT(price, geo_us_x100),
	AT(price, tier),
	AT(lane, id),
	AT(lane, sticky),
	AT(lane, choice),
	AT(target, price_at),
	AT(target, price_owner),
	AT(target, lane),
	AT(target, rank),
	AT(target, weight),
	AT(target, own_prices),
	AT(target, byok_owner),
	AT(target, number),
	AT(target, zero_retention),
	AT(target, asked_in),
	AT(target, region),
	AT(target, upstream_id),
	sizeof(struct tally_block),
	sizeof(struct tally_ledger),
};
#undef AT

uint64_t
layout_of_catalogue(void)
{
	return fold(BEGIN, places, sizeof places);
}
