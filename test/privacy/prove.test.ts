import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createPublicKey, verify } from "node:crypto";
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Json, letheGives } from "../harness/lethe.ts";
import { letheBinary, removeFolder, root, temporaryFolder } from "../harness/paths.ts";
import { until } from "../harness/until.ts";
import { world } from "../harness/world.ts";

const isRoot = process.getuid!() === 0;
const postgres = readdirSync("/usr/lib/postgresql").sort((a, b) => Number(a) - Number(b)).map((version) => `/usr/lib/postgresql/${version}/bin`).at(-1)!;

// A proof is minutes of work, and many where others work as well.
vi.setConfig({ testTimeout: 900_000, hookTimeout: 900_000 });

let folder: string;
beforeAll(() => {
	folder = temporaryFolder();
});
afterAll(() => removeFolder(folder));

function prove(program: string[], ...options: string[]): { status: number | null; report: Json } {
	const [name, ...before] = program;
	const { status, stdout, stderr } = spawnSync(name!, [...before, "prove", "--quick", "--json", ...options], { encoding: "utf8", maxBuffer: 64 << 20 });
	if (!stdout.startsWith("{")) throw new Error(stderr || stdout);
	return { status, report: JSON.parse(stdout) as Json };
}

const rows = (report: Json, name: string) => report[name] as Json[];
const wrong = (report: Json) => rows(report, "facts").filter((row) => !row["ok"]);

describe("lethe prove", () => {
	let page: string;
	let status: number | null;
	let report: Json;
	beforeAll(() => {
		page = join(folder, "proof.html");
		({ status, report } = prove([letheBinary], "--report", page, "--data", folder, "--postgres", postgres));
	});

	test("finds what it plants and nothing else", () => {
		expect(wrong(report)).toEqual([]);
		expect(rows(report, "findings")).toEqual([]);
		expect(report["ok"]).toBe(true);
		expect(report["grades"]["as it is"]).toBe(letheGives());
		if (isRoot) expect(report["grades"]["readable, TLS"]).toBe("plain");
		expect(status).toBe(0);
		expect(rows(report, "facts").filter((row) => row["instance"] === "control")).toHaveLength(6);
		const soon = rows(report, "facts").filter((row) => String(row["fact"]).startsWith("right behind the last byte"));
		expect(soon).toHaveLength(isRoot ? 1 : 0);
		for (const row of soon) expect(row["seen"]).toMatch(/^158 answers, 78 by HTTP\/2/);
	});

	test("has sent marks in every way and looked everywhere", () => {
		expect(report["marks"]).toBeGreaterThan(1000);
		expect(report["ways"]).toBeGreaterThan(40);
		expect(report["endpoints"]).toBe(79);
		expect([new Set(report["names_of_endpoints"] as string[]).size, new Set(report["names_of_ways"] as string[]).size]).toEqual([report["endpoints"], report["ways"]]);
		for (const way of ["client gone in the body", "provider falls silent", "edge faults", "ledger killed", "disk full", "upgraded"]) expect(report["names_of_ways"]).toContain(way);
		const shown = readFileSync(page, "utf8");
		for (const name of [...(report["names_of_endpoints"] as string[]), ...(report["names_of_ways"] as string[])]) expect(shown).toContain(name);
		const places = new Set(rows(report, "places").map((row) => row["place"]));
		for (const role of ["edge", "super", "dialer", "ledger", "scribe"]) expect(places).toContain(`memory of lethe-${role}`);
		for (const place of ["data, log and working folder", "metrics", "/tmp"]) expect(places).toContain(place);
		for (const place of ["memory of PostgreSQL", "PostgreSQL's pages", "PostgreSQL's write-ahead log"]) {
			for (const row of rows(report, "places").filter((row) => row["place"] === place)) expect(row["searched_bytes"], place).toBeGreaterThan(1_000_000);
			expect(places).toContain(place);
		}
		for (const row of rows(report, "places").filter((row) => String(row["place"]).startsWith("memory") && isRoot)) {
			expect(row["searched_bytes"], `${row["place"]}`).toBeGreaterThan(100_000);
			expect(row["closed"]).toBe(0);
		}
	});

	test.skipIf(!isRoot)("an edge maps the committed list of libraries", () => {
		const listed = readFileSync(join(root, "tool/edge_libraries.txt"), "utf8").split("\n").filter((line) => line && !line.startsWith("#"));
		const mapped = (report["libraries_of_an_edge"] as string[]).map((name) => name.replace(/(\.so\.\d+).*/, "$1")).filter((name) => !name.startsWith("ld-linux"));
		expect(mapped.sort()).toEqual(listed.map((line) => line.split("\t")[0]).sort());
	});

	test.skipIf(!isRoot)("a debugger, and who reads memory as root does, were tried on sealed edges as well", () => {
		const tried = new Set(rows(report, "facts").filter((row) => row["instance"] === "as it is").map((row) => row["fact"]));
		expect(tried).toContain("an edge that is traced wipes and ends, and the log says so");
		if (letheGives() === "sealed") expect(tried).toContain("a debugger's dump of an edge has no content");
	});

	test("signs its page", () => {
		const key = createPublicKey(readFileSync(join(folder, "prove.pub")));
		const signature = readFileSync(`${page}.sig`);
		const bytes = readFileSync(page);
		expect(verify(null, bytes, key, signature)).toBe(true);
		expect(bytes.toString()).toContain("no content was found where none may be");
		expect(verify(null, Buffer.concat([bytes, Buffer.from(" ")]), key, signature)).toBe(false);
	});

	test("its public key is made anew from the key when it is gone, or another's, and tells of swap", () => {
		const file = join(folder, "prove.pub"), right = readFileSync(file, "utf8");
		expect(rows(report, "facts").filter((row) => row["fact"] === "swap").length).toBe(Object.keys(report["grades"] as object).length);
		for (const wrongOne of [undefined, "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"]) {
			removeFolder(file);
			if (wrongOne) writeFileSync(file, wrongOne);
			// The key is looked at before anything else: what is asked for here can't be done.
			spawnSync(letheBinary, ["prove", "--report", page, "--data", folder, "--target", "http://127.0.0.1:1", "--key", "none", "--model", "none"], { encoding: "utf8" });
			expect(readFileSync(file, "utf8")).toBe(right);
		}
	});

	test("a page that can't be signed is refused with what to do", () => {
		const { status, stderr } = spawnSync(letheBinary, ["prove", "--report", page, "--data", join(folder, "nowhere")], { encoding: "utf8" });
		expect(status).toBe(1);
		expect(stderr).toMatch(/--data/);
	});
});

