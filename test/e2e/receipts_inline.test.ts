// `lethe-receipt: inline`: every SDK, plain and streamed, by models of each language: it reads the answer as ever, and the receipt that came with it holds.
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { connect } from "node:http2";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Receipt, readReceipt, verifyReceipt } from "../../examples/verify_receipt.mts";
import { type Json, nano } from "../harness/lethe.ts";
import { letheBinary } from "../harness/paths.ts";
import { events, json, type Seen } from "../harness/provider.ts";
import { Stand } from "../harness/stand.ts";
import * as turns from "../harness/turns.ts";
import { drivers } from "./matrix/drivers.ts";

let s: Stand;
let publicKey: string;
const real = globalThis.fetch;
const answers: { headers: Headers; text: Promise<string> }[] = [];

beforeAll(async () => {
	s = await Stand.start({ scheme: "http", grade: "locked" });
	publicKey = ((await s.lethe.command("receipt", "key"))["keys"] as { key: string }[])[0]!.key;
	globalThis.fetch = async (input, init) => {
		const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : {}));
		headers.set("lethe-receipt", "inline");
		const answer = await real(input, { ...init, headers });
		answers.push({ headers: answer.headers, text: answer.clone().text() });
		return answer;
	};
});
afterAll(async () => {
	globalThis.fetch = real;
	await s?.stop();
});

const value = (r: Receipt, name: string) => r.row.find((f) => f[0] === name)![2];
const inline = { "lethe-receipt": "inline" };
const whole = /^req_\w{11}\.[0-9a-f]{32}\.eyJ[\w-]+$/;
const post = (path: string, body: Json, headers: Record<string, string> = {}) =>
	real(`${s.url}${path}`, { method: "POST", headers: { authorization: `Bearer ${s.customer.key}`, "content-type": "application/json", ...headers }, body: JSON.stringify(body) });
const chat = (more: Json = {}) => ({ model: "gpt", messages: [{ role: "user", content: "hi" }], ...more });

// The receipt that came, checked by the example: for this request, with its cost.
function held(text: string, id: string, cost?: string): Receipt {
	const r = readReceipt(text);
	verifyReceipt(r, publicKey);
	expect(r.request).toBe(id);
	if (cost) expect(value(r, "cost_nano")).toBe(String(nano(cost)));
	return r;
}

// Whatever is asked of the provider, it says this, in the language of the path.
const said = "Hello there, and a longer rest.";
const says = (stream: boolean) => (asked: Seen) => {
	const say = asked.url.includes("chat/completions") ? turns.chat : asked.url.includes("/responses") ? turns.responses : asked.url.includes("/messages") ? turns.messages : turns.gemini;
	return say({ text: said }, stream);
};

describe.each(drivers)("$name", (driver) => {
	test.each(["gpt", "claude", "gemini"])("reads what %s says, and its receipt holds", async (model) => {
		for (const stream of [false, true]) {
			answers.length = 0;
			s.provider.answers(says(stream));
			expect((await driver.ask(s, { stream, text: "hi ".repeat(1500), model })).turn.text).toBe(said);
			const { headers, text } = answers.at(-1)!;
			const head = headers.get("lethe-receipt")!;
			const r = held(stream ? await text : head, headers.get("x-request-id")!);
			expect(head.startsWith(`${r.request}.`)).toBe(true);
			if (stream) expect(head).not.toMatch(whole);
			else expect(head).toMatch(whole);
			expect(Number(value(r, "tokens_output"))).toBeGreaterThan(0);
		}
	});
});

