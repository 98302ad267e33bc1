#include "core/loop.h"

#include "core/registers.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_PER_TURN = 512 };

uint64_t
clock_monotonic_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t
clock_monotonic_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t
clock_wall_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

bool
loop_init(struct loop *l)
{
	memset(l, 0, sizeof *l);
	l->again_tail = &l->again;
	l->alarm.fd = -1;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->clock_ms = clock_monotonic_ms;
	l->now_ms = l->clock_ms();
	l->wheel_at = l->now_ms / WHEEL_TICK_MS;
	return l->epoll_fd >= 0;
}

void
loop_finish(struct loop *l)
{
	if (l->alarm.fd >= 0)
		close(l->alarm.fd);
	close(l->epoll_fd);
	l->epoll_fd = l->alarm.fd = -1;
}

static bool
watch_add(struct loop *l, struct watch *w, int fd, uint32_t events, void (*ready)(struct watch *w))
{
	struct epoll_event e = {.events = events, .data.ptr = w};
	*w = (struct watch){.ready = ready, .fd = fd};
	return epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &e) == 0;
}

bool
loop_watch(struct loop *l, struct watch *w, int fd, void (*ready)(struct watch *w))
{
	return watch_add(l, w, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, ready);
}

bool
loop_watch_listener(struct loop *l, struct watch *w, int fd, void (*ready)(struct watch *w))
{
	return watch_add(l, w, fd, EPOLLIN | EPOLLEXCLUSIVE, ready);
}

/* That the turn has begun is all that was wanted. */
static void
alarm_rings(struct watch *w)
{
	w->flags = 0;
}

bool
loop_keep_alarm(struct loop *l)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (fd < 0)
		return false;
	if (loop_watch(l, &l->alarm, fd, alarm_rings)) /* by edge: each ringing is told anew, and never has to be read */
		return true;
	close(fd);
	l->alarm.fd = -1;
	return false;
}

static void
unqueue(struct loop *l, struct watch *w)
{
	struct watch **p = &l->again;
	while (*p && *p != w)
		p = &(*p)->again_next;
	if (*p == w) {
		*p = w->again_next;
		if (l->again_tail == &w->again_next)
			l->again_tail = p;
	}
	w->queued = false;
}

void
loop_forget(struct loop *l, struct watch *w)
{
	if (w->fd < 0)
		return;
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	if (w->queued)
		unqueue(l, w);
	w->fd = -1; /* events of this turn that still name the watch are skipped */
	w->flags = 0;
}

void
loop_again(struct loop *l, struct watch *w)
{
	if (w->queued || w->fd < 0)
		return;
	w->queued = true;
	w->again_next = NULL;
	*l->again_tail = w;
	l->again_tail = &w->again_next;
}

void
loop_defer(struct loop *l, struct deferred *d, void (*run)(struct deferred *d, void *arg))
{
	d->run = run;
	d->next = l->deferred;
	l->deferred = d;
}

/* ---- timers: one wheel; a timer further away than a revolution is looked at once per revolution ---- */

void
timer_cancel(struct loop *l, struct timer *t)
{
	if (!t->link)
		return;
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	t->link = NULL;
	l->timers--;
}

