// What ./dev bench makes of figures: statistics, reasons to be void, bars, the page.
import { join } from "node:path";
import { expect, test } from "vitest";
import { bars, barsText, barText } from "../bench/bars.ts";
import { cells, memoryCells } from "../bench/cells.ts";
import { readLog, readOutput } from "../bench/h2load.ts";
import { measure } from "../bench/load.ts";
import { Meeting } from "../bench/meeting.ts";
import { page, plot } from "../bench/page.ts";
import { type CellReport, cellText, counting, reportCell, type Rounds, skippedCell } from "../bench/report.ts";
import type { Held, Sample } from "../bench/sample.ts";
import { percentile, ratios, spread } from "../bench/statistics.ts";
import type { Target, Tools } from "../bench/targets.ts";
import { build } from "../harness/paths.ts";
import { Sim } from "../harness/sim.ts";

const cellOf = (name: string) => cells.find((cell) => cell.name === name)!;

function measured(cpu: Record<string, number>, rest: Partial<Sample> = {}): Sample {
	return { cpu, perSecond: 1000, p50: 100, p99: 200, foreign: 0, errors: 0, firstError: "", unmeant: undefined, ...rest };
}

// As many rounds as there are factors, which all targets of a round have in common: the drift of a machine.
function rounds(costs: Record<string, Record<string, number>>, factors = [1, 2, 3]): Rounds {
	const scaled = (cpu: Record<string, number>, factor: number) => Object.fromEntries(Object.entries(cpu).map(([group, us]) => [group, us * factor]));
	return Object.fromEntries(Object.entries(costs).map(([target, cpu]) => [target, factors.map((factor) => measured(scaled(cpu, factor)))]));
}

const usual = { relay: { all: 10 }, nginx: { all: 15 }, "nginx-again": { all: 15 }, haproxy: { all: 12 }, lethe: { all: 18, edge: 14.25, ledger: 2 } };

function report(name: string, costs: Record<string, Record<string, number>> = usual): CellReport {
	return reportCell(cellOf(name), rounds(costs));
}

function delays(of: Rounds, all: Record<string, [number, number]>): void {
	for (const [target, [p50, p99]] of Object.entries(all)) for (const one of of[target]!) Object.assign(one, { p50, p99 });
}

function held(perStreamKiB: number, streams: number): Held[] {
	return [{ perStreamKiB, streams, idleKiB: 0, idleLargestKiB: 9 * 1024, totalKiB: 0, kind: "PSS" }];
}

function verdict(reports: CellReport[], memories: Record<string, Record<string, Held[]>>, what: string): string {
	const bar = bars(reports, memories).find((one) => one.name === what)!;
	return barText(bar).replace(bar.name, "").replace(/\s+/g, " ");
}

test("ratios are taken within a round: a drift of the machine is not in them", () => {
	const row = report("request_1k").rows.find((one) => one.name === "lethe edge")!;
	expect(row.toYardstick).toEqual({ min: 0.95, median: 0.95, max: 0.95 });
	expect(row.toRelay!.median).toBeCloseTo(1.425);
	expect(row.cpu).toEqual({ min: 14.25, median: 28.5, max: 42.75 });
	expect(ratios([2, 9], [1, 3])).toEqual([2, 3]);
	expect(spread([Number.NaN, 3, 1, 2])).toEqual({ min: 1, median: 2, max: 3 });
	expect(spread([])).toBeUndefined();
});

test("a percentile is one of the values", () => {
	const values = Array.from({ length: 100 }, (_, i) => i + 1);
	expect([percentile(values, 0.5), percentile(values, 0.99), percentile([7], 0.99)]).toEqual([50, 99, 7]);
	expect(percentile([], 0.5)).toBeNaN();
});

test("a run is void when the yardstick differs from itself, others were busy, or an answer was wrong", () => {
	expect(report("request_1k").void).toEqual([]);
	expect(report("request_1k", { ...usual, "nginx-again": { all: 18 } }).void[0]).toContain("nginx differs from itself");
	const busy = rounds(usual);
	for (const one of busy["haproxy"]!) one.foreign = 0.3;
	expect(reportCell(cellOf("request_1k"), busy).void).toEqual(["other processes used up to 30.0 % of the machine in most rounds, beside haproxy"]);
	const wrong = rounds(usual);
	Object.assign(wrong["lethe"]![1]!, { errors: 2, firstError: "status 503" });
	expect(reportCell(cellOf("request_1k"), wrong).void).toEqual(["lethe: 2 errors, the first: status 503"]);
});

