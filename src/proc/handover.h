/*
 * What a child of the supervisor finds when it starts: one struct in a sealed memfd on descriptor 3, and the
 * descriptors that it lists. Everything else is closed, the environment is empty, the command line says
 * nothing. Written by the supervisor, read once by the child; secrets are not in it (they come as messages).
 */
#ifndef PROC_HANDOVER_H
#define PROC_HANDOVER_H

#include "edge/edge.h"
#include "proc/roles.h"

#include <limits.h>

enum {
	HANDOVER_FD = 3,
	HANDOVER_LISTENERS_MAX = 16,
	COLLECTOR_HOST_MAX = 272,
	COLLECTOR_PATH_MAX = 128,
	HANDOVER_PEERS_MAX = BOARD_EDGES_MAX + 2 * GENERATIONS_MAX + 1,
};

#define HANDOVER_MAGIC 0x7265766f646e6148ULL

struct handover_peer {
	uint16_t role, instance;
	int32_t fd; /* -1: it does not run now; its end comes when it is started */
};

struct handover {
	uint64_t magic, bytes;
	uint16_t role, instance;
	uint32_t incarnation;
	uint32_t edges; /* of all generations */
	int32_t supervisor_fd;
	int32_t grant_fd[GRANT_COUNT]; /* -1: not given */
	uint32_t listen_count, peer_count;
	int32_t listen_fd[HANDOVER_LISTENERS_MAX];
	struct handover_peer peer[HANDOVER_PEERS_MAX];
	/* Slices of the configuration: each only for the role that it names; zero for others. */
	struct edge_limits edge_limits;
	struct edge_timeouts edge_timeouts;
	struct edge_tls edge_tls;
	struct edge_proxies edge_proxies;
	bool http2, transparency, expose_route;
	uint8_t binary[EDGE_BINARY_BYTES]; /* edge */
	uint32_t vault_grade; /* edge, signer */
	uint32_t durability; /* edge */
	uint32_t log_level; /* scribe */
	char otlp_name[256]; /* of the collector: dialer, scribe; "": there is none */
	uint16_t otlp_port; /* dialer */
	bool otlp_tls; /* scribe */
	char otlp_host[COLLECTOR_HOST_MAX], otlp_path[COLLECTOR_PATH_MAX]; /* scribe */
	bool ledger_spans;
	uint32_t ledger_node, ledger_batch_window_ms, ledger_streams_per_account;
	uint64_t ledger_outbox_ms, ledger_outbox_requests;
	char ledger_data_dir[PATH_MAX];
};

/* A sealed memfd with it, or -1 with errno. */
must_check int handover_write(const struct handover *h);
/*
 * Child: read and check descriptor 3 and close it. False: this process was not started by a supervisor of this
 * build.
 */
must_check bool handover_read(struct handover *ret);

/* The arrow to that peer, or -1. */
int handover_peer_fd(const struct handover *h, enum message_end role, uint32_t instance);
/* To the first of that role: for who has one only. */
int handover_only_peer_fd(const struct handover *h, enum message_end role);

#endif
