#include "proc/catalogue_compile.h"

#include "dialect/translate.h"
#include "proc/catalogue_targets.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- ids ---- */

/* First 8 bytes of BLAKE2b over the parts; `kind` keeps a provider and a model of the same name apart. */
uint64_t
catalogue_hash(const char *kind, const void *a, size_t a_len, const void *b, size_t b_len)
{
	crypto_generichash_state state;
	uint8_t out[16];
	uint64_t id;
	crypto_generichash_init(&state, NULL, 0, sizeof out);
	crypto_generichash_update(&state, (const uint8_t *)kind, strlen(kind) + 1);
	crypto_generichash_update(&state, a, a_len);
	if (b_len > 0)
		crypto_generichash_update(&state, b, b_len);
	crypto_generichash_final(&state, out, sizeof out);
	memcpy(&id, out, sizeof id);
	return id;
}

uint32_t
catalogue_name_id(const char *kind, const char *name)
{
	return (uint32_t)catalogue_hash(kind, name, strlen(name), NULL, 0);
}

/* What a price row says, in a fixed form: a change of its date or of any amount is another row with another id. */
uint64_t
catalogue_price_id(const char *model, const struct catalogue_price *p)
{
	enum { FIRST_TOOLS = TOOL_code_session + 1, /* later ones stand behind, and only when they have a price: so that older rows keep their ids */
		FIRST_WORDS = 5 + FIRST_TOOLS + TOKEN_KIND_COUNT };
	uint64_t words[5 + TOOL_KIND_COUNT + TOKEN_KIND_COUNT] = {p->from_ms, (uint64_t)p->request_nano, p->above_tokens, p->tier, p->geo_us_x100};
	bool later = false;
	for (unsigned k = 0; k < TOOL_KIND_COUNT; k++) {
		words[k < FIRST_TOOLS ? 5 + k : FIRST_WORDS + k - FIRST_TOOLS] = (uint64_t)p->tool_nano[k];
		later |= k >= FIRST_TOOLS && p->tool_nano[k];
	}
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		words[5 + FIRST_TOOLS + k] = (uint64_t)p->pico[k];
	return catalogue_hash("price", model, strlen(model) + 1, words, later ? sizeof words : FIRST_WORDS * sizeof *words) &
		INT64_MAX; /* a row of the store: SQLite's integers are signed */
}

/* ---- sections ---- */

static size_t
name_count(const struct config *c)
{
	size_t count = c->model_count;
	for (uint32_t i = 0; i < c->model_count; i++)
		count += c->models[i].alias_count;
	return count;
}

/* Place of a section of `count` rows; *at advances behind it, kept at a multiple of 8. */
static uint64_t
place(uint64_t *at, size_t count, size_t size)
{
	uint64_t here = *at;
	*at = (here + count * size + 7) & ~7ULL;
	return here;
}

static void
lay_out(const struct config *c, struct catalogue_block *b)
{
	size_t names = name_count(c), prices, targets = catalogue_targets_count(c, &prices);
	uint64_t at = sizeof(struct catalogue);
	struct catalogue head = {.magic = CATALOGUE_MAGIC,
		.provider_count = c->provider_count,
		.model_count = c->model_count,
		.price_count = (uint32_t)prices,
		.byok = c->byok_fee.on,
		.name_count = (uint32_t)names,
		.lane_count = c->lane_count,
		.target_count = (uint32_t)targets};
	head.provider_at = place(&at, c->provider_count, sizeof(struct catalogue_provider));
	head.model_at = place(&at, c->model_count, sizeof(struct catalogue_model));
	head.price_at = place(&at, prices, sizeof(struct catalogue_price));
	head.name_at = place(&at, names, sizeof(struct catalogue_name));
	head.price_ref_at = place(&at, prices, sizeof(struct catalogue_price_ref));
	head.lane_at = place(&at, c->lane_count, sizeof(struct catalogue_lane));
	head.target_at = place(&at, targets, sizeof(struct catalogue_target));
	head.bytes = at;
	char *memory = calloc(1, at);
	if (memory == NULL)
		abort(); /* at start only, of the size of the file */
	memcpy(memory, &head, sizeof head);
	b->head = (struct catalogue *)memory;
	b->provider = (struct catalogue_provider *)(memory + head.provider_at);
	b->model = (struct catalogue_model *)(memory + head.model_at);
	b->price = (struct catalogue_price *)(memory + head.price_at);
	b->name = (struct catalogue_name *)(memory + head.name_at);
	b->price_ref = (struct catalogue_price_ref *)(memory + head.price_ref_at);
	b->lane = (struct catalogue_lane *)(memory + head.lane_at);
	b->target = (struct catalogue_target *)(memory + head.target_at);
}

