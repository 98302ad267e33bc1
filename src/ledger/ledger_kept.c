#include "ledger/ledger_kept.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { AREAS = 4, /* of shared memory */
	FILES_MAX = 8 };

/* Most of what a key table could have was never touched. */
struct page {
	size_t at;
	uint8_t *bytes;
};

struct area {
	void *memory;
	size_t bytes;
	struct page *pages;
	size_t count;
	int fd; /* of who made it his own: it knows which pages were touched */
};

struct kept_file {
	char name[32];
	void *bytes;
	size_t len;
};

struct world_kept {
	struct area areas[AREAS];
	void *desk;
	size_t desk_bytes;
	uint32_t incarnation;
	uint64_t now_ms;
	struct kept_file files[FILES_MAX];
	size_t file_count;
	char template[64]; /* on PostgreSQL: the database that is copied */
};

static size_t
page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static void *
must_have(size_t bytes)
{
	void *p = malloc(bytes);
	assert_non_null(p);
	return p;
}

/* ---- memory ---- */

static bool
is_zero(const uint8_t *at, size_t bytes)
{
	return at[0] == 0 && memcmp(at, at + 1, bytes - 1) == 0;
}

static void
keep_page(struct area *a, size_t at, size_t bytes)
{
	const uint8_t *from = (const uint8_t *)a->memory + at;
	if (is_zero(from, bytes))
		return;
	a->pages[a->count] = (struct page){at, must_have(bytes)};
	memcpy(a->pages[a->count++].bytes, from, bytes);
}

static size_t
page_len(const struct area *a, size_t at)
{
	size_t left = a->bytes - at;
	return left < page_bytes() ? left : page_bytes();
}

static void
keep_area(struct area *a)
{
	size_t pages = (a->bytes + page_bytes() - 1) / page_bytes();
	uint8_t *there = must_have(pages);
	a->pages = must_have(pages * sizeof(*a->pages));
	assert_int_equal(mincore(a->memory, a->bytes, there), 0); /* to look at a page would make it */
	for (size_t i = 0; i < pages; i++)
		if (there[i] & 1)
			keep_page(a, i * page_bytes(), page_len(a, i * page_bytes()));
	free(there);
}

static void
put_back_area(const struct area *a)
{
	assert_int_equal(madvise(a->memory, a->bytes, MADV_REMOVE), 0);
	for (size_t i = 0; i < a->count; i++)
		memcpy((uint8_t *)a->memory + a->pages[i].at, a->pages[i].bytes, page_len(a, a->pages[i].at));
}

static void
own_area(struct area *a)
{
	a->fd = memfd_create("area", MFD_CLOEXEC);
	assert_true(a->fd >= 0 && ftruncate(a->fd, (off_t)a->bytes) == 0);
	void *m = mmap(a->memory, a->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, a->fd, 0);
	assert_ptr_equal(m, a->memory);
}

/* ---- sums ---- */

static uint64_t
mix(uint64_t sum, uint64_t x)
{
	sum = (sum ^ x) * 0x9e3779b97f4a7c15ULL;
	return sum ^ sum >> 29;
}

void
world_digest_add(struct world_digest *d, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	for (size_t rest = len; rest > 0;) {
		uint64_t x = 0;
		size_t n = rest < sizeof(x) ? rest : sizeof(x);
		memcpy(&x, at, n);
		d->a = mix(d->a, x);
		d->b = mix(d->b, ~x);
		at += n;
		rest -= n;
	}
	d->a = mix(d->a, len);
	d->b = mix(d->b, len);
}

/* A page of nothing but zeros is as good as one that was never touched. */
static void
add_page(struct world_digest *d, const struct area *a, size_t at)
{
	const uint8_t *page = (const uint8_t *)a->memory + at;
	size_t len = page_len(a, at);
	if (is_zero(page, len))
		return;
	world_digest_add(d, &at, sizeof(at));
	world_digest_add(d, page, len);
}

static void
add_area(struct world_digest *d, const struct area *a)
{
	off_t from = 0, to;
	while ((from = lseek(a->fd, from, SEEK_DATA)) >= 0) {
		to = lseek(a->fd, from, SEEK_HOLE);
		assert_true(to > from);
		for (; from < to; from += (off_t)page_bytes())
			add_page(d, a, (size_t)from);
	}
	assert_int_equal(errno, ENXIO);
	world_digest_add(d, &a->bytes, sizeof(a->bytes));
}

