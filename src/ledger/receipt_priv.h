/*
 * Receipts: each ticket that is booked is a leaf of one Merkle tree (core/merkle.h), and says which leaf its account's ticket before was; each booking
 * signs the tree's head. docs/decisions/0024-receipts.md. Ledger, one thread.
 *
 * A leaf is SHA-256 over 0x00, the SHA-256 of its shape, and the values of RECEIPT_FIELDS, big-endian. The shape is the text "name:bytes\n" of each field, so
 * that a value can't be passed off under another name. Fields are only appended; each booking keeps how many there were (struct receipt_shape).
 */
#ifndef LEDGER_RECEIPT_PRIV_H
#define LEDGER_RECEIPT_PRIV_H

#include "core/merkle.h"
#include "ledger/store.h"
#include "ticket/board.h"
#include "ticket/receipt.h"

#include <sodium.h>

struct ledger;
struct price_row;

/* X(name, bytes, value): in front of TICKET_FIELDS. `r` is a struct receipt_row. 32 bytes are a hash. */
#define RECEIPT_HASHES(X) \
	X(previous, r->previous) /* hash of the leaf before in the account's chain; zeros: there is none */ \
	X(price_row, r->price) /* hash of the price row, as below */
#define RECEIPT_NUMBERS(X) \
	X(place, r->place) \
	X(id, r->ticket->id) \
	X(booking, (uint64_t)r->booking) \
	X(cost_nano, (uint64_t)r->ticket->cost.v) \
	X(hold_nano, (uint64_t)r->ticket->hold.v)

/* Of a price row, in front of tools' and tokens' prices. */
#define RECEIPT_PRICE(X) \
	X(id, 8, p->price.id) \
	X(model, 4, p->model) \
	X(from_ms, 8, p->price.from_ms) \
	X(above_tokens, 4, p->price.above_tokens) \
	X(tier, 1, p->price.tier) \
	X(geo_us_x100, 2, p->price.geo_us_x100) \
	X(request_nano, 8, (uint64_t)p->price.request_nano)

struct receipt_shape {
	uint8_t fields, tools, tokens; /* how many rows TICKET_FIELDS, TOOL_KINDS, TOKEN_KINDS had */
};
struct receipt_shape receipt_shape_now(void);
int64_t receipt_shape_number(struct receipt_shape s);
/* False: of a newer lethe, or none. */
must_check bool receipt_shape_of(int64_t number, struct receipt_shape *ret);

struct receipt_row {
	const struct ticket_copy *ticket;
	int64_t booking;
	uint64_t place;
	struct merkle_hash previous, price;
};

/* A field as it is hashed. */
struct receipt_field {
	char name[40];
	unsigned bytes; /* 1, 2, 4, 8: number; 32: hash */
	uint64_t number;
	struct merkle_hash hash;
};
enum { RECEIPT_FIELDS_MAX = 96 };
/* All fields of a row or of a price; their number. For showing them. */
size_t receipt_fields(const struct receipt_row *r, struct receipt_shape s, struct receipt_field ret[RECEIPT_FIELDS_MAX]);
size_t receipt_price_fields(const struct price_row *p, struct receipt_shape s, struct receipt_field ret[RECEIPT_FIELDS_MAX]);

struct merkle_hash receipt_leaf(const struct receipt_row *r, struct receipt_shape s);
struct merkle_hash receipt_price(const struct price_row *p, struct receipt_shape s);

/* ---- receipt_tree.c ---- */

/* The last link of an account's chain. */
struct chain_end {
	uint64_t place;
	int64_t leaf; /* -1: none yet */
	struct merkle_hash hash;
};

struct chain_known {
	uint64_t account;
	struct chain_end end;
};
enum { CHAINS_KNOWN = 65536, /* power of two */
	RECEIPT_NODE_LEVEL = 8, /* subtrees from 256 leaves on are stored */
	RECEIPT_ORIGIN_MAX = 48,
	RECEIPT_HEAD_TEXT_MAX = 192 };

