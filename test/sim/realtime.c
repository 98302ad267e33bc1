/*
 * Realtime sessions over WebSocket: the events of a session as the real service says them, in real frames. A response is made up on response.create; the
 * script says of what.
 */
#include "core/websocket.h"

#include "net.h"
#include "server.h"

#include <stdlib.h>
#include <string.h>

enum { MESSAGE_KEPT = 64 << 10, /* of a client's message: enough to know it by */
	EVENT_ROOM = 8192,
	FINAL = 0x80 };
static const uint64_t MESSAGE_MAX = 64u << 20;

struct sim_socket {
	struct websocket frames;
	char message[MESSAGE_KEPT];
	size_t message_len;
	char said[256]; /* text of the client's last item, as the inside of a JSON string */
	size_t said_len;
	uint64_t event_id, responses, deltas_left, due_ns;
	bool open; /* a response is under way */
};

/* ---- saying ---- */

static void
say_frame(struct sim_conn *c, uint8_t first, struct span payload)
{
	char *bytes = sim_scratch(WEBSOCKET_HEAD_MAX + payload.len);
	size_t head = websocket_head_of(bytes, first, payload.len, NULL);
	if (payload.len)
		memcpy(bytes + head, payload.at, payload.len);
	sim_conn_out(c, (struct span){bytes, head + payload.len}, false);
}

/* In fragments, if the script says so. */
static void
say(struct sim_conn *c, struct span event)
{
	const struct sim_script *s = &c->exchange->run.script;
	size_t step = s->fragment > 0 ? (size_t)s->fragment : event.len, at = 0;
	do {
		size_t n = event.len - at < step ? event.len - at : step;
		bool last = at + n == event.len;
		say_frame(c, (uint8_t)((last ? FINAL : 0) | (at ? WEBSOCKET_CONTINUATION : WEBSOCKET_TEXT)), (struct span){event.at + at, n});
		at += n;
	} while (at < event.len);
}

static struct text
event_begin(struct sim_conn *c, char *room, size_t cap, const char *type)
{
	struct text t = text_on(room, cap);
	text_lit(&t, "{\"type\":\"");
	text_str(&t, type);
	text_lit(&t, "\",\"event_id\":\"event_");
	text_u64(&t, ++c->exchange->socket->event_id);
	text_lit(&t, "\"");
	return t;
}

static void
number(struct text *t, const char *before, uint64_t n)
{
	text_str(t, before);
	text_u64(t, n);
}

static void
say_session(struct sim_conn *c, const char *type)
{
	char room[EVENT_ROOM];
	struct text t = event_begin(c, room, sizeof room, type);
	text_lit(&t, ",\"session\":{\"type\":\"realtime\",\"object\":\"realtime.session\",\"id\":\"sess_sim\",\"model\":\"");
	text_str(&t, c->exchange->run.model);
	text_lit(&t, "\",\"output_modalities\":[\"audio\"],\"audio\":{\"input\":{\"format\":{\"type\":\"audio/pcm\",\"rate\":24000},\"transcription\":null},"
				 "\"output\":{\"format\":{\"type\":\"audio/pcm\",\"rate\":24000},\"voice\":\"marin\"}}}}");
	say(c, (struct span){t.at, t.len});
}

static void
say_error(struct sim_conn *c)
{
	const struct sim_script *s = &c->exchange->run.script;
	char room[EVENT_ROOM];
	struct text t = event_begin(c, room, sizeof room, "error");
	text_lit(&t, ",\"error\":{\"type\":\"");
	text_str(&t, *s->error_type ? s->error_type : "invalid_request_error");
	text_lit(&t, "\",\"code\":\"");
	text_str(&t, *s->error_code ? s->error_code : "invalid_value");
	text_str(&t, s->leak > 0 ? "\",\"message\":\"You exceeded your current quota of organization org-sim.\"" : "\",\"message\":\"This can't be done.\"");
	text_lit(&t, ",\"param\":null,\"event_id\":null}}");
	say(c, (struct span){t.at, t.len});
}

static uint64_t
asked(int64_t value, uint64_t otherwise)
{
	return value >= 0 ? (uint64_t)value : otherwise;
}

