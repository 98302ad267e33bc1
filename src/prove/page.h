/*
 * The report of `lethe prove` as a page that needs nothing else, and its signature: Ed25519 with a key of the installation, which is made when there
 * is none yet. Command line only.
 */
#ifndef PROVE_PAGE_H
#define PROVE_PAGE_H

#include "core/base.h"

#include <jansson.h>

/*
 * Writes the page to path, and path.sig beside it: 64 bytes over all of the page. Key: prove.key and prove.pub (PEM) in that folder. False: why says
 * what to do.
 */
must_check bool page_write(const json_t *report, const char *path, const char *key_folder, char why[600]);

/* The key is there, or was made. */
must_check bool page_can_be_signed(const char *key_folder, char why[600]);

#endif
