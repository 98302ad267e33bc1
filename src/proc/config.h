/*
 * The operator's configuration file, read and checked: listeners, limits, providers, models and prices. Read
 * by the supervisor and the command line; other processes get slices (the compiled catalogue, numbers). Owns
 * all that it points to until config_free(). Secrets are not in it: it says where they are.
 */
#ifndef PROC_CONFIG_H
#define PROC_CONFIG_H

#include "core/address.h"
#include "proc/config_scalar.h"
#include "proc/config_settings.h"
#include "proc/problems.h"

enum { CONFIG_LISTEN_MAX = 16,
	CONFIG_PROXIES_MAX = 64,
	CONFIG_TRUSTS_MAX = 16 };

#define CONFIG_MEMBER(key, member, kind, fallback, least, most, meaning) setting_c_##kind member;

/* One with options of its own; those of `listen` and `tls.listen` have none. */
struct config_listener {
	CONFIG_LISTENER(CONFIG_MEMBER)
	struct config_address address;
	uint32_t line;
};

struct config_limits {
	CONFIG_LIMITS(CONFIG_MEMBER)
};

struct config_timeouts {
	CONFIG_TIMEOUTS(CONFIG_MEMBER)
};

struct config_certificate {
	CONFIG_CERTIFICATE(CONFIG_MEMBER)
	uint32_t line;
};

struct config_tls {
	CONFIG_TLS(CONFIG_MEMBER) /* client_certificates: enum tls_ask of core/tls.h */
	struct config_address *listen;
	struct config_certificate *certificates;
	uint32_t listen_count, certificate_count;
	/* Files that say whom to trust about providers, each once; config_provider.trust is an index. "": the system's list. */
	const char *trust[CONFIG_TRUSTS_MAX];
	uint32_t trust_count; /* 0: no provider speaks TLS */
};

struct config_metrics {
	CONFIG_METRICS(CONFIG_MEMBER)
	bool on;
	struct config_address listen;
};

struct config_telemetry {
	CONFIG_TELEMETRY(CONFIG_MEMBER) /* "": off */
};

/* What requests by customers' own keys at providers cost. */
struct config_byok_fee {
	CONFIG_BYOK_FEE(CONFIG_MEMBER)
	bool on; /* own keys are taken */
};

struct config_log {
	CONFIG_LOG(CONFIG_MEMBER) /* "": standard error */
};

/* Where one key of a provider is; exactly one of the texts is not empty. */
struct config_key {
	CONFIG_KEY(CONFIG_MEMBER)
	uint32_t line;
};

struct config_provider {
	CONFIG_PROVIDER(CONFIG_MEMBER) /* on_client_gone: enum cancel_policy of ticket/catalogue.h */
	uint32_t line;
	struct config_url target;
	uint32_t trust; /* https: index in config_tls.trust */
	struct config_key *keys;
	char **pass_headers; /* lower case */
	uint32_t key_count, pass_header_count;
};

struct config_price {
	CONFIG_PRICE(CONFIG_MEMBER) /* pico per token; fallbacks are resolved */
	uint32_t given; /* a bit for each token kind that the file names: the others' prices are those of what stands in */
	uint32_t line;
};

struct config_lane {
	CONFIG_LANE(CONFIG_MEMBER)
	uint32_t line;
};

/* Where a model is served: each has one at least, also when the file has the short form. */
struct config_target {
	CONFIG_TARGET(CONFIG_MEMBER) /* retention: enum retention; both of the provider where the file says nothing */
	uint32_t line;
	uint32_t provider_index;
	char **lane_texts; /* as the file has them; none: all */
	uint32_t lane_text_count;
	uint32_t lanes; /* a bit for each of config.lanes */
	struct config_price *prices; /* its own; without any the model's */
	uint32_t price_count;
};

struct config_model {
	CONFIG_MODEL(CONFIG_MEMBER)
	uint32_t line;
	uint32_t provider_index; /* of the first target */
	char **aliases;
	char **capability_texts; /* as the file has them */
	struct config_price *prices; /* in the order of the file */
	struct config_target *targets;
	uint32_t alias_count, capability_count, price_count, target_count;
	uint16_t capabilities; /* bits of enum capability */
	bool short_form; /* the file has no `targets` */
};

