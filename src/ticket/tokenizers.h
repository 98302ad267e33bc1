/* By which vocabulary a model's provider cuts text into tokens, where it has published it. Catalogue and configuration; owns nothing. */
#ifndef TICKET_TOKENIZERS_H
#define TICKET_TOKENIZERS_H

/* X(name, number, tokens; a power of two above their number, as an exponent). Numbers stand in compiled catalogues. */
#define TOKENIZERS(X) \
	X(o200k_base, 1, 199998, 18) \
	X(cl100k_base, 2, 100256, 17)

enum tokenizer { TOKENIZER_none,
#define X(name, number, tokens, bits) TOKENIZER_##name = number,
	TOKENIZERS(X)
#undef X
		TOKENIZER_COUNT };

#endif
