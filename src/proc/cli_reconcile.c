/*
 * lethe reconcile import: a provider's own count beside ours, by day and model. Where more was charged than it counted, what would be given back to whom; with --propose
 * that is proposed to the ledger, where an operator accepts or rejects it. Where it counted more than all that we know of, attempts free to customers among it, what the
 * house would bear; with --propose-losses that is proposed likewise.
 */
#include "proc/cli_priv.h"

#include "proc/usage_export.h"
#include "ticket/nano.h"
#include "ticket/usage.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DAY_S = 86400,
	NAMES_MAX = 4096,
	ROWS_MAX = 10000, /* of one answer of the ledger's */
	ID_BYTES = 16 };

#define LOSSES "loss.estimate" /* the house's account of what a provider counted beyond ours */

struct name {
	const char *upstream, *model; /* of `names` */
};

/* One day of one model, as the provider names it. */
struct pair {
	int64_t day;
	char model[EXPORT_MODEL_MAX + 1];
	struct export_row ours, theirs;
	struct export_row all; /* ours, and attempts that are free to customers: theirs may have these, and `loss.retry` has them already */
	const char *dearest; /* of our models that are this one of theirs, the one that cost most; of `usage` */
	int64_t dearest_nano;
	int64_t over_nano; /* charged beyond their count */
	int64_t under_nano; /* counted by them beyond all of ours */
	bool unclear; /* they have nothing of it, or too little of a model and too much of its snapshot: nothing of it is proposed */
	int64_t not_proposed; /* shares of it, as another amount was proposed before */
};

struct reconciler {
	struct cli *cli;
	const char *provider;
	int64_t tolerance; /* in thousandths of a per cent */
	struct usage_export export;
	json_t *names_json, *usage;
	struct name names[NAMES_MAX];
	size_t name_count;
	struct pair *pairs;
	size_t pair_count;
	json_t *rows, *proposals, *not_proposed;
};

static int64_t
number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static const char *
text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));
	return text != NULL ? text : "";
}

static int64_t
nano_of(const json_t *o, const char *name)
{
	struct nano n = {0};
	const char *text = text_of(o, name);
	return nano_parse((struct span){text, strlen(text)}, &n) ? n.v : 0;
}

static void
put_nano(json_t *o, const char *name, int64_t nano)
{
	char text[NANO_TEXT_MAX];
	nano_text((struct nano){nano}, text);
	json_object_set_new(o, name, json_string(text));
}

static void
day_text(int64_t day, char ret[16])
{
	time_t s = (time_t)(day * DAY_S);
	struct tm tm;
	strftime(ret, 16, "%Y-%m-%d", gmtime_r(&s, &tm));
}

static bool
is_ok(const json_t *answer)
{
	return json_is_true(json_object_get(answer, "ok"));
}

static bool
is_refused_with(const json_t *answer, const char *code)
{
	return !is_ok(answer) && strcmp(text_of(json_object_get(answer, "error"), "code"), code) == 0;
}

/* An answer that is ok, or refused with one of these codes, which end with NULL, the caller's; NULL: said why not. request is given away. */
static json_t *
ask_but_for(struct reconciler *r, json_t *request, const char *const *codes)
{
	json_t *answer = cli_ask(r->cli, request);
	const json_t *error = json_object_get(answer, "error");
	json_decref(request);
	if (answer == NULL || is_ok(answer))
		return answer;
	for (; *codes != NULL; codes++)
		if (is_refused_with(answer, *codes))
			return answer;
	cli_fail(r->cli, CLI_REFUSED, "refused", "%s", text_of(error, "message"));
	json_decref(answer);
	return NULL;
}

static json_t *
ask(struct reconciler *r, json_t *request)
{
	return ask_but_for(r, request, &(const char *){NULL});
}

/* ---- names: ours and theirs ---- */

