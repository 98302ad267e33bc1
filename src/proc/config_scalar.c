#include "proc/config_scalar.h"

#include "core/forwarded.h"
#include "core/tls.h"
#include "ticket/catalogue.h"
#include "ticket/endpoints.h"
#include "ticket/severities.h"
#include "ticket/tokenizers.h"
#include "ticket/usage.h"

#include "ticket/nano.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Leading digits of *text to a value; *text advances behind them. */
static bool
take_digits(struct span *text, uint64_t *ret)
{
	uint64_t v = 0;
	size_t n = 0;
	for (; n < text->len && is_digit(text->at[n]); n++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(text->at[n] - '0'), &v))
			return false;
	if (n == 0 || v > INT64_MAX)
		return false;
	*text = (struct span){text->at + n, text->len - n};
	*ret = v;
	return true;
}

static bool
equals(struct span text, const char *word)
{
	return text.len == strlen(word) && memcmp(text.at, word, text.len) == 0;
}

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit size_units[] = {
	{"", 1}, {"B", 1}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}, {NULL, 0}};
/* No unit-less duration: 30 could be seconds or milliseconds. Zero needs none. */
static const struct unit duration_units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static bool
with_unit(struct span text, const struct unit *units, int64_t *ret)
{
	uint64_t v;
	if (!take_digits(&text, &v))
		return false;
	if (v == 0 && text.len == 0) {
		*ret = 0;
		return true;
	}
	for (; units->name != NULL; units++) {
		if (!equals(text, units->name))
			continue;
		if (__builtin_mul_overflow(v, units->factor, &v) || v > INT64_MAX)
			return false;
		*ret = (int64_t)v;
		return true;
	}
	return false;
}

/* Two digits at text[at]. */
static int
two_digits(struct span text, size_t at)
{
	if (!is_digit(text.at[at]) || !is_digit(text.at[at + 1]))
		return -1;
	return (text.at[at] - '0') * 10 + (text.at[at + 1] - '0');
}

/* The text against a pattern in which 9 stands for any digit. */
static bool
has_shape(struct span text, const char *shape)
{
	if (text.len != strlen(shape))
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (shape[i] == '9' ? !is_digit(text.at[i]) : text.at[i] != shape[i])
			return false;
	return true;
}

/* "2026-01-01" or "2026-01-01T12:00:00Z" → milliseconds since 1970, years 1970 to 9999. */
static bool
date(struct span text, int64_t *ret)
{
	bool with_time = has_shape(text, "9999-99-99T99:99:99Z");
	if (!with_time && !has_shape(text, "9999-99-99"))
		return false;
	struct tm tm = {
		.tm_year = two_digits(text, 0) * 100 + two_digits(text, 2) - 1900,
		.tm_mon = two_digits(text, 5) - 1,
		.tm_mday = two_digits(text, 8),
	};
	if (with_time) {
		tm.tm_hour = two_digits(text, 11);
		tm.tm_min = two_digits(text, 14);
		tm.tm_sec = two_digits(text, 17);
	}
	struct tm same = tm;
	time_t t = timegm(&same); /* normalises: what it changed was no date */
	if (t < 0 || same.tm_mon != tm.tm_mon || same.tm_mday != tm.tm_mday || same.tm_hour != tm.tm_hour ||
		same.tm_min != tm.tm_min || same.tm_sec != tm.tm_sec)
		return false;
	*ret = (int64_t)t * 1000;
	return true;
}

static bool
dollars(struct span text, int64_t *ret)
{
	struct nano n;
	if (!nano_parse(text, &n) || n.v < 0)
		return false;
	*ret = n.v;
	return true;
}

static bool
hundredths(struct span text, int64_t *ret)
{
	struct nano n;
	if (!nano_parse(text, &n) || n.v < 0 || n.v % (NANO_PER_DOLLAR / 100) != 0)
		return false;
	*ret = n.v / (NANO_PER_DOLLAR / 100);
	return true;
}

static bool
choice(struct span text, const char *first, const char *second, int64_t *ret)
{
	if (!equals(text, first) && !equals(text, second))
		return false;
	*ret = equals(text, second);
	return true;
}

static bool
tier(struct span text, int64_t *ret)
{
	static const char *const words[TIER_COUNT] = {
#define X(name) #name,
		SERVICE_TIERS(X)
#undef X
	};
	for (*ret = 0; *ret < TIER_COUNT; ++*ret)
		if (equals(text, words[*ret]))
			return true;
	return false;
}

