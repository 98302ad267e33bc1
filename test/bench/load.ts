// Runs the load generator against one target and reads what it measured.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Meeting } from "./meeting.ts";
import { driverProcessor } from "./processes.ts";
import type { Target, Tools } from "./targets.ts";

export type Measured = {
	event: string;
	seconds: number;
	streaming: number;
	requests: number;
	chunks: number;
	errors: number;
	// By TLS: handshakes that were counted, how many of them resumed a session, and how many connections that are open now did.
	handshakes: number;
	resumed: number;
	resumed_now: number;
	// How many delays the percentiles are of; beside a witness not of those that were due while the machine stood still.
	timed: number;
	disturbed: number;
	p50_us: number;
	p99_us: number;
	cpu_ns: Record<string, number>;
	// CPU time of all processors, and of the load generator itself, in these seconds; wall_seconds where it was taken for longer.
	wall_seconds?: number;
	machine_ns: number;
	self_ns: number;
	first_error: string;
};

function spawnLoad(tools: Pick<Tools, "load">, target: Target, args: string[]) {
	const groups = Object.entries(target.groups).flatMap(([label, pids]) => ["--cpu", `${label}=${pids.join(",")}`]);
	const headers = target.headers.flatMap((header) => ["--header", header]);
	const tls = target.certificates ? ["--tls", "--ca", target.certificates.ca] : [];
	const keys = target.keysFile ? ["--keys", target.keysFile] : [];
	const all = [...args, ...target.addresses.flatMap((address) => ["--connect", address]), ...tls, ...headers, ...keys, ...groups];
	return spawn("taskset", ["-c", driverProcessor, tools.load, ...all], { stdio: ["pipe", "pipe", "inherit"] });
}

// With a meeting others are measured at the same time: it counts between the same two instants as they do, and its load is there as long as any of them counts.
export async function measure(tools: Pick<Tools, "load">, target: Target, args: string[], meeting?: Meeting): Promise<Measured> {
	const child = spawnLoad(tools, target, meeting ? [...args, "--beside"] : args);
	child.stdin.on("error", () => {}); // it ended: then so did its output
	let last: Measured | undefined;
	try {
		for await (const line of createInterface({ input: child.stdout })) {
			last = JSON.parse(line) as Measured;
			await meeting?.arrive();
			child.stdin.write("\n");
		}
		if (last?.event !== "end") throw new Error(`the load generator did not finish against ${target.name}`);
		return last;
	} catch (error) {
		meeting?.fail(error as Error);
		child.kill();
		throw error;
	} finally {
		child.stdin.end();
	}
}

// Holds streams open while `look` looks.
export async function hold<T>(tools: Pick<Tools, "load">, target: Target, args: string[], look: (held: Measured) => Promise<T>): Promise<T> {
	const child = spawnLoad(tools, target, ["hold", ...args]);
	const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
	const first = await lines.next();
	if (first.done) throw new Error(`the load generator did not hold streams against ${target.name}`);
	const result = await look(JSON.parse(first.value) as Measured);
	const exit = new Promise((resolve) => child.once("exit", resolve));
	child.stdin.end();
	await exit;
	return result;
}
