import Anthropic, { type ClientOptions as AnthropicOptions } from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI, { type ClientOptions } from "openai";
import { expect } from "vitest";
import { type TicketRow, tickets } from "./books.ts";
import { certificates } from "./certificates.ts";
import { type Account, type Grade, type Json, Lethe, nano, upstreamKey } from "./lethe.ts";
import { Provider } from "./provider.ts";
import { Sim } from "./sim.ts";
import { until } from "./until.ts";

export type Scheme = "http" | "https";
export type Setting = { scheme: Scheme; grade: Grade };
// What a request comes to: the exact cost, and tokens and calls by kind, where what is not named is zero.
export type Cost = { dollars: string; [kind: string]: number | string | true };

export const price = { from: "2026-01-01", input: "1.00", cached: "0.10", cache_write: "1.25", cache_write_1h: "2.00", output: "10.00" };
export const money = "1000";

export function catalogue(url: string): { providers: Json[]; models: Json[] } {
	const keys = [{ env: "SIM_API_KEY" }];
	const trust = url.startsWith("https:") ? { ca_file: certificates().ca } : {};
	const model = (id: string, provider: string, more: Json = {}) => ({ id, provider, context: 200_000, output: 8_000, prices: [price], ...more });
	return {
		providers: [
			{ name: "openai", url: `${url}/v1`, ...trust, keys },
			{ name: "anthropic", url: `${url}/v1`, ...trust, dialect: "anthropic", keys },
			{ name: "google", url: `${url}/v1beta`, ...trust, dialect: "gemini", keys },
			{ name: "xai", url: `${url}/xai/v1`, ...trust, keys },
			{ name: "nobody", url: "http://127.0.0.1:1/v1", keys },
			{ name: "nobody-anthropic", url: "http://127.0.0.1:1/v1", dialect: "anthropic", keys },
			{ name: "nobody-google", url: "http://127.0.0.1:1/v1beta", dialect: "gemini", keys },
			{ name: "chat-only", url: `${url}/v1`, ...trust, responses: false, keys },
			{ name: "deepseek", url: `${url}/deepseek`, ...trust, cap_field: "max_tokens", keys },
		],
		models: [
			model("gpt", "openai", { upstream: "gpt-upstream" }),
			model("text-embedding", "openai"),
			model("omni-moderation-latest", "openai", { prices: [{ from: "2026-01-01", input: "0", output: "0" }] }),
			model("claude", "anthropic", { upstream: "claude-upstream" }),
			model("gemini", "google", { upstream: "gemini-upstream" }),
			model("gemini-embedding", "google"),
			model("grok", "xai"),
			model("deepseek-chat", "deepseek"),
			model("chatty", "chat-only", { upstream: "chatty-upstream" }),
			model("codex", "openai", { upstream: "codex-upstream", language: "responses" }),
			model("gone-gpt", "nobody"),
			model("gone-claude", "nobody-anthropic"),
			model("gone-gemini", "nobody-google"),
		],
	};
}

// A gateway, a provider that says what the test wants and one that is the simulator, a customer, and the bookings as they come.
export class Stand {
	readonly provider: Provider;
	readonly sim: Sim;
	readonly lethe: Lethe;
	readonly customer: Account;
	readonly poor: Account;
	#known = 0;
	charged = 0;

	private constructor(provider: Provider, sim: Sim, lethe: Lethe, customer: Account, poor: Account) {
		this.provider = provider;
		this.sim = sim;
		this.lethe = lethe;
		this.customer = customer;
		this.poor = poor;
	}

	// By https both sides speak TLS.
	static async start({ scheme, grade }: Setting, more: Json = {}, models: Json[] = []): Promise<Stand> {
		const tls = scheme === "https";
		const provider = await Provider.start({ tls });
		const sim = await Sim.start({ key: upstreamKey, tls });
		const config = { batch_window: "1ms", limits: { body_bytes: "1MiB" }, ...more };
		const extra = catalogue(provider.url);
		extra.models.push(...models);
		const lethe = await Lethe.start({ sim, grade, tls, upstreamTls: tls, config, extra }).catch((error) => {
			provider.stop();
			sim.stop();
			throw error;
		});
		return new Stand(provider, sim, lethe, await lethe.account("customer", money), await lethe.account("poor", "0"));
	}

	get url(): string {
		return this.lethe.url;
	}

	openai(options: ClientOptions = {}): OpenAI {
		return new OpenAI({ apiKey: this.customer.key, baseURL: `${this.url}/v1`, maxRetries: 0, ...options });
	}

	anthropic(options: AnthropicOptions = {}): Anthropic {
		return new Anthropic({ apiKey: this.customer.key, baseURL: this.url, maxRetries: 0, ...options });
	}

	google(apiKey = this.customer.key): GoogleGenAI {
		return new GoogleGenAI({ apiKey, httpOptions: { baseUrl: this.url } });
	}

	// What has been booked so far is none of the next test's.
	begin(): void {
		this.#known = tickets(this.lethe).length;
	}

	// The bookings since begin(), once there are so many.
	async bookings(count: number): Promise<Json[]> {
		return (await this.#rows(count)).map(shown);
	}

	// The bookings since begin() are exactly these.
	async booked(costs: Cost[]): Promise<void> {
		const rows = await this.#rows(costs.length);
		expect(rows.map(shown)).toEqual(costs.map(({ dollars, ...more }) => ({ ...more, dollars: nano(dollars) / 1e9 })));
		this.charged += rows.reduce((sum, row) => sum + Number(row["cost_nano"]), 0);
	}

	async #rows(count: number): Promise<TicketRow[]> {
		return until("the requests are booked", () => {
			const all = tickets(this.lethe);
			return all.length >= this.#known + count && all.sort((a, b) => Number(BigInt(a["started_us"]!) - BigInt(b["started_us"]!))).slice(this.#known);
		});
	}

	async stop(): Promise<void> {
		await this.lethe.finish();
		this.provider.stop();
		this.sim.stop();
	}
}

const estimatedFlag = 2; // TICKET_ESTIMATED

function shown(row: TicketRow): Json {
	const kinds = Object.entries(row).flatMap(([name, value]) => {
		const kind = /^(?:tokens|tools)_(.*)$/.exec(name)?.[1];
		return kind && Number(value) > 0 ? [[kind, Number(value)]] : [];
	});
	return { ...Object.fromEntries(kinds), ...(Number(row["flags"]) & estimatedFlag ? { estimated: true } : {}), dollars: Number(row["cost_nano"]) / 1e9 };
}
