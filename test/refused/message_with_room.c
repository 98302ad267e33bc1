/* A message that an edge may send has room for text. */
/* says: CONNECT has room for text */
#ifdef LEAK
#define message_connect message_connect_as_it_is
#include "ticket/messages.h"
#undef message_connect
struct message_connect {
	struct message_head head;
	char words[64];
};
#endif
#include "../../src/ticket/messages.c"
