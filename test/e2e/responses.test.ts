import OpenAI, { BadRequestError, NotFoundError } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { idNumber, tickets } from "../harness/books.ts";
import { type Account, Lethe } from "../harness/lethe.ts";
import { json, Provider } from "../harness/provider.ts";
import { Responses } from "../harness/responses.ts";
import { until } from "../harness/until.ts";

// Responses that a provider keeps, in an account that all customers share, through the official SDK: named again, looked at, and in the background paid once.
let p: Provider;
let lethe: Lethe;
let alice: Account;
let mine: OpenAI;
let theirs: OpenAI;
const responses = new Responses();
const keys = [{ env: "SIM_API_KEY" }];
const prices = [{ from: "2026-01-01", input: "1.00", output: "10.00" }];

beforeAll(async () => {
	p = await Provider.start();
	p.answers((request) => (request.url.startsWith("/v1/responses") ? responses.answer(request) : json({}, 500)));
	lethe = await Lethe.start({
		config: {
			providers: [
				{ name: "openai", url: `${p.url}/v1`, objects: true, store: true, keys },
				{ name: "plain", url: `${p.url}/v1`, keys },
			],
			models: [
				{ id: "gpt", provider: "openai", context: 100_000, output: 4_000, prices },
				{ id: "plain", provider: "plain", context: 100_000, output: 4_000, prices },
			],
		},
	});
	alice = await lethe.account("alice", "100");
	mine = lethe.client(alice.key, { maxRetries: 0 });
	theirs = lethe.client((await lethe.account("bob", "100")).key, { maxRetries: 0 });
});
afterAll(async () => {
	await lethe?.finish();
	await p?.stop();
});

const failure = async (promise: Promise<unknown>) => promise.then(() => expect.fail("it went through"), (error) => error as InstanceType<typeof OpenAI.APIError>);
const sound = async () => expect((await lethe.verify()).json["sound"]).toBe(true);
const of = (account: Account) => tickets(lethe).filter((row) => row["account"] === idNumber(account.id));
const secret = (shown: unknown) => expect(JSON.stringify(shown)).not.toContain("SecretOfTheProvider");
const begin = (client: OpenAI) => client.responses.create({ model: "gpt", input: "hi", background: true, max_output_tokens: 1_000 });
const usage = { input: 10, output: 100 };
const each = 10 * 1_000 + 100 * 10_000; // 10 and 100 tokens, in nano-dollars
const asked = 10 * 1_000 + 5 * 10_000;

describe("in the background, through the official SDK", () => {
	test("it is begun, looked at, and paid once", async () => {
		const before = await lethe.balance(alice.id);
		const begun = await begin(mine);
		expect(begun).toMatchObject({ object: "response", status: "queued", background: true, usage: null });
		secret(begun);
		expect(before - (await lethe.balance(alice.id))).toBeGreaterThanOrEqual(1_000 * 10_000);
		expect((await mine.responses.retrieve(begun.id)).status).toBe("in_progress");
		responses.finish("completed", usage);
		const looks = await Promise.all(Array.from({ length: 6 }, () => mine.responses.retrieve(begun.id)));
		for (const ended of looks) {
			expect(ended).toMatchObject({ id: begun.id, status: "completed", usage: { input_tokens: 10, output_tokens: 100 } });
			expect(ended.output_text).toMatch(/^said in \d{4}$/);
			secret(ended);
		}
		await until("it is paid", async () => before - (await lethe.balance(alice.id)) === each);
		await mine.responses.retrieve(begun.id);
		expect(before - (await lethe.balance(alice.id))).toBe(each);
		await sound();
	});

	test("a stream of it that breaks off goes on where it was", async () => {
		const before = await lethe.balance(alice.id);
		const stream = await mine.responses.create({ model: "gpt", input: "hi", background: true, stream: true });
		let id = "";
		let text = "";
		let last = -1;
		const read = async (from: AsyncIterable<OpenAI.Responses.ResponseStreamEvent>) => {
			for await (const event of from) {
				secret(event);
				last = event.sequence_number;
				if (event.type === "response.created") id = event.response.id;
				if (event.type === "response.output_text.delta") text += event.delta;
				if (event.type === "response.completed") expect(event.response.id).toBe(id);
			}
		};
		await failure(read(stream));
		expect(last).toBe(1);
		responses.finish("completed", usage);
		await read(await mine.responses.retrieve(id, { stream: true, starting_after: last }));
		expect(last).toBe(3);
		expect(text).toMatch(/^said in \d{4}$/);
		await until("it is paid", async () => before - (await lethe.balance(alice.id)) === each);
	});

	test("one that is cancelled before it says anything, or fails, costs nothing", async () => {
		const before = await lethe.balance(alice.id);
		const cancelled = await begin(mine);
		expect(await mine.responses.cancel(cancelled.id)).toMatchObject({ id: cancelled.id, status: "cancelled" });
		const failed = await begin(mine);
		responses.finish("failed", null);
		expect((await mine.responses.retrieve(failed.id)).status).toBe("failed");
		await until("all came back", async () => (await lethe.balance(alice.id)) === before);
	});

	test("it is deleted when it is paid, and not before", async () => {
		const begun = await begin(mine);
		expect((await failure(mine.responses.delete(begun.id))).message).toContain("has not been counted yet");
		responses.finish("completed", usage);
		await mine.responses.retrieve(begun.id);
		await mine.responses.delete(begun.id);
		expect(await failure(mine.responses.retrieve(begun.id))).toBeInstanceOf(NotFoundError);
	});

	test("what the balance does not cover is a 402, and the provider is not asked", async () => {
		const poor = await lethe.account("poor", "0.000100");
		const seen = p.seen.length;
		expect((await failure(begin(lethe.client(poor.key, { maxRetries: 0 })))).status).toBe(402);
		expect(p.seen.length).toBe(seen);
	});
});

