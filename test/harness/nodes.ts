import { copyFileSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { type Json, Lethe } from "./lethe.ts";
import { Postgres } from "./postgres.ts";
import { Sim } from "./sim.ts";
import { until } from "./until.ts";

// What a request costs is known before it is sent: what is held is the price, and credit for N requests is spent to the last nano-dollar.
const flat = { id: "flat", provider: "sim", context: 400_000, output: 128_000, prices: [{ from: "2026-01-01", input: "0", output: "0", per_request: "0.001" }] };
export const flatNano = 1_000_000;
const body = JSON.stringify({ model: "flat", messages: [{ role: "user", content: "hi" }], max_tokens: 10 });

// The first makes the store; the others get its secrets, as an operator copies them.
async function servers(sim: Sim, address: string, count: number, config: object): Promise<Lethe[]> {
	const options = (node: number) => ({ sim, edges: 1, extra: { providers: [], models: [flat] }, config: { node, ...config } });
	const first = await Lethe.start({ ...options(0), environment: { LETHE_STORE: address } });
	const furnish = (data: string) => {
		for (const name of ["pepper", "receipt.key", "master.key"]) copyFileSync(join(first.data, name), join(data, name));
		writeFileSync(join(data, "store"), `${address}\n`);
	};
	const all = [first];
	try {
		if ((await first.stop()) !== 0) throw new Error(`the first server ended badly: ${first.output()}`);
		await first.command("node", "share");
		await first.up();
		const others = await Promise.allSettled(Array.from({ length: count - 1 }, (_, i) => Lethe.start({ ...options(i + 1), furnish })));
		for (const other of others) {
			if (other.status === "rejected") throw other.reason;
			all.push(other.value);
		}
		return all;
	} catch (error) {
		for (const lethe of all) await lethe.finish();
		throw error;
	}
}

export type Answer = { status: number; ms: number }; // 0: the connection broke, and nobody told what became of the request

// What a crowd has seen: `times` are of those that were served, in order.
export type Seen = { served: number; short: number; away: number; broken: number; times: number[] };

// Several servers on one store, in front of one simulator.
export class Nodes {
	readonly all: Lethe[];
	readonly address: string;
	readonly #postgres: Postgres;
	readonly #sim: Sim;
	readonly #agent = new Agent({ keepAlive: true, maxSockets: Infinity });

	private constructor(all: Lethe[], address: string, postgres: Postgres, sim: Sim) {
		this.all = all;
		this.address = address;
		this.#postgres = postgres;
		this.#sim = sim;
	}

	static async start(postgres: Postgres, sim: Sim, count: number, config: object = {}): Promise<Nodes> {
		const address = await postgres.database();
		return new Nodes(await servers(sim, address, count, config), address, postgres, sim);
	}

	sql(text: string): Promise<string> {
		return this.#postgres.ask(this.address, text);
	}

	// With a key that each server knows by now.
	async account(name: string, dollars: string): Promise<string> {
		const { key } = await this.all[0]!.account(name, dollars);
		const headers = { authorization: `Bearer ${key}` };
		for (const lethe of this.all) await until("the key is known", async () => (await fetch(`${lethe.url}/v1/models`, { headers })).ok);
		return key;
	}

	// Of a day, on the account; each server knows it then.
	async limit(name: string, key: string, dollars: string): Promise<void> {
		await this.all[0]!.command("account", "limit", name, "--dollars-per-day", dollars);
		const known = async (lethe: Lethe) => {
			const answer = (await (await fetch(`${lethe.url}/v1/key`, { headers: { authorization: `Bearer ${key}` } })).json()) as Json;
			return answer["limits"]?.some((limit: Json) => Number(limit["amount"]) === Number(dollars));
		};
		for (const lethe of this.all) await until("the limit is known", () => known(lethe));
	}

	// What came to the provider.
	async provided(): Promise<number> {
		return (await this.#sim.stats())["requests"]!;
	}

	post(lethe: Lethe, key: string): Promise<Answer> {
		const begin = performance.now();
		return new Promise((resolve) => {
			const end = (status: number) => resolve({ status, ms: performance.now() - begin });
			const headers = { authorization: `Bearer ${key}`, "content-type": "application/json", "content-length": body.length };
			const call = request(`${lethe.url}/v1/chat/completions`, { method: "POST", agent: this.#agent, headers, timeout: 60_000 }, (answer) => {
				answer.resume();
				answer.once("end", () => end(answer.statusCode!));
				answer.once("error", () => end(0));
			});
			call.once("timeout", () => call.destroy());
			call.once("error", () => end(0));
			call.end(body);
		});
	}

	// One request, to the server whose turn it is. True: served.
	async once(key: string, at: number, seen: Seen): Promise<boolean> {
		const { status, ms } = await this.post(this.all[at % this.all.length]!, key);
		if (status === 402) seen.short++;
		else if (status === 0) seen.broken++;
		else if ([401, 429, 503].includes(status)) seen.away++;
		else if (status !== 200) throw new Error(`a request was answered ${status}`);
		if (status !== 200) return false;
		seen.served++;
		seen.times.push(ms);
		return true;
	}

	// So many clients at once; each comes again, to the next server, until it is served or all is spent.
	async crowd(key: string, clients: number, seen: Seen, isOver: () => boolean, from = 0): Promise<void> {
		const one = async (at: number) => {
			while (!isOver() && !(await this.once(key, at++, seen))) await wait(100);
		};
		await Promise.all(Array.from({ length: clients }, (_, i) => one(from + i)));
	}

	// Until less than a request's price is left: what is held is not.
	async spent(name: string): Promise<void> {
		await until(`${name} has nothing left`, async () => (await this.left(name)) < flatNano);
	}

	async left(name: string): Promise<number> {
		return Number(await this.sql(`SELECT balance_nano FROM account WHERE name = '${name}'`).catch(() => NaN));
	}

	// Nothing lost, nothing double, nothing below zero: what the store says of an account that had so much and was asked of like this. Empty: all is well.
	async wrong(name: string, credit: number, seen: Seen, provided: number): Promise<string[]> {
		const said: string[] = [];
		const expect = (good: boolean, what: string) => good || said.push(what);
		const of = `FROM ticket WHERE account = (SELECT id FROM account WHERE name = '${name}')`;
		const [paid, ids, all, cost] = (await this.sql(`SELECT count(*) FILTER (WHERE cost_nano > 0), count(DISTINCT id), count(*), sum(cost_nano) ${of}`)).split("|").map(Number) as [number, number, number, number];
		const left = await this.left(name);
		expect(ids === all, `${all - ids} tickets are there twice`);
		expect(left >= 0 && left === credit - cost, `${left} is left of ${credit} after ${cost} was charged`);
		expect(seen.served <= paid, `${seen.served} were served, ${paid} are paid`);
		expect(paid <= seen.served + seen.broken, `${paid} are paid, ${seen.served} were served and ${seen.broken} broken off`);
		expect(paid <= provided, `${paid} are paid, ${provided} came to the provider`);
		for (const lethe of this.all) {
			const { json } = await lethe.verify();
			for (const i of (json["invariants"] ?? []).filter((each: { ok: boolean }) => !each.ok)) said.push(JSON.stringify(i));
			expect(json["sound"] === true, `the books are not sound: ${JSON.stringify(json)}`);
		}
		return said;
	}

	async end(): Promise<void> {
		this.#agent.destroy();
		for (const lethe of this.all) {
			signalAll(lethe, "SIGCONT");
			await lethe.finish();
		}
	}
}

export const nobody = (): Seen => ({ served: 0, short: 0, away: 0, broken: 0, times: [] });

export function percentile(times: number[], part: number): number {
	const sorted = times.toSorted((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? NaN;
}

// The server and all its processes, as when a machine falls over or its processes are stopped.
export function signalAll(lethe: Lethe, signal: NodeJS.Signals): void {
	const pids = [lethe.pid, ...lethe.children()];
	for (const pid of pids)
		try {
			process.kill(pid, signal);
		} catch {
			// It has ended.
		}
}
