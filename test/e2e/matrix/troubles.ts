// What goes wrong, and as what each SDK raises it; where asking again is senseless the SDK is told so and asks once.
import Anthropic from "@anthropic-ai/sdk";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { ApiError } from "@google/genai";
import { APICallError, generateText, type LanguageModel } from "ai";
import OpenAI from "openai";
import { expect } from "vitest";
import type { Json } from "../../harness/lethe.ts";
import { type Answer, json } from "../../harness/provider.ts";
import type { Cost, Stand } from "../../harness/stand.ts";
import type { Case } from "./cases.ts";

type Dialect = "openai" | "anthropic" | "google";
// What the request is made of; what is not given is right.
type Asked = { key?: string; model?: string; more?: Json; text?: string };
type Trouble = {
	name: string;
	asks?: (s: Stand, dialect: Dialect) => Asked;
	says?: (dialect: Dialect) => Answer;
	status: number;
	// The classes that the SDKs of OpenAI and Anthropic have for it.
	raises: [Function, Function];
	// Anthropic's name for it, and Google's.
	type: string;
	google: string;
	retry: boolean;
	// What Lethe said itself is told by its code.
	code?: string;
	// Asked with members that only a body of one's own has.
	raw?: true;
	booked?: Cost[];
};

const gone: Record<Dialect, string> = { openai: "gone-gpt", anthropic: "gone-claude", google: "gone-gemini" };
const stored: Record<Dialect, Json> = {
	openai: { prompt: { id: "pmpt_1" } },
	anthropic: { container: "container_1" },
	google: { cachedContent: "cachedContents/1" },
};
const malformed: Record<Dialect, Json> = {
	openai: { max_output_tokens: -1 },
	anthropic: { max_tokens: -1 },
	google: { maxOutputTokens: -1 },
};

// An error in the provider's own shape.
function refuses(status: number, type: string, google: string, message: string, headers: Record<string, string> = {}): (dialect: Dialect) => Answer {
	const bodies: Record<Dialect, Json> = {
		openai: { error: { message, type, param: null, code: null } },
		anthropic: { type: "error", error: { type, message }, request_id: "req_upstream" },
		google: { error: { code: status, message, status: google } },
	};
	return (dialect) => ({ ...json(bodies[dialect], status), headers });
}

const nothing: Cost[] = [{ dollars: "0" }];

