/* The signer as its neighbours see it. No OpenSSL in this process: the signer is its child, and takes OpenSSL's memory from its own vault. */
#include "signer/signer.h"

#include "core/ipc.h"
#include "core/tls_sign.h"
#include "ticket/messages.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { EDGES = 2,
	WAIT_MS = 60000 };

/* ---- keys ---- */

struct made {
	char pem[2048];
	size_t len;
	uint8_t name[TLS_KEY_NAME_BYTES];
};

static void
make(const char *curve, int to)
{
	struct made made = {0};
	EVP_PKEY *key = EVP_EC_gen(curve);
	BIO *b = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL);
	int n = BIO_read(b, made.pem, sizeof made.pem);
	struct tls_key *read = n > 0 ? tls_key_read((struct span){made.pem, (size_t)n}) : NULL;
	if (read)
		tls_key_put_name(read, made.name);
	made.len = read ? (size_t)n : 0;
	_exit(write(to, &made, sizeof made) == (ssize_t)sizeof made ? 0 : 1);
}

static struct made
key_on(const char *curve)
{
	struct made made;
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0)
		make(curve, ends[1]);
	close(ends[1]);
	assert_int_equal(read(ends[0], &made, sizeof made), sizeof made);
	close(ends[0]);
	waitpid(pid, NULL, 0);
	assert_true(made.len > 0);
	return made;
}

/* ---- a signer ---- */

struct world {
	pid_t pid;
	int supervisor, edge[EDGES];
	uint64_t token;
};

static void
not_locked(void *arg)
{
}

static void
give_segment(struct world *w)
{
	struct message_segment m = MESSAGE_INIT(SIGNER_SEGMENT, message_segment);
	int fd = vault_segment_create(VAULT_PLAIN, SIGNER_SEGMENT);
	assert_true(fd >= 0);
	m.segment_bytes = SIGNER_SEGMENT;
	assert_int_equal(ipc_send(w->supervisor, &m, sizeof m, fd), IPC_OK);
	close(fd);
}

static void
give_key(struct world *w, uint16_t number, const struct made *made)
{
	struct message_secret m = MESSAGE_INIT(SECRET, message_secret);
	m.kind = SECRET_CERTIFICATE_KEY;
	m.provider = number;
	m.secret_bytes = (uint16_t)made->len;
	memcpy(m.secret, made->pem, made->len);
	assert_int_equal(ipc_send(w->supervisor, &m, sizeof m, -1), IPC_OK);
}

static void
tell(struct world *w, enum message_type what)
{
	struct message_plain m = MESSAGE_INIT(GO, message_plain);
	m.head.type = (uint16_t)what;
	assert_int_equal(ipc_send(w->supervisor, &m, sizeof m, -1), IPC_OK);
}

static void
open_world(struct world *w)
{
	int supervisor[2], edge[EDGES][2], theirs[EDGES];
	*w = (struct world){0};
	assert_int_equal(ipc_pair(supervisor), 0);
	for (int i = 0; i < EDGES; i++) {
		assert_int_equal(ipc_pair(edge[i]), 0);
		w->edge[i] = edge[i][0];
		theirs[i] = edge[i][1];
	}
	w->supervisor = supervisor[0];
	w->pid = fork();
	if (w->pid == 0) {
		close(supervisor[0]);
		for (int i = 0; i < EDGES; i++)
			close(edge[i][0]);
		_exit(signer_main(&(struct signer_process){
			.grade = VAULT_PLAIN, .supervisor_fd = supervisor[1], .scribe_fd = -1, .edge_fds = theirs, .edge_count = EDGES, .lock_down = not_locked}));
	}
	close(supervisor[1]);
	for (int i = 0; i < EDGES; i++)
		close(theirs[i]);
	give_segment(w);
}

static void
close_world(struct world *w)
{
	int status;
	tell(w, MESSAGE_STOP);
	assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
	assert_int_equal(status, 0);
	close(w->supervisor);
	for (int i = 0; i < EDGES; i++)
		close(w->edge[i]);
}

/* CertificateVerify of TLS 1.3 (RFC 8446 4.4.3), as long as the transcript's hash makes it. */
static void
ask(struct world *w, int edge, const struct made *made, enum tls_sign_hash hash, size_t transcript)
{
	static const char words[] = "TLS 1.3, server CertificateVerify"; /* and a zero byte */
	struct message_sign m = MESSAGE_INIT(SIGN, message_sign);
	m.token = ++w->token;
	memcpy(m.what.key, made->name, sizeof m.what.key);
	m.what.hash = hash;
	memset(m.what.statement, ' ', 64);
	memcpy(m.what.statement + 64, words, sizeof words);
	memset(m.what.statement + 64 + sizeof words, 7, transcript);
	m.what.statement_bytes = (uint16_t)(64 + sizeof words + transcript);
	assert_int_equal(ipc_send(w->edge[edge], &m, sizeof m, -1), IPC_OK);
}

