/*
 * Content memory for request bodies (limits.content_memory). A body is let in when all that it says it is fits, so that nobody reads one half of many
 * bodies and finishes none; one that doesn't say is let in piece by piece. Who doesn't fit waits, a bounded time in a bounded queue, and is not read in
 * the meantime; then it is 503. Room goes to the account that has least of it first, so that one that fills the memory delays itself, and the last of it is kept for
 * accounts that have little, which do not wait behind the others. While somebody waits, a slow sender gives back what it has not used, and goes on piece
 * by piece.
 */
#include "edge/edge_priv.h"

#include "edge/h2.h"
#include "edge/passage.h"
#include "edge/upload.h"

enum { PIECE_LEAST = READ_BYTES,
	PIECE_MOST = 1 << 20,
	WAITING_MAX = 1024,
	SLOW_BYTES = 64 << 10, /* a tick: who sends less is slow */
	KEPT = 16, /* one in so many bytes of the budget is for accounts that have little */
	LITTLE = 8, /* … which is one in so many of those */
	TRANSLATION = 2, /* one in so many of the budget may be what is made of a body */
};

void
admit_open(struct edge *e)
{
	const struct edge_limits *l = &e->p->limits;
	uint64_t largest = l->body_bytes + l->content_bytes / TRANSLATION, spare = l->content_bytes > largest ? l->content_bytes - largest : 0, kept = l->content_bytes / KEPT;
	e->kept_for_little = kept < spare ? kept : spare; /* the largest body always fits, and what is made of it */
}

static bool
has_little(const struct exchange *x, uint64_t more)
{
	return share_content_of(x->edge, x->account_row) + more <= x->edge->kept_for_little / LITTLE;
}

/* Looked at, and not taken. */
static bool
is_free(const struct exchange *x, uint64_t bytes)
{
	struct edge *e = x->edge;
	uint64_t free = vault_admissible(e->vault);
	return bytes + e->kept_for_little <= free || (bytes <= free && has_little(x, bytes));
}

bool
admit_answer(struct exchange *x, uint64_t bytes)
{
	if (!vault_admit(x->edge->vault, bytes))
		return false;
	share_content(x->edge, x->account_row, (int64_t)bytes);
	return true;
}

bool
admit_bytes(struct exchange *x, uint64_t bytes)
{
	return is_free(x, bytes) && admit_answer(x, bytes);
}

/* What is to be had at once so that `bytes` more can be kept. */
static uint64_t
piece(const struct request *r, uint64_t bytes)
{
	uint64_t ask = r->body_bytes;
	ask = ask < PIECE_LEAST ? PIECE_LEAST : ask > PIECE_MOST ? PIECE_MOST
															 : ask;
	if (!r->body_chunked && (!r->piecewise || ask > r->body_left))
		ask = r->body_left;
	return ask < bytes ? bytes : ask;
}

/* The least that is worth being let in for. */
static uint64_t
at_least(const struct request *r, uint64_t bytes)
{
	uint64_t least = r->body_chunked || r->body_left > PIECE_LEAST ? PIECE_LEAST : r->body_left;
	return least < bytes ? bytes : least;
}

/* Within the budget: `bytes` more than there are now. */
static bool
in_budget(struct exchange *x, uint64_t bytes)
{
	struct request *r = x->req;
	uint64_t have = r->admitted - r->body_bytes;
	if (have >= bytes)
		return true;
	bytes = at_least(r, bytes);
	uint64_t more = piece(r, bytes) - have;
	if (!admit_bytes(x, more) && (more = bytes - have, !r->piecewise || !admit_bytes(x, more)))
		return false;
	r->admitted += more;
	return true;
}

/* Mapped, or at hand: a segment that is on its way is waited for. */
static bool
is_mapped_whole(const struct edge *e, uint64_t bytes)
{
	struct vault_facts facts;
	vault_facts(e->vault, &facts);
	return facts.ready_bytes - facts.used_bytes > bytes + BLOCK_BODY_MAX + READ_BYTES; /* the last block is rounded up */
}

/* … of what comes next. */
static bool
is_mapped(const struct edge *e, uint64_t bytes)
{
	return is_mapped_whole(e, bytes < BLOCK_BODY_MAX ? bytes : BLOCK_BODY_MAX);
}

static bool
fits_budget(const struct exchange *x)
{
	const struct request *r = x->req;
	uint64_t have = r->translates ? 0 : r->admitted - r->body_bytes;
	if (have >= r->wants)
		return true;
	uint64_t least = r->translates ? r->wants : r->piecewise ? r->wants - have
															 : piece(r, r->wants) - have;
	return is_free(x, least);
}

static bool
join(struct exchange *x, uint64_t bytes)
{
	struct edge *e = x->edge;
	struct request *r = x->req;
	if (e->waiting_memory >= WAITING_MAX) {
		read_body_failed(x, END_OVERLOADED);
		return false;
	}
	if (!e->wait_memory.first)
		edge_report(e, EVENT_VAULT_FULL, e->p->index, e->p->limits.content_bytes);
	if (!r->wait_until_ms)
		r->wait_until_ms = e->loop.now_ms + MEMORY_WAIT_MS;
	r->wants = bytes;
	exchange_wait(x, &e->wait_memory);
	e->waiting_memory++;
	x->deadline_ms = r->wait_until_ms;
	exchange_rearm(x);
	return false;
}

