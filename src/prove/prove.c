#include "prove/prove.h"

#include "prove/guard.h"
#include "prove/prove_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* ---- the report ---- */

void
prove_step(struct prove *p, const char *what)
{
	if (p->o->progress)
		p->o->progress(p->o->progress_arg, what, p->steps_done, p->steps);
	if (p->steps_done < p->steps)
		p->steps_done++;
}

void
prove_fact(struct prove *p, const char *instance, const char *fact, bool ok, const char *format, ...)
{
	char seen[400];
	va_list list;
	va_start(list, format);
	vsnprintf(seen, sizeof seen, format, list);
	va_end(list);
	json_array_append_new(p->facts, json_pack("{s:s, s:s, s:b, s:s}", "instance", instance, "fact", fact, "ok", ok, "seen", seen));
}

void
prove_tried(json_t *list, const char *words)
{
	size_t i;
	json_t *one;
	json_array_foreach(list, i, one) if (strcmp(json_string_value(one), words) == 0) return;
	json_array_append_new(list, json_string(words));
}

void
prove_place(struct prove *p, const char *instance, const char *when, const struct place *place)
{
	json_array_append_new(p->places,
		json_pack("{s:s, s:s, s:s, s:i, s:i, s:I, s:I}", "instance", instance, "place", place->name, "when", when, "things", (int)place->things, "closed",
			(int)place->closed, "searched_bytes", (json_int_t)place->searched_bytes, "sealed_bytes", (json_int_t)place->sealed_bytes));
}

void
prove_findings(struct prove *p, const char *instance, const char *when, const struct search *s)
{
	for (uint32_t i = 0; i < s->finding_count; i++) {
		const struct finding *f = &s->findings[i];
		const struct canary_origin *o = &s->canaries->all[f->canary].origin;
		json_array_append_new(p->findings,
			json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "instance", instance, "where", f->where, "when", when, "form", canary_form_word(f->form), "endpoint",
				o->endpoint, "way", o->way, "part", o->answer ? "answer" : "request"));
	}
}

/* ---- an instance ---- */

static const struct instance_kind kinds[] = {
	{"as it is", "as this machine and these limits give it, in clear text", false, false, false},
	{"readable, TLS", "with content memory that root can read, TLS on both sides", true, true, true},
	{"readable", "with content memory that root can read, in clear text", false, true, false},
};

/* What is in flight lies in edges alone: everywhere else it would be a hit. In memory that can be read it must be found, or the search is blind. */
static void
look_in_flight(struct traffic *t)
{
	struct running r, w;
	prove_step(t->p, "in flight");
	traffic_begin_running(t, t->i->client.key, &prove_way_running, &r);
	traffic_begin_running(t, t->i->client.key, &prove_way_waiting, &w);
	unsigned ran = r.count, waited = w.count, hits = look_at_processes(t->p, t->i, "in flight", t->i->kind->readable);
	traffic_end_running(&r);
	traffic_end_running(&w);
	const char *fact = t->i->kind->readable ? "content in flight is found in edges: the search reaches it" : "content is in flight while it is looked for";
	prove_fact(t->p, t->i->kind->name, fact, ran && waited && (hits > 0 || !t->i->kind->readable), "%u streams ran, %u requests waited, %u marks in edges", ran,
		waited, hits);
}

static const char *
grade_of(struct instance *i)
{
	static char word[16];
	char path[INSTANCE_PATH_MAX + 32], line[1024];
	static const char *const grades[] = {"plain", "locked", "sealed"};
	snprintf(path, sizeof path, "%s/lethe.log", i->folder);
	snprintf(word, sizeof word, "unknown");
	FILE *log = fopen(path, "re");
	while (log && fgets(line, sizeof line, log)) {
		const char *at = strstr(line, "\"process\":\"edge\"") || strstr(line, "edge") ? strstr(line, "vault grade ") : NULL;
		if (at && at[12] >= '0' && at[12] <= '2')
			snprintf(word, sizeof word, "%s", grades[at[12] - '0']);
	}
	if (log)
		fclose(log);
	return word;
}

/* Before anything happens to processes: what one of them had kept would be gone with it. */
static void
look_after_traffic(struct traffic *t)
{
	prove_step(t->p, "after the traffic");
	bool quiet = instance_await_quiet(t->i);
	prove_fact(t->p, t->i->kind->name, "every exchange ends, in edges that live on", quiet, "%u exchanges", t->used);
	(void)look_at_processes(t->p, t->i, "after the traffic", false);
}

static bool
all_ok(const json_t *rows)
{
	size_t i;
	json_t *row;
	json_array_foreach(rows, i, row) if (!json_is_true(json_object_get(row, "ok"))) return false;
	return true;
}

static bool
is_enough(const struct prove *p)
{
	return p->o->first && (json_array_size(p->findings) > 0 || !all_ok(p->facts));
}

/* What comes behind is for what this would not show. */
static bool
is_enough_after_traffic(struct traffic *t)
{
	look_after_traffic(t);
	if (t->p->o->first)
		look_at_files(t->p, t->i, "after the traffic");
	return is_enough(t->p);
}

