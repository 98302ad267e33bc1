import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Account, type Json, nano, sim } from "../harness/lethe.ts";
import { letheBinary } from "../harness/paths.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
let acme: Account;
let other: Account;
beforeAll(async () => {
	w = await world();
	acme = await w.lethe.account("acme", "5.00");
	other = await w.lethe.account("other, inc.", "5.00");
	const ask = (a: Account, model: string, script: string) =>
		w.lethe.client(a.key).chat.completions.create({ model, messages: [{ role: "user", content: "hi" }] }, sim(script));
	for (let i = 0; i < 3; i++) await ask(acme, "exact", "prompt_tokens=1000,cached=400,completion_tokens=200");
	await ask(other, "renamed", "prompt_tokens=100,completion_tokens=10");
	await ask(other, "exact", "status=500").catch(() => undefined);
	await until("all is booked", async () => (await usage())["total"]["requests"] === 5);
});
afterAll(() => w?.end());

const usage = (...args: string[]): Promise<Json> => w.lethe.command("usage", ...args);

// As a person runs it: no --json, what is written as it is.
function lethe(...args: string[]): string {
	return execFileSync(letheBinary, [...args, "--data", w.lethe.data], { env: { PATH: process.env["PATH"] }, encoding: "utf8" });
}

describe("usage", () => {
	const whole = nano("0.00792") + nano("0.0002");

	test.each(["month", "day", "hour", "account", "key", "model", "provider", "endpoint", "tier", "end_reason", "status", "day,model", "hour,key"])(
		"by %s adds up to what was paid",
		async (by) => {
			const answer = await usage("--by", by);
			const sum = (rows: Json[]) => rows.reduce((all, row) => all + nano(row["cost"]), 0);
			expect(sum(answer["rows"])).toBe(whole);
			expect(nano(answer["total"]["cost"])).toBe(whole);
			expect(answer["rows"].reduce((all: number, row: Json) => all + row["requests"], 0)).toBe(5);
			for (const column of answer["columns"]) expect(answer["rows"][0]).toHaveProperty(column);
		},
	);

	test("is filtered by what ended it, who served it and when it was", async () => {
		const requests = async (...args: string[]) => (await usage(...args))["total"]["requests"];
		expect(await requests("--end-reason", "PROVIDER_ERROR")).toBe(1);
		expect(await requests("--end-reason", "completed", "--account", "acme")).toBe(3);
		expect(await requests("--status", "500")).toBe(1);
		expect(await requests("--provider", "sim", "--model", "exact-alias")).toBe(4);
		expect(await requests("--since", "1h", "--until", "2099-01-01T00:00:00Z")).toBe(5);
		expect(await requests("--until", "2d")).toBe(0);
	});

	test("as CSV is what the ledger has, in plain decimals", () => {
		const lines = lethe("usage", "--by", "account", "--csv").split("\r\n");
		expect(lines).toHaveLength(4);
		expect(lines[0]).toMatch(/^account,account_name,requests,failed,tokens_input,.*,tool_calls,cost$/);
		expect(lines[1]).toMatch(new RegExp(`^${acme.id},acme,3,0,1800,1200,.*,0\\.007920000$`));
		expect(lines[2]).toMatch(new RegExp(`^${other.id},"other, inc\\.",2,1,100,0,.*,0\\.000200000$`));
		expect(lines[3]).toBe("");
	});

	test("as a table has its points above each other and no colour in a pipe", () => {
		const table = lethe("usage", "--by", "account").split("\n");
		expect(table[0]).toMatch(/^account +account_name +requests +failed +input +cached +output +cost$/);
		expect(table[1]).toMatch(/\$0\.00792$/);
		expect(table[2]).toMatch(/\$0\.00020$/);
		expect(table[3]).toMatch(/^total +5 +1 +1900 +1200 +610 +\$0\.00812$/);
		expect(table.join()).not.toContain("\x1b");
	});
});

describe("what limits a key", () => {
	test("is shown with it: successor, end, last use, money and streams", async () => {
		const next = await w.lethe.command("key", "rotate", other.keyId, "--overlap", "2h");
		const shown = await w.lethe.command("key", "show", other.keyId);
		expect(shown).toMatchObject({ state: "active", replaced_by: next["key"], expires: next["replaced_expires"], account_name: "other, inc." });
		expect(shown["last_used"]).toMatch(/^\d{4}-\d\d-\d\d$/);
		expect(shown).toMatchObject({ edges: 2, running: 0, held: "0.000000000" });
		// 10 % of an edge's 9,000 streams and of what is settled and not yet given back.
		expect(shown["streams_per_edge"]).toBeGreaterThanOrEqual(900);
		const text = lethe("key", "show", other.keyId);
		expect(text).toMatch(new RegExp(`replaced_by +${next["key"]}`));
		expect(text).toMatch(/streams +0 running, at most \d+ on each of 2 edges/);
	});

	test("counts what runs now", async () => {
		const stream = await w.lethe
			.client(acme.key)
			.chat.completions.create({ model: "exact", stream: true, messages: [{ role: "user", content: "hi" }] }, sim("hang=body"));
		const shown = await until("it runs", async () => {
			const account = await w.lethe.command("account", "show", "acme");
			return account["running"] === 1 && account;
		});
		expect(nano(shown["held"])).toBeGreaterThan(0);
		expect(nano(shown["balance"]) - nano(shown["held"])).toBe(nano(shown["available"]));
		stream.controller.abort();
		await until("it ended", async () => (await w.lethe.command("account", "show", "acme"))["held"] === "0.000000000");
	});
});

