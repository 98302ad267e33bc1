// The bars that were agreed on: what each of them takes from a run, and its limit.
import type { CellReport, Memories, Rounds } from "./report.ts";
import { cpu } from "./report.ts";
import type { Held } from "./sample.ts";
import { median, ratios, spread } from "./statistics.ts";

type Limit = { most: number } | { least: number };
// passed undefined: its cell was not asked for. void: why this run can't tell; that is no pass.
export type Bar = { name: string; value: number | undefined; passed: boolean | undefined; skipped?: string; void?: string } & Limit;

// Where a value comes from: undefined when the cell is void or has none.
type Run = {
	// CPU time to the cell's yardstick.
	ratio: (cell: string, row: string) => number | undefined;
	// CPU time of one target to another one's, round by round.
	between: (cell: string, target: string, to: string, group?: string) => number | undefined;
	cpu: (cell: string, row: string) => number | undefined;
	added: (cell: string, row: string, percentile: "addedP50" | "addedP99") => number | undefined;
	disturbed: (cell: string, row: string) => number | undefined;
	errors: (cell: string, target: string) => number | undefined;
	held: (cell: string, what: (held: Held) => number) => number | undefined;
};

type Doubt = (run: Run) => string | undefined;
type Row = { name: string; cells: string[]; take: (run: Run) => number | undefined; doubt: Doubt | undefined } & Limit;

// What the agreed memory bars are about.
const barStreams = 5000;

function quotient(a: number | undefined, b: number | undefined): number | undefined {
	return a === undefined || !b ? undefined : a / b;
}

function difference(a: number | undefined, b: number | undefined): number | undefined {
	return a === undefined || b === undefined ? undefined : a - b;
}

const row = (name: string, limit: Limit, cells: string | string[], take: Row["take"], doubt?: Doubt): Row => ({ name, cells: [cells].flat(), take, doubt, ...limit });

// ---- delays, which a machine that is not quiet changes far more than it changes CPU time

type Percentile = "addedP50" | "addedP99";
const addedSelfDifferenceMost = 0.25;
// Of what is due, because the machine stood still (witness.h): beyond this little is left to judge by. And of Lethe's as much as of the others', or it would be Lethe that keeps the kernel from whoever wants to run.
const disturbedMost = 0.25;
const disturbedDifferenceMost = 0.25;
const addedTo = (cell: string, percentile: Percentile) => (run: Run) => {
	const [once, again] = [run.added(cell, "nginx", percentile), run.added(cell, "nginx-again", percentile)];
	return once === undefined || again === undefined ? undefined : quotient(run.added(cell, "lethe all", percentile), (once + again) / 2);
};

function stoodStill(run: Run, cell: string): string | undefined {
	const [lethe, ...others] = ["lethe all", "relay", "nginx", "nginx-again"].map((name) => run.disturbed(cell, name) ?? 0) as [number, ...number[]];
	const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
	if (Math.max(lethe, ...others) > disturbedMost) return `the machine stood still for ${percent(Math.max(lethe, ...others))} of what was due`;
	const most = Math.max(...others) * (1 + disturbedDifferenceMost) + 0.005;
	return lethe > most ? `the machine stood still for ${percent(lethe)} of what was due, of the others' for ${percent(Math.max(...others))} at most` : undefined;
}

// The same program twice, and the least that any proxy adds, say how much of a figure is the machine's.
function unsure(cell: string, percentile: Percentile, relay: { most?: number; mostOfNginx?: number }): Doubt {
	return (run) => {
		const [once, again, bare] = ["nginx", "nginx-again", "relay"].map((name) => run.added(cell, name, percentile));
		if (once === undefined || again === undefined) return undefined;
		const [less, more] = [Math.min(once, again), Math.max(once, again)];
		if (less <= 0 || more / less - 1 > addedSelfDifferenceMost) return `nginx adds ${once.toFixed(0)} µs, and when measured again ${again.toFixed(0)}`;
		const still = stoodStill(run, cell);
		if (still || bare === undefined) return still;
		if (bare > (relay.most ?? Infinity)) return `the bare relay alone adds ${bare.toFixed(0)} µs`;
		// It does a part of what nginx does: where it is later than the bar lets anybody be, that is not the target's doing.
		const nginx = (once + again) / 2;
		return bare > (relay.mostOfNginx ?? Infinity) * nginx ? `the bare relay alone adds ${bare.toFixed(0)} µs, ${(bare / nginx).toFixed(2)} of nginx's` : undefined;
	};
}

