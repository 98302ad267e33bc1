#include "prove/instance.h"

#include "prove/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534,
	PLAIN_MEMLOCK = 64 << 10,
	START_MS = 30000,
	END_MS = 20000,
	QUIET_MS = 20000,
	COMMAND_OUT_MAX = 256 << 10,
	PROCESSES = INSTANCE_EDGES + 4 };

#define KEY_VARIABLE "LETHE_PROVE_PROVIDER_KEY"

/* ---- its files ---- */

static const char *
temporary_folder(void)
{
	const char *at = getenv("TMPDIR");
	return at && *at == '/' && strlen(at) < INSTANCE_PATH_MAX / 2 ? at : "/tmp";
}

static json_t *
provider_json(const struct instance *i, const char *name, const char *dialect, const char *path)
{
	char url[100], ca[INSTANCE_PATH_MAX + 32];
	snprintf(url, sizeof url, "%s://127.0.0.1:%u%s", i->kind->tls ? "https" : "http", i->provider.port, path);
	json_t *p = json_pack("{s:s, s:s, s:s, s:b, s:b, s:[{s:s}], s:[s]}", "name", name, "dialect", dialect, "url", url, "objects", true, "completions", !strcmp(dialect, "openai"), "keys", "env", KEY_VARIABLE,
		"pass_headers", PROVE_HEADER);
	snprintf(ca, sizeof ca, "%s/certificate.pem", i->folder);
	if (i->kind->tls)
		json_object_set_new(p, "ca_file", json_string(ca));
	return p;
}

/* It keeps answers, and lets them run in the background. */
static json_t *
keeper_json(const struct instance *i)
{
	json_t *p = provider_json(i, "keeper", "openai", "/v1");
	json_object_set_new(p, "store", json_true());
	return p;
}

static json_t *
model_json(const char *id, const char *provider)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:s, s:[{s:s, s:s, s:s}]}", "id", id, "provider", provider, "context", 100000, "output", 10000, "tokenizer", "o200k_base", "prices", "from",
		"2026-01-01", "input", "1.00", "output", "2.00");
}

/* One that fails before the first byte of its answer is followed by the other, and what it said is forgotten. */
static json_t *
two_targets_json(const char *id, const char *first, const char *second)
{
	return json_pack("{s:s, s:i, s:i, s:[{s:s, s:s, s:s}], s:[{s:s}, {s:s}]}", "id", id, "context", 100000, "output", 10000, "prices", "from", "2026-01-01", "input",
		"1.00", "output", "2.00", "targets", "provider", first, "provider", second);
}

/* Of what it answers nothing can be counted: audio as such. */
static json_t *
flat_model_json(const char *id, const char *provider)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:[{s:s, s:s, s:s, s:s}]}", "id", id, "provider", provider, "context", 100000, "output", 10000, "prices", "from", "2026-01-01",
		"input", "0", "output", "0", "per_request", "0.01");
}

static json_t *
listen_json(const struct instance *i)
{
	char certificate[INSTANCE_PATH_MAX + 32], key[INSTANCE_PATH_MAX + 32];
	if (!i->kind->tls)
		return json_pack("{s:[s]}", "listen", "127.0.0.1:0");
	snprintf(certificate, sizeof certificate, "%s/certificate.pem", i->folder);
	snprintf(key, sizeof key, "%s/key.pem", i->folder);
	return json_pack("{s:{s:[s], s:[{s:s, s:s}]}}", "tls", "listen", "127.0.0.1:0", "certificates", "certificate", certificate, "key", key);
}

static bool
write_config(const struct instance *i)
{
	char path[INSTANCE_PATH_MAX + 32], log[INSTANCE_PATH_MAX + 32], drain[32];
	snprintf(drain, sizeof drain, "%ums", 1000 + i->version);
	snprintf(path, sizeof path, "%s/lethe.yaml", i->folder);
	snprintf(log, sizeof log, "%s/lethe.log", i->folder);
	json_t *c = json_pack("{s:i, s:{s:s, s:s}, s:{s:s}, s:{s:i, s:i}, s:{s:s, s:s, s:s, s:s, s:s}, s:[o,o,o,o,o], s:[o,o,o,o,o,o,o]}", "edges", INSTANCE_EDGES, "log", "file", log,
		"level", "info", "metrics", "listen", "127.0.0.1:0", "limits", "body_bytes", PROVE_BODY_LIMIT, "websocket_message_bytes", PROVE_BODY_LIMIT, "timeouts", "first_byte", "4s", "between_bytes", "2s",
		"drain", drain, "websocket_idle", "2s", "websocket_close", "1s", "providers", provider_json(i, "openai", "openai", "/v1"), provider_json(i, "second", "openai", "/v1"), provider_json(i, "anthropic", "anthropic", "/v1"), keeper_json(i),
		provider_json(i, "gemini", "gemini", "/v1beta"), "models",
		model_json("c", "openai"), model_json("r", "openai"), model_json("k", "keeper"), model_json("m", "anthropic"), model_json("g", "gemini"), flat_model_json("f", "openai"), two_targets_json("t", "openai", "second"));
	json_t *listen = listen_json(i);
	bool written = c && listen && json_object_update(c, listen) == 0;
	if (written) /* the report says which memory it was */
		json_object_set_new(c, "allow_plain_memory", json_true());
	written = written && json_dump_file(c, path, JSON_INDENT(1)) == 0;
	json_decref(listen);
	json_decref(c);
	return written;
}

