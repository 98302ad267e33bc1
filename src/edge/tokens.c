#include "edge/tokens.h"

#include "dialect/prompt.h"
#include "dialect/sample.h"
#include "edge/passage.h"
#include "edge/quote.h"

#include <string.h>

static bool
look(struct exchange *x, struct prompt_count *ret)
{
	struct edge *e = x->edge;
	uint32_t count = 0;
	if (x->model->tokenizer == TOKENIZER_none || x->req->form || !x->req->body)
		return false;
	struct span *pieces = passage_pieces(e, x->req->body, &count);
	struct prompt *p = pieces ? vault_alloc(e->vault, sizeof *p) : NULL;
	bool counted = p && prompt_tokens(p, (enum tokenizer)x->model->tokenizer, pieces, count, ret);
	vault_free(e->vault, p, sizeof *p);
	vault_free(e->vault, pieces, (count + 1) * sizeof *pieces);
	return counted;
}

static uint64_t
media(const struct exchange *x)
{
	const struct request_facts *r = &x->req->scan.result;
	return (uint64_t)r->images * x->model->image_tokens + (uint64_t)r->audios * x->model->audio_tokens + (uint64_t)r->files * x->model->file_tokens;
}

uint64_t
tokens_input(struct exchange *x)
{
	const struct request_facts *r = &x->req->scan.result;
	struct prompt_count l;
	uint64_t most = reserve_input(x->model, r);
	if (r->object_count || !look(x, &l))
		return most;
	if (!l.whole && l.seen < r->body_bytes) { /* the rest is like what was seen */
		uint64_t text = r->body_bytes - (r->inline_media_bytes < r->body_bytes ? r->inline_media_bytes : r->body_bytes);
		l.tokens = text > l.seen ? (uint64_t)((unsigned __int128)l.tokens * text / l.seen) : l.tokens;
	}
	uint64_t tokens = l.tokens + media(x);
	return tokens < most ? tokens : most;
}

uint64_t
tokens_input_most(struct exchange *x)
{
	enum { PART = 8,
		LEAST = 32 }; /* more: a system text of the provider's */
	const struct request_facts *r = &x->req->scan.result;
	struct prompt_count l;
	if (r->object_count || !look(x, &l) || !l.whole)
		return 0;
	uint64_t known = l.text + r->inline_media_bytes, other = known < r->body_bytes ? r->body_bytes - known : 0;
	uint64_t tokens = l.tokens + l.tokens / PART + LEAST + other * 100 / x->model->bytes_per_token_x100 + media(x);
	return tokens < reserve_input(x->model, r) ? tokens : 0;
}

/* ---- streams ---- */

static void
copy_body(const struct block *b, uint64_t at, size_t len, char *to)
{
	for (; b && len; b = b->next) {
		if (at >= b->len) {
			at -= b->len;
			continue;
		}
		size_t n = b->len - (size_t)at < len ? b->len - (size_t)at : len;
		memcpy(to, b->bytes + at, n);
		to += n;
		len -= n;
		at = 0;
	}
}

/* Four pieces at even distances; of a short body all. */
static void
sample_body(struct sample *s, const struct request *r)
{
	enum { PIECE = SAMPLE_BODY / SAMPLE_WINDOWS };
	const struct request_facts *f = &r->scan.result;
	if (f->inline_media_bytes || f->object_count || r->form)
		return;
	s->body_text = r->body_bytes;
	for (unsigned i = 0; i < SAMPLE_WINDOWS; i++) {
		bool whole = r->body_bytes <= SAMPLE_BODY;
		uint64_t at = whole ? i * PIECE : r->body_bytes * (2 * i + 1) / (2 * SAMPLE_WINDOWS) - PIECE / 2;
		uint64_t left = at < r->body_bytes ? r->body_bytes - at : 0;
		s->body_len[i] = (uint8_t)(left < PIECE ? left : PIECE);
		copy_body(r->body, at, s->body_len[i], s->body[i]);
	}
}

void
tokens_sample(struct exchange *x)
{
	enum endpoint language = passage_endpoint(x);
	if (!x->streamed || x->sample || x->model->tokenizer == TOKENIZER_none || (language != ENDPOINT_CHAT_COMPLETIONS && language != ENDPOINT_COMPLETIONS))
		return;
	struct sample *s = vault_alloc(x->edge->vault, sizeof *s);
	if (!s)
		return;
	*s = (struct sample){.body_media = media(x)};
	sample_body(s, x->req);
	x->sample = x->meter->sample = s;
}

/* 0: nothing is known of it. */
static uint64_t
sampled_input(struct exchange *x, struct prompt *p)
{
	const struct sample *s = x->sample;
	enum tokenizer by = (enum tokenizer)x->model->tokenizer;
	struct prompt_count c;
	struct span whole = {s->body[0], (size_t)s->body_text};
	if (s->body_text && s->body_text <= SAMPLE_BODY && prompt_tokens(p, by, &whole, 1, &c) && c.whole)
		return c.tokens + s->body_media;
	uint64_t bytes, tokens = sample_tokens(s, true, &p->bpe, by, &bytes);
	return bytes ? (tokens * s->body_text + bytes - 1) / bytes + s->body_media : 0;
}

void
tokens_count_sample(struct exchange *x)
{
	struct vault *v = x->edge->vault;
	struct prompt *p = x->sample ? vault_alloc(v, sizeof *p) : NULL;
	if (!p)
		return;
	uint64_t bytes, tokens = sample_tokens(x->sample, false, &p->bpe, (enum tokenizer)x->model->tokenizer, &bytes), input = sampled_input(x, p);
	x->said_tokens = (uint32_t)tokens;
	x->said_bytes = (uint32_t)bytes;
	uint64_t least = x->input_estimate / 2; /* where the samples lie is known: who fills them with what is nearly no token saves no more */
	if (input)
		x->input_estimate = input > least ? input : least;
	vault_free(v, p, sizeof *p);
}

void
tokens_free_sample(struct exchange *x)
{
	vault_free(x->edge->vault, x->sample, sizeof *x->sample);
	x->sample = NULL;
}
