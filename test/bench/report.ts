// What a run says: a table, the reasons why it is void, the bars, and the file for later comparison.
import { readFileSync } from "node:fs";
import { cpus, release } from "node:os";
import type { Cell, Held, Sample } from "./cells.ts";
import { busyMost } from "./processes.ts";
import { median, ratios, type Spread, spread } from "./statistics.ts";

// By target, one sample a round.
export type Rounds = Record<string, Sample[]>;
export type Row = {
	name: string;
	cpu: Spread | undefined;
	toNginx: Spread | undefined;
	toRelay: Spread | undefined;
	perSecond: Spread | undefined;
	p50: Spread | undefined;
	p99: Spread | undefined;
	addedP50: Spread | undefined;
	addedP99: Spread | undefined;
};
export type CellReport = { cell: string; title: string; unit: string; rows: Row[]; void: string[]; rounds: Rounds };
// By cell of memory and target, one a round.
export type Memories = Record<string, Record<string, Held[]>>;
// passed undefined: its cell was not asked for.
export type Bar = { name: string; value: number | undefined; passed: boolean | undefined } & ({ most: number } | { least: number });

const selfDifferenceMost = 0.1;

function cpu(rounds: Rounds, target: string, group = "all"): number[] {
	return (rounds[target] ?? []).map((one) => one.cpu[group] ?? Number.NaN);
}

// nginx was measured twice in every round; the mean of both is what others are compared with.
function nginxCpu(rounds: Rounds): number[] {
	const again = cpu(rounds, "nginx-again");
	return cpu(rounds, "nginx").map((value, round) => (value + again[round]!) / 2);
}

function row(rounds: Rounds, name: string, target: string, group: string): Row {
	const own = cpu(rounds, target, group);
	const take = (what: (s: Sample) => number, of = target) => rounds[of]!.map(what);
	const added = (what: (s: Sample) => number) => spread(take(what).map((value, round) => value - take(what, "direct")[round]!));
	return {
		name,
		cpu: spread(own),
		toNginx: spread(ratios(own, nginxCpu(rounds))),
		toRelay: spread(ratios(own, cpu(rounds, "relay"))),
		perSecond: spread(take((s) => s.perSecond)),
		p50: spread(take((s) => s.p50)),
		p99: spread(take((s) => s.p99)),
		addedP50: added((s) => s.p50),
		addedP99: added((s) => s.p99),
	};
}

function voids(cell: Cell, rounds: Rounds): string[] {
	const reasons: string[] = [];
	const self = spread(ratios(cpu(rounds, "nginx"), cpu(rounds, "nginx-again")));
	const toRelay = spread(ratios(nginxCpu(rounds), cpu(rounds, "relay")));
	// The relay speaks no TLS: there nginx is compared with itself alone.
	if (!self || (!toRelay && !cell.tls)) return ["nginx or the relay was not measured"];
	if (Math.abs(self.median - 1) > selfDifferenceMost) reasons.push(`nginx differs from itself by ${percent(self.median - 1)}`);
	if (cell.nginxMost && toRelay && toRelay.median > cell.nginxMost)
		reasons.push(`nginx costs ${toRelay.median.toFixed(2)} × the relay, more than ${cell.nginxMost}`);
	for (const [target, samples] of Object.entries(rounds)) {
		const foreign = median(samples.map((s) => s.foreign));
		if (foreign > busyMost) reasons.push(`${target}: other processes used ${percent(foreign)} of the machine in most rounds`);
		const failed = samples.find((s) => s.errors > 0);
		const unmeant = samples.find((s) => s.unmeant);
		if (unmeant) reasons.push(`${target}: ${unmeant.unmeant}`);
		if (failed) reasons.push(`${target}: ${samples.reduce((sum, s) => sum + s.errors, 0)} errors, the first: ${failed.firstError}`);
	}
	return reasons;
}

export function reportCell(cell: Cell, rounds: Rounds): CellReport {
	const rows = Object.keys(rounds).flatMap((target) => {
		const groups = Object.keys(rounds[target]![0]!.cpu);
		return groups.map((group) => row(rounds, groups.length > 1 ? `${target} ${group}` : target, target, group));
	});
	return { cell: cell.name, title: cell.title, unit: cell.unit, rows, void: voids(cell, rounds), rounds };
}

function percent(share: number): string {
	return `${(share * 100).toFixed(1)} %`;
}

