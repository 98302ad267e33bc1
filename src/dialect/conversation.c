#include "dialect/conversation_priv.h"

enum { GROWTH = 2,
	GROWTH_EXTRA = 32 << 10 };

/* ---- what is written ---- */

static void
take_over(struct measured_sink *m)
{
	uint64_t left = m->most - m->before;
	size_t room = m->to->cap - m->to->len;
	m->sink.at = m->to->at + m->to->len;
	m->sink.len = 0;
	m->sink.cap = room < left ? room : (size_t)left;
}

static void
hand_over(struct measured_sink *m)
{
	m->to->len += m->sink.len;
	m->before += m->sink.len;
	m->sink.len = m->sink.cap = 0;
}

static bool
grow_measured(struct sink *s)
{
	struct measured_sink *m = container_of(s, struct measured_sink, sink);
	hand_over(m);
	m->over = m->before == m->most;
	if (m->over || (m->to->len == m->to->cap && !m->to->grow(m->to)))
		return false;
	take_over(m);
	return m->sink.cap > 0;
}

/* ---- calls and their results ---- */

uint64_t
text_hash(struct conversation *c, struct json_value text)
{
	uint64_t h = 0xcbf29ce484222325;
	struct json_text_walk w = json_text_walk(text);
	for (struct span part; (part = json_next_text(c->in, &w)).len;)
		for (size_t i = 0; i < part.len; i++)
			h = (h ^ (unsigned char)part.at[i]) * 0x100000001b3;
	return h;
}

static struct json_value
known_name(const struct known_call *k)
{
	return (struct json_value){k->name_at, k->name_at + k->name_bytes, JSON_STRING};
}

static void
keep_call(struct conversation *c, const struct conversation_part *p)
{
	if (c->calls_known == CALLS_MAX)
		return;
	c->calls[c->calls_known++] = (struct known_call){
		.id = given(p->id) ? text_hash(c, p->id) : 0,
		.name = text_hash(c, p->name),
		.named = given(p->id),
		.id_at = p->id.at,
		.id_bytes = (uint32_t)(p->id.end - p->id.at),
		.name_at = p->name.at,
		.name_bytes = (uint32_t)(p->name.end - p->name.at),
		.order = p->order,
	};
}

static void
seek_in(struct conversation *c, const struct conversation_part *p)
{
	if (c->seeking.skip) {
		c->seeking.skip--;
	} else if (c->seeking.until == 0) {
		keep_call(c, p);
	} else if (p->name.at < c->seeking.until && given(p->id) && text_hash(c, p->id) == c->seeking.id) {
		c->seeking.found = true;
		c->seeking.name = p->name;
	}
}

static bool
known_by_id(struct conversation *c, uint64_t id, struct json_value *ret)
{
	for (uint32_t i = c->calls_known; i--;) {
		if (!c->calls[i].named || c->calls[i].id != id)
			continue;
		*ret = known_name(&c->calls[i]);
		return true;
	}
	return false;
}

/* Tells calls to whoever seeks: those of one run of answers, or all up to an offset. */
static bool
look_through(struct conversation *c, struct json_walk w)
{
	struct turn_shape *counting = c->counting;
	struct json_value item;
	enum side side;
	bool well = true;
	c->counting = NULL;
	c->seeking.on = true;
	while (well && json_next_element(c->in, &w, &item)) {
		well = c->from->side(c, item, &side);
		if (c->seeking.until ? item.at >= c->seeking.until : side == SIDE_USER || side == SIDE_TOOL)
			break;
		if (well && side == SIDE_ASSISTANT)
			well = c->from->item(c, item, SAYS_CALLS);
	}
	c->seeking.on = false;
	c->counting = counting;
	return well;
}

/* The calls of this run of answers that found no room before: some of them at a time, in turn. */
static bool
next_calls(struct conversation *c)
{
	c->calls_first += c->calls_known;
	if (c->calls_first >= c->calls_in_run)
		c->calls_first = 0;
	c->calls_known = 0;
	c->seeking.skip = c->calls_first;
	c->seeking.until = 0;
	return look_through(c, c->run);
}

