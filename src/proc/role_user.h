/*
 * A user id of its own for each process that needs no file: it owns nothing, and shares it with nobody who could signal, trace or be traced by it.
 *
 * Only where the server was started as root. The ledger has none: it keeps the user whose the data folder's files are.
 */
#ifndef PROC_ROLE_USER_H
#define PROC_ROLE_USER_H

#include "core/base.h"
#include "proc/profiles.h"

/*
 * systemd's table of user ids (UIDS-GIDS.md) has nobody from 1879048192 to 2147352575, and login.defs of Debian ends far below.
 * A process of role r and number i gets ROLE_USERS + r * ROLE_USERS_EACH + i % ROLE_USERS_EACH.
 */
enum {
	ROLE_USERS = 1900000000,
	ROLE_USERS_EACH = 1024,
};

/* False: it stays who it is, because it isn't root, may not change, has files, or this user namespace doesn't know the id. Before lock-down. */
must_check bool role_user(enum profile_role role, uint32_t instance, uid_t *ret);

/* Is the id in a map as /proc/self/uid_map has it: lines of first, first outside, count? */
must_check bool role_user_mapped(const char *map, uid_t id);

#endif
