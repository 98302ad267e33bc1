/*
 * The rows of the store, summed up: those per day where they know enough, else the tickets themselves. In a table of our own: SQLite would
 * sort all rows to group them, and in memory, since the ledger may write no other file.
 */
#include "ledger/store_kind.h"
#include "ledger/usage_query.h"
#include "ticket/billing.h"
#include "ticket/end_reasons.h"
#include "ticket/ticket_id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_US ((int64_t)86400 * 1000000)
/* A ticket's id is made after its start, unless the clock was set back in between: this far it is looked for. */
#define CLOCK_SLACK_MS ((int64_t)86400 * 1000)

/* ---- groups ---- */

struct table {
	struct usage_group *rows; /* open addressing; no requests and no cost: free */
	size_t size, count;
};

/* What ran in the background is a request when it began, and costs when it has ended. */
static bool
is_free(const struct usage_group *g)
{
	enum { REQUESTS,
		COST = 2 };
	return g->counts[REQUESTS] == 0 && g->counts[COST] == 0;
}

static struct usage_group *
find(const struct table *t, const int64_t by[USAGE_BY_MAX])
{
	uint64_t h = (uint64_t)by[0] * 0x9e3779b97f4a7c15ULL;
	h = (h ^ (uint64_t)by[1] ^ h >> 29) * 0xbf58476d1ce4e5b9ULL;
	for (uint64_t place = h ^ h >> 32;; place++) {
		struct usage_group *g = &t->rows[place & (t->size - 1)];
		if (is_free(g) || memcmp(g->by, by, sizeof(g->by)) == 0)
			return g;
	}
}

static void
make_room(struct table *t)
{
	if (2 * (t->count + 1) <= t->size)
		return;
	struct table more = {.size = t->size == 0 ? 64 : 2 * t->size, .count = t->count};
	more.rows = calloc(more.size, sizeof(*more.rows));
	if (more.rows == NULL)
		abort();
	for (size_t i = 0; i < t->size; i++)
		if (!is_free(&t->rows[i]))
			*find(&more, t->rows[i].by) = t->rows[i];
	free(t->rows);
	*t = more;
}

/* Sums that no longer fit stay at the largest number. */
static void
add(int64_t *sum, int64_t value)
{
	if (__builtin_add_overflow(*sum, value, sum))
		*sum = INT64_MAX;
}

/* False: one group more than there may be. */
static bool
add_row(struct table *t, struct usage_group *total, struct query *st)
{
	int64_t by[USAGE_BY_MAX];
	for (int i = 0; i < USAGE_BY_MAX; i++)
		by[i] = sql_int(st, i);
	make_room(t);
	struct usage_group *g = find(t, by);
	if (sql_int(st, USAGE_BY_MAX) == 0 && sql_int(st, USAGE_BY_MAX + 2) == 0)
		return true;
	if (is_free(g) && t->count++ == USAGE_ROWS_MAX)
		return false;
	memcpy(g->by, by, sizeof(g->by));
	for (int i = 0; i < USAGE_COUNTS; i++) {
		int64_t value = sql_int(st, USAGE_BY_MAX + i);
		add(&g->counts[i], value);
		add(&total->counts[i], value);
	}
	return true;
}

static bool
is_time(const struct usage_dimension *d)
{
	return d->by == BY_MONTH || d->by == BY_DAY || d->by == BY_HOUR;
}

static int
in_order(const void *x, const void *y, void *arg)
{
	enum { COST = 2 };
	const struct usage_group *a = x, *b = y;
	const struct usage_query *q = arg;
	for (unsigned i = 0; i < q->by_count; i++)
		if (is_time(q->by[i]) && a->by[i] != b->by[i])
			return a->by[i] > b->by[i] ? -1 : 1;
	if (a->counts[COST] != b->counts[COST])
		return a->counts[COST] > b->counts[COST] ? -1 : 1;
	for (unsigned i = 0; i < USAGE_BY_MAX; i++)
		if (a->by[i] != b->by[i])
			return a->by[i] < b->by[i] ? -1 : 1;
	return 0;
}

static void
put_in_order(struct table *t, const struct usage_query *q)
{
	size_t count = 0;
	for (size_t i = 0; i < t->size; i++)
		if (!is_free(&t->rows[i]))
			t->rows[count++] = t->rows[i];
	if (count > 0)
		qsort_r(t->rows, count, sizeof(*t->rows), in_order, (void *)q);
}

/* ---- store ---- */

#define COLUMN(name, meaning, fallback) ", tokens_" #name
#define TOOL(name, piece) " + tools_" #name
#define OF_DAYS \
	"requests, failed, cost_nano" TOKEN_KINDS(COLUMN) ", tool_calls FROM usage_day" \
													  " WHERE day >= ?1 / 86400000000 AND day < ?2 / 86400000000"
/* As billing_free_leg() says, and with it the sums per day. */
#define ENDS_FREE_NONE(number) ", " #number
#define ENDS_FREE_REPORTED(number)
#define ENDS_FREE(name, number, status, severity, type, code, billing, text) ENDS_FREE_##billing(number)
#define NO_FREE_LEG " AND (parent = 0 OR cost_nano <> 0 OR end_reason NOT IN (-1" END_REASONS(ENDS_FREE) "))"
/* Any other leg is a request, too, without cost. */
#define OF_TICKETS \
	"1, CASE WHEN end_reason <> 1 THEN 1 ELSE 0 END, cost_nano" TOKEN_KINDS(COLUMN) ", 0" SERVER_TOOLS(TOOL) " FROM ticket" \
																											 " WHERE id >= ?7 AND started_us >= ?1 AND started_us < ?2 AND (?6 < 0 OR provider = ?6)" \
																											 " AND (?8 < 0 OR end_reason = ?8) AND (?9 < 0 OR status = ?9)"
