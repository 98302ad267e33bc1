#include "proc/config.h"

#include "core/forwarded.h"
#include "ticket/capabilities.h"
#include "ticket/catalogue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* A file that is right; each wrong one differs from it by one replacement. */
static const char right[] =
	"listen: ['127.0.0.1:8080']\n" /* line 1 */
	"limits: {body_bytes: 1MiB}\n"
	"timeouts: {head: 10s}\n"
	"metrics: {listen: '127.0.0.1:9464'}\n"
	"providers:\n"
	"  - name: openai\n" /* line 6 */
	"    url: https://api.openai.com/v1\n"
	"    keys: [{env: LETHE_TEST_KEY}]\n"
	"    pass_headers: [X-Sim]\n"
	"models:\n" /* line 10 */
	"  - id: mini\n"
	"    provider: openai\n"
	"    aliases: [small]\n"
	"    context: 1000\n"
	"    output: 100\n" /* line 15 */
	"    prices:\n"
	"      - {from: 2026-01-01, input: '0.25', output: '2.00'}\n"
	"  - id: maxi\n"
	"    provider: openai\n"
	"    context: 1000\n" /* line 20 */
	"    output: 100\n"
	"    prices:\n"
	"      - from: 2026-01-01\n"
	"        input: '1'\n"
	"        output: '2'\n"; /* line 25 */

static struct config *
load(const char *text, size_t len, struct problems *p)
{
	struct config *c = NULL;
	problems_init(p, "test.yaml");
	bool ok = config_load_text(text, len, p, &c);
	assert_int_equal(ok, p->errors == 0);
	assert_int_equal(ok, c != NULL);
	return c;
}

/* `right` with one place replaced; the caller frees. */
static char *
replaced(const char *from, const char *to)
{
	const char *at = strstr(right, from);
	if (at == NULL)
		fail_msg("the right file has no: %s", from);
	size_t before = (size_t)(at - right), size = sizeof right + strlen(to);
	char *text = malloc(size);
	assert_non_null(text);
	snprintf(text, size, "%.*s%s%s", (int)before, right, to, at + strlen(from));
	return text;
}

struct wrong {
	const char *from, *to;
	uint32_t line;
	const char *says; /* part of the message */
};

