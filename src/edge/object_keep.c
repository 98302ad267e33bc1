#include "edge/object_keep.h"

#include "core/ipc.h"
#include "edge/question.h"
#include "ticket/ticket_id.h"

static const struct {
	struct span word;
	uint8_t number;
} purposes[] = {
#define X(NAME, number, word) {{word, sizeof(word) - 1}, number},
	OBJECT_PURPOSES(X)
#undef X
};

uint8_t
object_purpose(struct span word)
{
	for (size_t i = 0; i < ARRAY_LEN(purposes); i++)
		if (purposes[i].word.len == word.len && !memcmp(purposes[i].word.at, word.at, word.len))
			return purposes[i].number;
	return 0;
}

/* token: enum object_order says which. */
static enum ipc_result
tell(const struct exchange *x, enum object_order order, uint64_t token)
{
	const struct object *o = x->object;
	struct message_object m = MESSAGE_INIT(OBJECT, message_object);
	m.token = token;
	m.account = x->account_row;
	m.order = (uint16_t)order;
	m.kind = o->kind;
	m.purpose = o->purpose;
	m.object_bytes = o->text_len;
	memcpy(m.object, o->text, o->text_len);
	return ipc_send(x->edge->ledger.fd, &m, sizeof m, -1);
}

enum ipc_result
object_keep_ask(const struct exchange *x)
{
	return tell(x, OBJECT_KEEP, x->id);
}

bool
object_is_new(struct exchange *x, const struct sealed *s, struct span purpose)
{
	struct object *o = x->object;
	struct upstream *u = x->up;
	if (o->work != OBJECT_WORK_NONE || (o->operation != OPERATION_FILE_CREATE && o->operation != OPERATION_UPLOAD_SEND && o->operation != OPERATION_UPLOAD_WHOLE))
		return false;
	x->up = NULL;
	upstream_release(u, x->up_done && x->keep_upstream);
	o->opened = *s;
	o->text_len = (uint8_t)seal(x->edge->pepper, x->account_row, s, o->text);
	o->purpose = object_purpose(purpose);
	o->work = OBJECT_WORK_KEEPING;
	question_ask(x, QUESTION_WORK);
	return true;
}

void
object_kept(struct edge *e, const struct message_work *m)
{
	struct exchange *x = e->wait_work.first;
	while (x && (x->id != m->work || x->object->work != OBJECT_WORK_KEEPING))
		x = x->wait_next;
	if (!x)
		return;
	if (m->result == WORK_LATER) {
		question_ask_later(x);
		return;
	}
	exchange_stop_waiting(x);
	x->object->work = OBJECT_WORK_TOLD;
	if (m->result == WORK_DONE)
		object_answer(x);
	else
		exchange_end(x, END_LEDGER_AWAY);
}

/*
 * A provider may not know yet what it has just made. Gemini says 403 of what it has not, and says it in the same words when it refuses our key; but it keeps no
 * file longer.
 */
enum { SETTLED_MS = 60 * 60 * 1000,
	GEMINI_KEEPS_MS = 48 * SETTLED_MS };

/* Lost on its way: who lists them sees it again. */
void
object_is_gone(struct exchange *x)
{
	const struct object *o = x->object;
	bool deleted = x->up_status < 300;
	if (!object_is_subject(x) || !o->text_len || (!deleted && !object_is_itself(x)))
		return;
	uint64_t age_ms = x->up_status == 404 ? SETTLED_MS : GEMINI_KEEPS_MS, since = ticket_id_first(edge_wall_ms(x->edge) - age_ms);
	(void)!tell(x, object_is_batch(x) ? OBJECT_WORK_IS_GONE : OBJECT_DROP, deleted ? 0 : since + !since);
}
