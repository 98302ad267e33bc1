/*
 * Marks that `lethe prove` sends as content: 32 random letters each, and where each was put, so that a hit names the exchange that leaked.
 * Command line only. The set owns the marks; origins are the caller's and outlive it.
 */
#ifndef PROVE_CANARY_H
#define PROVE_CANARY_H

#include "core/base.h"

enum { CANARY_BYTES = 32,
	CANARY_HIT = 16 /* so many bytes of one in a row are a hit */ };

/* What it was part of. */
struct canary_origin {
	const char *instance, *endpoint, *way;
	bool answer; /* the provider's words, else the client's */
};

struct canary {
	char text[CANARY_BYTES + 1];
	struct canary_origin origin;
};

struct canaries {
	struct canary *all;
	uint32_t count, cap;
};

/* Forms in which content goes over the line and can lie around. X(FORM, word) */
#define CANARY_FORMS(X) \
	X(RAW, "as it is") \
	X(ESCAPED, "JSON-escaped") \
	X(BASE64, "base64") \
	X(BASE64_1, "base64 behind one byte") \
	X(BASE64_2, "base64 behind two bytes") \
	X(HEX, "hex") \
	X(HEX_UPPER, "HEX") \
	X(UTF16, "UTF-16") \
	X(GZIP, "gzip")

enum canary_form {
#define X(form, word) CANARY_##form,
	CANARY_FORMS(X)
#undef X
		CANARY_FORM_COUNT
};

enum { CANARY_FORM_MAX = 6 * CANARY_BYTES + 64 };

void canaries_open(struct canaries *c);
void canaries_close(struct canaries *c);

/* A new mark, copied out with its end. */
void canary_new(struct canaries *c, const struct canary_origin *origin, char ret[CANARY_BYTES + 1]);

/* A mark in one form. Returns the bytes. All but GZIP and UTF16 are text. */
size_t canary_in_form(const char *text, enum canary_form form, char ret[CANARY_FORM_MAX]);
const char *canary_form_word(enum canary_form form);

#endif
