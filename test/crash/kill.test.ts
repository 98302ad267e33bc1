import { readdirSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { edgeOf, idNumber, tickets } from "../harness/books.ts";
import { killAll, loss, openStream, progress } from "../harness/loss.ts";
import { Load, type Result, settleAccounts, unexpected } from "../harness/load.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

const rounds = Number(process.env["LETHE_CRASH_ROUNDS"] ?? 3);
const isLong = rounds > 3;
const patience = 240_000 + rounds * 10_000;
const dollars = "1000";

let w: World;
beforeEach(async () => {
	w = await world({ dollars });
});
afterEach(() => w?.end());

async function killed(role: string, which: number): Promise<number> {
	const victims = await until(`a ${role} to kill`, () => {
		const all = w.lethe.children(role);
		return all.length > 0 && all;
	});
	const victim = victims[which % victims.length]!;
	process.kill(victim, "SIGKILL");
	await until(`the ${role} is there again`, () => {
		const now = w.lethe.children(role);
		return now.length === victims.length && !now.includes(victim);
	});
	return victims.indexOf(victim);
}

// By themselves: nobody tells them to. How fast they are is a matter for the long form, on a machine that has nothing else to do.
async function allEnd(children: number[], since: number): Promise<void> {
	await until("all children have ended", () => children.every((pid) => !readdirSync("/proc").includes(String(pid))));
	if (isLong) expect(performance.now() - since).toBeLessThan(5_000);
}

async function booked(results: Result[]): Promise<void> {
	await until("all of them are booked", () => {
		const ids = new Set(tickets(w.lethe).map((row) => BigInt(row["id"]!)));
		return results.every((result) => ids.has(idNumber(result.id!)));
	});
}

async function booksAreRight(): Promise<void> {
	const verified = await w.lethe.verify();
	expect(verified.stdout).not.toMatch(/"ok":\s*false/);
	expect(verified.status).toBe(0);
}

describe("kill -9 under load", () => {
	test("an edge: its own exchanges break, all are booked once, the other edge's go on", async () => {
		const load = new Load(w.lethe, w.customer);
		for (let round = 0; round < rounds; round++) {
			await load.flows();
			const before = load.results.length;
			await killed("edge", round);
			await load.flows();
			const broken = load.results.slice(before).filter((result) => result.ending === "broken" && result.id);
			expect(new Set(broken.map((result) => edgeOf(result.id!))).size).toBeLessThanOrEqual(1);
		}
		const results = await load.stop();
		expect(results.filter((result) => result.ending === "whole").length).toBeGreaterThan(rounds * 100);
		expect(results.some((result) => result.ending === "broken")).toBe(true);
		const rows = await settleAccounts(w.lethe, w.customer, load, dollars);
		const stats = await w.sim.stats();
		// Whatever had reached the provider when its edge was killed has its ticket, too.
		expect(rows.length).toBeGreaterThanOrEqual(stats["plain"]! + stats["streams"]!);
		await booksAreRight();
	}, patience);

	test("the dialer: no running exchange notices", async () => {
		const load = new Load(w.lethe, w.customer);
		for (let round = 0; round < rounds; round++) {
			await load.flows();
			await killed("dialer", 0);
		}
		await load.flows();
		const results = await load.stop();
		expect(unexpected(results, "refused")).toEqual([]);
		await settleAccounts(w.lethe, w.customer, load, dollars);
		await booksAreRight();
	}, patience);

	test("the ledger: running exchanges go on, and are booked by its successor", async () => {
		const load = new Load(w.lethe, w.customer);
		for (let round = 0; round < rounds; round++) {
			await load.flows();
			await killed("ledger", 0);
		}
		await load.flows();
		const results = await load.stop();
		expect(unexpected(results, "refused")).toEqual([]);
		for (const refused of results.filter((result) => result.ending === "refused")) expect(refused.status).toBe(503);
		await settleAccounts(w.lethe, w.customer, load, dollars);
		await booksAreRight();
	}, patience);

	test("the ledger, just before the server is told to stop: its successor books all and nobody waits for edges that have ended", async () => {
		const load = new Load(w.lethe, w.customer, 5);
		await load.flows(20);
		await load.stop(); // edges without work end before the ledger is there again
		process.kill(w.lethe.children("ledger")[0]!, "SIGKILL");
		w.lethe.signal("SIGTERM");
		expect(await w.lethe.ended()).toBe(0); // 1: it had to be told to end, half a minute later
		await w.lethe.up();
		await settleAccounts(w.lethe, w.customer, load, dollars);
	}, patience);

	test("the scribe: nobody notices", async () => {
		const load = new Load(w.lethe, w.customer);
		for (let round = 0; round < rounds; round++) {
			await load.flows();
			await killed("scribe", 0);
		}
		await load.flows();
		const results = await load.stop();
		expect(unexpected(results)).toEqual([]);
		await settleAccounts(w.lethe, w.customer, load, dollars);
		await booksAreRight();
	}, patience);

	test("the supervisor: everything ends within five seconds, and nothing is lost", async () => {
		const load = new Load(w.lethe, w.customer, 20);
		await load.flows();
		const children = w.lethe.children();
		expect(children.length).toBeGreaterThanOrEqual(4);
		const since = performance.now();
		w.lethe.signal("SIGKILL");
		await allEnd(children, since);
		await load.stop();
		await w.lethe.up();
		await settleAccounts(w.lethe, w.customer, load, dollars);
		await booksAreRight();
		const again = new Load(w.lethe, w.customer, 5);
		await again.flows();
		await again.stop();
	}, patience);

	test("the supervisor, while a long stream runs: that stream is ended and booked, within five seconds", async () => {
		const answer = await fetch(`${w.lethe.url}/v1/chat/completions`, {
			method: "POST",
			headers: { authorization: `Bearer ${w.customer.key}`, "content-type": "application/json", "x-sim": "chunks=100000,gap_ms=50" },
			body: JSON.stringify({ model: "exact", stream: true, messages: [{ role: "user", content: "hi" }] }),
		});
		expect(answer.status).toBe(200);
		const reader = answer.body!.getReader();
		await reader.read();
		const children = w.lethe.children();
		const since = performance.now();
		w.lethe.signal("SIGKILL");
		await allEnd(children, since);
		await reader.cancel().catch(() => {});
		await w.lethe.up();
		await booksAreRight();
	}, patience);

	// At the moment of the kill: under `strict`, every whole answer; under `batched`, what is older than the batch window and its commit. How long
	// a commit takes is the disk's matter: the short form waits until what was acknowledged so far is written, and kills while more is.
	test.each([
		["batched", 500],
		["strict", 0],
	])("everything at once, durability %s: what was acknowledged is booked, and the next start serves", async (durability, grace) => {
		await w.end();
		w = await world({ dollars, config: { durability } });
		for (let round = 0; round < rounds; round++) {
			const load = new Load(w.lethe, w.customer, 20);
			await load.flows(300);
			const then = performance.now() - (isLong ? grace : 0);
			if (!isLong && grace > 0) await booked(load.results.filter((result) => result.ending === "whole"));
			await killAll(w.lethe);
			const results = await load.stop();
			await w.lethe.up();
			const costs = new Map(tickets(w.lethe).map((row) => [BigInt(row["id"]!), Number(row["cost_nano"])]));
			const acknowledged = results.filter((result) => result.ending === "whole" && result.at < then);
			expect(acknowledged.length).toBeGreaterThan(10);
			const missing = acknowledged.filter((result) => costs.get(idNumber(result.id!)) !== result.cost);
			expect(missing.length, `of ${acknowledged.length} acknowledged`).toBe(0);
			await booksAreRight();
		}
	}, patience);

	// How old it was is for `./dev crash --loss` to say; this one ends them when it has seen what was written of each.
	test("everything at once, streams under way: what was written of them is charged, and verify names them", async () => {
		const many = 5;
		const streams = await Promise.all(Array.from({ length: many }, () => openStream(w, 20)));
		const written = await until("of each some progress is written", () => {
			const rows = progress(w.lethe);
			return streams.every((stream) => (rows.get(idNumber(stream.id)) ?? 0) > 20) && rows;
		});
		const then = await killAll(w.lethe);
		await w.lethe.up();
		const rows = new Map(tickets(w.lethe).map((row) => [BigInt(row["id"]!), row]));
		for (const { id, chunks } of streams) {
			const counted = Number(rows.get(idNumber(id))?.["tokens_output"] ?? -1);
			expect(counted, `of ${chunks.length} chunks`).toBeGreaterThanOrEqual(written.get(idNumber(id))!);
			expect(Number(rows.get(idNumber(id))!["cost_nano"])).toBeGreaterThanOrEqual(counted * 10_000);
		}
		const { json } = await w.lethe.verify();
		expect(json).toMatchObject({ sound: true, tickets_interrupted: many });
		expect([...json["interrupted"]].sort()).toEqual(streams.map((stream) => stream.id).sort());
		const lost = await loss(w, "batched", then, streams, []);
		expect(lost.progress).toMatchObject({ of: many });
		expect(lost.wrong.filter((what) => isLong || !/ is lost|are lost/.test(what))).toEqual([]);
	}, patience);
});

describe("SIGTERM under load", () => {
	test("finishes what runs, refuses what is new, and ends with status 0", async () => {
		const load = new Load(w.lethe, w.customer);
		await load.flows();
		const before = load.results.length;
		const stopped = w.lethe.stop();
		expect(await stopped).toBe(0);
		const results = (await load.stop()).slice(before);
		expect(unexpected(results, "refused", "unreachable")).toEqual([]);
		await w.lethe.up();
		await settleAccounts(w.lethe, w.customer, load, dollars);
		await booksAreRight();
	}, patience);
});
