#include "store.h"

#include "answer.h"

#include <stdlib.h>
#include <string.h>

enum { ABOUT_ROOM = 2048,
	LINES_MOST = 10000,
	LINE_ROOM = 8192 };

/* Of an answer that is being made. */
struct making {
	unsigned status;
	const char *why;
	struct text t;
};

static void
refuse(struct making *m, unsigned status, const char *why)
{
	m->status = status;
	m->why = why;
}

static void *
room(size_t bytes)
{
	void *at = malloc(bytes);
	if (!at)
		abort(); /* a test tool may */
	return at;
}

static void
copy_text(char *to, size_t cap, struct span from)
{
	size_t n = from.len < cap ? from.len : cap - 1;
	if (n)
		memcpy(to, from.at, n);
	to[n] = 0;
}

/* ---- a little JSON: what stands behind the first member of that name ---- */

static const char *
behind(struct span json, const char *quoted)
{
	const char *end = json.at + json.len, *at = memmem(json.at, json.len, quoted, strlen(quoted));
	for (at = at ? at + strlen(quoted) : end; at < end && strchr(" \t\r\n:", *at); at++)
		;
	return at;
}

static struct span
string_of(struct span json, const char *quoted)
{
	const char *end = json.at + json.len, *at = behind(json, quoted);
	const char *close = at < end && *at == '"' ? memchr(at + 1, '"', (size_t)(end - at - 1)) : NULL;
	return close ? (struct span){at + 1, (size_t)(close - at - 1)} : (struct span){0};
}

static struct span
object_of(struct span json, const char *quoted)
{
	const char *end = json.at + json.len, *at = behind(json, quoted);
	unsigned depth = 0;
	bool in_string = false;
	for (const char *p = at; p < end; p++) {
		if (in_string) {
			in_string = *p != '"';
			p += *p == '\\';
			continue;
		}
		in_string = *p == '"';
		depth += *p == '{';
		depth -= *p == '}' && depth;
		if (!depth)
			return *p == '}' ? (struct span){at, (size_t)(p + 1 - at)} : (struct span){0};
	}
	return (struct span){0};
}

/* ---- files ---- */

static struct sim_file *
file_at(struct sim_store *s, uint64_t id)
{
	struct sim_file *f = &s->files[id % SIM_KEPT];
	return id && f->id == id ? f : NULL;
}

static struct sim_file *
file_keep(struct sim_store *s, char *bytes, size_t len, uint64_t created)
{
	uint64_t id = ++s->next;
	struct sim_file *f = &s->files[id % SIM_KEPT];
	free(f->bytes);
	*f = (struct sim_file){.id = id, .created = created, .bytes = bytes, .len = len};
	return f;
}

static void
put_id(struct text *t, const char *prefix, uint64_t id)
{
	text_str(t, prefix);
	text_lit(t, "sim");
	text_u64(t, id);
}

static void
about_file(struct making *m, const struct sim_file *f)
{
	struct text *t = &m->t;
	*t = text_on(room(ABOUT_ROOM), ABOUT_ROOM);
	text_lit(t, "{\n  \"object\": \"file\",\n  \"id\": \"");
	put_id(t, "file-", f->id);
	text_lit(t, "\",\n  \"purpose\": \"");
	text_json(t, (struct span){f->purpose, strlen(f->purpose)});
	text_lit(t, "\",\n  \"filename\": \"");
	text_json(t, (struct span){f->name, strlen(f->name)});
	text_lit(t, "\",\n  \"bytes\": ");
	text_u64(t, f->len);
	text_lit(t, ",\n  \"created_at\": ");
	text_u64(t, f->created);
	text_lit(t, ",\n  \"expires_at\": null,\n  \"status\": \"processed\",\n  \"status_details\": null\n}\n");
}

/* The value of an argument of a part's Content-Disposition. */
static struct span
argument(struct span head, const char *name)
{
	const char *at = memmem(head.at, head.len, name, strlen(name)), *end = head.at + head.len;
	at = at ? at + strlen(name) : end;
	const char *close = at < end ? memchr(at, '"', (size_t)(end - at)) : NULL;
	return close ? (struct span){at, (size_t)(close - at)} : (struct span){0};
}

