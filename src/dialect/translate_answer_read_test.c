#include "dialect/translate_answer_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

/* ---- what a reader understands ---- */

struct digest {
	char text[READ_DIGEST_MAX];
	size_t len;
	const char *kind; /* of the words that are open */
	char marks[2048]; /* log probabilities */
};

static void __attribute__((format(printf, 2, 3)))
add(struct digest *d, const char *form, ...)
{
	va_list args;
	va_start(args, form);
	d->len += (size_t)vsnprintf(d->text + d->len, sizeof d->text - d->len, form, args);
	va_end(args);
	assert_true(d->len < sizeof d->text);
}

static void
words_end(struct digest *d)
{
	if (d->kind)
		add(d, "> ");
	d->kind = NULL;
}

static void
words(struct digest *d, const char *kind, const json_t *text)
{
	if (!json_is_string(text) || !json_string_length(text))
		return;
	if (!d->kind || strcmp(d->kind, kind) != 0) {
		words_end(d);
		add(d, "%s<", kind);
		d->kind = kind;
	}
	add(d, "%s", json_string_value(text));
}

static void
number(struct digest *d, const char *name, const json_t *n)
{
	if (json_is_integer(n) && json_integer_value(n))
		add(d, "%s=%lld ", name, (long long)json_integer_value(n));
}

static json_t *
at(json_t *v, const char *path)
{
	char copy[128], *save = NULL;
	snprintf(copy, sizeof copy, "%s", path);
	for (char *part = strtok_r(copy, ".", &save); part && v; part = strtok_r(NULL, ".", &save))
		v = *part >= '0' && *part <= '9' ? json_array_get(v, (size_t)atoi(part)) : json_object_get(v, part);
	return v;
}

static const char *
str(json_t *v, const char *path)
{
	const char *s = json_string_value(at(v, path));
	return s ? s : "";
}

/* Arguments as they are written compactly; what is no JSON as it stands. */
static void
call(struct digest *d, const char *head, const char *args)
{
	json_t *v = json_loads(args, 0, NULL);
	char *compact = v ? json_dumps(v, JSON_COMPACT) : NULL;
	words_end(d);
	add(d, "call(%s,%s) ", head, compact ? compact : args);
	free(compact);
	json_decref(v);
}

static void
call_of_object(struct digest *d, const char *sign, const char *id, const char *name, const json_t *args)
{
	char head[256], *text = json_dumps(args, JSON_COMPACT);
	snprintf(head, sizeof head, "%s%s,%s", sign, id, name);
	assert_true(json_is_object(args));
	call(d, head, text);
	free(text);
}

/* Each token with its log probability, and the others that stood beside it. */
static void
mark(struct digest *d, json_t *entry, const char *number, json_t *others)
{
	size_t i, len = strlen(d->marks);
	json_t *other;
	len += (size_t)snprintf(d->marks + len, sizeof d->marks - len, "%s:%g/", str(entry, "token"), json_number_value(at(entry, number)));
	json_array_foreach(others, i, other)
		len += (size_t)snprintf(d->marks + len, sizeof d->marks - len, "%s:%g,", str(other, "token"), json_number_value(at(other, number)));
	assert_true(json_is_number(at(entry, number)) && len < sizeof d->marks);
}

static void
marks(struct digest *d, json_t *list)
{
	size_t i;
	json_t *entry;
	json_array_foreach(list, i, entry) mark(d, entry, "logprob", at(entry, "top_logprobs"));
}

/* ---- chat ---- */

enum { CALLS = 8 };

struct chat_calls {
	char args[CALLS][8192];
	char head[CALLS][256];
	size_t count;
	bool ended;
};

static void
chat_call(struct chat_calls *c, json_t *one, size_t index)
{
	assert_true(index < CALLS);
	if (json_is_string(at(one, "id"))) {
		assert_int_equal(index, c->count++);
		assert_string_equal(str(one, "type"), "function");
		snprintf(c->head[index], sizeof c->head[index], "%s%s,%s", *str(one, "extra_content.google.thought_signature") ? "signed " : "", str(one, "id"),
			str(one, "function.name"));
	}
	assert_true(index < c->count);
	strncat(c->args[index], str(one, "function.arguments"), sizeof c->args[index] - strlen(c->args[index]) - 1);
}

static void
chat_calls_end(struct digest *d, struct chat_calls *c)
{
	c->ended = true;
	words_end(d);
	for (size_t i = 0; i < c->count; i++)
		call(d, c->head[i], c->args[i]);
}

