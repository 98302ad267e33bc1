/* lethe doctor: the machine's facts, and with a configuration its certificates and its providers. */
#include "proc/cli_priv.h"

#include "core/loop.h"
#include "ledger/outbox.h"
#include "ledger/postgres_doctor.h"
#include "ledger/store_address.h"
#include "proc/config.h"
#include "proc/doctor.h"
#include "proc/probe.h"
#include "proc/tls_files.h"
#include "ticket/catalogue.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct examination {
	struct config *config; /* NULL: none was named */
	struct catalogue *catalogue;
	struct tls_files *tls;
	char why[CONFIG_WHY_MAX];
	bool tls_failed;
	size_t count;
	struct fact *fact; /* of the machine, the server, the store and the outbox when it is PostgreSQL, each provider */
};

static const char *const state_name[] = {[FACT_OK] = "ok", [FACT_WARN] = "warn", [FACT_BAD] = "bad"};

static json_t *
facts_json(const struct examination *e)
{
	json_t *list = json_array();
	for (size_t i = 0; i < e->count; i++) {
		const struct fact *f = &e->fact[i];
		json_t *row = json_pack("{s:s, s:s, s:s, s:s}", "fact", f->name, "state", state_name[f->state], "value", f->value, "remedy", f->remedy);
		json_object_set_new(row, "number", i < MACHINE_FACT_COUNT || f->number != 0 ? json_integer((json_int_t)(f->number & INT64_MAX)) : json_null());
		json_array_append_new(list, row);
	}
	return list;
}

static void
print_facts(const struct cli *cli, const struct examination *e)
{
	for (size_t i = 0; i < e->count; i++) {
		const struct fact *f = &e->fact[i];
		const char *state = state_name[f->state];
		enum cli_paint paint = cli_paint_of(state);
		printf("%s%-4s%s  %-19s  %s\n", cli_on(cli, stdout, paint), state, cli_off(cli, stdout, paint), f->name, f->value);
		if (f->remedy[0] != '\0')
			printf("%-4s  %-19s  → %s\n", "", "", f->remedy);
	}
}

/* None answers: that is nothing to be mended. */
static void
add_server(const struct cli *cli, struct examination *e)
{
	json_t *request = json_pack("{s:s}", "op", "status"), *answer = cli_ask_quietly(cli, request);
	const char *version = json_string_value(json_object_get(answer, "version"));
	if (version) {
		struct fact *f = &e->fact[e->count++];
		*f = (struct fact){.state = FACT_OK, .name = "server"};
		snprintf(f->value, sizeof f->value, "version %.40s, generation %lld of edges, upgraded %lld times", version,
			(long long)json_integer_value(json_object_get(answer, "generation")), (long long)json_integer_value(json_object_get(answer, "upgrades")));
		if (strcmp(version, LETHE_VERSION) != 0) {
			f->state = FACT_WARN;
			snprintf(f->remedy, sizeof f->remedy, "lethe upgrade # this command is of version %s", LETHE_VERSION);
		}
	}
	json_decref(request);
	json_decref(answer);
}

/* Where the books are, when that is a database: with the server's own eyes, so as its user. */
static void
add_store(const char *address, const char *why, struct examination *e, int64_t *ret_identity)
{
	struct store_finding found[POSTGRES_FINDING_COUNT];
	if (why[0] != '\0') {
		struct fact *f = &e->fact[e->count++];
		*f = (struct fact){.state = FACT_WARN, .name = "store"};
		snprintf(f->value, sizeof f->value, "%.150s", why);
		snprintf(f->remedy, sizeof f->remedy, "run this as the server's user: sudo -u lethe lethe doctor");
		return;
	}
	size_t count = address[0] != '\0' ? postgres_examine(address, found, ret_identity) : 0;
	for (size_t i = 0; i < count; i++) {
		struct fact *f = &e->fact[e->count++];
		*f = (struct fact){.state = found[i].state == FINDING_BAD ? FACT_BAD : found[i].state == FINDING_WARN ? FACT_WARN
																											  : FACT_OK,
			.name = found[i].name,
			.number = found[i].number};
		memcpy(f->value, found[i].value, sizeof f->value);
		memcpy(f->remedy, found[i].remedy, sizeof f->remedy);
	}
}

