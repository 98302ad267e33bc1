// A provider's account of what was used beside ours: drift by model and day, what was charged beyond it proposed, accepted or rejected, once.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tickets } from "../harness/books.ts";
import { type Account, type Json, nano } from "../harness/lethe.ts";
import { letheBinary } from "../harness/paths.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
let other: Account;
let used: Json[];
beforeAll(async () => {
	w = await world();
	other = await w.lethe.account("other", "10");
	const ask = (account: Account, model: string) => w.lethe.client(account.key).chat.completions.create({ model, messages: [{ role: "user", content: "hi" }] });
	for (let i = 0; i < 3; i++) await ask(w.customer, "exact");
	await ask(other, "exact");
	await ask(w.customer, "renamed");
	await until("all are booked", () => tickets(w.lethe).length === 5);
	used = (await w.lethe.command("usage", "--by", "day,model", "--provider", "sim"))["rows"];
});
afterAll(() => w?.end());

const lethe = (...args: string[]) => w.lethe.command(...args);
const refused = async (...args: string[]) => {
	const said = await w.lethe.run(...args);
	expect(said.status).toBe(1);
	return said.json["error"].message as string;
};
const upstream: Record<string, string> = { exact: "exact-2026-08-06", renamed: "provider-name-2026-01-01" };
// As OpenAI says it, with what `change` makes of a row.
function exported(change: (row: Json) => void): string {
	const results = used.map((row) => {
		const input = row["tokens"]["input"] + row["tokens"]["cached"];
		const result = { day: row["day"], model: upstream[row["model"]], input_tokens: input, input_cached_tokens: row["tokens"]["cached"], output_tokens: row["tokens"]["output"] + row["tokens"]["reasoning"], num_model_requests: row["requests"] };
		change(result);
		return result;
	});
	const data = results.map(({ day, ...result }) => ({ start_time: Date.parse(day) / 1000, results: [result] }));
	const file = join(w.lethe.dir, "usage.json");
	writeFileSync(file, JSON.stringify({ data, has_more: false }));
	return file;
}
const drift = (answer: Json) => Object.fromEntries(answer["rows"].map((row: Json) => [row["model"], row["drift_percent"]]));

test("tickets = postings = balances, on demand, and the outcome is kept", async () => {
	const done = await lethe("reconcile", "run");
	expect(done).toMatchObject({ sound: true, tickets: 5 });
	expect(done["charged_by_tickets"]).toBe(done["charged_by_bookings"]);
	expect(done["balances_by_postings"]).toBe(done["balances"]);
	expect(nano(done["balances"])).toBe(nano("110") - nano(done["charged_by_tickets"]));
	const kept = (await lethe("reconcile", "list"))["rows"];
	expect(kept[0]).toMatchObject({ tickets: 5, broken: 0, charged: done["charged_by_tickets"], balances: done["balances"] });
});

test("a provider that counted the same has no drift, under its own names of models", async () => {
	const answer = await lethe("reconcile", "import", exported(() => {}), "--provider", "sim", "--propose");
	expect(drift(answer)).toEqual({ exact: "+0.00", "provider-name-2026-01-01": "+0.00" });
	expect(answer["proposals"]).toEqual([]);
});

test("a model that is not in the export at all is unclear, and nothing of it is proposed", async () => {
	const part = exported((row) => Object.assign(row, row["model"] === upstream["exact"] ? { input_tokens: 0, input_cached_tokens: 0, output_tokens: 0, num_model_requests: 0 } : {}));
	const answer = await lethe("reconcile", "import", part, "--provider", "sim", "--propose", "--tolerance", "0");
	expect(Object.fromEntries(answer["rows"].map((row: Json) => [row["model"], row["unclear"]]))).toEqual({ exact: true, "provider-name-2026-01-01": false });
	expect(answer["proposals"]).toEqual([]);
});

test("one that counted more is the house's loss, and less within the tolerance is nobody's", async () => {
	const more = await lethe("reconcile", "import", exported((row) => (row["output_tokens"] *= 2)), "--provider", "sim", "--propose");
	expect(more["rows"].every((row: Json) => row["drift_percent"].startsWith("-"))).toBe(true);
	expect(more["proposals"]).toEqual([]);
	const file = exported((row) => (row["output_tokens"] -= 1));
	expect((await lethe("reconcile", "import", file, "--provider", "sim", "--propose", "--tolerance", "100"))["proposals"]).toEqual([]);
	expect((await lethe("reconcile", "import", file, "--provider", "sim", "--tolerance", "0"))["rows"].map((row: Json) => row["over"])).toEqual(["0.000010000", "0.000010000"]);
	expect((await lethe("reconcile", "proposals"))["items"]).toEqual([]);
});

