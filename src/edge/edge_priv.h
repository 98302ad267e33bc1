/*
 * The edge's own struct, and what its files ask of each other. Content and secrets lie in the vault (exchange_priv.h); struct edge, in ordinary memory, holds pointers and numbers.
 */
#ifndef EDGE_EDGE_PRIV_H
#define EDGE_EDGE_PRIV_H

#include "core/text.h"
#include "edge/edge.h"
#include "edge/exchange_priv.h"
#include "edge/exchange_steps.h"
#include "edge/headers.h"
#include "edge/identity.h"
#include "edge/settle.h"
#include "edge/visitor.h"
#include "ticket/counters.h"
#include "ticket/end_reasons.h"
#include "ticket/events.h"
#include "ticket/messages.h"

#include <sys/uio.h>

enum {
	PROVIDERS_MAX = IDENTITY_PROVIDERS_MAX,
	READ_BYTES = 64 << 10, /* most that one read takes */
	CARRY_MAX = METER_HOLD_MAX + (32 << 10), /* undecided bytes of an answer that wait for what follows */
	HEAD_OUT_BYTES = 16 << 10, /* room for a head that we write */
	TOGETHER_MAX = 4 << 10, /* messages up to here are sent from one place */
	ERROR_BODY_MAX = 64 << 10, /* a provider's error text is read up to here */
	BLOCK_BODY_MAX = 256 << 10, /* a body's block */
	PIPELINED_MAX = 100, /* requests in a row that didn't wait for an answer; then the connection ends, told by "connection: close" */
	UPSTREAM_IDLE_MS = 55000,
	UPSTREAM_IDLE_MAX = 1024, /* per provider */
	MEMORY_WAIT_MS = 4000, /* two ticks, in which slow senders give way, and some more */
	STOP_GRACE_MS = 2500, /* after the supervisor is gone; with a tick on top, all must be over in 5 s */
	STRICT_POLL_MS = 4,
	TICK_MS = 1000,
	TLS_HANDSHAKE_BYTES = 96 << 10, /* what a handshake may take while it lasts */
	HANDSHAKES_SHARE = 4, /* clients' handshakes may take one in so many bytes of the vault */
	ACCEPTS_A_TURN = 8, /* of each listener */
	HANDSHAKES_A_TURN = 1, /* steps of handshakes, of clients and of providers each: one is 0.1 to 0.3 ms for everybody, with a signature by RSA half a millisecond more */
	PIPELINED_A_TURN = 2, /* requests that came before the answer to the one before them: 8 µs each, in a turn that takes 10 to 50 without them */
	NOISE_A_TURN = 1, /* reads of noise over HTTP/2, some 50 µs each */
	LINGER_READS_A_TURN = 4, /* of what nobody wants any more: 4 µs each */
};

struct listener;
struct provider_pool {
	struct upstream *idle;
	struct upstream *fresh; /* idle as well, since this turn */
	struct upstream *h2; /* connections that carry streams */
	struct line wait; /* for their turn at the dialer */
	uint32_t idle_count, dials; /* … that the dialer was asked for and has not answered */
};

struct secret {
	char *at; /* vault */
	uint16_t len;
};

