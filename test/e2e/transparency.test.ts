// GET /transparency: facts as numbers for anybody, the same as in the metrics; off when the configuration says so.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "../harness/exposition.ts";
import { letheBinary, root } from "../harness/paths.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
type Page = {
	version: string;
	content_memory: string;
	tls_private_keys: string;
	binary_sha256: string;
	looked_at: number;
	facts: { fact: string; state: string; number: number; looked_at: number }[];
	kept_per_request: string[];
};

beforeAll(async () => {
	w = await world({ config: { metrics: { listen: "127.0.0.1:0" } } });
});
afterAll(() => w?.end());

const page = (accept?: string, at = w) => fetch(`${at.lethe.url}/transparency`, accept ? { headers: { accept } } : {});

test("anybody reads which program runs, in which memory, and what is kept", async () => {
	const answer = await page();
	expect(answer.status).toBe(200);
	expect(answer.headers.get("content-type")).toBe("application/json");
	expect(answer.headers.get("vary")).toBe("accept");
	const told = (await answer.json()) as Page;
	expect(["sealed", "locked", "plain"]).toContain(told.content_memory);
	expect(told.tls_private_keys).toBe("none"); // nobody speaks TLS here
	expect(told.binary_sha256).toBe(createHash("sha256").update(readFileSync(letheBinary)).digest("hex"));
	const fields = readFileSync(join(root, "src/ticket/ticket_fields.h"), "utf8");
	expect(told.kept_per_request).toEqual([...fields.matchAll(/^\tX\((\w+), uint/gm)].map((m) => m[1]));
});

test("its facts are the doctor's numbers and those of the metrics", async () => {
	const told = (await (await page()).json()) as Page;
	const url = readFileSync(join(w.lethe.data, "endpoint.metrics"), "utf8").trim();
	const families = await until("the scribe shows them", async () => {
		const all = parse(await (await fetch(`${url}/metrics`)).text(), false);
		return all.get("lethe_machine_state")?.samples.length ? all : undefined;
	});
	const metric = (name: string, fact: string) => families.get(name)!.samples.find((s) => s.labels["fact"] === fact)!.value;
	expect(told.facts.length).toBeGreaterThan(10);
	// Free room and time left change between two looks.
	const fixed = told.facts.filter((f) => !["disk_space", "certificates", "clock", "swap"].includes(f.fact));
	for (const f of fixed) {
		expect(metric("lethe_machine_value", f.fact)).toBe(String(f.number));
		expect(metric("lethe_machine_state", f.fact)).toBe(String(["ok", "warn", "bad"].indexOf(f.state)));
	}
	// The last look at what can change; the start for what can't; this moment for providers.
	const at = (fact: string) => told.facts.find((f) => f.fact === fact)!.looked_at;
	const seconds = Date.now() / 1000;
	expect(at("swap")).toBe(told.looked_at);
	expect(at("kernel")).toBeLessThanOrEqual(at("swap"));
	expect(at("kernel")).toBeGreaterThan(seconds - 600);
	expect(at("providers")).toBeGreaterThanOrEqual(at("swap"));
	const doctor = await w.lethe.command("doctor");
	const numbers = new Map((doctor["facts"] as { fact: string; number: number }[]).map((f) => [f.fact, f.number]));
	expect(numbers.get("Landlock")).toBe(told.facts.find((f) => f.fact === "landlock")!.number);
	expect(numbers.get("kernel")).toBe(told.facts.find((f) => f.fact === "kernel")!.number);
});

test("who does not answer is counted, until it does", async () => {
	const ask = (script: string) =>
		fetch(`${w.lethe.url}/v1/chat/completions`, {
			method: "POST",
			headers: { authorization: `Bearer ${w.customer.key}`, "content-type": "application/json", "x-sim": script },
			body: JSON.stringify({ model: "exact", messages: [{ role: "user", content: "hi" }] }),
		}).then((answer) => answer.text());
	const providers = async () => ((await (await page()).json()) as Page).facts.find((f) => f.fact === "providers");
	expect(await providers()).toMatchObject({ state: "ok", number: 0 });
	for (let i = 0; i < 3; i++) await ask("status=500");
	expect(await providers()).toMatchObject({ state: "warn", number: 1 });
	await until("it is found well again", async () => {
		await ask("chunks=1");
		return (await providers())!.number === 0;
	});
});

test("a browser gets a page without anything to load or run", async () => {
	const answer = await page("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8");
	expect(answer.headers.get("content-type")).toBe("text/html; charset=utf-8");
	expect(answer.headers.get("content-security-policy")).toContain("default-src 'none'");
	const text = await answer.text();
	expect(text).toContain("tokens_input");
	expect(text).toMatch(/<td>bytes free for the data directory<td>\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/);
	expect(text).not.toMatch(/<script|<img|<link|src=|href=/);
});

test("it can be turned off", async () => {
	const off = await world({ config: { transparency_page: false } });
	try {
		expect((await page(undefined, off)).status).toBe(404);
	} finally {
		await off.end();
	}
});
