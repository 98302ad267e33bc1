/*
 * A YAML file as a tree of nodes with their lines, and its check against the loader's schema. libcyaml keeps
 * no positions, and its log names the line after the culprit; so the same schema is walked over libyaml's
 * tree first, which finds all mistakes at once and names their own lines. Supervisor and command line; the
 * caller owns the tree.
 */
#ifndef PROC_CONFIG_YAML_H
#define PROC_CONFIG_YAML_H

#include "proc/problems.h"

#include <cyaml/cyaml.h>
#include <yaml.h>

struct config_yaml;

/* `place` is 0 or PLACE_CATALOGUE: of which file the lines are. False: problems says why. */
must_check bool config_yaml_parse(
	const char *text, size_t len, uint32_t place, struct problems *problems, struct config_yaml **ret);
void config_yaml_free(struct config_yaml **y);

const yaml_node_t *config_yaml_root(const struct config_yaml *y);
/* The value of `key` in a mapping, or NULL (also for a NULL or other node). */
const yaml_node_t *config_yaml_get(const struct config_yaml *y, const yaml_node_t *mapping, const char *key);
/* Item of a sequence, or NULL. */
const yaml_node_t *config_yaml_item(const struct config_yaml *y, const yaml_node_t *sequence, uint32_t index);
/* Key and value of a mapping's pair. False: there are no more. */
must_check bool config_yaml_pair(const struct config_yaml *y, const yaml_node_t *mapping, uint32_t index,
	const yaml_node_t **ret_key, const yaml_node_t **ret_value);
/* A node that is used again through an alias; NULL: each node stands in one place. */
const yaml_node_t *config_yaml_alias(const struct config_yaml *y);
/* Its place; 0 for NULL. */
uint32_t config_yaml_line(const yaml_node_t *node);
/* Entries of a sequence; 0 for NULL and other nodes. */
uint32_t config_yaml_count(const yaml_node_t *sequence);

/* Kinds of nodes, unknown, repeated and missing keys, aliases. False: problems says what. */
must_check bool config_yaml_check(
	struct config_yaml *y, const cyaml_schema_value_t *schema, struct problems *problems);

#endif
