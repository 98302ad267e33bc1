#include "loopback/talk.h"

#include "core/ipc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

struct rig r;
char talk_out[RIG_OUT_MAX], talk_other_key[API_KEY_BYTES + 1];
int talk_asked;
static char in[RIG_OUT_MAX];

void
talk_open(const char *catalogue)
{
	rig_open_with(&r, catalogue, "1.00", DURABILITY_BATCHED);
	json_t *a = rig_control(&r, json_pack("{s:s,s:s}", "op", "account.create", "name", "other"));
	json_t *k = rig_control(&r, json_pack("{s:s,s:O}", "op", "key.create", "account", json_object_get(a, "account")));
	json_t *m = rig_control(&r, json_pack("{s:s,s:O,s:s,s:s}", "op", "credit.add", "account", json_object_get(a, "account"), "amount", "1.00", "reason", "rig"));
	assert_true(json_is_true(json_object_get(m, "ok")));
	snprintf(talk_other_key, sizeof talk_other_key, "%s", json_string_value(json_object_get(k, "secret")));
	json_decref(a);
	json_decref(k);
	json_decref(m);
	talk_asked = 0;
}

int
talk_ask(const char *key, const char *line, const char *headers, const char *body)
{
	int c = rig_client(&r);
	size_t n = (size_t)snprintf(in, sizeof in, "%s HTTP/1.1\r\nhost: api.example\r\nauthorization: Bearer %s\r\n%s", line, key, headers);
	n += (size_t)(body ? snprintf(in + n, sizeof in - n, "content-length: %zu\r\n\r\n%s", strlen(body), body) : snprintf(in + n, sizeof in - n, "\r\n"));
	rig_send(&r, c, in, n);
	return c;
}

int
talk_provider_sees(const char *line)
{
	bool eof;
	int p = rig_provider(&r, talk_asked++);
	if (p < 0)
		fail_msg("nobody was asked %s", line);
	rig_read(&r, p, talk_out, &eof);
	if (strncmp(talk_out, line, strlen(line)) != 0)
		fail_msg("%s instead of %s", talk_out, line);
	assert_null(strstr(talk_out, "lethe_live_"));
	return p;
}

void
talk_provider_says(int p, const char *status, const char *lines, const char *body)
{
	size_t n = (size_t)snprintf(in, sizeof in, "HTTP/1.1 %s\r\n%scontent-length: %zu\r\nconnection: close\r\nset-cookie: a=b\r\n\r\n%s", status, lines, strlen(body), body);
	rig_send(&r, p, in, n);
	close(p);
}

const char *
talk_client_gets(int c, const char *status)
{
	bool eof;
	rig_read(&r, c, talk_out, &eof);
	close(c);
	rig_turn(&r);
	assert_memory_equal(talk_out, "HTTP/1.1 ", 9);
	if (memcmp(talk_out + 9, status, 3) != 0)
		fail_msg("%s instead of %s", talk_out, status);
	assert_null(strstr(talk_out, "set-cookie"));
	char *body = strstr(talk_out, "\r\n\r\n");
	assert_non_null(body);
	return body + 4;
}

static void
value(const char *at, const char *ends, char ret[1024])
{
	size_t len = strcspn(at, ends);
	assert_true(len < 1024);
	memcpy(ret, at, len);
	ret[len] = 0;
}

void
talk_field(const char *name, char ret[1024])
{
	char line[64];
	snprintf(line, sizeof line, "\r\n%s: ", name);
	const char *at = strstr(talk_out, line);
	assert_non_null(at);
	value(at + strlen(line), "\r", ret);
}

void
talk_member(const char *body, const char *name, char ret[1024])
{
	char key[64];
	snprintf(key, sizeof key, "\"%s\":\"", name);
	const char *at = strstr(body, key);
	assert_non_null(at);
	value(at + strlen(key), "\"", ret);
}

bool
talk_reported(enum event_id event)
{
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	int fd;
	bool found = false;
	while (ipc_recv(r.scribe, buf, &bytes, &fd) == IPC_OK)
		found |= ((struct message_event *)buf)->head.type == MESSAGE_EVENT && ((struct message_event *)buf)->event == event;
	return found;
}
