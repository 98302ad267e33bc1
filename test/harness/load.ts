import { Agent, request as httpRequest } from "node:http";
import { type Account, type Lethe, nano } from "./lethe.ts";
import { edgeOf, idNumber, type TicketRow, tickets } from "./books.ts";
import { until } from "./until.ts";

export type Ending = "whole" | "broken" | "refused" | "unreachable";
export type Result = { ending: Ending; id: string | undefined; status: number; cost: number; streamed: boolean; at: number };

// One request whose cost is known in advance when it ends well: each asks for its own number of tokens.
function ask(lethe: Lethe, account: Account, n: number, agent: Agent | false): Promise<Result> {
	const streamed = n % 3 !== 0;
	const input = 1000 + (n % 5000);
	const chunks = 1 + (n % 40);
	const script = `prompt_tokens=${input},chunks=${chunks},gap_ms=${n % 7},delay_ms=${n % 11}`;
	const cost = input * 1_000 + chunks * 10_000; // nano-dollars, prices of "exact"
	const url = new URL(`${lethe.url}/v1/chat/completions`);
	const text = JSON.stringify({ model: "exact", messages: [{ role: "user", content: "x".repeat(8192) }], stream: streamed, max_tokens: 1000 });
	return new Promise((resolve) => {
		const end = (ending: Ending, id?: string, status = 0) => resolve({ ending, id, status, cost, streamed, at: performance.now() });
		const headers = { authorization: `Bearer ${account.key}`, "content-type": "application/json", "x-sim": script, "content-length": text.length };
		const call = httpRequest({ method: "POST", host: url.hostname, port: url.port, path: url.pathname, headers, agent }, (answer) => {
			const id = answer.headers["x-request-id"] as string | undefined;
			const status = answer.statusCode!;
			let tail = "";
			answer.on("data", (bytes: Buffer) => (tail = (tail + bytes.toString("latin1")).slice(-64)));
			answer.on("error", () => end("broken", id, status));
			answer.on("end", () => {
				if (status !== 200) end("refused", id, status);
				else if (answer.complete && (streamed ? tail.endsWith("data: [DONE]\n\n") : tail.trimEnd().endsWith("}"))) end("whole", id, status);
				else end("broken", id, status);
			});
		});
		call.on("error", () => end("unreachable"));
		call.end(text);
	});
}

// Workers that ask, one request after the other, until told to stop.
export class Load {
	readonly results: Result[] = [];
	started = 0;
	#on = true;
	readonly #workers: Promise<void>[];
	readonly #lethe: Lethe;
	readonly #account: Account;
	readonly #agent: Agent | false;

	// keep: over kept connections, not one for each request.
	constructor(lethe: Lethe, account: Account, workers = 40, keep = false) {
		this.#agent = keep && new Agent({ keepAlive: true, maxSockets: workers });
		this.#lethe = lethe;
		this.#account = account;
		this.#workers = Array.from({ length: workers }, () => this.#work());
	}

	async #work(): Promise<void> {
		while (this.#on) {
			const result = await ask(this.#lethe, this.#account, ++this.started, this.#agent);
			this.results.push(result);
			// A gateway that is down for a moment is not asked in a tight loop.
			if (result.ending === "unreachable" || result.ending === "refused") await new Promise((resume) => setImmediate(resume));
		}
	}

	count(ending: Ending): number {
		return this.results.filter((result) => result.ending === ending).length;
	}

	// That many more answers, whole from the first to the last byte.
	async flows(more = 60): Promise<void> {
		const from = this.count("whole");
		await until(`${more} more whole answers`, () => this.count("whole") >= from + more);
	}

	async stop(): Promise<Result[]> {
		this.#on = false;
		await Promise.all(this.#workers);
		if (this.#agent) this.#agent.destroy();
		return this.results;
	}
}

// What the clients saw against what was booked: every exchange once, at its price, and nothing besides.
export async function settleAccounts(lethe: Lethe, account: Account, load: Load, dollars: string): Promise<TicketRow[]> {
	const seen = load.results.filter((result) => result.id !== undefined && (result.ending === "whole" || result.ending === "broken"));
	const booked = await until(
		"every exchange that a client saw is booked",
		() => {
			const rows = tickets(lethe).filter((row) => row["account"] === idNumber(account.id));
			const ids = new Map(rows.map((row) => [BigInt(row["id"]!), row]));
			return seen.every((result) => ids.has(idNumber(result.id!))) && ids;
		},
	);
	const ids = new Set(seen.map((result) => result.id));
	if (ids.size !== seen.length) throw new Error("a request id was given out twice");
	for (const result of seen) {
		const paid = Number(booked.get(idNumber(result.id!))!["cost_nano"]);
		if (result.ending === "whole" && paid !== result.cost) throw new Error(`${result.id}: paid ${paid}, not ${result.cost}`);
	}
	if (booked.size > load.started) throw new Error(`${booked.size} tickets of ${load.started} requests`);
	const spent = [...booked.values()].reduce((sum, row) => sum + Number(row["cost_nano"]), 0);
	await until("the balance is what the tickets leave", async () => (await lethe.balance(account.id)) === nano(dollars) - spent);
	return [...booked.values()];
}

// The endings that are not allowed, with the edges that they happened on: short enough to be read in a failure.
export function unexpected(results: Result[], ...allowed: Ending[]): string[] {
	const bad = results.filter((result) => result.ending !== "whole" && !allowed.includes(result.ending));
	const kinds = new Map<string, number>();
	for (const result of bad) {
		const kind = `${result.ending} ${result.status}${result.id ? ` on edge ${edgeOf(result.id)}` : ""}`;
		kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
	}
	return [...kinds].map(([kind, n]) => `${n} x ${kind}`);
}
