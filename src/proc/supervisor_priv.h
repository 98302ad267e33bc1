/*
 * The supervisor's own structs and the seams between its files:
 *   supervisor.c  life: start, signals, drain, end      child.c   one child: start, messages, death, restart
 *   arrows.c      socket pairs between children         watch.c   TracerPid, and what children write to their pipe
 *   listen.c      sockets and the endpoint file
 *   reload.c      what SIGHUP does
 */
#ifndef PROC_SUPERVISOR_PRIV_H
#define PROC_SUPERVISOR_PRIV_H

#include "core/loop.h"
#include "core/tls.h"
#include "proc/roles.h"
#include "proc/shared.h"
#include "proc/supervisor.h"
#include "ticket/events.h"
#include "ticket/port.h"

enum child_state {
	CHILD_DOWN, /* not started, or dead and waiting for its restart */
	CHILD_STARTING, /* runs, not READY */
	CHILD_UP,
	CHILD_ENDING, /* was told to end */
};

enum { SAID_MAX = 1024 };

struct child {
	struct supervisor *s;
	const struct role *role;
	uint32_t instance, incarnation;
	enum child_state state;
	pid_t pid; /* 0: none */
	struct port port;
	struct timer restart, kill;
	uint64_t started_ms;
	uint32_t backoff_ms;
	bool traced;
	/* What it writes to descriptors 1 and 2. */
	struct watch pipe; /* fd -1: closed */
	uint64_t said_bytes; /* not shown, not reported yet */
	uint32_t said_len;
	char said[SAID_MAX]; /* a line that is not complete */
};

/* A socket pair of the process graph. end[i] is held here only until child[i] starts; -1 otherwise. */
struct arrow {
	struct child *child[2];
	int end[2];
};

/* Each state waits for something; supervisor.c changes it and nobody else. */
enum supervisor_state {
	SUPERVISOR_STARTING, /* until every child is READY */
	SUPERVISOR_RUNNING,
	SUPERVISOR_DRAINING, /* until the last edge has ended */
	SUPERVISOR_BOOKING, /* until the ledger has ended */
	SUPERVISOR_CLOSING, /* until everybody has ended */
};

struct supervisor {
	struct loop loop;
	const struct supervisor_plan *plan;
	struct shared shared;
	enum supervisor_state state;
	int status; /* exit status */
	int wake_fd, control_fd, metrics_fd;
	int log_fd; /* the plan's, until the log is opened anew */
	int listen_fd[HANDOVER_LISTENERS_MAX];
	struct watch signals;
	struct tls_files *tls; /* in force; the plan's, or what was read since */
	struct tls_ticket_keys tickets;
	struct timer rotate;
	struct timer second, limit; /* limit: how long the state may last */
	uint32_t limits_passed; /* in this state */
	struct child child[CHILDREN_MAX];
	uint32_t child_count;
	struct arrow arrow[ARROWS_MAX];
	uint32_t arrow_count;
};

/* ---- supervisor.c ---- */
void supervisor_report(struct supervisor *s, enum event_id event, const uint64_t numbers[4]);
#define NUMBERS(...) ((const uint64_t[4]){__VA_ARGS__})
/* One line for the operator who looks at the terminal: "lethe: …". */
void supervisor_say(const char *a, const char *b);
/* A child became READY, or ended: goes on to the next state when it was what was waited for. */
void supervisor_child_ready(struct supervisor *s, struct child *c);
/* Whether it is to be started again. */
must_check bool supervisor_child_ended(struct supervisor *s, struct child *c, int wait_status);

/* ---- child.c ---- */
void child_init(struct child *c, struct supervisor *s, const struct role *role, uint32_t instance);
void child_start(struct child *c);
void child_reap(struct supervisor *s);
void child_tell(struct child *c, enum message_type plain);
void child_kill_after(struct child *c, uint32_t ms);
struct child *child_find(struct supervisor *s, enum message_end role, uint32_t instance);
static inline bool
child_is_edge(const struct child *c)
{
	return c->role->end == END_OF_EDGE;
}

/* ---- arrows.c ---- */
void arrows_init(struct supervisor *s);
/*
 * The ends for a child that is about to start, new ones where the other side's is used up. Appends to h->peer;
 * descriptors are the caller's to close.
 */
must_check bool arrows_take(struct supervisor *s, const struct child *c, struct handover *h);
/* It is dead: what was kept for its neighbours leads nowhere. */
void arrows_drop(struct supervisor *s, const struct child *c);

/* ---- tls_hand.c ---- */
void tls_begin(struct supervisor *s);
/* To an edge that starts, before its GO. */
must_check bool tls_hand_over(struct child *c);
/* SIGHUP: what has changed on disk is handed to all edges. */
void tls_renew(struct supervisor *s);

/* ---- watch.c ---- */
must_check bool watch_pipe(struct child *c, int fd);
void watch_pipe_close(struct child *c);
/* Each second: is an edge being traced? */
void watch_tracers(struct supervisor *s);

/* ---- reload.c ---- */
/* SIGHUP: open anew what may be replaced while the server runs. What can't be opened stays as it was, and is told. */
void supervisor_reload(struct supervisor *s);
/* For appending, created when it is missing; -1 with errno. */
must_check int reload_open_log(const char *path);

/* ---- listen.c ---- */
must_check bool listen_all(struct supervisor *s);
void listen_close(struct supervisor *s);
/* DIR/endpoint: a URL per listener; DIR/endpoint.metrics: that of the metrics; and the same for the operator. */
must_check bool listen_announce(const struct supervisor *s);
void listen_withdraw(const struct supervisor *s);
must_check int listen_control(const char *data_dir);

#endif
