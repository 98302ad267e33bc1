#include "proc/role_priv.h"
#include "proc/shared.h"

#include <string.h>

int
role_edge(struct handover *h)
{
	struct circuits *circuits = shared_map_circuits(h->grant_fd[GRANT_COUNTERS], h->edges); /* before the descriptor is closed */
	const struct process_counters *processes = shared_map_processes(h->grant_fd[GRANT_COUNTERS_READ], h->edges);
	struct edge_process p = {
		.index = h->instance,
		.incarnation = h->incarnation,
		.grade = (enum vault_grade)h->vault_grade,
		.durability = (enum durability)h->durability,
		.limits = h->edge_limits,
		.timeouts = h->edge_timeouts,
		.tls = h->edge_tls,
		.proxies = h->edge_proxies,
		.http2 = h->http2,
		.expose_route = h->expose_route,
		.transparency = h->transparency,
		.processes = processes,
		.board = shared_map_board(h->grant_fd[GRANT_BOARD]),
		.catalogue = shared_map_catalogue(h->grant_fd[GRANT_CATALOGUE]),
		.keys = shared_map_keys(h->grant_fd[GRANT_KEYS], false),
		.counters = shared_map_counters(h->grant_fd[GRANT_COUNTERS], h->instance),
		.circuits = circuits,
		.listen_fds = h->listen_fd,
		.listen_count = h->listen_count,
		.supervisor_fd = h->supervisor_fd,
		.dialer_fd = handover_only_peer_fd(h, END_OF_DIALER),
		.ledger_fd = handover_peer_fd(h, END_OF_LEDGER, 0),
		.scribe_fd = handover_peer_fd(h, END_OF_SCRIBE, 0),
		.signer_fd = handover_only_peer_fd(h, END_OF_SIGNER),
		.wake_fd = h->grant_fd[GRANT_WAKE],
		.lock_down = role_lock_down,
		.lock_down_arg = h,
	};
	memcpy(p.binary, h->binary, sizeof p.binary);
	if (!p.board || !p.catalogue || !p.keys || !p.counters || !p.processes)
		return role_fail("shared memory");
	return edge_main(&p);
}
