#include "edge/object_upload.h"

#include "dialect/gemini_start.h"

static const struct span prefix = SPAN_INIT("x-goog-upload-");

static bool
is_upload(const struct exchange *x)
{
	return x->object && (x->object->operation == OPERATION_UPLOAD_START || x->object->operation == OPERATION_UPLOAD_SEND || x->object->operation == OPERATION_UPLOAD_WHOLE);
}

static bool
begins(struct span s, struct span with)
{
	return s.len >= with.len && !strncasecmp(s.at, with.at, with.len);
}

/* "x-goog-upload-{name}"; empty: there is none. */
static struct span
field(const struct http1_head *h, struct span name)
{
	for (unsigned i = 0; i < h->field_count; i++) {
		struct span n = http1_field_name(h, &h->fields[i]);
		if (n.len == prefix.len + name.len && begins(n, prefix) && !strncasecmp(n.at + prefix.len, name.at, name.len))
			return http1_field_value(h, &h->fields[i]);
	}
	return (struct span){0};
}

/* Which of them the provider would go by, nobody knows: it gets them all. */
static bool
says_twice(const struct http1_head *h)
{
	for (unsigned i = 0; i < h->field_count; i++) {
		struct span a = http1_field_name(h, &h->fields[i]);
		for (unsigned k = 0; begins(a, prefix) && k < i; k++) {
			struct span b = http1_field_name(h, &h->fields[k]);
			if (a.len == b.len && begins(a, b))
				return true;
		}
	}
	return false;
}

static bool
is_one_of(struct span value, const struct span *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (value.len == words[i].len && !memcmp(value.at, words[i].at, value.len))
			return true;
	return false;
}

/* ---- what is asked ---- */

static const struct span starts[] = {SPAN_INIT("start")};
static const struct span resumable[] = {SPAN_INIT("resumable")};
static const struct span whole[] = {SPAN_INIT("multipart")};
static const struct span sends[] = {SPAN_INIT("upload"), SPAN_INIT("upload, finalize"), SPAN_INIT("upload,finalize"), SPAN_INIT("finalize"), SPAN_INIT("query"), SPAN_INIT("cancel")};

static enum end_reason
keep_text(struct exchange *x, struct span named)
{
	struct object *o = x->object;
	if (named.len > SEAL_TARGET_TEXT_MAX)
		return END_NO_OBJECT;
	o->upload = vault_alloc(x->edge->vault, sizeof *o->upload);
	if (!o->upload)
		return END_OVERLOADED;
	o->upload->text_len = (uint16_t)named.len;
	if (named.len)
		memcpy(o->upload->text, named.at, named.len);
	return END_NONE;
}

/* By the header, or as all of Google's uploads are told (?uploadType=multipart). */
static bool
is_whole(const struct http1_head *h)
{
	struct span protocol = field(h, SPAN("protocol"));
	return is_one_of(protocol.len ? protocol : target_argument(h->target, SPAN("uploadType")), whole, ARRAY_LEN(whole));
}

static enum end_reason
ask_whole(struct exchange *x, const struct http1_head *h, struct span *ret_says)
{
	const struct http1_field *f = http1_field_find(h, HTTP1_CONTENT_TYPE);
	struct span boundary, command = field(h, SPAN("command"));
	*ret_says = SPAN("An upload in one request is Content-Type: multipart/related with a boundary and without `start`, X-Goog-Upload-Protocol: multipart and no other X-Goog-Upload line: "
					 "a part of application/json, {\"file\": {...}}, then one with the file's bytes.");
	if (command.len || !f || !multipart_related_boundary(http1_field_value(h, f), &boundary))
		return END_BAD_HEADER;
	*ret_says = (struct span){0};
	x->object->operation = OPERATION_UPLOAD_WHOLE;
	enum end_reason reason = keep_text(x, (struct span){0});
	if (reason != END_NONE)
		return reason;
	x->object->upload->boundary_len = (uint8_t)boundary.len;
	memcpy(x->object->upload->boundary, boundary.at, boundary.len);
	return END_NONE;
}

