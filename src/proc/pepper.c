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

static enum loaded
load(int dir, const char *dir_name, uint8_t *ret, char *ret_why)
{
	struct stat st;
	enum loaded result = UNUSABLE;
	int fd = openat(dir, "pepper", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT)
		return MISSING;
	if (fd < 0 || fstat(fd, &st) != 0)
		snprintf(ret_why, PEPPER_WHY_MAX,
			"%.300s/pepper can't be read: %s – run this as the owner of the data directory", dir_name,
			strerror(errno));
	else if (!S_ISREG(st.st_mode) || st.st_size != API_KEY_PEPPER_BYTES)
		snprintf(ret_why, PEPPER_WHY_MAX,
			"%.300s/pepper is damaged: it must be a file of %d bytes – restore it from a backup", dir_name,
			API_KEY_PEPPER_BYTES);
	else if ((st.st_mode & 0077) != 0)
		snprintf(ret_why, PEPPER_WHY_MAX, "%.250s/pepper can be read by other users – chmod 600 %.250s/pepper",
			dir_name, dir_name);
	else if (read(fd, ret, API_KEY_PEPPER_BYTES) != API_KEY_PEPPER_BYTES)
		snprintf(ret_why, PEPPER_WHY_MAX, "%.300s/pepper can't be read as a whole – try again", dir_name);
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
make(int dir)
{
	uint8_t secret[API_KEY_PEPPER_BYTES];
	char name[48];
	snprintf(name, sizeof name, "pepper.%ld.new", (long)getpid());
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return false;
	randombytes_buf(secret, sizeof secret);
	bool ok = write(fd, secret, sizeof secret) == sizeof secret && fsync(fd) == 0;
	sodium_memzero(secret, sizeof secret);
	close(fd);
	ok = ok && (linkat(dir, name, dir, "pepper", 0) == 0 || errno == EEXIST);
	int error = errno;
	unlinkat(dir, name, 0);
	errno = error;
	return ok && fsync(dir) == 0;
}

static bool
load_or_make(int dir, const char *dir_name, uint8_t *ret, char *ret_why)
{
	enum loaded loaded = load(dir, dir_name, ret, ret_why);
	if (loaded == MISSING && faccessat(dir, "ledger.db", F_OK, 0) == 0) {
		snprintf(ret_why, PEPPER_WHY_MAX,
			"%.200s/pepper is missing, and without it no API key in %.200s/ledger.db works – restore it from a backup", dir_name, dir_name);
		return false;
	}
	if (loaded == MISSING && !make(dir)) {
		snprintf(ret_why, PEPPER_WHY_MAX,
			"%.300s/pepper can't be written: %s – make the data directory writable for this user", dir_name,
			strerror(errno));
		return false;
	}
	if (loaded == MISSING)
		loaded = load(dir, dir_name, ret, ret_why);
	return loaded == LOADED;
}

bool
pepper_load_or_create(const char *dir_name, uint8_t ret[API_KEY_PEPPER_BYTES], char ret_why[PEPPER_WHY_MAX])
{
	snprintf(ret_why, PEPPER_WHY_MAX, "%.300s/pepper went away while it was read", dir_name);
	int dir = open(dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		snprintf(ret_why, PEPPER_WHY_MAX,
			"the data directory %.300s can't be opened: %s – create it with mkdir -m 700, or give another with --data",
			dir_name, strerror(errno));
		return false;
	}
	bool ok = load_or_make(dir, dir_name, ret, ret_why);
	close(dir);
	return ok;
}
