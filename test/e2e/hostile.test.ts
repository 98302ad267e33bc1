import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Case, hostileCases, report, withKey } from "../harness/hostile.ts";
import { Lethe } from "../harness/lethe.ts";
import { type Answer, Raw } from "../harness/raw.ts";
import { until } from "../harness/until.ts";
import { goodAnswer, WireProvider } from "../harness/wire_provider.ts";

const body = '{"model":"hostile","messages":[{"role":"user","content":"hi"}]}';
const price = { from: "2026-01-01", input: "1.00", output: "10.00" };
// Of a template's 256 bytes those that any parser has a rule for; ./dev hostile takes all.
const template = (one: Case) => one.source === "smuggler" || one.id.startsWith("template: ");
const bytes = /(0[01489a-d]|1f|2[01cd]|3[ab]|41|5f|61|7f|8[05]|a0|ff)$/;
const whole = process.env["LETHE_HOSTILE"] === "all";

const cases = hostileCases().filter((one) => whole || !template(one) || bytes.test(one.id));
const requests = cases.filter((one) => one.kind === "request");
const responses = cases.filter((one) => one.kind === "response");

let provider: WireProvider;
let lethe: Lethe;
let key: string;

beforeAll(async () => {
	provider = await WireProvider.start();
	lethe = await Lethe.start({
		edges: 1,
		config: {
			providers: [{ name: "wire", url: `${provider.url}/v1`, keys: [{ env: "SIM_API_KEY" }] }],
			models: [{ id: "hostile", provider: "wire", context: 10_000_000, output: 1_000, prices: [price] }],
		},
	});
	key = (await lethe.account("customer", "100000")).key;
});

afterAll(async () => {
	await lethe.finish();
	provider.stop();
});

const models = () => Buffer.from(`GET /v1/models HTTP/1.1\r\nHost: lethe.test\r\nAuthorization: Bearer ${key}\r\n\r\n`);
const chat = (text = body) =>
	Buffer.from(
		`POST /v1/chat/completions HTTP/1.1\r\nHost: lethe.test\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\n` +
			`Content-Length: ${text.length}\r\n\r\n${text}`,
	);

function check(condition: unknown, what: string): asserts condition {
	if (!condition) throw new Error(what);
}

// What every answer of this gateway must be, whatever was asked.
function wellFormed(answer: Answer): void {
	const names = answer.head.split("\r\n").slice(1);
	check(/^HTTP\/1\.1 \d{3} [ -~]*$/.test(answer.head.split("\r\n")[0]!), `a status line: ${answer.head}`);
	check(names.every((line) => /^[!-9;-~]+: [^\0-\x08\x0a-\x1f\x7f]*$/.test(line)), `fields: ${answer.head}`);
	const framing = names.filter((line) => /^(content-length|transfer-encoding):/i.test(line)).length;
	check(answer.status === 100 || framing === (answer.status === 204 ? 0 : 1) || answer.headers.get("connection") === "close", `one framing: ${answer.head}`);
	check(answer.status === 100 || /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/.test(answer.headers.get("date") ?? ""), `a date: ${answer.head}`);
	check(answer.status !== 405 || answer.headers.get("allow"), `Allow: ${answer.head}`);
}

// One step of what a case expects; the end of the connection is the caller's.
async function step(raw: Raw, expected: string): Promise<void> {
	const [what, first, method] = expected.split(" ");
	const answer = await raw.answer({ head: method === "HEAD" });
	wellFormed(answer);
	check(answer.body.length === 0 || answer.headers.get("content-type"), `a type: ${answer.head}`);
	const statuses = what === "forwarded" || what === "passed" ? ["200"] : what === "continue" ? ["100"] : first!.split("|");
	check(statuses.includes(String(answer.status)), `${expected}: got ${answer.status} ${answer.body}`);
	if (forwardedLength(expected).length) check(goodAnswer.includes(answer.body) && answer.body.length > 0, `the provider's answer: ${answer.body}`);
}

