#include "core/vault.h"

#include "core/vault_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	MIB = 1 << 20,
};

static struct vault *
vault_with(enum vault_grade grade, uint64_t budget, uint64_t reserve, size_t first_bytes)
{
	struct vault *v = vault_open(grade, budget, reserve);

	assert_non_null(v);
	assert_true(vault_add_segment(v, -1, first_bytes));
	return v;
}

static struct vault_facts
facts_of(const struct vault *v)
{
	struct vault_facts facts;

	vault_facts(v, &facts);
	return facts;
}

static bool
all_zero(const void *at, size_t bytes)
{
	const char *p = at;

	return bytes == 0 || (p[0] == 0 && memcmp(p, p + 1, bytes - 1) == 0);
}

/* How a child that runs the function ends: its wait status. */
static int
status_of(void (*run)(void *), void *arg)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGSEGV, SIG_DFL); /* cmocka's handler would go on with the tests, in the child */
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		if (null >= 0)
			dup2(null, STDERR_FILENO);
		run(arg);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static bool
ends_by(int status, int signal)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == signal;
}

/* The same sequence in every run (xorshift). */
static uint32_t
draw(void)
{
	static uint32_t state = 20260101;

	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

struct held {
	unsigned char *at;
	size_t bytes;
	unsigned char fill;
};

static size_t
random_size(void)
{
	unsigned shift = (unsigned)(draw() % 21);

	return 1 +
		(size_t)draw() %
		(((size_t)1 << shift) > VAULT_BLOCK_MAX ? VAULT_BLOCK_MAX : (size_t)1 << shift);
}

static void
hold(struct vault *v, struct held *h)
{
	h->bytes = random_size();
	h->at = vault_alloc(v, h->bytes);
	if (!h->at)
		return;
	size_t align = vault_block_bytes(h->bytes);
	assert_int_equal((uintptr_t)h->at % (align > 4096 ? 4096 : align), 0);
	assert_true(all_zero(h->at, h->bytes));
	h->fill = (unsigned char)(1 + draw() % 255);
	memset(h->at, h->fill, h->bytes);
}

static void
let_go(struct vault *v, struct held *h)
{
	for (size_t i = 0; i < h->bytes; i++)
		if (h->at[i] != h->fill)
			fail_msg("block of %zu changed at %zu", h->bytes, i);
	if (draw() % 2)
		vault_free(v, h->at, h->bytes);
	else
		vault_free_dirty(v, h->at, h->bytes, h->bytes);
	h->at = NULL;
}

static uint64_t
shadow_used(const struct held *held, size_t count)
{
	uint64_t used = 0;

	for (size_t i = 0; i < count; i++)
		used += held[i].at ? vault_block_bytes(held[i].bytes) : 0;
	return used;
}

static void
blocks_stay_apart_and_come_zeroed_in_any_order_of_use(void **state)
{
	enum { HELD = 400,
		STEPS = 30000 };
	static struct held held[HELD];
	struct vault *v = vault_with(VAULT_PLAIN, 64 * MIB, 0, VAULT_FIRST_SEGMENT);

	assert_true(vault_add_segment(v, -1, VAULT_SEGMENT));
	assert_true(vault_add_segment(v, -1, 3 * MIB));
	for (int step = 0; step < STEPS; step++) {
		struct held *h = &held[draw() % HELD];

		if (h->at)
			let_go(v, h);
		else
			hold(v, h);
		if (step % 500 == 0) {
			assert_int_equal(facts_of(v).used_bytes, shadow_used(held, HELD));
			vault_tend(v, (uint64_t)step);
		}
	}
	for (size_t i = 0; i < HELD; i++)
		if (held[i].at)
			let_go(v, &held[i]);
	assert_int_equal(facts_of(v).used_bytes, 0);
	assert_true(facts_of(v).peak_bytes > MIB);
	vault_slabs_trim(v);
	for (int i = 0; i < (VAULT_FIRST_SEGMENT + VAULT_SEGMENT + 3 * MIB) / VAULT_BLOCK_MAX; i++)
		assert_non_null(vault_alloc(v, VAULT_BLOCK_MAX)); /* all has grown together again */
	assert_null(vault_alloc(v, 1));
	vault_close(&v);
	assert_null(v);
}

static void
every_size_gets_a_block_of_the_next_power_of_two(void **state)
{
	static const size_t cases[][2] = {
		{1, 64},
		{64, 64},
		{65, 128},
		{2048, 2048},
		{2049, 4096},
		{4097, 8192},
		{MIB - 1, MIB},
		{MIB, MIB},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(vault_block_bytes(cases[i][0]), cases[i][1]);
}

static void
freed_memory_is_zero_in_the_segment_itself(void **state)
{
	static const size_t sizes[] = {
		1, 64, 100, 1000, 2048, 3000, 5000, 17000, 70000, VAULT_BLOCK_MAX};
	void *held[ARRAY_LEN(sizes)];
	int fd = vault_segment_create(VAULT_PLAIN, 4 * MIB);
	assert_true(fd >= 0);
	char *seen = mmap(NULL, 4 * MIB, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(seen, MAP_FAILED);
	struct vault *v = vault_open(VAULT_PLAIN, 4 * MIB, 0);
	assert_true(vault_add_segment(v, fd, 4 * MIB));

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		held[i] = vault_alloc(v, sizes[i]);
		memset(held[i], 0xa5, sizes[i]);
	}
	assert_false(all_zero(seen, 4 * MIB));
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		vault_free(v, held[i], sizes[i]);
	assert_true(all_zero(seen, 4 * MIB));

	char *p = vault_alloc(v, 40000);
	memset(p, 0xa5, 9000);
	vault_free_dirty(v, p, 40000, 9000);
	assert_true(all_zero(seen, 4 * MIB));

	p = vault_alloc(v, 5000);
	memset(p, 0xa5, 5000);
	vault_wipe_all(v);
	assert_true(all_zero(seen, 4 * MIB));
	vault_close(&v);
	munmap(seen, 4 * MIB);
}

static void
closing_the_vault_wipes_what_was_still_held(void **state)
{
	int fd = vault_segment_create(VAULT_PLAIN, 2 * MIB);
	char *seen = mmap(NULL, 2 * MIB, PROT_READ, MAP_SHARED, fd, 0);
	struct vault *v = vault_open(VAULT_PLAIN, 2 * MIB, 0);

	assert_true(vault_add_segment(v, fd, 2 * MIB));
	char *p = vault_alloc(v, 5000);
	memset(p, 0xa5, 5000);
	vault_close(&v);
	assert_true(all_zero(seen, 2 * MIB));
	munmap(seen, 2 * MIB);
}

static void
nobody_can_shrink_a_segment_that_was_handed_over(void **state)
{
	static const enum vault_grade grades[] = {VAULT_PLAIN, VAULT_LOCKED, VAULT_SEALED};

	for (size_t i = 0; i < ARRAY_LEN(grades); i++) {
		int fd = vault_segment_create(grades[i], MIB);

		if (fd < 0 && grades[i] == VAULT_SEALED)
			skip();
		assert_true(fd >= 0);
		assert_int_equal(ftruncate(fd, 4096), -1);
		close(fd);
	}
}

static void
keep_segment(struct vault *v)
{
	int fd = vault_segment_create(VAULT_PLAIN, VAULT_SEGMENT);

	assert_true(fd >= 0);
	assert_true(vault_keep_segment(v, fd, VAULT_SEGMENT));
}

static void
a_vault_asks_for_segments_up_to_its_bound(void **state)
{
	struct vault *v = vault_open(VAULT_PLAIN, VAULT_SEGMENT, VAULT_FIRST_SEGMENT);
	void *held[(VAULT_FIRST_SEGMENT + VAULT_SEGMENT) / VAULT_BLOCK_MAX];
	size_t count = 0;

	assert_int_equal(vault_wants_segment(v), VAULT_FIRST_SEGMENT);
	assert_null(vault_alloc(v, 100));
	assert_true(vault_add_segment(v, -1, VAULT_FIRST_SEGMENT));
	for (; count < VAULT_FIRST_SEGMENT / VAULT_BLOCK_MAX; held[count++] = vault_alloc(v, VAULT_BLOCK_MAX))
		assert_int_equal(vault_wants_segment(v), VAULT_SEGMENT);
	assert_null(vault_alloc(v, 1));
	assert_true(vault_add_segment(v, -1, VAULT_SEGMENT));
	while (count < ARRAY_LEN(held))
		assert_non_null(held[count++] = vault_alloc(v, VAULT_BLOCK_MAX));
	assert_null(vault_alloc(v, 1));
	assert_int_equal(vault_wants_segment(v), 0);
	assert_false(vault_add_segment(v, -1, VAULT_SEGMENT));
	assert_int_equal(errno, ENOSPC);
	while (count > 0)
		vault_free(v, held[--count], VAULT_BLOCK_MAX);
	vault_close(&v);
}

static void
a_spare_segment_is_there_for_who_finds_no_room(void **state)
{
	struct vault *v = vault_with(VAULT_PLAIN, 2 * VAULT_SEGMENT, VAULT_FIRST_SEGMENT, VAULT_FIRST_SEGMENT);

	keep_segment(v);
	assert_int_equal(vault_wants_segment(v), 0);
	assert_int_equal(facts_of(v).segments, 1); /* costs nothing yet */
	assert_int_equal(facts_of(v).ready_bytes, VAULT_FIRST_SEGMENT + VAULT_SEGMENT);
	for (int i = 0; i < (VAULT_FIRST_SEGMENT + VAULT_SEGMENT) / VAULT_BLOCK_MAX; i++)
		assert_non_null(vault_alloc(v, VAULT_BLOCK_MAX)); /* nobody came by to add it */
	assert_null(vault_alloc(v, VAULT_BLOCK_MAX));
	assert_int_equal(facts_of(v).segments, 2);
	assert_int_equal(vault_wants_segment(v), VAULT_SEGMENT);
	keep_segment(v);
	assert_non_null(vault_alloc(v, 1));
	assert_int_equal(vault_wants_segment(v), 0); /* the bound */
	int fd = vault_segment_create(VAULT_PLAIN, VAULT_SEGMENT);
	assert_false(vault_keep_segment(v, fd, VAULT_SEGMENT));
	assert_int_equal(errno, ENOSPC);
	vault_close(&v);
}

static void
a_spare_segment_is_mapped_when_room_is_low(void **state)
{
	struct vault *v = vault_with(VAULT_PLAIN, 64 * MIB, 0, VAULT_FIRST_SEGMENT);

	keep_segment(v);
	vault_make_room(v, false);
	assert_int_equal(facts_of(v).segments, 1);
	assert_true(vault_admit(v, 4 * MIB)); /* before it arrives */
	vault_make_room(v, false);
	assert_int_equal(facts_of(v).segments, 2);
	vault_release(v, 4 * MIB);
	keep_segment(v);
	vault_make_room(v, false);
	assert_int_equal(facts_of(v).segments, 2);
	vault_make_room(v, true); /* who waits needs more than one */
	assert_int_equal(facts_of(v).segments, 3);
	keep_segment(v);
	keep_segment(v); /* two that came: the first is mapped */
	assert_int_equal(facts_of(v).segments, 4);
	vault_close(&v);
}

static void
write_byte(void *at)
{
	*(volatile char *)at = 1;
}

static void
an_empty_segment_is_given_back_after_its_time_but_never_the_first(void **state)
{
	struct vault *v = vault_with(VAULT_PLAIN, 64 * MIB, 0, VAULT_FIRST_SEGMENT);
	void *low = vault_alloc(v, VAULT_FIRST_SEGMENT);

	assert_true(vault_add_segment(v, -1, VAULT_SEGMENT));
	char *high = vault_alloc(v, 100);
	vault_free(v, low, VAULT_FIRST_SEGMENT);
	vault_tend(v, 1000);
	vault_tend(v, 1000 + 2 * VAULT_IDLE_MS);
	assert_int_equal(facts_of(v).segments, 2); /* not empty */
	vault_free(v, high, 100);
	vault_tend(v, 100000);
	vault_tend(v, 100000 + VAULT_IDLE_MS - 1);
	assert_int_equal(facts_of(v).segments, 2);
	vault_tend(v, 100000 + VAULT_IDLE_MS);
	assert_int_equal(facts_of(v).segments, 1);
	assert_int_equal(facts_of(v).mapped_bytes, VAULT_FIRST_SEGMENT);
	assert_true(ends_by(status_of(write_byte, high), SIGSEGV));
	vault_tend(v, 100000 + 9 * VAULT_IDLE_MS);
	assert_int_equal(facts_of(v).segments, 1);

	assert_true(vault_add_segment(v, -1, VAULT_SEGMENT)); /* the slot can be used again */
	for (int i = 0; i < (VAULT_FIRST_SEGMENT + VAULT_SEGMENT) / VAULT_BLOCK_MAX; i++)
		assert_non_null(vault_alloc(v, VAULT_BLOCK_MAX));
	vault_close(&v);
}

static void
a_segment_that_was_used_meanwhile_is_kept(void **state)
{
	struct vault *v = vault_with(VAULT_PLAIN, 64 * MIB, 0, VAULT_FIRST_SEGMENT);

	assert_true(vault_add_segment(v, -1, VAULT_SEGMENT));
	vault_tend(v, 0);
	void *held[3] = {vault_alloc(v, VAULT_BLOCK_MAX), vault_alloc(v, VAULT_BLOCK_MAX),
		vault_alloc(v, VAULT_BLOCK_MAX)};
	for (size_t i = 0; i < ARRAY_LEN(held); i++)
		vault_free(v, held[i], VAULT_BLOCK_MAX);
	vault_tend(v, VAULT_IDLE_MS + 1);
	assert_int_equal(facts_of(v).segments, 2);
	vault_close(&v);
}

static void
tending_makes_free_pages_ready_little_by_little(void **state)
{
	unsigned char in_core[VAULT_FIRST_SEGMENT / 4096];
	struct vault *v = vault_with(VAULT_PLAIN, 2 * MIB, 0, VAULT_FIRST_SEGMENT);
	size_t before = 0;

	for (int call = 0; call < 40; call++) {
		size_t now = 0;

		assert_int_equal(mincore(v->base, sizeof(in_core) * 4096, in_core), 0);
		for (size_t i = 0; i < sizeof(in_core); i++)
			now += in_core[i] & 1;
		assert_true(now >= before && now - before <= 16);
		before = now;
		vault_tend(v, (uint64_t)call);
	}
	assert_int_equal(before, 64);
	assert_true(all_zero(vault_alloc(v, VAULT_BLOCK_MAX), VAULT_BLOCK_MAX));
	vault_close(&v);
}

static void
admission_stops_at_the_budget_and_leaves_the_reserve(void **state)
{
	struct vault *v = vault_with(VAULT_PLAIN, MIB, 8 * MIB, VAULT_FIRST_SEGMENT);

	assert_true(vault_admit(v, MIB - 1));
	assert_false(vault_admit(v, 2));
	assert_false(vault_admit(v, SIZE_MAX));
	assert_true(vault_admit(v, 1));
	assert_false(vault_admit(v, 1));
	assert_non_null(vault_alloc(v, 1000));
	vault_release(v, MIB);
	assert_true(vault_admit(v, MIB));
	assert_int_equal(facts_of(v).budget_bytes, MIB);
	assert_int_equal(facts_of(v).reserve_bytes, 8 * MIB);
	vault_close(&v);
}

static void
free_twice_small(void *v)
{
	char *p = vault_alloc(v, 100), *q = vault_alloc(v, 100);

	vault_free(v, p, 100);
	vault_free(v, p, 100);
	vault_free(v, q, 100);
}

static void
free_twice_large(void *v)
{
	char *p = vault_alloc(v, 10000);

	vault_free(v, p, 10000);
	vault_free(v, p, 10000);
}

static void
free_foreign(void *v)
{
	static char mine[4096];

	vault_free(v, mine, sizeof(mine));
}

static void
free_unmapped_slot(void *v)
{
	vault_free(v, ((struct vault *)v)->base + VAULT_SEGMENT, 100);
}

static void
free_inside_small(void *v)
{
	vault_free(v, (char *)vault_alloc(v, 256) + 64, 256);
}

static void
free_inside_large(void *v)
{
	vault_free(v, (char *)vault_alloc(v, 16384) + 4096, 4096);
}

static void
free_other_size(void *v)
{
	vault_free(v, vault_alloc(v, 300), 100);
}

static void
free_other_order(void *v)
{
	vault_free(v, vault_alloc(v, 30000), 10000);
}

static void
alloc_too_much(void *v)
{
	if (vault_alloc(v, VAULT_BLOCK_MAX + 1))
		_exit(0);
}

static void
release_too_much(void *v)
{
	vault_release(v, 1);
}

static void
misuse_ends_the_process(void **state)
{
	static void (*const cases[])(void *) = {free_twice_small, free_twice_large, free_foreign,
		free_unmapped_slot, free_inside_small, free_inside_large, free_other_size, free_other_order,
		alloc_too_much, release_too_much};
	struct vault *v = vault_with(VAULT_PLAIN, 2 * MIB, 0, VAULT_FIRST_SEGMENT);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (!ends_by(status_of(cases[i], v), SIGABRT))
			fail_msg("misuse %zu was not noticed", i);
	vault_free(v, NULL, 100);
	vault_close(&v);
}

static void
overflow_small(void *v)
{
	((volatile char *)vault_alloc(v, 100))[104] = 1;
}

static void
overflow_large(void *v)
{
	((volatile char *)vault_alloc(v, 17000))[17000] = 1;
}

static void
use_after_free(void *v)
{
	volatile char *p = vault_alloc(v, 100);

	vault_free(v, (char *)p, 100);
	p[0] = 1;
}

static void
unclean_behind_dirty(void *v)
{
	char *p = vault_alloc(v, 1000);

	p[900] = 1;
	vault_free_dirty(v, p, 1000, 900);
}

static void
address_sanitizer_sees_overflow_and_use_after_free(void **state)
{
	static void (*const cases[])(void *) = {
		overflow_small, overflow_large, use_after_free, unclean_behind_dirty};
	struct vault *v = vault_with(VAULT_PLAIN, 2 * MIB, 0, VAULT_FIRST_SEGMENT);

	for (size_t i = 0; i < ARRAY_LEN(cases) && SANITIZED; i++)
		if (status_of(cases[i], v) == 0)
			fail_msg("case %zu was not noticed", i);
	vault_close(&v);
	if (!SANITIZED)
		skip();
}

static void
write_past_the_segment(void *v)
{
	((volatile char *)((struct vault *)v)->base)[VAULT_FIRST_SEGMENT] = 1;
}

static void
behind_a_segment_is_a_hole(void **state)
{
	struct vault *v = vault_with(VAULT_PLAIN, 64 * MIB, 0, VAULT_FIRST_SEGMENT);

	assert_true(ends_by(status_of(write_past_the_segment, v), SIGSEGV));
	vault_close(&v);
}

static void
find_zero_in_child(void *at)
{
	_exit(all_zero(at, 16) ? 7 : 8);
}

static void
a_fork_sees_none_of_a_locked_vault(void **state)
{
	struct vault *v = vault_open(VAULT_LOCKED, 2 * MIB, 0);

	if (!vault_add_segment(v, -1, VAULT_FIRST_SEGMENT)) {
		vault_close(&v);
		skip();
	}
	char *p = vault_alloc(v, 16);
	memset(p, 0xa5, 16);
	assert_int_equal(WEXITSTATUS(status_of(find_zero_in_child, p)), 7);
	vault_close(&v);
}

/* The flags that the kernel keeps of the mapping there, as smaps shows them: "dd": left out of dumps. */
static bool
mapping_has_flag(const void *at, const char *flag)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	char line[512];
	bool inside = false, has = false;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = (uintptr_t)at >= from && (uintptr_t)at < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0)
			has = strstr(line, flag) != NULL;
	}
	fclose(maps);
	return has;
}

