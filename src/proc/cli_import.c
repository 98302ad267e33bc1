#include "proc/cli_priv.h"

#include "proc/config_priv.h"
#include "proc/import.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { IMPORT_SOURCES_MAX = 64,
	NOTE_NAMES_MAX = 6,
	IMPORT_CHANGES = CLI_REFUSED, /* exit statuses, as diff has them */
	IMPORT_TROUBLE = CLI_USAGE };

/* What a run holds. */
struct run {
	struct cli *cli;
	const json_t *request;
	struct problems problems;
	struct config *config;
	char *text[2], *list[IMPORT_SOURCES_MAX];
	struct import_file files[2];
	struct source sources[IMPORT_SOURCES_MAX];
	size_t source_count;
	const char **words[2]; /* providers, models */
};

/* ---- reading ---- */

static int
trouble(const struct run *r)
{
	const struct problems *p = &r->problems;
	char text[PATH_MAX + PROBLEM_TEXT_MAX];
	if (!r->cli->json) {
		problems_print(p, stderr);
		return IMPORT_TROUBLE;
	}
	json_t *list = json_array();
	for (uint32_t i = 0; i < p->count; i++) {
		int len = problem_text(p, i, text, sizeof text);
		json_array_append_new(list, json_stringn_nocheck(text, len < (int)sizeof text ? (size_t)len : sizeof text - 1));
	}
	json_t *answer = json_pack("{s:b, s:{s:s, s:s}, s:o}", "ok", 0, "error", "code", "bad_input", "message",
		"a file can't be used", "problems", list);
	cli_print_json(answer);
	json_decref(answer);
	return IMPORT_TROUBLE;
}

/* All of it, of a pipe too; NULL: problems says why. */
static char *
read_list(struct run *r, const char *path, size_t *ret_len)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *f = standard ? stdin : fopen(path, "re");
	size_t cap = 1 << 16, len = 0, got;
	char *text = f == NULL ? NULL : malloc(cap);
	while (text != NULL && len <= SOURCE_BYTES_MAX && (got = fread(text + len, 1, cap - len, f)) > 0) {
		len += got;
		if (len == cap)
			text = realloc(text, cap *= 2);
	}
	if (f == NULL || text == NULL || ferror(f) != 0) {
		problems_error(&r->problems, 0, "%s – give the path of a list; `lethe help catalogue import` says where they are", strerror(errno));
		free(text);
		text = NULL;
	}
	if (f != NULL && !standard)
		fclose(f);
	*ret_len = len;
	return text;
}

static bool
open_sources(struct run *r)
{
	const char *from = json_string_value(json_object_get(r->request, "from"));
	enum source_format format = from == NULL ? FORMAT_DETECT : strcmp(from, "litellm") == 0 ? FORMAT_LITELLM
																							: FORMAT_GENAI;
	json_t *path;
	size_t i;
	json_array_foreach(json_object_get(r->request, "sources"), i, path)
	{
		size_t len;
		const char *name = json_string_value(path);
		problems_init(&r->problems, strcmp(name, "-") == 0 ? "standard input" : name);
		if (i == IMPORT_SOURCES_MAX) {
			problems_error(&r->problems, 0, "is one list too many – give at most %d", IMPORT_SOURCES_MAX);
			return false;
		}
		r->list[i] = read_list(r, name, &len);
		if (r->list[i] == NULL || !source_open((struct span){r->list[i], len}, format, &r->problems, &r->sources[i]))
			return false;
		r->source_count++;
	}
	return true;
}

static bool
open_config(struct run *r)
{
	size_t len;
	problems_init(&r->problems, json_string_value(json_object_get(r->request, "file")));
	if (!config_load(&r->problems, &r->config))
		return false;
	const char *paths[2] = {r->config->file, r->config->catalogue_file};
	for (unsigned f = 0; f < 2 && paths[f] != NULL; f++) {
		r->text[f] = config_read_file(paths[f], f == 0 ? 0 : PLACE_CATALOGUE, &r->problems, &len);
		if (r->text[f] == NULL)
			return false;
		r->files[f] = (struct import_file){.path = paths[f], .text = {r->text[f], len}};
	}
	return true;
}

static struct import_words
words_of(struct run *r, unsigned which, const char *member)
{
	const json_t *list = json_object_get(r->request, member);
	size_t count = json_array_size(list);
	r->words[which] = calloc(count + 1, sizeof *r->words[which]);
	if (r->words[which] == NULL)
		abort();
	for (size_t i = 0; i < count; i++)
		r->words[which][i] = json_string_value(json_array_get(list, i));
	return (struct import_words){r->words[which], count};
}

