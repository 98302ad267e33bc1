// Every SDK asks models of every provider's language, plain and streamed: what the SDK makes of the answer, what went up, and the booking.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Json } from "../harness/lethe.ts";
import { type Answer, events, generated, json, response, type Seen } from "../harness/provider.ts";
import { type Cost, price, Stand } from "../harness/stand.ts";
import * as turns from "../harness/turns.ts";
import type { Say, Turn } from "../harness/turns.ts";
import { anthropicMessages, type Driver, googleGenerate, openaiChat, openaiResponses, toolName, toolResult } from "./matrix/drivers.ts";

const words = "hi ".repeat(1500);
const said = "Grüße, \u{1F44B}\u{1F3FD} \"quoted\" \\ and a longer rest";
const pixels = Buffer.alloc(20_000, 0x5a).toString("base64");
const call = (city: string) => ({ name: toolName, input: { city } });

// What a provider of that language says, and how it names itself.
type Language = { name: string; model: string; path: string; say: Say; costs: Cost; inside: (message: string) => Answer; error: (status: number, message: string) => Answer; half: Answer };

const chat: Language = {
	name: "chat completions",
	model: "gpt",
	path: "/v1/chat/completions",
	say: turns.chat,
	costs: turns.costs.chat,
	inside: (message) => events([...turns.chatEvents({ text: "so far" }, undefined).slice(0, 2), { error: { message, type: "server_error", code: null, param: null } }]),
	error: (status, message) => json({ error: { message, type: "invalid_request_error", param: null, code: null } }, status),
	half: events(turns.chatEvents({ text: "so far" }, undefined).slice(0, 3)),
};

const messages: Language = {
	name: "messages",
	model: "claude",
	path: "/v1/messages",
	say: turns.messages,
	costs: turns.costs.messages,
	inside: (message) => events([...begun(), { type: "error", error: { type: "overloaded_error", message } }], { named: true }),
	error: (status, message) => json({ type: "error", error: { type: "invalid_request_error", message } }, status),
	half: { headers: { "content-type": "text/event-stream" }, pieces: [] },
};
messages.half = events(begun(), { named: true });

function begun(): Json[] {
	return [
		{ type: "message_start", message: { id: "msg_01", type: "message", role: "assistant", model: "claude-upstream", content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 100, output_tokens: 1 } } },
		{ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
		{ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "so far" } },
	];
}

const gemini: Language = {
	name: "generateContent",
	model: "gemini",
	path: "/v1beta/models/gemini-upstream:",
	say: turns.gemini,
	costs: turns.costs.gemini,
	inside: (message) => events([generated("so far", { candidates: [{ content: { role: "model", parts: [{ text: "so far" }] }, index: 0 }] }), { error: { code: 503, message, status: "UNAVAILABLE" } }], { crlf: true }),
	error: (status, message) => json({ error: { code: status, message, status: "INVALID_ARGUMENT" } }, status),
	half: events([generated("so far", { candidates: [{ content: { role: "model", parts: [{ text: "so far" }] }, index: 0 }] })], { crlf: true }),
};

const codex: Language = {
	name: "responses",
	model: "codex",
	path: "/v1/responses",
	say: turns.responses,
	costs: turns.costs.responses,
	inside: (message) => events([...spoken(), { type: "error", code: "server_error", message, param: null }], { named: true }),
	error: chat.error,
	half: { headers: { "content-type": "text/event-stream" }, pieces: [] },
};
codex.half = events(spoken(), { named: true });

function spoken(): Json[] {
	const at = { item_id: "msg_1", output_index: 0 };
	return [
		{ type: "response.created", response: response({ status: "in_progress", output: [], usage: null }) },
		{ type: "response.output_item.added", output_index: 0, item: { type: "message", id: "msg_1", status: "in_progress", role: "assistant", content: [] } },
		{ type: "response.content_part.added", ...at, content_index: 0, part: { type: "output_text", text: "", annotations: [] } },
		{ type: "response.output_text.delta", ...at, content_index: 0, delta: "so far", logprobs: [] },
	];
}

