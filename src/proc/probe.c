#include "proc/probe.h"

#include "core/http1.h"
#include "core/loop.h"
#include "core/text.h"
#include "core/tls.h"
#include "proc/tls_wipe.h"
#include "ticket/endpoints.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_MAX = 8 << 10,
	ANSWER_MAX = 64 << 10 };

struct call {
	const struct config_provider *p;
	uint64_t until_ms;
	int fd;
	struct tls_client *trust;
	struct tls *tls;
	char request[REQUEST_MAX];
	size_t request_len;
	char answer[ANSWER_MAX];
	size_t answer_len;
	struct probe *ret;
	enum balance_wire balance; /* BALANCE_AUTO: that is not what is asked */
};

const char *
probe_word(enum probe_result r)
{
	static const char *const words[] = {
#define X(name, word, meaning) [PROBE_##name] = word,
		PROBE_RESULTS(X)
#undef X
	};
	return words[r];
}

static bool __attribute__((format(printf, 3, 4)))
say(struct call *c, enum probe_result r, const char *format, ...)
{
	va_list list;
	c->ret->result = r;
	va_start(list, format);
	vsnprintf(c->ret->words, sizeof c->ret->words, format, list);
	va_end(list);
	return false;
}

/* ---- the connection ---- */

static bool
wait_for(struct call *c, short events)
{
	struct pollfd p = {c->fd, events, 0};
	uint64_t now = clock_monotonic_ms();
	int n = now < c->until_ms ? poll(&p, 1, (int)(c->until_ms - now)) : 0;
	return n > 0 || (n < 0 && errno == EINTR && wait_for(c, events));
}

static bool
try_address(struct call *c, const struct addrinfo *a)
{
	int error = 0;
	socklen_t len = sizeof error;
	c->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
	if (c->fd < 0)
		return false;
	if (connect(c->fd, a->ai_addr, a->ai_addrlen) == 0)
		return true;
	if (errno == EINPROGRESS && wait_for(c, POLLOUT) && getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0)
		return true;
	error = error ? error : errno == EINPROGRESS ? ETIMEDOUT
												 : errno;
	close(c->fd);
	c->fd = -1;
	errno = error;
	return false;
}

static bool
connect_to(struct call *c)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *all = NULL;
	char port[8];
	snprintf(port, sizeof port, "%u", c->p->target.port);
	int failed = getaddrinfo(c->p->target.host, port, &hints, &all);
	if (failed != 0)
		return say(c, PROBE_UNREACHABLE, "%s: %s – check `url` and this machine's DNS", c->p->target.host, gai_strerror(failed));
	for (const struct addrinfo *a = all; a && c->fd < 0; a = a->ai_next)
		(void)!try_address(c, a);
	int error = errno;
	freeaddrinfo(all);
	if (c->fd >= 0)
		return true;
	return say(c, PROBE_UNREACHABLE, "%s port %s: %s – is there a firewall or a proxy between?", c->p->target.host, port, strerror(error));
}

