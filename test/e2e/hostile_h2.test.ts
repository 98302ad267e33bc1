import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type H2Case, h2Cases } from "../harness/h2_cases.ts";
import { frame, H2Raw, preface } from "../harness/h2_raw.ts";
import { Lethe } from "../harness/lethe.ts";
import { WireProvider } from "../harness/wire_provider.ts";

const body = (tag: string) => `{"model":"hostile","messages":[{"role":"user","content":"${tag}"}]}`;
const price = { from: "2026-01-01", input: "1.00", output: "10.00" };

let provider: WireProvider;
let lethe: Lethe;
let key: string;
let cases: H2Case[];

// Known before there is a key, for the names of the tests.
const sources = [...new Set(h2Cases({ key: "", body }).map((one) => one.source))];

beforeAll(async () => {
	provider = await WireProvider.start();
	lethe = await Lethe.start({
		edges: 1,
		config: {
			providers: [{ name: "wire", url: `${provider.url}/v1`, keys: [{ env: "SIM_API_KEY" }] }],
			models: [{ id: "hostile", provider: "wire", context: 100_000, output: 1_000, prices: [price] }],
		},
	});
	key = (await lethe.account("customer", "100000")).key;
	cases = h2Cases({ key, body });
});

afterAll(async () => {
	await lethe.finish();
	provider.stop();
});

function check(condition: unknown, what: string): asserts condition {
	if (!condition) throw new Error(what);
}

async function waitFor(h2: H2Raw, what: string): Promise<void> {
	const [event, first, second] = what.split(" ");
	const n = Number(first);
	const probes: Record<string, () => boolean> = {
		settings: () => h2.settings > 0,
		acked: () => h2.settingsAcked >= n,
		pongs: () => h2.pongs >= n,
		ended: () => h2.stream(n).ended || h2.stream(n).reset !== undefined,
		status: () => h2.stream(n).status > 0,
		body: () => h2.stream(n).body.length >= Number(second),
	};
	await h2.until(what, probes[event!]!);
}

// The connection is in order: a ping comes back.
async function alive(h2: H2Raw): Promise<void> {
	const pongs = h2.pongs;
	h2.say(frame(6, 0, 0, Buffer.from("are you?")));
	await h2.until("a ping comes back", () => h2.pongs > pongs);
	check(!h2.raw.closed && h2.goaway === undefined, `the connection goes on: ${h2.goaway ?? "closed"}`);
}

function state(h2: H2Raw): string {
	const streams = [...h2.streams].filter(([, s]) => s.status || s.reset).map(([id, s]) => `${id}: ${s.status} ${s.ended ? "ended" : "open"} ${s.reset ?? ""}`);
	return `${h2.raw.closed ? "closed" : "open"}, goaway ${h2.goaway}, ${streams.slice(-4).join("; ")}`;
}

function fits(h2: H2Raw, expected: string): boolean {
	const [what, first, second] = expected.split(" ");
	const id = Number(first);
	if (what === "goaway") return h2.raw.closed && h2.goaway === first;
	if (what === "closes") return h2.raw.closed && (h2.goaway ?? "NO_ERROR") === "NO_ERROR";
	if (what === "http1") return h2.raw.closed && h2.raw.received.toString("latin1").startsWith(`HTTP/1.1 ${first} `);
	if (h2.raw.closed || h2.goaway) return false;
	const stream = h2.stream(id);
	if (what === "reset") return stream.reset === second && stream.status === 0;
	if (what === "answered") return stream.ended && String(stream.status) === second;
	if (what === "forwarded") return stream.ended && stream.status === 200;
	if (what === "body") return stream.body.length === Number(second) && !stream.ended;
	return what === "ignored" && stream.status === 0;
}

// Which event decides: without it there is nothing to look at.
function decided(h2: H2Raw, expected: string): boolean {
	const id = Number(/ (\d+)/.exec(expected)?.[1] ?? 0);
	const stream = h2.stream(id);
	if (/^(goaway|closes|http1)/.test(expected)) return h2.raw.closed;
	return h2.raw.closed || /^(ignored|body)/.test(expected) || stream.ended || stream.reset !== undefined;
}

async function outcome(h2: H2Raw, expected: string): Promise<void> {
	const choices = expected.split("|");
	await h2
		.until(expected, () => choices.some((choice) => decided(h2, choice)))
		.catch((error: Error) => {
			throw new Error(`${error.message}; ${state(h2)}`);
		});
	if (!h2.raw.closed) await alive(h2).catch(() => {});
	check(choices.some((choice) => fits(h2, choice)), `${expected}: ${state(h2)}`);
}

async function play(one: H2Case): Promise<void> {
	const h2 = await H2Raw.open(lethe.url);
	try {
		// No tables, so that a status can be read without keeping one.
		if (!one.bare) h2.say(Buffer.concat([preface, frame(4, 0, 0, Buffer.from([0, 1, 0, 0, 0, 0]))]));
		for (const step of one.steps) {
			if ("await" in step) await waitFor(h2, step.await);
			else h2.say(step.say);
		}
		for (const expected of one.expect.filter((what) => !what.startsWith("maybe"))) await outcome(h2, expected);
	} finally {
		h2.close();
	}
	const forwarded = one.expect.filter((expected) => expected.startsWith("forwarded")).length;
	const most = forwarded + one.expect.filter((expected) => expected.startsWith("maybe")).length;
	const seen = provider.seen.filter((request) => request.body.toString() === body(one.tag)).length;
	check(seen >= forwarded && seen <= most, `${forwarded} to ${most} requests reach the provider, not ${seen}`);
	check(provider.strange.length === 0, `in one form: ${provider.strange}`);
}

describe("hostile HTTP/2", () => {
	test("a crowd of streams on an edge that had none finds room at once: whoever hands out memory need not come by", async () => {
		process.kill(lethe.pid, "SIGSTOP");
		try {
			await play(cases.find((one) => one.id === "http2/5.1.2/1")!);
		} finally {
			process.kill(lethe.pid, "SIGCONT");
		}
	});

	test.each(sources)(
		"%s: each case ends as specified, and nothing but whole good requests reaches the provider",
		async (source) => {
			const list = cases.filter((one) => one.source === source);
			const failures: string[] = [];
			for (const one of list) await play(one).catch((error: Error) => failures.push(`h2.txt:${one.line} ${one.source} ${one.id}: ${error.message}`));
			console.log(`${source} (HTTP/2): ${list.length} cases, ${list.length - failures.length} as specified`);
			expect(failures).toEqual([]);
		},
		600_000,
	);

	test("what reached the provider was whole, and of those cases alone that say so", () => {
		const may = cases.filter((one) => one.expect.some((expected) => /^(forwarded|maybe)/.test(expected))).map((one) => body(one.tag));
		const others = provider.seen.map((request) => request.body.toString()).filter((text) => !may.includes(text) && !/"content":"a+"\}\]\}$/.test(text));
		expect(others).toEqual([]);
	});
});