async function endsAsSaid(raw: Raw, last: string): Promise<void> {
	if (last === "h2") {
		// A frame of type SETTINGS on stream 0.
		await raw.bytes(9);
		check(raw.received[3] === 4 && raw.received.readUInt32BE(5) === 0, `SETTINGS: ${raw.received.toString("hex")}`);
		raw.close();
	} else if (last === "waits") {
		raw.socket.end();
		check((await raw.ends()).length === 0, `no answer to half a request: ${raw.received.toString("latin1")}`);
	} else if (last === "closes" || last.startsWith("refused")) check((await raw.ends()).length === 0, `nothing more: ${raw.received.toString("latin1")}`);
	else {
		raw.say(models());
		const answer = await raw.answer();
		check(answer.status === 200 && raw.received.length === 0, `the connection is still in step: ${answer.status} ${answer.body}`);
		raw.close();
	}
}

// Of the request that a step lets through; of others nothing.
function forwardedLength(expected: string): number[] {
	if (expected === "forwarded") return [body.length];
	const [what, length, method, target] = expected.split(" ");
	if (what === "passed") return [Number(length)];
	return what === "answered" && length === "200" && method === "POST" && /^\/v1\/chat\/completions\b/.test(target!) ? [body.length] : [];
}

async function play(one: Case, cut?: number): Promise<void> {
	const steps = one.expect.split(", ");
	const before = provider.seen.length;
	const raw = await Raw.open(lethe.url);
	try {
		const bytes = withKey(one.bytes, key);
		if (cut !== 0) raw.say(bytes.subarray(0, cut));
		if (cut !== undefined) {
			await new Promise((resolve) => setImmediate(resolve));
			raw.say(bytes.subarray(cut));
		}
		for (const expected of steps) if (!/^(waits|closes|h2)$/.test(expected)) await step(raw, expected);
		await endsAsSaid(raw, steps.at(-1)!);
	} finally {
		raw.close();
	}
	const seen = provider.seen.slice(before);
	const lengths = steps.flatMap(forwardedLength);
	check(seen.length === lengths.length, `${lengths.length} requests reach the provider, not ${seen.length}`);
	check(seen.every((request, i) => request.body.length === lengths[i] && (lengths[i] !== body.length || request.body.toString() === body)), "whole");
	check(seen.every((request) => request.head.startsWith("POST /v1/chat/completions HTTP/1.1\r\n")), "as they were sent");
	check(provider.strange.length === 0, `in one form: ${provider.strange}`);
}

// An honest client's turn.
async function asked(): Promise<void> {
	const raw = await Raw.open(lethe.url);
	raw.say(chat());
	const answer = await raw.answer();
	raw.close();
	check(answer.status === 200 && goodAnswer.includes(answer.body) && answer.body.length > 0, `the next client gets its own answer: ${answer.status} ${answer.body}`);
}

// The names that may come down; everything else of a provider's head stays above.
const down = /^(content-type|content-length|transfer-encoding|connection|date|retry-after(-ms)?|x-should-retry|x-content-type-options|openai-(version|processing-ms)|(x-)?request-id|lethe-[a-z-]+):/i;

async function answered(raw: Raw, result: string, length: string): Promise<void> {
	const answer = await raw.answer().catch((error: Error) => error);
	if (answer instanceof Error) {
		check(result === "cut", `${result}: ${answer.message}`);
		return;
	}
	wellFormed(answer);
	check(answer.head.split("\r\n").slice(1).every((line) => down.test(line)), `only what may come down: ${answer.head}`);
	check(result === "cut" ? answer.status === 502 : answer.status === Number(result), `${result}: got ${answer.status} ${answer.body}`);
	if (result === "200") check(answer.body.length === Number(length), `${length} bytes of body: ${answer.body}`);
	check(raw.received.length === 0, `nothing behind the answer: ${raw.received.toString("latin1")}`);
}

