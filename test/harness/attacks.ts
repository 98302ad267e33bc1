import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { ProxyHeader } from "./proxies.ts";
import { post } from "./raw.ts";

// Where to, and as whom: an attacker may well be a customer.
export type Target = { clear: string; secure: string; proxied: string; key: string; bodyBytes: number };
export type Attack = {
	name: string;
	connections: number;
	// Most memory for content that each of them may cost.
	bytes: number;
	// The gateway gets rid of every one of them by itself, for good.
	ends?: boolean;
	// What is refused or told apart shows in this counter.
	shows?: string;
	// It reads nothing, and so does not hear either that it was thrown out.
	deaf?: boolean;
	// Honest clients may be told to come again: memory for bodies is shared.
	busy?: boolean;
	open: (t: Target) => Socket;
	behave: (s: Socket, t: Target) => void;
};

// Attackers of one kind, at work until they are stopped. Who is thrown out comes again, except where the attack is over then.
export class Crowd {
	readonly #live = new Set<Socket>();
	readonly #attack: Attack;
	readonly #target: Target;
	#stopped = false;
	// How many connections have been begun, and how many have been ended by the other side.
	begun = 0;
	ended = 0;

	constructor(attack: Attack, target: Target, size = attack.connections) {
		this.#attack = attack;
		this.#target = target;
		for (let i = 0; i < size; i++) this.#begin();
	}

	get open(): number {
		return this.#live.size;
	}

	#begin(): void {
		const socket = this.#attack.open(this.#target);
		this.begun++;
		this.#live.add(socket);
		socket.on("error", () => {});
		socket.on("close", () => {
			this.#live.delete(socket);
			this.ended++;
			if (!this.#stopped && !this.#attack.ends) setTimeout(() => this.#stopped || this.#begin(), 5);
		});
		this.#attack.behave(socket, this.#target);
	}

	stop(): void {
		this.#stopped = true;
		for (const socket of this.#live) socket.destroy();
	}
}

const tcp = (url: string) => connect(Number(new URL(url).port), new URL(url).hostname);
const clear = (t: Target) => tcp(t.clear);
const pasted = (t: Target) => {
	const socket = clear(t);
	socket.pause(); // reads nothing, ever
	return socket;
};

// A little at a time, for as long as anybody takes it.
function drip(socket: Socket, piece: string | Buffer, everyMs: number): void {
	const timer = setInterval(() => socket.write(piece), everyMs);
	socket.on("close", () => clearInterval(timer));
}

// As much as the socket takes, in turns with everybody else.
function pour(socket: Socket, piece: string | Buffer): void {
	const more = () => {
		if (socket.destroyed || !socket.writable) return;
		if (socket.write(piece)) setImmediate(more);
		else socket.once("drain", more);
	};
	socket.once("connect", more);
	socket.resume();
}

// With a provider of its own: who asks another model does not wait for what that one does.
export const attackersModel = "theirs";
const chat = (more: object = {}) => JSON.stringify({ model: attackersModel, messages: [{ role: "user", content: "hi" }], ...more });

// ---- HTTP/2, by hand: what no library would send ----

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
	const head = Buffer.alloc(9);
	head.writeUIntBE(payload.length, 0, 3);
	head.writeUInt8(type, 3);
	head.writeUInt8(flags, 4);
	head.writeUInt32BE(stream, 5);
	return Buffer.concat([head, payload]);
}

const [DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION] = [0, 1, 2, 3, 4, 6, 8, 9] as const;
const [END_STREAM, END_HEADERS] = [1, 4] as const;
const preface = Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(SETTINGS, 0, 0)]);
const u32 = (n: number) => Buffer.from([n >>> 24, (n >>> 16) & 255, (n >>> 8) & 255, n & 255]);

// Literals without indexing, names and values below 127 bytes (RFC 7541 6.2.2); the first four are in the static table.
const literal = (name: string, value: string) => Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), long(value)]);
const long = (value: string) =>
	value.length < 127 ? Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]) : Buffer.concat([Buffer.from([127, value.length - 127]), Buffer.from(value)]);
