// How an answer ends, how a model is told where to stop and how to think, and what it refuses, from every caller's language to every provider's, plain and streamed: as clients without an SDK read it.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Account, type Json, Lethe } from "../harness/lethe.ts";
import { type Answer, Provider } from "../harness/provider.ts";
import * as turns from "../harness/turns.ts";

type End = "stop" | "length" | "filter";
const words = "hi ".repeat(1500);
const said = "so far, so good";
const price = { from: "2026-01-01", input: "1.00", cached: "0.10", cache_write: "1.25", cache_write_1h: "2.00", output: "10.00" };
const model = (id: string) => ({ id, provider: id, context: 200_000, output: 8_000, reasoning: true, thinking: "effort", prices: [price] });

// What each provider's language calls an end, where it stands, and how it is told to think a little.
const providers = [
	{ name: "chat", say: turns.chat, member: "finish_reason", ends: { stop: "stop", length: "length", filter: "content_filter" }, thinks: { reasoning_effort: "low" }, stops: { stop: ["END"] }, stopped: {} },
	{ name: "messages", say: turns.messages, member: "stop_reason", ends: { stop: "end_turn", length: "max_tokens", filter: "refusal" }, thinks: { thinking: { type: "adaptive" }, output_config: { effort: "low" } }, stops: { stop_sequences: ["END"] }, stopped: { '"stop_reason":"end_turn","stop_sequence":null': '"stop_reason":"stop_sequence","stop_sequence":"END"' } },
	{ name: "gemini", say: turns.gemini, member: "finishReason", ends: { stop: "STOP", length: "MAX_TOKENS", filter: "SAFETY" }, thinks: { generationConfig: { thinkingConfig: { thinkingLevel: "LOW" } } }, stops: { generationConfig: { stopSequences: ["END"] } }, stopped: {} },
	{ name: "responses", say: turns.responses, member: "status", ends: { stop: "completed", length: "incomplete", filter: "incomplete" }, thinks: { reasoning: { effort: "low" }, store: false }, stops: undefined, stopped: {} },
] as const;

type Caller = { name: string; path: (model: string, stream: boolean) => string; body: (model: string, stream: boolean) => Json; think: Json; stop?: Json; end: (events: any[]) => unknown; text: (events: any[]) => string; ends: Record<End, unknown>; refuses?: unknown; refusal?: (events: any[]) => string };
const callers: Caller[] = [
	{
		name: "chat",
		path: () => "/v1/chat/completions",
		body: (model, stream) => ({ model, stream, max_tokens: 4_000, messages: [{ role: "user", content: words }] }),
		think: { reasoning_effort: "low" },
		stop: { stop: ["END"] },
		end: (events) => events.flatMap((e) => e.choices).find((c) => c.finish_reason)?.finish_reason,
		text: (events) => events.flatMap((e) => e.choices).map((c) => (c.delta ?? c.message).content ?? "").join(""),
		refusal: (events) => events.flatMap((e) => e.choices).map((c) => (c.delta ?? c.message).refusal ?? "").join(""),
		refuses: "stop",
		ends: { stop: "stop", length: "length", filter: "content_filter" },
	},
	{
		name: "responses",
		path: () => "/v1/responses",
		body: (model, stream) => ({ model, stream, max_output_tokens: 4_000, input: words }),
		think: { reasoning: { effort: "low" } },
		end: (events) => {
			const last = events.at(-1).response ?? events.at(-1);
			return [last.status, last.incomplete_details?.reason ?? null];
		},
		text: (events) => ((events.at(-1).response ?? events.at(-1)).output as any[]).flatMap((item) => item.content ?? []).map((part) => part.text ?? "").join(""),
		refusal: (events) => ((events.at(-1).response ?? events.at(-1)).output as any[]).flatMap((item) => item.content).map((part) => (part.type === "refusal" ? part.refusal : "")).join(""),
		refuses: ["completed", null],
		ends: { stop: ["completed", null], length: ["incomplete", "max_output_tokens"], filter: ["incomplete", "content_filter"] },
	},
	{
		name: "messages",
		path: () => "/v1/messages",
		body: (model, stream) => ({ model, stream, max_tokens: 4_000, messages: [{ role: "user", content: words }] }),
		think: { thinking: { type: "enabled", budget_tokens: 1024 } },
		stop: { stop_sequences: ["END"] },
		end: (events) => events.map((e) => e.delta?.stop_reason ?? e.stop_reason).find(Boolean),
		text: (events) => events.flatMap((e) => [e.delta, ...(e.content ?? [])]).map((part) => part?.text ?? "").join(""),
		refuses: "refusal",
		ends: { stop: "end_turn", length: "max_tokens", filter: "refusal" },
	},
	{
		name: "gemini",
		path: (model, stream) => `/v1beta/models/${model}:${stream ? "streamGenerateContent?alt=sse" : "generateContent"}`,
		body: () => ({ contents: [{ role: "user", parts: [{ text: words }] }], generationConfig: { maxOutputTokens: 4_000 } }),
		think: { generationConfig: { maxOutputTokens: 4_000, thinkingConfig: { thinkingLevel: "LOW" } } },
		stop: { generationConfig: { maxOutputTokens: 4_000, stopSequences: ["END"] } },
		end: (events) => events.flatMap((e) => e.candidates).map((c) => c.finishReason).find(Boolean),
		text: (events) => events.flatMap((e) => e.candidates).flatMap((c) => c.content?.parts ?? []).map((part) => part.text ?? "").join(""),
		refuses: "STOP",
		ends: { stop: "STOP", length: "MAX_TOKENS", filter: "SAFETY" },
	},
];

