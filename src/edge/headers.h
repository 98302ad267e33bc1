/*
 * Which header fields cross, and why. What is not listed does not: credentials, organisation, project, cookies, forwarding and address headers of
 * the client never go up; organisation, rate-limit and cookie headers of the provider never come down. Idempotency keys stay here as
 * well: behind a shared provider key two customers' keys could meet.
 *
 * X(direction, dialect or ALL, name in lower case, why)   UP: request to the provider, DOWN: answer to the client
 */
#ifndef EDGE_HEADERS_H
#define EDGE_HEADERS_H

#define HEADERS(X) \
	X(UP, ALL, "accept", "the client says which media types it reads") \
	X(UP, ALL, "content-type", "the body's type") \
	X(UP, ALL, "traceparent", "the client's own trace context (W3C), passed on and kept nowhere") \
	X(UP, ALL, "tracestate", "belongs to it") \
	X(UP, OPENAI, "openai-beta", "switches features of the dialect") \
	X(UP, ANTHROPIC, "anthropic-version", "version of the dialect") \
	X(UP, ANTHROPIC, "anthropic-beta", "switches features of the dialect, and what they cost") \
	X(UP, GEMINI, "x-server-timeout", "how long the caller waits") \
	X(UP, GEMINI, "x-goog-upload-protocol", "an upload, and nothing else: how it goes") \
	X(UP, GEMINI, "x-goog-upload-command", "an upload: what is to be done") \
	X(UP, GEMINI, "x-goog-upload-offset", "an upload: which bytes these are") \
	X(UP, GEMINI, "x-goog-upload-file-name", "an upload: what the caller calls the file") \
	X(UP, GEMINI, "x-goog-upload-header-content-length", "an upload: how long it will be") \
	X(UP, GEMINI, "x-goog-upload-header-content-type", "an upload: what it is of") \
	X(DOWN, ALL, "content-type", "the body's type") \
	X(DOWN, OPENAI, "openai-processing-ms", "time at the provider") \
	X(DOWN, OPENAI, "openai-version", "version of the dialect") \
	X(DOWN, GEMINI, "x-goog-upload-status", "an upload: how far it is") \
	X(DOWN, GEMINI, "x-goog-upload-size-received", "an upload: which bytes are there") \
	X(DOWN, GEMINI, "x-goog-upload-chunk-granularity", "an upload: of what pieces it is made") \
	X(DOWN, ALL, "retry-after", "when to try again") \
	X(DOWN, ALL, "retry-after-ms", "when to try again") \
	X(DOWN, ALL, "x-should-retry", "the SDK's own retry switch")

enum header_direction { HEADER_UP,
	HEADER_DOWN };
enum header_of { HEADER_OF_OPENAI,
	HEADER_OF_ANTHROPIC,
	HEADER_OF_GEMINI,
	HEADER_OF_ALL }; /* as enum dialect, and all */

#endif
