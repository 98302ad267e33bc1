#include "ledger/ledger_priv.h"
#include "ledger/limit_priv.h"
#include "ticket/billing.h"
#include "ticket/end_reasons.h"
#include "ticket/ticket_id.h"

#include <stdlib.h>
#include <string.h>

enum { SIZE_FIRST = 256,
	COUNT_REQUESTS = 0,
	COUNT_FAILED,
	COUNT_COST,
	COUNT_TOKENS,
	COUNT_TOOLS = COUNT_TOKENS + TOKEN_KIND_COUNT };

_Static_assert(COUNT_TOOLS + 1 == USAGE_COUNTS, "the columns of usage_day");

int64_t
usage_day_of(uint64_t us)
{
	return (int64_t)(us / 1000000 / 86400);
}

static uint64_t
place_of(const struct usage_sum *s)
{
	uint64_t h = (uint64_t)s->account * 0x9e3779b97f4a7c15ULL;
	h = (h ^ (uint64_t)s->key ^ h >> 29) * 0xbf58476d1ce4e5b9ULL;
	h = (h ^ (uint64_t)s->model ^ (uint64_t)s->day << 32) * 0x94d049bb133111ebULL;
	return h ^ h >> 32;
}

_Static_assert(offsetof(struct usage_sum, counts) == 4 * sizeof(int64_t),
	"by_group compares day, account, key, model as they lie");

static bool
same_group(const struct usage_sum *a, const struct usage_sum *b)
{
	return a->day == b->day && a->account == b->account && a->key == b->key && a->model == b->model;
}

static struct usage_sum *
find(struct usage_sums *u, const struct usage_sum *group)
{
	for (uint64_t place = place_of(group);; place++) {
		struct usage_sum *s = &u->sums[place & (u->size - 1)];
		if (s->counts[COUNT_REQUESTS] == 0 || same_group(s, group))
			return s;
	}
}

static void
make_room(struct usage_sums *u)
{
	if (2 * (u->count + 1) <= u->size)
		return;
	struct usage_sums more = *u;
	more.size = u->size == 0 ? SIZE_FIRST : 2 * u->size;
	more.sums = calloc(more.size, sizeof(*more.sums));
	/* Nothing is lost by ending here: the next ledger sums up from the tickets again. */
	if (more.sums == NULL)
		abort();
	for (size_t i = 0; i < u->size; i++)
		if (u->sums[i].counts[COUNT_REQUESTS] != 0)
			*find(&more, &u->sums[i]) = u->sums[i];
	free(u->sums);
	*u = more;
}

void
usage_add(struct usage_sums *u, const struct ticket_copy *t, int64_t booking)
{
	const struct ticket_facts *f = &t->facts;
	struct usage_sum group = {.day = usage_day_of(f->started_us),
		.account = (int64_t)f->account,
		.key = (int64_t)f->key,
		.model = f->model};
	u->last = booking;
	if (billing_free_leg(f, t->cost))
		return;
	make_room(u);
	struct usage_sum *s = find(u, &group);
	if (s->counts[COUNT_REQUESTS] == 0) {
		*s = group;
		u->count++;
	}
	s->counts[COUNT_REQUESTS]++;
	s->counts[COUNT_FAILED] += f->end_reason != END_COMPLETED;
	s->counts[COUNT_COST] += t->cost.v;
#define X(name, meaning, fallback) s->counts[COUNT_TOKENS + TOKEN_##name] += f->tokens_##name;
	TOKEN_KINDS(X)
#undef X
	s->counts[COUNT_TOOLS] += (int64_t)f->tools_web_search + f->tools_file_search + f->tools_code_session;
}

const struct usage_sum *
usage_find(const struct usage_sums *u, const struct usage_sum *group)
{
	return u->size == 0 ? NULL : find((struct usage_sums *)u, group);
}

static void
forget_all(struct usage_sums *u)
{
	free(u->sums);
	u->sums = NULL;
	u->size = u->count = 0;
}

