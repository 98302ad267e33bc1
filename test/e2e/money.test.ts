import OpenAI, { APIError, AuthenticationError } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Account, nano, sim, tag } from "../harness/lethe.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
beforeAll(async () => {
	w = await world();
});
afterAll(() => w?.end());

const hi = [{ role: "user" as const, content: "hi" }];

const lethe = (...args: string[]) => w.lethe.command(...args);
let people = 0;
const someone = (dollars: string) => w.lethe.account(`person-${++people}`, dollars);

async function refusal(promise: PromiseLike<unknown>): Promise<APIError> {
	const error = await Promise.resolve(promise).then(
		() => undefined,
		(e: unknown) => e,
	);
	if (!(error instanceof APIError)) throw new Error(`expected an APIError, got ${error}`);
	return error;
}

// Waits for the booking of what was spent.
async function settledAt(account: Account, nanoDollars: number): Promise<void> {
	let seen = -1;
	await until("the balance is booked", async () => (seen = await w.lethe.balance(account.id)) === nanoDollars).catch(() => {
		throw new Error(`balance is ${seen}, not ${nanoDollars}`);
	});
}

describe("a rotated key", () => {
	test("takes the old one's place at once; the old one holds until its overlap ends", async () => {
		const a = await someone("5.00");
		const made = await lethe("key", "rotate", a.keyId);
		const say = (key: string) => w.lethe.client(key).chat.completions.create({ model: "exact", messages: hi });
		await say(a.key);
		await say(made["secret"]);
		const next = await lethe("key", "rotate", made["key"], "--overlap", "0");
		expect(await refusal(say(made["secret"]))).toBeInstanceOf(AuthenticationError);
		await say(next["secret"]);
		await say(a.key);
	});
});

describe("a balance", () => {
	test("pays exactly for what was used", async () => {
		const a = await someone("5.00");
		await w.lethe
			.client(a.key)
			.chat.completions.create({ model: "exact", messages: hi }, sim("prompt_tokens=1000,cached=400,completion_tokens=200"));
		// 600 x $1.00 + 400 x $0.10 + 200 x $10.00 per million
		await settledAt(a, nano("5.00") - nano("0.00264"));
	});

	test("pays the same for a stream", async () => {
		const a = await someone("5.00");
		const stream = w.lethe
			.client(a.key)
			.chat.completions.stream({ model: "exact", messages: hi }, sim("prompt_tokens=1000,cached=400,completion_tokens=200"));
		await stream.done();
		await settledAt(a, nano("5.00") - nano("0.00264"));
	});

	test("shows tokens and cost", async () => {
		const a = await someone("5.00");
		const client = w.lethe.client(a.key);
		for (let i = 0; i < 3; i++)
			await client.chat.completions.create({ model: "exact", messages: hi }, sim("prompt_tokens=100,completion_tokens=10"));
		await settledAt(a, nano("5.00") - nano("0.0006"));
		const total = await w.lethe.usage(a.id);
		expect(total).toMatchObject({ requests: 3, failed: 0, tokens: { input: 300, output: 30, reasoning: 0, cached: 0 } });
		expect(nano(total["cost"])).toBe(nano("0.0006"));
		const byModel = (await w.lethe.command("usage", "--account", a.id, "--by", "model"))["rows"];
		expect(byModel).toMatchObject([{ model: "exact", requests: 3 }]);
	});

	test("of one dollar is enough for an uncapped hi to the dearest model", async () => {
		for (const stream of [false, true]) {
			const a = await someone("1.00");
			const answer = w.lethe.client(a.key).chat.completions.create({ model: "dear", messages: hi, stream });
			if (stream) expect((await Array.fromAsync((await answer) as AsyncIterable<unknown>)).length).toBeGreaterThan(2);
			else expect(((await answer) as OpenAI.ChatCompletion).choices[0]!.message.content).toBeTruthy();
		}
	});

	test("of one dollar is enough for four of them at once", async () => {
		for (const stream of [false, true]) {
			const a = await someone("1.00");
			const client = w.lethe.client(a.key);
			const four = [1, 2, 3, 4].map(async () => {
				const answer = await client.chat.completions.create({ model: "dear", messages: hi, stream }, sim("completion_tokens=100"));
				if (stream) for await (const _ of answer as AsyncIterable<unknown>);
			});
			await Promise.all(four);
			expect(await w.lethe.balance(a.id)).toBeGreaterThanOrEqual(0);
		}
	});

	test("of nothing is 402 with what was needed and what there is", async () => {
		const a = await someone("0");
		const error = await refusal(w.lethe.client(a.key).chat.completions.create({ model: "exact", messages: hi }));
		expect(error).toMatchObject({ status: 402, code: "insufficient_quota", type: "insufficient_quota" });
		const amounts = [...error.message.matchAll(/\$(\d+(?:\.\d+)?)/g)].map((m) => Number(m[1]));
		expect(amounts).toHaveLength(2);
		expect(Math.min(...amounts)).toBe(0);
		expect(Math.max(...amounts)).toBeGreaterThan(0);
	});

	test("that is short says so before anything goes upstream", async () => {
		const a = await someone("0.000001");
		const name = tag("short");
		const error = await refusal(w.lethe.client(a.key).chat.completions.create({ model: "exact", messages: hi }, sim(`tag=${name}`)));
		expect(error.status).toBe(402);
		expect(await w.sim.saw(name)).toBe(false);
	});

	test("never goes below zero under a crowd", async () => {
		const a = await someone("0.05");
		const client = w.lethe.client(a.key);
		const crowd = Array.from({ length: 200 }, async () => {
			try {
				await client.chat.completions.create(
					{ model: "exact", messages: hi, max_completion_tokens: 100 },
					sim("prompt_tokens=10,completion_tokens=100,delay_ms=5"),
				);
				return 1;
			} catch (error) {
				if (error instanceof APIError && [402, 503].includes(error.status!)) return 0;
				throw error;
			}
		});
		const paid = (await Promise.all(crowd)).reduce<number>((sum, n) => sum + n, 0);
		expect(paid).toBeGreaterThan(0);
		await settledAt(a, nano("0.05") - paid * nano("0.00101"));
	});

	test("is not touched by what the provider refuses", async () => {
		const a = await someone("1.00");
		const client = w.lethe.client(a.key);
		for (const script of ["status=400", "status=429", "status=500", "status=401", "cut_head=10", "malformed=head"])
			await refusal(client.chat.completions.create({ model: "exact", messages: hi }, sim(script)));
		await client.chat.completions.create({ model: "exact", messages: hi }, sim("prompt_tokens=100,completion_tokens=1"));
		await settledAt(a, nano("1.00") - nano("0.00011"));
	});
});

