import Anthropic from "@anthropic-ai/sdk";
import OpenAI, { APIError, PermissionDeniedError, RateLimitError } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Account, type Json, nano } from "../harness/lethe.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
beforeAll(async () => {
	w = await world({ edges: 2 });
});
afterAll(() => w?.end());

const hi = [{ role: "user" as const, content: "hi" }];
const lethe = (...args: string[]) => w.lethe.command(...args);
let people = 0;
const someone = (dollars = "5.00") => w.lethe.account(`limited-${++people}`, dollars);
const say = (a: Account, more: Json = {}, options = {}) =>
	new OpenAI({ baseURL: `${w.lethe.url}/v1`, apiKey: a.key, maxRetries: 0 }).chat.completions.create({ model: "exact", messages: hi, max_tokens: 10, ...more }, options);

async function refusal(promise: PromiseLike<unknown>): Promise<APIError> {
	const error = await Promise.resolve(promise).then(
		() => undefined,
		(e: unknown) => e,
	);
	if (!(error instanceof APIError)) throw new Error(`expected an APIError, got ${error}`);
	return error;
}

// So many requests, `at` of them at a time, each over a connection of its own, so that both edges get some. How many passed, and what the others got.
async function crowd(a: Account, requests: number, at: number): Promise<Map<number, number>> {
	const seen = new Map<number, number>();
	let left = requests;
	const one = async () => {
		while (left-- > 0) {
			const answer = await fetch(`${w.lethe.url}/v1/chat/completions`, {
				method: "POST",
				headers: { authorization: `Bearer ${a.key}`, "content-type": "application/json", connection: "close" },
				body: JSON.stringify({ model: "exact", messages: hi, max_tokens: 10 }),
			});
			await answer.arrayBuffer();
			seen.set(answer.status, (seen.get(answer.status) ?? 0) + 1);
		}
	};
	await Promise.all(Array.from({ length: at }, one));
	return seen;
}

describe("limits on two edges", () => {
	test("ten thousand requests at once against a thousand a day: a thousand pass", async () => {
		const a = await someone("90.00");
		await lethe("account", "limit", a.id, "--requests-per-day", "1000");
		const seen = await crowd(a, 10_000, 100);
		expect(Object.fromEntries(seen)).toEqual({ 200: 1000, 429: 9000 });
		expect((await lethe("account", "show", a.id))["used"]["requests_per_day"]).toBe(1000);
	});

	test("a day's money is never more than the limit, and comes back to nobody when edges die", async () => {
		const a = await someone();
		await lethe("key", "limit", a.keyId, "--dollars-per-day", "0.01");
		const running = Promise.allSettled(Array.from({ length: 20 }, () => say(a, { stream: true, max_tokens: 500 }, { headers: { "x-sim": "delay_ms=60000" } })));
		await until("they hold something", async () => Number((await lethe("key", "show", a.keyId))["held"]) > 0);
		expect(await refusal(say(a, { max_tokens: 900 }))).toMatchObject({ status: 429, code: "budget_exceeded" });
		for (const pid of w.lethe.children("edge")) process.kill(pid, "SIGKILL");
		await running;
		await until("what they held is back", async () => Number((await lethe("key", "show", a.keyId))["used"]["dollars_per_day"]) === 0);
		// Edges that died while they served it: it may be held back.
		await until("it is served again", async () => {
			await w.lethe.run("key", "release", a.keyId);
			return say(a).then(
				() => true,
				() => false,
			);
		});
	});

	test("what was spent outlives a restart of everything", async () => {
		const a = await someone();
		await lethe("key", "limit", a.keyId, "--dollars-per-month", "1.00", "--requests-per-day", "3");
		await say(a);
		const used = await until("it is booked", async () => {
			const shown = await lethe("key", "show", a.keyId);
			return shown["held"] === "0.000000000" && Number(shown["used"]["dollars_per_month"]) > 0 ? shown["used"] : undefined;
		});
		await w.lethe.stop();
		await w.lethe.up();
		expect((await lethe("key", "show", a.keyId))["used"]).toEqual(used);
		await say(a);
		await say(a);
		expect(await refusal(say(a))).toBeInstanceOf(RateLimitError);
	});
});

