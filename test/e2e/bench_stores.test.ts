// Stores of the bench: many accounts through the control socket, many tickets by lethe-fill, and the ledger finds nothing.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { accountsStore, ticketsStore } from "../bench/stores.ts";
import type { Target, Tools } from "../bench/targets.ts";
import { build } from "../harness/paths.ts";

const folder = mkdtempSync(join(tmpdir(), "lethe-bench-stores-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// Nobody is asked: an address is all that the configuration wants.
const upstream = { name: "nobody", addresses: ["127.0.0.1:9"], certificates: undefined, headers: [], groups: {}, end: async () => {} } satisfies Target;
const tools = { lethe: join(build, "lethe"), fill: join(build, "src/ledger/lethe-fill") } as Tools;

test("a store is made once, has its keys, and its tickets pass lethe ledger verify", async () => {
	const said: string[] = [];
	const accounts = await accountsStore(tools, upstream, folder, 30, (text) => said.push(text));
	expect(new Set(accounts.keys).size).toBe(30);
	expect(accounts.keys.every((key) => /^lethe_live_[0-9A-Za-z]{32}_[0-9A-Za-z]{6}$/.test(key))).toBe(true);
	const filled = await ticketsStore(tools, accounts, folder, 4500, (text) => said.push(text));
	expect(said.at(-1)).toMatch(/^lethe ledger verify: 4500 tickets, sound/);
	const before = said.length;
	expect(await ticketsStore(tools, accounts, folder, 4500, (text) => said.push(text))).toEqual(filled);
	expect(said.length).toBe(before);
});

test("more are booked on top, and a model of its own explains every balance", async () => {
	const accounts = await accountsStore(tools, upstream, folder, 30, () => {});
	const { data } = await ticketsStore(tools, accounts, folder, 4500, () => {});
	const said = execFileSync(tools.fill, [data, "--book", "5000", "--payers", "7"], { encoding: "utf8" });
	expect(said).toMatch(/^5000 tickets on a store of 4500, of 7 accounts, in batches of 4096: \d+ a second, .* the model explains all 30 balances\n$/);
	const verified = JSON.parse(execFileSync(tools.lethe!, ["ledger", "verify", "--data", data, "--json"], { encoding: "utf8" }));
	expect(verified).toMatchObject({ sound: true, tickets: 9500 });
});

test("a fill that fails leaves no store behind", async () => {
	const accounts = await accountsStore(tools, upstream, folder, 30, () => {});
	await expect(ticketsStore({ ...tools, fill: "/bin/false" }, accounts, folder, 10, () => {})).rejects.toThrow();
	expect(existsSync(join(folder, "accounts-30-tickets-10"))).toBe(false);
});
