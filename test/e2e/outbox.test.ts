import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Json, type Lethe, upstreamKey } from "../harness/lethe.ts";
import { flatNano, nobody, Nodes, signalAll } from "../harness/nodes.ts";
import { Postgres } from "../harness/postgres.ts";
import { Sim } from "../harness/sim.ts";
import { until } from "../harness/until.ts";

let postgres: Postgres;
let provider: Sim;
let nodes: Nodes;
let lethe: Lethe;
beforeAll(async () => {
	postgres = await Postgres.start();
	provider = await Sim.start({ key: upstreamKey });
	// What was answered is on disk: whoever is killed takes nothing along.
	nodes = await Nodes.start(postgres, provider, 1, { durability: "strict" });
	lethe = nodes.all[0]!;
});
afterAll(async () => {
	await nodes?.end();
	provider?.stop();
	await postgres?.stop();
});

const credit = 100, each = 8;
const dollars = ((credit * flatNano) / 1e9).toFixed(9);
const own = async () => (await lethe.run("node", "list")).json["rows"]?.[0] as Json | undefined;
const waits = async () => ((await own())?.["waiting_requests"] as number | undefined) ?? 0;
const outbox = async () => ((await lethe.run("doctor")).json["facts"] as Json[]).find((fact) => fact["fact"] === "outbox");

// The new binary wants its prices in the book: the one that runs is carried on with, over the same board and outbox.
async function upgradeInVain(): Promise<void> {
	const result = await lethe.upgrade();
	expect({ status: result.status, said: (result.json["said"] as string[]).join("\n") }).toEqual({ status: 1, said: expect.stringMatching(/is the store writable\?[^]*the server goes on as it is/) });
}

async function upgrade(): Promise<void> {
	await until("it is upgraded", async () => (await lethe.upgrade()).json["result"] === "applied");
}

async function fall(): Promise<void> {
	signalAll(lethe, "SIGKILL");
	await lethe.ended();
}

describe("a server whose outbox is not empty", () => {
	test.each([
		{ what: "is upgraded, in vain before that", name: "upgraded", during: upgradeInVain, after: upgrade, goesOn: true },
		{ what: "is killed with all its processes", name: "killed", during: fall, after: () => lethe.up(), goesOn: false },
	])("$what: each request is booked once when the database is back", async ({ name, during, after, goesOn }) => {
		const seen = nobody(), before = await nodes.provided();
		const key = await nodes.account(name, dollars);
		const serve = async () => {
			for (let n = 0; n < each; n++) await until("it serves", () => nodes.once(key, 0, seen));
		};
		await until("it has its share", () => nodes.once(key, 0, seen));
		await until("the share is there", async () => (await nodes.sql(`SELECT count(*) FROM share JOIN account ON account.id = account WHERE name = '${name}' AND nano > ${4 * each * flatNano}`)) === "1");
		expect(await outbox()).toMatchObject({ state: "ok", value: "nothing waits", remedy: "" });
		const rise = await postgres.fall();
		await until("it is cut off", async () => (await own())?.["state"] === "cut off");
		await serve();
		await until("they wait", async () => (await waits()) >= each);
		expect(await outbox()).toMatchObject({ state: "warn", value: expect.stringMatching(/^\d+ requests wait, the oldest for \d+ (s|min), of node 0, and the store is not reached$/), remedy: expect.stringContaining("systemctl start postgresql") });
		await during();
		if (goesOn) await serve();
		await rise();
		if (!goesOn) {
			const verified = await lethe.verify();
			expect(verified.json, verified.stdout).toMatchObject({ sound: true, tickets_in_outbox: seen.served - 1 });
			expect(await outbox()).toMatchObject({ state: "warn", number: seen.served - 1, value: expect.stringContaining("of node 0, for this store"), remedy: expect.stringContaining("systemctl start lethe") });
			const identity = await nodes.sql("UPDATE pen SET identity = identity + 2 RETURNING identity - 2");
			expect(await outbox()).toMatchObject({ state: "bad", value: expect.stringContaining("for another store"), remedy: expect.stringContaining("--store postgres://") });
			await nodes.sql(`UPDATE pen SET identity = ${identity.split("\n")[0]}`);
		}
		await after();
		await until("all is paid", async () => (await nodes.left(name)) === (credit - seen.served) * flatNano);
		expect(await nodes.wrong(name, credit * flatNano, seen, (await nodes.provided()) - before)).toEqual([]);
		await until("nothing waits", () => !existsSync(join(lethe.data, "outbox.db")));
	});
});
