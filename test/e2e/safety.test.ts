// Who asks: a provider is told a hash of account and user, and neither of them.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Account, type Json, Lethe } from "../harness/lethe.ts";
import { Provider } from "../harness/provider.ts";
import * as turns from "../harness/turns.ts";

let p: Provider;
let lethe: Lethe;
let acme: Account;
let other: Account;
const price = { from: "2026-01-01", input: "1.00", output: "10.00" };
const model = (id: string, provider: string) => ({ id, provider, context: 200_000, output: 8_000, prices: [price] });
const messages = [{ role: "user", content: "hi" }];

beforeAll(async () => {
	p = await Provider.start();
	const key = { keys: [{ env: "SIM_API_KEY" }] };
	lethe = await Lethe.start({
		config: {
			providers: [
				{ name: "openai", url: `${p.url}/v1`, safety_identifier: true, completions: true, ...key },
				{ name: "anthropic", url: `${p.url}/v1`, dialect: "anthropic", safety_identifier: true, ...key },
				{ name: "plain", url: `${p.url}/v1`, ...key },
			],
			models: [model("gpt", "openai"), model("claude", "anthropic"), model("plain", "plain")],
		},
	});
	acme = await lethe.account("acme", "100");
	other = await lethe.account("other", "100");
});
afterAll(async () => {
	await lethe?.finish();
	p?.stop();
});

async function asked(of: Account, path: string, body: Json): Promise<Json> {
	p.answers(turns.chat({ text: "Hello" }, false));
	await fetch(`${lethe.url}${path}`, { method: "POST", headers: { authorization: `Bearer ${of.key}`, "content-type": "application/json" }, body: JSON.stringify(body) }).then((answer) => answer.text());
	return p.last.body;
}
const hash = expect.stringMatching(/^user_[0-9a-f]{48}$/);

describe.each([
	{ path: "/v1/chat/completions", body: { model: "gpt", messages }, said: "user", goes: (b: any) => b.safety_identifier },
	{ path: "/v1/responses", body: { model: "gpt", input: "hi" }, said: "safety_identifier", goes: (b: any) => b.safety_identifier },
	{ path: "/v1/completions", body: { model: "gpt", prompt: "hi" }, said: "user", goes: (b: any) => b.user },
	{ path: "/v1/messages", body: { model: "claude", max_tokens: 9, messages }, said: "metadata", goes: (b: any) => b.metadata.user_id },
	{ path: "/v1/chat/completions", body: { model: "claude", max_tokens: 9, messages }, said: "user", goes: (b: any) => b.metadata.user_id },
	{ path: "/v1/messages", body: { model: "gpt", max_tokens: 9, messages }, said: "metadata", goes: (b: any) => b.safety_identifier },
])("$path with $body.model", ({ path, body, said, goes }) => {
	const as = (user: string) => ({ ...body, [said]: said === "metadata" ? { user_id: user } : user });

	test("users of one account differ, and those of two accounts as well", async () => {
		const ids = new Map<string, Json>();
		for (const [name, of, more] of [["a", acme, as("alice@example.com")], ["b", acme, as("bob")], ["c", other, as("alice@example.com")], ["nobody", acme, body], ["other's nobody", other, body]] as const) {
			const first = await asked(of, path, more);
			expect(goes(first)).toEqual(hash);
			expect(goes(await asked(of, path, more))).toBe(goes(first));
			expect(p.last.raw).not.toContain("alice");
			expect(p.last.raw).not.toContain("bob");
			ids.set(name, goes(first));
		}
		expect(new Set(ids.values()).size).toBe(ids.size);
	});
});

test("one user is the same at every endpoint and after a start", async () => {
	const id = ((await asked(acme, "/v1/chat/completions", { model: "gpt", messages, user: "alice" })) as any).safety_identifier;
	expect(((await asked(acme, "/v1/messages", { model: "claude", max_tokens: 9, messages, metadata: { user_id: "alice" } })) as any).metadata.user_id).toBe(id);
	await lethe.stop();
	await lethe.up();
	expect(((await asked(acme, "/v1/chat/completions", { model: "gpt", messages, user: "alice" })) as any).safety_identifier).toBe(id);
});

test("who does not want it gets what the caller says", async () => {
	expect(await asked(acme, "/v1/chat/completions", { model: "plain", messages, user: "alice" })).toEqual({ model: "plain", messages, user: "alice" });
});
