#include "core/json_scan.h"

#include "core/bytes_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A table that reports everything: every value has the node of its depth's making. */
enum {
	ROOT = JSON_NODE_ROOT,
	ANY,
	NAMED,
	NODES,
};
static const struct json_edge any_edges[] = {JSON_EDGE("name", NAMED), JSON_EDGE("\xc3\xa9\n", NAMED)};
static const struct json_node everything[NODES] = {
	[ROOT] = {any_edges, 2, ANY, ANY, true},
	[ANY] = {any_edges, 2, ANY, ANY, true},
	[NAMED] = {any_edges, 2, ANY, ANY, true},
};

/* Events written down as text, so that they are compared and read at once. */
struct log {
	char text[4096];
	size_t len;
};

static void
log_add(struct log *l, const char *bytes, size_t len)
{
	assert_true(l->len + len < sizeof l->text);
	for (size_t i = 0; i < len; i++)
		l->text[l->len + i] = bytes[i];
	l->len += len;
	l->text[l->len] = 0;
}

static void
log_number(struct log *l, uint64_t v)
{
	char digits[20], *p = digits + sizeof digits;
	if (v == JSON_NO_OFFSET) {
		log_add(l, "-", 1);
		return;
	}
	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	log_add(l, p, (size_t)(digits + sizeof digits - p));
}

static void
log_event(struct log *l, enum json_token t, const struct json_event *e)
{
	static const char *const names[] = {"more", "bad", "{", "}", "[", "]", "s", "n", "true", "false", "null", ","};
	log_add(l, names[t], strlen(names[t]));
	log_add(l, "#", 1);
	log_number(l, e->node);
	log_add(l, "@", 1);
	log_number(l, e->at);
	log_add(l, "..", 2);
	log_number(l, e->end);
	log_add(l, "k", 1);
	log_number(l, e->key_at);
	log_add(l, "c", 1);
	log_number(l, e->comma_at);
	log_add(l, "<", 1);
	log_add(l, e->text.at, e->text.len);
	log_add(l, e->cut ? ">+ " : e->empty ? ">0 "
										 : "> ",
		e->cut || e->empty ? 3 : 2);
}

/* JSON_MORE: complete. Pieces of `step` bytes, each in an exact allocation of its own. */
static enum json_token
scan(const struct json_node *nodes, const char *in, size_t len, size_t step, struct log *l)
{
	struct json_scan s;
	struct json_event e;
	enum json_token t = JSON_MORE;
	json_scan_init(&s, nodes);
	l->len = 0;
	for (size_t at = 0; at < len && t == JSON_MORE; at += step) {
		size_t n = len - at < step ? len - at : step;
		char *piece = malloc(n);
		memcpy(piece, in + at, n);
		json_scan_feed(&s, piece, n, at);
		while ((t = json_scan_next(&s, &e)) > JSON_BAD)
			log_event(l, t, &e);
		free(piece);
	}
	if (t == JSON_BAD) {
		assert_int_equal(json_scan_next(&s, &e), JSON_BAD);
		assert_int_not_equal(s.error, JSON_E_NONE);
		return JSON_BAD;
	}
	return json_scan_complete(&s) ? JSON_MORE : JSON_NULL;
}

static enum json_token
scan_every_way(const struct json_node *nodes, const char *in, size_t len, struct log *l)
{
	struct log other;
	enum json_token t = scan(nodes, in, len, len ? len : 1, l);
	for (size_t step = 1; step < len; step++) {
		assert_int_equal(scan(nodes, in, len, step, &other), t);
		if (l->len != other.len || memcmp(l->text, other.text, l->len))
			print_error("step %zu of %s:\n%s\n%s\n", step, in, l->text, other.text);
		assert_int_equal(l->len, other.len);
		assert_memory_equal(l->text, other.text, l->len);
	}
	return t;
}

