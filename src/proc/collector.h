/* The OpenTelemetry collector's socket: the scribe asks, the supervisor connects and hands it over, unread. */
#ifndef PROC_COLLECTOR_H
#define PROC_COLLECTOR_H

struct child;
void collector_wanted(struct child *scribe);

#endif