test.skipIf(!isRoot)("without root it searches what it may, and says so", () => {
	const own = temporaryFolder();
	const binary = join(own, "lethe");
	writeFileSync(binary, readFileSync(letheBinary));
	execFileSync("chown", ["-R", "65534:65534", own]);
	chmodSync(binary, 0o755);
	const { status, report } = prove(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", binary]);
	removeFolder(own);
	expect(wrong(report)).toEqual([]);
	expect(status).toBe(0);
	expect(report["root"]).toBe(false);
	const memory = rows(report, "places").filter((row) => String(row["place"]).startsWith("memory"));
	expect(memory.every((row) => row["closed"] > 0)).toBe(true);
});

/** Command lines of processes that name a folder. */
const namedBy = (folder: string) => readdirSync("/proc").filter((pid) => {
	try {
		return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(folder);
	} catch {
		return false; // it has ended meanwhile
	}
});

test.each(["SIGTERM", "SIGINT", "SIGKILL"] as const)("ended by %s it leaves neither files nor processes", async (signal) => {
	const own = temporaryFolder();
	chmodSync(own, 0o777);
	const run = spawn(letheBinary, ["prove", "--quick", "--json"], { env: { ...process.env, TMPDIR: own }, stdio: ["ignore", "pipe", "inherit"] });
	// Its output ends with the last process that has it: the one that clears up.
	const over = new Promise((ended) => run.on("close", ended));
	run.stdout.resume();
	await until("its server serves", () => readdirSync(own).some((name) => existsSync(join(own, name, "data", "endpoint"))));
	run.kill(signal);
	await over;
	expect(readdirSync(own)).toEqual([]);
	expect(namedBy(own)).toEqual([]);
	removeFolder(own);
});

test("a server that runs is searched as well, and goes on running", async () => {
	const w = await world();
	const { status, report } = prove([letheBinary], "--target", w.lethe.url, "--key", w.customer.key, "--model", "exact", "--data", w.lethe.data, "--also", w.lethe.dir);
	const running = w.lethe.children().length;
	const usage = await w.lethe.usage(w.customer.id);
	await w.end();
	expect(wrong(report)).toEqual([]);
	expect(rows(report, "findings")).toEqual([]);
	expect(status).toBe(0);
	expect(running).toBe(5);
	expect(report["grades"]).toEqual({ target: letheGives() });
	// What a customer can do, and no more than was done.
	expect(report["ways"]).toBe((report["names_of_ways"] as string[]).length);
	expect(report["names_of_ways"]).toContain("client gone in the body");
	for (const way of ["no money", "provider silent", "edge killed", "disk full"]) expect(report["names_of_ways"]).not.toContain(way);
	expect(report["names_of_endpoints"]).toContain("chat.completions, streamed");
	expect(report["names_of_endpoints"]).not.toContain("files, one deleted");
	expect(usage["requests"]).toBeGreaterThan(10);
	expect(rows(report, "places").map((row) => row["place"])).toContain(w.lethe.dir);
	if (isRoot) expect(rows(report, "places").find((row) => row["place"] === "memory of lethe-edge")!["things"]).toBeGreaterThanOrEqual(2);
});

test("what --target needs is said", () => {
	const said = (...options: string[]) => spawnSync(letheBinary, ["prove", ...options], { encoding: "utf8" });
	expect(said("--target", "http://127.0.0.1:1").status).toBe(2);
	expect(said("--target", "http://127.0.0.1:1").stderr).toMatch(/--key and --model/);
	expect(said("--target", "http://elsewhere.example:80", "--key", "k", "--model", "m").stderr).toMatch(/on this machine/);
	expect(said("--target", "http://127.0.0.1:1", "--key", "k", "--model", "m", "--data", folder).stderr).toMatch(/--data/);
	const without = said("--quick", "--postgres", folder);
	expect([without.status, without.stderr]).toEqual([3, expect.stringContaining("give the folder of PostgreSQL's programs")]);
});
