import OpenAI, { BadRequestError, NotFoundError, RateLimitError, toFile } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Batches } from "../harness/batches.ts";
import { Files } from "../harness/files.ts";
import { type Account, Lethe } from "../harness/lethe.ts";
import { json, Provider } from "../harness/provider.ts";
import { until } from "../harness/until.ts";

// Batches at a provider whose account all customers share, through the official SDK: set aside when they begin, paid once when they have ended.
let p: Provider;
let lethe: Lethe;
let alice: Account;
let mine: OpenAI;
let theirs: OpenAI;
const files = new Files();
const batches = new Batches(files);
const keys = [{ env: "SIM_API_KEY" }];
const prices = [{ from: "2026-01-01", input: "1.00", output: "10.00" }, { from: "2026-01-01", tier: "batch", times: "0.5" }];

beforeAll(async () => {
	p = await Provider.start();
	p.answers((request) => (request.url.startsWith("/v1/files") ? files.answer(request) : request.url.startsWith("/v1/batches") ? batches.answer(request) : json({}, 500)));
	lethe = await Lethe.start({
		config: { providers: [{ name: "openai", url: `${p.url}/v1`, objects: true, keys }], models: [{ id: "gpt", provider: "openai", context: 100_000, output: 4_000, prices }] },
	});
	alice = await lethe.account("alice", "100");
	mine = lethe.client(alice.key, { maxRetries: 0 });
	theirs = lethe.client((await lethe.account("bob", "100")).key, { maxRetries: 0 });
});
afterAll(async () => {
	await lethe?.finish();
	await p?.stop();
});

const line = (custom_id: string, more: object = {}) => JSON.stringify({ custom_id, method: "POST", url: "/v1/chat/completions", body: { model: "gpt", max_tokens: 100, messages: [{ role: "user", content: "hi" }], ...more } });
const upload = async (client: OpenAI, lines: string[]) => client.files.create({ file: await toFile(Buffer.from(lines.join("\n")), "requests.jsonl"), purpose: "batch" });
const create = async (client: OpenAI, lines = [line("a"), line("b")], metadata: Record<string, string> = { of: "mine" }) =>
	client.batches.create({ input_file_id: (await upload(client, lines)).id, endpoint: "/v1/chat/completions", completion_window: "24h", metadata });
const failure = async (promise: Promise<unknown>) => promise.then(() => expect.fail("it went through"), (error) => error as InstanceType<typeof OpenAI.APIError>);
const sound = async () => expect((await lethe.verify()).json["sound"]).toBe(true);
const per_batch = 2 * (10 * 500 + 100 * 5_000); // two requests of 10 and 100 tokens, at half of the price

