#include "ticket/limit.h"

#include "ticket/limit_priv.h"

#include <string.h>

_Static_assert(sizeof(((struct limit_row *)0)->lane[0]) == sizeof(struct limit_lane), "a name is so many words");

enum { DAY_SHIFT = 40 };
#define A_MINUTE_NS 60000000000ULL
#define BEHIND_MOST_NS (10 * A_MINUTE_NS) /* an answer that was longer than expected is paid for with so much time */

/* ---- rows ---- */

struct limit_row *
limit_row(const struct board *b, uint32_t index)
{
	struct limit_table *t = board_limits(b);
	return t && index && index <= board_limit_rows(b) ? &limit_rows(t, board_limit_rows(b))[index - 1] : NULL;
}

struct limit_row *
limit_counting(const struct board *b, struct limit_row *r)
{
	struct limit_row *first = limit_row(b, atomic_load_explicit(&r->counts, memory_order_relaxed));
	return first ? first : r;
}

uint32_t
limit_count(const struct board *b)
{
	struct limit_table *t = board_limits(b);
	uint32_t count = t ? atomic_load_explicit(&t->count, memory_order_acquire) : 0;
	return count < board_limit_rows(b) ? count : board_limit_rows(b);
}

uint32_t
limit_find(const struct board *b, uint64_t subject)
{
	const struct limit_table *t = board_limits(b);
	uint32_t count = limit_count(b);
	for (uint32_t i = 0; i < count; i++)
		if (atomic_load_explicit(&t->subjects[i], memory_order_relaxed) == subject)
			return i + 1;
	return 0;
}

bool
limit_has_room(const struct board *b)
{
	return board_limits(b) && limit_count(b) < board_limit_rows(b);
}

/* Killed before it is counted, the row is as it was: empty, for the next subject. */
uint32_t
limit_make(struct board *b, uint64_t subject)
{
	struct limit_table *t = board_limits(b);
	uint32_t found = limit_find(b, subject), count = limit_count(b);
	if (found || !limit_has_room(b))
		return found;
	atomic_store(&limit_row(b, count + 1)->subject, subject);
	atomic_store(&t->subjects[count], subject);
	atomic_store_explicit(&t->count, count + 1, memory_order_release);
	return count + 1;
}

void
limit_forget_edge(const struct board *b, uint32_t edge)
{
	for (uint32_t i = limit_count(b); i && edge < LIMIT_EDGES; i--)
		atomic_store(&limit_row(b, i)->streams[edge], 0);
}

/* ---- rates ---- */

static uint64_t
nanoseconds(int64_t amount, uint64_t cost, uint64_t most)
{
	unsigned __int128 ns = (unsigned __int128)cost * A_MINUTE_NS / (uint64_t)amount;
	return ns < most ? (uint64_t)ns : most;
}

bool
limit_rate_take(_Atomic uint64_t *rate, int64_t amount, uint64_t cost, uint64_t now_ns, uint64_t *ret_wait_ns)
{
	uint64_t costs = nanoseconds(amount, cost, A_MINUTE_NS);
	uint64_t was = atomic_load(rate), is;
	do {
		is = (was > now_ns ? was : now_ns) + costs;
		if (is > now_ns + A_MINUTE_NS) {
			*ret_wait_ns = is - now_ns - A_MINUTE_NS;
			return false;
		}
	} while (!atomic_compare_exchange_weak(rate, &was, is));
	return true;
}

void
limit_rate_correct(_Atomic uint64_t *rate, int64_t amount, uint64_t taken, uint64_t used)
{
	uint64_t back = nanoseconds(amount, taken, A_MINUTE_NS), costs = nanoseconds(amount, used, BEHIND_MOST_NS);
	uint64_t was = atomic_load(rate), is;
	/* The amount may be another than it was when they were taken: never below 0. */
	do
		is = was + costs > back ? was + costs - back : 0;
	while (!atomic_compare_exchange_weak(rate, &was, is));
}

void
limit_rate_look(const _Atomic uint64_t *rate, int64_t amount, uint64_t now_ns, uint64_t *ret_remaining, uint64_t *ret_reset_ns)
{
	uint64_t at = atomic_load(rate), full = at > now_ns ? at - now_ns : 0;
	uint64_t left = full < A_MINUTE_NS ? A_MINUTE_NS - full : 0;
	*ret_reset_ns = full;
	*ret_remaining = (uint64_t)((unsigned __int128)left * (uint64_t)amount / A_MINUTE_NS);
}