/* All of a kind: audio, or text. */
static void
add_usage(struct text *t, const struct sim_script *s)
{
	uint64_t in = asked(s->prompt_tokens, 100), out = asked(s->completion_tokens, 20), cached = asked(s->cached, 0);
	bool audio = s->audio > 0;
	number(t, ",\"usage\":{\"total_tokens\":", in + out);
	number(t, ",\"input_tokens\":", in);
	number(t, ",\"output_tokens\":", out);
	number(t, ",\"input_token_details\":{\"text_tokens\":", audio ? 0 : in);
	number(t, ",\"audio_tokens\":", audio ? in : 0);
	number(t, ",\"image_tokens\":0,\"cached_tokens\":", cached);
	number(t, ",\"cached_tokens_details\":{\"text_tokens\":", audio ? 0 : cached);
	number(t, ",\"audio_tokens\":", audio ? cached : 0);
	number(t, ",\"image_tokens\":0}},\"output_token_details\":{\"text_tokens\":", audio ? 0 : out);
	number(t, ",\"audio_tokens\":", audio ? out : 0);
	text_lit(t, "}}");
}

static void
say_response(struct sim_conn *c, const char *type, const char *status)
{
	const struct sim_script *s = &c->exchange->run.script;
	char room[EVENT_ROOM];
	struct text t = event_begin(c, room, sizeof room, type);
	number(&t, ",\"response\":{\"object\":\"realtime.response\",\"id\":\"resp_", c->exchange->socket->responses);
	text_lit(&t, "\",\"status\":\"");
	text_str(&t, status);
	text_lit(&t, "\",\"output\":[]");
	if (!c->exchange->socket->open && s->usage != SIM_USAGE_none)
		add_usage(&t, s);
	else
		text_lit(&t, ",\"usage\":null");
	text_lit(&t, "}}");
	say(c, (struct span){t.at, t.len});
}

static void
say_delta(struct sim_conn *c)
{
	const struct sim_script *s = &c->exchange->run.script;
	const struct sim_socket *w = c->exchange->socket;
	size_t len = s->chunk_bytes > 0 ? (size_t)s->chunk_bytes : 4;
	char *room = malloc(EVENT_ROOM + len);
	if (!room)
		abort();
	struct text t = event_begin(c, room, EVENT_ROOM + len, s->audio > 0 ? "response.output_audio.delta" : "response.output_text.delta");
	number(&t, ",\"response_id\":\"resp_", w->responses);
	text_lit(&t, "\",\"item_id\":\"item_1\",\"output_index\":0,\"content_index\":0,\"delta\":\"");
	if (s->echo > 0)
		text_add(&t, w->said, w->said_len);
	else
		for (size_t i = 0; i < len; i++)
			text_lit(&t, "A");
	text_lit(&t, "\"}");
	say(c, (struct span){t.at, t.len});
	free(room);
}

static void
say_close(struct sim_conn *c, uint16_t code)
{
	char payload[2] = {(char)(code >> 8), (char)code};
	say_frame(c, FINAL | WEBSOCKET_CLOSE, (struct span){payload, code == WEBSOCKET_NO_CODE ? 0 : 2});
	c->exchange->state = SIM_EXCHANGE_SAID;
	c->close_after = true;
}

/* ---- hearing ---- */

static bool
has(struct span s, const char *word)
{
	return s.len && memmem(s.at, s.len, word, strlen(word));
}

static void
remember(struct sim_socket *w, struct span message)
{
	static const char before[] = "\"text\":\"";
	const char *at = memmem(message.at, message.len, before, sizeof before - 1), *end = message.at + message.len;
	if (!at)
		return;
	at += sizeof before - 1;
	w->said_len = 0;
	while (at < end && *at != '"' && *at != '\\' && w->said_len < sizeof w->said)
		w->said[w->said_len++] = *at++;
}

static void
respond(struct sim_conn *c)
{
	struct sim_socket *w = c->exchange->socket;
	const struct sim_script *s = &c->exchange->run.script;
	w->open = true;
	w->responses++;
	w->deltas_left = s->chunks >= 0 ? (uint64_t)s->chunks : 8;
	w->due_ns = net_now_ns();
	if (s->ping > 0)
		say_frame(c, FINAL | WEBSOCKET_PING, SPAN("sim"));
	say_response(c, "response.created", "in_progress");
}

static void
hear(struct sim_conn *c)
{
	struct sim_socket *w = c->exchange->socket;
	struct span message = {w->message, w->message_len};
	remember(w, message);
	if (has(message, "\"response.create\""))
		respond(c);
	else if (has(message, "\"response.cancel\"") && w->open) {
		w->open = false;
		say_response(c, "response.done", "cancelled");
	} else if (has(message, "\"session.update\""))
		say_session(c, "session.updated");
}

