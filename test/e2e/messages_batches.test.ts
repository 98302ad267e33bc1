import Anthropic, { BadRequestError, NotFoundError } from "@anthropic-ai/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Account, Lethe, nano } from "../harness/lethe.ts";
import { MessagesBatches } from "../harness/messages_batches.ts";
import { json, Provider } from "../harness/provider.ts";
import { until } from "../harness/until.ts";

// Anthropic's batches at a provider whose account all customers share, through the official SDK: set aside when they begin, paid once, from their results.
let p: Provider;
let lethe: Lethe;
let alice: Account;
let mine: Anthropic;
let theirs: Anthropic;
const batches = new MessagesBatches(() => p.url);
const prices = [{ from: "2026-01-01", input: "1.00", output: "10.00" }, { from: "2026-01-01", tier: "batch", times: "0.5" }];

beforeAll(async () => {
	p = await Provider.start();
	p.answers((request) => (request.url.startsWith("/v1/messages/batches") ? batches.answer(request) : json({}, 500)));
	lethe = await Lethe.start({
		config: {
			providers: [{ name: "anthropic", url: `${p.url}/v1`, dialect: "anthropic", objects: true, keys: [{ env: "SIM_API_KEY" }] }],
			models: [{ id: "claude", provider: "anthropic", context: 100_000, output: 4_000, prices }],
		},
	});
	alice = await lethe.account("alice", "100");
	mine = new Anthropic({ apiKey: alice.key, baseURL: lethe.url, maxRetries: 0 });
	theirs = new Anthropic({ apiKey: (await lethe.account("bob", "100")).key, baseURL: lethe.url, maxRetries: 0 });
});
afterAll(async () => {
	await lethe?.finish();
	await p?.stop();
});

const ask = (custom_id: string, more: object = {}) => ({ custom_id, params: { model: "claude", max_tokens: 100, messages: [{ role: "user" as const, content: "hi" }], ...more } });
const create = (client = mine, requests = [ask("a"), ask("b")]) => client.messages.batches.create({ requests });
const failure = async (promise: Promise<unknown>) => promise.then(() => expect.fail("it went through"), (error) => error as InstanceType<typeof Anthropic.APIError>);
const sound = async () => expect((await lethe.verify()).json["sound"]).toBe(true);
const read = async (id: string, client = mine) => {
	const found = [];
	for await (const line of await client.messages.batches.results(id)) found.push(line);
	return found;
};
const per_batch = 2 * (10 * 500 + 100 * 5_000); // two requests of 10 and 100 tokens, at half of the price

describe("a batch through the official SDK", () => {
	test("is begun, looked at, read, paid once, and deleted", async () => {
		const before = await lethe.balance(alice.id);
		const batch = await create();
		expect(batch).toMatchObject({ type: "message_batch", processing_status: "in_progress", request_counts: { processing: 2 }, results_url: null });
		expect(JSON.stringify(batch)).not.toContain("SecretOfTheProvider");
		expect(before - (await lethe.balance(alice.id))).toBeGreaterThanOrEqual(2 * 100 * 5_000);
		expect((await mine.messages.batches.retrieve(batch.id)).processing_status).toBe("in_progress");
		expect((await failure(mine.messages.batches.delete(batch.id))).message).toContain("has not been paid for yet");
		batches.finish("succeeded", { input: 10, output: 100 });
		for (let i = 0; i < 3; i++) {
			const ended = await mine.messages.batches.retrieve(batch.id);
			expect(ended).toMatchObject({ id: batch.id, processing_status: "ended", results_url: `${lethe.url}/v1/messages/batches/${batch.id}/results` });
			const results = await read(batch.id);
			expect(results.map(({ custom_id }) => custom_id)).toEqual(["a", "b"]);
			expect(results[0]!.result).toMatchObject({ type: "succeeded", message: { usage: { input_tokens: 10, output_tokens: 100 } } });
			await until("it is paid", async () => before - (await lethe.balance(alice.id)) === per_batch);
		}
		expect(await mine.messages.batches.delete(batch.id)).toEqual({ id: batch.id, type: "message_batch_deleted" });
		expect(await failure(mine.messages.batches.retrieve(batch.id))).toBeInstanceOf(NotFoundError);
		expect(before - (await lethe.balance(alice.id))).toBe(per_batch);
		await sound();
	});

	test("is cancelled, and costs nothing when nothing was done", async () => {
		const before = await lethe.balance(alice.id);
		const batch = await create();
		expect((await mine.messages.batches.cancel(batch.id)).processing_status).toBe("canceling");
		batches.finish("canceled", { input: 0, output: 0 });
		expect((await mine.messages.batches.retrieve(batch.id)).processing_status).toBe("ended");
		await until("it came back, by the errand that a look has sent", async () => (await lethe.balance(alice.id)) === before);
	});

	test("that can't be counted is refused, and the sentence says which request", async () => {
		const seen = p.seen.length;
		const error = await failure(create(mine, [ask("a"), ask("b", { stream: true })]));
		expect(error).toBeInstanceOf(BadRequestError);
		expect(error.message).toContain("requests.1: ");
		expect((await failure(create(mine, [ask("a", { model: "nobody" })]))).message).toContain("`nobody`");
		expect(p.seen.length).toBe(seen);
	});

	test("of megabytes is counted while it comes, and its results while they go", async () => {
		const before = await lethe.balance(alice.id);
		const many = Array.from({ length: 6_000 }, (_, i) => ask(`asks-${i}`, { max_tokens: 1, system: "x".repeat(300) }));
		const batch = await create(mine, many);
		expect(batch.request_counts.processing).toBe(6_000);
		batches.finish("succeeded", { input: 10, output: 1 });
		expect(await read(batch.id)).toHaveLength(6_000);
		await until("it is paid", async () => before - (await lethe.balance(alice.id)) === 6_000 * (10 * 500 + 5_000));
	});

	test("that the balance does not cover is a 402, and the provider is not asked", async () => {
		const poor = await lethe.account("poor", "0.000100");
		const seen = p.seen.length;
		expect((await failure(create(new Anthropic({ apiKey: poor.key, baseURL: lethe.url, maxRetries: 0 })))).status).toBe(402);
		expect(p.seen.length).toBe(seen);
	});
});

