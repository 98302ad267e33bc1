#include "proc/config_yaml.h"

#include "proc/nearest.h"

#include <stdlib.h>
#include <string.h>

struct config_yaml {
	yaml_document_t document;
	bool *seen; /* by node: one that is met twice is an alias */
	size_t node_count;
	uint32_t place; /* of line 0 */
	struct problems *problems; /* while checking */
};

/* ---- parsing ---- */

static uint32_t
line_of_offset(const char *text, size_t len, size_t offset)
{
	uint32_t line = 1;
	for (size_t i = 0; i < len && i < offset; i++)
		line += text[i] == '\n';
	return line;
}

static const char *
remedy_for(const char *problem)
{
	if (strstr(problem, "cannot start any token") != NULL || strstr(problem, "tab character") != NULL)
		return "indent with spaces, not tabs, and quote values that begin with @, % or `";
	if (strstr(problem, "UTF-8") != NULL || strstr(problem, "control characters") != NULL)
		return "save the file as plain UTF-8 text";
	if (strstr(problem, "mapping values are not allowed") != NULL)
		return "check the indentation, and quote values that contain ': '";
	return "check the indentation, quotes and brackets up to this line";
}

static void
report_parser(const yaml_parser_t *parser, const char *text, size_t len, uint32_t place, struct problems *problems)
{
	if (parser->error == YAML_READER_ERROR) {
		uint32_t line = place + line_of_offset(text, len, parser->problem_offset);
		problems_error(problems, line, "%s – %s", parser->problem, remedy_for(parser->problem));
		return;
	}
	const char *what = parser->problem == NULL ? "out of memory" : parser->problem;
	uint32_t line = place + (uint32_t)parser->problem_mark.line + 1;
	if (parser->context != NULL)
		problems_error(problems, line, "%s (%s that begins in line %zu) – %s", what, parser->context,
			parser->context_mark.line + 1, remedy_for(what));
	else
		problems_error(problems, line, "%s – %s", what, remedy_for(what));
}

/* One document and nothing behind it. */
static bool
load_only_document(yaml_parser_t *parser, yaml_document_t *document, uint32_t place, struct problems *problems)
{
	yaml_document_t next;
	if (yaml_document_get_root_node(document) == NULL) {
		problems_error(problems, place, "the file is empty – begin with %s",
			place == 0 ? "`listen:`, `providers:` and `models:` (examples/lethe.yaml)" : "`models:`, or `providers:`");
		return false;
	}
	if (!yaml_parser_load(parser, &next))
		return false;
	const yaml_node_t *root = yaml_document_get_root_node(&next);
	if (root != NULL)
		problems_error(problems, place + config_yaml_line(root),
			"a second document begins – keep one document in the file, without '---' in between");
	yaml_document_delete(&next);
	return root == NULL;
}

static bool
load_document(const char *text, size_t len, struct config_yaml *y, struct problems *problems)
{
	yaml_parser_t parser;
	if (!yaml_parser_initialize(&parser)) {
		problems_error(problems, y->place, "out of memory");
		return false;
	}
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	bool ok = yaml_parser_load(&parser, &y->document) != 0;
	if (ok && !load_only_document(&parser, &y->document, y->place, problems)) {
		yaml_document_delete(&y->document);
		ok = false;
	}
	if (!ok && parser.error != YAML_NO_ERROR)
		report_parser(&parser, text, len, y->place, problems);
	yaml_parser_delete(&parser);
	return ok;
}

bool
config_yaml_parse(const char *text, size_t len, uint32_t place, struct problems *problems, struct config_yaml **ret)
{
	struct config_yaml *y = calloc(1, sizeof *y);
	if (y != NULL)
		y->place = place;
	if (y == NULL || !load_document(text, len, y, problems)) {
		free(y);
		return false;
	}
	y->node_count = (size_t)(y->document.nodes.top - y->document.nodes.start);
	y->seen = calloc(y->node_count + 1, sizeof *y->seen);
	if (y->seen == NULL) {
		config_yaml_free(&y);
		return false;
	}
	for (size_t i = 0; place != 0 && i < y->node_count; i++)
		y->document.nodes.start[i].start_mark.line += place;
	*ret = y;
	return true;
}

void
config_yaml_free(struct config_yaml **y)
{
	if (*y == NULL)
		return;
	yaml_document_delete(&(*y)->document);
	free((*y)->seen);
	free(*y);
	*y = NULL;
}

/* ---- looking ---- */

/* libyaml's getter wants a document that it could change. */
static const yaml_node_t *
node_at(const struct config_yaml *y, int index)
{
	return &y->document.nodes.start[index - 1];
}

