/* Nobody notices when a target fails before the first byte and the next one speaks another language: what goes up, what comes down, and its price. */
#include "loopback/rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static char in[RIG_OUT_MAX], out[RIG_OUT_MAX];

#define MODEL(id, first, second) \
	"  - {id: " id ", context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"9\", output: \"9\"}], targets: [" first ", " second "]}\n"
#define AT_CHAT(rank) "{provider: chat, upstream: at-chat, rank: " rank ", prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}"
#define AT_WORDS(rank) "{provider: words, upstream: at-words, rank: " rank ", prices: [{from: 2020-01-01, input: \"3\", output: \"4\"}]}"
#define AT_GEMINI(rank) "{provider: gemini, upstream: at-gemini, rank: " rank ", prices: [{from: 2020-01-01, input: \"5\", output: \"6\"}]}"
#define AT_ANSWERS(rank) "{provider: answers, upstream: at-answers, rank: " rank ", prices: [{from: 2020-01-01, input: \"7\", output: \"8\"}]}"

static const char catalogue[] =
	"listen: [\"127.0.0.1:0\"]\n"
	"expose_route: true\n"
	"timeouts: {target: 20s}\n"
	"providers:\n"
	"  - {name: chat, url: \"http://127.0.0.1:1/v1\", keys: [{env: RIG_KEY}], inject_usage: true, language: chat}\n"
	"  - {name: words, url: \"http://127.0.0.1:2/v1\", keys: [{env: RIG_KEY}], dialect: anthropic}\n"
	"  - {name: gemini, url: \"http://127.0.0.1:3/v1beta\", keys: [{env: RIG_KEY}], dialect: gemini}\n"
	"  - {name: answers, url: \"http://127.0.0.1:4/v1\", keys: [{env: RIG_KEY}], language: responses, objects: true, store: true}\n"
	"models:\n" MODEL("chat-words", AT_CHAT("1"), AT_WORDS("2")) MODEL("words-chat", AT_WORDS("1"), AT_CHAT("2"))
		MODEL("words-gemini", AT_WORDS("1"), AT_GEMINI("2")) MODEL("gemini-words", AT_GEMINI("1"), AT_WORDS("2"))
			MODEL("chat-gemini", AT_CHAT("1"), AT_GEMINI("2")) MODEL("gemini-chat", AT_GEMINI("1"), AT_CHAT("2"))
				MODEL("chat-answers", AT_CHAT("1"), AT_ANSWERS("2")) MODEL("answers-chat", AT_ANSWERS("1"), AT_CHAT("2"));

enum speaks { CHAT,
	WORDS,
	GEMINI,
	ANSWERS };

#define SAID "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"Hello.\"}]},\"finishReason\":\"STOP\",\"index\":0}]," \
			 "\"usageMetadata\":{\"promptTokenCount\":10,\"candidatesTokenCount\":5,\"totalTokenCount\":15},\"responseId\":\"g\",\"modelVersion\":\"at-gemini\"}"
#define RESPONDED(text, status, usage) "{\"id\":\"resp_1\",\"object\":\"response\",\"created_at\":1,\"status\":\"" status "\",\"model\":\"at-answers\",\"output\":[" text "],\"usage\":" usage "}"
#define MESSAGE "{\"type\":\"message\",\"id\":\"msg_1\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hello.\",\"annotations\":[]}]}"
#define RESPONDED_WHOLE RESPONDED(MESSAGE, "completed", "{\"input_tokens\":10,\"output_tokens\":5,\"total_tokens\":15}")

