/*
 * The explorer: walks every run of the model.
 *
 *   model             all small worlds and the wake-up model, then every mistake in its world: the whole check
 *   model -s          the short form: some worlds, every mistake
 *   model -W -b 31    the wide worlds too: minutes, gigabytes
 *   model -w basic    one world           model -l    list the worlds and the mistakes
 *   model -m no_help  one mistake: shortest run that breaks a rule, step by step   (-e: only the end counts)
 *
 * Checked in every state:
 *   A  available == balance - sum of what live tickets keep, per open slot, at every instant  (with -e: only at rest)
 *   B  0 <= available, 0 <= balance, 0 <= cost <= hold
 *   C  when a ticket is freed: booked once with the last cost it stated if its edge ever knew the hold, else not at all
 *   D  the ledger never moves money on a slot that is closed or belongs to someone else
 *   E  when nothing but a kill can happen: all tickets FREE, all processes at rest, available == balance
 */
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static u64 *table, table_mask;
u64 states, transitions, ends;
static unsigned table_bits = 26; /* 512 MiB; -W wants -b 31: 16 GiB */
static int max_depth;

static void
hash_state(const void *s, size_t bytes, u64 *at, u64 *print)
{
	u64 buf[(sizeof(struct state) + 7) / 8] = {0};
	memcpy(buf, s, bytes);
	u64 a = 0x9e3779b97f4a7c15ull, b = 0xc2b2ae3d27d4eb4full;
	for (size_t i = 0; i < (bytes + 7) / 8; i++) {
		a = (a ^ buf[i]) * 0xff51afd7ed558ccdull;
		a ^= a >> 32;
		b = (b + buf[i]) * 0xc4ceb9fe1a85ec53ull;
		b ^= b >> 29;
	}
	a ^= b >> 7;
	a *= 0xff51afd7ed558ccdull;
	a ^= a >> 33;
	b ^= a >> 11;
	b *= 0x9e3779b97f4a7c15ull;
	b ^= b >> 31;
	*at = a;
	*print = (b << 1) | 2; /* bit 0: on the stack; never 0 */
}

/* 1 new, 0 seen, 2 seen and on the stack (a cycle). */
int
visit(const void *s, size_t bytes, u64 **place)
{
	u64 at, print;
	hash_state(s, bytes, &at, &print);
	for (u64 i = at & table_mask;; i = (i + 1) & table_mask) {
		if (!table[i]) {
			table[i] = print | 1;
			*place = &table[i];
			if (++states > table_mask / 8 * 7) {
				fprintf(stderr, "table full: use -b\n");
				exit(2);
			}
			return 1;
		}
		if ((table[i] & ~1ull) == print)
			return table[i] & 1 ? 2 : 0;
	}
}

static void
show(const struct state *s)
{
	for (int i = 0; i < w.slots; i++)
		printf(" slot%d(row%d %d tag %d.%d)", i, s->slot[i].id, s->slot[i].av, s->slot[i].tag_t == NONE ? -1 : s->slot[i].tag_t, s->slot[i].tag_seq);
	for (int i = 0; i < nt; i++)
		printf(" t%d(%s%s leg%d seq%d hold %d cost %d booked %d)", i, kind_name[KIND(s->t[i].S)], PENDING(s->t[i].S) ? "?" : "",
			LEG(s->t[i].S), SEQ(s->t[i].S), s->t[i].hold[PAR(s->t[i].S)], s->t[i].cost, s->t[i].booked);
	printf(" db");
	for (int i = 0; i < w.rows; i++)
		printf(" %d", s->db[i]);
	for (int i = 0; i < w.edges; i++)
		printf(" edge%d %s", i, pc_name[s->pr[i].pc]);
	printf(" ledger %s\n", pc_name[s->pr[L].pc]);
}

static void
show_act(const struct state *before, int act)
{
	static const char *edge_name[] = {"edge0", "edge1", "edge2"};
	const char *who = act / 2 == L ? "ledger" : act / 2 == L + 1 ? "old ledger"
																 : edge_name[act / 2];
	if (act % 2)
		printf("  %-7s KILL   ", who);
	else
		printf("  %-7s %-9s", who, pc_name[before->pr[act / 2].pc]);
}

struct frame {
	struct state s;
	u64 *place;
	int act, c, moves;
};

