// A backup made beside a server under load, and put back: the books are right, the keys work; what must not be is refused and changes nothing.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, rmdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tickets } from "../harness/books.ts";
import { Load } from "../harness/load.ts";
import { letheBinary } from "../harness/paths.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
beforeAll(async () => {
	w = await world({ dollars: "1000" });
});
afterAll(() => w?.end());

const at = (name: string) => join(w.lethe.dir, name);
const modes = (folder: string) => Object.fromEntries(readdirSync(folder).map((name) => [name, statSync(join(folder, name)).mode & 0o777]));
// Into another data directory than the server's.
function on(data: string, ...args: string[]): Promise<{ status: number; json: Record<string, any> }> {
	return new Promise((resolve) => {
		execFile(letheBinary, [...args, "--data", data, "--json"], (error, stdout) => resolve({ status: error ? Number(error.code) : 0, json: JSON.parse(stdout) }));
	});
}
const message = (said: { json: Record<string, any> }) => said.json["error"]?.message as string;
// What a restore may change.
const contents = (data: string) =>
	readdirSync(data).filter((name) => /^(ledger|master|pepper|receipt|restore|before)/.test(name)).sort()
		.map((name) => [name, statSync(join(data, name)).isFile() ? createHash("sha256").update(readFileSync(join(data, name))).digest("hex") : "folder"]);

test("beside a server under load: one moment of it, in a folder that only its owner reads", async () => {
	const load = new Load(w.lethe, w.customer, 10);
	await load.flows(100);
	const made = await w.lethe.command("backup", at("monday"));
	await load.flows(100);
	await load.stop();
	expect(made).toMatchObject({ backup: at("monday"), secrets: true });
	expect(made["tickets"]).toBeGreaterThan(0);
	expect(made["tickets"]).toBeLessThan(tickets(w.lethe).length);
	expect(statSync(at("monday")).mode & 0o777).toBe(0o700);
	expect(modes(at("monday"))).toEqual({ "backup.json": 0o600, "ledger.db": 0o600, "master.key": 0o600, pepper: 0o600, "receipt.key": 0o600 });
	expect(existsSync(at("monday.part"))).toBe(false);
	expect(message(await w.lethe.run("backup", at("monday")))).toMatch(/is there already/);
	expect(message(await w.lethe.run("backup", at("no/such/parent")))).toMatch(/make its parent/);
	expect((await w.lethe.command("ledger", "verify"))["sound"]).toBe(true);
});

test("a restored ledger is the one of that moment, and its keys work", async () => {
	const made = JSON.parse(readFileSync(join(at("monday"), "backup.json"), "utf8"));
	expect(message(await w.lethe.run("restore", at("monday"), "--replace"))).toMatch(/the ledger is in use/);
	await w.lethe.stop();
	const before = tickets(w.lethe).length;
	expect(message(await w.lethe.run("restore", at("monday")))).toMatch(/has a store already/);
	const old = contents(w.lethe.data);
	expect(await w.lethe.command("restore", at("monday"), "--check")).toMatchObject({ restored: null, sound: true });
	expect(contents(w.lethe.data)).toEqual(old);
	const done = await w.lethe.command("restore", at("monday"), "--replace");
	expect(done).toMatchObject({ restored: w.lethe.data, sound: true, kept: expect.stringMatching(/^before-restore-/) });
	// What was held when the backup was made is booked as interrupted: more than it had, less than there was.
	expect(done["tickets"]).toBeGreaterThanOrEqual(made.tickets);
	expect(done["tickets"]).toBeLessThan(before);
	expect(tickets(w.lethe).length).toBe(done["tickets"]);
	expect(readdirSync(join(w.lethe.data, done["kept"])).sort()).toEqual(expect.arrayContaining(["ledger.db", "master.key", "pepper", "receipt.key"]));
	expect(readdirSync(w.lethe.data).filter((name) => name.startsWith("restore"))).toEqual([]);
	await w.lethe.up();
	await w.lethe.client(w.customer.key).chat.completions.create({ model: "exact", messages: [{ role: "user", content: "hi" }] });
	expect((await w.lethe.command("ledger", "verify"))["sound"]).toBe(true);
	await w.lethe.stop();
});

