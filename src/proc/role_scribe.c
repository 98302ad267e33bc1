#include "proc/role_priv.h"
#include "proc/shared.h"
#include "proc/slice.h"
#include "scribe/scribe.h"

static bool
map_pair(const int fds[2], const size_t bytes[2], const struct catalogue **ret_catalogue, struct tally **ret_tally)
{
	return shared_map_pair(fds, bytes, false, ret_catalogue, ret_tally);
}

int
role_scribe(struct handover *h)
{
	struct scribe_peer peers[HANDOVER_PEERS_MAX];
	for (uint32_t i = 0; i < h->peer_count; i++)
		peers[i] = (struct scribe_peer){(enum message_end)h->peer[i].role, h->peer[i].instance, h->peer[i].fd};
	const struct catalogue *catalogue = shared_map_catalogue(h->grant_fd[GRANT_CATALOGUE]);
	const struct circuits *circuits;
	const void *counters = shared_map_all_counters(h->grant_fd[GRANT_COUNTERS_READ], h->edges, &circuits);
	struct scribe_process p = {
		.supervisor_fd = h->supervisor_fd,
		.log_fd = h->grant_fd[GRANT_LOG],
		.log_level = (enum severity)h->log_level,
		.otlp_name = h->otlp_name,
		.otlp_tls = h->otlp_tls,
		.otlp_host = h->otlp_host,
		.otlp_path = h->otlp_path,
		.metrics_fd = h->grant_fd[GRANT_METRICS],
		.peers = peers,
		.peer_count = h->peer_count,
		.counters = counters,
		.circuits = circuits,
		.counters_stride = COUNTERS_STRIDE,
		.edge_count = h->edges,
		.catalogue = catalogue,
		.tally = catalogue ? shared_map_tally(h->grant_fd[GRANT_TALLY_READ], catalogue, false) : NULL,
		.map_pair = map_pair,
		.unmap_pair = shared_unmap_pair,
		.lock_down = role_lock_down,
		.lock_down_arg = h,
	};
	if (!p.counters || !p.tally)
		return role_fail("the counters");
	slice_in_background();
	return scribe_main(&p);
}
