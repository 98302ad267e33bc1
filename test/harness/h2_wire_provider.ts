import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { trustAuthority } from "./certificates.ts";
import { field, frame, preface } from "./h2_raw.ts";

const good = '{"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hello"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}';

export function goodFrames(stream: number): Buffer {
	const text = (value: string) => Buffer.from(value);
	const fields = [field(text(":status"), text("200")), field(text("content-type"), text("application/json"))];
	return Buffer.concat([frame(1, 4, stream, Buffer.concat(fields)), frame(0, 1, stream, text(good))]);
}

// A provider that answers each request with exactly the bytes it is told, over TLS. It understands no more than where a request ends.
export class H2WireProvider {
	readonly #server: Server;
	readonly #sockets = new Set<TLSSocket>();
	connections = 0;
	// The connection of each request, in their order.
	readonly asked: number[] = [];
	answer: (stream: number) => Buffer = goodFrames;

	private constructor() {
		const files = trustAuthority();
		const options = { cert: readFileSync(files.certificate), key: readFileSync(files.key), ALPNProtocols: ["h2"] };
		this.#server = createServer(options, (socket) => this.#serve(socket));
	}

	static async start(): Promise<H2WireProvider> {
		const provider = new H2WireProvider();
		await new Promise<void>((resolve) => provider.#server.listen(0, "127.0.0.1", resolve));
		return provider;
	}

	get url(): string {
		return `https://localhost:${(this.#server.address() as AddressInfo).port}`;
	}

	#serve(socket: TLSSocket): void {
		const connection = this.connections++;
		let unread = Buffer.alloc(0);
		let begun = false;
		this.#sockets.add(socket);
		socket.on("error", () => {});
		socket.on("close", () => this.#sockets.delete(socket));
		socket.write(frame(4, 0, 0, Buffer.alloc(0)));
		socket.on("data", (bytes: Buffer) => {
			unread = Buffer.concat([unread, bytes]);
			if (!begun && unread.length >= preface.length) {
				begun = true;
				unread = unread.subarray(preface.length);
			}
			while (begun && unread.length >= 9 && unread.length >= 9 + unread.readUIntBE(0, 3)) {
				const [type, flags, stream] = [unread[3]!, unread[4]!, unread.readUInt32BE(5)];
				unread = unread.subarray(9 + unread.readUIntBE(0, 3));
				if (type === 4 && !(flags & 1)) socket.write(frame(4, 1, 0, Buffer.alloc(0)));
				if (type > 1 || !(flags & 1)) continue;
				this.asked.push(connection);
				socket.write(this.answer(stream));
			}
		});
	}

	stop(): void {
		for (const socket of this.#sockets) socket.destroy();
		this.#server.close();
	}
}
