import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Pattern, searchProcess } from "../harness/search.ts";
import { Session } from "../harness/session.ts";
import { until } from "../harness/until.ts";
import { world, type World } from "../harness/world.ts";

const isRoot = process.getuid!() === 0;

// In everything that is said, in both directions; masked frames are looked for by what they unmask to.
const mark = `mark${randomBytes(12).toString("hex")}`;
const patterns: Pattern[] = [["the mark", Buffer.from(mark)], ["the mark in UTF-16", Buffer.from(mark, "utf16le")]];
const found = (w: World) => [w.lethe.pid, ...w.lethe.children()].flatMap((pid) => searchProcess(pid, patterns).found);

function files(folder: string): string[] {
	return readdirSync(folder).flatMap((name) => {
		const path = join(folder, name);
		const kind = statSync(path);
		return kind.isDirectory() ? files(path) : kind.isFile() ? [path] : [];
	});
}

describe.skipIf(!isRoot)("realtime sessions, in memory that is neither secret nor locked", () => {
	let w: World;
	beforeAll(async () => {
		w = await world({ plainAs: 65534, edges: 1, config: { allow_plain_memory: true, timeouts: { websocket_close: "500ms" } } });
	});
	afterAll(() => w?.end());

	const open = (script: string) => Session.open(w.lethe.url, w.customer.key, script, { query: "model=exact", protocols: ["realtime", mark] });

	function speak(s: Session): void {
		s.say({ type: "session.update", session: { instructions: mark } });
		s.say({ type: "conversation.item.create", item: { type: "message", role: "user", content: [{ type: "input_text", text: mark }] } });
		s.say({ type: "input_audio_buffer.append", audio: mark + "A".repeat(100_000) });
		s.say({ type: "response.create" });
	}

	test("in flight it is there; behind them it is nowhere, however they end", async () => {
		const flying = await open("echo=1,chunks=100000"); // who does not read leaves something in the edge, and only so
		flying.socket.pause();
		speak(flying);
		await until("the search reaches it", () => found(w).length > 0);
		flying.socket.terminate();
		const ends: [string, (s: Session) => unknown][] = [
			["closed", (s) => s.close()],
			["closed for a reason", (s) => s.socket.close(4000, mark)],
			["gone", (s) => s.socket.terminate()],
			["binary", (s) => s.socket.send(Buffer.from(mark))],
			["no JSON", (s) => s.socket.send(mark)],
			["in half a message", (s) => s.socket.send(`{"type":"${mark}`, { fin: false }, () => s.socket.terminate())],
			["pinged", (s) => s.socket.ping(mark, true, () => s.socket.close())],
		];
		for (const script of ["echo=1", "echo=1,fragment=7", "echo=1,cut_after=1500", "echo=1,mid_error=1,leak=1", "echo=1,hang=body", "echo=1,ws_close=1011"])
			for (const [, how] of ends) {
				const s = await open(script);
				speak(s);
				await until("something comes of it", async () => s.closed || s.count("response.created"));
				if (!s.closed) how(s);
				await s.over();
			}
		await until("all have ended", async () => (await w.lethe.command("status"))["running"] === 0);
		await until("nothing is left", () => found(w).length === 0, 20_000).catch(() => expect(found(w)).toEqual([]));
		for (const path of files(w.lethe.dir)) expect(readFileSync(path).includes(mark), path).toBe(false);
	});
});
