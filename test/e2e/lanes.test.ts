// By which lane a request goes that names none: its key's, its workspace's, or the first that the model has.
import { execFileSync } from "node:child_process";
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import { APIError } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Account, type Json, nano } from "../harness/lethe.ts";
import { letheBinary } from "../harness/paths.ts";
import { type Answer, post, Raw } from "../harness/raw.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

const script = "prompt_tokens=1000,completion_tokens=100";
const price = { from: "2026-01-01", input: "1.00", output: "10.00" };
const whole = nano("0.002");
const two = {
	id: "two-lanes",
	provider: undefined,
	prices: [price],
	targets: [{ provider: "sim", lanes: ["direct", "economy"] }],
};

// A model that nobody promises anything of, and one of which all is said; in one lane, by one provider that keeps nothing.
const told = {
	id: "told-all",
	aliases: ["also-told"],
	provider: undefined,
	reasoning: true,
	capabilities: ["images", "files", "tools", "json_schema"],
	prices: [price],
	targets: [{ provider: "sim", lanes: ["economy"], retention: "zero", region: "eu" }],
};
const embeds = { id: "embeds", capabilities: ["embeddings"], prices: [price], output: 1, provider: undefined, targets: [{ provider: "sim", lanes: ["direct"] }] };

let w: World;
beforeAll(async () => {
	w = await world({
		config: { expose_route: true, lanes: [{ name: "direct" }, { name: "economy", times: "0.5" }, { name: "rare", times: "3" }] },
		extra: { providers: [], models: [two, told, embeds] },
	});
});
afterAll(() => w?.end());

const lethe = (...args: string[]) => w.lethe.command(...args);
let people = 0;
const someone = () => w.lethe.account(`somebody-${++people}`, "5.00");

// Over a connection of its own: after a reload that is one of the new edges.
async function say(request: string): Promise<Answer> {
	const raw = await Raw.open(w.lethe.url);
	raw.say(request);
	const answer = await raw.answer();
	raw.close();
	return answer;
}
async function ask(a: Account, model: string, headers: Record<string, string> = {}): Promise<{ lane: string | undefined; status: number; text: string }> {
	const answer = await say(post(a.key, JSON.stringify({ model, messages: [{ role: "user", content: "hi" }] }), { "x-sim": script, ...headers }));
	return { lane: answer.headers.get("lethe-lane"), status: answer.status, text: answer.body.toString() };
}
async function key(a: Account): Promise<Json> {
	return JSON.parse((await say(`GET /v1/key HTTP/1.1\r\nHost: lethe.test\r\nAuthorization: Bearer ${a.key}\r\n\r\n`)).body.toString()) as Json;
}

