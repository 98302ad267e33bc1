#include "ledger/store_address.h"

#include "ledger/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool __attribute__((format(printf, 2, 3)))
fail(char ret_why[STORE_ADDRESS_WHY_MAX], const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(ret_why, STORE_ADDRESS_WHY_MAX, format, args);
	va_end(args);
	return false;
}

/* -1: there is none, or errno says what else. */
static ssize_t
read_file(const char *path, char *text, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	ssize_t got = read(fd, text, cap);
	int error = errno;
	close(fd);
	errno = error;
	return got;
}

bool
store_address_read(const char *data_dir, char ret[STORE_ADDRESS_MAX], char ret_why[STORE_ADDRESS_WHY_MAX])
{
	char path[512];
	snprintf(path, sizeof(path), "%s/store", data_dir);
	ssize_t got = read_file(path, ret, STORE_ADDRESS_MAX - 1);
	if (got < 0) {
		ret[0] = '\0';
		return errno == ENOENT || errno == ENOTDIR || fail(ret_why, "%.120s, which says where the books are, can't be read: %s", path, strerror(errno));
	}
	ret[got] = '\0';
	ret[strcspn(ret, "\r\n")] = '\0';
	if (store_is_postgres(ret))
		return true;
	ret[0] = '\0';
	return fail(ret_why, "%.120s must be one line, postgres://user@host:5432/database: correct it; without it the books would begin anew", path);
}

static bool
sync_dir(const char *data_dir)
{
	int dir = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = dir >= 0 && fsync(dir) == 0;
	if (dir >= 0)
		close(dir);
	return ok;
}

/* Whole or not at all: a server that is killed meanwhile must not find half an address. */
bool
store_address_change(const char *data_dir, const char *address)
{
	char path[512], fresh[520];
	snprintf(path, sizeof(path), "%s/store", data_dir);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return false;
	bool ok = dprintf(fd, "%s\n", address) == (int)strlen(address) + 1 && fsync(fd) == 0;
	return close(fd) == 0 && ok && rename(fresh, path) == 0 && sync_dir(data_dir);
}

bool
store_address_forget(const char *data_dir)
{
	char path[512];
	snprintf(path, sizeof(path), "%s/store", data_dir);
	return (unlink(path) == 0 || errno == ENOENT) && sync_dir(data_dir);
}

bool
store_address_keep(const char *data_dir, const char *address, char ret_why[STORE_ADDRESS_WHY_MAX])
{
	char there[STORE_ADDRESS_MAX], path[512];
	if (!store_is_postgres(address))
		return fail(ret_why, "--store must be an address of PostgreSQL, postgres://user@host:5432/database; without it the books are in the data directory");
	if (strlen(address) >= STORE_ADDRESS_MAX - 1 || strpbrk(address, "\r\n") != NULL)
		return fail(ret_why, "the store's address must be one line of less than %d bytes", STORE_ADDRESS_MAX);
	if (!store_address_read(data_dir, there, ret_why))
		return false;
	if (there[0] != '\0')
		return strcmp(there, address) == 0 ||
			fail(ret_why, "the books of %.80s are at another address, by %.80s/store: give that or none, or change that file if it is the same database", data_dir, data_dir);
	snprintf(path, sizeof(path), "%s/ledger.db", data_dir);
	if (access(path, F_OK) == 0)
		return fail(ret_why, "the books of %.100s are in its ledger.db, and would begin anew in PostgreSQL: give another --data, or leave --store out", data_dir);
	return store_address_change(data_dir, address) || fail(ret_why, "%.120s/store can't be written: %s", data_dir, strerror(errno));
}

bool
store_address_has_password(const char *address)
{
	const char *authority = strstr(address, "://");
	if (authority == NULL)
		return false;
	authority += strlen("://");
	size_t len = strcspn(authority, "/?");
	const char *at = memchr(authority, '@', len);
	return (at != NULL && memchr(authority, ':', (size_t)(at - authority)) != NULL) || strstr(address, "?password=") != NULL || strstr(address, "&password=") != NULL ||
		strstr(address, "sslpassword=") != NULL;
}
