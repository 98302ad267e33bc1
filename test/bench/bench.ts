// ./dev bench: Lethe beside nginx, a bare TCP relay and the direct path, alternating in one run. test/bench/README.md says how to
// read it. Exit status: 0 measured (with --bars: all passed), 1 a bar failed, 3 the run is void.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Certificates, certificates } from "../harness/certificates.ts";
import { type Cell, cells, type Held, held, pacedCell, sample } from "./cells.ts";
import { busyMost, quiet, timeMeter } from "./processes.ts";
import { type CellReport, bars, barText, cellText, machine, memoryText, type Memories, reportCell, type Rounds } from "./report.ts";
import { startLethe, startNginx, startRelay, startSim, type Provider, type Target, type Tools } from "./targets.ts";

const known = [...cells, pacedCell];
// Their targets are fresh processes.
const memoryCells = ["memory", "tls_memory"] as const;

const usage = `usage: ./dev bench [--bars] [--quick] [options] [CELL...]

Cells, all of them unless some are named (request_paced only by name or with --paced):
  ${[...known.map((cell) => cell.name), ...memoryCells].join(", ")}

  --bars          print every agreed bar as pass or fail, and fail with them; ---- is one whose cell was not named
  --quick         three short rounds: to see that it runs, not to quote
  --rounds N      rounds, 7 unless told
  --seconds S     of measuring per cell and target, 2 unless told
  --paced         also the delay of requests below saturation
  --streams N     open streams of the memory cells, 5000 unless told
  --lethe CMD     the command of Lethe, build/lethe unless told; "none" measures without it
  --build DIR     where the tools were built, build unless told
  --output FILE   DIR/bench.json unless told
`;

type Options = {
	bars: boolean;
	rounds: number;
	seconds: number;
	cells: Cell[];
	memory: string[];
	streams: number;
	output: string;
	tools: Tools;
	certificates: Certificates;
};

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

function chosen(names: string[], paced: boolean): { cells: Cell[]; memory: string[] } {
	const all = [...known.map((cell) => cell.name), ...memoryCells];
	const stranger = names.find((name) => !all.includes(name));
	if (stranger) fail(`no cell ${stranger}; there are ${all.join(", ")}`);
	if (!names.length) return { cells: paced ? known : cells, memory: [...memoryCells] };
	return { cells: known.filter((cell) => names.includes(cell.name)), memory: memoryCells.filter((name) => names.includes(name)) };
}

function number(text: string | undefined, otherwise: number, least: number): number {
	const value = text === undefined ? otherwise : Number(text);
	if (!(value >= least)) fail(`${text} is not a number of at least ${least}`);
	return value;
}

function options(): Options {
	const flag = { type: "boolean", default: false } as const;
	const text = { type: "string" } as const;
	const { values, positionals } = parseArgs({
		allowPositionals: true,
		options: {
			bars: flag, quick: flag, paced: flag, help: flag,
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
		...chosen(positionals, values.paced),
		streams: number(values.streams, values.quick ? 1000 : 5000, 1),
		output: resolve(values.output ?? join(build, "bench.json")),
		tools: findTools(build, values.lethe),
		certificates: certificates(join(build, "certificates")),
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

async function runCells(o: Options, chosenCells: Cell[], provider: Provider, targets: Target[]): Promise<CellReport[]> {
	const results = new Map<Cell, Rounds>(chosenCells.map((cell) => [cell, {}]));
	for (let round = 0; round < o.rounds; round++) {
		await beginRound(round, o.rounds);
		for (const [cell, rounds] of results)
			for (const [name, target] of order(targets, round))
				(rounds[name] ??= []).push(await sample(o.tools, provider, target, cell, o.seconds));
	}
	return [...results].map(([cell, rounds]) => reportCell(cell, rounds));
}

type Fresh = Record<string, () => Promise<Target>>;

// The relay speaks no TLS.
function starters(tools: Tools, upstream: Target): Fresh {
	return {
		...(upstream.certificates ? {} : { relay: () => startRelay(tools, upstream) }),
		nginx: () => startNginx(tools, upstream),
		...(tools.lethe ? { lethe: () => startLethe(tools, upstream) } : {}),
	};
}

async function runMemory(o: Options, cell: string, fresh: Fresh): Promise<Record<string, Held[]>> {
	const result: Record<string, Held[]> = {};
	for (let round = 0; round < Math.min(o.rounds, 3); round++)
		for (const [name, begin] of Object.entries(fresh)) {
			note(`${cell}: ${name}, round ${round + 1}`);
			(result[name] ??= []).push(await held(o.tools, begin, o.streams));
		}
	return result;
}

// Cells that share their targets: in clear text, then with TLS.
async function measureWith(o: Options, tls: boolean, provider: Provider): Promise<CellReport[]> {
	const mine = o.cells.filter((cell) => cell.tls === tls);
	if (!mine.length) return [];
	const direct = tls ? provider.tls : provider.clear;
	const targets = [direct];
	try {
		for (const begin of Object.values(starters(o.tools, direct))) targets.push(await begin());
		return await runCells(o, mine, provider, targets);
	} finally {
		for (const target of targets.slice(1)) await target.end();
	}
}

async function measureAll(o: Options): Promise<{ reports: CellReport[]; memories: Memories }> {
	const provider = await startSim(o.tools, o.certificates);
	try {
		const memories: Memories = {};
		for (const cell of o.memory)
			memories[cell] = await runMemory(o, cell, starters(o.tools, cell === "tls_memory" ? provider.tls : provider.clear));
		const reports = [...(await measureWith(o, false, provider)), ...(await measureWith(o, true, provider))];
		return { reports, memories };
	} finally {
		await provider.end();
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
	const { reports, memories } = await measureAll(o);
	const { stolen } = meter();
	const void_ = reports.flatMap((report) => report.void.map((reason) => `${report.cell}: ${reason}`));
	const verdicts = bars(reports, memories);
	for (const report of reports) process.stdout.write(`${cellText(report)}\n\n`);
	for (const [cell, held] of Object.entries(memories)) process.stdout.write(`${memoryText(cell, held)}\n\n`);
	process.stdout.write(`time taken by the hypervisor: ${(stolen * 100).toFixed(1)} %\n`);
	if (void_.length) process.stdout.write(`this run is VOID and must not be quoted:\n${void_.map((reason) => `  ${reason}\n`).join("")}`);
	if (o.bars) process.stdout.write(`${verdicts.map(barText).join("\n")}\n`);
	const { rounds, seconds } = o;
	const versions = { nginx: version(o.tools.nginx, "-v"), node: process.version };
	const file = { when: new Date().toISOString(), machine: machine(), versions, rounds, seconds, stolen, void: void_, bars: verdicts, cells: reports, ...memories };
	mkdirSync(dirname(o.output), { recursive: true });
	writeFileSync(o.output, `${JSON.stringify(file, null, "\t")}\n`);
	note(`written: ${o.output}`);
	if (void_.length) return 3;
	return o.bars && verdicts.some((bar) => bar.passed === false) ? 1 : 0;
}

process.exitCode = await main();
