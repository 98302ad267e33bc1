/*
 * A disk in memory for SQLite (a VFS, the default one once it is installed): files that are lost, torn and mixed up when the power goes, calls that fail,
 * allocations that fail. Tests only.
 */
#ifndef SIMULATION_DISK_H
#define SIMULATION_DISK_H

#include <stdbool.h>
#include <stdint.h>

enum disk_call { DISK_WRITE,
	DISK_SYNC,
	DISK_TRUNCATE,
	DISK_READ,
	DISK_OPEN };

/* What becomes of one call. */
enum disk_fate { FATE_DONE,
	FATE_FAILS, /* nothing is done */
	FATE_HALF, /* a write: half of it, and then an error */
	FATE_DROPS, /* a sync: what is not on the disk by now is not written any more */
	FATE_UNTOLD }; /* it is done, and then an error */

enum power { POWER_LOSES, /* what was not synced is gone */
	POWER_KEEPS,
	POWER_MIXES, /* any of it is there */
	POWER_TEARS, /* some sectors of any of it */
	POWERS };

/* Asked at each call; `ret_code`: SQLite's, when it fails. */
typedef enum disk_fate disk_ask(enum disk_call call, int *ret_code);

void disk_install(disk_ask *before, uint64_t (*dice)(void), int64_t (*now_ms)(void));
/* Nothing is on it; or what was there when it was remembered. */
void disk_clear(void);
void disk_remember(void);
void disk_recall(void);
/* From here on nothing reaches it (a dead process' calls), until false. */
void disk_freeze(bool frozen);
/* Somebody looks at what there is: nothing fails meanwhile. */
void disk_look(bool looking);
/* The power goes and comes back; nobody has a file open. */
void disk_power(enum power p);
/* The n-th allocation from now fails, and `count` of them; 0: none. */
void disk_fail_allocations(int64_t n, int64_t count);
/* Since the last call to disk_fail_allocations(). */
bool disk_allocation_failed(void);

#endif
