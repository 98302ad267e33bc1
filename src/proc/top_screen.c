#include "proc/top.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LINES_MAX = 4096,
	NAME_COLUMNS_MAX = 28,
	BYTES_PER_MIB = 1 << 20 };

/* ---- lines ---- */

struct page {
	struct top_line *line;
	size_t count, room;
	int columns;
};

/* The first `columns` characters of UTF-8. */
static void
cut(char *text, int columns)
{
	char *at = text;
	for (int left = columns; *at != '\0'; at++)
		if (((unsigned char)*at & 0xc0) != 0x80 && left-- == 0)
			break;
	*at = '\0';
}

static void __attribute__((format(printf, 3, 4)))
add(struct page *p, enum cli_paint paint, const char *format, ...)
{
	if (p->count == p->room)
		return;
	struct top_line *l = &p->line[p->count++];
	va_list list;
	va_start(list, format);
	vsnprintf(l->text, sizeof l->text, format, list);
	va_end(list);
	l->paint = paint;
	cut(l->text, p->columns);
}

/* ---- numbers as people read them ---- */

struct shown {
	char text[24];
};

/* Three digits that count: 0.07, 3.51, 35.1, 351, 3.51k. */
static struct shown
count_text(double n)
{
	static const char units[] = " kMGT";
	struct shown s;
	size_t unit = 0;
	while (n >= 999.5 && unit + 2 < sizeof units) {
		n /= 1000;
		unit++;
	}
	snprintf(s.text, sizeof s.text, "%.*f%.*s", n >= 99.95 || n == (double)(long)n ? 0 : n >= 9.995 ? 1
																									: 2,
		n, unit > 0, &units[unit]);
	return s;
}

static struct shown
dollars_text(double nano)
{
	struct shown s;
	double dollars = nano / 1e9;
	snprintf(s.text, sizeof s.text, "%s$%.*f", dollars < 0 ? "-" : "", dollars > -1 && dollars < 1 && dollars != 0 ? 4 : 2,
		dollars < 0 ? -dollars : dollars);
	return s;
}

/* What can't be known yet is a dash. */
static struct shown
rate_text(const struct top_history *h, double difference)
{
	double span = top_span_s(h);
	return span > 0 ? count_text(difference / span) : (struct shown){"-"};
}

static struct shown
money_rate_text(const struct top_history *h, double nano)
{
	double span = top_span_s(h);
	return span > 0 ? dollars_text(nano / span * 60) : (struct shown){"-"};
}

/* ---- what happened between the oldest and the newest sample ---- */

struct table_row {
	struct top_row now;
	double requests, failed, tokens_in, tokens_out, duration_ms, cost_nano; /* since the oldest */
};

struct table {
	struct table_row *row;
	size_t count;
};

static void
add_row(struct top_row *to, const struct top_row *r)
{
	to->waiting += r->waiting;
	to->answering += r->answering;
	to->requests += r->requests;
	to->failed += r->failed;
	to->tokens_in += r->tokens_in;
	to->tokens_out += r->tokens_out;
	to->duration_ms += r->duration_ms;
	to->cost_nano += r->cost_nano;
}

static bool
same(const struct top_row *a, const struct top_row *b, bool by_provider)
{
	return strcmp(a->provider, b->provider) == 0 && (by_provider || strcmp(a->name, b->name) == 0);
}

static struct top_row
sum_of(const struct top_sample *s, const struct top_row *like, bool by_provider)
{
	struct top_row sum = {0};
	for (size_t i = 0; i < s->row_count; i++)
		if (same(&s->rows[i], like, by_provider))
			add_row(&sum, &s->rows[i]);
	return sum;
}