const pairs: { from: Driver; to: Language }[] = [
	{ from: openaiResponses, to: { ...chat, model: "chatty" } },
	{ from: openaiResponses, to: messages },
	{ from: openaiResponses, to: gemini },
	{ from: openaiChat, to: codex },
	{ from: anthropicMessages, to: codex },
	{ from: googleGenerate, to: codex },
	{ from: openaiChat, to: messages },
	{ from: openaiChat, to: gemini },
	{ from: anthropicMessages, to: chat },
	{ from: anthropicMessages, to: gemini },
	{ from: googleGenerate, to: chat },
	{ from: googleGenerate, to: messages },
];

let s: Stand;
const counted = (id: string, provider: string, tokenizer: string) => ({ id, provider, tokenizer, context: 200_000, output: 8_000, prices: [price] });
const vocabularies = [counted("counted", "openai", "o200k_base"), counted("counted-long-ago", "anthropic", "cl100k_base")];
beforeAll(async () => (s = await Stand.start({ scheme: "http", grade: "locked" }, {}, vocabularies)) && undefined);
afterAll(() => s?.stop());
beforeEach(() => s.begin());

const failure = (promise: Promise<unknown>) => promise.then(() => expect.fail("it succeeded"), (error: any) => error);
const asked = (): Seen => s.provider.last;
// What broke off is charged by what came, once.
async function charged(): Promise<void> {
	const rows = await s.bookings(1);
	expect(rows).toHaveLength(1);
	expect(rows[0]!["dollars"]).toBeGreaterThan(0);
}

describe.each(pairs)("$from.name, a model that speaks $to.name", ({ from, to }) => {
	describe.each([{ way: "plain", stream: false }, { way: "streamed", stream: true }])("$way", ({ stream }) => {
		const ask = (more: object = {}, past?: unknown[]) => from.ask(s, { stream, text: words, model: to.model, ...more }, past);
		const answers = (turn: Turn) => s.provider.answers(to.say(turn, stream));

		test.each<{ name: string; more: object; turn: Turn }>([
			{ name: "a text", more: {}, turn: { text: said } },
			{ name: "a tool", more: { tools: true }, turn: { calls: [call('San Francisco, "CA"')] } },
			{ name: "two tools at once, after a text", more: { tools: true }, turn: { text: said, calls: [call("Rome"), call("Oslo")] } },
			{ name: "an image", more: { image: pixels }, turn: { text: said } },
			{ name: "a JSON schema", more: { schema: true }, turn: { text: '{"city":"Rome","degrees":21}' } },
			{ name: "reasoning", more: {}, turn: { thinking: "a long thought", text: said } },
		])("$name", async ({ more, turn }) => {
			answers(turn);
			const got = await ask(more);
			expect(got.turn).toEqual(turn);
			expect(asked().url.startsWith(to.path)).toBe(true);
			if (to !== gemini) expect(asked().body["model"]).toBe(`${to.model}-upstream`);
			expect(asked().raw).toContain(words);
			if ("image" in more) expect(asked().raw).toContain(pixels);
			if ("tools" in more) expect(asked().raw).toContain(toolName);
			if ("schema" in more) expect(asked().raw).toContain("degrees");
			expect(asked().raw).not.toContain(s.customer.key);
			await s.booked([to.costs]);
		});

		test("tools and their results", async () => {
			answers({ calls: [call("Rome"), call("Oslo")] });
			const first = await ask({ tools: true });
			answers({ text: said });
			expect((await ask({ tools: true }, first.past())).turn).toEqual({ text: said });
			expect(asked().raw.split(toolResult)).toHaveLength(3);
			await s.booked([to.costs, to.costs]);
		});

		test("every byte of the answer in a piece of its own", async () => {
			const whole = to.say({ text: said, calls: [call("Rome")] }, stream);
			s.provider.answers({ ...whole, pieces: [...Buffer.from(whole.pieces.join(""))].map((byte) => Buffer.from([byte])) });
			expect((await ask({ tools: true })).turn).toEqual({ text: said, calls: [call("Rome")] });
			await s.booked([to.costs]);
		});

		test.each([400, 404, 413, 429, 500, 503])("an error of %i", async (status) => {
			s.provider.answers(to.error(status, "Something in the words of the provider."));
			const error = await failure(ask());
			expect(error.status === 529 ? 503 : error.status).toBe(status);
			expect(error.message).toContain("Something in the words of the provider.");
			await s.booked([{ dollars: "0" }]);
		});

		test("an error about the operator's account is nobody's to read", async () => {
			s.provider.answers(to.error(401, "Incorrect API key provided: sk-secret"));
			const error = await failure(ask());
			expect(error.status).toBe(503);
			expect(error.message).not.toContain("sk-secret");
			await s.booked([{ dollars: "0" }]);
		});
	});

	test("a limit of the operator's account is told without its words", async () => {
		s.provider.answers(to.error(429, "You exceeded your current quota, please check your plan and billing details: insufficient_quota."));
		const error = await failure(from.ask(s, { stream: false, text: words, model: to.model }));
		expect(error.status).toBe(to === gemini ? 429 : 503); // Google speaks of billing in each
		expect(error.message).not.toContain("billing");
		await s.booked([{ dollars: "0" }]);
	});

	test("an error in mid-stream is the SDK's own error", async () => {
		s.provider.answers(to.inside("Overloaded in the middle."));
		const error = await failure(from.ask(s, { stream: true, text: words, model: to.model }));
		expect(String(error.message)).toContain("Overloaded in the middle.");
		await charged();
	});

	test.each([{ how: "ends early", more: {} }, { how: "is cut", more: { cut: true } }])("a stream that $how is an error", async ({ more }) => {
		s.provider.answers({ ...to.half, ...more });
		const error = await failure(from.ask(s, { stream: true, text: words, model: to.model }));
		expect(String(error.message)).toMatch(/before it was complete|terminated|aborted/);
		await charged();
	});
});

