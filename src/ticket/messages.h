/*
 * Every message between processes: who may send it to whom, and its struct. Checked to the last byte on receipt (message_check); anything
 * unknown or untimely ends the receiver. Content has no place here: numbers, and the operator's own secrets from supervisor to edge.
 *
 * X(TYPE, sender, receiver, struct, may carry a descriptor)
 * New ones are appended, and never sent to processes of an older build (layout.h).
 */
#ifndef TICKET_MESSAGES_H
#define TICKET_MESSAGES_H

#include "core/base.h"
#include "core/tls_sign.h"
#include "ticket/byok.h"
#include "ticket/messages_work.h"
#include "ticket/ticket.h"

#define MESSAGES(X) \
	X(READY, ANY, SUPERVISOR, message_plain, false) /* locked down, loop about to start */ \
	X(DRAIN, SUPERVISOR, ANY, message_plain, false) /* accept nothing new, end when idle */ \
	X(STOP, SUPERVISOR, ANY, message_plain, false) /* end now, booking what is known */ \
	X(SECRET, SUPERVISOR, ANY, message_secret, false) \
	X(GO, SUPERVISOR, ANY, message_plain, false) /* all secrets and segments are handed over */ \
	X(PEER, SUPERVISOR, ANY, message_peer, true) /* that neighbour was started anew: here is the fresh end of its arrow */ \
	X(LOG, SUPERVISOR, SCRIBE, message_plain, true) /* write to this descriptor from now on */ \
	X(RETIRE, SUPERVISOR, EDGE, message_plain, false) /* others accept now: serve whom you have, end when they are done */ \
	X(CATALOGUE, SUPERVISOR, ANY, message_memory, true) /* ledger, scribe: from now on, together with the TALLY that follows */ \
	X(TALLY, SUPERVISOR, ANY, message_memory, true) \
	X(ADOPTED, LEDGER, SUPERVISOR, message_adopted, false) /* both are in use, or can't be */ \
	X(QUARANTINE, SUPERVISOR, LEDGER, message_key, false) /* edges died while they served this key: none is to serve it again */ \
	X(TLS_RENEWED, SUPERVISOR, EDGE, message_plain, false) /* certificates, keys and trust are handed over anew: use them */ \
	X(SEGMENT, SUPERVISOR, EDGE, message_segment, true) \
	X(SEGMENT_WANTED, EDGE, SUPERVISOR, message_segment, false) \
	X(CONNECT, EDGE, DIALER, message_connect, false) \
	X(CONNECTED, DIALER, EDGE, message_connected, true) \
	X(LOAD, EDGE, LEDGER, message_row, false) /* bring this row onto the board */ \
	X(LOADED, LEDGER, EDGE, message_row, false) \
	X(EVENT, ANY, SCRIBE, message_event, false) \
	X(SUCCEED, SUPERVISOR, LEDGER, message_plain, false) /* a successor is being started; the second time: it is there, end when nobody waits for an answer */ \
	X(RECEIPT_WANTED, EDGE, LEDGER, message_receipt_wanted, false) /* of this request, if it is this account's */ \
	X(RECEIPT, LEDGER, EDGE, message_receipt, false) /* a piece of it, in order; or that there is none */ \
	X(SPAN, LEDGER, SCRIBE, message_span, false) /* what was booked, when OpenTelemetry is wanted */ \
	X(COLLECTOR_WANTED, SCRIBE, SUPERVISOR, message_plain, false) \
	X(COLLECTOR, SUPERVISOR, SCRIBE, message_plain, true) /* a socket that is connected to it; without one: it can't be reached */ \
	X(BYOK_WANTED, EDGE, LEDGER, message_byok_wanted, false) /* the box of an own key at a provider (byok.h) */ \
	X(BYOK, LEDGER, EDGE, message_byok, false) /* it, or that there is none */ \
	X(WORK, EDGE, LEDGER, message_work, false) /* work that outlives its connection: set money aside, or pay it */ \
	X(WORK_NAMED, EDGE, LEDGER, message_work_named, false) /* it runs under this sealed id */ \
	X(WORK_ANSWER, LEDGER, EDGE, message_work, false) \
	X(ERRAND, LEDGER, EDGE, message_errand, false) /* look whether this has ended */ \
	X(SIGNER_SEGMENT, SUPERVISOR, SIGNER, message_segment, true) \
	X(KEYS_RENEWED, SUPERVISOR, SIGNER, message_plain, false) /* private keys are handed over anew: use them, and for a while those before */ \
	X(KEYS_HELD, SIGNER, SUPERVISOR, message_held, false) /* or could not be read */ \
	X(SIGN, EDGE, SIGNER, message_sign, false) /* the edge waits for the answer, a moment */ \
	X(SIGNED, SIGNER, EDGE, message_signed, false) \
	X(WORK_LIST_WANTED, EDGE, LEDGER, message_work_list_wanted, false) /* what of an account's work, from the youngest on */ \
	X(WORK_LISTED, LEDGER, EDGE, message_work_listed, false) \
	X(DRAIN_WANTED, LEDGER, SUPERVISOR, message_plain, false) /* somebody, perhaps at another server, wants this one to end in order */ \
	X(DIAL_COLLECTOR, SUPERVISOR, DIALER, message_plain, false) \
	X(COLLECTOR_DIALLED, DIALER, SUPERVISOR, message_plain, true) /* as COLLECTOR */ \
	X(OBJECT, EDGE, LEDGER, message_object, false) /* what an account keeps at a provider was made, or is gone */ \
	X(OBJECT_LIST_WANTED, EDGE, LEDGER, message_object_list_wanted, false) /* what of it: answered by WORK_LISTED */

