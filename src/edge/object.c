#include "edge/object.h"

#include "dialect/results.h"
#include "edge/batch.h"
#include "edge/byok.h"
#include "edge/h2.h"
#include "edge/object_upload.h"
#include "edge/stored.h"
#include "edge/upload.h"
#include "edge/work.h"

enum { IDLE_BODY_MAX = 64 };

static const struct operation {
	struct span method, path, behind; /* at the provider: path, the id when there is one, what stands behind it */
	bool whole; /* the answer is a JSON document about the object, which is read whole */
} operations[] = {
	[OPERATION_FILE_CREATE] = {SPAN_INIT("POST "), SPAN_INIT("/files"), SPAN_INIT(""), true},
	[OPERATION_FILE_GET] = {SPAN_INIT("GET "), SPAN_INIT("/files/"), SPAN_INIT(""), true},
	[OPERATION_FILE_DELETE] = {SPAN_INIT("DELETE "), SPAN_INIT("/files/"), SPAN_INIT(""), true},
	[OPERATION_FILE_CONTENT] = {SPAN_INIT("GET "), SPAN_INIT("/files/"), SPAN_INIT("/content"), false},
	[OPERATION_CONTAINER_FILE_GET] = {SPAN_INIT("GET "), SPAN_INIT("/containers/"), SPAN_INIT(""), true}, /* in between: object_add_path() */
	[OPERATION_CONTAINER_FILE_CONTENT] = {SPAN_INIT("GET "), SPAN_INIT("/containers/"), SPAN_INIT("/content"), false},
	[OPERATION_FILE_LIST] = {SPAN_INIT("GET "), SPAN_INIT("/files/"), SPAN_INIT(""), true}, /* one after the other */
	[OPERATION_GEMINI_FILE_LIST] = {SPAN_INIT("GET "), SPAN_INIT("/files/"), SPAN_INIT(""), true},
	[OPERATION_UPLOAD_START] = {SPAN_INIT("POST "), SPAN_INIT(""), SPAN_INIT(""), true}, /* where: object_upload.c */
	[OPERATION_UPLOAD_SEND] = {SPAN_INIT("POST "), SPAN_INIT(""), SPAN_INIT(""), true},
	[OPERATION_UPLOAD_WHOLE] = {SPAN_INIT("POST "), SPAN_INIT(""), SPAN_INIT(""), true},
	[OPERATION_GEMINI_FILE_GET] = {SPAN_INIT("GET "), SPAN_INIT("/files/"), SPAN_INIT(""), true},
	[OPERATION_GEMINI_FILE_DELETE] = {SPAN_INIT("DELETE "), SPAN_INIT("/files/"), SPAN_INIT(""), true},
	[OPERATION_GEMINI_FILE_CONTENT] = {SPAN_INIT("GET "), SPAN_INIT("/files/"), SPAN_INIT(":download?alt=media"), false},
	[OPERATION_BATCH_CREATE] = {SPAN_INIT("POST "), SPAN_INIT("/batches"), SPAN_INIT(""), true},
	[OPERATION_BATCH_LIST] = {SPAN_INIT("GET "), SPAN_INIT("/batches/"), SPAN_INIT(""), true}, /* one after the other */
	[OPERATION_BATCH_GET] = {SPAN_INIT("GET "), SPAN_INIT("/batches/"), SPAN_INIT(""), true},
	[OPERATION_BATCH_CANCEL] = {SPAN_INIT("POST "), SPAN_INIT("/batches/"), SPAN_INIT("/cancel"), true},
	[OPERATION_MESSAGES_BATCH_CREATE] = {SPAN_INIT("POST "), SPAN_INIT("/messages/batches"), SPAN_INIT(""), true},
	[OPERATION_MESSAGES_BATCH_LIST] = {SPAN_INIT("GET "), SPAN_INIT("/messages/batches/"), SPAN_INIT(""), true},
	[OPERATION_MESSAGES_BATCH_GET] = {SPAN_INIT("GET "), SPAN_INIT("/messages/batches/"), SPAN_INIT(""), true},
	[OPERATION_MESSAGES_BATCH_DELETE] = {SPAN_INIT("DELETE "), SPAN_INIT("/messages/batches/"), SPAN_INIT(""), true},
	[OPERATION_MESSAGES_BATCH_RESULTS] = {SPAN_INIT("GET "), SPAN_INIT("/messages/batches/"), SPAN_INIT("/results"), false},
	[OPERATION_MESSAGES_BATCH_CANCEL] = {SPAN_INIT("POST "), SPAN_INIT("/messages/batches/"), SPAN_INIT("/cancel"), true},
	[OPERATION_RESPONSE_GET] = {SPAN_INIT("GET "), SPAN_INIT("/responses/"), SPAN_INIT(""), false},
	[OPERATION_RESPONSE_DELETE] = {SPAN_INIT("DELETE "), SPAN_INIT("/responses/"), SPAN_INIT(""), false},
	[OPERATION_RESPONSE_CANCEL] = {SPAN_INIT("POST "), SPAN_INIT("/responses/"), SPAN_INIT("/cancel"), false},
	[OPERATION_RESPONSE_ITEMS] = {SPAN_INIT("GET "), SPAN_INIT("/responses/"), SPAN_INIT("/input_items"), false},
};