static bool
read_names(struct reconciler *r)
{
	const json_t *row;
	size_t i;
	r->names_json = ask(r, json_pack("{s:s, s:s}", "op", "reconcile.names", "provider", r->provider));
	if (r->names_json == NULL)
		return false;
	json_array_foreach(json_object_get(r->names_json, "names"), i, row) if (r->name_count < NAMES_MAX)
		r->names[r->name_count++] = (struct name){text_of(row, "upstream"), text_of(row, "model")};
	return true;
}

/* The name of a snapshot without its date: gpt-4o-2024-08-06, claude-sonnet-4-20250514. */
static size_t
without_date(const char *name)
{
	static const char *const forms[] = {"-dddd-dd-dd", "-dddddddd"};
	size_t len = strlen(name);
	for (size_t f = 0; f < ARRAY_LEN(forms); f++) {
		size_t tail = strlen(forms[f]), i = 0;
		if (len <= tail)
			continue;
		while (i < tail && (forms[f][i] == 'd' ? name[len - tail + i] >= '0' && name[len - tail + i] <= '9' : name[len - tail + i] == '-'))
			i++;
		if (i == tail)
			return len - tail;
	}
	return len;
}

static bool
is_name(const char *a, const char *b, size_t len)
{
	return strlen(a) == len && strncmp(a, b, len) == 0;
}

/* What the catalogue asks the provider for, when it is that, as it stands or a snapshot of it; else the name itself. */
static const char *
canonical(const struct reconciler *r, const char *theirs)
{
	size_t whole = strlen(theirs), base = without_date(theirs);
	for (size_t i = 0; i < r->name_count; i++)
		if (is_name(r->names[i].upstream, theirs, whole))
			return r->names[i].upstream;
	for (size_t i = 0; i < r->name_count; i++)
		if (is_name(r->names[i].upstream, theirs, base))
			return r->names[i].upstream;
	return theirs;
}

static const char *
canonical_of_ours(const struct reconciler *r, const char *model)
{
	for (size_t i = 0; i < r->name_count; i++)
		if (strcmp(r->names[i].model, model) == 0)
			return canonical(r, r->names[i].upstream);
	return model;
}

static struct pair *
find_pair(const struct reconciler *r, int64_t day, const char *model, size_t len)
{
	for (size_t i = 0; i < r->pair_count; i++)
		if (r->pairs[i].day == day && is_name(r->pairs[i].model, model, len))
			return &r->pairs[i];
	return NULL;
}

/* Ours, by its own name alone: a model and a snapshot of it that were both used are two. */
static struct pair *
pair_of_ours(struct reconciler *r, int64_t day, const char *model)
{
	struct pair *p = find_pair(r, day, model, strlen(model));
	if (p != NULL)
		return p;
	p = &r->pairs[r->pair_count++];
	*p = (struct pair){.day = day, .dearest_nano = -1};
	snprintf(p->model, sizeof p->model, "%s", model);
	return p;
}

/* A snapshot that was not used here by its own name is the model that has the name without the date, if that was; NULL: neither was. */
static struct pair *
pair_of_snapshot(const struct reconciler *r, int64_t day, const char *model)
{
	struct pair *p = find_pair(r, day, model, strlen(model));
	return p != NULL ? p : find_pair(r, day, model, without_date(model));
}

/* ---- both counts ---- */

static void
add_tokens(const struct reconciler *r, const json_t *tokens, struct export_row *to)
{
	static const struct {
		const char *name;
		enum export_kind kind;
	} kinds[] = {{"input", EXPORT_input}, {"audio_in", EXPORT_input}, {"image_in", EXPORT_input}, {"video_in", EXPORT_input}, {"cached", EXPORT_cached}, {"cached_audio", EXPORT_cached},
		{"cached_image", EXPORT_cached}, {"cache_write", EXPORT_cache_write}, {"cache_write_1h", EXPORT_cache_write_1h}, {"output", EXPORT_output}, {"reasoning", EXPORT_output},
		{"audio_out", EXPORT_output}, {"image_out", EXPORT_output}};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		bool write = kinds[i].kind == EXPORT_cache_write || kinds[i].kind == EXPORT_cache_write_1h;
		to->tokens[write && !r->export.cache_writes ? EXPORT_input : kinds[i].kind] += number(tokens, kinds[i].name);
	}
}

