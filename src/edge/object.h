/*
 * What is kept at a provider beyond an exchange (files, batches), and the exchanges that are about it: whose it is, under which id it goes up, and what id comes
 * down. Private to src/edge; struct object lies in the vault.
 *
 *   seal.h           the ids that customers have
 *   object.c         on the way up: an id in the path, ids in a request's body
 *   object_answer.c  on the way down: an answer about an object is read whole, and the ids in it are sealed; content passes as it is
 *
 *   object_upload.h  how Gemini's go up
 *   object_keep.h    what the ledger is told, so that there are lists
 *
 * Nothing is remembered about an object here: its id says all.
 */
#ifndef EDGE_OBJECT_H
#define EDGE_OBJECT_H

#include "core/ipc.h"
#include "edge/edge_priv.h"
#include "edge/endpoints.h"
#include "edge/exchange_priv.h"
#include "edge/seal.h"

struct stored;

enum { OBJECT_QUERY_MAX = 200 };

/* How far work that outlives this exchange has come (work.h). */
enum object_work { OBJECT_WORK_NONE,
	OBJECT_WORK_ASKED, /* the ledger, for its money */
	OBJECT_WORK_HELD,
	OBJECT_WORK_TELLING, /* it runs: the ledger hears under which id */
	OBJECT_WORK_TOLD,
	OBJECT_WORK_KEEPING, /* a file: the ledger writes it down */
	OBJECT_WORK_LISTING, /* the ledger is asked for a page */
	OBJECT_WORK_LOOKING, /* it is to be deleted: has it been paid? */
	OBJECT_WORK_ENDING /* who had begun it has gone: the ledger hears so */ };

enum { OBJECT_BASE_MAX = 200 };

struct lines_scan;
struct results_scan;
struct object_list;
struct object_upload;

struct object {
	uint8_t work; /* enum object_work */
	bool begin_said; /* the ledger was sent WORK_BEGIN, and keeps a hold or will */
	bool end_insists; /* OBJECT_WORK_ENDING: it does keep one; it is told until it can give it back */
	uint32_t errand; /* its number: nobody waits for the answer; 0: it is a caller's */
	bool own; /* it was made, or is, with the account's own key at the provider */
	uint8_t query_len;
	char query[OBJECT_QUERY_MAX]; /* what goes up of the caller's, question mark included */
	struct stored *stored; /* the answer is about a response that is kept (stored.h) */
	uint64_t nano; /* the most that it can cost; 0: it is no work */
	struct sealed input; /* the file that it is made of */
	struct sealed_lines lines; /* of an upload: what its requests can cost */
	struct lines_scan *asks; /* requests in the body */
	struct results_scan *results; /* in the answer */
	struct object_list *list; /* the answer is one: of these, one after the other */
	struct object_upload *upload; /* to Gemini (object_upload.h) */
	bool uncounted; /* … for want of memory */
	char base[OBJECT_BASE_MAX]; /* where the caller has found us, as URLs in answers begin */
	uint8_t base_len;
	uint8_t operation; /* enum object_operation */
	uint8_t kind; /* enum object_kind */
	uint8_t purpose; /* of a file (object_keep.h) */
	uint8_t text_len;
	char text[SEAL_TEXT_MAX]; /* the id in the path, as the caller has it */
	struct sealed opened; /* what it stands for, once the account is known */
	uint8_t within_len;
	char within[SEAL_TEXT_MAX]; /* the sandbox that it lies in, as the caller has it */
	struct sealed opened_within;
	struct catalogue_model stand_in; /* no model is asked: */
	struct catalogue_target stand_in_target; /* this one has the provider, and nothing else */
};

/* ---- object.c ---- */

/* A request about an object; named: its id, or empty. False: it has been answered, and the exchange has ended. */
must_check bool object_asked(struct exchange *x, const struct http1_head *h, enum object_operation operation, struct span named, struct span rest);
/* Has the request no body that is read? */
bool object_is_bodiless(const struct exchange *x);
/* ROUTE: to whose provider? False: the exchange has ended. */
must_check bool object_route(struct exchange *x);
/* Index of the provider that keeps what the body names; -1: none is named, or it is not known here. *ret_own: by the account's own key there. */
int64_t object_home(const struct exchange *x, bool *ret_own);
/* What is to be made there is made with the account's own key, or with ours: object->own. False: with neither, and it has ended. */
must_check bool object_choose_key(struct exchange *x, uint32_t provider);
/* What it names lies by another key than may be used, by the account's own or by ours: it ends, and says so. */
void object_refuse_key(struct exchange *x, bool own);
/* Method and path, behind the provider's base path. */
struct span object_method(const struct exchange *x);
void object_add_path(struct text *t, const struct exchange *x);
/*
 * The ids of objects that the body names, opened, as JSON strings, then those that it cites (empty: as they are); `texts` has a place for each of them and `room`
 * object_name_room() bytes. False: the exchange has ended, since one of those named is not the account's, or lies elsewhere than the model.
 */
