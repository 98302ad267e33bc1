/* The supervisor's part of TLS: it hands certificates, keys and trust to the edges, and makes the keys that seal session tickets. */
#include "proc/supervisor_priv.h"

#include <sodium.h>
#include <string.h>

static bool
send_piece(struct child *c, const struct tls_file *f, size_t at)
{
	struct message_secret m = MESSAGE_INIT(SECRET, message_secret);
	size_t rest = f->len - at;
	m.kind = (uint16_t)f->kind;
	m.provider = f->number;
	m.key = (uint16_t)(at / SECRET_BYTES_MAX);
	m.secret_bytes = (uint16_t)(rest < SECRET_BYTES_MAX ? rest : SECRET_BYTES_MAX);
	m.more = m.secret_bytes < rest;
	memcpy(m.secret, f->text + at, m.secret_bytes);
	bool sent = port_send(&c->port, &m, sizeof m, -1) == IPC_OK;
	sodium_memzero(&m, sizeof m);
	return sent;
}

static bool
send_files(struct child *c, const struct tls_files *files)
{
	for (uint32_t i = 0; i < files->count; i++)
		for (size_t at = 0; at < files->file[i].len; at += SECRET_BYTES_MAX)
			if (!send_piece(c, &files->file[i], at))
				return false;
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

bool
tls_renew(struct supervisor *s)
{
	struct generation *g = s->now;
	if (!g->tls || g->tls->count == 0)
		return true;
	struct tls_files *fresh = read_again(s);
	if (!fresh)
		return false;
	if (g->tls != g->plan->tls)
		tls_files_free(&g->tls);
	g->tls = fresh;
	for (uint32_t i = 0; i < s->child_count; i++) {
		struct child *c = &s->child[i];
		if (!child_is_edge(c) || c->pid == 0 || c->own != g)
			continue;
		if (send_files(c, g->tls))
			child_tell(c, MESSAGE_TLS_RENEWED);
	}
	return true;
}
