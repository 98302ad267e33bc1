import type { Answer, Seen } from "./provider.ts";
import { events, json } from "./provider.ts";

type Response = { id: string; status: string; input: unknown; text: string; model: string; background: boolean; previous_response_id: string | null; conversation: { id: string } | null; tokens: { input: number; output: number } | null };
type Asked = { model: string; input: unknown; background?: boolean; store?: boolean; stream?: boolean; previous_response_id?: string; conversation?: string | { id: string } };

const missing = (id: string) => json({ error: { message: `Response with id '${id}' not found.`, type: "invalid_request_error", param: null, code: null } }, 404);

// OpenAI's responses as a provider keeps them: in the background they are queued, in progress at the first look, and go on until finish() is called.
export class Responses {
	readonly kept = new Map<string, Response>();
	#count = 0;

	answer(request: Seen): Answer {
		const url = new URL(request.url, "http://x");
		const [, id, what] = /^\/v1\/responses(?:\/([^/]+)(?:\/(\w+))?)?$/.exec(url.pathname) ?? [];
		if (!id) return this.#create(request.body as Asked);
		const response = this.kept.get(id);
		if (!response) return missing(id);
		if (what === "cancel") return this.#cancel(response);
		if (what === "input_items") return json({ object: "list", data: [{ id: "msg_in", type: "message", role: "user", content: [{ type: "input_text", text: response.input }] }], first_id: "msg_in", last_id: "msg_in", has_more: false });
		if (request.method === "DELETE") {
			this.kept.delete(id);
			return json({ id, object: "response", deleted: true });
		}
		if (response.status === "queued") response.status = "in_progress";
		return url.searchParams.get("stream") === "true" ? this.#stream(response, Number(url.searchParams.get("starting_after") ?? -1)) : json(this.#shown(response));
	}

	/** All that run end like this. */
	finish(status: "completed" | "failed" | "incomplete", tokens: { input: number; output: number } | null): void {
		for (const response of this.kept.values())
			if (response.status === "queued" || response.status === "in_progress") Object.assign(response, { status, tokens });
	}

	#create(asked: Asked): Answer {
		if (asked.previous_response_id && !this.kept.has(asked.previous_response_id))
			return json({ error: { message: `Previous response with id '${asked.previous_response_id}' not found.`, type: "invalid_request_error", param: "previous_response_id", code: "previous_response_not_found" } }, 400);
		const id = `resp_${(++this.#count).toString().padStart(4, "0")}SecretOfTheProvider`;
		const conversation = typeof asked.conversation === "string" ? { id: asked.conversation } : (asked.conversation ?? null);
		const background = asked.background === true;
		const response: Response = { id, status: background ? "queued" : "completed", input: asked.input, text: `said in ${id.slice(5, 9)}`, model: asked.model, background, previous_response_id: asked.previous_response_id ?? null, conversation, tokens: background ? null : { input: 10, output: 5 } };
		if (asked.store !== false) this.kept.set(id, response);
		return asked.stream ? this.#stream(response, -1) : json(this.#shown(response));
	}

	#cancel(response: Response): Answer {
		if (!response.background) return json({ error: { message: "Only responses in the background can be cancelled.", type: "invalid_request_error" } }, 400);
		if (response.status === "queued" || response.status === "in_progress") response.status = "cancelled";
		return json(this.#shown(response));
	}

	// What runs is cut off in its middle, as by a connection that breaks; what has ended is told to its end.
	#stream(response: Response, after: number): Answer {
		const all = [
			{ type: "response.created", sequence_number: 0, response: { ...this.#shown(response), status: response.background ? "queued" : "in_progress", output: [], usage: null } },
			{ type: "response.output_text.delta", sequence_number: 1, item_id: "msg_1", output_index: 0, content_index: 0, delta: "said in " },
			{ type: "response.output_text.delta", sequence_number: 2, item_id: "msg_1", output_index: 0, content_index: 0, delta: response.id.slice(5, 9) },
			{ type: "response.completed", sequence_number: 3, response: this.#shown(response) },
		];
		const ended = response.status === "completed";
		return { ...events(all.slice(after + 1, ended ? 4 : 2), { named: true }), cut: !ended };
	}

	#shown({ tokens, input: _, text, ...response }: Response): object {
		const output = response.status === "completed" ? [{ type: "message", id: "msg_1", role: "assistant", status: "completed", content: [{ type: "output_text", text, annotations: [] }] }] : [];
		const usage = tokens && { input_tokens: tokens.input, input_tokens_details: { cached_tokens: 0 }, output_tokens: tokens.output, output_tokens_details: { reasoning_tokens: 0 }, total_tokens: tokens.input + tokens.output };
		return { ...response, object: "response", created_at: 1_790_000_000, error: null, output, usage, tools: [], parallel_tool_calls: true, store: true };
	}
}
