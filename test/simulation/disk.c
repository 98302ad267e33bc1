#include "simulation/disk.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { SECTOR = 512,
	FILES = 3,
	SHM_REGIONS = 8,
	SHM_LOCKS = 8 };

/* ---- bytes ---- */

struct bytes {
	uint8_t *at;
	int64_t len, cap;
};

static void
grow(struct bytes *b, int64_t len)
{
	if (len > b->cap) {
		b->cap = 2 * len + 4096;
		b->at = realloc(b->at, (size_t)b->cap);
		assert(b->at != NULL);
	}
	if (len > b->len) {
		memset(b->at + b->len, 0, (size_t)(len - b->len));
		b->len = len;
	}
}

static void
put(struct bytes *b, const void *from, int64_t len, int64_t at)
{
	if (len <= 0)
		return;
	grow(b, at + len);
	memcpy(b->at + at, from, (size_t)len);
}

static void
cut(struct bytes *b, int64_t len)
{
	grow(b, len);
	b->len = len;
}

static void
copy(struct bytes *to, const struct bytes *from)
{
	to->len = 0;
	put(to, from->at, from->len, 0);
	to->len = from->len;
}

/* ---- files: as they are, as they would be after a power cut, and what lies between ---- */

struct change {
	int64_t at, len; /* len −1: cut to `at` */
	int64_t from; /* in `written` */
};

struct file {
	const char *suffix;
	struct bytes live, durable, written, first; /* first: as it is remembered */
	struct change *changes;
	size_t count, cap;
	int opened, shared, reserved, exclusive; /* handles, and locks of them */
	bool exists;
};

static struct disk {
	struct file file[FILES];
	void *shm[SHM_REGIONS];
	int shm_shared[SHM_LOCKS];
	bool shm_exclusive[SHM_LOCKS], frozen, looking;
	disk_ask *ask;
	uint64_t (*dice)(void);
	int64_t (*now_ms)(void);
} disk = {.file = {{.suffix = ""}, {.suffix = "-journal"}, {.suffix = "-wal"}}};

static void
remember_change(struct file *f, int64_t at, const void *bytes, int64_t len)
{
	if (f->count == f->cap) {
		f->cap = f->cap == 0 ? 64 : 2 * f->cap;
		f->changes = reallocarray(f->changes, f->cap, sizeof(*f->changes));
		assert(f->changes != NULL);
	}
	f->changes[f->count++] = (struct change){at, len, f->written.len};
	put(&f->written, bytes, len, f->written.len);
}

static void
forget_changes(struct file *f)
{
	f->count = 0;
	f->written.len = 0;
}

static void
make(struct file *f, const struct change *c, int64_t len)
{
	if (c->len < 0)
		cut(&f->durable, c->at);
	else
		put(&f->durable, f->written.at + c->from, len, c->at);
}

static void
sync_file(struct file *f)
{
	for (size_t i = 0; i < f->count; i++)
		make(f, &f->changes[i], f->changes[i].len);
	forget_changes(f);
}

static void
write_file(struct file *f, const void *bytes, int64_t len, int64_t at)
{
	put(&f->live, bytes, len, at);
	remember_change(f, at, bytes, len);
}

static void
truncate_file(struct file *f, int64_t len)
{
	cut(&f->live, len);
	remember_change(f, len, NULL, -1);
}

/* Of a torn write each sector for itself. */
static void
survive(struct file *f, const struct change *c, enum power p)
{
	if (p == POWER_KEEPS || (p == POWER_MIXES && (disk.dice() & 1))) {
		make(f, c, c->len);
		return;
	}
	if (p != POWER_TEARS)
		return;
	if (c->len < 0 && (disk.dice() & 1))
		make(f, c, 0);
	for (int64_t at = 0; at < c->len; at += SECTOR) {
		struct change part = {c->at + at, c->len - at < SECTOR ? c->len - at : SECTOR, c->from + at};
		if (disk.dice() & 1)
			make(f, &part, part.len);
	}
}

