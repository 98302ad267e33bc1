#include "prove/page.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIGNATURE_BYTES = 64,
	PUBLIC_MAX = 1024 };

/* ---- the page ---- */

static void
put_text(FILE *to, const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '<':
			fputs("&lt;", to);
			break;
		case '>':
			fputs("&gt;", to);
			break;
		case '&':
			fputs("&amp;", to);
			break;
		case '"':
			fputs("&quot;", to);
			break;
		default:
			putc(*text, to);
		}
}

static void
put_value(FILE *to, const json_t *value)
{
	if (json_is_string(value))
		put_text(to, json_string_value(value));
	else if (json_is_integer(value))
		fprintf(to, "%lld", (long long)json_integer_value(value));
	else if (json_is_boolean(value))
		fputs(json_is_true(value) ? "<b class=good>yes</b>" : "<b class=bad>no</b>", to);
}

/* Of a row or a column: a member's name in words. */
static void
put_title(FILE *to, const char *name)
{
	for (; *name; name++)
		putc(*name == '_' ? ' ' : *name, to);
}

static void
put_table(FILE *to, const char *title, const json_t *rows)
{
	const char *name;
	json_t *row, *value;
	size_t i;
	fprintf(to, "<h2>%s</h2>\n", title);
	if (json_array_size(rows) == 0) {
		fputs("<p>None.</p>\n", to);
		return;
	}
	fputs("<table>\n<tr>", to);
	json_object_foreach(json_array_get(rows, 0), name, value)
	{
		fputs("<th>", to);
		put_title(to, name);
	}
	json_array_foreach(rows, i, row)
	{
		fputs("\n<tr>", to);
		json_object_foreach(row, name, value)
		{
			fputs(json_is_integer(value) ? "<td class=number>" : "<td>", to);
			put_value(to, value);
		}
	}
	fputs("\n</table>\n", to);
}

static void
put_list(FILE *to, const char *name, const json_t *value)
{
	const char *member;
	json_t *one;
	size_t i;
	fputs("<tr><th>", to);
	put_title(to, name);
	fputs("<td>", to);
	put_value(to, value);
	json_array_foreach(value, i, one)
	{
		fputs(i ? "; " : "", to);
		put_value(to, one);
	}
	if (json_is_object(value))
		json_object_foreach((json_t *)value, member, one) fprintf(to, "%s: %s<br>", member, json_string_value(one));
	putc('\n', to);
}

static const char style[] =
	"body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1c2024;background:#fff}table{border-collapse:collapse;"
	"width:100%}th,td{text-align:left;vertical-align:top;padding:.25rem .6rem;border-bottom:1px solid #ddd}.number{text-align:right;"
	"font-variant-numeric:tabular-nums}.good{color:#18794e}.bad{color:#cd2b31}pre{background:#f4f5f6;padding:.8rem;overflow:auto}"
	"@media(prefers-color-scheme:dark){body{color:#ecedee;background:#151718}th,td{border-color:#333}pre{background:#202425}.good{color:#4cc38a}.bad{color:#ff6369}}";

/* How to check it with nothing but OpenSSL. */
static void
put_verification(FILE *to, const char *path, const char *public_key)
{
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	fputs("<h2>Signature</h2>\n<p>This page is signed with the key of the installation that made it. With its public key in <code>prove.pub</code>, from who runs the "
		  "installation:</p>\n<pre>openssl pkeyutl -verify -pubin -inkey prove.pub -rawin -in ",
		to);
	put_text(to, name);
	fputs(" -sigfile ", to);
	put_text(to, name);
	fprintf(to, ".sig</pre>\n<pre>%s</pre>\n<p>The search can be repeated by anybody who is root on a machine with the same version: <code>lethe prove</code>.</p>\n", public_key);
}

static void
put_page(FILE *to, const json_t *r, const char *path, const char *public_key)
{
	static const char *const lists[] = {"version", "time", "kernel", "root", "grades", "libraries_of_an_edge", "marks", "endpoints", "names_of_endpoints", "ways", "names_of_ways"};
	bool ok = json_is_true(json_object_get(r, "ok"));
	fprintf(to, "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<meta name=viewport content=\"width=device-width\">\n<title>lethe prove</title>\n<style>%s</style>\n", style);
	fprintf(to, "<h1>lethe prove: <span class=%s>%s</span></h1>\n", ok ? "good" : "bad",
		ok ? "no content was found where none may be" : json_array_size(json_object_get(r, "findings")) ? "content was found where none may be"
																										: "something is not as promised");
	fputs("<table>\n", to);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		put_list(to, lists[i], json_object_get(r, lists[i]));
	fputs("</table>\n", to);
	put_table(to, "Found", json_object_get(r, "findings"));
	put_table(to, "Tried and seen", json_object_get(r, "facts"));
	put_table(to, "Searched", json_object_get(r, "places"));
	put_verification(to, path, public_key);
}

