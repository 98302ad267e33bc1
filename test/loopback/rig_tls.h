/*
 * The rig with TLS on both sides: tests go on in clear text, and a bridge between each of their connections and the edge's speaks TLS. All of OpenSSL
 * lies in a vault of the rig's, which outlives the edges.
 */
#ifndef LOOPBACK_RIG_TLS_H
#define LOOPBACK_RIG_TLS_H

#include "loopback/rig.h"

enum bridge_kind { BRIDGE_CLIENT,
	BRIDGE_PROVIDER };

bool rig_tls_wanted(void); /* RIG_TLS in the environment */
bool rig_tls_is_h2(void); /* RIG_H2: and both ends choose HTTP/2 */
/* Certificates and trust for the edge, before GO. */
void rig_tls_hand_over(struct rig *r);
/* The test's end of a bridge whose other end is this socket, which it owns. */
int rig_tls_bridge(enum bridge_kind kind, int sealed);
/* Move what there is, both ways. False: nothing. */
bool rig_tls_move(void);
void rig_tls_close(struct rig *r);

/* For tests that are an end of TLS themselves. */
struct tls_server *rig_tls_server(void);
struct tls_client *rig_tls_client(void);
/* The edge's end of a line to the signer, which has the key of the rig's certificate. The caller owns it. */
int rig_tls_signer_line(void);
/* A piece of what the edge is handed over. */
void rig_tls_hand(struct rig *r, enum secret_kind kind, const char *pem);
const char *rig_tls_pem(enum secret_kind kind);

#endif
