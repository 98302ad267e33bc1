/*
 * The way through another language: a request whose provider does not speak the caller's goes up translated, and so does its answer on the way down
 * (translate.h). Edge only. Everything lies in the vault; what is made of a body is admitted like the body.
 *
 * Up: the body is made anew when the target is known, and stands in the request's place; the original is kept while another target may want it.
 * Down: the meter reads what the provider sends, as always; what it has read is translated, and only that goes to the caller.
 */
#ifndef EDGE_PASSAGE_H
#define EDGE_PASSAGE_H

#include "core/sink.h"
#include "core/text.h"
#include "dialect/error.h"
#include "dialect/translate.h"
#include "ticket/catalogue.h"
#include "ticket/ids.h"

struct block;
struct edge;
struct exchange;
struct http1_head;

/* Blocks that a sink fills, one behind the other. */
struct passage_blocks {
	struct sink sink; /* first: what grow() is given */
	struct exchange *x;
	uint64_t *admitted; /* counts what it takes of the content budget */
	bool is_request; /* else an answer's, or what stands for one: they may take the last of the memory */
	struct block *first, *last;
	uint64_t bytes, room, most; /* written; room of all blocks; bound of both */
};

struct passage {
	enum language from, to; /* the caller's, the provider's */
	uint8_t endpoint; /* enum endpoint: where the provider is asked */
	bool include_usage; /* chat: the caller wants the usage event */
	bool as_array; /* Gemini without alt=sse: the stream is one array that grows */
	bool ended; /* the answer is complete, and told */
	bool held; /* … but its last part is kept back (durability: strict) */
	struct block *original, *original_last; /* the caller's own body, while the translated one stands in its place */
	uint64_t original_bytes;
	struct passage_blocks answer; /* a plain one, until it is whole */
	uint64_t admitted; /* of the content budget, for all that the answer needs here */
	struct translation *translation; /* from the answer's beginning on */
	char *rest; /* the beginning of an event */
	size_t rest_len, rest_cap;
	struct sink out; /* what is to be told next */
	size_t out_cap;
	size_t kept; /* what the translation asked to keep */
	uint8_t model_len, id_len;
	uint16_t dropped_len;
	char model[128], id[ID_TEXT_MAX], dropped[TRANSLATE_PATH_MAX * 2];
};

/* ---- who can be asked ---- */
/* Does this target serve that endpoint, in its own language or by way of another? */
bool passage_serves(const struct catalogue *c, const struct catalogue_target *t, enum endpoint endpoint);
/* Is it to be had by who speaks this dialect? */
bool passage_reaches(const struct catalogue *c, const struct catalogue_target *t, enum dialect dialect);
/* The endpoint that is asked at the provider. */
enum endpoint passage_endpoint(const struct exchange *x);

/* ---- up ---- */
/* lethe-translate: lenient. False: it says something else. */
must_check bool passage_read_wish(struct exchange *x, const struct http1_head *h);
void passage_explain_wish(struct exchange *x);
/* Another language is due between this request and its target. */
bool passage_is_due(const struct exchange *x);
/* The body in its language. False: that can't be, and another target has been taken; or there is none, and the exchange has ended. */
must_check bool passage_request(struct exchange *x);
/* The pieces of a body, for who looks at it by place: room for one more than *ret_count, that the caller frees. NULL: no memory. */
struct span *passage_pieces(struct edge *e, const struct block *b, uint32_t *ret_count);
/* The caller's own body again: for another target. */
void passage_undo(struct exchange *x);
/* Tokens are counted for a model whose provider has no such endpoint (tokens.h). False: it is about something else. */
must_check bool passage_count(struct exchange *x);
void passage_add_headers(struct text *t, const struct exchange *x); /* of our answer */

/* ---- down ---- */
/* A 2xx has begun, the meter is ready. */
void passage_begin(struct exchange *x, char *rest, size_t len, bool eof);
/* Metered bytes → what goes to the caller, head included where it was not known before. False: the exchange has ended. */
must_check bool passage_translate(struct exchange *x, struct span *data, bool last, struct span *head);
/* The words that end a stream which has begun, in the caller's form. */
void passage_write_event(const struct exchange *x, struct text *t, const struct error_says *e);
void passage_told(struct exchange *x); /* what was given out is no longer needed */
/* A provider's error answer in the caller's words. lines: header lines that came with it. */
void passage_error(struct exchange *x, struct span lines, struct span body);

/* For a sink over blocks: what was written stays where it is, and a block of about `want` bytes follows. False: there is no memory, or too much. */
must_check bool passage_add_block(struct passage_blocks *k, uint64_t want);
/* admit.c: there was no memory for the translation: it waits in turn, or the exchange has ended. */
void admit_translation(struct exchange *x);
/* … and may be tried again. */
void passage_resume(struct exchange *x);
void passage_free_original(struct exchange *x);
void passage_free(struct exchange *x);

#endif