static bool
wait(struct exchange *x, uint64_t bytes)
{
	return join(x, at_least(x->req, bytes));
}

/* The body is all here. What is made of it is about as large; where that was not enough there has to be twice as much. */
void
admit_translation(struct exchange *x)
{
	struct request *r = x->req;
	uint64_t most = x->edge->p->limits.content_bytes / TRANSLATION, wants = r->tried ? 2 * r->tried : r->body_bytes + r->body_bytes / 4 + BLOCK_BODY_MAX;
	bool late = r->wait_until_ms && x->edge->loop.now_ms >= r->wait_until_ms;
	if (late || r->tried >= most) {
		exchange_end(x, END_OVERLOADED);
		return;
	}
	r->tried = wants < most ? wants : most;
	r->translates = true;
	(void)!join(x, r->tried);
}

bool
admit_body(struct exchange *x)
{
	struct request *r = x->req;
	uint64_t window = x->client->is_stream ? UPLOAD_WINDOW + H2_STREAM_WINDOW : UPLOAD_WINDOW; /* what its own window lets in waits here as well */
	uint64_t bytes = r->upload ? window : r->body_chunked ? PIECE_LEAST
														  : r->body_left;
	r->piecewise = r->body_chunked || r->upload;
	bool behind = x->edge->wait_memory.first && !has_little(x, bytes);
	if (!behind && is_mapped(x->edge, bytes) && in_budget(x, bytes))
		return true;
	return wait(x, bytes); /* behind those who came before, whose turn may come at the end of this one */
}

bool
admit_more(struct exchange *x, uint64_t bytes)
{
	return (is_mapped(x->edge, bytes) && in_budget(x, bytes)) || wait(x, bytes);
}

bool
admit_now(struct exchange *x, uint64_t bytes)
{
	return in_budget(x, bytes);
}

void
admit_mapping(struct exchange *x)
{
	struct request *r = x->req;
	if (r->wait_until_ms && x->edge->loop.now_ms >= r->wait_until_ms)
		read_body_failed(x, END_OVERLOADED);
	else
		(void)!wait(x, r->body_chunked || r->body_left > PIECE_LEAST ? PIECE_LEAST : r->body_left);
}

void
admit_release(struct exchange *x)
{
	struct request *r = x->req;
	if (!r->admitted)
		return;
	vault_release(x->edge->vault, r->admitted);
	share_content(x->edge, x->account_row, -(int64_t)r->admitted);
	r->admitted = 0;
}

/* The next to go on: the first of the account that has least, among those whose first one fits. */
static struct exchange *
choose(struct edge *e)
{
	struct exchange *best = NULL;
	uint64_t least = 0;
	e->admit_round++;
	e->short_of_segments = false;
	e->waiting_memory = 0;
	for (struct exchange *x = e->wait_memory.first; x; x = x->wait_next) {
		uint64_t has;
		e->waiting_memory++;
		if (!share_may_look(e, x->account_row, e->admit_round, &has) || (best && has >= least))
			continue;
		bool fits = fits_budget(x), mapped = x->req->translates ? is_mapped_whole(e, x->req->wants) : is_mapped(e, x->req->wants);
		e->short_of_segments |= fits && !mapped;
		if (fits && mapped) {
			best = x;
			least = has;
		} else
			share_is_stuck(e, x->account_row, e->admit_round);
	}
	return best;
}

void
admit_turn(struct edge *e)
{
	struct exchange *x;
	while (e->wait_memory.first && (x = choose(e)) && (x->req->translates || in_budget(x, x->req->wants))) {
		exchange_stop_waiting(x);
		e->waiting_memory--;
		if (x->req->translates) {
			x->req->translates = false;
			passage_resume(x);
			continue;
		}
		exchange_step(x, STEP_READ_BODY);
		if (x->client->is_stream)
			h2_resume(x->client);
		else
			loop_again(&e->loop, &x->client->conn.watch);
	}
}

void
admit_tick(struct edge *e)
{
	for (struct exchange *x = e->wait_memory.first ? e->exchanges : NULL; x; x = x->next) {
		struct request *r = x->req;
		if (x->step != STEP_READ_BODY || x->wait_link || !r)
			continue;
		bool slow = r->looked_at && r->body_bytes - r->bytes_then < SLOW_BYTES;
		r->looked_at = true;
		r->bytes_then = r->body_bytes;
		if (!slow || r->admitted <= r->body_bytes)
			continue;
		uint64_t unused = r->admitted - r->body_bytes;
		vault_release(e->vault, unused);
		share_content(e, x->account_row, -(int64_t)unused);
		r->admitted = r->body_bytes;
		r->piecewise = true;
	}
}
