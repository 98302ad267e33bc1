/*
 * Answers to OpenAI's old completions: text alone. What a model thought stays untold, for there is no member for it; a refusal is text like any other.
 * Specification: platform.openai.com/docs/api-reference/completions/object.
 */
#include "dialect/telling.h"

#include <string.h>

static void
write_head(struct telling *g)
{
	sink_lit(g->out, "{\"id\":\"");
	telling_id(g, g->out, "cmpl-");
	sink_lit(g->out, "\",\"object\":\"text_completion\",\"created\":");
	sink_u64(g->out, g->t->facts.now_s);
	sink_lit(g->out, ",\"model\":\"");
	sink_escaped(g->out, g->t->facts.model);
	sink_lit(g->out, "\",\"choices\":[");
}

static void
write_rest(struct telling *g, unsigned choice, const char *finish)
{
	sink_lit(g->out, "\",\"index\":");
	sink_u64(g->out, choice);
	sink_lit(g->out, ",\"logprobs\":null,\"finish_reason\":");
	if (finish) {
		sink_lit(g->out, "\"");
		sink_add(g->out, finish, strlen(finish));
		sink_lit(g->out, "\"}");
	} else
		sink_lit(g->out, "null}");
}

/* ---- streams ---- */

static void
say(struct telling *g, unsigned choice, const struct tell *what, const char *finish)
{
	sink_lit(g->out, "data: ");
	write_head(g);
	sink_lit(g->out, "{\"text\":\"");
	if (what)
		sink_inside(g->out, what->source, what->text);
	write_rest(g, choice, finish);
	sink_lit(g->out, "]");
	if (g->t->facts.include_usage)
		sink_lit(g->out, ",\"usage\":null");
	sink_lit(g->out, "}\n\n");
}

/* Tools can't be asked for here: who calls one all the same has stopped. */
static const char *
finish_of(const struct telling *g, unsigned choice)
{
	enum finish f = telling_finish_of(g, choice);
	return chat_finish_words[f == FINISH_CALLS ? FINISH_STOP : f];
}

static void
say_end(struct telling *g)
{
	for (unsigned i = 0; i < g->choice_count; i++)
		say(g, i, NULL, finish_of(g, i));
	if (g->t->facts.include_usage && g->usage_given) {
		sink_lit(g->out, "data: ");
		write_head(g);
		sink_lit(g->out, "],\"usage\":");
		chat_write_usage(g->out, &g->usage);
		sink_lit(g->out, "}\n\n");
	}
	sink_lit(g->out, "data: [DONE]\n\n");
}

static void
completions_tell(struct telling *g, const struct tell *what)
{
	switch (what->kind) {
	case TELL_TEXT:
	case TELL_REFUSAL:
		say(g, what->choice, what, NULL);
		break;
	case TELL_END:
		say_end(g);
		break;
	case TELL_START:
	case TELL_THINKING:
	case TELL_SIGNATURE:
	case TELL_CALL:
	case TELL_CALL_START:
	case TELL_CALL_ARGS:
	case TELL_CALL_END:
		break;
	}
}

/* ---- documents ---- */

static void
add_text(struct telling *g, const struct tell *what)
{
	if ((what->kind == TELL_TEXT || what->kind == TELL_REFUSAL) && what->choice == g->only_choice)
		sink_inside(g->out, what->source, what->text);
}

static void
completions_document(struct telling *g)
{
	write_head(g);
	for (unsigned i = 0; i < g->choice_count && g->result == TRANSLATE_MORE; i++) {
		g->only_choice = (uint16_t)i;
		if (i)
			sink_lit(g->out, ",");
		sink_lit(g->out, "{\"text\":\"");
		telling_walk(g, add_text);
		write_rest(g, i, finish_of(g, i));
	}
	sink_lit(g->out, "]");
	if (g->usage_given) {
		sink_lit(g->out, ",\"usage\":");
		chat_write_usage(g->out, &g->usage);
	}
	sink_lit(g->out, "}");
}

const struct answer_encoder answer_to_completions = {.order = ORDER_FREE, .tell = completions_tell, .document = completions_document};
