#include "proc/config.h"

#include "proc/config_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where key k is read from, as a path for the two kinds of files. False: the sentence says why there is none. */
static bool
key_path(const struct config_key *key, char *path, size_t cap, char *ret_why)
{
	if (key->file[0] != '\0')
		return (size_t)snprintf(path, cap, "%s", key->file) < cap;
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	if (dir == NULL || dir[0] != '/') {
		snprintf(ret_why, CONFIG_WHY_MAX,
			"credential `%s`: systemd gave no credentials – add LoadCredential=%s:/path to the unit, or use `file`",
			key->credential, key->credential);
		return false;
	}
	return (size_t)snprintf(path, cap, "%s/%s", dir, key->credential) < cap;
}

/* Up to cap bytes of a regular file; one more byte than cap tells that it is too long. */
static int
read_key_file(const char *path, uint8_t *buf, size_t cap, char *ret_why)
{
	struct stat st;
	int got = -1, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) != 0)
		snprintf(ret_why, CONFIG_WHY_MAX, "%.300s: %s – create it with the key as its only line, mode 0600", path,
			strerror(errno));
	else if (!S_ISREG(st.st_mode))
		snprintf(ret_why, CONFIG_WHY_MAX, "%.300s is not a regular file – put the key into a file of its own", path);
	else if (st.st_size > (off_t)cap)
		snprintf(ret_why, CONFIG_WHY_MAX, "%.280s has %lld bytes, a key has at most %zu – is it the right file?",
			path, (long long)st.st_size, cap);
	else if ((got = (int)read(fd, buf, cap)) < 0)
		snprintf(ret_why, CONFIG_WHY_MAX, "%.300s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return got;
}

static int
read_key_variable(const char *name, uint8_t *buf, size_t cap, char *ret_why)
{
	const char *value = getenv(name);
	size_t len = value == NULL ? 0 : strlen(value);
	if (value != NULL && len <= cap) {
		memcpy(buf, value, len);
		return (int)len;
	}
	snprintf(ret_why, CONFIG_WHY_MAX,
		value == NULL ? "the environment variable %s is not set – export it, or use `file`"
					  : "the environment variable %s is too long to be a key",
		name);
	return -1;
}

static int
read_key(const struct config_key *key, uint8_t *buf, size_t cap, char *ret_why)
{
	char path[4352] = "";
	if (key->env[0] != '\0')
		return read_key_variable(key->env, buf, cap, ret_why);
	if (!key_path(key, path, sizeof path, ret_why))
		return -1;
	return read_key_file(path, buf, cap, ret_why);
}

static bool
is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The key goes into a header as it is: no blanks or control characters inside, or it could smuggle a line. */
static const char *
key_flaw(const uint8_t *key, int len)
{
	if (len == 0)
		return "is empty – put the provider's key there";
	for (int i = 0; i < len; i++)
		if (key[i] <= 0x20 || key[i] >= 0x7f)
			return "has a blank or a character outside ASCII in the middle – it must hold the key and nothing else";
	return NULL;
}

static const char *
key_source(const struct config_key *key)
{
	return key->env[0] != '\0' ? key->env : key->file[0] != '\0' ? key->file
																 : key->credential;
}

int
config_secret(const struct config_key *key, uint8_t *buf, size_t cap, char ret_why[CONFIG_WHY_MAX])
{
	snprintf(ret_why, CONFIG_WHY_MAX, "its path is too long");
	return read_key(key, buf, cap, ret_why);
}

int
config_provider_key(
	const struct config *c, uint32_t provider, uint32_t k, uint8_t *buf, size_t cap, char ret_why[CONFIG_WHY_MAX])
{
	const struct config_provider *p = &c->providers[provider];
	const struct config_key *key = &p->keys[k];
	char why[CONFIG_WHY_MAX] = "its path is too long";
	int len = read_key(key, buf, cap, why), start = 0;
	const char *flaw = NULL;
	if (len >= 0) {
		while (len > 0 && is_blank(buf[len - 1]))
			len--;
		while (start < len && is_blank(buf[start]))
			start++;
		memmove(buf, buf + start, (size_t)(len - start));
		len -= start;
		flaw = key_flaw(buf, len);
	}
	if (len >= 0 && flaw == NULL)
		return len;
	sodium_memzero(buf, cap);
	if (flaw != NULL)
		snprintf(
			ret_why, CONFIG_WHY_MAX, "key %u of provider `%s`: %.200s %s", k + 1, p->name, key_source(key), flaw);
	else
		snprintf(ret_why, CONFIG_WHY_MAX, "key %u of provider `%s`: %.320s", k + 1, p->name, why);
	return -1;
}

