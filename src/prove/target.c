/*
 * `lethe prove --target`: a server that runs on this machine, with its real providers. What the customer can do is done; processes are left alone.
 */
#include "prove/prove_priv.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct instance_kind target_kind = {"target", "a server that runs", false, false};

/* "http://127.0.0.1:8080": the memory that is searched is this machine's, so the server must be here. */
static bool
read_url(const char *url, struct client *c, bool *ret_tls)
{
	static const char *const here[] = {"http://127.0.0.1:", "http://localhost:", "https://127.0.0.1:", "https://localhost:"};
	for (size_t i = 0; i < ARRAY_LEN(here); i++)
		if (strncmp(url, here[i], strlen(here[i])) == 0) {
			char *end;
			unsigned long port = strtoul(url + strlen(here[i]), &end, 10);
			*ret_tls = i >= 2;
			c->port = (uint16_t)port;
			return port > 0 && port < 65536 && (*end == '\0' || strcmp(end, "/") == 0);
		}
	return false;
}

static void
read_line_of(const char *folder, const char *name, char *ret, size_t cap)
{
	char path[INSTANCE_PATH_MAX + 64];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, ret, cap - 1);
	if (fd >= 0)
		close(fd);
	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

/* Its supervisor holds the lock of the data directory and says so; its metrics' port stands beside. */
static bool
find_server(struct instance *i)
{
	char text[200], name[32];
	read_line_of(i->data, "lock", text, sizeof text);
	i->pid = (pid_t)strtol(text, NULL, 10);
	process_name(i->pid, name);
	read_line_of(i->data, "endpoint.metrics", text, sizeof text);
	const char *colon = strrchr(text, ':');
	i->metrics_port = colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
	return i->pid > 1 && strcmp(name, "lethe-super") == 0;
}

/* As its edges say themselves: their limits are not this command's. */
static void
tell_grade(struct prove *p, const struct instance *i)
{
	enum { PAGE_MAX = 64 << 10 };
	char *page = malloc(PAGE_MAX + 1);
	size_t len = page ? client_get(i->client.port, i->client.tls, "/transparency", page, PAGE_MAX) : 0;
	if (page)
		page[len] = '\0';
	const char *body = page ? strstr(page, "\r\n\r\n") : NULL;
	json_t *told = body ? json_loads(body, 0, NULL) : NULL;
	const char *grade = json_string_value(json_object_get(told, "content_memory"));
	json_object_set_new(json_object_get(p->report, "grades"), i->kind->name, json_string(grade ? grade : "unknown: /transparency does not tell"));
	json_decref(told);
	free(page);
}

/* Only what needs no other account, and no provider of ours. */
static bool
is_the_clients(const struct prove_way *way)
{
	return way->provider == PROVIDER_ANSWERS && way->client != CLIENT_POOR;
}

static void
run_way(struct prove *p, struct instance *i, const struct prove_way *way, unsigned *answered, unsigned *sent)
{
	for (enum prove_endpoint e = 0; e < PROVE_ENDPOINT_COUNT; e++) {
		struct exchange x;
		struct link l;
		if (prove_stays(e) || strchr(prove_forms[e].path, '{') || !prove_way_fits(e, way)) /* it would stay with the provider; there is none to be named */
			continue;
		exchange_make(&x, &p->canaries, i->kind->name, e, way);
		atomic_store(&x.seen, 1); /* nobody here would say when */
		if (!client_begin(&i->client, &x, *sent, &l))
			continue;
		*answered += client_end(&x, &l).status == 200;
		prove_tried(p->endpoints, prove_forms[e].words);
		prove_tried(p->ways, way->words);
		++*sent;
	}
}

static void
send_all(struct prove *p, struct instance *i)
{
	unsigned answered = 0, sent = 0;
	for (size_t w = 0; w < prove_way_count; w++) {
		if (!is_the_clients(&prove_ways[w]))
			continue;
		prove_step(p, prove_ways[w].words);
		run_way(p, i, &prove_ways[w], &answered, &sent);
	}
	prove_fact(p, i->kind->name, "content passes", answered > 0, "%u of %u requests were answered with 200%s", answered, sent,
		answered ? "" : ": is the model one of the server's, and has the key money?");
}

/* Not in the data directory: somebody has to say where. A folder of PostgreSQL's has PG_VERSION in it. */
static void
look_whether_books_are_searched(struct prove *p, const struct instance *i)
{
	char store[64], path[PATH_MAX];
	const json_t *also;
	size_t n;
	bool searched = false;
	read_line_of(i->data, "store", store, sizeof store);
	json_array_foreach((json_t *)(uintptr_t)p->o->also, n, also)
	{
		snprintf(path, sizeof path, "%s/PG_VERSION", json_string_value(also));
		searched = searched || access(path, F_OK) == 0;
	}
	if (store[0] != '\0')
		prove_fact(p, i->kind->name, "the database of the books is searched", searched, "%s",
			searched ? "its folder is among those asked for" : "they are in PostgreSQL: give its folder (SHOW data_directory) with --also, on the machine that has it");
}

bool
target_run(struct prove *p, char why[600])
{
	struct instance i = {.kind = &target_kind};
	bool tls = false;
	SSL_CTX *context = NULL;
	snprintf(i.data, sizeof i.data, "%s", p->o->data_dir);
	snprintf(i.folder, sizeof i.folder, "%s", p->o->data_dir);
	snprintf(i.client.key, sizeof i.client.key, "%s", p->o->key);
	i.client.model = p->o->model;
	if (!read_url(p->o->target, &i.client, &tls))
		snprintf(why, 600, "--target is the address of a server on this machine, for example http://127.0.0.1:8080");
	else if (!find_server(&i))
		snprintf(why, 600, "no server runs on %.300s that this user can see – give its data directory with --data", i.data);
	else if (tls && !(context = SSL_CTX_new(TLS_client_method())))
		snprintf(why, 600, "no TLS");
	else {
		i.client.tls = context;
		look_at_lockdown(p, &i);
		tell_grade(p, &i);
		send_all(p, &i);
		prove_step(p, "afterwards");
		prove_fact(p, i.kind->name, "every exchange ends", instance_await_quiet(&i), "by `lethe status`");
		(void)look_at_processes(p, &i, "afterwards", false);
		if (i.metrics_port)
			look_at_metrics(p, &i);
		look_whether_books_are_searched(p, &i);
		look_at_files(p, &i, "afterwards");
		SSL_CTX_free(context);
		return true;
	}
	return false;
}
