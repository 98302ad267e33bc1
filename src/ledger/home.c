#include "ledger/home.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIGITS = 16,
	PATH_BYTES = 512 };

/* 0: there is none; -1: it can't be read, or is something else. */
static int64_t
read_one(const char *path)
{
	char text[DIGITS + 2] = "", *end;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	ssize_t got = read(fd, text, sizeof(text) - 1);
	close(fd);
	int64_t number = got == DIGITS + 1 ? (int64_t)strtoull(text, &end, 16) : -1;
	return number > 0 && end == text + DIGITS && *end == '\n' ? number : -1;
}

static bool
synced(int fd, bool ok)
{
	ok = fd >= 0 && ok && fsync(fd) == 0;
	return (fd < 0 || close(fd) == 0) && ok;
}

/* On the disk before anybody hears of it: a name that is there has all of it. */
static bool
write_one(const char *data_dir, const char *path, int64_t number)
{
	char part[PATH_BYTES + 8], text[DIGITS + 2];
	snprintf(part, sizeof(part), "%s.new", path);
	int len = snprintf(text, sizeof(text), "%0*llx\n", DIGITS, (unsigned long long)number);
	int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (!synced(fd, fd >= 0 && write(fd, text, (size_t)len) == len) || rename(part, path) != 0)
		return false;
	return synced(open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), true);
}

bool
home_read(const char *data_dir, int64_t *ret, char ret_why[STORE_WHY_MAX])
{
	char path[PATH_BYTES];
	snprintf(path, sizeof(path), "%.480s/home", data_dir);
	*ret = read_one(path);
	if (*ret > 0)
		return true;
	if (*ret < 0) {
		snprintf(ret_why, STORE_WHY_MAX, "%.170s can't be read: put it back from a copy, or remove it and set another `node`", path);
		return false;
	}
	randombytes_buf(ret, sizeof(*ret));
	*ret = (*ret & INT64_MAX) | 1;
	if (write_one(data_dir, path, *ret))
		return true;
	snprintf(ret_why, STORE_WHY_MAX, "%.200s can't be made: %m", path);
	return false;
}

bool
home_books(const char *data_dir, int64_t *ret, char ret_why[STORE_WHY_MAX])
{
	char path[PATH_BYTES];
	snprintf(path, sizeof(path), "%.480s/books", data_dir);
	*ret = read_one(path);
	if (*ret >= 0)
		return true;
	snprintf(ret_why, STORE_WHY_MAX, "%.140s, which says which books are this directory's, can't be read: put it back from a copy, or remove it", path);
	return false;
}

bool
home_keep_books(const char *data_dir, int64_t identity, char ret_why[STORE_WHY_MAX])
{
	char path[PATH_BYTES];
	snprintf(path, sizeof(path), "%.480s/books", data_dir);
	if (read_one(path) == identity || write_one(data_dir, path, identity))
		return true;
	snprintf(ret_why, STORE_WHY_MAX, "%.200s can't be made: %m", path);
	return false;
}

bool
home_forget_books(const char *data_dir)
{
	char path[PATH_BYTES];
	snprintf(path, sizeof(path), "%.480s/books", data_dir);
	return unlink(path) == 0 || errno == ENOENT;
}
