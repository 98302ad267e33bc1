/*
 * A connection of HTTP/2 to a whole gateway (rig.h), whose provider answers by HTTP/1.1, or by HTTP/2 in frames that are in the input as well. The input is a
 * list of records, so that lengths fit and turns fall between frames, or within them. Behind each input nothing may be left: no connection, no exchange,
 * no byte of the vault; and the books balance.
 */
#include "loopback/rig.h"

#include "core/websocket.h"
#include "edge/h2.h"
#include "edge/h2_up.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * The first byte of a record; a smaller one is a frame's type: flags, stream, length and payload follow. In front of the type, FILL: the payload 64 times; UP:
 * the provider says it, on a connection that speaks HTTP/2, made when it is first needed.
 */
enum record { FILL = 0x20,
	UP = 0x40,
	BYTES = 0x80, /* length, bytes as they are */
	ANSWER, /* which */
	TIME, /* tenths of a second */
	DEAF, /* reads nothing from here on, or all again */
	FULL, /* no memory for bodies, or some again */
	DRAIN,
	TURN,
	RETIRE,
	REPEAT, /* how often × 16: the frame that follows */
	UP_BYTES, /* as BYTES, of the provider */
	UP_END, /* its connection breaks off */
	UP_PATIENT, /* its connection, if there is none yet, is of the provider that is drained */
	UPGRADE, /* the provider takes a WebSocket */
	SAY, /* length, bytes as they are, of the provider by HTTP/1.1 */
	FLOOD, /* so often × 4: a request that is reset, or broken in another way */
	PLAYS_MOST = 4000 };

struct pipe {
	int fd;
	size_t len;
	char at[64 << 10];
};

/* One model of each provider, and one whose forms go through while they come. */
static const char catalogue[] =
	"listen: [\"127.0.0.1:0\"]\n"
	"providers:\n"
	"  - {name: sim, url: http://127.0.0.1:9/v1, keys: [{env: RIG_KEY}], pass_headers: [x-sim]}\n"
	"  - {name: patient, url: http://127.0.0.1:10/v1, keys: [{env: RIG_KEY}], on_client_gone: drain}\n"
	"models:\n"
	"  - {id: m, provider: sim, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n"
	"  - {id: drained, provider: patient, context: 100000, output: 100000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n"
	"  - {id: seconds, provider: sim, context: 1, output: 1, prices: [{from: 2020-01-01, input: \"0\", output: \"0\", audio_second: \"0.000001\"}]}\n";

static struct rig r;
static struct pipe client, up;
static bool deaf;
static uint64_t hoarded, before;
static unsigned played;
static char out[RIG_OUT_MAX], bulk[128 << 10];

static const char *const answers[] = {
	"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 96\r\n\r\n{\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15},\"x\":\"123456\"}",
	"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n2f\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n\r\n",
	"2f\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n\r\n",
	"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n",
	"HTTP/1.1 429 Slow\r\nretry-after: 1\r\ncontent-length: 2\r\n\r\n{}",
	"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n",
	NULL, /* it breaks off */
	bulk,
};

static uint64_t
used(void)
{
	struct vault_facts facts;
	vault_facts(r.edge->vault, &facts);
	return facts.used_bytes;
}

static void
listen_some(void)
{
	bool eof;
	rig_turn(&r);
	if (!deaf)
		rig_read(&r, client.fd, out, &eof);
	if (up.fd >= 0)
		rig_read(&r, up.fd, out, &eof);
}

static void
flush(struct pipe *p)
{
	size_t len = p->len;
	p->len = 0;
	rig_send(&r, p->fd, p->at, len);
	listen_some();
}

static void
flush_both(void)
{
	flush(&client);
	if (up.fd >= 0)
		flush(&up);
}

static void
put(struct pipe *p, const void *bytes, size_t len)
{
	if (p->len + len > sizeof p->at)
		flush(p);
	memcpy(p->at + p->len, bytes, len);
	p->len += len;
}

