/*
 * How much an event or an exchange's end matters, in rising order. Any process.
 *
 * X(NAME, word, whose it is)
 */
#ifndef TICKET_SEVERITIES_H
#define TICKET_SEVERITIES_H

#define SEVERITIES(X) \
	X(INFO, "info", "somebody's wish") \
	X(NOTE, "note", "the caller's fault") \
	X(WARN, "warn", "the provider's") \
	X(ALARM, "alarm", "ours: for a person")

enum severity {
#define X(NAME, word, whose) SEVERITY_##NAME,
	SEVERITIES(X)
#undef X
		SEVERITY_COUNT
};

static inline const char *
severity_word(enum severity s)
{
	static const char *const words[] = {
#define X(NAME, word, whose) word,
		SEVERITIES(X)
#undef X
	};
	return words[s];
}

#endif
