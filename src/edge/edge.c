#include "edge/edge_priv.h"
#include "edge/connect.h"
#include "edge/upstream.h"

#include "core/ipc.h"
#include "core/merkle.h"
#include "edge/door.h"
#include "edge/duplex.h"
#include "edge/h2.h"
#include "edge/byok.h"
#include "edge/known_keys.h"
#include "edge/models.h"
#include "edge/question.h"
#include "edge/receipt.h"
#include "edge/receipt_inline.h"
#include "edge/relay.h"
#include "edge/spare.h"
#include "edge/work.h"
#include "ticket/receipt.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* At a time, of all edges: one that is silent takes neither the others' turns at the dialer, which has twice DIALS_MOST of each, nor all of its descriptors. */
enum { DIALS_PER_PROVIDER = 1024,
	DIALS_MOST = 512, /* of one edge's */
	DIALS_LEAST = 64 };

struct listener {
	struct watch watch;
	struct edge *edge;
	struct door door;
};

void
edge_report(struct edge *e, enum event_id event, uint64_t a, uint64_t b)
{
	edge_report_three(e, event, a, b, 0);
}

void
edge_report_three(struct edge *e, enum event_id event, uint64_t a, uint64_t b, uint64_t c)
{
	struct message_event m = MESSAGE_INIT(EVENT, message_event);
	m.event = (uint16_t)event;
	m.role = END_OF_EDGE;
	m.instance = (uint16_t)e->p->index;
	m.numbers[0] = a;
	m.numbers[1] = b;
	m.numbers[2] = c;
	/* A full queue loses the report, never the exchange; the counters still tell. */
	(void)!ipc_send(e->p->scribe_fd, &m, sizeof m, -1);
}

uint64_t
edge_wall_ms(const struct edge *e)
{
	return e->loop.now_ms + e->wall_offset_ms;
}

static void listener_ready(struct watch *w);

static void
watch_anew(struct edge *e, struct watch *w)
{
	int fd = w->fd;
	loop_forget(&e->loop, w);
	if (!loop_watch_listener(&e->loop, w, fd, listener_ready))
		edge_pause_listeners(e, TICK_MS);
}

static void
listener_ready(struct watch *w)
{
	struct listener *l = container_of(w, struct listener, watch);
	struct edge *e = l->edge;
	door_accept(e, w->fd, &l->door);
	/* Of the edges that rest, the kernel wakes the one that has watched longest. Whoever has accepted goes to the end of the line, or one would get all. */
	if (e->several && w->fd >= 0)
		watch_anew(e, w);
}

/*
 * Of a connection the kernel tells one edge that rests. If that one does not take it, as its memory ran out in the turn that this woke it for, the others are not told. Who
 * begins to watch sees what waits: they do so again each tick.
 */
static void
look_outside(struct edge *e)
{
	for (uint32_t i = 0; e->several && e->go && i < e->p->listen_count && !e->accept_at_ms; i++)
		if (e->listeners[i].watch.fd >= 0)
			watch_anew(e, &e->listeners[i].watch);
}

/* ---- ending ---- */

void
edge_stop(struct edge *e)
{
	e->draining = true;
	while (e->exchanges)
		exchange_end(e->exchanges, END_INTERRUPTED);
	while (e->clients)
		client_close(e->clients);
	e->loop.stop = true;
}

static void
close_listeners(struct edge *e)
{
	for (uint32_t i = 0; i < e->p->listen_count; i++)
		if (e->listeners && e->listeners[i].watch.fd >= 0)
			loop_forget(&e->loop, &e->listeners[i].watch);
}

void
edge_pause_listeners(struct edge *e, uint64_t ms)
{
	close_listeners(e);
	e->accept_at_ms = e->loop.now_ms + ms;
}

bool
edge_may_accept(const struct edge *e)
{
	return e->connections + 2 <= e->p->limits.connections && edge_has_room(e);
}