static const struct wrong wrongs[] = {
	/* unknown, missing, repeated */
	{"timeouts:", "timeout:", 3, "unknown key `timeout` in the file – did you mean `timeouts`?"},
	{"limits:", "quotas:", 2, "unknown key `quotas` in the file – known are listen, listeners, trusted_proxies, limits"},
	{"head: 10s", "haed: 10s", 3, "unknown key `haed` in timeouts – did you mean `head`?"},
	{"    context: 1000\n    output: 100\n    prices:\n      - {", "    output: 100\n    prices:\n      - {", 11, "`context` is missing in an entry of `models`"},
	{"    provider: openai\n    aliases", "    colour: red\n    provider: openai\n    aliases", 12, "unknown key `colour` in an entry of `models`"},
	{"      - from: 2026-01-01\n        input", "      - input", 23, "`from` is missing in an entry of `prices`"},
	{"listen: ['127.0.0.1:8080']\n", "", 0, "there is no address to listen on"},
	{"    context: 1000\n", "    context: 1000\n    context: 2000\n", 15, "`context` stands twice"},
	/* shape */
	{"models:", "models: [\n", 12, "flow node"},
	{"    url:", "\turl:", 7, "spaces, not tabs"},
	{"    aliases: [small]", "    aliases: small", 13, "aliases must be a list"},
	{"{head: 10s}", "10s", 3, "timeouts must be a mapping"},
	{"'127.0.0.1:8080'", "{a: b}", 1, "an entry of `listen` must be a single value"},
	{"['127.0.0.1:8080']", "[]", 1, "`listen` has 0 entries"},
	{"timeouts: {head: 10s}\n", "timeouts: &t {head: 10s}\nlog: *t\n", 3, "used again through an alias"},
	{"models:\n", "---\nmodels:\n", 11, "second document"},
	{"mini\n", "\"mi\\0ni\"\n", 11, "NUL"},
	{"mini\n", "mi\x01ni\n", 11, "UTF-8"},
	{"mini\n", "mi\xff\n", 11, "UTF-8"},
	/* values */
	{"127.0.0.1:8080", "localhost:8080", 1, "not an address with a port"},
	{"127.0.0.1:8080", "127.0.0.1", 1, "not an address with a port"},
	{"127.0.0.1:8080", "127.0.0.1:99999", 1, "not an address with a port"},
	{"['127.0.0.1:8080']", "['127.0.0.1:8080',\n  '127.0.0.1:8080']", 2, "stands twice"},
	{"127.0.0.1:8080", "unix:lethe.sock", 1, "not an address with a port"},
	{"127.0.0.1:8080", "systemd:", 1, "not an address with a port"},
	{"['127.0.0.1:8080']", "['unix:/run/a', 'unix:/run/a']", 1, "`listen`: unix:/run/a stands twice"},
	{"timeouts:", "listeners: [{at: '127.0.0.1:8080'}]\ntimeouts:", 3, "`listen`: 127.0.0.1:8080 stands twice"},
	{"timeouts:", "listeners: [{at: '127.0.0.1:1', tls: true}]\ntimeouts:", 3, "TLS needs a certificate"},
	{"timeouts:", "listeners: [{at: '127.0.0.1:1', dual_stack: true}]\ntimeouts:", 3, "`dual_stack` is for addresses of IPv6"},
	{"timeouts:", "listeners: [{at: '127.0.0.1:1', proxy_protocol: true}]\ntimeouts:", 3, "nobody may connect there – add the proxy's address to `trusted_proxies`"},
	{"timeouts:", "trusted_proxies: [10.0.0.0/8]\nlisteners: [{at: 'unix:/a', proxy_protocol: true}]\ntimeouts:", 4, "nobody may connect there – add `unix` to `trusted_proxies`"},
	{"timeouts:", "listeners: [{at: 'unix:/run/a', mode: '888'}]\ntimeouts:", 3, "`mode`: `888` can't be read as a file mode – write three octal digits"},
	{"timeouts:", "trusted_proxies: [10.0.0.1/8]\ntimeouts:", 3, "`trusted_proxies`: `10.0.0.1/8` is no range of addresses"},
	{"timeouts:", "client_address: x-real-ip\ntimeouts:", 3, "write x-forwarded-for, forwarded or cf-connecting-ip"},
	{"1MiB", "1MB", 2, "`body_bytes`: `1MB` can't be read as a size"},
	{"1MiB", "10", 2, "`body_bytes`: 10 is out of range – write 1KiB to 1GiB"},
	{"1MiB", "900MiB", 2, "more than `content_memory`"},
	{"head: 10s", "head: 10", 3, "`head`: `10` can't be read as a duration – write a whole number with a unit"},
	{"head: 10s", "head: 1ms", 3, "`head`: 1ms is out of range – write 100ms to 1h"},
	{"head: 10s", "head: -1s", 3, "as a duration"},
	{"timeouts:", "content_memory_grade: secret\ntimeouts:", 3, "`content_memory_grade`: `secret` can't be read as `auto`, `sealed` or `locked` – write auto, sealed or locked"},
	{"head: 10s", "head: ''", 3, "as a duration"},
	{"head: 10s", "head: 99999999999999999999s", 3, "as a duration"},
	{"127.0.0.1:9464", "9464", 4, "`metrics.listen`: `9464` is not an address"},
	{"metrics: {listen: '127.0.0.1:9464'}", "telemetry: {otlp: '127.0.0.1:4318'}", 4, "does not begin with https:// or http://"},
	{"metrics: {listen: '127.0.0.1:9464'}", "telemetry: {headers_env: X}", 4, "there is no collector that this is for"},
	{"metrics: {listen: '127.0.0.1:9464'}", "telemetry: {otlp: 'http://127.0.0.1:4318', ca_file: /a.pem}", 4, "no certificate is asked for over plain http"},
	{"metrics: {listen: '127.0.0.1:9464'}", "telemetry: {otlp: 'https://a.example', headers_env: X, headers_file: /x}", 4, "only one can be"},
	{"metrics: {listen: '127.0.0.1:9464'}", "telemetry: {otlp: 'http://8.8.8.8:4318'}", 4, "plain http to 8.8.8.8 would send spans readable over the internet"},
	{"metrics: {listen: '127.0.0.1:9464'}", "telemetry: {otlp: 'http://collector.example.com:4318'}", 4, "plain http to collector.example.com would send spans readable over the internet"},
	{"    context: 1000", "    context: 1k", 14, "`context`: `1k` can't be read as a whole number"},
	{"    context: 1000", "    context: 0", 14, "out of range"},
	{"    context: 1000", "    context: ~", 14, "as a whole number"},
	{"    context: 1000", "    context: 1e3", 14, "as a whole number"},
	{"    output: 100\n", "    output: 1001\n", 15, "`output` is larger than `context`"},
	{"    output: 100\n", "    output: 100\n    reasoning: yes\n", 16, "`reasoning`: `yes` can't be read as true or false"},
	{"    output: 100\n", "    output: 100\n    tokenizer: claude\n", 16, "write none, o200k_base or cl100k_base"},
	{"    output: 100\n", "    output: 100\n    bytes_per_token: 2.5\n", 16, "put it in quotes: \"2.5\""},
	{"    output: 100\n", "    output: 100\n    bytes_per_token: '2.555'\n", 16, "as a decimal"},
	{"    output: 100\n", "    output: 100\n    bytes_per_token: '0'\n", 16, "write \"0.01\" to \"100\""},
	/* prices */
	{"'0.25'", "0.25", 17, "`input`: 0.25 is a floating-point number to YAML – put it in quotes: \"0.25\""},
	{"'1'", "1", 24, "put it in quotes"},
	{"'0.25'", "'-1'", 17, "`input`: `-1` can't be read as dollars per million tokens"},
	{"'0.25'", "'0.0000001'", 17, "can't be read as dollars per million tokens"},
	{"'0.25'", "'$1'", 17, "can't be read as dollars per million tokens"},
	{"'0.25'", "'1000001'", 17, "more than anybody charges"},
	{"from: 2026-01-01, i", "from: 2026-02-30, i", 17, "`from`: `2026-02-30` can't be read as a date"},
	{"from: 2026-01-01, i", "from: 01.01.2026, i", 17, "as a date"},
	{"from: 2026-01-01, i", "from: 2026-01-01T25:00:00Z, i", 17, "as a date"},
	{"      - from: 2026-01-01\n", "      - {from: 2026-01-01, input: '9', output: '9'}\n      - from: 2026-01-01\n", 24, "the price in line 23 begins at the same time"},
	{"    prices:\n      - {from: 2026-01-01, input: '0.25', output: '2.00'}\n", "", 11, "the model `mini` has no price"},
	{"    prices:\n      - {from: 2026-01-01, input: '0.25', output: '2.00'}\n", "    prices: []\n", 11, "the model `mini` has no price"},
	/* providers */
	{"name: openai", "name: Open AI", 6, "small letters"},
	{"    provider: openai\n    aliases", "    provider: openia\n    aliases", 12, "there is no provider `openia` – name one of: openai"},
	{"providers:\n", "providers:\n  - {name: openai, url: 'http://localhost:1'}\n", 7, "the provider `openai` is already in line 6"},
	{"https://api.openai.com/v1", "api.openai.com/v1", 7, "does not begin with https://"},
	{"https://api.openai.com/v1", "http://api.openai.com/v1", 7, "plain http to api.openai.com would send keys and prompts readable"},
	{"https://api.openai.com/v1", "https://u:p@api.openai.com/v1", 7, "user name or password"},
	{"https://api.openai.com/v1", "https://api.openai.com/v1?a=b", 7, "query or fragment"},
	{"https://api.openai.com/v1", "https://api.openai.com/a/../b", 7, "a character that it may not have"},
	{"https://api.openai.com/v1", "https://api.openai.com:0/v1", 7, "port"},
	{"https://api.openai.com/v1", "https://300.1.1.1/v1", 7, "not a name or address"},
	{"https://api.openai.com/v1", "https://", 7, "the host is missing"},
	{"name: openai\n", "name: openai\n    language: klingon\n", 7, "write both, chat or responses"},
	{"name: openai\n", "name: openai\n    dialect: anthropic\n    language: chat\n", 8, "`language` chooses among OpenAI's APIs"},
	{"name: openai\n", "name: openai\n    responses: false\n    language: responses\n", 8, "of which `responses: false` says that it has none"},
	{"    provider: openai\n    aliases", "    provider: openai\n    language: klingon\n    aliases", 13, "write both, chat or responses"},
	{"[{env: LETHE_TEST_KEY}]", "[{}]", 8, "exactly one of `env`, `file` and `credential` – this one has 0"},
	{"{env: LETHE_TEST_KEY}", "{env: A, file: /b}", 8, "this one has 2"},
	{"{env: LETHE_TEST_KEY}", "{env: 'A=sk-1'}", 8, "name the variable"},
	{"{env: LETHE_TEST_KEY}", "{file: openai.key}", 8, "not an absolute path"},
	{"{env: LETHE_TEST_KEY}", "{credential: ../x}", 8, "is a path"},
	{"X-Sim", "'X Sim'", 9, "not a header's name"},
	{"X-Sim", "Authorization", 9, "`authorization` never goes through"},
	{"X-Sim", "X-Forwarded-For", 9, "never goes through"},
	/* names */
	{"id: maxi", "id: mini", 18, "the model name `mini` is already in line 11"},
	{"id: maxi", "id: small", 18, "the model name `small` is already in line 13"},
	{"[small]", "[small,\n      'sm all']", 14, "`aliases`: `sm all`"},
	{"id: maxi", "id: 'ma\"xi'", 18, "`id`: `ma\"xi`"},
};

