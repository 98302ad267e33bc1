// The cells of the bench: what is asked of which targets in every round, and what one unit of work is.
import type { Measured } from "./load.ts";
import { availableKiB, localPorts } from "./processes.ts";
import { crowdProcesses, descriptors, type Setup, type TargetName, type Tools } from "./targets.ts";

// How long and how much: a quick run shows that it runs.
export type Effort = { seconds: number; warmup: number; quick: boolean };

export type Cell = {
	name: string;
	title: string;
	unit: "request" | "chunk" | "handshake" | "stream";
	setup: Setup;
	targets: TargetName[];
	// Measured twice in every round, and what ratios are taken to; once in all where it is alone: a proof, no comparison.
	yardstick: TargetName;
	alone?: true;
	// Most that are taken, where each takes long.
	rounds?: number;
	// Judged by delay alone, at a fixed pace: so is whether a round counts, and the processors are kept awake.
	delay?: true;
	// All targets at once, and the yardstick as two.
	beside?: true;
	// Beside one another, but asked in turn, each for a quarter of a second: what the machine does for a second, or for a minute, it does to all.
	slices?: true;
	// In each round all targets are asked so often, one after the other, each time in a shorter while.
	turns?: number;
	// What the load generator is told; for HTTP/2 that is h2load, which has no choice. In a few cells who is asked makes a difference.
	args: (effort: Effort, target?: string) => string[];
	// Asked of all before, in each round for which they were started: what a proxy has done since then shapes its heap, and none of those in service has done only this.
	first?: (effort: Effort) => string[];
	// For the time that a run takes: seconds beyond those of measuring.
	opening?: (effort: Effort) => number;
	// Why what was measured is not what was meant.
	unmeant?: (measured: Measured, effort: Effort, target: string) => string | undefined;
	// Most that nginx is taken for, in units of the relay; it varies too much with 32 KB bodies to say.
	nginxMost?: number;
	// Why this machine, or this Lethe, can't.
	skip?: (tools: Tools) => string | undefined;
	// Only by name.
	extra?: true;
};

export type MemoryCell = { name: string; setup: Setup; targets: Exclude<TargetName, "direct">[]; extra?: true };

export const connections = 64;
export const slowStreams = 18_000;
export const crowdStreams = 100_000;

// ---- set-ups

const plain: Setup = { name: "clear text", tlsIn: false, tlsOut: false, h2In: false, h2Out: false, accounts: 1 };
const slow: Setup = { ...plain, name: "many streams" };
const fresh: Setup = { ...plain, name: "clear text, all at once", fresh: true };
const started: Setup = { ...fresh, name: "clear text, just started" };
const many: Setup = { ...fresh, name: "10,000 accounts", accounts: 10_000 };
const builds: Setup = { ...fresh, name: "both builds" };
const pair: Setup = { ...fresh, name: "both dialects" };
const tls: Setup = { ...fresh, name: "TLS on both sides", tlsIn: true, tlsOut: true };
const tlsStreams: Setup = { ...tls, name: "streams, TLS on both sides", fresh: undefined };
const h2c: Setup = { ...fresh, name: "HTTP/2 in clear text", h2In: true };
const h2: Setup = { ...fresh, name: "HTTP/2 by TLS", h2In: true, tlsIn: true };
const h2Out: Setup = { ...fresh, name: "HTTP/2 by TLS to the provider", h2Out: true, tlsOut: true };
const h2OutStreams: Setup = { ...h2Out, name: "streams, HTTP/2 by TLS to the provider", fresh: undefined };
const crowd: Setup = { ...h2Out, name: "a crowd of streams", crowd: true };
const h2OutTls: Setup = { ...h2Out, name: "TLS on both sides, HTTP/2 to the provider", tlsIn: true };

const all: TargetName[] = ["relay", "nginx", "haproxy", "lethe"];
const delayTargets: TargetName[] = ["direct", "relay", "nginx", "lethe"];
const proxies: TargetName[] = ["nginx", "haproxy", "lethe"];
const edgesTargets: TargetName[] = ["nginx", "nginx-2", "lethe", "lethe-2"];
const uringTargets: TargetName[] = ["relay", "relay-uring", "nginx"];

