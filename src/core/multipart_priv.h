/* What the two halves of the multipart parser share. Private to src/core. */
#ifndef CORE_MULTIPART_PRIV_H
#define CORE_MULTIPART_PRIV_H

#include "core/multipart.h"

/* Reads the header lines in m->head (with the empty line): name, file. */
must_check enum multipart_error multipart_head(struct multipart *m);

#endif
