#include "proc/supervisor_priv.h"

#include "core/ipc.h"

#include <assert.h>
#include <unistd.h>

static void
add_arrow(struct supervisor *s, struct child *a, struct child *b)
{
	assert(s->arrow_count < ARROWS_MAX);
	s->arrow[s->arrow_count++] = (struct arrow){{a, b}, {-1, -1}};
}

static bool
know_each_other(const struct child *a, const struct child *b)
{
	return !a->own || !b->own || a->own == b->own;
}

void
arrows_init(struct supervisor *s)
{
	const struct arrow_row *row;
	for (uint32_t r = 0; (row = arrow_row_at(r)); r++)
		for (uint32_t i = 0; i < s->child_count; i++)
			for (uint32_t j = 0; j < s->child_count; j++)
				if (s->child[i].role->end == row->a && s->child[j].role->end == row->b && know_each_other(&s->child[i], &s->child[j]))
					add_arrow(s, &s->child[i], &s->child[j]);
}

static void
drop_end(int *end)
{
	if (*end >= 0)
		close(*end);
	*end = -1;
}

/* The neighbour runs: its end goes to it as a message. It does not: kept until it starts. */
static void
pass_end(struct child *to, const struct child *fresh, int *end)
{
	struct message_peer m = MESSAGE_INIT(PEER, message_peer);
	m.role = (uint16_t)fresh->role->end;
	m.instance = (uint16_t)fresh->instance;
	if (to->state == CHILD_DOWN)
		return;
	if (port_send(&to->port, &m, sizeof m, *end) == IPC_OK)
		*end = -1;
	else /* it is dying, or takes no messages: its successor makes a new pair */
		drop_end(end);
}

/* Who asks the signer waits for its answer; everybody else never waits. */
static bool
may_wait(const struct child *c, const struct child *other, int fd)
{
	return !child_is_edge(c) || other->role->end != END_OF_SIGNER || ipc_may_wait(fd, SIGNER_WAIT_MS);
}

static bool
take_end(struct arrow *a, int mine, int *ret_fd)
{
	int pair[2];
	if (a->end[mine] >= 0) {
		*ret_fd = a->end[mine];
		a->end[mine] = -1;
		return true;
	}
	drop_end(&a->end[!mine]);
	if (a->child[!mine]->state == CHILD_UNUSED) {
		*ret_fd = -1;
		return true;
	}
	const struct child *me = a->child[mine], *other = a->child[!mine];
	if (ipc_pair(pair) != 0)
		return false;
	if (!may_wait(me, other, pair[0]) || !may_wait(other, me, pair[1])) {
		close(pair[0]);
		close(pair[1]);
		return false;
	}
	*ret_fd = pair[0];
	a->end[!mine] = pair[1];
	pass_end(a->child[!mine], a->child[mine], &a->end[!mine]);
	return true;
}

bool
arrows_take(struct supervisor *s, const struct child *c, struct handover *h)
{
	for (uint32_t i = 0; i < s->arrow_count; i++) {
		struct arrow *a = &s->arrow[i];
		if (a->child[0] != c && a->child[1] != c)
			continue;
		int mine = a->child[1] == c, fd;
		if (!take_end(a, mine, &fd))
			return false;
		assert(h->peer_count < HANDOVER_PEERS_MAX);
		const struct child *other = a->child[!mine];
		h->peer[h->peer_count++] =
			(struct handover_peer){(uint16_t)other->role->end, (uint16_t)other->instance, fd};
	}
	return true;
}

void
arrows_drop(struct supervisor *s, const struct child *c)
{
	for (uint32_t i = 0; i < s->arrow_count; i++)
		if (s->arrow[i].child[0] == c || s->arrow[i].child[1] == c) {
			drop_end(&s->arrow[i].end[0]);
			drop_end(&s->arrow[i].end[1]);
		}
}
