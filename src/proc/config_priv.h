/* Between the parts of the configuration's reader. */
#ifndef PROC_CONFIG_PRIV_H
#define PROC_CONFIG_PRIV_H

#include "proc/config.h"
#include "proc/config_yaml.h"

/* "16MiB", "30s", "true": a value as the file would say it, in the largest unit that fits. */
void config_value_text(enum setting_kind kind, uint64_t value, char *out, size_t cap);

/* The configuration's file and that of its catalogue (NULL: there is none). Lists go on from one to the other. */
struct config_files {
	const struct config_yaml *y[2];
};

/*
 * What single values can't tell: names that repeat, references that lead nowhere, sizes that contradict each
 * other. Resolves defaults that depend on other settings.
 */
void config_check(struct config *c, const struct config_files *files, struct problems *problems);

/* What a model owns; not the struct itself. */
void config_model_free(struct config_model *m);

/* A regular file of at most 8 MiB; the caller frees. NULL: problems says why, at `place`. */
char *config_read_file(const char *path, uint32_t place, struct problems *problems, size_t *ret_len);

/* What is read: the configuration's text, and how the catalogue's is come by. */
struct config_texts {
	struct span text;
	/*
	 * path is as the configuration names it, line the place where it does. The caller frees *ret, which is as long
	 * as *ret_len says. False: problems says why. NULL: the configuration can name no catalogue.
	 */
	bool (*open)(const struct config_texts *t, const char *path, uint32_t line, struct problems *problems, struct span *ret);
	struct span catalogue; /* for the opener */
};
must_check bool config_load_texts(const struct config_texts *texts, struct problems *problems, struct config **ret);

#endif
