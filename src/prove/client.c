#include "prove/client.h"

#include "prove/h2_client.h"
#include "prove/provider.h"
#include "prove/session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

enum { SENT_MAX = 16 << 10,
	DEEP = 600,
	ANSWER_KEPT = 64 << 10,
	SEEN_MS = 5000 };

struct request {
	char path[512], more[3 * TEXT_MAX], body[SENT_MAX];
	size_t body_len;
	char key[PROVE_KEY_MAX];
};

/* The mark that stands first, as it is: for where only letters go. */
static void
plain_mark(const struct exchange *x, char ret[CANARY_BYTES + 1])
{
	memcpy(ret, x->asked, CANARY_BYTES);
	ret[CANARY_BYTES] = '\0';
}

static bool
is_gemini(const struct exchange *x)
{
	return strstr(prove_forms[x->endpoint].path, "/models/") != NULL;
}

static void
name_no_model(const struct exchange *x, struct request *r)
{
	char mark[CANARY_BYTES + 1];
	plain_mark(x, mark);
	if (is_gemini(x))
		snprintf(r->path, sizeof r->path, "/v1beta/models/%s%s", mark, strchr(prove_forms[x->endpoint].path, ':'));
	if (prove_forms[x->endpoint].duplex)
		snprintf(r->path, sizeof r->path, "/v1/realtime?model=%s", mark);
	r->body_len = (size_t)snprintf(r->body, sizeof r->body, "{\"model\":\"%s\",\"max_tokens\":9,\"input\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}",
		mark, x->asked, x->asked);
}

static void
name_no_key(const struct exchange *x, struct request *r)
{
	char mark[CANARY_BYTES + 1];
	plain_mark(x, mark);
	snprintf(r->key, sizeof r->key, "lethe_live_%s", mark);
}

static void
nest_deep(const struct exchange *x, struct request *r)
{
	memset(r->body, '[', DEEP);
	r->body_len = DEEP + (size_t)snprintf(r->body + DEEP, sizeof r->body - DEEP, "\"%s\"", x->asked);
	memset(r->body + r->body_len, ']', DEEP);
	r->body_len += DEEP;
}

static void
add_lines(struct request *r, const char *lines)
{
	size_t len = strlen(r->more);
	snprintf(r->more + len, sizeof r->more - len, "%s", lines);
}

/* Who keeps a file, and whose words errors are in, the header decides: files go to both. */
static bool
is_anthropic(const struct exchange *x)
{
	const char *path = prove_forms[x->endpoint].path;
	bool file = strncmp(path, "/v1/files", 9) == 0 && x->endpoint != PROVE_BATCH_FILE && x->endpoint != PROVE_BATCH_FILE_LIST;
	return file || strncmp(path, "/v1/messages", 12) == 0;
}

/* By which lines it is told what is asked. */
static const char *
lines_of(const struct exchange *x)
{
	if (x->endpoint == PROVE_CHAT_RECEIPT || x->endpoint == PROVE_CHAT_RECEIPT_STREAM)
		return "lethe-receipt: inline\r\n";
	if (x->endpoint == PROVE_UPLOAD)
		return "x-goog-upload-protocol: resumable\r\nx-goog-upload-command: start\r\nx-goog-upload-header-content-type: text/plain\r\n";
	if (x->endpoint == PROVE_UPLOAD_SENT)
		return "x-goog-upload-command: upload, finalize\r\nx-goog-upload-offset: 0\r\n";
	return is_anthropic(x) ? "anthropic-version: 2023-06-01\r\n" : "";
}

static void
compress_body(struct request *r)
{
	char packed[SENT_MAX];
	z_stream z = {.next_in = (Bytef *)r->body, .avail_in = (uInt)r->body_len, .next_out = (Bytef *)packed, .avail_out = sizeof packed};
	bool begun = deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
	assert(begun);
	(void)deflate(&z, Z_FINISH);
	deflateEnd(&z);
	memcpy(r->body, packed, z.total_out);
	r->body_len = z.total_out;
	add_lines(r, "content-encoding: gzip\r\n");
}

static void
put_mark_into_path(const struct exchange *x, const char *before, struct request *r)
{
	char mark[CANARY_BYTES + 1], path[400];
	plain_mark(x, mark);
	snprintf(path, sizeof path, "%.399s", r->path);
	if (*before == '/')
		snprintf(r->path, sizeof r->path, "/v1/%s/completions", mark);
	else
		snprintf(r->path, sizeof r->path, "%s%cq=%s&prompt=%s", path, strchr(path, '?') ? '&' : '?', mark, mark);
}