static bool
level(struct span text, int64_t *ret)
{
	for (int i = 0; i < SEVERITY_COUNT; i++)
		if (equals(text, severity_word((enum severity)i))) {
			*ret = i;
			return true;
		}
	return false;
}

static bool
file_mode(struct span text, int64_t *ret)
{
	int64_t mode = 0;
	if (text.len == 4 && text.at[0] == '0')
		text = (struct span){text.at + 1, 3};
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '7')
			return false;
		mode = mode * 8 + text.at[i] - '0';
	}
	*ret = mode;
	return text.len == 3;
}

static bool
client_address(struct span text, int64_t *ret)
{
#define X(name, field) \
	if (equals(text, field)) { \
		*ret = FORWARDED_BY_##name; \
		return true; \
	}
	FORWARDED_HEADERS(X)
#undef X
	return false;
}

bool
config_number(enum setting_kind kind, struct span text, int64_t *ret)
{
	switch (kind) {
	case SETTING_COUNT:
		return with_unit(text, no_units, ret);
	case SETTING_BYTES:
		return with_unit(text, size_units, ret);
	case SETTING_MS:
		return with_unit(text, duration_units, ret);
	case SETTING_DAY:
		return date(text, ret);
	case SETTING_PER_MILLION:
		return pico_per_token_parse(text, ret);
	case SETTING_DOLLARS:
		return dollars(text, ret);
	case SETTING_RATIO:
		return hundredths(text, ret);
	case SETTING_DURABILITY:
		return choice(text, "batched", "strict", ret);
	case SETTING_MEMORY_GRADE:
		*ret = MEMORY_LOCKED;
		return equals(text, "locked") || choice(text, "auto", "sealed", ret);
	case SETTING_TLS_VERSION:
		return choice(text, "1.2", "1.3", ret);
	case SETTING_TLS_ASK: /* enum tls_ask */
		*ret = TLS_ASK_REQUIRED;
		return equals(text, "required") || choice(text, "none", "optional", ret);
	case SETTING_CLIENT_GONE:
		return choice(text, "cancel", "drain", ret);
	case SETTING_TIER:
		return tier(text, ret);
	case SETTING_DIALECT:
		*ret = DIALECT_GEMINI;
		return equals(text, "gemini") || choice(text, "openai", "anthropic", ret);
	case SETTING_LOG_LEVEL: /* enum severity */
		return level(text, ret);
	case SETTING_FILE_MODE:
		return file_mode(text, ret);
	case SETTING_CLIENT_ADDRESS: /* enum forwarded_header */
		return client_address(text, ret);
	case SETTING_RETENTION: /* enum retention */
		*ret = RETENTION_ZERO;
		return equals(text, "zero") || (*ret = RETENTION_KEPT, equals(text, "kept"));
	case SETTING_LANGUAGE: /* enum asked_in and 1: not said is 0 */
		*ret = 1 + (equals(text, "chat") ? ASKED_IN_CHAT : equals(text, "responses") ? ASKED_IN_RESPONSES
																					 : ASKED_AS_CALLED);
		return *ret > 1 + ASKED_AS_CALLED || equals(text, "both");
	case SETTING_STICKY: /* enum sticky */
		*ret = STICKY_NONE;
		return equals(text, "none") || choice(text, "cache", "key", ret);
	case SETTING_BALANCE: /* enum balance_wire */
		*ret = equals(text, "deepseek") ? BALANCE_DEEPSEEK : BALANCE_OPENROUTER;
		return equals(text, "deepseek") || equals(text, "openrouter") || choice(text, "auto", "none", ret);
	case SETTING_CHOICE: /* enum choice_rule */
		*ret = CHOICE_SPEED;
		return equals(text, "speed") || choice(text, "weight", "load", ret);
	case SETTING_THINKING: /* enum thinking_way, and behind it: as the model is */
		*ret = equals(text, "budget") ? 2 : 3;
		return equals(text, "budget") || equals(text, "auto") || choice(text, "none", "effort", ret);
	case SETTING_TOKENIZER: /* enum tokenizer */
		*ret = TOKENIZER_cl100k_base;
		return equals(text, "cl100k_base") || choice(text, "none", "o200k_base", ret);
	case SETTING_CAP_FIELD:
		return choice(text, "max_completion_tokens", "max_tokens", ret);
	case SETTING_FLAG:
	case SETTING_TEXT:
	case SETTING_KIND_COUNT:
		break;
	}
	return false;
}