test("the command reads what came with an answer: the header's value, and a whole stream", async () => {
	s.provider.answers(says(true));
	const stream = await (await post("/v1/chat/completions", chat({ stream: true }), inline)).text();
	expect(stream).toMatch(/data: \[DONE\]\n\n: lethe-receipt req_\w{11}\.[0-9a-f]{32}\.eyJ[\w-]+\n\n$/);
	s.provider.answers(says(false));
	const head = (await post("/v1/chat/completions", chat(), inline)).headers.get("lethe-receipt")!;
	for (const text of [stream, head, `HTTP/1.1 200 OK\r\nlethe-receipt: ${head}\r\n\r\n{}`]) {
		const file = join(s.lethe.data, "inline.txt");
		writeFileSync(file, text);
		const { stdout } = await promisify(execFile)(letheBinary, ["receipt", "verify", file, "--key", publicKey]);
		expect(stdout).toContain(`holds: request ${readReceipt(text).request}`);
	}
	expect(await s.lethe.command("receipt", "code", head.split(".").slice(0, 2).join("."))).toMatchObject({ ours: true });
});

const verified = (file: string) =>
	promisify(execFile)(letheBinary, ["receipt", "verify", file, "--key", publicKey]).then(
		(r) => r.stdout,
		(e: { stdout: string; stderr: string }) => e.stdout + e.stderr,
	);

test("the command reads all of a long stream and of a large answer, and says beyond what size it does not", async () => {
	const file = join(s.lethe.data, "long.txt");
	const word = { text: "word ".repeat(60) };
	const [first, ...rest] = turns.chatEvents(word, undefined);
	s.provider.answers(events([first!, ...Array.from({ length: 8000 }, () => rest[0]!), ...rest]));
	const stream = await (await post("/v1/chat/completions", chat({ stream: true }), inline)).text();
	const large = turns.completion({ message: { role: "assistant", content: "x".repeat(7 << 20) }, finish_reason: "stop" }, { usage: turns.chatUsage });
	s.provider.answers(json(large));
	const plain = await post("/v1/chat/completions", chat(), inline);
	const head = plain.headers.get("lethe-receipt")!;
	for (const text of [stream, `HTTP/1.1 200 OK\r\nlethe-receipt: ${head}\r\n\r\n${await plain.text()}`]) {
		expect(text.length).toBeGreaterThan(1 << 20);
		writeFileSync(file, text);
		expect(await verified(file)).toContain(`holds: request ${readReceipt(text).request}`);
	}
	writeFileSync(file, Buffer.concat([Buffer.alloc(64 << 20, "\n"), Buffer.from(head)]));
	expect(await verified(file)).toContain("has more than 64 MiB");
	writeFileSync(file, Buffer.concat([Buffer.alloc((64 << 20) - head.length, "\n"), Buffer.from(head)]));
	expect(await verified(file)).toContain(`holds: request ${readReceipt(head).request}`);
});

test("it is the receipt that can be fetched, and each account's are one chain", async () => {
	s.provider.answers(says(false));
	const receipts: Receipt[] = [];
	for (let i = 0; i < 3; i++) {
		const answer = await post("/v1/chat/completions", chat(), inline);
		expect(await answer.text()).toContain(said);
		receipts.push(held(answer.headers.get("lethe-receipt")!, answer.headers.get("x-request-id")!));
	}
	const fetched = (await (await real(`${s.url}/v1/receipts/${receipts[0]!.request}`, { headers: { authorization: `Bearer ${s.customer.key}` } })).json()) as Receipt;
	expect(receipts[0]).toEqual(fetched);
	for (const [i, r] of receipts.slice(1).entries()) {
		expect(value(r, "previous")).toBe(receipts[i]!.leaf.hash);
		expect(Number(value(r, "place"))).toBe(Number(value(receipts[i]!, "place")) + 1);
	}
});

test("an answer of megabytes waits whole, one beyond the bound goes without and says so", async () => {
	const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
	for (const [megabytes, fits] of [[5, true], [9, false]] as const) {
		const text = "x".repeat(megabytes << 20);
		for (const length of [true, false]) {
			const body = JSON.stringify(turns.completion({ message: { role: "assistant", content: text }, finish_reason: "stop" }, { usage }));
			s.provider.answers({ headers: length ? { "content-length": String(body.length) } : {}, pieces: [body.slice(0, 1 << 20), body.slice(1 << 20)] });
			const answer = await post("/v1/chat/completions", chat(), inline);
			expect(((await answer.json()) as Json)["choices"][0].message.content.length).toBe(text.length);
			expect(answer.headers.get("lethe-receipt-inline")).toBe(fits ? null : "too-large");
			if (fits) held(answer.headers.get("lethe-receipt")!, answer.headers.get("x-request-id")!);
			else expect(answer.headers.get("lethe-receipt")).toMatch(/^req_\w{11}\.[0-9a-f]{32}$/);
		}
	}
});

