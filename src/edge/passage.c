#include "edge/passage.h"

#include "edge/edge_priv.h"

#include "edge/answer.h"
#include "edge/endpoints.h"
#include "edge/quote.h"
#include "edge/route.h"
#include "edge/safety.h"
#include "edge/tokens.h"

#include <assert.h>

enum { BLOCK_FIRST = 4 << 10,
	BODY_EXTRA = 64 << 10 }; /* a translated body is at most twice the original, and this */

/* ---- who can be asked ---- */

/* Those that there is a codec for. */
static const bool known[LANGUAGE_ALL] = {
	[LANGUAGE_CHAT] = true,
	[LANGUAGE_RESPONSES] = true,
	[LANGUAGE_MESSAGES] = true,
	[LANGUAGE_GEMINI] = true,
	[LANGUAGE_COMPLETIONS] = true,
};

static enum language
language_of_openai(const struct catalogue_provider *p, enum asked_in asked, enum language from)
{
	switch (asked) {
	case ASKED_IN_RESPONSES:
		return LANGUAGE_RESPONSES;
	case ASKED_AS_CALLED:
		if (from == LANGUAGE_RESPONSES)
			return from;
		break;
	case ASKED_IN_CHAT:
	case ASKED_COUNT:
		break;
	}
	return from == LANGUAGE_COMPLETIONS && p->completions ? from : LANGUAGE_CHAT;
}

/* In which language a target is asked what came in that one. */
static enum language
language_at(const struct catalogue *c, const struct catalogue_target *t, enum language from)
{
	const struct catalogue_provider *p = catalogue_provider(c, t->provider);
	switch ((enum dialect)p->dialect) {
	case DIALECT_OPENAI:
		return language_of_openai(p, (enum asked_in)t->asked_in, from);
	case DIALECT_ANTHROPIC:
		return LANGUAGE_MESSAGES;
	case DIALECT_GEMINI:
		return LANGUAGE_GEMINI;
	case DIALECT_COUNT:
		break;
	}
	return LANGUAGE_NONE;
}

static bool
translates(const struct catalogue *c, const struct catalogue_target *t, enum language from)
{
	return known[from] && known[language_at(c, t, from)];
}

bool
passage_serves(const struct catalogue *c, const struct catalogue_target *t, enum endpoint endpoint)
{
	enum language from = translate_language(endpoint);
	bool same = catalogue_provider(c, t->provider)->dialect == endpoint_dialect(endpoint);
	if (same && (from == LANGUAGE_NONE || language_at(c, t, from) == from))
		return true;
	return from != LANGUAGE_NONE && translates(c, t, from);
}

bool
passage_reaches(const struct catalogue *c, const struct catalogue_target *t, enum dialect dialect)
{
	static const enum language main_of[DIALECT_COUNT] = {LANGUAGE_CHAT, LANGUAGE_MESSAGES, LANGUAGE_GEMINI};
	return catalogue_provider(c, t->provider)->dialect == dialect || translates(c, t, main_of[dialect]);
}

enum endpoint
passage_endpoint(const struct exchange *x)
{
	return (enum endpoint)(x->passage ? x->passage->endpoint : x->endpoint);
}

static enum endpoint
endpoint_of(enum language language, bool stream)
{
	switch (language) {
	case LANGUAGE_CHAT:
		return ENDPOINT_CHAT_COMPLETIONS;
	case LANGUAGE_RESPONSES:
		return ENDPOINT_RESPONSES;
	case LANGUAGE_MESSAGES:
		return ENDPOINT_MESSAGES;
	case LANGUAGE_GEMINI:
		return stream ? ENDPOINT_STREAM_GENERATE_CONTENT : ENDPOINT_GENERATE_CONTENT;
	case LANGUAGE_COMPLETIONS: /* told to nobody */
	case LANGUAGE_NONE:
	case LANGUAGE_ALL:
		break;
	}
	return ENDPOINT_NONE;
}

/* ---- the wish ---- */

bool
passage_read_wish(struct exchange *x, const struct http1_head *h)
{
	const struct http1_field *f = http1_field_find(h, HTTP1_LETHE_TRANSLATE);
	struct span v = f ? http1_field_value(h, f) : (struct span){0};
	x->req->lenient = f && v.len == 7 && !strncasecmp(v.at, "lenient", 7);
	return !f || x->req->lenient;
}

