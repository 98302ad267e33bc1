// The long form of test/e2e/nodes.test.ts: several servers on one PostgreSQL spend a balance to its end, in peace and while all goes wrong at once, and how fast.
//   nodes.ts [--nodes N] [--requests N] [--clients N] [--seconds N]
import { setTimeout as wait } from "node:timers/promises";
import { parseArgs } from "node:util";
import { upstreamKey } from "../harness/lethe.ts";
import { flatNano, nobody, Nodes, percentile, type Seen, signalAll } from "../harness/nodes.ts";
import { Postgres } from "../harness/postgres.ts";
import { Sim } from "../harness/sim.ts";
import { until } from "../harness/until.ts";
import { busyMost, foreignMeter } from "./processes.ts";

const bars = { holdMs: 20, holdsPerSecond: 500 };
const leaseMs = 30_000;

const { values } = parseArgs({
	options: {
		nodes: { type: "string", default: "4" },
		requests: { type: "string", default: "1000" },
		clients: { type: "string", default: "10000" },
		seconds: { type: "string", default: "10" },
		help: { type: "boolean" },
	},
});
if (values.help) {
	console.log("./dev nodes [--nodes N] [--requests N] [--clients N] [--seconds N]: N servers (4) on one PostgreSQL, credit for exactly N requests (1,000), N clients at once (10,000)");
	process.exit(0);
}
const [count, most, clients, seconds] = [values.nodes, values.requests, values.clients, values.seconds].map(Number) as [number, number, number, number];
if (!(count >= 3 && most > 0 && clients >= most && seconds > 0)) throw new Error("at least 3 nodes, and at least as many clients as requests");