/* Arguments of a query that go up, of responses. */
static const struct span arguments[] = {SPAN_INIT("stream"), SPAN_INIT("starting_after"), SPAN_INIT("include_obfuscation"), SPAN_INIT("include"), SPAN_INIT("include[]"),
	SPAN_INIT("include%5B%5D"), SPAN_INIT("include%5b%5d"), SPAN_INIT("limit"), SPAN_INIT("order"), SPAN_INIT("after")};

static bool
goes_up(struct span argument)
{
	const char *equals = memchr(argument.at, '=', argument.len);
	size_t len = equals ? (size_t)(equals - argument.at) : 0;
	for (size_t i = 0; len && i < ARRAY_LEN(arguments); i++)
		if (arguments[i].len == len && !memcmp(arguments[i].at, argument.at, len))
			return true;
	return false;
}

/* False: there is more of it than there are ways to ask. */
static bool
keep_query(struct object *o, struct span target)
{
	const char *end = target.at + target.len, *p = memchr(target.at, '?', target.len);
	struct text t = text_on(o->query, sizeof o->query);
	while (p && ++p < end) {
		const char *next = memchr(p, '&', (size_t)(end - p));
		struct span argument = {p, (size_t)((next ? next : end) - p)};
		if (goes_up(argument)) {
			text_str(&t, t.len ? "&" : "?");
			text_span(&t, argument);
		}
		p = next;
	}
	o->query_len = (uint8_t)t.len;
	return !t.cut;
}

/* Whose file it would be, by whose words it is asked for. */
static enum object_kind
kind_of(const struct exchange *x)
{
	static const enum object_kind kinds[DIALECT_COUNT] = {[DIALECT_OPENAI] = OBJECT_FILE, [DIALECT_ANTHROPIC] = OBJECT_ANTHROPIC_FILE, [DIALECT_GEMINI] = OBJECT_GEMINI_FILE};
	return kinds[x->dialect];
}

/* Of a name in a body: files, and where their sandboxes are. */
enum object_kind
object_kind_of(const struct exchange *x, struct span name)
{
	static const enum object_kind others[] = {OBJECT_CONTAINER, OBJECT_CONTAINER_FILE};
	for (size_t i = 0; i < ARRAY_LEN(others) && x->dialect == DIALECT_OPENAI; i++) {
		struct span prefix = object_prefix(others[i]);
		if (name.len > prefix.len && !memcmp(name.at, prefix.at, prefix.len))
			return others[i];
	}
	return kind_of(x);
}

static enum object_kind
kind_named(const struct exchange *x, uint32_t kind, struct span name)
{
	if (kind == REQUEST_FILE)
		return object_kind_of(x, name);
	return kind == REQUEST_RESPONSE ? OBJECT_RESPONSE : OBJECT_CONVERSATION;
}

static bool
is_in_container(const struct object *o)
{
	return o->operation == OPERATION_CONTAINER_FILE_GET || o->operation == OPERATION_CONTAINER_FILE_CONTENT;
}

static enum object_kind
kind_asked(const struct exchange *x)
{
	if (is_in_container(x->object))
		return OBJECT_CONTAINER_FILE;
	switch ((enum endpoint)x->endpoint) {
	case ENDPOINT_BATCHES:
		return OBJECT_BATCH;
	case ENDPOINT_MESSAGES_BATCHES:
		return OBJECT_MESSAGES_BATCH;
	case ENDPOINT_RESPONSES_KEPT:
		return OBJECT_RESPONSE;
	default:
		return kind_of(x);
	}
}

