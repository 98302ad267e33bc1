#include "scribe/scribe.h"

#include "scribe/line.h"
#include "scribe/metrics.h"
#include "scribe/otlp.h"
#include "ticket/port.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	LINGER_MS = 10000,
	SECOND_MS = 1000
}; /* linger: beyond the ledger, which is the last to have something to say */

struct scribe_from {
	struct port port;
	uint32_t lines; /* in this second */
};

struct scribe {
	struct loop loop;
	const struct scribe_process *process;
	int catalogue_fd; /* of a CATALOGUE whose TALLY has not come yet; -1: none */
	size_t catalogue_bytes;
	struct scribe_from supervisor;
	struct scribe_from *peer;
	uint32_t peer_count;
	int log_fd;
	enum severity log_level;
	uint64_t untold; /* lines dropped since the last that said so */
	bool orphaned;
	struct timer second, linger;
	struct metrics metrics;
	struct metrics_server server;
	struct otlp otlp;
};

static struct scribe *
scribe_of(struct port *p)
{
	return container_of(p->loop, struct scribe, loop);
}

/*
 * False: the log takes nothing (disk full, reader gone). The line is lost and counted; waiting would hold up
 * the reports of all others.
 */
static bool
write_all(int fd, const char *at, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static void
drop_line(struct scribe *s)
{
	s->untold++;
	s->metrics.lines_dropped++;
}

static void
log_event(struct scribe *s, enum message_end role, uint16_t instance, const struct message_event *m)
{
	char memory[LINE_MAX_BYTES];
	struct text t = text_on(memory, sizeof memory);
	struct message_event said = *m;
	/* What it says of itself is not asked: the arrow tells who it is. */
	said.role = (uint16_t)role;
	said.instance = instance;
	bool known = line_event_write(&t, clock_wall_us(), &said, s->metrics.catalogue);
	assert(known);
	s->metrics.events[role][m->event]++;
	if (line_severity(m->event) >= s->log_level && !write_all(s->log_fd, t.at, t.len))
		drop_line(s);
}

static void
take_event(struct scribe *s, struct scribe_from *from, const struct message_event *m)
{
	if (from->lines >= SCRIBE_LINES_PER_S) {
		drop_line(s);
		return;
	}
	from->lines++;
	log_event(s, from->port.peer, from->port.instance, m);
}

static void
second_fired(struct timer *t)
{
	struct scribe *s = container_of(t, struct scribe, second);
	s->supervisor.lines = 0;
	for (uint32_t i = 0; i < s->peer_count; i++)
		s->peer[i].lines = 0;
	if (s->untold) {
		struct message_event m = {.event = EVENT_EVENTS_DROPPED, .numbers = {s->untold}};
		s->untold = 0;
		log_event(s, END_OF_SCRIBE, 0, &m);
	}
	otlp_tick(&s->otlp);
	timer_arm(&s->loop, t, s->loop.now_ms + SECOND_MS, second_fired);
}

static void
peer_message(struct port *p, const void *message, int pass_fd)
{
	const struct message_head *h = message;
	assert(pass_fd < 0);
	if (h->type == MESSAGE_SPAN) {
		otlp_add(&scribe_of(p)->otlp, message);
		return;
	}
	assert(h->type == MESSAGE_EVENT);
	take_event(scribe_of(p), container_of(p, struct scribe_from, port), message);
}

static void
end_if_alone(struct scribe *s)
{
	for (uint32_t i = 0; i < s->peer_count; i++)
		if (port_is_open(&s->peer[i].port))
			return;
	if (s->orphaned)
		s->loop.stop = true;
}

static void
peer_closed(struct port *p)
{
	end_if_alone(scribe_of(p));
}

static bool
peer_open(struct scribe *s, struct scribe_from *from, int fd)
{
	from->port.self = END_OF_SCRIBE;
	from->port.message = peer_message;
	from->port.closed = peer_closed;
	return port_open(&from->port, &s->loop, fd);
}

static void
take_peer(struct scribe *s, const struct message_peer *m, int fd)
{
	for (uint32_t i = 0; i < s->peer_count; i++) {
		struct port *p = &s->peer[i].port;
		if (p->peer != (enum message_end)m->role || p->instance != m->instance)
			continue;
		bool opened = peer_open(s, &s->peer[i], fd);
		assert(opened);
		return;
	}
	assert(!"a peer that the table does not connect");
}

/* A generation's catalogue, and the sums over its models: names in the log and in metrics are its own from here on. */
static void
adopt(struct scribe *s, const struct message_memory *m, int fd)
{
	const struct catalogue *catalogue, *old = s->metrics.catalogue;
	struct tally *tally, *old_tally = s->metrics.tally;
	bool mapped = s->process->map_pair((int[]){s->catalogue_fd, fd}, (size_t[]){s->catalogue_bytes, m->memory_bytes}, &catalogue, &tally);
	assert(mapped); /* the supervisor made both */
	s->catalogue_fd = -1;
	s->metrics.catalogue = catalogue;
	s->metrics.tally = tally;
	metrics_free(&s->metrics); /* its view is of the old one */
	s->process->unmap_pair(old, &old_tally);
	s->log_level = (enum severity)m->log_level;
}

static void
supervisor_message(struct port *p, const void *message, int pass_fd)
{
	struct scribe *s = scribe_of(p);
	const struct message_head *h = message;
	switch ((enum message_type)h->type) {
	case MESSAGE_EVENT:
		take_event(s, &s->supervisor, message);
		break;
	case MESSAGE_PEER:
		assert(pass_fd >= 0);
		take_peer(s, message, pass_fd);
		break;
	case MESSAGE_LOG:
		assert(pass_fd >= 0);
		close(s->log_fd);
		s->log_fd = pass_fd;
		break;
	case MESSAGE_CATALOGUE:
		assert(pass_fd >= 0 && s->catalogue_fd < 0);
		s->catalogue_fd = pass_fd;
		s->catalogue_bytes = ((const struct message_memory *)message)->memory_bytes;
		break;
	case MESSAGE_TALLY:
		assert(pass_fd >= 0 && s->catalogue_fd >= 0);
		adopt(s, message, pass_fd);
		break;
	case MESSAGE_SECRET:
		otlp_secret(&s->otlp, message);
		break;
	case MESSAGE_COLLECTOR:
		otlp_socket(&s->otlp, pass_fd);
		break;
	case MESSAGE_STOP:
		s->loop.stop = true;
		break;
	case MESSAGE_GO:
	case MESSAGE_DRAIN: /* it writes as long as others report */
		break;
	default:
		assert(!"a message that is not for the scribe");
	}
}

static void
linger_over(struct timer *t)
{
	container_of(t, struct scribe, linger)->loop.stop = true;
}

static void
supervisor_closed(struct port *p)
{
	struct scribe *s = scribe_of(p);
	s->orphaned = true;
	timer_arm(&s->loop, &s->linger, s->loop.now_ms + LINGER_MS, linger_over);
	end_if_alone(s);
}

static bool
scribe_open(struct scribe *s, const struct scribe_process *p)
{
	if (!loop_init(&s->loop))
		return false;
	s->process = p;
	s->catalogue_fd = -1;
	s->log_fd = p->log_fd;
	s->log_level = p->log_level;
	s->metrics.counters = p->counters;
	s->metrics.counters_stride = p->counters_stride;
	s->metrics.circuits = p->circuits;
	s->metrics.edge_count = p->edge_count;
	s->metrics.catalogue = p->catalogue;
	s->metrics.tally = p->tally;
	struct port *boss = &s->supervisor.port;
	boss->self = END_OF_SCRIBE;
	boss->peer = END_OF_SUPERVISOR;
	boss->message = supervisor_message;
	boss->closed = supervisor_closed;
	s->peer_count = p->peer_count;
	s->peer = calloc(p->peer_count, sizeof *s->peer);
	if (!s->peer || !port_open(boss, &s->loop, p->supervisor_fd))
		return false;
	for (uint32_t i = 0; i < p->peer_count; i++) {
		s->peer[i].port.peer = p->peers[i].role;
		s->peer[i].port.instance = p->peers[i].instance;
		if (p->peers[i].fd >= 0 && !peer_open(s, &s->peer[i], p->peers[i].fd))
			return false;
	}
	s->metrics.otlp = &s->otlp;
	const struct otlp_collector collector = {p->otlp_name, p->otlp_tls, p->otlp_host, p->otlp_path};
	if (!otlp_open(&s->otlp, &s->loop, boss, &collector, &s->metrics.catalogue))
		return false;
	return metrics_server_open(&s->server, &s->loop, &s->metrics, p->metrics_fd);
}

/* What peers said before they ended is written, also when STOP came meanwhile. */
static void
scribe_close(struct scribe *s)
{
	loop_turn(&s->loop, 0);
	for (uint32_t i = 0; i < s->peer_count; i++)
		port_close(&s->peer[i].port);
	port_close(&s->supervisor.port);
	metrics_server_close(&s->server);
	otlp_close(&s->otlp);
	metrics_free(&s->metrics);
	timer_cancel(&s->loop, &s->second);
	timer_cancel(&s->loop, &s->linger);
	loop_finish(&s->loop);
	free(s->peer);
}

int
scribe_main(struct scribe_process *p)
{
	static struct scribe scribe; /* the wheel is too large for a stack */
	struct scribe *s = &scribe;
	*s = (struct scribe){0};
	if (!scribe_open(s, p))
		return 1;
	p->lock_down(p->lock_down_arg);
	struct message_plain ready = MESSAGE_INIT(READY, message_plain);
	timer_arm(&s->loop, &s->second, s->loop.now_ms + SECOND_MS, second_fired);
	if (port_send(&s->supervisor.port, &ready, sizeof ready, -1) == IPC_OK)
		loop_run(&s->loop);
	scribe_close(s);
	return 0;
}