/* The part of a form with this name, its head in *ret_head. */
static struct span
part_of(struct span body, struct span boundary, const char *named, struct span *ret_head)
{
	const char *at = body.at, *end = body.at + body.len;
	while (at && (at = memmem(at, (size_t)(end - at), boundary.at, boundary.len))) {
		at += boundary.len;
		const char *head_end = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
		const char *next = head_end ? memmem(head_end, (size_t)(end - head_end), boundary.at, boundary.len) : NULL;
		if (!next || next - head_end < 8) /* an end of the head, another line end, and "--" */
			return (struct span){0};
		*ret_head = (struct span){at, (size_t)(head_end - at)};
		if (memmem(at, ret_head->len, named, strlen(named)))
			return (struct span){head_end + 4, (size_t)(next - head_end - 4) - 4}; /* before the boundary: CRLF and "--" */
		at = next;
	}
	return (struct span){0};
}

static void
file_create(struct sim_store *s, const struct sim_asked *a, struct making *m)
{
	static const char mark[] = "boundary=";
	const char *at = memmem(a->type.at, a->type.len, mark, sizeof mark - 1), *end = a->type.at + a->type.len;
	struct span boundary = {at ? at + sizeof mark - 1 : end, at ? (size_t)(end - at) - (sizeof mark - 1) : 0}, head, none;
	if (boundary.len >= 2 && *boundary.at == '"')
		boundary = (struct span){boundary.at + 1, boundary.len - 2};
	struct span file = boundary.len ? part_of(a->body, boundary, "name=\"file\"", &head) : (struct span){0};
	struct span purpose = boundary.len ? part_of(a->body, boundary, "name=\"purpose\"", &none) : (struct span){0};
	if (!file.at || !purpose.len) {
		refuse(m, 400, "'file' and 'purpose' are required");
		return;
	}
	if (file.len > SIM_FILE_MOST) {
		refuse(m, 413, "The simulator keeps files of 8 MiB at most");
		return;
	}
	char *bytes = room(file.len + 1);
	memcpy(bytes, file.at, file.len);
	struct sim_file *f = file_keep(s, bytes, file.len, a->unix_time);
	copy_text(f->name, sizeof f->name, argument(head, "filename=\""));
	copy_text(f->purpose, sizeof f->purpose, purpose);
	about_file(m, f);
}

static void
file_delete(struct sim_file *f, struct making *m)
{
	m->t = text_on(room(ABOUT_ROOM), ABOUT_ROOM);
	text_lit(&m->t, "{\n  \"object\": \"file\",\n  \"deleted\": true,\n  \"id\": \"");
	put_id(&m->t, "file-", f->id);
	text_lit(&m->t, "\"\n}\n");
	free(f->bytes);
	*f = (struct sim_file){0};
}

static void
file_content(const struct sim_file *f, struct making *m)
{
	m->t = text_on(room(f->len + 1), f->len + 1);
	text_add(&m->t, f->bytes, f->len);
}

/* ---- batches ---- */

static void
put_number(struct text *t, const char *name, uint64_t n)
{
	text_str(t, name);
	text_u64(t, n);
}

