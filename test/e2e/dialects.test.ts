import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Account, type Json, Lethe, nano, upstreamKey } from "../harness/lethe.ts";
import * as provider from "../harness/provider.ts";
import { Provider } from "../harness/provider.ts";
import { until } from "../harness/until.ts";

let p: Provider;
let lethe: Lethe;
let a: Account;
let people = 0;
// Long enough that what is reserved for it covers what the answers below claim that it had.
const long = "hi ".repeat(1500);

const price = { from: "2026-01-01", input: "1.00", cached: "0.10", cache_write: "1.25", cache_write_1h: "2.00", output: "10.00" };
const model = (id: string, of: string, more: Json = {}) => ({ id, provider: of, context: 200_000, output: 8_000, prices: [price], ...more });

beforeAll(async () => {
	p = await Provider.start();
	const key = { keys: [{ env: "SIM_API_KEY" }] };
	lethe = await Lethe.start({
		config: {
			providers: [
				{ name: "openai", url: `${p.url}/v1`, ...key },
				{ name: "anthropic", url: `${p.url}/v1`, dialect: "anthropic", ...key },
				{ name: "google", url: `${p.url}/v1beta`, dialect: "gemini", ...key },
				{ name: "xai", url: `${p.url}/xai/v1`, ...key },
				{ name: "deepseek", url: `${p.url}/deepseek`, cap_field: "max_tokens", inject_usage: true, ...key },
			],
			models: [
				model("gpt", "openai", {
					upstream: "gpt-upstream",
					prices: [price, { from: "2026-01-01", tier: "flex", times: "0.5" }, { ...price, above: 5_000, input: "2.00", output: "15.00" }],
				}),
				model("text-embedding", "openai"),
				model("omni-moderation-latest", "openai", { prices: [{ from: "2026-01-01", input: "0", output: "0" }] }),
				model("claude", "anthropic", { upstream: "claude-upstream", prices: [{ ...price, geo_us: "1.1", web_search: "0.01" }] }),
				model("opus", "anthropic", { upstream: "claude-opus", prices: [{ ...price, input: "5.00", output: "25.00" }] }),
				model("gemini", "google", { upstream: "gemini-upstream" }),
				model("gemini-embedding", "google"),
				model("grok", "xai"),
				model("deepseek-chat", "deepseek"),
			],
		},
	});
});
afterAll(async () => {
	await lethe?.finish();
	p?.stop();
});
beforeEach(async () => {
	a = await lethe.account(`person-${++people}`, "100");
});

const openai = (options: Json = {}) => new OpenAI({ apiKey: a.key, baseURL: `${lethe.url}/v1`, maxRetries: 0, ...options });
const anthropic = (options: Json = {}) => new Anthropic({ apiKey: a.key, baseURL: lethe.url, maxRetries: 0, ...options });
const google = (apiKey = a.key) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: lethe.url } });

async function refusal(promise: PromiseLike<unknown>): Promise<any> {
	return Promise.resolve(promise).then(
		() => {
			throw new Error("it was not refused");
		},
		(error: unknown) => error,
	);
}

// Exactly this was taken, once it is booked.
async function cost(dollars: string): Promise<void> {
	let left = -1;
	await until("the balance is booked", async () => (left = await lethe.balance(a.id)) === nano("100") - nano(dollars)).catch(() => {
		throw new Error(`it cost ${(nano("100") - left) / 1e9}, not ${dollars}`);
	});
}

