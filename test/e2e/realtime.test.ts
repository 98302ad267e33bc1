import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { tickets } from "../harness/books.ts";
import { type Account, type Json, nano, tag } from "../harness/lethe.ts";
import { Refused, Session } from "../harness/session.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

// Dollars per million tokens: sums are easy, and no two kinds cost the same.
const prices = [{ input: "4.00", cached: "0.40", audio_in: "32.00", cached_audio: "0.50", output: "16.00", audio_out: "64.00" }];
const models: Json[] = [
	{ id: "rt", upstream: "gpt-realtime/1", context: 32_000, output: 4096, prices },
];

let w: World;
beforeAll(async () => {
	w = await world({
		config: { batch_window: "1ms", limits: { websocket_message_bytes: "2MiB", websocket_frames_per_second: 500, connections_per_address: 0 }, timeouts: { websocket_close: "1s", drain: "3s" } },
		extra: { providers: [], models },
	});
});
afterAll(() => w?.end());

let people = 0;
const someone = (dollars = "5.00"): Promise<Account> => w.lethe.account(`talker-${++people}`, dollars);
const open = (a: Account, script = "", options: Parameters<typeof Session.open>[3] = {}) => Session.open(w.lethe.url, a.key, script, options);

async function spent(a: Account, dollars: string, of = "5.00"): Promise<void> {
	const want = nano(of) - nano(dollars);
	let seen = -1;
	await until("it is booked", async () => (seen = await w.lethe.balance(a.id)) === want).catch(() => {
		throw new Error(`spent ${(nano(of) - seen) / 1e9}, not ${dollars}`);
	});
}

async function refusal(promise: Promise<Session>): Promise<Refused> {
	const error = await promise.then(
		() => undefined,
		(e: unknown) => e,
	);
	if (!(error instanceof Refused)) throw new Error(`expected a refusal, got ${error}`);
	return error;
}

// The ticket that came last.
const lastTicket = async (requests: number, a: Account): Promise<Json> => {
	await until("it is in the books", async () => (await w.lethe.usage(a.id))["requests"] >= requests);
	return tickets(w.lethe).at(-1)!;
};

describe("a realtime session", () => {
	test("takes a browser's key from the subprotocols, and passes none of it on", async () => {
		const a = await someone();
		const name = tag("browser");
		const s = await open({ ...a, key: "" }, `tag=${name}`, { protocols: ["realtime", `openai-insecure-api-key.${a.key}`, "openai-beta.realtime-v1"] });
		expect(s.socket.protocol).toBe("realtime");
		await s.hears("session.created");
		const { head } = await w.sim.last(name);
		expect(head).toMatch(/^GET \/v1\/realtime\?model=gpt-realtime%2F1 HTTP\/1.1\r\n/);
		expect(head).toContain("sec-websocket-protocol: realtime, openai-beta.realtime-v1\r\n");
		expect(head).not.toContain(a.key);
		expect(head).not.toContain("insecure");
		expect((await s.close()).code).toBe(1000);
		await spent(a, "0");
	});

	test("asks for no extension, whatever the client offers, and passes on no other header", async () => {
		const a = await someone();
		const name = tag("headers");
		const s = await open(a, `tag=${name}`, { ws: { perMessageDeflate: true }, headers: { cookie: "a=b", "openai-organization": "org-x", origin: "https://evil.example", "OpenAI-Beta": "realtime=v1" } });
		await s.hears("session.created");
		expect(s.socket.extensions).toBe("");
		const { head } = await w.sim.last(name);
		expect(head.toLowerCase()).not.toMatch(/extensions|cookie|organization|origin|forwarded/);
		expect(head).toContain("OpenAI-Beta: realtime=v1");
		expect(head).toContain("sec-websocket-version: 13");
		await s.close();
	});

	test("passes messages of any size and shape, pings and pongs", async () => {
		const a = await someone();
		const s = await open(a, "audio=1,chunk_bytes=1500000,chunks=2,fragment=70000,ping=1");
		const pings: string[] = [];
		s.socket.on("ping", (data) => pings.push(data.toString()));
		s.socket.ping("are you there");
		await until("the pong comes", async () => s.pongs.includes("are you there"));
		const audio = "A".repeat(1_000_000);
		s.socket.send(`{"type":"input_audio_buffer.append","au`, { fin: false });
		s.socket.send(`dio":"${audio}"}`, { fin: true });
		await s.response();
		expect(s.events.filter((e) => e["type"] === "response.output_audio.delta").map((e) => e["delta"].length)).toEqual([1_500_000, 1_500_000]);
		expect(pings).toEqual(["sim"]);
		await s.close(4321);
		expect(s.closed).toEqual({ code: 4321, reason: "" });
	});
});

