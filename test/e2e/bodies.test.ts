// Large bodies and forms, by the official SDK: what arrives at the provider, what comes back, and what it costs.
import { randomBytes } from "node:crypto";
import { request } from "node:http";
import { connect } from "node:http2";
import OpenAI, { toFile } from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type Account, type Json, Lethe, nano } from "../harness/lethe.ts";
import { type Answer, events, json, Provider } from "../harness/provider.ts";
import { Sim } from "../harness/sim.ts";
import { until } from "../harness/until.ts";

let p: Provider;
let lethe: Lethe;
let a: Account;
let people = 0;

beforeAll(async () => {
	p = await Provider.start();
	const keys = [{ env: "SIM_API_KEY" }];
	const model = (id: string, more: Json) => ({ id, provider: "openai", context: 100_000, output: 4_000, ...more });
	lethe = await Lethe.start({
		config: {
			limits: { body_bytes: "64MiB" },
			providers: [{ name: "openai", url: `${p.url}/v1`, keys }],
			models: [
				model("transcribe", { upstream: "gpt-4o-transcribe", prices: [{ from: "2026-01-01", input: "2.50", audio_in: "6.00", output: "10.00" }] }),
				model("whisper", { upstream: "whisper-1", prices: [{ from: "2026-01-01", input: "0", output: "0", audio_second: "0.0001" }] }),
				model("speaks", { upstream: "gpt-4o-mini-tts", prices: [{ from: "2026-01-01", input: "0.60", audio_out: "12.00", output: "12.00" }] }),
				model("flat", { prices: [{ from: "2026-01-01", input: "0", output: "0", per_request: "0.01" }] }),
				model("image", { upstream: "gpt-image-1", prices: [{ from: "2026-01-01", input: "5.00", image_in: "10.00", output: "40.00" }] }),
				model("dall", { upstream: "dall-e-2", prices: [{ from: "2026-01-01", input: "0", output: "0", image: "0.02" }] }),
			],
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

async function cost(dollars: string): Promise<Json> {
	const total = await until("the request is booked", async () => {
		const u = await lethe.usage(a.id);
		return u["requests"] === 1 && u;
	});
	expect(nano("100") - (await lethe.balance(a.id))).toBe(nano(dollars));
	return total;
}

describe("audio", () => {
	const tokens = { type: "tokens", input_tokens: 1014, input_token_details: { text_tokens: 14, audio_tokens: 1000 }, output_tokens: 100, total_tokens: 1114 };

	test("a file of 20 MB arrives byte by byte, whatever is in it", async () => {
		p.answers(json({ text: "Hello", usage: tokens }));
		const audio = randomBytes(20_000_000);
		const said = await client().audio.transcriptions.create({ file: await toFile(audio, "speech.mp3", { type: "audio/mpeg" }), model: "transcribe", language: "en" });
		expect(said.text).toBe("Hello");
		expect(p.last.url).toBe("/v1/audio/transcriptions");
		const boundary = p.last.headers["content-type"]!.match(/boundary=(.*)$/)![1]!;
		const form = await new Response(p.last.bytes, { headers: { "content-type": `multipart/form-data; boundary=${boundary}` } }).formData();
		expect(form.get("model")).toBe("gpt-4o-transcribe");
		expect(form.get("language")).toBe("en");
		const file = form.get("file") as File;
		expect(file.name).toBe("speech.mp3");
		expect(Buffer.from(await file.arrayBuffer()).equals(audio)).toBe(true);
		await cost("0.007035"); // 14 x $2.50 + 1,000 x $6 + 100 x $10
	});

	test.each([
		["named in front of the file", (file: File) => client().audio.transcriptions.create({ model: "transcribe", language: "en", file })],
		["named by a header", (file: File) => client().audio.transcriptions.create({ file, model: "transcribe", language: "en" }, { headers: { "lethe-model": "transcribe" } })],
	] as const)("60 MB of a model that is %s go up while they come", async (_, send) => {
		p.answers(json({ text: "Hello", usage: tokens }));
		const audio = randomBytes(60_000_000);
		const said = await send(await toFile(audio, "speech.mp3", { type: "audio/mpeg" }) as File);
		expect(said.text).toBe("Hello");
		const boundary = p.last.headers["content-type"]!.match(/boundary=(.*)$/)![1]!;
		const form = await new Response(p.last.bytes, { headers: { "content-type": `multipart/form-data; boundary=${boundary}` } }).formData();
		expect(form.get("model")).toBe("gpt-4o-transcribe");
		expect(Buffer.from(await (form.get("file") as File).arrayBuffer()).equals(audio)).toBe(true);
		await cost("0.007035");
	});

	test("a streamed transcript", async () => {
		p.answers(events([
			{ type: "transcript.text.delta", delta: "Hel" },
			{ type: "transcript.text.delta", delta: "lo" },
			{ type: "transcript.text.done", text: "Hello", usage: tokens },
		]));
		const stream = await client().audio.transcriptions.create({ file: await toFile(randomBytes(3000), "a.wav"), model: "transcribe", stream: true });
		const types: string[] = [];
		for await (const event of stream) types.push(event.type);
		expect(types).toEqual(["transcript.text.delta", "transcript.text.delta", "transcript.text.done"]);
		await cost("0.007035");
	});

	test("by the second, where the answer counts seconds", async () => {
		p.answers(json({ text: "Hello", usage: { type: "duration", seconds: 30 } }));
		await client().audio.translations.create({ file: await toFile(randomBytes(3000), "a.wav"), model: "whisper" });
		expect(p.last.url).toBe("/v1/audio/translations");
		await cost("0.003");
	});

	test("text says nothing of its cost: where only the request has a price it comes, else it is refused and says why", async () => {
		p.answers({ headers: { "content-type": "text/plain; charset=utf-8" }, pieces: ["Hello\n"] });
		const file = () => toFile(randomBytes(3000), "a.wav");
		const refused = await client().audio.transcriptions.create({ file: await file(), model: "whisper", response_format: "text" }).catch((e) => e);
		expect(refused).toBeInstanceOf(OpenAI.BadRequestError);
		expect(refused.param).toBe("response_format");
		expect(await client().audio.transcriptions.create({ file: await file(), model: "flat", response_format: "text" })).toBe("Hello\n");
		await cost("0.01");
	});
});

describe("speech", () => {
	test("in events, by what they report", async () => {
		p.answers(events([
			{ type: "speech.audio.delta", audio: "AAAA" },
			{ type: "speech.audio.delta", audio: "BBBB" },
			{ type: "speech.audio.done", usage: { input_tokens: 14, output_tokens: 100, total_tokens: 114 } },
		]));
		const said = await client().audio.speech.create({ model: "speaks", voice: "alloy", input: "Hello", stream_format: "sse" });
		expect(await said.text()).toContain("speech.audio.done");
		expect(p.last.url).toBe("/v1/audio/speech");
		expect(p.last.body).toEqual({ model: "gpt-4o-mini-tts", voice: "alloy", input: "Hello", stream_format: "sse" });
		await cost("0.0012084"); // 14 x $0.60 + 100 x $12
	});

	test("from the simulated provider, in events and as such", async () => {
		const sim = await Sim.start();
		onTestFinished(() => sim.stop());
		const kind = { provider: "openai", context: 100_000, output: 4_000 };
		const other = await Lethe.start({
			config: {
				providers: [{ name: "openai", url: `${sim.url}/v1`, keys: [{ env: "SIM_API_KEY" }], pass_headers: ["x-sim"] }],
				models: [
					{ ...kind, id: "speaks", prices: [{ from: "2026-01-01", input: "0.60", audio_out: "12.00", output: "12.00" }] },
					{ ...kind, id: "flat", prices: [{ from: "2026-01-01", input: "0", output: "0", per_request: "0.01" }] },
				],
			},
		});
		onTestFinished(() => other.finish());
		const b = await other.account("listener", "100");
		const speak = (name: string, script: string, format: "sse" | "audio") => new OpenAI({ apiKey: b.key, baseURL: `${other.url}/v1`, maxRetries: 0 })
			.audio.speech.create({ model: name, voice: "alloy", input: "Hello", stream_format: format }, { headers: { "x-sim": script } });
		const events = await (await speak("speaks", "chunks=3, prompt_tokens=14, completion_tokens=100", "sse")).text();
		expect(events.match(/speech\.audio\.delta/g)).toHaveLength(3);
		const sound = await speak("flat", "body_bytes=100000", "audio");
		expect(sound.headers.get("content-type")).toBe("audio/mpeg");
		expect(await sound.arrayBuffer()).toHaveProperty("byteLength", 100_000);
		await until("both are booked", async () => (await other.usage(b.id))["requests"] === 2);
		expect(nano("100") - (await other.balance(b.id))).toBe(nano("0.0112084")); // 14 x $0.60 + 100 x $12 of a million, and $0.01
	});

	test("as such it says nothing of its cost: where only the request has a price it comes byte by byte, else it is refused and says why", async () => {
		const sound = randomBytes(300_000);
		p.answers({ headers: { "content-type": "audio/mpeg" }, pieces: [sound.subarray(0, 1000), sound.subarray(1000)] });
		const refused = await client().audio.speech.create({ model: "speaks", voice: "alloy", input: "Hello" }).catch((e) => e);
		expect(refused).toBeInstanceOf(OpenAI.BadRequestError);
		expect(refused.param).toBe("stream_format");
		const said = await client().audio.speech.create({ model: "flat", voice: "alloy", input: "Hello" });
		expect(said.headers.get("content-type")).toBe("audio/mpeg");
		expect(Buffer.from(await said.arrayBuffer()).equals(sound)).toBe(true);
		await cost("0.01");
	});
});

describe("images", () => {
	const usage = { input_tokens: 300, input_tokens_details: { text_tokens: 100, image_tokens: 200 }, output_tokens: 1000, total_tokens: 1300 };
	const png = () => toFile(randomBytes(1_000_000), "a.png", { type: "image/png" });

	test("edited", async () => {
		p.answers(json({ created: 1, data: [{ b64_json: randomBytes(1_000_000).toString("base64") }], usage }));
		const made = await client().images.edit({ image: [await png(), await png()], mask: await png(), prompt: "a cat", model: "image" });
		expect(made.data![0]!.b64_json!.length).toBeGreaterThan(1_000_000);
		await cost("0.0425"); // 100 x $5 + 200 x $10 + 1,000 x $40
	});

	test("edited in a stream", async () => {
		p.answers(events([
			{ type: "image_edit.partial_image", b64_json: "AAAA", partial_image_index: 0 },
			{ type: "image_edit.completed", b64_json: "AAAA", usage },
		], { named: true }));
		const stream = await client().images.edit({ image: await png(), prompt: "a cat", model: "image", stream: true });
		for await (const _ of stream);
		await cost("0.0425");
	});

	test("made", async () => {
		p.answers(json({ created: 1, data: [{ b64_json: "AAAA" }], usage }));
		await client().images.generate({ prompt: "a cat", model: "image" });
		expect(p.last.url).toBe("/v1/images/generations");
		expect(p.last.body).toEqual({ prompt: "a cat", model: "gpt-image-1" });
		await cost("0.0425");
	});

	test("by the image, where the answer has no usage", async () => {
		p.answers(json({ created: 1, data: [{ url: "a" }, { url: "b" }] }));
		await client().images.createVariation({ image: await png(), model: "dall", n: 2 });
		expect(p.last.url).toBe("/v1/images/variations");
		await cost("0.04");
	});

	test("cut in the middle of an image without a word about its cost: what was held for it is due", async () => {
		const cut: Answer = { pieces: [`{"created":1,"data":[{"b64_json":"${"A".repeat(100_000)}`], cut: true };
		p.answers(cut);
		await expect(client().images.generate({ prompt: "a cat", model: "image" })).rejects.toThrow();
		await cost("0.160045"); // 4,000 x $40, and the prompt by its size
	});
});

test("a compressed request is refused in words that say what to do", async () => {
	const refused = await client().chat.completions.create({ model: "image", messages: [] }, { headers: { "content-encoding": "gzip" } }).catch((e) => e);
	expect(refused.status).toBe(415);
	expect(refused.code).toBe("unsupported_encoding");
	expect(refused.message).toContain("without that header");
});

const megabytes = 1 << 20;
type Said = { status: number; retryAfter: string | undefined; text: string };

// An answer may come before the request is wholly sent.
function post(key: string, body: Buffer): Promise<Said> {
	return new Promise((resolve, reject) => {
		const r = request(`${lethe.url}/v1/chat/completions`, {
			method: "POST",
			agent: false,
			headers: { authorization: `Bearer ${key}`, "content-type": "application/json", "content-length": body.length },
		});
		r.on("response", async (response) => {
			let text = "";
			for await (const piece of response) text += piece;
			resolve({ status: response.statusCode!, retryAfter: response.headers["retry-after"], text });
			r.destroy();
		});
		r.on("error", reject);
		r.end(body);
	});
}

function postH2(key: string, body: Buffer): Promise<Said> {
	return new Promise((resolve, reject) => {
		const session = connect(lethe.url);
		session.on("error", reject);
		const r = session.request({ ":method": "POST", ":path": "/v1/chat/completions", authorization: `Bearer ${key}`, "content-type": "application/json" });
		let said = { status: 0, retryAfter: undefined as string | undefined, text: "" };
		r.on("response", (head) => (said = { status: head[":status"]!, retryAfter: head["retry-after"] as string | undefined, text: "" }));
		r.on("data", (piece) => (said.text += piece));
		r.on("end", () => {
			session.close();
			resolve(said);
		});
		r.on("error", reject);
		r.end(body);
	});
}

const usage = { prompt_tokens: 1000, completion_tokens: 10, total_tokens: 1010 };
const completion = json({ id: "c", object: "chat.completion", choices: [{ index: 0, message: { role: "assistant", content: "Hi" }, finish_reason: "stop" }], usage });
const withImage = (bytes: number) => {
	const head = `{"model":"image","max_tokens":10,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,`;
	const tail = `"}}]}]}`;
	return Buffer.from(head + randomBytes(Math.ceil(bytes * 3 / 4)).toString("base64").slice(0, bytes - head.length - tail.length) + tail);
};

describe("64 MiB", () => {
	const body = withImage(64 * megabytes);
	const arrived = () => {
		const wanted = Buffer.concat([Buffer.from(`{"model":"gpt-image-1"`), body.subarray(`{"model":"image"`.length)]);
		return p.last.bytes.equals(wanted);
	};

	test.each([["HTTP/1.1", post], ["HTTP/2", postH2]] as const)("with an image in it arrive byte by byte over %s", async (_, send) => {
		p.answers(completion);
		expect((await send(a.key, body)).status).toBe(200);
		expect(arrived()).toBe(true);
		await cost("0.0054"); // 1,000 x $5 + 10 x $40
	});

	test.each([["HTTP/1.1", post], ["HTTP/2", postH2]] as const)("and a byte are too many over %s, which is said before they are sent", async (_, send) => {
		const before = p.seen.length;
		const said = await send(a.key, Buffer.concat([body, Buffer.from(" ")]));
		expect(said.status).toBe(413);
		expect(said.text).toContain("request_too_large");
		expect(p.seen.length).toBe(before);
	});
});

test("forms that go up while they come need no memory for all of them", async () => {
	const small = await Lethe.start({
		config: {
			edges: 1,
			limits: { body_bytes: "64MiB", content_memory: "80MiB" },
			providers: [{ name: "openai", url: `${p.url}/v1`, keys: [{ env: "SIM_API_KEY" }] }],
			models: [{ id: "whisper", upstream: "whisper-1", provider: "openai", context: 1, output: 1, prices: [{ from: "2026-01-01", input: "0", output: "0", audio_second: "0.0001" }] }],
		},
	});
	try {
		const person = await small.account("uploads", "100"), before = p.seen.length;
		const sdk = new OpenAI({ apiKey: person.key, baseURL: `${small.url}/v1`, maxRetries: 0 });
		const file = await toFile(randomBytes(60_000_000), "a.mp3");
		p.answers({ silent: true, pieces: [] });
		const ends = Promise.allSettled([1, 2, 3].map(() => sdk.audio.transcriptions.create({ model: "whisper", file })));
		await until("all of them have come through, and none has been answered", () => p.seen.length === before + 3);
		p.letGo();
		for (const end of await ends) expect(end.status).toBe("rejected");
		p.answers(json({ text: "Hello", usage: { type: "duration", seconds: 30 } }));
		expect((await sdk.audio.transcriptions.create({ model: "whisper", file })).text).toBe("Hello");
		await until("it is booked", async () => (await small.balance(person.id)) === nano("100") - nano("0.003"));
	} finally {
		await small.finish();
	}
});

test("more than the memory for content holds: some wait and are told to come again, others' small requests don't notice, and nothing breaks", async () => {
	const small = await Lethe.start({
		config: {
			edges: 1,
			limits: { body_bytes: "64MiB", content_memory: "160MiB" },
			providers: [{ name: "openai", url: `${p.url}/v1`, keys: [{ env: "SIM_API_KEY" }] }],
			models: [{ id: "image", upstream: "gpt-image-1", provider: "openai", context: 100_000, output: 4_000, prices: [{ from: "2026-01-01", input: "5.00", output: "40.00" }] }],
		},
	});
	const usual = lethe;
	try {
		lethe = small;
		const greedy = await small.account("greedy", "100"), modest = await small.account("modest", "100");
		const body = withImage(64 * megabytes), before = p.seen.length;
		p.answers((seen) => (seen.bytes.length > megabytes ? { silent: true, pieces: [] } : completion));
		const ends = Array.from({ length: 8 }, () => post(greedy.key, body).catch((e: Error) => ({ status: 0, retryAfter: undefined, text: String(e) })));
		await until("two have come through", () => p.seen.length === before + 2);
		for (let i = 0; i < 5; i++) expect((await post(modest.key, withImage(1000))).status).toBe(200);
		const told = await Promise.race([Promise.all(ends), until("the others are told", async () => (await Promise.all(ends.map((e) => Promise.race([e, null])))).filter((s) => s).length === 6)]);
		expect(told).toBe(true);
		const said = (await Promise.all(ends.map((e) => Promise.race([e, null])))).filter((s) => s !== null);
		for (const s of said) {
			expect(s.status).toBe(503);
			expect(s.retryAfter).toBe("1");
			expect(s.text).toContain("overloaded");
		}
		expect(p.seen.length).toBe(before + 7);
		p.letGo();
		await Promise.all(ends);
		expect((await post(greedy.key, withImage(1000))).status).toBe(200);
	} finally {
		lethe = usual;
		await small.finish();
	}
});
