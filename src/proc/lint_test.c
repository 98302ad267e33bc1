/* Each rule finds its own, in its line, and says nothing of a catalogue that is meant. */
#include "proc/lint.h"

#include "proc/lint_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW_MS 1780000000000ULL /* 2026-05-28 */

static const char clean[] =
	"listen: ['127.0.0.1:0']\n"
	"providers:\n"
	"  - {name: openai, url: 'https://api.openai.com/v1', keys: [{env: A}]}\n"
	"  - {name: anthropic, url: 'https://api.anthropic.com/v1', dialect: anthropic, keys: [{env: B}]}\n"
	"  - {name: local, url: 'http://127.0.0.1:8000/v1'}\n" /* line 5 */
	"models:\n"
	"  - id: small\n"
	"    upstream: gpt-4.1-mini\n"
	"    provider: openai\n"
	"    aliases: [little]\n" /* line 10 */
	"    context: 100000\n"
	"    output: 1000\n"
	"    created: 2025-06-01\n"
	"    prices:\n"
	"      - {from: 2025-06-01, input: '0.50', cached: '0.05', output: '2.50'}\n" /* line 15 */
	"      - {from: 2026-01-01, input: '0.40', cached: '0.04', output: '2.00'}\n"
	"      - {from: 2026-01-01, above: 50000, input: '0.80', cached: '0.08', output: '3.00'}\n"
	"      - {from: 2026-01-01, tier: flex, times: '0.5'}\n"
	"      - {from: 2026-01-01, tier: priority, input: '0.70', output: '2.80'}\n"
	"  - id: claude\n" /* line 20 */
	"    provider: anthropic\n"
	"    context: 200000\n"
	"    output: 64000\n"
	"    bytes_per_token: '2'\n"
	"    prices:\n" /* line 25 */
	"      - {from: 2026-01-01, input: '3', cached: '0.30', cache_write: '3.75', cache_write_1h: '6', output: '15'}\n"
	"  - id: thinker\n"
	"    upstream: o4-mini\n"
	"    provider: openai\n"
	"    reasoning: true\n" /* line 30 */
	"    context: 200000\n"
	"    output: 100000\n"
	"    prices: [{from: 2026-01-01, input: '1.10', cached: '0.275', output: '4.40'}]\n"
	"  - {id: gpt-5-pro, provider: openai, reasoning: true, context: 400000, output: 100000, prices: [{from: 2026-01-01, input: '15', output: '120'}]}\n"
	"  - {id: omni-moderation, provider: openai, context: 32768, output: 1, prices: [{from: 2026-01-01, input: '0', output: '0'}]}\n"
	"  - {id: house, provider: local, context: 8192, output: 4096, prices: [{from: 2026-01-01, input: '0.1', output: '0.1'}]}\n";

/* `clean` with one place replaced. */
static const struct {
	const char *rule, *from, *to;
	uint32_t line;
	const char *says; /* a part of it */
} rows[] = {
	{"provider-unused", "  - {name: local,", "  - {name: unused, url: 'http://127.0.0.1:1'}\n  - {name: local,", 5, "no model uses the provider `unused`"},
	{"provider-keyless", "https://api.openai.com/v1', keys: [{env: A}]}", "https://api.openai.com/v1'}", 3, "without a key to api.openai.com"},
	{"price-later", "prices: [{from: 2026-01-01, input: '1.10'", "prices: [{from: 2026-12-01, input: '1.10'", 27, "no price of `thinker` is in force yet"},
	{"price-old", "prices: [{from: 2026-01-01, input: '1.10'", "prices: [{from: 2025-05-01, input: '1.10'", 33, "has held for 392 days"},
	{"reasoning-flag", "    reasoning: true\n", "", 27, "`thinker` seems to reason (o4-mini)"},
	{"reasoning-flag", "output: '15'}", "output: '15', reasoning: '16'}", 20, "`claude` seems to reason (it has a price for it)"},
	{"name-shadow", "aliases: [little]", "aliases: [o4-mini]", 7, "`small` answers to `o4-mini`, which is the provider's name of `thinker`"},
	{"name-case", "aliases: [little]", "aliases: [Claude]", 20, "`claude` and `Claude` differ in capitals only"},
	{"same-target", "    upstream: o4-mini\n", "    upstream: gpt-4.1-mini\n", 27, "`thinker` and `small` are `gpt-4.1-mini` at `openai`"},
	{"context-tiny", "context: 8192, output: 4096", "context: 128, output: 4", 36, "a window of 128 tokens"},
	{"created-later", "created: 2025-06-01", "created: 2026-06-01", 7, "`created` of `small` is in the future"},
	{"bytes-many", "bytes_per_token: '2'", "bytes_per_token: '4.01'", 20, "fewer than 4.01 bytes per token"},
	{"free-of-charge", "input: '0.1', output: '0.1'", "input: '0', output: '0'", 36, "`house` costs nothing"},
	{"cached-dearer", "cached: '0.30'", "cached: '3.01'", 26, "`cached` ($3.01) costs more than what is not cached ($3.00)"},
	{"cached-dearer", "input: '0.1', output: '0.1'", "input: '0.1', audio_in: '1', cached_audio: '2', output: '0.1'", 36, "`cached_audio` ($2.00)"},
	{"cache-missing", "input: '1.10', cached: '0.275'", "input: '1.10'", 33, "`thinker` has no price `cached`"},
	{"cache-write-missing", "cache_write: '3.75', cache_write_1h: '6', ", "", 26, "`claude` has no price `cache_write`"},
	{"cache-write-cheaper", "cache_write: '3.75'", "cache_write: '2.99'", 26, "`cache_write` ($2.99) costs less than `input` ($3.00)"},
	{"cache-write-cheaper", "cache_write_1h: '6'", "cache_write_1h: '3.50'", 26, "`cache_write_1h` ($3.50) costs less than `cache_write` ($3.75)"},
	{"output-cheaper", "input: '0.1', output: '0.1'", "input: '0.1', output: '0.01'", 36, "`output` ($0.01) costs less than `input` ($0.10)"},
	{"output-far", "input: '1.10', cached: '0.275', output: '4.40'", "input: '1.10', cached: '0.275', output: '22.00'", 33, "is 20 times `input` ($1.10), or more"},
	{"price-unit", "input: '0.1', output: '0.1'", "input: '0.000001', output: '0.000001'", 36, "$0.000001 per million tokens"},
	{"price-unit", "input: '0.1', output: '0.1'", "input: '1001', output: '1001'", 36, "$1001.00 per million tokens"},
	{"price-jump", "{from: 2026-01-01, input: '0.40', cached: '0.04', output: '2.00'}", "{from: 2026-01-01, input: '0.05', cached: '0.04', output: '0.8'}", 16,
		"`input` ($0.05) is far from the price before ($0.50)"},
	{"tier-jump", "times: '0.5'", "times: '0.05'", 18, "`input` ($0.02) is far from that of the standard tier ($0.40)"},
	{"tier-direction", "times: '0.5'", "times: '1.5'", 18, "cheaper at providers, flex, costs more than standard"},
	{"tier-direction", "tier: priority, input: '0.70'", "tier: priority, input: '0.30'", 19, "dearer at providers, priority, costs less than standard"},
	{"above-cheaper", "above: 50000, input: '0.80'", "above: 50000, input: '0.30'", 17, "prompts above 50000 tokens cost less"},
	{"above-never", "above: 50000", "above: 100000", 17, "no prompt has more than 100000 tokens"},
};

