// One turn of a conversation, said in each provider's language as its recorded answers say it: plain and streamed.
import type { Json } from "./lethe.ts";
import type { Cost } from "./stand.ts";
import { type Answer, events, geminiUsage, generated, json, message, messageUsage, response, responsesUsage } from "./provider.ts";

export type Call = { name: string; input: Json };
export type Turn = { text?: string; thinking?: string; calls?: Call[] };
export type Say = (turn: Turn, stream: boolean) => Answer;

export const chatUsage = {
	prompt_tokens: 100,
	completion_tokens: 50,
	total_tokens: 150,
	prompt_tokens_details: { cached_tokens: 40, audio_tokens: 0 },
	completion_tokens_details: { reasoning_tokens: 30, audio_tokens: 0, accepted_prediction_tokens: 0, rejected_prediction_tokens: 0 },
};

// A text in pieces, as models say it. No character is torn.
function pieces(text: string, size = 5): string[] {
	const letters = [...text];
	return Array.from({ length: Math.ceil(letters.length / size) }, (_, i) => letters.slice(i * size, i * size + size).join(""));
}

const callId = (i: number) => `call_${"abcdefgh"[i]}0123456789`;
const finished = (turn: Turn, calls: string, otherwise: string) => (turn.calls?.length ? calls : otherwise);

// ---- OpenAI chat completions, and those who copy them

const chunk = (choices: Json[], more: Json = {}): Json => ({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1_770_000_000, model: "gpt-upstream", choices, ...more });
const delta = (delta: Json, finish_reason: string | null = null): Json => chunk([{ index: 0, delta, logprobs: null, finish_reason }]);

export function completion(choice: Json, more: Json = {}): Json {
	return { id: "chatcmpl-1", object: "chat.completion", created: 1_770_000_000, model: "gpt-upstream", choices: [{ index: 0, logprobs: null, ...choice }], usage: chatUsage, ...more };
}

function chatMessage(turn: Turn): Json {
	const tool_calls = turn.calls?.map((call, i) => ({ id: callId(i), type: "function", function: { name: call.name, arguments: JSON.stringify(call.input) } }));
	return {
		role: "assistant",
		content: turn.text ?? null,
		refusal: null,
		...(turn.thinking ? { reasoning_content: turn.thinking } : {}),
		...(tool_calls ? { tool_calls } : {}),
	};
}

function chatCallEvents(call: Call, index: number): Json[] {
	const head = { index, id: callId(index), type: "function", function: { name: call.name, arguments: "" } };
	return [head, ...pieces(JSON.stringify(call.input)).map((text) => ({ index, function: { arguments: text } }))].map((c) => delta({ tool_calls: [c] }));
}

export function chatEvents(turn: Turn, usage: Json | undefined): (Json | string)[] {
	return [
		delta({ role: "assistant", content: "", refusal: null }),
		...pieces(turn.thinking ?? "").map((text) => delta({ reasoning_content: text })),
		...pieces(turn.text ?? "").map((text) => delta({ content: text })),
		...(turn.calls ?? []).flatMap(chatCallEvents),
		delta({}, finished(turn, "tool_calls", "stop")),
		...(usage ? [chunk([], { usage })] : []),
		"data: [DONE]\n\n",
	];
}

export const chat: Say = (turn, stream) =>
	stream ? events(chatEvents(turn, chatUsage)) : json(completion({ message: chatMessage(turn), finish_reason: finished(turn, "tool_calls", "stop") }));

// ---- OpenAI responses

function responseItems(turn: Turn): Json[] {
	const calls = (turn.calls ?? []).map((call, i) => ({
		type: "function_call",
		id: `fc_${i}`,
		call_id: callId(i),
		name: call.name,
		arguments: JSON.stringify(call.input),
		status: "completed",
	}));
	return [
		...(turn.thinking ? [{ type: "reasoning", id: "rs_1", status: "completed", summary: [{ type: "summary_text", text: turn.thinking }] }] : []),
		...(turn.text
			? [{ type: "message", id: "msg_1", status: "completed", role: "assistant", content: [{ type: "output_text", text: turn.text, annotations: [], logprobs: [] }] }]
			: []),
		...calls,
	];
}

function responseItemEvents(item: Json, output_index: number): Json[] {
	const at = { item_id: item["id"], output_index };
	const inside: Record<string, () => Json[]> = {
		message: () => {
			const [part] = item["content"] as Json[];
			const here = { ...at, content_index: 0 };
			return [
				{ type: "response.content_part.added", ...here, part: { ...part, text: "" } },
				...pieces(part!["text"]).map((text) => ({ type: "response.output_text.delta", ...here, delta: text, logprobs: [] })),
				{ type: "response.output_text.done", ...here, text: part!["text"], logprobs: [] },
				{ type: "response.content_part.done", ...here, part },
			];
		},
		reasoning: () => {
			const [part] = item["summary"] as Json[];
			const here = { ...at, summary_index: 0 };
			return [
				{ type: "response.reasoning_summary_part.added", ...here, part: { ...part, text: "" } },
				...pieces(part!["text"]).map((text) => ({ type: "response.reasoning_summary_text.delta", ...here, delta: text })),
				{ type: "response.reasoning_summary_text.done", ...here, text: part!["text"] },
				{ type: "response.reasoning_summary_part.done", ...here, part },
			];
		},
		function_call: () => [
			...pieces(item["arguments"]).map((text) => ({ type: "response.function_call_arguments.delta", ...at, delta: text })),
			{ type: "response.function_call_arguments.done", ...at, arguments: item["arguments"] },
		],
	};
	const empty: Json = { message: { content: [] }, reasoning: { summary: [] }, function_call: { arguments: "" } }[item["type"] as string]!;
	return [
		{ type: "response.output_item.added", output_index, item: { ...item, status: "in_progress", ...empty } },
		...inside[item["type"]]!(),
		{ type: "response.output_item.done", output_index, item },
	];
}

