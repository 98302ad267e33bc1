#include "load.h"

#include <stdio.h>
#include <stdlib.h>

static _Noreturn void
is_gone(const char *what)
{
	fprintf(stderr, "lethe-load: a process of %s is gone\n", what);
	exit(1);
}

struct load_reading
load_read_cpu(const struct load_options *o, const struct cpu_group *self)
{
	struct load_reading r = {.self_ns = cpu_self_read()};
	if (self && !cpu_group_read(self, &r.self_ns))
		is_gone("its own");
	if (!cpu_machine_read(&r.machine_ns)) {
		fputs("lethe-load: /proc/stat is not readable\n", stderr);
		exit(1);
	}
	for (size_t i = 0; i < o->cpus; i++)
		if (!cpu_group_read(&o->cpu[i], &r.group_ns[i]))
			is_gone(o->cpu[i].label);
	return r;
}

struct load_reading
load_since(const struct load_reading *from, struct load_reading to)
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

void
load_report(const struct load *l, const char *event, double seconds, const struct load_reading *cpu)
{
	const struct load_options *o = l->options;
	printf("{\"event\":\"%s\",\"seconds\":%.6f,\"streaming\":%u,\"alive\":%u", event, seconds, l->streaming, l->alive);
	printf(",\"resumed_now\":%u", load_resumed_now(l) + l->resumed_now);
#define X(name) printf(",\"" #name "\":%llu", (unsigned long long)l->counts.name);
	LOAD_COUNTERS(X)
#undef X
	printf(",\"timed\":%llu", (unsigned long long)l->latency.count);
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