static int64_t
day_of(const char *text)
{
	struct tm tm = {0};
	return strptime(text, "%Y-%m-%d", &tm) != NULL ? (int64_t)(timegm(&tm) / DAY_S) : -1;
}

/* Of the export's days, without what customers' own keys used: the export has none of it. The caller's; NULL: said why not. */
static json_t *
ask_usage(struct reconciler *r, bool free_attempts)
{
	char since[16], until[16];
	day_text(r->export.rows[0].day, since);
	day_text(r->export.rows[r->export.count - 1].day, until);
	json_t *usage = ask(r, json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:b, s:b}", "op", "usage", "group", "day,model", "provider", r->provider, "since", since, "until", until, "limit", ROWS_MAX, "free_attempts", free_attempts, "no_own_keys", true));
	if (usage == NULL || !json_is_true(json_object_get(usage, "more")))
		return usage;
	json_decref(usage);
	cli_fail(r->cli, CLI_REFUSED, "too_many", "that are more than %d days and models of ours: give an export of fewer days", ROWS_MAX);
	return NULL;
}

/* What only attempts have used is compared with nothing: it is nobody's loss twice. */
static bool
read_attempts(struct reconciler *r)
{
	const json_t *row;
	size_t i;
	json_t *usage = ask_usage(r, true);
	if (usage == NULL)
		return false;
	json_array_foreach(json_object_get(usage, "rows"), i, row)
	{
		struct pair *p = pair_of_snapshot(r, day_of(text_of(row, "day")), canonical_of_ours(r, text_of(row, "model")));
		if (p != NULL)
			add_tokens(r, json_object_get(row, "tokens"), &p->all);
	}
	json_decref(usage);
	return true;
}

static bool
read_usage(struct reconciler *r)
{
	const json_t *row;
	size_t i;
	r->usage = ask_usage(r, false);
	if (r->usage == NULL)
		return false;
	const json_t *rows = json_object_get(r->usage, "rows");
	r->pairs = calloc(r->export.count + json_array_size(rows) + 1, sizeof *r->pairs);
	if (r->pairs == NULL)
		abort();
	json_array_foreach(rows, i, row)
	{
		const char *model = text_of(row, "model");
		struct pair *p = pair_of_ours(r, day_of(text_of(row, "day")), canonical_of_ours(r, model));
		int64_t cost = nano_of(row, "cost");
		p->ours.requests += number(row, "requests") - number(row, "failed");
		p->ours.cost_nano += cost;
		add_tokens(r, json_object_get(row, "tokens"), &p->ours);
		if (cost > p->dearest_nano) {
			p->dearest = model;
			p->dearest_nano = cost;
		}
	}
	return read_attempts(r);
}

static void
add_row(struct export_row *to, const struct export_row *row)
{
	to->requests += row->requests;
	to->cost_nano += row->cost_nano;
	for (int k = 0; k < EXPORT_KIND_COUNT; k++)
		to->tokens[k] += row->tokens[k];
}

static void
take_theirs(struct reconciler *r)
{
	for (size_t i = 0; i < r->export.count; i++) {
		const struct export_row *row = &r->export.rows[i];
		const char *model = canonical(r, row->model);
		struct pair *p = pair_of_snapshot(r, row->day, model);
		if (p == NULL)
			p = pair_of_ours(r, row->day, model);
		add_row(&p->theirs, row);
	}
}

/* This model, or a snapshot of it. */
static bool
is_family(const struct pair *p, const char *model)
{
	return strcmp(p->model, model) == 0 || is_name(p->model, model, without_date(model));
}

