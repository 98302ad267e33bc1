#include "proc/import.h"
#include "proc/import_decimal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LISTS_MAX = 3 };

/* An import of texts, and what came of it. */
struct trial {
	const char *config;
	const char *lists[LISTS_MAX];
	const char *models[3];
	bool add;
	const char *date; /* 2026-08-01 without it */
	/* */
	struct problems problems;
	struct import_result result;
	char *after, *diff;
	bool ok;
};

static void
finish(struct trial *t)
{
	if (t->ok)
		import_result_free(&t->result);
	free(t->after);
	free(t->diff);
}

static uint64_t
day_ms(const char *text)
{
	int64_t ms;
	assert_true(config_number(SETTING_DAY, (struct span){text, strlen(text)}, &ms));
	return (uint64_t)ms;
}

static void
show_diff(struct trial *t, struct import_file *file)
{
	size_t len;
	FILE *to = open_memstream(&t->diff, &len);
	assert_non_null(to);
	edits_diff(&file->edits, file->text, file->path, to);
	fclose(to);
}

static void
import(struct trial *t)
{
	struct config *c = NULL;
	struct source sources[LISTS_MAX];
	struct import_file files[2] = {{.path = "lethe.yaml", .text = {t->config, strlen(t->config)}}};
	struct import_input input = {.files = files, .sources = sources, .wish = {.add = t->add, .date_ms = day_ms(t->date ? t->date : "2026-08-01")}};
	size_t models = 0, len;
	problems_init(&t->problems, "lethe.yaml");
	if (!config_load_text(t->config, strlen(t->config), &t->problems, &c)) {
		problems_print(&t->problems, stderr);
		fail_msg("the test's own configuration is wrong");
	}
	while (models < ARRAY_LEN(t->models) && t->models[models] != NULL)
		models++;
	input.wish.models = (struct import_words){t->models, models};
	input.config = c;
	t->ok = true;
	for (size_t i = 0; i < LISTS_MAX && t->lists[i] != NULL && t->ok; i++) {
		problems_init(&t->problems, i == 0 ? "first" : "second");
		t->ok = source_open((struct span){t->lists[i], strlen(t->lists[i])}, FORMAT_DETECT, &t->problems, &sources[i]);
		input.source_count += t->ok;
	}
	t->ok = t->ok && import_run(&input, &t->problems, &t->result);
	t->after = edits_apply(&files[0].edits, files[0].text, &len);
	show_diff(t, &files[0]);
	edits_free(&files[0].edits);
	for (size_t i = 0; i < input.source_count; i++)
		source_close(&sources[i]);
	config_free(&c);
}

static void
expect_ok(const struct trial *t)
{
	if (!t->ok)
		problems_print(&t->problems, stderr);
	assert_true(t->ok);
}

static bool
noted(const struct trial *t, const char *model, const char *what, const char *reason)
{
	json_t *note, *m;
	size_t i, k;
	json_array_foreach(t->result.notes.list, i, note)
	{
		if (strcmp(json_string_value(json_object_get(note, "what")), what) != 0 || strstr(json_string_value(json_object_get(note, "reason")), reason) == NULL)
			continue;
		json_array_foreach(json_object_get(note, "models"), k, m) if (strcmp(json_string_value(m), model) == 0) return true;
	}
	return false;
}

static void
expect_note(const struct trial *t, const char *model, const char *what, const char *reason)
{
	if (noted(t, model, what, reason))
		return;
	json_dumpf(t->result.notes.list, stderr, JSON_INDENT(1));
	fail_msg("no note of %s: %s %s", model, what, reason);
}

/* ---- numbers ---- */

