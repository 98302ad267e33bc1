#include "prove/exchange.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

const struct prove_way prove_ways[] = {
#define X(words, client, provider) {words, CLIENT_##client, PROVIDER_##provider},
	PROVE_WAYS(X)
#undef X
};
const size_t prove_way_count = ARRAY_LEN(prove_ways);
const struct prove_way prove_way_running = {"running", CLIENT_ASKS, PROVIDER_GOES_ON};
const struct prove_way prove_way_waiting = {"waiting", CLIENT_GONE_WAITING, PROVIDER_SILENT};

const struct prove_form prove_forms[PROVE_ENDPOINT_COUNT] = {
#define X(name, words, method, path, how, all) {words, #method, path, ANSWERED_##how == ANSWERED_STREAM || ANSWERED_##how == ANSWERED_LONELY, ANSWERED_##how == ANSWERED_LONELY, ANSWERED_##how == ANSWERED_DUPLEX, ANSWERED_##how == ANSWERED_HEAD, ANSWERED_##how == ANSWERED_HERE, all},
	PROVE_ENDPOINTS(X)
#undef X
};

#define CHAT_USAGE "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9,\"total_tokens\":18}"
#define CHAT_CHUNK "data: {\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"c\","
#define RESPONSE_OF(id, more) "{\"id\":\"" id "\",\"object\":\"response\"," more "\"created_at\":1,\"status\":\"completed\",\"model\":\"r\",\"output\":[{\"id\":\"i\"," \
							  "\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"%s\"," \
							  "\"annotations\":[]}]}],\"usage\":{\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":0},\"output_tokens\":9," \
							  "\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":18}}"
#define RESPONSE RESPONSE_OF("resp_1", "")
/* {number}: of its exchange (number_ids()). */
#define KEPT_ID "resp_prove{number}"
#define KEPT RESPONSE_OF(KEPT_ID, "\"store\":true,")
#define BACKGROUND RESPONSE_OF(KEPT_ID, "\"background\":true,\"store\":true,")
#define MESSAGE_HEAD "\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\","
#define GEMINI_USAGE "\"usageMetadata\":{\"promptTokenCount\":9,\"candidatesTokenCount\":9,\"totalTokenCount\":18},"

/* A marked text stands where %s is. */
struct texts {
	const char *request, *answer, *begin, *piece, *end;
};

/* What is asked, and by which model. */
#define ASK_CHAT(model, more) "{\"model\":\"" model "\"," more "\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}"
#define ASK_RESPONSES(model, more) "{\"model\":\"" model "\"," more "\"input\":\"%s\"}"
#define ASK_MESSAGES(model, more) "{\"model\":\"" model "\",\"max_tokens\":99," more "\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}"
#define ASK_GEMINI "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"%s\"}]}]}"
#define STREAM "\"stream\":true,"
#define STORE "\"store\":true,"
#define IN_BACKGROUND STORE "\"background\":true,"

/* What a provider of each language says: whole; and how a stream begins, goes on and ends. */
#define SAY_CHAT \
	"{\"id\":\"x\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"c\",\"choices\":[{\"index\":0,\"message\":" \
	"{\"role\":\"assistant\",\"content\":\"%s\"},\"finish_reason\":\"stop\"}]," CHAT_USAGE "}", \
		"", CHAT_CHUNK "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"},\"finish_reason\":null}]}\n\n", \
		CHAT_CHUNK "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n" CHAT_CHUNK "\"choices\":[]," CHAT_USAGE \
				   "}\n\ndata: [DONE]\n\n"
#define SAY_RESPONSES \
	RESPONSE, "", \
		"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"i\",\"output_index\":0," \
		"\"content_index\":0,\"delta\":\"%s\"}\n\n", \
		"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":" RESPONSE "}\n\n"
#define SAY_STORED(response, more) \
	response, \
		"event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"" KEPT_ID "\",\"object\":\"response\"," more \
		"\"status\":\"in_progress\",\"model\":\"r\",\"output\":[],\"usage\":null}}\n\n", \
		"event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"item_id\":\"i\",\"output_index\":0," \
		"\"content_index\":0,\"delta\":\"%s\"}\n\n", \
		"event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":2,\"response\":" response "}\n\n"
