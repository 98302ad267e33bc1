/*
 * The supervisor's part of TLS: certificates and trust to the edges, their private keys to the signer of the same generation and to nobody else, keys of
 * session tickets.
 */
#ifndef PROC_TLS_HAND_H
#define PROC_TLS_HAND_H

#include "proc/supervisor_priv.h"

/* A PEM text, in pieces. */
must_check bool tls_send_text(struct child *c, enum secret_kind kind, uint16_t number, const uint8_t *text, size_t len);
/* A signer is one only where there are certificates; all others are wanted always. */
bool child_is_wanted(const struct child *c);
/* The first key for session tickets, once there is a listener with TLS. */
void tls_begin(struct supervisor *s, const struct supervisor_plan *plan);
/* To an edge or a signer that starts, before its GO. */
must_check bool tls_hand_over(struct child *c);
/* The signer holds what it was handed: now the edges get the certificates. One that has started is handed what is on its way. */
void tls_keys_held(struct child *signer, const struct message_held *m);
void tls_signer_ready(struct child *signer);
/* SIGHUP: what has changed on disk is handed to all that serve. False: it can't be used, and is told. */
must_check bool tls_renew(struct supervisor *s);

#endif
