// Every order from the command line, against a running server; and the same orders a thousand times at once, over many connections: one entry each.
import { spawnSync } from "node:child_process";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Json } from "../harness/lethe.ts";
import { letheBinary } from "../harness/paths.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
beforeAll(async () => {
	w = await world();
});
afterAll(() => w?.end());

const lethe = (...args: string[]) => w.lethe.command(...args);

// Requests down one connection, as lines; their answers, in order.
function ask(requests: Json[]): Promise<Json[]> {
	return new Promise((done, fail) => {
		const socket = connect(join(w.lethe.data, "control.sock"));
		let text = "";
		socket.on("data", (bytes) => {
			text += bytes;
			const lines = text.split("\n");
			if (lines.length > requests.length) {
				socket.end();
				done(lines.slice(0, -1).map((line) => JSON.parse(line) as Json));
			}
		});
		socket.on("error", fail);
		for (const request of requests) socket.write(`${JSON.stringify(request)}\n`);
	});
}

test("each order is a command, and the statement has all of them", async () => {
	await lethe("account", "create", "acme");
	await lethe("account", "create", "lab");
	const paid = await lethe("credit", "top-up", "acme", "40", "--id", "pay-1");
	expect(paid["amount"]).toBe("40.000000000");
	expect(await lethe("credit", "top-up", "acme", "40", "--id", "pay-1")).toEqual(paid);
	await lethe("credit", "refund", paid["item"], "5", "--reason", "asked for");
	await lethe("credit", "grant", "acme", "2", "--expires", "2100-01-01");
	await lethe("credit", "transfer", "acme", "lab", "7", "--actor", "ann");
	const voucher = await lethe("voucher", "create", "4", "--id", "v-1");
	expect((await lethe("voucher", "create", "4", "--id", "v-1"))["code"]).toBe(voucher["code"]);
	await lethe("voucher", "redeem", "lab", voucher["code"].toLowerCase().replaceAll("-", ""));
	const spare = await lethe("voucher", "create", "1");
	expect((await lethe("voucher", "revoke", spare["item"]))["state"]).toBe("revoked");
	const hold = await lethe("hold", "create", "acme", "3");
	expect((await lethe("hold", "settle", hold["item"], "1"))["balance"]).toBe("29.000000000");
	const other = await lethe("hold", "create", "acme", "3", "--expires", "2100-01-01");
	await lethe("hold", "release", other["item"]);
	const won = await lethe("dispute", "open", paid["item"], "10");
	await lethe("dispute", "won", won["item"]);
	const lost = await lethe("dispute", "open", paid["item"], "20");
	expect((await lethe("dispute", "lost", lost["item"]))["balance"]).toBe("9.000000000");
	await lethe("voucher", "create", "1", "--actor", "ann", "--reason", "for the fair");
	expect((await lethe("voucher", "list"))["items"].at(-1)).toMatchObject({ actor: "ann", reason: "for the fair" });
	for (const list of ["payment", "grant", "transfer", "voucher", "hold", "dispute"])
		expect((await lethe(list, "list"))["items"].length, list).toBeGreaterThan(0);
	const statement = await lethe("account", "statement", "acme");
	expect(statement["rows"].map((row: Json) => row["what"])).toEqual([
		"top-up", "refund", "grant", "transfer", "hold", "hold-settle", "hold", "hold-release", "dispute", "dispute-won", "dispute", "dispute-lost",
	]);
	expect(statement["rows"][3]["actor"]).toBe("ann");
	expect(statement["balance"]).toBe("9.000000000");
	expect((await lethe("account", "statement", "lab"))["rows"].map((row: Json) => row["what"])).toEqual(["transfer-arrival", "voucher-redeem"]);
	expect((await lethe("ledger", "verify"))["sound"]).toBe(true);
});

test("what leaves a balance as it is stands in the statement as well", async () => {
	await lethe("account", "create", "debtor");
	const paid = await lethe("credit", "top-up", "debtor", "5");
	const hold = await lethe("hold", "create", "debtor", "5");
	await lethe("hold", "settle", hold["item"], "5");
	const dispute = await lethe("dispute", "open", paid["item"], "5");
	await lethe("dispute", "lost", dispute["item"], "--actor", "ann", "--reason", "the bank says so");
	await lethe("credit", "top-up", "debtor", "2");
	await lethe("credit", "top-up", "debtor", "4");
	const rows = (await lethe("account", "statement", "debtor"))["rows"] as Json[];
	expect(rows.map((row) => [row["what"], row["amount"], row["balance"], row["owed"]])).toEqual([
		["top-up", "5.000000000", "5.000000000", undefined],
		["hold", "-5.000000000", "0.000000000", undefined],
		["hold-settle", "0.000000000", "0.000000000", undefined],
		["dispute", "0.000000000", "0.000000000", undefined],
		["dispute-lost", "0.000000000", "0.000000000", "5.000000000"],
		["top-up", "0.000000000", "0.000000000", "3.000000000"],
		["top-up", "1.000000000", "1.000000000", "0.000000000"],
	]);
	expect(rows[4]).toMatchObject({ actor: "ann", reason: "the bank says so" });
	const table = (...options: string[]) => spawnSync(letheBinary, ["account", "statement", "debtor", "--data", w.lethe.data, ...options], { encoding: "utf8" }).stdout;
	expect(table()).toMatch(/top-up +\$0.00 +\$0.00 +\$3.00/);
	expect(table("--csv")).toMatch(/,top-up,0.000000000,0.000000000,3.000000000,/);
});