#define SAY_BATCH \
	"{\"id\":\"batch_prove{number}\",\"object\":\"batch\",\"endpoint\":\"/v1/chat/completions\",\"errors\":null,\"input_file_id\":\"file-prove1\"," \
	"\"completion_window\":\"24h\",\"status\":\"completed\",\"output_file_id\":\"file-prove1\",\"error_file_id\":null,\"created_at\":1," \
	"\"request_counts\":{\"total\":1,\"completed\":1,\"failed\":0},\"usage\":{\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":0}," \
	"\"output_tokens\":9,\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":18},\"metadata\":{\"note\":\"%s\"}}"
#define SAY_MESSAGES_BATCH \
	"{\"id\":\"msgbatch_prove{number}\",\"type\":\"message_batch\",\"processing_status\":\"ended\",\"request_counts\":{\"processing\":0,\"succeeded\":1," \
	"\"errored\":0,\"canceled\":0,\"expired\":0},\"created_at\":\"2026-01-01T00:00:00Z\",\"expires_at\":\"2026-01-02T00:00:00Z\",\"ended_at\":\"2026-01-01T00:01:00Z\"," \
	"\"results_url\":\"http://127.0.0.1/v1/messages/batches/msgbatch_prove{number}/results\",\"note\":\"%s\"}"
#define SAY_MESSAGES \
	"{" MESSAGE_HEAD "\"content\":[{\"type\":\"text\",\"text\":\"%s\"}],\"stop_reason\":\"end_turn\",\"stop_sequence\":null," \
	"\"usage\":{\"input_tokens\":9,\"output_tokens\":9}}", \
		"event: message_start\ndata: {\"type\":\"message_start\",\"message\":{" MESSAGE_HEAD \
		"\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n" \
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n", \
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"%s\"}}\n\n", \
		"event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n" \
		"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\n" \
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
#define SAY_GEMINI \
	"{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"%s\"}]},\"finishReason\":\"STOP\",\"index\":0}]," GEMINI_USAGE \
	"\"modelVersion\":\"g\",\"responseId\":\"r\"}", \
		"", "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"%s\"}]},\"index\":0}],\"modelVersion\":\"g\",\"responseId\":\"r\"}\n\n", \
		"data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"\"}]},\"finishReason\":\"STOP\",\"index\":0}]," GEMINI_USAGE \
		"\"modelVersion\":\"g\",\"responseId\":\"r\"}\n\n"

/* Told apart by who made them: one that is deleted leaves the others in the lists. */
#define SAY_FILE(purpose) "{\"id\":\"file-prove{number}\",\"object\":\"file\",\"bytes\":9,\"created_at\":1,\"filename\":\"%s\",\"purpose\":\"" purpose "\"}"
#define SAY_GEMINI_FILE "{\"name\":\"files/prove{number}\",\"displayName\":\"%s\",\"mimeType\":\"text/plain\",\"sizeBytes\":\"9\",\"state\":\"ACTIVE\"," \
						"\"uri\":\"http://127.0.0.1/v1beta/files/prove{number}\"}"

#define BOUNDARY "proveproveprove"
#define PART(name) "--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"

