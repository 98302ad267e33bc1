/*
 * The memory that processes share: created by the supervisor, handed over as descriptors, mapped by the
 * children. Sizes are sealed, so that no holder can shrink a segment under another. The supervisor owns the
 * descriptors for its whole life.
 */
#ifndef PROC_SHARED_H
#define PROC_SHARED_H

#include "ticket/board.h"
#include "ticket/catalogue.h"
#include "ticket/circuit.h"
#include "ticket/counters.h"
#include "ticket/key_table.h"
#include "ticket/tally.h"

enum { COUNTERS_STRIDE = 4096 }; /* a page per edge, each maps its own only; those of the supervisor behind them, then the circuits, which all edges map */
_Static_assert(sizeof(struct counters) <= COUNTERS_STRIDE, "an edge's counters fit their page");

struct shared {
	int board_fd, keys_fd, keys_read_fd, counters_fd, counters_read_fd;
	struct board *board;
	struct counters *counters; /* of edge 0; use shared_counters() */
};

/* What each generation has of its own. Descriptors are -1 when there is none. */
struct shared_catalogue {
	int catalogue_fd, tally_fd, tally_read_fd;
	size_t catalogue_bytes, tally_bytes;
};

/* Supervisor. ret_why names the part that failed; errno says why. */
must_check bool shared_create(struct shared *s, const struct board_size *size, const char **ret_why);
/* Another supervisor made it: maps what the descriptors name. False: not of a layout that this build can use. */
must_check bool shared_adopt(struct shared *s);
/* False: errno says why, and nothing is left open. */
must_check bool shared_create_catalogue(struct shared_catalogue *c, const void *catalogue, size_t catalogue_bytes);
void shared_close_catalogue(struct shared_catalogue *c);
struct counters *shared_counters(const struct shared *s, uint32_t edge);
struct process_counters *shared_processes(const struct shared *s, uint32_t edges);

/*
 * Children: map the whole of it (bytes as the descriptor says) and close the descriptor. NULL: can't, or not of
 * this build.
 */
must_check struct board *shared_map_board(int fd);
must_check struct key_table *shared_map_keys(int fd, bool write);
must_check const struct catalogue *shared_map_catalogue(int fd);
must_check struct counters *shared_map_counters(int fd, uint32_t edge);
/* *ret_circuits: what lies behind them, or NULL: an older build made the memory, which had none. */
must_check const void *shared_map_all_counters(int fd, uint32_t edges, const struct circuits **ret_circuits);
/* For an edge: what the supervisor tells of processes and machine, and nothing of other edges. */
must_check const struct process_counters *shared_map_processes(int fd, uint32_t edges);
/* For an edge; before shared_map_counters(), which closes the descriptor. NULL: there are none. */
struct circuits *shared_map_circuits(int fd, uint32_t edges);
must_check struct tally *shared_map_tally(int fd, const struct catalogue *c, bool write);

/*
 * A locked-down child changes over: both descriptors are the callee's, and the sizes are what the supervisor says. False: it can't be, and
 * nothing is left mapped.
 */
must_check bool shared_map_pair(const int fds[2], const size_t bytes[2], bool write, const struct catalogue **ret_catalogue, struct tally **ret_tally);
/* Of the supervisor itself; NULL: an older build made the memory, without them. */
const struct circuits *shared_circuits(const struct shared *s, uint32_t edges);
void shared_unmap_pair(const struct catalogue *c, struct tally **t);

#endif