void
passage_explain_wish(struct exchange *x)
{
	answer_sentence(x, END_BAD_HEADER, "lethe-translate",
		SPAN("lethe-translate is `lenient`: what the model's provider has no word for is left out, and named in lethe-dropped. Leave the header out to have such a request refused."));
}

bool
passage_is_due(const struct exchange *x)
{
	enum language from = translate_language((enum endpoint)x->endpoint);
	return from != LANGUAGE_NONE && language_at(x->edge->p->catalogue, x->route.target, from) != from;
}

void
passage_add_headers(struct text *t, const struct exchange *x)
{
	const struct passage *p = x->passage;
	if (x->estimate)
		text_lit(t, "lethe-estimate: true\r\n");
	if (!p || !p->dropped_len)
		return;
	text_lit(t, "lethe-dropped: ");
	text_add(t, p->dropped, p->dropped_len);
	text_lit(t, "\r\n");
}

bool
passage_count(struct exchange *x)
{
	char room[64];
	struct text t = text_on(room, sizeof room);
	if (x->endpoint == ENDPOINT_MESSAGES_COUNT_TOKENS)
		text_lit(&t, "{\"input_tokens\":");
	else if (x->endpoint == ENDPOINT_COUNT_TOKENS)
		text_lit(&t, "{\"totalTokens\":");
	else
		return false;
	text_u64(&t, tokens_input(x));
	text_lit(&t, "}");
	x->estimate = true;
	answer_json(x, 200, (struct span){t.at, t.len});
	return true;
}

/* ---- the body ---- */

bool
passage_add_block(struct passage_blocks *k, uint64_t want)
{
	struct exchange *x = k->x;
	struct edge *e = x->edge;
	want = want < BLOCK_FIRST ? BLOCK_FIRST : want > BLOCK_BODY_MAX ? BLOCK_BODY_MAX
																	: want;
	size_t cap = vault_block_bytes((size_t)want) - sizeof(struct block);
	if (k->room + cap > k->most || !(k->is_request ? admit_bytes(x, cap) : admit_answer(x, cap)))
		return false;
	struct block *b = block_new(e, cap);
	if (!b) {
		vault_release(e->vault, cap);
		share_content(e, x->account_row, -(int64_t)cap);
		return false;
	}
	*k->admitted += cap;
	if (k->last) {
		k->last->len = (uint32_t)k->sink.len;
		k->bytes += k->sink.len;
		k->last->next = b;
	} else
		k->first = b;
	k->last = b;
	k->room += cap;
	k->sink.at = b->bytes;
	k->sink.len = 0;
	k->sink.cap = cap;
	return true;
}

/* A quarter of all that there is: at most so much of the memory is not used. */
static bool
grow_request(struct sink *s)
{
	struct passage_blocks *k = container_of(s, struct passage_blocks, sink);
	return passage_add_block(k, k->room / 4);
}

static void
close_blocks(struct passage_blocks *k)
{
	if (!k->last)
		return;
	k->last->len = (uint32_t)k->sink.len;
	k->bytes += k->sink.len;
}

static uint64_t
room_of(const struct block *b)
{
	uint64_t room = 0;
	for (; b; b = b->next)
		room += b->cap;
	return room;
}

static void
give_back(struct exchange *x, uint64_t bytes)
{
	struct request *r = x->req;
	bytes = bytes < r->admitted ? bytes : r->admitted;
	vault_release(x->edge->vault, bytes);
	share_content(x->edge, x->account_row, -(int64_t)bytes);
	r->admitted -= bytes;
}

void
passage_free_original(struct exchange *x)
{
	struct passage *p = x->passage;
	if (!p || !p->original)
		return;
	blocks_free(x->edge, p->original);
	if (x->req)
		give_back(x, p->original_bytes);
	p->original = p->original_last = NULL;
	p->original_bytes = 0;
}

void
passage_undo(struct exchange *x)
{
	struct passage *p = x->passage;
	struct request *r = x->req;
	if (!p || !p->original)
		return;
	uint64_t room = room_of(r->body);
	blocks_free(x->edge, r->body);
	give_back(x, room);
	r->body = p->original;
	r->body_last = p->original_last;
	r->body_bytes = p->original_bytes;
	p->original = p->original_last = NULL;
	vault_free(x->edge->vault, p, sizeof *p);
	x->passage = NULL;
}

