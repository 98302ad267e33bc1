/* Tickets, a batch at a time: COPY into the partition of their month. */
#include "ledger/postgres.h"

#include "ticket/ticket_fields.h"
#include "ticket/ticket_id.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ID_MS_SHIFT = 23, /* ticket_id.h: below the milliseconds */
	FIELD_BYTES = 12, /* of a row of COPY: length and bigint */
	MONTHS_A_YEAR = 12 };

/* ---- partitions ---- */

static int64_t
month_of(uint64_t unix_ms)
{
	struct tm tm;
	time_t seconds = (time_t)(unix_ms / 1000);
	gmtime_r(&seconds, &tm);
	return (int64_t)(tm.tm_year + 1900) * MONTHS_A_YEAR + tm.tm_mon;
}

/* The first id of that month; ids are positive, and what is older than their epoch is in the first. */
static int64_t
first_id(int64_t month)
{
	struct tm tm = {.tm_year = (int)(month / MONTHS_A_YEAR) - 1900, .tm_mon = (int)(month % MONTHS_A_YEAR), .tm_mday = 1};
	int64_t ms = (int64_t)timegm(&tm) * 1000 - (int64_t)TICKET_ID_EPOCH_MS;
	return ms <= 0 ? 0 : ms >= (1LL << 40) ? INT64_MAX
										   : ms << ID_MS_SHIFT;
}

/*
 * Made beside the table and then attached: that waits for no reader, whereas PARTITION OF would wait for our own, for ever. LIKE takes
 * constraints and columns along, attaching brings the triggers.
 */
static bool
make_partition(struct store *s, int64_t month)
{
	char name[32], sql[640];
	int64_t there = 0;
	snprintf(name, sizeof(name), "ticket_%04d_%02d", (int)(month / MONTHS_A_YEAR), (int)(month % MONTHS_A_YEAR) + 1);
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM pg_inherits WHERE inhparent = 'ticket'::regclass AND inhrelid = to_regclass('%s')", name);
	if (!postgres_number(s, sql, NULL, 0, &there))
		return false;
	if (there == 1)
		return true;
	snprintf(sql, sizeof(sql),
		"CREATE TABLE %s (LIKE ticket INCLUDING ALL); "
		"CREATE TRIGGER ticket_whole BEFORE TRUNCATE ON %s EXECUTE FUNCTION lethe_refuse('INV-5: tickets are never deleted'); "
		"ALTER TABLE ticket ATTACH PARTITION %s FOR VALUES FROM (%lld) TO (%lld)",
		name, name, name, (long long)first_id(month), (long long)first_id(month + 1));
	return postgres_exec(s, sql);
}

static bool
has_partition(struct store *s, int64_t month)
{
	struct postgres *g = s->own;
	if (month == g->months[0] || month == g->months[1])
		return true;
	if (!make_partition(s, month))
		return false;
	g->months[1] = g->months[0];
	g->months[0] = month;
	return true;
}

bool
postgres_partitions(struct store *s, uint64_t unix_ms)
{
	int64_t month = month_of(unix_ms);
	return has_partition(s, month) && has_partition(s, month + 1);
}

/* ---- which are there ---- */

/* Dimensions, nulls, type, count, lower bound, then length and value of each. */
enum { ARRAY_HEAD = 20 };

size_t
postgres_array_bytes(size_t count)
{
	return ARRAY_HEAD + count * FIELD_BYTES;
}

void
postgres_array_head(char *array, size_t count)
{
	const uint32_t head[] = {htonl(1), 0, htonl(POSTGRES_INT8), htonl((uint32_t)count), htonl(1)};
	memcpy(array, head, ARRAY_HEAD);
}

void
postgres_array_put(char *array, size_t i, const char value[8])
{
	const uint32_t eight = htonl(8);
	memcpy(array + ARRAY_HEAD + i * FIELD_BYTES, &eight, sizeof(eight));
	memcpy(array + ARRAY_HEAD + i * FIELD_BYTES + 4, value, 8);
}

char *
postgres_array(const int64_t *ids, size_t count, int *ret_len)
{
	char *array = malloc(postgres_array_bytes(count)), value[8];
	if (array == NULL)
		abort();
	postgres_array_head(array, count);
	for (size_t i = 0; i < count; i++) {
		postgres_put64(value, ids[i]);
		postgres_array_put(array, i, value);
	}
	*ret_len = (int)postgres_array_bytes(count);
	return array;
}

