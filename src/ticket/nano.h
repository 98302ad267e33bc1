/* Money: 1e-9 US dollars in 64 bits. Prices are 1e-12 dollars (pico) per token. Any process. */
#ifndef TICKET_NANO_H
#define TICKET_NANO_H

#include "core/base.h"

struct nano {
	int64_t v;
};

#define NANO_PER_DOLLAR 1000000000LL
#define PICO_PER_NANO 1000

/* Longest text of an amount: sign, 10 digits, point, 9 digits, terminator. */
enum { NANO_TEXT_MAX = 24 };

/* Pico to nano, rounded up: the one rounding of a ticket. Saturates at INT64_MAX. */
struct nano nano_from_pico_up(unsigned __int128 pico);

/*
 * "12.5" → 12,500,000,000. Decimal digits, at most one point, at most nine digits after it, an optional
 * leading '-'. False for anything else or out of range; *ret untouched.
 */
must_check bool nano_parse(struct span text, struct nano *ret);

/*
 * The same for a price per million tokens in dollars ("1.25" → 1,250,000 pico a token); at most six digits after
 * the point, not negative.
 */
must_check bool pico_per_token_parse(struct span dollars_per_million, int64_t *ret_pico);

/* "12.500000000"; returns the length. out has NANO_TEXT_MAX bytes. */
size_t nano_text(struct nano n, char *out);

#endif
