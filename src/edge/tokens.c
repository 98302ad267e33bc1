#include "edge/tokens.h"

#include "dialect/prompt.h"
#include "edge/passage.h"
#include "edge/quote.h"

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
	uint64_t tokens = l.tokens + l.tokens / PART + LEAST + media(x);
	return tokens < reserve_input(x->model, r) ? tokens : 0;
}
