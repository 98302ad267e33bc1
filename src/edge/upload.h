/*
 * A large form goes up while it still comes: a fixed window of it is here, not the body. Edge only; all of it lies in the vault.
 *
 * That is possible where nothing that stands behind can change the way: the length is known, the body goes up byte by byte but for the model's name, and the
 * model is named by lethe-model or in front of the file (an upload of a file needs none). RESERVE, ROUTE and CONNECT come first then, and the body is read
 * in SEND, as the provider takes it. What it says further behind is checked before its last bytes go up: without them the provider has no request.
 *
 * Once its beginning has been let go, nobody else can be asked (docs/decisions/0037-uploads.md).
 */
#ifndef EDGE_UPLOAD_H
#define EDGE_UPLOAD_H

#include "core/base.h"
#include "dialect/request.h"

struct block;
struct client;
struct exchange;
struct http1_head;
struct request;

enum {
	UPLOAD_LEAST = 1 << 20, /* shorter bodies are held: they can be sent again */
	UPLOAD_WINDOW = 256 << 10, /* of a body that is here */
	UPLOAD_BLOCK = UPLOAD_WINDOW / 4,
	UPLOAD_HELD_BACK = 4, /* the last bytes that have come, as long as more follow: "--" behind the last boundary is never more than so far from the end */
};

/* In struct request, for a body that may go up in this way. */
struct upload {
	uint64_t length; /* of the body */
	uint64_t dropped; /* bytes of its beginning that have gone up, and are here no more */
	uint64_t ahead; /* bytes that are counted with what has come, as media */
	bool ahead_media; /* … and so is a file that has not begun */
	bool begun;
	bool waits; /* all that is here has gone up: for the client */
	bool unsure; /* all of it has come, and costs more than is held: its last bytes stay here until more is (relay_pause) */
};

/* Before the body is read: may it go up in this way? False: the header lethe-model has no model's name. */
must_check bool upload_prepare(struct exchange *x, const struct http1_head *h);
/* Bytes have come in READ_BODY. True: the way is known, begin. When too many have come without it, the body is held like any other. */
must_check bool upload_is_due(struct exchange *x);
void upload_begin(struct exchange *x);

/* It has begun, and is not all here. */
bool upload_is_coming(const struct exchange *x);
/* What has gone up can't be sent again. */
bool upload_has_left(const struct exchange *x);
bool upload_is_unsure(const struct exchange *x);
/* By and by while it is. */
void upload_poll(struct exchange *x);
/* It can't go on before the client sends more. */
bool upload_waits(const struct exchange *x);

/* ---- the client's side ---- */
bool upload_is_unread(const struct exchange *x); /* nothing of it is read before its way is known, or the provider has taken some */
void upload_client_ready(struct exchange *x); /* a connection of HTTP/1.1 may have bytes */
/* Bytes that somebody brings; how many were taken. The exchange may end, then all are. */
must_check size_t upload_push(struct exchange *x, const char *bytes, size_t len);

/* ---- the provider's side ---- */
uint64_t upload_total(const struct exchange *x); /* bytes of the edited body, some of which have not come */
/* The part of the body that may go up by now: from `dropped` to this. */
uint64_t upload_end(const struct request *r);
uint64_t upload_ready(const struct request *r); /* … and how far that is in the edited body */
void upload_went(struct exchange *x); /* some has been sent, or none could be */
/* An answer has begun. False: before there was a whole question, which makes it none. */
must_check bool upload_may_be_answered(struct exchange *x, uint32_t status);

/* ---- read_body.c ---- */
must_check struct block *body_add_block(struct exchange *x);
/* `len` new bytes stand at the end of b, and are looked at. False: the body is bad. */
must_check bool body_grew(struct exchange *x, struct block *b, size_t len);

/* ---- reserve.c ---- */
/* All of the request is known now: does the hold cover it? It grows; or upload.unsure, not if this is the `last` time; or the exchange ends: false. */
must_check bool reserve_confirm(struct exchange *x, bool last);
/* Is what was settled meanwhile given back? */
must_check bool reserve_round_is_over(const struct exchange *x);

/* ---- h2.c ---- */
void h2_upload_room(struct client *stream); /* what it keeps may be pushed */

#endif