/* Behind a proxy it was TLS, or the proxy would not be there; the parser has seen that a host has no quotes. None is said: SDKs put their own in front. */
static void
keep_base(struct exchange *x, const struct http1_head *h)
{
	struct object *o = x->object;
	const struct client *c = x->client;
	const struct http1_field *f = http1_field_find(h, HTTP1_HOST);
	struct span host = f ? http1_field_value(h, f) : (struct span){0};
	struct text t = text_on(o->base, sizeof o->base);
	if (!host.len)
		return;
	text_str(&t, (c->is_stream ? h2_is_private(c) : c->conn.tls != NULL) || c->trusted ? "https://" : "http://");
	text_span(&t, host);
	o->base_len = t.cut ? 0 : (uint8_t)t.len;
}

/* "{container}/files/{file}" */
static const struct span in_between = SPAN_INIT("/files/");

static bool
keep_within(struct object *o, struct span *named)
{
	const char *slash = memchr(named->at, '/', named->len);
	size_t len = (size_t)(slash - named->at); /* it is there, and what is between them: endpoints.c */
	if (len > SEAL_TEXT_MAX)
		return false;
	o->within_len = (uint8_t)len;
	memcpy(o->within, named->at, len);
	*named = (struct span){slash + in_between.len, named->len - len - in_between.len};
	return true;
}

/* Google's SDKs send "{}" with it. */
static bool
has_idle_body(const struct exchange *x, const struct http1_head *h)
{
	return x->object->operation == OPERATION_GEMINI_FILE_DELETE && !h->chunked && h->content_length <= IDLE_BODY_MAX;
}

static enum end_reason
judge(struct exchange *x, const struct http1_head *h, struct span named, struct span *ret_says)
{
	struct object *o = x->object;
	bool bodiless = h->method != HTTP1_POST || (named.len && o->operation != OPERATION_UPLOAD_SEND);
	if (bodiless && (h->chunked || (h->has_length && h->content_length)) && !has_idle_body(x, h))
		return END_BAD_BODY;
	if (x->endpoint == ENDPOINT_RESPONSES_KEPT && !keep_query(o, h->target))
		return END_BAD_HTTP;
	keep_base(x, h);
	enum end_reason reason = object_upload_asked(x, h, named, ret_says);
	if (reason != END_NONE || o->upload)
		return reason;
	if (is_in_container(o) && !keep_within(o, &named))
		return END_NO_OBJECT;
	if (named.len > SEAL_TEXT_MAX)
		return END_NO_OBJECT;
	o->text_len = (uint8_t)named.len;
	if (named.len)
		memcpy(o->text, named.at, named.len);
	return END_NONE;
}

bool
object_asked(struct exchange *x, const struct http1_head *h, enum object_operation operation, struct span named, struct span rest)
{
	enum end_reason reason = END_OVERLOADED;
	struct span says = {0};
	x->object = vault_alloc(x->edge->vault, sizeof *x->object);
	if (x->object) {
		x->object->operation = (uint8_t)operation;
		x->object->kind = (uint8_t)kind_asked(x);
		reason = judge(x, h, named, &says);
	}
	if (reason != END_NONE) {
		read_head_skip_body(x, h, rest.at, rest.len);
		if (says.len)
			answer_sentence(x, reason, NULL, says);
		exchange_end(x, reason);
		return false;
	}
	return !object_list_is(operation) || object_list_asked(x, h, rest);
}

bool
object_is_bodiless(const struct exchange *x)
{
	return object_is_subject(x) && (x->method != HTTP1_POST || x->object->text_len);
}

/* ---- where it lies ---- */

static bool
keeps(const struct catalogue_provider *p, const struct exchange *x)
{
	return p->objects && p->dialect == x->dialect && (x->endpoint != ENDPOINT_RESPONSES_KEPT || stored_keeps(p));
}

bool
object_keeps(const struct exchange *x, uint32_t provider)
{
	return keeps(catalogue_provider(x->edge->p->catalogue, provider), x);
}

/* The first that may: which one stands in the configuration's order. -1: none. */
static int64_t
keeper(const struct exchange *x)
{
	const struct catalogue *c = x->edge->p->catalogue;
	for (uint32_t i = 0; i < c->provider_count; i++)
		if (keeps(catalogue_provider(c, i), x))
			return i;
	return -1;
}