static bool
has_problem(const struct problems *p, const struct wrong *w)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (!p->row[i].warning && p->row[i].line == w->line && strstr(p->row[i].text, w->says) != NULL)
			return true;
	return false;
}

static void
each_mistake_is_named_with_its_line_and_a_remedy(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(wrongs); i++) {
		struct problems p;
		char *text = replaced(wrongs[i].from, wrongs[i].to);
		assert_null(load(text, strlen(text), &p));
		free(text);
		if (!has_problem(&p, &wrongs[i])) {
			problems_print(&p, stderr);
			fail_msg(
				"row %zu (%s): no problem in line %u that says: %s", i, wrongs[i].to, wrongs[i].line, wrongs[i].says);
		}
		for (uint32_t k = 0; k < p.count; k++)
			if (strstr(p.row[k].text, "–") == NULL && strstr(p.row[k].text, "did you mean") == NULL)
				fail_msg("no remedy: %s", p.row[k].text);
	}
}

static void
a_right_file_is_read_with_its_defaults(void **state)
{
	struct problems p;
	struct config *c = load(right, sizeof right - 1, &p);
	assert_int_equal(p.warnings, 0);
	assert_int_equal(c->listen_count, 1);
	assert_string_equal(c->listen[0].host, "127.0.0.1");
	assert_int_equal(c->listen[0].port, 8080);
	assert_true(c->edges >= 1);
	assert_int_equal(c->batch_window_ms, 250);
	assert_int_equal(c->content_memory_grade, MEMORY_AUTO);
	assert_false(c->allow_plain_memory);
	assert_int_equal(c->limits.body_bytes, 1 << 20);
	assert_int_equal(c->limits.head_bytes, 32768);
	assert_int_equal(c->timeouts.head_ms, 10000);
	assert_int_equal(c->timeouts.first_byte_ms, 600000);
	assert_true(c->metrics.on);
	assert_int_equal(c->metrics.listen.port, 9464);
	assert_string_equal(c->log.file, "");
	const struct config_provider *openai = &c->providers[0];
	assert_int_equal(openai->line, 6);
	assert_true(openai->target.tls);
	assert_true(openai->inject_usage);
	assert_int_equal(openai->on_client_gone, CANCEL_UPSTREAM);
	assert_int_equal(openai->target.port, 443);
	assert_string_equal(openai->target.host, "api.openai.com");
	assert_string_equal(openai->target.base_path, "/v1");
	assert_string_equal(openai->keys[0].env, "LETHE_TEST_KEY");
	assert_string_equal(openai->pass_headers[0], "x-sim");
	config_free(&c);
	assert_null(c);
}

