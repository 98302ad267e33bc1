import WebSocket, { type ClientOptions } from "ws";
import type { Json } from "./lethe.ts";
import { until } from "./until.ts";

export type Closed = { code: number; reason: string };

// A realtime session as a client has it, by the `ws` package: what came, in order, and how it ended.
export class Session {
	readonly socket: WebSocket;
	readonly events: Json[] = [];
	readonly pongs: string[] = [];
	closed: Closed | undefined;

	private constructor(socket: WebSocket) {
		this.socket = socket;
		socket.on("message", (data) => this.events.push(JSON.parse(data.toString())));
		socket.on("pong", (data) => this.pongs.push(data.toString()));
		socket.on("close", (code, reason) => (this.closed = { code, reason: reason.toString() }));
		socket.on("error", () => {});
	}

	// Over when the server has agreed; an answer that is none of WebSocket's is thrown as a Refused.
	static async open(url: string, key: string, script = "", options: { query?: string; protocols?: string[]; headers?: Record<string, string>; ws?: ClientOptions } = {}): Promise<Session> {
		const target = `${url.replace(/^http/, "ws")}/v1/realtime?${options.query ?? "model=rt"}`;
		const headers: Record<string, string> = { ...options.headers };
		if (key) headers["authorization"] = `Bearer ${key}`;
		if (script) headers["x-sim"] = script;
		const socket = new WebSocket(target, options.protocols ?? [], { headers, perMessageDeflate: false, ...options.ws });
		const session = new Session(socket);
		await new Promise<void>((resolve, reject) => {
			socket.once("open", () => resolve());
			socket.once("error", reject);
			socket.once("unexpected-response", (_request, response) => {
				const pieces: Buffer[] = [];
				response.on("data", (piece) => pieces.push(piece));
				response.on("end", () => reject(new Refused(response.statusCode!, response.headers, Buffer.concat(pieces).toString())));
			});
		});
		return session;
	}

	say(event: Json): void {
		this.socket.send(JSON.stringify(event));
	}

	count(type: string): number {
		return this.events.filter((e) => e["type"] === type).length;
	}

	hears(type: string, times = 1): Promise<unknown> {
		return until(`${type} comes`, async () => {
			if (this.closed && this.count(type) < times) throw new Error(`closed with ${this.closed.code} ${this.closed.reason}: ${JSON.stringify(this.events.at(-1))}`);
			return this.count(type) >= times;
		});
	}

	async response(event: Json = { type: "response.create" }): Promise<Json> {
		const before = this.count("response.done");
		this.say(event);
		await this.hears("response.done", before + 1);
		return this.events.filter((e) => e["type"] === "response.done").at(-1)!;
	}

	over(): Promise<Closed> {
		return until("the session is over", async () => this.closed) as Promise<Closed>;
	}

	async close(code = 1000): Promise<Closed> {
		this.socket.close(code);
		return this.over();
	}
}

export class Refused extends Error {
	readonly status: number;
	readonly headers: Record<string, string | string[] | undefined>;
	readonly body: Json;

	constructor(status: number, headers: Record<string, string | string[] | undefined>, text: string) {
		super(`refused with ${status}: ${text}`);
		this.status = status;
		this.headers = headers;
		this.body = JSON.parse(text || "{}");
	}
}
