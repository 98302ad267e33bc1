/*
 * What is counted: one block per edge in shared memory, written by its edge alone with relaxed stores, read by the scribe. Numbers only.
 * X(name, kind, metric, meaning): kind counter (only grows) or gauge; metric: its name behind lethe_, without _total
 * New ones are appended: edges of an older build know nothing of them (layout.h).
 */
#ifndef TICKET_COUNTERS_H
#define TICKET_COUNTERS_H

#include "ticket/end_reasons.h"
#include "ticket/machine.h"

#include <stdatomic.h>
#include <stdint.h>

#define COUNTERS(X) \
	X(connections_accepted, counter, "connections_accepted", "Client connections accepted.") \
	X(connections_open, gauge, "connections_open", "Client connections open.") \
	X(connections_refused, counter, "connections_refused", "Client connections closed because their address has its number of them.") \
	X(proxy_headers_refused, counter, "proxy_headers_refused", "Connections closed for want of a right header of the PROXY protocol from a trusted proxy.") \
	X(tls_handshakes, counter, "tls_handshakes", "TLS handshakes with clients completed.") \
	X(tls_resumed, counter, "tls_resumed_handshakes", "TLS handshakes with clients that resumed a session.") \
	X(tls_failed, counter, "tls_failed_handshakes", "TLS handshakes with clients that failed.") \
	X(h2_connections, counter, "h2_connections", "Client connections that speak HTTP/2.") \
	X(h2_streams, counter, "h2_requests", "Requests that came over HTTP/2.") \
	X(h2_calmed, counter, "h2_connections_ended_for_noise", "Connections of HTTP/2 ended for too many frames that move nothing.") \
	X(upstream_tls_handshakes, counter, "upstream_tls_handshakes", "TLS handshakes with providers completed.") \
	X(upstream_tls_resumed, counter, "upstream_tls_resumed_handshakes", "TLS handshakes with providers that resumed a session.") \
	X(upstream_opened, counter, "upstream_connections_opened", "Connections to providers opened.") \
	X(upstream_reused, counter, "upstream_connections_reused", "Requests sent over a kept connection.") \
	X(upstream_open, gauge, "upstream_connections_open", "Connections to providers open.") \
	X(upstream_idle, gauge, "upstream_connections_idle", "Connections to providers that wait for work.") \
	X(exchanges_open, gauge, "exchanges_open", "Exchanges in progress.") \
	X(streams_open, gauge, "streams_open", "Streamed answers in progress.") \
	X(bytes_from_clients, counter, "client_received_bytes", "Bytes read from clients.") \
	X(bytes_to_clients, counter, "client_sent_bytes", "Bytes written to clients.") \
	X(bytes_from_providers, counter, "upstream_received_bytes", "Bytes read from providers.") \
	X(bytes_to_providers, counter, "upstream_sent_bytes", "Bytes written to providers.") \
	X(vault_used_bytes, gauge, "vault_used_bytes", "Memory for content in use.") \
	X(vault_mapped_bytes, gauge, "vault_mapped_bytes", "Memory for content mapped.") \
	X(upstream_failovers, counter, "upstream_failovers", "Attempts that failed before the first byte and were followed by one at another target or key.") \
	X(circuits_opened, counter, "circuits_opened", "Targets that failed several times in a row and are asked after others since.")

enum { COUNTER_END_REASONS = 64 };

struct counters {
	_Atomic uint64_t ended[COUNTER_END_REASONS]; /* exchanges by end reason's number */
	_Atomic uint64_t working_key; /* whose bytes are being looked at; 0: nobody's. Read when the edge has died */
#define X(name, kind, metric, meaning) _Atomic uint64_t name;
	COUNTERS(X)
#undef X
} __attribute__((aligned(128)));

/*
 * The processes, told by the supervisor alone: a block behind those of the edges. X(name, counter or gauge, meaning)
 */
#define PROCESS_COUNTERS(X) \
	X(role, gauge, "enum message_end; 0: there is no such process now") \
	X(instance, gauge, "which of its role") \
	X(up, gauge, "1 when it serves") \
	X(started_ms, gauge, "when it was started") \
	X(restarts, counter, "times that it was started again")

enum { PROCESSES_MAX = 132 };

struct process_counters {
	_Atomic uint64_t started_ms; /* the supervisor; Unix */
	_Atomic uint64_t count;
	_Atomic uint64_t vault_budget_bytes; /* of an edge */
	_Atomic uint64_t generation; /* of the edges that serve: 1, 2, … since the start */
	_Atomic uint64_t upgrades; /* to another binary, since the start */
	_Atomic uint64_t edges_known[2]; /* a bit for each that was ever started */
	struct process_numbers {
#define X(name, kind, meaning) _Atomic uint64_t name;
		PROCESS_COUNTERS(X)
#undef X
	} process[PROCESSES_MAX];
	_Atomic uint64_t machine_looked_ms; /* struct machine, as the supervisor last saw it */
	struct {
		_Atomic uint64_t state, number;
	} machine[MACHINE_FACT_COUNT];
};

#define count_add(c, name, n) \
	atomic_store_explicit(&(c)->name, atomic_load_explicit(&(c)->name, memory_order_relaxed) + (uint64_t){(n)}, memory_order_relaxed)
#define count_set(c, name, n) atomic_store_explicit(&(c)->name, (uint64_t){(n)}, memory_order_relaxed)

#endif
