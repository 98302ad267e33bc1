/*
 * The catalogue, compiled: providers, lanes, targets, models, aliases and prices as one block of fixed-size rows
 * without pointers, made from the configuration file by the supervisor, read-only for everybody else (edge,
 * dialer, ledger, scribe map the same memfd). Names are the operator's own; provider keys are not in it.
 *
 * Ids of providers, models and prices are hashes of their names and contents (64 or 32 bits, collisions
 * refused at compile time), so that they mean the same in every version of the file and on every node.
 */
#ifndef TICKET_CATALOGUE_H
#define TICKET_CATALOGUE_H

#include "core/base.h"
#include "ticket/endpoints.h"
#include "ticket/tokenizers.h"
#include "ticket/usage.h"

enum {
	CATALOGUE_NAME_MAX = 128, /* with terminator */
	CATALOGUE_HOST_MAX = 256,
	CATALOGUE_PATH_MAX = 128,
	CATALOGUE_HEADERS_MAX = 8,
	CATALOGUE_HEADER_MAX = 64,
	CATALOGUE_KEYS_MAX = 16, /* keys per provider */
	CATALOGUE_LANES_MAX = 16,
	CATALOGUE_LANE_NAME_MAX = 32, /* with terminator */
	CATALOGUE_TARGETS_MAX = 16, /* of one model */
	CATALOGUE_REGION_MAX = 16, /* with terminator */
};

enum cancel_policy { CANCEL_UPSTREAM,
	DRAIN_UPSTREAM }; /* client gone: close the provider's connection, or read on for its usage */

/* One provider: where and how it is spoken to. */
struct catalogue_provider {
	uint32_t id; /* hash of the name */
	uint32_t key_count; /* the keys themselves are handed to edges' vaults by (provider index, key index) */
	char name[CATALOGUE_NAME_MAX];
	char host[CATALOGUE_HOST_MAX];
	uint16_t port;
	bool tls;
	bool inner; /* by its name a host of the operator's own network: its addresses need not be public */
	bool inject_usage; /* stream_options.include_usage may be injected */
	bool old_cap; /* chat: knows max_tokens, not max_completion_tokens */
	uint8_t cancel; /* enum cancel_policy */
	bool store; /* it may keep answers (store: true) */
	bool objects; /* customers may keep files there */
	bool no_responses; /* openai: it has no Responses API */
	bool safety; /* it is told who asks, as a hash */
	bool completions; /* openai: it has the old completions */
	bool http2; /* tls: offered, and spoken if the provider chooses it */
	uint8_t trust; /* tls: whose word about its certificate is taken; number of a SECRET_TRUST */
	uint8_t dialect; /* enum dialect: which endpoints reach it, and how it takes its key */
	char base_path[CATALOGUE_PATH_MAX]; /* "/v1" */
	/* Request headers that this provider wants passed through besides the dialect's allow-list (lower case). */
	uint32_t pass_header_count;
	char pass_header[CATALOGUE_HEADERS_MAX][CATALOGUE_HEADER_MAX];
};

/*
 * One row of the price book. Rows of a model stand together, newest start first; those of one start are a group: the base row (standard tier,
 * from the first token), then by tier and by the size of the request from which they are in force, for the whole of it.
 */
struct catalogue_price {
	uint64_t id; /* hash of model, start, tier, size and amounts */
	uint64_t from_ms; /* in force from here, wall clock */
	int64_t pico[TOKEN_KIND_COUNT]; /* per token; fallbacks are resolved */
	int64_t request_nano; /* per request */
	int64_t tool_nano[TOOL_KIND_COUNT]; /* per piece */
	uint32_t above_tokens; /* in force when the prompt has more tokens than this */
	uint16_t geo_us_x100; /* what tokens cost × 100 when inference was bound to the US; 0 or 100: the same */
	uint8_t tier; /* enum service_tier */
};

/* Which requests go to one place among equals. */
enum sticky { STICKY_CACHE, /* those that can hit one prompt cache */
	STICKY_KEY, /* those of one key */
	STICKY_NONE };

/* Which of several targets of one rank is asked. */
enum choice_rule { CHOICE_WEIGHT, /* its share of the requests, by weight; of those that belong together the same */
	CHOICE_LOAD, /* the one with the least in progress, for its weight */
	CHOICE_SPEED, /* the one that has answered soonest of late, for what it has in progress */
	CHOICE_RULES };

/* A way of delivery, with an order: the first is the default. */
struct catalogue_lane {
	char name[CATALOGUE_LANE_NAME_MAX];
	uint16_t id; /* what tickets bear: a hash of the name; 0 for "direct" */
	uint8_t sticky; /* enum sticky */
	uint8_t choice; /* enum choice_rule */
};

/* Which of OpenAI's two languages a target is asked in. */
enum asked_in { ASKED_AS_CALLED, /* responses by callers of those, chat completions by all others */
	ASKED_IN_CHAT,
	ASKED_IN_RESPONSES,
	ASKED_COUNT };

/*
 * Where a model is served in one lane. A model's targets stand together, by lane, then by rank; those of one rank share the requests by weight, and
 * the next rank is for when none of them is left.
 */
struct catalogue_target {
	uint32_t id; /* hash of provider and upstream_id: the same in every lane */
	uint32_t model, provider; /* indices */
	uint32_t price_at, price_count; /* rows in prices[], ordered like a model's, or the model's themselves */
	uint32_t price_owner; /* own rows: as whose the book has them; a hash of catalogue_price_owner() */
	uint16_t lane; /* index */
	uint16_t rank, weight;
	bool own_prices; /* by a list of its own, not by the lane's factor alone */
	uint32_t byok_owner; /* own rows: as whose the book has the fees */
	uint16_t number; /* among the model's, in the order of the file */
	bool zero_retention; /* it is declared to keep nothing */
	uint8_t asked_in; /* enum asked_in; of no meaning for other dialects than OpenAI's */
	char region[CATALOGUE_REGION_MAX]; /* as declared; may be empty */
	char upstream_id[CATALOGUE_NAME_MAX];
};

