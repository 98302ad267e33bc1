/*
 * What each kind of process may still do after its lock-down: one profile for each child of the
 * supervisor (design chapter 2). Each child prepares its own and enters it; the caller has the
 * memory, into which the returned sandbox points.
 *
 * The supervisor has none: it forks, binds, changes users and creates memory for the others, so a
 * filter would let nearly all through. It parses nothing from outside and takes sandbox_basics().
 */
#ifndef PROC_PROFILES_H
#define PROC_PROFILES_H

#include "core/sandbox.h"

enum profile_role {
	PROFILE_EDGE,
	PROFILE_DIALER,
	PROFILE_LEDGER,
	PROFILE_SCRIBE,
	PROFILE_SIGNER,
	PROFILE_ROLES,
};

struct profile_settings {
	const char *data_dir; /* the ledger's own, which must exist; the others ignore it */
	uint64_t nofile; /* 0: as inherited */
	bool change_user;
	uid_t uid;
	gid_t gid;
	bool keep_ipc_lock; /* edge only */
	unsigned landlock_min;
	bool trap;
};

enum {
	PROFILE_PATHS_MAX = 8,
};

struct profile {
	struct sandbox sandbox; /* for sandbox_enter() */
	struct sandbox_path paths[PROFILE_PATHS_MAX];
};

void profile_prepare(
	enum profile_role role, const struct profile_settings *settings, struct profile *ret);

#endif
