/*
 * Every setting of the configuration file, one row each. The structs, the YAML schema, the defaults, the
 * checks and docs/reference/config.md are made from these tables.
 *
 * X(key in the file, member, KIND, default, least, most, meaning)
 * default: NULL = required, "" = none. Kinds are listed in config_scalar.h. least and most are in the
 * member's unit.
 */
#ifndef PROC_CONFIG_SETTINGS_H
#define PROC_CONFIG_SETTINGS_H

#define KIB 1024ULL
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define SECOND_MS 1000ULL
#define HOUR_MS (3600 * SECOND_MS)

#define CONFIG_TOP(X) \
	X("edges", edges, COUNT, "0", 0, 60, "edge processes; 0: as many as there are processors") \
	X("node", node, COUNT, "0", 0, 254, "number of this machine; part of every request id, so no two machines may share it") \
	X("durability", durability, DURABILITY, "batched", 0, 1, \
		"when a request's cost is on disk: `batched` within the batch window, `strict` before the answer's last byte is sent") \
	X("http2", http2, FLAG, "true", 0, 1, "HTTP/2 for clients that choose it: over TLS by ALPN, in clear text from this machine only") \
	X("transparency_page", transparency_page, FLAG, "true", 0, 1, \
		"GET /transparency answers anybody: grade of memory, hash of the program, the facts of `lethe doctor` as numbers, and what is kept about a request") \
	X("batch_window", batch_window_ms, MS, "250ms", 1, 5 * SECOND_MS, "how long the ledger collects finished requests into one commit") \
	X("outbox_for", outbox_ms, MS, "15m", 0, 24 * HOUR_MS, \
		"how long a server of several on one PostgreSQL goes on with its shares of the balances while that can't be reached; what it settles waits in `outbox.db`. Keys that are revoked meanwhile work there until then. 0s: not at all") \
	X("outbox_requests", outbox_requests, COUNT, "1000000", 1, 100000000, "requests that may wait there, about 400 bytes each; beyond it no new ones are taken") \
	X("content_memory_grade", content_memory_grade, MEMORY_GRADE, "auto", 0, 2, \
		"memory for requests and answers: `auto` is the best that this machine gives, secret or locked; `sealed` is secret, and no start without it; `locked` is locked, even where it could be secret") \
	X("allow_plain_memory", allow_plain_memory, FLAG, "false", 0, 1, \
		"start even when memory for content can be neither secret nor locked (`lethe doctor` says why)") \
	X("client_address", client_address, CLIENT_ADDRESS, "x-forwarded-for", 0, 2, \
		"the header in which `trusted_proxies` say whose a request is; only limits by address use it, and from anybody else it is ignored") \
	X("expose_route", expose_route, FLAG, "false", 0, 1, "tell clients who answered: the headers `lethe-provider` and `lethe-lane`") \
	X("catalogue", catalogue, TEXT, "", 0, 4000, \
		"a file with more `providers` and `models` and nothing else; a relative path begins at this file's folder")

#define CONFIG_LISTENER(X) \
	X("at", at, TEXT, NULL, 1, 128, \
		"an address and port, `0.0.0.0:443` or `[::]:443`; `unix:/run/lethe/lethe.sock`; or `systemd:NAME`, a socket that systemd has opened (FileDescriptorName=)") \
	X("tls", tls, FLAG, "false", 0, 1, "TLS is spoken there") \
	X("proxy_protocol", proxy_protocol, FLAG, "false", 0, 1, \
		"each connection begins with a header of the PROXY protocol, version 2 (`send-proxy-v2`), which says whose it is; only `trusted_proxies` may connect") \
	X("dual_stack", dual_stack, FLAG, "false", 0, 1, "`[::]` takes connections over IPv4 as well") \
	X("mode", mode, FILE_MODE, "660", 0, 0, "of a Unix socket: who may connect")