static bool
send_all(struct call *c, const char *at, size_t len)
{
	while (len) {
		ssize_t n = send(c->fd, at, len, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (n < 0 && !wait_for(c, POLLOUT))
			return false;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return true;
}

static bool
send_wire(struct call *c)
{
	struct span wire = tls_wire();
	bool sent = send_all(c, wire.at, wire.len);
	tls_wire_taken();
	return sent;
}

static bool
tls_refused(struct call *c)
{
	switch (tls_flaw(c->tls)) {
	case TLS_FLAW_CERTIFICATE:
		return say(c, PROBE_TLS, "its certificate is not trusted, not valid now or not for %s (X.509 error %u) – check the clock, or name its authority with `ca_file`",
			c->p->target.host, tls_flaw_number(c->tls));
	case TLS_FLAW_PLAIN_HTTP:
	case TLS_FLAW_PROTOCOL:
		return say(c, PROBE_TLS, "it does not speak TLS 1.2 or 1.3 on port %u – check `url`", c->p->target.port);
	case TLS_FLAW_NONE:
	case TLS_FLAW_SYSTEM:
	case TLS_FLAW_REFUSED:
		break;
	}
	return say(c, PROBE_TLS, "it ended the TLS handshake – check `url`, and whether it wants a client's certificate");
}

static bool
shake_hands(struct call *c, struct span trust)
{
	char why[TLS_WHY_MAX];
	enum tls_result r = TLS_AGAIN;
	c->trust = tls_client_create(trust, why);
	c->tls = c->trust ? tls_connect(c->trust, c->p->target.host, NULL, c->fd) : NULL;
	if (!c->tls)
		return say(c, PROBE_TLS, "the file of authorities can't be used: %.180s", c->trust ? "no memory" : why);
	while (r == TLS_AGAIN) {
		r = tls_handshake(c->tls);
		if (!send_wire(c) || (r == TLS_AGAIN && !wait_for(c, POLLIN)))
			return say(c, PROBE_UNREACHABLE, "the TLS handshake did not end in time");
	}
	if (r != TLS_OK)
		return tls_refused(c);
	snprintf(c->ret->tls, sizeof c->ret->tls, "%s", tls_version(c->tls));
	return true;
}

/* ---- the request ---- */

static void
add_key(struct text *t, const struct config_provider *p, const uint8_t *key, int len)
{
	static const char *const header[] = {
		[DIALECT_OPENAI] = "authorization: Bearer ", [DIALECT_ANTHROPIC] = "x-api-key: ", [DIALECT_GEMINI] = "x-goog-api-key: "};
	text_str(t, header[p->dialect]);
	text_add(t, (const char *)key, (size_t)len);
	text_lit(t, "\r\n");
}

/* One token of an answer, in the words of each API. The model's name has no character that JSON would escape. */
static void
add_question(struct text *t, const struct config_provider *p, const char *model)
{
	if (p->dialect == DIALECT_GEMINI) {
		text_lit(t, "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}],\"generationConfig\":{\"maxOutputTokens\":1}}");
		return;
	}
	text_lit(t, "{\"model\":\"");
	text_str(t, model);
	text_lit(t, "\",\"");
	text_str(t, p->dialect == DIALECT_ANTHROPIC || p->cap_field != 0 ? "max_tokens" : "max_completion_tokens");
	text_lit(t, "\":1,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
}

static void
add_target(struct text *t, const struct call *c, const char *model)
{
	const struct config_provider *p = c->p;
	if (c->balance != BALANCE_DEEPSEEK)
		text_str(t, p->target.base_path);
	if (c->balance)
		text_str(t, c->balance == BALANCE_DEEPSEEK ? "/user/balance" : "/credits");
	else if (!model)
		text_lit(t, "/models");
	else if (p->dialect == DIALECT_GEMINI) {
		text_lit(t, "/models/");
		text_str(t, model);
		text_lit(t, ":generateContent");
	} else
		text_str(t, p->dialect == DIALECT_ANTHROPIC ? "/messages" : "/chat/completions");
}

static bool
build_request(struct call *c, const char *model, const uint8_t *key, int key_len)
{
	const struct config_provider *p = c->p;
	char question[1024];
	struct text t = text_on(c->request, sizeof c->request), q = text_on(question, sizeof question);
	if (model)
		add_question(&q, p, model);
	text_str(&t, model ? "POST " : "GET ");
	add_target(&t, c, model);
	text_lit(&t, " HTTP/1.1\r\nhost: ");
	text_str(&t, p->target.host);
	if (p->target.port != (p->target.tls ? 443 : 80)) {
		text_lit(&t, ":");
		text_u64(&t, p->target.port);
	}
	text_lit(&t, "\r\n");
	if (key_len > 0)
		add_key(&t, p, key, key_len);
	if (p->dialect == DIALECT_ANTHROPIC)
		text_lit(&t, "anthropic-version: 2023-06-01\r\n");
	text_lit(&t, "user-agent: lethe\r\naccept: application/json\r\naccept-encoding: identity\r\nconnection: close\r\n");
	if (model) {
		text_lit(&t, "content-type: application/json\r\ncontent-length: ");
		text_u64(&t, q.len);
		text_lit(&t, "\r\n");
	}
	text_lit(&t, "\r\n");
	text_add(&t, q.at, q.len);
	c->request_len = t.len;
	return !t.cut && !q.cut;
}

static bool
send_request(struct call *c)
{
	struct iovec part = {c->request, c->request_len};
	size_t taken;
	if (!c->tls)
		return send_all(c, c->request, c->request_len);
	return tls_write(c->tls, &part, 1, &taken) == TLS_OK && taken == c->request_len && send_wire(c);
}

/* ---- the answer ---- */

/* More of it. False: that was all. */
static bool
read_some(struct call *c)
{
	size_t len = 0, room = sizeof c->answer - c->answer_len;
	while (room) {
		if (c->tls) {
			enum tls_result r = tls_read(c->tls, c->answer + c->answer_len, room, &len);
			if (!send_wire(c) || (r != TLS_OK && r != TLS_AGAIN))
				return false;
		} else {
			ssize_t n = recv(c->fd, c->answer + c->answer_len, room, 0);
			if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
				return false;
			len = n > 0 ? (size_t)n : 0;
		}
		c->answer_len += len;
		if (len)
			return true;
		if (!wait_for(c, POLLIN))
			return false;
	}
	return false;
}

/* Of errors the body tells more than the status. Only known words are looked for; nothing of it is shown. */
static bool
answer_says(const struct call *c, const char *word)
{
	return memmem(c->answer, c->answer_len, word, strlen(word)) != NULL;
}

static bool
judge(struct call *c, uint16_t status)
{
	static const char *const broke[] = {"insufficient_quota", "credit_balance", "credit balance", "billing", "Insufficient Balance", "spend limit"};
	c->ret->status = status;
	bool money = status == 402;
	for (size_t i = 0; status >= 400 && i < ARRAY_LEN(broke); i++)
		money = money || answer_says(c, broke[i]);
	if (status >= 200 && status < 300) {
		c->ret->result = PROBE_OK;
		return true;
	}
	if (money)
		return say(c, PROBE_NO_CREDIT, "the account has no credit or quota left – top it up at the provider");
	if (status == 401 || status == 403 || answer_says(c, "API_KEY_INVALID"))
		return say(c, PROBE_REFUSED, "the provider does not accept this key – check it at the provider, and that it has not been revoked");
	if (status == 429)
		return say(c, PROBE_LIMITED, "too many requests at the moment – try again");
	if (status >= 500)
		return say(c, PROBE_FAILED, "the provider has a problem of its own – see its status page");
	return say(c, PROBE_WRONG, "status %u is not what this API answers – check `url` and `dialect`", status);
}

/* The body as far as it has come, without its chunks' frames. */
static struct span
body_of(struct call *c, const struct http1_head *head)
{
	char *at = c->answer + head->bytes, *to = at;
	size_t left = c->answer_len - head->bytes, used;
	struct http1_chunked chunks;
	http1_chunked_init(&chunks);
	while (head->chunked && left) {
		struct span data = {0};
		enum http1_result r = http1_chunked_feed(&chunks, at, left, &used, &data);
		if (data.len)
			memmove(to, data.at, data.len);
		to += data.len;
		at += used;
		left -= used;
		if (r == HTTP1_BAD || r == HTTP1_DONE || !used)
			break;
	}
	if (!head->chunked)
		to += left;
	return (struct span){c->answer + head->bytes, (size_t)(to - (c->answer + head->bytes))};
}

static bool
read_answer(struct call *c)
{
	struct http1_head head;
	size_t scanned = 0;
	enum http1_error error;
	for (;;) {
		bool more = read_some(c);
		enum http1_result r = http1_response_parse(c->answer, c->answer_len, &scanned, false, &head, &error);
		if (r == HTTP1_BAD)
			return say(c, PROBE_WRONG, "what it answers is not HTTP/1.1 – check `url`");
		if (r == HTTP1_DONE) {
			while ((head.status >= 400 || c->balance) && read_some(c))
				;
			if (c->balance && head.status == 200)
				return probe_balance_read(c->balance, body_of(c, &head), c->ret);
			return judge(c, head.status);
		}
		if (!more)
			return say(c, PROBE_UNREACHABLE, "it did not answer in time, or ended the connection");
	}
}

/* ---- all of it ---- */

/* What is asked for. */
struct question {
	const char *model; /* one token of its answer */
	enum balance_wire balance; /* what the account has left; without both: the list of models */
};

static void
ask(const struct config *config, uint32_t p, uint32_t k, struct question q, struct span trust, struct probe *ret)
{
	static struct call call;
	uint8_t key[CONFIG_SECRET_MAX];
	char why[CONFIG_WHY_MAX];
	struct call *c = &call;
	uint64_t began_ms = clock_monotonic_ms();
	*c = (struct call){.p = &config->providers[p], .until_ms = began_ms + PROBE_TIMEOUT_MS, .fd = -1, .ret = ret, .balance = q.balance};
	*ret = (struct probe){0};
	tls_wipe_freed(); /* what was sealed has a key in it */
	int len = c->p->key_count > 0 ? config_provider_key(config, p, k, key, sizeof key, why) : 0;
	if (len < 0)
		(void)!say(c, PROBE_NO_KEY, "%.290s", why);
	else if (!build_request(c, q.model, key, len))
		(void)!say(c, PROBE_WRONG, "the request does not fit");
	else if (connect_to(c) && (!c->p->target.tls || shake_hands(c, trust))) {
		if (send_request(c))
			(void)!read_answer(c);
		else
			(void)!say(c, PROBE_UNREACHABLE, "it ended the connection");
	}
	ret->milliseconds = (uint32_t)(clock_monotonic_ms() - began_ms);
	tls_free(&c->tls);
	tls_client_unref(&c->trust);
	if (c->fd >= 0)
		close(c->fd);
	sodium_memzero(key, sizeof key);
	sodium_memzero(c, sizeof *c);
}

void
probe_provider(const struct config *c, uint32_t p, uint32_t k, const char *model, struct span trust, struct probe *ret)
{
	ask(c, p, k, (struct question){.model = model}, trust, ret);
}

/* A key that may not ask, or a provider that does not answer this, leaves the account unknown: nothing is wrong with the key. */
void
probe_balance(const struct config *c, uint32_t p, uint32_t k, struct span trust, struct probe *ret)
{
	struct probe told;
	enum balance_wire wire = config_balance_wire(&c->providers[p]);
	int64_t low = c->providers[p].low_balance_nano;
	if (wire == BALANCE_NONE)
		return;
	ask(c, p, k, (struct question){.balance = wire}, trust, &told);
	if (!told.has_balance && low)
		snprintf(ret->words, sizeof ret->words, "what the account has left could not be asked for (%s) – may this key ask?", told.status ? "another answer" : probe_word(told.result));
	if (!told.has_balance)
		return;
	ret->has_balance = true;
	ret->balance_nano = told.balance_nano;
	memcpy(ret->currency, told.currency, sizeof ret->currency);
	if (told.balance_nano >= low)
		return;
	ret->result = PROBE_LOW;
	snprintf(ret->words, sizeof ret->words, "the account has less left than `low_balance` – top it up at the provider");
}
