#include "proc/lint.h"

#include "proc/lint_rules.h"
#include "ticket/catalogue.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DAY_MS 86400000ULL

/* ---- findings ---- */

struct rule {
	const char *name;
	void (*provider)(struct lint *l, const struct rule *r, const struct config_provider *p);
	void (*model)(struct lint *l, const struct rule *r, const struct config_model *m);
	void (*price)(struct lint *l, const struct rule *r, const struct config_model *m, const struct config_price *p);
};

static void __attribute__((format(printf, 4, 5)))
found(struct lint *l, const struct rule *r, uint32_t place, const char *format, ...)
{
	if (l->count == LINT_FINDINGS_MAX)
		return;
	if ((l->count & (l->count - 1)) == 0) {
		struct lint_finding *more = reallocarray(l->findings, l->count == 0 ? 1 : 2 * l->count, sizeof *more);
		if (more == NULL)
			abort();
		l->findings = more;
	}
	struct lint_finding *f = &l->findings[l->count++];
	va_list list;
	va_start(list, format);
	f->place = place;
	f->rule = r->name;
	vsnprintf(f->text, sizeof f->text, format, list);
	va_end(list);
}

/* Dollars per million tokens, for people. */
static const char *
dollars(int64_t pico, char out[32])
{
	int len = snprintf(out, 32, "$%lld.%06lld", (long long)(pico / 1000000), (long long)(pico % 1000000));
	while (out[len - 1] == '0' && out[len - 3] != '.')
		out[--len] = '\0';
	return out;
}

/* ---- what is known of providers ---- */

/* without: what the provider's models without such a price have in their names. */
static const struct {
	const char *host;
	bool cache_cheaper, cache_write_dearer;
	const char *const without[12];
} known_hosts[] = {
	{"api.openai.com", true, false,
		{"-pro", "audio", "moderation", "embedding", "image", "tts", "transcribe", "search", "instruct", "gpt-3.5", "gpt-4-"}},
	{"api.anthropic.com", true, true, {NULL}},
	{"generativelanguage.googleapis.com", true, false, {"embedding", "computer-use", "image", "tts", "live"}},
	{"api.x.ai", true, false, {"image"}},
	{"api.deepseek.com", true, false, {NULL}},
};

static bool
has_any(const char *name, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count && words[i] != NULL; i++)
		if (strstr(name, words[i]) != NULL)
			return true;
	return false;
}

static bool
host_bills(const struct config *c, const struct config_model *m, bool write)
{
	const char *host = c->providers[m->provider_index].target.host;
	for (size_t i = 0; i < ARRAY_LEN(known_hosts); i++)
		if (strcmp(known_hosts[i].host, host) == 0 &&
			!has_any(m->upstream, known_hosts[i].without, ARRAY_LEN(known_hosts[i].without)))
			return write ? known_hosts[i].cache_write_dearer : known_hosts[i].cache_cheaper;
	return false;
}

/* Families of models whose answers begin with tokens that are not shown. '-' at the end: or nothing behind it. */
bool
lint_reasons_by_name(const char *upstream)
{
	static const char *const begins[] = {
		"o1-", "o3-", "o4-", "gpt-5", "deepseek-reasoner", "deepseek-r1", "grok-4", "gemini-2.5-", "gemini-3", "qwq"};
	static const char *const except[] = {"chat", "non-reasoning", "image", "tts", "audio", "embedding", "live"};
	const char *slash = strrchr(upstream, '/'), *name = slash == NULL ? upstream : slash + 1;
	bool reasons = strstr(name, "-thinking") != NULL || strstr(name, "-reasoning") != NULL;
	for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
		size_t len = strlen(begins[i]), bare = len - (begins[i][len - 1] == '-');
		reasons = reasons || strncasecmp(name, begins[i], len) == 0 ||
			(strncasecmp(name, begins[i], bare) == 0 && name[bare] == '\0');
	}
	for (size_t i = 0; i < ARRAY_LEN(except); i++)
		reasons = reasons && strstr(name, except[i]) == NULL;
	return reasons;
}

/* ---- providers ---- */

