/*
 * The model of limits of money: what is used of a window is what the tickets cost that were taken in it, and nobody takes more of one than is left of its limit. A window
 * that a limit's change begins starts with what its predecessor had used and held; how much of that was held, is known from both sides only.
 */
#include "simulation/books_priv.h"

#include "ticket/limit.h"

#include <string.h>

enum { SUBJECTS = 2 * SIM_ACCOUNTS, /* accounts, then their keys */
	NUMBERS_MAX = 2 * ORDERS_MAX,
	WINDOWS_MAX = 1024 };

struct limit {
	int64_t amount;
	uint64_t number; /* 0: there is none */
};

/* A limit as it was set once, by its number. */
struct number {
	uint64_t number;
	int subject, kind;
	int64_t amount;
	const struct sim_order *fresh; /* by which, when this look is the first to see it */
};

struct window {
	uint64_t row;
	int64_t limit, start, paid;
	int64_t loose; /* so much more may have been paid since the last look */
	bool seen, is_there;
};

static struct {
	struct limit limits[SUBJECTS][LIMIT_KIND_COUNT];
	struct number numbers[NUMBERS_MAX];
	uint32_t number_count;
	struct window windows[WINDOWS_MAX];
	uint32_t window_count;
} m;

bool
windows_on(void)
{
	return sim.story == STORY_LIMITS || sim.story == STORY_WINDOWS;
}

void
windows_begin(void)
{
	memset(&m, 0, sizeof(m));
}

static uint64_t
number_in(uint64_t row)
{
	return row >> 32 & INT32_MAX;
}

static struct number *
number_of(uint64_t number)
{
	for (uint32_t i = m.number_count; i-- > 0;)
		if (m.numbers[i].number == number)
			return &m.numbers[i];
	return NULL;
}

static struct window *
find_window(uint64_t row)
{
	for (uint32_t i = 0; i < m.window_count; i++)
		if (m.windows[i].row == row)
			return &m.windows[i];
	return NULL;
}

static struct window *
window_of(uint64_t row)
{
	struct window *w = find_window(row);
	if (w != NULL)
		return w;
	if (m.window_count == WINDOWS_MAX)
		violation("the simulation has no room for another window");
	w = &m.windows[m.window_count++];
	*w = (struct window){.row = row};
	return w;
}

static uint32_t
now_in(int kind, uint64_t us)
{
	return limit_window((enum limit_kind)kind, us / 1000000);
}

static bool
is_in(const struct book_ticket *t, uint64_t row)
{
	for (int i = 0; i < LIMIT_BUDGETS_MAX; i++)
		if (t->f.windows[i] == row)
			return true;
	return false;
}

/* ---- what is held ---- */

static int64_t
least_said(const struct book_ticket *t)
{
	int64_t least = INT64_MAX;
	for (uint32_t i = t->certain; i < t->said; i++)
		least = t->say[i] < least ? t->say[i] : least;
	return least;
}

/* At least so much of it counts as used or held, whoever goes on meanwhile. */
static int64_t
surely_taken(const struct book_ticket *t)
{
	switch (t->state) {
	case HELD:
		return t->f.hold;
	case SETTLING:
	case SETTLED:
	case ORPHAN:
		return least_said(t);
	case NOTHING:
	case RESERVING:
	case UNBORN:
	case FORGED:
	case BOOKED:
	case CUT:
	case LOST:
		break;
	}
	return 0;
}

static int64_t
perhaps_taken(const struct book_ticket *t)
{
	if (!ticket_keeps(t))
		return 0;
	return t->more > t->f.hold ? t->more : t->f.hold;
}

static int64_t
sum_in(uint64_t row, int64_t (*of)(const struct book_ticket *t))
{
	const struct window *w = find_window(row);
	int64_t sum = w != NULL && w->is_there ? w->start + w->paid : 0;
	for (uint32_t i = 0; i < books.count; i++)
		if (is_in(&books.ticket[i], row))
			sum += of(&books.ticket[i]);
	return sum;
}

int64_t
windows_surely_free(const uint64_t windows[LIMIT_BUDGETS_MAX])
{
	int64_t least = INT64_MAX;
	for (int i = 0; i < LIMIT_BUDGETS_MAX && windows[i] != 0; i++) {
		const struct window *w = find_window(windows[i]);
		if (w == NULL || !w->is_there)
			return 0;
		int64_t left = w->limit - sum_in(w->row, perhaps_taken);
		least = left < least ? left : least;
	}
	return least;
}

