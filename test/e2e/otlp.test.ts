// Spans: what a collector of OpenTelemetry gets, and what becomes of them while it is away, slow, or refuses.
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { tickets } from "../harness/books.ts";
import { certificates, trustAuthority } from "../harness/certificates.ts";
import { removeFolder, temporaryFolder } from "../harness/paths.ts";
import { parse } from "../harness/exposition.ts";
import { sim } from "../harness/lethe.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

type Value = { stringValue?: string; intValue?: string; boolValue?: boolean };
type Attribute = { key: string; value: Value };
type Span = {
	traceId: string;
	spanId: string;
	parentSpanId?: string;
	name: string;
	kind: number;
	startTimeUnixNano: string;
	endTimeUnixNano: string;
	attributes: Attribute[];
	status: { code?: number };
};
type Answer = (request: IncomingMessage, response: ServerResponse, nth: number) => void;

class Collector {
	readonly bodies: string[] = [];
	readonly spans: Span[] = [];
	#answer: Answer;
	#server: Server;
	#asked = 0;
	readonly heads: IncomingMessage["headers"][] = [];
	refused = 0;

	constructor(answer: Answer, tls?: { certificate: string; key: string }) {
		this.#answer = answer;
		const listener: RequestListener = (request, response) => {
			this.heads.push(request.headers);
			let body = "";
			request.setEncoding("utf8").on("data", (piece) => (body += piece));
			request.on("end", () => {
				expect([request.method, request.url, request.headers["content-type"]]).toEqual(["POST", expect.stringMatching(/^(\/otel)?\/v1\/traces$/), "application/json"]);
				this.bodies.push(body);
				this.#answer(request, response, this.#asked++);
			});
		};
		this.#server = tls ? createTlsServer({ cert: readFileSync(tls.certificate), key: readFileSync(tls.key) }, listener) : createServer(listener);
		this.#server.on("tlsClientError", () => this.refused++);
	}
	get asked(): number {
		return this.#asked;
	}
	async listen(before = "http://127.0.0.1", at = "127.0.0.1"): Promise<string> {
		await new Promise<void>((resolve) => this.#server.listen(0, at, resolve));
		return `${before}:${(this.#server.address() as AddressInfo).port}`;
	}
	// The fields that the protocol has, and no other.
	take(body: string): void {
		const only = (o: object, ...names: string[]) => expect(names).toEqual(expect.arrayContaining(Object.keys(o)));
		const message = JSON.parse(body);
		only(message, "resourceSpans");
		for (const resource of message.resourceSpans) {
			only(resource, "resource", "scopeSpans");
			only(resource.resource, "attributes");
			expect(resource.resource.attributes).toContainEqual({ key: "service.name", value: { stringValue: "lethe" } });
			for (const scope of resource.scopeSpans) {
				only(scope, "scope", "spans");
				only(scope.scope, "name", "version");
				for (const span of scope.spans as Span[]) {
					only(span, "traceId", "spanId", "parentSpanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano", "attributes", "status");
					expect([span.traceId, span.spanId]).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/), expect.stringMatching(/^[0-9a-f]{16}$/)]);
					expect(BigInt(span.endTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(span.startTimeUnixNano));
					for (const a of span.attributes) {
						only(a, "key", "value");
						expect(Object.keys(a.value).length).toBe(1);
						only(a.value, "stringValue", "intValue", "boolValue");
					}
					this.spans.push(span);
				}
			}
		}
	}
	ok: Answer = (_, response) => {
		this.take(this.bodies.at(-1)!);
		response.writeHead(200, { "content-type": "application/json" }).end("{}");
	};
	answers(answer: Answer): void {
		this.#answer = answer;
	}
	stop(): void {
		this.#server.closeAllConnections();
		this.#server.close();
	}
}

let w: World | undefined;
let collector: Collector;
afterEach(async () => {
	await w?.end();
	w = undefined;
	collector?.stop();
});

async function begin(answer?: Answer): Promise<World> {
	collector = new Collector(answer ?? ((...all) => collector.ok(...all)));
	w = await world({ config: { telemetry: { otlp: await collector.listen() }, metrics: { listen: "127.0.0.1:0" } } });
	return w;
}

const ask = (at: World, text: string, script = "") =>
	at.lethe.client(at.customer.key).chat.completions.create({ model: "exact", messages: [{ role: "user", content: text }] }, script ? sim(script) : {});
const value = (span: Span, key: string): Value | undefined => span.attributes.find((a) => a.key === key)?.value;

async function counter(at: World, name: string): Promise<number> {
	const url = readFileSync(join(at.lethe.data, "endpoint.metrics"), "utf8").trim();
	return Number(parse(await (await fetch(`${url}/metrics`)).text(), false).get(name)!.samples[0]!.value);
}

