// What broke in other gateways, as their users reported it: streamed usage, disconnects, phantom tokens, prices and caches. One test for each kind of loss.
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Account, type Json, Lethe, nano } from "../harness/lethe.ts";
import { type Answer, events, generated, json, message, messageEvents, Provider, response, responseEvents } from "../harness/provider.ts";
import { until } from "../harness/until.ts";

let p: Provider;
let lethe: Lethe;
let a: Account;
let people = 0;
const long = "hi ".repeat(4000);

beforeAll(async () => {
	p = await Provider.start();
	const keys = [{ env: "SIM_API_KEY" }];
	const price = { from: "2026-01-01", input: "1.00", cached: "0.10", cache_write: "1.25", image_in: "2.00", cached_image: "0.20", output: "10.00" };
	const model = (id: string, provider: string, more: Json = {}) => ({ id, provider, context: 200_000, output: 8_000, prices: [price], ...more });
	lethe = await Lethe.start({
		config: {
			providers: [
				{ name: "openai", url: `${p.url}/v1`, keys },
				{ name: "drained", url: `${p.url}/v1`, on_client_gone: "drain", keys },
				{ name: "anthropic", url: `${p.url}/v1`, dialect: "anthropic", keys },
				{ name: "google", url: `${p.url}/v1beta`, dialect: "gemini", keys },
			],
			models: [
				model("gpt", "openai"),
				model("drained", "drained"),
				model("tomorrow", "openai", { prices: [{ ...price, from: "2099-01-01" }] }),
				model("claude", "anthropic"),
				model("tiered", "anthropic", { prices: [price, { ...price, above: 1000, input: "2.00", cached: "0.20", cache_write: "2.50", output: "15.00" }] }),
				model("gemini", "google"),
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

const openai = () => new OpenAI({ apiKey: a.key, baseURL: `${lethe.url}/v1`, maxRetries: 0 });
const anthropic = () => new Anthropic({ apiKey: a.key, baseURL: lethe.url, maxRetries: 0 });
const google = () => new GoogleGenAI({ apiKey: a.key, httpOptions: { baseUrl: lethe.url } });
const messages = [{ role: "user" as const, content: long }];
const ask = { model: "claude", max_tokens: 2000, messages };

const chunk = (delta: Json, more: Json = {}) => ({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta }], ...more });
const completion = (usage: Json | undefined) => ({ id: "c", object: "chat.completion", created: 1, model: "m", choices: [{ index: 0, message: { role: "assistant", content: "Hello" }, finish_reason: "stop" }], usage });
const words = Array.from({ length: 20 }, () => chunk({ content: "some words " }));
const done = "data: [DONE]\n\n";

// All that the request with this balance came to, once it is booked.
async function booked(): Promise<{ cost: number; total: Json }> {
	const total = await until("the request is booked", async () => {
		const u = await lethe.usage(a.id);
		return u["requests"] === 1 && u;
	});
	return { cost: nano("100") - (await lethe.balance(a.id)), total };
}

async function cost(dollars: string): Promise<void> {
	expect((await booked()).cost).toBe(nano(dollars));
}

async function read(stream: AsyncIterable<unknown>): Promise<void> {
	for await (const _ of stream);
}

// A stream that the client leaves after its first words.
async function leave(model: string, answer: Answer): Promise<void> {
	p.answers(answer);
	const stream = await openai().chat.completions.create({ model, messages, stream: true });
	for await (const _ of stream) break;
	stream.controller.abort();
}

describe("streamed usage, disconnects, phantom tokens", () => {
	test("a client that disconnects in mid-stream pays for what came (litellm 33736, new-api 7062, 5235)", async () => {
		await leave("gpt", { ...events(words), hang: true });
		const { cost, total } = await booked();
		expect(cost).toBeGreaterThan(0);
		expect(total["tokens"]["output"]).toBeGreaterThan(0);
	});

	test("where the provider is drained after a disconnect, its usage is charged (litellm 36008)", async () => {
		await leave("drained", events([...words, chunk({}, { choices: [], usage: { prompt_tokens: 1000, completion_tokens: 60, total_tokens: 1060 } }), done]));
		await cost("0.0016");
	});

	test("a plain request whose client disconnects is accounted (litellm 13245, new-api 4344)", async () => {
		p.answers({ pieces: ['{"id":'], hang: true });
		const abort = new AbortController();
		const before = p.seen.length;
		const waiting = openai().chat.completions.create({ model: "gpt", messages }, { signal: abort.signal }).catch(() => undefined);
		await until("the provider has it", () => p.seen.length > before);
		abort.abort();
		await waiting;
		expect((await booked()).cost).toBeGreaterThan(0);
	});

	test("a streamed message of Anthropic's is not free (litellm 37923)", async () => {
		p.answers(events(messageEvents(), { named: true }));
		await anthropic().messages.stream(ask).finalMessage();
		await cost("0.000995"); // 100 x $1 + 200 x $0.10 + 300 x $1.25 + 50 x $10
	});

	test("an explicit zero is a report and no gap to fill (litellm 37992)", async () => {
		p.answers(json(completion({ prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 })));
		await openai().chat.completions.create({ model: "gpt", messages });
		await cost("0");
	});

	test("the text of an error is not billed as output (new-api 4168, 5288 to 5290)", async () => {
		p.answers(events([{ error: { message: "a long story about what went wrong ".repeat(50), type: "server_error", code: null, param: null } }, done]));
		await read(await openai().chat.completions.create({ model: "gpt", messages, stream: true })).catch(() => undefined);
		await cost("0");
	});

	test("an error status costs nothing, whatever it says of usage (new-api 4168)", async () => {
		p.answers(json({ error: { message: "no", type: "server_error" }, usage: { prompt_tokens: 1000, completion_tokens: 1000, total_tokens: 2000 } }, 500));
		await openai().chat.completions.create({ model: "gpt", messages }).catch(() => undefined);
		await cost("0");
	});

	test("where the provider reports nothing, the count is an estimate and marked as one (new-api 6212, 7486, pollinations 13620)", async () => {
		p.answers(json(completion(undefined)));
		const { response } = await openai().chat.completions.create({ model: "gpt", messages }).withResponse();
		expect((await booked()).cost).toBeGreaterThan(0);
		const ticket = await lethe.command("ticket", "show", response.headers.get("x-request-id")!);
		expect(JSON.stringify(ticket)).toMatch(/estimated/i);
	});

	test("running totals in each chunk are not added up (bifrost 3357, 4575, llmgateway 3546, 3443, 3505)", async () => {
		const with_usage = words.map((w, i) => ({ ...w, usage: { prompt_tokens: 1000, completion_tokens: i + 1, total_tokens: 1001 + i } }));
		p.answers(events([...with_usage, done]));
		await read(await openai().chat.completions.create({ model: "gpt", messages, stream: true }));
		await cost("0.0012"); // 1000 x $1 + 20 x $10
	});

	test("message_delta's input and cache counts replace those of message_start (envoy 2290)", async () => {
		const list = messageEvents();
		list[0] = { type: "message_start", message: message({ content: [], usage: { input_tokens: 899, cache_read_input_tokens: 500, output_tokens: 1 } }) };
		list[6] = { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { input_tokens: 2244, cache_read_input_tokens: 0, output_tokens: 10 } };
		p.answers(events(list, { named: true }));
		await anthropic().messages.stream(ask).finalMessage();
		await cost("0.002344");
	});

	test("streams of chat and of responses report their output (kong 14535, 14768)", async () => {
		p.answers((request) => events([...words, ...(request.body["stream_options"]?.include_usage ? [chunk({}, { choices: [], usage: { prompt_tokens: 100, completion_tokens: 60, total_tokens: 160 } })] : []), done]));
		await read(await openai().chat.completions.create({ model: "gpt", messages, stream: true }));
		await cost("0.0007");
		a = await lethe.account(`person-${++people}`, "100");
		p.answers(events(responseEvents(), { named: true }));
		await read(await openai().responses.create({ model: "gpt", input: long, stream: true }));
		await cost("0.00264");
	});

	test("what the provider reports is charged, however much text came (kong 12792)", async () => {
		p.answers(events([...words, chunk({}, { choices: [], usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 } }), done]));
		await read(await openai().chat.completions.create({ model: "gpt", messages, stream: true }));
		await cost("0.000037");
	});

	test("what a message_start says of its output is provisional: who leaves pays for the words that came (kong: provisional usage)", async () => {
		const said = { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "word ".repeat(80) } };
		p.answers({ ...events([...messageEvents().slice(0, 3), said], { named: true }), hang: true });
		const stream = await anthropic().messages.create({ ...ask, stream: true });
		for await (const event of stream) if (event.type === "content_block_delta") break;
		stream.controller.abort();
		await cost("0.001495"); // 100 x $1 + 200 x $0.10 + 300 x $1.25 + 100 x $10
	});

	test("limits hold before the fact: what a balance does not cover is not sent (envoy 2394)", async () => {
		const poor = await lethe.account(`person-${++people}`, "0.000001");
		const before = p.seen.length;
		const refused = await new OpenAI({ apiKey: poor.key, baseURL: `${lethe.url}/v1`, maxRetries: 0 }).chat.completions.create({ model: "gpt", messages }).catch((e) => e);
		expect(refused.status).toBe(402);
		expect(p.seen.length).toBe(before);
	});
});

describe("prices and caches", () => {
	test("a model without a price in force is refused, never free (litellm 20412)", async () => {
		const before = p.seen.length;
		const refused = await openai().chat.completions.create({ model: "tomorrow", messages }).catch((e) => e);
		expect(refused.status).toBe(503);
		expect(p.seen.length).toBe(before);
	});

	test("cached tokens are charged as such and once (litellm 37485, cloudflare 550)", async () => {
		p.answers(json(completion({ prompt_tokens: 1000, completion_tokens: 10, total_tokens: 1010, prompt_tokens_details: { cached_tokens: 900 } })));
		await openai().chat.completions.create({ model: "gpt", messages });
		await cost("0.00029"); // 100 x $1 + 900 x $0.10 + 10 x $10
	});

	test("what is written to Anthropic's cache, or read from it, is not input besides (litellm 9812, 11364, 37407, 40016)", async () => {
		p.answers(json(message({ usage: { input_tokens: 3, cache_creation_input_tokens: 1230, cache_read_input_tokens: 900, output_tokens: 55 } })));
		await anthropic().messages.create(ask);
		await cost("0.0021805"); // 3 x $1 + 1230 x $1.25 + 900 x $0.10 + 55 x $10
	});

	test("a large prompt has prices of its own, for each of its kinds; cached tokens make it large too (litellm 11789, 16377, 39088)", async () => {
		p.answers(json(message({ usage: { input_tokens: 1, cache_creation_input_tokens: 500, cache_read_input_tokens: 500, output_tokens: 10 } })));
		await anthropic().messages.create({ ...ask, model: "tiered" });
		await cost("0.001502"); // 1 x $2 + 500 x $2.50 + 500 x $0.20 + 10 x $15
		a = await lethe.account(`person-${++people}`, "100");
		p.answers(json(message({ usage: { input_tokens: 0, cache_creation_input_tokens: 500, cache_read_input_tokens: 500, output_tokens: 10 } })));
		await anthropic().messages.create({ ...ask, model: "tiered" });
		await cost("0.000775"); // at the threshold and not above it: 500 x $1.25 + 500 x $0.10 + 10 x $10
	});

	test("tokens of a model that has no such thing are estimated, and the answer says so (vercel/ai 17326)", async () => {
		const before = p.seen.length;
		const { data, response } = await anthropic().messages.countTokens({ model: "gpt", messages }).withResponse();
		expect(data.input_tokens).toBeGreaterThan(0);
		expect(response.headers.get("lethe-estimate")).toBe("true");
		expect(p.seen.length).toBe(before);
	});

	test("cached image tokens are not counted twice (new-api 7229)", async () => {
		const usageMetadata = {
			promptTokenCount: 1000,
			cachedContentTokenCount: 600,
			promptTokensDetails: [{ modality: "TEXT", tokenCount: 200 }, { modality: "IMAGE", tokenCount: 800 }],
			cacheTokensDetails: [{ modality: "IMAGE", tokenCount: 500 }, { modality: "TEXT", tokenCount: 100 }],
			candidatesTokenCount: 10,
		};
		p.answers(json(generated("Hi", { usageMetadata })));
		await google().models.generateContent({ model: "gemini", contents: long });
		// 100 text x $1, 100 cached x $0.10, 300 images x $2, 500 cached images x $0.20, 10 x $10
		await cost("0.00091");
	});

	test("writing to a cache is billed (new-api 5756, vercel/ai 20414)", async () => {
		p.answers(json(message({ usage: { input_tokens: 10, cache_creation_input_tokens: 1000, output_tokens: 1 } })));
		await anthropic().messages.create(ask);
		await cost("0.00127");
	});

	test("more cached than there was makes nothing negative (new-api 3259, 3503, 4291, 2110; octopus 234)", async () => {
		p.answers(json(completion({ prompt_tokens: 100, completion_tokens: 5, total_tokens: 50, prompt_tokens_details: { cached_tokens: 900 } })));
		await openai().chat.completions.create({ model: "gpt", messages });
		await cost("0.00006"); // 100 x $0.10 + 5 x $10
	});

	test("an output below zero is neither a credit nor free: it is estimated, like the one of a provider that reports nothing (new-api 3259)", async () => {
		p.answers(json(completion(undefined)));
		await openai().chat.completions.create({ model: "gpt", messages });
		const silent = (await booked()).cost;
		a = await lethe.account(`person-${++people}`, "100");
		p.answers(json(completion({ prompt_tokens: 100, completion_tokens: -50, total_tokens: 50, prompt_tokens_details: { cached_tokens: 900 } })));
		await openai().chat.completions.create({ model: "gpt", messages });
		expect((await booked()).cost).toBe(silent);
		expect(silent).toBeGreaterThan(0);
	});

	test("a message_start of 0 and 0 is only the beginning (vercel/ai 17326)", async () => {
		const list = messageEvents();
		list[0] = { type: "message_start", message: message({ content: [], usage: { input_tokens: 0, output_tokens: 0 } }) };
		list[6] = { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { input_tokens: 100, output_tokens: 10 } };
		p.answers(events(list, { named: true }));
		await anthropic().messages.stream(ask).finalMessage();
		await cost("0.0002");
	});

	test("a compressed answer that nobody asked for is refused, not billed at nothing (kong: Brotli bodies)", async () => {
		p.answers({ headers: { "content-encoding": "br" }, pieces: [Buffer.from([1, 2, 3])] });
		const refused = await openai().chat.completions.create({ model: "gpt", messages }).catch((e) => e);
		expect(refused.status).toBe(502);
		expect(p.last.headers["accept-encoding"]).toBe("identity");
		await cost("0");
	});

	test("thoughts and the prompts of tools count; totals so far are not summed (kong: Gemini)", async () => {
		const so_far = (n: number, more: Json = {}) => ({
			candidates: [{ content: { role: "model", parts: [{ text: "x" }] }, ...(n === 3 ? { finishReason: "STOP" } : {}) }],
			usageMetadata: { promptTokenCount: 100, candidatesTokenCount: n, thoughtsTokenCount: 20, toolUsePromptTokenCount: 30, ...more },
		});
		p.answers(events([so_far(1), so_far(2), so_far(3)], { crlf: true }));
		await read(await google().models.generateContentStream({ model: "gemini", contents: long }));
		await cost("0.00036"); // 130 x $1 + 23 x $10
	});

	test("passes that the top level leaves out are billed (kong: usage.iterations)", async () => {
		const iterations = [
			{ type: "compaction", input_tokens: 1000, output_tokens: 10 },
			{ type: "message", input_tokens: 100, output_tokens: 20 },
		];
		p.answers(json(message({ usage: { input_tokens: 100, output_tokens: 20, iterations } })));
		await anthropic().messages.create(ask);
		await cost("0.0014");
	});

	test("no credential is in the log (kong: access logs)", async () => {
		p.answers(json(response()));
		await fetch(`${lethe.url}/v1beta/models/gemini:generateContent?key=${a.key}`, { method: "POST", body: "{}" });
		await openai().responses.create({ model: "gpt", input: "hi" });
		for (const text of [lethe.log(), lethe.output()]) {
			expect(text).not.toContain(a.key.slice(12));
			expect(text).not.toContain("sk-test");
		}
	});
});
