/* A field of the ticket that can hold text. */
/* says: is not a number */
#ifdef LEAK
#define TICKET_FIELDS_H
typedef char *words;
#define TICKET_FIELDS(X) X(prompt, words, "text", "what was asked", "none")
#endif
#include "ticket/ticket.h"
