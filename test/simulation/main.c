/*
 * One seed, or many: ./dev sim --seed N [-v], ./dev sim --seeds A..B --jobs N. A seed that breaks something is told with the command that repeats it.
 */
#include "simulation/sim.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { JOBS_MAX = 64,
	STEPS_DEFAULT = 400,
	STEPS_MAX = 100000,
	LONG_RUN = 1000, /* seeds: in so many each fault is met */
	BROKEN_DEFAULT = 10,
	STATUS_BROKEN = 3 };

static struct {
	uint64_t first, last;
	uint32_t jobs, steps, broken; /* so many broken are enough */
	bool twice, quiet;
} options = {.jobs = 1, .steps = STEPS_DEFAULT, .broken = BROKEN_DEFAULT};

/* Between the processes. */
static struct shared {
	_Atomic uint64_t next, done, doing[JOBS_MAX], traces;
	uint64_t met[FAULT_COUNT];
} * shared;

/* ---- dice ---- */

uint64_t
draw(void)
{
	/* splitmix64 */
	uint64_t z = (sim.random += 0x9e3779b97f4a7c15ULL);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

uint32_t
below(uint32_t count)
{
	return (uint32_t)(draw() % count);
}

bool
one_in(uint32_t count)
{
	return below(count) == 0;
}

bool
strikes(enum fault f, uint32_t count)
{
	return !sim.calm && sim.wanted[f] && one_in(count);
}

void
met(enum fault f)
{
	__atomic_fetch_add(&shared->met[f], 1, __ATOMIC_RELAXED);
}

/* libsodium's, as long as nobody asks for secrets. */
static const char *
dice_name(void)
{
	return "simulation";
}

static uint32_t
dice_number(void)
{
	return (uint32_t)draw();
}

static void
dice_bytes(void *const to, const size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)to)[i] = (uint8_t)draw();
}

/* ---- what is told ---- */

static void
add_to_trace(const char *text)
{
	for (; *text != '\0'; text++)
		sim.trace = (sim.trace ^ (uint8_t)*text) * 0x100000001b3ULL;
}

void
trace(const char *format, ...)
{
	char text[300];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	add_to_trace(text);
	if (sim.verbose)
		printf("%4u  %10llu  %s\n", sim.step, (unsigned long long)(sim.mono_us / 1000), text);
}

void
violation(const char *format, ...)
{
	va_list args;
	fflush(stdout);
	fprintf(stderr, "seed %llu, step %u: ", (unsigned long long)sim.seed, sim.step);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	_exit(STATUS_BROKEN);
}

/* ---- runs ---- */

static volatile sig_atomic_t enough; /* somebody wants it to end: with the seeds that are under way */

static void
stop(int signal)
{
	enough = 1;
}

static void
run_one(uint64_t seed)
{
	uint64_t hash = life_run(seed, options.steps);
	if (options.twice && life_run(seed, options.steps) != hash)
		violation("the second time something else happens");
	atomic_fetch_xor(&shared->traces, hash);
}

static _Noreturn void
work(uint32_t job)
{
	uint64_t seed;
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	life_prepare();
	while ((seed = atomic_fetch_add(&shared->next, 1)) <= options.last) {
		atomic_store(&shared->doing[job], seed);
		run_one(seed);
		atomic_fetch_add(&shared->done, 1);
	}
	_exit(0);
}

static pid_t
hire(uint32_t job)
{
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		work(job);
	assert_true(pid > 0);
	return pid;
}

static void
tell_broken(uint64_t seed, int status)
{
	if (WIFSIGNALED(status))
		fprintf(stderr, "seed %llu: ended by signal %d\n", (unsigned long long)seed, WTERMSIG(status));
	fprintf(stderr, "seed %llu is broken; again: ./dev sim --seed %llu --steps %u -v\n", (unsigned long long)seed, (unsigned long long)seed, options.steps);
}

static void
tell_progress(time_t began)
{
	static time_t told;
	time_t now = time(NULL);
	if (options.quiet || now < told + 10)
		return;
	told = now;
	uint64_t done = atomic_load(&shared->done);
	fprintf(stderr, "%llu of %llu seeds, %llu a second\n", (unsigned long long)done, (unsigned long long)(options.last - options.first + 1),
		(unsigned long long)(now > began ? done / (uint64_t)(now - began) : 0));
}

/* Those that run end with the seed that they are at. */
static void
hire_no_more(void)
{
	uint64_t next = atomic_load(&shared->next);
	if (next > options.last)
		return;
	next = atomic_exchange(&shared->next, UINT64_MAX - JOBS_MAX);
	fprintf(stderr, "ended early: what is left is --seeds %llu..%llu\n", (unsigned long long)next, (unsigned long long)options.last);
}

