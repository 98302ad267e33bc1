#include "proc/config.h"
#include "proc/config_raw.h"

#include "ticket/capabilities.h"
#include "ticket/catalogue.h"

/* The price columns are read as one array indexed by token kind. */
#define X(name, meaning, fallback) \
	_Static_assert(offsetof(struct config_price, name) == offsetof(struct config_price, input) + TOKEN_##name * sizeof(int64_t), \
		"price columns follow TOKEN_KINDS");
TOKEN_KINDS(X)
#undef X

/* ---- rows: key, kind, default, bounds, meaning, places ---- */

#define ROW(key, member, kind, fallback, least, most, meaning) \
	{key, SETTING_##kind, fallback, least, most, meaning, offsetof(RAW, member), offsetof(VALUE, member)},

/* RAW and VALUE name the structs of the section that is expanded. */
#define RAW struct raw_top
#define VALUE struct config
static const struct setting top_rows[] = {CONFIG_TOP(ROW)};
#undef RAW
#undef VALUE
#define RAW struct raw_listener
#define VALUE struct config_listener
static const struct setting listener_rows[] = {CONFIG_LISTENER(ROW)};
#undef RAW
#undef VALUE
#define RAW struct raw_limits
#define VALUE struct config_limits
static const struct setting limits_rows[] = {CONFIG_LIMITS(ROW)};
#undef RAW
#undef VALUE
#define RAW struct raw_timeouts
#define VALUE struct config_timeouts
static const struct setting timeouts_rows[] = {CONFIG_TIMEOUTS(ROW)};
#undef RAW
#undef VALUE
#define RAW struct raw_tls
#define VALUE struct config_tls
static const struct setting tls_rows[] = {CONFIG_TLS(ROW)};
#undef RAW
#undef VALUE
#define RAW struct raw_certificate
#define VALUE struct config_certificate
static const struct setting certificate_rows[] = {CONFIG_CERTIFICATE(ROW)};
#undef RAW
#undef VALUE
#define RAW struct raw_metrics
#define VALUE struct config_metrics
static const struct setting metrics_rows[] = {CONFIG_METRICS(ROW)};
#undef RAW
#undef VALUE
#define RAW struct raw_telemetry
#define VALUE struct config_telemetry
static const struct setting telemetry_rows[] = {CONFIG_TELEMETRY(ROW)};
#undef RAW
#undef VALUE
#define RAW struct raw_byok_fee
#define VALUE struct config_byok_fee
static const struct setting byok_fee_rows[] = {CONFIG_BYOK_FEE(ROW)};
#undef RAW
#undef VALUE
#define RAW struct raw_log
#define VALUE struct config_log
static const struct setting log_rows[] = {CONFIG_LOG(ROW)};
#undef RAW
#undef VALUE
#define RAW struct raw_lane
#define VALUE struct config_lane
static const struct setting lane_rows[] = {CONFIG_LANE(ROW)};
#undef RAW
#undef VALUE
#define RAW struct raw_target
#define VALUE struct config_target
static const struct setting target_rows[] = {CONFIG_TARGET(ROW)};
#undef RAW
#undef VALUE
#define RAW struct raw_provider
#define VALUE struct config_provider
static const struct setting provider_rows[] = {CONFIG_PROVIDER(ROW)};
#undef RAW
#undef VALUE
#define RAW struct raw_key
#define VALUE struct config_key
static const struct setting key_rows[] = {CONFIG_KEY(ROW)};
#undef RAW
#undef VALUE
#define RAW struct raw_model
#define VALUE struct config_model
static const struct setting model_rows[] = {CONFIG_MODEL(ROW)};
#undef RAW
#undef VALUE
#define RAW struct raw_price
#define VALUE struct config_price
static const struct setting price_rows[] = {CONFIG_PRICE(ROW)};
#undef RAW
#undef VALUE

const struct section config_sections[SECTION_COUNT] = {
#define X(SECTION, name) [SECTION_##SECTION] = {name##_rows, ARRAY_LEN(name##_rows)},
	CONFIG_SECTIONS(X)
#undef X
};

/* ---- libcyaml's schema: all scalars are texts, so that our own messages can name line and remedy ---- */

/* A string literal is an array, NULL is not. */
#define IS_REQUIRED(fallback) __builtin_types_compatible_p(__typeof__(fallback), void *)
#define FIELD(key, member, kind, fallback, least, most, meaning) \
	CYAML_FIELD_STRING_PTR(key, IS_REQUIRED(fallback) ? CYAML_FLAG_POINTER : CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, RAW, member, 0, \
		CYAML_UNLIMITED),
#define LIST(key, member, entry, flags, least, most) \
	CYAML_FIELD_SEQUENCE_COUNT(key, CYAML_FLAG_POINTER | (flags), RAW, member, member##_count, &(entry), least, most)
#define PART(key, member, fields, flags) \
	CYAML_FIELD_MAPPING_PTR(key, CYAML_FLAG_POINTER | (flags), RAW, member, fields)

static const cyaml_schema_value_t text_value = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, CYAML_UNLIMITED)};

