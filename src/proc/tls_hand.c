#include "proc/tls_hand.h"

#include <signal.h>
#include <sodium.h>
#include <string.h>

static bool
send_piece(struct child *c, enum secret_kind kind, uint16_t number, const uint8_t *text, size_t len, size_t at)
{
	struct message_secret m = MESSAGE_INIT(SECRET, message_secret);
	size_t rest = len - at;
	m.kind = (uint16_t)kind;
	m.provider = number;
	m.key = (uint16_t)(at / SECRET_BYTES_MAX);
	m.secret_bytes = (uint16_t)(rest < SECRET_BYTES_MAX ? rest : SECRET_BYTES_MAX);
	m.more = m.secret_bytes < rest;
	memcpy(m.secret, text + at, m.secret_bytes);
	bool sent = port_send(&c->port, &m, sizeof m, -1) == IPC_OK;
	sodium_memzero(&m, sizeof m);
	return sent;
}

bool
tls_send_text(struct child *c, enum secret_kind kind, uint16_t number, const uint8_t *text, size_t len)
{
	for (size_t at = 0; at < len; at += SECRET_BYTES_MAX)
		if (!send_piece(c, kind, number, text, len, at))
			return false;
	return true;
}

/* Private keys are for the signer, all else is for edges. */
static bool
is_for(const struct child *c, const struct tls_file *f)
{
	return (f->kind == SECRET_CERTIFICATE_KEY) == (c->role->end == END_OF_SIGNER);
}

static bool
send_files(struct child *c, const struct tls_files *files)
{
	for (uint32_t i = 0; i < files->count; i++) {
		const struct tls_file *f = &files->file[i];
		if (is_for(c, f) && !tls_send_text(c, f->kind, f->number, f->text, f->len))
			return false;
	}
	return true;
}

static bool
send_ticket_key(struct child *c, const struct tls_ticket_key *key)
{
	struct message_secret m = MESSAGE_INIT(SECRET, message_secret);
	m.kind = SECRET_TICKET_KEY;
	m.secret_bytes = sizeof *key;
	memcpy(m.secret, key, sizeof *key);
	bool sent = port_send(&c->port, &m, sizeof m, -1) == IPC_OK;
	sodium_memzero(&m, sizeof m);
	return sent;
}

bool
tls_hand_over(struct child *c)
{
	struct supervisor *s = c->s;
	if (!send_files(c, c->own->tls))
		return false;
	if (c->role->end == END_OF_SIGNER)
		return true;
	for (uint32_t i = s->tickets.count; i > 0; i--) /* the newest last: that one seals */
		if (!send_ticket_key(c, &s->tickets.key[i - 1]))
			return false;
	return true;
}

/* ---- ticket keys ---- */

static void
new_ticket_key(struct supervisor *s)
{
	struct tls_ticket_keys *t = &s->tickets;
	memmove(t->key + 1, t->key, sizeof t->key - sizeof t->key[0]);
	randombytes_buf(t->key, sizeof t->key[0]);
	if (t->count < TLS_TICKET_KEYS)
		t->count++;
}

static void
rotate_fired(struct timer *t)
{
	struct supervisor *s = container_of(t, struct supervisor, rotate);
	new_ticket_key(s);
	for (uint32_t i = 0; i < s->child_count; i++)
		if (child_is_edge(&s->child[i]) && s->child[i].pid > 0)
			(void)!send_ticket_key(&s->child[i], &s->tickets.key[0]); /* who misses it only finds that a session is not resumed */
	timer_arm(&s->loop, t, s->loop.now_ms + s->plan->ticket_rotation_ms, rotate_fired);
}

void
tls_begin(struct supervisor *s, const struct supervisor_plan *plan)
{
	if (plan->edge_tls.listeners == 0 || s->tickets.count > 0)
		return;
	new_ticket_key(s);
	timer_arm(&s->loop, &s->rotate, s->loop.now_ms + plan->ticket_rotation_ms, rotate_fired);
}

/* ---- renewal ---- */

/* What can't be used is told, and everything stays as it is: a certificate that is about to expire is better than none. */
static struct tls_files *
read_again(struct supervisor *s)
{
	struct tls_files *fresh = NULL;
	char why[CONFIG_WHY_MAX];
	if (tls_files_read_again(s->now->tls, &fresh, why) && tls_files_check(fresh, why))
		return fresh;
	tls_files_free(&fresh);
	reload_note(s, "certificates are not renewed: ", why);
	return NULL;
}

static struct child *
signer_of(struct generation *g)
{
	struct supervisor *s = g->s;
	for (uint32_t i = 0; i < s->child_count; i++)
		if (s->child[i].role->end == END_OF_SIGNER && s->child[i].own == g)
			return &s->child[i];
	return NULL;
}

static void
renew_edges(struct generation *g)
{
	struct supervisor *s = g->s;
	g->keys_awaited = 0;
	for (uint32_t i = 0; i < s->child_count; i++) {
		struct child *c = &s->child[i];
		if (!child_is_edge(c) || c->pid == 0 || c->own != g)
			continue;
		if (send_files(c, g->tls))
			child_tell(c, MESSAGE_TLS_RENEWED);
	}
}

static void
put_in_force(struct generation *g)
{
	if (g->tls != g->plan->tls)
		tls_files_free(&g->tls);
	g->tls = g->tls_next;
	g->tls_next = NULL;
	renew_edges(g);
}

/* One that starts is handed what is in force, and these when it is ready. One that does not take them whole starts anew. */
static void
hand_keys(struct generation *g, struct child *signer)
{
	enum { TRIES = 2 };
	struct message_plain m = MESSAGE_INIT(KEYS_RENEWED, message_plain);
	if (signer->state != CHILD_UP)
		return;
	if (g->keys_tried++ == TRIES) {
		reload_note(g->s, "certificates are not renewed: ", "signers end over their keys");
		tls_files_free(&g->tls_next);
	} else if (send_files(signer, g->tls_next) && port_send(&signer->port, &m, sizeof m, -1) == IPC_OK)
		g->keys_awaited++;
	else
		kill(signer->pid, SIGKILL);
}

void
tls_keys_held(struct child *signer, const struct message_held *m)
{
	struct generation *g = signer->own;
	if (g->keys_awaited == 0 || --g->keys_awaited > 0 || !g->tls_next)
		return;
	if (m->refused) /* what it had stays in force, for its successors too */
		tls_files_free(&g->tls_next);
	else
		put_in_force(g);
}

void
tls_signer_ready(struct child *signer)
{
	struct generation *g = signer->own;
	g->keys_awaited = 0;
	if (g->tls_next)
		hand_keys(g, signer);
}

bool
child_is_wanted(const struct child *c)
{
	if (c->role->end != END_OF_SIGNER)
		return true;
	const struct tls_files *f = c->own->tls;
	for (uint32_t i = 0; f && i < f->count; i++)
		if (f->file[i].kind == SECRET_CERTIFICATE_KEY)
			return true;
	return false;
}

bool
tls_renew(struct supervisor *s)
{
	struct generation *g = s->now;
	if (!g->tls || g->tls->count == 0)
		return true;
	struct tls_files *fresh = read_again(s);
	if (!fresh)
		return false;
	tls_files_free(&g->tls_next);
	g->tls_next = fresh;
	g->keys_tried = 0;
	/* First the keys, and when they are held the certificates: an edge never shows one that nobody can sign for. */
	struct child *signer = signer_of(g);
	if (signer && child_is_wanted(signer))
		hand_keys(g, signer);
	else
		put_in_force(g);
	return true;
}
