#include "ledger/away.h"
#include "ledger/ledger_priv.h"
#include "ledger/home.h"
#include "ledger/limit_priv.h"
#include "ledger/share_priv.h"
#include "ledger/store_address.h"
#include "ledger/store_mark.h"

#include "core/ipc.h"
#include "ticket/messages.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- one ledger at a time ---- */

static bool
say_pid(int fd)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	return ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)len, 0) == len;
}

static void
say_locked(int fd, const char *path, char ret_why[STORE_WHY_MAX])
{
	char text[24] = "";
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
	long pid = got > 0 ? strtol(text, NULL, 10) : 0;
	snprintf(ret_why, STORE_WHY_MAX,
		"%.80s is held by process %ld: the ledger is in use; ask it through its control socket, or stop it first",
		path, pid);
}

static enum ledger_open
take_lock(int fd, const char *path, char ret_why[STORE_WHY_MAX])
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && say_pid(fd))
		return LEDGER_OPENED;
	if (errno == EWOULDBLOCK) {
		say_locked(fd, path, ret_why);
		return LEDGER_LOCKED;
	}
	snprintf(ret_why, STORE_WHY_MAX, "%.160s can't be locked: %m", path);
	return LEDGER_FAILED;
}

enum ledger_open
ledger_lock_to_restore(const char *data_dir, int *ret_fd, char ret_why[STORE_WHY_MAX])
{
	char path[512];
	if (mkdir(data_dir, 0700) != 0 && errno != EEXIST) {
		snprintf(ret_why, STORE_WHY_MAX, "%.160s can't be created: %m", data_dir);
		return LEDGER_FAILED;
	}
	snprintf(path, sizeof(path), "%s/lock", data_dir);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		snprintf(ret_why, STORE_WHY_MAX, "%.160s can't be opened: %m", path);
		return LEDGER_FAILED;
	}
	enum ledger_open locked = take_lock(fd, path, ret_why);
	if (locked == LEDGER_OPENED)
		*ret_fd = fd;
	else
		close(fd);
	return locked;
}

bool
ledger_is_half_restored(const char *data_dir, char ret_why[STORE_WHY_MAX])
{
	char path[512];
	snprintf(path, sizeof(path), "%s/" LEDGER_RESTORE_READY, data_dir);
	if (access(path, F_OK) != 0)
		return false;
	snprintf(ret_why, STORE_WHY_MAX, "%.100s: a backup was being put in place when that was interrupted: give `lethe restore` again, with --replace", path);
	return true;
}

enum ledger_open
ledger_lock(const char *data_dir, int *ret_fd, char ret_why[STORE_WHY_MAX])
{
	int fd;
	enum ledger_open locked = ledger_lock_to_restore(data_dir, &fd, ret_why);
	if (locked == LEDGER_OPENED && ledger_is_half_restored(data_dir, ret_why)) {
		close(fd);
		return LEDGER_FAILED;
	}
	if (locked == LEDGER_OPENED)
		*ret_fd = fd;
	return locked;
}

/* ---- open, close ---- */

static bool
balance_of(void *arg, uint64_t row, struct nano *ret)
{
	struct ledger *l = arg;
	if (share_on(l))
		return share_balance(l, row, ret);
	if (row & LIMIT_BUDGET_ROW)
		return budget_balance(l, row, ret);
	struct query *st = store_sql(&l->store, SQL_account_balance);
	sql_bind(st, (int64_t)row);
	int64_t nano = -1;
	if (!sql_number(&l->store, st, &nano) || nano < 0)
		return false;
	ret->v = nano;
	return true;
}

bool
ledger_attach_board(struct ledger *l)
{
	l->progress.count = board_ticket_count(l->o.board);
	l->progress.next = l->progress.count;
	l->progress.places = calloc(l->progress.count, sizeof(*l->progress.places));
	return l->progress.places != NULL;
}

