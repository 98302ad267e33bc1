#include "proc/tls_wipe.h"

#include "core/base.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

static void *
take(size_t bytes, const char *file, int line)
{
	return bytes ? malloc(bytes) : NULL;
}

static void
give(void *p, const char *file, int line)
{
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void *
change(void *p, size_t bytes, const char *file, int line)
{
	void *other = take(bytes, file, line);
	size_t had = p ? malloc_usable_size(p) : 0;
	if (other && had)
		memcpy(other, p, had < bytes ? had : bytes);
	if (other || bytes == 0)
		give(p, file, line);
	return other;
}

void
tls_wipe_freed(void)
{
	static bool tried;
	if (!tried)
		(void)!CRYPTO_set_mem_functions(take, change, give); /* refused: it has some already, from whoever was first */
	tried = true;
}