#define CONFIG_LIMITS(X) \
	X("head_bytes", head_bytes, BYTES, "32KiB", KIB, 64 * KIB, "largest request head: request line and headers") \
	X("body_bytes", body_bytes, BYTES, "16MiB", KIB, GIB, "largest request body") \
	X("streams_per_edge", streams_per_edge, COUNT, "9000", 1, 1000000, "requests that one edge serves at the same time") \
	X("streams_per_account_percent", streams_per_account_percent, COUNT, "10", 1, 100, \
		"share of an edge's streams that one account may have; 100: no limit of its own") \
	X("connections_per_edge", connections_per_edge, COUNT, "19000", 2, 1000000, "open connections of one edge, clients and providers together") \
	X("connections_per_address", connections_per_address, COUNT, "2000", 0, 1000000, \
		"open connections of one client address (of IPv6 a /64) to one edge; 0: no limit. This machine and `trusted_proxies` have none") \
	X("bad_keys_per_minute", bad_keys_per_minute, COUNT, "60", 0, 1000000, \
		"requests without a valid key from one client address (of IPv6 a /64) to one edge before it gets 429 and its connections are closed; keys that have worked from there go on working; 0: no limit. This machine and `trusted_proxies` have none") \
	X("websocket_message_bytes", websocket_message_bytes, BYTES, "16MiB", KIB, GIB, "largest message of a realtime session, of either side") \
	X("websocket_frames_per_second", websocket_frames_per_second, COUNT, "1000", 1, 1000000, "frames that the client of a realtime session may send in a second") \
	X("translation_steps", translation_steps, COUNT, "30000000", 100000, 1000000000, \
		"values and escaped characters of a body that are looked at to translate it into another language, some of them several times; beyond it 413, of an answer that is no stream 502. An edge does nothing else meanwhile: a million are about 10 ms") \
	X("content_memory", content_memory_bytes, BYTES, "512MiB", 4 * MIB, 1024 * GIB, \
		"memory of one edge for requests and answers in flight; beyond it new requests wait, then get 503. A sixteenth of it is for accounts that have little in flight, up to an eighth of that each") \
	X("library_memory", library_memory_bytes, BYTES, "0", 0, 64 * GIB, \
		"memory of one edge for connections and its own structures, on top of content_memory; 0: what its connections can need, 4 KiB each and with TLS 24 KiB") \
	X("accounts", accounts, COUNT, "65536", 16, 16777216, "accounts with requests at the same time; idle ones make room for others")

#define CONFIG_TIMEOUTS(X) \
	X("head", head_ms, MS, "10s", 100, HOUR_MS, "from a request's first byte until its head is complete") \
	X("body", body_ms, MS, "60s", 100, HOUR_MS, "between two pieces of a request's body") \
	X("idle", idle_ms, MS, "75s", 100, 24 * HOUR_MS, "a connection without a request is closed after this") \
	X("connect", connect_ms, MS, "10s", 100, HOUR_MS, "until a connection to a provider stands, its name look-up included") \
	X("first_byte", first_byte_ms, MS, "600s", 100, 24 * HOUR_MS, "until a provider's answer begins; plain answers of slow models need minutes") \
	X("target", target_ms, MS, "0", 0, 24 * HOUR_MS, "until a provider's answer begins, while another target of the model is left to ask; 0: no limit besides `first_byte`") \
	X("between_bytes", between_bytes_ms, MS, "120s", 100, 24 * HOUR_MS, "between two pieces of a provider's answer") \
	X("keep_alive", keep_alive_ms, MS, "15s", 0, HOUR_MS, \
		"a stream in which a provider says nothing for so long, once its answer has begun, is kept alive towards the client: by an SSE comment, Anthropic's `ping`, for Gemini an empty line; 0: never") \
	X("client_write", client_write_ms, MS, "60s", 100, HOUR_MS, "a client that takes nothing for this long is gone") \
	X("request", request_ms, MS, "0", 0, 24 * HOUR_MS, "from a request's head until its answer is complete, whatever happens in between; 0: no limit") \
	X("websocket_idle", websocket_idle_ms, MS, "15m", 100, 24 * HOUR_MS, "a realtime session in which neither side says anything, pings not counted") \
	X("websocket_close", websocket_close_ms, MS, "5s", 100, HOUR_MS, "from one side's close frame until the other's") \
	X("drain", drain_ms, MS, "30s", 0, 24 * HOUR_MS, "at a stop or a change of the configuration, how long running answers may go on")

