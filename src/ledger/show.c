/* What is known of one request, the price book, and the ledger itself. */
#include "ledger/ledger_priv.h"
#include "ledger/outbox.h"
#include "ticket/end_reasons.h"
#include "ticket/endpoints.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- ticket.show ---- */

bool
control_reason_parse(const char *text, int64_t *ret)
{
	for (int number = 0; number <= UINT8_MAX; number++)
		if (strcasecmp(end_reason_name((uint64_t)number), text) == 0 && strcasecmp(text, "unknown") != 0) {
			*ret = number;
			return true;
		}
	return false;
}

static void
put_word(json_t *o, const char *name, const char *const *words, size_t count, int64_t value)
{
	bool known = value >= 0 && (size_t)value < count && words[value] != NULL;
	json_object_set_new(o, name, known ? json_string(words[value]) : json_integer(value));
}

void
control_put_endpoint(json_t *o, int64_t endpoint)
{
	static const char *const words[] = {
#define X(NAME, number, dialect, word, billed) [number] = word,
		ENDPOINTS(X)
#undef X
	};
	put_word(o, "endpoint", words, ARRAY_LEN(words), endpoint);
}

void
control_put_tier(json_t *o, int64_t tier)
{
	static const char *const words[] = {
#define X(name) #name,
		SERVICE_TIERS(X)
#undef X
	};
	put_word(o, "tier", words, ARRAY_LEN(words), tier);
}

/* 64 bits are text: JavaScript's numbers would round them. */
static void
put_number(json_t *o, const char *name, uint64_t value, size_t bytes)
{
	char text[24];
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	json_object_set_new(o, name, bytes == 8 ? json_string(text) : json_integer((json_int_t)value));
}

static void
put_facts(struct ledger *l, json_t *o, const struct ticket_facts *f)
{
	json_t *facts = json_object();
#define X(name, type, unit, meaning, promise) put_number(facts, #name, f->name, sizeof(type));
	TICKET_FIELDS(X)
#undef X
	json_object_set_new(o, "facts", facts);
	control_put_id(o, "account", ID_ACCOUNT, f->account);
	control_put_id(o, "key", ID_KEY, f->key);
	control_put_name(l, o, "model", SQL_model_by_id, f->model);
	control_put_name(l, o, "provider", SQL_provider_by_id, f->provider);
	const char *lane = l->o.catalogue != NULL ? catalogue_lane_name(l->o.catalogue, f->lane) : NULL;
	if (lane != NULL)
		json_object_set_new(o, "lane", json_string(lane));
	char price[20];
	snprintf(price, sizeof(price), "%016llx", (unsigned long long)f->price);
	json_object_set_new(o, "price", json_string(price));
	control_put_endpoint(o, f->endpoint);
	control_put_tier(o, f->tier);
	control_put_time(o, "started", (int64_t)f->started_us);
	json_object_set_new(o, "end_reason", json_string(end_reason_name(f->end_reason)));
	json_object_set_new(o, "streamed", json_boolean(f->flags & TICKET_STREAMED));
	json_object_set_new(o, "estimated", json_boolean(f->flags & TICKET_ESTIMATED));
	json_object_set_new(o, "absurd", json_boolean(f->flags & TICKET_ABSURD));
	json_object_set_new(o, "own_key", json_boolean(f->flags & TICKET_OWN_KEY));
}

static json_t *
ticket_json(struct ledger *l, const struct ticket_copy *t, const char *state)
{
	json_t *o = control_ok();
	control_put_id(o, "request", ID_REQUEST, t->id);
	json_object_set_new(o, "state", json_string(state));
	control_put_nano(o, "cost", t->cost.v);
	control_put_nano(o, "hold", t->hold.v);
	put_facts(l, o, &t->facts);
	return o;
}

static json_t *
booked_ticket(struct ledger *l, uint64_t id)
{
	struct query *st = store_sql(&l->store, SQL_ticket_by_id);
	sql_bind(st, (int64_t)id);
	if (sql_step(&l->store, st) != SQL_ROW)
		return NULL;
	struct ticket_copy t;
	ticket_of_row(st, &t);
	json_t *o = ticket_json(l, &t, "booked");
	control_put_id(o, "booking", ID_BOOKING, (uint64_t)sql_int(st, 1));
	control_put_nano(o, "difference", sql_int(st, 4));
	sql_reset(st);
	return o;
}

