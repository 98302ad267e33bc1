/* Small words that every folder uses. Any process; owns nothing. */
#ifndef CORE_BASE_H
#define CORE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Builds that keep nothing back: they show what lockdown, secret memory and wiping cost (meson option `bare`, ./dev bench lockdown). They say so, and nothing of
 * them is released.
 */
#ifdef LETHE_BARE
#include <string.h>
#define BARE true
#define explicit_bzero(at, bytes) ((void)(at), (void)(bytes))
#else
#define BARE false
#endif

#define must_check __attribute__((warn_unused_result))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Bytes that somebody else owns; not terminated. */
struct span {
	const char *at;
	size_t len;
};

#define SPAN(literal) ((struct span){(literal), sizeof(literal) - 1})
/* The same where an initialiser must be constant. */
#define SPAN_INIT(literal) \
	{ \
		(literal), sizeof(literal) - 1 \
	}

#endif