static void
no_grade_of_memory_is_in_a_core_dump(void **state)
{
	unsigned tried = 0;

	for (enum vault_grade grade = VAULT_PLAIN; grade <= VAULT_SEALED; grade++)
		for (int handed = 0; handed < 2; handed++) {
			struct vault *v = vault_open(grade, 2 * MIB, 0);
			int fd = handed ? vault_segment_create(grade, MIB) : -1;

			if ((fd >= 0) == handed && vault_add_segment(v, fd, MIB)) {
				if (!mapping_has_flag(vault_alloc(v, 16), " dd"))
					fail_msg("grade %d, descriptor %d", (int)grade, handed);
				tried++;
			}
			vault_close(&v);
		}
	assert_true(tried >= 2);
	assert_false(mapping_has_flag(&tried, " dd"));
}

struct reader {
	pid_t pid;
	char *at;
	char got[16];
};

/* What another process of the same user, or root, gets: errno, 0 when it could read the canary. */
static int
error_of_vm_read(struct reader *r)
{
	struct iovec local = {r->got, sizeof(r->got)}, remote = {r->at, sizeof(r->got)};

	return process_vm_readv(r->pid, &local, 1, &remote, 1, 0) < 0 ? errno : 0;
}

static int
error_of_proc_mem(struct reader *r)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)r->pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	int error = pread(fd, r->got, sizeof(r->got), (off_t)(uintptr_t)r->at) < 0 ? errno : 0;
	close(fd);
	return error;
}

