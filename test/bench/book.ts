// How fast tickets are booked, with receipts and synced as a server does it: into a file that holds millions already, and into a PostgreSQL of its own with
// fsync on. lethe-fill books them and compares every balance with an array that took each ticket's cost.
//   book.ts [--tickets N] [--on N] [--postgres-on N] [--accounts N] [--store file|postgres] [--verify]
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build } from "../harness/paths.ts";
import { Postgres } from "../harness/postgres.ts";
import { accountsStore, copyStore, type Store, ticketsStore } from "./stores.ts";
import type { Target, Tools } from "./targets.ts";

const bars = { file: 100_000, postgres: 30_000, cpuUs: 3 };

const text = (value: string) => ({ type: "string", default: value }) as const;
const { values } = parseArgs({
	options: { tickets: text("1000000"), on: text("20000000"), "postgres-on": text("200000"), accounts: text("10000"), store: { type: "string" }, verify: { type: "boolean" }, help: { type: "boolean" } },
});
if (values.help) {
	console.log("./dev book [--tickets N] [--on N] [--postgres-on N] [--accounts N] [--store file|postgres] [--verify]: N more tickets (1,000,000) on a file of so many (20,000,000), and on a PostgreSQL (200,000)");
	process.exit(0);
}
const [tickets, on, postgresOn, accounts] = [values.tickets, values.on, values["postgres-on"], values.accounts].map(Number) as [number, number, number, number];
if (![tickets, on, postgresOn, accounts].every((n) => n > 0) || !["file", "postgres", undefined].includes(values.store)) throw new Error("numbers above 0 are wanted, and --store file or postgres");

type Booked = { rate: number; rate_alone: number; cpu_us: number; balances: number };

const lethe = join(build, "lethe"), fill = join(build, "src/ledger/lethe-fill");
const tools = { lethe, fill } as Tools;
// Nobody is asked.
const upstream = { name: "nobody", addresses: ["127.0.0.1:9"], certificates: undefined, headers: [], groups: {}, end: async () => {} } satisfies Target;
const note = (said: string) => console.error(`book: ${said}`);
let failed = 0, unsure = 0;

function verdict(good: boolean, why: string | undefined, said: string): void {
	failed += good || why ? 0 : 1;
	unsure += !good && why ? 1 : 0;
	console.log(`${good ? "pass" : why ? "VOID" : "FAIL"}  ${said}${!good && why ? `; this run can't tell: ${why}` : ""}`);
}

const whole = (n: number) => Math.round(n).toLocaleString("en");

function book(data: string, payers: number, name: string, least: number, cpu: boolean): void {
	const said = JSON.parse(execFileSync(fill, [data, "--book", String(tickets), "--payers", String(payers), "--json"], { encoding: "utf8" })) as Booked;
	const waited = said.rate_alone >= least ? `others had the processors, without that wait it is ${whole(said.rate_alone)}` : undefined;
	verdict(said.rate >= least, waited, `${name}, ${payers} accounts: ${whole(said.rate)} tickets a second, ${whole(said.rate_alone)} without the wait for processors, at least ${whole(least)}; ${said.balances} balances explained`);
	if (cpu) verdict(said.cpu_us <= bars.cpuUs, undefined, `${name}, ${payers} accounts: ${said.cpu_us.toFixed(2)} µs of the ledger's processor a ticket, at most ${bars.cpuUs}`);
	else console.log(`      ${said.cpu_us.toFixed(2)} µs of the ledger's processor a ticket`);
}

function verify(data: string): void {
	const { sound, tickets: all } = JSON.parse(execFileSync(lethe, ["ledger", "verify", "--data", data, "--json"], { encoding: "utf8" })) as { sound: boolean; tickets: number };
	verdict(sound, undefined, `lethe ledger verify: ${whole(all)} tickets`);
}

function each(data: string, name: string, least: number, checked: boolean): void {
	const few = Math.min(100, accounts);
	book(data, few, name, least, true);
	if (few < accounts) book(data, accounts, name, least, false);
	if (checked) verify(data);
}

const folder = join(build, "bench-stores");
mkdirSync(folder, { recursive: true });
const many = await accountsStore(tools, upstream, folder, accounts, note);

async function onCopy(of: Store, what: (data: string) => Promise<void> | void): Promise<void> {
	const data = mkdtempSync(join(folder, "book-"));
	try {
		copyStore(of.data, data);
		await what(data);
	} finally {
		rmSync(data, { recursive: true, force: true });
	}
}

async function inFile(): Promise<void> {
	await onCopy(await ticketsStore(tools, many, folder, on, note), (data) => each(data, `SQLite, on ${whole(on)}`, bars.file, !!values.verify));
}

async function inPostgres(): Promise<void> {
	const store = await ticketsStore(tools, many, folder, postgresOn, note);
	process.env["LETHE_TEST_FSYNC"] = "on";
	const postgres = await Postgres.start();
	try {
		const address = await postgres.database();
		await onCopy(store, (data) => {
			const began = Date.now();
			execFileSync(lethe, ["store", "move", "--data", data, "--to", address], { stdio: ["ignore", "ignore", "inherit"] });
			note(`moved to PostgreSQL in ${((Date.now() - began) / 1000).toFixed(1)} s`);
			each(data, `PostgreSQL, on ${whole(postgresOn)}`, bars.postgres, true);
		});
	} finally {
		await postgres.stop();
	}
}

if (values.store !== "postgres") await inFile();
if (values.store !== "file") await inPostgres();
process.exitCode = failed ? 1 : unsure ? 3 : 0;