enum end_reason
object_upload_asked(struct exchange *x, const struct http1_head *h, struct span named, struct span *ret_says)
{
	struct object *o = x->object;
	struct span command = field(h, SPAN("command"));
	bool start = o->operation == OPERATION_UPLOAD_START, send = o->operation == OPERATION_UPLOAD_SEND;
	if (is_upload(x) && says_twice(h))
		*ret_says = SPAN("Each X-Goog-Upload line is said once, and one of yours came twice: leave one of them out.");
	else if (start && is_whole(h) && o->base_len)
		return ask_whole(x, h, ret_says);
	else if (start && !is_whole(h) && (!is_one_of(command, starts, ARRAY_LEN(starts)) || !is_one_of(field(h, SPAN("protocol")), resumable, ARRAY_LEN(resumable))))
		*ret_says = SPAN("Files go up in the resumable way here: X-Goog-Upload-Protocol: resumable and X-Goog-Upload-Command: start begin it, and the answer's X-Goog-Upload-URL takes the bytes. Or all in one request: X-Goog-Upload-Protocol: multipart.");
	else if (send && !is_one_of(command, sends, ARRAY_LEN(sends)))
		*ret_says = SPAN("X-Goog-Upload-Command must be `upload`, `upload, finalize`, `finalize`, `query` or `cancel`.");
	else if (start && !o->base_len)
		*ret_says = SPAN("The answer to this names a URL of this host: say which it is (Host), in at most 190 bytes.");
	else
		return is_upload(x) ? keep_text(x, named) : END_NONE;
	return END_BAD_HEADER;
}

struct judged {
	struct gemini_start about;
	struct multipart parts;
	unsigned count;
	bool bad; /* the parts are not those */
};

/* In no other alphabet than ours, where other bytes might be the name's. */
static bool
is_json(struct span type)
{
	static const struct span types[] = {SPAN_INIT("application/json"), SPAN_INIT("application/json; charset=utf-8"), SPAN_INIT("application/json;charset=utf-8")};
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (type.len == types[i].len && begins(type, types[i]))
			return true;
	return false;
}

/* The first part is about the file; what the second says is content. */
static void
take_part(struct judged *j, enum multipart_token t, const struct multipart_event *ev)
{
	if (t == MULTIPART_PART)
		j->bad |= ++j->count > 2 || (j->count == 1 && !is_json(ev->name));
	else if (t == MULTIPART_DATA && j->count == 1)
		gemini_start_feed(&j->about, ev->data);
	j->bad |= t == MULTIPART_BAD;
}

static void
read_parts(struct judged *j, const struct exchange *x)
{
	struct multipart_event ev = {0};
	enum multipart_token t;
	multipart_related_init(&j->parts, (struct span){x->object->upload->boundary, x->object->upload->boundary_len});
	for (const struct block *b = x->req->body; b && !j->bad; b = b->next) {
		multipart_feed(&j->parts, b->bytes, b->len);
		while (!j->bad && (t = multipart_next(&j->parts, &ev)) != MULTIPART_MORE)
			take_part(j, t, &ev);
	}
	j->bad |= !multipart_complete(&j->parts) || j->count != 2;
}

static enum gemini_start_error
judge_body(struct judged *j, const struct exchange *x)
{
	gemini_start_init(&j->about);
	if (x->object->operation == OPERATION_UPLOAD_WHOLE)
		read_parts(j, x);
	else
		for (const struct block *b = x->req->body; b; b = b->next)
			gemini_start_feed(&j->about, (struct span){b->bytes, b->len});
	return gemini_start_finish(&j->about);
}

