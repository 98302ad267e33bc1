/*
 * What one supervisor tells the next: JSON in a sealed memfd, for the two may be of different builds. Numbers of descriptors that stay open
 * over execve, process ids, sizes; nothing secret. takeover.c reads it.
 */
#include "proc/upgrade_priv.h"

#include "ticket/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

static const char *const child_states[] = {
	[CHILD_DOWN] = "down", [CHILD_STARTING] = "starting", [CHILD_UP] = "up", [CHILD_ENDING] = "ending", [CHILD_UNUSED] = "unused"};

const char *
upgrade_child_state(enum child_state state)
{
	return child_states[state];
}

static void
put_number(json_t *o, const char *name, uint64_t value)
{
	json_object_set_new(o, name, json_integer((json_int_t)value));
}

/* A descriptor that is to stay open. */
static void
put_fd(struct upgrade_fds *fds, json_t *o, const char *name, int fd)
{
	json_object_set_new(o, name, json_integer(fd));
	if (fd > STDERR_FILENO && fds->count < UPGRADE_FDS_MAX)
		fds->fd[fds->count++] = fd;
}

static json_t *
layouts_json(void)
{
	json_t *o = json_object();
	for (int p = 0; p < LAYOUT_COUNT; p++) {
		struct layout own = layout_of((enum layout_part)p);
		json_object_set_new(o, layout_name((enum layout_part)p), json_pack("[I, I]", (json_int_t)own.rows, (json_int_t)own.hash));
	}
	return o;
}

static json_t *
plan_json(const struct supervisor_plan *p, struct upgrade_fds *fds)
{
	json_t *o = json_object();
	json_object_set_new(o, "data_dir", json_string(p->data_dir));
	json_object_set_new(o, "log_file", json_string(p->log_file));
	json_object_set_new(o, "allow_plain_memory", json_boolean(p->allow_plain_memory));
	json_object_set_new(o, "metrics_on", json_boolean(p->metrics_on));
	put_number(o, "generations", p->generations);
	put_number(o, "edges", p->edges);
	put_number(o, "node", p->node);
	put_number(o, "accounts", p->accounts);
	put_number(o, "tickets_per_edge", p->tickets_per_edge);
	put_number(o, "grade", p->grade);
	put_fd(fds, o, "lock_fd", p->lock_fd);
	put_fd(fds, o, "notify_fd", p->notify_fd);
	return o;
}

static void
put_address(json_t *list, const struct plan_address *a, int fd, struct upgrade_fds *fds)
{
	char hex[2 * sizeof a->local + 1];
	const uint8_t *bytes = (const uint8_t *)&a->any;
	for (socklen_t i = 0; i < a->len; i++)
		snprintf(hex + (size_t)2 * i, 3, "%02x", bytes[i]);
	hex[2 * a->len] = '\0';
	json_t *o = json_pack("{s:s, s:b, s:b, s:b, s:i}", "address", hex, "tls", a->tls, "dual_stack", a->dual_stack, "inherited", a->inherited, "mode", (int)a->mode);
	put_fd(fds, o, "fd", fd);
	json_array_append_new(list, o);
}

static json_t *
listeners_json(const struct generation *g, struct upgrade_fds *fds)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < g->plan->listen_count; i++)
		if (g->listen_fd[i] >= 0)
			put_address(list, &g->plan->listen[i], g->listen_fd[i], fds);
	return list;
}

/* What is needed of a generation whose edges only finish what they have. */
static json_t *
generation_json(const struct generation *g, struct upgrade_fds *fds)
{
	json_t *o = json_object();
	const struct supervisor_plan *p = g->plan;
	put_number(o, "index", (uint64_t)(g - g->s->generation));
	json_object_set_new(o, "serves", json_boolean(g->state == GENERATION_SERVING));
	put_number(o, "limits_passed", g->limits_passed);
	put_number(o, "limit_at_ms", g->limit.link ? g->limit.at_ms : 0);
	put_fd(fds, o, "catalogue_fd", g->memory.catalogue_fd);
	put_fd(fds, o, "tally_fd", g->memory.tally_fd);
	put_fd(fds, o, "tally_read_fd", g->memory.tally_read_fd);
	put_number(o, "catalogue_bytes", g->memory.catalogue_bytes);
	put_number(o, "tally_bytes", g->memory.tally_bytes);
	put_number(o, "drain_ms", p->timeouts.drain);
	put_number(o, "content_bytes", p->limits.content_bytes);
	put_number(o, "library_bytes", p->limits.library_bytes);
	put_number(o, "account_percent", p->limits.tickets_per_account_percent);
	put_number(o, "batch_window_ms", p->batch_window_ms);
	put_number(o, "outbox_ms", p->outbox_ms);
	put_number(o, "outbox_requests", p->outbox_requests);
	put_number(o, "log_level", p->log_level);
	json_object_set_new(o, "listen", listeners_json(g, fds));
	return o;
}

static json_t *
generations_json(const struct supervisor *s, struct upgrade_fds *fds)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < s->generation_count; i++)
		if (s->generation[i].state != GENERATION_FREE)
			json_array_append_new(list, generation_json(&s->generation[i], fds));
	return list;
}

