/* The way down: what the meter has read, in the caller's language. */
#include "edge/passage.h"

#include "edge/edge_priv.h"

#include "edge/answer.h"
#include "edge/endpoints.h"
#include "edge/keep_alive.h"
#include "edge/route.h"

enum { OUT_LEAST = 2 << 10,
	OUT_MOST = 8 << 20, /* told at once: the last event of some languages repeats the whole answer */
	KEPT_MOST = 2 << 20, /* what must wait: arguments of calls that run side by side */
	OUT_SMALL = 16 << 10, /* is of the memory that a connection may have: more is content */
	SENTENCE_MAX = 1 << 10 };

/* ---- memory ---- */

static bool
admit(struct exchange *x, size_t bytes)
{
	if (bytes <= OUT_SMALL)
		return true;
	if (!admit_answer(x, bytes))
		return false;
	x->passage->admitted += bytes;
	return true;
}

static void
give_back(struct exchange *x, size_t bytes)
{
	if (bytes <= OUT_SMALL)
		return;
	vault_release(x->edge->vault, bytes);
	share_content(x->edge, x->account_row, -(int64_t)bytes);
	x->passage->admitted -= bytes;
}

/* Of the content budget as well. */
static void *
alloc(struct exchange *x, size_t bytes)
{
	if (!admit(x, bytes))
		return NULL;
	void *at = vault_alloc(x->edge->vault, bytes);
	if (!at)
		give_back(x, bytes);
	return at;
}

static void
release(struct exchange *x, void *at, size_t bytes)
{
	vault_free(x->edge->vault, at, bytes);
	if (at)
		give_back(x, bytes);
}

static void *
keep(void *owner, size_t bytes)
{
	struct exchange *x = owner;
	struct passage *p = x->passage;
	if (bytes > KEPT_MOST - p->kept)
		return NULL;
	void *at = alloc(x, bytes);
	if (at)
		p->kept += bytes;
	return at;
}

static void
drop(void *owner, void *at, size_t bytes)
{
	struct exchange *x = owner;
	release(x, at, bytes);
	x->passage->kept -= bytes;
}

/* ---- what is told next: in one piece, since it goes out at the end of the turn ---- */

struct telling_room {
	struct sink sink; /* first */
	struct exchange *x;
	size_t cap;
};

static bool
grow_out(struct sink *s)
{
	struct telling_room *r = container_of(s, struct telling_room, sink);
	size_t cap = vault_block_bytes(2 * r->cap);
	char *at = cap <= OUT_MOST ? alloc(r->x, cap) : NULL;
	if (!at)
		return false;
	memcpy(at, s->at, s->len);
	release(r->x, s->at, r->cap);
	s->at = at;
	s->cap = r->cap = cap;
	return true;
}

static bool
room_open(struct telling_room *r, struct exchange *x, size_t bytes)
{
	r->x = x;
	r->cap = vault_block_bytes(bytes < OUT_LEAST ? OUT_LEAST : bytes);
	r->sink = (struct sink){.grow = grow_out, .at = alloc(x, r->cap), .cap = r->cap};
	return r->sink.at;
}

/* It is the passage's until it has been told. */
static void
room_close(struct passage *p, struct telling_room *r)
{
	p->out = r->sink;
	p->out_cap = r->cap;
}

void
passage_told(struct exchange *x)
{
	struct passage *p = x->passage;
	if (!p->out_cap || p->held)
		return;
	release(x, p->out.at, p->out_cap);
	p->out = (struct sink){0};
	p->out_cap = 0;
}

/* ---- the beginning ---- */

static void
stream_head(struct exchange *x, struct text *t)
{
	answer_head(x, t, 200);
	text_str(t, x->passage->as_array ? "content-type: application/json; charset=UTF-8\r\n" : "content-type: text/event-stream; charset=utf-8\r\n");
	if (x->client && x->client->http10)
		x->keep_client = false;
	else {
		x->client_chunked = true;
		text_lit(t, "transfer-encoding: chunked\r\n");
	}
	text_lit(t, "\r\n");
}

