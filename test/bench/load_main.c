#include "load.h"

#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char USAGE[] =
	"usage: lethe-load requests|streams|hold --connect ADDRESS [options]\n"
	"\n"
	"  requests  --connections N requests at a time, the next when one is answered; with --rate R per second\n"
	"            instead, latency counted from when a request was due\n"
	"  streams   --connections N streams of --rate R chunks a second, time from the simulator's write to here\n"
	"  hold      opens --connections N streams of a chunk per --gap-ms, says so, and holds them until its input ends\n"
	"\n"
	"  --connect 127.0.0.1:8080   --path /v1/chat/completions   --model NAME   --body-bytes N\n"
	"  --header 'name: value'     up to 16 times\n"
	"  --sim 'key=value,...'      more for the x-sim header\n"
	"  --max-tokens N             256 for requests, unsaid for streams\n"
	"  --tls --ca FILE            TLS, to who has a certificate of that authority for --host localhost\n"
	"  --handshakes full|resumed  requests: each over a connection of its own, latency counted from its beginning.\n"
	"                             Without it they go over kept connections that resumed a session\n"
	"  --warmup S --seconds S     what is counted begins after the warm-up\n"
	"  --opens N                  streams opened per second\n"
	"  --cpu label=PID,PID,...    report these processes' CPU time, up to 8 times\n"
	"\n"
	"Prints JSON, one object per line; the last has \"event\":\"end\".\n";

static _Noreturn void
misuse(const char *why)
{
	fprintf(stderr, "lethe-load: %s\n%s", why, USAGE);
	exit(2);
}

static unsigned
whole(const char *text)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);
	if (!*text || *end || v > 1000000000)
		misuse("a number is malformed");
	return (unsigned)v;
}

static double
fraction(const char *text)
{
	char *end;
	double v = strtod(text, &end);
	if (!*text || *end || v < 0 || v > 100000)
		misuse("a time is malformed");
	return v;
}

static void
add_header(struct load_options *o, const char *text)
{
	if (o->headers == ARRAY_LEN(o->header) || !strchr(text, ':'))
		misuse("--header wants 'name: value', at most 16 times");
	o->header[o->headers++] = text;
}

static void
add_cpu(struct load_options *o, char *text)
{
	if (o->cpus == CPU_GROUPS_MAX || !cpu_group_parse(text, &o->cpu[o->cpus]))
		misuse("--cpu wants label=PID,PID,..., at most 8 times");
	o->cpus++;
}

static enum load_handshakes
handshakes_of(const char *word)
{
	if (strcmp(word, "full") != 0 && strcmp(word, "resumed") != 0)
		misuse("--handshakes wants full or resumed");
	return *word == 'f' ? LOAD_FULL : LOAD_RESUMED;
}

static void
set_tls(struct load_options *o, int c, char *value)
{
	switch (c) {
	case 'T':
		o->tls = true;
		break;
	case 'A':
		o->ca_file = value;
		break;
	case 'h':
		o->host = value;
		break;
	case 'k':
		o->handshakes = handshakes_of(value);
		break;
	default:
		misuse("an option is not known");
	}
}

static void
set(struct load_options *o, int c, char *value)
{
	switch (c) {
	case 'a':
		if (!net_address_parse(value, &o->to))
			misuse("--connect wants a numeric address with a port");
		break;
	case 'n':
		o->connections = whole(value);
		break;
	case 'r':
		o->rate = whole(value);
		break;
	case 'g':
		o->gap_ms = whole(value);
		break;
	case 'o':
		o->opens = whole(value);
		break;
	case 'b':
		o->body_bytes = whole(value);
		break;
	case 'w':
		o->warmup = fraction(value);
		break;
	case 's':
		o->seconds = fraction(value);
		break;
	case 'p':
		o->path = value;
		break;
	case 'm':
		o->model = value;
		break;
	case 'x':
		o->sim = value;
		break;
	case 't':
		o->max_tokens = (int)whole(value);
		break;
	case 'H':
		add_header(o, value);
		break;
	case 'c':
		add_cpu(o, value);
		break;
	default:
		set_tls(o, c, value);
	}
}

