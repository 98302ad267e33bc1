// The cells of the bench: what is asked of every target in every round, and what one unit of work is.
import { cpus } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { hold, type Measured, measure } from "./load.ts";
import { memory } from "./processes.ts";
import type { Provider, Target, Tools } from "./targets.ts";

export type Cell = {
	name: string;
	title: string;
	unit: "request" | "chunk" | "handshake";
	tls: boolean;
	args: (seconds: number) => string[];
	// Why what was measured is not what was meant.
	unmeant?: (measured: Measured) => string | undefined;
	// Most that nginx may cost in units of the relay for the cell to count; it varies too much with 32 KB bodies to say.
	nginxMost?: number;
};

const connections = 64;
const requests = (bytes: number) => ["requests", "--connections", String(connections), "--body-bytes", String(bytes)];
// Streams with TLS begin more slowly, also by a prime: what is measured is streams, not a rush of handshakes.
const tlsOpens = ["--opens", "487"];
const paced = (seconds: number, warmup: number) => ["--seconds", String(seconds), "--warmup", String(warmup)];

export const cells: Cell[] = [
	{
		name: "request_1k",
		title: "1 KB bodies, 64 connections, closed loop",
		unit: "request",
		tls: false,
		nginxMost: 1.6,
		args: (s) => [...requests(1024), ...paced(s, 0.5)],
	},
	{
		name: "request_32k",
		title: "32 KB bodies, 64 connections, closed loop",
		unit: "request",
		tls: false,
		args: (s) => [...requests(32768), ...paced(s, 0.5)],
	},
	{
		name: "stream",
		title: "1,000 streams of 20 chunks a second",
		unit: "chunk",
		tls: false,
		nginxMost: 1.6,
		args: (s) => ["streams", "--connections", "1000", "--rate", "20", ...paced(s, 1)],
	},
	{
		name: "tls_request_1k",
		title: "TLS on both sides, 1 KB bodies, 64 kept connections that resumed a session",
		unit: "request",
		tls: true,
		args: (s) => [...requests(1024), ...paced(s, 1)],
		unmeant: ({ handshakes, resumed_now }) => {
			if (handshakes) return `${handshakes} handshakes, where connections were to be kept`;
			return resumed_now === connections ? undefined : `${resumed_now} of ${connections} connections had resumed a session`;
		},
	},
	{
		name: "tls_handshakes",
		title: "TLS on both sides, a full handshake and one 1 KB request on each connection, the provider's side kept",
		unit: "handshake",
		tls: true,
		args: (s) => [...requests(1024), "--handshakes", "full", "--sim", "chunks=1", ...paced(s, 0.5)],
		unmeant: ({ handshakes, resumed, requests: answered }) => {
			if (resumed) return `${resumed} of ${handshakes} handshakes were resumed, where full ones were to be measured`;
			return Math.abs(handshakes - answered) <= 2 * connections ? undefined : `${handshakes} handshakes for ${answered} requests`;
		},
	},
	{
		name: "tls_stream",
		title: "TLS on both sides, 1,000 streams of 20 chunks a second",
		unit: "chunk",
		tls: true,
		args: (s) => ["streams", "--connections", "1000", "--rate", "20", ...tlsOpens, ...paced(s, 1)],
	},
];

// Not in every run: delay below saturation.
export const pacedCell: Cell = {
	name: "request_paced",
	title: "1 KB bodies, 4,000 requests a second",
	unit: "request",
	tls: false,
	args: (s) => [...requests(1024), "--rate", "4000", ...paced(s, 0.5)],
};

export type Sample = {
	// CPU time per unit of work in µs, by group of processes.
	cpu: Record<string, number>;
	perSecond: number;
	p50: number;
	p99: number;
	// Share of the machine that was used by what is no part of the bench.
	foreign: number;
	errors: number;
	firstError: string;
	unmeant: string | undefined;
};

function foreign(measured: Measured, simIsTarget: boolean): number {
	const ours = measured.self_ns + measured.cpu_ns["all"]! + (simIsTarget ? 0 : measured.cpu_ns["sim"]!);
	return Math.max(0, measured.machine_ns - ours) / 1e9 / measured.seconds / cpus().length;
}

// With TLS the provider's side is to be kept in every cell: each of the connections may open one there, and while it is busy another.
async function upstreamUnmeant(cell: Cell, provider: Provider, before: number): Promise<string | undefined> {
	const made = (await provider.handshakes()) - before;
	return made <= 2 * connections || cell.unit === "chunk" ? undefined : `${made} handshakes with the provider, where connections were to be kept`;
}

export async function sample(tools: Tools, provider: Provider, target: Target, cell: Cell, seconds: number): Promise<Sample> {
	const sim = cell.tls ? provider.tls : provider.clear;
	const simIsTarget = sim === target;
	const watched = simIsTarget ? target : { ...target, groups: { ...target.groups, sim: sim.groups["all"]! } };
	const before = await provider.handshakes();
	const measured: Measured = await measure(tools, watched, cell.args(seconds));
	const unmeant = cell.unmeant?.(measured) ?? (simIsTarget ? undefined : await upstreamUnmeant(cell, provider, before));
	const units = cell.unit === "chunk" ? measured.chunks : measured.requests;
	const cpu = Object.fromEntries(Object.keys(target.groups).map((label) => [label, measured.cpu_ns[label]! / 1000 / units]));
	// What a target has still to write down must not run in the next one's time.
	await sleep(300);
	return {
		cpu,
		perSecond: units / measured.seconds,
		p50: measured.p50_us,
		p99: measured.p99_us,
		foreign: foreign(measured, simIsTarget),
		errors: measured.errors,
		firstError: measured.first_error,
		unmeant,
	};
}

export type Held = { idleKiB: number; perStreamKiB: number; totalKiB: number; kind: "PSS" | "RSS"; streams: number };

// A fresh process, so that nothing is reused that an earlier cell made it allocate.
export async function held(tools: Tools, fresh: () => Promise<Target>, streams: number): Promise<Held> {
	const target = await fresh();
	try {
		await sleep(1500);
		const idle = memory(target.groups["all"]!);
		const opens = target.certificates ? tlsOpens : [];
		return await hold(tools, target, ["--connections", String(streams), "--gap-ms", "4000", ...opens], async (opened) => {
			if (opened.streaming !== streams)
				throw new Error(`${target.name} held ${opened.streaming} of ${streams} streams: ${opened.first_error}`);
			await sleep(1500);
			const now = memory(target.groups["all"]!);
			const proportional = idle.pss !== undefined && now.pss !== undefined;
			const before = proportional ? idle.pss! : idle.rss;
			const total = proportional ? now.pss! : now.rss;
			return { idleKiB: before, totalKiB: total, perStreamKiB: (total - before) / streams, kind: proportional ? "PSS" : "RSS", streams };
		});
	} finally {
		await target.end();
	}
}