int64_t
object_provider_of(const struct exchange *x, const struct sealed *s)
{
	const struct catalogue *c = x->edge->p->catalogue;
	for (uint32_t i = 0; i < c->provider_count; i++)
		if (catalogue_provider(c, i)->id == s->provider && keeps(catalogue_provider(c, i), x))
			return i;
	return -1;
}

/* A file stays where it is put: a demand about what is kept, or where, can't be met by a provider of which nothing of the kind is declared. */
static bool
may_be_made(struct exchange *x)
{
	const struct route_wish *w = &x->req->wish;
	if (!w->zero_retention && !w->region[0])
		return true;
	answer_sentence(x, END_NO_TARGET, NULL,
		SPAN("A file or a batch stays with its provider until it is deleted, which lethe-policy forbids here. Nothing was sent to any. Send the content inline, or leave that demand out."));
	exchange_end(x, END_NO_TARGET);
	return false;
}

/* The sandbox is the account's too, and at the same provider. */
static bool
open_within(struct exchange *x)
{
	struct object *o = x->object;
	return unseal(x->edge->pepper, x->account_row, OBJECT_CONTAINER, (struct span){o->within, o->within_len}, &o->opened_within) &&
		o->opened_within.provider == o->opened.provider;
}

/* Index of the provider that is asked; -1: the exchange has ended. */
static int64_t
home_of(struct exchange *x)
{
	struct object *o = x->object;
	if (o->operation == OPERATION_BATCH_CREATE)
		return batch_route(x);
	if (o->operation == OPERATION_MESSAGES_BATCH_CREATE)
		return batch_route_listed(x);
	if (o->upload)
		return object_upload_route(x, keeper(x));
	struct span text = {o->text, o->text_len};
	bool made = text.len == 0;
	bool opened = made || unseal(x->edge->pepper, x->account_row, (enum object_kind)o->kind, text, &o->opened);
	opened = opened && (!o->within_len || open_within(x));
	int64_t provider = !opened ? -1 : made ? keeper(x)
										   : object_provider_of(x, &o->opened);
	if (provider < 0)
		exchange_end(x, made ? END_NOT_FOUND : END_NO_OBJECT);
	else if (o->operation == OPERATION_FILE_CREATE && !upload_is_coming(x) && !batch_judge_upload(x, (uint32_t)provider))
		return -1;
	return provider;
}

/* By which key is it made? False: it has been answered. */
bool
object_choose_key(struct exchange *x, uint32_t provider)
{
	bool only;
	enum byok_state state = byok_at(x, provider, &only);
	x->object->own = state == BYOK_USABLE;
	if (state != BYOK_BROKEN || !only)
		return true;
	byok_refuse(x);
	return false;
}

void
object_refuse_key(struct exchange *x, bool own)
{
	answer_sentence(x, END_NO_TARGET, NULL,
		own ? SPAN("What this request names is kept at the provider by this workspace's own key, and that isn't there any more, or is not the one that is used. "
				   "Whoever runs this gateway can add the key again (lethe byok add); else upload it again, or send its content inline.")
			: SPAN("What this request names is kept by the key of this gateway, from before this workspace had its own at the provider, and no other than that may be used now. "
				   "Upload it again, or send its content inline."));
	exchange_end(x, END_NO_TARGET);
}

/* What the account's own key has made can't be seen by any other, and what ours has not by that. Without it nobody can tell what work used. */
static bool
has_its_key(struct exchange *x, uint32_t provider)
{
	struct object *o = x->object;
	bool only, is_new = o->operation == OPERATION_FILE_CREATE || o->operation == OPERATION_UPLOAD_START || o->operation == OPERATION_UPLOAD_WHOLE;
	if (is_new && !object_choose_key(x, provider))
		return false;
	o->own |= o->opened.own;
	if (!o->own || byok_at(x, provider, &only) == BYOK_USABLE)
		return true;
	if (o->errand)
		work_is_unmeasured(x);
	byok_refuse(x);
	return false;
}

