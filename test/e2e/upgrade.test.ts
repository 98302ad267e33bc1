import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, writeFileSync } from "node:fs";
import { connect as connectH2 } from "node:http2";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { patched } from "../harness/binaries.ts";
import { tickets } from "../harness/books.ts";
import { parse } from "../harness/exposition.ts";
import type { CommandResult, Json } from "../harness/lethe.ts";
import { Load, settleAccounts, unexpected } from "../harness/load.ts";
import { letheBinary } from "../harness/paths.ts";
import { post, Raw } from "../harness/raw.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

const rounds = Number(process.env["LETHE_UPGRADES"] ?? 4);
const kills = Number(process.env["LETHE_UPGRADE_KILLS"] ?? 4);
const dollars = "1000";
const hi = [{ role: "user" as const, content: "hi" }];
const version = /"([^"]+)"/.exec(readFileSync(join(import.meta.dirname, "../../meson.build"), "utf8").split("version:")[1]!.replaceAll("'", '"'))![1]!;
const another = version.replace(/\d$/, (digit) => String((Number(digit) + 1) % 10));

let w: World;
beforeEach(async () => {
	w = await world({ dollars, config: { metrics: { listen: "127.0.0.1:0" } } });
});
afterEach(() => w?.end());

const body = (model: string, more: Json = {}) => JSON.stringify({ model, messages: hi, ...more });
async function begin(script: string, more: Json = {}): Promise<Raw> {
	const raw = await Raw.open(w.lethe.url);
	raw.say(post(w.customer.key, body("exact", more), { "x-sim": script }));
	return raw;
}
async function ask(script = "prompt_tokens=1000,chunks=10"): Promise<number> {
	const raw = await begin(script);
	const { status } = await raw.answer();
	raw.close();
	return status;
}
async function stream(script: string): Promise<Raw> {
	const raw = await begin(script, { stream: true, max_tokens: 1000 });
	await until("it runs", () => raw.received.includes("data:"));
	return raw;
}
const whole = async (raw: Raw): Promise<string> => (await raw.answer()).body.toString();
const programOf = (pid: number) => readlinkSync(`/proc/${pid}/exe`).replace(" (deleted)", "");

async function upgraded(binary?: string): Promise<string> {
	const result = await w.lethe.upgrade(binary);
	expect(result.stderr).toBe("");
	expect(result.json["result"], result.stdout).toBe("applied");
	return result.json["said"].join("\n");
}
function said(result: CommandResult): string {
	expect(result.status, result.stdout).toBe(1);
	return result.json["said"]?.join("\n") ?? result.stdout + result.stderr;
}

async function metric(name: string, label = ""): Promise<string | undefined> {
	const url = readFileSync(join(w.lethe.data, "endpoint.metrics"), "utf8").trim();
	const sample = parse(await (await fetch(`${url}/metrics`)).text()).get(name)?.samples[0];
	return label ? sample?.labels[label] : sample && String(sample.value);
}

async function booksAreRight(): Promise<void> {
	const verified = await w.lethe.verify();
	expect(verified.stdout).not.toMatch(/"ok":\s*false/);
	expect(verified.status).toBe(0);
}

