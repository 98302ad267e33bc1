#include "prove/prove_priv.h"

#include <assert.h>
#include <string.h>

enum { SILENT_MAX = 4, /* each takes the whole of its patience */
	MARKS_OF_ONE = 14,
	ROUNDS_MAX = 200 };

/* Exchanges of one round. */
static uint32_t
round_exchanges(void)
{
	uint32_t in_all = 0;
	for (size_t e = 0; e < PROVE_ENDPOINT_COUNT; e++)
		in_all += prove_forms[e].in_all_ways;
	return (uint32_t)prove_way_count * in_all + PROVE_ENDPOINT_COUNT;
}

uint32_t
traffic_rounds(const struct prove_options *o)
{
	uint32_t rounds = (o->marks + round_exchanges() * MARKS_OF_ONE - 1) / (round_exchanges() * MARKS_OF_ONE);
	return rounds < 1 ? 1 : rounds < ROUNDS_MAX ? rounds
												: ROUNDS_MAX;
}

uint32_t
traffic_room(const struct prove_options *o)
{
	enum { OTHERS = 512 }; /* those that run while something happens */
	return traffic_rounds(o) * round_exchanges() + events_count() * TRAFFIC_TRIES * RUNNING_MAX + soon_room() + OTHERS;
}

unsigned
traffic_steps(const struct prove_options *o)
{
	return traffic_rounds(o) * (unsigned)(prove_way_count + 1) + events_count();
}

static struct exchange *
next_exchange(struct traffic *t, enum prove_endpoint e, const struct prove_way *way)
{
	assert(t->used < t->cap);
	struct exchange *x = &t->exchanges[t->used++];
	exchange_make(x, &t->p->canaries, t->i->kind->name, e, way);
	return x;
}

static bool
begin(struct traffic *t, const struct client *c, struct exchange *x, struct link *l)
{
	return client_begin(c, x, (uint32_t)(x - t->exchanges), l);
}

static void
note_missed(struct traffic *t, const struct exchange *x, const struct outcome *o)
{
	size_t len = strlen(t->missed);
	if (!o->passed)
		snprintf(t->missed + len, sizeof t->missed - len, "; %s: %u", prove_forms[x->endpoint].words, o->status);
}

/* One way at several endpoints at the same time: all begin, then all end. */
static void
run_way(struct traffic *t, const struct client *c, const struct prove_way *way, const enum prove_endpoint *endpoints, unsigned count)
{
	struct exchange *x[PROVE_ENDPOINT_COUNT];
	struct link l[PROVE_ENDPOINT_COUNT];
	bool begun[PROVE_ENDPOINT_COUNT];
	for (unsigned n = 0; n < count; n++) {
		begun[n] = prove_way_fits(endpoints[n], way);
		if (!begun[n])
			continue;
		x[n] = next_exchange(t, endpoints[n], way);
		begun[n] = begin(t, c, x[n], &l[n]);
	}
	for (unsigned n = 0; n < count; n++)
		if (begun[n] && t->silent >= SILENT_MAX) {
			link_close(&l[n]);
		} else if (begun[n]) {
			struct outcome o = client_end(x[n], &l[n]);
			prove_tried(t->p->endpoints, prove_forms[endpoints[n]].words);
			prove_tried(t->p->ways, way->words);
			t->passed += o.passed;
			t->passed_h2 += o.passed && o.h2;
			t->silent += o.silent;
			note_missed(t, x[n], &o);
		}
}

static unsigned
endpoints_in_all_ways(enum prove_endpoint ret[PROVE_ENDPOINT_COUNT])
{
	unsigned count = 0;
	for (enum prove_endpoint e = 0; e < PROVE_ENDPOINT_COUNT; e++)
		if (prove_forms[e].in_all_ways)
			ret[count++] = e;
	return count;
}

unsigned
traffic_answered(struct traffic *t, const struct client *c, enum prove_endpoint first, unsigned count)
{
	static const struct prove_way answered = {"answered", CLIENT_ASKS, PROVIDER_ANSWERS};
	enum prove_endpoint endpoints[PROVE_ENDPOINT_COUNT];
	uint32_t before = t->passed;
	for (unsigned n = 0; n < count; n++)
		endpoints[n] = (enum prove_endpoint)(first + n);
	t->missed[0] = '\0';
	run_way(t, c, &answered, endpoints, count);
	return t->passed - before;
}

