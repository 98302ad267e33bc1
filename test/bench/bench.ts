// ./dev bench: Lethe beside nginx, HAProxy, bare relays and the direct path, at once or in turn, in one run. test/bench/README.md says how to
// read it. Exit status: 0 measured (with --bars: all passed), 1 a bar failed, 3 the run is void.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { bars, barsText } from "./bars.ts";
import { type Cell, type MemoryCell, opensPerSecond, tlsOpensPerSecond } from "./cells.ts";
import { fail, note, type Options, readOptions } from "./options.ts";
import { page } from "./page.ts";
import { busyMost, foreignMeter, quiet, timeMeter } from "./processes.ts";
import { again, cellText, counting, machine, type Machine, memoryText, reportCell, skippedCell, type CellReport, type Memories, type Rounds } from "./report.ts";
import { Meeting } from "./meeting.ts";
import { type Held, held, type Sample, sample, settleMs } from "./sample.ts";
import { accountsStore, type Store, ticketsStore } from "./stores.ts";
import { crowdProcesses, kinds, type Provider, type Setup, type Start, startSim, startTarget, type Target, type TargetName, upstreamOf } from "./targets.ts";

// Each takes some 5 ms to make.
const manyAccounts = (o: Options) => (o.effort.quick && o.tickets === undefined ? 500 : 10_000);

// Those with many accounts, by what a set-up wants.
type Stores = { accounts: Store | undefined; tickets: Store | undefined };

// ---- which targets

function missing(o: Options, name: TargetName): string | undefined {
	return name === "direct" ? undefined : kinds[name].missing(o.tools);
}

function skips(o: Options, cell: Cell): string | undefined {
	return cell.skip?.(o.tools) ?? missing(o, cell.yardstick);
}

function there(o: Options, names: TargetName[]): TargetName[] {
	return names.filter((name) => !missing(o, name));
}

function startOptions(o: Options, setup: Setup, provider: Provider, stores: Stores): Start {
	const upstream = upstreamOf(setup, provider);
	const store = stores.tickets ?? (setup.accounts > 1 ? stores.accounts : undefined);
	return { tools: o.tools, setup, upstream, certificates: o.certificates, store };
}

// ---- how long it takes

// What comes on top of measuring: settling, and asking the simulator.
const aroundSample = (o: Options) => (o.effort.quick ? 0.2 : 0.4);

function loadSeconds(args: string[]): number {
	const said = (name: string) => Number(args[args.indexOf(name) + 1]);
	return said("--seconds") + said("--warmup");
}

function cellSeconds(o: Options, cell: Cell): number {
	const args = cell.args(o.effort);
	const before = cell.first ? loadSeconds(cell.first(o.effort)) + aroundSample(o) : 0;
	const measuring = args.length ? loadSeconds(args) : o.effort.seconds + 0.5;
	return before + measuring + (cell.opening?.(o.effort) ?? 0) + aroundSample(o);
}

function runSeconds(o: Options): number {
	const timed = o.cells.filter((cell) => !skips(o, cell));
	const atATime = (cell: Cell) => (cell.beside ? 1 : there(o, cell.targets).length + (cell.alone ? 0 : 1));
	const samples = (cell: Cell) => atATime(cell) * roundsOf(o, cell) * turnsOf(o, cell);
	const rounds = timed.reduce((sum, cell) => sum + samples(cell) * cellSeconds(o, cell), 0);
	const memory = o.memory.reduce((sum, cell) => sum + there(o, cell.targets).length * memorySeconds(o, cell), 0) * memoryRounds(o);
	const starts = [...new Set(timed.map((cell) => cell.setup))].map((setup) => (setup.fresh ? Math.max(...timed.filter((cell) => cell.setup === setup).map((cell) => roundsOf(o, cell))) : 1));
	return rounds + memory + 2 * starts.reduce((sum, one) => sum + one, 0);
}

