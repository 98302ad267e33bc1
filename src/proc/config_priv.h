/* Between the parts of the configuration's reader. */
#ifndef PROC_CONFIG_PRIV_H
#define PROC_CONFIG_PRIV_H

#include "proc/config.h"
#include "proc/config_yaml.h"

/* "16MiB", "30s", "true": a value as the file would say it, in the largest unit that fits. */
void config_value_text(enum setting_kind kind, uint64_t value, char *out, size_t cap);

/* The configuration's file and that of its catalogue (NULL: there is none). Lists go on from one to the other. */
struct config_files {
	const struct config_yaml *y[2];
};

/*
 * What single values can't tell: names that repeat, references that lead nowhere, sizes that contradict each
 * other. Resolves defaults that depend on other settings.
 */
void config_check(struct config *c, const struct config_files *files, struct problems *problems);

/*
 * Where the catalogue's text comes from. path is as the configuration names it, line the place where it does.
 * The caller frees *ret_text. False: problems says why.
 */
typedef bool config_opener(
	const char *path, uint32_t line, struct problems *problems, char **ret_text, size_t *ret_len);
must_check bool config_load_with(
	const char *text, size_t len, config_opener *open, struct problems *problems, struct config **ret);

#endif