bool
config_flag(struct span text, bool *ret)
{
	if (!equals(text, "true") && !equals(text, "false"))
		return false;
	*ret = equals(text, "true");
	return true;
}

static bool
port_number(struct span text, uint16_t *ret)
{
	uint64_t v;
	if (!take_digits(&text, &v) || text.len != 0 || v > UINT16_MAX)
		return false;
	*ret = (uint16_t)v;
	return true;
}

/* Cut "host:port" or "[v6]:port" at its colon. A port that is missing leaves ret_port empty. */
static bool
split_host(struct span text, struct span *ret_host, struct span *ret_port)
{
	bool bracket = text.len > 0 && text.at[0] == '[';
	const char *end = bracket ? memchr(text.at, ']', text.len) : memchr(text.at, ':', text.len);
	if (bracket && end == NULL)
		return false;
	size_t host_len = end == NULL ? text.len : (size_t)(end - text.at);
	*ret_host = (struct span){text.at + bracket, host_len - bracket};
	size_t rest = host_len + bracket;
	if (rest == text.len) {
		*ret_port = (struct span){"", 0};
		return true;
	}
	*ret_port = (struct span){text.at + rest + 1, text.len - rest - 1};
	return text.at[rest] == ':' && ret_port->len > 0;
}

bool
config_address(struct span text, struct config_address *ret)
{
	struct span host, port;
	struct config_address a = {.place = text.len > 0 && text.at[0] == '[' ? PLACE_IPV6 : PLACE_IPV4};
	if (!split_host(text, &host, &port) || host.len >= INET6_ADDRSTRLEN || !port_number(port, &a.port))
		return false;
	memcpy(a.host, host.at, host.len);
	uint8_t binary[16];
	if (inet_pton(a.place == PLACE_IPV6 ? AF_INET6 : AF_INET, a.host, binary) != 1)
		return false;
	*ret = a;
	return true;
}

static bool
take_prefix(struct span *text, const char *prefix)
{
	size_t len = strlen(prefix);
	if (text->len < len || memcmp(text->at, prefix, len) != 0)
		return false;
	*text = (struct span){text->at + len, text->len - len};
	return true;
}

/* What a manager may call a socket (sd_listen_fds(3)): printable, no colon. */
static bool
is_socket_name(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] <= ' ' || text.at[i] > '~' || text.at[i] == ':')
			return false;
	return text.len > 0;
}

bool
config_listen_address(struct span text, struct config_address *ret)
{
	struct config_address a = {.place = PLACE_UNIX};
	if (take_prefix(&text, "systemd:"))
		a.place = PLACE_SYSTEMD;
	else if (!take_prefix(&text, "unix:"))
		return config_address(text, ret);
	if (text.len >= sizeof a.host || memchr(text.at, 0, text.len) || (a.place == PLACE_SYSTEMD ? !is_socket_name(text) : text.len < 2 || text.at[0] != '/'))
		return false;
	memcpy(a.host, text.at, text.len);
	*ret = a;
	return true;
}

void
config_address_text(const struct config_address *a, char *out, size_t cap)
{
	if (a->place == PLACE_UNIX || a->place == PLACE_SYSTEMD)
		snprintf(out, cap, "%s:%s", a->place == PLACE_UNIX ? "unix" : "systemd", a->host);
	else
		snprintf(out, cap, a->place == PLACE_IPV6 ? "[%s]:%u" : "%s:%u", a->host, a->port);
}

/*
 * A name whose last label is a number is an address in one of its odd spellings, or nothing (WHATWG URL,
 * ends-in-a-number).
 */
static bool
ends_in_number(const char *host)
{
	const char *dot = strrchr(host, '.');
	const char *last = dot == NULL ? host : dot + 1;
	return *last != '\0' && strspn(last, "0123456789") == strlen(last);
}

static bool
host_ok(const char *host, bool v6)
{
	uint8_t binary[16];
	if (v6 || ends_in_number(host))
		return inet_pton(v6 ? AF_INET6 : AF_INET, host, binary) == 1;
	if (host[0] == '\0' || host[0] == '.' || host[0] == '-')
		return false;
	for (const char *c = host; *c != '\0'; c++)
		if (!is_letter(*c) && !is_digit(*c) && *c != '-' && *c != '.' && *c != '_')
			return false;
	return true;
}

static void
copy_lower(char *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		out[i] = text.at[i] >= 'A' && text.at[i] <= 'Z' ? (char)(text.at[i] + 32) : text.at[i];
	out[text.len] = '\0';
}

