// What all processes take along when they are killed at once: rounds of streams and plain requests, each ended at another moment between two writes of progress.
//   loss.ts [--rounds N] [--streams N] [--json]
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { bounds, type Durability, killAll, type Loss, loss, openStream, type Part } from "../harness/loss.ts";
import { Load } from "../harness/load.ts";
import { world } from "../harness/world.ts";

const { values } = parseArgs({ options: { rounds: { type: "string", default: "6" }, streams: { type: "string", default: "50" }, json: { type: "boolean" }, help: { type: "boolean" } } });
if (values.help) {
	console.log("./dev crash --loss [--rounds N] [--streams N] [--json]: kill all processes N times (6) under N streams (50) and plain requests, for each durability: what was delivered and not charged, against what may be");
	process.exit(0);
}
const [rounds, many] = [values.rounds, values.streams].map(Number) as [number, number];
if (!(rounds > 0 && many > 0)) throw new Error("numbers above 0 are wanted");
const gapMs = 20, dollars = "1000";

async function round(durability: Durability, part: number): Promise<Loss> {
	const w = await world({ dollars, config: { durability, limits: { streams_per_account_percent: 100 } } });
	try {
		const streams = await Promise.all(Array.from({ length: many }, () => openStream(w, gapMs)));
		const load = new Load(w.lethe, w.customer, 10, true);
		// Progress was written of all of them at least once; then some part of the time until the next.
		await wait(bounds(durability).progressMs * (1 + part));
		const then = await killAll(w.lethe);
		const results = [...(await load.stop())];
		await w.lethe.up();
		return await loss(w, durability, then, streams, results);
	} finally {
		await w.end();
	}
}

// Of all rounds: the oldest, and the most that one of them cost.
function worst(parts: Part[]): Part {
	const sum = (of: (part: Part) => number) => parts.reduce((all, part) => all + of(part), 0);
	const dear = parts.reduce((a, b) => (b.nano > a.nano ? b : a));
	return { of: sum((part) => part.of), lost: sum((part) => part.lost), seconds: Math.max(...parts.map((part) => part.seconds)), nano: dear.nano, mostNano: dear.mostNano };
}

const all: Loss[] = [];
for (const durability of ["batched", "strict"] as const)
	for (let n = 0; n < rounds; n++) all.push(await round(durability, n / rounds));

const table = (["batched", "strict"] as const).flatMap((durability) => {
	const of = all.filter((one) => one.durability === durability), bound = bounds(durability);
	const row = (what: "progress" | "answers", most: number) => ({ durability, what, at_most_seconds: most / 1000, ...worst(of.map((one) => one[what])) });
	return [row("progress", bound.progressMs), row("answers", bound.answersMs)];
});
const wrong = all.flatMap((one) => one.wrong.map((what) => `${one.durability}: ${what}`));
if (values.json) console.log(JSON.stringify({ rounds, streams: many, table, interrupted: all.map((one) => one.interrupted), wrong }, null, "\t"));
else {
	const cells = table.map((row) => [row.durability, row.what, `${row.lost} of ${row.of}`, row.seconds.toFixed(2), row.at_most_seconds.toFixed(2), String(row.nano), String(row.mostNano)]);
	for (const line of [["durability", "of", "lost", "s", "at most", "nano-dollars", "at most"], ...cells]) console.log(line.map((cell, i) => (i < 2 ? cell.padEnd(11) : cell.padStart(13))).join(" "));
	for (const what of wrong) console.log(`FAIL  ${what}`);
}
process.exitCode = wrong.length ? 1 : 0;