let p: Provider;
let lethe: Lethe;
let a: Account;
beforeAll(async () => {
	p = await Provider.start();
	const key = { keys: [{ env: "SIM_API_KEY" }] };
	lethe = await Lethe.start({
		config: {
			providers: [
				{ name: "chat", url: `${p.url}/v1`, responses: false, ...key },
				{ name: "responses", url: `${p.url}/v1`, language: "responses", ...key },
				{ name: "messages", url: `${p.url}/v1`, dialect: "anthropic", ...key },
				{ name: "gemini", url: `${p.url}/v1beta`, dialect: "gemini", ...key },
			],
			models: [...["chat", "messages", "gemini"].map(model), { ...model("responses"), provider: "responses" }],
		},
	});
	a = await lethe.account("person", "100");
});
afterAll(async () => {
	await lethe?.finish();
	p?.stop();
});

const send = (from: Caller, to: string, stream: boolean, more: Json = {}) =>
	fetch(`${lethe.url}${from.path(to, stream)}`, {
		method: "POST",
		headers: { authorization: `Bearer ${a.key}`, "content-type": "application/json" },
		body: JSON.stringify({ ...from.body(to, stream), ...more }),
	});

async function ask(from: Caller, to: string, stream: boolean, more: Json = {}): Promise<any[]> {
	const answer = await send(from, to, stream, more);
	const text = await answer.text();
	expect(answer.status, text).toBe(200);
	return stream ? [...text.matchAll(/^data: ?(\{.*\})\r?$/gm)].map((match) => JSON.parse(match[1]!)) : [JSON.parse(text)];
}

function ending(of: (typeof providers)[number], end: End, stream: boolean): Answer {
	const whole = of.say({ text: said }, stream);
	// Responses say it of the whole answer, with the reason beside it, and in the name of the last event.
	const ended = { length: "max_output_tokens", filter: "content_filter" };
	const incomplete = (text: string) => (end === "stop" ? text : text.replaceAll("response.completed", "response.incomplete").replaceAll('"status":"completed","error":null,"incomplete_details":null', `"status":"incomplete","error":null,"incomplete_details":{"reason":"${ended[end]}"}`));
	const change = (text: string) => (of.name === "responses" ? incomplete(text) : text.replaceAll(`"${of.member}":"${of.ends.stop}"`, `"${of.member}":"${of.ends[end]}"`));
	const changed = { ...whole, pieces: whole.pieces.map((piece) => change(String(piece))) };
	if (end !== "stop") expect(changed.pieces.join("")).toContain(of.ends[end]);
	return changed;
}

const pairs = callers.flatMap((from) => providers.filter((to) => to.name !== from.name).map((to) => ({ from, to })));

describe.each(pairs)("$from.name to $to.name", ({ from, to }) => {
	describe.each([{ way: "plain", stream: false }, { way: "streamed", stream: true }])("$way", ({ stream }) => {
		test.each<{ end: End }>([{ end: "stop" }, { end: "length" }, { end: "filter" }])("$end", async ({ end }) => {
			p.answers(ending(to, end, stream));
			const got = await ask(from, to.name, stream);
			expect(from.end(got)).toEqual(from.ends[end]);
			expect(from.text(got)).toBe(said);
		});

		if (from.stop && !to.stops) test("a stop sequence is refused, for there is no such word", async () => {
			const before = p.seen.length;
			const answer = await send(from, to.name, stream, from.stop);
			expect(answer.status).toBe(400);
			expect(await answer.text()).toContain("takes none: leave it out");
			expect(p.seen.length).toBe(before);
		});
		else if (from.stop) test("a stop sequence is asked for, and what ends at it ends as usual", async () => {
			const whole = to.say({ text: said }, stream);
			const changed = { ...whole, pieces: whole.pieces.map((piece) => Object.entries(to.stopped).reduce((text, [a, b]) => text.replaceAll(a, b), String(piece))) };
			for (const b of Object.values(to.stopped)) expect(changed.pieces.join("")).toContain(b);
			p.answers(changed);
			const got = await ask(from, to.name, stream, from.stop);
			expect(p.last.body).toMatchObject(to.stops!);
			expect(from.text(got)).toBe(said);
			expect(from.end(got)).toEqual(from.ends.stop);
		});

		if (to.name === "responses") test("a refusal in words", async () => {
			const whole = to.say({ text: said }, stream);
			const words = (text: string) => text.replaceAll(/"type":"output_text","text":("[^"]*"),"annotations":\[\],"logprobs":\[\]/g, '"type":"refusal","refusal":$1').replaceAll("response.output_text.", "response.refusal.").replaceAll(`"text":"${said}","logprobs":[]`, `"refusal":"${said}"`);
			p.answers({ ...whole, pieces: whole.pieces.map((piece) => words(String(piece))) });
			const got = await ask(from, to.name, stream);
			expect((from.refusal ?? from.text)(got)).toBe(said);
			expect(from.end(got)).toEqual(from.refuses);
		});

		if (to.name === "chat") test("a refusal in words", async () => {
			const whole = to.say({ text: said }, stream);
			p.answers({ ...whole, pieces: whole.pieces.map((piece) => String(piece).replace(`"content":"${said}","refusal":null`, `"content":null,"refusal":"${said}"`).replace('"delta":{"content":"', '"delta":{"refusal":"')) });
			const got = await ask(from, to.name, stream);
			expect((from.refusal ?? from.text)(got)).toBe(said);
			expect(from.end(got)).toEqual(from.refuses);
		});

		test("reasoning is asked for", async () => {
			p.answers(to.say({ text: said }, stream));
			await ask(from, to.name, stream, from.think);
			expect(p.last.body).toMatchObject(to.thinks);
		});
	});
});
