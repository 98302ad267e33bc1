#include "uring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *
map(int fd, size_t bytes, off_t at)
{
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, at);
	return memory == MAP_FAILED ? NULL : memory;
}

static unsigned *
word(char *ring, unsigned offset)
{
	return (unsigned *)(void *)(ring + offset);
}

static bool
map_rings(struct uring *u, const struct io_uring_params *p)
{
	size_t sq_bytes = p->sq_off.array + p->sq_entries * sizeof(unsigned);
	size_t cq_bytes = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	char *sq = map(u->fd, sq_bytes, IORING_OFF_SQ_RING), *cq = map(u->fd, cq_bytes, IORING_OFF_CQ_RING);
	char *sqes = map(u->fd, p->sq_entries * sizeof *u->sqes, IORING_OFF_SQES);
	if (!sq || !cq || !sqes)
		return false;
	u->sq_head = word(sq, p->sq_off.head);
	u->sq_tail = word(sq, p->sq_off.tail);
	u->sq_mask = *word(sq, p->sq_off.ring_mask);
	u->cq_head = word(cq, p->cq_off.head);
	u->cq_tail = word(cq, p->cq_off.tail);
	u->cq_mask = *word(cq, p->cq_off.ring_mask);
	u->cqes = (void *)(cq + p->cq_off.cqes);
	u->sqes = (void *)sqes;
	for (unsigned i = 0; i < p->sq_entries; i++)
		word(sq, p->sq_off.array)[i] = i;
	return true;
}

/* The two flags are what io_uring's authors advise for one thread: answers are completed when it waits, not by interrupting it. */
bool
uring_init(struct uring *u, unsigned entries)
{
	struct io_uring_params p = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		.cq_entries = 8 * entries,
	};
	memset(u, 0, sizeof *u);
	u->entries = entries;
	u->fd = (int)syscall(SYS_io_uring_setup, entries, &p);
	return u->fd >= 0 && map_rings(u, &p);
}

static void
enter(struct uring *u, unsigned wanted)
{
	int n;
	do
		n = (int)syscall(SYS_io_uring_enter, u->fd, u->unsubmitted, wanted, IORING_ENTER_GETEVENTS, NULL, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EBUSY && errno != EAGAIN) {
		perror("io_uring_enter");
		exit(1);
	}
	u->unsubmitted -= n > 0 ? (unsigned)n : 0;
}

struct io_uring_sqe *
uring_request(struct uring *u)
{
	while (*u->sq_tail - __atomic_load_n(u->sq_head, __ATOMIC_ACQUIRE) >= u->entries)
		enter(u, 0);
	struct io_uring_sqe *sqe = &u->sqes[*u->sq_tail & u->sq_mask];
	memset(sqe, 0, sizeof *sqe);
	__atomic_store_n(u->sq_tail, *u->sq_tail + 1, __ATOMIC_RELEASE); /* read by the kernel in enter() alone */
	u->unsubmitted++;
	return sqe;
}

void
uring_wait(struct uring *u)
{
	enter(u, 1);
}

bool
uring_answer(struct uring *u, uint64_t *ret_data, int *ret_result)
{
	unsigned head = *u->cq_head;
	if (head == __atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE))
		return false;
	const struct io_uring_cqe *cqe = &u->cqes[head & u->cq_mask];
	*ret_data = cqe->user_data;
	*ret_result = cqe->res;
	__atomic_store_n(u->cq_head, head + 1, __ATOMIC_RELEASE);
	return true;
}
