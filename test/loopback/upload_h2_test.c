/* Large forms that go up while they come, by HTTP/2 on both sides: windows instead of sockets that fill up. */
#include "edge/upload.h"
#include "loopback/h2_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct rig r;
static struct peer c, p; /* a client, the connection to the provider */
static char *body, *expected;
static size_t body_len, expected_len;
static uint64_t before;

enum { MEGA = 1 << 20,
	FILE_BYTES = 16 * MEGA,
	COST = 61 * 1000 };

#define FIELD(name, value) "--bnd\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define FILE_HEAD "--bnd\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\n"
#define SAID "{\"text\":\"hi\",\"usage\":{\"type\":\"duration\",\"seconds\":61}}"
#define PATH "/v1/audio/transcriptions"

static const char catalogue[] =
	"listen: [\"127.0.0.1:0\"]\n"
	"providers:\n"
	"  - name: sim\n"
	"    url: http://127.0.0.1:9/v1\n"
	"    keys: [{env: RIG_KEY}]\n"
	"models:\n"
	"  - {id: seconds, upstream: whisper-1, provider: sim, context: 1, output: 1, prices: [{from: 2020-01-01, input: \"0\", output: \"0\", audio_second: \"0.000001\"}]}\n"
	"  - {id: pictures, upstream: dall-e-2, provider: sim, context: 1, output: 1, prices: [{from: 2020-01-01, input: \"0\", output: \"0\", image: \"0.02\"}]}\n"
	"  - {id: m, provider: sim, context: 100000, output: 4000, prices: [{from: 2020-01-01, input: \"1\", output: \"2\"}]}\n";

static uint64_t
used(void)
{
	struct vault_facts f;
	vault_facts(r.edge->vault, &f);
	return f.used_bytes;
}

static size_t
put_together(char **at, const char *model)
{
	*at = malloc(FILE_BYTES + 4096);
	size_t n = (size_t)sprintf(*at, FIELD("model", "%s") FILE_HEAD, model);
	uint32_t x = 1;
	for (size_t i = 0; i < FILE_BYTES; i++) {
		x = x * 1664525 + 1013904223;
		(*at)[n++] = (char)(x >> 24);
	}
	return n + (size_t)sprintf(*at + n, "\r\n--bnd--\r\n");
}

static int
opened(void **state)
{
	rig_open_with(&r, catalogue, "1.00", DURABILITY_BATCHED);
	r.process.limits.body_bytes = 64 * MEGA;
	if (!body) {
		body_len = put_together(&body, "seconds");
		expected_len = put_together(&expected, "whisper-1");
	}
	peer_client(&c, &r, rig_client(&r), true);
	before = used();
	return 0;
}

static int
closed(void **state)
{
	peer_close(&c);
	if (p.session) {
		r.provider[0] = -1;
		peer_close(&p);
	}
	rig_close(&r);
	return 0;
}

static struct peer_stream *
provider_hears(bool greedy)
{
	if (!p.session) {
		peer_provider(&p, &r, rig_provider(&r, 0), greedy, 65535);
		p.expects = expected;
	}
	for (int i = 0; i < 4; i++) {
		peer_turn(&p);
		peer_turn(&c);
	}
	return p.count ? &p.streams[p.count - 1] : NULL;
}

static void
turn_until(const struct peer_stream *u, size_t bytes)
{
	for (int i = 0; i < 10000 && u->bytes < bytes && !u->closed; i++) {
		peer_turn(&p);
		peer_turn(&c);
		assert_true(used() - before < 2 * MEGA);
	}
}

static void
assert_booked(long tickets, int64_t paid)
{
	rig_book(&r);
	assert_int_equal(rig_tickets(&r), tickets);
	assert_int_equal(1000000000 - rig_balance(&r), paid);
	rig_check_books(&r);
}

