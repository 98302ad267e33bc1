/* Lists: which there are, the ledger knows by their sealed ids; what each of them is, its provider says, asked one after the other. */
#include "edge/object.h"

enum { LIST_BYTES_MAX = 512 << 10 };

struct object_list {
	struct message_work_listed found;
	uint64_t beyond;
	uint16_t most, at, told;
	uint16_t first_len, last_len;
	char first[SEAL_TEXT_MAX], last[SEAL_TEXT_MAX];
	char *data; /* what has been told of them */
	size_t len, cap;
};

static bool
is_page(struct span text, uint16_t *ret)
{
	unsigned n = 0;
	if (!text.len || text.len > 4)
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
refuse(struct exchange *x, const char *param, struct span sentence)
{
	answer_sentence(x, END_BAD_BODY, param, sentence);
	exchange_end(x, END_BAD_BODY);
	return false;
}

bool
object_list_asked(struct exchange *x, const struct http1_head *h, struct span rest)
{
	struct object *o = x->object;
	bool openai = x->dialect == DIALECT_OPENAI;
	struct span limit = target_argument(h->target, SPAN("limit")), after = target_argument(h->target, openai ? SPAN("after") : SPAN("after_id"));
	uint16_t most = WORK_PAGE;
	bool page = !limit.len || is_page(limit, &most), before = target_argument(h->target, SPAN("before_id")).len;
	o->list = page && !before && after.len <= SEAL_TEXT_MAX ? vault_alloc(x->edge->vault, sizeof *o->list) : NULL;
	if (!o->list) {
		read_head_skip_body(x, h, rest.at, rest.len);
		if (!page)
			return refuse(x, "limit", SPAN("limit must be a positive integer."));
		if (before)
			return refuse(x, "before_id", SPAN("before_id is not available here: lists go from the youngest on. Use after_id."));
		exchange_end(x, after.len > SEAL_TEXT_MAX ? END_NO_OBJECT : END_OVERLOADED);
		return false;
	}
	o->list->most = most;
	o->text_len = (uint8_t)after.len;
	if (after.len)
		memcpy(o->text, after.at, after.len);
	return true;
}

int64_t
object_list_route(struct exchange *x, int64_t provider)
{
	struct object *o = x->object;
	struct sealed after;
	enum end_reason reason = provider < 0 ? END_NOT_FOUND : END_NONE;
	if (o->text_len && !unseal(x->edge->pepper, x->account_row, (enum object_kind)o->kind, (struct span){o->text, o->text_len}, &after))
		reason = END_NO_OBJECT;
	else if (o->text_len)
		o->list->beyond = after.ticket;
	if (reason == END_NONE)
		return provider;
	exchange_end(x, reason);
	return -1;
}

enum ipc_result
object_list_ask(const struct exchange *x)
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
answer(struct exchange *x)
{
	struct edge *e = x->edge;
	struct object_list *l = x->object->list;
	size_t cap = l->len + 2 * SEAL_TEXT_MAX + 128;
	char *memory = vault_alloc(e->vault, cap);
	if (!memory) {
		exchange_end(x, END_OVERLOADED);
		return;
	}
	struct text t = text_on(memory, cap);
	text_str(&t, x->dialect == DIALECT_OPENAI ? "{\"object\":\"list\",\"data\":[" : "{\"data\":[");
	if (l->len) /* else there is no memory for it */
		text_add(&t, l->data, l->len);
	put_member(&t, "],\"first_id\":", l->first, l->first_len);
	put_member(&t, ",\"last_id\":", l->last, l->last_len);
	text_str(&t, l->found.more || l->at < l->found.count ? ",\"has_more\":true}" : ",\"has_more\":false}");
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
	if (row->object_bytes <= SEAL_TEXT_MAX && unseal(x->edge->pepper, x->account_row, (enum object_kind)o->kind, text, &o->opened))
		provider = object_provider_of(x, &o->opened);
	if (provider < 0)
		return false;
	o->text_len = (uint8_t)text.len;
	memcpy(o->text, text.at, text.len);
	object_go_to(x, (uint32_t)provider);
	connect_upstream(x);
	return true;
}

static void
next(struct exchange *x)
{
	struct object_list *l = x->object->list;
	while (l->at < l->found.count && l->len < LIST_BYTES_MAX)
		if (ask_for(x, &l->found.rows[l->at++]))
			return;
	if (l->told || !l->found.more) {
		answer(x);
		return;
	}
	l->beyond = l->found.rows[l->found.count - 1].work; /* none of these is there any more: an empty page would be taken for the end */
	x->object->work = OBJECT_WORK_LISTING;
	if (object_list_ask(x) == IPC_AGAIN)
		exchange_end(x, END_LEDGER_AWAY);
	else
		exchange_wait(x, &x->edge->wait_work);
}

void
object_listed(struct edge *e, const void *message)
{
	const struct message_work_listed *m = message;
	struct exchange *x = e->wait_work;
	while (x && (x->id != m->token || x->object->work != OBJECT_WORK_LISTING))
		x = x->wait_next;
	if (!x)
		return;
	exchange_stop_waiting(x);
	x->object->work = OBJECT_WORK_NONE;
	x->object->list->at = 0;
	x->object->list->found = *m;
	if (m->failed)
		exchange_end(x, END_LEDGER_AWAY);
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
	if ((body.len && !keep(x, body)) || (!x->req && !request_begin(x))) {
		exchange_end(x, END_OVERLOADED);
		return;
	}
	route_forget_attempt(x);
	next(x);
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
