/* Lists: which there are, the ledger knows by their sealed ids; what each of them is, its provider says, asked one after the other. */
#include "edge/byok.h"
#include "edge/connect.h"
#include "edge/object_keep.h"
#include "edge/question.h"

enum { LIST_BYTES_MAX = 512 << 10,
	LOOKS_MAX = 4 * WORK_PAGE, /* at what may be there no more, for one list */
	IDS_MAX = 3 }; /* beside its data */

struct object_list {
	struct message_work_listed found;
	uint64_t beyond;
	uint16_t most, at, told, looks;
	uint8_t order, purpose; /* of objects: enum objects_order; 0: any */
	uint16_t from_len, first_len, last_len;
	char from[SEAL_TEXT_MAX], first[SEAL_TEXT_MAX], last[SEAL_TEXT_MAX];
	char *data; /* what has been told of them */
	size_t len, cap;
};

bool
object_list_is(enum object_operation operation)
{
	return operation == OPERATION_BATCH_LIST || operation == OPERATION_MESSAGES_BATCH_LIST || operation == OPERATION_FILE_LIST || operation == OPERATION_GEMINI_FILE_LIST;
}

/* ---- what is asked ---- */

/* By which words each API asks. */
static const struct words {
	struct span limit, after, page, before, order, purpose; /* page: the same as after */
} words[DIALECT_COUNT] = {
	[DIALECT_OPENAI] = {.limit = SPAN_INIT("limit"), .after = SPAN_INIT("after"), .order = SPAN_INIT("order"), .purpose = SPAN_INIT("purpose")},
	[DIALECT_ANTHROPIC] = {.limit = SPAN_INIT("limit"), .after = SPAN_INIT("after_id"), .page = SPAN_INIT("page"), .before = SPAN_INIT("before_id")},
	[DIALECT_GEMINI] = {.limit = SPAN_INIT("pageSize"), .after = SPAN_INIT("pageToken")},
};

static struct span
argument(const struct http1_head *h, struct span name)
{
	return name.len ? target_argument(h->target, name) : (struct span){0};
}

static bool
is_page(struct span text, uint16_t *ret)
{
	unsigned n = 0;
	if (!text.len || text.len > 5)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
		n = n * 10 + (unsigned)(text.at[i] - '0');
	}
	*ret = (uint16_t)(n < WORK_PAGE ? n : WORK_PAGE);
	return n > 0;
}

static bool
says(struct span text, struct span word)
{
	return text.len == word.len && !memcmp(text.at, word.at, word.len);
}

/* By what only the provider knows. */
static bool
is_narrowed(const struct http1_head *h)
{
	static const struct span names[] = {SPAN_INIT("ids"), SPAN_INIT("ids[]"), SPAN_INIT("ids%5B%5D"), SPAN_INIT("ids%5b%5d"), SPAN_INIT("scope_id")};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (target_argument(h->target, names[i]).len)
			return true;
	return false;
}

struct refusal {
	const char *param;
	struct span sentence;
};

static bool
is_of_work(const struct object *o)
{
	return o->operation == OPERATION_BATCH_LIST || o->operation == OPERATION_MESSAGES_BATCH_LIST;
}

/* Where it begins, and in which direction it goes. */
static struct refusal
read_place(const struct exchange *x, const struct http1_head *h, struct object_list *l)
{
	const struct words *w = &words[x->dialect];
	struct span before = argument(h, w->before), page = argument(h, w->page), after = page.len ? page : argument(h, w->after), from = before.len ? before : after;
	if (before.len && is_of_work(x->object))
		return (struct refusal){"before_id", SPAN("before_id is not available here: lists go from the youngest on. Use after_id.")};
	if (before.len && after.len)
		return (struct refusal){"before_id", SPAN("A page is asked for by before_id or by after_id.")};
	l->order = before.len ? OBJECTS_BEFORE : OBJECTS_DOWN;
	l->from_len = from.len <= SEAL_TEXT_MAX ? (uint16_t)from.len : SEAL_TEXT_MAX; /* what is longer opens nothing */
	if (from.len)
		memcpy(l->from, from.at, l->from_len);
	return (struct refusal){0};
}

/* Which files, of OpenAI's in which order. */
static struct refusal
read_filter(const struct exchange *x, const struct http1_head *h, struct object_list *l)
{
	const struct words *w = &words[x->dialect];
	struct span order = argument(h, w->order), purpose = argument(h, w->purpose);
	bool up = says(order, SPAN("asc"));
	if (x->object->kind == OBJECT_ANTHROPIC_FILE && is_narrowed(h))
		return (struct refusal){"ids", SPAN("ids and scope_id are not available here: leave them out, and ask for a file by its id.")};
	if (order.len && !up && !says(order, SPAN("desc")))
		return (struct refusal){"order", SPAN("order must be asc or desc.")};
	l->purpose = object_purpose(purpose);
	if (purpose.len && !l->purpose)
		return (struct refusal){"purpose", SPAN("purpose must be one that files have: assistants, assistants_output, batch, batch_output, fine-tune, fine-tune-results, vision, user_data or evals.")};
	if (up)
		l->order = OBJECTS_UP;
	return (struct refusal){0};
}