/* Returns how many were broken. */
static uint32_t
run_all(void)
{
	pid_t pids[JOBS_MAX];
	uint32_t running = 0, broken = 0;
	time_t began = time(NULL);
	atomic_store(&shared->next, options.first);
	for (; running < options.jobs; running++)
		pids[running] = hire(running);
	while (running > 0) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);
		tell_progress(began);
		if (enough)
			hire_no_more();
		if (pid <= 0) {
			usleep(20000);
			continue;
		}
		uint32_t job = 0;
		while (pids[job] != pid)
			job++;
		bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
		broken += !good;
		if (!good)
			tell_broken(atomic_load(&shared->doing[job]), status);
		if (broken >= options.broken)
			hire_no_more();
		if (!good && atomic_load(&shared->next) <= options.last)
			pids[job] = hire(job);
		else
			running--;
	}
	return broken;
}

/* ---- the report ---- */

static const char *const fault_names[] = {
#define X(NAME, name, meaning) [FAULT_##NAME] = name,
	FAULTS(X)
#undef X
};

static uint32_t
report(uint64_t seeds)
{
	uint32_t missing = 0;
	for (int f = 1; f < FAULT_COUNT; f++) {
		if (!options.quiet)
			printf("%12llu  %s\n", (unsigned long long)shared->met[f], fault_names[f]);
		missing += shared->met[f] == 0;
	}
	printf("%llu seeds, %d kinds of fault, %u of them never met; trace %016llx\n", (unsigned long long)seeds, FAULT_COUNT - 1, missing,
		(unsigned long long)atomic_load(&shared->traces));
	return missing;
}

static int
usage(void)
{
	fputs("usage: simulation [--seed N [-v] | --seeds A..B [--jobs N]] [--steps N] [--broken N] [--twice] [--quiet]\n"
		  "  --seed N      one run; -v tells all that happens in it\n"
		  "  --seeds A..B  each of these (1..200), on N processes (1); SIGTERM ends it, and it says which are left\n"
		  "  --steps N     so many steps each (400), before all comes to rest\n"
		  "  --broken N    end after so many that broke something (10)\n"
		  "  --twice       each run again: the same must happen\n"
		  "  --quiet       no progress, no list of faults\n"
		  "./dev sim --nodes N ...: several servers on one PostgreSQL; --nodes alone says how.\n"
		  "A run of 1,000 seeds or more fails also when a kind of fault was never met.\n",
		stderr);
	return 2;
}

static bool
read_number(const char *text, uint64_t *ret)
{
	char *end;
	*ret = text != NULL ? strtoull(text, &end, 10) : 0;
	return text != NULL && *text != '\0' && *end == '\0';
}

static bool
read_range(const char *text)
{
	char *end;
	if (text == NULL)
		return false;
	options.first = strtoull(text, &end, 10);
	return strncmp(end, "..", 2) == 0 && read_number(end + 2, &options.last) && options.last >= options.first;
}

static bool
read_flag(const char *name)
{
	bool *flag = strcmp(name, "-v") == 0 ? &sim.verbose : strcmp(name, "--twice") == 0 ? &options.twice
		: strcmp(name, "--quiet") == 0                                                 ? &options.quiet
																					   : NULL;
	if (flag != NULL)
		*flag = true;
	return flag != NULL;
}

/* An option with a number. */
static bool
read_value(const char *name, const char *text)
{
	static const struct {
		const char *name;
		uint32_t *to, most;
	} values[] = {{"--jobs", &options.jobs, JOBS_MAX}, {"--steps", &options.steps, STEPS_MAX}, {"--broken", &options.broken, UINT32_MAX}};
	uint64_t n;
	if (!read_number(text, &n))
		return false;
	if (strcmp(name, "--seed") == 0) {
		options.first = options.last = n;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		if (strcmp(name, values[i].name) == 0 && n >= 1 && n <= values[i].most) {
			*values[i].to = (uint32_t)n;
			return true;
		}
	return false;
}

static bool
read_options(char **at)
{
	options.first = 1;
	options.last = 200;
	for (; *at != NULL; at++) {
		if (read_flag(*at))
			continue;
		const char *name = *at++;
		if (!(strcmp(name, "--seeds") == 0 ? read_range(*at) : read_value(name, *at)))
			return false;
	}
	return true;
}

int
main(int argc, char **argv)
{
	static randombytes_implementation dice = {.implementation_name = dice_name, .random = dice_number, .buf = dice_bytes};
	(void)argc;
	if (!read_options(argv + 1))
		return usage();
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 1);
	randombytes_set_implementation(&dice);
	json_object_seed(1);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(shared, MAP_FAILED);
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	uint32_t broken = run_all();
	uint64_t seeds = atomic_load(&shared->done);
	uint32_t missing = report(seeds);
	return broken > 0 || (seeds >= LONG_RUN && missing > 0);
}
