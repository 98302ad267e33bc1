#include "core/address.h"
#include "core/forwarded.h"
#include "core/proxy2.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

static struct span
text(const char *s)
{
	return (struct span){s, strlen(s)};
}

static struct address
parsed(const char *s)
{
	struct address a;
	assert_true(address_parse(text(s), &a));
	return a;
}

static void
assert_same(struct address a, const char *want)
{
	struct address b = parsed(want);
	assert_memory_equal(&a, &b, sizeof a);
}

static void
only_numeric_addresses_are_addresses(void **state)
{
	static const char *const good[] = {"1.2.3.4", "255.255.255.255", "::", "2001:db8::1", "::ffff:1.2.3.4"};
	static const char *const bad[] = {"", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "1.2.3.4 ", "localhost", "[::1]", "fe80::1%eth0", ":::", "1.2.3.4:80",
		"0001:0002:0003:0004:0005:0006:0007:0008:0009:0010:0011:0012"};
	struct address a;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(address_parse(text(good[i]), &a));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(address_parse(text(bad[i]), &a));
	assert_false(address_parse(SPAN("1.2.3.4\0"), &a));
	assert_same(parsed("1.2.3.4"), "::ffff:1.2.3.4");
}

static void
a_range_holds_what_begins_like_it(void **state)
{
	static const struct {
		const char *range, *inside, *outside;
	} rows[] = {
		{"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
		{"192.168.4.0/22", "192.168.7.255", "192.168.8.0"},
		{"203.0.113.9", "203.0.113.9", "203.0.113.8"},
		{"203.0.113.9/32", "::ffff:203.0.113.9", "::203.0.113.9"},
		{"0.0.0.0/0", "9.9.9.9", "2001:db8::1"},
		{"2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"},
		{"::/0", "9.9.9.9", NULL},
		{"::1", "::1", "::2"},
	};
	static const char *const bad[] = {"10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/-1", "2001:db8::/129", "2001:db8::1/64", "/8", "10/8", "10.0.0.0/8/8"};
	struct address_range r;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(address_range_parse(text(rows[i].range), &r));
		struct address in = parsed(rows[i].inside);
		assert_true(address_in(&in, &r));
		struct address out = parsed(rows[i].outside ? rows[i].outside : "::");
		assert_int_equal(address_in(&out, &r), rows[i].outside == NULL);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(address_range_parse(text(bad[i]), &r));
}

static void
an_owner_has_an_ipv4_address_or_a_64(void **state)
{
	struct address v4 = parsed("203.0.113.9"), v6 = parsed("2001:db8:1:2:3:4:5:6");
	assert_same(address_owner(&v4), "203.0.113.9");
	assert_same(address_owner(&v6), "2001:db8:1:2::");
	struct address l4 = parsed("127.8.9.1"), l6 = parsed("::1"), no = parsed("::2");
	assert_true(address_is_loopback(&l4));
	assert_true(address_is_loopback(&l6));
	assert_false(address_is_loopback(&no));
	assert_false(address_is_loopback(&v4));
}

static void
sockets_tell_their_peers(void **state)
{
	struct address a;
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xcb007109)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	inet_pton(AF_INET6, "2001:db8::7", &v6.sin6_addr);
	assert_true(address_of_peer((struct sockaddr *)&v4, &a));
	assert_same(a, "203.0.113.9");
	assert_true(address_of_peer((struct sockaddr *)&v6, &a));
	assert_same(a, "2001:db8::7");
	assert_false(address_of_peer((struct sockaddr *)&local, &a));
}

/* ---- who is behind our proxies ---- */

/* 10.0.0.0/8 and 2001:db8:ffff::/48 are ours. want NULL: nobody knows. */
static void
client_is(enum forwarded_header header, const char *const values[3], const char *want)
{
	struct address_range ours[2];
	struct forwarded f;
	struct address a;
	assert_true(address_range_parse(SPAN("10.0.0.0/8"), &ours[0]));
	assert_true(address_range_parse(SPAN("2001:db8:ffff::/48"), &ours[1]));
	forwarded_init(&f, header, ours, 2);
	for (int i = 0; i < 3 && values[i]; i++)
		forwarded_feed(&f, text(values[i]));
	bool known = forwarded_finish(&f, &a);
	if (known != (want != NULL))
		fail_msg("%s: %s", values[0] ? values[0] : "nothing", known ? "known" : "unknown");
	if (want)
		assert_same(a, want);
}

