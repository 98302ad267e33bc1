#include "edge/edge_priv.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

void
outbox_free(struct edge *e, struct outbox *o)
{
	vault_free_dirty(e->vault, o->at, o->cap, o->len);
	*o = (struct outbox){0};
}

/* Keep what stands behind `skip` bytes of the parts. False: no memory. */
static bool
keep_rest(struct edge *e, struct outbox *o, const struct iovec *parts, int count, size_t skip)
{
	size_t rest = 0;
	for (int i = 0; i < count; i++)
		rest += parts[i].iov_len;
	rest -= skip;
	size_t unsent = o->len - o->sent;
	if (rest + unsent > VAULT_BLOCK_MAX)
		return false;
	if (o->len + rest > o->cap) {
		uint32_t cap = (uint32_t)vault_block_bytes(rest + unsent);
		char *at = vault_alloc(e->vault, cap);
		if (!at)
			return false;
		if (unsent)
			memcpy(at, o->at + o->sent, unsent);
		outbox_free(e, o);
		*o = (struct outbox){.at = at, .cap = cap, .len = (uint32_t)unsent};
	}
	for (int i = 0; i < count; i++) {
		size_t off = skip < parts[i].iov_len ? skip : parts[i].iov_len;
		skip -= off;
		memcpy(o->at + o->len, (char *)parts[i].iov_base + off, parts[i].iov_len - off);
		o->len += (uint32_t)(parts[i].iov_len - off);
	}
	return true;
}

/* One sendmsg; -1 broken, 0 would block. */
static ssize_t
send_parts(struct watch *w, struct iovec *parts, int count)
{
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = (size_t)count};
	ssize_t n;
	do
		n = sendmsg(w->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		w->flags &= (uint16_t)~LOOP_WRITABLE;
		return 0;
	}
	return n;
}

static enum wrote
flush_box(struct edge *e, struct watch *w, struct outbox *o, uint64_t *ret_bytes)
{
	while (o->sent < o->len) {
		struct iovec part = {o->at + o->sent, o->len - o->sent};
		ssize_t n = send_parts(w, &part, 1);
		if (n < 0)
			return WROTE_BROKEN;
		if (n == 0)
			return WROTE_SOME;
		o->sent += (uint32_t)n;
		*ret_bytes += (uint64_t)n;
	}
	outbox_free(e, o);
	return WROTE_ALL;
}

enum wrote
outbox_write(struct edge *e, struct watch *w, struct outbox *o, struct iovec *parts, int count, uint64_t *ret_bytes)
{
	*ret_bytes = 0;
	if (o->at) {
		enum wrote r = flush_box(e, w, o, ret_bytes);
		if (r == WROTE_BROKEN)
			return r;
		if (r == WROTE_SOME)
			return keep_rest(e, o, parts, count, 0) ? WROTE_SOME : WROTE_BROKEN;
	}
	size_t total = 0;
	for (int i = 0; i < count; i++)
		total += parts[i].iov_len;
	if (total == 0)
		return WROTE_ALL;
	ssize_t n = send_parts(w, parts, count);
	if (n < 0)
		return WROTE_BROKEN;
	*ret_bytes += (uint64_t)n;
	if ((size_t)n == total)
		return WROTE_ALL;
	w->flags &= (uint16_t)~LOOP_WRITABLE;
	return keep_rest(e, o, parts, count, (size_t)n) ? WROTE_SOME : WROTE_BROKEN;
}