describe("kept", () => {
	test("a response is named by the next one, looked at for nothing, and deleted", async () => {
		const before = await lethe.balance(alice.id);
		const first = await mine.responses.create({ model: "gpt", input: "hi" });
		const second = await mine.responses.create({ model: "gpt", input: "and?", previous_response_id: first.id });
		expect(second.previous_response_id).toBe(first.id);
		const again = await mine.responses.retrieve(second.id);
		expect(again).toMatchObject({ id: second.id, previous_response_id: first.id, output_text: second.output_text });
		const items = await mine.responses.inputItems.list(second.id);
		expect(items.data).toMatchObject([{ type: "message", role: "user" }]);
		for (const shown of [first, second, again, items]) secret(shown);
		await until("both are paid", async () => before - (await lethe.balance(alice.id)) === 2 * asked);
		await mine.responses.delete(first.id);
		expect(await failure(mine.responses.retrieve(first.id))).toBeInstanceOf(NotFoundError);
		expect(await failure(mine.responses.create({ model: "gpt", input: "and?", previous_response_id: first.id }))).toBeInstanceOf(NotFoundError);
		await sound();
	});

	// Each look at it reports its usage again, under its id.
	test("a response is paid once, plain or streamed, however often and at once it is looked at", async () => {
		const before = await lethe.balance(alice.id);
		const rows = of(alice).length;
		const plain = await mine.responses.create({ model: "gpt", input: "hi" });
		const ids = new Set([plain.id]);
		for await (const event of await mine.responses.create({ model: "gpt", input: "hi", stream: true })) if ("response" in event) ids.add(event.response.id);
		expect(ids.size).toBe(2);
		const look = async (id: string, i: number) => {
			if (i % 4 === 3) return failure(mine.responses.cancel(id));
			if (i % 2 === 0) return expect((await mine.responses.retrieve(id)).usage).toMatchObject({ input_tokens: 10, output_tokens: 5 });
			const said: string[] = [];
			for await (const event of await mine.responses.retrieve(id, { stream: true })) said.push(event.type);
			expect(said.at(-1)).toBe("response.completed");
		};
		await Promise.all([...ids].flatMap((id) => Array.from({ length: 20 }, (_, i) => look(id, i))));
		// What a look cost would be booked before the request that follows.
		const last = await lethe.client(alice.key).responses.create({ model: "gpt", input: "hi" });
		expect(ids).not.toContain(last.id);
		await until("all is booked", () => of(alice).slice(rows).filter((row) => Number(row["cost_nano"]) !== 0).length >= 3);
		await until("nothing runs", async () => (await lethe.command("account", "show", alice.id))["held"] === "0.000000000");
		const costs = of(alice).slice(rows).map((row) => Number(row["cost_nano"]));
		expect(costs.filter((cost) => cost !== 0)).toEqual([asked, asked, asked]);
		expect(before - (await lethe.balance(alice.id))).toBe(3 * asked);
		await sound();
	});

	test("streamed, it has the same id in each event", async () => {
		const ids = new Set<string>();
		for await (const event of await mine.responses.create({ model: "gpt", input: "hi", stream: true })) if ("response" in event) ids.add(event.response.id);
		expect(ids.size).toBe(1);
		expect((await mine.responses.retrieve([...ids][0]!)).status).toBe("completed");
	});

	test("what may not be kept is refused, and the field is named", async () => {
		const seen = p.seen.length;
		const first = (model: string, more: object, headers = {}) => failure(mine.responses.create({ model, input: "hi", ...more }, { headers }));
		for (const [model, field, more, headers] of [
			["gpt", "background", { background: true }, { "lethe-policy": "zero-retention" }],
			["gpt", "store", { store: true }, { "lethe-policy": "zero-retention" }],
			["gpt", "background", { background: true, store: false }, {}],
			["plain", "background", { background: true }, {}],
			["plain", "store", { store: true }, {}],
		] as const) {
			const error = await first(model, more, headers);
			expect(error).toBeInstanceOf(BadRequestError);
			expect(error.param).toBe(field);
		}
		expect(p.seen.length).toBe(seen);
		const { id } = await mine.responses.create({ model: "gpt", input: "hi" });
		const error = await first("plain", { previous_response_id: id });
		expect(error).toBeInstanceOf(BadRequestError);
		expect(error.param).toBe("previous_response_id");
	});
});

