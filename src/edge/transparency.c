#include "edge/transparency.h"

#include "ticket/circuit.h"
#include "ticket/ticket_fields.h"

#include <assert.h>

static const char *const labels[] = {
#define X(NAME, label, when, number) label,
	MACHINE_FACTS(X)
#undef X
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

/* ---- JSON ---- */

static void
json_facts(struct text *t, const struct machine *m)
{
	for (size_t i = 0; i < MACHINE_FACT_COUNT; i++) {
		text_str(t, i ? ",{\"fact\":\"" : "{\"fact\":\"");
		text_str(t, labels[i]);
		text_lit(t, "\",\"state\":\"");
		text_str(t, states[m->fact[i].state]);
		text_lit(t, "\",\"number\":");
		text_u64(t, m->fact[i].number);
		text_lit(t, "}");
	}
}

/* No edge has one. */
static const char *const key_places[] = {"none", "in the signer alone"};

static void
write_json(struct text *t, const struct edge_process *p)
{
	text_lit(t, "{\"version\":\"" LETHE_VERSION "\",\"content_memory\":\"");
	text_str(t, grades[p->grade]);
	text_lit(t, "\",\"binary_sha256\":\"");
	add_binary(t, p->binary);
	text_lit(t, "\",\"tls_private_keys\":\"");
	text_str(t, key_places[p->tls.listeners != 0]);
	text_lit(t, "\",\"looked_at\":");
	text_u64(t, p->machine.looked_ms / 1000);
	text_lit(t, ",\"facts\":[");
	json_facts(t, &p->machine);
	text_lit(t, "],\"kept_per_request\":[");
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		text_str(t, i ? ",\"" : "\"");
		text_str(t, kept[i]);
		text_lit(t, "\"");
	}
	text_lit(t, "]}");
}

/* ---- HTML ---- */

#define STYLE "body{font:16px/1.5 system-ui,sans-serif;max-width:44em;margin:2em auto;padding:0 1em}td{padding:0 1em 0 0}"

static void
html_row(struct text *t, const char *name, const char *state, uint64_t number)
{
	text_lit(t, "<tr><td>");
	text_str(t, name);
	text_lit(t, "<td>");
	text_str(t, state);
	text_lit(t, "<td>");
	text_u64(t, number);
}

static void
write_html(struct text *t, const struct edge_process *p)
{
	text_lit(t, "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>Transparency</title><style>" STYLE "</style><h1>Transparency</h1><p>Lethe " LETHE_VERSION ". Memory for requests and answers: <b>");
	text_str(t, grades[p->grade]);
	text_lit(t, "</b>. What passes through it is kept nowhere.<p>SHA-256 of the program: <code>");
	add_binary(t, p->binary);
	text_lit(t, "</code><p>Private keys of TLS: <b>");
	text_str(t, key_places[p->tls.listeners != 0]);
	text_lit(t, "</b>.<h2>This machine</h2><table>");
	for (size_t i = 0; i < MACHINE_FACT_COUNT; i++)
		html_row(t, labels[i], states[p->machine.fact[i].state], p->machine.fact[i].number);
	text_lit(t, "</table><p>Looked at: ");
	text_u64(t, p->machine.looked_ms / 1000);
	text_lit(t, " (Unix time).<h2>Kept about a request</h2><p>These numbers, and nothing else:<p><code>");
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
	if (!p->transparency) {
		exchange_end(x, END_NOT_FOUND);
		return;
	}
	/* The machine is as it was when this process began; who answers changes, and is known here. */
	struct edge_process now = *p;
	if (p->circuits) {
		now.machine.fact[MACHINE_PROVIDERS].number = circuits_troubled(p->circuits, p->catalogue, x->edge->loop.now_ms);
		now.machine.fact[MACHINE_PROVIDERS].state = now.machine.fact[MACHINE_PROVIDERS].number ? FACT_WARN : FACT_OK;
	}
	struct text body = text_on(x->edge->head_out + HEAD_OUT_BYTES / 2, HEAD_OUT_BYTES / 2);
	if (html)
		write_html(&body, &now);
	else
		write_json(&body, &now);
	assert(!body.cut);
	answer_page(x, html ? SPAN("content-type: text/html; charset=utf-8\r\ncontent-security-policy: default-src 'none'; style-src 'unsafe-inline'\r\n") : SPAN("content-type: application/json\r\n"),
		(struct span){body.at, body.len});
}
