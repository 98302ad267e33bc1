/*
 * Which header fields cross, and why. What is not listed does not: credentials, organisation, project, cookies, forwarding and address headers of
 * the client never go up; organisation, rate-limit and cookie headers of the provider never come down. Idempotency keys stay here as
 * well: behind a shared provider key two customers' keys could meet.
 *
 * X(direction, name in lower case, why)   UP: request to the provider, DOWN: answer to the client
 */
#ifndef EDGE_HEADERS_H
#define EDGE_HEADERS_H

#define HEADERS(X) \
	X(UP, "accept", "the client says which media types it reads") \
	X(UP, "content-type", "the body's type") \
	X(UP, "openai-beta", "switches features of the dialect") \
	X(DOWN, "content-type", "the body's type") \
	X(DOWN, "openai-processing-ms", "time at the provider") \
	X(DOWN, "openai-version", "version of the dialect") \
	X(DOWN, "retry-after", "when to try again") \
	X(DOWN, "retry-after-ms", "when to try again") \
	X(DOWN, "x-should-retry", "the SDK's own retry switch")

enum header_direction { HEADER_UP, HEADER_DOWN };

#endif
