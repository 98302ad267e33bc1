/*
 * What decoders and encoders of requests are helped with (conversation.h): where in the body they are, refusals, common readings and writings. Owns
 * nothing.
 */
#ifndef DIALECT_CONVERSATION_PRIV_H
#define DIALECT_CONVERSATION_PRIV_H

#include "dialect/conversation.h"

/* ---- for decoders ---- */

void at_name(struct conversation *c, const char *name);
void at_key(struct conversation *c, struct json_value key);
void at_index(struct conversation *c, uint32_t index);
void leave(struct conversation *c);
/* All return false. */
bool refuse(struct conversation *c, enum translate_refusal why, const char *advice);
bool refuse_at(struct conversation *c, const char *name, enum translate_refusal why, const char *advice);
/* A setting's whole path. */
bool refuse_path(struct conversation *c, const char *in, const char *name, enum translate_refusal why, const char *advice);
/* By the way of a field. name: of ours. False: it is refused. */
must_check bool leave_out(struct conversation *c, const char *name, enum field_way way, const char *advice);
void note_left_out(struct conversation *c, const char *name);

/*
 * The members of an object by a table: ret[i] for each row (JSON_MORE: absent or null); settings go where they belong, `in` in front of their names. Unknown
 * fields are refused.
 */
must_check bool fields_read(
	struct conversation *c, struct json_value object, const struct field *fields, uint32_t count, struct json_value *ret, const char *in);
bool says_nothing(struct conversation *c, struct json_value v, enum idle idle);
static inline bool
given(struct json_value v)
{
	return v.kind != JSON_MORE;
}
bool is_empty(struct json_value v);
/* The text of a list of one text part, else the list as it is. */
struct json_value only_text_of(struct conversation *c, struct json_value list);
#define reads(c, v, literal) json_reads((c)->in, (v), SPAN(literal))

must_check bool tell(struct conversation *c, const struct conversation_part *p);
must_check bool tell_tool(struct conversation *c, const struct conversation_tool *t);
must_check bool tell_system(struct conversation *c, const struct conversation_part *p);
/* A level by its word, OpenAI's or Gemini's. */
enum level level_named(struct conversation *c, struct json_value word);
enum level level_of_tokens(uint64_t tokens);
/* A whole number, at most UINT32_MAX; false when it isn't. */
must_check bool number_whole(struct conversation *c, struct json_value v, uint64_t *ret);
double number_about(struct conversation *c, struct json_value v);
/* "data:image/png;base64,…" into type and base64, "https://…" as it stands; else it is refused. */
must_check bool media_url(struct conversation *c, struct json_value url, struct conversation_part *p);
must_check bool media_type_fine(struct conversation *c, struct json_value v);
must_check bool web_url(struct conversation *c, struct json_value url);
struct media_type media_known(struct span ours);
bool media_is(struct conversation *c, const struct media_type *t, struct span prefix);
/* Which call a result without an id answers: the first of p->name that has none yet. Sets p->id or p->order. */
must_check bool call_by_name(struct conversation *c, struct conversation_part *p);

/* ---- for encoders ---- */

/* A comma, between the elements of the list of turns. */
void next_item(struct conversation *c);
/* Where neighbours of one role become one turn, which is opened by its first part: empty ones are refused by providers. */
struct merged_form {
	struct span user, assistant; /* up to the list of parts */
};
void merge_turn(struct conversation *c, enum side side);
void begin_merged_part(struct conversation *c, const struct merged_form *form);
void close_merged_turn(struct conversation *c);

/* Left out when lenient, else refused with its whole path. */
must_check bool leave_out_setting(struct conversation *c, const char *path, const char *advice);
must_check bool refuse_unsaid(struct conversation *c, const struct unsaid *rows, uint32_t count);
static inline const struct setting *
setting(const struct conversation *c, enum setting_name name)
{
	return &c->settings.scalars[name];
}
/* The setting as a member, when it is given and says something. */
void put_setting(struct conversation *c, struct span name, enum setting_name which);
/* `"name":` with a comma in front where one belongs. */
void put_name(struct conversation *c, struct span name);
void put_u32_member(struct conversation *c, struct span name, uint32_t v);
void put_word_member(struct conversation *c, struct span name, struct span word);
/* The bound on the output: what was wished, else the caller's. False: neither. */
bool put_cap(struct conversation *c, struct span name);
const struct setting *cap_said(const struct conversation *c);
uint64_t cap_known(struct conversation *c); /* UINT64_MAX: none */
void put_stop_list(struct conversation *c, struct span name);
uint32_t count_elements(struct conversation *c, struct json_value list);
/* A JSON string of the value's text: strings as they stand, all else as JSON in a string. inside: without the quotes around it. */
void put_text(struct conversation *c, struct json_value v);
void put_inside(struct conversation *c, struct json_value v);
/* A call's arguments as an object. A string is checked to be one; "" is {}. False: refused. */
must_check bool put_object(struct conversation *c, struct json_value v);
/* A call's arguments as a string. */
void put_object_text(struct conversation *c, struct json_value v);
bool is_object_text(struct conversation *c, struct json_value v);
void put_media_type(struct conversation *c, const struct media_type *t);
/* Base64 as a data: URL, a URL as it stands. */
void put_data_url(struct conversation *c, const struct conversation_part *p);
void put_schema(struct conversation *c, struct json_value schema, enum schema_kind kind);
/* An id between quotes: of at most `most` bytes, and of letters, digits, _ and - alone when strict; else one that is made from it. */
void put_call_id(struct conversation *c, const struct conversation_part *p, uint32_t most, bool strict);
/* The prefix and a hash of the text, between quotes. */
void put_made_up(struct conversation *c, struct span prefix, struct json_value from);
/* OpenAI's `strict` of the answer's schema, as a further member. */
void put_answer_strict(struct conversation *c);
bool logprobs_wanted(const struct conversation *c);
bool calls_one_by_one(const struct conversation *c);
/* The service tier as a member, in the language's word. False: refused. */
must_check bool put_tier(struct conversation *c, struct span name);
/* The user's id between quotes, hashed when it is longer. */
bool user_said(const struct conversation *c);
void put_user(struct conversation *c, uint32_t most);
uint64_t text_hash(struct conversation *c, struct json_value text);
struct json_value string_at(struct conversation *c, uint64_t at, uint64_t end);
/* Which tool a result's call had. */
must_check bool name_of_call(struct conversation *c, const struct conversation_part *p, struct json_value *ret);
/* May this tool be called, by tool_choice? */
bool tool_allowed(struct conversation *c, struct json_value name);
struct span level_word(enum level level, enum language language);
uint32_t level_tokens(enum level level);
/* The level to tell by, from whatever was said. LEVEL_UNSAID: nothing is to be told. */
must_check bool thinking_level(struct conversation *c, enum level *ret);

#endif
