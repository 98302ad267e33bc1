import Anthropic from "@anthropic-ai/sdk";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import OpenAI, { AuthenticationError, RateLimitError, toFile } from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Batches } from "../harness/batches.ts";
import { Files } from "../harness/files.ts";
import { type Account, nano } from "../harness/lethe.ts";
import { json, Provider } from "../harness/provider.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

// Customers with keys of their own at a provider: two edges, one provider that notes each key it is shown.
let w: World;
let provider: Provider;
let claude: Provider;
let keeper: Provider;
const files = new Files();
const batches = new Batches(files);
const answer = (input: number, output: number) =>
	json({
		id: "c",
		object: "chat.completion",
		choices: [{ index: 0, message: { role: "assistant", content: "Hello." }, finish_reason: "stop" }],
		usage: { prompt_tokens: input, completion_tokens: output, total_tokens: input + output },
	});
const hi = [{ role: "user" as const, content: "hi" }];
const lethe = (...args: string[]) => w.lethe.command(...args);
const client = (a: Account) => new OpenAI({ baseURL: `${w.lethe.url}/v1`, apiKey: a.key, maxRetries: 0 });
const say = (a: Account, model = "theirs") => client(a).chat.completions.create({ model, messages: hi, max_tokens: 10 });
const shown = () => provider.last.headers["authorization"];

beforeAll(async () => {
	provider = await Provider.start();
	claude = await Provider.start();
	keeper = await Provider.start();
	provider.answers(answer(10, 5));
	w = await world({
		edges: 2,
		extra: {
			providers: [
				{ name: "theirs", url: `${provider.url}/v1`, keys: [{ env: "SIM_API_KEY" }] },
				{ name: "keeper", url: `${keeper.url}/v1`, objects: true, keys: [{ env: "SIM_API_KEY" }] },
				{ name: "claude", url: `${claude.url}/v1`, dialect: "anthropic", keys: [{ env: "SIM_API_KEY" }] },
			],
			models: [
				{ id: "theirs", provider: "theirs", prices: [{ input: "1.00", output: "10.00" }] },
				{ id: "gpt", provider: "keeper", context: 100_000, output: 4_000, prices: [{ from: "2026-01-01", input: "1.00", output: "10.00" }, { from: "2026-01-01", tier: "batch", times: "0.5" }] },
				{ id: "claude", provider: "claude", prices: [{ input: "1.00", output: "10.00" }] },
			],
		},
		config: { byok_fee: { percent: "10", per_request: "0.0005" } },
	});
});
afterAll(async () => {
	await w?.end();
	provider?.stop();
	claude?.stop();
	keeper?.stop();
});

// What all of it has cost, once so many requests are booked.
async function cost(a: Account, requests: number): Promise<number> {
	const used = await until("the requests are booked", async () => {
		const total = await w.lethe.usage(a.id);
		return total["requests"] === requests ? total : undefined;
	});
	return nano(used["cost"]);
}

test("a workspace's own key is used for it alone, at the fee, and no longer than it is there", async () => {
	const [a, b] = [await w.lethe.account("own-a", "1.00"), await w.lethe.account("own-b", "1.00")];
	await say(a);
	const ours = shown();
	const added = await lethe("byok", "add", a.id, "theirs", "sk-belongs-to-a-0000001");
	expect(added).toMatchObject({ account_name: "own-a", provider: "theirs", last4: "0001", fallback: false });
	for (let i = 0; i < 8; i++) {
		await say(a);
		expect(shown()).toBe("Bearer sk-belongs-to-a-0000001");
		await say(b);
		expect(shown()).toBe(ours);
	}
	// 10 and 5 tokens are $0.00006; a tenth of that, and $0.0005.
	expect(await cost(a, 9)).toBe(60_000 + 8 * 506_000);
	expect(await cost(b, 8)).toBe(8 * 60_000);
	await lethe("byok", "add", a.id, "theirs", "sk-belongs-to-a-0000002");
	for (let i = 0; i < 4; i++) {
		await say(a);
		expect(shown()).toBe("Bearer sk-belongs-to-a-0000002");
	}
	expect((await lethe("byok", "list", "--account", a.id))["byok"]).toMatchObject([{ last4: "0002", state: "active" }]);
	await lethe("byok", "remove", a.id, "theirs");
	for (let i = 0; i < 4; i++) {
		await say(a);
		expect(shown()).toBe(ours);
	}
	expect((await lethe("byok", "list", "--account", a.id))["byok"]).toEqual([]);
	expect((await w.lethe.run("byok", "remove", a.id, "theirs")).json["error"].message).toMatch(/has no own key at "theirs"/);
	expect((await w.lethe.verify()).json["sound"]).toBe(true);
});