#define RAW struct raw_listener
static const cyaml_schema_field_t listener_fields[] = {CONFIG_LISTENER(FIELD) CYAML_FIELD_END};
static const cyaml_schema_value_t listener_value = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, RAW, listener_fields)};
#undef RAW
#define RAW struct raw_limits
static const cyaml_schema_field_t limits_fields[] = {CONFIG_LIMITS(FIELD) CYAML_FIELD_END};
#undef RAW
#define RAW struct raw_timeouts
static const cyaml_schema_field_t timeouts_fields[] = {CONFIG_TIMEOUTS(FIELD) CYAML_FIELD_END};
#undef RAW
#define RAW struct raw_certificate
static const cyaml_schema_field_t certificate_fields[] = {CONFIG_CERTIFICATE(FIELD) CYAML_FIELD_END};
static const cyaml_schema_value_t certificate_value = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, RAW, certificate_fields)};
#undef RAW
#define RAW struct raw_tls
static const cyaml_schema_field_t tls_fields[] = {
	LIST("listen", listen, text_value, CYAML_FLAG_OPTIONAL, 1, CONFIG_LISTEN_MAX),
	LIST("certificates", certificates, certificate_value, CYAML_FLAG_OPTIONAL, 1, CONFIG_CERTIFICATES_MAX),
	CONFIG_TLS(FIELD) CYAML_FIELD_END,
};
#undef RAW
#define RAW struct raw_metrics
static const cyaml_schema_field_t metrics_fields[] = {CONFIG_METRICS(FIELD) CYAML_FIELD_END};
#undef RAW
#define RAW struct raw_telemetry
static const cyaml_schema_field_t telemetry_fields[] = {CONFIG_TELEMETRY(FIELD) CYAML_FIELD_END};
#undef RAW
#define RAW struct raw_byok_fee
static const cyaml_schema_field_t byok_fee_fields[] = {CONFIG_BYOK_FEE(FIELD) CYAML_FIELD_END};
#undef RAW
#define RAW struct raw_log
static const cyaml_schema_field_t log_fields[] = {CONFIG_LOG(FIELD) CYAML_FIELD_END};
#undef RAW
#define RAW struct raw_key
static const cyaml_schema_field_t key_fields[] = {CONFIG_KEY(FIELD) CYAML_FIELD_END};
static const cyaml_schema_value_t key_value = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, RAW, key_fields)};
#undef RAW
#define RAW struct raw_price
static const cyaml_schema_field_t price_fields[] = {CONFIG_PRICE(FIELD) CYAML_FIELD_END};
static const cyaml_schema_value_t price_value = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, RAW, price_fields)};
#undef RAW

#define RAW struct raw_provider
static const cyaml_schema_field_t provider_fields[] = {
	LIST("keys", keys, key_value, CYAML_FLAG_OPTIONAL, 0, CATALOGUE_KEYS_MAX),
	LIST("pass_headers", pass_headers, text_value, CYAML_FLAG_OPTIONAL, 0, CATALOGUE_HEADERS_MAX),
	CONFIG_PROVIDER(FIELD) CYAML_FIELD_END,
};
static const cyaml_schema_value_t provider_value = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, RAW, provider_fields)};
#undef RAW

