#include "proc/tls_files.h"

#include "core/tls.h"
#include "core/tls_sign.h"
#include "proc/tls_wipe.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SOON_DAYS = 14 };

/* Where systems keep the authorities that browsers trust. */
static const char *const system_lists[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};

/* ---- which ---- */

static const char *
system_list(void)
{
	for (size_t i = 0; i < ARRAY_LEN(system_lists); i++)
		if (access(system_lists[i], R_OK) == 0)
			return system_lists[i];
	return system_lists[0];
}

static void
add(struct tls_files *f, enum secret_kind kind, uint32_t number, const char *path)
{
	struct tls_file *one = &f->file[f->count++];
	one->kind = kind;
	one->number = (uint16_t)number;
	snprintf(one->path, sizeof one->path, "%s", path);
}

static bool
add_key(struct tls_files *f, const struct config_certificate *c, uint32_t number, char ret_why[CONFIG_WHY_MAX])
{
	char path[PATH_MAX];
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	if (c->key[0] != '\0') {
		add(f, SECRET_CERTIFICATE_KEY, number, c->key);
		return true;
	}
	if (dir == NULL || dir[0] != '/' || (size_t)snprintf(path, sizeof path, "%s/%s", dir, c->key_credential) >= sizeof path) {
		snprintf(ret_why, CONFIG_WHY_MAX, "credential `%s`: systemd gave no credentials - add LoadCredential=%s:/path to the unit, or use `key`",
			c->key_credential, c->key_credential);
		return false;
	}
	add(f, SECRET_CERTIFICATE_KEY, number, path);
	return true;
}

static struct tls_files *
room_for(uint32_t count)
{
	struct tls_files *f = sodium_malloc(sizeof *f);
	if (!f)
		return NULL;
	memset(f, 0, sizeof *f);
	f->file = sodium_allocarray(count + 1, sizeof *f->file);
	if (f->file)
		memset(f->file, 0, (count + 1) * sizeof *f->file);
	else
		tls_files_free(&f);
	return f;
}

static bool
add_all(const struct config *c, struct tls_files *f, char ret_why[CONFIG_WHY_MAX])
{
	const struct config_tls *t = &c->tls;
	uint32_t certificates = config_speaks_tls(c) ? t->certificate_count : 0;
	for (uint32_t i = 0; i < certificates; i++) {
		add(f, SECRET_CERTIFICATE, i, t->certificates[i].certificate);
		if (!add_key(f, &t->certificates[i], i, ret_why))
			return false;
	}
	if (certificates && t->client_certificates != TLS_ASK_NOT)
		add(f, SECRET_CLIENT_CA, 0, t->client_ca);
	for (uint32_t i = 0; i < t->trust_count; i++)
		add(f, SECRET_TRUST, i, t->trust[i][0] != '\0' ? t->trust[i] : system_list());
	return true;
}

/* ---- reading ---- */

static const char *
remedy(enum secret_kind kind)
{
	return kind == SECRET_CERTIFICATE_KEY ? "the server's user must be able to read it, mode 0600"
		: kind == SECRET_TRUST            ? "apt-get install ca-certificates, or name a file with `ca_file`"
										  : "check the path";
}

static bool
read_one(struct tls_file *f, char ret_why[CONFIG_WHY_MAX])
{
	struct stat st;
	off_t most = f->kind == SECRET_CERTIFICATE_KEY ? TLS_KEY_FILE_MAX : TLS_FILE_MAX;
	int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	bool got = false;
	if (fd < 0 || fstat(fd, &st) != 0)
		snprintf(ret_why, CONFIG_WHY_MAX, "%.240s: %s - %s", f->path, strerror(errno), remedy(f->kind));
	else if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > most)
		snprintf(ret_why, CONFIG_WHY_MAX, "%.240s is no PEM file of 1 to %lld bytes - %s", f->path, (long long)most, remedy(f->kind));
	else if (!(f->text = sodium_malloc((size_t)st.st_size)))
		snprintf(ret_why, CONFIG_WHY_MAX, "%.300s: there is no memory for it", f->path);
	else if (read(fd, f->text, (size_t)st.st_size) != st.st_size)
		snprintf(ret_why, CONFIG_WHY_MAX, "%.300s changed while it was read - try again", f->path);
	else
		got = true;
	f->len = got ? (size_t)st.st_size : 0;
	if (fd >= 0)
		close(fd);
	return got;
}

bool
tls_files_read_trust(const char *path, uint8_t **ret, size_t *ret_len, char ret_why[CONFIG_WHY_MAX])
{
	struct tls_file f = {.kind = SECRET_TRUST};
	snprintf(f.path, sizeof f.path, "%s", path[0] != '\0' ? path : system_list());
	bool got = read_one(&f, ret_why);
	if (!got)
		sodium_free(f.text);
	*ret = got ? f.text : NULL;
	*ret_len = f.len;
	return got;
}

static bool
read_all(struct tls_files *f, char ret_why[CONFIG_WHY_MAX])
{
	for (uint32_t i = 0; i < f->count; i++)
		if (!read_one(&f->file[i], ret_why))
			return false;
	return true;
}

