/*
 * JSON (RFC 8259) read strictly, in one pass, without a tree: a scanner that is told which paths matter and
 * reports only those.
 *
 * Pure and resumable at any byte, fixed state, no allocation: the caller embeds the struct. Any process. The
 * paths are a table of nodes that the caller owns and that must outlive the scan; event texts point into the
 * input or into the scanner and last until the next call. Everything that is not reported is still checked:
 * grammar, nesting, control bytes in strings. UTF-8 is passed through unchecked.
 *
 * The table: node 0 stands for "no interest" and must be all zero; node 1 is the outermost value, which is
 * always reported unless it is silent. A member's value takes the node of the edge with its key (compared unescaped), else the
 * node's `other`; an array's values take its `element`. A node may name itself, which reaches any depth.
 */
#ifndef CORE_JSON_SCAN_H
#define CORE_JSON_SCAN_H

#include "core/base.h"

enum {
	JSON_DEPTH_MAX = 128,
	JSON_TEXT_MAX = 160, /* bytes of a string or number that an event shows */
	JSON_NODE_NONE = 0,
	JSON_NODE_ROOT = 1,
};

struct json_edge {
	const char *key;
	uint16_t mark; /* JSON_MARK of the key */
	uint8_t key_len;
	uint8_t node;
};

/* Tells nearly all keys apart. */
#define JSON_MARK(first, len) ((uint16_t)((uint16_t)(unsigned char)(first) << 8 | (uint8_t)(len)))

#define JSON_EDGE(key, node) \
	{ \
		(key), JSON_MARK((key)[0], sizeof(key) - 1), sizeof(key) - 1, (node) \
	}

struct json_node {
	const struct json_edge *edges;
	uint8_t edge_count;
	uint8_t other; /* node of members without an edge */
	uint8_t element; /* node of array elements */
	bool text; /* events of its strings show their text */
	bool silent; /* it has no events of its own: only what is inside is of interest */
	uint64_t absent; /* bit per JSON_BIT that no key has; 0 if nobody has looked */
};

/* Tells most keys that a node doesn't know from those that it does. */
#define JSON_BIT(first, len) (((unsigned char)(first) + 7u * (unsigned)(len)) & 63)

/* A list of keys, LIST(X) with X(key, node) for each, as an array of edges; that array as a node's, with its `absent`. */
#define JSON_EDGES_OF(LIST) \
	{ \
		LIST(JSON_EDGES_ONE) \
	}
#define JSON_EDGES(array, LIST) .edges = (array), .edge_count = ARRAY_LEN(array), .absent = ~(UINT64_C(0) LIST(JSON_EDGES_BIT))
#define JSON_EDGES_ONE(key, node) JSON_EDGE(key, node),
#define JSON_EDGES_BIT(key, node) | UINT64_C(1) << JSON_BIT((key)[0], sizeof(key) - 1)

enum json_token {
	JSON_MORE, /* the input is used up */
	JSON_BAD, /* see json_scan.error; stays so */
	JSON_OBJECT, /* begins */
	JSON_OBJECT_END,
	JSON_ARRAY,
	JSON_ARRAY_END,
	JSON_STRING,
	JSON_NUMBER,
	JSON_TRUE,
	JSON_FALSE,
	JSON_NULL,
	JSON_SEPARATOR, /* only after json_scan_want_separator() */
};

enum json_error {
	JSON_E_NONE,
	JSON_E_SYNTAX,
	JSON_E_DEPTH,
};

#define JSON_NO_OFFSET UINT64_MAX

struct json_event {
	uint64_t at, end; /* offsets: first byte, and after the last, of the value or bracket; strings with their quotes */
	uint64_t key_at; /* the opening quote of the member's key; JSON_NO_OFFSET in arrays and at the top */
	uint64_t comma_at; /* the comma before this member or element; JSON_NO_OFFSET for the first */
	/* At most JSON_TEXT_MAX bytes of a number, or of a string unescaped (a lone surrogate reads as U+FFFD). */
	struct span text;
	bool cut; /* text is longer than that */
	bool empty; /* ends of containers: nothing was in it */
	uint8_t node;
};

struct json_scan {
	enum json_error error;
	/* The scanner's own from here on. */
	uint8_t state, after, number_state, escape, child; /* after: the state that a value leaves when it ends; child: node of the value to come */
	uint8_t literal, literal_at;
	uint8_t text_len;
	bool capture, text_cut, want_separator;
	uint16_t depth;
	uint16_t code, high_surrogate;
	const struct json_node *nodes, *inside; /* inside: of the innermost container that is open */
	const char *p, *end;
	uint64_t turned; /* what is added to an address makes its offset */
	uint64_t value_at, key_at, comma_at;
	uint64_t objects[JSON_DEPTH_MAX / 64]; /* bit per open container: is it an object */
	uint8_t open[JSON_DEPTH_MAX]; /* nodes of the open containers */
	char text[JSON_TEXT_MAX];
};

void json_scan_init(struct json_scan *s, const struct json_node *nodes);

/* Give the next bytes, once json_scan_next() said JSON_MORE. `offset` is what in[0] counts as in the events; of no bytes `in` may be NULL. */
void json_scan_feed(struct json_scan *s, const char *in, size_t len, uint64_t offset);

/* The next event on a path of interest; *ret is set for all but JSON_MORE and JSON_BAD. */
must_check enum json_token json_scan_next(struct json_scan *s, struct json_event *ret);

/* Called right after the event of a value: if a comma follows that value, it comes as JSON_SEPARATOR. */
void json_scan_want_separator(struct json_scan *s);

/*
 * Has one whole value been read, with nothing but blanks behind it? Call at the end of the input (a number
 * ends only there).
 */
bool json_scan_complete(const struct json_scan *s);

/* At the end of the input: where the string begins that it has cut, if its text is to be shown; else JSON_NO_OFFSET. */
uint64_t json_scan_open_text(const struct json_scan *s);

/*
 * The closing quote of the string whose inside begins at p. NULL: it is not before `end`, or what stands there is no string, or an escape stands too near
 * to the end to be judged.
 */
must_check const char *json_string_end(const char *p, const char *end);

/*
 * A number's text as a whole number from 0 to max. False when it is negative, fractional, has an exponent or
 * is larger.
 */
must_check bool json_whole(const struct json_event *e, uint64_t max, uint64_t *ret);

#endif
