/* SANITIZED: whether this was built with the address sanitizer, by gcc or by clang (1 or 0). For all code; nothing of such a build is shipped. */
#ifndef CORE_SANITIZED_H
#define CORE_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
