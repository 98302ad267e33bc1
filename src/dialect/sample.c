#include "dialect/sample.h"

#include "core/json_view.h"

#include <string.h>

enum { WITHOUT_GAPS = SAMPLE_WINDOWS * SAMPLE_WINDOW };

static void
open_window(struct sample *s)
{
	if (s->from)
		s->window = (s->window + 1) % SAMPLE_WINDOWS;
	s->len[s->window] = 0;
	s->open = true;
}

static void
close_window(struct sample *s, uint64_t said)
{
	s->from = said < WITHOUT_GAPS ? said : 2 * said;
	s->open = false;
}

void
sample_words(struct sample *s, struct span words, uint64_t said)
{
	if (s->open && words.len > (size_t)(SAMPLE_WINDOW - s->len[s->window])) {
		close_window(s, said);
		if (said < s->from)
			return;
	}
	if (!s->open)
		open_window(s);
	uint8_t *len = &s->len[s->window];
	size_t room = SAMPLE_WINDOW - *len, n = words.len < room ? words.len : room;
	memcpy(s->said[s->window] + *len, words.at, n);
	*len = (uint8_t)(*len + n);
	if (*len == SAMPLE_WINDOW)
		close_window(s, said + words.len);
}

static uint64_t
count(struct bpe *b, struct span window)
{
	struct json_source source = json_source(&window, 1);
	struct json_text_walk w = {.at = 0, .end = window.len};
	for (struct span part; window.len && (part = json_next_text(&source, &w)).len;)
		bpe_feed(b, part);
	return bpe_end(b);
}

/* Half a word at an end would count as one: from blank to blank, if there is one near. */
static struct span
words_of(struct span window)
{
	enum { NEAR = 16 };
	const char *at = window.at, *end = at + window.len;
	for (size_t i = 0; i < NEAR && window.len > 2 * NEAR; i++)
		if (window.at[i] == ' ') {
			at += i;
			break;
		}
	for (size_t i = 1; i < NEAR && window.len > 2 * NEAR; i++)
		if (end[-(ptrdiff_t)i] == ' ') {
			end -= i;
			break;
		}
	return (struct span){at, (size_t)(end - at)};
}

uint64_t
sample_tokens(const struct sample *s, bool body, struct bpe *b, enum tokenizer tokenizer, uint64_t *ret_bytes)
{
	uint64_t tokens = 0, bytes = 0;
	bpe_begin(b, tokenizer);
	for (unsigned i = 0; i < SAMPLE_WINDOWS; i++) {
		struct span window = body ? words_of((struct span){s->body[i], s->body_len[i]}) : (struct span){s->said[i], s->len[i]};
		tokens = count(b, window);
		bytes += window.len;
	}
	*ret_bytes = bytes;
	return tokens;
}
