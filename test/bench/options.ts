// The command line of ./dev bench.
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type Certificates, certificates } from "../harness/certificates.ts";
import { barCells } from "./bars.ts";
import { cells, type Cell, type Effort, memoryCells, type MemoryCell } from "./cells.ts";
import type { Tools } from "./targets.ts";

const names = (of: { name: string; extra?: true }[], extra: boolean) => of.filter((one) => !!one.extra === extra).map((one) => one.name);
const usualTickets = 20_000_000;

const usage = `usage: ./dev bench [--bars] [--quick] [options] [CELL...]

Cells, all of them (an hour) unless some are named:
  ${[...names(cells, false), ...names(memoryCells, false)].join(", ")}
Only by name:
  ${names(cells, true).join(", ")}

  --bars          print every agreed bar as pass or fail, and fail with them; ---- is one whose cell was not named.
                  Unless some are named, the cells that a bar is taken from: some 40 minutes
  --quick         one short round: to see that it runs, not to quote
  --rounds N      rounds, 7 unless told
  --seconds S     of measuring per cell and target, 2 unless told
  --streams N     open streams of the memory cells, 5000 unless told
  --big-store     Lethe begins every cell with a store that holds --tickets already
  --tickets N     of the big store, ${usualTickets} unless told. Alone: makes the store and ends; it is made once and kept
  --lethe CMD     the command of Lethe, build/lethe unless told; "none" measures without it
  --build DIR     where the tools were built, build unless told
  --output FILE   DIR/bench.json unless told; the page with plots goes beside it, bench.html
`;

export type Options = {
	bars: boolean;
	rounds: number;
	effort: Effort;
	cells: Cell[];
	memory: MemoryCell[];
	streams: number;
	// Of the big store; undefined: none is wanted.
	tickets: number | undefined;
	storeOnly: boolean;
	build: string;
	output: string;
	tools: Tools;
	certificates: Certificates;
};

const root = resolve(import.meta.dirname, "../..");

export function fail(why: string): never {
	process.stderr.write(`bench: ${why}\n`);
	process.exit(2);
}

export function note(text: string): void {
	process.stderr.write(`bench: ${text}\n`);
}

function built(build: string, name: string, part: string): string {
	return [join(build, name), join(build, part, name)].find(existsSync) ?? fail(`${name} is not built in ${build}`);
}

function letheCommand(said: string | undefined, build: string): string | undefined {
	if (said) return said === "none" ? undefined : said;
	const path = join(build, "lethe");
	if (existsSync(path)) return path;
	note(`${path} is not built: measuring without it`);
	return undefined;
}

function installed(name: string): string | undefined {
	return ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"].map((folder) => join(folder, name)).find(existsSync);
}

function findTools(build: string, lethe: string | undefined): Tools {
	return {
		sim: built(build, "lethe-sim", "test/sim"),
		load: built(build, "lethe-load", "test/bench"),
		fill: built(build, "lethe-fill", "src/ledger"),
		relay: built(build, "lethe-relay", "test/bench"),
		relayUring: built(build, "lethe-relay-uring", "test/bench"),
		nginx: installed("nginx") ?? fail("nginx is not installed: apt-get install nginx-light"),
		haproxy: installed("haproxy"),
		h2load: installed("h2load"),
		lethe: letheCommand(lethe, build),
		bare: [join(root, "build-bare/lethe")].find(existsSync),
		templates: import.meta.dirname,
	};
}

function chosen(said: string[], bars: boolean): { cells: Cell[]; memory: MemoryCell[] } {
	const all = [...cells, ...memoryCells].map((cell) => cell.name);
	const stranger = said.find((name) => !all.includes(name));
	if (stranger) fail(`no cell ${stranger}; there are ${all.join(", ")}`);
	const usual = (cell: { name: string; extra?: true }) => (bars ? barCells.includes(cell.name) : !cell.extra);
	const wanted = (cell: { name: string; extra?: true }) => (said.length ? said.includes(cell.name) : usual(cell));
	return { cells: cells.filter(wanted), memory: memoryCells.filter(wanted) };
}

function number(text: string | undefined, otherwise: number, least: number): number {
	const value = text === undefined ? otherwise : Number(text);
	if (!(value >= least)) fail(`${text} is not a number of at least ${least}`);
	return value;
}

function parsed() {
	const flag = { type: "boolean", default: false } as const;
	const text = { type: "string" } as const;
	const options = {
		bars: flag, quick: flag, help: flag, "big-store": flag,
		rounds: text, seconds: text, streams: text, tickets: text, lethe: text, build: text, output: text,
	};
	try {
		return parseArgs({ allowPositionals: true, options });
	} catch (error) {
		return fail(`${(error as Error).message}\n${usage}`);
	}
}

export function readOptions(): Options {
	const { values, positionals } = parsed();
	if (values.help) {
		process.stdout.write(usage);
		process.exit(0);
	}
	const { quick } = values;
	const build = resolve(values.build ?? join(root, "build"));
	const storeOnly = values.tickets !== undefined && !values["big-store"];
	if (storeOnly && positionals.length) fail("--tickets with cells wants --big-store: without it no cell would use that store");
	return {
		bars: values.bars,
		rounds: number(values.rounds, quick ? 1 : 7, 1),
		effort: { seconds: number(values.seconds, quick ? 0.25 : 2, 0.1), warmup: quick ? 0.3 : 1, quick },
		...chosen(positionals, values.bars),
		streams: number(values.streams, quick ? 500 : 5000, 1),
		tickets: values["big-store"] || storeOnly ? number(values.tickets, usualTickets, 1) : undefined,
		storeOnly,
		build,
		output: resolve(values.output ?? join(build, "bench.json")),
		tools: findTools(build, values.lethe),
		certificates: certificates(join(build, "certificates")),
	};
}
