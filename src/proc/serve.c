#include "proc/serve.h"

#include "proc/collector.h"
#include "ledger/ledger.h"
#include "ledger/store_address.h"
#include "proc/activation.h"
#include "proc/catalogue_compile.h"
#include "proc/config_print.h"
#include "proc/doctor.h"
#include "proc/environment.h"
#include "proc/notify.h"
#include "proc/pepper.h"
#include "proc/supervisor_priv.h"
#include "proc/takeover.h"

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

/* What `lethe serve` runs: the plan, and what it was made from. */
struct served {
	struct supervisor_plan plan;
	struct config *config;
	struct catalogue *catalogue;
	json_t *settings; /* the configuration in force; settings that wait for a restart are as they were */
	bool own; /* the configuration is to be freed with it */
	uint8_t *trust; /* about the collector, of OpenTelemetry; the plan's of another binary borrows it */
};

static FILE *to; /* where what is wrong is said */

static bool
refuse(const char *what, const char *more)
{
	fprintf(to, "lethe: %s%s\n", what, more);
	return false;
}

/* ---- the data directory ---- */

static bool
open_data_dir(const char *dir, struct supervisor_plan *plan)
{
	struct stat st;
	if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
		fprintf(to, "lethe: can't create the data directory %s: %s\n", dir, strerror(errno));
		return false;
	}
	if (!realpath(dir, plan->data_dir) || stat(plan->data_dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
		fprintf(to, "lethe: %s is no directory that this user can use\n", dir);
		return false;
	}
	if ((st.st_mode & 0077) != 0)
		fprintf(to, "lethe: warning: other users can look into %s - chmod 700 %s\n", plan->data_dir,
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
		fprintf(to, "lethe: %s: %s\n", path, strerror(errno));
		return false;
	}
	for (int waited_ms = 0; flock(plan->lock_fd, LOCK_EX | LOCK_NB) != 0; waited_ms += LOCK_POLL_MS) {
		pid_t owner = lock_owner(plan->lock_fd);
		bool alive = owner > 0 && (kill(owner, 0) == 0 || errno == EPERM);
		if (waited_ms >= (alive ? LOCK_COMMAND_MS : LOCK_WAIT_MS)) { /* a command that is the ledger for a moment is waited for */
			fprintf(to,
				"lethe: %s is served by process %ld already - stop that first, or use another --data\n",
				plan->data_dir, (long)owner);
			return false;
		}
		wait_a_little();
	}
	char why[256];
	if (ledger_is_half_restored(plan->data_dir, why)) {
		fprintf(to, "lethe: %s\n", why);
		return false;
	}
	int len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
	return ftruncate(plan->lock_fd, 0) == 0 && pwrite(plan->lock_fd, pid, (size_t)len, 0) == len;
}

static bool
open_log(const struct config *c, struct supervisor_plan *plan)
{
	plan->log_fd = STDERR_FILENO;
	if (c->log.file[0] == '\0')
		return true;
	snprintf(plan->log_file, sizeof plan->log_file, "%s", c->log.file);
	plan->log_fd = reload_open_log(plan->log_file);
	if (plan->log_fd >= 0)
		return true;
	fprintf(to, "lethe: can't open the log %s: %s - create its directory, or change `log.file`\n",
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
		.websocket_idle = (uint32_t)from->websocket_idle_ms,
		.keep_alive = (uint32_t)from->keep_alive_ms,
		.websocket_close = (uint32_t)from->websocket_close_ms,
		.target = (uint32_t)from->target_ms,
	};
}

static uint32_t
min32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* For the supervisor, which links neither command line nor doctor. */
static void
look(const struct supervisor_plan *plan, const struct tls_files *tls, const struct circuits *circuits, bool again, struct machine *ret)
{
	char store[STORE_ADDRESS_MAX] = "", why[STORE_ADDRESS_WHY_MAX];
	(void)!store_address_read(plan->data_dir, store, why); /* the ledger says so itself, and ends */
	doctor_look(&(struct doctor){.root = "", .data_dir = plan->data_dir, .store = store, .tls = tls, .configured = true, .catalogue = plan->catalogue, .circuits = circuits}, again, ret);
	explicit_bzero(store, sizeof store);
}

