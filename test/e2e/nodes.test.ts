import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Lethe, nano, sim, upstreamKey } from "../harness/lethe.ts";
import { Postgres } from "../harness/postgres.ts";
import { Sim } from "../harness/sim.ts";
import { until } from "../harness/until.ts";

let postgres: Postgres;
let provider: Sim;
beforeAll(async () => {
	postgres = await Postgres.start();
	provider = await Sim.start({ key: upstreamKey });
});
afterAll(async () => {
	provider?.stop();
	await postgres?.stop();
});

const hi = [{ role: "user" as const, content: "hi" }];
// 1 x $1.00 + 10 x $10.00 per million; what is held is a little more, and less than twice as much
const use = sim("prompt_tokens=1,completion_tokens=10");
const price = nano("0.000101");

// The first makes the store; the others get its secrets, as an operator copies them.
async function servers(address: string, count: number): Promise<Lethe[]> {
	const first = await Lethe.start({ sim: provider, edges: 1, config: { node: 0 }, environment: { LETHE_STORE: address } });
	const all = [first];
	try {
		expect(await first.stop()).toBe(0);
		await first.command("node", "share");
		await first.up();
		for (let node = 1; node < count; node++) {
			const lethe = await Lethe.start({ sim: provider, edges: 1, config: { node } });
			all.push(lethe);
			await lethe.stop();
			for (const name of ["ledger.db", "ledger.db-wal", "ledger.db-shm"]) rmSync(join(lethe.data, name), { force: true });
			for (const name of ["pepper", "receipt.key", "master.key"]) copyFileSync(join(first.data, name), join(lethe.data, name));
			writeFileSync(join(lethe.data, "store"), `${address}\n`);
			await lethe.up();
		}
		return all;
	} catch (error) {
		for (const lethe of all) await lethe.finish();
		throw error;
	}
}

type Outcome = "served" | "short" | "away";

async function ask(lethe: Lethe, key: string): Promise<Outcome> {
	try {
		await lethe.client(key).chat.completions.create({ model: "exact", messages: hi, max_tokens: 10 }, use);
		return "served";
	} catch (error) {
		const status = (error as { status?: number }).status;
		// A key that was made on another server is known here a moment later; 503: its ledger is being replaced.
		if (status === 402) return "short";
		if (status === 503 || status === 401) return "away";
		throw error;
	}
}

describe("several servers on one store", () => {
	test("spend a balance to its end and no further, though a ledger is killed", async () => {
		const most = 90;
		const address = await postgres.database();
		const all = await servers(address, 3);
		try {
			const a = await all[0]!.account("alice", ((most * price + 0.9 * price) / 1e9).toFixed(9));
			let served = 0, killed = false;
			const work = async (at: number) => {
				while (served < most) {
					if ((await ask(all[at++ % all.length]!, a.key)) === "served") served++;
					if (served > most / 3 && !killed) {
						killed = true;
						for (const pid of all[1]!.children("ledger")) process.kill(pid, "SIGKILL");
					}
				}
			};
			await Promise.all(Array.from({ length: 12 }, (_, i) => work(i)));
			// Those that were under way when the last was served.
			expect(served).toBe(most);
			for (const lethe of all) await until("nothing is left", async () => (await ask(lethe, a.key)) === "short");
			await until("all is booked", async () => (await all[0]!.balance(a.id)) === nano("0.000090900"));
			for (const lethe of all) {
				const verified = await lethe.verify();
				expect(verified.json["invariants"]?.filter((i: { ok: boolean }) => !i.ok)).toEqual([]);
			}
			expect((await all[2]!.command("node", "list"))["rows"].map((row: { state: string }) => row.state)).toEqual(["up", "up", "up"]);
			expect(await postgres.ask(address, "SELECT count(*), count(DISTINCT id), sum(cost_nano) FROM ticket WHERE cost_nano > 0")).toBe(`${most}|${most}|${most * price}`);
			for (const lethe of all) expect(await lethe.stop()).toBe(0);
			expect(await postgres.ask(address, "SELECT sum(lent_nano) FROM account")).toBe("0");
			// All of them have left, in order.
			expect(await postgres.ask(address, "SELECT min(state), max(state) FROM node WHERE id < 255")).toBe("2|2");
		} finally {
			for (const lethe of all) await lethe.finish();
		}
	}, 120_000);
});