void
timer_arm(struct loop *l, struct timer *t, uint64_t at_ms, void (*fire)(struct timer *t))
{
	timer_cancel(l, t);
	uint64_t tick = (at_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
	if (tick <= l->wheel_at)
		tick = l->wheel_at + 1;
	size_t i = tick % WHEEL_SLOTS;
	t->at_ms = at_ms;
	t->fire = fire;
	t->next = l->slot[i];
	t->link = &l->slot[i];
	if (t->next)
		t->next->link = &t->next;
	l->slot[i] = t;
	l->occupied[i / 64] |= 1ULL << (i % 64);
	l->some |= 1ULL << (i / 64);
	l->timers++;
}

static void
run_slot(struct loop *l, size_t i)
{
	struct timer *due = NULL, *t = l->slot[i], *next;
	/* Taken off first: a callback may arm, cancel or free any timer, itself included. */
	for (; t; t = next) {
		next = t->next;
		if (t->at_ms > l->now_ms)
			continue;
		timer_cancel(l, t);
		t->next = due;
		t->link = &due;
		if (due)
			due->link = &t->next;
		due = t;
		l->timers++;
	}
	if (!l->slot[i])
		l->occupied[i / 64] &= ~(1ULL << (i % 64));
	if (!l->occupied[i / 64])
		l->some &= ~(1ULL << (i / 64));
	while ((t = due)) {
		timer_cancel(l, t);
		t->fire(t);
	}
}

static void
run_timers(struct loop *l)
{
	uint64_t tick = l->now_ms / WHEEL_TICK_MS;
	if (tick - l->wheel_at > WHEEL_SLOTS)
		l->wheel_at = tick - WHEEL_SLOTS;
	while (l->wheel_at < tick) {
		size_t i = ++l->wheel_at % WHEEL_SLOTS;
		if (l->occupied[i / 64] & 1ULL << (i % 64))
			run_slot(l, i);
	}
}

_Static_assert(WHEEL_SLOTS == 64 * 64, "a bit for each word of 64 slots");

/* Slots from `from` on to the first that is occupied, around the wheel; a revolution when none is. */
static size_t
slots_ahead(const struct loop *l, size_t from)
{
	size_t word = from / 64, bit = from % 64;
	uint64_t here = l->occupied[word] >> bit;
	if (here)
		return (size_t)__builtin_ctzll(here);
	size_t next = (word + 1) % 64;
	uint64_t others = l->some >> next | l->some << (64 - next) % 64; /* the last of them is this word again, with the slots before `from` */
	if (!others)
		return WHEEL_SLOTS;
	size_t words = (size_t)__builtin_ctzll(others);
	return (words + 1) * 64 - bit + (size_t)__builtin_ctzll(l->occupied[(next + words) % 64]);
}

int
loop_wait_ms(const struct loop *l)
{
	if (l->again)
		return 0;
	if (!l->timers)
		return -1;
	size_t n = slots_ahead(l, (l->wheel_at + 1) % WHEEL_SLOTS);
	if (n >= WHEEL_SLOTS)
		return WHEEL_TICK_MS;
	uint64_t at_ms = (l->wheel_at + 1 + n) * WHEEL_TICK_MS;
	return at_ms > l->now_ms ? (int)(at_ms - l->now_ms) : 0;
}

static void
run_again(struct loop *l)
{
	/* Only as many as were queued before: what queues itself anew waits for the next turn, so that nobody starves the sockets. */
	size_t count = 0;
	for (const struct watch *w = l->again; w; w = w->again_next)
		count++;
	while (count-- && l->again) {
		struct watch *w = l->again;
		l->again = w->again_next;
		if (!l->again)
			l->again_tail = &l->again;
		w->queued = false;
		w->ready(w);
	}
}

static void
run_deferred(struct loop *l)
{
	while (l->deferred) {
		struct deferred *d = l->deferred;
		l->deferred = d->next;
		d->run(d, l->deferred_arg);
	}
}

static uint16_t
flags_of(uint32_t events)
{
	uint16_t flags = 0;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP | EPOLLERR))
		flags |= LOOP_READABLE;
	if (events & EPOLLOUT)
		flags |= LOOP_WRITABLE;
	if (events & (EPOLLRDHUP | EPOLLHUP))
		flags |= LOOP_HANGUP;
	if (events & EPOLLERR)
		flags |= LOOP_ERROR;
	return flags;
}

/* It rings at that time, or earlier and in vain: what was due then has been put off since. */
static void
set_alarm(struct loop *l, uint64_t at_ms)
{
	if (l->alarm_at_ms > l->now_ms && l->alarm_at_ms <= at_ms)
		return;
	struct itimerspec t = {.it_value = {.tv_sec = (time_t)(at_ms / 1000), .tv_nsec = (long)(at_ms % 1000 * 1000000)}};
	int r = timerfd_settime(l->alarm.fd, TFD_TIMER_ABSTIME, &t, NULL);
	assert(r == 0);
	l->alarm_at_ms = at_ms;
}

/* How long the kernel is to wait; -1: until something comes. */
static int
wait_for(struct loop *l, int max_wait_ms)
{
	int wait = loop_wait_ms(l);
	if (max_wait_ms >= 0)
		return wait < 0 || wait > max_wait_ms ? max_wait_ms : wait;
	if (wait <= 0 || l->alarm.fd < 0)
		return wait;
	set_alarm(l, l->now_ms + (uint64_t)wait);
	return -1;
}

void
loop_turn(struct loop *l, int max_wait_ms)
{
	struct epoll_event e[EVENTS_PER_TURN];
	int wait = wait_for(l, max_wait_ms);
	registers_wipe();
	int n = epoll_wait(l->epoll_fd, e, EVENTS_PER_TURN, wait);
	assert(n >= 0 || errno == EINTR);
	l->now_ms = l->clock_ms();
	l->turns++;
	for (int i = 0; i < n; i++) { /* whoever is called knows of every other watch what has come for it */
		struct watch *w = e[i].data.ptr;
		w->flags |= flags_of(e[i].events);
	}
	for (int i = 0; i < n; i++) {
		struct watch *w = e[i].data.ptr;
		if (w->fd >= 0)
			w->ready(w);
	}
	run_again(l);
	run_timers(l);
	if (l->turn_end)
		l->turn_end(l);
	run_deferred(l);
}

void
loop_run(struct loop *l)
{
	while (!l->stop)
		loop_turn(l, -1);
}
