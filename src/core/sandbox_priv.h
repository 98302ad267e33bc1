/* The inside of the sandbox, shared by its files and their tests. */
#ifndef CORE_SANDBOX_PRIV_H
#define CORE_SANDBOX_PRIV_H

#include "core/sandbox.h"

#include <linux/filter.h>

/*
 * Compile the rules. `otherwise` is the answer for what no rule matches. Returns the length, 0 when
 * it does not fit: our bug.
 */
size_t sandbox_compile(
	const struct sandbox *s, uint32_t otherwise, struct sock_filter out[SANDBOX_FILTER_MAX]);

/* Distinct system calls that have a rule that allows them. */
size_t sandbox_count_allowed(const struct sandbox *s);

must_check bool sandbox_landlock(const struct sandbox *s, struct sandbox_facts *facts);

#endif
