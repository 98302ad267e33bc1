#include "edge/byok.h"

#include "core/ipc.h"
#include "edge/object.h"
#include "edge/spare.h"
#include "edge/work.h"
#include "ticket/limit.h"

enum { KEPT_MAX = 256,
	ASKS_MAX = 2 * LIMIT_BYOK_MAX };

/* What a number stands for. */
struct kept {
	uint64_t id, account, used_ms; /* id 0: nothing is here */
	uint32_t provider; /* catalogue id */
	uint32_t row; /* of limits, that names it */
	uint32_t len; /* 0: it can't be opened */
	bool asked; /* the ledger's answer is on its way */
	bool unsaid; /* … and the question not yet: its arrow is full */
	char secret[BYOK_SECRET_MAX];
};

struct byok_keys {
	bool unsaid; /* some may be */
	struct kept kept[KEPT_MAX];
};

struct byok_key {
	uint32_t len;
	char secret[BYOK_SECRET_MAX];
};

/* ---- what the account's row says ---- */

static uint32_t
account_row(const struct exchange *x)
{
	for (unsigned of = 0; of < 2; of++) {
		const struct limit_row *r = limit_row(x->edge->p->board, x->limited.rows[of]);
		if (r && atomic_load_explicit(&r->subject, memory_order_relaxed) == x->account_row)
			return x->limited.rows[of];
	}
	return 0;
}

static bool
names(const struct limit_row *r, uint64_t id)
{
	struct limit_byok_one one;
	for (unsigned n = 0; r && n < LIMIT_BYOK_MAX; n++)
		if (limit_byok_at(r, n, &one) && one.id == id)
			return true;
	return false;
}

static bool
find_own(const struct exchange *x, uint32_t provider, struct limit_byok_one *ret)
{
	uint32_t row = account_row(x), id = catalogue_provider(x->edge->p->catalogue, provider)->id;
	const struct limit_row *r = row ? limit_row(x->edge->p->board, row) : NULL;
	for (unsigned n = 0; r && n < LIMIT_BYOK_MAX; n++)
		if (limit_byok_at(r, n, ret) && ret->provider == id)
			return true;
	return false;
}

/* ---- what is kept ---- */

static struct kept *
find(const struct edge *e, uint64_t id)
{
	for (int i = 0; e->byok && i < KEPT_MAX; i++)
		if (e->byok->kept[i].id == id)
			return &e->byok->kept[i];
	return NULL;
}

static void
forget(struct kept *k)
{
	explicit_bzero(k, sizeof *k);
}

/* An empty place, or that of who was used the longest ago. NULL: no memory, or all of them are on their way. */
static struct kept *
make_place(struct edge *e)
{
	struct kept *oldest = NULL;
	if (!e->byok)
		e->byok = vault_alloc(e->vault, sizeof *e->byok);
	for (int i = 0; e->byok && i < KEPT_MAX; i++) {
		struct kept *k = &e->byok->kept[i];
		if (!k->id)
			return k;
		if (!k->asked && (!oldest || k->used_ms < oldest->used_ms))
			oldest = k;
	}
	if (oldest)
		forget(oldest);
	return oldest;
}

/* Also when the ledger is gone: its successor is asked again. */
static void
ask(struct edge *e, struct kept *k)
{
	struct message_byok_wanted m = MESSAGE_INIT(BYOK_WANTED, message_byok_wanted);
	m.id = k->id;
	k->unsaid = ipc_send(e->ledger.fd, &m, sizeof m, -1) == IPC_AGAIN;
	if (!k->unsaid)
		return;
	e->byok->unsaid = true;
	edge_poll(e);
}

static bool
wait_for(struct exchange *x, uint64_t id, uint32_t row)
{
	struct edge *e = x->edge;
	struct kept *k = find(e, id);
	bool asked = k != NULL;
	if (x->route.byok_asks++ == ASKS_MAX || (!k && !(k = make_place(e)))) {
		exchange_end(x, END_OVERLOADED);
		return false;
	}
	*k = asked ? *k : (struct kept){.id = id, .row = row, .asked = true};
	if (!asked)
		ask(e, k);
	spare_wait(x, &e->wait_byok);
	return false;
}

bool
byok_ready(struct exchange *x)
{
	struct edge *e = x->edge;
	uint32_t row = x->limited.rows[0] && e->p->catalogue->byok ? account_row(x) : 0;
	const struct limit_row *r = row ? limit_row(e->p->board, row) : NULL;
	struct limit_byok_one one;
	for (unsigned n = 0; r && n < LIMIT_BYOK_MAX; n++) {
		if (!limit_byok_at(r, n, &one))
			continue;
		struct kept *k = find(e, one.id);
		if (!k || k->asked)
			return wait_for(x, one.id, row);
		k->used_ms = e->loop.now_ms;
	}
	return true;
}

