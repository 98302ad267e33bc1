#include "proc/collector.h"

#include "proc/supervisor_priv.h"
#include "proc/tls_hand.h"

#include <sodium.h>
#include <string.h>
#include <unistd.h>

bool
collector_hand_over(struct child *scribe, const struct plan_collector *plan)
{
	struct message_secret m = MESSAGE_INIT(SECRET, message_secret);
	if (!plan->on)
		return true;
	m.kind = SECRET_COLLECTOR_HEADERS;
	m.secret_bytes = plan->headers_bytes;
	memcpy(m.secret, plan->headers, plan->headers_bytes);
	bool sent = port_send(&scribe->port, &m, sizeof m, -1) == IPC_OK;
	sodium_memzero(&m, sizeof m);
	return sent && (!plan->tls || tls_send_text(scribe, SECRET_COLLECTOR_TRUST, 0, plan->trust, plan->trust_bytes));
}

/* Of those that serve, else of those that will; of another binary none, which would not know what it is asked. */
static struct child *
dialer_of(struct supervisor *s)
{
	struct child *found = NULL;
	for (uint32_t i = 0; i < s->child_count; i++) {
		struct child *c = &s->child[i];
		if (c->role->end == END_OF_DIALER && c->state == CHILD_UP && !c->foreign && (!found || c->own == s->now))
			found = c;
	}
	return found;
}

void
collector_dial(struct supervisor *s)
{
	struct message_plain m = MESSAGE_INIT(DIAL_COLLECTOR, message_plain);
	struct child *dialer = dialer_of(s);
	s->collector_wanted = !dialer || port_send(&dialer->port, &m, sizeof m, -1) != IPC_OK;
}

void
collector_wanted(struct child *scribe)
{
	if (!scribe->foreign && child_generation(scribe)->plan->collector.on)
		collector_dial(scribe->s);
}

void
collector_dialled(struct child *dialer, int fd)
{
	struct message_plain m = MESSAGE_INIT(COLLECTOR, message_plain);
	struct child *scribe = child_find(dialer->s, END_OF_SCRIBE, 0);
	bool taken = scribe && scribe->state == CHILD_UP && !scribe->foreign && port_send(&scribe->port, &m, sizeof m, fd) == IPC_OK;
	if (!taken && fd >= 0)
		close(fd);
}
