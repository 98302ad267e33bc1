import OpenAI, {
	APIConnectionError,
	APIError,
	AuthenticationError,
	BadRequestError,
	ConflictError,
	InternalServerError,
	NotFoundError,
	RateLimitError,
	UnprocessableEntityError,
} from "openai";
import Anthropic from "@anthropic-ai/sdk";
import { ApiError } from "@google/genai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sim, tag } from "../harness/lethe.ts";
import { Stand } from "../harness/stand.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
let client: OpenAI;
beforeAll(async () => {
	w = await world();
	client = w.lethe.client(w.customer.key);
});
afterAll(() => w?.end());

const hi = [{ role: "user" as const, content: "hi" }];

async function failure(promise: PromiseLike<unknown>): Promise<APIError> {
	try {
		await promise;
	} catch (error) {
		if (error instanceof APIError) return error;
		throw error;
	}
	throw new Error("it succeeded");
}

async function drain(promise: PromiseLike<AsyncIterable<unknown>>): Promise<void> {
	for await (const _ of await promise);
}

describe("what Lethe refuses is the SDK's own error", () => {
	const wrongKeys: [string, string][] = [
		["a word", "nonsense"],
		["a key of somebody else", "sk-proj-0123456789abcdefghijklmnop"],
		["a key with a wrong checksum", `lethe_live_${"a".repeat(32)}_000000`],
	];
	test.each(wrongKeys)("%s as key: AuthenticationError", async (_, key) => {
		const error = await failure(w.lethe.client(key).chat.completions.create({ model: "exact", messages: hi }));
		expect(error).toBeInstanceOf(AuthenticationError);
		expect(error).toMatchObject({ status: 401, code: "invalid_api_key" });
		expect(error.message).not.toContain(key);
	});

	test("a model that is not there: NotFoundError", async () => {
		const error = await failure(client.chat.completions.create({ model: "no-such-model", messages: hi }));
		expect(error).toBeInstanceOf(NotFoundError);
		expect(error).toMatchObject({ status: 404, code: "model_not_found" });
		expect(await failure(client.models.retrieve("no-such-model"))).toBeInstanceOf(NotFoundError);
	});

	test("an endpoint that is not there: NotFoundError", async () => {
		expect(await failure(client.videos.create({ model: "exact", prompt: "x" }))).toBeInstanceOf(NotFoundError);
	});

	test("a model without a price in force is refused, not free", async () => {
		const error = await failure(client.chat.completions.create({ model: "tomorrow", messages: hi }));
		expect(error).toBeInstanceOf(InternalServerError);
		expect(error).toMatchObject({ status: 503, code: "model_unpriced" });
	});

	const badBodies: [string, object][] = [
		["no model", { messages: hi }],
		["no messages", { model: "exact" }],
		["stream of a wrong type", { model: "exact", messages: hi, stream: "yes" }],
		["a negative bound", { model: "exact", messages: hi, max_completion_tokens: -1 }],
		["a fractional bound", { model: "exact", messages: hi, max_tokens: 1.5 }],
		["a wrong n", { model: "exact", messages: hi, n: 0 }],
		["a list", [1, 2]],
	];
	test.each(badBodies)("%s: BadRequestError", async (_, body) => {
		expect(await failure(client.post("/chat/completions", { body }))).toBeInstanceOf(BadRequestError);
	});

	test("an object that is stored at the provider: refused before it goes anywhere", async () => {
		const name = tag("foreign");
		const messages = [{ role: "user", content: [{ type: "file", file: { file_id: "file-somebodyelses" } }] }];
		const error = await failure(client.post("/chat/completions", { body: { model: "exact", messages }, ...sim(`tag=${name}`) }));
		expect([400, 404]).toContain(error.status);
		expect(await w.sim.saw(name)).toBe(false);
	});

	test("a body over the bound: 413", async () => {
		const messages = [{ role: "user" as const, content: "x".repeat(17 << 20) }];
		const error = await failure(client.chat.completions.create({ model: "exact", messages }));
		expect(error.status).toBe(413);
	});
});

