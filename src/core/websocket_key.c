/* The opening handshake's proof that the other side speaks WebSocket (RFC 6455 4.2.2). It keeps caches apart, no secrets: SHA-1 is good for that. */
#include "core/websocket.h"

#include <openssl/sha.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Base64 with padding. */
static void
base64(const uint8_t *in, size_t len, char *out)
{
	for (size_t i = 0; i < len; i += 3, out += 4) {
		size_t left = len - i;
		uint32_t n = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);
		out[0] = digits[n >> 18];
		out[1] = digits[n >> 12 & 63];
		out[2] = left > 1 ? digits[n >> 6 & 63] : '=';
		out[3] = left > 2 ? digits[n & 63] : '=';
	}
}

void
websocket_key_text(const uint8_t key[WEBSOCKET_KEY_BYTES], char out[WEBSOCKET_KEY_TEXT])
{
	base64(key, WEBSOCKET_KEY_BYTES, out);
}

/* 21 digits of 6 bits, one of 2 (the rest of it zero), two signs that fill up. */
bool
websocket_key_valid(struct span key)
{
	enum { DIGITS = 22 };
	if (key.len != WEBSOCKET_KEY_TEXT || key.at[DIGITS] != '=' || key.at[DIGITS + 1] != '=')
		return false;
	for (size_t i = 0; i < DIGITS; i++)
		if (!key.at[i] || !strchr(digits, key.at[i]))
			return false;
	return strchr("AQgw", key.at[DIGITS - 1]) != NULL;
}

void
websocket_accept(struct span key, char out[WEBSOCKET_ACCEPT_TEXT])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t text[WEBSOCKET_KEY_TEXT + sizeof guid - 1], hash[SHA_DIGEST_LENGTH];
	size_t len = key.len < WEBSOCKET_KEY_TEXT ? key.len : WEBSOCKET_KEY_TEXT;
	memcpy(text, key.at, len);
	memcpy(text + len, guid, sizeof guid - 1);
	SHA1(text, len + sizeof guid - 1, hash);
	base64(hash, sizeof hash, out);
}