bool
object_route(struct exchange *x)
{
	struct object *o = x->object;
	bool made = o->text_len == 0 && !o->list;
	int64_t provider = o->list ? object_list_route(x, keeper(x)) : home_of(x);
	if (provider < 0 || (made && !may_be_made(x)) || !has_its_key(x, (uint32_t)provider))
		return false;
	if (x->endpoint == ENDPOINT_RESPONSES_KEPT && !stored_named(x)) {
		exchange_end(x, END_OVERLOADED);
		return false;
	}
	return object_go_to(x, (uint32_t)provider);
}

bool
object_go_to(struct exchange *x, uint32_t provider)
{
	struct object *o = x->object;
	o->stand_in = (struct catalogue_model){.context_tokens = 1, .output_tokens = 1, .bytes_per_token_x100 = 100};
	o->stand_in_target = (struct catalogue_target){.provider = provider, .weight = 1};
	x->model = &o->stand_in;
	if (route_only(x, &o->stand_in_target))
		return true;
	exchange_end(x, END_OVERLOADED);
	return false;
}

struct span
object_method(const struct exchange *x)
{
	return operations[x->object->operation].method;
}

void
object_add_path(struct text *t, const struct exchange *x)
{
	const struct operation *p = &operations[x->object->operation];
	text_span(t, p->path);
	if (x->object->within_len) {
		text_add(t, x->object->opened_within.id, x->object->opened_within.id_len);
		text_span(t, in_between);
	}
	text_add(t, x->object->opened.id, x->object->opened.id_len);
	text_span(t, p->behind);
	text_add(t, x->object->query, x->object->query_len);
}

size_t
object_name_room(const struct exchange *x)
{
	return SEAL_ID_MAX + 2 + (x->dialect == DIALECT_GEMINI ? CATALOGUE_HOST_MAX + CATALOGUE_PATH_MAX + 24 : 0);
}

bool
object_is_read_whole(const struct exchange *x)
{
	return x->object && operations[x->object->operation].whole;
}

bool
object_is_itself(const struct exchange *x)
{
	return x->method != HTTP1_POST && !operations[x->object->operation].behind.len;
}

bool
object_is_plain(const struct exchange *x)
{
	return object_is_subject(x) && x->endpoint != ENDPOINT_RESPONSES_KEPT;
}

/* ---- in a body ---- */

/* Bytes of the body, which may lie in several blocks. */
static void
copy_of_body(const struct request *r, uint64_t at, size_t len, char *to)
{
	for (const struct block *b = r->body; len; b = b->next) {
		if (at >= b->len) {
			at -= b->len;
			continue;
		}
		size_t some = b->len - at < len ? (size_t)(b->len - at) : len;
		memcpy(to, b->bytes + at, some);
		to += some;
		len -= some;
		at = 0;
	}
}

/* Gemini's files are named by URLs, of which what stands behind the last slash is looked at. */
static bool
open_url(const struct exchange *x, const struct request_object_name *n, struct sealed *ret)
{
	char text[SEAL_TEXT_MAX + 2];
	size_t len = n->bytes < sizeof text ? n->bytes : sizeof text;
	if (n->bytes < 2)
		return false;
	copy_of_body(x->req, n->at + n->bytes - len, len, text);
	const char *slash = memrchr(text, '/', len);
	if (!slash)
		return false;
	struct span id = {slash + 1, (size_t)(text + len - 1 - (slash + 1))};
	return unseal(x->edge->pepper, x->account_row, OBJECT_GEMINI_FILE, id, ret) && object_provider_of(x, ret) >= 0;
}

/* What an id in the body stands for; its bytes are those of a JSON string, quotes included. Ids need no escapes: one that has some is not ours. */
static bool
open_one(const struct exchange *x, const struct request_object_name *n, struct sealed *ret)
{
	char text[SEAL_TEXT_MAX + 2];
	if (x->dialect == DIALECT_GEMINI)
		return open_url(x, n, ret);
	if (n->bytes > sizeof text || n->bytes < 2)
		return false;
	copy_of_body(x->req, n->at, n->bytes, text);
	struct span id = {text + 1, n->bytes - 2u};
	return unseal(x->edge->pepper, x->account_row, kind_named(x, n->kind, id), id, ret) && object_provider_of(x, ret) >= 0;
}

bool
object_open_one(const struct exchange *x, uint32_t i, struct sealed *ret, char *text)
{
	const struct request_object_name *n = &x->req->scan.result.objects[i];
	if (!open_one(x, n, ret))
		return false;
	if (text)
		copy_of_body(x->req, n->at, n->bytes, text);
	return true;
}