bool
tls_files_read(const struct config *c, struct tls_files **ret, char ret_why[CONFIG_WHY_MAX])
{
	struct tls_files *f = room_for(2 * c->tls.certificate_count + 1 + c->tls.trust_count);
	snprintf(ret_why, CONFIG_WHY_MAX, "there is no memory for certificates");
	if (f) {
		f->tls13_only = c->tls.tls13_only;
		f->ask = (uint32_t)c->tls.client_certificates;
	}
	if (!f || !add_all(c, f, ret_why) || !read_all(f, ret_why)) {
		tls_files_free(&f);
		return false;
	}
	*ret = f;
	return true;
}

bool
tls_files_read_again(const struct tls_files *old, struct tls_files **ret, char ret_why[CONFIG_WHY_MAX])
{
	struct tls_files *f = room_for(old->count);
	snprintf(ret_why, CONFIG_WHY_MAX, "there is no memory for certificates");
	if (!f)
		return false;
	f->tls13_only = old->tls13_only;
	f->ask = old->ask;
	for (uint32_t i = 0; i < old->count; i++)
		add(f, old->file[i].kind, old->file[i].number, old->file[i].path);
	if (!read_all(f, ret_why)) {
		tls_files_free(&f);
		return false;
	}
	*ret = f;
	return true;
}

void
tls_files_free(struct tls_files **files)
{
	struct tls_files *f = *files;
	for (uint32_t i = 0; f && i < f->count; i++)
		sodium_free(f->file[i].text);
	if (f)
		sodium_free(f->file);
	sodium_free(f);
	*files = NULL;
}

/* ---- checking ---- */

static struct span
text_of(const struct tls_files *f, enum secret_kind kind, uint32_t number)
{
	for (uint32_t i = 0; i < f->count; i++)
		if (f->file[i].kind == kind && f->file[i].number == number)
			return (struct span){(const char *)f->file[i].text, f->file[i].len};
	return (struct span){0};
}

/* As an edge will do it, one by one, so that the sentence can name the file. */
static bool
check_one(const struct tls_files *f, const struct tls_file *one, char ret_why[CONFIG_WHY_MAX])
{
	char why[TLS_WHY_MAX] = "";
	struct span text = {(const char *)one->text, one->len};
	bool good = true;
	tls_wipe_freed();
	if (one->kind == SECRET_CERTIFICATE) {
		struct tls_identity id = {text, text_of(f, SECRET_CERTIFICATE_KEY, one->number)};
		struct tls_server *s = tls_server_create(&id, 1, &(struct tls_server_options){.tls13_only = f->tls13_only}, why);
		good = s != NULL;
		tls_server_unref(&s);
	} else if (one->kind == SECRET_CERTIFICATE_KEY) { /* as the signer will read it */
		struct tls_key *k = tls_key_read(text);
		good = k != NULL;
		tls_key_free(&k);
		snprintf(why, sizeof why, "not a private key that can sign here: RSA up to 8192 bits, ECDSA or EdDSA, without a passphrase");
	} else if (one->kind == SECRET_TRUST || one->kind == SECRET_CLIENT_CA) {
		struct tls_client *c = tls_client_create(text, why);
		good = c != NULL;
		tls_client_unref(&c);
	}
	if (!good)
		snprintf(ret_why, CONFIG_WHY_MAX, "%.200s: %.190s", one->path, why);
	return good;
}

bool
tls_files_check(const struct tls_files *f, char ret_why[CONFIG_WHY_MAX])
{
	for (uint32_t i = 0; i < f->count; i++)
		if (!check_one(f, &f->file[i], ret_why))
			return false;
	return true;
}

static void
report_age(const struct tls_file *one, uint32_t line, struct problems *problems)
{
	int64_t ends_s, now_s = (int64_t)time(NULL);
	if (!tls_certificate_ends((struct span){(const char *)one->text, one->len}, &ends_s))
		return;
	if (ends_s <= now_s)
		problems_warn(problems, line, "%.250s has expired – renew it, then send SIGHUP to the server", one->path);
	else if (ends_s - now_s < SOON_DAYS * 86400)
		problems_warn(problems, line, "%.250s expires in %lld days – renew it, then send SIGHUP to the server", one->path,
			(long long)((ends_s - now_s) / 86400));
}

void
tls_files_report(const struct config *c, struct problems *problems)
{
	struct tls_files *f = NULL;
	char why[CONFIG_WHY_MAX];
	if (!tls_files_read(c, &f, why)) {
		problems_warn(problems, 0, "%s", why);
		return;
	}
	for (uint32_t i = 0; i < f->count; i++) {
		const struct tls_file *one = &f->file[i];
		uint32_t line = one->kind <= SECRET_CERTIFICATE_KEY ? c->tls.certificates[one->number].line : 0;
		struct stat st;
		if (!check_one(f, one, why))
			problems_error(problems, line, "%s", why);
		else if (one->kind == SECRET_CERTIFICATE)
			report_age(one, line, problems);
		if (one->kind == SECRET_CERTIFICATE_KEY && stat(one->path, &st) == 0 && (st.st_mode & 0007) != 0)
			problems_warn(problems, line, "%.250s can be read by everybody – chmod 600 %.250s", one->path, one->path);
	}
	tls_files_free(&f);
}
