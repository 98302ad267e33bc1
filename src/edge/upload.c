#include "edge/upload.h"

#include "edge/edge_priv.h"

#include "edge/endpoints.h"
#include "edge/h2.h"
#include "edge/h2_up.h"
#include "edge/object.h"
#include "edge/relay.h"
#include "edge/spare.h"

#include <assert.h>

/* ---- may it? ---- */

bool
upload_prepare(struct exchange *x, const struct http1_head *h)
{
	struct request *r = x->req;
	const struct http1_field *f = http1_field_find(h, HTTP1_LETHE_MODEL);
	if (f && !x->object && !form_scan_told(r->form, &r->scan, http1_field_value(h, f)))
		return false;
	if (r->body_chunked || r->body_left < UPLOAD_LEAST || x->quote)
		return true;
	r->upload = vault_alloc(x->edge->vault, sizeof *r->upload);
	if (r->upload) /* else it is held */
		r->upload->length = r->body_left;
	return true;
}

/* The room of the window is used up, and the way is not known. */
static void
hold_whole(struct exchange *x)
{
	struct request *r = x->req;
	vault_free(x->edge->vault, r->upload, sizeof *r->upload);
	r->upload = NULL;
	r->piecewise = false; /* what is missing is let in as a whole */
}

bool
upload_is_due(struct exchange *x)
{
	struct request *r = x->req;
	if (!r->upload || r->upload->begun)
		return false;
	if (x->object || r->scan.result.model_len)
		return true;
	if (r->body_bytes + READ_BYTES > UPLOAD_WINDOW)
		hold_whole(x);
	return false;
}

/*
 * The hold is taken for all that is announced, as media, of which a form consists; that it is, is looked at again when all of it is known
 * (reserve_confirm), and nobody can charge for it before.
 */
static void
count_ahead(struct exchange *x)
{
	struct upload *u = x->req->upload;
	struct request_facts *f = &x->req->scan.result;
	uint32_t *media = endpoint_of_audio((enum endpoint)x->endpoint) ? &f->audios : &f->images;
	u->ahead = x->req->body_left;
	f->body_bytes += u->ahead;
	f->inline_media_bytes += u->ahead;
	u->ahead_media = !x->object && !*media;
	*media += u->ahead_media;
}

static void
count_no_more(struct exchange *x)
{
	struct upload *u = x->req->upload;
	struct request_facts *f = &x->req->scan.result;
	uint32_t *media = endpoint_of_audio((enum endpoint)x->endpoint) ? &f->audios : &f->images;
	f->body_bytes -= u->ahead;
	f->inline_media_bytes -= u->ahead;
	*media -= u->ahead_media;
	u->ahead = 0;
	u->ahead_media = false;
}

void
upload_begin(struct exchange *x)
{
	x->req->upload->begun = true;
	count_ahead(x);
	reserve(x);
}

bool
upload_is_coming(const struct exchange *x)
{
	const struct request *r = x->req;
	return r && r->upload && r->upload->begun && r->body_left;
}

bool
upload_is_unsure(const struct exchange *x)
{
	return x->req && x->req->upload && x->req->upload->unsure;
}

bool
upload_has_left(const struct exchange *x)
{
	return x->req && x->req->upload && (x->req->upload->dropped || x->req->upload->unsure);
}

bool
upload_waits(const struct exchange *x)
{
	return x->step == STEP_SEND && upload_is_coming(x) && x->req->upload->waits;
}

/* ---- how far it has gone up ---- */

/* Bytes of edited body for those of the body up to `at`, which is not within what an edit removes. */
static uint64_t
edited(const struct request *r, uint64_t at)
{
	uint64_t to = at;
	for (uint32_t i = 0; i < r->edit_count && r->edits[i].at < at; i++)
		to += r->edits[i].text_len - (uint64_t)r->edits[i].remove;
	return to;
}

