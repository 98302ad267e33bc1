#include "net.h"
#include "server.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

struct options {
	const char *listen, *port_file, *key;
	bool quiet;
};

static void
usage(FILE *to)
{
	fputs("usage: lethe-sim [--listen 127.0.0.1:0] [--port-file FILE] [--key KEY] [--quiet]\n"
		  "\n"
		  "A model provider for tests: OpenAI's chat completions, whose behaviour each request chooses\n"
		  "with the header x-sim. See docs/reference/sim.md.\n"
		  "\n"
		  "  --listen ADDRESS  numeric address and port; port 0 lets the kernel choose\n"
		  "  --port-file FILE  write the port there once it listens\n"
		  "  --key KEY         /v1/ wants Authorization: Bearer KEY\n"
		  "  --quiet           do not say where it listens\n",
		to);
}

static struct options
parse(int argc, char **argv)
{
	static const struct option LONG[] = {
		{"listen", 1, NULL, 'l'},
		{"port-file", 1, NULL, 'p'},
		{"key", 1, NULL, 'k'},
		{"quiet", 0, NULL, 'q'},
		{"help", 0, NULL, 'h'},
		{0},
	};
	struct options o = {.listen = "127.0.0.1:0"};
	for (int c; (c = getopt_long(argc, argv, "", LONG, NULL)) != -1;) {
		if (c == 'l')
			o.listen = optarg;
		else if (c == 'p')
			o.port_file = optarg;
		else if (c == 'k')
			o.key = optarg;
		else if (c == 'q')
			o.quiet = true;
		else {
			usage(c == 'h' ? stdout : stderr);
			exit(c == 'h' ? 0 : 2);
		}
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
open_listener(struct sim_server *s, const char *address)
{
	struct net_address a;
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
	uint16_t port;
	if (!net_address_parse(address, &a)) {
		fprintf(stderr, "lethe-sim: --listen %s: not a numeric address with a port\n", address);
		exit(2);
	}
	s->listener = net_listen(&a, &port);
	if (s->listener < 0)
		die(address);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &e) != 0)
		die("epoll");
	return port;
}

static void
announce(const struct options *o, uint16_t port)
{
	if (o->port_file && !net_write_port_file(o->port_file, port))
		die(o->port_file);
	if (!o->quiet)
		printf("listening on %.*s:%u\n", (int)(strrchr(o->listen, ':') - o->listen), o->listen, port);
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
	announce(&o, open_listener(&s, o.listen));
	sim_server_run(&s);
	return 1;
}
