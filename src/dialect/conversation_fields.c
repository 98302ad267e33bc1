/* Where decoders stand in the body, what stands there, and what is said about it when it can't be told. */
#include "dialect/conversation_priv.h"

/* ---- places ---- */

static void
stand(struct conversation *c, struct place p)
{
	if (c->place_count < PLACES_MAX)
		c->places[c->place_count] = p;
	c->place_count++;
}

void
at_name(struct conversation *c, const char *name)
{
	stand(c, (struct place){.name = name});
}

void
at_key(struct conversation *c, struct json_value key)
{
	stand(c, (struct place){.key = key});
}

void
at_index(struct conversation *c, uint32_t index)
{
	stand(c, (struct place){.key.kind = JSON_MORE, .index = index});
}

void
leave(struct conversation *c)
{
	c->place_count--;
}

enum { KEY_SHOWN_MAX = 48 };

/* The caller's own name for a member, cut between two characters. */
static void
write_key(struct conversation *c, struct text *t, struct json_value key)
{
	struct json_text_walk w = json_text_walk(key);
	size_t shown = 0;
	for (struct span part; (part = json_next_text(c->in, &w)).len;)
		for (size_t i = 0; i < part.len; i++, shown++) {
			if (shown >= KEY_SHOWN_MAX + 3 || (shown >= KEY_SHOWN_MAX && (part.at[i] & 0xc0) != 0x80))
				return;
			text_add(t, &part.at[i], 1);
		}
}

static void
write_place(struct conversation *c, struct text *t, const struct place *p)
{
	if (p->name || p->key.kind == JSON_STRING) {
		if (t->len)
			text_lit(t, ".");
		if (p->name)
			text_str(t, p->name);
		else
			write_key(c, t, p->key);
		return;
	}
	text_lit(t, "[");
	text_u64(t, p->index);
	text_lit(t, "]");
}

bool
refuse(struct conversation *c, enum translate_refusal why, const char *advice)
{
	if (c->notes->refusal)
		return false;
	c->notes->refusal = (uint8_t)why;
	c->notes->advice = advice;
	for (uint32_t i = 0; i < c->place_count && i < PLACES_MAX; i++)
		write_place(c, &c->notes->path, &c->places[i]);
	return false;
}

bool
refuse_at(struct conversation *c, const char *name, enum translate_refusal why, const char *advice)
{
	at_name(c, name);
	refuse(c, why, advice);
	leave(c);
	return false;
}

bool
refuse_path(struct conversation *c, const char *in, const char *name, enum translate_refusal why, const char *advice)
{
	uint32_t stood = c->place_count;
	c->place_count = 0;
	if (in)
		at_name(c, in);
	refuse_at(c, name, why, advice);
	c->place_count = stood;
	return false;
}

/* Is the name among those that were noted? */
static bool
noted(const struct text *t, const char *name)
{
	size_t len = strlen(name);
	for (size_t at = 0; at + len <= t->len; at++)
		if (!memcmp(t->at + at, name, len) && (!at || t->at[at - 1] == ' ') && (at + len == t->len || t->at[at + len] == ','))
			return true;
	return false;
}

void
note_left_out(struct conversation *c, const char *name)
{
	struct text *t = &c->notes->dropped;
	if (noted(t, name) || t->len + strlen(name) + 2 > t->cap)
		return;
	if (t->len)
		text_lit(t, ", ");
	text_str(t, name);
}

bool
leave_out(struct conversation *c, const char *name, enum field_way way, const char *advice)
{
	if (way != FIELD_LEFT_OUT && (way != FIELD_LENIENT || !c->wish->lenient))
		return refuse_at(c, name, TRANSLATE_CANT, advice);
	note_left_out(c, name);
	return true;
}

bool
leave_out_setting(struct conversation *c, const char *path, const char *advice)
{
	if (!c->wish->lenient)
		return refuse_path(c, NULL, path, TRANSLATE_CANT, advice);
	note_left_out(c, path);
	return true;
}

/* ---- values ---- */

bool
is_empty(struct json_value v)
{
	return !given(v) || (v.kind == JSON_STRING && v.end - v.at <= 2);
}

