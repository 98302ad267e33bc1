/*
 * The filter: check the architecture, load the number, compare it with one call after the other in
 * the order of the table. The kernel works out once which numbers are allowed whatever their
 * arguments and does not run the filter for them (since 5.11). Any call then costs 40 ns more than
 * in a process without a filter, one with conditions 60: put the frequent ones of these first.
 *
 * Written by hand: libseccomp of Debian 12 has open advisories on the merging of 64-bit
 * comparisons.
 */
#include "core/sandbox_priv.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <unistd.h>

#ifndef __x86_64__
#error "the filter knows the system calls of x86-64"
#endif

enum {
	X32_BIT = 0x40000000,
	OFFSET_NR = 0,
	OFFSET_ARCH = 4,
	OFFSET_ARGS = 16,
	JUMP_MAX = 255,
};

struct filter {
	struct sock_filter *at;
	size_t length;
	bool broken;
};

static void
emit(struct filter *f, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
	if (f->length == SANDBOX_FILTER_MAX) {
		f->broken = true;
		return;
	}
	f->at[f->length++] = (struct sock_filter){code, jt, jf, k};
}

static void
emit_load(struct filter *f, uint32_t offset)
{
	emit(f, BPF_LD | BPF_W | BPF_ABS, 0, 0, offset);
}

static void
emit_return(struct filter *f, uint32_t answer)
{
	emit(f, BPF_RET | BPF_K, 0, 0, answer);
}

/* The jump at `jump`, when it does not match, goes to what is emitted next. */
static void
land_mismatch(struct filter *f, size_t jump)
{
	size_t distance = f->length - jump - 1;

	if (f->broken || distance > JUMP_MAX)
		f->broken = true;
	else
		f->at[jump].jf = (uint8_t)distance;
}

/* One 32-bit half of an argument. Returns where its jump is. */
static size_t
emit_half(struct filter *f, uint32_t offset, uint32_t mask, uint32_t value)
{
	emit_load(f, offset);
	if (mask != UINT32_MAX)
		emit(f, BPF_ALU | BPF_AND | BPF_K, 0, 0, mask);
	emit(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, value);
	return f->length - 1;
}

static uint64_t
value_of(const struct sandbox_arg *arg)
{
	return arg->value == SANDBOX_SELF ? (uint64_t)getpid() : arg->value;
}

/* Little endian: the lower half comes first. */
static size_t
emit_arg(struct filter *f, const struct sandbox_arg *arg, size_t jumps[2])
{
	uint32_t offset = OFFSET_ARGS + 8u * arg->index;
	uint64_t value = value_of(arg);
	size_t count = 0;

	if (arg->index > 5 || (value & ~arg->mask))
		f->broken = true; /* could never match */
	if ((uint32_t)arg->mask)
		jumps[count++] = emit_half(f, offset, (uint32_t)arg->mask, (uint32_t)value);
	if (arg->mask >> 32)
		jumps[count++] =
			emit_half(f, offset + 4, (uint32_t)(arg->mask >> 32), (uint32_t)(value >> 32));
	return count;
}

static void
emit_rule(struct filter *f, const struct sandbox_rule *rule)
{
	size_t jumps[2 * SANDBOX_ARGS_MAX], count = 0;

	for (size_t i = 0; i < SANDBOX_ARGS_MAX && rule->args[i].mask; i++)
		count += emit_arg(f, &rule->args[i], &jumps[count]);
	emit_return(f, rule->answer == SANDBOX_ALLOW ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | EACCES);
	for (size_t i = 0; i < count; i++)
		land_mismatch(f, jumps[i]);
}

static bool
seen_before(const struct sandbox *s, size_t rule)
{
	for (size_t i = 0; i < rule; i++)
		if (s->rules[i].nr == s->rules[rule].nr)
			return true;
	return false;
}

/* All rules of one call, which end in an answer on every path. */
static void
emit_call(struct filter *f, const struct sandbox *s, size_t first, uint32_t otherwise)
{
	size_t jump = f->length;

	emit(f, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, (uint32_t)s->rules[first].nr);
	for (size_t i = first; i < s->rule_count; i++)
		if (s->rules[i].nr == s->rules[first].nr)
			emit_rule(f, &s->rules[i]);
	emit_return(f, otherwise);
	land_mismatch(f, jump);
}

size_t
sandbox_compile(
	const struct sandbox *s, uint32_t otherwise, struct sock_filter out[SANDBOX_FILTER_MAX])
{
	struct filter f = {out, 0, false};

	emit_load(&f, OFFSET_ARCH);
	emit(&f, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AUDIT_ARCH_X86_64);
	emit_return(&f, SECCOMP_RET_KILL_PROCESS);
	emit_load(&f, OFFSET_NR);
	emit(&f, BPF_JMP | BPF_JGE | BPF_K, 0, 1, X32_BIT);
	emit_return(&f, SECCOMP_RET_KILL_PROCESS);
	for (size_t i = 0; i < s->rule_count; i++)
		if (!seen_before(s, i))
			emit_call(&f, s, i, otherwise);
	emit_return(&f, otherwise);
	return f.broken ? 0 : f.length;
}

size_t
sandbox_count_allowed(const struct sandbox *s)
{
	size_t count = 0;

	for (size_t i = 0; i < s->rule_count; i++) {
		bool counted = false;

		for (size_t j = 0; j < i; j++)
			counted |= s->rules[j].nr == s->rules[i].nr && s->rules[j].answer == SANDBOX_ALLOW;
		count += !counted && s->rules[i].answer == SANDBOX_ALLOW;
	}
	return count;
}
