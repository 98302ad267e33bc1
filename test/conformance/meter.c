/*
 * What Lethe counts and charges for answers that others recorded: lethe-meter CONFIG < lines
 *
 * A line is: number of the endpoint, name of the model, 1 for a stream, the answer in hex; split by spaces. The answer is fed in pieces of
 * several sizes, which must make no difference. Printed: what the meter says, "cost", nano-dollars. For test/e2e/conformance.test.ts.
 */
#include "dialect/meter_text.h"
#include "proc/catalogue_compile.h"
#include "proc/config.h"
#include "proc/problems.h"
#include "ticket/price.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool streamed_here;

static struct catalogue *
load(const char *file)
{
	struct problems p;
	struct config *c = NULL;
	struct catalogue *catalogue = NULL;
	problems_init(&p, file);
	if (!config_load(&p, &c) || !catalogue_compile(c, 1790000000000, &p, &catalogue)) {
		problems_print(&p, stderr);
		exit(2);
	}
	config_free(&c);
	return catalogue;
}

static size_t
from_hex(char *text)
{
	size_t len = strlen(text) / 2;
	for (size_t i = 0; i < len; i++) {
		const char pair[3] = {text[2 * i], text[2 * i + 1], 0};
		text[i] = (char)strtoul(pair, NULL, 16);
	}
	return len;
}

/* The whole body in pieces; 0: of sizes that a generator with that seed gives. */
static struct span
said(struct meter *m, struct span body, size_t step, char *room, size_t cap)
{
	struct text t = text_on(room, cap);
	uint32_t seed = (uint32_t)body.len | 1;
	enum endpoint endpoint = (enum endpoint)m->endpoint;
	meter_init(m, endpoint, streamed_here, false);
	for (size_t at = 0, n; at < body.len || at == 0; at += n ? n : 1) {
		struct span spans[METER_SPANS_MAX];
		size_t count, want = step ? step : 1 + (seed = seed * 1664525 + 1013904223) % 97;
		n = body.len - at < want ? body.len - at : want;
		if (meter_feed(m, body.at + at, n, at + n >= body.len, spans, &count) != n || (n && (count != 1 || spans[0].len != n)))
			exit(3);
	}
	meter_text(&t, m);
	return (struct span){t.at, t.len};
}

/* However it was split, it says the same, and costs the same. */
static void
measure(const struct catalogue *c, struct meter *m, const char *name, struct span body)
{
	static char whole[4096], split[4096];
	static const size_t steps[] = {1, 7, 0};
	struct span w = said(m, body, body.len ? body.len : 1, whole, sizeof whole);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct span s = said(m, body, steps[i], split, sizeof split);
		if (s.len != w.len || memcmp(s.at, w.at, w.len) != 0) {
			fprintf(stderr, "split by %zu: %.*s\nwhole: %.*s\n", steps[i], (int)s.len, s.at, (int)w.len, w.at);
			exit(6);
		}
	}
	const struct catalogue_model *model = catalogue_find_model(c, (struct span){name, strlen(name)});
	const struct catalogue_price *base = model ? catalogue_price_now(c, model, 1790000000000) : NULL;
	bool unpriced;
	if (!base)
		exit(4);
	printf("%.*s cost %lld\n", (int)w.len, w.at, (long long)price_cost(catalogue_price_for(c, catalogue_first_target(c, model), base, &m->usage, &unpriced), &m->usage).v);
}

int
main(int argc, char **argv)
{
	struct catalogue *c = argc == 2 ? load(argv[1]) : NULL;
	struct meter *m = calloc(1, sizeof *m);
	char *line = NULL;
	size_t cap = 0;
	while (c && m && getline(&line, &cap, stdin) > 0) {
		char *save = NULL, *endpoint = strtok_r(line, " \n", &save), *name = strtok_r(NULL, " \n", &save), *streamed = strtok_r(NULL, " \n", &save),
			 *body = strtok_r(NULL, " \n", &save);
		if (!body)
			return 5;
		size_t len = from_hex(body);
		streamed_here = streamed[0] == '1';
		m->endpoint = (uint8_t)atoi(endpoint);
		measure(c, m, name, (struct span){body, len});
	}
	free(line);
	free(m);
	free(c);
	return c ? 0 : 2;
}
