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