static void
what_is_no_json_is_refused(void **state)
{
	/* clang-format off */
	static const struct span rows[] = {
		SPAN("}"), SPAN("{,}"), SPAN("{\"a\"}"), SPAN("{\"a\":}"), SPAN("{\"a\":1,}"), SPAN("{a:1}"), SPAN("{\"a\":1 \"b\":2}"), SPAN("{\"a\" 1}"),
		SPAN("{1:2}"), SPAN("[1,]"), SPAN("[,1]"), SPAN("[1 2]"), SPAN("[1}"), SPAN("{\"a\":1]"), SPAN("[]]"), SPAN("{}{}"), SPAN("1 2"),
		SPAN("tru "), SPAN("trues"), SPAN("nul\n"), SPAN("[fals,1]"), SPAN("[falsE,1]"), SPAN("[nulll,1]"), SPAN("[nul,1]"), SPAN("[12345678901x]"), SPAN("[10-1]"), SPAN("True"), SPAN("NaN"), SPAN("01 "), SPAN("-"  " "), SPAN("+1"), SPAN(".1"), SPAN("1. "),
		SPAN("1e "), SPAN("1e+ "), SPAN("1.e1"), SPAN("--1"), SPAN("1-1"), SPAN("0x1"), SPAN("-01"), SPAN("1ee1"), SPAN("1.1.1"),
		SPAN("\"\n\""), SPAN("\"\x1f\""), SPAN("\"a\0b\""), SPAN("\"\\x\""), SPAN("\"\\u12g4\""), SPAN("\"\\\n\""), SPAN("'a'"), SPAN("\xef\xbb\xbf{}"),
		SPAN("[\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789\x01 0123456789abcdef0123456789abcdef\"]"),
		SPAN("[\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789\\q 0123456789abcdef0123456789abcdef\"]"),
		SPAN("[\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789\\u00x 0123456789abcdef0123456789abcdef\"]"),
		SPAN("{\"a\":01,\"b\":1}"), SPAN("{\"a\":00}"), SPAN("{\"a\":1x,\"b\":1}"), SPAN("{\"a\":nullx,\"b\":1}"), SPAN("{\"a\":falsE,\"b\":1}"), SPAN("{\"a\":True ,\"b\":1}"),
		SPAN("{\"a\":1,,\"b\":1}"), SPAN("{\"a\":1,  ,\"b\":1}"), SPAN("{\"a\":1,\"b\" \"c\"}"), SPAN("{\"a\":\"b\"\"c\":1}"), SPAN("{\"a\":\"b\":\"c\"}"), SPAN("{\"a\":1]   "), SPAN("{\"a\":{}]   "),
		SPAN("{\"a\":1}\x0c"), SPAN("/**/{}"), SPAN("[1]//"), SPAN(":"), SPAN("{\"a\"::1}"), SPAN("{\"a\x01\":1}"),
	};
	/* clang-format on */
	struct log l;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum json_token t = scan_every_way(everything, rows[i].at, rows[i].len, &l);
		if (t != JSON_BAD)
			print_error("row %zu: %s\n", i, rows[i].at);
		assert_int_equal(t, JSON_BAD);
		static const struct json_node nothing[2] = {{0}};
		assert_int_equal(scan_every_way(nothing, rows[i].at, rows[i].len, &l), JSON_BAD);
	}
}

static void
what_has_no_end_is_not_complete(void **state)
{
	static const char *const rows[] = {"", " ", "{", "[", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":1", "[1", "[1,", "\"", "\"\\", "\"\\u1", "tru", "-", "1.", "1e", "1e-"};
	struct log l;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(scan_every_way(everything, rows[i], strlen(rows[i]), &l), JSON_NULL);
}