/* Lengths were checked with the configuration. */
void
catalogue_copy_text(char *out, size_t cap, const char *text)
{
	size_t len = strlen(text);
	assert(len < cap);
	memcpy(out, text, len + 1);
}

static void
fill_provider(const struct config_provider *p, struct catalogue_provider *out)
{
	out->id = catalogue_name_id("provider", p->name);
	out->key_count = p->key_count;
	out->port = p->target.port;
	out->tls = p->target.tls;
	out->store = p->store;
	out->objects = p->objects;
	out->no_responses = !p->responses;
	out->completions = p->completions;
	out->safety = p->safety_identifier;
	out->http2 = p->http2;
	out->trust = (uint8_t)p->trust;
	out->inner = config_host_is_private(p->target.host);
	out->inject_usage = p->inject_usage;
	out->dialect = (uint8_t)p->dialect;
	out->old_cap = p->cap_field != 0;
	out->cancel = (uint8_t)p->on_client_gone;
	catalogue_copy_text(out->name, sizeof out->name, p->name);
	catalogue_copy_text(out->host, sizeof out->host, p->target.host);
	catalogue_copy_text(out->base_path, sizeof out->base_path, p->target.base_path);
	out->pass_header_count = p->pass_header_count;
	for (uint32_t i = 0; i < p->pass_header_count; i++)
		catalogue_copy_text(out->pass_header[i], sizeof out->pass_header[i], p->pass_headers[i]);
}

static int
newest_first(const void *a, const void *b)
{
	const struct catalogue_price *x = a, *y = b;
	if (x->from_ms != y->from_ms)
		return x->from_ms < y->from_ms ? 1 : -1;
	if (x->tier != y->tier)
		return x->tier - y->tier;
	return (x->above_tokens > y->above_tokens) - (x->above_tokens < y->above_tokens);
}

static int64_t
times(int64_t amount, uint64_t x100)
{
	unsigned __int128 product = ((unsigned __int128)(uint64_t)amount * x100 + 99) / 100;
	return product > INT64_MAX ? INT64_MAX : (int64_t)product;
}

/* Everything that a lane costs, rounded up. */
static void
multiply(struct catalogue_price *p, uint64_t x100)
{
	p->request_nano = times(p->request_nano, x100);
	for (unsigned k = 0; k < TOOL_KIND_COUNT; k++)
		p->tool_nano[k] = times(p->tool_nano[k], x100);
	for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
		p->pico[k] = times(p->pico[k], x100);
}

void
catalogue_fill_prices(const struct config_price *rows, uint32_t count, const char *owner, uint64_t times_x100, struct catalogue_price *out)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct config_price *p = &rows[i];
		out[i].from_ms = p->from_ms;
		out[i].request_nano = p->per_request_nano;
#define X(name, piece) out[i].tool_nano[TOOL_##name] = p->name##_nano;
		TOOL_KINDS(X)
#undef X
		out[i].above_tokens = (uint32_t)p->above_tokens;
		out[i].geo_us_x100 = (uint16_t)p->geo_us_x100;
		out[i].tier = (uint8_t)p->tier;
		memcpy(out[i].pico, &p->input, sizeof out[i].pico);
		if (times_x100 != 100)
			multiply(&out[i], times_x100);
		out[i].id = catalogue_price_id(owner, &out[i]);
	}
	qsort(out, count, sizeof *out, newest_first);
}

static uint32_t
byok_owner(const char *model)
{
	char name[CATALOGUE_NAME_MAX + sizeof CATALOGUE_BYOK];
	snprintf(name, sizeof name, "%s" CATALOGUE_BYOK, model);
	return catalogue_name_id("model", name);
}

