import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Backends, haveBackends, type Read } from "../harness/backends.ts";
import { hostileCases, withKey } from "../harness/hostile.ts";
import { Lethe } from "../harness/lethe.ts";
import { Raw } from "../harness/raw.ts";
import { type WireRequest, WireProvider } from "../harness/wire_provider.ts";

const price = { from: "2026-01-01", input: "1.00", output: "10.00" };
const bytes = /(0[01489a-d]|1f|2[01cd]|3[ab]|41|5f|61|7f|8[05]|a0|ff)$/;
const whole = process.env["LETHE_HOSTILE"] === "all";
const marker = Buffer.from("POST /the-end HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nend");

let provider: WireProvider;
let lethe: Lethe;
let backends: Backends;

// Every hostile request once, whatever becomes of it; what Lethe has written to its provider is what counts here.
async function play(key: string): Promise<number> {
	const cases = hostileCases().filter((one) => one.kind === "request" && (whole || !/ [0-9a-f]{2}$/.test(one.id) || bytes.test(one.id)));
	for (const one of cases) {
		const raw = await Raw.open(lethe.url);
		raw.say(withKey(one.bytes, key));
		for (const expected of one.expect.split(", ")) if (!/^(waits|closes|h2)/.test(expected)) await raw.answer({ head: / HEAD /.test(expected) });
		raw.close();
	}
	return cases.length;
}

// As few bytes as tell two of them apart.
const shown = ({ method, url, type, body }: Read) => `${method} ${url} ${type} ${body.length} ${createHash("sha256").update(body, "latin1").digest("hex").slice(0, 16)}`;

function meant(request: WireRequest): Read {
	const [first, ...lines] = request.head.split("\r\n");
	const [method, url] = first!.split(" ");
	const type = lines.find((line) => /^content-type:/i.test(line)) ?? "";
	return { method: method!, url: url!, type: type.slice(type.indexOf(":") + 1).trim(), body: request.body.toString("latin1") };
}

describe.skipIf(!haveBackends)("back ends of different make", () => {
	beforeAll(async () => {
		provider = await WireProvider.start();
		backends = await Backends.start();
		lethe = await Lethe.start({
			edges: 1,
			config: {
				providers: [{ name: "wire", url: `${provider.url}/v1`, keys: [{ env: "SIM_API_KEY" }] }],
				models: [{ id: "hostile", provider: "wire", context: 100_000, output: 1_000, prices: [price] }],
			},
		});
		const count = await play((await lethe.account("customer", "100000")).key);
		await lethe.finish();
		await provider.allClosed();
		console.log(`${count} hostile requests, ${provider.seen.length} of them forwarded on ${provider.streams.length} connections`);
	}, 600_000);

	afterAll(() => {
		backends?.stop();
		provider?.stop();
	});

	test.each(["node", "nginx", "haproxy", "h11"])(
		"%s reads as many requests, and the same, as were meant",
		async (name) => {
			expect(provider.strange).toEqual([]);
			// Or the bytes of one request could not be taken for another's.
			expect(provider.seen.length).toBeGreaterThan(100 * provider.streams.length);
			for (const [connection, stream] of provider.streams.entries()) {
				const requests = provider.seen.filter((request) => request.connection === connection);
				const read = await backends.reads(name, Buffer.concat([stream, marker]));
				expect(read.map(shown)).toEqual([...requests.map(meant), { method: "POST", url: "/the-end", type: "", body: "end" }].map(shown));
			}
		},
		600_000,
	);
});