/* A child holds the canary in a vault of that grade until its pipe closes. */
static void
serve_canary(enum vault_grade grade, int told, int hold_open)
{
	struct vault *v = vault_open(grade, 2 * MIB, 0);
	int fd = vault_segment_create(grade, MIB);
	char *p = NULL, end;

	if (v && fd >= 0 && vault_add_segment(v, fd, MIB)) {
		p = vault_alloc(v, 16);
		memcpy(p, "canary-canary-16", 16);
	}
	if (write(told, &p, sizeof(p)) == sizeof(p) && read(hold_open, &end, 1) < 0)
		_exit(1);
	_exit(0);
}

static bool
read_canary_of(enum vault_grade grade, int *ret_vm_error, int *ret_mem_error)
{
	int told[2], hold_open[2];
	struct reader r;

	assert_int_equal(pipe(told) | pipe(hold_open), 0);
	r.pid = fork();
	assert_true(r.pid >= 0);
	if (r.pid == 0) {
		close(hold_open[1]);
		serve_canary(grade, told[1], hold_open[0]);
	}
	assert_int_equal(read(told[0], &r.at, sizeof(r.at)), sizeof(r.at));
	if (r.at) {
		*ret_vm_error = error_of_vm_read(&r);
		assert_true(*ret_vm_error != 0 || memcmp(r.got, "canary-canary-16", 16) == 0);
		*ret_mem_error = error_of_proc_mem(&r);
	}
	close(hold_open[0]);
	close(hold_open[1]);
	close(told[0]);
	close(told[1]);
	waitpid(r.pid, NULL, 0);
	return r.at != NULL;
}