#define CONFIG_TLS(X) \
	X("min_version", tls13_only, TLS_VERSION, "1.2", 0, 1, "oldest version of TLS that clients may speak, `1.2` or `1.3`") \
	X("client_certificates", client_certificates, TLS_ASK, "none", 0, 2, \
		"certificates of clients: `none` are asked for, `optional` ones are checked, or they are `required`; keys are wanted all the same") \
	X("client_ca", client_ca, TEXT, "", 1, 4000, "path of a PEM file: who may have signed certificates of clients") \
	X("ca_file", ca_file, TEXT, "", 1, 4000, \
		"path of a PEM file: who may have signed certificates of providers; the system's list without it") \
	X("ticket_rotation", ticket_rotation_ms, MS, "24h", SECOND_MS, 168 * HOUR_MS, \
		"how often the key that seals session tickets is replaced; a ticket is good for at most three of these times")

#define CONFIG_CERTIFICATE(X) \
	X("certificate", certificate, TEXT, NULL, 1, 4000, "path of a PEM file: the certificate, then those between it and the authority") \
	X("key", key, TEXT, "", 1, 4000, "path of its key (PEM, without a passphrase); mode 0600") \
	X("key_credential", key_credential, TEXT, "", 1, 128, "instead of `key`: name of a systemd credential (LoadCredential= in the unit)")

#define CONFIG_METRICS(X) \
	X("listen", listen_text, TEXT, "", 0, 128, "address for Prometheus, for example 127.0.0.1:9464; off without it")

#define CONFIG_TELEMETRY(X) \
	X("otlp", otlp, TEXT, "", 0, 256, \
		"where an OpenTelemetry collector takes OTLP over HTTP, as OTEL_EXPORTER_OTLP_ENDPOINT has it, for example https://otlp.example.com:4318: a span for each request that is booked, " \
		"at `/v1/traces` below it; off without it. Plain http only to this machine or a private network") \
	X("ca_file", ca_file, TEXT, "", 1, 4000, \
		"https: path of a PEM file, who may have signed the collector's certificate, as OTEL_EXPORTER_OTLP_CERTIFICATE; the system's list without it. Read at the start") \
	X("headers_file", headers_file, TEXT, "", 1, 4000, \
		"path of a file with headers for the collector, a key for example, as OTEL_EXPORTER_OTLP_HEADERS has them: `api-key=secret,x-tenant=7`, or one on each line; mode 0600") \
	X("headers_env", headers_env, TEXT, "", 1, 128, "instead of `headers_file`: name of an environment variable with them, for example OTEL_EXPORTER_OTLP_HEADERS; it is removed before any other process starts") \
	X("headers_credential", headers_credential, TEXT, "", 1, 128, "instead of `headers_file`: name of a systemd credential with them (LoadCredential= in the unit)")

#define CONFIG_BYOK_FEE(X) \
	X("percent", percent_x100, RATIO, "0", 0, 100000, "of the list price: everything that the request would cost without the own key, in percent, for example '5'") \
	X("per_request", per_request_nano, DOLLARS, "0", 0, DOLLARS_MOST, "added to each request")

#define CONFIG_LOG(X) \
	X("file", file, TEXT, "", 0, 4000, "path of the log (JSON lines, never content); standard error without it") \
	X("level", level, LOG_LEVEL, "info", 0, 3, "events below this are counted in metrics and not written; what a process says as it dies always is")

