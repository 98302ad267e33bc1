/*
 * Who an exchange is between and what it remembers: connections, requests, answers. Everything here lies in the vault.
 *
 * Lifetimes: client (a connection) > exchange (one request and its answer) > request (until the answer begins). An upstream
 * connection is lent to one exchange at a time and rests in its provider's pool in between.
 */
#ifndef EDGE_EXCHANGE_PRIV_H
#define EDGE_EXCHANGE_PRIV_H

#include "core/address.h"
#include "core/http1.h"
#include "core/loop.h"
#include "core/proxy2.h"
#include "core/tls.h"
#include "dialect/form.h"
#include "dialect/meter.h"
#include "dialect/request.h"
#include "edge/block.h"
#include "edge/route.h"
#include "ticket/catalogue.h"
#include "ticket/endpoints.h"
#include "ticket/ticket.h"

struct edge;
struct exchange;
struct citing;
struct client;
struct duplex;
struct object;
struct passage;
struct receipt_inline;
struct sample;
struct upload;
struct upstream;
struct visitor;

/* Who waits for the same, in the order of coming. All zero: nobody. */
struct line {
	struct exchange *first, **end;
};

/* Bytes that a socket did not take at once: one vault block. */
struct outbox {
	char *at;
	uint32_t len, cap, sent;
};

/* What connections take turns with: of each kind only so many in a turn of the loop, so that those with something better to do wait for none of it. */
enum turns { TURNS_UPSTREAM_HANDS, /* a step of the handshake: with a provider */
	TURNS_CLIENT_HANDS, /* … with a client */
	TURNS_PIPELINED, /* a request that came before the answer to the one before it */
	TURNS_NOISE, /* frames of who sends many that move nothing (h2.h) */
	TURNS_LINGER, /* what is read only to be dropped (linger.h) */
	TURNS_COUNT };

/* A socket, in clear text or with TLS on it. */
struct conn {
	struct watch watch;
	struct tls *tls; /* NULL: clear text */
	struct outbox out;
	struct conn *turn_next, **turn_link; /* in the queue for … */
	uint8_t turns; /* enum turns */
	bool upstream;
	bool shaken; /* the handshake is done, and counted */
	bool cut; /* what was said is not all of it: no goodbye, which would say that it is (RFC 8446 6.1) */
};

struct client {
	struct conn conn;
	struct edge *edge; /* up to is_stream: what each chunk of an answer looks at, in two lines of the cache */
	struct exchange *x;
	struct h2 *h2; /* it speaks HTTP/2: its streams have the exchanges */
	bool is_stream; /* one of HTTP/2: it has no socket of its own (h2.c) */
	struct timer timer; /* idle, head, slow reader, linger */
	struct deferred deferred;
	struct client *next, **link;
	struct proxy2 *proxy; /* the header that comes first is not complete */
	struct address address; /* the peer's, or that which a trusted proxy gave at its beginning */
	struct visitor *visitor; /* whose connection it is; NULL: not counted */
	char *pending; /* an incomplete head, or what was pipelined */
	uint32_t pending_len, pending_cap;
	size_t scanned;
	bool incomplete; /* what is kept was looked at: more is needed */
	bool late; /* … its time was over with more of it in the socket: that was read, and nothing beyond */
	uint64_t linger_left, linger_began_ms;
	uint32_t pipelined; /* requests that had come before the answer to the one before them */
	bool closing; /* close when the outbox is empty */
	bool linger; /* … and let the peer finish sending first */
	bool lingering;
	bool narrow; /* … with a small window */
	bool half_closed; /* it sends nothing more, and may listen still */
	bool http10;
	bool loopback; /* from this machine */
	bool trusted; /* a proxy that says from whom its requests are */
	bool tls_follows; /* it will begin with the client's first record */
};

struct upstream {
	struct conn conn;
	struct edge *edge; /* up to is_stream as in struct client */
	struct exchange *x;
	struct h2_up *h2; /* it speaks HTTP/2: its streams have the exchanges */
	bool is_stream; /* one of HTTP/2: it has no socket of its own (h2_up.c) */
	struct timer timer; /* idle */
	struct deferred deferred;
	struct upstream *next, **link; /* in the pool */
	uint32_t provider;
	bool shared; /* in the pool, for streams */
	bool reused; /* has carried an exchange before */
};

