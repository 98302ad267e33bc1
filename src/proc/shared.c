#include "proc/shared.h"

#include "core/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A memfd of fixed size. map: where it is mapped read-write, or NULL when the caller does not want it. */
static int
segment(const char *name, size_t bytes, void **ret_map)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -1;
	if (ftruncate(fd, (off_t)bytes) != 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) != 0)
		goto out;
	*ret_map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*ret_map != MAP_FAILED)
		return fd;
out:
	close(fd);
	return -1;
}

/* Another descriptor of the same memory through which nothing can be written. */
static int
read_only(int fd)
{
	char path[40];
	struct text t = text_on(path, sizeof path - 1);
	text_lit(&t, "/proc/self/fd/");
	text_u64(&t, (uint64_t)fd);
	path[t.len] = '\0';
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int
sealed_copy(const char *name, const void *bytes, size_t len)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -1;
	size_t done = 0;
	while (done < len) {
		ssize_t n = write(fd, (const char *)bytes + done, len - done);
		if (n <= 0)
			goto out;
		done += (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
		return fd;
out:
	close(fd);
	return -1;
}

static bool
create_board(struct shared *s, const struct board_size *size)
{
	void *map;
	size_t bytes = board_bytes(size);
	s->board_fd = segment("lethe-board", bytes, &map);
	if (s->board_fd < 0)
		return false;
	board_format(map, size);
	s->board = board_attach(map, bytes);
	return s->board != NULL;
}

static bool
create_keys(struct shared *s)
{
	void *map;
	s->keys_fd = segment("lethe-keys", key_table_bytes(), &map);
	if (s->keys_fd < 0)
		return false;
	key_table_format(map);
	munmap(map, key_table_bytes()); /* the supervisor has no use for it */
	s->keys_read_fd = read_only(s->keys_fd);
	return s->keys_read_fd >= 0;
}

enum { PROCESSES_PAGES = (sizeof(struct process_counters) + COUNTERS_STRIDE - 1) / COUNTERS_STRIDE };

/* Counters alone: what an older build had. */
static size_t
circuits_at(uint32_t edges)
{
	return (edges + PROCESSES_PAGES) * COUNTERS_STRIDE;
}

static size_t
counters_bytes(uint32_t edges)
{
	_Static_assert(sizeof(struct circuits) % COUNTERS_STRIDE == 0, "whole pages");
	return circuits_at(edges) + sizeof(struct circuits);
}

static bool
create_counters(struct shared *s, uint32_t edges)
{
	void *map;
	s->counters_fd = segment("lethe-counters", counters_bytes(edges), &map);
	if (s->counters_fd < 0)
		return false;
	s->counters = map;
	s->counters_read_fd = read_only(s->counters_fd);
	return s->counters_read_fd >= 0;
}

/* What the catalogue says of its targets is the children's to check; a block that is none has no room to be counted. */
static bool
create_tally(struct shared_catalogue *s, const void *catalogue, size_t catalogue_bytes)
{
	void *map;
	const struct catalogue *c = catalogue;
	uint32_t targets = catalogue_bytes >= sizeof *c ? c->target_count : 0;
	s->tally_bytes = tally_bytes(targets);
	s->tally_fd = segment("lethe-tally", s->tally_bytes, &map);
	if (s->tally_fd < 0)
		return false;
	tally_format(map, targets);
	munmap(map, s->tally_bytes); /* the supervisor has no use for it */
	s->tally_read_fd = read_only(s->tally_fd);
	return s->tally_read_fd >= 0;
}

bool
shared_create(struct shared *s, const struct board_size *size, const char **ret_why)
{
	*ret_why = "the board";
	if (!create_board(s, size))
		return false;
	*ret_why = "the key table";
	if (!create_keys(s))
		return false;
	*ret_why = "the counters";
	return create_counters(s, size->edges);
}

/* Read and write; the descriptor stays the caller's. */
static void *
map_again(int fd, size_t *ret_bytes)
{
	struct stat st;
	if (fstat(fd, &st) != 0 || st.st_size <= 0)
		return NULL;
	*ret_bytes = (size_t)st.st_size;
	void *map = mmap(NULL, *ret_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return map == MAP_FAILED ? NULL : map;
}

bool
shared_adopt(struct shared *s)
{
	size_t bytes = 0, counted = 0;
	struct board_size size;
	void *map = map_again(s->board_fd, &bytes);
	s->board = map ? board_attach(map, bytes) : NULL;
	s->counters = map_again(s->counters_fd, &counted);
	if (!s->board || !s->counters)
		return false;
	board_size_of(s->board, &size);
	return counted == counters_bytes(size.edges) || counted == circuits_at(size.edges);
}

bool
shared_create_catalogue(struct shared_catalogue *c, const void *catalogue, size_t catalogue_bytes)
{
	*c = (struct shared_catalogue){-1, -1, -1, catalogue_bytes, 0};
	if (create_tally(c, catalogue, catalogue_bytes)) {
		c->catalogue_fd = sealed_copy("lethe-catalogue", catalogue, catalogue_bytes);
		if (c->catalogue_fd >= 0)
			return true;
	}
	int error = errno;
	shared_close_catalogue(c);
	errno = error;
	return false;
}

void
shared_close_catalogue(struct shared_catalogue *c)
{
	int *const fds[] = {&c->catalogue_fd, &c->tally_fd, &c->tally_read_fd};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

struct counters *
shared_counters(const struct shared *s, uint32_t edge)
{
	return (void *)((char *)s->counters + (size_t)edge * COUNTERS_STRIDE);
}

struct process_counters *
shared_processes(const struct shared *s, uint32_t edges)
{
	return (void *)((char *)s->counters + (size_t)edges * COUNTERS_STRIDE);
}

const struct circuits *
shared_circuits(const struct shared *s, uint32_t edges)
{
	struct stat st;
	if (fstat(s->counters_fd, &st) != 0 || (size_t)st.st_size != counters_bytes(edges))
		return NULL;
	return (const void *)((const char *)s->counters + circuits_at(edges));
}

/* ---- children ---- */

static void *
map_all(int fd, int protection, size_t *ret_bytes)
{
	struct stat st;
	void *map = MAP_FAILED;
	if (fstat(fd, &st) == 0 && st.st_size > 0)
		map = mmap(NULL, (size_t)st.st_size, protection, MAP_SHARED, fd, 0);
	close(fd);
	*ret_bytes = map == MAP_FAILED ? 0 : (size_t)st.st_size;
	return map == MAP_FAILED ? NULL : map;
}

struct board *
shared_map_board(int fd)
{
	size_t bytes;
	void *map = map_all(fd, PROT_READ | PROT_WRITE, &bytes);
	return map ? board_attach(map, bytes) : NULL;
}

struct key_table *
shared_map_keys(int fd, bool write)
{
	size_t bytes;
	void *map = map_all(fd, write ? PROT_READ | PROT_WRITE : PROT_READ, &bytes);
	return map ? key_table_attach(map, bytes) : NULL;
}

const struct catalogue *
shared_map_catalogue(int fd)
{
	size_t bytes;
	void *map = map_all(fd, PROT_READ, &bytes);
	return map ? catalogue_attach(map, bytes) : NULL;
}

struct counters *
shared_map_counters(int fd, uint32_t edge)
{
	void *map =
		mmap(NULL, COUNTERS_STRIDE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)edge * COUNTERS_STRIDE);
	close(fd);
	return map == MAP_FAILED ? NULL : map;
}

const void *
shared_map_all_counters(int fd, uint32_t edges, const struct circuits **ret_circuits)
{
	size_t bytes;
	void *map = map_all(fd, PROT_READ, &bytes);
	*ret_circuits = map && bytes == counters_bytes(edges) ? (const void *)((char *)map + circuits_at(edges)) : NULL;
	return bytes == counters_bytes(edges) || bytes == circuits_at(edges) ? map : NULL;
}

const struct process_counters *
shared_map_processes(int fd, uint32_t edges)
{
	void *map = mmap(NULL, PROCESSES_PAGES * COUNTERS_STRIDE, PROT_READ, MAP_SHARED, fd, (off_t)edges * COUNTERS_STRIDE);
	close(fd);
	return map == MAP_FAILED ? NULL : map;
}

struct circuits *
shared_map_circuits(int fd, uint32_t edges)
{
	struct stat st;
	if (fstat(fd, &st) != 0 || (size_t)st.st_size != counters_bytes(edges))
		return NULL;
	void *map = mmap(NULL, sizeof(struct circuits), PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)circuits_at(edges));
	return map == MAP_FAILED ? NULL : map;
}

struct tally *
shared_map_tally(int fd, const struct catalogue *c, bool write)
{
	size_t bytes;
	void *map = map_all(fd, write ? PROT_READ | PROT_WRITE : PROT_READ, &bytes);
	return map ? tally_attach(map, bytes, c) : NULL;
}

static void *
map_sized(int fd, size_t bytes, int protection)
{
	void *map = mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);
	close(fd);
	return map == MAP_FAILED ? NULL : map;
}

bool
shared_map_pair(const int fds[2], const size_t bytes[2], bool write, const struct catalogue **ret_catalogue, struct tally **ret_tally)
{
	void *c = map_sized(fds[0], bytes[0], PROT_READ), *t = map_sized(fds[1], bytes[1], write ? PROT_READ | PROT_WRITE : PROT_READ);
	const struct catalogue *catalogue = c ? catalogue_attach(c, bytes[0]) : NULL;
	struct tally *tally = catalogue && t ? tally_attach(t, bytes[1], catalogue) : NULL;
	if (tally) {
		*ret_catalogue = catalogue;
		*ret_tally = tally;
		return true;
	}
	if (c)
		munmap(c, bytes[0]);
	if (t)
		munmap(t, bytes[1]);
	return false;
}

void
shared_unmap_pair(const struct catalogue *c, struct tally **t)
{
	size_t bytes;
	void *memory = tally_memory(*t, &bytes);
	tally_detach(t);
	munmap(memory, bytes);
	munmap((void *)c, c->bytes);
}
