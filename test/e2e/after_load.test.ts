// What is left behind a load: bodies of every size and many exchanges at once, then memory as it was before. LETHE_CROWD=5000 for the long form.
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { scheduler } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { get, sum } from "../harness/metrics.ts";
import { letheBinary } from "../harness/paths.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

// The sanitizer keeps what was freed, so that the memory of its build tells nothing.
const isJudged = process.getuid!() === 0 && !readFileSync(letheBinary).includes("__asan_init");
const megabyte = 1 << 20;
const crowd = Number(process.env["LETHE_CROWD"] ?? 300);
const segments = { first: 2 * megabyte, next: 16 * megabyte };
// An empty segment is kept for 30 s, and no connection to a provider may lie in it; the rest is for machines with much to do.
const calmMs = 90_000;

let w: World;
let metrics: string;
beforeAll(async () => {
	w = await world({
		edges: 1,
		dollars: "1000000",
		config: {
			metrics: { listen: "127.0.0.1:0" },
			limits: { body_bytes: "64MiB", content_memory: "512MiB", streams_per_account_percent: 100, streams_per_edge: 9_900, connections_per_edge: 19_600, connections_per_address: 19_600 },
		},
	});
	metrics = readFileSync(`${w.lethe.data}/endpoint.metrics`, "utf8").trim();
}, 60_000);
afterAll(() => w?.end());

const agent = new Agent({ keepAlive: false });

function send(body: Buffer | string, script: string): Promise<number> {
	const url = new URL(`${w.lethe.url}/v1/chat/completions`);
	const headers = { authorization: `Bearer ${w.customer.key}`, "content-type": "application/json", "x-sim": script, "content-length": Buffer.byteLength(body) };
	return new Promise((resolve, reject) => {
		const call = httpRequest({ method: "POST", host: url.hostname, port: url.port, path: url.pathname, headers, agent }, (answer) => {
			answer.resume();
			answer.on("end", () => resolve(answer.statusCode!));
			answer.on("error", reject);
		});
		call.on("error", reject);
		call.end(body);
	});
}

// Who comes while memory is still made for the crowd is told to come again.
async function served(text: string): Promise<number> {
	for (;;) {
		const status = await send(text, "chunks=40,gap_ms=50");
		if (status !== 503) return status;
		await scheduler.wait(1000);
	}
}

// With an image in it: text of that size would be more than any model takes.
function bodyOf(bytes: number): Buffer {
	const head = '{"model":"exact","max_tokens":10,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,';
	const tail = '"}}]}]}';
	if (bytes <= head.length + tail.length) return Buffer.alloc(bytes, "x");
	return Buffer.from(head + randomBytes(Math.ceil((bytes * 3) / 4)).toString("base64").slice(0, bytes - head.length - tail.length) + tail);
}

function residentKiB(): number {
	const of = (pid: number) => Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))![1]);
	return [w.lethe.pid, ...w.lethe.children()].reduce((all, pid) => all + of(pid), 0);
}

const mapped = async () => sum(await get(metrics), "lethe_vault_mapped_bytes");

test("bodies of 1 B to 64 MiB and a crowd leave two segments at most, and memory but for 10 % and the first of them", async () => {
	for (let i = 0; i < 20; i++) expect(await send(bodyOf(1000), "chunks=3")).toBe(200); // what is made at the first use is there
	const before = isJudged ? residentKiB() : 0;
	const sizes = Array.from({ length: 27 }, (_, power) => 2 ** power);
	const statuses = new Map<number, number>();
	for (const size of sizes) statuses.set(size, await send(bodyOf(size), "chunks=3"));
	for (const size of sizes) expect(statuses.get(size), `${size} bytes`).toBe(size < 256 ? 400 : 200);
	// It did need more; an edge states what it has once a second.
	await until("more than two segments are mapped", async () => (await mapped()) > segments.first + segments.next);
	const text = JSON.stringify({ model: "exact", stream: true, max_tokens: 1000, messages: [{ role: "user", content: "x".repeat(4000) }] });
	const all = await Promise.all(Array.from({ length: crowd }, () => served(text)));
	expect(all.filter((status) => status !== 200).length).toBe(0);
	const from = performance.now();
	await until("all has ended", async () => (await w.lethe.command("status"))["running"] === 0, 15_000);
	await until("two segments at most are mapped", async () => (await mapped()) <= segments.first + segments.next, calmMs);
	// The first segment stays, and pages of it that were touched once are there for good.
	const most = before * 1.1 + segments.first / 1024;
	if (isJudged) await until("memory is as it was", () => residentKiB() <= most, calmMs).catch(() => expect(residentKiB()).toBeLessThanOrEqual(most));
	if (process.env["LETHE_CROWD"]) console.log(`${crowd} at once: ${await mapped()} bytes mapped, ${residentKiB()} KiB after ${Math.round((performance.now() - from) / 1000)} s, ${before} KiB before`);
	expect((await w.lethe.verify()).status).toBe(0);
}, 240_000);