static json_t *
running_ticket(struct ledger *l, uint64_t id)
{
	struct ticket_copy t;
	for (uint32_t i = 0; i < l->progress.count; i++)
		if (board_held_copy(l->o.board, i, &t) && t.id == id)
			return ticket_json(l, &t, "running");
	return NULL;
}

json_t *
control_ticket_show(struct ledger *l, const json_t *request)
{
	json_t *error;
	const char *text;
	uint64_t id;
	if (!control_text(request, &(struct text_rule){"id", 64, true}, &text, &error))
		return error;
	if (!id_parse(ID_REQUEST, (struct span){text, strlen(text)}, &id))
		return control_error(
			"bad_request", "\"id\" must be a request's id (req_…, from the header x-request-id), not \"%s\"", text);
	if (l->o.board != NULL && !ledger_drain(l))
		return control_store_failed(l);
	json_t *o = booked_ticket(l, id);
	if (o == NULL)
		o = running_ticket(l, id);
	return o != NULL
		? o
		: control_error("no_such_request",
			  "request %s is not in the ledger: it was refused before it could cost anything, or never was", text);
}

/* ---- status ---- */

const char *
control_gate(const struct ledger *l)
{
	switch ((enum board_gate)atomic_load(board_gate(l->o.board))) {
	case BOARD_STARTING:
		return "starting";
	case BOARD_OPEN:
		return "open";
	case BOARD_STALLED:
		return "stalled";
	case BOARD_DRAINING:
		return "draining";
	}
	return "unknown";
}

static uint64_t
count_running(struct ledger *l)
{
	struct ticket_copy t;
	uint64_t running = 0;
	for (uint32_t i = 0; i < l->progress.count; i++)
		running += !board_is_ledger_ticket(l->o.board, i) && board_held_copy(l->o.board, i, &t);
	return running;
}

void
control_put_server(const struct ledger *l, json_t *o)
{
	const struct process_counters *p = observe_processes(l);
	json_object_set_new(o, "version", json_string(LETHE_VERSION));
	if (p == NULL)
		return;
	json_object_set_new(o, "generation", json_integer((json_int_t)atomic_load_explicit(&p->generation, memory_order_relaxed)));
	json_object_set_new(o, "upgrades", json_integer((json_int_t)atomic_load_explicit(&p->upgrades, memory_order_relaxed)));
}

static void
put_board(struct ledger *l, json_t *o)
{
	struct board_size size;
	board_size_of(l->o.board, &size);
	json_object_set_new(o, "gate", json_string(control_gate(l)));
	json_object_set_new(o, "rounds", json_integer((json_int_t)atomic_load(board_rounds(l->o.board))));
	json_object_set_new(o, "edges", json_integer(observe_edges_running(l)));
	json_object_set_new(o, "slots", json_integer(size.slots));
	json_object_set_new(o, "running", json_integer((json_int_t)count_running(l)));
	json_object_set_new(o, "keys", json_integer((json_int_t)key_table_count(l->o.keys)));
}

json_t *
control_status(struct ledger *l, const json_t *request)
{
	json_t *o = control_ok();
	json_object_set_new(o, "serving", json_boolean(l->o.board != NULL));
	json_object_set_new(o, "node", json_integer(l->o.node));
	json_object_set_new(o, "bookings", l->away != NULL ? json_null() : json_integer(l->next_booking - 1));
	json_object_set_new(o, "store", json_string(l->back_off_ms == 0 && l->away == NULL ? "ok" : store_trouble(&l->store)));
	json_object_set_new(o, "waiting", json_integer(l->away != NULL ? outbox_facts(l->away)->requests : 0));
#define PUT(name) json_object_set_new(o, #name, json_integer((json_int_t)l->stats.name))
	PUT(booked);
	PUT(quarantined);
	PUT(mismatched);
	PUT(interrupted);
	PUT(store_failures);
#undef PUT
	if (l->o.board != NULL) {
		put_board(l, o);
		control_put_server(l, o);
	}
	return o;
}