uint32_t
catalogue_list_rows(const struct config *c, uint32_t count)
{
	return c->byok_fee.on ? 2 * count : count;
}

/* Rounded up. */
static int64_t
part(int64_t amount, uint64_t percent_x100)
{
	unsigned __int128 product = ((unsigned __int128)(uint64_t)amount * percent_x100 + 9999) / 10000;
	return product > INT64_MAX ? INT64_MAX : (int64_t)product;
}

static int64_t
sum(int64_t a, int64_t b)
{
	return a > INT64_MAX - b ? INT64_MAX : a + b;
}

void
catalogue_fill_fees(const struct config_byok_fee *fee, const char *owner, uint32_t count, struct catalogue_price *list)
{
	char name[CATALOGUE_OWNER_MAX + CATALOGUE_NAME_MAX];
	size_t len = strlen(owner);
	if (!fee->on)
		return;
	assert(len + sizeof CATALOGUE_BYOK <= sizeof name);
	memcpy(name, owner, len);
	memcpy(name + len, CATALOGUE_BYOK, sizeof CATALOGUE_BYOK);
	for (uint32_t i = 0; i < count; i++) {
		struct catalogue_price *p = &list[count + i];
		*p = list[i];
		p->request_nano = sum(part(p->request_nano, fee->percent_x100), (int64_t)fee->per_request_nano);
		for (unsigned k = 0; k < TOOL_KIND_COUNT; k++)
			p->tool_nano[k] = part(p->tool_nano[k], fee->percent_x100);
		for (unsigned k = 0; k < TOKEN_KIND_COUNT; k++)
			p->pico[k] = part(p->pico[k], fee->percent_x100);
		p->id = catalogue_price_id(name, p);
	}
}

static void
fill_model(const struct config_model *m, struct catalogue_model *out)
{
	out->id = catalogue_name_id("model", m->id);
	catalogue_copy_text(out->public_id, sizeof out->public_id, m->id);
	out->context_tokens = (uint32_t)m->context_tokens;
	out->output_tokens = (uint32_t)m->output_tokens;
	out->reasoning = m->reasoning;
	out->thinking = (uint8_t)(m->thinking <= THINKING_BUDGET ? m->thinking : m->reasoning ? THINKING_EFFORT
																						  : THINKING_NONE);
	out->capabilities = m->capabilities;
	out->tokenizer = (uint32_t)m->tokenizer;
	out->bytes_per_token_x100 = (uint32_t)m->bytes_per_token_x100;
	out->image_tokens = (uint32_t)m->image_tokens;
	out->audio_tokens = (uint32_t)m->audio_tokens;
	out->file_tokens = (uint32_t)m->file_tokens;
	out->price_count = m->price_count;
	out->created_s = m->created_ms / 1000;
	out->byok_owner = byok_owner(m->id);
}

static struct catalogue_name *
add_name(struct catalogue_name *at, const char *name, uint32_t model, bool alias)
{
	catalogue_copy_text(at->name, sizeof at->name, name);
	at->name_len = (uint32_t)strlen(name);
	at->model = model;
	at->alias = alias;
	return at + 1;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct catalogue_name *)a)->name, ((const struct catalogue_name *)b)->name);
}

