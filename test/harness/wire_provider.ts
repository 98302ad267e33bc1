import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { patienceMs } from "./until.ts";

// A request as it came: `bytes` are all of it.
export type WireRequest = { connection: number; head: string; body: Buffer; bytes: Buffer };
// What is written in answer; cut: in two pieces, in turns of their own; end: and then the connection is ended, for the provider has no more to say.
export type WireAnswer = { bytes: Buffer; cut?: number; end?: boolean };

const completion = JSON.stringify({
	id: "chatcmpl-1",
	object: "chat.completion",
	created: 1_770_000_000,
	model: "hostile",
	choices: [{ index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" }],
	usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
});
export const goodAnswer = Buffer.from(
	`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${completion.length}\r\n\r\n${completion}`,
);

// A provider that keeps every byte it gets and answers with exactly the bytes it is told. It reads requests in the one form in which they may
// come (a head of CR LF lines, one Content-Length, a body); anything else stays unread in `strange`.
export class WireProvider {
	readonly seen: WireRequest[] = [];
	readonly strange: string[] = [];
	// All bytes of each connection, in the order in which they were opened.
	readonly streams: Buffer[] = [];
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();
	answer: (request: WireRequest) => WireAnswer = () => ({ bytes: goodAnswer });
	// Said as soon as a head is there, before its body; nothing more is read or said on that connection.
	early: Buffer | undefined;
	// Of the connections that are open now.
	open = 0;
	#changed = () => {};

	private constructor() {
		this.#server = createServer((socket) => this.#serve(socket));
	}

	static async start(): Promise<WireProvider> {
		const provider = new WireProvider();
		await new Promise<void>((resolve) => provider.#server.listen(0, "127.0.0.1", resolve));
		return provider;
	}

	get url(): string {
		return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
	}

	#serve(socket: Socket): void {
		const connection = this.streams.push(Buffer.alloc(0)) - 1;
		let unread = Buffer.alloc(0);
		this.#sockets.add(socket);
		this.open++;
		socket.setNoDelay(true);
		socket.on("data", (bytes) => {
			this.streams[connection] = Buffer.concat([this.streams[connection]!, bytes]);
			unread = Buffer.concat([unread, bytes]);
			if (this.early) {
				socket.pause();
				socket.write(this.early);
				return;
			}
			for (let request = takeRequest(unread, connection, this.strange); request; request = takeRequest(unread, connection, this.strange)) {
				unread = unread.subarray(request.bytes.length);
				this.seen.push(request);
				say(socket, this.answer(request));
			}
		});
		socket.on("error", () => {});
		socket.on("close", () => {
			if (unread.length && !socket.isPaused()) this.strange.push(`left over: ${unread.toString("latin1").slice(0, 200)}`);
			this.#sockets.delete(socket);
			this.open--;
			this.#changed();
		});
	}

	// On every connection that is open: what nobody has asked for.
	blurt(bytes: Buffer): void {
		for (const socket of this.#sockets) socket.write(bytes);
	}

	// Every connection is closed, by whichever side.
	async allClosed(withinMs = patienceMs): Promise<void> {
		await new Promise<void>((resolve, reject) => {
			const timer = setTimeout(() => reject(new Error(`${this.open} connections to the provider are still open`)), withinMs);
			this.#changed = () => {
				if (this.open > 0) return;
				clearTimeout(timer);
				resolve();
			};
			this.#changed();
		});
		this.#changed = () => {};
	}

	stop(): void {
		for (const socket of this.#sockets) socket.destroy();
		this.#server.close();
	}
}

function say(socket: Socket, answer: WireAnswer): void {
	const cut = answer.cut ?? answer.bytes.length;
	const end = () => {
		if (cut < answer.bytes.length) socket.write(answer.bytes.subarray(cut));
		if (answer.end) socket.end();
	};
	socket.write(answer.bytes.subarray(0, cut));
	if (cut < answer.bytes.length) setImmediate(end);
	else end();
}

function takeRequest(bytes: Buffer, connection: number, strange: string[]): WireRequest | undefined {
	const end = bytes.indexOf("\r\n\r\n");
	if (end < 0) return undefined;
	const head = bytes.toString("latin1", 0, end);
	const [first, ...lines] = head.split("\r\n");
	const lengths = lines.filter((line) => /^content-length:/i.test(line));
	const plain = /^[A-Z]+ \/[!-~]* HTTP\/1\.1$/.test(first!) && lines.every((line) => /^[!-9;-~]+: [^\0-\x08\x0a-\x1f\x7f]*$/.test(line));
	if (!plain || lengths.length !== 1 || !/^content-length: \d+$/.test(lengths[0]!) || /^transfer-encoding:/im.test(head)) strange.push(head);
	const from = end + 4;
	const length = Number(/\d+$/.exec(lengths[0] ?? "0")![0]);
	if (bytes.length < from + length) return undefined;
	return { connection, head, body: bytes.subarray(from, from + length), bytes: bytes.subarray(0, from + length) };
}
