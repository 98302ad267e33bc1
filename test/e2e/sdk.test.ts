import { createHash } from "node:crypto";
import type OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sim, tag } from "../harness/lethe.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
let client: OpenAI;
beforeAll(async () => {
	w = await world();
	client = w.lethe.client(w.customer.key);
});
afterAll(() => w?.end());

const hi = [{ role: "user" as const, content: "hi" }];
const weather = {
	type: "function" as const,
	function: { name: "get_weather", parameters: { type: "object", properties: { location: { type: "string" } } } },
};

describe("the official SDK", () => {
	test("gets a plain answer with its usage", async () => {
		const answer = await client.chat.completions.create({ model: "exact", messages: hi });
		expect(answer.object).toBe("chat.completion");
		expect(answer.choices[0]!.message.content).toContain("Galaxy Day");
		expect(answer.choices[0]!.finish_reason).toBe("stop");
		expect(answer.usage!.total_tokens).toBe(answer.usage!.prompt_tokens + answer.usage!.completion_tokens);
	});

	test("gets our request id where it looks for one", async () => {
		const { request_id } = await client.chat.completions.create({ model: "exact", messages: hi }).withResponse();
		expect(request_id).toMatch(/^req_/);
	});

	test("streams, and sees no usage that it did not ask for", async () => {
		const stream = await client.chat.completions.create({ model: "exact", messages: hi, stream: true }, sim("chunks=20"));
		let text = "";
		let events = 0;
		for await (const chunk of stream) {
			expect(chunk).not.toHaveProperty("usage");
			expect(chunk.choices).toHaveLength(1);
			text += chunk.choices[0]!.delta.content ?? "";
			events++;
		}
		expect(events).toBe(22);
		expect(text.startsWith(" the quick brown fox")).toBe(true);
	});

	test("streams with the usage that it asked for", async () => {
		const stream = await client.chat.completions.create(
			{ model: "exact", messages: hi, stream: true, stream_options: { include_usage: true } },
			sim("chunks=5,prompt_tokens=7"),
		);
		const chunks = await Array.fromAsync(stream);
		const last = chunks.at(-1)!;
		expect(last.choices).toEqual([]);
		expect(last.usage).toMatchObject({ prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 });
		for (const chunk of chunks.slice(0, -1)) expect(chunk.usage).toBeNull();
	});

	test("calls tools, streamed in pieces", async () => {
		const stream = client.chat.completions.stream({ model: "exact", messages: hi, tools: [weather] }, sim("tools=1"));
		const answer = await stream.finalChatCompletion();
		const call = answer.choices[0]!.message.tool_calls![0]!;
		if (call.type !== "function") throw new Error("not a function call");
		expect(JSON.parse(call.function.arguments)).toEqual({ location: 'San Francisco, "CA"', unit: "celsius", days: 3 });
	});

	test("sends images in, byte for byte", async () => {
		const name = tag("image");
		const pixels = Buffer.alloc(300_000, 7).toString("base64");
		const body = {
			model: "exact",
			messages: [
				{
					role: "user" as const,
					content: [
						{ type: "text" as const, text: "What is this?" },
						{ type: "image_url" as const, image_url: { url: `data:image/png;base64,${pixels}`, detail: "low" as const } },
						{ type: "image_url" as const, image_url: { url: "https://pictures.test/one.png" } },
					],
				},
			],
		};
		const answer = await client.chat.completions.create(body, sim(`tag=${name}`));
		expect(answer.choices[0]!.message.content).toBeTruthy();
		expect((await w.sim.last(name)).body_sha256).toBe(createHash("sha256").update(JSON.stringify(body)).digest("hex"));
	});

	test("cancels upstream when it aborts a stream", async () => {
		const name = tag("abort");
		const stream = await client.chat.completions.create(
			{ model: "exact", messages: hi, stream: true },
			sim(`tag=${name},chunks=100000,gap_ms=5`),
		);
		let seen = 0;
		for await (const _ of stream) if (++seen === 4) break;
		await until("the provider sees the cancellation", async () => (await w.sim.last(name)).state === "cancelled");
		expect((await w.sim.last(name)).chunks).toBeLessThan(10_000);
	});

	test("cancels upstream when it aborts before the first byte", async () => {
		const name = tag("early");
		const abort = new AbortController();
		const answer = client.chat.completions.create(
			{ model: "exact", messages: hi },
			{ ...sim(`tag=${name},hang=head`), signal: abort.signal },
		);
		await until("the provider has the request", () => w.sim.saw(name));
		abort.abort();
		await expect(answer).rejects.toThrow("aborted");
		await until("the provider sees the cancellation", async () => (await w.sim.last(name)).state === "cancelled");
	});

	test("uses a model by its alias and by a name of ours", async () => {
		const byAlias = await client.chat.completions.create({ model: "exact-alias", messages: hi });
		expect(byAlias.model).toBe("exact");
		const name = tag("renamed");
		await client.chat.completions.create({ model: "renamed", messages: hi }, sim(`tag=${name}`));
		expect(JSON.parse(await w.sim.lastBody(name))).toEqual({ model: "provider-name-2026-01-01", messages: hi });
	});

	test("sees hidden reasoning and cached tokens in the usage", async () => {
		const answer = await client.chat.completions.create({ model: "thinker", messages: hi }, sim("reasoning=50,prompt_tokens=40,cached=30"));
		expect(answer.usage!.completion_tokens_details!.reasoning_tokens).toBe(50);
		expect(answer.usage!.prompt_tokens_details!.cached_tokens).toBe(30);
	});

	test("gets refusals, length and several choices as they are", async () => {
		const refused = await client.chat.completions.create({ model: "exact", messages: hi }, sim("refusal=1"));
		expect(refused.choices[0]!.message.refusal).toContain("can't help");
		const cut = await client.chat.completions.create({ model: "exact", messages: hi, max_completion_tokens: 3 });
		expect(cut.choices[0]!.finish_reason).toBe("length");
		const both = await client.chat.completions.create({ model: "exact", messages: hi, n: 2 });
		expect(both.choices).toHaveLength(2);
	});

	test("gets every character back", async () => {
		const words = 'Grüße \u{1F44B}\u{1F3FD} "quoted" \\ back / slash \u2028 \u0007 \t end';
		const messages = [{ role: "user" as const, content: words }];
		const plain = await client.chat.completions.create({ model: "exact", messages }, sim("echo=1"));
		expect(plain.choices[0]!.message.content).toBe(words);
		const stream = client.chat.completions.stream({ model: "exact", messages }, sim("echo=1,split=1,chunks=30"));
		expect((await stream.finalChatCompletion()).choices[0]!.message.content).toBe(words);
	});

	test("understands a provider that ends lines with CRLF, comments and writes byte by byte", async () => {
		for (const script of ["crlf=1", "comments=1", "split=1", "crlf=1,comments=1,split=3", "usage=each", "usage=twice"]) {
			const stream = client.chat.completions.stream({ model: "exact", messages: hi }, sim(script));
			const answer = await stream.finalChatCompletion();
			expect(answer.choices[0]!.message.content, script).toBe(" the quick brown fox jumps over a lazy");
		}
	});

	test("keeps many streams apart", async () => {
		const words = Array.from({ length: 40 }, (_, i) => `message number ${i} `.repeat(20));
		const answers = await Promise.all(
			words.map((content) =>
				client.chat.completions.stream({ model: "exact", messages: [{ role: "user", content }] }, sim("echo=1,chunks=50,gap_ms=1")).finalChatCompletion(),
			),
		);
		expect(answers.map((answer) => answer.choices[0]!.message.content)).toEqual(words);
	});
});
