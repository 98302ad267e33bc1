/* Between the parts of the configuration's reader. */
#ifndef PROC_CONFIG_PRIV_H
#define PROC_CONFIG_PRIV_H

#include "proc/config.h"
#include "proc/config_yaml.h"

/* "16MiB", "30s", "true": a value as the file would say it, in the largest unit that fits. */
void config_value_text(enum setting_kind kind, uint64_t value, char *out, size_t cap);

/*
 * What single values can't tell: names that repeat, references that lead nowhere, sizes that contradict each
 * other. Resolves defaults that depend on other settings.
 */
void config_check(struct config *c, const struct config_yaml *y, struct problems *problems);

#endif