struct edge {
	struct edge_process *p;
	struct loop loop;
	struct vault *vault;
	struct ticket_desk *desk;
	void *desk_memory;
	struct listener *listeners;
	struct watch supervisor, dialer, ledger;
	struct timer tick, poll;
	struct block *read; /* what a client sends first lands here, used as far as `len` and wiped at the turn's end (block.h); and what comes over HTTP/2, wiped at once */
	char *in; /* CARRY_MAX + READ_BYTES: every other read lands here first */
	char *head_out, *together; /* … TOGETHER_MAX: parts of a short message, one behind the other */
	char *h2_out; /* once there is a connection of HTTP/2 */
	uint32_t h2_out_len; /* gathered there */
	uint8_t *pepper, *receipt_key, *byok_seed; /* … key of the code in lethe-receipt; what opens own keys (byok.h) */
	struct identity *identity;
	struct secret key[PROVIDERS_MAX][CATALOGUE_KEYS_MAX];
	struct routes *routes;
	struct provider_pool pool[PROVIDERS_MAX];
	struct client *clients;
	struct exchange *exchanges;
	struct line wait_memory, wait_room, wait_dialer, wait_booking, wait_question, wait_later, wait_row, wait_booked, wait_receipt, wait_inlined, wait_work, wait_more, wait_ticket;
	struct span models_json[DIALECT_COUNT];
	uint64_t up_lengths[DIALECT_COUNT]; /* bit per length (modulo 64) that the name of a header field that may go up has */
	struct visitors *visitors;
	struct byok_keys *byok;
	struct known_keys *known_keys;
	struct {
		uint64_t connections, keys, told_ms; /* that limits by address have refused since */
	} turned_away;
	struct share *shares;
	uint32_t share_mask, share_most, shares_left, spares, spares_most, patient, put_off, patient_most, share_patient_most; /* … spare.h */
	struct http1_head head; /* the one that is being looked at */
	size_t in_used, together_used; /* bytes of `in` and `together` that were written in this turn: wiped at its end */
	uint64_t segments_asked_ms, models_until_ms; /* … a price in the lists of models changes then */
	uint64_t stop_at_ms; /* 0: running */
	uint64_t accept_at_ms; /* listeners are paused until then, and until there is room and memory; 0: not paused */
	uint64_t wall_offset_ms; /* wall clock − monotonic, refreshed by the tick */
	char date[40]; /* "date: …\r\n", refreshed by the tick */
	uint32_t date_len;
	uint32_t connections, slots, dials_most, dial_turn; /* … of one provider's at a time; with whom the arrow is filled next */
	bool go, draining, dial_again; /* … somebody waits for room in the dialer's arrow, or for a place: each turn looks */
	bool several; /* there may be other edges, which listen at the same sockets */
	bool retiring; /* others accept: those who are here are served, and told that the connection ends */
	struct {
		struct conn *first, **end; /* first come, first served */
	} turns[TURNS_COUNT];
	struct conn *turn; /* whose it is */
	uint32_t takes_turns; /* so many wait for theirs */
	uint32_t shaking[2]; /* [conn.upstream]: handshakes in progress */
	bool short_of_room; /* a handshake has not begun yet for want of memory */
	bool fresh; /* a pool has such connections */
	bool short_of_segments; /* a body was admitted, and is not read yet for want of mapped memory */
	uint32_t waiting_memory; /* in that list */
	uint64_t admit_round, kept_for_little; /* … bytes of the budget (admit.c) */
	bool thirsty; /* somebody was not read because the vault is nearly full */
	int status;
};

/* ---- edge.c ---- */
/* Life in two halves: edge_main() runs the loop in between; the loopback tests turn it by hand. NULL: can't begin. */
must_check struct edge *edge_open(struct edge_process *p);
void edge_close(struct edge **e);
void edge_report(struct edge *e, enum event_id event, uint64_t a, uint64_t b);
void edge_report_three(struct edge *e, enum event_id event, uint64_t a, uint64_t b, uint64_t c);
uint64_t edge_wall_ms(const struct edge *e);
void edge_date(struct text *t, uint64_t unix_s); /* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7) */
void edge_stop(struct edge *e);
void edge_poll(struct edge *e); /* in a moment: what the ledger has done since, and whether it hears more */
bool edge_has_room(const struct edge *e); /* for what one read may make us keep */
bool edge_has_room_for_tls(const struct edge *e); /* for one more handshake beside those in progress */
bool edge_has_room_for_hello(const struct edge *e); /* … with a client */

/*
 * Bytes of this exchange are looked at, until the end of the turn or the next call. A process that dies over them leaves the name of the key: the
 * supervisor reads it, and holds back a key that does so twice.
 */
static inline void
edge_works_for(const struct exchange *x)
{
	if (x->ticket)
		count_set(x->edge->p->counters, working_key, x->ticket->facts.key);
}

static inline void
edge_in_used(struct edge *e, size_t bytes)
{
	if (bytes > e->in_used)
		e->in_used = bytes;
}

/* ---- conn.c: one way of reading and writing ---- */
enum wrote { WROTE_ALL,
	WROTE_SOME,
	WROTE_BROKEN };
enum { CONN_NOTHING = 0,
	CONN_END = -1,
	CONN_CUT = -2 };
must_check bool conn_open(struct edge *e, struct conn *c, int fd, void (*ready)(struct watch *w));
must_check bool conn_begin_tls(struct edge *e, struct conn *c); /* what follows is TLS, with a client; false: no memory */
/* Is it its turn? False: it waits for it, first come, first served, and its watch is called when it is. */
must_check bool conn_may(struct edge *e, struct conn *c, enum turns turns);
void conn_leave(struct edge *e, struct conn *c); /* it wants no turn any more */
void conn_take_turns(struct edge *e); /* each turn of the loop: as many of those that wait as are not noticed by the others */
/* Says goodbye where TLS wants it, closes the descriptor, lets go of what waits. */
void conn_close(struct edge *e, struct conn *c);
void conn_drop_tls(struct edge *e, struct conn *c); /* what follows is clear text */
/* The last word of TLS: nothing is written after it. */
void conn_end(struct edge *e, struct conn *c);
/*
 * Bytes read (> 0), CONN_NOTHING now, CONN_END, or CONN_CUT: broken, or ended in a way that leaves open whether that was all. While
 * LOOP_READABLE stays set, there may be more, which will not be reported: read again, or loop_again().
 */
