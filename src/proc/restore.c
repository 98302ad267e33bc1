#include "proc/restore.h"

#include "ledger/ledger.h"
#include "proc/pepper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* First everything is copied and checked in PART; READY means that files are being changed for those in it. */
static const char PART[] = "restore.part", READY[] = LEDGER_RESTORE_READY;
static const char *const store_files[] = {"ledger.db", "ledger.db-wal", "ledger.db-shm"};

struct place {
	const struct restore_options *o;
	int data;
	char part[PATH_MAX];
};

static bool __attribute__((format(printf, 2, 3)))
fail(char why[BACKUP_WHY_MAX], const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(why, BACKUP_WHY_MAX, format, args);
	va_end(args);
	return false;
}

static bool
is_there(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- the copy, and whether it is right ---- */

static void
remove_staged(int data, const char *name)
{
	int dir = openat(data, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return;
	for (int i = 0; i < BACKUP_PARTS; i++)
		unlinkat(dir, backup_file((enum backup_part)i), 0);
	for (size_t i = 1; i < ARRAY_LEN(store_files); i++)
		unlinkat(dir, store_files[i], 0);
	unlinkat(dir, "lock", 0);
	close(dir);
	unlinkat(data, name, AT_REMOVEDIR);
}

/* What the backup was made without is the data directory's own. */
static bool
take_own_secrets(const struct place *p, const struct backup_source *s, char why[BACKUP_WHY_MAX])
{
	for (int i = BACKUP_PEPPER; i < BACKUP_PARTS; i++) {
		char to[sizeof PART + 32];
		const char *name = backup_file((enum backup_part)i);
		snprintf(to, sizeof to, "%s/%s", PART, name);
		if (s->fds[i] >= 0 || linkat(p->data, name, p->data, to, 0) == 0)
			continue;
		if (errno == ENOENT && i == BACKUP_PEPPER)
			return fail(why, "the backup was made without its secrets, and there is no %s in %.200s: put it there first, mode 600 – without it no API key works", name, p->o->data);
		if (errno != ENOENT)
			return fail(why, "%.200s/%s can't be linked: %s", p->o->data, name, strerror(errno));
	}
	return true;
}

static json_t *
verify(const char *dir, char why[BACKUP_WHY_MAX])
{
	uint8_t pepper[API_KEY_PEPPER_BYTES], seed[RECEIPT_SEED_BYTES];
	struct ledger *ledger = NULL;
	json_t *answer = NULL, *request = json_pack("{s:s}", "op", "ledger.verify");
	struct ledger_options options = {.data_dir = dir, .pepper = pepper, .receipt_seed = seed};
	if (pepper_load_or_create(dir, pepper, why) && receipt_seed_load_or_create(dir, seed, why) && ledger_open(&options, &ledger, why) == LEDGER_OPENED)
		answer = ledger_control(ledger, request);
	ledger_close(&ledger);
	sodium_memzero(pepper, sizeof pepper);
	sodium_memzero(seed, sizeof seed);
	json_decref(request);
	return answer;
}

/* Closed properly, a store has nothing beside its file. */
static bool
is_one_file(const struct place *p)
{
	char wal[sizeof PART + 32];
	struct stat st;
	snprintf(wal, sizeof wal, "%s/%s", PART, store_files[1]);
	return fstatat(p->data, wal, &st, AT_SYMLINK_NOFOLLOW) != 0 || st.st_size == 0;
}

static bool
stage(const struct place *p, const struct backup_source *s, json_t **ret_verified, char why[BACKUP_WHY_MAX])
{
	remove_staged(p->data, PART);
	if (mkdirat(p->data, PART, 0700) != 0)
		return fail(why, "%.300s can't be made: %s", p->part, strerror(errno));
	if (!backup_copy(s, p->part, why) || !take_own_secrets(p, s, why))
		return false;
	*ret_verified = verify(p->part, why);
	if (*ret_verified == NULL)
		return false;
	if (!json_is_true(json_object_get(*ret_verified, "sound")))
		return fail(why, "the books of this backup are not right, so nothing was put in place – take another backup; this says what is wrong: lethe ledger verify --data on a folder "
						 "with its files");
	return is_one_file(p) || fail(why, "the copy in %.300s could not be closed: is the disk full?", p->part);
}

/* ---- in its place ---- */

/* A folder for what was there. Two within a second get names of their own. */
static bool
make_kept(const struct place *p, char ret[256])
{
	struct tm tm;
	time_t now = time(NULL);
	size_t len = strftime(ret, 256, "before-restore-%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
	for (int n = 2; n < 100; n++) {
		if (mkdirat(p->data, ret, 0700) == 0)
			return true;
		if (errno != EEXIST)
			return false;
		snprintf(ret + len, 256 - len, "-%d", n);
	}
	return false;
}

static bool
move_all(int from, int to, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (renameat(from, names[i], to, names[i]) != 0 && errno != ENOENT)
			return false;
	return true;
}

static bool
keep_old(const struct place *p, const char *kept)
{
	static const char *const secrets[] = {"pepper", "receipt.key", "master.key"};
	int dir = openat(p->data, kept, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = dir >= 0 && move_all(p->data, dir, store_files, ARRAY_LEN(store_files)) && move_all(p->data, dir, secrets, ARRAY_LEN(secrets)) && fsync(dir) == 0;
	if (dir >= 0)
		close(dir);
	return ok;
}

/* From here to the end of put() there is a READY. That of a restore that was interrupted is swapped for ours; what it had kept stays kept. */
static bool
begin_change(const struct place *p)
{
	if (!is_there(p->data, READY))
		return renameat(p->data, PART, p->data, READY) == 0 && fsync(p->data) == 0;
	if (renameat2(p->data, PART, p->data, READY, RENAME_EXCHANGE) != 0 || fsync(p->data) != 0)
		return false;
	remove_staged(p->data, PART);
	return true;
}

static bool
put(const struct place *p, const char *kept)
{
	static const char *const order[] = {"pepper", "receipt.key", "master.key", "ledger.db"};
	if (!begin_change(p))
		return false;
	if (kept[0] != '\0' && !keep_old(p, kept))
		return false;
	int dir = openat(p->data, READY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = dir >= 0 && move_all(dir, p->data, order, ARRAY_LEN(order)) && fsync(p->data) == 0;
	if (dir >= 0)
		close(dir);
	if (!ok)
		return false;
	remove_staged(p->data, READY);
	return !is_there(p->data, READY) && fsync(p->data) == 0;
}

/* Secrets alone were put there for a backup without them. */
static bool
may_begin(const struct place *p, char why[BACKUP_WHY_MAX])
{
	if (p->o->check_only || p->o->replace || !(is_there(p->data, READY) || is_there(p->data, "ledger.db")))
		return true;
	return fail(why, "%.200s has a store already – give another --data, or --replace to put the backup in its place and keep what is there beside it", p->o->data);
}

static bool
restore_locked(const struct place *p, const struct backup_source *s, json_t **ret_verified, char ret_kept[256], char why[BACKUP_WHY_MAX])
{
	char kept[256] = "";
	if (!may_begin(p, why))
		return false;
	if (!stage(p, s, ret_verified, why)) {
		remove_staged(p->data, PART);
		return false;
	}
	if (p->o->check_only) {
		remove_staged(p->data, PART);
		return true;
	}
	bool old = is_there(p->data, "ledger.db") || is_there(p->data, "pepper") || is_there(p->data, "receipt.key") || is_there(p->data, "master.key");
	if (old && !make_kept(p, kept)) {
		remove_staged(p->data, PART);
		return fail(why, "a folder for what is there can't be made in %.300s: %s", p->o->data, strerror(errno));
	}
	if (!put(p, kept))
		return fail(why, "%.200s is half changed (%s): what was there is in %s of it, and no server starts on it – mend the disk, then give the same command with --replace", p->o->data,
			strerror(errno), kept[0] != '\0' ? kept : READY);
	memcpy(ret_kept, kept, sizeof kept);
	return true;
}

bool
restore(const struct backup_source *s, const struct restore_options *o, json_t **ret_verified, char ret_kept[256], char ret_why[BACKUP_WHY_MAX])
{
	struct place p = {.o = o, .data = -1};
	int lock = -1;
	ret_kept[0] = '\0';
	*ret_verified = NULL;
	if ((size_t)snprintf(p.part, sizeof p.part, "%s/%s", o->data, PART) >= sizeof p.part)
		return fail(ret_why, "the data directory's path is too long");
	if (ledger_lock_to_restore(o->data, &lock, ret_why) != LEDGER_OPENED)
		return false;
	p.data = open(o->data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = p.data >= 0 ? restore_locked(&p, s, ret_verified, ret_kept, ret_why) : fail(ret_why, "%.300s can't be opened: %s", o->data, strerror(errno));
	if (p.data >= 0)
		close(p.data);
	close(lock);
	return ok;
}