const get = Buffer.concat([Buffer.from([0x82, 0x86]), Buffer.from([0x04]), long("/healthz"), Buffer.from([0x01]), long("lethe.test")]);
const ask = (key: string, script: string) =>
	Buffer.concat([
		Buffer.from([0x83, 0x86, 0x04]),
		long("/v1/chat/completions"),
		Buffer.from([0x01]),
		long("lethe.test"),
		literal("authorization", `Bearer ${key}`),
		literal("content-type", "application/json"),
		literal("x-sim", script),
	]);

// One turn's worth of frames, made for consecutive streams.
function streams(count: number, make: (id: number) => Buffer): (from: number) => Buffer {
	return (from) => Buffer.concat(Array.from({ length: count }, (_, i) => make(from + 2 * i)));
}

function pourStreams(socket: Socket, first: Buffer, turn: (from: number) => Buffer, perTurn: number): void {
	let id = 1;
	socket.once("connect", () => socket.write(first));
	const more = () => {
		if (socket.destroyed || !socket.writable) return;
		const fits = socket.write(turn(id));
		id += 2 * perTurn;
		if (id > 0x7fff0000) socket.destroy();
		else if (fits) setImmediate(more);
		else socket.once("drain", more);
	};
	socket.once("connect", more);
	socket.resume();
}

const h2 = (t: Target) => clear(t);