test("a round counts when the yardstick finds itself again in it; a wrong answer is one in any round", () => {
	const some = rounds(usual, [1, 1, 1]);
	some["nginx-again"]![1]!.cpu["all"] = 15 * 1.3;
	some["lethe"]![1]!.cpu["all"] = 15;
	const cell = cellOf("request_1k");
	expect(counting(cell, some)).toBe(2);
	const two = reportCell(cell, some, 2), text = cellText(two);
	expect(two.void).toEqual([]);
	expect(two.rows.find((one) => one.name === "lethe all")!.toYardstick).toEqual({ min: 1.2, median: 1.2, max: 1.2 });
	expect(text).toContain("1 of 3 rounds do not count: nginx cost 0.77 × what it cost when measured again");
	expect(page({ when: "", about: "", void: [], reports: [two], memories: {}, bars: [] })).toContain("1 of 3 rounds do not count");
	expect(reportCell(cell, some, 3).void).toEqual(["nginx differs from itself by more than 10.0 %, or is late, in too many rounds: 2 count, 3 were asked for"]);
	Object.assign(some["lethe"]![1]!, { errors: 7, firstError: "status 503" });
	expect(reportCell(cell, some, 2).void).toEqual(["lethe: 7 errors, the first: status 503"]);
	for (const one of some["nginx-again"]!) one.cpu["all"] = 20;
	expect(reportCell(cell, some, 1).void).toEqual([expect.stringContaining("0 count, 1 were asked for"), "lethe: 7 errors, the first: status 503"]);
	expect(cellText(reportCell(cell, some, 1))).toContain("no round counts");
});

test("at a fixed pace a round counts when the yardstick takes as long at the median again, whatever either cost and whatever others add", () => {
	const cell = cellOf("request_paced"), some = rounds({ direct: { all: 1 }, ...usual });
	for (const one of some["nginx-again"]!) one.cpu["all"] = 90;
	delays(some, { direct: [50, 90], nginx: [110, 500], "nginx-again": [115, 900], lethe: [400, 9000] });
	expect(counting(cell, some)).toBe(3);
	some["nginx"]![1]!.p50 = 102;
	some["nginx-again"]![2]!.p50 = 123;
	expect(counting(cell, some)).toBe(1);
	expect(cellText(reportCell(cell, some, 1))).toContain("2 of 3 rounds do not count: nginx took at the median 0.89 × what it took at the median when measured again; ");
});

test("more than a bar allows fails, what it allows passes", () => {
	const all = "1 KB request, all processes, CPU to nginx";
	expect(verdict([report("request_1k")], {}, all)).toBe("pass : 1.20, at most 1.3");
	expect(verdict([report("request_1k", { ...usual, lethe: { all: 19.65, edge: 15 } })], {}, all)).toBe("FAIL : 1.31, at most 1.3");
	expect(verdict([report("tls_request_1k", { ...usual, lethe: { all: 16.65 } })], {}, "TLS, 1 KB request, all processes, CPU to nginx")).toContain("FAIL");
	expect(verdict([report("edges_1k")], {}, "1 KB request, ledger, µs a ticket")).toBe("FAIL : 4.00, at most 3");
});

test("handshakes that cost more CPU time are fewer in a second of it", () => {
	const name = "TLS, handshakes a CPU second, all processes, to nginx";
	expect(verdict([report("tls_handshakes", { ...usual, lethe: { all: 12, edge: 12 } })], {}, name)).toBe("pass : 1.25, at least 0.9");
	expect(verdict([report("tls_handshakes", usual)], {}, name)).toBe("FAIL : 0.83, at least 0.9");
});

