/*
 * The order of things is what makes a move safe to interrupt. A mark in the target comes first (no ledger opens it), then rows and their check, then the mark in
 * the source (no ledger opens that any more), then DIR/store, and last the target's mark goes. At each moment one of the two may be opened, or none.
 */
#include "ledger/store_move.h"

#include "ledger/home.h"
#include "ledger/ledger_priv.h"
#include "ledger/move_priv.h"
#include "ledger/outbox.h"
#include "ledger/store_address.h"
#include "ledger/store_kind.h"
#include "ledger/store_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

_Static_assert((int)STORE_MOVE_WHY_MAX == (int)MOVE_WHY_MAX && (int)STORE_WHY_MAX <= (int)MOVE_WHY_MAX, "sentences fit");

enum { NODES_MAX = 256 };

struct move {
	const struct store_move *m;
	int lock;
	bool to_file; /* from PostgreSQL */
	char address[STORE_ADDRESS_MAX]; /* of PostgreSQL */
	char file[PATH_MAX], part[PATH_MAX]; /* ledger.db, and what becomes it */
	struct store_mark mark; /* what is put into the source */
	struct move_tables *tables;
	struct move_progress progress;
	struct store from, to;
	char from_name[STORE_WHITHER_MAX], to_name[STORE_WHITHER_MAX];
	char *why;
};

static bool __attribute__((format(printf, 2, 3)))
fail(struct move *x, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(x->why, STORE_MOVE_WHY_MAX, format, args);
	va_end(args);
	return false;
}

static bool
unreadable(struct move *x, const struct store *s)
{
	return fail(x, "%.120s: %.200s", s->name, store_error(s));
}

static void
say(struct move *x, const char *doing)
{
	x->progress.doing = doing;
	x->progress.done = 0;
	if (x->progress.say != NULL)
		x->progress.say(x->progress.arg, doing, "", 0, 0);
}

/* Long statements wait as long as they take. */
static void
breathe(void *arg)
{
}

static const char *
path_of(const struct move *x, bool file)
{
	return file ? x->file : x->address;
}

static bool
number_of(struct store *s, const char *sql, int64_t *ret)
{
	struct query *st = sql_prepare(s, sql);
	bool ok = st != NULL && sql_number(s, st, ret);
	sql_free(st);
	return ok;
}

/* ---- open ---- */

struct look {
	struct move *x;
	const char *no_books; /* said of a database without any, which is refused and stays without a table; NULL: it may be without */
	struct store_mark moved, arriving;
};

static bool
has_books(struct store *s, const char *no_books, char why[STORE_WHY_MAX])
{
	bool there = false;
	if (!store_has_table(s, "booking", &there))
		snprintf(why, STORE_WHY_MAX, "%.90s: can't be read: %.120s", s->name, store_error(s));
	else if (!there)
		snprintf(why, STORE_WHY_MAX, "%.90s %.160s", s->name, no_books);
	return there;
}

static bool
look_at_marks(struct store *s, void *arg, char why[STORE_WHY_MAX])
{
	struct look *l = arg;
	if (l->no_books != NULL && !has_books(s, l->no_books, why))
		return false;
	if (store_mark_read(s, STORE_MOVED, &l->moved) && store_mark_read(s, STORE_ARRIVING, &l->arriving))
		return true;
	snprintf(why, STORE_WHY_MAX, "%.90s: can't be read: %.120s", s->name, store_error(s));
	return false;
}

/* Whatever marks it has; alone. */
static bool
open_any(struct move *x, struct store *s, const char *address, struct look *ret)
{
	const struct store_terms terms = {.look = look_at_marks, .arg = ret, .alone = true};
	if (!store_open_on(s, address, LEDGER_NODE_COMMANDS, &terms, x->why))
		return false;
	store_breathe(s, breathe, NULL);
	return true;
}

