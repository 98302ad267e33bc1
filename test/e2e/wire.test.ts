import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Lethe, sim, tag, upstreamKey } from "../harness/lethe.ts";
import { post, Raw } from "../harness/raw.ts";
import { Sim } from "../harness/sim.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
beforeAll(async () => {
	w = await world();
});
afterAll(() => w?.end());

const hi = [{ role: "user", content: "hi" }];
const body = (more: object = {}) => JSON.stringify({ model: "exact", messages: hi, ...more });

async function fetched(base: string, key: string, text: string, script: string): Promise<string> {
	const answer = await fetch(`${base}/v1/chat/completions`, {
		method: "POST",
		headers: { authorization: `Bearer ${key}`, "content-type": "application/json", "x-sim": script },
		body: text,
	});
	return answer.text();
}

// What differs between two answers to the same question. Comments of the stream have no meaning: one before the event that is cut out stays.
function comparable(answer: string): string {
	return answer
		.replace(/^: .*\n\n/gm, "")
		.replace(/chatcmpl-[A-Za-z0-9]{29}/g, "chatcmpl-ID")
		.replace(/call_[A-Za-z0-9]{24}/g, "call_ID")
		.replace(/"created":( ?)\d{10}/g, '"created":$1TIME');
}

describe("bytes", () => {
	const scripts = [
		"chunks=30",
		"chunks=5,split=1",
		"chunks=30,split=7",
		"chunks=30,split=700",
		"crlf=1",
		"crlf=1,chunks=5,split=2",
		"comments=1",
		"tools=2",
		"refusal=1",
		"length=1",
		"reasoning=20,cached=3",
		"usage=none",
		"no_done=1",
		"mid_error=2",
		"malformed=sse",
		"chunks=3,chunk_bytes=50000",
	];
	for (const [name, more] of [
		["plain", {}],
		["streamed", { stream: true }],
		["streamed with usage", { stream: true, stream_options: { include_usage: true } }],
		["streamed with usage off", { stream: true, stream_options: { include_usage: false } }],
	] as const)
		test.each(scripts)(`${name}, %s: the same as without Lethe`, async (script) => {
			const direct = await fetched(w.sim.url, upstreamKey, body(more), script);
			const through = await fetched(w.lethe.url, w.customer.key, body(more), script);
			expect(comparable(through)).toBe(comparable(direct));
		});

	test("what is not JSON passes as it is, too", async () => {
		// The simulator tears an event in the middle: where that is depends on the usage member, so only this form can be compared.
		const text = body({ stream: true, stream_options: { include_usage: true } });
		const direct = await fetched(w.sim.url, upstreamKey, text, "malformed=json");
		expect(comparable(await fetched(w.lethe.url, w.customer.key, text, "malformed=json"))).toBe(comparable(direct));
	});

	test("events of any size pass whole", async () => {
		const answer = await fetched(w.lethe.url, w.customer.key, body({ stream: true }), "chunks=3,chunk_bytes=3000000");
		const events = answer.split("\n\n").filter((event) => event.startsWith("data: {"));
		const words = events.map((event) => JSON.parse(event.slice(6)).choices[0].delta.content ?? "");
		expect(words.map((word) => word.length)).toEqual([0, 3_000_000, 3_000_000, 3_000_000, 0]);
		expect(answer.endsWith("data: [DONE]\n\n")).toBe(true);
	});

	test("a request goes up byte for byte when nothing has to change", async () => {
		const name = tag("bytes");
		const text = ` {"messages" :\t[ {"role":"user","content":"caf\\u00e9 \\ud83d\\ude00 1.0e+2"} ] , "temperature": 1.000000000000000000001,"model":"exact", "unknown":{"a":[1e400]}}\n`;
		await fetched(w.lethe.url, w.customer.key, text, `tag=${name}`);
		expect(await w.sim.lastBody(name)).toBe(text);
	});

	test("a stream's request differs by the usage that we ask for, and by nothing else", async () => {
		const name = tag("inject");
		const text = body({ stream: true, temperature: 0.5 });
		await fetched(w.lethe.url, w.customer.key, text, `tag=${name}`);
		const sent = await w.sim.lastBody(name);
		expect(JSON.parse(sent)).toEqual({ ...JSON.parse(text), stream_options: { include_usage: true } });
		expect(sent.replace(/"stream_options":\{"include_usage":true\},?/, "")).toBe(text);
	});

	test("a large request arrives whole", async () => {
		const name = tag("large");
		const text = body({ messages: [{ role: "user", content: "0123456789abcdef".repeat(500_000) }] });
		const answer = await fetched(w.lethe.url, (await w.lethe.account("large", "1000")).key, text.replace('"exact"', '"big"'), `tag=${name}`);
		expect(answer).toContain("model_not_found");
		expect(await w.sim.saw(name)).toBe(false);
		const fits = body({ messages: [{ role: "user", content: "0123456789abcdef".repeat(40_000) }] });
		await fetched(w.lethe.url, w.customer.key, fits, `tag=${name}`);
		expect((await w.sim.last(name)).body_sha256).toBe(createHash("sha256").update(fits).digest("hex"));
	});
});

