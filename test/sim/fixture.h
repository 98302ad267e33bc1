/*
 * The simulator as a process, with a certificate, for tests written in C. One at a time; what fails says so by false.
 */
#ifndef SIM_FIXTURE_H
#define SIM_FIXTURE_H

#include "net.h"

struct sim_fixture {
	struct net_address clear, tls;
};

extern struct sim_fixture fixture;

/* Into a temporary folder, by tool/certificate.sh. */
must_check bool fixture_certificate(const char *tool);
/* A path in that folder, good for the next three calls. */
const char *fixture_file(const char *name);

/* Both listeners, and the key k1. */
must_check bool fixture_start(const char *executable);
must_check bool fixture_stop(void);
/* Removes the folder. */
void fixture_finish(void);

#endif