bool
ledger_forget_orders(struct ledger *l, int64_t node)
{
	struct query *intents = store_sql(&l->store, SQL_intents_drop), *items = store_sql(&l->store, SQL_items_drop);
	sql_bind(intents, node);
	sql_bind(items, node);
	return sql_done(&l->store, intents) && sql_done(&l->store, items);
}

/* Without a board, what was held or ordered when the last one went is settled now: nobody else can. */
static bool
settle_what_was_left(struct ledger *l)
{
	if (!progress_settle(l, l->store.node) || !ledger_forget_orders(l, l->store.node))
		return false;
	ledger_chores(l, clock_wall_us()); /* what it can't do now is done later */
	return true;
}

static bool
read_counters(struct ledger *l)
{
	int64_t last_id = 0, last_booking = 0;
	if (!sql_number(&l->store, store_sql(&l->store, SQL_ids_last), &last_id) ||
		!sql_number(&l->store, store_sql(&l->store, SQL_booking_last), &last_booking))
		return false;
	l->last_id = (uint64_t)last_id;
	l->next_booking = last_booking + 1;
	return true;
}

bool
ledger_begin(struct ledger *l)
{
	int64_t last = 0;
	if (!store_begin(&l->store))
		return false;
	if (!l->store.turned)
		return true;
	if (!sql_number(&l->store, store_sql(&l->store, SQL_booking_last), &last)) {
		store_rollback(&l->store);
		return false;
	}
	l->next_booking = last + 1;
	receipts_others(l);
	l->store.turned = false;
	return true;
}

static bool
open_store(struct ledger *l, char ret_why[STORE_WHY_MAX])
{
	char address[STORE_ADDRESS_MAX] = "";
	if (l->o.store == NULL && !store_address_read(l->o.data_dir, address, ret_why))
		return false;
	if (l->o.store == NULL && address[0] == '\0')
		snprintf(address, sizeof(address), "%s/ledger.db", l->o.data_dir);
	const char *where = l->o.store != NULL ? l->o.store : address;
	struct store_terms terms = {.look = store_mark_refuses};
	if (l->o.terms != NULL)
		terms = *l->o.terms;
	bool shared = store_is_postgres(where), serves = l->o.board != NULL && shared;
	bool opened = (!serves || home_read(l->o.data_dir, &terms.home, ret_why)) && (!shared || l->o.terms != NULL || home_books(l->o.data_dir, &terms.books, ret_why));
	terms.away_ms = serves ? (int64_t)l->o.away_ms : 0;
	opened = opened && store_open_on(&l->store, where, l->o.node, &terms, ret_why);
	sodium_memzero(address, sizeof(address)); /* it may have a password */
	return opened;
}

static bool
open_parts(struct ledger *l, char ret_why[STORE_WHY_MAX])
{
	if (!open_store(l, ret_why) || !node_open(l, ret_why) || !price_book_open(l, ret_why))
		return false;
	if (!receipts_open(l, ret_why))
		return false;
	l->usage.node = l->store.node;
	l->batch->node = l->store.many ? l->store.node : -1;
	snprintf(ret_why, STORE_WHY_MAX, "%.160s can't be read", l->store.name);
	if (!read_counters(l) || !usage_recover(l) || !observe_open(l))
		return false;
	snprintf(ret_why, STORE_WHY_MAX, "%.160s can't be brought up to date", l->store.name);
	if (l->o.board != NULL)
		return ledger_attach_board(l) && away_fits(l, ret_why);
	return l->over = settle_what_was_left(l);
}

enum ledger_open
ledger_open(const struct ledger_options *o, struct ledger **ret, char ret_why[STORE_WHY_MAX])
{
	assert(sodium_init() >= 0 && merkle_ready());
	struct ledger *l = calloc(1, sizeof(*l));
	assert(l != NULL);
	*l = (struct ledger){.o = *o, .lock_fd = -1, .scribe_fd = -1};
	l->batch = calloc(1, sizeof(*l->batch));
	assert(l->batch != NULL);
	enum ledger_open opened = o->lock_fd > 0 ? LEDGER_OPENED : ledger_lock(o->data_dir, &l->lock_fd, ret_why);
	if (opened == LEDGER_OPENED && !open_parts(l, ret_why) && !away_open(l, ret_why))
		opened = LEDGER_FAILED;
	if (opened == LEDGER_OPENED)
		*ret = l;
	else
		ledger_close(&l);
	return opened;
}