static void
go_through(struct traffic *t)
{
	struct prove *p = t->p;
	const char *name = t->i->kind->name;
	if (!instance_await(t->i))
		prove_fact(p, name, "all processes start", false, "not in time");
	if (t->i->books.pid)
		prove_control_in_postgres(p, &t->i->books);
	look_at_lockdown(p, t->i);
	if (traffic_run(t)) {
		if (is_enough_after_traffic(t))
			return;
		soon_run(t);
		if (is_enough(p))
			return;
		events_run(t);
		if (!t->i->kind->readable)
			attack_edges(p, t->i);
		look_in_flight(t);
		dump_run(t, strcmp(grade_of(t->i), "sealed") == 0);
	}
	prove_step(p, "afterwards");
	bool quiet = instance_await_quiet(t->i);
	prove_fact(p, name, "every exchange ends", quiet && t->passed_h2, "%u exchanges, %u answers came through, %u over HTTP/2", t->used, t->passed, t->passed_h2);
	(void)look_at_processes(p, t->i, "afterwards", false);
	look_at_metrics(p, t->i);
	json_object_set_new(json_object_get(p->report, "grades"), name, json_string(grade_of(t->i)));
}

static bool
run_instance(struct prove *p, const struct instance_kind *kind, char why[600])
{
	struct instance i;
	struct traffic t = {.p = p, .i = &i, .cap = traffic_room(p->o)};
	t.exchanges = calloc(t.cap, sizeof *t.exchanges);
	const char *postgres = kind->in_postgres || geteuid() != 0 ? p->o->postgres : NULL; /* without root there is but one */
	prove_step(p, kind->name);
	if (!t.exchanges || !instance_open(&i, kind, postgres, t.exchanges, t.cap)) {
		snprintf(why, 600, "%s", t.exchanges ? i.why : "no memory");
		free(t.exchanges);
		return false;
	}
	go_through(&t);
	instance_stop(&i);
	prove_step(p, "files");
	look_at_files(p, &i, "afterwards");
	instance_close(&i);
	free(t.exchanges);
	return true;
}

/* ---- all ---- */

static json_t *
begin_report(const struct prove_options *o)
{
	struct utsname u;
	char when[32], kernel[200];
	time_t now = time(NULL);
	struct tm day;
	uname(&u);
	gmtime_r(&now, &day);
	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &day);
	snprintf(kernel, sizeof kernel, "%.60s %.60s %.60s", u.sysname, u.release, u.machine);
	return json_pack("{s:b, s:s, s:s, s:s, s:b, s:{}, s:[], s:[], s:[], s:[], s:[]}", "ok", 0, "version", o->version, "time", when, "kernel", kernel, "root",
		geteuid() == 0, "grades", "facts", "places", "findings", "names_of_endpoints", "names_of_ways");
}

static void
end_report(struct prove *p)
{
	bool found = json_array_size(p->findings) > 0, ok = all_ok(p->facts);
	json_object_set_new(p->report, "marks", json_integer(p->canaries.count));
	json_object_set_new(p->report, "ways", json_integer((json_int_t)json_array_size(p->ways)));
	json_object_set_new(p->report, "endpoints", json_integer((json_int_t)json_array_size(p->endpoints)));
	json_object_set_new(p->report, "ok", json_boolean(!found && ok));
}

/* Which kinds run: what only root can search is left out without it, and in the short form the middle one. */
static bool
is_run(const struct prove_options *o, size_t kind)
{
	return !kinds[kind].readable || (geteuid() == 0 && !(o->quick && kind == 2));
}

static bool
run_instances(struct prove *p, char why[600])
{
	bool tried = true;
	for (size_t n = 0; tried && n < ARRAY_LEN(kinds) && !is_enough(p); n++) {
		size_t k = p->o->first ? (n + 1) % ARRAY_LEN(kinds) : n;
		if (is_run(p->o, k))
			tried = run_instance(p, &kinds[k], why);
	}
	return tried;
}

json_t *
prove_run(const struct prove_options *o, char why[600])
{
	struct prove p = {.o = o, .begun = time(NULL)};
	bool tried;
	signal(SIGPIPE, SIG_IGN);
	if (o->postgres && !books_can_be(o->postgres, why)) /* before it takes its time */
		return NULL;
	if (!guard_open()) {
		snprintf(why, 600, "no process can be started that clears up: %s", strerror(errno));
		return NULL;
	}
	p.report = begin_report(o);
	p.facts = json_object_get(p.report, "facts");
	p.places = json_object_get(p.report, "places");
	p.findings = json_object_get(p.report, "findings");
	p.endpoints = json_object_get(p.report, "names_of_endpoints");
	p.ways = json_object_get(p.report, "names_of_ways");
	for (size_t k = 0; k < ARRAY_LEN(kinds) && !o->target; k++)
		p.steps += is_run(o, k) ? traffic_steps(o) + 8 : 0;
	prove_control(&p);
	canaries_open(&p.canaries);
	if (o->target) {
		p.steps = (uint32_t)prove_way_count;
		tried = target_run(&p, why);
	} else
		tried = run_instances(&p, why);
	end_report(&p);
	canaries_close(&p.canaries);
	guard_close();
	if (tried)
		return p.report;
	json_decref(p.report);
	return NULL;
}
