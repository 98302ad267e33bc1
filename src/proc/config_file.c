#include "proc/config.h"

#include "proc/config_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 8 << 20 };

char *
config_read_file(const char *path, uint32_t place, struct problems *problems, size_t *ret_len)
{
	char *text = NULL;
	struct stat st;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) != 0) {
		problems_error(problems, place,
			"%s – give the path of a configuration file; examples/lethe.yaml is one to start from", strerror(errno));
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES) {
		problems_error(problems, place, "not a regular file of at most 8 MiB – give the path of a configuration file");
		goto out;
	}
	text = malloc((size_t)st.st_size + 1);
	if (text == NULL)
		abort(); /* at start only, of the size of the file */
	got = pread(fd, text, (size_t)st.st_size, 0);
	if (got != st.st_size) {
		problems_error(problems, place, "the file could not be read as a whole – try again");
		free(text);
		text = NULL;
	} else
		*ret_len = (size_t)got;
out:
	if (fd >= 0)
		close(fd);
	return text;
}

static bool
open_catalogue(const struct config_texts *t, const char *path, uint32_t line, struct problems *problems, struct span *ret)
{
	const char *slash = strrchr(problems->file, '/');
	int folder = path[0] == '/' || slash == NULL ? 0 : (int)(slash + 1 - problems->file);
	size_t need = (size_t)snprintf(problems->catalogue, sizeof problems->catalogue, "%.*s%s", folder, problems->file, path);
	if (need >= sizeof problems->catalogue) {
		problems_error(problems, line, "`catalogue`: with the folder of this file the path is too long – give a shorter one");
		return false;
	}
	ret->at = config_read_file(problems->catalogue, PLACE_CATALOGUE, problems, &ret->len);
	if (ret->at == NULL)
		problems_error(problems, line, "`catalogue`: %.200s can't be read – correct the path, or remove this line", path);
	return ret->at != NULL;
}

bool
config_load(struct problems *problems, struct config **ret)
{
	size_t len = 0;
	char *text = config_read_file(problems->file, 0, problems, &len);
	bool ok = text != NULL && config_load_texts(&(struct config_texts){.text = {text, len}, .open = open_catalogue}, problems, ret);
	free(text);
	return ok;
}