static const struct target {
	const char *name, *host, *path, *stream_path, *credential, *model; /* where and how it is asked */
	const char *plain, *stream;
	int64_t cost; /* of its 10 tokens of input and 5 of output */
} targets[] = {
	[CHAT] = {
		"chat",
		"host: 127.0.0.1:1\r\n",
		"POST /v1/chat/completions HTTP",
		"POST /v1/chat/completions HTTP",
		"\r\nauthorization: Bearer sk-rig-0",
		"\"model\":\"at-chat\"",
		"{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"at-chat\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
		"\"content\":\"Hello.\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}",
		"data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"at-chat\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
		"\"content\":\"Hello.\"},\"finish_reason\":null}],\"usage\":null}\n\n"
		"data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"at-chat\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],"
		"\"usage\":null}\n\n"
		"data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"at-chat\",\"choices\":[],"
		"\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}\n\ndata: [DONE]\n\n",
		10 * 1000 + 5 * 2000,
	},
	[WORDS] = {
		"words",
		"host: 127.0.0.1:2\r\n",
		"POST /v1/messages HTTP",
		"POST /v1/messages HTTP",
		"\r\nx-api-key: sk-rig-1",
		"\"model\":\"at-words\"",
		"{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"at-words\",\"content\":[{\"type\":\"text\",\"text\":\"Hello.\"}],"
		"\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,\"output_tokens\":5}}",
		"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"at-words\","
		"\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,\"output_tokens\":1}}}\n\n"
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello.\"}}\n\n"
		"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n"
		"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":5}}\n\n"
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
		10 * 3000 + 5 * 4000,
	},
	[GEMINI] = {
		"gemini",
		"host: 127.0.0.1:3\r\n",
		"POST /v1beta/models/at-gemini:generateContent HTTP",
		"POST /v1beta/models/at-gemini:streamGenerateContent?alt=sse HTTP",
		"\r\nx-goog-api-key: sk-rig-2",
		"\"contents\":",
		SAID,
		"data: " SAID "\r\n\r\n",
		10 * 5000 + 5 * 6000,
	},
	[ANSWERS] = {
		"answers",
		"host: 127.0.0.1:4\r\n",
		"POST /v1/responses HTTP",
		"POST /v1/responses HTTP",
		"\r\nauthorization: Bearer sk-rig-3",
		"\"model\":\"at-answers\"",
		RESPONDED_WHOLE,
		"event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":" RESPONDED("", "in_progress", "null") "}\n\n"
																																				 "event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"sequence_number\":1,\"output_index\":0,\"item\":"
																																				 "{\"type\":\"message\",\"id\":\"msg_1\",\"status\":\"in_progress\",\"role\":\"assistant\",\"content\":[]}}\n\n"
																																				 "event: response.content_part.added\ndata: {\"type\":\"response.content_part.added\",\"sequence_number\":2,\"item_id\":\"msg_1\",\"output_index\":0,"
																																				 "\"content_index\":0,\"part\":{\"type\":\"output_text\",\"text\":\"\",\"annotations\":[]}}\n\n"
																																				 "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":3,\"item_id\":\"msg_1\",\"output_index\":0,"
																																				 "\"content_index\":0,\"delta\":\"Hello.\"}\n\n"
																																				 "event: response.output_text.done\ndata: {\"type\":\"response.output_text.done\",\"sequence_number\":4,\"item_id\":\"msg_1\",\"output_index\":0,"
																																				 "\"content_index\":0,\"text\":\"Hello.\"}\n\n"
																																				 "event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"sequence_number\":5,\"output_index\":0,\"item\":" MESSAGE "}\n\n"
																																				 "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":6,\"response\":" RESPONDED_WHOLE "}\n\n",
		10 * 7000 + 5 * 8000,
	},
};

/* Who asks: how, and what an answer of its language has in it. */
static const struct caller {
	const char *path, *version, *fields, *plain, *stream, *stream_end;
} callers[] = {
	[CHAT] = {"/v1/chat/completions", "", "", "\"chat.completion\"", "\"chat.completion.chunk\"", "data: [DONE]"},
	[WORDS] = {"/v1/messages", "anthropic-version: 2023-06-01\r\n", "", "\"type\":\"message\"", "event: message_start", "event: message_stop"},
	[ANSWERS] = {"/v1/responses", "", "", "\"response\"", "event: response.created", "event: response.completed"},
};

static const struct way {
	const char *model;
	enum speaks first, second;
} ways[] = {
	{"chat-words", CHAT, WORDS},
	{"words-chat", WORDS, CHAT},
	{"words-gemini", WORDS, GEMINI},
	{"gemini-words", GEMINI, WORDS},
	{"chat-gemini", CHAT, GEMINI},
	{"gemini-chat", GEMINI, CHAT},
};
static const struct way within_openai[] = {
	{"chat-answers", CHAT, ANSWERS},
	{"answers-chat", ANSWERS, CHAT},
};

static const struct fault {
	const char *name, *text; /* what it says first; NULL: it can't be reached */
	bool stalls, goes_on; /* … and then nothing; … and keeps the connection. Else it cuts it */
} faults[] = {
	{"refuses", NULL, false, false},
	{"503", "HTTP/1.1 503 Busy\r\ncontent-type: application/json\r\ncontent-length: 32\r\n\r\n{\"error\":{\"message\":\"too much\"}}", false, true},
	{"hangs", "", true, false},
	{"cut before its head", "", false, false},
	{"cut in its head", "HTTP/1.1 200 OK\r\ncontent-ty", false, false},
};

static int
begin(void **state)
{
	rig_open_with(&r, catalogue, "1.00", DURABILITY_BATCHED);
	return 0;
}

