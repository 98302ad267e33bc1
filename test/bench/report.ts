// What a run says: a table for each cell, and the reasons why it is void.
import { readFileSync } from "node:fs";
import { cpus, release } from "node:os";
import type { Cell } from "./cells.ts";
import { busyMost } from "./processes.ts";
import type { Held, Sample } from "./sample.ts";
import { median, ratios, type Spread, spread } from "./statistics.ts";

// By target, one sample a round.
export type Rounds = Record<string, Sample[]>;

export type Row = {
	name: string;
	cpu: Spread | undefined;
	// The cell's yardstick: nginx, of as many processes as are compared.
	toYardstick: Spread | undefined;
	toRelay: Spread | undefined;
	perSecond: Spread | undefined;
	// To the yardstick's.
	rate: Spread | undefined;
	p50: Spread | undefined;
	p99: Spread | undefined;
	addedP50: Spread | undefined;
	addedP99: Spread | undefined;
	disturbed: Spread | undefined;
};
export type CellReport = {
	cell: string;
	title: string;
	unit: string;
	yardstick: string;
	// All targets at once, so many times a round.
	beside?: { turns: number };
	// And those take turns by slices of time.
	slices?: true;
	// In how many rounds the yardstick was taken for less than it cost, because it cost so many times the relay at the median.
	capped?: { rounds: number; cost: number; most: number };
	// Why this machine, or this Lethe, can't: nothing was measured.
	skipped?: string;
	rows: Row[];
	void: string[];
	// Those that count, and those that do not.
	rounds: Rounds;
	thrown: Thrown[];
};
export type Thrown = { why: string; samples: Record<string, Sample> };
// By cell of memory and target, one a round.
export type Memories = Record<string, Record<string, Held[]>>;

// The second measurement of the yardstick.
export const again = (yardstick: string): string => `${yardstick}-again`;

const selfDifferenceMost = 0.1;
// Chunks of several targets at once that come later are worked off many at a time, for a fraction of what each costs by itself: the processors were full.
const lateMostUs = 2000;

export function cpu(rounds: Rounds, target: string, group = "all"): number[] {
	return (rounds[target] ?? []).map((one) => one.cpu[group] ?? Number.NaN);
}

const perSecond = (rounds: Rounds, target: string): number[] => (rounds[target] ?? []).map((one) => one.perSecond);

// The yardstick was measured twice in every round; the mean of both is what others are compared with.
function ofYardstick(rounds: Rounds, yardstick: string, take: (rounds: Rounds, target: string) => number[]): number[] {
	const second = take(rounds, again(yardstick));
	return take(rounds, yardstick).map((value, round) => (value + second[round]!) / 2);
}

// ---- rounds

// Looked at is the yardstick alone, never what is judged by it.
function roundFault(cell: Cell, rounds: Rounds, at: number): string | undefined {
	const names = [cell.yardstick, again(cell.yardstick)];
	const late = cell.beside && cell.unit === "chunk" ? Math.max(...names.map((name) => rounds[name]![at]!.p50)) : 0;
	if (late > lateMostUs) return `chunks of ${cell.yardstick} came ${(late / 1000).toFixed(1)} ms late at the median`;
	const [once, second] = names.map((name) => (cell.delay ? rounds[name]![at]!.p50 : cpu(rounds, name)[at]!)) as [number, number];
	const ratio = once / second;
	if (cell.alone || (ratio >= 1 - selfDifferenceMost && ratio <= 1 + selfDifferenceMost)) return undefined;
	const what = cell.delay ? "took at the median" : "cost";
	return `${cell.yardstick} ${what} ${ratio.toFixed(2)} × what it ${what} when measured again`;
}

// A round in which the yardstick did not find itself again says nothing about anybody.
function sift(cell: Cell, all: Rounds): { rounds: Rounds; thrown: Thrown[] } {
	const faults = (all[cell.yardstick] ?? []).map((_, at) => roundFault(cell, all, at));
	const thrown = faults.flatMap((why, at) => (why ? [{ why, samples: Object.fromEntries(Object.entries(all).map(([name, samples]) => [name, samples[at]!])) }] : []));
	const rounds = Object.fromEntries(Object.entries(all).map(([name, samples]) => [name, samples.filter((_, at) => !faults[at])]));
	return { rounds, thrown };
}

export function counting(cell: Cell, all: Rounds): number {
	return sift(cell, all).rounds[cell.yardstick]?.length ?? 0;
}

const besideOf = (cell: Cell): Pick<CellReport, "beside" | "slices"> => (cell.beside ? { beside: { turns: cell.turns ?? 1 }, ...(cell.slices && { slices: true }) } : {});
// What was measured once of each target, or of all at once.
const counted = ({ beside }: Pick<CellReport, "beside">) => (beside && beside.turns > 1 ? "turns" : "rounds");

