import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { scheduler } from "node:timers/promises";
import { get, sum } from "./metrics.ts";
import { until } from "./until.ts";
import { world, type World } from "./world.ts";

const megabyte = 1 << 20;
export const segments = { first: megabyte, next: 16 * megabyte };

// By kind of memory, in KiB: what a process alone is accountable for.
export type Memory = Map<string, number>;

const kinds: [RegExp, string][] = [
	[/^\/memfd:vault|^\/secretmem/, "vault"],
	[/^\/memfd:|^\/dev\/shm/, "shared"],
	[/^\[heap\]$/, "heap"],
	[/^\[stack\]$/, "stack"],
	[/^\//, "files"],
	[/^$/, "anonymous"],
];

function memoryOf(pid: number): Memory {
	const all: Memory = new Map();
	const add = (kind: string, kib: number) => all.set(kind, (all.get(kind) ?? 0) + kib);
	let kind = "";
	for (const line of readFileSync(`/proc/${pid}/smaps`, "utf8").split("\n")) {
		const mapping = /^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(.*)$/.exec(line);
		if (mapping) kind = kinds.find(([name]) => name.test(mapping[1]!))?.[1] ?? mapping[1]!;
		// Pages of program files are shared with whoever runs them now; only what was written into is the process's.
		const own = (kind === "files" ? /^Private_Dirty:\s+(\d+) kB/ : /^Pss:\s+(\d+) kB/).exec(line);
		if (own) add(kind, Number(own[1]));
	}
	const tables = /^VmPTE:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
	add("page tables", Number(tables?.[1] ?? 0));
	return all;
}

// Bodies of every size and many exchanges at once, on a gateway of one edge: what of its memory is there before and behind.
export class AfterLoad {
	readonly world: World;
	readonly #metrics: string;
	readonly #agent = new Agent({ keepAlive: false });

	private constructor(w: World) {
		this.world = w;
		this.#metrics = readFileSync(`${w.lethe.data}/endpoint.metrics`, "utf8").trim();
	}

	static async start(): Promise<AfterLoad> {
		return new AfterLoad(await world({
			edges: 1,
			dollars: "1000000",
			config: {
				metrics: { listen: "127.0.0.1:0" },
				limits: { body_bytes: "64MiB", content_memory: "512MiB", streams_per_account_percent: 100, streams_per_edge: 9_900, connections_per_edge: 19_600, connections_per_address: 19_600 },
			},
		}));
	}

	end(): Promise<void> {
		return this.world.end();
	}

	send(body: Buffer | string, script: string): Promise<number> {
		const url = new URL(`${this.world.lethe.url}/v1/chat/completions`);
		const headers = { authorization: `Bearer ${this.world.customer.key}`, "content-type": "application/json", "x-sim": script, "content-length": Buffer.byteLength(body) };
		return new Promise((resolve, reject) => {
			const call = httpRequest({ method: "POST", host: url.hostname, port: url.port, path: url.pathname, headers, agent: this.#agent }, (answer) => {
				answer.resume();
				answer.on("end", () => resolve(answer.statusCode!));
				answer.on("error", reject);
			});
			call.on("error", reject);
			call.end(body);
		});
	}

	// What is made at the first use is there afterwards.
	async warm(): Promise<void> {
		for (let i = 0; i < 20; i++) if ((await this.send(bodyOf(1000), "chunks=3")) !== 200) throw new Error("a first request is not answered");
	}

	// Each power of two: the status of its answer.
	async bodies(): Promise<Map<number, number>> {
		const statuses = new Map<number, number>();
		for (let power = 0; power < 27; power++) statuses.set(2 ** power, await this.send(bodyOf(2 ** power), "chunks=3"));
		return statuses;
	}

	// So many streams at once, each for two seconds: how many were not answered with 200. Who comes while memory is still made for them comes again.
	async crowd(count: number): Promise<number> {
		const text = JSON.stringify({ model: "exact", stream: true, max_tokens: 1000, messages: [{ role: "user", content: "x".repeat(4000) }] });
		const served = async () => {
			for (;;) {
				const status = await this.send(text, "chunks=40,gap_ms=50");
				if (status !== 503) return status;
				await scheduler.wait(1000);
			}
		};
		const all = await Promise.all(Array.from({ length: count }, served));
		return all.filter((status) => status !== 200).length;
	}

	quiet(): Promise<unknown> {
		return until("all has ended", async () => (await this.world.lethe.command("status"))["running"] === 0);
	}

	async mapped(): Promise<number> {
		return sum(await get(this.#metrics), "lethe_vault_mapped_bytes");
	}

	// By process, as root.
	memory(): Map<string, Memory> {
		const all = new Map<string, Memory>();
		for (const pid of [this.world.lethe.pid, ...this.world.lethe.children()]) all.set(readFileSync(`/proc/${pid}/comm`, "utf8").trim(), memoryOf(pid));
		return all;
	}
}

export const total = (memory: Map<string, Memory>) => [...memory.values()].reduce((all, of) => all + [...of.values()].reduce((a, b) => a + b, 0), 0);

// With an image in it: text of that size would be more than any model takes.
function bodyOf(bytes: number): Buffer {
	const head = '{"model":"exact","max_tokens":10,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,';
	const tail = '"}}]}]}';
	if (bytes <= head.length + tail.length) return Buffer.alloc(bytes, "x");
	return Buffer.from(head + randomBytes(Math.ceil((bytes * 3) / 4)).toString("base64").slice(0, bytes - head.length - tail.length) + tail);
}