#define CONFIG_PROVIDER(X) \
	X("name", name, TEXT, NULL, 1, 64, "your name for it: small letters, digits, '-', '_', '.'") \
	X("url", url, TEXT, NULL, 8, 400, "where its API begins, for example https://api.openai.com/v1; plain http only to this machine or a private network") \
	X("http2", http2, FLAG, "true", 0, 1, "https: HTTP/2 if the provider chooses it, many requests over one connection; else HTTP/1.1") \
	X("ca_file", ca_file, TEXT, "", 1, 4000, "https: path of a PEM file, who may have signed its certificate, or that certificate itself; `tls.ca_file` without it") \
	X("dialect", dialect, DIALECT, "openai", 0, 2, \
		"whose API it speaks: `openai` (xAI, DeepSeek and most others too), `anthropic` or `gemini`; its models are served at that API's endpoints") \
	X("cap_field", cap_field, CAP_FIELD, "max_completion_tokens", 0, 1, \
		"how a bound on a chat answer is written when the gateway sets one: `max_tokens` for providers that know only the old name") \
	X("store", store, FLAG, "false", 0, 1, \
		"let it keep answers: requests may say `store: true`, and responses that say nothing are kept as its API does; without it the gateway says `store: false`. " \
		"What is kept lies in your account; with `objects`, customers can ask for responses again, and let them run in the background") \
	X("objects", objects, FLAG, "false", 0, 1, \
		"let customers keep files there (and responses, with `store`), under ids that only their account can use; of several such providers of one dialect the first is where files go. " \
		"All of its keys must belong to one project, or a file would be missing for some of them") \
	X("responses", responses, FLAG, "true", 0, 1, \
		"openai: it has the Responses API; without it requests at /v1/responses are translated for its chat completions") \
	X("language", language, LANGUAGE, "", 0, 3, \
		"openai: which API its models are asked by, whatever API the request came in: `responses` for models that the Responses API alone reaches, `chat` for those that chat completions alone " \
		"reach, `both`: responses for requests at /v1/responses, chat completions for all others. Without it `both`, or `chat` where `responses` is false") \
	X("completions", completions, FLAG, "false", 0, 1, \
		"openai: it has the old completions for its models; without it requests at /v1/completions are translated for its chat completions") \
	X("safety_identifier", safety_identifier, FLAG, "false", 0, 1, \
		"`openai` and `anthropic`: tell it with each request to a model of language who asks, as a hash under your pepper of the account and of what the caller says of its user " \
		"(`safety_identifier`, `user`, `metadata.user_id`), which goes up in no other form; so that it can hold one user to account, and not all of you") \
	X("inject_usage", inject_usage, FLAG, "true", 0, 1, \
		"ask for token counts in streams (stream_options.include_usage) when the client did not; the extra event is cut out again") \
	X("on_client_gone", on_client_gone, CLIENT_GONE, "cancel", 0, 1, \
		"client hangs up in mid-answer: `cancel` closes the provider's connection and charges what was counted, `drain` reads on for its count") \
	X("retention", retention, RETENTION, "kept", 0, 2, \
		"`zero`: it has promised to keep nothing of requests and answers; only such ones are asked for requests that say `lethe-policy: zero-retention`") \
	X("region", region, TEXT, "", 1, 15, "where it processes, for example eu: only those with that word are asked for requests that say `lethe-policy: region=eu`") \
	X("balance", balance, BALANCE, "auto", 0, 3, \
		"how it tells what your account there has left, for `lethe provider check`: `deepseek` (GET /user/balance), `openrouter` (GET credits; the key must be allowed to), `none`: not; `auto`: by its host") \
	X("low_balance", low_balance_nano, DOLLARS, "0", 0, DOLLARS_MOST, "`lethe provider check` fails when the account has less than this left") \
	X("optional", optional, FLAG, "false", 0, 1, \
		"while none of its keys is there (variable unset, file absent) the provider is off: its models are neither served nor listed, and the start says so; otherwise a missing key refuses the start")

#define CONFIG_KEY(X) \
	X("env", env, TEXT, "", 1, 128, "name of an environment variable; it is removed before any other process starts") \
	X("file", file, TEXT, "", 1, 4000, "path of a file that holds the key; mode 0600") \
	X("credential", credential, TEXT, "", 1, 128, "name of a systemd credential (LoadCredential= in the unit)")

