#include "proc/machine.h"

#include "proc/supervisor_priv.h"

#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

enum { MACHINE_AGAIN_MS = 60000,
	HASH_PIECE = 64 << 10 };

/* Of the program that runs, once: an upgrade is another process image. Zeros: it can't be read. */
static const uint8_t *
binary_hash(void)
{
	static uint8_t hash[crypto_hash_sha256_BYTES], piece[HASH_PIECE];
	static bool done;
	_Static_assert(sizeof hash == EDGE_BINARY_BYTES, "SHA-256");
	if (done)
		return hash;
	done = true;
	crypto_hash_sha256_state state;
	crypto_hash_sha256_init(&state);
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;
	while (fd >= 0 && (n = read(fd, piece, sizeof piece)) > 0)
		crypto_hash_sha256_update(&state, piece, (unsigned long long)n);
	if (n == 0)
		crypto_hash_sha256_final(&state, hash);
	if (fd >= 0)
		close(fd);
	return hash;
}

static void
read_told(const struct process_counters *told, struct machine *ret)
{
	ret->looked_ms = atomic_load(&told->machine_looked_ms);
	for (size_t i = 0; i < MACHINE_FACT_COUNT; i++) {
		ret->fact[i].state = atomic_load(&told->machine[i].state);
		ret->fact[i].number = atomic_load(&told->machine[i].number);
	}
}

static void
tell(const struct machine *m, struct process_counters *told)
{
	for (size_t i = 0; i < MACHINE_FACT_COUNT; i++) {
		atomic_store(&told->machine[i].state, m->fact[i].state);
		atomic_store(&told->machine[i].number, m->fact[i].number);
	}
	atomic_store(&told->machine_looked_ms, m->looked_ms);
}

void
machine_watch(struct supervisor *s)
{
	struct process_counters *told = supervisor_processes(s);
	struct machine m;
	read_told(told, &m);
	uint64_t now_ms = clock_wall_us() / 1000;
	/* A clock that was set back makes it look as well. */
	if (!s->plan->look || (m.looked_ms && now_ms - m.looked_ms < MACHINE_AGAIN_MS))
		return;
	s->plan->look(s->plan, s->now ? s->now->tls : NULL, shared_circuits(&s->shared, s->plan->edges * s->generation_count), m.looked_ms != 0, &m);
	tell(&m, told);
}

void
machine_hand_over(struct handover *h)
{
	if (h->transparency)
		memcpy(h->binary, binary_hash(), sizeof h->binary);
}
