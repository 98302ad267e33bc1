import { afterEach, beforeEach, expect, test } from "vitest";
import { type Account, type Json } from "../harness/lethe.ts";
import { post, Raw } from "../harness/raw.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
let other: Account;
beforeEach(async () => {
	w = await world({ edges: 1 });
	other = await w.lethe.account("other", "10");
});
afterEach(() => w?.end());

const body = (stream: boolean) => JSON.stringify({ model: "exact", messages: [{ role: "user", content: "hi" }], stream, max_tokens: 1000 });

async function stream(key: string): Promise<Raw> {
	const raw = await Raw.open(w.lethe.url);
	raw.say(post(key, body(true), { "x-sim": "chunks=1000,gap_ms=200" }));
	await until("it runs", () => raw.received.includes("data:"));
	return raw;
}

async function status(key: string): Promise<{ status: number; body: string }> {
	const raw = await Raw.open(w.lethe.url);
	raw.say(post(key, body(false)));
	const answer = await raw.answer();
	raw.close();
	return { status: answer.status, body: answer.body.toString() };
}

// The edge, gone by this signal while these are served; the next one serves.
async function dies(signal: NodeJS.Signals, ...served: Account[]): Promise<void> {
	const streams = await Promise.all(served.map((account) => stream(account.key)));
	const [edge] = w.lethe.children("edge");
	process.kill(edge!, signal);
	await Promise.all(streams.map((raw) => raw.ends()));
	await until("the next edge serves", async () => {
		const [now] = w.lethe.children("edge");
		return now && now !== edge && (await status("sk-lethe-none").catch(() => undefined));
	});
}

const state = async (account: Account): Promise<Json> => w.lethe.command("key", "show", account.keyId);

test("a key that two edges die of is held back, alone, until it is released", async () => {
	await dies("SIGSEGV", w.customer);
	expect((await status(w.customer.key)).status).toBe(200);
	await dies("SIGSEGV", w.customer, other);
	await until("it is told", () => w.lethe.events("KEY_QUARANTINED") === 1);
	expect(w.lethe.log()).toContain(`key ${w.customer.keyId} is quarantined`);
	const refused = await status(w.customer.key);
	expect(refused.status).toBe(503);
	expect(JSON.parse(refused.body).error.code).toBe("key_quarantined");
	expect((await status(other.key)).status).toBe(200);
	expect((await state(w.customer))["state"]).toBe("quarantined");
	expect((await w.lethe.command("key", "list"))["keys"].find((key: Json) => key["key"] === w.customer.keyId)["state"]).toBe("quarantined");

	// It is kept: by the next ledger, by the next server.
	await w.lethe.stop();
	await w.lethe.up();
	expect((await status(w.customer.key)).status).toBe(503);

	expect((await w.lethe.command("key", "release", w.customer.keyId))["state"]).toBe("active");
	expect((await status(w.customer.key)).status).toBe(200);
	expect((await state(w.customer))["quarantined"]).toBeNull();
	expect((await w.lethe.verify()).status).toBe(0);
});

test("who is killed from outside has died of nobody's request", async () => {
	for (let i = 0; i < 3; i++) await dies("SIGKILL", w.customer);
	expect(w.lethe.events("KEY_QUARANTINED")).toBe(0);
	expect((await status(w.customer.key)).status).toBe(200);
});

test("two deaths with different keys hold nobody back", async () => {
	await dies("SIGSEGV", w.customer);
	await dies("SIGSEGV", other);
	expect((await status(w.customer.key)).status).toBe(200);
	expect((await status(other.key)).status).toBe(200);
	expect(w.lethe.events("KEY_QUARANTINED")).toBe(0);
});