must_check ssize_t conn_read(struct edge *e, struct conn *c, char *at, size_t cap);
/* Write what waits and then the parts (they are used up); what the socket does not take is kept. ret_bytes: what went out. */
must_check enum wrote conn_write(struct edge *e, struct conn *c, struct iovec *parts, int count, uint64_t *ret_bytes);
/* Bytes of the parts that were taken, 0: none now, -1: broken. At most a TLS record waits in the outbox: conn_write() without parts moves it. */
must_check ssize_t conn_write_some(struct edge *e, struct conn *c, struct iovec *parts, int count);
/* Has nothing come that nobody asked for? */
must_check bool conn_is_quiet(struct edge *e, struct conn *c);
/* One step of the handshake: TLS_OK done, TLS_AGAIN wait. */
must_check enum tls_result conn_handshake(struct edge *e, struct conn *c);

/* ---- client.c ---- */
void client_send(struct client *c, struct iovec *parts, int count); /* may end the client, then c->x is gone as well: look at the exchange's step */
void client_next(struct client *c, bool keep); /* its exchange is over */
bool client_left_its_body(struct client *c); /* while nothing of it is read: it has ended, and the body won't be whole, or it does not listen */
void client_close(struct client *c);
/* The same when all is said: the peer, which may be in the middle of sending, gets to read it first. */
void client_part(struct client *c);
void client_retire(struct client *c); /* its edge retires: it may go when it is idle for a while */
void client_keep_rest(struct client *c, const char *bytes, size_t len); /* pipelined bytes */
void client_drop_pending(struct client *c);
void client_arm_head(struct client *c);
void client_arm_idle(struct client *c);
void client_arm_write(struct client *c);

/* ---- reply.c ---- */
/* Head lines (or none), bytes of the body, and whether that was all. May end the client, and x with it: look at x's step. */
void reply(struct exchange *x, struct span head, const char *data, size_t len, bool last);
void reply_continue(struct exchange *x);
size_t reply_read_most(const struct client *c); /* bytes of the provider's answer that are read at a time */
bool reply_is_full(const struct client *c); /* the provider is not read until it has taken some */
bool reply_has_unsent(const struct client *c);

/* ---- exchange.c ---- */
struct exchange *exchange_begin(struct client *c);
void exchange_step(struct exchange *x, enum exchange_step step);
void exchange_rearm(struct exchange *x); /* x->deadline_ms came nearer */
/* The end of every exchange. Answers the client if no byte went out yet, settles or frees the ticket, lets go of everything. */
void exchange_end(struct exchange *x, enum end_reason reason);
void exchange_client_gone(struct exchange *x);
void exchange_wait(struct exchange *x, struct line *l); /* at its end: first come, first served */
void exchange_stop_waiting(struct exchange *x);
struct request *request_begin(struct exchange *x);
void request_free(struct exchange *x);

/* ---- the steps ---- */
void read_head(struct client *c, const char *bytes, size_t len);
void read_head_skip_body(struct exchange *x, const struct http1_head *h, const char *rest, size_t len);
must_check bool authenticate_key(struct exchange *x, const struct http1_head *h); /* false: the exchange has ended */
/* named: the model that the path names, or empty */
void authenticate(struct exchange *x, const struct http1_head *h, struct span named, struct span rest);
void read_body_begin(struct exchange *x, const struct http1_head *h, struct span named, struct span rest);
void read_body_more(struct exchange *x);
must_check bool read_body_may_push(struct exchange *x, size_t len); /* false: it waits for memory, or has ended */
void read_body_push(struct exchange *x, const char *bytes, size_t len, bool end); /* for who is not asked for bytes, but brings them */
void read_body_failed(struct exchange *x, enum end_reason reason);
void reserve(struct exchange *x);
void reserve_retry(struct exchange *x);
void reserve_row_loaded(struct edge *e, const struct message_row *m);
must_check bool reserve_extend(struct exchange *x);
void headers_prepare(struct edge *e);
bool header_goes_up(const struct catalogue_provider *p, enum dialect dialect, struct span name);
bool route_model(struct exchange *x);
must_check bool route_edit(struct exchange *x); /* maybe for another target; false: no memory, or it waits for some, or the exchange has ended */
void send_request(struct exchange *x);
void send_copy(struct exchange *x, char *to, size_t len); /* the next bytes of the edited body, of which so many are left; counts them as sent */
void await_answer(struct exchange *x, char *bytes, size_t len, bool eof);
void relay_read(struct exchange *x);
void relay_push_bytes(struct exchange *x, const char *bytes, size_t len); /* for who is not asked for bytes, but brings them */
void relay_push_end(struct exchange *x, bool cut);
must_check bool carry_keep(struct exchange *x, const char *bytes, size_t len);
void relay_body(struct exchange *x, char *base, size_t have, size_t raw, bool eof, struct span head);
void relay_finish_strict(struct exchange *x);
void request_estimate(struct exchange *x); /* remember the input's size before the request is let go */