static bool
read_known(struct store *s, const int64_t *ids, size_t count)
{
	static const Oid type = POSTGRES_INT8_ARRAY;
	struct postgres *g = s->own;
	struct postgres_bulk *b = &g->bulk;
	static const int binary = 1;
	int len;
	bool ok = true;
	char *array = postgres_array(ids, count, &len);
	PGresult *r = NULL;
	if (!pq.PQsendQueryParams(g->conn, "SELECT id FROM ticket WHERE id = ANY ($1) ORDER BY id", 1, &type, (const char *const *)&array, &len, &binary, 1))
		ok = postgres_failed(s, NULL);
	else
		r = postgres_await(s, &ok);
	free(array);
	b->known_count = ok ? (size_t)pq.PQntuples(r) : 0;
	b->known = reallocarray(b->known, b->known_count + 1, sizeof(*b->known));
	if (b->known == NULL)
		abort();
	for (size_t i = 0; i < b->known_count; i++)
		b->known[i] = postgres_get64(pq.PQgetvalue(r, (int)i, 0));
	pq.PQclear(r);
	return ok;
}

bool
postgres_bulk_begin(struct store *s, const int64_t *ids, size_t count)
{
	struct postgres *g = s->own;
	g->bulk.len = 0;
	g->bulk.any = false;
	for (size_t i = 0; i < count; i++)
		if (!has_partition(s, month_of(ticket_id_unix_ms((uint64_t)ids[i])))) {
			g->months[0] = g->months[1] = 0;
			return false;
		}
	return read_known(s, ids, count);
}

/* ---- rows ---- */

static int
by_number(const void *x, const void *y)
{
	int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;
	return a < b ? -1 : a > b;
}

static void
add_row(struct postgres_bulk *b, const int64_t *values, size_t count)
{
	const uint16_t fields = htons((uint16_t)count);
	const uint32_t eight = htonl(8);
	size_t bytes = sizeof(fields) + count * FIELD_BYTES;
	if (b->len + bytes > b->cap) {
		b->cap = 2 * (b->cap + bytes);
		b->rows = realloc(b->rows, b->cap);
		if (b->rows == NULL)
			abort();
	}
	char *at = b->rows + b->len;
	memcpy(at, &fields, sizeof(fields));
	at += sizeof(fields);
	for (size_t i = 0; i < count; i++, at += FIELD_BYTES) {
		memcpy(at, &eight, sizeof(eight));
		postgres_put64(at + 4, values[i]);
	}
	b->len += bytes;
}

enum sql_put
postgres_bulk_put(struct store *s, const int64_t *values, size_t count)
{
	struct postgres *g = s->own;
	struct postgres_bulk *b = &g->bulk;
	if (bsearch(&values[0], b->known, b->known_count, sizeof(*b->known), by_number) != NULL)
		return SQL_PUT_THERE;
	/* Twice in one batch: whoever asks what is there must find it. They come in order. */
	if (b->any && b->last == values[0])
		return postgres_bulk_end(s) ? SQL_PUT_THERE : SQL_PUT_FAILED;
	add_row(b, values, count);
	b->last = values[0];
	b->any = true;
	return SQL_PUT_NEW;
}

#define NAME(name, type, unit, meaning, promise) ", \"" #name "\""
#define COPY "COPY ticket (id, booking, cost_nano, hold_nano, difference_nano, loss, leaf, previous, place" TICKET_FIELDS(NAME) ") FROM STDIN (FORMAT binary)"

/* By and by: of what the socket does not take at once libpq moves the whole rest forward, each time. */
static bool
send_all(struct postgres *g)
{
	enum { AT_ONCE = 1 << 15 };
	const struct postgres_bulk *b = &g->bulk;
	for (size_t at = 0; at < b->len; at += AT_ONCE) {
		size_t len = b->len - at < AT_ONCE ? b->len - at : AT_ONCE;
		if (pq.PQputCopyData(g->conn, b->rows + at, (int)len) != 1)
			return false;
	}
	return true;
}

