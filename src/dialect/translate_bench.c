/*
 * What a chunk of a streamed answer costs: read along by the meter alone, as when it passes, and translated beside that; early in an answer and late,
 * as neither may grow with its length. Run: meson test --benchmark translate -v
 */
#include "dialect/meter.h"
#include "dialect/translate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHUNKS = 20000,
	ROOM = 16 << 10 };

static double
now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* the machine may be busy with other things */
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static bool
grow(struct sink *s)
{
	s->len = 0; /* gone to the client */
	return true;
}

static void *
keep(void *owner, size_t bytes)
{
	(void)owner;
	return malloc(bytes);
}

static void
drop(void *owner, void *at, size_t bytes)
{
	(void)owner;
	(void)bytes;
	free(at);
}

static const struct language_row {
	const char *name, *begin, *chunk;
	enum endpoint endpoint;
} rows[LANGUAGE_COUNT] = {
	[LANGUAGE_CHAT] = {"chat", "",
		"data: {\"id\":\"chatcmpl-D8Z5oo6uDh67AD85p73ksdT1KxhE0\",\"object\":\"chat.completion.chunk\",\"created\":1770933892,\"model\":\"gpt-4.1-nano\",\"service_tier\":\"default\","
		"\"system_fingerprint\":\"fp_de604bd877\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" holiday\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"Qup1\"}\n\n",
		ENDPOINT_CHAT_COMPLETIONS},
	[LANGUAGE_RESPONSES] = {"responses",
		"event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\",\"usage\":null}}\n\n",
		"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":7,\"item_id\":\"msg_0a63f40a2632b74300699f8818e5648196a8fa657ae8091421\","
		"\"output_index\":0,\"content_index\":0,\"delta\":\" holiday\",\"logprobs\":[],\"obfuscation\":\"Qup1BsQ3\"}\n\n",
		ENDPOINT_RESPONSES},
	[LANGUAGE_MESSAGES] = {"messages",
		"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"content\":[],\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n"
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" holiday\"}       }\n\n",
		ENDPOINT_MESSAGES},
	[LANGUAGE_GEMINI] = {"gemini", "",
		"data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \" holiday\"}],\"role\": \"model\"},\"index\": 0}],\"usageMetadata\": {\"promptTokenCount\": 9,\"totalTokenCount\": 9,"
		"\"promptTokensDetails\": [{\"modality\": \"TEXT\",\"tokenCount\": 9}]},\"modelVersion\": \"gemini-2.5-flash\",\"responseId\": \"QHiLaa6LBrb8vdIPoNztsAg\"}\r\n\r\n",
		ENDPOINT_STREAM_GENERATE_CONTENT},
};

static double
metered(const struct language_row *row)
{
	static struct meter m;
	struct span spans[METER_SPANS_MAX];
	size_t len = strlen(row->chunk), count, done = 0;
	meter_init(&m, row->endpoint, true, false);
	done += meter_feed(&m, row->begin, strlen(row->begin), false, spans, &count);
	double start = now_ns();
	for (int i = 0; i < CHUNKS; i++)
		done += meter_feed(&m, row->chunk, len, false, spans, &count);
	return done ? (now_ns() - start) / CHUNKS : 0;
}

/* ret_late: the last half of the chunks, of an answer twice as long. */
static double
translated(enum language from, enum language to, double *ret_late)
{
	static struct translation t;
	static char room[ROOM];
	struct translate_answer_facts facts = {.from = from, .to = to, .model = SPAN("alias"), .id = SPAN("req1"), .streamed = true, .show_reasoning = true};
	struct sink out = {.grow = grow, .at = room, .cap = sizeof room};
	size_t len = strlen(rows[from].chunk), used;
	enum translate_result r = TRANSLATE_MORE;
	t = (struct translation){.keep = keep, .drop = drop};
	translation_begin(&t, &facts);
	if (*rows[from].begin)
		r = translate_stream(&t, rows[from].begin, strlen(rows[from].begin), false, &out, &used);
	double start = now_ns();
	for (int i = 0; i < CHUNKS && r == TRANSLATE_MORE; i++)
		r = translate_stream(&t, rows[from].chunk, len, false, &out, &used);
	double half = now_ns();
	for (int i = 0; i < CHUNKS && r == TRANSLATE_MORE; i++)
		r = translate_stream(&t, rows[from].chunk, len, false, &out, &used);
	*ret_late = (now_ns() - half) / CHUNKS;
	translation_end(&t);
	return r == TRANSLATE_MORE ? (half - start) / CHUNKS : -1;
}

int
main(void)
{
	printf("%-12s %-12s %10s %12s %12s %8s\n", "provider", "caller", "meter ns", "translate ns", "late ns", "times");
	for (enum language from = LANGUAGE_CHAT; from < LANGUAGE_COUNT; from++)
		for (enum language to = LANGUAGE_CHAT; to < LANGUAGE_COUNT; to++) {
			double late, alone = metered(&rows[from]), with = from == to ? 0 : translated(from, to, &late);
			if (from != to)
				printf("%-12s %-12s %10.0f %12.0f %12.0f %8.2f\n", rows[from].name, rows[to].name, alone, with, late, (alone + with) / alone);
		}
	return 0;
}