describe("tokens are counted for any model", () => {
	const guess = 1 + Math.floor(words.length / 2); // bytes_per_token: 2; and the JSON around it

	test("by Anthropic's SDK", async () => {
		const { data, response } = await s.anthropic().messages.countTokens({ model: "gpt", messages: [{ role: "user", content: words }] }).withResponse();
		expect(data.input_tokens).toBeGreaterThan(guess);
		expect(data.input_tokens).toBeLessThan(guess + 100);
		expect(response.headers.get("lethe-estimate")).toBe("true");
	});

	test("by Google's SDK", async () => {
		const { totalTokens } = await s.google().models.countTokens({ model: "claude", contents: words });
		expect(totalTokens).toBeGreaterThan(guess);
		expect(totalTokens).toBeLessThan(guess + 100);
	});

	const turn = 4; // around each, and 3 with which an answer begins
	const story = "Zwölf Boxkämpfer jagen Viktor. \u{1F44B} 敏捷的棕色狐狸 int main(void)\n\t{ return 0; }\n".repeat(40);
	const counts = { o200k: 1240, cl100k: 1600, words: 1501, brief: 3, ja: 1 }; // as js-tiktoken has them

	test("by the vocabulary of its provider, where the catalogue names it", async () => {
		const told = await s.anthropic().messages.countTokens({ model: "counted", system: "Be brief.", messages: [{ role: "user", content: story }, { role: "assistant", content: [{ type: "text", text: "ja" }] }] }).withResponse();
		expect(told.data.input_tokens).toBe(3 * turn + 3 + counts.brief + counts.o200k + counts.ja);
		expect(told.response.headers.get("lethe-estimate")).toBe("true");
		const { totalTokens } = await s.google().models.countTokens({ model: "counted-long-ago", contents: story });
		expect(totalTokens).toBe(turn + 3 + counts.cl100k);
	});

	test("of a long text by its beginning", async () => {
		const long = story.repeat(100);
		const data = await s.anthropic().messages.countTokens({ model: "counted", messages: [{ role: "user", content: long }] });
		const expected = 100 * counts.o200k;
		expect(data.input_tokens).toBeGreaterThan(expected * 0.97);
		expect(data.input_tokens).toBeLessThan(expected * 1.03);
	});

	test("who has too little by the bytes is held by the tokens", async () => {
		const poor = await s.lethe.account("poor-by-bytes", "0.004");
		const ask = (path: string, model: string, more: object = {}) =>
			fetch(`${s.url}${path}`, {
				method: "POST",
				headers: { authorization: `Bearer ${poor.key}`, "content-type": "application/json" },
				body: JSON.stringify({ model, max_tokens: 10, messages: [{ role: "user", content: words }], ...more }),
			});
		const dear = (await (await ask("/v1/quote", "gpt")).json()) as Json;
		expect(dear).toMatchObject({ affordable: false });
		expect(dear).not.toHaveProperty("input_tokens_estimated");
		const quoted = (await (await ask("/v1/quote", "counted")).json()) as Json;
		expect(quoted).toMatchObject({ affordable: true, input_tokens_estimated: counts.words + turn + 3 });
		expect(quoted["input_tokens_at_most"]).toBeLessThan(dear["input_tokens_at_most"]);
		expect((await ask("/v1/chat/completions", "gpt")).status).toBe(402);
		// What is not known to be text may be some all the same.
		expect((await ask("/v1/chat/completions", "counted", { prediction: { type: "content", content: story.repeat(5) } })).status).toBe(402);
		s.provider.answers(turns.chat({ text: said }, false));
		const answer = await ask("/v1/chat/completions", "counted");
		expect(answer.status).toBe(200);
		await answer.arrayBuffer();
		await s.booked([turns.costs.chat]);
	});

	test("a stream that says nothing of its usage is charged by a sample of its words", async () => {
		const said = [...story.matchAll(/.{1,5}/gsu)].map(([content]) => ({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta: { content }, finish_reason: null }] }));
		s.provider.answers(events(said)); // it ends without a word about it
		const stream = await s.openai().chat.completions.create({ model: "counted", stream: true, messages: [{ role: "user", content: words }] });
		for await (const _ of stream);
		const [row] = await s.bookings(1);
		expect(row).toMatchObject({ estimated: true });
		expect(Math.abs(Number(row!["output"]) - counts.o200k)).toBeLessThan(counts.o200k / 10); // by its bytes it would be a third less
		expect(Math.abs(Number(row!["input"]) - counts.words)).toBeLessThan(counts.words / 20); // by its bytes a quarter less
		s.charged += Number(row!["dollars"]) * 1e9;
	});

	test("at half of what its bytes would be at least, whatever the sample met", async () => {
		s.provider.answers(events([{ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta: { content: "Hello" }, finish_reason: null }] }]));
		const stream = await s.openai().chat.completions.create({ model: "counted", stream: true, messages: [{ role: "user", content: " ".repeat(8000) }] });
		for await (const _ of stream);
		const [row] = await s.bookings(1);
		expect(Number(row!["input"])).toBeGreaterThanOrEqual(1000);
		expect(Number(row!["input"])).toBeLessThan(1100);
		s.charged += Number(row!["dollars"]) * 1e9;
	});

	test("a short one by all of its words", async () => {
		const said = ["", "Hello", ",", " world", "!"].map((content) => ({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta: { content }, finish_reason: null }] }));
		s.provider.answers(events(said)); // it ends without a word about it
		const stream = await s.openai().chat.completions.create({ model: "counted", stream: true, messages: [{ role: "user", content: "Be brief." }] });
		for await (const _ of stream);
		const rows = await s.bookings(1);
		expect(rows).toEqual([{ estimated: true, input: counts.brief + turn + 3, output: 4, dollars: expect.any(Number) }]);
		s.charged += Number(rows[0]!["dollars"]) * 1e9;
	});

	test("by the provider's own count where it has one", async () => {
		s.provider.answers(json({ input_tokens: 7 }));
		const { data, response } = await s.anthropic().messages.countTokens({ model: "claude", messages: [{ role: "user", content: words }] }).withResponse();
		expect(data.input_tokens).toBe(7);
		expect(response.headers.get("lethe-estimate")).toBeNull();
		await s.booked([{ dollars: "0" }]);
	});
});

