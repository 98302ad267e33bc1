#include "link.h"

#include "net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum { FILE_MOST = 1 << 20 };

/* ---- life ---- */

bool
link_accept(struct link *l, int fd, struct tls_server *server)
{
	struct tls *t = server ? tls_accept(server, fd) : NULL;
	if (server && !t)
		return false;
	*l = (struct link){.fd = fd, .tls = t, .last = TLS_AGAIN};
	return true;
}

bool
link_connect(struct link *l, int fd, struct tls_client *client, const char *host, struct tls_sessions *sessions)
{
	struct tls *t = client ? tls_connect(client, host, sessions, fd) : NULL;
	if (client && !t)
		return false;
	*l = (struct link){.fd = fd, .tls = t, .last = TLS_AGAIN};
	return true;
}

static void
finish(struct link *l)
{
	tls_free(&l->tls);
	free(l->sealed);
	*l = (struct link){.fd = -1};
}

void
link_close(struct link *l)
{
	close(l->fd);
	finish(l);
}

void
link_reset(struct link *l)
{
	net_reset(l->fd);
	finish(l);
}

bool
link_is_ready(const struct link *l)
{
	return !l->tls || tls_is_ready(l->tls);
}

const char *
link_why(const struct link *l)
{
	static const char *const MEANING[] = {
#define X(name, meaning) [TLS_FLAW_##name] = meaning,
		TLS_FLAWS(X)
#undef X
	};
	if (!l->tls)
		return "";
	return tls_flaw(l->tls) == TLS_FLAW_NONE ? "" : MEANING[tls_flaw(l->tls)];
}

/* ---- sending ---- */

bool
link_is_full(const struct link *l)
{
	return l->sealed_at < l->sealed_len;
}

static void
keep(struct link *l, struct span s)
{
	size_t needed = l->sealed_len + s.len;
	if (needed > l->sealed_cap) {
		l->sealed = realloc(l->sealed, needed);
		if (!l->sealed)
			abort();
		l->sealed_cap = needed;
	}
	memcpy(l->sealed + l->sealed_len, s.at, s.len);
	l->sealed_len += s.len;
}

static bool
send_kept(struct link *l)
{
	if (!link_is_full(l))
		return true;
	ssize_t n = net_send(l->fd, l->sealed + l->sealed_at, l->sealed_len - l->sealed_at);
	if (n < 0)
		return false;
	l->sealed_at += (size_t)n;
	if (link_is_full(l))
		return true;
	free(l->sealed);
	l->sealed = NULL;
	l->sealed_at = l->sealed_len = l->sealed_cap = 0;
	return true;
}

/* What TLS has said since: to the socket, behind what waits for it. */
static bool
send_wire(struct link *l)
{
	struct span wire = tls_wire();
	ssize_t n = 0;
	if (!wire.len)
		return true;
	if (!link_is_full(l))
		n = net_send(l->fd, wire.at, wire.len);
	if (n >= 0 && (size_t)n < wire.len)
		keep(l, (struct span){wire.at + n, wire.len - (size_t)n});
	tls_wire_taken();
	return n >= 0;
}

ssize_t
link_send(struct link *l, const void *bytes, size_t len)
{
	size_t taken = 0;
	if (!l->tls)
		return len ? net_send(l->fd, bytes, len) : 0;
	if (!send_kept(l))
		return -1;
	while (taken < len && !link_is_full(l) && tls_is_ready(l->tls)) {
		struct iovec part = {(char *)bytes + taken, len - taken};
		size_t some = 0;
		enum tls_result r = tls_write(l->tls, &part, 1, &some);
		if (!send_wire(l) || r != TLS_OK)
			return -1;
		taken += some;
	}
	return (ssize_t)taken;
}

void
link_end(struct link *l)
{
	if (!l->tls)
		return;
	tls_end(l->tls);
	(void)!send_wire(l); /* who is gone need not be told */
}

/* ---- receiving ---- */

static ssize_t
receive_sealed(struct link *l, void *ret_bytes, size_t cap)
{
	size_t len = 0;
	l->last = tls_is_ready(l->tls) ? TLS_OK : tls_handshake(l->tls);
	if (l->last == TLS_OK)
		l->last = tls_read(l->tls, ret_bytes, cap, &len);
	if (!send_wire(l))
		return -1;
	return l->last == TLS_OK ? (ssize_t)len : l->last == TLS_AGAIN ? 0
																   : -1;
}

ssize_t
link_receive(struct link *l, void *ret_bytes, size_t cap)
{
	return l->tls ? receive_sealed(l, ret_bytes, cap) : net_receive(l->fd, ret_bytes, cap);
}

bool
link_has_more(const struct link *l)
{
	return l->tls && !tls_is_drained(l->tls);
}

/* ---- material ---- */

static _Noreturn void
die(const char *file, const char *why)
{
	fprintf(stderr, "%s: %s\n", file, why);
	exit(2);
}

static struct span
whole_file(const char *file)
{
	FILE *f = fopen(file, "r");
	char *at = malloc(FILE_MOST);
	if (!f || !at) {
		perror(file);
		exit(2);
	}
	size_t len = fread(at, 1, FILE_MOST, f);
	if (ferror(f) || len == FILE_MOST)
		die(file, "not readable, or not a PEM file");
	fclose(f);
	return (struct span){at, len};
}

struct tls_server *
link_server_of(const char *certificate_file, const char *key_file)
{
	static struct tls_ticket_keys tickets = {.count = 1};
	struct tls_server_options options = {.tickets = &tickets};
	struct tls_identity identity = {whole_file(certificate_file), whole_file(key_file)};
	char why[TLS_WHY_MAX];
	if (getrandom(&tickets.key[0], sizeof tickets.key[0], 0) != sizeof tickets.key[0])
		die("getrandom", "no random bytes");
	struct tls_server *s = tls_server_create(&identity, 1, &options, why);
	if (!s)
		die(certificate_file, why);
	free((char *)identity.certificate_pem.at);
	free((char *)identity.key_pem.at);
	return s;
}

struct tls_client *
link_client_of(const char *ca_file)
{
	struct span pem = whole_file(ca_file);
	char why[TLS_WHY_MAX];
	struct tls_client *c = tls_client_create(pem, why);
	if (!c)
		die(ca_file, why);
	free((char *)pem.at);
	return c;
}
