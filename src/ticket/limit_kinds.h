/*
 * What a key or an account can be limited in. Numbers stand in the store for ever: rows are only added.
 *
 * X(NAME, number, member of requests and answers (option: with dashes), unit, window, meaning)
 */
#ifndef TICKET_LIMIT_KINDS_H
#define TICKET_LIMIT_KINDS_H

#define LIMIT_KINDS(X) \
	X(REQUESTS_MINUTE, 1, "requests_per_minute", COUNT, NONE, "requests a minute") \
	X(INPUT_MINUTE, 2, "input_tokens_per_minute", COUNT, NONE, "input tokens a minute") \
	X(OUTPUT_MINUTE, 3, "output_tokens_per_minute", COUNT, NONE, "output tokens a minute") \
	X(STREAMS, 4, "streams", COUNT, NONE, "requests at the same time") \
	X(REQUESTS_DAY, 5, "requests_per_day", COUNT, DAY, "requests a day") \
	X(MONEY_MINUTE, 6, "dollars_per_minute", MONEY, MINUTE, "dollars a minute") \
	X(MONEY_HOUR, 7, "dollars_per_hour", MONEY, HOUR, "dollars an hour") \
	X(MONEY_DAY, 8, "dollars_per_day", MONEY, DAY, "dollars a day") \
	X(MONEY_WEEK, 9, "dollars_per_week", MONEY, WEEK, "dollars a week") \
	X(MONEY_MONTH, 10, "dollars_per_month", MONEY, MONTH, "dollars a month")

enum limit_kind {
#define X(NAME, number, member, unit, window, meaning) LIMIT_##NAME = number,
	LIMIT_KINDS(X)
#undef X
		LIMIT_KIND_COUNT
};

enum {
	LIMIT_RATES = 3, /* kinds 1 to 3 are rates */
	LIMIT_MONEY_FIRST = LIMIT_MONEY_MINUTE,
};

#endif
