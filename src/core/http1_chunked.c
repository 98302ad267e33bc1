#include "core/http1_priv.h"

#include "core/bytes_priv.h"

enum {
	EXTENSION_MAX = 256,
	TRAILERS_MAX = 8192,
	SIZE_DIGITS_MAX = 16,
};

enum chunked_state {
	SIZE_FIRST,
	SIZE,
	EXT_NAME_FIRST,
	EXT_NAME,
	EXT_VALUE_FIRST,
	EXT_VALUE,
	EXT_QUOTED,
	EXT_QUOTED_PAIR,
	EXT_QUOTED_END,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER_START,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	END_LF,
	FINISHED,
	BROKEN,
};

void
http1_chunked_init(struct http1_chunked *c)
{
	*c = (struct http1_chunked){.state = SIZE_FIRST};
}

static int
hex_value(char c)
{
	return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

static enum chunked_state
size_byte(struct http1_chunked *x, char c)
{
	if (http1_is(c, HTTP1_CHAR_HEX)) {
		if (++x->line_bytes > SIZE_DIGITS_MAX)
			return BROKEN;
		x->left = x->left << 4 | (uint64_t)hex_value(c);
		return SIZE;
	}
	if (x->state == SIZE_FIRST)
		return BROKEN;
	if (c == '\r')
		return SIZE_LF;
	x->line_bytes = 0;
	return c == ';' ? EXT_NAME_FIRST : BROKEN;
}

/* Between two parts of an extension. No blanks: RFC 9112 7.1.1 has them only as history ("bad" whitespace). */
static enum chunked_state
extension_separator(enum chunked_state state, char c)
{
	if (c == ';')
		return EXT_NAME_FIRST;
	if (c == '=' && state == EXT_NAME)
		return EXT_VALUE_FIRST;
	return c == '\r' ? SIZE_LF : BROKEN;
}

static enum chunked_state
extension_byte(struct http1_chunked *x, char c)
{
	bool token = http1_is(c, HTTP1_CHAR_TOKEN);
	enum chunked_state state = x->state;
	if (++x->line_bytes > EXTENSION_MAX)
		return BROKEN;
	switch ((int)state) {
	case EXT_NAME_FIRST:
		return token ? EXT_NAME : BROKEN;
	case EXT_VALUE_FIRST:
		return c == '"' ? EXT_QUOTED : token ? EXT_VALUE
											 : BROKEN;
	case EXT_QUOTED:
		if (c == '"' || c == '\\')
			return c == '"' ? EXT_QUOTED_END : EXT_QUOTED_PAIR;
		return bytes_ends_value((unsigned char)c) ? BROKEN : EXT_QUOTED;
	case EXT_QUOTED_PAIR:
		return bytes_ends_value((unsigned char)c) ? BROKEN : EXT_QUOTED;
	case EXT_QUOTED_END:
		return extension_separator(state, c);
	default: /* EXT_NAME, EXT_VALUE */
		return token ? state : extension_separator(state, c);
	}
}

static enum chunked_state
size_line_end(struct http1_chunked *x, char c)
{
	if (c != '\n')
		return BROKEN;
	x->line_bytes = 0;
	return x->left ? DATA : TRAILER_START;
}

static enum chunked_state
trailer_name_byte(struct http1_chunked *x, char c)
{
	if (c == ':')
		return x->of_request && http1_is_known(x->name, x->name_len) ? BROKEN : TRAILER_VALUE;
	if (!http1_is(c, HTTP1_CHAR_TOKEN))
		return BROKEN;
	if (x->name_len < sizeof x->name)
		x->name[x->name_len] = c;
	x->name_len += x->name_len <= sizeof x->name;
	return TRAILER_NAME;
}

/* Trailers are checked like fields and dropped, so that none of them can pass for a header field later. */
static enum chunked_state
trailer_byte(struct http1_chunked *x, char c)
{
	enum chunked_state state = x->state;
	if (++x->line_bytes > TRAILERS_MAX)
		return BROKEN;
	switch ((int)state) {
	case TRAILER_START:
		if (c == '\r')
			return END_LF;
		x->name_len = 0;
		return c == ':' ? BROKEN : trailer_name_byte(x, c);
	case TRAILER_NAME:
		return trailer_name_byte(x, c);
	case TRAILER_VALUE:
		return c == '\r' ? TRAILER_LF : bytes_ends_value((unsigned char)c) ? BROKEN
																		   : TRAILER_VALUE;
	default: /* TRAILER_LF */
		return c == '\n' ? TRAILER_START : BROKEN;
	}
}

static enum chunked_state
data_end_byte(struct http1_chunked *x, char c)
{
	if (x->state == DATA_CR)
		return c == '\r' ? DATA_LF : BROKEN;
	return c == '\n' ? SIZE_FIRST : BROKEN;
}

static enum chunked_state
framing_byte(struct http1_chunked *x, char c)
{
	switch ((enum chunked_state)x->state) {
	case SIZE_FIRST:
	case SIZE:
		return size_byte(x, c);
	case EXT_NAME_FIRST:
	case EXT_NAME:
	case EXT_VALUE_FIRST:
	case EXT_VALUE:
	case EXT_QUOTED:
	case EXT_QUOTED_PAIR:
	case EXT_QUOTED_END:
		return extension_byte(x, c);
	case SIZE_LF:
		return size_line_end(x, c);
	case DATA_CR:
	case DATA_LF:
		return data_end_byte(x, c);
	case TRAILER_START:
	case TRAILER_NAME:
	case TRAILER_VALUE:
	case TRAILER_LF:
		return trailer_byte(x, c);
	case END_LF:
		return c == '\n' ? FINISHED : BROKEN;
	case DATA:
	case FINISHED:
	case BROKEN:
		break;
	}
	return BROKEN;
}

/* Nearly every chunk begins so: a few digits and nothing behind them. Bytes of that line; 0: it is another one, or not here as a whole. */
static size_t
short_size(struct http1_chunked *c, const char *in, size_t len)
{
	enum { DIGITS_MAX = 4 };
	size_t i = 0;
	uint64_t left = 0;
	for (; i < DIGITS_MAX && i < len && http1_is(in[i], HTTP1_CHAR_HEX); i++)
		left = left << 4 | (uint64_t)hex_value(in[i]);
	if (left == 0 || len - i < 2 || in[i] != '\r' || in[i + 1] != '\n')
		return 0;
	c->left = left;
	c->state = DATA;
	return i + 2;
}

/* Bytes used: the data, and its line end when that is here too. */
static size_t
data_run(struct http1_chunked *c, const char *in, size_t len, struct span *ret_data)
{
	size_t run = c->left < len ? (size_t)c->left : len;
	*ret_data = (struct span){in, run};
	c->left -= run;
	if (c->left)
		return run;
	bool ends = len - run >= 2 && in[run] == '\r' && in[run + 1] == '\n';
	c->state = ends ? SIZE_FIRST : DATA_CR;
	return ends ? run + 2 : run;
}

/* DONE and BAD never come together with data, so a caller need look at the data only on MORE. */
enum http1_result
http1_chunked_feed(struct http1_chunked *c, const char *in, size_t len, size_t *ret_consumed, struct span *ret_data)
{
	size_t i = c->state == SIZE_FIRST ? short_size(c, in, len) : 0;
	*ret_data = (struct span){in, 0};
	while (i < len && c->state != DATA && c->state < FINISHED)
		c->state = (uint8_t)framing_byte(c, in[i++]);
	*ret_consumed = i;
	if (c->state >= FINISHED)
		return c->state == FINISHED ? HTTP1_DONE : HTTP1_BAD;
	if (c->state == DATA && i < len)
		*ret_consumed += data_run(c, in + i, len - i, ret_data);
	return HTTP1_MORE;
}
