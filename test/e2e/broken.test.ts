// Who pays when it breaks: every place where an exchange can break, in every dialect, plain and streamed. In each cell there is one ticket or none, its end's
// row of end_reasons.h says whether it is charged, the charge is usage times price and never above the hold, and the balance is less by just that.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { idNumber, tickets, type TicketRow } from "../harness/books.ts";
import { type Account, type Json, Lethe, nano } from "../harness/lethe.ts";
import { type Answer, events, generated, generatedEvents, geminiUsage, json, message, messageEvents, messageUsage, Provider, response, responseEvents, responsesUsage } from "../harness/provider.ts";
import { Raw } from "../harness/raw.ts";
import { until } from "../harness/until.ts";

let p: Provider;
// Where no time-out is near, and one world for each that is: there it alone can be over.
const timeouts = { patient: {}, silent: { first_byte: "200ms" }, stalled: { between_bytes: "200ms" }, slow: { request: "1s" } };
type World = { lethe: Lethe; a: Account };
const worlds = {} as Record<keyof typeof timeouts, World>;

const price = { from: "2026-01-01", input: "1.00", cached: "0.10", cache_write: "1.25", cache_write_1h: "2.00", output: "10.00" };

beforeAll(async () => {
	p = await Provider.start();
	const keys = [{ env: "SIM_API_KEY" }];
	const model = (id: string, provider: string) => ({ id, provider, context: 200_000, output: 8_000, prices: [price] });
	const config = {
		providers: [
			{ name: "openai", url: `${p.url}/v1`, inject_usage: true, keys },
			{ name: "anthropic", url: `${p.url}/v1`, dialect: "anthropic", keys },
			{ name: "google", url: `${p.url}/v1beta`, dialect: "gemini", keys },
			{ name: "chats", url: `${p.url}/v1`, responses: false, inject_usage: true, keys },
		],
		models: [model("gpt", "openai"), model("claude", "anthropic"), model("gemini", "google"), model("talk", "chats")],
	};
	for (const name of Object.keys(timeouts) as (keyof typeof timeouts)[]) {
		const lethe = await Lethe.start({ config: { ...config, timeouts: timeouts[name] } });
		worlds[name] = { lethe, a: await lethe.account("payer", "1000") };
	}
});
afterAll(async () => {
	for (const { lethe } of Object.values(worlds)) await lethe.finish();
	p?.stop();
});

// ---- the policy, as the code has it