static bool
read_date(const struct run *r, uint64_t *ret_ms)
{
	const char *text = json_string_value(json_object_get(r->request, "date"));
	int64_t ms = (int64_t)time(NULL) / 86400 * 86400 * 1000;
	if (text != NULL && !config_number(SETTING_DAY, (struct span){text, strlen(text)}, &ms))
		return false;
	*ret_ms = (uint64_t)ms;
	return true;
}

/* A name that is no provider would quietly choose nothing. */
static const char *
unknown_provider(const struct run *r, const struct import_words *names)
{
	for (size_t i = 0; i < names->count; i++) {
		bool known = false;
		for (uint32_t p = 0; p < r->config->provider_count; p++)
			known = known || strcmp(r->config->providers[p].name, names->at[i]) == 0;
		if (!known)
			return names->at[i];
	}
	return NULL;
}

/* ---- showing ---- */

static void
print_note(const json_t *note)
{
	const json_t *models = json_object_get(note, "models"), *model;
	size_t i, count = (size_t)json_integer_value(json_object_get(note, "count"));
	fprintf(stderr, "note: ");
	json_array_foreach((json_t *)models, i, model)
	{
		if (i == NOTE_NAMES_MAX)
			break;
		fprintf(stderr, "%s%s", i == 0 ? "" : ", ", json_string_value(model));
	}
	if (count > NOTE_NAMES_MAX)
		fprintf(stderr, " and %zu more", count - NOTE_NAMES_MAX);
	fprintf(stderr, ": %s %s\n", json_string_value(json_object_get(note, "what")),
		json_string_value(json_object_get(note, "reason")));
}

static void
print_differences(const json_t *change)
{
	const json_t *list = json_object_get(change, "differences"), *d;
	size_t i;
	fprintf(stderr, "price: %s from %s:", json_string_value(json_object_get(change, "model")),
		json_string_value(json_object_get(change, "from")));
	json_array_foreach((json_t *)list, i, d)
	{
		const char *key = json_string_value(json_object_get(d, "key")), *was = json_string_value(json_object_get(d, "was"));
		long long above = json_integer_value(json_object_get(d, "above"));
		fprintf(stderr, "%s %s", i == 0 ? "" : ",", key);
		if (above > 0)
			fprintf(stderr, " above %lld", above);
		if (strcmp(key, "tier") != 0)
			fprintf(stderr, " %s →", was == NULL ? "none" : was);
		fprintf(stderr, " %s", json_string_value(json_object_get(d, "is")));
	}
	fprintf(stderr, "\n");
}

static void
print_counts(const struct import_result *s)
{
	fprintf(stderr, "%u price%s changed, %u model%s new.\n", s->repriced, s->repriced == 1 ? "" : "s", s->added,
		s->added == 1 ? " is" : "s are");
	if (s->not_wanted > 0)
		fprintf(stderr, "%u models of your providers are in the lists and not in the catalogue: --add adds all, --model NAME some.\n", s->not_wanted);
	if (s->gone + s->other_use + s->tuned > 0)
		fprintf(stderr, "Not considered: %u no longer served, %u of kinds without an endpoint here (images, speech, ...), %u fine-tuned.\n", s->gone, s->other_use, s->tuned);
	if (s->other_provider > 0)
		fprintf(stderr, "Not considered: %u models of providers that the configuration doesn't have.\n", s->other_provider);
}

static void
print_words(const struct import_result *s)
{
	json_t *row;
	size_t i;
	json_array_foreach(s->changes, i, row) if (strcmp(json_string_value(json_object_get(row, "change")), "price") == 0)
		print_differences(row);
	json_array_foreach(s->notes.list, i, row) print_note(row);
	if (s->notes.more > 0)
		fprintf(stderr, "note: and %u more\n", s->notes.more);
	print_counts(s);
}

static void
print_diff(struct run *r, FILE *to)
{
	for (unsigned f = 0; f < 2 && r->files[f].path != NULL; f++)
		edits_diff(&r->files[f].edits, r->files[f].text, r->files[f].path, to);
}

static void
print_answer(struct run *r, const struct import_result *s, bool changed)
{
	char *diff = NULL;
	size_t len;
	FILE *to = open_memstream(&diff, &len);
	if (to == NULL)
		abort();
	print_diff(r, to);
	if (fclose(to) != 0)
		abort();
	json_t *answer = json_pack("{s:b, s:b, s:O, s:O, s:i, s:i}", "ok", 1, "changed", changed, "changes",
		s->changes, "notes", s->notes.list,
		"not_added", (int)s->not_wanted, "not_considered", (int)(s->gone + s->other_use + s->tuned + s->other_provider));
	json_object_set_new(answer, "diff", json_string(diff));
	cli_print_json(answer);
	json_decref(answer);
	free(diff);
}

/* ---- writing ---- */

