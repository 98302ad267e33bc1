/*
 * Landlock by its system calls: Debian 12's header ends at ABI 2. All file rights of the running
 * kernel are taken away and those of the table given back; TCP bind and connect (ABI 4), abstract
 * Unix sockets and signals to others (ABI 6) where the kernel has them.
 */
#include "core/sandbox_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	NET_BIND_TCP = 1,
	NET_CONNECT_TCP = 2,
	SCOPE_ABSTRACT_UNIX = 1,
	SCOPE_SIGNAL = 2,
};

#define FS_REFER (UINT64_C(1) << 13)
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)
#define FS_FIRST_ABI ((UINT64_C(1) << 13) - 1)
#define FS_OF_FILES (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE)
#define FS_CREATE \
	(LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
		LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | FS_REFER)

/* A kernel with a shorter struct takes this one as long as the members that it lacks are 0. */
struct ruleset {
	uint64_t fs, net, scope;
};

unsigned
sandbox_landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 0 ? 0 : (unsigned)abi;
}

static struct ruleset
ruleset_for(const struct sandbox *s, unsigned abi)
{
	struct ruleset r = {FS_FIRST_ABI, 0, 0};

	if (abi >= 2)
		r.fs |= FS_REFER;
	if (abi >= 3)
		r.fs |= FS_TRUNCATE;
	if (abi >= 5)
		r.fs |= FS_IOCTL_DEV;
	if (abi >= 4)
		r.net = (s->net_bind ? 0 : NET_BIND_TCP) | (s->net_connect ? 0 : NET_CONNECT_TCP);
	if (abi >= 6)
		r.scope = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
	return r;
}

static uint64_t
rights_bits(unsigned rights)
{
	uint64_t bits = 0;

	if (rights & SANDBOX_READ)
		bits |= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
	if (rights & SANDBOX_WRITE)
		bits |= LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE;
	if (rights & SANDBOX_CREATE)
		bits |= FS_CREATE;
	return bits;
}

static bool
add_path(int ruleset, const struct sandbox_path *path, uint64_t handled)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = rights_bits(path->rights) & handled};
	struct stat st;

	rule.parent_fd = open(path->path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return path->optional && (errno == ENOENT || errno == ENOTDIR || errno == EACCES);
	bool ok = fstat(rule.parent_fd, &st) == 0;
	if (ok && !S_ISDIR(st.st_mode))
		rule.allowed_access &= FS_OF_FILES;
	ok = ok && syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
	int error = errno;
	close(rule.parent_fd);
	errno = error;
	return ok;
}

bool
sandbox_landlock(const struct sandbox *s, struct sandbox_facts *facts)
{
	unsigned abi = sandbox_landlock_abi();

	facts->landlock_abi = abi;
	if (abi < s->landlock_min) {
		errno = ENOSYS;
		return false;
	}
	if (abi == 0)
		return true;
	struct ruleset r = ruleset_for(s, abi);
	int fd = (int)syscall(SYS_landlock_create_ruleset, &r, sizeof(r), 0);
	if (fd < 0)
		return false;
	bool ok = true;
	for (size_t i = 0; ok && i < s->path_count; i++)
		ok = add_path(fd, &s->paths[i], r.fs);
	ok = ok && syscall(SYS_landlock_restrict_self, fd, 0) == 0;
	int error = errno;
	close(fd);
	errno = error;
	if (ok) {
		facts->landlock_fs = r.fs;
		facts->landlock_net = r.net;
		facts->landlock_scope = r.scope;
	}
	return ok;
}
