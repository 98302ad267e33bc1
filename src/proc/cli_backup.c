/* lethe backup, restore. */
#include "proc/cli_priv.h"

#include "ledger/store_address.h"
#include "proc/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static json_t *
time_json(int64_t us)
{
	char text[40];
	time_t seconds = (time_t)(us / 1000000);
	struct tm tm;
	if (us == 0 || gmtime_r(&seconds, &tm) == NULL)
		return json_null();
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

/* What is in PostgreSQL is backed up by PostgreSQL's own tools. */
static bool
is_here(struct cli *cli, const char *what)
{
	char address[STORE_ADDRESS_MAX], why[STORE_ADDRESS_WHY_MAX];
	if (!store_address_read(cli->data_dir, address, why)) {
		cli_fail(cli, CLI_REFUSED, "store", "%s", why);
		return false;
	}
	bool here = address[0] == '\0';
	sodium_memzero(address, sizeof address);
	if (!here)
		cli_fail(cli, CLI_REFUSED, "store", "the books of %s are in PostgreSQL: %s, and keep the directory's secrets with it", cli->data_dir, what);
	return here;
}

int
cli_backup(struct cli *cli, json_t *request)
{
	struct backup b;
	char why[BACKUP_WHY_MAX] = "";
	const char *folder = json_string_value(json_object_get(request, "folder"));
	uint64_t bytes = 0;
	if (!is_here(cli, "back them up by pg_basebackup or pg_dump"))
		return CLI_REFUSED;
	if (!backup_make(cli->data_dir, folder, !json_is_true(json_object_get(request, "no_secrets")), &b, why))
		return cli_fail(cli, CLI_REFUSED, "backup", "%s", why);
	for (int i = 0; i < BACKUP_PARTS; i++)
		bytes += b.parts[i].bytes;
	json_t *answer = json_pack("{s:b, s:s, s:s, s:I, s:I, s:o, s:I, s:b}", "ok", 1, "backup", folder, "time", b.time, "tickets", (json_int_t)b.facts.tickets, "bookings",
		(json_int_t)b.facts.bookings, "last_booking", time_json(b.facts.last_us), "bytes", (json_int_t)bytes, "secrets", b.parts[BACKUP_PEPPER].there);
	return cli_show_done(cli, answer);
}

/* Files may be root's, and what is restored the server's. */
static bool
reach(const struct cli *cli, bool *ret_made)
{
	bool made = *ret_made = mkdir(cli->data_dir, 0700) == 0;
	int dir = made || errno == EEXIST ? open(cli->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (dir < 0) {
		cli_fail(cli, CLI_REFUSED, "data_dir", "the data directory %s can't be opened: %s – give it with --data DIR or LETHE_DATA", cli->data_dir, strerror(errno));
		return false;
	}
	bool ok = cli_become_owner(cli, dir);
	close(dir);
	return ok;
}

/* It was made to look whether a backup would do there, which changes nothing. */
static void
unmake(const char *dir)
{
	char lock[PATH_MAX];
	if ((size_t)snprintf(lock, sizeof lock, "%s/lock", dir) < sizeof lock)
		(void)unlink(lock);
	(void)rmdir(dir);
}

int
cli_restore(struct cli *cli, json_t *request)
{
	struct backup_source source;
	char why[BACKUP_WHY_MAX] = "", kept[256];
	const char *folder = json_string_value(json_object_get(request, "folder"));
	struct restore_options o = {
		.data = cli->data_dir, .replace = json_is_true(json_object_get(request, "replace")), .check_only = json_is_true(json_object_get(request, "check"))};
	json_t *verified = NULL;
	if (!is_here(cli, "restore them by PostgreSQL's tools"))
		return CLI_REFUSED;
	if (!backup_open(folder, &source, why))
		return cli_fail(cli, CLI_REFUSED, "backup", "%s", why);
	bool made;
	if (!reach(cli, &made)) {
		backup_close(&source);
		return CLI_REFUSED;
	}
	bool done = restore(&source, &o, &verified, kept, why);
	if (made && o.check_only)
		unmake(o.data);
	json_t *answer = json_pack("{s:b, s:o, s:s, s:s, s:O*, s:O*, s:O*, s:O*, s:o}", "ok", 1, "restored", o.check_only ? json_null() : json_string(o.data), "from", folder, "time",
		source.backup.time, "sound", json_object_get(verified, "sound"), "tickets", json_object_get(verified, "tickets"), "bookings", json_object_get(verified, "bookings"), "accounts",
		json_object_get(verified, "accounts"), "kept", kept[0] != '\0' ? json_string(kept) : json_null());
	backup_close(&source);
	json_decref(verified);
	if (done)
		return cli_show_done(cli, answer);
	json_decref(answer);
	return cli_fail(cli, CLI_REFUSED, "restore", "%s", why);
}