static const struct texts texts[PROVE_ENDPOINT_COUNT] = {
	[PROVE_CHAT] = {ASK_CHAT("c", ""), SAY_CHAT},
	[PROVE_CHAT_STREAM] = {ASK_CHAT("c", STREAM), SAY_CHAT},
	[PROVE_CHAT_TARGETS] = {ASK_CHAT("t", ""), SAY_CHAT},
	[PROVE_CHAT_RECEIPT] = {ASK_CHAT("c", ""), SAY_CHAT},
	[PROVE_CHAT_RECEIPT_STREAM] = {ASK_CHAT("c", STREAM), SAY_CHAT},
	[PROVE_COMPLETIONS] = {"{\"model\":\"c\",\"prompt\":\"%s\"}",
		"{\"id\":\"x\",\"object\":\"text_completion\",\"created\":1,\"model\":\"c\",\"choices\":[{\"text\":\"%s\",\"index\":0,\"finish_reason\":\"stop\"}]," CHAT_USAGE "}"},
	[PROVE_COMPLETIONS_MESSAGES_STREAM] = {"{\"model\":\"m\"," STREAM "\"prompt\":\"%s\"}", SAY_MESSAGES},
	[PROVE_RESPONSES] = {ASK_RESPONSES("r", ""), SAY_RESPONSES},
	[PROVE_RESPONSES_STREAM] = {ASK_RESPONSES("r", STREAM), SAY_RESPONSES},
	[PROVE_MESSAGES] = {ASK_MESSAGES("m", ""), SAY_MESSAGES},
	[PROVE_MESSAGES_STREAM] = {ASK_MESSAGES("m", STREAM), SAY_MESSAGES},
	[PROVE_GENERATE] = {ASK_GEMINI, SAY_GEMINI},
	[PROVE_GENERATE_STREAM] = {ASK_GEMINI, SAY_GEMINI},
	[PROVE_CHAT_MESSAGES] = {ASK_CHAT("m", ""), SAY_MESSAGES},
	[PROVE_CHAT_MESSAGES_STREAM] = {ASK_CHAT("m", STREAM), SAY_MESSAGES},
	[PROVE_CHAT_GEMINI] = {ASK_CHAT("g", ""), SAY_GEMINI},
	[PROVE_CHAT_GEMINI_STREAM] = {ASK_CHAT("g", STREAM), SAY_GEMINI},
	[PROVE_RESPONSES_MESSAGES] = {ASK_RESPONSES("m", ""), SAY_MESSAGES},
	[PROVE_RESPONSES_MESSAGES_STREAM] = {ASK_RESPONSES("m", STREAM), SAY_MESSAGES},
	[PROVE_RESPONSES_GEMINI] = {ASK_RESPONSES("g", ""), SAY_GEMINI},
	[PROVE_RESPONSES_GEMINI_STREAM] = {ASK_RESPONSES("g", STREAM), SAY_GEMINI},
	[PROVE_MESSAGES_CHAT] = {ASK_MESSAGES("c", ""), SAY_CHAT},
	[PROVE_MESSAGES_CHAT_STREAM] = {ASK_MESSAGES("c", STREAM), SAY_CHAT},
	[PROVE_MESSAGES_GEMINI] = {ASK_MESSAGES("g", ""), SAY_GEMINI},
	[PROVE_MESSAGES_GEMINI_STREAM] = {ASK_MESSAGES("g", STREAM), SAY_GEMINI},
	[PROVE_GENERATE_CHAT] = {ASK_GEMINI, SAY_CHAT},
	[PROVE_GENERATE_CHAT_STREAM] = {ASK_GEMINI, SAY_CHAT},
	[PROVE_GENERATE_MESSAGES] = {ASK_GEMINI, SAY_MESSAGES},
	[PROVE_GENERATE_MESSAGES_STREAM] = {ASK_GEMINI, SAY_MESSAGES},
	[PROVE_EMBEDDINGS] = {"{\"model\":\"c\",\"input\":\"%s\"}",
		"{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":[0.25]}],\"model\":\"%s\",\"usage\":{\"prompt_tokens\":9,\"total_tokens\":9}}"},
	[PROVE_MODERATIONS] = {"{\"model\":\"c\",\"input\":\"%s\"}", "{\"id\":\"modr-1\",\"model\":\"%s\",\"results\":[]}"},
	[PROVE_COUNT] = {"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}", "{\"input_tokens\":9,\"note\":\"%s\"}"},
	[PROVE_COUNT_GEMINI] = {ASK_GEMINI, "{\"totalTokens\":9,\"note\":\"%s\"}"},
	[PROVE_EMBED] = {"{\"content\":{\"parts\":[{\"text\":\"%s\"}]}}", "{\"embedding\":{\"values\":[0.25]},\"note\":\"%s\"}"},
	[PROVE_EMBED_BATCH] = {"{\"requests\":[{\"model\":\"models/g\",\"content\":{\"parts\":[{\"text\":\"%s\"}]}}]}",
		"{\"embeddings\":[{\"values\":[0.25]}],\"note\":\"%s\"}"},
	[PROVE_SPEECH] = {"{\"model\":\"f\",\"voice\":\"alloy\",\"input\":\"%s\"}", "RIFF%s"},
	[PROVE_SPEECH_STREAM] = {"{\"model\":\"c\",\"voice\":\"alloy\",\"stream_format\":\"sse\",\"input\":\"%s\"}",
		"{\"audio\":\"%s\"}", "", "data: {\"type\":\"speech.audio.delta\",\"audio\":\"%s\"}\n\n",
		"data: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":9,\"output_tokens\":9,\"total_tokens\":18}}\n\n"},
	/* Messages of a session: what is asked, what greets, what answers and what ends the answer. */
	[PROVE_REALTIME] = {"{\"type\":\"conversation.item.create\",\"item\":{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"%s\"}]}}",
		"{\"type\":\"error\",\"event_id\":\"event_4\",\"error\":{\"type\":\"server_error\",\"code\":null,\"message\":\"%s\",\"param\":null,\"event_id\":null}}",
		"{\"type\":\"session.created\",\"event_id\":\"event_1\",\"session\":{\"type\":\"realtime\",\"model\":\"c\"}}",
		"{\"type\":\"response.output_text.delta\",\"event_id\":\"event_2\",\"response_id\":\"resp_1\",\"item_id\":\"i\",\"output_index\":0,\"content_index\":0,"
		"\"delta\":\"%s\"}",
		"{\"type\":\"response.done\",\"event_id\":\"event_3\",\"response\":{\"object\":\"realtime.response\",\"id\":\"resp_1\",\"status\":\"completed\",\"output\":[],"
		"\"usage\":{\"total_tokens\":18,\"input_tokens\":9,\"output_tokens\":9,\"input_token_details\":{\"text_tokens\":9,\"audio_tokens\":0,\"cached_tokens\":0},"
		"\"output_token_details\":{\"text_tokens\":9,\"audio_tokens\":0}}}}"},
	[PROVE_TRANSCRIPTIONS] = {PART("file\"; filename=\"a.wav") "RIFF%s\r\n" PART("model") "c\r\n--" BOUNDARY "--",
		"{\"text\":\"%s\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":9,\"output_tokens\":9,\"total_tokens\":18}}"},
	[PROVE_TRANSLATIONS] = {PART("model") "c\r\n" PART("file\"; filename=\"a.wav") "RIFF%s\r\n--" BOUNDARY "--", "{\"text\":\"%s\"}"},
	[PROVE_IMAGES] = {"{\"model\":\"c\",\"prompt\":\"%s\"}",
		"{\"created\":1,\"data\":[{\"b64_json\":\"%s\"}],\"usage\":{\"input_tokens\":9,\"output_tokens\":9,\"total_tokens\":18}}"},
	[PROVE_EDITS] = {PART("model") "c\r\n" PART("image\"; filename=\"a.png") "PNG\r\n" PART("prompt") "%s\r\n--" BOUNDARY "--",
		"{\"created\":1,\"data\":[{\"b64_json\":\"%s\"}],\"usage\":{\"input_tokens\":9,\"output_tokens\":9,\"total_tokens\":18}}"},
	[PROVE_VARIATIONS] = {PART("model") "c\r\n" PART("image\"; filename=\"a.png") "PNG%s\r\n--" BOUNDARY "--", "{\"created\":1,\"data\":[{\"b64_json\":\"%s\"}]}"},
	[PROVE_FILES] = {PART("purpose") "user_data\r\n" PART("file\"; filename=\"a.txt") "%s\r\n--" BOUNDARY "--",
		SAY_FILE("user_data")},
	[PROVE_FILE] = {NULL, SAY_FILE("user_data")},
	[PROVE_FILE_CONTENT] = {NULL, "what was kept: %s"},
	[PROVE_FILE_DELETED] = {NULL, "{\"id\":\"file-prove{number}\",\"object\":\"file\",\"deleted\":true,\"note\":\"%s\"}"},
	[PROVE_FILE_LIST] = {NULL, SAY_FILE("user_data")}, /* each of them is asked for */
	[PROVE_UPLOAD] = {"{\"file\":{\"displayName\":\"%s\"}}", "{\"note\":\"%s\"}"},
	[PROVE_UPLOAD_SENT] = {"%s", "{\"file\":" SAY_GEMINI_FILE "}"},
	[PROVE_GEMINI_FILE] = {NULL, SAY_GEMINI_FILE},
	[PROVE_GEMINI_FILE_CONTENT] = {NULL, "what was kept: %s"},
	[PROVE_GEMINI_FILE_LIST] = {NULL, SAY_GEMINI_FILE},
	[PROVE_GEMINI_FILE_DELETED] = {NULL, "{\"note\":\"%s\"}"},
	[PROVE_KEPT] = {ASK_RESPONSES("k", STORE), SAY_STORED(KEPT, STORE)},
	[PROVE_KEPT_STREAM] = {ASK_RESPONSES("k", STORE STREAM), SAY_STORED(KEPT, STORE)},
	[PROVE_BACKGROUND] = {ASK_RESPONSES("k", IN_BACKGROUND), SAY_STORED(BACKGROUND, IN_BACKGROUND)},
	[PROVE_BACKGROUND_STREAM] = {ASK_RESPONSES("k", IN_BACKGROUND STREAM), SAY_STORED(BACKGROUND, IN_BACKGROUND)},
	[PROVE_KEPT_ONE] = {NULL, KEPT},
	[PROVE_KEPT_ITEMS] = {NULL, "{\"object\":\"list\",\"data\":[{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"%s\"}]}],"
								"\"first_id\":\"msg_1\",\"last_id\":\"msg_1\",\"has_more\":false}"},
	[PROVE_KEPT_CANCELLED] = {NULL, KEPT},
	[PROVE_BACKGROUND_CANCELLED] = {NULL, BACKGROUND},
	[PROVE_KEPT_DELETED] = {NULL, "{\"id\":\"" KEPT_ID "\",\"object\":\"response\",\"deleted\":true,\"note\":\"%s\"}"},
	[PROVE_BATCH_FILE] = {PART("purpose") "batch\r\n" PART("file\"; filename=\"a.jsonl") "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":" ASK_CHAT("c", "\"max_tokens\":9,") "}\r\n--" BOUNDARY "--",
		SAY_FILE("batch")},
	[PROVE_BATCH_FILE_LIST] = {NULL, SAY_FILE("batch")},
	[PROVE_BATCH] = {"{\"input_file_id\":\"{batch_file}\",\"endpoint\":\"/v1/chat/completions\",\"completion_window\":\"24h\",\"metadata\":{\"note\":\"%s\"}}", SAY_BATCH},
	[PROVE_BATCH_ONE] = {NULL, SAY_BATCH},
	[PROVE_BATCH_CANCELLED] = {NULL, SAY_BATCH},
	[PROVE_BATCH_LIST] = {NULL, SAY_BATCH},
	[PROVE_MESSAGES_BATCH] = {"{\"requests\":[{\"custom_id\":\"a\",\"params\":" ASK_MESSAGES("m", "") "}]}", SAY_MESSAGES_BATCH},
	[PROVE_MESSAGES_BATCH_ONE] = {NULL, SAY_MESSAGES_BATCH},
	[PROVE_MESSAGES_BATCH_RESULTS] = {NULL, "{\"custom_id\":\"a\",\"result\":{\"type\":\"succeeded\",\"message\":{" MESSAGE_HEAD "\"content\":[{\"type\":\"text\",\"text\":\"%s\"}],"
											"\"stop_reason\":\"end_turn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":9}}}}\n"},
	[PROVE_MESSAGES_BATCH_CANCELLED] = {NULL, SAY_MESSAGES_BATCH},
	[PROVE_MESSAGES_BATCH_DELETED] = {NULL, "{\"id\":\"msgbatch_prove{number}\",\"type\":\"message_batch_deleted\",\"note\":\"%s\"}"},
	[PROVE_MESSAGES_BATCH_LIST] = {NULL, SAY_MESSAGES_BATCH},
	[PROVE_QUOTE] = {ASK_CHAT("c", ""), NULL},
};

