/*
 * The supervisor: starts the children of the role table, gives each its descriptors and secrets, restarts who
 * dies, drains on SIGTERM. It has the operator's secrets and never a byte of traffic. One thread, one loop; it
 * lives for one call of supervisor_run().
 */
#ifndef PROC_SUPERVISOR_H
#define PROC_SUPERVISOR_H

#include "edge/edge.h"
#include "proc/handover.h"
#include "ticket/severities.h"
#include "proc/tls_files.h"
#include "ticket/receipt.h"

#include <netinet/in.h>
#include <sys/un.h>

enum {
	RESTART_MS_MIN = 100, /* doubles with each death */
	RESTART_MS_MAX = 10000,
	RESTART_HEALTHY_MS = 60000, /* after this long the next death is the first again */
};

struct plan_address {
	socklen_t len;
	bool tls;
	bool dual_stack; /* IPv6: IPv4 as well */
	bool inherited; /* fd is a listening socket of the service manager's */
	int fd;
	mode_t mode; /* Unix: of the file */
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un local;
	};
};

struct plan_key {
	uint16_t provider, key;
	uint16_t secret_bytes;
	uint8_t secret[SECRET_BYTES_MAX];
};

/* Of OpenTelemetry. */
struct plan_collector {
	bool on, tls;
	uint16_t port;
	char name[256]; /* of its host, as its certificate has it */
	char host[COLLECTOR_HOST_MAX], path[COLLECTOR_PATH_MAX]; /* as requests to it say */
	uint16_t headers_bytes;
	uint8_t headers[SECRET_BYTES_MAX]; /* more lines for requests */
	const uint8_t *trust; /* PEM: who may have signed its certificate */
	size_t trust_bytes;
};

struct supervisor_plan;

/* What came of reading the configuration again; text: lines for the operator, cut when there are too many. */
struct plan_report {
	bool refused; /* nothing is to be changed */
	bool same; /* nothing was changed */
	uint32_t waiting; /* settings that are fixed until a restart */
	size_t len;
	char text[16384];
};

/* All that the supervisor needs to know; the caller's, unchanged during the run. */
struct supervisor_plan {
	char data_dir[PATH_MAX]; /* absolute; exists */
	uint32_t generations; /* of edges, at the same time; 0 and 1: they can't be changed over */
	uint32_t edges, node, tickets_per_edge, accounts, batch_window_ms;
	uint64_t outbox_ms, outbox_requests;
	enum durability durability;
	enum vault_grade grade;
	struct edge_limits limits;
	struct edge_timeouts timeouts;
	struct edge_tls edge_tls;
	struct edge_proxies edge_proxies;
	bool http2, expose_route;
	bool transparency;
	struct tls_files *tls; /* NULL: none */
	uint64_t ticket_rotation_ms;
	const void *catalogue;
	size_t catalogue_bytes;
	struct plan_address listen[HANDOVER_LISTENERS_MAX];
	uint32_t listen_count;
	struct plan_collector collector;
	bool metrics_on;
	struct plan_address metrics;
	uint8_t pepper[API_KEY_PEPPER_BYTES];
	uint8_t master[BYOK_SEED_BYTES];
	uint8_t receipt_seed[RECEIPT_SEED_BYTES];
	struct plan_key *keys;
	uint32_t key_count;
	int log_fd;
	enum severity log_level;
	char log_file[PATH_MAX]; /* "": standard error, which is never opened anew */
	int notify_fd; /* of the service manager (notify.h); -1: none */
	int lock_fd; /* the data directory's server lock, held */
	bool allow_plain_memory;
	struct json_t *settings; /* the configuration that this plan was made from, without secrets; NULL: it can't be upgraded */
	/*
	 * SIGHUP: the plan for the configuration as it is now, to be given back with drop; NULL where it says refused or same. What the supervisor
	 * keeps for its whole life (data directory, sizes of the board, descriptors) is as in `now`. NULL: there is nothing to read.
	 */
	struct supervisor_plan *(*again)(const struct supervisor_plan *now, struct plan_report *report);
	void (*drop)(struct supervisor_plan *plan);
	/* What the machine gives; again: only what changes in it. tls: the files in force. NULL: nobody looks. */
	void (*look)(const struct supervisor_plan *plan, const struct tls_files *tls, const struct circuits *circuits, bool again, struct machine *ret);
};

/*
 * Until SIGTERM and all is booked, or start fails. Returns the exit status; what went wrong is on standard
 * error and in the log.
 */
must_check int supervisor_run(const struct supervisor_plan *plan);

#endif
