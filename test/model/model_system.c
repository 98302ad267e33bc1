#include "model/model.h"

#include <string.h>

/* ---- kills and the supervisor ---- */

/* ---- kills and the supervisor ---- */
static int
kill_step(struct state *s, int who, int c)
{
	if (c || who > L)
		return 0;
	struct proc *q = &s->pr[who];
	if (who < L) {
		if (q->pc == P_DEAD || q->pc == P_REAPED || !s->edge_kills)
			return 0;
		s->edge_kills--;
		if (mut == M_dead_early) {
			s->dead[who] = s->inc[who];
			return 1;
		}
		rest_proc(q, P_DEAD);
		return 1;
	}
	if (q->pc == P_DEAD || !s->ledger_kills)
		return 0;
	s->ledger_kills--;
	if (mut == M_two_ledgers && q->pc == P_L_GIVE0) {
		s->pr[L + 1].t = s->batch[s->bi];
		s->pr[L + 1].pc = P_STALE_GIVE;
	}
	rest_proc(q, P_DEAD);
	s->sweep = s->nb = s->bi = s->batch[0] = s->batch[1] = 0;
	return 1;
}

static int
proc_step(struct state *s, int who, int c)
{
	struct proc *q = &s->pr[who];
	if (who < L) {
		if (q->pc == P_DEAD) { /* waitpid returned: say so on the board, only then start the next */
			if (c)
				return 0;
			s->dead[who] = s->inc[who];
			rest_proc(q, P_REAPED);
			return 1;
		}
		if (q->pc == P_REAPED) {
			if (c)
				return 0;
			s->inc[who]++;
			rest_proc(q, P_IDLE);
			if (mut == M_edge_wipes)
				for (int i = 0; i < w.per_edge; i++) {
					struct ticket *t = &s->t[who * w.per_edge + i];
					int seq = SEQ(t->S);
					memset(t, 0, sizeof(*t));
					t->S = WORD(seq, FREE, 0, 0, 0);
				}
			return 1;
		}
		return edge_step(s, q, who, c);
	}
	if (who == L + 1)
		return q->pc ? stale_step(s, q, c) : 0;
	if (q->pc == P_DEAD) {
		if (c)
			return 0;
		s->sweep = 0;
		rest_proc(q, P_L_SWEEP);
		return 1;
	}
	return ledger_step(s, q, c);
}

/* ---- all together ---- */

void
start(struct state *s)
{
	memset(s, 0, sizeof(*s));
	nt = w.edges * w.per_edge + 1;
	for (int i = 0; i < w.rows; i++)
		s->db[i] = w.balance[i];
	for (int i = 0; i < w.slots; i++) {
		s->slot[i].id = i;
		s->slot[i].av = w.balance[i];
		s->slot[i].tag_t = NONE;
	}
	for (int i = 0; i < w.edges; i++)
		s->inc[i] = 1;
	s->sweep = nt;
	s->pr[L].pc = P_L_IDLE;
	s->takes = w.takes;
	s->extends = w.extends;
	s->edge_kills = w.edge_kills;
	s->ledger_kills = w.ledger_kills;
	s->credits = w.credits;
	s->debits = w.debits;
	s->evicts = w.evicts;
}

int
at_rest(const struct state *s)
{
	for (int i = 0; i < nt; i++)
		if (KIND(s->t[i].S) != FREE)
			return 0;
	for (int i = 0; i < w.edges; i++)
		if (s->pr[i].pc != P_IDLE)
			return 0;
	return s->pr[L].pc == P_L_IDLE && s->pr[L + 1].pc == 0;
}

int
successor(const struct state *s, struct state *n, int act, int c)
{
	*n = *s;
	broken = NULL;
	int who = act / 2;
	int r = act % 2 ? kill_step(n, who, c) : proc_step(n, who, c);
	if (r == 1 && mut == M_none)
		(act % 2 ? killed_at : taken)[s->pr[who].pc]++;
	if (r == 1)
		check(n, at_rest(n));
	return r;
}
