// Each SDK asked the same things in its own way, and what it gave back in one shape.
import type Anthropic from "@anthropic-ai/sdk";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createDeepSeek } from "@ai-sdk/deepseek";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { createXai } from "@ai-sdk/xai";
import type { Content, Part } from "@google/genai";
import { generateText, jsonSchema, type LanguageModel, type ModelMessage, Output, stepCountIs, streamText, tool } from "ai";
import type OpenAI from "openai";
import type { Json } from "../../harness/lethe.ts";
import type { Cost, Stand } from "../../harness/stand.ts";
import * as say from "../../harness/turns.ts";
import type { Call, Say, Turn } from "../../harness/turns.ts";

export const schema = {
	type: "object",
	properties: { city: { type: "string" }, degrees: { type: "number" } },
	required: ["city", "degrees"],
	additionalProperties: false,
};
export const toolSchema = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
export const toolName = "get_weather";
export const toolResult = "21 degrees and sunny";

export type Ask = { stream: boolean; text: string; model?: string; more?: Json; image?: string; tools?: boolean; schema?: boolean; thinking?: boolean };
// What to add to the conversation before the next request: the model's turn as the SDK gave it, and the results of its calls.
export type Past = unknown[];
export type Got = { turn: Turn; past: () => Past };
export type Driver = {
	name: string;
	say: Say;
	// What one answer of `say` costs.
	costs: Cost;
	image: (base64: string) => string;
	// How the wish to think reads in the request; undefined where it has none.
	thinks?: string;
	cannot?: (keyof Ask)[];
	ask: (s: Stand, ask: Ask, past?: Past) => Promise<Got>;
	// Runs the tool itself; otherwise asking twice does.
	loop?: (s: Stand, stream: boolean) => Promise<Turn>;
};

const dataUrl = (base64: string) => `data:image/png;base64,${base64}`;
const present = (turn: Turn): Turn => Object.fromEntries(Object.entries(turn).filter(([, value]) => (Array.isArray(value) ? value.length > 0 : value)));

// ---- openai

type Reasoned = { reasoning_content?: string };
const openaiTool = { name: toolName, parameters: toolSchema, strict: true };

export const openaiChat: Driver = {
	name: "openai, chat completions",
	say: say.chat,
	costs: say.costs.chat,
	image: dataUrl,
	thinks: '"reasoning_effort":"low"',
	ask: async (s, ask, past = []) => {
		const content: OpenAI.ChatCompletionContentPart[] = [{ type: "text", text: ask.text }];
		if (ask.image) content.push({ type: "image_url", image_url: { url: dataUrl(ask.image) } });
		const body = {
			model: ask.model ?? "gpt",
			messages: [{ role: "user", content }, ...past] as OpenAI.ChatCompletionMessageParam[],
			...(ask.tools ? { tools: [{ type: "function" as const, function: openaiTool }] } : {}),
			...(ask.schema ? { response_format: { type: "json_schema" as const, json_schema: { name: "out", schema, strict: true } } } : {}),
			...(ask.thinking ? { reasoning_effort: "low" as const } : {}),
		};
		const client = s.openai();
		let thinking = "";
		// The SDK's stream puts together what OpenAI says; what others say beside it is in the chunks.
		const stream = (): Promise<OpenAI.ChatCompletion> => {
			const running = client.chat.completions.stream(body);
			running.on("chunk", (chunk) => (thinking += (chunk.choices[0]?.delta as Reasoned)?.reasoning_content ?? ""));
			return running.finalChatCompletion();
		};
		const answer = ask.stream ? await stream() : await client.chat.completions.create(body);
		const message = answer.choices[0]!.message;
		if (!ask.stream) thinking = (message as Reasoned).reasoning_content ?? "";
		const calls = (message.tool_calls ?? []).map((call) => (call as OpenAI.ChatCompletionMessageFunctionToolCall).function);
		return {
			turn: present({
				text: message.content ?? "",
				thinking,
				calls: calls.map((call) => ({ name: call.name, input: JSON.parse(call.arguments) })),
			}),
			past: () => [message, ...message.tool_calls!.map((call) => ({ role: "tool", tool_call_id: call.id, content: toolResult }))],
		};
	},
};

