/*
 * The way of one exchange, as a table: what each step waits for, for how long, and how the exchange ends when that time is over. This is the
 * map of src/edge: each step has its file.
 *
 *   ACCEPT → READ_HEAD → AUTHENTICATE → LIMIT → READ_BODY → RESERVE → ROUTE → CONNECT → SEND → AWAIT → RELAY → SETTLE → DONE
 *   door.c    read_head.c  authenticate.c       read_body.c reserve.c route.c connect.c send.c  await.c relay.c settle.c
 *
 * X(STEP, waits for, time-out (a member of struct edge_timeouts, or none), end reason at the time-out, end reason when the client goes)
 * A large form is read in SEND, while it goes up (upload.h): its time-out is that of READ_BODY then, as long as the client is waited for.
 * Steps that wait for nothing run through within the same turn and appear for the map's sake.
 */
#ifndef EDGE_EXCHANGE_STEPS_H
#define EDGE_EXCHANGE_STEPS_H

#define EXCHANGE_STEPS(X) \
	X(READ_HEAD, "the request head; an exchange begins when it is complete", head, HEAD_TIMEOUT, CLIENT_GONE_EARLY) \
	X(AUTHENTICATE, "nothing: the key table is complete", none, BAD_KEY, CLIENT_GONE_EARLY) \
	X(LIMIT, "nothing: a free ticket, the gate, the size, limits of key and account", none, OVERLOADED, CLIENT_GONE_EARLY) \
	X(READ_BODY, "the request body and content memory for it", body, BODY_TIMEOUT, CLIENT_GONE_EARLY) \
	X(RESERVE, "a row to be loaded, a ticket to be booked, or one booking round before a 402 (8 s: spare.h)", connect, LEDGER_AWAY, CLIENT_GONE_EARLY) \
	X(ROUTE, "nothing: the catalogue", none, NO_MODEL, CLIENT_GONE_EARLY) \
	X(CONNECT, "the dialer", connect, PROVIDER_TIMEOUT, CLIENT_GONE_EARLY) \
	X(SEND, "the provider to take the request", between_bytes, PROVIDER_TIMEOUT, CLIENT_GONE_EARLY) \
	X(AWAIT, "the first byte of the answer", first_byte, PROVIDER_TIMEOUT, CLIENT_GONE) \
	X(RELAY, "more of the answer, or the client to take it", between_bytes, PROVIDER_STALLED, CLIENT_GONE) \
	X(SETTLE, "durability: strict only: the ticket to be on disk", connect, COMPLETED, COMPLETED) \
	X(DONE, "nothing", none, COMPLETED, COMPLETED)

enum exchange_step {
#define X(step, waits, timeout, late, gone) STEP_##step,
	EXCHANGE_STEPS(X)
#undef X
};

#endif
