/* What is written, number by number. That the whole of it keeps the rules of both formats is test/e2e/metrics.test.ts's. */
#include "scribe/metrics.h"

#include "ticket/end_reasons.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { STRIDE = 4096, COUNTED = STRIDE + (sizeof(struct process_counters) + STRIDE - 1) / STRIDE * STRIDE };

struct bench {
	char *catalogue, *sums;
	char *counters; /* one edge, and the processes */
	struct metrics m;
	char *text;
};

static void
bench_begin(struct bench *b, uint32_t models)
{
	size_t head = (sizeof(struct catalogue) + 7) & ~(size_t)7, provider = (sizeof(struct catalogue_provider) + 7) & ~(size_t)7; /* places are multiples of 8 */
	*b = (struct bench){
		.catalogue = calloc(1, head + provider + models * (sizeof(struct catalogue_model) + sizeof(struct catalogue_target)) + sizeof(struct catalogue_lane)),
		.sums = calloc(1, tally_bytes(models)),
		.counters = aligned_alloc(STRIDE, COUNTED),
	};
	assert_true(b->catalogue && b->sums && b->counters);
	memset(b->counters, 0, COUNTED);
	struct catalogue *c = (void *)b->catalogue;
	*c = (struct catalogue){.provider_count = 1, .model_count = models, .provider_at = head, .model_at = head + provider, .lane_count = 1, .target_count = models};
	c->target_at = c->model_at + models * sizeof(struct catalogue_model);
	c->lane_at = c->target_at + models * sizeof(struct catalogue_target);
	strcpy(((struct catalogue_lane *)(void *)(b->catalogue + c->lane_at))->name, "direct");
	struct catalogue_provider *p = (void *)(b->catalogue + head);
	*p = (struct catalogue_provider){.id = 7, .name = "one"};
	for (uint32_t i = 0; i < models; i++) {
		struct catalogue_model *m = (struct catalogue_model *)(void *)(b->catalogue + c->model_at) + i;
		m->id = 100 + i;
		((struct catalogue_target *)(void *)(b->catalogue + c->target_at))[i].model = i;
		snprintf(m->public_id, sizeof m->public_id, "model-%u", i);
	}
	tally_format(b->sums, models);
	b->m = (struct metrics){.counters = b->counters, .counters_stride = STRIDE, .edge_count = 1, .catalogue = c};
	b->m.tally = tally_attach(b->sums, tally_bytes(models), c);
	assert_non_null(b->m.tally);
	tally_begin(b->m.tally, 0);
}

static void
bench_end(struct bench *b)
{
	tally_detach(&b->m.tally);
	metrics_free(&b->m);
	free(b->text);
	free(b->catalogue);
	free(b->sums);
	free(b->counters);
}

static size_t
look(struct bench *b, bool openmetrics)
{
	size_t len;
	free(b->text);
	b->text = metrics_text(&b->m, openmetrics, 0, &len);
	assert_non_null(b->text);
	char *with_end = realloc(b->text, len + 1);
	assert_non_null(with_end);
	b->text = with_end;
	b->text[len] = '\0';
	return len;
}

static void
says(const struct bench *b, const char *line)
{
	if (!strstr(b->text, line))
		fail_msg("not said: %s", line);
}

static void
book(struct bench *b, uint32_t model, int64_t cost, int64_t booking)
{
	struct ticket_facts f = {.model = model,
		.provider = 7,
		.status = 200,
		.end_reason = END_COMPLETED,
		.duration_ms = 1500,
		.first_byte_ms = 700000,
		.tokens_input = 5,
		.tokens_cached = 3};
	tally_add(b->m.tally, &f, (struct nano){cost});
	tally_publish(b->m.tally, booking);
	tally_add(b->m.tally, &f, (struct nano){cost});
}

#define OF(model) "{model=\"" model "\",provider=\"one\",lane=\"direct\""