test("into an empty directory", async () => {
	const done = await on(at("fresh"), "restore", at("monday"));
	expect(done).toMatchObject({ status: 0, json: { sound: true, kept: null } });
	expect((await on(at("fresh"), "key", "show", w.customer.key)).json["key"]).toBe(w.customer.keyId);
	expect(statSync(at("fresh")).mode & 0o777).toBe(0o700);
});

test("a backup that was changed, or whose books are wrong, changes nothing", async () => {
	const old = contents(w.lethe.data);
	const restored = async (change: (folder: string) => void) => {
		rmSync(at("bad"), { recursive: true, force: true });
		cpSync(at("monday"), at("bad"), { recursive: true });
		change(at("bad"));
		const said = await w.lethe.run("restore", at("bad"), "--replace");
		expect(said.status).toBe(1);
		expect(contents(w.lethe.data)).toEqual(old);
		return message(said);
	};
	for (const name of ["ledger.db", "master.key", "pepper", "receipt.key"])
		expect(await restored((folder) => {
			const bytes = readFileSync(join(folder, name));
			bytes[bytes.length >> 1]! ^= 1;
			writeFileSync(join(folder, name), bytes);
		})).toMatch(`${name} of this backup is not what was written`);
	expect(await restored((folder) => rmSync(join(folder, "pepper")))).toMatch(/is not whole/);
	expect(await restored((folder) => rmSync(join(folder, "backup.json")))).toMatch(/no backup.json/);
	expect(await restored((folder) => writeFileSync(join(folder, "backup.json"), "{}"))).toMatch(/no backup.json/);
	// A nano-dollar more, and the hash of that.
	expect(await restored((folder) => {
		const file = join(folder, "ledger.db");
		const database = new DatabaseSync(file);
		database.exec("PRAGMA journal_mode = DELETE; UPDATE account SET balance_nano = balance_nano + 1 WHERE name = 'customer'; PRAGMA journal_mode = WAL");
		database.close();
		const manifest = JSON.parse(readFileSync(join(folder, "backup.json"), "utf8"));
		const bytes = readFileSync(file);
		manifest.files["ledger.db"] = { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
		writeFileSync(join(folder, "backup.json"), JSON.stringify(manifest));
	})).toMatch(/books of this backup are not right/);
});

test("without secrets, those of the data directory are wanted", async () => {
	const made = await w.lethe.command("backup", at("bare"), "--no-secrets");
	expect(made["secrets"]).toBe(false);
	expect(Object.keys(modes(at("bare")))).toEqual(["backup.json", "ledger.db"]);
	expect(message(await on(at("empty"), "restore", at("bare")))).toMatch(/there is no pepper in/);
	expect(await on(at("looked"), "restore", at("monday"), "--check")).toMatchObject({ status: 0, json: { sound: true } });
	expect(existsSync(at("looked"))).toBe(false);
	mkdirSync(at("given"), { mode: 0o700 });
	copyFileSync(join(w.lethe.data, "pepper"), join(at("given"), "pepper"));
	expect(await on(at("given"), "restore", at("bare"))).toMatchObject({ status: 0, json: { sound: true } });
	expect((await on(at("given"), "key", "show", w.customer.key)).json["key"]).toBe(w.customer.keyId);
});

test("while a restore is half done no ledger opens, and giving it again ends it", async () => {
	// As it is when the machine went down behind the old store's move and before the new one's.
	mkdirSync(join(w.lethe.data, "restore.ready"), { mode: 0o700 });
	rmSync(join(w.lethe.data, "ledger.db"));
	const said = await w.lethe.run("account", "list");
	expect({ status: said.status, message: said.json["error"]?.message }).toEqual({ status: 3, message: expect.stringMatching(/give `lethe restore` again, with --replace/) });
	await expect(w.lethe.up()).rejects.toThrow(/restore` again, with --replace/);
	expect(existsSync(join(w.lethe.data, "ledger.db"))).toBe(false);
	expect(message(await w.lethe.run("restore", at("monday")))).toMatch(/--replace/);
	expect(await w.lethe.command("restore", at("monday"), "--replace")).toMatchObject({ sound: true });
	expect(() => rmdirSync(join(w.lethe.data, "restore.ready"))).toThrow();
	expect((await w.lethe.command("ledger", "verify"))["sound"]).toBe(true);
});
