/*
 * One end of an arrow of the process graph, in a loop: receives checked messages, sends with a bounded queue.
 * Dialer, scribe and supervisor; the caller embeds it and must keep the memory until the turn is over in which
 * it was closed.
 *
 * A message that is unknown, malformed or not allowed on this arrow ends the receiver, except where the caller
 * gives `refused`.
 */
#ifndef TICKET_PORT_H
#define TICKET_PORT_H

#include "core/loop.h"
#include "core/ipc_queue.h"
#include "ticket/messages.h"

enum { PORT_QUEUE = 256 };

struct port {
	struct watch watch; /* fd −1 when closed */
	struct loop *loop;
	struct ipc_queue out;
	enum message_end self, peer;
	uint16_t instance; /* of the peer */
	uint32_t queue_max; /* messages; 0: PORT_QUEUE */
	uint16_t turn_max; /* messages taken in one turn of the loop, before others have theirs; 0: PORT_TURN */
	bool paused;
	uint32_t
		generation; /* grows with each open and close: tells a callback's caller that its port is another one now */
	/* pass_fd is −1 or the callee's. */
	void (*message)(struct port *p, const void *message, int pass_fd);
	/* The peer's end is gone; the port is closed already. May be NULL. */
	void (*closed)(struct port *p);
	/* May be NULL: then a message that fails its check ends this process. The port is closed already. */
	void (*refused)(struct port *p);
	/* The queue has room again after port_send said IPC_AGAIN or port_full. May be NULL. */
	void (*drained)(struct port *p);
};

/* Set the callbacks and identities before. The descriptor is the port's from here, also on failure. */
must_check bool port_open(struct port *p, struct loop *l, int fd);
/* Takes a closed port too. */
void port_close(struct port *p);
static inline bool
port_is_open(const struct port *p)
{
	return p->loop && p->watch.fd >= 0;
}

/* As ipc_queue_send; a closed port answers IPC_CLOSED. */
must_check enum ipc_result port_send(struct port *p, const void *message, size_t bytes, int pass_fd);

/* Stop and go on taking messages: back-pressure on the sender. */
void port_pause(struct port *p);
void port_resume(struct port *p);

#endif