static void
fill_row(const struct top_history *h, const struct top_row *like, bool by_provider, struct table_row *ret)
{
	struct top_row before = sum_of(&h->sample[0], like, by_provider);
	*ret = (struct table_row){.now = sum_of(top_newest(h), like, by_provider)};
	memcpy(ret->now.name, by_provider ? like->provider : like->name, TOP_NAME_MAX);
	memcpy(ret->now.provider, like->provider, TOP_NAME_MAX);
	ret->requests = ret->now.requests - before.requests;
	ret->failed = ret->now.failed - before.failed;
	ret->tokens_in = ret->now.tokens_in - before.tokens_in;
	ret->tokens_out = ret->now.tokens_out - before.tokens_out;
	ret->duration_ms = ret->now.duration_ms - before.duration_ms;
	ret->cost_nano = (double)(ret->now.cost_nano - before.cost_nano);
}

static bool
seen_before(const struct top_sample *s, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (same(&s->rows[k], &s->rows[i], true))
			return true;
	return false;
}

static double
sort_value(const struct table_row *r, enum top_sort sort)
{
	switch (sort) {
	case TOP_BY_MONEY:
		return r->cost_nano;
	case TOP_BY_REQUESTS:
		return r->requests;
	case TOP_BY_OPEN:
		return r->now.waiting + r->now.answering;
	case TOP_BY_TOKENS:
		return r->tokens_in + r->tokens_out;
	case TOP_BY_FAILED:
		return r->failed;
	case TOP_BY_NAME:
	case TOP_SORT_COUNT:
		break;
	}
	return 0;
}

static int
compare(const void *x, const void *y, void *arg)
{
	const struct table_row *a = x, *b = y;
	enum top_sort sort = *(const enum top_sort *)arg;
	double left = sort_value(a, sort), right = sort_value(b, sort);
	if (left != right)
		return left < right ? 1 : -1;
	/* Then by all that there ever was, so that a quiet table is in an order too. */
	if (sort == TOP_BY_MONEY && a->now.cost_nano != b->now.cost_nano)
		return a->now.cost_nano < b->now.cost_nano ? 1 : -1;
	int by_name = strcmp(a->now.name, b->now.name);
	return by_name != 0 ? by_name : strcmp(a->now.provider, b->now.provider);
}

static struct table
table_of(const struct top_screen *s, const struct top_history *h)
{
	const struct top_sample *now = top_newest(h);
	struct table t = {.row = calloc(now->row_count + 1, sizeof *t.row)};
	enum top_sort sort = s->sort;
	if (t.row == NULL)
		abort();
	for (size_t i = 0; i < now->row_count; i++)
		if (!s->by_provider || !seen_before(now, i))
			fill_row(h, &now->rows[i], s->by_provider, &t.row[t.count++]);
	qsort_r(t.row, t.count, sizeof *t.row, compare, &sort);
	return t;
}

static struct table_row
total_of(const struct table *t)
{
	struct table_row sum = {0};
	for (size_t i = 0; i < t->count; i++) {
		const struct table_row *r = &t->row[i];
		add_row(&sum.now, &r->now);
		sum.requests += r->requests;
		sum.failed += r->failed;
		sum.tokens_in += r->tokens_in;
		sum.tokens_out += r->tokens_out;
		sum.duration_ms += r->duration_ms;
		sum.cost_nano += r->cost_nano;
	}
	return sum;
}

/* ---- parts of the page ---- */

static void
add_title(struct page *p, const struct top_screen *s, const struct top_history *h)
{
	const struct top_sample *n = top_newest(h);
	long up = (long)((n->time_ms - n->started_ms) / 1000);
	time_t t = (time_t)(n->time_ms / 1000);
	struct tm tm;
	char clock[16] = "", span[40] = "", version[64] = "";
	if (gmtime_r(&t, &tm) != NULL)
		strftime(clock, sizeof clock, "%H:%M:%S", &tm);
	if (top_span_s(h) > 0)
		snprintf(span, sizeof span, ", rates over %.1f s", top_span_s(h));
	if (n->version[0] != '\0')
		snprintf(version, sizeof version, ", version %s, generation %.0f", n->version, n->generation);
	add(p, CLI_BOLD, "lethe top  %s UTC, up %ldd %02ld:%02ld:%02ld%s%s%s", clock, up / 86400, up / 3600 % 24, up / 60 % 60, up % 60, span, version,
		s->paused ? "  PAUSED" : "");
	if (s->problem != NULL)
		add(p, CLI_BAD, "%s", s->problem);
}