static void
put_marks_into_headers(const struct exchange *x, struct request *r)
{
	char mark[CANARY_BYTES + 1];
	char lines[sizeof r->more];
	plain_mark(x, mark);
	snprintf(lines, sizeof lines, "x-note: %s\r\nuser-agent: %s\r\ncookie: prompt=%s\r\nopenai-organization: %s\r\n", x->asked, mark, mark, mark);
	add_lines(r, lines);
}

/* Models of the private instance have one letter. */
static void
name_model(const struct client *c, const struct exchange *x, struct request *r)
{
	static const char member[] = "\"model\":\"";
	char *at = strstr(r->body, member), rest[SENT_MAX];
	if (prove_forms[x->endpoint].duplex)
		snprintf(r->path, sizeof r->path, "/v1/realtime?model=%.120s", c->model);
	if (is_gemini(x))
		snprintf(r->path, sizeof r->path, "/v1beta/models/%.120s%s", c->model, strchr(prove_forms[x->endpoint].path, ':'));
	if (!at || at[sizeof member] != '"')
		return;
	at += sizeof member - 1;
	snprintf(rest, sizeof rest, "%s", at + 1);
	r->body_len = (size_t)(at - r->body) + (size_t)snprintf(at, sizeof r->body - (size_t)(at - r->body), "%.120s%s", c->model, rest);
}

/* With the names in it that earlier answers told. */
static size_t
put_names(const struct client *c, const char *text, char *ret, size_t cap)
{
	const struct {
		const char *word, *name;
	} names[] = {{"{file}", c->file}, {"{request}", c->request}, {"{batch_file}", c->batch_file}, {"{batch}", c->batch}, {"{messages_batch}", c->messages_batch}, {"{response}", c->response}, {"{background}", c->background}, {"{upload}", c->upload},
		{"{gemini_file}", c->gemini_file}};
	for (size_t n = 0; n < ARRAY_LEN(names); n++) {
		const char *at = strstr(text, names[n].word);
		if (at)
			return (size_t)snprintf(ret, cap, "%.*s%s%s", (int)(at - text), text, names[n].name, at + strlen(names[n].word));
	}
	return (size_t)snprintf(ret, cap, "%s", text);
}

static void
put_together(const struct client *c, const struct exchange *x, struct request *r)
{
	*r = (struct request){0};
	snprintf(r->key, sizeof r->key, "%s", x->way->client == CLIENT_POOR ? c->poor_key : c->key);
	char asked[BODY_MAX];
	add_lines(r, lines_of(x));
	(void)put_names(c, prove_forms[x->endpoint].path, r->path, sizeof r->path);
	(void)exchange_request(x, asked, sizeof asked);
	r->body_len = put_names(c, asked, r->body, sizeof r->body);
	if (c->model)
		name_model(c, x, r);
	switch (x->way->client) {
	case CLIENT_BREAKS_JSON:
		r->body_len -= 2;
		return;
	case CLIENT_NESTS_DEEP:
		nest_deep(x, r);
		return;
	case CLIENT_COMPRESSES:
		compress_body(r);
		return;
	case CLIENT_BAD_KEY:
		name_no_key(x, r);
		return;
	case CLIENT_NO_MODEL:
		name_no_model(x, r);
		return;
	case CLIENT_NO_PATH:
		put_mark_into_path(x, "/", r);
		return;
	case CLIENT_IN_QUERY:
		put_mark_into_path(x, "?", r);
		return;
	case CLIENT_IN_HEADER:
		put_marks_into_headers(x, r);
		return;
	case CLIENT_ASKS:
	case CLIENT_POOR:
	case CLIENT_ASKS_IN_PIECES:
	case CLIENT_GONE_IN_HEAD:
	case CLIENT_GONE_IN_BODY:
	case CLIENT_GONE_WAITING:
	case CLIENT_GONE_IN_ANSWER:
	case CLIENT_BREAKS_HTTP:
	case CLIENT_TOO_LARGE:
		return;
	}
}

static bool
send_in_pieces(struct link *l, const struct request *r)
{
	enum { PIECE_BYTES = 50 };
	char size[16];
	for (size_t at = 0, n; at < r->body_len; at += n) {
		n = r->body_len - at < PIECE_BYTES ? r->body_len - at : PIECE_BYTES;
		snprintf(size, sizeof size, "%zx\r\n", n);
		if (!link_write(l, size, strlen(size)) || !link_write(l, r->body + at, n) || !link_write(l, "\r\n", 2))
			return false;
	}
	return link_write(l, "0\r\n\r\n", 5);
}

