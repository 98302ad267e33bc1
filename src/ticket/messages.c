#include "ticket/messages.h"

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