/* Nothing is left of a move that was interrupted but its mark. The tables are its own: there were none when it began. */
static bool
drop_all(struct store *s, const struct move_tables *known)
{
	char sql[MOVE_NAME_MAX + 64];
	bool ok = store_exec(s, "BEGIN");
#define X(name, whose, what) ok = ok && (strcmp(#name, STORE_ARRIVING) == 0 || store_exec(s, "DROP TABLE IF EXISTS " #name " CASCADE"));
	MOVE_OWN(X)
#undef X
	for (unsigned i = 0; ok && i < known->count; i++) {
		snprintf(sql, sizeof(sql), "DROP TABLE IF EXISTS \"%s\" CASCADE", known->at[i].name);
		ok = store_exec(s, sql);
	}
	ok = ok && store_exec(s, "DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) "
							 "AND proname LIKE 'lethe\\_%' LOOP EXECUTE 'DROP FUNCTION ' || f || ' CASCADE'; END LOOP; END $$");
	if (ok && store_exec(s, "COMMIT"))
		return true;
	if (!s->lost && !store_exec(s, "ROLLBACK"))
		s->lost = true;
	return false;
}

/* A database without a table, or with what a move left that was interrupted. */
static bool
make_ready(struct store *s, void *arg, char why[STORE_WHY_MAX])
{
	struct move *x = arg;
	bool arriving = false;
	int64_t tables = 0;
	if (!store_has_table(s, STORE_ARRIVING, &arriving) ||
		!number_of(s, "SELECT count(*) FROM pg_class WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND relkind IN ('r', 'p', 'v', 'm', 'f')", &tables)) {
		snprintf(why, STORE_WHY_MAX, "%.90s: can't be read: %.120s", s->name, store_error(s));
		return false;
	}
	if (tables > 0 && !arriving) {
		snprintf(why, STORE_WHY_MAX, "%.90s is not empty (%lld tables): give a database of its own: createdb --encoding=UTF8 --template=template0 NAME", s->name, (long long)tables);
		return false;
	}
	if ((!arriving || drop_all(s, x->tables)) && store_mark_put(s, STORE_ARRIVING, &x->mark))
		return true;
	snprintf(why, STORE_WHY_MAX, "%.90s can't be made ready: %.120s", s->name, store_error(s));
	return false;
}

static bool
unlink_if(const char *path, const char *end)
{
	char whole[PATH_MAX + 16];
	snprintf(whole, sizeof(whole), "%s%s", path, end);
	return unlink(whole) == 0 || errno == ENOENT;
}

static bool
remove_part(struct move *x)
{
	return (unlink_if(x->part, "") && unlink_if(x->part, "-wal") && unlink_if(x->part, "-shm")) || fail(x, "%.200s can't be removed: %s", x->part, strerror(errno));
}

static bool
open_target(struct move *x)
{
	const struct store_terms terms = {.look = x->to_file ? NULL : make_ready, .arg = x, .alone = true};
	if (x->to_file && !remove_part(x))
		return false;
	if (!store_open_on(&x->to, x->to_file ? x->part : x->address, LEDGER_NODE_COMMANDS, &terms, x->why))
		return false;
	store_breathe(&x->to, breathe, NULL);
	return true;
}

/* ---- the source at rest ---- */

static struct ledger_options
options(const struct move *x, const char *store)
{
	return (struct ledger_options){.data_dir = x->m->data_dir,
		.store = store,
		.pepper = x->m->pepper,
		.receipt_seed = x->m->receipt_seed,
		.node = LEDGER_NODE_COMMANDS,
		.lock_fd = x->lock};
}

/* Sums of usage of servers that have ended are in the store. */
static bool
flush_usage(struct ledger *l)
{
	int64_t nodes[NODES_MAX];
	unsigned count = 0;
	enum sql_step step = SQL_FAILED;
	struct query *st = sql_prepare(&l->store, "SELECT node FROM usage_node ORDER BY node");
	while (st != NULL && count < NODES_MAX && (step = sql_step(&l->store, st)) == SQL_ROW)
		nodes[count++] = sql_int(st, 0);
	sql_free(st);
	bool ok = step == SQL_END;
	for (unsigned i = 0; ok && i < count; i++)
		ok = nodes[i] == LEDGER_NODE_COMMANDS || usage_flush_of(l, nodes[i]);
	return ok;
}