static bool
call_before(struct conversation *c, uint64_t id, struct json_value *ret)
{
	c->seeking.id = id;
	c->seeking.skip = 0;
	c->seeking.until = c->run.at;
	c->seeking.found = false;
	if (!c->seeking.until || !look_through(c, json_walk(c->items)))
		return false;
	*ret = c->seeking.name;
	return c->seeking.found;
}

bool
name_of_call(struct conversation *c, const struct conversation_part *p, struct json_value *ret)
{
	if (given(p->name)) {
		*ret = p->name;
		return true;
	}
	uint64_t id = text_hash(c, p->id);
	uint32_t windows = (c->calls_in_run + CALLS_MAX - 1) / CALLS_MAX;
	bool found = known_by_id(c, id, ret);
	for (uint32_t i = 1; !found && i < windows && c->looks < LOOKS_MAX; i++, c->looks++)
		found = next_calls(c) && known_by_id(c, id, ret);
	if (!found && c->looks < LOOKS_MAX) {
		c->looks++;
		found = call_before(c, id, ret);
	}
	return found || refuse(c, TRANSLATE_CANT, "The provider wants the tool's name with its result, and no call before it has this id.");
}

bool
call_by_name(struct conversation *c, struct conversation_part *p)
{
	if (c->counting)
		return true;
	uint64_t wanted = text_hash(c, p->name);
	for (uint32_t i = 0; c->calls_in_run <= CALLS_MAX && i < c->calls_known; i++) {
		struct known_call *k = &c->calls[i];
		if (k->answered || k->name != wanted)
			continue;
		k->answered = true;
		p->order = k->order;
		if (k->named)
			p->id = (struct json_value){k->id_at, k->id_at + k->id_bytes, JSON_STRING};
		return true;
	}
	return refuse(c, TRANSLATE_CANT, "No call before this result has its name; give both an id.");
}

/* ---- what decoders tell ---- */

static void
count(struct conversation *c, const struct conversation_part *p)
{
	c->counting->parts[p->kind]++;
	c->counting->texts += p->kind == PART_TEXT && !is_empty(p->text);
}

static void
note_cached(struct conversation *c, bool cached)
{
	if (cached && c->wish->to != LANGUAGE_MESSAGES)
		note_left_out(c, "cache_control");
}

bool
tell(struct conversation *c, const struct conversation_part *p)
{
	if (c->seeking.on) {
		if (p->kind == PART_CALL)
			seek_in(c, p);
		return true;
	}
	if (c->telling_system)
		return tell_system(c, p);
	note_cached(c, p->cached);
	if (c->counting) {
		count(c, p);
		return true;
	}
	if (p->kind != PART_CALL)
		return c->to->part(c, p);
	struct conversation_part call = *p;
	call.order = c->calls_told++;
	c->calls_in_run++;
	keep_call(c, &call);
	return c->to->part(c, &call);
}

/* ---- lists of the body ---- */

static void
open_list(struct conversation *c, bool *open, const struct list_form *form)
{
	if (!*open) {
		put_name(c, form->name);
		sink_span(c->out, form->open);
	} else
		sink_lit(c->out, ",");
	*open = true;
}

bool
tell_tool(struct conversation *c, const struct conversation_tool *t)
{
	if (!tool_allowed(c, t->name) && c->to->filters_tools)
		return true;
	note_cached(c, t->cached);
	open_list(c, &c->e.tools, &c->to->tools);
	return c->to->tool(c, t);
}

bool
tell_system(struct conversation *c, const struct conversation_part *p)
{
	note_cached(c, p->cached);
	if (c->counting) {
		count(c, p);
		return true;
	}
	if (!c->to->hoists_system)
		return c->to->part(c, p);
	if (is_empty(p->text))
		return true;
	open_list(c, &c->e.system, &c->to->system_list);
	return c->to->system(c, p);
}

