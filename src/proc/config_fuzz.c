/* Any bytes as a configuration file: a configuration that compiles, or a reason with a line inside the file. */
#include "proc/catalogue_compile.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	bool ok = config_load_text((const char *)data, size, &p, &c);
	if (ok != (p.errors == 0) || ok != (c != NULL))
		abort();
	for (uint32_t i = 0; i < p.count; i++)
		if (p.row[i].line > lines + 1)
			abort();
	if (ok && catalogue_compile(c, 1780000000000, &p, &catalogue) &&
		catalogue_attach(catalogue, catalogue->bytes) == NULL)
		abort();
	free(catalogue);
	config_free(&c);
	return 0;
}