describe("with TLS on both sides", () => {
	let t: World;
	beforeAll(async () => {
		t = await world({ tls: true, upstreamTls: true, config: { batch_window: "1ms" }, extra: { providers: [], models } });
	});
	afterAll(() => t?.end());

	test("works by the official SDK, and costs what its responses report, kind by kind", async () => {
		const a = await t.lethe.account("sdk", "5.00");
		const client = t.lethe.client(a.key);
		const rt = new OpenAIRealtimeWS({ model: "rt", options: { headers: { "x-sim": "audio=1,prompt_tokens=1000,cached=400,completion_tokens=200,chunks=3" } } }, client);
		const seen: string[] = [];
		rt.on("error", () => {});
		rt.on("event", (e) => seen.push(e.type));
		await until("it is open", async () => seen.includes("session.created"));
		rt.send({ type: "session.update", session: { type: "realtime", model: "rt", instructions: "Be kind." } } as never);
		await until("it is changed", async () => seen.includes("session.updated"));
		for (let i = 1; i <= 2; i++) {
			rt.send({ type: "response.create" });
			await until("it has answered", async () => seen.filter((t) => t === "response.done").length === i);
		}
		expect(seen.filter((t) => t === "response.output_audio.delta").length).toBe(6);
		rt.close();
		// 2 x (600 x $32 + 400 x $0.50 + 200 x $64 per million)
		await until("it is booked", async () => (await t.lethe.balance(a.id)) === nano("5.00") - nano("0.0644"));
		const ticket = tickets(t.lethe).at(-1)!;
		expect(ticket).toMatchObject({ tokens_audio_in: 1200n, tokens_cached_audio: 800n, tokens_audio_out: 400n, tokens_input: 0n, end_reason: 1n, status: 101n, endpoint: 17n });
		expect(Number(ticket["flags"]) & 2).toBe(0);
	});

});

describe("before the upgrade", () => {
	test("errors are those of HTTP, in the dialect", async () => {
		const a = await someone();
		const of = (status: number, code: string | null, type = "invalid_request_error") => ({ status, body: { error: { code, type } } });
		expect(await refusal(open({ ...a, key: "" }))).toMatchObject(of(401, "invalid_api_key"));
		expect(await refusal(open({ ...a, key: "lethe-sk-wrong" }))).toMatchObject(of(401, "invalid_api_key"));
		expect(await refusal(open(a, "", { query: "model=nothing" }))).toMatchObject(of(404, "model_not_found"));
		expect(await refusal(open(a, "", { query: "" }))).toMatchObject(of(400, "bad_request"));
		expect(await refusal(open(a, "", { query: "model=rt&call_id=rtc_1" }))).toMatchObject(of(400, "bad_request"));
		expect(await refusal(open(a, "status=429"))).toMatchObject({ status: 429 });
		expect(await refusal(open(a, "status=401,leak=1"))).toMatchObject(of(503, "upstream_unavailable", "server_error"));
		expect(await refusal(open(a, "malformed=head"))).toMatchObject(of(502, "upstream_malformed", "server_error"));
		const poor = await someone("0.00");
		expect(await refusal(open(poor))).toMatchObject(of(402, "insufficient_quota", "insufficient_quota"));
		await spent(a, "0");
	});

	test("a plain request is told to upgrade; other endpoints don't", async () => {
		const a = await someone();
		const plain = await fetch(`${w.lethe.url}/v1/realtime?model=rt`, { headers: { authorization: `Bearer ${a.key}` } });
		expect(plain.status).toBe(426);
		expect(plain.headers.get("upgrade")).toBe("websocket");
		expect(plain.headers.get("sec-websocket-version")).toBe("13");
		expect(((await plain.json()) as Json)["error"]["code"]).toBe("upgrade_required");
		expect((await fetch(`${w.lethe.url}/v1/realtime?model=rt`, { method: "POST" })).status).toBe(405);
	});
});

