/*
 * One dial: from CONNECT to CONNECTED. Tries the addresses of a name in turn, a new one each DIAL_STAGGER_MS or
 * as soon as one fails; the first that connects wins. Dialer; a dial frees itself when it is answered or
 * dropped.
 */
#ifndef DIALER_DIAL_H
#define DIALER_DIAL_H

#include "dialer/names.h"
#include "ticket/messages.h"

struct dial;

/* What the dials of a process share; embedded in the dialer. */
struct dials {
	struct loop *loop;
	struct names *names;
	/* The end of a dial. fd ≥ 0 with CONNECT_OK only and then the callee's. */
	void (*answer)(struct dials *d, void *asker, const struct message_connected *m, int fd);
	uint32_t providers; /* of the catalogue */
	const void *own; /* only this asker may have names behind them dialled */
	struct dial *first;
};

/*
 * asker comes back with the answer and names whose dials dials_drop ends. A refusal may come from inside this
 * call (a turn of the wheel would cost a failover milliseconds); CONNECT_OK never does.
 */
void dial_start(struct dials *d, void *asker, const struct message_connect *m);
/* Ends all dials of this asker (NULL: of all) without an answer. */
void dials_drop(struct dials *d, const void *asker);

#endif
