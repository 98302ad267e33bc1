/* An edge reports what somebody wrote. */
/* says: makes integer from pointer|incompatible pointer to integer|conversion */
#include "edge/edge_priv.h"
void tell(struct edge *e, struct span body);
void
tell(struct edge *e, struct span body)
{
#ifdef LEAK
	edge_report(e, EVENT_ENDED, body.at, body.len);
#else
	edge_report(e, EVENT_ENDED, body.len, 0);
#endif
}