static bool
send_too_much(struct link *l, const struct request *r)
{
	bool sent = true;
	for (size_t at = 0; sent && at < PROVE_BODY_LIMIT + SENT_MAX; at += r->body_len)
		sent = link_write(l, r->body, r->body_len);
	return true; /* the other side may have closed before the end: that is its answer */
}

static size_t
write_head(const struct exchange *x, const struct request *r, uint32_t number, char *ret, size_t cap)
{
	char length[64] = "";
	size_t bytes = x->way->client == CLIENT_TOO_LARGE ? 2 * PROVE_BODY_LIMIT : r->body_len;
	if (bytes)
		snprintf(length, sizeof length, "content-length: %zu\r\n", bytes);
	int n = snprintf(ret, cap, "%s %s HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: %s\r\n"
							   "authorization: Bearer %.120s\r\n" PROVE_HEADER ": %u\r\n%s%s\r\n",
		prove_forms[x->endpoint].method, r->path, prove_content_type(x->endpoint), r->key, number, r->more, x->way->client == CLIENT_ASKS_IN_PIECES ? "transfer-encoding: chunked\r\n" : length);
	assert(n > 0 && (size_t)n < cap);
	return (size_t)n;
}

static bool
send_all(struct link *l, const struct exchange *x, const struct request *r, const char *head, size_t head_len)
{
	switch (x->way->client) {
	case CLIENT_GONE_IN_HEAD:
		return link_write(l, head, head_len - 9) && link_write(l, x->asked, strlen(x->asked));
	case CLIENT_GONE_IN_BODY:
		return link_write(l, head, head_len) && link_write(l, r->body, r->body_len - 9);
	case CLIENT_BREAKS_HTTP:
		return link_write(l, head, head_len - 2) && link_write(l, x->asked, strlen(x->asked)) && link_write(l, "\r\n\r\n", 4);
	case CLIENT_ASKS_IN_PIECES:
		return link_write(l, head, head_len) && send_in_pieces(l, r);
	case CLIENT_TOO_LARGE:
		return link_write(l, head, head_len) && send_too_much(l, r);
	default:
		return link_write(l, head, head_len) && link_write(l, r->body, r->body_len);
	}
}

/* Those that break HTTP/1.1 itself, or hang up in the middle of a message, speak that. The others take turns, so that each way and each endpoint gets both. */
static bool
by_h2(const struct client *c, const struct exchange *x, uint32_t number)
{
	switch (x->way->client) {
	case CLIENT_ASKS_IN_PIECES:
	case CLIENT_GONE_IN_HEAD:
	case CLIENT_GONE_IN_BODY:
	case CLIENT_BREAKS_HTTP:
	case CLIENT_TOO_LARGE:
		return false;
	default:
		return !prove_forms[x->endpoint].duplex && (c->h2_alone || (c->h2 && ((number >> 1 ^ number >> 3) & 1)));
	}
}

static bool
begin_h2(struct link *l, const struct exchange *x, const struct request *r, uint32_t number)
{
	char digits[16];
	snprintf(digits, sizeof digits, "%u", number);
	return h2_client_begin(l, &(struct h2_request){prove_forms[x->endpoint].method, r->path, r->key, digits, r->more, prove_content_type(x->endpoint), r->body, r->body_len});
}

static bool
begin_session(struct link *l, const struct exchange *x, const struct request *r, uint32_t number)
{
	return session_ask(l, x, &(struct session_request){r->path, r->key, r->more, r->body, r->body_len, number});
}

static bool
begin_h1(struct link *l, const struct exchange *x, const struct request *r, uint32_t number)
{
	char head[6 * TEXT_MAX];
	size_t head_len = write_head(x, r, number, head, sizeof head);
	return send_all(l, x, r, head, head_len);
}

bool
client_begin(const struct client *c, struct exchange *x, uint32_t number, struct link *l)
{
	bool h2 = by_h2(c, x, number);
	atomic_store(&x->number, number);
	struct request *r = malloc(sizeof *r);
	assert(r);
	put_together(c, x, r);
	bool sent = link_connect(l, c->port, c->tls, h2);
	if (sent && !(h2 ? begin_h2 : prove_forms[x->endpoint].duplex ? begin_session
																  : begin_h1)(l, x, r, number)) {
		link_close(l);
		sent = false;
	}
	free(r);
	return sent;
}

void
client_wait_until_seen(const struct exchange *x)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	for (int ms = 0; ms < SEEN_MS && !atomic_load(&x->seen); ms++)
		nanosleep(&pause, NULL);
}

static bool
sees_mark(const struct exchange *x, const char *at, size_t len)
{
	return memmem(at, len, x->answered_mark, CANARY_BYTES) != NULL;
}