void
passage_begin(struct exchange *x, char *rest, size_t len, bool eof)
{
	struct edge *e = x->edge;
	struct passage *p = x->passage;
	p->translation = vault_alloc(e->vault, sizeof *p->translation);
	if (!p->translation) {
		exchange_end(x, END_OVERLOADED);
		return;
	}
	const struct translate_answer_facts facts = {
		.from = p->to,
		.to = p->from,
		.model = {p->model, p->model_len},
		.id = {p->id, p->id_len},
		.now_s = edge_wall_ms(e) / 1000,
		.streamed = x->streamed,
		.include_usage = p->include_usage,
		.show_reasoning = true,
		.as_array = p->as_array,
	};
	translation_begin(p->translation, &facts);
	p->translation->keep = keep;
	p->translation->drop = drop;
	p->translation->owner = x;
	request_estimate(x);
	request_free(x);
	exchange_step(x, STEP_RELAY);
	struct text t = text_on(e->head_out, HEAD_OUT_BYTES / 2);
	if (x->streamed) {
		stream_head(x, &t);
		x->head_sent = true;
	}
	relay_body(x, rest, 0, len, eof, (struct span){t.at, t.len});
}

/* ---- errors ---- */

/* Which status a provider's becomes: wire.md 8.4 names those that only one language knows. */
static uint16_t
status_for(const struct exchange *x, uint32_t theirs)
{
	if (theirs == 529 || theirs == 503)
		return x->dialect == DIALECT_ANTHROPIC ? 529 : 503;
	if (theirs == 422)
		return 400;
	return theirs >= 400 && theirs <= 504 ? (uint16_t)theirs : 502;
}

static bool
says(struct span s, const char *word)
{
	return memmem(s.at, s.len, word, strlen(word)) != NULL;
}

static const char *
code_for(uint16_t status, struct span sentence)
{
	if (status == 400 && (says(sentence, "prompt is too long") || says(sentence, "context length") || says(sentence, "maximum number of tokens")))
		return "context_length_exceeded";
	return status == 429 ? "rate_limit_exceeded" : status == 404 ? "model_not_found"
		: status == 413                                          ? "request_too_large"
		: status == 503 || status == 529                         ? "server_is_overloaded"
																 : "upstream_error";
}

static struct error_says
error_for(const struct exchange *x, uint32_t theirs, struct span sentence)
{
	uint16_t status = status_for(x, theirs);
	struct error_says e = {
		.status = status,
		.message = sentence,
		.type = status == 429 ? "rate_limit_error" : status >= 500 ? "server_error"
																   : "invalid_request_error",
		.code = code_for(status, sentence),
		.request_id = {x->passage->id, x->passage->id_len},
	};
	if (!sentence.len)
		e.message = status == 429 ? SPAN("The provider is receiving too many requests; try again in a moment.")
			: status >= 500       ? SPAN("The provider failed to answer this request.")
								  : SPAN("The provider refused this request.");
	return e;
}

void
passage_error(struct exchange *x, struct span lines, struct span body)
{
	char sentence[SENTENCE_MAX];
	struct text t = text_on(sentence, sizeof sentence);
	if (body.len)
		translate_error(body.at, body.len, &t);
	struct span told = {t.at, answer_is_private(x, body) ? 0 : t.len};
	struct error_says e = error_for(x, x->up_status, told);
	e.wait_s = (uint32_t)((route_rest_ms(lines, body) + 999) / 1000);
	answer_send_error(x, &e);
	explicit_bzero(sentence, sizeof sentence);
	exchange_end(x, END_PROVIDER_ERROR);
}

static bool
end_private(struct exchange *x, struct span head)
{
	struct edge *e = x->edge;
	edge_report(e, EVENT_PROVIDER_ACCOUNT, x->ticket->facts.provider, x->up_status);
	x->head_sent = x->head_sent && !head.len;
	exchange_end(x, x->head_sent ? END_PROVIDER_CUT : END_PROVIDER_ACCOUNT);
	return false;
}

/* In an array it is one more element, as Google has it, and the last. */
void
passage_write_event(const struct exchange *x, struct text *t, const struct error_says *e)
{
	if (!x->passage || !x->passage->as_array) {
		error_write_event(t, (enum endpoint)x->endpoint, e);
		return;
	}
	text_str(t, x->tail[3] ? ",\r\n" : "[");
	error_write(t, DIALECT_GEMINI, e);
	text_lit(t, "]\r\n");
}

