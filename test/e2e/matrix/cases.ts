// What an SDK can do besides a conversation, and leaving one: one row each.
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, embedMany, streamText } from "ai";
import { expect } from "vitest";
import type { Json } from "../../harness/lethe.ts";
import { type Answer, events, generated, json } from "../../harness/provider.ts";
import type { Cost, Stand } from "../../harness/stand.ts";
import * as turns from "../../harness/turns.ts";
import { until } from "../../harness/until.ts";

export type Case = { name: string; says?: Answer; does: (s: Stand) => Promise<void>; costs: Cost[] };

const free: Cost = { dollars: "0" };
const vectors = [[0.5, -1, 0.25], [1, 2, 3]];
const as = (s: Stand, path = "/v1") => ({ apiKey: s.customer.key, baseURL: `${s.url}${path}` });

// ---- embeddings

function embeddings(encode: (vector: number[]) => unknown, howMany = 2): Answer {
	const data = vectors.slice(0, howMany).map((vector, index) => ({ object: "embedding", index, embedding: encode(vector) }));
	return json({ object: "list", data, model: "text-embedding", usage: { prompt_tokens: 7, total_tokens: 7 } });
}
const base64 = (vector: number[]) => Buffer.from(new Float32Array(vector).buffer).toString("base64");
const numbers = (vector: number[]) => vector;
const geminiEmbeddings = json({ embeddings: vectors.map((values) => ({ values })), usageMetadata: { promptTokenCount: 7 } });
const seven: Cost[] = [{ input: 7, dollars: "0.000007" }];

const embedding: Case[] = [
	{
		name: "openai: as base64, which it asks for by itself",
		says: embeddings(base64),
		does: async (s) => {
			const answer = await s.openai().embeddings.create({ model: "text-embedding", input: ["a", "b"] });
			expect(answer.data.map((d) => d.embedding)).toEqual(vectors);
			expect(s.provider.last.body).toMatchObject({ input: ["a", "b"], encoding_format: "base64" });
		},
		costs: seven,
	},
	{
		name: "openai: as numbers",
		says: embeddings(numbers, 1),
		does: async (s) => {
			const answer = await s.openai().embeddings.create({ model: "text-embedding", input: "a", encoding_format: "float" });
			expect(answer.data[0]!.embedding).toEqual(vectors[0]);
		},
		costs: seven,
	},
	{
		name: "@google/genai",
		says: geminiEmbeddings,
		does: async (s) => {
			const answer = await s.google().models.embedContent({ model: "gemini-embedding", contents: ["a", "b"] });
			expect(answer.embeddings!.map((e) => e.values)).toEqual(vectors);
			expect(s.provider.last.url).toBe("/v1beta/models/gemini-embedding:batchEmbedContents");
		},
		costs: seven,
	},
	{
		name: "ai with @ai-sdk/openai",
		says: embeddings(numbers, 1),
		does: async (s) => {
			const answer = await embed({ model: createOpenAI(as(s)).embedding("text-embedding"), value: "a" });
			expect(answer.embedding).toEqual(vectors[0]);
			expect(answer.usage.tokens).toBe(7);
		},
		costs: seven,
	},
	{
		name: "ai with @ai-sdk/openai-compatible",
		says: embeddings(numbers),
		does: async (s) => {
			const model = createOpenAICompatible({ name: "lethe", ...as(s) }).embeddingModel("text-embedding");
			expect((await embedMany({ model, values: ["a", "b"] })).embeddings).toEqual(vectors);
		},
		costs: seven,
	},
	{
		name: "ai with @ai-sdk/google",
		says: geminiEmbeddings,
		does: async (s) => {
			const model = createGoogleGenerativeAI(as(s, "/v1beta")).embedding("gemini-embedding");
			expect((await embedMany({ model, values: ["a", "b"] })).embeddings).toEqual(vectors);
		},
		costs: seven,
	},
];

// ---- what is free

const flagged = { flagged: true, categories: { violence: true }, category_scores: { violence: 0.9 } };
const counted = [{ role: "user" as const, content: "hi" }];

const gratis: Case[] = [
	{
		name: "@anthropic-ai/sdk counts tokens",
		says: json({ input_tokens: 14 }),
		does: async (s) => {
			expect((await s.anthropic().messages.countTokens({ model: "claude", messages: counted })).input_tokens).toBe(14);
			expect(s.provider.last.url).toBe("/v1/messages/count_tokens");
			expect(s.provider.last.body).toEqual({ model: "claude-upstream", messages: counted });
		},
		costs: [free],
	},
	{
		name: "@google/genai counts tokens",
		says: json({ totalTokens: 31, promptTokensDetails: [{ modality: "TEXT", tokenCount: 31 }] }),
		does: async (s) => {
			expect((await s.google().models.countTokens({ model: "gemini", contents: "hi" })).totalTokens).toBe(31);
			expect(s.provider.last.url).toBe("/v1beta/models/gemini-upstream:countTokens");
		},
		costs: [free],
	},
	{
		name: "openai moderates, without a model's name",
		says: json({ id: "modr-1", model: "omni-moderation-latest", results: [flagged] }),
		does: async (s) => {
			expect((await s.openai().moderations.create({ input: "hi" })).results).toEqual([flagged]);
			expect(s.provider.last.url).toBe("/v1/moderations");
		},
		costs: [free],
	},
	{
		name: "openai lists models, and looks one up",
		does: async (s) => {
			const list = await Array.fromAsync(s.openai().models.list());
			expect(list.map((m) => m.id)).toEqual(expect.arrayContaining(["gpt", "grok", "deepseek-chat", "exact", "claude", "gemini"]));
			expect(await s.openai().models.retrieve("gpt")).toMatchObject({ id: "gpt", object: "model" });
		},
		costs: [],
	},
	{
		name: "@anthropic-ai/sdk lists models, and looks one up",
		does: async (s) => {
			const list = await Array.fromAsync(s.anthropic().models.list());
			expect(list.map((m) => m.id)).toEqual(expect.arrayContaining(["claude", "gone-claude", "gpt", "gemini"]));
			expect(await s.anthropic().models.retrieve("claude")).toMatchObject({ id: "claude", type: "model" });
		},
		costs: [],
	},
	{
		name: "@google/genai lists models, and looks one up",
		does: async (s) => {
			const list = await Array.fromAsync(await s.google().models.list());
			expect(list.map((m) => m.name)).toEqual(expect.arrayContaining(["models/gemini", "models/gemini-embedding", "models/gone-gemini", "models/gpt", "models/claude"]));
			expect((await s.google().models.get({ model: "gemini" })).name).toBe("models/gemini");
		},
		costs: [],
	},
];

