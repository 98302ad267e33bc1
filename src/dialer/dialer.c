#include "dialer/dialer.h"

#include "dialer/dial.h"
#include "ticket/events.h"
#include "ticket/port.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINGER_MS = 3500, /* after the supervisor: as long as edges may need connections for what still runs */
	COLLECTOR_TIMEOUT_MS = 8000, /* the scribe waits a little longer */
	REST_MS = 10000 /* nobody is dialled for so long: memory goes back */ };

struct edge_peer {
	struct port port;
	uint32_t dialing;
};

struct dialer {
	struct loop loop;
	const struct catalogue *catalogue;
	struct names names;
	struct dials dials;
	struct port supervisor, scribe;
	struct edge_peer *edge;
	uint32_t edge_count;
	struct timer linger, rest;
	bool orphaned;
	bool dials_collector;
};

static void
report(struct dialer *d, enum event_id event, uint64_t number)
{
	struct message_event m = MESSAGE_INIT(EVENT, message_event);
	m.event = (uint16_t)event;
	m.role = END_OF_DIALER;
	m.numbers[0] = number;
	(void)!port_send(
		&d->scribe, &m, sizeof m, -1); /* a report that can't be taken is lost; nothing depends on it */
}

/* What many dials at once have taken of memory goes back to the kernel behind them. */
static void
rested(struct timer *t)
{
	(void)malloc_trim(0);
}

/* ---- edges ---- */

/* Requests are taken as long as there is room for their answers: none is ever lost. */
static void
edge_pace(struct edge_peer *e)
{
	if (e->dialing + e->port.out.count >= DIALS_PER_EDGE)
		port_pause(&e->port);
	else
		port_resume(&e->port);
}

static void
edge_drained(struct port *p)
{
	edge_pace(container_of(p, struct edge_peer, port));
}

/* Whoever asked once more meanwhile gets this one. */
static void
collector_dialled(struct dialer *d, int fd)
{
	struct message_plain m = MESSAGE_INIT(COLLECTOR_DIALLED, message_plain);
	d->dials_collector = false;
	if (port_send(&d->supervisor, &m, sizeof m, fd) != IPC_OK && fd >= 0)
		close(fd);
}

static void
dial_collector(struct dialer *d)
{
	struct message_connect m = MESSAGE_INIT(CONNECT, message_connect);
	m.provider = d->catalogue->provider_count;
	m.timeout_ms = COLLECTOR_TIMEOUT_MS;
	if (d->dials_collector)
		return;
	d->dials_collector = true;
	dial_start(&d->dials, d, &m);
}

static void
edge_answer(struct dials *dials, void *asker, const struct message_connected *m, int fd)
{
	struct dialer *d = container_of(dials, struct dialer, dials);
	struct edge_peer *e = asker;
	timer_arm(&d->loop, &d->rest, d->loop.now_ms + REST_MS, rested);
	if (asker == d) {
		collector_dialled(d, fd);
		return;
	}
	e->dialing--;
	if (m->result == CONNECT_NAME && d->names.name[m->provider].refused_inner)
		report(d, EVENT_ADDRESS_REFUSED, catalogue_provider(d->catalogue, m->provider)->id);
	if (port_send(&e->port, m, sizeof *m, fd) != IPC_OK && fd >= 0)
		close(fd); /* the edge is gone */
	edge_pace(e);
}

static void
edge_message(struct port *p, const void *message, int pass_fd)
{
	struct dialer *d = container_of(p->loop, struct dialer, loop);
	struct edge_peer *e = container_of(p, struct edge_peer, port);
	const struct message_head *h = message;
	assert(h->type == MESSAGE_CONNECT && pass_fd < 0);
	e->dialing++;
	dial_start(&d->dials, e, message);
	edge_pace(e);
}

static void
edge_drop(struct dialer *d, struct edge_peer *e)
{
	dials_drop(&d->dials, e);
	e->dialing = 0;
}

static void
end_if_alone(struct dialer *d)
{
	for (uint32_t i = 0; i < d->edge_count; i++)
		if (port_is_open(&d->edge[i].port))
			return;
	if (d->orphaned)
		d->loop.stop = true;
}

static void
edge_closed(struct port *p)
{
	struct dialer *d = container_of(p->loop, struct dialer, loop);
	edge_drop(d, container_of(p, struct edge_peer, port));
	end_if_alone(d);
}

