/*
 * What it would cost to keep certificates' keys in a process of their own: server sides of full TLS 1.3 handshakes, with the key here, and with one whose
 * signatures another process makes, asked over a socket (docs/decisions/0041). Cost is CPU time of both processes, without the client's. Run:
 * meson test --benchmark signer -v
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* the methods are: a provider would do the same with more between */
#include "core/base.h"

#include <openssl/ec.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { HANDSHAKES = 1000,
	ROUNDS = 5,
	ANYWHERE = -1,
	MESSAGE_MAX = 512,
	RSA_BITS = 2048 };

static int signer_fd = -1;

static void
must(bool all_is_well, const char *what)
{
	if (all_is_well)
		return;
	fprintf(stderr, "signer: %s\n", what);
	exit(1);
}

static double
clock_us(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void
stay_on(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	for (int c = 0; c < CPU_SETSIZE; c++)
		if (cpu == ANYWHERE || cpu == c)
			CPU_SET(c, &set);
	must(sched_setaffinity(0, sizeof set, &set) == 0, "can't choose a processor");
}

/* ---- the other process ---- */

/* A message is what is to be signed, the answer the signature. */
static _Noreturn void
sign_for_ever(int fd, EVP_PKEY *key, int cpu)
{
	unsigned char in[MESSAGE_MAX], out[MESSAGE_MAX];
	ssize_t n;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	stay_on(cpu);
	while ((n = recv(fd, in, sizeof in, 0)) > 0) {
		unsigned len = sizeof out;
		if (EVP_PKEY_base_id(key) == EVP_PKEY_EC)
			must(ECDSA_sign(0, in, (int)n, out, &len, (EC_KEY *)(uintptr_t)EVP_PKEY_get0_EC_KEY(key)) == 1, "no signature");
		else
			len = (unsigned)RSA_private_encrypt((int)n, in, out, (RSA *)(uintptr_t)EVP_PKEY_get0_RSA(key), RSA_NO_PADDING);
		must(send(fd, out, len, 0) == (ssize_t)len, "the edge is gone");
	}
	_exit(0);
}

static int
ask_signer(const unsigned char *in, size_t len, unsigned char *out)
{
	must(send(signer_fd, in, len, 0) == (ssize_t)len, "the signer is gone");
	return (int)recv(signer_fd, out, MESSAGE_MAX, 0);
}

static ECDSA_SIG *
sign_ec(const unsigned char *digest, int len, const BIGNUM *kinv, const BIGNUM *r, EC_KEY *key)
{
	unsigned char out[MESSAGE_MAX];
	const unsigned char *at = out;
	return d2i_ECDSA_SIG(NULL, &at, ask_signer(digest, (size_t)len, out));
}

static int
sign_rsa(int len, const unsigned char *in, unsigned char *out, RSA *key, int padding)
{
	return ask_signer(in, (size_t)len, out);
}

/* The public half, with a method that asks. */
static EVP_PKEY *
key_elsewhere(EVP_PKEY *key)
{
	EVP_PKEY *there = EVP_PKEY_new();
	if (EVP_PKEY_base_id(key) == EVP_PKEY_EC) {
		EC_KEY_METHOD *method = EC_KEY_METHOD_new(EC_KEY_OpenSSL());
		EC_KEY *half = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
		int (*sign)(int, const unsigned char *, int, unsigned char *, unsigned *, const BIGNUM *, const BIGNUM *, EC_KEY *);
		EC_KEY_METHOD_get_sign(method, &sign, NULL, NULL);
		EC_KEY_METHOD_set_sign(method, sign, NULL, sign_ec);
		must(EC_KEY_set_public_key(half, EC_KEY_get0_public_key(EVP_PKEY_get0_EC_KEY(key))) == 1 && EC_KEY_set_method(half, method) == 1, "no key");
		EVP_PKEY_assign_EC_KEY(there, half);
	} else {
		RSA_METHOD *method = RSA_meth_dup(RSA_get_default_method());
		RSA *half = RSA_new();
		const RSA *whole = EVP_PKEY_get0_RSA(key);
		RSA_meth_set_priv_enc(method, sign_rsa);
		RSA_set0_key(half, BN_dup(RSA_get0_n(whole)), BN_dup(RSA_get0_e(whole)), NULL);
		must(RSA_set_method(half, method) == 1, "no key");
		EVP_PKEY_assign_RSA(there, half);
	}
	return there;
}

/* ---- handshakes ---- */

static X509 *
certificate_for(EVP_PKEY *key)
{
	X509 *x = X509_new();
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	must(X509_set_pubkey(x, key) == 1 && X509_sign(x, key, EVP_sha256()) > 0, "no certificate");
	return x;
}

struct cost {
	double cpu_us, wall_us; /* of the server's side of one handshake, without what another process did */
};

/* To and fro in memory; only the server's turns are counted. */
static struct cost
shake_hands(SSL_CTX *server, SSL_CTX *client)
{
	struct cost c = {0};
	SSL *s = SSL_new(server), *k = SSL_new(client);
	BIO *to_server, *to_client;
	must(BIO_new_bio_pair(&to_server, 0, &to_client, 0) == 1, "no memory");
	SSL_set_bio(s, to_server, to_server);
	SSL_set_bio(k, to_client, to_client);
	SSL_set_accept_state(s);
	SSL_set_connect_state(k);
	for (int turn = 0; !SSL_is_init_finished(s) && turn < 9; turn++) {
		(void)SSL_do_handshake(k);
		double wall = clock_us(CLOCK_MONOTONIC), cpu = clock_us(CLOCK_THREAD_CPUTIME_ID);
		(void)SSL_do_handshake(s);
		c.cpu_us += clock_us(CLOCK_THREAD_CPUTIME_ID) - cpu;
		c.wall_us += clock_us(CLOCK_MONOTONIC) - wall;
	}
	must(SSL_is_init_finished(s), "no handshake");
	SSL_free(s);
	SSL_free(k);
	return c;
}

struct way {
	const char *words;
	bool elsewhere;
	int edge_cpu, cpu; /* of this process, and of the signer */
};

static const struct way ways[] = {
	{"the key in this process", false, 0, 0},
	{"a signer on the same processor", true, 0, 0},
	{"a signer on another processor", true, 0, 1},
	{"a signer where the kernel puts it", true, ANYWHERE, ANYWHERE},
};

/* CPU time of the signer is this process's child's: known when it has ended. */
static struct cost
measure(EVP_PKEY *key, X509 *certificate, const struct way *way)
{
	struct cost sum = {0};
	int ends[2];
	struct rusage before, after;
	SSL_CTX *server = SSL_CTX_new(TLS_server_method()), *client = SSL_CTX_new(TLS_client_method());
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0, "no socket");
	getrusage(RUSAGE_CHILDREN, &before);
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		close(ends[0]);
		sign_for_ever(ends[1], key, way->cpu);
	}
	close(ends[1]);
	signer_fd = ends[0];
	stay_on(way->edge_cpu);
	EVP_PKEY *used = way->elsewhere ? key_elsewhere(key) : key;
	SSL_CTX_set_min_proto_version(server, TLS1_3_VERSION);
	must(SSL_CTX_use_certificate(server, certificate) == 1 && SSL_CTX_use_PrivateKey(server, used) == 1, "the key is not taken");
	for (int n = 0; n < HANDSHAKES; n++) {
		struct cost one = shake_hands(server, client);
		sum.cpu_us += one.cpu_us / HANDSHAKES;
		sum.wall_us += one.wall_us / HANDSHAKES;
	}
	close(signer_fd);
	waitpid(pid, NULL, 0);
	getrusage(RUSAGE_CHILDREN, &after);
	sum.cpu_us += ((double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1e6 +
					  (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_stime.tv_usec)) /
		HANDSHAKES;
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	if (way->elsewhere)
		EVP_PKEY_free(used);
	return sum;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double
median(double of[ROUNDS])
{
	qsort(of, ROUNDS, sizeof *of, compare);
	return of[ROUNDS / 2];
}

/* Ways take turns, so that a machine that gets slower does so for each. */
static void
compare_ways(const char *name, EVP_PKEY *key)
{
	X509 *certificate = certificate_for(key);
	double cpu[ARRAY_LEN(ways)][ROUNDS], wall[ARRAY_LEN(ways)][ROUNDS], here = 0;
	for (int r = 0; r < ROUNDS; r++)
		for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
			struct cost c = measure(key, certificate, &ways[w]);
			cpu[w][r] = c.cpu_us;
			wall[w][r] = c.wall_us;
		}
	for (size_t w = 0; w < ARRAY_LEN(ways); w++) {
		double middle = median(cpu[w]);
		here = w == 0 ? middle : here;
		printf("%s, %-33s %6.1f us of CPU a handshake, %6.1f us until it is done; %.0f %% of the handshakes a CPU second\n", name, ways[w].words, middle, median(wall[w]),
			100 * here / middle);
	}
	X509_free(certificate);
}

int
main(void)
{
	EVP_PKEY *ec = EVP_EC_gen("P-256"), *rsa = EVP_RSA_gen(RSA_BITS);
	must(ec && rsa, "no key can be made");
	must(sysconf(_SC_NPROCESSORS_ONLN) > 1, "it wants two processors");
	compare_ways("ECDSA P-256", ec);
	compare_ways("RSA 2048", rsa);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(rsa);
	return 0;
}
