#include "note.h"

#include <sodium.h>
#include <stdlib.h>

static void
copy(struct sim_note *n, struct span head, struct span body)
{
	size_t need = head.len + body.len;
	if (need > n->cap) {
		free(n->bytes);
		n->bytes = malloc(need);
		n->cap = n->bytes ? need : 0;
	}
	n->head_len = n->bytes ? head.len : 0;
	n->body_len = n->bytes ? body.len : 0;
	if (!n->bytes)
		return;
	memcpy(n->bytes, head.at, head.len);
	if (body.len)
		memcpy(n->bytes + head.len, body.at, body.len);
}

static void
fill(struct sim_note *n, uint64_t generation, struct span head, struct span body, uint64_t connection)
{
	copy(n, head, body);
	n->count++;
	n->connection = connection;
	n->chunks = 0;
	n->state = SIM_NOTE_open;
	n->generation = generation;
}

static struct sim_note *
slot_for(struct sim_notes *n, const char *tag)
{
	for (size_t i = 0; i < SIM_NOTE_TAGS; i++)
		if (strcmp(n->tagged[i].tag, tag) == 0)
			return &n->tagged[i];
	struct sim_note *s = &n->tagged[n->oldest];
	n->oldest = (n->oldest + 1) % SIM_NOTE_TAGS;
	s->count = 0;
	memcpy(s->tag, tag, strlen(tag) + 1);
	return s;
}

struct sim_note *
sim_note_take(struct sim_notes *n, const char *tag, struct span head, struct span body, uint64_t connection)
{
	uint64_t generation = ++n->requests;
	fill(&n->last, generation, head, body, connection);
	if (!tag[0])
		return &n->last;
	struct sim_note *s = slot_for(n, tag);
	fill(s, generation, head, body, connection);
	return s;
}

const struct sim_note *
sim_note_find(const struct sim_notes *n, struct span tag)
{
	if (!tag.len)
		return n->requests ? &n->last : NULL;
	for (size_t i = 0; i < SIM_NOTE_TAGS; i++)
		if (strlen(n->tagged[i].tag) == tag.len && memcmp(n->tagged[i].tag, tag.at, tag.len) == 0)
			return &n->tagged[i];
	return NULL;
}

static void
sha256(const struct sim_note *n, struct text *t)
{
	unsigned char hash[crypto_hash_sha256_BYTES];
	crypto_hash_sha256(hash, (const unsigned char *)n->bytes + n->head_len, n->body_len);
	for (size_t i = 0; i < sizeof hash; i++) {
		char pair[2] = {"0123456789abcdef"[hash[i] >> 4], "0123456789abcdef"[hash[i] & 15]};
		text_add(t, pair, sizeof pair);
	}
}

void
sim_note_write(const struct sim_note *n, struct text *t)
{
	static const char *const STATES[] = {
#define X(name) #name,
		SIM_NOTE_STATES(X)
#undef X
	};
	text_lit(t, "{\"tag\":\"");
	text_str(t, n->tag);
	text_lit(t, "\",\"count\":");
	text_u64(t, n->count);
	text_lit(t, ",\"connection\":");
	text_u64(t, n->connection);
	text_lit(t, ",\"state\":\"");
	text_str(t, STATES[n->state]);
	text_lit(t, "\",\"chunks\":");
	text_u64(t, n->chunks);
	text_lit(t, ",\"body_bytes\":");
	text_u64(t, n->body_len);
	text_lit(t, ",\"body_sha256\":\"");
	sha256(n, t);
	text_lit(t, "\",\"head\":\"");
	text_json(t, (struct span){n->bytes, n->head_len});
	text_lit(t, "\"}\n");
}
