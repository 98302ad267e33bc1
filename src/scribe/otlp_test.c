/* Spans: the longest fits, and what nobody takes is bounded. */
#include "scribe/otlp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct loop l;

static struct catalogue *
longest_names(void)
{
	size_t head = (sizeof(struct catalogue) + 7) & ~(size_t)7, provider = (sizeof(struct catalogue_provider) + 7) & ~(size_t)7; /* places are multiples of 8 */
	char *memory = calloc(1, head + provider + sizeof(struct catalogue_model));
	struct catalogue *c = (void *)memory;
	assert_non_null(c);
	*c = (struct catalogue){.provider_count = 1, .model_count = 1, .provider_at = head, .model_at = head + provider};
	struct catalogue_provider *p = (void *)(memory + head);
	struct catalogue_model *m = (void *)(memory + head + provider);
	p->id = m->id = UINT32_MAX;
	memset(p->name, '"', sizeof p->name - 1);
	memset(m->public_id, '"', sizeof m->public_id - 1);
	return c;
}

static void
the_longest_span_fits(void **state)
{
	char memory[2 * OTLP_SPAN_BYTES];
	struct text t = text_on(memory, sizeof memory);
	struct catalogue *c = longest_names();
	struct message_span m;
	memset(&m, 0xff, sizeof m);
	m.facts.started_us = UINT64_MAX / 1000;
	m.facts.end_reason = 1;
	m.facts.endpoint = ENDPOINT_STREAM_GENERATE_CONTENT;
	otlp_span_write(&t, &m, UINT64_MAX, c);
	assert_false(t.cut);
	assert_true(t.len > 1000 && t.len < OTLP_SPAN_BYTES - 100);
	free(c);
}

static void
what_has_no_room_is_dropped_and_counted(void **state)
{
	struct catalogue *c = longest_names();
	const struct catalogue *of = c;
	struct port nobody = {.watch.fd = -1};
	struct otlp o;
	struct message_span m = MESSAGE_INIT(SPAN, message_span);
	assert_true(otlp_open(&o, &l, &nobody, &(struct otlp_collector){"127.0.0.1", false, "127.0.0.1:4318", ""}, &of));
	for (int i = 0; i < OTLP_RING + 7; i++)
		otlp_add(&o, &m);
	assert_int_equal(o.count, OTLP_RING);
	assert_int_equal(o.spans_dropped, 7);
	m.lost = 30; /* by the ledger, for want of room on the way */
	otlp_add(&o, &m);
	assert_int_equal(o.spans_dropped, 38);
	otlp_tick(&o);
	assert_int_equal(o.state, OTLP_IDLE); /* nobody to ask for a socket */
	otlp_close(&o);
	free(c);
}

static void
without_a_collector_nothing_is_kept(void **state)
{
	struct otlp o;
	struct message_span m = MESSAGE_INIT(SPAN, message_span);
	assert_true(otlp_open(&o, &l, NULL, &(struct otlp_collector){0}, NULL));
	otlp_add(&o, &m);
	otlp_tick(&o);
	assert_int_equal(o.count, 0);
	assert_null(o.ring);
	otlp_close(&o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_span_fits),
		cmocka_unit_test(what_has_no_room_is_dropped_and_counted),
		cmocka_unit_test(without_a_collector_nothing_is_kept),
	};
	if (!loop_init(&l))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
