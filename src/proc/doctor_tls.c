/* Certificates of ours: how long they are good, and who may read their keys. */
#include "proc/doctor_priv.h"

#include "core/tls.h"
#include "proc/tls_files.h"

#include <sys/stat.h>
#include <time.h>

enum { SOON_S = 14 * 86400,
	DAY_S = 86400 };

/* The one that ends first; NULL: none of ours has an end that can be read. */
static const struct tls_file *
first_to_end(const struct tls_files *files, int64_t *ret_ends_s)
{
	const struct tls_file *first = NULL;
	for (uint32_t i = 0; files && i < files->count; i++) {
		const struct tls_file *one = &files->file[i];
		int64_t ends_s;
		if (one->kind != SECRET_CERTIFICATE || !tls_certificate_ends((struct span){(const char *)one->text, one->len}, &ends_s))
			continue;
		if (!first || ends_s < *ret_ends_s) {
			first = one;
			*ret_ends_s = ends_s;
		}
	}
	return first;
}

static const struct tls_file *
open_key(const struct tls_files *files)
{
	struct stat st;
	for (uint32_t i = 0; i < files->count; i++)
		if (files->file[i].kind == SECRET_CERTIFICATE_KEY && stat(files->file[i].path, &st) == 0 && (st.st_mode & 0007) != 0)
			return &files->file[i];
	return NULL;
}

static void
say_age(const struct tls_file *one, int64_t left_s, struct fact *f)
{
	long long days = (long long)(left_s / DAY_S);
	if (left_s <= 0)
		doctor_say(f, FACT_BAD, "%.100s has expired", one->path);
	else
		doctor_say(f, left_s < SOON_S ? FACT_WARN : FACT_OK, "good for %lld more days (%.90s); private keys are the signer's alone", days, one->path);
	f->number = left_s > 0 ? (uint64_t)left_s : 0;
	if (f->state != FACT_OK)
		doctor_advise(f, "renew it (certbot renew, or your authority's own way), then systemctl reload lethe");
}

void
doctor_look_at_certificates(const struct doctor *d, struct fact *f)
{
	char why[CONFIG_WHY_MAX];
	int64_t ends_s = 0;
	const struct tls_file *first = first_to_end(d->tls, &ends_s), *key = d->tls ? open_key(d->tls) : NULL;
	if (d->tls_why) {
		doctor_say(f, FACT_BAD, "%.150s", d->tls_why);
		doctor_advise(f, "the server would not start: see the path, and run this as its user (sudo -u lethe lethe doctor …)");
		return;
	}
	if (!first) {
		doctor_say(f, FACT_OK, "%s", d->configured ? "none: no listener speaks TLS" : "not looked at: no configuration (--config FILE)");
		return;
	}
	say_age(first, ends_s - (int64_t)time(NULL), f);
	if (f->state == FACT_BAD)
		return;
	if (!tls_files_check(d->tls, why)) {
		doctor_say(f, FACT_BAD, "%.150s", why);
		doctor_advise(f, "lethe config check FILE says which file and what is wrong with it");
	} else if (key) {
		doctor_say(f, FACT_WARN, "%.120s can be read by everybody", key->path);
		doctor_advise(f, "chmod 600 %.300s", key->path);
	}
}
