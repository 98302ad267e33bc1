/* A printed configuration is one: it loads, and means the same to the last price. */
#include "proc/config_print.h"

#include "proc/catalogue_compile.h"
#include "proc/config_raw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Every setting, with values that are no defaults. Sections that are added want to stand here, too. */
static const char rich[] =
	"listen: ['127.0.0.1:0', '[::1]:8080', 'unix:/run/lethe/a b.sock']\n"
	"listeners: [{at: 'unix:/run/a', proxy_protocol: true, mode: '0600'}, {at: '[::]:1', dual_stack: true, tls: true}, {at: 'systemd:web'}]\n"
	"trusted_proxies: [unix, 10.0.0.0/8, '2001:db8::/32']\nclient_address: forwarded\n"
	"lanes: [{name: direct}, {name: economy, times: '0.55', choice: speed}]\nexpose_route: true\n"
	"edges: 3\nnode: 7\ndurability: strict\nbatch_window: 1ms\noutbox_for: 2m\noutbox_requests: 12\ncontent_memory_grade: locked\nallow_plain_memory: true\n"
	"limits: {head_bytes: 1025, body_bytes: 1MiB, streams_per_edge: 10, connections_per_edge: 1001, accounts: 17, connections_per_address: 0, bad_keys_per_minute: 7}\n"
	"timeouts: {head: 101ms, drain: 0, first_byte: 24h, between_bytes: 90m, request: 20m}\n"
	"tls: {listen: ['127.0.0.1:0'], certificates: [{certificate: /etc/a.pem, key: /etc/a.key}, {certificate: /etc/b.pem, key_credential: b}], min_version: '1.3', client_certificates: optional,\n"
	" client_ca: /etc/ca.pem, ca_file: /etc/roots.pem, ticket_rotation: 1h}\n"
	"metrics: {listen: '127.0.0.1:9464'}\ntelemetry: {otlp: 'https://127.0.0.1:4318', ca_file: /etc/ca.pem, headers_file: /etc/headers}\ntransparency_page: false\nbyok_fee: {percent: '2.5', per_request: '0.0001'}\n"
	"log: {file: \"/var/log/a \\\"strange\\\" näme: #1\\x85\\u2028\\ufeff\\\\ \xf0\x9f\x90\x9f\"}\n"
	"providers:\n"
	"  - {name: a, url: 'https://api.example.com/v1', ca_file: /etc/own.pem, dialect: anthropic, cap_field: max_tokens, inject_usage: false, on_client_gone: drain,\n"
	"     optional: true, retention: zero, region: eu, keys: [{env: SOME_KEY}, {file: /etc/key}, {credential: 'yes'}], pass_headers: [X-One, x-two]}\n"
	"  - {name: '123', url: 'http://127.0.0.1:1', language: responses}\n"
	"models:\n"
	"  - {id: 'true', upstream: 'org/model:free', provider: a, context: 1000, output: 100, reasoning: true, bytes_per_token: '0.01',\n"
	"     image_tokens: 0, created: 2026-01-31T12:00:01Z, aliases: ['1e5', 'a@b', '0x10'], capabilities: [tools, images], prices: [\n"
	"      {from: 2020-01-01, input: '0.000001', cached: '0', output: '1000000', geo_us: '1.10', per_request: '0.000000001', web_search: '10'},\n"
	"      {from: 2020-01-01, above: 500, input: '3', output: '4', reasoning: '5', audio_in: '7'},\n"
	"      {from: 2020-01-01, tier: flex, times: '0.33'}, {from: 2020-01-01, tier: batch, input: '1', output: '1'},\n"
	"      {from: 2030-01-01T00:00:01Z, input: '1', output: '1', cache_write: '2', file_search: '0.5', code_session: '0.25'}]}\n"
	"  - {id: m, provider: '123', language: chat, context: 10, output: 10, prices: [{from: 2020-01-01, input: '0', output: '0'}]}\n"
	"  - {id: several, context: 10, output: 10, prices: [{from: 2020-01-01, input: '3', output: '7'}], targets: [\n"
	"      {provider: a, upstream: x, rank: 2, weight: 30, lanes: [economy]}, {provider: '123', language: both, retention: zero, region: us,\n"
	"       prices: [{from: 2020-01-01, input: '1', output: '2'}, {from: 2020-01-01, tier: flex, times: '0.5'}]}]}\n";

