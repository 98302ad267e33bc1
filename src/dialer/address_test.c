#include "dialer/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static bool
global(const char *text)
{
	struct address a;
	assert_true(address_literal(text, 443, &a));
	return address_is_global(&a);
}

static void
public_addresses_may_be_reached(void **state)
{
	static const char *const public[] = {"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0",
		"172.15.255.255", "172.32.0.0", "192.0.1.1", "198.17.255.255", "198.20.0.0", "223.255.255.255",
		"2606:4700::1111", "2001:4860:4860::8888", "64:ff9b::8.8.8.8", "2002:0808:0808::1"};
	for (size_t i = 0; i < ARRAY_LEN(public); i++)
		assert_true(global(public[i]));
}

static void
inner_addresses_are_refused(void **state)
{
	static const char *const inner[] = {"0.0.0.0", "10.1.2.3", "100.64.0.1", "100.127.255.255", "127.0.0.1",
		"127.255.255.254", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1",
		"192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9",
		"224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:8.8.8.8", "::ffff:127.0.0.1",
		"fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1", "2001:db8::1", "2001::1", "2001:2::1",
		"2001:10::1", "2001:2f::1", "3fff::1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
		"2002:7f00:1::1", "2002:0a00:1::1"};
	for (size_t i = 0; i < ARRAY_LEN(inner); i++)
		if (global(inner[i]))
			fail_msg("%s is taken for public", inner[i]);
}

static void
literals_are_told_from_names(void **state)
{
	struct address a;
	assert_true(address_literal("192.0.2.1", 80, &a));
	assert_int_equal(a.any.sa_family, AF_INET);
	assert_int_equal(ntohs(a.v4.sin_port), 80);
	assert_true(address_literal("[2001:db8::1]", 81, &a));
	assert_int_equal(a.any.sa_family, AF_INET6);
	assert_int_equal(ntohs(a.v6.sin6_port), 81);
	static const char *const names[] = {"", "localhost", "api.openai.com", "1.2.3", "1.2.3.4.5", "01.2.3.4",
		"0x7f.1", "[1.2.3.4]", "[::1", "::1]", "[]"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (address_literal(names[i], 1, &a))
			fail_msg("%s is taken for a literal", names[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(public_addresses_may_be_reached),
		cmocka_unit_test(inner_addresses_are_refused),
		cmocka_unit_test(literals_are_told_from_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
