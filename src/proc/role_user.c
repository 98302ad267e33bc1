#include "proc/role_user.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAP_MAX = 16 << 10 };

bool
role_user_mapped(const char *map, uid_t id)
{
	const char *at = map;
	while (*at) {
		char *end;
		uint64_t first = strtoull(at, &end, 10);
		(void)strtoull(end, &end, 10);
		uint64_t count = strtoull(end, &end, 10);
		if (id >= first && id - first < count)
			return true;
		at = strchr(end, '\n');
		if (!at)
			return false;
		at++;
	}
	return false;
}

static bool
known_here(const char *path, uid_t id)
{
	static char map[MAP_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, map, sizeof map - 1);
	close(fd);
	map[n > 0 ? n : 0] = '\0';
	return role_user_mapped(map, id);
}

bool
role_user(enum profile_role role, uint32_t instance, uid_t *ret)
{
	uid_t own = ROLE_USERS + (uid_t)role * ROLE_USERS_EACH + instance % ROLE_USERS_EACH;
	if (geteuid() != 0 || role == PROFILE_LEDGER || !sandbox_may_change_user())
		return false;
	if (!known_here("/proc/self/uid_map", own) || !known_here("/proc/self/gid_map", own))
		return false;
	*ret = own;
	return true;
}