static void
chat_usage(struct digest *d, json_t *usage)
{
	number(d, "in", at(usage, "prompt_tokens"));
	number(d, "cached", at(usage, "prompt_tokens_details.cached_tokens"));
	number(d, "written", at(usage, "prompt_tokens_details.cache_write_tokens"));
	number(d, "out", at(usage, "completion_tokens"));
	number(d, "reasoning", at(usage, "completion_tokens_details.reasoning_tokens"));
	assert_int_equal(json_integer_value(at(usage, "total_tokens")), json_integer_value(at(usage, "prompt_tokens")) + json_integer_value(at(usage, "completion_tokens")));
}

static void
chat_words(struct digest *d, json_t *message)
{
	words(d, "think", at(message, "reasoning_content"));
	words(d, "text", at(message, "content"));
	words(d, "refusal", at(message, "refusal"));
}

static void
chat_event(struct digest *d, struct chat_calls *c, json_t *e, char *finish, size_t cap)
{
	json_t *calls = at(e, "choices.0.delta.tool_calls"), *one;
	size_t i;
	assert_string_equal(str(e, "object"), "chat.completion.chunk");
	assert_string_equal(str(e, "model"), "alias");
	assert_int_equal(strncmp(str(e, "id"), "chatcmpl-", 9), 0);
	assert_true(*finish == 0 || json_array_size(at(e, "choices")) == 0);
	chat_words(d, at(e, "choices.0.delta"));
	marks(d, at(e, "choices.0.logprobs.content"));
	json_array_foreach(calls, i, one) chat_call(c, one, (size_t)json_integer_value(at(one, "index")));
	if (*str(e, "choices.0.finish_reason"))
		snprintf(finish, cap, "%s", str(e, "choices.0.finish_reason"));
	if (json_is_object(at(e, "usage"))) {
		assert_int_equal(json_array_size(at(e, "choices")), 0);
		chat_calls_end(d, c);
		add(d, "%s ", finish);
		chat_usage(d, at(e, "usage"));
	}
}

static void
chat_document(struct digest *d, json_t *e)
{
	struct chat_calls c = {0};
	json_t *calls = at(e, "choices.0.message.tool_calls"), *one;
	size_t i;
	assert_string_equal(str(e, "object"), "chat.completion");
	chat_words(d, at(e, "choices.0.message"));
	marks(d, at(e, "choices.0.logprobs.content"));
	json_array_foreach(calls, i, one) chat_call(&c, one, i);
	chat_calls_end(d, &c);
	add(d, "%s ", str(e, "choices.0.finish_reason"));
	chat_usage(d, at(e, "usage"));
}

/* ---- messages ---- */

static void
messages_end(struct digest *d, json_t *stop, json_t *usage)
{
	words_end(d);
	add(d, "%s ", str(stop, "stop_reason"));
	if (*str(stop, "stop_details.explanation"))
		add(d, "(%s) ", str(stop, "stop_details.explanation"));
	json_int_t cached = json_integer_value(at(usage, "cache_read_input_tokens")), written = json_integer_value(at(usage, "cache_creation_input_tokens"));
	add(d, "in=%lld ", (long long)(json_integer_value(at(usage, "input_tokens")) + cached + written));
	number(d, "cached", at(usage, "cache_read_input_tokens"));
	number(d, "written", at(usage, "cache_creation_input_tokens"));
	number(d, "out", at(usage, "output_tokens"));
	number(d, "reasoning", at(usage, "output_tokens_details.thinking_tokens"));
}

static void
messages_signature(struct digest *d, json_t *signature)
{
	words_end(d);
	if (*json_string_value(signature) && strcmp(json_string_value(signature), READ_UNSIGNED) != 0)
		add(d, "signature(%s) ", json_string_value(signature));
}

struct messages_state {
	int open, next;
	char call[8192], head[256], type[32];
};

static void
messages_event(struct digest *d, struct messages_state *m, json_t *e)
{
	const char *type = str(e, "type"), *block = str(e, "content_block.type");
	if (!strcmp(type, "content_block_start")) {
		assert_false(m->open);
		assert_int_equal(json_integer_value(at(e, "index")), m->next);
		m->open = 1;
		m->call[0] = 0;
		snprintf(m->type, sizeof m->type, "%s", block);
		snprintf(m->head, sizeof m->head, "%s,%s", str(e, "content_block.id"), str(e, "content_block.name"));
	} else if (!strcmp(type, "content_block_delta")) {
		assert_true(m->open && json_integer_value(at(e, "index")) == m->next);
		words(d, "text", at(e, "delta.text"));
		words(d, "think", at(e, "delta.thinking"));
		strncat(m->call, str(e, "delta.partial_json"), sizeof m->call - strlen(m->call) - 1);
		if (!strcmp(str(e, "delta.type"), "signature_delta"))
			messages_signature(d, at(e, "delta.signature"));
	} else if (!strcmp(type, "content_block_stop")) {
		assert_true(m->open && json_integer_value(at(e, "index")) == m->next);
		m->open = 0;
		m->next++;
		if (!strcmp(m->type, "tool_use"))
			call(d, m->head, *m->call ? m->call : "{}");
	} else if (!strcmp(type, "message_delta")) {
		assert_false(m->open);
		messages_end(d, at(e, "delta"), at(e, "usage"));
	} else
		assert_true(!strcmp(type, "message_start") || !strcmp(type, "message_stop"));
}

