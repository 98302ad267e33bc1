import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Lethe, nano, sim, upstreamKey } from "../harness/lethe.ts";
import { get } from "../harness/metrics.ts";
import { Postgres } from "../harness/postgres.ts";
import { removeFolder, temporaryFolder } from "../harness/paths.ts";
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
// 100 x $1.00 + 10 x $10.00 per million
const use = sim("prompt_tokens=100,completion_tokens=10");
const price = nano("0.0002");

async function serve(address: string): Promise<Lethe> {
	return Lethe.start({ sim: provider, environment: { LETHE_STORE: address } });
}

async function isSound(lethe: Lethe): Promise<void> {
	const verified = await lethe.verify();
	expect(verified.json["invariants"]?.filter((i: { ok: boolean }) => !i.ok)).toEqual([]);
	expect(verified.json["sound"]).toBe(true);
}

// False: there was none, or it ended by itself meanwhile.
function killed(pids: number[]): boolean {
	try {
		return pids.map((pid) => process.kill(pid, "SIGKILL")).length > 0;
	} catch {
		return false;
	}
}

describe("a ledger in PostgreSQL", () => {
	test("charges, pays and proves as one in a file, and leaves no file", async () => {
		const address = await postgres.database();
		const lethe = await serve(address);
		try {
			const a = await lethe.account("alice", "5.00");
			const stream = lethe.client(a.key).chat.completions.stream({ model: "exact", messages: hi }, use);
			await stream.done();
			await lethe.client(a.key).chat.completions.create({ model: "exact", messages: hi }, use);
			await until("both are booked", async () => (await lethe.balance(a.id)) === nano("5.00") - 2 * price);
			expect((await lethe.usage(a.id))["requests"]).toBe(2);
			expect((await lethe.command("usage", "--account", a.id, "--by", "month,model"))["rows"]).toMatchObject([{ model: "exact", requests: 2 }]);
			await isSound(lethe);
			expect(existsSync(join(lethe.data, "ledger.db"))).toBe(false);
			expect(readFileSync(join(lethe.data, "store"), "utf8")).toBe(`${address}\n`);
			expect(statSync(join(lethe.data, "store")).mode & 0o777).toBe(0o600);
			expect(await postgres.ask(address, "SELECT count(*) FROM ticket")).toBe("2");
			// Nobody who is not stopped by PostgreSQL itself changes what was booked.
			await expect(postgres.ask(address, "UPDATE ticket SET cost_nano = 0")).rejects.toThrow("INV-5");
			await expect(postgres.ask(address, "TRUNCATE ticket CASCADE")).rejects.toThrow("INV-5");
			expect(await lethe.stop()).toBe(0);
			// Without a server the commands are the ledger, and know where it is.
			expect(await lethe.balance(a.id)).toBe(nano("5.00") - 2 * price);
			await isSound(lethe);
			const backup = await lethe.run("backup", join(lethe.dir, "copy"));
			expect(backup.status).not.toBe(0);
			expect(backup.json["error"]?.message).toContain("pg_dump");
		} finally {
			await lethe.finish();
		}
	});

	test("whose connection is cut, or which is killed, again and again under load, books each request once", async () => {
		const address = await postgres.database();
		const lethe = await serve(address);
		try {
			const a = await lethe.account("alice", "50.00");
			const client = lethe.client(a.key);
			// A bound, and words enough for the tokens: what waits for the ledger keeps its hold, which must not be all that there is.
			const body = { model: "exact", messages: [{ role: "user" as const, content: "hi ".repeat(200) }], max_completion_tokens: 10 };
			let served = 0;
			let stop = false;
			const one = async () => {
				while (!stop)
					await client.chat.completions.create(body, use).then(
						() => served++,
						(e) => expect([503]).toContain(e.status),
					);
			};
			const load = Promise.all(Array.from({ length: 4 }, one));
			for (let i = 0; i < 6; i++) {
				const before = served;
				await until("requests are served", () => served > before + 20);
				if (i % 2 === 0) await until("a connection is cut", async () => (await postgres.cut(address)) !== "0");
				else await until("a ledger is killed", () => killed(lethe.children("ledger")));
			}
			const last = served;
			await until("requests are served again", () => served > last + 20);
			stop = true;
			await load;
			let booked = -1;
			await until("all are booked", async () => (booked = (nano("50.00") - (await lethe.balance(a.id))) / price) === served).catch(() => {
				throw new Error(`${booked} are booked of ${served}`);
			});
			await isSound(lethe);
			expect(await lethe.stop()).toBe(0);
			expect(await postgres.ask(address, "SELECT count(*), count(DISTINCT id), sum(cost_nano) FROM ticket")).toBe(`${served}|${served}|${served * price}`);
		} finally {
			await lethe.finish();
		}
	});

	test("is one server's at a time, and a data directory's for good", async () => {
		const address = await postgres.database();
		const lethe = await serve(address);
		try {
			const elsewhere = temporaryFolder();
			writeFileSync(join(elsewhere, "store"), `${address}\n`);
			const second = await lethe.run("account", "list", "--data", elsewhere);
			removeFolder(elsewhere);
			expect(second.status).not.toBe(0);
			expect(second.json["error"]?.message).toContain("another ledger has this store");
			expect(await lethe.stop()).toBe(0);
			const other = await lethe.run("serve", "--config", join(lethe.dir, "lethe.yaml"), "--store", address.replace("store_", "other_"));
			expect(other.json["error"]?.message).toContain("at another address");
			const seen = await lethe.run("serve", "--config", join(lethe.dir, "lethe.yaml"), "--store", "postgres://lethe:secret@127.0.0.1/lethe");
			expect(seen.json["error"]?.message).toContain("LETHE_STORE");
		} finally {
			await lethe.finish();
		}
	});

	test("tells of itself in the metrics what the doctor says, and when it is not reached that alone", async () => {
		const address = await postgres.database();
		const lethe = await Lethe.start({ sim: provider, environment: { LETHE_STORE: address }, config: { metrics: { listen: "127.0.0.1:0" } } });
		try {
			const url = readFileSync(join(lethe.data, "endpoint.metrics"), "utf8").trim();
			const told = async (what: string) =>
				Object.fromEntries(((await get(url)).get(`lethe_store_${what}`)?.samples ?? []).map((s) => [s.labels["fact"]!, Number(s.value)]));
			const state = await until("the ledger has looked", async () => {
				const all = await told("state");
				return "clock_apart" in all ? all : undefined;
			});
			const value = await told("value");
			const facts = (await lethe.run("doctor")).json["facts"] as Record<string, any>[];
			const doctor = facts.filter((f) => f["fact"].startsWith("store"));
			// How long an answer takes, and how far the clocks seem to be apart by it, is another thing at each look on a machine that has other work.
			const steady = (_: unknown, i: number) => !["latency", "clock_apart"].includes(Object.keys(state)[i]!);
			expect(doctor.map((f) => ["ok", "warn", "bad"].indexOf(f["state"])).filter(steady)).toEqual(Object.values(state).filter(steady));
			expect(value["version"]).toBe(doctor.find((f) => f["fact"] === "store version")!["number"]);
			expect(value["tables"]).toBe(doctor.find((f) => f["fact"] === "store tables")!["number"]);
			expect(value["latency"]).toBeGreaterThan(0);
			expect(state["on_disk"]).toBe(2); // the test's own PostgreSQL keeps nothing
			const rise = await postgres.fall();
			await until("it is told", async () => JSON.stringify(await told("state")) === JSON.stringify({ reached: 2 }));
			await rise();
			await until("it is back", async () => (await told("state"))["reached"] === 0);
		} finally {
			await lethe.finish();
		}
	});

	test("is examined by lethe doctor, with the remedy for what is not as it should be", async () => {
		const address = await postgres.database();
		const lethe = await serve(address);
		const elsewhere = temporaryFolder();
		try {
			const examine = async (where?: string) => {
				if (where) writeFileSync(join(elsewhere, "store"), `${where}\n`);
				const said = (await lethe.run("doctor", ...(where ? ["--data", elsewhere] : []))).json;
				const rows = (said["facts"] as Record<string, any>[]).filter((f) => f["fact"].startsWith("store"));
				return Object.fromEntries(rows.map((f) => [f["fact"].replace(/^store ?/, "") || "reached", f]));
			};
			const here = await examine();
			expect(Object.keys(here)).toEqual(["reached", "version", "encoding", "on disk", "rights", "tables", "latency", "connection", "clock"]);
			for (const name of ["reached", "version", "encoding", "rights", "tables", "connection", "clock"]) expect({ name, state: here[name]!["state"] }).toEqual({ name, state: "ok" });
			// The test's own PostgreSQL keeps nothing.
			expect(here["on disk"]).toMatchObject({ state: "bad", value: expect.stringContaining("fsync off"), remedy: expect.stringContaining("ALTER SYSTEM SET fsync = on") });
			expect(here["version"]!["number"]).toBeGreaterThanOrEqual(150000);
			expect(here["latency"]!["number"]).toBeGreaterThan(0);
			await postgres.ask(address, "UPDATE store_schema SET version = 9999");
			expect((await examine())["tables"]).toMatchObject({ state: "bad", value: expect.stringMatching(/^of migration 9999, this lethe knows \d+$/) });

			await postgres.ask(address, "CREATE ROLE poor LOGIN PASSWORD 'a-secret-of-poor'");
			const poor = await postgres.database();
			const rights = await examine(poor.replace("//lethe@", "//poor:a-secret-of-poor@"));
			expect(rights["rights"]).toMatchObject({ state: "bad", value: "poor may not make tables here", remedy: expect.stringMatching(/OWNER TO "poor"/) });
			expect(rights["tables"]).toMatchObject({ state: "ok", value: expect.stringContaining("none yet") });
			const nobody = await examine("postgres://lethe:a-secret-of-poor@/none?host=/nowhere");
			expect(nobody).toEqual({ reached: expect.objectContaining({ state: "bad", value: expect.stringContaining("is not reached"), remedy: expect.stringContaining("sudo -u lethe lethe doctor") }) });
			expect(JSON.stringify([rights, nobody])).not.toContain("a-secret-of-poor");
		} finally {
			removeFolder(elsewhere);
			await lethe.finish();
		}
	});
});