function roundsOf(o: Options, cell: Cell): number {
	return Math.min(o.rounds, cell.rounds ?? o.rounds);
}

function turnsOf(o: Options, cell: Cell): number {
	return o.effort.quick ? 1 : (cell.turns ?? 1);
}

function memoryRounds(o: Options): number {
	return Math.min(o.rounds, 3);
}

function memorySeconds(o: Options, cell: MemoryCell): number {
	return 1 + (2 * settleMs(o.effort.quick)) / 1000 + o.streams / (cell.setup.tlsIn ? tlsOpensPerSecond(o.effort.quick) : opensPerSecond);
}

// ---- rounds

// So many times the rounds that are asked for, until as many count (report.ts).
const triesMost = 3;

// Back and forth, so that a drift of the machine falls on all alike. The yardstick comes twice and thereby says how far to trust the round.
function order(cell: Cell, targets: Targets, round: number): [string, Target][] {
	const line: [string, Target][] = cell.targets.flatMap((name) => (targets.has(name) ? [[name, targets.get(name)!]] : []));
	if (!cell.alone) line.push([again(cell.yardstick), targets.get(again(cell.yardstick)) ?? targets.get(cell.yardstick)!]);
	return round % 2 ? line.reverse() : line;
}

async function beginRound(o: Options, setup: Setup, round: number, most: number): Promise<void> {
	const busy = o.effort.quick ? 0 : await quiet();
	const beside = busy > busyMost ? `; other processes use ${(busy * 100).toFixed(0)} % of the processors` : "";
	note(`${setup.name}: round ${round + 1} of ${most} at most${beside}`);
}

// Those of a set-up, beside the direct path: they run side by side and are asked in turn, or at once: then the yardstick is there twice.
type Targets = Map<string, Target>;

// Back and forth, round by round: who is started first may find a better place in memory.
async function startTargets(options: Start, cells: Cell[], names: TargetName[], targets: Targets, round: number): Promise<void> {
	const line = new Map<string, TargetName>([...names.map((name): [string, TargetName] => [name, name]), ...cells.flatMap(({ beside, yardstick }): [string, TargetName][] => (beside ? [[again(yardstick), yardstick]] : []))]);
	targets.set("direct", options.upstream);
	for (const [as, name] of round % 2 ? [...line].reverse() : line) if (name !== "direct") targets.set(as, await startTarget(options, name));
}

// All on one processor: whatever the machine does meanwhile, it does to each of them.
async function sampleBeside(o: Options, provider: Provider, line: [string, Target][], cell: Cell): Promise<[string, Sample][]> {
	const meter = foreignMeter(), meeting = new Meeting(line.length);
	const slice = (at: number) => (cell.slices ? { ...cell, args: (effort: Options["effort"], of?: string) => [...cell.args(effort, of), "--slice", `${at}/${line.length}`] } : cell);
	const samples = await Promise.all(line.map(async ([name, target], at): Promise<[string, Sample]> => [name, await sample(o.tools, provider, target, slice(at), o.effort, meeting)]));
	const foreign = meter();
	return samples.map(([name, one]) => [name, { ...one, foreign }]);
}

async function sampleInTurn(o: Options, provider: Provider, line: [string, Target][], cell: Cell): Promise<[string, Sample][]> {
	const samples: [string, Sample][] = [];
	for (const [name, target] of line) samples.push([name, await sample(o.tools, provider, target, cell, o.effort)]);
	return samples;
}

function sampleCell(o: Options, provider: Provider, line: [string, Target][], cell: Cell): Promise<[string, Sample][]> {
	return (cell.beside ? sampleBeside : sampleInTurn)(o, provider, line, cell);
}

async function endTargets(targets: Targets): Promise<void> {
	const started = [...targets].filter(([name]) => name !== "direct");
	targets.clear();
	for (const [, target] of started) await target.end();
}

