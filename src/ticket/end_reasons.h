/*
 * Every way in which an exchange can end: one row each. The edge picks it, the ledger books by it, the scribe counts it, the
 * documentation lists it.
 *
 * A new row is the last one, and none is taken out: an upgrade in place takes over from a build whose rows are the first of these (layout.h). Of one in which
 * nothing ends any more its name and number stay, GONE(NAME, number), and nothing else has them.
 *
 * X(NAME, number kept in the store for ever, HTTP status or 0 when a head may already be out, severity, error type, error code, billing, sentence for the caller)
 * severity: INFO (somebody's wish), NOTE (caller's fault), WARN (provider's), ALARM (ours)
 * billing:  NONE (no charge), REPORTED (measured usage if reported, else the counted estimate, never above the hold)
 */
#ifndef TICKET_END_REASONS_H
#define TICKET_END_REASONS_H

#include <stdint.h>

#define END_ROWS(X, GONE) \
	X(NONE, 0, 0, INFO, "", "", NONE, "") \
	X(COMPLETED, 1, 200, INFO, "", "", REPORTED, "") \
	X(CLIENT_GONE, 2, 499, INFO, "", "", REPORTED, "") \
	X(CLIENT_GONE_EARLY, 3, 499, INFO, "", "", NONE, "") \
	X(PROVIDER_CUT, 4, 0, WARN, "server_error", "upstream_cut", REPORTED, "The provider ended its answer before it was complete.") \
	X(PROVIDER_ERROR, 5, 0, WARN, "", "", NONE, "") \
	X(PROVIDER_ERROR_INSIDE, 6, 0, WARN, "", "", REPORTED, "") \
	X(PROVIDER_MALFORMED, 7, 502, WARN, "server_error", "upstream_malformed", NONE, "The provider's answer could not be read.") \
	X(PROVIDER_UNREACHABLE, 8, 502, WARN, "server_error", "upstream_unreachable", NONE, "The provider could not be reached.") \
	X(PROVIDER_TIMEOUT, 9, 504, WARN, "server_error", "upstream_timeout", NONE, "The provider did not answer in time.") \
	X(PROVIDER_STALLED, 10, 0, WARN, "server_error", "upstream_timeout", REPORTED, "The provider stopped sending.") \
	X(PROVIDER_ACCOUNT, 11, 503, ALARM, "server_error", "upstream_unavailable", NONE, "This model is not available at the moment.") \
	X(PROVIDER_ENCODED, 12, 502, WARN, "server_error", "upstream_malformed", NONE, "The provider sent a compressed answer that was not asked for.") \
	X(INTERRUPTED, 13, 0, ALARM, "server_error", "interrupted", REPORTED, "The gateway was interrupted.") \
	X(BUDGET_EXHAUSTED, 14, 402, NOTE, "insufficient_quota", "budget_exhausted", REPORTED, "The balance, or a limit of money of this API key or its account, does not cover any more of this answer.") \
	X(BAD_HTTP, 20, 400, NOTE, "invalid_request_error", "bad_http", NONE, "The request is not valid HTTP/1.1.") \
	X(BAD_BODY, 21, 400, NOTE, "invalid_request_error", "bad_request", NONE, "The request body is not valid.") \
	X(BODY_TOO_LARGE, 22, 413, NOTE, "invalid_request_error", "request_too_large", NONE, "The request body is too large.") \
	X(NO_KEY, 23, 401, NOTE, "invalid_request_error", "invalid_api_key", NONE, "You didn't provide an API key. Send it as 'Authorization: Bearer <key>'.") \
	X(BAD_KEY, 24, 401, NOTE, "invalid_request_error", "invalid_api_key", NONE, "Incorrect API key provided.") \
	X(KEY_REVOKED, 25, 401, NOTE, "invalid_request_error", "invalid_api_key", NONE, "This API key has been revoked.") \
	X(NOT_FOUND, 26, 404, NOTE, "invalid_request_error", "not_found", NONE, "There is no such endpoint here.") \
	X(BAD_METHOD, 27, 405, NOTE, "invalid_request_error", "method_not_allowed", NONE, "This endpoint does not take that method.") \
	X(NO_MODEL, 28, 404, NOTE, "invalid_request_error", "model_not_found", NONE, "The model does not exist or you do not have access to it.") \
	X(NO_PRICE, 29, 503, ALARM, "server_error", "model_unpriced", NONE, "This model has no price in force.") \
	X(NO_MONEY, 30, 402, NOTE, "insufficient_quota", "insufficient_quota", NONE, "The balance does not cover this request.") \
	GONE(TOO_LONG_FOR_MODEL, 31) \
	X(OVERLOADED, 32, 503, ALARM, "server_error", "overloaded", NONE, "The gateway is at capacity; try again in a moment.") \
	X(LEDGER_AWAY, 33, 503, ALARM, "server_error", "unavailable", NONE, "The gateway cannot take requests right now; try again in a moment.") \
	X(HEAD_TIMEOUT, 34, 408, NOTE, "invalid_request_error", "request_timeout", NONE, "The request's head did not arrive in time.") \
	X(BODY_TIMEOUT, 35, 408, NOTE, "invalid_request_error", "request_timeout", NONE, "The request's body did not arrive in time.") \
	X(DRAINING, 36, 503, INFO, "server_error", "draining", NONE, "The gateway is shutting down; try again.") \
	X(CLIENT_SLOW, 37, 0, NOTE, "", "", REPORTED, "") \
	X(RATE_LIMITED, 38, 429, NOTE, "rate_limit_error", "rate_limit_exceeded", NONE, "Too many requests.") \
	X(TRACED, 39, 0, ALARM, "server_error", "interrupted", REPORTED, "The gateway was interrupted.") \
	X(BAD_HEADER, 40, 400, NOTE, "invalid_request_error", "bad_header", NONE, "A header of the request has an unknown value.") \
	X(TOO_MANY_BAD_KEYS, 41, 429, NOTE, "rate_limit_error", "too_many_bad_keys", NONE, "Too many requests without a valid API key came from your address. Wait as long as retry-after says, and check the keys that are used there.") \
	X(REQUEST_TIMEOUT, 42, 504, NOTE, "server_error", "request_timeout", REPORTED, "The request took longer than the gateway allows.") \
	X(KEY_QUARANTINED, 43, 503, NOTE, "server_error", "key_quarantined", NONE, "Requests with this API key are held back: gateway processes have ended while they served it. The operator has been told.") \
	X(UPGRADE_REQUIRED, 47, 426, NOTE, "invalid_request_error", "upgrade_required", NONE, "This endpoint speaks WebSocket: connect to it by wss:// (RFC 6455, version 13).") \
	X(SESSION_IDLE, 16, 0, INFO, "invalid_request_error", "session_idle", REPORTED, "The session was idle for too long.") \
	X(BAD_WEBSOCKET, 17, 0, NOTE, "invalid_request_error", "bad_websocket", REPORTED, "A frame of the client broke the WebSocket protocol.") \
	X(BAD_MESSAGE, 18, 0, NOTE, "invalid_request_error", "bad_request", REPORTED, "A message of the client can't be taken here.") \
	X(TOO_FAST, 15, 0, NOTE, "rate_limit_error", "rate_limit_exceeded", REPORTED, "Too many messages within a second.") \
	X(LIMIT_SPENT, 50, 429, NOTE, "insufficient_quota", "budget_exceeded", NONE, "A limit of money of this API key or its account is used up.") \
	X(ADDRESS_REFUSED, 51, 403, NOTE, "invalid_request_error", "address_not_allowed", NONE, "This API key does not work from your address. Whoever made it can allow more addresses.") \
	X(SCOPE_REFUSED, 52, 403, NOTE, "invalid_request_error", "scope_not_allowed", NONE, "This API key was not made for this endpoint. Whoever made it can allow it more.") \
	X(BODY_ENCODED, 44, 415, NOTE, "invalid_request_error", "unsupported_encoding", NONE, "The request body is compressed (Content-Encoding). Send it as it is, without that header.") \
	X(NO_OBJECT, 45, 404, NOTE, "invalid_request_error", "not_found", NONE, "There is nothing with this id: it was deleted, has expired, or was not made with a key of this account.") \
	X(OTHER_PROVIDER, 46, 400, NOTE, "invalid_request_error", "bad_request", NONE, "The file that this request names is kept at another provider than the one that serves this model. Upload it again with a model of its provider, or send its content inline.") \
	X(BAD_LANE, 19, 400, NOTE, "invalid_request_error", "unknown_lane", NONE, "There is no such lane for this model.") \
	X(NO_TARGET, 48, 400, NOTE, "invalid_request_error", "policy_not_met", NONE, "No provider of this model meets the policy that the request demands.") \
	X(NODE_FORGOTTEN, 53, 0, ALARM, "server_error", "interrupted", REPORTED, "The gateway was interrupted.")

/* Those in which an exchange can end. */
#define END_NO_ROW(NAME, number)
#define END_REASONS(X) END_ROWS(X, END_NO_ROW)

enum end_reason {
#define X(name, number, status, severity, type, code, billing, text) END_##name = number,
	END_REASONS(X)
#undef X
};

/* As tickets and receipts say it, also of a number that no exchange has. */
static inline const char *
end_reason_name(uint64_t number)
{
	switch (number) {
#define X(name, number, status, severity, type, code, billing, text) \
	case number: \
		return #name;
		END_REASONS(X)
#undef X
	default:
		return "UNKNOWN";
	}
}

#endif
