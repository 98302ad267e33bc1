#include "proc/top.h"

#include "ticket/nano.h"

#include <stdlib.h>
#include <string.h>

static double
number(const json_t *o, const char *name)
{
	return json_number_value(json_object_get(o, name));
}

static int64_t
amount(const json_t *o, const char *name)
{
	struct nano nano = {0};
	const char *text = json_string_value(json_object_get(o, name));
	if (text == NULL || !nano_parse((struct span){text, strlen(text)}, &nano))
		return 0;
	return nano.v;
}

static void
copy_text(const json_t *o, const char *name, char *ret, size_t cap)
{
	const char *text = json_string_value(json_object_get(o, name));
	snprintf(ret, cap, "%s", text == NULL ? "" : text);
}

static bool
is_output(const char *kind)
{
	static const char *const kinds[] = {"output", "reasoning", "audio_out", "image_out"};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (strcmp(kinds[i], kind) == 0)
			return true;
	return false;
}

static void
read_row(const json_t *o, struct top_row *ret)
{
	const char *kind;
	json_t *count;
	*ret = (struct top_row){
		.waiting = number(o, "waiting"),
		.answering = number(o, "answering"),
		.requests = number(o, "requests"),
		.failed = number(o, "failed"),
		.cost_nano = amount(o, "cost"),
		.duration_ms = number(o, "duration_ms"),
	};
	copy_text(o, "model", ret->name, sizeof ret->name);
	copy_text(o, "provider", ret->provider, sizeof ret->provider);
	json_object_foreach(json_object_get(o, "tokens"), kind, count)
	{
		if (is_output(kind))
			ret->tokens_out += json_number_value(count);
		else
			ret->tokens_in += json_number_value(count);
	}
}

static void
read_rows(const json_t *list, struct top_sample *ret)
{
	size_t i;
	json_t *o;
	ret->rows = calloc(json_array_size(list) + 1, sizeof *ret->rows);
	if (ret->rows == NULL)
		abort();
	json_array_foreach(list, i, o) read_row(o, &ret->rows[ret->row_count++]);
}

static void
read_reasons(const json_t *list, struct top_sample *ret)
{
	size_t i;
	json_t *o;
	json_array_foreach(list, i, o)
	{
		if (ret->reason_count == TOP_REASONS_MAX)
			return;
		struct top_reason *r = &ret->reasons[ret->reason_count++];
		copy_text(o, "reason", r->name, sizeof r->name);
		copy_text(o, "severity", r->severity, sizeof r->severity);
		r->count = number(o, "count");
	}
}

static bool
is_refused(const json_t *o)
{
	const char *state = json_string_value(json_object_get(o, "state"));
	return state != NULL && strcmp(state, "refused") == 0;
}

/* Of providers in trouble those that somebody has to do something about come first. */
static void
read_troubles(const json_t *list, struct top_sample *ret)
{
	size_t i;
	json_t *o;
	ret->troubles_all = json_array_size(list);
	for (int refused = 1; refused >= 0; refused--)
		json_array_foreach(list, i, o)
		{
			if (is_refused(o) != (refused == 1) || ret->trouble_count == TOP_TROUBLES_MAX)
				continue;
			struct top_trouble *t = &ret->troubles[ret->trouble_count++];
			copy_text(o, "provider", t->provider, sizeof t->provider);
			copy_text(o, "upstream", t->upstream, sizeof t->upstream);
			copy_text(o, "state", t->state, sizeof t->state);
			t->key = number(o, "key");
			t->again_ms = number(o, "asked_again_in_ms");
		}
}

static void
read_edges(const json_t *list, struct top_sample *ret)
{
	size_t i;
	json_t *o;
	json_array_foreach(list, i, o)
	{
		if (ret->edge_count == TOP_EDGES_MAX)
			return;
		ret->edges[ret->edge_count++] = (struct top_edge){
			.number = number(o, "edge"),
			.exchanges = number(o, "exchanges"),
			.streams = number(o, "streams"),
			.connections = number(o, "connections"),
			.upstream = number(o, "upstream"),
			.tickets = number(o, "tickets"),
			.vault_used = number(o, "vault_used"),
			.vault_mapped = number(o, "vault_mapped"),
		};
	}
}

static void
read_ledger(const json_t *o, struct top_ledger *ret)
{
	*ret = (struct top_ledger){
		.bookings = number(o, "bookings"),
		.booked = number(o, "booked"),
		.commit_us = number(o, "commit_us"),
		.quarantined = number(o, "quarantined"),
		.mismatched = number(o, "mismatched"),
		.interrupted = number(o, "interrupted"),
		.store_failures = number(o, "store_failures"),
		.slots = number(o, "slots"),
		.slots_used = number(o, "slots_used"),
	};
	copy_text(o, "gate", ret->gate, sizeof ret->gate);
	copy_text(o, "store", ret->store, sizeof ret->store);
}

void
top_sample_read(const json_t *answer, struct top_sample *ret)
{
	const json_t *states = json_object_get(answer, "states");
	*ret = (struct top_sample){
		.at_s = number(answer, "at_us") / 1e6,
		.time_ms = number(answer, "time_ms"),
		.started_ms = number(answer, "started_ms"),
		.restarts = number(answer, "restarts"),
		.waiting = number(states, "waiting"),
		.answering = number(states, "answering"),
		.reserving = number(states, "reserving"),
		.settled = number(states, "settled") + number(states, "giving"),
		.balances_nano = amount(answer, "balances"),
		.revenue_nano = amount(answer, "revenue"),
		.losses_nano = amount(answer, "losses"),
		.vault_budget = number(answer, "vault_budget"),
		.tickets_per_edge = number(answer, "tickets_per_edge"),
	};
	copy_text(answer, "version", ret->version, sizeof ret->version);
	ret->generation = number(answer, "generation");
	read_ledger(json_object_get(answer, "ledger"), &ret->ledger);
	read_rows(json_object_get(answer, "models"), ret);
	read_reasons(json_object_get(answer, "reasons"), ret);
	read_troubles(json_object_get(answer, "providers"), ret);
	read_edges(json_object_get(answer, "edges"), ret);
}

void
top_sample_free(struct top_sample *s)
{
	free(s->rows);
	*s = (struct top_sample){0};
}

static void
drop_oldest(struct top_history *h)
{
	top_sample_free(&h->sample[0]);
	h->count--;
	memmove(&h->sample[0], &h->sample[1], h->count * sizeof h->sample[0]);
}

void
top_history_push(struct top_history *h, struct top_sample *s)
{
	const struct top_sample *last = top_newest(h);
	if (last != NULL && (last->started_ms != s->started_ms || last->at_s >= s->at_s))
		top_history_free(h);
	if (h->count == TOP_SAMPLES)
		drop_oldest(h);
	h->sample[h->count++] = *s;
	*s = (struct top_sample){0};
}

void
top_history_free(struct top_history *h)
{
	while (h->count > 0)
		top_sample_free(&h->sample[--h->count]);
}

const struct top_sample *
top_newest(const struct top_history *h)
{
	return h->count > 0 ? &h->sample[h->count - 1] : NULL;
}

double
top_span_s(const struct top_history *h)
{
	return h->count > 1 ? h->sample[h->count - 1].at_s - h->sample[0].at_s : 0;
}
