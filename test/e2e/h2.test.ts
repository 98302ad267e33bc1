import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from "node:http2";
import { connect as connectTcp } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { trustAuthority } from "../harness/certificates.ts";
import { type Json, Lethe, nano, tag, upstreamKey } from "../harness/lethe.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
beforeAll(async () => {
	w = await world({ tls: true, upstreamTls: true });
});
afterAll(() => w?.end());

type Answer = { status: number; headers: IncomingHttpHeaders; body: string; code: number };
type Ask = { key?: string; script?: string; method?: string; path?: string; headers?: Record<string, string | string[]>; body?: string | Buffer | undefined };

const hi = [{ role: "user", content: "hi" }];
const exact = (more: object = {}) => JSON.stringify({ model: "exact", messages: hi, ...more });

function open(url = w.lethe.url, options: object = {}): Promise<ClientHttp2Session> {
	return new Promise((resolve, reject) => {
		const session = connect(url, options);
		session.once("error", reject);
		session.once("connect", () => {
			session.on("error", () => {});
			resolve(session);
		});
	});
}

function start(session: ClientHttp2Session, ask: Ask) {
	const body = "body" in ask ? ask.body : exact();
	const stream = session.request(
		{
			":method": ask.method ?? "POST",
			":path": ask.path ?? "/v1/chat/completions",
			authorization: `Bearer ${ask.key ?? w.customer.key}`,
			"content-type": "application/json",
			...(ask.script ? { "x-sim": ask.script } : {}),
			...ask.headers,
		},
		{ endStream: body === undefined },
	);
	if (body !== undefined) stream.end(body);
	return stream;
}

function answered(stream: ReturnType<typeof start>): Promise<Answer> {
	return new Promise((resolve) => {
		const answer: Answer = { status: 0, headers: {}, body: "", code: 0 };
		stream.on("response", (headers) => {
			answer.status = Number(headers[":status"]);
			answer.headers = headers;
		});
		stream.setEncoding("utf8");
		stream.on("data", (text) => (answer.body += text));
		stream.on("error", () => {});
		stream.on("close", () => resolve({ ...answer, code: stream.rstCode ?? 0 }));
	});
}

const ask = (session: ClientHttp2Session, what: Ask = {}) => answered(start(session, what));

const comparable = (answer: string) =>
	answer.replace(/chatcmpl-[A-Za-z0-9]{29}/g, "chatcmpl-ID").replace(/call_[A-Za-z0-9]{24}/g, "call_ID").replace(/"created":( ?)\d{10}/g, '"created":$1TIME');

async function straight(body: string, script: string): Promise<string> {
	const answer = await fetch(`${w.sim.url}/v1/chat/completions`, {
		method: "POST",
		headers: { authorization: `Bearer ${upstreamKey}`, "content-type": "application/json", "x-sim": script },
		body,
	});
	return answer.text();
}

describe("answers", () => {
	test.each([
		["plain", {}, "echo=1"],
		["streamed", { stream: true, stream_options: { include_usage: true } }, "chunks=30,split=7"],
		["in large events", { stream: true, stream_options: { include_usage: true } }, "chunks=3,chunk_bytes=50000"],
		["with a given length", {}, "length=1,chunk_bytes=300000"],
		["with tools", { stream: true, stream_options: { include_usage: true } }, "tools=2"],
		["with a usage that was not asked for", { stream: true }, "chunks=4"],
	])("%s: the same as without Lethe", async (_, more, script) => {
		const session = await open();
		const through = await ask(session, { body: exact(more), script });
		expect(through).toMatchObject({ status: 200, code: 0 });
		expect(comparable(through.body)).toBe(comparable(await straight(exact(more), script)));
		session.close();
	});

	test("many at once on one connection are told apart, and each is paid for", async () => {
		const customer = await w.lethe.account(tag("many"), "1000");
		const session = await open();
		const words = Array.from({ length: 100 }, (_, i) => `number-${i}`);
		const answers = await Promise.all(
			words.map((content, i) =>
				ask(session, { key: customer.key, script: "echo=1", body: JSON.stringify({ model: "exact", stream: i % 2 === 0, messages: [{ role: "user", content }] }) }),
			),
		);
		answers.forEach((answer, i) => {
			expect(answer.status).toBe(200);
			const said = [...answer.body.matchAll(/"content": ?"([^"]*)"/g)].map((match) => match[1]).join("");
			expect(said).toBe(words[i]);
		});
		await until("all are booked", async () => (await w.lethe.usage(customer.id))["requests"] === 100);
		session.close();
	});

	test("no field of a connection of HTTP/1.1 is among them; names are small", async () => {
		const session = await open();
		const { headers } = await ask(session);
		for (const name of ["connection", "transfer-encoding", "keep-alive"]) expect(headers).not.toHaveProperty(name);
		expect(headers["x-request-id"]).toMatch(/^req_/);
		expect(headers["content-type"]).toMatch(/^application\/json/);
		session.close();
	});

	test("by prior knowledge in clear text, from this machine", async () => {
		const clear = await world({ sim: w.sim });
		const session = await open(clear.lethe.url);
		expect(await ask(session, { key: clear.customer.key })).toMatchObject({ status: 200 });
		session.close();
		await clear.lethe.finish();
	});

	test("http2: false leaves HTTP/1.1", async () => {
		const files = trustAuthority();
		const old = await Lethe.start({
			sim: w.sim,
			tls: true,
			config: { http2: false, tls: { listen: ["127.0.0.1:0"], certificates: [{ certificate: files.certificate, key: files.key }] } },
		});
		await expect(open(old.url)).rejects.toThrow();
		expect((await fetch(`${old.url}/v1/models`)).status).toBe(401);
		await old.finish();
	});
});

