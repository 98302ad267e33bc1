#include "proc/cli_priv.h"

#include "ledger/store_address.h"
#include "proc/catalogue_compile.h"
#include "proc/config_print.h"
#include "proc/serve.h"
#include "proc/tls_files.h"
#include "scribe/metrics_reference.h"
#include "ticket/nano.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static uint64_t
now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static const char *
file_of(const json_t *request)
{
	return json_string_value(json_object_get(request, "file"));
}

/* ---- files ---- */

bool
cli_read_config(const char *file, struct problems *problems, struct config **ret_config, struct catalogue **ret_catalogue)
{
	struct config *c = NULL;
	problems_init(problems, file);
	if (!config_load(problems, &c))
		return false;
	if (!catalogue_compile(c, now_ms(), problems, ret_catalogue)) {
		config_free(&c);
		return false;
	}
	*ret_config = c;
	return true;
}

json_t *
cli_problems_json(const struct problems *p)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < p->count; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:i, s:s, s:s%}", "file", place_file(p, p->row[i].line), "line", (int)place_line(p->row[i].line), "severity",
				p->row[i].warning ? "warning" : "error", "message", p->row[i].text, strlen(p->row[i].text)));
	return list;
}

int
cli_refuse_config(const struct cli *cli, const struct problems *p)
{
	if (cli->json) {
		char sentence[160];
		snprintf(sentence, sizeof sentence, "the configuration has %u error%s", p->errors, p->errors == 1 ? "" : "s");
		json_t *answer = json_pack("{s:b, s:{s:s, s:s}, s:o}", "ok", 0, "error", "code", "bad_config", "message",
			sentence, "problems", cli_problems_json(p));
		cli_print_json(answer);
		json_decref(answer);
	} else
		problems_print(p, stderr);
	return CLI_REFUSED;
}

int
cli_config_check(struct cli *cli, json_t *request)
{
	struct problems p;
	struct config *c = NULL;
	struct catalogue *catalogue = NULL;
	if (!cli_read_config(file_of(request), &p, &c, &catalogue))
		return cli_refuse_config(cli, &p);
	int models = (int)c->model_count;
	config_switch_off(c, &p);
	config_check_keys(c, &p);
	tls_files_report(c, &p);
	if (cli->json) {
		json_t *answer = json_pack("{s:b, s:i, s:i, s:o}", "ok", 1, "providers", (int)c->provider_count, "models",
			models, "problems", cli_problems_json(&p));
		cli_print_json(answer);
		json_decref(answer);
	} else {
		problems_print(&p, stderr);
		printf("%s is right: %u provider%s, %d model%s, %u warning%s.\n", p.file, c->provider_count,
			c->provider_count == 1 ? "" : "s", models, models == 1 ? "" : "s", p.warnings,
			p.warnings == 1 ? "" : "s");
	}
	free(catalogue);
	config_free(&c);
	return CLI_OK;
}

static void
print_yaml(const struct config *c, const json_t *config)
{
	printf("# %s with every default, as `lethe config print` shows it.\n", c->file);
	if (c->catalogue_file != NULL)
		printf("# The lists of %s are among these.\n", c->catalogue_file);
	config_yaml_print(config, stdout);
}

int
cli_config_print(struct cli *cli, json_t *request)
{
	struct problems p;
	struct config *c = NULL;
	problems_init(&p, file_of(request));
	if (!config_load(&p, &c))
		return cli_refuse_config(cli, &p);
	json_t *config = config_json(c);
	if (cli->json) {
		json_t *answer = json_pack("{s:b, s:O, s:o}", "ok", 1, "config", config, "problems", cli_problems_json(&p));
		cli_print_json(answer);
		json_decref(answer);
	} else {
		problems_print(&p, stderr);
		print_yaml(c, config);
	}
	json_decref(config);
	config_free(&c);
	return CLI_OK;
}

static void
print_reference(const char *what, FILE *to)
{
	config_reference(to);
}

static void
print_man(const char *what, FILE *to)
{
	config_man(LETHE_VERSION, to);
}

int
cli_config_reference(struct cli *cli, json_t *request)
{
	bool man = json_is_true(json_object_get(request, "man"));
	return cli_print_text(cli, man ? print_man : print_reference, NULL);
}

static void
print_metrics(const char *what, FILE *to)
{
	metrics_reference(to);
}

static void
print_events(const char *what, FILE *to)
{
	events_reference(to);
}

int
cli_metrics_reference(struct cli *cli, json_t *request)
{
	return cli_print_text(cli, print_metrics, NULL);
}

int
cli_events_reference(struct cli *cli, json_t *request)
{
	return cli_print_text(cli, print_events, NULL);
}

