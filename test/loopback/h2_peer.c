#include "loopback/h2_peer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct peer_stream *
stream_begin(struct peer *p, int32_t id)
{
	assert(p->count < PEER_STREAMS);
	struct peer_stream *s = &p->streams[p->count++];
	*s = (struct peer_stream){.id = id};
	return s;
}

/* ---- nghttp2's calls ---- */

static int
on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct peer *p = arg;
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		struct peer_stream *s = stream_begin(p, frame->hd.stream_id);
		nghttp2_session_set_stream_user_data(session, s->id, s);
	}
	return 0;
}

static int
on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags, void *arg)
{
	struct peer_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (s && name_len == 7 && !memcmp(name, ":status", 7)) {
		memcpy(s->status, value, 3);
		s->continued = s->continued || !memcmp(value, "100", 3);
	}
	if (s && name_len == 5 && !memcmp(name, ":path", 5) && value_len < sizeof s->path)
		memcpy(s->path, value, value_len);
	return 0;
}

static int
on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct peer *p = arg;
	struct peer_stream *s = frame->hd.stream_id ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id) : NULL;
	if (frame->hd.type == NGHTTP2_GOAWAY) {
		p->gone_away = true;
		p->gone_error = frame->goaway.error_code;
	}
	if (!s)
		return 0;
	s->head = s->head || frame->hd.type == NGHTTP2_HEADERS;
	s->ended = s->ended || ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) && frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
	return 0;
}

static int
on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len, void *arg)
{
	struct peer *p = arg;
	struct peer_stream *s = nghttp2_session_get_stream_user_data(session, id);
	if (s) {
		assert(!p->expects || memcmp(p->expects + s->bytes, bytes, len) == 0);
		size_t room = s->bytes < sizeof s->text - 1 ? sizeof s->text - 1 - s->bytes : 0;
		memcpy(s->text + s->bytes * (room > 0), bytes, len < room ? len : room);
		s->bytes += len;
	}
	if (p->greedy || !s)
		nghttp2_session_consume(session, id, len);
	return 0;
}

static int
on_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
	struct peer_stream *s = nghttp2_session_get_stream_user_data(session, id);
	if (s) {
		s->closed = true;
		s->error = error;
	}
	return 0;
}

static ssize_t
more(nghttp2_session *session, int32_t id, uint8_t *to, size_t most, uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct peer_stream *s = source->ptr;
	size_t len = s->say_len < most ? s->say_len : most;
	if (len == 0 && s->stays)
		return NGHTTP2_ERR_DEFERRED;
	memcpy(to, s->say, len);
	s->say += len;
	s->say_len -= len;
	if (s->say_len == 0 && !s->stays)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)len;
}

/* ---- life ---- */

static void
begin(struct peer *p, struct rig *r, int fd, bool greedy, bool server)
{
	nghttp2_session_callbacks *calls;
	nghttp2_option *option;
	*p = (struct peer){.r = r, .fd = fd, .greedy = greedy};
	nghttp2_session_callbacks_new(&calls);
	nghttp2_session_callbacks_set_on_begin_headers_callback(calls, on_begin);
	nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(calls, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_close);
	nghttp2_option_new(&option);
	nghttp2_option_set_no_auto_window_update(option, 1);
	int made = server ? nghttp2_session_server_new2(&p->session, calls, p, option) : nghttp2_session_client_new2(&p->session, calls, p, option);
	assert(made == 0);
	nghttp2_session_callbacks_del(calls);
	nghttp2_option_del(option);
}

void
peer_client(struct peer *p, struct rig *r, int fd, bool greedy)
{
	begin(p, r, fd, greedy, false);
	nghttp2_submit_settings(p->session, NGHTTP2_FLAG_NONE, NULL, 0);
	peer_turn(p);
}

void
peer_provider(struct peer *p, struct rig *r, int fd, bool greedy, uint32_t window)
{
	const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window}};
	begin(p, r, fd, greedy, true);
	nghttp2_submit_settings(p->session, NGHTTP2_FLAG_NONE, settings, 1);
	peer_turn(p);
}

void
peer_provider_cut(struct peer *p, struct rig *r, int fd, size_t limit)
{
	begin(p, r, fd, true, true);
	p->limited = true;
	p->out_limit = limit;
	nghttp2_submit_settings(p->session, NGHTTP2_FLAG_NONE, NULL, 0);
	peer_turn(p);
}

