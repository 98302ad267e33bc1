#include "model/model.h"

#include <string.h>

/* ---- ledger ---- */
static int
actionable(const struct state *s, int i)
{
	int k = KIND(s->t[i].S), e = edge_of(i);
	if (k == FREE)
		return 0;
	if (k == SETTLED || k == GIVE || e < 0)
		return 1;
	return mut == M_no_incarnation ? s->dead[e] > 0 : s->t[i].owner <= s->dead[e];
}

static void
look(struct state *s, struct proc *q, int i)
{
	q->t = i;
	switch (KIND(s->t[i].S)) {
	case SETTLED:
		s->nb = 1;
		s->bi = 0;
		s->batch[0] = i;
		q->pc = mut == M_give_before_book && s->t[i].hold[PAR(s->t[i].S)] != s->t[i].cost ? P_L_GIVE0
			: s->sweep < nt                                                               ? P_L_COMMIT
																						  : P_L_BATCH;
		if (q->pc != P_L_BATCH)
			q->t = 0;
		break;
	case HELD:
		q->pc = P_L_SETTLE;
		break;
	default:
		q->pc = P_L_LAND;
		break;
	}
}

/* After the question "did it land" is answered: where does a dead process' ticket go on? */
static void
resolve(struct state *s, struct proc *q, int done)
{
	struct ticket *t = &s->t[q->t];
	int kind = KIND(t->S), leg = LEG(t->S), last = done ? leg : leg - 1;
	q->a = 0;
	if (kind == TAKE && mut == M_undo_forgets && leg)
		last = -1;
	if (kind == TAKE && mut == M_undo_all)
		last = t->legs - 1;
	switch (kind) {
	case TAKE:
		if (last < 0) {
			q->pc = P_REFUSED;
			return;
		}
		q->leg = last;
		q->pc = P_UNDO;
		return;
	case EXTEND:
		if (done && leg == t->legs - 1) {
			q->pc = P_L_SETTLE;
			return;
		}
		if (last < 0) {
			q->b = 1;
			q->pc = P_L_SETTLE;
			return;
		}
		q->leg = last;
		q->pc = P_UNDO;
		return;
	case UNDO:
		if (done && !leg) {
			q->pc = P_UNDONE;
			return;
		}
		q->leg = done ? leg - 1 : leg;
		q->pc = P_UNDO;
		return;
	case GIVE:
		if (mut == M_give_again)
			done = 0;
		if (done && leg + 1 >= t->legs) {
			q->pc = P_L_FREE;
			return;
		}
		q->leg = done ? leg + 1 : leg;
		q->pc = P_L_GIVE;
		return;
	case HELD:
		q->pc = P_L_SETTLE;
		return; /* only under mistakes */
	default:
		ledger_next(s, q);
		return;
	}
}

static void
ledger_ticket(struct state *s, struct proc *q, int row, int slot, int hold, int cost)
{
	struct ticket *t = &s->t[nt - 1];
	t->hold[0] = hold;
	t->cost = cost;
	t->legs = 1;
	t->row[0] = row;
	t->slot[0] = slot;
	t->id = SEQ(t->S) + 1;
	q->t = nt - 1;
}

static int
slot_of(const struct state *s, int row)
{
	for (int i = 0; i < w.slots; i++)
		if (s->slot[i].av != CLOSED && s->slot[i].id == row)
			return i;
	return -1;
}

/* A credit of 1. */
static int
begin_credit(struct state *s, struct proc *q, int row)
{
	if (!s->credits)
		return -1;
	int slot = slot_of(s, row);
	s->credits--;
	if (slot < 0) { /* not on the board: the transaction is all */
		s->db[row]++;
		return 1;
	}
	if (mut == M_credit_no_ticket || mut == M_credit_first) {
		s->db[row] += mut == M_credit_no_ticket;
		q->a = slot;
		q->b = mut == M_credit_first ? row : 0;
		q->pc = P_L_ADD;
		return 1;
	}
	if (KIND(s->t[nt - 1].S) != FREE)
		return -1; /* only under work_first */
	ledger_ticket(s, q, row, slot, 0, -1);
	q->pc = P_L_CSET;
	return 1;
}

/* A debit of 1 or 2. */
static int
begin_debit(struct state *s, struct proc *q, int row, int amount)
{
	if (!s->debits)
		return -1;
	int slot = slot_of(s, row);
	s->debits--;
	if (slot < 0) {
		if (s->db[row] >= amount)
			s->db[row] -= amount;
		return 1;
	}
	if (KIND(s->t[nt - 1].S) != FREE)
		return -1;
	if (mut == M_debit_blind) {
		if (s->slot[slot].av < amount)
			return 1;
		ledger_ticket(s, q, row, slot, 0, amount);
		q->pc = P_L_CSET;
		return 1;
	}
	ledger_ticket(s, q, row, slot, amount, amount);
	q->pc = P_L_DTAKE;
	return 1;
}