static bool
read_mark(struct ledger *l, int64_t *ret)
{
	struct query *st = store_sql(&l->store, SQL_usage_mark);
	sql_bind(st, l->usage.node);
	return sql_number(&l->store, st, ret);
}

void
ticket_of_row(struct query *st, struct ticket_copy *ret)
{
	*ret = (struct ticket_copy){.index = UINT32_MAX, .legs = 1};
	ret->id = (uint64_t)sql_int(st, 0);
	ret->cost.v = sql_int(st, 2);
	ret->hold.v = sql_int(st, 3);
	int at = 6;
#define X(name, type, unit, meaning, promise) ret->facts.name = (type)sql_int(st, at++);
	TICKET_FIELDS(X)
#undef X
	ret->row[0] = ret->facts.account;
}

/*
 * The oldest ticket in a booking after this one; -1: none. Its index is the range that bookings
 * name, so this reads what is new, not all.
 */
static bool
first_new_ticket(struct ledger *l, int64_t booking, int64_t *ret)
{
	struct query *st = store_sql(&l->store, SQL_usage_first_ticket);
	sql_bind(st, booking);
	enum sql_step step = sql_step(&l->store, st);
	if (step != SQL_ROW)
		return step == SQL_END;
	*ret = sql_is_null(st, 0) ? -1 : sql_int(st, 0);
	sql_reset(st);
	return true;
}

/* Each node sums up its own. */
static bool
is_of(int64_t node, const struct ticket_copy *t)
{
	return node < 0 || node == ticket_id_node(t->id);
}

bool
ledger_is_ours(const struct ledger *l, const struct ticket_copy *t)
{
	return is_of(l->store.node, t);
}

bool
tickets_after(struct ledger *l, int64_t booking, ticket_taker *take)
{
	int64_t first = -1;
	if (!first_new_ticket(l, booking, &first))
		return false;
	if (first < 0)
		return true;
	struct query *st = store_sql(&l->store, SQL_tickets_from);
	sql_bind(st, first, booking);
	enum sql_step step;
	while ((step = sql_step(&l->store, st)) == SQL_ROW) {
		struct ticket_copy t;
		ticket_of_row(st, &t);
		if (is_of(l->usage.node, &t))
			take(l, &t, sql_int(st, 1));
	}
	return step == SQL_END;
}

static void
take_again(struct ledger *l, const struct ticket_copy *t, int64_t booking)
{
	int64_t last = l->usage.last;
	usage_add(&l->usage, t, booking);
	l->usage.last = booking > last ? booking : last;
}

static bool
sum_up_anew(struct ledger *l)
{
	if (!read_mark(l, &l->usage.mark))
		return false;
	l->usage.last = l->usage.mark;
	/* Commands have no tickets of their own, so nothing moves their mark: it would be all tickets since, each time. */
	return l->usage.node == LEDGER_NODE_COMMANDS || tickets_after(l, l->usage.mark, take_again);
}

/* A part of them would be written, and the mark moved over the rest (INV-10). */
bool
usage_recover(struct ledger *l)
{
	forget_all(&l->usage);
	if (sum_up_anew(l))
		return true;
	forget_all(&l->usage);
	l->usage.mark = USAGE_MARK_UNKNOWN;
	return false;
}

bool
usage_waits(const struct usage_sums *u)
{
	return u->count != 0 || u->mark == USAGE_MARK_UNKNOWN;
}

static void
fill_sum(void *arg, size_t i, struct query *st)
{
	const struct usage_sum *s = (const struct usage_sum *)arg + i;
	sql_bind(st, s->day, s->account, s->key, s->model);
	sql_bind_ints(st, 5, s->counts, USAGE_COUNTS);
}

static int
by_group(const void *x, const void *y)
{
	const int64_t *a = &((const struct usage_sum *)x)->day, *b = &((const struct usage_sum *)y)->day;
	for (int i = 0; i < 4; i++)
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	return 0;
}

