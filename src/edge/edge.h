/*
 * The edge: the only process that holds content. It accepts, reads, forwards, meters and settles; it can open neither a file nor a socket. One thread,
 * one loop, one vault. The way of one exchange is the table in exchange_steps.h, a file per step.
 */
#ifndef EDGE_EDGE_H
#define EDGE_EDGE_H

#include "core/forwarded.h"
#include "core/vault.h"
#include "ticket/board.h"
#include "ticket/catalogue.h"
#include "ticket/counters.h"
#include "ticket/key_table.h"

struct edge_limits {
	uint32_t head_bytes; /* request head */
	uint64_t body_bytes; /* request body */
	uint32_t connections; /* clients and providers together */
	uint32_t tickets_per_account_percent; /* of the slab that one account may have open; 100: no limit */
	uint32_t connections_per_address, bad_keys_per_minute; /* 0: no limit */
	uint64_t websocket_message_bytes; /* one message of a session */
	uint32_t websocket_frames_per_second; /* of a session's client */
	uint32_t translation_steps; /* looks at a body, or at a plain answer, that is translated: the loop is held so long */
	uint64_t content_bytes; /* vault budget */
	uint64_t library_bytes; /* of the vault on top of it: connections, TLS, the edge's own structs */
};

struct edge_timeouts { /* milliseconds */
	uint32_t head, body, idle, connect, first_byte, between_bytes, client_write, drain;
	uint32_t request; /* 0: no limit */
	uint32_t websocket_idle, websocket_close;
	uint32_t keep_alive; /* of a stream that says nothing; 0: never */
	uint32_t target; /* first byte, while another target is left; 0: no limit of its own */
};

struct edge_tls {
	uint32_t listeners; /* a bit for each of listen_fds: TLS is spoken there */
	uint32_t ask; /* enum tls_ask: for a client's certificate */
	bool tls13_only;
};

enum { EDGE_PROXIES_MAX = 64,
	EDGE_BINARY_BYTES = 32 };

/* Who may say from whom a request or a connection is. */
struct edge_proxies {
	uint32_t listeners; /* a bit for each of listen_fds: a header of the PROXY protocol comes first */
	uint32_t header; /* enum forwarded_header */
	uint32_t trusted_count;
	bool trust_unix; /* who connects to a Unix socket */
	struct address_range trusted[EDGE_PROXIES_MAX];
};

enum durability { DURABILITY_BATCHED,
	DURABILITY_STRICT };

/* All that an edge is given; descriptors are its own. */
struct edge_process {
	uint32_t index, incarnation;
	enum vault_grade grade;
	enum durability durability;
	struct edge_limits limits;
	struct edge_timeouts timeouts;
	struct edge_tls tls;
	struct edge_proxies proxies;
	bool http2; /* for clients that want it */
	bool transparency; /* the page is shown */
	const struct process_counters *processes; /* the supervisor's, read-only: the page's facts are there; NULL: no page is shown */
	uint8_t binary[EDGE_BINARY_BYTES]; /* SHA-256 of the program */
	struct board *board;
	const struct catalogue *catalogue;
	const struct key_table *keys;
	struct counters *counters; /* this edge's own block */
	struct circuits *circuits; /* of all edges; NULL: it has some of its own */
	bool expose_route; /* lethe-provider and lethe-lane in answers */
	const int *listen_fds;
	uint32_t listen_count;
	int supervisor_fd, dialer_fd, ledger_fd, scribe_fd, wake_fd;
	int signer_fd; /* -1: there is none */
	/* Called after loop, vault and listeners are set up and the secrets have come, before the first byte is accepted. */
	void (*lock_down)(void *arg);
	void *lock_down_arg;
};

/* Life of the process; returns its exit status. */
must_check int edge_main(struct edge_process *p);

#endif