// ---- leaving in mid-stream

// The whole stream but for its last events, and then nothing: what comes after it, the client does not wait for.
function broken(answer: Answer, without: number): Answer {
	return { ...answer, pieces: answer.pieces.slice(0, answer.pieces.length - without), hang: true };
}

const spoken = "word ".repeat(40).trim(); // 199 bytes: 50 tokens by the count of bytes
const turn = { text: spoken };
const prompt = "hi ".repeat(1500);
const asked = [{ role: "user" as const, content: prompt }];

// Reads until everything was said, then leaves, and waits until the provider has seen it.
async function leave(s: Stand, texts: AsyncIterable<string>, abort: () => void): Promise<void> {
	const before = s.provider.gone;
	let seen = "";
	const reading = (async () => {
		for await (const text of texts) if ((seen += text) === spoken) break;
	})();
	await reading;
	expect(seen).toBe(spoken);
	abort();
	await until("the provider sees that nobody listens", () => s.provider.gone > before);
}

async function* texts<T>(stream: AsyncIterable<T>, text: (event: T) => string | undefined | null): AsyncIterable<string> {
	for await (const event of stream) yield text(event) ?? "";
}

const quarters = [0, 50, 100, 150].map((from) => spoken.slice(from, from + 50));
const said = (text: string) => [{ content: { role: "model", parts: [{ text }] }, index: 0 }];
const promptOnly: Answer = {
	...events(quarters.map((text) => generated(text, { candidates: said(text), usageMetadata: { promptTokenCount: 100, totalTokenCount: 100 } })), { crlf: true }),
	hang: true,
};

const bytesOf = (body: Json) => Math.ceil(Buffer.byteLength(JSON.stringify(body)) / 4);
const chatBody = { model: "gpt", messages: asked, stream: true as const };
const responsesBody = { model: "gpt", input: prompt, stream: true as const };
// Nothing was reported: the prompt's and the answer's bytes are counted, four to a token.
const estimate = (body: Json): Cost => {
	const input = bytesOf(body);
	return { input, output: 50, estimated: true, dollars: ((input * 1 + 50 * 10) / 1e6).toFixed(6) };
};

const aborts: Case[] = [
	{
		name: "openai, chat completions",
		says: broken(turns.chat(turn, true), 3),
		does: async (s) => {
			const stream = await s.openai().chat.completions.create(chatBody);
			await leave(s, texts(stream, (chunk) => chunk.choices[0]?.delta.content), () => stream.controller.abort());
		},
		costs: [estimate(chatBody)],
	},
	{
		name: "openai, responses",
		says: broken(turns.responses(turn, true), 4),
		does: async (s) => {
			const stream = await s.openai().responses.create(responsesBody);
			await leave(s, texts(stream, (event) => (event.type === "response.output_text.delta" ? event.delta : "")), () => stream.controller.abort());
		},
		costs: [estimate(responsesBody)],
	},
	{
		name: "@anthropic-ai/sdk: the prompt as it was reported, the answer as it was counted",
		says: broken(turns.messages(turn, true), 3),
		does: async (s) => {
			const stream = await s.anthropic().messages.create({ model: "claude", max_tokens: 2000, messages: asked, stream: true });
			const text = texts(stream, (event) => (event.type === "content_block_delta" && event.delta.type === "text_delta" ? event.delta.text : ""));
			await leave(s, text, () => stream.controller.abort());
		},
		costs: [{ ...turns.costs.messages, estimated: true }],
	},
	...["so far, in each chunk", "of the prompt alone, until the end"].map((reports, silent) => ({
		name: `@google/genai, where usage is reported ${reports}`,
		says: silent ? promptOnly : broken(turns.gemini(turn, true), 0),
		does: async (s: Stand) => {
			const abort = new AbortController();
			const stream = await s.google().models.generateContentStream({ model: "gemini", contents: prompt, config: { abortSignal: abort.signal } });
			await leave(s, texts(stream, (chunk) => chunk.text), () => abort.abort());
		},
		costs: [silent ? { input: 100, output: 50, estimated: true as const, dollars: "0.0006" } : turns.costs.gemini],
	})),
	{
		name: "ai",
		says: broken(turns.responses(turn, true), 4),
		does: async (s) => {
			const abort = new AbortController();
			const answer = streamText({ model: createOpenAI(as(s))("gpt"), prompt, abortSignal: abort.signal, onError: () => undefined });
			await leave(s, answer.textStream, () => abort.abort());
		},
		costs: [estimate({ model: "gpt", input: [{ role: "user", content: [{ type: "input_text", text: prompt }] }], stream: true })],
	},
];

export const cases: Record<string, Case[]> = { embeddings: embedding, "what is free": gratis, "a client that leaves in mid-stream": aborts };
