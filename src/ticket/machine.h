/*
 * What the machine gives, as numbers: the facts of `lethe doctor`, the metrics lethe_machine_* and the page /transparency are made from this list. The
 * supervisor looks, scribe and edges show. A state and a number each; there is no text.
 *
 * X(NAME, label, when it is looked at, what the number is)
 * ONCE: as the server starts, BEGAN; AGAIN: every minute as well.
 */
#ifndef TICKET_MACHINE_H
#define TICKET_MACHINE_H

#include "core/base.h"

#define MACHINE_FACTS(X) \
	X(KERNEL, "kernel", ONCE, "version, major times 1000 plus minor") \
	X(USER, "user", ONCE, "1: the server was started as root") \
	X(SECRET_MEMORY, "secret_memory", ONCE, "grade of memory for content: 2 sealed, 1 locked, 0 plain") \
	X(MEMLOCK, "locked_memory_limit", ONCE, "bytes that may be locked; 0: without a limit") \
	X(SWAP, "swap", AGAIN, "bytes of swap on disk that are not encrypted") \
	X(CORE_DUMPS, "core_dumps", AGAIN, "1: a program receives the core dumps of this machine") \
	X(DEBUGGERS, "debuggers", AGAIN, "kernel.yama.ptrace_scope; 0: any debugger of the same user may attach") \
	X(SECCOMP, "system_call_filter", ONCE, "1: the kernel has system call filters") \
	X(LANDLOCK, "landlock", ONCE, "ABI of Landlock, 0: none") \
	X(OPEN_FILES, "open_files", ONCE, "descriptors that a process may have") \
	X(DISK, "disk_space", AGAIN, "bytes free for the data directory") \
	X(DATA_MODE, "data_directory", AGAIN, "its permission bits") \
	X(DATA_STORE, "data_store", ONCE, "microseconds that the data directory's disk takes to keep a page for good; 0: it does not keep it") \
	X(BOOKS, "books", ONCE, "where the books are: 0 in ledger.db, 1 in PostgreSQL on this machine, 2 over a network with its server verified, 3 over a network without") \
	X(CLOCK, "clock", AGAIN, "1: synchronised") \
	X(CERTIFICATES, "certificates", AGAIN, "seconds until the first of our certificates expires; 0: expired, or there is none") \
	X(PROVIDERS, "providers", AGAIN, "targets and keys of providers that fail or refuse now; 0: none")

enum machine_fact {
#define X(NAME, label, when, number) MACHINE_##NAME,
	MACHINE_FACTS(X)
#undef X
		MACHINE_FACT_COUNT
};

enum fact_state { FACT_OK,
	FACT_WARN,
	FACT_BAD };

struct machine {
	uint64_t looked_ms; /* Unix; 0: nobody has looked */
	struct {
		uint64_t state; /* enum fact_state */
		uint64_t number;
	} fact[MACHINE_FACT_COUNT];
};

#endif
