/* docs/reference/metrics.md and docs/reference/events.md, from the tables. The command line; pure. */
#ifndef SCRIBE_METRICS_REFERENCE_H
#define SCRIBE_METRICS_REFERENCE_H

#include <stdio.h>

void metrics_reference(FILE *to);
void events_reference(FILE *to);

#endif
