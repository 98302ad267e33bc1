/*
 * A gzip stream (RFC 1952) of stored blocks: true gzip without a compressor, because a gateway
 * that asked for no coding must cope with one, whatever its ratio. Pure.
 */
#ifndef SIM_GZIP_H
#define SIM_GZIP_H

#include "core/text.h"

struct sim_gzip {
	bool begun;
	uint32_t crc, bytes;
};

/*
 * Adds the bytes, and with `last` the end of the stream. Grows by at most 32 bytes plus 5 per
 * 65,535.
 */
void sim_gzip_add(struct sim_gzip *g, struct span bytes, bool last, struct text *t);

#endif