void
next_item(struct conversation *c)
{
	if (c->e.items)
		sink_lit(c->out, ",");
	c->e.items = true;
}

void
merge_turn(struct conversation *c, enum side side)
{
	if (c->e.turn && (c->e.side == SIDE_ASSISTANT) != (side == SIDE_ASSISTANT))
		close_merged_turn(c);
	c->e.side = (uint8_t)side;
}

void
begin_merged_part(struct conversation *c, const struct merged_form *form)
{
	if (!c->e.turn) {
		next_item(c);
		sink_span(c->out, c->e.side == SIDE_ASSISTANT ? form->assistant : form->user);
	}
	if (c->e.parts)
		sink_lit(c->out, ",");
	c->e.turn = c->e.parts = true;
}

void
close_merged_turn(struct conversation *c)
{
	if (c->e.turn)
		sink_lit(c->out, "]}");
	c->e.turn = c->e.parts = c->e.signed_call = false;
}

/* ---- turns ---- */

struct cursor {
	struct json_walk w;
	struct json_value item;
	uint32_t index;
	enum side side;
	bool lone, end;
};

static bool
stand_on_next(struct conversation *c, struct cursor *k)
{
	if (k->lone || !json_next_element(c->in, &k->w, &k->item)) {
		k->end = true;
		return true;
	}
	at_index(c, k->index);
	bool well = c->from->side(c, k->item, &k->side);
	leave(c);
	return well;
}

static bool
stand_on_first(struct conversation *c, struct cursor *k)
{
	*k = (struct cursor){.w = json_walk(c->items)};
	if (c->items.kind != JSON_STRING)
		return stand_on_next(c, k);
	k->item = c->items; /* the whole conversation is one text */
	k->side = SIDE_USER;
	return true;
}

static bool
step(struct conversation *c, struct cursor *k)
{
	k->index++;
	k->lone |= c->items.kind == JSON_STRING;
	return stand_on_next(c, k);
}

static bool
passed_over(const struct conversation *c, const struct cursor *k)
{
	return c->to->hoists_system && (k->side == SIDE_SYSTEM || k->side == SIDE_DEVELOPER);
}

static bool
item_says(struct conversation *c, const struct cursor *k, unsigned says)
{
	if (c->items.kind == JSON_STRING)
		return c->from->item(c, k->item, says);
	at_index(c, k->index);
	bool well = c->from->item(c, k->item, says);
	leave(c);
	return well;
}

/* The items of one run: all of the assistant, or none. */
static bool
run_says(struct conversation *c, struct cursor k, uint32_t end, unsigned says)
{
	for (; !k.end && k.index < end;) {
		if (!passed_over(c, &k) && !item_says(c, &k, says))
			return false;
		if (!step(c, &k))
			return false;
	}
	return true;
}

static bool
count_run(struct conversation *c, struct cursor k, uint32_t end, unsigned says, struct turn_shape *ret)
{
	*ret = (struct turn_shape){0};
	c->counting = ret;
	bool well = run_says(c, k, end, says);
	c->counting = NULL;
	return well;
}

static bool
tell_answers(struct conversation *c, struct cursor k, uint32_t end)
{
	struct turn_shape shape;
	c->calls_known = c->calls_first = c->calls_in_run = 0;
	c->run = k.w;
	c->run.at = k.item.at;
	if (!count_run(c, k, end, SAYS_TEXT | SAYS_CALLS, &shape) || !c->to->turn(c, SIDE_ASSISTANT, &shape))
		return false;
	if (!run_says(c, k, end, c->to->calls_behind ? SAYS_TEXT : SAYS_TEXT | SAYS_CALLS))
		return false;
	if (c->to->calls_behind && !run_says(c, k, end, SAYS_CALLS))
		return false;
	return c->to->turn_end(c);
}