static void
nobody_else_can_read_sealed_memory(void **state)
{
	int vm_error = -1, mem_error = -1;

	/* The control: by the same two ways plain memory is read, or this test proves nothing. */
	assert_true(read_canary_of(VAULT_PLAIN, &vm_error, &mem_error));
	if (vm_error || mem_error)
		skip();
	if (!read_canary_of(VAULT_SEALED, &vm_error, &mem_error))
		skip();
	assert_int_equal(vm_error, EFAULT);
	assert_int_equal(mem_error, EIO);
}

static void
grades_as_nobody(void *small_limit)
{
	struct rlimit limit = {MIB, MIB};
	const char *why = NULL;

	setrlimit(RLIMIT_MEMLOCK, &limit);
	if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
		_exit(9);
	_exit((int)vault_grade_available(*(size_t *)small_limit, &why) | (why ? 16 : 0));
}

static void
the_grade_is_what_this_machine_and_limits_allow(void **state)
{
	size_t within = MIB / 2, beyond = 4 * MIB;
	const char *why = "unset";
	int fd = vault_segment_create(VAULT_SEALED, MIB);

	if (fd < 0)
		skip();
	close(fd);
	assert_int_equal(WEXITSTATUS(status_of(grades_as_nobody, &within)), VAULT_SEALED);
	assert_int_equal(WEXITSTATUS(status_of(grades_as_nobody, &beyond)), VAULT_PLAIN | 16);
	assert_int_equal(vault_grade_available(MIB, &why), VAULT_SEALED);
	assert_null(why);
}

