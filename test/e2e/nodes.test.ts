import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readReceipt, verifyReceipt } from "../../examples/verify_receipt.mts";
import { type Json, nano, sim, upstreamKey } from "../harness/lethe.ts";
import { flatNano, nobody, Nodes, signalAll } from "../harness/nodes.ts";
import { Postgres } from "../harness/postgres.ts";
import { Sim } from "../harness/sim.ts";
import { until } from "../harness/until.ts";

let postgres: Postgres;
let provider: Sim;
let nodes: Nodes;
beforeAll(async () => {
	postgres = await Postgres.start();
	provider = await Sim.start({ key: upstreamKey });
	// What was answered is on disk: whoever is killed takes nothing along.
	nodes = await Nodes.start(postgres, provider, 3, { durability: "strict" });
});
afterAll(async () => {
	await nodes?.end();
	provider?.stop();
	await postgres?.stop();
});

const hi = [{ role: "user" as const, content: "hi" }];
const dollars = (requests: number) => ((requests * flatNano) / 1e9).toFixed(9);

// The long form of both is ./dev nodes.
describe("several servers on one store", () => {
	test("spend a balance to its end and no further, though a ledger is killed", async () => {
		const most = 150, seen = nobody();
		const before = await nodes.provided();
		const key = await nodes.account("alice", dollars(most));
		const crowd = nodes.crowd(key, 2 * most, seen, () => seen.served === most);
		await until("some are served", () => seen.served > most / 3);
		for (const pid of nodes.all[1]!.children("ledger")) process.kill(pid, "SIGKILL");
		await crowd;
		await nodes.spent("alice");
		for (const lethe of nodes.all) await until("all say that nothing is left", async () => (await nodes.post(lethe, key)).status === 402);
		expect(seen.served).toBe(most);
		expect(await nodes.wrong("alice", most * flatNano, seen, (await nodes.provided()) - before)).toEqual([]);
		expect(await nodes.left("alice")).toBe(0);
	});

	// As a balance: a limit for so many requests, in this day (UTC).
	test("spend a limit of money to its end and no further, though a ledger is killed", async () => {
		const most = 120, credit = 1000, seen = nobody();
		const key = await nodes.account("gina", dollars(credit));
		const before = await nodes.provided();
		await nodes.limit("gina", key, dollars(most));
		const crowd = nodes.crowd(key, 2 * most, seen, () => seen.served >= most);
		await until("some are served", () => seen.served > most / 3);
		for (const pid of nodes.all[2]!.children("ledger")) process.kill(pid, "SIGKILL");
		await crowd;
		const paid = async () => credit * flatNano - (await nodes.left("gina"));
		await until("all is booked", async () => (await paid()) >= most * flatNano);
		for (const lethe of nodes.all) await until("all say that the limit is used up", async () => (await nodes.post(lethe, key)).status === 429);
		expect(seen.served).toBe(most);
		expect(await paid()).toBe(most * flatNano);
		expect(await nodes.wrong("gina", credit * flatNano, seen, (await nodes.provided()) - before)).toEqual([]);
		// A higher one is heard by all, and spent to its end as well.
		await nodes.limit("gina", key, dollars(most + 30));
		await nodes.crowd(key, 60, seen, () => seen.served >= most + 30, 1);
		await until("all is booked", async () => (await paid()) >= (most + 30) * flatNano);
		expect(seen.served).toBe(most + 30);
		expect(await nodes.wrong("gina", credit * flatNano, seen, (await nodes.provided()) - before)).toEqual([]);
	});

	test("sign receipts as one: those that came with answers of each are one chain", async () => {
		const key = await nodes.account("ines", dollars(1000));
		const published = ((await nodes.all[0]!.command("receipt", "key"))["keys"] as Json[])[0]!["key"];
		const headers = { authorization: `Bearer ${key}`, "content-type": "application/json", "lethe-receipt": "inline" };
		let before = "00".repeat(32);
		for (const stream of [false, true])
			for (const lethe of nodes.all) {
				const answer = await fetch(`${lethe.url}/v1/chat/completions`, { method: "POST", headers, body: JSON.stringify({ model: "flat", messages: hi, stream, max_tokens: 10 }) });
				const text = await answer.text();
				expect({ status: answer.status, text }).toMatchObject({ status: 200 });
				const r = readReceipt(stream ? text : answer.headers.get("lethe-receipt")!);
				verifyReceipt(r, published);
				expect(r.row.find((f) => f[0] === "previous")![2]).toBe(before);
				before = r.leaf.hash;
			}
	});

	test("lose nothing and charge nothing twice while one is stopped, one is killed and the database falls over", async () => {
		const most = 300, seen = nobody();
		const before = await nodes.provided();
		const [, stopped, killed] = nodes.all as [unknown, Nodes["all"][0], Nodes["all"][0]];
		const key = await nodes.account("bob", dollars(most));
		let over = false;
		// Few at first: however fast they are served, there is more that is nobody's when one is stopped.
		const first = nodes.crowd(key, most / 3, seen, () => over);
		await until("some are served", () => seen.served > most / 10);
		signalAll(stopped, "SIGSTOP");
		const then = seen.served;
		const crowd = Promise.all([first, nodes.crowd(key, 2 * most - most / 3, seen, () => over)]);
		await until("the others go on", () => seen.served > then);
		signalAll(killed, "SIGKILL");
		await killed.ended();
		await postgres.restart();
		signalAll(stopped, "SIGCONT");
		await killed.up();
		await nodes.spent("bob");
		over = true;
		await crowd;
		expect(await nodes.wrong("bob", most * flatNano, seen, (await nodes.provided()) - before)).toEqual([]);
	});

	test("are emptied from any of them: what runs goes on to its end, and nothing new is taken", async () => {
		const [first, , last] = nodes.all as [Nodes["all"][0], unknown, Nodes["all"][0]];
		const key = await nodes.account("carol", "1.00");
		const script = sim("chunks=40,gap_ms=50");
		const stream = await last.client(key).chat.completions.create({ model: "exact", messages: hi, max_tokens: 1000, stream: true }, script);
		const stateOf = async (node: number) => (await first.command("node", "list"))["rows"].find((row: Json) => row["node"] === node)["state"];
		let chunks = 0;
		for await (const chunk of stream) {
			if (chunks === 0) {
				expect((await first.run("node", "drain", "9")).json["error"]["code"]).toBe("node_is_not_up");
				await first.command("node", "drain", "2");
				await until("it takes no more", async () => (await nodes.post(last, key)).status === 0);
				// "left" on a machine that is so slow that the stream is over, and waits in a socket.
				expect(["draining", "left"]).toContain(await stateOf(2));
			}
			chunks += chunk.choices[0]?.delta.content ? 1 : 0;
		}
		expect(chunks).toBe(40);
		expect(await last.ended()).toBe(0);
		expect(await stateOf(2)).toBe("left");
		expect(await nodes.sql("SELECT count(*) FROM share WHERE node = 2 AND nano > 0")).toBe("0");
		// It was told once: when it is started again, it serves.
		await last.up();
		expect(await stateOf(2)).toBe("up");
		expect((await nodes.post(last, key)).status).toBe(200);
	});

	test("carry a stream on with what the others have of the balance", async () => {
		// For 12,000 tokens: two of the servers take their shares of it, the third has a stream of 9,000, at two bytes each.
		const key = await nodes.account("dave", "0.12");
		const [first, stream, last] = nodes.all as [Nodes["all"][0], Nodes["all"][0], Nodes["all"][0]];
		const ask = (lethe: Nodes["all"][0]) => lethe.client(key).chat.completions.create({ model: "exact", messages: hi, max_tokens: 10 }, sim("completion_tokens=10"));
		await Promise.all([ask(first), ask(last)]);
		expect(Number(await nodes.sql("SELECT sum(nano) FROM share JOIN account ON account.id = account WHERE name = 'dave'"))).toBeGreaterThan(20_000_000);
		const chunks = await stream.client(key).chat.completions.create({ model: "exact", messages: hi, stream: true }, sim("chunks=100,chunk_bytes=180,rate=100,completion_tokens=9000"));
		let seen = 0;
		for await (const chunk of chunks) seen += chunk.choices[0]?.delta.content ? 1 : 0;
		expect(seen).toBe(100);
		await until("it is paid", async () => (await nodes.left("dave")) < nano("0.03"));
		expect(await nodes.left("dave")).toBeGreaterThan(nano("0.029"));
	});

	test("take free credit back, but for what was spent of it, once the others have given back what they don't use", async () => {
		const own = 10, spent = 6;
		const key = await nodes.account("gifted", dollars(own));
		const grant = (await nodes.all[0]!.command("credit", "grant", "gifted", dollars(20), "--expires", "2100-01-01"))["item"] as string;
		for (let i = 0; i < spent; i++) expect((await nodes.post(nodes.all[i % nodes.all.length]!, key)).status).toBe(200);
		const revoke = async () => (await nodes.all[1]!.command("grant", "revoke", grant).catch(() => ({}) as Json))["state"];
		await until("all of it is back", async () => (await revoke()) === "revoked");
		expect(await nodes.left("gifted")).toBe(own * flatNano);
		await expect(nodes.all[2]!.command("grant", "revoke", grant)).rejects.toThrow("revoked already");
	});

	test("do not refuse what lies idle with another, all of it", async () => {
		const [first, second] = nodes.all as [Nodes["all"][0], Nodes["all"][0]];
		const statuses: number[] = [];
		// Another server may be too slow to give it back within three tenths of a second, for its disk and this machine are whose they are; but nobody is refused sooner.
		const leastMs = 250;
		for (const name of ["hugo", "ivan", "jane", "karl", "lena"]) {
			const key = await nodes.account(name, "0.12");
			await first.client(key).chat.completions.create({ model: "exact", messages: hi, max_tokens: 11_950 }, sim("completion_tokens=10"));
			await until("it is paid", async () => (await nodes.left(name)) < nano("0.12"));
			expect(Number(await nodes.sql(`SELECT balance_nano - lent_nano FROM account WHERE name = '${name}'`))).toBeLessThan(flatNano);
			const before = performance.now();
			statuses.push((await nodes.post(second, key)).status);
			if (statuses.at(-1) !== 200) expect({ status: statuses.at(-1), waited: performance.now() - before >= leastMs }).toEqual({ status: 402, waited: true });
		}
		expect(statuses).toContain(200);
	});

	test("go on with their shares while the database is gone, and book once what they served", async () => {
		const credit = 200, each = 8, seen = nobody();
		const before = await nodes.provided();
		const key = await nodes.account("erin", dollars(credit));
		const [first, second] = nodes.all as [Nodes["all"][0], Nodes["all"][0]];
		// Each has taken its share, a good deal more than it will need.
		for (let at = 0; at < nodes.all.length; at++) await until("it serves", () => nodes.once(key, at, seen));
		const shares = async () => Number(await nodes.sql("SELECT count(*) FROM share JOIN account ON account.id = account WHERE name = 'erin' AND nano > 12000000"));
		await until("each has a share", async () => (await shares()) === nodes.all.length);
		const rise = await postgres.fall();
		const own = async (lethe: Nodes["all"][0]) => (await lethe.run("node", "list")).json["rows"]?.[0] as Json | undefined;
		for (const lethe of nodes.all) await until("it says that it is cut off", async () => (await own(lethe))?.["state"] === "cut off");
		const serve = async (lethes: Nodes["all"]) => {
			for (let n = 0; n < each; n++) await Promise.all(lethes.map((lethe) => until("it goes on", () => nodes.once(key, nodes.all.indexOf(lethe), seen))));
		};
		await serve(nodes.all);
		// A ledger that is cut off ends every second, for the next one to look again: in between nobody answers.
		await until("what waits is told", async () => ((await own(first))?.["waiting_requests"] ?? 0) >= each);
		await until("nothing new is made", async () => (await first.run("account", "create", "frank")).json["error"]["code"] === "store_away");
		// The ledger dies, and then a whole machine: what it answered is in its outbox.
		for (const pid of first.children("ledger")) process.kill(pid, "SIGKILL");
		await serve([first]);
		signalAll(second, "SIGKILL");
		await second.ended();
		await rise();
		await second.up();
		const paid = async () => (await nodes.left("erin")) === (credit - seen.served) * flatNano;
		await until("all is paid", paid);
		expect(await nodes.wrong("erin", credit * flatNano, seen, (await nodes.provided()) - before)).toEqual([]);
	});

	test("have left when they have ended in order, and nothing is anybody's share", async () => {
		for (const lethe of nodes.all) expect(await lethe.stop()).toBe(0);
		expect(await nodes.sql("SELECT sum(lent_nano) FROM account")).toBe("0");
		expect(await nodes.sql("SELECT sum(lent_nano) FROM budget")).toBe("0");
		expect(await nodes.sql("SELECT min(state), max(state) FROM node WHERE id < 255")).toBe("2|2");
	});

	// Ids of several servers overlap in time; they are told apart by the server's number.
	test("leave books that one server takes along into a file, and goes on with", async () => {
		const [, last] = nodes.all as [unknown, Nodes["all"][0]];
		const moved = await last.command("store", "move", "--to", "file");
		expect(moved).toMatchObject({ sound: true, tickets: Number(await nodes.sql("SELECT count(*) FROM ticket")) });
		expect((await last.command("ledger", "verify"))["sound"]).toBe(true);
		await last.up();
		const { key } = await last.account("grace", dollars(1));
		expect((await nodes.post(last, key)).status).toBe(200);
		await until("it is booked", async () => (await last.command("account", "show", "grace"))["balance"] === "0.000000000");
		expect((await last.command("ledger", "verify"))["sound"]).toBe(true);
	});
});