describe("usage that the provider gets wrong", () => {
	test.each(["negative", "zero", "huge", "overflow", "string", "none"])("%s never credits and never takes more than was held", async (usage) => {
		for (const stream of [false, true]) {
			const a = await someone("1.00");
			const client = w.lethe.client(a.key);
			const body = { model: "exact", messages: hi, max_completion_tokens: 1000, stream };
			const answer = await client.chat.completions.create(body as OpenAI.ChatCompletionCreateParams, sim(`usage=${usage}`));
			if (stream) for await (const _ of answer as AsyncIterable<unknown>);
			// The next booking after it is there: so is its own.
			await client.chat.completions.create({ model: "exact", messages: hi }, sim("prompt_tokens=1000,completion_tokens=1"));
			await until("both are booked", async () => (await w.lethe.usage(a.id))["requests"] === 2);
			const spent = nano("1.00") - (await w.lethe.balance(a.id));
			expect(spent, usage).toBeGreaterThanOrEqual(nano("0.00101"));
			expect(spent, usage).toBeLessThanOrEqual(nano("0.00101") + nano("0.0102"));
		}
	});
});

describe("what a ticket says of usage that the provider gets wrong", () => {
	test.each([
		["each", { estimated: false, absurd: false }],
		["zero", { estimated: false, absurd: false }],
		["none", { estimated: true, absurd: false }],
		["negative", { estimated: true, absurd: true }],
		["string", { estimated: true, absurd: true }],
		["huge", { estimated: false, absurd: true }],
		["overflow", { estimated: false, absurd: true }],
	])("%s", async (usage, says) => {
		for (const stream of [false, true]) {
			const a = await someone("1.00");
			const body = { model: "exact", messages: hi, max_completion_tokens: 1000, stream } as OpenAI.ChatCompletionCreateParams;
			const { data, response } = await w.lethe.client(a.key).chat.completions.create(body, sim(`usage=${usage}`)).withResponse();
			if (stream) for await (const _ of data as AsyncIterable<unknown>);
			const id = response.headers.get("x-request-id")!;
			const ticket = await until("it is booked", async () => {
				const t = await w.lethe.command("ticket", "show", id);
				return t["state"] === "booked" ? t : undefined;
			});
			expect(ticket).toMatchObject(says);
			if (usage === "zero") expect(nano(ticket["cost"] as string)).toBe(0);
			else expect(nano(ticket["cost"] as string), usage).toBeGreaterThan(0);
			if (usage === "huge" || usage === "overflow") expect(ticket["cost"]).toBe(ticket["hold"]);
			else expect(nano(ticket["cost"] as string), usage).toBeLessThan(nano("0.001"));
		}
	});
});