const char *
prove_content_type(enum prove_endpoint endpoint)
{
	const char *asked = texts[endpoint].request;
	return asked && strncmp(asked, "--" BOUNDARY, sizeof "--" BOUNDARY - 1) == 0 ? "multipart/form-data; boundary=" BOUNDARY : "application/json";
}

static bool
wants_body(enum client_does client)
{
	switch (client) {
	case CLIENT_ASKS:
	case CLIENT_GONE_IN_HEAD:
	case CLIENT_GONE_WAITING:
	case CLIENT_GONE_IN_ANSWER:
	case CLIENT_BAD_KEY:
	case CLIENT_IN_HEADER:
	case CLIENT_IN_QUERY:
		return false;
	default:
		return true;
	}
}

bool
prove_way_fits(enum prove_endpoint endpoint, const struct prove_way *way)
{
	if (prove_forms[endpoint].here && way->provider != PROVIDER_ANSWERS)
		return false;
	return texts[endpoint].request || (!wants_body(way->client) && way->provider != PROVIDER_EARLY);
}

bool
prove_stays(enum prove_endpoint endpoint)
{
	switch (endpoint) {
	case PROVE_FILES:
	case PROVE_UPLOAD:
	case PROVE_UPLOAD_SENT:
	case PROVE_KEPT:
	case PROVE_KEPT_STREAM:
	case PROVE_BACKGROUND:
	case PROVE_BACKGROUND_STREAM:
	case PROVE_BATCH_FILE:
	case PROVE_BATCH:
	case PROVE_MESSAGES_BATCH:
		return true;
	default:
		return false;
	}
}

