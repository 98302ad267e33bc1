import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { APIError } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Json, sim, tag } from "../harness/lethe.ts";
import { removeFolder, temporaryFolder } from "../harness/paths.ts";
import { type Answer, events, generated, json, message, messageUsage, Provider, response } from "../harness/provider.ts";
import { post, Raw } from "../harness/raw.ts";
import { type Finding, Marks, searchFolder, searchProcess } from "../harness/search.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

let w: World;
let p: Provider;
let marks: Marks;
const isRoot = process.getuid!() === 0;

const marked = (place: string) => marks.plant(place);

function bodyOf<const T extends object = object>(words: string, more?: T) {
	return { model: "exact", messages: [{ role: "user" as const, content: words }], ...(more as T) };
}

async function outcome(promise: PromiseLike<unknown>): Promise<string> {
	try {
		const answer = await promise;
		if (answer && typeof answer === "object" && Symbol.asyncIterator in answer) for await (const _ of answer as AsyncIterable<unknown>);
		return "answered";
	} catch (error) {
		if (error instanceof APIError) return `error ${error.status}`;
		return "broken";
	}
}

// Every way in which an exchange can end, each with a mark of its own in what is asked, and by echo in what is answered.
async function traffic(): Promise<void> {
	const client = w.lethe.client(w.customer.key);
	const scripts = [
		"echo=1",
		"echo=1,chunks=50",
		"echo=1,split=3",
		"echo=1,crlf=1,comments=1",
		"echo=1,leak=1",
		"status=400",
		"status=401,leak=1",
		"status=404",
		"status=429",
		"status=500",
		"cut_head=5",
		"cut_after=120,echo=1",
		"cut_after=400,echo=1,reset=1",
		"malformed=head",
		"malformed=json,echo=1",
		"malformed=chunk,echo=1",
		"malformed=length,echo=1",
		"mid_error=1,echo=1",
		"no_done=1,echo=1",
		"gzip=1,echo=1",
		"close=1,echo=1",
		"early=1,echo=1",
		"tools=1",
		"usage=none,echo=1",
	];
	for (const script of scripts)
		for (const stream of [false, true]) {
			const place = `${script.replace(/\W+/g, "-")}${stream ? "-stream" : ""}`;
			const words = marked(place);
			await outcome(client.chat.completions.create(bodyOf(words, { stream }), sim(script)));
		}
	await refusedTraffic();
	await brokenTraffic();
	await otherDialects();
}

// A gateway in front of the simulator, and of a provider whose answers are written here.
async function begin(options: Parameters<typeof world>[0] = {}): Promise<void> {
	p = await Provider.start();
	const prices = [{ input: "1.00", output: "10.00" }];
	const of = (name: string, dialect: string, path: string) => ({ name, dialect, url: `${p.url}${path}`, keys: [{ env: "SIM_API_KEY" }] });
	w = await world({
		extra: {
			providers: [of("openai", "openai", "/v1"), of("anthropic", "anthropic", "/v1"), of("google", "gemini", "/v1beta")],
			models: [
				{ id: "r", provider: "openai", prices },
				{ id: "m", provider: "anthropic", prices },
				{ id: "g", provider: "google", prices },
			],
		},
		...options,
	});
}

async function end(): Promise<void> {
	await w?.end();
	p?.stop();
}

// The other dialects: what the provider answers has marks of its own, in each of its ways to end.
async function otherDialects(): Promise<void> {
	const dialects: [string, string, (words: string) => Json, (words: string) => Json][] = [
		["/v1/responses", "r", (input) => ({ model: "r", input, stream: true }), (text) => response({ output: [{ type: "message", content: [{ type: "output_text", text }] }] })],
		["/v1/messages", "m", (content) => ({ model: "m", max_tokens: 99, messages: [{ role: "user", content }] }), (text) => message({ content: [{ type: "text", text }] })],
		["/v1beta/models/g:streamGenerateContent?alt=sse", "g", (text) => ({ contents: [{ parts: [{ text }] }] }), (text) => generated(text)],
	];
	const ends: [string, (body: Json, words: string) => Answer][] = [
		["plain", (body) => json(body)],
		["streamed", (body) => events([{ type: "response.completed", response: body }, { type: "message_start", message: { ...body, usage: messageUsage } }, body])],
		["cut", (body) => ({ ...events([body, body]), cut: true })],
		["half", (body) => ({ ...events([body, `data: ${JSON.stringify(body).slice(0, -9)}`]) })],
		["error", (_, words) => json({ error: { type: "x", message: words, code: 400, status: "INVALID_ARGUMENT" } }, 400)],
		["not-json", (_, words) => ({ pieces: [words] })],
		["overloaded", (_, words) => json({ type: "error", error: { type: "overloaded_error", message: words } }, 529)],
	];
	for (const [path, name, ask, body] of dialects)
		for (const [end, how] of ends) {
			const words = marked(`${name}-${end}-answer`);
			p.answers(how(body(words), words));
			const request = JSON.stringify(ask(marked(`${name}-${end}`)));
			const headers = { authorization: `Bearer ${w.customer.key}`, "content-type": "application/json", "anthropic-version": "2023-06-01" };
			await fetch(`${w.lethe.url}${path}`, { method: "POST", headers, body: request }).then(
				(answer) => answer.text().catch(() => undefined),
				() => undefined,
			);
		}
	expect(p.seen.length).toBeGreaterThanOrEqual(dialects.length * ends.length);
}

