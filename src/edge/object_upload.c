#include "edge/object_upload.h"

#include "dialect/gemini_start.h"

static const struct span prefix = SPAN_INIT("x-goog-upload-");

static bool
is_upload(const struct exchange *x)
{
	return x->object && (x->object->operation == OPERATION_UPLOAD_START || x->object->operation == OPERATION_UPLOAD_SEND);
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

enum end_reason
object_upload_asked(struct exchange *x, const struct http1_head *h, struct span named, struct span *ret_says)
{
	struct object *o = x->object;
	struct span command = field(h, SPAN("command"));
	bool start = o->operation == OPERATION_UPLOAD_START, send = o->operation == OPERATION_UPLOAD_SEND;
	if (is_upload(x) && says_twice(h))
		*ret_says = SPAN("Each X-Goog-Upload line is said once, and one of yours came twice: leave one of them out.");
	else if (start && (!is_one_of(command, starts, ARRAY_LEN(starts)) || !is_one_of(field(h, SPAN("protocol")), resumable, ARRAY_LEN(resumable))))
		*ret_says = SPAN("Files go up in the resumable way here: X-Goog-Upload-Protocol: resumable and X-Goog-Upload-Command: start begin it, and the answer's X-Goog-Upload-URL takes the bytes.");
	else if (send && !is_one_of(command, sends, ARRAY_LEN(sends)))
		*ret_says = SPAN("X-Goog-Upload-Command must be `upload`, `upload, finalize`, `finalize`, `query` or `cancel`.");
	else if (start && !o->base_len)
		*ret_says = SPAN("The answer to this names a URL of this host: say which it is (Host), in at most 190 bytes.");
	else
		return is_upload(x) ? keep_text(x, named) : END_NONE;
	return END_BAD_HEADER;
}

/* A file's own name may be another customer's. */
static bool
judge_start(struct exchange *x)
{
	struct gemini_start *s = vault_alloc(x->edge->vault, sizeof *s);
	if (!s) {
		exchange_end(x, END_OVERLOADED);
		return false;
	}
	gemini_start_init(s);
	for (const struct block *b = x->req->body; b; b = b->next)
		gemini_start_feed(s, (struct span){b->bytes, b->len});
	enum gemini_start_error error = gemini_start_finish(s);
	vault_free(x->edge->vault, s, sizeof *s);
	if (error == GEMINI_START_OK)
		return true;
	if (error == GEMINI_START_NAMED)
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
	if (x->object->operation == OPERATION_UPLOAD_START) {
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
	return is_upload(x) || !begins(name, prefix);
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
		text_lit(t, "/files");
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
