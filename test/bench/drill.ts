// The long form of test/e2e/drills.test.ts: what an honest client waits beside each attack, against what it waits alone a moment before.
//   drill.ts [--seconds N] [NAME...]   a NAME is part of an attack's name; N seconds for each of three rounds alone and three beside it
import { execFileSync, spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { type Attack, attacks } from "../harness/attacks.ts";
import { Drill } from "../harness/drill.ts";
import { build } from "../harness/paths.ts";
import { type Measured, measure } from "./load.ts";
import { driverProcessor, family, proxyProcessors } from "./processes.ts";

const bars = { ratio: 2, bytes: 1 << 20 };
const rounds = 3;

// As in the bench, Lethe has a processor of its own. All others are on the first, and attackers and their provider only while nobody else wants to: what is measured is the gateway's patience,
// not the machine's. In Node an honest client would wait for its own compiler and collector longer than for the gateway. Its provider thinks for a millisecond, where
// real ones take a hundred: nobody's p99 is without that.
const load = join(build, "test/bench/lethe-load");
const honest = "requests --stream --model exact --sim chunks=5,delay_ms=1 --connections 1 --rate 100 --awake --witness --warmup 1 --seconds".split(" ");

function attackers(attack: Attack, d: Drill) {
	const command = [process.execPath, new URL("drill_attackers.ts", import.meta.url).pathname, attack.name, JSON.stringify(d.target)];
	const child = spawn("taskset", ["-c", driverProcessor, "chrt", "--idle", "0", ...command], { stdio: ["pipe", "ignore", "inherit"] });
	const ended = new Promise<void>((resolve) => void child.once("exit", () => resolve()));
	return async () => {
		// Who went by itself measured nothing.
		if (child.exitCode !== null) throw new Error(`the attackers ended: ${attack.name}`);
		child.kill("SIGKILL");
		await ended;
	};
}

type Looked = { times: Measured; bytes: number };

// What the honest client waits, and the most memory for content meanwhile: asked for with and without an attack, since asking takes time as well.
async function look(d: Drill, seconds: number): Promise<Looked> {
	let ended = false, bytes = 0;
	const target = { name: "lethe", addresses: [new URL(d.honest.clear).host], headers: [`authorization: Bearer ${d.honest.key}`], certificates: undefined, groups: {}, end: async () => {} };
	const times = measure({ load }, target, [...honest, String(seconds)]).finally(() => (ended = true));
	for (; !ended; await wait(200)) bytes = Math.max(bytes, await d.used());
	return { times: await times, bytes };
}

async function calm(d: Drill): Promise<number> {
	for (;;) {
		const open = await d.counted("lethe_exchanges_open");
		if (open === 0 && (await d.counted("lethe_connections_open")) <= 1) return d.used();
		await wait(200);
	}
}

const us = (n: number) => n.toFixed(0).padStart(7);

type Round = { alone: Measured; beside: Measured; bytes: number };

async function round(d: Drill, attack: Attack, seconds: number): Promise<Round> {
	await calm(d);
	const alone = await look(d, seconds), before = await calm(d);
	const end = attackers(attack, d);
	await wait(1000);
	const beside = await look(d, seconds);
	await end();
	return { alone: alone.times, beside: beside.times, bytes: Math.max(0, beside.bytes - before) / attack.connections };
}

// Of several rounds the least: what else the machine does can make a figure worse, never better.
const least = (all: Measured[]) => ({
	p50: Math.min(...all.map((times) => times.p50_us)),
	p99: Math.min(...all.map((times) => times.p99_us)),
	failed: all.reduce((sum, times) => sum + times.errors, 0),
});

async function one(d: Drill, attack: Attack, seconds: number): Promise<boolean> {
	const all: Round[] = [];
	while (all.length < rounds) all.push(await round(d, attack, seconds));
	const alone = least(all.map((r) => r.alone)), beside = least(all.map((r) => r.beside));
	const each = Math.max(...all.map((r) => r.bytes)), ratio = beside.p99 / alone.p99;
	const good = alone.failed + beside.failed === 0 && each <= bars.bytes && ratio <= bars.ratio;
	console.log(
		`${attack.name.padEnd(36)} ${us(alone.p50)} ${us(alone.p99)}   ${us(beside.p50)} ${us(beside.p99)} ${ratio.toFixed(2).padStart(6)}   ${String(beside.failed).padStart(5)} ${String(Math.round(each / 1024)).padStart(8)}   ${good ? "pass" : "FAIL"}`,
	);
	for (const { first_error } of all.flatMap((r) => [r.alone, r.beside])) if (first_error) console.log(`   ${first_error}`);
	return good;
}

async function main(args: string[]): Promise<number> {
	const at = args.indexOf("--seconds");
	const seconds = at < 0 ? 10 : Number(args.splice(at, 2)[1]);
	if (!(seconds > 0)) throw new Error("--seconds wants a number");
	const chosen = attacks.filter((attack) => args.length === 0 || args.some((name) => attack.name.includes(name)));
	if (chosen.length === 0) throw new Error(`no such attack; there are: ${attacks.map((attack) => attack.name).join(", ")}`);
	const pin = (pid: number, processors: string) => execFileSync("taskset", ["-acp", processors, String(pid)], { stdio: "ignore" });
	const d = await Drill.start();
	for (const pid of [process.pid, d.world.sim.pid, d.theirs.pid]) pin(pid, driverProcessor);
	execFileSync("chrt", ["--all-tasks", "--idle", "--pid", "0", String(d.theirs.pid)]);
	for (const pid of family(d.world.lethe.pid)) pin(pid, proxyProcessors(1));
	console.log(`${"µs, and KiB a connection".padEnd(36)} ${"p50".padStart(7)} ${"p99".padStart(7)}   ${"p50".padStart(7)} ${"p99".padStart(7)} ${"ratio".padStart(6)}   failed      KiB`);
	let failed = 0;
	for (const attack of chosen) failed += (await one(d, attack, seconds)) ? 0 : 1;
	await d.end();
	console.log(`${chosen.length - failed} of ${chosen.length}: an honest client's p99 at most ${bars.ratio} times, none of its requests lost, a connection at most ${bars.bytes >> 10} KiB`);
	return failed ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
