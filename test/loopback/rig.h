/*
 * A whole gateway in one thread: a real edge, a real ledger on a real SQLite file, a real board; clients and providers are the other ends of socket
 * pairs, turned by hand under a clock of our own. For tests of the pipeline; one rig at a time.
 */
#ifndef LOOPBACK_RIG_H
#define LOOPBACK_RIG_H

#include "edge/edge_priv.h"
#include "ledger/ledger.h"
#include "proc/config.h"
#include "ticket/byok.h"

#include <sys/socket.h>
#include <sys/un.h>

enum { RIG_OUT_MAX = 1 << 20,
	RIG_DIALS_MAX = 64 };

struct rig {
	struct edge_process process;
	struct edge *edge;
	struct ledger *ledger;
	struct config *config;
	struct catalogue *catalogue;
	struct counters counters;
	struct problems *problems;
	struct board *ledger_board; /* the ledger's own handle */
	void *board_memory, *key_memory;
	char dir[64];
	char key[API_KEY_BYTES + 1];
	char account[32];
	uint8_t pepper[API_KEY_PEPPER_BYTES]; /* and the master key */
	uint8_t byok_public[BYOK_PUBLIC_BYTES];
	int supervisor, dialer, scribe, ledger_end; /* our ends */
	int provider[RIG_DIALS_MAX]; /* connections that the edge has asked for, in order */
	int dials;
	uint32_t edges; /* that the board has room for */
	bool deaf; /* the ledger hears nothing of edges */
	int puts_off, put_off; /* orders about work of edges, and lists, that it answers by WORK_LATER or LIST_FAILED; and has */
	bool refuse_dials, dialer_rests; /* … or it reads nothing */
	uint32_t refuse, leave; /* a bit for each provider: its connections are refused, or nobody answers */
	bool tls; /* on both sides of the edge (rig_tls.h) */
	bool bare; /* tls: the test speaks it itself */
	int listener;
	struct sockaddr_un address; /* of the listener */
	socklen_t address_bytes;
};

/* With the usual catalogue, or another configuration. dollars: what the account has. */
void rig_open(struct rig *r, const char *dollars, enum durability durability);
void rig_open_with(struct rig *r, const char *catalogue, const char *dollars, enum durability durability);
/* One edge of several, with circuits that they have in common. */
void rig_open_among(struct rig *r, uint32_t index, uint32_t edges, struct circuits *circuits);
void rig_close(struct rig *r);

/* Turn until nothing moves: edge, dialer and (book) ledger. */
void rig_turn(struct rig *r);
void rig_book(struct rig *r);
/* A message without a body, and the fresh end of an arrow whose neighbour was started anew. */
void rig_tell(struct rig *r, enum message_type type);
void rig_renew(struct rig *r, enum message_end role);
/* Let time pass; timers fire. */
void rig_pass(struct rig *r, uint64_t ms);

/* What the ledger would send an edge to look at after so long. False: nothing. */
must_check bool rig_errand(struct rig *r, uint64_t later_ms);

/* A new client connection: our end, non-blocking. */
int rig_client(struct rig *r);
/* The same over TCP, in clear text: unlike a Unix socket's, its end comes behind what it has sent, and not before there is room for that. */
int rig_tcp_client(struct rig *r);
/* The same by way of the listener; it waits there until the edge accepts. */
int rig_connect(struct rig *r);
/* The n-th connection to a provider, after turning. -1: none. */
int rig_provider(struct rig *r, int n);

/* Send all, turning as needed; read what is there now into out, terminated; *ret_eof: the other end has closed. */
void rig_send(struct rig *r, int fd, const char *bytes, size_t len);
size_t rig_read(struct rig *r, int fd, char *out, bool *ret_eof);

/* A chat request with this body, our key, and extra header lines ("a: b\r\n"). Returns its length. */
size_t rig_request(const struct rig *r, const char *body, const char *headers, char *out);

/* Take all free memory of the edge's in blocks of these sizes; give back every n-th block of a size, or with 0 of all sizes. */
void rig_hoard(struct rig *r, size_t most, size_t least);
void rig_give_back(struct rig *r, size_t bytes, size_t nth);

/* Money: booked so far, in nano; and the books as a whole (verify, board). */
int64_t rig_balance(struct rig *r);
long rig_tickets(struct rig *r);
void rig_check_books(struct rig *r);
json_t *rig_control(struct rig *r, json_t *request); /* takes the request */
/* As `lethe byok add` does it. master: NULL, or another one than ours. */
void rig_own_key(struct rig *r, const char *account, const char *provider, const char *secret, bool fallback, const uint8_t *master);

#endif
