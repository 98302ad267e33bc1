#include "ticket/messages.h"

/* Those that are longer are bytes that only an edge can read (docs/decisions/0065). */
#define IS_SEALED(type) _Generic((struct type *)0, struct message_work_named * \
								 : true, struct message_errand * \
								 : true, struct message_work_listed * \
								 : true, struct message_object * \
								 : true, struct message_object_list_wanted * \
								 : true, default \
								 : false)
/* Goes to who can write it down nowhere, and signs it only when it is the statement of a handshake. */
#define IS_STATEMENT(type) _Generic((struct type *)0, struct message_sign * \
									: true, default \
									: false)
/*
 * Who sees content sends numbers: nothing that an edge may send has room for a sentence. Only the supervisor's messages are longer, with
 * the operator's own secrets in them.
 */
#define FROM_SUPERVISOR(type) true
#define FROM_EDGE(type) (sizeof(struct type) <= sizeof(struct message_event) || IS_SEALED(type) || IS_STATEMENT(type))
#define FROM_DIALER(type) FROM_EDGE(type)
/* It sees no content: a ticket is numbers, a receipt what it wrote itself, an own key a box that it can't open. */
#define FROM_LEDGER(type) (sizeof(struct type) <= sizeof(struct message_span) || sizeof(struct type) == sizeof(struct message_receipt) || sizeof(struct type) == sizeof(struct message_byok) || IS_SEALED(type))
#define FROM_SCRIBE(type) FROM_EDGE(type)
/* It sees no content: what it gives out are signatures. */
#define FROM_SIGNER(type) (FROM_EDGE(type) || sizeof(struct type) == sizeof(struct message_signed))
#define FROM_ANY(type) FROM_EDGE(type)
#define X(name, sender, receiver, type, fd) _Static_assert(FROM_##sender(type), #name " has room for text");
MESSAGES(X)
#undef X
_Static_assert(_Generic(((struct message_event *)0)->numbers, uint64_t *
						: sizeof(struct message_event) == sizeof(struct message_head) + 4 * sizeof(uint16_t) + 4 * sizeof(uint64_t), default : 0),
	"a report is an id and four numbers");

static bool
end_fits(enum message_end allowed, enum message_end actual)
{
	return allowed == END_OF_ANY || allowed == actual;
}

bool
message_check(const void *message, size_t bytes, enum message_end from, enum message_end to, bool has_fd)
{
	const struct message_head *h = message;
	if (bytes < sizeof *h || h->bytes != bytes || h->zero != 0)
		return false;
	switch ((enum message_type)h->type) {
	case MESSAGE_NONE:
	case MESSAGE_COUNT:
		return false;
#define X(name, sender, receiver, type, fd) \
	case MESSAGE_##name: \
		return bytes == sizeof(struct type) && end_fits(END_OF_##sender, from) && end_fits(END_OF_##receiver, to) && (fd || !has_fd);
		MESSAGES(X)
#undef X
	}
	return false;
}