export const attacks: Attack[] = [
	{
		name: "slow heads",
		connections: 40,
		bytes: 8 << 10,
		ends: true,
		open: clear,
		behave: (s) => {
			s.write("POST /v1/chat/completions HTTP/1.1\r\nHost: lethe.test\r\nx-slow: ");
			drip(s, "a", 50);
			s.resume();
		},
	},
	{
		name: "slow bodies",
		connections: 40,
		bytes: 256 << 10,
		ends: true,
		open: clear,
		behave: (s, t) => {
			s.write(post(t.key, "{" + " ".repeat(99_999)).slice(0, -99_990));
			drip(s, " ", 50);
			s.resume();
		},
	},
	{
		name: "slow readers",
		connections: 10,
		bytes: 256 << 10,
		ends: true,
		deaf: true,
		open: pasted,
		behave: (s, t) => void s.write(post(t.key, chat({ stream: true }), { "x-sim": "chunks=100,chunk_bytes=200000" })),
	},
	{ name: "idle connections", connections: 200, bytes: 4 << 10, ends: true, open: clear, behave: (s) => void s.resume() },
	{
		name: "many connections from one address",
		connections: 100,
		bytes: 4 << 10,
		shows: "lethe_connections_refused_total",
		open: (t) => {
			const socket = tcp(t.proxied);
			socket.write(ProxyHeader.tcp4("203.0.113.9"));
			return socket;
		},
		behave: (s) => void s.resume(),
	},
	{
		name: "heads of many fields",
		connections: 20,
		bytes: 256 << 10,
		open: clear,
		behave: (s) => {
			s.write("GET /healthz HTTP/1.1\r\nHost: lethe.test\r\n" + "a: b\r\n".repeat(20_000) + "\r\n");
			s.resume();
		},
	},
	{
		name: "heads of one huge field",
		connections: 20,
		bytes: 256 << 10,
		open: clear,
		behave: (s) => pour(s, Buffer.concat([Buffer.from("GET /healthz HTTP/1.1\r\nHost: lethe.test\r\na: "), Buffer.alloc(200_000, "b")])),
	},
	{
		name: "pipelined requests",
		connections: 10,
		bytes: 256 << 10,
		open: clear,
		behave: (s) => pour(s, "GET /healthz HTTP/1.1\r\nHost: lethe.test\r\n\r\n".repeat(500)),
	},
	{
		name: "handshakes that go nowhere",
		connections: 30,
		bytes: 4 << 10,
		open: (t) => tcp(t.secure),
		behave: (s) => {
			// A hello that promises more, and then nothing.
			s.write(Buffer.from("1603010200010001fc0303", "hex"));
			s.resume();
			setTimeout(() => s.destroy(), 300);
		},
	},
	{
		name: "handshakes one after another",
		connections: 6,
		bytes: 128 << 10,
		open: (t) => {
			const socket = tcp(t.secure);
			const secure = connectTls({ socket, host: "127.0.0.1", minVersion: "TLSv1.2", rejectUnauthorized: false }, () => secure.destroy());
			secure.on("error", () => {});
			return socket;
		},
		behave: () => {},
	},
	{
		name: "bodies as large as allowed",
		connections: 30,
		bytes: 1 << 20,
		busy: true,
		open: clear,
		behave: (s, t) => {
			const empty = chat({ messages: [{ role: "user", content: "" }] }).length;
			s.write(post(t.key, chat({ messages: [{ role: "user", content: "x".repeat(t.bodyBytes - empty) }] }), { "x-sim": "delay_ms=200", Connection: "close" }));
			s.resume();
		},
	},
	{
		name: "HTTP/2: streams reset at once",
		connections: 5,
		bytes: 512 << 10,
		shows: "lethe_h2_connections_ended_for_noise_total",
		open: h2,
		behave: (s) =>
			pourStreams(
				s,
				preface,
				streams(50, (id) => Buffer.concat([frame(HEADERS, END_HEADERS, id, get), frame(RST_STREAM, 0, id, u32(8))])),
				50,
			),
	},
	{
		name: "HTTP/2: heads without an end",
		connections: 5,
		bytes: 512 << 10,
		open: h2,
		behave: (s) => {
			s.once("connect", () => s.write(Buffer.concat([preface, frame(HEADERS, END_STREAM, 1, get)])));
			pour(s, Buffer.concat(Array.from({ length: 50 }, () => frame(CONTINUATION, 0, 1, literal("a", "b")))));
		},
	},
	{
		name: "HTTP/2: heads that unfold",
		connections: 5,
		bytes: 512 << 10,
		shows: "lethe_h2_connections_ended_for_noise_total",
		open: h2,
		// One byte each: a field of the static table, thousands of times (RFC 7541 6.1).
		behave: (s) => pourStreams(s, preface, streams(1, (id) => frame(HEADERS, END_HEADERS | END_STREAM, id, Buffer.concat([get, Buffer.alloc(15_000, 0x90)]))), 1),
	},
	...(
		[
			["pings", frame(PING, 0, 0, Buffer.alloc(8))],
			["settings", frame(SETTINGS, 0, 0, Buffer.from([0, 3, 0, 0, 0, 100]))],
			["priorities", frame(PRIORITY, 0, 3, Buffer.from([0, 0, 0, 0, 16]))],
			["windows that hardly open", frame(WINDOW_UPDATE, 0, 0, u32(1))],
		] as const
	).map(
		([name, one]): Attack => ({
			name: `HTTP/2: ${name}`,
			connections: 5,
			bytes: 512 << 10,
			shows: "lethe_h2_connections_ended_for_noise_total",
			open: h2,
			behave: (s) => {
				s.once("connect", () => s.write(preface));
				pour(s, Buffer.concat(Array.from({ length: 200 }, () => one)));
			},
		}),
	),
	{
		name: "HTTP/2: empty pieces of a body",
		connections: 5,
		bytes: 512 << 10,
		shows: "lethe_h2_connections_ended_for_noise_total",
		open: h2,
		behave: (s, t) => {
			s.once("connect", () => s.write(Buffer.concat([preface, frame(HEADERS, END_HEADERS, 1, ask(t.key, "chunks=1"))])));
			pour(s, Buffer.concat(Array.from({ length: 200 }, () => frame(DATA, 0, 1))));
		},
	},
	{
		name: "HTTP/2: windows that stay shut",
		connections: 5,
		bytes: 1 << 20, // of 100 streams
		ends: true,
		open: h2,
		behave: (s, t) => {
			const shut = frame(SETTINGS, 0, 0, Buffer.concat([Buffer.from([0, 4]), u32(0)]));
			const body = Buffer.from(chat({ stream: true }));
			const asked = streams(100, (id) =>
				Buffer.concat([frame(HEADERS, END_HEADERS, id, ask(t.key, "chunks=4000,chunk_bytes=200")), frame(DATA, END_STREAM, id, body)]),
			);
			s.once("connect", () => s.write(Buffer.concat([preface, shut, asked(1)])));
			s.resume();
		},
	},
];
