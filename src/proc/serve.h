/*
 * `lethe serve`: the supervisor. Called by the command line with a checked configuration, which it may keep; returns the exit status when
 * the server has ended.
 */
#ifndef PROC_SERVE_H
#define PROC_SERVE_H

#include "proc/config.h"

must_check int serve_main(struct config *config, const char *data_dir);

#endif