export const openaiResponses: Driver = {
	name: "openai, responses",
	say: say.responses,
	costs: say.costs.responses,
	image: dataUrl,
	thinks: '"reasoning":{"effort":"low","summary":"auto"}',
	ask: async (s, ask, past = []) => {
		const content: OpenAI.Responses.ResponseInputContent[] = [{ type: "input_text", text: ask.text }];
		if (ask.image) content.push({ type: "input_image", image_url: dataUrl(ask.image), detail: "auto" });
		const body = {
			model: ask.model ?? "gpt",
			input: [{ role: "user", content }, ...past] as OpenAI.Responses.ResponseInput,
			...(ask.tools ? { tools: [{ type: "function" as const, ...openaiTool }] } : {}),
			...(ask.schema ? { text: { format: { type: "json_schema" as const, name: "out", schema, strict: true } } } : {}),
			...(ask.thinking ? { reasoning: { effort: "low" as const, summary: "auto" as const } } : {}),
		};
		const client = s.openai();
		const answer = ask.stream ? await client.responses.stream(body).finalResponse() : await client.responses.create(body);
		const calls = answer.output.flatMap((item) => (item.type === "function_call" ? [item] : []));
		const thoughts = answer.output.flatMap((item) => (item.type === "reasoning" ? item.summary : []));
		return {
			turn: present({
				text: answer.output_text,
				thinking: thoughts.map((part) => part.text).join(""),
				calls: calls.map((call) => ({ name: call.name, input: JSON.parse(call.arguments) })),
			}),
			past: () => [...answer.output, ...calls.map((call) => ({ type: "function_call_output", call_id: call.call_id, output: toolResult }))],
		};
	},
};

// ---- @anthropic-ai/sdk

export const anthropicMessages: Driver = {
	name: "@anthropic-ai/sdk",
	say: say.messages,
	costs: say.costs.messages,
	image: (base64) => `"media_type":"image/png","data":"${base64}"`,
	thinks: '"thinking":{"type":"enabled","budget_tokens":1024}',
	ask: async (s, ask, past = []) => {
		const content: Anthropic.ContentBlockParam[] = [{ type: "text", text: ask.text }];
		if (ask.image) content.push({ type: "image", source: { type: "base64", media_type: "image/png", data: ask.image } });
		const body = {
			model: ask.model ?? "claude",
			max_tokens: 2000,
			messages: [{ role: "user", content }, ...past] as Anthropic.MessageParam[],
			...(ask.tools ? { tools: [{ name: toolName, input_schema: toolSchema as Anthropic.Tool.InputSchema }] } : {}),
			...(ask.schema ? { output_config: { format: { type: "json_schema" as const, schema } } } : {}),
			...(ask.thinking ? { thinking: { type: "enabled" as const, budget_tokens: 1024 } } : {}),
		};
		const client = s.anthropic();
		const answer = ask.stream ? await client.messages.stream(body).finalMessage() : await client.messages.create(body);
		const of = <T extends string>(type: T) => answer.content.filter((block): block is Extract<Anthropic.ContentBlock, { type: T }> => block.type === type);
		return {
			turn: present({
				text: of("text").map((block) => block.text).join(""),
				thinking: of("thinking").map((block) => block.thinking).join(""),
				calls: of("tool_use").map((block) => ({ name: block.name, input: block.input as Json })),
			}),
			past: () => [
				{ role: "assistant", content: answer.content },
				{ role: "user", content: of("tool_use").map((block) => ({ type: "tool_result", tool_use_id: block.id, content: toolResult })) },
			],
		};
	},
};

// ---- @google/genai

export const googleGenerate: Driver = {
	name: "@google/genai",
	say: say.gemini,
	costs: say.costs.gemini,
	image: (base64) => `"data":"${base64}"`,
	thinks: '"includeThoughts":true',
	ask: async (s, ask, past = []) => {
		const parts: Part[] = [{ text: ask.text }];
		if (ask.image) parts.push({ inlineData: { mimeType: "image/png", data: ask.image } });
		const request = {
			model: ask.model ?? "gemini",
			contents: [{ role: "user", parts }, ...past] as Content[],
			config: {
				...(ask.tools ? { tools: [{ functionDeclarations: [{ name: toolName, parametersJsonSchema: toolSchema }] }] } : {}),
				...(ask.schema ? { responseMimeType: "application/json", responseJsonSchema: schema } : {}),
				...(ask.thinking ? { thinkingConfig: { thinkingBudget: 1024, includeThoughts: true } } : {}),
			},
		};
		const models = s.google().models;
		const answers = ask.stream ? await Array.fromAsync(await models.generateContentStream(request)) : [await models.generateContent(request)];
		const said = answers.flatMap((answer) => answer.candidates?.[0]?.content?.parts ?? []);
		const calls = said.flatMap((part) => (part.functionCall ? [part.functionCall] : []));
		const text = (thought: boolean) => said.filter((part) => (part.thought ?? false) === thought).map((part) => part.text ?? "").join("");
		return {
			turn: present({ text: text(false), thinking: text(true), calls: calls.map((call) => ({ name: call.name!, input: call.args as Json })) }),
			past: () => [
				{ role: "model", parts: said },
				{ role: "user", parts: calls.map((call) => ({ functionResponse: { name: call.name, response: { output: toolResult } } })) },
			],
		};
	},
};