static bool
take_scheme(struct span *text, bool *ret_tls)
{
	for (unsigned tls = 0; tls < 2; tls++) {
		const char *scheme = tls ? "https://" : "http://";
		size_t len = strlen(scheme);
		if (text->len >= len && memcmp(text->at, scheme, len) == 0) {
			*text = (struct span){text->at + len, text->len - len};
			*ret_tls = tls;
			return true;
		}
	}
	return false;
}

/* Only what needs no escape and means the same to every server. */
static bool
path_ok(struct span path)
{
	for (size_t i = 0; i < path.len; i++) {
		char c = path.at[i];
		if (!is_letter(c) && !is_digit(c) && memchr("/-._~", c, 5) == NULL)
			return false;
		if (c == '/' && i + 1 < path.len && path.at[i + 1] == '/')
			return false;
		if (c == '.' && path.at[i - 1] == '/' &&
			(i + 1 == path.len || path.at[i + 1] == '/' || path.at[i + 1] == '.'))
			return false;
	}
	return true;
}

static const char *
url_path(struct span path, struct config_url *u)
{
	while (path.len > 0 && path.at[path.len - 1] == '/')
		path.len--;
	if (path.len >= sizeof u->base_path)
		return "the path is too long – shorten it to 127 bytes";
	if (!path_ok(path))
		return "the path has a character that it may not have – use letters, digits, '-', '.', '_', '~' and single '/'";
	memcpy(u->base_path, path.at, path.len);
	u->base_path[path.len] = '\0';
	return NULL;
}

static const char *
url_authority(struct span authority, struct config_url *u)
{
	struct span host, port;
	if (memchr(authority.at, '@', authority.len) != NULL)
		return "a user name or password in the URL is not supported – put the key under `keys`";
	if (!split_host(authority, &host, &port) || host.len >= sizeof u->host)
		return "the host is malformed – write https://host/path or https://host:port/path";
	u->port = u->tls ? 443 : 80;
	if (port.len > 0 && (!port_number(port, &u->port) || u->port == 0))
		return "the port is not a number from 1 to 65535 – correct it or leave it out";
	copy_lower(u->host, host);
	if (!host_ok(u->host, authority.at[0] == '['))
		return "the host is not a name or address – write https://host/path";
	return NULL;
}

const char *
config_url(struct span text, struct config_url *ret)
{
	struct config_url u = {0};
	if (!take_scheme(&text, &u.tls))
		return "the URL does not begin with https:// or http:// – write it in full, for example https://api.openai.com/v1";
	if (memchr(text.at, '?', text.len) != NULL || memchr(text.at, '#', text.len) != NULL)
		return "a query or fragment has no place in a provider's URL – end it with the path";
	const char *slash = memchr(text.at, '/', text.len);
	size_t authority_len = slash == NULL ? text.len : (size_t)(slash - text.at);
	if (authority_len == 0)
		return "the host is missing – write https://host/path";
	const char *why = url_authority((struct span){text.at, authority_len}, &u);
	if (why == NULL)
		why = url_path((struct span){text.at + authority_len, text.len - authority_len}, &u);
	if (why == NULL)
		*ret = u;
	return why;
}

static bool
v4_is_private(const uint8_t a[4])
{
	return a[0] == 127 || a[0] == 10 || (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 192 && a[1] == 168) ||
		(a[0] == 169 && a[1] == 254) || (a[0] == 100 && (a[1] & 0xc0) == 64);
}

static bool
v6_is_private(const uint8_t a[16])
{
	static const uint8_t loopback[16] = {[15] = 1}, mapped[12] = {[10] = 0xff, [11] = 0xff};
	if (memcmp(a, mapped, sizeof mapped) == 0)
		return v4_is_private(a + 12);
	return memcmp(a, loopback, 16) == 0 || (a[0] & 0xfe) == 0xfc || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80);
}

static bool
ends_with(const char *s, const char *end)
{
	size_t a = strlen(s), b = strlen(end);
	return a >= b && memcmp(s + a - b, end, b) == 0;
}

bool
config_host_is_private(const char *host)
{
	uint8_t binary[16];
	if (inet_pton(AF_INET, host, binary) == 1)
		return v4_is_private(binary);
	if (inet_pton(AF_INET6, host, binary) == 1)
		return v6_is_private(binary);
	return strchr(host, '.') == NULL || ends_with(host, ".localhost") || ends_with(host, ".local") ||
		ends_with(host, ".internal") || ends_with(host, ".home.arpa");
}
