#include "model/model.h"

#include <string.h>

/* ---- pieces shared by edges and ledger ---- */

/* ---- pieces shared by edges and ledger ---- */
void
rest_proc(struct proc *q, int pc)
{
	memset(q, 0, sizeof(*q));
	q->pc = pc;
}

void
ledger_next(struct state *s, struct proc *q)
{
	if (s->bi + 1 < s->nb) {
		s->bi++;
		rest_proc(q, P_L_GIVE0);
		return;
	}
	s->nb = s->bi = s->batch[0] = s->batch[1] = 0;
	rest_proc(q, s->sweep < nt ? P_L_SWEEP : P_L_IDLE);
}

/* Say in the ticket what is about to be done, then do it: one leg. */
void
announce(struct state *s, struct proc *q, int kind, int leg, int p)
{
	struct ticket *t = &s->t[q->t];
	q->kind = kind;
	q->leg = leg;
	q->p = p;
	q->seq = SEQ(t->S) + 1;
	if (!w.late && !(mut == M_no_intent && kind == TAKE) && !(mut == M_undo_no_intent && kind == UNDO))
		t->S = WORD(q->seq, kind, leg, p, 1);
	q->pc = mut == M_id_before_tag ? P_M_ID0 : P_M_TAG;
}

void
free_ticket(struct state *s, int i)
{
	struct ticket *t = &s->t[i];
	int seq = SEQ(t->S);
	if (i < nt - 1 && t->known)
		RULE(t->booked == 1 && t->booked_cost == t->stated, "C: booked once, as stated");
	else if (i < nt - 1)
		RULE(t->booked == 0, "C: not booked when never known");
	else
		RULE(t->booked <= 1, "C: booked once");
	memset(t, 0, sizeof(*t));
	t->S = WORD(mut == M_reuse_seq ? 0 : seq, FREE, 0, 0, 0);
}

/* One leg of a TAKE or EXTEND is answered: the next leg, all taken, back from the leg before, or nothing taken. */
static void
leg_answered(struct proc *q, int ok, int next, const int *pc)
{
	enum { AGAIN,
		ALL,
		REFUSED };
	if (ok && next) {
		q->leg++;
		q->pc = pc[AGAIN];
	} else if (ok) {
		q->pc = pc[ALL];
	} else if (q->leg) {
		q->leg--;
		q->pc = P_UNDO;
	} else {
		q->pc = pc[REFUSED];
	}
}

static void
given(struct state *s, struct proc *q, int next)
{
	if (mut == M_free_before_give) {
		ledger_next(s, q);
	} else if (mut == M_give_before_book && !s->t[q->t].booked) {
		q->pc = P_L_COMMIT;
	} else if (next) {
		q->leg++;
		q->pc = P_L_GIVE;
	} else {
		q->pc = P_L_FREE;
	}
}

/* What was read from the slot is of no use any more. */
static int
registers_are_dead(int pc)
{
	switch (pc) {
	case P_TAKE:
	case P_XTEND:
	case P_UNDO:
	case P_L_GIVE:
	case P_KNOW:
	case P_XHELD:
	case P_UNDONE:
	case P_L_FREE:
	case P_L_DSET:
	case P_REFUSED:
	case P_XBACK:
		return 1;
	}
	return 0;
}

static void
moved(struct state *s, struct proc *q, int ok)
{
	int ledger = q == &s->pr[L] || q == &s->pr[L + 1], next = q->leg + 1 < s->t[q->t].legs;
	if (ledger && q->kind != TAKE)
		RULE(ok, "D: ledger moves on its own slot");
	switch (q->kind) {
	case TAKE:
		leg_answered(q, ok, next, (const int[]){P_TAKE, ledger ? P_L_DSET : P_KNOW, P_REFUSED});
		break;
	case EXTEND:
		leg_answered(q, ok, next, (const int[]){P_XTEND, P_XHELD, P_XBACK});
		break;
	case UNDO:
		q->pc = q->leg ? P_UNDO : P_UNDONE;
		q->leg -= q->leg > 0;
		break;
	case GIVE:
		given(s, q, next);
		break;
	}
	if (registers_are_dead(q->pc)) {
		q->tag_t = q->tag_seq = 0;
		q->av = 0;
		q->S = 0;
	}
}

static int
to_cas(const struct proc *q, const struct ticket *t)
{
	return w.late && SEQ(t->S) != q->seq ? P_M_SAY : P_M_CAS;
}