/* In the order of the store's own tree: neighbours lie on the same page. */
static struct usage_sum *
sorted(const struct usage_sums *u)
{
	struct usage_sum *list = calloc(u->count, sizeof(*list));
	if (list == NULL)
		abort();
	size_t count = 0;
	for (size_t i = 0; i < u->size; i++)
		if (u->sums[i].counts[COUNT_REQUESTS] != 0)
			list[count++] = u->sums[i];
	qsort(list, count, sizeof(*list), by_group);
	return list;
}

static bool
write_all(struct ledger *l, bool *ret_moved)
{
	struct usage_sums *u = &l->usage;
	struct query *st = store_sql(&l->store, SQL_usage_mark_move);
	sql_bind(st, u->mark, u->last, u->node);
	if (!sql_done(&l->store, st))
		return false;
	*ret_moved = sql_changes(&l->store) == 1;
	if (!*ret_moved)
		return true;
	struct usage_sum *list = sorted(u);
	bool ok = sql_many(&l->store, store_sql(&l->store, SQL_usage_add), u->count, fill_sum, NULL, list);
	free(list);
	return ok;
}

bool
usage_flush_of(struct ledger *l, int64_t node)
{
	struct usage_sums own = l->usage;
	l->usage = (struct usage_sums){.node = node};
	bool ok = usage_recover(l) && usage_flush(l);
	forget_all(&l->usage);
	l->usage = own;
	return ok;
}

bool
usage_flush(struct ledger *l)
{
	bool moved = false;
	if (l->usage.mark == USAGE_MARK_UNKNOWN && !usage_recover(l))
		return false;
	if (l->usage.count == 0)
		return true;
	if (!store_begin(&l->store))
		return false;
	if (!store_end(&l->store, write_all(l, &moved)))
		return false;
	if (!moved) /* an earlier attempt, whose outcome was unknown, had succeeded: begin again from the tickets */
		return usage_recover(l);
	l->usage.mark = l->usage.last;
	forget_all(&l->usage);
	return true;
}

bool
usage_known_once(struct ledger *l)
{
	int64_t mark;
	return !usage_waits(&l->usage) || (read_mark(l, &mark) && (mark == l->usage.mark || usage_recover(l)));
}

int64_t
usage_requests(const struct usage_sums *u, int64_t day, uint64_t subject)
{
	int64_t requests = 0;
	for (size_t i = 0; i < u->size; i++) {
		const struct usage_sum *s = &u->sums[i];
		if (s->day >= day && (s->account == (int64_t)subject || s->key == (int64_t)subject))
			requests += s->counts[COUNT_REQUESTS];
	}
	return requests;
}

/* By what the store has, not by what is remembered: none of this node's tickets is in a booking after the mark. */
static bool
move_idle_mark(struct ledger *l, int64_t *ret_mark)
{
	struct query *st = sql_prepare(&l->store,
		"UPDATE usage_node SET booking = last.id FROM (SELECT max(id) AS id FROM booking) AS last WHERE node = ?1 AND booking = ?2 AND last.id > ?2 AND NOT EXISTS (SELECT 1 FROM ticket"
		" WHERE (ticket.id >> 7 & 255) = ?1 AND ticket.booking > ?2 AND ticket.id >= (SELECT min(first_ticket) FROM booking WHERE kind = 1 AND id > ?2)) RETURNING booking");
	if (st == NULL)
		return false;
	sql_bind(st, l->usage.node, l->usage.mark);
	bool ok = sql_number(&l->store, st, ret_mark);
	sql_free(st);
	return ok;
}

bool
usage_follow(struct ledger *l, uint64_t now_ms)
{
	int64_t mark = l->usage.mark;
	if (!l->store.many || usage_waits(&l->usage) || now_ms < l->follow_due_ms)
		return true;
	l->follow_due_ms = now_ms + USAGE_PERIOD_MS;
	if (!store_begin(&l->store) || !store_end(&l->store, move_idle_mark(l, &mark)))
		return false;
	if (mark > l->usage.mark)
		l->usage.mark = l->usage.last = mark;
	return true;
}