test("bars between targets and between cells", () => {
	const edges = { nginx: { all: 15 }, "nginx-again": { all: 15 }, lethe: { all: 20, edge: 15 }, "lethe-2": { all: 23, edge: 16 } };
	expect(verdict([report("edges_1k", edges)], {}, "two edges, one account, CPU a request to one edge's")).toBe("FAIL : 1.15, at most 1.1");
	expect(verdict([report("h2_tls_request_1k", usual)], {}, "HTTP/2 by TLS, 1 KB request, all processes, CPU to HAProxy")).toBe("FAIL : 1.50, at most 1.2");
	const slow = report("stream_slow", { "nginx-2": { all: 15 }, "nginx-2-again": { all: 15 }, lethe: { all: 18, edge: 18 }, "lethe-2": { all: 19, edge: 19 } });
	expect(verdict([slow], {}, "18,000 slow streams, CPU a chunk to that of 1,000 streams")).toBe("pass : 1.06, at most 1.15");
});

test("what a proxy did before is the same for all: small requests come before large ones", () => {
	const effort = { seconds: 2, warmup: 1, quick: false }, bytes = (args: string[]) => args[args.indexOf("--body-bytes") + 1];
	expect(bytes(cellOf("request_32k").first!(effort))).toBe("1024");
	expect(bytes(cellOf("request_32k").args(effort))).toBe("32768");
});

test("beside a proxy that is slower than it has to be nobody is fast: nginx is taken for so many times the relay at most", () => {
	const slow = report("request_1k", { ...usual, relay: { all: 9 }, nginx: { all: 18 }, "nginx-again": { all: 18 } });
	expect(slow.void).toEqual([]);
	expect(slow.rows.find((one) => one.name === "lethe edge")!.toYardstick!.median).toBeCloseTo(14.25 / (1.6 * 9));
	expect(cellText(slow)).toContain("nginx cost 2.00 × the relay a request; where it cost more than 1.6 ×, in 3 of 3, it is taken for that");
	expect(page({ when: "", about: "", void: [], reports: [slow], memories: {}, bars: [] })).toContain("nginx cost 2.00 × the relay");
	expect(cellText(report("request_1k"))).not.toContain("taken for");
	const large = report("request_32k", { ...usual, relay: { all: 5 } });
	expect(large.rows.find((one) => one.name === "lethe edge")!.toYardstick!.median).toBeCloseTo(0.95);
});

test("who is asked in slices has its delays told, and the simulator's work for all is nobody's", () => {
	const some = rounds({ direct: { all: Number.NaN }, relay: { all: 10 }, nginx: { all: 15 }, "nginx-again": { all: 15 }, lethe: { all: 18 } });
	delays(some, { direct: [50, 90] });
	const text = cellText(reportCell(cellOf("request_paced"), some, 1));
	expect(text).toContain("in turn on one processor, a quarter of a second each");
	expect(text.split("\n").find((line) => line.startsWith("direct "))).toMatch(/^direct +1000 +50 +90$/);
	expect(text.split("\n").find((line) => line.startsWith("nginx "))).toMatch(/ 1000 +100 +200 +50 \(50..50\) +110 \(110..110\)$/);
});

test("of what is measured at once the rates are told beside the costs, and no delays", () => {
	const some = rounds(usual);
	for (const one of some["lethe"]!) one.perSecond = 900;
	for (const one of some["nginx-again"]!) one.perSecond = 1400;
	const of = reportCell(cellOf("answer_32k"), some), text = cellText(of);
	expect(of.rows.find((one) => one.name === "lethe all")!.rate).toEqual({ min: 0.75, median: 0.75, max: 0.75 });
	expect(text).toContain("all at once on one processor; rates to nginx's: relay 0.83 (0.83..0.83), nginx 0.83 (0.83..0.83), nginx-again 1.17 (1.17..1.17), haproxy 0.83 (0.83..0.83), lethe all 0.75 (0.75..0.75)\n");
	expect(text).toContain("of 3 turns");
	expect(text.split("\n").find((line) => line.startsWith("nginx "))).toMatch(/ 1000$/);
	expect(page({ when: "", about: "", void: [], reports: [of], memories: {}, bars: [] })).toMatch(/requests a second(?!.*delay p50)/s);
	const inTurn = cellText(reportCell(cellOf("edges_1k"), rounds(usual)));
	expect(inTurn).not.toContain("at once");
	expect(inTurn.split("\n").find((line) => line.startsWith("nginx "))).toMatch(/ 1000 +100 +200$/);
});