describe("OpenAI responses", () => {
	// 600 x $1.00 + 400 x $0.10 + 200 x $10.00 per million
	const usual = "0.00264";

	test("plain: the text, and exactly what it cost; nothing is stored at the provider", async () => {
		p.answers(provider.json(provider.response()));
		const answer = await openai().responses.create({ model: "gpt", input: "hi" });
		expect(answer.output_text).toBe("Hello there");
		expect(p.last.url).toBe("/v1/responses");
		expect(p.last.headers["authorization"]).toBe(`Bearer ${upstreamKey}`);
		expect(p.last.body).toMatchObject({ model: "gpt-upstream", input: "hi", store: false });
		await cost(usual);
	});

	test("the tier that served, and a large prompt, have prices of their own", async () => {
		p.answers(provider.json(provider.response({ service_tier: "flex" })));
		await openai().responses.create({ model: "gpt", input: long, service_tier: "flex" });
		await cost("0.00132"); // half
		const usage = { ...provider.responsesUsage, input_tokens: 5001, total_tokens: 5201 };
		p.answers(provider.json(provider.response({ usage })));
		await openai().responses.create({ model: "gpt", input: `${long}${long}${long}` });
		await cost("0.013562"); // and 4601 x $2 + 400 x $0.10 + 200 x $15
		const next = { ...provider.responsesUsage, input_tokens: 5000, total_tokens: 5200 };
		p.answers(provider.json(provider.response({ usage: next, service_tier: "priority" })));
		await openai().responses.create({ model: "gpt", input: `${long}${long}${long}` });
		await cost("0.020202"); // no price for priority: 4600 x $1 + 400 x $0.10 + 200 x $10
		expect((await lethe.verify()).json).toMatchObject({ tickets_with_an_unexplained_difference: 0 });
	});

	test("streamed: every event, and the same cost", async () => {
		p.answers(provider.events(provider.responseEvents(), { named: true }));
		const stream = await openai().responses.create({ model: "gpt", input: "hi", stream: true, store: false });
		const types: string[] = [];
		for await (const event of stream) types.push(event.type);
		expect(types).toEqual(provider.responseEvents().map((e) => e["type"]));
		await cost(usual);
	});

	test("tools, a JSON schema and reasoning effort go up as they are", async () => {
		const call = { type: "function_call", id: "fc_1", call_id: "call_1", name: "weather", arguments: '{"city":"Rome"}', status: "completed" };
		p.answers(provider.json(provider.response({ output: [call, { ...call, id: "fc_2", call_id: "call_2" }] })));
		const request = {
			model: "gpt",
			input: [{ role: "user" as const, content: [{ type: "input_image" as const, image_url: "data:image/png;base64,AAAA", detail: "auto" as const }] }],
			tools: [{ type: "function" as const, name: "weather", strict: true, parameters: { type: "object", properties: {} } }],
			reasoning: { effort: "low" as const },
			text: { format: { type: "json_schema" as const, name: "out", schema: { type: "object" } } },
			max_output_tokens: 500,
		};
		const answer = await openai().responses.create(request);
		expect(answer.output.map((item) => item.type)).toEqual(["function_call", "function_call"]);
		expect(p.last.body).toEqual({ ...request, model: "gpt-upstream", store: false });
		await cost(usual);
	});

	test("a provider that may keep answers is asked as the customer asks", async () => {
		const open = await Lethe.start({
			config: {
				providers: [{ name: "sim", url: `${p.url}/v1`, keys: [{ env: "SIM_API_KEY" }], store: true }],
			},
		});
		const customer = await open.account("customer", "1");
		for (const store of [true, false, undefined]) {
			p.answers(provider.json(provider.response()));
			await open.client(customer.key).responses.create({ model: "exact", input: "hi", ...(store === undefined ? {} : { store }) });
			expect((p.last.body as { store?: boolean }).store).toBe(store);
		}
		await open.finish();
	});

	test("200 is no success: an answer that failed is an error without a charge", async () => {
		const failed = provider.response({ status: "failed", error: { code: "server_error", message: "no" }, usage: null, output: [] });
		p.answers(
			provider.events(
				[
					{ type: "error", sequence_number: 0, error: { type: "server_error", code: "server_error", message: "no", param: null } },
					{ type: "response.failed", sequence_number: 1, response: failed },
				],
				{ named: true },
			),
		);
		const stream = await openai().responses.create({ model: "gpt", input: "hi", stream: true });
		await refusal(
			(async () => {
				for await (const _ of stream);
			})(),
		);
		await cost("0");
	});

	test.each([
		["previous_response_id", { previous_response_id: "resp_x" }, OpenAI.NotFoundError],
		["store", { store: true }, OpenAI.BadRequestError],
		["background", { background: true }, OpenAI.BadRequestError],
	])("what would be kept at the provider is refused: %s", async (_, more, kind) => {
		const before = p.seen.length;
		const error = await refusal(openai().responses.create({ model: "gpt", input: "hi", ...more }));
		expect(error).toBeInstanceOf(kind);
		expect(p.seen.length).toBe(before);
	});

	test("an answer that breaks off is charged by what was counted, and reads as broken", async () => {
		p.answers({ ...provider.events(provider.responseEvents().slice(0, 6), { named: true }), cut: true });
		const stream = await openai().responses.create({ model: "gpt", input: "hi", stream: true });
		const seen: Json[] = [];
		await refusal(
			(async () => {
				for await (const event of stream) seen.push(event);
			})(),
		);
		expect(seen.map((e) => e["type"])).toContain("response.output_text.delta");
		const total = await until("it is booked", async () => {
			const u = await lethe.usage(a.id);
			return u["requests"] === 1 && u;
		});
		expect(total["tokens"]["output"]).toBeGreaterThan(0);
	});
});