static void
provider_unused(struct lint *l, const struct rule *r, const struct config_provider *p)
{
	for (uint32_t i = 0; i < l->c->model_count; i++)
		if (config_target_at(&l->c->models[i], (uint32_t)(p - l->c->providers)))
			return;
	found(l, r, p->line, "no model uses the provider `%s` – remove it, or add models", p->name);
}

static void
provider_keyless(struct lint *l, const struct rule *r, const struct config_provider *p)
{
	if (p->key_count == 0 && !config_host_is_private(p->target.host))
		found(l, r, p->line, "requests to `%s` go out without a key to %s – name one under `keys`", p->name,
			p->target.host);
}

/* ---- models ---- */

static void
price_later(struct lint *l, const struct rule *r, const struct config_model *m)
{
	uint64_t first_ms = UINT64_MAX;
	for (uint32_t i = 0; i < m->price_count; i++)
		first_ms = m->prices[i].from_ms < first_ms ? m->prices[i].from_ms : first_ms;
	if (m->price_count > 0 && first_ms > l->now_ms)
		found(l, r, m->line, "no price of `%s` is in force yet, so its requests are refused – add today's price",
			m->id);
}

static void
price_old(struct lint *l, const struct rule *r, const struct config_model *m)
{
	const struct config_price *newest = NULL;
	for (uint32_t i = 0; i < m->price_count; i++) {
		const struct config_price *p = &m->prices[i];
		if (p->from_ms <= l->now_ms && (newest == NULL || p->from_ms > newest->from_ms))
			newest = p;
	}
	uint64_t days = newest == NULL ? 0 : (l->now_ms - newest->from_ms) / DAY_MS;
	if (days > l->old_days)
		found(l, r, newest->line, "the price of `%s` has held for %llu days – compare it with the provider's list",
			m->id, (unsigned long long)days);
}

static void
reasoning_flag(struct lint *l, const struct rule *r, const struct config_model *m)
{
	bool priced = false;
	for (uint32_t i = 0; i < m->price_count; i++)
		priced = priced || m->prices[i].reasoning != m->prices[i].output;
	if (m->reasoning || !(priced || lint_reasons_by_name(m->upstream)))
		return;
	found(l, r, m->line,
		"`%s` seems to reason (%s), but `reasoning` is not set: its hidden tokens would overrun what is reserved – set reasoning: true",
		m->id, priced ? "it has a price for it" : m->upstream);
}

static bool
has_name(const struct config_model *m, const char *name)
{
	bool has = strcmp(m->id, name) == 0;
	for (uint32_t i = 0; i < m->alias_count; i++)
		has = has || strcmp(m->aliases[i], name) == 0;
	return has;
}

/* Who asks for what the provider calls `x` gets this model, which is another one there. */
static void
name_shadow(struct lint *l, const struct rule *r, const struct config_model *m)
{
	for (uint32_t i = 0; i < l->c->model_count; i++) {
		const struct config_model *other = &l->c->models[i];
		if (other != m && strcmp(other->upstream, m->upstream) != 0 && has_name(m, other->upstream))
			found(l, r, m->line, "`%s` answers to `%s`, which is the provider's name of `%s` – rename one of them",
				m->id, other->upstream, other->id);
	}
}

static void
name_case(struct lint *l, const struct rule *r, const struct config_model *m)
{
	for (const struct config_model *other = l->c->models; other < m; other++)
		for (uint32_t i = 0; i <= m->alias_count; i++)
			for (uint32_t j = 0; j <= other->alias_count; j++) {
				const char *a = i == 0 ? m->id : m->aliases[i - 1], *b = j == 0 ? other->id : other->aliases[j - 1];
				if (strcasecmp(a, b) == 0)
					found(l, r, m->line,
						"`%s` and `%s` differ in capitals only, and are two models – rename one of them", a, b);
			}
}

static bool
same_prices(const struct config_model *a, const struct config_model *b)
{
	bool same = a->price_count == b->price_count;
	for (uint32_t i = 0; same && i < a->price_count; i++)
		same = a->prices[i].from_ms == b->prices[i].from_ms &&
			memcmp(&a->prices[i].input, &b->prices[i].input, TOKEN_KIND_COUNT * sizeof(int64_t)) == 0;
	return same;
}

