import { readFileSync, writeFileSync } from "node:fs";
import { connect as connectH2 } from "node:http2";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { tickets } from "../harness/books.ts";
import { parse } from "../harness/exposition.ts";
import { type Json, upstreamKey } from "../harness/lethe.ts";
import { Load, settleAccounts, unexpected } from "../harness/load.ts";
import { post, Raw } from "../harness/raw.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

const rounds = Number(process.env["LETHE_RELOADS"] ?? 6);
const dollars = "1000";
const hi = [{ role: "user" as const, content: "hi" }];

let w: World;
beforeEach(async () => {
	w = await world({ dollars, config: { metrics: { listen: "127.0.0.1:0" } } });
});
afterEach(() => w?.end());

const model = (config: Json, id: string) => config["models"].find((m: Json) => m["id"] === id);
const price = (config: Json, id: string, output: string) => (model(config, id)["prices"] = [{ from: "2026-01-01", input: "1.00", output }]);

// On a connection of its own: one that is kept is answered once more by the edge that it is with.
async function begin(name: string, script: string, more: Json = {}): Promise<Raw> {
	const raw = await Raw.open(w.lethe.url);
	raw.say(post(w.customer.key, JSON.stringify({ model: name, messages: hi, ...more }), { "x-sim": script }));
	return raw;
}
async function ask(name: string, script = "prompt_tokens=1000,chunks=10", more: Json = {}): Promise<number> {
	const raw = await begin(name, script, more);
	const { status } = await raw.answer();
	raw.close();
	return status;
}
async function stream(name: string, script: string): Promise<Raw> {
	const raw = await begin(name, script, { stream: true, max_tokens: 1000 });
	await until("it runs", () => raw.received.includes("data:"));
	return raw;
}
const whole = async (raw: Raw): Promise<string> => (await raw.answer()).body.toString();

async function applied(change: (config: Json) => void): Promise<Json> {
	w.lethe.configure(change);
	const result = await w.lethe.reload();
	expect(result.stderr).toBe("");
	expect(result.json["result"]).toBe("applied");
	return result.json;
}

async function refused(change: (config: Json) => void): Promise<string> {
	w.lethe.configure(change);
	const result = await w.lethe.reload();
	expect(result.status).toBe(1);
	return result.stdout + result.stderr;
}

// It may have ended by itself meanwhile.
function kill(pid: number): void {
	try {
		process.kill(pid, "SIGKILL");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
	}
}

async function booksAreRight(): Promise<void> {
	const verified = await w.lethe.verify();
	expect(verified.stdout).not.toMatch(/"ok":\s*false/);
	expect(verified.status).toBe(0);
}

describe("a changed configuration", () => {
	test("new models, new prices: what runs goes on at its old price, what comes has the new one", async () => {
		const running = await stream("exact", "prompt_tokens=1000,chunks=40,gap_ms=50");
		expect(await ask("fresh")).toBe(404);
		await applied((config) => {
			price(config, "exact", "20.00");
			config["models"].push({ ...model(config, "renamed"), id: "fresh", aliases: [] });
			config["models"] = config["models"].filter((m: Json) => m["id"] !== "renamed");
		});
		expect(await ask("fresh")).toBe(200);
		expect(await ask("renamed")).toBe(404);
		await ask("exact");
		expect(await whole(running)).toContain("[DONE]");
		const rows = await until("all three are booked", () => tickets(w.lethe).length === 3 && tickets(w.lethe));
		expect(rows.map((row) => Number(row["cost_nano"])).sort((a, b) => a - b)).toEqual([1_000_000 + 10 * 10_000, 1_000_000 + 10 * 20_000, 1_000_000 + 40 * 10_000]);
		await booksAreRight();
	});

	test("one that can't be used changes nothing, and is told to who asked, on standard error and in the log", async () => {
		const before = w.lethe.children();
		expect(await refused((config) => price(config, "exact", "many"))).toContain("`output`");
		await until("standard error tells", () => w.lethe.output().includes("`output`"));
		await until("the log tells", () => w.lethe.events("RELOAD_REFUSED") === 1);
		expect(w.lethe.children()).toEqual(before);
		expect(await refused((config) => config["providers"].push({ name: "other", url: "https://example.com/v1", keys: [{ env: "NO_SUCH_KEY" }] }))).toContain("many");
		await applied((config) => {
			price(config, "exact", "30.00");
			config["providers"].pop();
		});
		expect(await ask("exact")).toBe(200);
	});

	test("one that has not changed starts nobody anew", async () => {
		const before = w.lethe.children();
		expect((await w.lethe.reload()).json["result"]).toBe("same");
		w.lethe.configure(() => {});
		expect((await w.lethe.reload()).json["result"]).toBe("same");
		expect(w.lethe.children()).toEqual(before);
	});

	test("what is fixed until a restart is named, and the rest applies", async () => {
		const said = await applied((config) => {
			config["edges"] = 3;
			config["node"] = 7;
			config["limits"] = { accounts: 1000, streams_per_edge: 500, body_bytes: "1MiB" };
			config["metrics"] = { listen: "127.0.0.1:1" };
		});
		const lines = said["said"].join("\n");
		for (const name of ["edges", "node", "limits.accounts", "limits.streams_per_edge", "metrics.listen"]) expect(lines).toContain(`\`${name}\` is fixed`);
		await until("the old ones have ended", () => w.lethe.children("edge").length === 2);
		expect(await ask("exact", "", { user: "x".repeat(2 << 20) })).toBe(413);
		expect((await w.lethe.reload()).json["result"]).toBe("same");
	});

	test("a key in the environment is still known, and one in a file is read again", async () => {
		await applied((config) => price(config, "exact", "20.00"));
		expect(await ask("exact")).toBe(200);
		const file = join(w.lethe.dir, "key");
		writeFileSync(file, upstreamKey, { mode: 0o600 });
		await applied((config) => (config["providers"][0]["keys"] = [{ file }]));
		expect(await ask("exact")).toBe(200);
		writeFileSync(file, "another", { mode: 0o600 });
		expect((await w.lethe.reload()).json["result"]).toBe("applied");
		expect(await ask("exact")).toBe(503);
	});

	test("what was counted goes on being counted", async () => {
		const url = readFileSync(join(w.lethe.data, "endpoint.metrics"), "utf8").trim();
		const requests = async (name: string) => {
			const family = parse(await (await fetch(`${url}/metrics`)).text()).get("lethe_requests_total")!;
			return family.samples.filter((s) => s.labels["model"] === name).reduce((sum, s) => sum + Number(s.value), 0);
		};
		await ask("exact");
		await ask("renamed");
		await until("both are counted", async () => (await requests("exact")) === 1 && (await requests("renamed")) === 1);
		await applied((config) => (config["models"] = config["models"].filter((m: Json) => m["id"] !== "renamed")));
		expect(await requests("exact")).toBe(1);
		expect(await requests("(other)")).toBe(1);
		await ask("exact");
		await until("it goes on", async () => (await requests("exact")) === 2);
		// The same with a ledger that is started anew.
		process.kill(w.lethe.children("ledger")[0]!, "SIGKILL");
		await ask("exact");
		await until("it goes on", async () => (await requests("exact")) === 3);
		await booksAreRight();
	});
});