async function runCells(o: Options, setup: Setup, cells: Cell[], provider: Provider, targets: Targets, restart: (round: number) => Promise<void>): Promise<CellReport[]> {
	const results = new Map<Cell, Rounds>(cells.map((cell) => [cell, {}]));
	const asked = (cell: Cell) => roundsOf(o, cell) * turnsOf(o, cell);
	const most = (cell: Cell) => roundsOf(o, cell) * (o.effort.quick ? 1 : triesMost);
	const missing = (round: number) => [...results].filter(([cell, rounds]) => round < most(cell) && counting(cell, rounds) < asked(cell));
	for (let round = 0; missing(round).length; round++) {
		if (setup.fresh && round > 0) await restart(round);
		await beginRound(o, setup, round, Math.max(...missing(round).map(([cell]) => most(cell))));
		for (const [cell, rounds] of missing(round)) {
			if (cell.first && (setup.fresh || round === 0)) await sampleCell(o, provider, order(cell, targets, round), { ...cell, args: cell.first });
			for (let turn = 0; turn < turnsOf(o, cell); turn++)
				for (const [name, one] of await sampleCell(o, provider, order(cell, targets, round + turn), cell)) (rounds[name] ??= []).push(one);
		}
	}
	return [...results].map(([cell, rounds]) => reportCell(cell, rounds, asked(cell)));
}

// Cells with one set-up share their targets.
async function runSetup(o: Options, setup: Setup, provider: Provider, stores: Stores): Promise<CellReport[]> {
	const mine = o.cells.filter((cell) => cell.setup === setup);
	const able = mine.filter((cell) => !skips(o, cell));
	const names = there(o, [...new Set(able.flatMap((cell) => cell.targets))]);
	const options = startOptions(o, setup, provider, stores), targets: Targets = new Map();
	const restart = async (round: number) => {
		await endTargets(targets);
		await startTargets(options, able, names, targets, round);
	};
	try {
		await startTargets(options, able, names, targets, 0);
		const reports = able.length ? await runCells(o, setup, able, provider, targets, restart) : [];
		return mine.map((cell) => reports.find((one) => one.cell === cell.name) ?? skippedCell(cell, skips(o, cell)!));
	} finally {
		await endTargets(targets);
	}
}

// One that fails, maybe after half an hour, does not take the others along.
async function runSetupSafely(o: Options, setup: Setup, provider: Provider, stores: Stores): Promise<CellReport[]> {
	let own: Provider | undefined;
	try {
		if (setup.crowd) own = await startSim(o.tools, o.certificates, crowdProcesses);
		return await runSetup(o, setup, own ?? provider, stores);
	} catch (error) {
		const why = `it failed: ${(error as Error).message}`;
		note(`${setup.name}: ${why}`);
		return o.cells.filter((cell) => cell.setup === setup).map((cell) => ({ ...skippedCell(cell, why), void: [why] }));
	} finally {
		await own?.end();
	}
}

async function runMemory(o: Options, cell: MemoryCell, provider: Provider, stores: Stores): Promise<Record<string, Held[]>> {
	const result: Record<string, Held[]> = {};
	const options = startOptions(o, cell.setup, provider, stores);
	for (let round = 0; round < memoryRounds(o); round++)
		for (const name of there(o, cell.targets) as typeof cell.targets) {
			note(`${cell.name}: ${name}, round ${round + 1}`);
			try {
				(result[name] ??= []).push(await held(o.tools, cell, () => startTarget(options, name), o.streams, o.effort.quick));
			} catch (error) {
				note(`${cell.name}: ${name} is left out of this round: ${(error as Error).message}`);
			}
		}
	return result;
}

async function makeStores(o: Options, provider: Provider): Promise<Stores> {
	const wanted = o.tickets !== undefined || o.cells.some((cell) => cell.setup.accounts > 1);
	if (!o.tools.lethe || !wanted) return { accounts: undefined, tickets: undefined };
	const folder = join(o.build, "bench-stores");
	const accounts = await accountsStore(o.tools, provider.clear, folder, manyAccounts(o), note);
	return { accounts, tickets: o.tickets === undefined ? undefined : await ticketsStore(o.tools, accounts, folder, o.tickets, note) };
}