static struct config *
must_load(const char *text)
{
	struct problems p;
	struct config *c = NULL;
	problems_init(&p, "test.yaml");
	if (!config_load_text(text, strlen(text), &p, &c)) {
		problems_print(&p, stderr);
		fail_msg("it does not load:\n%s", text);
	}
	return c;
}

static uint64_t
catalogue_version(const struct config *c)
{
	struct problems p;
	struct catalogue *catalogue = NULL;
	problems_init(&p, "test.yaml");
	assert_true(catalogue_compile(c, 1780000000000, &p, &catalogue));
	uint64_t version = catalogue->version;
	free(catalogue);
	return version;
}

static char *
printed(const struct config *c)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	json_t *json = config_json(c);
	config_yaml_print(json, f);
	fclose(f);
	json_decref(json);
	return text;
}

static void
means_the_same(const struct config *c)
{
	char *text = printed(c);
	struct config *again = must_load(text);
	json_t *a = config_json(c), *b = config_json(again);
	if (!json_equal(a, b))
		fail_msg("it means something else:\n%s", text);
	if (c->model_count > 0)
		assert_int_equal(catalogue_version(c), catalogue_version(again));
	char *twice = printed(again);
	assert_string_equal(text, twice);
	free(twice);
	json_decref(a);
	json_decref(b);
	config_free(&again);
	free(text);
}

static void
a_printed_configuration_loads_to_the_same(void **state)
{
	static const char *const texts[] = {rich,
		"listen: ['127.0.0.1:0']\nproviders: [{name: p, url: 'http://127.0.0.1:9'}]\nmodels:\n"
		"  - {id: m, provider: p, context: 10, output: 5, prices: [{from: 2020-01-01, input: '0.25', output: '2'}]}\n",
		"listen: ['127.0.0.1:0']\nproviders: []\nmodels: []\n"};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct config *c = must_load(texts[i]);
		means_the_same(c);
		config_free(&c);
	}
}

static void
the_examples_print_to_what_they_are(void **state)
{
	static const char *const files[] = {"lethe.yaml", "full.yaml"};
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		char path[400];
		struct problems p;
		struct config *c = NULL;
		snprintf(path, sizeof path, "%s/examples/%s", getenv("LETHE_SOURCE"), files[i]);
		problems_init(&p, path);
		assert_true(config_load(&p, &c));
		means_the_same(c);
		config_free(&c);
	}
}

/* ---- nothing is left out ---- */

static bool
may_be_missing(const char *key)
{
	/* What `catalogue` names is printed in its place, `times` as the prices that it makes; of three sources of headers there is one. */
	static const char *const keys[] = {"catalogue", "times", "headers_env", "headers_credential"};
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (strcmp(keys[i], key) == 0)
			return true;
	return false;
}

/* In a list it is enough that one entry has it. */
static void
has_every_field(const cyaml_schema_value_t *schema, const json_t *value, const char *where)
{
	size_t i;
	json_t *item;
	if (schema->type == CYAML_SEQUENCE && schema->sequence.entry->type == CYAML_MAPPING) {
		json_t *all = json_object();
		json_array_foreach(value, i, item) json_object_update_missing(all, item);
		has_every_field(schema->sequence.entry, all, where);
		json_decref(all);
	}
	if (schema->type != CYAML_MAPPING)
		return;
	for (const cyaml_schema_field_t *f = schema->mapping.fields; f->key != NULL; f++) {
		const json_t *member = json_object_get(value, f->key);
		if (member == NULL && !may_be_missing(f->key))
			fail_msg("`%s` in %s is not printed", f->key, where);
		if (member != NULL)
			has_every_field(&f->value, member, f->key);
	}
}

static void
every_setting_is_printed(void **state)
{
	struct config *c = must_load(rich);
	json_t *json = config_json(c);
	has_every_field(&config_schema, json, "the file");
	json_decref(json);
	config_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_printed_configuration_loads_to_the_same),
		cmocka_unit_test(the_examples_print_to_what_they_are),
		cmocka_unit_test(every_setting_is_printed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