describe("lists of models", () => {
	const openai = async (a: Account) => (await w.lethe.client(a.key).models.list()).data as unknown as Json[];
	const anthropic = async (a: Account) => (await new Anthropic({ apiKey: a.key, baseURL: w.lethe.url }).models.list()).data as unknown as Json[];
	// As it comes: the SDK leaves out what it does not know.
	const gemini = async (a: Account) => ((await (await fetch(`${w.lethe.url}/v1beta/models`, { headers: { "x-goog-api-key": a.key } })).json()) as Json)["models"] as Json[];
	const one = (list: Json[], id: string) => list.find((m) => (m["id"] ?? m["baseModelId"]) === id);
	const pricing = (input: string, output: string) => ({ unit: "dollars per million tokens", input, cached_input: input, cache_write: input, output });
	const lanes = [
		{ lane: "direct", pricing: pricing("1.00", "10.00") },
		{ lane: "economy", pricing: pricing("0.50", "5.00") },
	];

	test("tell window, capabilities, lanes and what each costs, in each dialect", async () => {
		const a = await someone();
		for (const list of [openai, anthropic, gemini]) {
			const all = await list(a);
			expect(one(all, "two-lanes")).toMatchObject({ lane: "direct", pricing: pricing("1.00", "10.00"), lanes });
			// Its only lane: the first that it has, also by its other name.
			expect(one(all, "told-all")).toMatchObject({ lane: "economy", lanes: [lanes[1]] });
			expect(one(all, "also-told")).toBeDefined();
			expect(one(all, "tomorrow")).toBeUndefined();
		}
		expect(one(await openai(a), "told-all")).toMatchObject({ context_window: 400_000, max_output_tokens: 128_000, reasoning: true, capabilities: ["reasoning", "images", "files", "tools", "json_schema"] });
		expect(one(await openai(a), "exact")).toMatchObject({ capabilities: [] });
		const supported = { supported: true };
		expect(one(await anthropic(a), "told-all")).toMatchObject({
			max_input_tokens: 400_000,
			max_tokens: 128_000,
			lifecycle: "active",
			capabilities: { image_input: supported, pdf_input: supported, structured_outputs: supported, thinking: { supported: true, types: { enabled: supported } }, batch: { supported: false } },
		});
		expect(one(await anthropic(a), "two-lanes")!["capabilities"]).toBeNull();
		expect(one(await gemini(a), "told-all")).toMatchObject({ inputTokenLimit: 400_000, outputTokenLimit: 128_000, thinking: true, supportedGenerationMethods: ["generateContent", "countTokens"] });
		expect(one(await gemini(a), "embeds")).toMatchObject({ supportedGenerationMethods: ["embedContent", "batchEmbedContents"] });
		let named = 0;
		for await (const m of await new GoogleGenAI({ apiKey: a.key, httpOptions: { baseUrl: w.lethe.url } }).models.list()) named += m.name === "models/told-all" && m.inputTokenLimit === 400_000 ? 1 : 0;
		expect(named).toBe(1);
	});

	test("have what the key may ask for: by its lane, at its prices, where its policy lets it go, of the models that it may use", async () => {
		const a = await someone();
		const names = async (list: (a: Account) => Promise<Json[]>) => (await list(a)).map((m) => (m["id"] ?? m["baseModelId"]) as string).sort();
		await lethe("account", "limit", a.id, "--lane", "economy");
		for (const list of [openai, anthropic, gemini]) {
			expect(await names(list)).not.toContain("embeds");
			expect(one(await list(a), "two-lanes")).toMatchObject({ lane: "economy", pricing: pricing("0.50", "5.00"), lanes });
		}
		// By a lane that is named it can still be asked for: it is told, and what is told is so.
		const direct = (await w.lethe.client(a.key).models.retrieve("embeds")) as unknown as Json;
		expect(direct).toMatchObject({ lane: null, lanes: [{ lane: "direct" }] });
		expect(direct).not.toHaveProperty("pricing");
		await lethe("key", "limit", a.keyId, "--policy", "zero-retention,region=eu");
		for (const list of [openai, anthropic, gemini]) expect(await names(list)).toEqual(["also-told", "told-all"]);
		await expect(w.lethe.client(a.key).models.retrieve("two-lanes")).rejects.toMatchObject({ status: 404 });
		expect(await ask(a, "two-lanes")).toMatchObject({ status: 400 });
		expect(await ask(a, "told-all")).toMatchObject({ status: 200, lane: "economy" });
		await lethe("key", "limit", a.keyId, "--policy", "region=us");
		for (const list of [openai, anthropic, gemini]) expect(await names(list)).toEqual([]);
		await lethe("key", "limit", a.keyId, "--policy", "none", "--lane", "direct", "--models", "two*,emb*");
		for (const list of [openai, anthropic, gemini]) expect(await names(list)).toEqual(["embeds", "two-lanes"]);
		await lethe("key", "limit", a.keyId, "--scopes", "inference");
		await expect(w.lethe.client(a.key).models.list()).rejects.toMatchObject({ status: 403 });
	});
});

