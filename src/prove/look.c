#include "prove/prove_priv.h"

#include <fcntl.h>
#include <dirent.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- memory ---- */

static const char *const roles[] = {"lethe-edge", "lethe-super", "lethe-dialer", "lethe-ledger", "lethe-scribe", "lethe-signer"};

/* Processes of one role, as one place. */
static void
look_at_role(struct prove *p, struct search *s, const char *role, const pid_t *pids, unsigned count, struct place *place)
{
	char name[32];
	*place = (struct place){0};
	snprintf(place->name, sizeof place->name, "memory of %s", role);
	for (unsigned n = 0; n < count; n++) {
		process_name(pids[n], name);
		if (strcmp(name, role) == 0)
			place_process(s, pids[n], place);
	}
}

unsigned
look_at_processes(struct prove *p, struct instance *i, const char *when, bool edges_hold)
{
	pid_t pids[PROCESSES_OF_MAX];
	unsigned count = i->pid > 0 ? processes_of(i->pid, pids) : 0, in_edges = 0;
	struct search s, own;
	struct place place;
	search_open(&s, &p->canaries);
	for (size_t r = 0; r < ARRAY_LEN(roles); r++) {
		bool holds = edges_hold && strcmp(roles[r], "lethe-edge") == 0;
		if (holds)
			search_open(&own, &p->canaries);
		look_at_role(p, holds ? &own : &s, roles[r], pids, count, &place);
		if (holds) {
			in_edges = own.finding_count;
			search_close(&own);
		}
		bool may_miss = strcmp(roles[r], "lethe-signer") == 0; /* without TLS there is none */
		if (place.things == 0 && may_miss)
			continue;
		prove_place(p, i->kind->name, when, &place);
		if (place.things == 0)
			prove_fact(p, i->kind->name, "every process is looked at", false, "no %s runs", roles[r]);
		if (place.closed && geteuid() == 0)
			prove_fact(p, i->kind->name, "every process is looked at", false, "root may not read the memory of %s: CAP_SYS_PTRACE is missing", roles[r]);
	}
	if (i->books.pid > 0) {
		place = (struct place){.name = "memory of PostgreSQL"};
		count = processes_of(i->books.pid, pids);
		for (unsigned n = 0; n < count; n++)
			place_process(&s, pids[n], &place);
		prove_place(p, i->kind->name, when, &place);
	}
	prove_findings(p, i->kind->name, when, &s);
	search_close(&s);
	return in_edges;
}

/* ---- files ---- */

static bool
is_core(const char *name)
{
	return strcmp(name, "core") == 0 || strncmp(name, "core.", 5) == 0 || strstr(name, ".core") != NULL;
}

/* In the folder in which processes run; and where the kernel's pattern would put one. */
static void
look_for_dumps(struct prove *p, struct instance *i)
{
	unsigned found = 0;
	struct dirent *entry;
	char pattern[PATH_MAX] = "";
	DIR *dir = opendir(i->folder);
	while (dir && (entry = readdir(dir)))
		found += is_core(entry->d_name);
	if (dir)
		closedir(dir);
	int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, pattern, sizeof pattern - 1);
	if (fd >= 0)
		close(fd);
	pattern[n > 0 ? n : 0] = '\0';
	pattern[strcspn(pattern, "\n")] = '\0';
	prove_fact(p, i->kind->name, "no process leaves a core dump", found == 0, "%u core files after crashes; the kernel's pattern is `%.100s`", found, pattern);
}

static void
look_at_folder(struct prove *p, struct instance *i, struct search *s, const char *path, const char *name)
{
	struct place place = {0};
	bool own = strcmp(path, i->folder) == 0;
	snprintf(place.name, sizeof place.name, "%s", name);
	if (access(path, R_OK | X_OK) != 0)
		return;
	place_folder(s, path, own ? 0 : p->begun, &place);
	prove_place(p, i->kind->name, "afterwards", &place);
}