const yaml_node_t *
config_yaml_root(const struct config_yaml *y)
{
	return node_at(y, 1);
}

static bool
scalar_is(const yaml_node_t *node, const char *text)
{
	return node->type == YAML_SCALAR_NODE && node->data.scalar.length == strlen(text) &&
		memcmp(node->data.scalar.value, text, node->data.scalar.length) == 0;
}

const yaml_node_t *
config_yaml_get(const struct config_yaml *y, const yaml_node_t *mapping, const char *key)
{
	if (mapping == NULL || mapping->type != YAML_MAPPING_NODE)
		return NULL;
	for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < mapping->data.mapping.pairs.top; p++)
		if (scalar_is(node_at(y, p->key), key))
			return node_at(y, p->value);
	return NULL;
}

const yaml_node_t *
config_yaml_item(const struct config_yaml *y, const yaml_node_t *sequence, uint32_t index)
{
	if (sequence == NULL || sequence->type != YAML_SEQUENCE_NODE)
		return NULL;
	const yaml_node_item_t *item = sequence->data.sequence.items.start + index;
	return item < sequence->data.sequence.items.top ? node_at(y, *item) : NULL;
}

bool
config_yaml_pair(const struct config_yaml *y, const yaml_node_t *mapping, uint32_t index, const yaml_node_t **ret_key,
	const yaml_node_t **ret_value)
{
	if (mapping == NULL || mapping->type != YAML_MAPPING_NODE)
		return false;
	const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start + index;
	if (pair >= mapping->data.mapping.pairs.top)
		return false;
	*ret_key = node_at(y, pair->key);
	*ret_value = node_at(y, pair->value);
	return true;
}

/* Is a node among the children, up to its own index, for the second time? */
static bool
meets_again(bool *met, const yaml_node_t *node)
{
	bool again = false;
	if (node->type == YAML_SEQUENCE_NODE)
		for (const yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
			again = again || met[*i - 1];
			met[*i - 1] = true;
		}
	else if (node->type == YAML_MAPPING_NODE)
		for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
			again = again || met[p->key - 1] || met[p->value - 1];
			met[p->key - 1] = met[p->value - 1] = true;
		}
	return again;
}

const yaml_node_t *
config_yaml_alias(const struct config_yaml *y)
{
	const yaml_node_t *found = NULL;
	bool *met = calloc(y->node_count + 1, sizeof *met);
	if (met == NULL)
		abort();
	met[0] = true; /* nobody's child */
	for (size_t i = 0; i < y->node_count && found == NULL; i++)
		if (meets_again(met, &y->document.nodes.start[i]))
			found = &y->document.nodes.start[i];
	free(met);
	return found;
}

uint32_t
config_yaml_line(const yaml_node_t *node)
{
	return node == NULL ? 0 : (uint32_t)node->start_mark.line + 1;
}

uint32_t
config_yaml_count(const yaml_node_t *sequence)
{
	if (sequence == NULL || sequence->type != YAML_SEQUENCE_NODE)
		return 0;
	return (uint32_t)(sequence->data.sequence.items.top - sequence->data.sequence.items.start);
}

/* ---- checking ---- */

static bool check_node(
	struct config_yaml *y, const yaml_node_t *node, const cyaml_schema_value_t *schema, const char *name);

static const cyaml_schema_field_t *
find_field(const cyaml_schema_field_t *fields, const yaml_node_t *key)
{
	for (; fields->key != NULL; fields++)
		if (scalar_is(key, fields->key))
			return fields;
	return NULL;
}

static const char *
nearest_key(const cyaml_schema_field_t *fields, const char *word)
{
	struct nearest near;
	nearest_init(&near, word);
	for (; fields->key != NULL; fields++)
		nearest_try(&near, fields->key);
	return near.best;
}

static void
list_keys(const cyaml_schema_field_t *fields, char *out, size_t cap)
{
	size_t len = 0;
	out[0] = '\0';
	for (; fields->key != NULL && len < cap; fields++)
		len += (size_t)snprintf(out + len, cap - len, "%s%s", len == 0 ? "" : ", ", fields->key);
}

static void
report_unknown_key(
	struct config_yaml *y, const yaml_node_t *key, const cyaml_schema_field_t *fields, const char *where)
{
	uint32_t line = config_yaml_line(key);
	if (key->type != YAML_SCALAR_NODE) {
		problems_error(y->problems, line, "a key of %s is not a word – write `key: value`", where);
		return;
	}
	const char *word = (const char *)key->data.scalar.value;
	const char *near = nearest_key(fields, word);
	if (near != NULL) {
		problems_error(y->problems, line, "unknown key `%.60s` in %s – did you mean `%s`?", word, where, near);
		return;
	}
	char known[256];
	list_keys(fields, known, sizeof known);
	problems_error(y->problems, line, "unknown key `%.60s` in %s – known are %s", word, where, known);
}