void
peer_close(struct peer *p)
{
	if (p->session)
		nghttp2_session_del(p->session);
	p->session = NULL;
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

/* ---- turns ---- */

static void
say(struct peer *p)
{
	static char room[128 << 10];
	const uint8_t *bytes;
	ssize_t n = 1;
	while (n > 0 && p->fd >= 0 && !p->eof) {
		size_t len = 0;
		while (len < sizeof room / 2 && (n = nghttp2_session_mem_send(p->session, &bytes)) > 0) {
			memcpy(room + len, bytes, (size_t)n);
			len += (size_t)n;
		}
		if (len)
			peer_say_raw(p, room, len);
	}
}

void
peer_say_raw(struct peer *p, const char *bytes, size_t len)
{
	bool cut = p->limited && len >= p->out_limit;
	if (cut)
		len = p->out_limit;
	p->out_limit -= p->limited ? len : 0;
	rig_send(p->r, p->fd, bytes, len);
	if (cut) {
		close(p->fd);
		p->fd = -1;
		rig_turn(p->r);
	}
}

static bool
hear(struct peer *p)
{
	static uint8_t room[64 << 10];
	if (p->fd < 0 || p->deaf || p->eof)
		return false;
	ssize_t n = recv(p->fd, room, sizeof room, MSG_DONTWAIT);
	p->eof = n == 0 || (n < 0 && errno != EAGAIN);
	if (n <= 0)
		return false;
	return nghttp2_session_mem_recv(p->session, room, (size_t)n) == n;
}

void
peer_turn(struct peer *p)
{
	do {
		say(p);
		rig_turn(p->r);
	} while (hear(p));
	say(p);
	rig_turn(p->r);
}

/* ---- what is said ---- */

static nghttp2_nv
field(const char *name, const char *value)
{
	return (nghttp2_nv){(uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), 0};
}

struct peer_stream *
peer_ask(struct peer *p, const char *body, size_t len, const char *expect, bool stays)
{
	char key[API_KEY_BYTES + 16];
	struct peer_stream *s = stream_begin(p, -1);
	const nghttp2_data_provider data = {.source.ptr = s, .read_callback = more};
	char length[24];
	snprintf(length, sizeof length, "%zu", len);
	snprintf(key, sizeof key, "Bearer %s", p->r->key);
	s->say = body;
	s->say_len = body ? len : 0;
	s->stays = stays;
	const nghttp2_nv fields[] = {field(":method", "POST"), field(":scheme", "https"), field(":authority", "x"), field(":path", "/v1/chat/completions"),
		field("authorization", key), field("content-length", length), field("expect", expect ? expect : "")};
	s->id = nghttp2_submit_request(p->session, NULL, fields, expect ? 7 : stays ? 5
																				: 6,
		&data, s);
	assert(s->id > 0);
	peer_turn(p);
	return s;
}

struct peer_stream *
peer_ask_form(struct peer *p, const char *path, const char *body, size_t len)
{
	char key[API_KEY_BYTES + 16], length[24];
	struct peer_stream *s = stream_begin(p, -1);
	const nghttp2_data_provider data = {.source.ptr = s, .read_callback = more};
	snprintf(length, sizeof length, "%zu", len);
	snprintf(key, sizeof key, "Bearer %s", p->r->key);
	s->say = body;
	s->say_len = len;
	const nghttp2_nv fields[] = {field(":method", "POST"), field(":scheme", "https"), field(":authority", "x"), field(":path", path),
		field("authorization", key), field("content-length", length), field("content-type", "multipart/form-data; boundary=bnd")};
	s->id = nghttp2_submit_request(p->session, NULL, fields, ARRAY_LEN(fields), &data, s);
	assert(s->id > 0);
	peer_turn(p);
	return s;
}

void
peer_answer(struct peer *p, struct peer_stream *s, const char *status, const char *data, size_t len, bool stays)
{
	const nghttp2_data_provider source = {.source.ptr = s, .read_callback = more};
	const nghttp2_nv fields[] = {field(":status", status), field("content-type", strncmp(data, "data:", 5) == 0 ? "text/event-stream" : "application/json")};
	s->say = data;
	s->say_len = len;
	s->stays = stays;
	nghttp2_submit_response(p->session, s->id, fields, 2, &source);
	peer_turn(p);
}

void
peer_go_on(struct peer *p, struct peer_stream *s, const char *data, size_t len, bool stays)
{
	s->say = data;
	s->say_len = len;
	s->stays = stays;
	nghttp2_session_resume_data(p->session, s->id);
	peer_turn(p);
}

void
peer_take(struct peer *p, struct peer_stream *s, size_t bytes)
{
	nghttp2_session_consume(p->session, s->id, bytes);
	peer_turn(p);
}
