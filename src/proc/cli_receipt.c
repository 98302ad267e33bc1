/* lethe receipt verify, consistency: what needs no ledger, or does not believe it. */
#include "proc/cli_priv.h"

#include "proc/receipt_file.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = RECEIPT_FILE_MAX_MIB << 20 };

/* All of it, of a pipe too, and a byte more than it may have. NULL: errno says why. The caller frees it. */
static char *
read_all(FILE *f, size_t *ret_len)
{
	size_t cap = 1 << 16, len = 0, got;
	char *text = malloc(cap);
	while (text && len <= FILE_MAX && (got = fread(text + len, 1, cap - len, f)) > 0) {
		len += got;
		char *more = len == cap ? realloc(text, cap *= 2) : text;
		if (!more)
			free(text);
		text = more;
	}
	if (text && ferror(f)) {
		free(text);
		return NULL;
	}
	*ret_len = len;
	return text;
}

static char *
read_file(const char *path, size_t *ret_len)
{
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *f = is_stdin ? stdin : fopen(path, "re");
	char *text = f ? read_all(f, ret_len) : NULL;
	int why = errno;
	if (f && !is_stdin)
		fclose(f);
	errno = why;
	return text;
}

static json_t *
load(const struct cli *cli, const char *path)
{
	json_error_t error;
	size_t len;
	char *text = read_file(path, &len), *inlined;
	if (!text) {
		cli_fail(cli, CLI_REFUSED, "file", "%s can't be read: %s", path, strerror(errno));
		return NULL;
	}
	if (len > FILE_MAX) {
		free(text);
		cli_fail(cli, CLI_REFUSED, "file", "%s has more than %d MiB: give the receipt alone, which is what the header lethe-receipt had, or a stream's last comment", path,
			RECEIPT_FILE_MAX_MIB);
		return NULL;
	}
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!o && (len = receipt_file_unwrap(text, len, &inlined)) > 0)
		o = json_loadb(inlined, len, JSON_REJECT_DUPLICATES, &error);
	free(text);
	if (!o)
		cli_fail(cli, CLI_REFUSED, "file",
			"there is no receipt in %s, neither as JSON nor as the header lethe-receipt had it: save the answer of GET /v1/receipts/{id}, or of `lethe receipt show ID --json`, as it came", path);
	return o;
}

static void
show_says(const struct cli *cli, const struct receipt_says *s, const char *whose)
{
	if (s->from_size) {
		printf("%sholds%s: the log of %" PRIu64 " receipts contains that of %" PRIu64 " unchanged (%s, %s)\n", cli_on(cli, stdout, CLI_GOOD), cli_off(cli, stdout, CLI_GOOD),
			s->size, s->from_size, s->origin, s->time);
	} else {
		printf("%sholds%s: request %s of %s was booked for $%s\n", cli_on(cli, stdout, CLI_GOOD), cli_off(cli, stdout, CLI_GOOD), s->request, s->account, s->cost);
		printf("  request  begun %s, ended as %s\n", *s->started ? s->started : "never", s->end_reason);
		printf("  price    usage × price row = $%s: not more was charged\n", s->due);
		printf("  place    number %" PRIu64 " of this account's requests, leaf %" PRIu64 " of %" PRIu64 "\n", s->place, s->leaf, s->size);
		printf("  head     %s, signed %s\n", s->origin, s->time);
	}
	printf("  key      %s%s\n", s->key, whose);
}

/* whose: said of the key that signed, to people. */
static int
judge(const struct cli *cli, const json_t *o, const uint8_t *public, const char *whose, struct receipt_says *ret)
{
	char why[RECEIPT_WHY_MAX] = "";
	if (!merkle_ready() || sodium_init() < 0)
		return cli_fail(cli, CLI_UNREACHABLE, "crypto", "OpenSSL has no SHA-256 here");
	if (!receipt_file_check(o, public, ret, why))
		return cli_fail(cli, CLI_REFUSED, "not_valid", "%s", why);
	if (!cli->json) {
		show_says(cli, ret, whose);
		return CLI_OK;
	}
	json_t *answer = json_pack("{s:b, s:s, s:s, s:s, s:s, s:I, s:s}", "ok", 1, "request", ret->request, "cost", ret->cost, "key", ret->key, "origin", ret->origin, "size",
		(json_int_t)ret->size, "time", ret->time);
	if (!ret->from_size)
		json_object_update_new(answer, json_pack("{s:s, s:s, s:s}", "account", ret->account, "started", ret->started, "end_reason", ret->end_reason));
	cli_print_json(answer);
	json_decref(answer);
	return CLI_OK;
}

