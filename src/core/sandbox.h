/*
 * A process locks itself down: resource limits, user, capabilities, Landlock, seccomp. Every child
 * of the supervisor runs it once, after it has its descriptors and memory and before it looks at
 * the first byte from outside, while it has one thread. Nothing is allocated; tables and strings
 * are the caller's and only read during the call.
 *
 * System calls are an allow-list. What is not in it ends the process (SIGSYS); a rule may instead
 * answer EACCES, for calls that libraries try and can do without (opening a file). Rules for the
 * same call are tried in the order of the table, the first whose arguments match decides.
 */
#ifndef CORE_SANDBOX_H
#define CORE_SANDBOX_H

#include "core/base.h"

#include <sys/types.h>

/* For arguments that the kernel takes as int: it ignores the upper half, so must the check. */
#define SANDBOX_INT UINT64_C(0xffffffff)
/* As value under SANDBOX_INT: the own process id. */
#define SANDBOX_SELF UINT64_MAX

/* Matches when (argument & mask) == value. mask 0: no condition, and the end of the list. */
struct sandbox_arg {
	uint8_t index;
	uint64_t mask, value;
};

enum {
	SANDBOX_ARGS_MAX = 3,
	SANDBOX_FILTER_MAX = 1024,
};

enum sandbox_answer {
	SANDBOX_ALLOW,
	SANDBOX_REFUSE,
};

struct sandbox_rule {
	int nr;
	struct sandbox_arg args[SANDBOX_ARGS_MAX];
	enum sandbox_answer answer; /* SANDBOX_REFUSE: EACCES */
};

enum {
	SANDBOX_READ = 1, /* files and directories */
	SANDBOX_WRITE = 2, /* into files that exist, and cut them */
	SANDBOX_CREATE = 4, /* make, rename and remove files and directories */
};

/*
 * A file, or a directory with all below. A file that is later replaced by another of its name is
 * not this file any more.
 */
struct sandbox_path {
	const char *path;
	unsigned rights;
	bool optional; /* may be absent now, and stays unreachable then */
};

struct sandbox {
	const char *name;
	const struct sandbox_rule *rules; /* none: no system call filter */
	size_t rule_count;
	const struct sandbox_path *paths;
	size_t path_count;
	bool net_connect, net_bind; /* TCP; Landlock knows nothing of UDP */
	bool fsize_zero, nproc_zero;
	uint64_t nofile; /* 0: as it is */
	bool change_user;
	uid_t uid;
	gid_t gid;
	/* Keep CAP_IPC_LOCK, if held: later segments of the vault may exceed RLIMIT_MEMLOCK. */
	bool keep_ipc_lock;
	unsigned landlock_min; /* ABI below which the process must not run; 0: goes on without */
	/* Development, builds with SANDBOX_MAY_TRAP: name the first forbidden call on descriptor 2. */
	bool trap;
};

/* What held. For doctor and the status page. */
struct sandbox_facts {
	const char *failed; /* the step that failed, NULL when none did */
	unsigned landlock_abi;
	uint64_t landlock_fs, landlock_net, landlock_scope; /* rights that the kernel takes away */
	uint64_t capabilities;
	size_t syscalls_allowed, filter_length;
	bool no_new_privs, seccomp, undumpable, no_exec_gain, bounding_empty;
};

/*
 * Lock down for good. False: a step failed (ret_facts->failed, errno) and the process, half locked,
 * must end. ret_facts is filled in both cases.
 */
must_check bool sandbox_enter(const struct sandbox *s, struct sandbox_facts *ret_facts);

/*
 * What also holds for the supervisor, which needs its rights: no new privileges, no core file, no
 * tracing by its user. False with errno.
 */
must_check bool sandbox_basics(void);

/* Has this process the rights that `change_user` takes? */
must_check bool sandbox_may_change_user(void);

/* The Landlock ABI of the kernel, 0 when it has none. */
unsigned sandbox_landlock_abi(void);

#endif
