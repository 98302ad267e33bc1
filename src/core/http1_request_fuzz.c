#include "core/http1_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	enum http1_result result;
	enum http1_error error;
	struct http1_head head;
};

/* The first byte says in which steps the rest arrives. */
static struct outcome
parse(const char *buf, size_t len, size_t step)
{
	struct outcome o = {HTTP1_MORE, HTTP1_E_OK, {0}};
	size_t scanned = 0;
	for (size_t n = step < len ? step : len;; n = n + step < len ? n + step : len) {
		o.result = http1_request_parse(buf, n, &scanned, &o.head, &o.error);
		if (o.result != HTTP1_MORE || n == len)
			return o;
	}
}

static void
check(const char *buf, const struct http1_head *h)
{
	struct span host = {NULL, 0}, none, head = {buf, h->bytes};
	if (head.at[0] == '\r') {
		head.at += 2;
		head.len -= 2;
	}
	fuzz_check_head(head, h, true);
	unsigned hosts = fuzz_fields_named(head, "host", &host);
	assert(hosts == 1 || (hosts == 0 && h->minor_version == 0));
	static const char *const once[] = {"expect", "authorization", "x-api-key", "x-goog-api-key", "content-type", "content-encoding",
		"anthropic-version", "lethe-lane", "lethe-policy"};
	for (size_t i = 0; i < ARRAY_LEN(once); i++)
		assert(fuzz_fields_named(head, once[i], &none) <= 1);
	for (size_t i = 0; i < host.len; i++)
		assert(!strchr(" \t/?#@\\,<>\"%", host.at[i]) || host.at[i] == ',');
	assert(h->method != HTTP1_METHOD_OTHER && h->target.len > 0 && h->target.len <= 8192);
	assert(h->target.at[0] == '/' || (h->target.at[0] == '*' && h->target.len == 1 && h->method == HTTP1_OPTIONS));
	for (size_t i = 0; i < h->target.len; i++)
		assert(h->target.at[i] > 0x20 && h->target.at[i] < 0x7f && h->target.at[i] != '#');
	const char *absolute = memmem(head.at, head.len, "://", 3), *eol = memchr(head.at, '\n', head.len);
	if (absolute && absolute < h->target.at && absolute < eol) /* an absolute target: who it names is the Host */
		assert(!strncasecmp(absolute + 3, host.at, host.len) && absolute[3 + host.len] == '/');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	size_t len = size - 1;
	char *buf = malloc(len ? len : 1);
	memcpy(buf, data + 1, len);
	struct outcome whole = parse(buf, len, len), pieces = parse(buf, len, 1u + data[0] % 16);
	assert(whole.result == pieces.result && whole.error == pieces.error);
	if (whole.result == HTTP1_DONE) {
		assert(whole.head.bytes == pieces.head.bytes && whole.head.field_count == pieces.head.field_count);
		check(buf, &whole.head);
	}
	free(buf);
	return 0;
}
