#include "edge/transparency.h"

#include "ticket/circuit.h"
#include "ticket/ticket_fields.h"

#include <assert.h>

enum { ONCE,
	AGAIN };

static const struct {
	const char *label, *means;
	bool again;
} rows[] = {
#define X(NAME, label_, when, number) {label_, number, when},
	MACHINE_FACTS(X)
#undef X
};

/* As the page tells it. */
struct told_fact {
	uint64_t state, number, looked_s;
};

static const char *const kept[] = {
#define X(name, type, unit, meaning, promise) #name,
	TICKET_FIELDS(X)
#undef X
};

static const char *const states[] = {[FACT_OK] = "ok", [FACT_WARN] = "warn", [FACT_BAD] = "bad"};
static const char *const grades[] = {[VAULT_PLAIN] = "plain", [VAULT_LOCKED] = "locked", [VAULT_SEALED] = "sealed"};

static void
add_binary(struct text *t, const uint8_t *hash)
{
	static const char digits[] = "0123456789abcdef";
	for (int i = 0; i < EDGE_BINARY_BYTES; i++) {
		char pair[2] = {digits[hash[i] >> 4], digits[hash[i] & 15]};
		text_add(t, pair, sizeof pair);
	}
}

/* ---- as of when ---- */

/*
 * The supervisor looks, an edge may not: what it tells now, and when it looked. Only of its providers an edge knows more, as of this moment.
 */
static struct told_fact
told_fact(const struct edge *e, enum machine_fact which)
{
	const struct process_counters *p = e->p->processes;
	if (which == MACHINE_PROVIDERS && e->p->circuits) {
		uint64_t troubled = circuits_troubled(e->p->circuits, e->p->catalogue, e->loop.now_ms);
		return (struct told_fact){troubled ? FACT_WARN : FACT_OK, troubled, edge_wall_ms(e) / 1000};
	}
	/* Another process writes these: a state that is none must not end this one, and is shown as the worst. */
	uint64_t state = atomic_load(&p->machine[which].state), at_ms = atomic_load(rows[which].again ? &p->machine_looked_ms : &p->started_ms);
	return (struct told_fact){state <= FACT_BAD ? state : FACT_BAD, atomic_load(&p->machine[which].number), at_ms / 1000};
}

/* ---- JSON ---- */

static void
json_facts(struct text *t, const struct edge *e)
{
	for (size_t i = 0; i < MACHINE_FACT_COUNT; i++) {
		struct told_fact f = told_fact(e, (enum machine_fact)i);
		text_str(t, i ? ",{\"fact\":\"" : "{\"fact\":\"");
		text_str(t, rows[i].label);
		text_lit(t, "\",\"state\":\"");
		text_str(t, states[f.state]);
		text_lit(t, "\",\"number\":");
		text_u64(t, f.number);
		text_lit(t, ",\"looked_at\":");
		text_u64(t, f.looked_s);
		text_lit(t, "}");
	}
}

/* No edge has one. */
static const char *const key_places[] = {"none", "in the signer alone"};

static void
write_json(struct text *t, const struct edge *e)
{
	const struct edge_process *p = e->p;
	text_lit(t, "{\"version\":\"" LETHE_VERSION "\",\"content_memory\":\"");
	text_str(t, grades[p->grade]);
	text_lit(t, "\",\"binary_sha256\":\"");
	add_binary(t, p->binary);
	text_lit(t, "\",\"tls_private_keys\":\"");
	text_str(t, key_places[p->tls.listeners != 0]);
	text_lit(t, "\",\"looked_at\":");
	text_u64(t, atomic_load(&p->processes->machine_looked_ms) / 1000);
	text_lit(t, ",\"facts\":[");
	json_facts(t, e);
	text_lit(t, "],\"kept_per_request\":[");
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		text_str(t, i ? ",\"" : "\"");
		text_str(t, kept[i]);
		text_lit(t, "\"");
	}
	text_lit(t, "]}");
}

/* ---- HTML ---- */

#define STYLE "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}td,th{padding:0 1em 0 0;text-align:left;vertical-align:top}"

static void
html_row(struct text *t, const struct edge *e, enum machine_fact which)
{
	struct told_fact f = told_fact(e, which);
	text_lit(t, "<tr><td>");
	text_str(t, rows[which].label);
	text_lit(t, "<td>");
	text_str(t, states[f.state]);
	text_lit(t, "<td>");
	text_u64(t, f.number);
	text_lit(t, "<td>");
	text_str(t, rows[which].means);
	text_lit(t, "<td>");
	edge_date(t, f.looked_s);
}

static void
write_html(struct text *t, const struct edge *e)
{
	const struct edge_process *p = e->p;
	text_lit(t, "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>Transparency</title><style>" STYLE "</style><h1>Transparency</h1><p>Lethe " LETHE_VERSION ". Memory for requests and answers: <b>");
	text_str(t, grades[p->grade]);
	text_lit(t, "</b>. What passes through it is kept nowhere.<p>SHA-256 of the program: <code>");
	add_binary(t, p->binary);
	text_lit(t, "</code><p>Private keys of TLS: <b>");
	text_str(t, key_places[p->tls.listeners != 0]);
	text_lit(t, "</b>.<h2>This machine</h2><p>What can change is looked at every minute, the rest as the server starts.<table><tr><th>fact<th>state<th>number<th>what the number is<th>looked at");
	for (size_t i = 0; i < MACHINE_FACT_COUNT; i++)
		html_row(t, e, (enum machine_fact)i);
	text_lit(t, "</table><h2>Kept about a request</h2><p>These numbers, and nothing else:<p><code>");
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		text_str(t, i ? ", " : "");
		text_str(t, kept[i]);
	}
	text_lit(t, "</code></html>\n");
}

/* ---- which ---- */

/* A browser names it; everybody else gets JSON. */
static bool
wants_html(const struct http1_head *h)
{
	const struct http1_field *f = http1_field_find(h, HTTP1_ACCEPT);
	struct span types = f ? http1_field_value(h, f) : (struct span){0};
	return types.len && memmem(types.at, types.len, "text/html", 9);
}

void
transparency_answer(struct exchange *x, const struct http1_head *h)
{
	const struct edge_process *p = x->edge->p;
	bool html = wants_html(h);
	if (!p->transparency || !p->processes) {
		exchange_end(x, END_NOT_FOUND);
		return;
	}
	struct text body = text_on(x->edge->head_out + HEAD_OUT_BYTES / 2, HEAD_OUT_BYTES / 2);
	if (html)
		write_html(&body, x->edge);
	else
		write_json(&body, x->edge);
	assert(!body.cut);
	answer_page(x, html ? SPAN("content-type: text/html; charset=utf-8\r\ncontent-security-policy: default-src 'none'; style-src 'unsafe-inline'\r\n") : SPAN("content-type: application/json\r\n"),
		(struct span){body.at, body.len});
}
