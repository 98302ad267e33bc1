/*
 * Sockets and the clock for the simulator, the load generator and the relay: numeric addresses
 * only, everything non-blocking. Test tools only; the caller owns every descriptor that is
 * returned.
 */
#ifndef SIM_NET_H
#define SIM_NET_H

#include "core/base.h"

#include <netinet/in.h>

struct net_address {
	struct sockaddr_storage at;
	socklen_t len;
};

/* CLOCK_MONOTONIC in nanoseconds: comparable between processes of one machine. */
uint64_t net_now_ns(void);

/* "127.0.0.1:80" or "[::1]:80". False: not a numeric address with a port. */
must_check bool net_address_parse(const char *text, struct net_address *ret);

/*
 * Returns a listening socket and the port that it got (port 0 asks the kernel to choose), or -1
 * with errno.
 */
must_check int net_listen(const struct net_address *a, uint16_t *ret_port);

/* Starts to connect; returns the socket, or -1 with errno. Writable means connected or failed. */
must_check int net_connect(const struct net_address *a);

/* Accepts one connection with TCP_NODELAY, or returns -1 with errno. */
must_check int net_accept(int listener);

/*
 * Sends what the kernel takes now: the number of bytes (0: try again when writable), or -1: the
 * connection is gone.
 */
must_check ssize_t net_send(int fd, const void *bytes, size_t len);

/* Receives what is there: bytes, 0 (nothing now), or -1: failed with errno, or ended, and errno is as it was. */
must_check ssize_t net_receive(int fd, void *ret_bytes, size_t cap);

/* Closes with RST instead of FIN. */
void net_reset(int fd);

/* Soft limit of descriptors up to the hard one. */
void net_raise_descriptor_limit(void);

/* Writes the ports, one a line, so that a reader sees all of them or no file. False with errno. */
must_check bool net_write_port_file(const char *path, const uint16_t *ports, size_t count);

#endif