/* As a command without a server does: what was held when the last one ended is booked, and sums are written. */
static bool
settle(struct move *x)
{
	const struct ledger_options o = options(x, path_of(x, !x->to_file));
	struct ledger *l = NULL;
	if (ledger_open(&o, &l, x->why) != LEDGER_OPENED)
		return false;
	int64_t up = 0;
	bool ok = !x->to_file || number_of(&l->store, "SELECT count(*) FROM node WHERE state = 1 AND id <> 255", &up);
	if (ok && up > 0) {
		fail(x, "%lld servers run on %.120s, or did not end in order: stop them, and `lethe node forget` those that will not come back (lethe node list)", (long long)up, l->store.name);
		ledger_close(&l);
		return false;
	}
	ok = ok && (!x->to_file || flush_usage(l)) && usage_flush(l);
	if (!ok)
		unreadable(x, &l->store);
	ledger_close(&l);
	return ok;
}

/* Its requests are in neither store yet, and only a server books them. */
static bool
outbox_waits(struct move *x)
{
	struct outbox_facts waiting;
	if (!outbox_exists(x->m->data_dir))
		return false;
	if (outbox_look(x->m->data_dir, &waiting) && waiting.requests + waiting.running == 0)
		return false;
	fail(x, "%.120s/outbox.db has %lld requests that are not booked yet: start the server and stop it, and ask again", x->m->data_dir, (long long)(waiting.requests + waiting.running));
	return true;
}

static bool
is_at_rest(struct move *x)
{
	if (outbox_waits(x))
		return false;
	int64_t running = 0, up = 0, lent = 0;
	bool ok = number_of(&x->from, "SELECT count(*) FROM progress", &running);
	if (x->to_file)
		ok = ok && number_of(&x->from, "SELECT count(*) FROM node WHERE state = 1 AND id <> 255", &up) && number_of(&x->from, "SELECT (coalesce((SELECT sum(nano) FROM share), 0) + coalesce((SELECT sum(nano) FROM budget_share), 0))::bigint", &lent);
	if (!ok)
		return unreadable(x, &x->from);
	if (running == 0 && up == 0 && lent == 0)
		return true;
	return fail(x, "a server left %lld requests that are not booked on %.120s: start it and stop it, or `lethe node forget` it, and ask again", (long long)running, x->from.name);
}

/* ---- rows ---- */

/* How far the sums of usage are, each kind in its own way. In PostgreSQL for every server that there was. */
static bool
put_usage_mark(struct move *x)
{
	int64_t mark = 0;
	if (x->to_file)
		return store_exec(&x->to, "UPDATE usage_mark SET booking = (SELECT coalesce(max(id), 0) FROM booking)");
	if (!number_of(&x->from, "SELECT booking FROM usage_mark", &mark))
		return false;
	struct query *st = sql_prepare(&x->to, "INSERT INTO usage_node (node, booking) SELECT DISTINCT node, ?1 FROM boot ON CONFLICT (node) DO UPDATE SET booking = ?1");
	if (st == NULL)
		return false;
	sql_bind_int(st, 1, mark);
	bool ok = sql_done(&x->to, st);
	sql_free(st);
	return ok;
}

static bool
copy_rows(struct move *x, struct store *reader)
{
	say(x, "copy");
	if (!store_begin(&x->to))
		return unreadable(x, &x->to);
	bool ok = move_copy(reader, &x->to, x->tables, &x->progress, x->why);
	if (ok && !put_usage_mark(x))
		ok = unreadable(x, &x->to);
	if (!ok) {
		store_rollback(&x->to);
		return false;
	}
	return true;
}

/* Its reader is given back before the commit: that may take longer than a database lets a transaction lie. */
static bool
copy(struct move *x)
{
	struct store reader;
	if (!store_open_reader(&reader, &x->from, x->why))
		return false;
	bool ok = store_snapshot(&reader) ? move_count(&reader, x->tables, &x->progress.all, x->why) && copy_rows(x, &reader) : unreadable(x, &reader);
	store_close(&reader);
	return ok && (store_commit(&x->to) || unreadable(x, &x->to));
}

/*
 * What the database does not know of them yet makes it slower only. Table by table: of its own tables it would say for each that they are not this role's.
 */
static void
analyze(struct store *to, const struct move_tables *tables)
{
	char sql[160];
	for (unsigned i = 0; i < tables->count; i++) {
		snprintf(sql, sizeof(sql), "ANALYZE \"%s\"", tables->at[i].name);
		(void)!store_exec(to, sql);
	}
}

