/*
 * What a model can do, as the operator declares it: lists of models tell, and nothing is decided by it.
 *
 * X(NAME, bit, word, meaning)
 */
#ifndef TICKET_CAPABILITIES_H
#define TICKET_CAPABILITIES_H

#define CAPABILITIES(X) \
	X(IMAGES, 1, "images", "images in prompts") \
	X(AUDIO, 2, "audio", "audio in prompts") \
	X(VIDEO, 4, "video", "video in prompts") \
	X(FILES, 8, "files", "files, such as PDF, in prompts") \
	X(TOOLS, 16, "tools", "calls of the caller's tools") \
	X(JSON_SCHEMA, 32, "json_schema", "answers by a JSON schema") \
	X(EMBEDDINGS, 64, "embeddings", "embeddings, and nothing else") \
	X(IMAGE_OUTPUT, 128, "image_output", "answers with images") \
	X(AUDIO_OUTPUT, 256, "audio_output", "answers with audio") \
	X(REALTIME, 512, "realtime", "realtime sessions")

enum capability {
#define X(NAME, bit, word, meaning) CAPABILITY_##NAME = bit,
	CAPABILITIES(X)
#undef X
};

enum { CAPABILITIES_MAX = 0
#define X(NAME, bit, word, meaning) +1
	CAPABILITIES(X)
#undef X
};

#endif