static void
messages_document(struct digest *d, json_t *e)
{
	json_t *block, *content = at(e, "content");
	size_t i;
	assert_string_equal(str(e, "type"), "message");
	json_array_foreach(content, i, block)
	{
		words(d, "text", at(block, "text"));
		words(d, "think", at(block, "thinking"));
		if (at(block, "signature"))
			messages_signature(d, at(block, "signature"));
		if (!strcmp(str(block, "type"), "tool_use")) {
			call_of_object(d, "", str(block, "id"), str(block, "name"), at(block, "input"));
		}
	}
	messages_end(d, e, at(e, "usage"));
}

/* ---- Gemini ---- */

static void
gemini_answer(struct digest *d, json_t *e)
{
	json_t *parts = at(e, "candidates.0.content.parts"), *part, *u = at(e, "usageMetadata");
	size_t i;
	assert_string_equal(str(e, "modelVersion"), "alias");
	json_array_foreach(parts, i, part)
	{
		words(d, json_is_true(at(part, "thought")) ? "think" : "text", at(part, "text"));
		if (at(part, "functionCall"))
			call_of_object(d, *str(part, "thoughtSignature") ? "signed " : "", str(part, "functionCall.id"), str(part, "functionCall.name"), at(part, "functionCall.args"));
	}
	json_t *chosen = at(e, "candidates.0.logprobsResult.chosenCandidates"), *tops = at(e, "candidates.0.logprobsResult.topCandidates"), *one;
	json_array_foreach(chosen, i, one) mark(d, one, "logProbability", at(json_array_get(tops, i), "candidates"));
	if (!*str(e, "candidates.0.finishReason"))
		return;
	words_end(d);
	add(d, "%s ", str(e, "candidates.0.finishReason"));
	if (*str(e, "candidates.0.finishMessage"))
		add(d, "(%s) ", str(e, "candidates.0.finishMessage"));
	number(d, "in", at(u, "promptTokenCount"));
	number(d, "cached", at(u, "cachedContentTokenCount"));
	json_int_t thought = json_integer_value(at(u, "thoughtsTokenCount"));
	add(d, "out=%lld ", (long long)(json_integer_value(at(u, "candidatesTokenCount")) + thought));
	number(d, "reasoning", at(u, "thoughtsTokenCount"));
}

/* ---- Responses ---- */

static void
responses_document(struct digest *d, json_t *e)
{
	json_t *item, *part, *output = at(e, "output"), *u = at(e, "usage");
	size_t i, k;
	assert_string_equal(str(e, "object"), "response");
	json_array_foreach(output, i, item)
	{
		json_array_foreach(at(item, "summary"), k, part) words(d, "think", at(part, "text"));
		json_array_foreach(at(item, "content"), k, part)
		{
			words(d, "text", at(part, "text"));
			words(d, "refusal", at(part, "refusal"));
			marks(d, at(part, "logprobs"));
		}
		if (!strcmp(str(item, "type"), "function_call")) {
			char head[256];
			snprintf(head, sizeof head, "%s,%s", str(item, "call_id"), str(item, "name"));
			call(d, head, str(item, "arguments"));
		}
	}
	words_end(d);
	add(d, "%s ", *str(e, "incomplete_details.reason") ? str(e, "incomplete_details.reason") : str(e, "status"));
	number(d, "in", at(u, "input_tokens"));
	number(d, "cached", at(u, "input_tokens_details.cached_tokens"));
	number(d, "written", at(u, "input_tokens_details.cache_write_tokens"));
	number(d, "out", at(u, "output_tokens"));
	number(d, "reasoning", at(u, "output_tokens_details.reasoning_tokens"));
}

struct responses_state {
	int sequence, item;
	bool open;
	char text[READ_DIGEST_MAX];
};

