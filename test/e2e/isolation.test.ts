import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Account, sim, tag, upstreamKey } from "../harness/lethe.ts";
import { root } from "../harness/paths.ts";
import { post, Raw } from "../harness/raw.ts";
import { patienceMs } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
let ann: Account;
let bob: Account;
beforeAll(async () => {
	w = await world();
	ann = await w.lethe.account("ann", "10000");
	bob = await w.lethe.account("bob", "10000");
});
afterAll(() => w?.end());

const hi = [{ role: "user" as const, content: "hi" }];
const body = JSON.stringify({ model: "exact", messages: hi });

// The table that the edge is compiled from.
const table = [...readFileSync(join(root, "src/edge/headers.h"), "utf8").matchAll(/X\((UP|DOWN), (?:ALL|OPENAI), "([^"]+)"/g)].map(([, way, name]) => ({
	way: way!,
	name: name!,
}));
const allowed = (way: string) => new Set(table.filter((row) => row.way === way).map((row) => row.name));
const names = (head: string) =>
	head
		.split("\r\n")
		.slice(1)
		.filter((line) => line.includes(":"))
		.map((line) => line.slice(0, line.indexOf(":")).toLowerCase());

// What a client could try to send to the provider, or let slip.
const clientHeaders: Record<string, string> = {
	"OpenAI-Organization": "org-ofann",
	"OpenAI-Project": "proj_ofann",
	"OpenAI-Safety-Identifier": "ann-safety",
	"Idempotency-Key": "ann-idempotency",
	"X-Client-Request-Id": "ann-request",
	"X-Request-Id": "ann-request-2",
	Cookie: "session=ofann",
	"X-Api-Key": "ann-other-key",
	"X-Goog-Api-Key": "ann-goog",
	"Api-Key": "ann-azure",
	"Proxy-Authorization": "Basic YW5u",
	"X-Forwarded-For": "203.0.113.9",
	"X-Forwarded-Host": "ann.test",
	"X-Forwarded-Proto": "https",
	Forwarded: "for=203.0.113.9",
	"X-Real-Ip": "203.0.113.9",
	"Cf-Connecting-Ip": "203.0.113.9",
	"True-Client-Ip": "203.0.113.9",
	Via: "1.1 ann",
	Referer: "https://ann.test/secret",
	Origin: "https://ann.test",
	"User-Agent": "OpenAI/JS 9.9.9 ann",
	"X-Stainless-Os": "AnnOS",
	"X-Stainless-Retry-Count": "3",
	"Accept-Encoding": "gzip, br",
	"Accept-Language": "xx-ann",
	Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	Baggage: "user=ann",
	"X-Anything-Else": "ann-else",
	"Lethe-Policy": "as-is",
	"Anthropic-Organization-Id": "ann-anthropic",
	Te: "trailers",
	"OpenAI-Beta": "assistants=v2",
	Accept: "application/json",
};

describe("headers going up", () => {
	test("only those of the table arrive, and ours", async () => {
		const name = tag("up");
		const raw = await Raw.open(w.lethe.url);
		raw.say(post(ann.key, body, { ...clientHeaders, "X-Sim": `tag=${name}` }));
		expect((await raw.answer()).status).toBe(200);
		raw.close();
		const { head } = await w.sim.last(name);
		const ours = ["host", "authorization", "content-length", "transfer-encoding", "accept-encoding", "connection", "user-agent", "x-sim"];
		const up = allowed("UP");
		expect(names(head).filter((n) => !up.has(n) && !ours.includes(n))).toEqual([]);
		expect(head).toContain(upstreamKey);
		expect(head.match(/^authorization:/gim)).toHaveLength(1);
		expect(head).toMatch(new RegExp(`^host: ${new URL(w.sim.url).host.replaceAll(".", "\\.")}\r?$`, "im"));
		for (const [header, value] of Object.entries(clientHeaders)) {
			if (up.has(header.toLowerCase())) expect(head).toContain(value);
			else if (value.length > 8) expect(head, header).not.toContain(value);
		}
		expect(head).not.toContain(ann.key);
		expect(head).not.toMatch(/gzip|203\.0\.113\.9|ann/i);
	});

	test("the table has no credential, cookie, organisation or address", () => {
		for (const { name } of table)
			expect(name).not.toMatch(/auth|cookie|organi[sz]ation|project|forward|-ip$|host|via|api-key|idempotency|ratelimit/);
	});

	test("the SDK's own organisation and project settings don't go up", async () => {
		const name = tag("sdk");
		const client = w.lethe.client(ann.key, { organization: "org-ofann", project: "proj_ofann" });
		await client.chat.completions.create({ model: "exact", messages: hi }, sim(`tag=${name}`));
		expect((await w.sim.last(name)).head).not.toMatch(/ofann/);
	});
});