test("errors have one too, as soon as they have a ticket; a word that is none is a 400 in the caller's dialect", async () => {
	s.provider.answers(json({ error: { message: "No such thing.", type: "invalid_request_error", param: null, code: null } }, 400));
	const refused = await post("/v1/chat/completions", chat(), inline);
	expect(refused.status).toBe(400);
	held(refused.headers.get("lethe-receipt")!, refused.headers.get("x-request-id")!, "0");
	s.provider.answers({ ...json({}), pieces: ['{"choices":['], cut: true });
	const cut = await post("/v1/chat/completions", chat(), inline);
	expect(cut.status).toBe(200); // what came goes out, and is cut as without the header
	await expect(cut.text()).rejects.toThrow();
	held(cut.headers.get("lethe-receipt")!, cut.headers.get("x-request-id")!);
	for (const [path, shape] of [
		["/v1/chat/completions", { error: { param: "lethe-receipt", code: "bad_header" } }],
		["/v1/messages", { type: "error", error: { type: "invalid_request_error" } }],
		["/v1beta/models/gpt:generateContent", { error: { code: 400, status: "INVALID_ARGUMENT" } }],
	] as const) {
		const answer = await post(path, chat(), { "lethe-receipt": "signed" });
		expect(answer.status).toBe(400);
		const body = (await answer.json()) as Json;
		expect(body).toMatchObject(shape);
		expect(body["error"].message).toContain("`inline`");
	}
});

test("a stream that fails has the receipt behind its last event", async () => {
	const begun = turns.chatEvents({ text: said }, undefined).slice(0, 2);
	s.provider.answers({ ...events(begun), cut: true });
	const text = await (await post("/v1/chat/completions", chat({ stream: true }), inline)).text();
	expect(text).toMatch(/"code":"upstream_\w+".*\n\n: lethe-receipt req_/s);
	const r = readReceipt(text);
	verifyReceipt(r, publicKey);
	expect(Number(value(r, "cost_nano"))).toBeGreaterThan(0);
});

test("by HTTP/2 as well, many at a time", async () => {
	const session = connect(s.url);
	const ask = (stream: boolean) =>
		new Promise<{ head: string; id: string; text: string }>((resolve, reject) => {
			const r = session.request({ ":method": "POST", ":path": "/v1/chat/completions", authorization: `Bearer ${s.customer.key}`, "content-type": "application/json", ...inline });
			let text = "", head = "", id = "";
			r.on("response", (h) => ([head, id] = [h["lethe-receipt"] as string, h["x-request-id"] as string]));
			r.on("data", (part) => (text += part));
			r.on("end", () => resolve({ head, id, text }));
			r.on("error", reject);
			r.end(JSON.stringify(chat({ stream })));
		});
	s.provider.answers((asked) => says(asked.body["stream"] === true)(asked));
	for (const stream of [false, true]) for (const { head, id, text } of await Promise.all(Array.from({ length: 12 }, () => ask(stream)))) held(stream ? text : head, id);
	const long = turns.completion({ message: { role: "assistant", content: "x".repeat(3 << 20) }, finish_reason: "stop" }, { usage: turns.chatUsage });
	s.provider.answers(json(long));
	for (const { head, id, text } of await Promise.all([ask(false), ask(false)])) {
		held(head, id);
		expect(JSON.parse(text)).toEqual(long);
	}
	session.close();
});

test("the books are sound", async () => {
	expect(await s.lethe.command("ledger", "verify")).toMatchObject({ sound: true });
});
