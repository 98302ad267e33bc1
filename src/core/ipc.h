/*
 * Messages between our own processes: a SOCK_SEQPACKET pair per arrow of the process graph, one fixed-size struct per message, at most one
 * descriptor with it. A message of an unknown type, a wrong size or at the wrong end of an arrow ends the receiver (ipc_recv asserts by its
 * caller's table). Never content.
 */
#ifndef CORE_IPC_H
#define CORE_IPC_H

#include "core/base.h"

enum { IPC_MESSAGE_MAX = 4096 };

enum ipc_result { IPC_OK,
	IPC_AGAIN,
	IPC_CLOSED };

/* Both ends non-blocking and close-on-exec. Returns 0 or -1 with errno. */
must_check int ipc_pair(int ret_fds[2]);

/* Send one message; pass_fd is -1 or a descriptor (stays the caller's). IPC_AGAIN: the queue is full. */
must_check enum ipc_result ipc_send(int fd, const void *message, size_t bytes, int pass_fd);

/* Receive one message into buf (≥ IPC_MESSAGE_MAX). ret_fd: -1 or a descriptor that the caller now owns. */
must_check enum ipc_result ipc_recv(int fd, void *buf, size_t *ret_bytes, int *ret_fd);

/*
 * For a question whose answer is waited for. From now on ipc_wait() on this end waits so long at most. The supervisor sets it before the end is
 * handed over: who is locked down can't. False: errno.
 */
must_check bool ipc_may_wait(int fd, uint32_t ms);
/* As ipc_recv(), for a message that carries no descriptor. IPC_AGAIN: the time is over. */
must_check enum ipc_result ipc_wait(int fd, void *buf, size_t *ret_bytes);

#endif