/* Used and held is never above the limit: what was above it when the limit was lowered comes down, and nothing is added. */
void
windows_took(const struct book_ticket *t)
{
	for (int i = 0; i < LIMIT_BUDGETS_MAX && t->f.windows[i] != 0; i++) {
		const struct number *n = number_of(number_in(t->f.windows[i]));
		int64_t taken = sum_in(t->f.windows[i], surely_taken);
		if (windows_on() && n != NULL && taken > n->amount)
			violation("ticket %llu makes it %lld of window %llx, whose limit is %lld", (unsigned long long)t->f.id, (long long)taken,
				(unsigned long long)t->f.windows[i], (long long)n->amount);
	}
}

bool
window_is_over(uint64_t row)
{
	const struct number *n = number_of(number_in(row));
	return n != NULL && (uint32_t)row < now_in(n->kind, sim.wall_us);
}

/* ---- what is booked ---- */

static bool
is_in_store(uint64_t row)
{
	struct query *st = look_sql("SELECT 1 FROM budget WHERE id = ?");
	sql_bind(st, (int64_t)row);
	bool there = sql_step(&sim.w.ledger->store, st) == SQL_ROW;
	sql_reset(st);
	return there;
}

/* A ticket without its board is paid from the windows of its key's and account's limits as they are now, where they were opened. */
static void
recalled(const struct book_ticket *t, uint64_t ret[LIMIT_BUDGETS_MAX])
{
	int count = 0;
	memset(ret, 0, LIMIT_BUDGETS_MAX * sizeof(ret[0]));
	for (int subject = SIM_ACCOUNTS + t->f.account; subject >= 0; subject -= SIM_ACCOUNTS)
		for (int k = LIMIT_MONEY_FIRST; k < LIMIT_KIND_COUNT && count < LIMIT_BUDGETS_MAX; k++) {
			uint64_t number = m.limits[subject][k].number, row = limit_budget_row(number, now_in(k, t->f.started_us));
			if (number != 0 && is_in_store(row))
				ret[count++] = row;
		}
}

static bool
has(const uint64_t windows[LIMIT_BUDGETS_MAX], uint64_t row)
{
	for (int i = 0; i < LIMIT_BUDGETS_MAX; i++)
		if (windows[i] == row)
			return true;
	return false;
}

static void
pay(const uint64_t windows[LIMIT_BUDGETS_MAX], int64_t cost)
{
	for (int i = 0; i < LIMIT_BUDGETS_MAX && windows[i] != 0; i++)
		window_of(windows[i])->paid += cost;
}

/* Of which of the two it was paid, nobody can say. */
static void
pay_either(const uint64_t a[LIMIT_BUDGETS_MAX], const uint64_t b[LIMIT_BUDGETS_MAX], int64_t cost)
{
	for (int i = 0; i < LIMIT_BUDGETS_MAX; i++) {
		if (a[i] != 0 && has(b, a[i]))
			window_of(a[i])->paid += cost;
		else if (a[i] != 0)
			window_of(a[i])->loose += cost;
		if (b[i] != 0 && !has(a, b[i]))
			window_of(b[i])->loose += cost;
	}
}

void
windows_paid(const struct book_ticket *t, int64_t cost, bool interrupted)
{
	uint64_t again[LIMIT_BUDGETS_MAX];
	if (!windows_on() || cost == 0)
		return;
	if (t->state != CUT || !interrupted) {
		pay(t->f.windows, cost);
		return;
	}
	recalled(t, again);
	if (t->was_orphan) /* swept before the power went, or recalled after it */
		pay_either(t->f.windows, again, cost);
	else
		pay(again, cost);
}

/* ---- limits ---- */

static int
subject_of(int64_t id)
{
	for (int i = 0; i < SIM_ACCOUNTS; i++) {
		if (sim.account[i].id == (uint64_t)id)
			return i;
		if (sim.account[i].key == (uint64_t)id)
			return SIM_ACCOUNTS + i;
	}
	violation("%lld has limits, and nobody made it", (long long)id);
}

static int
subject_of_order(const struct sim_order *o)
{
	return o->of_account ? o->a : SIM_ACCOUNTS + o->a;
}

static int64_t
amount_of_order(const struct sim_order *o)
{
	return o->nano % 5 == 0 ? 0 : o->nano;
}