/* Pico per token is 1e-6 dollars per million tokens: the shortest text of it, with cents. */
static json_t *
per_million(int64_t pico)
{
	char text[NANO_TEXT_MAX];
	nano_text((struct nano){pico <= INT64_MAX / 1000 ? pico * 1000 : INT64_MAX}, text);
	return json_string(text);
}

static json_t *
day(uint64_t ms)
{
	char text[32];
	time_t t = (time_t)(ms / 1000);
	struct tm tm;
	gmtime_r(&t, &tm);
	strftime(text, sizeof text, t % 86400 == 0 ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

/* The start of the next price row, or null. Rows stand newest first. */
static json_t *
next_change(const struct catalogue *c, const struct catalogue_model *m, uint64_t now)
{
	json_t *next = json_null();
	for (uint32_t i = 0; i < m->price_count && catalogue_price(c, m->price_at + i)->from_ms > now; i++) {
		json_decref(next);
		next = day(catalogue_price(c, m->price_at + i)->from_ms);
	}
	return next;
}

static json_t *
model_json(const struct catalogue *c, const struct catalogue_model *m, uint64_t now)
{
	const struct catalogue_price *p = catalogue_price_now(c, m, now);
	const struct catalogue_target *t = catalogue_first_target(c, m);
	json_t *o = json_pack("{s:s, s:s, s:s, s:i}", "model", m->public_id, "provider",
		catalogue_provider(c, t->provider)->name, "upstream", t->upstream_id, "targets", (int)m->target_count);
	if (p != NULL) {
		char request[NANO_TEXT_MAX];
		nano_text((struct nano){p->request_nano}, request);
		json_object_set_new(o, "since", day(p->from_ms));
		json_object_set_new(o, "request", p->request_nano == 0 ? json_null() : json_string(request));
#define X(name, meaning, fallback) json_object_set_new(o, #name, per_million(p->pico[TOKEN_##name]));
		TOKEN_KINDS(X)
#undef X
	}
	json_object_set_new(o, "next", next_change(c, m, now));
	return o;
}

int
cli_catalogue_check(struct cli *cli, json_t *request)
{
	struct problems p;
	struct config *c = NULL;
	struct catalogue *catalogue = NULL;
	if (!cli_read_config(file_of(request), &p, &c, &catalogue))
		return cli_refuse_config(cli, &p);
	json_t *models = json_array();
	for (uint32_t i = 0; i < catalogue->model_count; i++)
		json_array_append_new(models, model_json(catalogue, catalogue_model(catalogue, i), now_ms()));
	json_t *answer = json_pack("{s:b, s:o, s:o}", "ok", 1, "models", models, "problems", cli_problems_json(&p));
	if (cli->json)
		cli_print_json(answer);
	else {
		problems_print(&p, stderr);
		cli_show(cli, answer);
	}
	json_decref(answer);
	free(catalogue);
	config_free(&c);
	return CLI_OK;
}

/* ---- serve ---- */

/* From the first start on the data directory knows it: commands and later starts need not be told. */
static bool
keep_store(const struct cli *cli, const json_t *request)
{
	const char *said = json_string_value(json_object_get(request, "store")), *address = said != NULL ? said : getenv("LETHE_STORE");
	char why[STORE_ADDRESS_WHY_MAX];
	if (address == NULL || address[0] == '\0')
		return true;
	if (said != NULL && store_address_has_password(said)) {
		cli_fail(cli, CLI_USAGE, "store", "a password on the command line can be read by every user of this machine: put the address into LETHE_STORE, or the password into a file (?passfile=…)");
		return false;
	}
	if (store_address_keep(cli->data_dir, address, why))
		return true;
	cli_fail(cli, CLI_REFUSED, "store", "%s", why);
	return false;
}

int
cli_serve(struct cli *cli, json_t *request)
{
	struct problems p;
	struct config *c = NULL;
	problems_init(&p, file_of(request));
	if (!config_load_to_serve(&p, &c))
		return cli_refuse_config(cli, &p);
	problems_print(&p, stderr);
	if (json_is_true(json_object_get(request, "allow_plain_memory")))
		c->allow_plain_memory = true;
	int status = CLI_UNREACHABLE;
	if (mkdir(cli->data_dir, 0700) != 0 && errno != EEXIST)
		cli_fail(cli, status, "data_dir",
			"the data directory %s can't be made: %s – make its parent, or give another with --data", cli->data_dir,
			strerror(errno));
	else if (keep_store(cli, request))
		status = serve_main(c, cli->data_dir);
	config_free(&c);
	return status;
}

int
cli_version(struct cli *cli, json_t *request)
{
	if (!cli->json) {
		printf("lethe %s\n", LETHE_VERSION);
		return CLI_OK;
	}
	json_t *answer = json_pack("{s:b, s:s}", "ok", 1, "version", LETHE_VERSION);
	cli_print_json(answer);
	json_decref(answer);
	return CLI_OK;
}
