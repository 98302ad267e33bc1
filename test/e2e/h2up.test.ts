import { readFileSync } from "node:fs";
import { constants, createSecureServer, type Http2SecureServer, type ServerHttp2Session, type ServerHttp2Stream, type IncomingHttpHeaders } from "node:http2";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { trustAuthority } from "../harness/certificates.ts";
import { type Json, Lethe, nano, tag, upstreamKey } from "../harness/lethe.ts";
import { post, Raw } from "../harness/raw.ts";
import { until } from "../harness/until.ts";

type Handler = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, body: Buffer) => void;

// A provider that speaks HTTP/2 and does what each test tells it to.
class Provider {
	readonly sessions = new Set<ServerHttp2Session>();
	sessionsSeen = 0;
	seen: { headers: IncomingHttpHeaders; body: string }[] = [];
	handle: Handler = whole;
	readonly server: Http2SecureServer;

	constructor(options: object = {}) {
		const files = trustAuthority();
		this.server = createSecureServer({ cert: readFileSync(files.certificate), key: readFileSync(files.key), ...options });
		this.server.on("session", (session) => {
			this.sessionsSeen++;
			this.sessions.add(session);
			session.on("error", () => {});
			session.on("close", () => this.sessions.delete(session));
		});
		this.server.on("stream", (stream, headers) => {
			const parts: Buffer[] = [];
			stream.on("error", () => {});
			stream.on("data", (bytes: Buffer) => parts.push(bytes));
			stream.on("end", () => {
				const body = Buffer.concat(parts);
				this.seen.push({ headers, body: body.toString() });
				this.handle(stream, headers, body);
			});
		});
	}

	async listen(): Promise<string> {
		await new Promise<void>((ready) => this.server.listen(0, "127.0.0.1", ready));
		return `https://localhost:${(this.server.address() as AddressInfo).port}/v1`;
	}

	stop(): void {
		for (const session of this.sessions) session.destroy();
		this.server.close();
	}
}

