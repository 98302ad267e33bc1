/* What the members of a request mean, whatever they are called. Private to src/dialect. */
#ifndef DIALECT_REQUEST_PRIV_H
#define DIALECT_REQUEST_PRIV_H

#include "core/json_scan.h"
#include "dialect/request.h"

enum request_node {
	NODE_NONE = JSON_NODE_NONE,
	NODE_ROOT = JSON_NODE_ROOT,
	NODE_MODEL,
	NODE_STREAM,
	NODE_STREAM_OPTIONS,
	NODE_CAP,
	NODE_CAP_COMPLETION,
	NODE_N,
	NODE_STORE,
	NODE_EFFORT,
	NODE_TIER,
	NODE_TOOLS,
	NODE_FUNCTIONS,
	NODE_CONTENT, /* messages, input, contents, requests */
	NODE_CONFIG,
	NODE_BACKGROUND,
	NODE_TOOL_CALLS_MAX,
	NODE_SEARCH_OPTIONS,
	NODE_BEST_OF,
	NODE_CACHE_KEY,
	NODE_USER,
	NODE_SAFETY, /* safety_identifier */
	NODE_METADATA,
	NODE_SYSTEM, /* what stands in front of all turns */
	NODE_STREAM_FORMAT, /* speech: sse, or the audio itself */
	NODE_ONCE, /* those before may stand at most once in a body */
	NODE_INCLUDE_USAGE = NODE_ONCE,
	NODE_USER_ID, /* metadata.user_id */
	NODE_SPEED,
	NODE_GEO,
	NODE_FOREIGN, /* names an object at the provider, unless null */
	NODE_OBJECT, /* names a file or a sandbox that may be the caller's */
	NODE_OBJECTS, /* a list of such */
	NODE_OBJECT_OR_MORE, /* such a name, or an object with whatever */
	NODE_CITATIONS,
	NODE_CITATION,
	NODE_CITED, /* a name in what a provider said before */
	NODE_PREVIOUS, /* names an earlier response that may be the caller's */
	NODE_CONVERSATION, /* … a conversation, by its id or an object with it */
	NODE_CONVERSATION_ID,
	NODE_ITEM, /* of Responses' input; what it consists of says whether it only names one that is stored */
	NODE_ITEM_TYPE,
	NODE_ITEM_ID,
	NODE_ITEM_CONTENT,
	NODE_ITEM_SUMMARY,
	NODE_ITEM_SEALED, /* encrypted_content */
	NODE_ITEM_RESULT,
	NODE_ITEM_OTHER,
	NODE_PROMPT, /* completions, embeddings: a text, or what tokens stand for one */
	NODE_MESSAGE,
	NODE_PART, /* anything inside of a message, at any depth */
	NODE_PART_TYPE,
	NODE_MESSAGE_AUDIO,
	NODE_IMAGE_URL, /* counts as an image */
	NODE_IMAGE_DATA, /* a URL that may hold the data itself */
	NODE_AUDIO_PART,
	NODE_FILE_PART,
	NODE_MEDIA_DATA, /* base64 */
	NODE_SOURCE, /* data of an image or a document, which may be plain text */
	NODE_SOURCE_TYPE,
	NODE_SOURCE_DATA,
	NODE_BLOB, /* Gemini: inlineData, fileData: a file until its type is known */
	NODE_MIME,
	NODE_FILE_URI,
	NODE_TOOL,
	NODE_TOOL_TYPE,
	NODE_TOOL_INSIDE, /* whatever else a tool says, at any depth */
	NODE_TOOL_USES,
	NODE_TOOL_SEARCH, /* Gemini: the member's name is the type */
	NODE_TOOL_FILES,
	NODE_REPEATED_MODEL, /* Gemini: names again what the path names */
	NODE_COUNT,
};

/* Where a language says who asks. */
enum user_said { USER_NOWHERE,
	USER_PLAIN, /* user */
	USER_AS_SAFETY, /* safety_identifier, and user, which it took the place of */
	USER_IN_METADATA /* metadata.user_id */ };

struct request_language {
	const struct json_node *nodes; /* NODE_COUNT of them */
	enum request_error bad_cap, bad_n, no_content;
	bool completion_cap; /* max_completion_tokens goes before the old name */
	bool model_in_path, model_optional, cap_required, cap_may_be_zero, one_in_a_stream;
	/* How a cap is said where none stands: member of the body, or of the options object `config`. */
	struct span cap_member;
	bool cap_in_config;
	uint8_t user; /* enum user_said */
};

const struct request_language *request_language(enum endpoint endpoint);

#endif
