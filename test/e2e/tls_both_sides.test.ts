// By TLS with clients and with the provider: what holds in clear text holds here, and a connection that is cut is not taken for one that ended.
import { readFileSync } from "node:fs";
import { connect } from "node:tls";
import { APIError } from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { certificates } from "../harness/certificates.ts";
import { Lethe, sim, tag } from "../harness/lethe.ts";
import { removeFolder, temporaryFolder } from "../harness/paths.ts";
import { post, Raw } from "../harness/raw.ts";
import { type World, world } from "../harness/world.ts";

const messages = [{ role: "user" as const, content: "hi" }];
let w: World;

beforeAll(async () => {
	w = await world({ tls: true, upstreamTls: true });
});
afterAll(() => w.end());

async function streamed(script: string): Promise<string> {
	const stream = await w.lethe.client(w.customer.key).chat.completions.create({ model: "exact", stream: true, messages }, sim(script));
	let said = "";
	for await (const chunk of stream) said += chunk.choices[0]?.delta?.content ?? "";
	return said;
}

test("plain and streamed answers come whole, and the provider is asked by TLS", async () => {
	const before = (await w.sim.stats())["handshakes"]!;
	const client = w.lethe.client(w.customer.key);
	const answer = await client.chat.completions.create({ model: "exact", messages }, sim("body_bytes=100000"));
	expect(answer.choices[0]!.message.content!.length).toBeGreaterThan(90_000);
	expect((await streamed("chunks=200,chunk_bytes=500")).length).toBe(100_000);
	expect((await w.sim.stats())["handshakes"]! - before).toBeGreaterThan(0);
});

test.each(["cut_after=700", "cut_after=700,close=1", "cut_after=700,reset=1"])("a stream with %s is an error", async (script) => {
	const name = tag("cut");
	await expect(streamed(`${script},chunks=50,tag=${name}`)).rejects.toThrow();
	expect((await w.sim.last(name)).state).toBe("cut");
});

test("bytes by hand get the same answer", async () => {
	const raw = await Raw.open(w.lethe.url);
	raw.say(post(w.customer.key, JSON.stringify({ model: "exact", messages })));
	expect((await raw.answer()).status).toBe(200);
	raw.close();
});

test("a session is resumed", async () => {
	const { hostname, port } = new URL(w.lethe.url);
	const session = await new Promise<Buffer>((resolve, reject) => {
		const socket = connect({ host: hostname, port: Number(port) });
		socket.once("session", (bytes: Buffer) => {
			socket.destroy();
			resolve(bytes);
		});
		socket.once("error", reject);
	});
	const resumed = await new Promise<boolean>((resolve, reject) => {
		const socket = connect({ host: hostname, port: Number(port), session }, () => {
			resolve(socket.isSessionReused());
			socket.destroy();
		});
		socket.once("error", reject);
	});
	expect(resumed).toBe(true);
});

test("a provider whose certificate nobody vouches for is not asked", async () => {
	const folder = temporaryFolder();
	const lethe = await Lethe.start({ sim: w.sim, upstreamTls: true, provider: { ca_file: certificates(folder).ca } });
	try {
		const { key } = await lethe.account("customer", "1");
		const before = (await w.sim.stats())["requests"]!;
		const refused = await lethe.client(key).chat.completions.create({ model: "exact", messages }).catch((error: unknown) => error);
		expect(refused).toBeInstanceOf(APIError);
		expect((refused as APIError).status).toBeGreaterThanOrEqual(500);
		expect((await w.sim.stats())["requests"]! - before).toBe(1); // the question before
	} finally {
		await lethe.finish();
		removeFolder(folder);
	}
});

test("the certificate that is shown is the one of the configuration", async () => {
	const { hostname, port } = new URL(w.lethe.url);
	const shown = await new Promise<string>((resolve, reject) => {
		const socket = connect({ host: hostname, port: Number(port), servername: "api.localhost" }, () => {
			resolve(socket.getPeerX509Certificate()!.toString());
			socket.destroy();
		});
		socket.once("error", reject);
	});
	expect(readFileSync(certificates().certificate, "utf8")).toContain(shown.trim());
});
