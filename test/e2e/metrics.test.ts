import { readFileSync, renameSync, existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tickets } from "../harness/books.ts";
import { type Family, named, parse, type Sample } from "../harness/exposition.ts";
import { models, nano, sim } from "../harness/lethe.ts";
import { root } from "../harness/paths.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
let scrape: (openmetrics?: boolean) => Promise<Map<string, Family>>;
const hi = [{ role: "user" as const, content: "hi" }];

beforeAll(async () => {
	w = await world({ config: { metrics: { listen: "127.0.0.1:0" } } });
	const url = readFileSync(join(w.lethe.data, "endpoint.metrics"), "utf8").trim();
	scrape = async (openmetrics = false) => {
		const headers: Record<string, string> = openmetrics ? { accept: "application/openmetrics-text;version=1.0.0,text/plain;q=0.5" } : {};
		const answer = await fetch(`${url}/metrics`, { headers });
		expect(answer.headers.get("content-type")).toContain(openmetrics ? "application/openmetrics-text" : "text/plain; version=0.0.4");
		return parse(await answer.text(), openmetrics);
	};
});
afterAll(() => w?.end());

const ask = (model: string, script = "", stream = false) =>
	w.lethe
		.client(w.customer.key)
		.chat.completions.create({ model, messages: hi, stream: stream as false }, script ? sim(script) : {})
		.then(
			async (answer: any) => {
				if (stream) for await (const _ of answer);
			},
			() => undefined,
		);

const sum = (families: Map<string, Family>, name: string, labels: Record<string, string> = {}): bigint =>
	families
		.get(name)!
		.samples.filter((s) => s.name === name && Object.entries(labels).every(([label, value]) => s.labels[label] === value))
		.reduce((all, s) => all + (name.includes("dollars") ? BigInt(nano(s.value)) : BigInt(s.value)), 0n);

// Everything per model in the metrics is what the store has; compared when as many requests are booked.
async function sameAsBooks(requests: number): Promise<void> {
	const rows = await until("all is booked", () => {
		const all = tickets(w.lethe);
		return all.length >= requests && all;
	});
	expect(rows.length).toBe(requests);
	const metrics = await until("the scribe sees it", async () => {
		const m = await scrape();
		return sum(m, "lethe_requests_total") === BigInt(requests) && m;
	});
	for (const { id } of models) {
		const mine = rows.filter((row) => nameOf.get(row["model"] as bigint) === id);
		const total = (column: string) => mine.reduce((all, row) => all + BigInt(row[column]!), 0n);
		expect(sum(metrics, "lethe_requests_total", { model: id })).toBe(BigInt(mine.length));
		expect(sum(metrics, "lethe_cost_dollars_total", { model: id })).toBe(total("cost_nano"));
		for (const kind of ["input", "cached", "output", "reasoning"])
			expect(sum(metrics, "lethe_tokens_total", { model: id, kind })).toBe(total(`tokens_${kind}`));
		const times = metrics.get("lethe_request_duration_seconds")!.samples.filter((s) => s.labels["model"] === id);
		const counted = times.find((s) => s.name.endsWith("_count"));
		expect(Number(counted?.value ?? 0)).toBe(mine.length);
		if (mine.length) expect(nano(times.find((s) => s.name.endsWith("_sum"))!.value)).toBe(Number(total("duration_ms")) * 1e6);
	}
}

// The ledger's number of a model is found by asking it once each.
const nameOf = new Map<bigint, string>();
async function learnNames(): Promise<void> {
	for (const { id } of models.filter((m) => m["id"] !== "tomorrow")) {
		const before = tickets(w.lethe).length;
		await ask(id);
		const rows = await until(`${id} is booked`, () => tickets(w.lethe).length > before && tickets(w.lethe));
		nameOf.set(rows.at(-1)!["model"] as bigint, id);
	}
}

test("what is counted per model is what was booked, to the nano-dollar", async () => {
	await learnNames();
	const known = tickets(w.lethe).length;
	await Promise.all([
		...Array.from({ length: 20 }, (_, i) => ask("exact", `input=${100 + i},cached=${i},chunks=3`, i % 2 === 0)),
		...Array.from({ length: 10 }, () => ask("thinker", "reasoning=50")),
		ask("renamed", "status=429"),
		ask("renamed", "status=500"),
	]);
	await sameAsBooks(known + 32);
	const metrics = await scrape();
	expect(sum(metrics, "lethe_requests_total", { model: "renamed", status: "429", reason: "PROVIDER_ERROR", severity: "warn" })).toBe(1n);
	expect(sum(metrics, "lethe_requests_total", { model: "renamed", status: "500" })).toBe(1n);
	expect(sum(metrics, "lethe_requests_total", { model: "tomorrow" })).toBe(0n);
});

test("refused requests are counted by how they ended", async () => {
	const before = sum(await scrape(), "lethe_exchanges_ended_total", { reason: "BAD_KEY" });
	await w.lethe.client("lethe_live_nobody").chat.completions.create({ model: "exact", messages: hi }).catch(() => undefined);
	const metrics = await scrape();
	expect(sum(metrics, "lethe_exchanges_ended_total", { reason: "BAD_KEY" }) - before).toBe(1n);
	for (const sample of metrics.get("lethe_exchanges_ended_total")!.samples) expect(Object.keys(sample.labels)).toEqual(["edge", "reason", "severity"]);
});

