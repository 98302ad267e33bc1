#include "proc/config_print.h"

#include "proc/config_priv.h"
#include "proc/config_raw.h"
#include "ticket/nano.h"

#include <string.h>
#include <time.h>

/* ---- values ---- */

static const char *const kind_remedy[] = {
#define X(kind, type, name, remedy) [SETTING_##kind] = remedy,
	SETTING_KINDS(X)
#undef X
};

/* One of a few words: the remedy of the kind names them all, and the reader says which is meant. */
static bool
word_of(enum setting_kind kind, int64_t value, char *out, size_t cap)
{
	for (const char *at = kind_remedy[kind]; *at != '\0';) {
		int64_t number;
		size_t len = strcspn(at, " ,\"");
		if (len > 0 && len < cap && config_number(kind, (struct span){at, len}, &number) && number == value) {
			snprintf(out, cap, "%.*s", (int)len, at);
			return true;
		}
		at += len + (at[len] != '\0');
	}
	return false;
}

static void
day_text(uint64_t ms, char *out, size_t cap)
{
	time_t t = (time_t)(ms / 1000);
	struct tm tm;
	gmtime_r(&t, &tm);
	strftime(out, cap, t % 86400 == 0 ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* Millionths (of a dollar, or pico a token) or hundredths: at least two places, no zeros behind them. */
static void
decimal_text(uint64_t value, unsigned places, char *out, size_t cap)
{
	uint64_t unit = 1;
	for (unsigned i = 0; i < places; i++)
		unit *= 10;
	int len = snprintf(
		out, cap, "%llu.%0*llu", (unsigned long long)(value / unit), (int)places, (unsigned long long)(value % unit));
	while (out[len - 1] == '0' && out[len - 3] != '.')
		out[--len] = '\0';
}

static json_t *
number_json(const struct setting *row, int64_t value)
{
	char text[64] = "";
	switch (row->kind) {
	case SETTING_COUNT:
		return json_integer(value);
	case SETTING_BYTES:
	case SETTING_MS:
		config_value_text(row->kind, (uint64_t)value, text, sizeof text);
		break;
	case SETTING_DAY:
		day_text((uint64_t)value, text, sizeof text);
		break;
	case SETTING_PER_MILLION:
		decimal_text((uint64_t)value, 6, text, sizeof text);
		break;
	case SETTING_DOLLARS:
		decimal_text((uint64_t)value, 9, text, sizeof text);
		break;
	case SETTING_FILE_MODE:
		snprintf(text, sizeof text, "%03o", (unsigned)value);
		break;
	case SETTING_RATIO:
		decimal_text((uint64_t)value, 2, text, sizeof text);
		break;
	default: /* kinds of a few words each */
		if (!word_of(row->kind, value, text, sizeof text))
			return NULL;
	}
	return json_string(text);
}

/* NULL: it has no value, and the file says nothing of it. */
static json_t *
value_json(const struct setting *row, const void *at)
{
	int64_t number;
	const char *text;
	bool flag;
	if (row->kind == SETTING_TEXT) {
		memcpy(&text, at, sizeof text);
		return text[0] == '\0' ? NULL : json_string(text);
	}
	if (row->kind == SETTING_FLAG) {
		memcpy(&flag, at, sizeof flag);
		return json_boolean(flag);
	}
	memcpy(&number, at, sizeof number);
	bool none = row->kind == SETTING_PER_MILLION ? number < 0
												 : row->kind == SETTING_DAY && number == 0 && row->fallback != NULL;
	return none ? NULL : number_json(row, number);
}

/* ---- sections ---- */

static json_t *
section_json(enum config_section section, const void *value)
{
	json_t *o = json_object();
	for (size_t i = 0; i < config_sections[section].count; i++) {
		const struct setting *row = &config_sections[section].rows[i];
		json_t *v = value_json(row, (const char *)value + row->at);
		if (v != NULL)
			json_object_set_new(o, row->key, v);
	}
	return o;
}

static json_t *
texts_json(char *const *texts, uint32_t count)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(texts[i]));
	return list;
}