/* How it is asked what its account has left; BALANCE_NONE: it is not. */
enum balance_wire config_balance_wire(const struct config_provider *p);

/* The first target there; NULL: none. */
static inline const struct config_target *
config_target_at(const struct config_model *m, uint32_t provider)
{
	for (uint32_t i = 0; i < m->target_count; i++)
		if (m->targets[i].provider_index == provider)
			return &m->targets[i];
	return NULL;
}

struct config {
	CONFIG_TOP(CONFIG_MEMBER) /* edges: resolved, ≥ 1; durability: enum durability of edge/edge.h; client_address: enum forwarded_header */
	struct config_limits limits;
	struct config_timeouts timeouts;
	struct config_tls tls;
	struct config_metrics metrics;
	struct config_telemetry telemetry;
	struct config_log log;
	struct config_byok_fee byok_fee;
	struct config_address *listen;
	struct config_listener *listeners;
	char **trusted_texts; /* as the file has them */
	struct address_range *trusted; /* those that are no `unix` */
	bool trust_unix; /* who connects to a Unix socket is one, too */
	uint32_t listeners_count, trusted_text_count, trusted_count;
	struct config_lane *lanes; /* without any: one, called direct */
	uint32_t lane_count;
	struct config_provider *providers;
	struct config_model *models;
	uint32_t listen_count, provider_count, model_count;
	char *file;
	char *catalogue_file; /* where `catalogue` is; NULL: there is none */
	void *loaded[2]; /* the loader's trees of both; texts point into them */
};

/*
 * Read and check a file, and the one that it names as its catalogue. A configuration without models is one: only what
 * serves needs them (catalogue_compile). False: problems has at least one error, *ret is untouched. Warnings may come with
 * success. problems->file must be set (problems_init) to the path.
 */
must_check bool config_load(struct problems *problems, struct config **ret);
/* The same from memory, for tests and fuzzers: it can name no other file. */
must_check bool config_load_text(const char *text, size_t len, struct problems *problems, struct config **ret);
void config_free(struct config **c);

/* All that is listened on: those of `listen`, of `tls.listen` and of `listeners`, in this order. */
uint32_t config_listener_count(const struct config *c);
struct config_listener config_listener_at(const struct config *c, uint32_t i);
bool config_speaks_tls(const struct config *c); /* at one of them */

enum { CONFIG_SECRET_MAX = 2048,
	CONFIG_WHY_MAX = 400 };

/* What such a source holds, as it is: its bytes, or -1 and why, a sentence. */
int config_secret(const struct config_key *key, uint8_t *buf, size_t cap, char ret_why[CONFIG_WHY_MAX]);
/*
 * Read key k of a provider into buf (not terminated). Returns its length, or -1 with a sentence for the
 * operator in ret_why, which never holds any of the key's bytes. The caller wipes buf.
 */
must_check int config_provider_key(
	const struct config *c, uint32_t provider, uint32_t k, uint8_t *buf, size_t cap, char ret_why[CONFIG_WHY_MAX]);

/*
 * Remove every variable that a key is read from, overwriting its value in place: children must not inherit it,
 * nor /proc/PID/environ show it.
 */
void config_clear_environment(const struct config *c);

/*
 * Take the models away of each optional provider none of whose keys is there, with a warning for each. How many
 * providers are left.
 */
uint32_t config_switch_off(struct config *c, struct problems *problems);

/*
 * Read, check and switch off, for a server: false when problems has an error, of the file or that no provider is left. Says it all to the
 * operator by problems.
 */
must_check bool config_load_to_serve(struct problems *problems, struct config **ret);

/* Warn about keys that can't be read now and about key files that others may read. */
void config_check_keys(const struct config *c, struct problems *problems);

/* docs/reference/config.md: every setting with its default and meaning. */
void config_reference(FILE *to);
/* lethe.yaml(5): the same as a manual page. */
void config_man(const char *version, FILE *to);

#endif