const list: Trouble[] = [
	{
		name: "a wrong key",
		asks: () => ({ key: "lethe_live_nonsense" }),
		status: 401, raises: [OpenAI.AuthenticationError, Anthropic.AuthenticationError], type: "authentication_error", google: "UNAUTHENTICATED", code: "invalid_api_key", retry: false,
	},
	{
		name: "no money",
		asks: (s) => ({ key: s.poor.key }),
		status: 402, raises: [OpenAI.APIError, Anthropic.PaymentRequiredError], type: "billing_error", google: "FAILED_PRECONDITION", code: "insufficient_quota", retry: false,
	},
	{
		name: "a model that is not there",
		asks: () => ({ model: "nobody" }),
		status: 404, raises: [OpenAI.NotFoundError, Anthropic.NotFoundError], type: "not_found_error", google: "NOT_FOUND", code: "model_not_found", retry: false,
	},
	{
		name: "a request that is wrong",
		asks: (_, dialect) => ({ more: malformed[dialect] }),
		status: 400, raises: [OpenAI.BadRequestError, Anthropic.BadRequestError], type: "invalid_request_error", google: "INVALID_ARGUMENT", code: "bad_request", retry: false, raw: true,
	},
	{
		name: "an object that is stored at the provider",
		asks: (_, dialect) => ({ more: stored[dialect] }),
		status: 400, raises: [OpenAI.BadRequestError, Anthropic.BadRequestError], type: "invalid_request_error", google: "INVALID_ARGUMENT", code: "bad_request", retry: false, raw: true,
	},
	{
		name: "a request that is too large",
		asks: () => ({ text: "x".repeat(1 << 20) }),
		status: 413, raises: [OpenAI.APIError, Anthropic.ContentTooLargeError], type: "request_too_large", google: "INVALID_ARGUMENT", code: "request_too_large", retry: false,
	},
	{
		name: "a provider that can't be reached",
		asks: (_, dialect) => ({ model: gone[dialect] }),
		status: 502, raises: [OpenAI.InternalServerError, Anthropic.InternalServerError], type: "api_error", google: "UNAVAILABLE", code: "upstream_unreachable", retry: true, booked: nothing,
	},
	{
		name: "the provider finds the request wrong",
		says: refuses(400, "invalid_request_error", "INVALID_ARGUMENT", "what you ask is odd"),
		status: 400, raises: [OpenAI.BadRequestError, Anthropic.BadRequestError], type: "invalid_request_error", google: "INVALID_ARGUMENT", retry: false, booked: nothing,
	},
	{
		name: "the provider limits the rate",
		says: refuses(429, "rate_limit_error", "RESOURCE_EXHAUSTED", "slow down", { "retry-after": "7" }),
		status: 429, raises: [OpenAI.RateLimitError, Anthropic.RateLimitError], type: "rate_limit_error", google: "RESOURCE_EXHAUSTED", retry: true, booked: nothing,
	},
	{
		name: "the provider fails",
		says: refuses(500, "api_error", "INTERNAL", "it broke"),
		status: 500, raises: [OpenAI.InternalServerError, Anthropic.InternalServerError], type: "api_error", google: "INTERNAL", retry: true, booked: nothing,
	},
	{
		name: "the provider has too much to do",
		says: refuses(529, "overloaded_error", "UNAVAILABLE", "Overloaded"),
		status: 529, raises: [OpenAI.InternalServerError, Anthropic.OverloadedError], type: "overloaded_error", google: "UNAVAILABLE", retry: true, booked: nothing,
	},
	{
		name: "the provider refuses the operator's key",
		says: refuses(401, "authentication_error", "UNAUTHENTICATED", "sk-secret is wrong"),
		status: 503, raises: [OpenAI.InternalServerError, Anthropic.ServiceUnavailableError], type: "overloaded_error", google: "UNAVAILABLE", code: "upstream_unavailable", retry: true, booked: nothing,
	},
	{
		name: "the provider refuses the operator's account",
		says: refuses(403, "permission_error", "PERMISSION_DENIED", "sk-secret may not do that"),
		status: 503, raises: [OpenAI.InternalServerError, Anthropic.ServiceUnavailableError], type: "overloaded_error", google: "UNAVAILABLE", code: "upstream_unavailable", retry: true, booked: nothing,
	},
];

// ---- the SDKs

async function raised(promise: PromiseLike<unknown>): Promise<any> {
	return Promise.resolve(promise).then(
		() => expect.unreachable("it was answered"),
		(error: unknown) => error,
	);
}

function counting(): { fetch: typeof fetch; tries: () => number } {
	let n = 0;
	return { fetch: (...args) => (n++, fetch(...args)), tries: () => n };
}

// Where a retry is senseless there may be two, and is none; where it makes sense nothing forbids it.
function checkRetries(t: Trouble, headers: Headers | undefined, tries: number): void {
	expect(tries).toBe(1);
	const told = headers?.get("x-should-retry") ?? undefined;
	if (t.retry) expect(told).toBeUndefined();
	else if (t.code) expect(told).toBe("false");
}

type Raising = { name: string; dialect: Dialect; raise: (s: Stand, t: Trouble, asked: Asked) => Promise<void> };

const request = (a: Asked) => ({ input: a.text ?? "hi", ...a.more });

