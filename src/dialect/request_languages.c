/* Where each provider language says what the gateway needs to know. Source: the providers' API references, as listed in request.h. */
#include "dialect/request_priv.h"

#define EDGE JSON_EDGE
#define EDGES(e) .edges = (e), .edge_count = ARRAY_LEN(e)

/* ---- OpenAI chat completions ---- */

#define CHAT_ROOT(X) \
	X("model", NODE_MODEL) \
	X("stream", NODE_STREAM) \
	X("stream_options", NODE_STREAM_OPTIONS) \
	X("max_tokens", NODE_CAP) \
	X("max_completion_tokens", NODE_CAP_COMPLETION) \
	X("n", NODE_N) \
	X("store", NODE_STORE) \
	X("tools", NODE_TOOLS) \
	X("reasoning_effort", NODE_EFFORT) \
	X("service_tier", NODE_TIER) \
	X("functions", NODE_FUNCTIONS) \
	X("messages", NODE_CONTENT) \
	X("web_search_options", NODE_SEARCH_OPTIONS) \
	X("prompt_cache_key", NODE_CACHE_KEY) \
	X("user", NODE_USER) \
	X("safety_identifier", NODE_SAFETY)
static const struct json_edge chat_root[] = JSON_EDGES_OF(CHAT_ROOT);
static const struct json_edge stream_options[] = {EDGE("include_usage", NODE_INCLUDE_USAGE)};
/* A stored audio answer is named by a message itself; media stand in its parts. */
#define CHAT_PART(X) \
	X("image_url", NODE_IMAGE_URL) \
	X("input_audio", NODE_AUDIO_PART) \
	X("file", NODE_FILE_PART)
static const struct json_edge chat_part[] = JSON_EDGES_OF(CHAT_PART);
#define CHAT_MESSAGE(X) CHAT_PART(X) X("audio", NODE_MESSAGE_AUDIO)
static const struct json_edge chat_message[] = JSON_EDGES_OF(CHAT_MESSAGE);
static const struct json_edge message_audio[] = {EDGE("id", NODE_FOREIGN)};
static const struct json_edge image_url[] = {EDGE("url", NODE_IMAGE_DATA)};
static const struct json_edge audio_part[] = {EDGE("data", NODE_MEDIA_DATA)};
static const struct json_edge file_part[] = {EDGE("file_id", NODE_OBJECT), EDGE("file_data", NODE_MEDIA_DATA)};

static const struct json_node chat_nodes[NODE_COUNT] = {
	[NODE_CACHE_KEY] = {.text = true},
	[NODE_USER] = {.text = true},
	[NODE_SAFETY] = {.text = true},
	[NODE_TIER] = {.text = true},
	[NODE_ROOT] = {JSON_EDGES(chat_root, CHAT_ROOT)},
	[NODE_MODEL] = {.text = true},
	[NODE_STREAM_OPTIONS] = {EDGES(stream_options)},
	[NODE_CONTENT] = {.element = NODE_MESSAGE},
	[NODE_MESSAGE] = {JSON_EDGES(chat_message, CHAT_MESSAGE), .other = NODE_PART, .element = NODE_PART, .silent = true},
	[NODE_PART] = {JSON_EDGES(chat_part, CHAT_PART), .other = NODE_PART, .element = NODE_PART, .silent = true},
	[NODE_MESSAGE_AUDIO] = {EDGES(message_audio), .silent = true},
	[NODE_IMAGE_URL] = {EDGES(image_url), .text = true},
	[NODE_IMAGE_DATA] = {.text = true},
	[NODE_AUDIO_PART] = {EDGES(audio_part)},
	[NODE_FILE_PART] = {EDGES(file_part)},
};

/* ---- OpenAI completions, the old ones ---- */

