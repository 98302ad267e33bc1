/* lethe provider check: does each key of each provider work? */
#include "proc/cli_priv.h"

#include "proc/config.h"
#include "proc/probe.h"
#include "proc/tls_files.h"
#include "ticket/catalogue.h"

#include <stdlib.h>
#include <string.h>

/* The dearest is not asked: of the models that answer in tokens, the one with the cheapest. NULL: the provider has none. */
static const char *
cheapest_model(const struct config *c, uint32_t provider)
{
	const struct config_model *found = NULL;
	const struct config_target *target = NULL;
	for (uint32_t i = 0; i < c->model_count; i++) {
		const struct config_model *m = &c->models[i];
		const struct config_target *t = config_target_at(m, provider);
		bool answers = t && m->price_count > 0 && m->prices[0].output > 0;
		if (answers && (!found || m->prices[0].output < found->prices[0].output))
			found = m, target = t;
	}
	return target ? target->upstream : NULL;
}

static const char *
key_name(const struct config_key *key)
{
	return key->env[0] != '\0' ? key->env : key->file[0] != '\0' ? key->file
																 : key->credential;
}

static json_t *
probe_json(const struct config *c, uint32_t p, uint32_t k, const struct probe *r)
{
	const struct config_provider *provider = &c->providers[p];
	json_t *row = json_pack("{s:s, s:s, s:s, s:i}", "provider", provider->name, "key", provider->key_count ? key_name(&provider->keys[k]) : "",
		"result", probe_word(r->result), "milliseconds", (int)r->milliseconds);
	json_object_set_new(row, "status", r->status ? json_integer(r->status) : json_null());
	json_object_set_new(row, "tls", r->tls[0] != '\0' ? json_string(r->tls) : json_null());
	char balance[NANO_TEXT_MAX + 8] = "";
	if (r->has_balance)
		snprintf(balance, sizeof balance, "%s%lld.%02lld %s", r->balance_nano < 0 ? "-" : "", llabs(r->balance_nano) / 1000000000, llabs(r->balance_nano) / 10000000 % 100, r->currency);
	json_object_set_new(row, "balance", r->has_balance ? json_string(balance) : json_null());
	json_object_set_new(row, "words", r->words[0] != '\0' ? json_string(r->words) : json_null());
	return row;
}

struct span
cli_provider_trust(const struct tls_files *f, const struct config_provider *p)
{
	for (uint32_t i = 0; f && p->target.tls && i < f->count; i++)
		if (f->file[i].kind == SECRET_TRUST && f->file[i].number == p->trust)
			return (struct span){(const char *)f->file[i].text, f->file[i].len};
	return (struct span){0};
}

/* A server that runs on the data directory raises the alarm: in its log and its metrics. */
static void
tell_server(const struct cli *cli, const char *provider, const struct probe *r)
{
	json_int_t cents = r->balance_nano > 0 ? r->balance_nano / 10000000 : 0;
	json_t *request = json_pack("{s:s, s:s, s:I}", "op", "provider.low", "provider", provider, "cents", cents);
	json_decref(cli_ask_quietly(cli, request));
	json_decref(request);
}

/* Rows of one provider; false when one of its keys does not work. */
static bool
check_one(const struct cli *cli, const struct config *c, uint32_t p, const struct tls_files *files, bool spend, json_t *rows)
{
	const struct config_provider *provider = &c->providers[p];
	const char *model = spend ? cheapest_model(c, p) : NULL;
	bool good = true;
	for (uint32_t k = 0; k < (provider->key_count ? provider->key_count : 1); k++) {
		struct probe r;
		probe_provider(c, p, k, model, cli_provider_trust(files, provider), &r);
		if (r.result == PROBE_OK)
			probe_balance(c, p, k, cli_provider_trust(files, provider), &r);
		if (r.result == PROBE_LOW)
			tell_server(cli, provider->name, &r);
		json_array_append_new(rows, probe_json(c, p, k, &r));
		good = good && (r.result == PROBE_OK || r.result == PROBE_LIMITED);
		if (r.words[0] != '\0' && !cli->json)
			fprintf(stderr, "%s: %s\n", provider->name, r.words);
	}
	return good;
}

static int
check_all(const struct cli *cli, const struct config *c, const char *only, bool spend)
{
	char why[CONFIG_WHY_MAX];
	struct tls_files *files = NULL;
	bool good = true, any = false;
	if (!tls_files_read(c, &files, why))
		return cli_fail(cli, CLI_REFUSED, "unreadable", "%s", why);
	json_t *rows = json_array();
	for (uint32_t p = 0; p < c->provider_count; p++)
		if (!only || strcmp(only, c->providers[p].name) == 0) {
			any = true;
			good = check_one(cli, c, p, files, spend, rows) && good;
		}
	tls_files_free(&files);
	json_t *answer = json_pack("{s:b, s:o}", "ok", good && any, "providers", rows);
	if (!any && only)
		(void)cli_fail(cli, CLI_REFUSED, "not_found", "there is no provider `%s` in the configuration, or its key is optional and not set", only);
	else if (cli->json)
		cli_print_json(answer);
	else
		cli_show(cli, answer);
	json_decref(answer);
	return good && any ? CLI_OK : CLI_REFUSED;
}

int
cli_provider_check(struct cli *cli, json_t *request)
{
	static struct problems p;
	struct config *c = NULL;
	struct catalogue *catalogue = NULL;
	if (!cli_read_config(json_string_value(json_object_get(request, "file")), &p, &c, &catalogue) || !config_switch_off(c, &p)) {
		free(catalogue);
		config_free(&c);
		return cli_refuse_config(cli, &p);
	}
	int status = check_all(cli, c, json_string_value(json_object_get(request, "provider")), json_is_true(json_object_get(request, "spend")));
	free(catalogue);
	config_free(&c);
	return status;
}