enum message_type {
	MESSAGE_NONE,
#define X(name, from, to, type, fd) MESSAGE_##name,
	MESSAGES(X)
#undef X
		MESSAGE_COUNT
};

enum message_end { END_OF_NOBODY,
	END_OF_SUPERVISOR,
	END_OF_EDGE,
	END_OF_DIALER,
	END_OF_LEDGER,
	END_OF_SCRIBE,
	END_OF_ANY,
	END_OF_SIGNER, /* behind it: numbers stay what they were (layout.h) */
	END_COUNT };

enum secret_kind {
	SECRET_PEPPER, /* API_KEY_PEPPER_BYTES: edges and ledger */
	SECRET_PROVIDER_KEY, /* by provider index and key index: edges */
	SECRET_RECEIPT, /* RECEIPT_CODE_KEY_BYTES: key of the code in an answer's head, to edges; RECEIPT_SEED_BYTES: the seed of all, to the ledger */
	/* TLS, in force with GO, TLS_RENEWED, KEYS_RENEWED. PEM texts come in pieces: `key` counts them, `more` is set in all but the last. */
	SECRET_CERTIFICATE, /* by number: chain of a certificate of ours, to edges */
	SECRET_CERTIFICATE_KEY, /* by number: its key, to the signer and nobody else */
	SECRET_CLIENT_CA, /* who may have signed certificates of clients */
	SECRET_TRUST, /* by number: who may have signed a provider's; catalogue_provider.trust */
	SECRET_TICKET_KEY, /* TICKET_KEY_BYTES: seals session tickets from now on; in force at once */
	SECRET_BYOK, /* BYOK_SEED_BYTES to edges, which open customers' own provider keys by it; BYOK_PUBLIC_BYTES to the ledger, which can't */
	SECRET_COLLECTOR_HEADERS, /* lines for requests to the collector: scribe */
	SECRET_COLLECTOR_TRUST, /* who may have signed its certificate, in pieces: scribe */
};

struct message_plain {
	struct message_head head;
};

/*
 * A neighbour died and its successor runs. The descriptor replaces the receiver's end of that arrow (close the old one, forget what was asked
 * over it and not answered). It may come before or after the old end reads as closed, and at any time after READY.
 * role: enum message_end of the neighbour; instance: which edge, else 0.
 */
struct message_peer {
	struct message_head head;
	uint16_t role, instance;
	uint32_t zero;
};

enum { SECRET_BYTES_MAX = 2048,
	TICKET_KEY_BYTES = 80 };

struct message_secret {
	struct message_head head;
	uint16_t kind;
	uint16_t provider; /* or another index, as the kind says */
	uint16_t key;
	uint16_t secret_bytes;
	uint16_t more, zero;
	uint8_t secret[SECRET_BYTES_MAX];
};

/* Shared memory of a new generation, and the settings that come with it. */
struct message_memory {
	struct message_head head;
	uint64_t memory_bytes;
	uint32_t generation; /* comes back with ADOPTED */
	uint32_t log_level, batch_window_ms, streams_per_account;
};

struct message_adopted {
	struct message_head head;
	uint32_t generation;
	uint32_t refused; /* 0, or 1: all is as it was */
};

struct message_key {
	struct message_head head;
	uint64_t key;
};

struct message_segment {
	struct message_head head;
	uint64_t segment_bytes;
};

