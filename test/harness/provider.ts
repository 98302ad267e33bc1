import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer, Server as SecureServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { certificates } from "./certificates.ts";
import type { Json } from "./lethe.ts";

export type Seen = { method: string; url: string; headers: Record<string, string>; body: Json; raw: string; bytes: Buffer };
// pieces: written one by one, in turns of their own; cut: the connection is reset after them; hang: it stays open; silent: not even a head.
export type Answer = { silent?: boolean; status?: number; headers?: Record<string, string>; pieces: (string | Buffer)[]; cut?: boolean; hang?: boolean };

// A provider whose answers the test writes itself, for the dialects in which exact bytes matter.
export class Provider {
	readonly seen: Seen[] = [];
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();
	// Set when the client of the last hanging answer went away.
	gone = 0;
	#answer: (request: Seen) => Answer = () => ({ status: 500, pieces: ["{}"] });

	private constructor(server: Server) {
		this.#server = server;
	}

	static async start(options: { tls?: boolean } = {}): Promise<Provider> {
		const files = options.tls ? certificates() : undefined;
		const server = files ? createSecureServer({ cert: readFileSync(files.certificate), key: readFileSync(files.key) }) : createServer();
		const provider = new Provider(server);
		server.on("request", (request, response) => void provider.#serve(request, response));
		server.on("connection", (socket) => {
			provider.#sockets.add(socket);
			socket.on("close", () => provider.#sockets.delete(socket));
		});
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		return provider;
	}

	get url(): string {
		return `${this.#server instanceof SecureServer ? "https" : "http"}://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
	}

	get last(): Seen {
		return this.seen.at(-1)!;
	}

	answers(how: Answer | ((request: Seen) => Answer)): void {
		this.#answer = typeof how === "function" ? how : () => how;
	}

	async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const parts: Buffer[] = [];
		try {
			for await (const part of request) parts.push(part as Buffer);
		} catch {
			return; // cut in the middle: no request
		}
		const bytes = Buffer.concat(parts);
		const raw = bytes.length > 1 << 20 ? "" : bytes.toString();
		const seen = { method: request.method!, url: request.url!, headers: request.headers as Record<string, string>, body: parsed(raw), raw, bytes };
		this.seen.push(seen);
		const answer = this.#answer(seen);
		response.on("close", () => {
			if (!response.writableFinished) this.gone++;
		});
		if (answer.silent) return;
		response.writeHead(answer.status ?? 200, { "content-type": "application/json", ...answer.headers });
		for (const piece of answer.pieces) {
			response.write(piece);
			await new Promise((resolve) => setImmediate(resolve));
		}
		if (answer.cut) request.socket.resetAndDestroy();
		else if (!answer.hang) response.end();
	}

	// Every connection breaks.
	letGo(): void {
		for (const socket of this.#sockets) socket.destroy();
	}

	stop(): void {
		for (const socket of this.#sockets) socket.destroy();
		this.#server.close();
	}
}

// What is no JSON shows as such, in the comparison.
function parsed(raw: string): Json {
	try {
		return raw ? (JSON.parse(raw) as Json) : {};
	} catch {
		return { unreadable: raw };
	}
}

export const json = (body: unknown, status = 200): Answer => ({ status, pieces: [JSON.stringify(body)] });

// Server-sent events; each in a piece of its own. Strings go out as they are.
export function events(list: (Json | string)[], options: { named?: boolean; crlf?: boolean; pad?: boolean } = {}): Answer {
	const end = options.crlf ? "\r\n" : "\n";
	const pieces = list.map((event) => {
		if (typeof event === "string") return event;
		const name = options.named ? `event: ${event["type"]}${end}` : "";
		return `${name}data: ${JSON.stringify(event)}${options.pad ? "     " : ""}${end}${end}`;
	});
	return { headers: { "content-type": "text/event-stream; charset=utf-8" }, pieces };
}

// ---- OpenAI responses

export const responsesUsage = {
	input_tokens: 1000,
	input_tokens_details: { cached_tokens: 400 },
	output_tokens: 200,
	output_tokens_details: { reasoning_tokens: 120 },
	total_tokens: 1200,
};

export function response(more: Json = {}): Json {
	return {
		id: "resp_1",
		object: "response",
		created_at: 1_770_000_000,
		status: "completed",
		error: null,
		incomplete_details: null,
		model: "gpt-upstream",
		output: [
			{
				id: "msg_1",
				type: "message",
				status: "completed",
				role: "assistant",
				content: [{ type: "output_text", text: "Hello there", annotations: [] }],
			},
		],
		service_tier: "default",
		usage: responsesUsage,
		...more,
	};
}

export function responseEvents(final: Json = response()): Json[] {
	const item = { id: "msg_1", type: "message", status: "in_progress", role: "assistant", content: [] };
	const part = { type: "output_text", text: "", annotations: [] };
	const at = { item_id: "msg_1", output_index: 0, content_index: 0 };
	const list: Json[] = [
		{ type: "response.created", response: { ...final, status: "in_progress", output: [], usage: null } },
		{ type: "response.in_progress", response: { ...final, status: "in_progress", output: [], usage: null } },
		{ type: "response.output_item.added", output_index: 0, item },
		{ type: "response.content_part.added", ...at, part },
		{ type: "response.output_text.delta", ...at, delta: "Hello " },
		{ type: "response.output_text.delta", ...at, delta: "there" },
		{ type: "response.output_text.done", ...at, text: "Hello there" },
		{ type: "response.content_part.done", ...at, part: { ...part, text: "Hello there" } },
		{ type: "response.output_item.done", output_index: 0, item: final["output"][0] },
		{ type: "response.completed", response: final },
	];
	return list.map((event, i) => ({ ...event, sequence_number: i }));
}

// ---- Anthropic messages

export const messageUsage = {
	input_tokens: 100,
	cache_creation_input_tokens: 300,
	cache_read_input_tokens: 200,
	cache_creation: { ephemeral_5m_input_tokens: 100, ephemeral_1h_input_tokens: 200 },
	output_tokens: 50,
	service_tier: "standard",
};

export function message(more: Json = {}): Json {
	return {
		id: "msg_01",
		type: "message",
		role: "assistant",
		model: "claude-upstream",
		content: [{ type: "text", text: "Hello there" }],
		stop_reason: "end_turn",
		stop_sequence: null,
		usage: messageUsage,
		...more,
	};
}

export function messageEvents(): Json[] {
	return [
		{ type: "message_start", message: message({ content: [], stop_reason: null, usage: { ...messageUsage, output_tokens: 1 } }) },
		{ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
		{ type: "ping" },
		{ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Hello " } },
		{ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "there" } },
		{ type: "content_block_stop", index: 0 },
		{ type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 50 } },
		{ type: "message_stop" },
	];
}

// ---- Gemini

export const geminiUsage = { promptTokenCount: 100, cachedContentTokenCount: 40, candidatesTokenCount: 20, thoughtsTokenCount: 30, totalTokenCount: 150 };

export function generated(text: string, more: Json = {}): Json {
	return {
		candidates: [{ content: { role: "model", parts: [{ text }] }, finishReason: "STOP", index: 0 }],
		usageMetadata: geminiUsage,
		modelVersion: "gemini-upstream",
		responseId: "r1",
		...more,
	};
}

export function generatedEvents(): Json[] {
	const chunk = (text: string, usageMetadata: Json, finishReason?: string) => ({
		candidates: [{ content: { role: "model", parts: [{ text }] }, index: 0, ...(finishReason ? { finishReason } : {}) }],
		usageMetadata,
		modelVersion: "gemini-upstream",
		responseId: "r1",
	});
	return [
		chunk("Hello ", { promptTokenCount: 100, cachedContentTokenCount: 40, totalTokenCount: 100 }),
		chunk("there", { promptTokenCount: 100, cachedContentTokenCount: 40, candidatesTokenCount: 10, thoughtsTokenCount: 30, totalTokenCount: 140 }),
		chunk("", geminiUsage, "STOP"),
	];
}
