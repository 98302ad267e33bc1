/*
 * Readers of answers for tests: what a client of each language understands, as one line of words; what is not legal in the language fails the test.
 * Apart from the rest, as Jansson's names are those of our own scanner.
 */
#ifndef DIALECT_TRANSLATE_ANSWER_READ_H
#define DIALECT_TRANSLATE_ANSWER_READ_H

#include <stdbool.h>
#include <stddef.h>

enum read_language { READ_CHAT,
	READ_RESPONSES,
	READ_MESSAGES,
	READ_GEMINI };

enum { READ_DIGEST_MAX = 1 << 17 };

#define READ_UNSIGNED "lethe-unsigned"

/* think<hmm> text<Hi> call(id,name,{"x":1}) stop in=20 cached=5 out=9 reasoning=2; the answer is written to */
void read_answer(enum read_language of, bool streamed, char *answer, char *ret_digest, size_t cap);
/* Of Gemini without alt=sse; returns how many answers are in it. */
size_t read_array(const char *answer, char *ret_digest, size_t cap);

#endif
