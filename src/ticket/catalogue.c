#include "ticket/catalogue.h"

#include <string.h>
#include <strings.h>

static const void *
row(const struct catalogue *c, uint64_t at, size_t size, uint32_t index)
{
	return (const char *)c + at + (uint64_t)index * size;
}

const struct catalogue_provider *
catalogue_provider(const struct catalogue *c, uint32_t index)
{
	return index < c->provider_count ? row(c, c->provider_at, sizeof(struct catalogue_provider), index) : NULL;
}

const struct catalogue_model *
catalogue_model(const struct catalogue *c, uint32_t index)
{
	return index < c->model_count ? row(c, c->model_at, sizeof(struct catalogue_model), index) : NULL;
}

const struct catalogue_name *
catalogue_name_row(const struct catalogue *c, uint32_t index)
{
	return index < c->name_count ? row(c, c->name_at, sizeof(struct catalogue_name), index) : NULL;
}

const struct catalogue_price *
catalogue_price(const struct catalogue *c, uint32_t index)
{
	return index < c->price_count ? row(c, c->price_at, sizeof(struct catalogue_price), index) : NULL;
}

const struct catalogue_lane *
catalogue_lane(const struct catalogue *c, uint32_t index)
{
	return index < c->lane_count ? row(c, c->lane_at, sizeof(struct catalogue_lane), index) : NULL;
}

const struct catalogue_target *
catalogue_target(const struct catalogue *c, uint32_t index)
{
	return index < c->target_count ? row(c, c->target_at, sizeof(struct catalogue_target), index) : NULL;
}

size_t
catalogue_price_owner(const struct catalogue *c, const struct catalogue_target *t, char ret[CATALOGUE_OWNER_MAX])
{
	const char *parts[] = {catalogue_model(c, t->model)->public_id, " (", catalogue_lane(c, t->lane)->name, ", ", catalogue_provider(c, t->provider)->name, ")"};
	size_t len = 0;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if ((i == 3 || i == 4) && !t->own_prices)
			continue;
		size_t some = strlen(parts[i]);
		memcpy(ret + len, parts[i], some);
		len += some;
	}
	ret[len] = '\0';
	return len;
}

int
catalogue_find_lane(const struct catalogue *c, struct span name)
{
	for (uint32_t i = 0; i < c->lane_count; i++) {
		const char *lane = catalogue_lane(c, i)->name;
		if (strlen(lane) == name.len && !strncasecmp(lane, name.at, name.len))
			return (int)i;
	}
	return -1;
}

const char *
catalogue_lane_name(const struct catalogue *c, uint16_t id)
{
	for (uint32_t i = 0; i < c->lane_count; i++)
		if (catalogue_lane(c, i)->id == id)
			return catalogue_lane(c, i)->name;
	return NULL;
}

static const struct catalogue_price_ref *
price_ref(const struct catalogue *c, uint32_t index)
{
	return row(c, c->price_ref_at, sizeof(struct catalogue_price_ref), index);
}

/* Order of names: bytes, then length. */
static int
compare_names(struct span a, struct span b)
{
	size_t both = a.len < b.len ? a.len : b.len;
	int order = memcmp(a.at, b.at, both);
	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static struct span
name_span(const struct catalogue_name *n)
{
	return (struct span){n->name, n->name_len};
}

const struct catalogue_model *
catalogue_find_model(const struct catalogue *c, struct span name)
{
	uint32_t low = 0, high = c->name_count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct catalogue_name *n = catalogue_name_row(c, middle);
		int order = compare_names(name, name_span(n));
		if (order == 0)
			return catalogue_model(c, n->model);
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static const struct catalogue_price *
price_at(const struct catalogue *c, uint32_t first, uint32_t count, uint64_t now_ms)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct catalogue_price *p = catalogue_price(c, first + i);
		if (p->from_ms <= now_ms)
			return p;
	}
	return NULL;
}

const struct catalogue_price *
catalogue_price_now(const struct catalogue *c, const struct catalogue_model *m, uint64_t now_ms)
{
	return price_at(c, m->price_at, m->price_count, now_ms);
}

const struct catalogue_price *
catalogue_target_price_now(const struct catalogue *c, const struct catalogue_target *t, uint64_t now_ms)
{
	return price_at(c, t->price_at, t->price_count, now_ms);
}

const struct catalogue_price *
catalogue_target_fee_now(const struct catalogue *c, const struct catalogue_target *t, uint64_t now_ms)
{
	return c->byok ? price_at(c, t->price_at + t->price_count, t->price_count, now_ms) : NULL;
}

