#include "simulation/sim.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { STACK_BYTES = 1 << 20 };

struct actor {
	ucontext_t here;
	void *stack;
	void (*run)(void *arg);
	void *arg;
	bool busy, mortal;
};

static ucontext_t stage;
static struct actor *current;
static uint32_t accesses_left; /* 0: as many as it likes */

struct actor *
actor_create(bool mortal)
{
	struct actor *a = calloc(1, sizeof(*a));
	assert_non_null(a);
	a->mortal = mortal;
	a->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(a->stack, MAP_FAILED);
	return a;
}

static void
play(void)
{
	struct actor *a = current;
	a->run(a->arg);
	a->busy = false;
	swapcontext(&a->here, &stage); /* for good: it begins anew */
}

static void
go(struct actor *a, uint32_t accesses)
{
	current = a;
	accesses_left = accesses;
	swapcontext(&stage, &a->here);
	current = NULL;
}

void
actor_start(struct actor *a, void (*run)(void *arg), void *arg, uint32_t accesses)
{
	assert_false(a->busy);
	getcontext(&a->here);
	a->here.uc_stack.ss_sp = a->stack;
	a->here.uc_stack.ss_size = STACK_BYTES;
	a->here.uc_link = NULL;
	a->run = run;
	a->arg = arg;
	a->busy = true;
	makecontext(&a->here, play, 0);
	go(a, accesses);
}

void
actor_go_on(struct actor *a, uint32_t accesses)
{
	assert_true(a->busy);
	go(a, accesses);
}

bool
actor_busy(const struct actor *a)
{
	return a->busy;
}

void
actor_drop(struct actor *a)
{
	a->busy = false;
}

/* Between any two accesses to shared memory (board_priv.h). */
void ticket_hook(void);

void
ticket_hook(void)
{
	if (current == NULL)
		return;
	if (current->mortal)
		ghost_at_access();
	if (ghost_walks() || accesses_left == 0 || --accesses_left > 0)
		return;
	swapcontext(&current->here, &stage);
}