static int
end(void **state)
{
	rig_check_books(&r);
	rig_close(&r);
	return 0;
}

static int
send_from(enum speaks caller, const char *headers, const char *body)
{
	const struct caller *of = &callers[caller];
	int fd = rig_client(&r);
	rig_send(&r, fd, in, (size_t)sprintf(in, "POST %s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-type: application/json\r\n%s%scontent-length: %zu\r\n\r\n%s", of->path, r.key, of->version, headers, strlen(body), body));
	return fd;
}

static void
body_of(char *to, enum speaks caller, const char *model, bool stream, const char *more)
{
	if (caller == ANSWERS) {
		sprintf(to, "{\"model\":\"%s\",%s\"max_output_tokens\":99,%s\"input\":[{\"role\":\"user\",\"content\":\"caf\\u00e9  \"}]}", model, stream ? "\"stream\":true," : "", more);
		return;
	}
	sprintf(to, "{\"model\":\"%s\",%s\"max_tokens\":99,%s\"messages\":[{\"role\":\"user\",\"content\":\"caf\\u00e9  \"}]}", model, stream ? "\"stream\":true," : "", more);
}

static void
wants(bool is, const char *has, const char *what)
{
	if ((strstr(out, has) != NULL) != is)
		fail_msg("%s: %s %s, got: %s", what, is ? "wanted" : "did not want", has, out);
}

/* The n-th connection is this target's, and it is asked in its own words, as if it were the only one. */
static int
asked(int n, enum speaks caller, enum speaks at, bool stream)
{
	char own[512];
	const struct target *t = &targets[at];
	bool eof;
	int fd = rig_provider(&r, n);
	assert_true(fd >= 0);
	rig_read(&r, fd, out, &eof);
	wants(true, stream ? t->stream_path : t->path, t->name);
	wants(true, t->host, t->name);
	wants(true, t->model, t->name);
	for (unsigned i = 0; i < ARRAY_LEN(targets); i++) /* nobody's key goes to somebody else */
		wants(i == at, targets[i].credential, t->name);
	wants(at == WORDS, "anthropic-version: ", t->name);
	wants(at == CHAT && stream, "\"include_usage\":true", t->name);
	body_of(own, caller, at == CHAT ? "at-chat" : at == WORDS ? "at-words"
															  : "at-answers",
		stream, "");
	if (at == caller && !(at == CHAT && stream)) /* byte by byte but for the model's name */
		wants(true, own, t->name);
	wants(true, "\"caf\\u00e9  \"", t->name);
	const char *length = strstr(out, "content-length: "), *body = strstr(out, "\r\n\r\n");
	assert_int_equal(strtoul(length + 16, NULL, 10), strlen(body + 4));
	return fd;
}

static void
answer(int fd, enum speaks at, bool stream)
{
	const char *body = stream ? targets[at].stream : targets[at].plain;
	rig_send(&r, fd, in, (size_t)sprintf(in, "HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %zu\r\n\r\n%s", stream ? "text/event-stream" : "application/json", strlen(body), body));
}

static void
told(int c, enum speaks caller, enum speaks by, bool stream)
{
	const struct caller *of = &callers[caller];
	char name[64];
	bool eof;
	rig_read(&r, c, out, &eof);
	wants(true, "HTTP/1.1 200 ", "answer");
	sprintf(name, "lethe-provider: %s\r\n", targets[by].name);
	wants(true, name, "answer");
	wants(true, "Hello.", "answer");
	wants(true, stream ? of->stream : of->plain, "answer");
	wants(stream, of->stream_end, "answer");
	wants(false, "too much", "answer");
	if (caller == CHAT)
		wants(!stream, "\"prompt_tokens\":10", "answer"); /* it did not ask for that event */
}

static void
fail_so(const struct fault *f, int fd)
{
	rig_send(&r, fd, f->text, strlen(f->text));
	if (f->stalls)
		rig_pass(&r, 61000);
	else if (!f->goes_on)
		shutdown(fd, SHUT_RDWR);
	rig_turn(&r);
}

/* What was made for whoever was asked is given back, and not twice: there is room for all that there is room for, and for no more. */
static void
nothing_is_held(void)
{
	enum { CONTENT = 8 << 20 };
	assert_true(vault_admit(r.edge->vault, CONTENT));
	assert_false(vault_admit(r.edge->vault, 1));
	vault_release(r.edge->vault, CONTENT);
}

