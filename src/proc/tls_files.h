/*
 * The operator's PEM files: certificates and keys of ours, whom to trust. Read by the supervisor, which hands them to the edges, and by the command line
 * that checks them. In memory that is locked and never dumped; the caller owns it.
 */
#ifndef PROC_TLS_FILES_H
#define PROC_TLS_FILES_H

#include "proc/config.h"
#include "ticket/messages.h"

#include <limits.h>

enum { TLS_FILE_MAX = 1 << 20,
	TLS_KEY_FILE_MAX = 64 << 10 };

struct tls_file {
	enum secret_kind kind; /* SECRET_CERTIFICATE .. SECRET_TRUST */
	uint16_t number;
	char path[PATH_MAX];
	size_t len;
	uint8_t *text;
};

struct tls_files {
	bool tls13_only;
	uint32_t ask; /* enum tls_ask */
	uint32_t count;
	struct tls_file *file; /* by kind and number */
};

/* Read all that the configuration names. False: ret_why says which file, what is wrong, what to do. No TLS anywhere: count is 0. */
must_check bool tls_files_read(const struct config *c, struct tls_files **ret, char ret_why[CONFIG_WHY_MAX]);
/* The same files as they are now. */
must_check bool tls_files_read_again(const struct tls_files *old, struct tls_files **ret, char ret_why[CONFIG_WHY_MAX]);
/* One list of authorities ("": the system's), the caller's to free (sodium_free). False: ret_why says what to do. */
must_check bool tls_files_read_trust(const char *path, uint8_t **ret, size_t *ret_len, char ret_why[CONFIG_WHY_MAX]);
/* Can an edge use them? */
must_check bool tls_files_check(const struct tls_files *f, char ret_why[CONFIG_WHY_MAX]);
/* For the command line: what is wrong, or soon will be. */
void tls_files_report(const struct config *c, struct problems *problems);
void tls_files_free(struct tls_files **f);

#endif
