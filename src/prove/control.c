#include "prove/guard.h"
#include "prove/prove_priv.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each form of a mark, and for the rest noise: what stands around decides nothing. */
struct planted {
	char bytes[CANARY_FORM_COUNT * (CANARY_FORM_MAX + 64)];
	size_t len;
};

static void
plant(struct canaries *c, struct planted *ret, size_t ret_begins[CANARY_FORM_COUNT])
{
	static const struct canary_origin origin = {"the control", "planted", "by the search itself", false};
	ret->len = 0;
	for (enum canary_form form = 0; form < CANARY_FORM_COUNT; form++) {
		char mark[CANARY_BYTES + 1];
		canary_new(c, &origin, mark);
		ret_begins[form] = ret->len;
		memset(ret->bytes + ret->len, 'x', 7 + form);
		ret->len += 7 + form;
		ret->len += canary_in_form(mark, form, ret->bytes + ret->len);
	}
}

/* How many of the forms were found: each has a mark of its own. (By the mark: hex without letters is the same in both forms.) */
static unsigned
forms_found(const struct search *s)
{
	bool found[CANARY_FORM_COUNT] = {false};
	unsigned count = 0;
	for (uint32_t i = 0; i < s->finding_count; i++)
		found[s->findings[i].canary] = true;
	for (int f = 0; f < CANARY_FORM_COUNT; f++)
		count += found[f];
	return count;
}

static void
say_found(struct prove *p, const char *where, unsigned found, unsigned of)
{
	char fact[80];
	snprintf(fact, sizeof fact, "the search finds what is planted in %s", where);
	prove_fact(p, "control", fact, found == of, "%u of %u forms", found, of);
}

static void
in_a_file(struct prove *p, const struct canaries *c, const struct planted *planted)
{
	const char *temporary = getenv("TMPDIR");
	char folder[PATH_MAX / 2], path[PATH_MAX], name[PATH_MAX];
	struct place place = {0};
	struct search s;
	snprintf(folder, sizeof folder, "%s/lethe-prove-XXXXXX", temporary && *temporary == '/' ? temporary : "/tmp");
	search_open(&s, c);
	bool made = mkdtemp(folder) != NULL;
	guard_holds(made ? folder : "", 0);
	snprintf(path, sizeof path, "%s/control", folder);
	snprintf(name, sizeof name, "%s/%s", folder, c->all[0].text);
	int fd = made ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (fd >= 0 && write(fd, planted->bytes, planted->len) == (ssize_t)planted->len)
		place_folder(&s, folder, 0, &place);
	say_found(p, "a file", forms_found(&s), CANARY_FORM_COUNT);
	search_close(&s);
	search_open(&s, c);
	if (fd >= 0 && ftruncate(fd, 0) == 0 && mkdir(name, 0700) == 0)
		place_folder(&s, folder, 0, &place);
	say_found(p, "the name of a file", forms_found(&s), 1);
	search_close(&s);
	if (fd >= 0)
		close(fd);
	(void)rmdir(name);
	(void)unlink(path);
	(void)rmdir(folder);
	guard_holds("", 0);
}

/* Another process that keeps them in a pipe or in its memory, until it is ended. It forgets what it has from its parent. */
static pid_t
keeper(const struct planted *planted, const struct canaries *c, bool in_pipe, int told)
{
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* whoever interrupts the search leaves nobody behind */
	int ends[2];
	static char *volatile kept; /* read by nobody here: a compiler would drop it */
	kept = malloc(planted->len);
	bool ready = kept && pipe2(ends, O_CLOEXEC) == 0;
	if (ready && in_pipe)
		ready = write(ends[1], planted->bytes, planted->len) == (ssize_t)planted->len;
	else if (ready)
		memcpy(kept, planted->bytes, planted->len);
	explicit_bzero((void *)(uintptr_t)planted, sizeof *planted);
	explicit_bzero(c->all, c->cap * sizeof *c->all);
	(void)!write(told, ready ? "y" : "n", 1);
	for (;;)
		pause();
}

static void
in_a_process(struct prove *p, const struct canaries *c, const struct planted *planted, bool in_pipe)
{
	int told[2];
	char ready = 'n';
	struct place place = {0};
	struct search s;
	if (pipe2(told, O_CLOEXEC) != 0)
		return;
	pid_t pid = keeper(planted, c, in_pipe, told[1]);
	(void)!read(told[0], &ready, 1);
	search_open(&s, c);
	if (pid > 0 && ready == 'y')
		place_process(&s, pid, &place);
	say_found(p, in_pipe ? "a pipe" : "the memory of a process", forms_found(&s), CANARY_FORM_COUNT);
	search_close(&s);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	close(told[0]);
	close(told[1]);
}

/* A row for each form: what is larger than a quarter of a page would be compressed. */
static bool
write_rows(const struct planted *planted, const size_t *begins, char *sql, size_t cap)
{
	size_t len = (size_t)snprintf(sql, cap, "CREATE TABLE control (planted bytea);INSERT INTO control VALUES");
	for (int form = 0; form < CANARY_FORM_COUNT; form++) {
		size_t end = form + 1 < CANARY_FORM_COUNT ? begins[form + 1] : planted->len;
		len += (size_t)snprintf(sql + len, cap - len, "%s('\\x", form ? "," : " ");
		for (size_t at = begins[form]; at < end; at++)
			len += (size_t)snprintf(sql + len, cap - len, "%02x", (uint8_t)planted->bytes[at]);
		len += (size_t)snprintf(sql + len, cap - len, "')");
	}
	return len < cap;
}

void
prove_control_in_postgres(struct prove *p, const struct books *g)
{
	enum { SQL_MAX = 4 * sizeof(struct planted) };
	static struct planted planted;
	static char sql[SQL_MAX];
	const struct {
		const char *words, *folder;
	} looked_at[] = {{"PostgreSQL's pages", g->pages}, {"PostgreSQL's write-ahead log", g->journal}};
	struct canaries c;
	size_t begins[CANARY_FORM_COUNT];
	canaries_open(&c);
	plant(&c, &planted, begins);
	bool said = write_rows(&planted, begins, sql, sizeof sql) && books_say(g, sql);
	for (size_t n = 0; n < ARRAY_LEN(looked_at); n++) {
		struct place place = {0};
		struct search s;
		search_open(&s, &c);
		if (said)
			place_folder(&s, looked_at[n].folder, 0, &place);
		say_found(p, looked_at[n].words, forms_found(&s), CANARY_FORM_COUNT);
		search_close(&s);
	}
	explicit_bzero(&planted, sizeof planted);
	explicit_bzero(sql, sizeof sql);
	canaries_close(&c);
}

void
prove_control(struct prove *p)
{
	struct canaries c;
	static struct planted planted;
	size_t begins[CANARY_FORM_COUNT];
	canaries_open(&c);
	plant(&c, &planted, begins);
	in_a_file(p, &c, &planted);
	in_a_process(p, &c, &planted, false);
	in_a_process(p, &c, &planted, true);
	explicit_bzero(&planted, sizeof planted);
	canaries_close(&c);
}
