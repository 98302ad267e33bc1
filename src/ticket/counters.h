/*
 * What is counted: one block per edge in shared memory, written by its edge alone with relaxed stores, read by the scribe. Numbers only.
 * X(name, kind, meaning): kind counter (only grows) or gauge
 */
#ifndef TICKET_COUNTERS_H
#define TICKET_COUNTERS_H

#include "ticket/end_reasons.h"

#include <stdatomic.h>
#include <stdint.h>

#define COUNTERS(X) \
	X(connections_accepted, counter, "client connections accepted") \
	X(connections_open, gauge, "client connections open") \
	X(tls_handshakes, counter, "TLS handshakes with clients completed") \
	X(tls_resumed, counter, "TLS handshakes with clients that resumed a session") \
	X(tls_failed, counter, "TLS handshakes with clients that failed") \
	X(upstream_tls_handshakes, counter, "TLS handshakes with providers completed") \
	X(upstream_tls_resumed, counter, "TLS handshakes with providers that resumed a session") \
	X(upstream_opened, counter, "connections to providers opened") \
	X(upstream_reused, counter, "requests sent over a kept connection") \
	X(upstream_open, gauge, "connections to providers open") \
	X(upstream_idle, gauge, "connections to providers waiting for work") \
	X(exchanges_open, gauge, "exchanges in progress") \
	X(streams_open, gauge, "streamed answers in progress") \
	X(bytes_from_clients, counter, "bytes read from clients") \
	X(bytes_to_clients, counter, "bytes written to clients") \
	X(bytes_from_providers, counter, "bytes read from providers") \
	X(bytes_to_providers, counter, "bytes written to providers") \
	X(tokens_in, counter, "input tokens charged") \
	X(tokens_out, counter, "output tokens charged") \
	X(cost_nano, counter, "cost charged, in 1e-9 dollars") \
	X(estimated, counter, "exchanges whose usage had to be estimated") \
	X(vault_used_bytes, gauge, "vault memory in use") \
	X(vault_mapped_bytes, gauge, "vault memory mapped")

enum { COUNTER_END_REASONS = 64 };

struct counters {
#define X(name, kind, meaning) _Atomic uint64_t name;
	COUNTERS(X)
#undef X
	_Atomic uint64_t ended[COUNTER_END_REASONS]; /* exchanges by end reason's number */
} __attribute__((aligned(128)));

#define count_add(c, name, n) \
	atomic_store_explicit(&(c)->name, atomic_load_explicit(&(c)->name, memory_order_relaxed) + (uint64_t)(n), memory_order_relaxed)
#define count_set(c, name, n) atomic_store_explicit(&(c)->name, (uint64_t)(n), memory_order_relaxed)

#endif