// ---- loads

const requests = (bytes: number, count = connections) => ["requests", "--connections", String(count), "--body-bytes", String(bytes)];
const time = (e: Effort, warmup: number) => ["--seconds", String(e.seconds), "--warmup", String(warmup * e.warmup)];
// Where the 99th percentile is looked at: of two seconds it is the mood of the machine; and where in two seconds each of several at once does too little to be counted.
const longer = (e: Effort): Effort => (e.quick ? e : { ...e, seconds: 4 * e.seconds });
const streams = (count: number, rate: number) => ["streams", "--connections", String(count), "--rate", String(rate)];
// As many streams begin in a second: a prime, so that they do not write together for ever.
export const opensPerSecond = 1987;
// Streams with TLS begin more slowly, also by a prime: what is measured is streams, not a rush of handshakes.
export const tlsOpensPerSecond = (quick: boolean) => (quick ? opensPerSecond : 487);

// Several targets at once, for what a unit costs: the load generators of all have as many connections, or streams. Turns are short where in a few of them each has the processor for a second.
const atOnce: Partial<Cell> = { setup: fresh, beside: true };
const inTurns: Partial<Cell> = { ...atOnce, turns: 3 };
// Together they begin as many streams in a second as one does alone.
const opensAtOnce = (e: Effort) => ["--opens", String(e.quick ? opensPerSecond : 397)];
const openingAtOnce = (e: Effort) => 1000 / Number(opensAtOnce(e)[1]);
// A quarter of what one alone is asked: a processor that is full finds several chunks of a stream at once, which cost less than each by itself.
const atOnceRate = 5;

// A delay of the machine's own is rarer than a request and commoner than a round: in turn by rounds it meets one target and not the next.
const inSlices: Partial<Cell> = { ...atOnce, slices: true };
const sliced = (e: Effort, targets: TargetName[], warmup: number) => time({ ...e, seconds: (targets.length + 1) * e.seconds }, warmup);

// A processor that is halted between two requests is woken later than any proxy answers, and how late is its host's affair.
const awake = ["--awake"];
// Where the slowest hundredth is looked at: a host that takes a processor away for so long makes it, whoever is asked.
const witnessed = [...awake, "--witness"];

const shortChunks = 10;
// Half of the usual pace, and prime for each of the two load generators: new connections cost far more than chunks.
const slowOpens = 2 * 499;
const slowCount = (e: Effort) => (e.quick ? 1000 : slowStreams);

// Of one process, beside those of two with 18,000: what the number of streams adds to a chunk is seen within a round.
const fewStreams = 1000;
const fewTarget: TargetName = "lethe";

// Chunks of a slow stream come once a second: at least three of each.
function slowArgs(e: Effort, target?: string): string[] {
	const effort = { ...e, seconds: e.quick ? e.seconds : Math.max(3, e.seconds) };
	if (target === fewTarget) return [...streams(fewStreams, 20), ...time(effort, 1)];
	return [...streams(slowCount(e), 1), "--processes", "2", "--opens", String(slowOpens), ...time(effort, 2)];
}

function slowUnmeant({ streaming }: Measured, target: string): string | undefined {
	const meant = target === fewTarget ? fewStreams : slowStreams;
	return streaming === meant ? undefined : `${streaming} streams, where ${meant} were to be held`;
}

// Every process of a target takes half of the streams, with two descriptors each; the simulator takes all of them.
function slowSkip(): string | undefined {
	const needed = slowStreams + 500, ports = localPorts();
	if (descriptors < needed) return `a process may open ${descriptors} descriptors here, and ${needed} are needed`;
	// Beyond half of them the kernel looks for a free one for more than a millisecond, and who connects falls behind.
	if (ports < 2 * needed) return `${ports} ports are for connections to one address, and ${2 * needed} are needed: sysctl -w net.ipv4.ip_local_port_range="1024 65535"`;
	return undefined;
}

