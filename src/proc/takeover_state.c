/* Reads what upgrade_state.c of another build has written. What that does not tell is as if it were 0: new members begin that way. */
#include "proc/takeover_priv.h"

#include "ticket/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static bool
wrong(char ret_why[TAKEOVER_WHY_MAX], const char *what, const char *more)
{
	snprintf(ret_why, TAKEOVER_WHY_MAX, "%s%s", what, more);
	return false;
}

/* ---- members ---- */

uint64_t
takeover_number(const json_t *o, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(o, name));
}

static int
fd_of(const json_t *o, const char *name)
{
	const json_t *v = json_object_get(o, name);
	return json_is_integer(v) ? (int)json_integer_value(v) : -1;
}

static const char *
text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));
	return text ? text : "";
}

static bool
is_true(const json_t *o, const char *name)
{
	return json_is_true(json_object_get(o, name));
}

/* Which members of an object are descriptors. */
static void
add_fds(const json_t *o, const char *const *names, struct upgrade_fds *ret)
{
	for (; *names; names++) {
		int fd = fd_of(o, *names);
		if (fd > 2 && ret->count < UPGRADE_FDS_MAX - 1)
			ret->fd[ret->count++] = fd;
	}
}

void
takeover_list_fds(const json_t *state, struct upgrade_fds *ret)
{
	static const char *const plan[] = {"lock_fd", "notify_fd", NULL}, *const upgrade[] = {"exe_fd", NULL}, *const listen[] = {"fd", NULL};
	static const char *const memory[] = {"board", "keys", "keys_read", "counters", "counters_read", "wake_eventfd", "control", "metrics", "log", NULL};
	static const char *const generation[] = {"catalogue_fd", "tally_fd", "tally_read_fd", NULL}, *const child[] = {"port", "pipe", NULL};
	size_t i, k;
	json_t *o, *l;
	ret->count = 0;
	add_fds(json_object_get(state, "plan"), plan, ret);
	add_fds(json_object_get(state, "memory"), memory, ret);
	add_fds(json_object_get(state, "upgrade"), upgrade, ret);
	json_array_foreach(json_object_get(state, "children"), i, o)
		add_fds(o, child, ret);
	json_array_foreach(json_object_get(state, "signers"), i, o)
		add_fds(o, child, ret);
	json_array_foreach(json_object_get(state, "generations"), i, o)
	{
		add_fds(o, generation, ret);
		json_array_foreach(json_object_get(o, "listen"), k, l)
			add_fds(l, listen, ret);
	}
}

/* ---- does it fit? ---- */

bool
takeover_fits(char ret_why[TAKEOVER_WHY_MAX])
{
	const json_t *state = takeover_now()->state, *layouts = json_object_get(state, "layouts");
	const char *from = text_of(state, "version");
	if (takeover_number(state, "format") != UPGRADE_FORMAT) {
		snprintf(ret_why, TAKEOVER_WHY_MAX, "version %s does not know how to take over from version %.40s - restart instead", LETHE_VERSION, from);
		return false;
	}
	for (int p = 0; p < LAYOUT_COUNT; p++) {
		const json_t *row = json_object_get(layouts, layout_name((enum layout_part)p));
		struct layout other = {(uint32_t)json_integer_value(json_array_get(row, 0)), (uint64_t)json_integer_value(json_array_get(row, 1))};
		if (layout_extends((enum layout_part)p, other))
			continue;
		snprintf(ret_why, TAKEOVER_WHY_MAX, "%s of version %.40s can't be used by version %s: it is laid out otherwise - restart instead (answers that run get `timeouts.drain`)",
			layout_words((enum layout_part)p), from, LETHE_VERSION);
		return false;
	}
	if (takeover_number(state, "schema") == store_schema())
		return true;
	snprintf(ret_why, TAKEOVER_WHY_MAX, "version %s has another schema of the store than version %.40s, and that can't be changed back - back up the data directory, then restart",
		LETHE_VERSION, from);
	return false;
}

