/*
 * From one configuration to the next, without refusing a connection or cutting an exchange:
 *
 *   1. listeners: what is new is bound, what stays is the same socket; catalogue and sums get memory of their own
 *   2. the ledger takes the new prices into its book (CATALOGUE, TALLY, ADOPTED), so that no ticket can come before its price
 *   3. dialer and edges are started beside the old ones; when all are READY, both accept
 *   4. the new generation serves: the scribe learns its names, the old edges RETIRE: they accept no more and finish what they have,
 *      within their `timeouts.drain`; then their dialer is stopped, and the generation is free
 *
 * Until 4 everything can be taken back. A ledger that dies meanwhile is started with what is in force, and told again.
 */
#include "proc/supervisor_priv.h"

#include "proc/collector.h"
#include "proc/tls_hand.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

enum {
	START_MS = 60000, /* a generation that is not READY by then is given up */
	RETIRE_GRACE_MS = 3000, /* beyond the edges' own limit */
	STOP_GRACE_MS = 2000, /* from STOP to SIGKILL */
};

static void begin_children(struct generation *g);
static void look_whether_ready(struct supervisor *s);

static uint32_t
index_of(const struct generation *g)
{
	return (uint32_t)(g - g->s->generation);
}

bool
generation_lives(const struct child *c)
{
	return !c->own || (c->own->state == GENERATION_SERVING && !c->own->foreign);
}

struct generation *
generation_free(struct supervisor *s)
{
	for (uint32_t i = 0; i < s->generation_count; i++)
		if (s->generation[i].state == GENERATION_FREE)
			return &s->generation[i];
	return NULL;
}

/* ---- memory, handed on ---- */

static bool
send_memory(struct child *c, const struct generation *g, enum message_type type, int fd, size_t bytes)
{
	struct message_memory m = {.head = {.type = (uint16_t)type, .bytes = sizeof m}};
	m.memory_bytes = bytes;
	m.generation = index_of(g);
	m.log_level = g->plan->log_level;
	m.batch_window_ms = g->plan->batch_window_ms;
	m.streams_per_account = supervisor_streams_per_account(g->plan);
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy >= 0 && port_send(&c->port, &m, sizeof m, copy) == IPC_OK)
		return true;
	if (copy >= 0)
		close(copy);
	return false;
}

/* One that can't be told is dying, and its successor is told by its handover, or when it is READY. */
static void
send_pair(struct child *c, const struct generation *g, bool write)
{
	const struct shared_catalogue *m = &g->memory;
	if (!send_memory(c, g, MESSAGE_CATALOGUE, m->catalogue_fd, m->catalogue_bytes) ||
		!send_memory(c, g, MESSAGE_TALLY, write ? m->tally_fd : m->tally_read_fd, m->tally_bytes))
		kill(c->pid, SIGKILL); /* half of it is no state to be in */
}

static void
tell_ledger(struct supervisor *s, const struct generation *g)
{
	struct child *ledger = child_find(s, END_OF_LEDGER, 0);
	if (ledger->state != CHILD_UP)
		return;
	s->ledger_has = NULL;
	s->ledger_told = g;
	send_pair(ledger, g, true);
}

static void
tell_scribe(struct supervisor *s, const struct generation *g)
{
	struct child *scribe = child_find(s, END_OF_SCRIBE, 0);
	if (scribe->pid > 0 && scribe->state != CHILD_ENDING)
		send_pair(scribe, g, false);
}

/* ---- its end ---- */

static bool
any_alive(const struct generation *g, bool edges_only)
{
	for (uint32_t i = 0; i < g->s->child_count; i++) {
		const struct child *c = &g->s->child[i];
		if (c->own == g && c->pid > 0 && (child_is_edge(c) || !edges_only))
			return true;
	}
	return false;
}

static void
release(struct generation *g)
{
	struct supervisor *s = g->s;
	timer_cancel(&s->loop, &g->limit);
	shared_close_catalogue(&g->memory);
	if (g->tls != g->plan->tls)
		tls_files_free(&g->tls);
	tls_files_free(&g->tls_next);
	if (g->plan->drop)
		g->plan->drop((struct supervisor_plan *)g->plan);
	g->plan = NULL;
	g->tls = NULL;
	g->foreign = false;
	g->keys_awaited = g->keys_tried = 0;
	g->state = GENERATION_FREE;
	supervisor_report(s, EVENT_RETIRED, NUMBERS(index_of(g)));
	reload_go_on(s);
}

