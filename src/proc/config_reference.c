#include "ledger/loss_bounds.h"
#include "proc/config_priv.h"
#include "proc/config_raw.h"
#include "proc/roff.h"
#include "ticket/capabilities.h"

#include <string.h>

/* The lists and sections, which are no single values and stand in the schema only. */
struct part {
	enum config_section section;
	const char *title;
	const char *words;
	struct {
		const char *key, *kind, *fallback, *meaning;
	} lists[14];
};

#define WORD(NAME, bit, word, meaning) "`" word "` (" meaning "), "
static const struct part parts[] = {
	{SECTION_TOP, "Top level", "",
		{{"listen", "list of addresses", "required without `tls.listen` and `listeners`", "where clients connect in clear text: `127.0.0.1:8080`, `0.0.0.0:8080`, `[::1]:8080`, `unix:/run/lethe/lethe.sock`; port 0 lets the kernel choose"},
			{"listeners", "list", "none", "the same with options for each, see below"},
			{"trusted_proxies", "list of address ranges", "none", "who may say from whom a request or a connection is: `10.0.0.0/8`, `2001:db8::/32`, one address, or `unix` for who connects to a Unix socket; see `client_address` and `proxy_protocol`"},
			{"tls", "section", "", "see below"},
			{"limits", "section", "", "sizes and numbers, see below"},
			{"timeouts", "section", "", "see below"},
			{"metrics", "section", "", "see below"},
			{"telemetry", "section", "", "see below"},
			{"log", "section", "", "see below"},
			{"byok_fee", "section", "none: own keys are not taken", "see below"},
			{"lanes", "list", "one, `direct`", "ways of delivery, see below; the first is the default"},
			{"providers", "list", "required, here or in `catalogue`", "see below"},
			{"models", "list", "required, here or in `catalogue`", "see below"}}},
	{SECTION_LISTENER, "listeners", "One entry for each place where clients connect; `listen` and `tls.listen` are short for those without options.", {{NULL}}},
	{SECTION_LIMITS, "limits", "", {{NULL}}},
	{SECTION_TIMEOUTS, "timeouts", "", {{NULL}}},
	{SECTION_TLS, "tls", "Files are read at the start, and again at a SIGHUP.",
		{{"listen", "list of addresses", "none", "where clients connect with TLS, like `listen`: `0.0.0.0:443`, `[::]:443`"},
			{"certificates", "list", "required with `listen`", "see below; the first is shown to clients that name no host that another one is for"}}},
	{SECTION_CERTIFICATE, "tls.certificates",
		"One entry for each certificate; it stands for the DNS names in it. Two for the same names, with keys of different kinds (ECDSA, RSA), go together.", {{NULL}}},
	{SECTION_METRICS, "metrics", "", {{NULL}}},
	{SECTION_TELEMETRY, "telemetry", "", {{NULL}}},
	{SECTION_BYOK_FEE, "byok_fee", "What a request costs that goes by a customer's own key at the provider (`lethe byok add`): these two together. Without this section no such keys are taken or used.", {{NULL}}},
	{SECTION_LOG, "log", "", {{NULL}}},
	{SECTION_PROVIDER, "providers", "One entry for each provider account.",
		{{"keys", "list", "none", "its API keys, see below; none for providers that want none"},
			{"pass_headers", "list of header names", "none", "request headers that reach this provider besides those of its API"}}},
	{SECTION_KEY, "providers.keys", "Where a key is. Exactly one of the three; the key itself never stands in this file.", {{NULL}}},
	{SECTION_LANE, "lanes", "One entry for each way in which models may be delivered; `models.targets` says who serves in which.", {{NULL}}},
	{SECTION_MODEL, "models", "One entry for each model that clients may name.",
		{{"aliases", "list of names", "none", "other names that clients may use"},
			{"capabilities", "list of words", "none", "what lists of models say that it can do, some of: " CAPABILITIES(WORD) "`reasoning` is told without being named"},
			{"targets", "list", "one, `provider` and `upstream`", "where it is served, see below"},
			{"prices", "list", "required", "the price book, see below; a model without a price is refused"}}},
	{SECTION_TARGET, "models.targets",
		"One entry for each place where the model is served. Until the first byte of an answer, a request that fails at one goes to the next.",
		{{"lanes", "list of names", "all", "the lanes in which it serves"},
			{"prices", "list", "the model's", "a price book of its own, like `models.prices`; the lane's `times` holds for it as well"}}},
	{SECTION_PRICE, "models.prices",
		"One entry for each date from which prices hold; older entries stay, so that past requests keep theirs. Amounts are quoted decimals.",
		{{NULL}}},
};

static const char *const kind_name[] = {
#define X(kind, type, name, remedy) [SETTING_##kind] = name,
	SETTING_KINDS(X)
#undef X
};

static bool
has_bounds(const struct setting *row)
{
	return row->kind == SETTING_COUNT || row->kind == SETTING_BYTES || row->kind == SETTING_MS;
}

static void
print_bounds(const struct setting *row, FILE *to)
{
	char least[32], most[32];
	if (!has_bounds(row))
		return;
	config_value_text(row->kind, row->least, least, sizeof least);
	config_value_text(row->kind, row->most, most, sizeof most);
	fprintf(to, ", %s to %s", least, most);
}

static void
print_row(const struct setting *row, FILE *to)
{
	const char *name = kind_name[row->kind];
	fprintf(to, "| `%s` | %s", row->key, strncmp(name, "a ", 2) == 0 ? name + 2 : name);
	print_bounds(row, to);
	if (row->fallback == NULL)
		fprintf(to, " | required | %s |\n", row->meaning);
	else if (row->fallback[0] == '\0')
		fprintf(to, " | none | %s |\n", row->meaning);
	else
		fprintf(to, " | `%s` | %s |\n", row->fallback, row->meaning);
}

