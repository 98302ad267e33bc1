/* `catalogue lint`: findings as lines or as JSON. */
#include "proc/cli_priv.h"

#include "proc/catalogue_compile.h"
#include "proc/lint.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static json_t *
findings_json(const struct lint *l, const struct problems *p)
{
	json_t *list = json_array();
	for (size_t i = 0; i < l->count; i++) {
		const struct lint_finding *f = &l->findings[i];
		json_array_append_new(list,
			json_pack("{s:s, s:i, s:s, s:s%}", "file", place_file(p, f->place), "line", (int)place_line(f->place),
				"rule", f->rule, "message", f->text, strlen(f->text)));
	}
	return list;
}

static void
print_findings(const struct cli *cli, const struct lint *l, const struct problems *p)
{
	const char *on = cli_on(cli, stdout, CLI_DOUBTFUL), *off = cli_off(cli, stdout, CLI_DOUBTFUL);
	for (size_t i = 0; i < l->count; i++) {
		const struct lint_finding *f = &l->findings[i];
		printf("%s:%u: %swarning:%s %s [%s]\n", place_file(p, f->place), place_line(f->place), on, off, f->text,
			f->rule);
	}
	if (l->count == 0)
		printf(
			"%s: nothing to remark on %u model%s.\n", p->file, l->c->model_count, l->c->model_count == 1 ? "" : "s");
	else
		printf("%zu warning%s.\n", l->count, l->count == 1 ? "" : "s");
}

/* False with --strict and something to remark. */
static bool
show(const struct cli *cli, const json_t *request, const struct lint *l, const struct problems *p)
{
	bool ok = l->count + p->warnings == 0 || !json_is_true(json_object_get(request, "strict"));
	if (!cli->json) {
		problems_print(p, stderr);
		print_findings(cli, l, p);
		return ok;
	}
	json_t *answer =
		json_pack("{s:b, s:o, s:o}", "ok", ok, "findings", findings_json(l, p), "problems", cli_problems_json(p));
	cli_print_json(answer);
	json_decref(answer);
	return ok;
}

int
cli_catalogue_lint(struct cli *cli, json_t *request)
{
	struct problems p;
	struct config *c = NULL;
	struct catalogue *catalogue = NULL;
	const json_t *older = json_object_get(request, "older");
	json_int_t days = older == NULL ? 365 : json_integer_value(older);
	if (days < 0 || days > 100000)
		return cli_fail(cli, CLI_USAGE, "usage", "--older: write days, 0 to 100000");
	problems_init(&p, json_string_value(json_object_get(request, "file")));
	/* Compiled as of the end of time: of prices that are not in force yet a rule speaks. */
	if (!config_load(&p, &c) || !catalogue_compile(c, UINT64_MAX, &p, &catalogue)) {
		config_free(&c);
		return cli_refuse_config(cli, &p);
	}
	struct lint l = {.c = c,
		.now_ms = (uint64_t)time(NULL) * 1000,
		.old_days = (uint32_t)days,
		.skip = json_string_value(json_object_get(request, "skip"))};
	lint_run(&l);
	bool ok = show(cli, request, &l, &p);
	lint_finish(&l);
	free(catalogue);
	config_free(&c);
	return ok ? CLI_OK : CLI_REFUSED;
}
