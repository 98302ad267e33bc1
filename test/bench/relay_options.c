#include "relay_options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

struct relay_options
relay_options_parse(const char *name, int argc, char **argv)
{
	static const struct option LONG[] = {
		{"listen", 1, NULL, 'l'},
		{"connect", 1, NULL, 'c'},
		{"port-file", 1, NULL, 'p'},
		{0},
	};
	struct relay_options o = {.name = name};
	bool good = net_address_parse("127.0.0.1:0", &o.listen);
	for (int c; (c = getopt_long(argc, argv, "", LONG, NULL)) != -1;) {
		if (c == 'p')
			o.port_file = optarg;
		else
			good = good && c != '?' && net_address_parse(optarg, c == 'l' ? &o.listen : &o.connect);
	}
	if (!good || !o.connect.len) {
		fprintf(stderr, "usage: %s --connect ADDRESS [--listen 127.0.0.1:0] [--port-file FILE]\n", name);
		exit(2);
	}
	return o;
}

static _Noreturn void
fail(const struct relay_options *o, const char *what)
{
	fprintf(stderr, "%s: %s: %m\n", o->name, what);
	exit(1);
}

int
relay_listen(const struct relay_options *o)
{
	uint16_t port;
	net_raise_descriptor_limit();
	int listener = net_listen(&o->listen, &port);
	if (listener < 0)
		fail(o, "listen");
	if (o->port_file && !net_write_port_file(o->port_file, &port, 1))
		fail(o, o->port_file);
	printf("listening on port %u\n", port);
	fflush(stdout);
	return listener;
}