/* The sample configuration of a package is like this: its server starts. */
static void
a_catalogue_may_be_empty_and_that_is_said(void **state)
{
	static const char text[] = "listen: ['127.0.0.1:8080']\nproviders: []\nmodels: []\n",
					  without_provider[] = "listen: ['127.0.0.1:8080']\nproviders: []\nmodels:\n"
										   "  - {id: a, provider: b, context: 1, output: 1, prices: [{from: 2026-01-01, input: '1', output: '1'}]}\n";
	struct problems p;
	struct config *c = load(text, sizeof text - 1, &p);
	assert_int_equal(c->provider_count + c->model_count, 0);
	assert_int_equal(p.warnings, 1);
	assert_int_equal(p.row[0].line, 3);
	assert_non_null(strstr(p.row[0].text, "`models` is empty"));
	config_free(&c);
	assert_null(load(without_provider, sizeof without_provider - 1, &p));
	assert_non_null(strstr(p.row[0].text, "there is no provider `b` – describe it"));
}

/* The short lists first, then those with options; what is not said of one is what is best for it. */
static void
listeners_come_in_two_forms(void **state)
{
	static const char text[] =
		"listen: ['127.0.0.1:0', '127.0.0.1:0', 'unix:/run/lethe/lethe.sock']\n"
		"tls: {listen: ['[::]:443'], certificates: [{certificate: /a, key: /b}]}\n"
		"listeners: [{at: 'unix:/run/a', proxy_protocol: true, mode: '0600'}, {at: '[::]:8080', dual_stack: true}, {at: 'systemd:web', tls: true}]\n"
		"trusted_proxies: [unix, 10.0.0.0/8, '2001:db8::/32']\n"
		"client_address: cf-connecting-ip\nproviders: []\nmodels: []\n";
	static const struct config_listener want[] = {
		{.address = {"127.0.0.1", 0, PLACE_IPV4}, .mode = 0660},
		{.address = {"127.0.0.1", 0, PLACE_IPV4}, .mode = 0660},
		{.address = {"/run/lethe/lethe.sock", 0, PLACE_UNIX}, .mode = 0660},
		{.address = {"::", 443, PLACE_IPV6}, .mode = 0660, .tls = true},
		{.address = {"/run/a", 0, PLACE_UNIX}, .mode = 0600, .proxy_protocol = true},
		{.address = {"::", 8080, PLACE_IPV6}, .mode = 0660, .dual_stack = true},
		{.address = {"web", 0, PLACE_SYSTEMD}, .mode = 0660, .tls = true},
	};
	struct problems p;
	struct config *c = NULL;
	problems_init(&p, "test.yaml");
	assert_true(config_load_text(text, sizeof text - 1, &p, &c));
	assert_int_equal(config_listener_count(c), ARRAY_LEN(want));
	for (uint32_t i = 0; i < ARRAY_LEN(want); i++) {
		struct config_listener l = config_listener_at(c, i);
		assert_memory_equal(&l.address, &want[i].address, sizeof l.address);
		assert_int_equal(l.mode, want[i].mode);
		assert_int_equal(l.tls * 4 + l.proxy_protocol * 2 + l.dual_stack, want[i].tls * 4 + want[i].proxy_protocol * 2 + want[i].dual_stack);
	}
	assert_true(c->trust_unix);
	assert_int_equal(c->trusted_count, 2);
	assert_int_equal(c->client_address, FORWARDED_BY_CF_CONNECTING_IP);
	config_free(&c);
}

