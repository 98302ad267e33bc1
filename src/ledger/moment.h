/*
 * Moments as people write them: a day, a time in UTC, a time ago. Pure; ledger and command line.
 */
#ifndef LEDGER_MOMENT_H
#define LEDGER_MOMENT_H

#include "core/base.h"

/* What a sentence about a wrong one says. */
#define MOMENT_EXAMPLES "a day like 2026-01-31, a time like 2026-01-31T12:00:00Z (UTC), or a time ago like 7d or 24h"

/* "2026-01-31", "2026-01-31T12:00Z", "2026-01-31T12:00:00Z": seconds since 1970. */
must_check bool moment_parse_time(const char *text, int64_t *ret_s);
/*
 * These, "today", "yesterday", "7d" and "2w" (that many days ago, *ret_day: the whole day is meant), "24h" and "90m" (to the second).
 */
must_check bool moment_parse(const char *text, int64_t now_s, int64_t *ret_s, bool *ret_day);

#endif