static uint64_t
prompt_tokens(const struct usage *u)
{
	static const bool is_output[TOKEN_KIND_COUNT] = {
		[TOKEN_output] = true,
		[TOKEN_reasoning] = true,
		[TOKEN_audio_out] = true,
		[TOKEN_image_out] = true,
	};
	uint64_t sum = 0;
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		if (!is_output[k] && __builtin_add_overflow(sum, u->tokens[k], &sum))
			return UINT64_MAX;
	return sum;
}

const struct catalogue_price *
catalogue_price_for(
	const struct catalogue *c, const struct catalogue_target *t, const struct catalogue_price *base, const struct usage *u, bool *ret_unpriced)
{
	const struct catalogue_price *end = catalogue_price(c, t->price_at) + t->price_count, *standard = base, *own = NULL;
	end += base >= end ? t->price_count : 0; /* a fee's */
	for (const struct catalogue_price *p = base; p < end && p->from_ms == base->from_ms; p++) {
		if (p->above_tokens && prompt_tokens(u) <= p->above_tokens)
			continue;
		if (p->tier == TIER_standard)
			standard = p;
		if (p->tier == u->tier)
			own = p;
	}
	*ret_unpriced = own == NULL;
	return own ? own : standard;
}

const struct catalogue_price *
catalogue_price_by_id(const struct catalogue *c, uint64_t id)
{
	uint32_t low = 0, high = c->price_count;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct catalogue_price_ref *r = price_ref(c, middle);
		if (r->id == id)
			return catalogue_price(c, r->price);
		if (id < r->id)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* ---- checks ---- */

/* Text of 1 .. cap − 1 bytes with its terminator inside. */
static bool
text_ok(const char *s, size_t cap)
{
	return s[0] != '\0' && memchr(s, '\0', cap) != NULL;
}

/* A byte other than 0 and 1 in a bool is undefined behaviour for its reader. */
static bool
bool_ok(const bool *b)
{
	uint8_t byte;
	memcpy(&byte, b, 1);
	return byte <= 1;
}

static bool
section_ok(const struct catalogue *c, uint64_t at, uint32_t count, size_t size)
{
	return at % 8 == 0 && at >= sizeof *c && at <= c->bytes && count <= (c->bytes - at) / size;
}

static bool
provider_ok(const struct catalogue_provider *p)
{
	if (!bool_ok(&p->tls) || !bool_ok(&p->inject_usage) || !bool_ok(&p->old_cap) || p->cancel > DRAIN_UPSTREAM ||
		p->dialect >= DIALECT_COUNT || p->port == 0)
		return false;
	if (p->key_count > CATALOGUE_KEYS_MAX || p->pass_header_count > CATALOGUE_HEADERS_MAX)
		return false;
	for (uint32_t i = 0; i < p->pass_header_count; i++)
		if (!text_ok(p->pass_header[i], sizeof p->pass_header[i]))
			return false;
	/* The base path may be empty: the provider's root. */
	return text_ok(p->name, sizeof p->name) && text_ok(p->host, sizeof p->host) &&
		memchr(p->base_path, '\0', sizeof p->base_path) != NULL;
}

static bool
price_ok(const struct catalogue_price *p)
{
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		if (p->pico[k] < 0)
			return false;
	for (unsigned k = 0; k < TOOL_KIND_COUNT; k++)
		if (p->tool_nano[k] < 0)
			return false;
	return p->request_nano >= 0 && p->tier < TIER_COUNT && (p->geo_us_x100 == 0 || p->geo_us_x100 >= 100);
}

/* Newest start first: price_now takes the first that has begun. Each group begins with its base row. */
static bool
prices_ordered(const struct catalogue *c, uint32_t first_row, uint32_t count)
{
	if (first_row > c->price_count || count > c->price_count - first_row)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		const struct catalogue_price *p = catalogue_price(c, first_row + i), *before = i ? p - 1 : NULL;
		bool first = !before || p->from_ms < before->from_ms;
		if (first && (p->tier != TIER_standard || p->above_tokens != 0))
			return false;
		if (first)
			continue;
		bool later = p->tier > before->tier || (p->tier == before->tier && p->above_tokens > before->above_tokens);
		if (p->from_ms != before->from_ms || !later)
			return false;
	}
	return true;
}

/* The list, and behind it the fees, if there are any. */
static bool
list_ok(const struct catalogue *c, uint32_t first_row, uint32_t count)
{
	return prices_ordered(c, first_row, count) && (!c->byok || prices_ordered(c, first_row + count, count));
}

static bool
lane_ok(const struct catalogue_lane *l)
{
	return text_ok(l->name, sizeof l->name) && l->choice < CHOICE_RULES;
}