export function thrownText(report: Pick<CellReport, "rounds" | "thrown" | "yardstick" | "beside">): string {
	const { rounds, thrown, yardstick } = report;
	return `${thrown.length} of ${thrown.length + (rounds[yardstick]?.length ?? 0)} ${counted(report)} do not count: ${thrown.map((one) => one.why).join("; ")}`;
}

function relayOf(rounds: Rounds): string {
	return ["relay", "relay-2"].find((name) => name in rounds) ?? "relay";
}

// Beside a proxy that is slower than it has to be anything is fast.
function yardstickCpu({ yardstick, nginxMost }: Cell, rounds: Rounds): number[] {
	const relay = cpu(rounds, "relay");
	return ofYardstick(rounds, yardstick, cpu).map((value, round) => (nginxMost ? Math.min(value, nginxMost * relay[round]!) : value));
}

function cappedOf(cell: Cell, rounds: Rounds): Pick<CellReport, "capped"> {
	const costs = ratios(ofYardstick(rounds, cell.yardstick, cpu), cpu(rounds, "relay"));
	const over = cell.nginxMost ? costs.filter((cost) => cost > cell.nginxMost!).length : 0;
	return over ? { capped: { rounds: over, cost: median(costs), most: cell.nginxMost! } } : {};
}

function row(cell: Cell, rounds: Rounds, name: string, target: string, group: string): Row {
	const { yardstick } = cell, own = cpu(rounds, target, group);
	const take = (what: (s: Sample) => number, of = target) => rounds[of]!.map(what);
	const direct = rounds["direct"];
	const added = (what: (s: Sample) => number) => direct && spread(take(what).map((value, round) => value - what(direct[round]!)));
	return {
		name,
		cpu: spread(own),
		toYardstick: spread(ratios(own, yardstickCpu(cell, rounds))),
		toRelay: spread(ratios(own, cpu(rounds, relayOf(rounds)))),
		perSecond: spread(perSecond(rounds, target)),
		rate: spread(ratios(perSecond(rounds, target), ofYardstick(rounds, yardstick, perSecond))),
		p50: spread(take((s) => s.p50)),
		p99: spread(take((s) => s.p99)),
		addedP50: added((s) => s.p50),
		addedP99: added((s) => s.p99),
		disturbed: spread(take((s) => s.disturbed ?? Number.NaN)),
	};
}

// Share of the machine that other processes used beside each target, in most rounds.
function besides(rounds: Rounds): { target: string; share: number }[] {
	return Object.entries(rounds).map(([target, samples]) => ({ target, share: median(samples.map((s) => s.foreign)) }));
}

function besidesText(rounds: Rounds): string {
	const all = Object.values(rounds).flatMap((samples) => samples.map((s) => s.foreign));
	if (!all.length) return "no round counts: the figures are of those that do not";
	return `other processes used ${percent(median(all))} of the machine (${percent(Math.min(...all))}..${percent(Math.max(...all))})`;
}

function busy(rounds: Rounds): string[] {
	const most = besides(rounds);
	const over = most.filter(({ share }) => share > busyMost);
	if (!over.length) return [];
	const share = Math.max(...over.map((one) => one.share));
	return [`other processes used up to ${percent(share)} of the machine in most rounds, beside ${over.map((one) => one.target).join(", ")}`];
}

function voids(cell: Cell, all: Rounds, asked: number): string[] {
	const reasons: string[] = [];
	const { rounds, thrown } = sift(cell, all);
	const count = rounds[cell.yardstick]?.length ?? 0;
	if (!count && !thrown.length) return [`${cell.yardstick} was not measured`];
	if (count < asked) reasons.push(`${cell.yardstick} differs from itself by more than ${percent(selfDifferenceMost)}, or is late, in too many ${counted(besideOf(cell))}: ${count} count, ${asked} were asked for`);
	if (count) reasons.push(...busy(rounds));
	for (const [target, samples] of Object.entries(all)) { // a wrong answer is one in any round
		const failed = samples.find((s) => s.errors > 0);
		const unmeant = samples.find((s) => s.unmeant);
		if (unmeant) reasons.push(`${target}: ${unmeant.unmeant}`);
		if (failed) reasons.push(`${target}: ${samples.reduce((sum, s) => sum + s.errors, 0)} errors, the first: ${failed.firstError}`);
	}
	return reasons;
}

