/*
 * Any bytes as a configuration file, and what stands behind the first NUL as the catalogue that it names: a
 * configuration that compiles, or a reason with a line inside the file.
 */
#include "proc/catalogue_compile.h"
#include "proc/config_priv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct span second;

static bool
open_second(const char *path, uint32_t line, struct problems *problems, char **ret_text, size_t *ret_len)
{
	char *text = malloc(second.len + 1);
	if (text == NULL)
		abort();
	memcpy(text, second.at, second.len);
	problems_set_catalogue(problems, "fuzz catalogue");
	*ret_text = text;
	*ret_len = second.len;
	return true;
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
	second = (struct span){(const char *)data + first + (first < size), size - first - (first < size)};
	bool ok = config_load_with((const char *)data, first, open_second, &p, &c);
	if (ok != (p.errors == 0) || ok != (c != NULL))
		abort();
	for (uint32_t i = 0; i < p.count; i++)
		if (place_line(p.row[i].line) > lines + 1)
			abort();
	if (ok && catalogue_compile(c, 1780000000000, &p, &catalogue) &&
		catalogue_attach(catalogue, catalogue->bytes) == NULL)
		abort();
	free(catalogue);
	config_free(&c);
	return 0;
}
