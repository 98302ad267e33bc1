// ./dev bench: Lethe beside nginx, a bare TCP relay and the direct path, alternating in one run. test/bench/README.md says how to
// read it. Exit status: 0 measured (with --bars: all passed), 1 a bar failed, 3 the run is void.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Cell, cells, type Held, held, pacedCell, sample } from "./cells.ts";
import { busyMost, quiet, timeMeter } from "./processes.ts";
import { type CellReport, bars, barText, cellText, machine, memoryText, reportCell, type Rounds } from "./report.ts";
import { startLethe, startNginx, startRelay, startSim, type Target, type Tools } from "./targets.ts";

const usage = `usage: ./dev bench [--bars] [--quick] [options]

  --bars          print every agreed bar as pass or fail, and fail with them
  --quick         three short rounds: to see that it runs, not to quote
  --rounds N      rounds, 7 unless told
  --seconds S     of measuring per cell and target, 2 unless told
  --cell NAME     only this cell: ${[...cells, pacedCell].map((cell) => cell.name).join(", ")}, memory; may be repeated
  --paced         also the delay of requests below saturation
  --streams N     open streams of the memory cell, 5000 unless told
  --lethe CMD     the command of Lethe, build/lethe unless told; "none" measures without it
  --build DIR     where the tools were built, build unless told
  --output FILE   DIR/bench.json unless told
`;

type Options = { bars: boolean; rounds: number; seconds: number; cells: Cell[]; memory: boolean; streams: number; output: string; tools: Tools };

const root = resolve(import.meta.dirname, "../..");

function fail(why: string): never {
	process.stderr.write(`bench: ${why}\n`);
	process.exit(2);
}

function built(build: string, name: string, part: string): string {
	const found = [join(build, name), join(build, "test", part, name)].find(existsSync);
	return found ?? fail(`${name} is not built in ${build}`);
}

function letheCommand(said: string | undefined, build: string): string | undefined {
	if (said) return said === "none" ? undefined : said;
	const path = join(build, "lethe");
	if (existsSync(path)) return path;
	process.stderr.write(`bench: ${path} is not built: measuring without it\n`);
	return undefined;
}

function findTools(build: string, lethe: string | undefined): Tools {
	const nginx = ["/usr/sbin/nginx", "/usr/bin/nginx"].find(existsSync) ?? fail("nginx is not installed: apt-get install nginx-light");
	return {
		sim: built(build, "lethe-sim", "sim"),
		load: built(build, "lethe-load", "bench"),
		relay: built(build, "lethe-relay", "bench"),
		nginx,
		lethe: letheCommand(lethe, build),
		nginxTemplate: join(import.meta.dirname, "nginx.conf"),
	};
}

function chosen(names: string[] | undefined, paced: boolean): Cell[] {
	if (!names) return paced ? [...cells, pacedCell] : cells;
	const known = [...cells, pacedCell];
	for (const name of names) if (name !== "memory" && !known.some((cell) => cell.name === name)) fail(`no cell ${name}`);
	return known.filter((cell) => names.includes(cell.name));
}

function number(text: string | undefined, otherwise: number, least: number): number {
	const value = text === undefined ? otherwise : Number(text);
	if (!(value >= least)) fail(`${text} is not a number of at least ${least}`);
	return value;
}

function options(): Options {
	const flag = { type: "boolean", default: false } as const;
	const text = { type: "string" } as const;
	const many = { type: "string", multiple: true } as const;
	const { values } = parseArgs({
		options: {
			bars: flag, quick: flag, paced: flag, help: flag, cell: many,
			rounds: text, seconds: text, streams: text, lethe: text, build: text, output: text,
		},
	});
	if (values.help) {
		process.stdout.write(usage);
		process.exit(0);
	}
	const build = resolve(values.build ?? join(root, "build"));
	return {
		bars: values.bars,
		rounds: number(values.rounds, values.quick ? 3 : 7, 1),
		seconds: number(values.seconds, values.quick ? 0.7 : 2, 0.1),
		cells: chosen(values.cell, values.paced),
		memory: !values.cell || values.cell.includes("memory"),
		streams: number(values.streams, values.quick ? 1000 : 5000, 1),
		output: resolve(values.output ?? join(build, "bench.json")),
		tools: findTools(build, values.lethe),
	};
}

function note(text: string): void {
	process.stderr.write(`bench: ${text}\n`);
}