static void
answer_refusal(struct exchange *x, struct translate_notes *n)
{
	static const struct span sentences[] = {
#define X(NAME, sentence) {sentence, sizeof(sentence) - 1},
		TRANSLATE_REFUSALS(X)
#undef X
	};
	char path[TRANSLATE_PATH_MAX + 1], room[640];
	struct text t = text_on(room, sizeof room);
	size_t len = n->path.len < TRANSLATE_PATH_MAX ? n->path.len : TRANSLATE_PATH_MAX;
	memcpy(path, n->path.at, len);
	path[len] = 0;
	text_add(&t, path, len);
	text_lit(&t, " ");
	text_span(&t, sentences[n->refusal]);
	text_lit(&t, ".");
	if (n->advice) {
		text_lit(&t, " ");
		text_str(&t, n->advice);
	}
	if (n->refusal == TRANSLATE_CANT && !x->req->lenient)
		text_lit(&t, " With the header `lethe-translate: lenient` what may be left out is.");
	struct error_says says = {
		.status = 400,
		.message = {t.at, t.len},
		.type = "invalid_request_error",
		.code = n->refusal == TRANSLATE_CANT ? "unsupported_parameter" : n->refusal == TRANSLATE_MISSING ? "missing_required_parameter"
																										 : "invalid_value",
		.param = path,
	};
	answer_send_error(x, &says);
	exchange_end(x, END_BAD_BODY);
	explicit_bzero(path, sizeof path);
	explicit_bzero(room, sizeof room);
}

/* Somebody else is asked, or would have been: what the request says is no flaw of it as long as one takes it. */
static bool
is_passed_on(struct exchange *x)
{
	passage_free(x);
	if (route_skip(x))
		return true;
	if (x->route.tries) /* the one that takes it has failed: it may be sent again */
		exchange_end(x, END_PROVIDER_UNREACHABLE);
	return x->route.tries > 0;
}

static void
answer_too_much(struct exchange *x)
{
	struct error_says says = {
		.status = 413,
		.message = SPAN("This request has too many small parts to be translated into the language of this model's provider. Send fewer of them at a time, or ask a model whose provider speaks the language of this endpoint."),
		.type = "invalid_request_error",
		.code = "request_too_large",
	};
	answer_send_error(x, &says);
	exchange_end(x, END_BODY_TOO_LARGE);
}

static void
refused(struct exchange *x, struct translate_notes *n)
{
	if (n->refusal == TRANSLATE_NO_MEMORY || n->refusal == TRANSLATE_NONE) {
		passage_free(x);
		admit_translation(x);
	} else if (is_passed_on(x))
		;
	else if (n->refusal == TRANSLATE_TOO_MUCH)
		answer_too_much(x);
	else
		answer_refusal(x, n);
	explicit_bzero(n, sizeof *n); /* the path has the caller's own names */
}

static struct translate_wish
wish_of(const struct exchange *x)
{
	const struct request_facts *f = &x->req->scan.result;
	const struct catalogue_provider *p = catalogue_provider(x->edge->p->catalogue, x->route.target->provider);
	const char *upstream_id = x->route.target->upstream_id;
	return (struct translate_wish){
		.from = x->passage->from,
		.to = x->passage->to,
		.model = {upstream_id, strlen(upstream_id)},
		.cap = x->capped,
		.output_tokens = x->model->output_tokens,
		.stream = f->stream,
		.lenient = x->req->lenient,
		.old_cap = p->old_cap,
		.ask_usage = p->inject_usage,
		.thinking = x->model->thinking,
	};
}

struct span *
passage_pieces(struct edge *e, const struct block *b, uint32_t *ret_count)
{
	uint32_t count = 0;
	for (const struct block *at = b; at; at = at->next)
		count += at->len > 0;
	struct span *s = vault_alloc(e->vault, (count + 1) * sizeof *s);
	if (!s)
		return NULL;
	for (count = 0; b; b = b->next)
		if (b->len)
			s[count++] = (struct span){b->bytes, b->len};
	*ret_count = count;
	return s;
}

