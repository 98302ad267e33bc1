// The balance ends while an answer is streamed: the hold grew in steps as long as there was money, then the stream ends with the error event of the caller's
// dialect, which says so. What was charged is at most what there was, and the balance is less by just that, never below zero.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readReceipt, verifyReceipt } from "../../examples/verify_receipt.mts";
import { idNumber, tickets } from "../harness/books.ts";
import { type Json, Lethe, nano } from "../harness/lethe.ts";
import { events, generated, message, messageEvents, Provider, response, responseEvents } from "../harness/provider.ts";
import { until } from "../harness/until.ts";

let p: Provider;
let lethe: Lethe;

beforeAll(async () => {
	p = await Provider.start();
	const keys = [{ env: "SIM_API_KEY" }];
	const model = (id: string, provider: string) => ({ id, provider, context: 200_000, output: 64_000, prices: [{ from: "2026-01-01", input: "1.00", output: "10.00" }] });
	lethe = await Lethe.start({
		config: {
			providers: [
				{ name: "openai", url: `${p.url}/v1`, inject_usage: true, keys },
				{ name: "anthropic", url: `${p.url}/v1`, dialect: "anthropic", keys },
				{ name: "google", url: `${p.url}/v1beta`, dialect: "gemini", keys },
			],
			models: [model("gpt", "openai"), model("claude", "anthropic"), model("gemini", "google")],
		},
	});
});
afterAll(async () => {
	await lethe?.finish();
	p?.stop();
});

const dollars = "0.1";
const words = "word ".repeat(200);
const pieces = 300; // sixty thousand tokens, of which a tenth can be paid

const chunk = (content: string) => ({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta: { content } }] });
const said = responseEvents(response());
const parts = messageEvents();
const streams: Record<string, () => (Json | string)[]> = {
	openai: () => Array.from({ length: pieces }, () => chunk(words)),
	responses: () => [...said.slice(0, 4), ...Array.from({ length: pieces }, (_, i) => ({ ...said[4], delta: words, sequence_number: 4 + i }))],
	anthropic: () => [{ ...parts[0], message: message({ content: [], stop_reason: null, usage: { input_tokens: 10, output_tokens: 1 } }) }, parts[1]!, ...Array.from({ length: pieces }, () => ({ ...parts[3], delta: { type: "text_delta", text: words } }))],
	google: () => Array.from({ length: pieces }, () => generated(words, { usageMetadata: undefined })),
};

const chat = (model: string) => ({ path: "/v1/chat/completions", body: { model, stream: true, messages: [{ role: "user", content: "hi" }] } });
const messages = (model: string) => ({ path: "/v1/messages", body: { model, stream: true, max_tokens: 60_000, messages: [{ role: "user", content: "hi" }] } });
const gemini = (model: string) => ({ path: `/v1beta/models/${model}:streamGenerateContent?alt=sse`, body: { contents: [{ role: "user", parts: [{ text: "hi" }] }] } });
const responses = (model: string) => ({ path: "/v1/responses", body: { model, stream: true, input: "hi" } });

// The caller's dialect, the model, what its provider streams, and the last event.
const cases: [string, { path: string; body: Json }, string, Json][] = [
	["chat completions", chat("gpt"), "openai", { error: { type: "insufficient_quota", code: "budget_exhausted" } }],
	["responses", responses("gpt"), "responses", { type: "error", code: "budget_exhausted" }],
	["generateContent", gemini("gemini"), "google", { error: { status: "FAILED_PRECONDITION", code: 402 } }],
	["chat completions told to messages", chat("claude"), "anthropic", { error: { type: "insufficient_quota", code: "budget_exhausted" } }],
	["chat completions told to generateContent", chat("gemini"), "google", { error: { type: "insufficient_quota", code: "budget_exhausted" } }],
	["generateContent told to chat completions", gemini("gpt"), "openai", { error: { status: "FAILED_PRECONDITION", code: 402 } }],
];