static void
add_traffic(struct page *p, const struct top_history *h, const struct table_row *sum)
{
	const struct top_sample *n = top_newest(h);
	add(p, CLI_PLAIN, "open      %s waiting, %s answering, %s reserving, %s to be booked", count_text(n->waiting).text,
		count_text(n->answering).text, count_text(n->reserving).text, count_text(n->settled).text);
	add(p, sum->failed > 0 ? CLI_DOUBTFUL : CLI_PLAIN, "requests  %s/s, failed %s/s; %s since the start, %s failed",
		rate_text(h, sum->requests).text, rate_text(h, sum->failed).text, count_text(sum->now.requests).text,
		count_text(sum->now.failed).text);
	add(p, CLI_PLAIN, "tokens    in %s/s, out %s/s", rate_text(h, sum->tokens_in).text, rate_text(h, sum->tokens_out).text);
	add(p, CLI_PLAIN, "money     %s/min; %s since the start; customers have %s; losses %s", money_rate_text(h, sum->cost_nano).text,
		dollars_text((double)sum->now.cost_nano).text, dollars_text((double)n->balances_nano).text,
		dollars_text((double)n->losses_nano).text);
}

static void
add_ledger(struct page *p, const struct top_history *h)
{
	const struct top_ledger *n = &top_newest(h)->ledger, *o = &h->sample[0].ledger;
	double bookings = n->bookings - o->bookings;
	bool well = strcmp(n->gate, "open") == 0 && strcmp(n->store, "ok") == 0;
	struct shown tickets = bookings > 0 ? count_text((n->booked - o->booked) / bookings) : (struct shown){"-"},
				 commit = bookings > 0 ? count_text((n->commit_us - o->commit_us) / bookings / 1000) : (struct shown){"-"};
	add(p, well ? CLI_PLAIN : CLI_BAD, "ledger    %s, store %s; %s bookings/s, %s tickets and %s ms each; %s of %s accounts on the board",
		n->gate, n->store, rate_text(h, bookings).text, tickets.text, commit.text, count_text(n->slots_used).text,
		count_text(n->slots).text);
	if (n->quarantined + n->mismatched + n->interrupted + n->store_failures > 0)
		add(p, n->quarantined + n->mismatched > 0 ? CLI_BAD : CLI_DOUBTFUL,
			"          %s quarantined, %s mismatched, %s interrupted, %s failures of the store", count_text(n->quarantined).text,
			count_text(n->mismatched).text, count_text(n->interrupted).text, count_text(n->store_failures).text);
}

static void
add_ended(struct page *p, const struct top_history *h)
{
	const struct top_sample *n = top_newest(h), *o = &h->sample[0];
	char text[TOP_LINE_MAX];
	size_t len = (size_t)snprintf(text, sizeof text, "ended    ");
	bool ours = false;
	for (size_t i = 0; i < n->reason_count && len < sizeof text - 64; i++) {
		double before = 0;
		for (size_t k = 0; k < o->reason_count; k++)
			if (strcmp(o->reasons[k].name, n->reasons[i].name) == 0)
				before = o->reasons[k].count;
		bool rates = top_span_s(h) > 0;
		if (rates && n->reasons[i].count == before)
			continue;
		ours |= rates && strcmp(n->reasons[i].severity, "alarm") == 0;
		len += (size_t)snprintf(text + len, sizeof text - len, " %s %s%s", n->reasons[i].name,
			rates ? rate_text(h, n->reasons[i].count - before).text : count_text(n->reasons[i].count).text, rates ? "/s" : "");
	}
	add(p, ours ? CLI_BAD : CLI_PLAIN, "%s", text);
}

