/*
 * The power goes: at any write, sync or truncation, with what was not synced yet lost, kept, kept in part, or torn within a sector's multiple, in
 * any combination. The board is gone with it. Every order that was answered and every ticket that was booked must be in the file, as it was
 * answered, and the books sound; the rest can be given again.
 *
 * LETHE_POWER_POINTS: how many of them. LETHE_POWER_PART=A..B: of those only the A-th to the B-th. `./dev crash --power N [--part A..B]` sets them.
 */
#include "ledger/ledger_script.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { POINTS_DEFAULT = 600,
	SECTOR = 512,
	REDONE_EACH = 16 };

/* ---- what the disk was told ---- */

enum { FILE_STORE,
	FILE_WAL,
	FILES };

enum op { OP_WRITE,
	OP_TRUNCATE,
	OP_SYNC,
	OP_ANSWERED, /* order number `at` */
	OP_BOOKED }; /* `at` tickets by now */

struct entry {
	enum op op;
	int file;
	int64_t at;
	size_t len;
	uint8_t *bytes;
};

static struct entry *entries;
static size_t entry_count;
static bool recording;

static void
record(enum op op, int file, int64_t at, const void *bytes, size_t len)
{
	if (!recording)
		return;
	if ((entry_count & (entry_count - 1)) == 0)
		entries = reallocarray(entries, entry_count == 0 ? 1 : 2 * entry_count, sizeof(*entries));
	assert_non_null(entries);
	struct entry *e = &entries[entry_count++];
	*e = (struct entry){op, file, at, len, len > 0 ? malloc(len) : NULL};
	if (len > 0)
		memcpy(e->bytes, bytes, len);
}

/* ---- between SQLite and the file system: the real file, with three methods in front ---- */

struct extra {
	const sqlite3_io_methods *real;
	sqlite3_io_methods methods;
	int file;
};

static sqlite3_vfs *real_vfs;

static struct extra *
extra_of(sqlite3_file *f)
{
	return (struct extra *)(void *)((char *)f + (real_vfs->szOsFile + 15) / 16 * 16);
}

static int
write_recorded(sqlite3_file *f, const void *bytes, int len, sqlite3_int64 at)
{
	record(OP_WRITE, extra_of(f)->file, at, bytes, (size_t)len);
	return extra_of(f)->real->xWrite(f, bytes, len, at);
}

static int
truncate_recorded(sqlite3_file *f, sqlite3_int64 size)
{
	record(OP_TRUNCATE, extra_of(f)->file, size, NULL, 0);
	return extra_of(f)->real->xTruncate(f, size);
}

static int
sync_recorded(sqlite3_file *f, int flags)
{
	int rc = extra_of(f)->real->xSync(f, flags);
	record(OP_SYNC, extra_of(f)->file, 0, NULL, 0);
	return rc;
}

static int
open_recorded(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
	int rc = real_vfs->xOpen(real_vfs, name, f, flags, ret_flags);
	if (rc != SQLITE_OK || !(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)))
		return rc;
	struct extra *x = extra_of(f);
	*x = (struct extra){f->pMethods, *f->pMethods, flags & SQLITE_OPEN_WAL ? FILE_WAL : FILE_STORE};
	x->methods.xWrite = write_recorded;
	x->methods.xTruncate = truncate_recorded;
	x->methods.xSync = sync_recorded;
	f->pMethods = &x->methods;
	return rc;
}

