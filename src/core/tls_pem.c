#include "core/tls_priv.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <time.h>

void
tls_why(char ret_why[TLS_WHY_MAX], const char *sentence)
{
	size_t len = strlen(sentence) < TLS_WHY_MAX ? strlen(sentence) : TLS_WHY_MAX - 1;
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	memcpy(ret_why, sentence, len);
	if (reason && len + strlen(reason) + 3 < TLS_WHY_MAX) {
		memcpy(ret_why + len, ": ", 2);
		memcpy(ret_why + len + 2, reason, strlen(reason));
		len += 2 + strlen(reason);
	}
	ret_why[len] = '\0';
	ERR_clear_error();
}

/* The text is at its end, rather than broken. */
static bool
no_more_of_it(void)
{
	unsigned long error = ERR_peek_last_error();
	return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

STACK_OF(X509) *
	tls_certificates(struct span pem, char ret_why[TLS_WHY_MAX])
{
	STACK_OF(X509) *all = sk_X509_new_null();
	BIO *in = pem.len ? BIO_new_mem_buf(pem.at, (int)pem.len) : NULL;
	X509 *one;
	ERR_clear_error();
	while (in && all && (one = PEM_read_bio_X509(in, NULL, NULL, NULL)))
		if (!sk_X509_push(all, one)) {
			X509_free(one);
			break;
		}
	bool sound = all && in && no_more_of_it() && sk_X509_num(all) > 0;
	BIO_free(in);
	if (sound) {
		ERR_clear_error();
		return all;
	}
	tls_why(ret_why, no_more_of_it() || !in ? "no certificate in it (PEM, \"-----BEGIN CERTIFICATE-----\")" : "a certificate in it can't be read");
	sk_X509_pop_free(all, X509_free);
	return NULL;
}

X509_STORE *
tls_store(struct span ca_pem, char ret_why[TLS_WHY_MAX])
{
	STACK_OF(X509) *all = tls_certificates(ca_pem, ret_why);
	if (!all)
		return NULL;
	X509_STORE *store = X509_STORE_new();
	bool added = store != NULL;
	for (int i = 0; added && i < sk_X509_num(all); i++)
		added = X509_STORE_add_cert(store, sk_X509_value(all, i));
	sk_X509_pop_free(all, X509_free);
	/* What stands in the file is trusted, be it a root or not: a server's own certificate is enough. */
	if (added && X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN))
		return store;
	tls_why(ret_why, "no memory for its certificates");
	X509_STORE_free(store);
	return NULL;
}

bool
tls_certificate_ends(struct span pem, int64_t *ret_s)
{
	char why[TLS_WHY_MAX];
	STACK_OF(X509) *all = tls_certificates(pem, why);
	struct tm tm;
	if (!all)
		return false;
	bool told = ASN1_TIME_to_tm(X509_get0_notAfter(sk_X509_value(all, 0)), &tm) == 1;
	if (told)
		*ret_s = (int64_t)timegm(&tm);
	sk_X509_pop_free(all, X509_free);
	return told;
}