static enum load_mode
mode_of(const char *word)
{
	if (word && strcmp(word, "requests") == 0)
		return LOAD_REQUESTS;
	if (word && strcmp(word, "streams") == 0)
		return LOAD_STREAMS;
	if (!word || strcmp(word, "hold") != 0)
		misuse("say requests, streams or hold first");
	return LOAD_HOLD;
}

static void
check(const struct load_options *o, bool all_read)
{
	if (!o->to.len || !o->connections || !all_read || !o->opens || (o->mode == LOAD_STREAMS && !o->rate))
		misuse("--connect, --connections and, for streams, --rate are needed");
	if (o->tls != (o->ca_file != NULL))
		misuse("--tls and --ca go together");
	if (o->handshakes != LOAD_KEPT && (!o->tls || o->mode != LOAD_REQUESTS || o->rate))
		misuse("--handshakes is for requests by TLS without --rate");
}

static struct load_options
parse(int argc, char **argv)
{
	static const struct option LONG[] = {
		{"connect", 1, NULL, 'a'},
		{"connections", 1, NULL, 'n'},
		{"rate", 1, NULL, 'r'},
		{"gap-ms", 1, NULL, 'g'},
		{"opens", 1, NULL, 'o'},
		{"body-bytes", 1, NULL, 'b'},
		{"warmup", 1, NULL, 'w'},
		{"seconds", 1, NULL, 's'},
		{"path", 1, NULL, 'p'},
		{"model", 1, NULL, 'm'},
		{"sim", 1, NULL, 'x'},
		{"max-tokens", 1, NULL, 't'},
		{"header", 1, NULL, 'H'},
		{"cpu", 1, NULL, 'c'},
		{"tls", 0, NULL, 'T'},
		{"ca", 1, NULL, 'A'},
		{"host", 1, NULL, 'h'},
		{"handshakes", 1, NULL, 'k'},
		{0},
	};
	struct load_options o = {
		.connections = 64,
		.gap_ms = 4000,
		.opens = 1987,
		.body_bytes = 1024,
		.warmup = 0.5,
		.seconds = 2,
		.path = "/v1/chat/completions",
		.model = "gpt-sim",
		.sim = "",
		.host = "localhost",
	};
	o.mode = mode_of(argv[1]);
	o.max_tokens = o.mode == LOAD_REQUESTS ? 256 : -1;
	optind = 2;
	for (int c; (c = getopt_long(argc, argv, "", LONG, NULL)) != -1;)
		set(&o, c, optarg);
	check(&o, optind == argc);
	return o;
}

/* ---- phases ---- */

static uint64_t
in_seconds(double s)
{
	return net_now_ns() + (uint64_t)(s * 1e9);
}

static bool
all_settled(const struct load *l)
{
	return l->opened == l->options->connections && l->streaming + l->counts.errors >= l->opened;
}

/*
 * One at a time, evenly: streams that begin together write together, for as long as they live.
 * The default of 1,987 a second is prime so that beginnings spread over the period of every round
 * rate. Waits until all stream, for at most 20 s longer.
 */
static void
open_streams(struct load *l)
{
	uint64_t begin_ns = net_now_ns(), step_ns = 1000000000u / l->options->opens;
	uint64_t give_up_ns = begin_ns + l->options->connections * step_ns + UINT64_C(20000000000);
	while (!all_settled(l) && net_now_ns() < give_up_ns) {
		uint64_t next_ns = begin_ns + l->opened * step_ns;
		if (l->opened < l->options->connections && next_ns <= net_now_ns())
			load_open(l, 1);
		else
			load_run(l, l->opened < l->options->connections ? next_ns : in_seconds(0.01));
	}
}