/* Depth first: all states, no cycle, every end quiet. Returns the rule that broke or NULL. */
static const char *
explore(void)
{
	size_t cap = 4096, depth = 0;
	struct frame *st = malloc(cap * sizeof(*st));
	start(&st[0].s);
	states = transitions = ends = 0;
	max_depth = 0;
	visit(&st[0].s, sizeof(st[0].s), &st[0].place);
	st[0].act = st[0].c = st[0].moves = 0;
	for (;;) {
		struct frame *f = &st[depth];
		if (f->act == ACTS) {
			if (!f->moves) {
				ends++;
				if (!at_rest(&f->s)) {
					show(&f->s);
					return "E: a run ends with a ticket stuck";
				}
			}
			*f->place &= ~1ull;
			if (!depth--)
				break;
			continue;
		}
		if (depth + 2 > cap) {
			cap *= 2;
			st = realloc(st, cap * sizeof(*st));
			f = &st[depth];
		}
		struct frame *n = &st[depth + 1];
		int r = successor(&f->s, &n->s, f->act, f->c++);
		if (r == 0) {
			f->act++;
			f->c = 0;
			continue;
		}
		if (r < 0)
			continue;
		if (broken) {
			free(st);
			return broken;
		}
		transitions++;
		if (!(f->act % 2))
			f->moves = 1;
		int v = visit(&n->s, sizeof(n->s), &n->place);
		if (v == 2) {
			free(st);
			return "a run goes round in a circle";
		}
		if (v == 0)
			continue;
		n->act = n->c = n->moves = 0;
		if ((int)++depth > max_depth)
			max_depth = depth;
	}
	free(st);
	return NULL;
}

/* Breadth first with parents: the shortest run to the broken rule. */
struct node {
	struct state s;
	unsigned parent;
	u8 act;
};
static const char *
shortest(int print, int *steps)
{
	size_t cap = 1 << 20, n = 1;
	struct node *v = malloc(cap * sizeof(*v));
	u64 *place;
	states = transitions = 0;
	start(&v[0].s);
	visit(&v[0].s, sizeof(v[0].s), &place);
	const char *rule = NULL;
	size_t i;
	struct state last;
	int last_act = 0;
	for (i = 0; i < n && !rule; i++) {
		int moves = 0;
		for (int act = 0; act < ACTS && !rule; act++)
			for (int c = 0;; c++) {
				if (n == cap) {
					cap *= 2;
					v = realloc(v, cap * sizeof(*v));
				}
				int r = successor(&v[i].s, &v[n].s, act, c);
				if (r == 0)
					break;
				if (r < 0)
					continue;
				transitions++;
				if (!(act % 2))
					moves = 1;
				if (broken) {
					rule = broken;
					last = v[n].s;
					last_act = act;
					break;
				}
				if (!visit(&v[n].s, sizeof(v[n].s), &place))
					continue;
				*place &= ~1ull;
				v[n].parent = i;
				v[n].act = act;
				n++;
			}
		if (!rule && !moves && !at_rest(&v[i].s)) {
			rule = "E: a run ends with a ticket stuck";
			last = v[i].s;
			last_act = -1;
		}
	}
	*steps = 0;
	if (rule) {
		static unsigned path[10000];
		int k = 0;
		for (size_t j = i - 1; j; j = v[j].parent)
			path[k++] = j;
		*steps = k + 1;
		if (print) {
			size_t prev = 0;
			show(&v[0].s);
			while (k--) {
				show_act(&v[prev].s, v[path[k]].act);
				show(&v[path[k]].s);
				prev = path[k];
			}
			if (last_act >= 0) {
				show_act(&v[prev].s, last_act);
				show(&last);
			}
		}
	}
	free(v);
	return rule;
}

double
now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