static void
responses_event(struct digest *d, struct responses_state *r, json_t *e)
{
	const char *type = str(e, "type"), *delta = json_string_value(at(e, "delta"));
	assert_int_equal(json_integer_value(at(e, "sequence_number")), r->sequence++);
	if (at(e, "output_index"))
		assert_int_equal(json_integer_value(at(e, "output_index")), r->item);
	if (!strcmp(type, "response.output_item.added")) {
		assert_false(r->open);
		r->open = true;
		r->text[0] = 0;
	} else if (delta)
		strncat(r->text, delta, sizeof r->text - strlen(r->text) - 1);
	else if (strstr(type, "_text.done") || strstr(type, "arguments.done") || strstr(type, "refusal.done")) {
		const char *done = json_string_value(at(e, "text") ? at(e, "text") : at(e, "arguments") ? at(e, "arguments")
																								: at(e, "refusal"));
		assert_string_equal(done, *r->text ? r->text : "{}");
	} else if (!strcmp(type, "response.output_item.done")) {
		assert_true(r->open && *str(e, "item.id"));
		r->open = false;
		r->item++;
	} else if (!strcmp(type, "response.completed") || !strcmp(type, "response.incomplete")) {
		assert_false(r->open);
		responses_document(d, at(e, "response"));
	}
}

/* ---- a stream's events ---- */

struct reading {
	struct digest d;
	struct chat_calls calls;
	struct messages_state messages;
	struct responses_state responses;
	char finish[32];
	bool done; /* the end mark came, and nothing behind it */
};

static void
read_event(struct reading *r, enum read_language of, const char *name, const char *data)
{
	assert_false(r->done);
	if (of == READ_CHAT && !strcmp(data, "[DONE]")) {
		if (!r->calls.ended) { /* the provider told no usage */
			chat_calls_end(&r->d, &r->calls);
			add(&r->d, "%s ", r->finish);
		}
		r->done = true;
		return;
	}
	json_error_t error;
	json_t *e = json_loads(data, JSON_REJECT_DUPLICATES, &error);
	if (!e)
		fail_msg("not JSON: %s: %s", error.text, data);
	if (of == READ_MESSAGES || of == READ_RESPONSES)
		assert_string_equal(name, str(e, "type"));
	else
		assert_string_equal(name, "");
	if (of == READ_CHAT)
		chat_event(&r->d, &r->calls, e, r->finish, sizeof r->finish);
	else if (of == READ_MESSAGES)
		messages_event(&r->d, &r->messages, e);
	else if (of == READ_GEMINI)
		gemini_answer(&r->d, e);
	else
		responses_event(&r->d, &r->responses, e);
	r->done |= !strcmp(str(e, "type"), "message_stop") || !strcmp(str(e, "type"), "response.completed") || !strcmp(str(e, "type"), "response.incomplete") ||
		(of == READ_GEMINI && *str(e, "candidates.0.finishReason"));
	json_decref(e);
}

/* Lines as each language ends them, and an empty one behind each event. */
static void
read_stream(struct reading *r, enum read_language of, char *out)
{
	const char *eol = of == READ_GEMINI ? "\r\n" : "\n";
	char name[64] = "";
	for (char *line = out, *end; *line; line = end + strlen(eol)) {
		end = strstr(line, eol);
		assert_non_null(end);
		*end = 0;
		if (!strncmp(line, "event: ", 7))
			snprintf(name, sizeof name, "%s", line + 7);
		else if (!strncmp(line, "data: ", 6)) {
			read_event(r, of, name, line + 6);
			name[0] = 0;
			assert_int_equal(strncmp(end + strlen(eol), eol, strlen(eol)), 0);
		} else
			assert_int_equal(*line, 0);
	}
}

static void
read_document(struct reading *r, enum read_language of, const char *out)
{
	json_error_t error;
	json_t *e = json_loads(out, JSON_REJECT_DUPLICATES, &error);
	if (!e)
		fail_msg("not JSON: %s: %s", error.text, out);
	if (of == READ_CHAT)
		chat_document(&r->d, e);
	else if (of == READ_MESSAGES)
		messages_document(&r->d, e);
	else if (of == READ_GEMINI)
		gemini_answer(&r->d, e);
	else
		responses_document(&r->d, e);
	r->done = true;
	json_decref(e);
}

void
read_answer(enum read_language of, bool streamed, char *answer, char *ret_digest, size_t cap)
{
	struct reading *r = calloc(1, sizeof *r);
	if (streamed)
		read_stream(r, of, answer);
	else
		read_document(r, of, answer);
	words_end(&r->d);
	if (r->d.marks[0])
		add(&r->d, "logprobs(%s) ", r->d.marks);
	assert_true(r->done && r->d.len < cap);
	memcpy(ret_digest, r->d.text, r->d.len + 1);
	free(r);
}

size_t
read_array(const char *answer, char *ret_digest, size_t cap)
{
	struct digest d = {0};
	json_t *all = json_loads(answer, 0, NULL), *one;
	size_t i, count = json_array_size(all);
	assert_true(json_is_array(all));
	json_array_foreach(all, i, one) gemini_answer(&d, one);
	words_end(&d);
	snprintf(ret_digest, cap, "%s", d.text);
	json_decref(all);
	return count;
}