/* ---- a day's ---- */

bool
limit_day_take(_Atomic uint64_t *word, int64_t amount, uint32_t day)
{
	uint64_t was = atomic_load(word), is;
	do {
		is = was >> DAY_SHIFT >= day ? was + 1 : ((uint64_t)day << DAY_SHIFT) + 1; /* a clock that was set back counts on */
		if ((is & ((1ULL << DAY_SHIFT) - 1)) > (uint64_t)amount)
			return false;
	} while (!atomic_compare_exchange_weak(word, &was, is));
	return true;
}

void
limit_day_give(_Atomic uint64_t *word, uint32_t day)
{
	uint64_t was = atomic_load(word);
	while (was >> DAY_SHIFT == day && was & ((1ULL << DAY_SHIFT) - 1))
		if (atomic_compare_exchange_weak(word, &was, was - 1))
			return;
}

uint64_t
limit_day_count(const _Atomic uint64_t *word, uint32_t day)
{
	uint64_t is = atomic_load(word);
	return is >> DAY_SHIFT >= day ? is & ((1ULL << DAY_SHIFT) - 1) : 0;
}

void
limit_day_recall(_Atomic uint64_t *word, uint32_t day, uint64_t count)
{
	uint64_t was = atomic_load(word), is = (uint64_t)day << DAY_SHIFT | (count & ((1ULL << DAY_SHIFT) - 1));
	while (was < is && !atomic_compare_exchange_weak(word, &was, is))
		;
}

/* ---- at a time ---- */

uint32_t
limit_streams(const struct limit_row *r)
{
	uint32_t sum = 0;
	for (unsigned i = 0; i < LIMIT_EDGES; i++)
		sum += atomic_load(&r->streams[i]);
	return sum;
}

/* Counted first, by a store that all see before they compare: of two that come together at least one sees the other. */
bool
limit_stream_take(struct limit_row *r, uint32_t edge)
{
	int64_t most = atomic_load_explicit(&r->amount[LIMIT_STREAMS], memory_order_relaxed);
	if (edge >= LIMIT_EDGES || atomic_load(&r->streams[edge]) == UINT16_MAX)
		return false;
	atomic_fetch_add(&r->streams[edge], 1);
	if (limit_streams(r) <= (uint64_t)most)
		return true;
	limit_stream_give(r, edge);
	return false;
}

void
limit_stream_give(struct limit_row *r, uint32_t edge)
{
	if (atomic_load(&r->streams[edge]))
		atomic_fetch_sub(&r->streams[edge], 1);
}

/* ---- windows ---- */

/* Months since 1970 of a day since 1970, and back (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
static uint32_t
month_of(uint64_t day)
{
	uint64_t z = day + 719468, era = z / 146097, doe = z % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	uint64_t mp = (5 * doy + 2) / 153, month = mp < 10 ? mp + 2 : mp - 10;
	return (uint32_t)((era * 400 + yoe + (month <= 1) - 1970) * 12 + month);
}

static uint64_t
day_of_month(uint32_t month)
{
	uint64_t m = month % 12, y = 1970 + month / 12 - (m <= 1), era = y / 400, yoe = y % 400;
	uint64_t doy = (153 * (m > 1 ? m - 2 : m + 10) + 2) / 5, doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * 146097 + doe - 719468;
}

enum window { WINDOW_NONE,
	WINDOW_MINUTE,
	WINDOW_HOUR,
	WINDOW_DAY,
	WINDOW_WEEK,
	WINDOW_MONTH };

static enum window
window_of(enum limit_kind kind)
{
	static const uint8_t windows[LIMIT_KIND_COUNT] = {
#define X(NAME, number, member, unit, window, meaning) [number] = WINDOW_##window,
		LIMIT_KINDS(X)
#undef X
	};
	return (enum window)windows[kind];
}

uint32_t
limit_window(enum limit_kind kind, uint64_t unix_s)
{
	switch (window_of(kind)) {
	case WINDOW_MINUTE:
		return (uint32_t)(unix_s / 60);
	case WINDOW_HOUR:
		return (uint32_t)(unix_s / 3600);
	case WINDOW_DAY:
		return (uint32_t)(unix_s / 86400);
	case WINDOW_WEEK: /* 1970 began on a Thursday */
		return (uint32_t)((unix_s / 86400 + 3) / 7);
	case WINDOW_MONTH:
		return month_of(unix_s / 86400);
	case WINDOW_NONE:
		break;
	}
	return 0;
}