#define CONFIG_LANE(X) \
	X("name", name, TEXT, NULL, 1, 31, "what clients call it, in the header `lethe-lane` or behind the model's name, `model:lane`: small letters, digits, '-', '_', '.'") \
	X("times", times_x100, RATIO, "1", 1, 100000, "what everything costs in it, so many times: '0.5' is half") \
	X("sticky", sticky, STICKY, "cache", 0, 2, \
		"which requests go to one of several equal targets, and to one of a provider's keys, for its prompt cache is warm there: `cache` those of an account that say the same " \
		"`prompt_cache_key`, else of the same user, else those that begin alike; `key` all of one key; `none`: each may go anywhere") \
	X("choice", choice, CHOICE, "weight", 0, 2, \
		"which of several targets of one rank is asked: `weight`: each has its share of the requests; `load`: the one with the least in progress for its `weight`; `speed`: " \
		"the one whose answers began soonest of late, for what it has in progress. Each edge counts for itself")

#define CONFIG_TARGET(X) \
	X("provider", provider, TEXT, NULL, 1, 64, "name of one of the providers") \
	X("upstream", upstream, TEXT, "", 1, 127, "the provider's name for the model; the model's `upstream` without it") \
	X("rank", rank, COUNT, "1", 1, 1000, "who comes first: targets of a higher number are asked when none of a lower one is left") \
	X("weight", weight, COUNT, "1", 1, 1000, "share of the requests among targets of one rank") \
	X("language", language, LANGUAGE, "", 0, 3, "openai: `chat`, `responses` or `both`, where it differs from the model's or the provider's") \
	X("retention", retention, RETENTION, "", 0, 2, "`kept` or `zero`, where it differs from the provider's") \
	X("region", region, TEXT, "", 1, 15, "where it differs from the provider's")

#define CONFIG_MODEL(X) \
	X("id", id, TEXT, NULL, 1, 127, "the name that clients use") \
	X("upstream", upstream, TEXT, "", 1, 127, "the provider's name for it; same as id without it") \
	X("provider", provider, TEXT, "", 1, 64, "name of one of the providers; required without `targets`, of which it and `upstream` are the short form for one") \
	X("language", language, LANGUAGE, "", 0, 3, \
		"openai: which API it is asked by, where it differs from its provider's `language`: `responses` for the models that OpenAI serves by the Responses API alone (its pro and codex models)") \
	X("context", context_tokens, COUNT, NULL, 1, 1000000000, "context window in tokens") \
	X("output", output_tokens, COUNT, NULL, 1, 1000000000, "most tokens of one answer, hidden reasoning included") \
	X("reasoning", reasoning, FLAG, "false", 0, 1, "produces output that is charged but not shown") \
	X("thinking", thinking, THINKING, "auto", 0, 3, \
		"how it is told to think when the request came in another API: `none`, by an `effort`, by a `budget` of tokens (older Claude, Gemini 2.5); `auto`: by an effort if it is `reasoning`") \
	X("tokenizer", tokenizer, TOKENIZER, "none", 0, 2, \
		"by which vocabulary its provider counts text: `o200k_base` (OpenAI since GPT-4o), `cl100k_base` (GPT-4, GPT-3.5, embeddings); with one, tokens are estimated by it where nobody has " \
		"counted them") \
	X("bytes_per_token", bytes_per_token_x100, RATIO, "2", 1, 10000, "fewest bytes of prompt per token; what a request may cost at most is reserved by it") \
	X("image_tokens", image_tokens, COUNT, "4096", 0, 1000000000, "most tokens of one image in a prompt") \
	X("audio_tokens", audio_tokens, COUNT, "32768", 0, 1000000000, "most tokens of one audio part in a prompt") \
	X("file_tokens", file_tokens, COUNT, "65536", 0, 1000000000, "most tokens of one file in a prompt") \
	X("created", created_ms, DAY, "", 0, 0, "date that the model list shows; the first price's without it")

/*
 * The rows are in the order of TOKEN_KINDS (checked at compile time); what has no price takes that of the kind in
 * brackets.
 */
