/*
 * Where content could lie around: files with their names, memory of processes, pipes, swap. Each adds what it has looked at to a place of the
 * report, and what it may not read. Command line only; owns nothing.
 */
#ifndef PROVE_PLACES_H
#define PROVE_PLACES_H

#include "prove/search.h"

#include <sys/types.h>

struct place {
	char name[64]; /* "edge", "data folder" */
	uint64_t searched_bytes;
	uint64_t sealed_bytes; /* of memory: the kernel gives them to nobody */
	uint32_t things; /* files, processes, pipes */
	uint32_t closed; /* of those: this user may not look into them */
};

enum { PLACE_FILE_MAX = 1 << 30 };

/* All below it, links not followed. since: only files that were changed at or after that time (0: all). */
void place_folder(struct search *s, const char *path, time_t since, struct place *p);
void place_one_file(struct search *s, const char *path, struct place *p);

/* Memory, command line, environment, status; then what lies in its pipes and memory files. */
void place_process(struct search *s, pid_t pid, struct place *p);

/* Devices and files of swap. list: /proc/swaps, but in tests. */
void place_swap(struct search *s, const char *list, struct place *p);
/* What became of that, for the report. */
void place_swap_words(const struct place *p, char ret[160]);

/* The words of /proc/PID/comm, "" when it is gone. */
void process_name(pid_t pid, char ret[32]);

enum { PROCESSES_OF_MAX = 80 };

/* The process, then its children. */
unsigned processes_of(pid_t root, pid_t ret[PROCESSES_OF_MAX]);

/* A number of /proc/PID/status, by base 10 or 16; -1: it can't be read. */
long long process_status(pid_t pid, const char *key, int base);

#endif