static bool
is_about(const struct sim_order *o, int subject, int kind)
{
	return o->form == FORM_LIMIT && subject_of_order(o) == subject && o->kind == kind;
}

static const struct sim_order *
who_asked(int subject, int kind, int64_t amount)
{
	for (uint32_t i = 0; i < order_count; i++)
		if (orders[i].pending && is_about(&orders[i], subject, kind) && amount_of_order(&orders[i]) == amount)
			return &orders[i];
	violation("the limit of kind %d of %d is %lld now, which nobody has asked for", kind, subject, (long long)amount);
}

static void
limit_is(int subject, int kind, struct limit is)
{
	struct limit *was = &m.limits[subject][kind];
	if (was->amount == is.amount && was->number == is.number)
		return;
	const struct sim_order *o = who_asked(subject, kind, is.amount);
	trace("  the limit of kind %d of %d is %lld, number %llu", kind, subject, (long long)is.amount, (unsigned long long)is.number);
	if (is.amount == 0)
		met(FAULT_LIMIT_REMOVED);
	*was = is;
	if (is.number == 0)
		return;
	struct number *n = number_of(is.number);
	if (n == NULL && m.number_count == NUMBERS_MAX)
		violation("the simulation has no room for another limit");
	n = n != NULL ? n : &m.numbers[m.number_count++];
	*n = (struct number){.number = is.number, .subject = subject, .kind = kind, .amount = is.amount, .fresh = o};
}

void
windows_look_at_limits(void)
{
	static struct limit now[SUBJECTS][LIMIT_KIND_COUNT];
	memset(now, 0, sizeof(now));
	struct query *st = look_sql("SELECT subject, kind, amount, number FROM limits");
	while (sql_step(&sim.w.ledger->store, st) == SQL_ROW)
		now[subject_of(sql_int(st, 0))][sql_int(st, 1)] = (struct limit){sql_int(st, 2), (uint64_t)sql_int(st, 3)};
	sql_reset(st);
	for (int s = 0; s < SUBJECTS; s++)
		for (int k = LIMIT_MONEY_FIRST; k < LIMIT_KIND_COUNT; k++)
			limit_is(s, k, now[s][k]);
}

/* ---- what it has to begin with ---- */

/* Booked of what the subject began since then. */
static int64_t
spent_since(int subject, uint64_t begin_s, bool all)
{
	int64_t sum = 0;
	for (uint32_t i = 0; i < books.count; i++) {
		const struct book_ticket *t = &books.ticket[i];
		if (t->f.account != subject % SIM_ACCOUNTS || t->f.started_us / 1000000 < begin_s)
			continue;
		sum += t->state == BOOKED ? t->booked : all ? perhaps_taken(t)
													: 0;
	}
	return sum;
}

void
limit_asked(struct sim_order *o)
{
	int subject = subject_of_order(o);
	const struct limit *old = &m.limits[subject][o->kind];
	o->pending = true;
	o->window = now_in(o->kind, sim.wall_us);
	if (old->number != 0) {
		uint64_t row = limit_budget_row(old->number, o->window);
		o->least = sum_in(row, surely_taken);
		o->most = sum_in(row, perhaps_taken);
	} else if (o->kind >= LIMIT_MONEY_DAY) {
		uint64_t begin_s = limit_window_begin_s((enum limit_kind)o->kind, o->window);
		o->least = spent_since(subject, begin_s, false);
		o->most = spent_since(subject, begin_s, true);
	} else
		o->least = o->most = 0;
	/* Edges go on between its reading and its writing. */
	if (ledger_was_held_up()) {
		o->least = 0;
		o->most = INT64_MAX;
	}
}

void
limit_done(struct sim_order *o)
{
	int subject = subject_of_order(o);
	if (windows_on() && m.limits[subject][o->kind].amount != amount_of_order(o))
		violation("the limit of kind %d of %d is said to be %lld, and is %lld", o->kind, subject, (long long)amount_of_order(o),
			(long long)m.limits[subject][o->kind].amount);
	for (uint32_t i = 0; i < order_count; i++)
		if (is_about(&orders[i], subject, o->kind))
			orders[i].pending = false;
}

/* ---- windows ---- */

