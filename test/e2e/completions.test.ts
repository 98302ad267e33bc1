// OpenAI's old completions: as they are at a provider that has them, translated for all others.
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Account, type Json, Lethe, nano } from "../harness/lethe.ts";
import { events, json, Provider } from "../harness/provider.ts";
import * as turns from "../harness/turns.ts";
import { until } from "../harness/until.ts";

let p: Provider;
let lethe: Lethe;
let a: Account;
let people = 0;
const price = { from: "2026-01-01", input: "1.00", cached: "0.10", cache_write: "1.25", cache_write_1h: "2.00", output: "10.00" };
const model = (id: string, provider: string) => ({ id, upstream: `${id}-upstream`, provider, context: 200_000, output: 8_000, prices: [price] });
// Long enough that what is reserved for it covers what the answers below claim that it had.
const prompt = "hi ".repeat(1500);
const usage = { prompt_tokens: 1000, completion_tokens: 200, total_tokens: 1200 };
const head = { id: "cmpl-1", object: "text_completion", created: 1, model: "davinci-upstream" };
const choice = (text: string, finish: string | null, index = 0) => ({ text, index, logprobs: null, finish_reason: finish });

beforeAll(async () => {
	p = await Provider.start();
	const key = { keys: [{ env: "SIM_API_KEY" }] };
	lethe = await Lethe.start({
		config: {
			providers: [
				{ name: "old", url: `${p.url}/old`, completions: true, ...key },
				{ name: "openai", url: `${p.url}/v1`, ...key },
				{ name: "anthropic", url: `${p.url}/v1`, dialect: "anthropic", ...key },
				{ name: "google", url: `${p.url}/v1beta`, dialect: "gemini", ...key },
			],
			models: [model("davinci", "old"), model("gpt", "openai"), { ...model("codex", "openai"), language: "responses" }, model("claude", "anthropic"), model("gemini", "google")],
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

const client = () => new OpenAI({ apiKey: a.key, baseURL: `${lethe.url}/v1`, maxRetries: 0 });
const failure = (promise: Promise<unknown>) => promise.then(() => expect.fail("it succeeded"), (error: any) => error);
async function cost(dollars: string): Promise<void> {
	let left = -1;
	await until("the balance is booked", async () => (left = await lethe.balance(a.id)) === nano("100") - nano(dollars)).catch(() => expect.fail(`it cost ${(nano("100") - left) / 1e9}, not ${dollars}`));
}
async function read(more: Json): Promise<{ text: string; finish: string | null | undefined; usage: unknown }> {
	let text = "";
	let finish: string | null | undefined;
	let used: unknown;
	for await (const chunk of await client().completions.create({ model: "gpt", prompt, ...more, stream: true })) {
		expect(chunk.object).toBe("text_completion");
		text += chunk.choices[0]?.text ?? "";
		finish = chunk.choices[0]?.finish_reason ?? finish;
		used = chunk.usage ?? used;
	}
	return { text, finish, usage: used };
}

describe("a provider that has them", () => {
	test("plain: all that it knows goes up as it is, several prompts and answers are paid", async () => {
		p.answers(json({ ...head, choices: [choice("one", "stop"), choice("two", "length", 1)], usage }));
		const answer = await client().completions.create({ model: "davinci", prompt: [prompt, "b"], max_tokens: 100, echo: true, best_of: 2, logprobs: 2, suffix: "end" });
		expect(answer.choices.map((c) => c.text)).toEqual(["one", "two"]);
		expect(p.last.url).toBe("/old/completions");
		expect(p.last.body).toEqual({ model: "davinci-upstream", prompt: [prompt, "b"], max_tokens: 100, echo: true, best_of: 2, logprobs: 2, suffix: "end" });
		await cost("0.003"); // 1000 x $1 + 200 x $10 per million
	});

	test("streamed: usage is asked for, and cut out again for who did not ask", async () => {
		const chunks = [{ ...head, choices: [choice("one ", null)] }, { ...head, choices: [choice("two", "stop")] }, { ...head, choices: [], usage }];
		p.answers(events([...chunks, "[DONE]"]));
		expect(await read({ model: "davinci" })).toEqual({ text: "one two", finish: "stop", usage: undefined });
		expect(p.last.body).toMatchObject({ stream: true, stream_options: { include_usage: true } });
		p.answers(events([...chunks, "[DONE]"]));
		expect(await read({ model: "davinci", stream_options: { include_usage: true } })).toMatchObject({ text: "one two", usage });
		await cost("0.006");
	});
});

describe.each([
	{ of: "gpt", path: "/v1/chat/completions", say: turns.chat, costs: turns.costs.chat },
	{ of: "codex", path: "/v1/responses", say: turns.responses, costs: turns.costs.responses },
	{ of: "claude", path: "/v1/messages", say: turns.messages, costs: turns.costs.messages },
	{ of: "gemini", path: "/v1beta/models/gemini-upstream:", say: turns.gemini, costs: turns.costs.gemini },
])("$of, which has only chats", ({ of, path, say, costs }) => {
	const said = 'Grüße, \u{1F44B} "quoted" \\ and more';

	test("plain", async () => {
		p.answers(say({ thinking: "a thought", text: said }, false));
		const answer = await client().completions.create({ model: of, prompt: [prompt], max_tokens: 2_000, temperature: 0.5 });
		expect(answer).toMatchObject({ object: "text_completion", model: of, choices: [{ text: said, index: 0, logprobs: null, finish_reason: "stop" }] });
		expect(answer.id).toMatch(/^cmpl-/);
		expect(answer.usage!.total_tokens).toBe(answer.usage!.prompt_tokens + answer.usage!.completion_tokens);
		expect(p.last.url.startsWith(path)).toBe(true);
		expect(p.last.raw).toContain(prompt);
		await cost(costs.dollars!);
	});

	test("streamed, with usage and without", async () => {
		p.answers(say({ text: said }, true));
		expect(await read({ model: of })).toEqual({ text: said, finish: "stop", usage: undefined });
		p.answers(say({ text: said }, true));
		const { usage: used } = await read({ model: of, stream_options: { include_usage: true } });
		expect(used).toMatchObject({ prompt_tokens: expect.any(Number), completion_tokens: expect.any(Number) });
	});

	test.each([
		{ more: { echo: true }, field: "echo" },
		{ more: { suffix: "end" }, field: "suffix" },
		{ more: { best_of: 2 }, field: "best_of" },
		{ more: { logprobs: 1 }, field: "logprobs" },
		{ more: { prompt: ["a", "b"] }, field: "prompt" },
		{ more: { prompt: [1, 2] }, field: "prompt" },
	])("$field is refused by its name: $more", async ({ more, field }) => {
		const before = p.seen.length;
		const error = await failure(client().completions.create({ model: of, prompt: "hi", max_tokens: 9, ...more } as OpenAI.CompletionCreateParamsNonStreaming));
		expect(error).toBeInstanceOf(OpenAI.BadRequestError);
		expect(error.param).toBe(field);
		expect(p.seen.length).toBe(before);
	});
});
