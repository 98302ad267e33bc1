/* Certificates of ours, chosen by SNI; session tickets with keys that all edges share. */
#include "core/tls_priv.h"
#include "core/tls_sign_priv.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <strings.h>

enum { NAMES_MAX = 4096 };

struct name {
	char *text; /* lower case; a wildcard begins with its dot: ".example.org" */
	size_t len;
	uint32_t identity;
	bool wildcard;
};

struct tls_server {
	uint32_t refs;
	uint32_t count, name_count;
	SSL_CTX *ctx[TLS_IDENTITIES_MAX];
	struct name *names;
	const struct tls_ticket_keys *tickets;
	EVP_CIPHER *cipher;
	bool h2;
	X509_STORE *client_store;
};

/* ---- choosing ---- */

static bool
name_fits(const struct name *n, const char *host, size_t len)
{
	if (n->wildcard) { /* one label in place of the star (RFC 6125 6.4.3) */
		const char *dot = memchr(host, '.', len);
		if (!dot || dot == host)
			return false;
		len -= (size_t)(dot - host);
		host = dot;
	}
	return n->len == len && strncasecmp(n->text, host, len) == 0;
}

/* Exact names go before wildcards. */
static SSL_CTX *
context_for(const struct tls_server *s, const char *host)
{
	size_t len = strlen(host);
	const struct name *found = NULL;
	if (len && host[len - 1] == '.')
		len--;
	for (uint32_t i = 0; i < s->name_count && (!found || found->wildcard); i++)
		if (name_fits(&s->names[i], host, len) && (!found || !s->names[i].wildcard))
			found = &s->names[i];
	return found ? s->ctx[found->identity] : NULL;
}

static int
server_name(SSL *ssl, int *alert, void *arg)
{
	const struct tls_server *s = arg;
	const char *host = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	SSL_CTX *ctx = host ? context_for(s, host) : NULL;
	if (!ctx) /* the first one's */
		return SSL_TLSEXT_ERR_NOACK;
	return SSL_set_SSL_CTX(ssl, ctx) ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int
choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len, void *arg)
{
	static const unsigned char ours[] = "\x02h2\x08http/1.1";
	const struct tls_server *s = arg;
	unsigned skip = s->h2 ? 0 : 3;
	int r = SSL_select_next_proto((unsigned char **)out, out_len, ours + skip, sizeof ours - 1 - skip, in, in_len);
	return r == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 3.2 */
}

/* ---- tickets ---- */

static bool
ticket_begin(const struct tls_server *s, const struct tls_ticket_key *k, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)k->mac, sizeof k->mac),
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};
	return EVP_CipherInit_ex(cipher, s->cipher, NULL, k->cipher, iv, seal) && EVP_MAC_CTX_set_params(mac, params);
}

/* −1 broken; 0 no such key; 1 fine; 2 fine, but give a new one. */
static int
ticket_key(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	const struct tls *t = SSL_get_app_data(ssl);
	const struct tls_server *s = t->server;
	const struct tls_ticket_keys *keys = s->tickets;
	if (seal) {
		if (keys->count == 0 || RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1)
			return keys->count ? -1 : 0;
		memcpy(name, keys->key[0].name, sizeof keys->key[0].name);
		return ticket_begin(s, &keys->key[0], iv, cipher, mac, 1) ? 1 : -1;
	}
	for (uint32_t i = 0; i < keys->count; i++)
		if (memcmp(name, keys->key[i].name, sizeof keys->key[i].name) == 0)
			/* In 1.3 a ticket is for one use: whoever used one up gets another (RFC 8446 C.4). */
			return !ticket_begin(s, &keys->key[i], iv, cipher, mac, 0) ? -1 : i == 0 && SSL_version(ssl) < TLS1_3_VERSION ? 1
																														  : 2;
	return 0;
}

/* Was the client's certificate, if it showed one, valid then only? Each ticket that is used is followed by a new one: nothing else would end it. */
static bool
certificate_is_over(const SSL_SESSION *session)
{
	X509 *shown = SSL_SESSION_get0_peer((SSL_SESSION *)session);
	return shown && X509_cmp_current_time(X509_get0_notAfter(shown)) <= 0;
}