static void
print_part(const struct part *part, FILE *to)
{
	fprintf(to, "\n## %s\n\n", part->title);
	if (part->words[0] != '\0')
		fprintf(to, "%s\n\n", part->words);
	fprintf(to, "| key | value | default | meaning |\n|---|---|---|---|\n");
	for (size_t i = 0; i < config_sections[part->section].count; i++)
		print_row(&config_sections[part->section].rows[i], to);
	for (size_t i = 0; i < ARRAY_LEN(part->lists) && part->lists[i].key != NULL; i++)
		fprintf(to, "| `%s` | %s | %s | %s |\n", part->lists[i].key, part->lists[i].kind, part->lists[i].fallback,
			part->lists[i].meaning);
}

static const char loss_title[] = "What may be lost when everything ends at once";
static const char loss_words[] = "When all processes are killed, or the power is cut: what was delivered and is never charged, at most, on a disk that takes writes. Nothing is charged twice or above its hold, and\n"
								 "no booked entry is lost. A store that can't be reached takes no progress: while PostgreSQL is away from a server that has it alone, what runs may be lost from then on.\n"
								 "What runs is written every 4 seconds, and the fifth is for that. On PostgreSQL it holds as long as that takes no longer than a second there: 2,048 streams are one statement and one commit,\n"
								 "so it is the database's disk that counts, not the way to it. One that needs longer makes the bound longer by as much.\n";
static const struct {
	const char *durability, *lost, *why;
	int64_t most_ms;
} losses[] = {
#define X(NAME, durability, lost, most_ms, why) {durability, lost, why, most_ms},
	LOSS_BOUNDS(X)
#undef X
};

static void
print_losses(FILE *to)
{
	char most[32];
	fprintf(to, "\n## %s\n\n%s\n| `durability` | of | at most the last | what |\n|---|---|---|---|\n", loss_title, loss_words);
	for (size_t i = 0; i < ARRAY_LEN(losses); i++) {
		config_value_text(SETTING_MS, losses[i].most_ms, most, sizeof most);
		fprintf(to, "| %s | %s | %s | %s |\n", losses[i].durability, losses[i].lost, most, losses[i].why);
	}
}

static void
man_row(const char *key, const char *kind, const char *fallback, const char *meaning, FILE *to)
{
	char text[400];
	fprintf(to, ".TP\n.B %s\n", key);
	snprintf(text, sizeof text, "%s.", meaning);
	roff_text(text, to);
	if (fallback[0] != '\0')
		snprintf(text, sizeof text, "(%s; %s%s)", kind, strcmp(fallback, "required") == 0 || strcmp(fallback, "none") == 0 ? "" : "default ", strcmp(fallback, "none") == 0 ? "none by default" : fallback);
	else
		snprintf(text, sizeof text, "(%s)", kind);
	roff_text(text, to);
}

static void
man_setting(const struct setting *row, FILE *to)
{
	char kind[160], least[32], most[32];
	snprintf(kind, sizeof kind, "%s", kind_name[row->kind]);
	if (has_bounds(row)) {
		config_value_text(row->kind, row->least, least, sizeof least);
		config_value_text(row->kind, row->most, most, sizeof most);
		snprintf(kind, sizeof kind, "%s, %s to %s", kind_name[row->kind], least, most);
	}
	man_row(row->key, kind, row->fallback == NULL ? "required" : row->fallback[0] == '\0' ? "none"
																						  : row->fallback,
		row->meaning, to);
}

static void
man_part(const struct part *part, FILE *to)
{
	fprintf(to, ".SS %s\n", part->title);
	roff_text(part->words, to);
	for (size_t i = 0; i < config_sections[part->section].count; i++)
		man_setting(&config_sections[part->section].rows[i], to);
	for (size_t i = 0; i < ARRAY_LEN(part->lists) && part->lists[i].key != NULL; i++)
		man_row(part->lists[i].key, part->lists[i].kind, part->lists[i].fallback, part->lists[i].meaning, to);
}

static void
man_losses(FILE *to)
{
	char most[32];
	fprintf(to, ".SH LOSSES\n");
	roff_text(loss_words, to);
	for (size_t i = 0; i < ARRAY_LEN(losses); i++) {
		config_value_text(SETTING_MS, losses[i].most_ms, most, sizeof most);
		man_row(losses[i].lost, losses[i].durability, most, losses[i].why, to);
	}
}

void
config_man(const char *version, FILE *to)
{
	roff_title("lethe.yaml", 5, version, "configuration of lethe(1)", to);
	fprintf(to, ".SH DESCRIPTION\n");
	roff_text("One YAML file, read at the start: listeners, limits, providers, models and prices. Unknown keys, repeated keys and aliases (`*name`) are\n"
			  "errors. `lethe config check FILE` says what is wrong with one, with line and remedy; `lethe config print FILE` shows it with all defaults;\n"
			  "`lethe catalogue lint FILE` finds what is allowed and yet hardly meant.\n",
		to);
	fprintf(to, ".SH SETTINGS\n");
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		man_part(&parts[i], to);
	man_losses(to);
	fprintf(to, ".SH SEE ALSO\n.BR lethe (1)\n");
}

void
config_reference(FILE *to)
{
	fprintf(to, "# Configuration reference\n\n"
				"Generated by `lethe config reference` from the table that also reads the file; don't edit. One YAML file, read at the start.\n"
				"`lethe config check FILE` says what is wrong with one, with line and remedy. Unknown keys, repeated keys and aliases (`*name`)\n"
				"are errors. Examples: `examples/`.\n");
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		print_part(&parts[i], to);
	print_losses(to);
}