test("what was charged beyond their count is proposed to who paid, once; accepted it is given back, rejected not", async () => {
	const file = exported((row) => {
		if (row["model"] === upstream["exact"]) row["output_tokens"] -= 4;
	});
	const answer = await lethe("reconcile", "import", file, "--provider", "sim", "--propose", "--tolerance", "0");
	// Four tokens at 10 dollars a million, three parts of four to who asked three times of four.
	const worth = Object.fromEntries(answer["proposals"].map((p: Json) => [p["account_name"], p["worth"]]));
	expect(worth).toEqual({ customer: "0.000030000", other: "0.000010000" });
	expect((await lethe("reconcile", "import", file, "--provider", "sim", "--propose", "--tolerance", "0"))["proposals"]).toEqual(answer["proposals"]);
	const open = (await lethe("reconcile", "proposals", "--open"))["items"] as Json[];
	expect(open.length).toBe(2);
	const [mine, theirs] = ["customer", "other"].map((name) => open.find((p) => p["account_name"] === name)!["item"] as string);
	const before = await w.lethe.balance("customer");
	const done = await lethe("reconcile", "accept", mine!, "--actor", "ann");
	expect(done).toMatchObject({ item: mine, state: "accepted", amount: "0.000030000" });
	expect(await lethe("reconcile", "accept", mine!)).toMatchObject({ booking: done["booking"] });
	expect(await w.lethe.balance("customer")).toBe(before + 30_000);
	expect(await refused("reconcile", "reject", mine!)).toMatch(/decided already/);
	expect(await lethe("reconcile", "reject", theirs!)).toMatchObject({ state: "rejected" });
	expect(await refused("reconcile", "accept", theirs!)).toMatch(/decided already/);
	expect((await lethe("reconcile", "proposals", "--open"))["items"]).toEqual([]);
	const statement = (await lethe("account", "statement", "customer"))["rows"] as Json[];
	expect(statement.find((row) => row["what"] === "correction")).toMatchObject({ amount: "0.000030000", actor: "ann" });
	expect((await lethe("ledger", "verify"))["sound"]).toBe(true);
	const said = (path: string) => spawnSync(letheBinary, ["reconcile", "import", path, "--provider", "sim", "--propose", "--tolerance", "0", "--data", w.lethe.data], { encoding: "utf8" });
	const decided = said(file);
	expect(decided.stdout).toMatch(/\n2 accepted or rejected before: /);
	expect(decided.stdout).not.toMatch(/\d proposed: /);
	// Another count of the same day is no second proposal beside one that was accepted. Where the first was rejected it takes its place; what else is in the export is proposed all the same.
	const less = exported((row) => (row["output_tokens"] -= row["model"] === upstream["exact"] ? 8 : 3));
	const again = await w.lethe.run("reconcile", "import", less, "--provider", "sim", "--propose", "--tolerance", "0");
	expect(again.status).toBe(1);
	expect(again.json["not_proposed"]).toMatchObject([{ account_name: "customer", worth: "0.000060000", model: "exact", day: used[0]!["day"] }]);
	expect(Object.fromEntries(again.json["rows"].map((row: Json) => [row["model"], row["not_proposed"]]))).toEqual({ exact: 1, "provider-name-2026-01-01": 0 });
	const anew = Object.fromEntries(again.json["proposals"].map((p: Json) => [`${p["model"]} ${p["account_name"]}`, p]));
	expect(anew).toMatchObject({ "exact other": { worth: "0.000020000", state: "open" }, "provider-name-2026-01-01 customer": { worth: "0.000030000", state: "open" } });
	expect(Object.keys(anew).length).toBe(2);
	expect((await lethe("reconcile", "proposals"))["items"].length).toBe(4);
	const text = said(less);
	expect(text.status).toBe(1);
	expect(text.stdout).toMatch(/1 not proposed, as other amounts were before/);
	expect(text.stdout).toMatch(/exact +customer +\$0.00006\b/);
});