/* A list that stands in a file has an entry at least. */
static void
put_list(json_t *o, const char *name, json_t *list)
{
	if (json_array_size(list) > 0)
		json_object_set(o, name, list);
	json_decref(list);
}

static json_t *
listen_json(const struct config_address *a, uint32_t count)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < count; i++) {
		char text[128];
		config_address_text(&a[i], text, sizeof text);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static json_t *
tls_json(const struct config_tls *t)
{
	json_t *o = section_json(SECTION_TLS, t), *certificates = json_array();
	for (uint32_t i = 0; i < t->certificate_count; i++)
		json_array_append_new(certificates, section_json(SECTION_CERTIFICATE, &t->certificates[i]));
	put_list(o, "listen", listen_json(t->listen, t->listen_count));
	put_list(o, "certificates", certificates);
	return o;
}

static json_t *
provider_json(const struct config_provider *p)
{
	json_t *o = section_json(SECTION_PROVIDER, p), *keys = json_array();
	for (uint32_t i = 0; i < p->key_count; i++)
		json_array_append_new(keys, section_json(SECTION_KEY, &p->keys[i]));
	json_object_set_new(o, "keys", keys);
	json_object_set_new(o, "pass_headers", texts_json(p->pass_headers, p->pass_header_count));
	return o;
}

static json_t *
prices_json(const struct config_price *p, uint32_t count)
{
	json_t *prices = json_array();
	for (uint32_t i = 0; i < count; i++) {
		json_t *price = section_json(SECTION_PRICE, &p[i]);
		json_object_del(price, "times"); /* written out as the prices that it makes */
		json_array_append_new(prices, price);
	}
	return prices;
}

static json_t *
target_json(const struct config_target *t)
{
	json_t *o = section_json(SECTION_TARGET, t);
	put_list(o, "lanes", texts_json(t->lane_texts, t->lane_text_count));
	put_list(o, "prices", prices_json(t->prices, t->price_count));
	return o;
}

static json_t *
model_json(const struct config_model *m)
{
	json_t *o = section_json(SECTION_MODEL, m), *targets = json_array();
	json_object_set_new(o, "aliases", texts_json(m->aliases, m->alias_count));
	json_object_set_new(o, "capabilities", texts_json(m->capability_texts, m->capability_count));
	json_object_set_new(o, "prices", prices_json(m->prices, m->price_count));
	for (uint32_t i = 0; i < m->target_count && !m->short_form; i++)
		json_array_append_new(targets, target_json(&m->targets[i]));
	if (!m->short_form)
		json_object_del(o, "provider");
	put_list(o, "targets", targets);
	return o;
}

json_t *
config_json(const struct config *c)
{
	json_t *o = section_json(SECTION_TOP, c), *listeners = json_array(), *providers = json_array(), *models = json_array(), *lanes = json_array();
	json_object_del(o, "catalogue"); /* its lists are in these */
	for (uint32_t i = 0; i < c->lane_count; i++)
		json_array_append_new(lanes, section_json(SECTION_LANE, &c->lanes[i]));
	for (uint32_t i = 0; i < c->provider_count; i++)
		json_array_append_new(providers, provider_json(&c->providers[i]));
	for (uint32_t i = 0; i < c->model_count; i++)
		json_array_append_new(models, model_json(&c->models[i]));
	put_list(o, "listen", listen_json(c->listen, c->listen_count));
	for (uint32_t i = 0; i < c->listeners_count; i++)
		json_array_append_new(listeners, section_json(SECTION_LISTENER, &c->listeners[i]));
	put_list(o, "listeners", listeners);
	put_list(o, "trusted_proxies", texts_json(c->trusted_texts, c->trusted_text_count));
	json_object_set_new(o, "limits", section_json(SECTION_LIMITS, &c->limits));
	json_object_set_new(o, "timeouts", section_json(SECTION_TIMEOUTS, &c->timeouts));
	json_object_set_new(o, "tls", tls_json(&c->tls));
	json_object_set_new(o, "metrics", section_json(SECTION_METRICS, &c->metrics));
	json_object_set_new(o, "telemetry", section_json(SECTION_TELEMETRY, &c->telemetry));
	json_object_set_new(o, "log", section_json(SECTION_LOG, &c->log));
	if (c->byok_fee.on)
		json_object_set_new(o, "byok_fee", section_json(SECTION_BYOK_FEE, &c->byok_fee));
	json_object_set_new(o, "lanes", lanes);
	json_object_set_new(o, "providers", providers);
	json_object_set_new(o, "models", models);
	return o;
}

/* ---- YAML ---- */

/* A word, a path, or a number with a unit: what no YAML reader takes for anything but a text. */
static bool
is_bare(const char *s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "ms", "s", "m", "h"};
	static const char *const words[] = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"};
	size_t digits = strspn(s, "0123456789");
	for (size_t i = 0; digits > 0 && i < ARRAY_LEN(units); i++)
		if (strcmp(s + digits, units[i]) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcasecmp(s, words[i]) == 0)
			return false;
	return s[0] != '\0' && strchr(letters, s[0]) != NULL &&
		strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./") == strlen(s);
}

