/*
 * Builds with the program and runs then: the kept merges of a vocabulary (tool/tokenizers.ts) become a table for the linker.
 *   bpe_table NAME BITS IN OUT.S
 */
#include "dialect/bpe_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MERGE_BYTES = 6,
	PER_LINE = 8 };

static int
fail(const char *what)
{
	fprintf(stderr, "bpe_table: %s\n", what);
	return 1;
}

static uint32_t
number(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
}

/* False: it can't be that table. */
static bool
fill(const unsigned char *in, size_t len, uint64_t *table, unsigned bits)
{
	uint32_t mask = (1u << bits) - 1, token = BPE_BYTES;
	if (len < BPE_BYTES || (len - BPE_BYTES) % MERGE_BYTES || (len - BPE_BYTES) / MERGE_BYTES >= mask)
		return false;
	for (const unsigned char *p = in + BPE_BYTES; p < in + len; p += MERGE_BYTES, token++) {
		uint32_t left = number(p), right = number(p + 3);
		if (left >= token || right >= token)
			return false;
		uint64_t pair = bpe_pair(left, right);
		uint32_t slot = bpe_slot(pair, bits);
		while (table[slot] != BPE_EMPTY)
			slot = (slot + 1) & mask;
		table[slot] = pair << BPE_TOKEN_BITS | token;
	}
	return true;
}

static void
write_symbol(FILE *to, const char *name, const char *part)
{
	fprintf(to, "\t.balign 64\n\t.globl bpe_%s_%s\n\t.type bpe_%s_%s, @object\nbpe_%s_%s:\n", name, part, name, part, name, part);
}

static bool
write_all(FILE *to, const char *name, const unsigned char *bytes, const uint64_t *table, unsigned bits)
{
	fprintf(to, "\t.section .rodata\n");
	write_symbol(to, name, "bytes");
	for (unsigned i = 0; i < BPE_BYTES; i++)
		fprintf(to, "\t.byte %u\n", bytes[i]);
	fprintf(to, "\t.size bpe_%s_bytes, %d\n", name, BPE_BYTES);
	write_symbol(to, name, "pairs");
	for (size_t i = 0; i < (size_t)1 << bits; i++)
		fprintf(to, "%s0x%llx%s", i % PER_LINE ? "," : "\t.quad ", (unsigned long long)table[i], i % PER_LINE == PER_LINE - 1 ? "\n" : "");
	fprintf(to, "\t.size bpe_%s_pairs, %zu\n", name, sizeof *table << bits);
	fprintf(to, "\t.section .note.GNU-stack,\"\",@progbits\n");
	return fclose(to) == 0;
}

int
main(int argc, char **argv)
{
	enum { IN_MAX = 4 << 20 };
	static unsigned char in[IN_MAX];
	if (argc != 5)
		return fail("wants a name, the table's size as an exponent of two, a file of merges, and where to write");
	unsigned bits = (unsigned)strtoul(argv[2], NULL, 10);
	if (bits < 8 || bits > BPE_TOKEN_BITS)
		return fail("the exponent is out of range");
	FILE *from = fopen(argv[3], "rb");
	if (!from)
		return fail("can't read the merges");
	size_t len = fread(in, 1, sizeof in, from);
	fclose(from);
	uint64_t *table = malloc(sizeof *table << bits);
	if (!table)
		return fail("no memory");
	memset(table, 0xff, sizeof *table << bits);
	FILE *to = fill(in, len, table, bits) ? fopen(argv[4], "w") : NULL;
	if (!to)
		return fail("these are no merges that fit, or there is no place to write to");
	bool written = write_all(to, argv[1], in, table, bits);
	free(table);
	return written ? 0 : fail("can't write");
}
