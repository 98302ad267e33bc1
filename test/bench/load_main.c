#include "load.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static uint64_t
in_seconds(double s)
{
	return net_now_ns() + (uint64_t)(s * 1e9);
}

/* A line came, or the input ended. */
static bool
told(void)
{
	char bytes[256];
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	if (poll(&p, 1, 0) <= 0)
		return false;
	ssize_t taken = read(STDIN_FILENO, bytes, sizeof bytes);
	(void)taken; /* that something came says it all */
	return true;
}

static void
run_until_told(struct load *l)
{
	while (!told())
		load_run(l, in_seconds(0.01));
}

/* Where nobody may watch all is timed, and what the machine did is in it. */
static void
sift(struct load *l, struct witness *w)
{
	struct standstill *seen;
	size_t count = witness_end(w, &seen);
	count = standstills_settle(seen, count);
	load_sift(l, seen, count);
	free(seen);
}

static void
measure(struct load *l)
{
	const struct load_options *o = l->options;
	struct load_reading none = {0};
	load_run(l, in_seconds(o->warmup));
	uint64_t opening_errors = l->counts.errors;
	if (o->beside) {
		load_report(l, "ready", 0, &none);
		run_until_told(l);
	}
	load_reset_counts(l);
	l->counts.errors = opening_errors;
	struct witness *w = o->witness ? witness_start(load_turn, o) : NULL;
	if (o->witness && !w)
		fputs("lethe-load: nobody sees whether the machine stands still: that wants real-time priority\n", stderr);
	struct load_reading before = load_read_cpu(o, NULL);
	uint64_t begin_ns = net_now_ns();
	load_run(l, in_seconds(o->seconds));
	struct load_reading spent = load_since(&before, load_read_cpu(o, NULL));
	double seconds = (double)(net_now_ns() - begin_ns) / 1e9;
	if (o->witness)
		sift(l, w);
	load_report(l, "end", seconds, &spent);
	if (o->beside)
		run_until_told(l); /* others may count still: what they share a processor with must not change */
}

static void
hold(struct load *l)
{
	struct load_reading none = {0};
	load_report(l, "held", 0, &none);
	run_until_told(l);
	load_report(l, "end", 0, &none);
}

static int
print(const struct load_options *o)
{
	char *bytes;
	size_t len;
	load_build_request(o, &bytes, &len);
	bool good = fwrite(bytes, 1, len, stdout) == len && fflush(stdout) == 0;
	free(bytes);
	return !good;
}

/*
 * Who is halted is woken by an interrupt, on a virtual machine by way of its host, which takes longer than a proxy takes for a request, and sometimes ten times as
 * long. Asks the kernel for no latency at all (its Documentation/power/pm_qos_interface.rst), until this process ends. Where it may not, all that is measured here is
 * late alike.
 */
static void
keep_awake(void)
{
	const int32_t latency_us = 0;
	int fd = open("/dev/cpu_dma_latency", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, &latency_us, sizeof latency_us) != sizeof latency_us)
		perror("lethe-load: the processors are not kept awake: /dev/cpu_dma_latency");
}

int
main(int argc, char **argv)
{
	static struct load l;
	struct load_options o = load_options_parse(argc, argv);
	if (o.print)
		return print(&o);
	net_raise_descriptor_limit();
	prctl(PR_SET_TIMERSLACK, 1ul);
	if (o.awake)
		keep_awake();
	if (o.tls)
		o.client = link_client_of(o.ca_file);
	if (o.processes > 1)
		return load_many(&o);
	load_init(&l, &o);
	load_open_all(&l);
	if (o.mode == LOAD_HOLD)
		hold(&l);
	else
		measure(&l);
	load_finish(&l);
	return 0;
}
