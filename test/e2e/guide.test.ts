// What the guides tell customers to write is run as it stands there: only address and key are filled in.
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { certificates } from "../harness/certificates.ts";
import { type Answer, json, type Seen } from "../harness/provider.ts";
import { root } from "../harness/paths.ts";
import { price, Stand } from "../harness/stand.ts";
import * as say from "../harness/turns.ts";

type Snippet = { name: string; language: string; code: string };

function snippets(file: string): Snippet[] {
	const text = readFileSync(join(root, "docs/guide", file), "utf8");
	let heading = "";
	const found: Snippet[] = [];
	for (const match of text.matchAll(/^#+ (.*)$|^```(\w*)\n([\s\S]*?)^```$/gm)) {
		if (match[1]) heading = match[1];
		else found.push({ name: `${file}, ${heading}`, language: match[2]!, code: match[3]! });
	}
	return found;
}

const all = readdirSync(join(root, "docs/guide")).filter((file) => file.endsWith(".md")).flatMap(snippets);
const typescript = all.filter(({ language }) => language === "ts");
const curls = all.filter(({ language, code, name }) => language === "sh" && code.startsWith("curl ") && name.startsWith("user.md"));

const greeting = "Hello from the provider";
const vector = Buffer.from(new Float32Array([1, 2, 3]).buffer).toString("base64");

// Every endpoint that the snippets ask, each in its own words.
function answer({ url, body }: Seen): Answer {
	const turn = { text: greeting };
	if (url.endsWith("/embeddings")) return json({ object: "list", data: [{ object: "embedding", index: 0, embedding: vector }], model: "m", usage: { prompt_tokens: 2, total_tokens: 2 } });
	if (url.endsWith("/responses")) return say.responses(turn, body["stream"] === true);
	if (url.includes("/messages")) return say.messages(turn, body["stream"] === true);
	if (url.includes("/v1beta/")) return say.gemini(turn, url.includes(":streamGenerateContent"));
	return say.chat(turn, body["stream"] === true);
}

let s: Stand;
beforeAll(async () => {
	const model = (id: string, provider: string) => ({ id, provider, context: 200_000, output: 8_000, prices: [price] });
	const models = [model("gpt-5-mini", "openai"), model("text-embedding-3-small", "openai"), model("claude-sonnet-4-5", "anthropic"), model("gemini-2.5-flash", "google")];
	s = await Stand.start({ scheme: "https", grade: "auto" }, {}, models);
	s.provider.answers(answer);
});
afterAll(() => s?.stop());

function run(program: string, args: string[], input: string): Promise<{ status: number | null; output: string; errors: string }> {
	return new Promise((resolve) => {
		const env = { PATH: process.env["PATH"], NODE_EXTRA_CA_CERTS: certificates().ca, CURL_CA_BUNDLE: certificates().ca };
		const child = spawn(program, args, { cwd: join(root, "test"), env, stdio: ["pipe", "pipe", "pipe"] });
		let output = "";
		let errors = "";
		child.stdout.on("data", (bytes) => (output += bytes));
		child.stderr.on("data", (bytes) => (errors += bytes));
		child.on("close", (status) => resolve({ status, output, errors }));
		child.stdin.end(input);
	});
}

const filledIn = (code: string) => code.replaceAll("https://YOUR-LETHE", s.url).replaceAll("lethe_live_...", s.customer.key);

// Several Nodes at once, each with large packages to load.
describe("the guide", () => {
	test("has what it is to have", () => {
		expect(typescript.length).toBeGreaterThanOrEqual(5);
		expect(curls.length).toBeGreaterThanOrEqual(1);
	});

	test.concurrent.each(typescript)("$name: the snippet runs", async ({ code }) => {
		const { status, output, errors } = await run(process.execPath, ["--input-type=module-typescript", "-"], filledIn(code));
		expect({ status, errors: status === 0 ? "" : errors }).toEqual({ status: 0, errors: "" });
		// Each place that prints an answer has printed it whole.
		expect(output.split(greeting).length - 1, output).toBe(code.match(/(console\.log|process\.stdout\.write)\((?!.*length)/g)!.length);
	});

	test.concurrent.each(curls)("$name: the line runs", async ({ code }) => {
		const { status, output } = await run("sh", ["-s"], filledIn(code));
		expect(status).toBe(0);
		expect(output).toContain(greeting);
	});
});