void
disk_power(enum power p)
{
	for (int i = 0; i < FILES; i++) {
		struct file *f = &disk.file[i];
		assert(f->opened == 0);
		for (size_t c = 0; c < f->count; c++)
			survive(f, &f->changes[c], p);
		forget_changes(f);
		copy(&f->live, &f->durable);
		f->exists |= f->live.len > 0;
	}
}

void
disk_clear(void)
{
	for (int i = 0; i < FILES; i++) {
		struct file *f = &disk.file[i];
		assert(f->opened == 0);
		forget_changes(f);
		f->live.len = f->durable.len = 0;
		f->exists = false;
	}
	disk.frozen = false;
}

void
disk_remember(void)
{
	for (int i = 0; i < FILES; i++)
		copy(&disk.file[i].first, &disk.file[i].live);
}

void
disk_recall(void)
{
	disk_clear();
	for (int i = 0; i < FILES; i++) {
		struct file *f = &disk.file[i];
		copy(&f->live, &f->first);
		copy(&f->durable, &f->first);
		f->exists = f->live.len > 0;
	}
}

void
disk_freeze(bool frozen)
{
	disk.frozen = frozen;
}

void
disk_look(bool looking)
{
	disk.looking = looking;
}

/* ---- SQLite's side ---- */

struct handle {
	sqlite3_file base;
	struct file *file;
	int level;
	uint16_t shm_shared, shm_exclusive;
};

static struct handle *
of(sqlite3_file *f)
{
	return (struct handle *)(void *)f;
}

static enum disk_fate
ask(enum disk_call call, int *ret_code)
{
	static const int codes[] = {SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_READ, SQLITE_CANTOPEN};
	*ret_code = codes[call];
	if (disk.looking)
		return FATE_DONE;
	enum disk_fate fate = disk.frozen ? FATE_FAILS : disk.ask(call, ret_code);
	return disk.frozen ? FATE_FAILS : fate; /* killed just there */
}

static int
d_read(sqlite3_file *f, void *to, int bytes, sqlite3_int64 at)
{
	int code;
	const struct bytes *b = &of(f)->file->live;
	if (ask(DISK_READ, &code) != FATE_DONE)
		return code;
	int64_t there = b->len - at;
	there = there < 0 ? 0 : there > bytes ? bytes
										  : there;
	if (there > 0)
		memcpy(to, b->at + at, (size_t)there);
	memset((uint8_t *)to + there, 0, (size_t)(bytes - there));
	return there == bytes ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int
d_write(sqlite3_file *f, const void *from, int bytes, sqlite3_int64 at)
{
	int code;
	enum disk_fate fate = ask(DISK_WRITE, &code);
	if (fate != FATE_FAILS)
		write_file(of(f)->file, from, fate == FATE_HALF ? bytes / 2 : bytes, at);
	return fate == FATE_DONE ? SQLITE_OK : code;
}

static int
d_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	int code;
	enum disk_fate fate = ask(DISK_TRUNCATE, &code);
	if (fate == FATE_DONE || fate == FATE_UNTOLD)
		truncate_file(of(f)->file, size);
	return fate == FATE_DONE ? SQLITE_OK : code;
}

static int
d_sync(sqlite3_file *f, int flags)
{
	int code;
	enum disk_fate fate = ask(DISK_SYNC, &code);
	if (fate == FATE_DONE || fate == FATE_UNTOLD)
		sync_file(of(f)->file);
	else if (fate == FATE_DROPS)
		forget_changes(of(f)->file); /* as Linux marks pages clean that it could not write */
	return fate == FATE_DONE ? SQLITE_OK : code;
}

static int
d_size(sqlite3_file *f, sqlite3_int64 *size)
{
	*size = of(f)->file->live.len;
	return SQLITE_OK;
}

static void
count_level(struct handle *h, int by)
{
	h->file->shared += by * (h->level >= SQLITE_LOCK_SHARED);
	h->file->reserved += by * (h->level >= SQLITE_LOCK_RESERVED);
	h->file->exclusive += by * (h->level >= SQLITE_LOCK_EXCLUSIVE);
}