struct catalogue_model {
	uint32_t id; /* hash of the public id */
	uint32_t target_at, target_count; /* rows in targets[]; one at least */
	char public_id[CATALOGUE_NAME_MAX];
	uint32_t context_tokens, output_tokens; /* window; most output */
	bool reasoning; /* hides output: an uncapped stream can't be metered in steps */
	uint8_t thinking; /* enum thinking_way: how it is told to think */
	uint16_t capabilities; /* bits of enum capability */
	uint32_t bytes_per_token_x100; /* floor: the fewest bytes a prompt token can have, × 100 */
	uint32_t image_tokens, audio_tokens, file_tokens; /* upper bound of input tokens per such part */
	uint32_t price_at, price_count; /* rows in prices[] */
	uint32_t byok_owner; /* as whose the book has the fees */
	uint32_t tokenizer; /* enum tokenizer: how its provider counts text */
	uint64_t created_s;
};

/* Names, sorted, for look-up: public ids and aliases. */
struct catalogue_name {
	char name[CATALOGUE_NAME_MAX];
	uint32_t name_len;
	uint32_t model; /* index */
	bool alias;
};

/* Prices by id, sorted: the ledger looks one up for every ticket that it books. */
struct catalogue_price_ref {
	uint64_t id;
	uint32_t price; /* index */
	uint32_t zero;
};

#define CATALOGUE_MAGIC 0x0463656874654c43ULL

struct catalogue {
	uint64_t magic, bytes, version; /* version: hash of everything behind */
	uint32_t provider_count, model_count, price_count, name_count, lane_count, target_count;
	uint32_t byok; /* 1: behind each price list stand as many rows, what the same costs by the customer's own key at the provider */
	uint32_t zero;
	uint64_t provider_at, model_at, price_at, name_at, price_ref_at, lane_at, target_at; /* offsets from the start */
};

/*
 * Check a block as a whole (sizes, indices, terminators, order). memory is aligned to 8; bytes may be more
 * than the catalogue needs. NULL: not a catalogue.
 */
must_check const struct catalogue *catalogue_attach(const void *memory, size_t bytes);

const struct catalogue_provider *catalogue_provider(const struct catalogue *c, uint32_t index);
const struct catalogue_model *catalogue_model(const struct catalogue *c, uint32_t index);
const struct catalogue_name *catalogue_name_row(const struct catalogue *c, uint32_t index);
const struct catalogue_price *catalogue_price(const struct catalogue *c, uint32_t index);
const struct catalogue_lane *catalogue_lane(const struct catalogue *c, uint32_t index);
const struct catalogue_target *catalogue_target(const struct catalogue *c, uint32_t index);

/* Of those that are in the first lane which the model has, the first. */
static inline const struct catalogue_target *
catalogue_first_target(const struct catalogue *c, const struct catalogue_model *m)
{
	return catalogue_target(c, m->target_at);
}

/* Has it a price list of its own? Its owner's name in the book, "model (lane)" or "model (lane, provider)", which no model can have. */
static inline bool
catalogue_target_has_prices(const struct catalogue *c, const struct catalogue_target *t)
{
	return t->price_at != catalogue_model(c, t->model)->price_at;
}
#define CATALOGUE_BYOK " (own key)" /* behind an owner's name: whose the fees are */
enum { CATALOGUE_OWNER_MAX = 2 * CATALOGUE_NAME_MAX + CATALOGUE_LANE_NAME_MAX + 8 + sizeof(CATALOGUE_BYOK) };
size_t catalogue_price_owner(const struct catalogue *c, const struct catalogue_target *t, char ret[CATALOGUE_OWNER_MAX]);

/* By its name, in any case of letters; the index or -1. */
int catalogue_find_lane(const struct catalogue *c, struct span name);
/* The name of the lane that tickets bear by this number; NULL: it is in this catalogue no more. */
const char *catalogue_lane_name(const struct catalogue *c, uint16_t id);

/* By public id or alias; NULL when unknown. O(log n), no allocation. */
const struct catalogue_model *catalogue_find_model(const struct catalogue *c, struct span name);

/*
 * The base price in force at now_ms, or NULL: the model must not be served. The model's own list; what a target costs may differ by lane or by an own list.
 */
const struct catalogue_price *catalogue_price_now(
	const struct catalogue *c, const struct catalogue_model *m, uint64_t now_ms);
const struct catalogue_price *catalogue_target_price_now(
	const struct catalogue *c, const struct catalogue_target *t, uint64_t now_ms);
/* The same by a customer's own key: the fee. NULL: there is none, and no such key is used. */
const struct catalogue_price *catalogue_target_fee_now(
	const struct catalogue *c, const struct catalogue_target *t, uint64_t now_ms);
/*
 * The row of the base's group that this usage is charged by. A tier without a row of its own is charged as standard, and *ret_unpriced says so. The list
 * is the target's, of which base is a row.
 */
const struct catalogue_price *catalogue_price_for(
	const struct catalogue *c, const struct catalogue_target *t, const struct catalogue_price *base, const struct usage *u, bool *ret_unpriced);
const struct catalogue_price *catalogue_price_by_id(const struct catalogue *c, uint64_t id);

#endif
