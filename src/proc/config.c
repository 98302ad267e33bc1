#include "proc/config.h"

#include "proc/config_priv.h"
#include "proc/config_raw.h"

#include <stdlib.h>
#include <string.h>

/* What one reading needs at hand. */
struct reading {
	const struct config_yaml *y;
	struct problems *problems;
};

/* Small and at start only: without this memory nothing could run. */
static void *
array(size_t count, size_t size)
{
	void *p = calloc(count + 1, size);
	if (p == NULL)
		abort();
	return p;
}

static struct span
text_span_of(const char *s)
{
	return (struct span){s, strlen(s)};
}

/* ---- values ---- */

void
config_value_text(enum setting_kind kind, uint64_t value, char *out, size_t cap)
{
	static const struct {
		enum setting_kind kind;
		uint64_t factor;
		const char *unit;
	} units[] = {{SETTING_BYTES, GIB, "GiB"}, {SETTING_BYTES, MIB, "MiB"}, {SETTING_BYTES, KIB, "KiB"},
		{SETTING_BYTES, 1, "B"}, {SETTING_MS, HOUR_MS, "h"}, {SETTING_MS, 60000, "m"}, {SETTING_MS, 1000, "s"},
		{SETTING_MS, 1, "ms"}};
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (units[i].kind == kind && value != 0 && value % units[i].factor == 0) {
			snprintf(out, cap, "%llu%s", (unsigned long long)(value / units[i].factor), units[i].unit);
			return;
		}
	snprintf(out, cap, "%llu", (unsigned long long)value);
}

static const char *const kind_remedy[] = {
#define X(kind, type, name, remedy) [SETTING_##kind] = remedy,
	SETTING_KINDS(X)
#undef X
};

static const char *const kind_name[] = {
#define X(kind, type, name, remedy) [SETTING_##kind] = name,
	SETTING_KINDS(X)
#undef X
};

static void
report_kind(struct reading *r, const struct setting *row, const char *text, uint32_t line)
{
	problems_error(r->problems, line, "`%s`: `%.40s` can't be read as %s – %s", row->key, text, kind_name[row->kind],
		kind_remedy[row->kind]);
}

static void
report_range(struct reading *r, const struct setting *row, const char *text, uint32_t line)
{
	char least[32], most[32];
	if (row->kind == SETTING_PER_MILLION || row->kind == SETTING_DOLLARS) {
		problems_error(r->problems, line, "`%s`: %.40s dollars is more than anybody charges – %s", row->key, text,
			kind_remedy[row->kind]);
		return;
	}
	if (row->kind == SETTING_RATIO) {
		problems_error(r->problems, line, "`%s`: %.40s is out of range – write \"0.01\" to \"100\"", row->key, text);
		return;
	}
	config_value_text(row->kind, row->least, least, sizeof least);
	config_value_text(row->kind, row->most, most, sizeof most);
	problems_error(r->problems, line, "`%s`: %.40s is out of range – write %s to %s", row->key, text, least, most);
}

static bool
text_ok(struct reading *r, const struct setting *row, const char *text, uint32_t line)
{
	size_t len = strlen(text);
	if (len < row->least || len > row->most) {
		problems_error(r->problems, line, "`%s` is %zu bytes long – write %llu to %llu", row->key, len,
			(unsigned long long)row->least, (unsigned long long)row->most);
		return false;
	}
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
			problems_error(
				r->problems, line, "`%s` has a control character – %s", row->key, kind_remedy[SETTING_TEXT]);
			return false;
		}
	return true;
}

/* The lowest bits of a number into a member of 64 bits, whatever its sign. */
static void
store_number(void *at, int64_t value)
{
	memcpy(at, &value, sizeof value);
}

static void
convert(struct reading *r, const struct setting *row, const char *text, uint32_t line, void *at)
{
	int64_t number;
	if (row->kind == SETTING_TEXT) {
		if (text_ok(r, row, text, line))
			memcpy(at, &text, sizeof text);
	} else if (row->kind == SETTING_FLAG) {
		if (!config_flag(text_span_of(text), at))
			report_kind(r, row, text, line);
	} else if (!config_number(row->kind, text_span_of(text), &number))
		report_kind(r, row, text, line);
	else if (row->most != 0 && ((uint64_t)number < row->least || (uint64_t)number > row->most))
		report_range(r, row, text, line);
	else
		store_number(at, number);
}

/*
 * Kinds that are exact decimals must be quoted: a YAML tool that rewrites the file would turn 0.1 into what its
 * doubles make of it.
 */