// Back and forth, so that a drift of the machine falls on all alike. nginx comes twice and thereby says how far to trust the round.
function order(targets: Target[], round: number): [string, Target][] {
	const nginx = targets.find((target) => target.name === "nginx")!;
	const line: [string, Target][] = targets.map((target) => [target.name, target]);
	line.push(["nginx-again", nginx]);
	return round % 2 ? line.reverse() : line;
}

async function beginRound(round: number, rounds: number): Promise<void> {
	const busy = await quiet();
	const beside = busy > busyMost ? `; other processes use ${(busy * 100).toFixed(0)} % of the processors` : "";
	note(`round ${round + 1} of ${rounds}${beside}`);
}

async function runCells(o: Options, targets: Target[]): Promise<CellReport[]> {
	const results = new Map<Cell, Rounds>(o.cells.map((cell) => [cell, {}]));
	for (let round = 0; round < o.rounds; round++) {
		await beginRound(round, o.rounds);
		for (const cell of o.cells)
			for (const [name, target] of order(targets, round)) {
				const rounds = results.get(cell)!;
				(rounds[name] ??= []).push(await sample(o.tools, targets[0]!, target, cell, o.seconds));
			}
	}
	return [...results].map(([cell, rounds]) => reportCell(cell, rounds));
}

async function runMemory(o: Options, sim: Target): Promise<Record<string, Held[]>> {
	const fresh: Record<string, () => Promise<Target>> = {
		relay: () => startRelay(o.tools, sim.address),
		nginx: () => startNginx(o.tools, sim.address),
	};
	if (o.tools.lethe) fresh["lethe"] = () => startLethe(o.tools, sim.address);
	const result: Record<string, Held[]> = {};
	for (let round = 0; round < Math.min(o.rounds, 3); round++)
		for (const [name, begin] of Object.entries(fresh)) {
			note(`memory: ${name}, round ${round + 1}`);
			(result[name] ??= []).push(await held(o.tools, begin, o.streams));
		}
	return result;
}

async function startTargets(o: Options, sim: Target): Promise<Target[]> {
	const targets = [sim];
	try {
		targets.push(await startRelay(o.tools, sim.address));
		targets.push(await startNginx(o.tools, sim.address));
		if (o.tools.lethe) targets.push(await startLethe(o.tools, sim.address));
	} catch (error) {
		for (const target of targets.slice(1)) await target.end();
		throw error;
	}
	return targets;
}

async function measureAll(o: Options) {
	const sim = await startSim(o.tools);
	try {
		const memory = o.memory ? await runMemory(o, sim) : {};
		const targets = o.cells.length ? await startTargets(o, sim) : [];
		try {
			return { reports: targets.length ? await runCells(o, targets) : [], memory };
		} finally {
			for (const target of targets.slice(1)) await target.end();
		}
	} finally {
		await sim.end();
	}
}

function version(command: string, ...args: string[]): string {
	try {
		return execFileSync("sh", ["-c", '"$@" 2>&1', "sh", command, ...args], { encoding: "utf8" }).trim().split("\n")[0]!;
	} catch {
		return "unknown";
	}
}

async function main(): Promise<number> {
	const o = options();
	if (cpus().length < 2) fail("two processors are needed: one for the proxy, one for what drives it");
	const meter = timeMeter();
	const { reports, memory } = await measureAll(o);
	const { stolen } = meter();
	const void_ = reports.flatMap((report) => report.void.map((reason) => `${report.cell}: ${reason}`));
	const verdicts = bars(reports);
	for (const report of reports) process.stdout.write(`${cellText(report)}\n\n`);
	if (o.memory) process.stdout.write(`${memoryText(memory)}\n\n`);
	process.stdout.write(`time taken by the hypervisor: ${(stolen * 100).toFixed(1)} %\n`);
	if (void_.length) process.stdout.write(`this run is VOID and must not be quoted:\n${void_.map((reason) => `  ${reason}\n`).join("")}`);
	if (o.bars) process.stdout.write(`${verdicts.map(barText).join("\n")}\n`);
	const { rounds, seconds } = o;
	const versions = { nginx: version(o.tools.nginx, "-v"), node: process.version };
	const file = { when: new Date().toISOString(), machine: machine(), versions, rounds, seconds, stolen, void: void_, bars: verdicts, cells: reports, memory };
	mkdirSync(dirname(o.output), { recursive: true });
	writeFileSync(o.output, `${JSON.stringify(file, null, "\t")}\n`);
	note(`written: ${o.output}`);
	if (void_.length) return 3;
	return o.bars && verdicts.some((bar) => !bar.passed) ? 1 : 0;
}

process.exitCode = await main();
