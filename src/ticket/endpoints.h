/*
 * The endpoints that customers call, by the names that providers gave them. The number stands in tickets: rows are only added.
 *
 * X(NAME, number, dialect, word in usage, metrics and logs, billed)
 * dialect: whose formats requests, answers and errors have. billed: false: the provider charges nothing for it.
 */
#ifndef TICKET_ENDPOINTS_H
#define TICKET_ENDPOINTS_H

#include "core/base.h"

enum dialect { DIALECT_OPENAI,
	DIALECT_ANTHROPIC,
	DIALECT_GEMINI,
	DIALECT_COUNT };

#define ENDPOINTS(X) \
	X(NONE, 0, OPENAI, "none", false) \
	X(CHAT_COMPLETIONS, 1, OPENAI, "chat.completions", true) \
	X(RESPONSES, 2, OPENAI, "responses", true) \
	X(EMBEDDINGS, 3, OPENAI, "embeddings", true) \
	X(MODERATIONS, 4, OPENAI, "moderations", false) \
	X(MESSAGES, 5, ANTHROPIC, "messages", true) \
	X(MESSAGES_COUNT_TOKENS, 6, ANTHROPIC, "messages.count_tokens", false) \
	X(GENERATE_CONTENT, 7, GEMINI, "generateContent", true) \
	X(STREAM_GENERATE_CONTENT, 8, GEMINI, "streamGenerateContent", true) \
	X(COUNT_TOKENS, 9, GEMINI, "countTokens", false) \
	X(EMBED_CONTENT, 10, GEMINI, "embedContent", true) \
	X(BATCH_EMBED_CONTENTS, 11, GEMINI, "batchEmbedContents", true) \
	X(AUDIO_TRANSCRIPTIONS, 12, OPENAI, "audio.transcriptions", true) \
	X(AUDIO_TRANSLATIONS, 13, OPENAI, "audio.translations", true) \
	X(IMAGES_GENERATIONS, 14, OPENAI, "images.generations", true) \
	X(IMAGES_EDITS, 15, OPENAI, "images.edits", true) \
	X(IMAGES_VARIATIONS, 16, OPENAI, "images.variations", true) \
	X(REALTIME, 17, OPENAI, "realtime", true) \
	X(FILES, 18, OPENAI, "files", false) \
	X(COMPLETIONS, 19, OPENAI, "completions", true) \
	X(AUDIO_SPEECH, 20, OPENAI, "audio.speech", true) \
	X(BATCHES, 21, OPENAI, "batches", false) \
	X(MESSAGES_BATCHES, 22, ANTHROPIC, "messages.batches", false) \
	X(RESPONSES_KEPT, 23, OPENAI, "responses.kept", false) /* what is done with a response that is there */

enum endpoint {
#define X(NAME, number, dialect, word, billed) ENDPOINT_##NAME = number,
	ENDPOINTS(X)
#undef X
		ENDPOINT_COUNT
};

#endif