struct receipts {
	struct merkle_edge edge, next; /* what is committed; with what the transaction under way adds */
	bool stale; /* a transaction's outcome is unknown: both are read again */
	bool behind; /* another node has booked */
	bool failed; /* a node of the transaction under way could not be written */
	struct chain_known *chains; /* by account */
	int64_t key; /* in the store */
	uint8_t public[crypto_sign_PUBLICKEYBYTES], secret[crypto_sign_SECRETKEYBYTES];
	char origin[RECEIPT_ORIGIN_MAX];
	double tokens; /* how many receipts may be asked for now */
	uint64_t tokens_ms;
};

must_check bool receipts_open(struct ledger *l, char ret_why[STORE_WHY_MAX]);
void receipts_close(struct ledger *l);
/* In a batch's transaction: begins it, is the account's chain end, takes a ticket that was inserted, closes the booking. False: the store failed. */
must_check bool receipts_begin(struct ledger *l);
/* Those of so many accounts, before each is asked for: read at once, where they are not remembered. The list is the caller's no more. */
must_check bool receipts_chains(struct ledger *l, int64_t *accounts, size_t count);
must_check bool receipts_chain(struct ledger *l, uint64_t account, struct chain_end *ret);
struct merkle_hash receipts_take(struct ledger *l, const struct receipt_row *r);
must_check bool receipts_sign(struct ledger *l, const struct merkle_hash *leaves, size_t count);
/* After it: committed, or who knows. */
void receipts_known(struct ledger *l, uint64_t account, const struct chain_end *end);
void receipts_committed(struct ledger *l);
void receipts_unknown(struct ledger *l);
/* Another node has had its turn. */
void receipts_others(struct ledger *l);
/* receipt_chain.c: no chain's end is remembered. */
void receipts_forget(struct receipts *r);

/* The log's name, by the first key it had. */
void receipt_origin(const void *public, size_t len, char ret[RECEIPT_ORIGIN_MAX]);
/* What a head's signature is over. */
size_t receipt_head_text(const char *origin, const struct merkle_head *head, int64_t time_us, char ret[RECEIPT_HEAD_TEXT_MAX]);

/* The leaves from `first`, at most `count`, in order. False: they are not all there, or the store failed. */
must_check bool receipt_leaves(struct ledger *l, uint64_t first, uint64_t count, struct merkle_hash *ret);
/* For proofs: a merkle_get on the ledger's store. */
merkle_get receipt_subtree;

struct receipt_batch {
	uint64_t first, count;
	int64_t time_us, key;
	struct receipt_shape shape;
	struct merkle_hash root;
	uint8_t signature[crypto_sign_BYTES];
};
/* The one that this leaf is in. *ret_there false: none. False: the store failed. */
must_check bool receipt_batch_of(struct ledger *l, uint64_t leaf, struct receipt_batch *ret, bool *ret_there);

/* ---- receipt_show.c: for edges ---- */

enum receipt_answer { RECEIPT_HERE,
	RECEIPT_NONE, /* not this account's, or not booked */
	RECEIPT_RUNNING, /* the request is not settled yet */
	RECEIPT_BUSY };
/* The receipt as JSON, to be freed; only when it is this account's. */
enum receipt_answer ledger_receipt(struct ledger *l, uint64_t id, uint64_t account, char **ret);

/* ---- receipt_verify.c: the part of `ledger verify` ---- */

struct receipt_audit;
typedef void receipt_broken(void *arg, bool chain, bool holds, const char *what, long long number);
must_check struct receipt_audit *receipt_audit_begin(struct store *reader, receipt_broken *say, void *arg);
/* A row of tickets_from. */
must_check bool receipt_audit_ticket(struct receipt_audit *a, struct query *st, const struct ticket_copy *t, const struct price_row *price);
must_check bool receipt_audit_end(struct receipt_audit *a);
void receipt_audit_free(struct receipt_audit **a);

#endif
