#include "proc/environment.h"

#include <sodium.h>
#include <string.h>

extern char **environ;

static char *block; /* texts, one behind the other */
static char **texts; /* into it, NULL-terminated */

static char *nothing[] = {NULL};

static size_t
kept_bytes(const char *text)
{
	size_t bytes = strlen(text) + 1;
	return bytes <= ENVIRONMENT_VARIABLE_MAX ? bytes : 0;
}

bool
environment_keep(void)
{
	size_t count = 0, bytes = 0, at = 0, n = 0;
	if (texts)
		return true;
	for (char **e = environ; *e; e++, count++)
		bytes += kept_bytes(*e);
	if (bytes > ENVIRONMENT_BYTES_MAX)
		bytes = ENVIRONMENT_BYTES_MAX;
	block = sodium_malloc(bytes + 1);
	texts = sodium_allocarray(count + 1, sizeof *texts);
	if (!block || !texts)
		return false;
	for (char **e = environ; *e; e++) {
		size_t len = kept_bytes(*e);
		if (len == 0 || at + len > bytes)
			continue;
		memcpy(block + at, *e, len);
		texts[n++] = block + at;
		at += len;
	}
	texts[n] = NULL;
	return true;
}

void
environment_show(void)
{
	environ = texts ? texts : nothing;
}

void
environment_hide(void)
{
	environ = nothing;
}