static void
put_head(struct pipe *p, uint32_t len, uint8_t type, uint8_t flags, uint8_t stream)
{
	const uint8_t head[9] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len, type, flags, 0, 0, 0, stream};
	put(p, head, sizeof head);
}

/* Preface, settings, and a request whose key is from now on entry 62 of the table (0xbe). */
static void
begin(void)
{
	char block[256];
	size_t key = strlen(r.key), len = (size_t)sprintf(block, "\x82\x87\x04\x08/healthz\x01\x01x\x57%cBearer %s", (int)(7 + key), r.key);
	client.fd = rig_client(&r);
	up.fd = -1;
	played = 0;
	put(&client, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	put_head(&client, 0, 4, 0, 0);
	put_head(&client, (uint32_t)len, 1, 5, 1);
	put(&client, block, len);
}

/* As if its handshake had chosen HTTP/2: requests take it before they ask for a connection of their own. */
static void
need_up(uint32_t provider)
{
	int pair[2];
	if (up.fd >= 0)
		return;
	flush(&client);
	int made = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair);
	assert(made == 0);
	struct upstream *u = upstream_adopt(r.edge, provider, pair[1], true);
	assert(u);
	if (!h2_up_begin(u))
		upstream_close(u);
	up.fd = pair[0];
	put_head(&up, 0, 4, 0, 0);
}

static void
end_up(void)
{
	if (up.fd >= 0)
		close(up.fd);
	up.fd = -1;
	up.len = 0;
	listen_some();
}

static void
provider_speaks(uint8_t which)
{
	const char *text = answers[which % ARRAY_LEN(answers)];
	if (r.dials && r.provider[r.dials - 1] >= 0 && text)
		rig_send(&r, r.provider[r.dials - 1], text, strlen(text));
	else if (r.dials && r.provider[r.dials - 1] >= 0) {
		close(r.provider[r.dials - 1]);
		r.provider[--r.dials] = -1;
	}
	listen_some();
}

static int
last_dial(void)
{
	return r.dials ? r.provider[r.dials - 1] : -1;
}

static void
upgrade(void)
{
	static const char name[] = "sec-websocket-key: ";
	char accept[WEBSOCKET_ACCEPT_TEXT], answer[256];
	bool eof;
	if (last_dial() < 0)
		return;
	rig_read(&r, last_dial(), out, &eof);
	const char *key = strstr(out, name), *end = key ? strchr(key, '\r') : NULL;
	if (!end)
		return;
	key += sizeof name - 1;
	websocket_accept((struct span){key, (size_t)(end - key)}, accept);
	int n = sprintf(answer, "HTTP/1.1 101 Go\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: %.*s\r\n\r\n", WEBSOCKET_ACCEPT_TEXT, accept);
	rig_send(&r, last_dial(), answer, (size_t)n);
	listen_some();
}

static void
say(const uint8_t *bytes, size_t len)
{
	if (last_dial() >= 0)
		rig_send(&r, last_dial(), (const char *)bytes, len);
	listen_some();
}

static void
fill_or_free(void)
{
	if (hoarded) {
		vault_release(r.edge->vault, hoarded);
		hoarded = 0;
		return;
	}
	while (vault_admit(r.edge->vault, 4096))
		hoarded += 4096;
}

static void
drain(void)
{
	struct client *c = r.edge->clients;
	if (c && c->h2 && h2_drain(c))
		client_close(c);
}

static void
retire(void)
{
	if (r.edge->clients)
		client_retire(r.edge->clients);
}

static void
forget_providers(void)
{
	for (; r.dials; r.dials--)
		if (r.provider[r.dials - 1] >= 0)
			close(r.provider[r.dials - 1]);
	rig_turn(&r);
}

