/*
 * multipart/form-data as it comes (RFC 7578, RFC 2046 5.1), strictly: what two parsers could read in two ways is refused, so that who reads the body
 * after us finds the same fields in it. No preamble, no padding behind a boundary, nothing but a line's end behind the last one; CRLF alone ends lines;
 * a part has one name; the boundary stands nowhere but between parts.
 *
 * Or multipart/related (RFC 2387), as Google's uploads are: a part has no name, what it is of is told in its place.
 *
 * Pure and resumable at any byte; no allocation: the caller embeds the struct in vault memory. Run by the edge.
 */
#ifndef CORE_MULTIPART_H
#define CORE_MULTIPART_H

#include "core/base.h"

enum {
	MULTIPART_BOUNDARY_MAX = 70, /* RFC 2046 5.1.1 */
	MULTIPART_HEAD_MAX = 2048, /* header lines of one part */
	MULTIPART_PARTS_MAX = 256,
};

/* X(name, sentence) */
#define MULTIPART_ERRORS(X) \
	X(OK, "") \
	X(START, "The body does not begin with its boundary.") \
	X(DELIMITER, "What follows a boundary is neither a line's end nor the end of the body.") \
	X(STRAY_BOUNDARY, "The boundary stands inside of a part.") \
	X(HEAD_TOO_LARGE, "The header of a part is too large.") \
	X(HEAD, "The header of a part is not valid.") \
	X(DISPOSITION, "A part needs one Content-Disposition: form-data with one name.") \
	X(TRANSFER, "A part may not be encoded (Content-Transfer-Encoding).") \
	X(NESTED, "A part may not be multipart itself.") \
	X(TOO_MANY_PARTS, "There are too many parts.") \
	X(EPILOGUE, "Something follows the last boundary.")

enum multipart_error {
#define X(name, text) MULTIPART_E_##name,
	MULTIPART_ERRORS(X)
#undef X
};

enum multipart_token {
	MULTIPART_MORE, /* all that was fed is used up */
	MULTIPART_PART, /* a part begins: name, file; at: where its content does */
	MULTIPART_DATA, /* bytes of its content, never none */
	MULTIPART_PART_END, /* at: right behind its content */
	MULTIPART_END, /* the last boundary: nothing but a line's end may follow */
	MULTIPART_BAD, /* m->error; stays */
};

struct multipart_event {
	struct span name; /* valid until the part ends; of multipart/related: its Content-Type, or empty */
	bool file; /* it names a file */
	struct span data; /* valid until the next call */
	uint64_t at; /* bytes from the body's start */
};

struct multipart {
	enum multipart_error error;
	/* Its own state follows; nobody else looks at it. */
	uint8_t state;
	bool file, related;
	uint8_t needle_len, held_len, held_sent;
	uint16_t head_len, name_at, name_len;
	uint32_t parts;
	const char *p, *end;
	uint64_t offset; /* of p */
	char needle[MULTIPART_BOUNDARY_MAX + 4]; /* CRLF "--" boundary */
	char held[MULTIPART_BOUNDARY_MAX + 4]; /* of a content: what may be the beginning of a boundary */
	char head[MULTIPART_HEAD_MAX];
};

/* The value of Content-Type: its boundary, or false when it is not multipart/form-data with a good one. */
must_check bool multipart_boundary(struct span content_type, struct span *ret);

/* The same of multipart/related. */
must_check bool multipart_related_boundary(struct span content_type, struct span *ret);

void multipart_init(struct multipart *m, struct span boundary);
void multipart_related_init(struct multipart *m, struct span boundary);
/* The next bytes of the body, which live until MULTIPART_MORE. */
void multipart_feed(struct multipart *m, const char *bytes, size_t len);
must_check enum multipart_token multipart_next(struct multipart *m, struct multipart_event *ret);
/* Behind the last byte: was that a whole form? */
must_check bool multipart_complete(const struct multipart *m);

#endif