/* The user who runs the readable one must own what it reads. */
static bool
give_away(const struct instance *i)
{
	static const char *const names[] = {"", "lethe.yaml", "certificate.pem", "key.pem"};
	char path[INSTANCE_PATH_MAX + 32];
	for (size_t n = 0; i->kind->readable && n < ARRAY_LEN(names); n++) {
		snprintf(path, sizeof path, "%s/%s", i->folder, names[n]);
		if (chown(path, NOBODY, NOBODY) != 0 && errno != ENOENT)
			return false;
	}
	return true;
}

/* ---- its processes ---- */

/* Between fork and exec. A dump would be allowed as far as this machine lets one be: that there is none is up to Lethe. */
static bool
become_user(const struct instance *i)
{
	struct rlimit core, lock = {PLAIN_MEMLOCK, PLAIN_MEMLOCK};
	if (getrlimit(RLIMIT_CORE, &core) == 0) {
		core.rlim_cur = core.rlim_max;
		(void)setrlimit(RLIMIT_CORE, &core);
	}
	if (!i->kind->readable)
		return true;
	return setrlimit(RLIMIT_MEMLOCK, &lock) == 0 && setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0;
}

static _Noreturn void
become_server(const struct instance *i, int self)
{
	char config[INSTANCE_PATH_MAX + 32], store[BOOKS_PATH_MAX + 64];
	const char *environment[] = {"PATH=/usr/bin:/bin", KEY_VARIABLE "=sk-prove-0123456789abcdef", NULL};
	snprintf(config, sizeof config, "%s/lethe.yaml", i->folder);
	const char *words[] = {"lethe", "serve", "--config", config, "--data", i->data, i->books.pid ? "--store" : NULL, store, NULL};
	books_address(&i->books, store, sizeof store);
	int out = chdir(i->folder) == 0 ? open("serve.out", O_WRONLY | O_CREAT | O_CLOEXEC, 0644) : -1, in = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (out >= 0 && in >= 0 && dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(out, 2) == 2 && become_user(i) && prctl(PR_SET_PDEATHSIG, SIGTERM) == 0) /* who interrupts the search leaves no server behind */
		fexecve(self, (char *const *)(uintptr_t)words, (char *const *)(uintptr_t)environment);
	_exit(126);
}

static void
read_small(const char *folder, const char *name, char *ret, size_t cap)
{
	char path[INSTANCE_PATH_MAX + 64];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, ret, cap - 1);
	if (fd >= 0)
		close(fd);
	ret[n > 0 ? n : 0] = '\0';
}

/* 0: it does not say yet. */
static uint16_t
port_in(const struct instance *i, const char *name)
{
	char text[200];
	read_small(i->data, name, text, sizeof text);
	text[strcspn(text, "\n")] = '\0';
	const char *colon = strrchr(text, ':');
	return colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
}

static bool
has_ended(struct instance *i)
{
	if (i->pid > 0 && waitpid(i->pid, NULL, WNOHANG) == i->pid)
		i->pid = 0;
	return i->pid <= 0;
}

static bool
await_start(struct instance *i)
{
	char answer[512];
	for (int ms = 0; ms < START_MS && !has_ended(i); ms += 20, pause_ms(20)) {
		i->client.port = port_in(i, "endpoint");
		if (!i->client.port || client_get(i->client.port, i->client.tls, "/healthz", answer, sizeof answer) == 0)
			continue;
		i->metrics_port = port_in(i, "endpoint.metrics");
		return true;
	}
	size_t len = (size_t)snprintf(i->why, sizeof i->why, "the server did not start: ");
	read_small(i->folder, "serve.out", i->why + len, sizeof i->why - len);
	return false;
}