/* Streams behind all those that a frame of the input can name. */
static void
flood(uint8_t arg)
{
	static const char head[] = "\x83\x87\x04\x14/v1/chat/completions\x01\x01x\xbe";
	static const uint8_t wrong[2][4] = {{0, 0, 0, 8}, {0, 0, 0, 0}};
	for (unsigned i = 0; i < (arg & 127) * 4u; i++) {
		const uint8_t id[2] = {(uint8_t)(1 + (played >> 7)), (uint8_t)(played << 1 | 1)};
		const uint8_t frames[2][9] = {{0, 0, sizeof head - 1, 1, 4, 0, 0, id[0], id[1]}, {0, 0, 4, arg & 128 ? 8 : 3, 0, 0, 0, id[0], id[1]}};
		put(&client, frames[0], 9);
		put(&client, head, sizeof head - 1);
		put(&client, frames[1], 9);
		put(&client, wrong[arg >> 7], 4);
		played++;
	}
}

static void
put_frame(struct pipe *p, const uint8_t *at, size_t len)
{
	size_t times = at[0] & FILL ? 64 : 1;
	put_head(p, (uint32_t)(len * times), at[0] & 15, at[1], at[2]);
	for (size_t i = 0; i < times; i++)
		put(p, at + 4, len);
}

/* A frame, so often; returns the length of its record. */
static size_t
play_frame(const uint8_t *at, size_t left, unsigned times)
{
	if (left < 4 || at[0] >= BYTES)
		return left;
	size_t len = at[3] < left - 4 ? at[3] : left - 4;
	if (at[0] & UP)
		need_up(0);
	for (; times && played < PLAYS_MOST; times--, played++)
		put_frame(at[0] & UP ? &up : &client, at, len);
	return 4 + len;
}

/* One record; returns its length. */
static size_t
play(const uint8_t *at, size_t left)
{
	uint8_t what = at[0], arg = left > 1 ? at[1] : 0;
	size_t len = arg < left - 1 - (left > 1) ? arg : left - 1 - (left > 1);
	if (r.dials > RIG_DIALS_MAX - 40)
		forget_providers();
	if (what < BYTES)
		return play_frame(at, left, 1);
	switch (what) {
	case BYTES:
		put(&client, at + 2, len);
		return 2 + len;
	case UP_BYTES:
		need_up(0), put(&up, at + 2, len);
		return 2 + len;
	case REPEAT:
		return 2 + (left > 2 ? play_frame(at + 2, left - 2, arg * 16u) : 0);
	default:
		break;
	}
	flush_both();
	switch (what) {
	case ANSWER:
		provider_speaks(arg);
		return 2;
	case TIME:
		rig_pass(&r, arg * 100);
		return 2;
	case DEAF:
		deaf = !deaf;
		return 1;
	case FULL:
		fill_or_free();
		return 1;
	case DRAIN:
		drain();
		return 1;
	case RETIRE:
		retire();
		return 1;
	case UP_PATIENT:
		need_up(1);
		return 1;
	case UPGRADE:
		upgrade();
		return 1;
	case SAY:
		say(at + 2, len);
		return 2 + len;
	case FLOOD:
		flood(arg);
		return 2;
	case UP_END:
		end_up();
		return 1;
	default:
		return 1;
	}
}

static void
end(void)
{
	static unsigned count;
	flush_both();
	close(client.fd);
	end_up();
	if (hoarded)
		fill_or_free();
	deaf = false;
	rig_turn(&r);
	forget_providers();
	for (int i = 0; i < 3 && r.edge->exchanges; i++) { /* those that drain, and ask again */
		rig_pass(&r, 10000);
		forget_providers();
	}
	if (++count % 16 == 0)
		rig_book(&r);
	if ((count & (count - 1)) == 0) {
		rig_book(&r);
		rig_check_books(&r);
	}
	assert(!r.edge->clients && !r.edge->exchanges && !r.edge->pool[0].h2);
}

static void
open_once(void)
{
	memset(bulk, 'x', sizeof bulk - 1);
	rig_open_with(&r, catalogue, "1000000.00", DURABILITY_BATCHED);
	r.process.limits.body_bytes = 4 << 20; /* a form that is not held as a whole is larger than one MiB */
	begin();
	end();
	begin();
	need_up(0);
	end();
	before = used();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!r.edge)
		open_once();
	begin();
	for (size_t at = 0; at < size;)
		at += play(data + at, size - at);
	end();
	assert(used() == before);
	return 0;
}
