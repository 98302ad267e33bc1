/* Between the parts of `lethe prove`; nobody else includes it. */
#ifndef PROVE_PRIV_H
#define PROVE_PRIV_H

#include "prove/instance.h"
#include "prove/prove.h"
#include "prove/search.h"

struct prove {
	const struct prove_options *o;
	struct canaries canaries;
	json_t *report, *places, *findings, *facts;
	json_t *ways, *endpoints; /* those that were gone through, by their words */
	uint32_t steps, steps_done;
	time_t begun;
};

/* ---- prove.c ---- */

void prove_step(struct prove *p, const char *what);
/* A row of `facts`: what was tried or looked at, whether it is as promised, and what was seen. */
void prove_fact(struct prove *p, const char *instance, const char *fact, bool ok, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* A way to end, or an endpoint, that was gone through: the report counts and names these alone. */
void prove_tried(json_t *list, const char *words);
/* A row of `places`, and the findings of the search so far that are not there yet. when: "in flight", "afterwards". */
void prove_place(struct prove *p, const char *instance, const char *when, const struct place *place);
void prove_findings(struct prove *p, const char *instance, const char *when, const struct search *s);

/* ---- control.c ---- */

/* What is planted is found, in every form, in a file, a name, memory and a pipe. */
void prove_control(struct prove *p);
/* The same in pages and write-ahead log of a database: planted by an order to it. */
void prove_control_in_postgres(struct prove *p, const struct books *g);

/* ---- traffic.c ---- */

struct traffic {
	struct prove *p;
	struct instance *i;
	struct exchange *exchanges;
	uint32_t used, cap;
	uint32_t passed, passed_h2; /* answers whose marks came through; of those over HTTP/2 */
	uint32_t silent; /* exchanges that nobody ended */
	char missed[240]; /* of the last that should all have been answered: those that were not */
};

uint32_t traffic_rounds(const struct prove_options *o);
/* How many exchanges a run needs room for. */
uint32_t traffic_room(const struct prove_options *o);
unsigned traffic_steps(const struct prove_options *o);
/* False: the server does not answer, and it was given up. */
must_check bool traffic_run(struct traffic *t);

enum { RUNNING_MAX = 17,
	TRAFFIC_TRIES = 4 /* to have so many run */ };

struct running {
	struct exchange *exchange[RUNNING_MAX];
	struct link link[RUNNING_MAX];
	unsigned count;
};

/* Streams that go on until they are ended, or requests that wait; with a key of their own. */
void traffic_begin_running(struct traffic *t, const char *key, const struct prove_way *way, struct running *ret);
void traffic_end_running(struct running *r);
/* One exchange that is answered. */
bool traffic_one(struct traffic *t);
/* Answered exchanges of endpoints in their order, all at the same time, until the last has ended. Returns how many answers came through. */
unsigned traffic_answered(struct traffic *t, const struct client *c, enum prove_endpoint first, unsigned count);

/* ---- events.c: what happens to processes while content is in flight ---- */

unsigned events_count(void);
void events_run(struct traffic *t);

/* ---- soon.c: memory right behind the last byte of an answer, where it can be read ---- */

unsigned soon_room(void);
void soon_run(struct traffic *t);

/* ---- target.c ---- */

/* The server that runs. False: why says what to do. */
must_check bool target_run(struct prove *p, char why[600]);

/* ---- attack.c ---- */

/* Forbidden calls made by an edge itself, and a debugger. As root. */
void attack_edges(struct prove *p, struct instance *i);

/* ---- dump.c ---- */

/* A debugger that dumps an edge while content is in flight. As root; sealed: the grade of the instance's content memory. */
void dump_run(struct traffic *t, bool sealed);

/* ---- look.c ---- */

/* All processes of an instance. edges_hold: content is in flight and their memory can be read, so it is there. Returns the marks found in edges. */
unsigned look_at_processes(struct prove *p, struct instance *i, const char *when, bool edges_hold);
/* Its folder, metrics, and where temporary files and dumps lie. */
void look_at_files(struct prove *p, struct instance *i, const char *when);
void look_at_metrics(struct prove *p, struct instance *i);
/* What each process has given up. */
void look_at_lockdown(struct prove *p, struct instance *i);

#endif