/* ---- what was charged beyond their count, and what they counted beyond ours ---- */

static int64_t
sum(const struct export_row *row)
{
	int64_t n = 0;
	for (int k = 0; k < EXPORT_KIND_COUNT; k++)
		n += row->tokens[k];
	return n;
}

/* At the standard price of that day: pico-dollars for each kind. */
static bool
read_price(struct reconciler *r, const struct pair *p, int64_t ret[EXPORT_KIND_COUNT])
{
	static const char *const names[] = {
#define X(name) #name,
		EXPORT_KINDS(X)
#undef X
	};
	char at[16];
	day_text(p->day, at);
	json_t *price = ask(r, json_pack("{s:s, s:s, s:s}", "op", "price.show", "model", p->dearest, "at", at));
	if (price == NULL)
		return false;
	const json_t *per_million = json_object_get(json_array_get(json_object_get(price, "rows"), 0), "dollars_per_million_tokens");
	for (int k = 0; k < EXPORT_KIND_COUNT; k++)
		ret[k] = nano_of(per_million, names[k]) / 1000;
	json_decref(price);
	return true;
}

static __int128
worth(const struct export_row *row, const int64_t pico[EXPORT_KIND_COUNT])
{
	__int128 sum = 0;
	for (int k = 0; k < EXPORT_KIND_COUNT; k++)
		sum += (__int128)row->tokens[k] * pico[k];
	return sum / 1000;
}

/*
 * What was charged beyond their count: the share of it by which theirs is worth less. Lanes and tiers below the standard price, and holds that were the bound, charge less
 * than that price comes to; more than it is never given back, nor more than was charged.
 */
static int64_t
charged_beyond(const struct pair *p, const int64_t pico[EXPORT_KIND_COUNT])
{
	__int128 ours = worth(&p->ours, pico), more = ours - worth(&p->theirs, pico), charged = p->ours.cost_nano;
	if (more <= 0)
		return 0;
	if (ours > charged)
		more = more * charged / ours;
	return (int64_t)(more < charged ? more : charged);
}

static int64_t
counted_beyond(const struct pair *p, const int64_t pico[EXPORT_KIND_COUNT])
{
	__int128 more = worth(&p->theirs, pico) - worth(&p->all, pico);
	return more <= 0 ? 0 : more > INT64_MAX ? INT64_MAX
											: (int64_t)more;
}

/* What may be the clock's fault is not taken for a mistake. */
static bool
is_beyond(const struct reconciler *r, const struct pair *p, int64_t more, int64_t less)
{
	return more > less && (__int128)(more - less) * 100000 > (__int128)sum(&p->theirs) * r->tolerance;
}

/* More than was charged is not given back. A model that nobody used here that day is another key's affair. */
static bool
judge(struct reconciler *r, struct pair *p)
{
	int64_t pico[EXPORT_KIND_COUNT];
	bool over = is_beyond(r, p, sum(&p->ours), sum(&p->theirs)), under = is_beyond(r, p, sum(&p->theirs), sum(&p->all));
	if (!r->export.counts || p->dearest == NULL || (!over && !under))
		return true;
	if (!read_price(r, p, pico))
		return false;
	if (over)
		p->over_nano = charged_beyond(p, pico);
	else
		p->under_nano = counted_beyond(p, pico);
	return true;
}

/*
 * A provider may count what was asked by a model's name under the snapshot that answered, in part or all of it. Where it has less of one than we have, and more of the
 * other, nobody can tell what was asked by which: by itself the one would be given back, though it was counted. And an export without a model that was used is rather a part of one.
 */
static void
doubt(struct reconciler *r, struct pair *p)
{
	p->unclear |= p->over_nano > 0 && sum(&p->theirs) == 0;
	for (size_t i = 0; p->over_nano > 0 && i < r->pair_count; i++) {
		struct pair *other = &r->pairs[i];
		bool family = is_family(p, other->model) || is_family(other, p->model);
		if (other != p && other->day == p->day && family && sum(&other->theirs) > sum(&other->ours))
			p->unclear = other->unclear = true;
	}
}

