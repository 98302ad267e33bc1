/*
 * Calls in an order that the caller's language can say. A provider may mix the pieces of several; who can tell but one at a time (Anthropic's
 * blocks, Responses' items) has the others wait, who tells whole ones (Gemini) has all wait until they are.
 *
 * A call is known to be over when its provider says so or, since some say it for all at the very end, when its arguments are a complete object.
 */
#include "dialect/telling.h"

#include <string.h>

/* ---- ropes ---- */

struct rope_part {
	struct rope_part *next;
	uint32_t len, bytes; /* of text; of all, itself included */
	char text[];
};

enum { PART_FIRST = 1 << 10,
	PART_MOST = 64 << 10 };
_Static_assert(TELLING_PARTS_MAX *PART_MOST > TRANSLATE_KEEP_MAX + 8 * PART_MOST, "a rope can hold all that is kept");

static void
settle(struct rope *r)
{
	if (r->last)
		r->last->len = (uint32_t)r->sink.len;
}

static bool
grow(struct sink *s)
{
	struct rope *r = container_of(s, struct rope, sink);
	struct telling *g = r->owner;
	uint32_t bytes = r->last ? r->last->bytes * 2 : PART_FIRST;
	bytes = bytes < PART_MOST ? bytes : PART_MOST;
	if (g->kept + bytes > TRANSLATE_KEEP_MAX || r->parts == TELLING_PARTS_MAX)
		return false;
	struct rope_part *p = g->t->keep(g->t->owner, bytes);
	if (!p)
		return false;
	*p = (struct rope_part){.bytes = bytes};
	g->kept += bytes;
	settle(r);
	if (r->last)
		r->last->next = p;
	else
		r->first = p;
	r->before += s->len;
	r->last = p;
	r->parts++;
	s->at = p->text;
	s->len = 0;
	s->cap = bytes - sizeof *p;
	return true;
}

void
rope_init(struct rope *r, struct telling *owner)
{
	*r = (struct rope){.sink.grow = grow, .owner = owner};
}

void
rope_drop(struct rope *r)
{
	struct telling *g = r->owner;
	for (struct rope_part *p = r->first, *next; p; p = next) {
		next = p->next;
		g->kept -= p->bytes;
		g->t->drop(g->t->owner, p, p->bytes);
	}
	if (g)
		rope_init(r, g);
}

uint64_t
rope_bytes(const struct rope *r)
{
	return r->before + r->sink.len;
}

uint32_t
rope_pieces(const struct rope *r, struct span *pieces)
{
	uint32_t n = 0;
	for (struct rope_part *p = r->first; p; p = p->next) {
		uint32_t len = p == r->last ? (uint32_t)r->sink.len : p->len;
		if (len)
			pieces[n++] = (struct span){p->text, len};
	}
	return n;
}

/* ---- who waits ---- */

static struct waiting_call *
waiting_of(struct telling *g, const struct tell *what)
{
	for (unsigned i = 0; i < TELLING_WAITING_MAX && g->waiting[i].used; i++)
		if (g->waiting[i].choice == what->choice && g->waiting[i].call == what->call)
			return &g->waiting[i];
	return NULL;
}

static void
keep_value(struct waiting_call *w, const struct tell *what, struct json_value v, uint32_t *ret_end)
{
	if (v.kind == JSON_STRING)
		sink_value(&w->rope.sink, what->source, v);
	*ret_end = (uint32_t)rope_bytes(&w->rope);
}

static void
wait_begin(struct telling *g, const struct tell *what)
{
	unsigned i = 0;
	while (i < TELLING_WAITING_MAX && g->waiting[i].used)
		i++;
	if (i == TELLING_WAITING_MAX) {
		telling_fail(g, TRANSLATE_FULL);
		return;
	}
	struct waiting_call *w = &g->waiting[i];
	*w = (struct waiting_call){.choice = what->choice, .call = what->call, .used = true};
	rope_init(&w->rope, g);
	keep_value(w, what, what->id, &w->id_end);
	keep_value(w, what, what->name, &w->name_end);
	keep_value(w, what, what->signature, &w->signature_end);
	sink_lit(&w->rope.sink, "\"");
	if (w->rope.sink.full)
		telling_fail(g, TRANSLATE_FULL);
}

static void
wait_args(struct telling *g, struct waiting_call *w, const struct tell *what)
{
	/* An object becomes a string like the others: there is one form of what waits. */
	telling_inside(&w->rope.sink, what->source, what->text);
	if (w->rope.sink.full)
		telling_fail(g, TRANSLATE_FULL);
}

static struct json_value
kept_string(uint32_t at, uint32_t end)
{
	return at < end ? (struct json_value){at, end, JSON_STRING} : json_absent;
}

/* The call as kept: what->text are its arguments so far. The source lies on `pieces`. */
static struct tell
kept_call(struct waiting_call *w, struct json_source *source, struct span *pieces)
{
	uint32_t count = rope_pieces(&w->rope, pieces);
	pieces[count++] = SPAN("\"");
	*source = json_source(pieces, count);
	return (struct tell){.kind = TELL_CALL, .choice = w->choice, .call = w->call, .source = source, .id = kept_string(0, w->id_end), .name = kept_string(w->id_end, w->name_end), .signature = kept_string(w->name_end, w->signature_end), .text = {w->signature_end, source->bytes, JSON_STRING}};
}

static void
wait_end(struct telling *g)
{
	rope_drop(&g->waiting[0].rope);
	unsigned i = 1;
	for (; i < TELLING_WAITING_MAX && g->waiting[i].used; i++)
		g->waiting[i - 1] = g->waiting[i];
	g->waiting[i - 1].used = false;
}

