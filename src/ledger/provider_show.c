/* Who is asked, and who is put behind the others: each target and each key of the providers, with its circuit (docs/decisions/0055). */
#include "ledger/ledger_priv.h"
#include "ticket/circuit.h"

#include <string.h>

static const char *const states[CIRCUIT_STATE_COUNT] = {
#define X(NAME, label, meaning) [CIRCUIT_##NAME] = label,
	CIRCUIT_STATES(X)
#undef X
};
static const char *const dialects[DIALECT_COUNT] = {[DIALECT_OPENAI] = "openai", [DIALECT_ANTHROPIC] = "anthropic", [DIALECT_GEMINI] = "gemini"};

static void
add_row(const struct ledger *l, json_t *list, const struct catalogue_provider *p, uint64_t circuit, json_t *key, json_t *upstream)
{
	uint64_t now_ms = clock_monotonic_ms();
	const struct circuit *c = circuit_find(l->o.circuits, circuit);
	enum circuit_state state = c != NULL ? circuit_state(c, now_ms) : CIRCUIT_CLOSED;
	uint64_t until_ms = c != NULL && state != CIRCUIT_CLOSED ? circuit_until_ms(c) : 0;
	json_t *o = json_pack("{s:s, s:s, s:o, s:o, s:s}", "provider", p->name, "dialect", dialects[p->dialect], "key", key, "upstream", upstream, "state", states[state]);
	json_object_set_new(o, "asked_again_in_ms", until_ms > now_ms ? json_integer((json_int_t)(until_ms - now_ms)) : json_null());
	json_object_set_new(o, "opened", json_integer(c != NULL ? (json_int_t)atomic_load_explicit(&c->opened, memory_order_relaxed) : 0));
	json_array_append_new(list, o);
}

/* Lanes have rows of their own for the same target, and so may models. */
static bool
is_repeated(const struct catalogue *c, uint32_t at)
{
	for (uint32_t i = 0; i < at; i++)
		if (catalogue_target(c, i)->id == catalogue_target(c, at)->id)
			return true;
	return false;
}

static bool
is_well(const json_t *row)
{
	return strcmp(json_string_value(json_object_get(row, "state")), states[CIRCUIT_CLOSED]) == 0;
}

static void
add_provider(const struct ledger *l, json_t *list, uint32_t provider)
{
	const struct catalogue *c = l->o.catalogue;
	const struct catalogue_provider *p = catalogue_provider(c, provider);
	for (uint32_t k = 0; k < p->key_count; k++)
		add_row(l, list, p, circuit_key_id(p->id, k), json_integer(k), json_null());
	for (uint32_t i = 0; i < c->target_count; i++) {
		const struct catalogue_target *t = catalogue_target(c, i);
		if (t->provider == provider && !is_repeated(c, i))
			add_row(l, list, p, circuit_target_id(t->id), json_null(), json_string(t->upstream_id));
	}
}

void
provider_put_troubles(const struct ledger *l, json_t *o)
{
	json_t *list = json_array();
	for (uint32_t i = 0; l->o.circuits != NULL && i < l->o.catalogue->provider_count; i++)
		add_provider(l, list, i);
	for (size_t i = json_array_size(list); i-- > 0;)
		if (is_well(json_array_get(list, i)))
			json_array_remove(list, i);
	json_object_set_new(o, "providers", list);
}

json_t *
control_provider_list(struct ledger *l, const json_t *request)
{
	const char *name;
	json_t *error = NULL, *list;
	bool any = false;
	if (!control_text(request, &(struct text_rule){"provider", 128, false}, &name, &error))
		return error;
	if (l->o.catalogue == NULL || l->o.circuits == NULL)
		return control_error("no_server", "no server runs: what is known of providers is in its memory");
	json_t *answer = control_ok();
	json_object_set_new(answer, "providers", list = json_array());
	for (uint32_t i = 0; i < l->o.catalogue->provider_count; i++)
		if (name[0] == '\0' || strcmp(name, catalogue_provider(l->o.catalogue, i)->name) == 0) {
			add_provider(l, list, i);
			any = true;
		}
	if (any)
		return answer;
	json_decref(answer);
	return control_error("no_such_provider", "there is no provider \"%s\": `lethe provider list` shows all", name);
}

/* Whoever asked the provider tells: the log and the metrics say it to those who watch them. */
json_t *
control_provider_low(struct ledger *l, const json_t *request)
{
	const char *name;
	json_t *error = NULL;
	const json_t *cents = json_object_get(request, "cents");
	if (!control_text(request, &(struct text_rule){"provider", 128, true}, &name, &error))
		return error;
	if (!json_is_integer(cents) || json_integer_value(cents) < 0)
		return control_error("bad_request", "\"cents\" must be a whole number from 0 on");
	for (uint32_t i = 0; l->o.catalogue != NULL && i < l->o.catalogue->provider_count; i++) {
		const struct catalogue_provider *p = catalogue_provider(l->o.catalogue, i);
		if (strcmp(name, p->name) != 0)
			continue;
		ledger_event(l, EVENT_PROVIDER_LOW, p->id, (uint64_t)json_integer_value(cents));
		return control_ok();
	}
	return control_error("no_such_provider", "the server's configuration has no provider \"%s\": `lethe provider list` shows all", name);
}
