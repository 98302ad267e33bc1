// HTTP/2 by h2load (nghttp2): as many requests as fit into the time, over 4 connections of 16 streams, against several targets at the same time. CPU time is read before the
// first and after the last, so that the four handshakes are in it, and the up to 64 requests that nobody waits for at the end: less than a hundredth of it.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Effort } from "./cells.ts";
import type { Measured } from "./load.ts";
import type { Meeting } from "./meeting.ts";
import { cpuTime, driverProcessor, machineTime } from "./processes.ts";
import { percentile } from "./statistics.ts";
import type { Target, Tools } from "./targets.ts";

const connections = 4;
const streams = 16;

type Request = { path: string; headers: string[]; body: Buffer };

// The very request that lethe-load would send: same headers, same body.
function request(tools: Tools, target: Target): Request {
	const headers = target.headers.flatMap((header) => ["--header", header]);
	const all = execFileSync(tools.load, ["requests", "--connect", target.addresses[0]!, "--body-bytes", "1024", ...headers, "--print"]);
	const end = all.indexOf("\r\n\r\n");
	const [line, ...fields] = all.subarray(0, end).toString().split("\r\n");
	// These say where the message ends and whom it is for, which HTTP/2 says by itself.
	const own = /^(host|content-length|connection):/;
	return { path: line!.split(" ")[1]!, headers: fields.filter((field) => !own.test(field)), body: all.subarray(end + 4) };
}

export type Finished = { seconds: number; good: number; errors: number; firstError: string; selfNs: number };

// What h2load prints, and after it what `times` says of it. It falls back to HTTP/1.1 where that is all that a server speaks: not what was meant.
export function readOutput(text: string): Finished {
	const number = (pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? Number.NaN);
	const unit = { us: 1e-6, ms: 1e-3, s: 1 }[/finished in [\d.]+(us|ms|s)\b/.exec(text)?.[1] ?? "s"]!;
	const protocol = /^Application protocol: (.*)$/m.exec(text)?.[1] ?? "none";
	const wanted = number(/^requests: (\d+) total/m) || 0; // none: nobody was there, or it died, and that is an error too
	const good = /^h2c?$/.test(protocol) ? number(/status codes: (\d+) 2xx/) || 0 : 0;
	const times = [...text.matchAll(/(\d+)m([\d.]+)s/g)].slice(-2).map(([, minutes, seconds]) => Number(minutes) * 60 + Number(seconds));
	const said = /^(requests: .*|status codes: .*)$/gm;
	return {
		seconds: number(/finished in ([\d.]+)/) * unit,
		good,
		errors: wanted > 0 ? wanted - good : 1,
		firstError: wanted > 0 && good === wanted ? "" : [`application protocol: ${protocol}`, ...[...text.matchAll(said)].map(([line]) => line)].join("; "),
		selfNs: times.reduce((sum, one) => sum + one, 0) * 1e9,
	};
}

// Lines of --log-file: when a request began, its status, and how long it took in µs.
export function readLog(text: string): number[] {
	return text
		.split("\n")
		.map((line) => line.split("\t"))
		.filter((fields) => fields.length >= 3 && fields[1]!.startsWith("2"))
		.map((fields) => Number(fields[2]))
		.sort((a, b) => a - b);
}

async function run(tools: Tools, target: Target, what: Request, folder: string, seconds: number): Promise<Finished> {
	const body = join(folder, "body");
	writeFileSync(body, what.body);
	rmSync(join(folder, "log"), { force: true });
	const scheme = target.certificates ? "https" : "http";
	const [, port] = target.addresses[0]!.split(":");
	const args = ["-D", `${Math.round(seconds * 1000)}ms`, "-c", String(connections), "-m", String(streams), "-t", "1", "-d", body, "--log-file", join(folder, "log")];
	const headers = what.headers.flatMap((header) => ["-H", header]);
	const url = `${scheme}://localhost:${port}${what.path}`;
	const command = [tools.h2load!, ...args, "--connect-to", target.addresses[0]!, ...headers, url];
	const child = spawn("taskset", ["-c", driverProcessor, "sh", "-c", '"$@" 2>&1; times', "sh", ...command], { stdio: ["ignore", "pipe", "inherit"] });
	let text = "";
	for await (const bytes of child.stdout) text += String(bytes);
	return readOutput(text);
}

export async function measureH2(tools: Tools, target: Target, effort: Effort, meeting: Meeting): Promise<Measured> {
	const folder = mkdtempSync(join(tmpdir(), "lethe-bench-"));
	try {
		const what = request(tools, target);
		await run(tools, target, what, folder, effort.warmup / 2);
		await meeting.arrive();
		const before = { at: performance.now(), machine: machineTime(), groups: cpuTimes(target) };
		const finished = await run(tools, target, what, folder, effort.seconds);
		const after = { at: performance.now(), machine: machineTime(), groups: cpuTimes(target) };
		await meeting.arrive();
		const latencies = finished.good ? readLog(readFileSync(join(folder, "log"), "utf8")) : [];
		return {
			event: "end", seconds: finished.seconds, streaming: 0, chunks: 0, resumed: 0, resumed_now: 0,
			requests: finished.good, errors: finished.errors, first_error: finished.firstError, handshakes: target.certificates ? connections : 0,
			timed: latencies.length, disturbed: 0,
			p50_us: percentile(latencies, 0.5), p99_us: percentile(latencies, 0.99),
			cpu_ns: Object.fromEntries(Object.entries(after.groups).map(([label, ns]) => [label, ns - before.groups[label]!])),
			wall_seconds: (after.at - before.at) / 1000, machine_ns: after.machine - before.machine, self_ns: finished.selfNs,
		};
	} catch (error) {
		meeting.fail(error as Error);
		throw error;
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

function cpuTimes(target: Target): Record<string, number> {
	return Object.fromEntries(Object.entries(target.groups).map(([label, pids]) => [label, cpuTime(pids)]));
}
