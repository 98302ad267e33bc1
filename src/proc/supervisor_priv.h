/*
 * The supervisor's own structs and the seams between its files:
 *   supervisor.c  life: start, signals, drain, end      child.c   one child: start, messages, death, restart
 *   arrows.c      socket pairs between children         watch.c   TracerPid, and what children write to their pipe
 *   listen.c      sockets and the endpoint file
 *   reload.c      what SIGHUP does
 *   poison.c      keys that edges die of
 *   generation.c  from one configuration to the next: new edges, and the end of the old ones
 *   tls_hand.c    certificates and keys (tls_hand.h)
 *   upgrade.c     from one binary to the next (upgrade_priv.h)
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
	CHILD_UNUSED, /* of a generation that does not run */
};

enum { SAID_MAX = 1024 };

/*
 * Edges, their dialer, and what they know: catalogue, settings, secrets, listeners. A changed configuration is a new generation beside the old
 * one, which ends when its last exchange has.
 */
enum generation_state {
	GENERATION_FREE,
	GENERATION_STARTING, /* until the ledger knows its prices and all its children are READY */
	GENERATION_SERVING, /* one at any time */
	GENERATION_RETIRING, /* its edges finish what they have, or are told to stop: until all its children have ended */
};

struct generation {
	struct supervisor *s;
	enum generation_state state;
	const struct supervisor_plan *plan;
	struct tls_files *tls; /* in force; the plan's, or what was read since */
	struct tls_files *tls_next; /* read, and its keys not yet held by the signer: in force when they are. NULL: nothing is on its way */
	uint32_t keys_awaited; /* answers that the signer owes about keys that it was handed */
	uint32_t keys_tried; /* signers that were handed those of tls_next */
	struct shared_catalogue memory;
	int listen_fd[HANDOVER_LISTENERS_MAX]; /* -1: none; those of one address are the same in all generations */
	struct timer limit; /* how long the state may last */
	uint32_t limits_passed;
	bool foreign; /* of another binary: none of it is started again, and its plan has only what its end needs */
};