void
clear_table(void)
{
	if (!table) {
		table_mask = (1ull << table_bits) - 1;
		table = mmap(NULL, (table_mask + 1) * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (table == MAP_FAILED) {
			perror("table");
			exit(2);
		}
		madvise(table, (table_mask + 1) * 8, MADV_HUGEPAGE);
	} else
		madvise(table, (table_mask + 1) * 8, MADV_DONTNEED);
}

static int
run_world(const struct world *x)
{
	use_world(x);
	mut = M_none;
	clear_table();
	double t = now();
	const char *rule = explore();
	printf("%-8s %12llu states %13llu steps %9llu ends, longest run %4d, %6.1f s  %s\n", w.name, states, transitions, ends, max_depth,
		now() - t, rule ? rule : "holds");
	fflush(stdout);
	return rule != NULL;
}

/* Steps of the protocol that no world took, or before which nobody was killed: should be none. */
static int
run_coverage(void)
{
	static const u8 mistakes_only[] = {P_FILL, P_M_ID0, P_M_LATE, P_LATE, P_L_ADD, P_L_CDB, P_STALE_FREE, P_STALE_GIVE};
	int holes = 0, steps = 0;
	for (int i = 0; i < (int)(pc_count); i++) {
		if (memchr(mistakes_only, i, sizeof(mistakes_only)))
			continue;
		steps++;
		int dead = i == P_DEAD || i == P_REAPED;
		if (!taken[i]) {
			holes++;
			printf("step %s is never taken\n", pc_name[i]);
		}
		if (!dead && !killed_at[i]) {
			holes++;
			printf("nobody is killed before step %s\n", pc_name[i]);
		}
	}
	printf("coverage: %d kinds of step, %d holes\n", steps, holes);
	return holes != 0;
}

static int
run_mistake(int m, int print)
{
	for (size_t i = 0; i < worlds_count; i++)
		if (!strcmp(worlds[i].name, mistakes[m].world))
			use_world(&worlds[i]);
	mut = m;
	clear_table();
	double t = now();
	int steps;
	const char *rule = shortest(print, &steps);
	printf("%-19s %-6s %8llu states %5.1f s  %s", mistakes[m].name, w.name, states, now() - t, rule ? "caught: " : "NOT CAUGHT");
	if (rule)
		printf("%s, %d steps", rule, steps);
	printf("\n");
	fflush(stdout);
	return rule == NULL;
}

struct options {
	const char *world, *mistake;
	int wide, brief;
};

static int
list(void)
{
	for (size_t j = 0; j < worlds_count; j++)
		printf("world   %-19s %s\n", worlds[j].name, worlds[j].what);
	for (int j = 1; j < MISTAKES_COUNT; j++)
		printf("mistake %-19s %s\n", mistakes[j].name, mistakes[j].what);
	for (size_t j = 1; j < wake_mistakes_count; j++)
		printf("mistake wake %-14s %s\n", wake_mistake_name(j), wake_mistake_what(j));
	return 0;
}

static int
run_all_mistakes(void)
{
	int bad = 0;
	for (int j = 1; j < MISTAKES_COUNT; j++)
		bad += run_mistake(j, 0);
	for (size_t j = 1; j < wake_mistakes_count; j++)
		bad += run_wake((int)j);
	return bad;
}

static int
run_one_mistake(const char *name)
{
	for (int j = 1; j < MISTAKES_COUNT; j++)
		if (!strcmp(mistakes[j].name, name))
			return run_mistake(j, 1);
	return strcmp(name, "all") ? 2 : run_all_mistakes();
}

static int
is_chosen(const struct options *o, const struct world *x)
{
	if (o->world)
		return !strcmp(o->world, x->name);
	return o->brief ? x->brief : o->wide || !x->wide;
}

static int
run(const struct options *o)
{
	int bad = 0;
	if (o->mistake)
		return run_one_mistake(o->mistake);
	for (size_t j = 0; j < worlds_count; j++)
		if (is_chosen(o, &worlds[j]))
			bad += run_world(&worlds[j]);
	if (!o->world || !strcmp(o->world, "wake"))
		bad += run_wake(WAKE_NONE);
	if (!o->world && !o->brief)
		bad += run_coverage();
	if (!o->world)
		bad += run_all_mistakes();
	return bad != 0;
}

int
main(int argc, char **argv)
{
	struct options o = {0};
	for (int c; (c = getopt(argc, argv, "eWsw:m:b:l")) != -1;)
		switch (c) {
		case 'e':
			end_only = 1;
			break;
		case 'W':
			o.wide = 1;
			break;
		case 's':
			o.brief = 1;
			table_bits = 25;
			break;
		case 'w':
			o.world = optarg;
			break;
		case 'm':
			o.mistake = optarg;
			break;
		case 'b':
			table_bits = (unsigned)strtoul(optarg, NULL, 10);
			break;
		default:
			return list();
		}
	return run(&o);
}