test("a refused own key is the customer's to know, in the words of their SDK, and nobody else notices", async () => {
	const [a, b] = [await w.lethe.account("refused-a", "1.00"), await w.lethe.account("refused-b", "1.00")];
	await lethe("byok", "add", a.id, "theirs", "sk-that-was-revoked-1");
	await lethe("byok", "add", a.id, "claude", "sk-ant-was-revoked-1");
	const well = answer(10, 1);
	provider.answers((request) =>
		request.headers["authorization"]!.includes("revoked") ? json({ error: { message: "Incorrect API key provided: sk-that*.", type: "invalid_request_error", code: "invalid_api_key" } }, 401) : well,
	);
	await expect(say(a)).rejects.toThrow(AuthenticationError);
	await expect(say(a)).rejects.toThrow(/Incorrect API key provided: sk-that/);
	provider.answers((request) =>
		request.headers["authorization"]!.includes("revoked") ? json({ error: { message: "You exceeded your current quota.", code: "insufficient_quota" } }, 429) : well,
	);
	await expect(say(a)).rejects.toThrow(RateLimitError);
	for (let i = 0; i < 4; i++) expect((await say(b)).choices[0]!.message.content).toBe("Hello.");
	claude.answers(json({ type: "error", error: { type: "authentication_error", message: "invalid x-api-key" } }, 401));
	const anthropic = new Anthropic({ baseURL: w.lethe.url, apiKey: a.key, maxRetries: 0 });
	await expect(anthropic.messages.create({ model: "claude", max_tokens: 5, messages: hi })).rejects.toThrow(Anthropic.AuthenticationError);
	await expect(say(a, "claude")).rejects.toThrow(/invalid x-api-key/); // in chat's words
	expect(await cost(a, 5)).toBe(0);
	const log = readFileSync(join(w.lethe.dir, "lethe.log"), "utf8");
	expect(log).not.toMatch(/PROVIDER_ACCOUNT|KEY_REFUSED|TARGET_FAILS/);
});

test("a batch is the own key's from its file to its end, and costs the fee", async () => {
	const a = await w.lethe.account("own-batch", "1.00");
	await lethe("byok", "add", a.id, "keeper", "sk-batches-of-a-1");
	keeper.answers((request) =>
		request.headers["authorization"] !== "Bearer sk-batches-of-a-1" ? json({ error: { message: "nobody's" } }, 404) : request.url.startsWith("/v1/files") ? files.answer(request) : batches.answer(request),
	);
	const lines = ["a", "b"].map((custom_id) => JSON.stringify({ custom_id, method: "POST", url: "/v1/chat/completions", body: { model: "gpt", max_tokens: 100, messages: hi } }));
	const file = await client(a).files.create({ file: await toFile(Buffer.from(lines.join("\n")), "requests.jsonl"), purpose: "batch" });
	const batch = await client(a).batches.create({ input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" });
	batches.finish("completed", { input: 10, output: 100 });
	expect((await client(a).batches.list()).data.map(({ id }) => id)).toEqual([batch.id]);
	const ended = await client(a).batches.retrieve(batch.id);
	expect((await (await client(a).files.content(ended.output_file_id!)).text()).split("\n")).toHaveLength(2);
	const list = 2 * (10 * 500 + 100 * 5_000);
	await until("the fee is paid", async () => 1e9 - (await w.lethe.balance(a.id)) === list / 10 + 2 * 500_000);
	await lethe("byok", "remove", a.id, "keeper");
	await expect(client(a).batches.retrieve(batch.id)).rejects.toThrow(/own key/);
	expect((await client(a).batches.list()).data).toEqual([]);
	expect((await w.lethe.verify()).json["sound"]).toBe(true);
});

test("no file and no line of the log has an own key in the clear, and it works after a restart", async () => {
	const a = await w.lethe.account("kept", "1.00");
	provider.answers(answer(10, 1));
	await w.lethe.stop();
	await lethe("byok", "add", a.id, "theirs", "sk-only-edges-know-this"); // without a server, too
	await w.lethe.up();
	await say(a);
	expect(shown()).toBe("Bearer sk-only-edges-know-this");
	for (const dir of [w.lethe.dir, w.lethe.data])
		for (const entry of readdirSync(dir, { withFileTypes: true }))
			if (entry.isFile()) expect(readFileSync(join(dir, entry.name)).includes("only-edges-know"), entry.name).toBe(false);
});

test("what is wrong is said", async () => {
	const message = async (...args: string[]) => ((await w.lethe.run("byok", "add", ...args)).json["error"] ?? {})["message"] as string;
	expect(await message("nobody", "theirs", "sk-1")).toMatch(/nobody/);
	expect(await message("customer", "elsewhere", "sk-1")).toMatch(/no provider "elsewhere"/);
	expect((await w.lethe.run("byok", "add", "customer", "theirs", "two words")).json["error"].message).toMatch(/visible ASCII/);
});
