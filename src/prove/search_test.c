#include "prove/places.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MARKS = 200,
	NOISE = 4096 };

static const struct canary_origin origin = {"instance", "endpoint", "way", false};

static void
make(struct canaries *c, unsigned count)
{
	char text[CANARY_BYTES + 1];
	canaries_open(c);
	for (unsigned i = 0; i < count; i++)
		canary_new(c, &origin, text);
}

static void
fill_with_noise(char *at, size_t len)
{
	static uint32_t state = 7;
	for (size_t i = 0; i < len; i++) {
		state = state * 1664525 + 1013904223;
		at[i] = (char)(state >> 24);
	}
}

static void
every_form_is_found_wherever_it_begins(void **state)
{
	struct canaries c;
	char noise[NOISE];
	make(&c, MARKS);
	for (enum canary_form form = 0; form < CANARY_FORM_COUNT; form++)
		for (unsigned i = 0; i < 64; i++) {
			struct search s;
			fill_with_noise(noise, sizeof noise);
			(void)canary_in_form(c.all[i].text, form, noise + 1000 + i);
			search_open(&s, &c);
			search_bytes(&s, noise, sizeof noise, "here");
			bool found = false;
			for (uint32_t n = 0; n < s.finding_count; n++) { /* hex without letters is the same in both */
				assert_int_equal(s.findings[n].canary, i);
				found = found || s.findings[n].form == form || (form == CANARY_HEX_UPPER && s.findings[n].form == CANARY_HEX);
			}
			if (!found)
				fail_msg("form %s at %u: %u findings", canary_form_word(form), i, s.finding_count);
			assert_string_equal(s.findings[0].where, "here");
			search_close(&s);
		}
	canaries_close(&c);
}

/* Any sixteen bytes are a hit, fifteen are none. */
static void
sixteen_bytes_of_a_mark_are_a_hit(void **state)
{
	struct canaries c;
	make(&c, MARKS);
	for (size_t from = 0; from <= CANARY_BYTES - CANARY_HIT; from++)
		for (size_t len = CANARY_HIT - 1; len <= CANARY_HIT; len++) {
			char noise[256] = "";
			struct search s;
			memset(noise, '-', sizeof noise);
			memcpy(noise + 100, c.all[3].text + from, len);
			search_open(&s, &c);
			search_bytes(&s, noise, sizeof noise, "here");
			assert_int_equal(s.finding_count, len == CANARY_HIT);
			search_close(&s);
		}
	canaries_close(&c);
}

static void
a_mark_at_the_edges_of_the_bytes_is_found(void **state)
{
	struct canaries c;
	char text[64];
	make(&c, 2);
	memset(text, 0, sizeof text);
	memcpy(text, c.all[0].text + 16, 16);
	memcpy(text + 48, c.all[1].text, 16);
	struct search s;
	search_open(&s, &c);
	search_bytes(&s, text, sizeof text, "here");
	assert_int_equal(s.finding_count, 2);
	search_bytes(&s, text, 7, "too short");
	search_bytes(&s, text, 0, "nothing");
	assert_int_equal(s.finding_count, 2);
	search_close(&s);
	canaries_close(&c);
}

static void
noise_and_other_marks_are_no_hit(void **state)
{
	enum { MUCH = 4 << 20 };
	struct canaries c, others;
	char *noise = malloc(MUCH);
	struct search s;
	make(&c, 10000);
	make(&others, 500);
	fill_with_noise(noise, MUCH);
	for (unsigned i = 0; i < others.count; i++)
		(void)canary_in_form(others.all[i].text, (enum canary_form)(i % CANARY_FORM_COUNT), noise + 4096 * i);
	search_open(&s, &c);
	search_bytes(&s, noise, MUCH, "here");
	assert_int_equal(s.finding_count, 0);
	assert_int_equal(s.searched_bytes, MUCH);
	search_close(&s);
	free(noise);
	canaries_close(&c);
	canaries_close(&others);
}

/* Many in one run of escapes: longer than what is undone at once. */
static void
each_mark_of_a_long_escaped_text_is_found(void **state)
{
	struct canaries c;
	struct search s;
	char *text = malloc(MARKS * CANARY_FORM_MAX);
	size_t len = 0;
	make(&c, MARKS);
	for (unsigned i = 0; i < MARKS; i++)
		len += canary_in_form(c.all[i].text, CANARY_ESCAPED, text + len);
	search_open(&s, &c);
	search_bytes(&s, text, len, "here");
	assert_int_equal(s.finding_count, MARKS);
	search_close(&s);
	free(text);
	canaries_close(&c);
}

/* The kernel's list has the path of a file with blanks in octal, and devices that a container does not have. */
static void
swap_is_searched_and_what_can_t_be_read_is_said(void **state)
{
	char folder[] = "/tmp/lethe-swap-XXXXXX", list[64], swap[64], words[160];
	struct canaries c;
	struct search s;
	struct place place = {.name = "swap"};
	make(&c, 1);
	assert_non_null(mkdtemp(folder));
	snprintf(list, sizeof list, "%s/list", folder);
	snprintf(swap, sizeof swap, "%s/a swap", folder);
	search_open(&s, &c);
	place_swap(&s, list, &place);
	place_swap_words(&place, words);
	assert_string_equal(words, "there is none");
	FILE *file = fopen(swap, "we");
	fprintf(file, "%0*d%s", 5 << 20, 0, c.all[0].text);
	fclose(file);
	file = fopen(list, "we");
	fprintf(file, "Filename\tType\tSize\tUsed\tPriority\n%s/a\\040swap file 1 0 -2\n", folder);
	fclose(file);
	place_swap(&s, list, &place);
	place_swap_words(&place, words);
	assert_string_equal(words, "1 of it, all searched");
	assert_true(s.finding_count > 0);
	file = fopen(list, "ae");
	fprintf(file, "%s/not-there partition 1 0 -2\n%s partition 1 0 -2\n", folder, folder); /* a folder opens, and can't be read */
	fclose(file);
	place = (struct place){.name = "swap"};
	place_swap(&s, list, &place);
	place_swap_words(&place, words);
	assert_int_equal(place.closed, 2);
	assert_non_null(strstr(words, "NOT SEARCHED: 2 of 3"));
	search_close(&s);
	canaries_close(&c);
	unlink(list);
	unlink(swap);
	rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_is_found_wherever_it_begins),
		cmocka_unit_test(sixteen_bytes_of_a_mark_are_a_hit),
		cmocka_unit_test(a_mark_at_the_edges_of_the_bytes_is_found),
		cmocka_unit_test(noise_and_other_marks_are_no_hit),
		cmocka_unit_test(each_mark_of_a_long_escaped_text_is_found),
		cmocka_unit_test(swap_is_searched_and_what_can_t_be_read_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
