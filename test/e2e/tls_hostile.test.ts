import { randomBytes, randomInt } from "node:crypto";
import { readFileSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "../harness/exposition.ts";
import { post } from "../harness/raw.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

// What peers without good will do to the port of TLS: the edge lives on, others are served meanwhile, and nothing of it stays in memory.
const body = JSON.stringify({ model: "exact", messages: [{ role: "user", content: "hi" }] });

let w: World;
let edges: number[];
let hello: Buffer;
beforeAll(async () => {
	const config = { metrics: { listen: "127.0.0.1:0" }, limits: { connections_per_edge: 4000, streams_per_edge: 1000 }, timeouts: { head: "3s" } };
	w = await world({ tls: true, upstreamTls: true, edges: 1, config });
	edges = w.lethe.children("edge");
	hello = await aHello();
	await served();
});
afterAll(() => w?.end());

// What a real client says first.
async function aHello(): Promise<Buffer> {
	const server = createServer();
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const said = new Promise<Buffer>((resolve) =>
		server.once("connection", (socket) =>
			socket.once("data", (bytes) => {
				resolve(bytes);
				socket.destroy();
			}),
		),
	);
	connectTls({ port: (server.address() as AddressInfo).port, host: "127.0.0.1" }).on("error", () => undefined);
	return said.finally(() => server.close());
}

async function number(name: string): Promise<number> {
	const url = readFileSync(join(w.lethe.data, "endpoint.metrics"), "utf8").trim();
	const samples = parse(await (await fetch(`${url}/metrics`)).text(), false).get(name)!.samples;
	return samples.reduce((sum, sample) => sum + Number(sample.value), 0);
}

async function served(): Promise<void> {
	const answer = await fetch(`${w.lethe.url}/v1/chat/completions`, {
		method: "POST",
		headers: { authorization: `Bearer ${w.customer.key}`, "content-type": "application/json", connection: "close" },
		body,
	});
	expect(answer.status).toBe(200);
	await answer.text();
}

type Stranger = { socket: Socket; closed: boolean };
function stranger(...pieces: Buffer[]): Stranger {
	const s: Stranger = { socket: connect(Number(new URL(w.lethe.url).port), "127.0.0.1"), closed: false };
	s.socket.on("error", () => undefined);
	s.socket.on("close", () => (s.closed = true));
	s.socket.resume();
	for (const piece of pieces) s.socket.write(piece);
	return s;
}

const gone = (all: Stranger[]) => until("the server has closed them all", () => all.every((s) => s.closed));

// Buffers that stay at hand once they were needed at the same time.
const kept = 256 << 10;

// No stranger is left, and what they cost is given back. The gauge is a second old.
async function asBefore(used: number): Promise<void> {
	await until("memory is as before", async () => (await number("lethe_vault_used_bytes")) <= used + kept);
	await served();
	expect(w.lethe.children("edge")).toEqual(edges);
}

const record = (type: number, bytes: Buffer) => Buffer.concat([Buffer.from([type, 3, 3, bytes.length >> 8, bytes.length & 255]), bytes]);

function flipped(): Buffer {
	const other = Buffer.from(hello);
	for (let i = 0; i < 4; i++) other[randomInt(5, other.length)]! ^= 1 << randomInt(8);
	return other;
}

// The hello, each byte of it in a record of its own.
const crumbs = () => Buffer.concat([...hello.subarray(5)].map((byte) => record(22, Buffer.from([byte]))));

test("noise, hellos that are cut, changed or endless", async () => {
	const used = await number("lethe_vault_used_bytes");
	const promise = Buffer.concat([Buffer.from([22, 3, 1, 0x40, 0, 1, 2, 0, 0, 3, 3]), randomBytes(16378)]); // 128 KiB are to come
	const kinds: (() => Buffer[])[] = [
		() => [randomBytes(randomInt(1, 20_000))],
		() => [record(22, randomBytes(randomInt(1, 16_000)))],
		() => [record(23, randomBytes(100)), record(23, randomBytes(100))],
		() => [record(21, Buffer.from([1, 0]))],
		() => [hello, record(20, Buffer.from([1])), record(20, Buffer.from([1])), record(22, randomBytes(300))],
		() => [hello, ...Array.from({ length: 100 }, () => record(20, Buffer.from([1])))],
		() => [hello, hello],
		() => [hello, record(23, randomBytes(5000))],
		() => [flipped()],
		() => [promise, record(22, randomBytes(16_384)), record(22, randomBytes(16_384))],
		() => [crumbs()],
		() => [Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n")],
		() => [Buffer.from("SSH-2.0-x\r\n")],
	];
	for (let round = 0; round < 12; round++) {
		const strangers = kinds.map((kind) => stranger(...kind()));
		for (const s of strangers) s.socket.end();
		await gone(strangers);
	}
	for (let at = 1; at < hello.length; at += 97) {
		const cut = [stranger(hello.subarray(0, at)), stranger(hello.subarray(0, at), hello.subarray(at))];
		for (const s of cut) s.socket.end();
		await gone(cut);
	}
	await asBefore(used);
});

test("handshakes by the thousand that nobody goes on with end by themselves, and others are served meanwhile", async () => {
	const used = await number("lethe_vault_used_bytes");
	const accepted = await number("lethe_connections_accepted_total");
	const strangers: Stranger[] = [];
	for (let i = 0; i < 2000; i++) strangers.push(stranger(...[[], [hello], [hello.subarray(0, 50)], [Buffer.from([22, 3, 1, 0x40, 0, 1, 2, 0, 0])]][i % 4]!));
	await until("each had its turn", async () => (await number("lethe_connections_accepted_total")) >= accepted + strangers.length);
	await served();
	await gone(strangers);
	await asBefore(used);
});

test("who does not read a long answer costs a buffer, and not the answer", async () => {
	const used = await number("lethe_vault_used_bytes");
	const before = await number("lethe_upstream_received_bytes_total");
	const readers = Array.from({ length: 8 }, () => {
		const socket = connectTls({ port: Number(new URL(w.lethe.url).port), host: "127.0.0.1" });
		socket.on("error", () => undefined);
		socket.on("secureConnect", () => {
			socket.pause();
			socket.write(post(w.customer.key, body, { "x-sim": "chunk_bytes=8000000,chunks=7" }));
		});
		return socket;
	});
	let last = before;
	let same = 0;
	await until(
		"all buffers on the way are full",
		async () => {
			const now = await number("lethe_upstream_received_bytes_total");
			same = now === last && now > before + (1 << 20) ? same + 1 : 0;
			last = now;
			return same > 50;
		},
	);
	expect(last - before).toBeLessThan(readers.length * 50_000_000);
	expect(((await number("lethe_vault_used_bytes")) - used) / readers.length).toBeLessThan(256 << 10);
	for (const socket of readers) socket.destroy();
	await asBefore(used);
});