/* A file's own name may be another customer's. */
static bool
judge_start(struct exchange *x)
{
	struct judged *j = vault_alloc(x->edge->vault, sizeof *j);
	if (!j) {
		exchange_end(x, END_OVERLOADED);
		return false;
	}
	enum gemini_start_error error = judge_body(j, x);
	bool bad = j->bad;
	vault_free(x->edge->vault, j, sizeof *j);
	if (error == GEMINI_START_OK && !bad)
		return true;
	if (bad)
		answer_sentence(x, END_BAD_BODY, NULL,
			SPAN("The body must be multipart/related with two parts, one of Content-Type: application/json (in UTF-8), {\"file\": {...}}, and one with the file's bytes, lines ending in CRLF and nothing in front of the first boundary."));
	else if (error == GEMINI_START_NAMED)
		answer_sentence(x, END_BAD_BODY, "file.name", SPAN("Files get their names here: leave file.name out, and use the name that the upload returns. What people are to read is its displayName."));
	else
		answer_sentence(x, END_BAD_BODY, NULL, SPAN("The body that begins an upload must be a JSON object, {\"file\": {...}}, or empty."));
	exchange_end(x, END_BAD_BODY);
	return false;
}

int64_t
object_upload_route(struct exchange *x, int64_t keeper)
{
	struct object_upload *u = x->object->upload;
	if (x->object->operation != OPERATION_UPLOAD_SEND) {
		if (keeper < 0)
			exchange_end(x, END_NOT_FOUND);
		return keeper < 0 || !judge_start(x) ? -1 : keeper;
	}
	struct sealed s = {0};
	int64_t provider = -1;
	if (unseal_target(x->edge->pepper, x->account_row, (struct span){u->text, u->text_len}, &u->place)) {
		s.provider = u->place.provider;
		x->object->own = u->place.own;
		provider = object_provider_of(x, &s);
	}
	if (provider < 0)
		exchange_end(x, END_NO_OBJECT);
	return provider;
}

bool
object_upload_is_raw(const struct exchange *x)
{
	return is_upload(x);
}

bool
object_upload_takes(const struct exchange *x, struct span name)
{
	return (is_upload(x) && x->object->operation != OPERATION_UPLOAD_WHOLE) || !begins(name, prefix);
}

bool
object_upload_add_target(struct text *t, const struct exchange *x, const struct catalogue_provider *p)
{
	if (!is_upload(x))
		return false;
	if (x->object->operation == OPERATION_UPLOAD_SEND)
		text_add(t, x->object->upload->place.at, x->object->upload->place.len);
	else {
		text_lit(t, "/upload");
		text_str(t, p->base_path);
		text_str(t, x->object->operation == OPERATION_UPLOAD_WHOLE ? "/files?uploadType=multipart" : "/files");
	}
	return true;
}

/* ---- the answer ---- */

/* What stands behind the host: we know the host ourselves, and go to no other. */
static struct span
behind_host(struct span url)
{
	if (!url.len)
		return url;
	const char *host = memmem(url.at, url.len, "://", 3), *end = url.at + url.len;
	const char *path = host ? memchr(host + 3, '/', (size_t)(end - host - 3)) : NULL;
	return path ? (struct span){path, (size_t)(end - path)} : (struct span){0};
}

bool
object_upload_take_url(struct exchange *x, const struct http1_head *h, struct text *t)
{
	struct object *o = x->object;
	if (!o || o->operation != OPERATION_UPLOAD_START)
		return true;
	struct sealed_target *place = &o->upload->place;
	struct span target = behind_host(field(h, SPAN("url")));
	if (!target.len || target.len > SEAL_TARGET_MAX)
		return false;
	*place = (struct sealed_target){.own = o->own, .provider = catalogue_provider(x->edge->p->catalogue, x->route.target->provider)->id, .len = (uint16_t)target.len};
	memcpy(place->at, target.at, target.len);
	o->upload->text_len = (uint16_t)seal_target(x->edge->pepper, x->account_row, place, o->upload->text);
	text_lit(t, "x-goog-upload-url: ");
	text_add(t, o->base, o->base_len);
	text_lit(t, "/upload/v1beta/files/");
	text_add(t, o->upload->text, o->upload->text_len);
	text_lit(t, "\r\n");
	return o->upload->text_len != 0;
}

bool
object_upload_is_told(const struct exchange *x, struct span text)
{
	return is_upload(x) && memmem(text.at, text.len, "upload_id", 9);
}

void
object_upload_free(struct exchange *x)
{
	if (x->object->upload)
		vault_free(x->edge->vault, x->object->upload, sizeof *x->object->upload);
	x->object->upload = NULL;
}