const sdks: Raising[] = [
	{
		name: "openai",
		dialect: "openai",
		raise: async (s, t, a) => {
			const { fetch, tries } = counting();
			const client = s.openai({ fetch, maxRetries: t.retry ? 0 : 2, ...(a.key ? { apiKey: a.key } : {}) });
			const error = await raised(client.responses.create({ model: a.model ?? "gpt", ...request(a) }));
			expect(error.constructor).toBe(t.raises[0]);
			expect(error).toMatchObject({ status: t.status, requestID: expect.stringMatching(/^req_/), ...(t.code ? { code: t.code } : {}) });
			expect(error.message).not.toContain("sk-");
			checkRetries(t, error.headers, tries());
		},
	},
	{
		name: "@anthropic-ai/sdk",
		dialect: "anthropic",
		raise: async (s, t, a) => {
			const { fetch, tries } = counting();
			const client = s.anthropic({ fetch, maxRetries: t.retry ? 0 : 2, ...(a.key ? { apiKey: a.key } : {}) });
			const messages = [{ role: "user" as const, content: a.text ?? "hi" }];
			const error = await raised(client.messages.create({ model: a.model ?? "claude", max_tokens: 100, messages, ...a.more }));
			expect(error.constructor).toBe(t.raises[1]);
			expect(error).toMatchObject({ status: t.status, requestID: expect.stringMatching(/^req_/), error: { type: "error", error: { type: t.type } } });
			expect(error.message).not.toContain("sk-");
			checkRetries(t, error.headers, tries());
		},
	},
	{
		name: "@google/genai",
		dialect: "google",
		raise: async (s, t, a) => {
			const config = { ...a.more };
			const error = await raised(s.google(a.key).models.generateContent({ model: a.model ?? "gemini", contents: a.text ?? "hi", config }));
			expect(error).toBeInstanceOf(ApiError);
			expect(error.status).toBe(t.status);
			expect(JSON.parse(error.message).error).toMatchObject({ code: t.status, status: t.google });
			expect(error.message).not.toContain("sk-");
		},
	},
	vercel("@ai-sdk/openai", "openai", (s, a) => createOpenAI({ baseURL: `${s.url}/v1`, apiKey: a.key ?? s.customer.key })(a.model ?? "gpt")),
	vercel("@ai-sdk/anthropic", "anthropic", (s, a) => createAnthropic({ baseURL: `${s.url}/v1`, apiKey: a.key ?? s.customer.key })(a.model ?? "claude")),
	vercel("@ai-sdk/google", "google", (s, a) => createGoogleGenerativeAI({ baseURL: `${s.url}/v1beta`, apiKey: a.key ?? s.customer.key })(a.model ?? "gemini")),
];

function vercel(name: string, dialect: Dialect, of: (s: Stand, a: Asked) => LanguageModel): Raising {
	return {
		name: `ai with ${name}`,
		dialect,
		raise: async (s, t, a) => {
			const error = await raised(generateText({ model: of(s, a), prompt: a.text ?? "hi", maxRetries: t.retry ? 0 : 2 }));
			expect(APICallError.isInstance(error)).toBe(true);
			expect(error).toMatchObject({ statusCode: t.status, isRetryable: t.retry });
			expect(error.message).not.toContain("sk-");
		},
	};
}

// The AI SDK has no way of its own to send such a thing.
const can = (sdk: Raising, t: Trouble) => !(t.raw && sdk.name.startsWith("ai "));

function caseOf(sdk: Raising, t: Trouble): Case {
	return {
		name: `${t.name}: ${t.status}`,
		...(t.says ? { says: t.says(sdk.dialect) } : {}),
		does: async (s) => {
			const before = s.provider.seen.length;
			await sdk.raise(s, t, t.asks?.(s, sdk.dialect) ?? {});
			expect(s.provider.seen.length - before).toBe(t.says ? 1 : 0);
		},
		costs: t.booked ?? [],
	};
}

export const troubles: Record<string, Case[]> = Object.fromEntries(
	sdks.map((sdk) => [`${sdk.name}: what goes wrong`, list.filter((t) => can(sdk, t)).map((t) => caseOf(sdk, t))]),
);
