/*
 * What routing needs from a request that comes as a form (multipart/form-data): OpenAI's transcriptions, translations, edits and variations of images, and
 * the upload of files. The counterpart of request.h's scanner for them, with the same facts as its result. The form goes up as it came; only the model's name is written over.
 *
 * Pure and resumable at any byte; no allocation: the caller embeds the struct in vault memory. Run by the edge.
 * Format: platform.openai.com/docs/api-reference/audio, …/images.
 */
#ifndef DIALECT_FORM_H
#define DIALECT_FORM_H

#include "core/multipart.h"
#include "dialect/request.h"

/* X(NAME, name of the field): those that are looked at; each may stand once, and is no file. */
#define FORM_FIELDS(X) \
	X(MODEL, "model") \
	X(STREAM, "stream") \
	X(N, "n") \
	X(RESPONSE_FORMAT, "response_format") \
	X(PURPOSE, "purpose")

struct lines_scan;

struct form_scan {
	struct multipart multipart;
	uint8_t field; /* that is being read; one more than its number, 0: none of them */
	uint8_t seen; /* bit for each */
	bool file; /* a file is being read */
	bool told; /* the model was named before: the form has to name the same */
	bool batch; /* what is uploaded is a file of requests */
	struct lines_scan *lines; /* the caller's, for files of requests; NULL: none are looked at */
	uint8_t value_len;
	uint64_t value_at;
	char value[REQUEST_MODEL_MAX];
};

/* Does this endpoint take a form? */
bool form_endpoint(enum endpoint endpoint);

/* The scan is initialised for the endpoint. REQUEST_NOT_FORM: by its type the body is none. */
must_check enum request_error form_scan_init(struct form_scan *f, struct request_scan *s, struct span content_type);
/* After that: the request says outside of the form which model it names. False: that is no name of one. */
must_check bool form_scan_told(struct form_scan *f, struct request_scan *s, struct span model);
/* Bytes of the form that nothing which follows can change: behind them a model's name is being read. */
uint64_t form_scan_settled(const struct form_scan *f, const struct request_scan *s);
/* False when the body is already known to be bad: s->error; with REQUEST_BAD_FORM f->multipart.error says why. */
must_check bool form_scan_feed(struct form_scan *f, struct request_scan *s, const char *bytes, size_t len);
must_check enum request_error form_scan_finish(struct form_scan *f, struct request_scan *s);

#endif