test("nobody else's: each way to another account's response is a NotFoundError, and the provider is not asked", async () => {
	const kept = await mine.responses.create({ model: "gpt", input: "hi" });
	const runs = await begin(mine);
	const seen = p.seen.length;
	const raw = [...responses.kept.keys()].at(-1)!;
	for (const [client, id] of [[theirs, kept.id], [theirs, runs.id], [mine, raw], [mine, "resp_made_up"], [mine, `${kept.id}x`]] as const)
		for (const attempt of [
			() => client.responses.retrieve(id),
			() => client.responses.cancel(id),
			() => client.responses.delete(id),
			() => client.responses.inputItems.list(id),
			() => client.responses.create({ model: "gpt", input: "hi", previous_response_id: id }),
		])
			expect(await failure(Promise.resolve(attempt()))).toBeInstanceOf(NotFoundError);
	expect(p.seen.length).toBe(seen);
	responses.finish("failed", null);
	await mine.responses.retrieve(runs.id);
});

describe("whoever dies", () => {
	const killed = async (role: string) => {
		const before = lethe.children(role);
		for (const pid of before) process.kill(pid, "SIGKILL");
		await until(`the next ${role} is there`, () => lethe.children(role).length === before.length && lethe.children(role).every((pid) => !before.includes(pid)));
	};
	const client = () => lethe.client(alice.key, { maxRetries: 5 });

	test("a response is paid once, by an errand when nobody looks", async () => {
		const before = await lethe.balance(alice.id);
		await begin(mine);
		await killed("ledger");
		await begin(client());
		await killed("edge");
		const upgraded = await lethe.upgrade();
		expect(upgraded.json["result"], upgraded.stdout).toBe("applied");
		await begin(client());
		responses.finish("completed", usage);
		await until("all three are paid", async () => before - (await lethe.balance(alice.id)) === 3 * each);
		await sound();
	});

	test("a ledger that is killed while responses end pays each of them once", async () => {
		const before = await lethe.balance(alice.id);
		const made: string[] = [];
		for (let i = 0; i < 8; i++) made.push((await begin(client())).id);
		responses.finish("completed", usage);
		const looked = [...made, ...made].map((id) => client().responses.retrieve(id));
		await killed("ledger");
		for (const response of await Promise.all(looked)) expect(response.status).toBe("completed");
		await killed("ledger");
		for (const id of made) await client().responses.retrieve(id);
		await until("each is paid", async () => before - (await lethe.balance(alice.id)) === 8 * each); // what a dead ledger was told is lost: an errand tells the next
		await sound();
	});
});
