// A provider that counted more than we did: what it may have counted of attempts that are free to customers is no loss twice, the rest is the house's, once, when an operator says so.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tickets } from "../harness/books.ts";
import { type Json, nano } from "../harness/lethe.ts";
import { Provider } from "../harness/provider.ts";
import { chat, chatUsage } from "../harness/turns.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
let first: Provider;
let day: string;
beforeAll(async () => {
	first = await Provider.start();
	w = await world({
		extra: {
			providers: [{ name: "first", url: `${first.url}/v1` }],
			models: [{ id: "two", provider: undefined, targets: [{ provider: "first", upstream: "two-up" }, { provider: "sim", upstream: "exact", rank: 2 }], prices: [{ input: "1.00", output: "10.00" }] }],
		},
		config: { timeouts: { target: "1s" } },
	});
	const ask = () => w.lethe.client(w.customer.key).chat.completions.create({ model: "two", messages: [{ role: "user", content: "hi" }] });
	first.answers(chat({ text: "Hello." }, false));
	await ask();
	first.answers({ silent: true, pieces: [] });
	await ask();
	// Two requests, and the attempt that failed.
	await until("all are booked", () => tickets(w.lethe).length === 3);
	const rows = (await w.lethe.command("usage", "--by", "day,model", "--provider", "first"))["rows"] as Json[];
	expect(rows).toMatchObject([{ requests: 1 }]);
	day = rows[0]!["day"];
});
afterAll(async () => {
	await w?.end();
	first?.stop();
});

const lethe = (...args: string[]) => w.lethe.command(...args);
const balance = async (name: string) => nano((await lethe("account", "show", name))["balance"]);
const refused = async (...args: string[]) => {
	const said = await w.lethe.run(...args);
	expect(said.status).toBe(1);
	return said.json["error"].message as string;
};

// What we counted of the answer, and so many tokens more.
function counted(input: number, output: number): string {
	const result = {
		model: "two-up",
		input_tokens: chatUsage.prompt_tokens + input,
		input_cached_tokens: chatUsage.prompt_tokens_details.cached_tokens,
		output_tokens: chatUsage.completion_tokens + output,
		num_model_requests: 2,
	};
	const file = join(w.lethe.dir, "usage.json");
	writeFileSync(file, JSON.stringify({ data: [{ start_time: Date.parse(day) / 1000, results: [result] }], has_more: false }));
	return file;
}
const imported = (file: string, ...more: string[]) => lethe("reconcile", "import", file, "--provider", "first", "--tolerance", "0", ...more);

test("what the failed attempt may have used is no loss a second time", async () => {
	const [row] = (await imported(counted(0, 0)))["rows"] as Json[];
	const attempts = row!["free_attempts"] as number;
	expect(attempts).toBeGreaterThan(0);
	expect(await balance("loss.retry")).toBe(-1000 * attempts);
	const answer = await imported(counted(attempts, 0), "--propose", "--propose-losses");
	expect(answer["rows"]).toMatchObject([{ over: "0.000000000", under: "0.000000000" }]);
	expect(answer["rows"][0]["drift_percent"]).toMatch(/^-/);
	expect(answer["proposals"]).toEqual([]);
});

test("beyond it, it is proposed to the house alone, once; accepted it is on loss.estimate, and no customer pays", async () => {
	const attempts = (await imported(counted(0, 0)))["rows"][0]["free_attempts"] as number;
	const file = counted(attempts + 5, 3);
	// Five tokens at 1 dollar a million and three at 10.
	expect((await imported(file, "--propose"))).toMatchObject({ rows: [{ over: "0.000000000", under: "0.000035000" }], proposals: [] });
	expect((await lethe("reconcile", "import", file, "--provider", "first", "--tolerance", "100", "--propose-losses"))["proposals"]).toEqual([]);
	const answer = await imported(file, "--propose-losses");
	expect(answer["proposals"]).toMatchObject([{ account_name: "loss.estimate", worth: "0.000035000", state: "open" }]);
	expect((await imported(file, "--propose-losses"))["proposals"]).toEqual(answer["proposals"]);
	const item = answer["proposals"][0]["item"] as string;
	const before = { customer: await balance("customer"), revenue: await balance("revenue") };
	const said = await Promise.all(Array.from({ length: 12 }, () => w.lethe.run("reconcile", "accept", item, "--actor", "ann")));
	const bookings = new Set(said.map((one) => one.json["booking"] as string));
	expect(bookings.size).toBe(1);
	expect(await refused("reconcile", "reject", item)).toMatch(/decided already/);
	expect(await balance("loss.estimate")).toBe(-35_000);
	expect(await balance("customer")).toBe(before.customer);
	expect(await balance("revenue")).toBe(before.revenue + 35_000);
	expect((await lethe("reconcile", "proposals"))["items"]).toMatchObject([{ item, state: "accepted", booked_by: [...bookings][0] }]);
	expect((await lethe("ledger", "verify"))["sound"]).toBe(true);
	expect(await lethe("reconcile", "run")).toMatchObject({ sound: true });
	const again = await w.lethe.run("reconcile", "import", counted(attempts + 6, 3), "--provider", "first", "--tolerance", "0", "--propose-losses");
	expect(again.status).toBe(1);
	expect(again.json).toMatchObject({ rows: [{ not_proposed: 1 }], proposals: [], not_proposed: [{ account: "loss.estimate", model: "two-up", day, worth: "0.000036000" }] });
});

test("a model that nobody used here is another key's", async () => {
	const file = counted(0, 0);
	writeFileSync(file, JSON.stringify({ data: [{ start_time: Date.parse(day) / 1000, results: [{ model: "never-here", input_tokens: 7, output_tokens: 7, num_model_requests: 1 }] }], has_more: false }));
	const answer = await imported(file, "--propose-losses");
	expect(answer["rows"].find((row: Json) => row["model"] === "never-here")).toMatchObject({ under: "0.000000000" });
	expect(answer["proposals"]).toEqual([]);
});
