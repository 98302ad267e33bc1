/* Between the parts of the doctor. */
#ifndef PROC_DOCTOR_PRIV_H
#define PROC_DOCTOR_PRIV_H

#include "proc/doctor.h"

enum { DOCTOR_BYTES_MAX = 32 };

void doctor_say(struct fact *f, enum fact_state state, const char *format, ...) __attribute__((format(printf, 3, 4)));
void doctor_advise(struct fact *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A small file of the kernel, below the root; empty when there is none. */
void doctor_read(const struct doctor *d, const char *path, char *out, size_t cap);
void doctor_bytes(uint64_t bytes, char out[DOCTOR_BYTES_MAX]);

/* doctor_disk.c */
void doctor_look_at_swap(const struct doctor *d, struct fact *f);
void doctor_look_at_disk(const struct doctor *d, struct fact *f);
void doctor_look_at_mode(const struct doctor *d, struct fact *f);
void doctor_look_at_store(const struct doctor *d, struct fact *f);

/* doctor_books.c */
void doctor_look_at_books(const struct doctor *d, struct fact *f);

/* doctor_tls.c */
void doctor_look_at_providers(const struct doctor *d, struct fact *f);
void doctor_look_at_certificates(const struct doctor *d, struct fact *f);

#endif
