/* lethe store move: the books into PostgreSQL, and back. */
#include "proc/cli_priv.h"

#include "ledger/ledger.h"
#include "ledger/store_address.h"
#include "ledger/store_move.h"
#include "proc/pepper.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BAR_WIDTH = 30,
	LINE_WIDTH = 78 };

struct bar {
	bool shown;
	int permille; /* as it was shown last */
	char doing[16];
};

static void
show_progress(void *arg, const char *doing, const char *table, int64_t done, int64_t all)
{
	struct bar *b = arg;
	char filled[BAR_WIDTH + 1];
	int permille = all > 0 ? (int)((__int128)done * 1000 / all) : 0;
	if (b->shown && permille == b->permille && strcmp(doing, b->doing) == 0)
		return;
	b->shown = true;
	b->permille = permille;
	snprintf(b->doing, sizeof b->doing, "%s", doing);
	for (int i = 0; i < BAR_WIDTH; i++)
		filled[i] = i * 1000 < permille * BAR_WIDTH ? '#' : '.';
	filled[BAR_WIDTH] = '\0';
	if (all > 0)
		fprintf(stderr, "\r%-8s [%s] %3d.%d %%  %-24.24s", doing, filled, permille / 10, permille % 10, table);
	else
		fprintf(stderr, "\r%-*s", LINE_WIDTH, doing);
	fflush(stderr);
}

/* Files may be root's, and what is written the server's. */
static bool
reach(const struct cli *cli)
{
	int dir = open(cli->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		cli_fail(cli, CLI_REFUSED, "data_dir", "the data directory %s can't be opened: %s – give it with --data DIR or LETHE_DATA", cli->data_dir, strerror(errno));
		return false;
	}
	bool ok = cli_become_owner(cli, dir);
	close(dir);
	return ok;
}

/* "file" is NULL. False: said why. */
static bool
whither(const struct cli *cli, const json_t *request, const char **ret)
{
	const char *said = json_string_value(json_object_get(request, "to")), *to = said != NULL ? said : getenv("LETHE_STORE");
	if (said != NULL && store_address_has_password(said))
		cli_fail(cli, CLI_USAGE, "store", "a password on the command line can be read by every user of this machine: put the address into LETHE_STORE, or the password into a file (?passfile=…)");
	else if (to == NULL || to[0] == '\0')
		cli_fail(cli, CLI_USAGE, "usage", "where to? --to postgres://user@host:5432/database, or --to file for what is in PostgreSQL");
	else {
		*ret = strcmp(to, "file") == 0 ? NULL : to;
		return true;
	}
	return false;
}

static json_t *
run(const struct cli *cli, const json_t *request, struct store_move *m, char why[STORE_MOVE_WHY_MAX])
{
	uint8_t pepper[API_KEY_PEPPER_BYTES], seed[RECEIPT_SEED_BYTES];
	struct bar bar = {0};
	json_t *answer = NULL;
	m->pepper = pepper;
	m->receipt_seed = seed;
	m->say = isatty(STDERR_FILENO) && !cli->json ? show_progress : NULL;
	m->arg = &bar;
	if (pepper_load_or_create(cli->data_dir, pepper, why) && receipt_seed_load_or_create(cli->data_dir, seed, why))
		answer = json_is_true(json_object_get(request, "take_back")) ? store_take_back(m, why) : store_move(m, why);
	if (bar.shown)
		fprintf(stderr, "\r%*s\r", LINE_WIDTH, "");
	sodium_memzero(pepper, sizeof pepper);
	sodium_memzero(seed, sizeof seed);
	return answer;
}

int
cli_store_move(struct cli *cli, json_t *request)
{
	char why[STORE_MOVE_WHY_MAX] = "";
	struct store_move m = {.data_dir = cli->data_dir, .discard = json_is_true(json_object_get(request, "discard"))};
	bool back = json_is_true(json_object_get(request, "take_back"));
	if (back && json_object_get(request, "to") != NULL)
		return cli_fail(cli, CLI_USAGE, "usage", "--take-back undoes a move to PostgreSQL, and --to asks for one: give one of them");
	if (!back && m.discard)
		return cli_fail(cli, CLI_USAGE, "usage", "--discard belongs to --take-back");
	if (!back && !whither(cli, request, &m.to))
		return CLI_USAGE;
	if (!reach(cli))
		return CLI_REFUSED;
	json_t *answer = run(cli, request, &m, why);
	return answer != NULL ? cli_show_done(cli, answer) : cli_fail(cli, CLI_REFUSED, "move", "%s", why);
}
