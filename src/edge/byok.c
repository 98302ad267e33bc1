#include "edge/byok.h"

#include "core/ipc.h"
#include "edge/object.h"
#include "edge/question.h"
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
	struct line waiting; /* … by these, who need it next */
	char secret[BYOK_SECRET_MAX];
};

struct byok_keys {
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

/* An empty place, or that of who was used the longest ago. NULL: no memory, or all of them are on their way, or about to be used. */
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
		if (!k->asked && !k->waiting.first && (!oldest || k->used_ms < oldest->used_ms))
			oldest = k;
	}
	if (oldest)
		forget(oldest);
	return oldest;
}

/* Its first own key that is not here. False: all are. *ret: NULL when it was not asked for either. */
static bool
wants(const struct exchange *x, struct limit_byok_one *ret_one, struct kept **ret)
{
	struct edge *e = x->edge;
	uint32_t row = x->limited.rows[0] && e->p->catalogue->byok ? account_row(x) : 0;
	const struct limit_row *r = row ? limit_row(e->p->board, row) : NULL;
	for (unsigned n = 0; r && n < LIMIT_BYOK_MAX; n++) {
		if (!limit_byok_at(r, n, ret_one))
			continue;
		struct kept *k = find(e, ret_one->id);
		*ret = k;
		if (!k || k->asked)
			return true;
		k->used_ms = e->loop.now_ms;
	}
	return false;
}

enum ipc_result
byok_ask(struct exchange *x, struct line **ret)
{
	struct edge *e = x->edge;
	struct limit_byok_one one;
	struct kept *k;
	*ret = NULL;
	if (!wants(x, &one, &k) || (!k && !(k = make_place(e)))) /* no place: it hears of that when it goes on */
		return IPC_OK;
	struct message_byok_wanted m = MESSAGE_INIT(BYOK_WANTED, message_byok_wanted);
	m.id = one.id;
	if (!k->asked && ipc_send(e->ledger.fd, &m, sizeof m, -1) == IPC_AGAIN)
		return IPC_AGAIN;
	if (!k->asked)
		*k = (struct kept){.id = one.id, .row = account_row(x), .asked = true};
	*ret = &k->waiting;
	return IPC_OK;
}

bool
byok_ready(struct exchange *x)
{
	struct limit_byok_one one;
	struct kept *k;
	if (!wants(x, &one, &k))
		return true;
	if (x->route.byok_asks++ == ASKS_MAX || (!k && !make_place(x->edge)))
		exchange_end(x, END_OVERLOADED);
	else if (k) {
		x->question = QUESTION_KEY; /* somebody else has asked; it asks itself when the ledger is a new one */
		(void)!spare_wait(x, &k->waiting); /* else it has ended */
	} else
		question_ask(x, QUESTION_KEY);
	return false;
}

void
byok_go_on(struct exchange *x)
{
	if (object_is_errand(x))
		work_errand_goes_on(x);
	else
		reserve(x);
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
	struct exchange *x;
	while (!k->asked && (x = k->waiting.first)) { /* else the last of them has got the place for another key */
		exchange_stop_waiting(x);
		byok_go_on(x);
	}
}

void
byok_put_back(struct edge *e)
{
	for (int i = 0; e->byok && i < KEPT_MAX; i++) {
		struct kept *k = &e->byok->kept[i];
		if (!k->asked)
			continue;
		question_put_back(e, &k->waiting);
		forget(k);
	}
}

/* What could not be had may be there the next time. */
void
byok_tend(struct edge *e)
{
	for (int i = 0; e->byok && i < KEPT_MAX; i++) {
		struct kept *k = &e->byok->kept[i];
		bool late = k->asked && !k->waiting.first;
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
