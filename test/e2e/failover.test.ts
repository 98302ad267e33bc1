import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "../harness/exposition.ts";
import { type Json, upstreamKey } from "../harness/lethe.ts";
import { Nobody } from "../harness/nobody.ts";
import { type Answer, json, Provider } from "../harness/provider.ts";
import { Sim } from "../harness/sim.ts";
import { chat, messages } from "../harness/turns.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

// Two providers of one model: the first does what the test wants, the simulator is well. The client must not notice the first.
let w: World;
let first: Provider;
let words: Provider;
let nobody: Nobody;
let asked = 0;
const hi = { messages: [{ role: "user", content: "hi" }] };

beforeAll(async () => {
	first = await Provider.start();
	nobody = await Nobody.start();
	words = await Provider.start();
	const sim = await Sim.start({ key: upstreamKey });
	const targets = (provider: string) => [{ provider, upstream: "exact" }, { provider: "sim", upstream: "exact", rank: 2 }];
	const model = (id: string, provider: string): Json => ({
		id,
		provider: undefined,
		targets: targets(provider),
		prices: [{ input: "1.00", output: "10.00" }],
	});
	w = await world({
		sim,
		extra: {
			providers: [
				{ name: "first", url: `${first.url}/v1` },
				{ name: "nobody", url: `${nobody.url}/v1` },
				{ name: "words", url: `${words.url}/v1`, dialect: "anthropic" },
			],
			models: [
				model("two", "first"),
				model("half", "nobody"),
				{ ...model("to-words", "first"), targets: [{ provider: "first", upstream: "gpt" }, { provider: "words", upstream: "claude", rank: 2 }] },
				{ ...model("from-words", "words"), targets: [{ provider: "words", upstream: "claude" }, { provider: "first", upstream: "gpt", rank: 2 }] },
			],
		},
		config: { expose_route: true, timeouts: { target: "3s" }, metrics: { listen: "127.0.0.1:0" } },
	});
});
afterAll(async () => {
	await w?.end();
	first?.stop();
	nobody?.stop();
	words?.stop();
});

async function ask(model: string, more: Json = {}): Promise<{ status: number; provider: string | null; text: string }> {
	asked++;
	const answer = await fetch(`${w.lethe.url}/v1/chat/completions`, {
		method: "POST",
		headers: { authorization: `Bearer ${w.customer.key}`, "content-type": "application/json" },
		body: JSON.stringify({ model, ...hi, ...more }),
	});
	return { status: answer.status, provider: answer.headers.get("lethe-provider"), text: await answer.text() };
}

const error = (status: number, headers: Record<string, string> = {}): Answer => ({
	...json({ error: { message: "no", type: "server_error" } }, status),
	headers,
});
const faults: [string, Answer][] = [
	["says 500", error(500)],
	["says 503 with a time", error(503, { "retry-after": "1" })],
	["says 429", error(429)],
	["refuses the account", error(401)],
	["cuts an error in its middle", { status: 502, pieces: ['{"err'], cut: true }],
	["is silent", { silent: true, pieces: [] }],
];

test.each(faults)("of 20 requests at once to one that %s, none fails", async (_, fault) => {
	first.answers(fault);
	const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => ask("two", i % 2 ? { stream: true } : {})));
	for (const a of answers) expect(a).toMatchObject({ status: 200, provider: "sim" });
});

test("of 20 requests at once to one that can't be reached, none fails", async () => {
	const answers = await Promise.all(Array.from({ length: 20 }, () => ask("half")));
	for (const a of answers) expect(a).toMatchObject({ status: 200, provider: "sim" });
});

// One failure each: an open circuit would pass the first one over.
test.each([
	["to-words", false, { status: 503, pieces: ["{}"] }],
	["to-words", true, { pieces: [], silent: true }],
	["from-words", false, { pieces: [], silent: true }],
	["from-words", true, { status: 529, pieces: ["{}"] }],
] as [string, boolean, Answer][])("the OpenAI SDK does not notice that who fails and who answers speak different languages: %s, streamed: %s", async (model, stream, fault) => {
	const [fails, answers] = model === "to-words" ? [first, words] : [words, first];
	const text = "Hello from the other side.";
	const [failed, answered] = [fails.seen.length, answers.seen.length];
	fails.answers(fault);
	answers.answers((answers === words ? messages : chat)({ text }, stream));
	// An account of its own: the SDK leaves at [DONE], so that the end of a stream may count as the client's.
	const client = w.lethe.client((await w.lethe.account(`sdk ${model} ${stream}`, "1")).key);
	const ask = { model, messages: [{ role: "user" as const, content: "café" }] };
	let said = "";
	if (stream) for await (const part of await client.chat.completions.create({ ...ask, stream })) said += part.choices[0]?.delta.content ?? "";
	else said = (await client.chat.completions.create(ask)).choices[0]!.message.content!;
	expect(said).toBe(text);
	expect(fails.seen.length).toBe(failed + 1);
	expect(answers.seen.length).toBe(answered + 1);
	expect(words.last).toMatchObject({ url: "/v1/messages", body: { model: "claude", messages: [{ role: "user" }] } });
	expect(first.last).toMatchObject({ url: "/v1/chat/completions", body: { model: "gpt", messages: [{ role: "user", content: "café" }] } });
	for (const p of [words, first]) expect(p.last.raw.match(/café/g)).toHaveLength(1);
});

test("all edges pass it over, the metrics say so, and it is found well again", async () => {
	const url = readFileSync(join(w.lethe.data, "endpoint.metrics"), "utf8").trim();
	const scrape = async () => parse(await (await fetch(`${url}/metrics`)).text(), false);
	const state = (families: Awaited<ReturnType<typeof scrape>>, model: string) =>
		families.get("lethe_circuit_state")!.samples.find((s) => s.labels["model"] === model && s.labels["provider"] !== "sim")!.value;
	expect(state(await scrape(), "half")).toBe("2");
	const troubled = (await w.lethe.command("top"))["providers"] as Json[];
	expect(troubled).toContainEqual(expect.objectContaining({ provider: "nobody", upstream: "exact", key: null, state: "open" }));
	expect(troubled.filter((p) => p["provider"] === "sim" || p["state"] === "closed")).toEqual([]);
	const seen = first.seen.length;
	first.answers({ ...json({ id: "c", choices: [], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }) });
	const back = await until("a probe finds it well", async () => {
		const a = await ask("two");
		expect(a.status).toBe(200);
		return a.provider === "first" && a;
	});
	expect(back.provider).toBe("first");
	expect(first.seen.length).toBe(seen + 1); // one request found out
	expect(state(await scrape(), "two")).toBe("0");
});

test("usage is of requests, not of attempts, and the books balance", async () => {
	// This one has the whole request and may charge for it: the attempt is kept, for the operator.
	const seen = first.seen.length;
	first.answers({ silent: true, pieces: [] });
	expect(await ask("two")).toMatchObject({ status: 200, provider: "sim" });
	expect(first.seen.length).toBe(seen + 1);
	const { total } = await until("all are booked", async () => {
		const usage = await w.lethe.command("usage", "--account", w.customer.id);
		return (usage["total"] as Json)["requests"] >= asked && usage;
	});
	expect(total).toMatchObject({ requests: asked, failed: 0 });
	const byProvider = await w.lethe.command("usage", "--account", w.customer.id, "--by", "provider");
	expect(byProvider["total"]).toEqual(total);
	expect((await w.lethe.verify()).status).toBe(0);
});