static void
same_target(struct lint *l, const struct rule *r, const struct config_model *m)
{
	for (const struct config_model *other = l->c->models; other < m; other++)
		if (other->provider_index == m->provider_index && strcmp(other->upstream, m->upstream) == 0 &&
			!same_prices(other, m))
			found(l, r, m->line,
				"`%s` and `%s` are `%s` at `%s`, at different prices – make one an alias of the other, or give both one price",
				m->id, other->id, m->upstream, m->provider);
}

static void
context_tiny(struct lint *l, const struct rule *r, const struct config_model *m)
{
	if (m->context_tokens < 1000)
		found(l, r, m->line, "`%s` has a window of %llu tokens – write tokens, not thousands of them", m->id,
			(unsigned long long)m->context_tokens);
}

static void
created_later(struct lint *l, const struct rule *r, const struct config_model *m)
{
	bool first_price = false;
	for (uint32_t i = 0; i < m->price_count; i++)
		first_price =
			first_price || m->prices[i].from_ms == m->created_ms; /* taken from there: price-later says it */
	if (m->created_ms > l->now_ms && !first_price)
		found(l, r, m->line, "`created` of `%s` is in the future – correct the date", m->id);
}

static void
bytes_many(struct lint *l, const struct rule *r, const struct config_model *m)
{
	if (m->bytes_per_token_x100 > 400)
		found(l, r, m->line,
			"`%s`: a prompt with fewer than %llu.%02llu bytes per token costs more than is reserved for it – lower bytes_per_token to 4 or less",
			m->id, (unsigned long long)m->bytes_per_token_x100 / 100,
			(unsigned long long)m->bytes_per_token_x100 % 100);
}

/* ---- prices ---- */

static bool
given(const struct config_price *p, enum token_kind kind)
{
	return (p->given >> kind & 1) != 0;
}

static void
free_of_charge(struct lint *l, const struct rule *r, const struct config_model *m, const struct config_price *p)
{
	int64_t any = p->per_request_nano;
	for (unsigned kind = 0; kind < TOKEN_KIND_COUNT; kind++)
		any |= (&p->input)[kind];
	if (any == 0 && strstr(m->upstream, "moderation") == NULL) /* which providers do for nothing */
		found(l, r, p->line, "`%s` costs nothing – if that is meant, leave this rule out with --skip", m->id);
}

static void
cached_dearer(struct lint *l, const struct rule *r, const struct config_model *m, const struct config_price *p)
{
	static const enum token_kind pairs[][2] = {
		{TOKEN_cached, TOKEN_input}, {TOKEN_cached_audio, TOKEN_audio_in}, {TOKEN_cached_image, TOKEN_image_in}};
	static const char *const names[] = {"cached", "cached_audio", "cached_image"};
	char a[32], b[32];
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		int64_t cached = (&p->input)[pairs[i][0]], plain = (&p->input)[pairs[i][1]];
		if (cached > plain && given(p, pairs[i][0]))
			found(l, r, p->line, "`%s`: `%s` (%s) costs more than what is not cached (%s) – exchange them?", m->id,
				names[i], dollars(cached, a), dollars(plain, b));
	}
}

static void
cache_missing(struct lint *l, const struct rule *r, const struct config_model *m, const struct config_price *p)
{
	if (!given(p, TOKEN_cached) && p->input > 0 && p->output > 0 && p->tier == TIER_standard &&
		host_bills(l->c, m, false))
		found(l, r, p->line,
			"`%s` has no price `cached`, and what comes from the provider's cache costs as much as `input` – write it, also if it is the same",
			m->id);
}

static void
cache_write_missing(struct lint *l, const struct rule *r, const struct config_model *m, const struct config_price *p)
{
	if (!given(p, TOKEN_cache_write) && p->input > 0 && p->tier == TIER_standard && host_bills(l->c, m, true))
		found(l, r, p->line,
			"`%s` has no price `cache_write`, which this provider bills above `input` – write it, and `cache_write_1h`",
			m->id);
}

