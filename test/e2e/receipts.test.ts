// Receipts: a code in every answer's head, a signed receipt on demand, checked by `lethe receipt verify` and by the example that anybody can read.
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { endReasons, type Receipt, verifyReceipt } from "../../examples/verify_receipt.mts";
import { letheBinary, root } from "../harness/paths.ts";
import { patienceMs, until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
let publicKey: string;
beforeAll(async () => {
	w = await world();
	const keys = (await w.lethe.command("receipt", "key"))["keys"] as { key: string }[];
	publicKey = keys[0]!.key;
});
afterAll(() => w?.end());

const ask = (stream: boolean, key = w.customer.key) =>
	fetch(`${w.lethe.url}/v1/chat/completions`, {
		method: "POST",
		headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
		body: JSON.stringify({ model: "exact", stream, messages: [{ role: "user", content: "hi" }] }),
	});
const receiptOf = (id: string, key = w.customer.key) => fetch(`${w.lethe.url}/v1/receipts/${id}`, { headers: { authorization: `Bearer ${key}` } });

async function made(stream = false) {
	const answer = await ask(stream);
	await answer.text();
	return { id: answer.headers.get("x-request-id")!, code: answer.headers.get("lethe-receipt")! };
}
// An answer may have been read before its ticket is handed in: then it is 409, as SDKs try again.
async function receipt(id: string, key = w.customer.key): Promise<Receipt> {
	return until("the receipt is there", async () => {
		const answer = await receiptOf(id, key);
		const body = await answer.json();
		if (answer.status === 200) return body as Receipt;
		expect({ status: answer.status, body }).toMatchObject({ status: 409, body: { error: { code: "receipt_not_yet" } } });
		return undefined;
	});
}
const execute = async (program: string, ...args: string[]) =>
	promisify(execFile)(program, args, { timeout: patienceMs }).then(
		(r) => ({ status: 0, said: r.stdout + r.stderr }),
		(e: { code: number; stdout: string; stderr: string }) => ({ status: e.code, said: e.stdout + e.stderr }),
	);
const run = (...args: string[]) => execute(letheBinary, ...args);
const example = (file: string) => execute(process.execPath, join(root, "examples/verify_receipt.mts"), file, publicKey);
function saved(name: string, value: unknown): string {
	const file = join(w.lethe.data, name);
	writeFileSync(file, JSON.stringify(value));
	return file;
}

test("the first receipt of a log, whose proof is an empty list, is shown like any other", async () => {
	const { id } = await made();
	expect((await receipt(id)).proof).toEqual([]);
	expect(await run("receipt", "show", id, "--data", w.lethe.data)).toMatchObject({ status: 0, said: expect.stringContaining(id) });
});

test("plain answers and streams carry a code that is ours, and each of another request", async () => {
	for (const stream of [false, true]) {
		const { id, code } = await made(stream);
		expect(code).toMatch(/^req_\w{11}\.[0-9a-f]{32}$/);
		expect(code.startsWith(`${id}.`)).toBe(true);
		await receipt(id); // it is booked
		expect(await w.lethe.command("receipt", "code", code)).toMatchObject({ ours: true, request: id, account: w.customer.id, key: w.customer.keyId });
		const other = code.slice(0, -1) + (code.endsWith("0") ? "1" : "0");
		expect(await w.lethe.run("receipt", "code", other)).toMatchObject({ status: 1, json: { ok: true, ours: false } });
	}
	const models = await fetch(`${w.lethe.url}/v1/models`, { headers: { authorization: `Bearer ${w.customer.key}` } });
	expect(models.headers.get("lethe-receipt")).toBeNull();
});

test("a receipt holds by the example and by lethe receipt verify, with the published key only", async () => {
	const { id } = await made(true);
	const r = await receipt(id);
	expect(r.request).toBe(id);
	expect((await w.lethe.command("ticket", "show", id))["cost"]).toBe(r.cost);
	verifyReceipt(r, publicKey);
	const file = saved("receipt.json", r);
	expect(await run("receipt", "verify", file, "--key", publicKey)).toMatchObject({ status: 0, said: expect.stringContaining(`holds: request ${id}`) });
	expect(await run("receipt", "verify", file)).toMatchObject({ status: 0 });
	const other = publicKey.replace(/^../, publicKey.startsWith("00") ? "01" : "00");
	expect(() => verifyReceipt(r, other)).toThrow();
	expect((await run("receipt", "verify", file, "--key", other)).status).toBe(1);
	// the example as a program
	expect(await example(file)).toMatchObject({ status: 0, said: expect.stringContaining(`holds: ${id}`) });
	// what the command line shows is the same
	const { ok, ...shown } = await w.lethe.command("receipt", "show", id);
	expect(ok).toBe(true);
	expect(shown).toEqual(r);
});

test("whatever is altered, it does not hold", async () => {
	const r = await receipt((await made()).id);
	const at = (row: Receipt["row"], name: string) => row.findIndex((f) => f[0] === name);
	const alterations: [string, (r: Receipt) => void][] = [
		["cost", (x) => (x.row[at(x.row, "cost_nano")]![2] = "1")],
		["cost in front", (x) => (x.cost = "0.000000001")],
		["request in front", (x) => (x.request = "req_00000000001")],
		["account in front", (x) => (x.account = "acc_00000000001")],
		["started in front", (x) => (x.started = "2020-01-01T00:00:00.000Z")],
		["no start in front", (x) => (x.started = null)],
		["how it ended, in front", (x) => (x.end_reason = "CLIENT_GONE_EARLY")],
		["an end that nobody knows, in front", (x) => (x.end_reason = "UNKNOWN")],
		["tokens", (x) => (x.row[at(x.row, "tokens_output")]![2] = "7777")],
		["the key", (x) => (x.row[at(x.row, "key")]![2] = "7")],
		["names exchanged", (x) => ([x.row[at(x.row, "tokens_output")]![0], x.row[at(x.row, "tokens_input")]![0]] = ["tokens_input", "tokens_output"])],
		["a field more", (x) => x.row.push(["more", 1, "1"])],
		["a field less", (x) => x.row.pop()],
		["price", (x) => (x.price![at(x.price!, "pico_output")]![2] = "1")],
		["no price", (x) => (x.price = null)],
		["place", (x) => (x.row[at(x.row, "place")]![2] = "1000")],
		["the link before", (x) => (x.row[at(x.row, "previous")]![2] = "00".repeat(32))],
		["another leaf", (x) => x.leaf.number++],
		["proof", (x) => x.proof.push("00".repeat(32))],
		["head's root", (x) => (x.head.root = "00".repeat(32))],
		["head's size", (x) => x.head.size++],
		["head's time", (x) => x.head.time_us++],
		["head's time, for reading", (x) => (x.head.time = "2020-01-01T00:00:00.000Z")],
		["head's text, for reading", (x) => (x.head.text += "x")],
		["origin", (x) => (x.head.origin += "x")],
		["signature", (x) => (x.head.signature = x.head.signature.replace(/^../, x.head.signature.startsWith("00") ? "01" : "00"))],
	];
	for (const [what, alter] of alterations) {
		const x = structuredClone(r);
		alter(x);
		expect(() => verifyReceipt(x, publicKey), what).toThrow();
		expect((await run("receipt", "verify", saved("altered.json", x), "--key", publicKey)).status, what).toBe(1);
	}
});

// The row has their numbers alone: user.md says so.
test("names of model and provider are nobody's word: neither verifier refuses others, or says them", async () => {
	const r = { ...(await receipt((await made()).id)), model: "grand", provider: "elsewhere" };
	const file = saved("renamed.json", r);
	for (const { status, said } of [await run("receipt", "verify", file, "--key", publicKey), await run("receipt", "verify", file, "--key", publicKey, "--json"), await example(file)]) {
		expect(status).toBe(0);
		expect(said).not.toMatch(/grand|elsewhere/);
	}
});

test("the example has the numbers of end_reasons.h", () => {
	const rows = [...readFileSync(join(root, "src/ticket/end_reasons.h"), "utf8").matchAll(/^\tX\((\w+), (\d+),/gm)];
	expect(rows.length).toBeGreaterThan(50);
	const due = Array.from({ length: endReasons.length }, () => "UNKNOWN");
	for (const [, name, number] of rows) due[Number(number)] = name!;
	expect(endReasons).toEqual(due);
});

test("others have no receipt of it, and nobody one of what never was", async () => {
	const { id } = await made();
	await receipt(id);
	const stranger = await w.lethe.account("stranger", "1");
	for (const answer of [await receiptOf(id, stranger.key), await receiptOf("req_00000000001"), await receiptOf("nonsense")]) {
		expect(answer.status).toBe(404);
		expect(await answer.json()).toMatchObject({ error: { code: "no_such_receipt" } });
	}
	expect((await fetch(`${w.lethe.url}/v1/receipts/${id}`)).status).toBe(401);
	expect((await fetch(`${w.lethe.url}/v1/receipts/${id}`, { method: "POST" })).status).toBe(405);
});

test("an account's receipts are one chain, and the log between two of them only grew", async () => {
	const someone = await w.lethe.account("someone", "1");
	const all: Receipt[] = [];
	for (let i = 0; i < 3; i++) {
		const answer = await ask(i % 2 === 0, someone.key);
		await answer.text();
		all.push(await receipt(answer.headers.get("x-request-id")!, someone.key));
	}
	const value = (r: Receipt, name: string) => r.row.find((f) => f[0] === name)![2];
	expect(all.map((r) => value(r, "place"))).toEqual(["1", "2", "3"]);
	expect(value(all[1]!, "previous")).toBe(all[0]!.leaf.hash);
	expect(value(all[2]!, "previous")).toBe(all[1]!.leaf.hash);
	const files = [saved("a.json", all[0]), saved("b.json", all[2])] as const;
	const args = ["receipt", "consistency", ...files, "--data", w.lethe.data];
	const { status, said } = await run(...args);
	expect({ status, said }).toMatchObject({ status: 0, said: expect.stringContaining("unchanged") });
	expect(said).not.toContain("--key"); // it has no such option
	const growth = JSON.parse((await run(...args, "--json")).said) as { proof: string[] };
	expect((await run("receipt", "verify", saved("growth.json", growth), "--key", publicKey)).status).toBe(0);
	growth.proof[0] = "00".repeat(32);
	expect((await run("receipt", "verify", saved("growth.json", growth), "--key", publicKey)).status).toBe(1);
});

test("the books, with the tree and its chains, are sound", async () => {
	expect(await w.lethe.command("ledger", "verify")).toMatchObject({ sound: true });
});
