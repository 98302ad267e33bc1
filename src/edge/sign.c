#include "edge/sign.h"

#include "core/ipc.h"
#include "edge/edge_priv.h"

#include <assert.h>
#include <string.h>

/* One that was not waited for any more is not what was asked for now. */
static bool
is_answer(const struct sign_line *l, const void *message, size_t bytes)
{
	bool known = message_check(message, bytes, END_OF_SIGNER, END_OF_EDGE, false);
	assert(known);
	const struct message_signed *m = message;
	assert(m->signature_bytes <= TLS_SIGNATURE_MAX);
	return m->token == l->token;
}

/* Has what is owed come meanwhile? */
static bool
collect(const struct edge *e, struct sign_line *l)
{
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	int fd;
	while (l->owed && ipc_recv(e->p->signer_fd, buf, &bytes, &fd) == IPC_OK)
		l->owed = !is_answer(l, buf, bytes);
	return !l->owed;
}

static bool
wait_for_answer(struct edge *e, struct sign_line *l, uint8_t ret[TLS_SIGNATURE_MAX], size_t *ret_len)
{
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	enum ipc_result r = ipc_wait(e->p->signer_fd, buf, &bytes);
	if (r == IPC_AGAIN) {
		l->owed = true;
		edge_report(e, EVENT_SIGNER_SILENT, e->p->index, SIGNER_WAIT_MS);
	}
	if (r != IPC_OK || !is_answer(l, buf, bytes))
		return false;
	const struct message_signed *m = (const void *)buf;
	memcpy(ret, m->signature, m->signature_bytes);
	*ret_len = m->signature_bytes;
	return m->signature_bytes > 0;
}

static bool
ask(void *arg, const struct tls_sign *what, uint8_t ret[TLS_SIGNATURE_MAX], size_t *ret_len)
{
	struct edge *e = arg;
	struct sign_line *l = &e->identity->line;
	struct message_sign m = MESSAGE_INIT(SIGN, message_sign);
	if (!collect(e, l))
		return false;
	m.token = ++l->token;
	m.what = *what;
	return ipc_send(e->p->signer_fd, &m, sizeof m, -1) == IPC_OK && wait_for_answer(e, l, ret, ret_len);
}

void
sign_line_open(struct sign_line *l, struct edge *e)
{
	l->signer = (struct tls_signer){ask, e};
}

void
sign_line_renewed(struct sign_line *l)
{
	l->owed = false;
}
