/* The tree of RFC 6962, against its own definition by recursion, and each proof against each alteration of it. */
#include "core/merkle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

enum { MOST = 70 };

static struct merkle_hash leaves[MOST];

static struct merkle_hash
by_definition(uint64_t first, uint64_t count)
{
	if (count == 1)
		return leaves[first];
	uint64_t left = 1;
	while (left * 2 < count)
		left *= 2;
	struct merkle_hash a = by_definition(first, left), b = by_definition(first + left, count - left);
	return merkle_node(&a, &b);
}

static bool
get(void *arg, unsigned level, uint64_t number, struct merkle_hash *ret)
{
	assert_true((number + 1) << level <= *(uint64_t *)arg); /* only what is whole already is asked for */
	*ret = by_definition(number << level, 1ULL << level);
	return true;
}

static void
whole(void *arg, unsigned level, uint64_t number, const struct merkle_hash *h)
{
	struct merkle_hash due = by_definition(number << level, 1ULL << level);
	assert_true(merkle_same(&due, h));
}

static int
set_up(void **state)
{
	assert_true(merkle_ready());
	for (uint8_t i = 0; i < MOST; i++)
		leaves[i] = merkle_leaf((uint8_t[]){9, i}, 2);
	return 0;
}

static void
hashes_are_those_of_the_rfc(void **state)
{
	/* RFC 6962 2.1: of the empty tree, of an empty leaf */
	static const uint8_t empty[] = {0xe3, 0xb0, 0xc4, 0x42}, leaf[] = {0x6e, 0x34, 0x0b, 0x9c};
	struct merkle_hash a = merkle_root(&(struct merkle_edge){0}), b = merkle_leaf((uint8_t[]){7}, 1);
	assert_memory_equal(a.at, empty, sizeof empty);
	assert_memory_equal(b.at, leaf, sizeof leaf);
}

static void
a_tree_that_grows_is_the_tree(void **state)
{
	struct merkle_edge e = {0};
	for (uint64_t i = 0; i < MOST; i++) {
		merkle_push(&e, &leaves[i], whole, NULL);
		struct merkle_hash root = merkle_root(&e), due = by_definition(0, i + 1);
		assert_true(merkle_same(&root, &due));
	}
}

static void
is_refused_when_altered(const struct merkle_hash *leaf, uint64_t number, uint64_t size, const struct merkle_proof *p, const struct merkle_hash *root)
{
	for (unsigned i = 0; i < p->count; i++) {
		struct merkle_proof bad = *p;
		bad.hash[i].at[i % MERKLE_BYTES] ^= 1;
		assert_false(merkle_leaf_holds(leaf, number, size, &bad, root));
	}
	struct merkle_proof longer = *p, shorter = *p;
	longer.hash[longer.count++] = *leaf;
	assert_false(merkle_leaf_holds(leaf, number, size, &longer, root));
	if (p->count > 0) {
		shorter.count--;
		assert_false(merkle_leaf_holds(leaf, number, size, &shorter, root));
	}
	assert_false(merkle_leaf_holds(&leaves[(number + 1) % MOST], number, size, p, root));
	assert_false(merkle_leaf_holds(leaf, size, size, p, root));
}

static void
each_leaf_is_proved(void **state)
{
	for (uint64_t size = 1; size <= MOST; size++)
		for (uint64_t i = 0; i < size; i++) {
			struct merkle_proof p;
			struct merkle_hash root = by_definition(0, size);
			assert_true(merkle_prove_leaf(i, size, get, &size, &p));
			assert_true(merkle_leaf_holds(&leaves[i], i, size, &p, &root));
			is_refused_when_altered(&leaves[i], i, size, &p, &root);
		}
}

static void
each_growth_is_proved(void **state)
{
	for (uint64_t to = 1; to <= MOST; to++)
		for (uint64_t from = 1; from <= to; from++) {
			struct merkle_proof p;
			struct merkle_head a = {from, by_definition(0, from)}, b = {to, by_definition(0, to)};
			assert_true(merkle_prove_growth(from, to, get, &to, &p));
			assert_true(merkle_growth_holds(&a, &b, &p));
			for (unsigned i = 0; i < p.count; i++) {
				struct merkle_proof bad = p;
				bad.hash[i].at[0] ^= 1;
				assert_false(merkle_growth_holds(&a, &b, &bad));
			}
			a.root.at[5] ^= 1;
			assert_false(merkle_growth_holds(&a, &b, &p));
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_are_those_of_the_rfc),
		cmocka_unit_test(a_tree_that_grows_is_the_tree),
		cmocka_unit_test(each_leaf_is_proved),
		cmocka_unit_test(each_growth_is_proved),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