/* "+1.25", of theirs. */
static json_t *
drift_of(const struct pair *p)
{
	char text[32];
	int64_t theirs = sum(&p->theirs), difference = sum(&p->ours) - theirs;
	if (theirs == 0)
		return difference == 0 ? json_string("0.00") : json_null();
	snprintf(text, sizeof text, "%+.2f", 100.0 * (double)difference / (double)theirs);
	return json_string(text);
}

static void
put_row(struct reconciler *r, const struct pair *p)
{
	char day[16];
	day_text(p->day, day);
	json_t *o = json_pack("{s:s, s:s, s:I}", "day", day, "model", p->model, "requests", (json_int_t)p->ours.requests);
	put_nano(o, "charged", p->ours.cost_nano);
	if (r->export.costs) {
		put_nano(o, "provider_charged", p->theirs.cost_nano);
	} else {
		const int64_t *a = p->ours.tokens, *b = p->theirs.tokens;
		json_object_set_new(o, "provider_requests", json_integer(p->theirs.requests));
		json_object_set_new(o, "prompt", json_integer(sum(&p->ours) - a[EXPORT_output]));
		json_object_set_new(o, "provider_prompt", json_integer(sum(&p->theirs) - b[EXPORT_output]));
		json_object_set_new(o, "cached", json_integer(a[EXPORT_cached]));
		json_object_set_new(o, "provider_cached", json_integer(b[EXPORT_cached]));
		json_object_set_new(o, "output", json_integer(a[EXPORT_output]));
		json_object_set_new(o, "provider_output", json_integer(b[EXPORT_output]));
		json_object_set_new(o, "drift_percent", drift_of(p));
		put_nano(o, "over", p->over_nano);
		json_object_set_new(o, "free_attempts", json_integer(sum(&p->all) - sum(&p->ours)));
		put_nano(o, "under", p->under_nano);
		json_object_set_new(o, "unclear", json_boolean(p->unclear));
		json_object_set_new(o, "not_proposed", json_integer(p->not_proposed));
	}
	json_array_append_new(r->rows, o);
}

/* ---- proposed ---- */

enum { ID_TEXT = 2 * ID_BYTES + 32 };

/* The same export, given again, proposes nothing anew. Another amount has the next revision, once what has this one was rejected: so one is open at a time. */
static void
own_id(const struct reconciler *r, const struct pair *p, const char *account, unsigned revision, char ret[ID_TEXT])
{
	char text[600], hex[2 * ID_BYTES + 1];
	unsigned char hash[ID_BYTES];
	snprintf(text, sizeof text, "%s\n%lld\n%s\n%s", r->provider, (long long)p->day, p->model, account);
	crypto_generichash(hash, sizeof hash, (const unsigned char *)text, strlen(text), NULL, 0);
	sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
	if (revision == 1)
		snprintf(ret, ID_TEXT, "reconcile:%s", hex);
	else
		snprintf(ret, ID_TEXT, "reconcile:%s:%u", hex, revision);
}

/* A day's count that was not whole yet, or was corrected since: what stands can't be made another amount, and other days wait for none of it. */
static void
note_conflict(struct reconciler *r, struct pair *p, const char *account, const char *name, const char *day, const char *amount)
{
	p->not_proposed++;
	json_array_append_new(r->not_proposed, json_pack("{s:s, s:s, s:s, s:s, s:s}", "day", day, "model", p->model, "account", account, "account_name", name, "worth", amount));
}