static int
move_read_step(struct state *s, struct proc *q)
{
	struct ticket *t = &s->t[q->t];
	struct slot *sl = &s->slot[t->slot[q->leg]];
	int ledger = q == &s->pr[L];
	int d = mut == M_free_before_give && q->kind == GIVE ? q->b : delta_of(t, q->kind, q->p);
	switch (q->pc) {
	case P_M_ID0: /* mistake */
		if (sl->id != t->row[q->leg])
			moved(s, q, 0);
		else
			q->pc = P_M_TAG;
		return 1;
	case P_M_TAG:
		q->tag_t = sl->tag_t;
		q->tag_seq = sl->tag_seq;
		q->pc = mut == M_id_before_tag ? P_M_AV : P_M_ID;
		return 1;
	case P_M_ID:
		if (sl->id != t->row[q->leg])
			moved(s, q, 0);
		else
			q->pc = P_M_AV;
		return 1;
	case P_M_AV:
		q->av = sl->av;
		if (q->av == CLOSED || (d < 0 && q->av + d < 0 && !(w.soft && ledger && t->row[q->leg] == 1)))
			moved(s, q, 0);
		else
			q->pc = q->tag_t == NONE || mut == M_no_help || mut == M_help_after ? to_cas(q, t) : P_M_PREV;
		return 1;
	case P_M_PREV:
		q->S = s->t[q->tag_t].S;
		if (SEQ(q->S) == q->tag_seq && PENDING(q->S))
			q->pc = P_M_HELP;
		else {
			q->S = 0;
			q->pc = to_cas(q, t);
		}
		return 1;
	case P_M_HELP:
		if (s->t[q->tag_t].S == q->S)
			s->t[q->tag_t].S = q->S & ~1;
		q->S = 0;
		q->pc = to_cas(q, t);
		return 1;
	}
	return 0;
}

static int
move_write_step(struct state *s, struct proc *q)
{
	struct ticket *t = &s->t[q->t];
	struct slot *sl = &s->slot[t->slot[q->leg]];
	int d = mut == M_free_before_give && q->kind == GIVE ? q->b : delta_of(t, q->kind, q->p);
	switch (q->pc) {
	case P_M_SAY: /* only in worlds where the announcing store is seen by others as late as x86 allows */
		t->S = WORD(q->seq, q->kind, q->leg, q->p, 1);
		q->pc = P_M_CAS;
		return 1;
	case P_M_CAS:
		if (sl->av != q->av || (mut != M_no_tag && (sl->tag_t != q->tag_t || sl->tag_seq != q->tag_seq))) {
			q->tag_t = q->tag_seq = 0;
			q->av = 0;
			q->pc = mut == M_id_before_tag ? P_M_ID0 : P_M_TAG;
			return 1;
		}
		sl->av += d;
		sl->tag_t = q->t;
		sl->tag_seq = q->seq;
		if (mut == M_help_after && q->tag_t != NONE)
			q->pc = P_M_LATE;
		else
			moved(s, q, 1);
		return 1;
	case P_M_LATE: /* mistake */
		if (SEQ(s->t[q->tag_t].S) == q->tag_seq)
			s->t[q->tag_t].S &= ~1;
		moved(s, q, 1);
		return 1;
	}
	return 0;
}

int
move_step(struct state *s, struct proc *q)
{
	return move_read_step(s, q) || move_write_step(s, q);
}

/* ---- an edge: choice c of process e; 0 when there is no such choice, -1 when it is not possible now ---- */

static void
fill(struct state *s, struct ticket *t, int e, int row, int slot, int hold)
{
	t->hold[0] = hold;
	t->hold[1] = 0;
	t->cost = 0;
	t->owner = s->inc[e];
	t->id = SEQ(t->S) + 1;
	t->legs = w.legs;
	t->row[0] = row;
	t->slot[0] = slot;
	if (w.legs == 2) {
		t->row[1] = 1;
		t->slot[1] = 1;
	}
}

static int
edge_idle(struct state *s, int e, int c)
{
	struct proc *q = &s->pr[e];
	int lowest = mut == M_zero_hold ? 0 : 1, holds = w.max_hold - lowest + 1, rows = w.legs == 2 ? 1 : w.rows;
	if (!s->takes || c >= w.per_edge * rows * w.slots * holds)
		return 0;
	int i = e * w.per_edge + c % w.per_edge;
	c /= w.per_edge;
	int row = c % rows;
	c /= rows;
	int slot = c % w.slots, hold = lowest + c / w.slots;
	if (KIND(s->t[i].S) != FREE || s->slot[slot].id != row || (w.legs == 2 && slot))
		return -1;
	if (w.per_edge == 2 && i % 2 && KIND(s->t[i - 1].S) == FREE)
		return -1; /* the lower free one first: symmetry */
	s->takes--;
	q->t = i;
	if (mut == M_word_before_fields) {
		q->a = row;
		q->b = hold;
		q->pc = P_TAKE;
		q->kind = slot;
		return 1;
	}
	fill(s, &s->t[i], e, row, slot, hold);
	q->pc = P_TAKE;
	return 1;
}