static int
by_id(const void *a, const void *b)
{
	const struct catalogue_price_ref *x = a, *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

static void
fill(const struct config *c, struct catalogue_block *b)
{
	uint32_t price_at = 0;
	struct catalogue_name *name = b->name;
	for (uint32_t i = 0; i < c->provider_count; i++)
		fill_provider(&c->providers[i], &b->provider[i]);
	for (uint32_t i = 0; i < c->model_count; i++) {
		const struct config_model *m = &c->models[i];
		fill_model(m, &b->model[i]);
		b->model[i].price_at = price_at;
		catalogue_fill_prices(m->prices, m->price_count, m->id, 100, &b->price[price_at]);
		catalogue_fill_fees(&c->byok_fee, m->id, m->price_count, &b->price[price_at]);
		price_at += catalogue_list_rows(c, m->price_count);
		name = add_name(name, m->id, i, false);
		for (uint32_t k = 0; k < m->alias_count; k++)
			name = add_name(name, m->aliases[k], i, true);
	}
	catalogue_targets_fill(c, b, price_at);
	for (uint32_t i = 0; i < b->head->price_count; i++)
		b->price_ref[i] = (struct catalogue_price_ref){b->price[i].id, i, 0};
	qsort(b->name, b->head->name_count, sizeof *b->name, by_name);
	qsort(b->price_ref, b->head->price_count, sizeof *b->price_ref, by_id);
}

/* ---- refusals ---- */

struct id_of {
	uint32_t id, index;
};

static int
by_small_id(const void *a, const void *b)
{
	const struct id_of *x = a, *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

/* Zero means "none" in a ticket, and an id stands for one name only, for ever. */
static void
refuse_collisions(struct id_of *ids, uint32_t count, const char *(*name)(const struct catalogue_block *, uint32_t),
	const struct catalogue_block *b, struct problems *problems)
{
	qsort(ids, count, sizeof *ids, by_small_id);
	for (uint32_t i = 0; i < count; i++) {
		if (ids[i].id == 0)
			problems_error(
				problems, 0, "`%s` has the id 0, which is reserved – choose another name", name(b, ids[i].index));
		if (i > 0 && ids[i].id == ids[i - 1].id)
			problems_error(problems, 0, "`%s` and `%s` have the same id by chance – rename one of them",
				name(b, ids[i].index), name(b, ids[i - 1].index));
	}
}

static const char *
provider_name(const struct catalogue_block *b, uint32_t index)
{
	return b->provider[index].name;
}

static const char *
model_name(const struct catalogue_block *b, uint32_t index)
{
	return b->model[index].public_id;
}

static void
check_ids(const struct catalogue_block *b, struct problems *problems)
{
	uint32_t most = b->head->model_count > b->head->provider_count ? b->head->model_count : b->head->provider_count;
	struct id_of *ids = calloc(most + 1, sizeof *ids);
	if (ids == NULL)
		abort();
	for (uint32_t i = 0; i < b->head->provider_count; i++)
		ids[i] = (struct id_of){b->provider[i].id, i};
	refuse_collisions(ids, b->head->provider_count, provider_name, b, problems);
	for (uint32_t i = 0; i < b->head->model_count; i++)
		ids[i] = (struct id_of){b->model[i].id, i};
	refuse_collisions(ids, b->head->model_count, model_name, b, problems);
	free(ids);
	for (uint32_t i = 0; i < b->head->lane_count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (b->lane[i].id == b->lane[j].id)
				problems_error(problems, 0, "the lanes `%s` and `%s` have the same id by chance – rename one of them", b->lane[i].name, b->lane[j].name);
	for (uint32_t i = 0; i < b->head->price_count; i++)
		if (b->price_ref[i].id == 0 || (i > 0 && b->price_ref[i].id == b->price_ref[i - 1].id))
			problems_error(
				problems, 0, "two price rows have the same id by chance – move the start of one by a second");
}

static void
warn_of_future_prices(const struct config *c, const struct catalogue_block *b, uint64_t now_ms, struct problems *problems)
{
	for (uint32_t i = 0; i < c->model_count; i++)
		if (catalogue_price_now(b->head, &b->model[i], now_ms) == NULL)
			problems_warn(problems, c->models[i].line,
				"no price of the model `%s` is in force yet, so requests for it are refused – add the price of today",
				c->models[i].id);
}

bool
catalogue_compile(const struct config *c, uint64_t now_ms, struct problems *problems, struct catalogue **ret)
{
	struct catalogue_block b;
	uint32_t errors = problems->errors;
	lay_out(c, &b);
	fill(c, &b);
	b.head->version = catalogue_hash("catalogue", (const char *)b.head + offsetof(struct catalogue, provider_count),
		b.head->bytes - offsetof(struct catalogue, provider_count), NULL, 0);
	check_ids(&b, problems);
	warn_of_future_prices(c, &b, now_ms, problems);
	if (problems->errors != errors) {
		free(b.head);
		return false;
	}
	assert(catalogue_attach(b.head, b.head->bytes) != NULL);
	*ret = b.head;
	return true;
}
