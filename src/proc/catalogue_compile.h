/*
 * The configuration's providers, models and prices as the block that all processes read (ticket/catalogue.h).
 * Supervisor and command line; the caller owns the block and frees it with free().
 */
#ifndef PROC_CATALOGUE_COMPILE_H
#define PROC_CATALOGUE_COMPILE_H

#include "proc/config.h"
#include "ticket/catalogue.h"

/*
 * False: problems says why (ids that collide). Models whose prices all begin after now_ms are a warning: they
 * are compiled, and refused at request until a price is in force.
 */
must_check bool catalogue_compile(
	const struct config *c, uint64_t now_ms, struct problems *problems, struct catalogue **ret);

#endif