const usage = { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 };
const completion = (content: string) => ({
	id: "chatcmpl-1",
	object: "chat.completion",
	created: 1,
	model: "exact",
	choices: [{ index: 0, message: { role: "assistant", content, refusal: null }, logprobs: null, finish_reason: "stop" }],
	usage,
});
const event = (delta: object, finish: string | null = null) =>
	`data: ${JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "exact", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const last = `data: ${JSON.stringify({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "exact", choices: [], usage })}\n\ndata: [DONE]\n\n`;

const said = (body: Buffer) => JSON.parse(body.toString()).messages[0].content as string;
function whole(stream: ServerHttp2Stream, _: IncomingHttpHeaders, body: Buffer): void {
	const text = JSON.stringify(completion(said(body)));
	stream.respond({ ":status": 200, "content-type": "application/json", "content-length": Buffer.byteLength(text), "set-cookie": "a=b" });
	stream.end(text);
}

let p: Provider;
let lethe: Lethe;
let key: string;
let account: string;
async function gateway(url: string, more: object = {}): Promise<Lethe> {
	return Lethe.start({
		edges: 1,
		config: { providers: [{ name: "sim", url, ca_file: trustAuthority().ca, keys: [{ env: "SIM_API_KEY" }], inject_usage: true, ...more }] },
	});
}
beforeAll(async () => {
	p = new Provider();
	lethe = await gateway(await p.listen(), { objects: true });
	({ key, id: account } = await lethe.account("customer", "100000"));
});
beforeEach(() => {
	p.handle = whole;
	p.seen = [];
});
afterAll(async () => {
	await lethe?.finish();
	p?.stop();
});

const body = (content: string, more: object = {}) => JSON.stringify({ model: "exact", messages: [{ role: "user", content }], ...more });
async function ask(content: string, more: object = {}, how: { key?: string; signal?: AbortSignal; at?: Lethe } = {}): Promise<{ status: number; text: string }> {
	const answer = await fetch(`${(how.at ?? lethe).url}/v1/chat/completions`, {
		method: "POST",
		headers: { authorization: `Bearer ${how.key ?? key}`, "content-type": "application/json" },
		body: body(content, more),
		...(how.signal ? { signal: how.signal } : {}),
	});
	return { status: answer.status, text: await answer.text() };
}
const words = (text: string) => JSON.parse(text).choices[0].message.content as string;
const reason = (id: string) =>
	until("it is booked", async () => ((await lethe.command("usage", "--account", id, "--by", "end_reason"))["rows"][0] as Json | undefined)?.["end_reason"] as string);

describe("exchanges", () => {
	test("the request as the provider sees it: our key, no fields of HTTP/1.1, the body untouched", async () => {
		expect(words((await ask("hello")).text)).toBe("hello");
		const { headers, body: got } = p.seen[0]!;
		expect(headers).toMatchObject({ ":method": "POST", ":scheme": "https", ":path": "/v1/chat/completions", authorization: `Bearer ${upstreamKey}` });
		expect(headers[":authority"]).toMatch(/^localhost:\d+$/);
		for (const name of ["host", "connection", "transfer-encoding"]) expect(headers).not.toHaveProperty(name);
		expect(got).toBe(body("hello"));
		expect(headers["content-length"]).toBe(String(got.length));
	});

	test("what has no body ends with its head: a file is uploaded, shown, read and deleted", async () => {
		const ends: boolean[] = [];
		p.handle = (stream, headers) => {
			ends.push(stream.endAfterHeaders);
			if (headers[":path"]!.endsWith("/content")) {
				stream.respond({ ":status": 200, "content-type": "text/plain" });
				stream.end("words of mine");
			} else {
				stream.respond({ ":status": 200, "content-type": "application/json" });
				stream.end(JSON.stringify({ id: "file-upstream1", object: "file" }));
			}
		};
		const client = lethe.client(key);
		const { id } = await client.files.create({ file: new File(["words of mine"], "a.txt"), purpose: "user_data" });
		expect(id).not.toBe("file-upstream1");
		expect((await client.files.retrieve(id)).id).toBe(id);
		expect(await (await client.files.content(id)).text()).toBe("words of mine");
		expect((await client.files.delete(id)).id).toBe(id);
		expect(p.seen.map(({ headers }) => `${headers[":method"]} ${headers[":path"]}`)).toEqual([
			"POST /v1/files",
			"GET /v1/files/file-upstream1",
			"GET /v1/files/file-upstream1/content",
			"DELETE /v1/files/file-upstream1",
		]);
		expect(ends).toEqual([false, true, true, true]);
		expect(p.seen.slice(1).every(({ headers }) => !("content-length" in headers))).toBe(true);
	});

	test("a hundred at once share connections and are told apart", async () => {
		const before = p.sessionsSeen;
		p.handle = (stream, headers, got) => setImmediate(() => whole(stream, headers, got));
		const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => ask(`number-${i}`, { max_tokens: 10 })));
		answers.forEach((answer, i) => expect(words(answer.text)).toBe(`number-${i}`));
		expect(p.sessionsSeen - before).toBeLessThan(5);
	});

	test("streams, with the usage that was asked for on our behalf cut out again", async () => {
		p.handle = (stream) => {
			stream.respond({ ":status": 200, "content-type": "text/event-stream" });
			for (const content of ["a", "b", "c"]) stream.write(event({ content }));
			stream.write(event({}, "stop"));
			stream.end(last);
		};
		const customer = await lethe.account(tag("stream"), "1");
		const { text } = await ask("hi", { stream: true }, { key: customer.key });
		expect(text).toBe(`${["a", "b", "c"].map((content) => event({ content })).join("")}${event({}, "stop")}data: [DONE]\n\n`);
		expect(p.seen[0]!.body).toContain('"include_usage":true');
		await until("it is booked", async () => (await lethe.usage(customer.id))["requests"] === 1);
		expect(nano((await lethe.usage(customer.id))["cost"])).toBe(10 * 1000 + 20 * 10_000);
	});

	test("a body of megabytes goes up, an answer of megabytes comes down", async () => {
		const large = "x".repeat(3_000_000);
		expect(words((await ask(large)).text)).toBe(large);
	});

	test.each(["an interim answer", "trailers"])("without a length, with %s", async (which) => {
		p.handle = (stream, _, got) => {
			if (which === "trailers") stream.once("wantTrailers", () => stream.sendTrailers({ "x-trailer": "1" }));
			else stream.additionalHeaders({ ":status": 103, link: "</x>" });
			stream.respond({ ":status": 200, "content-type": "application/json" }, { waitForTrailers: which === "trailers" });
			for (const byte of JSON.stringify(completion(said(got)))) stream.write(byte);
			stream.end();
		};
		expect(words((await ask("piece by piece")).text)).toBe("piece by piece");
	});

	test.each([400, 404, 429, 500])("status %d is passed on", async (status) => {
		p.handle = (stream) => {
			stream.respond({ ":status": status, "content-type": "application/json" });
			stream.end(JSON.stringify({ error: { message: "no such thing", type: "invalid_request_error", param: null, code: null } }));
		};
		expect(await ask("hi")).toMatchObject({ status, text: expect.stringContaining("no such thing") });
	});

	test("an account that is refused is not the customer's affair", async () => {
		p.handle = (stream) => {
			stream.respond({ ":status": 401 });
			stream.end(`{"error":{"message":"bad key ${upstreamKey}"}}`);
		};
		const answer = await ask("hi");
		expect(answer.status).toBe(503);
		expect(answer.text).not.toContain("bad key");
	});
});

describe("ends", () => {
	const streaming = (then: (stream: ServerHttp2Stream) => void) => (stream: ServerHttp2Stream) => {
		stream.respond({ ":status": 200, "content-type": "text/event-stream" });
		stream.write(event({ content: "the beginning" }));
		setImmediate(() => then(stream));
	};

	test("a stream that the provider resets is cut, and says so", async () => {
		p.handle = streaming((stream) => stream.destroy(new Error("reset")));
		const customer = await lethe.account(tag("reset"), "1");
		const { text } = await ask("hi", { stream: true }, { key: customer.key });
		expect(text).toContain("the beginning");
		expect(text).toContain("upstream_cut");
		expect(text).not.toContain("[DONE]");
		expect(await reason(customer.id)).toBe("PROVIDER_CUT");
	});

	test("a connection that breaks cuts its streams; the next request gets another", async () => {
		p.handle = streaming((stream) => stream.session!.destroy());
		expect((await ask("hi", { stream: true })).text).toContain("upstream_cut");
		p.handle = whole;
		expect(words((await ask("again")).text)).toBe("again");
	});

	test("GOAWAY: running ones end, new ones go elsewhere", async () => {
		const seen = p.sessionsSeen;
		let finish = () => {};
		p.handle = streaming((stream) => {
			stream.session!.goaway(constants.NGHTTP2_NO_ERROR);
			finish = () => stream.end(event({}, "stop") + last);
		});
		const running = ask("hi", { stream: true });
		await until("it has begun", () => p.seen.length === 1);
		await new Promise((turn) => setImmediate(turn));
		p.handle = whole;
		expect(words((await ask("elsewhere")).text)).toBe("elsewhere");
		finish();
		expect((await running).text).toContain("[DONE]");
		expect(p.sessionsSeen).toBeGreaterThan(seen);
	});

	test("a request that was refused unseen is asked again, once", async () => {
		let refused = 0;
		p.handle = (stream, headers, got) => {
			if (refused++ === 0) stream.close(constants.NGHTTP2_REFUSED_STREAM);
			else whole(stream, headers, got);
		};
		expect(words((await ask("once more")).text)).toBe("once more");
		p.handle = (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM);
		expect((await ask("never")).status).toBe(502);
	});

	test("a client that goes resets its own stream alone, and pays", async () => {
		let closed = 0;
		p.handle = (stream, headers, got) => {
			if (said(got) !== "endless") return whole(stream, headers, got);
			stream.respond({ ":status": 200, "content-type": "text/event-stream" });
			const timer = setInterval(() => stream.write(event({ content: "more and more" })), 2);
			stream.on("close", () => {
				clearInterval(timer);
				closed = stream.rstCode!;
			});
		};
		const customer = await lethe.account(tag("gone"), "1");
		const abort = new AbortController();
		const answer = await fetch(`${lethe.url}/v1/chat/completions`, {
			method: "POST",
			headers: { authorization: `Bearer ${customer.key}` },
			body: body("endless", { stream: true }),
			signal: abort.signal,
		});
		const reader = answer.body!.getReader();
		for (let i = 0; i < 3; i++) await reader.read();
		const sessions = p.sessions.size;
		abort.abort();
		expect(await reason(customer.id)).toBe("CLIENT_GONE");
		await until("the provider sees it", () => closed === constants.NGHTTP2_CANCEL);
		expect(p.sessions.size).toBe(sessions);
		expect(words((await ask("others go on")).text)).toBe("others go on");
		expect(nano((await lethe.usage(customer.id))["cost"])).toBeGreaterThan(0);
	});

	test("a client that does not read holds up nobody on the same connection", async () => {
		let written = 0;
		p.handle = (stream, headers, got) => {
			if (said(got) !== "flood") return whole(stream, headers, got);
			stream.respond({ ":status": 200, "content-type": "text/event-stream" });
			const more = () => {
				while (!stream.destroyed && stream.write(event({ content: "x".repeat(10_000) }))) written++;
			};
			stream.on("drain", more);
			more();
		};
		const stuck = await Raw.open(lethe.url);
		stuck.socket.pause();
		stuck.say(post(key, body("flood", { stream: true })));
		await until("it is stuck", async () => {
			const before = written;
			await new Promise((turn) => setTimeout(turn, 100));
			return written > 0 && written === before;
		});
		for (let i = 0; i < 20; i++) expect(words((await ask(`beside ${i}`)).text)).toBe(`beside ${i}`);
		stuck.close();
	});
});

describe("choice", () => {
	// One that is offered what it does not speak refuses, so the choice of the protocol is seen.
	async function byHttp1(server: ReturnType<typeof createServer>, more: object = {}): Promise<string> {
		server.on("request", (request, response) => {
			request.resume();
			request.on("end", () => response.end(JSON.stringify(completion(`by HTTP/${request.httpVersion}`))));
		});
		await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
		const other = await gateway(`https://localhost:${(server.address() as AddressInfo).port}/v1`, more);
		const customer = await other.account("customer", "1");
		const answer = words((await ask("hi", {}, { at: other, key: customer.key })).text);
		await other.finish();
		server.close();
		return answer;
	}
	const pems = () => ({ cert: readFileSync(trustAuthority().certificate), key: readFileSync(trustAuthority().key) });

	test("a provider without HTTP/2 is spoken to by HTTP/1.1", async () => {
		expect(await byHttp1(createServer(pems()))).toBe("by HTTP/1.1");
	});

	test("http2: false does not offer it; else it is chosen", async () => {
		expect(await byHttp1(createSecureServer({ ...pems(), allowHTTP1: true }) as unknown as ReturnType<typeof createServer>, { http2: false })).toBe("by HTTP/1.1");
		expect(await byHttp1(createSecureServer({ ...pems(), allowHTTP1: true }) as unknown as ReturnType<typeof createServer>)).toBe("by HTTP/2.0");
	});

	test("no more streams at a time than the provider allows", async () => {
		const narrow = new Provider({ settings: { maxConcurrentStreams: 3 } });
		const other = await gateway(await narrow.listen());
		const customer = await other.account("customer", "1000");
		const running = new Map<object, number>();
		let most = 0;
		narrow.handle = (stream, headers, got) => {
			const session = stream.session!;
			running.set(session, (running.get(session) ?? 0) + 1);
			most = Math.max(most, running.get(session)!);
			stream.once("close", () => running.set(session, running.get(session)! - 1));
			setTimeout(() => whole(stream, headers, got), 5);
		};
		const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => ask(`n${i}`, { max_tokens: 10 }, { at: other, key: customer.key })));
		answers.forEach((answer, i) => expect(words(answer.text)).toBe(`n${i}`));
		expect(most).toBeLessThanOrEqual(3);
		expect(most).toBeGreaterThan(0);
		await other.finish();
		narrow.stop();
	});
});

test("the books balance", async () => {
	expect((await lethe.verify()).status).toBe(0);
	expect(nano((await lethe.usage(account))["cost"])).toBeGreaterThan(0);
});