static bool
holds_nothing(struct conversation *c, struct json_value v)
{
	struct json_walk w = json_walk(v);
	return v.kind == JSON_STRING ? v.end - v.at <= 2 : (v.kind == JSON_OBJECT || v.kind == JSON_ARRAY) && !json_next_element(c->in, &w, &v);
}

static bool
only_text(struct conversation *c, struct json_value list)
{
	struct json_walk w = json_walk(list);
	for (struct json_value v; json_next_element(c->in, &w, &v);)
		if (!reads(c, v, "text") && !reads(c, v, "TEXT"))
			return false;
	return list.kind == JSON_ARRAY;
}

bool
says_nothing(struct conversation *c, struct json_value v, enum idle idle)
{
	switch (idle) {
	case IDLE_NEVER:
		return false;
	case IDLE_FALSE:
		return v.kind == JSON_FALSE;
	case IDLE_TRUE:
		return v.kind == JSON_TRUE;
	case IDLE_ZERO:
		return v.kind == JSON_NUMBER && number_about(c, v) == 0;
	case IDLE_ONE:
		return v.kind == JSON_NUMBER && number_about(c, v) == 1;
	case IDLE_EMPTY:
		return holds_nothing(c, v);
	case IDLE_AUTO:
		return reads(c, v, "auto");
	case IDLE_DISABLED:
		return reads(c, v, "disabled");
	case IDLE_TEXT_ONLY:
		return only_text(c, v);
	}
	return false;
}

/* The text of a list of one text part, else the list. */
struct json_value
only_text_of(struct conversation *c, struct json_value list)
{
	static const struct span names[] = {SPAN_INIT("text")};
	struct json_walk w = json_walk(list);
	struct json_value first, second, text;
	if (list.kind != JSON_ARRAY || !json_next_element(c->in, &w, &first) || json_next_element(c->in, &w, &second))
		return list;
	json_members(c->in, first, names, 1, &text, NULL);
	return text.kind == JSON_STRING ? text : list;
}

/* A number, near enough for comparing it with a bound. */
double
number_about(struct conversation *c, struct json_value v)
{
	double value = 0, unit = 1;
	int exponent = 0, exponent_sign = 1;
	bool negative = false, in_fraction = false, in_exponent = false;
	struct json_text_walk w = json_text_walk(v);
	for (struct span part; (part = json_next_text(c->in, &w)).len;)
		for (size_t i = 0; i < part.len; i++) {
			char ch = part.at[i];
			bool digit = ch >= '0' && ch <= '9';
			if (digit && in_exponent) {
				exponent = exponent < 1000 ? exponent * 10 + (ch - '0') : exponent;
			} else if (digit) {
				unit = in_fraction ? unit / 10 : unit;
				value = in_fraction ? value + (ch - '0') * unit : value * 10 + (ch - '0');
			} else if (ch == '-' && in_exponent)
				exponent_sign = -1;
			else
				negative |= ch == '-', in_fraction |= ch == '.', in_exponent |= (ch | 0x20) == 'e';
		}
	for (; exponent && value != 0 && value < 1e300; exponent--)
		value = exponent_sign > 0 ? value * 10 : value / 10;
	return negative ? -value : value;
}

bool
number_whole(struct conversation *c, struct json_value v, uint64_t *ret)
{
	double about = number_about(c, v);
	if (v.kind != JSON_NUMBER || about < 0 || about > UINT32_MAX || about != (double)(uint64_t)about)
		return false;
	*ret = (uint64_t)about;
	return true;
}

static bool
texts(struct conversation *c, struct json_value v)
{
	struct json_walk w = json_walk(v);
	for (struct json_value e; json_next_element(c->in, &w, &e);)
		if (e.kind != JSON_STRING)
			return false;
	return v.kind == JSON_STRING || v.kind == JSON_ARRAY;
}

enum setting_kind { KIND_NUMBER,
	KIND_BOOLEAN,
	KIND_TEXT,
	KIND_TEXTS,
	KIND_OBJECT };

static const struct {
	uint8_t kind, idle;
} setting_rows[SETTING_COUNT] = {
#define X(NAME, kind, idle) {KIND_##kind, IDLE_##idle},
	SETTINGS(X)
#undef X
};

