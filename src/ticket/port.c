#include "ticket/port.h"

#include <assert.h>
#include <string.h>
#include <unistd.h>

enum { PORT_TURN = 64 };

static void
port_lost(struct port *p, void (*tell)(struct port *p))
{
	port_close(p);
	if (tell)
		tell(p);
}

/* False: the port is not the same any longer, or there is nothing more to take. */
static bool
take_one(struct port *p)
{
	static _Alignas(16) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	int fd;
	enum ipc_result r = ipc_recv(p->watch.fd, buf, &bytes, &fd);
	if (r == IPC_AGAIN) {
		p->watch.flags &= (uint16_t)~LOOP_READABLE;
		return false;
	}
	if (r == IPC_CLOSED) {
		port_lost(p, p->closed);
		return false;
	}
	if (!message_check(buf, bytes, p->peer, p->self, fd >= 0)) {
		assert(p->refused && "a message that this arrow does not carry");
		if (fd >= 0)
			close(fd);
		port_lost(p, p->refused);
		return false;
	}
	uint32_t generation = p->generation;
	p->message(p, buf, fd);
	if (((const struct message_head *)buf)->type == MESSAGE_SECRET)
		explicit_bzero(buf, bytes);
	return p->generation == generation;
}

static void
flush(struct port *p)
{
	bool waited = p->out.first != NULL;
	switch (ipc_queue_flush(&p->out, p->watch.fd)) {
	case IPC_OK:
		if (waited && p->drained)
			p->drained(p);
		break;
	case IPC_AGAIN:
		p->watch.flags &= (uint16_t)~LOOP_WRITABLE;
		break;
	case IPC_CLOSED: /* what the peer sent before it ended can still be read; the reading side reports the end */
		ipc_queue_finish(&p->out);
		break;
	}
}

static void
port_ready(struct watch *w)
{
	struct port *p = container_of(w, struct port, watch);
	uint32_t generation = p->generation;
	int most = p->turn_max ? p->turn_max : PORT_TURN;
	if (w->flags & LOOP_WRITABLE)
		flush(p);
	for (int n = 0; p->generation == generation; n++) {
		if (p->paused || !(w->flags & LOOP_READABLE))
			return;
		if (n == most) {
			loop_again(p->loop, w);
			return;
		}
		if (!take_one(p))
			return;
	}
}

bool
port_open(struct port *p, struct loop *l, int fd)
{
	port_close(p);
	ipc_queue_init(&p->out, p->queue_max ? p->queue_max : PORT_QUEUE);
	p->loop = l;
	p->paused = false;
	p->generation++;
	if (loop_watch(l, &p->watch, fd, port_ready))
		return true;
	p->watch.fd = -1;
	close(fd);
	return false;
}

void
port_close(struct port *p)
{
	if (!port_is_open(p))
		return;
	int fd = p->watch.fd;
	loop_forget(p->loop, &p->watch);
	close(fd);
	ipc_queue_finish(&p->out);
	p->generation++;
}

enum ipc_result
port_send(struct port *p, const void *message, size_t bytes, int pass_fd)
{
	if (!port_is_open(p))
		return IPC_CLOSED;
	return ipc_queue_send(&p->out, p->watch.fd, message, bytes, pass_fd);
}

void
port_pause(struct port *p)
{
	p->paused = true;
}

void
port_resume(struct port *p)
{
	if (!p->paused)
		return;
	p->paused = false;
	if (port_is_open(p))
		loop_again(p->loop, &p->watch);
}