describe("money", () => {
	const script = "prompt_tokens=1000,completion_tokens=100,chunks=4,gap_ms=1";

	test("a client that hangs up pays for what was reported and what was counted of the rest", async () => {
		const a = await someone();
		const s = await open(a, "prompt_tokens=1000,completion_tokens=100,chunks=40,gap_ms=2,chunk_bytes=40");
		await s.response(); // 1000 x $4 + 100 x $16 per million = $0.0056
		s.say({ type: "response.create" });
		await s.hears("response.output_text.delta", 41);
		s.socket.terminate();
		const t = await lastTicket(1, a);
		expect(t["end_reason"]).toBe(2n);
		expect(Number(t["flags"]) & 2).toBe(2);
		const output = Number(t["tokens_output"]), cached = Number(t["tokens_cached"]);
		expect(cached).toBe(1100); // the conversation so far
		expect(output).toBeGreaterThanOrEqual(110);
		expect(Number(t["tokens_input"])).toBe(1000 + Math.ceil('{"type":"response.create"}'.length / 4));
		const cost = Math.ceil(Number(t["tokens_input"]) * 4000 + cached * 400 + output * 16000);
		await until("it is booked", async () => (await w.lethe.balance(a.id)) === nano("5.00") - cost);
	});

	test("a provider that goes is told of, and paid for what it reported", async () => {
		const a = await someone();
		const s = await open(a, `${script},cut_after=3000`);
		for (let i = 0; i < 50 && !s.closed; i++) {
			if (!s.closed) s.say({ type: "response.create" });
			await until("something comes of it", async () => s.closed || s.count("response.done") > i);
		}
		expect((await s.over()).code).toBe(1014);
		expect(s.events.at(-1)).toMatchObject({ type: "error", error: { type: "server_error", code: "upstream_cut" } });
		const done = s.count("response.done");
		expect(done).toBeGreaterThan(0);
		const t = await lastTicket(1, a);
		expect(t["end_reason"]).toBe(4n);
		expect(Number(t["tokens_input"])).toBeGreaterThanOrEqual(1000 * done);
		expect(Number(t["tokens_input"])).toBeLessThan(1000 * done + 100);
	});

	test("an edge that is killed leaves what it had stated", async () => {
		const a = await someone();
		const s = await open(a, `${script},chunks=4000,gap_ms=5`);
		s.say({ type: "response.create" });
		await s.hears("response.output_text.delta", 20);
		for (const pid of w.lethe.children("edge")) process.kill(pid, "SIGKILL");
		expect((await s.over()).code).toBe(1006);
		const t = await lastTicket(1, a);
		expect(t["end_reason"]).toBe(13n);
		expect(Number(t["tokens_output"])).toBeGreaterThanOrEqual(20);
		await until("it is served again", async () => (await fetch(`${w.lethe.url}/healthz`).catch(() => undefined))?.ok);
	});

	test("when the credit is spent the session ends with an error event, and the balance is not below zero", async () => {
		const a = await someone("0.02");
		const s = await open(a, script);
		let answered = 0;
		while (!s.closed && answered < 50) {
			s.say({ type: "response.create" });
			await until("something comes of it", async () => s.closed || s.count("response.done") > answered);
			answered = s.count("response.done");
		}
		expect(await s.over()).toEqual({ code: 1008, reason: "" });
		expect(s.events.at(-1)).toMatchObject({ type: "error", error: { type: "insufficient_quota", code: "budget_exhausted" } });
		expect(answered).toBeGreaterThan(0);
		await spent(a, (0.0056 * answered).toFixed(4), "0.02").catch(async () => {
			expect(await w.lethe.balance(a.id)).toBeGreaterThanOrEqual(0);
		});
		const t = await lastTicket(1, a);
		expect(t["end_reason"]).toBe(14n);
		expect(await w.lethe.balance(a.id)).toBeGreaterThanOrEqual(0);
	});

	test("a proper close is no estimate", async () => {
		const a = await someone();
		const s = await open(a, script);
		await s.response();
		await s.close();
		await spent(a, "0.0056");
		expect(await lastTicket(1, a)).toMatchObject({ end_reason: 1n, tokens_input: 1000n, tokens_output: 100n });
	});

	test("a provider that closes is passed on", async () => {
		const a = await someone();
		const s = await open(a, `${script},ws_close=1011`);
		await s.response();
		expect((await s.over()).code).toBe(1011);
		await spent(a, "0.0056");
		expect((await lastTicket(1, a))["end_reason"]).toBe(4n);
	});
});

