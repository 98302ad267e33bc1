#include "dialect/form.h"

#include "dialect/lines.h"

#include <string.h>
#include <strings.h>

enum field {
#define X(NAME, text) FIELD_##NAME,
	FORM_FIELDS(X)
#undef X
		FIELD_COUNT
};

static const struct span fields[FIELD_COUNT] = {
#define X(NAME, text) [FIELD_##NAME] = SPAN_INIT(text),
	FORM_FIELDS(X)
#undef X
};

bool
form_endpoint(enum endpoint endpoint)
{
	return endpoint == ENDPOINT_AUDIO_TRANSCRIPTIONS || endpoint == ENDPOINT_AUDIO_TRANSLATIONS || endpoint == ENDPOINT_IMAGES_EDITS ||
		endpoint == ENDPOINT_IMAGES_VARIATIONS || endpoint == ENDPOINT_FILES;
}

enum request_error
form_scan_init(struct form_scan *f, struct request_scan *s, struct span content_type)
{
	struct span boundary;
	memset(f, 0, sizeof *f);
	s->result.form = true;
	if (!multipart_boundary(content_type, &boundary))
		return s->error = REQUEST_NOT_FORM;
	multipart_init(&f->multipart, boundary);
	return REQUEST_OK;
}

bool
form_scan_told(struct form_scan *f, struct request_scan *s, struct span model)
{
	if (model.len == 0 || model.len > REQUEST_MODEL_MAX)
		return false;
	memcpy(s->result.model, model.at, model.len);
	s->result.model_len = (uint8_t)model.len;
	return f->told = true;
}

uint64_t
form_scan_settled(const struct form_scan *f, const struct request_scan *s)
{
	return f->field == FIELD_MODEL + 1 && !s->result.model_bytes ? f->value_at : f->multipart.offset;
}

/* Servers that read "model[]" or "model[0]" take it for a model as well: a second one is not let through under such a name. */
static bool
is_field(struct span name, struct span field)
{
	return name.len >= field.len && !memcmp(name.at, field.at, field.len) && (name.len == field.len || name.at[field.len] == '[');
}

static enum request_error
part_begins(struct form_scan *f, struct request_facts *r, const struct multipart_event *ev)
{
	f->field = 0;
	f->file = ev->file;
	f->value_len = 0;
	f->value_at = ev->at;
	for (unsigned i = 0; i < FIELD_COUNT; i++) {
		if (!is_field(ev->name, fields[i]))
			continue;
		if (ev->name.len != fields[i].len || ev->file)
			return REQUEST_BAD_FORM_FIELD;
		if (f->seen >> i & 1)
			return REQUEST_DUPLICATE;
		f->seen |= (uint8_t)(1u << i);
		f->field = (uint8_t)(i + 1);
	}
	if (ev->file) {
		bool audio = r->endpoint == ENDPOINT_AUDIO_TRANSCRIPTIONS || r->endpoint == ENDPOINT_AUDIO_TRANSLATIONS;
		bool kept = r->endpoint == ENDPOINT_FILES;
		r->audios += audio;
		r->images += !audio && !kept;
		r->files += kept && ev->name.len == 4 && !memcmp(ev->name.at, "file", 4);
	}
	return REQUEST_OK;
}

static enum request_error
on_data(struct form_scan *f, struct request_facts *r, struct span data)
{
	if (f->file)
		r->inline_media_bytes += data.len;
	if (f->file && f->lines)
		(void)lines_feed(f->lines, data.at, data.len); /* whether it is one may only be said behind it */
	if (!f->field)
		return REQUEST_OK;
	if (data.len > sizeof f->value - f->value_len)
		return f->field == FIELD_MODEL + 1 ? REQUEST_BAD_MODEL : REQUEST_BAD_FORM_FIELD;
	memcpy(f->value + f->value_len, data.at, data.len);
	f->value_len = (uint8_t)(f->value_len + data.len);
	return REQUEST_OK;
}

static bool
says(const struct form_scan *f, const char *word)
{
	return f->value_len == strlen(word) && !strncasecmp(f->value, word, f->value_len);
}

static enum request_error
on_n(const struct form_scan *f, uint32_t *ret)
{
	uint32_t n = 0;
	for (unsigned i = 0; i < f->value_len; i++) {
		if (f->value[i] < '0' || f->value[i] > '9' || n > REQUEST_N_MAX)
			return REQUEST_BAD_N;
		n = n * 10 + (uint32_t)(f->value[i] - '0');
	}
	if (n == 0 || n > REQUEST_N_MAX)
		return REQUEST_BAD_N;
	*ret = n;
	return REQUEST_OK;
}

static enum request_error
field_ends(struct form_scan *f, struct request_facts *r)
{
	switch ((enum field)(f->field - 1)) {
	case FIELD_MODEL:
		if (!f->value_len)
			return REQUEST_NO_MODEL;
		if (f->told && (f->value_len != r->model_len || memcmp(f->value, r->model, r->model_len) != 0))
			return REQUEST_OTHER_MODEL;
		memcpy(r->model, f->value, f->value_len);
		r->model_len = f->value_len;
		r->model_at = f->value_at;
		r->model_bytes = f->value_len;
		return REQUEST_OK;
	case FIELD_STREAM:
		r->stream = says(f, "true") || says(f, "1");
		return r->stream || says(f, "false") || says(f, "0") ? REQUEST_OK : REQUEST_BAD_STREAM;
	case FIELD_N:
		return on_n(f, &r->n);
	case FIELD_RESPONSE_FORMAT:
		r->plain_answer = says(f, "text") || says(f, "srt") || says(f, "vtt");
		return REQUEST_OK;
	case FIELD_PURPOSE:
		f->batch = says(f, "batch");
		return REQUEST_OK;
	case FIELD_COUNT:
		break;
	}
	return REQUEST_OK;
}

static enum request_error
on_event(struct form_scan *f, struct request_facts *r, enum multipart_token t, const struct multipart_event *ev)
{
	switch (t) {
	case MULTIPART_PART:
		return part_begins(f, r, ev);
	case MULTIPART_DATA:
		return on_data(f, r, ev->data);
	case MULTIPART_PART_END:
		return f->field ? field_ends(f, r) : REQUEST_OK;
	case MULTIPART_BAD:
		return REQUEST_BAD_FORM;
	case MULTIPART_MORE:
	case MULTIPART_END:
		break;
	}
	return REQUEST_OK;
}

bool
form_scan_feed(struct form_scan *f, struct request_scan *s, const char *bytes, size_t len)
{
	struct multipart_event ev = {0};
	enum multipart_token t;
	if (s->error != REQUEST_OK)
		return false;
	s->result.body_bytes += len;
	multipart_feed(&f->multipart, bytes, len);
	while (s->error == REQUEST_OK && (t = multipart_next(&f->multipart, &ev)) != MULTIPART_MORE)
		s->error = on_event(f, &s->result, t, &ev);
	return s->error == REQUEST_OK;
}

enum request_error
form_scan_finish(struct form_scan *f, struct request_scan *s)
{
	if (s->error != REQUEST_OK)
		return s->error;
	if (!multipart_complete(&f->multipart))
		s->error = REQUEST_BAD_FORM;
	else if (s->result.endpoint == ENDPOINT_FILES) /* what else it has to say differs between providers */
		s->error = s->result.files == 1 ? REQUEST_OK : REQUEST_NO_FILE;
	else if (!s->result.model_bytes)
		s->error = REQUEST_NO_MODEL;
	else if (s->result.stream && s->result.n > 1)
		s->error = REQUEST_STREAM_OF_MANY;
	return s->error;
}