/* Results stand before all else: other languages want them right behind their calls. */
static bool
tell_asks(struct conversation *c, struct cursor k, uint32_t end)
{
	struct turn_shape shape;
	unsigned says = SAYS_TEXT | (c->to->media_aside ? SAYS_RESULT_MEDIA : 0u);
	if (!count_run(c, k, end, SAYS_RESULTS, &shape))
		return false;
	if (shape.parts[PART_RESULT] &&
		(!c->to->turn(c, SIDE_TOOL, &shape) || !run_says(c, k, end, SAYS_RESULTS) || !c->to->turn_end(c)))
		return false;
	for (; !k.end && k.index < end;) {
		if (!count_run(c, k, k.index + 1, says, &shape))
			return false;
		enum side side = k.side == SIDE_TOOL ? SIDE_USER : k.side;
		bool any = false;
		for (unsigned i = 0; i < PART_KINDS; i++)
			any |= shape.parts[i] > 0;
		if (any && (!c->to->turn(c, side, &shape) || !item_says(c, &k, says) || !c->to->turn_end(c)))
			return false;
		if (!step(c, &k))
			return false;
	}
	return true;
}

static bool
ends_begun(struct conversation *c, uint32_t last)
{
	if (c->to->prefills || !c->from->prefills)
		return true;
	at_index(c, last);
	return refuse(c, TRANSLATE_CANT, "An answer that was begun can't be continued by this model: end with a turn of the user.");
}

static bool
tell_turns(struct conversation *c)
{
	struct cursor k;
	bool answers = false, any = false;
	uint32_t last = 0;
	at_name(c, c->from->items);
	bool well = stand_on_first(c, &k);
	while (well && !k.end) {
		struct cursor first = k;
		if (passed_over(c, &k)) {
			well = step(c, &k);
			continue;
		}
		answers = k.side == SIDE_ASSISTANT;
		any = true;
		for (; well && !k.end && (passed_over(c, &k) || (k.side == SIDE_ASSISTANT) == answers); well = step(c, &k))
			last = k.index;
		if (well)
			well = answers ? tell_answers(c, first, k.index) : tell_asks(c, first, k.index);
	}
	if (well && answers)
		well = ends_begun(c, last);
	if (well && !any)
		well = refuse(c, TRANSLATE_CANT, "At least one turn of the user is wanted.");
	if (well)
		leave(c);
	return well;
}

/* The system text that stands apart, and, where it must, what stands between the turns. */
static bool
hoist_system(struct conversation *c)
{
	struct cursor k;
	if (!c->from->system(c))
		return false;
	at_name(c, c->from->items);
	bool well = stand_on_first(c, &k);
	for (; well && !k.end; well = step(c, &k)) {
		if (!passed_over(c, &k))
			continue;
		at_index(c, k.index);
		c->telling_system = true;
		well = c->from->item(c, k.item, SAYS_TEXT);
		c->telling_system = false;
		leave(c);
		if (!well)
			break;
	}
	leave(c);
	return well;
}

static bool
begin_with_system(struct conversation *c)
{
	struct turn_shape shape = {0};
	c->counting = &shape;
	bool well = c->from->system(c);
	c->counting = NULL;
	if (!well || !shape.texts)
		return well;
	return c->to->turn(c, SIDE_SYSTEM, &shape) && c->from->system(c) && c->to->turn_end(c);
}

static void
close_list(struct conversation *c, bool *open, const struct list_form *form)
{
	if (*open)
		sink_span(c->out, form->close);
	*open = false;
}

static bool
has_what_must_be_called(struct conversation *c)
{
	if (c->settings.tools.choice < CHOICE_ANY || count_elements(c, c->tools))
		return true;
	return refuse_path(c, NULL, c->settings.tools.path, TRANSLATE_CANT, "There are no tools that could be called.");
}