/* CPU time of every group, of the machine and of this process. */
struct reading {
	uint64_t group_ns[CPU_GROUPS_MAX], machine_ns, self_ns;
};

static struct reading
read_cpu(const struct load_options *o)
{
	struct reading r = {.self_ns = cpu_self_read()};
	if (!cpu_machine_read(&r.machine_ns)) {
		fputs("lethe-load: /proc/stat is not readable\n", stderr);
		exit(1);
	}
	for (size_t i = 0; i < o->cpus; i++)
		if (!cpu_group_read(&o->cpu[i], &r.group_ns[i])) {
			fprintf(stderr, "lethe-load: a process of %s is gone\n", o->cpu[i].label);
			exit(1);
		}
	return r;
}

static struct reading
since(const struct reading *from, struct reading to)
{
	for (size_t i = 0; i < CPU_GROUPS_MAX; i++)
		to.group_ns[i] -= from->group_ns[i];
	to.machine_ns -= from->machine_ns;
	to.self_ns -= from->self_ns;
	return to;
}

static void
print_text(const char *name, const char *text)
{
	printf(",\"%s\":\"", name);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else
			putchar((unsigned char)*text < 0x20 ? ' ' : *text);
	}
	putchar('"');
}

static void
report(const struct load *l, const char *event, double seconds, const struct reading *cpu)
{
	const struct load_options *o = l->options;
	printf("{\"event\":\"%s\",\"seconds\":%.6f,\"streaming\":%u,\"alive\":%u", event, seconds, l->streaming, l->alive);
	printf(",\"resumed_now\":%u", load_resumed_now(l));
#define X(name) printf(",\"" #name "\":%llu", (unsigned long long)l->counts.name);
	LOAD_COUNTERS(X)
#undef X
	printf(",\"p50_us\":%.1f,\"p99_us\":%.1f", (double)histogram_percentile(&l->latency, 0.5) / 1e3,
		(double)histogram_percentile(&l->latency, 0.99) / 1e3);
	printf(",\"machine_ns\":%llu", (unsigned long long)cpu->machine_ns);
	printf(",\"self_ns\":%llu,\"cpu_ns\":{", (unsigned long long)cpu->self_ns);
	for (size_t i = 0; i < o->cpus; i++)
		printf("%s\"%s\":%llu", i ? "," : "", o->cpu[i].label, (unsigned long long)cpu->group_ns[i]);
	printf("}");
	print_text("first_error", l->first_error);
	printf("}\n");
	fflush(stdout);
}

static void
measure(struct load *l)
{
	load_run(l, in_seconds(l->options->warmup));
	uint64_t opening_errors = l->counts.errors;
	load_reset_counts(l);
	l->counts.errors = opening_errors;
	struct reading before = read_cpu(l->options);
	uint64_t begin_ns = net_now_ns();
	load_run(l, in_seconds(l->options->seconds));
	struct reading spent = since(&before, read_cpu(l->options));
	report(l, "end", (double)(net_now_ns() - begin_ns) / 1e9, &spent);
}

static bool
input_ended(void)
{
	char bytes[256];
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	return poll(&p, 1, 0) > 0 && read(STDIN_FILENO, bytes, sizeof bytes) <= 0;
}

static void
hold(struct load *l)
{
	struct reading none = {0};
	report(l, "held", 0, &none);
	while (!input_ended())
		load_run(l, in_seconds(0.05));
	report(l, "end", 0, &none);
}

int
main(int argc, char **argv)
{
	static struct load l;
	struct load_options o = parse(argc, argv);
	net_raise_descriptor_limit();
	prctl(PR_SET_TIMERSLACK, 1ul);
	if (o.tls)
		o.client = link_client_of(o.ca_file);
	load_init(&l, &o);
	if (o.mode == LOAD_REQUESTS)
		load_open(&l, o.connections);
	else
		open_streams(&l);
	if (o.mode == LOAD_HOLD)
		hold(&l);
	else
		measure(&l);
	load_finish(&l);
	return 0;
}