const rows: Row[] = [
	row("1 KB request, edge alone, CPU to nginx", { most: 1.0 }, "request_1k", (run) => run.ratio("request_1k", "lethe edge")),
	row("1 KB request, edge alone, CPU to nginx, at first", { most: 1.2 }, "request_1k", (run) => run.ratio("request_1k", "lethe edge")),
	row("1 KB request, all processes, CPU to nginx", { most: 1.3 }, "request_1k", (run) => run.ratio("request_1k", "lethe all")),
	row("1 KB request, all processes, CPU to nginx, at first", { most: 1.5 }, "request_1k", (run) => run.ratio("request_1k", "lethe all")),
	// Where Lethe has the processor to itself: at the rate of one of several at once a commit has fewer tickets.
	row("1 KB request, ledger, µs a ticket", { most: 3 }, "edges_1k", (run) => run.cpu("edges_1k", "lethe ledger")),
	row("32 KB request, edge alone, CPU to nginx", { most: 0.8 }, "request_32k", (run) => run.ratio("request_32k", "lethe edge")),
	row("chunk, 1,000 streams, all processes, CPU to nginx", { most: 0.95 }, "stream", (run) => run.ratio("stream", "lethe all")),
	row("chunk, 1,000 streams, added delay p50, µs", { most: 20 }, "stream_paced", (run) => run.added("stream_paced", "lethe all", "addedP50"), unsure("stream_paced", "addedP50", { most: 20 })),
	row("translated chunk, CPU to one passed through", { most: 3 }, "stream_translated", (run) => run.ratio("stream_translated", "lethe-translates all")),
	row("4,000 requests a second, added delay p50, to nginx's", { most: 1 }, "request_paced", addedTo("request_paced", "addedP50"), unsure("request_paced", "addedP50", { mostOfNginx: 1 })),
	row("4,000 requests a second, added delay p99, to nginx's", { most: 1.2 }, "request_paced", addedTo("request_paced", "addedP99"), unsure("request_paced", "addedP99", { mostOfNginx: 1.2 })),
	row("first streamed byte, added delay p99, µs", { most: 200 }, "first_byte", (run) => run.added("first_byte", "lethe all", "addedP99"), unsure("first_byte", "addedP99", { most: 200 })),
	row("HTTP/2 by TLS, 1 KB request, all processes, CPU to HAProxy", { most: 1.2 }, "h2_tls_request_1k", (run) =>
		run.between("h2_tls_request_1k", "lethe", "haproxy"),
	),
	row(`${barStreams} streams, all processes, KiB a stream`, { most: 4 }, "memory", (run) => run.held("memory", (h) => h.perStreamKiB)),
	row("idle, largest process, MiB", { most: 10 }, "memory", (run) => run.held("memory", (h) => h.idleLargestKiB / 1024)),
	row(`TLS, ${barStreams} streams, all processes, KiB a stream`, { most: 48 }, "tls_memory", (run) => run.held("tls_memory", (h) => h.perStreamKiB)),
	row(`TLS, ${barStreams} streams, HTTP/2 to the provider, all processes, KiB a stream`, { most: 24 }, "h2_out_memory", (run) =>
		run.held("h2_out_memory", (h) => h.perStreamKiB),
	),
	row("TLS, 1 KB request, all processes, CPU to nginx", { most: 1.1 }, "tls_request_1k", (run) => run.ratio("tls_request_1k", "lethe all")),
	// A second of CPU time holds as many more handshakes as one of them costs less.
	row("TLS, handshakes a CPU second, all processes, to nginx", { least: 0.9 }, "tls_handshakes", (run) =>
		quotient(1, run.ratio("tls_handshakes", "lethe all")),
	),
	row("lockdown, secret memory and wiping, 1 KB request, CPU to a build without", { most: 1.03 }, "lockdown", (run) => run.ratio("lockdown", "lethe all")),
	row("lockdown, secret memory and wiping, 4,000 requests a second, p50 beyond a build without, µs", { most: 10 }, "lockdown_paced", (run) =>
		difference(run.added("lockdown_paced", "lethe all", "addedP50"), run.added("lockdown_paced", "lethe-bare all", "addedP50")),
	),
	row("18,000 slow streams, errors", { most: 0 }, "stream_slow", (run) => run.errors("stream_slow", "lethe-2")),
	row("18,000 slow streams, CPU a chunk to that of 1,000 streams", { most: 1.15 }, "stream_slow", (run) => run.between("stream_slow", "lethe-2", "lethe")),
	row("100,000 streams, errors", { most: 0 }, "stream_100k", (run) => run.errors("stream_100k", "lethe-7")),
	row("two edges, one account, CPU a request to one edge's", { most: 1.1 }, "edges_1k", (run) => run.between("edges_1k", "lethe-2", "lethe")),
	row("two edges, 10,000 accounts, CPU a request to one edge's", { most: 1.1 }, "accounts_1k", (run) => run.between("accounts_1k", "lethe-2", "lethe")),
];

