#include "server.h"

#include "net.h"

#include <stdlib.h>
#include <string.h>

enum {
	HEAD_ROOM = 8192,
	FRAME_ROOM = 32,
};
static const size_t ANSWER_MOST = 256u << 20;

static const char JSON_TYPE[] = "application/json", AUDIO_TYPE[] = "audio/mpeg";

/* ---- exchanges ---- */

static struct sim_exchange *
exchange_begin(struct sim_conn *c)
{
	struct sim_exchange *x = calloc(1, sizeof *x);
	if (!x)
		abort();
	sim_script_init(&x->run.script);
	c->exchange = x;
	c->wire_left = UINT64_MAX; /* a cut that an answer was too short for is not the next one's */
	c->server->stats.open_exchanges++;
	return x;
}

/*
 * Content chunks said since the last look, into the counter and the notes that are still this
 * exchange's.
 */
static void
count_chunks(struct sim_conn *c)
{
	struct sim_exchange *x = c->exchange;
	c->server->stats.chunks += x->run.index - x->counted_chunks;
	x->counted_chunks = x->run.index;
	if (x->note && x->note->generation == x->generation)
		x->note->chunks = x->run.index;
}

static void
note_end(struct sim_conn *c, enum sim_note_state how)
{
	struct sim_exchange *x = c->exchange;
	struct sim_note *last = &c->server->notes.last;
	if (x->note && x->note->generation == x->generation)
		x->note->state = how;
	if (last->generation == x->generation) {
		last->state = how;
		last->chunks = x->run.index;
	}
}

void
sim_serve_end(struct sim_conn *c, enum sim_note_state how)
{
	struct sim_exchange *x = c->exchange;
	struct sim_stats *stats = &c->server->stats;
	count_chunks(c);
	note_end(c, how);
	stats->open_exchanges--;
	stats->done += how == SIM_NOTE_done;
	stats->cut += how == SIM_NOTE_cut;
	stats->cancelled += how == SIM_NOTE_cancelled;
	sim_run_finish(&x->run);
	free(x->socket);
	free(x);
	c->exchange = NULL;
	c->split = 0;
}

/* ---- sending an answer ---- */

static void
write_head(struct sim_conn *c, unsigned status, const char *type, uint64_t length, struct text *t)
{
	struct sim_exchange *x = c->exchange;
	struct sim_head h = {status, x->framing, length, type, ++c->server->next_id, c->server->date};
	sim_head_write(&h, &x->run.script, t);
}

/*
 * The limits count from the head's first byte, so an interim answer before it is not part of
 * them.
 */
static void
arm_cut(struct sim_conn *c, size_t head_len)
{
	const struct sim_script *s = &c->exchange->run.script;
	if (s->cut_head >= 0)
		c->wire_left = (uint64_t)s->cut_head;
	else if (s->cut_after >= 0)
		c->wire_left = head_len + (uint64_t)s->cut_after;
}

static void
choose_framing(struct sim_conn *c)
{
	struct sim_exchange *x = c->exchange;
	const struct sim_script *s = &x->run.script;
	if (s->close > 0 || s->http10 > 0) {
		x->framing = SIM_FRAMING_CLOSE;
		c->close_after = true;
	} else
		x->framing = x->run.stream || s->malformed == SIM_MALFORMED_chunk ? SIM_FRAMING_CHUNKED : SIM_FRAMING_LENGTH;
}

static struct span
coded(struct sim_exchange *x, struct span body, bool last, char *room, size_t cap)
{
	if (x->run.script.gzip <= 0)
		return body;
	struct text t = text_on(room, cap);
	sim_gzip_add(&x->gzip, body, last, &t);
	return (struct span){room, t.len};
}

static size_t
coded_most(size_t bytes)
{
	return bytes + bytes / 65535 * 5 + 64;
}

/*
 * A whole answer in one write. bytes: scratch with HEAD_ROOM free before the body, which lies at
 * bytes + HEAD_ROOM; behind it is room for its coded form.
 */
static void
send_whole(struct sim_conn *c, unsigned status, char *bytes, size_t len)
{
	struct sim_exchange *x = c->exchange;
	const struct sim_script *s = &x->run.script;
	char *room = bytes + 2 * HEAD_ROOM + len;
	struct span body = coded(x, (struct span){bytes + HEAD_ROOM, len}, true, room, coded_most(len));
	char head_bytes[HEAD_ROOM];
	struct text head = text_on(head_bytes, sizeof head_bytes);
	write_head(c, status, x->run.speech && status < 300 ? AUDIO_TYPE : JSON_TYPE, body.len, &head);
	arm_cut(c, head.len);
	if (s->malformed == SIM_MALFORMED_chunk)
		text_lit(&head, "zz\r\n");
	if (s->hang == SIM_HANG_body)
		body.len /= 2;
	char *start = (char *)body.at - head.len;
	memcpy(start, head.at, head.len);
	x->state = s->hang == SIM_HANG_body ? SIM_EXCHANGE_HUNG : SIM_EXCHANGE_SAID;
	sim_conn_out(c, (struct span){start, head.len + body.len}, false);
}