/* One character in a double-quoted text. What YAML takes for the end of a line, or refuses to see, is escaped (YAML 1.1, 5.1 and 5.4). */
static size_t
print_character(const unsigned char *s, FILE *to)
{
	uint32_t two = (uint32_t)s[0] << 8 | s[1], three = s[1] == 0 ? 0 : two << 8 | s[2];
	if (s[0] == '"' || s[0] == '\\')
		fprintf(to, "\\%c", s[0]);
	else if (s[0] < 0x20 || s[0] == 0x7f)
		fprintf(to, "\\x%02x", s[0]);
	else if (two >= 0xc280 && two <= 0xc29f) {
		fprintf(to, "\\x%02x", s[1]);
		return 2;
	} else if (three == 0xe280a8 || three == 0xe280a9 || three == 0xefbbbf || three == 0xefbfbe || three == 0xefbfbf) {
		fprintf(to, "\\u%04x", (s[0] & 15u) << 12 | (s[1] & 63u) << 6 | (s[2] & 63u));
		return 3;
	} else
		fputc(s[0], to);
	return 1;
}

static void
print_scalar(const json_t *v, FILE *to)
{
	const char *s = json_string_value(v);
	if (s == NULL) {
		json_dumpf(v, to, JSON_ENCODE_ANY | JSON_COMPACT);
		return;
	}
	if (is_bare(s)) {
		fprintf(to, "%s", s);
		return;
	}
	fputc('"', to);
	while (*s != '\0')
		s += print_character((const unsigned char *)s, to);
	fputc('"', to);
}

static bool
is_nested(const json_t *v)
{
	return json_object_size(v) > 0 || (json_is_array(v) && json_is_object(json_array_get(v, 0)));
}

static void
print_flow(const json_t *list, FILE *to)
{
	size_t i;
	json_t *v;
	fprintf(to, "[");
	json_array_foreach(list, i, v)
	{
		fprintf(to, "%s", i == 0 ? "" : ", ");
		print_scalar(v, to);
	}
	fprintf(to, "]\n");
}

/* Members of an object, the first one behind the dash of its list's item. Six levels at most: the schema has no more. */
static void
print_object(const json_t *o, int indent, bool item, FILE *to)
{
	const char *name;
	json_t *v, *inner;
	size_t i;
	json_object_foreach((json_t *)o, name, v)
	{
		if (json_is_object(v) && json_object_size(v) == 0)
			continue;
		fprintf(to, "%*s%s:", item ? 0 : indent, "", name);
		item = false;
		if (!is_nested(v)) {
			fprintf(to, " ");
			json_is_array(v) ? print_flow(v, to) : (print_scalar(v, to), (void)fputc('\n', to));
			continue;
		}
		fprintf(to, "\n");
		if (json_is_object(v))
			print_object(v, indent + 2, false, to);
		json_array_foreach(v, i, inner)
		{
			fprintf(to, "%*s- ", indent + 2, "");
			print_object(inner, indent + 4, true, to);
		}
	}
}

void
config_yaml_print(const json_t *config, FILE *to)
{
	print_object(config, 0, false, to);
}