describe("listeners", () => {
	async function freePort(): Promise<number> {
		const server = createServer().listen(0, "127.0.0.1");
		await new Promise((ready) => server.once("listening", ready));
		const { port } = server.address() as AddressInfo;
		await new Promise((closed) => server.close(closed));
		return port;
	}
	const reachable = (url: string) =>
		fetch(`${url}/v1/models`).then(
			() => true,
			() => false,
		);

	test("new ones are bound, what stays is kept, what is gone refuses", async () => {
		const kept = w.lethe.url, port = await freePort(), added = `http://127.0.0.1:${port}`;
		await applied((config) => config["listen"].push(`127.0.0.1:${port}`));
		expect(w.lethe.endpoints()).toEqual([kept, added]);
		expect(await reachable(added)).toBe(true);
		expect(await reachable(kept)).toBe(true);
		const running = await stream("exact", "chunks=40,gap_ms=50");
		await applied((config) => config["listen"].shift());
		expect(w.lethe.endpoints()).toEqual([added]);
		expect(await reachable(added)).toBe(true);
		expect(await reachable(kept)).toBe(false);
		expect(await whole(running)).toContain("[DONE]");
	});

	test("a port that somebody else has is no reason to lose what runs", async () => {
		const squatter = createServer().listen(0, "127.0.0.1");
		await new Promise((ready) => squatter.once("listening", ready));
		const before = w.lethe.children(), { port } = squatter.address() as AddressInfo;
		expect(await refused((config) => config["listen"].push(`127.0.0.1:${port}`))).toContain(`can't listen on http://127.0.0.1:${port}`);
		expect(w.lethe.children()).toEqual(before);
		expect(await reachable(w.lethe.url)).toBe(true);
		squatter.close();
	});
});

