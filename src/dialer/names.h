/*
 * Names → addresses: a cache with one entry per provider, filled by c-ares in the dialer's loop. Literals and
 * "localhost" need no server. The caller owns struct names (embedded in the dialer).
 */
#ifndef DIALER_NAMES_H
#define DIALER_NAMES_H

#include "core/loop.h"
#include "dialer/address.h"
#include "ticket/catalogue.h"

#include <ares.h>

enum { NAME_ADDRESSES_MAX = 8 };

enum name_state { NAME_UNKNOWN,
	NAME_KNOWN,
	NAME_FAILED };

/* Somebody who waits for a name. */
struct name_question {
	struct name_question *next, **link; /* link NULL: not waiting */
	void (*answered)(struct name_question *q);
};

struct name {
	struct names *names;
	const char *host;
	uint16_t port;
	bool fixed; /* a literal or localhost: never asked again, may be an inner address */
	bool inner; /* of the operator's own network by its name: may lead to addresses that are not public */
	bool asking;
	bool refused_inner; /* the last answer had nothing but addresses that are not public */
	sa_family_t last_family; /* of the connection that last came about */
	enum name_state state;
	uint32_t count;
	uint64_t until_ms, good_ms; /* ask again from here; last good answer */
	struct name_question *waiting;
	struct address address[NAME_ADDRESSES_MAX];
};

struct names {
	struct loop *loop;
	ares_channel channel;
	struct watch watch; /* an epoll set with c-ares's own sockets */
	struct timer timer;
	uint32_t count;
	struct name *name;
};

/*
 * Reads the system's resolver configuration: before the lock-down. One more than the catalogue's (behind them, at its provider_count): more_host, which outlives
 * this; NULL: none.
 */
must_check bool names_init(struct names *n, struct loop *l, const struct catalogue *c, const char *more_host, uint16_t more_port, const char *servers);
void names_finish(struct names *n);

/*
 * NAME_KNOWN or NAME_FAILED at once; NAME_UNKNOWN: q->answered comes later, in a turn of the loop, with
 * name->state set. A known name whose time has come is asked again in the background.
 */
must_check enum name_state names_ask(struct names *n, uint32_t provider, struct name_question *q);
void names_forget(struct name_question *q);

#endif