// ---- a crowd: seven edges, a simulator and an nginx of HTTP/2 of eight processes each, and as many load generators

const crowdOpens = crowdProcesses * 181;
const crowdGapMs = (e: Effort) => (e.quick ? 500 : 10_000);
const crowdCount = (e: Effort) => (e.quick ? 800 : crowdStreams);
// Each of them says something twice.
const crowdSeconds = (e: Effort) => (2 * crowdGapMs(e)) / 1000;

function crowdArgs(e: Effort): string[] {
	const size = ["--connections", String(crowdCount(e)), "--gap-ms", String(crowdGapMs(e)), "--processes", String(crowdProcesses)];
	return ["streams", ...size, "--opens", String(crowdOpens), "--seconds", String(crowdSeconds(e)), "--warmup", String(e.warmup)];
}

// Of the edges, which share the streams as they come, and of the nginx, one more would be needed with fewer.
function crowdSkip(): string | undefined {
	const descriptorsNeeded = 20_000, gibNeeded = 8, gib = availableKiB() / 2 ** 20;
	if (descriptors < descriptorsNeeded) return `a process may open ${descriptors} descriptors here, and ${descriptorsNeeded} are needed`;
	return gib < gibNeeded ? `${gib.toFixed(1)} GiB of memory are available here, and ${gibNeeded} are needed` : undefined;
}

function crowdUnmeant({ streaming, chunks }: Measured, e: Effort): string | undefined {
	if (streaming !== crowdStreams) return `${streaming} streams, where ${crowdStreams} were to be held`;
	const due = (crowdCount(e) * crowdSeconds(e) * 1000) / crowdGapMs(e);
	return chunks >= 0.95 * due ? undefined : `${chunks} chunks, where ${due} were due`;
}

const cell = (name: string, title: string, unit: Cell["unit"], args: Cell["args"], rest: Partial<Cell> = {}): Cell => ({
	name, title, unit, setup: plain, targets: all, yardstick: "nginx", args, ...rest,
});

const http1: Cell[] = [
	cell("request_1k", "1 KB bodies and answers, 64 connections, closed loop", "request", (e) => [...requests(1024), ...sliced(e, all, 0.5)], { ...inSlices, nginxMost: 1.6 }),
	cell("request_32k", "32 KB bodies, 64 connections, closed loop", "request", (e) => [...requests(32768), ...sliced(e, all, 0.5)], {
		...inSlices, first: (e) => [...requests(1024), ...sliced({ ...e, seconds: Math.min(e.seconds, 1) }, all, 0.5)],
	}),
	// By name: beside an nginx whose heap has never been anything else's.
	cell("request_32k_started", "32 KB bodies of proxies that were just started, 64 connections, closed loop", "request", (e) => [...requests(32768), ...sliced(e, all, 0.5)], {
		...inSlices, setup: started, extra: true,
	}),
	cell("answer_32k", "1 KB bodies, 32 KB answers, 64 connections, closed loop", "request", (e) => [...requests(1024), "--sim", "body_bytes=32768", ...time(e, 0.5)], inTurns),
	// Of so few requests what is under way at the ends counts.
	cell("request_1m", "1 MB bodies and answers, 16 connections, closed loop", "request", (e) => [
		...requests(1 << 20, 16), "--sim", `body_bytes=${1 << 20}`, ...time(longer(e), 0.5),
	], atOnce),
	cell("request_paced", "1 KB bodies and answers, 4,000 requests a second", "request", (e) => [...requests(1024), "--rate", "4000", ...witnessed, ...sliced(longer(e), delayTargets, 0.5)], {
		...inSlices, delay: true, targets: delayTargets,
	}),
	cell("stream", "1,000 streams of 20 chunks a second", "chunk", (e) => [...streams(1000, 20), ...time(e, 1)], {
		targets: ["direct", ...all], nginxMost: 1.6, opening: () => 0.6,
	}),
	cell("stream_paced", "1,000 streams of 20 chunks a second, for their delay", "chunk", (e) => [...streams(1000, 20), ...awake, ...time(e, 1)], {
		targets: delayTargets, delay: true, opening: () => 0.6,
	}),
	// The simulator speaks chat completions alone, so that nobody else can be asked this.
	cell("stream_translated", `1,000 streams of ${atOnceRate} chunks a second passed through, and messages towards clients of chat completions from the provider`, "chunk", (e, target) => [
		...streams(1000, atOnceRate), ...(target === "lethe-translates" ? ["--path", "/v1/messages", "--max-tokens", "100000"] : []), ...opensAtOnce(e), ...time(longer(e), 1),
	], { ...atOnce, setup: pair, targets: ["lethe", "lethe-translates"], yardstick: "lethe", opening: openingAtOnce }),
	cell("stream_short", `streams of ${shortChunks} chunks, 10 ms apart, 256 at a time, each over a connection of its own`, "stream", (e) => [
		...requests(1024, 256), "--once", "--stream", "--sim", `chunks=${shortChunks},gap_ms=10`, ...time(e, 0.5),
	], inTurns),
	cell("first_byte", "1,000 streams of three chunks begin in a second, delay until the first byte of the answer's body", "stream", (e) => [
		// Few chunks: what follows the first only keeps the simulator and the load generator from looking at the next one's first.
		...requests(1024), "--rate", "1000", "--stream", "--first-byte", "--sim", "chunks=3,gap_ms=10", ...witnessed, ...sliced(longer(e), delayTargets, 0.5),
	], { ...inSlices, delay: true, targets: delayTargets }),
];

