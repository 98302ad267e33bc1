import type { Files } from "./files.ts";
import type { Answer, Seen } from "./provider.ts";
import { json } from "./provider.ts";

type Batch = { id: string; input_file_id: string; endpoint: string; status: string; output_file_id: string | null; total: number; done: number; usage: object | null; metadata: object | null };
type Line = { custom_id: string; body: { model: string } };

const missing = (id: string) => json({ error: { message: `No batch found with id '${id}'.`, type: "invalid_request_error", param: null, code: null } }, 404);

// OpenAI's batches as a provider runs them: validated, in progress until finish() is called, then with a file of answers.
export class Batches {
	readonly kept = new Map<string, Batch>();
	readonly #files: Files;
	#count = 0;

	constructor(files: Files) {
		this.#files = files;
	}

	answer(request: Seen): Answer {
		const [, id, cancel] = /^\/v1\/batches(?:\/([^/?]+)(\/cancel)?)?$/.exec(request.url) ?? [];
		if (!id) return request.method === "POST" ? this.#create(request) : json({ error: { message: "Method not allowed" } }, 405);
		const batch = this.kept.get(id);
		if (!batch) return missing(id);
		if (cancel) batch.status = "cancelling";
		return json(this.#shown(batch));
	}

	/** All that are in progress end like this; of each request so many tokens were used. */
	finish(status: "completed" | "expired" | "cancelled" | "failed", tokens: { input: number; output: number }): void {
		for (const batch of this.kept.values()) {
			if (batch.status !== "in_progress" && batch.status !== "cancelling") continue;
			const lines = this.#lines(batch.input_file_id);
			batch.status = status;
			batch.done = status === "failed" ? 0 : lines.length;
			batch.usage = {
				input_tokens: tokens.input * batch.done,
				input_tokens_details: { cached_tokens: 0 },
				output_tokens: tokens.output * batch.done,
				output_tokens_details: { reasoning_tokens: 0 },
				total_tokens: (tokens.input + tokens.output) * batch.done,
			};
			if (batch.done) batch.output_file_id = this.#files.keep("output.jsonl", "batch_output", lines.map((line) => JSON.stringify({ custom_id: line.custom_id, response: { status_code: 200, body: { model: line.body.model } } })).join("\n"));
		}
	}

	#lines(file: string): Line[] {
		return this.#files.kept.get(file)!.content.toString().split("\n").filter(Boolean).map((line) => JSON.parse(line) as Line);
	}

	#create(request: Seen): Answer {
		const asked = request.body as { input_file_id?: string; endpoint?: string; metadata?: object };
		const file = this.#files.kept.get(asked.input_file_id ?? "");
		if (file?.purpose !== "batch") return json({ error: { message: `${asked.input_file_id} is no file of a batch`, type: "invalid_request_error" } }, 400);
		const id = `batch_${(++this.#count).toString().padStart(4, "0")}SecretOfTheProvider`;
		const batch: Batch = { id, input_file_id: file.id, endpoint: asked.endpoint!, status: "validating", output_file_id: null, total: this.#lines(file.id).length, done: 0, usage: null, metadata: asked.metadata ?? null };
		this.kept.set(id, batch);
		const shown = json(this.#shown(batch));
		batch.status = "in_progress";
		return shown;
	}

	#shown({ total, done, usage, ...batch }: Batch): object {
		return { ...batch, object: "batch", errors: null, completion_window: "24h", error_file_id: null, created_at: 1_790_000_000, request_counts: { total, completed: done, failed: 0 }, ...(usage ? { usage } : {}) };
	}
}
