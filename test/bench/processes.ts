// Processes that the bench starts: what they print, who their children are, what memory they use, how they end.
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { cpus } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

// Load generator and simulator run on the first processor, proxies on the others, so that no proxy competes with what drives it: on the second,
// and those of several processes on as many as they have, where the machine has them.
export const driverProcessor = "0";

export function proxyProcessors(processes: number): string {
	if (cpus().length < 2) return driverProcessor; // tests of the bench's parts
	const most = Math.max(1, Math.min(processes, cpus().length - 2));
	return Array.from({ length: most }, (_, i) => i + 1).join(",");
}

// Share of all processors that others may use, in most rounds, before what was measured beside them is void.
export const busyMost = 0.1;

export type Running = { child: ChildProcess; name: string; output: () => string };

export function start(name: string, processors: string, command: string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}): Running {
	const child = spawn("taskset", ["-c", processors, ...command], { stdio: ["ignore", "pipe", "pipe"], ...options });
	let output = "";
	const keep = (bytes: Buffer) => (output = (output + bytes.toString()).slice(-8192));
	child.stdout.on("data", keep);
	child.stderr.on("data", keep);
	return { child, name, output: () => output };
}

export function ended(running: Running): boolean {
	return running.child.exitCode !== null || running.child.signalCode !== null;
}

export async function until<T>(what: string, running: Running, look: () => T | undefined | false): Promise<T> {
	for (let tries = 0; tries < 1000; tries++) {
		if (ended(running)) throw new Error(`${running.name} ended before ${what}: ${running.output()}`);
		const found = look();
		if (found) return found;
		await sleep(20);
	}
	throw new Error(`${running.name}: waited 20 s for: ${what}\n${running.output()}`);
}

export async function stop(running: Running): Promise<void> {
	if (ended(running)) return;
	const exit = new Promise((resolve) => running.child.once("exit", resolve));
	running.child.kill("SIGTERM");
	const force = setTimeout(() => running.child.kill("SIGKILL"), 15_000);
	await exit;
	clearTimeout(force);
}

function status(pid: number, field: string): string | undefined {
	try {
		return new RegExp(`^${field}:\\s*(.*)$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
	} catch {
		return undefined; // It ended meanwhile.
	}
}

export function commandName(pid: number): string {
	return status(pid, "Name") ?? "";
}

// A process and all that descend from it.
export function family(root: number): number[] {
	const parents = new Map<number, number>();
	for (const name of readdirSync("/proc"))
		if (/^\d+$/.test(name)) parents.set(Number(name), Number(status(Number(name), "PPid") ?? 0));
	const found = [root];
	for (const member of found) for (const [pid, parent] of parents) if (parent === member) found.push(pid);
	return found;
}

// CPU time of all threads of these processes so far, in ns, from what the scheduler counts.
export function cpuTime(pids: number[]): number {
	const threads = pids.flatMap((pid) => readdirSync(`/proc/${pid}/task`).map((thread) => `/proc/${pid}/task/${thread}/schedstat`));
	return threads.reduce((sum, path) => sum + Number(readFileSync(path, "utf8").split(" ")[0]), 0);
}

// CPU time that all processors spent on anything so far, in ns.
export function machineTime(): number {
	const [user, nice, system, , , irq, softirq] = ticks();
	return (user! + nice! + system! + irq! + softirq!) * 1e7;
}

// largest: of one of them, by the same measure.
export type Memory = { rss: number; pss: number | undefined; largest: number };

function proportional(pid: number): number | undefined {
	try {
		return Number.parseInt(/^Pss:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))![1]!, 10);
	} catch {
		return undefined;
	}
}

// In KiB. Proportional size only where the kernel lets us read all of them: a locked-down process may refuse.
export function memory(pids: number[]): Memory {
	const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
	const rss = pids.map((pid) => Number.parseInt(status(pid, "VmRSS") ?? "0", 10));
	const pss = pids.map(proportional);
	const known = pss.filter((value) => value !== undefined);
	const all = known.length === pids.length;
	return { rss: sum(rss), pss: all ? sum(known) : undefined, largest: Math.max(...(all ? known : rss)) };
}

// That the kernel chooses from when something connects.
export function localPorts(): number {
	const [first, last] = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").trim().split(/\s+/).map(Number);
	return last! - first! + 1;
}

// What could be taken without swapping.
export function availableKiB(): number {
	return Number(/^MemAvailable:\s*(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? 0);
}

// Ticks of all processors by kind: user, nice, system, idle, iowait, irq, softirq, steal.
function ticks(): number[] {
	return readFileSync("/proc/stat", "utf8").split("\n")[0]!.trim().split(/\s+/).slice(1, 9).map(Number);
}

// Shares of the machine's time since the call: what the hypervisor gave to others, and what any process used.
export function timeMeter(): () => { stolen: number; busy: number } {
	const before = ticks();
	return () => {
		const spent = ticks().map((value, i) => value - before[i]!);
		const all = Math.max(1, spent.reduce((a, b) => a + b, 0));
		return { stolen: spent[7]! / all, busy: 1 - (spent[3]! + spent[4]! + spent[7]!) / all };
	};
}

// Ticks that a process has used, and those of its children that it has waited for; 0: it has ended, and whoever waited for it has them.
function ticksOf(pid: number): number {
	try {
		const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
		return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
	} catch {
		return 0;
	}
}

// Share of the machine's time since the call that neither this process nor any that descends from it had, and that was not idle: what was stolen is others', too.
export function foreignMeter(): () => number {
	const own = () => family(process.pid).reduce((sum, pid) => sum + ticksOf(pid), 0);
	const before = ticks(), ownBefore = own();
	return () => {
		const ours = own() - ownBefore;
		const spent = ticks().map((value, i) => value - before[i]!);
		const all = spent.reduce((a, b) => a + b, 0);
		return Math.max(0, all - spent[3]! - spent[4]! - ours) / Math.max(1, all);
	};
}

// Waits, for at most 30 s, until what runs beside the bench leaves the processors alone; returns how busy they were last. To be called
// while the bench itself rests.
export async function quiet(): Promise<number> {
	for (let tries = 0; ; tries++) {
		const meter = timeMeter();
		await sleep(500);
		const { busy } = meter();
		if (busy <= busyMost || tries === 60) return busy;
	}
}