static bool
compare(struct move *x)
{
	struct store reader;
	say(x, "compare");
	if (!store_open_reader(&reader, &x->to, x->why))
		return false;
	bool ok = store_snapshot(&reader) ? move_compare(&reader, x->tables, &x->progress, x->why) : unreadable(x, &reader);
	store_close(&reader);
	if (ok && !x->to_file)
		analyze(&x->to, x->tables);
	return ok;
}

/* The tables of both, matched. The target's are made by opening it. */
static bool
match(struct move *x)
{
	struct move_tables *to = calloc(1, sizeof(*to));
	if (to == NULL)
		abort();
	bool ok = move_tables_read(&x->to, to, x->why) && move_tables_match(x->tables, to, x->to_file ? &x->from : &x->to, x->why);
	move_tables_free(to);
	free(to);
	return ok;
}

/* The first invariant that is broken there, by what `lethe ledger verify` answers. */
static bool
not_sound(struct move *x, const json_t *answer)
{
	size_t i;
	json_t *row;
	json_array_foreach(json_object_get(answer, "invariants"), i, row)
	{
		if (!json_is_true(json_object_get(row, "ok")))
			return fail(x, "the books are not right where they came to, so nothing was changed here: %s, %.100s: `lethe ledger verify` says whether they are here",
				json_string_value(json_object_get(row, "inv")), json_string_value(json_object_get(row, "detail")));
	}
	return fail(x, "the books can't be read where they came to, so nothing was changed here");
}

/* What `lethe ledger verify` says of the new books. */
static bool
verify(struct move *x, json_t **ret)
{
	static const struct store_terms terms = {.look = store_mark_refuses_moved};
	struct ledger_options o = options(x, x->to_file ? x->part : x->address);
	struct ledger *l = NULL;
	o.terms = &terms;
	if (ledger_open(&o, &l, x->why) != LEDGER_OPENED)
		return false;
	json_t *request = json_pack("{s:s}", "op", "ledger.verify");
	json_t *answer = ledger_control(l, request);
	json_decref(request);
	ledger_close(&l);
	bool sound = json_is_true(json_object_get(answer, "sound"));
	if (sound) {
		*ret = answer;
		return true;
	}
	not_sound(x, answer);
	json_decref(answer);
	return false;
}

/* ---- its end ---- */