static const struct json_edge completions_root[] = {
	EDGE("model", NODE_MODEL),
	EDGE("stream", NODE_STREAM),
	EDGE("stream_options", NODE_STREAM_OPTIONS),
	EDGE("max_tokens", NODE_CAP),
	EDGE("n", NODE_N),
	EDGE("best_of", NODE_BEST_OF),
	EDGE("user", NODE_USER),
	EDGE("prompt", NODE_CONTENT),
};
static const struct json_node completions_nodes[NODE_COUNT] = {
	[NODE_USER] = {.text = true},
	[NODE_ROOT] = {EDGES(completions_root)},
	[NODE_MODEL] = {.text = true},
	[NODE_STREAM_OPTIONS] = {EDGES(stream_options)},
	[NODE_CONTENT] = {.element = NODE_PROMPT},
	[NODE_PROMPT] = {.element = NODE_PROMPT},
};

/* ---- OpenAI responses ---- */

#define RESPONSES_ROOT(X) \
	X("model", NODE_MODEL) \
	X("stream", NODE_STREAM) \
	X("max_output_tokens", NODE_CAP) \
	X("max_tool_calls", NODE_TOOL_CALLS_MAX) \
	X("store", NODE_STORE) \
	X("tools", NODE_TOOLS) \
	X("service_tier", NODE_TIER) \
	X("reasoning", NODE_EFFORT) \
	X("input", NODE_CONTENT) \
	X("background", NODE_BACKGROUND) \
	X("previous_response_id", NODE_PREVIOUS) \
	X("conversation", NODE_CONVERSATION) \
	X("prompt", NODE_FOREIGN) \
	X("prompt_cache_key", NODE_CACHE_KEY) \
	X("user", NODE_USER) \
	X("safety_identifier", NODE_SAFETY) \
	X("instructions", NODE_SYSTEM)
static const struct json_edge responses_root[] = JSON_EDGES_OF(RESPONSES_ROOT);
/* What an item of the input says, and what stands anywhere inside of it. */
#define RESPONSES_INSIDE \
	EDGE("image_url", NODE_IMAGE_DATA), EDGE("file_data", NODE_MEDIA_DATA), EDGE("file_id", NODE_OBJECT), EDGE("data", NODE_MEDIA_DATA), \
		EDGE("container", NODE_OBJECT_OR_MORE), EDGE("container_id", NODE_OBJECT), EDGE("vector_store_ids", NODE_FOREIGN), \
		EDGE("annotations", NODE_CITATIONS), /* of earlier answers: they may name files that the provider made for them */ \
		EDGE("results", NODE_NONE), EDGE("parameters", NODE_NONE), EDGE("input_schema", NODE_NONE) /* schemas, as in tools */
