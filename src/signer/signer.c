#include "signer/signer.h"

#include "core/pem_text.h"
#include "core/tls.h"
#include "ticket/events.h"
#include "ticket/port.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINGER_MS = 3500 }; /* after the supervisor: as long as edges may be shaking hands */

struct keys {
	uint32_t count;
	struct tls_key *key[TLS_IDENTITIES_MAX];
};

struct signer {
	struct signer_process *p;
	struct loop loop;
	struct vault *vault;
	struct port supervisor, scribe, *edge;
	/* In force; and those before: an edge that has not taken up the new certificates yet asks for them. */
	struct keys now, before;
	struct pem_text pending[TLS_IDENTITIES_MAX];
	bool short_of_memory; /* for a piece of it: nothing of it is used */
	struct timer linger;
	bool orphaned, go;
	int status;
};

static void
report(struct signer *s, enum event_id event)
{
	struct message_event m = MESSAGE_INIT(EVENT, message_event);
	m.event = (uint16_t)event;
	m.role = END_OF_SIGNER;
	(void)!port_send(&s->scribe, &m, sizeof m, -1); /* a report that can't be taken is lost; nothing depends on it */
}

/* ---- keys ---- */

static void
drop_keys(struct keys *k)
{
	for (uint32_t i = 0; i < k->count; i++)
		tls_key_free(&k->key[i]);
	k->count = 0;
}

static void
drop_pending(struct signer *s)
{
	for (uint32_t i = 0; i < TLS_IDENTITIES_MAX; i++)
		pem_text_drop(s->vault, &s->pending[i]);
	s->short_of_memory = false;
}

static void
take_piece(struct signer *s, const struct message_secret *m)
{
	assert(m->kind == SECRET_CERTIFICATE_KEY && m->provider < TLS_IDENTITIES_MAX && m->secret_bytes <= SECRET_BYTES_MAX);
	struct pem_text *p = &s->pending[m->provider];
	if (m->key == 0) /* its first piece: what is here was never finished */
		pem_text_drop(s->vault, p);
	if (!s->short_of_memory && !pem_text_add(s->vault, p, m->secret, m->secret_bytes))
		s->short_of_memory = true;
}

/* All or none. */
static bool
read_keys(struct signer *s, struct keys *ret)
{
	bool sound = !s->short_of_memory;
	*ret = (struct keys){0};
	for (uint32_t i = 0; sound && i < TLS_IDENTITIES_MAX && s->pending[i].len; i++) {
		ret->key[i] = tls_key_read(pem_text_span(&s->pending[i]));
		sound = ret->key[i] != NULL;
		ret->count += sound;
	}
	drop_pending(s);
	if (sound && ret->count > 0)
		return true;
	drop_keys(ret);
	return false;
}

static bool
use_keys(struct signer *s)
{
	struct keys fresh;
	if (!read_keys(s, &fresh))
		return false;
	drop_keys(&s->before);
	s->before = s->now;
	s->now = fresh;
	return true;
}

static void
renew(struct signer *s)
{
	struct message_held m = MESSAGE_INIT(KEYS_HELD, message_held);
	m.refused = !use_keys(s);
	m.keys = s->now.count;
	if (m.refused)
		report(s, EVENT_KEYS_REFUSED);
	(void)!port_send(&s->supervisor, &m, sizeof m, -1); /* full: it has no answer to many renewals, and hands over again when we start anew */
}

static const struct tls_key *
find_key(const struct signer *s, const uint8_t *name)
{
	const struct keys *const sets[] = {&s->now, &s->before};
	for (size_t k = 0; k < ARRAY_LEN(sets); k++)
		for (uint32_t i = 0; i < sets[k]->count; i++)
			if (tls_key_is(sets[k]->key[i], name))
				return sets[k]->key[i];
	return NULL;
}

/* ---- edges ---- */

static void
end_if_alone(struct signer *s)
{
	for (uint32_t i = 0; i < s->p->edge_count; i++)
		if (port_is_open(&s->edge[i]))
			return;
	if (s->orphaned)
		s->loop.stop = true;
}

