#include "ledger/outbox_world.h"

#include "ledger/away.h"
#include "ledger/share_priv.h"

#include <stdio.h>
#include <string.h>

const struct world_exchange outbox_world_small = {.input = 10, .cost = -1};

uint64_t
outbox_world_begin(struct world *w, const char *credit)
{
	uint32_t slot;
	world_begin(w);
	uint64_t alice = world_account(w, "alice", credit);
	world_kill_ledger(w);
	world_open(w, false);
	json_decref(world_must(w, "{s:s}", "op", "node.share"));
	world_close(w);
	world_lose_board(w);
	world_open(w, true);
	assert_int_equal(ledger_load_row(w->ledger, alice, 1, &slot), 0);
	return alice;
}

bool
outbox_world_serve(struct world *w, uint64_t account)
{
	struct world_exchange e = outbox_world_small;
	e.account = account;
	return world_exchange(w, e) != 0;
}

void
outbox_world_open_again(struct world *w, bool cut_off)
{
	if (w->ledger != NULL) {
		w->ledger->store.lost = true; /* no last words */
		world_kill_ledger(w);
	}
	w->cut_off = cut_off;
	world_open(w, true);
	assert_true((w->ledger->away != NULL) == cut_off);
}

void
outbox_world_book_all(struct world *w)
{
	int booked;
	while ((booked = world_round(w)) > 0)
		;
	assert_int_equal(booked, 0);
}

int64_t
outbox_world_on_board(struct world *w, uint64_t account)
{
	uint32_t slot;
	assert_true(board_find(w->ledger_board, account, &slot));
	return board_available(w->ledger_board, slot).v;
}

void
outbox_world_is_right(struct world *w, uint64_t account, int64_t requests, int64_t left)
{
	struct nano share;
	outbox_world_book_all(w);
	assert_false(outbox_exists(w->dir));
	assert_int_equal(world_sql(w, "SELECT count(*) FROM ticket"), requests);
	assert_int_equal(world_balance(w, account), left);
	assert_true(share_balance(w->ledger, account, &share));
	assert_int_equal(outbox_world_on_board(w, account), share.v);
	assert_int_equal(world_sql(w, "SELECT count(*) FROM progress"), 0);
	assert_true(usage_flush(w->ledger));
	assert_int_equal(world_sql(w, "SELECT sum(requests)::bigint FROM usage_day"), requests);
	json_t *verified = world_must(w, "{s:s}", "op", "ledger.verify");
	if (!json_is_true(json_object_get(verified, "sound")))
		fail_msg("%s", json_dumps(verified, JSON_INDENT(1)));
	json_decref(verified);
}

int64_t
outbox_world_waits(struct world *w, const char *what)
{
	json_t *answer = world_must(w, "{s:s}", "op", "node.list"), *row = json_array_get(json_object_get(answer, "rows"), 0);
	int64_t n = json_integer_value(json_object_get(row, what));
	json_decref(answer);
	return n;
}

void
outbox_world_verify_says(struct world *w, const char *what, int64_t waits_there, int64_t aside)
{
	json_t *verified = world_must(w, "{s:s}", "op", "ledger.verify"), *check, *row = NULL;
	size_t i;
	json_array_foreach(json_object_get(verified, "invariants"), i, check)
	{
		if (strcmp(json_string_value(json_object_get(check, "inv")), "OUTBOX") == 0)
			row = check;
		else
			assert_true(json_is_true(json_object_get(check, "ok")));
	}
	assert_non_null(row);
	if (what != NULL ? strstr(json_string_value(json_object_get(row, "detail")), what) == NULL : !json_is_true(json_object_get(verified, "sound")))
		fail_msg("not `%s`: %s", what, json_dumps(row, 0));
	assert_int_equal(json_integer_value(json_object_get(verified, "tickets_in_outbox")), waits_there);
	assert_int_equal(json_integer_value(json_object_get(verified, "tickets_put_aside")), aside);
	json_decref(verified);
}

void
outbox_world_only_a_command(struct world *w)
{
	world_kill_ledger(w);
	world_lose_board(w);
	w->cut_off = false;
	w->size.node = LEDGER_NODE_COMMANDS;
	world_open(w, false);
}

void
outbox_world_copy_file(const struct world *w, const char *from, const char *to)
{
	static char bytes[1 << 22];
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", w->dir, from);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	size_t len = fread(bytes, 1, sizeof(bytes), f);
	assert_true(len > 0 && len < sizeof(bytes) && fclose(f) == 0);
	snprintf(path, sizeof(path), "%s/%s", w->dir, to);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fwrite(bytes, 1, len, f) == len && fclose(f) == 0);
}