/* Parts of its folder, which is searched as a whole: what is found in them has been told. */
static void
look_at_books(struct prove *p, struct instance *i)
{
	const struct {
		const char *name, *folder;
	} parts[] = {{"PostgreSQL's pages", i->books.pages}, {"PostgreSQL's write-ahead log", i->books.journal}};
	for (size_t n = 0; n < ARRAY_LEN(parts) && i->books.folder[0] != '\0'; n++) {
		struct place place = {0};
		struct search s;
		snprintf(place.name, sizeof place.name, "%s", parts[n].name);
		search_open(&s, &p->canaries);
		place_folder(&s, parts[n].folder, 0, &place);
		prove_place(p, i->kind->name, "afterwards", &place);
		prove_fact(p, i->kind->name, "the database of the books is searched", place.things > 0 && place.closed == 0, "%s: %u files, %u closed", parts[n].name, place.things, place.closed);
		search_close(&s);
	}
}

static void
look_also(struct prove *p, struct instance *i, struct search *s)
{
	json_t *path;
	size_t n;
	json_array_foreach((json_t *)(uintptr_t)p->o->also, n, path)
	{
		struct place place = {0};
		snprintf(place.name, sizeof place.name, "%s", json_string_value(path));
		struct stat st;
		if (stat(json_string_value(path), &st) == 0 && S_ISDIR(st.st_mode))
			place_folder(s, json_string_value(path), 0, &place);
		else
			place_one_file(s, json_string_value(path), &place);
		if (place.closed)
			prove_fact(p, i->kind->name, "all that was asked for is searched", false, "%s can't be read", place.name);
		prove_place(p, i->kind->name, "afterwards", &place);
	}
}

static void
look_at_swap(struct prove *p, struct instance *i, struct search *s)
{
	struct place place = {.name = "swap"};
	char words[160];
	place_swap(s, "/proc/swaps", &place);
	place_swap_words(&place, words);
	if (place.things)
		prove_place(p, i->kind->name, "afterwards", &place);
	/* Said each time, and no failure: memory for content does not get there in any grade but the plain one. */
	prove_fact(p, i->kind->name, "swap", true, "%s", words);
}

void
look_at_files(struct prove *p, struct instance *i, const char *when)
{
	static const char *const folders[] = {"/tmp", "/var/tmp", "/dev/shm", "/run/lock", "/var/crash", "/var/lib/systemd/coredump"};
	const char *temporary = getenv("TMPDIR");
	struct search s;
	search_open(&s, &p->canaries);
	look_at_folder(p, i, &s, i->folder, "data, log and working folder");
	look_at_books(p, i);
	for (size_t f = 0; f < ARRAY_LEN(folders); f++)
		look_at_folder(p, i, &s, folders[f], folders[f]);
	if (temporary && *temporary == '/')
		look_at_folder(p, i, &s, temporary, "TMPDIR");
	look_also(p, i, &s);
	look_at_swap(p, i, &s);
	prove_findings(p, i->kind->name, when, &s);
	search_close(&s);
	look_for_dumps(p, i);
}

void
look_at_metrics(struct prove *p, struct instance *i)
{
	enum { PAGE_MAX = 8 << 20 };
	struct place place = {.name = "metrics"};
	char *page = malloc(PAGE_MAX);
	size_t len = page && i->metrics_port ? client_get(i->metrics_port, NULL, "/metrics", page, PAGE_MAX) : 0;
	struct search s;
	search_open(&s, &p->canaries);
	if (len) {
		search_bytes(&s, page, len, "the page of metrics");
		place.things = 1;
		place.searched_bytes = len;
	}
	prove_place(p, i->kind->name, "afterwards", &place);
	prove_findings(p, i->kind->name, "afterwards", &s);
	prove_fact(p, i->kind->name, "metrics can be read", len > 1000, "%zu bytes", len);
	search_close(&s);
	free(page);
}

/* ---- lock-down ---- */