static bool
propose_one(struct reconciler *r, struct pair *p, const char *account, const char *name, int64_t nano)
{
	char day[16], amount[NANO_TEXT_MAX], id[ID_TEXT], reason[256];
	bool loss = p->under_nano > 0;
	unsigned revision = 1;
	json_t *o = NULL;
	day_text(p->day, day);
	nano_text((struct nano){nano}, amount);
	snprintf(reason, sizeof reason, "%s counted %lld tokens, %lld were %s", r->provider, (long long)sum(&p->theirs), (long long)sum(loss ? &p->all : &p->ours), loss ? "counted here" : "charged");
	do {
		json_decref(o);
		own_id(r, p, account, revision++, id);
		o = ask_but_for(r, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "op", "proposal.create", "account", account, "amount", amount, "day", day, "provider", r->provider, "model", p->model, "reason", reason, "id", id),
			(const char *const[]){"id_conflict", "rejected", NULL});
	} while (o != NULL && is_refused_with(o, "rejected"));
	if (o == NULL)
		return false;
	if (is_ok(o)) {
		json_object_del(o, "ok");
		json_array_append(r->proposals, o);
	} else {
		note_conflict(r, p, account, name, day, amount);
	}
	json_decref(o);
	return true;
}

/* Who paid for that model that day, of ours: rows with account and cost. */
static bool
read_payers(struct reconciler *r, const struct pair *p, json_t *payers)
{
	const json_t *row, *payer;
	char day[16];
	size_t i, k;
	day_text(p->day, day);
	json_array_foreach(json_object_get(r->usage, "rows"), i, row)
	{
		const char *model = text_of(row, "model");
		if (day_of(text_of(row, "day")) != p->day || strcmp(canonical_of_ours(r, model), p->model) != 0)
			continue;
		json_t *o = ask(r, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:b}", "op", "usage", "group", "account", "model", model, "provider", r->provider, "since", day, "until", day, "limit", ROWS_MAX, "no_own_keys", true));
		if (o == NULL)
			return false;
		json_array_foreach(json_object_get(o, "rows"), k, payer) json_array_append(payers, (json_t *)payer);
		json_decref(o);
	}
	return true;
}

/* By what each paid; what division leaves goes to nobody: less than a nano-dollar each. */
static bool
propose(struct reconciler *r, struct pair *p)
{
	json_t *payers = json_array(), *shares = json_object();
	const json_t *payer;
	size_t i;
	__int128 all = 0;
	bool ok = read_payers(r, p, payers);
	json_array_foreach(payers, i, payer) all += nano_of(payer, "cost");
	/* One account may have used two of our models that are one of theirs. */
	json_array_foreach(payers, i, payer)
	{
		const char *account = text_of(payer, "account");
		json_object_set_new(shares, account, json_integer(number(shares, account) + nano_of(payer, "cost")));
	}
	json_array_foreach(payers, i, payer)
	{
		const char *account = text_of(payer, "account");
		int64_t nano = all > 0 ? (int64_t)((__int128)p->over_nano * number(shares, account) / all) : 0;
		if (ok && nano > 0)
			ok = propose_one(r, p, account, text_of(payer, "account_name"), nano);
		json_object_del(shares, account);
	}
	json_decref(payers);
	json_decref(shares);
	return ok;
}

/* ---- the command ---- */

static bool
read_file(struct reconciler *r, const char *path)
{
	char why[EXPORT_WHY_MAX] = "";
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *f = is_stdin ? stdin : fopen(path, "re");
	char *text = f != NULL ? malloc((size_t)EXPORT_BYTES_MAX + 1) : NULL;
	if (f == NULL || text == NULL) {
		cli_fail(r->cli, CLI_REFUSED, "file", "%s can't be read: %s", path, strerror(errno));
		free(text);
		return false;
	}
	size_t len = fread(text, 1, (size_t)EXPORT_BYTES_MAX + 1, f);
	if (!is_stdin)
		fclose(f);
	bool ok = len <= EXPORT_BYTES_MAX && usage_export_read((struct span){text, len}, &r->export, why);
	if (!ok)
		cli_fail(r->cli, CLI_REFUSED, "export", "%s: %s", path, why[0] != '\0' ? why : "it has more than 64 MiB: take fewer days");
	free(text);
	return ok;
}

