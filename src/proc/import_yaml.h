/*
 * Places in the operator's YAML, for edits: nodes to bytes, lists to the place where an entry can come in. Pure; the
 * command line.
 */
#ifndef PROC_IMPORT_YAML_H
#define PROC_IMPORT_YAML_H

#include "proc/config_yaml.h"

/* A text, its tree, and where each of its characters begins (libyaml counts characters, not bytes). */
struct import_yaml {
	struct span text;
	struct config_yaml *y;
	uint32_t *byte; /* by character; one more than there are */
	size_t characters;
	const char *line_end; /* "\n" or "\r\n" */
};

must_check bool import_yaml_open(struct span text, struct problems *problems, struct import_yaml *ret);
void import_yaml_close(struct import_yaml *i);

/* How entries of a list are written, and where the next one goes. */
struct list_place {
	bool flow; /* in brackets */
	unsigned indent; /* columns before the '-' */
	size_t first, last; /* bytes: in front of the first entry, behind the last; whole lines when not in brackets */
};

/* False: so that nothing can be inserted. */
must_check bool import_list_place(const struct import_yaml *i, const yaml_node_t *list, struct list_place *ret);
/* Behind the lines of a node of a list that is not in brackets. */
size_t import_behind(const struct import_yaml *i, const yaml_node_t *node);
size_t import_byte(const struct import_yaml *i, yaml_mark_t mark);

#endif