static void
lint(struct lint *l, const char *text)
{
	struct problems p;
	struct config *c = NULL;
	problems_init(&p, "test.yaml");
	if (!config_load_text(text, strlen(text), &p, &c)) {
		problems_print(&p, stderr);
		fail_msg("it does not load:\n%s", text);
	}
	l->c = c;
	l->now_ms = NOW_MS;
	l->old_days = 365;
	lint_run(l);
}

static void
finish(struct lint *l)
{
	struct config *c = (struct config *)l->c;
	lint_finish(l);
	config_free(&c);
}

static char *
replaced(const char *from, const char *to)
{
	const char *at = strstr(clean, from);
	if (at == NULL)
		fail_msg("the clean file has no: %s", from);
	size_t size = sizeof clean + strlen(to);
	char *text = malloc(size);
	assert_non_null(text);
	snprintf(text, size, "%.*s%s%s", (int)(at - clean), clean, to, at + strlen(from));
	return text;
}

static void
nothing_is_said_of_what_is_meant(void **state)
{
	struct lint l = {0};
	lint(&l, clean);
	for (size_t i = 0; i < l.count; i++)
		fail_msg("line %u: %s [%s]", l.findings[i].place, l.findings[i].text, l.findings[i].rule);
	finish(&l);
}

static bool
is_found(const struct lint *l, size_t row)
{
	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->findings[i].rule, rows[row].rule) == 0 && l->findings[i].place == rows[row].line && strstr(l->findings[i].text, rows[row].says) != NULL)
			return true;
	return false;
}

static void
each_rule_finds_its_own_in_its_line(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct lint l = {0};
		char *text = replaced(rows[i].from, rows[i].to);
		lint(&l, text);
		for (size_t k = 0; !is_found(&l, i) && k < l.count; k++)
			fprintf(stderr, "line %u: %s [%s]\n", l.findings[k].place, l.findings[k].text, l.findings[k].rule);
		if (!is_found(&l, i))
			fail_msg("row %zu, %s in line %u is not found: %s", i, rows[i].rule, rows[i].line, rows[i].says);
		for (size_t k = 0; k < l.count; k++)
			assert_non_null(strstr(l.findings[k].text, " – ")); /* a remedy */
		finish(&l);
		free(text);
	}
}

static void
each_rule_is_tried_and_can_be_skipped(void **state)
{
	static const char *const names[] = {
#define X(scope, function, name, meaning) name,
		LINT_RULES(X)
#undef X
	};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		size_t row = 0;
		char skip[64];
		while (row < ARRAY_LEN(rows) && strcmp(rows[row].rule, names[i]) != 0)
			row++;
		if (row == ARRAY_LEN(rows))
			fail_msg("no row tries %s", names[i]);
		snprintf(skip, sizeof skip, "some-rule,%s", names[i]);
		struct lint l = {.skip = skip};
		char *text = replaced(rows[row].from, rows[row].to);
		lint(&l, text);
		assert_false(is_found(&l, row));
		finish(&l);
		free(text);
	}
}

static void
nothing_is_said_of_the_starter_catalogue(void **state)
{
	char path[512];
	struct problems p;
	struct config *c = NULL;
	struct lint l = {.now_ms = 1790000000000, .old_days = 365};
	snprintf(path, sizeof path, "%s/examples/starter.yaml", getenv("LETHE_SOURCE"));
	problems_init(&p, path);
	assert_true(config_load(&p, &c));
	l.c = c;
	lint_run(&l);
	for (size_t i = 0; i < l.count; i++)
		print_error("%u: %s\n", place_line(l.findings[i].place), l.findings[i].text);
	assert_int_equal(l.count, 0);
	lint_finish(&l);
	config_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_said_of_what_is_meant),
		cmocka_unit_test(each_rule_finds_its_own_in_its_line),
		cmocka_unit_test(each_rule_is_tried_and_can_be_skipped),
		cmocka_unit_test(nothing_is_said_of_the_starter_catalogue),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