describe("a lane that is set", () => {
	test("is the account's for all its keys, the key's before it, and the request's before both; and costs what it costs", async () => {
		const a = await someone();
		expect(await ask(a, "two-lanes")).toMatchObject({ status: 200, lane: "direct" });
		expect((await key(a))["lane"]).toBeNull();
		expect((await lethe("account", "limit", a.id, "--lane", "Economy"))["lane"]).toBe("economy");
		expect(await ask(a, "two-lanes")).toMatchObject({ status: 200, lane: "economy" });
		expect((await key(a))["lane"]).toBe("economy");
		expect((await lethe("key", "limit", a.keyId, "--lane", "direct"))["lane"]).toBe("direct");
		expect(await ask(a, "two-lanes")).toMatchObject({ status: 200, lane: "direct" });
		expect((await key(a))["lane"]).toBe("direct");
		expect(await ask(a, "two-lanes:economy")).toMatchObject({ status: 200, lane: "economy" });
		expect(await ask(a, "two-lanes", { "lethe-lane": "economy" })).toMatchObject({ status: 200, lane: "economy" });
		await lethe("key", "limit", a.keyId, "--lane", "none");
		expect(await ask(a, "two-lanes")).toMatchObject({ status: 200, lane: "economy" });
		await until("all is booked", async () => (await w.lethe.usage(a.id))["requests"] === 6);
		expect(nano((await w.lethe.usage(a.id))["cost"])).toBe(2 * whole + 4 * (whole / 2));
	});

	test("is shown, goes along when the key is rotated, and outlives a restart of the ledger", async () => {
		const a = await someone();
		await lethe("key", "limit", a.keyId, "--lane", "economy");
		const shown = execFileSync(letheBinary, ["key", "show", a.keyId, "--data", w.lethe.data], { env: { PATH: process.env["PATH"] }, encoding: "utf8" });
		expect(shown).toMatch(/^lane +economy$/m);
		const next = await lethe("key", "rotate", a.keyId);
		for (const pid of w.lethe.children("ledger")) process.kill(pid, "SIGKILL");
		const again = { ...a, key: next["secret"] as string };
		await until("the ledger is back", async () => (await ask(again, "two-lanes")).status === 200);
		expect(await ask(again, "two-lanes")).toMatchObject({ status: 200, lane: "economy" });
	});

	test("that a model does not have is a refusal, in the words of the SDK, and never another lane", async () => {
		const a = await someone();
		await lethe("key", "limit", a.keyId, "--lane", "rare");
		const error = await w.lethe
			.client(a.key)
			.chat.completions.create({ model: "two-lanes", messages: [{ role: "user", content: "hi" }] })
			.then(
				() => undefined,
				(e: unknown) => e,
			);
		expect(error).toBeInstanceOf(APIError);
		expect(error).toMatchObject({ status: 400, code: "unknown_lane" });
		expect((error as APIError).message).toContain("The model `two-lanes` has no lane `rare`. It has: direct, economy. Requests of this key go by that lane when they name none");
		expect(await ask(a, "two-lanes", { "lethe-lane": "direct" })).toMatchObject({ status: 200, lane: "direct" });
	});

	// The last one: it changes the configuration.
	test("is refused where there is none of that name, and a request is when it has gone", async () => {
		const a = await someone();
		const wrong = await w.lethe.run("key", "limit", a.keyId, "--lane", "econom");
		expect(wrong.status).toBe(1);
		expect(wrong.stderr + wrong.stdout).toContain('there is no lane \\"econom\\": the configuration has direct, economy, rare');
		await lethe("key", "limit", a.keyId, "--lane", "economy");
		w.lethe.configure((config) => {
			config["lanes"] = [{ name: "direct" }, { name: "slow" }];
			for (const model of config["models"]) for (const target of model["targets"] ?? []) target["lanes"] = target["lanes"].map((lane: string) => (lane === "economy" ? "slow" : lane));
		});
		expect((await w.lethe.reload()).json["result"]).toBe("applied");
		const gone = await ask(a, "two-lanes");
		expect(gone.status).toBe(400);
		expect(gone.text).toContain("The model `two-lanes` has no lane `economy`. It has: direct, slow. Requests of this key go by that lane");
		expect((await key(a))["lane"]).toBe("economy");
		await lethe("key", "limit", a.keyId, "--lane", "slow");
		expect(await ask(a, "two-lanes")).toMatchObject({ status: 200, lane: "slow" });
	});
});
