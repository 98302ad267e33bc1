#include "core/ipc.h"
#include "ledger/ledger.h"
#include "proc/role_priv.h"
#include "proc/shared.h"
#include "proc/slice.h"
#include "ticket/receipt.h"

#include <assert.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { PREDECESSOR_MS = 15000 };

/* The first messages are the pepper, the receipts' seed and what own keys are sealed for; those behind them are ledger_main's. False: the supervisor is gone. */
static bool
receive_secret(int fd, enum secret_kind kind, uint8_t *ret, size_t secret_bytes)
{
	_Alignas(struct message_secret) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	int passed = -1;
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	enum ipc_result r;
	while ((r = ipc_recv(fd, buf, &bytes, &passed)) == IPC_AGAIN)
		if (poll(&wait, 1, -1) < 0)
			return false;
	if (r != IPC_OK)
		return false;
	const struct message_secret *m = (const void *)buf;
	bool fits = message_check(buf, bytes, END_OF_SUPERVISOR, END_OF_LEDGER, passed >= 0);
	assert(fits && m->head.type == MESSAGE_SECRET && m->kind == kind && m->secret_bytes == secret_bytes);
	memcpy(ret, m->secret, secret_bytes);
	explicit_bzero(buf, sizeof buf);
	return true;
}

static bool
map_pair(const int fds[2], const size_t bytes[2], const struct catalogue **ret_catalogue, struct tally **ret_tally)
{
	return shared_map_pair(fds, bytes, true, ret_catalogue, ret_tally);
}

/* One at a time touches the board and the store. It ends also when our supervisor does. */
static bool
await_predecessor(int pidfd)
{
	struct pollfd wait = {.fd = pidfd, .events = POLLIN};
	if (pidfd < 0)
		return true;
	bool ended = poll(&wait, 1, PREDECESSOR_MS) == 1;
	close(pidfd);
	return ended;
}

int
role_ledger(struct handover *h)
{
	static uint8_t pepper[API_KEY_PEPPER_BYTES], seed[RECEIPT_SEED_BYTES], byok[BYOK_PUBLIC_BYTES];
	int edge_fds[BOARD_EDGES_MAX];
	for (uint32_t i = 0; i < h->edges; i++)
		edge_fds[i] = handover_peer_fd(h, END_OF_EDGE, i);
	const struct catalogue *catalogue = shared_map_catalogue(h->grant_fd[GRANT_CATALOGUE]);
	const struct circuits *circuits;
	struct ledger_process p = {
		.options = {
			.data_dir = h->ledger_data_dir,
			.pepper = pepper,
			.receipt_seed = seed,
			.byok_public = byok,
			.node = h->ledger_node,
			.spans = h->ledger_spans,
			.batch_window_ms = h->ledger_batch_window_ms,
			.away_ms = h->ledger_outbox_ms,
			.away_requests = h->ledger_outbox_requests,
			.streams_per_account = h->ledger_streams_per_account,
			.catalogue = catalogue,
			.tally = catalogue ? shared_map_tally(h->grant_fd[GRANT_TALLY], catalogue, true) : NULL,
			.counters = shared_map_all_counters(h->grant_fd[GRANT_COUNTERS_READ], h->edges, &circuits),
			.counters_stride = COUNTERS_STRIDE,
			.board = shared_map_board(h->grant_fd[GRANT_BOARD]),
			.keys = shared_map_keys(h->grant_fd[GRANT_KEYS_WRITE], true),
			.lock_fd = h->grant_fd[GRANT_LOCK],
		},
		.supervisor_fd = h->supervisor_fd,
		.wake_fd = h->grant_fd[GRANT_WAKE],
		.control_fd = h->grant_fd[GRANT_CONTROL],
		.scribe_fd = handover_peer_fd(h, END_OF_SCRIBE, 0),
		.edge_fds = edge_fds,
		.edge_count = h->edges,
		.map_pair = map_pair,
		.unmap_pair = shared_unmap_pair,
		.lock_down = role_lock_down,
		.lock_down_arg = h,
	};
	p.options.circuits = circuits;
	if (!catalogue || !p.options.tally || !p.options.counters || !p.options.board || !p.options.keys)
		return role_fail("shared memory");
	if (!receive_secret(h->supervisor_fd, SECRET_PEPPER, pepper, sizeof pepper) || !receive_secret(h->supervisor_fd, SECRET_RECEIPT, seed, sizeof seed) ||
		!receive_secret(h->supervisor_fd, SECRET_BYOK, byok, sizeof byok))
		return 0;
	if (!await_predecessor(h->grant_fd[GRANT_PREDECESSOR]))
		return role_fail("the ledger before does not end");
	slice_in_background();
	return ledger_main(&p);
}
