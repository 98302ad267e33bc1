/* lethe byok add: a customer's own key at a provider is sealed here, so that the server's ledger never sees it. */
#include "proc/cli_priv.h"

#include "ticket/byok.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* What it is sealed for, and whose it will be. NULL: said. */
static json_t *
ask_public(const struct cli *cli, const json_t *request, uint8_t public_key[BYOK_PUBLIC_BYTES], struct byok_owner *ret)
{
	json_t *ask = json_pack("{s:s, s:O, s:O}", "op", "byok.public", "account", json_object_get(request, "account"), "provider", json_object_get(request, "provider"));
	json_t *answer = cli_ask(cli, ask);
	const char *hex = json_string_value(json_object_get(answer, "public")), *account = json_string_value(json_object_get(answer, "account_number"));
	size_t len = 0;
	json_decref(ask);
	if (hex == NULL || account == NULL) /* refused: its words are shown as the command's */
		return answer;
	ret->account = strtoull(account, NULL, 10);
	ret->provider = (uint32_t)json_integer_value(json_object_get(answer, "provider_number"));
	if (sodium_hex2bin(public_key, BYOK_PUBLIC_BYTES, hex, strlen(hex), NULL, &len, NULL) == 0 && len == BYOK_PUBLIC_BYTES)
		return answer;
	json_decref(answer);
	cli_fail(cli, CLI_UNREACHABLE, "no_answer", "the server's answer has no key to seal for – is it of another version?");
	return NULL;
}

/* The last four characters tell keys apart; of a short one they would be too much of it. */
static void
put_sealed(json_t *request, const char *secret, const uint8_t box[BYOK_BOX_BYTES])
{
	enum { SHORT = 16 };
	char text[BYOK_BOX_TEXT + 1];
	size_t len = strlen(secret);
	sodium_bin2hex(text, sizeof text, box, BYOK_BOX_BYTES);
	json_object_set_new(request, "box", json_string(text));
	json_object_set_new(request, "last4", json_string(len > SHORT ? secret + len - 4 : ""));
}

int
cli_byok_add(struct cli *cli, json_t *request)
{
	uint8_t public_key[BYOK_PUBLIC_BYTES], box[BYOK_BOX_BYTES];
	struct byok_owner owner = {0};
	json_t *answer = ask_public(cli, request, public_key, &owner);
	if (answer == NULL)
		return CLI_UNREACHABLE;
	if (owner.provider == 0) {
		int status = cli_show_answer(cli, answer);
		json_decref(answer);
		return status;
	}
	json_decref(answer);
	const char *secret = json_string_value(json_object_get(request, "secret"));
	if (!byok_seal(public_key, &owner, (struct span){secret, strlen(secret)}, box))
		return cli_fail(cli, CLI_USAGE, "usage", "a provider's key has 1 to %d visible ASCII characters and no blanks – pipe in the key and nothing else", BYOK_SECRET_MAX);
	put_sealed(request, secret, box);
	sodium_memzero((char *)secret, strlen(secret));
	json_object_del(request, "secret");
	return cli_run_op(cli, request);
}