function range(s: Spread | undefined, digits: number): string {
	if (!s) return "";
	return `${s.median.toFixed(digits)} (${s.min.toFixed(digits)}..${s.max.toFixed(digits)})`;
}

function table(lines: string[][]): string {
	const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
	return lines.map((line) => line.map((text, column) => text.padEnd(widths[column]!)).join("  ").trimEnd()).join("\n");
}

export function cellText(report: CellReport): string {
	const head = ["", `CPU µs a ${report.unit}`, "to nginx", "to relay", "a second", "p50 µs", "p99 µs", "added p50", "added p99"];
	const body = report.rows.map((r) => {
		const whole = r.name.includes(" ") && !r.name.endsWith(" all") ? [] : [r.perSecond, r.p50, r.p99];
		const added = r.name === "direct" || !whole.length ? [] : [r.addedP50, r.addedP99];
		const rest = [0, 1, 2].map((i) => (whole[i] ? whole[i]!.median.toFixed(0) : ""));
		return [r.name, range(r.cpu, 2), range(r.toNginx, 2), range(r.toRelay, 2), ...rest, range(added[0], 0), range(added[1], 0)];
	});
	const verdict = report.void.map((reason) => `VOID: ${reason}`);
	return [`${report.title}: median (min..max) of ${report.rounds["nginx"]?.length ?? 0} rounds`, table([head, ...body]), ...verdict].join("\n");
}

export function memoryText(cell: string, held: Record<string, Held[]>): string {
	const lines = Object.entries(held).map(([name, rounds]) => {
		const take = (what: (h: Held) => number) => spread(rounds.map(what));
		return [name, range(take((h) => h.perStreamKiB), 2), range(take((h) => h.idleKiB / 1024), 1), range(take((h) => h.totalKiB / 1024), 1), rounds[0]!.kind];
	});
	const streams = Object.values(held)[0]?.[0]?.streams ?? 0;
	return [`${cell}: all processes with ${streams} open streams, fresh processes`, table([["", "KiB a stream", "idle MiB", "held MiB", ""], ...lines])].join("\n");
}

// What the agreed memory bar is about.
const barStreams = 5000;

function perStream(held: Held[] | undefined): number | undefined {
	return held?.every((one) => one.streams >= barStreams) ? median(held.map((one) => one.perStreamKiB)) : undefined;
}

// The bars that a release must pass, on medians of the ratios within each round.
export function bars(reports: CellReport[], memories: Memories): Bar[] {
	const ratio = (cell: string, name: string) => {
		const report = reports.find((one) => one.cell === cell);
		return report?.void.length ? undefined : report?.rows.find((one) => one.name === name)?.toNginx?.median;
	};
	const asked = (cell: string) => cell in memories || reports.some((one) => one.cell === cell);
	const bar = (name: string, cell: string, value: number | undefined, limit: { most: number } | { least: number }): Bar => {
		const good = value !== undefined && ("most" in limit ? value <= limit.most : value >= limit.least);
		return { name, value, passed: asked(cell) ? good : undefined, ...limit };
	};
	// A second of CPU time holds as many more handshakes as one of them costs less.
	const handshake = ratio("tls_handshakes", "lethe all");
	const held = perStream(memories["tls_memory"]?.["lethe"]);
	return [
		bar("1 KB request, edge alone, CPU to nginx", "request_1k", ratio("request_1k", "lethe edge"), { most: 1.2 }),
		bar("1 KB request, all processes, CPU to nginx", "request_1k", ratio("request_1k", "lethe all"), { most: 1.5 }),
		bar("TLS, 1 KB request, all processes, CPU to nginx", "tls_request_1k", ratio("tls_request_1k", "lethe all"), { most: 1.1 }),
		bar("TLS, handshakes a CPU second, all processes, to nginx", "tls_handshakes", handshake && 1 / handshake, { least: 0.9 }),
		bar(`TLS, ${barStreams} streams, all processes, KiB a stream`, "tls_memory", held, { most: 48 }),
	];
}

export function barText(bar: Bar): string {
	const value = bar.value === undefined ? "not measured" : bar.value.toFixed(2);
	const limit = "most" in bar ? `at most ${bar.most}` : `at least ${bar.least}`;
	const verdict = bar.passed === undefined ? "----" : bar.passed ? "pass" : "FAIL";
	return `${verdict}  ${bar.name}: ${value}, ${limit}`;
}

export function machine(): object {
	const model = /^model name\s*:\s*(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown";
	return { processor: model, processors: cpus().length, kernel: release() };
}