export function reportCell(cell: Cell, all: Rounds, asked = 1): CellReport {
	const sifted = sift(cell, all), rounds = counting(cell, all) ? sifted.rounds : all; // of none that counts all are shown
	const rows = Object.keys(rounds).flatMap((target) => {
		const groups = Object.keys(rounds[target]![0]!.cpu);
		return groups.map((group) => row(cell, rounds, groups.length > 1 ? `${target} ${group}` : target, target, group));
	});
	return { cell: cell.name, title: cell.title, unit: cell.unit, yardstick: cell.yardstick, ...besideOf(cell), ...cappedOf(cell, rounds), rows, void: voids(cell, all, asked), ...sifted };
}

export function skippedCell(cell: Cell, why: string): CellReport {
	return { cell: cell.name, title: cell.title, unit: cell.unit, yardstick: cell.yardstick, skipped: why, rows: [], void: [], rounds: {}, thrown: [] };
}

function percent(share: number): string {
	return `${(share * 100).toFixed(1)} %`;
}

// Of all processes of a target.
export function isWhole(row: { name: string }): boolean {
	return !row.name.includes(" ") || row.name.endsWith(" all");
}

function range(s: Spread | undefined, digits: number): string {
	if (!s) return "";
	return `${s.median.toFixed(digits)} (${s.min.toFixed(digits)}..${s.max.toFixed(digits)})`;
}

function table(lines: string[][]): string {
	const widths = lines[0]!.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
	return lines.map((line) => line.map((text, column) => text.padEnd(widths[column]!)).join("  ").trimEnd()).join("\n");
}

// As many connections each do not make as many requests.
function besideText(report: CellReport): string[] {
	if (report.slices) return [`in turn on one processor, a quarter of a second each`];
	if (!report.beside) return [];
	const rates = report.rows.filter((r) => isWhole(r)).map((r) => `${r.name} ${range(r.rate, 2)}`);
	return [`all at once on one processor; rates to ${report.yardstick}'s: ${rates.join(", ")}`];
}

// Of what was due then nothing is in the delays.
export function disturbedText(report: CellReport): string[] {
	const shares = report.rows.filter((r) => isWhole(r) && r.disturbed).map((r) => `${r.name} ${percent(r.disturbed!.median)}`);
	return shares.length ? [`due while the machine stood still, and in no delay: ${shares.join(", ")}`] : [];
}

export function cellText(report: CellReport): string {
	if (report.skipped) return `${report.cell}: skipped: ${report.skipped}`;
	const head = ["", `CPU µs a ${report.unit}`, `to ${report.yardstick}`, "to relay", "a second", "p50 µs", "p99 µs", "added p50", "added p99"];
	const body = report.rows.map((r) => {
		const whole = !isWhole(r) ? [] : report.beside && !report.slices ? [r.perSecond] : [r.perSecond, r.p50, r.p99];
		const added = r.name === "direct" || !whole.length ? [] : [r.addedP50, r.addedP99];
		const rest = [0, 1, 2].map((i) => (whole[i] ? whole[i]!.median.toFixed(0) : ""));
		return [r.name, range(r.cpu, 2), range(r.toYardstick, 2), range(r.toRelay, 2), ...rest, range(added[0], 0), range(added[1], 0)];
	});
	const verdict = report.void.map((reason) => `VOID: ${reason}`);
	const title = `${report.cell}: ${report.title}: median (min..max) of ${report.rounds[report.yardstick]?.length ?? 0} ${counted(report)}`;
	return [title, table([head, ...body]), ...besideText(report), ...disturbedText(report), ...cappedText(report), besidesText(report.rounds), ...(report.thrown.length ? [thrownText(report)] : []), ...verdict].join("\n");
}

export function cappedText({ yardstick, unit, rounds, capped }: CellReport): string[] {
	if (!capped) return [];
	const { cost, most } = capped, all = rounds[yardstick]?.length ?? 0;
	return [`${yardstick} cost ${cost.toFixed(2)} × the relay a ${unit}; where it cost more than ${most} ×, in ${capped.rounds} of ${all}, it is taken for that`];
}

export function memoryText(cell: string, held: Record<string, Held[]>): string {
	const lines = Object.entries(held).map(([name, rounds]) => {
		const take = (what: (h: Held) => number) => spread(rounds.map(what));
		return [name, range(take((h) => h.perStreamKiB), 2), range(take((h) => h.idleKiB / 1024), 1), range(take((h) => h.idleLargestKiB / 1024), 1), range(take((h) => h.totalKiB / 1024), 1), rounds[0]!.kind];
	});
	const streams = Object.values(held)[0]?.[0]?.streams ?? 0;
	return [`${cell}: all processes with ${streams} open streams, fresh processes`, table([["", "KiB a stream", "idle MiB", "its largest process", "held MiB", ""], ...lines])].join("\n");
}

export type Machine = { processor: string; processors: number; kernel: string };

export function machine(): Machine {
	const model = /^model name\s*:\s*(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "unknown";
	return { processor: model, processors: cpus().length, kernel: release() };
}