describe("a client that goes", () => {
	test("in mid-stream pays once, for what had come", async () => {
		const a = await someone("1.00");
		const name = tag("gone");
		const stream = await w.lethe
			.client(a.key)
			.chat.completions.create({ model: "exact", messages: hi, stream: true }, sim(`tag=${name},chunks=100000,gap_ms=2`));
		let seen = 0;
		for await (const _ of stream) if (++seen === 50) break;
		await until("the provider sees it", async () => (await w.sim.last(name)).state === "cancelled");
		const said = (await w.sim.last(name)).chunks;
		const spent = await until("it is booked", async () => nano("1.00") - (await w.lethe.balance(a.id)) || undefined);
		expect(spent).toBeGreaterThan(0);
		// An estimate is rounded up per byte of text, five bytes a word here: three tokens a chunk at most.
		expect(spent).toBeLessThanOrEqual(nano("0.0001") + said * 3 * nano("0.00001"));
	});

	test("before anything went upstream pays nothing", async () => {
		const a = await someone("1.00");
		const abort = new AbortController();
		const answer = w.lethe.client(a.key).chat.completions.create({ model: "exact", messages: hi }, { signal: abort.signal });
		abort.abort();
		await expect(answer).rejects.toThrow();
		expect(await w.lethe.balance(a.id)).toBe(nano("1.00"));
	});
});

describe("a bound that the money sets", () => {
	test("is named in lethe-capped and sent upstream", async () => {
		const a = await someone("0.05");
		const name = tag("capped");
		const { response } = await w.lethe
			.client(a.key)
			.chat.completions.create({ model: "exact", messages: hi }, sim(`tag=${name}`))
			.withResponse();
		const cap = Number(response.headers.get("lethe-capped"));
		expect(cap).toBeGreaterThan(0);
		expect(cap).toBeLessThan(5000);
		expect(JSON.parse(await w.sim.lastBody(name))).toEqual({ model: "exact", messages: hi, max_completion_tokens: cap });
	});

	test("is not set when the caller wants the request as it is", async () => {
		const a = await someone("0.05");
		const error = await refusal(
			w.lethe.client(a.key).chat.completions.create({ model: "exact", messages: hi }, { headers: { "lethe-policy": "as-is" } }),
		);
		expect(error.status).toBe(402);
	});

	test("is not set when there is enough", async () => {
		const a = await someone("100.00");
		const { response } = await w.lethe.client(a.key).chat.completions.create({ model: "exact", messages: hi }).withResponse();
		expect(response.headers.get("lethe-capped")).toBeNull();
	});
});

describe("keys", () => {
	test("a revoked one is refused as soon as that is said", async () => {
		const a = await someone("1.00");
		const client = w.lethe.client(a.key);
		await client.chat.completions.create({ model: "exact", messages: hi });
		await w.lethe.command("key", "revoke", a.keyId);
		await expect(client.models.list()).rejects.toBeInstanceOf(AuthenticationError);
	});

	test("a new one is taken at once", async () => {
		const a = await someone("1.00");
		expect((await w.lethe.client(a.key).chat.completions.create({ model: "exact", messages: hi })).id).toBeTruthy();
	});

	test("money that comes is there at once", async () => {
		const a = await someone("0");
		const client = w.lethe.client(a.key);
		expect((await refusal(client.chat.completions.create({ model: "exact", messages: hi }))).status).toBe(402);
		await w.lethe.credit(a.id, "1.00");
		expect((await client.chat.completions.create({ model: "exact", messages: hi })).id).toBeTruthy();
	});
});

test("after all of it, the books are right", async () => {
	const verified = await w.lethe.verify();
	expect(verified.stdout).not.toMatch(/"ok":\s*false/);
	expect(verified.status).toBe(0);
});