static bool
edge_open(struct dialer *d, uint32_t instance, int fd)
{
	struct port *p = &d->edge[instance].port;
	p->self = END_OF_DIALER;
	p->peer = END_OF_EDGE;
	p->instance = (uint16_t)instance;
	p->message = edge_message;
	p->closed = edge_closed;
	p->drained = edge_drained;
	p->queue_max = DIALS_PER_EDGE;
	return port_open(p, &d->loop, fd);
}

/* ---- supervisor and scribe ---- */

static void
linger_over(struct timer *t)
{
	container_of(t, struct dialer, linger)->loop.stop = true;
}

static void
supervisor_closed(struct port *p)
{
	struct dialer *d = container_of(p->loop, struct dialer, loop);
	d->orphaned = true;
	timer_arm(&d->loop, &d->linger, d->loop.now_ms + LINGER_MS, linger_over);
	end_if_alone(d);
}

static void
take_peer(struct dialer *d, const struct message_peer *m, int fd)
{
	bool opened;
	if (m->role == END_OF_EDGE && m->instance < d->edge_count) {
		edge_drop(d, &d->edge[m->instance]);
		opened = edge_open(d, m->instance, fd);
	} else {
		assert(m->role == END_OF_SCRIBE);
		opened = port_open(&d->scribe, &d->loop, fd);
	}
	assert(opened);
}

static void
supervisor_message(struct port *p, const void *message, int pass_fd)
{
	struct dialer *d = container_of(p->loop, struct dialer, loop);
	const struct message_head *h = message;
	switch ((enum message_type)h->type) {
	case MESSAGE_PEER:
		assert(pass_fd >= 0);
		take_peer(d, message, pass_fd);
		break;
	case MESSAGE_STOP:
		d->loop.stop = true;
		break;
	case MESSAGE_DIAL_COLLECTOR:
		dial_collector(d);
		break;
	case MESSAGE_GO:
	case MESSAGE_DRAIN: /* edges that drain still connect */
		break;
	default:
		assert(!"a message that is not for the dialer");
	}
}

/* The scribe sends nothing. */
static void
scribe_message(struct port *p, const void *message, int pass_fd)
{
	assert(!"the scribe does not speak");
}

static bool
dialer_open(struct dialer *d, const struct dialer_process *p)
{
	if (!loop_init(&d->loop) || !names_init(&d->names, &d->loop, p->catalogue, p->collector, p->collector_port, p->name_servers))
		return false;
	d->catalogue = p->catalogue;
	d->dials = (struct dials){.loop = &d->loop, .names = &d->names, .answer = edge_answer, .providers = p->catalogue->provider_count, .own = d};
	d->supervisor.self = d->scribe.self = END_OF_DIALER;
	d->supervisor.peer = END_OF_SUPERVISOR;
	d->supervisor.message = supervisor_message;
	d->supervisor.closed = supervisor_closed;
	d->scribe.peer = END_OF_SCRIBE;
	d->scribe.message = scribe_message;
	d->edge_count = p->edge_count;
	d->edge = calloc(p->edge_count, sizeof *d->edge);
	if (!d->edge || !port_open(&d->supervisor, &d->loop, p->supervisor_fd) ||
		!port_open(&d->scribe, &d->loop, p->scribe_fd))
		return false;
	for (uint32_t i = 0; i < p->edge_count; i++)
		if (p->edge_fds[i] >= 0 && !edge_open(d, i, p->edge_fds[i]))
			return false;
	return true;
}

static void
dialer_close(struct dialer *d)
{
	dials_drop(&d->dials, NULL);
	for (uint32_t i = 0; i < d->edge_count; i++)
		port_close(&d->edge[i].port);
	port_close(&d->supervisor);
	port_close(&d->scribe);
	names_finish(&d->names);
	loop_turn(&d->loop, 0); /* frees what was deferred */
	loop_finish(&d->loop);
	free(d->edge);
}

int
dialer_main(struct dialer_process *p)
{
	static struct dialer dialer; /* the wheel is too large for a stack */
	struct dialer *d = &dialer;
	*d = (struct dialer){0};
	if (!dialer_open(d, p))
		return 1;
	p->lock_down(p->lock_down_arg);
	struct message_plain ready = MESSAGE_INIT(READY, message_plain);
	if (port_send(&d->supervisor, &ready, sizeof ready, -1) == IPC_OK)
		loop_run(&d->loop);
	dialer_close(d);
	return 0;
}