static bool
plan_numbers(const struct config *c, struct supervisor_plan *plan)
{
	plan->edges = (uint32_t)c->edges;
	plan->node = (uint32_t)c->node;
	plan->log_level = (enum severity)c->log.level;
	plan->batch_window_ms = (uint32_t)c->batch_window_ms;
	plan->outbox_ms = c->outbox_ms;
	plan->outbox_requests = c->outbox_requests;
	plan->http2 = c->http2;
	plan->expose_route = c->expose_route;
	plan->transparency = c->transparency_page;
	plan->look = look;
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
		.websocket_message_bytes = c->limits.websocket_message_bytes,
		.websocket_frames_per_second = (uint32_t)c->limits.websocket_frames_per_second,
		.translation_steps = (uint32_t)c->limits.translation_steps,
		.content_bytes = c->limits.content_memory_bytes,
		.library_bytes = c->limits.library_memory_bytes,
	};
	plan_timeouts(&c->timeouts, &plan->timeouts);
	plan_proxies(c, &plan->edge_proxies);
	uint64_t tickets = (uint64_t)plan->tickets_per_edge * plan->edges;
	if (tickets + BOARD_LEDGER_TICKETS >= TICKETS_MAX)
		return refuse(
			"`streams_per_edge` times `edges` is too much: a machine can have about a million requests in flight - lower one of them",
			"");
	plan->generations = min32(GENERATIONS_MAX, min32(BOARD_EDGES_MAX / plan->edges, (uint32_t)((TICKETS_MAX - 1 - BOARD_LEDGER_TICKETS) / tickets)));
	return true;
}

