import { connect, createServer, type AddressInfo, type Socket } from "node:net";

// An address where every connection is refused for as long as this lives: its port is the near end of a connection, so nobody else gets it, and nobody
// listens there.
export class Nobody {
	readonly #near: Socket;
	readonly #far: Socket;
	readonly url: string;

	private constructor(near: Socket, far: Socket) {
		this.#near = near;
		this.#far = far;
		this.url = `http://127.0.0.1:${near.localPort}`;
	}

	static async start(): Promise<Nobody> {
		const server = createServer();
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
		const near = connect((server.address() as AddressInfo).port, "127.0.0.1");
		await new Promise<void>((resolve, reject) => near.once("connect", resolve).once("error", reject));
		const far = await accepted;
		server.close();
		return new Nobody(near, far);
	}

	stop(): void {
		this.#near.destroy();
		this.#far.destroy();
	}
}
