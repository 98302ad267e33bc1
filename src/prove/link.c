#include "prove/link.h"

#include "prove/h2_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void
be_patient(int fd)
{
	struct timeval t = {.tv_sec = LINK_PATIENCE_MS / 1000};
	int on = 1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static bool
shake_hands(struct link *l, SSL_CTX *tls, int (*shake)(SSL *), bool h2)
{
	static const unsigned char offered[] = "\x02h2";
	be_patient(l->fd);
	if (!tls)
		return true;
	l->ssl = SSL_new(tls);
	if (l->ssl && (!h2 || SSL_set_alpn_protos(l->ssl, offered, sizeof offered - 1) == 0) && SSL_set_fd(l->ssl, l->fd) == 1 && shake(l->ssl) == 1)
		return true;
	link_close(l);
	return false;
}

bool
link_connect(struct link *l, uint16_t port, SSL_CTX *tls, bool h2)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	*l = (struct link){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	if (l->fd >= 0 && connect(l->fd, (struct sockaddr *)&to, sizeof to) == 0)
		return shake_hands(l, tls, SSL_connect, h2);
	link_close(l);
	return false;
}

bool
link_accept(struct link *l, int fd, SSL_CTX *tls)
{
	*l = (struct link){.fd = fd};
	return shake_hands(l, tls, SSL_accept, false);
}

bool
link_write(struct link *l, const void *at, size_t len)
{
	const char *from = at;
	while (len) {
		ssize_t n = l->ssl ? SSL_write(l->ssl, from, len < INT_MAX ? (int)len : INT_MAX) : send(l->fd, from, len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		from += n;
		len -= (size_t)n;
	}
	return true;
}

size_t
link_read(struct link *l, void *at, size_t cap)
{
	ssize_t n = l->ssl ? SSL_read(l->ssl, at, (int)cap) : recv(l->fd, at, cap, 0);
	l->silent = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
	return n > 0 ? (size_t)n : 0;
}

void
link_close(struct link *l)
{
	h2_client_free(&l->h2);
	SSL_free(l->ssl);
	if (l->fd >= 0)
		close(l->fd);
	*l = (struct link){.fd = -1};
}

void
link_reset(struct link *l)
{
	const struct linger now = {.l_onoff = 1};
	if (l->fd >= 0)
		setsockopt(l->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	link_close(l);
}

/* ---- certificate ---- */

static bool
extend(X509 *x, int nid, const char *value)
{
	X509V3_CTX c;
	X509V3_set_ctx_nodb(&c);
	X509V3_set_ctx(&c, x, x, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &c, nid, value);
	bool added = e && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return added;
}

static X509 *
certificate_for(EVP_PKEY *key)
{
	enum { DAY_S = 24 * 3600 };
	X509 *x = X509_new();
	X509_NAME *name = x ? X509_get_subject_name(x) : NULL;
	bool made = name && X509_set_version(x, 2) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1 &&
		X509_gmtime_adj(X509_getm_notBefore(x), -DAY_S) && X509_gmtime_adj(X509_getm_notAfter(x), DAY_S) && X509_set_pubkey(x, key) == 1 &&
		X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"lethe prove", -1, -1, 0) == 1 &&
		X509_set_issuer_name(x, name) == 1 && extend(x, NID_basic_constraints, "critical,CA:TRUE") &&
		extend(x, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost") && X509_sign(x, key, EVP_sha256()) > 0;
	if (made)
		return x;
	X509_free(x);
	return NULL;
}

static FILE *
new_file(const char *folder, const char *name)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return fd < 0 ? NULL : fdopen(fd, "w");
}

static bool
write_files(const char *folder, EVP_PKEY *key, X509 *x)
{
	FILE *certificate = new_file(folder, "certificate.pem"), *secret = new_file(folder, "key.pem");
	bool written = certificate && secret && PEM_write_X509(certificate, x) == 1 && PEM_write_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) == 1;
	if (certificate)
		written = fclose(certificate) == 0 && written;
	if (secret)
		written = fclose(secret) == 0 && written;
	return written;
}

bool
link_certificate_make(const char *folder, struct link_certificate *ret)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = key ? certificate_for(key) : NULL;
	struct link_certificate c = {SSL_CTX_new(TLS_server_method()), SSL_CTX_new(TLS_client_method())};
	bool made = x && c.server && c.client && SSL_CTX_use_certificate(c.server, x) == 1 && SSL_CTX_use_PrivateKey(c.server, key) == 1 &&
		X509_STORE_add_cert(SSL_CTX_get_cert_store(c.client), x) == 1 && write_files(folder, key, x);
	X509_free(x);
	EVP_PKEY_free(key);
	if (made) {
		SSL_CTX_set_verify(c.client, SSL_VERIFY_PEER, NULL);
		*ret = c;
	} else
		link_certificate_free(&c);
	return made;
}

void
link_certificate_free(struct link_certificate *c)
{
	SSL_CTX_free(c->server);
	SSL_CTX_free(c->client);
	*c = (struct link_certificate){0};
}