static void
values_are_reported_with_their_place(void **state)
{
	static const struct {
		const char *in, *log;
	} rows[] = {
		{"{}", "{#1@0..1k-c-<> }#1@1..2k-c-<>0 "},
		{" [ ] ", "[#1@1..2k-c-<> ]#1@3..4k-c-<>0 "},
		{"null", "null#1@0..4k-c-<> "},
		{"{\"a\":1}", "{#1@0..1k-c-<> n#2@5..6k1c-<1> }#1@6..7k-c-<> "},
		{"{\"name\" : \"x\" , \"b\":[true,false]}",
			"{#1@0..1k-c-<> s#3@10..13k1c-<x> [#2@20..21k16c14<> true#2@21..25k-c-<> false#2@26..31k-c25<> ]#2@31..32k-c-<> }#1@32..33k-c-<> "},
		{"[-0.5e+10,\"\"]", "[#1@0..1k-c-<> n#2@1..9k-c-<-0.5e+10> s#2@10..12k-c9<> ]#1@12..13k-c-<> "},
		{"{\"n\\u0061m\\u0065\":0}", "{#1@0..1k-c-<> n#3@18..19k1c-<0> }#1@19..20k-c-<> "},
		{"{\"\\u00e9\\n\":0}", "{#1@0..1k-c-<> n#3@12..13k1c-<0> }#1@13..14k-c-<> "},
		{"{\"name \":0,\"nam\":1}", "{#1@0..1k-c-<> n#2@9..10k1c-<0> n#2@17..18k11c10<1> }#1@18..19k-c-<> "},
		{"\"\\\"\\\\\\/\\b\\f\\t\\r\\u0041\\ud83d\\ude00\"", "s#1@0..34k-c-<\"\\/\b\f\t\rA\xf0\x9f\x98\x80> "},
		{"\"\\ud83d\\ud83d\\ude00\\ude00x\\ud83d\"", "s#1@0..33k-c-<\xef\xbf\xbd\xf0\x9f\x98\x80\xef\xbf\xbdx\xef\xbf\xbd> "},
		{"\"\\u00df\\u20AC\"", "s#1@0..14k-c-<\xc3\x9f\xe2\x82\xac> "},
	};
	struct log l;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(scan_every_way(everything, rows[i].in, strlen(rows[i].in), &l), JSON_MORE);
		assert_string_equal(l.text, rows[i].log);
	}
}

static void
only_paths_of_interest_are_reported(void **state)
{
	enum {
		LIST = 2,
		ITEM,
		DEEP,
	};
	static const struct json_edge root[] = {JSON_EDGE("list", LIST)}, item[] = {JSON_EDGE("deep", DEEP)};
	static const struct json_node nodes[] = {[ROOT] = {root, 1}, [LIST] = {.element = ITEM}, [ITEM] = {item, 1}, [DEEP] = {0}};
	static const char in[] = "{\"x\":{\"list\":[{\"deep\":1}]},\"deep\":2,\"list\":[{\"y\":[{\"deep\":3}],\"deep\":\"shown not\"},[4]],\"list2\":5}";
	struct log l;
	assert_int_equal(scan_every_way(nodes, in, sizeof in - 1, &l), JSON_MORE);
	assert_string_equal(l.text,
		"{#1@0..1k-c-<> [#2@43..44k36c35<> {#3@44..45k-c-<> s#4@69..80k62c61<> }#3@80..81k-c-<> [#3@82..83k-c81<> ]#3@84..85k-c-<> "
		"]#2@85..86k-c-<> }#1@96..97k-c-<> ");
}

/* What a silent node holds is found; keys that share a bit with those that are known, and those that don't, are others. */
static void
silent_nodes_have_no_events(void **state)
{
	enum {
		QUIET = 2,
		LOUD,
	};
#define INNER(X) X("loud", LOUD) X("quiet", QUIET)
	static const struct json_edge inner[] = JSON_EDGES_OF(INNER);
	static const struct json_node nodes[] = {
		[ROOT] = {JSON_EDGES(inner, INNER)},
		[QUIET] = {JSON_EDGES(inner, INNER), .other = QUIET, .element = QUIET, .silent = true},
		[LOUD] = {0},
	};
#undef INNER
	static const char in[] = "{\"quiet\":{\"x\":\"y\",\"loud\":1,\"quiet\":[7,{\"loud\":null},\"z\"]}, \"loua\": 2, \"qu\\u0069et\": 3, \"s\":{\"loud\":4}}";
	struct log l;
	assert_int_equal(nodes[ROOT].edge_count, 2);
	assert_int_equal(__builtin_popcountll(nodes[ROOT].absent), 62);
	assert_int_equal(scan_every_way(nodes, in, sizeof in - 1, &l), JSON_MORE);
	assert_string_equal(l.text, "{#1@0..1k-c-<> n#3@25..26k18c17<1> null#3@46..50k39c-<> }#1@101..102k-c-<> ");
}