static void
a_bound_that_no_machine_has_is_refused(void **state)
{
	assert_null(vault_open(VAULT_PLAIN, UINT64_MAX, 1));
	assert_null(vault_open(VAULT_PLAIN, 1, UINT64_MAX));
}

static void
a_sealed_vault_takes_no_ordinary_memory(void **state)
{
	struct vault *v = vault_open(VAULT_SEALED, MIB, 0);

	assert_false(vault_add_segment(v, -1, MIB));
	assert_int_equal(facts_of(v).segments, 0);
	vault_close(&v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_stay_apart_and_come_zeroed_in_any_order_of_use),
		cmocka_unit_test(every_size_gets_a_block_of_the_next_power_of_two),
		cmocka_unit_test(freed_memory_is_zero_in_the_segment_itself),
		cmocka_unit_test(closing_the_vault_wipes_what_was_still_held),
		cmocka_unit_test(nobody_can_shrink_a_segment_that_was_handed_over),
		cmocka_unit_test(a_vault_asks_for_segments_up_to_its_bound),
		cmocka_unit_test(a_spare_segment_is_there_for_who_finds_no_room),
		cmocka_unit_test(a_spare_segment_is_mapped_when_room_is_low),
		cmocka_unit_test(an_empty_segment_is_given_back_after_its_time_but_never_the_first),
		cmocka_unit_test(a_segment_that_was_used_meanwhile_is_kept),
		cmocka_unit_test(tending_makes_free_pages_ready_little_by_little),
		cmocka_unit_test(admission_stops_at_the_budget_and_leaves_the_reserve),
		cmocka_unit_test(misuse_ends_the_process),
		cmocka_unit_test(address_sanitizer_sees_overflow_and_use_after_free),
		cmocka_unit_test(behind_a_segment_is_a_hole),
		cmocka_unit_test(a_fork_sees_none_of_a_locked_vault),
		cmocka_unit_test(no_grade_of_memory_is_in_a_core_dump),
		cmocka_unit_test(nobody_else_can_read_sealed_memory),
		cmocka_unit_test(the_grade_is_what_this_machine_and_limits_allow),
		cmocka_unit_test(a_bound_that_no_machine_has_is_refused),
		cmocka_unit_test(a_sealed_vault_takes_no_ordinary_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
