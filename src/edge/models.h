/*
 * Lists of models, and one model, as each dialect has them (models.c says which there are). Private to src/edge; the catalogue's words and numbers, no content.
 */
#ifndef EDGE_MODELS_H
#define EDGE_MODELS_H

#include "core/text.h"
#include "ticket/catalogue.h"

struct edge;
struct exchange;

/* One model, as whoever asks may use it. */
struct model_view {
	const struct catalogue *catalogue;
	const struct catalogue_model *model;
	struct span id; /* the name that it is told under */
	uint64_t now_ms;
	int lane; /* by which it goes when none is named; -1: one has to be named */
	/* By lane, the first target that may be asked now; NULL: there is none. */
	const struct catalogue_target *first[CATALOGUE_LANES_MAX];
};

must_check bool models_prepare(struct edge *e);
void models_answer(struct exchange *x, struct span path);

/* The most that one takes whose name has so many bytes. */
size_t models_shape_most(const struct catalogue *c, size_t id_len);
void models_shape_openai(struct text *t, const struct model_view *v);
void models_shape_anthropic(struct text *t, const struct model_view *v);
void models_shape_gemini(struct text *t, const struct model_view *v);

#endif