static int
edge_run(struct state *s, int e, int c)
{
	struct proc *q = &s->pr[e];
	struct ticket *t = &s->t[q->t];
	int p = PAR(t->S);
	switch (c) {
	case 0:
		q->pc = P_SETTLE;
		return 1;
	case 1:
		if (t->cost >= t->hold[p] + (mut == M_cost_first && s->extends ? 1 : 0))
			return -1;
		t->cost++;
		t->stated = t->cost;
		return 1;
	case 2:
		if (!s->extends || t->hold[p] > w.max_hold)
			return -1;
		s->extends--;
		if (mut == M_hold_in_place) {
			t->hold[p]++;
			t->hold[!p] = t->hold[p] - 1;
		} else
			t->hold[!p] = t->hold[p] + 1;
		q->pc = P_XTEND;
		q->leg = 0;
		return 1;
	}
	return 0;
}

/* Back to the exchange, with the same ticket. */
static void
run_on(struct proc *q)
{
	int i = q->t;
	rest_proc(q, P_RUN);
	q->t = i;
}

/* One step of an edge, or of the steps that a ledger shares with it. */
int
edge_step(struct state *s, struct proc *q, int e, int c)
{
	struct ticket *t = &s->t[q->t];
	if (q->pc == P_IDLE)
		return edge_idle(s, e, c);
	if (q->pc == P_RUN)
		return edge_run(s, e, c);
	if (c)
		return 0;
	if (move_step(s, q))
		return 1;
	int ledger = e < 0;
	switch (q->pc) {
	case P_TAKE:
		if (mut == M_word_before_fields && !ledger) {
			t->S = WORD(SEQ(t->S) + 1, TAKE, 0, 0, 1);
			q->pc = P_FILL;
			return 1;
		}
		announce(s, q, TAKE, q->leg, 0);
		return 1;
	case P_FILL: /* mistake */
		fill(s, t, e, q->a, q->kind, q->b);
		t->id--;
		q->seq = SEQ(t->S);
		q->kind = TAKE;
		q->leg = 0;
		q->a = q->b = 0;
		q->pc = P_M_TAG;
		return 1;
	case P_KNOW:
		t->S = WORD(q->seq, HELD, 0, q->p, 0);
		t->known = 1;
		run_on(q);
		return 1;
	case P_REFUSED:
		free_ticket(s, q->t);
		if (ledger)
			ledger_next(s, q);
		else
			rest_proc(q, P_IDLE);
		return 1;
	case P_UNDO:
		announce(s, q, UNDO, q->leg, PAR(t->S));
		return 1;
	case P_UNDONE:
		if (t->hold[!PAR(t->S)] == 0) {
			free_ticket(s, q->t);
			if (ledger)
				ledger_next(s, q);
			else
				rest_proc(q, P_IDLE);
		} else {
			t->S = WORD(SEQ(t->S), ledger ? SETTLED : HELD, 0, !PAR(t->S), 0);
			if (ledger)
				ledger_next(s, q);
			else
				run_on(q);
		}
		return 1;
	case P_XTEND:
		announce(s, q, EXTEND, q->leg, q->leg || mut == M_hold_in_place ? q->p : !PAR(t->S));
		return 1;
	case P_XHELD:
		t->S = WORD(q->seq, HELD, 0, q->p, 0);
		run_on(q);
		return 1;
	case P_XBACK:
		t->S = WORD(q->seq, HELD, 0, mut == M_hold_in_place ? PAR(t->S) : !q->p, 0);
		run_on(q);
		return 1;
	case P_SETTLE:
		t->S = WORD(SEQ(t->S), SETTLED, 0, PAR(t->S), 0);
		if (mut == M_late_cost) {
			q->pc = P_LATE;
			return 1;
		}
		rest_proc(q, P_IDLE);
		return 1;
	case P_LATE: /* mistake */
		if (KIND(t->S) != FREE && t->cost < t->hold[PAR(t->S)]) {
			t->cost++;
			t->stated = t->cost;
		}
		rest_proc(q, P_IDLE);
		return 1;
	}
	return 0;
}
