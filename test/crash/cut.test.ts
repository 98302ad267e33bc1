import { afterAll, beforeAll, expect, test } from "vitest";
import { idNumber, type TicketRow, tickets } from "../harness/books.ts";
import { nano } from "../harness/lethe.ts";
import { post, Raw } from "../harness/raw.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
beforeAll(async () => {
	w = await world({ dollars: "1000" });
});
afterAll(() => w?.end());

const body = JSON.stringify({ model: "exact", messages: [{ role: "user", content: "hi" }], stream: true, max_tokens: 50 });
const plainBody = body.replace(',"stream":true', "");

async function inTurns<T>(items: T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
	const queue = [...items];
	await Promise.all(
		Array.from({ length: atOnce }, async () => {
			for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
		}),
	);
}

const requestId = (bytes: Buffer) => /^x-request-id: (req_\w+)\r?$/im.exec(bytes.toString("latin1"))?.[1];
// Not an attempt that a request was sent again after.
const whole = (row: TicketRow) => Number(row["parent"]) === 0;

// All seen ids are booked once, the balance is what the tickets leave, the books verify, and the gateway serves.
async function checkBooks(seen: string[], sent: number, earlier: number): Promise<void> {
	expect(new Set(seen).size).toBe(seen.length);
	const last = await w.lethe.client(w.customer.key).chat.completions.create({ model: "exact", messages: [{ role: "user", content: "hi" }] });
	seen.push(last._request_id!);
	const mine = () => tickets(w.lethe).filter((row) => row["account"] === idNumber(w.customer.id));
	const rows = await until("all are booked", () => {
		const now = mine();
		const ids = new Set(now.map((row) => BigInt(row["id"]!)));
		return seen.every((id) => ids.has(idNumber(id))) && now;
	});
	expect(rows.filter(whole).length - earlier, "tickets").toBeLessThanOrEqual(sent + 1);
	await until("the balance is what the tickets leave", async () => {
		const spent = mine().reduce((sum, row) => sum + Number(row["cost_nano"]), 0);
		return (await w.lethe.balance(w.customer.id)) === nano("1000") - spent;
	});
	const verified = await w.lethe.verify();
	expect(verified.stdout).not.toMatch(/"ok":\s*false/);
	expect(verified.status).toBe(0);
}

const booked = () => tickets(w.lethe).filter((row) => row["account"] === idNumber(w.customer.id) && whole(row)).length;

async function wholeLength(text: string): Promise<number> {
	const raw = await Raw.open(w.lethe.url);
	raw.say(post(w.customer.key, text, { "X-Sim": "chunks=4", Connection: "close" }));
	return (await raw.ends()).length;
}

test("a provider that cuts at any byte", async () => {
	for (const text of [body, plainBody]) {
		const earlier = booked();
		const lengths = Array.from({ length: await wholeLength(text) }, (_, at) => at);
		const seen: string[] = [];
		await inTurns(lengths, 40, async (at) => {
			const raw = await Raw.open(w.lethe.url);
			const reset = at % 2 ? ",reset=1" : "";
			raw.say(post(w.customer.key, text, { "X-Sim": at % 3 ? `chunks=4,cut_after=${at}${reset}` : `chunks=4,cut_head=${at}${reset}`, Connection: "close" }));
			const all = await raw.ends();
			expect(all.length, `cut at ${at}`).toBeGreaterThan(0);
			const id = requestId(all);
			if (id) seen.push(id);
		});
		await checkBooks(seen, lengths.length + 1, earlier);
	}
});

test("a client that goes at any byte of its answer", async () => {
	for (const text of [body, plainBody]) {
		const earlier = booked();
		const lengths = Array.from({ length: await wholeLength(text) }, (_, at) => at + 1);
		const seen: string[] = [];
		await inTurns(lengths, 40, async (at) => {
			const raw = await Raw.open(w.lethe.url);
			raw.say(post(w.customer.key, text, { "X-Sim": `chunks=4,split=${1 + (at % 64)}`, Connection: "close" }));
			await until("so many bytes", () => raw.closed || raw.received.length >= at);
			const id = requestId(raw.received);
			if (at % 2) raw.socket.resetAndDestroy();
			else raw.close();
			if (id) seen.push(id);
		});
		await checkBooks(seen, lengths.length + 1, earlier);
	}
});

test("a client that goes at any byte of its request", async () => {
	const earlier = booked();
	const request = post(w.customer.key, body, { "X-Sim": "chunks=4" });
	const lengths = Array.from({ length: request.length }, (_, at) => at);
	await inTurns(lengths, 40, async (at) => {
		const raw = await Raw.open(w.lethe.url);
		raw.say(request.slice(0, at));
		if (at % 3 === 0) raw.socket.resetAndDestroy();
		else if (at % 3 === 1) raw.close();
		else {
			raw.socket.end();
			await raw.ends();
		}
	});
	await checkBooks([], lengths.length, earlier);
});
