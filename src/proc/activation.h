/*
 * Listening sockets that the service manager has opened and hands over (sd_listen_fds(3)), so that the server needs no right to open them.
 * Supervisor, before the environment is cleared.
 */
#ifndef PROC_ACTIVATION_H
#define PROC_ACTIVATION_H

#include "core/base.h"

enum { ACTIVATION_WHY_MAX = 256 };

/* The socket of that name (FileDescriptorName=), set to close at exec and never to block. -1: ret_why says what to do. */
must_check int activation_find(const char *name, char ret_why[ACTIVATION_WHY_MAX]);

#endif