static SSL_TICKET_RETURN
ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_len, SSL_TICKET_STATUS status, void *arg)
{
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (certificate_is_over(session))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

/* A session says that its client was checked. It only counts where the check would be the same: asked in this way, by these authorities. */
static bool
name_sessions(SSL_CTX *ctx, const struct tls_server_options *o)
{
	unsigned char id[EVP_MAX_MD_SIZE];
	unsigned id_len;
	struct span ca = o->ask == TLS_ASK_NOT ? (struct span){"", 0} : o->client_ca_pem;
	if (!EVP_Digest(ca.at, ca.len, id, &id_len, EVP_sha256(), NULL))
		return false;
	id[0] = (unsigned char)o->ask;
	return SSL_CTX_set_session_id_context(ctx, id, id_len);
}

/* ---- one identity ---- */

/* The chain and its key into the context. */
static bool
use_identity(SSL_CTX *ctx, STACK_OF(X509) * chain, struct span key_pem, const struct tls_signer *signer, char ret_why[TLS_WHY_MAX])
{
	X509 *own = sk_X509_value(chain, 0);
	EVP_PKEY *key = !signer ? tls_private_key(key_pem) : X509_get0_pubkey(own) ? tls_key_elsewhere(signer, X509_get0_pubkey(own))
																			   : NULL;
	bool used = false;
	if (!key)
		tls_why(ret_why, signer ? "keys of its kind can't be used" : "its key can't be read (PEM, without a passphrase)");
	else if (X509_check_private_key(own, key) != 1)
		tls_why(ret_why, "the key is not that of the certificate");
	else if (SSL_CTX_use_certificate(ctx, own) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1)
		tls_why(ret_why, "the certificate can't be used");
	else
		used = true;
	for (int i = 1; used && i < sk_X509_num(chain); i++)
		if (!SSL_CTX_add1_chain_cert(ctx, sk_X509_value(chain, i))) {
			tls_why(ret_why, "a certificate behind the first can't be used");
			used = false;
		}
	EVP_PKEY_free(key);
	return used;
}

static bool
add_name(struct tls_server *s, uint32_t identity, const char *text, size_t len)
{
	bool wildcard = len > 2 && text[0] == '*' && text[1] == '.';
	text += wildcard;
	len -= wildcard;
	if (s->name_count == NAMES_MAX)
		return false;
	struct name *names = OPENSSL_realloc(s->names, (s->name_count + 1) * sizeof *names);
	char *copy = OPENSSL_malloc(len + 1);
	if (names)
		s->names = names;
	if (!names || !copy) {
		OPENSSL_free(copy);
		return false;
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	s->names[s->name_count++] = (struct name){copy, len, identity, wildcard};
	return true;
}

/* DNS names of the certificate; without any its common name, as old private authorities still issue. */
static bool
add_names(struct tls_server *s, uint32_t identity, X509 *own)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(own, NID_subject_alt_name, NULL, NULL);
	char common[256];
	bool added = true;
	for (int i = 0; added && i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(all, i);
		if (n->type == GEN_DNS)
			added = add_name(s, identity, (const char *)ASN1_STRING_get0_data(n->d.dNSName), (size_t)ASN1_STRING_length(n->d.dNSName));
	}
	if (!all && X509_NAME_get_text_by_NID(X509_get_subject_name(own), NID_commonName, common, sizeof common) > 0)
		added = add_name(s, identity, common, strlen(common));
	GENERAL_NAMES_free(all);
	return added;
}

static int
key_kind(X509 *own)
{
	EVP_PKEY *key = X509_get0_pubkey(own);
	return key ? EVP_PKEY_get_base_id(key) : 0;
}

/* Has an identity this name? */
static bool
has_name(const struct tls_server *s, uint32_t identity, const struct name *n)
{
	for (uint32_t i = 0; i < s->name_count; i++) {
		const struct name *other = &s->names[i];
		if (other->identity == identity && other->wildcard == n->wildcard && other->len == n->len && !strncasecmp(other->text, n->text, n->len))
			return true;
	}
	return false;
}

static bool
same_names(const struct tls_server *s, uint32_t a, uint32_t b)
{
	bool any = false;
	for (uint32_t i = 0; i < s->name_count; i++) {
		const struct name *n = &s->names[i];
		if ((n->identity == a && !has_name(s, b, n)) || (n->identity == b && !has_name(s, a, n)))
			return false;
		any = any || n->identity == a;
	}
	return any;
}

/* The context that serves exactly the names of this identity, with a key of another kind; NULL: none. The client's abilities choose between the two. */
static SSL_CTX *
partner(const struct tls_server *s, uint32_t identity, X509 *own)
{
	for (uint32_t i = 0; i < identity; i++)
		if (key_kind(SSL_CTX_get0_certificate(s->ctx[i])) != key_kind(own) && same_names(s, identity, i))
			return s->ctx[i];
	return NULL;
}

static void
drop_names(struct tls_server *s, uint32_t identity)
{
	while (s->name_count && s->names[s->name_count - 1].identity == identity)
		OPENSSL_free(s->names[--s->name_count].text);
}

static bool
ask_clients(const struct tls_server *s, SSL_CTX *ctx, const struct tls_server_options *o)
{
	if (o->ask == TLS_ASK_NOT)
		return true;
	STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null(); /* said to clients, so that they choose the right one */
	STACK_OF(X509_OBJECT) *trusted = X509_STORE_get0_objects(s->client_store);
	for (int i = 0; names && i < sk_X509_OBJECT_num(trusted); i++) {
		X509 *ca = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(trusted, i));
		X509_NAME *name = ca ? X509_NAME_dup(X509_get_subject_name(ca)) : NULL;
		if (name && !sk_X509_NAME_push(names, name))
			X509_NAME_free(name);
	}
	SSL_CTX_set_client_CA_list(ctx, names);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (o->ask == TLS_ASK_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
	return SSL_CTX_set1_verify_cert_store(ctx, s->client_store) == 1;
}

static SSL_CTX *
new_context(struct tls_server *s, const struct tls_server_options *o)
{
	SSL_CTX *ctx = tls_context_create(true, o->tls13_only);
	if (!ctx)
		return NULL;
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* clients keep what is needed, in tickets */
	SSL_CTX_set_tlsext_servername_callback(ctx, server_name);
	SSL_CTX_set_tlsext_servername_arg(ctx, s);
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, s);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_timeout(ctx, 24 * 3600);
	if (s->tickets)
		SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key);
	else
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	if (SSL_CTX_set_session_ticket_cb(ctx, NULL, ticket_opened, NULL) && name_sessions(ctx, o) && ask_clients(s, ctx, o))
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