/* Paused before it rests: the kernel would wake this one for a connection, and tell none of those that could take it. */
static void
tend_listeners(struct edge *e)
{
	if (e->draining || e->retiring)
		return;
	bool may = edge_may_accept(e);
	if (!may && !e->accept_at_ms)
		edge_pause_listeners(e, 0);
	if (!may || !e->accept_at_ms || e->loop.now_ms < e->accept_at_ms)
		return;
	e->accept_at_ms = 0;
	for (uint32_t i = 0; i < e->p->listen_count; i++)
		if (!loop_watch_listener(&e->loop, &e->listeners[i].watch, e->p->listen_fds[i], listener_ready)) {
			edge_pause_listeners(e, TICK_MS);
			return;
		}
}

/* For good: a port that is no longer served must not keep a queue because an old edge still has it. */
static void
drop_listeners(struct edge *e)
{
	close_listeners(e);
	for (uint32_t i = 0; i < e->p->listen_count && e->listeners; i++)
		close(e->p->listen_fds[i]);
	e->p->listen_count = 0;
}

static void
end_within(struct edge *e, uint64_t within_ms)
{
	uint64_t at = e->loop.now_ms + within_ms;
	if (!e->stop_at_ms || at < e->stop_at_ms)
		e->stop_at_ms = at;
}

/* Accept nothing new; idle connections go, running exchanges may finish until the time is over. */
static void
drain(struct edge *e, uint64_t within_ms)
{
	end_within(e, within_ms);
	if (e->draining)
		return;
	e->draining = true;
	drop_listeners(e);
	for (struct client *c = e->clients, *next; c; c = next) {
		next = c->next;
		if (c->h2 ? h2_drain(c) : !c->x && !c->conn.out.at)
			client_close(c);
	}
}

/*
 * The edges of a new generation accept. Nobody who is connected here may notice: who asks is answered, and hears that the connection ends
 * after it. Idle connections stay a while: one that ended just when its client sends a request would fail it.
 */
static void
retire(struct edge *e)
{
	end_within(e, e->p->timeouts.drain);
	if (e->draining || e->retiring)
		return;
	e->retiring = true;
	drop_listeners(e);
	for (struct client *c = e->clients; c; c = c->next)
		client_retire(c);
}

static void
look_whether_done(struct edge *e)
{
	if ((e->draining || e->retiring) && ((!e->clients && !e->exchanges) || e->loop.now_ms >= e->stop_at_ms))
		edge_stop(e);
}

/* ---- memory ---- */

bool
edge_has_room(const struct edge *e)
{
	struct vault_facts facts;
	vault_facts(e->vault, &facts);
	return facts.ready_bytes - facts.used_bytes >= 4 * READ_BYTES;
}

bool
edge_has_room_for_tls(const struct edge *e)
{
	struct vault_facts facts;
	uint64_t handshakes = e->shaking[false] + e->shaking[true] + 1;
	for (const struct exchange *x = e->wait_dialer.first; x; x = x->wait_next)
		handshakes++; /* soon */
	vault_facts(e->vault, &facts);
	return facts.ready_bytes - facts.used_bytes >= 4 * READ_BYTES + handshakes * TLS_HANDSHAKE_BYTES;
}

/* Who sends a hello and then nothing has its memory until `timeouts.head`: of them there are only so many, and the others' requests go on. */
bool
edge_has_room_for_hello(const struct edge *e)
{
	const struct edge_limits *l = &e->p->limits;
	return (e->shaking[false] + 1) * (uint64_t)TLS_HANDSHAKE_BYTES <= (l->content_bytes + l->library_bytes) / HANDSHAKES_SHARE && edge_has_room_for_tls(e);
}

static void
read_the_thirsty(struct edge *e)
{
	if (!e->thirsty || !edge_has_room(e))
		return;
	e->thirsty = false;
	for (struct client *c = e->clients; c; c = c->next)
		if (!c->x && (c->pending_len || c->conn.watch.flags & (LOOP_READABLE | LOOP_HANGUP)))
			loop_again(&e->loop, &c->conn.watch);
}

/* ---- what is looked at regularly ---- */

