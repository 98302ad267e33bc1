import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { patienceMs } from "./until.ts";

export type Answer = { status: number; head: string; headers: Map<string, string>; body: Buffer };

// A client that says exactly the bytes it is told, and keeps exactly the bytes it gets.
export class Raw {
	received = Buffer.alloc(0);
	closed = false;
	readonly socket: Socket;
	#changed = () => {};

	private constructor(socket: Socket) {
		this.socket = socket;
		socket.setNoDelay(true);
		socket.on("data", (bytes) => {
			this.received = Buffer.concat([this.received, bytes]);
			this.#changed();
		});
		for (const end of ["close", "error"])
			socket.on(end, () => {
				this.closed = true;
				this.#changed();
			});
		for (const ready of ["connect", "secureConnect"]) socket.on(ready, () => this.#changed());
	}

	// Looks whenever something has happened to the connection.
	async when<T>(what: string, probe: () => T | undefined | false, withinMs = patienceMs): Promise<T> {
		return new Promise<T>((resolve, reject) => {
			const end = (settle: () => void) => {
				clearTimeout(timer);
				this.#changed = () => {};
				settle();
			};
			const timer = setTimeout(() => end(() => reject(new Error(`not within ${withinMs} ms: ${what}`))), withinMs);
			this.#changed = () => {
				try {
					const answer = probe();
					if (answer !== undefined && answer !== false) end(() => resolve(answer));
				} catch (error) {
					end(() => reject(error as Error));
				}
			};
			this.#changed();
		});
	}

	// `at`: another address than the URL's host, which is only what a certificate is held against then.
	static async open(url: string, at?: string): Promise<Raw> {
		const { hostname, port, protocol } = new URL(url);
		return Raw.over(connect(Number(port), at ?? hostname), { tls: protocol === "https:", host: hostname });
	}

	// On a connection that is being made by other means.
	static async over(under: Socket, { tls = false, host = "localhost" } = {}): Promise<Raw> {
		const secure = tls;
		const socket = tls ? connectTls({ socket: under, host, ...(isIP(host) ? {} : { servername: host }) }) : under;
		const raw = new Raw(socket);
		await raw.when("the connection stands", () => raw.closed || (secure ? (socket as TLSSocket).authorized : socket.readyState === "open"));
		if (raw.closed) throw new Error("connection refused");
		return raw;
	}

	say(bytes: string | Buffer): void {
		this.socket.write(bytes);
	}

	// That many are here, or the connection has ended.
	async bytes(count: number): Promise<void> {
		await this.when(`${count} bytes`, () => this.closed || this.received.length >= count);
	}

	async ends(withinMs = patienceMs): Promise<Buffer> {
		await this.when("the server closes", () => this.closed, withinMs);
		return this.received;
	}

	// The next whole answer; what follows it stays.
	async answer(options: { head?: boolean } = {}): Promise<Answer> {
		return this.when("an answer", () => {
			const taken = takeAnswer(this.received, this.closed, options.head ?? false);
			if (!taken) {
				if (this.closed) throw new Error(`closed in mid-answer: ${this.received.toString("latin1").slice(0, 400)}`);
				return undefined;
			}
			this.received = this.received.subarray(taken.used);
			return taken.answer;
		});
	}

	close(): void {
		this.socket.destroy();
	}
}

function takeAnswer(bytes: Buffer, closed: boolean, headOnly: boolean): { answer: Answer; used: number } | undefined {
	const end = bytes.indexOf("\r\n\r\n");
	if (end < 0) return undefined;
	const head = bytes.toString("latin1", 0, end);
	const [first, ...lines] = head.split("\r\n");
	const headers = new Map<string, string>();
	for (const line of lines) {
		const colon = line.indexOf(":");
		headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
	}
	const status = Number(first!.split(" ")[1]);
	const body = headOnly || status < 200 || status === 204 ? { body: Buffer.alloc(0), used: 0 } : takeBody(bytes.subarray(end + 4), headers, closed);
	return body && { answer: { status, head, headers, body: body.body }, used: end + 4 + body.used };
}

function takeBody(bytes: Buffer, headers: Map<string, string>, closed: boolean): { body: Buffer; used: number } | undefined {
	const length = headers.get("content-length");
	if (length !== undefined) {
		const n = Number(length);
		return bytes.length < n ? undefined : { body: bytes.subarray(0, n), used: n };
	}
	if (headers.get("transfer-encoding") === "chunked") return takeChunks(bytes);
	return closed ? { body: bytes, used: bytes.length } : undefined;
}

function takeChunks(bytes: Buffer): { body: Buffer; used: number } | undefined {
	const parts: Buffer[] = [];
	for (let at = 0; ; ) {
		const line = bytes.indexOf("\r\n", at);
		if (line < 0) return undefined;
		const size = Number.parseInt(bytes.toString("latin1", at, line), 16);
		if (Number.isNaN(size)) throw new Error("not a chunk size");
		const from = line + 2;
		if (bytes.length < from + size + 2) return undefined;
		at = from + size + 2;
		if (size === 0) return { body: Buffer.concat(parts), used: at };
		parts.push(bytes.subarray(from, from + size));
	}
}

export function post(key: string, body: string, headers: Record<string, string> = {}): string {
	const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
	return (
		`POST /v1/chat/completions HTTP/1.1\r\nHost: lethe.test\r\nAuthorization: Bearer ${key}\r\n` +
		`Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${lines.join("")}\r\n${body}`
	);
}