static void
nesting_has_a_limit(void **state)
{
	char in[2 * JSON_DEPTH_MAX + 8];
	struct log l;
	static const struct json_node nothing[2] = {{0}};
	memset(in, '[', JSON_DEPTH_MAX);
	memset(in + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
	assert_int_equal(scan_every_way(nothing, in, 2 * JSON_DEPTH_MAX, &l), JSON_MORE);
	memset(in, '[', JSON_DEPTH_MAX + 1);
	assert_int_equal(scan_every_way(nothing, in, JSON_DEPTH_MAX + 1, &l), JSON_BAD);
	struct json_scan s;
	struct json_event e;
	json_scan_init(&s, nothing);
	json_scan_feed(&s, in, JSON_DEPTH_MAX + 1, 0);
	assert_int_equal(json_scan_next(&s, &e), JSON_ARRAY); /* the outermost value is always reported */
	assert_int_equal(json_scan_next(&s, &e), JSON_BAD);
	assert_int_equal(s.error, JSON_E_DEPTH);
}

/* Objects and arrays in turn, to the limit: each closing bracket must match its own. */
static void
brackets_match_at_every_depth(void **state)
{
	char in[6 * JSON_DEPTH_MAX];
	size_t n = 0;
	struct log l;
	static const struct json_node nothing[2] = {{0}};
	for (int d = 0; d < JSON_DEPTH_MAX; d++) {
		memcpy(in + n, d % 3 ? "[" : "{\"\":", d % 3 ? 1 : 4);
		n += d % 3 ? 1 : 4;
	}
	in[n++] = '1';
	size_t closes = n;
	for (int d = JSON_DEPTH_MAX; d-- > 0;)
		in[n++] = d % 3 ? ']' : '}';
	assert_int_equal(scan_every_way(nothing, in, n, &l), JSON_MORE);
	for (size_t i = closes; i < n; i++) {
		in[i] ^= ']' ^ '}';
		assert_int_equal(scan(nothing, in, n, n, &l), JSON_BAD);
		in[i] ^= ']' ^ '}';
	}
}

static void
long_texts_are_cut_and_say_so(void **state)
{
	char in[400];
	struct log l;
	for (size_t len = JSON_TEXT_MAX - 2; len < JSON_TEXT_MAX + 3; len++)
		for (int escaped = 0; escaped < 2; escaped++) {
			size_t n = 0;
			in[n++] = '"';
			if (escaped) {
				memcpy(in + n, "\\u0061", 6);
				n += 6;
			}
			memset(in + n, 'a', len - (size_t)escaped);
			n += len - (size_t)escaped;
			in[n++] = '"';
			assert_int_equal(scan_every_way(everything, in, n, &l), JSON_MORE);
			assert_int_equal(l.text[l.len - 2] == '+', len > JSON_TEXT_MAX);
		}
	memset(in, '1', 300);
	in[300] = ' ';
	assert_int_equal(scan_every_way(everything, in, 301, &l), JSON_MORE);
	assert_int_equal(l.text[l.len - 2], '+');
}

static void
a_separator_comes_when_it_was_asked_for(void **state)
{
	static const char in[] = "{\"a\":1 , \"name\":2}";
	for (int ask = 0; ask < 2; ask++) {
		struct json_scan s;
		struct json_event e;
		json_scan_init(&s, everything);
		json_scan_feed(&s, in, sizeof in - 1, 100);
		assert_int_equal(json_scan_next(&s, &e), JSON_OBJECT);
		assert_int_equal(json_scan_next(&s, &e), JSON_NUMBER);
		if (ask) {
			json_scan_want_separator(&s);
			assert_int_equal(json_scan_next(&s, &e), JSON_SEPARATOR);
			assert_int_equal(e.at, 107);
			assert_int_equal(e.end, 108);
		}
		assert_int_equal(json_scan_next(&s, &e), JSON_NUMBER);
		json_scan_want_separator(&s);
		assert_int_equal(json_scan_next(&s, &e), JSON_OBJECT_END);
		assert_int_equal(json_scan_next(&s, &e), JSON_MORE);
	}
}

static void
no_bytes_may_come_from_nowhere(void **state)
{
	struct json_scan s;
	struct json_event e;
	json_scan_init(&s, everything);
	json_scan_feed(&s, NULL, 0, 0);
	assert_int_equal(json_scan_next(&s, &e), JSON_MORE);
	json_scan_feed(&s, "1 ", 2, 0);
	assert_int_equal(json_scan_next(&s, &e), JSON_NUMBER);
	assert_int_equal(json_scan_next(&s, &e), JSON_MORE);
	json_scan_feed(&s, NULL, 0, 2);
	assert_int_equal(json_scan_next(&s, &e), JSON_MORE);
	assert_true(json_scan_complete(&s));
}

static void
whole_numbers_are_told_from_others(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		bool whole;
		uint64_t value;
	} rows[] = {
		{"0", 0, true, 0},
		{"7", 7, true, 7},
		{"8", 7, false, 0},
		{"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
		{"18446744073709551616", UINT64_MAX, false, 0},
		{"99999999999999999999", UINT64_MAX, false, 0},
		{"-1", 9, false, 0},
		{"1.0", 9, false, 0},
		{"1e1", 99, false, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct json_event e = {.text = {rows[i].text, strlen(rows[i].text)}};
		uint64_t v = 0;
		assert_int_equal(json_whole(&e, rows[i].max, &v), rows[i].whole);
		assert_true(v == rows[i].value);
	}
}

/* Each byte at each place of runs of each length around the sizes of what is looked at together. */
static void
a_run_of_a_string_ends_where_it_should(void **state)
{
	enum { LONGEST = 3 * BYTES_BLOCK };
	char text[LONGEST];
	for (size_t at = 0; at < LONGEST; at++)
		for (unsigned c = 0; c < 256; c++) {
			memset(text, 'x', sizeof text);
			text[at] = (char)c;
			const char *ends = bytes_ends_string((unsigned char)c) ? text + at : text + LONGEST;
			assert_ptr_equal(bytes_find_string_end(text, text + LONGEST), ends);
			assert_ptr_equal(bytes_find_string_end(text, text + at), text + at);
			assert_int_equal(at < BYTES_BLOCK ? bytes_string_stops_in_block(text) : 0, at < BYTES_BLOCK ? (uint64_t)bytes_ends_string((unsigned char)c) << at : 0);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_of_a_string_ends_where_it_should),
		cmocka_unit_test(what_is_no_json_is_refused),
		cmocka_unit_test(what_has_no_end_is_not_complete),
		cmocka_unit_test(values_are_reported_with_their_place),
		cmocka_unit_test(only_paths_of_interest_are_reported),
		cmocka_unit_test(silent_nodes_have_no_events),
		cmocka_unit_test(nesting_has_a_limit),
		cmocka_unit_test(brackets_match_at_every_depth),
		cmocka_unit_test(long_texts_are_cut_and_say_so),
		cmocka_unit_test(a_separator_comes_when_it_was_asked_for),
		cmocka_unit_test(no_bytes_may_come_from_nowhere),
		cmocka_unit_test(whole_numbers_are_told_from_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