test("a thousand times at once is once", async () => {
	await lethe("account", "create", "crowd");
	await lethe("account", "create", "other");
	const paid = (await lethe("credit", "top-up", "crowd", "100"))["item"];
	const code = (await lethe("voucher", "create", "3"))["code"];
	const held = (await lethe("hold", "create", "crowd", "2"))["item"];
	const spare = (await lethe("voucher", "create", "1"))["item"];
	const gift = (await lethe("credit", "grant", "other", "3.5", "--expires", "2100-01-01"))["item"];
	const freed = (await lethe("hold", "create", "crowd", "2.5"))["item"];
	const [won, lost] = [(await lethe("dispute", "open", paid, "6"))["item"], (await lethe("dispute", "open", paid, "7"))["item"]];
	const proposal = { op: "proposal.create", account: "crowd", day: "2026-01-31", provider: "sim", model: "exact" };
	const [accepted, rejected] = (await ask([{ ...proposal, amount: "0.3" }, { ...proposal, amount: "0.2" }])).map((answer) => answer["item"] as string);
	const undercount = { ...proposal, account: "loss.estimate" };
	const [borne, denied] = (await ask([{ ...undercount, amount: "0.6" }, { ...undercount, amount: "0.5" }])).map((answer) => answer["item"] as string);
	const orders: Json[] = [
		{ op: "credit.add", account: "crowd", amount: "1", reason: "r" },
		{ op: "credit.add", account: "crowd", amount: "-0.5", reason: "r" },
		{ op: "credit.top_up", account: "crowd", amount: "10" },
		{ op: "credit.refund", payment: paid, amount: "4" },
		{ op: "credit.grant", account: "crowd", amount: "2", expires: "2100-01-01" },
		{ op: "credit.transfer", account: "crowd", to: "other", amount: "5" },
		{ op: "voucher.create", amount: "6" },
		{ op: "voucher.redeem", account: "crowd", code },
		{ op: "hold.create", account: "crowd", amount: "8" },
		{ op: "hold.settle", hold: held, cost: "1.25" },
		{ op: "dispute.open", payment: paid, amount: "9" },
		{ op: "voucher.revoke", voucher: spare },
		{ op: "grant.revoke", grant: gift },
		{ op: "hold.release", hold: freed },
		{ op: "dispute.won", dispute: won },
		{ op: "dispute.lost", dispute: lost },
		{ op: "proposal.create", account: "crowd", amount: "0.4", day: "2026-01-31", provider: "sim", model: "exact" },
		{ op: "proposal.accept", proposal: accepted },
		{ op: "proposal.reject", proposal: rejected },
		{ op: "proposal.create", account: "loss.estimate", amount: "0.7", day: "2026-01-31", provider: "sim", model: "exact" },
		{ op: "proposal.accept", proposal: borne },
		{ op: "proposal.reject", proposal: denied },
		{ op: "account.create", name: "made at once" },
	].map((order, i) => ({ ...order, id: `crowd-${i}` }));
	const connections = 10;
	const rounds = 1000 / connections;
	// Each connection in an order of its own.
	const asked = Array.from({ length: connections }, (_, c) =>
		Array.from({ length: rounds * orders.length }, (_, i) => orders[(i * (c % 5 === 0 ? 1 : 3) + c) % orders.length]!),
	);
	const answers = await Promise.all(asked.map(ask));
	const seen = new Map<string, Set<string>>();
	let count = 0;
	answers.forEach((list, c) =>
		list.forEach((answer, i) => {
			expect(answer["ok"], JSON.stringify(answer)).toBe(true);
			const id = asked[c]![i]!["id"] as string;
			seen.set(id, (seen.get(id) ?? new Set()).add(answer["booking"] ?? answer["item"] ?? answer["account"]));
			count++;
		}),
	);
	expect(count).toBe(1000 * orders.length);
	expect([...seen.values()].map((bookings) => bookings.size)).toEqual(orders.map(() => 1));
	// 100 − 2 + 1 − 0.5 + 10 − 4 + 2 − 5 + 3 − 8 + 0.75 − 9 + 0.3, and the 7 of the dispute that was lost
	expect((await lethe("account", "show", "crowd"))["balance"]).toBe("81.550000000");
	expect((await lethe("account", "show", "other"))["balance"]).toBe("5.000000000");
	expect((await lethe("account", "show", "loss.estimate"))["balance"]).toBe("-0.600000000");
	expect((await lethe("ledger", "verify"))["sound"]).toBe(true);
});
