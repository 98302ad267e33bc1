/*
 * An event loop: epoll, edge-triggered, one thread. Edge, dialer, scribe and supervisor run one each; the caller embeds watches and timers.
 *
 * A watch is registered once for both directions; readiness is remembered in its flags until the owner has used it up, so nothing is asked of the
 * kernel when interest changes. No callback runs inside the function that registered it; after loop_forget none comes. Memory of a forgotten
 * watch may be used again after the turn (loop_defer).
 */
#ifndef CORE_LOOP_H
#define CORE_LOOP_H

#include "core/base.h"

enum {
	LOOP_READABLE = 1, /* data or end of file may be there */
	LOOP_WRITABLE = 2,
	LOOP_HANGUP = 4, /* the peer sent FIN */
	LOOP_ERROR = 8,
};

struct watch {
	void (*ready)(struct watch *w); /* called with w->flags updated, those of all watches of the turn; somebody may have used them up meanwhile */
	struct watch *again_next; /* in the run queue */
	int fd;
	uint16_t flags;
	bool queued;
};

struct timer {
	struct timer *next, **link; /* in a slot of the wheel; link is NULL when not armed */
	uint64_t at_ms;
	void (*fire)(struct timer *t);
};

/* Something to be freed when the turn is over. */
struct deferred {
	struct deferred *next;
	void (*run)(struct deferred *d, void *arg);
};

enum { WHEEL_SLOTS = 4096,
	WHEEL_TICK_MS = 4 };

struct loop {
	int epoll_fd;
	bool stop;
	uint64_t now_ms; /* refreshed once a turn */
	uint64_t turns; /* that have begun */
	uint64_t (*clock_ms)(void); /* CLOCK_MONOTONIC, unless a test has its own */
	struct watch alarm; /* loop_keep_alarm(); fd -1: none */
	uint64_t alarm_at_ms; /* it rings then, if that is not over */
	uint64_t wheel_at; /* tick that was last run */
	uint64_t timers;
	struct watch *again, **again_tail;
	struct deferred *deferred;
	void *deferred_arg;
	struct timer *slot[WHEEL_SLOTS];
	uint64_t occupied[WHEEL_SLOTS / 64], some; /* a bit per slot that may hold a timer; per word of them */
	void (*turn_end)(struct loop *l); /* after each turn, may be NULL */
	void *turn_arg;
};

/* The caller has the memory. False with errno when epoll can't be had. */
must_check bool loop_init(struct loop *l);
void loop_finish(struct loop *l);

/*
 * A loop that turns often and has timers that seldom are the next: the kernel is told when that one is due once, and not with each wait, which would cost 0.6
 * to 0.9 µs where it comes to waiting. False with errno when the kernel has no descriptor for it.
 */
must_check bool loop_keep_alarm(struct loop *l);

/* Runs until l->stop. */
void loop_run(struct loop *l);
/* One turn: waits at most max_wait_ms (-1: until something comes). */
void loop_turn(struct loop *l, int max_wait_ms);

must_check bool loop_watch(struct loop *l, struct watch *w, int fd, void (*ready)(struct watch *w));
/* A listener shared by several processes: level-triggered, one is woken (EPOLLEXCLUSIVE). */
must_check bool loop_watch_listener(struct loop *l, struct watch *w, int fd, void (*ready)(struct watch *w));
/* How long the next turn may wait for events: milliseconds, -1 for ever. */
int loop_wait_ms(const struct loop *l);
/* The descriptor stays the caller's. */
void loop_forget(struct loop *l, struct watch *w);
/* Call w->ready again in this turn, after the others. */
void loop_again(struct loop *l, struct watch *w);
void loop_defer(struct loop *l, struct deferred *d, void (*run)(struct deferred *d, void *arg));

/* Arm or move. Rounded up to a tick. */
void timer_arm(struct loop *l, struct timer *t, uint64_t at_ms, void (*fire)(struct timer *t));
void timer_cancel(struct loop *l, struct timer *t);

uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_us(void);
uint64_t clock_wall_us(void);

#endif
