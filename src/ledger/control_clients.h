/*
 * Those who talk to the control socket: one JSON object a line in, one a line out. Ledger process;
 * bounded in number, size and patience. What went over a connection (new keys are among it) is
 * wiped. The caller has the struct; connections are its own until clients_finish().
 */
#ifndef LEDGER_CONTROL_CLIENTS_H
#define LEDGER_CONTROL_CLIENTS_H

#include "core/base.h"
#include "ledger/ledger.h"

#include <poll.h>

enum {
	CLIENTS_MAX = 16, /* more wait in the listener's queue */
	CLIENT_REQUEST_MAX = 65536,
	CLIENT_PATIENCE_MS = 30000, /* for the rest of a request, for an answer to be read */
};

struct client {
	int fd; /* -1: free */
	uint64_t heard_ms;
	char *in;
	size_t in_len, in_cap;
	char *out; /* answer on its way; nothing is read meanwhile */
	size_t out_len, out_at;
	bool last; /* close when it is out */
};

struct clients {
	struct ledger *ledger;
	struct client client[CLIENTS_MAX];
	uint32_t count;
};

void clients_init(struct clients *c, struct ledger *l);
void clients_finish(struct clients *c);
/* Take one from the listener. */
void clients_accept(struct clients *c, int listen_fd, uint64_t now_ms);
/* Fill polls for all; returns how many. ret_wait_ms is lowered to the next one's end of patience. */
size_t clients_poll(const struct clients *c, struct pollfd *polls, uint64_t now_ms, int *wait_ms);
/* What poll said of one. */
void clients_ready(struct clients *c, const struct pollfd *poll, uint64_t now_ms);
/* Close those who took too long. */
void clients_tend(struct clients *c, uint64_t now_ms);
/* Does anybody wait for an answer to go out? */
bool clients_busy(const struct clients *c);

#endif