/* ---- files ---- */

static bool
is_kept(const char *name)
{
	return name[0] != '.' && strcmp(name, "ledger.db-shm") != 0;
}

/* In the lock is the number of a process that is no more. */
static bool
is_summed(const char *name)
{
	return is_kept(name) && strcmp(name, "lock") != 0;
}

static void
path_of(const struct world *w, const char *name, char ret[128])
{
	snprintf(ret, 128, "%s/%.60s", w->dir, name);
}

static void
keep_file(struct world_kept *k, const struct world *w, const char *name)
{
	char path[128];
	struct stat st;
	struct kept_file *f = &k->files[k->file_count++];
	assert_true(k->file_count <= FILES_MAX && strlen(name) < sizeof(f->name));
	snprintf(f->name, sizeof(f->name), "%s", name);
	path_of(w, name, path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	f->len = (size_t)st.st_size;
	f->bytes = must_have(f->len + 1);
	assert_int_equal(read(fd, f->bytes, f->len), f->len);
	close(fd);
}

typedef void file_visitor(void *arg, const char *name);

static void
each_file(const struct world *w, file_visitor *visit, void *arg)
{
	DIR *d = opendir(w->dir);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.')
			visit(arg, e->d_name);
	closedir(d);
}

struct keeping {
	struct world_kept *k;
	const struct world *w;
};

static void
keep_visited(void *arg, const char *name)
{
	struct keeping *x = arg;
	if (is_kept(name))
		keep_file(x->k, x->w, name);
}

static void
remove_visited(void *arg, const char *name)
{
	char path[128];
	path_of(arg, name, path);
	assert_int_equal(unlink(path), 0);
}

static void
put_back_files(struct world *w, const struct world_kept *k)
{
	each_file(w, remove_visited, w);
	for (size_t i = 0; i < k->file_count; i++) {
		char path[128];
		path_of(w, k->files[i].name, path);
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, k->files[i].bytes, k->files[i].len), k->files[i].len);
		close(fd);
	}
}

struct summing {
	struct world_digest sum;
	const struct world *w;
};