describe("requests", () => {
	let session: ClientHttp2Session;
	beforeAll(async () => {
		session = await open();
	});
	afterAll(() => session.close());

	test("a body of megabytes, larger than every window", async () => {
		const content = "word ".repeat(400_000);
		const answer = await ask(session, { body: JSON.stringify({ model: "exact", messages: [{ role: "user", content }] }) });
		expect(answer.status).toBe(200);
		expect(JSON.parse(answer.body).usage.prompt_tokens).toBeGreaterThan(250_000);
	});

	test("a body in many frames, with and without a length", async () => {
		for (const headers of [{}, { "content-length": String(exact().length) }]) {
			const pieces = session.request({ ":method": "POST", ":path": "/v1/chat/completions", authorization: `Bearer ${w.customer.key}`, ...headers });
			for (const byte of exact()) pieces.write(byte);
			pieces.end();
			expect((await answered(pieces)).status).toBe(200);
		}
	});

	test.each([
		["a wrong key", { key: "x" }, 401],
		["an unknown path", { path: "/v1/nothing" }, 404],
		["a wrong method", { method: "GET", body: undefined }, 405],
		["an unknown model", { body: exact({ model: "nobody" }) }, 404],
		["broken JSON", { body: "{" }, 400],
		["another Host than :authority", { headers: { ":authority": "a.example", host: "b.example" } }, 400],
		["a target that is none", { path: "/v1/a b" }, 400],
		["too many fields", { headers: Object.fromEntries(Array.from({ length: 150 }, (_, i) => [`x-field-${i}`, "1"])) }, 431],
		["too many cookies", { headers: { cookie: Array.from({ length: 200 }, (_, i) => `c${i}=1`) } }, 431],
		["a head that is too large", { headers: { "x-large": "x".repeat(40_000) } }, 431],
	])("%s", async (_, what, status) => {
		const own = await open(w.lethe.url, { settings: {}, maxSendHeaderBlockLength: 1 << 20 });
		const answer = await ask(own, what as Ask);
		// A client that was told a limit may keep to it by itself; what can't be in a frame at all is a reset (RFC 9113 8.1.1).
		if (answer.status !== 0) expect(answer.status).toBe(status);
		else if (status !== 431) expect(answer.code).toBe(constants.NGHTTP2_PROTOCOL_ERROR);
		own.close();
		expect((await ask(session)).status).toBe(200);
	});

	test("HEAD and OPTIONS", async () => {
		expect(await ask(session, { method: "HEAD", path: "/v1/models", body: undefined })).toMatchObject({ status: 200, body: "" });
		expect(await ask(session, { method: "OPTIONS", path: "/v1/models", body: undefined })).toMatchObject({ status: 204, body: "" });
	});

	test("100 Continue", async () => {
		const stream = session.request({ ":method": "POST", ":path": "/v1/chat/completions", authorization: `Bearer ${w.customer.key}`, expect: "100-continue" });
		stream.once("continue", () => stream.end(exact()));
		expect((await answered(stream)).status).toBe(200);
	});

	test("a length that the body does not have is an error of the stream, and nothing goes up", async () => {
		const customer = await w.lethe.account(tag("length"), "1");
		for (const length of [exact().length - 5, exact().length + 5])
			expect(await ask(session, { key: customer.key, headers: { "content-length": String(length) } })).toMatchObject({
				status: 0,
				code: constants.NGHTTP2_PROTOCOL_ERROR,
			});
		expect((await w.lethe.usage(customer.id))["requests"]).toBe(0);
	});

	test.each([
		["mean nothing", { "x-more": "1" }, { status: 200, code: 0 }],
		["that say who asks are an error of the stream, and nothing goes up", { "x-more": "1", authorization: "Bearer x" }, { status: 0, code: constants.NGHTTP2_PROTOCOL_ERROR }],
	])("trailers of a request %s", async (_, trailers, end) => {
		const customer = await w.lethe.account(tag("trailers"), "1");
		const stream = session.request(
			{ ":method": "POST", ":path": "/v1/chat/completions", authorization: `Bearer ${customer.key}` },
			{ waitForTrailers: true } as object,
		);
		stream.on("wantTrailers", () => stream.sendTrailers(trailers));
		stream.end(exact());
		expect(await answered(stream)).toMatchObject(end);
		const paid = () => w.lethe.usage(customer.id).then((usage) => usage["requests"] === (end.status ? 1 : 0));
		await until("it is paid for once, or not at all", paid);
	});

	test("an answer to an unfinished request stops the rest of it", async () => {
		const stream = session.request({ ":method": "POST", ":path": "/v1/chat/completions", authorization: "Bearer wrong" });
		stream.write("{");
		expect(await answered(stream)).toMatchObject({ status: 401, code: constants.NGHTTP2_NO_ERROR });
	});
});