static void
say_age(uint64_t seconds, char *ret, size_t cap)
{
	bool hours = seconds >= 7200, minutes = seconds >= 120;
	snprintf(ret, cap, "%llu %s", (unsigned long long)(hours ? seconds / 3600 : minutes ? seconds / 60 : seconds), hours ? "h" : minutes ? "min" : "s");
}

/* What it has, and for whom. identity: of the store that was reached; 0: none was. */
static void
judge_outbox(const struct cli *cli, const struct outbox_facts *o, int64_t identity, struct fact *f)
{
	int64_t all = o->requests + o->running;
	char age[32], aside[48] = "";
	bool other = identity != 0 && o->store != 0 && o->store != identity;
	say_age(outbox_age_s(o, clock_wall_us()), age, sizeof age);
	f->number = (uint64_t)o->requests;
	if (o->refused != 0)
		snprintf(aside, sizeof aside, ", %lld were put aside", (long long)o->refused);
	if (all == 0) {
		f->state = o->refused != 0 ? FACT_WARN : FACT_OK;
		snprintf(f->value, sizeof f->value, "nothing waits%s", aside);
	} else {
		f->state = other ? FACT_BAD : FACT_WARN;
		snprintf(f->value, sizeof f->value, "%lld requests wait, the oldest for %s%s, of node %lld, %s", (long long)all, age, aside, (long long)o->node,
			other ? "for another store" : identity != 0 ? "for this store" : "and the store is not reached");
	}
	if (other)
		snprintf(f->remedy, sizeof f->remedy, "lethe serve --config FILE --data %.150s --store postgres://… # the one that it had: what waits is booked there alone", cli->data_dir);
	else if (all != 0)
		snprintf(f->remedy, sizeof f->remedy, "%s # the server books it, once, when it reaches PostgreSQL; keep %.150s until then", identity != 0 ? "systemctl start lethe" : "systemctl start postgresql", cli->data_dir);
	else if (o->refused != 0)
		snprintf(f->remedy, sizeof f->remedy, "sqlite3 -readonly %.150s/outbox.db 'SELECT id, account, cost_nano FROM refused' # in no books: the store would not have them", cli->data_dir);
}

/* Beside a server that runs, or without one. Books in a file have none. */
static void
add_outbox(const struct cli *cli, int64_t identity, struct examination *e)
{
	struct outbox *o = NULL;
	static const struct outbox_facts none;
	enum outbox_seen seen = outbox_open_reader(cli->data_dir, &o);
	struct fact *f = &e->fact[e->count++];
	*f = (struct fact){.state = FACT_BAD, .name = "outbox"};
	switch (seen) {
	case OUTBOX_ABSENT:
	case OUTBOX_SEEN:
		judge_outbox(cli, o != NULL ? outbox_facts(o) : &none, identity, f);
		break;
	case OUTBOX_NEWER:
		snprintf(f->value, sizeof f->value, "was written by a newer lethe, and may have requests that are not booked");
		snprintf(f->remedy, sizeof f->remedy, "lethe --version # start the server with the one that ran last");
		break;
	case OUTBOX_UNREADABLE:
		snprintf(f->value, sizeof f->value, "can't be read, and may have requests that are not booked");
		snprintf(f->remedy, sizeof f->remedy, "run this as the server's user: sudo -u lethe lethe doctor; sqlite3 -readonly %.150s/outbox.db 'PRAGMA integrity_check'", cli->data_dir);
		break;
	}
	outbox_close(&o);
}