static bool
is_of_kind(struct conversation *c, struct json_value v, enum setting_kind kind)
{
	switch (kind) {
	case KIND_NUMBER:
		return v.kind == JSON_NUMBER;
	case KIND_BOOLEAN:
		return v.kind == JSON_TRUE || v.kind == JSON_FALSE;
	case KIND_TEXT:
		return v.kind == JSON_STRING;
	case KIND_TEXTS:
		return texts(c, v);
	case KIND_OBJECT:
		return v.kind == JSON_OBJECT;
	}
	return false;
}

static const char *
kind_wanted(enum setting_kind kind)
{
	static const char *const sentences[] = {"It must be a number.", "It must be true or false.", "It must be a string.",
		"It must be a string or a list of strings.", "It must be an object."};
	return sentences[kind];
}

/* ---- fields ---- */

/* generation_config for generationConfig. */
static bool
reads_snake(struct conversation *c, struct json_value key, struct span name)
{
	struct json_text_walk w = json_text_walk(key);
	size_t at = 0;
	bool low = false;
	for (struct span part; (part = json_next_text(c->in, &w)).len;)
		for (size_t i = 0; i < part.len; i++) {
			char ch = part.at[i];
			if (ch == '_' && !low) {
				low = true;
				continue;
			}
			if (at == name.len || (low ? ch < 'a' || ch > 'z' || ch - 'a' + 'A' != name.at[at] : ch != name.at[at]))
				return false;
			low = false;
			at++;
		}
	return at == name.len && !low;
}

static bool
on_field(struct conversation *c, const struct field *f, struct json_value v, const char *in)
{
	if (f->idle != IDLE_NEVER && says_nothing(c, v, f->idle))
		return true;
	switch ((enum field_way)f->way) {
	case FIELD_TAKEN:
	case FIELD_OURS:
		return true;
	case FIELD_SETTING:
		if (!is_of_kind(c, v, setting_rows[f->setting].kind))
			return refuse_at(c, f->name.at, TRANSLATE_INVALID, kind_wanted(setting_rows[f->setting].kind));
		c->settings.scalars[f->setting] = (struct setting){v, in, f->name.at};
		return true;
	case FIELD_LEFT_OUT:
	case FIELD_LENIENT:
	case FIELD_REFUSED:
		return leave_out(c, f->name.at, f->way, f->advice);
	}
	return false;
}

static bool
refuse_unknown(struct conversation *c, struct json_value key)
{
	at_key(c, key);
	refuse(c, TRANSLATE_CANT, "This field is not known here: leave it out, or ask a model whose provider speaks this endpoint's language.");
	leave(c);
	return false;
}

bool
fields_read(struct conversation *c, struct json_value object, const struct field *fields, uint32_t count, struct json_value *ret, const char *in)
{
	struct json_value key, v;
	for (uint32_t i = 0; i < count; i++)
		ret[i] = (struct json_value){.kind = JSON_MORE};
	if (object.kind != JSON_OBJECT)
		return refuse(c, TRANSLATE_INVALID, "It must be an object.");
	for (struct json_walk w = json_walk(object); json_next_member(c->in, &w, &key, &v);) {
		uint32_t i = 0;
		while (i < count && !json_reads(c->in, key, fields[i].name) && !(c->from->snake && reads_snake(c, key, fields[i].name)))
			i++;
		if (v.kind == JSON_NULL)
			continue;
		if (i == count)
			return refuse_unknown(c, key);
		ret[i] = v;
	}
	for (uint32_t i = 0; i < count; i++)
		if (given(ret[i]) && !on_field(c, &fields[i], ret[i], in))
			return false;
	return true;
}

bool
refuse_unsaid(struct conversation *c, const struct unsaid *rows, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct setting *s = setting(c, rows[i].setting);
		if (!given(s->value) || says_nothing(c, s->value, setting_rows[rows[i].setting].idle))
			continue;
		if (rows[i].way == FIELD_LEFT_OUT || (rows[i].way == FIELD_LENIENT && c->wish->lenient))
			note_left_out(c, s->name);
		else
			return refuse_path(c, s->in, s->name, TRANSLATE_CANT, rows[i].advice);
	}
	return true;
}