const shares: Cell[] = [
	// Two processes at once would be given twice the processor that one is.
	cell("edges_1k", "one account, one process and two: 1 KB, 64 connections, closed loop", "request", (e) => [...requests(1024), ...sliced(e, edgesTargets, 0.5)], {
		...inSlices, targets: edgesTargets,
	}),
	cell("accounts_1k", "10,000 accounts in turn, one process and two: 1 KB, 64 connections, closed loop", "request", (e) => [...requests(1024), ...sliced(e, edgesTargets, 0.5)], {
		...inSlices, setup: many, targets: edgesTargets,
	}),
	cell("stream_slow", "18,000 streams of a chunk a second, two processes of each; beside them one of Lethe with 1,000 of 20", "chunk", slowArgs, {
		setup: slow,
		rounds: 3,
		targets: ["direct", "relay-2", "nginx-2", "haproxy-2", fewTarget, "lethe-2"],
		yardstick: "nginx-2",
		skip: slowSkip,
		unmeant: (measured, _, target) => slowUnmeant(measured, target),
		opening: (e) => slowCount(e) / slowOpens + (e.quick ? 0.5 : 2),
	}),
];

const byTls: Cell[] = [
	// Warm when all have shaken hands twice, the provider's side beside it.
	cell("tls_request_1k", "TLS on both sides, 1 KB, 64 kept connections that resumed a session", "request", (e) => [...requests(1024), ...time(e, 3)], {
		...inTurns,
		setup: tls,
		targets: proxies,
		unmeant: ({ handshakes, resumed_now }) => {
			if (handshakes) return `${handshakes} handshakes, where connections were to be kept`;
			return resumed_now === connections ? undefined : `${resumed_now} of ${connections} connections had resumed a session`;
		},
	}),
	cell(
		"tls_handshakes", "TLS on both sides, a full handshake and one 1 KB request on each connection, the provider's side kept", "handshake",
		(e) => [...requests(1024), "--handshakes", "full", "--sim", "chunks=1", ...time(longer(e), 0.5)],
		{
			setup: tls,
			targets: proxies,
			unmeant: ({ handshakes, resumed, requests: answered }) => {
				if (resumed) return `${resumed} of ${handshakes} handshakes were resumed, where full ones were to be measured`;
				return Math.abs(handshakes - answered) <= 2 * connections ? undefined : `${handshakes} handshakes for ${answered} requests`;
			},
		},
	),
	cell("tls_stream", "TLS on both sides, 1,000 streams of 20 chunks a second", "chunk", (e) => [...streams(1000, 20), "--opens", String(tlsOpensPerSecond(e.quick)), ...time(e, 1)], {
		setup: tlsStreams, targets: ["direct", ...proxies], opening: (e) => 1000 / tlsOpensPerSecond(e.quick),
	}),
];