test("a ledger that is killed over its work loses none of it and counts none twice", async () => {
	const known = tickets(w.lethe).length;
	let asked = 0;
	for (let round = 0; round < 4; round++) {
		const work = Array.from({ length: 15 }, () => ask("exact", "input=7,chunks=2", true));
		asked += work.length;
		const [ledger] = w.lethe.children("ledger");
		process.kill(ledger!, "SIGKILL");
		await Promise.all(work);
		await until("another ledger works", async () => {
			const [next] = w.lethe.children("ledger");
			return next !== undefined && next !== ledger && (await w.lethe.run("status")).json["gate"] === "open";
		});
	}
	// Some may have been refused while the ledger was away: those never were in the books.
	const booked = await until("nothing is left to be booked", async () => {
		const { json } = await w.lethe.run("top");
		const states = json["states"];
		return states && states.waiting + states.answering + states.settled + states.giving === 0 && tickets(w.lethe).length;
	});
	expect(booked).toBeLessThanOrEqual(known + asked);
	await sameAsBooks(booked);
	const metrics = await scrape();
	expect(sum(metrics, "lethe_process_restarts_total", { role: "ledger" })).toBeGreaterThanOrEqual(4n);
	expect(sum(metrics, "lethe_process_up")).toBe(5n);
});

test("both formats keep the rules and say the same", async () => {
	const plain = await scrape();
	const open = await scrape(true);
	const names = (families: Map<string, Family>) =>
		[...families.values()].map((f) => ({ counter: `${f.name}_total`, info: `${f.name}_info` })[f.type] ?? f.name);
	expect(names(open)).toEqual([...plain.keys()]);
	expect(open.get("lethe_build")!.type).toBe("info");
});

test("no label says anything of a customer", async () => {
	const allowed = new Set([...models.map((m) => m["id"]), "sim", "(other)"]);
	for (const family of (await scrape()).values())
		for (const { labels } of family.samples) {
			for (const label of ["model", "provider"]) if (label in labels) expect(allowed).toContain(labels[label]);
			for (const value of Object.values(labels)) expect(value).not.toMatch(/acc_|key_|req_|lethe_live|customer/);
		}
});

// Labels that a metric may have: those of its samples, or, where there is none yet, of the reference.
function labelsOf(families: Map<string, Family>): (metric: string) => Set<string> | undefined {
	const reference = new Map<string, string[]>();
	for (const line of readFileSync(join(root, "docs/reference/metrics.md"), "utf8").split("\n")) {
		const row = /^\| `(lethe_\w+)` \| (\w+) \| ([^|]*) \|/.exec(line);
		if (row) reference.set(row[1]!, row[3]!.split(",").map((label) => label.trim()));
	}
	return (metric) => {
		const family = families.get(metric) ?? families.get(metric.replace(/_(bucket|sum|count)$/, ""));
		if (!family || !reference.has(family.name)) return undefined;
		const seen = family.samples.filter((s: Sample) => s.name === metric).flatMap((s) => Object.keys(s.labels));
		return new Set([...reference.get(family.name)!, ...seen, ...(metric.endsWith("_bucket") ? ["le"] : [])]);
	};
}

test("dashboard and alerts ask for nothing that is not there", async () => {
	const dashboard = JSON.parse(readFileSync(join(root, "examples/grafana/lethe.json"), "utf8"));
	const queries: string[] = [
		...dashboard.panels.flatMap((panel: any) => (panel.targets ?? []).map((target: any) => target.expr)),
		...dashboard.annotations.list.map((annotation: any) => annotation.expr),
		...dashboard.templating.list.map((variable: any) => variable.definition ?? ""),
		...readFileSync(join(root, "examples/prometheus/alerts.yml"), "utf8").split(/^ +- alert:/m),
	];
	const labels = labelsOf(await scrape());
	const asked = queries.flatMap(named);
	expect(asked.length).toBeGreaterThan(80);
	for (const { metric, labels: wanted } of asked) {
		const has = labels(metric);
		expect(has, metric).toBeDefined();
		for (const label of wanted) expect([...has!], `${metric} by ${label}`).toContain(label);
	}
	const panels = dashboard.panels.filter((panel: any) => panel.type !== "row");
	expect(new Set(dashboard.panels.map((panel: any) => panel.id)).size).toBe(dashboard.panels.length);
	for (const panel of panels) for (const other of panels) if (panel !== other) expect(overlap(panel.gridPos, other.gridPos), panel.title).toBe(false);
});

type Box = { x: number; y: number; w: number; h: number };
const overlap = (a: Box, b: Box) => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

test("a rotated log goes on in its new file", async () => {
	const log = join(w.lethe.dir, "lethe.log");
	renameSync(log, `${log}.1`);
	w.lethe.signal("SIGHUP");
	await until("the new file begins", () => existsSync(log) && w.lethe.log().includes('"event":"LOG_OPENED"'));
	process.kill(w.lethe.children("dialer")[0]!, "SIGKILL");
	await until("what happens is in it", () => w.lethe.log().includes('"event":"CHILD_DIED"'));
	for (const line of w.lethe.log().trim().split("\n")) expect(Object.keys(JSON.parse(line))).toEqual(["time", "severity", "role", "instance", "event", "numbers", "text"]);
	expect(readFileSync(`${log}.1`, "utf8").trim().split("\n").at(-1)).not.toContain("LOG_OPENED");
});