describe("those who are connected", () => {
	test("an idle connection is answered once more, and told to come again", async () => {
		const raw = await Raw.open(w.lethe.url);
		const request = post(w.customer.key, JSON.stringify({ model: "exact", messages: hi }));
		raw.say(request);
		expect((await raw.answer()).headers.get("connection")).toBeUndefined();
		await applied((config) => price(config, "exact", "20.00"));
		raw.say(request);
		const answer = await raw.answer();
		expect(answer.status).toBe(200);
		expect(answer.headers.get("connection")).toBe("close");
		await raw.ends();
		await until("its edge ends", () => w.lethe.children("edge").length === 2);
	});

	test("a connection of HTTP/2 is told to go, its streams are answered, also those that came before it knew", async () => {
		const session = connectH2(w.lethe.url);
		let told = 0;
		session.on("error", () => {});
		session.on("goaway", () => told++);
		const asked = (script: string) =>
			new Promise<string>((resolve, reject) => {
				const headers = { ":method": "POST", ":path": "/v1/chat/completions", authorization: `Bearer ${w.customer.key}`, "content-type": "application/json", "x-sim": script };
				const one = session.request(headers);
				let text = "";
				one.setEncoding("utf8");
				one.on("data", (more: string) => (text += more));
				one.on("error", reject);
				one.on("end", () => resolve(text));
				one.end(JSON.stringify({ model: "exact", messages: hi, stream: true, max_tokens: 1000 }));
			});
		const running = asked("chunks=40,gap_ms=50");
		await until("it runs", () => w.sim.stats().then((stats) => stats["streams"] === 1));
		const reload = applied((config) => price(config, "exact", "20.00"));
		const late = asked("chunks=2");
		await reload;
		expect(await late).toContain("[DONE]");
		expect(await running).toContain("[DONE]");
		expect(told).toBeGreaterThan(0);
		session.close();
		await until("its edge ends", () => w.lethe.children("edge").length === 2);
	});

	test("a stream beyond `timeouts.drain` gets the error event, and is booked", async () => {
		await applied((config) => (config["timeouts"] = { drain: "1s" }));
		const running = await stream("exact", "prompt_tokens=1000,chunks=1000,gap_ms=50");
		await applied((config) => price(config, "exact", "20.00"));
		const text = await whole(running);
		expect(text).toMatch(/data: \{"error":/);
		expect(text).not.toContain("[DONE]");
		const rows = await until("it is booked", () => tickets(w.lethe).length === 1 && tickets(w.lethe));
		expect(Number(rows[0]!["cost_nano"])).toBeGreaterThan(0);
		await until("its edge has ended", () => w.lethe.children("edge").length === 2);
		expect(w.lethe.events("CHILD_DIED")).toBe(0);
		await booksAreRight();
	});

	test("a third change waits for the oldest edges to end, and then applies", async () => {
		const open = [];
		for (let i = 0; i < 2; i++) {
			const running = await stream("exact", "chunks=30,gap_ms=100");
			open.push(running);
			await applied((config) => price(config, "exact", `${20 + i}.00`));
		}
		w.lethe.configure((config) => price(config, "exact", "30.00"));
		const third = w.lethe.reload();
		await until("it is said to wait", () => w.lethe.events("RELOAD_WAITS") === 1);
		for (const running of open) expect(await whole(running)).toContain("[DONE]");
		expect((await third).json["result"]).toBe("applied");
		await ask("exact");
		const last = await until("it is booked", () => tickets(w.lethe).length === 3 && tickets(w.lethe).at(-1));
		expect(Number(last!["cost_nano"])).toBe(1_000_000 + 10 * 30_000);
	});
});

describe("under load", () => {
	const change = (round: number) => (config: Json) => (model(config, "dear")["prices"] = [{ from: "2026-01-01", input: `${100 + round}.00`, output: "600.00" }]);

	test(`${rounds} reloads: no request fails, no stream is cut`, async () => {
		const fresh = new Load(w.lethe, w.customer, 10);
		const other = await w.lethe.account("other", dollars);
		const kept = new Load(w.lethe, other, 10, true);
		for (let round = 0; round < rounds; round++) {
			await fresh.flows(10);
			await kept.flows(10);
			await applied(change(round));
		}
		await fresh.flows(10);
		expect(unexpected(await fresh.stop())).toEqual([]);
		expect(unexpected(await kept.stop())).toEqual([]);
		await settleAccounts(w.lethe, w.customer, fresh, dollars);
		await settleAccounts(w.lethe, other, kept, dollars);
		expect(w.lethe.events("CHILD_DIED")).toBe(0);
		await booksAreRight();
	}, 60_000 + rounds * 3_000);

	test.each(["ledger", "edge", "dialer", "scribe"])("the %s killed while a configuration is applied: the books are right", async (role) => {
		const load = new Load(w.lethe, w.customer, 10);
		for (let round = 0; round < 2; round++) {
			await load.flows(20);
			const victims = w.lethe.children(role);
			w.lethe.configure(change(round));
			const reload = w.lethe.reload();
			for (const victim of round ? victims : victims.slice(0, 1)) kill(victim);
			expect(["applied", undefined]).toContain((await reload).json["result"]);
			await load.flows(20);
		}
		await load.stop();
		await settleAccounts(w.lethe, w.customer, load, dollars);
		await booksAreRight();
	});

	test("the supervisor killed while a configuration is applied: everything ends, is booked, and starts again", async () => {
		const load = new Load(w.lethe, w.customer, 10);
		await load.flows(20);
		w.lethe.configure(change(0));
		const reload = w.lethe.reload();
		await until("it has begun", () => w.lethe.children("edge").length > 2 || w.lethe.events("RELOADED") > 0);
		const children = w.lethe.children();
		w.lethe.signal("SIGKILL");
		await reload;
		const gone = (pid: number) => {
			try {
				return process.kill(pid, 0) && false;
			} catch {
				return true;
			}
		};
		await until("all children have ended", () => children.every(gone));
		await load.stop();
		await w.lethe.up();
		await settleAccounts(w.lethe, w.customer, load, dollars);
		await booksAreRight();
	});
});