describe("what the provider refuses", () => {
	const passed: [number, unknown][] = [
		[400, BadRequestError],
		[404, NotFoundError],
		[409, ConflictError],
		[422, UnprocessableEntityError],
		[429, RateLimitError],
		[500, InternalServerError],
		[503, InternalServerError],
	];
	test.each(passed)("%i arrives as its own class", async (status, kind) => {
		for (const stream of [false, true]) {
			const error = await failure(client.chat.completions.create({ model: "exact", messages: hi, stream }, sim(`status=${status}`)));
			expect(error).toBeInstanceOf(kind);
			expect(error.status).toBe(status);
		}
	});

	test("429 carries when to try again", async () => {
		const error = await failure(client.chat.completions.create({ model: "exact", messages: hi }, sim("status=429,retry_after=7")));
		expect(error.headers!.get("retry-after")).toBe("7");
	});

	test("the SDK's retries get through", async () => {
		const name = tag("retry");
		const patient = w.lethe.client(w.customer.key, { maxRetries: 3 });
		const answer = await patient.chat.completions.create({ model: "exact", messages: hi }, sim(`tag=${name},status=500,times=2`));
		expect(answer.choices[0]!.message.content).toBeTruthy();
		expect((await w.sim.last(name)).count).toBe(3);
	});

	const ours: [number, string][] = [
		[401, "invalid_request_error/invalid_api_key"],
		[403, "invalid_request_error/unsupported_country_region_territory"],
		[429, "insufficient_quota/insufficient_quota"],
		[429, "insufficient_quota/billing_hard_limit_reached"],
	];
	test.each(ours)("%i %s is about the operator's account: 503, without its words", async (status, error) => {
		const failed = await failure(
			client.chat.completions.create({ model: "exact", messages: hi }, sim(`status=${status},error=${error},leak=1`)),
		);
		expect(failed).toBeInstanceOf(InternalServerError);
		expect(failed.status).toBe(503);
		expect(JSON.stringify(failed.error)).not.toMatch(/quota|billing|api_key|territory|org-|sk-/);
	});
});

describe("a provider that says nothing", () => {
	let s: Stand;
	beforeAll(async () => (s = await Stand.start({ scheme: "http", grade: "auto" }, { timeouts: { first_byte: "100ms" } })) && undefined);
	afterAll(() => s?.stop());

	const messages = hi;
	const asked: [string, (s: Stand) => PromiseLike<unknown>, object][] = [
		["openai", (s) => s.openai().chat.completions.create({ model: "gpt", messages }), { code: "upstream_timeout", constructor: InternalServerError }],
		["@anthropic-ai/sdk", (s) => s.anthropic().messages.create({ model: "claude", max_tokens: 10, messages }), { type: "timeout_error", constructor: Anthropic.GatewayTimeoutError }],
		["@google/genai", (s) => s.google().models.generateContent({ model: "gemini", contents: "hi" }), { constructor: ApiError }],
	];
	test.each(asked)("%s: 504, its class, and no charge", async (_, ask, as) => {
		s.begin();
		s.provider.answers({ silent: true, pieces: [] });
		const error = await Promise.resolve(ask(s)).then(() => expect.unreachable("it was answered"), (e: unknown) => e);
		expect(error).toMatchObject({ status: 504, ...as });
		await s.booked([{ dollars: "0" }]);
	});
});

describe("an answer that goes wrong", () => {
	test("an error inside a stream is thrown", async () => {
		const stream = client.chat.completions.create({ model: "exact", messages: hi, stream: true }, sim("mid_error=3"));
		const error = await failure(drain(stream));
		expect(error.message).toContain("server had an error");
	});

	const cut: [string, string][] = [
		["cut in the head", "cut_head=20"],
		["reset in the head", "cut_head=20,reset=1"],
		["cut before the first byte", "cut_head=0"],
	];
	test.each(cut)("%s: 502", async (_, script) => {
		const error = await failure(client.chat.completions.create({ model: "exact", messages: hi }, sim(script)));
		expect(error).toBeInstanceOf(InternalServerError);
		expect(error.status).toBe(502);
	});

	test.each([["cut_after=150"], ["cut_after=150,reset=1"], ["malformed=length"]])("%s: a plain answer that is not whole is no success", async (script) => {
		await expect(client.chat.completions.create({ model: "exact", messages: hi }, sim(script))).rejects.toThrow();
	});

	test.each([["cut_after=700"], ["cut_after=700,reset=1"], ["malformed=chunk"]])("%s: a stream that is not whole does not end well", async (script) => {
		const stream = client.chat.completions.create({ model: "exact", messages: hi, stream: true }, sim(script));
		await expect(drain(stream)).rejects.toThrow();
	});

	test("a provider that can't be read: 502", async () => {
		for (const script of ["malformed=head", "gzip=1"]) {
			const error = await failure(client.chat.completions.create({ model: "exact", messages: hi }, sim(script)));
			expect(error.status, script).toBe(502);
		}
	});

	test("interim answers are not taken for the answer", async () => {
		const answer = await client.chat.completions.create({ model: "exact", messages: hi }, sim("100=1"));
		expect(answer.choices[0]!.message.content).toBeTruthy();
	});

	test("an answer that ends with the connection is whole", async () => {
		for (const script of ["close=1", "http10=1"]) {
			const answer = await client.chat.completions.create({ model: "exact", messages: hi }, sim(script));
			expect(answer.choices[0]!.message.content, script).toBeTruthy();
		}
	});

	test("an error is never taken for a lost connection", async () => {
		const error = await failure(client.chat.completions.create({ model: "no-such-model", messages: hi }));
		expect(error).not.toBeInstanceOf(APIConnectionError);
		expect(error.requestID).toMatch(/^req_/);
	});
});
