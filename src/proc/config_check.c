#include "proc/config_priv.h"

#include "ticket/capabilities.h"
#include "ticket/catalogue.h"

#include <stdlib.h>
#include <arpa/inet.h>
#include <string.h>
#include <sys/sysinfo.h>

/* One name in the file: where it stands, and whose it is. */
struct name {
	const char *text;
	uint32_t line;
};

struct check {
	struct config *c;
	const struct config_files *files;
	const struct config_yaml *y; /* of the entry that is checked; outside of entries the configuration's own */
	struct problems *problems;
};

static int
compare_names(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	int order = strcmp(x->text, y->text);
	return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

static void
report_repeats(struct check *k, struct name *names, size_t count, const char *what)
{
	char where[PLACE_TEXT_MAX];
	qsort(names, count, sizeof *names, compare_names);
	for (size_t i = 1; i < count; i++)
		if (strcmp(names[i - 1].text, names[i].text) == 0)
			problems_error(k->problems, names[i].line,
				"the %s `%s` is already in %s – names must differ; rename or remove one", what, names[i].text,
				place_text(k->problems, names[i - 1].line, names[i].line, where));
}

static struct name *
name_list(size_t count)
{
	struct name *names = calloc(count + 1, sizeof *names);
	if (names == NULL)
		abort();
	return names;
}

static const yaml_node_t *
list_node(const struct config_yaml *y, const char *list)
{
	return config_yaml_get(y, config_yaml_root(y), list);
}

/* The entry of a list, and its file as the one to look into. */
static const yaml_node_t *
entry_node(struct check *k, const char *list, uint32_t index)
{
	uint32_t own = config_yaml_count(list_node(k->files->y[0], list));
	k->y = k->files->y[index < own ? 0 : 1];
	return config_yaml_item(k->y, list_node(k->y, list), index < own ? index : index - own);
}

/*
 * In one of the files, be it empty: NULL is neither. A fresh installation has empty ones: it starts, and its operator goes on from there.
 * A file without them is another file by mistake.
 */
static const yaml_node_t *
list_in_either(const struct check *k, const char *list)
{
	const yaml_node_t *own = list_node(k->files->y[0], list);
	return own || !k->files->y[1] ? own : list_node(k->files->y[1], list);
}

static uint32_t
line_of(const struct check *k, const yaml_node_t *mapping, const char *key)
{
	const yaml_node_t *node = config_yaml_get(k->y, mapping, key);
	return config_yaml_line(node != NULL ? node : mapping);
}

/* ---- top ---- */

static void
check_edges(struct check *k)
{
	if (k->c->edges == 0)
		k->c->edges = get_nprocs() > 60 ? 60 : (uint64_t)get_nprocs();
}

/* Listener i of all, in the order of config_listener_at(). */
static uint32_t
listen_line(const struct check *k, uint32_t i)
{
	const yaml_node_t *root = config_yaml_root(k->y), *tls = config_yaml_get(k->y, root, "tls");
	uint32_t short_forms = k->c->listen_count + k->c->tls.listen_count;
	bool clear = i < k->c->listen_count;
	if (i >= short_forms)
		return k->c->listeners[i - short_forms].line;
	return config_yaml_line(config_yaml_item(k->y, config_yaml_get(k->y, clear ? root : tls, "listen"), clear ? i : i - k->c->listen_count));
}

/* What is written and has no effect is a mistake about what it does. */
static void
check_listener(struct check *k, const struct config_listener *l, uint32_t line)
{
	bool local = l->address.place == PLACE_UNIX, proxies = k->c->trust_unix || k->c->trusted_count > 0;
	if (l->tls && k->c->tls.certificate_count == 0)
		problems_error(k->problems, line, "TLS needs a certificate – add `certificates:` under `tls:`, with `certificate` and `key`");
	if (l->dual_stack && l->address.place != PLACE_IPV6)
		problems_error(k->problems, line, "`dual_stack` is for addresses of IPv6 – write `at: '[::]:%u'`, or remove it", l->address.port);
	if (l->proxy_protocol && (local ? !k->c->trust_unix : !proxies))
		problems_error(k->problems, line, "`proxy_protocol`: nobody may connect there – add %s to `trusted_proxies`",
			local ? "`unix`" : "the proxy's address");
}

static void
check_listen(struct check *k)
{
	uint32_t count = config_listener_count(k->c);
	if (count == 0)
		problems_error(k->problems, 0, "there is no address to listen on – add `listen:`, or `listen:` under `tls:` (docs/reference/config.md)");
	for (uint32_t i = 0; i < k->c->listeners_count; i++)
		check_listener(k, &k->c->listeners[i], k->c->listeners[i].line);
	if (count > CONFIG_LISTEN_MAX)
		problems_error(k->problems, listen_line(k, CONFIG_LISTEN_MAX), "%u addresses to listen on, with and without TLS – %d are the most", count,
			CONFIG_LISTEN_MAX);
	for (uint32_t i = 1; i < count; i++)
		for (uint32_t j = 0; j < i; j++) {
			struct config_listener a = config_listener_at(k->c, i), b = config_listener_at(k->c, j);
			char text[128];
			bool chosen = a.address.place <= PLACE_IPV6 && a.address.port == 0; /* by the kernel: each another one */
			config_address_text(&a.address, text, sizeof text);
			if (!chosen && a.address.place == b.address.place && a.address.port == b.address.port && strcmp(a.address.host, b.address.host) == 0)
				problems_error(k->problems, listen_line(k, i), "`listen`: %s stands twice – keep one", text);
		}
}

uint32_t
config_listener_count(const struct config *c)
{
	return c->listen_count + c->tls.listen_count + c->listeners_count;
}

struct config_listener
config_listener_at(const struct config *c, uint32_t i)
{
	uint32_t short_forms = c->listen_count + c->tls.listen_count;
	if (i >= short_forms)
		return c->listeners[i - short_forms];
	bool tls = i >= c->listen_count;
	return (struct config_listener){
		.address = tls ? c->tls.listen[i - c->listen_count] : c->listen[i],
		.tls = tls,
		.mode = 0660,
	};
}

bool
config_speaks_tls(const struct config *c)
{
	for (uint32_t i = 0; i < config_listener_count(c); i++)
		if (config_listener_at(c, i).tls)
			return true;
	return false;
}

static void
check_file_path(struct check *k, const char *path, const char *key, uint32_t line)
{
	if (path[0] != '\0' && path[0] != '/')
		problems_error(k->problems, line, "`%s`: `%s` is not an absolute path – begin it with '/'", key, path);
}

static void
check_certificates(struct check *k)
{
	const struct config_tls *t = &k->c->tls;
	for (uint32_t i = 0; i < t->certificate_count; i++) {
		const struct config_certificate *one = &t->certificates[i];
		check_file_path(k, one->certificate, "certificate", one->line);
		check_file_path(k, one->key, "key", one->line);
		if ((one->key[0] != '\0') == (one->key_credential[0] != '\0'))
			problems_error(k->problems, one->line, "a certificate has exactly one of `key` and `key_credential` – write one of them");
		if (strchr(one->key_credential, '/') != NULL)
			problems_error(k->problems, one->line, "`key_credential`: `%s` is a path – give the name from LoadCredential= only", one->key_credential);
	}
}

static void
check_tls(struct check *k)
{
	const struct config_tls *t = &k->c->tls;
	const yaml_node_t *node = config_yaml_get(k->y, config_yaml_root(k->y), "tls");
	check_file_path(k, t->client_ca, "client_ca", line_of(k, node, "client_ca"));
	check_file_path(k, t->ca_file, "ca_file", line_of(k, node, "ca_file"));
	check_certificates(k);
	if (t->listen_count > 0 && t->certificate_count == 0)
		problems_error(k->problems, line_of(k, node, "listen"), "TLS needs a certificate – add `certificates:` with `certificate` and `key`");
	if (t->client_certificates != 0 && t->client_ca[0] == '\0')
		problems_error(k->problems, line_of(k, node, "client_certificates"),
			"certificates of clients are to be checked, but there is nothing to check them against – add `client_ca`");
}

/* Whom to trust about this provider: the same file is read once for all. */
static void
check_trust(struct check *k, struct config_provider *p, const yaml_node_t *node)
{
	struct config_tls *t = &k->c->tls;
	const char *file = p->ca_file[0] != '\0' ? p->ca_file : t->ca_file;
	check_file_path(k, p->ca_file, "ca_file", line_of(k, node, "ca_file"));
	if (!p->target.tls)
		return;
	for (p->trust = 0; p->trust < t->trust_count; p->trust++)
		if (strcmp(t->trust[p->trust], file) == 0)
			return;
	if (t->trust_count == CONFIG_TRUSTS_MAX)
		problems_error(k->problems, line_of(k, node, "ca_file"), "more than %d different `ca_file` – put several authorities into one file", CONFIG_TRUSTS_MAX);
	else
		t->trust[t->trust_count++] = file;
}

static void
check_metrics(struct check *k)
{
	struct config_metrics *m = &k->c->metrics;
	uint32_t line = line_of(k, config_yaml_get(k->y, config_yaml_root(k->y), "metrics"), "listen");
	m->on = m->listen_text[0] != '\0';
	if (m->on && !config_address((struct span){m->listen_text, strlen(m->listen_text)}, &m->listen))
		problems_error(k->problems, line,
			"`metrics.listen`: `%s` is not an address with a port – write 127.0.0.1:9464", m->listen_text);
}

static void
check_telemetry(struct check *k)
{
	const struct config_telemetry *t = &k->c->telemetry;
	const yaml_node_t *node = config_yaml_get(k->y, config_yaml_root(k->y), "telemetry");
	uint32_t line = line_of(k, node, "otlp");
	struct config_url url = {0};
	const char *why = t->otlp[0] != '\0' ? config_url((struct span){t->otlp, strlen(t->otlp)}, &url) : NULL;
	bool headers = t->headers_file[0] != '\0' || t->headers_env[0] != '\0' || t->headers_credential[0] != '\0';
	check_file_path(k, t->ca_file, "ca_file", line_of(k, node, "ca_file"));
	if (why != NULL)
		problems_error(k->problems, line, "`telemetry.otlp`: %s", why);
	else if (t->otlp[0] == '\0' && (headers || t->ca_file[0] != '\0'))
		problems_error(k->problems, line_of(k, node, headers ? "headers_file" : "ca_file"), "`telemetry`: there is no collector that this is for – add `otlp` with its URL");
	else if (t->otlp[0] != '\0' && !url.tls && !config_host_is_private(url.host))
		problems_error(k->problems, line, "`telemetry.otlp`: plain http to %s would send spans readable over the internet – use https, or an address of a private network", url.host);
	else if (!url.tls && t->ca_file[0] != '\0')
		problems_error(k->problems, line_of(k, node, "ca_file"), "`telemetry.ca_file`: no certificate is asked for over plain http – write https in `otlp`, or leave this out");
	if ((t->headers_file[0] != '\0') + (t->headers_env[0] != '\0') + (t->headers_credential[0] != '\0') > 1)
		problems_error(k->problems, line, "`telemetry`: of `headers_file`, `headers_env` and `headers_credential` only one can be – leave the others out");
}

/* What the connections of an edge can need besides content: their structs, and what TLS keeps of each (measured: 16 to 20 KiB). */
static uint64_t
library_bytes(const struct config *c)
{
	bool tls = config_speaks_tls(c);
	for (uint32_t i = 0; i < c->provider_count; i++)
		tls = tls || c->providers[i].target.tls;
	return 16 * MIB + c->limits.connections_per_edge * (tls ? 24 * KIB : 4 * KIB);
}

static void
check_limits(struct check *k)
{
	const struct config_limits *l = &k->c->limits;
	const yaml_node_t *node = config_yaml_get(k->y, config_yaml_root(k->y), "limits");
	if (l->body_bytes > l->content_memory_bytes)
		problems_error(k->problems, line_of(k, node, "body_bytes"),
			"`body_bytes` is more than `content_memory`: no such request could ever be read – raise content_memory or lower body_bytes");
	if (l->connections_per_edge < 2 * l->streams_per_edge)
		problems_warn(k->problems, line_of(k, node, "connections_per_edge"),
			"each stream needs a connection on either side: with %llu connections an edge serves %llu streams – raise connections_per_edge",
			(unsigned long long)l->connections_per_edge, (unsigned long long)l->connections_per_edge / 2);
}

/* ---- providers ---- */

static bool
is_word(const char *s)
{
	return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(s);
}

static void
check_region(struct check *k, const char *region, uint32_t line)
{
	if (!is_word(region))
		problems_error(k->problems, line, "`region`: `%s` – write small letters, digits, '-', '_' and '.' only, for example eu", region);
}

static void
check_provider_language(struct check *k, const struct config_provider *p, uint32_t line)
{
	if (p->language && p->dialect != DIALECT_OPENAI)
		problems_error(k->problems, line, "`language` chooses among OpenAI's APIs, and this provider speaks another dialect – remove it");
	else if (p->language && !p->responses && p->language != 1 + ASKED_IN_CHAT)
		problems_error(k->problems, line, "`language` has the provider asked by the Responses API, of which `responses: false` says that it has none – write chat, or remove one of the two");
}

static void
check_url(struct check *k, struct config_provider *p, const yaml_node_t *node)
{
	uint32_t line = line_of(k, node, "url");
	const char *why = config_url((struct span){p->url, strlen(p->url)}, &p->target);
	if (why != NULL)
		problems_error(k->problems, line, "`url`: %s", why);
	else if (!p->target.tls && !config_host_is_private(p->target.host))
		problems_error(k->problems, line,
			"`url`: plain http to %s would send keys and prompts readable over the internet – use https, or an address of a private network",
			p->target.host);
}

static void
check_key_sources(struct check *k, const struct config_provider *p)
{
	for (uint32_t i = 0; i < p->key_count; i++) {
		const struct config_key *key = &p->keys[i];
		int given = (key->env[0] != '\0') + (key->file[0] != '\0') + (key->credential[0] != '\0');
		if (given != 1)
			problems_error(k->problems, key->line,
				"a key has exactly one of `env`, `file` and `credential` – this one has %d", given);
		if (strchr(key->env, '=') != NULL)
			problems_error(k->problems, key->line,
				"`env`: a variable's name has no '=' – name the variable, don't write the key here");
		if (key->file[0] != '\0' && key->file[0] != '/')
			problems_error(
				k->problems, key->line, "`file`: `%s` is not an absolute path – begin it with '/'", key->file);
		if (strchr(key->credential, '/') != NULL)
			problems_error(k->problems, key->line,
				"`credential`: `%s` is a path – give the name from LoadCredential= only", key->credential);
	}
}

/*
 * Headers that Lethe sets itself or never lets through (design: credentials, organisation, cookies, forwarding
 * and framing stay behind).
 */
static bool
header_is_kept_back(const char *name)
{
	static const char *const whole[] = {"accept", "accept-encoding", "authorization", "connection",
		"content-encoding", "content-length", "content-type", "cookie", "expect", "forwarded", "host", "keep-alive",
		"origin", "proxy-authorization", "proxy-connection", "referer", "te", "trailer", "transfer-encoding",
		"upgrade", "user-agent", "via", "x-api-key", "x-goog-api-key", "x-real-ip", "openai-organization",
		"openai-project"};
	static const char *const begins[] = {"x-forwarded-", "sec-", "cf-", "lethe-"};
	for (size_t i = 0; i < ARRAY_LEN(whole); i++)
		if (strcmp(name, whole[i]) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_LEN(begins); i++)
		if (strncmp(name, begins[i], strlen(begins[i])) == 0)
			return true;
	return false;
}

static void
check_pass_header(struct check *k, char *name, uint32_t line)
{
	for (char *c = name; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c + 32);
	size_t len = strlen(name);
	if (len == 0 || len >= CATALOGUE_HEADER_MAX || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != len)
		problems_error(k->problems, line,
			"`pass_headers`: `%.60s` is not a header's name – write letters, digits and '-', at most %d", name,
			CATALOGUE_HEADER_MAX - 1);
	else if (header_is_kept_back(name))
		problems_error(k->problems, line,
			"`pass_headers`: `%s` never goes through: Lethe sets it itself or keeps it from providers – remove it",
			name);
}

enum balance_wire
config_balance_wire(const struct config_provider *p)
{
	if (p->balance != BALANCE_AUTO)
		return (enum balance_wire)p->balance;
	if (strcmp(p->target.host, "api.deepseek.com") == 0)
		return BALANCE_DEEPSEEK;
	return strcmp(p->target.host, "openrouter.ai") == 0 ? BALANCE_OPENROUTER : BALANCE_NONE;
}

static void
check_provider(struct check *k, uint32_t index)
{
	struct config_provider *p = &k->c->providers[index];
	const yaml_node_t *node = entry_node(k, "providers", index),
					  *headers = config_yaml_get(k->y, node, "pass_headers");
	if (!is_word(p->name))
		problems_error(k->problems, line_of(k, node, "name"),
			"`name`: `%s` – write small letters, digits, '-', '_' and '.' only", p->name);
	check_url(k, p, node);
	check_trust(k, p, node);
	if (p->low_balance_nano > 0 && config_balance_wire(p) == BALANCE_NONE)
		problems_error(k->problems, line_of(k, node, "low_balance"), "`low_balance`: this provider is not asked what its account has left – say how with `balance`, or leave it out");
	check_region(k, p->region, line_of(k, node, "region"));
	check_provider_language(k, p, line_of(k, node, "language"));
	check_key_sources(k, p);
	for (uint32_t i = 0; i < p->pass_header_count; i++)
		check_pass_header(k, p->pass_headers[i], config_yaml_line(config_yaml_item(k->y, headers, i)));
}

static void
check_providers(struct check *k)
{
	if (!list_in_either(k, "providers"))
		problems_error(k->problems, 0,
			"there are no providers – add `providers:`, or name a file that has them with `catalogue:` (docs/reference/config.md)");
	struct name *names = name_list(k->c->provider_count);
	for (uint32_t i = 0; i < k->c->provider_count; i++) {
		check_provider(k, i);
		names[i] = (struct name){k->c->providers[i].name, line_of(k, entry_node(k, "providers", i), "name")};
	}
	report_repeats(k, names, k->c->provider_count, "provider");
	free(names);
}

/* ---- models ---- */

/*
 * A model's name travels in JSON, in URLs and on command lines: printable ASCII without blanks, quotes and the
 * like.
 */
static bool
is_model_name(const char *s)
{
	size_t len = strlen(s);
	return len > 0 && len < CATALOGUE_NAME_MAX &&
		strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:/@+") == len;
}

static void
check_model_name(struct check *k, const char *name, const char *key, uint32_t line)
{
	if (!is_model_name(name))
		problems_error(k->problems, line,
			"`%s`: `%.60s` – write letters, digits and any of -_.:/@+, at most %d in all", key, name,
			CATALOGUE_NAME_MAX - 1);
}

/* Index of the provider; 0 with an error when there is none of that name. */
static uint32_t
provider_named(struct check *k, const char *name, uint32_t line)
{
	char known[256] = "";
	size_t len = 0;
	for (uint32_t i = 0; i < k->c->provider_count; i++) {
		if (strcmp(name, k->c->providers[i].name) == 0)
			return i;
		if (len < sizeof known)
			len += (size_t)snprintf(known + len, sizeof known - len, "%s%s", len == 0 ? "" : ", ", k->c->providers[i].name);
	}
	if (k->c->provider_count == 0)
		problems_error(k->problems, line, "there is no provider `%s` – describe it under `providers:`", name);
	else
		problems_error(k->problems, line, "there is no provider `%s` – name one of: %s", name, known);
	return 0;
}

static uint32_t
lane_named(struct check *k, const char *name, uint32_t line)
{
	for (uint32_t i = 0; i < k->c->lane_count; i++)
		if (strcmp(k->c->lanes[i].name, name) == 0)
			return 1u << i;
	problems_error(k->problems, line, "there is no lane `%.40s` – describe it under `lanes:`", name);
	return 0;
}

static void
check_lanes(struct check *k)
{
	struct name *names = name_list(k->c->lane_count);
	for (uint32_t i = 0; i < k->c->lane_count; i++) {
		const struct config_lane *l = &k->c->lanes[i];
		names[i] = (struct name){l->name, l->line};
		if (!is_word(l->name))
			problems_error(k->problems, l->line, "`name`: `%s` – write small letters, digits, '-', '_' and '.' only", l->name);
	}
	report_repeats(k, names, k->c->lane_count, "lane");
	free(names);
}

static void
resolve_fallbacks(struct config_price *p)
{
	int64_t *pico = &p->input;
	static const enum token_kind stand_in[TOKEN_KIND_COUNT] = {
#define X(name, meaning, fallback) [TOKEN_##name] = TOKEN_##fallback,
		TOKEN_KINDS(X)
#undef X
	};
	for (unsigned kind = 0; kind < TOKEN_KIND_COUNT; kind++)
		p->given |= pico[kind] >= 0 ? 1u << kind : 0;
	for (unsigned kind = 0; kind < TOKEN_KIND_COUNT; kind++) /* what stands in comes first in the list */
		if (pico[kind] < 0)
			pico[kind] = pico[stand_in[kind]];
}

/* The price list of a model or a target. */
struct prices {
	struct config_price *rows;
	uint32_t count;
};

/* The row of the same start that a row with `times` multiplies. */
static const struct config_price *
base_of(const struct prices *m, const struct config_price *p, uint64_t above)
{
	for (uint32_t i = 0; i < m->count; i++) {
		const struct config_price *b = &m->rows[i];
		if (b->from_ms == p->from_ms && b->tier == TIER_standard && b->above_tokens == above && b->times_x100 == 0)
			return b;
	}
	return NULL;
}

/* What is missing stays so; that was reported. */
static int64_t
multiplied(int64_t pico, uint64_t x100)
{
	return pico < 0 ? pico : (int64_t)(((unsigned __int128)pico * x100 + 99) / 100);
}

/* `p` for one size of request; its amounts are those of the standard tier, so many times. */
static struct config_price
times_row(const struct config_price *p, const struct config_price *base)
{
	struct config_price row = *base;
	row.tier = p->tier;
	row.line = p->line;
	for (unsigned kind = 0; kind < TOKEN_KIND_COUNT; kind++)
		(&row.input)[kind] = multiplied((&base->input)[kind], p->times_x100);
	return row;
}

/* Rows with `times` become one row for each size of request that the standard tier has. */
static bool
expand_times(struct prices *m)
{
	uint32_t most = m->count, count = 0;
	for (uint32_t i = 0; i < m->count; i++)
		most += m->rows[i].times_x100 ? m->count : 0;
	struct config_price *rows = calloc(most ? most : 1, sizeof *rows);
	if (!rows)
		return false;
	for (uint32_t i = 0; i < m->count; i++) {
		const struct config_price *p = &m->rows[i];
		if (p->times_x100 == 0)
			rows[count++] = *p;
		for (uint32_t j = 0; p->times_x100 != 0 && j < m->count; j++)
			if (base_of(m, p, m->rows[j].above_tokens) == &m->rows[j])
				rows[count++] = times_row(p, &m->rows[j]);
	}
	free(m->rows);
	m->rows = rows;
	m->count = count;
	return true;
}

static void
check_price(struct check *k, const struct prices *m, const struct config_price *p)
{
	bool prices = p->input >= 0 && p->output >= 0;
	if (p->times_x100 == 0 && !prices)
		problems_error(k->problems, p->line, "a price needs `input` and `output`, or with a `tier` `times` – add them");
	if (p->times_x100 != 0 && (p->tier == TIER_standard || p->above_tokens != 0))
		problems_error(k->problems, p->line, "`times` goes with a `tier` other than standard and without `above` – it holds for each size of request");
	if (!base_of(m, p, 0))
		problems_error(k->problems, p->line, "no price of the standard tier begins at the same time – add one without `above` and `tier`");
}

/* What `times` made; amounts in the file were bounded where they stand. */
static void
check_amounts(struct check *k, const struct config_price *p)
{
	bool fits = true;
	for (unsigned kind = 0; kind < TOKEN_KIND_COUNT; kind++)
		fits = fits && (&p->input)[kind] <= (int64_t)PRICE_MOST;
	if (!fits)
		problems_error(k->problems, p->line, "`times` makes a price of more dollars than anybody charges – write a smaller factor, for example '2'");
}

static bool
same_row(const struct config_price *a, const struct config_price *b)
{
	return a->from_ms == b->from_ms && a->tier == b->tier && a->above_tokens == b->above_tokens;
}

/* *rows and *count become what `times` makes of them. Returns when the first begins. */
static uint64_t
check_price_list(struct check *k, struct config_price **rows, uint32_t *count, uint32_t line)
{
	struct prices m = {*rows, *count};
	uint64_t first_ms = UINT64_MAX;
	for (uint32_t i = 0; i < m.count; i++)
		check_price(k, &m, &m.rows[i]);
	for (uint32_t i = 0; i < m.count; i++)
		resolve_fallbacks(&m.rows[i]);
	if (!expand_times(&m))
		problems_error(k->problems, line, "there is no memory for the prices");
	for (uint32_t i = 0; i < m.count; i++) {
		struct config_price *p = &m.rows[i];
		first_ms = p->from_ms < first_ms ? p->from_ms : first_ms;
		check_amounts(k, p);
		for (uint32_t j = 0; j < i; j++)
			if (same_row(&m.rows[j], p))
				problems_error(k->problems, p->line,
					"the price in line %u begins at the same time for the same requests – change `from` or remove one", place_line(m.rows[j].line));
	}
	*rows = m.rows;
	*count = m.count;
	return first_ms;
}

static void
check_prices(struct check *k, struct config_model *m)
{
	uint64_t first_ms = check_price_list(k, &m->prices, &m->price_count, m->line);
	if (m->price_count == 0)
		problems_error(k->problems, m->line,
			"the model `%s` has no price, so nobody may use it – add `prices:` with `from`, `input` and `output`",
			m->id);
	if (m->created_ms == 0 && m->price_count > 0)
		m->created_ms = first_ms;
}

/* The target's word, else the model's, else the provider's: of OpenAI's languages, so other dialects have none. */
static void
check_language(struct check *k, const struct config_model *m, const struct config_provider *p, struct config_target *t, uint32_t line)
{
	bool said = t->language || (m->short_form && m->language);
	if (p->dialect != DIALECT_OPENAI) {
		if (said)
			problems_error(k->problems, line, "`language` chooses among OpenAI's APIs, and `%s` speaks another dialect – remove it", p->name);
		t->language = 0;
		return;
	}
	uint64_t chosen = t->language ? t->language : m->language;
	t->language = chosen ? chosen : p->language;
	if (chosen && !p->responses && chosen != 1 + ASKED_IN_CHAT)
		problems_error(k->problems, line, "`language` has `%s` asked by the Responses API, of which its `responses: false` says that it has none – write chat, or remove one of the two", p->name);
}

/* What it does not say is the provider's word. */
static void
check_target(struct check *k, const struct config_model *m, struct config_target *t, const yaml_node_t *node)
{
	const struct config_provider *p;
	const yaml_node_t *lanes = config_yaml_get(k->y, node, "lanes");
	t->provider_index = provider_named(k, t->provider, m->short_form ? t->line : line_of(k, node, "provider"));
	if (t->upstream[0] == '\0')
		t->upstream = m->upstream;
	else
		check_model_name(k, t->upstream, "upstream", line_of(k, node, "upstream"));
	check_region(k, t->region, t->line);
	for (uint32_t i = 0; i < t->lane_text_count; i++)
		t->lanes |= lane_named(k, t->lane_texts[i], config_yaml_line(config_yaml_item(k->y, lanes, i)));
	if (t->lane_text_count == 0)
		t->lanes = (1u << k->c->lane_count) - 1;
	if (t->price_count > 0)
		(void)check_price_list(k, &t->prices, &t->price_count, t->line);
	if (k->c->provider_count == 0)
		return;
	p = &k->c->providers[t->provider_index];
	check_language(k, m, p, t, m->short_form ? m->line : t->line);
	t->retention = t->retention ? t->retention : p->retention;
	t->region = t->region[0] != '\0' ? t->region : p->region;
}

static void
check_targets(struct check *k, struct config_model *m, const yaml_node_t *node)
{
	const yaml_node_t *list = config_yaml_get(k->y, node, "targets");
	if (m->short_form && m->provider[0] == '\0') {
		problems_error(k->problems, m->line, "the model `%s` has no `provider` – name one, or list several under `targets:`", m->id);
		return;
	}
	if (!m->short_form && m->provider[0] != '\0')
		problems_error(k->problems, line_of(k, node, "provider"), "`provider` is the short form of one target – write it in `targets`, or leave those out");
	if (m->short_form)
		m->targets[0].line = line_of(k, node, "provider");
	for (uint32_t i = 0; i < m->target_count; i++)
		check_target(k, m, &m->targets[i], m->short_form ? NULL : config_yaml_item(k->y, list, i));
	for (uint32_t i = 0; i < m->target_count; i++)
		for (uint32_t j = 0; j < i; j++)
			if (m->targets[i].provider_index == m->targets[j].provider_index && strcmp(m->targets[i].upstream, m->targets[j].upstream) == 0)
				problems_error(k->problems, m->targets[i].line, "`%s` at `%s` is already a target of the model – give it another `weight`, or remove one",
					m->targets[i].upstream, m->targets[i].provider);
	m->provider = m->targets[0].provider;
	m->provider_index = m->targets[0].provider_index;
}

static uint16_t
capability_named(struct check *k, const char *name, uint32_t line)
{
#define X(NAME, bit, word, meaning) \
	if (strcmp(name, word) == 0) \
		return bit;
	CAPABILITIES(X)
#undef X
#define X(NAME, bit, word, meaning) " `" word "`"
	problems_error(k->problems, line, "`capabilities`: there is no `%.40s` – write some of" CAPABILITIES(X), name);
#undef X
	return 0;
}

static void
check_capabilities(struct check *k, struct config_model *m, const yaml_node_t *node)
{
	const yaml_node_t *list = config_yaml_get(k->y, node, "capabilities");
	for (uint32_t i = 0; i < m->capability_count; i++)
		m->capabilities |= capability_named(k, m->capability_texts[i], config_yaml_line(config_yaml_item(k->y, list, i)));
}

static void
check_model(struct check *k, uint32_t index)
{
	struct config_model *m = &k->c->models[index];
	const yaml_node_t *node = entry_node(k, "models", index);
	if (m->upstream[0] == '\0')
		m->upstream = m->id;
	else
		check_model_name(k, m->upstream, "upstream", line_of(k, node, "upstream"));
	check_model_name(k, m->id, "id", line_of(k, node, "id"));
	check_capabilities(k, m, node);
	check_targets(k, m, node);
	if (m->output_tokens > m->context_tokens)
		problems_error(k->problems, line_of(k, node, "output"),
			"`output` is larger than `context` – a model can't write more than its window");
	check_prices(k, m);
}

static size_t
add_model_names(struct check *k, uint32_t index, struct name *names)
{
	const struct config_model *m = &k->c->models[index];
	const yaml_node_t *node = entry_node(k, "models", index), *aliases = config_yaml_get(k->y, node, "aliases");
	names[0] = (struct name){m->id, line_of(k, node, "id")};
	for (uint32_t i = 0; i < m->alias_count; i++) {
		uint32_t line = config_yaml_line(config_yaml_item(k->y, aliases, i));
		check_model_name(k, m->aliases[i], "aliases", line);
		names[1 + i] = (struct name){m->aliases[i], line};
	}
	return 1 + m->alias_count;
}

static void
check_models(struct check *k)
{
	size_t count = 0;
	for (uint32_t i = 0; i < k->c->model_count; i++)
		count += 1 + k->c->models[i].alias_count;
	struct name *names = name_list(count);
	count = 0;
	for (uint32_t i = 0; i < k->c->model_count; i++) {
		check_model(k, i);
		count += add_model_names(k, i, names + count);
	}
	report_repeats(k, names, count, "model name");
	free(names);
	if (!list_in_either(k, "models"))
		problems_error(k->problems, 0,
			"there are no models – add `models:`, or name a file that has them with `catalogue:` (docs/reference/config.md)");
	else if (k->c->model_count == 0)
		problems_warn(k->problems, config_yaml_line(list_in_either(k, "models")),
			"`models` is empty: every request is answered with 404 – describe a provider and a model (docs/reference/config.md)");
}

void
config_check(struct config *c, const struct config_files *files, struct problems *problems)
{
	struct check k = {c, files, files->y[0], problems};
	check_edges(&k);
	check_listen(&k);
	check_tls(&k);
	check_metrics(&k);
	check_telemetry(&k);
	check_limits(&k);
	check_lanes(&k);
	check_providers(&k);
	if (c->limits.library_memory_bytes == 0)
		c->limits.library_memory_bytes = library_bytes(c);
	check_models(&k);
}