/* The sentence is empty: it can be answered. */
static struct refusal
read_wish(const struct exchange *x, const struct http1_head *h, struct object_list *l)
{
	struct span limit = argument(h, words[x->dialect].limit);
	l->most = WORK_PAGE;
	if (limit.len && !is_page(limit, &l->most))
		return (struct refusal){x->dialect == DIALECT_GEMINI ? "pageSize" : "limit", SPAN("limit must be a positive integer.")};
	struct refusal no = read_place(x, h, l);
	return no.sentence.len || is_of_work(x->object) ? no : read_filter(x, h, l);
}

bool
object_list_asked(struct exchange *x, const struct http1_head *h, struct span rest)
{
	struct object *o = x->object;
	o->list = vault_alloc(x->edge->vault, sizeof *o->list);
	struct refusal no = o->list ? read_wish(x, h, o->list) : (struct refusal){0};
	if (o->list && !no.sentence.len)
		return true;
	read_head_skip_body(x, h, rest.at, rest.len);
	if (no.sentence.len)
		answer_sentence(x, END_BAD_BODY, no.param, no.sentence);
	exchange_end(x, no.sentence.len ? END_BAD_BODY : END_OVERLOADED);
	return false;
}

int64_t
object_list_route(struct exchange *x, int64_t provider)
{
	struct object *o = x->object;
	struct object_list *l = o->list;
	struct sealed from;
	enum end_reason reason = provider < 0 ? END_NOT_FOUND : END_NONE;
	if (l->from_len && !unseal(x->edge->pepper, x->account_row, (enum object_kind)o->kind, (struct span){l->from, l->from_len}, &from))
		reason = END_NO_OBJECT;
	else if (l->from_len && is_of_work(o))
		l->beyond = from.ticket;
	if (reason == END_NONE)
		return provider;
	exchange_end(x, reason);
	return -1;
}

static enum ipc_result
ask_for_work(const struct exchange *x)
{
	const struct object_list *l = x->object->list;
	struct span prefix = object_prefix((enum object_kind)x->object->kind);
	struct message_work_list_wanted m = MESSAGE_INIT(WORK_LIST_WANTED, message_work_list_wanted);
	m.token = x->id;
	m.account = x->account_row;
	m.beyond = l->beyond;
	m.most = l->most;
	m.prefix_bytes = (uint16_t)(prefix.len < WORK_PREFIX_MAX ? prefix.len : WORK_PREFIX_MAX);
	memcpy(m.prefix, prefix.at, m.prefix_bytes);
	return ipc_send(x->edge->ledger.fd, &m, sizeof m, -1);
}

enum ipc_result
object_list_ask(const struct exchange *x)
{
	const struct object_list *l = x->object->list;
	if (is_of_work(x->object))
		return ask_for_work(x);
	struct message_object_list_wanted m = MESSAGE_INIT(OBJECT_LIST_WANTED, message_object_list_wanted);
	m.token = x->id;
	m.account = x->account_row;
	m.beyond = l->beyond;
	m.kind = x->object->kind;
	m.purpose = l->purpose;
	m.order = l->order;
	m.most = l->most;
	m.object_bytes = l->from_len;
	memcpy(m.object, l->from, l->from_len);
	return ipc_send(x->edge->ledger.fd, &m, sizeof m, -1);
}

/* ---- what there is ---- */

static void
put_member(struct text *t, const char *name, const char *id, uint16_t len)
{
	text_str(t, name);
	text_str(t, len ? "\"" : "null");
	text_add(t, id, len);
	text_str(t, len ? "\"" : "");
}

static void
put_all(struct text *t, const struct exchange *x, const struct object_list *l)
{
	bool more = l->found.more || l->at < l->found.count, gemini = x->dialect == DIALECT_GEMINI;
	text_str(t, x->dialect == DIALECT_OPENAI ? "{\"object\":\"list\",\"data\":[" : gemini ? "{\"files\":["
																						  : "{\"data\":[");
	if (l->len)
		text_add(t, l->data, l->len);
	if (gemini) {
		text_str(t, "]");
		if (more)
			put_member(t, ",\"nextPageToken\":", l->last, l->last_len);
		text_str(t, "}");
		return;
	}
	put_member(t, "],\"first_id\":", l->first, l->first_len);
	put_member(t, ",\"last_id\":", l->last, l->last_len);
	if (x->object->kind == OBJECT_ANTHROPIC_FILE) /* by which its newer SDKs go on */
		put_member(t, ",\"next_page\":", l->last, more ? l->last_len : 0);
	text_str(t, more ? ",\"has_more\":true}" : ",\"has_more\":false}");
}