/* ---- the key ---- */

static bool
fail(char why[600], const char *what, const char *path)
{
	snprintf(why, 600, "%s %.400s: %s", what, path, strerror(errno));
	return false;
}

static FILE *
new_file(const char *path, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	return fd < 0 ? NULL : fdopen(fd, "w");
}

static EVP_PKEY *
make_key(const char *path)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	FILE *secret = key ? new_file(path, 0600) : NULL;
	bool written = secret && PEM_write_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) == 1;
	if (secret)
		written = fclose(secret) == 0 && written;
	if (written)
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

static char *
public_text(EVP_PKEY *key)
{
	BIO *memory = BIO_new(BIO_s_mem());
	char *at, *text = NULL;
	if (memory && PEM_write_bio_PUBKEY(memory, key) == 1) {
		long len = BIO_get_mem_data(memory, &at);
		text = strndup(at, (size_t)len);
	}
	BIO_free(memory);
	return text;
}

static bool
says(const char *path, const char *text)
{
	char there[PUBLIC_MAX];
	FILE *file = fopen(path, "re");
	size_t len = file ? fread(there, 1, sizeof there, file) : 0;
	if (file)
		fclose(file);
	return len == strlen(text) && memcmp(there, text, len) == 0;
}

/* It is of this key: one that was removed, or that is another's, is written anew. */
static bool
keep_public(EVP_PKEY *key, const char *path)
{
	char *text = public_text(key);
	bool kept = text && says(path, text);
	FILE *file = NULL;
	if (text && !kept && (unlink(path) == 0 || errno == ENOENT) && (file = new_file(path, 0644)) != NULL) {
		kept = fputs(text, file) >= 0;
		kept = fclose(file) == 0 && kept;
	}
	free(text);
	return kept;
}

static EVP_PKEY *
load_key(const char *folder, char why[600])
{
	char path[PATH_MAX], public_path[PATH_MAX];
	snprintf(path, sizeof path, "%s/prove.key", folder);
	snprintf(public_path, sizeof public_path, "%s/prove.pub", folder);
	FILE *file = fopen(path, "re");
	EVP_PKEY *key = file ? PEM_read_PrivateKey(file, NULL, NULL, NULL) : NULL;
	if (file)
		fclose(file);
	if (!file && errno == ENOENT)
		key = make_key(path);
	if (!key)
		(void)fail(why, "no key to sign the report with – give the installation's data directory with --data, as a user who may write there;", path);
	else if (!keep_public(key, public_path)) {
		(void)fail(why, "the public key that the report is checked with can't be kept in", public_path);
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

static bool
sign(EVP_PKEY *key, const char *page, size_t len, unsigned char ret[SIGNATURE_BYTES])
{
	size_t bytes = SIGNATURE_BYTES;
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	bool signed_ = c && EVP_DigestSignInit(c, NULL, NULL, NULL, key) == 1 && EVP_DigestSign(c, ret, &bytes, (const unsigned char *)page, len) == 1 && bytes == SIGNATURE_BYTES;
	EVP_MD_CTX_free(c);
	return signed_;
}

static bool
write_whole(const char *path, const void *at, size_t len, char why[600])
{
	FILE *file = fopen(path, "we");
	bool written = file && fwrite(at, 1, len, file) == len;
	if (file)
		written = fclose(file) == 0 && written;
	return written || fail(why, "the report can't be written to", path);
}

bool
page_can_be_signed(const char *key_folder, char why[600])
{
	EVP_PKEY *key = load_key(key_folder, why);
	EVP_PKEY_free(key);
	return key != NULL;
}

bool
page_write(const json_t *report, const char *path, const char *key_folder, char why[600])
{
	char *page = NULL, signature_path[PATH_MAX];
	size_t len = 0;
	unsigned char signature[SIGNATURE_BYTES];
	EVP_PKEY *key = load_key(key_folder, why);
	char *text = key ? public_text(key) : NULL;
	FILE *to = text ? open_memstream(&page, &len) : NULL;
	bool written = to != NULL;
	if (to) {
		put_page(to, report, path, text);
		written = fclose(to) == 0 && sign(key, page, len, signature);
	}
	snprintf(signature_path, sizeof signature_path, "%s.sig", path);
	written = written && write_whole(path, page, len, why) && write_whole(signature_path, signature, sizeof signature, why);
	free(page);
	free(text);
	EVP_PKEY_free(key);
	return written;
}