bool
ledger_last(struct ledger *l)
{
	if (share_on(l) && !share_return_all(l, l->store.node))
		return false;
	return l->over = true;
}

void
ledger_close(struct ledger **l)
{
	struct ledger *x = *l;
	if (x == NULL)
		return;
	if (x->store.kind != NULL && !usage_flush(x))
		x->stats.store_failures++; /* the sums are made again from the tickets */
	if (x->store.kind != NULL && x->over)
		node_leave(x);
	if (x->store.fenced)
		node_lost_board(x);
	if (x->store.fenced && x->o.board != NULL)
		ledger_change_gate(x, BOARD_OPEN, BOARD_STALLED);
	store_close(&x->store);
	outbox_close(&x->away);
	price_book_free(&x->prices);
	free(x->usage.sums);
	free(x->progress.places);
	receipts_close(x);
	free(x->batch);
	if (x->lock_fd >= 0)
		close(x->lock_fd);
	free(x);
	*l = NULL;
}

bool
ledger_adopt(struct ledger *l, const struct catalogue *c, struct tally *t)
{
	char why[STORE_WHY_MAX];
	const struct catalogue *old = l->o.catalogue;
	struct price_book book = l->prices;
	if (l->batch->count > 0) /* its outcome is unknown, and it may be the store's end */
		return false;
	l->o.catalogue = c;
	l->prices = (struct price_book){0};
	if (price_book_open(l, why) && observe_adopt(l, t)) {
		price_book_free(&book);
		limits_adopt(l);
		return true;
	}
	price_book_free(&l->prices);
	l->prices = book;
	l->o.catalogue = old;
	return false;
}

/* ---- board ---- */

void
ledger_event(struct ledger *l, enum event_id event, uint64_t a, uint64_t b)
{
	if (l->scribe_fd < 0)
		return;
	struct message_event m = MESSAGE_INIT(EVENT, message_event);
	m.event = (uint16_t)event;
	m.role = END_OF_LEDGER;
	m.numbers[0] = a;
	m.numbers[1] = b;
	/* A full pipe loses events, not bookings. */
	if (ipc_send(l->scribe_fd, &m, sizeof(m), -1) != IPC_OK)
		l->stats.events_lost++;
}

static void
hint_keys(struct ledger *l, uint64_t account, uint32_t slot)
{
	struct query *st = store_sql(&l->store, SQL_keys_of_account);
	sql_bind(st, (int64_t)account);
	while (sql_step(&l->store, st) == SQL_ROW)
		key_table_hint(l->o.keys, sql_blob(st, 0), slot);
}

uint32_t
ledger_load_account(struct ledger *l, uint64_t account, int64_t balance_nano)
{
	uint32_t slot = UINT32_MAX, was;
	bool there = board_find(l->o.board, account, &was);
	if (!board_load(l->o.board, account, (struct nano){balance_nano}, &slot))
		return UINT32_MAX;
	if (!there)
		hint_keys(l, account, slot);
	return slot;
}