static void
a_price_that_is_not_given_is_that_of_its_fallback(void **state)
{
	struct problems p;
	char *text = replaced(
		"input: '0.25'", "input: '0.25', cached: '0.025', cache_write: '0.5', audio_out: '9', per_request: '0.01'");
	struct config *c = load(text, strlen(text), &p);
	free(text);
	const struct config_price *price = &c->models[0].prices[0];
	assert_int_equal(price->from_ms, 1767225600000);
	assert_int_equal(price->input, 250000);
	assert_int_equal(price->cached, 25000);
	assert_int_equal(price->cache_write, 500000);
	assert_int_equal(price->cache_write_1h, 500000);
	assert_int_equal(price->audio_in, 250000);
	assert_int_equal(price->image_in, 250000);
	assert_int_equal(price->output, 2000000);
	assert_int_equal(price->reasoning, 2000000);
	assert_int_equal(price->audio_out, 9000000);
	assert_int_equal(price->image_out, 2000000);
	assert_int_equal(price->per_request_nano, 10000000);
	assert_int_equal(price->web_search_nano, 0);
	assert_string_equal(c->models[0].upstream, "mini");
	assert_int_equal(c->models[0].created_ms, 1767225600000);
	config_free(&c);
}

static void
all_mistakes_are_told_at_once(void **state)
{
	struct problems p;
	char *text = replaced("    context: 1000\n    output: 100\n    prices:\n      - {from: 2026-01-01, input: '0.25'",
		"    context: x\n    output: y\n    prices:\n      - {from: z, input: 7");
	assert_null(load(text, strlen(text), &p));
	free(text);
	assert_int_equal(p.errors, 4);
	for (uint32_t i = 1; i < p.count; i++)
		assert_true(p.row[i - 1].line <= p.row[i].line);
}

static void
what_a_model_can_do_is_named_by_words_that_are_known(void **state)
{
	struct problems p;
	char *text = replaced("    context: 1000\n", "    context: 1000\n    capabilities: [tools, json_schema]\n");
	struct config *c = load(text, strlen(text), &p);
	assert_non_null(c);
	assert_int_equal(c->models[0].capabilities, CAPABILITY_TOOLS | CAPABILITY_JSON_SCHEMA);
	config_free(&c);
	free(text);
	text = replaced("    context: 1000\n", "    context: 1000\n    capabilities: [tools, telepathy]\n");
	assert_null(load(text, strlen(text), &p));
	assert_int_equal(p.errors, 1);
	assert_non_null(strstr(p.row[0].text, "there is no `telepathy` – write some of `images` `audio`"));
	free(text);
}

static void
more_mistakes_than_fit_are_counted(void **state)
{
	char text[4096] = "listen: [x";
	struct problems p;
	for (int i = 0; i < 15; i++)
		strcat(text, ", x");
	strcat(text, "]\nproviders: [");
	for (int i = 0; i < 30; i++)
		strcat(text, "{name: a, url: ftp},");
	strcat(text, "]\nmodels: [{id: m, provider: a, context: 1, output: 1}]\n");
	assert_null(load(text, strlen(text), &p));
	assert_int_equal(p.count, PROBLEMS_MAX);
	assert_true(p.errors > PROBLEMS_MAX);
}