static bool
sync_dir(struct move *x)
{
	int dir = open(x->m->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = dir >= 0 && fsync(dir) == 0;
	if (dir >= 0)
		close(dir);
	return ok || fail(x, "%.200s can't be brought to disk: %s", x->m->data_dir, strerror(errno));
}

/* The target's mark goes, and the command that filled it has left. */
static bool
open_for_all(struct move *x)
{
	struct look l = {.x = x};
	struct store s;
	say(x, "open");
	if (!open_any(x, &s, x->address, &l))
		return false;
	bool ok = true;
	if (l.arriving.there && l.arriving.move != x->mark.move)
		ok = fail(x, "%.120s has what another move left: drop that database and make it anew", s.name);
	else if (l.arriving.there)
		ok = (store_exec(&s, "UPDATE node SET state = 2 WHERE id = 255") && store_mark_drop(&s, STORE_ARRIVING)) || unreadable(x, &s);
	else if (l.moved.there)
		ok = fail(x, "the books went on from %.120s to %.120s", s.name, l.moved.whither);
	store_close(&s);
	return ok;
}

/* Its log is in it: what is renamed is all there is. */
static bool
part_is_whole(struct move *x)
{
	char wal[PATH_MAX + 16];
	snprintf(wal, sizeof(wal), "%s-wal", x->part);
	return access(wal, F_OK) != 0 || fail(x, "%.200s could not be closed: is the disk full?", x->part);
}

/* A ledger.db whose books had gone to PostgreSQL before: kept under another name. */
static bool
put_aside(struct move *x)
{
	char aside[PATH_MAX + 32];
	if (access(x->file, F_OK) != 0)
		return true;
	snprintf(aside, sizeof(aside), "%s.moved-%lld", x->file, (long long)time(NULL));
	return (rename(x->file, aside) == 0 && unlink_if(x->file, "-wal") && unlink_if(x->file, "-shm")) || fail(x, "%.200s can't be renamed: %s", x->file, strerror(errno));
}

static bool
end_in_file(struct move *x)
{
	if (access(x->part, F_OK) == 0 && !(part_is_whole(x) && put_aside(x) && (rename(x->part, x->file) == 0 || fail(x, "%.200s can't be renamed: %s", x->part, strerror(errno)))))
		return false;
	say(x, "open");
	return sync_dir(x) && ((home_forget_books(x->m->data_dir) && store_address_forget(x->m->data_dir)) || fail(x, "%.200s/store can't be removed: %s", x->m->data_dir, strerror(errno)));
}

static bool
end_in_postgres(struct move *x)
{
	return home_forget_books(x->m->data_dir) && store_address_change(x->m->data_dir, x->address) ? open_for_all(x) : fail(x, "%.200s/store can't be written: %s", x->m->data_dir, strerror(errno));
}

static bool
end_move(struct move *x)
{
	say(x, "address");
	return x->to_file ? end_in_file(x) : end_in_postgres(x);
}

/* ---- the whole ---- */

static bool
mark_source(struct move *x)
{
	struct look l = {.x = x};
	say(x, "mark");
	if (!open_any(x, &x->from, path_of(x, !x->to_file), &l))
		return false;
	bool ok = (store_extent_read(&x->from, &x->mark.at) && store_mark_put(&x->from, STORE_MOVED, &x->mark)) || unreadable(x, &x->from);
	store_close(&x->from);
	return ok;
}

static void
name_both(struct move *x)
{
	char host[65] = "";
	gethostname(host, sizeof(host) - 1);
	snprintf(x->from_name, sizeof(x->from_name), "%.150s", x->from.name);
	if (x->to_file)
		snprintf(x->to_name, sizeof(x->to_name), "%.100s on %.50s", x->file, host);
	else
		snprintf(x->to_name, sizeof(x->to_name), "%.150s", x->to.name);
	memcpy(x->mark.whither, x->to_name, sizeof(x->mark.whither));
}

static bool
move_rows(struct move *x)
{
	bool ok = move_tables_read(&x->from, x->tables, x->why) && is_at_rest(x) && open_target(x);
	if (ok)
		name_both(x);
	ok = ok && match(x) && copy(x) && compare(x);
	store_close(&x->to);
	return ok;
}

static int64_t
rows_of(const struct move *x)
{
	int64_t rows = 0;
	for (unsigned i = 0; i < x->tables->count; i++)
		rows += x->tables->at[i].rows;
	return rows;
}

static json_t *
answer_of(const struct move *x, const json_t *verified)
{
	json_t *tables = json_array();
	for (unsigned i = 0; i < x->tables->count; i++)
		json_array_append_new(tables, json_pack("{s:s, s:I}", "table", x->tables->at[i].name, "rows", (json_int_t)x->tables->at[i].rows));
	return json_pack("{s:b, s:s, s:s, s:I, s:O*, s:O*, s:O*, s:O*, s:o}", "ok", 1, "moved", x->from_name, "to", x->to_name, "rows", (json_int_t)rows_of(x), "sound",
		json_object_get(verified, "sound"), "tickets", json_object_get(verified, "tickets"), "bookings", json_object_get(verified, "bookings"), "accounts",
		json_object_get(verified, "accounts"), "tables", tables);
}

/* From the beginning. What an earlier attempt left is done anew. */
static json_t *
move_all(struct move *x)
{
	struct look l = {.x = x};
	json_t *verified = NULL, *answer = NULL;
	randombytes_buf(&x->mark.move, sizeof(x->mark.move));
	x->mark.move &= INT64_MAX;
	x->mark.time_us = (int64_t)clock_wall_us();
	if (!settle(x) || !open_any(x, &x->from, path_of(x, !x->to_file), &l))
		return NULL;
	bool ok = move_rows(x);
	store_close(&x->from);
	say(x, "verify");
	if (ok && verify(x, &verified) && mark_source(x) && end_move(x))
		answer = answer_of(x, verified);
	json_decref(verified);
	return answer;
}

/* The source is marked: all rows are where they went, and were checked. */
static json_t *
move_end(struct move *x, const struct look *l)
{
	x->mark = l->moved;
	snprintf(x->to_name, sizeof(x->to_name), "%s", l->moved.whither);
	if (!end_move(x))
		return NULL;
	return json_pack("{s:b, s:s, s:s, s:I, s:I, s:[]}", "ok", 1, "moved", x->from_name, "to", x->to_name, "bookings", (json_int_t)l->moved.at.bookings, "accounts",
		(json_int_t)l->moved.at.accounts, "tables");
}

static bool
is_to_here(const struct move *x, const struct store_mark *m)
{
	size_t len = strlen(x->file);
	return strncmp(m->whither, x->file, len < 100 ? len : 100) == 0;
}

static json_t *
run(struct move *x)
{
	struct look l = {.x = x};
	if (!open_any(x, &x->from, path_of(x, !x->to_file), &l))
		return NULL;
	snprintf(x->from_name, sizeof(x->from_name), "%.150s", x->from.name);
	store_close(&x->from);
	if (l.arriving.there)
		fail(x, "%.120s: books are being moved there, and not all have come: end that first", x->from_name);
	else if (l.moved.there && x->to_file && !is_to_here(x, &l.moved))
		fail(x, "the books that were in %.120s were moved to %.120s", x->from_name, l.moved.whither);
	else
		return l.moved.there ? move_end(x, &l) : move_all(x);
	return NULL;
}

/* ---- what is asked ---- */

static bool
lock(struct move *x)
{
	char why[STORE_WHY_MAX];
	enum ledger_open locked = ledger_lock(x->m->data_dir, &x->lock, why);
	if (locked == LEDGER_LOCKED)
		return fail(x, "%.200s – the books can be moved only while no server runs on them: systemctl stop lethe", why);
	return locked == LEDGER_OPENED || fail(x, "%s", why);
}

static bool
read_address(struct move *x, char ret[STORE_ADDRESS_MAX])
{
	return store_address_read(x->m->data_dir, ret, x->why);
}

/* Both ways the file's own mark, if it has one, says the rest. */
static bool
is_sensible(struct move *x, const char *kept)
{
	bool file = access(x->file, F_OK) == 0;
	if (x->to_file && kept[0] == '\0')
		return fail(x, "the books of %.150s are in %.150s already", x->m->data_dir, x->file);
	if (!x->to_file && !file)
		return fail(x, kept[0] != '\0' ? "the books of %.150s are in PostgreSQL already: dump and restore move them to another database (pg_dump), or --to file brings them back first" : "there are no books in %.150s to be moved: `lethe serve --store` begins them in PostgreSQL",
			x->m->data_dir);
	if (!x->to_file && kept[0] != '\0' && strcmp(kept, x->address) != 0)
		return fail(x, "the books of %.150s are in PostgreSQL already, at another address: %.150s/store says which", x->m->data_dir, x->m->data_dir);
	return true;
}

/* A ledger.db beside PostgreSQL's address is one whose books went there, or must not be there. */
static bool
file_may_go(struct move *x)
{
	struct look l = {.x = x};
	struct store s;
	if (!x->to_file || access(x->file, F_OK) != 0)
		return true;
	if (!open_any(x, &s, x->file, &l))
		return false;
	store_close(&s);
	if (l.moved.there)
		return true;
	/* Renamed by a move that was interrupted then: the other store is marked. */
	return access(x->part, F_OK) != 0 || fail(x, "%.200s is there beside the books in PostgreSQL, and no move has left it: see what it is, and put it elsewhere", x->file);
}

static bool
begin(struct move *x, const struct store_move *m, char why[STORE_MOVE_WHY_MAX])
{
	*x = (struct move){.m = m, .lock = -1, .to_file = m->to == NULL, .why = why, .progress = {.say = m->say, .arg = m->arg}};
	x->tables = calloc(1, sizeof(*x->tables));
	if (x->tables == NULL)
		abort();
	why[0] = '\0';
	if ((size_t)snprintf(x->file, sizeof(x->file), "%s/ledger.db", m->data_dir) >= sizeof(x->file) || (size_t)snprintf(x->part, sizeof(x->part), "%s/ledger.db.part", m->data_dir) >= sizeof(x->part))
		return fail(x, "the data directory's path is too long");
	if (m->to != NULL && !store_is_postgres(m->to))
		return fail(x, "books are moved to an address of PostgreSQL, postgres://user@host:5432/database, or back to `file`");
	return lock(x);
}

static void
finish(struct move *x)
{
	if (x->lock >= 0)
		close(x->lock);
	move_tables_free(x->tables);
	free(x->tables);
	sodium_memzero(x->address, sizeof(x->address)); /* it may have a password */
}

json_t *
store_move(const struct store_move *m, char ret_why[STORE_MOVE_WHY_MAX])
{
	struct move x;
	char kept[STORE_ADDRESS_MAX] = "";
	json_t *answer = NULL;
	bool ok = begin(&x, m, ret_why) && read_address(&x, kept);
	if (ok) {
		snprintf(x.address, sizeof(x.address), "%s", m->to != NULL ? m->to : kept);
		if (is_sensible(&x, kept) && file_may_go(&x))
			answer = run(&x);
	}
	sodium_memzero(kept, sizeof(kept));
	finish(&x);
	return answer;
}

/* ---- back ---- */

#define NOT_THOSE "has not the books that were moved there: correct the address in `store`, or --discard gives up what was booked there"

/* What is there has not been written since, or may be given up. Then nobody goes on there. */
static bool
leave_postgres(struct move *x, const struct store_mark *mark)
{
	struct look l = {.x = x, .no_books = NOT_THOSE};
	struct store_extent now;
	struct store_mark back = {.move = mark->move, .time_us = (int64_t)clock_wall_us()};
	if (!open_any(x, &x->to, x->address, &l))
		return x->m->discard;
	bool ok = store_extent_read(&x->to, &now) || unreadable(x, &x->to);
	if (ok && !x->m->discard && now.bookings < mark->at.bookings)
		ok = fail(x, "%.120s " NOT_THOSE, x->to.name);
	if (ok && !x->m->discard && memcmp(&now, &mark->at, sizeof(now)) != 0)
		ok = fail(x, "%.120s has been written since (%lld bookings): `lethe store move --to file` brings all of it here, --discard gives it up", x->to.name, (long long)(now.bookings - mark->at.bookings));
	snprintf(back.whither, sizeof(back.whither), "%.150s", x->file);
	back.at = now;
	ok = ok && (store_mark_put(&x->to, STORE_MOVED, &back) || unreadable(x, &x->to));
	store_close(&x->to);
	return ok;
}

/* Again, when that was interrupted: the file's mark had gone, and PostgreSQL's is there. Nothing is to be given up in a database that has no books. */
static bool
was_left(struct move *x)
{
	struct look l = {.x = x, .no_books = "has no books and ledger.db was not moved: there is nothing to take back. Correct the address in `store`, or remove `store` if the books are in ledger.db"};
	if (!open_any(x, &x->to, x->address, &l))
		return false;
	store_close(&x->to);
	return (l.moved.there && strncmp(l.moved.whither, x->file, 100) == 0) || fail(x, "there is nothing to take back: no books were moved away from %.200s", x->file);
}

static bool
take_back(struct move *x, struct store_mark *ret)
{
	struct look l = {.x = x};
	if (access(x->file, F_OK) != 0)
		return fail(x, "there is nothing to take back: %.200s is not there", x->file);
	if (!open_any(x, &x->from, x->file, &l))
		return false;
	bool ok = true;
	*ret = l.moved;
	if (!l.moved.there)
		ok = x->address[0] != '\0' ? was_left(x) : fail(x, "there is nothing to take back: no books were moved away from %.200s", x->file);
	else
		ok = (x->address[0] == '\0' || leave_postgres(x, &l.moved)) && (store_mark_drop(&x->from, STORE_MOVED) || unreadable(x, &x->from));
	store_close(&x->from);
	return ok && ((home_forget_books(x->m->data_dir) && store_address_forget(x->m->data_dir)) || fail(x, "%.200s/store can't be removed: %s", x->m->data_dir, strerror(errno)));
}

json_t *
store_take_back(const struct store_move *m, char ret_why[STORE_MOVE_WHY_MAX])
{
	struct move x;
	struct store_mark mark = {0};
	json_t *answer = NULL;
	if (begin(&x, m, ret_why) && read_address(&x, x.address) && take_back(&x, &mark))
		answer = json_pack("{s:b, s:s, s:I, s:I}", "ok", 1, "books", x.file, "bookings", (json_int_t)mark.at.bookings, "accounts", (json_int_t)mark.at.accounts);
	finish(&x);
	return answer;
}
