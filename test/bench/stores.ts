// Stores that Lethe is measured on: with many accounts, made through the control socket of a server that runs, and with many tickets,
// by lethe-fill. Each is made once, kept in the build folder, and copied for every target that starts on it.
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync, constants } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { serve } from "./lethe_process.ts";
import { stop } from "./processes.ts";
import type { Target, Tools } from "./targets.ts";

// The first key's account has enough for all that a run asks for over one account.
export type Store = { data: string; keys: string[]; keysFile: string };

// What makes a store: the key table and the price book are in these two.
const files = ["ledger.db", "pepper"];
const pipelined = 256;

type Answer = { ok: boolean; error?: { message: string }; account?: string; secret?: string };

// Orders over one connection of the control socket, several at once, answered in order.
export async function control(socket: string, orders: object[]): Promise<Answer[]> {
	const connection = createConnection(socket);
	const answers: Answer[] = [];
	let sent = 0;
	const send = () => {
		for (; sent < orders.length && sent < answers.length + pipelined; sent++) connection.write(`${JSON.stringify(orders[sent])}\n`);
	};
	send();
	for await (const line of createInterface({ input: connection })) {
		const answer = JSON.parse(line) as Answer;
		if (!answer.ok) throw new Error(`${JSON.stringify(orders[answers.length])}: ${answer.error?.message}`);
		answers.push(answer);
		if (answers.length === orders.length) break;
		send();
	}
	connection.destroy();
	if (answers.length < orders.length) throw new Error(`the control socket answered ${answers.length} of ${orders.length} orders`);
	return answers;
}

export async function makeAccounts(socket: string, count: number): Promise<string[]> {
	const names = Array.from({ length: count }, (_, i) => `bench-${i}`);
	await control(socket, names.map((name) => ({ op: "account.create", name })));
	await control(socket, names.map((account, i) => ({ op: "credit.add", account, amount: i ? "10000" : "1000000", reason: "bench", id: `credit-${account}` })));
	const keys = await control(socket, names.map((account) => ({ op: "key.create", account, name: "bench" })));
	return keys.map((answer) => answer.secret!);
}

export function copyStore(from: string, to: string): void {
	for (const name of files) copyFileSync(join(from, name), join(to, name), constants.COPYFILE_FICLONE);
}

function found(folder: string): Store | undefined {
	const keysFile = join(folder, "keys");
	if (!existsSync(keysFile)) return undefined;
	return { data: folder, keys: readFileSync(keysFile, "utf8").trim().split("\n"), keysFile };
}

function seconds(since: number): string {
	return `${((Date.now() - since) / 1000).toFixed(1)} s`;
}

// Whole or not at all: a folder gets its name when all is in it.
async function make(folder: string, fill: (part: string) => Promise<string[]>): Promise<Store> {
	const part = `${folder}.part`;
	rmSync(part, { recursive: true, force: true });
	mkdirSync(part, { recursive: true, mode: 0o700 });
	const keys = await fill(part);
	writeFileSync(join(part, "keys"), `${keys.join("\n")}\n`, { mode: 0o600 });
	renameSync(part, folder);
	return found(folder)!;
}

export async function accountsStore(tools: Tools, upstream: Target, folder: string, accounts: number, note: (text: string) => void): Promise<Store> {
	const home = join(folder, `accounts-${accounts}`);
	const before = found(home);
	if (before) return before;
	const began = Date.now();
	note(`making a store of ${accounts} accounts, once`);
	return make(home, async (part) => {
		const served = await serve(tools.lethe!, { upstream, edges: 1, data: part, log: join(part, "log") });
		try {
			return await makeAccounts(join(part, "control.sock"), accounts);
		} finally {
			await stop(served.running);
			note(`${accounts} accounts with credit and a key each: ${seconds(began)}`);
		}
	});
}

function verify(lethe: string[], data: string): { tickets: number } {
	const text = execFileSync(lethe[0]!, [...lethe.slice(1), "ledger", "verify", "--data", data, "--json"], { encoding: "utf8" });
	const said = JSON.parse(text) as { sound: boolean; tickets: number };
	if (!said.sound) throw new Error(`lethe ledger verify: ${text}`);
	return said;
}

export async function ticketsStore(tools: Tools, accounts: Store, folder: string, tickets: number, note: (text: string) => void): Promise<Store> {
	const home = join(folder, `accounts-${accounts.keys.length}-tickets-${tickets}`);
	const before = found(home);
	if (before) return before;
	note(`making a store of ${tickets} tickets, once`);
	return make(home, async (part) => {
		const began = Date.now();
		copyStore(accounts.data, part);
		execFileSync(tools.fill, [part, "--tickets", String(tickets)], { stdio: ["ignore", "inherit", "inherit"] });
		const bytes = statSync(join(part, "ledger.db")).size;
		note(`${tickets} tickets: ${seconds(began)}, ${(bytes / 2 ** 30).toFixed(2)} GiB, ${(bytes / tickets).toFixed(0)} bytes a ticket`);
		const checked = Date.now();
		const said = verify(tools.lethe!.split(/\s+/), part);
		note(`lethe ledger verify: ${said.tickets} tickets, sound, ${seconds(checked)}`);
		return accounts.keys;
	});
}
