#include "edge/quote.h"

#include "edge/answer.h"
#include "edge/endpoints.h"
#include "edge/limit.h"
#include "edge/tokens.h"

static const struct {
	struct span word;
	enum endpoint endpoint;
} words[] = {
#define X(NAME, number, dialect, word, billed) {SPAN_INIT(word), ENDPOINT_##NAME},
	ENDPOINTS(X)
#undef X
};

/* Those that take a body of JSON and cost something. */
static enum endpoint
endpoint_named(struct span name)
{
	if (!name.len)
		return ENDPOINT_CHAT_COMPLETIONS;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (words[i].word.len == name.len && !memcmp(words[i].word.at, name.at, name.len)) {
			enum endpoint found = words[i].endpoint;
			bool form = endpoint_of_audio(found) || found == ENDPOINT_IMAGES_EDITS || found == ENDPOINT_IMAGES_VARIATIONS;
			return endpoint_billed(found) && !form && found != ENDPOINT_REALTIME ? found : ENDPOINT_NONE;
		}
	return ENDPOINT_NONE;
}

void
quote_begin(struct exchange *x, const struct http1_head *h, struct span rest)
{
	enum endpoint endpoint = endpoint_named(target_argument(h->target, SPAN("endpoint")));
	if (endpoint == ENDPOINT_NONE) {
		struct error_says e = answer_says(END_BAD_BODY);
		e.message = SPAN("There is no quote for this endpoint. Name one that costs something and takes JSON, for example ?endpoint=chat.completions, responses, messages or generateContent.");
		e.param = "endpoint";
		read_head_skip_body(x, h, rest.at, rest.len);
		answer_send_error(x, &e);
		exchange_end(x, END_BAD_BODY);
		return;
	}
	x->endpoint = (uint8_t)endpoint;
	x->dialect = (uint8_t)endpoint_dialect(endpoint);
	x->quote = true;
	x->scope = KEY_SCOPE_USAGE;
	authenticate(x, h, target_argument(h->target, SPAN("model")), rest);
}

static void
add_money(struct text *t, const char *member, struct nano n)
{
	text_lit(t, ",\"");
	text_str(t, member);
	text_lit(t, "\":\"");
	answer_add_money(t, n);
	text_lit(t, "\"");
}

static void
add_number(struct text *t, const char *member, uint64_t n)
{
	text_lit(t, ",\"");
	text_str(t, member);
	text_lit(t, "\":");
	text_u64(t, n);
}

static void
add_price(struct text *t, uint64_t id)
{
	char digits[16];
	for (int i = 15; i >= 0; i--, id >>= 4)
		digits[i] = "0123456789abcdef"[id & 15];
	text_lit(t, ",\"price\":\"");
	text_add(t, digits, sizeof digits);
	text_lit(t, "\"");
}

void
quote(struct exchange *x, uint64_t input, uint64_t output, struct nano hold)
{
	struct edge *e = x->edge;
	uint64_t output_most;
	struct nano most = reserve_most(x, input, &output_most);
	struct nano have = x->slot < e->slots && board_has(e->p->board, x->slot, x->account_row) ? board_available(e->p->board, x->slot) : (struct nano){0};
	struct nano left = x->limited.rows[0] ? limit_left(x, have) : have;
	struct text t = text_on(e->head_out + HEAD_OUT_BYTES / 2, HEAD_OUT_BYTES / 2);
	text_lit(&t, "{\"object\":\"quote\",\"endpoint\":\"");
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (words[i].endpoint == (enum endpoint)x->endpoint)
			text_span(&t, words[i].word);
	text_lit(&t, "\",\"model\":\"");
	text_json(&t, (struct span){x->model->public_id, strlen(x->model->public_id)});
	text_lit(&t, "\"");
	add_price(&t, x->bound->id);
	add_number(&t, "input_tokens_at_most", input);
	if (x->model->tokenizer != TOKENIZER_none)
		add_number(&t, "input_tokens_estimated", tokens_input(x));
	add_number(&t, "output_tokens_at_most", output_most);
	add_money(&t, "costs_at_most", most);
	add_number(&t, "output_tokens_held", output);
	add_money(&t, "held", hold);
	add_money(&t, "available", left.v > 0 ? left : (struct nano){0});
	text_str(&t, hold.v <= left.v ? ",\"affordable\":true}" : ",\"affordable\":false}");
	answer_json(x, 200, (struct span){t.at, t.len});
}