static bool
start(struct instance *i)
{
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	i->pid = self < 0 ? -1 : fork();
	if (i->pid == 0)
		become_server(i, self);
	if (self >= 0)
		close(self);
	if (i->pid > 0) {
		guard_holds(i->folder, i->pid);
		return await_start(i);
	}
	snprintf(i->why, sizeof i->why, "the server can't be started: %s", strerror(errno));
	return false;
}

static bool
make_files(struct instance *i)
{
	snprintf(i->folder, sizeof i->folder, "%s/lethe-prove-XXXXXX", temporary_folder());
	if (!mkdtemp(i->folder)) {
		snprintf(i->why, sizeof i->why, "no folder can be made in %s: %s – set TMPDIR to one that can be written", temporary_folder(), strerror(errno));
		i->folder[0] = '\0';
		return false;
	}
	guard_holds(i->folder, 0);
	snprintf(i->data, sizeof i->data, "%s/data", i->folder);
	if (link_certificate_make(i->folder, &i->certificate))
		return true;
	snprintf(i->why, sizeof i->why, "no certificate can be made in %s: %s", i->folder, strerror(errno));
	return false;
}

static bool
open_all(struct instance *i, const char *postgres, struct exchange *exchanges, uint32_t exchange_count)
{
	if (!make_files(i))
		return false;
	i->client.tls = i->kind->tls ? i->certificate.client : NULL;
	i->client.h2 = true;
	if (!provider_open(&i->provider, i->kind->tls ? i->certificate.server : NULL, exchanges, exchange_count)) {
		snprintf(i->why, sizeof i->why, "the provider can't listen: %s", strerror(errno));
		i->provider.port = 0;
		return false;
	}
	if (!write_config(i) || !give_away(i)) {
		snprintf(i->why, sizeof i->why, "no configuration can be written to %s: %s", i->folder, strerror(errno));
		return false;
	}
	if (postgres && !books_open(&i->books, postgres, i->folder, i->kind->readable ? NOBODY : geteuid(), i->why))
		return false;
	return start(i) && instance_new_key(i, "customer", "1000", i->client.key) && instance_new_key(i, "poor", "", i->client.poor_key);
}

bool
instance_open(struct instance *i, const struct instance_kind *kind, const char *postgres, struct exchange *exchanges, uint32_t exchange_count)
{
	*i = (struct instance){.kind = kind};
	if (open_all(i, postgres, exchanges, exchange_count))
		return true;
	instance_close(i);
	return false;
}

bool
instance_change(struct instance *i)
{
	i->version++;
	if (!write_config(i) || !give_away(i))
		return false;
	json_t *said = instance_command(i, (const char *const[]){"reload", NULL});
	bool applied = said != NULL;
	json_decref(said);
	return applied;
}

void
instance_stop(struct instance *i)
{
	if (i->pid > 0) {
		kill(i->pid, SIGTERM);
		for (int ms = 0; ms < END_MS && !has_ended(i); ms += 5)
			pause_ms(5);
	}
	if (i->pid > 0) {
		kill(i->pid, SIGKILL);
		waitpid(i->pid, NULL, 0);
		i->pid = 0;
	}
	guard_holds(i->folder, 0);
	books_stop(&i->books);
}

void
instance_close(struct instance *i)
{
	instance_stop(i);
	if (i->provider.port)
		provider_close(&i->provider);
	i->provider.port = 0;
	link_certificate_free(&i->certificate);
	if (i->folder[0] != '\0')
		remove_folder(i->folder);
	i->folder[0] = '\0';
	guard_holds("", 0);
}

/* ---- commands ---- */

enum { WORDS_MAX = 12 };

static _Noreturn void
become_command(const struct instance *i, const char *const words[], int out)
{
	const char *all[WORDS_MAX + 5] = {"lethe"};
	size_t n = 1;
	for (; n <= WORDS_MAX && words[n - 1]; n++)
		all[n] = words[n - 1];
	all[n++] = "--data";
	all[n++] = i->data;
	all[n++] = "--json";
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0 && dup2(null, 0) == 0 && dup2(out, 1) == 1 && dup2(null, 2) == 2)
		execv("/proc/self/exe", (char *const *)(uintptr_t)all);
	_exit(126);
}

