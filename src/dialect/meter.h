/*
 * The meter: reads along while an answer passes, and says what it consumed. One for every endpoint; run by the edge.
 *
 * Pure and resumable at any byte; no allocation: the caller embeds the struct in vault memory. How each provider language counts stands at
 * the head of its file: chat_meter.c, responses_meter.c, messages_meter.c, gemini_meter.c.
 */
#ifndef DIALECT_METER_H
#define DIALECT_METER_H

#include "core/base.h"
#include "ticket/endpoints.h"
#include "ticket/usage.h"

enum answer { /* what kind of answer the meter has seen; only grows */
	ANSWER_NOTHING,
	ANSWER_STARTED, /* at least one event or a JSON object began */
	ANSWER_CONTENT, /* text, a tool call, a refusal or reasoning came */
	ANSWER_ERROR, /* an error in a 200 answer or in the stream; stays, whatever follows: `finished` tells the end then */
	ANSWER_FINISHED, /* the proper end was seen, and no error before */
};

enum {
	METER_SPANS_MAX = 64,
	METER_HOLD_MAX = 64 << 10, /* an incomplete event larger than this is passed on: it can't be the usage chunk */
	METER_LEGS_MAX = 4,
	METER_STATE_MAX = 4096,
	METER_MODEL_MAX = 96, /* bytes of a leg's model, the provider's name for it */
};

/* Usage on another model than the one that was asked (Anthropic: usage.iterations). */
struct meter_leg {
	struct usage usage;
	char model[METER_MODEL_MAX];
	uint8_t model_len;
};

/* A response as the provider keeps it: ids that stand in the response itself, none that its content says. Lengths are 0 where none came. */
struct meter_stored {
	struct meter_id {
		uint8_t len;
		char at[METER_MODEL_MAX];
	} own, previous, conversation;
	bool ended; /* by its status nothing more comes of it */
	bool failed;
};

struct sample;

struct meter {
	struct usage usage; /* last word on what the asked model consumed, normalised; USAGE_REPORTED says whether there was one */
	const struct meter_leg *legs; /* within state */
	uint8_t leg_count;
	uint8_t endpoint; /* enum endpoint */
	enum answer answer;
	bool finished; /* the proper end was seen: [DONE], message_stop, a terminal response event, the outer object closed, …; for a Gemini stream the
	                  stream's own end after a finishReason or blockReason */
	bool begun, plain;
	bool has_seconds;
	bool packed; /* by its first bytes it is compressed, whether it says so or not */
	bool malformed; /* not JSON / not SSE where it had to be: metering is by estimate */
	uint64_t content_bytes; /* bytes of visible output text, tool arguments, refusals (JSON-escaped length) */
	uint64_t reasoning_bytes; /* the same for reasoning and thinking */
	uint64_t content_reported, reasoning_reported; /* those of them that came before `usage` last counted such output */
	uint64_t events; /* events that carried output */
	uint32_t images; /* that came */
	uint32_t seconds; /* has_seconds: of audio, told; beside tokens too */
	uint32_t echoes; /* events that were like the one before them (echo.h) */
	struct sample *sample; /* chat: set by the caller behind meter_init(), it gets some of the words; else NULL */
	const struct meter_stored *stored; /* responses: what the answer says of what is kept at the provider; within state */
	_Alignas(16) unsigned char state[METER_STATE_MAX];
};

/* What a meter of that endpoint takes: state is as long as its language needs. */
size_t meter_bytes(enum endpoint endpoint);

/*
 * streamed  the answer is text/event-stream; else one JSON document (Gemini without alt=sse: an array of answers)
 * hide      chat only: include_usage was injected by us; the usage-only chunk and `"usage":null` members are cut from what goes to the client
 */
void meter_init(struct meter *m, enum endpoint endpoint, bool streamed, bool hide);

/* More will be fed soon: what is remembered of the stream is brought nearer meanwhile. */
static inline void
meter_expect(const struct meter *m)
{
	enum { LINE = 64,
		NEAR = 1024 };
	for (size_t at = LINE; at < NEAR; at += LINE) /* the first has but numbers of a report */
		__builtin_prefetch((const char *)m + at);
}

/* The answer is to be neither JSON nor a stream, but words: transcripts as text or subtitles. Nothing is reported in it. */
void meter_init_plain(struct meter *m, enum endpoint endpoint);

/*
 * Read along. Returns how many bytes of `in` are settled: those to forward are in spans[0..*ret_count) (they point into `in`; at most
 * METER_SPANS_MAX, when that many are full the call returns early). The caller keeps the unsettled tail and passes it again, in front of
 * what follows. Without `hide` every byte is settled at once, in one span. With `hide` a tail is left only when an event is incomplete,
 * never more than METER_HOLD_MAX.
 * last: no more input comes; everything is settled.
 */
must_check size_t meter_feed(struct meter *m, const char *in, size_t len, bool last, struct span *spans, size_t *ret_count);

#endif
