/* What the configuration says of the OpenTelemetry collector: where it is, whom to trust, what headers requests have. */
#include "proc/collector.h"

#include "core/text.h"
#include "core/tls.h"
#include "proc/config.h"
#include "proc/supervisor.h"
#include "proc/tls_files.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *
setting(const json_t *telemetry, const char *name)
{
	const char *text = json_string_value(json_object_get(telemetry, name));
	return text ? text : "";
}

/* ---- headers: "name=value", percent-encoded, as OTEL_EXPORTER_OTLP_HEADERS has them ---- */

static bool
is_token(char c)
{
	return c > ' ' && c < 0x7f && !strchr("\"(),/:;<=>?@[\\]{}", c);
}

/* What makes the request what it is. */
static bool
is_ours(struct span name)
{
	static const char *const ours[] = {"host", "content-length", "content-type", "transfer-encoding", "connection", "user-agent", "te", "trailer", "upgrade", "expect"};
	for (size_t i = 0; i < ARRAY_LEN(ours); i++)
		if (strlen(ours[i]) == name.len && strncasecmp(name.at, ours[i], name.len) == 0)
			return true;
	return false;
}

static int
hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
																			   : -1;
}

static struct span
trimmed(struct span s)
{
	while (s.len && (s.at[0] == ' ' || s.at[0] == '\t' || s.at[0] == '\r'))
		s = (struct span){s.at + 1, s.len - 1};
	while (s.len && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t' || s.at[s.len - 1] == '\r'))
		s.len--;
	return s;
}

static const char *
add_value(struct text *t, struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		char c = value.at[i];
		if (c == '%' && i + 2 < value.len && hex(value.at[i + 1]) >= 0 && hex(value.at[i + 2]) >= 0) {
			c = (char)(hex(value.at[i + 1]) * 16 + hex(value.at[i + 2]));
			i += 2;
		}
		if (c < ' ' || c >= 0x7f)
			return "has a character in a value that no header can have";
		text_add(t, &c, 1);
	}
	return NULL;
}

static const char *
add_header(struct text *t, struct span one)
{
	const char *equals = memchr(one.at, '=', one.len);
	struct span name = trimmed((struct span){one.at, equals ? (size_t)(equals - one.at) : 0});
	if (!name.len)
		return "has something that is no `name=value`";
	for (size_t i = 0; i < name.len; i++)
		if (!is_token(name.at[i]))
			return "has a character in a name that no header can have";
	if (is_ours(name))
		return "names a header that makes the request what it is";
	text_span(t, name);
	text_lit(t, ": ");
	const char *why = add_value(t, trimmed((struct span){equals + 1, (size_t)(one.at + one.len - equals - 1)}));
	text_lit(t, "\r\n");
	return why;
}

static const char *
add_headers(struct text *t, struct span all)
{
	const char *why = NULL;
	for (size_t from = 0, to; !why && from < all.len; from = to + 1) {
		for (to = from; to < all.len && all.at[to] != ',' && all.at[to] != '\n'; to++)
			;
		struct span one = trimmed((struct span){all.at + from, to - from});
		if (one.len)
			why = add_header(t, one);
	}
	return why ? why : t->cut ? "is too long"
							  : NULL;
}

static bool
read_headers(const json_t *telemetry, struct plan_collector *ret, char ret_why[CONFIG_WHY_MAX])
{
	const char *file = setting(telemetry, "headers_file"), *env = setting(telemetry, "headers_env"), *credential = setting(telemetry, "headers_credential");
	const struct config_key key = {.env = (char *)(uintptr_t)env, .file = (char *)(uintptr_t)file, .credential = (char *)(uintptr_t)credential};
	uint8_t text[SECRET_BYTES_MAX];
	char why[CONFIG_WHY_MAX];
	if (!*file && !*env && !*credential)
		return true;
	int len = config_secret(&key, text, sizeof text, why);
	struct text t = text_on((char *)ret->headers, sizeof ret->headers);
	const char *flaw = len < 0 ? why : add_headers(&t, (struct span){(char *)text, (size_t)len});
	ret->headers_bytes = (uint16_t)t.len;
	sodium_memzero(text, sizeof text);
	if (flaw && len < 0)
		snprintf(ret_why, CONFIG_WHY_MAX, "headers for the collector: %.340s", why);
	else if (flaw)
		snprintf(ret_why, CONFIG_WHY_MAX, "headers for the collector: %.200s %s - write name=value, several with commas between or one on each line", *env ? env : *file ? file
																																										 : credential,
			flaw);
	return !flaw;
}

/* ---- where it is ---- */

static void
put_host(const struct config_url *url, struct plan_collector *ret)
{
	bool six = strchr(url->host, ':') != NULL, usual = url->port == (url->tls ? 443 : 80);
	char port[8] = "";
	if (!usual)
		snprintf(port, sizeof port, ":%u", url->port);
	snprintf(ret->host, sizeof ret->host, "%s%s%s%s", six ? "[" : "", url->host, six ? "]" : "", port);
	snprintf(ret->name, sizeof ret->name, "%s", url->host);
	snprintf(ret->path, sizeof ret->path, "%s", url->base_path);
	ret->port = url->port;
	ret->tls = url->tls;
}

static bool
read_trust(const json_t *telemetry, struct plan_collector *ret, uint8_t **ret_trust, char ret_why[CONFIG_WHY_MAX])
{
	char why[TLS_WHY_MAX];
	if (!tls_files_read_trust(setting(telemetry, "ca_file"), ret_trust, &ret->trust_bytes, ret_why))
		return false;
	ret->trust = *ret_trust;
	struct tls_client *c = tls_client_create((struct span){(char *)*ret_trust, ret->trust_bytes}, why);
	if (!c)
		snprintf(ret_why, CONFIG_WHY_MAX, "`telemetry.ca_file`: %.300s", why);
	bool sound = c != NULL;
	tls_client_unref(&c);
	return sound;
}

bool
collector_plan(const json_t *telemetry, struct plan_collector *ret, uint8_t **ret_trust, char *ret_why)
{
	const char *otlp = setting(telemetry, "otlp");
	struct config_url url;
	*ret = (struct plan_collector){0};
	if (*otlp == '\0' || config_url((struct span){otlp, strlen(otlp)}, &url) != NULL) /* the check has said it */
		return true;
	put_host(&url, ret);
	ret->on = true;
	return read_headers(telemetry, ret, ret_why) && (!url.tls || read_trust(telemetry, ret, ret_trust, ret_why));
}