/* Each form has a mark of its own, so that a hit says in which form it left. */
static void
marked_text(struct canaries *c, const struct canary_origin *origin, char ret[TEXT_MAX], char ret_plain[CANARY_BYTES + 1])
{
	static const enum canary_form written[] = {
		CANARY_RAW, CANARY_ESCAPED, CANARY_BASE64, CANARY_BASE64_1, CANARY_BASE64_2, CANARY_HEX, CANARY_HEX_UPPER};
	size_t len = 0;
	for (size_t i = 0; i < ARRAY_LEN(written); i++) {
		char mark[CANARY_BYTES + 1];
		canary_new(c, origin, mark);
		if (i == 0 && ret_plain)
			memcpy(ret_plain, mark, sizeof mark);
		len += canary_in_form(mark, written[i], ret + len);
		ret[len++] = ' ';
	}
	assert(len < TEXT_MAX);
	ret[len - 1] = '\0';
}

void
exchange_make(struct exchange *x, struct canaries *c, const char *instance, enum prove_endpoint endpoint, const struct prove_way *way)
{
	struct canary_origin origin = {instance, prove_forms[endpoint].words, way->words, false};
	x->endpoint = endpoint;
	x->way = way;
	marked_text(c, &origin, x->asked, NULL);
	origin.answer = true;
	marked_text(c, &origin, x->answered, x->answered_mark);
	atomic_store(&x->seen, 0);
}

