/*
 * Any bytes as a configuration file, and what stands behind the first NUL as the catalogue that it names: a
 * configuration that compiles and prints to what it is, or a reason with a line inside the file.
 */
#include "proc/catalogue_compile.h"
#include "proc/config_print.h"
#include "proc/config_priv.h"
#include "proc/lint.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
open_second(const struct config_texts *t, const char *path, uint32_t line, struct problems *problems, struct span *ret)
{
	char *text = malloc(t->catalogue.len + 1);
	if (text == NULL)
		abort();
	memcpy(text, t->catalogue.at, t->catalogue.len);
	problems_set_catalogue(problems, "fuzz catalogue");
	*ret = (struct span){text, t->catalogue.len};
	return true;
}

/* What is printed loads, and means the same. Nothing in it makes lint stumble. */
static void
print_and_load(const struct config *c)
{
	struct problems p;
	struct config *again = NULL;
	struct lint l = {.c = c, .now_ms = 1780000000000, .old_days = 365};
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	json_t *printed = config_json(c);
	config_yaml_print(printed, f);
	fclose(f);
	problems_init(&p, "printed");
	if (!config_load_text(text, len, &p, &again))
		abort();
	json_t *same = config_json(again);
	if (!json_equal(printed, same))
		abort();
	lint_run(&l);
	lint_finish(&l);
	json_decref(printed);
	json_decref(same);
	config_free(&again);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct problems p;
	struct config *c = NULL;
	struct catalogue *catalogue = NULL;
	uint32_t lines = 1;
	for (size_t i = 0; i < size;
		 i++) /* all that YAML 1.1 takes for a line's end; NEL, LS and PS are counted by their last byte */
		lines += data[i] == '\n' || data[i] == '\r' || data[i] == 0x85 || data[i] == 0xa8 || data[i] == 0xa9;
	problems_init(&p, "fuzz");
	size_t first = strnlen((const char *)data, size);
	struct config_texts texts = {.text = {(const char *)data, first}, .open = open_second, .catalogue = {(const char *)data + first + (first < size), size - first - (first < size)}};
	bool ok = config_load_texts(&texts, &p, &c);
	if (ok != (p.errors == 0) || ok != (c != NULL))
		abort();
	for (uint32_t i = 0; i < p.count; i++)
		if (place_line(p.row[i].line) > lines + 1)
			abort();
	if (ok && catalogue_compile(c, 1780000000000, &p, &catalogue) &&
		catalogue_attach(catalogue, catalogue->bytes) == NULL)
		abort();
	if (ok)
		print_and_load(c);
	free(catalogue);
	config_free(&c);
	return 0;
}
