/* What both bare relays are told, and where they listen. */
#ifndef BENCH_RELAY_OPTIONS_H
#define BENCH_RELAY_OPTIONS_H

#include "net.h"

struct relay_options {
	const char *name;
	struct net_address listen, connect;
	const char *port_file;
};

/* Ends the process with what is wrong with the command line. */
must_check struct relay_options relay_options_parse(const char *name, int argc, char **argv);

/* Listens and says on which port; returns the socket, ends the process when it can't. */
must_check int relay_listen(const struct relay_options *o);

#endif