export const responses: Say = (turn, stream) => {
	const output = responseItems(turn);
	const final = response({ output, usage: responsesUsage });
	if (!stream) return json(final);
	const begun = { ...final, status: "in_progress", output: [], usage: null };
	const list: Json[] = [
		{ type: "response.created", response: begun },
		{ type: "response.in_progress", response: begun },
		...output.flatMap(responseItemEvents),
		{ type: "response.completed", response: final },
	];
	return events(
		list.map((event, i) => ({ ...event, sequence_number: i })),
		{ named: true },
	);
};

// ---- Anthropic messages

function blocks(turn: Turn): Json[] {
	return [
		...(turn.thinking ? [{ type: "thinking", thinking: turn.thinking, signature: "c2lnbmVk" }] : []),
		...(turn.text ? [{ type: "text", text: turn.text }] : []),
		...(turn.calls ?? []).map((call, i) => ({ type: "tool_use", id: `toolu_${i}`, name: call.name, input: call.input })),
	];
}

function blockEvents(block: Json, index: number): Json[] {
	const deltas: Record<string, () => Json[]> = {
		text: () => pieces(block["text"]).map((text) => ({ type: "text_delta", text })),
		thinking: () => [
			...pieces(block["thinking"]).map((thinking) => ({ type: "thinking_delta", thinking })),
			{ type: "signature_delta", signature: block["signature"] },
		],
		tool_use: () => ["", ...pieces(JSON.stringify(block["input"]))].map((partial_json) => ({ type: "input_json_delta", partial_json })),
	};
	const empty: Json = { text: { text: "" }, thinking: { thinking: "", signature: "" }, tool_use: { input: {} } }[block["type"] as string]!;
	return [
		{ type: "content_block_start", index, content_block: { ...block, ...empty } },
		...deltas[block["type"]]!().map((d) => ({ type: "content_block_delta", index, delta: d })),
		{ type: "content_block_stop", index },
	];
}

export const messages: Say = (turn, stream) => {
	const content = blocks(turn);
	const stop_reason = finished(turn, "tool_use", "end_turn");
	if (!stream) return json(message({ content, stop_reason }));
	const begun = message({ content: [], stop_reason: null, usage: { ...messageUsage, output_tokens: 1 } });
	const list: Json[] = [
		{ type: "message_start", message: begun },
		{ type: "ping" },
		...content.flatMap(blockEvents),
		{ type: "message_delta", delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: messageUsage.output_tokens } },
		{ type: "message_stop" },
	];
	return events(list, { named: true, pad: true });
};

// ---- Gemini

function parts(turn: Turn): Json[] {
	return [
		...(turn.thinking ? [{ text: turn.thinking, thought: true }] : []),
		...(turn.text ? [{ text: turn.text }] : []),
		...(turn.calls ?? []).map((call, i) => ({ functionCall: { name: call.name, args: call.input }, ...(i === 0 ? { thoughtSignature: "c2lnbmVk" } : {}) })),
	];
}

export const gemini: Say = (turn, stream) => {
	const all = parts(turn);
	const of = (list: Json[], more: Json = {}) => [{ content: { role: "model", parts: list }, index: 0, ...more }];
	if (!stream) return json(generated("", { candidates: of(all, { finishReason: "STOP" }) }));
	const torn = all.flatMap((part) => (part["text"] ? pieces(part["text"]).map((text) => ({ ...part, text })) : [part]));
	const { candidatesTokenCount, ...begun } = geminiUsage;
	const list = torn.map((part, i) =>
		generated("", {
			candidates: of([part], i === torn.length - 1 ? { finishReason: "STOP" } : {}),
			usageMetadata: i === torn.length - 1 ? geminiUsage : begun,
		}),
	);
	return events(list, { crlf: true });
};

// ---- what each of them says that it consumed, at the prices of stand.ts

export const costs: Record<"chat" | "responses" | "messages" | "gemini", Cost> = {
	// 60 x $1 + 40 x $0.10 + 50 x $10 per million
	chat: { input: 60, cached: 40, output: 20, reasoning: 30, dollars: "0.000564" },
	// 600 x $1 + 400 x $0.10 + 200 x $10
	responses: { input: 600, cached: 400, output: 80, reasoning: 120, dollars: "0.00264" },
	// 100 x $1 + 200 x $0.10 + 100 x $1.25 + 200 x $2 + 50 x $10
	messages: { input: 100, cached: 200, cache_write: 100, cache_write_1h: 200, output: 50, dollars: "0.001145" },
	// 60 x $1 + 40 x $0.10 + 50 x $10
	gemini: { input: 60, cached: 40, output: 20, reasoning: 30, dollars: "0.000564" },
};
