#include "load.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char USAGE[] =
	"usage: lethe-load requests|streams|hold --connect ADDRESS [options]\n"
	"\n"
	"  requests  --connections N requests at a time, the next when one is answered; with --rate R per second\n"
	"            instead, each due somewhere in its own step, latency counted from then\n"
	"  streams   --connections N streams of --rate R chunks a second, or of one per --gap-ms, time from the simulator's\n"
	"            write to here\n"
	"  hold      opens --connections N streams of a chunk per --gap-ms, says so, and holds them until its input ends\n"
	"\n"
	"  --connect 127.0.0.1:8080   up to 16 times: each process has one of them\n"
	"  --path /v1/chat/completions   --model NAME   --body-bytes N\n"
	"  --header 'name: value'     up to 16 times\n"
	"  --sim 'key=value,...'      more for the x-sim header\n"
	"  --max-tokens N             256 for requests, unsaid for streams\n"
	"  --tls --ca FILE            TLS, to who has a certificate of that authority for --host localhost\n"
	"  --handshakes full|resumed  requests: each over a connection of its own, latency counted from its beginning.\n"
	"                             Without it they go over kept connections that resumed a session\n"
	"  --once                     requests in clear text: each over a connection of its own\n"
	"  --stream                   requests: their answers are streams, counted when they have ended\n"
	"  --first-byte               requests: latency counted until the first byte of the answer's body\n"
	"  --keys FILE                credentials of one length, one a line, that requests take turns with; one --header\n"
	"                             has the first\n"
	"  --processes N              share the connections between that many processes, up to 16\n"
	"  --print                    print the request and end\n"
	"  --awake                    processors that have nothing to do wait without being halted, while this runs (root)\n"
	"  --beside                   requests, streams: others are measured at the same time. Says that it is ready, counts after a\n"
	"                             line of input, and goes on as before until another one, or the input's end\n"
	"  --slice K/N                requests: of every N slices of 250 ms only the K-th, from 0, sends any, so that N load\n"
	"                             generators take turns; delays are counted from 50 ms after its beginning\n"
	"  --witness                  with --rate: a thread of real-time priority on each processor (root) sees when the machine itself\n"
	"                             stands still; what is due then is answered, counted as disturbed, and not timed\n"
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

/* To the end of the process. */
static struct load_keys
read_keys(const char *path)
{
	struct load_keys k = {0};
	char *line = NULL;
	size_t cap = 0;
	FILE *f = fopen(path, "r");
	if (!f)
		misuse("--keys wants a file that can be read");
	for (ssize_t n; (n = getline(&line, &cap, f)) > 0;) {
		n -= line[n - 1] == '\n';
		line[n] = 0;
		k.len = k.count ? k.len : (size_t)n;
		if (!n || (size_t)n != k.len)
			misuse("--keys wants lines of one length");
		k.key = reallocarray(k.key, k.count + 1, sizeof *k.key);
		if (!k.key || !(k.key[k.count++] = strdup(line)))
			abort();
	}
	free(line);
	fclose(f);
	if (!k.count)
		misuse("--keys wants at least one line");
	return k;
}

static void
add_address(struct load_options *o, const char *text)
{
	if (o->tos == ARRAY_LEN(o->to) || !net_address_parse(text, &o->to[o->tos++]))
		misuse("--connect wants a numeric address with a port, at most 16 times");
}

static void
set_slice(struct load_options *o, const char *text)
{
	char end;
	if (sscanf(text, "%u/%u%c", &o->slice, &o->slices, &end) != 2 || o->slices > LOAD_SLICES_MAX || o->slice >= o->slices)
		misuse("--slice wants K/N, K from 0 and less than N, N at most 16");
}

static void
set_kind(struct load_options *o, int c, char *value)
{
	switch (c) {
	case '1':
		o->once = true;
		break;
	case 'S':
		o->stream = true;
		break;
	case 'F':
		o->first_byte = true;
		break;
	case 'W':
		o->awake = true;
		break;
	case 'B':
		o->beside = true;
		break;
	case 'K':
		o->keys = read_keys(value);
		break;
	case 'P':
		o->processes = whole(value);
		break;
	case 'R':
		o->print = true;
		break;
	case 'I':
		set_slice(o, value);
		break;
	case 'Y':
		o->witness = true;
		break;
	default:
		misuse("an option is not known");
	}
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
		set_kind(o, c, value);
	}
}

static void
set(struct load_options *o, int c, char *value)
{
	switch (c) {
	case 'a':
		add_address(o, value);
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
check_kind(const struct load_options *o)
{
	bool requests = o->mode == LOAD_REQUESTS;
	if (o->handshakes != LOAD_KEPT && (!o->tls || !requests || o->rate))
		misuse("--handshakes is for requests by TLS without --rate");
	if ((o->once || o->stream || o->first_byte) && !requests)
		misuse("--once, --stream and --first-byte are for requests");
	if (o->slices && !requests)
		misuse("--slice is for requests");
	if (o->witness && (!requests || !o->rate || o->processes > 1))
		misuse("--witness is for requests with --rate, in one process");
	if (o->once && (o->tls || o->rate))
		misuse("--once is for clear text without --rate");
}

static void
check_processes(const struct load_options *o)
{
	unsigned most = o->mode == LOAD_HOLD ? 1 : o->connections < LOAD_PROCESSES_MAX ? o->connections
																				   : LOAD_PROCESSES_MAX;
	if (!o->processes || o->processes > most)
		misuse("--processes wants 1 to 16, not more than --connections, and does not go with hold");
	if (o->beside && (o->processes > 1 || o->mode == LOAD_HOLD))
		misuse("--beside goes with neither --processes nor hold");
}

static void
check(const struct load_options *o, bool all_read)
{
	if (!o->tos || !o->connections || !all_read || !o->opens || (o->mode == LOAD_STREAMS && !o->rate == !o->gap_ms))
		misuse("--connect, --connections and, for streams, either --rate or --gap-ms are needed");
	if (o->tls != (o->ca_file != NULL))
		misuse("--tls and --ca go together");
	check_kind(o);
	check_processes(o);
}

struct load_options
load_options_parse(int argc, char **argv)
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
		{"once", 0, NULL, '1'},
		{"stream", 0, NULL, 'S'},
		{"first-byte", 0, NULL, 'F'},
		{"awake", 0, NULL, 'W'},
		{"beside", 0, NULL, 'B'},
		{"keys", 1, NULL, 'K'},
		{"processes", 1, NULL, 'P'},
		{"print", 0, NULL, 'R'},
		{"slice", 1, NULL, 'I'},
		{"witness", 0, NULL, 'Y'},
		{0},
	};
	struct load_options o = {
		.connections = 64,
		.processes = 1,
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
	o.gap_ms = o.mode == LOAD_HOLD ? 4000 : 0;
	optind = 2;
	for (int c; (c = getopt_long(argc, argv, "", LONG, NULL)) != -1;)
		set(&o, c, optarg);
	check(&o, optind == argc);
	return o;
}
