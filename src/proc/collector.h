/*
 * Connections to the OpenTelemetry collector: the scribe asks for one, the dialer makes it, and the supervisor, whom both know, hands it on unread. Whether the other end
 * is who it should be, the scribe finds out.
 */
#ifndef PROC_COLLECTOR_H
#define PROC_COLLECTOR_H

#include "core/base.h"

struct child;
struct plan_collector;
struct supervisor;
struct json_t;

/* From the section `telemetry` of the settings. False: ret_why (CONFIG_WHY_MAX) says what to do. trust is the plan's, and *ret_trust the caller's to free (sodium_free). */
must_check bool collector_plan(const struct json_t *telemetry, struct plan_collector *ret, uint8_t **ret_trust, char *ret_why);

/* To the scribe that starts: headers, and whom to trust. */
must_check bool collector_hand_over(struct child *scribe, const struct plan_collector *plan);
void collector_wanted(struct child *scribe);
/* The dialer is asked; or one that is ready later. */
void collector_dial(struct supervisor *s);
/* fd: the callee's; -1: none came about. */
void collector_dialled(struct child *dialer, int fd);

#endif