describe("a batch through the official SDK", () => {
	test("is begun, looked at, read, and paid once", async () => {
		const before = await lethe.balance(alice.id);
		const batch = await create(mine);
		expect(batch).toMatchObject({ object: "batch", status: "validating", endpoint: "/v1/chat/completions", metadata: { of: "mine" }, request_counts: { total: 2 } });
		expect(JSON.stringify(batch)).not.toContain("SecretOfTheProvider");
		expect(before - (await lethe.balance(alice.id))).toBeGreaterThanOrEqual(2 * 100 * 5_000);
		expect((await mine.batches.retrieve(batch.id)).status).toBe("in_progress");
		batches.finish("completed", { input: 10, output: 100 });
		for (let i = 0; i < 3; i++) {
			const ended = await mine.batches.retrieve(batch.id);
			expect(ended).toMatchObject({ id: batch.id, input_file_id: batch.input_file_id, status: "completed", request_counts: { completed: 2 } });
			expect(JSON.stringify(ended)).not.toContain("SecretOfTheProvider");
			expect((await (await mine.files.content(ended.output_file_id!)).text()).split("\n")).toHaveLength(2);
			await until("it is paid", async () => before - (await lethe.balance(alice.id)) === per_batch);
		}
		await sound();
	});

	test("is cancelled, and costs what was done", async () => {
		const before = await lethe.balance(alice.id);
		const batch = await create(mine);
		expect((await mine.batches.cancel(batch.id)).status).toBe("cancelling");
		batches.finish("cancelled", { input: 10, output: 0 });
		expect((await mine.batches.retrieve(batch.id)).status).toBe("cancelled");
		await until("it is paid", async () => before - (await lethe.balance(alice.id)) === 2 * 10 * 500);
	});

	test("that failed costs nothing", async () => {
		const before = await lethe.balance(alice.id);
		const batch = await create(mine);
		batches.finish("failed", { input: 1, output: 1 });
		expect((await mine.batches.retrieve(batch.id)).status).toBe("failed");
		await until("it came back", async () => (await lethe.balance(alice.id)) === before);
	});

	test("that can't be counted is refused, and the sentence says which line", async () => {
		const seen = p.seen.length;
		const error = await failure(create(mine, [line("a"), line("b", { stream: true })]));
		expect(error).toBeInstanceOf(BadRequestError);
		expect(error.message).toContain("Line 2 of the file");
		expect((await failure(create(mine, [line("a", { model: "nobody" })]))).message).toContain("`nobody`");
		expect(p.seen.length).toBe(seen);
	});

	test("of a file of megabytes is counted while that goes up", async () => {
		const many = Array.from({ length: 6_000 }, (_, i) => line(`line-${i}-${"x".repeat(100)}`, { max_tokens: 1 }));
		const kept = files.kept.size;
		expect((await failure(upload(mine, [...many, line("z", { stream: true })]))).message).toContain("Line 6001 of the file");
		expect(files.kept.size).toBe(kept);
		const batch = await create(mine, many);
		expect(batch.request_counts?.total).toBe(6_000);
		batches.finish("failed", { input: 0, output: 0 });
		expect((await mine.batches.retrieve(batch.id)).status).toBe("failed");
	});

	test("that the balance does not cover is a 402, and the provider is not asked", async () => {
		const poor = await lethe.account("poor", "0.000100");
		const client = lethe.client(poor.key, { maxRetries: 0 });
		const file = await upload(client, [line("a")]);
		const seen = p.seen.length;
		expect((await failure(client.batches.create({ input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" }))).status).toBe(402);
		expect(p.seen.length).toBe(seen);
	});
});

test("a limit of money counts it with all that it can cost until it is paid, and the operator's sums have it by key and model", async () => {
	const erin = await lethe.account("erin", "100");
	const client = lethe.client(erin.key, { maxRetries: 0 });
	await lethe.command("key", "limit", erin.keyId, "--dollars-per-day", "0.002"); // one of two requests at a time
	const used = async () => (await lethe.command("key", "show", erin.keyId))["used"].dollars_per_day as string;
	const batch = await create(client);
	const refused = await failure(create(client));
	expect(refused).toBeInstanceOf(RateLimitError);
	expect(refused.message).toContain("day");
	expect(Number(await used())).toBeGreaterThan(0.001);
	batches.finish("completed", { input: 10, output: 1 });
	expect((await client.batches.retrieve(batch.id)).status).toBe("completed");
	await until("it is corrected", async () => (await used()) === "0.000020000");
	const usage = await lethe.command("usage", "--by", "key,model", "--account", "erin", "--model", "gpt");
	expect(usage["rows"]).toMatchObject([{ key: erin.keyId, model: "gpt", requests: 2, cost: "0.000020000", tokens: { input: 20, output: 2 } }]);
	await create(client);
	batches.finish("failed", { input: 0, output: 0 });
	await sound();
});

test("a list has the account's own, page by page", async () => {
	const client = lethe.client((await lethe.account("carol", "100")).key, { maxRetries: 0 });
	const made = [];
	for (let i = 0; i < 5; i++) made.push((await create(client)).id);
	const listed = [];
	for await (const batch of client.batches.list({ limit: 2 })) listed.push(batch.id);
	expect(listed).toEqual(made.reverse());
	expect((await theirs.batches.list()).data).toEqual([]);
	expect(JSON.stringify(await client.batches.list())).not.toContain("SecretOfTheProvider");
	batches.finish("failed", { input: 0, output: 0 });
	await client.batches.list(); // sees that they have ended
});

test("a list of batches of which as much is said as may be", async () => {
	const client = lethe.client((await lethe.account("dave", "100")).key, { maxRetries: 0 });
	const metadata = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`${i}`.padEnd(64, "k"), "\u{1d11e}".repeat(512)]));
	for (let i = 0; i < 15; i++) await create(client, [line("a")], metadata);
	const listed = [];
	for await (const batch of client.batches.list({ limit: 15 })) listed.push(batch.metadata);
	expect(listed).toEqual(Array.from({ length: 15 }, () => metadata));
	batches.finish("failed", { input: 0, output: 0 });
});

test("nobody else's: each way to another account's batch is a NotFoundError, and the provider is not asked", async () => {
	const batch = await create(mine);
	const seen = p.seen.length;
	const raw = [...batches.kept.keys()].at(-1)!;
	for (const [client, id] of [[theirs, batch.id], [mine, raw], [mine, "batch_made_up"], [theirs, `${batch.id}x`], [mine, batch.input_file_id]] as const)
		for (const attempt of [() => client.batches.retrieve(id), () => client.batches.cancel(id)]) expect(await failure(attempt())).toBeInstanceOf(NotFoundError);
	const begin = (client: OpenAI, input_file_id: string) => client.batches.create({ input_file_id, endpoint: "/v1/chat/completions", completion_window: "24h" });
	for (const [client, id] of [[theirs, batch.input_file_id], [mine, "file-0001SecretOfTheProvider"]] as const) expect(await failure(begin(client, id))).toBeInstanceOf(NotFoundError);
	expect(p.seen.length).toBe(seen);
	batches.finish("failed", { input: 0, output: 0 });
	await mine.batches.retrieve(batch.id);
});

describe("whoever dies", () => {
	const killed = async (role: string) => {
		const before = lethe.children(role);
		for (const pid of before) process.kill(pid, "SIGKILL");
		await until(`the next ${role} is there`, () => lethe.children(role).length === before.length && lethe.children(role).every((pid) => !before.includes(pid)));
	};
	const client = () => lethe.client(alice.key, { maxRetries: 5 });

	test("a batch is paid once, by an errand when nobody looks", async () => {
		const before = await lethe.balance(alice.id);
		const looks = () => p.seen.filter(({ method, url }) => method === "GET" && url.startsWith("/v1/batches/")).length;
		const seen = looks();
		await create(mine);
		await killed("ledger");
		await create(client());
		await killed("edge");
		const upgraded = await lethe.upgrade();
		expect(upgraded.json["result"], upgraded.stdout).toBe("applied");
		await create(client());
		await lethe.stop();
		await lethe.up();
		batches.finish("completed", { input: 10, output: 100 });
		await until("all three are paid", async () => before - (await lethe.balance(alice.id)) === 3 * per_batch);
		expect(looks()).toBeGreaterThanOrEqual(seen + 3);
		await sound();
	});

	test("ledger and edges that are killed while batches are being paid pay each of them once, through an upgrade too", async () => {
		const before = await lethe.balance(alice.id);
		const made: { id: string }[] = [];
		for (let i = 0; i < 8; i++) made.push(await create(client()));
		batches.finish("completed", { input: 10, output: 100 });
		const looks = () => Promise.allSettled(made.map(({ id }) => client().batches.retrieve(id)));
		const looked = looks();
		await killed("ledger");
		await killed("edge");
		await looked;
		const again = looks();
		const upgraded = await lethe.upgrade();
		expect(upgraded.json["result"], upgraded.stdout).toBe("applied");
		await again;
		await killed("ledger");
		for (const { id } of made) expect((await client().batches.retrieve(id)).status).toBe("completed");
		await until("each is paid", async () => before - (await lethe.balance(alice.id)) === 8 * per_batch); // what a dead ledger was told is lost: an errand tells the next
		await sound();
	});
});
