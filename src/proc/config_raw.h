/*
 * The configuration file as the loader gives it: every value still a text. Between config.c and its schema
 * only; freed with the configuration.
 */
#ifndef PROC_CONFIG_RAW_H
#define PROC_CONFIG_RAW_H

#include "proc/config_scalar.h"
#include "proc/config_settings.h"

#include <cyaml/cyaml.h>

#define RAW_MEMBER(key, member, kind, fallback, least, most, meaning) char *member;

struct raw_listener {
	CONFIG_LISTENER(RAW_MEMBER)
};

struct raw_limits {
	CONFIG_LIMITS(RAW_MEMBER)
};

struct raw_timeouts {
	CONFIG_TIMEOUTS(RAW_MEMBER)
};

struct raw_certificate {
	CONFIG_CERTIFICATE(RAW_MEMBER)
};

struct raw_tls {
	CONFIG_TLS(RAW_MEMBER)
	char **listen;
	struct raw_certificate *certificates;
	uint32_t listen_count, certificates_count;
};

struct raw_metrics {
	CONFIG_METRICS(RAW_MEMBER)
};

struct raw_telemetry {
	CONFIG_TELEMETRY(RAW_MEMBER)
};

struct raw_byok_fee {
	CONFIG_BYOK_FEE(RAW_MEMBER)
};

struct raw_log {
	CONFIG_LOG(RAW_MEMBER)
};

struct raw_key {
	CONFIG_KEY(RAW_MEMBER)
};

struct raw_provider {
	CONFIG_PROVIDER(RAW_MEMBER)
	struct raw_key *keys;
	char **pass_headers;
	uint32_t keys_count, pass_headers_count;
};

struct raw_price {
	CONFIG_PRICE(RAW_MEMBER)
};

struct raw_lane {
	CONFIG_LANE(RAW_MEMBER)
};

struct raw_target {
	CONFIG_TARGET(RAW_MEMBER)
	char **lanes;
	struct raw_price *prices;
	uint32_t lanes_count, prices_count;
};

struct raw_model {
	CONFIG_MODEL(RAW_MEMBER)
	char **aliases, **capabilities;
	struct raw_price *prices;
	struct raw_target *targets;
	uint32_t aliases_count, capabilities_count, prices_count, targets_count;
};

struct raw_top {
	CONFIG_TOP(RAW_MEMBER)
	char **listen;
	struct raw_listener *listeners;
	char **trusted_proxies;
	struct raw_limits *limits;
	struct raw_timeouts *timeouts;
	struct raw_tls *tls;
	struct raw_metrics *metrics;
	struct raw_telemetry *telemetry;
	struct raw_log *log;
	struct raw_byok_fee *byok_fee;
	struct raw_lane *lanes;
	struct raw_provider *providers;
	struct raw_model *models;
	uint32_t listen_count, listeners_count, trusted_proxies_count, lanes_count, providers_count, models_count;
};

/* One row of config_settings.h with the places of its text and its value. */
struct setting {
	const char *key;
	enum setting_kind kind;
	const char *fallback;
	uint64_t least, most;
	const char *meaning;
	size_t raw_at, at;
};

enum config_section {
#define X(SECTION, name) SECTION_##SECTION,
	CONFIG_SECTIONS(X)
#undef X
		SECTION_COUNT
};

struct section {
	const struct setting *rows;
	size_t count;
};

extern const struct section config_sections[SECTION_COUNT];
extern const cyaml_schema_value_t config_schema, catalogue_schema; /* both of struct raw_top */

enum {
	CONFIG_CERTIFICATES_MAX = 64,
	CONFIG_PROVIDERS_MAX = 1000,
	CONFIG_MODELS_MAX = 10000,
	CONFIG_ALIASES_MAX = 64,
	CONFIG_PRICES_MAX = 200
};

#endif