/* The soft limit of core files, in bytes; -1: unlimited or unknown. */
static long long
core_limit(pid_t pid)
{
	char path[64], line[256];
	long long limit = -1;
	snprintf(path, sizeof path, "/proc/%ld/limits", (long)pid);
	FILE *limits = fopen(path, "re");
	while (limits && fgets(line, sizeof line, limits))
		if (strncmp(line, "Max core file size", 18) == 0 && !strstr(line, "unlimited"))
			limit = strtoll(line + 18, NULL, 10);
	if (limits)
		fclose(limits);
	return limit;
}

/* What the kernel lets nobody but root look at or dump belongs to root there, whoever runs it. Of root's own processes it can't be told. */
static bool
is_dumpable(pid_t pid)
{
	char path[64];
	struct stat st;
	snprintf(path, sizeof path, "/proc/%ld/mem", (long)pid);
	return process_status(pid, "Uid", 10) > 0 && stat(path, &st) == 0 && st.st_uid != 0;
}

enum { CAP_IPC_LOCK_BIT = 14 };

static void
look_at_one(struct prove *p, struct instance *i, pid_t pid)
{
	char name[32];
	process_name(pid, name);
	bool super = strcmp(name, "lethe-super") == 0;
	long long seccomp = process_status(pid, "Seccomp", 10), privileges = process_status(pid, "NoNewPrivs", 10), effective = process_status(pid, "CapEff", 16),
			  tracer = process_status(pid, "TracerPid", 10), threads = process_status(pid, "Threads", 10), core = core_limit(pid);
	bool rights = super || (effective & ~(1LL << CAP_IPC_LOCK_BIT)) == 0;
	bool dumpable = is_dumpable(pid);
	bool ok = !dumpable && (super || seccomp == 2) && privileges == 1 && rights && tracer == 0 && (core == 0 || core == 1) && (super || threads == 1);
	char fact[64];
	snprintf(fact, sizeof fact, "%s is locked down", name);
	prove_fact(p, i->kind->name, fact, ok, "filter of system calls %s, no new privileges %s, capabilities %llx, core limit %lld bytes, %sdumpable, threads %lld, tracer %lld",
		seccomp == 2 ? "on" : "off", privileges == 1 ? "on" : "off", (unsigned long long)effective, core, dumpable ? "" : "not ", threads, tracer);
}

static int
compare_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Beside the executable, what an edge has mapped: code that runs beside content. */
static void
look_at_libraries(struct prove *p, struct instance *i, pid_t edge)
{
	enum { LIBRARIES_MAX = 64,
		NAME_MAX_BYTES = 64 };
	static char names[LIBRARIES_MAX][NAME_MAX_BYTES];
	char path[64], line[PATH_MAX + 128];
	unsigned count = 0;
	snprintf(path, sizeof path, "/proc/%ld/maps", (long)edge);
	FILE *maps = fopen(path, "re");
	while (maps && fgets(line, sizeof line, maps)) {
		line[strcspn(line, "\n")] = '\0';
		const char *name = strrchr(line, '/');
		if (name && strstr(name, ".so") && count < LIBRARIES_MAX && (count == 0 || strcmp(names[count - 1], name + 1) != 0))
			snprintf(names[count++], NAME_MAX_BYTES, "%.*s", NAME_MAX_BYTES - 1, name + 1);
	}
	if (maps)
		fclose(maps);
	qsort(names, count, NAME_MAX_BYTES, compare_text);
	json_t *list = json_array();
	for (unsigned n = 0; n < count; n++)
		if (n == 0 || strcmp(names[n], names[n - 1]) != 0)
			json_array_append_new(list, json_string(names[n]));
	json_object_set_new(p->report, "libraries_of_an_edge", list);
}

void
look_at_lockdown(struct prove *p, struct instance *i)
{
	pid_t pids[PROCESSES_OF_MAX], edge = instance_process(i, "lethe-edge", 0);
	unsigned count = i->pid > 0 ? processes_of(i->pid, pids) : 0;
	for (unsigned n = 0; n < count; n++)
		look_at_one(p, i, pids[n]);
	if (edge && geteuid() == 0)
		look_at_libraries(p, i, edge);
}