describe("ends", () => {
	const reason = async (account: string) =>
		until("it is booked", async () => ((await w.lethe.command("usage", "--account", account, "--by", "end_reason"))["rows"][0] as Json | undefined)?.["end_reason"] as string);

	test("a client that resets its stream pays for what it got; others go on", async () => {
		const customer = await w.lethe.account(tag("reset"), "10");
		const session = await open();
		const other = ask(session, { script: "chunks=50,gap_ms=5", body: exact({ stream: true }) });
		const stream = start(session, { key: customer.key, script: "chunks=2000,gap_ms=2", body: exact({ stream: true }) });
		await new Promise((seen) => stream.once("data", seen));
		stream.close(constants.NGHTTP2_CANCEL);
		expect(await reason(customer.id)).toBe("CLIENT_GONE");
		expect(nano((await w.lethe.usage(customer.id))["cost"])).toBeGreaterThan(0);
		expect(await other).toMatchObject({ status: 200, code: 0 });
		session.close();
	});

	test("a client whose connection breaks, with several streams", async () => {
		const customer = await w.lethe.account(tag("broken"), "10");
		const session = await open();
		const streams = Array.from({ length: 5 }, () => start(session, { key: customer.key, script: "chunks=2000,gap_ms=2", body: exact({ stream: true }) }));
		await Promise.all(streams.map((s) => new Promise((seen) => s.once("data", seen))));
		session.destroy();
		await until("all are booked", async () => (await w.lethe.usage(customer.id))["requests"] === 5);
		expect(await reason(customer.id)).toBe("CLIENT_GONE");
	});

	test("a provider that breaks off is an error event, or a reset; never a whole answer", async () => {
		const session = await open();
		const streamed = await ask(session, { script: "cut_after=400", body: exact({ stream: true }) });
		expect(streamed.body).toContain("upstream_cut");
		expect(streamed.body).not.toContain("[DONE]");
		const plain = await ask(session, { script: "length=1,cut_after=300" });
		expect(plain.code !== 0 || plain.status >= 500).toBe(true);
		session.close();
	});

	test("who does not read holds up nobody else, and costs a bounded amount", async () => {
		const session = await open(w.lethe.url, { settings: { initialWindowSize: 1000 } });
		const stuck = start(session, { script: "chunks=200,chunk_bytes=20000", body: exact({ stream: true }) });
		stuck.pause();
		await new Promise((seen) => stuck.once("response", seen));
		for (let i = 0; i < 5; i++) expect((await ask(session, { script: "echo=1" })).status).toBe(200);
		stuck.close(constants.NGHTTP2_CANCEL);
		session.close();
	});

	test("at a stop running streams end in peace, and new ones are refused", async () => {
		const ending = await world({ sim: w.sim, tls: true });
		const session = await open(ending.lethe.url);
		const gone = new Promise((seen) => session.once("goaway", seen));
		const running = start(session, { key: ending.customer.key, script: "chunks=40,gap_ms=20", body: exact({ stream: true }) });
		const whole = answered(running);
		await new Promise((seen) => running.once("data", seen));
		ending.lethe.signal("SIGTERM");
		await gone;
		expect(await whole).toMatchObject({ status: 200, code: 0, body: expect.stringContaining("[DONE]") });
		expect(await ending.lethe.ended()).toBe(0);
		await ending.lethe.finish();
	});
});