static int
begin_evict(struct state *s, struct proc *q, int slot)
{
	if (!s->evicts || s->slot[slot].av == CLOSED)
		return -1;
	s->evicts--;
	q->a = slot;
	q->pc = P_EV_TAG;
	return 1;
}

static int
begin_load(struct state *s, struct proc *q, int slot, int row)
{
	if (s->slot[slot].av != CLOSED || slot_of(s, row) >= 0)
		return -1;
	q->a = slot;
	q->b = row;
	q->pc = P_LD_ID;
	return 1;
}

static int
ledger_idle(struct state *s, struct proc *q, int c)
{
	if (c < nt) {
		if (!actionable(s, c))
			return -1;
		look(s, q, c);
		return 1;
	}
	c -= nt;
	if (c < w.rows)
		return begin_credit(s, q, c);
	c -= w.rows;
	if (c < w.rows * 2)
		return begin_debit(s, q, c / 2, 1 + c % 2);
	c -= w.rows * 2;
	if (c < w.slots)
		return begin_evict(s, q, c);
	c -= w.slots;
	return c < w.slots * w.rows ? begin_load(s, q, c / w.rows, c % w.rows) : 0;
}

static int
evict_step(struct state *s, struct proc *q)
{
	struct slot *sl = &s->slot[q->a];
	switch (q->pc) {
	case P_EV_TAG:
		q->tag_t = sl->tag_t;
		q->tag_seq = sl->tag_seq;
		q->pc = P_EV_AV;
		return 1;
	case P_EV_AV:
		q->av = sl->av;
		if (q->av != s->db[sl->id] && mut != M_evict_busy) {
			ledger_next(s, q);
			return 1;
		}
		q->pc = q->tag_t == NONE || mut == M_evict_no_help ? P_EV_COUNT : P_EV_PREV;
		return 1;
	case P_EV_PREV:
		q->S = s->t[q->tag_t].S;
		q->pc = SEQ(q->S) == q->tag_seq && PENDING(q->S) ? P_EV_HELP : P_EV_COUNT;
		if (q->pc == P_EV_COUNT)
			q->S = 0;
		return 1;
	case P_EV_HELP:
		if (s->t[q->tag_t].S == q->S)
			s->t[q->tag_t].S = q->S & ~1;
		q->S = 0;
		q->pc = P_EV_COUNT;
		return 1;
	case P_EV_COUNT:
		if (mut != M_load_same_tag)
			s->counter++;
		q->pc = P_EV_CAS;
		return 1;
	case P_EV_CAS:
		if (mut == M_evict_store || (sl->av == q->av && sl->tag_t == q->tag_t && sl->tag_seq == q->tag_seq)) {
			sl->av = CLOSED;
			sl->tag_t = NONE;
			sl->tag_seq = s->counter;
		}
		ledger_next(s, q);
		return 1;
	case P_LD_ID:
		sl->id = q->b;
		q->pc = P_LD_COUNT;
		return 1;
	case P_LD_COUNT:
		if (mut != M_load_same_tag)
			s->counter++;
		q->pc = P_LD_OPEN;
		return 1;
	case P_LD_OPEN:
		sl->av = s->db[sl->id];
		sl->tag_t = NONE;
		sl->tag_seq = s->counter;
		ledger_next(s, q);
		return 1;
	}
	return 0;
}

static void
commit(struct state *s)
{
	for (int i = 0; i < s->nb; i++) {
		struct ticket *t = &s->t[s->batch[i]];
		if (t->booked && mut != M_book_twice)
			continue; /* insert ... on conflict do nothing */
		if (t->booked < 3)
			t->booked++;
		t->booked_cost = t->cost;
		for (int l = 0; l < t->legs; l++)
			s->db[t->row[l]] -= t->cost;
	}
}

static void
begin_give(struct state *s, struct proc *q)
{
	struct ticket *t = &s->t[q->t];
	int d = delta_of(t, GIVE, PAR(t->S));
	if (d == 0) {
		free_ticket(s, q->t);
		ledger_next(s, q);
	} else if (mut == M_free_before_give) {
		q->b = d;
		q->kind = GIVE;
		q->leg = 0;
		q->seq = SEQ(t->S) + 1;
		u8 row = t->row[0], slot = t->slot[0];
		free_ticket(s, q->t);
		t->row[0] = row;
		t->slot[0] = slot;
		q->pc = P_M_TAG;
	} else {
		announce(s, q, GIVE, 0, PAR(t->S));
	}
}