uint64_t
limit_window_begin_s(enum limit_kind kind, uint32_t window)
{
	switch (window_of(kind)) {
	case WINDOW_MINUTE:
		return (uint64_t)window * 60;
	case WINDOW_HOUR:
		return (uint64_t)window * 3600;
	case WINDOW_DAY:
		return (uint64_t)window * 86400;
	case WINDOW_WEEK:
		return window ? ((uint64_t)window * 7 - 3) * 86400 : 0;
	case WINDOW_MONTH:
		return day_of_month(window) * 86400;
	case WINDOW_NONE:
		break;
	}
	return 0;
}

/* ---- what is allowed ---- */

/*
 * A reader that is overtaken by two changes reads once more; after some of them nothing is allowed: that many changes at once are none.
 */
enum { LIST_TRIES = 16 };

static bool
list_has_model(const struct limit_list *l, uint32_t model)
{
	if (!(atomic_load_explicit(&l->named, memory_order_relaxed) & LIMIT_MODELS))
		return true;
	uint32_t low = 0, high = atomic_load_explicit(&l->model_count, memory_order_relaxed);
	high = high < LIMIT_MODELS_MAX ? high : LIMIT_MODELS_MAX;
	while (low < high) {
		uint32_t at = (low + high) / 2, id = atomic_load_explicit(&l->models[at], memory_order_relaxed);
		if (id == model)
			return true;
		if (id < model)
			low = at + 1;
		else
			high = at;
	}
	return false;
}

static bool
list_has_address(const struct limit_list *l, const struct address *a)
{
	if (!(atomic_load_explicit(&l->named, memory_order_relaxed) & LIMIT_ADDRESSES))
		return true;
	uint32_t count = atomic_load_explicit(&l->address_count, memory_order_relaxed);
	for (uint32_t i = 0; i < count && i < LIMIT_ADDRESSES_MAX; i++) {
		uint64_t words[2] = {atomic_load_explicit(&l->addresses[i][0], memory_order_relaxed), atomic_load_explicit(&l->addresses[i][1], memory_order_relaxed)};
		struct address_range range = {.bits = (uint8_t)atomic_load_explicit(&l->address_bits[i], memory_order_relaxed)};
		memcpy(range.base.at, words, sizeof range.base.at);
		if (range.bits <= 128 && address_in(a, &range))
			return true;
	}
	return false;
}

bool
limit_allows_model(const struct limit_row *r, uint32_t model)
{
	for (int tries = 0; tries < LIST_TRIES; tries++) {
		uint32_t version = atomic_load_explicit(&r->version, memory_order_acquire);
		bool allowed = list_has_model(&r->lists[version & 1], model);
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&r->version, memory_order_relaxed) == version)
			return allowed;
	}
	return false;
}

bool
limit_allows_address(const struct limit_row *r, const struct address *a)
{
	for (int tries = 0; tries < LIST_TRIES; tries++) {
		uint32_t version = atomic_load_explicit(&r->version, memory_order_acquire);
		bool allowed = list_has_address(&r->lists[version & 1], a);
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&r->version, memory_order_relaxed) == version)
			return allowed;
	}
	return false;
}

bool
limit_names(const struct limit_row *r, enum limit_named named)
{
	uint32_t version = atomic_load_explicit(&r->version, memory_order_acquire);
	return atomic_load_explicit(&r->lists[version & 1].named, memory_order_relaxed) & named;
}