describe("what is refused within", () => {
	const ends = async (script: string, say: (s: Session) => void): Promise<[number, string]> => {
		const a = await someone();
		const s = await open(a, script);
		await s.hears("session.created");
		say(s);
		const { code } = await s.over();
		return [code, s.events.at(-1)?.["error"]?.["code"] ?? ""];
	};

	test("another model, an object of the provider, what is no JSON, binary, too much, too fast", async () => {
		expect(await ends("", (s) => s.say({ type: "session.update", session: { model: "gpt-dearer" } }))).toEqual([1008, "bad_request"]);
		expect(await ends("", (s) => s.say({ type: "response.create", response: { prompt: { id: "pmpt_1" } } }))).toEqual([1008, "bad_request"]);
		expect(await ends("", (s) => s.socket.send("hello"))).toEqual([1008, "bad_request"]);
		expect(await ends("", (s) => s.socket.send(Buffer.from([1, 2])))).toEqual([1003, "bad_websocket"]);
		expect(await ends("", (s) => s.socket.send(" ".repeat(2 * 1024 * 1024 + 1)))).toEqual([1009, "bad_websocket"]);
		expect(await ends("", (s) => { for (let i = 0; i < 600; i++) s.socket.ping(); })).toEqual([1008, "rate_limit_exceeded"]);
	});

	test("an error that tells of the operator's account reaches nobody; others do, and end nothing", async () => {
		const a = await someone();
		const s = await open(a, "mid_error=1,chunks=3");
		await s.response();
		expect(s.events.find((e) => e["type"] === "error")).toMatchObject({ error: { code: "invalid_value" } });
		await s.close();
		const t = await open(a, "mid_error=1,chunks=3,leak=1");
		t.say({ type: "response.create" });
		expect((await t.over()).code).toBe(1014);
		expect(JSON.stringify(t.events)).not.toContain("org-sim");
	});
});

// A session over a stream of HTTP/2 (RFC 8441), frame by frame.
class Stream {
	readonly stream: ClientHttp2Stream;
	status = 0;
	headers: Json = {};
	ended = false;
	reset = 0;
	#bytes = Buffer.alloc(0);
	readonly frames: { opcode: number; text: string }[] = [];

	constructor(connection: ClientHttp2Session, path: string, headers: Record<string, string>) {
		this.stream = connection.request({ ":method": "CONNECT", ":protocol": "websocket", ":path": path, "sec-websocket-version": "13", ...headers });
		this.stream.on("response", (h) => {
			this.headers = h;
			this.status = Number(h[":status"]);
		});
		this.stream.on("data", (data: Buffer) => this.#take(data));
		this.stream.on("end", () => (this.ended = true));
		this.stream.on("error", () => {});
		this.stream.on("close", () => (this.reset = this.stream.rstCode ?? 0));
	}

	#take(data: Buffer): void {
		this.#bytes = Buffer.concat([this.#bytes, data]);
		for (;;) {
			const b = this.#bytes;
			if (b.length < 2) return;
			const short = b[1]! & 127, head = short < 126 ? 2 : short === 126 ? 4 : 10;
			if (b.length < head) return;
			const length = short < 126 ? short : short === 126 ? b.readUInt16BE(2) : Number(b.readBigUInt64BE(2));
			if (b.length < head + length) return;
			this.frames.push({ opcode: b[0]! & 15, text: b.subarray(head, head + length).toString("latin1") });
			this.#bytes = b.subarray(head + length);
		}
	}

	frame(first: number, payload: Buffer): void {
		const mask = Buffer.from([1, 2, 3, 4]);
		const length = payload.length < 126 ? Buffer.from([0x80 | payload.length]) : Buffer.from([0x80 | 127, 0, 0, 0, 0, payload.length >>> 24, (payload.length >> 16) & 255, (payload.length >> 8) & 255, payload.length & 255]);
		this.stream.write(Buffer.concat([Buffer.from([first]), length, mask, payload.map((byte, i) => byte ^ mask[i % 4]!)]));
	}

	say(event: Json): void {
		this.frame(0x81, Buffer.from(JSON.stringify(event)));
	}

	get events(): Json[] {
		return this.frames.filter((f) => f.opcode === 1).map((f) => JSON.parse(f.text));
	}