static bool
converse(struct conversation *c)
{
	sink_lit(c->out, "{");
	if (!c->from->settings(c) || !has_what_must_be_called(c) || !c->to->settings(c) || !c->from->tools(c))
		return false;
	close_list(c, &c->e.tools, &c->to->tools);
	if (c->to->hoists_system && !hoist_system(c))
		return false;
	close_list(c, &c->e.system, &c->to->system_list);
	put_name(c, c->to->turns.name);
	sink_span(c->out, c->to->turns.open);
	if ((!c->to->hoists_system && !begin_with_system(c)) || !tell_turns(c) || !c->to->finish(c))
		return false;
	sink_span(c->out, c->to->turns.close);
	sink_lit(c->out, "}");
	return true;
}

/* ---- the whole ---- */

enum language
translate_language(enum endpoint endpoint)
{
	static const uint8_t languages[ENDPOINT_COUNT] = {
		[ENDPOINT_CHAT_COMPLETIONS] = LANGUAGE_CHAT,
		[ENDPOINT_COMPLETIONS] = LANGUAGE_COMPLETIONS,
		[ENDPOINT_RESPONSES] = LANGUAGE_RESPONSES,
		[ENDPOINT_MESSAGES] = LANGUAGE_MESSAGES,
		[ENDPOINT_GENERATE_CONTENT] = LANGUAGE_GEMINI,
		[ENDPOINT_STREAM_GENERATE_CONTENT] = LANGUAGE_GEMINI,
	};
	return endpoint < ENDPOINT_COUNT ? (enum language)languages[endpoint] : LANGUAGE_NONE;
}

bool
translate_request(struct json_source *body, const struct translate_wish *wish, struct sink *out, struct translate_notes *ret_notes)
{
	static const struct conversation_decoder *const decoders[LANGUAGE_ALL] = {
		[LANGUAGE_CHAT] = &chat_request_decoder,
		[LANGUAGE_RESPONSES] = &responses_request_decoder,
		[LANGUAGE_MESSAGES] = &messages_request_decoder,
		[LANGUAGE_GEMINI] = &gemini_request_decoder,
		[LANGUAGE_COMPLETIONS] = &completions_request_decoder,
	};
	static const struct conversation_encoder *const encoders[LANGUAGE_COUNT] = {
		[LANGUAGE_CHAT] = &chat_request_encoder,
		[LANGUAGE_RESPONSES] = &responses_request_encoder,
		[LANGUAGE_MESSAGES] = &messages_request_encoder,
		[LANGUAGE_GEMINI] = &gemini_request_encoder,
	};
	struct conversation c = {
		.in = body,
		.wish = wish,
		.notes = ret_notes,
		.from = decoders[wish->from],
		.to = encoders[wish->to],
		.room = {.sink = {.grow = grow_measured}, .to = out, .most = GROWTH * body->bytes + GROWTH_EXTRA},
	};
	*ret_notes = (struct translate_notes){0};
	ret_notes->path = text_on(ret_notes->path_room, sizeof ret_notes->path_room);
	ret_notes->dropped = text_on(ret_notes->dropped_room, sizeof ret_notes->dropped_room);
	c.out = &c.room.sink;
	take_over(&c.room);
	if (!c.from || !c.to)
		return refuse(&c, TRANSLATE_CANT, "Name a model whose provider speaks the language of this endpoint.");
	bool well = converse(&c);
	hand_over(&c.room);
	if (json_is_tired(body)) {
		c.place_count = 0;
		ret_notes->refusal = TRANSLATE_NONE;
		ret_notes->path = text_on(ret_notes->path_room, sizeof ret_notes->path_room);
		return refuse(&c, TRANSLATE_TOO_MUCH, NULL);
	}
	if (!well || !c.out->full)
		return well;
	c.place_count = 0;
	return c.room.over ? refuse(&c, TRANSLATE_CANT, "The request would grow too much: put many small parts together.")
					   : refuse(&c, TRANSLATE_NO_MEMORY, NULL);
}
