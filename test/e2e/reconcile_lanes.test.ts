// Where less was charged than the standard price comes to, no more is proposed back than the share of it by which the provider counted less.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tickets } from "../harness/books.ts";
import { type Json, nano } from "../harness/lethe.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

const asked = 4;
let w: World;
let used: Json;
beforeAll(async () => {
	const price = { from: "2020-01-01", input: "1.00", output: "10.00" };
	w = await world({
		config: { expose_route: true, lanes: [{ name: "direct" }, { name: "economy", times: "0.5" }] },
		extra: { providers: [], models: [{ id: "cheap", provider: undefined, context: 16384, output: 16384, prices: [price], targets: [{ provider: "sim", lanes: ["direct", "economy"] }] }] },
	});
	for (let i = 0; i < asked; i++)
		await w.lethe.client(w.customer.key).chat.completions.create({ model: "cheap", messages: [{ role: "user", content: "hi" }] }, { headers: { "lethe-lane": "economy" } });
	await until("all are booked", () => tickets(w.lethe).length === asked);
	used = (await w.lethe.command("usage", "--by", "day,model"))["rows"][0];
});
afterAll(() => w?.end());

test("a lane's usage is told apart", async () => {
	const rows = (await w.lethe.command("usage", "--by", "model,lane"))["rows"] as Json[];
	expect(rows.map((row) => [row["model"], row["lane"], row["requests"]])).toEqual([["cheap", "economy", asked]]);
});

test("half of the tokens are half of what was charged, in a lane at half of the price", async () => {
	const tokens = used["tokens"];
	const charged = nano(used["cost"]);
	expect(charged).toBe((tokens["input"] * 1_000 + tokens["output"] * 10_000) / 2);
	const result = { model: "cheap", input_tokens: tokens["input"] / 2, input_cached_tokens: 0, output_tokens: tokens["output"] / 2, num_model_requests: asked };
	const file = join(w.lethe.dir, "usage.json");
	writeFileSync(file, JSON.stringify({ data: [{ start_time: Date.parse(used["day"]) / 1000, results: [result] }], has_more: false }));
	const answer = await w.lethe.command("reconcile", "import", file, "--provider", "sim", "--propose");
	expect(nano(answer["rows"][0]["over"])).toBe(charged / 2);
	expect(answer["proposals"].map((p: Json) => nano(p["worth"]))).toEqual([charged / 2]);
});
