#include "core/text.h"

void
text_str(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

void
text_u64(struct text *t, uint64_t v)
{
	char digits[20];
	size_t n = sizeof digits;
	do
		digits[--n] = (char)('0' + v % 10);
	while (v /= 10);
	text_add(t, digits + n, sizeof digits - n);
}

void
text_hex(struct text *t, uint64_t v)
{
	char digits[16];
	size_t n = sizeof digits;
	do
		digits[--n] = "0123456789abcdef"[v & 15];
	while (v >>= 4);
	text_add(t, digits + n, sizeof digits - n);
}

void
text_json(struct text *t, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];
		if (c == '"' || c == '\\') {
			text_add(t, "\\", 1);
			text_add(t, &s.at[i], 1);
		} else if (c < 0x20) {
			char u[6] = {'\\', 'u', '0', '0', "0123456789abcdef"[c >> 4], "0123456789abcdef"[c & 15]};
			text_add(t, u, sizeof u);
		} else
			text_add(t, &s.at[i], 1);
	}
}

/* Two digits, or four for a year. */
static void
add_digits(struct text *t, uint64_t v, unsigned width)
{
	for (uint64_t unit = width == 4 ? 1000 : 10; unit; unit /= 10) {
		char digit = (char)('0' + v / unit % 10);
		text_add(t, &digit, 1);
	}
}

/* RFC 3339, by the civil calendar from days since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
void
text_time(struct text *t, uint64_t unix_s)
{
	uint64_t z = unix_s / 86400 + 719468, era = z / 146097, doe = z % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	uint64_t mp = (5 * doy + 2) / 153, month = mp < 10 ? mp + 3 : mp - 9;
	add_digits(t, era * 400 + yoe + (month <= 2), 4);
	text_lit(t, "-");
	add_digits(t, month, 2);
	text_lit(t, "-");
	add_digits(t, doy - (153 * mp + 2) / 5 + 1, 2);
	text_lit(t, "T");
	add_digits(t, unix_s / 3600 % 24, 2);
	text_lit(t, ":");
	add_digits(t, unix_s / 60 % 60, 2);
	text_lit(t, ":");
	add_digits(t, unix_s % 60, 2);
	text_lit(t, "Z");
}