describe("SDKs", () => {
	test("raise RateLimitError, and read when to try again", async () => {
		const a = await someone();
		await lethe("key", "limit", a.keyId, "--requests-per-minute", "2");
		const first = await say(a).withResponse();
		expect(first.response.headers.get("x-ratelimit-limit-requests")).toBe("2");
		expect(first.response.headers.get("x-ratelimit-remaining-requests")).toBe("1");
		await say(a);
		const error = await refusal(say(a));
		expect(error).toBeInstanceOf(RateLimitError);
		expect(Number(error.headers?.get("retry-after"))).toBeGreaterThan(20);
		expect(error.message).toContain("limited to 2 requests a minute");
		const anthropic = new Anthropic({ baseURL: w.lethe.url, apiKey: a.key, maxRetries: 0 });
		const other = await anthropic.messages.create({ model: "exact", max_tokens: 10, messages: hi }).catch((e: unknown) => e);
		expect(other).toBeInstanceOf(Anthropic.RateLimitError);
		expect((other as InstanceType<typeof Anthropic.RateLimitError>).headers?.get("anthropic-ratelimit-requests-limit")).toBe("2");
	});

	test("don't try again when money ended", async () => {
		const a = await someone();
		await lethe("key", "limit", a.keyId, "--dollars-per-day", "0.00001");
		let tries = 0;
		const client = new OpenAI({
			baseURL: `${w.lethe.url}/v1`,
			apiKey: a.key,
			maxRetries: 3,
			fetch: (...args) => {
				tries++;
				return fetch(...args);
			},
		});
		const error = await refusal(client.chat.completions.create({ model: "exact", messages: hi, max_tokens: 10 }));
		expect(error).toMatchObject({ status: 429, code: "budget_exceeded" });
		expect(tries).toBe(1);
	});

	test("see the models that a key may use, with what they cost", async () => {
		const a = await someone();
		await lethe("key", "limit", a.keyId, "--models", "exact,thin*", "--addresses", "127.0.0.0/8");
		const client = w.lethe.client(a.key);
		const list = await client.models.list();
		expect(list.data.map((m) => m.id).sort()).toEqual(["exact", "exact-alias", "thinker"]);
		expect(list.data.find((m) => m.id === "exact")).toMatchObject({ context_window: 400_000, max_output_tokens: 128_000, pricing: { input: "1.00", output: "10.00" } });
		expect(await refusal(client.models.retrieve("dear"))).toMatchObject({ status: 404 });
		expect(await refusal(say(a, { model: "dear" }))).toMatchObject({ status: 404, code: "model_not_found" });
		await say(a);
		await lethe("key", "limit", a.keyId, "--addresses", "192.0.2.0/24");
		expect(await refusal(say(a))).toBeInstanceOf(PermissionDeniedError);
	});
});

test("a key and a quote can be asked for", async () => {
	const a = await someone();
	await lethe("key", "limit", a.keyId, "--streams", "4", "--dollars-per-week", "2");
	await say(a);
	const headers = { authorization: `Bearer ${a.key}`, "content-type": "application/json" };
	const own = (await (await fetch(`${w.lethe.url}/v1/key`, { headers })).json()) as Json;
	expect(own).toMatchObject({ object: "key", id: a.keyId, account: a.id, models: null, expires_at: null });
	expect(own["limits"].map((l: Json) => l["limit"])).toEqual(["streams", "dollars_per_week"]);
	const body = JSON.stringify({ model: "exact", messages: hi, max_tokens: 1000 });
	const quoted = (await (await fetch(`${w.lethe.url}/v1/quote?endpoint=chat.completions`, { method: "POST", headers, body })).json()) as Json;
	expect(quoted).toMatchObject({ object: "quote", model: "exact", output_tokens_at_most: 1000, affordable: true });
	expect(nano(quoted["held"])).toBeGreaterThanOrEqual(nano("0.01"));
	expect(nano(quoted["available"])).toBeLessThan(nano("2"));
});