test("after a rejected proposal another amount is proposed, one at a time, and the same amounts are not", async () => {
	const exact = (tokens: number) => exported((row) => (row["output_tokens"] -= row["model"] === upstream["exact"] ? tokens : 0));
	const given = async (tokens: number, file = exact(tokens)) => {
		const answer = await w.lethe.run("reconcile", "import", file, "--provider", "sim", "--propose", "--tolerance", "0");
		return { status: answer.status, other: (answer.json["proposals"] as Json[]).find((p) => p["account_name"] === "other"), left: (answer.json["not_proposed"] as Json[]).map((p) => p["account_name"]).sort() };
	};
	const all = async () => ((await lethe("reconcile", "proposals"))["items"] as Json[]).filter((p) => p["account_name"] === "other" && p["model"] === "exact");
	const second = (await given(8)).other!;
	expect(second).toMatchObject({ worth: "0.000020000", state: "open" });
	// One is open: neither a third amount is proposed beside it, nor the first once more.
	expect(await given(6)).toMatchObject({ status: 1, other: undefined, left: ["customer", "other"] });
	expect((await given(4)).other).toMatchObject({ worth: "0.000010000", state: "rejected" });
	expect((await all()).length).toBe(2);
	await lethe("reconcile", "reject", second["item"]);
	const file = exact(6);
	const thirds = await Promise.all(Array.from({ length: 4 }, () => given(6, file)));
	expect(new Set(thirds.map((one) => one.other!["item"])).size).toBe(1);
	expect(thirds[0]!.other).toMatchObject({ worth: "0.000015000", state: "open" });
	expect((await given(8)).other).toMatchObject({ item: second["item"], state: "rejected" });
	expect((await all()).map((p) => p["state"]).sort()).toEqual(["open", "rejected", "rejected"]);
	// Accepted, it is the last word.
	await lethe("reconcile", "accept", thirds[0]!.other!["item"]);
	expect(await given(7)).toMatchObject({ status: 1, left: ["customer", "other"] });
	expect((await all()).length).toBe(3);
	expect((await lethe("ledger", "verify"))["sound"]).toBe(true);
});

test("accepted and rejected at once, one of the two holds", async () => {
	const file = exported((row) => (row["output_tokens"] -= row["model"] === upstream["renamed"] ? 3 : 0));
	const [proposal] = (await lethe("reconcile", "import", file, "--provider", "sim", "--propose", "--tolerance", "0"))["proposals"] as Json[];
	const before = await w.lethe.balance("customer");
	const said = await Promise.all(Array.from({ length: 12 }, (_, i) => w.lethe.run("reconcile", i % 3 === 2 ? "reject" : "accept", proposal!["item"])));
	const state = (await lethe("reconcile", "proposals"))["items"].find((p: Json) => p["item"] === proposal!["item"])["state"];
	expect(await w.lethe.balance("customer")).toBe(before + (state === "accepted" ? 30_000 : 0));
	said.forEach((answer, i) => expect(answer.json["ok"], JSON.stringify(answer.json)).toBe((i % 3 === 2) === (state === "rejected")));
	expect((await lethe("ledger", "verify"))["sound"]).toBe(true);
});

test("a bill is compared in dollars; what can't be compared is refused with the reason", async () => {
	const bill = join(w.lethe.dir, "costs.csv");
	writeFileSync(bill, `start_time,end_time,amount_value,amount_currency,line_item\n${Date.parse(used[0]!["day"]) / 1000},0,0.25,usd,"exact-2026-08-06, input"\n`);
	const answer = await lethe("reconcile", "import", bill, "--provider", "sim");
	expect(answer["rows"].find((row: Json) => row["model"] === "exact")).toMatchObject({ provider_charged: "0.250000000", charged: used.find((row) => row["model"] === "exact")!["cost"] });
	writeFileSync(bill, "a,b\n1,2\n");
	expect(await refused("reconcile", "import", bill, "--provider", "sim")).toMatch(/neither JSON nor a CSV/);
	expect(await refused("reconcile", "import", exported(() => {}), "--provider", "nobody")).toMatch(/no provider "nobody"/);
	expect(await refused("reconcile", "import", join(w.lethe.dir, "none"), "--provider", "sim")).toMatch(/can't be read/);
});