void
edge_date(struct text *t, uint64_t unix_s)
{
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t at = (time_t)unix_s;
	struct tm tm;
	gmtime_r(&at, &tm);
	text_add(t, days + tm.tm_wday * 3, 3);
	text_lit(t, ", ");
	char two[] = {(char)('0' + tm.tm_mday / 10), (char)('0' + tm.tm_mday % 10), ' '};
	text_add(t, two, 3);
	text_add(t, months + tm.tm_mon * 3, 3);
	text_lit(t, " ");
	text_u64(t, (uint64_t)tm.tm_year + 1900);
	char clock[] = {' ', (char)('0' + tm.tm_hour / 10), (char)('0' + tm.tm_hour % 10), ':', (char)('0' + tm.tm_min / 10),
		(char)('0' + tm.tm_min % 10), ':', (char)('0' + tm.tm_sec / 10), (char)('0' + tm.tm_sec % 10)};
	text_add(t, clock, sizeof clock);
	text_lit(t, " GMT");
}

static void
refresh_date(struct edge *e)
{
	struct text t = text_on(e->date, sizeof e->date);
	text_lit(&t, "date: ");
	edge_date(&t, edge_wall_ms(e) / 1000);
	text_lit(&t, "\r\n");
	assert(!t.cut);
	e->date_len = (uint32_t)t.len;
}

static void
tick(struct timer *t)
{
	struct edge *e = container_of(t, struct edge, tick);
	struct vault_facts facts;
	e->wall_offset_ms = clock_wall_us() / 1000 - e->loop.now_ms;
	refresh_date(e);
	block_settle(e);
	vault_tend(e->vault, e->loop.now_ms);
	visitors_tend(e->visitors, e->loop.now_ms);
	byok_tend(e);
	admit_tick(e);
	door_tell(e);
	look_outside(e);
	upstream_thin(e);
	vault_facts(e->vault, &facts);
	count_set(e->p->counters, vault_used_bytes, facts.used_bytes);
	count_set(e->p->counters, vault_mapped_bytes, facts.mapped_bytes);
	timer_arm(&e->loop, t, e->loop.now_ms + TICK_MS, tick);
}

/* Those who wait for the ledger's next round, or for their ticket to be on disk. */
static void
poll_rounds(struct timer *t)
{
	struct edge *e = container_of(t, struct edge, poll);
	uint64_t rounds = atomic_load(board_rounds(e->p->board));
	bool asleep = atomic_load(board_sleeping(e->p->board));
	struct exchange *x;
	while ((x = e->wait_booking.first) && (asleep || rounds >= x->wait_rounds)) /* who came later waits for no earlier round */
		reserve_retry(x);
	spare_poll(e);
	question_go_on(e);
	settle_poll_strict(e);
	receipt_inline_poll(e);
	relay_poll_paused(e);
}

void
edge_poll(struct edge *e)
{
	if (!e->poll.link)
		timer_arm(&e->loop, &e->poll, e->loop.now_ms + STRICT_POLL_MS, poll_rounds);
}

static void
want_memory(struct edge *e)
{
	vault_make_room(e->vault, e->wait_room.first || e->short_of_room || e->short_of_segments);
	e->short_of_room = false;
	size_t bytes = vault_wants_segment(e->vault);
	if (!bytes || e->loop.now_ms - e->segments_asked_ms < 100)
		return;
	struct message_segment m = MESSAGE_INIT(SEGMENT_WANTED, message_segment);
	m.segment_bytes = bytes;
	if (ipc_send(e->supervisor.fd, &m, sizeof m, -1) == IPC_OK)
		e->segments_asked_ms = e->loop.now_ms;
}

/* Heads hold keys. They are short and have no NUL: where a step begins with one, nothing was written. */
static void
wipe_text(char *at, size_t len)
{
	enum { STEP = 512 };
	for (; len && *at; at += STEP, len -= STEP)
		memset(at, 0, STEP);
}

