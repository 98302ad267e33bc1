#include "proc/serve.h"

#include "proc/activation.h"
#include "proc/catalogue_compile.h"
#include "proc/notify.h"
#include "proc/pepper.h"
#include "proc/supervisor_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	LOCK_COMMAND_MS = 2000,
	LOCK_WAIT_MS = 15000, /* a ledger whose supervisor was killed ends within this */
	LOCK_POLL_MS = 50,
	BATCH_TICKETS = 4096, /* of an edge: settled and not yet given back, on top of those in use */
	TICKETS_MAX = 1 << 20, /* of all edges: a tag has 20 bits for the index */
};

static bool
refuse(const char *what, const char *more)
{
	fprintf(stderr, "lethe: %s%s\n", what, more);
	return false;
}

/* ---- the data directory ---- */

static bool
open_data_dir(const char *dir, struct supervisor_plan *plan)
{
	struct stat st;
	if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
		fprintf(stderr, "lethe: can't create the data directory %s: %s\n", dir, strerror(errno));
		return false;
	}
	if (!realpath(dir, plan->data_dir) || stat(plan->data_dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
		fprintf(stderr, "lethe: %s is no directory that this user can use\n", dir);
		return false;
	}
	if ((st.st_mode & 0077) != 0)
		fprintf(stderr, "lethe: warning: other users can look into %s - chmod 700 %s\n", plan->data_dir,
			plan->data_dir);
	return true;
}

/* The pid in the lock file; 0: none. */
static pid_t
lock_owner(int fd)
{
	char text[24] = "";
	return pread(fd, text, sizeof text - 1, 0) > 0 ? (pid_t)strtol(text, NULL, 10) : 0;
}

static void
wait_a_little(void)
{
	const struct timespec pause = {.tv_nsec = LOCK_POLL_MS * 1000000L};
	nanosleep(&pause, NULL);
}

/*
 * One server per data directory. The lock passes on to the ledger: when a supervisor was killed, its ledger
 * holds the lock until the books are closed, and the successor waits for that.
 */
static bool
lock_data_dir(struct supervisor_plan *plan)
{
	char path[PATH_MAX + 16], pid[24];
	snprintf(path, sizeof path, "%s/lock", plan->data_dir);
	plan->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (plan->lock_fd < 0) {
		fprintf(stderr, "lethe: %s: %s\n", path, strerror(errno));
		return false;
	}
	for (int waited_ms = 0; flock(plan->lock_fd, LOCK_EX | LOCK_NB) != 0; waited_ms += LOCK_POLL_MS) {
		pid_t owner = lock_owner(plan->lock_fd);
		bool alive = owner > 0 && (kill(owner, 0) == 0 || errno == EPERM);
		if (waited_ms >= (alive ? LOCK_COMMAND_MS : LOCK_WAIT_MS)) { /* a command that is the ledger for a moment is waited for */
			fprintf(stderr,
				"lethe: %s is served by process %ld already - stop that first, or use another --data\n",
				plan->data_dir, (long)owner);
			return false;
		}
		wait_a_little();
	}
	int len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
	return ftruncate(plan->lock_fd, 0) == 0 && pwrite(plan->lock_fd, pid, (size_t)len, 0) == len;
}

static bool
open_log(const struct config *c, struct supervisor_plan *plan)
{
	plan->log_fd = STDERR_FILENO;
	plan->log_level = (enum severity)c->log.level;
	if (c->log.file[0] == '\0')
		return true;
	snprintf(plan->log_file, sizeof plan->log_file, "%s", c->log.file);
	plan->log_fd = reload_open_log(plan->log_file);
	if (plan->log_fd >= 0)
		return true;
	fprintf(stderr, "lethe: can't open the log %s: %s - create its directory, or change `log.file`\n",
		c->log.file, strerror(errno));
	return false;
}

/* ---- the configuration's numbers ---- */

static bool
plan_address(const struct config_address *from, struct plan_address *ret)
{
	char why[ACTIVATION_WHY_MAX];
	struct plan_address a = {.fd = -1};
	switch (from->place) {
	case PLACE_IPV4:
		a.len = sizeof a.v4;
		a.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(from->port)};
		if (inet_pton(AF_INET, from->host, &a.v4.sin_addr) != 1)
			return refuse("not an address: ", from->host);
		break;
	case PLACE_IPV6:
		a.len = sizeof a.v6;
		a.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(from->port)};
		if (inet_pton(AF_INET6, from->host, &a.v6.sin6_addr) != 1)
			return refuse("not an address: ", from->host);
		break;
	case PLACE_UNIX:
		a.len = sizeof a.local;
		a.local = (struct sockaddr_un){.sun_family = AF_UNIX};
		_Static_assert(sizeof a.local.sun_path >= sizeof from->host, "a path fits");
		memcpy(a.local.sun_path, from->host, sizeof from->host);
		break;
	case PLACE_SYSTEMD:
		a.inherited = true;
		a.fd = activation_find(from->host, why);
		if (a.fd < 0)
			return refuse(why, "");
		break;
	}
	*ret = a;
	return true;
}