describe("another binary", () => {
	test("serves under the same process id, every process is of it, and what runs goes on", async () => {
		const fresh = patched(w.lethe.dir, "fresh", version, another);
		const running = await stream("prompt_tokens=1000,chunks=40,gap_ms=50");
		const before = w.lethe.children(), started = w.lethe.events("STARTED");
		expect(await metric("lethe_build_info", "version")).toBe(version);
		expect(await upgraded(fresh)).toContain(`version ${another} serves (before: ${version})`);
		expect(programOf(w.lethe.pid)).toBe(fresh);
		expect(await ask()).toBe(200);
		expect(await whole(running)).toContain("[DONE]");
		await until("the old ones have ended", () => w.lethe.children().every((pid) => !before.includes(pid)));
		for (const pid of w.lethe.children()) expect(programOf(pid)).toBe(fresh);
		expect(w.lethe.children().length).toBe(before.length);
		expect(await metric("lethe_build_info", "version")).toBe(another);
		expect(await metric("lethe_upgrades_total")).toBe("1");
		expect(await metric("lethe_generation")).toBe("2");
		// Two edges and a dialer, the ledger; the same grade of memory and the same lock-down as before. The scribe is not told of.
		const grades = () => w.lethe.log().split("\n").filter((line) => line.includes('"STARTED"')).map((line) => JSON.parse(line)).map((event) => `${event.role} ${event.numbers}`);
		await until("all have reported", () => w.lethe.events("STARTED") >= started + 4);
		expect(new Set(grades().slice(started))).toEqual(new Set(grades().slice(0, started)));
		expect(w.lethe.events("UPGRADED")).toBe(1);
		expect(w.lethe.events("CHILD_DIED")).toBe(0);
		const rows = await until("both are booked", () => tickets(w.lethe).length === 2 && tickets(w.lethe));
		expect(rows.map((row) => Number(row["cost_nano"])).sort((a, b) => a - b)).toEqual([1_000_000 + 10 * 10_000, 1_000_000 + 40 * 10_000]);
		await booksAreRight();
		expect(await w.lethe.stop()).toBe(0);
	});

	test("is looked for by the name of the one that runs, also when that was replaced", async () => {
		const installed = join(w.lethe.dir, "installed");
		copyFileSync(letheBinary, installed);
		const open = () => readdirSync(`/proc/${w.lethe.pid}/fd`).length, before = open();
		await upgraded(installed);
		renameSync(patched(w.lethe.dir, "fresh", version, another), installed);
		expect(await upgraded()).toContain(`version ${another} serves`);
		expect(programOf(w.lethe.pid)).toBe(installed);
		await until("a generation is free", () => w.lethe.children("edge").length <= 4);
		expect(await upgraded()).toContain(`version ${another} serves (before: ${another})`);
		expect(await ask()).toBe(200);
		await until("nothing is kept open of those before", () => open() === before);
	});

	test("takes over a connection that is kept, and sums that were counted", async () => {
		const raw = await Raw.open(w.lethe.url);
		const request = post(w.customer.key, body("exact"));
		raw.say(request);
		expect((await raw.answer()).headers.get("connection")).toBeUndefined();
		await until("it is counted", async () => (await metric("lethe_requests_total")) === "1");
		await upgraded();
		expect(await metric("lethe_requests_total")).toBe("1");
		raw.say(request);
		const answer = await raw.answer();
		expect([answer.status, answer.headers.get("connection")]).toEqual([200, "close"]);
		await raw.ends();
		await until("the old edges end", () => w.lethe.children("edge").length === 2);
		await until("it is counted", async () => (await metric("lethe_requests_total")) === "2");
	});

	test("answers the streams of a connection of HTTP/2, also those that came before it knew", async () => {
		const session = connectH2(w.lethe.url);
		session.on("error", () => {});
		const asked = (script: string) =>
			new Promise<string>((resolve, reject) => {
				const one = session.request({ ":method": "POST", ":path": "/v1/chat/completions", authorization: `Bearer ${w.customer.key}`, "content-type": "application/json", "x-sim": script });
				let text = "";
				one.setEncoding("utf8");
				one.on("data", (more: string) => (text += more));
				one.on("error", reject);
				one.on("end", () => resolve(text));
				one.end(body("exact", { stream: true, max_tokens: 1000 }));
			});
		const running = asked("chunks=40,gap_ms=50");
		await until("it runs", () => w.sim.stats().then((stats) => stats["streams"] === 1));
		const upgrade = upgraded();
		expect(await asked("chunks=2")).toContain("[DONE]");
		await upgrade;
		expect(await running).toContain("[DONE]");
		session.close();
		await until("its edge ends", () => w.lethe.children("edge").length === 2);
	});

	test("a stream beyond `timeouts.drain` gets the error event, and is booked", async () => {
		w.lethe.configure((config) => (config["timeouts"] = { drain: "1s" }));
		await w.lethe.reload();
		const running = await stream("prompt_tokens=1000,chunks=1000,gap_ms=50");
		await upgraded();
		const text = await whole(running);
		expect(text).toMatch(/data: \{"error":/);
		expect(text).not.toContain("[DONE]");
		const rows = await until("it is booked", () => tickets(w.lethe).length === 1 && tickets(w.lethe));
		expect(Number(rows[0]!["cost_nano"])).toBeGreaterThan(0);
		await until("its edge has ended", () => w.lethe.children("edge").length === 2);
		expect(w.lethe.events("CHILD_DIED")).toBe(0);
		await booksAreRight();
	});

	test("reads the configuration as it is now, and it can be changed after it", async () => {
		const price = (output: string) => (config: Json) => (config["models"].find((m: Json) => m["id"] === "exact")["prices"] = [{ from: "2026-01-01", input: "1.00", output }]);
		w.lethe.configure(price("20.00"));
		await upgraded();
		await ask();
		w.lethe.configure(price("30.00"));
		expect((await w.lethe.reload()).json["result"]).toBe("applied");
		await ask();
		const rows = await until("both are booked", () => tickets(w.lethe).length === 2 && tickets(w.lethe));
		expect(rows.map((row) => Number(row["cost_nano"])).sort((a, b) => a - b)).toEqual([1_000_000 + 10 * 20_000, 1_000_000 + 10 * 30_000]);
		w.lethe.configure((config) => (config["edges"] = "many"));
		expect(said(await w.lethe.upgrade())).toContain("edges");
		expect(await ask()).toBe(200);
	});
});

describe("a binary that can't take over is told why, and nothing changes:", () => {
	async function refused(binary: string): Promise<string> {
		const before = w.lethe.children();
		const text = said(await w.lethe.upgrade(binary));
		expect(w.lethe.children()).toEqual(before);
		expect(programOf(w.lethe.pid)).toBe(letheBinary);
		expect(await ask()).toBe(200);
		return text;
	}
	const file = (name: string, mode = 0o755, folder = w.lethe.dir) => {
		const path = join(folder, name);
		copyFileSync(letheBinary, path);
		chmodSync(path, mode);
		return path;
	};

	test("memory that is laid out otherwise", async () => {
		expect(await refused(patched(w.lethe.dir, "other", "duration_ms:uint32_t", "duration_ns:uint32_t"))).toMatch(/the board.*laid out otherwise - restart/);
		expect(await refused(patched(w.lethe.dir, "other", "COST_MISMATCH", "COST_MISMATHC"))).toMatch(/the events.*laid out otherwise - restart/);
		await until("the log tells", () => w.lethe.events("UPGRADE_REFUSED") === 2);
	});

	test("other programs, and files that are none", async () => {
		expect(await refused("/bin/true")).toContain("is no lethe that can take over");
		expect(await refused("/bin/false")).toContain("is no lethe that can take over");
		const text = join(w.lethe.dir, "text");
		writeFileSync(text, "no program\n", { mode: 0o755 });
		expect(await refused(text)).toContain("can't be executed");
		const folder = join(w.lethe.dir, "folder");
		mkdirSync(folder);
		expect(await refused(folder)).toContain("is no file");
		expect(await refused(file("plain", 0o644))).toContain("chmod 755");
		expect(await refused(file("open", 0o777))).toContain("chmod go-w");
		expect(await refused(file("inside", 0o755, w.lethe.data))).toContain("in the data directory");
		expect((await w.lethe.upgrade(join(w.lethe.dir, "missing"))).json["error"]["code"]).toBe("no_binary");
	});

	test("one whose children can't be started: the old one goes on, and can be asked again", async () => {
		const running = await stream("prompt_tokens=1000,chunks=60,gap_ms=50");
		const open = () => readdirSync(`/proc/${w.lethe.pid}/fd`).length, before = open();
		const edges = w.lethe.children("edge"), bad = patched(w.lethe.dir, "bad", "/proc/self/exe", "/proc/self/exf");
		const load = new Load(w.lethe, w.customer, 5);
		for (let round = 0; round < 2; round++) {
			await load.flows(10);
			expect(said(await w.lethe.upgrade(bad))).toMatch(/the new binary can't serve: .* ended at its start(.|\n)*the server goes on as it is/);
			expect(programOf(w.lethe.pid)).toBe(letheBinary);
			expect(w.lethe.children("edge")).toEqual(edges);
		}
		await until("nothing is kept open of that", () => open() === before);
		await load.flows(10);
		expect(await upgraded(letheBinary)).toContain(`version ${version} serves`);
		await load.flows(10);
		expect(await whole(running)).toContain("[DONE]");
		expect(unexpected(await load.stop())).toEqual([]);
		await until("the old edges end", () => w.lethe.children("edge").length === 2);
		await booksAreRight();
	});

	test("one whose supervisor ends before it is one", async () => {
		const running = await stream("prompt_tokens=1000,chunks=40,gap_ms=50");
		const before = w.lethe.children(), bad = patched(w.lethe.dir, "bad", "wake_eventfd", "wake_eventfb");
		expect(said(await w.lethe.upgrade(bad))).toContain("the new binary ended before it could take over");
		expect(w.lethe.output()).toContain("what runs can't be taken over: the shared memory");
		expect(w.lethe.children()).toEqual(before);
		expect(programOf(w.lethe.pid)).toBe(letheBinary);
		await upgraded(letheBinary);
		expect(await whole(running)).toContain("[DONE]");
		// What the old one has become restarts whoever dies.
		process.kill(w.lethe.children("ledger")[0]!, "SIGKILL");
		await until("it is there again", async () => (await ask()) === 200);
	});

	test("a server that does not know of it is not signalled", async () => {
		const file = join(w.lethe.data, "upgrade");
		expect(existsSync(file)).toBe(true);
		for (const left of ["0 0 none 1\n", "0 0 none\n", ""]) {
			writeFileSync(file, left);
			expect((await w.lethe.upgrade()).json["error"]["code"]).toBe("too_old");
		}
		expect(await ask()).toBe(200);
		expect(await w.lethe.stop()).toBe(0);
		expect(existsSync(join(w.lethe.data, "upgrade"))).toBe(false);
		expect((await w.lethe.upgrade()).json["error"]["code"]).toBe("no_server");
	});
});

describe("under load", () => {
	test(`${rounds} upgrades: no request fails, no stream is cut`, async () => {
		const binaries = [letheBinary, patched(w.lethe.dir, "fresh", version, another)];
		const fresh = new Load(w.lethe, w.customer, 10);
		const other = await w.lethe.account("other", dollars);
		const kept = new Load(w.lethe, other, 10, true);
		for (let round = 0; round < rounds; round++) {
			await fresh.flows(10);
			await kept.flows(10);
			await upgraded(binaries[(round + 1) % 2]);
		}
		await fresh.flows(10);
		expect(unexpected(await fresh.stop())).toEqual([]);
		expect(unexpected(await kept.stop())).toEqual([]);
		await settleAccounts(w.lethe, w.customer, fresh, dollars);
		await settleAccounts(w.lethe, other, kept, dollars);
		expect(w.lethe.events("CHILD_DIED")).toBe(0);
		if (process.env["LETHE_UPGRADES"]) console.log(`${rounds} upgrades, ${fresh.results.length + kept.results.length} requests, all whole and booked once`);
		await booksAreRight();
	}, 60_000 + rounds * 5_000);

	// Somewhere in the middle: whatever then comes of the upgrade, each ticket is settled once.
	test.each(["ledger", "edge", "dialer", "scribe"])("the %s killed meanwhile: the books are right, and it serves", async (role) => {
		const load = new Load(w.lethe, w.customer, 10);
		for (let round = 0; round < 3; round++) {
			await load.flows(20);
			const known = w.lethe.children(role);
			const upgrade = w.lethe.upgrade();
			// Of the old ones at once, or of the new ones as soon as they are there.
			const victims = round === 0 ? known.slice(0, 1) : await until("a new one", () => w.lethe.children(role).filter((pid) => !known.includes(pid)).slice(0, round) || undefined);
			for (const victim of victims) process.kill(victim, "SIGKILL");
			expect(["applied", "refused"]).toContain(JSON.parse((await upgrade).stdout)["result"] ?? "refused");
			await load.flows(20);
		}
		await load.stop();
		await settleAccounts(w.lethe, w.customer, load, dollars);
		expect((await upgraded()).length).toBeGreaterThan(0);
		expect(await ask()).toBe(200);
		await booksAreRight();
	});

	test("the supervisor killed meanwhile: everything ends, is booked, and starts again", async () => {
		for (let round = 0; round < kills; round++) {
			const account = await w.lethe.account(`round ${round}`, dollars), load = new Load(w.lethe, account, 10);
			await load.flows(20);
			const before = w.lethe.children(), becomings = w.lethe.output().split("becomes version").length;
			// At once; when it becomes another binary; when the ledger changes over; when new edges are there.
			const moments = [
				() => true,
				() => w.lethe.output().split("becomes version").length > becomings,
				() => w.lethe.children("ledger").some((pid) => !before.includes(pid)),
				() => w.lethe.children("edge").some((pid) => !before.includes(pid)),
			];
			const upgrade = w.lethe.upgrade();
			await until("it is so far", moments[round % moments.length]!);
			const children = [...before, ...w.lethe.children()];
			w.lethe.signal("SIGKILL");
			await upgrade;
			await until("all have ended", () => children.every((pid) => !existsSync(`/proc/${pid}`)));
			await load.stop();
			await w.lethe.up();
			await settleAccounts(w.lethe, account, load, dollars);
			await booksAreRight();
		}
	}, 60_000 + kills * 15_000);

	test("told to stop meanwhile: it finishes what runs, books it and ends", async () => {
		const running = await stream("prompt_tokens=1000,chunks=30,gap_ms=50");
		const upgrade = w.lethe.upgrade();
		await until("it becomes another", () => w.lethe.output().includes("becomes version"));
		w.lethe.signal("SIGTERM");
		expect(await whole(running)).toContain("[DONE]");
		expect(await w.lethe.ended()).toBe(0);
		await upgrade;
		expect(tickets(w.lethe).length).toBe(1);
	});
});