static bool
read_tolerance(struct reconciler *r, const json_t *request)
{
	const char *text = json_string_value(json_object_get(request, "tolerance"));
	struct nano n = {NANO_PER_DOLLAR};
	if (text != NULL && (!nano_parse((struct span){text, strlen(text)}, &n) || n.v < 0 || n.v > 100 * NANO_PER_DOLLAR)) {
		cli_fail(r->cli, CLI_USAGE, "usage", "--tolerance takes per cent from 0 to 100, for example 0.5");
		return false;
	}
	r->tolerance = n.v / (NANO_PER_DOLLAR / 1000);
	return true;
}

static bool
reconcile(struct reconciler *r, bool proposing, bool losses)
{
	bool ok = read_names(r) && read_usage(r);
	if (ok)
		take_theirs(r);
	for (size_t i = 0; ok && i < r->pair_count; i++)
		ok = judge(r, &r->pairs[i]);
	for (size_t i = 0; ok && i < r->pair_count; i++)
		doubt(r, &r->pairs[i]);
	for (size_t i = 0; ok && i < r->pair_count; i++) {
		struct pair *p = &r->pairs[i];
		if (proposing && p->over_nano > 0 && !p->unclear)
			ok = propose(r, p);
		if (ok && losses && p->under_nano > 0 && !p->unclear)
			ok = propose_one(r, p, LOSSES, LOSSES, p->under_nano);
		if (ok)
			put_row(r, p);
	}
	return ok;
}

static void
finish(struct reconciler *r)
{
	usage_export_free(&r->export);
	json_decref(r->names_json);
	json_decref(r->usage);
	json_decref(r->rows);
	json_decref(r->proposals);
	json_decref(r->not_proposed);
	free(r->pairs);
	free(r);
}

static void
show_proposed(const json_t *proposals)
{
	size_t i, open = 0, all = json_array_size(proposals);
	json_t *o;
	json_array_foreach(proposals, i, o) open += strcmp(json_string_value(json_object_get(o, "state")), "open") == 0;
	if (open > 0)
		printf("\n%zu proposed: lethe reconcile proposals --open\n", open);
	if (all > open)
		printf("\n%zu accepted or rejected before: lethe reconcile proposals\n", all - open);
}

static void
show(const struct reconciler *r, const json_t *answer)
{
	size_t count = json_array_size(r->not_proposed);
	cli_show(r->cli, answer);
	show_proposed(r->proposals);
	if (count == 0)
		return;
	printf("\n%zu not proposed, as other amounts were before: look at those (`lethe reconcile proposals`). Reject one that is open and wrong, and import this again; what one that is accepted lacks, a customer is given with `lethe credit add`:\n", count);
	cli_show_table(r->cli, r->not_proposed, "day,model,account_name,worth");
}

int
cli_reconcile_import(struct cli *cli, json_t *request)
{
	struct reconciler *r = calloc(1, sizeof *r);
	if (r == NULL)
		abort();
	*r = (struct reconciler){.cli = cli, .provider = text_of(request, "provider"), .rows = json_array(), .proposals = json_array(), .not_proposed = json_array()};
	bool ok = read_tolerance(r, request) && read_file(r, text_of(request, "file")) && reconcile(r, json_is_true(json_object_get(request, "propose")), json_is_true(json_object_get(request, "propose_losses")));
	if (ok) {
		json_t *answer = json_pack("{s:b, s:s, s:O, s:O, s:O}", "ok", 1, "provider", r->provider, "rows", r->rows, "proposals", r->proposals, "not_proposed", r->not_proposed);
		if (cli->json)
			cli_print_json(answer);
		else
			show(r, answer);
		json_decref(answer);
		ok = json_array_size(r->not_proposed) == 0;
	}
	finish(r);
	return ok ? CLI_OK : CLI_REFUSED;
}
