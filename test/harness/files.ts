import type { Answer, Seen } from "./provider.ts";
import { json } from "./provider.ts";

export type Kept = { id: string; object: "file"; bytes: number; created_at: number; filename: string; purpose: string; content: Buffer };

// OpenAI's or Anthropic's files as a provider keeps them: what was uploaded can be read and deleted, until it is.
export class Files {
	readonly kept = new Map<string, Kept>();
	readonly #anthropic: boolean;
	#count = 0;

	constructor(whose: "openai" | "anthropic" = "openai") {
		this.#anthropic = whose === "anthropic";
	}

	answer(request: Seen): Answer {
		const [, id, content] = /^\/v1\/files(?:\/([^/?]+)(\/content)?)?(?:\?beta=true)?$/.exec(request.url) ?? [];
		if (!request.url.startsWith("/v1/files")) return json({ error: { message: "Unknown request URL" } }, 404);
		if (!id) return request.method === "POST" ? this.#upload(request) : json({ error: { message: "Method not allowed" } }, 405);
		const file = this.kept.get(id);
		if (!file) return json({ error: { message: `No such File object: ${id}`, type: "invalid_request_error", param: "id", code: null } }, 404);
		if (content) return { headers: { "content-type": "application/octet-stream" }, pieces: [file.content] };
		if (request.method === "DELETE") {
			this.kept.delete(id);
			return json(this.#anthropic ? { id, type: "file_deleted" } : { id, object: "file", deleted: true });
		}
		return json(this.#shown(file));
	}

	/** A file that the provider makes by itself; its id. */
	keep(filename: string, purpose: string, words: string): string {
		const content = Buffer.from(words);
		const id = `file${this.#anthropic ? "_" : "-"}${(++this.#count).toString().padStart(4, "0")}SecretOfTheProvider`;
		this.kept.set(id, { id, object: "file", bytes: content.length, created_at: 1_790_000_000, filename, purpose, content });
		return id;
	}

	#upload(request: Seen): Answer {
		const boundary = /boundary=([^;]+)/.exec(request.headers["content-type"] ?? "")?.[1];
		const parts = boundary ? split(request.bytes, boundary) : [];
		const file = parts.find((part) => part.name === "file");
		const purpose = parts.find((part) => part.name === "purpose");
		if (!file || (!purpose && !this.#anthropic)) return json({ error: { message: "file and purpose are required", type: "invalid_request_error" } }, 400);
		const id = `file${this.#anthropic ? "_" : "-"}${(++this.#count).toString().padStart(4, "0")}SecretOfTheProvider`;
		const kept: Kept = { id, object: "file", bytes: file.content.length, created_at: 1_790_000_000, filename: file.filename, purpose: purpose?.content.toString() ?? "", content: file.content };
		this.kept.set(id, kept);
		return json(this.#shown(kept));
	}

	#shown({ content: _, ...rest }: Kept): object {
		if (!this.#anthropic) return { ...rest, status: "processed" };
		return { id: rest.id, type: "file", filename: rest.filename, mime_type: "text/plain", size_bytes: rest.bytes, created_at: "2026-10-01T00:00:00Z", downloadable: true };
	}
}

function split(body: Buffer, boundary: string): { name: string; filename: string; content: Buffer }[] {
	const between = Buffer.from(`--${boundary}`);
	const parts = [];
	for (let at = body.indexOf(between), next; (next = body.indexOf(between, at + 1)) > 0; at = next) {
		const part = body.subarray(at + between.length + 2, next - 2);
		const end = part.indexOf("\r\n\r\n");
		const head = part.subarray(0, end).toString();
		parts.push({ name: /[; ]name="([^"]*)"/.exec(head)?.[1] ?? "", filename: /filename="([^"]*)"/.exec(head)?.[1] ?? "", content: part.subarray(end + 4) });
	}
	return parts;
}
