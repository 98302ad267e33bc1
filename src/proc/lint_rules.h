/*
 * The rules of `lethe catalogue lint`, which are also the words of its help. Command line.
 *
 * X(SCOPE, function, name, what it finds): the function is called for each PROVIDER, MODEL or PRICE row.
 */
#ifndef PROC_LINT_RULES_H
#define PROC_LINT_RULES_H

#define LINT_RULES(X) \
	X(PROVIDER, provider_unused, "provider-unused", "a provider without models") \
	X(PROVIDER, provider_keyless, "provider-keyless", "a public provider without a key") \
	X(MODEL, price_later, "price-later", "no price is in force yet") \
	X(MODEL, price_old, "price-old", "the price is in force for longer than --older days") \
	X(MODEL, reasoning_flag, "reasoning-flag", "it reasons by its name or price, but `reasoning` is not set") \
	X(MODEL, name_shadow, "name-shadow", "a name for clients is the provider's name of another model") \
	X(MODEL, name_case, "name-case", "two names differ in capitals only") \
	X(MODEL, same_target, "same-target", "two models are one at the provider, at different prices") \
	X(MODEL, context_tiny, "context-tiny", "a window of less than 1000 tokens") \
	X(MODEL, created_later, "created-later", "`created` is in the future") \
	X(MODEL, bytes_many, "bytes-many", "more than 4 bytes per token: too little would be reserved") \
	X(PRICE, free_of_charge, "free-of-charge", "all prices are zero") \
	X(PRICE, cached_dearer, "cached-dearer", "what comes from the cache costs more than what does not") \
	X(PRICE, cache_missing, "cache-missing", "the provider bills its cache at a lower price, and none is given") \
	X(PRICE, cache_write_missing, "cache-write-missing", "the provider bills writes to its cache at a higher price, and none is given") \
	X(PRICE, cache_write_cheaper, "cache-write-cheaper", "a write to the cache costs less than plain input, or for an hour less than for minutes") \
	X(PRICE, output_cheaper, "output-cheaper", "output costs less than input") \
	X(PRICE, output_far, "output-far", "output costs 20 times what input does, or more") \
	X(PRICE, price_unit, "price-unit", "an amount that is no price per million tokens") \
	X(PRICE, price_jump, "price-jump", "10 times, or a tenth of, the price before it") \
	X(PRICE, tier_jump, "tier-jump", "10 times, or a tenth of, the standard tier") \
	X(PRICE, tier_direction, "tier-direction", "flex or batch dearer than standard, priority or fast cheaper") \
	X(PRICE, above_cheaper, "above-cheaper", "larger prompts cost less") \
	X(PRICE, above_never, "above-never", "a size of prompt that the model's window does not reach")

#endif