struct child {
	struct supervisor *s;
	struct generation *own; /* NULL: it serves all of them */
	const struct role *role;
	uint32_t instance, incarnation, restarts;
	enum child_state state;
	pid_t pid; /* 0: none */
	struct port port;
	struct timer restart, kill;
	uint64_t started_ms;
	uint32_t backoff_ms;
	bool traced;
	bool foreign; /* started by another supervisor, and maybe of another binary */
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

/* SIGHUPs and what came of them; DIR/reload tells (reload.c). */
struct reload {
	uint64_t begun, done; /* numbers of reloads */
	bool again; /* one more was asked for meanwhile */
	struct supervisor_plan *waiting; /* for a generation that is free */
	struct plan_report report;
};

enum upgrade_step {
	UPGRADE_NONE,
	UPGRADE_RELOADING, /* what is configured now is brought into force first */
	UPGRADE_WAITING, /* until all is calm */
	UPGRADE_CHECKING, /* the new binary looks */
	UPGRADE_CHECKED, /* and can: until all is calm once more */
	UPGRADE_TAKING_OVER, /* this is the new binary: until a generation of its own serves */
};

struct upgrade {
	enum upgrade_step step;
	uint64_t begun, done; /* as of struct reload */
	char own[PATH_MAX]; /* which runs, by the name that it had */
	char binary[PATH_MAX]; /* that was asked for */
	int own_fd, binary_fd;
	char from[48], to[48]; /* versions */
	bool fresh_sums; /* the old catalogue can't be read */
	struct timer look;
	uint32_t looks, failures;
	pid_t checker; /* 0: none */
	/* The ledger that makes place for the one in its child's place; 0: none. line: its port's, which must not look closed to it. */
	pid_t predecessor;
	int predecessor_pidfd, predecessor_line;
	struct timer predecessor_limit;
	struct watch said; /* fd -1: closed */
	size_t text_len;
	char text[8192]; /* of the checker */
};

enum { DEATHS_MAX = 16,
	QUARANTINES_MAX = 64 };

/* Of an edge, by itself, and who was served; poison.c. */
struct edge_death {
	uint64_t at_ms;
	size_t count;
	uint64_t *keys; /* ascending; malloc'ed */
};

struct supervisor {
	struct loop loop;
	const struct supervisor_plan *plan; /* of the generation that serves */
	struct shared shared;
	enum supervisor_state state;
	int status; /* exit status */
	int wake_fd, control_fd, metrics_fd;
	int log_fd; /* the plan's, until the log is opened anew */
	struct watch signals;
	struct generation generation[GENERATIONS_MAX];
	uint32_t generation_count;
	struct generation *now, *next; /* that serves; that is being started, or NULL */
	/* Whose catalogue the ledger uses, and whose it was told to use and has not answered; NULL: none. */
	const struct generation *ledger_has, *ledger_told;
	struct reload reload;
	struct upgrade upgrade;
	struct edge_death death[DEATHS_MAX]; /* the newest first */
	uint64_t quarantine[QUARANTINES_MAX]; /* that the ledger could not be told of yet */
	uint32_t quarantine_count;
	struct tls_ticket_keys tickets;
	struct timer rotate;
	struct timer second, limit; /* limit: how long the state may last */
	uint32_t limits_passed; /* in this state */
	struct child child[CHILDREN_MAX];
	uint32_t child_count;
	struct arrow arrow[ARROWS_MAX];
	uint32_t arrow_count;
	bool collector_wanted; /* by the scribe, while there is no dialer to ask */
};

/* ---- supervisor.c ---- */
void supervisor_report(struct supervisor *s, enum event_id event, const uint64_t numbers[4]);
#define NUMBERS(...) ((const uint64_t[4]){__VA_ARGS__})
struct process_counters *supervisor_processes(const struct supervisor *s);
uint32_t supervisor_streams_per_account(const struct supervisor_plan *plan);
/* One line for the operator who looks at the terminal: "lethe: …". */
void supervisor_say(const char *a, const char *b);
/* A child became READY, or ended: goes on to the next state when it was what was waited for. */
void supervisor_child_ready(struct supervisor *s, struct child *c);
/* End in order, as with SIGTERM; when it is being done already, nothing. */
void supervisor_drain(struct supervisor *s);
/* Whether it is to be started again. */
must_check bool supervisor_child_ended(struct supervisor *s, struct child *c, int wait_status);

/* The life of a supervisor in parts, for one that takes over (takeover.c). */
struct supervisor *supervisor_begin(const struct supervisor_plan *plan);
must_check bool supervisor_set_up(struct supervisor *s);
void supervisor_init_children(struct supervisor *s);
void supervisor_serves(struct supervisor *s);
must_check int supervisor_live(struct supervisor *s);

/* ---- child.c ---- */
void child_init(struct child *c, struct supervisor *s, const struct role *role, uint32_t instance);
/* What it is told of the configuration. */
const struct generation *child_generation(const struct child *c);
void child_start(struct child *c);
/* One that runs already. False: errno. */
must_check bool child_adopt(struct child *c, int port_fd, int pipe_fd);
/* It goes on by itself, and its place is free. */
void child_leave(struct child *c);
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

/* ---- generation.c ---- */
void generations_init(struct supervisor *s);
/* The first, before anybody runs. False: said why. */
must_check bool generation_first(struct supervisor *s);
struct generation *generation_free(struct supervisor *s);
/* The plan is the callee's when it is true; it serves, or is given up, later. */
must_check bool generation_begin(struct supervisor *s, struct generation *g, const struct supervisor_plan *plan);
/* A child is READY, or has ended; the ledger has answered; the server ends. */
void generation_child_ready(struct supervisor *s, struct child *c);
/* One of another binary's, on its way to its end. */
void generation_retires(struct generation *g, uint64_t limit_at_ms, uint32_t limits_passed);
/* s->next is not to serve. */
void generation_give_up(struct supervisor *s, const char *why);
void generation_child_ended(struct child *c);
void generation_adopted(struct supervisor *s, const struct message_adopted *m);
/* Will it be started again when it dies? */
bool generation_lives(const struct child *c);

/* ---- poison.c ---- */
/* It is reaped and not yet declared dead. */
void poison_edge_died(struct child *c, int wait_status);
/* The ledger is READY. */
void poison_tell(struct supervisor *s);

/* ---- watch.c ---- */
must_check bool watch_pipe(struct child *c, int fd);
/* A line that is not complete is shown as it is. */
void watch_flush(struct child *c);
void watch_pipe_close(struct child *c);
/* Each second: is an edge being traced? */
void watch_tracers(struct supervisor *s);

/* ---- reload.c ---- */
/* SIGHUP: the configuration is read again, and what it names is opened anew. What can't be used changes nothing, and is told. */
void supervisor_reload(struct supervisor *s);
/* A generation is free: a plan may be waiting for it. */
void reload_go_on(struct supervisor *s);
/* The next generation serves (why NULL), or was given up. */
void reload_over(struct supervisor *s, const char *why);
/* A line for the operator who asked. */
void reload_note(struct supervisor *s, const char *a, const char *b);
/* DIR/reload or DIR/upgrade: how it stands, and what was noted. */
void reload_write_result(struct supervisor *s, const char *name, const char *result);
/* The log's file as the plan names it. */
void reload_log(struct supervisor *s);
/* For appending, created when it is missing; -1 with errno. */
must_check int reload_open_log(const char *path);

/* ---- upgrade.c ---- */
/* SIGUSR2. */
void supervisor_upgrade(struct supervisor *s);
/* The server can be asked from here on. */
void upgrade_announce(struct supervisor *s);
/* The generation of the new binary serves (why NULL), or does not come up: then it goes back, soon. */
void upgrade_generation_over(struct supervisor *s, const char *why);
/* One that serves all generations ended before it was READY. */
void upgrade_start_failed(struct supervisor *s, const struct child *c);
/* The reload that an upgrade begins with is over. */
void upgrade_reloaded(struct supervisor *s, bool refused);
/* It is reaped. */
void upgrade_predecessor_ended(struct supervisor *s);
/* Was it the checker that has ended, or the ledger before? */
must_check bool upgrade_reaped(struct supervisor *s, pid_t pid, int wait_status);
/* The server ends. */
void upgrade_stop(struct supervisor *s);

/* ---- listen.c ---- */
must_check bool listen_metrics(struct supervisor *s);
/* What `before` (NULL: none) listens on already is taken over as it is. False: said why, and nothing new is open. */
must_check bool listen_all(struct generation *g, const struct generation *before);
/* What no other has; other NULL: all. */
void listen_drop(struct generation *g, const struct generation *other);
void listen_close(struct supervisor *s);
bool listen_same(const struct generation *a, const struct generation *b);
/* DIR/endpoint: a URL per listener; DIR/endpoint.metrics: that of the metrics; and the same for the operator. */
must_check bool listen_announce(const struct supervisor *s);
void listen_withdraw(const struct supervisor *s);
must_check int listen_control(const char *data_dir);

#endif