static const struct json_edge responses_item[] = {
	EDGE("type", NODE_ITEM_TYPE),
	EDGE("id", NODE_ITEM_ID),
	EDGE("role", NODE_NONE),
	EDGE("status", NODE_NONE),
	EDGE("phase", NODE_NONE),
	EDGE("content", NODE_ITEM_CONTENT),
	EDGE("summary", NODE_ITEM_SUMMARY),
	EDGE("encrypted_content", NODE_ITEM_SEALED),
	EDGE("result", NODE_ITEM_RESULT),
	RESPONSES_INSIDE,
};
static const struct json_edge responses_part[] = {
	EDGE("type", NODE_PART_TYPE),
	EDGE("result", NODE_NONE),
	RESPONSES_INSIDE,
};
static const struct json_edge responses_tool[] = {
	EDGE("type", NODE_TOOL_TYPE),
	EDGE("vector_store_ids", NODE_FOREIGN),
	EDGE("container", NODE_OBJECT_OR_MORE),
	EDGE("parameters", NODE_NONE), /* a function's schema: its members have the caller's own names */
};
static const struct json_edge responses_tool_inside[] = {
	EDGE("file_id", NODE_OBJECT),
	EDGE("file_ids", NODE_OBJECTS),
	EDGE("container_id", NODE_OBJECT),
	EDGE("vector_store_ids", NODE_FOREIGN),
	EDGE("skill_id", NODE_FOREIGN),
};
static const struct json_edge responses_citation[] = {EDGE("file_id", NODE_CITED), EDGE("container_id", NODE_CITED)};
static const struct json_edge responses_conversation[] = {EDGE("id", NODE_CONVERSATION_ID)};
static const struct json_node responses_nodes[NODE_COUNT] = {
	[NODE_CONVERSATION] = {EDGES(responses_conversation)},
	[NODE_CACHE_KEY] = {.text = true},
	[NODE_USER] = {.text = true},
	[NODE_SAFETY] = {.text = true},
	[NODE_TIER] = {.text = true},
	[NODE_ROOT] = {JSON_EDGES(responses_root, RESPONSES_ROOT)},
	[NODE_MODEL] = {.text = true},
	[NODE_CONTENT] = {.element = NODE_ITEM},
	[NODE_ITEM] = {EDGES(responses_item), .other = NODE_ITEM_OTHER, .element = NODE_PART},
	[NODE_ITEM_TYPE] = {.text = true},
	[NODE_ITEM_CONTENT] = {EDGES(responses_part), .other = NODE_PART, .element = NODE_PART},
	[NODE_ITEM_OTHER] = {EDGES(responses_part), .other = NODE_PART, .element = NODE_PART},
	[NODE_PART] = {EDGES(responses_part), .other = NODE_PART, .element = NODE_PART, .silent = true},
	[NODE_PART_TYPE] = {.text = true},
	[NODE_IMAGE_DATA] = {.text = true},
	[NODE_TOOLS] = {.element = NODE_TOOL},
	[NODE_TOOL] = {EDGES(responses_tool), .other = NODE_TOOL_INSIDE},
	[NODE_TOOL_INSIDE] = {EDGES(responses_tool_inside), .other = NODE_TOOL_INSIDE, .element = NODE_TOOL_INSIDE, .silent = true},
	[NODE_OBJECT_OR_MORE] = {EDGES(responses_tool_inside), .other = NODE_TOOL_INSIDE, .element = NODE_TOOL_INSIDE},
	[NODE_OBJECTS] = {.element = NODE_OBJECT},
	[NODE_CITATIONS] = {.element = NODE_CITATION, .silent = true},
	[NODE_CITATION] = {EDGES(responses_citation), .silent = true},
	[NODE_TOOL_TYPE] = {.text = true},
};

/* ---- OpenAI embeddings, moderations ---- */

static const struct json_edge embeddings_root[] = {EDGE("model", NODE_MODEL), EDGE("input", NODE_CONTENT)};
static const struct json_edge embeddings_part[] = {EDGE("image_url", NODE_IMAGE_URL)};
static const struct json_node embeddings_nodes[NODE_COUNT] = {
	[NODE_ROOT] = {EDGES(embeddings_root)},
	[NODE_MODEL] = {.text = true},
	[NODE_CONTENT] = {.element = NODE_PROMPT},
	[NODE_PROMPT] = {EDGES(embeddings_part), .other = NODE_PART, .element = NODE_PROMPT},
	[NODE_PART] = {EDGES(embeddings_part), .other = NODE_PART, .element = NODE_PART, .silent = true},
	[NODE_IMAGE_URL] = {EDGES(image_url), .text = true},
	[NODE_IMAGE_DATA] = {.text = true},
};

/* ---- OpenAI images; forms have a scanner of their own (form.h) ---- */

static const struct json_edge images_root[] = {
	EDGE("model", NODE_MODEL),
	EDGE("stream", NODE_STREAM),
	EDGE("n", NODE_N),
	EDGE("prompt", NODE_CONTENT),
};
static const struct json_edge speech_root[] = {
	EDGE("model", NODE_MODEL),
	EDGE("stream_format", NODE_STREAM_FORMAT),
	EDGE("input", NODE_CONTENT),
};
static const struct json_node speech_nodes[NODE_COUNT] = {
	[NODE_ROOT] = {EDGES(speech_root)},
	[NODE_MODEL] = {.text = true},
	[NODE_STREAM_FORMAT] = {.text = true},
};
static const struct json_node images_nodes[NODE_COUNT] = {
	[NODE_ROOT] = {EDGES(images_root)},
	[NODE_MODEL] = {.text = true},
};

/* ---- Anthropic messages ---- */