/* Sums of files are added up: a directory has no order. */
static void
add_visited(void *arg, const char *name)
{
	struct summing *x = arg;
	struct world_digest d = {1, 2};
	char path[128];
	uint8_t bytes[16384];
	ssize_t n;
	if (!is_summed(name))
		return;
	path_of(x->w, name, path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	world_digest_add(&d, name, strlen(name));
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		world_digest_add(&d, bytes, (size_t)n);
	assert_int_equal(n, 0);
	close(fd);
	x->sum.a += d.a;
	x->sum.b += d.b;
}

/* ---- PostgreSQL: a database of its own, copied from one that nobody uses ---- */

static void
drop_database(const char *name)
{
	char sql[120];
	snprintf(sql, sizeof(sql), "DROP DATABASE %s WITH (FORCE)", name);
	world_on_server(getenv("LETHE_TEST_POSTGRES"), sql);
}

static void
copy_database(const char *address, const char *from, const char *to)
{
	char sql[200];
	snprintf(sql, sizeof(sql), "CREATE DATABASE %s TEMPLATE %s STRATEGY file_copy", to, from);
	world_on_server(address, sql);
}

/* postgres://…/DATABASE?… becomes that of another database on the same server, with the same schema. */
static void
move_to(struct world *w, const char *database)
{
	char before[256];
	snprintf(before, sizeof(before), "%s", w->store);
	char *name = strrchr(before, '?');
	assert_non_null(name);
	char *rest = name--;
	while (*name != '/')
		name--;
	snprintf(w->store, sizeof(w->store), "%.*s/%s%s", (int)(name - before), before, database, rest);
}

static void
database_of(const struct world *w, char ret[64])
{
	const char *slash = strchr(strchr(w->store, '@'), '/');
	snprintf(ret, 64, "%.*s", (int)strcspn(slash + 1, "?"), slash + 1);
}

/* Who copies a database must be alone in it, so that is asked for in another one. */
static void
keep_database(const struct world *w, const char *template)
{
	char from[64];
	struct world other = {0};
	memcpy(other.store, w->store, sizeof(other.store));
	database_of(w, from);
	move_to(&other, "template1");
	*strchr(other.store, '&') = '\0'; /* without a schema */
	copy_database(other.store, from, template);
}

/* ---- a world ---- */

static void
areas_of(const struct world *w, struct area ret[AREAS])
{
	ret[0] = (struct area){.memory = w->board_memory, .bytes = board_bytes(&w->size)};
	ret[1] = (struct area){.memory = w->keys_memory, .bytes = key_table_bytes()};
	ret[2] = (struct area){.memory = w->counters, .bytes = (w->size.edges + 2UL) * WORLD_COUNTERS};
	ret[3] = (struct area){.memory = w->tally_memory, .bytes = tally_bytes(2) + sizeof(int64_t)};
}

struct world_kept *
world_keep(struct world *w)
{
	static unsigned templates;
	struct world_kept *k = must_have(sizeof(*k));
	*k = (struct world_kept){.incarnation = w->incarnation, .now_ms = w->now_ms, .desk_bytes = ticket_desk_bytes(w->edge_board)};
	assert_null(w->ledger);
	areas_of(w, k->areas);
	for (int i = 0; i < AREAS; i++)
		keep_area(&k->areas[i]);
	k->desk = must_have(k->desk_bytes);
	memcpy(k->desk, w->desk_memory, k->desk_bytes);
	each_file(w, keep_visited, &(struct keeping){k, w});
	if (w->store[0] == '\0')
		return k;
	snprintf(k->template, sizeof(k->template), "kept_%u", ++templates);
	keep_database(w, k->template);
	return k;
}

void
world_kept_free(struct world_kept **k)
{
	struct world_kept *x = *k;
	if (x == NULL)
		return;
	for (int i = 0; i < AREAS; i++) {
		for (size_t p = 0; p < x->areas[i].count; p++)
			free(x->areas[i].pages[p].bytes);
		free(x->areas[i].pages);
	}
	for (size_t i = 0; i < x->file_count; i++)
		free(x->files[i].bytes);
	free(x->desk);
	free(x);
	*k = NULL;
}

static void
put_back_all_but_database(struct world *w, const struct world_kept *k)
{
	assert_null(w->ledger);
	for (int i = 0; i < AREAS; i++)
		put_back_area(&k->areas[i]);
	memcpy(w->desk_memory, k->desk, k->desk_bytes);
	w->incarnation = k->incarnation;
	w->now_ms = k->now_ms;
	put_back_files(w, k);
}

void
world_put_back(struct world *w, const struct world_kept *k)
{
	char own[64];
	put_back_all_but_database(w, k);
	if (w->store[0] == '\0')
		return;
	database_of(w, own);
	drop_database(own);
	copy_database(getenv("LETHE_TEST_POSTGRES"), k->template, own);
}

void
world_own(struct world *w, struct world_kept *k, unsigned number)
{
	const char *tmp = getenv("TMPDIR");
	char own[64];
	for (int i = 0; i < AREAS; i++)
		own_area(&k->areas[i]);
	snprintf(w->dir, sizeof(w->dir), "%.40s/lethe-ledger-XXXXXX", tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(w->dir));
	put_back_all_but_database(w, k);
	if (w->store[0] == '\0')
		return;
	snprintf(own, sizeof(own), "own_%u", number);
	move_to(w, own);
	copy_database(getenv("LETHE_TEST_POSTGRES"), k->template, own);
}

struct world_digest
world_digest(const struct world *w, const struct world_kept *k)
{
	struct summing x = {.w = w};
	assert_int_equal(w->store[0], '\0');
	each_file(w, add_visited, &x);
	for (int i = 0; i < AREAS; i++)
		add_area(&x.sum, &k->areas[i]);
	return x.sum;
}

static void
remove_directory(struct world *w)
{
	each_file(w, remove_visited, w);
	assert_int_equal(rmdir(w->dir), 0);
}

void
world_forget(struct world *w)
{
	world_drop_schema(w);
	remove_directory(w);
}

void
world_disown(struct world *w)
{
	char own[64];
	assert_null(w->ledger);
	if (w->store[0] != '\0') {
		database_of(w, own);
		drop_database(own);
	}
	remove_directory(w);
}
