/* A counter, which metrics show, is set to text. */
/* says: makes integer from pointer|incompatible pointer to integer|conversion */
#include "core/base.h"
#include "ticket/counters.h"
void count(struct counters *c, struct span body);
void
count(struct counters *c, struct span body)
{
#ifdef LEAK
	count_set(c, working_key, body.at);
#else
	count_set(c, working_key, body.len);
#endif
}
