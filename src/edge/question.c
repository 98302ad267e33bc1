#include "edge/question.h"

#include "edge/byok.h"
#include "edge/receipt.h"
#include "edge/spare.h"
#include "edge/work.h"

/* Where it waits for the answer. NULL: there is nothing to wait for. IPC_AGAIN: the arrow is full, nothing was asked. */
static enum ipc_result
put(struct exchange *x, struct line **ret)
{
	struct edge *e = x->edge;
	enum ipc_result result = IPC_OK;
	switch ((enum question)x->question) {
	case QUESTION_ROW:
		*ret = &e->wait_row;
		result = reserve_ask(x);
		break;
	case QUESTION_KEY:
		result = byok_ask(x, ret);
		break;
	case QUESTION_WORK:
		*ret = x->object->work == OBJECT_WORK_ENDING ? NULL : &e->wait_work;
		result = work_ask(x);
		break;
	case QUESTION_RECEIPT:
		*ret = &e->wait_receipt;
		result = receipt_ask(x);
		break;
	}
	return result;
}

/* It counts as waiting from one line to the next. */
static void
move(struct exchange *x, struct line *to)
{
	bool patient = x->patient;
	x->patient = false;
	exchange_stop_waiting(x);
	exchange_wait(x, to);
	x->patient = patient;
}

static void
line_up_again(struct edge *e)
{
	struct exchange *x;
	while ((x = e->wait_later.first) && e->loop.now_ms >= x->ask_at_ms) /* who came later is not due earlier */
		move(x, &e->wait_question);
}

void
question_ask_later(struct exchange *x)
{
	x->ask_at_ms = x->edge->loop.now_ms + QUESTION_AGAIN_MS;
	move(x, &x->edge->wait_later);
}

bool
question_put_off(struct exchange *x, enum question what)
{
	x->question = (uint8_t)what;
	x->ask_at_ms = x->edge->loop.now_ms + QUESTION_AGAIN_MS;
	return spare_wait(x, &x->edge->wait_later);
}

void
question_go_on(struct edge *e)
{
	struct exchange *x;
	line_up_again(e);
	while ((x = e->wait_question.first)) {
		struct line *to;
		if (put(x, &to) == IPC_AGAIN) { /* when the ledger is gone, its successor is asked again */
			edge_poll(e);
			return;
		}
		if (to) {
			move(x, to);
			continue;
		}
		exchange_stop_waiting(x);
		if (x->question == QUESTION_KEY)
			byok_go_on(x);
		else
			exchange_end(x, END_COMPLETED); /* it was here to say this */
	}
}

void
question_ask(struct exchange *x, enum question what)
{
	struct edge *e = x->edge;
	bool others = e->wait_question.first;
	x->question = (uint8_t)what;
	x->ask_at_ms = 0;
	if (x->step > STEP_RESERVE) {
		exchange_wait(x, &e->wait_question);
		x->deadline_ms = e->loop.now_ms + SPARE_WAIT_MS;
		exchange_rearm(x);
	} else if (!spare_wait(x, &e->wait_question))
		return;
	if (!others) /* else it is not its turn, and whoever has called may be going along the line */
		question_go_on(e);
}

void
question_line_up(struct exchange *x, enum question what, uint64_t in_ms)
{
	x->question = (uint8_t)what;
	x->ask_at_ms = in_ms ? x->edge->loop.now_ms + in_ms : 0;
	exchange_wait(x, in_ms ? &x->edge->wait_later : &x->edge->wait_question);
	edge_poll(x->edge);
}

void
question_put_back(struct edge *e, struct line *unanswered)
{
	struct line waiting = e->wait_question;
	if (!unanswered->first)
		return;
	e->wait_question = (struct line){0};
	while (unanswered->first)
		move(unanswered->first, &e->wait_question);
	if (!waiting.first)
		return;
	waiting.first->wait_link = e->wait_question.end;
	*e->wait_question.end = waiting.first;
	e->wait_question.end = waiting.end;
}

void
question_ask_again(struct edge *e)
{
	byok_put_back(e);
	receipt_put_back(e);
	question_put_back(e, &e->wait_work);
	question_put_back(e, &e->wait_row);
	question_go_on(e);
}

bool
question_is_put_off(const struct exchange *x)
{
	return x->ask_at_ms;
}

bool
question_waits(const struct exchange *x)
{
	const struct edge *e = x->edge;
	bool in_line = x->wait_line == &e->wait_question || x->wait_line == &e->wait_later || x->wait_line == &e->wait_work;
	return x->wait_link && x->step > STEP_RESERVE && in_line;
}