struct message_held {
	struct message_head head;
	uint32_t keys;
	uint32_t refused; /* 1: those before stay in force */
};

enum { SIGNER_WAIT_MS = 1000 }; /* an edge waits so long at most; the supervisor sets it on the line */

/* What a handshake wants to have signed (core/tls_sign.h). */
struct message_sign {
	struct message_head head;
	uint64_t token; /* the edge's; comes back */
	struct tls_sign what;
};

struct message_signed {
	struct message_head head;
	uint64_t token;
	uint32_t signature_bytes; /* 0: refused */
	uint32_t zero;
	uint8_t signature[TLS_SIGNATURE_MAX];
};

struct message_connect {
	struct message_head head;
	uint64_t token; /* the edge's; comes back */
	uint32_t provider; /* index in the catalogue */
	uint32_t timeout_ms;
};

enum connect_result { CONNECT_OK,
	CONNECT_NAME,
	CONNECT_REFUSED,
	CONNECT_TIMEOUT,
	CONNECT_LIMIT };

struct message_connected {
	struct message_head head;
	uint64_t token;
	uint32_t provider;
	uint32_t result; /* enum connect_result; the descriptor comes with CONNECT_OK */
};

enum row_result { ROW_LOADED, /* LOAD said what it needs: with so much, until somebody takes of it */
	ROW_UNKNOWN,
	ROW_NOT_NOW, /* no slot is idle, or the store failed */
	ROW_LATER, /* loaded, with too little; other servers have it, and were asked for what they don't need */
	ROW_SHORT /* loaded, with too little, and nobody else has it */ };

/* … and its slot is known. */
must_check static inline bool
row_is_there(uint32_t result)
{
	return result == ROW_LOADED || result == ROW_LATER || result == ROW_SHORT;
}

/* For an edge that knows results up to this one. Where a ledger was replaced before its edges, these know of no other row that is there than LOADED. */
must_check static inline uint32_t
row_result_for(uint32_t known, uint32_t result)
{
	return row_is_there(result) && result > known ? (uint32_t)ROW_LOADED : result;
}

struct message_row {
	struct message_head head;
	uint64_t token;
	uint64_t row;
	uint64_t need_nano; /* LOAD: of a balance; 0: not known */
	uint32_t slot; /* LOADED */
	uint32_t result; /* enum row_result; LOAD: the last one that the edge knows (0 of before there was more than one of a row that is there) */
};

struct message_receipt_wanted {
	struct message_head head;
	uint64_t token; /* the edge's; comes back */
	uint64_t request, account;
};

enum { RECEIPT_PIECE = 2048,
	RECEIPT_TEXT_MAX = 16384 };

enum receipt_result { RECEIPT_COMES,
	RECEIPT_UNKNOWN,
	RECEIPT_NOT_YET,
	RECEIPT_LATER };

/* JSON that the ledger wrote: numbers, ids and the operator's own names. It goes towards content, never away from it. */
struct message_receipt {
	struct message_head head;
	uint64_t token;
	uint32_t total, at; /* bytes of the whole; where this piece stands */
	uint16_t text_bytes, result; /* enum receipt_result */
	uint32_t zero;
	char text[RECEIPT_PIECE];
};

/* An own key at a provider, sealed for edges. */
struct message_byok_wanted {
	struct message_head head;
	uint64_t id;
};

struct message_byok {
	struct message_head head;
	uint64_t id, account;
	uint32_t provider;
	uint32_t result; /* 0: here it is; 1: there is none */
	uint8_t box[BYOK_BOX_BYTES];
};

/* What a process reports: an event id and numbers from a table (ticket/events.h). */
struct message_event {
	struct message_head head;
	uint16_t event, role, instance, zero; /* role: enum message_end; the scribe goes by the arrow it came over */
	uint64_t numbers[4];
};

/* A ticket as it was booked: numbers and ids, all that is kept of a request (ticket_fields.h). */
struct message_span {
	struct message_head head;
	uint64_t ticket, cost_nano;
	uint64_t lost; /* so many before it, since this ledger began, that the scribe had no room for */
	struct ticket_facts facts;
};

/*
 * Is this message complete, known, and allowed from `from` to `to`? has_fd: a descriptor came with it.
 * The caller ends itself when not.
 */
must_check bool message_check(const void *message, size_t bytes, enum message_end from, enum message_end to, bool has_fd);

#define MESSAGE_INIT(type_name, struct_type) ((struct struct_type){.head = {.type = MESSAGE_##type_name, .bytes = sizeof(struct struct_type)}})

#endif