// Frames by hand: what no library would send.
describe("noise", () => {
	const frame = (type: number, flags: number, stream: number, payload = Buffer.alloc(0)) => {
		const head = Buffer.alloc(9);
		head.writeUIntBE(payload.length, 0, 3);
		head[3] = type;
		head[4] = flags;
		head.writeUInt32BE(stream, 5);
		return Buffer.concat([head, payload]);
	};
	const preface = Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(4, 0, 0)]);
	const headers = (id: number) => frame(1, 0x4, id, Buffer.from([0x83, 0x86, 0x84, 0x41, 0x01, 0x61])); // POST http / a, without an end
	let clear: World;
	beforeAll(async () => {
		clear = await world({ sim: w.sim });
	});
	afterAll(() => clear?.lethe.finish());

	// The error code of the GOAWAY that ends the connection.
	function calmed(bytes: Buffer): Promise<number> {
		return new Promise((resolve, reject) => {
			const socket = connectTcp(Number(new URL(clear.lethe.url).port), "127.0.0.1");
			let got = Buffer.alloc(0);
			socket.on("data", (more) => (got = Buffer.concat([got, more])));
			socket.on("error", () => {});
			socket.on("close", () => {
				for (let at = 0; at + 9 <= got.length; at += 9 + got.readUIntBE(at, 3)) if (got[at + 3] === 7) resolve(got.readUInt32BE(at + 13));
				reject(new Error("closed without a GOAWAY"));
			});
			socket.write(Buffer.concat([preface, bytes]));
		});
	}
	const many = (count: number, one: (i: number) => Buffer) => Buffer.concat(Array.from({ length: count }, (_, i) => one(i)));

	test.each([
		["resets", many(4000, (i) => Buffer.concat([headers(2 * i + 1), frame(3, 0, 2 * i + 1, Buffer.from([0, 0, 0, 8]))]))],
		["pings", many(3000, () => frame(6, 0, 0, Buffer.alloc(8)))],
		["settings", many(3000, () => frame(4, 0, 0))],
		["empty data", Buffer.concat([headers(1), many(3000, () => frame(0, 0, 1))])],
		["windows", many(3000, () => frame(8, 0, 0, Buffer.from([0, 0, 0, 1])))],
		["priorities", many(3000, (i) => frame(2, 0, 2 * i + 1, Buffer.from([0, 0, 0, 0, 1])))],
	])("a flood of %s ends the connection", async (_, bytes) => {
		expect([constants.NGHTTP2_ENHANCE_YOUR_CALM, constants.NGHTTP2_PROTOCOL_ERROR, constants.NGHTTP2_INTERNAL_ERROR]).toContain(await calmed(bytes));
		const session = await open(clear.lethe.url);
		expect((await ask(session, { key: clear.customer.key })).status).toBe(200);
		session.close();
	});

	test("a head without an end, in ever more frames, ends the connection", async () => {
		const endless = Buffer.concat([frame(1, 0, 1, Buffer.from([0x83])), many(200, () => frame(9, 0, 1, Buffer.alloc(1000, 0x40)))]);
		await calmed(endless).catch((error) => expect(error.message).toContain("closed"));
		const session = await open(clear.lethe.url);
		expect((await ask(session, { key: clear.customer.key })).status).toBe(200);
		session.close();
	});
});

test("the books balance", async () => {
	expect((await w.lethe.verify()).status).toBe(0);
});
