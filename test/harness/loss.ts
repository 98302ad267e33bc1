import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { idNumber, type TicketRow, tickets } from "./books.ts";
import type { Lethe } from "./lethe.ts";
import type { Result } from "./load.ts";
import { build } from "./paths.ts";
import { until } from "./until.ts";
import type { World } from "./world.ts";

// What all processes take along when they end at once: delivered, and never charged.

export type Durability = "batched" | "strict";
export type Bounds = { progressMs: number; answersMs: number };

// As the reference says, which is made from the table in the code.
export function bounds(durability: Durability): Bounds {
	const text = execFileSync(join(build, "lethe"), ["config", "reference"], { encoding: "utf8" });
	const most = (row: string): number => {
		const [, value, unit] = new RegExp(`^\\| ${row} \\| (\\d+)(ms|s|) \\|`, "m").exec(text) ?? [];
		if (value === undefined) throw new Error(`the reference has no bound for ${row}`);
		return Number(value) * (unit === "s" ? 1000 : 1);
	};
	return { progressMs: most("either \\| progress"), answersMs: most(`${durability} \\| answers`) };
}

// A stream that goes on: when each of its chunks came.
export type Stream = { id: string; chunks: number[] };

const chunkNano = 10_000; // a token of "exact"

export function openStream(w: World, gapMs: number): Promise<Stream> {
	const url = new URL(`${w.lethe.url}/v1/chat/completions`);
	const text = JSON.stringify({ model: "exact", stream: true, messages: [{ role: "user", content: "hi" }] });
	const headers = { authorization: `Bearer ${w.customer.key}`, "content-type": "application/json", "content-length": text.length, "x-sim": `chunks=100000,gap_ms=${gapMs}` };
	return new Promise((resolve, reject) => {
		const call = httpRequest({ method: "POST", host: url.hostname, port: url.port, path: url.pathname, headers, agent: false }, (answer) => {
			const stream: Stream = { id: String(answer.headers["x-request-id"]), chunks: [] };
			answer.on("data", (bytes: Buffer) => {
				const now = performance.now();
				for (const _ of bytes.toString().matchAll(/"content":"[^"]/g)) stream.chunks.push(now);
			});
			answer.on("error", () => {});
			if (answer.statusCode === 200) resolve(stream);
			else reject(new Error(`a stream was answered ${answer.statusCode}`));
		});
		call.on("error", reject);
		call.end(text);
	});
}

// What the ledger has written of requests that run: output tokens, by id.
export function progress(lethe: Lethe): Map<bigint, number> {
	const database = new DatabaseSync(join(lethe.data, "ledger.db"), { readOnly: true });
	try {
		const statement = database.prepare("SELECT id, tokens_output FROM progress");
		statement.setReadBigInts(true);
		return new Map(statement.all().map((row) => [row["id"] as bigint, Number(row["tokens_output"])]));
	} finally {
		database.close();
	}
}

// The board is in memory that has no file: it goes with them, as when the power is cut. One command for all of them, so that none sees another end and acts on it.
export async function killAll(lethe: Lethe): Promise<number> {
	const family = [lethe.pid, ...lethe.children()];
	const then = performance.now();
	for (const pid of family) process.kill(pid, "SIGKILL");
	await until("all are gone", () => family.every((pid) => !readdirSync("/proc").includes(String(pid))));
	return then;
}

// seconds: how old the oldest of it was. nano, and what at most it may be: all that was delivered within the bound.
export type Part = { of: number; lost: number; seconds: number; nano: number; mostNano: number };

function streamed(streams: Stream[], rows: Map<bigint, TicketRow>, then: number, within: number): Part {
	const part: Part = { of: streams.length, lost: 0, seconds: 0, nano: 0, mostNano: 0 };
	for (const { id, chunks } of streams) {
		const before = chunks.filter((at) => at < then); // what comes later was under way
		const charged = Number(rows.get(idNumber(id))?.["tokens_output"] ?? 0);
		part.lost += charged < before.length ? 1 : 0;
		part.seconds = Math.max(part.seconds, charged < before.length ? (then - before[charged]!) / 1000 : 0);
		part.nano += Math.max(0, before.length - charged) * chunkNano;
		part.mostNano += before.filter((at) => at >= then - within).length * chunkNano;
	}
	return part;
}

function answered(results: Result[], rows: Map<bigint, TicketRow>, then: number, within: number): Part {
	const whole = results.filter((result) => result.ending === "whole" && result.at < then);
	const lost = whole.filter((result) => !rows.has(idNumber(result.id!)));
	const sum = (of: Result[]) => of.reduce((nano, result) => nano + result.cost, 0);
	const seconds = Math.max(0, ...lost.map((result) => (then - result.at) / 1000));
	return { of: whole.length, lost: lost.length, seconds, nano: sum(lost), mostNano: sum(whole.filter((result) => result.at >= then - within)) };
}

export type Loss = { durability: Durability; progress: Part; answers: Part; interrupted: number; wrong: string[] };

// After the next start: what of it was charged, and what the books say of the rest.
export async function loss(w: World, durability: Durability, then: number, streams: Stream[], results: Result[]): Promise<Loss> {
	const bound = bounds(durability);
	const rows = new Map(tickets(w.lethe).map((row) => [BigInt(row["id"]!), row]));
	const { json, status } = await w.lethe.verify();
	const parts = { progress: streamed(streams, rows, then, bound.progressMs), answers: answered(results, rows, then, bound.answersMs) };
	const wrong: string[] = [];
	const expect = (good: boolean, what: string) => good || wrong.push(what);
	expect(status === 0 && json["sound"] === true, "the books are not sound");
	const ends = new Set(streams.flatMap((stream) => rows.get(idNumber(stream.id))?.["end_reason"] ?? []));
	const interrupted = [...rows.values()].filter((row) => ends.has(row["end_reason"]!)).length;
	expect(ends.size === 1 && streams.every((stream) => rows.has(idNumber(stream.id))), "streams are not booked as interrupted");
	expect(json["tickets_interrupted"] === interrupted, `verify says that ${json["tickets_interrupted"]} were interrupted, ${interrupted} were`);
	expect(results.every((result) => result.ending !== "whole" || (rows.get(idNumber(result.id!))?.["cost_nano"] ?? BigInt(result.cost)) === BigInt(result.cost)), "an answer was charged another sum than it cost");
	expect(parts.progress.seconds <= bound.progressMs / 1000, `progress of ${parts.progress.seconds.toFixed(2)} s is lost`);
	expect(parts.answers.lost === 0 || parts.answers.seconds < bound.answersMs / 1000, `an answer is lost that ended ${parts.answers.seconds.toFixed(2)} s before`);
	for (const [name, part] of Object.entries(parts)) expect(part.nano <= part.mostNano, `${name}: ${part.nano} nano-dollars are lost, at most ${part.mostNano} may be`);
	return { durability, ...parts, interrupted, wrong };
}
