#include "dialer/dialer.h"
#include "proc/role_priv.h"
#include "proc/shared.h"

int
role_dialer(struct handover *h)
{
	int edge_fds[BOARD_EDGES_MAX];
	for (uint32_t i = 0; i < h->edges; i++)
		edge_fds[i] = handover_peer_fd(h, END_OF_EDGE, i);
	struct dialer_process p = {
		.catalogue = shared_map_catalogue(h->grant_fd[GRANT_CATALOGUE]),
		.supervisor_fd = h->supervisor_fd,
		.scribe_fd = handover_peer_fd(h, END_OF_SCRIBE, 0),
		.edge_fds = edge_fds,
		.edge_count = h->edges,
		.collector = h->otlp_name[0] ? h->otlp_name : NULL,
		.collector_port = h->otlp_port,
		.lock_down = role_lock_down,
		.lock_down_arg = h,
	};
	if (!p.catalogue)
		return role_fail("the catalogue");
	return dialer_main(&p);
}
