// One target in one cell, measured once.
import { cpus } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { type Cell, connections, type Effort, type MemoryCell, tlsOpensPerSecond } from "./cells.ts";
import { measureH2 } from "./h2load.ts";
import { hold, type Measured, measure } from "./load.ts";
import { Meeting } from "./meeting.ts";
import { memory } from "./processes.ts";
import { type Provider, type Target, type Tools, upstreamOf } from "./targets.ts";

export type Sample = {
	// CPU time per unit of work in µs, by group of processes.
	cpu: Record<string, number>;
	perSecond: number;
	p50: number;
	p99: number;
	// Share of the delays that do not count, because the machine stood still when they were due; undefined where nobody looked.
	disturbed?: number;
	// Share of the machine that was used by what is no part of the bench.
	foreign: number;
	errors: number;
	firstError: string;
	unmeant: string | undefined;
};

function foreign(measured: Measured, simIsTarget: boolean): number {
	const ours = measured.self_ns + measured.cpu_ns["all"]! + (simIsTarget ? 0 : measured.cpu_ns["sim"]!);
	return Math.max(0, measured.machine_ns - ours) / 1e9 / (measured.wall_seconds ?? measured.seconds) / cpus().length;
}

// With TLS the provider's side is to be kept in every cell: each of the connections may open one there, and while it is busy another. The provider is the same for all targets.
async function upstreamUnmeant(cell: Cell, provider: Provider, before: number, targets: number): Promise<string | undefined> {
	const made = (await provider.stats()).handshakes - before;
	return made <= 2 * connections * targets || cell.unit === "chunk" ? undefined : `${made} handshakes with the provider, where connections were to be kept`;
}

// Streams that their reader left have ended on the provider's side too.
async function idle(provider: Provider): Promise<void> {
	for (let tries = 0; tries < 300 && (await provider.stats()).open_exchanges; tries++) await sleep(100);
}

// With a meeting others are measured at the same time.
export async function sample(tools: Tools, provider: Provider, target: Target, cell: Cell, effort: Effort, meeting?: Meeting): Promise<Sample> {
	const sim = upstreamOf(cell.setup, provider);
	const simIsTarget = sim === target;
	const args = cell.args(effort, target.name);
	const watched = simIsTarget ? target : { ...target, groups: { ...target.groups, sim: sim.groups["all"]! } };
	const before = (await provider.stats()).handshakes;
	const measured = await (cell.setup.h2In ? measureH2(tools, watched, effort, meeting ?? new Meeting(1)) : measure(tools, watched, args, meeting));
	const unmeant = cell.unmeant?.(measured, effort, target.name) ?? (simIsTarget ? undefined : await upstreamUnmeant(cell, provider, before, meeting?.count ?? 1));
	const units = cell.unit === "chunk" ? measured.chunks : measured.requests;
	// The simulator beside others works for them as well.
	const known = !simIsTarget || !meeting;
	const cpu = Object.fromEntries(Object.keys(target.groups).map((label) => [label, known ? measured.cpu_ns[label]! / 1000 / units : NaN]));
	// What a target has still to close or to write down must not run in the next one's time.
	await sleep(effort.quick ? 100 : 300);
	await idle(provider);
	return {
		cpu,
		perSecond: (units / measured.seconds) * (cell.slices ? meeting!.count : 1),
		p50: measured.p50_us,
		p99: measured.p99_us,
		...(args.includes("--witness") && { disturbed: measured.disturbed / (measured.disturbed + measured.timed) }),
		foreign: foreign(measured, simIsTarget),
		errors: measured.errors,
		firstError: measured.first_error,
		unmeant,
	};
}

export type Held = {
	idleKiB: number;
	// Of the largest process.
	idleLargestKiB: number;
	perStreamKiB: number;
	totalKiB: number;
	kind: "PSS" | "RSS";
	streams: number;
};

// Before memory is read.
export function settleMs(quick: boolean): number {
	return quick ? 400 : 1500;
}

// A fresh process, so that nothing is reused that an earlier cell made it allocate.
export async function held(tools: Tools, cell: MemoryCell, fresh: () => Promise<Target>, streams: number, quick: boolean): Promise<Held> {
	const target = await fresh();
	const settle = settleMs(quick);
	try {
		await sleep(settle);
		const idle = memory(target.groups["all"]!);
		const opens = cell.setup.tlsIn ? ["--opens", String(tlsOpensPerSecond(quick))] : [];
		return await hold(tools, target, ["--connections", String(streams), "--gap-ms", "4000", ...opens], async (opened) => {
			if (opened.streaming !== streams)
				throw new Error(`${target.name} held ${opened.streaming} of ${streams} streams: ${opened.first_error}`);
			await sleep(settle);
			const now = memory(target.groups["all"]!);
			const proportional = idle.pss !== undefined && now.pss !== undefined;
			const before = proportional ? idle.pss! : idle.rss;
			const total = proportional ? now.pss! : now.rss;
			return {
				idleKiB: before,
				idleLargestKiB: idle.largest,
				totalKiB: total,
				perStreamKiB: (total - before) / streams,
				kind: proportional ? "PSS" : "RSS",
				streams,
			};
		});
	} finally {
		await target.end();
	}
}