uint64_t
upload_end(const struct request *r)
{
	uint64_t end = r->body_bytes, settled = r->form ? form_scan_settled(r->form, &r->scan) : end;
	if (r->body_left || r->upload->unsure)
		end -= end < UPLOAD_HELD_BACK ? end : UPLOAD_HELD_BACK;
	end = end < settled ? end : settled;
	for (uint32_t i = 0; i < r->edit_count; i++)
		if (end > r->edits[i].at && end < r->edits[i].at + r->edits[i].remove)
			end = r->edits[i].at;
	return end;
}

uint64_t
upload_ready(const struct request *r)
{
	return edited(r, upload_end(r));
}

/* The model's name has the length that it has, wherever it will stand. */
uint64_t
upload_total(const struct exchange *x)
{
	const struct request *r = x->req;
	uint64_t length = r->upload->length;
	return x->object ? length : length + strlen(x->route.target->upstream_id) - r->scan.result.model_len;
}

/* Bytes of the body, from its beginning, that nobody needs any more if it is not to be sent again. */
static uint64_t
gone(const struct exchange *x)
{
	const struct request *r = x->req;
	uint64_t head = x->up && x->up->is_stream ? 0 : r->head_len, at = r->sent > head ? r->sent - head : 0, moved = 0;
	for (uint32_t i = 0; i < r->edit_count; i++) {
		const struct request_edit *d = &r->edits[i];
		if (at < d->at + moved + d->text_len)
			return at < d->at + moved ? at - moved : d->at;
		moved += d->text_len - (uint64_t)d->remove;
	}
	return at - moved;
}

/* ---- room ---- */

static uint32_t
blocks_of(const struct request *r)
{
	uint32_t count = 0;
	for (const struct block *b = r->body; b; b = b->next)
		count++;
	return count;
}

/* The first block becomes the last one, when all of it has gone up. */
static bool
turn_over(struct exchange *x)
{
	struct request *r = x->req;
	struct block *b = r->body;
	if (r->upload->dropped + b->len > gone(x))
		return false;
	r->upload->dropped += b->len;
	explicit_bzero(b->bytes, b->len);
	b->len = 0;
	if (!b->next)
		return true;
	r->body = b->next;
	r->body_last->next = b;
	r->body_last = b;
	b->next = NULL;
	return true;
}

static struct block *
not_full(const struct request *r)
{
	struct block *b = r->body_fill;
	while (b && b->len == b->cap)
		b = b->next;
	return b;
}

/* The block that is filled next; NULL: the window is full. What has gone up is let go of only for that: until then it can be sent again. */
static struct block *
room(struct exchange *x)
{
	struct request *r = x->req;
	struct block *first = not_full(r);
	if (first)
		return r->body_fill = first;
	if (blocks_of(r) * (uint64_t)UPLOAD_BLOCK < UPLOAD_WINDOW) {
		struct block *b = body_add_block(x);
		if (b)
			return r->body_fill = b;
	}
	return r->body && turn_over(x) ? r->body_fill = r->body_last : NULL;
}

static bool
has_room(const struct exchange *x)
{
	const struct request *r = x->req;
	return not_full(r) || blocks_of(r) * (uint64_t)UPLOAD_BLOCK < UPLOAD_WINDOW || r->upload->dropped + r->body->len <= gone(x);
}

bool
upload_is_unread(const struct exchange *x)
{
	return upload_is_coming(x) && (x->step < STEP_SEND || (x->step == STEP_SEND && !has_room(x)));
}

/* ---- on its way ---- */

/* Of what was announced all has come: the rules for the whole apply now. */
static bool
complete(struct exchange *x)
{
	enum request_error error = x->req->form ? form_scan_finish(x->req->form, &x->req->scan) : REQUEST_OK;
	if (error == REQUEST_OK)
		return reserve_confirm(x, false);
	answer_request_error(x, error);
	exchange_end(x, END_BAD_BODY);
	return false;
}