// Refused by Lethe itself, in each place where a request can carry words.
async function refusedTraffic(): Promise<void> {
	const client = w.lethe.client(w.customer.key);
	const poor = await w.lethe.account("poor", "0");
	await outcome(w.lethe.client(`lethe_live_${marks.plantPlain("key")}`).chat.completions.create(bodyOf(marked("bad-key"))));
	await outcome(w.lethe.client(poor.key).chat.completions.create(bodyOf(marked("no-money"))));
	await outcome(client.chat.completions.create(bodyOf(marked("no-model-body"), { model: marked("model-name") })));
	await outcome(client.chat.completions.create(bodyOf(marked("unpriced"), { model: "tomorrow" })));
	await outcome(client.post(`/${encodeURIComponent(marked("path"))}`, { body: bodyOf(marked("no-endpoint")) }));
	await outcome(client.get("/models", { query: { q: marked("query") } }));
	await outcome(client.chat.completions.create(bodyOf(marked("header-body")), { headers: { "x-note": marks.plantPlain("header") } }));
	await outcome(client.chat.completions.create(bodyOf(`${marked("too-large")}${"x".repeat(17 << 20)}`)));
	await outcome(client.post("/chat/completions", { body: { model: "exact", messages: 7, [marked("field")]: marked("value") } }));
	const raw = await Raw.open(w.lethe.url);
	raw.say(post(w.customer.key, `{"model":"exact","messages":[{"role":"user","content":"${marked("not-json").replaceAll('"', "")}"`));
	await raw.answer();
	raw.say(`${marked("not-http")}\r\n\r\n`);
	await raw.ends();
}

// Left by the client at different moments; cut by us.
async function brokenTraffic(): Promise<void> {
	const client = w.lethe.client(w.customer.key);
	for (const after of [0, 1, 5]) {
		const name = tag("leave");
		const words = `${marked(`left-after-${after}`)} `.repeat(40);
		const stream = await client.chat.completions.create(bodyOf(words, { stream: true }), sim(`tag=${name},echo=1,chunks=200,gap_ms=3`));
		let seen = 0;
		for await (const _ of stream) if (seen++ === after) break;
		await until("the provider sees it", async () => (await w.sim.last(name)).state === "cancelled");
	}
	const name = tag("waiting");
	const abort = new AbortController();
	const waiting = outcome(client.chat.completions.create(bodyOf(marked("waiting")), { ...sim(`tag=${name},hang=head`), signal: abort.signal }));
	await until("the provider has it", () => w.sim.saw(name));
	abort.abort();
	await waiting;
	const half = await Raw.open(w.lethe.url);
	half.say(post(w.customer.key, JSON.stringify(bodyOf(marked("half")))).slice(0, -4));
	half.close();
	const edge = w.lethe.children("edge")[0]!;
	const streams = [1, 2, 3, 4].map(async (i) => {
		const stream = client.chat.completions.create(bodyOf(`${marked(`killed-${i}`)} `.repeat(50), { stream: true }), sim("echo=1,chunks=400,gap_ms=5"));
		return outcome(stream);
	});
	await until("they run", async () => (await w.sim.stats())["open_exchanges"]! >= 5);
	process.kill(edge, "SIGKILL");
	await until("the edge is there again", () => w.lethe.children("edge").length === 2 && !w.lethe.children("edge").includes(edge), 15_000);
	await Promise.all(streams);
}

