#include "load.h"

#include "core/text.h"

#include <stdio.h>
#include <stdlib.h>

enum { SMALL = 4096 };

static const char TEXT[] = "Please compare the three proposals below and say which of them keeps its promise "
						   "at the lowest cost. ";

/* What a common SDK sends: a gateway has to read it all. */
static const char SDK_FIELDS[] = "accept: application/json\r\n"
								 "content-type: application/json\r\n"
								 "user-agent: OpenAI/Python 2.8.1\r\n"
								 "x-stainless-lang: python\r\n"
								 "x-stainless-package-version: 2.8.1\r\n"
								 "x-stainless-os: Linux\r\n"
								 "x-stainless-arch: x64\r\n"
								 "x-stainless-runtime: CPython\r\n"
								 "x-stainless-runtime-version: 3.11.2\r\n"
								 "x-stainless-async: false\r\n"
								 "x-stainless-retry-count: 0\r\n"
								 "x-stainless-read-timeout: 600\r\n";

/* Whoever asks in Anthropic's language says what the system is beside the messages, and is told of usage unasked. */
static bool
is_messages(const struct load_options *o)
{
	return strcmp(o->path, "/v1/messages") == 0;
}

static void
body_begin(const struct load_options *o, struct text *t)
{
	text_lit(t, "{\"model\":\"");
	text_str(t, o->model);
	if (is_messages(o))
		text_lit(t, "\",\"system\":\"You are a helpful assistant.\",\"messages\":[");
	else
		text_lit(t, "\",\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"},");
	text_lit(t, "{\"role\":\"user\",\"content\":\"");
}

static void
body_end(const struct load_options *o, struct text *t)
{
	text_lit(t, "\"}],\"temperature\":1.0");
	if (o->max_tokens >= 0) {
		text_lit(t, ",\"max_tokens\":");
		text_u64(t, (uint64_t)o->max_tokens);
	}
	if (o->mode != LOAD_REQUESTS || o->stream)
		text_lit(t, ",\"stream\":true");
	if ((o->mode != LOAD_REQUESTS || o->stream) && !is_messages(o))
		text_lit(t, ",\"stream_options\":{\"include_usage\":true}");
	text_lit(t, "}");
}

static void
body(const struct load_options *o, struct text *t)
{
	char bytes[SMALL];
	struct text end = text_on(bytes, sizeof bytes);
	size_t start = t->len;
	body_begin(o, t);
	body_end(o, &end);
	size_t fixed = t->len - start + end.len;
	for (size_t left = o->body_bytes > fixed ? o->body_bytes - fixed : 1, at = 0; left; left--, at++)
		text_add(t, &TEXT[at % (sizeof TEXT - 1)], 1);
	text_add(t, end.at, end.len);
}

static void
sim_field(const struct load_options *o, struct text *t)
{
	char pace[96] = "";
	if (o->mode == LOAD_STREAMS && o->rate)
		snprintf(pace, sizeof pace, "chunks=100000000,stamp=1,rate=%u,", o->rate);
	else if (o->mode != LOAD_REQUESTS)
		snprintf(pace, sizeof pace, "chunks=100000000,stamp=1,gap_ms=%u,", o->gap_ms);
	if (!pace[0] && !o->sim[0])
		return;
	text_lit(t, "x-sim: ");
	text_str(t, pace);
	text_str(t, o->sim);
	text_lit(t, "\r\n");
}

static void
head(const struct load_options *o, size_t body_len, struct text *t)
{
	text_lit(t, "POST ");
	text_str(t, o->path);
	text_lit(t, " HTTP/1.1\r\nhost: bench.localhost\r\n");
	text_lit(t, SDK_FIELDS);
	for (size_t i = 0; i < o->headers; i++) {
		text_str(t, o->header[i]);
		text_lit(t, "\r\n");
	}
	sim_field(o, t);
	text_lit(t, "content-length: ");
	text_u64(t, body_len);
	text_lit(t, "\r\n\r\n");
}

void
load_build_request(const struct load_options *o, char **ret_bytes, size_t *ret_len)
{
	size_t cap = o->body_bytes + 2 * SMALL;
	char *body_bytes = malloc(cap), *all = malloc(cap + 2 * SMALL);
	if (!body_bytes || !all)
		abort();
	struct text b = text_on(body_bytes, cap), t = text_on(all, cap + 2 * SMALL);
	body(o, &b);
	head(o, b.len, &t);
	text_add(&t, b.at, b.len);
	if (b.cut || t.cut) {
		fputs("lethe-load: the headers are too long\n", stderr);
		exit(2);
	}
	free(body_bytes);
	*ret_bytes = all;
	*ret_len = t.len;
}