static void
one_way(enum speaks caller, const struct way *w, const struct fault *f, bool stream)
{
	char body[512];
	rig_open_with(&r, catalogue, "1.00", DURABILITY_BATCHED);
	r.refuse = f->text ? 0 : 1u << w->first;
	body_of(body, caller, w->model, stream, "");
	int c = send_from(caller, "", body), n = 0;
	if (f->text)
		fail_so(f, asked(n++, caller, w->first, stream));
	answer(asked(n++, caller, w->second, stream), w->second, stream);
	told(c, caller, w->second, stream);
	assert_int_equal(r.dials, n);
	rig_book(&r);
	assert_int_equal(1000000000 - rig_balance(&r), targets[w->second].cost);
	assert_int_equal(atomic_load(&r.counters.upstream_failovers), 1);
	close(c);
	rig_turn(&r);
	nothing_is_held();
	rig_check_books(&r);
	rig_close(&r);
}

static void
who_fails_is_followed_by_one_of_another_language(void **state)
{
	for (unsigned caller = CHAT; caller <= WORDS; caller++)
		for (size_t w = 0; w < ARRAY_LEN(ways); w++)
			for (size_t f = 0; f < ARRAY_LEN(faults); f++)
				for (int stream = 0; stream < 2; stream++)
					one_way(caller, &ways[w], &faults[f], stream);
}

/* Two providers of one dialect: the one has chat completions alone, the other responses, which it keeps for who asks for them. */
static void
who_fails_is_followed_by_one_of_openais_other_language(void **state)
{
	static const enum speaks who[] = {CHAT, WORDS, ANSWERS};
	for (size_t caller = 0; caller < ARRAY_LEN(who); caller++)
		for (size_t w = 0; w < ARRAY_LEN(within_openai); w++)
			for (int stream = 0; stream < 2; stream++)
				one_way(who[caller], &within_openai[w], &faults[1], stream);
}

/* What the first can't be told the second is asked, and nobody is told that anything was wrong. */
static void
what_one_cant_be_told_another_is_asked(void **state)
{
	char body[512];
	for (int lenient = 0; lenient < 2; lenient++) {
		body_of(body, CHAT, "words-chat", false, "\"logit_bias\":{\"5\":1},");
		int c = send_from(CHAT, lenient ? "lethe-translate: lenient\r\n" : "", body), p = rig_provider(&r, lenient);
		enum speaks by = lenient ? WORDS : CHAT; /* who may leave it out goes to the first */
		bool eof;
		assert_true(p >= 0);
		rig_read(&r, p, out, &eof);
		wants(true, targets[by].path, "request");
		wants(!lenient, "\"logit_bias\":{\"5\":1}", "request");
		answer(p, by, false);
		told(c, CHAT, by, false);
		wants(lenient, "lethe-dropped: logit_bias\r\n", "answer");
		close(c);
		rig_turn(&r);
	}
	rig_book(&r);
	assert_int_equal(1000000000 - rig_balance(&r), targets[CHAT].cost + targets[WORDS].cost);
	assert_int_equal(atomic_load(&r.counters.upstream_failovers), 0);
	nothing_is_held();
}

/* … and when that one fails there is nobody left: it may be sent again. */
static void
the_only_one_that_takes_it_fails(void **state)
{
	char body[512];
	bool eof;
	body_of(body, CHAT, "words-chat", false, "\"logit_bias\":{\"5\":1},");
	int c = send_from(CHAT, "", body);
	shutdown(rig_provider(&r, 0), SHUT_RDWR);
	rig_turn(&r);
	rig_read(&r, c, out, &eof);
	wants(true, "HTTP/1.1 502 ", "answer");
	assert_int_equal(r.dials, 1);
	close(c);
	rig_book(&r);
	assert_int_equal(rig_balance(&r), 1000000000);
}

static void
what_nobody_can_be_told_is_refused(void **state)
{
	char body[512];
	bool eof;
	body_of(body, CHAT, "words-gemini", false, "\"logit_bias\":{\"5\":1},");
	int c = send_from(CHAT, "", body);
	rig_read(&r, c, out, &eof);
	wants(true, "HTTP/1.1 400 ", "answer");
	wants(true, "\"param\":\"logit_bias\"", "answer");
	assert_int_equal(r.dials, 0);
	close(c);
	rig_turn(&r);
	rig_book(&r);
	assert_int_equal(rig_balance(&r), 1000000000);
	nothing_is_held();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_fails_is_followed_by_one_of_another_language),
		cmocka_unit_test(who_fails_is_followed_by_one_of_openais_other_language),
		cmocka_unit_test_setup_teardown(what_one_cant_be_told_another_is_asked, begin, end),
		cmocka_unit_test_setup_teardown(the_only_one_that_takes_it_fails, begin, end),
		cmocka_unit_test_setup_teardown(what_nobody_can_be_told_is_refused, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
