#include "proc/import_decimal.h"

#include <stdio.h>
#include <string.h>

/* A number taken apart: digits × 10^exponent. Zeros at either end are left out. */
struct parts {
	char digits[24]; /* more can't be a price */
	unsigned count;
	int exponent;
	bool negative, cut;
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void
add_digit(struct parts *p, char c)
{
	if (p->count == 0 && c == '0')
		return;
	if (p->count < sizeof p->digits)
		p->digits[p->count++] = c;
	else
		p->cut = p->cut || c != '0', p->exponent++;
}

/* The digits up to the exponent. How many bytes they are; 0: there is no digit. */
static size_t
read_digits(struct span s, struct parts *p)
{
	size_t i = 0;
	bool any = false, point = false;
	for (; i < s.len && (is_digit(s.at[i]) || (s.at[i] == '.' && !point)); i++) {
		if (s.at[i] == '.') {
			point = true;
			continue;
		}
		any = true;
		add_digit(p, s.at[i]);
		p->exponent -= point;
	}
	return any ? i : 0;
}

/* "e-06", all of s. Exponents beyond four digits stay at that: nothing near them is a price. */
static bool
read_exponent(struct span s, int *ret)
{
	size_t i = 1;
	int e = 0;
	if (s.len == 0)
		return true;
	if (s.at[0] != 'e' && s.at[0] != 'E')
		return false;
	bool negative = s.len > 1 && s.at[1] == '-';
	if (s.len > 1 && (s.at[1] == '-' || s.at[1] == '+'))
		i++;
	if (i == s.len)
		return false;
	for (; i < s.len; i++) {
		if (!is_digit(s.at[i]))
			return false;
		if (e < 1000)
			e = e * 10 + (s.at[i] - '0');
	}
	*ret += negative ? -e : e;
	return true;
}

static bool
take_apart(struct span s, struct parts *p)
{
	*p = (struct parts){.negative = s.len > 0 && s.at[0] == '-'};
	if (s.len > 0 && (s.at[0] == '-' || s.at[0] == '+'))
		s = (struct span){s.at + 1, s.len - 1};
	if (s.len > 4000) /* exponents stay far from an int's ends */
		return false;
	size_t used = read_digits(s, p);
	if (used == 0 || !read_exponent((struct span){s.at + used, s.len - used}, &p->exponent))
		return false;
	while (p->count > 0 && p->digits[p->count - 1] == '0') {
		p->count--;
		p->exponent++;
	}
	return true;
}

enum decimal
decimal_units(struct span text, int shift, int64_t most, int64_t *ret)
{
	struct parts p;
	int64_t v = 0;
	if (!take_apart(text, &p))
		return DECIMAL_NO_NUMBER;
	if (p.count == 0) {
		*ret = 0;
		return DECIMAL_OK;
	}
	if (p.negative)
		return DECIMAL_NEGATIVE;
	int zeros = p.exponent + shift;
	if (zeros < 0 || p.cut)
		return zeros < 0 ? DECIMAL_TOO_FINE : DECIMAL_TOO_LARGE;
	for (long i = 0; i < (long)p.count + zeros; i++) {
		int digit = i < (long)p.count ? p.digits[i] - '0' : 0;
		if (v > (most - digit) / 10)
			return DECIMAL_TOO_LARGE;
		v = v * 10 + digit;
	}
	*ret = v;
	return DECIMAL_OK;
}

const char *
decimal_flaw(enum decimal flaw)
{
	static const char *const words[] = {
		[DECIMAL_OK] = "right",
		[DECIMAL_NO_NUMBER] = "no number",
		[DECIMAL_NEGATIVE] = "negative",
		[DECIMAL_TOO_FINE] = "finer than a millionth of a dollar per million tokens",
		[DECIMAL_TOO_LARGE] = "more than anybody charges",
	};
	return words[flaw];
}

void
decimal_text(int64_t units, unsigned places, unsigned least, char out[DECIMAL_TEXT_MAX])
{
	uint64_t unit = 1, v = (uint64_t)units;
	for (unsigned i = 0; i < places; i++)
		unit *= 10;
	int len = snprintf(out, DECIMAL_TEXT_MAX, "%llu", (unsigned long long)(v / unit));
	unsigned shown = places;
	uint64_t fraction = v % unit;
	while (shown > least && fraction % 10 == 0) {
		fraction /= 10;
		shown--;
	}
	if (shown > 0)
		snprintf(out + len, (size_t)(DECIMAL_TEXT_MAX - len), ".%0*llu", (int)shown, (unsigned long long)fraction);
}