let failed = 0, unsure = 0;
// doubt: why this run can't tell, if it can't.
function bar(good: boolean, text: string, doubt?: string): void {
	failed += good || doubt ? 0 : 1;
	unsure += !good && doubt ? 1 : 0;
	console.log(`${good ? "pass" : doubt ? "VOID" : "FAIL"}  ${text}${!good && doubt ? `; this run can't tell: ${doubt}` : ""}`);
}

const dollars = (requests: number) => ((requests * flatNano) / 1e9).toFixed(9);
const said = (seen: Seen) => `${seen.served} served, ${seen.short} times 402, ${seen.away} times 503, ${seen.broken} broken off`;

async function judge(nodes: Nodes, name: string, seen: Seen, before: number, credit = most): Promise<void> {
	const wrong = await nodes.wrong(name, credit * flatNano, seen, (await nodes.provided()) - before);
	for (const line of wrong) console.log(`      ${line}`);
	bar(wrong.length === 0, `${name}: nothing lost, nothing double, nothing below zero, lethe ledger verify on each node`);
}

async function inPeace(nodes: Nodes): Promise<void> {
	const seen = nobody(), before = await nodes.provided();
	const key = await nodes.account("peace", dollars(most));
	const begin = performance.now();
	await nodes.crowd(key, clients, seen, () => seen.served >= most);
	const took = (performance.now() - begin) / 1000;
	await nodes.spent("peace");
	bar(seen.served === most && (await nodes.left("peace")) === 0, `${count} nodes, credit for ${most}, ${clients} in parallel: ${said(seen)}, ${await nodes.left("peace")} nano-dollars left, in ${took.toFixed(1)} s`);
	await judge(nodes, "peace", seen, before);
}

// One request after the other for each of so many clients, as long as it lasts.
async function closed(nodes: Nodes, key: string, many: number, ms: number): Promise<Seen> {
	const seen = nobody();
	const end = performance.now() + ms;
	const one = async (at: number) => {
		while (performance.now() < end) await nodes.once(key, at++, seen);
	};
	await Promise.all(Array.from({ length: many }, (_, i) => one(i)));
	return seen;
}

// So many a second, whatever becomes of those before, until all are served that the credit is for.
async function paced(nodes: Nodes, key: string, perSecond: number, requests: number): Promise<Seen> {
	const seen = nobody(), all: Promise<void>[] = [];
	const begin = performance.now();
	for (let sent = 0; sent < requests; ) {
		for (const due = ((performance.now() - begin) / 1000) * perSecond; sent < due && sent < requests; sent++) all.push(nodes.crowd(key, 1, seen, () => seen.served >= requests, sent));
		await wait(2);
	}
	await Promise.all(all);
	return seen;
}

// What others had of the processors says whether a round can tell; its own result says nothing of that.
async function judged(round: () => Promise<Seen>): Promise<{ seen: Seen; doubt: string | undefined }> {
	const meter = foreignMeter();
	const seen = await round(), share = meter();
	return { seen, doubt: share > busyMost ? `others had ${(share * 100).toFixed(0)} % of the processors` : undefined };
}

async function speed(nodes: Nodes): Promise<void> {
	const key = await nodes.account("rich", "100000");
	const { seen: many, doubt: crowded } = await judged(() => closed(nodes, key, 64, seconds * 1000));
	const rate = many.served / seconds;
	bar(rate >= bars.holdsPerSecond, `one account, ${count} nodes, 64 clients: ${Math.round(rate)} holds a second, at least ${bars.holdsPerSecond}; ${said(many)}`, crowded);
	const requests = bars.holdsPerSecond * seconds;
	const plenty = await paced(nodes, key, bars.holdsPerSecond, requests);
	const paying = await nodes.account("paced", dollars(requests));
	const { seen, doubt } = await judged(() => paced(nodes, paying, bars.holdsPerSecond, requests));
	const last = seen.times.slice(-Math.floor(requests / 10));
	const text = (times: number[]) => `p50 ${percentile(times, 0.5).toFixed(1)}, p99 ${percentile(times, 0.99).toFixed(1)} ms`;
	// The whole request, of which the hold is a part. The last of them find a share that is nearly empty, and go to the store.
	bar(percentile(seen.times, 0.99) <= bars.holdMs, `${bars.holdsPerSecond} requests a second until the balance is spent: ${text(seen.times)}, at most ${bars.holdMs}; the last tenth ${text(last)}; of an account that has plenty ${text(plenty.times)}; ${said(seen)}`, doubt);
	bar(seen.served === requests, `${seen.served} of ${requests} served`);
}

async function inTrouble(nodes: Nodes, postgres: Postgres): Promise<void> {
	const seen = nobody(), before = await nodes.provided();
	const [first, stopped, killed] = nodes.all as [Nodes["all"][0], Nodes["all"][0], Nodes["all"][0]];
	const key = await nodes.account("trouble", dollars(most));
	let over = false;
	const crowd = nodes.crowd(key, clients, seen, () => over);
	await until("some are served", () => seen.served > most / 10, 60_000);
	signalAll(stopped, "SIGSTOP");
	const since = performance.now();
	signalAll(killed, "SIGKILL");
	await killed.ended();
	await postgres.restart();
	const forget = async () => (await first.run("node", "forget", "2")).status === 0;
	await until("who was killed can be forgotten", forget, 4 * leaseMs);
	await until("the lease of who is stopped is over", () => performance.now() - since > leaseMs + 5000, 2 * leaseMs);
	signalAll(stopped, "SIGCONT");
	await nodes.spent("trouble");
	over = true;
	await crowd;
	console.log(`      one stopped for ${Math.round((performance.now() - since) / 1000)} s, one killed and forgotten, the database restarted: ${said(seen)}, ${await nodes.left("trouble")} nano-dollars left`);
	await killed.up();
	await judge(nodes, "trouble", seen, before);
}

// The database is gone for a while, a ledger and a whole machine are killed meanwhile.
async function withoutDatabase(nodes: Nodes, postgres: Postgres): Promise<void> {
	const seen = nobody(), before = await nodes.provided();
	const [first, second] = nodes.all as [Nodes["all"][0], Nodes["all"][0]];
	const credit = 20 * most; // so much that it is not spent before the database is gone
	const key = await nodes.account("alone", dollars(credit));
	let over = false;
	// Each has a share then, however fast the first ones were served: without the database there is no other way to one.
	const shares = `SELECT count(*) FROM share WHERE nano >= ${most * flatNano} AND account = (SELECT id FROM account WHERE name = 'alone')`;
	const some = async () => (await nodes.crowd(key, 4 * count, seen, () => false), Number(await nodes.sql(shares)) === count);
	await until("each has a share", some, 60_000);
	const rise = await postgres.fall();
	const crowd = nodes.crowd(key, Math.min(clients, 2 * most), seen, () => over || seen.served >= credit);
	const since = performance.now(), then = seen.served;
	await until("they go on", () => seen.served > then, 60_000);
	const after = performance.now() - since;
	for (const pid of first.children("ledger")) process.kill(pid, "SIGKILL");
	await wait(seconds * 1000);
	signalAll(second, "SIGKILL");
	await second.ended();
	const alone = seen.served - then;
	await rise();
	await second.up();
	over = true;
	await crowd;
	await until("all is paid", async () => (await nodes.left("alone")) <= (credit - seen.served) * flatNano, 60_000);
	for (const node of nodes.all) await until("each has the database again", async () => (await node.verify()).json["error"]?.code !== "store_away", 60_000);
	bar(alone > 0, `no database for ${seconds} s: ${alone} served meanwhile, the first after ${Math.round(after)} ms, a ledger and a machine killed: ${said(seen)}, ${await nodes.left("alone")} nano-dollars left`);
	await judge(nodes, "alone", seen, before, credit);
}

process.env["LETHE_TEST_FSYNC"] ??= "on"; // as it is shipped: a hold that goes to the store waits for the disk
const postgres = await Postgres.start();
const sim = await Sim.start({ key: upstreamKey });
const limits = { limits: { streams_per_account_percent: 100 } };
async function on(config: object, what: (nodes: Nodes) => Promise<void>): Promise<void> {
	const nodes = await Nodes.start(postgres, sim, count, { ...limits, ...config });
	await what(nodes).finally(() => nodes.end());
}
try {
	await on({}, async (nodes) => {
		await inPeace(nodes);
		await speed(nodes);
	});
	// What was answered is on disk: who is killed takes nothing along.
	await on({ durability: "strict" }, async (nodes) => {
		await withoutDatabase(nodes, postgres);
		await inTrouble(nodes, postgres);
	});
} finally {
	sim.stop();
	await postgres.stop();
}
process.exitCode = failed ? 1 : unsure ? 3 : 0;