static void
amounts_and_times_are_exact(void **state)
{
	struct bench b;
	bench_begin(&b, 2);
	book(&b, 100, 123456789012345678, 1);
	book(&b, 100, 1, 2);
	look(&b, false);
	says(&b, "\nlethe_cost_dollars_total" OF("model-0") "} 123456789.012345679\n");
	says(&b, "\nlethe_tokens_total" OF("model-0") ",kind=\"cached\"} 6\n");
	says(&b, "\nlethe_request_duration_seconds_bucket" OF("model-0") ",le=\"1\"} 0\nlethe_request_duration_seconds_bucket" OF("model-0") ",le=\"1.5\"} 2\n");
	says(&b, "\nlethe_request_duration_seconds_sum" OF("model-0") "} 3\n");
	says(&b, "\nlethe_request_first_byte_seconds_bucket" OF("model-0") ",le=\"600\"} 0\nlethe_request_first_byte_seconds_bucket" OF("model-0") ",le=\"+Inf\"} 2\n");
	atomic_store(&tally_ledger(b.m.tally)->house_nano[HOUSE_ADJUSTMENT], -25500000000);
	atomic_store(&tally_ledger(b.m.tally)->last_round_ms, 1700000000005);
	look(&b, false);
	says(&b, "\nlethe_house_balance_dollars{account=\"adjustment\"} -25.5\n");
	says(&b, "\nlethe_ledger_last_round_timestamp_seconds 1700000000.005\n");
	bench_end(&b);
}

static void
what_was_never_used_has_its_zeros_and_what_is_gone_its_own_name(void **state)
{
	struct bench b;
	bench_begin(&b, 1);
	look(&b, false);
	says(&b, "\nlethe_requests_total" OF("model-0") ",status=\"200\",reason=\"COMPLETED\",severity=\"info\"} 0\n");
	says(&b, "\nlethe_tokens_total" OF("model-0") ",kind=\"output\"} 0\n");
	assert_null(strstr(b.text, "kind=\"cached\""));
	assert_null(strstr(b.text, "(other)"));
	book(&b, 999, 4, 1);
	look(&b, false);
	says(&b, "\nlethe_cost_dollars_total{model=\"(other)\",provider=\"(other)\",lane=\"direct\"} 0.000000004\n");
	bench_end(&b);
}

static void
names_are_escaped(void **state)
{
	struct bench b;
	bench_begin(&b, 1);
	struct catalogue *c = (void *)b.catalogue;
	struct catalogue_model *m = (void *)(b.catalogue + c->model_at);
	strcpy(m->public_id, "a\"b\\c\nd");
	look(&b, false);
	says(&b, "\nlethe_cost_dollars_total" OF("a\\\"b\\\\c\\nd") "} 0\n");
	bench_end(&b);
}

static void
openmetrics_has_its_own_names_and_bounds(void **state)
{
	struct bench b;
	bench_begin(&b, 1);
	book(&b, 100, 4, 1);
	size_t len = look(&b, true);
	says(&b, "# TYPE lethe_build info\nlethe_build_info{version=");
	says(&b, "# TYPE lethe_cost_dollars counter\nlethe_cost_dollars_total" OF("model-0") "} 0.000000004\n");
	says(&b, ",le=\"1.0\"} ");
	says(&b, ",le=\"1.5\"} ");
	assert_string_equal(b.text + len - 6, "# EOF\n");
	bench_end(&b);
}

/* More than the first piece of memory has room for. */
static void
a_large_catalogue_is_written_whole(void **state)
{
	enum { MODELS = 2000 };
	struct bench b;
	bench_begin(&b, MODELS);
	for (uint32_t i = 0; i < MODELS; i++)
		book(&b, 100 + i, i + 1, i + 1);
	assert_in_range(look(&b, true), 1 << 20, METRICS_BYTES_MAX);
	says(&b, "\nlethe_cost_dollars_total" OF("model-1999") "} 0.000002\n");
	says(&b, "\n# EOF\n");
	bench_end(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(amounts_and_times_are_exact),
		cmocka_unit_test(what_was_never_used_has_its_zeros_and_what_is_gone_its_own_name),
		cmocka_unit_test(names_are_escaped),
		cmocka_unit_test(openmetrics_has_its_own_names_and_bounds),
		cmocka_unit_test(a_large_catalogue_is_written_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
