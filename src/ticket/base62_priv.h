/* Base62 in ASCII order. For ids and API keys; inside src/ticket only; owns nothing. */
#ifndef TICKET_BASE62_PRIV_H
#define TICKET_BASE62_PRIV_H

#include "core/base.h"

extern const char base62_digits[62];

/* `width` digits, most significant first; what does not fit is dropped. */
void base62_put(uint64_t value, unsigned width, char *out);
/* 0 .. 61, or -1. */
int base62_value(char c);

#endif
