#include "prove/places.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PIECE = 4 << 20,
	SMALL_FILE_MAX = 64 << 10 };

/* ---- files ---- */

/* A part that is there; what was never written is a hole, and reading it would fill it. */
static void
search_part(struct search *s, int fd, off_t from, off_t to, struct place *p, const char *where)
{
	off_t begin = from & ~((off_t)sysconf(_SC_PAGESIZE) - 1);
	void *at = mmap(NULL, (size_t)(to - begin), PROT_READ, MAP_PRIVATE, fd, begin);
	if (at == MAP_FAILED) {
		p->closed++;
		return;
	}
	search_bytes(s, at, (size_t)(to - begin), where);
	p->searched_bytes += (uint64_t)(to - begin);
	munmap(at, (size_t)(to - begin));
}

static void
search_open_file(struct search *s, int fd, const struct stat *st, struct place *p, const char *where)
{
	off_t end = st->st_size < PLACE_FILE_MAX ? st->st_size : PLACE_FILE_MAX;
	for (off_t from = 0, to; from < end; from = to) {
		off_t data = lseek(fd, from, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return;
		from = data < 0 ? from : data;
		to = lseek(fd, from, SEEK_HOLE);
		if (to <= from || to > end)
			to = end;
		if (from < to)
			search_part(s, fd, from, to, p, where);
	}
}

void
place_one_file(struct search *s, const char *path, struct place *p)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	p->things++;
	if (fd < 0) {
		p->closed++;
		return;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		search_open_file(s, fd, &st, p, path);
	close(fd);
}

static bool
is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

enum { DEPTH_MAX = 40 };

static void
search_folder(struct search *s, const char *path, time_t since, struct place *p, int depth)
{
	char below[PATH_MAX];
	struct dirent *entry;
	struct stat st;
	DIR *dir = depth < DEPTH_MAX ? opendir(path) : NULL;
	if (!dir) {
		p->closed++;
		return;
	}
	while ((entry = readdir(dir))) {
		if (is_dots(entry->d_name) || (size_t)snprintf(below, sizeof below, "%s/%s", path, entry->d_name) >= sizeof below || lstat(below, &st) != 0)
			continue;
		search_bytes(s, entry->d_name, strlen(entry->d_name), path);
		if (S_ISDIR(st.st_mode))
			search_folder(s, below, since, p, depth + 1);
		else if (S_ISREG(st.st_mode) && st.st_mtime >= since)
			place_one_file(s, below, p);
	}
	closedir(dir);
}

void
place_folder(struct search *s, const char *path, time_t since, struct place *p)
{
	search_folder(s, path, since, p, 0);
}

/* ---- memory ---- */

static uint64_t
page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

struct memory {
	struct search *search;
	struct place *place;
	pid_t pid;
	int fd, pagemap;
	char *buffer; /* PIECE + SEARCH_OVERLAP */
};

/* By the file, else by the call: what the kernel refuses both ways it refuses to everybody, root included. */
static ssize_t
read_memory(const struct memory *m, uint64_t at, size_t want)
{
	ssize_t got = pread(m->fd, m->buffer, want, (off_t)at);
	if (got > 0)
		return got;
	struct iovec here = {m->buffer, want}, there = {(void *)(uintptr_t)at, want};
	return process_vm_readv(m->pid, &here, 1, &there, 1, 0);
}

/* A run of pages that are there. */
static void
search_run(const struct memory *m, uint64_t from, uint64_t to, const char *where)
{
	for (uint64_t at = from; at < to; at += PIECE) {
		size_t want = to - at < PIECE + SEARCH_OVERLAP ? (size_t)(to - at) : PIECE + SEARCH_OVERLAP;
		ssize_t got = read_memory(m, at, want);
		if (got <= 0) {
			m->place->sealed_bytes += want;
			continue;
		}
		search_bytes(m->search, m->buffer, (size_t)got, where);
		m->place->searched_bytes += (uint64_t)got;
		if ((size_t)got < want)
			m->place->sealed_bytes += want - (size_t)got;
	}
	explicit_bzero(m->buffer, PIECE + SEARCH_OVERLAP);
}

enum { PAGES_AT_ONCE = 512 };

/* What pages are: a bit each for "in memory" and "in swap" at the top. Of those that can't be asked about everything is tried. */
static void
read_pages(int pagemap, uint64_t first, size_t count, uint64_t ret[PAGES_AT_ONCE])
{
	ssize_t got = pread(pagemap, ret, count * sizeof *ret, (off_t)(first * sizeof *ret));
	for (size_t n = got > 0 ? (size_t)got / sizeof *ret : 0; n < count; n++)
		ret[n] = UINT64_MAX;
}

/* Not there at all, neither in memory nor in swap: it was never touched and holds nothing. */
static bool
is_absent(uint64_t entry)
{
	return entry >> 62 == 0;
}

static void
search_mapping(const struct memory *m, uint64_t from, uint64_t to, const char *where)
{
	uint64_t page = page_bytes(), begun = 0, entries[PAGES_AT_ONCE];
	for (uint64_t at = from; at < to; at += page) {
		size_t n = (size_t)((at - from) / page) % PAGES_AT_ONCE;
		if (n == 0)
			read_pages(m->pagemap, at / page, (to - at) / page < PAGES_AT_ONCE ? (size_t)((to - at) / page) : PAGES_AT_ONCE, entries);
		bool absent = is_absent(entries[n]);
		if (!absent && !begun)
			begun = at;
		if (absent && begun) {
			search_run(m, begun, at, where);
			begun = 0;
		}
	}
	if (begun)
		search_run(m, begun, to, where);
}

/* A slot of a vault without a segment is terabytes of nothing: mappings that nobody may read are passed over, they have no pages. */
static void
search_mappings(const struct memory *m, FILE *maps, pid_t pid, const char *name)
{
	char *line = NULL, where[SEARCH_WHERE_MAX];
	size_t cap = 0;
	while (getline(&line, &cap, maps) > 0) {
		unsigned long long from, to;
		char may[5];
		int path = 0;
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%llx-%llx %4s %*s %*s %*s %n", &from, &to, may, &path) < 3 || may[0] != 'r')
			continue;
		if (path == 0 || strncmp(line + path, "[v", 2) == 0)
			path = (int)strlen(line);
		if (strstr(line, "[vvar") || strstr(line, "[vsyscall"))
			continue;
		snprintf(where, sizeof where, "memory of %s (%ld), %.120s", name, (long)pid, line[path] ? line + path : "anonymous");
		search_mapping(m, from, to, where);
	}
	free(line);
}

static FILE *
open_maps(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%ld/maps", (long)pid);
	return fopen(path, "re");
}

static int
open_of(pid_t pid, const char *file, int flags)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, file);
	return open(path, flags | O_CLOEXEC);
}

