#include "ledger/moment.h"

#include <string.h>
#include <time.h>

enum { DAY_S = 86400 };

bool
moment_parse_time(const char *text, int64_t *ret_s)
{
	const char *const formats[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d"};
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		struct tm tm = {0};
		const char *end = strptime(text, formats[i], &tm);
		if (end == NULL || *end != '\0')
			continue;
		struct tm same = tm;
		*ret_s = (int64_t)timegm(&same); /* normalises: what it changed was no date */
		return same.tm_mday == tm.tm_mday && same.tm_mon == tm.tm_mon && same.tm_hour == tm.tm_hour;
	}
	return false;
}

/* "7d": that many days ago, the whole day; "24h": that long ago, to the second. */
static bool
ago(const char *text, int64_t now_s, int64_t *ret_s, bool *ret_day)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = {{'m', 60}, {'h', 3600}, {'d', DAY_S}, {'w', 7 * DAY_S}};
	size_t digits = strspn(text, "0123456789");
	if (digits == 0 || digits > 6 || text[digits] == '\0' || text[digits + 1] != '\0')
		return false;
	int64_t n = 0;
	for (size_t i = 0; i < digits; i++)
		n = n * 10 + (text[i] - '0');
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (units[i].unit == text[digits]) {
			*ret_day = units[i].seconds >= DAY_S;
			*ret_s = now_s - n * units[i].seconds;
			return true;
		}
	return false;
}

bool
moment_parse(const char *text, int64_t now_s, int64_t *ret_s, bool *ret_day)
{
	*ret_day = strlen(text) == 10;
	if (ago(text, now_s, ret_s, ret_day) || moment_parse_time(text, ret_s))
		return true;
	*ret_day = true;
	*ret_s = now_s - (strcmp(text, "yesterday") == 0 ? DAY_S : 0);
	return strcmp(text, "today") == 0 || strcmp(text, "yesterday") == 0;
}
