/* OpenSSL's memory is the vault's: keys, sessions and every plain byte that it holds for a moment lie there, and are wiped when it lets go. */
#include "core/tls.h"

#include "core/vault.h"

#include <openssl/crypto.h>
#include <string.h>

static struct vault *vault;

static void *
take(size_t bytes, const char *file, int line)
{
	return bytes && bytes <= VAULT_BLOCK_MAX ? vault_alloc(vault, bytes) : NULL;
}

static void
give(void *p, const char *file, int line)
{
	if (p)
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