/* ---- admit.c: content memory ---- */
void admit_open(struct edge *e);
/* Before the body is read, before `bytes` more of it are. False: it waits, nothing is read meanwhile, or it has ended for want of a place to wait. */
must_check bool admit_body(struct exchange *x);
must_check bool admit_more(struct exchange *x, uint64_t bytes);
/* The same for bytes that are here already: false: there is no room. */
must_check bool admit_now(struct exchange *x, uint64_t bytes);
must_check bool admit_bytes(struct exchange *x, uint64_t bytes); /* what else a request needs */
must_check bool admit_answer(struct exchange *x, uint64_t bytes); /* … an answer: it is being paid for, and may take the last of it */
void admit_mapping(struct exchange *x); /* admitted, but not mapped: wait for it */
void admit_release(struct exchange *x);
void admit_turn(struct edge *e); /* each turn: who waits goes on, as far as there is room */
void admit_tick(struct edge *e); /* about once a second */

/* ---- upstream.c ---- */
struct upstream *upstream_adopt(struct edge *e, uint32_t provider, int fd, bool http2);
struct upstream *upstream_take_idle(struct edge *e, uint32_t provider);
void upstream_rest(struct edge *e); /* each turn: what was given back in it has rested */
void upstream_share(struct upstream *u); /* it carries streams: whoever comes may have one */
void upstream_arm_idle(struct upstream *u);
void upstream_close(struct upstream *u);
void upstream_release(struct upstream *u, bool keep); /* the exchange no longer needs it */

/* ---- answer.c: what Lethe itself says ---- */
void answer_error(struct exchange *x, enum end_reason reason, const char *param, struct span message);
void answer_request_error(struct exchange *x, enum request_error error);
void answer_wrong_endpoint(struct exchange *x);
void answer_stream_error(struct exchange *x, enum end_reason reason);
void answer_cut(struct exchange *x); /* a truncated answer must be seen as one: no last chunk, no goodbye */
void answer_allow(struct text *t, uint8_t methods); /* the allow line; a bit for each method */
void answer_json(struct exchange *x, uint16_t status, struct span body);
void answer_text(struct client *c, uint16_t status, const char *code, const char *message); /* before there is an exchange; the connection ends */
void answer_overloaded(struct client *c, enum dialect dialect); /* the same for want of memory */
void answer_head(struct exchange *x, struct text *t, uint16_t status); /* status line and our own fields, without the final empty line */
void answer_money_short(struct exchange *x, struct nano need, struct nano have);
void answer_provider_error(struct exchange *x);
bool answer_is_private(const struct exchange *x, struct span body); /* does a provider's error tell of the operator's own account? */
uint16_t reason_status(enum end_reason reason);

/* ---- share.c ---- */
must_check bool share_open(struct edge *e, uint32_t tickets);
must_check bool share_take(struct edge *e, uint64_t account); /* false: the account has its share */
void share_give(struct edge *e, uint64_t account);
must_check bool share_waits(struct edge *e, uint64_t account); /* one more of those, for the ledger (spare.h). False: as many do as may */
void share_waited(struct edge *e, uint64_t account);
must_check bool share_is_crowded(const struct edge *e, uint64_t account); /* half of those that may wait do, for what other servers have: others are to have a place too */
void share_put_off(struct edge *e, uint64_t account, int more); /* one more of those, or one less */
void share_content(struct edge *e, uint64_t account, int64_t bytes); /* so much more content memory */
uint64_t share_content_of(const struct edge *e, uint64_t account);
/* Is the account's place in this round open? *ret_content: what it has. */
must_check bool share_may_look(const struct edge *e, uint64_t account, uint64_t round, uint64_t *ret_content);
void share_is_stuck(struct edge *e, uint64_t account, uint64_t round);

#endif