void
config_clear_environment(const struct config *c)
{
	for (uint32_t i = 0; i < c->provider_count; i++)
		for (uint32_t k = 0; k < c->providers[i].key_count; k++) {
			const char *name = c->providers[i].keys[k].env;
			char *value = name[0] == '\0' ? NULL : getenv(name);
			if (value == NULL)
				continue;
			sodium_memzero(value, strlen(value));
			unsetenv(name);
		}
}

/* ---- optional providers ---- */

/* Nothing is there, as opposed to something that can't be read or can't be a key. */
static bool
key_is_absent(const struct config_key *key)
{
	char path[PATH_MAX], why[CONFIG_WHY_MAX];
	if (key->env[0] != '\0') {
		const char *value = getenv(key->env);
		return value == NULL || value[strspn(value, " \t\r\n")] == '\0';
	}
	if (key->credential[0] != '\0' && getenv("CREDENTIALS_DIRECTORY") == NULL)
		return true;
	return key_path(key, path, sizeof path, why) && access(path, F_OK) != 0 && errno == ENOENT;
}

static bool
is_off(const struct config_provider *p)
{
	for (uint32_t k = 0; k < p->key_count; k++)
		if (!key_is_absent(&p->keys[k]))
			return false;
	return p->optional && p->key_count > 0;
}

static const char *
key_name(const struct config_key *key)
{
	return key->env[0] != '\0' ? key->env : key->file[0] != '\0' ? key->file
																 : key->credential;
}

/* False: the model had no other target. */
static bool
remove_targets(struct config_model *m, uint32_t provider)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < m->target_count; i++)
		if (m->targets[i].provider_index != provider)
			m->targets[kept++] = m->targets[i];
		else
			free(m->targets[i].prices);
	m->target_count = kept;
	m->provider_index = m->targets[0].provider_index;
	return kept > 0;
}

/* How many models only it had. */
static uint32_t
remove_models(struct config *c, uint32_t provider)
{
	uint32_t kept = 0, had = c->model_count;
	for (uint32_t i = 0; i < had; i++)
		if (remove_targets(&c->models[i], provider))
			c->models[kept++] = c->models[i];
		else
			config_model_free(&c->models[i]);
	c->model_count = kept;
	return had - kept;
}

uint32_t
config_switch_off(struct config *c, struct problems *problems)
{
	uint32_t off = 0;
	for (uint32_t i = 0; i < c->provider_count; i++) {
		struct config_provider *p = &c->providers[i];
		if (!is_off(p))
			continue;
		problems_warn(problems, p->line, "the provider `%s` is off with its %u models: %.200s is not there – give it a key to serve them",
			p->name, remove_models(c, i), key_name(&p->keys[0]));
		p->key_count = 0;
		off++;
	}
	return c->provider_count - off;
}

static void
check_key(const struct config *c, uint32_t provider, uint32_t k, struct problems *problems)
{
	uint8_t buf[CONFIG_SECRET_MAX];
	char why[CONFIG_WHY_MAX];
	const struct config_key *key = &c->providers[provider].keys[k];
	struct stat st;
	if (config_provider_key(c, provider, k, buf, sizeof buf, why) < 0)
		problems_warn(problems, key->line, "%s", why);
	sodium_memzero(buf, sizeof buf);
	if (key->file[0] != '\0' && stat(key->file, &st) == 0 && (st.st_mode & 0077) != 0)
		problems_warn(problems, key->line, "%s can be read by other users – chmod 600 %s", key->file, key->file);
}

void
config_check_keys(const struct config *c, struct problems *problems)
{
	for (uint32_t i = 0; i < c->provider_count; i++)
		for (uint32_t k = 0; k < c->providers[i].key_count; k++)
			check_key(c, i, k, problems);
}

bool
config_load_to_serve(struct problems *problems, struct config **ret)
{
	struct config *c = NULL;
	if (!config_load(problems, &c))
		return false;
	if (config_switch_off(c, problems) > 0 || c->provider_count == 0) {
		*ret = c;
		return true;
	}
	problems_error(problems, 0, "no provider has a key – set the variable of at least one, or put its key where the configuration says");
	config_free(&c);
	return false;
}