/* Also those that don't run: their incarnations must go on growing. */
static json_t *
child_json(const struct child *c, struct upgrade_fds *fds)
{
	json_t *o = json_pack("{s:s, s:s, s:b}", "role", c->role->name, "state", child_states[c->state], "traced", c->traced);
	put_number(o, "instance", c->instance);
	put_number(o, "incarnation", c->incarnation);
	put_number(o, "restarts", c->restarts);
	put_number(o, "backoff_ms", c->backoff_ms);
	put_number(o, "started_ms", c->started_ms);
	put_number(o, "pid", (uint64_t)c->pid);
	put_fd(fds, o, "port", port_is_open(&c->port) ? c->port.watch.fd : -1);
	put_fd(fds, o, "pipe", c->pipe.fd);
	return o;
}

/* Signers are a list of their own, which a build that knows of none does not read. */
static json_t *
children_json(const struct supervisor *s, bool signers, struct upgrade_fds *fds)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < s->child_count; i++)
		if (s->child[i].incarnation > 0 && (s->child[i].role->end == END_OF_SIGNER) == signers)
			json_array_append_new(list, child_json(&s->child[i], fds));
	return list;
}

static json_t *
keys_json(const uint64_t *keys, size_t count)
{
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_integer((json_int_t)keys[i]));
	return list;
}

static json_t *
deaths_json(const struct supervisor *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < DEATHS_MAX; i++)
		if (s->death[i].count > 0)
			json_array_append_new(list, json_pack("{s:I, s:o}", "at_ms", (json_int_t)s->death[i].at_ms, "keys", keys_json(s->death[i].keys, s->death[i].count)));
	return list;
}

static json_t *
memory_json(const struct supervisor *s, struct upgrade_fds *fds)
{
	json_t *o = json_object();
	put_fd(fds, o, "board", s->shared.board_fd);
	put_fd(fds, o, "keys", s->shared.keys_fd);
	put_fd(fds, o, "keys_read", s->shared.keys_read_fd);
	put_fd(fds, o, "counters", s->shared.counters_fd);
	put_fd(fds, o, "counters_read", s->shared.counters_read_fd);
	put_fd(fds, o, "wake_eventfd", s->wake_fd);
	put_fd(fds, o, "control", s->control_fd);
	put_fd(fds, o, "metrics", s->metrics_fd);
	put_fd(fds, o, "log", s->log_fd);
	return o;
}

static json_t *
upgrade_json(const struct supervisor *s, struct upgrade_fds *fds)
{
	const struct upgrade *u = &s->upgrade;
	json_t *o = json_pack("{s:s%, s:s}", "text", s->reload.report.text, s->reload.report.len, "from", u->step == UPGRADE_TAKING_OVER ? u->from : LETHE_VERSION);
	put_number(o, "begun", u->begun);
	put_number(o, "done", u->done);
	put_fd(fds, o, "exe_fd", u->step == UPGRADE_TAKING_OVER ? -1 : u->own_fd);
	return o;
}

/* The memory keeps the layout that it has, also while a newer build tries to take over. */
static json_t *
state_json(const struct supervisor *s, struct upgrade_fds *fds)
{
	json_t *o = json_pack("{s:i, s:s, s:i}", "format", UPGRADE_FORMAT, "version", LETHE_VERSION, "pid", (int)getpid());
	put_number(o, "schema", store_schema());
	json_object_set_new(o, "catalogue", json_integer((json_int_t)layout_of_catalogue()));
	json_object_set_new(o, "layouts", layouts_json());
	json_object_set(o, "settings", s->plan->settings);
	json_object_set_new(o, "plan", plan_json(s->plan, fds));
	json_object_set_new(o, "memory", memory_json(s, fds));
	json_object_set_new(o, "generations", generations_json(s, fds));
	json_object_set_new(o, "children", children_json(s, false, fds));
	json_object_set_new(o, "signers", children_json(s, true, fds));
	json_object_set_new(o, "deaths", deaths_json(s));
	json_object_set_new(o, "quarantine", keys_json(s->quarantine, s->quarantine_count));
	json_object_set_new(o, "reload", json_pack("[I, I]", (json_int_t)s->reload.begun, (json_int_t)s->reload.done));
	json_object_set_new(o, "upgrade", upgrade_json(s, fds));
	return o;
}

static int
sealed(const char *text)
{
	size_t len = strlen(text);
	int fd = memfd_create("lethe-upgrade", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -1;
	if (write(fd, text, len) == (ssize_t)len && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
		return fd;
	close(fd);
	errno = EIO;
	return -1;
}

int
upgrade_state_write(const struct supervisor *s, struct upgrade_fds *ret_fds)
{
	ret_fds->count = 0;
	json_t *state = state_json(s, ret_fds);
	char *text = json_dumps(state, JSON_COMPACT);
	json_decref(state);
	int fd = text ? sealed(text) : -1;
	free(text);
	if (fd >= 0)
		ret_fds->fd[ret_fds->count++] = fd;
	return fd;
}

void
upgrade_fds_keep(const struct upgrade_fds *fds, bool keep)
{
	for (uint32_t i = 0; i < fds->count; i++)
		fcntl(fds->fd[i], F_SETFD, keep ? 0 : FD_CLOEXEC);
}