static int
d_lock(sqlite3_file *f, int level)
{
	struct handle *h = of(f);
	count_level(h, -1);
	bool free_to = h->file->exclusive == 0 && (level < SQLITE_LOCK_RESERVED || h->file->reserved == 0) &&
		(level < SQLITE_LOCK_EXCLUSIVE || h->file->shared == 0);
	if (free_to && level > h->level)
		h->level = level;
	count_level(h, 1);
	return free_to ? SQLITE_OK : SQLITE_BUSY;
}

static int
d_unlock(sqlite3_file *f, int level)
{
	struct handle *h = of(f);
	count_level(h, -1);
	h->level = level < h->level ? level : h->level;
	count_level(h, 1);
	return SQLITE_OK;
}

static int
d_reserved(sqlite3_file *f, int *out)
{
	*out = of(f)->file->reserved > 0;
	return SQLITE_OK;
}

static int
d_control(sqlite3_file *f, int op, void *arg)
{
	return SQLITE_NOTFOUND;
}

static int
d_sector(sqlite3_file *f)
{
	return SECTOR;
}

static int
d_device(sqlite3_file *f)
{
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE; /* as SQLite takes it of a real one: what is beside a write is not harmed */
}

static int
d_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **to)
{
	*to = NULL;
	if (page >= SHM_REGIONS)
		return SQLITE_IOERR_SHMMAP;
	if (disk.shm[page] == NULL && extend)
		disk.shm[page] = calloc(1, (size_t)size);
	*to = disk.shm[page];
	return SQLITE_OK;
}

static void
unlock_shm(struct handle *h, uint16_t mask)
{
	for (int i = 0; i < SHM_LOCKS; i++) {
		uint16_t bit = (uint16_t)(1U << i);
		if (!(mask & bit))
			continue;
		disk.shm_shared[i] -= (h->shm_shared & bit) != 0;
		if (h->shm_exclusive & bit)
			disk.shm_exclusive[i] = false;
		h->shm_shared &= (uint16_t)~bit;
		h->shm_exclusive &= (uint16_t)~bit;
	}
}

static int
lock_shm(struct handle *h, uint16_t mask, bool exclusive)
{
	for (int i = 0; i < SHM_LOCKS; i++) {
		bool own = h->shm_shared >> i & 1;
		if (!(mask >> i & 1))
			continue;
		if (disk.shm_exclusive[i] ? !(h->shm_exclusive >> i & 1) : exclusive && disk.shm_shared[i] > own)
			return SQLITE_BUSY;
	}
	for (int i = 0; i < SHM_LOCKS; i++) {
		uint16_t bit = (uint16_t)(1U << i);
		if (!(mask & bit))
			continue;
		if (exclusive) {
			disk.shm_exclusive[i] = true;
			h->shm_exclusive |= bit;
		} else if (!(h->shm_shared & bit)) {
			disk.shm_shared[i]++;
			h->shm_shared |= bit;
		}
	}
	return SQLITE_OK;
}

static int
d_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
	uint16_t mask = (uint16_t)(((1U << n) - 1) << offset);
	if (flags & SQLITE_SHM_LOCK)
		return lock_shm(of(f), mask, flags & SQLITE_SHM_EXCLUSIVE);
	unlock_shm(of(f), mask);
	return SQLITE_OK;
}

static void
d_shm_barrier(sqlite3_file *f)
{
}

static int
d_shm_unmap(sqlite3_file *f, int delete)
{
	unlock_shm(of(f), UINT16_MAX);
	return SQLITE_OK;
}

/* The index of the log is in the memory of those that have it open. */
static void
drop_shm(void)
{
	for (int i = 0; i < SHM_REGIONS; i++) {
		free(disk.shm[i]);
		disk.shm[i] = NULL;
	}
}

static int
d_close(sqlite3_file *f)
{
	d_unlock(f, SQLITE_LOCK_NONE);
	unlock_shm(of(f), UINT16_MAX);
	if (--of(f)->file->opened == 0 && of(f)->file == &disk.file[0])
		drop_shm();
	return SQLITE_OK;
}

static const sqlite3_io_methods methods = {2, d_close, d_read, d_write, d_truncate, d_sync, d_size, d_lock, d_unlock, d_reserved, d_control,
	d_sector, d_device, d_shm_map, d_shm_lock, d_shm_barrier, d_shm_unmap, NULL, NULL};

