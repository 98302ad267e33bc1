/* Requests that want a response kept, or name one that is: who can serve them, and what they set aside. */
#include "edge/stored_priv.h"

#include "edge/batch.h"
#include "edge/passage.h"
#include "edge/work.h"

/* ---- who can ---- */

bool
stored_keeps(const struct catalogue_provider *p)
{
	return p->dialect == DIALECT_OPENAI && !p->no_responses && p->objects && p->store;
}

/* A demand about what is kept, or where, is met by keeping nothing: of that nothing is declared. */
static bool
must_not_keep(const struct exchange *x)
{
	const struct route_wish *w = &x->req->wish;
	return w->zero_retention || w->region[0];
}

static bool
says_no(const struct request_facts *f)
{
	return f->store_bytes == sizeof "false" - 1;
}

bool
stored_is_kept(const struct exchange *x, const struct catalogue_provider *p)
{
	return x->endpoint == ENDPOINT_RESPONSES && p->store && !must_not_keep(x) && !says_no(&x->req->scan.result);
}

static const char *
name_of(uint32_t kind)
{
	return kind == REQUEST_RESPONSE ? "previous_response_id" : "conversation";
}

/* The member that names what is kept; NULL: none does. */
static const char *
named(const struct request_facts *f)
{
	for (uint32_t i = 0; i < f->object_count; i++)
		if (f->objects[i].kind != REQUEST_FILE)
			return name_of(f->objects[i].kind);
	return NULL;
}

bool
stored_lacks(const struct exchange *x, const struct catalogue_target *t)
{
	const struct request_facts *f = &x->req->scan.result;
	const struct catalogue_provider *p = catalogue_provider(x->edge->p->catalogue, t->provider);
	return (f->store && !p->store) || ((f->background || named(f)) && (!stored_keeps(p) || t->asked_in == ASKED_IN_CHAT));
}

/* ---- what is refused ---- */

static void
refuse(struct exchange *x, enum end_reason reason, const char *field, struct span behind)
{
	char room[600];
	struct text t = text_on(room, sizeof room);
	text_str(&t, field);
	text_span(&t, behind);
	answer_sentence(x, reason, field, (struct span){t.at, t.len});
	explicit_bzero(room, sizeof room);
	exchange_end(x, reason);
}

static const char *
field_of(const struct request_facts *f)
{
	const char *field = named(f);
	return f->background ? "background" : field ? field
												: "store";
}

void
stored_refuse(struct exchange *x, bool elsewhere)
{
	const struct request_facts *f = &x->req->scan.result;
	if (elsewhere)
		refuse(x, END_OTHER_PROVIDER, named(f) ? named(f) : "model",
			SPAN(" names what is kept at another provider than the ones that serve this model. Go on with a model of its provider, or send the turns so far in input."));
	else if (x->endpoint == ENDPOINT_RESPONSES && (f->background || named(f)))
		refuse(x, END_BAD_BODY, field_of(f),
			SPAN(" needs a provider that keeps responses, and no provider of this model does here. Leave it out, send the turns so far in input, or choose another model."));
	else {
		answer_request_error(x, REQUEST_STORE);
		exchange_end(x, END_BAD_BODY);
	}
}

/* Each id is one that this account was given. */
static bool
are_own(struct exchange *x)
{
	const struct request_facts *f = &x->req->scan.result;
	for (uint32_t i = 0; i < f->object_count; i++) {
		struct sealed s;
		if (f->objects[i].kind != REQUEST_FILE && !object_open_one(x, i, &s, NULL)) {
			exchange_end(x, END_NO_OBJECT);
			return false;
		}
	}
	return true;
}

bool
stored_may(struct exchange *x)
{
	const struct request_facts *f = &x->req->scan.result;
	if (x->endpoint != ENDPOINT_RESPONSES || !(f->store || f->background || named(f)))
		return true;
	if (must_not_keep(x)) {
		refuse(x, END_NO_TARGET, field_of(f),
			SPAN(" has the provider keep what is said, which lethe-policy forbids here. Nothing was sent to any. Leave it out, or leave that demand out."));
		return false;
	}
	if (f->background && says_no(f)) {
		refuse(x, END_BAD_BODY, "background", SPAN(": true needs an answer that is kept until it is asked for; leave out store: false."));
		return false;
	}
	return are_own(x);
}

/* ---- in the background ---- */

bool
stored_begins(struct exchange *x, struct nano need)
{
	if (!x->object)
		x->object = vault_alloc(x->edge->vault, sizeof *x->object);
	if (!x->object) {
		exchange_end(x, END_OVERLOADED);
		return false;
	}
	x->object->nano = (uint64_t)need.v + 1; /* so a hold is never settled for nothing less */
	return true;
}

/* ---- ids that are known before the answer ---- */

static struct stored *
begin(struct exchange *x)
{
	struct object *o = x->object;
	if (!o)
		o = x->object = vault_alloc(x->edge->vault, sizeof *o);
	if (o && !o->stored)
		o->stored = vault_alloc(x->edge->vault, sizeof *o->stored);
	return o ? o->stored : NULL;
}

static void
know(struct stored_pair *p, const struct sealed *s, struct span text)
{
	p->raw_len = s->id_len;
	p->text_len = (uint8_t)text.len;
	memcpy(p->raw, s->id, s->id_len);
	memcpy(p->text, text.at, text.len);
}

bool
stored_ready(struct exchange *x)
{
	const struct request_facts *f = &x->req->scan.result;
	const struct catalogue_provider *p = catalogue_provider(x->edge->p->catalogue, x->route.target->provider);
	if (x->endpoint != ENDPOINT_RESPONSES || x->passage || !stored_keeps(p) || !(stored_is_kept(x, p) || named(f)))
		return true;
	struct stored *s = begin(x);
	for (uint32_t i = 0; s && i < f->object_count; i++) {
		struct sealed sealed;
		char text[SEAL_TEXT_MAX + 2];
		if (f->objects[i].kind != REQUEST_FILE && object_open_one(x, i, &sealed, text))
			know(&s->pairs[f->objects[i].kind == REQUEST_RESPONSE ? PAIR_PREVIOUS : PAIR_CONVERSATION], &sealed, (struct span){text + 1, f->objects[i].bytes - 2});
	}
	return s != NULL;
}

bool
stored_named(struct exchange *x)
{
	struct stored *s = begin(x);
	const struct object *o = x->object;
	if (!s)
		return false;
	know(&s->pairs[o->kind == OBJECT_CONVERSATION ? PAIR_CONVERSATION : PAIR_OWN], &o->opened, (struct span){o->text, o->text_len});
	return true;
}

bool
stored_is_gone(const struct exchange *x, struct span body)
{
	static const char code[] = "previous_response_not_found";
	return x->object && x->object->stored && x->object->stored->pairs[PAIR_PREVIOUS].raw_len && memmem(body.at, body.len, code, sizeof code - 1);
}

void
stored_free(struct exchange *x)
{
	struct stored *s = x->object ? x->object->stored : NULL;
	if (!s)
		return;
	vault_free(x->edge->vault, s->kept, s->kept_cap);
	vault_free(x->edge->vault, s->out, s->out_cap);
	vault_free(x->edge->vault, s, sizeof *s);
	x->object->stored = NULL;
}
