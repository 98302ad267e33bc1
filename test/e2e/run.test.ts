import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import OpenAI, { toFile } from "openai";
import { expect, test } from "vitest";
import { build, removeFolder, root, temporaryFolder } from "../harness/paths.ts";
import { until } from "../harness/until.ts";

const run = promisify(execFile);

type Demo = { text: () => string; stop: () => Promise<number | null>; folder: string };

async function demo(environment: Record<string, string>): Promise<Demo> {
	const folder = temporaryFolder();
	const child = spawn(join(root, "tool/run.sh"), ["--port", "0"], {
		env: { PATH: process.env["PATH"], LETHE_RUN_DIR: folder, LETHE_BUILD: build, ...environment },
		stdio: ["ignore", "pipe", "pipe"],
	});
	const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
	let text = "";
	child.stdout.on("data", (bytes) => (text += bytes));
	child.stderr.on("data", (bytes) => (text += bytes));
	const stop = async () => {
		child.kill("SIGINT");
		const status = await ended;
		removeFolder(folder);
		return status;
	};
	await until("it is running", () => text.includes("Ctrl-C stops") || (child.exitCode !== null && Promise.reject(new Error(text))));
	return { text: () => text, stop, folder };
}

test("./dev run prints a URL, the data folder, a key and a curl line that works, and stops cleanly", async () => {
	const d = await demo({});
	const url = /Lethe +(http:\S+)/.exec(d.text())![1]!;
	const key = /key +(lethe_live_\S+)/.exec(d.text())![1]!;
	expect(existsSync(/data +(\S+)/.exec(d.text())![1]!)).toBe(true);
	const line = /^ *(curl .*)$/m.exec(d.text())![1]!;
	const { stdout } = await run("sh", ["-c", line.replace("curl ", "curl -sS ")]);
	expect(stdout).toMatch(/data: \[DONE\]\n\n$/);
	const client = new OpenAI({ apiKey: key, baseURL: url, maxRetries: 0 });
	const answer = await client.chat.completions.create({ model: "gpt-5-mini", messages: [{ role: "user", content: "hi" }] });
	expect(answer.choices[0]!.message.content).toBeTruthy();

	const lines = ["a", "b"].map((custom_id) => JSON.stringify({ custom_id, method: "POST", url: "/v1/chat/completions", body: { model: "gpt-4o-mini", max_tokens: 20, messages: [{ role: "user", content: "hi" }] } }));
	const file = await client.files.create({ file: await toFile(Buffer.from(lines.join("\n")), "requests.jsonl"), purpose: "batch" });
	const batch = await client.batches.create({ input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" });
	expect((await client.batches.retrieve(batch.id)).status).toBe("in_progress");
	const ended = await client.batches.retrieve(batch.id);
	expect(ended).toMatchObject({ status: "completed", request_counts: { total: 2, completed: 2, failed: 0 } });
	const results = (await (await client.files.content(ended.output_file_id!)).text()).trim().split("\n").map((line) => JSON.parse(line));
	expect(results.map(({ custom_id, response }) => [custom_id, response.body.object])).toEqual([["a", "chat.completion"], ["b", "chat.completion"]]);
	expect(await client.files.delete(file.id)).toMatchObject({ id: file.id, deleted: true });
	expect(await d.stop()).toBe(0);
	await expect(fetch(url)).rejects.toThrow();
});

test("./dev run with a key for a provider over https goes there", async () => {
	const d = await demo({ OPENAI_API_KEY: "sk-real-0123456789", OPENAI_BASE_URL: "https://127.0.0.1:1/v1" });
	expect(d.text()).toContain("provider  https://127.0.0.1:1/v1");
	expect(d.text()).not.toContain("sk-real-0123456789");
	expect(await d.stop()).toBe(0);
});