async function measureAll(o: Options): Promise<{ reports: CellReport[]; memories: Memories }> {
	const provider = await startSim(o.tools, o.certificates);
	try {
		const stores = await makeStores(o, provider);
		if (o.storeOnly) return { reports: [], memories: {} };
		note(`this takes about ${(runSeconds(o) / 60).toFixed(1)} minutes on a quiet machine, and longer where nginx does not find itself again`);
		const memories: Memories = {};
		for (const cell of o.memory) memories[cell.name] = await runMemory(o, cell, provider, stores);
		const reports: CellReport[] = [];
		for (const setup of new Set(o.cells.map((cell) => cell.setup))) {
			reports.push(...(await runSetupSafely(o, setup, provider, stores)));
		}
		return { reports, memories };
	} finally {
		await provider.end();
	}
}

// ---- what it says

function version(command: string | undefined, ...args: string[]): string {
	if (!command) return "none";
	try {
		return execFileSync("sh", ["-c", '"$@" 2>&1', "sh", command, ...args], { encoding: "utf8" }).trim().split("\n")[0]!;
	} catch {
		return "unknown";
	}
}

function about(o: Options, where: Machine, versions: Record<string, string>): string {
	const store = o.tickets === undefined ? "new stores" : `a store of ${o.tickets} tickets`;
	const how = `${o.rounds} rounds of ${o.effort.seconds} s, ${store}`;
	return `${how}; ${where.processors} × ${where.processor}, Linux ${where.kernel}; ${Object.values(versions).join(", ")}`;
}

async function main(): Promise<number> {
	const o = readOptions();
	if (cpus().length < 2) fail("two processors are needed: one for the proxy, one for what drives it");
	const meter = timeMeter();
	const began = Date.now();
	const { reports, memories } = await measureAll(o);
	if (o.storeOnly) return 0;
	const { stolen } = meter();
	const void_ = reports.flatMap((report) => report.void.map((reason) => `${report.cell}: ${reason}`));
	const verdicts = bars(reports, memories);
	for (const report of reports) process.stdout.write(`${cellText(report)}\n\n`);
	for (const [cell, held] of Object.entries(memories)) process.stdout.write(`${memoryText(cell, held)}\n\n`);
	process.stdout.write(`time taken by the hypervisor: ${(stolen * 100).toFixed(1)} %; minutes: ${((Date.now() - began) / 60_000).toFixed(1)}\n`);
	if (void_.length) process.stdout.write(`this run is VOID and must not be quoted:\n${void_.map((reason) => `  ${reason}\n`).join("")}`);
	if (o.bars) process.stdout.write(`${barsText(verdicts)}\n`);
	const { rounds, effort, tickets } = o;
	const versions = { nginx: version(o.tools.nginx, "-v"), haproxy: version(o.tools.haproxy, "-v"), node: process.version };
	const when = new Date().toISOString();
	const file = { when, machine: machine(), versions, rounds, ...effort, tickets, stolen, void: void_, bars: verdicts, cells: reports, ...memories };
	mkdirSync(dirname(o.output), { recursive: true });
	writeFileSync(o.output, `${JSON.stringify(file, null, "\t")}\n`);
	const html = o.output.replace(/(\.json)?$/, ".html");
	writeFileSync(html, page({ when, about: about(o, machine(), versions), void: void_, reports, memories, bars: verdicts }));
	note(`written: ${o.output}, ${html}`);
	if (void_.length) return 3;
	if (!o.bars) return 0;
	if (verdicts.some((bar) => bar.passed === false && !bar.void)) return 1;
	return verdicts.some((bar) => bar.void) ? 3 : 0;
}

process.exitCode = await main();
