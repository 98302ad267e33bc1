/* How connections come in, and on whose behalf (door.c). Edge only; the client owns what it is given. */
#ifndef EDGE_DOOR_H
#define EDGE_DOOR_H

#include "edge/edge_priv.h"

/* What is spoken at a listener. */
struct door {
	bool tls, proxied; /* first of all a header of the PROXY protocol */
};

/* What is known of a connection when it begins. visitor: counted as one of its connections. */
struct arrival {
	bool tls, proxied;
	bool loopback; /* from this machine */
	bool trusted; /* may say from whom it is, or its requests are */
	struct visitor *visitor;
	struct address address; /* for keys that work from some only; in the vault, and gone with the connection */
};

void door_accept(struct edge *e, int listener, const struct door *d);
/* The visitor's place is the client's on success. */
must_check bool client_adopt(struct edge *e, int fd, const struct arrival *a);
/* More of it may have come. True: it is complete, and what follows is the client's own. False: wait, or it is closed. */
must_check bool door_proxy_header(struct client *c);
/* From whom this request is; for the current turn. */
struct visitor *door_visitor(const struct client *c, const struct http1_head *h);
struct address door_address(const struct client *c, const struct http1_head *h); /* likewise, for keys that work from some only */
void door_tell(struct edge *e); /* each tick */

/* ---- edge.c ---- */
must_check bool edge_may_accept(const struct edge *e);
void edge_pause_listeners(struct edge *e, uint64_t ms); /* they are level-triggered: nobody accepts, so nobody may ask */

#endif