static void
a_window_of_it_is_here(void **state)
{
	struct peer_stream *s = peer_ask_form(&c, PATH, body, body_len), *u = provider_hears(false);
	assert_non_null(u);
	/* the provider's window is shut: the client's is soon */
	for (int i = 0; i < 10; i++)
		provider_hears(false);
	assert_int_equal(u->bytes, 65535);
	assert_true(body_len - s->say_len < MEGA);
	assert_true(used() - before < 3 * MEGA / 2);
	nghttp2_session_consume(p.session, u->id, u->bytes);
	p.greedy = true;
	turn_until(u, expected_len);
	assert_int_equal(u->bytes, expected_len);
	assert_true(u->ended);
	peer_answer(&p, u, "200", SAID, strlen(SAID), false);
	for (int i = 0; i < 4; i++)
		provider_hears(true);
	assert_string_equal(s->status, "200");
	assert_string_equal(s->text, SAID);
	assert_true(s->closed && s->error == 0);
	assert_booked(1, COST);
}

static void
a_client_that_resets_it_leaves_the_connections_to_others(void **state)
{
	struct peer_stream *s = peer_ask_form(&c, PATH, body, body_len), *u = provider_hears(true);
	turn_until(u, 3 * MEGA);
	nghttp2_submit_rst_stream(c.session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
	for (int i = 0; i < 4; i++)
		provider_hears(true);
	assert_true(u->closed && u->bytes < expected_len && !u->ended);
	assert_int_equal(u->error, NGHTTP2_CANCEL);
	assert_null(r.edge->exchanges);
	s = peer_ask_form(&c, PATH, body, body_len);
	u = provider_hears(true);
	turn_until(u, expected_len);
	peer_answer(&p, u, "200", SAID, strlen(SAID), false);
	provider_hears(true);
	assert_string_equal(s->status, "200");
	assert_int_equal(r.dials, 1);
	assert_booked(2, COST);
}

static void
a_provider_that_resets_it_costs_nothing(void **state)
{
	struct peer_stream *s = peer_ask_form(&c, PATH, body, body_len), *u = provider_hears(true);
	turn_until(u, 3 * MEGA);
	nghttp2_submit_rst_stream(p.session, NGHTTP2_FLAG_NONE, u->id, NGHTTP2_REFUSED_STREAM);
	for (int i = 0; i < 4; i++)
		provider_hears(true);
	assert_string_equal(s->status, "502");
	assert_true(s->closed && !c.gone_away);
	assert_int_equal(p.count, 1);
	assert_booked(1, 0);
}

/* All of it has come, and costs more than is here: while more is waited for its last bytes are not at the provider, whose answer can only be a refusal. */
static void
a_provider_may_refuse_it_while_it_waits_for_money(void **state)
{
	enum { DEAR = 2 * MEGA };
	static const struct {
		const char *status, *gets;
	} rows[] = {{"413", "413"}, {"200", "502"}};
	char *dear = malloc(DEAR + 4096);
	size_t n = (size_t)sprintf(dear, FIELD("model", "pictures") "--bnd\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\n");
	memset(dear + n, 'x', DEAR);
	n += DEAR;
	n += (size_t)sprintf(dear + n, "\r\n" FIELD("n", "60") "--bnd--\r\n");
	for (int i = 0; i < 2; i++) {
		struct peer_stream *s = peer_ask_form(&c, "/v1/images/edits", dear, n), *u;
		peer_turn(&c);
		if (!p.session)
			peer_provider(&p, &r, rig_provider(&r, 0), true, 65535);
		for (int turns = 0; turns < 1000 && !r.edge->wait_more.first; turns++)
			provider_hears(true);
		assert_non_null(r.edge->wait_more.first);
		u = provider_hears(true);
		assert_false(u->ended);
		peer_answer(&p, u, rows[i].status, "{\"error\":{\"message\":\"no\"}}", 26, false);
		provider_hears(true);
		rig_pass(&r, 10);
		provider_hears(true);
		assert_string_equal(s->status, rows[i].gets);
		assert_true(s->closed);
		assert_null(r.edge->exchanges);
		assert_null(r.edge->wait_more.first);
	}
	free(dear);
	assert_booked(2, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_window_of_it_is_here, opened, closed),
		cmocka_unit_test_setup_teardown(a_client_that_resets_it_leaves_the_connections_to_others, opened, closed),
		cmocka_unit_test_setup_teardown(a_provider_that_resets_it_costs_nothing, opened, closed),
		cmocka_unit_test_setup_teardown(a_provider_may_refuse_it_while_it_waits_for_money, opened, closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