describe("the balance ends in the middle of a stream", () => {
	test.each(cases)("%s", async (name, asked, stream, last) => {
		const account = await lethe.account(name, dollars);
		p.answers(() => ({ ...events(streams[stream]!(), { named: stream === "responses" || stream === "anthropic" }), hang: true }));
		const answer = await fetch(`${lethe.url}${asked.path}`, {
			method: "POST",
			headers: { authorization: `Bearer ${account.key}`, "content-type": "application/json", "anthropic-version": "2023-06-01" },
			body: JSON.stringify(asked.body),
		});
		expect(answer.status, answer.status === 200 ? "" : await answer.clone().text()).toBe(200);
		const text = await answer.text(); // whole: its body has a proper end
		const data = [...text.matchAll(/^data: (.*)$/gm)].map((line) => line[1]!);
		expect(data.length).toBeGreaterThan(10);
		expect(JSON.parse(data.at(-1)!)).toMatchObject(last);
		expect(data.at(-1)).toContain("balance");
		const row = await until("it is booked", () => tickets(lethe).find((t) => t["account"] === idNumber(account.id) && Number(t["parent"]) === 0));
		expect(Number(row["end_reason"])).toBe(14); // BUDGET_EXHAUSTED
		const cost = Number(row["cost_nano"]);
		// What a stream is stopped by counts as many tokens as there can be; what is charged without usage is an estimate of how many there were.
		expect(cost).toBeGreaterThan(nano(dollars) / 4);
		expect(Number(row["hold_nano"])).toBeGreaterThan(nano(dollars) * 0.99);
		expect(cost).toBeLessThanOrEqual(Number(row["hold_nano"]));
		expect(Number(row["hold_nano"])).toBeLessThanOrEqual(nano(dollars));
		await until("nothing is held", async () => (await lethe.command("account", "show", account.id))["held"] === "0.000000000");
		expect(await lethe.balance(account.id)).toBe(nano(dollars) - cost);
	});

	test.each([cases[0]!, cases[2]!])("%s: the receipt that was asked for stands behind that event", async (name, asked, stream) => {
		const account = await lethe.account(`${name}, inline`, dollars);
		p.answers(() => ({ ...events(streams[stream]!()), hang: true }));
		const headers = { authorization: `Bearer ${account.key}`, "content-type": "application/json", "lethe-receipt": "inline" };
		const text = await (await fetch(`${lethe.url}${asked.path}`, { method: "POST", headers, body: JSON.stringify(asked.body) })).text();
		expect(text).toMatch(/balance[^\n]*\s+(: lethe-receipt |data: .*"letheReceipt":")req_[^\n]*\s+$/);
		const r = readReceipt(text);
		verifyReceipt(r, ((await lethe.command("receipt", "key"))["keys"] as Json[])[0]!["key"]);
		expect(await lethe.balance(account.id)).toBe(nano(dollars) - nano(r.cost));
	});

	// A bound is held as a whole, and messages can't be asked for without one: what can't be paid to its end does not begin.
	test.each(["claude", "gpt"])("messages of %s with a bound that is beyond the balance are refused before anything is asked", async (model) => {
		const account = await lethe.account(`bounded ${model}`, dollars);
		const before = p.seen.length;
		const asked = messages(model);
		const answer = await fetch(`${lethe.url}${asked.path}`, { method: "POST", headers: { "x-api-key": account.key, "content-type": "application/json", "anthropic-version": "2023-06-01" }, body: JSON.stringify(asked.body) });
		expect(answer.status).toBe(402);
		expect(await answer.json()).toMatchObject({ type: "error", error: { type: "billing_error", message: expect.stringContaining("lower the bound") } });
		expect(p.seen.length).toBe(before);
		expect(await lethe.balance(account.id)).toBe(nano(dollars));
	});

	test("the books are right", async () => {
		expect((await lethe.command("ledger", "verify"))["sound"]).toBe(true);
	});
});
