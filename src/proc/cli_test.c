/*
 * The command line as its users see it: words in, exit status and two texts out. Each call runs in a child with
 * a real ledger in a directory of its own.
 */
#include "proc/cli.h"

#include "ledger/ledger.h"
#include "proc/cli_priv.h"
#include "proc/pepper.h"
#include "proc/serve.h"

#include <fcntl.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static char out[1 << 20], err[1 << 16];

/* Stands in for the supervisor: says what it was given. */
int
serve_main(struct config *config, const char *data_dir)
{
	struct stat st;
	printf("serve %u %s %d %d\n", config->model_count, data_dir, config->allow_plain_memory,
		stat(data_dir, &st) == 0 && S_ISDIR(st.st_mode));
	return 7;
}

static int
make_dir(void **state)
{
	strcpy(dir, "/tmp/lethe-cli-XXXXXX");
	unsetenv("LETHE_DATA");
	return mkdtemp(dir) == NULL ? -1 : setenv("LETHE_DATA", dir, 1);
}

static int
remove_dir(void **state)
{
	char command[128];
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

static void
slurp(FILE *f, char *into, size_t cap)
{
	rewind(f);
	size_t n = fread(into, 1, cap - 1, f);
	into[n] = '\0';
	fclose(f);
}

enum { WORDS_MAX = 24 };

/*
 * Run `lethe` with the words up to NULL; input is its standard input. Returns the exit status; out and err hold
 * what it wrote.
 */
static int
lethe_with_input(const char *input, const char *const words[])
{
	FILE *o = tmpfile(), *e = tmpfile(), *in = tmpfile();
	int status, argc = 0;
	assert_true(o != NULL && e != NULL && in != NULL);
	fputs(input, in);
	rewind(in);
	fflush(NULL);
	while (words[argc] != NULL)
		argc++;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		dup2(fileno(in), 0);
		dup2(fileno(o), 1);
		dup2(fileno(e), 2);
		exit(cli_main(argc, (char **)words));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	fclose(in);
	slurp(o, out, sizeof out);
	slurp(e, err, sizeof err);
	if (!WIFEXITED(status))
		fail_msg("lethe %s ended by signal %d\n%s", words[1], WTERMSIG(status), err);
	return WEXITSTATUS(status);
}

#define LETHE(...) lethe_with_input("", (const char *const[]){"lethe", ##__VA_ARGS__, NULL})

/* The one JSON object that was written; the caller's. */
static json_t *
parsed(void)
{
	json_error_t error;
	json_t *value = json_loads(out, JSON_REJECT_DUPLICATES, &error);
	if (value == NULL)
		fail_msg("%s in: %s", error.text, out);
	assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
	return value;
}

static void
assert_says(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("not said: %s\nin: %s", part, text);
}

/* A member of the last --json answer, copied. */
static const char *
member(const char *name)
{
	static char value[256];
	json_t *answer = parsed();
	const char *s = json_string_value(json_object_get(answer, name));
	if (s == NULL)
		fail_msg("no %s in %s", name, out);
	snprintf(value, sizeof value, "%s", s);
	json_decref(answer);
	return value;
}

static void
an_account_goes_through_its_life(void **state)
{
	char key[64], secret[128];
	assert_int_equal(LETHE("account", "list"), CLI_UNREACHABLE); /* a directory named by mistake begins no books */
	assert_says(err, "there are no books in ");
	assert_int_equal(LETHE("account", "create", "acme"), CLI_OK);
	assert_says(out, "acme");
	assert_int_equal(LETHE("voucher", "list"), CLI_OK);
	assert_string_equal(out, "No vouchers yet. Issue one: lethe voucher create AMOUNT\n");
	assert_int_equal(LETHE("credit", "add", "acme", "25.50", "--reason", "invoice 17"), CLI_OK);
	assert_says(out, "$25.50");
	assert_int_equal(LETHE("credit", "add", "acme", "-0.5", "--reason=back"), CLI_OK);
	assert_says(out, "-$0.50");
	assert_int_equal(LETHE("account", "list"), CLI_OK);
	assert_says(out, "$25.00");
	assert_null(strstr(out, "25.000"));
	assert_int_equal(LETHE("key", "create", "acme", "--name", "ci", "--json"), CLI_OK);
	snprintf(key, sizeof key, "%s", member("key"));
	snprintf(secret, sizeof secret, "%s", member("secret"));
	assert_true(api_key_well_formed((struct span){secret, strlen(secret)}));
	assert_int_equal(LETHE("key", "list"), CLI_OK);
	assert_says(out, key);
	assert_says(out, "active");
	assert_null(strstr(out, secret));
	assert_int_equal(LETHE("key", "revoke", key), CLI_OK);
	assert_int_equal(LETHE("key", "list", "acme"), CLI_OK);
	assert_says(out, "revoked");
	assert_int_equal(LETHE("ledger", "verify"), CLI_OK);
	assert_says(out, "INV-1");
	assert_int_equal(LETHE("account", "show", "acme"), CLI_OK);
	assert_says(out, "$25.00");
	assert_string_equal(err, "");
}

static void
the_words_that_begin_commands_have_help_of_their_own(void **state)
{
	assert_int_equal(LETHE("help", "receipt"), CLI_OK);
	char *help = strdup(out);
	assert_non_null(help);
	assert_int_equal(LETHE("receipt", "--help"), CLI_OK);
	assert_string_equal(out, help);
	assert_int_equal(LETHE("receipt", "-h"), CLI_OK);
	assert_string_equal(out, help);
	free(help);
}

static void
a_leaked_key_is_revoked_from_standard_input(void **state)
{
	char secret[128];
	assert_int_equal(LETHE("account", "create", "acme"), CLI_OK);
	assert_int_equal(LETHE("key", "create", "acme"), CLI_OK);
	assert_says(out, "It is shown this once");
	snprintf(secret, sizeof secret, "%.50s\n", strstr(out, "lethe_live_"));
	assert_int_equal(lethe_with_input(secret, (const char *const[]){"lethe", "key", "revoke", "-", NULL}), CLI_OK);
	assert_says(out, "revoked");
	assert_int_equal(lethe_with_input("", (const char *const[]){"lethe", "key", "revoke", "-", NULL}), CLI_USAGE);
}

static void
an_order_with_an_id_is_done_once(void **state)
{
	assert_int_equal(LETHE("account", "create", "acme"), CLI_OK);
	for (int i = 0; i < 3; i++)
		assert_int_equal(LETHE("credit", "add", "acme", "5", "--reason", "r", "--id", "order-1"), CLI_OK);
	assert_int_equal(LETHE("account", "show", "acme", "--json"), CLI_OK);
	assert_string_equal(member("balance"), "5.000000000");
	assert_int_equal(LETHE("credit", "add", "acme", "6", "--reason", "r", "--id", "order-1"), CLI_REFUSED);
}

static void
what_the_ledger_refuses_ends_with_one_and_a_sentence(void **state)
{
	assert_int_equal(LETHE("account", "create", "acme"), CLI_OK);
	assert_int_equal(LETHE("account", "create", "acme"), CLI_REFUSED);
	assert_string_equal(out, "");
	assert_says(err, "lethe: there is an account \"acme\" already");
	assert_int_equal(LETHE("account", "show", "nobody"), CLI_REFUSED);
	assert_int_equal(LETHE("credit", "add", "acme", "-1", "--reason", "r"), CLI_REFUSED);
	assert_int_equal(LETHE("credit", "add", "acme", "1e5", "--reason", "r"), CLI_REFUSED);
	assert_int_equal(LETHE("credit", "add", "acme", "NaN", "--reason", "r", "--json"), CLI_REFUSED);
	assert_string_equal(err, "");
	json_t *answer = parsed();
	assert_true(json_is_false(json_object_get(answer, "ok")));
	assert_non_null(json_object_get(json_object_get(answer, "error"), "code"));
	json_decref(answer);
}

static void
what_is_not_understood_ends_with_two_and_a_remedy(void **state)
{
	static const struct {
		const char *words[8];
		const char *says;
	} rows[] = {
		{{"lethe"}, "From nothing to a first request"},
		{{"lethe", "frobnicate"}, "there is no command `frobnicate` – `lethe help` lists them"},
		{{"lethe", "account"}, "`account` needs another word – `lethe help account`"},
		{{"lethe", "account", "destroy"}, "there is no command `account destroy`"},
		{{"lethe", "account", "create"}, "NAME is missing"},
		{{"lethe", "account", "create", "a", "b"}, "`b` is one word too many"},
		{{"lethe", "account", "list", "--colour"}, "`lethe account list` has no option `--colour` – `lethe help account list` lists them; did you mean `--color`?"},
		{{"lethe", "usages"}, "`lethe help` lists them; did you mean `usage`?"},
		{{"lethe", "key", "lst"}, "there is no command `key lst` – `lethe help key` lists them; did you mean `key list`?"},
		{{"lethe", "keys", "list"}, "did you mean `key list`?"},
		{{"lethe", "acount"}, "did you mean `account`?"},
		{{"lethe", "usage", "--by", "day,modl"}, "--by: `modl` is not one of month,day,hour,"},
		{{"lethe", "--jsn", "usage"}, "did you mean `--json`?"},
		{{"lethe", "usage", "--color", "sometimes"}, "--color: `sometimes` is not one of auto|always|never"},
		{{"lethe", "usage", "--color=alway"}, "did you mean `always`?"},
		{{"lethe", "account", "list", "--limit"}, "--limit needs a value: --limit N"},
		{{"lethe", "account", "list", "--limit", "x"}, "`x` is not a whole number"},
		{{"lethe", "credit", "add", "a", "1"}, "--reason is missing"},
		{{"lethe", "serve"}, "--config is missing"},
		{{"lethe", "help", "nothing"}, "there is no command `nothing`"},
		{{"lethe", "--json"}, "a command is missing"},
		{{"lethe", "account", "create", "\xff"}, "not valid UTF-8"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(lethe_with_input("", rows[i].words), CLI_USAGE);
		assert_says(strcmp(rows[i].words[1] == NULL ? "" : rows[i].words[1], "--json") == 0 ? out : err, rows[i].says);
	}
}

static void
without_a_data_directory_it_ends_with_three(void **state)
{
	assert_int_equal(LETHE("account", "list", "--data", "/nowhere/data"), CLI_UNREACHABLE);
	assert_says(err, "mkdir -m 700 /nowhere/data");
	assert_int_equal(LETHE("account", "list", "--data=/nowhere/data", "--json"), CLI_UNREACHABLE);
	json_t *answer = parsed();
	assert_true(json_is_false(json_object_get(answer, "ok")));
	json_decref(answer);
}

static void
a_ledger_that_somebody_holds_ends_with_three(void **state)
{
	uint8_t pepper[API_KEY_PEPPER_BYTES];
	char why[PEPPER_WHY_MAX];
	struct ledger *l = NULL;
	assert_true(pepper_load_or_create(dir, pepper, why));
	assert_int_equal(
		ledger_open(&(struct ledger_options){.data_dir = dir, .pepper = pepper, .receipt_seed = pepper}, &l, why), LEDGER_OPENED);
	assert_int_equal(LETHE("account", "list"), CLI_UNREACHABLE);
	assert_true(strlen(err) > strlen("lethe: \n"));
	ledger_close(&l);
	assert_int_equal(LETHE("account", "list"), CLI_OK);
}

/* ---- a server ---- */

static ssize_t
read_line(int fd, char *into, size_t cap)
{
	size_t len = 0;
	while (len < cap && (len == 0 || into[len - 1] != '\n')) {
		ssize_t n = read(fd, into + len, cap - len);
		if (n <= 0)
			return -1;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

/*
 * A child that listens on DIR/control.sock and gives `answer` to each request, after writing the request to
 * DIR/request.
 */
static pid_t
start_server(const char *answer)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%s/control.sock", dir);
	unlink(address.sun_path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(fd, 4), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child > 0) {
		close(fd);
		return child;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		char request[4096], path[96];
		int client = accept(fd, NULL, NULL);
		ssize_t n = read_line(client, request, sizeof request);
		snprintf(path, sizeof path, "%s/request", dir);
		int to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (n < 0 || write(to, request, (size_t)n) != n ||
			write(client, answer, strlen(answer)) != (ssize_t)strlen(answer))
			_exit(1);
		close(to);
		close(client);
	}
}

static void
stop_server(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static json_t *
last_request(void)
{
	char path[96];
	snprintf(path, sizeof path, "%s/request", dir);
	json_t *request = json_load_file(path, 0, NULL);
	assert_non_null(request);
	return request;
}

static void
a_running_server_is_asked(void **state)
{
	pid_t server = start_server(
		"{\"ok\": true, \"accounts\": [{\"account\": \"acc_1\", \"name\": \"ac\\u001bme\", \"balance\": \"0.000000001\"},"
		" {\"account\": \"acc_22\", \"name\": \"b\", \"balance\": \"-1234.500000000\"}], \"more\": true}\n");
	assert_int_equal(LETHE("account", "list", "--limit", "2"), CLI_OK);
	assert_string_equal(out, "account  name            balance\n"
							 "acc_1    ac?me      $0.000000001\n"
							 "acc_22   b      -$1234.500000000\n"
							 "There are more: --limit N shows up to N rows, --after ID goes on behind the last.\n");
	json_t *request = last_request();
	assert_string_equal(json_string_value(json_object_get(request, "op")), "account.list");
	assert_int_equal(json_integer_value(json_object_get(request, "limit")), 2);
	json_decref(request);
	stop_server(server);
}

static void
times_are_shown_alike_whether_in_milliseconds_or_in_seconds(void **state)
{
	pid_t server = start_server(
		"{\"ok\": true, \"accounts\": [{\"account\": \"acc_1\", \"created\": \"2026-01-31T12:00:00.000Z\"},"
		" {\"account\": \"acc_2\", \"created\": \"2026-01-31T12:00:01Z\"}]}\n");
	assert_int_equal(LETHE("account", "list"), CLI_OK);
	assert_string_equal(out, "account  created\n"
							 "acc_1    2026-01-31 12:00:00\n"
							 "acc_2    2026-01-31 12:00:01\n");
	stop_server(server);
}

static void
usage_has_its_sums_as_the_last_row(void **state)
{
	pid_t server = start_server(
		"{\"ok\": true, \"group\": \"model\", \"rows\": [{\"model\": \"mini\", \"requests\": 3, \"cost\": \"0.100000000\","
		" \"tokens\": {\"input\": 12}}], \"total\": {\"requests\": 3, \"cost\": \"0.100000000\", \"tokens\": {\"input\": 12}}}\n");
	assert_int_equal(LETHE("usage", "--by", "model"), CLI_OK);
	assert_string_equal(out, "model  requests  input   cost\n"
							 "mini          3     12  $0.10\n"
							 "total         3     12  $0.10\n");
	stop_server(server);
	server = start_server(
		"{\"ok\": true, \"group\": \"none\", \"rows\": [], \"total\": {\"requests\": 0, \"cost\": \"0.000000000\"}}\n");
	assert_int_equal(LETHE("usage"), CLI_OK);
	assert_string_equal(out, "No requests in this range.\n");
	stop_server(server);
}

static void
usage_as_csv_has_a_header_and_plain_decimals(void **state)
{
	pid_t server = start_server(
		"{\"ok\": true, \"group\": \"account\", \"columns\": [\"account\", \"account_name\"], \"rows\": [{\"account\": \"acc_1\","
		" \"account_name\": \"a, \\\"b\\\"\", \"requests\": 3, \"failed\": 0, \"cost\": \"0.100000000\", \"tokens\": {\"input\": 12, \"cached\": 0}}],"
		" \"total\": {\"requests\": 3, \"cost\": \"0.100000000\"}, \"more\": true}\n");
	assert_int_equal(LETHE("usage", "--by", "account", "--csv"), CLI_OK);
	assert_string_equal(out,
		"account,account_name,requests,failed,tokens_input,tokens_cached,tokens_cache_write,tokens_cache_write_1h,tokens_audio_in,tokens_image_in,"
		"tokens_video_in,tokens_cached_audio,tokens_cached_image,tokens_output,tokens_reasoning,tokens_audio_out,tokens_image_out,tool_calls,cost\r\n"
		"acc_1,\"a, \"\"b\"\"\",3,0,12,0,,,,,,,,,,,,,0.100000000\r\n");
	assert_says(err, "there are more rows than these");
	json_t *request = last_request();
	assert_int_equal(json_integer_value(json_object_get(request, "limit")), 10000);
	assert_null(json_object_get(request, "csv"));
	json_decref(request);
	stop_server(server);
	server = start_server("{\"ok\": true, \"columns\": [], \"rows\": [], \"total\": {\"requests\": 3, \"cost\": \"0.100000000\"}}\n");
	assert_int_equal(LETHE("usage", "--csv"), CLI_OK);
	assert_says(out, "requests,failed,");
	assert_says(out, "\r\n3,,");
	stop_server(server);
	assert_int_equal(LETHE("usage", "--csv", "--json"), CLI_USAGE);
}

static void
a_ticket_is_shown_without_what_is_zero(void **state)
{
	pid_t server = start_server("{\"ok\": true, \"request\": \"req_1\", \"cost\": \"0.000000000\", \"price\": \"00ff\", \"facts\": {\"price\": \"255\","
								" \"tokens_input\": 7, \"tokens_cached\": 0, \"user\": \"0\", \"legs_nano\": \"12\"}}\n");
	assert_int_equal(LETHE("ticket", "show", "req_1"), CLI_OK);
	assert_string_equal(out, "request                 req_1\n"
							 "cost                    $0.00\n"
							 "price                   00ff\n"
							 "tokens_input            7\n"
							 "legs_nano               12\n");
	stop_server(server);
}

static void
books_that_do_not_balance_end_with_one(void **state)
{
	pid_t server = start_server(
		"{\"ok\": true, \"sound\": false, \"invariants\": [{\"inv\": \"INV-1\", \"ok\": true, \"checked\": 5, \"detail\": \"\"},"
		" {\"inv\": \"INV-3\", \"ok\": false, \"checked\": 5, \"detail\": \"acc_1\"}]}\n");
	assert_int_equal(LETHE("ledger", "verify"), CLI_REFUSED);
	assert_says(out, "INV-3  no");
	assert_says(out, "\nThe books are WRONG: INV-3. ");
	assert_int_equal(LETHE("ledger", "verify", "--json"), CLI_REFUSED);
	stop_server(server);
}

static void
a_code_that_is_not_ours_ends_with_one(void **state)
{
	static const char *const ours[] = {"false", "true"};
	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		char answer[64];
		snprintf(answer, sizeof answer, "{\"ok\": true, \"ours\": %s}\n", ours[i]);
		pid_t server = start_server(answer);
		assert_int_equal(LETHE("receipt", "code", "req_0123456789A.00112233445566778899aabbccddeeff"), i == 0 ? CLI_REFUSED : CLI_OK);
		stop_server(server);
	}
}

static void
a_server_that_says_nothing_leaves_the_outcome_open(void **state)
{
	static const char *const answers[] = {"", "{\"ok\": tr", "nonsense\n"};
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		pid_t server = start_server(answers[i]);
		assert_int_equal(LETHE("credit", "add", "acme", "1", "--reason", "r"), CLI_UNREACHABLE);
		assert_says(err, "whether this was done is not known");
		stop_server(server);
	}
}

/* ---- local commands ---- */

static const char right_config[] =
	"listen: ['127.0.0.1:0']\n"
	"providers: [{name: p, url: 'http://127.0.0.1:9'}]\n"
	"models:\n"
	"  - {id: now, provider: p, context: 10, output: 5, prices: [{from: 2020-01-01, input: '0.25', output: '2'}]}\n";

static const char *
write_config(const char *text)
{
	static char path[96];
	snprintf(path, sizeof path, "%s/lethe.yaml", dir);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	return path;
}

/* A file, not a name that is piped in. */
static void
a_file_is_read_from_standard_input(void **state)
{
	assert_int_equal(lethe_with_input("{\"receipt\": 1}", (const char *const[]){"lethe", "receipt", "verify", "-", NULL}), CLI_REFUSED);
	assert_null(strstr(err, "can't be read"));
	assert_int_equal(lethe_with_input("no export", (const char *const[]){"lethe", "reconcile", "import", "-", "--provider", "openai", "--data", dir, NULL}), CLI_REFUSED);
	assert_null(strstr(err, "can't be read"));
}

static void
a_configuration_is_checked_in_words_and_in_json(void **state)
{
	const char *path = write_config(right_config);
	assert_int_equal(LETHE("config", "check", path), CLI_OK);
	assert_says(out, "is right: 1 provider, 1 model, 0 warnings.");
	assert_int_equal(LETHE("config", "check", path, "--json"), CLI_OK);
	json_decref(parsed());
	write_config("listen: ['127.0.0.1:0']\nproviderz: 1\n");
	assert_int_equal(LETHE("config", "check", path), CLI_REFUSED);
	assert_says(err, "lethe.yaml:2: unknown key `providerz` in the file – did you mean `providers`?");
	assert_int_equal(LETHE("config", "check", path, "--json"), CLI_REFUSED);
	json_t *answer = parsed(), *problem = json_array_get(json_object_get(answer, "problems"), 0);
	assert_non_null(json_object_get(problem, "message"));
	json_decref(answer);
	assert_int_equal(LETHE("config", "check", "/nowhere"), CLI_REFUSED);
}

static void
a_catalogue_shows_the_prices_in_force(void **state)
{
	const char *path = write_config(right_config);
	assert_int_equal(LETHE("catalogue", "check", path), CLI_OK);
	assert_string_equal(out, "model  provider  upstream  input  cached  output  since\n"
							 "now    p         now       $0.25   $0.25   $2.00  2020-01-01\n");
	write_config("listen: ['127.0.0.1:0']\nproviders: [{name: p, url: 'http://127.0.0.1:9'}]\nmodels:\n"
				 "  - {id: m, provider: p, context: 10, output: 5}\n");
	assert_int_equal(LETHE("catalogue", "check", path), CLI_REFUSED);
	assert_says(err, "lethe.yaml:4: the model `m` has no price");
}

static void
a_printed_configuration_says_where_secrets_are_and_not_what(void **state)
{
	const char *path = write_config("listen: ['127.0.0.1:0']\nproviders: [{name: p, url: 'http://127.0.0.1:9', keys: [{env: SECRET_OF_P}]}]\nmodels: []\n");
	setenv("SECRET_OF_P", "sk-do-not-show", 1);
	assert_int_equal(LETHE("config", "print", path), CLI_OK);
	assert_says(out, "      - env: SECRET_OF_P\n");
	assert_says(out, "\n  streams_per_account_percent: 10\n");
	assert_null(strstr(out, "sk-do-not-show"));
	assert_int_equal(LETHE("config", "print", path, "--json"), CLI_OK);
	json_t *answer = parsed();
	assert_string_equal(json_string_value(json_object_get(json_object_get(json_object_get(answer, "config"), "timeouts"), "idle")), "75s");
	json_decref(answer);
	assert_null(strstr(out, "sk-do-not-show"));
	unsetenv("SECRET_OF_P");
	write_config("listen: 1\n");
	assert_int_equal(LETHE("config", "print", path), CLI_REFUSED);
	assert_string_equal(out, "");
}

static void
a_catalogue_is_linted_and_only_strictly_it_fails(void **state)
{
	const char *path = write_config("listen: ['127.0.0.1:0']\nproviders: [{name: p, url: 'http://127.0.0.1:9'}]\nmodels:\n"
									"  - {id: m, provider: p, context: 10, output: 5, prices: [{from: 2020-01-01, input: '3', output: '2'}]}\n");
	assert_int_equal(LETHE("catalogue", "lint", path), CLI_OK);
	assert_says(out, "lethe.yaml:4: warning: `m`: `output` ($2.00) costs less than `input` ($3.00) – exchange them? [output-cheaper]\n");
	assert_says(out, "[price-old]\n3 warnings.\n");
	assert_int_equal(LETHE("catalogue", "lint", path, "--strict"), CLI_REFUSED);
	assert_int_equal(LETHE("catalogue", "lint", path, "--strict", "--older=100000", "--skip", "output-cheaper,context-tiny"), CLI_OK);
	assert_says(out, "nothing to remark on 1 model.\n");
	assert_int_equal(LETHE("catalogue", "lint", path, "--json", "--strict"), CLI_REFUSED);
	json_t *answer = parsed(), *first = json_array_get(json_object_get(answer, "findings"), 0);
	assert_true(json_is_false(json_object_get(answer, "ok")));
	assert_int_equal(json_integer_value(json_object_get(first, "line")), 4);
	assert_string_equal(json_string_value(json_object_get(first, "rule")), "context-tiny");
	json_decref(answer);
	assert_int_equal(LETHE("catalogue", "lint", path, "--skip", "output-cheeper"), CLI_USAGE);
	assert_says(err, "did you mean `output-cheaper`?");
	assert_int_equal(LETHE("catalogue", "lint", path, "--older", "-1"), CLI_USAGE);
	write_config("listen: ['127.0.0.1:0']\nproviders: [{name: p, url: 'http://127.0.0.1:9'}]\nmodels:\n"
				 "  - {id: m, provider: p, context: 10, output: 50, prices: [{from: 2020-01-01, input: '3', output: '2'}]}\n");
	assert_int_equal(LETHE("catalogue", "lint", path), CLI_REFUSED);
	assert_says(err, "`output` is larger than `context`");
}

static void
a_price_is_shown_by_tier_and_size_of_prompt(void **state)
{
	const char *path = write_config(
		"listen: ['127.0.0.1:0']\nproviders: [{name: p, url: 'http://127.0.0.1:9'}]\nmodels:\n"
		"  - id: m\n    aliases: [little]\n    provider: p\n    context: 1000\n    output: 5\n    prices:\n"
		"      - {from: 2020-01-01, input: '0.25', cached: '0.025', output: '2', web_search: '0.01', geo_us: '1.1'}\n"
		"      - {from: 2020-01-01, above: 500, input: '0.5', output: '3'}\n"
		"      - {from: 2020-01-01, tier: flex, times: '0.5'}\n"
		"      - {from: 2090-01-01, input: '1', output: '4'}\n");
	assert_int_equal(LETHE("price", "show", "little", "--config", path), CLI_OK);
	assert_says(out, "m, provider p, aliases little\nin force since 2020-01-01 00:00:00 until 2090-01-01 00:00:00 (UTC)\n\n");
	assert_says(out, "per million tokens  standard  standard above 500     flex  flex above 500\n");
	assert_says(out, "input                 $0.250               $0.50  $0.1250           $0.25\n");
	assert_says(out, "web_search       $0.01               $0.00  $0.01           $0.00\n");
	assert_says(out, "\nstandard: tokens cost 110 % of this when inference is bound to the US\n");
	assert_int_equal(LETHE("price", "show", "m", "--config", path, "--at", "2090-06-01"), CLI_OK);
	assert_says(out, "in force since 2090-01-01 00:00:00 (UTC)");
	assert_null(strstr(out, "flex"));
	assert_int_equal(LETHE("price", "show", "m", "--config", path, "--json"), CLI_OK);
	json_t *answer = parsed();
	assert_int_equal(json_array_size(json_object_get(answer, "rows")), 4);
	json_decref(answer);
	assert_int_equal(LETHE("price", "show", "m", "--config", path, "--at", "2019-01-01"), CLI_REFUSED);
	assert_int_equal(LETHE("price", "show", "n", "--config", path), CLI_REFUSED);
	assert_says(err, "the file has no model `n`");
	assert_int_equal(LETHE("price", "show", "m", "--config", path, "--at", "soon"), CLI_USAGE);
	assert_int_equal(LETHE("account", "create", "acme"), CLI_OK);
	assert_int_equal(LETHE("price", "show", "m"), CLI_REFUSED);
	assert_says(err, "no model \"m\" was ever in the catalogue");
}

/* ---- completion ---- */

static void
completion_offers_what_the_table_has(void **state)
{
	static const struct {
		const char *words[12]; /* behind `lethe`, the last is being typed */
		const char *offers;
	} rows[] = {
		{{"us"}, "usage\trequests, tokens and cost\n"},
		{{"compl"}, "completion\tprint the completion script of a shell\n"}, /* not `complete` */
		{{"key", "ro"}, "rotate\tmake a key that takes another's place; both hold for a while\n"},
		{{"key", "rotate", "--ov"}, "--overlap\thow long the old key still holds: 24h, 90m, 7d, 0 for at once; 24h without it\n"},
		{{"usage", "--by", "mo"}, "month\t\nmodel\t\n"},
		{{"usage", "--by", "day,ti"}, "day,tier\t\n"},
		{{"usage", "--by=mo"}, "--by=month\t\n--by=model\t\n"},
		{{"usage", "--by", "=", "mo"}, "month\t\nmodel\t\n"},
		{{"usage", "--by", "=", ""}, NULL},
		{{"usage", "--end-reason", "BAD_H"}, "BAD_HTTP\t\nBAD_HEADER\t\n"},
		{{"usage", "--by", "day", "--b"}, ""}, /* is there already */
		{{"usage", "--limit", ""}, ""}, /* any number */
		{{"--json", "usage", "--color", "al"}, "always\t\n"},
		{{"serve", "--config", "x"}, ":file\n"},
		{{"config", "check", ""}, ":file\n"},
		{{"config", "check", "a", ""}, ""},
		{{"usage", "--data", ""}, ":dir\n"},
		{{"help", "tick"}, "ticket\t\n"},
		{{"completion", "z"}, "zsh\t\n"},
		{{"nonsense", ""}, ""},
		{{"nonsense", "more", "--"}, NULL},
		{{"account", "show", ""}, ""}, /* no server runs */
		{{"--", "us"}, NULL},
		{{NULL}, NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *words[16] = {"lethe", "complete", "--"};
		for (size_t k = 0; rows[i].words[k] != NULL; k++)
			words[3 + k] = rows[i].words[k];
		assert_int_equal(lethe_with_input("", words), CLI_OK);
		assert_string_equal(err, "");
		if (rows[i].offers != NULL)
			assert_string_equal(out, rows[i].offers);
	}
}

static void
completion_asks_the_server_that_the_line_names(void **state)
{
	char data[96];
	pid_t server = start_server(
		"{\"ok\": true, \"accounts\": [{\"account\": \"acc_1\", \"name\": \"acme\"}, {\"account\": \"acc_2\", \"name\": \"bo\\tb\"},"
		" {\"account\": \"acc_3\", \"name\": \"zebra\"}]}\n");
	snprintf(data, sizeof data, "--data=%s", dir);
	setenv("LETHE_DATA", "/nowhere", 1);
	assert_int_equal(LETHE("complete", "--", "key", "create", data, ""), CLI_OK);
	assert_string_equal(out, "acme\tacc_1\nzebra\tacc_3\n");
	assert_int_equal(LETHE("complete", "--", "--data", dir, "credit", "add", "z"), CLI_OK);
	assert_string_equal(out, "zebra\tacc_3\n");
	assert_int_equal(LETHE("complete", "--", "account", "show", ""), CLI_OK);
	assert_string_equal(out, "");
	stop_server(server);
}

static void
each_shell_has_a_script(void **state)
{
	static const char *const shells[] = {"bash", "zsh", "fish"};
	for (size_t i = 0; i < ARRAY_LEN(shells); i++) {
		assert_int_equal(LETHE("completion", shells[i]), CLI_OK);
		assert_says(out, "complete -- ");
	}
	assert_int_equal(LETHE("completion", "csh"), CLI_USAGE);
	assert_says(err, "SHELL: `csh` is not one of bash|zsh|fish");
}

static void
a_price_list_is_compared_and_written(void **state)
{
	static const char list[] = "{\"now\": {\"litellm_provider\": \"openai\", \"mode\": \"chat\", \"input_cost_per_token\": 5e-07, \"output_cost_per_token\": 2e-06},\n"
							   "\"more\": {\"litellm_provider\": \"openai\", \"mode\": \"chat\", \"max_input_tokens\": 9, \"input_cost_per_token\": 1e-06, \"output_cost_per_token\": 2e-06}}\n";
	char prices[96], copy[96];
	const char *path = write_config("listen: ['127.0.0.1:0']\n"
									"providers: [{name: p, url: 'https://api.openai.com/v1'}]\n"
									"models:\n"
									"  - {id: now, provider: p, context: 10, output: 5, prices: [{from: 2020-01-01, input: '0.25', output: '2'}]}\n");
	snprintf(prices, sizeof prices, "%s/prices.json", dir);
	snprintf(copy, sizeof copy, "%s/copy.yaml", dir);
	FILE *f = fopen(prices, "w");
	assert_non_null(f);
	fputs(list, f);
	fclose(f);
	assert_int_equal(LETHE("catalogue", "import", prices, "--config", path, "--date", "2026-08-01", "--output", copy), 1);
	assert_says(out, "+++ ");
	assert_says(out, "{from: 2026-08-01, input: \"0.50\", output: \"2.00\"}");
	assert_says(err, "price: now from 2026-08-01: input 0.25 → 0.50");
	assert_says(err, "1 price changed, 0 models are new.");
	assert_says(err, "1 models of your providers are in the lists and not in the catalogue");
	assert_int_equal(LETHE("catalogue", "import", prices, "--config", copy, "--date", "2026-08-01"), 0);
	assert_string_equal(out, "");
	assert_int_equal(LETHE("catalogue", "import", prices, "--config", path, "--date", "2026-08-01", "--json", "--model", "more", "--model", "now"), 1);
	json_t *answer = parsed();
	assert_true(json_is_true(json_object_get(answer, "changed")));
	assert_int_equal(json_array_size(json_object_get(answer, "changes")), 2);
	json_decref(answer);
	assert_int_equal(LETHE("catalogue", "import", prices, "--config", path, "--date", "2026-08-01", "--write"), 0);
	assert_string_equal(out, "");
	assert_int_equal(LETHE("catalogue", "import", prices, "--config", path, "--date", "2026-08-01"), 0);
	assert_int_equal(LETHE("config", "check", path), 0);
	assert_int_equal(LETHE("catalogue", "import", path, "--config", path), 2);
	assert_says(err, "neither LiteLLM's");
	assert_int_equal(LETHE("catalogue", "import", "/nowhere", "--config", path, "--json"), 2);
	json_decref(parsed());
	assert_int_equal(LETHE("catalogue", "import", prices, "--config", path, "--provider", "q"), 2);
	assert_says(err, "there is no provider `q`");
	assert_int_equal(LETHE("catalogue", "import", prices, "--config", path, "--date", "soon"), 2);
	assert_int_equal(LETHE("catalogue", "import", prices, "--config", path, "--from", "genai-prices"), 2);
	assert_says(err, "looks like a list of litellm");
}

static void
serve_gets_a_checked_configuration_and_a_directory(void **state)
{
	char data[96];
	const char *path = write_config(right_config);
	snprintf(data, sizeof data, "%s/new", dir);
	assert_int_equal(LETHE("serve", "--config", path, "--data", data, "--allow-plain-memory"), 7);
	char expected[160];
	snprintf(expected, sizeof expected, "serve 1 %s 1 1\n", data);
	assert_string_equal(out, expected);
	write_config("listen: 1\n");
	assert_int_equal(LETHE("serve", "--config", path), CLI_REFUSED);
	assert_string_equal(out, "");
}

static void
doctor_names_its_facts_and_remedies(void **state)
{
	int status = LETHE("doctor", "--json");
	json_t *answer = parsed(), *facts = json_object_get(answer, "facts"), *fact;
	size_t i;
	bool bad = false;
	assert_true(json_array_size(facts) >= 10);
	json_array_foreach(facts, i, fact)
	{
		const char *text = json_string_value(json_object_get(fact, "state"));
		bad = bad || strcmp(text, "bad") == 0;
		assert_true(strlen(json_string_value(json_object_get(fact, "value"))) > 0);
		if (strcmp(text, "bad") == 0)
			assert_true(strlen(json_string_value(json_object_get(fact, "remedy"))) > 0);
	}
	assert_int_equal(status, bad ? CLI_REFUSED : CLI_OK);
	assert_int_equal(json_is_true(json_object_get(answer, "ok")), !bad);
	json_decref(answer);
	assert_int_equal(LETHE("doctor"), status);
	assert_says(out, "secret memory");
}

static void
help_explains_each_command_and_the_reference_has_them_all(void **state)
{
	static char all[1 << 20];
	assert_int_equal(LETHE("help", "--markdown"), CLI_OK);
	strcpy(all, out);
	assert_int_equal(LETHE("help"), CLI_OK);
	assert_int_equal(LETHE("--help"), CLI_OK);
	char *line = out;
	unsigned commands = 0;
	for (; (line = strstr(line, "\n  lethe ")) != NULL && line[9] != ' '; line++) {
		char name[32], heading[48];
		snprintf(name, sizeof name, "%.19s", line + 9);
		for (size_t n = strlen(name); n > 0 && name[n - 1] == ' '; n--)
			name[n - 1] = '\0';
		snprintf(heading, sizeof heading, "\n## %s\n", name);
		if (strstr(line, "From nothing") == NULL)
			break;
		assert_says(all, heading);
		commands++;
	}
	assert_true(commands >= 18);
	assert_int_equal(LETHE("key", "create", "--help"), CLI_OK);
	assert_says(out, "lethe key create ACCOUNT [--name TEXT] [--expires DATE]");
	assert_says(out, "Examples:");
	assert_int_equal(LETHE("help", "key"), CLI_OK);
	assert_says(out, "lethe key revoke KEY");
}

static void
colors_are_for_terminals_and_for_who_asks(void **state)
{
	assert_int_equal(LETHE("account", "create", "acme"), CLI_OK);
	assert_int_equal(LETHE("account", "list"), CLI_OK);
	assert_null(strchr(out, 033));
	assert_int_equal(LETHE("account", "list", "--color=always"), CLI_OK);
	assert_says(out, "\033[1maccount\033[0m");
	assert_says(out, "\033[32mopen\033[0m");
	setenv("NO_COLOR", "1", 1);
	assert_int_equal(LETHE("account", "list", "--color=always"), CLI_OK);
	assert_says(out, "\033[1m");
	assert_int_equal(LETHE("--color=always", "account", "show", "nobody"), CLI_REFUSED);
	assert_says(err, "\033[1;31mlethe:\033[0m there is no account");
	unsetenv("NO_COLOR");
	assert_int_equal(LETHE("--color=always", "account", "list", "--color=never"), CLI_OK);
	assert_null(strchr(out, 033));
	assert_int_equal(LETHE("account", "list", "--color=always", "--json"), CLI_OK);
	assert_null(strchr(out, 033));
}

/* What a terminal gets: the child's output is a pseudo-terminal. */
static const char *
on_a_terminal(const char *no_color, const char *term)
{
	static char text[4096];
	struct winsize size = {.ws_row = 24, .ws_col = 200};
	int terminal, status;
	size_t len = 0;
	pid_t child = forkpty(&terminal, NULL, NULL, &size);
	assert_true(child >= 0);
	if (child == 0) {
		setenv("TERM", term, 1);
		if (no_color != NULL)
			setenv("NO_COLOR", no_color, 1);
		exit(cli_main(3, (char **)(const char *const[]){"lethe", "account", "list", NULL}));
	}
	for (ssize_t n; len < sizeof text - 1 && (n = read(terminal, text + len, sizeof text - 1 - len)) > 0;)
		len += (size_t)n;
	text[len] = '\0';
	close(terminal);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	return text;
}

static void
a_terminal_gets_colors_unless_it_or_its_user_wants_none(void **state)
{
	unsetenv("NO_COLOR");
	assert_int_equal(LETHE("account", "create", "acme"), CLI_OK);
	assert_non_null(strstr(on_a_terminal(NULL, "xterm"), "\033[32mopen"));
	assert_non_null(strstr(on_a_terminal("", "xterm"), "\033[32mopen"));
	assert_null(strchr(on_a_terminal("1", "xterm"), 033));
	assert_null(strchr(on_a_terminal(NULL, "dumb"), 033));
}

static void
the_manual_page_has_every_command_and_exit_status(void **state)
{
	static char man[1 << 20];
	assert_int_equal(LETHE("help", "--man"), CLI_OK);
	strcpy(man, out);
	for (size_t i = 0; i < cli_command_count; i++) {
		char heading[64];
		snprintf(heading, sizeof heading, "\n.SS %s\n", cli_commands[i].name);
		assert_true(cli_commands[i].hidden || strstr(man, heading) != NULL);
	}
	assert_says(man, ".SH EXIT STATUS\n.TP\n.B 0\n");
	for (const char *c = man; *c != '\0'; c++)
		assert_true((unsigned char)*c < 0x80);
	assert_int_equal(LETHE("config", "reference", "--man"), CLI_OK);
	assert_says(out, ".SS models.prices\n");
	assert_says(out, "\n.B streams_per_account_percent\n");
}

static void
every_command_that_prints_text_prints_json_too(void **state)
{
	static const char *const words[][6] = {{"lethe", "help", "--json"}, {"lethe", "help", "key", "--json"},
		{"lethe", "help", "--markdown", "--json"}, {"lethe", "key", "list", "--help", "--json"},
		{"lethe", "config", "reference", "--json"}, {"lethe", "help", "--man", "--json"}, {"lethe", "completion", "bash", "--json"}, {"lethe", "version", "--json"}, {"lethe", "status", "--json"}};
	assert_int_equal(LETHE("account", "create", "acme"), CLI_OK);
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		assert_int_equal(lethe_with_input("", words[i]), CLI_OK);
		json_t *answer = parsed();
		assert_true(json_is_true(json_object_get(answer, "ok")));
		json_decref(answer);
	}
}

static void
options_may_stand_before_between_and_behind(void **state)
{
	assert_int_equal(LETHE("account", "create", "a"), CLI_OK);
	assert_int_equal(LETHE("--json", "--data", dir, "account", "list"), CLI_OK);
	json_decref(parsed());
	assert_int_equal(LETHE("account", "list", "--json", "--data", dir), CLI_OK);
	json_decref(parsed());
	assert_int_equal(LETHE("credit", "add", "--reason", "r", "a", "--json", "1"), CLI_OK);
	assert_string_equal(member("amount"), "1.000000000");
	assert_int_equal(LETHE("account", "create", "--", "--odd name"), CLI_OK);
	assert_int_equal(LETHE("account", "show", "--", "--odd name"), CLI_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_account_goes_through_its_life),
		TEST(the_words_that_begin_commands_have_help_of_their_own),
		TEST(a_leaked_key_is_revoked_from_standard_input),
		TEST(an_order_with_an_id_is_done_once),
		TEST(what_the_ledger_refuses_ends_with_one_and_a_sentence),
		TEST(what_is_not_understood_ends_with_two_and_a_remedy),
		TEST(without_a_data_directory_it_ends_with_three),
		TEST(a_ledger_that_somebody_holds_ends_with_three),
		TEST(a_running_server_is_asked),
		TEST(times_are_shown_alike_whether_in_milliseconds_or_in_seconds),
		TEST(usage_has_its_sums_as_the_last_row),
		TEST(usage_as_csv_has_a_header_and_plain_decimals),
		TEST(a_ticket_is_shown_without_what_is_zero),
		TEST(books_that_do_not_balance_end_with_one),
		TEST(a_code_that_is_not_ours_ends_with_one),
		TEST(a_server_that_says_nothing_leaves_the_outcome_open),
		TEST(a_file_is_read_from_standard_input),
		TEST(a_configuration_is_checked_in_words_and_in_json),
		TEST(a_catalogue_shows_the_prices_in_force),
		TEST(a_price_is_shown_by_tier_and_size_of_prompt),
		TEST(a_printed_configuration_says_where_secrets_are_and_not_what),
		TEST(a_catalogue_is_linted_and_only_strictly_it_fails),
		TEST(completion_offers_what_the_table_has),
		TEST(completion_asks_the_server_that_the_line_names),
		TEST(each_shell_has_a_script),
		TEST(a_price_list_is_compared_and_written),
		TEST(serve_gets_a_checked_configuration_and_a_directory),
		TEST(doctor_names_its_facts_and_remedies),
		TEST(help_explains_each_command_and_the_reference_has_them_all),
		TEST(colors_are_for_terminals_and_for_who_asks),
		TEST(a_terminal_gets_colors_unless_it_or_its_user_wants_none),
		TEST(the_manual_page_has_every_command_and_exit_status),
		TEST(every_command_that_prints_text_prints_json_too),
		TEST(options_may_stand_before_between_and_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