static char *
whole_room(size_t most)
{
	return sim_scratch(2 * HEAD_ROOM + most + HEAD_ROOM + coded_most(most));
}

static void
send_error(struct sim_conn *c, unsigned status, const char *message)
{
	char *bytes = whole_room(4096);
	struct text t = text_on(bytes + HEAD_ROOM, 4096);
	sim_error_body(status, &c->exchange->run.script, message, &t);
	c->server->stats.errors++;
	c->exchange->run.stream = false;
	choose_framing(c);
	send_whole(c, status, bytes, t.len);
}

static void
send_plain(struct sim_conn *c)
{
	const struct sim_run *r = &c->exchange->run;
	size_t most = sim_run_body_most(r);
	char *bytes = whole_room(most);
	struct text t = text_on(bytes + HEAD_ROOM, most);
	sim_run_body(r, c->server->now_ns, &t);
	c->server->stats.plain++;
	send_whole(c, r->script.status > 0 ? (unsigned)r->script.status : 200, bytes, t.len);
}

static void
send_stream_head(struct sim_conn *c)
{
	char bytes[HEAD_ROOM];
	struct text t = text_on(bytes, sizeof bytes);
	write_head(c, 200, "text/event-stream; charset=utf-8", 0, &t);
	arm_cut(c, t.len);
	c->server->stats.streams++;
	c->exchange->state = SIM_EXCHANGE_STREAMING;
	c->exchange->start_ns = c->server->now_ns;
	sim_conn_out(c, (struct span){bytes, t.len}, true);
}

/* One event as one chunk of the transfer coding, and so as one write. */
static void
send_event(struct sim_conn *c, struct span event, bool last)
{
	struct sim_exchange *x = c->exchange;
	bool chunked = x->framing == SIM_FRAMING_CHUNKED;
	struct text size = text_on((char *)event.at - FRAME_ROOM, FRAME_ROOM);
	if (chunked && event.len) {
		if (x->run.script.malformed == SIM_MALFORMED_chunk && x->run.events == 2)
			text_lit(&size, "zz");
		text_hex(&size, event.len);
		text_lit(&size, "\r\n");
		memmove((char *)event.at - size.len, size.at, size.len);
	}
	struct text t = text_on((char *)event.at + event.len, FRAME_ROOM);
	if (chunked)
		text_str(&t, last ? "\r\n0\r\n\r\n" : "\r\n");
	sim_conn_out(c, (struct span){event.at - size.len, size.len + event.len + t.len}, false);
}

static bool
hangs(const struct sim_run *r)
{
	return r->script.hang == SIM_HANG_body && r->index >= 1;
}

bool
sim_serve_step(struct sim_conn *c, uint64_t *ret_at_ns)
{
	struct sim_exchange *x = c->exchange;
	uint64_t due_ns = sim_run_due_ns(&x->run, x->start_ns), now_ns = net_now_ns();
	if (due_ns > now_ns) {
		*ret_at_ns = due_ns;
		return false;
	}
	size_t most = 4096 + (x->run.script.chunk_bytes > 0 ? (size_t)x->run.script.chunk_bytes : 0) + x->run.said_len;
	char *bytes = sim_scratch(4 * FRAME_ROOM + most + coded_most(most));
	struct text t = text_on(bytes + FRAME_ROOM, most);
	bool last = !sim_run_event(&x->run, now_ns, &t);
	char *room = bytes + 3 * FRAME_ROOM + most;
	struct span event = coded(x, (struct span){t.at, t.len}, last, room, coded_most(most));
	if (last)
		x->state = SIM_EXCHANGE_SAID;
	else if (hangs(&x->run))
		x->state = SIM_EXCHANGE_HUNG;
	send_event(c, event, last);
	count_chunks(c);
	return true;
}

void
sim_serve_begin(struct sim_conn *c)
{
	struct sim_run *r = &c->exchange->run;
	if (r->script.split > 0)
		c->split = (size_t)r->script.split;
	if (r->script.interim > 0) {
		char bytes[256];
		struct text t = text_on(bytes, sizeof bytes);
		sim_head_interim(&t);
		sim_conn_out(c, (struct span){bytes, t.len}, false);
	}
	if (r->script.hang == SIM_HANG_head)
		c->exchange->state = SIM_EXCHANGE_HUNG;
	else if (r->script.status >= 300)
		send_error(c, (unsigned)r->script.status, NULL);
	else {
		choose_framing(c);
		if (r->stream)
			send_stream_head(c);
		else
			send_plain(c);
	}
}