static void
cache_write_cheaper(struct lint *l, const struct rule *r, const struct config_model *m, const struct config_price *p)
{
	char a[32], b[32];
	if (given(p, TOKEN_cache_write) && p->cache_write < p->input && p->cache_write > 0)
		found(l, r, p->line, "`%s`: `cache_write` (%s) costs less than `input` (%s) – correct one of them", m->id,
			dollars(p->cache_write, a), dollars(p->input, b));
	if (given(p, TOKEN_cache_write_1h) && p->cache_write_1h < p->cache_write)
		found(l, r, p->line, "`%s`: `cache_write_1h` (%s) costs less than `cache_write` (%s) – correct one of them",
			m->id, dollars(p->cache_write_1h, a), dollars(p->cache_write, b));
}

static void
output_cheaper(struct lint *l, const struct rule *r, const struct config_model *m, const struct config_price *p)
{
	char a[32], b[32];
	if (p->output > 0 && p->output < p->input)
		found(l, r, p->line, "`%s`: `output` (%s) costs less than `input` (%s) – exchange them?", m->id,
			dollars(p->output, a), dollars(p->input, b));
}

static void
output_far(struct lint *l, const struct rule *r, const struct config_model *m, const struct config_price *p)
{
	char a[32], b[32];
	if (p->input > 0 && p->output / 20 >= p->input)
		found(l, r, p->line,
			"`%s`: `output` (%s) is 20 times `input` (%s), or more – is a digit too many or too few?", m->id,
			dollars(p->output, a), dollars(p->input, b));
}

static void
price_unit(struct lint *l, const struct rule *r, const struct config_model *m, const struct config_price *p)
{
	enum {
		LEAST = 1000, /* $0.001 per million */
		MOST = 1000000000
	}; /* $1000 */
	char a[32];
	for (unsigned kind = 0; kind < TOKEN_KIND_COUNT; kind++) {
		int64_t pico = (&p->input)[kind];
		if (given(p, kind) && (pico > MOST || (pico > 0 && pico < LEAST)))
			found(l, r, p->line,
				"`%s`: %s per million tokens – amounts are dollars per million, not per token or per thousand", m->id,
				dollars(pico, a));
	}
}

static bool
far_apart(int64_t a, int64_t b)
{
	return a > 0 && b > 0 && (a / 10 >= b || b / 10 >= a);
}

static void
compare(struct lint *l, const struct rule *r, const struct config_model *m, const struct config_price *p,
	const struct config_price *other, const char *which)
{
	char a[32], b[32];
	if (far_apart(p->input, other->input))
		found(l, r, p->line, "`%s`: `input` (%s) is far from %s (%s) – is the point in its place?", m->id,
			dollars(p->input, a), which, dollars(other->input, b));
	if (far_apart(p->output, other->output))
		found(l, r, p->line, "`%s`: `output` (%s) is far from %s (%s) – is the point in its place?", m->id,
			dollars(p->output, a), which, dollars(other->output, b));
}

/* The row before it for the same requests. */
static void
price_jump(struct lint *l, const struct rule *r, const struct config_model *m, const struct config_price *p)
{
	const struct config_price *before = NULL;
	for (uint32_t i = 0; i < m->price_count; i++) {
		const struct config_price *o = &m->prices[i];
		if (o->tier == p->tier && o->above_tokens == p->above_tokens && o->from_ms < p->from_ms &&
			(before == NULL || o->from_ms > before->from_ms))
			before = o;
	}
	if (before != NULL)
		compare(l, r, m, p, before, "the price before");
}

static const struct config_price *
row_of(const struct config_model *m, const struct config_price *p, uint64_t tier, uint64_t above)
{
	for (uint32_t i = 0; i < m->price_count; i++)
		if (m->prices[i].from_ms == p->from_ms && m->prices[i].tier == tier && m->prices[i].above_tokens == above)
			return &m->prices[i];
	return NULL;
}

static void
tier_jump(struct lint *l, const struct rule *r, const struct config_model *m, const struct config_price *p)
{
	const struct config_price *standard =
		p->tier == TIER_standard ? NULL : row_of(m, p, TIER_standard, p->above_tokens);
	if (standard != NULL)
		compare(l, r, m, p, standard, "that of the standard tier");
}