static bool
write_whole(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t put = write(fd, text, len);
		if (put < 0 && errno != EINTR)
			return false;
		text += put < 0 ? 0 : put;
		len -= put < 0 ? 0 : (size_t)put;
	}
	return fsync(fd) == 0;
}

/* A file that root writes for the server stays readable by the server: owner and group as they were, or it is not written. */
static bool
like_before(int fd, const struct stat *old)
{
	struct stat st;
	if (fstat(fd, &st) != 0)
		return false;
	bool other = st.st_uid != old->st_uid || st.st_gid != old->st_gid;
	return (!other || fchown(fd, old->st_uid, old->st_gid) == 0) && fchmod(fd, old->st_mode & 0777) == 0;
}

/* In one step, with owner and mode of what was there. NULL, or what failed. */
static const char *
replace_file(const char *path, const char *text, size_t len)
{
	char target[PATH_MAX], temporary[PATH_MAX + 16];
	struct stat st;
	if (realpath(path, target) == NULL) /* a link stays one */
		snprintf(target, sizeof target, "%s", path);
	bool there = stat(target, &st) == 0;
	snprintf(temporary, sizeof temporary, "%s.XXXXXX", target);
	int fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return strerror(errno);
	bool ok = (there ? like_before(fd, &st) : fchmod(fd, 0644) == 0) && write_whole(fd, text, len);
	int why = errno;
	ok = close(fd) == 0 && ok && rename(temporary, target) == 0;
	why = ok ? 0 : why != 0 ? why
							: errno;
	if (!ok)
		unlink(temporary);
	return ok ? NULL : strerror(why);
}

static bool
write_files(struct run *r, const char *output)
{
	unsigned catalogue = r->files[1].path != NULL ? 1 : 0;
	for (unsigned f = 0; f <= catalogue; f++) {
		const char *path = output != NULL ? output : r->files[f].path;
		if (output != NULL ? f != catalogue : r->files[f].edits.count == 0)
			continue;
		size_t len;
		char *text = edits_apply(&r->files[f].edits, r->files[f].text, &len);
		const char *why = replace_file(path, text, len);
		free(text);
		if (why != NULL) {
			cli_fail(r->cli, IMPORT_TROUBLE, "write", "%s could not be written: %s – nothing of it was changed", path, why);
			return false;
		}
	}
	return true;
}

/* ---- the command ---- */

static int
show(struct run *r, const struct import_result *s)
{
	const char *output = json_string_value(json_object_get(r->request, "output"));
	bool changed = r->files[0].edits.count + r->files[1].edits.count > 0,
		 write = json_is_true(json_object_get(r->request, "write"));
	if ((write && !write_files(r, NULL)) || (output != NULL && !write_files(r, output)))
		return IMPORT_TROUBLE;
	if (r->cli->json)
		print_answer(r, s, changed);
	else {
		if (!write)
			print_diff(r, stdout);
		print_words(s);
	}
	return changed && !write ? IMPORT_CHANGES : CLI_OK;
}

static int
run(struct run *r)
{
	struct import_result result;
	struct import_input input = {.files = r->files, .sources = r->sources, .wish.add = json_is_true(json_object_get(r->request, "add"))};
	if (!read_date(r, &input.wish.date_ms))
		return cli_fail(r->cli, IMPORT_TROUBLE, "usage",
			"--date: write a date, for example 2026-01-01, or a time in UTC, for example 2026-01-01T12:00:00Z");
	if (!open_config(r) || !open_sources(r))
		return trouble(r);
	input.config = r->config;
	input.source_count = r->source_count;
	input.wish.providers = words_of(r, 0, "providers");
	input.wish.models = words_of(r, 1, "models");
	const char *unknown = unknown_provider(r, &input.wish.providers);
	if (unknown != NULL)
		return cli_fail(r->cli, IMPORT_TROUBLE, "usage", "--provider: there is no provider `%s` in %s", unknown, r->config->file);
	problems_init(&r->problems, r->config->file);
	problems_set_catalogue(&r->problems, r->config->catalogue_file);
	if (!import_run(&input, &r->problems, &result))
		return trouble(r);
	int status = show(r, &result);
	import_result_free(&result);
	return status;
}

int
cli_catalogue_import(struct cli *cli, json_t *request)
{
	struct run *r = calloc(1, sizeof *r);
	if (r == NULL)
		abort();
	r->cli = cli;
	r->request = request;
	int status = run(r);
	for (unsigned f = 0; f < 2; f++) {
		edits_free(&r->files[f].edits);
		free(r->text[f]);
		free(r->words[f]);
	}
	for (size_t i = 0; i < IMPORT_SOURCES_MAX; i++) {
		source_close(&r->sources[i]);
		free(r->list[i]);
	}
	config_free(&r->config);
	free(r);
	return status;
}