void
put_setting(struct conversation *c, struct span name, enum setting_name which)
{
	const struct setting *s = setting(c, which);
	if (!given(s->value) || says_nothing(c, s->value, setting_rows[which].idle))
		return;
	put_name(c, name);
	sink_value(c->out, c->in, s->value);
}

/* ---- media ---- */

static char
byte_of(struct conversation *c, uint64_t at)
{
	struct span r = json_run(c->in, at, c->in->bytes);
	return r.len ? *r.at : 0;
}

static bool
stands_at(struct conversation *c, uint64_t at, const char *text)
{
	for (; *text; text++, at++)
		if (byte_of(c, at) != *text)
			return false;
	return true;
}

bool
web_url(struct conversation *c, struct json_value url)
{
	const struct media_type t = {.text = url};
	if (url.kind == JSON_STRING && (media_is(c, &t, SPAN("https:")) || media_is(c, &t, SPAN("http:"))))
		return true;
	return refuse(c, TRANSLATE_INVALID, "It must be an https: URL.");
}

enum { DATA_HEAD_MAX = 256 };

bool
media_url(struct conversation *c, struct json_value url, struct conversation_part *p)
{
	static const char wanted[] = "It must be an https: URL, or a data: URL in base64.";
	p->from = MEDIA_URL;
	p->text = url;
	if (url.kind != JSON_STRING)
		return refuse(c, TRANSLATE_INVALID, wanted);
	const struct media_type t = {.text = url};
	if (media_is(c, &t, SPAN("https:")) || media_is(c, &t, SPAN("http:")))
		return true;
	if (!stands_at(c, url.at + 1, "data:"))
		return refuse(c, TRANSLATE_INVALID, wanted);
	uint64_t colon = url.at + sizeof "data:" - 1, semicolon = 0, comma = colon + 1;
	for (; comma < url.end && comma - colon < DATA_HEAD_MAX && byte_of(c, comma) != ','; comma++)
		if (!semicolon && byte_of(c, comma) == ';')
			semicolon = comma;
	if (!semicolon || byte_of(c, comma) != ',' || !stands_at(c, comma - 7, ";base64"))
		return refuse(c, TRANSLATE_INVALID, wanted);
	p->from = MEDIA_BASE64;
	/* Made to look like strings: what stands between their ends is what counts. */
	p->type = (struct media_type){.text = {colon, semicolon + 1, JSON_STRING}};
	p->text.at = comma;
	return media_type_fine(c, p->type.text);
}

struct media_type
media_known(struct span ours)
{
	return (struct media_type){.text.kind = JSON_MORE, .ours = ours};
}

/* A type without parameters: it stands in data: URLs, and must not end there. */
bool
media_type_fine(struct conversation *c, struct json_value v)
{
	struct json_text_walk w = json_text_walk(v);
	bool slash = false;
	for (struct span part; (part = json_next_text(c->in, &w)).len;)
		for (size_t i = 0; i < part.len; i++) {
			char ch = part.at[i], low = ch | 0x20;
			slash |= ch == '/';
			if (!(low >= 'a' && low <= 'z') && !(ch >= '0' && ch <= '9') && !memchr("/+.-_", ch, 5))
				return refuse(c, TRANSLATE_INVALID, "It must be a media type without parameters, as image/png.");
		}
	return (v.kind == JSON_STRING && slash) || refuse(c, TRANSLATE_INVALID, "It must be a media type, as image/png.");
}

bool
media_is(struct conversation *c, const struct media_type *t, struct span prefix)
{
	if (t->ours.at)
		return t->ours.len >= prefix.len && !memcmp(t->ours.at, prefix.at, prefix.len);
	struct json_text_walk w = json_text_walk(t->text);
	size_t at = 0;
	for (struct span part; at < prefix.len && (part = json_next_text(c->in, &w)).len;)
		for (size_t i = 0; i < part.len && at < prefix.len; i++, at++)
			if ((part.at[i] | 0x20) != (prefix.at[at] | 0x20))
				return false;
	return at == prefix.len;
}