static void
check_begin(const struct window *w, const struct number *n)
{
	const struct sim_order *o = n->fresh;
	if (w->limit != n->amount)
		violation("window %llx has a limit of %lld, not %lld", (unsigned long long)w->row, (long long)w->limit, (long long)n->amount);
	if (o == NULL) {
		if (w->start != 0)
			violation("window %llx begins with %lld", (unsigned long long)w->row, (long long)w->start);
		return;
	}
	if (w->start > w->limit)
		met(FAULT_LIMIT_LOWERED);
	if ((uint32_t)w->row == o->window && (w->start < o->least || w->start > o->most))
		violation("window %llx of a changed limit begins with %lld, and %lld to %lld were used and held", (unsigned long long)w->row, (long long)w->start,
			(long long)o->least, (long long)o->most);
}

static void
window_is(uint64_t row, int64_t limit, int64_t used)
{
	struct window *w = window_of(row);
	const struct number *n = number_of(number_in(row));
	if (n == NULL)
		violation("there is a window %llx of a limit that nobody has set", (unsigned long long)row);
	if (!w->seen || !w->is_there) {
		*w = (struct window){.row = row, .limit = limit, .start = used - w->paid, .paid = w->paid, .loose = w->loose, .seen = true, .is_there = true};
		trace("  window %llx begins with %lld of %lld", (unsigned long long)row, (long long)w->start, (long long)limit);
		if (w->loose == 0)
			check_begin(w, n);
	}
	int64_t more = used - w->start - w->paid;
	if (more < 0 || more > w->loose || limit != w->limit)
		violation("of window %llx %lld of %lld are used, not %lld of %lld", (unsigned long long)row, (long long)used, (long long)limit,
			(long long)(w->start + w->paid), (long long)w->limit);
	w->paid += more;
	w->loose = 0;
}

/* Two before this one go when a window begins, which may be the next one already. */
static void
window_is_gone(struct window *w)
{
	const struct number *n = number_of(number_in(w->row));
	if ((uint32_t)w->row + 1 >= now_in(n->kind, sim.latest_us))
		violation("window %llx is forgotten, and is not long over", (unsigned long long)w->row);
	for (uint32_t i = 0; i < books.count; i++)
		if (is_in(&books.ticket[i], w->row) && surely_taken(&books.ticket[i]) > 0)
			violation("window %llx is forgotten, and ticket %llu has something of it", (unsigned long long)w->row, (unsigned long long)books.ticket[i].f.id);
	trace("  window %llx is forgotten", (unsigned long long)w->row);
	*w = (struct window){.row = w->row, .seen = true};
}

void
windows_look(void)
{
	static bool found[WINDOWS_MAX];
	memset(found, 0, sizeof(found));
	struct query *st = look_sql("SELECT id, limit_nano, used_nano FROM budget");
	while (sql_step(&sim.w.ledger->store, st) == SQL_ROW) {
		window_is((uint64_t)sql_int(st, 0), sql_int(st, 1), sql_int(st, 2));
		found[window_of((uint64_t)sql_int(st, 0)) - m.windows] = true;
	}
	sql_reset(st);
	for (uint32_t i = 0; i < m.window_count; i++)
		if (m.windows[i].is_there && !found[i])
			window_is_gone(&m.windows[i]);
		else if (!found[i])
			m.windows[i].paid = m.windows[i].loose = 0;
	for (uint32_t i = 0; i < m.number_count; i++)
		m.numbers[i].fresh = NULL;
}

/* ---- what edges are told ---- */

static bool
is_pending(int account)
{
	for (uint32_t i = 0; i < order_count; i++)
		if (orders[i].pending && orders[i].a == account)
			return true;
	return false;
}

void
windows_check_legs(int account, const uint64_t windows[LIMIT_BUDGETS_MAX])
{
	int count = 0, told = 0;
	if (!windows_on() || is_pending(account))
		return;
	while (told < LIMIT_BUDGETS_MAX && windows[told] != 0)
		told++;
	for (int s = account; s < SUBJECTS; s += SIM_ACCOUNTS)
		for (int k = LIMIT_MONEY_FIRST; k < LIMIT_KIND_COUNT; k++) {
			uint64_t number = m.limits[s][k].number;
			count += number != 0;
			if (number != 0 && !has(windows, limit_budget_row(number, now_in(k, sim.wall_us))))
				violation("account %d has a limit %llu, of which no edge is told", account, (unsigned long long)number);
		}
	if (count != told)
		violation("account %d has %d limits of money, and edges are told of %d", account, count, told);
}