/* An error within a 200: with a status of its own as long as nothing has been told, else as the last event. */
static bool
end_by_error(struct exchange *x, struct span head)
{
	struct edge *e = x->edge;
	struct passage *p = x->passage;
	char copy[SENTENCE_MAX];
	struct span text = p->translation->error_text;
	if (answer_is_private(x, text))
		return end_private(x, head);
	struct span told = {copy, text.len < sizeof copy ? text.len : sizeof copy};
	memcpy(copy, text.at ? text.at : "", told.len);
	struct error_says says = error_for(x, p->translation->error_status, told);
	bool nothing_told = !x->head_sent || (head.len && !p->out.len);
	if (nothing_told) {
		x->head_sent = false;
		answer_send_error(x, &says);
	} else {
		reply(x, head, p->out.at, p->out.len, false);
		if (x->step == STEP_DONE)
			return false;
		struct text t = text_on(e->head_out + HEAD_OUT_BYTES / 2, HEAD_OUT_BYTES / 2);
		keep_alive_said(x, (struct span){p->out.at, p->out.len});
		passage_write_event(x, &t, &says);
		x->answered = true;
		reply(x, (struct span){0}, t.at, t.len, true);
	}
	explicit_bzero(copy, sizeof copy);
	exchange_end(x, END_PROVIDER_ERROR_INSIDE); /* nothing, if the client went on the way */
	return false;
}

/* What was made stands; then the stream ends in the words for that. */
static bool
end_after(struct exchange *x, struct span head, enum end_reason reason)
{
	struct passage *p = x->passage;
	if (x->head_sent && (head.len || p->out.len)) {
		reply(x, head, p->out.at, p->out.len, false);
		if (x->step == STEP_DONE)
			return false;
		keep_alive_said(x, (struct span){p->out.at, p->out.len});
	}
	exchange_end(x, reason);
	return false;
}

static enum end_reason
reason_of_flaw(const struct exchange *x)
{
	return x->meter->content_bytes + x->meter->reasoning_bytes ? END_PROVIDER_CUT : END_PROVIDER_MALFORMED;
}

/* ---- streams ---- */

/* The beginning of an event that has not come whole. */
static bool
keep_rest(struct exchange *x, const char *at, size_t len)
{
	struct passage *p = x->passage;
	if (p->rest_len + len > TRANSLATE_EVENT_MAX + READ_BYTES)
		return false;
	if (p->rest_len + len > p->rest_cap) {
		size_t cap = vault_block_bytes(p->rest_len + len + p->rest_len / 2);
		char *more = alloc(x, cap);
		if (!more)
			return false;
		if (p->rest_len)
			memcpy(more, p->rest, p->rest_len);
		release(x, p->rest, p->rest_cap);
		p->rest = more;
		p->rest_cap = cap;
	}
	memcpy(p->rest + p->rest_len, at, len);
	p->rest_len += len;
	return true;
}

static void
drop_rest(struct exchange *x)
{
	struct passage *p = x->passage;
	release(x, p->rest, p->rest_cap);
	p->rest = NULL;
	p->rest_len = p->rest_cap = 0;
}

static enum translate_result
translate_some(struct exchange *x, struct span in, bool last, struct sink *out)
{
	struct passage *p = x->passage;
	bool kept = p->rest_len;
	if (kept && !keep_rest(x, in.at, in.len))
		return TRANSLATE_MALFORMED;
	if (kept)
		in = (struct span){p->rest, p->rest_len};
	size_t used = 0;
	enum translate_result result = translate_stream(p->translation, in.at, in.len, last, out, &used);
	if (result != TRANSLATE_MORE)
		return result;
	if (!kept)
		return used == in.len || keep_rest(x, in.at + used, in.len - used) ? TRANSLATE_MORE : TRANSLATE_MALFORMED;
	memmove(p->rest, p->rest + used, p->rest_len - used);
	p->rest_len -= used;
	if (!p->rest_len)
		drop_rest(x);
	return TRANSLATE_MORE;
}

/* What comes behind the end is not told any more; the provider's own end is waited for, so that its connection can be used again. */
static bool
after_the_end(struct exchange *x, struct span *data, bool last)
{
	struct passage *p = x->passage;
	*data = (struct span){0};
	if (last && p->held) {
		p->held = false;
		*data = (struct span){p->out.at, p->out.len};
	}
	return true;
}