static void
answer(struct exchange *x)
{
	struct edge *e = x->edge;
	struct object_list *l = x->object->list;
	size_t cap = l->len + IDS_MAX * SEAL_TEXT_MAX + 128;
	char *memory = vault_alloc(e->vault, cap);
	if (!memory) {
		exchange_end(x, END_OVERLOADED);
		return;
	}
	struct text t = text_on(memory, cap);
	put_all(&t, x, l);
	if (t.cut)
		exchange_end(x, END_OVERLOADED);
	else
		answer_json(x, 200, (struct span){t.at, t.len});
	vault_free(e->vault, memory, cap);
}

/* As for any other: its provider is asked. */
static bool
ask_for(struct exchange *x, const struct message_work_row *row)
{
	struct object *o = x->object;
	struct span text = {(const char *)row->object, row->object_bytes};
	int64_t provider = -1;
	bool only;
	if (row->object_bytes <= SEAL_TEXT_MAX && unseal(x->edge->pepper, x->account_row, (enum object_kind)o->kind, text, &o->opened))
		provider = object_provider_of(x, &o->opened);
	o->own = o->opened.own;
	if (provider < 0 || (o->own && byok_at(x, (uint32_t)provider, &only) != BYOK_USABLE)) /* without its key it can't be looked at */
		return false;
	o->text_len = (uint8_t)text.len;
	memcpy(o->text, text.at, text.len);
	if (object_go_to(x, (uint32_t)provider))
		connect_upstream(x);
	return true;
}

static void
next(struct exchange *x)
{
	struct object_list *l = x->object->list;
	while (l->at < l->found.count && l->len < LIST_BYTES_MAX && l->looks < LOOKS_MAX) {
		l->looks++;
		if (ask_for(x, &l->found.rows[l->at++]))
			return;
	}
	bool more = l->found.more || l->at < l->found.count;
	if (l->told || !more) {
		answer(x);
		return;
	}
	/* None of these is there any more: an empty page would be taken for the end. What is gone for good is in no list from now on, so that the next attempt gets further. */
	if (l->looks >= LOOKS_MAX) {
		answer_sentence(x, END_OVERLOADED, NULL, SPAN("Much of this list is not at the provider any more: ask again for the rest, later if this comes again."));
		exchange_end(x, END_OVERLOADED);
		return;
	}
	l->beyond = l->found.rows[l->order == OBJECTS_BEFORE ? 0 : l->found.count - 1].work;
	x->object->work = OBJECT_WORK_LISTING;
	question_ask(x, QUESTION_WORK);
}

void
object_listed(struct edge *e, const void *message)
{
	const struct message_work_listed *m = message;
	struct exchange *x = e->wait_work.first;
	while (x && (x->id != m->token || x->object->work != OBJECT_WORK_LISTING))
		x = x->wait_next;
	if (!x)
		return;
	if (m->failed == LIST_FAILED) {
		question_ask_later(x);
		return;
	}
	exchange_stop_waiting(x);
	x->object->work = OBJECT_WORK_NONE;
	x->object->list->at = 0;
	x->object->list->found = *m;
	if (m->failed == LIST_UNKNOWN)
		exchange_end(x, END_NO_OBJECT);
	else
		next(x);
}

/* ---- what they are ---- */

static bool
keep(struct exchange *x, struct span body)
{
	struct vault *v = x->edge->vault;
	struct object *o = x->object;
	struct object_list *l = o->list;
	size_t len = l->len + body.len + 1;
	if (len > l->cap) {
		size_t cap = vault_block_bytes(2 * len <= VAULT_BLOCK_MAX ? 2 * len : len); /* LIST_BYTES_MAX and one more fit a block */
		char *at = vault_alloc(v, cap);
		if (!at)
			return false;
		if (l->data)
			memcpy(at, l->data, l->len);
		vault_free_dirty(v, l->data, l->cap, l->len);
		l->data = at;
		l->cap = cap;
	}
	if (l->told++)
		l->data[l->len++] = ',';
	else
		memcpy(l->first, o->text, l->first_len = o->text_len);
	memcpy(l->data + l->len, body.at, body.len);
	l->len += body.len;
	memcpy(l->last, o->text, l->last_len = o->text_len);
	return true;
}

void
object_list_add(struct exchange *x, struct span body)
{
	if (body.len && !keep(x, body)) {
		exchange_end(x, END_OVERLOADED);
		return;
	}
	route_forget_attempt(x);
	next(x);
}

void
object_list_skip(struct exchange *x)
{
	object_is_gone(x);
	object_list_add(x, (struct span){0});
}

void
object_list_free(struct exchange *x)
{
	struct vault *v = x->edge->vault;
	struct object_list *l = x->object->list;
	if (!l)
		return;
	vault_free_dirty(v, l->data, l->cap, l->len);
	vault_free(v, l, sizeof *l);
	x->object->list = NULL;
}