/* One that is not READY here may accept already, and have requests: its word is on the way. If it has nothing, it ends at once. */
static void
tell_all(struct generation *g, bool edges, enum message_type what)
{
	struct supervisor *s = g->s;
	for (uint32_t i = 0; i < s->child_count; i++) {
		struct child *c = &s->child[i];
		if (c->own != g || child_is_edge(c) != edges || c->state == CHILD_UNUSED)
			continue;
		timer_cancel(&s->loop, &c->restart);
		if (c->pid == 0) {
			arrows_drop(s, c);
			c->state = CHILD_UNUSED;
			continue;
		}
		child_tell(c, what);
		c->state = CHILD_ENDING;
	}
}

static void
look_whether_over(struct generation *g)
{
	if (g->state != GENERATION_RETIRING || any_alive(g, true))
		return;
	if (any_alive(g, false))
		tell_all(g, false, MESSAGE_STOP);
	else
		release(g);
}

/* It takes too long: ask harder, then force. */
static void
retired_too_long(struct timer *t)
{
	struct generation *g = container_of(t, struct generation, limit);
	struct supervisor *s = g->s;
	bool force = g->limits_passed++ > 0;
	if (!force)
		tell_all(g, true, MESSAGE_STOP);
	for (uint32_t i = 0; force && i < s->child_count; i++)
		if (s->child[i].own == g && s->child[i].pid > 0)
			kill(s->child[i].pid, SIGKILL);
	timer_arm(&s->loop, t, s->loop.now_ms + STOP_GRACE_MS, retired_too_long);
	look_whether_over(g);
}

static void
end_within(struct generation *g, uint64_t ms)
{
	g->state = GENERATION_RETIRING;
	g->limits_passed = 0;
	timer_cancel(&g->s->loop, &g->limit);
	timer_arm(&g->s->loop, &g->limit, g->s->loop.now_ms + ms, retired_too_long);
}

void
generation_retires(struct generation *g, uint64_t limit_at_ms, uint32_t limits_passed)
{
	g->state = GENERATION_RETIRING;
	g->limits_passed = limits_passed;
	timer_arm(&g->s->loop, &g->limit, limit_at_ms, retired_too_long);
}

void
generation_give_up(struct supervisor *s, const char *why)
{
	struct generation *g = s->next;
	s->next = NULL;
	listen_drop(g, s->now);
	end_within(g, (uint64_t)g->plan->timeouts.drain + RETIRE_GRACE_MS);
	tell_all(g, true, MESSAGE_RETIRE); /* some may serve already */
	if (s->ledger_told == g || s->ledger_has == g)
		tell_ledger(s, s->now);
	reload_over(s, why);
	look_whether_over(g);
}

void
generation_child_ended(struct child *c)
{
	struct supervisor *s = c->s;
	if (c->own == s->next)
		generation_give_up(s, child_is_edge(c) ? "an edge with it ended at its start; the log says how" : c->role->end == END_OF_SIGNER ? "its signer ended at its start; the log says how"
																																		: "its dialer ended at its start; the log says how");
	else
		look_whether_over(c->own);
}

/* ---- its beginning ---- */

static bool
make(struct generation *g, const struct supervisor_plan *plan)
{
	struct supervisor *s = g->s;
	g->plan = plan;
	g->tls = plan->tls;
	if (!listen_all(g, s->now))
		return false;
	if (shared_create_catalogue(&g->memory, plan->catalogue, plan->catalogue_bytes))
		return true;
	reload_note(s, "there is no memory for the catalogue: ", strerror(errno));
	listen_drop(g, s->now);
	return false;
}

void
generations_init(struct supervisor *s)
{
	s->generation_count = s->plan->generations > 1 ? s->plan->generations : 1;
	assert(s->generation_count <= GENERATIONS_MAX && s->generation_count * s->plan->edges <= BOARD_EDGES_MAX);
	for (uint32_t i = 0; i < s->generation_count; i++) {
		struct generation *g = &s->generation[i];
		g->s = s;
		g->memory = (struct shared_catalogue){-1, -1, -1, 0, 0};
		memset(g->listen_fd, -1, sizeof g->listen_fd);
	}
}

bool
generation_first(struct supervisor *s)
{
	struct generation *g = &s->generation[0];
	if (!make(g, s->plan))
		return false;
	g->state = GENERATION_SERVING;
	s->now = g;
	return true;
}