describe("what can't be said in the other language", () => {
	const post = (path: string, body: Json, headers: Record<string, string> = {}) =>
		fetch(`${s.url}${path}`, {
			method: "POST",
			headers: { authorization: `Bearer ${s.customer.key}`, "content-type": "application/json", ...headers },
			body: JSON.stringify(body),
		});
	const body = { model: "claude", messages: [{ role: "user", content: words }], seed: 7, logit_bias: { 5: 1 } };

	test("is refused, with the field and the advice", async () => {
		const answer = await post("/v1/chat/completions", body);
		expect(answer.status).toBe(400);
		const { error } = (await answer.json()) as Json;
		expect(error).toMatchObject({ type: "invalid_request_error", code: "unsupported_parameter" });
		expect(["seed", "logit_bias"]).toContain(error.param);
		expect(error.message).toContain("lethe-translate: lenient");
		await s.booked([{ dollars: "0" }]);
	});

	test("is left out where the caller allows it, and the answer says what", async () => {
		s.provider.answers(turns.messages({ text: said }, false));
		const answer = await post("/v1/chat/completions", body, { "lethe-translate": "lenient" });
		expect(answer.status).toBe(200);
		expect(answer.headers.get("lethe-dropped")!.split(", ").sort()).toEqual(["logit_bias", "seed"]);
		expect(answer.headers.get("content-type")).toBe("application/json");
		expect(asked().raw).not.toContain("seed");
		expect(asked().headers["anthropic-version"]).toBeTruthy();
		expect(asked().headers["authorization"]).toBeUndefined();
		await s.booked([turns.costs.messages]);
	});

	const hello = { contents: [{ role: "user", parts: [{ text: words }] }] };
	const textOf = (list: any[]) => list.flatMap((answer) => answer.candidates?.[0]?.content?.parts ?? []).map((part: any) => part.text ?? "").join("");

	test.each([{ to: chat }, { to: messages }])("a Gemini stream without alt=sse is one array that grows, from $to.name", async ({ to }) => {
		s.provider.answers(to.say({ text: said }, true));
		const answer = await post(`/v1beta/models/${to.model}:streamGenerateContent`, hello);
		expect(answer.status).toBe(200);
		expect(answer.headers.get("content-type")).toContain("application/json");
		const list = (await answer.json()) as any[];
		expect(list.length).toBeGreaterThan(2);
		expect(textOf(list)).toBe(said);
		expect(list.at(-1).candidates[0].finishReason).toBe("STOP");
		expect(list.at(-1).usageMetadata.totalTokenCount).toBeGreaterThan(0);
		await s.booked([to.costs]);
	});

	test.each([
		{ what: "an error", of: (to: Language) => to.inside("Something broke.") },
		{ what: "a cut", of: (to: Language) => ({ ...to.half, cut: true }) },
	])("$what ends such an array as its last element", async ({ of }) => {
		for (const to of [chat, messages]) {
			s.provider.answers(of(to));
			const list = (await (await post(`/v1beta/models/${to.model}:streamGenerateContent`, hello)).json()) as any[];
			expect(textOf(list)).toMatch(/^so fa/);
			expect(list.at(-1).error.message).toBeTruthy();
			expect(list.filter((element) => element.error)).toHaveLength(1);
		}
	});

	test("when to come again is told by a provider's body as well", async () => {
		s.provider.answers(json({ error: { code: 429, message: "Slow down.", status: "RESOURCE_EXHAUSTED", details: [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "6.5s" }] } }, 429));
		const answer = await post("/v1/chat/completions", { model: "gemini", messages: [{ role: "user", content: "hi" }] });
		expect(answer.status).toBe(429);
		expect(answer.headers.get("retry-after")).toBe("7");
	});

	test("an unknown wish is refused", async () => {
		expect((await post("/v1/chat/completions", body, { "lethe-translate": "loose" })).status).toBe(400);
	});

	test("endpoints that are not translated say where the model is served", async () => {
		const answer = await post("/v1/embeddings", { model: "claude", input: "hi" });
		expect(answer.status).toBe(404);
		expect(((await answer.json()) as Json)["error"].message).toContain("/v1/messages");
	});
});