#define NO_OWN_KEY " AND (flags & 64) = 0"
/* Work that has ended: its requests are in no ticket. */
#define OF_WORK_COLUMNS "requests, 0, cost_nano" TOKEN_KINDS(COLUMN) ", tool_calls FROM work_usage WHERE started_us >= ?1 AND started_us < ?2"
#define OF_WORK_ALONE " AND (?6 < 0 OR provider = ?6) AND id >= ?7 AND (?8 < 0 OR end_reason = ?8) AND (?9 < 0 OR status = ?9)"
#define OF_BOTH " AND (?3 = 0 OR account = ?3) AND (?4 = 0 OR key = ?4) AND (?5 < 0 OR model = ?5)"
_Static_assert(END_COMPLETED == 1, "OF_TICKETS counts what failed");
_Static_assert(TICKET_OWN_KEY == 64, "NO_OWN_KEY asks for it");

/* The sums per day are a hundredth or less of the tickets: taken whenever they know enough. */
static bool
days_are_enough(const struct usage_query *q)
{
	for (unsigned i = 0; i < q->by_count; i++)
		if (q->by[i]->over_day == NULL)
			return false;
	bool until_day = q->until_us == INT64_MAX || q->until_us % DAY_US == 0;
	return !q->free_attempts && !q->no_own_keys && q->provider < 0 && q->end_reason < 0 && q->status < 0 && q->since_us % DAY_US == 0 && until_day;
}

struct made {
	char *at;
	size_t len, cap;
};

static void
put(struct made *m, const char *text)
{
	snprintf(m->at + m->len, m->cap - m->len, "%s", text);
	m->len += strlen(m->at + m->len);
}

/* Over the sums per day, over tickets, or over what work used. */
enum source { OVER_DAYS,
	OVER_TICKETS,
	OVER_WORK };

static void
put_select(const struct store *s, const struct usage_query *q, enum source from, struct made *m)
{
	put(m, "SELECT ");
	for (unsigned i = 0; i < USAGE_BY_MAX; i++) {
		const char *column = i >= q->by_count ? "0" : from == OVER_DAYS ? q->by[i]->over_day
																		: q->by[i]->over_ticket;
		if (i < q->by_count && q->by[i]->by == BY_MONTH) {
			s->kind->month_of(column, m->at + m->len, m->cap - m->len);
			m->len += strlen(m->at + m->len);
		} else
			put(m, column);
		put(m, ", ");
	}
}

/* Only texts of these files get into the statement. */
static void
statement(const struct store *s, const struct usage_query *q, bool days, char *out, size_t cap)
{
	struct made m = {.at = out, .cap = cap};
	put_select(s, q, days ? OVER_DAYS : OVER_TICKETS, &m);
	put(&m, days ? OF_DAYS OF_BOTH : OF_TICKETS OF_BOTH);
	if (!days && !q->free_attempts)
		put(&m, NO_FREE_LEG);
	if (!days && q->no_own_keys)
		put(&m, NO_OWN_KEY);
	put(&m, " UNION ALL ");
	put_select(s, q, OVER_WORK, &m);
	put(&m, days ? OF_WORK_COLUMNS OF_BOTH : OF_WORK_COLUMNS OF_WORK_ALONE OF_BOTH);
}

static int64_t
first_id(const struct usage_query *q)
{
	int64_t ms = q->since_us / 1000 - CLOCK_SLACK_MS - (int64_t)TICKET_ID_EPOCH_MS;
	return ms <= 0 ? 0 : ms >= (1LL << 40) ? INT64_MAX
										   : ms << 23;
}

static void
breathe(void *arg)
{
	ledger_breathe(arg);
}

static enum usage_summed
read_rows(struct store *s, const struct usage_query *q, struct table *t, struct usage_group *total)
{
	char text[4096];
	bool days = days_are_enough(q), fits = true;
	statement(s, q, days, text, sizeof(text));
	struct query *st = sql_prepare(s, text);
	if (st == NULL)
		return USAGE_STORE_FAILED;
	const int64_t values[] = {q->since_us, q->until_us, (int64_t)q->account, (int64_t)q->key, q->model, q->provider,
		first_id(q), q->end_reason, q->status};
	sql_bind_ints(st, 1, values, days ? 5 : ARRAY_LEN(values));
	enum sql_step step;
	while ((step = sql_step(s, st)) == SQL_ROW && fits)
		fits = add_row(t, total, st);
	sql_free(st);
	if (!fits)
		return USAGE_TOO_MANY;
	return step == SQL_END ? USAGE_SUMMED : USAGE_STORE_FAILED;
}

enum usage_summed
usage_sum_up(struct ledger *l, const struct usage_query *q, struct usage_groups *ret, char why[STORE_WHY_MAX])
{
	struct store reader;
	struct table t = {0};
	struct usage_group total = {0};
	if (!store_open_reader(&reader, &l->store, why))
		return USAGE_STORE_FAILED;
	store_breathe(&reader, breathe, l);
	enum usage_summed summed = read_rows(&reader, q, &t, &total);
	if (summed == USAGE_STORE_FAILED)
		snprintf(why, STORE_WHY_MAX, "%s", store_error(&reader));
	store_close(&reader);
	if (summed != USAGE_SUMMED) {
		free(t.rows);
		return summed;
	}
	put_in_order(&t, q);
	*ret = (struct usage_groups){t.rows, t.count, total};
	return USAGE_SUMMED;
}

void
usage_groups_free(struct usage_groups *g)
{
	free(g->rows);
	*g = (struct usage_groups){0};
}