static void
tier_direction(struct lint *l, const struct rule *r, const struct config_model *m, const struct config_price *p)
{
	const struct config_price *standard =
		p->tier == TIER_standard ? NULL : row_of(m, p, TIER_standard, p->above_tokens);
	bool cheap = p->tier == TIER_flex || p->tier == TIER_batch;
	if (standard == NULL)
		return;
	if (cheap && (p->input > standard->input || p->output > standard->output))
		found(l, r, p->line,
			"`%s`: a tier that is cheaper at providers, %s, costs more than standard – correct one of them", m->id,
			p->tier == TIER_flex ? "flex" : "batch");
	if (!cheap && (p->input < standard->input || p->output < standard->output))
		found(l, r, p->line,
			"`%s`: a tier that is dearer at providers, %s, costs less than standard – correct one of them", m->id,
			p->tier == TIER_priority ? "priority" : "fast");
}

static void
above_cheaper(struct lint *l, const struct rule *r, const struct config_model *m, const struct config_price *p)
{
	const struct config_price *base = p->above_tokens == 0 ? NULL : row_of(m, p, p->tier, 0);
	if (base != NULL && (p->input < base->input || p->output < base->output))
		found(l, r, p->line, "`%s`: prompts above %llu tokens cost less than smaller ones – correct one of the rows",
			m->id, (unsigned long long)p->above_tokens);
}

static void
above_never(struct lint *l, const struct rule *r, const struct config_model *m, const struct config_price *p)
{
	if (p->above_tokens >= m->context_tokens)
		found(l, r, p->line,
			"`%s`: no prompt has more than %llu tokens, since the window has %llu – correct one of them", m->id,
			(unsigned long long)p->above_tokens, (unsigned long long)m->context_tokens);
}

/* ---- all of them ---- */

#define SCOPE_PROVIDER(f) .provider = f
#define SCOPE_MODEL(f) .model = f
#define SCOPE_PRICE(f) .price = f

static const struct rule rules[] = {
#define X(scope, function, name, meaning) {name, SCOPE_##scope(function)},
	LINT_RULES(X)
#undef X
};

static bool
is_skipped(const struct lint *l, const char *rule)
{
	size_t len = strlen(rule);
	for (const char *at = l->skip; at != NULL && *at != '\0'; at += strcspn(at, ","), at += *at == ',')
		if (strcspn(at, ",") == len && strncasecmp(at, rule, len) == 0)
			return true;
	return false;
}

static void
run_rule(struct lint *l, const struct rule *r)
{
	for (uint32_t i = 0; r->provider != NULL && i < l->c->provider_count; i++)
		r->provider(l, r, &l->c->providers[i]);
	for (uint32_t i = 0; r->provider == NULL && i < l->c->model_count; i++) {
		const struct config_model *m = &l->c->models[i];
		if (r->model != NULL)
			r->model(l, r, m);
		for (uint32_t j = 0; r->price != NULL && j < m->price_count; j++)
			r->price(l, r, m, &m->prices[j]);
	}
}

static int
by_place(const void *a, const void *b)
{
	const struct lint_finding *x = a, *y = b;
	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	int order = strcmp(x->rule, y->rule);
	return order != 0 ? order : strcmp(x->text, y->text);
}

/* A row with `times` stands for several, which may all be told the same. */
static void
drop_repeats(struct lint *l)
{
	size_t kept = 0;
	for (size_t i = 0; i < l->count; i++)
		if (kept == 0 || by_place(&l->findings[kept - 1], &l->findings[i]) != 0)
			l->findings[kept++] = l->findings[i];
	l->count = kept;
}

void
lint_run(struct lint *l)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (!is_skipped(l, rules[i].name))
			run_rule(l, &rules[i]);
	if (l->count > 0)
		qsort(l->findings, l->count, sizeof *l->findings, by_place);
	drop_repeats(l);
}

void
lint_finish(struct lint *l)
{
	free(l->findings);
	l->findings = NULL;
	l->count = 0;
}
