#include "edge/safety.h"

#include "edge/edge_priv.h"

#include <sodium.h>

enum { HASH_BYTES = 24 };

/* No API key reads like this label, nor that of sealed ids: the uses of the pepper don't meet. */
static void
derive(const uint8_t *pepper, uint8_t ret[crypto_generichash_KEYBYTES])
{
	static const uint8_t label[] = "lethe: users of accounts, 1";
	crypto_generichash(ret, crypto_generichash_KEYBYTES, label, sizeof label, pepper, API_KEY_PEPPER_BYTES);
}

/* The caller's own word, as it stands in the body. */
static void
add_user(crypto_generichash_state *state, const struct request *r)
{
	const struct request_facts *f = &r->scan.result;
	const struct request_place *p = f->user_id.hash ? &f->user_id : f->safety.hash ? &f->safety
																				   : &f->user;
	uint64_t at = p->at + 1, left = p->hash ? p->bytes - 2 : 0;
	for (const struct block *b = r->body; b && left; b = b->next) {
		if (at >= b->len) {
			at -= b->len;
			continue;
		}
		uint64_t n = b->len - at < left ? b->len - at : left;
		crypto_generichash_update(state, (const uint8_t *)b->bytes + at, n);
		left -= n;
		at = 0;
	}
}

struct span
safety_identifier(const struct exchange *x, char room[SAFETY_TEXT_BYTES + 1])
{
	struct edge *e = x->edge;
	crypto_generichash_state state;
	uint8_t key[crypto_generichash_KEYBYTES], account[8], hash[HASH_BYTES];
	if (!catalogue_provider(e->p->catalogue, x->route.target->provider)->safety)
		return (struct span){0};
	for (int i = 0; i < 8; i++)
		account[i] = (uint8_t)(x->account_row >> 8 * i);
	derive(e->pepper, key);
	crypto_generichash_init(&state, key, sizeof key, sizeof hash);
	crypto_generichash_update(&state, account, sizeof account);
	add_user(&state, x->req);
	crypto_generichash_final(&state, hash, sizeof hash);
	sodium_memzero(key, sizeof key);
	sodium_memzero(&state, sizeof state);
	memcpy(room, "user_", 5);
	sodium_bin2hex(room + 5, SAFETY_TEXT_BYTES - 5 + 1, hash, sizeof hash);
	return (struct span){room, SAFETY_TEXT_BYTES};
}
