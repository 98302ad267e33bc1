#include "core/vault_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if SANITIZED
#include <sanitizer/lsan_interface.h>
#endif

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x8U
#endif

enum {
	PREFAULT_PAGES = 16, /* a call of vault_tend: 0.4 ms when the memory is secret */
	READY_MIN_BYTES = 256 << 10, /* free memory that is kept ready, */
	READY_MAX_BYTES = 4 << 20, /* an eighth of what is mapped within these bounds */
	LOW_MIN_BYTES = 512 << 10, /* less free memory than a quarter of what is mapped, within these bounds, and the spare segment is mapped */
	LOW_MAX_BYTES = 2 * VAULT_SEGMENT
};

static uint64_t
bounded(uint64_t value, uint64_t min, uint64_t max)
{
	if (value < min)
		return min;
	return value > max ? max : value;
}

static int
memfd_new(void)
{
	int fd = memfd_create("vault", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* Linux before 6.3 */
		fd = memfd_create("vault", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
}

/*
 * Nobody who holds the descriptor may cut memory off under the edge's feet. A secret file can't
 * change its size anyway.
 */
static bool
fix_size(int fd, enum vault_grade grade, size_t bytes)
{
	if (ftruncate(fd, (off_t)bytes) < 0)
		return false;
	return grade == VAULT_SEALED ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
}

int
vault_segment_create(enum vault_grade grade, size_t bytes)
{
	int fd = grade == VAULT_SEALED ? (int)syscall(SYS_memfd_secret, O_CLOEXEC) : memfd_new();

	if (fd >= 0 && !fix_size(fd, grade, bytes)) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static bool
can_seal(size_t bytes)
{
	int fd = vault_segment_create(VAULT_SEALED, bytes);

	if (fd < 0)
		return false;
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	int error = errno;
	close(fd);
	if (at != MAP_FAILED)
		munmap(at, bytes);
	errno = error;
	return at != MAP_FAILED;
}

bool
vault_can_lock(size_t bytes)
{
	void *at = mmap(
		NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return false;
	bool locked = mlock2(at, bytes, MLOCK_ONFAULT) == 0;
	munmap(at, bytes);
	return locked;
}

static const char *
why_not_sealed(int error)
{
	switch (error) {
	case ENOSYS:
		return "memfd_secret: the kernel does not have it "
			   "(5.14, and before 6.5 the boot option secretmem.enable=1)";
	case EPERM:
	case EACCES:
		return "memfd_secret: forbidden by the container's system call filter";
	case EAGAIN:
		return "RLIMIT_MEMLOCK: smaller than the vault "
			   "(LimitMEMLOCK= in the unit file, or CAP_IPC_LOCK)";
	default:
		return "memfd_secret: no memory for it";
	}
}

enum vault_grade
vault_grade_available(size_t bytes, const char **ret_why)
{
	const char *why = NULL;
	enum vault_grade grade = VAULT_SEALED;

	if (BARE) {
		why = "this build is for measuring";
		grade = VAULT_PLAIN;
	} else if (!can_seal(bytes)) {
		why = why_not_sealed(errno);
		grade = VAULT_LOCKED;
		if (!vault_can_lock(bytes)) {
			why = why_not_sealed(EAGAIN);
			grade = VAULT_PLAIN;
		}
	}
	if (ret_why)
		*ret_why = why;
	return grade;
}

static void *
ordinary_memory(size_t bytes)
{
	void *at = mmap(
		NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

/*
 * Addresses without memory: what touches a slot that has no segment, or the hole behind one, ends
 * the process.
 */
static bool
reserve_addresses(void *at, size_t bytes, char **ret)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED : 0);
	void *got = mmap(at, bytes, PROT_NONE, flags, -1, 0);

	if (got == MAP_FAILED)
		return false;
	*ret = got;
	return true;
}

static size_t
vault_struct_bytes(size_t slots)
{
	return sizeof(struct vault) + slots * sizeof(struct segment);
}

/* The first segment is small; the rest of the bound is rounded up to whole segments. */
static size_t
slots_for(uint64_t bytes)
{
	if (bytes <= VAULT_FIRST_SEGMENT)
		return 1;
	return 1 + (bytes - VAULT_FIRST_SEGMENT + VAULT_SEGMENT - 1) / VAULT_SEGMENT;
}

struct vault *
vault_open(enum vault_grade grade, uint64_t budget_bytes, uint64_t reserve_bytes)
{
	uint64_t max = (uint64_t)(SLOTS_MAX - 1) * VAULT_SEGMENT;

	if (budget_bytes > max || reserve_bytes > max - budget_bytes) {
		errno = EINVAL;
		return NULL;
	}
	size_t slots = slots_for(budget_bytes + reserve_bytes);
	struct vault *v = ordinary_memory(vault_struct_bytes(slots));
	if (!v)
		return NULL;
	v->grade = grade;
	v->budget_bytes = budget_bytes;
	v->reserve_bytes = reserve_bytes;
	v->slots = slots;
	for (unsigned kind = 0; kind < SLAB_CLASSES; kind++)
		v->slabs[kind].prev = v->slabs[kind].next = &v->slabs[kind];
	v->pages = ordinary_memory(slots * SLOT_PAGES * sizeof(struct page));
	if (!v->pages || !reserve_addresses(NULL, slots << SLOT_SHIFT, &v->base))
		vault_close(&v);
	return v;
}

void
vault_close(struct vault **ret_v)
{
	struct vault *v = *ret_v;

	if (!v)
		return;
	*ret_v = NULL;
	if (v->spare_bytes)
		close(v->spare_fd);
	if (v->base) {
		vault_wipe_all(v);
		munmap(v->base, v->slots << SLOT_SHIFT);
	}
	if (v->pages)
		munmap(v->pages, v->slots * SLOT_PAGES * sizeof(struct page));
	munmap(v, vault_struct_bytes(v->slots));
}

/*
 * Advice that the kernel may be too old for, or refuses for secret memory, which is never dumped
 * anyway.
 */
static void
keep_private(void *at, size_t bytes, bool anonymous)
{
	int error = errno;

	(void)madvise(at, bytes, MADV_DONTDUMP);
	(void)madvise(at, bytes, anonymous ? MADV_WIPEONFORK : MADV_DONTFORK);
	errno = error;
}

/* Locked on touch only: to lock at once would bring all of its pages in before the call returns. */
static bool
map_segment(const struct vault *v, char *at, int fd, size_t bytes)
{
	int flags = MAP_FIXED | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);

	if (fd < 0 && v->grade == VAULT_SEALED) {
		errno = EBADF;
		return false;
	}
	if (mmap(at, bytes, PROT_READ | PROT_WRITE, flags, fd, 0) == MAP_FAILED)
		return false;
	keep_private(at, bytes, fd < 0);
	return v->grade != VAULT_LOCKED || mlock2(at, bytes, MLOCK_ONFAULT) == 0;
}

static size_t
free_slot(const struct vault *v)
{
	size_t slot = 0;

	while (slot < v->slots && v->segments[slot].pages)
		slot++;
	return slot;
}

bool
vault_add_segment(struct vault *v, int fd, size_t bytes)
{
	size_t slot = free_slot(v);
	bool mapped = false;

	assert(bytes > 0 && bytes <= VAULT_SEGMENT && bytes % VAULT_BLOCK_MAX == 0);
	if (slot == v->slots)
		errno = ENOSPC;
	else
		mapped = map_segment(v, vault_slot_at(v, slot), fd, bytes);
	int error = errno;
	if (fd >= 0)
		close(fd);
	if (mapped) {
		vault_pages_add(v, slot, bytes >> PAGE_SHIFT);
		v->segment_count++;
		v->mapped_bytes += bytes;
		vault_poison(vault_slot_at(v, slot), bytes);
#if SANITIZED
		__lsan_register_root_region(vault_slot_at(v, slot), bytes);
#endif
	} else if (slot < v->slots) {
		char *at;
		bool unmapped = reserve_addresses(vault_slot_at(v, slot), VAULT_SEGMENT, &at);

		assert(unmapped);
	}
	errno = error;
	return mapped;
}

bool
vault_add_spare(struct vault *v)
{
	size_t bytes = v->spare_bytes;

	v->spare_bytes = 0;
	return bytes && vault_add_segment(v, v->spare_fd, bytes);
}

bool
vault_keep_segment(struct vault *v, int fd, size_t bytes)
{
	if (v->segment_count == 0)
		return vault_add_segment(v, fd, bytes);
	(void)!vault_add_spare(v);
	if (v->segment_count == v->slots) {
		close(fd);
		errno = ENOSPC;
		return false;
	}
	v->spare_fd = fd;
	v->spare_bytes = bytes;
	return true;
}

static uint64_t
low_bytes(uint64_t mapped_bytes)
{
	return bounded(mapped_bytes / 4, LOW_MIN_BYTES, LOW_MAX_BYTES);
}

static uint64_t
needed_bytes(const struct vault *v)
{
	return v->used_bytes > v->admitted_bytes ? v->used_bytes : v->admitted_bytes;
}

size_t
vault_wants_segment(const struct vault *v)
{
	if (v->segment_count == 0)
		return VAULT_FIRST_SEGMENT;
	return v->spare_bytes || v->segment_count == v->slots ? 0 : VAULT_SEGMENT;
}

void
vault_make_room(struct vault *v, bool is_short)
{
	if (is_short || v->mapped_bytes < needed_bytes(v) + low_bytes(v->mapped_bytes))
		(void)!vault_add_spare(v);
}

static void
give_back(struct vault *v, size_t slot)
{
	struct segment *s = &v->segments[slot];
	size_t bytes = s->pages << PAGE_SHIFT;
	char *at = vault_slot_at(v, slot);

	vault_pages_remove(v, slot);
	v->segment_count--;
	v->mapped_bytes -= bytes;
	vault_unpoison(at, bytes);
#if SANITIZED
	__lsan_unregister_root_region(at, bytes);
#endif
	bool unmapped = reserve_addresses(at, bytes, &at);
	assert(unmapped);
	(void)madvise(&v->pages[slot * SLOT_PAGES], SLOT_PAGES * sizeof(struct page), MADV_DONTNEED);
}

/*
 * Without this segment there must be more room than the bound below which one is asked for, or it
 * would come and go.
 */
static bool
can_do_without(const struct vault *v, const struct segment *s)
{
	uint64_t rest = v->mapped_bytes - (s->pages << PAGE_SHIFT), low = low_bytes(rest);

	return rest >= needed_bytes(v) + low + low / 8;
}

bool
vault_is_spread(const struct vault *v, uint64_t idle_bytes)
{
	uint64_t used = v->used_bytes > idle_bytes ? v->used_bytes - idle_bytes : 0, needed = used > v->admitted_bytes ? used : v->admitted_bytes;

	return v->segment_count > 1 && VAULT_FIRST_SEGMENT >= needed + LOW_MIN_BYTES + LOW_MIN_BYTES / 8;
}

static void
tend_segment(struct vault *v, size_t slot, uint64_t now_ms)
{
	struct segment *s = &v->segments[slot];

	if (!s->pages || s->pages_used)
		return;
	if (!s->idle) {
		s->idle = true;
		s->idle_since_ms = now_ms;
	} else if (now_ms - s->idle_since_ms >= VAULT_IDLE_MS && can_do_without(v, s)) {
		give_back(v, slot);
	}
}

static size_t
ready_pages(const struct vault *v)
{
	size_t ready = 0;

	for (size_t slot = 0; slot < v->slots; slot++)
		for (size_t word = 0; word < v->segments[slot].pages / 64; word++) {
			const struct segment *s = &v->segments[slot];

			ready += (size_t)__builtin_popcountl(s->touched[word] & ~s->busy[word]);
		}
	return ready;
}

/*
 * MADV_POPULATE_WRITE is refused for secret memory. A free page is zero, so writing a zero changes
 * nothing.
 */
__attribute__((no_sanitize("address"))) static void
touch(char *page)
{
	*(volatile char *)page = 0;
}

static size_t
prefault_segment(struct vault *v, size_t slot, size_t most)
{
	struct segment *s = &v->segments[slot];
	size_t done = 0;

	for (size_t word = 0; word < s->pages / 64; word++) {
		uint64_t cold = ~(s->touched[word] | s->busy[word]);

		for (; cold && done < most; cold &= cold - 1, done++) {
			size_t page = word << 6 | (size_t)__builtin_ctzl(cold);

			touch(vault_slot_at(v, slot) + (page << PAGE_SHIFT));
			s->touched[word] |= cold & -cold;
		}
	}
	return done;
}

static void
prefault(struct vault *v)
{
	size_t target = bounded(v->mapped_bytes / 8, READY_MIN_BYTES, READY_MAX_BYTES) >> PAGE_SHIFT;
	size_t ready = ready_pages(v);

	if (ready >= target)
		return;
	size_t most = bounded(target - ready, 0, PREFAULT_PAGES);
	for (size_t slot = 0; slot < v->slots && most > 0; slot++)
		most -= prefault_segment(v, slot, most);
}

void
vault_tend(struct vault *v, uint64_t now_ms)
{
	vault_slabs_trim(v);
	for (size_t slot = 1; slot < v->slots; slot++)
		tend_segment(v, slot, now_ms);
	prefault(v);
}

void
vault_wipe_all(struct vault *v)
{
	for (size_t slot = 0; slot < v->slots; slot++) {
		const struct segment *s = &v->segments[slot];

		vault_unpoison(vault_slot_at(v, slot), s->pages << PAGE_SHIFT);
		for (size_t page = 0; page < s->pages; page++)
			if (s->touched[page >> 6] >> (page & 63) & 1)
				vault_wipe(vault_slot_at(v, slot) + (page << PAGE_SHIFT), PAGE_BYTES);
	}
}
