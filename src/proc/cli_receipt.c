/* lethe receipt verify, consistency: what needs no ledger, or does not believe it. */
#include "proc/cli_priv.h"

#include "proc/receipt_file.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static json_t *
load(const struct cli *cli, const char *path)
{
	static char text[RECEIPT_FILE_MAX + 1];
	json_error_t error;
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *f = is_stdin ? stdin : fopen(path, "re");
	if (!f) {
		cli_fail(cli, CLI_REFUSED, "file", "%s can't be read: %s", path, strerror(errno));
		return NULL;
	}
	size_t len = fread(text, 1, sizeof text, f);
	if (!is_stdin)
		fclose(f);
	char *inlined = text;
	json_t *o = len <= RECEIPT_FILE_MAX ? json_loadb(text, len, JSON_REJECT_DUPLICATES, &error) : NULL;
	if (!o && len <= RECEIPT_FILE_MAX && (len = receipt_file_unwrap(text, len, &inlined)) > 0)
		o = json_loadb(inlined, len, JSON_REJECT_DUPLICATES, &error);
	if (!o)
		cli_fail(cli, CLI_REFUSED, "file",
			"%s is neither JSON of at most %d bytes nor what the header lethe-receipt had: save the answer of GET /v1/receipts/{id}, or of `lethe receipt show ID --json`, as it came", path,
			RECEIPT_FILE_MAX);
	return o;
}

static void
show_says(const struct cli *cli, const struct receipt_says *s, bool given)
{
	if (s->from_size) {
		printf("%sholds%s: the log of %" PRIu64 " receipts contains that of %" PRIu64 " unchanged (%s, %s)\n", cli_on(cli, stdout, CLI_GOOD), cli_off(cli, stdout, CLI_GOOD),
			s->size, s->from_size, s->origin, s->time);
	} else {
		printf("%sholds%s: request %s of %s was booked for $%s\n", cli_on(cli, stdout, CLI_GOOD), cli_off(cli, stdout, CLI_GOOD), s->request, s->account, s->cost);
		printf("  price    usage × price row = $%s: not more was charged\n", s->due);
		printf("  place    number %" PRIu64 " of this account's requests, leaf %" PRIu64 " of %" PRIu64 "\n", s->place, s->leaf, s->size);
		printf("  head     %s, signed %s\n", s->origin, s->time);
	}
	printf("  key      %s%s\n", s->key, given ? "" : " (as the file says: compare it with the one that the gateway published, or give that with --key)");
}

static int
judge(const struct cli *cli, const json_t *o, const uint8_t *public, struct receipt_says *ret)
{
	char why[RECEIPT_WHY_MAX] = "";
	if (!merkle_ready() || sodium_init() < 0)
		return cli_fail(cli, CLI_UNREACHABLE, "crypto", "OpenSSL has no SHA-256 here");
	if (!receipt_file_check(o, public, ret, why))
		return cli_fail(cli, CLI_REFUSED, "not_valid", "%s", why);
	if (!cli->json) {
		show_says(cli, ret, public != NULL);
		return CLI_OK;
	}
	json_t *answer = json_pack("{s:b, s:s, s:s, s:s, s:s, s:I, s:s}", "ok", 1, "request", ret->request, "cost", ret->cost, "key", ret->key, "origin", ret->origin, "size",
		(json_int_t)ret->size, "time", ret->time);
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
	int status = o ? judge(cli, o, given ? key : NULL, &says) : CLI_REFUSED;
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
		status = judge(cli, answer, NULL, &says);
	json_decref(answer);
	return status;
}
