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

type Upload = { mime: string; display?: string; pieces: Buffer[] };

// Gemini's files: an upload is begun, is told a place of its own, and takes pieces there (X-Goog-Upload-*).
export class GeminiFiles {
	readonly kept = new Map<string, { mime: string; display?: string; content: Buffer }>();
	readonly #uploads = new Map<string, Upload>();
	readonly #url: () => string;
	/** How many bytes came in each piece. */
	readonly pieces: number[] = [];
	#count = 0;

	constructor(url: () => string) {
		this.#url = url;
	}

	answer(request: Seen): Answer {
		const url = new URL(request.url, this.#url());
		if (url.pathname === "/upload/v1beta/files") return url.searchParams.has("upload_id") ? this.#take(request, url.searchParams.get("upload_id")!) : url.searchParams.get("uploadType") === "multipart" ? this.#whole(request) : this.#begin(request);
		const [, id, download] = /^\/v1beta\/files\/([a-z0-9-]+)(:download)?$/.exec(url.pathname) ?? [];
		const file = id && this.kept.get(id);
		if (!file) return GeminiFiles.missing(id ?? "");
		if (download) return { headers: { "content-type": file.mime }, pieces: [file.content] };
		if (request.method !== "DELETE") return json(this.#shown(id));
		this.kept.delete(id);
		return json({});
	}

	static missing(id: string): Answer {
		return json({ error: { code: 403, message: `You do not have permission to access the File ${id} or it may not exist.`, status: "PERMISSION_DENIED" } }, 403);
	}

	#begin(request: Seen): Answer {
		const asked = { protocol: request.headers["x-goog-upload-protocol"], command: request.headers["x-goog-upload-command"] };
		if (asked.protocol !== "resumable" || asked.command !== "start") return json({ error: { code: 400, message: "no upload", status: "INVALID_ARGUMENT" } }, 400);
		const id = `UploadSecretOfTheProvider${++this.#count}`;
		this.#uploads.set(id, { mime: request.headers["x-goog-upload-header-content-type"]!, display: request.body["file"]?.displayName, pieces: [] });
		const place = `https://upload.google.example/upload/v1beta/files?upload_id=${id}&upload_protocol=resumable`;
		return { headers: { "x-goog-upload-status": "active", "x-goog-upload-url": place, "x-goog-upload-control-url": place }, pieces: [] };
	}

	/* RFC 2387: a JSON object about the file, then its bytes. */
	#whole(request: Seen): Answer {
		const boundary = /^multipart\/related; ?boundary=([\w-]+)$/.exec(String(request.headers["content-type"]))?.[1];
		const [, about, mime, content] = new RegExp(`^--${boundary}\r\n[^]*?\r\n\r\n([^]*?)\r\n--${boundary}\r\nContent-Type: (.*)\r\n\r\n([^]*)\r\n--${boundary}--\r\n$`).exec(request.bytes.toString("latin1")) ?? [];
		if (about === undefined) return json({ error: { code: 400, message: "no upload", status: "INVALID_ARGUMENT" } }, 400);
		const name = `secretoftheprovider${++this.#count}`, display = JSON.parse(about).file?.displayName;
		this.kept.set(name, { mime: mime!, ...(display ? { display } : {}), content: Buffer.from(content!, "latin1") });
		return json({ file: this.#shown(name) });
	}

	#take(request: Seen, id: string): Answer {
		const upload = this.#uploads.get(id);
		const have = upload?.pieces.reduce((sum, piece) => sum + piece.length, 0);
		if (!upload || Number(request.headers["x-goog-upload-offset"]) !== have) return { status: 400, headers: { "content-type": "text/plain" }, pieces: [`no upload_id=${id} at this offset`] };
		upload.pieces.push(request.bytes);
		this.pieces.push(request.bytes.length);
		if (request.headers["x-goog-upload-command"] === "upload") return { headers: { "x-goog-upload-status": "active" }, pieces: [] };
		const name = `secretoftheprovider${this.#count}`;
		this.#uploads.delete(id);
		this.kept.set(name, { mime: upload.mime, ...(upload.display ? { display: upload.display } : {}), content: Buffer.concat(upload.pieces) });
		return { headers: { "content-type": "application/json", "x-goog-upload-status": "final" }, pieces: [JSON.stringify({ file: this.#shown(name) })] };
	}

	#shown(id: string): object {
		const { mime, display, content } = this.kept.get(id)!;
		const times = { createTime: "2026-10-01T00:00:00.000Z", updateTime: "2026-10-01T00:00:00.000Z", expirationTime: "2026-10-03T00:00:00.000Z" };
		return { name: `files/${id}`, ...(display ? { displayName: display } : {}), mimeType: mime, sizeBytes: String(content.length), ...times, sha256Hash: "aGFzaA==", uri: `${this.#url()}/v1beta/files/${id}`, state: "ACTIVE", source: "UPLOADED" };
	}
}