#define RAW struct raw_lane
static const cyaml_schema_field_t lane_fields[] = {CONFIG_LANE(FIELD) CYAML_FIELD_END};
static const cyaml_schema_value_t lane_value = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, RAW, lane_fields)};
#undef RAW

#define RAW struct raw_target
static const cyaml_schema_field_t target_fields[] = {
	LIST("lanes", lanes, text_value, CYAML_FLAG_OPTIONAL, 1, CATALOGUE_LANES_MAX),
	LIST("prices", prices, price_value, CYAML_FLAG_OPTIONAL, 0, CONFIG_PRICES_MAX),
	CONFIG_TARGET(FIELD) CYAML_FIELD_END,
};
static const cyaml_schema_value_t target_value = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, RAW, target_fields)};
#undef RAW

#define RAW struct raw_model
static const cyaml_schema_field_t model_fields[] = {
	LIST("targets", targets, target_value, CYAML_FLAG_OPTIONAL, 1, CATALOGUE_TARGETS_MAX),
	LIST("aliases", aliases, text_value, CYAML_FLAG_OPTIONAL, 0, CONFIG_ALIASES_MAX),
	LIST("capabilities", capabilities, text_value, CYAML_FLAG_OPTIONAL, 0, CAPABILITIES_MAX),
	LIST("prices", prices, price_value, CYAML_FLAG_OPTIONAL, 0, CONFIG_PRICES_MAX),
	CONFIG_MODEL(FIELD) CYAML_FIELD_END,
};
static const cyaml_schema_value_t model_value = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, RAW, model_fields)};
#undef RAW

#define RAW struct raw_top
static const cyaml_schema_field_t top_fields[] = {
	LIST("listen", listen, text_value, CYAML_FLAG_OPTIONAL, 1, CONFIG_LISTEN_MAX),
	LIST("listeners", listeners, listener_value, CYAML_FLAG_OPTIONAL, 0, CONFIG_LISTEN_MAX),
	LIST("trusted_proxies", trusted_proxies, text_value, CYAML_FLAG_OPTIONAL, 0, CONFIG_PROXIES_MAX),
	PART("limits", limits, limits_fields, CYAML_FLAG_OPTIONAL),
	PART("timeouts", timeouts, timeouts_fields, CYAML_FLAG_OPTIONAL),
	PART("tls", tls, tls_fields, CYAML_FLAG_OPTIONAL),
	PART("metrics", metrics, metrics_fields, CYAML_FLAG_OPTIONAL),
	PART("telemetry", telemetry, telemetry_fields, CYAML_FLAG_OPTIONAL),
	PART("log", log, log_fields, CYAML_FLAG_OPTIONAL),
	PART("byok_fee", byok_fee, byok_fee_fields, CYAML_FLAG_OPTIONAL),
	LIST("lanes", lanes, lane_value, CYAML_FLAG_OPTIONAL, 1, CATALOGUE_LANES_MAX),
	LIST("providers", providers, provider_value, CYAML_FLAG_OPTIONAL, 0, CONFIG_PROVIDERS_MAX),
	LIST("models", models, model_value, CYAML_FLAG_OPTIONAL, 0, CONFIG_MODELS_MAX),
	CONFIG_TOP(FIELD) CYAML_FIELD_END,
};
const cyaml_schema_value_t config_schema = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, RAW, top_fields)};

/* What may also stand in a file of its own. */
static const cyaml_schema_field_t catalogue_fields[] = {
	LIST("providers", providers, provider_value, CYAML_FLAG_OPTIONAL, 0, CONFIG_PROVIDERS_MAX),
	LIST("models", models, model_value, CYAML_FLAG_OPTIONAL, 0, CONFIG_MODELS_MAX),
	CYAML_FIELD_END,
};
const cyaml_schema_value_t catalogue_schema = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, RAW, catalogue_fields)};
#undef RAW