static void
install(void)
{
	static sqlite3_vfs vfs;
	real_vfs = sqlite3_vfs_find(NULL);
	vfs = *real_vfs;
	vfs.zName = "recorded";
	vfs.szOsFile = (real_vfs->szOsFile + 15) / 16 * 16 + (int)sizeof(struct extra);
	vfs.xOpen = open_recorded;
	assert_int_equal(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
}

/* ---- a disk after the power came back ---- */

struct image {
	uint8_t *bytes;
	size_t len, cap;
};

static void
grow(struct image *i, size_t len)
{
	if (len > i->cap) {
		i->cap = 2 * len;
		i->bytes = realloc(i->bytes, i->cap);
		assert_non_null(i->bytes);
	}
	if (len > i->len)
		memset(i->bytes + i->len, 0, len - i->len);
	i->len = len > i->len ? len : i->len;
}

static void
apply(struct image *i, const struct entry *e, size_t len)
{
	if (e->op == OP_TRUNCATE) {
		grow(i, (size_t)e->at);
		i->len = (size_t)e->at;
	} else if (len > 0) {
		grow(i, (size_t)e->at + len);
		memcpy(i->bytes + e->at, e->bytes, len);
	}
}

static uint64_t
next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

enum fashion { LOST,
	KEPT,
	SOME, /* any of them */
	TORN, /* all, each to a sector of its own */
	SOME_TORN,
	FASHIONS };

/* How much of an unsynced write is there. */
static size_t
surviving(const struct entry *e, enum fashion fashion, uint64_t *random)
{
	bool some = next_random(random) & 1;
	size_t torn = next_random(random) % (e->len / SECTOR + 1) * SECTOR;
	switch (fashion) {
	case LOST:
		return 0;
	case KEPT:
		return e->len;
	case SOME:
		return some ? e->len : 0;
	case TORN:
		return torn;
	case SOME_TORN:
	case FASHIONS:
		break;
	}
	return some ? torn : 0;
}

/* The last entry before the cut that is certainly on the disk, for each file. */
static void
last_syncs(size_t cut, size_t ret[FILES])
{
	memset(ret, 0, FILES * sizeof(ret[0]));
	for (size_t i = 0; i < cut; i++)
		if (entries[i].op == OP_SYNC)
			ret[entries[i].file] = i;
}

static void
make_images(size_t cut, uint64_t seed, struct image images[FILES])
{
	size_t synced[FILES];
	uint64_t random = seed;
	enum fashion fashion = (enum fashion)(seed % FASHIONS);
	last_syncs(cut, synced);
	for (size_t i = 0; i < cut; i++) {
		const struct entry *e = &entries[i];
		if (e->op != OP_WRITE && e->op != OP_TRUNCATE)
			continue;
		bool sure = i < synced[e->file];
		if (e->op == OP_TRUNCATE && !sure && fashion != KEPT && (fashion == LOST || (next_random(&random) & 1)))
			continue;
		apply(&images[e->file], e, sure ? e->len : surviving(e, fashion, &random));
	}
}

static void
put_file(const struct world *w, const char *name, const struct image *i)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", w->dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, i->bytes, i->len), i->len);
	close(fd);
}

static void
put_disk(struct world *w, size_t cut, uint64_t seed)
{
	struct image images[FILES] = {0};
	char path[128];
	make_images(cut, seed, images);
	put_file(w, "ledger.db", &images[FILE_STORE]);
	put_file(w, "ledger.db-wal", &images[FILE_WAL]);
	snprintf(path, sizeof(path), "%s/ledger.db-shm", w->dir);
	unlink(path);
	for (int f = 0; f < FILES; f++)
		free(images[f].bytes);
}

/* ---- a life, and a point in it ---- */

struct life {
	struct world w;
	struct script_answers answers;
};

static void
some_tickets(struct world *w, int count, int64_t *booked)
{
	uint64_t bob = (uint64_t)world_sql(w, "SELECT id FROM account WHERE name = 'eve'");
	for (int i = 0; i < count; i++)
		assert_int_not_equal(world_exchange(w, (struct world_exchange){.account = bob, .key = 5, .model = i % 2, .input = 10, .output = 7, .cost = -1}), 0);
	int done = world_round(w);
	assert_int_equal(done, count);
	*booked += done;
	record(OP_BOOKED, 0, *booked, NULL, 0);
}

static void
live(struct life *l)
{
	struct world *w = &l->w;
	int64_t booked = 0;
	recording = true;
	world_begin(w);
	/* So that the log begins anew every few commits, and the store's file is written. */
	assert_true(store_exec(&w->ledger->store, "PRAGMA wal_autocheckpoint = 8"));
	script_begin(w);
	world_account(w, "eve", "9");
	for (size_t i = 0; i < script_steps; i++) {
		json_t *answer = script_step(w, &l->answers, i);
		assert_true(json_is_true(json_object_get(answer, "ok")));
		json_decref(answer);
		record(OP_ANSWERED, 0, (int64_t)i + 1, NULL, 0);
		some_tickets(w, 3, &booked);
		if (i % 10 == 9)
			w->now_ms += USAGE_PERIOD_MS; /* sums and progress */
	}
	recording = false;
	world_kill_ledger(w);
}