	hears(type: string, times = 1): Promise<unknown> {
		return until(`${type} comes`, async () => this.events.filter((e) => e["type"] === type).length >= times);
	}
}

describe("over HTTP/2", () => {
	let connection: ClientHttp2Session;
	beforeAll(async () => {
		connection = connect(w.lethe.url);
		connection.on("error", () => {});
		await until("extended CONNECT is offered", async () => connection.remoteSettings?.enableConnectProtocol);
	});
	afterAll(() => connection?.close());
	const path = "/v1/realtime?model=rt";
	const begin = (a: Account, script: string, more: Record<string, string> = {}) => new Stream(connection, path, { authorization: `Bearer ${a.key}`, "x-sim": script, ...more });

	test("sessions share a connection, each with its own money", async () => {
		const people = [await someone(), await someone(), await someone()];
		const streams = people.map((a) => begin(a, "prompt_tokens=1000,completion_tokens=100,chunks=4", { "sec-websocket-protocol": "realtime" }));
		for (const s of streams) {
			await s.hears("session.created");
			expect(s.status).toBe(200);
			expect(s.headers["sec-websocket-protocol"]).toBe("realtime");
			expect(s.headers["sec-websocket-accept"]).toBeUndefined();
			s.say({ type: "response.create" });
		}
		for (const s of streams) {
			await s.hears("response.done");
			s.frame(0x88, Buffer.from([3, 232]));
			await until("it is over", async () => s.ended);
			expect(s.frames.at(-1)).toEqual({ opcode: 8, text: "\x03\xe8" });
			expect(s.reset).toBe(0);
		}
		for (const a of people) await spent(a, "0.0056");
	});

	test("much goes in both directions, and no more waits than the windows let in", async () => {
		const a = await someone();
		const s = begin(a, "audio=1,chunks=8,chunk_bytes=400000");
		await s.hears("session.created");
		for (let i = 0; i < 4; i++) s.frame(0x81, Buffer.from(JSON.stringify({ type: "input_audio_buffer.append", audio: "A".repeat(500_000) })));
		s.say({ type: "response.create" });
		await s.hears("response.done");
		expect(s.events.filter((e) => e["type"] === "response.output_audio.delta").map((e) => e["delta"].length)).toEqual(Array(8).fill(400_000));
		s.frame(0x88, Buffer.alloc(0));
		await until("it is over", async () => s.ended);
	});

	test("a stream that ends or is reset is a client that hung up", async () => {
		for (const end of [(s: Stream) => s.stream.end(), (s: Stream) => s.stream.close(8)]) {
			const a = await someone();
			const s = begin(a, "prompt_tokens=1000,completion_tokens=100,chunks=1000,gap_ms=5");
			s.say({ type: "response.create" });
			await s.hears("response.output_text.delta", 3);
			end(s);
			expect((await lastTicket(1, a))["end_reason"]).toBe(2n);
		}
	});

	test("errors are answers", async () => {
		const a = await someone();
		const bad = begin({ ...a, key: "lethe-wrong" }, "");
		await until("it is answered", async () => bad.ended);
		expect(bad.status).toBe(401);
		const s = begin(a, "");
		await s.hears("session.created");
		s.frame(0x82, Buffer.from([1]));
		await until("it is over", async () => s.ended);
		expect(s.frames.at(-1)!.text.slice(0, 2)).toBe("\x03\xeb");
		expect(s.events.at(-1)).toMatchObject({ type: "error", error: { code: "bad_websocket" } });
	});
});

describe("a reload", () => {
	test("lets a session run to the drain limit, then says so", async () => {
		const a = await someone();
		const s = await open(a, "prompt_tokens=10,completion_tokens=1,chunks=1");
		await s.response();
		w.lethe.configure((config) => (config["timeouts"]["idle"] = "74s"));
		expect((await w.lethe.reload()).json["result"]).toBe("applied");
		await s.response(); // it still runs
		expect((await s.over()).code).toBe(1012);
		expect(s.events.at(-1)).toMatchObject({ type: "error", error: { code: "interrupted" } });
		expect((await lastTicket(1, a))["end_reason"]).toBe(13n);
		await spent(a, "0.000112");
	});
});

test("the books are right", async () => {
	expect((await w.lethe.verify()).status).toBe(0);
});