/* ---- requests ---- */

static bool
is(struct span a, struct span b)
{
	return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

static struct span
field(const struct http1_head *h, enum http1_field_id id)
{
	const struct http1_field *f = http1_field_find(h, id);
	return f ? http1_field_value(h, f) : (struct span){0};
}

static bool
has_word(struct span s, struct span word)
{
	return s.len && memmem(s.at, s.len, word.at, word.len);
}

bool
sim_serve_early(const struct http1_head *h)
{
	return has_word(field(h, HTTP1_X_SIM), SPAN("early"));
}

void
sim_serve_bad(struct sim_conn *c, unsigned status, const char *why)
{
	if (c->exchange) {
		c->dead = true;
		return;
	}
	exchange_begin(c);
	c->server->stats.refused++;
	c->exchange->run.script.close = 1;
	c->close_after = true;
	c->reading_body = false;
	send_error(c, status, why);
}

static void
refuse_script(struct sim_conn *c, struct span pair)
{
	char bytes[256];
	struct text t = text_on(bytes, sizeof bytes - 1);
	text_lit(&t, "x-sim: not understood: ");
	text_json(&t, pair);
	bytes[t.len] = 0;
	c->server->stats.refused++;
	send_error(c, 400, bytes);
}

static struct sim_note *
take_note(struct sim_conn *c, const struct http1_head *h, struct span body)
{
	struct sim_exchange *x = c->exchange;
	struct sim_script *s = &x->run.script;
	struct sim_note *n = sim_note_take(&c->server->notes, s->tag, (struct span){h->base, h->bytes}, body, c->id);
	x->generation = n->generation;
	if (s->times >= 0 && n->count > (uint64_t)s->times)
		sim_script_init(s);
	return n;
}

static bool
authorized(const struct sim_conn *c, const struct http1_head *h)
{
	struct span value = field(h, HTTP1_AUTHORIZATION);
	const char *key = c->server->key;
	size_t len = key ? strlen(key) : 0;
	return !key || (value.len == 7 + len && memcmp(value.at, "Bearer ", 7) == 0 && memcmp(value.at + 7, key, len) == 0);
}

/* Why the request is refused; NULL: it is not. */
static const char *
understand(const struct sim_conn *c, struct span body, struct sim_request *ret)
{
	if (c->discard_body) {
		*ret = (struct sim_request){.n = 1, .max_tokens = -1};
		return NULL;
	}
	if (!sim_request_scan(body, ret))
		return "We could not parse the JSON body of your request.";
	if (!ret->model.len)
		return "you must provide a model parameter";
	return NULL;
}

static void
answer(struct sim_conn *c, const struct http1_head *h, struct span body, bool speech)
{
	struct sim_exchange *x = c->exchange;
	struct sim_request q;
	struct span bad;
	if (!sim_script_parse(field(h, HTTP1_X_SIM), &x->run.script, &bad)) {
		refuse_script(c, bad);
		return;
	}
	x->note = take_note(c, h, body);
	const char *refusal = understand(c, body, &q);
	if (refusal) {
		c->server->stats.refused++;
		send_error(c, 400, refusal);
		return;
	}
	const struct sim_script *s = &x->run.script;
	x->run.speech = speech;
	sim_run_init(&x->run, &q, ++c->server->next_id, c->server->unix_time);
	if (!x->run.stream && sim_run_body_most(&x->run) > ANSWER_MOST)
		send_error(c, 400, "x-sim: the answer would be too large for the simulator");
	else if (s->delay_ms > 0) {
		x->state = SIM_EXCHANGE_DELAYED;
		sim_wheel_arm(&c->server->wheel, &c->timer, c->server->now_ns + (uint64_t)s->delay_ms * 1000000u);
	} else
		sim_serve_begin(c);
}

static void
reply(struct sim_conn *c, struct span s)
{
	char *bytes = whole_room(s.len);
	memcpy(bytes + HEAD_ROOM, s.at, s.len);
	choose_framing(c);
	send_whole(c, 200, bytes, s.len);
}

static void
models(struct sim_conn *c)
{
	reply(c, SPAN("{\n  \"object\": \"list\",\n  \"data\": [\n"
				  "    {\"id\": \"gpt-4.1-nano-2025-04-14\", \"object\": \"model\", \"created\": 1744321025, \"owned_by\": \"system\"},\n"
				  "    {\"id\": \"gpt-sim\", \"object\": \"model\", \"created\": 1770933892, \"owned_by\": \"system\"}\n  ]\n}\n"));
}

static void
stats(struct sim_conn *c)
{
	char bytes[1024];
	struct text t = text_on(bytes, sizeof bytes);
	const char *between = "{";
#define X(name) \
	text_str(&t, between); \
	text_lit(&t, "\"" #name "\":"); \
	text_u64(&t, c->server->stats.name); \
	between = ",";
	SIM_COUNTERS(X)
#undef X
	text_lit(&t, "}\n");
	reply(c, (struct span){bytes, t.len});
}

/* The value of one query parameter, not decoded: tags need no escapes. */
static struct span
parameter(struct span query, struct span name)
{
	while (query.len) {
		const char *and = memchr(query.at, '&', query.len);
		struct span pair = {query.at, and? (size_t)(and-query.at) : query.len};
		if (pair.len > name.len && pair.at[name.len] == '=' && memcmp(pair.at, name.at, name.len) == 0)
			return (struct span){pair.at + name.len + 1, pair.len - name.len - 1};
		size_t used = pair.len + (and != NULL);
		query = (struct span){query.at + used, query.len - used};
	}
	return (struct span){0};
}

static void
last(struct sim_conn *c, struct span query)
{
	const struct sim_note *n = sim_note_find(&c->server->notes, parameter(query, SPAN("tag")));
	struct span what = parameter(query, SPAN("raw"));
	if (!n) {
		send_error(c, 404, "no such request is remembered");
		return;
	}
	if (is(what, SPAN("body"))) {
		reply(c, (struct span){n->bytes + n->head_len, n->body_len});
		return;
	}
	if (is(what, SPAN("head"))) {
		reply(c, (struct span){n->bytes, n->head_len});
		return;
	}
	size_t cap = 1024 + n->head_len * 6;
	char *bytes = malloc(cap);
	if (!bytes)
		abort();
	struct text t = text_on(bytes, cap);
	sim_note_write(n, &t);
	reply(c, (struct span){bytes, t.len});
	free(bytes);
}

static void
realtime(struct sim_conn *c, const struct http1_head *h, struct span query)
{
	struct sim_exchange *x = c->exchange;
	struct span bad;
	if (!sim_script_parse(field(h, HTTP1_X_SIM), &x->run.script, &bad)) {
		refuse_script(c, bad);
		return;
	}
	x->note = take_note(c, h, (struct span){0});
	if (x->run.script.status >= 300)
		send_error(c, (unsigned)x->run.script.status, NULL);
	else if (x->run.script.hang == SIM_HANG_head)
		x->state = SIM_EXCHANGE_HUNG;
	else if (!sim_realtime_begin(c, h, parameter(query, SPAN("model"))))
		send_error(c, 400, "This is no WebSocket handshake.");
}

/* False: it is not about what is kept. */
static bool
kept(struct sim_conn *c, const struct http1_head *h, struct span path, struct span body)
{
	const struct sim_asked a = {h->method, path, field(h, HTTP1_CONTENT_TYPE), body, c->server->unix_time, c->server->now_ns};
	struct text t = {0};
	unsigned status;
	const char *why;
	if (!sim_store_answer(&c->server->store, &a, &status, &why, &t))
		return false;
	if (status >= 300)
		send_error(c, status, why);
	else
		reply(c, (struct span){t.at, t.len});
	free(t.at);
	return true;
}

static bool
get(struct sim_conn *c, struct span path, struct span query)
{
	if (is(path, SPAN("/v1/models")))
		models(c);
	else if (is(path, SPAN("/health")))
		reply(c, SPAN("{\"status\":\"ok\"}\n"));
	else if (is(path, SPAN("/stats")))
		stats(c);
	else if (is(path, SPAN("/last")))
		last(c, query);
	else
		return false;
	return true;
}

static void
route(struct sim_conn *c, const struct http1_head *h, struct span body)
{
	const char *mark = memchr(h->target.at, '?', h->target.len);
	struct span path = {h->target.at, mark ? (size_t)(mark - h->target.at) : h->target.len};
	struct span query = {mark ? mark + 1 : NULL, mark ? h->target.len - path.len - 1 : 0};
	bool is_speech = is(path, SPAN("/v1/audio/speech")), is_chat = is(path, SPAN("/v1/chat/completions")) || is_speech;
	if (path.len > 4 && memcmp(path.at, "/v1/", 4) == 0 && !authorized(c, h))
		send_error(c, 401, NULL);
	else if (is(path, SPAN("/v1/realtime")))
		realtime(c, h, query);
	else if (is_chat && h->method == HTTP1_POST)
		answer(c, h, body, is_speech);
	else if (is_chat)
		send_error(c, 405, NULL);
	else if (kept(c, h, path, body))
		return;
	else if (h->method != HTTP1_GET || !get(c, path, query))
		send_error(c, 404, "Unknown request URL. Please check the URL for typos.");
}

void
sim_serve(struct sim_conn *c, const struct http1_head *h, struct span body)
{
	c->server->stats.requests++;
	exchange_begin(c);
	c->close_after = !h->keep_alive;
	route(c, h, body);
}
