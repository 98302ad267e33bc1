// The long form of test/e2e/drills.test.ts: what an honest client waits beside each attack, against what it waits alone a moment before.
//   drill.ts [--seconds N] [NAME...]   a NAME is part of an attack's name; N seconds for each of three rounds alone and three beside it
import { execFileSync, spawn } from "node:child_process";
import { setTimeout as wait } from "node:timers/promises";
import { type Attack, attacks } from "../harness/attacks.ts";
import { Drill } from "../harness/drill.ts";

const perSecond = 50;
const bars = { ratio: 2, bytes: 1 << 20 };
const rounds = 3;

type Times = { p50: number; p99: number; failed: number };

// So many requests a second, whatever becomes of those before: who waits for an answer before asking again measures too little.
async function honest(d: Drill, seconds: number, tries: number): Promise<Times> {
	const times: number[] = [];
	let failed = 0;
	const running: Promise<void>[] = [];
	const begin = performance.now();
	for (let i = 0; i < seconds * perSecond; i++) {
		const at = begin + (i * 1000) / perSecond;
		await wait(Math.max(0, at - performance.now()));
		running.push(
			d.served(i % 2 === 0, tries).then(
				() => void times.push(performance.now() - at),
				() => void failed++,
			),
		);
	}
	await Promise.all(running);
	times.sort((a, b) => a - b);
	const rank = (q: number) => times[Math.min(times.length - 1, Math.floor(times.length * q))] ?? Infinity;
	return { p50: rank(0.5), p99: rank(0.99), failed };
}

// Attackers are a process of their own, and a nice one: what is measured is the gateway's patience, not the machine's.
function attackers(attack: Attack, d: Drill) {
	const child = spawn("nice", ["-n", "19", process.execPath, new URL("drill_attackers.ts", import.meta.url).pathname, attack.name, JSON.stringify(d.target)], {
		stdio: ["ignore", "ignore", "inherit"],
	});
	const ended = new Promise<void>((resolve) => void child.once("exit", () => resolve()));
	return async () => {
		// Who went by itself measured nothing.
		if (child.exitCode !== null) throw new Error(`the attackers ended: ${attack.name}`);
		child.kill("SIGKILL");
		await ended;
	};
}

async function most(d: Drill, stop: { now: boolean }): Promise<number> {
	let bytes = 0;
	for (; !stop.now; await wait(200)) bytes = Math.max(bytes, await d.used());
	return bytes;
}

async function calm(d: Drill): Promise<number> {
	for (;;) {
		const open = await d.counted("lethe_exchanges_open");
		if (open === 0 && (await d.counted("lethe_connections_open")) <= perSecond) return d.used();
		await wait(200);
	}
}

const ms = (n: number) => n.toFixed(1).padStart(7);

type Round = { alone: Times; beside: Times; bytes: number };

async function round(d: Drill, attack: Attack, seconds: number): Promise<Round> {
	const tries = attack.busy ? 5 : 1;
	await calm(d);
	const alone = await honest(d, seconds, tries), before = await calm(d);
	const end = attackers(attack, d), stop = { now: false };
	await wait(1000);
	const highest = most(d, stop);
	const beside = await honest(d, seconds, tries);
	stop.now = true;
	const bytes = Math.max(0, (await highest) - before) / attack.connections;
	await end();
	return { alone, beside, bytes };
}

// Of several rounds the least: what else the machine does can make a figure worse, never better.
const least = (all: Times[]): Times => ({
	p50: Math.min(...all.map((times) => times.p50)),
	p99: Math.min(...all.map((times) => times.p99)),
	failed: all.reduce((sum, times) => sum + times.failed, 0),
});

async function one(d: Drill, attack: Attack, seconds: number): Promise<boolean> {
	const all: Round[] = [];
	while (all.length < rounds) all.push(await round(d, attack, seconds));
	const alone = least(all.map((r) => r.alone)), beside = least(all.map((r) => r.beside));
	const each = Math.max(...all.map((r) => r.bytes)), ratio = beside.p99 / alone.p99;
	const good = beside.failed === 0 && each <= bars.bytes && ratio <= bars.ratio;
	console.log(
		`${attack.name.padEnd(36)} ${ms(alone.p50)} ${ms(alone.p99)}   ${ms(beside.p50)} ${ms(beside.p99)} ${ratio.toFixed(2).padStart(6)}   ${String(beside.failed).padStart(5)} ${String(Math.round(each / 1024)).padStart(8)}   ${good ? "pass" : "FAIL"}`,
	);
	return good;
}

async function main(args: string[]): Promise<number> {
	const at = args.indexOf("--seconds");
	const seconds = at < 0 ? 10 : Number(args.splice(at, 2)[1]);
	if (!(seconds > 0)) throw new Error("--seconds wants a number");
	const chosen = attacks.filter((attack) => args.length === 0 || args.some((name) => attack.name.includes(name)));
	if (chosen.length === 0) throw new Error(`no such attack; there are: ${attacks.map((attack) => attack.name).join(", ")}`);
	const d = await Drill.start();
	for (const pid of d.world.lethe.children("edge")) execFileSync("taskset", ["-cp", "1", String(pid)], { stdio: "ignore" });
	console.log(`${"milliseconds, and KiB a connection".padEnd(36)} ${"p50".padStart(7)} ${"p99".padStart(7)}   ${"p50".padStart(7)} ${"p99".padStart(7)} ${"ratio".padStart(6)}   failed      KiB`);
	let failed = 0;
	for (const attack of chosen) failed += (await one(d, attack, seconds)) ? 0 : 1;
	await d.end();
	console.log(`${chosen.length - failed} of ${chosen.length}: an honest client's p99 at most ${bars.ratio} times, none of its requests lost, a connection at most ${bars.bytes >> 10} KiB`);
	return failed ? 1 : 0;
}

process.exitCode = await main(process.argv.slice(2));
