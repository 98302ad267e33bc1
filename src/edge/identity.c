#include "edge/identity.h"

#include "edge/edge_priv.h"

#include <assert.h>

/* ---- taking ---- */

/* The newest in front; the oldest opens nothing any more. */
static void
take_ticket_key(struct tls_ticket_keys *t, const struct message_secret *m)
{
	_Static_assert(sizeof(struct tls_ticket_key) == (size_t)TICKET_KEY_BYTES, "the message has what TLS wants");
	assert(m->secret_bytes == TICKET_KEY_BYTES);
	memmove(t->key + 1, t->key, sizeof t->key - sizeof t->key[0]);
	memcpy(t->key, m->secret, sizeof t->key[0]);
	if (t->count < TLS_TICKET_KEYS)
		t->count++;
}

static struct pem_text *
pem_of(struct identity *i, const struct message_secret *m)
{
	uint32_t most = m->kind == SECRET_CLIENT_CA ? 1 : m->kind == SECRET_TRUST ? TRUSTS_MAX
																			  : TLS_IDENTITIES_MAX;
	assert(m->provider < most);
	switch ((enum secret_kind)m->kind) {
	case SECRET_CERTIFICATE:
		return &i->certificate[m->provider];
	case SECRET_TRUST:
		return &i->pending_trust[m->provider];
	case SECRET_CLIENT_CA:
		return &i->client_ca;
	case SECRET_CERTIFICATE_KEY: /* the signer's */
	case SECRET_PEPPER:
	case SECRET_PROVIDER_KEY:
	case SECRET_RECEIPT:
	case SECRET_BYOK:
	case SECRET_TICKET_KEY:
	case SECRET_COLLECTOR_HEADERS: /* the scribe's */
	case SECRET_COLLECTOR_TRUST:
		break;
	}
	return NULL;
}

void
identity_take(struct edge *e, const struct message_secret *m)
{
	struct identity *i = e->identity;
	if (m->kind == SECRET_TICKET_KEY) {
		take_ticket_key(&i->tickets, m);
		return;
	}
	struct pem_text *p = pem_of(i, m);
	assert(p);
	if (m->key == 0) /* its first piece: what is here was never finished */
		pem_text_drop(e->vault, p);
	if (!i->short_of_memory && !pem_text_add(e->vault, p, m->secret, m->secret_bytes))
		i->short_of_memory = true;
}

/* ---- using ---- */

static bool
use_certificates(struct edge *e)
{
	struct identity *i = e->identity;
	struct tls_identity all[TLS_IDENTITIES_MAX];
	char why[TLS_WHY_MAX]; /* told already by who read the files */
	uint32_t count = 0;
	while (count < TLS_IDENTITIES_MAX && i->certificate[count].len) {
		all[count] = (struct tls_identity){.certificate_pem = pem_text_span(&i->certificate[count])};
		count++;
	}
	if (count == 0)
		return true;
	sign_line_open(&i->line, e);
	const struct tls_server_options options = {
		.signer = &i->line.signer,
		.tls13_only = e->p->tls.tls13_only,
		.ask = (enum tls_ask)e->p->tls.ask,
		.client_ca_pem = pem_text_span(&i->client_ca),
		.tickets = &i->tickets,
		.h2 = e->p->http2,
	};
	struct tls_server *server = tls_server_create(all, count, &options, why);
	if (!server)
		return false;
	tls_server_unref(&i->server);
	i->server = server;
	return true;
}

static bool
use_trust(struct identity *i)
{
	char why[TLS_WHY_MAX];
	for (uint32_t k = 0; k < TRUSTS_MAX; k++) {
		if (!i->pending_trust[k].len)
			continue;
		struct tls_client *client = tls_client_create(pem_text_span(&i->pending_trust[k]), why);
		if (!client)
			return false;
		tls_client_unref(&i->trust[k]);
		i->trust[k] = client;
	}
	return true;
}

static bool
anything_came(const struct identity *i)
{
	bool came = i->certificate[0].len;
	for (uint32_t k = 0; k < TRUSTS_MAX; k++)
		came = came || i->pending_trust[k].len;
	return came;
}

static void
drop_pending(struct edge *e)
{
	struct identity *i = e->identity;
	for (uint32_t k = 0; k < TLS_IDENTITIES_MAX; k++)
		pem_text_drop(e->vault, &i->certificate[k]);
	for (uint32_t k = 0; k < TRUSTS_MAX; k++)
		pem_text_drop(e->vault, &i->pending_trust[k]);
	pem_text_drop(e->vault, &i->client_ca);
	i->short_of_memory = false;
}

bool
identity_use(struct edge *e)
{
	struct identity *i = e->identity;
	if (!anything_came(i) && !i->short_of_memory) /* clear text on both sides: OpenSSL stays asleep */
		return true;
	if (!i->server && !i->trust[0] && !tls_memory_in(e->vault))
		return false;
	bool used = !i->short_of_memory && use_certificates(e) && use_trust(i);
	drop_pending(e);
	return used;
}

struct tls *
identity_connect(struct edge *e, uint32_t provider, int fd, bool http2)
{
	struct identity *i = e->identity;
	const struct catalogue_provider *p = catalogue_provider(e->p->catalogue, provider);
	if (p->trust >= TRUSTS_MAX || !i->trust[p->trust])
		return NULL;
	if (!i->sessions[provider])
		i->sessions[provider] = tls_sessions_create(); /* without memory for it, each handshake is a full one */
	struct tls *t = tls_connect(i->trust[p->trust], p->host, i->sessions[provider], fd);
	if (t && p->http2 && http2)
		tls_offer_h2(t);
	return t;
}