#define MESSAGES_ROOT(X) \
	X("model", NODE_MODEL) \
	X("stream", NODE_STREAM) \
	X("max_tokens", NODE_CAP) \
	X("service_tier", NODE_TIER) \
	X("thinking", NODE_EFFORT) \
	X("tools", NODE_TOOLS) \
	X("messages", NODE_CONTENT) \
	X("system", NODE_SYSTEM) \
	X("metadata", NODE_METADATA) \
	X("container", NODE_FOREIGN) \
	X("speed", NODE_SPEED) \
	X("inference_geo", NODE_GEO)
static const struct json_edge messages_root[] = JSON_EDGES_OF(MESSAGES_ROOT);
static const struct json_edge messages_metadata[] = {EDGE("user_id", NODE_USER_ID)};
static const struct json_edge messages_part[] = {
	EDGE("type", NODE_PART_TYPE),
	EDGE("source", NODE_SOURCE),
	EDGE("file_id", NODE_CITED), /* of an earlier answer: of what a tool has made, or in a citation */
	EDGE("input", NODE_NONE), /* a tool's arguments: the caller's own members */
};
static const struct json_edge source[] = {
	EDGE("type", NODE_SOURCE_TYPE),
	EDGE("data", NODE_SOURCE_DATA),
	EDGE("file_id", NODE_OBJECT),
	EDGE("content", NODE_PART),
};
static const struct json_edge messages_tool[] = {EDGE("type", NODE_TOOL_TYPE), EDGE("max_uses", NODE_TOOL_USES)};
static const struct json_node messages_nodes[NODE_COUNT] = {
	[NODE_METADATA] = {EDGES(messages_metadata)},
	[NODE_USER_ID] = {.text = true},
	[NODE_SYSTEM] = {EDGES(messages_part), .other = NODE_PART, .element = NODE_PART},
	[NODE_SPEED] = {.text = true},
	[NODE_GEO] = {.text = true},
	[NODE_ROOT] = {JSON_EDGES(messages_root, MESSAGES_ROOT)},
	[NODE_MODEL] = {.text = true},
	[NODE_CONTENT] = {.element = NODE_PART},
	[NODE_PART] = {EDGES(messages_part), .other = NODE_PART, .element = NODE_PART, .silent = true},
	[NODE_PART_TYPE] = {.text = true},
	[NODE_SOURCE] = {EDGES(source)},
	[NODE_SOURCE_TYPE] = {.text = true},
	[NODE_TOOLS] = {.element = NODE_TOOL},
	[NODE_TOOL] = {EDGES(messages_tool)},
	[NODE_TOOL_TYPE] = {.text = true},
};

/* ---- Gemini; proto3 JSON takes both spellings of a name ---- */

#define GEMINI_ROOT(X) \
	X("contents", NODE_CONTENT) \
	X("content", NODE_CONTENT) \
	X("requests", NODE_CONTENT) \
	X("systemInstruction", NODE_SYSTEM) \
	X("system_instruction", NODE_SYSTEM) \
	X("generateContentRequest", NODE_CONTENT) \
	X("generate_content_request", NODE_CONTENT) \
	X("generationConfig", NODE_CONFIG) \
	X("generation_config", NODE_CONFIG) \
	X("serviceTier", NODE_TIER) \
	X("service_tier", NODE_TIER) \
	X("tools", NODE_TOOLS) \
	X("cachedContent", NODE_FOREIGN) \
	X("cached_content", NODE_FOREIGN) \
	X("model", NODE_REPEATED_MODEL)
