#include "proc/nearest.h"

#include <string.h>

enum { WORD_MAX = 40 };

static size_t
least(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;
	return ab < c ? ab : c;
}

/* Levenshtein; both at most WORD_MAX long. */
static size_t
distance(const char *a, const char *b)
{
	size_t line[WORD_MAX + 1], b_len = strlen(b);
	for (size_t j = 0; j <= b_len; j++)
		line[j] = j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		size_t diagonal = line[0];
		line[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t above = line[j];
			line[j] = least(line[j] + 1, line[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return line[b_len];
}

void
nearest_init(struct nearest *n, const char *word)
{
	*n = (struct nearest){.word = word, .distance = strlen(word) / 3 + 2};
}

void
nearest_try(struct nearest *n, const char *known)
{
	if (strlen(n->word) > WORD_MAX || strlen(known) > WORD_MAX)
		return;
	size_t d = distance(n->word, known);
	if (d >= n->distance)
		return;
	n->best = known;
	n->distance = d;
}