static void
started_too_long(struct timer *t)
{
	struct generation *g = container_of(t, struct generation, limit);
	assert(g == g->s->next);
	generation_give_up(g->s, "its processes were not ready in time; the log says why");
}

bool
generation_begin(struct supervisor *s, struct generation *g, const struct supervisor_plan *plan)
{
	assert(!s->next && g->state == GENERATION_FREE);
	if (!make(g, plan))
		return false;
	g->state = GENERATION_STARTING;
	s->next = g;
	timer_arm(&s->loop, &g->limit, s->loop.now_ms + START_MS, started_too_long);
	tls_begin(s, plan);
	tell_ledger(s, g);
	return true;
}

static void
begin_children(struct generation *g)
{
	struct supervisor *s = g->s;
	for (uint32_t i = 0; i < s->child_count; i++)
		if (s->child[i].own == g) {
			assert(s->child[i].state == CHILD_UNUSED);
			s->child[i].state = child_is_wanted(&s->child[i]) ? CHILD_DOWN : CHILD_UNUSED; /* its neighbours keep an end for it */
		}
	for (uint32_t i = 0; i < s->child_count; i++)
		if (s->child[i].own == g && s->child[i].state == CHILD_DOWN)
			child_start(&s->child[i]);
}

void
generation_adopted(struct supervisor *s, const struct message_adopted *m)
{
	const struct generation *g = m->generation < s->generation_count ? &s->generation[m->generation] : NULL;
	if (!g || s->ledger_told != g)
		return;
	s->ledger_told = NULL;
	s->ledger_has = m->refused ? NULL : g;
	if (g == s->next && m->refused)
		generation_give_up(s, "the ledger can't take its prices into the book; is the store writable? - lethe status");
	else if (g == s->now && m->refused)
		kill(child_find(s, END_OF_LEDGER, 0)->pid, SIGKILL); /* its successor begins with what is in force */
	else if (g == s->next)
		look_whether_ready(s);
}

static void
switch_over(struct supervisor *s)
{
	struct generation *g = s->next, *old = s->now;
	const struct catalogue *catalogue = g->plan->catalogue;
	bool moved = !listen_same(g, old), other_log = strcmp(g->plan->log_file, old->plan->log_file) != 0;
	timer_cancel(&s->loop, &g->limit);
	g->state = GENERATION_SERVING;
	s->now = g;
	s->next = NULL;
	s->plan = g->plan;
	tell_scribe(s, g);
	if (other_log)
		reload_log(s);
	listen_drop(old, g);
	end_within(old, (uint64_t)old->plan->timeouts.drain + RETIRE_GRACE_MS);
	tell_all(old, true, MESSAGE_RETIRE);
	atomic_store(&supervisor_processes(s)->vault_budget_bytes, g->plan->limits.content_bytes + g->plan->limits.library_bytes);
	if (moved && !listen_announce(s))
		supervisor_say("can't write the file `endpoint` in the data directory: ", strerror(errno));
	supervisor_report(s, EVENT_CATALOGUE, NUMBERS(catalogue->version, catalogue->model_count));
	atomic_fetch_add(&supervisor_processes(s)->generation, 1);
	if (s->upgrade.step != UPGRADE_TAKING_OVER)
		supervisor_report(s, EVENT_RELOADED, NUMBERS(index_of(g), s->reload.report.waiting));
	reload_over(s, NULL);
	look_whether_over(old);
}

static void
look_whether_ready(struct supervisor *s)
{
	struct generation *g = s->next;
	if (!g || s->ledger_has != g)
		return;
	bool ready = true, begun = false;
	for (uint32_t i = 0; i < s->child_count; i++)
		if (s->child[i].own == g) {
			begun = begun || s->child[i].state != CHILD_UNUSED;
			ready = ready && (s->child[i].state == CHILD_UP || !child_is_wanted(&s->child[i]));
		}
	if (!begun)
		begin_children(g);
	else if (ready)
		switch_over(s);
}

void
generation_child_ready(struct supervisor *s, struct child *c)
{
	if (c->role->end == END_OF_SIGNER)
		tls_signer_ready(c);
	if (c->role->end == END_OF_DIALER && s->collector_wanted)
		collector_dial(s);
	if (c->role->end == END_OF_LEDGER) {
		s->ledger_has = child_generation(c);
		poison_tell(s);
		if (s->next && s->ledger_has != s->next)
			tell_ledger(s, s->next);
	}
	look_whether_ready(s);
}