bool
client_sees_answer(struct exchange *x, struct link *l)
{
	while (l->h2 && !sees_mark(x, l->h2->kept, l->h2->kept_len))
		if (!h2_client_pump(l))
			return false;
	if (l->h2)
		return true;
	char *kept = malloc(ANSWER_KEPT);
	size_t len = 0, n;
	bool sees = false;
	assert(kept);
	while (!sees && len < ANSWER_KEPT && (n = link_read(l, kept + len, ANSWER_KEPT - len))) {
		len += n;
		sees = sees_mark(x, kept, len);
	}
	free(kept);
	return sees;
}

/* What Lethe answers by itself repeats nothing, and of some the head is all. */
static bool
has_passed(const struct exchange *x, const struct outcome *o, const char *at, size_t len)
{
	return prove_forms[x->endpoint].here || prove_forms[x->endpoint].head_alone ? o->status == 200 : sees_mark(x, at, len);
}

static struct outcome
read_all(struct exchange *x, struct link *l)
{
	char *kept = malloc(ANSWER_KEPT + 1), rest[4096];
	size_t len = 0, n;
	struct outcome o = {0};
	assert(kept);
	while (len < ANSWER_KEPT && (n = link_read(l, kept + len, ANSWER_KEPT - len)))
		len += n;
	while (len == ANSWER_KEPT && link_read(l, rest, sizeof rest))
		;
	kept[len] = '\0';
	o.status = strncmp(kept, "HTTP/1.1 ", 9) == 0 ? (unsigned)strtoul(kept + 9, NULL, 10) : 0;
	o.passed = has_passed(x, &o, kept, len);
	o.silent = l->silent;
	free(kept);
	link_close(l);
	return o;
}

static struct outcome
read_all_h2(struct exchange *x, struct link *l)
{
	while (h2_client_pump(l))
		;
	struct outcome o = {.status = l->h2->status, .h2 = true, .silent = l->silent};
	o.passed = has_passed(x, &o, l->h2->kept, l->h2->kept_len);
	link_close(l);
	return o;
}

static struct outcome
hear_all(struct exchange *x, struct link *l)
{
	struct outcome o = {.passed = session_hear(l, x), .silent = l->silent};
	link_close(l);
	return o;
}

struct outcome
client_end(struct exchange *x, struct link *l)
{
	struct outcome gone = {0};
	switch (x->way->client) {
	case CLIENT_GONE_IN_HEAD:
	case CLIENT_GONE_IN_BODY:
		link_close(l);
		return gone;
	case CLIENT_GONE_WAITING:
		client_wait_until_seen(x);
		link_reset(l);
		return gone;
	case CLIENT_GONE_IN_ANSWER:
		gone.passed = client_sees_answer(x, l);
		link_reset(l);
		return gone;
	default:
		return l->h2 ? read_all_h2(x, l) : prove_forms[x->endpoint].duplex ? hear_all(x, l)
																		   : read_all(x, l);
	}
}

/* What stands in an answer between two texts, as an id. */
static bool
name_between(const char *answer, const char *before, const char *behind, char ret[PROVE_ID_MAX])
{
	const char *at = strcasestr(answer, before), *end = at ? strpbrk(at + strlen(before), behind) : NULL;
	size_t len = end ? (size_t)(end - at) - strlen(before) : 0;
	if (len == 0 || len >= PROVE_ID_MAX)
		return false;
	memcpy(ret, end - len, len);
	ret[len] = '\0';
	return true;
}

/* By HTTP/1.1, whose head comes as text. */
bool
client_learn_name(const struct client *c, struct exchange *x, uint32_t number, const char *before, char ret[PROVE_ID_MAX])
{
	struct client plain = *c;
	struct link l;
	char answer[16 << 10];
	size_t len = 0, n;
	plain.h2 = plain.h2_alone = false;
	if (!client_begin(&plain, x, number, &l))
		return false;
	while (len < sizeof answer - 1 && (n = link_read(&l, answer + len, sizeof answer - 1 - len)))
		len += n;
	answer[len] = '\0';
	link_close(&l);
	return name_between(answer, before, "\"\r", ret);
}

size_t
client_get(uint16_t port, SSL_CTX *tls, const char *path, char *ret, size_t cap)
{
	char head[256];
	struct link l;
	size_t len = 0, n;
	snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n", path);
	if (!link_connect(&l, port, tls, false))
		return 0;
	if (link_write(&l, head, strlen(head)))
		while (len < cap && (n = link_read(&l, ret + len, cap - len)))
			len += n;
	link_close(&l);
	return len;
}