static void
turn_end(struct loop *l)
{
	struct edge *e = l->turn_arg;
	if (e->takes_turns)
		conn_take_turns(e);
	count_set(e->p->counters, working_key, 0);
	if (e->in_used) { /* content of this turn */
		memset(e->in, 0, e->in_used);
		e->in_used = 0;
	}
	if (e->read && e->read->len) {
		memset(e->read->bytes, 0, e->read->len);
		e->read->len = 0;
	}
	if (e->together_used) {
		memset(e->together, 0, e->together_used);
		e->together_used = 0;
	}
	if (!e->go)
		return;
	wipe_text(e->head_out, HEAD_OUT_BYTES / 2);
	wipe_text(e->head_out + HEAD_OUT_BYTES / 2, HEAD_OUT_BYTES / 2);
	upstream_rest(e);
	tend_listeners(e);
	if (e->wait_memory.first)
		admit_turn(e);
	if (e->wait_room.first || e->dial_again)
		connect_go_on(e);
	want_memory(e);
	read_the_thirsty(e);
	bool wants_round = e->wait_booking.first || e->wait_ticket.first || e->wait_booked.first || e->wait_more.first;
	if (wants_round)
		board_want_round(e->desk);
	if (wants_round || e->wait_later.first || e->wait_inlined.first || e->dial_again)
		edge_poll(e);
	duplex_goodbye(e);
	look_whether_done(e);
}

/* ---- messages ---- */

static void
keep_secret(struct edge *e, const struct message_secret *m)
{
	assert(m->secret_bytes <= SECRET_BYTES_MAX);
	if (m->kind >= SECRET_CERTIFICATE && m->kind != SECRET_BYOK) {
		identity_take(e, m);
		return;
	}
	char *at = vault_alloc(e->vault, m->secret_bytes ? m->secret_bytes : 1);
	assert(at);
	memcpy(at, m->secret, m->secret_bytes);
	if (m->kind == SECRET_PEPPER) {
		assert(m->secret_bytes == API_KEY_PEPPER_BYTES);
		e->pepper = (uint8_t *)at;
		return;
	}
	if (m->kind == SECRET_RECEIPT) {
		assert(m->secret_bytes == RECEIPT_CODE_KEY_BYTES);
		e->receipt_key = (uint8_t *)at;
		return;
	}
	if (m->kind == SECRET_BYOK) {
		assert(m->secret_bytes == BYOK_SEED_BYTES);
		e->byok_seed = (uint8_t *)at;
		return;
	}
	assert(m->kind == SECRET_PROVIDER_KEY && m->provider < PROVIDERS_MAX && m->key < CATALOGUE_KEYS_MAX);
	e->key[m->provider][m->key] = (struct secret){at, m->secret_bytes};
}

/* All is handed over: from here nothing can be opened any more, and the first byte may come. */
static bool
go(struct edge *e)
{
	struct edge_process *p = e->p;
	e->in = vault_alloc(e->vault, CARRY_MAX + READ_BYTES);
	e->read = block_new(e, BLOCK_READ);
	e->head_out = vault_alloc(e->vault, HEAD_OUT_BYTES);
	e->together = vault_alloc(e->vault, TOGETHER_MAX);
	e->listeners = calloc(p->listen_count, sizeof *e->listeners);
	if (!e->in || !e->read || !e->head_out || !e->together || !e->pepper || !e->receipt_key || !e->byok_seed || !e->identity || !e->listeners || !models_prepare(e) || !identity_use(e))
		return false;
	if (!merkle_ready()) /* else its first digest, of a WebSocket's key perhaps, would open a configuration file, and end the process */
		return false;
	tick(&e->tick);
	p->lock_down(p->lock_down_arg);
	struct message_plain m = MESSAGE_INIT(READY, message_plain);
	if (ipc_send(e->supervisor.fd, &m, sizeof m, -1) != IPC_OK)
		return false;
	e->go = true;
	for (uint32_t i = 0; i < p->listen_count; i++) {
		e->listeners[i].edge = e;
		e->listeners[i].door = (struct door){.tls = p->tls.listeners >> i & 1, .proxied = p->proxies.listeners >> i & 1};
		if (!loop_watch_listener(&e->loop, &e->listeners[i].watch, p->listen_fds[i], listener_ready))
			return false;
	}
	return true;
}

static void dialer_ready(struct watch *w);
static void ledger_ready(struct watch *w);