/* IPC_CLOSED: the line is. */
static enum ipc_result
hear(int fd, void *buf, size_t *ret_bytes)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int pass;
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	return ipc_recv(fd, buf, ret_bytes, &pass);
}

static uint32_t
answer(struct world *w, int edge)
{
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	assert_int_equal(hear(w->edge[edge], buf, &bytes), IPC_OK);
	assert_true(message_check(buf, bytes, END_OF_SIGNER, END_OF_EDGE, false));
	const struct message_signed *m = (const void *)buf;
	assert_int_equal(m->token, w->token);
	return m->signature_bytes;
}

static struct message_held
held(struct world *w)
{
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	do
		assert_int_equal(hear(w->supervisor, buf, &bytes), IPC_OK);
	while (((const struct message_head *)(const void *)buf)->type != MESSAGE_KEYS_HELD);
	return *(const struct message_held *)(const void *)buf;
}

/* ---- tests ---- */

static void
a_key_of_each_size_signs_what_each_hash_makes(void **state)
{
	static const struct {
		const char *curve;
		enum tls_sign_hash hash;
		size_t transcript;
	} cases[] = {{"P-256", TLS_SIGN_SHA256, 32}, {"P-256", TLS_SIGN_SHA256, 48}, {"P-384", TLS_SIGN_SHA384, 32}, {"P-384", TLS_SIGN_SHA384, 48}, {"P-521", TLS_SIGN_SHA512, 48}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct made made = key_on(cases[i].curve);
		struct world w;
		open_world(&w);
		give_key(&w, 0, &made);
		tell(&w, MESSAGE_GO);
		ask(&w, 0, &made, cases[i].hash, cases[i].transcript);
		assert_true(answer(&w, 0) > 60);
		ask(&w, 0, &made, cases[i].hash, cases[i].transcript - 1); /* no hash is that long */
		assert_int_equal(answer(&w, 0), 0);
		close_world(&w);
	}
}

/* It has asked twice before anything was answered: it does not wait for its answers, so it is no edge of ours. The other one is. */
static void
who_asks_without_waiting_loses_its_line(void **state)
{
	_Alignas(8) char buf[IPC_MESSAGE_MAX];
	size_t bytes;
	struct made made = key_on("P-256");
	struct world w;
	open_world(&w);
	give_key(&w, 0, &made);
	for (int n = 0; n < 20; n++)
		ask(&w, 0, &made, TLS_SIGN_SHA256, 32);
	ask(&w, 1, &made, TLS_SIGN_SHA256, 32);
	tell(&w, MESSAGE_GO);
	assert_true(answer(&w, 1) > 60);
	assert_int_equal(hear(w.edge[0], buf, &bytes), IPC_CLOSED);
	ask(&w, 1, &made, TLS_SIGN_SHA256, 32);
	assert_true(answer(&w, 1) > 60);
	close_world(&w);
}

static void
what_can_not_be_read_leaves_what_was(void **state)
{
	struct made made = key_on("P-256"), other = key_on("P-384"), broken = other;
	struct world w;
	broken.pem[broken.len / 2] = '!';
	open_world(&w);
	give_key(&w, 0, &made);
	tell(&w, MESSAGE_GO);
	give_key(&w, 0, &broken);
	tell(&w, MESSAGE_KEYS_RENEWED);
	assert_int_equal(held(&w).refused, 1);
	ask(&w, 0, &other, TLS_SIGN_SHA384, 48);
	assert_int_equal(answer(&w, 0), 0);
	ask(&w, 0, &made, TLS_SIGN_SHA256, 48);
	assert_true(answer(&w, 0) > 60);
	give_key(&w, 0, &other);
	tell(&w, MESSAGE_KEYS_RENEWED);
	assert_int_equal(held(&w).refused, 0);
	ask(&w, 0, &other, TLS_SIGN_SHA384, 48);
	assert_true(answer(&w, 0) > 60);
	ask(&w, 1, &made, TLS_SIGN_SHA256, 48); /* an edge that has not taken up the new certificates yet */
	assert_true(answer(&w, 1) > 60);
	close_world(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_of_each_size_signs_what_each_hash_makes),
		cmocka_unit_test(who_asks_without_waiting_loses_its_line),
		cmocka_unit_test(what_can_not_be_read_leaves_what_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