// What lockdown, secret memory and wiping cost: beside a build without them.
const bareTargets: TargetName[] = ["lethe-bare", "lethe"];
const pacedTargets: TargetName[] = ["direct", ...bareTargets];
const lockdown: Cell[] = [
	cell("lockdown", "with lockdown, secret memory and wiping, and without: 1 KB, 64 connections, closed loop", "request", (e) => [...requests(1024), ...time(e, 0.5)], {
		...atOnce, setup: builds, targets: bareTargets, yardstick: "lethe-bare", turns: 4,
	}),
	cell("lockdown_paced", "the same, 4,000 requests a second", "request", (e) => [...requests(1024), "--rate", "4000", ...awake, ...sliced(longer(e), pacedTargets, 0.5)], {
		...inSlices, delay: true, setup: builds, targets: pacedTargets, yardstick: "lethe-bare",
	}),
];

const noH2load = (tools: Tools) => (tools.h2load ? undefined : "h2load is not installed: apt-get install nghttp2-client");

const http2: Cell[] = [
	cell("h2_request_1k", "HTTP/2 in clear text towards clients, 4 connections of 16 streams, 1 KB, closed loop", "request", () => [], {
		...inTurns, setup: h2c, targets: proxies, skip: noH2load,
	}),
	cell("h2_tls_request_1k", "HTTP/2 by TLS towards clients, 4 connections of 16 streams, 1 KB, closed loop", "request", () => [], {
		...inTurns, setup: h2, targets: proxies, skip: noH2load,
	}),
	// nginx asks by HTTP/1.1 alone.
	cell("h2_out_request_1k", "HTTP/2 by TLS towards the provider, HTTP/1.1 in clear text towards clients, 1 KB, 64 connections", "request", (e) => [...requests(1024), ...time(e, 1)], {
		...inTurns, setup: h2Out, targets: ["haproxy", "lethe"], yardstick: "haproxy",
	}),
	cell("h2_out_stream", "HTTP/2 by TLS towards the provider, 1,000 streams of 20 chunks a second", "chunk", (e) => [...streams(1000, 20), ...time(e, 1)], {
		setup: h2OutStreams, targets: ["haproxy", "lethe"], yardstick: "haproxy", opening: () => 0.6,
	}),
	cell("stream_100k", "100,000 streams of a chunk every 10 s, HTTP/2 towards the provider, seven edges", "chunk", crowdArgs, {
		setup: crowd, targets: ["lethe-7"], yardstick: "lethe-7", alone: true, rounds: 1,
		skip: crowdSkip, unmeant: crowdUnmeant,
		opening: (e) => crowdCount(e) / crowdOpens + (e.quick ? 0.5 : 10),
	}),
];

// docs/decisions/0032: the relay by epoll and by io_uring.
const uring = http1.filter(({ name }) => ["request_1k", "request_32k", "stream"].includes(name)).map(
	(of): Cell => ({ ...of, name: `uring_${of.name}`, title: `epoll and io_uring: ${of.title}`, targets: uringTargets, yardstick: "relay", extra: true }),
);

export const cells: Cell[] = [...http1, ...lockdown, ...shares, ...byTls, ...http2, ...uring];

export const memoryCells: MemoryCell[] = [
	{ name: "memory", setup: plain, targets: ["relay", "nginx", "haproxy", "lethe"] },
	{ name: "tls_memory", setup: tls, targets: ["nginx", "haproxy", "lethe"] },
	{ name: "h2_out_memory", setup: h2OutTls, targets: ["haproxy", "lethe"] },
];
