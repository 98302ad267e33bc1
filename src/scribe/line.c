#include "scribe/line.h"

#include "ticket/events.h"
#include "ticket/house_accounts.h"
#include "ticket/ids.h"

struct event_row {
	const char *name, *sentence;
	enum severity severity;
};

static const struct event_row events[EVENT_COUNT] = {
#define X(name, severity, text) [EVENT_##name] = {#name, text, SEVERITY_##severity},
	EVENTS(X)
#undef X
};

static const char *const roles[] = {
	[END_OF_NOBODY] = "?",
	[END_OF_SUPERVISOR] = "supervisor",
	[END_OF_EDGE] = "edge",
	[END_OF_DIALER] = "dialer",
	[END_OF_LEDGER] = "ledger",
	[END_OF_SCRIBE] = "scribe",
	[END_OF_ANY] = "?",
	[END_OF_SIGNER] = "signer",
};

static const char *const houses[HOUSE_COUNT] = {
#define X(NAME, id, word, meaning) [HOUSE_##NAME] = word,
	HOUSE_ACCOUNTS(X)
#undef X
};

const char *
line_role(enum message_end role)
{
	return role < ARRAY_LEN(roles) ? roles[role] : "?";
}

const char *
line_event(uint32_t event)
{
	return event < EVENT_COUNT ? events[event].name : NULL;
}

enum severity
line_severity(uint32_t event)
{
	return event < EVENT_COUNT ? events[event].severity : SEVERITY_ALARM;
}

const char *
line_house(uint64_t account)
{
	return account > HOUSE_NONE && account < HOUSE_COUNT ? houses[account] : "?";
}

/* With leading zeros: every part of a time has its width. */
static void
digits(struct text *t, uint64_t v, unsigned width)
{
	char out[20];
	for (unsigned i = width; i-- > 0; v /= 10)
		out[i] = (char)('0' + v % 10);
	text_add(t, out, width);
}

struct civil {
	uint64_t year, month, day;
};

/*
 * Days since 1970 → date: years begin in March, so that the leap day is the last (Neri, Schneider, "Euclidean
 * affine functions"; here the plain form).
 */
static struct civil
civil_of(uint64_t days)
{
	uint64_t z = days + 719468, era = z / 146097, doe = z % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
	uint64_t month = mp < 10 ? mp + 3 : mp - 9;
	return (struct civil){yoe + era * 400 + (month <= 2), month, doy - (153 * mp + 2) / 5 + 1};
}

static void
write_time(struct text *t, uint64_t wall_us)
{
	uint64_t s = wall_us / 1000000;
	struct civil c = civil_of(s / 86400);
	digits(t, c.year, 4);
	text_lit(t, "-");
	digits(t, c.month, 2);
	text_lit(t, "-");
	digits(t, c.day, 2);
	text_lit(t, "T");
	digits(t, s / 3600 % 24, 2);
	text_lit(t, ":");
	digits(t, s / 60 % 60, 2);
	text_lit(t, ":");
	digits(t, s % 60, 2);
	text_lit(t, ".");
	digits(t, wall_us / 1000 % 1000, 3);
	text_lit(t, "Z");
}

static void
write_begin(struct text *t, uint64_t wall_us, const char *severity, enum message_end role, uint16_t instance)
{
	text_lit(t, "{\"time\":\"");
	write_time(t, wall_us);
	text_lit(t, "\",\"severity\":\"");
	text_str(t, severity);
	text_lit(t, "\",\"role\":\"");
	text_str(t, line_role(role));
	text_lit(t, "\",\"instance\":");
	text_u64(t, instance);
}

/* ---- sentences ---- */

static void
write_role(struct text *t, uint64_t number, const struct catalogue *c)
{
	text_str(t, line_role(number < END_COUNT ? (enum message_end)number : END_OF_ANY));
}

static void
write_provider(struct text *t, uint64_t number, const struct catalogue *c)
{
	for (uint32_t i = 0; c && i < c->provider_count; i++) {
		const struct catalogue_provider *p = catalogue_provider(c, i);
		if (p->id != number)
			continue;
		text_json(t, (struct span){p->name, strlen(p->name)});
		return;
	}
	text_u64(t, number);
}

static void
write_house(struct text *t, uint64_t number, const struct catalogue *c)
{
	text_str(t, line_house(number));
}

static void
write_reason(struct text *t, uint64_t number, const struct catalogue *c)
{
	static const char *const reasons[] = {"none", "its name is unknown", "refused", "no answer", "too many connections"};
	_Static_assert(ARRAY_LEN(reasons) == CONNECT_LIMIT + 1, "one for each connect_result");
	text_str(t, number < ARRAY_LEN(reasons) ? reasons[number] : "?");
}

static void
write_key(struct text *t, uint64_t number, const struct catalogue *c)
{
	char id[ID_TEXT_MAX];
	id_text(ID_KEY, number, id);
	text_str(t, id);
}

/* Behind these words a number is written as the name that it stands for. */
static const struct {
	struct span word;
	void (*write)(struct text *t, uint64_t number, const struct catalogue *c);
} names[] = {
	{{"role ", 5}, write_role},
	{{"provider ", 9}, write_provider},
	{{"account ", 8}, write_house},
	{{"reason: ", 8}, write_reason},
	{{"key ", 4}, write_key},
};

static void
write_number(struct text *t, struct span before, uint64_t number, const struct catalogue *c)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct span w = names[i].word;
		if (before.len >= w.len && memcmp(before.at + before.len - w.len, w.at, w.len) == 0) {
			names[i].write(t, number, c);
			return;
		}
	}
	text_u64(t, number);
}

/* {0} … {3} are the numbers. */
static void
write_sentence(struct text *t, const char *sentence, const uint64_t numbers[4], const struct catalogue *c)
{
	const char *from = sentence;
	for (const char *at; (at = strchr(from, '{')) != NULL; from = at + 3) {
		text_add(t, from, (size_t)(at - from));
		write_number(t, (struct span){sentence, (size_t)(at - sentence)}, numbers[(at[1] - '0') & 3], c);
	}
	text_str(t, from);
}

bool
line_event_write(struct text *t, uint64_t wall_us, const struct message_event *m, const struct catalogue *c)
{
	if (m->event == EVENT_NONE || m->event >= EVENT_COUNT)
		return false;
	write_begin(t, wall_us, severity_word(events[m->event].severity), (enum message_end)m->role, m->instance);
	text_lit(t, ",\"event\":\"");
	text_str(t, events[m->event].name);
	text_lit(t, "\",\"numbers\":[");
	for (int i = 0; i < 4; i++) {
		if (i > 0)
			text_lit(t, ",");
		text_u64(t, m->numbers[i]);
	}
	text_lit(t, "],\"text\":\"");
	write_sentence(t, events[m->event].sentence, m->numbers, c);
	text_lit(t, "\"}\n");
	return true;
}

void
line_text_write(struct text *t, uint64_t wall_us, enum message_end role, uint16_t instance, struct span said)
{
	size_t len = said.len < LINE_TEXT_MAX ? said.len : LINE_TEXT_MAX;
	write_begin(t, wall_us, "warn", role, instance);
	text_lit(t, ",\"event\":\"STDERR\",\"text\":\"");
	for (size_t i = 0; i < len; i++) /* bytes that may not be UTF-8 would make the line no JSON */
		text_json(t, (unsigned char)said.at[i] < 0x7f ? (struct span){said.at + i, 1} : SPAN("?"));
	if (len < said.len)
		text_lit(t, "...");
	text_lit(t, "\"}\n");
}