bool
postgres_bulk_end(struct store *s)
{
	static const char head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", tail[] = "\377\377";
	struct postgres *g = s->own;
	struct postgres_bulk *b = &g->bulk;
	bool ok;
	if (b->len == 0)
		return true;
	if (s->lost || !pq.PQsendQuery(g->conn, COPY))
		return postgres_failed(s, NULL);
	pq.PQclear(postgres_await(s, &ok));
	if (!ok)
		return false;
	if (pq.PQputCopyData(g->conn, head, sizeof(head) - 1) != 1 || !send_all(g) ||
		pq.PQputCopyData(g->conn, tail, sizeof(tail) - 1) != 1 || pq.PQputCopyEnd(g->conn, NULL) != 1)
		return postgres_failed(s, NULL);
	pq.PQclear(postgres_await(s, &ok));
	b->len = 0;
	return ok;
}

/* ---- rows as they are ---- */

bool
postgres_make_room(struct store *s, int64_t first, int64_t last)
{
	for (int64_t month = month_of(ticket_id_unix_ms((uint64_t)first)); month <= month_of(ticket_id_unix_ms((uint64_t)last)); month++)
		if (!has_partition(s, month))
			return false;
	return true;
}

static const char copy_head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", copy_tail[] = "\377\377";
enum { PUT_AT_ONCE = 1 << 18 };

bool
postgres_put_begin(struct store *s, const char *table, const char *columns, unsigned count)
{
	struct postgres *g = s->own;
	size_t room = 64 + strlen(table) + strlen(columns);
	char *sql = malloc(room);
	bool ok;
	if (sql == NULL)
		abort();
	snprintf(sql, room, "COPY \"%s\" (%s) FROM STDIN (FORMAT binary)", table, columns);
	int sent = s->lost ? 0 : pq.PQsendQuery(g->conn, sql);
	free(sql);
	if (!sent)
		return postgres_failed(s, NULL);
	pq.PQclear(postgres_await(s, &ok));
	g->bulk.len = 0;
	if (ok && pq.PQputCopyData(g->conn, copy_head, sizeof(copy_head) - 1) != 1)
		return postgres_failed(s, NULL);
	return ok;
}

static void
add_bytes(struct postgres_bulk *b, const void *bytes, size_t len)
{
	if (b->len + len > b->cap) {
		b->cap = 2 * (b->cap + len);
		b->rows = realloc(b->rows, b->cap);
		if (b->rows == NULL)
			abort();
	}
	if (len > 0)
		memcpy(b->rows + b->len, bytes, len);
	b->len += len;
}

static bool
send_rows(struct store *s)
{
	struct postgres *g = s->own;
	if (g->bulk.len > 0 && pq.PQputCopyData(g->conn, g->bulk.rows, (int)g->bulk.len) != 1)
		return postgres_failed(s, NULL);
	g->bulk.len = 0;
	return true;
}

bool
postgres_put_row(struct store *s, const struct store_value *values, unsigned count)
{
	struct postgres *g = s->own;
	const uint16_t fields = htons((uint16_t)count);
	add_bytes(&g->bulk, &fields, sizeof(fields));
	for (unsigned i = 0; i < count; i++) {
		const struct store_value *v = &values[i];
		char number[8];
		postgres_put64(number, v->number);
		const void *bytes = v->type == STORE_INTEGER ? number : v->bytes;
		size_t len = v->null ? 0 : v->type == STORE_INTEGER ? sizeof(number)
															: v->len;
		const uint32_t said = htonl(v->null ? UINT32_MAX : (uint32_t)len);
		add_bytes(&g->bulk, &said, sizeof(said));
		add_bytes(&g->bulk, bytes, len);
	}
	return g->bulk.len < PUT_AT_ONCE || send_rows(s);
}

bool
postgres_put_end(struct store *s, bool ok)
{
	struct postgres *g = s->own;
	bool fine;
	if (s->lost)
		return false;
	ok = ok && send_rows(s) && pq.PQputCopyData(g->conn, copy_tail, sizeof(copy_tail) - 1) == 1;
	if (pq.PQputCopyEnd(g->conn, ok ? NULL : "not all rows came") != 1)
		return postgres_failed(s, NULL);
	pq.PQclear(postgres_await(s, &fine));
	g->bulk.len = 0;
	return ok && fine;
}