static bool
read_key(const struct cli *cli, const json_t *request, uint8_t key[RECEIPT_PUBLIC_BYTES], bool *ret_given)
{
	const char *text = json_string_value(json_object_get(request, "key"));
	size_t len = 0;
	*ret_given = text != NULL;
	if (!text || (strlen(text) == 2 * RECEIPT_PUBLIC_BYTES && sodium_hex2bin(key, RECEIPT_PUBLIC_BYTES, text, strlen(text), NULL, &len, NULL) == 0 && len == RECEIPT_PUBLIC_BYTES))
		return true;
	cli_fail(cli, CLI_REFUSED, "key", "--key takes the 64 hexadecimal digits that `lethe receipt key` prints");
	return false;
}

int
cli_receipt_verify(struct cli *cli, json_t *request)
{
	struct receipt_says says;
	uint8_t key[RECEIPT_PUBLIC_BYTES];
	bool given;
	if (!read_key(cli, request, key, &given))
		return CLI_REFUSED;
	json_t *o = load(cli, json_string_value(json_object_get(request, "file")));
	const char *whose = given ? "" : " (as the file says: compare it with the one that the gateway published, or give that with --key)";
	int status = o ? judge(cli, o, given ? key : NULL, whose, &says) : CLI_REFUSED;
	json_decref(o);
	return status;
}

/* A head by its size, or the head of a receipt that holds. root: zeros when only the size is known. */
static bool
head_of(const struct cli *cli, const char *what, struct merkle_head *ret)
{
	struct receipt_says says;
	char *end, why[RECEIPT_WHY_MAX] = "";
	*ret = (struct merkle_head){.size = strtoull(what, &end, 10)};
	if (*what && !*end && ret->size > 0 && ret->size <= INT64_MAX)
		return true;
	json_t *o = load(cli, what);
	bool ok = o && merkle_ready() && sodium_init() >= 0 && receipt_file_check(o, NULL, &says, why);
	json_decref(o);
	if (ok)
		*ret = (struct merkle_head){says.size, says.root};
	else if (o)
		cli_fail(cli, CLI_REFUSED, "not_valid", "%s: %s", what, why);
	return ok;
}

/* Its heads are those that were asked about. */
static bool
is_about(const json_t *answer, const char *member, const struct merkle_head *head)
{
	static const struct merkle_hash none;
	char hex[2 * MERKLE_BYTES + 1];
	const char *root = json_string_value(json_object_get(json_object_get(answer, member), "root"));
	sodium_bin2hex(hex, sizeof hex, head->root.at, MERKLE_BYTES);
	return merkle_same(&head->root, &none) || (root && strcmp(root, hex) == 0);
}

int
cli_receipt_consistency(struct cli *cli, json_t *request)
{
	struct merkle_head a, b;
	struct receipt_says says;
	if (!head_of(cli, json_string_value(json_object_get(request, "from")), &a) || !head_of(cli, json_string_value(json_object_get(request, "to")), &b))
		return CLI_REFUSED;
	json_t *ask = json_pack("{s:s, s:I, s:I}", "op", "receipt.growth", "from", (json_int_t)a.size, "to", (json_int_t)b.size), *answer = cli_ask(cli, ask);
	const char *message = json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
	json_decref(ask);
	if (!answer)
		return CLI_UNREACHABLE;
	int status;
	if (message)
		status = cli_fail(cli, CLI_REFUSED, "refused", "%s", message);
	else if (!is_about(answer, "from", &a) || !is_about(answer, "to", &b))
		status = cli_fail(cli, CLI_REFUSED, "not_valid", "the ledger has another head of that size than the receipt: one of the two was altered");
	else if (cli->json) {
		cli_print_json(answer);
		status = CLI_OK;
	} else
		status = judge(cli, answer, NULL, " (as the ledger says: compare it with the one that the gateway published)", &says);
	json_decref(answer);
	return status;
}