static void
about_batch(struct making *m, const struct sim_batch *b)
{
	struct text *t = &m->t;
	bool ended = b->cancelled || b->looks >= 2;
	unsigned done = ended && !b->cancelled ? b->total : 0;
	*t = text_on(room(ABOUT_ROOM), ABOUT_ROOM);
	text_lit(t, "{\n  \"id\": \"");
	put_id(t, "batch_", b->id);
	text_lit(t, "\",\n  \"object\": \"batch\",\n  \"endpoint\": \"");
	text_json(t, (struct span){b->endpoint, strlen(b->endpoint)});
	text_lit(t, "\",\n  \"errors\": null,\n  \"input_file_id\": \"");
	put_id(t, "file-", b->input);
	text_lit(t, "\",\n  \"completion_window\": \"24h\",\n  \"status\": \"");
	text_str(t, b->cancelled ? "cancelled" : b->looks == 0 ? "validating"
			: ended                                        ? "completed"
														   : "in_progress");
	text_lit(t, "\",\n  \"output_file_id\": ");
	if (done) {
		text_lit(t, "\"");
		put_id(t, "file-", b->output);
		text_lit(t, "\"");
	} else
		text_lit(t, "null");
	put_number(t, ",\n  \"error_file_id\": null,\n  \"created_at\": ", b->created);
	put_number(t, ",\n  \"request_counts\": {\"total\": ", b->total);
	put_number(t, ", \"completed\": ", done);
	put_number(t, ", \"failed\": 0},\n  \"usage\": {\"input_tokens\": ", done ? b->prompt_tokens : 0);
	put_number(t, ", \"input_tokens_details\": {\"cached_tokens\": 0}, \"output_tokens\": ", done ? b->completion_tokens : 0);
	put_number(t, ", \"output_tokens_details\": {\"reasoning_tokens\": 0}, \"total_tokens\": ", done ? b->prompt_tokens + b->completion_tokens : 0);
	text_lit(t, "},\n  \"metadata\": null\n}\n");
}

/* One line of the output: as if it had been asked alone. False: it is no request. */
static bool
answer_line(struct sim_store *s, const struct sim_asked *a, struct sim_batch *b, struct span line, struct text *t)
{
	struct sim_request q;
	struct span id = string_of(line, "\"custom_id\""), body = object_of(line, "\"body\"");
	if (!id.len || !body.len || !sim_request_scan(body, &q) || !q.model.len || q.stream)
		return false;
	struct sim_run run = {0};
	sim_script_init(&run.script);
	sim_run_init(&run, &q, ++s->next, a->unix_time);
	text_lit(t, "{\"id\": \"");
	put_id(t, "batch_req_", run.id);
	text_lit(t, "\", \"custom_id\": \"");
	text_span(t, id);
	text_lit(t, "\", \"response\": {\"status_code\": 200, \"request_id\": \"sim\", \"body\": ");
	size_t at = t->len;
	sim_run_body(&run, a->now_ns, t);
	for (char *p = (char *)t->at; at < t->len; at++) /* its own line ends are between members */
		p[at] = p[at] == '\n' ? ' ' : p[at];
	text_lit(t, "}, \"error\": null}\n");
	b->total++;
	b->prompt_tokens += run.prompt_tokens;
	b->completion_tokens += run.completion_tokens;
	sim_run_finish(&run);
	return !t->cut;
}

/* NULL: a line of it is no request, or there are too many. */
static char *
answer_lines(struct sim_store *s, const struct sim_asked *a, struct sim_batch *b, const struct sim_file *input, size_t *ret_len)
{
	const char *at = input->bytes, *end = at + input->len;
	size_t lines = 1;
	for (const char *p = at; p < end; p++)
		lines += *p == '\n';
	size_t cap = input->len * 2 + lines * LINE_ROOM;
	bool ok = lines <= LINES_MOST;
	struct text t = text_on(room(ok ? cap : 1), ok ? cap : 1);
	while (ok && at < end) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));
		struct span line = {at, (size_t)((eol ? eol : end) - at)};
		ok = line.len == 0 || (line.len == 1 && *line.at == '\r') || answer_line(s, a, b, line, &t);
		at = eol ? eol + 1 : end;
	}
	*ret_len = t.len;
	if (ok && b->total)
		return t.at;
	free(t.at);
	return NULL;
}