uint32_t
ledger_load_row(struct ledger *l, uint64_t row, int64_t need_nano, uint32_t *ret_slot)
{
	struct nano balance;
	*ret_slot = UINT32_MAX;
	if (l->away != NULL)
		return away_load(l, row, need_nano, ret_slot);
	/* A balance that the next ledger finds to be another would be wrong on the board for good. */
	if (!store_make_sure(&l->store))
		return ROW_NOT_NOW;
	if (row & LIMIT_BUDGET_ROW)
		return budget_load(l, row, need_nano, ret_slot);
	uint32_t result = ROW_LOADED, was;
	bool there = share_on(l) && board_find(l->o.board, row, &was);
	if (row == 0 || (!share_on(l) && !balance_of(l, row, &balance)))
		return ROW_UNKNOWN;
	if (share_on(l))
		result = share_load(l, row, need_nano, ret_slot);
	else
		*ret_slot = ledger_load_account(l, row, balance.v);
	if (!row_is_there(result))
		return result;
	/* Also when it was on the board already: the asker's hint was stale. Who says what it needs of a share has found the slot. */
	if (*ret_slot != UINT32_MAX && (need_nano == 0 || !there))
		hint_keys(l, row, *ret_slot);
	return *ret_slot == UINT32_MAX ? ROW_NOT_NOW : result;
}

static bool
fill_keys(struct ledger *l)
{
	struct query *st = store_sql(&l->store, SQL_keys_all);
	enum sql_step step = SQL_END;
	bool room = true;
	while (room && (step = sql_step(&l->store, st)) == SQL_ROW) {
		struct key_facts f = {.key = (uint64_t)sql_int(st, 0),
			.account = (uint64_t)sql_int(st, 1),
			.expires_ms = (uint64_t)sql_int(st, 2),
			.slot = UINT32_MAX,
			.state = key_state_of(sql_int(st, 3), sql_int(st, 5)),
			.scopes = (uint16_t)sql_int(st, 6)};
		f.limits = limits_row_of(l, f.key, f.account);
		board_find(l->o.board, f.account, &f.slot);
		room = key_table_put(l->o.keys, sql_blob(st, 4), &f);
	}
	sql_reset(st);
	return room && step == SQL_END;
}

/* The newest accounts that have money, as many as there is room for; others come when they are asked for. */
static bool
load_accounts(struct ledger *l)
{
	struct board_size size;
	board_size_of(l->o.board, &size);
	struct query *st = store_sql(&l->store, SQL_accounts_to_load);
	sql_bind(st, size.slots);
	enum sql_step step = SQL_END;
	uint32_t slot;
	bool room = true;
	while (room && (step = sql_step(&l->store, st)) == SQL_ROW)
		room = board_load(
			l->o.board, (uint64_t)sql_int(st, 0), (struct nano){sql_int(st, 1)}, &slot);
	sql_reset(st);
	return !room || step == SQL_END;
}

static bool
take_over(struct ledger *l)
{
	l->floor_ms = atomic_load(board_id_floor_ms(l->o.board));
	l->ceiling_ms = atomic_load(board_id_ceiling_ms(l->o.board));
	return node_has_board(l) && away_forward(l) && progress_recall(l) && ledger_drain(l);
}

bool
ledger_start(struct ledger *l)
{
	struct board *b = l->o.board;
	if (l->away != NULL)
		return away_start(l);
	atomic_store(board_heartbeat_ms(b), clock_monotonic_ms());
	bool fresh = boot_is_new_board(l);
	board_sweep_start(b);
	board_set_balance(b, balance_of, l);
	if (fresh ? !(away_forward(l) && progress_settle(l, l->store.node) && ledger_drain(l)) : !take_over(l))
		return false;
	if (!ledger_forget_orders(l, l->store.node))
		return false;
	if (fresh && !node_begin(l))
		return false;
	/* What this node had on the board before is on none now. */
	if (share_on(l) && (!share_begin(l) || (fresh && !share_return_all(l, l->store.node))))
		return false;
	if (!(share_on(l) || load_accounts(l)) || !limits_start(l) || !fill_keys(l) || !(fresh ? boot_begin(l) : boot_raise(l)))
		return false;
	atomic_store(board_store(b), (uint64_t)l->store.identity);
	atomic_store(board_away(b), (uint64_t)l->store.away_ms + 1);
	atomic_store(board_many(b), l->store.many ? BOARD_SHARES : BOARD_BALANCES);
	atomic_store(board_gate(b), BOARD_OPEN);
	return true;
}