const report = (found: Finding[]) => found.map((f) => `${f.form} in ${f.where}: ${f.around}`);
describe("after marked traffic over every path", () => {
	beforeAll(async () => {
		await begin();
		marks = new Marks();
		await traffic();
	}, 60_000);
	afterAll(end);

	test("there was such traffic, and it passed through", async () => {
		expect(marks.words.length).toBeGreaterThan(60);
		const word = marked("probe");
		const answer = await w.lethe.client(w.customer.key).chat.completions.create(bodyOf(word), sim("echo=1"));
		expect(answer.choices[0]!.message.content).toBe(word);
	});

	test("no mark is in the data folder, the log or what the process printed", () => {
		expect(report(searchFolder(w.lethe.dir, marks))).toEqual([]);
	});

	test("the search of a folder finds what is there, in each form", () => {
		const planted = new Marks();
		const folder = temporaryFolder();
		planted.forms.forEach(([, bytes], i) => writeFileSync(join(folder, `${i}.bin`), Buffer.concat([Buffer.alloc(5000, 1), bytes])));
		writeFileSync(join(folder, "escaped.json"), JSON.stringify({ text: planted.plant("control") }));
		const forms = searchFolder(folder, planted).map((f) => f.form);
		removeFolder(folder);
		expect([...new Set(forms)].sort()).toEqual(planted.forms.map(([form]) => form).sort());
		expect(forms).toHaveLength(planted.forms.length + 1);
	});

	test.skipIf(!isRoot)("no mark is in what root can read of any Lethe process", async () => {
		await until("every role runs", () => w.lethe.children().length === 5, 15_000);
		const deaths = w.lethe.log().split("\n").filter((line) => /child_died/i.test(line));
		expect(deaths, "only the edge that was killed has died").toHaveLength(1);
		const searched = [w.lethe.pid, ...w.lethe.children()].map((pid) => searchProcess(pid, marks));
		expect(searched).toHaveLength(6);
		expect(searched.flatMap((s) => report(s.found))).toEqual([]);
		for (const s of searched) expect(s.readBytes).toBeGreaterThan(100_000);
	});

	test.skipIf(!isRoot)("while content is in flight, root can't read it either", async (context) => {
		const doctor = await w.lethe.run("doctor");
		if (!/sealed/.test(doctor.stdout)) context.skip("this kernel has no secret memory");
		const flying = new Marks();
		const stream = await w.lethe
			.client(w.customer.key)
			.chat.completions.create(bodyOf(`${flying.plant("flying")} `.repeat(2000), { stream: true }), sim("echo=1,chunks=5000,gap_ms=5"));
		await stream[Symbol.asyncIterator]().next();
		const searched = w.lethe.children().map((pid) => searchProcess(pid, flying));
		stream.controller.abort();
		expect(searched.flatMap((s) => report(s.found))).toEqual([]);
		expect(searched.some((s) => s.sealedBytes > 0)).toBe(true);
	});

	test.skipIf(!isRoot)("the search of memory finds what is there, in each form", async () => {
		const planted = new Marks();
		const keep = planted.forms.map(([, bytes]) => Buffer.concat([Buffer.alloc(9, 1), bytes]).toString("hex"));
		const program = `const keep = JSON.parse(process.argv[1]).map((f) => Buffer.from(f, "hex")); setInterval(() => keep.length, 1000); process.stdout.write("ready");`;
		const holder: ChildProcess = spawn(process.execPath, ["-e", program, JSON.stringify(keep)], { stdio: ["ignore", "pipe", "inherit"] });
		try {
			await new Promise((ready) => holder.stdout!.once("data", ready));
			const found = new Set(searchProcess(holder.pid!, planted).found.map((f) => f.form));
			expect([...found].sort()).toEqual(planted.forms.map(([form]) => form).sort());
		} finally {
			holder.kill("SIGKILL");
		}
	});
});

// In plain memory root can see what the vault does: there, wiping alone keeps the promise.
describe.skipIf(!isRoot).each([
	["in clear text", {}],
	["with TLS on both sides", { tls: true, upstreamTls: true }],
])("the same in memory that is neither secret nor locked, %s", (_, how) => {
	const nobody = 65534;
	beforeAll(async () => {
		await begin({ ...how, plainAs: nobody, config: { allow_plain_memory: true } });
		marks = new Marks();
		await traffic();
	}, 60_000);
	afterAll(end);

	test("content in flight can be read by root: the search reaches it", async () => {
		const flying = new Marks();
		const name = tag("flying");
		const abort = new AbortController();
		const waiting = outcome(
			w.lethe
				.client(w.customer.key)
				.chat.completions.create(bodyOf(`${flying.plant("flying")} `.repeat(200)), { ...sim(`hang=head,tag=${name}`), signal: abort.signal }),
		);
		await until("the provider has it", () => w.sim.saw(name));
		const found = w.lethe.children("edge").flatMap((pid) => searchProcess(pid, flying).found);
		abort.abort();
		await waiting;
		expect(found.length).toBeGreaterThan(0);
	});

	test("once the exchanges have ended, no mark is left in any process", async () => {
		await until("all exchanges have ended", async () => (await w.lethe.command("status"))["running"] === 0);
		const searched = [w.lethe.pid, ...w.lethe.children()].map((pid) => searchProcess(pid, marks));
		expect(searched.flatMap((s) => report(s.found))).toEqual([]);
		expect(searched.map((s) => s.sealedBytes).every((n) => n < 1 << 20)).toBe(true);
	});
});