static void
batch_create(struct sim_store *s, const struct sim_asked *a, struct making *m)
{
	struct span named = string_of(a->body, "\"input_file_id\"");
	uint64_t id = named.len > 8 && memcmp(named.at, "file-sim", 8) == 0 ? strtoull(named.at + 8, NULL, 10) : 0;
	const struct sim_file *input = file_at(s, id);
	struct sim_batch b = {.created = a->unix_time, .input = id};
	size_t len;
	char *output = input ? answer_lines(s, a, &b, input, &len) : NULL;
	if (!output) {
		refuse(m, 400, input ? "A line of the input file is no request for a chat completion, or it has more than 10000" : "There is no such input file");
		return;
	}
	struct sim_file *f = file_keep(s, output, len, a->unix_time);
	copy_text(f->name, sizeof f->name, SPAN("output.jsonl"));
	copy_text(f->purpose, sizeof f->purpose, SPAN("batch_output"));
	copy_text(b.endpoint, sizeof b.endpoint, string_of(a->body, "\"endpoint\""));
	b.output = f->id;
	b.id = ++s->next;
	s->batches[b.id % SIM_KEPT] = b;
	about_batch(m, &b);
}

/* ---- what is asked ---- */

/* "{prefix}{number}{behind}"; 0: it is none. */
static uint64_t
number_in(struct span path, const char *prefix, const char *behind_it)
{
	size_t before = strlen(prefix), after = strlen(behind_it);
	if (path.len <= before + after || memcmp(path.at, prefix, before) != 0 || memcmp(path.at + path.len - after, behind_it, after) != 0)
		return 0;
	uint64_t n = 0;
	for (size_t i = before; i < path.len - after; i++) {
		if (path.at[i] < '0' || path.at[i] > '9')
			return 0;
		n = n * 10 + (uint64_t)(path.at[i] - '0');
	}
	return n;
}

static bool
is(struct span path, const char *text)
{
	return path.len == strlen(text) && memcmp(path.at, text, path.len) == 0;
}

static bool
begins(struct span path, const char *text)
{
	return path.len >= strlen(text) && memcmp(path.at, text, strlen(text)) == 0;
}

static void
about_files(struct sim_store *s, const struct sim_asked *a, struct making *m)
{
	struct sim_file *whole = file_at(s, number_in(a->path, "/v1/files/file-sim", "")), *content = file_at(s, number_in(a->path, "/v1/files/file-sim", "/content"));
	if (is(a->path, "/v1/files") && a->method == HTTP1_POST)
		file_create(s, a, m);
	else if (whole && a->method == HTTP1_GET)
		about_file(m, whole);
	else if (whole && a->method == HTTP1_DELETE)
		file_delete(whole, m);
	else if (content && a->method == HTTP1_GET)
		file_content(content, m);
	else
		refuse(m, 404, "No such File object");
}

static void
about_batches(struct sim_store *s, const struct sim_asked *a, struct making *m)
{
	uint64_t shown = number_in(a->path, "/v1/batches/batch_sim", ""), cancelled = number_in(a->path, "/v1/batches/batch_sim", "/cancel");
	struct sim_batch *b = &s->batches[(shown ? shown : cancelled) % SIM_KEPT];
	bool there = b->id && b->id == (shown ? shown : cancelled);
	if (is(a->path, "/v1/batches") && a->method == HTTP1_POST) {
		batch_create(s, a, m);
		return;
	}
	if (!there || a->method != (shown ? HTTP1_GET : HTTP1_POST)) {
		refuse(m, 404, "No batch found with that id");
		return;
	}
	b->looks += shown && b->looks < 2;
	b->cancelled |= cancelled && b->looks < 2;
	about_batch(m, b);
}

bool
sim_store_answer(struct sim_store *s, const struct sim_asked *a, unsigned *ret_status, const char **ret_why, struct text *t)
{
	struct making m = {.status = 200};
	if (begins(a->path, "/v1/files"))
		about_files(s, a, &m);
	else if (begins(a->path, "/v1/batches"))
		about_batches(s, a, &m);
	else
		return false;
	*ret_status = m.status;
	*ret_why = m.why;
	*t = m.t;
	return true;
}

void
sim_store_finish(struct sim_store *s)
{
	for (int i = 0; i < SIM_KEPT; i++)
		free(s->files[i].bytes);
	*s = (struct sim_store){0};
}