static void
new_peer(struct edge *e, const struct message_peer *m, int fd)
{
	if (m->role == END_OF_SCRIBE) { /* only written to */
		close(e->p->scribe_fd);
		e->p->scribe_fd = fd;
		return;
	}
	if (m->role == END_OF_SIGNER) { /* read only when something was asked */
		close(e->p->signer_fd);
		e->p->signer_fd = fd;
		sign_line_renewed(&e->identity->line);
		return;
	}
	assert(m->role == END_OF_DIALER || m->role == END_OF_LEDGER);
	struct watch *w = m->role == END_OF_DIALER ? &e->dialer : &e->ledger;
	if (w->fd >= 0) {
		int old = w->fd;
		loop_forget(&e->loop, w);
		close(old);
	}
	bool watched = loop_watch(&e->loop, w, fd, m->role == END_OF_DIALER ? dialer_ready : ledger_ready);
	assert(watched);
	if (m->role == END_OF_DIALER)
		connect_ask_again(e);
	else {
		question_ask_again(e);
		receipt_inline_ask_again(e);
	}
}

static void
from_supervisor(struct edge *e, const void *message, int fd)
{
	const struct message_head *h = message;
	switch ((enum message_type)h->type) {
	case MESSAGE_SEGMENT: {
		const struct message_segment *m = message;
		assert(fd >= 0);
		(void)!vault_keep_segment(e->vault, fd, m->segment_bytes); /* owns the descriptor; more than the bound is not taken */
		e->segments_asked_ms = 0; /* if it is not enough, ask for the next at once */
		if (!e->identity)
			e->identity = vault_alloc(e->vault, sizeof *e->identity);
		return;
	}
	case MESSAGE_SECRET:
		keep_secret(e, message);
		return;
	case MESSAGE_GO:
		if (e->go || !go(e)) {
			e->status = 1;
			e->loop.stop = true;
		}
		return;
	case MESSAGE_PEER:
		assert(fd >= 0);
		new_peer(e, message, fd);
		return;
	case MESSAGE_TLS_RENEWED:
		edge_report(e, identity_use(e) ? EVENT_TLS_RENEWED : EVENT_TLS_REFUSED, e->p->index, 0);
		return;
	case MESSAGE_DRAIN:
		drain(e, e->p->timeouts.drain);
		return;
	case MESSAGE_RETIRE:
		retire(e);
		return;
	case MESSAGE_STOP:
		edge_stop(e);
		return;
	default:
		assert(!"a message that the supervisor doesn't send");
	}
}

/* All that a neighbour has sent. False: it has gone. */
static bool
receive(struct edge *e, struct watch *w, enum message_end from, void (*handle)(struct edge *e, const void *message, int fd))
{
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	for (;;) {
		size_t bytes;
		int fd = -1;
		if (w->fd < 0)
			return true;
		enum ipc_result r = ipc_recv(w->fd, buf, &bytes, &fd);
		if (r != IPC_OK)
			return r == IPC_AGAIN;
		bool known = message_check(buf, bytes, from, END_OF_EDGE, fd >= 0);
		assert(known);
		handle(e, buf, fd);
		explicit_bzero(buf, bytes);
	}
}

static void
supervisor_ready(struct watch *w)
{
	struct edge *e = container_of(w, struct edge, supervisor);
	if (receive(e, w, END_OF_SUPERVISOR, from_supervisor))
		return;
	loop_forget(&e->loop, w); /* it is dead: nobody restarts us, nobody hands anything over */
	if (e->go)
		drain(e, STOP_GRACE_MS);
	else
		e->loop.stop = true;
}

static void
from_dialer(struct edge *e, const void *message, int fd)
{
	const struct message_connected *m = message;
	assert(m->provider < e->p->catalogue->provider_count && (m->result == CONNECT_OK) == (fd >= 0));
	connect_done(e, m, fd);
}

/* Its successor's end comes by MESSAGE_PEER. */
static void
neighbour_gone(struct edge *e, struct watch *w)
{
	int fd = w->fd;
	loop_forget(&e->loop, w);
	close(fd);
}

