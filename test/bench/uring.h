/*
 * An io_uring by its system calls alone, as much of it as a relay needs: one thread, requests are
 * collected and handed over together with the wait for answers. Bench only; the caller owns the
 * struct, and the ring lives as long as the process.
 */
#ifndef BENCH_URING_H
#define BENCH_URING_H

#include "core/base.h"

#include <linux/io_uring.h>

struct uring {
	int fd;
	unsigned *sq_head, *sq_tail, *cq_head, *cq_tail;
	unsigned sq_mask, cq_mask, entries;
	unsigned unsubmitted;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

/* entries: a power of two; the queue of answers is eight times as long. False with errno. */
must_check bool uring_init(struct uring *u, unsigned entries);

/* An empty request; those before it are handed over first when there is no room. Valid until the next call. */
must_check struct io_uring_sqe *uring_request(struct uring *u);

/* Hands over what was collected and waits for at least one answer. */
void uring_wait(struct uring *u);

/* The next answer. False: none. */
must_check bool uring_answer(struct uring *u, uint64_t *ret_data, int *ret_result);

#endif
