/*
 * The end of a connection whose peer may be in the middle of sending: what was said to it is out, and it gets time to finish, so that our answer is not lost
 * to a reset (RFC 9112 9.6). What it sends meanwhile is dropped, in turns with everybody of its kind.
 */
#ifndef EDGE_LINGER_H
#define EDGE_LINGER_H

struct client;

void linger(struct client *c); /* from now on; in the end it is closed */
void linger_ready(struct client *c); /* there may be something to drop, or its end */

#endif