static void
dialer_ready(struct watch *w)
{
	struct edge *e = container_of(w, struct edge, dialer);
	if (!receive(e, w, END_OF_DIALER, from_dialer))
		neighbour_gone(e, w);
}

static void
from_ledger(struct edge *e, const void *message, int fd)
{
	const struct message_head *h = message;
	if (h->type == MESSAGE_RECEIPT)
		receipt_came(e, message);
	else if (h->type == MESSAGE_BYOK)
		byok_came(e, message);
	else if (h->type == MESSAGE_WORK_ANSWER)
		work_answered(e, message);
	else if (h->type == MESSAGE_WORK_LISTED)
		object_listed(e, message);
	else if (h->type == MESSAGE_ERRAND)
		work_errand(e, message);
	else
		reserve_row_loaded(e, message);
}

static void
ledger_ready(struct watch *w)
{
	struct edge *e = container_of(w, struct edge, ledger);
	if (!receive(e, w, END_OF_LEDGER, from_ledger))
		neighbour_gone(e, w);
}

/* ---- life ---- */

static bool
set_up(struct edge *e)
{
	struct edge_process *p = e->p;
	struct board_size size;
	/* libsodium picks the processor's own instructions here, and opens what it needs before the lock-down. */
	if (sodium_init() < 0 || p->catalogue->provider_count > PROVIDERS_MAX || !loop_init(&e->loop) || !loop_keep_alarm(&e->loop))
		return false;
	headers_prepare(e);
	e->loop.turn_end = turn_end;
	e->loop.turn_arg = e;
	e->vault = vault_open(p->grade, p->limits.content_bytes, p->limits.library_bytes);
	e->desk_memory = calloc(1, ticket_desk_bytes(p->board));
	if (!e->vault || !e->desk_memory)
		return false;
	e->desk = ticket_desk_open(e->desk_memory, p->board, p->index, p->incarnation);
	board_set_wake_fd(e->desk, p->wake_fd);
	board_size_of(p->board, &size);
	e->slots = size.slots;
	uint32_t share = DIALS_PER_PROVIDER / size.edges;
	e->dials_most = share < DIALS_LEAST ? DIALS_LEAST : share > DIALS_MOST ? DIALS_MOST : share;
	e->several = size.edges > 1;
	const struct visitors_limits by_address = {p->limits.connections_per_address, p->limits.bad_keys_per_minute};
	e->visitors = visitors_open(p->limits.connections, &by_address);
	e->known_keys = known_keys_open();
	admit_open(e);
	if (!e->visitors || !e->known_keys || !share_open(e, size.tickets_per_edge) || !route_open(e))
		return false;
	e->wall_offset_ms = clock_wall_us() / 1000 - e->loop.now_ms;
	return loop_watch(&e->loop, &e->supervisor, p->supervisor_fd, supervisor_ready) &&
		loop_watch(&e->loop, &e->dialer, p->dialer_fd, dialer_ready) && loop_watch(&e->loop, &e->ledger, p->ledger_fd, ledger_ready);
}

struct edge *
edge_open(struct edge_process *p)
{
	struct edge *e = calloc(1, sizeof *e);
	if (!e)
		return NULL;
	e->p = p;
	if (set_up(e))
		return e;
	free(e);
	return NULL;
}

void
edge_close(struct edge **e)
{
	vault_wipe_all((*e)->vault);
	loop_finish(&(*e)->loop);
	for (int d = 0; d < DIALECT_COUNT; d++)
		free((void *)(*e)->models_json[d].at);
	free((*e)->listeners);
	free((*e)->shares);
	byok_close(*e);
	route_close(*e);
	visitors_close(&(*e)->visitors);
	known_keys_close(&(*e)->known_keys);
	free((*e)->desk_memory);
	free(*e);
	*e = NULL;
}

int
edge_main(struct edge_process *p)
{
	struct edge *e = edge_open(p);
	if (!e)
		return 1;
	loop_run(&e->loop);
	if (e->go)
		edge_report(e, EVENT_ENDED, 0, 0);
	int status = e->status;
	edge_close(&e);
	return status;
}