// ---- ai

type Vercel = Pick<Driver, "say" | "costs" | "image" | "cannot"> & { thinks?: string; thinking?: Json; model: (s: Stand) => LanguageModel };

function vercel(name: string, { model, thinking, ...more }: Vercel): Driver {
	const weather = { description: "the weather", inputSchema: jsonSchema<{ city: string }>(toolSchema as never) };
	const messagesOf = (ask: Ask): ModelMessage[] => [
		{ role: "user", content: [{ type: "text", text: ask.text }, ...(ask.image ? [{ type: "file" as const, data: ask.image, mediaType: "image/png" }] : [])] },
	];
	const options = (s: Stand, ask: Ask) => ({
		model: model(s),
		maxRetries: 0,
		maxOutputTokens: 2000,
		messages: messagesOf(ask),
		...(ask.schema ? { output: Output.object({ schema: jsonSchema(schema as never) }) } : {}),
		...(ask.thinking && thinking ? { providerOptions: thinking as never } : {}),
	});
	const shape = async (text: PromiseLike<string> | string, thoughts: unknown, calls: PromiseLike<unknown[]> | unknown[]): Promise<Turn> =>
		present({
			text: await text,
			thinking: ((await thoughts) as string | undefined) ?? "",
			calls: ((await calls) as { toolName: string; input: Json }[]).map((call): Call => ({ name: call.toolName, input: call.input })),
		});
	return {
		...more,
		name: `ai with ${name}`,
		ask: async (s, ask) => {
			const request = { ...options(s, ask), ...(ask.tools ? { tools: { [toolName]: tool(weather) } } : {}) };
			const answer = ask.stream ? streamText({ ...request, onError: () => undefined }) : await generateText(request);
			return { turn: await shape(answer.text, answer.reasoningText, answer.toolCalls), past: () => [] };
		},
		loop: async (s, stream) => {
			const tools = { [toolName]: tool({ ...weather, execute: () => toolResult }) };
			const request = { ...options(s, { stream, text: "What is the weather?" }), tools, stopWhen: stepCountIs(2) };
			const answer = stream ? streamText({ ...request, onError: () => undefined }) : await generateText(request);
			const last = (await answer.steps).at(-1)!;
			return shape(last.text, last.reasoningText, last.toolCalls);
		},
	};
}

const as = (s: Stand, path = "/v1") => ({ apiKey: s.customer.key, baseURL: `${s.url}${path}` });
const chatLike = { say: say.chat, costs: say.costs.chat, image: dataUrl };
const responsesLike = { say: say.responses, costs: say.costs.responses, image: dataUrl };

export const drivers: Driver[] = [
	openaiChat,
	openaiResponses,
	anthropicMessages,
	googleGenerate,
	vercel("@ai-sdk/openai, responses", {
		...responsesLike,
		model: (s) => createOpenAI(as(s))("gpt"),
		thinking: { openai: { reasoningEffort: "low", reasoningSummary: "auto", forceReasoning: true } },
		thinks: '"effort":"low"',
	}),
	vercel("@ai-sdk/openai, chat", {
		...chatLike,
		model: (s) => createOpenAI(as(s)).chat("gpt"),
		cannot: ["thinking"], // it shows no reasoning of chat completions
	}),
	vercel("@ai-sdk/anthropic", {
		say: say.messages,
		costs: say.costs.messages,
		image: anthropicMessages.image,
		model: (s) => createAnthropic(as(s))("claude"),
		thinking: { anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } } },
		thinks: '"budget_tokens":1024',
		cannot: ["schema"], // for a model it does not know it asks for a tool instead
	}),
	vercel("@ai-sdk/google", {
		say: say.gemini,
		costs: say.costs.gemini,
		image: googleGenerate.image,
		model: (s) => createGoogleGenerativeAI(as(s, "/v1beta"))("gemini"),
		thinking: { google: { thinkingConfig: { thinkingBudget: 1024, includeThoughts: true } } },
		thinks: '"includeThoughts":true',
	}),
	vercel("@ai-sdk/xai, responses", { ...responsesLike, model: (s) => createXai(as(s)).responses("grok") }),
	vercel("@ai-sdk/deepseek", { ...chatLike, model: (s) => createDeepSeek(as(s))("deepseek-chat"), cannot: ["image", "schema"] }),
	vercel("@ai-sdk/openai-compatible", {
		...chatLike,
		model: (s) => createOpenAICompatible({ name: "lethe", supportsStructuredOutputs: true, includeUsage: true, ...as(s) })("gpt"),
	}),
];
