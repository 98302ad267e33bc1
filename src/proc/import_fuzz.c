/*
 * Any bytes as a configuration, and behind the first NUL any as a list: a reason, or a diff that makes of the
 * configuration another one that loads (import_run() tells) and in which an import of the same a day later changes nothing.
 */
#include "proc/import.h"

#include <stdlib.h>
#include <string.h>

#define DATE_MS 1785542400000ULL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The changed text, the caller's; NULL: the list was refused. */
static char *
import_once(struct span text, struct span list, uint64_t date_ms, size_t *ret_len, bool *ret_changed)
{
	struct problems p;
	struct config *c = NULL;
	struct source source;
	struct import_result result;
	struct import_file files[2] = {{.path = "fuzz.yaml", .text = text}};
	struct import_input input = {.files = files, .sources = &source, .source_count = 1, .wish = {.add = true, .date_ms = date_ms}};
	char *now = NULL;
	problems_init(&p, "fuzz");
	if (!config_load_text(text.at, text.len, &p, &c))
		return NULL;
	input.config = c;
	problems_init(&p, "list");
	if (source_open(list, FORMAT_DETECT, &p, &source)) {
		if (import_run(&input, &p, &result)) {
			now = edits_apply(&files[0].edits, text, ret_len);
			*ret_changed = files[0].edits.count > 0;
			FILE *nowhere = fopen("/dev/null", "w");
			edits_diff(&files[0].edits, text, "fuzz.yaml", nowhere);
			fclose(nowhere);
			import_result_free(&result);
		}
		source_close(&source);
	}
	edits_free(&files[0].edits);
	config_free(&c);
	return now;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t first = strnlen((const char *)data, size), len = 0, again = 0;
	struct span text = {(const char *)data, first}, list = {(const char *)data + first + (first < size), size - first - (first < size)};
	bool changed = false, changed_again = false;
	char *now = import_once(text, list, DATE_MS, &len, &changed);
	if (now != NULL && changed) {
		char *twice = import_once((struct span){now, len}, list, DATE_MS + 86400000, &again, &changed_again);
		if (twice == NULL || changed_again)
			abort();
		free(twice);
	}
	free(now);
	return 0;
}