describe("headers coming down", () => {
	test.each([
		["plain", "leak=1"],
		["an error", "leak=1,status=400"],
		["a rate limit", "leak=1,status=429,retry_after=3"],
	])("%s: only those of the table, and ours", async (_, script) => {
		const raw = await Raw.open(w.lethe.url);
		raw.say(post(ann.key, body, { "X-Sim": script }));
		const answer = await raw.answer();
		raw.close();
		const direct = await fetch(`${w.sim.url}/v1/chat/completions`, {
			method: "POST",
			headers: { authorization: `Bearer ${upstreamKey}`, "content-type": "application/json", "x-sim": script },
			body,
		});
		expect([...direct.headers.keys()]).toEqual(expect.arrayContaining(["openai-organization", "set-cookie", "x-ratelimit-limit-requests"]));
		const down = allowed("DOWN");
		const ours = (n: string) => ["date", "content-length", "x-content-type-options", "transfer-encoding", "connection", "x-request-id", "server"].includes(n) || /^(lethe-|access-control-|x-ratelimit-)/.test(n);
		expect([...answer.headers.keys()].filter((n) => !down.has(n) && !ours(n))).toEqual([]);
		for (const secret of ["openai-organization", "set-cookie", "x-ratelimit-limit-requests", "x-ratelimit-remaining-tokens", "x-request-id", "cf-ray"]) {
			const theirs = direct.headers.get(secret);
			if (theirs) expect(answer.headers.get(secret) ?? "", secret).not.toBe(theirs);
		}
	});

	test.each([400, 401, 403, 404, 409, 422, 429, 500, 503])("%i with the operator's key and organisation in its text: neither comes down", async (status) => {
		for (const stream of [false, true]) {
			const raw = await Raw.open(w.lethe.url);
			raw.say(post(ann.key, JSON.stringify({ model: "exact", messages: hi, stream }), { "X-Sim": `status=${status},leak=1` }));
			const answer = await raw.answer();
			raw.close();
			const all = answer.head + answer.body.toString();
			expect(answer.status).toBeGreaterThanOrEqual(400);
			expect(all).not.toMatch(/sk-|org-/);
			expect(all).not.toContain(upstreamKey);
		}
	});

	test("nor do they reach the log", async () => {
		expect(w.lethe.log() + w.lethe.output()).not.toMatch(/sk-|org-[a-zA-Z0-9]/);
	});
});

describe("two accounts", () => {
	test("pay each for their own", async () => {
		const [a, b] = [await w.lethe.account("a", "1.00"), await w.lethe.account("b", "1.00")];
		// As long as it will say it was, so that the hold covers it.
		const long = [{ role: "user" as const, content: "x".repeat(8192) }];
		const ask = (key: string, n: number) =>
			w.lethe.client(key).chat.completions.create({ model: "exact", messages: long, max_tokens: 10 }, sim(`prompt_tokens=${n},completion_tokens=0,delay_ms=2`));
		await Promise.all(Array.from({ length: 60 }, (_, i) => ask(i % 2 ? a.key : b.key, i % 2 ? 1000 : 3000)));
		const wait = async (id: string, spent: number) =>
			expect.poll(async () => w.lethe.balance(id), { timeout: patienceMs, interval: 20 }).toBe(1e9 - spent);
		await wait(a.id, 30 * 1_000_000);
		await wait(b.id, 30 * 3_000_000);
	});

	test("never get each other's answers on shared upstream connections", async () => {
		const ask = async (key: string, who: string, i: number) => {
			const words = `${who}-${i}-`.repeat(50);
			const stream = i % 3 === 0;
			const client = w.lethe.client(key);
			const messages = [{ role: "user" as const, content: words }];
			const answer = stream
				? await client.chat.completions.stream({ model: "exact", messages }, sim("echo=1")).finalChatCompletion()
				: await client.chat.completions.create({ model: "exact", messages }, sim("echo=1"));
			return answer.choices[0]!.message.content === words;
		};
		const all = await Promise.all(Array.from({ length: 200 }, (_, i) => (i % 2 ? ask(ann.key, "ann", i) : ask(bob.key, "bob", i))));
		expect(all.every(Boolean)).toBe(true);
	});

	test("an answer that its client left does not reach the next one on the connection", async () => {
		for (let i = 0; i < 20; i++) {
			const stream = await w.lethe
				.client(ann.key)
				.chat.completions.create({ model: "exact", messages: [{ role: "user", content: "ann's secret ".repeat(200) }], stream: true }, sim("echo=1,chunks=100"));
			for await (const _ of stream) break;
			const answer = await w.lethe.client(bob.key).chat.completions.create({ model: "exact", messages: hi }, sim("echo=1"));
			expect(answer.choices[0]!.message.content).toBe("hi");
		}
	});

	const stored: [string, object[]][] = [
		["a file", [{ role: "user", content: [{ type: "file", file: { file_id: "file-ofann" } }] }]],
		["an audio answer", [{ role: "assistant", audio: { id: "audio_ofann" } }, ...hi]],
	];
	test.each(stored)("can't name %s that lies at the provider", async (_, messages) => {
		for (const key of [ann.key, bob.key]) {
			const name = tag("object");
			const raw = await Raw.open(w.lethe.url);
			raw.say(post(key, JSON.stringify({ model: "exact", messages }), { "X-Sim": `tag=${name}` }));
			expect([400, 404]).toContain((await raw.answer()).status);
			raw.close();
			expect(await w.sim.saw(name)).toBe(false);
		}
	});

	test("can't list, read or delete what lies at the provider", async () => {
		const before = (await w.sim.stats())["requests"]!;
		const paths = ["GET /v1/chat/completions", "GET /v1/chat/completions/chatcmpl-ofann", "DELETE /v1/chat/completions/chatcmpl-ofann", "GET /v1/files", "GET /v1/files/file-ofann/content", "GET /v1/batches", "GET /v1/organization/costs"];
		for (const path of paths) {
			const raw = await Raw.open(w.lethe.url);
			raw.say(`${path} HTTP/1.1\r\nHost: lethe.test\r\nAuthorization: Bearer ${bob.key}\r\n\r\n`);
			expect([404, 405], path).toContain((await raw.answer()).status);
			raw.close();
		}
		expect((await w.sim.stats())["requests"]! - before).toBe(1);
	});
});