/* Providers that are asked after the others. */
static void
add_troubles(struct page *p, const struct top_sample *n)
{
	for (size_t i = 0; i < n->trouble_count; i++) {
		const struct top_trouble *t = &n->troubles[i];
		bool refused = strcmp(t->state, "refused") == 0;
		char what[TOP_NAME_MAX + 8], again[48];
		if (t->upstream[0] != '\0')
			snprintf(what, sizeof what, "%s", t->upstream);
		else
			snprintf(what, sizeof what, "key %ld", (long)t->key);
		snprintf(again, sizeof again, t->again_ms > 0 ? ", asked again in %ld s" : ", asked again by the next", (long)((t->again_ms + 999) / 1000)); /* begun ones count */
		add(p, refused ? CLI_BAD : CLI_DOUBTFUL, "%s%s %s: %s%s", i == 0 ? "provider  " : "          ", t->provider, what,
			refused ? "refused, top up its account or replace it" : t->state, again);
	}
	if (n->troubles_all > n->trouble_count)
		add(p, CLI_DOUBTFUL, "          and %zu more: lethe provider list", n->troubles_all - n->trouble_count);
}

static int
name_columns(const struct table *t, bool provider)
{
	int most = 8;
	for (size_t i = 0; i < t->count; i++) {
		int width = cli_width(provider ? t->row[i].now.provider : t->row[i].now.name);
		most = width > most ? width : most;
	}
	return most < NAME_COLUMNS_MAX ? most : NAME_COLUMNS_MAX;
}

/* Padded by characters, where printf would count bytes. */
static void
pad(char *to, size_t cap, const char *text, int columns)
{
	char short_text[TOP_NAME_MAX];
	snprintf(short_text, sizeof short_text, "%s", text);
	cut(short_text, columns);
	int blanks = columns - cli_width(short_text);
	snprintf(to, cap, "%s%*s", short_text, blanks > 0 ? blanks : 0, "");
}

static void
add_row_line(struct page *p, const struct top_history *h, const struct table_row *r, const int columns[2])
{
	char name[2 * TOP_NAME_MAX] = "", provider[2 * TOP_NAME_MAX] = "";
	pad(name, sizeof name, r->now.name, columns[0]);
	if (columns[1] > 0) {
		provider[0] = ' ';
		pad(provider + 1, sizeof provider - 1, r->now.provider, columns[1]);
	}
	struct shown each = r->requests > 0 ? count_text(r->duration_ms / r->requests / 1000) : (struct shown){"-"};
	add(p, r->failed > 0 ? CLI_DOUBTFUL : CLI_PLAIN, "%s%s %6s %6s %7s %7s %8s %8s %9s %7s %10s", name, provider,
		count_text(r->now.waiting).text, count_text(r->now.answering).text, rate_text(h, r->requests).text,
		rate_text(h, r->failed).text, rate_text(h, r->tokens_in).text, rate_text(h, r->tokens_out).text,
		money_rate_text(h, r->cost_nano).text, each.text, dollars_text((double)r->now.cost_nano).text);
}

static void
add_table(struct page *p, const struct top_screen *s, const struct top_history *h, const struct table *t)
{
	const int columns[2] = {name_columns(t, false), s->by_provider ? 0 : name_columns(t, true)};
	char sorted[40];
	snprintf(sorted, sizeof sorted, "%-*s%s%-*s", columns[0], s->by_provider ? "PROVIDER" : "MODEL", columns[1] > 0 ? " " : "",
		columns[1], columns[1] > 0 ? "PROVIDER" : "");
	add(p, CLI_PLAIN, "%s", "");
	add(p, CLI_BOLD, "%s %6s %6s %7s %7s %8s %8s %9s %7s %10s", sorted, "WAIT", "ANSWER", "REQ/S", "FAIL/S", "IN/S", "OUT/S", "$/MIN", "SECONDS",
		"TOTAL");
	for (size_t i = 0; i < t->count; i++)
		add_row_line(p, h, &t->row[i], columns);
	if (t->count == 0)
		add(p, CLI_PLAIN, "no requests yet");
}