test("a turn of streams does not count where the yardstick's chunks are late: many at a time cost less", () => {
	const some = rounds(usual, [1, 1, 1]);
	some["lethe"]![0]!.p50 = 2001;
	(some["lethe-again"] = structuredClone(some["lethe"]!))[1]!.p50 = 16_000;
	for (const one of some["nginx"]!) one.p50 = 50_000;
	expect(cellText(reportCell(cellOf("stream_translated"), some, 1))).toContain("2 of 3 rounds do not count: chunks of lethe came 2.0 ms late at the median; chunks of lethe came 16.0 ms late at the median");
	expect([counting(cellOf("stream_translated"), some), counting(cellOf("request_1k"), some), counting(cellOf("stream"), some)]).toEqual([1, 3, 3]);
});

test("what costs are judged by is measured at once, of processes of each round's own, and the direct path, which is the simulator of all, is not in it; delays at a fixed pace are measured in slices, those of streams in turn", () => {
	for (const one of cells.filter((cell) => cell.beside)) expect([one.name, one.targets.includes("direct") && !one.slices, one.setup.fresh]).toEqual([one.name, false, true]);
	const how = (name: string) => { const { beside, slices } = cellOf(name); return slices ? "in slices" : beside ? "at once" : "in turn"; };
	const all = (names: string[], as: string) => expect(names.map((name) => [name, how(name)])).toEqual(names.map((name) => [name, as]));
	const costs = ["answer_32k", "request_1m", "stream_translated", "lockdown", "tls_request_1k", "h2_request_1k", "h2_tls_request_1k", "h2_out_request_1k"];
	all(costs, "at once");
	all(["request_1k", "request_32k", "request_paced", "first_byte", "lockdown_paced", "edges_1k", "accounts_1k"], "in slices");
	all(["stream", "stream_paced", "tls_stream", "h2_out_stream", "tls_handshakes"], "in turn");
});

test("a translated chunk is compared with one that passes through at the same time", () => {
	const name = "translated chunk, CPU to one passed through", passed = { all: 10, edge: 10 };
	const of = (all: number) => verdict([report("stream_translated", { lethe: passed, "lethe-again": passed, "lethe-translates": { all, edge: all } })], {}, name);
	expect([of(29), of(31)]).toEqual(["pass : 2.90, at most 3", "FAIL : 3.10, at most 3"]);
	const { args } = cellOf("stream_translated"), effort = { seconds: 2, warmup: 1, quick: false };
	expect(args(effort, "lethe-translates")).toEqual(expect.arrayContaining(args(effort, "lethe")));
	expect(args(effort, "lethe")).not.toContain("--path");
	expect(args(effort, "lethe-translates")).toContain("/v1/messages");
});

test("those who are measured at once wait for all, again and again; when one does not come, nobody waits", async () => {
	const meeting = new Meeting(2), seen: string[] = [];
	const one = async (name: string) => {
		await meeting.arrive();
		seen.push(name);
	};
	const first = one("a");
	await Promise.resolve();
	expect(seen).toEqual([]);
	await Promise.all([first, one("b")]);
	expect(seen).toEqual(["a", "b"]);
	const alone = meeting.arrive();
	meeting.fail(new Error("gone"));
	meeting.fail(new Error("later"));
	await expect(alone).rejects.toThrow("gone");
	await expect(meeting.arrive()).rejects.toThrow("gone");
});