static const struct json_edge gemini_root[] = JSON_EDGES_OF(GEMINI_ROOT);
static const struct json_edge gemini_config[] = {
	EDGE("maxOutputTokens", NODE_CAP),
	EDGE("max_output_tokens", NODE_CAP),
	EDGE("candidateCount", NODE_N),
	EDGE("candidate_count", NODE_N),
	EDGE("thinkingConfig", NODE_EFFORT),
	EDGE("thinking_config", NODE_EFFORT),
};
static const struct json_edge gemini_part[] = {
	EDGE("inlineData", NODE_BLOB),
	EDGE("inline_data", NODE_BLOB),
	EDGE("fileData", NODE_BLOB),
	EDGE("file_data", NODE_BLOB),
	EDGE("args", NODE_NONE), /* a tool's arguments and answers: the caller's own members */
	EDGE("response", NODE_NONE),
	EDGE("cachedContent", NODE_FOREIGN),
	EDGE("cached_content", NODE_FOREIGN),
	EDGE("model", NODE_REPEATED_MODEL),
};
static const struct json_edge gemini_blob[] = {
	EDGE("mimeType", NODE_MIME),
	EDGE("mime_type", NODE_MIME),
	EDGE("data", NODE_SOURCE_DATA),
	EDGE("fileUri", NODE_FILE_URI),
	EDGE("file_uri", NODE_FILE_URI),
};
static const struct json_edge gemini_tool[] = {
	EDGE("googleSearch", NODE_TOOL_SEARCH),
	EDGE("google_search", NODE_TOOL_SEARCH),
	EDGE("googleSearchRetrieval", NODE_TOOL_SEARCH),
	EDGE("google_search_retrieval", NODE_TOOL_SEARCH),
	EDGE("fileSearch", NODE_TOOL_FILES),
	EDGE("file_search", NODE_TOOL_FILES),
	EDGE("retrieval", NODE_FOREIGN),
};
static const struct json_edge gemini_tool_files[] = {
	EDGE("fileSearchStoreNames", NODE_FOREIGN),
	EDGE("file_search_store_names", NODE_FOREIGN),
};
static const struct json_node gemini_nodes[NODE_COUNT] = {
	[NODE_TIER] = {.text = true},
	[NODE_ROOT] = {JSON_EDGES(gemini_root, GEMINI_ROOT)},
	[NODE_SYSTEM] = {EDGES(gemini_part), .other = NODE_PART, .element = NODE_PART},
	[NODE_CONTENT] = {EDGES(gemini_part), .other = NODE_PART, .element = NODE_PART},
	[NODE_PART] = {EDGES(gemini_part), .other = NODE_PART, .element = NODE_PART, .silent = true},
	[NODE_CONFIG] = {EDGES(gemini_config)},
	[NODE_BLOB] = {EDGES(gemini_blob)},
	[NODE_MIME] = {.text = true},
	[NODE_FILE_URI] = {.text = true},
	[NODE_TOOLS] = {.element = NODE_TOOL},
	[NODE_TOOL] = {EDGES(gemini_tool)},
	[NODE_TOOL_FILES] = {EDGES(gemini_tool_files), .silent = true},
};

/* ---- the table ---- */

