/* Where the books are, by the address alone: nothing is connected to, and nothing of the address is told. */
#include "proc/doctor_priv.h"

#include <string.h>

enum { HERE = 0,
	NEAR,
	FAR_VERIFIED,
	FAR_OPEN };

/* What stands behind "name=" among its parameters; empty: it is not there. */
static struct span
parameter(const char *address, const char *name)
{
	const char *at = strchr(address, '?');
	size_t len = strlen(name);
	while (at != NULL) {
		at++;
		size_t whole = strcspn(at, "&");
		if (whole > len && at[len] == '=' && strncmp(at, name, len) == 0)
			return (struct span){at + len + 1, whole - len - 1};
		at = strchr(at, '&');
	}
	return (struct span){0};
}

/* The host of its authority, behind the user and before the port; in brackets for IPv6. */
static struct span
host_of(const char *address)
{
	const char *at = strstr(address, "://");
	if (at == NULL)
		return (struct span){0};
	at += strlen("://");
	size_t len = strcspn(at, "/?");
	const char *user = memrchr(at, '@', len);
	if (user != NULL) {
		len -= (size_t)(user + 1 - at);
		at = user + 1;
	}
	if (len > 0 && *at == '[')
		return (struct span){at + 1, strcspn(at + 1, "]/?")};
	return (struct span){at, strcspn(at, ":/?") < len ? strcspn(at, ":/?") : len};
}

static bool
begins(struct span s, const char *with)
{
	return s.len >= strlen(with) && memcmp(s.at, with, strlen(with)) == 0;
}

static bool
is(struct span s, const char *what)
{
	return s.len == strlen(what) && begins(s, what);
}

/* A name may begin with these figures as well. */
static bool
is_loopback(struct span host)
{
	bool figures = begins(host, "127.");
	for (size_t i = 0; figures && i < host.len; i++)
		figures = host.at[i] == '.' || (host.at[i] >= '0' && host.at[i] <= '9');
	return figures || is(host, "::1") || is(host, "localhost");
}

static bool
is_near(const char *address)
{
	struct span named = parameter(address, "hostaddr"), host = named.len > 0 ? named : parameter(address, "host");
	if (host.len == 0)
		host = host_of(address);
	/* A path, also with its slashes as %2F, is a socket. Several hosts are several machines. */
	if (host.len > 0 && memchr(host.at, ',', host.len) != NULL)
		return false;
	return host.len == 0 || begins(host, "/") || begins(host, "%2F") || begins(host, "%2f") || begins(host, "@") || is_loopback(host);
}

void
doctor_look_at_books(const struct doctor *d, struct fact *f)
{
	f->number = HERE;
	if (d->store == NULL || d->store[0] == '\0') {
		doctor_say(f, FACT_OK, "in ledger.db");
		return;
	}
	struct span mode = parameter(d->store, "sslmode");
	f->number = is_near(d->store) ? NEAR : mode.len == 0 || is(mode, "verify-full") ? FAR_VERIFIED
																					: FAR_OPEN;
	if (f->number == NEAR)
		doctor_say(f, FACT_OK, "in PostgreSQL on this machine");
	else if (f->number == FAR_VERIFIED)
		doctor_say(f, FACT_OK, "in PostgreSQL over a network, its server verified");
	else {
		doctor_say(f, FACT_WARN, "in PostgreSQL over a network, and its server is not verified");
		doctor_advise(f, "balances and hashes of keys can be read and changed on the way: leave sslmode out of the address (verify-full is the default), with ?sslrootcert=FILE for an authority of your own");
	}
}