static void
the_last_address_that_is_not_ours_is_the_client(void **state)
{
	static const struct {
		enum forwarded_header header;
		const char *values[3], *want;
	} rows[] = {
		{FORWARDED_BY_X_FORWARDED_FOR, {NULL}, NULL},
		{FORWARDED_BY_X_FORWARDED_FOR, {""}, NULL},
		{FORWARDED_BY_X_FORWARDED_FOR, {"203.0.113.9"}, "203.0.113.9"},
		{FORWARDED_BY_X_FORWARDED_FOR, {"1.1.1.1, 203.0.113.9, 10.0.0.1,10.0.0.2"}, "203.0.113.9"},
		{FORWARDED_BY_X_FORWARDED_FOR, {"1.1.1.1", "203.0.113.9", "10.0.0.1"}, "203.0.113.9"},
		{FORWARDED_BY_X_FORWARDED_FOR, {"10.0.0.3, 10.0.0.1"}, "10.0.0.3"},
		{FORWARDED_BY_X_FORWARDED_FOR, {"garbage, 203.0.113.9"}, "203.0.113.9"},
		{FORWARDED_BY_X_FORWARDED_FOR, {"203.0.113.9, garbage"}, NULL},
		{FORWARDED_BY_X_FORWARDED_FOR, {"203.0.113.9, unknown, 10.0.0.1"}, NULL},
		{FORWARDED_BY_X_FORWARDED_FOR, {" , 203.0.113.9 ,, "}, "203.0.113.9"},
		{FORWARDED_BY_X_FORWARDED_FOR, {"203.0.113.9:51234"}, "203.0.113.9"},
		{FORWARDED_BY_X_FORWARDED_FOR, {"203.0.113.9:"}, NULL},
		{FORWARDED_BY_X_FORWARDED_FOR, {"2001:db8::1, [2001:db8:ffff::1]:80"}, "2001:db8::1"},
		{FORWARDED_BY_X_FORWARDED_FOR, {"[2001:db8::1]"}, "2001:db8::1"},
		{FORWARDED_BY_X_FORWARDED_FOR, {"[2001:db8::1"}, NULL},
		{FORWARDED_BY_X_FORWARDED_FOR, {"[203.0.113.9]"}, NULL},
		{FORWARDED_BY_X_FORWARDED_FOR, {"[2001:db8::1]80"}, NULL},
		{FORWARDED_BY_FORWARDED, {"for=203.0.113.9;proto=https;by=10.0.0.1"}, "203.0.113.9"},
		{FORWARDED_BY_FORWARDED, {"For=\"[2001:db8::1]:4711\" ; proto=http", "for=10.0.0.1"}, "2001:db8::1"},
		{FORWARDED_BY_FORWARDED, {"for=\"203.0.113.9:_x\""}, "203.0.113.9"},
		{FORWARDED_BY_FORWARDED, {"for=1.1.1.1, for=unknown"}, NULL},
		{FORWARDED_BY_FORWARDED, {"for=_hidden, for=203.0.113.9"}, "203.0.113.9"},
		{FORWARDED_BY_FORWARDED, {"for=\"1.1.1.1, for=203.0.113.9"}, "203.0.113.9"},
		{FORWARDED_BY_FORWARDED, {"for=1.1.1.1;x=\", for=203.0.113.9"}, "203.0.113.9"},
		{FORWARDED_BY_FORWARDED, {"for=1.1.1.1;for=203.0.113.9"}, NULL},
		{FORWARDED_BY_FORWARDED, {"by=203.0.113.9"}, NULL},
		{FORWARDED_BY_FORWARDED, {"203.0.113.9"}, NULL},
		{FORWARDED_BY_CF_CONNECTING_IP, {"203.0.113.9"}, "203.0.113.9"},
		{FORWARDED_BY_CF_CONNECTING_IP, {"2001:db8::1"}, "2001:db8::1"},
		{FORWARDED_BY_CF_CONNECTING_IP, {"203.0.113.9", "203.0.113.10"}, NULL},
		{FORWARDED_BY_CF_CONNECTING_IP, {"203.0.113.9, 203.0.113.10"}, NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		client_is(rows[i].header, rows[i].values, rows[i].want);
}

/* ---- PROXY protocol ---- */

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static enum proxy2_result
feed_by(struct proxy2 *p, const char *bytes, size_t len, size_t step, size_t *ret_used)
{
	enum proxy2_result r = PROXY2_MORE;
	size_t at = 0;
	proxy2_init(p);
	while (r == PROXY2_MORE && at < len) {
		size_t n = proxy2_wants(p);
		n = n < step ? n : step;
		n = n < len - at ? n : len - at;
		r = proxy2_feed(p, bytes + at, (uint32_t)n);
		at += n;
	}
	*ret_used = at;
	return r;
}

static void
a_proxy_says_from_whom_a_connection_is(void **state)
{
	static const struct {
		struct span bytes;
		size_t header;
		enum proxy2_result result;
		const char *source;
	} rows[] = {
		{SPAN_INIT(SIGNATURE "\x21\x11\0\x0c\xcb\0\x71\x09\x0a\0\0\x01\xc8\x22\x01\xbb"
							 "GET /"),
			28, PROXY2_DONE, "203.0.113.9"},
		{SPAN_INIT(SIGNATURE "\x21\x11\0\x10\xcb\0\x71\x09\x0a\0\0\x01\xc8\x22\x01\xbb\x04\0\x01!"
							 "GET /"),
			32, PROXY2_DONE, "203.0.113.9"},
		{SPAN_INIT(SIGNATURE "\x21\x21\0\x24"
							 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
							 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x08"
							 "\1\2\3\4"
							 "GET /"),
			52, PROXY2_DONE, "2001:db8::7"},
		{SPAN_INIT(SIGNATURE "\x20\x11\0\x0c\xcb\0\x71\x09\x0a\0\0\x01\xc8\x22\x01\xbb"), 28, PROXY2_DONE, NULL},
		{SPAN_INIT(SIGNATURE "\x20\0\0\0"), 16, PROXY2_DONE, NULL},
		{SPAN_INIT(SIGNATURE "\x21\0\0\0"), 16, PROXY2_DONE, NULL},
		{SPAN_INIT(SIGNATURE "\x21\x12\0\x0c\xcb\0\x71\x09\x0a\0\0\x01\xc8\x22\x01\xbb"), 0, PROXY2_BAD, NULL}, /* UDP */
		{SPAN_INIT(SIGNATURE "\x22\x11\0\x0c\xcb\0\x71\x09\x0a\0\0\x01\xc8\x22\x01\xbb"), 0, PROXY2_BAD, NULL}, /* command 2 */
		{SPAN_INIT(SIGNATURE "\x11\x11\0\x0c\xcb\0\x71\x09\x0a\0\0\x01\xc8\x22\x01\xbb"), 0, PROXY2_BAD, NULL}, /* version 1 */
		{SPAN_INIT(SIGNATURE "\x21\x11\0\x0b\xcb\0\x71\x09\x0a\0\0\x01\xc8\x22\x01"), 0, PROXY2_BAD, NULL}, /* too short for its family */
		{SPAN_INIT(SIGNATURE "\x21\x31\0\x0c\xcb\0\x71\x09\x0a\0\0\x01\xc8\x22\x01\xbb"), 0, PROXY2_BAD, NULL},
		{SPAN_INIT(SIGNATURE "\x21\x11\xff\xff\xcb\0\x71\x09\x0a\0\0\x01\xc8\x22\x01\xbb"), 0, PROXY2_BAD, NULL}, /* longer than anybody needs */
		{SPAN_INIT("GET / HTTP/1.1\r\n"), 0, PROXY2_BAD, NULL},
		{SPAN_INIT("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n"), 0, PROXY2_BAD, NULL},
		{SPAN_INIT("\r\n\r\n"), 0, PROXY2_MORE, NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t step = 1; step < 70; step++) {
			struct proxy2 p;
			struct address a;
			size_t used;
			assert_int_equal(feed_by(&p, rows[i].bytes.at, rows[i].bytes.len, step, &used), rows[i].result);
			if (rows[i].result != PROXY2_DONE)
				continue;
			assert_int_equal(used, rows[i].header);
			assert_int_equal(proxy2_source(&p, &a), rows[i].source != NULL);
			if (rows[i].source)
				assert_same(a, rows[i].source);
		}
}

static void
who_speaks_something_else_is_known_by_the_first_byte(void **state)
{
	struct proxy2 p;
	proxy2_init(&p);
	assert_int_equal(proxy2_wants(&p), PROXY2_FIXED);
	assert_int_equal(proxy2_feed(&p, "G", 1), PROXY2_BAD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_numeric_addresses_are_addresses),
		cmocka_unit_test(a_range_holds_what_begins_like_it),
		cmocka_unit_test(an_owner_has_an_ipv4_address_or_a_64),
		cmocka_unit_test(sockets_tell_their_peers),
		cmocka_unit_test(the_last_address_that_is_not_ours_is_the_client),
		cmocka_unit_test(a_proxy_says_from_whom_a_connection_is),
		cmocka_unit_test(who_speaks_something_else_is_known_by_the_first_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