/* How the body of the answer ends. */
enum framing { FRAMING_NONE,
	FRAMING_LENGTH,
	FRAMING_CHUNKED,
	FRAMING_CLOSE };

enum { EDITS_FEW = 6 };

/* What its key and account are limited in (limit.h). */
struct limited {
	uint64_t asked; /* a window's row that the ledger is to load; 0: the account's */
	uint64_t lacking_nano; /* of it; 0: not known */
	uint64_t left_nano; /* of money, when that refuses it */
	uint64_t need_nano;
	uint32_t rows[2]; /* of the key and of its account, 0: none */
	uint32_t input, output; /* tokens that were taken */
	uint32_t wait_s; /* refused: until it may come again */
	uint8_t taken[2]; /* enum limit_taken */
	uint8_t refused, refused_by; /* enum limit_kind, index of rows */
	uint8_t loads;
	uint8_t more; /* windows of which the ledger was asked for more (limit_lacks()) */
	bool tokens;
};

/* What is needed until the answer begins: the body, because it may have to be sent again. */
struct request {
	struct form_scan *form; /* the body is a form */
	struct upload *upload; /* … that may go up while it comes (upload.h) */
	struct http1_chunked chunked;
	struct block *body, *body_last;
	struct block *body_fill; /* the first that is not full; those behind it were made ahead */
	uint64_t body_bytes, body_left;
	uint64_t admitted; /* of the budget for content: never less than body_bytes */
	uint64_t wants; /* while it waits for memory: bytes */
	uint64_t wait_until_ms; /* since the body last grew */
	uint64_t tried; /* to be translated with so much memory */
	uint64_t bytes_then; /* at the last look for slow senders */
	char *headers; /* "name: value\r\n" of what goes up */
	uint32_t headers_len;
	char *head; /* our request head, kept when the socket did not take it whole */
	uint32_t head_len;
	uint64_t sent, total; /* of head and edited body */
	struct route_wish wish;
	struct request_edit *edits; /* few, or a block of their own */
	struct request_edit few[EDITS_FEW];
	uint32_t edit_count, edits_cap;
	char edit_text[REQUEST_EDIT_TEXT_MAX];
	bool body_chunked, as_is;
	bool piecewise; /* memory is had as the body comes */
	bool looked_at;
	bool expects; /* the client waits for 100 Continue, and we for memory */
	bool translates; /* it waits for memory to be translated, and not for more of the body */
	bool lenient; /* lethe-translate */
	struct request_scan scan; /* last: its end is seldom written (request_scan_used) */
};
_Static_assert(sizeof(struct request) <= 4096, "a page: blocks are powers of two");
/* What of it is written of every request, nearly: of the scan's result all but the lists. */
enum { REQUEST_USUAL_BYTES = offsetof(struct request, scan) + offsetof(struct request_scan, result) + offsetof(struct request_facts, objects) };