describe("the Anthropic SDK", () => {
	// 100 x $1 + 200 x $0.10 + 100 x $1.25 + 200 x $2 + 50 x $10 per million
	const usual = "0.001145";
	const ask = { model: "claude", max_tokens: 100, messages: [{ role: "user" as const, content: long }] };

	test("plain: the text, the provider's key and version, exactly what it cost", async () => {
		p.answers(provider.json(provider.message()));
		const answer = await anthropic().messages.create(ask);
		expect(answer.content[0]).toMatchObject({ type: "text", text: "Hello there" });
		expect(p.last.url).toBe("/v1/messages");
		expect(p.last.headers).toMatchObject({ "x-api-key": upstreamKey, "anthropic-version": expect.stringMatching(/^20\d\d-\d\d-\d\d$/) });
		expect(p.last.headers["authorization"]).toBeUndefined();
		expect(p.last.body).toEqual({ ...ask, model: "claude-upstream" });
		expect(answer._request_id).toMatch(/^req_/);
		await cost(usual);
	});

	test("streamed: every event, with its padding, and the same cost", async () => {
		p.answers(provider.events(provider.messageEvents(), { named: true, pad: true }));
		const final = await anthropic().messages.stream(ask).finalMessage();
		expect(final.content).toEqual([expect.objectContaining({ type: "text", text: "Hello there" })]);
		expect(final.usage.output_tokens).toBe(50);
		await cost(usual);
	});

	test("beta features: the header goes up, and the switch that older SDKs put into the path", async () => {
		p.answers(provider.json(provider.message()));
		await anthropic().beta.messages.create({ ...ask, betas: ["context-1m-2025-08-07"] }, { query: { beta: "true", other: "1" } });
		expect(p.last.url).toBe("/v1/messages?beta=true");
		expect(p.last.headers["anthropic-beta"]).toBe("context-1m-2025-08-07");
	});

	test("tools, images, thinking go up as they are", async () => {
		const request = {
			...ask,
			messages: [
				{ role: "user" as const, content: [{ type: "image" as const, source: { type: "base64" as const, media_type: "image/png" as const, data: "AAAA" } }] },
			],
			tools: [{ name: "weather", input_schema: { type: "object" as const, properties: {} } }],
			thinking: { type: "enabled" as const, budget_tokens: 1024 },
			max_tokens: 2000,
		};
		const uses = [1, 2].map((i) => ({ type: "tool_use", id: `toolu_${i}`, name: "weather", input: { city: "Rome" } }));
		p.answers(provider.json(provider.message({ content: [{ type: "thinking", thinking: "…", signature: "s" }, ...uses], stop_reason: "tool_use" })));
		const answer = await anthropic().messages.create(request);
		expect(answer.content.map((b) => b.type)).toEqual(["thinking", "tool_use", "tool_use"]);
		expect(p.last.body).toEqual({ ...request, model: "claude-upstream" });
		await cost(usual);
	});

	test("an answer that bills another model too is charged for both, each at its own price, and shows a leg", async () => {
		const usage = {
			input_tokens: 100,
			output_tokens: 10,
			iterations: [
				{ type: "message", input_tokens: 100, output_tokens: 10 },
				{ type: "advisor_message", model: "claude-opus-20260101", input_tokens: 1000, output_tokens: 100 },
			],
		};
		p.answers(provider.json(provider.message({ usage })));
		await anthropic().messages.create({ ...ask, max_tokens: 2000 });
		await cost("0.0077"); // 100 x $1 + 10 x $10, 1000 x $5 + 100 x $25
		const total = await lethe.usage(a.id);
		expect(total["tokens"]).toMatchObject({ input: 1100, output: 110 });
		expect((await lethe.verify()).json).toMatchObject({ tickets_with_an_unexplained_difference: 0 });
	});

	test("searches cost by the piece, inference in the US a tenth more", async () => {
		const usage = { input_tokens: 100, output_tokens: 10, server_tool_use: { web_search_requests: 2 }, inference_geo: "us" };
		p.answers(provider.json(provider.message({ usage })));
		await anthropic().messages.create({ ...ask, max_tokens: 3000, tools: [{ type: "web_search_20250305", name: "web_search", max_uses: 3 }] });
		await cost("0.02022"); // 2 x $0.01, (100 x $1 + 10 x $10) x 1.1
		expect((await lethe.verify()).json).toMatchObject({ tickets_with_an_unexplained_difference: 0 });
	});

	test("refused before a word was said: free", async () => {
		p.answers(provider.json(provider.message({ content: [], stop_reason: "refusal" })));
		expect((await anthropic().messages.create(ask)).stop_reason).toBe("refusal");
		await cost("0");
	});

	test("an overload in mid-stream is raised, and what came before is charged", async () => {
		p.answers(
			provider.events([...provider.messageEvents().slice(0, 4), { type: "error", error: { type: "overloaded_error", message: "Overloaded" } }], { named: true }),
		);
		const error = await refusal(anthropic().messages.stream(ask).finalMessage());
		expect(error).toBeInstanceOf(Anthropic.APIError);
		await cost("0.000665"); // "Hello ", counted: 2
	});

	test.each([
		["a body without max_tokens", "BadRequestError", async () => anthropic().messages.create({ ...ask, max_tokens: undefined as never })],
		["a file of the operator's account", "NotFoundError",
			async () => anthropic().messages.create({ ...ask, messages: [{ role: "user", content: [{ type: "image", source: { type: "file", file_id: "f" } as never }] }] })],
	])("%s raises %s, and retries nothing", async (_, name, call) => {
		const before = p.seen.length;
		const error = await refusal(call());
		expect(error.constructor.name).toBe(name);
		expect(error.error.type).toBe("error");
		expect(error.headers.get("x-should-retry")).toBe("false");
		expect(error.headers.get("x-content-type-options")).toBe("nosniff");
		expect(error.requestID).toMatch(/^req_/);
		expect(p.seen.length).toBe(before);
	});

	test("the provider's trouble with our account is not the customer's affair", async () => {
		p.answers(provider.json({ type: "error", error: { type: "invalid_request_error", message: "Your credit balance is too low to access the Anthropic API." } }, 400));
		const error = await refusal(anthropic().messages.create(ask));
		expect(error.status).toBe(503);
		expect(error.message).not.toContain("credit");
	});

	test("the provider's rate limit keeps its class", async () => {
		p.answers({ ...provider.json({ type: "error", error: { type: "rate_limit_error", message: "slow down" } }, 429), headers: { "retry-after": "7" } });
		const error = await refusal(anthropic().messages.create(ask));
		expect(error).toBeInstanceOf(Anthropic.RateLimitError);
		expect(error.headers.get("retry-after")).toBe("7");
	});

});