/* What is remembered for the answer, when the request itself is gone. */
static bool
prepare(struct exchange *x)
{
	const struct request_facts *f = &x->req->scan.result;
	struct passage *p = vault_alloc(x->edge->vault, sizeof *p);
	if (!p)
		return false;
	x->passage = p;
	p->from = translate_language((enum endpoint)x->endpoint);
	p->to = language_at(x->edge->p->catalogue, x->route.target, p->from);
	p->endpoint = (uint8_t)endpoint_of(p->to, f->stream);
	p->include_usage = f->include_usage;
	p->as_array = x->endpoint == ENDPOINT_STREAM_GENERATE_CONTENT && !x->sse_asked;
	p->model_len = f->model_len;
	memcpy(p->model, f->model, f->model_len);
	p->id_len = (uint8_t)id_text(ID_REQUEST, x->id, p->id);
	return true;
}

static bool
make(struct exchange *x, const struct translate_wish *wish, struct passage_blocks *made, struct translate_notes *notes)
{
	struct edge *e = x->edge;
	uint32_t count;
	struct span *pieces = passage_pieces(e, x->req->body, &count);
	if (!pieces) {
		notes->refusal = TRANSLATE_NO_MEMORY;
		return false;
	}
	struct json_source source = json_source(pieces, count);
	source.steps_most = e->p->limits.translation_steps;
	bool done = translate_request(&source, wish, &made->sink, notes) && !made->sink.full;
	if (!done && made->sink.full)
		notes->refusal = TRANSLATE_NO_MEMORY;
	close_blocks(made);
	vault_free(e->vault, pieces, (count + 1) * sizeof *pieces);
	return done;
}

void
passage_resume(struct exchange *x)
{
	edge_works_for(x);
	route_edited(x);
}

/* It stands where the caller's own did: what sends knows no difference. */
static void
put_in_place(struct exchange *x, struct passage_blocks *made, const struct translate_notes *notes)
{
	struct request *r = x->req;
	struct passage *p = x->passage;
	p->original = r->body;
	p->original_last = r->body_last;
	p->original_bytes = r->body_bytes;
	r->body = made->first;
	r->body_last = made->last;
	r->body_bytes = made->bytes;
	r->edit_count = 0;
	r->total = made->bytes;
	p->dropped_len = (uint16_t)notes->dropped.len;
	memcpy(p->dropped, notes->dropped.at, notes->dropped.len);
	x->hide = false;
	if (p->to == LANGUAGE_GEMINI)
		x->sse_asked = r->scan.result.stream;
	if (!route_has_more(x)) /* nobody else may be asked */
		passage_free_original(x);
}

bool
passage_request(struct exchange *x)
{
	struct request *r = x->req;
	if (x->passage) /* made already, for the only one that may be asked: another of its keys, or another connection */
		return true;
	if (r->scan.result.object_count) { /* it lies at a provider, and not at this one */
		answer_request_error(x, REQUEST_FOREIGN_OBJECT);
		exchange_end(x, END_BAD_BODY);
		return false;
	}
	if (!prepare(x)) {
		admit_translation(x);
		return false;
	}
	struct passage_blocks made = {.sink = {.grow = grow_request}, .x = x, .is_request = true, .admitted = &r->admitted, .most = 2 * r->body_bytes + BODY_EXTRA};
	struct translate_notes notes = {0};
	struct translate_wish wish = wish_of(x);
	char user[SAFETY_TEXT_BYTES + 1];
	wish.user = safety_identifier(x, user);
	if (make(x, &wish, &made, &notes)) {
		put_in_place(x, &made, &notes);
		return true;
	}
	blocks_free(x->edge, made.first);
	give_back(x, made.room);
	refused(x, &notes);
	return false;
}

void
passage_free(struct exchange *x)
{
	struct edge *e = x->edge;
	struct passage *p = x->passage;
	if (!p)
		return;
	blocks_free(e, p->original);
	blocks_free(e, p->answer.first);
	if (p->translation) {
		translation_end(p->translation); /* gives back what it kept */
		vault_free(e->vault, p->translation, sizeof *p->translation);
	}
	if (p->admitted) {
		vault_release(e->vault, p->admitted);
		share_content(e, x->account_row, -(int64_t)p->admitted);
	}
	vault_free(e->vault, p->rest, p->rest_cap);
	if (p->out_cap)
		vault_free(e->vault, p->out.at, p->out_cap);
	vault_free(e->vault, p, sizeof *p);
	x->passage = NULL;
}