json_t *
instance_command(const struct instance *i, const char *const words[])
{
	int ends[2], status = 1;
	char *text = malloc(COMMAND_OUT_MAX + 1);
	size_t len = 0;
	ssize_t n;
	if (!text || pipe2(ends, O_CLOEXEC) != 0) {
		free(text);
		return NULL;
	}
	pid_t pid = fork();
	if (pid == 0)
		become_command(i, words, ends[1]);
	close(ends[1]);
	while (pid > 0 && len < COMMAND_OUT_MAX && (n = read(ends[0], text + len, COMMAND_OUT_MAX - len)) > 0)
		len += (size_t)n;
	close(ends[0]);
	if (pid > 0)
		waitpid(pid, &status, 0);
	json_t *answer = status == 0 ? json_loadb(text, len, 0, NULL) : NULL;
	explicit_bzero(text, COMMAND_OUT_MAX);
	free(text);
	return answer;
}

bool
instance_new_key(struct instance *i, const char *account, const char *dollars, char ret[PROVE_KEY_MAX])
{
	json_t *made = instance_command(i, (const char *const[]){"account", "create", account, NULL});
	json_t *paid = *dollars ? instance_command(i, (const char *const[]){"credit", "add", account, dollars, "--reason", "prove", NULL}) : json_true();
	json_t *key = instance_command(i, (const char *const[]){"key", "create", account, NULL});
	const char *secret = json_string_value(json_object_get(key, "secret"));
	bool all = made && paid && secret && strlen(secret) < PROVE_KEY_MAX;
	if (all)
		memcpy(ret, secret, strlen(secret) + 1);
	else
		snprintf(i->why, sizeof i->why, "no account with a key can be made");
	json_decref(made);
	json_decref(paid);
	json_decref(key);
	return all;
}

/* ---- processes ---- */

pid_t
instance_process(const struct instance *i, const char *name, pid_t but)
{
	pid_t pids[PROCESSES_OF_MAX];
	char comm[32];
	unsigned count = i->pid > 0 ? processes_of(i->pid, pids) : 0;
	for (unsigned n = 0; n < count; n++) {
		process_name(pids[n], comm);
		if (pids[n] != but && strcmp(comm, name) == 0)
			return pids[n];
	}
	return 0;
}

bool
instance_limit_files(const struct instance *i, pid_t pid, unsigned long bytes)
{
	int status = 1;
	pid_t child = fork();
	if (child == 0) {
		struct rlimit limit;
		bool may = !i->kind->readable || (setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0);
		may = may && prlimit(pid, RLIMIT_FSIZE, NULL, &limit) == 0;
		limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
		_exit(may && prlimit(pid, RLIMIT_FSIZE, &limit, NULL) == 0 ? 0 : 1);
	}
	if (child > 0)
		waitpid(child, &status, 0);
	return status == 0;
}

/* The seccomp filter is the last thing that a process takes before it says that it is up. The supervisor has none. */
static bool
all_are_up(const struct instance *i)
{
	pid_t pids[PROCESSES_OF_MAX];
	unsigned count = i->pid > 0 ? processes_of(i->pid, pids) : 0, up = 0;
	for (unsigned n = 1; n < count; n++)
		up += process_status(pids[n], "Seccomp", 10) == 2;
	return up == PROCESSES - 1u + i->kind->tls; /* where there is TLS, keys have a process of their own: lethe-signer */
}

bool
instance_await(const struct instance *i)
{
	char answer[512];
	for (int ms = 0; ms < START_MS; ms += 5, pause_ms(5))
		if (all_are_up(i) && client_get(i->client.port, i->client.tls, "/healthz", answer, sizeof answer))
			return true;
	return false;
}

/* Something runs at the provider that Lethe will look at by itself, and read what it says of it. */
static bool
has_work(const struct instance *i)
{
	json_t *said = instance_command(i, (const char *const[]){"hold", "list", "--open", NULL}), *rows, *row;
	const char *member;
	size_t n;
	bool has = false;
	json_object_foreach(said, member, rows) json_array_foreach(rows, n, row)
	{
		const char *work = json_string_value(json_object_get(row, "work"));
		has = has || (work && strcmp(work, "runs") == 0);
	}
	json_decref(said);
	return has;
}

bool
instance_await_quiet(const struct instance *i)
{
	for (int ms = 0; ms < QUIET_MS; ms += 5, pause_ms(5)) {
		json_t *status = instance_command(i, (const char *const[]){"status", NULL});
		const json_t *running = json_object_get(status, "running");
		bool quiet = json_is_integer(running) && json_integer_value(running) == 0;
		json_decref(status);
		if (quiet && !has_work(i))
			return true;
	}
	return false;
}
