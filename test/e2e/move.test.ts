// The books of a running gateway moved from its file into PostgreSQL and back: the same customers, keys, balances and receipts before and after.
import { execFile } from "node:child_process";
import { existsSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nano, sim } from "../harness/lethe.ts";
import { letheBinary } from "../harness/paths.ts";
import { Postgres } from "../harness/postgres.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
let postgres: Postgres;
beforeAll(async () => {
	[postgres, w] = await Promise.all([Postgres.start(), world({ dollars: "10" })]);
});
afterAll(async () => {
	await w?.end();
	await postgres?.stop();
});

const price = nano("0.0002");
const use = sim("prompt_tokens=100,completion_tokens=10");
let served = 0;
const message = (said: { json: Record<string, any> }) => said.json["error"]?.message as string;

async function serve(count: number): Promise<string> {
	let last = "";
	for (let i = 0; i < count; i++) {
		const answer = await w.lethe.client(w.customer.key).chat.completions.create({ model: "exact", messages: [{ role: "user", content: "hi" }] }, use).withResponse();
		last = answer.response.headers.get("x-request-id")!;
	}
	served += count;
	await until("all are booked", async () => (await w.lethe.balance(w.customer.id)) === nano("10") - served * price);
	return last;
}

async function isAsBefore(): Promise<void> {
	expect(await w.lethe.balance(w.customer.id)).toBe(nano("10") - served * price);
	expect((await w.lethe.usage(w.customer.id))["requests"]).toBe(served);
	expect((await w.lethe.command("ledger", "verify"))["sound"]).toBe(true);
}

// As its customer would keep it; the books are booked, so it is there.
async function keep(name: string, id: string): Promise<string> {
	const { ok, ...receipt } = await w.lethe.command("receipt", "show", id);
	expect(ok).toBe(true);
	writeFileSync(join(w.lethe.dir, name), JSON.stringify(receipt));
	return join(w.lethe.dir, name);
}
const offline = (...args: string[]) => promisify(execFile)(letheBinary, args);

test("what was moved is said in numbers, and the database says nothing", async () => {
	const mine = await postgres.database();
	await postgres.ask(mine, "CREATE ROLE mover LOGIN");
	await postgres.ask(mine, `ALTER DATABASE ${/\/(\w+)\?/.exec(mine)![1]} OWNER TO mover`);
	const address = mine.replace(/\/\/\w+@/, "//mover@");
	const other = await world();
	try {
		expect(await other.lethe.stop()).toBe(0);
		const { stdout, stderr } = await offline("store", "move", "--to", address, "--data", other.lethe.data);
		expect(stdout).toMatch(/^moved +.*\/ledger\.db$[^]*^rows +\d+$[^]*^sound +yes$/m);
		expect(stderr).toBe("");
	} finally {
		await other.end();
	}
});

test("into PostgreSQL, on it, and back", async () => {
	const address = await postgres.database();
	const first = await serve(3);
	const before = await keep("before.json", first);
	expect(message(await w.lethe.run("store", "move", "--to", address))).toMatch(/only while no server runs/);
	expect(await w.lethe.stop()).toBe(0);
	expect(message(await w.lethe.run("store", "move", "--to", "postgres://lethe:secret@127.0.0.1/lethe"))).toMatch(/LETHE_STORE/);

	const moved = await w.lethe.command("store", "move", "--to", address);
	expect(moved).toMatchObject({ sound: true, tickets: served });
	expect(moved["tables"].find((t: { table: string }) => t.table === "ticket")).toEqual({ table: "ticket", rows: served });
	expect(await postgres.ask(address, "SELECT count(*) FROM ticket")).toBe(`${served}`);
	await isAsBefore();

	await w.lethe.up();
	await serve(2);
	await isAsBefore();
	expect(await postgres.ask(address, "SELECT count(*) FROM ticket")).toBe(`${served}`);
	// What was handed out before the move holds, also against the log as it is now: that has only grown.
	const after = await keep("after.json", first);
	await offline("receipt", "verify", before);
	await offline("receipt", "verify", after);
	await w.lethe.command("receipt", "consistency", before, after);
	expect(await w.lethe.stop()).toBe(0);

	// A server that is told of the file again, because the line about PostgreSQL was lost, says where the books went, and ends.
	const line = join(w.lethe.data, "store");
	renameSync(line, `${line}.lost`);
	await expect(w.lethe.up()).rejects.toThrow(/does not start; its log says why \(.+\)/);
	expect(w.lethe.log()).toMatch(/were moved to postgres:\/\/.*store move --take-back/);
	renameSync(`${line}.lost`, line);
	expect(message(await w.lethe.run("store", "move", "--take-back"))).toMatch(/has been written since \(\d+ bookings\)/);

	expect(await w.lethe.command("store", "move", "--to", "file")).toMatchObject({ sound: true, tickets: served });
	expect(existsSync(line)).toBe(false);
	await w.lethe.up();
	await serve(1);
	await isAsBefore();
	expect(await w.lethe.stop()).toBe(0);
});