#define PRICE_MOST 1000000000000ULL
#define DOLLARS_MOST 1000000000000ULL
#define CONFIG_PRICE(X) \
	X("from", from_ms, DAY, NULL, 0, 0, "in force from this day (UTC), or from this time: 2026-01-01T12:00:00Z") \
	X("above", above_tokens, COUNT, "0", 0, 1000000000, "for requests whose prompt has more tokens than this, and then for all of their tokens") \
	X("tier", tier, TIER, "standard", 0, 4, "for answers that the provider served in this tier: `flex`, `priority`, `batch`, `fast`") \
	X("times", times_x100, RATIO, "0", 0, 10000, "instead of prices, with `tier`: so many times those of the standard tier, for example '0.5'") \
	X("geo_us", geo_us_x100, RATIO, "1", 100, 10000, "what tokens cost, so many times, when inference was bound to the US") \
	X("input", input, PER_MILLION, "", 0, PRICE_MOST, "prompt tokens; required without `times`") \
	X("cached", cached, PER_MILLION, "", 0, PRICE_MOST, "prompt tokens from the provider's cache [input]") \
	X("cache_write", cache_write, PER_MILLION, "", 0, PRICE_MOST, "prompt tokens written to the cache [input]") \
	X("cache_write_1h", cache_write_1h, PER_MILLION, "", 0, PRICE_MOST, "prompt tokens written to the cache for an hour [cache_write]") \
	X("audio_in", audio_in, PER_MILLION, "", 0, PRICE_MOST, "audio tokens of the prompt [input]") \
	X("image_in", image_in, PER_MILLION, "", 0, PRICE_MOST, "image tokens of the prompt [input]") \
	X("video_in", video_in, PER_MILLION, "", 0, PRICE_MOST, "video tokens of the prompt [input]") \
	X("cached_audio", cached_audio, PER_MILLION, "", 0, PRICE_MOST, "audio tokens of the prompt from the provider's cache [cached]") \
	X("cached_image", cached_image, PER_MILLION, "", 0, PRICE_MOST, "image tokens of the prompt from the provider's cache [cached]") \
	X("output", output, PER_MILLION, "", 0, PRICE_MOST, "tokens of the answer") \
	X("reasoning", reasoning, PER_MILLION, "", 0, PRICE_MOST, "hidden reasoning tokens [output]") \
	X("audio_out", audio_out, PER_MILLION, "", 0, PRICE_MOST, "audio tokens of the answer [output]") \
	X("image_out", image_out, PER_MILLION, "", 0, PRICE_MOST, "image tokens of the answer [output]") \
	X("per_request", per_request_nano, DOLLARS, "0", 0, DOLLARS_MOST, "added to each request") \
	X("web_search", web_search_nano, DOLLARS, "0", 0, DOLLARS_MOST, "each search of the web that the provider made for an answer") \
	X("file_search", file_search_nano, DOLLARS, "0", 0, DOLLARS_MOST, "each search of files") \
	X("code_session", code_session_nano, DOLLARS, "0", 0, DOLLARS_MOST, "each sandbox in which the provider ran code") \
	X("audio_second", audio_second_nano, DOLLARS, "0", 0, DOLLARS_MOST, "each second of audio, where the provider bills by duration") \
	X("image", image_nano, DOLLARS, "0", 0, DOLLARS_MOST, "each image made, where the provider reports no tokens")

/* X(SECTION, name) */
#define CONFIG_SECTIONS(X) \
	X(TOP, top) \
	X(LISTENER, listener) \
	X(LIMITS, limits) \
	X(TIMEOUTS, timeouts) \
	X(TLS, tls) \
	X(CERTIFICATE, certificate) \
	X(METRICS, metrics) \
	X(TELEMETRY, telemetry) \
	X(BYOK_FEE, byok_fee) \
	X(LOG, log) \
	X(PROVIDER, provider) \
	X(KEY, key) \
	X(LANE, lane) \
	X(MODEL, model) \
	X(TARGET, target) \
	X(PRICE, price)

#endif
