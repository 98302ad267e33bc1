#include "proc/pepper.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum loaded { LOADED,
	MISSING,
	UNUSABLE };

/* A secret that this machine made once, and that nothing else has: a file of its bytes. */
struct kept {
	const char *name, *loss; /* loss: what is lost with it when there is a ledger; NULL: another can take its place */
	size_t bytes;
};

static const struct kept pepper_kept = {"pepper", "without it no API key works that is in", API_KEY_PEPPER_BYTES},
						 receipt_kept = {"receipt.key", NULL, RECEIPT_SEED_BYTES}, master_kept = {"master.key", NULL, BYOK_SEED_BYTES};
enum { KEPT_MAX = 32 };
_Static_assert((int)API_KEY_PEPPER_BYTES <= (int)KEPT_MAX && (int)RECEIPT_SEED_BYTES <= (int)KEPT_MAX && (int)BYOK_SEED_BYTES <= (int)KEPT_MAX, "room for each");

static enum loaded
load(int dir, const char *dir_name, const struct kept *k, uint8_t *ret, char *ret_why)
{
	struct stat st;
	enum loaded result = UNUSABLE;
	int fd = openat(dir, k->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return MISSING;
	if (fd < 0 || fstat(fd, &st) != 0)
		snprintf(ret_why, PEPPER_WHY_MAX,
			"%.300s/%s can't be read: %s – run this as the owner of the data directory", dir_name, k->name,
			strerror(errno));
	else if (!S_ISREG(st.st_mode) || st.st_size != (off_t)k->bytes)
		snprintf(ret_why, PEPPER_WHY_MAX,
			"%.300s/%s is damaged: it must be a file of %zu bytes – restore it from a backup", dir_name, k->name,
			k->bytes);
	else if ((st.st_mode & 0077) != 0)
		snprintf(ret_why, PEPPER_WHY_MAX, "%.250s/%s can be read by other users – chmod 600 %.250s/%s",
			dir_name, k->name, dir_name, k->name);
	else if (read(fd, ret, k->bytes) != (ssize_t)k->bytes)
		snprintf(ret_why, PEPPER_WHY_MAX, "%.300s/%s can't be read as a whole – try again", dir_name, k->name);
	else
		result = LOADED;
	if (fd >= 0)
		close(fd);
	return result;
}

/*
 * A temporary file, linked into place when it is on disk: of two that start at once one wins, and neither sees
 * half a pepper.
 */
static bool
make(int dir, const struct kept *k)
{
	uint8_t secret[KEPT_MAX];
	char name[48];
	snprintf(name, sizeof name, "%.16s.%ld.new", k->name, (long)getpid());
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return false;
	randombytes_buf(secret, sizeof secret);
	bool ok = write(fd, secret, k->bytes) == (ssize_t)k->bytes && fsync(fd) == 0;
	sodium_memzero(secret, sizeof secret);
	close(fd);
	ok = ok && (linkat(dir, name, dir, k->name, 0) == 0 || errno == EEXIST);
	int error = errno;
	unlinkat(dir, name, 0);
	errno = error;
	return ok && fsync(dir) == 0;
}

static bool
load_or_make(int dir, const char *dir_name, const struct kept *k, uint8_t *ret, char *ret_why)
{
	enum loaded loaded = load(dir, dir_name, k, ret, ret_why);
	if (loaded == MISSING && k->loss && faccessat(dir, "ledger.db", F_OK, 0) == 0) {
		snprintf(ret_why, PEPPER_WHY_MAX,
			"%.200s/%s is missing, and %s %.200s/ledger.db – restore it from a backup", dir_name, k->name, k->loss, dir_name);
		return false;
	}
	if (loaded == MISSING && !make(dir, k)) {
		snprintf(ret_why, PEPPER_WHY_MAX,
			"%.300s/%s can't be written: %s – make the data directory writable for this user", dir_name, k->name,
			strerror(errno));
		return false;
	}
	if (loaded == MISSING)
		loaded = load(dir, dir_name, k, ret, ret_why);
	return loaded == LOADED;
}

static bool
load_or_create(const char *dir_name, const struct kept *k, uint8_t *ret, char *ret_why)
{
	snprintf(ret_why, PEPPER_WHY_MAX, "%.300s/%s went away while it was read", dir_name, k->name);
	int dir = open(dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		snprintf(ret_why, PEPPER_WHY_MAX,
			"the data directory %.300s can't be opened: %s – create it with mkdir -m 700, or give another with --data",
			dir_name, strerror(errno));
		return false;
	}
	bool ok = load_or_make(dir, dir_name, k, ret, ret_why);
	close(dir);
	return ok;
}

bool
pepper_load_or_create(const char *dir_name, uint8_t ret[API_KEY_PEPPER_BYTES], char ret_why[PEPPER_WHY_MAX])
{
	return load_or_create(dir_name, &pepper_kept, ret, ret_why);
}

bool
receipt_seed_load_or_create(const char *dir_name, uint8_t ret[RECEIPT_SEED_BYTES], char ret_why[PEPPER_WHY_MAX])
{
	return load_or_create(dir_name, &receipt_kept, ret, ret_why);
}

bool
master_load_or_create(const char *dir_name, uint8_t ret[BYOK_SEED_BYTES], char ret_why[PEPPER_WHY_MAX])
{
	return load_or_create(dir_name, &master_kept, ret, ret_why);
}
