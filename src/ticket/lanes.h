/*
 * How a request is delivered, by the number that its ticket bears. The number stands in tickets: rows are only added.
 *
 * X(NAME, number, word in usage, metrics and logs)
 */
#ifndef TICKET_LANES_H
#define TICKET_LANES_H

#define LANES(X) X(DIRECT, 0, "direct")

enum lane {
#define X(NAME, number, word) LANE_##NAME = number,
	LANES(X)
#undef X
		LANE_COUNT
};

#endif