static const struct kept *
usable(const struct exchange *x, const struct limit_byok_one *one)
{
	const struct kept *k = find(x->edge, one->id);
	return k && !k->asked && k->len && k->account == x->account_row && k->provider == one->provider ? k : NULL;
}

enum byok_state
byok_at(const struct exchange *x, uint32_t provider, bool *ret_only)
{
	struct limit_byok_one one;
	*ret_only = false;
	if (!x->limited.rows[0] || !find_own(x, provider, &one))
		return BYOK_NONE;
	*ret_only = !one.fallback;
	return x->edge->p->catalogue->byok && usable(x, &one) ? BYOK_USABLE : BYOK_BROKEN;
}

/* ---- what an exchange uses ---- */

bool
byok_take(struct exchange *x, uint32_t provider)
{
	struct limit_byok_one one;
	bool own = x->limited.rows[0] && x->edge->p->catalogue->byok && find_own(x, provider, &one);
	const struct kept *k = own ? usable(x, &one) : NULL;
	struct byok_key *b = k ? vault_alloc(x->edge->vault, sizeof *b) : NULL;
	if (!b)
		return false;
	b->len = k->len;
	memcpy(b->secret, k->secret, k->len);
	x->route.byok = b;
	return true;
}

void
byok_refuse(struct exchange *x)
{
	const struct span why = object_is_subject(x)
		? SPAN("This was begun, or would be, with this workspace's own key at the provider, and no other may be used; but that key isn't there, or can't be used. Nothing was sent. "
			   "Whoever runs this gateway can look (lethe byok list) and add the key anew.")
		: SPAN("This workspace has its own key at a provider of this model, and no other may be used; but it can't be used for this request. Nothing was sent. "
			   "Whoever runs this gateway can look (lethe byok list), add the key anew, or allow others beside it (--fallback).");
	if (x->client)
		answer_sentence(x, END_NO_TARGET, NULL, why);
	exchange_end(x, END_NO_TARGET);
}

void
byok_drop(struct exchange *x)
{
	if (x->route.byok)
		vault_free(x->edge->vault, x->route.byok, sizeof *x->route.byok);
	x->route.byok = NULL;
}

struct secret
byok_secret(struct byok_key *k)
{
	return (struct secret){k->secret, (uint16_t)k->len};
}

/* ---- from the ledger, and in time ---- */

static void
wake(struct edge *e)
{
	unsigned waiting = 0;
	for (const struct exchange *x = e->wait_byok; x; x = x->wait_next)
		waiting++;
	for (; waiting && e->wait_byok; waiting--) { /* who wants another one stands behind again */
		struct exchange *x = e->wait_byok;
		exchange_stop_waiting(x);
		if (object_is_errand(x))
			work_errand_goes_on(x);
		else
			reserve(x);
	}
}

void
byok_came(struct edge *e, const void *message)
{
	const struct message_byok *m = message;
	struct kept *k = find(e, m->id);
	if (!k || !k->asked)
		return;
	const struct byok_owner owner = {m->account, m->provider};
	k->asked = false;
	k->account = m->account;
	k->provider = m->provider;
	k->used_ms = e->loop.now_ms;
	k->len = m->result == 0 ? (uint32_t)byok_open(e->byok_seed, &owner, m->box, k->secret) : 0;
	wake(e);
}

void
byok_ask_again(struct edge *e)
{
	for (int i = 0; e->byok && i < KEPT_MAX; i++)
		if (e->byok->kept[i].asked)
			ask(e, &e->byok->kept[i]);
}

void
byok_ask_late(struct edge *e)
{
	if (!e->byok || !e->byok->unsaid)
		return;
	e->byok->unsaid = false;
	for (int i = 0; i < KEPT_MAX && !e->byok->unsaid; i++)
		if (e->byok->kept[i].unsaid)
			ask(e, &e->byok->kept[i]);
}

/* What could not be had may be there the next time. */
void
byok_tend(struct edge *e)
{
	for (int i = 0; e->byok && i < KEPT_MAX; i++) {
		struct kept *k = &e->byok->kept[i];
		bool late = k->asked && !e->wait_byok;
		if (k->id && (late || (!k->asked && (!k->len || !names(limit_row(e->p->board, k->row), k->id)))))
			forget(k);
	}
}

void
byok_close(struct edge *e)
{
	if (e->byok)
		vault_free(e->vault, e->byok, sizeof *e->byok);
	e->byok = NULL;
}
