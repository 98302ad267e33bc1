/*
 * Texts of the configuration file to values: counts, sizes, durations, dates, amounts, addresses, URLs. Pure;
 * supervisor and command line.
 */
#ifndef PROC_CONFIG_SCALAR_H
#define PROC_CONFIG_SCALAR_H

#include "core/base.h"

/* X(KIND, C type of the member, how the reference calls it, remedy when a text is not one) */
#define SETTING_KINDS(X) \
	X(COUNT, uint64_t, "a whole number", "write a whole number, for example 4") \
	X(BYTES, uint64_t, "a size", "write a whole number of bytes or one with a unit (KiB, MiB, GiB), for example 16MiB") \
	X(MS, uint64_t, "a duration", "write a whole number with a unit (ms, s, m, h), for example 30s") \
	X(FLAG, bool, "true or false", "write true or false") \
	X(TEXT, const char *, "text", "write a text without control characters") \
	X(DAY, uint64_t, "a date", "write a date, for example 2026-01-01, or a time in UTC, for example 2026-01-01T12:00:00Z") \
	X(PER_MILLION, int64_t, "dollars per million tokens", "write dollars per million tokens as a quoted decimal, for example \"1.25\"") \
	X(DOLLARS, int64_t, "dollars", "write dollars as a quoted decimal, for example \"0.01\"") \
	X(RATIO, uint64_t, "a decimal", "write a quoted decimal with at most two places, for example \"2.5\"") \
	X(DURABILITY, uint64_t, "`batched` or `strict`", "write batched or strict") \
	X(MEMORY_GRADE, uint64_t, "`auto`, `sealed` or `locked`", "write auto, sealed or locked") \
	X(TLS_VERSION, uint64_t, "`1.2` or `1.3`", "write \"1.2\" or \"1.3\"") \
	X(TLS_ASK, uint64_t, "`none`, `optional` or `required`", "write none, optional or required") \
	X(CLIENT_GONE, uint64_t, "`cancel` or `drain`", "write cancel or drain") \
	X(TIER, uint64_t, "a service tier", "write standard, flex, priority, batch or fast") \
	X(DIALECT, uint64_t, "`openai`, `anthropic` or `gemini`", "write openai, anthropic or gemini") \
	X(LOG_LEVEL, uint64_t, "`info`, `note`, `warn` or `alarm`", "write info, note, warn or alarm") \
	X(FILE_MODE, uint64_t, "a file mode", "write three octal digits in quotes, for example \"660\"") \
	X(CLIENT_ADDRESS, uint64_t, "`x-forwarded-for`, `forwarded` or `cf-connecting-ip`", "write x-forwarded-for, forwarded or cf-connecting-ip") \
	X(RETENTION, uint64_t, "`kept` or `zero`", "write kept or zero") \
	X(LANGUAGE, uint64_t, "`both`, `chat` or `responses`", "write both, chat or responses") \
	X(STICKY, uint64_t, "`cache`, `key` or `none`", "write cache, key or none") \
	X(BALANCE, uint64_t, "`auto`, `none`, `deepseek` or `openrouter`", "write auto, none, deepseek or openrouter") \
	X(CHOICE, uint64_t, "`weight`, `load` or `speed`", "write weight, load or speed") \
	X(THINKING, uint64_t, "`none`, `effort`, `budget` or `auto`", "write none, effort, budget or auto") \
	X(TOKENIZER, uint64_t, "`none`, `o200k_base` or `cl100k_base`", "write none, o200k_base or cl100k_base") \
	X(CAP_FIELD, uint64_t, "`max_completion_tokens` or `max_tokens`", "write max_completion_tokens or max_tokens")

/* The values of RETENTION. Not said is 0. */
enum retention {
	RETENTION_KEPT = 1,
	RETENTION_ZERO,
};

/* How a provider tells what its account has left. */
enum balance_wire {
	BALANCE_AUTO, /* by its host */
	BALANCE_NONE,
	BALANCE_DEEPSEEK, /* GET /user/balance */
	BALANCE_OPENROUTER, /* GET credits, behind the base path */
};

/* The values of MEMORY_GRADE. */
enum memory_grade {
	MEMORY_AUTO,
	MEMORY_SEALED,
	MEMORY_LOCKED,
};

enum setting_kind {
#define X(kind, type, name, remedy) SETTING_##kind,
	SETTING_KINDS(X)
#undef X
		SETTING_KIND_COUNT
};

#define X(kind, type, name, remedy) typedef type setting_c_##kind;
SETTING_KINDS(X)
#undef X

/*
 * Amounts and ratios: exact decimals, which YAML would hand to other tools as floating-point numbers unless they
 * are quoted.
 */
static inline bool
setting_must_be_quoted(enum setting_kind kind)
{
	return kind == SETTING_PER_MILLION || kind == SETTING_DOLLARS || kind == SETTING_RATIO;
}

/* The value of a numeric kind (all but FLAG and TEXT). False: not such a text; *ret untouched. */
must_check bool config_number(enum setting_kind kind, struct span text, int64_t *ret);
must_check bool config_flag(struct span text, bool *ret);

enum config_place { PLACE_IPV4,
	PLACE_IPV6,
	PLACE_UNIX,
	PLACE_SYSTEMD }; /* a socket that the service manager has opened */

struct config_address {
	char host[108]; /* numeric, without brackets; the path of a Unix socket, or the name of a socket of systemd's */
	uint16_t port; /* 0: the kernel chooses */
	enum config_place place;
};

/* "127.0.0.1:8080" or "[::1]:8080". */
must_check bool config_address(struct span text, struct config_address *ret);
/* The same, or "unix:/run/lethe/lethe.sock", or "systemd:NAME". */
must_check bool config_listen_address(struct span text, struct config_address *ret);
/* As the file has it. */
void config_address_text(const struct config_address *a, char *out, size_t cap);

struct config_url {
	bool tls;
	uint16_t port;
	char host[256]; /* lower case, without brackets */
	char base_path[128]; /* "/v1", or empty; never ends with '/' */
};

/* NULL, or what is wrong with it and what to do. */
must_check const char *config_url(struct span text, struct config_url *ret);

/* This machine, a private or link-local network, or a name that no public resolver has: plain http may go there. */
bool config_host_is_private(const char *host);

#endif