must_check bool object_open_named(struct exchange *x, char *room, struct span *texts);
size_t object_name_room(const struct exchange *x);
/* Where Gemini's provider has its files, as it names them itself: an id follows. */
void object_add_url(struct text *t, const struct catalogue_provider *p);
/* Of which kind is that name? */
enum object_kind object_kind_of(const struct exchange *x, struct span name);

/* Index of the provider; -1: it is gone, or keeps nothing. */
int64_t object_provider_of(const struct exchange *x, const struct sealed *s);
/* The exchange asks that one. False: it has ended. */
must_check bool object_go_to(struct exchange *x, uint32_t provider);

/* ---- object_list.c: lists are the ledger's, what stands in them is the providers' ---- */

bool object_list_is(enum object_operation operation);
must_check bool object_list_asked(struct exchange *x, const struct http1_head *h, struct span rest); /* false: it has ended */
int64_t object_list_route(struct exchange *x, int64_t provider); /* -1: it has ended */
must_check enum ipc_result object_list_ask(const struct exchange *x);
void object_listed(struct edge *e, const void *message);
/* One more is there; or is not any more. The exchange goes on by itself. */
void object_list_add(struct exchange *x, struct span body);
void object_list_skip(struct exchange *x);
void object_list_free(struct exchange *x);

/* ---- object_answer.c ---- */

/* Is the request, by its path, about something that is kept? Else an object stands for what it leaves behind. */
static inline bool
object_is_subject(const struct exchange *x)
{
	return x->object && x->object->operation != OPERATION_NONE;
}

bool object_is_batch(const struct exchange *x);
/* Does this provider keep what is asked for, in the caller's language? */
bool object_keeps(const struct exchange *x, uint32_t provider);
void object_free(struct exchange *x);
/* Nobody waits for its answer. */
bool object_is_errand(const struct exchange *x);
/* What the first id in the body stands for, and the provider's index; -1: nothing of this account's. */
/* The same of any of them, if it is kept where the catalogue knows; text: NULL, or room for it with its quotes, SEAL_TEXT_MAX + 2 bytes. */
must_check bool object_open_one(const struct exchange *x, uint32_t i, struct sealed *ret, char *text);
int64_t object_open_first(const struct exchange *x, struct sealed *ret);
/* All of a body that went up while it came is known. False: the exchange has ended. */
must_check bool object_confirm(struct exchange *x);
/* The body for the provider. */
must_check bool object_edit(struct exchange *x);
/* Is the answer, whose status is good, read whole before any of it goes down? */
bool object_is_read_whole(const struct exchange *x);
/* Is the object asked for, or its deletion, and not something of it? */
bool object_is_itself(const struct exchange *x);
/* Content, which is anything; else its answers are read along. */
bool object_is_plain(const struct exchange *x);
/* It has been: carry has its header lines, then its body. */
void object_answer(struct exchange *x);
/* The account's own id for one that an answer names, to stand in a string. 0: it is none. */
size_t object_seal_name(const struct exchange *x, struct span name, char ret[SEAL_TEXT_MAX]);
/* Is it the provider's way to say that there is no such object? */
bool object_is_missing(const struct exchange *x, uint32_t status);
/* Does this text say an id that only the provider and we know? */
bool object_is_told(const struct exchange *x, struct span text);

/* ---- exchange.c ---- */

/* One that no client has asked for; NULL: no memory. */
struct exchange *exchange_of_nobody(struct edge *e);

/* ---- answer.c ---- */

/* A provider's good answer with a body of ours: its kept header lines, then body. The exchange has ended. */
void answer_rewritten(struct exchange *x, struct span lines, struct span body);
/* A refusal of our account, whatever its status: the operator is told. True: another one is asked, or the exchange has ended. */
bool answer_is_about_us(struct exchange *x);

#endif