static bool
quoted_enough(struct reading *r, const struct setting *row, const char *text, const yaml_node_t *node)
{
	if (!setting_must_be_quoted(row->kind) || node == NULL || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return true;
	problems_error(r->problems, config_yaml_line(node),
		"`%s`: %.40s is a floating-point number to YAML – put it in quotes: \"%.40s\"", row->key, text, text);
	return false;
}

/* Without a text and without a default: no text, no amount (−1, a price falls back), zero. */
static void
store_none(const struct setting *row, void *at)
{
	static const char *const empty = "";
	if (row->kind == SETTING_TEXT)
		memcpy(at, &empty, sizeof empty);
	else if (row->kind == SETTING_PER_MILLION)
		store_number(at, -1);
}

/* All rows of a section; raw is NULL when the file has no such section. */
static void
convert_section(struct reading *r, enum config_section section, const void *raw, void *value, const yaml_node_t *node)
{
	for (size_t i = 0; i < config_sections[section].count; i++) {
		const struct setting *row = &config_sections[section].rows[i];
		char *text = NULL;
		if (raw != NULL)
			memcpy(&text, (const char *)raw + row->raw_at, sizeof text);
		void *at = (char *)value + row->at;
		store_none(row, at);
		if (text == NULL) {
			if (row->fallback != NULL && row->fallback[0] != '\0')
				convert(r, row, row->fallback, 0, at);
			continue;
		}
		const yaml_node_t *scalar = config_yaml_get(r->y, node, row->key);
		if (quoted_enough(r, row, text, scalar))
			convert(r, row, text, config_yaml_line(scalar), at);
	}
}

/* ---- lists ---- */

static void
listen_address(struct reading *r, const char *text, uint32_t line, const char *key, struct config_address *ret)
{
	if (!config_listen_address(text_span_of(text), ret))
		problems_error(r->problems, line,
			"`%s`: `%.60s` is not an address with a port – write 127.0.0.1:8080, 0.0.0.0:8080, [::1]:8080 or unix:/run/lethe/lethe.sock", key, text);
}

/* texts: what stands in `list`, which the file calls `key`. */
static struct config_address *
convert_listen(struct reading *r, char *const *texts, uint32_t count, const yaml_node_t *list, const char *key)
{
	struct config_address *listen = array(count, sizeof *listen);
	for (uint32_t i = 0; i < count; i++)
		listen_address(r, texts[i], config_yaml_line(config_yaml_item(r->y, list, i)), key, &listen[i]);
	return listen;
}

static void
convert_listeners(struct reading *r, const struct raw_top *raw, struct config *c, const yaml_node_t *list)
{
	c->listeners = array(raw->listeners_count, sizeof *c->listeners);
	c->listeners_count = raw->listeners_count;
	for (uint32_t i = 0; i < raw->listeners_count; i++) {
		struct config_listener *l = &c->listeners[i];
		const yaml_node_t *node = config_yaml_item(r->y, list, i);
		l->line = config_yaml_line(node);
		convert_section(r, SECTION_LISTENER, &raw->listeners[i], l, node);
		listen_address(r, l->at, config_yaml_line(config_yaml_get(r->y, node, "at")), "at", &l->address);
	}
}

static void
convert_proxies(struct reading *r, const struct raw_top *raw, struct config *c, const yaml_node_t *list)
{
	c->trusted_texts = raw->trusted_proxies;
	c->trusted_text_count = raw->trusted_proxies_count;
	c->trusted = array(raw->trusted_proxies_count, sizeof *c->trusted);
	for (uint32_t i = 0; i < raw->trusted_proxies_count; i++) {
		const char *text = raw->trusted_proxies[i];
		if (strcmp(text, "unix") == 0)
			c->trust_unix = true;
		else if (address_range_parse(text_span_of(text), &c->trusted[c->trusted_count]))
			c->trusted_count++;
		else
			problems_error(r->problems, config_yaml_line(config_yaml_item(r->y, list, i)),
				"`trusted_proxies`: `%.60s` is no range of addresses – write 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32 (nothing but zeros behind its length), or unix", text);
	}
}

static void
convert_tls(struct reading *r, const struct raw_tls *raw, struct config_tls *t, const yaml_node_t *node)
{
	const yaml_node_t *certificates = config_yaml_get(r->y, node, "certificates");
	convert_section(r, SECTION_TLS, raw, t, node);
	if (!raw)
		return;
	t->listen = convert_listen(r, raw->listen, raw->listen_count, config_yaml_get(r->y, node, "listen"), "tls.listen");
	t->listen_count = raw->listen_count;
	t->certificates = array(raw->certificates_count, sizeof *t->certificates);
	t->certificate_count = raw->certificates_count;
	for (uint32_t i = 0; i < raw->certificates_count; i++) {
		const yaml_node_t *one = config_yaml_item(r->y, certificates, i);
		t->certificates[i].line = config_yaml_line(one);
		convert_section(r, SECTION_CERTIFICATE, &raw->certificates[i], &t->certificates[i], one);
	}
}

static void
convert_keys(struct reading *r, const struct raw_provider *raw, struct config_provider *p, const yaml_node_t *node)
{
	p->keys = array(raw->keys_count, sizeof *p->keys);
	p->key_count = raw->keys_count;
	for (uint32_t i = 0; i < raw->keys_count; i++) {
		const yaml_node_t *key = config_yaml_item(r->y, config_yaml_get(r->y, node, "keys"), i);
		p->keys[i].line = config_yaml_line(key);
		convert_section(r, SECTION_KEY, &raw->keys[i], &p->keys[i], key);
	}
}

static void
convert_providers(struct reading *r, const struct raw_top *raw, struct config *c)
{
	const yaml_node_t *list = config_yaml_get(r->y, config_yaml_root(r->y), "providers");
	for (uint32_t i = 0; i < raw->providers_count; i++) {
		struct config_provider *p = &c->providers[c->provider_count++];
		const yaml_node_t *node = config_yaml_item(r->y, list, i);
		p->line = config_yaml_line(node);
		p->pass_headers = raw->providers[i].pass_headers;
		p->pass_header_count = raw->providers[i].pass_headers_count;
		convert_section(r, SECTION_PROVIDER, &raw->providers[i], p, node);
		convert_keys(r, &raw->providers[i], p, node);
	}
}

static struct config_price *
convert_prices(struct reading *r, const struct raw_price *raw, uint32_t count, const yaml_node_t *node)
{
	struct config_price *prices = array(count, sizeof *prices);
	for (uint32_t i = 0; i < count; i++) {
		const yaml_node_t *price = config_yaml_item(r->y, config_yaml_get(r->y, node, "prices"), i);
		prices[i].line = config_yaml_line(price);
		convert_section(r, SECTION_PRICE, &raw[i], &prices[i], price);
	}
	return prices;
}

/* The short form is one target of which nothing is said. */
static void
convert_targets(struct reading *r, const struct raw_model *raw, struct config_model *m, const yaml_node_t *node)
{
	m->short_form = raw->targets_count == 0;
	m->target_count = m->short_form ? 1 : raw->targets_count;
	m->targets = array(m->target_count, sizeof *m->targets);
	if (m->short_form) {
		const char *provider = m->provider;
		convert_section(r, SECTION_TARGET, NULL, &m->targets[0], NULL);
		m->targets[0].provider = provider;
		m->targets[0].line = m->line;
		return;
	}
	for (uint32_t i = 0; i < raw->targets_count; i++) {
		struct config_target *t = &m->targets[i];
		const struct raw_target *from = &raw->targets[i];
		const yaml_node_t *one = config_yaml_item(r->y, config_yaml_get(r->y, node, "targets"), i);
		t->line = config_yaml_line(one);
		convert_section(r, SECTION_TARGET, from, t, one);
		t->lane_texts = from->lanes;
		t->lane_text_count = from->lanes_count;
		t->prices = convert_prices(r, from->prices, from->prices_count, one);
		t->price_count = from->prices_count;
	}
}

static void
convert_lanes(struct reading *r, const struct raw_top *raw, struct config *c, const yaml_node_t *list)
{
	c->lane_count = raw->lanes_count ? raw->lanes_count : 1;
	c->lanes = array(c->lane_count, sizeof *c->lanes);
	if (raw->lanes_count == 0)
		c->lanes[0] = (struct config_lane){.name = "direct", .times_x100 = 100};
	for (uint32_t i = 0; i < raw->lanes_count; i++) {
		const yaml_node_t *node = config_yaml_item(r->y, list, i);
		c->lanes[i].line = config_yaml_line(node);
		convert_section(r, SECTION_LANE, &raw->lanes[i], &c->lanes[i], node);
	}
}

static void
convert_models(struct reading *r, const struct raw_top *raw, struct config *c)
{
	const yaml_node_t *list = config_yaml_get(r->y, config_yaml_root(r->y), "models");
	for (uint32_t i = 0; i < raw->models_count; i++) {
		struct config_model *m = &c->models[c->model_count++];
		const yaml_node_t *node = config_yaml_item(r->y, list, i);
		m->line = config_yaml_line(node);
		m->aliases = raw->models[i].aliases;
		m->alias_count = raw->models[i].aliases_count;
		m->capability_texts = raw->models[i].capabilities;
		m->capability_count = raw->models[i].capabilities_count;
		convert_section(r, SECTION_MODEL, &raw->models[i], m, node);
		m->prices = convert_prices(r, raw->models[i].prices, raw->models[i].prices_count, node);
		m->price_count = raw->models[i].prices_count;
		convert_targets(r, &raw->models[i], m, node);
	}
}

static void
convert_top(struct reading *r, const struct raw_top *raw, struct config *c)
{
	const yaml_node_t *root = config_yaml_root(r->y);
	convert_section(r, SECTION_TOP, raw, c, root);
	convert_section(r, SECTION_LIMITS, raw->limits, &c->limits, config_yaml_get(r->y, root, "limits"));
	convert_section(r, SECTION_TIMEOUTS, raw->timeouts, &c->timeouts, config_yaml_get(r->y, root, "timeouts"));
	convert_section(r, SECTION_METRICS, raw->metrics, &c->metrics, config_yaml_get(r->y, root, "metrics"));
	convert_section(r, SECTION_TELEMETRY, raw->telemetry, &c->telemetry, config_yaml_get(r->y, root, "telemetry"));
	convert_section(r, SECTION_BYOK_FEE, raw->byok_fee, &c->byok_fee, config_yaml_get(r->y, root, "byok_fee"));
	c->byok_fee.on = raw->byok_fee != NULL;
	convert_section(r, SECTION_LOG, raw->log, &c->log, config_yaml_get(r->y, root, "log"));
	convert_tls(r, raw->tls, &c->tls, config_yaml_get(r->y, root, "tls"));
	c->listen = convert_listen(r, raw->listen, raw->listen_count, config_yaml_get(r->y, root, "listen"), "listen");
	c->listen_count = raw->listen_count;
	convert_listeners(r, raw, c, config_yaml_get(r->y, root, "listeners"));
	convert_lanes(r, raw, c, config_yaml_get(r->y, root, "lanes"));
	convert_proxies(r, raw, c, config_yaml_get(r->y, root, "trusted_proxies"));
}

/* ---- loading ---- */

/* libcyaml's own words, for what our check of the same schema did not foresee. */
struct loader_log {
	char text[160];
};

static __attribute__((format(printf, 3, 0))) void
keep_first_words(cyaml_log_t level, void *context, const char *format, va_list list)
{
	struct loader_log *log = context;
	if (level < CYAML_LOG_ERROR || log->text[0] != '\0')
		return;
	vsnprintf(log->text, sizeof log->text, format, list);
	log->text[strcspn(log->text, "\n")] = '\0';
}

static cyaml_config_t
loader_config(struct loader_log *log)
{
	return (cyaml_config_t){
		.log_fn = keep_first_words,
		.log_ctx = log,
		.log_level = CYAML_LOG_ERROR,
		.mem_fn = cyaml_mem,
		.flags = CYAML_CFG_NO_ALIAS,
	};
}

static struct raw_top *
load_raw(struct span text, const cyaml_schema_value_t *schema, uint32_t place, struct problems *problems)
{
	struct loader_log log = {0};
	cyaml_config_t loader = loader_config(&log);
	struct raw_top *raw = NULL;
	cyaml_err_t error =
		cyaml_load_data((const uint8_t *)text.at, text.len, &loader, schema, (cyaml_data_t **)&raw, NULL);
	if (error == CYAML_OK)
		return raw;
	problems_error(problems, place, "%s (%s) – compare with examples/lethe.yaml", cyaml_strerror(error), log.text);
	return NULL;
}

/* One file, checked against its schema: *ret_raw and *ret_y are the caller's, whatever the outcome. */
static bool
read_one(struct span text, bool catalogue, struct problems *problems, struct config_yaml **ret_y, void **ret_raw)
{
	const cyaml_schema_value_t *schema = catalogue ? &catalogue_schema : &config_schema;
	uint32_t place = catalogue ? PLACE_CATALOGUE : 0;
	if (!config_yaml_parse(text.at, text.len, place, problems, ret_y) || !config_yaml_check(*ret_y, schema, problems))
		return false;
	*ret_raw = load_raw(text, schema, place, problems);
	return *ret_raw != NULL;
}

/* The file that the configuration names, if it names one. */
static bool
read_catalogue(const struct config_texts *t, struct config *c, struct config_yaml **y, struct problems *problems)
{
	const char *path = ((const struct raw_top *)c->loaded[0])->catalogue;
	struct span text = {NULL, 0};
	if (path == NULL || path[0] == '\0')
		return true;
	uint32_t line = config_yaml_line(config_yaml_get(y[0], config_yaml_root(y[0]), "catalogue"));
	if (t->open == NULL) {
		problems_error(problems, line, "`catalogue`: another file can't be named here – write its lists into this one");
		return false;
	}
	bool ok = t->open(t, path, line, problems, &text);
	if (ok) {
		c->catalogue_file = strdup(problems->catalogue);
		ok = read_one(text, true, problems, &y[1], &c->loaded[1]);
	}
	free((char *)text.at);
	return ok;
}

static void
count_lists(struct reading *r, const struct config *c, uint32_t *ret_providers, uint32_t *ret_models)
{
	*ret_providers = *ret_models = 0;
	for (unsigned i = 0; i < 2 && c->loaded[i] != NULL; i++) {
		*ret_providers += ((const struct raw_top *)c->loaded[i])->providers_count;
		*ret_models += ((const struct raw_top *)c->loaded[i])->models_count;
	}
	if (*ret_providers > CONFIG_PROVIDERS_MAX || *ret_models > CONFIG_MODELS_MAX)
		problems_error(r->problems, 0, "both files together have %u providers and %u models – %d and %d are the most",
			*ret_providers, *ret_models, CONFIG_PROVIDERS_MAX, CONFIG_MODELS_MAX);
}

static void
convert_all(const struct config_files *files, struct config *c, struct problems *problems)
{
	struct reading r = {files->y[0], problems};
	uint32_t providers, models;
	count_lists(&r, c, &providers, &models);
	c->providers = array(providers, sizeof *c->providers);
	c->models = array(models, sizeof *c->models);
	convert_top(&r, c->loaded[0], c);
	for (unsigned i = 0; i < 2 && c->loaded[i] != NULL; i++) {
		r.y = files->y[i];
		convert_providers(&r, c->loaded[i], c);
		convert_models(&r, c->loaded[i], c);
	}
}

bool
config_load_texts(const struct config_texts *texts, struct problems *problems, struct config **ret)
{
	struct config_yaml *y[2] = {NULL, NULL};
	struct config *c = array(1, sizeof *c);
	bool ok = read_one(texts->text, false, problems, &y[0], &c->loaded[0]) && read_catalogue(texts, c, y, problems);
	if (ok) {
		const struct config_files files = {{y[0], y[1]}};
		c->file = strdup(problems->file);
		convert_all(&files, c, problems);
		if (problems->errors == 0) /* what refers to broken values would only be reported twice */
			config_check(c, &files, problems);
		ok = problems->errors == 0;
	}
	config_yaml_free(&y[0]);
	config_yaml_free(&y[1]);
	if (!ok)
		config_free(&c);
	else
		*ret = c;
	return ok;
}

bool
config_load_text(const char *text, size_t len, struct problems *problems, struct config **ret)
{
	return config_load_texts(&(struct config_texts){.text = {text, len}}, problems, ret);
}

static void
free_loaded(void *loaded, const cyaml_schema_value_t *schema)
{
	struct loader_log log = {0};
	cyaml_config_t loader = loader_config(&log);
	if (loaded != NULL)
		cyaml_free(&loader, schema, loaded, 0);
}

void
config_model_free(struct config_model *m)
{
	for (uint32_t i = 0; i < m->target_count; i++)
		free(m->targets[i].prices);
	free(m->targets);
	free(m->prices);
}

void
config_free(struct config **config)
{
	struct config *c = *config;
	if (c == NULL)
		return;
	for (uint32_t i = 0; i < c->provider_count; i++)
		free(c->providers[i].keys);
	for (uint32_t i = 0; i < c->model_count; i++)
		config_model_free(&c->models[i]);
	free(c->lanes);
	free(c->listen);
	free(c->listeners);
	free(c->trusted);
	free(c->tls.listen);
	free(c->tls.certificates);
	free(c->providers);
	free(c->models);
	free(c->file);
	free(c->catalogue_file);
	free_loaded(c->loaded[0], &config_schema);
	free_loaded(c->loaded[1], &catalogue_schema);
	free(c);
	*config = NULL;
}
