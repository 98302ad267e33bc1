/*
 * Files that go up to Gemini: one request begins an upload and is told a URL, others bring the bytes to it (X-Goog-Upload-*, the resumable protocol of Google's). The
 * URL that the provider gives is good for anybody who has it; customers get one of ours, with the place at the provider sealed into it. Private to
 * src/edge; struct object_upload lies in the vault.
 *
 * Or one request has all of it (multipart/related: a JSON object about the file, then its bytes). It is held until it has been looked at: the object might choose the
 * file's name.
 */
#ifndef EDGE_OBJECT_UPLOAD_H
#define EDGE_OBJECT_UPLOAD_H

#include "core/multipart.h"
#include "edge/object.h"

struct object_upload {
	uint16_t text_len;
	char text[SEAL_TARGET_TEXT_MAX]; /* as the caller names it */
	struct sealed_target place; /* … once the account is known */
	uint8_t boundary_len;
	char boundary[MULTIPART_BOUNDARY_MAX]; /* of one that is whole */
};

/* May it be done? `named`: which upload, of one that has begun. Else how the exchange is to end, *ret_says in which words, if in others than usual. */
must_check enum end_reason object_upload_asked(struct exchange *x, const struct http1_head *h, struct span named, struct span *ret_says);
/* Index of the provider; -1: the exchange has ended. `keeper`: that of a new one. */
int64_t object_upload_route(struct exchange *x, int64_t keeper);
/* Is the body nothing that is scanned? */
bool object_upload_is_raw(const struct exchange *x);
/* May this header field go up, by what is asked for? Others than an upload's may always. */
bool object_upload_takes(const struct exchange *x, struct span name);
/* Its target at the provider. False: it is no upload. */
bool object_upload_add_target(struct text *t, const struct exchange *x, const struct catalogue_provider *p);
/* The provider's good answer to a beginning: the line that says where to send the bytes. False: it says none that can be passed on. */
must_check bool object_upload_take_url(struct exchange *x, const struct http1_head *h, struct text *t);
/* Does this text say where the provider takes it? */
bool object_upload_is_told(const struct exchange *x, struct span text);
void object_upload_free(struct exchange *x);

#endif
