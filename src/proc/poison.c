/*
 * A request that brings an edge down would be sent again, and bring down the next. A key that was served by two edges when they died, within ten minutes, is
 * quarantined: the ledger keeps it, edges answer 503, the operator is told and releases it.
 *
 * Who was served: the exchange that was being looked at, which is the one that did it; when there was none, all that had a hold. A death that comes from
 * outside (SIGKILL: the kernel short of memory, an operator) says nothing of any request and does not count.
 */
#include "proc/supervisor_priv.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { POISON_MS = 10 * 60 * 1000 };

static bool
by_itself(const struct child *c, int wait_status)
{
	if (c->traced)
		return false;
	return WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) != SIGKILL : WEXITSTATUS(wait_status) != 0;
}

static struct edge_death
who_was_served(const struct child *c, uint64_t working)
{
	struct supervisor *s = c->s;
	size_t most = s->plan->tickets_per_edge;
	struct edge_death d = {.at_ms = s->loop.now_ms, .keys = calloc(most, sizeof *d.keys)};
	if (!d.keys)
		return d;
	if (working)
		d.keys[d.count++] = working;
	else
		d.count = board_keys_running(s->shared.board, c->instance, c->incarnation, d.keys, most);
	return d;
}

static void
quarantine(struct supervisor *s, uint64_t key)
{
	if (s->quarantine_count < QUARANTINES_MAX)
		s->quarantine[s->quarantine_count++] = key;
}

/* Those in both, which begin anew: two more deaths are needed after a release. */
static void
compare(struct supervisor *s, struct edge_death *a, struct edge_death *b)
{
	for (size_t i = 0, j = 0; i < a->count && j < b->count;) {
		if (a->keys[i] == b->keys[j]) {
			quarantine(s, a->keys[i]);
			memmove(&a->keys[i], &a->keys[i + 1], (--a->count - i) * sizeof *a->keys);
			memmove(&b->keys[j], &b->keys[j + 1], (--b->count - j) * sizeof *b->keys);
		} else if (a->keys[i] < b->keys[j]) {
			i++;
		} else {
			j++;
		}
	}
}

void
poison_edge_died(struct child *c, int wait_status)
{
	struct supervisor *s = c->s;
	uint64_t working = atomic_exchange(&shared_counters(&s->shared, c->instance)->working_key, 0); /* not the next one's */
	if (!by_itself(c, wait_status))
		return;
	struct edge_death fresh = who_was_served(c, working);
	for (size_t i = 0; i < DEATHS_MAX; i++)
		if (s->death[i].at_ms + POISON_MS >= fresh.at_ms)
			compare(s, &fresh, &s->death[i]);
	free(s->death[DEATHS_MAX - 1].keys);
	memmove(s->death + 1, s->death, sizeof s->death - sizeof s->death[0]);
	s->death[0] = fresh;
	poison_tell(s);
}

/* One that is not told because the ledger dies is told when its edges have died again. */
void
poison_tell(struct supervisor *s)
{
	struct child *ledger = child_find(s, END_OF_LEDGER, 0);
	struct message_key m = MESSAGE_INIT(QUARANTINE, message_key);
	if (ledger->state != CHILD_UP)
		return;
	for (uint32_t i = 0; i < s->quarantine_count; i++) {
		m.key = s->quarantine[i];
		(void)!port_send(&ledger->port, &m, sizeof m, -1);
	}
	s->quarantine_count = 0;
}
