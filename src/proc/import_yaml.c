#include "proc/import_yaml.h"

#include <stdlib.h>
#include <string.h>

static bool
map_characters(struct import_yaml *m)
{
	size_t at = m->text.len >= 3 && memcmp(m->text.at, "\xef\xbb\xbf", 3) == 0 ? 3 : 0, n = 0;
	m->byte = calloc(m->text.len + 2, sizeof *m->byte);
	if (m->byte == NULL)
		return false;
	for (; at < m->text.len; at++)
		if (((unsigned char)m->text.at[at] & 0xc0) != 0x80) /* not the rest of a character */
			m->byte[n++] = (uint32_t)at;
	m->byte[n] = (uint32_t)m->text.len;
	m->characters = n;
	return true;
}

bool
import_yaml_open(struct span text, struct problems *problems, struct import_yaml *ret)
{
	struct import_yaml m = {.text = text};
	const char *end = memchr(text.at, '\n', text.len);
	m.line_end = end != NULL && end > text.at && end[-1] == '\r' ? "\r\n" : "\n";
	if (!config_yaml_parse(text.at, text.len, 0, problems, &m.y))
		return false;
	if (!map_characters(&m)) {
		config_yaml_free(&m.y);
		return false;
	}
	*ret = m;
	return true;
}

void
import_yaml_close(struct import_yaml *i)
{
	config_yaml_free(&i->y);
	free(i->byte);
	i->byte = NULL;
}

size_t
import_byte(const struct import_yaml *i, yaml_mark_t mark)
{
	return i->byte[mark.index < i->characters ? mark.index : i->characters];
}

/* Where the last scalar or bracket of a node ends: a block's own end is where the next begins. */
static yaml_mark_t
end_of(const struct import_yaml *i, const yaml_node_t *node)
{
	const yaml_node_t *last = node, *key, *value;
	while (last != NULL) {
		node = last;
		last = NULL;
		if (node->type == YAML_SEQUENCE_NODE && node->data.sequence.style != YAML_FLOW_SEQUENCE_STYLE) {
			uint32_t count = config_yaml_count(node);
			last = count == 0 ? NULL : config_yaml_item(i->y, node, count - 1);
		} else if (node->type == YAML_MAPPING_NODE && node->data.mapping.style != YAML_FLOW_MAPPING_STYLE)
			for (uint32_t p = 0; config_yaml_pair(i->y, node, p, &key, &value); p++)
				last = value;
	}
	return node->end_mark;
}

size_t
import_behind(const struct import_yaml *i, const yaml_node_t *node)
{
	size_t at = import_byte(i, end_of(i, node));
	if (at > 0 && i->text.at[at - 1] == '\n')
		return at;
	const char *end = memchr(i->text.at + at, '\n', i->text.len - at);
	return end == NULL ? i->text.len : (size_t)(end - i->text.at) + 1;
}

/* Behind what stands in front of the closing bracket. */
static size_t
behind_last(const struct import_yaml *i, const yaml_node_t *list)
{
	uint32_t count = config_yaml_count(list);
	if (count == 0)
		return import_byte(i, list->start_mark) + 1;
	return import_byte(i, config_yaml_item(i->y, list, count - 1)->end_mark);
}

bool
import_list_place(const struct import_yaml *i, const yaml_node_t *list, struct list_place *ret)
{
	if (list == NULL || list->type != YAML_SEQUENCE_NODE)
		return false;
	size_t at = import_byte(i, list->start_mark), line = at;
	*ret = (struct list_place){.flow = list->data.sequence.style == YAML_FLOW_SEQUENCE_STYLE};
	if (ret->flow) {
		const yaml_node_t *first = config_yaml_item(i->y, list, 0);
		ret->first = first == NULL ? at + 1 : import_byte(i, first->start_mark);
		ret->last = behind_last(i, list);
		return at < i->text.len && i->text.at[at] == '[';
	}
	while (line > 0 && i->text.at[line - 1] == ' ')
		line--;
	ret->indent = (unsigned)(at - line);
	ret->first = line;
	ret->last = import_behind(i, list);
	return at < i->text.len && i->text.at[at] == '-' && (line == 0 || i->text.at[line - 1] == '\n');
}