/* The worst of its keys. Others are served without it, so nothing here is bad. */
static void
add_provider(struct examination *e, uint32_t p, const char *file)
{
	const struct config_provider *provider = &e->config->providers[p];
	struct fact *f = &e->fact[e->count++];
	*f = (struct fact){.state = FACT_OK, .name = "provider"};
	for (uint32_t k = 0; k < (provider->key_count ? provider->key_count : 1) && f->state == FACT_OK; k++) {
		struct probe r;
		probe_provider(e->config, p, k, NULL, cli_provider_trust(e->tls, provider), &r);
		bool good = r.result == PROBE_OK || r.result == PROBE_LIMITED;
		f->state = good ? FACT_OK : FACT_WARN;
		if (good)
			snprintf(f->value, sizeof f->value, "%.60s: answers in %u ms, %s", provider->name, r.milliseconds, r.tls[0] ? r.tls : "in clear text");
		else
			snprintf(f->value, sizeof f->value, "%.60s: %.95s", provider->name, r.words);
	}
	if (f->state != FACT_OK)
		snprintf(f->remedy, sizeof f->remedy, "lethe provider check %.200s --provider %.60s", file, provider->name);
}

static bool
read_configuration(const char *file, struct problems *p, struct examination *e)
{
	if (!cli_read_config(file, p, &e->config, &e->catalogue) || !config_switch_off(e->config, p))
		return false;
	e->tls_failed = !tls_files_read(e->config, &e->tls, e->why);
	return true;
}

/* False: there is no memory. */
static bool
examine(const struct cli *cli, const char *file, bool network, struct examination *e)
{
	char address[STORE_ADDRESS_MAX] = "", why[STORE_ADDRESS_WHY_MAX] = "";
	(void)!store_address_read(cli->data_dir, address, why); /* said among the facts */
	const struct doctor d = {.root = "",
		.data_dir = cli->data_dir,
		.store = address,
		.tls = e->tls,
		.configured = e->config != NULL,
		.tls_why = e->tls_failed ? e->why : NULL};
	e->fact = calloc(MACHINE_FACT_COUNT + 2 + POSTGRES_FINDING_COUNT + (e->config ? e->config->provider_count : 0), sizeof *e->fact);
	if (!e->fact)
		return false;
	doctor_facts(&d, e->fact);
	e->count = MACHINE_FACT_COUNT;
	add_server(cli, e);
	int64_t identity = 0;
	add_store(address, why, e, &identity);
	if (address[0] != '\0')
		add_outbox(cli, identity, e);
	sodium_memzero(address, sizeof address); /* it may have a password */
	for (uint32_t p = 0; network && p < e->config->provider_count; p++)
		add_provider(e, p, file);
	return true;
}

static int
report(const struct cli *cli, const struct examination *e, bool strict)
{
	enum fact_state worst = FACT_OK;
	for (size_t i = 0; i < e->count; i++)
		worst = e->fact[i].state > worst ? e->fact[i].state : worst;
	bool ok = worst < (strict ? FACT_WARN : FACT_BAD);
	if (cli->json) {
		json_t *answer = json_pack("{s:b, s:o}", "ok", ok, "facts", facts_json(e));
		cli_print_json(answer);
		json_decref(answer);
	} else
		print_facts(cli, e);
	return ok ? CLI_OK : CLI_REFUSED;
}

int
cli_doctor(struct cli *cli, json_t *request)
{
	static struct problems p;
	const char *file = json_string_value(json_object_get(request, "config"));
	bool network = json_is_true(json_object_get(request, "network"));
	if (network && !file)
		return cli_fail(cli, CLI_USAGE, "usage", "--network asks the providers of a configuration: name it with --config FILE");
	struct examination e = {0};
	int status;
	if (file && !read_configuration(file, &p, &e))
		status = cli_refuse_config(cli, &p);
	else if (!examine(cli, file, network, &e))
		status = cli_fail(cli, CLI_REFUSED, "memory", "there is no memory");
	else
		status = report(cli, &e, json_is_true(json_object_get(request, "strict")));
	tls_files_free(&e.tls);
	free(e.catalogue);
	config_free(&e.config);
	free(e.fact);
	return status;
}
