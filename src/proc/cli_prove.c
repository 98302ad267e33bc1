/* lethe prove: the search for content, and its report. */
#include "proc/cli_priv.h"

#include "prove/page.h"
#include "prove/prove.h"

#include <string.h>
#include <unistd.h>

enum { BAR = 30,
	QUICK_MARKS = 1,
	USUAL_MARKS = 2000 };

struct bar {
	const struct cli *cli;
	bool shown;
};

static void
show_progress(void *arg, const char *what, unsigned done, unsigned of)
{
	struct bar *b = arg;
	unsigned full = of ? done * BAR / of : 0;
	b->shown = true;
	fprintf(stderr, "\r%s%.*s%s%.*s %3u %%  %-36.36s", cli_on(b->cli, stderr, CLI_GOOD), (int)full, "##############################",
		cli_off(b->cli, stderr, CLI_GOOD), (int)(BAR - full), "..............................", of ? done * 100 / of : 0, what);
	fflush(stderr);
}

static const char *
text_of(const json_t *row, const char *member)
{
	const char *text = json_string_value(json_object_get(row, member));
	return text ? text : "";
}

static void
print_facts(const struct cli *cli, const json_t *facts)
{
	size_t i;
	json_t *row;
	json_array_foreach(facts, i, row)
	{
		bool ok = json_is_true(json_object_get(row, "ok"));
		enum cli_paint paint = ok ? CLI_GOOD : CLI_BAD;
		printf("%s%-3s%s  %-15s  %s: %s\n", cli_on(cli, stdout, paint), ok ? "ok" : "BAD", cli_off(cli, stdout, paint), text_of(row, "instance"),
			text_of(row, "fact"), text_of(row, "seen"));
	}
}

static void
print_findings(const struct cli *cli, const json_t *findings)
{
	size_t i;
	json_t *row;
	json_array_foreach(findings, i, row)
		printf("%sHIT%s  %-15s  %s, %s: %s of %s (%s), %s\n", cli_on(cli, stdout, CLI_BAD), cli_off(cli, stdout, CLI_BAD), text_of(row, "instance"),
			text_of(row, "where"), text_of(row, "when"), text_of(row, "part"), text_of(row, "endpoint"), text_of(row, "way"), text_of(row, "form"));
}

static void
print_report(const struct cli *cli, const json_t *r)
{
	size_t hits = json_array_size(json_object_get(r, "findings"));
	print_facts(cli, json_object_get(r, "facts"));
	cli_show_table(cli, json_object_get(r, "places"), "instance,when,place,things,searched_bytes,sealed_bytes,closed");
	print_findings(cli, json_object_get(r, "findings"));
	printf("\n%lld marks in %lld endpoints and %lld ways to end: %zu found where none may be.\n", (long long)json_integer_value(json_object_get(r, "marks")),
		(long long)json_integer_value(json_object_get(r, "endpoints")), (long long)json_integer_value(json_object_get(r, "ways")), hits);
	if (!json_is_true(json_object_get(r, "root")))
		printf("Run as root it searches the memory of all processes too: nobody else may.\n");
}

/* "-": from standard input, so that no list of processes shows it. */
static const char *
key_of(const json_t *request, char *line, int cap)
{
	const char *key = json_string_value(json_object_get(request, "key"));
	if (!key || strcmp(key, "-") != 0)
		return key;
	if (!fgets(line, cap, stdin))
		return NULL;
	line[strcspn(line, "\r\n")] = '\0';
	return line;
}

int
cli_prove(struct cli *cli, json_t *request)
{
	char why[600] = "", line[256];
	struct bar bar = {cli, false};
	bool quick = json_is_true(json_object_get(request, "quick"));
	const json_t *marks = json_object_get(request, "marks");
	const struct prove_options o = {
		.version = LETHE_VERSION,
		.quick = quick,
		.first = json_is_true(json_object_get(request, "first")),
		.marks = marks ? (uint32_t)json_integer_value(marks) : quick ? QUICK_MARKS
																	 : USUAL_MARKS,
		.progress = isatty(STDERR_FILENO) && !cli->json ? show_progress : NULL,
		.progress_arg = &bar,
		.target = json_string_value(json_object_get(request, "target")),
		.key = key_of(request, line, sizeof line),
		.model = json_string_value(json_object_get(request, "model")),
		.data_dir = cli->data_dir,
		.also = json_object_get(request, "also"),
		.postgres = json_string_value(json_object_get(request, "postgres")),
	};
	if ((o.target != NULL) + (o.key != NULL) + (o.model != NULL) != (o.target ? 3 : 0))
		return cli_fail(cli, CLI_USAGE, "usage", "--target, --key and --model go together: a server on this machine, a key of it that has money, and what the key asks for");
	const char *page = json_string_value(json_object_get(request, "report"));
	if (page && !page_can_be_signed(cli->data_dir, why)) /* before it takes its time */
		return cli_fail(cli, CLI_REFUSED, "no_key", "%s", why);
	json_t *report = prove_run(&o, why);
	if (bar.shown)
		fprintf(stderr, "\r%80s\r", "");
	if (!report)
		return cli_fail(cli, CLI_UNREACHABLE, "not_tried", "%s", why);
	bool ok = json_is_true(json_object_get(report, "ok"));
	if (page && !page_write(report, page, cli->data_dir, why)) {
		json_decref(report);
		return cli_fail(cli, CLI_REFUSED, "not_written", "%s", why);
	}
	if (cli->json)
		cli_print_json(report);
	else
		print_report(cli, report);
	json_decref(report);
	return ok ? CLI_OK : CLI_REFUSED;
}
