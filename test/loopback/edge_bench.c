/*
 * What an exchange costs the edge in its own instructions: the whole pipeline over socket pairs, without a network, a provider or another process. By
 * the clock it says nanoseconds, kernel included; under callgrind, with --toggle-collect=loop_turn, the
 * edge's instructions alone.
 */
#include "loopback/rig.h"

#include "core/text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { WARM_UP = 200,
	STREAMS = 24,
	BODY_MAX = 64 << 10 };

static struct rig r;
static char request[BODY_MAX + 4096], answer[BODY_MAX + 4096], room[RIG_OUT_MAX];

/* What a common SDK sends. */
static const char sdk[] = "host: bench.localhost\r\naccept: application/json\r\ncontent-type: application/json\r\nuser-agent: OpenAI/Python 2.8.1\r\n"
						  "x-stainless-lang: python\r\nx-stainless-package-version: 2.8.1\r\nx-stainless-os: Linux\r\nx-stainless-arch: x64\r\n"
						  "x-stainless-runtime: CPython\r\nx-stainless-runtime-version: 3.11.2\r\nx-stainless-async: false\r\n"
						  "x-stainless-retry-count: 0\r\nx-stainless-read-timeout: 600\r\n";

static void
add_filler(struct text *t, size_t until)
{
	static const char words[] = "Please compare the three proposals below and say which of them keeps its promise at the lowest cost. ";
	for (size_t i = 0; t->len < until; i++)
		text_add(t, &words[i % (sizeof words - 1)], 1);
}

static size_t
build_request(size_t bytes, bool stream)
{
	static char body[BODY_MAX];
	struct text b = text_on(body, sizeof body), t = text_on(request, sizeof request);
	text_lit(&b, "{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"},{\"role\":\"user\",\"content\":\"");
	add_filler(&b, bytes - 100);
	text_lit(&b, "\"}],\"temperature\":1.0,\"max_tokens\":256");
	if (stream)
		text_lit(&b, ",\"stream\":true");
	text_lit(&b, "}");
	text_lit(&t, "POST /v1/chat/completions HTTP/1.1\r\n");
	text_lit(&t, sdk);
	text_lit(&t, "authorization: Bearer ");
	text_str(&t, r.key);
	text_lit(&t, "\r\ncontent-length: ");
	text_u64(&t, b.len);
	text_lit(&t, "\r\n\r\n");
	text_add(&t, b.at, b.len);
	assert(!t.cut && !b.cut);
	return t.len;
}

static size_t
build_answer(size_t bytes)
{
	static char body[BODY_MAX];
	struct text b = text_on(body, sizeof body), t = text_on(answer, sizeof answer);
	text_lit(&b, "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":"
				 "{\"role\":\"assistant\",\"content\":\"");
	add_filler(&b, bytes - 280);
	text_lit(&b, "\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":210,\"completion_tokens\":170,"
				 "\"total_tokens\":380,\"prompt_tokens_details\":{\"cached_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0}}}");
	text_lit(&t, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ndate: Thu, 26 Nov 2026 06:00:00 GMT\r\nx-request-id: req_0123456789abcdef\r\n"
				 "openai-organization: org-1\r\nopenai-processing-ms: 12\r\nopenai-version: 2020-10-01\r\ncontent-length: ");
	text_u64(&t, b.len);
	text_lit(&t, "\r\n\r\n");
	text_add(&t, b.at, b.len);
	assert(!t.cut && !b.cut);
	return t.len;
}

static void
put(int fd, const char *bytes, size_t len)
{
	ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
	assert(n == (ssize_t)len);
}

/* All that has come. */
static size_t
get(int fd)
{
	size_t len = 0;
	for (ssize_t n; (n = recv(fd, room, sizeof room, 0)) > 0;)
		len += (size_t)n;
	return len;
}

static uint64_t
now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Of the edge alone. */
static uint64_t
turn(void)
{
	uint64_t begin = now_ns();
	loop_turn(&r.edge->loop, 0);
	return now_ns() - begin;
}

static uint64_t
ask(int client, size_t len)
{
	uint64_t ns = 0;
	put(client, request, len);
	ns += turn();
	return ns;
}

static void
say(const char *what, uint64_t ns, int units)
{
	printf("%-12s %6.2f µs\n", what, (double)ns / 1000 / units);
}

static void
plain(const char *what, size_t bytes, size_t answer_bytes, int count)
{
	rig_open(&r, "1000000", DURABILITY_BATCHED);
	size_t len = build_request(bytes, false), back = build_answer(answer_bytes);
	int client = rig_client(&r);
	uint64_t ns = 0;
	rig_send(&r, client, request, len);
	int provider = rig_provider(&r, 0);
	for (int i = -WARM_UP; i < count; i++) {
		uint64_t mine = i > -WARM_UP ? ask(client, len) : 0;
		size_t up = get(provider);
		assert(up > bytes);
		put(provider, answer, back);
		mine += turn();
		size_t down = get(client);
		assert(down > answer_bytes);
		ns += i >= 0 ? mine : 0;
		if (i % 32 == 0)
			rig_book(&r);
	}
	say(what, ns, count);
	rig_book(&r);
	rig_check_books(&r);
	rig_close(&r);
}

/* Taken in turn: many together don't fit into a processor's first cache, as they don't where there are thousands. */
static void
stream(const char *what, int streams, int count)
{
	static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
	char event[512], chunk[600];
	rig_open(&r, "1000000", DURABILITY_BATCHED);
	size_t len = build_request(1024, true);
	int client[RIG_DIALS_MAX], provider[RIG_DIALS_MAX];
	for (int i = 0; i < streams; i++) {
		client[i] = rig_client(&r);
		rig_send(&r, client[i], request, len);
		provider[i] = rig_provider(&r, i);
		size_t up = get(provider[i]);
		assert(up > 1024);
		put(provider[i], head, sizeof head - 1);
	}
	int event_len = snprintf(event, sizeof event,
		"data: {\"id\":\"chatcmpl-0123456789abcdefghijklmnopqrs\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"m\","
		"\"service_tier\":\"default\",\"system_fingerprint\":\"fp_0123456789\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" proposals\"},"
		"\"logprobs\":null,\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"0123456789\"}\n\n");
	int chunk_len = snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n", (unsigned)event_len, event);
	uint64_t ns = 0;
	for (int i = -WARM_UP; i < count; i++) {
		int which = (i + WARM_UP) % streams;
		put(provider[which], chunk, (size_t)chunk_len);
		uint64_t mine = turn();
		size_t down = get(client[which]);
		assert(down > 200);
		ns += i >= 0 ? mine : 0;
	}
	say(what, ns, count);
	rig_close(&r);
}

int
main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : "";
	int count = argc > 2 ? atoi(argv[2]) : 20000;
	if (!*only || !strcmp(only, "request_1k"))
		plain("request_1k", 1024, 1024, count);
	if (!*only || !strcmp(only, "request_32k"))
		plain("request_32k", 32 << 10, 1024, count);
	if (!*only || !strcmp(only, "answer_32k"))
		plain("answer_32k", 1024, 32 << 10, count);
	if (!*only || !strcmp(only, "stream"))
		stream("stream", 1, count);
	if (!*only || !strcmp(only, "streams"))
		stream("streams", STREAMS, count);
	return 0;
}
