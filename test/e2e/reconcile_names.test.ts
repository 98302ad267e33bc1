// A model and a snapshot of it that are both ours: each has its own count, whichever of them was used more.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tickets } from "../harness/books.ts";
import { type Account, type Json } from "../harness/lethe.ts";
import { Provider } from "../harness/provider.ts";
import { chat } from "../harness/turns.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

const snapshot = (base: string) => `${base}-2026-08-06`;
const names = ["base-more", snapshot("base-more"), "snapshot-more", snapshot("snapshot-more")];
const often: Record<string, number> = { "base-more": 2, [snapshot("snapshot-more")]: 2 };

let w: World;
let first: Provider;
let other: Account;
let used: Json[];
beforeAll(async () => {
	first = await Provider.start();
	const model = (id: string) => ({ id, provider: undefined, targets: [{ provider: "first", upstream: id }, { provider: "sim", upstream: "exact", rank: 2 }], prices: [{ input: "1.00", output: "10.00" }] });
	w = await world({ extra: { providers: [{ name: "first", url: `${first.url}/v1` }], models: names.map(model) }, config: { timeouts: { target: "1s" } } });
	other = await w.lethe.account("other", "10");
	// Snapshots are the other's.
	const ask = (id: string) => w.lethe.client(id.endsWith("06") ? other.key : w.customer.key).chat.completions.create({ model: id, messages: [{ role: "user", content: "hi" }] });
	first.answers(chat({ text: "Hello." }, false));
	for (const id of names) for (let i = 0; i < (often[id] ?? 1); i++) await ask(id);
	first.answers({ silent: true, pieces: [] });
	await ask(snapshot("base-more"));
	await ask(snapshot("snapshot-more"));
	// Six, two that failed, and the two in their place.
	await until("all are booked", () => tickets(w.lethe).length === 10);
	used = (await w.lethe.command("usage", "--by", "day,model", "--provider", "first"))["rows"];
	expect(used.map((row) => row["model"]).sort()).toEqual([...names].sort());
});
afterAll(async () => {
	await w?.end();
	first?.stop();
});

// As we counted, and so many tokens less of snapshots; by the names that the provider has for them.
function exported(less: number, named = (id: string) => id): string {
	const data = used.map((row) => {
		const { input, cached, output, reasoning } = row["tokens"];
		const fewer = row["model"].endsWith("06") ? less : 0;
		const result = { model: named(row["model"]), input_tokens: input + cached, input_cached_tokens: cached, output_tokens: output + reasoning - fewer, num_model_requests: row["requests"] };
		return { start_time: Date.parse(row["day"]) / 1000, results: [result] };
	});
	const file = join(w.lethe.dir, "usage.json");
	writeFileSync(file, JSON.stringify({ data, has_more: false }));
	return file;
}
const imported = (file: string, ...more: string[]) => w.lethe.command("reconcile", "import", file, "--provider", "first", "--tolerance", "0", ...more);
const attempted = (answer: Json) => answer["rows"].filter((row: Json) => row["free_attempts"] > 0).map((row: Json) => row["model"]);

async function each_has_its_own() {
	const same = await imported(exported(0), "--propose", "--propose-losses");
	expect(Object.fromEntries(same["rows"].map((row: Json) => [row["model"], row["drift_percent"]]))).toEqual(Object.fromEntries(names.map((id) => [id, "+0.00"])));
	expect(attempted(same).sort()).toEqual([snapshot("base-more"), snapshot("snapshot-more")]);
	expect(same["proposals"]).toEqual([]);
	const proposed = (await imported(exported(4), "--propose"))["proposals"].map((p: Json) => [p["model"], p["account_name"], p["worth"]]);
	// Four tokens at 10 dollars a million.
	expect(proposed.sort()).toEqual([snapshot("base-more"), snapshot("snapshot-more")].map((id) => [id, "other", "0.000040000"]));
}

test("by the catalogue's names", each_has_its_own);

test("where a provider may have counted a model under its snapshot's name nothing is proposed", async () => {
	const answered = (id: string) => (id.endsWith("06") ? id : snapshot(id));
	for (const less of [0, 3]) {
		const told = await imported(exported(less, answered), "--propose", "--propose-losses");
		expect(told["proposals"]).toEqual([]);
		expect(told["rows"].map((row: Json) => [row["model"], row["unclear"]]).sort()).toEqual(names.map((id) => [id, true]).sort());
	}
	const same = await imported(exported(0));
	expect(same["rows"].map((row: Json) => row["unclear"])).toEqual(names.map(() => false));
});

test("without a server, by the names of what was used", async () => {
	await w.lethe.stop();
	await each_has_its_own();
});