/* ---- one after another ---- */

static const struct json_node no_interest[2];

static void
open_args(struct telling *g, const struct tell *what)
{
	struct json_text_walk w = json_text_walk(what->text);
	struct json_event ev;
	for (struct span part; !g->open_bad && (part = json_next_text(what->source, &w)).len;) {
		enum json_token t;
		json_scan_feed(&g->open_scan, part.at, part.len, 0);
		while ((t = json_scan_next(&g->open_scan, &ev)) != JSON_MORE && t != JSON_BAD)
			;
		g->open_bad = t == JSON_BAD;
	}
}

static bool
open_is_over(const struct telling *g)
{
	return !g->open_bad && json_scan_complete(&g->open_scan);
}

static void
open_begin(struct telling *g, struct tell what)
{
	g->open = true;
	g->open_bad = false;
	g->open_choice = what.choice;
	g->open_call = what.call;
	json_scan_init(&g->open_scan, no_interest);
	what.kind = TELL_CALL_START;
	what.text = json_absent;
	g->to->tell(g, &what);
}

static void
open_end(struct telling *g)
{
	if (!g->open)
		return;
	g->open = false;
	g->to->tell(g, &(struct tell){.kind = TELL_CALL_END, .choice = g->open_choice, .call = g->open_call});
}

/* The first that waits is told; it stays open if more of it may come. */
static void
tell_waiting(struct telling *g, bool all)
{
	struct span pieces[TELLING_PARTS_MAX + 2];
	struct json_source source;
	while (!g->open && g->waiting[0].used && g->result == TRANSLATE_MORE) {
		bool over = all || g->waiting[0].ended;
		struct tell what = kept_call(&g->waiting[0], &source, pieces);
		open_begin(g, what);
		what.kind = TELL_CALL_ARGS;
		open_args(g, &what);
		if (what.text.end - what.text.at > 2)
			g->to->tell(g, &what);
		wait_end(g);
		if (over || (g->waiting[0].used && open_is_over(g)))
			open_end(g);
	}
}

static void
one_args(struct telling *g, const struct tell *what)
{
	struct waiting_call *w = waiting_of(g, what);
	if (g->open && g->open_choice == what->choice && g->open_call == what->call) {
		open_args(g, what);
		g->to->tell(g, what);
		if (g->waiting[0].used && open_is_over(g)) {
			open_end(g);
			tell_waiting(g, false);
		}
	} else if (w)
		wait_args(g, w, what);
	else if (what->text.end - what->text.at > 2) /* more of a call that was over */
		telling_fail(g, TRANSLATE_MALFORMED);
}

static void
one_at_a_time(struct telling *g, const struct tell *what)
{
	if (what->kind == TELL_CALL_START) {
		if (g->open && open_is_over(g))
			open_end(g);
		if (g->open)
			wait_begin(g, what);
		else
			open_begin(g, *what);
	} else if (what->kind == TELL_CALL_ARGS)
		one_args(g, what);
	else if (g->open && g->open_choice == what->choice && g->open_call == what->call) {
		open_end(g);
		tell_waiting(g, false);
	} else {
		struct waiting_call *w = waiting_of(g, what);
		if (w)
			w->ended = true;
	}
}

/* ---- whole ones ---- */

static void
tell_whole(struct telling *g, bool all)
{
	struct span pieces[TELLING_PARTS_MAX + 2];
	struct json_source source;
	while (g->waiting[0].used && (all || g->waiting[0].ended) && g->result == TRANSLATE_MORE) {
		struct tell what = kept_call(&g->waiting[0], &source, pieces);
		if (telling_is_object(&source, what.text))
			g->to->tell(g, &what);
		else /* cut by the bound on the output, or broken by the model: the end says which */
			g->choices[what.choice].broken_call = true;
		wait_end(g);
	}
}

static void
whole(struct telling *g, const struct tell *what)
{
	struct waiting_call *w = waiting_of(g, what);
	if (what->kind == TELL_CALL_START)
		wait_begin(g, what);
	else if (what->kind == TELL_CALL_ARGS && w)
		wait_args(g, w, what);
	else if (w) {
		w->ended = true;
		tell_whole(g, false);
	}
}

/* ---- all ---- */

static void
take_apart(struct telling *g, const struct tell *what)
{
	struct tell part = *what;
	part.kind = TELL_CALL_START;
	g->to->tell(g, &part);
	part.kind = TELL_CALL_ARGS;
	part.signature = json_absent;
	if (!json_is(part.text, JSON_MORE))
		g->to->tell(g, &part);
	part.kind = TELL_CALL_END;
	g->to->tell(g, &part);
}

void
calls_close(struct telling *g)
{
	if (g->to->order == ORDER_WHOLE)
		tell_whole(g, true);
	else {
		open_end(g);
		tell_waiting(g, true);
	}
}

void
calls_tell(struct telling *g, const struct tell *what)
{
	if (what->kind == TELL_CALL) {
		calls_close(g);
		if (g->to->order == ORDER_WHOLE)
			g->to->tell(g, what);
		else
			take_apart(g, what);
	} else if (g->to->order == ORDER_FREE)
		g->to->tell(g, what);
	else if (g->to->order == ORDER_ONE)
		one_at_a_time(g, what);
	else
		whole(g, what);
}

void
calls_drop(struct telling *g)
{
	for (unsigned i = 0; i < TELLING_WAITING_MAX && g->waiting[i].used; i++) {
		rope_drop(&g->waiting[i].rope);
		g->waiting[i].used = false;
	}
}