static int
book_step(struct state *s, struct proc *q)
{
	struct ticket *t = &s->t[q->t];
	switch (q->pc) {
	case P_L_SWEEP:
		while (s->sweep < nt && !actionable(s, s->sweep))
			s->sweep++;
		if (s->sweep == nt) {
			rest_proc(q, P_L_IDLE);
			return 1;
		}
		look(s, q, s->sweep);
		return 1;
	case P_L_COMMIT:
		commit(s);
		if (mut == M_give_before_book) {
			q->t = s->batch[0];
			q->pc = P_L_FREE;
			return 1;
		}
		rest_proc(q, P_L_GIVE0);
		return 1;
	case P_L_GIVE0:
		q->t = s->batch[s->bi];
		begin_give(s, q);
		return 1;
	case P_L_GIVE:
		announce(s, q, GIVE, q->leg, PAR(t->S));
		return 1;
	case P_L_FREE:
		free_ticket(s, q->t);
		ledger_next(s, q);
		return 1;
	}
	return 0;
}

static int
recover_step(struct state *s, struct proc *q)
{
	struct ticket *t = &s->t[q->t];
	switch (q->pc) {
	case P_L_LAND: {
		struct slot *sl = &s->slot[t->slot[LEG(t->S)]];
		if (mut == M_land_order)
			q->a = !PENDING(t->S);
		else
			q->a = sl->tag_t == q->t && sl->tag_seq == SEQ(t->S);
		q->pc = P_L_LAND2;
		return 1;
	}
	case P_L_LAND2: {
		struct slot *sl = &s->slot[t->slot[LEG(t->S)]];
		int done = mut == M_land_order ? q->a || (sl->tag_t == q->t && sl->tag_seq == SEQ(t->S)) : q->a || !PENDING(t->S);
		if (mut == M_assume_taken && KIND(t->S) == TAKE)
			done = 1;
		if (mut == M_assume_not_taken && KIND(t->S) == TAKE)
			done = !PENDING(t->S);
		resolve(s, q, done);
		return 1;
	}
	case P_L_SETTLE:
		t->S = WORD(SEQ(t->S), SETTLED, 0, PAR(t->S) ^ q->b, 0);
		ledger_next(s, q);
		return 1;
	}
	return 0;
}

static int
request_step(struct state *s, struct proc *q)
{
	struct ticket *t = &s->t[q->t];
	switch (q->pc) {
	case P_L_CSET:
		t->S = WORD(SEQ(t->S) + 1, SETTLED, 0, 0, 0);
		s->nb = 1;
		s->batch[0] = q->t;
		rest_proc(q, P_L_COMMIT);
		return 1;
	case P_L_DTAKE:
		announce(s, q, TAKE, 0, 0);
		return 1;
	case P_L_DSET:
		t->S = WORD(SEQ(t->S), SETTLED, 0, PAR(t->S), 0);
		s->nb = 1;
		s->bi = 0;
		s->batch[0] = q->t;
		rest_proc(q, P_L_COMMIT);
		return 1;
	case P_L_ADD: /* mistakes */
		s->slot[q->a].av++;
		s->slot[q->a].tag_t = NONE;
		s->slot[q->a].tag_seq = ++s->counter;
		if (mut == M_credit_first)
			q->pc = P_L_CDB;
		else
			ledger_next(s, q);
		return 1;
	case P_L_CDB:
		s->db[q->b]++;
		ledger_next(s, q);
		return 1;
	}
	return 0;
}

/* Choice 0: the batch is what it is; else: with ticket c. */
static int
batch_step(struct state *s, struct proc *q, int c)
{
	if (c >= nt)
		return 0;
	if (c && (c <= s->batch[0] || KIND(s->t[c].S) != SETTLED))
		return -1;
	if (c)
		s->batch[s->nb++] = c;
	rest_proc(q, P_L_COMMIT);
	return 1;
}

int
ledger_step(struct state *s, struct proc *q, int c)
{
	if (q->pc == P_L_IDLE)
		return ledger_idle(s, q, c);
	if (q->pc == P_L_BATCH)
		return batch_step(s, q, c);
	if (q->pc == P_L_SWEEP && mut == M_work_first && c)
		return ledger_idle(s, q, c - 1 + nt);
	if (c)
		return 0;
	if (evict_step(s, q) || book_step(s, q) || recover_step(s, q) || request_step(s, q))
		return 1;
	return edge_step(s, q, -1, c); /* TAKE, UNDO and the move itself */
}

/* Mistake two_ledgers: what a ledger that was declared dead but lives still does: give back and free one ticket. */
int
stale_step(struct state *s, struct proc *q, int c)
{
	struct ticket *t = &s->t[q->t];
	if (c)
		return 0;
	if (move_step(s, q)) {
		if (q->pc == P_L_FREE)
			q->pc = P_STALE_FREE;
		return 1;
	}
	switch (q->pc) {
	case P_STALE_GIVE:
		announce(s, q, GIVE, 0, PAR(t->S));
		return 1;
	case P_STALE_FREE:
		if (KIND(t->S) != FREE)
			free_ticket(s, q->t);
		rest_proc(q, P_IDLE);
		return 1;
	}
	return 0;
}