static bool
search_memory(struct search *s, pid_t pid, const char *name, struct place *p)
{
	struct memory m = {s, p, pid, open_of(pid, "mem", O_RDONLY), open_of(pid, "pagemap", O_RDONLY), malloc(PIECE + SEARCH_OVERLAP)};
	FILE *maps = open_maps(pid);
	bool open = m.fd >= 0 && m.pagemap >= 0 && maps && m.buffer;
	if (open)
		search_mappings(&m, maps, pid, name);
	if (maps)
		fclose(maps);
	if (m.fd >= 0)
		close(m.fd);
	if (m.pagemap >= 0)
		close(m.pagemap);
	free(m.buffer);
	return open;
}

/* What it says of itself to everybody. */
static void
search_words(struct search *s, pid_t pid, const char *name, struct place *p)
{
	static const char *const files[] = {"cmdline", "environ", "comm", "status", "stat", "wchan"};
	char *text = malloc(SMALL_FILE_MAX), where[SEARCH_WHERE_MAX];
	for (size_t i = 0; text && i < ARRAY_LEN(files); i++) {
		int fd = open_of(pid, files[i], O_RDONLY);
		ssize_t n = fd < 0 ? -1 : read(fd, text, SMALL_FILE_MAX);
		if (fd >= 0)
			close(fd);
		if (n <= 0)
			continue;
		snprintf(where, sizeof where, "/proc/%ld/%s of %s", (long)pid, files[i], name);
		search_bytes(s, text, (size_t)n, where);
		p->searched_bytes += (uint64_t)n;
	}
	free(text);
}

/* ---- descriptors ---- */

/* What lies in it is copied, and stays for who reads it. */
static void
search_pipe(struct search *s, const char *path, struct place *p, const char *where)
{
	static char text[1 << 20];
	int ends[2], fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
		p->closed++;
		if (fd >= 0)
			close(fd);
		return;
	}
	(void)fcntl(ends[1], F_SETPIPE_SZ, (int)sizeof text);
	if (tee(fd, ends[1], sizeof text, SPLICE_F_NONBLOCK) > 0) {
		ssize_t n = read(ends[0], text, sizeof text);
		if (n > 0) {
			search_bytes(s, text, (size_t)n, where);
			p->searched_bytes += (uint64_t)n;
		}
	}
	p->things++;
	close(ends[0]);
	close(ends[1]);
	close(fd);
}