test("each request that is booked is a span, with the numbers of its ticket and not a word of it", async () => {
	const at = await begin();
	const mark = "ThisMustBeNowhereInASpan";
	const request = await ask(at, mark).withResponse();
	await ask(at, mark, "status=500").catch(() => undefined);
	await until("both spans are there", () => collector.spans.length >= 2);
	const rows = await until("both are booked", () => (tickets(at.lethe).length >= 2 ? tickets(at.lethe) : undefined));
	expect(collector.spans.length).toBe(2);
	const good = collector.spans.find((s) => value(s, "http.response.status_code")?.intValue === "200")!;
	const row = rows.find((r) => Number(r["status"]) === 200)!;
	expect([good.name, good.kind, good.status]).toEqual(["chat exact", 3, {}]);
	expect(value(good, "gen_ai.operation.name")).toEqual({ stringValue: "chat" });
	expect(value(good, "gen_ai.provider.name")).toEqual({ stringValue: "openai" });
	expect(value(good, "gen_ai.request.model")).toEqual({ stringValue: "exact" });
	expect(value(good, "gen_ai.usage.input_tokens")).toEqual({ intValue: String(request.data.usage!.prompt_tokens) });
	expect(value(good, "gen_ai.usage.output_tokens")).toEqual({ intValue: String(request.data.usage!.completion_tokens) });
	expect(value(good, "lethe.cost_nano")).toEqual({ intValue: String(row["cost_nano"]) });
	expect(value(good, "lethe.request_id")).toEqual({ stringValue: request.response.headers.get("x-request-id") });
	expect(value(good, "error.type")).toBeUndefined();
	const bad = collector.spans.find((s) => s !== good)!;
	expect(bad.status).toEqual({ code: 2 });
	expect(value(bad, "error.type")).toEqual({ stringValue: "PROVIDER_ERROR" });
	expect(collector.bodies.join()).not.toContain(mark);
	await until("they are counted", async () => (await counter(at, "lethe_otlp_spans_sent_total")) === 2);
});

