/*
 * A configuration as it is in force, every default filled in: as JSON, and as a file that loads to the same. Command line; what is
 * returned is the caller's. There are no secrets in it, since there are none in a configuration: only where they are.
 */
#ifndef PROC_CONFIG_PRINT_H
#define PROC_CONFIG_PRINT_H

#include "proc/config.h"

#include <jansson.h>

/* Lists of the catalogue's file are among those of the configuration; prices that others stand in for are written out. */
must_check json_t *config_json(const struct config *c);
/* The same as YAML. */
void config_yaml_print(const json_t *config, FILE *to);

#endif
