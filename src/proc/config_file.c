#include "proc/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX_BYTES = 8 << 20 };

static char *
read_file(struct problems *problems, size_t *ret_len)
{
	char *text = NULL;
	struct stat st;
	ssize_t got;
	int fd = open(problems->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) != 0) {
		problems_error(problems, 0,
			"%s – give the path of a configuration file; examples/lethe.yaml is one to start from", strerror(errno));
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX_BYTES) {
		problems_error(problems, 0, "not a regular file of at most 8 MiB – give the path of a configuration file");
		goto out;
	}
	text = malloc((size_t)st.st_size + 1);
	if (text == NULL)
		abort(); /* at start only, of the size of the file */
	got = pread(fd, text, (size_t)st.st_size, 0);
	if (got != st.st_size) {
		problems_error(problems, 0, "the file could not be read as a whole – try again");
		free(text);
		text = NULL;
	} else
		*ret_len = (size_t)got;
out:
	if (fd >= 0)
		close(fd);
	return text;
}

bool
config_load(struct problems *problems, struct config **ret)
{
	size_t len = 0;
	char *text = read_file(problems, &len);
	bool ok = text != NULL && config_load_text(text, len, problems, ret);
	free(text);
	return ok;
}
