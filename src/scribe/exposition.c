#include "scribe/exposition.h"

static const char *const types[] = {
	[METRIC_COUNTER] = "counter",
	[METRIC_GAUGE] = "gauge",
	[METRIC_HISTOGRAM] = "histogram",
	[METRIC_INFO] = "gauge",
};

/* OpenMetrics names a family without what its samples' names end with. */
static void
write_family_name(struct exposition *x, enum metric_type type)
{
	size_t len = strlen(x->name);
	if (x->openmetrics && type == METRIC_COUNTER)
		len -= strlen("_total");
	if (x->openmetrics && type == METRIC_INFO)
		len -= strlen("_info");
	text_add(&x->text, x->name, len);
}

void
expose_family(struct exposition *x, const char *name, enum metric_type type, const char *help)
{
	x->name = name;
	text_lit(&x->text, "# HELP ");
	write_family_name(x, type);
	text_lit(&x->text, " ");
	text_str(&x->text, help);
	text_lit(&x->text, "\n# TYPE ");
	write_family_name(x, type);
	text_lit(&x->text, " ");
	text_str(&x->text, x->openmetrics && type == METRIC_INFO ? "info" : types[type]);
	text_lit(&x->text, "\n");
}

void
expose_begin(struct exposition *x, const char *suffix)
{
	text_str(&x->text, x->name);
	text_str(&x->text, suffix);
	x->labelled = false;
}

static void
begin_label(struct exposition *x, const char *name)
{
	text_str(&x->text, x->labelled ? "," : "{");
	text_str(&x->text, name);
	text_lit(&x->text, "=\"");
	x->labelled = true;
}

void
expose_label(struct exposition *x, const char *name, const char *value)
{
	begin_label(x, name);
	for (; *value; value++) {
		if (*value == '\n')
			text_lit(&x->text, "\\n");
		else if (*value == '"' || *value == '\\')
			text_add(&x->text, (const char[]){'\\', *value}, 2);
		else
			text_add(&x->text, value, 1);
	}
	text_lit(&x->text, "\"");
}

void
expose_label_number(struct exposition *x, const char *name, uint64_t value)
{
	begin_label(x, name);
	text_u64(&x->text, value);
	text_lit(&x->text, "\"");
}

static void
begin_value(struct exposition *x)
{
	text_str(&x->text, x->labelled ? "} " : " ");
}

static uint64_t
power(unsigned places)
{
	uint64_t ten = 1;
	while (places-- > 0)
		ten *= 10;
	return ten;
}

static void
write_decimal(struct text *t, uint64_t value, unsigned places)
{
	uint64_t ten = power(places), rest = value % ten;
	text_u64(t, value / ten);
	if (rest == 0)
		return;
	text_lit(t, ".");
	for (ten /= 10; rest > 0; rest %= ten, ten /= 10)
		text_u64(t, rest / ten);
}

void
expose_u64(struct exposition *x, uint64_t value)
{
	begin_value(x);
	text_u64(&x->text, value);
	text_lit(&x->text, "\n");
}

void
expose_decimal(struct exposition *x, int64_t value, unsigned places)
{
	begin_value(x);
	if (value < 0)
		text_lit(&x->text, "-");
	write_decimal(&x->text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, places);
	text_lit(&x->text, "\n");
}

void
expose_bound(struct exposition *x, uint64_t bound, unsigned places)
{
	begin_label(x, "le");
	write_decimal(&x->text, bound, places);
	/* OpenMetrics wants bounds to look like floats. */
	if (x->openmetrics && bound % power(places) == 0)
		text_lit(&x->text, ".0");
	text_lit(&x->text, "\"");
}

void
expose_bound_infinite(struct exposition *x)
{
	expose_label(x, "le", "+Inf");
}

void
expose_end(struct exposition *x)
{
	if (x->openmetrics)
		text_lit(&x->text, "# EOF\n");
}