int64_t
object_open_first(const struct exchange *x, struct sealed *ret)
{
	return open_one(x, &x->req->scan.result.objects[0], ret) ? object_provider_of(x, ret) : -1;
}

bool
object_edit(struct exchange *x)
{
	if (object_is_bodiless(x))
		x->req->body_bytes = 0; /* what came with it says nothing, and stays here */
	x->req->total = x->req->upload ? upload_total(x) : x->req->body_bytes; /* as it came */
	return x->object->operation != OPERATION_BATCH_CREATE || batch_edit(x);
}

bool
object_confirm(struct exchange *x)
{
	return x->object->operation != OPERATION_FILE_CREATE || batch_judge_upload(x, x->route.target->provider);
}

bool
object_is_batch(const struct exchange *x)
{
	return x->object && (x->object->kind == OBJECT_BATCH || x->object->kind == OBJECT_MESSAGES_BATCH);
}

void
object_free(struct exchange *x)
{
	struct vault *v = x->edge->vault;
	struct object *o = x->object;
	if (!o)
		return;
	if (o->asks)
		vault_free(v, o->asks, sizeof *o->asks);
	object_list_free(x);
	object_upload_free(x);
	if (o->results)
		vault_free(v, o->results, sizeof *o->results);
	vault_free(v, o, sizeof *o);
	x->object = NULL;
}

bool
object_is_errand(const struct exchange *x)
{
	return x->object && x->object->errand;
}

int64_t
object_home(const struct exchange *x, bool *ret_own)
{
	const struct request_facts *f = &x->req->scan.result;
	struct sealed s = {0};
	bool opened = f->object_count && open_one(x, &f->objects[0], &s);
	*ret_own = s.own;
	return opened ? object_provider_of(x, &s) : -1;
}

static enum end_reason
open_for_target(const struct exchange *x, const struct request_object_name *n, struct sealed *ret)
{
	if (!open_one(x, n, ret))
		return END_NO_OBJECT;
	if (object_provider_of(x, ret) != x->route.target->provider)
		return END_OTHER_PROVIDER;
	return ret->own == (x->route.byok != NULL) ? END_NONE : END_NO_TARGET;
}

void
object_add_url(struct text *t, const struct catalogue_provider *p)
{
	text_str(t, p->tls ? "https://" : "http://");
	text_str(t, p->host);
	if (p->port != (p->tls ? 443 : 80)) {
		text_lit(t, ":");
		text_u64(t, p->port);
	}
	text_str(t, p->base_path);
	text_lit(t, "/files/");
}

/* As a JSON string. */
static struct span
put_id(const struct exchange *x, char **room, const struct sealed *s)
{
	struct text t = text_on(*room, object_name_room(x));
	text_lit(&t, "\"");
	if (s->kind == OBJECT_GEMINI_FILE)
		object_add_url(&t, catalogue_provider(x->edge->p->catalogue, x->route.target->provider));
	text_add(&t, s->id, s->id_len);
	text_lit(&t, "\"");
	*room += t.len;
	return (struct span){t.at, t.len};
}

/* Nothing is found by what was cited, and it may be anybody's words: what is not the account's goes up as it is. */
static void
open_cited(struct exchange *x, char *room, struct span *texts)
{
	const struct request_facts *f = &x->req->scan.result;
	for (uint32_t i = 0; i < f->cited_count; i++) {
		struct sealed s;
		texts[i] = open_for_target(x, &f->cited[i], &s) == END_NONE ? put_id(x, &room, &s) : (struct span){0};
		x->names_objects |= texts[i].len != 0;
	}
}

bool
object_open_named(struct exchange *x, char *room, struct span *texts)
{
	const struct request_facts *f = &x->req->scan.result;
	for (uint32_t i = 0; i < f->object_count; i++) {
		struct sealed s;
		enum end_reason reason = open_for_target(x, &f->objects[i], &s);
		if (reason == END_NO_TARGET) {
			object_refuse_key(x, s.own);
			return false;
		}
		if (reason != END_NONE) {
			exchange_end(x, reason);
			return false;
		}
		texts[i] = put_id(x, &room, &s);
	}
	x->names_objects = f->object_count != 0;
	open_cited(x, room, texts + f->object_count);
	return true;
}