static void
add_edges(struct page *p, const struct top_history *h)
{
	const struct top_sample *n = top_newest(h);
	add(p, CLI_PLAIN, "%s", "");
	add(p, CLI_BOLD, "%-4s %9s %9s %9s %9s %15s %17s", "EDGE", "CLIENTS", "EXCHANGES", "STREAMS", "UPSTREAM", "TICKETS", "VAULT MIB");
	for (size_t i = 0; i < n->edge_count; i++) {
		const struct top_edge *e = &n->edges[i];
		char tickets[40], vault[48];
		snprintf(tickets, sizeof tickets, "%.0f/%.0f", e->tickets, n->tickets_per_edge);
		snprintf(vault, sizeof vault, "%.1f/%.0f", e->vault_used / BYTES_PER_MIB, n->vault_budget / BYTES_PER_MIB);
		bool full = e->vault_used > 0.9 * n->vault_budget || e->tickets > 0.9 * n->tickets_per_edge;
		add(p, full ? CLI_BAD : CLI_PLAIN, "%-4.0f %9.0f %9.0f %9.0f %9.0f %15s %17s", e->number, e->connections, e->exchanges, e->streams,
			e->upstream, tickets, vault);
	}
	if (n->restarts > 0)
		add(p, CLI_DOUBTFUL, "processes were restarted %s times since the start", count_text(n->restarts).text);
}

static void
add_help(struct page *p)
{
	static const char *const lines[] = {
		"q  quit",
		"space  pause and go on",
		"s  sort by the next column: dollars, requests, open, tokens, failed, name",
		"m  one row for each model",
		"p  one row for each provider",
		"?  this, and back",
		"",
		"WAIT: the provider has not answered yet; ANSWER: an answer is on its way",
		"FAIL: the provider's fault or ours; what callers did wrong is in `ended` alone",
		"SECONDS: how long requests took that were booked lately",
		"TOTAL: what customers were charged since the server started",
	};
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		add(p, CLI_PLAIN, "%s", lines[i]);
}

static void
add_all(struct page *p, const struct top_screen *s, const struct top_history *h)
{
	struct table t = table_of(s, h);
	struct table_row sum = total_of(&t);
	add_title(p, s, h);
	if (s->help) {
		add_help(p);
	} else {
		add_traffic(p, h, &sum);
		add_ledger(p, h);
		add_ended(p, h);
		add_troubles(p, top_newest(h));
		/* Edges are few; where the screen is short, the table of models is what is cut. */
		size_t room = p->room, edges = top_newest(h)->edge_count + 3;
		if (s->lines > 0 && room > p->count + edges + 4)
			p->room = room - edges;
		add_table(p, s, h, &t);
		p->room = room;
		add_edges(p, h);
	}
	free(t.row);
}

struct top_line *
top_screen_lines(const struct top_screen *s, const struct top_history *h, size_t *ret_count)
{
	static const char *const words[] = {
#define X(NAME, word) word,
		TOP_SORTS(X)
#undef X
	};
	size_t most = s->lines > 0 && s->lines < LINES_MAX ? (size_t)s->lines : LINES_MAX;
	struct page p = {.room = most > 1 && s->lines > 0 ? most - 1 : most, .columns = s->columns};
	p.line = calloc(most, sizeof *p.line);
	if (p.line == NULL)
		abort();
	if (top_newest(h) != NULL)
		add_all(&p, s, h);
	else
		add(&p, CLI_BAD, "%s", s->problem == NULL ? "asking the server" : s->problem);
	if (s->lines > 1) {
		p.room = most;
		add(&p, CLI_BOLD, "q quit  space pause  m models  p providers  s sort: %s  ? help", words[s->sort]);
	}
	*ret_count = p.count;
	return p.line;
}