async function playAnswer(one: Case, cut?: number): Promise<void> {
	const said = one.expect.split(" => ")[1]!.split(" ");
	const [result, length, fate] = said.length === 3 ? said : [said[0], "-", said[1]];
	const before = provider.seen.length;
	provider.answer = () => ({ bytes: one.bytes, end: fate === "ended", ...(cut === undefined ? {} : { cut }) });
	const raw = await Raw.open(lethe.url);
	try {
		raw.say(chat());
		await answered(raw, result!, length!);
	} finally {
		raw.close();
		provider.answer = () => ({ bytes: goodAnswer });
	}
	await asked();
	const [first, second, ...more] = provider.seen.slice(before);
	check(second && more.length === 0, `each client's question is asked once, not ${provider.seen.length - before} times`);
	check((first!.connection === second.connection) === (fate === "kept"), `the connection is ${fate}`);
}

async function run(list: Case[], one: (of: Case) => Promise<void>): Promise<void> {
	const failures = new Map<Case, string>();
	for (const of of list)
		await one(of).catch((error: Error) => {
			failures.set(of, `${of.file}:${of.line} ${of.source} ${of.id}: ${error.message}`);
			provider.strange.length = 0;
		});
	if (list.length) console.log(report(list, new Set(failures.keys())));
	expect([...failures.values()]).toEqual([]);
}

describe("hostile requests", () => {
	test.each([...new Set(requests.map((one) => one.source))])(
		"%s: exactly what is specified reaches the provider and comes back",
		async (source) => {
			const list = requests.filter((one) => one.source === source);
			const before = provider.seen.length;
			await run(list, (one) => play(one));
			// In two pieces as well, those of which there are not many alike.
			const few = list.filter((one) => !template(one));
			await run(few, (one) => play(one, Math.floor(one.bytes.length / 2)));
			await asked();
			const forwarded = [...list, ...few].flatMap((one) => one.expect.split(", ").flatMap(forwardedLength)).length;
			expect(provider.seen.length - before).toBe(forwarded + 1);
		},
		600_000,
	);
});

describe("hostile providers", () => {
	test.each([...new Set(responses.map((one) => one.source))])(
		"%s: nothing ambiguous is passed on, and no doubtful connection is used again",
		async (source) => {
			const list = responses.filter((one) => one.source === source);
			await run(list, (one) => playAnswer(one));
			// In two pieces: in the middle, and before the last byte, which as often as not decides.
			await run(list, (one) => playAnswer(one, Math.floor(one.bytes.length / 2)));
			await run(list, (one) => playAnswer(one, one.bytes.length - 1));
		},
		600_000,
	);

	test("what comes unasked on a kept connection is nobody's answer", async () => {
		for (const unasked of [goodAnswer, Buffer.from("HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n"), Buffer.from("x")]) {
			await asked();
			const before = provider.open;
			provider.blurt(Buffer.from(unasked.toString().replace("hello", "stale")));
			await until("the connection is dropped", () => provider.open < before);
			await asked();
		}
	});

	test.each([
		["an answer", goodAnswer, /^200 .*hello/],
		["an error", Buffer.from("HTTP/1.1 400 Bad\r\nContent-Length: 2\r\n\r\n{}"), /^400 /],
		["two lengths", Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), /^502 /],
	])("%s before the request is sent: no such connection is used again", async (_, early, expected) => {
		const text = body.replace("hi", "x".repeat(8_000_000));
		const before = provider.streams.length;
		provider.early = early;
		const raw = await Raw.open(lethe.url);
		raw.say(chat(text));
		const answer = await raw.answer();
		provider.early = undefined;
		expect(`${answer.status} ${answer.body}`).toMatch(expected);
		raw.close();
		await asked();
		expect(provider.streams.length).toBeGreaterThan(before);
		expect(provider.seen.at(-1)!.connection).toBe(provider.streams.length - 1);
	});
});