test("a list has the account's own, page by page", async () => {
	const carol = await lethe.account("carol", "100");
	const client = new Anthropic({ apiKey: carol.key, baseURL: lethe.url, maxRetries: 0 });
	const made = [];
	for (let i = 0; i < 20; i++) made.push((await create(client)).id);
	const listed = [];
	for await (const batch of client.messages.batches.list({ limit: 4 })) listed.push(batch.id);
	expect(listed).toEqual(made.reverse());
	expect((await client.messages.batches.list()).data.map(({ id }) => id)).toEqual(made.slice(0, 15));
	expect((await theirs.messages.batches.list()).data).toEqual([]);
	batches.finish("canceled", { input: 0, output: 0 });
	for await (const { processing_status } of client.messages.batches.list()) expect(processing_status).toBe("ended");
	await until("all of it came back, so that no errand is left to come", async () => (await lethe.balance(carol.id)) === nano("100"));
});

test("nobody else's: each way to another account's batch is a NotFoundError, and the provider is not asked", async () => {
	const batch = await create();
	const seen = p.seen.length;
	const raw = [...batches.kept.keys()].at(-1)!;
	for (const [client, id] of [[theirs, batch.id], [mine, raw], [mine, "msgbatch_made_up"], [theirs, `${batch.id}x`]] as const)
		for (const attempt of [() => client.messages.batches.retrieve(id), () => client.messages.batches.cancel(id), () => client.messages.batches.delete(id), () => read(id, client)])
			expect(await failure(attempt())).toBeInstanceOf(NotFoundError);
	expect(p.seen.length).toBe(seen);
	batches.finish("errored", { input: 0, output: 0 });
	expect(await read(batch.id)).toHaveLength(2);
});

describe("whoever dies", () => {
	const killed = async (role: string) => {
		const before = lethe.children(role);
		for (const pid of before) process.kill(pid, "SIGKILL");
		await until(`the next ${role} is there`, () => lethe.children(role).length === before.length && lethe.children(role).every((pid) => !before.includes(pid)));
	};
	const patient = () => new Anthropic({ apiKey: alice.key, baseURL: lethe.url, maxRetries: 5 });

	test("a batch is paid once, by an errand when nobody looks", async () => {
		const before = await lethe.balance(alice.id);
		await create();
		await killed("ledger");
		await create(patient());
		await killed("edge");
		const upgraded = await lethe.upgrade();
		expect(upgraded.json["result"], upgraded.stdout).toBe("applied");
		await create(patient());
		await lethe.stop();
		await lethe.up();
		batches.finish("succeeded", { input: 10, output: 100 });
		await until("all three are paid", async () => before - (await lethe.balance(alice.id)) === 3 * per_batch);
		await sound();
	});

	test("ledger and edges that are killed while batches are being paid pay each of them once", async () => {
		const before = await lethe.balance(alice.id);
		const made: { id: string }[] = [];
		for (let i = 0; i < 8; i++) made.push(await create(patient()));
		batches.finish("succeeded", { input: 10, output: 100 });
		const looked = () => Promise.allSettled(made.map(({ id }) => read(id, patient())));
		const reading = looked();
		await killed("ledger");
		await killed("edge");
		await reading;
		const again = looked();
		const upgraded = await lethe.upgrade();
		expect(upgraded.json["result"], upgraded.stdout).toBe("applied");
		await again;
		await killed("ledger");
		for (const { id } of made) expect(await read(id, patient())).toHaveLength(2);
		await until("each is paid", async () => before - (await lethe.balance(alice.id)) === 8 * per_batch); // what a dead ledger was told is lost: an errand tells the next
		await sound();
	});
});
