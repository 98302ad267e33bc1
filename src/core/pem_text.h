/* A PEM text that comes in pieces and lies in the vault. Edge and signer; the caller embeds it, zeroed. */
#ifndef CORE_PEM_TEXT_H
#define CORE_PEM_TEXT_H

#include "core/base.h"
#include "core/vault.h"

struct pem_text {
	char *at;
	uint32_t len, cap;
};

/* False: no room for it; what there was stays. */
must_check bool pem_text_add(struct vault *v, struct pem_text *p, const void *bytes, size_t len);
void pem_text_drop(struct vault *v, struct pem_text *p);

static inline struct span
pem_text_span(const struct pem_text *p)
{
	return (struct span){p->at, p->len};
}

#endif