static bool
key_repeats(const struct config_yaml *y, const yaml_node_t *mapping, const yaml_node_pair_t *pair)
{
	const char *key = (const char *)node_at(y, pair->key)->data.scalar.value;
	for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < pair; p++)
		if (scalar_is(node_at(y, p->key), key))
			return true;
	return false;
}

static bool
check_missing(struct config_yaml *y, const yaml_node_t *node, const cyaml_schema_field_t *fields, const char *where)
{
	bool ok = true;
	for (; fields->key != NULL; fields++) {
		if ((fields->value.flags & CYAML_FLAG_OPTIONAL) != 0 || config_yaml_get(y, node, fields->key) != NULL)
			continue;
		problems_error(y->problems, config_yaml_line(node),
			"`%s` is missing in %s – add `%s:` (docs/reference/config.md)", fields->key, where, fields->key);
		ok = false;
	}
	return ok;
}

static bool
check_mapping(struct config_yaml *y, const yaml_node_t *node, const cyaml_schema_value_t *schema, const char *where)
{
	bool ok = true;
	for (const yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top; p++) {
		const yaml_node_t *key = node_at(y, p->key);
		const cyaml_schema_field_t *field = find_field(schema->mapping.fields, key);
		if (field == NULL) {
			report_unknown_key(y, key, schema->mapping.fields, where);
			ok = false;
		} else if (key_repeats(y, node, p)) {
			problems_error(
				y->problems, config_yaml_line(key), "`%s` stands twice in %s – keep one", field->key, where);
			ok = false;
		} else
			ok = check_node(y, node_at(y, p->value), &field->value, field->key) && ok;
	}
	return check_missing(y, node, schema->mapping.fields, where) && ok;
}

static bool
check_sequence(struct config_yaml *y, const yaml_node_t *node, const cyaml_schema_value_t *schema, const char *name)
{
	size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
	if (count < schema->sequence.min || count > schema->sequence.max) {
		problems_error(y->problems, config_yaml_line(node), "`%s` has %zu entries – give %u to %u", name, count,
			schema->sequence.min, schema->sequence.max);
		return false;
	}
	bool ok = true;
	char where[64];
	snprintf(where, sizeof where, "an entry of `%s`", name);
	for (const yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++)
		ok = check_node(y, node_at(y, *i), schema->sequence.entry, where) && ok;
	return ok;
}

static bool
check_scalar(struct config_yaml *y, const yaml_node_t *node, const char *name)
{
	if (strlen((const char *)node->data.scalar.value) == node->data.scalar.length)
		return true;
	problems_error(y->problems, config_yaml_line(node), "%s contains a NUL character – remove it", name);
	return false;
}

static const char *
kind_wanted(cyaml_type_e type)
{
	if (type == CYAML_MAPPING)
		return "a mapping – write `key: value` lines below it, indented";
	if (type == CYAML_SEQUENCE)
		return "a list – write its entries as [a, b] or on lines of their own that begin with '- '";
	return "a single value – write it on the same line";
}

static bool
check_node(struct config_yaml *y, const yaml_node_t *node, const cyaml_schema_value_t *schema, const char *name)
{
	bool *seen = &y->seen[node - y->document.nodes.start];
	if (*seen) {
		problems_error(y->problems, config_yaml_line(node),
			"%s is used again through an alias – write it out where it is used", name);
		return false;
	}
	*seen = true;
	if (schema->type == CYAML_MAPPING && node->type == YAML_MAPPING_NODE)
		return check_mapping(y, node, schema, name);
	if (schema->type == CYAML_SEQUENCE && node->type == YAML_SEQUENCE_NODE)
		return check_sequence(y, node, schema, name);
	if (schema->type == CYAML_STRING && node->type == YAML_SCALAR_NODE)
		return check_scalar(y, node, name);
	problems_error(y->problems, config_yaml_line(node), "%s must be %s", name, kind_wanted(schema->type));
	return false;
}

bool
config_yaml_check(struct config_yaml *y, const cyaml_schema_value_t *schema, struct problems *problems)
{
	y->problems = problems;
	bool ok = check_node(y, config_yaml_root(y), schema, "the file");
	y->problems = NULL;
	return ok;
}