// What they are taken from.
export const barCells: string[] = [...new Set(rows.flatMap((one) => one.cells))];

// What was agreed and no stopwatch says, and what says it.
export const elsewhere: [string, string][] = [
	["SDKs, isolation, errors, TLS by every client", "./dev test e2e"],
	["hostile requests and answers, and what three back ends make of them", "./dev hostile"],
	["tickets a second booked on 20 million, and by PostgreSQL", "./dev book"],
	["one balance spent by several servers: to the end, under every fault, how fast", "./dev nodes"],
	["kill -9 of every process under load", "./dev crash"],
	["no content on disk, in logs or in readable memory", "./dev test privacy"],
	["fuzzers reach their parsers' lines and find planted bugs", "./dev fuzz --coverage --mutants"],
	["lines of the cache that one edge writes and another touches for a chunk", "./dev test unit (loopback's lines)"],
	["interleavings of the ticket protocol", "./dev check model"],
	["the package in a clean Debian", "./dev package-test"],
];

function reader(reports: CellReport[], memories: Memories): Run {
	const sound = (cell: string) => reports.find((one) => one.cell === cell && !one.void.length && !one.skipped);
	const of = (cell: string, name: string) => sound(cell)?.rows.find((one) => one.name === name);
	const times = (rounds: Rounds | undefined, target: string, group: string) => (rounds ? cpu(rounds, target, group) : []);
	return {
		ratio: (cell, name) => of(cell, name)?.toYardstick?.median,
		between: (cell, target, to, group = "all") => {
			const rounds = sound(cell)?.rounds;
			return spread(ratios(times(rounds, target, group), times(rounds, to, "all")))?.median;
		},
		cpu: (cell, name) => of(cell, name)?.cpu?.median,
		added: (cell, name, percentile) => of(cell, name)?.[percentile]?.median,
		disturbed: (cell, name) => of(cell, name)?.disturbed?.median,
		// That others were busy beside it does not make an answer wrong.
		errors: (cell, target) => {
			const report = reports.find((one) => one.cell === cell);
			const counted = report?.rounds[target];
			const rounds = counted && [...counted, ...report.thrown.flatMap((one) => one.samples[target] ?? [])];
			return rounds?.some((one) => one.unmeant) ? undefined : rounds?.reduce((sum, one) => sum + one.errors, 0);
		},
		held: (cell, what) => {
			const rounds = memories[cell]?.["lethe"];
			return rounds?.every((one) => one.streams >= barStreams) ? median(rounds.map(what)) : undefined;
		},
	};
}

export function bars(reports: CellReport[], memories: Memories): Bar[] {
	const run = reader(reports, memories);
	const asked = (cell: string) => cell in memories || reports.some((one) => one.cell === cell);
	return rows.map(({ name, cells, take, doubt, ...limit }) => {
		const value = take(run), why = doubt?.(run);
		const skipped = reports.find((one) => cells.includes(one.cell) && one.skipped)?.skipped;
		const good = value !== undefined && ("most" in limit ? value <= limit.most : value >= limit.least);
		return { name, value, passed: cells.every(asked) ? good && !why : undefined, ...(skipped && { skipped }), ...(why && { void: why }), ...limit };
	});
}

export function barText(bar: Bar): string {
	const value = bar.skipped ? `skipped: ${bar.skipped}` : bar.value === undefined ? "not measured" : bar.value.toFixed(2);
	const limit = "most" in bar ? `at most ${bar.most}` : `at least ${bar.least}`;
	const verdict = bar.passed === undefined ? "----" : bar.void ? "VOID" : bar.passed ? "pass" : "FAIL";
	return `${verdict}  ${bar.name}: ${value}, ${limit}${bar.void ? `; this run can't tell: ${bar.void}` : ""}`;
}

export function barsText(all: Bar[]): string {
	const others = elsewhere.map(([what, by]) => `----  ${what}: ${by}`);
	return [...all.map(barText), ...others].join("\n");
}