static void
numbers_keep_every_digit(void **state)
{
	static const struct {
		const char *text;
		int shift;
		enum decimal flaw;
		int64_t units;
	} rows[] = {
		{"1.25e-06", 12, DECIMAL_OK, 1250000},
		{"0.00000125", 12, DECIMAL_OK, 1250000},
		{"2.8e-08", 12, DECIMAL_OK, 28000},
		{"3.625E-9", 12, DECIMAL_OK, 3625},
		{"1e-12", 12, DECIMAL_OK, 1},
		{"5", 6, DECIMAL_OK, 5000000},
		{"+0.1", 6, DECIMAL_OK, 100000},
		{"1e+1", 0, DECIMAL_OK, 10},
		{"2000000.0", 0, DECIMAL_OK, 2000000},
		{"0", 12, DECIMAL_OK, 0},
		{"-0.0", 12, DECIMAL_OK, 0},
		{"0e99999", 12, DECIMAL_OK, 0},
		{".5", 6, DECIMAL_OK, 500000},
		{"1.5000000000000002e-07", 12, DECIMAL_TOO_FINE, 0},
		{"1e-13", 12, DECIMAL_TOO_FINE, 0},
		{"-1e-06", 12, DECIMAL_NEGATIVE, 0},
		{"1e30", 12, DECIMAL_TOO_LARGE, 0},
		{"9999999999999999999999999999", 0, DECIMAL_TOO_LARGE, 0},
		{"1e999999999999", 12, DECIMAL_TOO_LARGE, 0},
		{"", 12, DECIMAL_NO_NUMBER, 0},
		{".", 12, DECIMAL_NO_NUMBER, 0},
		{"1e", 12, DECIMAL_NO_NUMBER, 0},
		{"1e+", 12, DECIMAL_NO_NUMBER, 0},
		{"1,5", 12, DECIMAL_NO_NUMBER, 0},
		{"0x10", 12, DECIMAL_NO_NUMBER, 0},
		{"1.2.3", 12, DECIMAL_NO_NUMBER, 0},
		{"inf", 12, DECIMAL_NO_NUMBER, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t units = 0;
		enum decimal flaw = decimal_units((struct span){rows[i].text, strlen(rows[i].text)}, rows[i].shift, (int64_t)PRICE_MOST, &units);
		if (flaw != rows[i].flaw || units != rows[i].units)
			fail_msg("%s: %d %lld", rows[i].text, flaw, (long long)units);
	}
	char text[DECIMAL_TEXT_MAX];
	decimal_text(1250000, 6, 2, text);
	assert_string_equal(text, "1.25");
	decimal_text(3625, 6, 2, text);
	assert_string_equal(text, "0.003625");
	decimal_text(10000000, 6, 2, text);
	assert_string_equal(text, "10.00");
	decimal_text(50, 2, 0, text);
	assert_string_equal(text, "0.5");
	decimal_text(600, 2, 0, text);
	assert_string_equal(text, "6");
}

/* ---- new models ---- */

#define PROVIDERS \
	"listen: ['127.0.0.1:1']\n" \
	"providers:\n" \
	"  - {name: open, url: 'https://api.openai.com/v1'}\n" \
	"  - {name: claude, url: 'https://api.anthropic.com/v1', dialect: anthropic}\n"

static void
a_models_vocabulary_goes_by_its_name(void **state)
{
	static const struct {
		const char *name, *tokenizer;
	} rows[] = {
		{"gpt-4o", "o200k_base"},
		{"gpt-4o-mini-2024-07-18", "o200k_base"},
		{"gpt-4.1-nano", "o200k_base"},
		{"gpt-5.9", "o200k_base"},
		{"o3", "o200k_base"},
		{"gpt-4", "cl100k_base"},
		{"gpt-4-turbo", "cl100k_base"},
		{"gpt-3.5-turbo", "cl100k_base"},
		{"gpt-6", NULL},
		{"o11", NULL},
		{"gpt-40", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char list[400], line[80];
		snprintf(list, sizeof list,
			"{\"sample_spec\": {\"litellm_provider\": \"one of\"}, \"%s\": {\"litellm_provider\": \"openai\", \"mode\": \"chat\", \"max_input_tokens\": 1000, \"max_output_tokens\": 100, "
			"\"input_cost_per_token\": 2.5e-06, \"output_cost_per_token\": 1.5e-05}}\n",
			rows[i].name);
		struct trial t = {.config = PROVIDERS "models: []\n", .lists = {list}, .add = true};
		import(&t);
		snprintf(line, sizeof line, "    tokenizer: %s\n", rows[i].tokenizer ? rows[i].tokenizer : "");
		assert_non_null(strstr(t.after, rows[i].name));
		assert_true(rows[i].tokenizer ? strstr(t.after, line) != NULL : strstr(t.after, "tokenizer") == NULL);
		finish(&t);
	}
}

/* OpenAI's alone: what other providers' entries say of it is about theirs. */
static void
a_model_of_the_responses_api_alone_is_asked_in_it(void **state)
{
#define TERMS(mode, ways) "\"mode\": \"" mode "\", \"supported_endpoints\": [" ways "], \"max_input_tokens\": 1000, \"max_output_tokens\": 100, \"input_cost_per_token\": 1e-06, \"output_cost_per_token\": 2e-06}"
	static const char list[] =
		"{\"alone\": {\"litellm_provider\": \"openai\", " TERMS("responses", "\"/v1/responses\", \"/v1/batch\"") ",\n"
		"\"both\": {\"litellm_provider\": \"openai\", " TERMS("responses", "\"/v1/responses\", \"/v1/chat/completions\"") ",\n"
		"\"chat\": {\"litellm_provider\": \"openai\", " TERMS("chat", "") ",\n"
		"\"claude-1\": {\"litellm_provider\": \"anthropic\", " TERMS("responses", "") "}\n";
	struct trial t = {
		.config = PROVIDERS "models: []\n",
		.lists = {list},
		.add = true,
	};
#undef TERMS
	import(&t);
	expect_ok(&t);
	const char *alone = strstr(t.after, "  - id: alone\n    provider: open\n    language: responses\n    context: 1000\n");
	assert_non_null(alone);
	assert_non_null(strstr(t.after, "  - id: both\n"));
	assert_non_null(strstr(t.after, "  - id: claude-1\n"));
	assert_null(strstr(strstr(alone, "language: ") + 1, "language: ")); /* nobody else is */
	finish(&t);
}

static void
every_kind_and_tier_of_litellm_has_its_column(void **state)
{
	struct trial t = {
		.config = PROVIDERS "models: []\n",
		.lists = {"{\"sample_spec\": {\"litellm_provider\": \"one of\"},\n"
				  "\"openai/all\": {\"litellm_provider\": \"openai\", \"mode\": \"chat\", \"max_input_tokens\": 1050000, \"max_output_tokens\": 128000.0,\n"
				  "  \"supports_reasoning\": true, \"supports_vision\": true, \"supports_function_calling\": true, \"supports_pdf_input\": false,\n"
				  "  \"supported_modalities\": [\"text\", \"image\", \"audio\"], \"supported_output_modalities\": [\"text\"], \"supports_response_schema\": true, \"input_cost_per_token\": 2.5e-06, \"output_cost_per_token\": 1.5e-05,\n"
				  "  \"cache_read_input_token_cost\": 2.5e-07, \"cache_creation_input_token_cost\": 3.125e-06,\n"
				  "  \"cache_creation_input_token_cost_above_1hr\": 5e-06, \"input_cost_per_audio_token\": 4e-05, \"output_cost_per_audio_token\": 8e-05,\n"
				  "  \"input_cost_per_image_token\": 3e-06, \"output_cost_per_image_token\": 4e-05, \"cache_read_input_audio_token_cost\": 4e-07,\n"
				  "  \"output_cost_per_reasoning_token\": 2e-05, \"input_cost_per_request\": 0.001,\n"
				  "  \"input_cost_per_token_above_272k_tokens\": 5e-06, \"output_cost_per_token_above_272k_tokens\": 2.25e-05,\n"
				  "  \"cache_read_input_token_cost_above_272k_tokens\": 5e-07,\n"
				  "  \"input_cost_per_token_flex\": 1.25e-06, \"output_cost_per_token_flex\": 7.5e-06, \"input_cost_per_token_above_272k_tokens_flex\": 2.5e-06,\n"
				  "  \"input_cost_per_token_priority\": 5e-06, \"output_cost_per_token_priority\": 4e-05,\n"
				  "  \"input_cost_per_token_batches\": 1.25e-06, \"output_cost_per_token_batches\": 7.5e-06,\n"
				  "  \"file_search_cost_per_1k_calls\": 2.5,\n"
				  "  \"search_context_cost_per_query\": {\"search_context_size_low\": 0.01, \"search_context_size_medium\": 0.01, \"search_context_size_high\": 0.01},\n"
				  "  \"provider_specific_entry\": {\"us\": 1.1, \"fast\": 6.0}},\n"
				  "\"openai/container\": {\"litellm_provider\": \"openai\", \"mode\": \"chat\", \"code_interpreter_cost_per_session\": 0.03}}\n"},
		.add = true,
	};
	import(&t);
	expect_ok(&t);
	assert_string_equal(t.after,
		PROVIDERS "models:\n"
				  "  - id: all\n"
				  "    provider: open\n"
				  "    context: 1050000\n"
				  "    output: 128000\n"
				  "    reasoning: true\n"
				  "    capabilities: [images, audio, tools, json_schema]\n"
				  "    prices:\n"
				  "      - {from: 2026-08-01, geo_us: \"1.1\", input: \"2.50\", cached: \"0.25\", cache_write: \"3.125\", cache_write_1h: \"5.00\", audio_in: \"40.00\", "
				  "image_in: \"3.00\", cached_audio: \"0.40\", output: \"15.00\", reasoning: \"20.00\", audio_out: \"80.00\", image_out: \"40.00\", "
				  "per_request: \"0.001\", web_search: \"0.01\", file_search: \"0.0025\", code_session: \"0.03\"}\n"
				  "      - {from: 2026-08-01, above: 272000, geo_us: \"1.1\", input: \"5.00\", cached: \"0.50\", cache_write: \"3.125\", cache_write_1h: \"5.00\", "
				  "audio_in: \"40.00\", image_in: \"3.00\", cached_audio: \"0.40\", output: \"22.50\", reasoning: \"20.00\", audio_out: \"80.00\", image_out: \"40.00\", "
				  "per_request: \"0.001\", web_search: \"0.01\", file_search: \"0.0025\", code_session: \"0.03\"}\n"
				  "      - {from: 2026-08-01, tier: flex, times: \"0.5\"}\n"
				  "      - {from: 2026-08-01, tier: priority, geo_us: \"1.1\", input: \"5.00\", cached: \"0.25\", cache_write: \"3.125\", cache_write_1h: \"5.00\", audio_in: \"40.00\", "
				  "image_in: \"3.00\", cached_audio: \"0.40\", output: \"40.00\", reasoning: \"20.00\", audio_out: \"80.00\", "
				  "per_request: \"0.001\", web_search: \"0.01\", file_search: \"0.0025\", code_session: \"0.03\"}\n"
				  "      - {from: 2026-08-01, tier: batch, times: \"0.5\"}\n"
				  "      - {from: 2026-08-01, tier: fast, times: \"6\"}\n");
	assert_int_equal(json_array_size(t.result.notes.list), 0);
	finish(&t);
}

static void
steps_and_coming_prices_of_genai_have_their_rows(void **state)
{
	struct trial t = {
		.config = PROVIDERS "models: []\n",
		.lists = {"name: Anthropic\n"
				  "id: anthropic\n"
				  "models:\n"
				  "  - id: claude-x\n"
				  "    match: {or: [{starts_with: claude-x}]}\n"
				  "    context_window: 1000000\n"
				  "    prices:\n"
				  "      - prices: {input_mtok: 9, output_mtok: 9}\n"
				  "      - constraint: {start_date: 2026-01-01}\n"
				  "        prices:\n"
				  "          input_mtok: {base: 2, tiers: [{start: 200000, price: 4}]}\n"
				  "          cache_read_mtok: 0.2\n"
				  "          cache_write_5m_mtok: 2.5\n"
				  "          cache_write_1h_mtok: 4\n"
				  "          output_mtok: {base: 10, tiers: [{start: 200000, price: 15}]}\n"
				  "          web_searches_kcount: 10\n"
				  "      - constraint: {start_date: 2026-09-01}\n"
				  "        prices: {input_mtok: 3, output_mtok: 15}\n"},
		.models = {"claude-*"},
	};
	import(&t);
	expect_ok(&t);
	assert_string_equal(t.after,
		PROVIDERS "models:\n"
				  "  - id: claude-x\n"
				  "    provider: claude\n"
				  "    context: 1000000\n"
				  "    output: 1000000 # no list says it: the window stands in\n"
				  "    prices:\n"
				  "      - {from: 2026-08-01, input: \"2.00\", cached: \"0.20\", cache_write: \"2.50\", cache_write_1h: \"4.00\", output: \"10.00\", web_search: \"0.01\"}\n"
				  "      - {from: 2026-08-01, above: 200000, input: \"4.00\", cached: \"0.20\", cache_write: \"2.50\", cache_write_1h: \"4.00\", output: \"15.00\", web_search: \"0.01\"}\n"
				  "      - {from: 2026-09-01, input: \"3.00\", cached: \"0.20\", cache_write: \"2.50\", cache_write_1h: \"4.00\", output: \"15.00\", web_search: \"0.01\"}\n"
				  "      - {from: 2026-09-01, above: 200000, input: \"4.00\", cached: \"0.20\", cache_write: \"2.50\", cache_write_1h: \"4.00\", output: \"15.00\", web_search: \"0.01\"}\n");
	finish(&t);
}

#define CHAT(name, in, out) \
	"\"" name "\": {\"litellm_provider\": \"openai\", \"mode\": \"chat\", \"max_input_tokens\": 1000, \"max_output_tokens\": 100, " \
	"\"input_cost_per_token\": " in ", \"output_cost_per_token\": " out "}"

static void
a_name_with_a_date_and_one_without_are_one_model_unless_there_are_two_dates(void **state)
{
	struct trial t = {
		.config = PROVIDERS "models: []\n",
		.lists = {"{" CHAT("a-latest", "1e-06", "1e-06") ", " CHAT("a", "1e-06", "1e-06") ", " CHAT("a-2026-01-31", "1e-06", "1e-06") ",\n" //
			CHAT("b", "1e-06", "1e-06") ", " CHAT("b-20260101", "1e-06", "1e-06") ", " CHAT("b-20260202", "1e-06", "1e-06") ",\n" //
			CHAT("c", "1e-06", "1e-06") ", " CHAT("c-0709", "2e-06", "1e-06") "}"},
		.add = true,
	};
	import(&t);
	expect_ok(&t);
	assert_non_null(strstr(t.after, "  - id: a\n    upstream: a-2026-01-31\n    provider: open\n    aliases: [a-latest, a-2026-01-31]\n"));
	assert_null(strstr(t.after, "id: a-latest"));
	assert_non_null(strstr(t.after, "  - id: b\n    provider: open\n    context"));
	assert_non_null(strstr(t.after, "  - id: b-20260202\n"));
	assert_non_null(strstr(t.after, "  - id: c\n    provider: open\n    context"));
	assert_int_equal(t.result.added, 6);
	finish(&t);
}

/* ---- prices that change ---- */

#define OWN \
	PROVIDERS \
	"models: # ours\n" \
	"  - id: mini # the small one\n" \
	"    upstream: gpt-mini\n" \
	"    provider: open\n" \
	"    context: 1000\n" \
	"    output: 100\n" \
	"    prices:\n" \
	"      # agreed in spring\n" \
	"      - {from: 2026-01-01, input: \"0.25\",   cached: \"0.025\", output: \"2.00\", web_search: \"0.01\"} # as on the page\n"

#define OWN_END \
	"\n" \
	"  - id:    other\n" \
	"    provider: open\n" \
	"    context: 1000\n" \
	"    output: 100\n" \
	"    prices: [{from: 2026-01-01, input: \"1\", output: \"1\"}]\n"

static void
a_changed_price_is_a_new_row_and_no_other_line_changes(void **state)
{
	struct trial t = {.config = OWN OWN_END, .lists = {"{" CHAT("gpt-mini", "3e-07", "2e-06") ", " CHAT("other", "1e-06", "4e-06") ", " CHAT("third", "1e-06", "1e-06") "}"}};
	import(&t);
	expect_ok(&t);
	assert_string_equal(t.after,
		OWN "      - {from: 2026-08-01, input: \"0.30\", cached: \"0.025\", output: \"2.00\", web_search: \"0.01\"}\n"
			"\n"
			"  - id:    other\n"
			"    provider: open\n"
			"    context: 1000\n"
			"    output: 100\n"
			"    prices: [{from: 2026-01-01, input: \"1\", output: \"1\"}, {from: 2026-08-01, input: \"1.00\", output: \"4.00\"}]\n");
	assert_string_equal(t.diff,
		"--- lethe.yaml\n+++ lethe.yaml\n"
		"@@ -11,9 +11,10 @@\n"
		"     prices:\n"
		"       # agreed in spring\n"
		"       - {from: 2026-01-01, input: \"0.25\",   cached: \"0.025\", output: \"2.00\", web_search: \"0.01\"} # as on the page\n"
		"+      - {from: 2026-08-01, input: \"0.30\", cached: \"0.025\", output: \"2.00\", web_search: \"0.01\"}\n"
		" \n"
		"   - id:    other\n"
		"     provider: open\n"
		"     context: 1000\n"
		"     output: 100\n"
		"-    prices: [{from: 2026-01-01, input: \"1\", output: \"1\"}]\n"
		"+    prices: [{from: 2026-01-01, input: \"1\", output: \"1\"}, {from: 2026-08-01, input: \"1.00\", output: \"4.00\"}]\n");
	assert_int_equal(t.result.repriced, 2);
	assert_int_equal(t.result.not_wanted, 1);
	json_t *change = json_array_get(t.result.changes, 0), *difference = json_array_get(json_object_get(change, "differences"), 0);
	assert_string_equal(json_string_value(json_object_get(difference, "key")), "input");
	assert_string_equal(json_string_value(json_object_get(difference, "was")), "0.25");
	assert_string_equal(json_string_value(json_object_get(difference, "is")), "0.30");
	struct trial again = {.config = t.after, .lists = {t.lists[0]}};
	import(&again);
	expect_ok(&again);
	assert_string_equal(again.diff, "");
	assert_int_equal(again.result.repriced, 0);
	finish(&again);
	finish(&t);
}

static void
rows_follow_the_order_and_line_ends_of_the_file(void **state)
{
	struct trial t = {
		.config = "listen: ['127.0.0.1:1']\r\nproviders: [{name: open, url: 'https://api.openai.com/v1'}]\r\nmodels:\r\n"
				  "- id: a\r\n  provider: open\r\n  context: 1000\r\n  output: 100\r\n  prices:\r\n"
				  "  - {from: 2026-02-01, input: '1', output: '1'}\r\n  - {from: 2026-01-01, input: '9', output: '1'}",
		.lists = {"{" CHAT("a", "2e-06", "1e-06") ", " CHAT("b", "2e-06", "1e-06") "}"},
		.models = {"[ab]"},
	};
	import(&t);
	expect_ok(&t);
	assert_string_equal(t.after,
		"listen: ['127.0.0.1:1']\r\nproviders: [{name: open, url: 'https://api.openai.com/v1'}]\r\nmodels:\r\n"
		"- id: a\r\n  provider: open\r\n  context: 1000\r\n  output: 100\r\n  prices:\r\n"
		"  - {from: 2026-08-01, input: \"2.00\", output: \"1.00\"}\r\n"
		"  - {from: 2026-02-01, input: '1', output: '1'}\r\n  - {from: 2026-01-01, input: '9', output: '1'}\r\n"
		"- id: b\r\n  provider: open\r\n  context: 1000\r\n  output: 100\r\n  prices:\r\n    - {from: 2026-08-01, input: \"2.00\", output: \"1.00\"}");
	assert_non_null(strstr(t.diff, "\n\\ No newline at end of file\n"));
	finish(&t);
}

static void
a_row_of_the_same_day_and_a_model_that_vanished_stay(void **state)
{
	struct trial t = {.config = OWN OWN_END, .lists = {"{" CHAT("gpt-mini", "3e-07", "2e-06") "}"}, .date = "2026-01-01"};
	import(&t);
	expect_ok(&t);
	assert_string_equal(t.after, t.config);
	assert_string_equal(t.diff, "");
	expect_note(&t, "mini", "prices", "has a row from 2026-01-01 already: import with a later --date");
	expect_note(&t, "other", "model", "is in no list");
	finish(&t);
}

static void
what_a_list_does_not_know_keeps_its_price(void **state)
{
	struct trial t = {
		.config = PROVIDERS "models:\n  - id: a\n    provider: open\n    context: 1000000\n    output: 100\n    prices:\n"
							"      - {from: 2026-01-01, input: '1', output: '2', per_request: '0.5'}\n"
							"      - {from: 2026-01-01, tier: flex, times: '0.4'}\n",
		.lists = {"{\"a\": {\"litellm_provider\": \"openai\", \"mode\": \"chat\", \"input_cost_per_token\": 1e-06, \"output_cost_per_token\": 3e-06,\n"
				  "\"input_cost_per_token_above_200k_tokens\": 2e-06}}"},
	};
	import(&t);
	expect_ok(&t);
	assert_non_null(strstr(t.after,
		"      - {from: 2026-08-01, input: \"1.00\", output: \"3.00\", per_request: \"0.50\"}\n"
		"      - {from: 2026-08-01, tier: flex, times: \"0.4\"}\n"
		"      - {from: 2026-08-01, above: 200000, input: \"2.00\", output: \"3.00\", per_request: \"0.50\"}\n"));
	finish(&t);
}

/* ---- what is told ---- */

static void
what_can_not_be_taken_over_is_told(void **state)
{
	struct trial t = {
		.config = PROVIDERS "models: []\n",
		.lists = {"{\"a\": {\"litellm_provider\": \"openai\", \"mode\": \"chat\", \"max_input_tokens\": 1000, \"max_output_tokens\": 10, \"input_cost_per_token\": 1e-06, \"output_cost_per_token\": 3e-06,\n"
				  "\"cache_read_input_token_cost\": 0.0, \"input_cost_per_image\": 0.01, \"input_cost_per_character\": 0, \"tiered_pricing\": [1],\n"
				  "\"cache_creation_input_token_cost\": 1.5000000000000002e-07, \"input_cost_per_audio_token\": \"dear\",\n"
				  "\"input_cost_per_token_priority\": 5e-05, \"output_cost_per_token_priority\": 1.5e-04,\n"
				  "\"regional_processing_uplift_multiplier_eu\": 1.1, \"supports_vision\": true, \"rpm\": 10,\n"
				  "\"search_context_cost_per_query\": {\"search_context_size_low\": 0.01, \"search_context_size_medium\": 0.02}},\n"
				  "\"free\": {\"litellm_provider\": \"openai\", \"mode\": \"chat\", \"max_input_tokens\": 9, \"input_cost_per_token\": 0, \"output_cost_per_token\": 0},\n"
				  "\"gone\": {\"litellm_provider\": \"openai\", \"mode\": \"chat\", \"deprecation_date\": \"2026-07-31\"},\n"
				  "\"image\": {\"litellm_provider\": \"openai\", \"mode\": \"image_generation\"},\n"
				  "\"ft:a\": {\"litellm_provider\": \"openai\", \"mode\": \"chat\"},\n"
				  "\"xai/grok\": {\"litellm_provider\": \"xai\", \"mode\": \"chat\"},\n" //
			CHAT("we ird", "1e-06", "1e-06") "}"},
		.add = true,
	};
	import(&t);
	expect_ok(&t);
	expect_note(&t, "a", "cached", "is 0 in the list and was not taken");
	expect_note(&t, "a", "input_cost_per_image", "by the image");
	expect_note(&t, "a", "tiered_pricing", "the catalogue has no such price");
	expect_note(&t, "a", "cache_creation_input_token_cost", "finer than a millionth");
	expect_note(&t, "a", "input_cost_per_audio_token", "no number");
	expect_note(&t, "a", "regional_processing_uplift_multiplier_eu", "regional URL");
	expect_note(&t, "a", "search_context_cost_per_query", "`medium`, the default, was taken");
	expect_note(&t, "a", "tier priority", "more than ten times");
	expect_note(&t, "free", "model", "free by the list");
	expect_note(&t, "we ird", "model", "characters");
	assert_false(noted(&t, "a", "input_cost_per_character", ""));
	assert_non_null(strstr(t.after, "- {from: 2026-08-01, input: \"1.00\", output: \"3.00\", web_search: \"0.02\"}\n"));
	assert_null(strstr(t.after, "priority"));
	assert_int_equal(t.result.added, 1);
	assert_int_equal(t.result.gone, 1);
	assert_int_equal(t.result.other_use, 1);
	assert_int_equal(t.result.tuned, 1);
	assert_int_equal(t.result.other_provider, 1);
	finish(&t);
}

static void
the_first_list_to_say_something_is_taken_and_the_other_told(void **state)
{
	struct trial t = {
		.config = PROVIDERS "models: []\n",
		.lists = {"id: openai\nmodels:\n"
				  "  - {id: a, context_window: 2000, prices: {input_mtok: 1, output_mtok: 2}, match: {starts_with: a}}\n",
			"{\"a\": {\"litellm_provider\": \"openai\", \"mode\": \"chat\", \"max_input_tokens\": 1000, \"max_output_tokens\": 100, \"input_cost_per_token\": 3e-06,\n"
			"\"output_cost_per_token\": 2e-06, \"cache_read_input_token_cost\": 1e-07, \"input_cost_per_token_flex\": 1.5e-06, \"output_cost_per_token_flex\": 1e-06},\n" //
			CHAT("a-2", "7e-06", "8e-06") "}"},
		.add = true,
	};
	import(&t);
	expect_ok(&t);
	assert_non_null(strstr(t.after,
		"  - id: a\n    provider: open\n    context: 2000\n    output: 100\n    prices:\n"
		"      - {from: 2026-08-01, input: \"1.00\", cached: \"0.10\", output: \"2.00\"}\n"
		"      - {from: 2026-08-01, tier: flex, times: \"0.5\"}\n"));
	expect_note(&t, "a", "input", "is 1.00 in first and 3.00 in second: the first was taken");
	/* what names the model itself counts before a rule about names */
	assert_non_null(strstr(t.after, "- id: a-2\n    provider: open\n    context: 2000\n    output: 100\n    prices:\n      - {from: 2026-08-01, input: \"7.00\", output: \"8.00\"}\n"));
	struct trial named = {.config = PROVIDERS "models:\n  - {id: a-2, provider: open, context: 2000, output: 100, prices: [{from: 2026-01-01, input: '5', output: '8'}]}\n",
		.lists = {t.lists[0], t.lists[1]}};
	import(&named);
	expect_ok(&named);
	assert_non_null(strstr(named.after, "{from: 2026-08-01, input: \"7.00\", output: \"8.00\"}"));
	expect_note(&named, "a", "input", "is 7.00 in second and 1.00 in first");
	finish(&named);
	finish(&t);
}

static void
hours_of_the_day_can_not_be_taken(void **state)
{
	struct trial t = {
		.config = PROVIDERS "models: []\n",
		.lists = {"id: openai\nmodels:\n"
				  "  - {id: a, context_window: 2000, prices: [{prices: {input_mtok: 1, output_mtok: 2}}, "
				  "{constraint: {start_time: '00:30:00Z', end_time: '16:30:00Z'}, prices: {input_mtok: 2, output_mtok: 3}}]}\n"},
		.add = true,
	};
	import(&t);
	expect_ok(&t);
	assert_string_equal(t.after, t.config);
	expect_note(&t, "a", "model", "has no prices that can be taken");
	finish(&t);
}

/* ---- what is no list ---- */

static void
what_is_no_list_is_refused_with_a_reason(void **state)
{
	static const struct {
		const char *list, *says;
	} rows[] = {
		{"", "the file is empty"},
		{"<html>", "neither LiteLLM's"},
		{"{}", "neither LiteLLM's"},
		{"[]", "neither LiteLLM's"},
		{"{\"a\": 1}", "neither LiteLLM's"},
		{"{\"a\": {\"litellm_provider\": \"openai\"", "did not find expected"},
		{"id: openai\nmodels: &m []\nmore: *m\n", "through an alias"},
		{"\xff\xfe\x00", "neither LiteLLM's"},
		{"{\"a\": \xff}", "UTF-8"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct trial t = {.config = PROVIDERS "models: []\n", .lists = {rows[i].list}};
		import(&t);
		if (t.ok || (i != 7 && strstr(t.problems.row[0].text, rows[i].says) == NULL))
			fail_msg("%zu: %s: %s", i, rows[i].list, t.ok ? "taken" : t.problems.row[0].text);
		finish(&t);
	}
	struct source s;
	struct problems p;
	char *many = malloc(5000000);
	assert_non_null(many);
	memset(many, ',', 5000000);
	problems_init(&p, "many");
	assert_false(source_open((struct span){many, 5000000}, FORMAT_DETECT, &p, &s));
	assert_non_null(strstr(p.row[0].text, "more values, or deeper ones, than any list"));
	memset(many, '[', 100000);
	problems_init(&p, "deep");
	assert_false(source_open((struct span){many, 100000}, FORMAT_DETECT, &p, &s));
	assert_non_null(strstr(p.row[0].text, "deeper ones"));
	free(many);
	static const char genai[] = "id: openai\nmodels: []\n";
	problems_init(&p, "wrong");
	assert_false(source_open(SPAN(genai), FORMAT_LITELLM, &p, &s));
	assert_non_null(strstr(p.row[0].text, "looks like a list of genai-prices"));
}

static void
escapes_that_yaml_does_not_have_do_not_stop_json(void **state)
{
	struct trial t = {
		.config = PROVIDERS "models: []\n",
		.lists = {"{\"note\": {\"text\": \"\\ud83d\\ude00 \\\\ud83d \\/\"}, " CHAT("a", "1e-06", "1e-06") "}"},
		.add = true,
	};
	import(&t);
	expect_ok(&t);
	assert_int_equal(t.result.added, 1);
	finish(&t);
}

/* ---- diffs ---- */

static size_t
line_length(const char *at)
{
	size_t len = strcspn(at, "\n");
	return at[len] == '\n' ? len + 1 : len;
}

/* What patch does: every hunk at its line, every line compared. The caller frees. */
static char *
patched(const char *old, const char *diff)
{
	size_t cap = strlen(old) + strlen(diff) + 1, len = 0;
	char *out = calloc(1, cap);
	unsigned long line = 1, first;
	assert_non_null(out);
	diff += line_length(diff);
	diff += line_length(diff);
	while (*diff != '\0') {
		unsigned long old_lines;
		assert_int_equal(sscanf(diff, "@@ -%lu,%lu +", &first, &old_lines), 2);
		for (first += old_lines == 0; line < first; line++) {
			size_t n = line_length(old);
			memcpy(out + len, old, n);
			len += n;
			old += n;
		}
		for (diff += line_length(diff); *diff == ' ' || *diff == '-' || *diff == '+'; diff += line_length(diff)) {
			size_t n = line_length(diff) - 1;
			const char *next = diff + n + 1;
			char sign = *diff;
			bool open_end = strncmp(next, "\\ No newline", 12) == 0;
			if (sign != '+') {
				if (strncmp(old, diff + 1, n - open_end) != 0)
					fail_msg("the diff does not fit at line %lu", line);
				old += n - open_end;
				line++;
			}
			if (sign != '-') {
				memcpy(out + len, diff + 1, n - open_end);
				len += n - open_end;
			}
			if (open_end)
				diff += line_length(diff);
		}
	}
	strcpy(out + len, old);
	return out;
}

static void
a_diff_makes_of_the_old_text_the_new_one(void **state)
{
	uint64_t seed = 42;
	for (int round = 0; round < 3000; round++) {
		char old[600]; /* 22 lines of at most 20 bytes */
		size_t len = 0, at = 0;
		struct edits e = {0};
		for (int i = 0, lines = round % 23; i < lines; i++)
			len += (size_t)sprintf(old + len, "line %d of the old\n", i);
		if (round % 3 == 0 && len > 0)
			old[--len] = '\0';
		old[len] = '\0';
		struct span s = {old, len};
		for (int i = 0; i < 4; i++) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			at += (seed >> 33) % 60;
			if (at > len)
				break;
			if ((seed >> 20) % 3 == 0) {
				while (at > 0 && at < len && old[at - 1] != '\n')
					at++;
				edits_add_lines(&e, s, at, (seed >> 40) % 2 ? "new line\n" : "one\ntwo\n", "\n");
			} else {
				size_t remove = (seed >> 50) % 25;
				if (at + remove > len || at == len)
					break;
				edits_add(&e, at, remove, (seed >> 40) % 2 ? "words" : "");
				at += remove + 1;
			}
		}
		size_t new_len, diff_len;
		char *now = edits_apply(&e, s, &new_len), *diff = NULL;
		FILE *to = open_memstream(&diff, &diff_len);
		assert_non_null(to);
		edits_diff(&e, s, "x", to);
		fclose(to);
		if (e.count > 0) {
			char *result = patched(old, diff);
			if (strcmp(result, now) != 0)
				fail_msg("round %d\n--- old\n%s\n--- new\n%s\n--- diff\n%s\n--- patched\n%s", round, old, now, diff, result);
			free(result);
		}
		free(now);
		free(diff);
		edits_free(&e);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_keep_every_digit),
		cmocka_unit_test(a_model_of_the_responses_api_alone_is_asked_in_it),
		cmocka_unit_test(every_kind_and_tier_of_litellm_has_its_column),
		cmocka_unit_test(a_models_vocabulary_goes_by_its_name),
		cmocka_unit_test(steps_and_coming_prices_of_genai_have_their_rows),
		cmocka_unit_test(a_name_with_a_date_and_one_without_are_one_model_unless_there_are_two_dates),
		cmocka_unit_test(a_changed_price_is_a_new_row_and_no_other_line_changes),
		cmocka_unit_test(rows_follow_the_order_and_line_ends_of_the_file),
		cmocka_unit_test(a_row_of_the_same_day_and_a_model_that_vanished_stay),
		cmocka_unit_test(what_a_list_does_not_know_keeps_its_price),
		cmocka_unit_test(what_can_not_be_taken_over_is_told),
		cmocka_unit_test(the_first_list_to_say_something_is_taken_and_the_other_told),
		cmocka_unit_test(hours_of_the_day_can_not_be_taken),
		cmocka_unit_test(what_is_no_list_is_refused_with_a_reason),
		cmocka_unit_test(escapes_that_yaml_does_not_have_do_not_stop_json),
		cmocka_unit_test(a_diff_makes_of_the_old_text_the_new_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