describe("the Google SDK", () => {
	// 60 x $1 + 40 x $0.10 + (20 + 30) x $10 per million
	const usual = "0.000564";
	const ask = { model: "gemini", contents: long };

	test("plain: the text, the provider's key, exactly what it cost", async () => {
		p.answers(provider.json(provider.generated("Hello there")));
		const answer = await google().models.generateContent(ask);
		expect(answer.text).toBe("Hello there");
		expect(p.last.url).toBe("/v1beta/models/gemini-upstream:generateContent");
		expect(p.last.headers["x-goog-api-key"]).toBe(upstreamKey);
		expect(p.last.body["contents"][0].parts).toEqual([{ text: long }]);
		expect(p.last.raw).not.toContain(a.key);
		await cost(usual);
	});

	test("streamed with CRLF: every chunk, and the same cost", async () => {
		p.answers(provider.events(provider.generatedEvents(), { crlf: true }));
		let text = "";
		for await (const chunk of await google().models.generateContentStream(ask)) text += chunk.text ?? "";
		expect(text).toBe("Hello there");
		expect(p.last.url).toBe("/v1beta/models/gemini-upstream:streamGenerateContent?alt=sse");
		await cost(usual);
	});

	test("streamed as one JSON array, for those who don't ask for events", async () => {
		p.answers({ pieces: ["[", ...provider.generatedEvents().flatMap((e, i) => [i ? "\n,\r\n" : "", JSON.stringify(e)]), "]"] });
		const answer = await fetch(`${lethe.url}/v1beta/models/gemini:streamGenerateContent?key=${a.key}`, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify({ contents: [{ parts: [{ text: "hi" }] }] }),
		});
		expect(((await answer.json()) as unknown[]).length).toBe(3);
		expect(p.last.url).not.toContain("key");
		await cost(usual);
	});

	test("tools, parallel calls, JSON schema, thinking, images go up as they are", async () => {
		const calls = [1, 2].map((i) => ({ functionCall: { name: "weather", args: { city: `Rome ${i}` } }, thoughtSignature: "AAAA" }));
		p.answers(provider.json(provider.generated("", { candidates: [{ content: { role: "model", parts: calls }, finishReason: "STOP" }] })));
		const answer = await google().models.generateContent({
			model: "gemini",
			contents: [{ role: "user", parts: [{ inlineData: { mimeType: "image/png", data: "AAAA" } }, { text: "hi" }] }],
			config: {
				maxOutputTokens: 99,
				responseMimeType: "application/json",
				responseJsonSchema: { type: "object" },
				thinkingConfig: { thinkingBudget: 10 },
				tools: [{ functionDeclarations: [{ name: "weather" }] }],
			},
		});
		expect(answer.functionCalls).toHaveLength(2);
		expect(p.last.body["generationConfig"]).toMatchObject({ maxOutputTokens: 99, responseMimeType: "application/json" });
		await cost(usual);
	});

	test("a blocked prompt is an answer, with its usage", async () => {
		p.answers(provider.json({ promptFeedback: { blockReason: "SAFETY" }, usageMetadata: { promptTokenCount: 8, totalTokenCount: 8 } }));
		expect((await google().models.generateContent(ask)).promptFeedback?.blockReason).toBe("SAFETY");
		await cost("0.000008");
	});

	test("a rate limit names its delay in the header", async () => {
		const details = [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "34.4s" }];
		p.answers(provider.json({ error: { code: 429, message: "check your plan and billing details", status: "RESOURCE_EXHAUSTED", details } }, 429));
		const answer = await fetch(`${lethe.url}/v1beta/models/gemini:generateContent`, {
			method: "POST",
			headers: { "x-goog-api-key": a.key },
			body: JSON.stringify({ contents: [] }),
		});
		expect(answer.status).toBe(429);
		expect(answer.headers.get("retry-after")).toBe("35");
		expect(await answer.text()).not.toContain("billing");
	});

	test("our own key's refusal, which Google calls a bad request, is 503", async () => {
		p.answers(provider.json({ error: { code: 400, message: "API key not valid.", status: "INVALID_ARGUMENT", details: [{ reason: "API_KEY_INVALID" }] } }, 400));
		expect((await refusal(google().models.generateContent(ask))).status).toBe(503);
	});
});

