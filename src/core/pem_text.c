#include "core/pem_text.h"

#include <string.h>

void
pem_text_drop(struct vault *v, struct pem_text *p)
{
	vault_free_dirty(v, p->at, p->cap, p->len);
	*p = (struct pem_text){0};
}

bool
pem_text_add(struct vault *v, struct pem_text *p, const void *bytes, size_t len)
{
	if (p->len + len > VAULT_BLOCK_MAX)
		return false;
	if (p->len + len > p->cap) {
		uint32_t cap = (uint32_t)vault_block_bytes(p->len + len);
		char *at = vault_alloc(v, cap);
		if (!at)
			return false;
		if (p->len)
			memcpy(at, p->at, p->len);
		vault_free_dirty(v, p->at, p->cap, p->len);
		p->at = at;
		p->cap = cap;
	}
	memcpy(p->at + p->len, bytes, len);
	p->len += (uint32_t)len;
	return true;
}
