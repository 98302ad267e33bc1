#include "dialer/dial.h"

#include "dialer/dialer.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum { KEEPALIVE_S = 60 };

struct attempt {
	struct watch watch;
	struct dial *dial;
	bool open;
};

struct dial {
	struct dial *next, **link;
	struct deferred gone; /* its watches may still be named in this turn */
	struct dials *dials;
	void *asker;
	uint64_t token;
	uint32_t provider;
	uint32_t tried; /* addresses */
	uint32_t trying;
	enum connect_result failed; /* what to say when nothing is left */
	bool ended;
	struct timer deadline, stagger;
	struct name_question question;
	struct attempt attempt[NAME_ADDRESSES_MAX];
	uint32_t count;
	struct address address[NAME_ADDRESSES_MAX]; /* own copy: the cache may change meanwhile */
};

static void
dial_free(struct deferred *gone, void *arg)
{
	free(container_of(gone, struct dial, gone));
}

/* Closes everything but the descriptor that won. */
static void
dial_end(struct dial *d, int keep_fd)
{
	struct loop *l = d->dials->loop;
	assert(!d->ended);
	d->ended = true;
	for (uint32_t i = 0; i < d->tried; i++) {
		int fd = d->attempt[i].watch.fd;
		if (!d->attempt[i].open)
			continue;
		loop_forget(l, &d->attempt[i].watch);
		if (fd != keep_fd)
			close(fd);
	}
	timer_cancel(l, &d->deadline);
	timer_cancel(l, &d->stagger);
	names_forget(&d->question);
	*d->link = d->next;
	if (d->next)
		d->next->link = d->link;
	loop_defer(l, &d->gone, dial_free);
}

static void
dial_answer(struct dial *d, enum connect_result result, int fd)
{
	struct message_connected m = MESSAGE_INIT(CONNECTED, message_connected);
	m.token = d->token;
	m.provider = d->provider;
	m.result = result;
	dial_end(d, fd);
	d->dials->answer(d->dials, d->asker, &m, fd);
}

static void
socket_options(int fd)
{
	int on = 1, idle_s = KEEPALIVE_S;
	/* Neither is needed for a correct answer, only for a fast or an early one. */
	(void)!setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void)!setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	(void)!setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
}

static void dial_next(struct dial *d);

static void
attempt_ready(struct watch *w)
{
	struct attempt *a = container_of(w, struct attempt, watch);
	struct dial *d = a->dial;
	int error = 0, fd = w->fd;
	socklen_t len = sizeof error;
	if (!(w->flags & (LOOP_WRITABLE | LOOP_ERROR)))
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0 && !(w->flags & LOOP_ERROR)) {
		d->dials->names->name[d->provider].last_family = d->address[a - d->attempt].any.sa_family;
		dial_answer(d, CONNECT_OK, fd);
		return;
	}
	loop_forget(d->dials->loop, w);
	close(fd);
	a->open = false;
	d->trying--;
	dial_next(d);
}

/* False: this address failed at once. */
static bool
attempt_start(struct dial *d, struct attempt *a, const struct address *to)
{
	int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			d->failed = CONNECT_LIMIT;
		return false;
	}
	socket_options(fd);
	if (connect(fd, &to->any, to->len) != 0 && errno != EINPROGRESS)
		goto out;
	a->dial = d;
	if (!loop_watch(d->dials->loop, &a->watch, fd, attempt_ready))
		goto out;
	a->open = true;
	d->trying++;
	return true;
out:
	close(fd);
	return false;
}

static void
stagger_fired(struct timer *t)
{
	dial_next(container_of(t, struct dial, stagger));
}

/* Start with the next address; when none is left and none is being tried, it has failed. */
static void
dial_next(struct dial *d)
{
	struct loop *l = d->dials->loop;
	timer_cancel(l, &d->stagger);
	while (d->tried < d->count) {
		uint32_t i = d->tried++;
		if (!attempt_start(d, &d->attempt[i], &d->address[i]))
			continue;
		if (d->tried < d->count)
			timer_arm(l, &d->stagger, l->now_ms + DIAL_STAGGER_MS, stagger_fired);
		return;
	}
	if (d->trying == 0)
		dial_answer(d, d->failed, -1);
}

static void
dial_addresses(struct dial *d)
{
	const struct name *n = &d->dials->names->name[d->provider];
	if (n->state != NAME_KNOWN) {
		dial_answer(d, CONNECT_NAME, -1);
		return;
	}
	d->count = n->count;
	for (uint32_t i = 0; i < n->count; i++)
		d->address[i] = n->address[i];
	dial_next(d);
}

static void
question_answered(struct name_question *q)
{
	dial_addresses(container_of(q, struct dial, question));
}

static void
deadline_fired(struct timer *t)
{
	dial_answer(container_of(t, struct dial, deadline), CONNECT_TIMEOUT, -1);
}

static struct dial *
dial_create(struct dials *ds, void *asker, const struct message_connect *m)
{
	struct dial *d = calloc(1, sizeof *d);
	assert(d);
	d->dials = ds;
	d->asker = asker;
	d->token = m->token;
	d->provider = m->provider;
	d->failed = CONNECT_REFUSED;
	d->question.answered = question_answered;
	d->next = ds->first;
	if (d->next)
		d->next->link = &d->next;
	ds->first = d;
	d->link = &ds->first;
	return d;
}

static void
refuse(struct dials *ds, void *asker, const struct message_connect *m, enum connect_result why)
{
	struct message_connected answer = MESSAGE_INIT(CONNECTED, message_connected);
	answer.token = m->token;
	answer.provider = m->provider;
	answer.result = why;
	ds->answer(ds, asker, &answer, -1);
}

void
dial_start(struct dials *ds, void *asker, const struct message_connect *m)
{
	struct loop *l = ds->loop;
	if (m->provider >= ds->names->count || (m->provider >= ds->providers && asker != ds->own)) {
		refuse(ds, asker, m, CONNECT_REFUSED);
		return;
	}
	struct dial *d = dial_create(ds, asker, m);
	uint32_t timeout_ms =
		m->timeout_ms == 0 || m->timeout_ms > DIAL_TIMEOUT_MS_MAX ? DIAL_TIMEOUT_MS_MAX : m->timeout_ms;
	timer_arm(l, &d->deadline, l->now_ms + timeout_ms, deadline_fired);
	if (names_ask(ds->names, m->provider, &d->question) != NAME_UNKNOWN)
		dial_addresses(d);
}

void
dials_drop(struct dials *ds, const void *asker)
{
	struct dial *next;
	for (struct dial *d = ds->first; d; d = next) {
		next = d->next;
		if (!asker || d->asker == asker)
			dial_end(d, -1);
	}
}
