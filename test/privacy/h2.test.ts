import { randomBytes } from "node:crypto";
import { chmodSync, copyFileSync, readFileSync } from "node:fs";
import { type ClientHttp2Session, connect, constants, createSecureServer, type Http2SecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { trustAuthority } from "../harness/certificates.ts";
import { removeFolder, temporaryFolder } from "../harness/paths.ts";
import { type Pattern, searchProcess } from "../harness/search.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

const isRoot = process.getuid!() === 0;

// In everything that is said.
const mark = `mark${randomBytes(12).toString("hex")}`;
const patterns: Pattern[] = [["the mark", Buffer.from(mark)], ["the mark in UTF-16", Buffer.from(mark, "utf16le")]];
const found = (w: World) => [w.lethe.pid, ...w.lethe.children()].flatMap((pid) => searchProcess(pid, patterns).found);

// Streams of HTTP/2 through and through. The provider's connection lives on behind the exchanges, with the tables of fields that were sent over it; the client's is closed.
describe.skipIf(!isRoot)("HTTP/2 on both sides, in memory that is neither secret nor locked", () => {
	let w: World;
	let server: Http2SecureServer;
	let session: ClientHttp2Session;
	const folder = temporaryFolder();

	// Says the words again: whole, in events, cut in the middle, as an error, or never.
	function speak(): Http2SecureServer {
		const files = trustAuthority();
		const provider = createSecureServer({ cert: readFileSync(files.certificate), key: readFileSync(files.key) });
		provider.on("stream", (stream, headers) => {
			const parts: Buffer[] = [];
			stream.on("error", () => {});
			stream.on("data", (bytes: Buffer) => parts.push(bytes));
			stream.on("end", () => {
				const content = JSON.parse(Buffer.concat(parts).toString()).messages[0].content;
				const how = String(headers["x-how"]);
				if (how === "never") {
					server.emit("asked");
					return;
				}
				stream.respond({ ":status": how === "error" ? 400 : 200, "content-type": how === "whole" || how === "error" ? "application/json" : "text/event-stream" });
				if (how === "error") stream.end(JSON.stringify({ error: { message: content, type: "x" } }));
				else if (how === "whole") stream.end(JSON.stringify({ choices: [{ message: { role: "assistant", content } }], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }));
				else {
					for (let i = 0; i < 20; i++) stream.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`);
					if (how === "streamed") stream.end("data: [DONE]\n\n");
					else if (how === "cut") setImmediate(() => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
				}
			});
		});
		return provider;
	}

	function ask(how: string, place: string, until: "end" | "data" | "sent" | "half" = "end", headers: Record<string, string> = {}): Promise<number> {
		const text = JSON.stringify({ model: "both", stream: how !== "whole", messages: [{ role: "user", content: `${place}: ${mark}` }] });
		const stream = session.request({
			":method": "POST",
			":path": "/v1/chat/completions",
			authorization: `Bearer ${w.customer.key}`,
			"x-how": how,
			"x-note": `${place}: ${mark}`,
			...headers,
		});
		let status = 0;
		stream.on("response", (got) => (status = Number(got[":status"])));
		stream.on("error", () => {});
		stream.on("data", () => until === "data" && stream.close(constants.NGHTTP2_CANCEL));
		const leave = () => stream.close(constants.NGHTTP2_CANCEL);
		if (until === "half") stream.write(text.slice(0, -3), leave);
		else stream.end(text);
		if (until === "sent") server.once("asked", leave);
		return new Promise((resolve) => stream.on("close", () => resolve(status)));
	}

	beforeAll(async () => {
		server = speak();
		await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
		chmodSync(folder, 0o755);
		const ca = join(folder, "ca.pem");
		copyFileSync(trustAuthority().ca, ca);
		chmodSync(ca, 0o644);
		const both = { name: "both", url: `https://localhost:${(server.address() as AddressInfo).port}/v1`, ca_file: ca, keys: [{ env: "SIM_API_KEY" }], pass_headers: ["x-how", "x-note"] };
		w = await world({
			tls: true,
			plainAs: 65534,
			edges: 1,
			config: { allow_plain_memory: true },
			extra: { providers: [both], models: [{ id: "both", provider: "both", prices: [{ input: "1.00", output: "10.00" }] }] },
		});
		session = connect(w.lethe.url);
		session.on("error", () => {});
	});
	afterAll(async () => {
		session?.destroy();
		await w?.end();
		server?.close();
		removeFolder(folder);
	});

	test("in flight it is there; behind the exchanges, with the provider's connection still open, it is nowhere", async () => {
		const waiting = ask("never", "flying", "end");
		await until("the search reaches it", () => found(w).length > 0);
		expect(await ask("whole", "whole")).toBe(200);
		expect(await ask("streamed", "streamed")).toBe(200);
		expect(await ask("error", "error")).toBe(400);
		expect(await ask("whole", "bad-key", "end", { authorization: `Bearer ${mark}` })).toBe(401);
		await ask("cut", "cut");
		for (const at of ["data", "sent", "half"] as const) await ask(at === "data" ? "open" : "never", `left-${at}`, at);
		session.destroy();
		await waiting;
		await until("all exchanges have ended", async () => (await w.lethe.command("status"))["running"] === 0);
		await until("nothing is left", () => found(w).length === 0, 20_000).catch(() => expect(found(w)).toEqual([]));
	});
});
