#include "proc/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char MANIFEST[] = "backup.json";
enum { FORMAT = 1,
	MANIFEST_MAX = 16 << 10,
	PIECE = 1 << 20 };

static const struct {
	const char *file;
	bool secret;
} parts[] = {
#define X(NAME, file, secret, meaning) {file, secret},
	BACKUP_FILES(X)
#undef X
};
_Static_assert(ARRAY_LEN(parts) == BACKUP_PARTS, "a row each");

const char *
backup_file(enum backup_part part)
{
	return parts[part].file;
}

static bool __attribute__((format(printf, 2, 3)))
fail(char why[BACKUP_WHY_MAX], const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(why, BACKUP_WHY_MAX, format, args);
	va_end(args);
	return false;
}

/* ---- files ---- */

/* What is read of `from` is hashed, and written to `to` unless that is -1. False: errno. */
static bool
pass(int from, int to, struct backup_entry *ret)
{
	crypto_hash_sha256_state hash;
	uint8_t *piece = malloc(PIECE);
	ssize_t n = -1;
	bool ok = piece != NULL;
	crypto_hash_sha256_init(&hash);
	*ret = (struct backup_entry){.there = true};
	while (ok && (n = pread(from, piece, PIECE, (off_t)ret->bytes)) > 0) {
		crypto_hash_sha256_update(&hash, piece, (size_t)n);
		ret->bytes += (uint64_t)n;
		for (ssize_t at = 0, wrote; ok && to >= 0 && at < n; at += wrote)
			ok = (wrote = write(to, piece + at, (size_t)(n - at))) > 0;
	}
	int error = errno;
	crypto_hash_sha256_final(&hash, ret->hash);
	if (piece != NULL)
		sodium_memzero(piece, PIECE);
	free(piece);
	errno = error;
	return ok && n == 0;
}