static bool
plan_listeners(const struct config *c, struct supervisor_plan *plan)
{
	_Static_assert((int)HANDOVER_LISTENERS_MAX >= (int)CONFIG_LISTEN_MAX && HANDOVER_LISTENERS_MAX <= 32, "a bit for each");
	plan->listen_count = config_listener_count(c);
	for (uint32_t i = 0; i < plan->listen_count; i++) {
		const struct config_listener l = config_listener_at(c, i);
		struct plan_address *a = &plan->listen[i];
		if (!plan_address(&l.address, a))
			return false;
		a->tls = l.tls;
		a->dual_stack = l.dual_stack;
		a->mode = (mode_t)l.mode;
		plan->edge_tls.listeners |= (uint32_t)l.tls << i;
		plan->edge_proxies.listeners |= (uint32_t)l.proxy_protocol << i;
	}
	plan->metrics_on = c->metrics.on;
	return !c->metrics.on || plan_address(&c->metrics.listen, &plan->metrics);
}

static void
plan_proxies(const struct config *c, struct edge_proxies *ret)
{
	_Static_assert((int)EDGE_PROXIES_MAX >= (int)CONFIG_PROXIES_MAX, "they fit");
	ret->header = (uint32_t)c->client_address;
	ret->trust_unix = c->trust_unix;
	ret->trusted_count = c->trusted_count;
	memcpy(ret->trusted, c->trusted, c->trusted_count * sizeof *c->trusted);
}

static void
plan_timeouts(const struct config_timeouts *from, struct edge_timeouts *ret)
{
	*ret = (struct edge_timeouts){
		.head = (uint32_t)from->head_ms,
		.body = (uint32_t)from->body_ms,
		.idle = (uint32_t)from->idle_ms,
		.connect = (uint32_t)from->connect_ms,
		.first_byte = (uint32_t)from->first_byte_ms,
		.between_bytes = (uint32_t)from->between_bytes_ms,
		.client_write = (uint32_t)from->client_write_ms,
		.drain = (uint32_t)from->drain_ms,
		.request = (uint32_t)from->request_ms,
	};
}

static bool
plan_numbers(const struct config *c, struct supervisor_plan *plan)
{
	plan->edges = (uint32_t)c->edges;
	plan->node = (uint32_t)c->node;
	plan->batch_window_ms = (uint32_t)c->batch_window_ms;
	plan->http2 = c->http2;
	plan->durability = (enum durability)c->durability;
	plan->accounts = (uint32_t)c->limits.accounts;
	plan->tickets_per_edge = (uint32_t)c->limits.streams_per_edge + BATCH_TICKETS;
	plan->limits = (struct edge_limits){
		.head_bytes = (uint32_t)c->limits.head_bytes,
		.body_bytes = c->limits.body_bytes,
		.connections = (uint32_t)c->limits.connections_per_edge,
		.tickets_per_account_percent = (uint32_t)c->limits.streams_per_account_percent,
		.connections_per_address = (uint32_t)c->limits.connections_per_address,
		.bad_keys_per_minute = (uint32_t)c->limits.bad_keys_per_minute,
		.content_bytes = c->limits.content_memory_bytes,
		.library_bytes = c->limits.library_memory_bytes,
	};
	plan_timeouts(&c->timeouts, &plan->timeouts);
	plan_proxies(c, &plan->edge_proxies);
	uint64_t tickets = (uint64_t)plan->tickets_per_edge * plan->edges + BOARD_LEDGER_TICKETS;
	if (tickets >= TICKETS_MAX)
		return refuse(
			"`streams_per_edge` times `edges` is too much: a machine can have about a million requests in flight - lower one of them",
			"");
	return true;
}

