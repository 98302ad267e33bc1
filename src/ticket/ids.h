/*
 * Ids as people and programs see them: a prefix that says what it is ("req_", "acc_", "key_",
 * "cred_") and eleven base62 digits. Fixed width and digits in ASCII order, so that texts sort as
 * the numbers do: by time. Any process; no allocation, no stdio; the caller owns the memory.
 */
#ifndef TICKET_IDS_H
#define TICKET_IDS_H

#include "core/base.h"

enum { ID_DIGITS = 11,
	ID_PREFIX_MAX = 8,
	ID_TEXT_MAX = ID_PREFIX_MAX + ID_DIGITS + 1 };

#define ID_REQUEST "req_"
#define ID_ACCOUNT "acc_"
#define ID_KEY "key_"
#define ID_BOOKING "bkg_"
#define ID_BYOK "byok_"

/* Writes prefix, digits and a terminator to out[ID_TEXT_MAX]; returns the length without it. */
size_t id_text(const char *prefix, uint64_t id, char *out);

/*
 * The number behind exactly this prefix. False for anything else (ids of another kind, wrong width,
 * 2^64 or more); *ret untouched.
 */
must_check bool id_parse(const char *prefix, struct span text, uint64_t *ret);

#endif