void
limit_set_lists(struct limit_row *r, const struct limit_lists *l)
{
	uint32_t version = atomic_load(&r->version) + 1;
	struct limit_list *to = &r->lists[version & 1];
	atomic_store(&to->named, l->named);
	atomic_store(&to->model_count, l->model_count);
	atomic_store(&to->address_count, l->address_count);
	for (uint32_t i = 0; i < l->model_count; i++)
		atomic_store(&to->models[i], l->models[i]);
	for (uint32_t i = 0; i < l->address_count; i++) {
		uint64_t words[2];
		memcpy(words, l->addresses[i].base.at, sizeof words);
		atomic_store(&to->addresses[i][0], words[0]);
		atomic_store(&to->addresses[i][1], words[1]);
		atomic_store(&to->address_bits[i], l->addresses[i].bits);
	}
	atomic_store_explicit(&r->version, version, memory_order_release);
}

/* ---- where to ---- */

void
limit_set_policy(struct limit_row *r, const struct limit_policy *p)
{
	uint64_t words[2];
	memcpy(words, p->region, sizeof words);
	atomic_store(&r->region[0], words[0]);
	atomic_store(&r->region[1], words[1]);
	atomic_store(&r->zero_retention, p->zero_retention);
}

void
limit_policy(const struct limit_row *r, struct limit_policy *ret)
{
	uint64_t words[2] = {atomic_load(&r->region[0]), atomic_load(&r->region[1])};
	memcpy(ret->region, words, sizeof words);
	ret->region[sizeof ret->region - 1] = '\0';
	ret->zero_retention = atomic_load(&r->zero_retention) != 0;
}

void
limit_set_lane(struct limit_row *r, const struct limit_lane *lane)
{
	uint32_t version = atomic_load(&r->lane_version) + 1;
	uint64_t words[ARRAY_LEN(r->lane[0])];
	memcpy(words, lane->name, sizeof words);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		atomic_store(&r->lane[version & 1][i], words[i]);
	atomic_store_explicit(&r->lane_version, version, memory_order_release);
}

void
limit_lane(const struct limit_row *r, struct limit_lane *ret)
{
	uint64_t words[ARRAY_LEN(r->lane[0])];
	for (int tries = 0; tries < LIST_TRIES; tries++) {
		uint32_t version = atomic_load_explicit(&r->lane_version, memory_order_acquire);
		for (size_t i = 0; i < ARRAY_LEN(words); i++)
			words[i] = atomic_load_explicit(&r->lane[version & 1][i], memory_order_relaxed);
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&r->lane_version, memory_order_relaxed) != version)
			continue;
		memcpy(ret->name, words, sizeof words);
		ret->name[sizeof ret->name - 1] = '\0';
		return;
	}
	*ret = (struct limit_lane){"?"}; /* no lane's name: refused rather than sent by another */
}

/* ---- own keys ---- */

bool
limit_byok_at(const struct limit_row *r, unsigned n, struct limit_byok_one *ret)
{
	const struct limit_byok *b = &r->byok[n];
	uint64_t id = atomic_load_explicit(&b->id, memory_order_acquire);
	if (!id)
		return false;
	*ret = (struct limit_byok_one){id, atomic_load(&b->provider), atomic_load(&b->fallback) == 1};
	return atomic_load(&b->id) == id; /* else it was taken away in between */
}

static bool
is_among(uint64_t id, const struct limit_byok_one *all, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (all[i].id == id)
			return true;
	return false;
}

static bool
is_there(const struct limit_row *r, uint64_t id)
{
	for (unsigned n = 0; n < LIMIT_BYOK_MAX; n++)
		if (atomic_load(&r->byok[n].id) == id)
			return true;
	return false;
}

/* What is new gets a place after what is old has left its own: a provider never has two. */
void
limit_set_byok(struct limit_row *r, const struct limit_byok_one *all, unsigned count)
{
	for (unsigned n = 0; n < LIMIT_BYOK_MAX; n++)
		if (!is_among(atomic_load(&r->byok[n].id), all, count))
			atomic_store(&r->byok[n].id, 0);
	for (unsigned i = 0, n = 0; i < count; i++) {
		if (is_there(r, all[i].id))
			continue;
		while (n < LIMIT_BYOK_MAX && atomic_load(&r->byok[n].id))
			n++;
		if (n == LIMIT_BYOK_MAX)
			return;
		atomic_store(&r->byok[n].provider, all[i].provider);
		atomic_store(&r->byok[n].fallback, all[i].fallback);
		atomic_store_explicit(&r->byok[n].id, all[i].id, memory_order_release);
	}
}
