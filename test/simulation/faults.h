/*
 * Everything that can go wrong in the simulation. The report counts each row; a long run in which one was never met has failed.
 * Tests only.
 *
 * X(NAME, name in the report, what it is)
 */
#ifndef SIMULATION_FAULTS_H
#define SIMULATION_FAULTS_H

#define FAULTS(X) \
	X(WRITE_FAILS, "write-fails", "EIO at a write to the store, nothing of it done") \
	X(WRITE_TORN, "write-torn", "EIO at a write, half of it done") \
	X(WRITE_UNTOLD, "write-untold", "EIO at a write that was done") \
	X(DISK_FULL, "disk-full", "ENOSPC at some writes one after another") \
	X(DISK_DEAD, "disk-dead", "EIO at every write, sync and truncation until somebody mends the disk") \
	X(SYNC_FAILS, "sync-fails", "EIO at a sync that was not done") \
	X(SYNC_UNTOLD, "sync-untold", "EIO at a sync that was done: the outcome of the commit is unknown") \
	X(SYNC_DROPS, "sync-drops", "EIO at a sync, and what was to be synced will not be by a later one either") \
	X(TRUNCATE_FAILS, "truncate-fails", "EIO at a truncation") \
	X(READ_FAILS, "read-fails", "EIO at a read") \
	X(OPEN_FAILS, "open-fails", "the store's file can't be opened") \
	X(DISK_SLOW, "disk-slow", "a write or sync takes up to half a minute") \
	X(NO_MEMORY, "no-memory", "one allocation of the store fails") \
	X(MEMORY_GONE, "memory-gone", "all allocations of the store fail for a while") \
	X(POWER_LOST, "power-lost", "the power goes: what was not synced is lost") \
	X(POWER_KEPT, "power-kept", "the power goes: what was not synced is there all the same") \
	X(POWER_MIXED, "power-mixed", "the power goes: some of what was not synced is there, and not the oldest of it") \
	X(POWER_TORN, "power-torn", "the power goes: of what was not synced some sectors are there") \
	X(POWER_MIDWAY, "power-midway", "the power goes while the ledger is in the middle of something") \
	X(LEDGER_KILLED, "ledger-killed", "SIGKILL between two operations") \
	X(LEDGER_KILLED_DISK, "ledger-killed-at-disk", "SIGKILL before or after a call to the disk") \
	X(LEDGER_KILLED_BOARD, "ledger-killed-at-board", "SIGKILL between two accesses to the board") \
	X(LEDGER_KILLED_START, "ledger-killed-in-start", "SIGKILL while it takes over") \
	X(LEDGER_HELD_UP, "ledger-held-up", "stopped between two accesses to the board while edges go on") \
	X(EDGE_KILLED, "edge-killed", "SIGKILL with open exchanges") \
	X(EDGE_KILLED_TAKE, "edge-killed-in-take", "SIGKILL between two accesses of a reservation") \
	X(EDGE_KILLED_EXTEND, "edge-killed-in-extend", "SIGKILL between two accesses of an extension") \
	X(EDGE_KILLED_SETTLE, "edge-killed-in-settle", "SIGKILL between two accesses of a hand-in") \
	X(EDGE_HELD_UP, "edge-held-up", "stopped between two accesses to the board while others go on") \
	X(REAPED_LATE, "reaped-late", "nobody notices for a while that an edge has died") \
	X(UPGRADE, "upgrade", "a new generation of edges beside the old one, and the next ledger after one that ended in order") \
	X(CLOCK_AHEAD, "clock-ahead", "the wall clock jumps by hours, days or months") \
	X(CLOCK_BACK, "clock-back", "the wall clock is set back by up to two hours") \
	X(CLOCK_FROZEN, "clock-frozen", "both clocks stand still") \
	X(ORDER_LOST, "order-lost", "an order does not arrive") \
	X(ORDER_DOUBLED, "order-doubled", "an order arrives again") \
	X(ORDER_LATE, "order-late", "an order arrives after those that were given later") \
	X(ANSWER_LOST, "answer-lost", "an order is done, its giver never hears of it and asks again") \
	X(OTHER_CONTENT, "other-content", "an id comes again with another order") \
	X(LOAD_LOST, "load-lost", "an edge asks for an account and nobody answers") \
	X(LOAD_LATE, "load-late", "the answer says where the account was some time ago") \
	X(SLAB_FULL, "slab-full", "an edge has no ticket left") \
	X(SLOT_MOVED, "slot-moved", "an account was evicted from the board since it was last used") \
	X(BOARD_FULL, "board-full", "no account is idle enough to make room for another") \
	X(FORGED_COST, "forged-cost", "a mad edge hands in a ticket that costs more than its hold") \
	X(FORGED_ACCOUNT, "forged-account", "a mad edge hands in a ticket that another account pays") \
	X(FORGED_ID, "forged-id", "a mad edge hands in a ticket by the id of one that is booked") \
	X(KEY_REVOKED, "key-revoked", "a key is revoked while requests run on it") \
	X(LIMIT_CHANGED, "limit-changed", "a limit of money becomes another while requests run under it") \
	X(LEDGER_KILLED_GIVING, "ledger-killed-giving", "SIGKILL while what was held on two rows is given back") \
	X(WINDOW_FULL, "window-full", "a limit of money has nothing left for who has enough on the account") \
	X(WINDOW_OVER, "window-over", "a window of a limit of money ends while requests run in it") \
	X(LIMIT_LOWERED, "limit-lowered", "a limit of money becomes less than what is used and held of it") \
	X(LIMIT_REMOVED, "limit-removed", "a limit of money is taken off")

enum fault {
	FAULT_NONE,
#define X(NAME, name, meaning) FAULT_##NAME,
	FAULTS(X)
#undef X
		FAULT_COUNT
};

#endif
