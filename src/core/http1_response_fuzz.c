#include "core/http1_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	enum http1_result result;
	enum http1_error error;
	struct http1_head head;
};

static struct outcome
parse(const char *buf, size_t len, size_t step, bool for_head)
{
	struct outcome o = {HTTP1_MORE, HTTP1_E_OK, {0}};
	size_t scanned = 0;
	for (size_t n = step < len ? step : len;; n = n + step < len ? n + step : len) {
		o.result = http1_response_parse(buf, n, &scanned, for_head, &o.head, &o.error);
		if (o.result != HTTP1_MORE || n == len)
			return o;
	}
}

static void
check(const char *buf, const struct http1_head *h, bool for_head)
{
	bool bodiless = for_head || h->status < 200 || h->status == 204 || h->status == 304;
	struct span option = {NULL, 0}, head = {buf, h->bytes};
	fuzz_check_head(head, h, !bodiless);
	assert(h->status >= 100 && h->status <= 599 && h->status != 101 && h->status == strtoul(buf + 9, NULL, 10));
	assert(h->chunked + h->has_length + h->until_close == 1);
	assert(!bodiless || (h->has_length && h->content_length == 0));
	assert(!h->until_close || !h->keep_alive);
	if (fuzz_fields_named(head, "connection", &option) && fuzz_is(option, "close"))
		assert(!h->keep_alive);
}

/* The first byte says in which steps the rest arrives, and whether it answers HEAD. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	size_t len = size - 1;
	bool for_head = data[0] & 0x80;
	char *buf = malloc(len ? len : 1);
	memcpy(buf, data + 1, len);
	struct outcome whole = parse(buf, len, len, for_head), pieces = parse(buf, len, 1u + data[0] % 16, for_head);
	assert(whole.result == pieces.result && whole.error == pieces.error);
	if (whole.result == HTTP1_DONE) {
		assert(whole.head.bytes == pieces.head.bytes && whole.head.status == pieces.head.status);
		check(buf, &whole.head, for_head);
	}
	free(buf);
	return 0;
}