static bool
translate_events(struct exchange *x, struct span *data, bool last, struct span head)
{
	struct passage *p = x->passage;
	struct telling_room room;
	if (p->ended)
		return after_the_end(x, data, last);
	if (!room_open(&room, x, 2 * data->len)) {
		exchange_end(x, x->head_sent && !head.len ? END_PROVIDER_CUT : END_OVERLOADED);
		return false;
	}
	enum translate_result result = translate_some(x, *data, last, &room.sink);
	room_close(p, &room);
	*data = (struct span){p->out.at, p->out.len};
	switch (result) {
	case TRANSLATE_MORE:
		return last ? end_after(x, head, END_PROVIDER_CUT) : true;
	case TRANSLATE_END:
		p->ended = true;
		drop_rest(x);
		p->held = x->edge->p->durability == DURABILITY_STRICT && !last;
		if (p->held)
			data->len = 0;
		return true;
	case TRANSLATE_ERROR:
		return end_by_error(x, head);
	case TRANSLATE_MALFORMED:
		return end_after(x, head, reason_of_flaw(x));
	case TRANSLATE_FULL:
		return end_after(x, head, END_OVERLOADED);
	}
	return false;
}

/* ---- plain answers ---- */

static bool
grow_answer(struct sink *s)
{
	struct passage_blocks *k = container_of(s, struct passage_blocks, sink);
	return passage_add_block(k, k->room);
}

static bool
collect(struct exchange *x, struct span data)
{
	struct passage_blocks *k = &x->passage->answer;
	if (!k->x) {
		k->x = x;
		k->admitted = &x->passage->admitted;
		k->sink.grow = grow_answer;
		k->most = x->edge->p->limits.body_bytes + BLOCK_BODY_MAX;
	}
	sink_add(&k->sink, data.at, data.len);
	if (k->last)
		k->last->len = (uint32_t)k->sink.len;
	return !k->sink.full;
}

static enum translate_result
translate_whole(struct exchange *x, struct sink *out)
{
	struct passage_blocks *k = &x->passage->answer;
	struct edge *e = x->edge;
	uint32_t count = 0, at = 0;
	for (const struct block *b = k->first; b; b = b->next)
		count++;
	if (!count)
		return TRANSLATE_MALFORMED;
	struct span *pieces = vault_alloc(e->vault, count * sizeof *pieces);
	if (!pieces)
		return TRANSLATE_FULL;
	for (const struct block *b = k->first; b; b = b->next)
		if (b->len)
			pieces[at++] = (struct span){b->bytes, b->len};
	struct json_source source = json_source(pieces, at);
	source.steps_most = e->p->limits.translation_steps; /* others wait as long as for a request at most */
	enum translate_result result = translate_answer(x->passage->translation, &source, out);
	vault_free(e->vault, pieces, count * sizeof *pieces);
	return result;
}

static void
plain_head(struct exchange *x, size_t len, struct span *head)
{
	struct text t = text_on(x->edge->head_out, HEAD_OUT_BYTES / 2);
	answer_head(x, &t, 200);
	text_lit(&t, "content-type: application/json\r\ncontent-length: ");
	text_u64(&t, len);
	text_lit(&t, "\r\n\r\n");
	x->head_sent = true;
	x->client_chunked = false;
	*head = (struct span){t.at, t.len};
}

static bool
tell_whole(struct exchange *x, struct span *data, struct span *head)
{
	struct passage *p = x->passage;
	struct telling_room room;
	if (!room_open(&room, x, p->answer.room)) {
		exchange_end(x, END_OVERLOADED);
		return false;
	}
	enum translate_result result = translate_whole(x, &room.sink);
	room_close(p, &room);
	switch (result) {
	case TRANSLATE_END:
	case TRANSLATE_MORE: /* of one document there is no more */
		*data = (struct span){p->out.at, p->out.len};
		plain_head(x, data->len, head);
		return true;
	case TRANSLATE_ERROR:
		return end_by_error(x, *head);
	case TRANSLATE_MALFORMED:
		exchange_end(x, END_PROVIDER_MALFORMED);
		return false;
	case TRANSLATE_FULL:
		exchange_end(x, END_OVERLOADED);
		return false;
	}
	return false;
}

static bool
translate_plain(struct exchange *x, struct span *data, bool last, struct span *head)
{
	if (!collect(x, *data)) {
		exchange_end(x, END_OVERLOADED);
		return false;
	}
	*data = (struct span){0};
	if (!last)
		return true;
	if (!x->up_done) {
		exchange_end(x, END_PROVIDER_CUT);
		return false;
	}
	return tell_whole(x, data, head);
}

bool
passage_translate(struct exchange *x, struct span *data, bool last, struct span *head)
{
	return x->streamed ? translate_events(x, data, last, *head) : translate_plain(x, data, last, head);
}