static void
plain_http_goes_to_private_places_only(void **state)
{
	static const struct {
		const char *host;
		bool private;
	} rows[] = {{"localhost", true}, {"127.0.0.1", true}, {"10.1.2.3", true}, {"172.16.0.1", true},
		{"172.31.255.1", true}, {"172.32.0.1", false}, {"192.168.1.1", true}, {"192.169.1.1", false},
		{"100.64.0.1", true}, {"100.128.0.1", false}, {"8.8.8.8", false}, {"::1", true}, {"fd00::1", true},
		{"fe80::1", true}, {"2606:4700::1", false}, {"::ffff:10.0.0.1", true}, {"::ffff:8.8.8.8", false},
		{"vllm", true}, {"gpu.internal", true}, {"api.openai.com", false}, {"evil-internal.com", false},
		{"localhost.example", false}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (config_host_is_private(rows[i].host) != rows[i].private)
			fail_msg("%s", rows[i].host);
}

static void
empty_files_and_missing_files_have_a_remedy(void **state)
{
	struct problems p;
	struct config *c = NULL;
	assert_null(load("", 0, &p));
	assert_non_null(strstr(p.row[0].text, "the file is empty"));
	assert_null(load("# nothing\n", 10, &p));
	assert_non_null(strstr(p.row[0].text, "the file is empty"));
	problems_init(&p, "/nowhere/lethe.yaml");
	assert_false(config_load(&p, &c));
	assert_non_null(strstr(p.row[0].text, "No such file"));
	problems_init(&p, "/tmp");
	assert_false(config_load(&p, &c));
	assert_non_null(strstr(p.row[0].text, "not a regular file"));
	assert_null(c);
}

/* ---- a catalogue of its own ---- */

static const char main_part[] = "listen: ['127.0.0.1:8080']\n"
								"catalogue: models.yaml\n"
								"providers:\n"
								"  - {name: own, url: 'http://127.0.0.1:1/v1'}\n"
								"models:\n"
								"  - {id: first, provider: own, context: 10, output: 5, prices: [{from: 2026-01-01, input: '1', output: '1'}]}\n";
static const char other_part[] = "providers:\n"
								 "  - {name: far, url: 'https://api.example.com/v1'}\n"
								 "models:\n"
								 "  - {id: second, provider: far, context: 10, output: 5, prices: [{from: 2026-01-01, input: '2', output: '2'}]}\n"
								 "  - {id: third, provider: own, context: 10, output: 5, prices: [{from: 2026-01-01, input: '3', output: '3'}]}\n";

static char pair_dir[] = "/tmp/lethe-config-XXXXXX";

static void
write_text(const char *name, const char *text)
{
	char path[96];
	snprintf(path, sizeof path, "%s/%s", pair_dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static struct config *
load_pair(const char *first, const char *second, struct problems *p)
{
	static char path[96];
	struct config *c = NULL;
	static bool made;
	if (!made)
		assert_non_null(mkdtemp(pair_dir));
	made = true;
	snprintf(path, sizeof path, "%s/lethe.yaml", pair_dir);
	write_text("lethe.yaml", first);
	write_text("models.yaml", second);
	problems_init(p, path);
	bool ok = config_load(p, &c);
	assert_int_equal(ok, p->errors == 0);
	return c;
}

static void
a_catalogue_in_a_file_of_its_own_goes_on_with_the_lists(void **state)
{
	struct problems p;
	struct config *c = load_pair(main_part, other_part, &p);
	assert_non_null(c);
	assert_int_equal(c->provider_count, 2);
	assert_int_equal(c->model_count, 3);
	assert_string_equal(c->providers[1].name, "far");
	assert_string_equal(c->models[1].id, "second");
	assert_int_equal(c->models[1].provider_index, 1);
	assert_int_equal(c->models[2].provider_index, 0);
	assert_int_equal(c->models[2].prices[0].input, 3000000);
	assert_non_null(strstr(c->catalogue_file, "/models.yaml"));
	config_free(&c);
}

static void
says(const struct problems *p, const char *file, uint32_t line, const char *words)
{
	char text[PATH_MAX + PROBLEM_TEXT_MAX], begins[128];
	snprintf(begins, sizeof begins, line == 0 ? "%s/%s: " : "%s/%s:%u: ", pair_dir, file, line);
	for (uint32_t i = 0; i < p->count; i++) {
		problem_text(p, i, text, sizeof text);
		if (strncmp(text, begins, strlen(begins)) == 0 && strstr(text, words) != NULL)
			return;
	}
	fail_msg("no problem begins with %s and says %s", begins, words);
}

static void
each_mistake_is_told_with_the_file_that_it_stands_in(void **state)
{
	struct problems p;
	assert_null(load_pair(main_part, "listen: ['127.0.0.1:1']\n", &p));
	says(&p, "models.yaml", 1, "unknown key `listen` in the file – known are providers, models");
	assert_null(load_pair(main_part, "models:\n  - {id: [\n", &p));
	says(&p, "models.yaml", 3, "flow node");
	assert_null(load_pair(main_part, "", &p));
	says(&p, "models.yaml", 0, "the file is empty");
	assert_null(load_pair(main_part,
		"models:\n  - {id: first, provider: nobody, context: 10, output: 50, prices: [{from: 2026-01-01, input: '1', output: '1'}]}\n", &p));
	says(&p, "models.yaml", 2, "there is no provider `nobody` – name one of: own");
	says(&p, "models.yaml", 2, "the model name `first` is already in line 6 of ");
	says(&p, "models.yaml", 2, "`output` is larger than `context`");
	assert_null(load_pair("listen: ['127.0.0.1:8080']\ncatalogue: nowhere.yaml\n", "", &p));
	says(&p, "lethe.yaml", 2, "nowhere.yaml can't be read");
	says(&p, "nowhere.yaml", 0, "No such file");
	assert_null(load_pair("listen: ['127.0.0.1:8080']\n", "", &p));
	says(&p, "lethe.yaml", 0, "there are no providers – add `providers:`");
	struct config *c = NULL;
	assert_false(config_load_text(main_part, strlen(main_part), &p, &c));
}

/*
 * Whatever is done to the file, the reader answers with a configuration or with a reason, and AddressSanitizer
 * has nothing to say.
 */
static void
no_damage_to_the_file_is_fatal(void **state)
{
	static const char *const pieces[] = {"[", "]", "{", "}", ":", ": ", "- ", "\n", "\t", "\"", "'", "&a ", "*a",
		"|\n", ">\n", "#", "? ", "!!int ", "~", "\xc3", "\xef\xbb\xbf", "<<: *a\n", "---\n", "...\n", "%YAML 9.9\n",
		"null", "[[[[[[[[", "{{{{", "\0", "\x85", "9999999999999999999999"};
	uint64_t seed = 4711;
	unsigned read = 0;
	for (int i = 0; i < 4000; i++) {
		char text[sizeof right + 128];
		size_t len = sizeof right - 1;
		memcpy(text, right, len);
		for (int edits = 1 + i % 3; edits > 0; edits--) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			size_t at = (seed >> 33) % len;
			size_t cut = (seed >> 20) % 4 == 0 ? (seed >> 50) % (len - at) : (seed >> 50) % 3;
			const char *piece = pieces[(seed >> 10) % ARRAY_LEN(pieces)];
			size_t piece_len = strlen(piece) == 0 ? 1 : strlen(piece);
			cut = cut > len - at ? len - at : cut;
			if (len + piece_len - cut > sizeof text || len - cut < 40)
				continue;
			memmove(text + at + piece_len, text + at + cut, len - at - cut);
			memcpy(text + at, piece, piece_len);
			len = len + piece_len - cut;
		}
		struct problems p;
		struct config *c = load(text, len, &p);
		read += c != NULL;
		config_free(&c);
	}
	print_message("%u of 4000 damaged files are still right\n", read);
	assert_true(read > 10);
}

/* ---- keys ---- */

static struct config *
load_with_key(const char *key)
{
	struct problems p;
	char *text = replaced("{env: LETHE_TEST_KEY}", key);
	struct config *c = load(text, strlen(text), &p);
	free(text);
	return c;
}

static void
a_key_comes_from_the_environment_and_leaves_it(void **state)
{
	uint8_t buf[CONFIG_SECRET_MAX];
	char why[CONFIG_WHY_MAX] = "";
	struct config *c = load_with_key("{env: LETHE_TEST_KEY}");
	unsetenv("LETHE_TEST_KEY");
	assert_int_equal(config_provider_key(c, 0, 0, buf, sizeof buf, why), -1);
	assert_non_null(strstr(why, "key 1 of provider `openai`: the environment variable LETHE_TEST_KEY is not set"));
	setenv("LETHE_TEST_KEY", " sk-secret\n", 1);
	assert_int_equal(config_provider_key(c, 0, 0, buf, sizeof buf, why), 9);
	assert_memory_equal(buf, "sk-secret", 9);
	const char *place = getenv("LETHE_TEST_KEY");
	config_clear_environment(c);
	assert_null(getenv("LETHE_TEST_KEY"));
	for (size_t i = 0; i < strlen(" sk-secret\n"); i++)
		assert_int_equal(place[i], 0);
	config_free(&c);
}

static void
write_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static void
an_optional_provider_without_a_key_is_off_with_its_models(void **state)
{
	struct problems p;
	struct config *c = NULL;
	char *text = replaced("    pass_headers: [X-Sim]\n", "    optional: true\n  - {name: own, url: 'http://127.0.0.1:1/v1'}\n");
	char *mixed = strdup(text), *at = strstr(mixed, "    provider: openai\n    context");
	assert_non_null(at);
	memcpy(at, "    provider: 'own' \n", 21);
	unsetenv("LETHE_TEST_KEY");
	c = load(mixed, strlen(mixed), &p);
	assert_non_null(c);
	assert_int_equal(config_switch_off(c, &p), 1);
	assert_int_equal(c->model_count, 1);
	assert_string_equal(c->models[0].id, "maxi");
	assert_int_equal(c->providers[0].key_count, 0);
	assert_int_equal(p.row[0].line, 6);
	assert_non_null(strstr(p.row[0].text, "`openai` is off with its 1 models: LETHE_TEST_KEY is not there"));
	config_free(&c);
	assert_int_equal(setenv("LETHE_TEST_KEY", "sk-1", 1), 0);
	c = load(mixed, strlen(mixed), &p);
	assert_int_equal(config_switch_off(c, &p), 2);
	assert_int_equal(c->model_count, 2);
	assert_int_equal(p.warnings, 0);
	config_free(&c);
	assert_int_equal(setenv("LETHE_TEST_KEY", " ", 1), 0); /* as env files leave it */
	c = load(mixed, strlen(mixed), &p);
	assert_int_equal(config_switch_off(c, &p), 1);
	assert_int_equal(c->model_count, 1);
	config_free(&c);
	free(mixed);
	free(text);
	text = replaced("    pass_headers: [X-Sim]\n", "    optional: true\n");
	c = load(text, strlen(text), &p);
	assert_int_equal(config_switch_off(c, &p), 0);
	config_free(&c);
	unsetenv("LETHE_TEST_KEY");
	c = load(right, sizeof right - 1, &p);
	assert_int_equal(config_switch_off(c, &p), 1); /* and the start then refuses the missing key */
	assert_int_equal(c->model_count, 2);
	config_free(&c);
	free(text);
}

static void
a_key_comes_from_a_file_or_a_credential(void **state)
{
	char dir[] = "/tmp/lethe-key-XXXXXX", path[64], entry[96], why[CONFIG_WHY_MAX];
	uint8_t buf[CONFIG_SECRET_MAX];
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/openai", dir);
	snprintf(entry, sizeof entry, "{file: %s}", path);
	write_file(path, "sk-from-file\r\n", 0644);
	struct config *c = load_with_key(entry);
	struct problems p;
	problems_init(&p, "test.yaml");
	assert_int_equal(config_provider_key(c, 0, 0, buf, sizeof buf, why), 12);
	assert_memory_equal(buf, "sk-from-file", 12);
	config_check_keys(c, &p);
	assert_int_equal(p.warnings, 1);
	assert_non_null(strstr(p.row[0].text, "can be read by other users – chmod 600"));
	chmod(path, 0600);
	problems_init(&p, "test.yaml");
	config_check_keys(c, &p);
	assert_int_equal(p.warnings, 0);
	config_free(&c);
	c = load_with_key("{credential: openai}");
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_int_equal(config_provider_key(c, 0, 0, buf, sizeof buf, why), -1);
	assert_non_null(strstr(why, "LoadCredential=openai"));
	setenv("CREDENTIALS_DIRECTORY", dir, 1);
	assert_int_equal(config_provider_key(c, 0, 0, buf, sizeof buf, why), 12);
	unsetenv("CREDENTIALS_DIRECTORY");
	config_free(&c);
	unlink(path);
	rmdir(dir);
}

static void
what_can_not_be_a_key_is_refused_without_showing_it(void **state)
{
	static const char *const bad[] = {
		"", "\n\n", "sk-hidden\nsk-hidden2", "sk hidden", "sk-hidden\x01", "sk-h\xc3\xa4hidden"};
	uint8_t buf[64];
	char why[CONFIG_WHY_MAX], longer[80];
	struct config *c = load_with_key("{env: LETHE_TEST_KEY}");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		setenv("LETHE_TEST_KEY", bad[i], 1);
		assert_int_equal(config_provider_key(c, 0, 0, buf, sizeof buf, why), -1);
		assert_null(strstr(why, "hidden"));
	}
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	setenv("LETHE_TEST_KEY", longer, 1);
	assert_int_equal(config_provider_key(c, 0, 0, buf, sizeof buf, why), -1);
	config_clear_environment(c);
	config_free(&c);
	c = load_with_key("{file: /dev/zero}");
	assert_int_equal(config_provider_key(c, 0, 0, buf, sizeof buf, why), -1);
	assert_non_null(strstr(why, "not a regular file"));
	config_free(&c);
}

static void
the_reference_lists_every_setting(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	config_reference(f);
	fclose(f);
	static const char *const keys[] = {
#define X(key, member, kind, fallback, least, most, meaning) "| `" key "` |",
		CONFIG_TOP(X) CONFIG_LISTENER(X) CONFIG_LIMITS(X) CONFIG_TIMEOUTS(X) CONFIG_METRICS(X) CONFIG_LOG(X) CONFIG_PROVIDER(X)
#undef X
	};
	static const char *const more[] = {
#define X(key, member, kind, fallback, least, most, meaning) "| `" key "` |",
		CONFIG_KEY(X) CONFIG_MODEL(X) CONFIG_PRICE(X)
#undef X
	};
	static const char *const lists[] = {"listen", "listeners", "trusted_proxies", "aliases", "capabilities", "pass_headers", "keys", "prices", "models", "providers"};
	for (size_t i = 0; i < ARRAY_LEN(more); i++)
		if (strstr(text, more[i]) == NULL)
			fail_msg("not in the reference: %s", more[i]);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		char row[64];
		snprintf(row, sizeof row, "| `%s` | ", lists[i]);
		if (strstr(text, row) == NULL)
			fail_msg("not in the reference: %s", row);
	}
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (strstr(text, keys[i]) == NULL)
			fail_msg("not in the reference: %s", keys[i]);
	assert_non_null(strstr(text, "| `body_bytes` | size, 1KiB to 1GiB | `16MiB` | largest request body |"));
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_right_file_is_read_with_its_defaults),
		cmocka_unit_test(a_catalogue_may_be_empty_and_that_is_said),
		cmocka_unit_test(listeners_come_in_two_forms),
		cmocka_unit_test(a_price_that_is_not_given_is_that_of_its_fallback),
		cmocka_unit_test(each_mistake_is_named_with_its_line_and_a_remedy),
		cmocka_unit_test(all_mistakes_are_told_at_once),
		cmocka_unit_test(what_a_model_can_do_is_named_by_words_that_are_known),
		cmocka_unit_test(more_mistakes_than_fit_are_counted),
		cmocka_unit_test(plain_http_goes_to_private_places_only),
		cmocka_unit_test(empty_files_and_missing_files_have_a_remedy),
		cmocka_unit_test(a_catalogue_in_a_file_of_its_own_goes_on_with_the_lists),
		cmocka_unit_test(each_mistake_is_told_with_the_file_that_it_stands_in),
		cmocka_unit_test(no_damage_to_the_file_is_fatal),
		cmocka_unit_test(a_key_comes_from_the_environment_and_leaves_it),
		cmocka_unit_test(an_optional_provider_without_a_key_is_off_with_its_models),
		cmocka_unit_test(a_key_comes_from_a_file_or_a_credential),
		cmocka_unit_test(what_can_not_be_a_key_is_refused_without_showing_it),
		cmocka_unit_test(the_reference_lists_every_setting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