struct exchange {
	struct edge *edge; /* up to the flags: what each chunk of a stream looks at, in few lines of the cache */
	struct client *client; /* NULL when it has gone and the answer is drained */
	struct upstream *up;
	struct meter *meter;
	struct ticket *ticket;
	struct duplex *duplex; /* a WebSocket, asked for or running */
	struct passage *passage; /* its provider speaks another language (passage.h) */
	struct object *object; /* it is about something that is kept at a provider (object.h) */
	struct citing *citing; /* its answer may name what is kept at the provider (citing.h) */
	struct receipt_inline *inlined; /* its receipt goes with the answer (receipt_inline.h) */
	char *carry; /* answer: incomplete head, undecided events, or the collected error body */
	struct http1_chunked chunked;
	uint64_t paused_ms; /* since when it waits for more of the balance (relay.h); 0: it does not */
	uint64_t deadline_ms;
	uint64_t said_ms; /* a stream: when something last went to the client */
	uint64_t extend_at; /* counted output tokens at which the hold has to grow */
	const struct catalogue_model *model;
	const struct catalogue_price *price; /* base row */
	const struct catalogue_price *words_by, *words_base; /* a stream's words were last counted by this row, for that base row and */
	uint64_t words_input; /* … so many tokens of input; NULL: not yet, or not by their number alone */
	uint64_t input_estimate;
	uint64_t answer_left;
	uint32_t carry_len, carry_cap;
	char tail[4]; /* … how what went to the client last ended */
	uint8_t step; /* enum exchange_step */
	uint8_t method;
	uint8_t endpoint; /* enum endpoint */
	uint8_t dialect; /* enum dialect: in whose words the caller is answered */
	uint8_t takes; /* a bit for each method that the path takes: for 405 */
	uint8_t framing; /* of the provider's answer */
	uint8_t attempts, interim;
	uint8_t strict_reason; /* durability: strict, while the ticket is being booked */
	bool strict_complete;
	bool completed_stated; /* the ticket says already what it costs that the exchange is completed */
	bool streamed; /* the answer is SSE */
	bool keep_client; /* the connection may carry another request */
	bool keep_upstream;
	bool head_sent; /* the client has seen a status line */
	bool answered; /* a complete answer has been written */
	bool head_only; /* HEAD */
	bool plain_answer; /* text or subtitles were asked for */
	bool sse_asked; /* Gemini: alt=sse */
	bool names_objects; /* the provider has been told ids that are not the caller's */
	bool beta_asked; /* Anthropic: beta=true */
	bool client_chunked; /* we frame the answer in chunks */
	bool estimate; /* what it is told was counted here, and not by a provider */
	bool collect; /* an error answer: read it whole, then decide */
	bool hide; /* include_usage was injected */
	uint8_t scope; /* enum key_scope that it takes; 0: inference */
	bool quote; /* it is told what it would cost, and goes no further */
	bool counted; /* … its input, for the hold */
	bool held; /* the ticket is HELD */
	bool spare; /* it is none of the board's yet (spare.h) */
	bool patient; /* … and while it waits with one, it counts among those */
	bool more_answered; /* since it is paused the ledger has looked for more */
	bool put_off_now; /* … and among those who wait for what other servers have */
	uint8_t question; /* enum question, what it asks the ledger */
	bool loaded; /* the row was asked for once */
	bool refused; /* the ledger has said of it, or of a window, that there will be no more */
	bool extendable;
	bool up_done; /* the provider's answer is complete */
	bool up_encoded; /* … is compressed, though it was not to be: its bytes say nothing to us */
	bool up_cut; /* its connection broke: where only the end of the connection ends the answer, it is not complete */
	struct timer timer;
	struct deferred deferred;
	struct request *req;
	struct exchange *next, **link; /* all of this edge */
	struct exchange *wait_next, **wait_link; /* in the one line it waits in */
	struct line *wait_line;
	struct route route;
	const struct catalogue_price *bound; /* what the hold is counted by: the dearest row that may come into force */
	uint64_t id, started_ms;
	uint64_t account_row, key;
	uint64_t receipt_of; /* the request whose receipt is asked for */
	uint64_t wait_rounds; /* booking round to wait for */
	uint64_t patience_ms; /* RESERVE: until when it waits for the ledger, whatever for (spare.h); 0: it has not yet */
	uint64_t ask_at_ms; /* the ledger could not say: when it stands in line again (question.h); 0: it was not so */
	uint64_t input_most; /* its input by a count of ours, where by its bytes the balance was short; 0: not so */
	struct sample *sample; /* of a stream that may never say what it used */
	uint32_t said_tokens, said_bytes; /* … counted, when it has ended so: what so many bytes of words have; 0: not so */
	uint64_t settled_seq; /* durability: strict: the ticket that was handed in */
	struct ticket *settled;
	struct limited limited;
	uint64_t lacking_nano; /* of the balance here: the ledger was asked for more */
	uint64_t lacking_ms; /* and when, by a stream that goes on */
	uint64_t hold_input, hold_output; /* tokens that the hold covers */
	uint32_t pieces; /* n: images that were asked for */
	uint32_t seconds_estimate; /* of audio in the request, by its size */
	uint32_t slot;
	uint32_t put_off; /* times that other servers were asked for what they have of it, or of a window, and it waited */
	uint32_t overtaken; /* times that what had come for it went to somebody else */
	uint32_t capped; /* value of lethe-capped, 0 when none */
	uint32_t up_status;
	uint32_t collect_at; /* collected error: header lines stand in front of the body */
	size_t scanned; /* of an incomplete answer head */
};

#endif
