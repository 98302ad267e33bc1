/* OpenSSL's memory is the vault's: keys, sessions and every plain byte that it holds for a moment lie there, and are wiped when it lets go. */
#include "core/tls.h"

#include "core/tls_priv.h"
#include "core/vault_priv.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <string.h>

static struct vault *vault;
static size_t block_max = VAULT_BLOCK_MAX;

/*
 * Buffers of records come and go with every read and write. A few stay at hand, and of those only what was written is wiped: the socket's side tells
 * (tls_memory_written), and nothing is written behind that. What it was not told of (handshakes go out by way of another buffer) is wiped whole. Other
 * things have other sizes.
 */
enum { RECORD_LEAST = 16384 + 1,
	RECORD_MOST = 18 << 10,
	HOT = 4 };

static struct hot {
	char *at; /* a block of RECORD_MOST bytes; NULL: not taken yet */
	size_t dirty; /* bytes from the front */
	bool used;
	bool told; /* of what was written */
} hot[HOT];

static struct hot *
hot_of(const void *p)
{
	for (size_t i = 0; i < HOT; i++)
		if (hot[i].at && (const char *)p >= hot[i].at && (const char *)p < hot[i].at + RECORD_MOST)
			return &hot[i];
	return NULL;
}

static void *
take_hot(void)
{
	for (size_t i = 0; i < HOT; i++) {
		if (hot[i].used || (!hot[i].at && !(hot[i].at = vault_alloc(vault, RECORD_MOST))))
			continue;
		hot[i].used = true;
		return hot[i].at;
	}
	return NULL;
}

void
tls_memory_written(const void *at, size_t bytes)
{
	struct hot *h = hot_of(at);
	size_t end = h ? (size_t)((const char *)at - h->at) + bytes : 0;
	if (h)
		h->told = true;
	if (h && h->dirty < end)
		h->dirty = end;
}

void
tls_memory_bound(size_t bytes)
{
	block_max = bytes;
}

static void *
take(size_t bytes, const char *file, int line)
{
	void *p = bytes >= RECORD_LEAST && bytes <= RECORD_MOST ? take_hot() : NULL;
	if (p)
		return p;
	return bytes && bytes <= block_max ? vault_alloc(vault, bytes) : NULL;
}

static void
give_hot(struct hot *h)
{
	vault_wipe(h->at, h->told ? h->dirty : RECORD_MOST);
	assert(!SANITIZED || vault_is_clean(h->at, RECORD_MOST));
	h->dirty = 0;
	h->used = h->told = false;
}

static void
give(void *p, const char *file, int line)
{
	struct hot *h = p ? hot_of(p) : NULL;
	if (h)
		give_hot(h);
	else if (p)
		vault_free(vault, p, vault_bytes_of(vault, p));
}

static void *
change(void *p, size_t bytes, const char *file, int line)
{
	if (!p)
		return take(bytes, file, line);
	if (bytes == 0) {
		give(p, file, line);
		return NULL;
	}
	size_t had = vault_bytes_of(vault, p);
	if (bytes <= had)
		return p;
	void *larger = take(bytes, file, line);
	if (larger) {
		memcpy(larger, p, had);
		give(p, file, line);
	}
	return larger;
}

bool
tls_memory_in(struct vault *v)
{
	vault = v;
	return CRYPTO_set_mem_functions(take, change, give);
}