void
takeover_can(void)
{
	printf("\n" UPGRADE_CAN "%s\n", LETHE_VERSION);
}

/* ---- plans ---- */

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10
																 : -1;
}

static bool
read_address(const json_t *o, struct plan_address *ret)
{
	const char *hex = text_of(o, "address");
	size_t len = strlen(hex) / 2;
	uint8_t *to = (uint8_t *)&ret->any;
	bool inherited = is_true(o, "inherited"); /* it has no address that we know */
	if ((len == 0 && !inherited) || len > sizeof ret->local)
		return false;
	*ret = (struct plan_address){
		.len = (socklen_t)len, .tls = is_true(o, "tls"), .dual_stack = is_true(o, "dual_stack"), .inherited = inherited, .mode = (mode_t)takeover_number(o, "mode"), .fd = fd_of(o, "fd")};
	for (size_t i = 0; i < len; i++) {
		int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		to[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static const json_t *
serving(const json_t *state)
{
	size_t i;
	json_t *o;
	json_array_foreach(json_object_get(state, "generations"), i, o) if (is_true(o, "serves")) return o;
	return NULL;
}

static void
drop_foreign(struct supervisor_plan *plan)
{
	free(plan);
}

/* What an old generation's end needs. */
static bool
plan_of_generation(const json_t *o, struct supervisor_plan *p)
{
	size_t i;
	json_t *l;
	p->timeouts.drain = (uint32_t)takeover_number(o, "drain_ms");
	p->limits.content_bytes = takeover_number(o, "content_bytes");
	p->limits.library_bytes = takeover_number(o, "library_bytes");
	p->limits.tickets_per_account_percent = (uint32_t)takeover_number(o, "account_percent");
	p->batch_window_ms = (uint32_t)takeover_number(o, "batch_window_ms");
	p->outbox_ms = takeover_number(o, "outbox_ms");
	p->outbox_requests = takeover_number(o, "outbox_requests");
	p->log_level = (enum severity)takeover_number(o, "log_level");
	json_array_foreach(json_object_get(o, "listen"), i, l)
	{
		if (p->listen_count == HANDOVER_LISTENERS_MAX || !read_address(l, &p->listen[p->listen_count]))
			return false;
		p->listen_count++;
	}
	return true;
}

static bool
plan_of_process(const json_t *state, struct supervisor_plan *p)
{
	const json_t *o = json_object_get(state, "plan");
	snprintf(p->data_dir, sizeof p->data_dir, "%s", text_of(o, "data_dir"));
	snprintf(p->log_file, sizeof p->log_file, "%s", text_of(o, "log_file"));
	p->allow_plain_memory = is_true(o, "allow_plain_memory");
	p->metrics_on = is_true(o, "metrics_on");
	p->generations = (uint32_t)takeover_number(o, "generations");
	p->edges = (uint32_t)takeover_number(o, "edges");
	p->node = (uint32_t)takeover_number(o, "node");
	p->accounts = (uint32_t)takeover_number(o, "accounts");
	p->tickets_per_edge = (uint32_t)takeover_number(o, "tickets_per_edge");
	p->grade = (enum vault_grade)takeover_number(o, "grade");
	p->lock_fd = fd_of(o, "lock_fd");
	p->notify_fd = fd_of(o, "notify_fd");
	p->log_fd = fd_of(json_object_get(state, "memory"), "log");
	bool sound = p->generations > 0 && p->generations <= GENERATIONS_MAX && p->edges > 0 && p->edges <= BOARD_EDGES_MAX / p->generations;
	return sound && p->data_dir[0] == '/' && p->lock_fd >= 0 && p->log_fd >= 0;
}

bool
takeover_plan(struct supervisor_plan *ret_now, char ret_why[TAKEOVER_WHY_MAX])
{
	const json_t *state = takeover_now()->state, *now = serving(state);
	json_t *settings = json_object_get(state, "settings");
	if (!now || !json_is_object(settings) || !plan_of_process(state, ret_now) || !plan_of_generation(now, ret_now))
		return wrong(ret_why, "what the running server tells can't be read", " - restart instead");
	ret_now->settings = json_incref(settings);
	return true;
}

/* ---- the supervisor ---- */

static bool
restore_memory(struct supervisor *s, const json_t *o)
{
	struct shared *m = &s->shared;
	m->board_fd = fd_of(o, "board");
	m->keys_fd = fd_of(o, "keys");
	m->keys_read_fd = fd_of(o, "keys_read");
	m->counters_fd = fd_of(o, "counters");
	m->counters_read_fd = fd_of(o, "counters_read");
	s->wake_fd = fd_of(o, "wake_eventfd");
	s->control_fd = fd_of(o, "control");
	s->metrics_fd = fd_of(o, "metrics");
	s->log_fd = fd_of(o, "log");
	return s->wake_fd >= 0 && s->control_fd >= 0 && shared_adopt(m);
}

static void retired_again(struct generation *g, const json_t *o);

static void
restore_generation(struct generation *g, const json_t *o)
{
	size_t i;
	json_t *l;
	g->memory = (struct shared_catalogue){fd_of(o, "catalogue_fd"), fd_of(o, "tally_fd"), fd_of(o, "tally_read_fd"), takeover_number(o, "catalogue_bytes"), takeover_number(o, "tally_bytes")};
	json_array_foreach(json_object_get(o, "listen"), i, l)
		g->listen_fd[i] = fd_of(l, "fd");
	if (is_true(o, "serves"))
		g->state = GENERATION_SERVING;
	else
		retired_again(g, o);
}

static void
retired_again(struct generation *g, const json_t *o)
{
	generation_retires(g, takeover_number(o, "limit_at_ms"), (uint32_t)takeover_number(o, "limits_passed"));
}

static bool
foreign_plan(struct generation *g, const json_t *o)
{
	struct supervisor_plan *p = calloc(1, sizeof *p);
	if (!p || !plan_of_generation(o, p)) {
		free(p);
		return false;
	}
	p->edges = g->s->plan->edges;
	p->grade = g->s->plan->grade;
	p->drop = drop_foreign;
	g->plan = p;
	return true;
}

/* Going back: the plan is read anew, the sockets are those that there are. */
static bool
own_listeners(struct generation *g, struct supervisor_plan *now)
{
	struct generation before = {.s = g->s, .plan = now};
	memcpy(before.listen_fd, g->listen_fd, sizeof before.listen_fd);
	return listen_all(g, &before);
}

static bool
restore_generations(struct supervisor *s, const json_t *list, struct supervisor_plan *now)
{
	bool back = takeover_now()->mode == TAKEOVER_BACK;
	size_t i;
	json_t *o;
	json_array_foreach(list, i, o)
	{
		uint64_t index = takeover_number(o, "index");
		if (index >= s->generation_count || s->generation[index].plan)
			return false;
		struct generation *g = &s->generation[index];
		bool serves = is_true(o, "serves");
		g->foreign = !back || !serves;
		if (serves)
			s->now = g;
		if (serves && back)
			g->plan = s->plan;
		else if (serves)
			g->plan = now;
		else if (!foreign_plan(g, o))
			return false;
		g->tls = g->plan->tls;
		restore_generation(g, o);
		if (serves && back && !own_listeners(g, now))
			return false;
	}
	return s->now != NULL;
}

static enum child_state
state_of(const char *name)
{
	for (int state = CHILD_DOWN; state <= CHILD_UNUSED; state++)
		if (strcmp(upgrade_child_state((enum child_state)state), name) == 0)
			return (enum child_state)state;
	return CHILD_UNUSED;
}

static struct child *
find(struct supervisor *s, const json_t *o)
{
	for (uint32_t i = 0; i < s->child_count; i++)
		if (strcmp(s->child[i].role->name, text_of(o, "role")) == 0 && s->child[i].instance == takeover_number(o, "instance"))
			return &s->child[i];
	return NULL;
}

static bool
restore_child(struct child *c, const json_t *o)
{
	c->incarnation = (uint32_t)takeover_number(o, "incarnation");
	c->restarts = (uint32_t)takeover_number(o, "restarts");
	c->backoff_ms = (uint32_t)takeover_number(o, "backoff_ms");
	c->started_ms = takeover_number(o, "started_ms");
	c->traced = is_true(o, "traced");
	c->state = state_of(text_of(o, "state"));
	c->pid = (pid_t)takeover_number(o, "pid");
	return c->pid == 0 || child_adopt(c, fd_of(o, "port"), fd_of(o, "pipe"));
}

static bool
restore_children(struct supervisor *s, const json_t *list)
{
	size_t i;
	json_t *o;
	json_array_foreach(list, i, o)
	{
		struct child *c = find(s, o);
		if (!c || !restore_child(c, o))
			return false;
	}
	return true;
}

static size_t
read_keys(const json_t *list, uint64_t *ret, size_t most)
{
	size_t count = json_array_size(list) < most ? json_array_size(list) : most;
	for (size_t i = 0; i < count; i++)
		ret[i] = (uint64_t)json_integer_value(json_array_get(list, i));
	return count;
}

static void
restore_deaths(struct supervisor *s, const json_t *state)
{
	size_t i;
	json_t *o;
	json_array_foreach(json_object_get(state, "deaths"), i, o)
	{
		const json_t *keys = json_object_get(o, "keys");
		struct edge_death *d = &s->death[i];
		if (i == DEATHS_MAX)
			break;
		d->at_ms = takeover_number(o, "at_ms");
		d->keys = calloc(json_array_size(keys) + 1, sizeof *d->keys);
		d->count = d->keys ? read_keys(keys, d->keys, json_array_size(keys)) : 0;
	}
	s->quarantine_count = (uint32_t)read_keys(json_object_get(state, "quarantine"), s->quarantine, QUARANTINES_MAX);
}

static void
restore_numbers(struct supervisor *s, const json_t *state)
{
	const json_t *reload = json_object_get(state, "reload"), *o = json_object_get(state, "upgrade");
	struct plan_report *report = &s->reload.report;
	s->reload.begun = (uint64_t)json_integer_value(json_array_get(reload, 0));
	s->reload.done = (uint64_t)json_integer_value(json_array_get(reload, 1));
	s->upgrade.begun = takeover_number(o, "begun");
	s->upgrade.done = takeover_number(o, "done");
	s->upgrade.fresh_sums = (uint64_t)json_integer_value(json_object_get(state, "catalogue")) != layout_of_catalogue();
	snprintf(s->upgrade.from, sizeof s->upgrade.from, "%s", text_of(o, "from"));
	snprintf(report->text, sizeof report->text, "%s", text_of(o, "text"));
	report->len = strlen(report->text);
}

bool
takeover_restore(struct supervisor *s, struct supervisor_plan *now, char ret_why[TAKEOVER_WHY_MAX])
{
	const json_t *state = takeover_now()->state;
	generations_init(s);
	restore_numbers(s, state);
	restore_deaths(s, state);
	if (!restore_generations(s, json_object_get(state, "generations"), now))
		return wrong(ret_why, "the generations of edges", "");
	if (!restore_memory(s, json_object_get(state, "memory")))
		return wrong(ret_why, "the shared memory: ", strerror(errno));
	supervisor_init_children(s);
	return (restore_children(s, json_object_get(state, "children")) && restore_children(s, json_object_get(state, "signers"))) || wrong(ret_why, "the processes: ", strerror(errno));
}