static const struct request_language chat = {
	.nodes = chat_nodes,
	.bad_cap = REQUEST_BAD_MAX_TOKENS,
	.bad_n = REQUEST_BAD_N,
	.no_content = REQUEST_NO_MESSAGES,
	.completion_cap = true,
	.user = USER_AS_SAFETY,
	.cap_member = SPAN_INIT("max_completion_tokens"),
};
static const struct request_language completions = {
	.nodes = completions_nodes,
	.bad_cap = REQUEST_BAD_MAX_TOKENS,
	.bad_n = REQUEST_BAD_N,
	.no_content = REQUEST_NO_PROMPT,
	.cap_may_be_zero = true, /* with echo: to have the prompt scored */
	.user = USER_PLAIN,
	.cap_member = SPAN_INIT("max_tokens"),
};
static const struct request_language responses = {
	.nodes = responses_nodes,
	.bad_cap = REQUEST_BAD_MAX_OUTPUT_TOKENS,
	.no_content = REQUEST_NO_INPUT,
	.cap_member = SPAN_INIT("max_output_tokens"),
	.user = USER_AS_SAFETY,
};
static const struct request_language embeddings = {.nodes = embeddings_nodes, .no_content = REQUEST_NO_INPUT};
static const struct request_language moderations = {.nodes = embeddings_nodes, .no_content = REQUEST_NO_INPUT, .model_optional = true};
static const struct request_language speech = {.nodes = speech_nodes, .no_content = REQUEST_NO_INPUT};
/* What the file of requests asks for was looked at when it was uploaded (lines.h). */
static const struct json_edge batches_root[] = {EDGE("input_file_id", NODE_OBJECT), EDGE("endpoint", NODE_CONTENT)};
static const struct json_node batches_nodes[NODE_COUNT] = {[NODE_ROOT] = {EDGES(batches_root)}};
static const struct request_language batches = {.nodes = batches_nodes, .no_content = REQUEST_NO_ENDPOINT, .model_optional = true};
/* Each of them is looked at by itself (lines.h). */
static const struct json_edge listed_root[] = {EDGE("requests", NODE_CONTENT)};
static const struct json_node listed_nodes[NODE_COUNT] = {[NODE_ROOT] = {EDGES(listed_root)}};
static const struct request_language listed = {.nodes = listed_nodes, .no_content = REQUEST_NO_REQUESTS, .model_optional = true};
static const struct request_language images = {
	.nodes = images_nodes,
	.bad_n = REQUEST_BAD_N,
	.no_content = REQUEST_NO_PROMPT,
	.one_in_a_stream = true,
};
static const struct request_language messages = {
	.nodes = messages_nodes,
	.bad_cap = REQUEST_BAD_MAX_TOKENS,
	.no_content = REQUEST_NO_MESSAGES,
	.cap_required = true,
	.user = USER_IN_METADATA,
	.cap_may_be_zero = true,
	.cap_member = SPAN_INIT("max_tokens"),
};
static const struct request_language count_tokens = {
	.nodes = messages_nodes,
	.bad_cap = REQUEST_BAD_MAX_TOKENS,
	.no_content = REQUEST_NO_MESSAGES,
	.cap_may_be_zero = true,
};
static const struct request_language gemini = {
	.nodes = gemini_nodes,
	.bad_cap = REQUEST_BAD_GENERATION_CONFIG,
	.bad_n = REQUEST_BAD_CANDIDATES,
	.no_content = REQUEST_NO_CONTENTS,
	.model_in_path = true,
	.cap_member = SPAN_INIT("maxOutputTokens"),
	.cap_in_config = true,
};

static const struct request_language *const languages[ENDPOINT_COUNT] = {
	[ENDPOINT_CHAT_COMPLETIONS] = &chat,
	[ENDPOINT_COMPLETIONS] = &completions,
	[ENDPOINT_RESPONSES] = &responses,
	[ENDPOINT_EMBEDDINGS] = &embeddings,
	[ENDPOINT_MODERATIONS] = &moderations,
	[ENDPOINT_MESSAGES] = &messages,
	[ENDPOINT_MESSAGES_COUNT_TOKENS] = &count_tokens,
	[ENDPOINT_GENERATE_CONTENT] = &gemini,
	[ENDPOINT_STREAM_GENERATE_CONTENT] = &gemini,
	[ENDPOINT_COUNT_TOKENS] = &gemini,
	[ENDPOINT_EMBED_CONTENT] = &gemini,
	[ENDPOINT_BATCH_EMBED_CONTENTS] = &gemini,
	[ENDPOINT_AUDIO_TRANSCRIPTIONS] = &images,
	[ENDPOINT_AUDIO_TRANSLATIONS] = &images,
	[ENDPOINT_AUDIO_SPEECH] = &speech,
	[ENDPOINT_IMAGES_GENERATIONS] = &images,
	[ENDPOINT_IMAGES_EDITS] = &images,
	[ENDPOINT_IMAGES_VARIATIONS] = &images,
	[ENDPOINT_REALTIME] = &moderations, /* it has no body: nothing is read by it */
	[ENDPOINT_FILES] = &moderations, /* a form, or no body */
	[ENDPOINT_BATCHES] = &batches,
	[ENDPOINT_MESSAGES_BATCHES] = &listed,
	[ENDPOINT_RESPONSES_KEPT] = &moderations, /* no body */
};

const struct request_language *
request_language(enum endpoint endpoint)
{
	return languages[endpoint];
}