static int
create(int dir, const char *name)
{
	return openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static bool
copy_one(int from, int dir, const char *name, struct backup_entry *ret)
{
	int to = create(dir, name);
	bool ok = to >= 0 && pass(from, to, ret) && fsync(to) == 0;
	int error = errno;
	if (to >= 0 && close(to) != 0 && ok)
		return false;
	errno = error;
	return ok;
}

/* ---- backup.json ---- */

static json_t *
files_json(const struct backup *b)
{
	json_t *list = json_object();
	for (int i = 0; i < BACKUP_PARTS; i++) {
		char hex[2 * crypto_hash_sha256_BYTES + 1];
		const struct backup_entry *e = &b->parts[i];
		if (!e->there)
			continue;
		sodium_bin2hex(hex, sizeof hex, e->hash, sizeof e->hash);
		json_object_set_new(list, parts[i].file, json_pack("{s:I, s:s}", "bytes", (json_int_t)e->bytes, "sha256", hex));
	}
	return list;
}

static bool
write_manifest(int dir, const struct backup *b)
{
	json_t *o = json_pack("{s:i, s:s, s:s, s:I, s:I, s:I, s:I, s:o}", "lethe_backup", FORMAT, "version", b->version, "time", b->time, "schema", (json_int_t)b->facts.schema,
		"bookings", (json_int_t)b->facts.bookings, "tickets", (json_int_t)b->facts.tickets, "last_booking_us", (json_int_t)b->facts.last_us, "files", files_json(b));
	int fd = create(dir, MANIFEST);
	bool ok = fd >= 0 && json_dumpfd(o, fd, JSON_INDENT(2)) == 0 && write(fd, "\n", 1) == 1 && fsync(fd) == 0;
	json_decref(o);
	if (fd >= 0)
		close(fd);
	return ok;
}

static bool
read_entry(const json_t *files, int part, struct backup_entry *ret)
{
	const json_t *o = json_object_get(files, parts[part].file);
	const char *hex = json_string_value(json_object_get(o, "sha256"));
	json_int_t bytes = json_integer_value(json_object_get(o, "bytes"));
	size_t len = 0;
	*ret = (struct backup_entry){.there = o != NULL, .bytes = (uint64_t)bytes};
	return o == NULL || (bytes > 0 && hex != NULL && sodium_hex2bin(ret->hash, sizeof ret->hash, hex, strlen(hex), NULL, &len, NULL) == 0 && len == sizeof ret->hash);
}

static bool
read_manifest(int dir, struct backup *ret)
{
	char text[MANIFEST_MAX];
	int fd = openat(dir, MANIFEST, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof text) : -1;
	if (fd >= 0)
		close(fd);
	json_t *o = n > 0 && n < (ssize_t)sizeof text ? json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	const char *time = json_string_value(json_object_get(o, "time")), *version = json_string_value(json_object_get(o, "version"));
	bool ok = json_integer_value(json_object_get(o, "lethe_backup")) == FORMAT && time != NULL && version != NULL;
	*ret = (struct backup){0};
	for (int i = 0; ok && i < BACKUP_PARTS; i++)
		ok = read_entry(json_object_get(o, "files"), i, &ret->parts[i]);
	if (ok) {
		ret->facts = (struct backup_facts){.bookings = json_integer_value(json_object_get(o, "bookings")), .tickets = json_integer_value(json_object_get(o, "tickets"))};
		snprintf(ret->time, sizeof ret->time, "%s", time);
		snprintf(ret->version, sizeof ret->version, "%s", version);
	}
	json_decref(o);
	return ok && ret->parts[BACKUP_STORE].there;
}

/* ---- make ---- */

static bool
copy_secret(int data, int dir, enum backup_part part, struct backup *b)
{
	int from = openat(data, parts[part].file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (from < 0)
		return errno == ENOENT && part != BACKUP_PEPPER; /* no server that wants it has run yet */
	bool ok = copy_one(from, dir, parts[part].file, &b->parts[part]);
	int error = errno;
	close(from);
	errno = error;
	return ok;
}

static bool
hash_store(int dir, struct backup *b)
{
	int fd = openat(dir, parts[BACKUP_STORE].file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	bool ok = fd >= 0 && pass(fd, -1, &b->parts[BACKUP_STORE]);
	if (fd >= 0)
		close(fd);
	return ok;
}

static void
say_now(char ret[40])
{
	struct tm tm;
	time_t now = time(NULL);
	strftime(ret, 40, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
}

static bool
fill(const char *data, const char *part, bool secrets, struct backup *b, char why[BACKUP_WHY_MAX])
{
	char from[PATH_MAX], to[PATH_MAX];
	if ((size_t)snprintf(from, sizeof from, "%s/%s", data, parts[BACKUP_STORE].file) >= sizeof from || (size_t)snprintf(to, sizeof to, "%s/%s", part, parts[BACKUP_STORE].file) >= sizeof to)
		return fail(why, "that path is too long");
	if (!backup_store(from, to, &b->facts, why))
		return false;
	int source = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = source >= 0 && dir >= 0 && hash_store(dir, b);
	for (int i = 0; ok && secrets && i < BACKUP_PARTS; i++)
		ok = !parts[i].secret || copy_secret(source, dir, (enum backup_part)i, b);
	say_now(b->time);
	snprintf(b->version, sizeof b->version, "%s", LETHE_VERSION);
	ok = ok && write_manifest(dir, b) && fsync(dir) == 0;
	if (!ok)
		fail(why, "the backup in %.200s can't be finished: %s", part, strerror(errno));
	if (source >= 0)
		close(source);
	if (dir >= 0)
		close(dir);
	return ok;
}

/* Only what can be in it: a folder of somebody else's is not emptied. */
static void
remove_part(const char *part)
{
	int dir = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return;
	for (int i = 0; i < BACKUP_PARTS; i++)
		unlinkat(dir, parts[i].file, 0);
	unlinkat(dir, MANIFEST, 0);
	close(dir);
	rmdir(part);
}

static bool
sync_parent(const char *path)
{
	char parent[PATH_MAX];
	const char *slash = strrchr(path, '/');
	snprintf(parent, sizeof parent, "%.*s", slash == NULL ? 1 : (int)(slash - path) + 1, slash == NULL ? "." : path);
	int dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = dir >= 0 && fsync(dir) == 0;
	if (dir >= 0)
		close(dir);
	return ok;
}

bool
backup_make(const char *data, const char *to, bool secrets, struct backup *ret, char ret_why[BACKUP_WHY_MAX])
{
	char name[PATH_MAX], part[PATH_MAX + 8];
	struct backup b = {0};
	size_t len = strlen(to);
	while (len > 1 && to[len - 1] == '/')
		len--;
	if (len == 0 || len >= sizeof name)
		return fail(ret_why, "a folder for the backup is wanted, for example /var/backups/lethe/monday");
	snprintf(name, sizeof name, "%.*s", (int)len, to);
	snprintf(part, sizeof part, "%s.part", name);
	if (faccessat(AT_FDCWD, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return fail(ret_why, "%.300s is there already – name a folder that is not", name);
	remove_part(part); /* of one that was interrupted */
	if (mkdir(part, 0700) != 0)
		return fail(ret_why, "%.300s can't be made: %s – make its parent, or choose another place", part, strerror(errno));
	bool ok = fill(data, part, secrets, &b, ret_why);
	if (ok && !(rename(part, name) == 0 && sync_parent(name)))
		ok = fail(ret_why, "%.300s can't be given its name: %s", part, strerror(errno));
	if (ok)
		*ret = b;
	else
		remove_part(part);
	return ok;
}

/* ---- read ---- */

bool
backup_open(const char *from, struct backup_source *ret, char ret_why[BACKUP_WHY_MAX])
{
	struct backup_source s = {.fds = {-1, -1, -1, -1}};
	int dir = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return fail(ret_why, "%.300s can't be opened: %s – give the folder that `lethe backup` made", from, strerror(errno));
	bool ok = read_manifest(dir, &s.backup) || fail(ret_why, "%.300s has no backup.json of this kind – give the folder that `lethe backup` made", from);
	for (int i = 0; ok && i < BACKUP_PARTS; i++) {
		if (!s.backup.parts[i].there)
			continue;
		s.fds[i] = openat(dir, parts[i].file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (s.fds[i] < 0)
			ok = fail(ret_why, "%.300s/%s can't be opened: %s – the backup is not whole, take another", from, parts[i].file, strerror(errno));
	}
	close(dir);
	if (ok)
		*ret = s;
	else
		backup_close(&s);
	return ok;
}

bool
backup_copy(const struct backup_source *s, const char *to, char ret_why[BACKUP_WHY_MAX])
{
	int dir = open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	bool ok = dir >= 0 || fail(ret_why, "%.300s can't be opened: %s", to, strerror(errno));
	for (int i = 0; ok && i < BACKUP_PARTS; i++) {
		const struct backup_entry *due = &s->backup.parts[i];
		struct backup_entry is;
		if (s->fds[i] < 0)
			continue;
		if (!copy_one(s->fds[i], dir, parts[i].file, &is))
			ok = fail(ret_why, "%.300s/%s can't be written: %s", to, parts[i].file, strerror(errno));
		else if (is.bytes != due->bytes || memcmp(is.hash, due->hash, sizeof is.hash) != 0)
			ok = fail(ret_why, "%s of this backup is not what was written when it was made: it is damaged, or was changed – take another backup", parts[i].file);
	}
	if (dir >= 0)
		close(dir);
	return ok;
}

void
backup_close(struct backup_source *s)
{
	for (int i = 0; i < BACKUP_PARTS; i++)
		if (s->fds[i] >= 0)
			close(s->fds[i]);
	*s = (struct backup_source){.fds = {-1, -1, -1, -1}};
}