/* The one %s of a text replaced. */
static size_t
fill(const char *text, const char *words, char *ret, size_t cap)
{
	const char *at = text ? strstr(text, "%s") : NULL;
	int n = at ? snprintf(ret, cap, "%.*s%s%s", (int)(at - text), text, words, at + 2) : snprintf(ret, cap, "%s", text ? text : "");
	assert(n >= 0 && (size_t)n < cap);
	return (size_t)n;
}

/* Ids of the provider's name the exchange that made them; in as many bytes. */
static size_t
number_ids(const struct exchange *x, char *text, size_t len)
{
	static const char word[] = "{number}"; /* EXCHANGE_DIGITS bytes as well */
	char digits[sizeof word];
	snprintf(digits, sizeof digits, "%08u", atomic_load(&x->number) % 100000000);
	for (char *at = text; (at = strstr(at, word));)
		memcpy(at, digits, sizeof word - 1);
	return len;
}

size_t
exchange_request(const struct exchange *x, char *ret, size_t cap)
{
	return fill(texts[x->endpoint].request, x->asked, ret, cap);
}

/* Where an upload's bytes go carries a mark as well: Lethe has to keep it sealed. */
size_t
exchange_answer_lines(const struct exchange *x, char *ret, size_t cap)
{
	static const char place[] = "x-goog-upload-status: active\r\nx-goog-upload-url: http://127.0.0.1/upload/v1beta/files?upload_id=prove&words=%s\r\n";
	return fill(x->endpoint == PROVE_UPLOAD ? place : NULL, x->answered_mark, ret, cap);
}

size_t
exchange_answer_as(const struct exchange *x, enum prove_endpoint endpoint, char *ret, size_t cap)
{
	return number_ids(x, ret, fill(texts[endpoint].answer, x->answered, ret, cap));
}

size_t
exchange_answer(const struct exchange *x, char *ret, size_t cap)
{
	return exchange_answer_as(x, x->endpoint, ret, cap);
}

size_t
exchange_stream_begin(const struct exchange *x, char *ret, size_t cap)
{
	return number_ids(x, ret, fill(texts[x->endpoint].begin, x->answered, ret, cap));
}

size_t
exchange_stream_piece(const struct exchange *x, char *ret, size_t cap)
{
	return fill(texts[x->endpoint].piece, x->answered, ret, cap);
}

size_t
exchange_stream_end(const struct exchange *x, char *ret, size_t cap)
{
	return number_ids(x, ret, fill(texts[x->endpoint].end, x->answered, ret, cap));
}
