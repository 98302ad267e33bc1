/* What tests of the pipeline say: requests of customers, and what a provider is asked and answers. One rig for all of it. */
#ifndef LOOPBACK_TALK_H
#define LOOPBACK_TALK_H

#include "loopback/rig.h"

extern struct rig r;
extern char talk_out[RIG_OUT_MAX]; /* what was read last: a request, or an answer */
extern char talk_other_key[API_KEY_BYTES + 1]; /* of another account, which has a dollar */
extern int talk_asked; /* connections to providers so far */

/* With two accounts. */
void talk_open(const char *catalogue);
/* A client of its own, which has sent this; headers: whole lines. body: NULL, or text with its length. */
int talk_ask(const char *key, const char *line, const char *headers, const char *body);
/* The next connection to a provider, which was asked so. */
int talk_provider_sees(const char *line);
/* Its answer; lines: further ones of its head. The connection is closed. */
void talk_provider_says(int p, const char *status, const char *lines, const char *body);
/* The client's answer, its connection closed: its body. */
const char *talk_client_gets(int c, const char *status);
/* The value of the header field of talk_out, or of the string of that name wherever it first stands in a body. */
void talk_field(const char *name, char ret[1024]);
void talk_member(const char *body, const char *name, char ret[1024]);
/* Has the operator been told of that, since the last look? */
bool talk_reported(enum event_id event);

#endif