static bool
plan_memory(const struct config *c, struct supervisor_plan *plan)
{
	const char *why = NULL;
	uint64_t bytes = c->limits.content_memory_bytes + c->limits.library_memory_bytes;
	plan->grade = vault_grade_available(bytes, &why);
	if (c->content_memory_grade == MEMORY_SEALED && plan->grade != VAULT_SEALED) {
		fprintf(stderr,
			"lethe: `content_memory_grade: sealed`, and this machine gives less: %s - `lethe doctor` says what to do; `auto` takes the best that there is\n",
			why ? why : "no secret memory");
		return false;
	}
	if (c->content_memory_grade == MEMORY_LOCKED && plan->grade == VAULT_SEALED)
		plan->grade = vault_can_lock(bytes) ? VAULT_LOCKED : VAULT_PLAIN;
	if (plan->grade != VAULT_PLAIN || c->allow_plain_memory)
		return true;
	fprintf(stderr,
		"lethe: memory for content can be neither secret nor locked: %s - `lethe doctor` says what to do; `allow_plain_memory: true` starts all the same\n",
		why ? why : "the system's limits are too small");
	return false;
}

/* ---- catalogue and secrets ---- */

static bool
plan_catalogue(const struct config *c, struct supervisor_plan *plan, struct catalogue **ret)
{
	static struct problems problems;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	problems_init(&problems, c->file);
	problems_set_catalogue(&problems, c->catalogue_file);
	bool compiled = catalogue_compile(c, (uint64_t)now.tv_sec * 1000, &problems, ret);
	problems_print(&problems, stderr);
	if (!compiled)
		return false;
	plan->catalogue = *ret;
	plan->catalogue_bytes = (*ret)->bytes;
	return true;
}

static uint32_t
count_keys(const struct config *c)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < c->provider_count; i++)
		count += c->providers[i].key_count;
	return count;
}

/* Into memory that is locked, never dumped and wiped when it is freed. */
static bool
plan_keys(const struct config *c, struct supervisor_plan *plan)
{
	char why[CONFIG_WHY_MAX];
	_Static_assert((int)SECRET_BYTES_MAX >= (int)CONFIG_SECRET_MAX, "a key fits its message");
	plan->keys = sodium_allocarray(count_keys(c) + 1, sizeof *plan->keys);
	if (!plan->keys)
		return refuse("no memory for the providers' keys: ", strerror(errno));
	for (uint32_t i = 0; i < c->provider_count; i++)
		for (uint32_t k = 0; k < c->providers[i].key_count; k++) {
			struct plan_key *key = &plan->keys[plan->key_count++];
			int len = config_provider_key(c, i, k, key->secret, sizeof key->secret, why);
			if (len < 0)
				return refuse(why, "");
			key->provider = (uint16_t)i;
			key->key = (uint16_t)k;
			key->secret_bytes = (uint16_t)len;
		}
	return true;
}

static bool
plan_tls(const struct config *c, struct supervisor_plan *plan)
{
	char why[CONFIG_WHY_MAX];
	plan->edge_tls.tls13_only = c->tls.tls13_only;
	plan->edge_tls.ask = (uint32_t)c->tls.client_certificates;
	plan->ticket_rotation_ms = c->tls.ticket_rotation_ms;
	if (!tls_files_read(c, &plan->tls, why) || !tls_files_check(plan->tls, why))
		return refuse(why, "");
	return true;
}

static bool
plan_secrets(const struct config *c, struct supervisor_plan *plan)
{
	char why[PEPPER_WHY_MAX];
	if (!pepper_load_or_create(plan->data_dir, plan->pepper, why))
		return refuse(why, "");
	bool read = plan_tls(c, plan) && plan_keys(c, plan);
	config_clear_environment(c);
	clearenv();
	return read;
}

static bool
plan_all(const struct config *c, const char *data_dir, struct supervisor_plan *plan,
	struct catalogue **ret_catalogue)
{
	return plan_numbers(c, plan) && plan_listeners(c, plan) && plan_catalogue(c, plan, ret_catalogue) &&
		plan_memory(c, plan) && open_data_dir(data_dir, plan) && lock_data_dir(plan) && open_log(c, plan) &&
		plan_secrets(c, plan);
}

int
serve_main(const struct config *config, const char *data_dir)
{
	struct catalogue *catalogue = NULL;
	struct supervisor_plan *plan = sodium_malloc(sizeof *plan);
	int status = 1;
	if (!plan)
		return 1;
	memset(plan, 0, sizeof *plan);
	plan->lock_fd = plan->log_fd = -1;
	plan->notify_fd = notify_open();
	if (plan_all(config, data_dir, plan, &catalogue))
		status = supervisor_run(plan);
	sodium_free(plan->keys);
	tls_files_free(&plan->tls);
	sodium_free(plan);
	free(catalogue);
	return status;
}