static void
hear_control(struct sim_conn *c)
{
	struct websocket *f = &c->exchange->socket->frames;
	if (f->opcode == WEBSOCKET_PING)
		say_frame(c, FINAL | WEBSOCKET_PONG, (struct span){f->control, f->control_len});
	else if (f->opcode == WEBSOCKET_CLOSE)
		say_close(c, f->code);
}

void
sim_realtime_feed(struct sim_conn *c, struct span bytes)
{
	struct sim_socket *w = c->exchange->socket;
	struct span piece;
	websocket_feed(&w->frames, (char *)bytes.at, bytes.len); /* the connection's own buffer: unmasked where it is */
	while (c->exchange->state == SIM_EXCHANGE_SOCKET)
		switch (websocket_next(&w->frames, &piece)) {
		case WEBSOCKET_FRAME:
			w->message_len = w->frames.opcode == WEBSOCKET_CONTINUATION ? w->message_len : 0;
			break;
		case WEBSOCKET_DATA: {
			size_t room = MESSAGE_KEPT - w->message_len, n = piece.len < room ? piece.len : room;
			memcpy(w->message + w->message_len, piece.at, n);
			w->message_len += n;
			break;
		}
		case WEBSOCKET_FRAME_END:
			if (w->frames.final)
				hear(c);
			break;
		case WEBSOCKET_CONTROL:
			hear_control(c);
			break;
		case WEBSOCKET_BAD:
			c->server->stats.refused++;
			say_close(c, websocket_error_code(w->frames.error));
			return;
		case WEBSOCKET_MORE:
			return;
		}
}

bool
sim_realtime_step(struct sim_conn *c, uint64_t *ret_at_ns)
{
	struct sim_socket *w = c->exchange->socket;
	const struct sim_script *s = &c->exchange->run.script;
	*ret_at_ns = 0;
	if (!w->open)
		return false;
	if (w->due_ns > net_now_ns()) {
		*ret_at_ns = w->due_ns;
		return false;
	}
	if (s->hang == SIM_HANG_body && c->exchange->run.index)
		return false;
	if (w->deltas_left) {
		w->deltas_left--;
		w->due_ns += sim_script_gap_ns(s);
		if (s->mid_error >= 0 && c->exchange->run.index == (uint64_t)s->mid_error)
			say_error(c);
		c->exchange->run.index++;
		say_delta(c);
		return true;
	}
	w->open = false;
	say_response(c, "response.done", "completed");
	if (s->ws_close >= 0)
		say_close(c, (uint16_t)s->ws_close);
	return true;
}

/* ---- the handshake ---- */

static struct span
named(const struct http1_head *h, const char *name)
{
	for (unsigned i = 0; i < h->field_count; i++) {
		struct span n = http1_field_name(h, &h->fields[i]);
		if (n.len == strlen(name) && strncasecmp(n.at, name, n.len) == 0)
			return http1_field_value(h, &h->fields[i]);
	}
	return (struct span){0};
}

bool
sim_realtime_begin(struct sim_conn *c, const struct http1_head *h, struct span model)
{
	struct sim_exchange *x = c->exchange;
	struct span key = named(h, "sec-websocket-key");
	if (!h->websocket || !websocket_key_valid(key) || !model.len || model.len >= sizeof x->run.model)
		return false;
	char accept[WEBSOCKET_ACCEPT_TEXT], room[1024];
	struct text t = text_on(room, sizeof room);
	websocket_accept(key, accept);
	if (x->run.script.malformed == SIM_MALFORMED_head)
		accept[0] ^= 1;
	text_lit(&t, "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ");
	text_add(&t, accept, sizeof accept);
	if (has(named(h, "sec-websocket-protocol"), "realtime"))
		text_lit(&t, "\r\nsec-websocket-protocol: realtime");
	text_lit(&t, "\r\nopenai-organization: org-sim\r\nset-cookie: sim=1\r\n\r\n");
	x->socket = calloc(1, sizeof *x->socket);
	if (!x->socket)
		abort();
	websocket_init(&x->socket->frames, true, MESSAGE_MAX);
	memcpy(x->run.model, model.at, model.len);
	x->run.model[model.len] = 0;
	x->state = SIM_EXCHANGE_SOCKET;
	if (x->run.script.cut_after >= 0)
		c->wire_left = t.len + (uint64_t)x->run.script.cut_after;
	sim_conn_out(c, (struct span){t.at, t.len}, false);
	say_session(c, "session.created");
	return true;
}
