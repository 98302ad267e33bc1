/* A number of the ticket is set to text. */
/* says: makes integer from pointer|incompatible pointer to integer|conversion */
#include "ticket/ticket.h"
void keep(struct ticket *t, const char *prompt);
void
keep(struct ticket *t, const char *prompt)
{
#ifdef LEAK
	t->facts.user = prompt;
#endif
}
