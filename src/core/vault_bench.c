/*
 * What a block costs: alloc, free with its wipe, by size and pattern. Run: meson test --benchmark
 * vault -v
 */
#include "core/vault.h"

#include <stdio.h>
#include <time.h>

enum {
	ROUNDS = 200000,
	HELD = 256,
};

static double
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint32_t
draw(void)
{
	static uint32_t state = 1;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

/* One block comes and goes. */
static double
ping_pong(struct vault *v, size_t bytes)
{
	double start = now_ns();

	for (int i = 0; i < ROUNDS; i++) {
		char *p = vault_alloc(v, bytes);
		p[0] = 1;
		vault_free(v, p, bytes);
	}
	return (now_ns() - start) / ROUNDS;
}

/* Many are held; a random one is replaced. */
static double
churn(struct vault *v, size_t bytes)
{
	static void *held[HELD];
	static unsigned char order[ROUNDS];
	int held_count = bytes > 16384 ? 16 : HELD;

	for (int i = 0; i < ROUNDS; i++)
		order[i] = (unsigned char)(draw() % (unsigned)held_count);
	for (int i = 0; i < held_count; i++)
		held[i] = vault_alloc(v, bytes);
	double start = now_ns();
	for (int i = 0; i < ROUNDS; i++) {
		vault_free(v, held[order[i]], bytes);
		held[order[i]] = vault_alloc(v, bytes);
	}
	double each = (now_ns() - start) / ROUNDS;
	for (int i = 0; i < held_count; i++)
		vault_free(v, held[i], bytes);
	return each;
}

int
main(void)
{
	static const size_t sizes[] = {
		64, 128, 256, 512, 1024, 2048, 4096, 16384, 17000, 65536, 262144};
	enum vault_grade grade = vault_grade_available(VAULT_SEGMENT, NULL);
	struct vault *v = vault_open(grade, VAULT_SEGMENT, 0);

	if (!v || !vault_add_segment(v, vault_segment_create(grade, VAULT_SEGMENT), VAULT_SEGMENT))
		return 1;
	double start = now_ns();
	for (int i = 0; i < 32; i++)
		vault_tend(v, 0);
	printf("grade %d, prefault %.1f us a page\n%8s %12s %12s  ns for alloc + wipe + free\n",
		(int)grade, (now_ns() - start) / 512 / 1e3, "bytes", "one", "churn");
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		(void)ping_pong(v, sizes[i]);
		(void)churn(v, sizes[i]);
		double one = ping_pong(v, sizes[i]), many = churn(v, sizes[i]);
		printf("%8zu %12.1f %12.1f\n", sizes[i], one, many);
	}
	vault_close(&v);
	return 0;
}