const policy = new Map(
	[...readFileSync(join(import.meta.dirname, "../../src/ticket/end_reasons.h"), "utf8").matchAll(/X\((\w+), (\d+), .*?, (NONE|REPORTED), "/g)].map((row) => [Number(row[2]), { name: row[1]!, billing: row[3]! }]),
);

// ---- the dialects: a request, a whole answer, and what that costs

const prompt = "hi ".repeat(1500);
const chatUsage = { prompt_tokens: 1000, prompt_tokens_details: { cached_tokens: 400 }, completion_tokens: 60, total_tokens: 1060 };
const chunk = (delta: Json, more: Json = {}) => ({ id: "c", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta }], ...more });
const completion = (usage: Json | undefined) => ({ id: "c", object: "chat.completion", created: 1, model: "m", choices: [{ index: 0, message: { role: "assistant", content: "Hello there" }, finish_reason: "stop" }], usage });
const chatEvents = (usage: Json | undefined) => [chunk({ role: "assistant", content: "" }), chunk({ content: "Hello " }), chunk({ content: "there" }), chunk({}, { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }), ...(usage ? [chunk({}, { choices: [], usage })] : [])];

type Dialect = { model: string; path: (stream: boolean, model: string) => string; body: (stream: boolean, model: string) => Json; header: (key: string) => string; plain: (usage?: Json) => Json; stream: (usage?: Json) => (Json | string)[]; named: boolean; usage: Json; negative: Json; absurd: Json; error: Json; cost: string };

const dialects: Record<string, Dialect> = {
	chat: {
		model: "gpt",
		path: () => "/v1/chat/completions",
		body: (stream, model) => ({ model, max_completion_tokens: 500, stream, messages: [{ role: "user", content: prompt }] }),
		header: (key) => `Authorization: Bearer ${key}`,
		plain: completion,
		stream: (usage) => [...chatEvents(usage), "data: [DONE]\n\n"],
		named: false,
		usage: chatUsage,
		negative: { ...chatUsage, prompt_tokens: -1000, completion_tokens: -60 },
		absurd: { ...chatUsage, prompt_tokens: 4e15, completion_tokens: 4e15 },
		error: { error: { message: "overloaded", type: "server_error", code: null, param: null } },
		cost: "0.00124", // 600 x $1 + 400 x $0.10 + 60 x $10
	},
	responses: {
		model: "gpt",
		path: () => "/v1/responses",
		body: (stream, model) => ({ model, max_output_tokens: 500, stream, input: prompt }),
		header: (key) => `Authorization: Bearer ${key}`,
		plain: (usage) => response({ usage: usage ?? null }),
		stream: (usage) => responseEvents(response({ usage: usage ?? null })),
		named: true,
		usage: responsesUsage,
		negative: { ...responsesUsage, input_tokens: -1000, output_tokens: -200 },
		absurd: { ...responsesUsage, input_tokens: 4e15, output_tokens: 4e15 },
		error: { type: "error", code: "server_error", message: "overloaded", param: null, sequence_number: 5 },
		cost: "0.00264", // 600 x $1 + 400 x $0.10 + 200 x $10
	},
	messages: {
		model: "claude",
		path: () => "/v1/messages",
		body: (stream, model) => ({ model, max_tokens: 500, stream, messages: [{ role: "user", content: prompt }] }),
		header: (key) => `x-api-key: ${key}\r\nanthropic-version: 2023-06-01`,
		plain: (usage) => message(usage ? { usage } : { usage: undefined }),
		stream: (usage) =>
			messageEvents().map((event) =>
				event["type"] === "message_start" ? { ...event, message: message({ content: [], stop_reason: null, usage: usage ? { ...usage, output_tokens: Math.min(1, usage["output_tokens"]) } : undefined }) }
				: event["type"] === "message_delta" ? { ...event, usage: usage ? { output_tokens: usage["output_tokens"] } : undefined }
				: event,
			),
		named: true,
		usage: messageUsage,
		negative: { ...messageUsage, input_tokens: -100, output_tokens: -50 },
		absurd: { ...messageUsage, input_tokens: 4e15, output_tokens: 4e15 },
		error: { type: "error", error: { type: "overloaded_error", message: "Overloaded" } },
		cost: "0.001145", // 100 x $1 + 200 x $0.10 + 100 x $1.25 + 200 x $2 + 50 x $10
	},
	gemini: {
		model: "gemini",
		path: (stream, model) => `/v1beta/models/${model}:${stream ? "streamGenerateContent?alt=sse" : "generateContent"}`,
		body: () => ({ contents: [{ role: "user", parts: [{ text: prompt }] }], generationConfig: { maxOutputTokens: 500 } }),
		header: (key) => `x-goog-api-key: ${key}`,
		plain: (usage) => generated("Hello there", { usageMetadata: usage }),
		stream: (usage) => generatedEvents().map((event, i, all) => ({ ...event, usageMetadata: usage && i === all.length - 1 ? usage : undefined })),
		named: false,
		usage: geminiUsage,
		negative: { promptTokenCount: -100, candidatesTokenCount: -20, totalTokenCount: -120 },
		absurd: { promptTokenCount: 4e15, candidatesTokenCount: 4e15, totalTokenCount: 8e15 },
		error: { error: { code: 503, message: "The model is overloaded.", status: "UNAVAILABLE" } },
		cost: "0.000564", // 60 x $1 + 40 x $0.10 + 50 x $10
	},
};

// Asked in one language, answered in another: the caller's request, the provider's answer and prices. All pairs with LETHE_BROKEN=all (./dev broken), else two of them.
const spoken: [string, string][] = [["responses", "gemini"], ["messages", "chat"]];
const others: [string, string][] = [["chat", "messages"], ["chat", "gemini"], ["responses", "messages"], ["responses", "chat"], ["messages", "gemini"], ["gemini", "chat"], ["gemini", "messages"]];
for (const [from, to] of [...spoken, ...(process.env["LETHE_BROKEN"] === "all" ? others : [])]) {
	const { path, body, header } = dialects[from]!;
	dialects[`${from} to ${to}`] = { ...dialects[to]!, path, body, header, ...(to === "chat" ? { model: "talk" } : {}) };
}

const whole = (d: Dialect, stream: boolean, usage: Json | undefined): Answer => (stream ? events(d.stream(usage), { named: d.named }) : json(d.plain(usage)));
const half = (answer: Answer): (string | Buffer)[] => {
	const text = answer.pieces.join("");
	return answer.pieces.length > 1 ? answer.pieces.slice(0, Math.ceil(answer.pieces.length * 0.6)) : [text.slice(0, text.length / 2)];
};

// ---- the places

// What the customer pays: nothing; the whole answer's price; something, by an estimate or by what was reported; or whatever usage and policy say.
type Charge = "nothing" | "whole" | "something" | "policy";
type Place = {
	answer: (d: Dialect, stream: boolean) => Answer;
	charge: { plain: Charge; stream: Charge };
	// Of the client: leaves with part of the body unsent, when the provider has the request, or when this much of the answer is there.
	leaves?: "unsent" | "asked" | "answered";
	cutAtOnce?: boolean;
	world?: keyof typeof timeouts;
	end?: string; // of end_reasons.h, where there are others that could be meant
	tickets?: number;
	marks?: number; // enum ticket_flag: 2 estimated, 8 absurd
};

const nothingOf = (usage: Json): Json => JSON.parse(JSON.stringify(usage), (_, value: unknown) => (typeof value === "number" ? 0 : value)) as Json;
const hang = (answer: Answer): Answer => ({ ...answer, hang: true });
// With the head, so that no other time-out can be meant than that for more of it.
const halfAtOnce = (d: Dialect, stream: boolean): Answer => hang({ ...whole(d, stream, d.usage), pieces: [half(whole(d, stream, d.usage)).join("")] });
const status = (code: number) => (d: Dialect): Answer => ({ status: code, pieces: [JSON.stringify({ ...d.error, usage: d.usage, usageMetadata: d.usage })] });

const places: Record<string, Place> = {
	"nowhere: the whole answer": { answer: (d, s) => whole(d, s, d.usage), charge: { plain: "whole", stream: "whole" } },
	"the client leaves before its body is complete": { answer: (d, s) => whole(d, s, d.usage), leaves: "unsent", tickets: 0, charge: { plain: "nothing", stream: "nothing" } },
	"the client leaves before the answer begins": { answer: () => ({ silent: true, pieces: [] }), leaves: "asked", charge: { plain: "policy", stream: "policy" } },
	"the client leaves in the middle of the answer": { answer: (d, s) => hang({ ...whole(d, s, d.usage), pieces: half(whole(d, s, d.usage)) }), leaves: "answered", charge: { plain: "something", stream: "something" } },
	"the provider answers 500, with usage": { answer: status(500), charge: { plain: "nothing", stream: "nothing" } },
	"the provider answers 429, with usage": { answer: status(429), charge: { plain: "nothing", stream: "nothing" } },
	"the provider cuts before its head": { answer: () => ({ silent: true, pieces: [] }), cutAtOnce: true, charge: { plain: "nothing", stream: "nothing" } },
	"the provider cuts in the middle of its answer": { answer: (d, s) => ({ ...whole(d, s, d.usage), pieces: half(whole(d, s, d.usage)), cut: true }), charge: { plain: "policy", stream: "something" } },
	"the provider is silent for too long before its head": { world: "silent", end: "PROVIDER_TIMEOUT", answer: () => ({ silent: true, pieces: [] }), charge: { plain: "nothing", stream: "nothing" } },
	"the provider is silent for too long in the middle of its answer": { world: "stalled", end: "PROVIDER_STALLED", answer: halfAtOnce, charge: { plain: "policy", stream: "something" } },
	"the whole takes too long": { world: "slow", end: "REQUEST_TIMEOUT", answer: halfAtOnce, charge: { plain: "policy", stream: "policy" } },
	"the provider says 200, and an error inside": { answer: (d, s) => (s ? events([...d.stream(undefined).slice(0, 2), d.error], { named: d.named }) : json(d.error)), charge: { plain: "policy", stream: "policy" } },
	"the provider says what is no JSON": { answer: (d, s) => (s ? events([...d.stream(undefined).slice(0, 2), "data: {nonsense\n\n"], { named: d.named }) : { pieces: ["{nonsense"] }), charge: { plain: "policy", stream: "policy" } },
	"the provider reports no usage": { answer: (d, s) => whole(d, s, undefined), marks: 2, charge: { plain: "something", stream: "something" } },
	"the provider reports that nothing was used": { answer: (d, s) => whole(d, s, nothingOf(d.usage)), charge: { plain: "nothing", stream: "nothing" } },
	"the provider reports less than nothing": { answer: (d, s) => whole(d, s, d.negative), marks: 2 | 8, charge: { plain: "something", stream: "something" } },
	"the provider reports more than there can be": { answer: (d, s) => whole(d, s, d.absurd), marks: 8, charge: { plain: "something", stream: "something" } },
};

// ---- one cell

function request(d: Dialect, stream: boolean, a: Account): string {
	const body = JSON.stringify(d.body(stream, d.model));
	return `POST ${d.path(stream, d.model)} HTTP/1.1\r\nHost: lethe.test\r\n${d.header(a.key)}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`;
}

async function exchange({ lethe, a }: World, d: Dialect, place: Place, stream: boolean): Promise<void> {
	const text = request(d, stream, a);
	const before = p.seen.length;
	p.answers((_) => {
		if (place.cutAtOnce) setImmediate(() => p.letGo());
		return place.answer(d, stream);
	});
	const raw = await Raw.open(lethe.url);
	raw.say(place.leaves === "unsent" ? text.slice(0, -10) : text);
	if (place.leaves === "asked") await until("the provider has it", () => p.seen.length > before);
	else if (place.leaves === "answered") await until("the answer begins", () => (stream ? raw.received.includes("ello") : p.seen.length > before));
	else if (!place.leaves) await raw.ends();
	if (place.leaves) raw.socket.resetAndDestroy();
}

const mine = ({ lethe, a }: World) => tickets(lethe).filter((row) => row["account"] === idNumber(a.id));

// What the row's usage costs by the prices above, rounded up once. All in nano-dollars: a dollar per million is a thousand a token.
function priced(row: TicketRow): number {
	const n = (name: string) => Number(row[`tokens_${name}`]);
	return n("input") * 1000 + n("cached") * 100 + n("cache_write") * 1250 + n("cache_write_1h") * 2000 + (n("output") + n("reasoning")) * 10_000;
}

function check(row: TicketRow, d: Dialect, charge: Charge): void {
	const cost = Number(row["cost_nano"]);
	const hold = Number(row["hold_nano"]);
	const end = policy.get(Number(row["end_reason"]))!;
	expect(cost, `${end.name}: at least nothing`).toBeGreaterThanOrEqual(0);
	expect(cost, `${end.name}: at most the hold`).toBeLessThanOrEqual(hold);
	expect(cost, `${end.name}: what the policy says`).toBe(end.billing === "NONE" ? 0 : Math.min(hold, priced(row)));
	if (charge === "nothing") expect(cost, end.name).toBe(0);
	if (charge === "whole") expect(cost, end.name).toBe(nano(d.cost));
	if (charge === "something") expect(cost, end.name).toBeGreaterThan(0);
}

describe.each(Object.entries(dialects))("%s", (_, d) => {
	describe.each([["plain", false], ["streamed", true]] as const)("%s", (_how, stream) => {
		test.each(Object.entries(places))("%s", async (_what, place) => {
			const world = worlds[place.world ?? "patient"];
			const { lethe, a } = world;
			const rows = mine(world).length;
			const balance = await lethe.balance(a.id);
			await exchange(world, d, place, stream);
			const wanted = place.tickets ?? 1;
			// One that must not be there would have to be booked before the whole one that follows.
			if (wanted === 0) await exchange(world, d, places["nowhere: the whole answer"]!, stream);
			// A leg may be booked before the request it belongs to.
			await until("it is booked", () => mine(world).slice(rows).some((row) => Number(row["parent"]) === 0));
			await until("nothing runs", async () => (await lethe.command("account", "show", a.id))["held"] === "0.000000000");
			const all = mine(world).slice(rows);
			// What a kept connection took along as it closed goes up once more: the first attempt is a leg that costs the customer nothing.
			const legs = all.filter((row) => Number(row["parent"]) !== 0);
			expect(all.length - legs.length, "tickets").toBe(Math.max(wanted, 1));
			expect(legs.length).toBeLessThanOrEqual(place.cutAtOnce ? 1 : 0);
			expect(legs.every((row) => Number(row["cost_nano"]) === 0)).toBe(true);
			if (place.marks !== undefined) expect(all.map((row) => Number(row["flags"]) & (2 | 8)), "marked").toEqual([place.marks]);
			if (place.end) expect(all.map((row) => policy.get(Number(row["end_reason"]))!.name)).toEqual([place.end]);
			for (const row of all) check(row, d, wanted === 0 ? "whole" : place.charge[stream ? "stream" : "plain"]);
			expect(balance - (await lethe.balance(a.id)), "the balance").toBe(all.reduce((sum, row) => sum + Number(row["cost_nano"]), 0));
		});
	});
});

test("what was absurd is the operator's loss, by name, and the books are right", async () => {
	expect(policy.size).toBeGreaterThan(30);
	const ends = new Set(Object.values(worlds).flatMap((world) => mine(world).map((row) => policy.get(Number(row["end_reason"]))!.name)));
	expect(ends.size, "ways to end").toBeGreaterThan(8);
	for (const { lethe } of Object.values(worlds)) {
		const verified = await lethe.verify();
		expect(verified.stdout).not.toMatch(/"ok":\s*false/);
		expect(verified.status).toBe(0);
	}
	const absurd = tickets(worlds.patient.lethe).filter((row) => Number(row["flags"]) & 8 && Number(row["cost_nano"]) === Number(row["hold_nano"]));
	expect(absurd.length).toBeGreaterThan(0);
	for (const row of absurd) expect(Number(row["loss"])).toBe(15); // loss.absurd
});