describe("a price", () => {
	test("is shown by the running server's catalogue, also by an alias", async () => {
		const price = await w.lethe.command("price", "show", "exact-alias");
		expect(price).toMatchObject({ model: "exact", provider: "sim", aliases: ["exact-alias"], next: null });
		expect(price["rows"]).toHaveLength(1);
		expect(price["rows"][0]["dollars_per_million_tokens"]).toMatchObject({ input: "1.000000", cached: "0.100000", output: "10.000000", reasoning: "10.000000" });
	});

	test("that is not in force is none", async () => {
		expect(await w.lethe.run("price", "show", "tomorrow")).toMatchObject({ status: 1, json: { error: { code: "no_price" } } });
		expect((await w.lethe.command("price", "show", "tomorrow", "--at", "2099-06-01"))["rows"]).toHaveLength(1);
	});
});

describe("the configuration", () => {
	test("as it is printed makes the same catalogue, and says no secret", async () => {
		const config = join(w.lethe.dir, "lethe.yaml");
		const printed = execFileSync(letheBinary, ["config", "print", config], { encoding: "utf8", env: { SIM_API_KEY: "sk-test-upstream" } });
		const again = join(w.lethe.dir, "printed.yaml");
		writeFileSync(again, printed);
		expect(printed).not.toContain("sk-test-upstream");
		const checked = (file: string) => execFileSync(letheBinary, ["catalogue", "check", file, "--json"], { encoding: "utf8" });
		expect(JSON.parse(checked(again))["models"]).toEqual(JSON.parse(checked(config))["models"]);
	});
});

// ---- completion in the shells themselves ----

const words: [typed: string, becomes: string[]][] = [
	["lethe us", ["usage"]],
	["lethe key ro", ["rotate"]],
	["lethe usage --by mod", ["model"]],
	["lethe usage --by day,mod", ["day,model"]],
	["lethe account show ac", ["acme"]],
	["lethe usage --color ", ["always", "auto", "never"]],
];

const shell = (name: string) => spawnSync(name, ["-c", "exit 0"]).status === 0;

// `lethe` as the shell finds it, and the data folder of the running server.
function environment(): NodeJS.ProcessEnv {
	const bin = join(w.lethe.dir, "bin");
	mkdirSync(bin, { recursive: true });
	try {
		symlinkSync(letheBinary, join(bin, "lethe"));
	} catch {
		// There since the test before.
	}
	return { PATH: bin + delimiter + process.env["PATH"], LETHE_DATA: w.lethe.data, HOME: w.lethe.dir, TERM: "xterm" };
}

const run = (program: string, args: string[], input = "") =>
	execFileSync(program, args, { encoding: "utf8", env: environment(), input, stdio: ["pipe", "pipe", "pipe"] });

describe("completion", () => {
	test.skipIf(!shell("bash"))("in bash", () => {
		const script = `
			source <(lethe completion bash)
			while IFS= read -r line; do
				COMP_WORDS=($line)
				[[ $line == *" " ]] && COMP_WORDS+=("")
				COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
				_lethe
				IFS=$'\\n'; sort <<<"\${COMPREPLY[*]}" | paste -sd' '; unset IFS
			done`;
		const offered = run("bash", ["--norc", "-c", script], words.map(([typed]) => `${typed}\n`).join("")).trimEnd().split("\n");
		expect(offered).toEqual(words.map(([, becomes]) => becomes.join(" ")));
		expect(run("bash", ["--norc", "-c", "source <(lethe completion bash); complete -p lethe"])).toContain("-F _lethe lethe");
	});

	test.skipIf(!shell("fish"))("in fish", () => {
		for (const [typed, becomes] of words) {
			const offered = run("fish", ["--no-config", "-c", `lethe completion fish | source; complete -C '${typed}'`]).trimEnd().split("\n");
			expect(offered.map((line) => line.split("\t")[0]).sort()).toEqual(becomes);
		}
	});

	// Typed into a terminal of its own; Ctrl-X shows what stands on the line after the tab.
	test.skipIf(!shell("zsh"))("in zsh", () => {
		const script = `
			zmodload zsh/zpty
			zpty z zsh -f -i
			zpty -w z 'PS1= RPS1=; autoload -Uz compinit; compinit -u -D; source <(lethe completion zsh)'
			zpty -w z 'show() { print -r -- "<<$BUFFER>>"; BUFFER= }; zle -N show; bindkey "^X" show; print REA""DY'
			zpty -r z out '*READY*'
			while IFS= read -r line; do
				zpty -w -n z "$line"$'\\t\\x18'
				zpty -r z out '*<<*>>*'
				out=\${out##*<<}
				print -r -- "\${out%%>>*}"
			done
			zpty -d z`;
		const single = words.filter(([, becomes]) => becomes.length === 1);
		const lines = run("zsh", ["-f", "-c", script], single.map(([typed]) => `${typed}\n`).join("")).trimEnd().split("\n");
		const last = (line: string) => line.trimEnd().split(" ").at(-1);
		expect(lines.map(last)).toEqual(single.map(([, becomes]) => becomes[0]));
	});
});