static bool
target_ok(const struct catalogue *c, const struct catalogue_target *t)
{
	if (t->model >= c->model_count || t->provider >= c->provider_count || t->lane >= c->lane_count || t->weight == 0 || t->asked_in >= ASKED_COUNT || !bool_ok(&t->zero_retention) ||
		!bool_ok(&t->own_prices))
		return false;
	return list_ok(c, t->price_at, t->price_count) && text_ok(t->upstream_id, sizeof t->upstream_id) &&
		memchr(t->region, '\0', sizeof t->region) != NULL;
}

/* By lane, then by rank. */
static bool
targets_ordered(const struct catalogue *c, const struct catalogue_model *m, uint32_t index)
{
	for (uint32_t i = 0; i < m->target_count; i++) {
		const struct catalogue_target *t = catalogue_target(c, m->target_at + i), *before = i ? t - 1 : t;
		if (t->model != index || t->lane < before->lane || (t->lane == before->lane && t->rank < before->rank))
			return false;
	}
	return true;
}

static bool
model_ok(const struct catalogue *c, uint32_t index)
{
	const struct catalogue_model *m = catalogue_model(c, index);
	if (!bool_ok(&m->reasoning) || m->bytes_per_token_x100 == 0 || m->tokenizer >= TOKENIZER_COUNT)
		return false;
	if (m->target_count == 0 || m->target_at > c->target_count || m->target_count > c->target_count - m->target_at ||
		m->target_count > CATALOGUE_TARGETS_MAX * CATALOGUE_LANES_MAX)
		return false;
	return list_ok(c, m->price_at, m->price_count) && targets_ordered(c, m, index) && text_ok(m->public_id, sizeof m->public_id);
}

static bool
names_ok(const struct catalogue *c)
{
	for (uint32_t i = 0; i < c->name_count; i++) {
		const struct catalogue_name *n = catalogue_name_row(c, i);
		if (!text_ok(n->name, sizeof n->name) || strlen(n->name) != n->name_len || n->model >= c->model_count ||
			!bool_ok(&n->alias))
			return false;
		if (i > 0 && compare_names(name_span(catalogue_name_row(c, i - 1)), name_span(n)) >= 0)
			return false;
	}
	return true;
}

static bool
price_refs_ok(const struct catalogue *c)
{
	for (uint32_t i = 0; i < c->price_count; i++) {
		const struct catalogue_price_ref *r = price_ref(c, i);
		if (r->price >= c->price_count || catalogue_price(c, r->price)->id != r->id)
			return false;
		if (i > 0 && price_ref(c, i - 1)->id >= r->id)
			return false;
	}
	return true;
}

static bool
sections_ok(const struct catalogue *c)
{
	return section_ok(c, c->provider_at, c->provider_count, sizeof(struct catalogue_provider)) &&
		section_ok(c, c->model_at, c->model_count, sizeof(struct catalogue_model)) &&
		section_ok(c, c->price_at, c->price_count, sizeof(struct catalogue_price)) &&
		c->lane_count <= CATALOGUE_LANES_MAX && section_ok(c, c->lane_at, c->lane_count, sizeof(struct catalogue_lane)) &&
		section_ok(c, c->target_at, c->target_count, sizeof(struct catalogue_target)) &&
		section_ok(c, c->name_at, c->name_count, sizeof(struct catalogue_name)) &&
		section_ok(c, c->price_ref_at, c->price_count, sizeof(struct catalogue_price_ref));
}

const struct catalogue *
catalogue_attach(const void *memory, size_t bytes)
{
	const struct catalogue *c = memory;
	if (bytes < sizeof *c || (uintptr_t)memory % 8 != 0 || c->magic != CATALOGUE_MAGIC)
		return NULL;
	if (c->bytes < sizeof *c || c->bytes > bytes || c->byok > 1 || !sections_ok(c))
		return NULL;
	for (uint32_t i = 0; i < c->provider_count; i++)
		if (!provider_ok(catalogue_provider(c, i)))
			return NULL;
	for (uint32_t i = 0; i < c->price_count; i++)
		if (!price_ok(catalogue_price(c, i)))
			return NULL;
	for (uint32_t i = 0; i < c->lane_count; i++)
		if (!lane_ok(catalogue_lane(c, i)))
			return NULL;
	for (uint32_t i = 0; i < c->target_count; i++)
		if (!target_ok(c, catalogue_target(c, i)))
			return NULL;
	for (uint32_t i = 0; i < c->model_count; i++)
		if (!model_ok(c, i))
			return NULL;
	return names_ok(c) && price_refs_ok(c) ? c : NULL;
}
