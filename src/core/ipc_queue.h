/*
 * Messages that a neighbour's socket did not take at once, in order, bounded. Any process that may allocate
 * (not the edge); the caller has the struct. Queued copies are wiped when they go: secrets pass through here.
 */
#ifndef CORE_IPC_QUEUE_H
#define CORE_IPC_QUEUE_H

#include "core/ipc.h"

struct ipc_queued;

struct ipc_queue {
	struct ipc_queued *first, **tail;
	uint32_t count, bound;
};

void ipc_queue_init(struct ipc_queue *o, uint32_t bound);
/* Drops what waits and closes the descriptors with it. */
void ipc_queue_finish(struct ipc_queue *o);

/*
 * Send now or queue. IPC_OK: pass_fd (or -1) is the ipc_queue's from here and is closed when it has gone.
 * IPC_AGAIN: full; IPC_CLOSED: the neighbour is gone; in both pass_fd stays the caller's.
 */
must_check enum ipc_result ipc_queue_send(
	struct ipc_queue *o, int fd, const void *message, size_t bytes, int pass_fd);

/* The socket takes more. IPC_OK: nothing waits any longer. */
enum ipc_result ipc_queue_flush(struct ipc_queue *o, int fd);

static inline bool
ipc_queue_full(const struct ipc_queue *o)
{
	return o->count >= o->bound;
}

#endif