static void
send_more(struct exchange *x)
{
	if (!x->up->is_stream) {
		send_request(x);
		return;
	}
	h2_up_more(x);
	upload_went(x);
}

static void
stop_waiting(struct exchange *x)
{
	exchange_stop_waiting(x);
	x->paused_ms = 0;
}

void
upload_poll(struct exchange *x)
{
	struct edge *e = x->edge;
	enum pause pause = relay_pause_of(x);
	assert(x->step == STEP_SEND);
	x->req->upload->unsure = false;
	if (!reserve_confirm(x, pause == PAUSE_IN_VAIN))
		return;
	if (!x->req->upload->unsure) {
		stop_waiting(x);
		relay_read_on(x); /* nothing was, meanwhile */
		x->deadline_ms = e->loop.now_ms + e->p->timeouts.between_bytes;
		exchange_rearm(x);
		send_more(x);
	} else if (pause == PAUSE_UNANSWERED)
		exchange_end(x, END_LEDGER_AWAY);
}

/* `len` new bytes stand at the end of b. False: the exchange has ended. */
static bool
take(struct exchange *x, struct block *b, size_t len)
{
	struct request *r = x->req;
	bool named = r->scan.result.model_bytes;
	edge_works_for(x);
	count_no_more(x);
	if (len > r->body_left || !body_grew(x, b, len)) {
		read_body_failed(x, END_BAD_BODY);
		return false;
	}
	if (!r->body_left && !complete(x))
		return false;
	if (named || !r->scan.result.model_bytes || route_edit(x))
		return true;
	exchange_end(x, END_OVERLOADED);
	return false;
}

size_t
upload_push(struct exchange *x, const char *bytes, size_t len)
{
	size_t taken = 0;
	struct block *b;
	if (x->step != STEP_SEND)
		return 0;
	while (taken < len && (b = room(x))) {
		size_t n = b->cap - b->len < len - taken ? b->cap - b->len : len - taken;
		memcpy(b->bytes + b->len, bytes + taken, n);
		if (!take(x, b, n))
			return len;
		taken += n;
	}
	if (taken)
		send_more(x);
	return taken;
}

void
upload_client_ready(struct exchange *x)
{
	struct edge *e = x->edge;
	struct client *c = x->client;
	struct request *r = x->req;
	struct block *b = x->step == STEP_SEND ? room(x) : NULL;
	if (!b)
		return;
	size_t want = b->cap - b->len < r->body_left ? b->cap - b->len : (size_t)r->body_left;
	ssize_t n = conn_read(e, &c->conn, b->bytes + b->len, want);
	if (n == CONN_NOTHING)
		return;
	if (n < 0) {
		exchange_client_gone(x);
		client_close(c);
		return;
	}
	count_add(e->p->counters, bytes_from_clients, n);
	if (take(x, b, (size_t)n))
		send_more(x);
}

void
upload_went(struct exchange *x)
{
	struct edge *e = x->edge;
	struct request *r = x->req;
	struct client *c = x->client;
	if (!upload_is_coming(x) || x->step != STEP_SEND)
		return;
	uint64_t head = x->up->is_stream ? 0 : r->head_len;
	r->upload->waits = r->sent >= head + upload_ready(r);
	x->deadline_ms = e->loop.now_ms + (r->upload->waits ? e->p->timeouts.body : e->p->timeouts.between_bytes);
	exchange_rearm(x);
	if (!has_room(x))
		return;
	if (c->is_stream)
		h2_upload_room(c);
	else if (c->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP))
		loop_again(&e->loop, &c->conn.watch);
}

/* The rest of it will not be read: it must never be read as a request. */
bool
upload_may_be_answered(struct exchange *x, uint32_t status)
{
	if (upload_is_unsure(x)) {
		stop_waiting(x);
		return status >= 300;
	}
	if (!upload_is_coming(x))
		return true;
	x->keep_client = false;
	if (x->client)
		x->client->linger = true;
	return status >= 300;
}