describe("HTTP/1.1", () => {
	test("requests that are sent at once are answered in order", async () => {
		const raw = await Raw.open(w.lethe.url);
		const say = (text: string, script: string) => post(w.customer.key, body({ messages: [{ role: "user", content: text }] }), { "x-sim": script });
		raw.say(say("first", "echo=1,delay_ms=60") + say("second", "echo=1,delay_ms=20") + say("third", "echo=1"));
		for (const word of ["first", "second", "third"]) {
			const answer = await raw.answer();
			expect(answer.status).toBe(200);
			expect(JSON.parse(answer.body.toString()).choices[0].message.content).toBe(word);
		}
		raw.close();
	});

	test("a request may come byte by byte", async () => {
		const raw = await Raw.open(w.lethe.url);
		const bytes = post(w.customer.key, body());
		for (const byte of bytes) raw.socket.write(byte);
		expect((await raw.answer()).status).toBe(200);
		raw.close();
	});

	test("a body may come in chunks", async () => {
		const name = tag("chunks");
		const raw = await Raw.open(w.lethe.url);
		const text = body();
		raw.say(
			`POST /v1/chat/completions HTTP/1.1\r\nHost: lethe.test\r\nAuthorization: Bearer ${w.customer.key}\r\nx-sim: tag=${name}\r\n` +
				"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
		);
		for (const piece of text.match(/.{1,7}/gs)!) raw.say(`${piece.length.toString(16)}\r\n${piece}\r\n`);
		raw.say("0\r\n\r\n");
		expect((await raw.answer()).status).toBe(200);
		expect(await w.sim.lastBody(name)).toBe(text);
		raw.close();
	});

	test("100-continue is said before the body is sent", async () => {
		const raw = await Raw.open(w.lethe.url);
		const text = body();
		const [head] = post(w.customer.key, text, { Expect: "100-continue" }).split("\r\n\r\n");
		raw.say(`${head}\r\n\r\n`);
		expect((await raw.answer()).status).toBe(100);
		raw.say(text);
		expect((await raw.answer()).status).toBe(200);
		raw.close();
	});

	test("100-continue is not said to who has no right to send", async () => {
		const raw = await Raw.open(w.lethe.url);
		const [head] = post("nonsense", body(), { Expect: "100-continue" }).split("\r\n\r\n");
		raw.say(`${head}\r\n\r\n`);
		expect((await raw.answer()).status).toBe(401);
		raw.close();
	});

	test("an absolute target is a target", async () => {
		const raw = await Raw.open(w.lethe.url);
		raw.say(post(w.customer.key, body()).replace("POST /v1", "POST http://lethe.test/v1"));
		expect((await raw.answer()).status).toBe(200);
		raw.close();
	});

	test("HEAD has a GET's head and no body", async () => {
		const raw = await Raw.open(w.lethe.url);
		const ask = (method: string) => `${method} /v1/models HTTP/1.1\r\nHost: lethe.test\r\nAuthorization: Bearer ${w.customer.key}\r\n\r\n`;
		raw.say(ask("GET"));
		const get = await raw.answer();
		raw.say(ask("HEAD") + ask("GET"));
		const head = await raw.answer({ head: true });
		expect([head.status, head.headers.get("content-length")]).toEqual([200, String(get.body.length)]);
		expect((await raw.answer()).body.equals(get.body)).toBe(true);
		raw.close();
	});

	test("OPTIONS says what may be asked", async () => {
		const raw = await Raw.open(w.lethe.url);
		raw.say("OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: lethe.test\r\nOrigin: https://app.test\r\nAccess-Control-Request-Method: POST\r\n\r\n");
		const answer = await raw.answer();
		expect([200, 204, 405]).toContain(answer.status);
		expect(answer.headers.get("allow") ?? answer.headers.get("access-control-allow-methods")).toContain("POST");
		raw.close();
	});

	test("a method that an endpoint does not take is 405 with those that it takes", async () => {
		const raw = await Raw.open(w.lethe.url);
		raw.say(`GET /v1/chat/completions HTTP/1.1\r\nHost: lethe.test\r\nAuthorization: Bearer ${w.customer.key}\r\n\r\n`);
		const answer = await raw.answer();
		expect(answer.status).toBe(405);
		expect(answer.headers.get("allow")).toContain("POST");
		raw.close();
	});

	test("Connection: close closes after the answer, HTTP/1.0 does so by itself", async () => {
		for (const request of [post(w.customer.key, body(), { Connection: "close" }), post(w.customer.key, body()).replace("HTTP/1.1", "HTTP/1.0")]) {
			const raw = await Raw.open(w.lethe.url);
			raw.say(request);
			const all = (await raw.ends()).toString();
			expect(all).toMatch(/^HTTP\/1\.[01] 200 /);
			expect(all).toContain("Galaxy Day");
		}
	});

	test("a stream for HTTP/1.0 is not chunked", async () => {
		const raw = await Raw.open(w.lethe.url);
		raw.say(post(w.customer.key, body({ stream: true })).replace("HTTP/1.1", "HTTP/1.0"));
		const all = (await raw.ends()).toString();
		expect(all.toLowerCase()).not.toContain("transfer-encoding");
		expect(all).toMatch(/data: \[DONE\]\n\n$/);
	});

	const authorization = () => `Authorization: Bearer ${w.customer.key}\r\n`;
	const ambiguous: [string, () => string][] = [
		["length and chunks", () => post(w.customer.key, body(), { "Transfer-Encoding": "chunked" })],
		["two lengths", () => post(w.customer.key, body(), { "Content-Length ": "5" }).replace("Content-Length :", "Content-Length:")],
		["a length with a sign", () => post(w.customer.key, body()).replace(/Content-Length: /, "Content-Length: +")],
		["a space before the colon", () => post(w.customer.key, body()).replace("Host:", "Host :")],
		["a folded header", () => post(w.customer.key, body()).replace("Host: lethe.test", "Host: lethe.test\r\n folded")],
		["no host", () => post(w.customer.key, body()).replace("Host: lethe.test\r\n", "")],
		["two hosts", () => post(w.customer.key, body(), { Host: "other.test" })],
		["a target of another host", () => post(w.customer.key, body()).replace("POST /v1", "POST http://other.test/v1")],
		["a bare line feed", () => post(w.customer.key, body()).replace("Host: lethe.test\r\n", "Host: lethe.test\n")],
		["a zero byte", () => post(w.customer.key, body()).replace("lethe.test", "lethe\0test")],
		["unknown coding", () => `POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n${authorization()}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
		["a bad chunk", () => `POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n${authorization()}Transfer-Encoding: chunked\r\n\r\nzz\r\n`],
		["a preface of HTTP/2 that is none", () => "PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n"],
		["CONNECT", () => `CONNECT provider.test:443 HTTP/1.1\r\nHost: provider.test:443\r\n${authorization()}\r\n`],
		["not HTTP", () => "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"],
	];
	test.each(ambiguous)("%s is refused and the connection closed", async (_, request) => {
		const before = (await w.sim.stats())["requests"]!;
		const raw = await Raw.open(w.lethe.url);
		raw.say(Buffer.from(request(), "latin1"));
		const all = (await raw.ends()).toString();
		expect(all).toMatch(/^(HTTP\/1\.1 (4\d\d|501|505) |$)/);
		expect(all.match(/HTTP\/1\.1 /g)?.length ?? 0).toBeLessThanOrEqual(1);
		expect((await w.sim.stats())["requests"]! - before).toBe(1);
	});

	test("a head over the bound is refused", async () => {
		const raw = await Raw.open(w.lethe.url);
		raw.say(post(w.customer.key, body(), { "X-Long": "x".repeat(40_000) }));
		expect((await raw.ends()).toString()).toMatch(/^HTTP\/1\.1 4(00|31) /);
	});
});

describe("providers' paths", () => {
	test("an upstream connection carries one request after another", async () => {
		const client = w.lethe.client(w.customer.key);
		const names = [tag("keep"), tag("keep"), tag("keep"), tag("keep")];
		for (const name of names) await client.chat.completions.create({ model: "exact", messages: [{ role: "user", content: "hi" }] }, sim(`tag=${name}`));
		const connections = new Set(await Promise.all(names.map(async (name) => (await w.sim.last(name)).connection)));
		expect(connections.size).toBeLessThanOrEqual(2);
	});

	test("an answer that comes before the body was read does not break the connection's next request", async () => {
		const client = w.lethe.client(w.customer.key);
		for (let i = 0; i < 5; i++) {
			await client.chat.completions.create({ model: "exact", messages: [{ role: "user", content: "hi" }] }, sim("early=1"));
			const answer = await client.chat.completions.create({ model: "exact", messages: [{ role: "user", content: "hi" }] });
			expect(answer.choices[0]!.message.content).toContain("Galaxy Day");
		}
	});

	test("a provider that is not there is 502, and the next one's customers don't notice", async () => {
		const gone = await Sim.start();
		const lonely = await Lethe.start({ sim: gone });
		gone.stop();
		const customer = await lonely.account("customer", "1.00");
		const raw = await Raw.open(lonely.url);
		raw.say(post(customer.key, body()));
		expect((await raw.answer()).status).toBe(502);
		raw.close();
		expect((await lonely.verify()).status).toBe(0);
		await lonely.finish();
	});
});
