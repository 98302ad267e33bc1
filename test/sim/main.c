#include "net.h"
#include "server.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

struct options {
	const char *listen[SIM_LISTENERS], *port_file, *key;
	const char *tls_certificate, *tls_key;
	bool quiet;
};

static void
usage(FILE *to)
{
	fputs("usage: lethe-sim [--listen 127.0.0.1:0] [--port-file FILE] [--key KEY] [--quiet]\n"
		  "                 [--listen-tls 127.0.0.1:0 --tls-certificate FILE --tls-key FILE]\n"
		  "\n"
		  "A model provider for tests: OpenAI's chat completions, whose behaviour each request chooses\n"
		  "with the header x-sim. See docs/reference/sim.md.\n"
		  "\n"
		  "  --listen ADDRESS        numeric address and port; port 0 lets the kernel choose\n"
		  "  --listen-tls ADDRESS    the same by TLS 1.2 and 1.3, beside the other\n"
		  "  --tls-certificate FILE  PEM: the certificate, then those between it and the root\n"
		  "  --tls-key FILE          PEM, without passphrase\n"
		  "  --port-file FILE        write the port there once it listens; that of --listen-tls on a second line\n"
		  "  --key KEY               /v1/ wants Authorization: Bearer KEY\n"
		  "  --quiet                 do not say where it listens\n",
		to);
}

static struct options
parse(int argc, char **argv)
{
	static const struct option LONG[] = {
		{"listen", 1, NULL, 'l'},
		{"listen-tls", 1, NULL, 'L'},
		{"tls-certificate", 1, NULL, 'C'},
		{"tls-key", 1, NULL, 'K'},
		{"port-file", 1, NULL, 'p'},
		{"key", 1, NULL, 'k'},
		{"quiet", 0, NULL, 'q'},
		{"help", 0, NULL, 'h'},
		{0},
	};
	struct options o = {.listen = {"127.0.0.1:0"}};
	for (int c; (c = getopt_long(argc, argv, "", LONG, NULL)) != -1;)
		switch (c) {
		case 'l':
			o.listen[SIM_CLEAR] = optarg;
			break;
		case 'L':
			o.listen[SIM_TLS] = optarg;
			break;
		case 'C':
			o.tls_certificate = optarg;
			break;
		case 'K':
			o.tls_key = optarg;
			break;
		case 'p':
			o.port_file = optarg;
			break;
		case 'k':
			o.key = optarg;
			break;
		case 'q':
			o.quiet = true;
			break;
		default:
			usage(c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 2);
		}
	if (o.listen[SIM_TLS] && (!o.tls_certificate || !o.tls_key)) {
		fputs("lethe-sim: --listen-tls wants --tls-certificate and --tls-key\n", stderr);
		exit(2);
	}
	return o;
}

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static uint16_t
open_listener(struct sim_server *s, struct sim_listener *l, const char *address)
{
	struct net_address a;
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = l};
	uint16_t port;
	if (!net_address_parse(address, &a)) {
		fprintf(stderr, "lethe-sim: %s: not a numeric address with a port\n", address);
		exit(2);
	}
	l->fd = net_listen(&a, &port);
	if (l->fd < 0)
		die(address);
	if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, l->fd, &e) != 0)
		die("epoll");
	return port;
}

static void
open_listeners(struct sim_server *s, const struct options *o)
{
	uint16_t ports[SIM_LISTENERS];
	size_t count = o->listen[SIM_TLS] ? SIM_LISTENERS : 1;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll < 0)
		die("epoll");
	if (o->listen[SIM_TLS])
		s->listener[SIM_TLS].tls = link_server_of(o->tls_certificate, o->tls_key);
	for (size_t i = 0; i < count; i++)
		ports[i] = open_listener(s, &s->listener[i], o->listen[i]);
	if (o->port_file && !net_write_port_file(o->port_file, ports, count))
		die(o->port_file);
	for (size_t i = 0; i < count && !o->quiet; i++) {
		const char *address = o->listen[i];
		printf("listening %s %.*s:%u\n", i == SIM_TLS ? "with TLS on" : "on", (int)(strrchr(address, ':') - address),
			address, ports[i]);
	}
	fflush(stdout);
}

static void
stop(int sig)
{
	(void)sig;
	_Exit(0);
}

int
main(int argc, char **argv)
{
	static struct sim_server s;
	struct options o = parse(argc, argv);
	net_raise_descriptor_limit();
	/* The kernel's default slack of 50 µs would be a fifth of the wheel's tick. */
	prctl(PR_SET_TIMERSLACK, 1ul);
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	s.key = o.key;
	s.next_id = net_now_ns();
	sim_wheel_init(&s.wheel, net_now_ns());
	open_listeners(&s, &o);
	sim_server_run(&s);
	return 1;
}