/* An edge waits for its answer: one that has asked for more meanwhile is none of ours. */
static bool
asks_again(const struct port *p)
{
	char byte;
	struct iovec part = {&byte, 1};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	return recvmsg(p->watch.fd, &m, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void
edge_message(struct port *p, const void *message, int pass_fd)
{
	struct signer *s = container_of(p->loop, struct signer, loop);
	if (asks_again(p)) {
		port_close(p);
		end_if_alone(s);
		return;
	}
	const struct message_sign *m = message;
	struct message_signed answer = MESSAGE_INIT(SIGNED, message_signed);
	const struct tls_key *key = find_key(s, m->what.key);
	answer.token = m->token;
	answer.signature_bytes = key ? (uint32_t)tls_key_sign(key, &m->what, answer.signature) : 0;
	(void)!port_send(p, &answer, sizeof answer, -1); /* fails when the edge has gone */
}

/* Anywhere else a bad message ends the receiver. Here it ends the line: others have no part in what is wrong with one edge. */
static void
edge_refused(struct port *p)
{
}

static void
edge_closed(struct port *p)
{
	end_if_alone(container_of(p->loop, struct signer, loop));
}

static bool
edge_open(struct signer *s, uint32_t instance, int fd)
{
	struct port *p = &s->edge[instance];
	p->self = END_OF_SIGNER;
	p->peer = END_OF_EDGE;
	p->instance = (uint16_t)instance;
	p->turn_max = 1; /* one that asks without end has its turn like the others, which wait for theirs */
	p->message = edge_message;
	p->closed = edge_closed;
	p->refused = edge_refused;
	return port_open(p, &s->loop, fd);
}

static bool
open_edges(struct signer *s)
{
	bool opened = true;
	for (uint32_t i = 0; opened && i < s->p->edge_count; i++)
		opened = s->p->edge_fds[i] < 0 || edge_open(s, i, s->p->edge_fds[i]);
	return opened;
}

/* ---- supervisor and scribe ---- */

static void
linger_over(struct timer *t)
{
	container_of(t, struct signer, linger)->loop.stop = true;
}

static void
supervisor_closed(struct port *p)
{
	struct signer *s = container_of(p->loop, struct signer, loop);
	s->orphaned = true;
	timer_arm(&s->loop, &s->linger, s->loop.now_ms + LINGER_MS, linger_over);
	end_if_alone(s);
}

static void
take_peer(struct signer *s, const struct message_peer *m, int fd)
{
	bool opened;
	if (m->role == END_OF_EDGE && m->instance < s->p->edge_count) {
		opened = edge_open(s, m->instance, fd);
	} else {
		assert(m->role == END_OF_SCRIBE);
		opened = port_open(&s->scribe, &s->loop, fd);
	}
	assert(opened);
}

/* The keys are here: from now on nothing can be opened, and questions are answered. */
static bool
go(struct signer *s)
{
	struct message_plain ready = MESSAGE_INIT(READY, message_plain);
	if (s->go || !use_keys(s))
		return false;
	s->go = true;
	s->p->lock_down(s->p->lock_down_arg);
	return open_edges(s) && port_send(&s->supervisor, &ready, sizeof ready, -1) == IPC_OK;
}

static void
add_segment(struct signer *s, const struct message_segment *m, int fd)
{
	assert(fd >= 0);
	if (!vault_add_segment(s->vault, fd, m->segment_bytes) || !tls_memory_in(s->vault)) {
		s->status = 1;
		s->loop.stop = true;
	}
}

static void
supervisor_message(struct port *p, const void *message, int pass_fd)
{
	struct signer *s = container_of(p->loop, struct signer, loop);
	const struct message_head *h = message;
	switch ((enum message_type)h->type) {
	case MESSAGE_SIGNER_SEGMENT:
		add_segment(s, message, pass_fd);
		break;
	case MESSAGE_SECRET:
		take_piece(s, message);
		break;
	case MESSAGE_GO:
		if (!go(s)) {
			s->status = 1;
			s->loop.stop = true;
		}
		break;
	case MESSAGE_KEYS_RENEWED:
		renew(s);
		break;
	case MESSAGE_PEER:
		assert(pass_fd >= 0);
		take_peer(s, message, pass_fd);
		break;
	case MESSAGE_STOP:
		s->loop.stop = true;
		break;
	case MESSAGE_DRAIN:
		break;
	default:
		assert(!"a message that is not for the signer");
	}
}

/* The scribe sends nothing. */
static void
scribe_message(struct port *p, const void *message, int pass_fd)
{
	assert(!"the scribe does not speak");
}

/* ---- life ---- */

static bool
signer_open(struct signer *s)
{
	const struct signer_process *p = s->p;
	s->vault = vault_open(p->grade, 0, SIGNER_SEGMENT);
	s->edge = calloc(p->edge_count ? p->edge_count : 1, sizeof *s->edge);
	s->supervisor.self = s->scribe.self = END_OF_SIGNER;
	s->supervisor.peer = END_OF_SUPERVISOR;
	s->supervisor.message = supervisor_message;
	s->supervisor.closed = supervisor_closed;
	s->scribe.peer = END_OF_SCRIBE;
	s->scribe.message = scribe_message;
	return s->vault && s->edge && loop_init(&s->loop) && port_open(&s->supervisor, &s->loop, p->supervisor_fd) && (p->scribe_fd < 0 || port_open(&s->scribe, &s->loop, p->scribe_fd));
}

int
signer_main(struct signer_process *p)
{
	static struct signer signer; /* the wheel is too large for a stack */
	struct signer *s = &signer;
	*s = (struct signer){.p = p};
	if (!signer_open(s))
		return 1;
	loop_run(&s->loop);
	vault_wipe_all(s->vault);
	return s->status;
}