static int64_t
last_of(enum op op, size_t cut)
{
	for (size_t i = cut; i-- > 0;)
		if (entries[i].op == op)
			return entries[i].at;
	return 0;
}

static void
check(struct life *l, size_t cut, bool redo)
{
	struct world *w = &l->w;
	struct script_answers answers = l->answers;
	int64_t answered = last_of(OP_ANSWERED, cut), booked = last_of(OP_BOOKED, cut);
	world_lose_board(w);
	world_open(w, false);
	assert_true(world_sql(w, "SELECT count(*) FROM ticket") >= booked);
	for (int64_t i = 0; i < answered; i++)
		json_decref(script_step(w, &answers, (size_t)i)); /* asserts that it is the same */
	assert_true(world_sql(w, "SELECT count(*) FROM operation WHERE ref NOT LIKE 'item:%' OR ref LIKE 'item:decision:%'") >= answered);
	world_is_sound(w);
	if (redo && answered > 0) {
		for (size_t i = (size_t)answered; i < script_steps; i++)
			atomic_store(&answers.step[i].answered, 0);
		script_all(w, &answers);
		world_is_sound(w);
	}
	world_kill_ledger(w);
}

static size_t doing;
static struct part {
	uint64_t points, first, end; /* of so many, those from `first`, before `end` */
} part;
static uint64_t at;

static void
read_part(void)
{
	const char *points = getenv("LETHE_POWER_POINTS"), *text = getenv("LETHE_POWER_PART");
	char *rest;
	part.points = points != NULL ? strtoull(points, NULL, 10) : 0;
	part.points = part.points > 0 ? part.points : POINTS_DEFAULT;
	part.end = part.points;
	if (text == NULL)
		return;
	part.first = strtoull(text, &rest, 10) - 1;
	part.end = strncmp(rest, "..", 2) == 0 ? strtoull(rest + 2, NULL, 10) : 0;
	if (part.first >= part.end || part.end > part.points)
		fail_msg("LETHE_POWER_PART is A..B of 1..%llu, not %s", (unsigned long long)part.points, text);
}

/* The first point that is wrong ends it: so far there was none. */
static void
tell_progress(time_t began)
{
	enum { EACH_S = 30 };
	static time_t told;
	time_t now = time(NULL);
	uint64_t done = at - part.first;
	if (now < (told != 0 ? told : began) + EACH_S)
		return;
	told = now;
	fprintf(stderr, "%llu of %llu points, %.1f a second, nothing lost; to go on from here: --part %llu..%llu\n", (unsigned long long)done,
		(unsigned long long)(part.end - part.first), (double)done / (double)(now - began), (unsigned long long)at + 1, (unsigned long long)part.end);
}

/* Nobody was answered anything before the first order. */
static size_t
first_cut(void)
{
	size_t i = 0;
	while (entries[i].op != OP_ANSWERED)
		i++;
	return i;
}

static void
nothing_that_was_answered_is_lost_when_the_power_goes(void **state)
{
	static struct life l;
	uint64_t seed = 1;
	read_part();
	live(&l);
	size_t first = first_cut(), span = entry_count - first;
	time_t began = time(NULL);
	for (at = part.first; at < part.end; at++) {
		/* Evenly over all, each time in another fashion. */
		size_t cut = doing = first + 1 + (part.points < span ? at * span / part.points : at % span) % span;
		put_disk(&l.w, cut, seed + at + at / span);
		check(&l, cut, at % REDONE_EACH == 0);
		tell_progress(began);
	}
	print_message("%llu points in %zu writes, syncs and truncations: nothing lost\n", (unsigned long long)(part.end - part.first), span);
	world_open(&l.w, false);
	world_end(&l.w);
}

static int
say_where(void **state)
{
	print_message("the last cut: %zu of %zu, point %llu of %llu\n", doing, entry_count, (unsigned long long)(at < part.end ? at + 1 : part.end), (unsigned long long)part.points);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(nothing_that_was_answered_is_lost_when_the_power_goes, say_where),
	};
	install();
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