test("the client's trace context goes on to the provider as it is, and is kept nowhere", async () => {
	const at = await begin();
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736", parent = "00f067aa0ba902b7", state = "vendorspecific=t61rcWkgMzE";
	const headers = { traceparent: `00-${trace}-${parent}-01`, tracestate: state };
	const streamed = await at.lethe.client(at.customer.key).chat.completions.create({ model: "exact", stream: true, messages: [{ role: "user", content: "hi" }] }, { headers: { ...headers, "x-sim": "tag=traced" } });
	for await (const chunk of streamed) expect(chunk.object).toBe("chat.completion.chunk");
	await at.lethe.client(at.customer.key).chat.completions.create({ model: "exact", messages: [{ role: "user", content: "hi" }] }, { headers: { ...headers, "x-sim": "status=500" } }).catch(() => undefined);
	const head = (await at.sim.last("traced")).head.toLowerCase();
	expect(head).toContain(`\r\ntraceparent: ${headers.traceparent}\r\n`);
	expect(head).toContain(`\r\ntracestate: ${state.toLowerCase()}\r\n`);
	await until("both spans are there", () => collector.spans.length >= 2);
	await until("both are booked", () => tickets(at.lethe).length >= 2);
	const metrics = await (await fetch(`${readFileSync(join(at.lethe.data, "endpoint.metrics"), "utf8").trim()}/metrics`)).text();
	const written = readdirSync(at.lethe.dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
	expect(written.length).toBeGreaterThan(3);
	// As text, and a trace's and a span's id as the bytes that they stand for.
	const forms = [trace, parent, state].map((text) => Buffer.from(text)).concat([trace, parent].map((hex) => Buffer.from(hex, "hex")));
	for (const form of forms) {
		expect(Buffer.from(collector.bodies.join()).includes(form)).toBe(false);
		expect(Buffer.from(metrics).includes(form)).toBe(false);
		for (const path of written) expect(readFileSync(path).includes(form), path).toBe(false);
	}
});

test("while it is away or says that it is busy, spans wait, and none is lost", async () => {
	const at = await begin((request, response, nth) => {
		if (nth === 0) request.socket.destroy();
		else if (nth === 1) response.writeHead(429, { "retry-after": "1" }).end();
		else if (nth === 2) response.writeHead(503).end();
		else collector.ok(request, response, nth);
	});
	await ask(at, "first");
	await until("it was asked", () => collector.asked > 0);
	await ask(at, "second");
	await until("both are there", () => collector.spans.length === 2);
	expect(new Set(collector.spans.map((s) => s.spanId)).size).toBe(2);
	expect(await counter(at, "lethe_otlp_requests_failed_total")).toBe(3);
	expect(await counter(at, "lethe_otlp_spans_dropped_total")).toBe(0);
});

test("what it refuses for good is dropped and counted, and what comes after is sent", async () => {
	const at = await begin((_, response) => void response.writeHead(400).end("no"));
	await ask(at, "first");
	await until("it is dropped", async () => (await counter(at, "lethe_otlp_spans_dropped_total")) === 1);
	collector.answers(collector.ok);
	await ask(at, "second");
	await until("the second is there", () => collector.spans.length === 1);
	await until("it is counted", async () => (await counter(at, "lethe_otlp_spans_sent_total")) === 1);
});

test("after an upgrade spans go on", async () => {
	const at = await begin();
	await at.lethe.command("upgrade");
	await ask(at, "afterwards");
	await until("its span is there", () => collector.spans.length === 1);
});

describe("over TLS", () => {
	const secret = "a-key-of-the-operators-0123456789";
	let folder: string;
	beforeAll(() => {
		folder = temporaryFolder();
		certificates(folder);
		writeFileSync(join(folder, "headers"), `api-key=${secret},X-Tenant = a%20b\n`, { mode: 0o600 });
	});
	afterAll(() => removeFolder(folder));

	test("its certificate and name are checked, and requests have the headers of a file, which are nowhere else", async () => {
		const authority = trustAuthority();
		collector = new Collector((...all) => collector.ok(...all), authority);
		const telemetry = { otlp: `${await collector.listen("https://localhost")}/otel/`, ca_file: authority.ca, headers_file: join(folder, "headers") };
		expect(telemetry.otlp).toMatch(/^https:/);
		w = await world({ config: { telemetry, metrics: { listen: "127.0.0.1:0" } } });
		for (let i = 0; i < 3; i++) await ask(w, "go on");
		await until("all are there", () => collector.spans.length === 3);
		expect(collector.heads[0]).toMatchObject({ "api-key": secret, "x-tenant": "a b", host: telemetry.otlp.slice("https://".length, -"/otel/".length) });
		await until("they are counted", async () => (await counter(w!, "lethe_otlp_spans_sent_total")) === 3);
		expect(await counter(w, "lethe_otlp_requests_failed_total")).toBe(0);
		for (const entry of readdirSync(w.lethe.dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()))
			expect(readFileSync(join(entry.parentPath, entry.name)).includes(secret), entry.name).toBe(false);
		await w.lethe.command("upgrade");
		await ask(w, "afterwards");
		await until("its span is there", () => collector.spans.length === 4);
		expect(collector.heads.at(-1)).toMatchObject({ "api-key": secret });
	});

	test("one whom nobody that is trusted vouches for gets nothing", async () => {
		collector = new Collector((...all) => collector.ok(...all), { certificate: join(folder, "server.pem"), key: join(folder, "server-key.pem") });
		const telemetry = { otlp: await collector.listen("https://localhost"), ca_file: trustAuthority().ca, headers_file: join(folder, "headers") };
		w = await world({ config: { telemetry, metrics: { listen: "127.0.0.1:0" } } });
		await ask(w, "go on");
		await until("it is refused", async () => (await counter(w!, "lethe_otlp_requests_failed_total")) > 1);
		expect([collector.asked, collector.heads, await counter(w, "lethe_otlp_spans_sent_total")]).toEqual([0, [], 0]);
	});

	test("one whose certificate is good, but of another name, gets nothing", async () => {
		const authority = trustAuthority();
		collector = new Collector((...all) => collector.ok(...all), authority);
		const telemetry = { otlp: await collector.listen("https://127.0.0.2", "127.0.0.2"), ca_file: authority.ca, headers_file: join(folder, "headers") };
		w = await world({ config: { telemetry, metrics: { listen: "127.0.0.1:0" } } });
		await ask(w, "go on");
		await until("it is refused", async () => (await counter(w!, "lethe_otlp_requests_failed_total")) > 1);
		expect([collector.asked, collector.heads, await counter(w, "lethe_otlp_spans_sent_total")]).toEqual([0, [], 0]);
		expect(collector.refused).toBeGreaterThan(0);
	});

	test.each([
		["api-key", "no `name=value`"],
		["host=elsewhere", "makes the request what it is"],
		["a=b%0d%0ac: d", "a character in a value"],
	])("a file with `%s` in it is refused at the start", async (content, words) => {
		writeFileSync(join(folder, "bad"), content, { mode: 0o600 });
		await expect(world({ config: { telemetry: { otlp: "https://localhost:1", headers_file: join(folder, "bad") } } })).rejects.toThrow(words);
	});
});

test("one that never answers holds up nobody, and is asked again", async () => {
	const at = await begin(() => undefined);
	for (let i = 0; i < 5; i++) await ask(at, "go on");
	await until("it is given up on", async () => (await counter(at, "lethe_otlp_requests_failed_total")) > 0);
	collector.answers(collector.ok);
	await until("all are there", () => collector.spans.length === 5);
});