/* Files without a name: shared memory, and files that were deleted. Those that can't be opened are secret memory, or sockets. */
static void
search_nameless(struct search *s, const char *path, struct place *p, const char *where)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return;
	p->things++;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		search_open_file(s, fd, &st, p, where);
	close(fd);
}

static void
search_descriptors(struct search *s, pid_t pid, const char *name, struct place *p)
{
	char folder[64], path[PATH_MAX], target[128], where[SEARCH_WHERE_MAX];
	struct dirent *entry;
	snprintf(folder, sizeof folder, "/proc/%ld/fd", (long)pid);
	DIR *dir = opendir(folder);
	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		ssize_t n = readlink(path, target, sizeof target - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		snprintf(where, sizeof where, "descriptor %.8s of %s (%ld), %.120s", entry->d_name, name, (long)pid, target);
		if (strncmp(target, "pipe:", 5) == 0)
			search_pipe(s, path, p, where);
		else if (strncmp(target, "/memfd:", 7) == 0 || strstr(target, " (deleted)"))
			search_nameless(s, path, p, where);
	}
	if (dir)
		closedir(dir);
}

void
process_name(pid_t pid, char ret[32])
{
	int fd = open_of(pid, "comm", O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, ret, 31);
	if (fd >= 0)
		close(fd);
	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

void
place_process(struct search *s, pid_t pid, struct place *p)
{
	char name[32];
	process_name(pid, name);
	p->things++;
	search_words(s, pid, name, p);
	if (!search_memory(s, pid, name, p))
		p->closed++;
	search_descriptors(s, pid, name, p);
}

/* ---- swap ---- */

static void
search_device(struct search *s, const char *path, struct place *p)
{
	char *piece = malloc(PIECE + SEARCH_OVERLAP);
	int fd = piece ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = fd < 0 ? -1 : 1;
	for (off_t at = 0; n > 0; at += PIECE) {
		n = pread(fd, piece, PIECE + SEARCH_OVERLAP, at);
		if (n > 0) {
			search_bytes(s, piece, (size_t)n, path);
			p->searched_bytes += (uint64_t)n;
		}
	}
	p->things++;
	p->closed += n < 0; /* or read to a part of it only */
	if (fd >= 0)
		close(fd);
	free(piece);
}

/* The kernel writes blanks and backslashes of a path in octal. */
static void
plain_path(char *path)
{
	char *to = path;
	for (const char *from = path; *from; to++) {
		bool octal = from[0] == '\\' && strspn(from + 1, "01234567") >= 3;
		*to = octal ? (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0')) : *from;
		from += octal ? 4 : 1;
	}
	*to = '\0';
}

void
place_swap(struct search *s, const char *list, struct place *p)
{
	char line[512], path[256];
	FILE *swaps = fopen(list, "re");
	while (swaps && fgets(line, sizeof line, swaps))
		if (sscanf(line, "%255s", path) == 1 && path[0] == '/') {
			plain_path(path);
			search_device(s, path, p);
		}
	if (swaps)
		fclose(swaps);
}

void
place_swap_words(const struct place *p, char ret[160])
{
	if (p->things == 0)
		snprintf(ret, 160, "there is none");
	else if (p->closed == 0)
		snprintf(ret, 160, "%u of it, all searched", p->things);
	else
		snprintf(ret, 160, "NOT SEARCHED: %u of %u can't be read here (a container has the machine's list, not its devices)", p->closed, p->things);
}

/* ---- processes ---- */

long long
process_status(pid_t pid, const char *key, int base)
{
	char path[64], line[256];
	long long value = -1;
	size_t len = strlen(key);
	snprintf(path, sizeof path, "/proc/%ld/status", (long)pid);
	FILE *status = fopen(path, "re");
	while (status && fgets(line, sizeof line, status))
		if (strncmp(line, key, len) == 0 && line[len] == ':')
			value = strtoll(line + len + 1, NULL, base);
	if (status)
		fclose(status);
	return value;
}

unsigned
processes_of(pid_t root, pid_t ret[PROCESSES_OF_MAX])
{
	unsigned count = 1;
	struct dirent *entry;
	ret[0] = root;
	DIR *proc = opendir("/proc");
	while (proc && (entry = readdir(proc)) && count < PROCESSES_OF_MAX) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (pid > 0 && process_status(pid, "PPid", 10) == root)
			ret[count++] = pid;
	}
	if (proc)
		closedir(proc);
	return count;
}
