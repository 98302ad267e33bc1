/*
 * The environment that the server was started with. The supervisor takes it out of the process before it starts anybody, and needs it again each
 * time that the configuration is read: keys may be in it. It lies in locked memory that is never dumped. Supervisor; one for the process.
 */
#ifndef PROC_ENVIRONMENT_H
#define PROC_ENVIRONMENT_H

#include "core/base.h"

enum {
	ENVIRONMENT_VARIABLE_MAX = 4096, /* longer ones are no keys and no paths, and are not kept */
	ENVIRONMENT_BYTES_MAX = 256 << 10,
};

/* Keep a copy; the original is the caller's to clear. Once: it is what the process began with. False: there is no memory. */
must_check bool environment_keep(void);
/* Between these two, getenv() finds what was kept. Nothing may be started meanwhile. */
void environment_show(void);
void environment_hide(void);

#endif