static struct file *
file_named(const char *name)
{
	for (int i = FILES - 1; i > 0; i--) {
		size_t len = strlen(name), tail = strlen(disk.file[i].suffix);
		if (len > tail && strcmp(name + len - tail, disk.file[i].suffix) == 0)
			return &disk.file[i];
	}
	return &disk.file[0];
}

static int
d_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	int code;
	struct handle *h = of(file);
	h->base.pMethods = NULL;
	if (name == NULL) /* what is temporary stays in memory (store_sqlite.c) */
		return SQLITE_CANTOPEN;
	if (ask(DISK_OPEN, &code) != FATE_DONE)
		return code;
	*h = (struct handle){.base.pMethods = &methods, .file = file_named(name)};
	h->file->exists = true;
	h->file->opened++;
	if (ret_flags != NULL)
		*ret_flags = flags;
	return SQLITE_OK;
}

static int
d_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	int code;
	struct file *f = file_named(name);
	if (ask(DISK_TRUNCATE, &code) != FATE_DONE)
		return SQLITE_IOERR_DELETE;
	truncate_file(f, 0);
	if (sync)
		sync_file(f);
	f->exists = false;
	return SQLITE_OK;
}

static int
d_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret)
{
	*ret = file_named(name)->exists;
	return SQLITE_OK;
}

static int
d_full_name(sqlite3_vfs *vfs, const char *name, int size, char *ret)
{
	sqlite3_snprintf(size, ret, "%s", name);
	return SQLITE_OK;
}

static int
d_randomness(sqlite3_vfs *vfs, int bytes, char *ret)
{
	for (int i = 0; i < bytes; i++)
		ret[i] = (char)disk.dice();
	return bytes;
}

static int
d_sleep(sqlite3_vfs *vfs, int us)
{
	return us;
}

static int
d_now(sqlite3_vfs *vfs, sqlite3_int64 *ret)
{
	enum { JULIAN_DAYS_X10 = 24405875 };
	*ret = JULIAN_DAYS_X10 * 8640000LL + disk.now_ms();
	return SQLITE_OK;
}

static int
d_last_error(sqlite3_vfs *vfs, int len, char *ret)
{
	return 0;
}

/* ---- memory ---- */

static sqlite3_mem_methods real_memory;
static int64_t until_failure, failures;
static bool has_failed;

static bool
refuses(void)
{
	if (failures == 0 || disk.frozen || disk.looking || --until_failure > 0)
		return false;
	failures--;
	return has_failed = true;
}

static void *
a_malloc(int bytes)
{
	return refuses() ? NULL : real_memory.xMalloc(bytes);
}

static void *
a_realloc(void *p, int bytes)
{
	return refuses() ? NULL : real_memory.xRealloc(p, bytes);
}

void
disk_fail_allocations(int64_t n, int64_t count)
{
	until_failure = n;
	failures = count;
	has_failed = false;
}

bool
disk_allocation_failed(void)
{
	return has_failed;
}

void
disk_install(disk_ask *before, uint64_t (*dice)(void), int64_t (*now_ms)(void))
{
	static sqlite3_vfs vfs = {
		.iVersion = 2,
		.szOsFile = sizeof(struct handle),
		.mxPathname = 512,
		.zName = "simulated",
		.xOpen = d_open,
		.xDelete = d_delete,
		.xAccess = d_access,
		.xFullPathname = d_full_name,
		.xRandomness = d_randomness,
		.xSleep = d_sleep,
		.xCurrentTimeInt64 = d_now,
		.xGetLastError = d_last_error,
	};
	disk.ask = before;
	disk.dice = dice;
	disk.now_ms = now_ms;
	sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
	sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory);
	sqlite3_mem_methods memory = real_memory;
	memory.xMalloc = a_malloc;
	memory.xRealloc = a_realloc;
	sqlite3_config(SQLITE_CONFIG_MALLOC, &memory);
	int code = sqlite3_vfs_register(&vfs, 1);
	assert(code == SQLITE_OK);
	(void)code;
}