test("load generators count when all are ready, and give up when one can't", async () => {
	const arrivals: string[] = [];
	class Watched extends Meeting {
		override arrive(): Promise<void> {
			arrivals.push("");
			return super.arrive();
		}
	}
	const sim = await Sim.start();
	try {
		const target = { name: "sim", addresses: [new URL(sim.url).host], certificates: undefined, headers: [], groups: { all: [sim.pid] }, end: async () => {} } satisfies Target;
		const tools = { load: join(build, "test/bench/lethe-load") } as Tools;
		const asked = (warmup: string, meeting: Meeting, ...more: string[]) => measure(tools, target, ["requests", "--connections", "4", "--seconds", "0.1", "--warmup", warmup, ...more], meeting);
		const together = new Watched(2);
		const both = await Promise.all([asked("0", together), asked("0.1", together)]);
		// How many requests fit into a moment on a loaded machine, if any, is another matter.
		expect(both.map(({ event, errors }) => [event, errors])).toEqual([["end", 0], ["end", 0]]);
		expect(arrivals).toHaveLength(4);
		const broken = new Meeting(2);
		const ends = await Promise.allSettled([asked("0", broken), asked("0", broken, "--processes", "2")]);
		expect(ends.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
	} finally {
		await sim.stop();
	}
});

test("added delay is measured against the direct path and nginx's", () => {
	const paced = rounds({ direct: { all: 1 }, ...usual });
	delays(paced, { direct: [50, 90], relay: [65, 110], nginx: [80, 140], "nginx-again": [80, 140], lethe: [74, 165] });
	const reports = [reportCell(cellOf("request_paced"), paced)];
	expect(verdict(reports, {}, "4,000 requests a second, added delay p50, to nginx's")).toBe("pass : 0.80, at most 1");
	expect(verdict(reports, {}, "4,000 requests a second, added delay p99, to nginx's")).toBe("FAIL : 1.50, at most 1.2");
});

test("a delay is not judged where nginx does not find itself again, or the bare relay can't keep the bar either", () => {
	const paced = rounds({ direct: { all: 1 }, ...usual });
	const [p50, p99] = ["p50", "p99"].map((which) => `4,000 requests a second, added delay ${which}, to nginx's`) as [string, string];
	const of = (name: string) => [reportCell(cellOf(name), paced)];
	delays(paced, { direct: [50, 90], relay: [65, 110], nginx: [80, 140], "nginx-again": [82, 152], lethe: [70, 140] });
	expect(verdict(of("request_paced"), {}, p99)).toBe("pass : 0.89, at most 1.2");
	delays(paced, { "nginx-again": [81, 153] });
	expect(verdict(of("request_paced"), {}, p50)).toBe("pass : 0.66, at most 1");
	expect(verdict(of("request_paced"), {}, p99)).toBe("VOID : 0.88, at most 1.2; this run can't tell: nginx adds 50 µs, and when measured again 63");
	expect(bars(of("request_paced"), {}).find((bar) => bar.name === p99)!.passed).toBe(false);
	// A relay does a part of what nginx does: later than the bar lets anybody be, it is the machine that is late, whatever the target's figure says.
	delays(paced, { relay: [80, 150], nginx: [80, 140], "nginx-again": [80, 140], lethe: [70, 140] });
	expect([p50, p99].map((name) => verdict(of("request_paced"), {}, name))).toEqual(["pass : 0.67, at most 1", "pass : 1.00, at most 1.2"]);
	delays(paced, { relay: [81, 151] });
	expect(verdict(of("request_paced"), {}, p50)).toBe("VOID : 0.67, at most 1; this run can't tell: the bare relay alone adds 31 µs, 1.03 of nginx's");
	expect(verdict(of("request_paced"), {}, p99)).toBe("VOID : 1.00, at most 1.2; this run can't tell: the bare relay alone adds 61 µs, 1.22 of nginx's");

	const chunk = "chunk, 1,000 streams, added delay p50, µs";
	delays(paced, { relay: [67, 240], nginx: [80, 140], "nginx-again": [80, 140], lethe: [74, 200] });
	expect(verdict(of("stream_paced"), {}, chunk)).toBe("FAIL : 24.00, at most 20");
	expect(verdict(of("first_byte"), {}, "first streamed byte, added delay p99, µs")).toBe("pass : 110.00, at most 200");
	delays(paced, { relay: [71, 1114] });
	expect(verdict(of("stream_paced"), {}, chunk)).toBe("VOID : 24.00, at most 20; this run can't tell: the bare relay alone adds 21 µs");
	expect(verdict(of("first_byte"), {}, "first streamed byte, added delay p99, µs")).toContain("VOID : 110.00, at most 200; this run can't tell: the bare relay alone adds 1024 µs");
});

test("what was due while the machine stood still is said, and a delay is not judged where that was too much or more of Lethe's than of the others'", () => {
	const paced = rounds({ direct: { all: 1 }, ...usual });
	const p99 = "4,000 requests a second, added delay p99, to nginx's";
	const still = (all: Record<string, number>) => {
		for (const [target, disturbed] of Object.entries(all)) for (const one of paced[target]!) Object.assign(one, { disturbed });
		return [reportCell(cellOf("request_paced"), paced)];
	};
	delays(paced, { direct: [50, 90], relay: [65, 110], nginx: [80, 140], "nginx-again": [80, 140], lethe: [74, 150] });
	expect(cellText(reportCell(cellOf("request_paced"), paced))).not.toContain("stood still");
	const even = still({ direct: 0.04, relay: 0.05, nginx: 0.04, "nginx-again": 0.04, lethe: 0.065 });
	expect(cellText(even[0]!)).toContain("due while the machine stood still, and in no delay: direct 4.0 %, relay 5.0 %, nginx 4.0 %, nginx-again 4.0 %, lethe all 6.5 %");
	expect(verdict(even, {}, p99)).toBe("pass : 1.20, at most 1.2");
	expect(verdict(still({ lethe: 0.07 }), {}, p99)).toBe("VOID : 1.20, at most 1.2; this run can't tell: the machine stood still for 7.0 % of what was due, of the others' for 5.0 % at most");
	expect(verdict(still({ lethe: 0.04, relay: 0.26 }), {}, p99)).toContain("VOID : 1.20, at most 1.2; this run can't tell: the machine stood still for 26.0 % of what was due");
});

test("what a 99th percentile is taken from lasts four times as long, for each of those that take turns in it", () => {
	const seconds = (name: string, quick: boolean) => {
		const args = cellOf(name).args({ seconds: 2, warmup: 1, quick });
		return args[args.indexOf("--seconds") + 1];
	};
	expect(["request_1k", "request_paced", "first_byte"].map((name) => seconds(name, false))).toEqual(["10", "40", "40"]);
	expect(["request_paced", "first_byte"].map((name) => seconds(name, true))).toEqual(["10", "10"]);
});

test("memory is judged with as many streams as were agreed", () => {
	const name = "TLS, 5000 streams, all processes, KiB a stream";
	expect(verdict([], { tls_memory: { lethe: held(47, 5000) } }, name)).toBe("pass : 47.00, at most 48");
	expect(verdict([], { tls_memory: { lethe: held(49, 5000) } }, name)).toBe("FAIL : 49.00, at most 48");
	expect(verdict([], { tls_memory: { lethe: held(47, 1000) } }, name)).toBe("FAIL : not measured, at most 48");
	expect(verdict([], { memory: { lethe: held(3, 5000) } }, "idle, largest process, MiB")).toBe("pass : 9.00, at most 10");
});

test("a void cell passes nothing; one that was skipped fails; one that was not asked for neither passes nor fails", () => {
	const name = "1 KB request, all processes, CPU to nginx";
	expect(verdict([{ ...report("request_1k"), void: ["nginx differs from itself"] }], {}, name)).toBe("FAIL : not measured, at most 1.3");
	expect(verdict([], {}, name)).toBe("---- : not measured, at most 1.3");
	const skipped = skippedCell(cellOf("stream_slow"), "a process may open 1024 descriptors here");
	expect(verdict([skipped], {}, "18,000 slow streams, errors")).toBe("FAIL : skipped: a process may open 1024 descriptors here, at most 0");
	expect(cellText(skipped)).toBe("stream_slow: skipped: a process may open 1024 descriptors here");
});

test("18,000 slow streams pass when all were held and none failed, also on a machine that was not quiet", () => {
	const costs = { "nginx-2": { all: 15 }, "nginx-2-again": { all: 15 }, "lethe-2": { all: 19, edge: 19 } };
	const [name, what] = ["18,000 slow streams, errors", rounds(costs)];
	for (const one of what["lethe-2"]!) one.foreign = 0.5;
	expect(verdict([reportCell(cellOf("stream_slow"), what)], {}, name)).toBe("pass : 0.00, at most 0");
	what["lethe-2"]![0]!.errors = 3;
	expect(verdict([reportCell(cellOf("stream_slow"), what)], {}, name)).toBe("FAIL : 3.00, at most 0");
	what["lethe-2"]![0]!.unmeant = "1000 streams";
	expect(verdict([reportCell(cellOf("stream_slow"), what)], {}, name)).toBe("FAIL : not measured, at most 0");
});

test("every bar asks for cells that there are", () => {
	const there = new Set([...cells, ...memoryCells].map((cell) => cell.name));
	const nothing = new Set(bars([], {}).map((bar) => bar.passed));
	expect(nothing).toEqual(new Set([undefined]));
	const everything = bars(cells.map((cell) => skippedCell(cell, "no")), Object.fromEntries(memoryCells.map((cell) => [cell.name, {}])));
	expect(everything.filter((bar) => bar.passed === undefined)).toEqual([]);
	expect(there.size).toBe(cells.length + memoryCells.length);
	expect(barsText(everything).split("\n").length).toBeGreaterThan(everything.length);
});

test("every cell's yardstick is one of its targets", () => {
	for (const cell of cells) expect(cell.targets, cell.name).toContain(cell.yardstick);
});

const h2load = (protocol: string, good: number) => `starting benchmark...
Application protocol: ${protocol}

finished in 812.50ms, 24615.38 req/s, 36.50MB/s
requests: 20000 total, 20000 started, 20000 done, ${good} succeeded, ${20000 - good} failed, 0 errored, 0 timeout
status codes: ${good} 2xx, 0 3xx, 0 4xx, ${20000 - good} 5xx
0m0.000000s 0m0.010000s
0m0.310000s 0m0.120000s
`;

test("what h2load says is read; HTTP/1.1 in its place is an error", () => {
	expect(readOutput(h2load("h2", 20000))).toEqual({ seconds: 0.8125, good: 20000, errors: 0, firstError: "", selfNs: 0.43e9 });
	expect(readOutput(h2load("h2c", 19990))).toMatchObject({ good: 19990, errors: 10 });
	expect(readOutput(h2load("http/1.1", 20000))).toMatchObject({ good: 0, errors: 20000 });
	expect(readOutput(h2load("http/1.1", 20000)).firstError).toContain("application protocol: http/1.1");
	for (const nobody of [h2load("h2", 0).replace("20000 total", "0 total"), h2load("none", 0).replace("20000 total", "0 total"), ""]) {
		expect(readOutput(nobody)).toMatchObject({ good: 0, errors: 1 });
		expect(readOutput(nobody).firstError).toContain("application protocol: ");
	}
	expect(readLog("1\t200\t40\n2\t200\t10\n3\t502\t5\n")).toEqual([10, 40]);
});

test("the page is one file, without scripts, and nothing in it is markup that was not meant", () => {
	const reports = [report("request_1k", { ...usual, "<b>": { all: 1 } }), skippedCell(cellOf("stream_slow"), "a < b")];
	const html = page({ when: "now", about: "1 & 2", void: [], reports, memories: { memory: { lethe: held(3, 5000) } }, bars: bars(reports, {}) });
	expect(html).not.toMatch(/<script|<link|<b>|https?:/);
	expect(html).toContain("&lt;b&gt;");
	expect(html).toContain("skipped: a &lt; b");
	expect(html.match(/<svg/g)!.length).toBe(html.match(/<\/svg>/g)!.length);
	expect(html).toContain("28.5 (14.3..42.8)");
});

test("a plot's whiskers reach from the least to the most, its bar to the median", () => {
	const svg = plot("t", [{ name: "a", value: { min: 5, median: 10, max: 20 } }, { name: "b", value: { min: 10, median: 10, max: 10 } }]);
	expect(svg.match(/<rect class="other" x="170.0" y="\d+" width="180.0"/g)).toHaveLength(2);
	expect(svg).toContain('d="M260.0 16H530.0M260.0 12v8M530.0 12v8"');
	expect(plot("t", [])).toBe("");
});

test("what lockdown costs is taken from rounds with a build without it", () => {
	const bare = { "lethe-bare": { all: 20 }, "lethe-bare-again": { all: 20 } };
	const name = "lockdown, secret memory and wiping, 1 KB request, CPU to a build without";
	const of = (all: number) => verdict([report("lockdown", { direct: { all: 5 }, lethe: { all, edge: 15 }, ...bare })], {}, name);
	expect(of(20.5)).toMatch(/^pass .*1\.0[23]/);
	expect(of(21)).toMatch(/^FAIL .*1\.05/);
	const delay = "lockdown, secret memory and wiping, 4,000 requests a second, p50 beyond a build without, µs";
	const paced = rounds({ direct: { all: 5 }, lethe: { all: 20, edge: 15 }, "lethe-bare": { all: 20, edge: 15 }, "lethe-bare-again": { all: 20, edge: 15 } });
	delays(paced, { direct: [50, 90], "lethe-bare": [100, 200], "lethe-bare-again": [100, 200], lethe: [112, 200] });
	expect(verdict([reportCell(cellOf("lockdown_paced"), paced)], {}, delay)).toMatch(/^FAIL .*12\.00/);
});