describe("xAI and DeepSeek through chat completions", () => {
	const hi = [{ role: "user" as const, content: "hi" }];
	const chunk = (delta: Json, more: Json = {}) => ({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, ...more }] });

	test("xAI: reasoning outside of completion_tokens is charged", async () => {
		const usage = { prompt_tokens: 12, completion_tokens: 2, total_tokens: 354, completion_tokens_details: { reasoning_tokens: 340 }, num_sources_used: 0, cost_in_usd_ticks: 1 };
		p.answers(
			provider.events([chunk({ role: "assistant", reasoning_content: "hm" }), chunk({ content: "Hi" }), { ...chunk({}), choices: [], usage }, "data: [DONE]\n\n"]),
		);
		let text = "";
		for await (const c of await openai().chat.completions.create({ model: "grok", messages: hi, stream: true })) text += c.choices[0]?.delta.content ?? "";
		expect(text).toBe("Hi");
		expect(p.last.url).toBe("/xai/v1/chat/completions");
		await cost("0.003432"); // 12 x $1 + 342 x $10
	});

	test("DeepSeek: keep-alives, usage on the last chunk, cache hits", async () => {
		const usage = { prompt_tokens: 100, completion_tokens: 5, total_tokens: 105, prompt_cache_hit_tokens: 60, prompt_cache_miss_tokens: 40 };
		p.answers(provider.events([": keep-alive\n\n", chunk({ content: "Hi" }), { ...chunk({}, { finish_reason: "stop" }), usage }, "data: [DONE]\n\n"]));
		const stream = await openai().chat.completions.create({ model: "deepseek-chat", messages: hi, stream: true });
		for await (const _ of stream);
		await cost("0.000096"); // 40 x $1 + 60 x $0.10 + 5 x $10
	});

	test("DeepSeek: blank lines before a plain answer", async () => {
		const body = { id: "c", object: "chat.completion", created: 1, model: "m", choices: [{ index: 0, message: { role: "assistant", content: "Hi" }, finish_reason: "stop" }], usage: { prompt_tokens: 10, completion_tokens: 1, total_tokens: 11 } };
		p.answers({ pieces: ["\n", "\n", JSON.stringify(body)] });
		const answer = await openai().chat.completions.create({ model: "deepseek-chat", messages: hi });
		expect(answer.choices[0]!.message.content).toBe("Hi");
		await cost("0.00002");
	});
});

describe("an endpoint and a model of different dialects", () => {
	test("the refusal says where the model is served", async () => {
		const error = await refusal(openai().embeddings.create({ model: "claude", input: "hi" }));
		expect(error).toBeInstanceOf(OpenAI.NotFoundError);
		expect(error.message).toContain("/v1/messages");
	});

	test("a path that is nowhere is refused in the caller's words", async () => {
		expect(await refusal(anthropic().post("/v1/nowhere", { body: {} }))).toBeInstanceOf(Anthropic.NotFoundError);
		const answer = await fetch(`${lethe.url}/v1beta/nowhere`, { headers: { "x-goog-api-key": a.key } });
		expect(((await answer.json()) as Json)["error"]["status"]).toBe("NOT_FOUND");
	});
});
