#include "proc/role_priv.h"
#include "signer/signer.h"

int
role_signer(struct handover *h)
{
	int edge_fds[BOARD_EDGES_MAX];
	for (uint32_t i = 0; i < h->edges; i++)
		edge_fds[i] = handover_peer_fd(h, END_OF_EDGE, i);
	struct signer_process p = {
		.grade = (enum vault_grade)h->vault_grade,
		.supervisor_fd = h->supervisor_fd,
		.scribe_fd = handover_peer_fd(h, END_OF_SCRIBE, 0),
		.edge_fds = edge_fds,
		.edge_count = h->edges,
		.lock_down = role_lock_down,
		.lock_down_arg = h,
	};
	return signer_main(&p);
}
