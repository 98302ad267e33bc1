#include "core/ipc_queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ipc_queued {
	struct ipc_queued *next;
	size_t bytes;
	int pass_fd;
	char message[];
};

void
ipc_queue_init(struct ipc_queue *o, uint32_t bound)
{
	*o = (struct ipc_queue){.bound = bound};
	o->tail = &o->first;
}

static void
drop_first(struct ipc_queue *o)
{
	struct ipc_queued *i = o->first;
	o->first = i->next;
	if (!o->first)
		o->tail = &o->first;
	o->count--;
	if (i->pass_fd >= 0)
		close(i->pass_fd);
	explicit_bzero(i->message, i->bytes);
	free(i);
}

void
ipc_queue_finish(struct ipc_queue *o)
{
	while (o->first)
		drop_first(o);
}

enum ipc_result
ipc_queue_flush(struct ipc_queue *o, int fd)
{
	while (o->first) {
		enum ipc_result r = ipc_send(fd, o->first->message, o->first->bytes, o->first->pass_fd);
		if (r != IPC_OK)
			return r;
		drop_first(o);
	}
	return IPC_OK;
}

enum ipc_result
ipc_queue_send(struct ipc_queue *o, int fd, const void *message, size_t bytes, int pass_fd)
{
	assert(bytes <= IPC_MESSAGE_MAX);
	if (!o->first) {
		enum ipc_result r = ipc_send(fd, message, bytes, pass_fd);
		if (r == IPC_OK && pass_fd >= 0)
			close(pass_fd);
		if (r != IPC_AGAIN)
			return r;
	}
	if (ipc_queue_full(o))
		return IPC_AGAIN;
	struct ipc_queued *i = malloc(sizeof *i + bytes);
	if (!i)
		return IPC_AGAIN;
	*i = (struct ipc_queued){.bytes = bytes, .pass_fd = pass_fd};
	memcpy(i->message, message, bytes);
	*o->tail = i;
	o->tail = &i->next;
	o->count++;
	return IPC_OK;
}