static bool
add_identity(struct tls_server *s, const struct tls_identity *from, const struct tls_server_options *o, char ret_why[TLS_WHY_MAX])
{
	STACK_OF(X509) *chain = tls_certificates(from->certificate_pem, ret_why);
	if (!chain)
		return false;
	X509 *own = sk_X509_value(chain, 0);
	SSL_CTX *ctx;
	bool added = false;
	if (!add_names(s, s->count, own))
		tls_why(ret_why, "its names can't be used");
	else if ((ctx = partner(s, s->count, own))) {
		drop_names(s, s->count);
		added = use_identity(ctx, chain, from->key_pem, o->signer, ret_why);
	} else if ((ctx = new_context(s, o))) {
		s->ctx[s->count++] = ctx;
		added = use_identity(ctx, chain, from->key_pem, o->signer, ret_why);
	} else
		tls_why(ret_why, "there is no memory for it");
	sk_X509_pop_free(chain, X509_free);
	return added;
}

/* ---- all of them ---- */

struct tls_server *
tls_server_create(const struct tls_identity *identities, uint32_t count, const struct tls_server_options *options, char ret_why[TLS_WHY_MAX])
{
	struct tls_server *s = OPENSSL_zalloc(sizeof *s);
	bool made = s && count > 0 && count <= TLS_IDENTITIES_MAX;
	ret_why[0] = '\0';
	if (!made)
		tls_why(ret_why, s ? "no certificate, or too many" : "no memory");
	if (made) {
		s->refs = 1;
		s->tickets = options->tickets;
		s->h2 = options->h2;
		s->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
		s->client_store = options->ask == TLS_ASK_NOT ? NULL : tls_store(options->client_ca_pem, ret_why);
		made = s->cipher && (s->client_store || options->ask == TLS_ASK_NOT);
	}
	for (uint32_t i = 0; made && i < count; i++)
		made = add_identity(s, &identities[i], options, ret_why);
	if (!made)
		tls_server_unref(&s);
	return s;
}

void
tls_server_unref(struct tls_server **server)
{
	struct tls_server *s = *server;
	*server = NULL;
	if (!s || (s->refs && --s->refs > 0))
		return;
	for (uint32_t i = 0; i < s->count; i++)
		SSL_CTX_free(s->ctx[i]);
	for (uint32_t i = 0; i < s->name_count; i++)
		OPENSSL_free(s->names[i].text);
	OPENSSL_free(s->names);
	EVP_CIPHER_free(s->cipher);
	X509_STORE_free(s->client_store);
	OPENSSL_free(s);
}

struct tls *
tls_accept(struct tls_server *s, int fd)
{
	struct tls *t = tls_create(s->ctx[0], fd);
	if (!t)
		return NULL;
	t->server = s;
	s->refs++;
	SSL_set_accept_state(t->ssl);
	return t;
}