static void
run_round(struct traffic *t)
{
	enum prove_endpoint endpoints[PROVE_ENDPOINT_COUNT];
	for (size_t w = 0; w < prove_way_count && t->silent < SILENT_MAX; w++) {
		prove_step(t->p, prove_ways[w].words);
		run_way(t, &t->i->client, &prove_ways[w], endpoints, endpoints_in_all_ways(endpoints));
	}
	prove_step(t->p, "every endpoint");
	unsigned passed = traffic_answered(t, &t->i->client, 0, PROVE_ENDPOINT_COUNT);
	prove_fact(t->p, t->i->kind->name, "content passes through every endpoint", passed == PROVE_ENDPOINT_COUNT, "%u of %u answers came through%s", passed, PROVE_ENDPOINT_COUNT, t->missed);
}

/* What is kept at the provider, and a request that is booked: for paths and requests that name one. */
static void
learn_names(struct traffic *t)
{
	struct client *c = &t->i->client;
	const struct {
		enum prove_endpoint endpoint;
		const char *before;
		char *name;
	} names[] = {
		{PROVE_CHAT, "x-request-id: ", c->request},
		{PROVE_FILES, "\"id\":\"", c->file},
		{PROVE_UPLOAD, "/upload/v1beta/files/", c->upload},
		{PROVE_UPLOAD_SENT, "\"name\":\"files/", c->gemini_file},
		{PROVE_KEPT, "\"id\":\"", c->response},
		{PROVE_BACKGROUND, "\"id\":\"", c->background},
		{PROVE_BATCH_FILE, "\"id\":\"", c->batch_file},
		{PROVE_BATCH, "\"id\":\"", c->batch},
		{PROVE_MESSAGES_BATCH, "\"id\":\"", c->messages_batch},
	};
	for (size_t n = 0; n < ARRAY_LEN(names); n++) {
		struct exchange *x = next_exchange(t, names[n].endpoint, &prove_ways[0]);
		if (!client_learn_name(c, x, (uint32_t)(x - t->exchanges), names[n].before, names[n].name))
			prove_fact(t->p, t->i->kind->name, "answers name what they have made", false, "%s: there is no id", prove_forms[names[n].endpoint].words);
	}
}

bool
traffic_run(struct traffic *t)
{
	learn_names(t);
	for (uint32_t r = 0; r < traffic_rounds(t->p->o) && t->silent < SILENT_MAX; r++)
		run_round(t);
	if (t->silent >= SILENT_MAX)
		prove_fact(t->p, t->i->kind->name, "the server answers", false, "%u exchanges were neither answered nor ended within %d seconds", t->silent, LINK_PATIENCE_MS / 1000);
	return t->silent < SILENT_MAX;
}

bool
traffic_one(struct traffic *t)
{
	struct link l;
	struct exchange *x = next_exchange(t, PROVE_CHAT, &prove_ways[0]);
	return begin(t, &t->i->client, x, &l) && client_end(x, &l).passed;
}

/* Those that wait for an answer, whose request is kept; or that are answered without end. */
static bool
begin_running(struct traffic *t, const struct client *c, enum prove_endpoint e, const struct prove_way *way, struct running *r)
{
	struct exchange *x = next_exchange(t, e, way);
	struct link *l = &r->link[r->count];
	if (!begin(t, c, x, l))
		return false;
	if (way == &prove_way_waiting)
		client_wait_until_seen(x);
	else if (!client_sees_answer(x, l)) {
		link_close(l);
		return false;
	}
	r->exchange[r->count++] = x;
	return true;
}

void
traffic_begin_running(struct traffic *t, const char *key, const struct prove_way *way, struct running *ret)
{
	struct client c = t->i->client;
	memcpy(c.key, key, PROVE_KEY_MAX);
	ret->count = 0;
	for (unsigned n = 0, e = 0; n < RUNNING_MAX; e = (e + 1) % PROVE_ENDPOINT_COUNT) {
		if ((!prove_forms[e].streams || prove_forms[e].lonely) && !prove_forms[e].duplex)
			continue;
		n++;
		t->passed += begin_running(t, &c, (enum prove_endpoint)e, way, ret) && way == &prove_way_running;
	}
}

void
traffic_end_running(struct running *r)
{
	for (unsigned n = 0; n < r->count; n++)
		link_reset(&r->link[n]);
	r->count = 0;
}
