#include "dialect/echo.h"

#include "core/json_scan.h"

#include <string.h>

bool
echo_learn(struct echo *ret, struct span event, const struct echo_hole *holes, size_t count)
{
	size_t inside = 0, from = 0, len = 0;
	if (count > ECHO_HOLES_MAX || event.len > ECHO_EVENT_MAX)
		return false;
	for (size_t i = 0; i < count; i++)
		inside += (size_t)(holes[i].to - holes[i].from);
	if (event.len - inside > ECHO_TEXT_MAX)
		return false;
	for (size_t i = 0; i < count; i++) {
		memcpy(ret->text + len, event.at + from, holes[i].from - from);
		len += holes[i].from - from;
		from = holes[i].to;
		ret->at[i] = (uint16_t)len;
	}
	memcpy(ret->text + len, event.at + from, event.len - from);
	ret->len = (uint16_t)(len + event.len - from);
	ret->hole_count = (uint8_t)count;
	return true;
}

size_t
echo_match(const struct echo *e, struct span in, struct span *ret_insides)
{
	const char *p = in.at, *end = in.at + in.len;
	size_t done = 0;
	for (size_t i = 0;; i++) {
		size_t part = (i < e->hole_count ? e->at[i] : e->len) - done;
		if ((size_t)(end - p) < part || memcmp(p, e->text + done, part) != 0)
			return 0;
		p += part;
		done += part;
		if (i == e->hole_count)
			return (size_t)(p - in.at);
		const char *stop = json_string_end(p, end);
		if (!stop)
			return 0;
		ret_insides[i] = (struct span){p, (size_t)(stop - p)};
		p = stop;
	}
}