static bool
plan_memory(const struct config *c, struct supervisor_plan *plan)
{
	const char *why = NULL;
	uint64_t bytes = c->limits.content_memory_bytes + c->limits.library_memory_bytes;
	plan->grade = vault_grade_available(bytes, &why);
	if (c->content_memory_grade == MEMORY_SEALED && plan->grade != VAULT_SEALED) {
		fprintf(to,
			"lethe: `content_memory_grade: sealed`, and this machine gives less: %s - `lethe doctor` says what to do; `auto` takes the best that there is\n",
			why ? why : "no secret memory");
		return false;
	}
	plan->allow_plain_memory = c->allow_plain_memory;
	if (c->content_memory_grade == MEMORY_LOCKED && plan->grade == VAULT_SEALED)
		plan->grade = vault_can_lock(bytes) ? VAULT_LOCKED : VAULT_PLAIN;
	if (plan->grade != VAULT_PLAIN || c->allow_plain_memory)
		return true;
	fprintf(to,
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
	problems_print(&problems, to);
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
	if (!pepper_load_or_create(plan->data_dir, plan->pepper, why) || !receipt_seed_load_or_create(plan->data_dir, plan->receipt_seed, why) ||
		!master_load_or_create(plan->data_dir, plan->master, why))
		return refuse(why, "");
	bool kept = environment_keep(), read = plan_tls(c, plan) && plan_keys(c, plan);
	config_clear_environment(c);
	clearenv();
	environment_hide();
	return kept ? read : refuse("no memory for the environment", "");
}

static struct supervisor_plan *plan_again(const struct supervisor_plan *now, struct plan_report *report);

static void
served_free(struct served **served)
{
	struct served *v = *served;
	*served = NULL;
	if (!v)
		return;
	sodium_free(v->plan.keys);
	tls_files_free(&v->plan.tls);
	sodium_free(v->trust);
	json_decref(v->settings);
	free(v->catalogue);
	if (v->own)
		config_free(&v->config);
	sodium_free(v);
}

static void
plan_drop(struct supervisor_plan *plan)
{
	struct served *v = container_of(plan, struct served, plan);
	if (v->own) /* the first is serve_main()'s */
		served_free(&v);
}

static struct served *
served_new(struct config *c, bool own)
{
	struct served *v = sodium_malloc(sizeof *v);
	if (!v)
		return NULL;
	memset(v, 0, sizeof *v);
	v->config = c;
	v->own = own;
	v->settings = c ? config_json(c) : NULL;
	v->plan.settings = v->settings;
	v->plan.lock_fd = v->plan.log_fd = v->plan.notify_fd = -1;
	v->plan.again = plan_again;
	v->plan.drop = plan_drop;
	return v;
}

/* ---- again, while it runs ---- */

/* What the board, the sockets of others and open descriptors are made for. X(section or "", name) */
#define FIXED(X) \
	X("", "edges") \
	X("", "node") \
	X("limits", "accounts") \
	X("limits", "streams_per_edge") \
	X("metrics", "listen") \
	X("telemetry", "otlp") \
	X("telemetry", "ca_file") \
	X("telemetry", "headers_file") \
	X("telemetry", "headers_env") \
	X("telemetry", "headers_credential")

static json_t *
section_of(const struct served *v, const char *section)
{
	return section[0] ? json_object_get(v->settings, section) : v->settings;
}

static void
keep_one(struct served *v, const struct served *now, const char *section, const char *name, struct plan_report *report)
{
	json_t *is = json_object_get(section_of(now, section), name), *will = json_object_get(section_of(v, section), name);
	if (is ? json_equal(is, will) : !will)
		return;
	fprintf(to, "lethe: `%s%s%s` is fixed while the server runs - restart to apply\n", section, section[0] ? "." : "", name);
	report->waiting++;
	if (is)
		json_object_set(section_of(v, section), name, is);
	else
		json_object_del(section_of(v, section), name);
}

static bool
is_text(const json_t *o)
{
	return json_string_length(o) > 0;
}

static void
keep_fixed(struct served *v, const struct served *now, struct plan_report *report)
{
	struct config *c = v->config;
	const struct supervisor_plan *old = &now->plan;
#define X(section, name) keep_one(v, now, section, name, report);
	FIXED(X)
#undef X
	/* From one file to another it may go; standard error is nobody's to open. */
	if (is_text(json_object_get(section_of(v, "log"), "file")) != is_text(json_object_get(section_of(now, "log"), "file")))
		keep_one(v, now, "log", "file", report);
	c->edges = old->edges;
	c->node = old->node;
	c->limits.accounts = old->accounts;
	c->limits.streams_per_edge = old->tickets_per_edge - BATCH_TICKETS;
	c->allow_plain_memory = c->allow_plain_memory || old->allow_plain_memory; /* it may have come from the command line */
}

/* From the settings, in which what is fixed stands as it was at the start. */
static bool
plan_telemetry(struct served *v)
{
	char why[CONFIG_WHY_MAX];
	return collector_plan(section_of(v, "telemetry"), &v->plan.collector, &v->trust, why) || refuse(why, "");
}

static bool
plan_log_again(struct served *v, const struct supervisor_plan *old)
{
	const char *file = json_string_value(json_object_get(section_of(v, "log"), "file"));
	struct supervisor_plan *plan = &v->plan;
	plan->log_fd = old->log_fd;
	if (!file || strcmp(file, old->log_file) == 0) {
		memcpy(plan->log_file, old->log_file, sizeof plan->log_file);
		return true;
	}
	snprintf(plan->log_file, sizeof plan->log_file, "%s", file);
	int fd = reload_open_log(file);
	if (fd < 0) {
		fprintf(to, "lethe: can't open the log %s: %s - create its directory, or change `log.file`\n", file, strerror(errno));
		return false;
	}
	close(fd);
	return true;
}

static void
plan_of_process(const struct supervisor_plan *old, struct supervisor_plan *plan)
{
	memcpy(plan->data_dir, old->data_dir, sizeof plan->data_dir);
	memcpy(plan->pepper, old->pepper, sizeof plan->pepper);
	memcpy(plan->receipt_seed, old->receipt_seed, sizeof plan->receipt_seed);
	memcpy(plan->master, old->master, sizeof plan->master);
	plan->generations = old->generations;
	plan->metrics_on = old->metrics_on;
	plan->metrics = old->metrics;
	plan->notify_fd = old->notify_fd;
	plan->allow_plain_memory = plan->allow_plain_memory || old->allow_plain_memory;
	plan->lock_fd = old->lock_fd;
}

static bool
same_keys(const struct supervisor_plan *a, const struct supervisor_plan *b)
{
	if (a->key_count != b->key_count)
		return false;
	for (uint32_t i = 0; i < a->key_count; i++) {
		const struct plan_key *x = &a->keys[i], *y = &b->keys[i];
		if (x->provider != y->provider || x->key != y->key || x->secret_bytes != y->secret_bytes ||
			sodium_memcmp(x->secret, y->secret, x->secret_bytes) != 0)
			return false;
	}
	return true;
}

/* The same file has another meaning tomorrow: a price may be due. That is in the catalogue, with its moment, and no change. */
static bool
is_same(const struct served *a, const struct served *b)
{
	return b->catalogue && json_equal(a->settings, b->settings) && a->catalogue->version == b->catalogue->version && same_keys(&a->plan, &b->plan);
}

static bool
plan_anew(struct served *v, const struct served *now, struct plan_report *report)
{
	struct supervisor_plan *plan = &v->plan;
	const struct config *c = v->config;
	keep_fixed(v, now, report);
	if (!plan_numbers(c, plan) || !plan_listeners(c, plan) || !plan_catalogue(c, plan, &v->catalogue) || !plan_keys(c, plan))
		return false;
	if (!plan_telemetry(v))
		return false;
	plan_of_process(&now->plan, plan);
	report->same = is_same(v, now);
	if (report->same)
		return true;
	if (now->plan.generations < 2)
		return refuse("`streams_per_edge` times `edges` is so much that there is no room for new edges beside the old ones - restart to apply", "");
	return plan_memory(c, plan) && plan_log_again(v, &now->plan) && plan_tls(c, plan);
}

static struct served *
serve_again(const struct served *now, struct plan_report *report)
{
	static struct problems problems;
	struct config *c = NULL;
	struct served *v = NULL;
	problems_init(&problems, now->config->file);
	if (config_load_to_serve(&problems, &c)) {
		v = served_new(c, true);
		if (!v)
			config_free(&c);
	}
	problems_print(&problems, to);
	report->refused = !v || !plan_anew(v, now, report);
	if (report->refused || report->same)
		served_free(&v);
	return v;
}

static struct supervisor_plan *
plan_again(const struct supervisor_plan *now, struct plan_report *report)
{
	char *text = NULL;
	size_t len = 0;
	to = open_memstream(&text, &len);
	if (!to) {
		report->refused = true;
		return NULL;
	}
	environment_show();
	struct served *v = serve_again(container_of(now, struct served, plan), report);
	environment_hide();
	fclose(to);
	to = stderr;
	report->len = len < sizeof report->text - 1 ? len : sizeof report->text - 1;
	memcpy(report->text, text, report->len);
	free(text);
	return v ? &v->plan : NULL;
}

/* ---- life ---- */

static bool
plan_all(const struct config *c, const char *data_dir, struct supervisor_plan *plan,
	struct catalogue **ret_catalogue)
{
	return plan_numbers(c, plan) && plan_listeners(c, plan) && plan_catalogue(c, plan, ret_catalogue) &&
		plan_memory(c, plan) && open_data_dir(data_dir, plan) && lock_data_dir(plan) && open_log(c, plan) &&
		plan_secrets(c, plan);
}

/* ---- as the successor of another binary ---- */

static bool
plan_like(struct served *v, struct served *now)
{
	char why[TAKEOVER_WHY_MAX];
	_Static_assert((int)TAKEOVER_WHY_MAX >= (int)PEPPER_WHY_MAX, "either fits");
	struct plan_report report = {0};
	if (!takeover_plan(&now->plan, why))
		return refuse(why, "");
	now->settings = now->plan.settings;
	bool back = takeover_mode() == TAKEOVER_BACK;
	if (!(back || takeover_fits(why)) || !pepper_load_or_create(now->plan.data_dir, now->plan.pepper, why) ||
		!receipt_seed_load_or_create(now->plan.data_dir, now->plan.receipt_seed, why) || !master_load_or_create(now->plan.data_dir, now->plan.master, why))
		return refuse(why, "");
	if (!plan_anew(v, now, &report))
		return false;
	/* Ledger and scribe are started anew by the plan that is in force until the new edges serve. */
	now->plan.collector = v->plan.collector;
	if (back || v->plan.grade == now->plan.grade)
		return true;
	return refuse("memory for content would be of another grade than it is - `lethe doctor` says why", "");
}

static int
take_over(struct served *v, struct config *config)
{
	struct served *now = served_new(NULL, true);
	bool planned = now && plan_like(v, now);
	config_clear_environment(config);
	clearenv();
	environment_hide();
	if (!planned)
		return 1;
	if (takeover_mode() != TAKEOVER_CHECK)
		return takeover_run(&v->plan, &now->plan);
	takeover_can();
	served_free(&now);
	return 0;
}

int
serve_main(struct config *config, const char *data_dir)
{
	to = stderr;
	struct served *v = served_new(config, false);
	int status = 1;
	if (!v)
		return 1;
	if (takeover_mode() != TAKEOVER_NONE) {
		status = take_over(v, config);
		served_free(&v);
		return status;
	}
	v->plan.notify_fd = notify_open();
	if (plan_telemetry(v) && plan_all(config, data_dir, &v->plan, &v->catalogue))
		status = supervisor_run(&v->plan);
	served_free(&v);
	return status;
}
