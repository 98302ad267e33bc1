import type { Answer, Seen } from "./provider.ts";
import { json, message } from "./provider.ts";

type Batch = { id: string; status: "in_progress" | "canceling" | "ended"; asked: string[]; results: string | null };

const missing = (id: string) => json({ type: "error", error: { type: "not_found_error", message: `No batch ${id}.` } }, 404);

// Anthropic's batches as a provider runs them: in progress until finish() is called, then with results.
export class MessagesBatches {
	readonly kept = new Map<string, Batch>();
	readonly #host: () => string;
	#count = 0;

	constructor(host: () => string) {
		this.#host = host;
	}

	answer(request: Seen): Answer {
		const [, id, behind] = /^\/v1\/messages\/batches(?:\/([^/?]+)(\/cancel|\/results)?)?$/.exec(request.url) ?? [];
		if (!id) return request.method === "POST" ? this.#create(request) : json({ error: { message: "Method not allowed" } }, 405);
		const batch = this.kept.get(id);
		if (!batch) return missing(id);
		if (behind === "/results") return batch.results === null ? missing(`${id}/results`) : { headers: { "content-type": "application/x-jsonl" }, pieces: [batch.results.slice(0, 100), batch.results.slice(100)] };
		if (behind === "/cancel") batch.status = "canceling";
		if (request.method !== "DELETE") return json(this.#shown(batch));
		if (batch.status !== "ended") return json({ type: "error", error: { type: "invalid_request_error", message: "cancel it first" } }, 400);
		this.kept.delete(id);
		return json({ id, type: "message_batch_deleted" });
	}

	/** All that are in progress end like this; each request that was answered used so many tokens. */
	finish(how: "succeeded" | "errored" | "canceled" | "expired", tokens: { input: number; output: number }): void {
		for (const batch of this.kept.values()) {
			if (batch.status === "ended") continue;
			batch.status = "ended";
			batch.results = batch.asked.map((custom_id) => `${JSON.stringify({ custom_id, result: result(how, tokens) })}\n`).join("");
		}
	}

	#create(request: Seen): Answer {
		const asked = (JSON.parse(request.bytes.toString()) as { requests: { custom_id: string }[] }).requests.map(({ custom_id }) => custom_id);
		const id = `msgbatch_${(++this.#count).toString().padStart(4, "0")}SecretOfTheProvider`;
		const batch: Batch = { id, status: "in_progress", asked, results: null };
		this.kept.set(id, batch);
		return json(this.#shown(batch));
	}

	#shown({ id, status, asked, results }: Batch): object {
		const counts = { processing: status === "ended" ? 0 : asked.length, succeeded: status === "ended" ? asked.length : 0, errored: 0, canceled: 0, expired: 0 };
		const at = "2026-10-01T00:00:00Z";
		return {
			id,
			type: "message_batch",
			processing_status: status,
			request_counts: counts,
			created_at: at,
			expires_at: at,
			ended_at: results === null ? null : at,
			archived_at: null,
			cancel_initiated_at: null,
			results_url: results === null ? null : `${this.#host()}/v1/messages/batches/${id}/results`,
		};
	}
}

function result(type: string, tokens: { input: number; output: number }): object {
	if (type === "errored") return { type, error: { type: "error", error: { type: "invalid_request_error", message: "no" } } };
	if (type !== "succeeded") return { type };
	return { type, message: message({ usage: { input_tokens: tokens.input, output_tokens: tokens.output, service_tier: "batch" } }) };
}
